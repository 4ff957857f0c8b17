"""Who remembers the fire? A search by meaning over all memories of a world.

    index = vector_index(world, Embedding)
    found = index.nearest(query, 10)        # ids and cosines, the nearest first

Up to some ten thousand vectors a search compares with all of them, in the world's own columns.
Beyond, most lie in an inverted file as well, which names candidates, and the newest, the tail, in
the columns alone; candidates and tail are compared anew, so that every cosine is exact. The
inverted file is built, filled up and cleared of the dead in the background (`upkeep.py`); until it
is there, and whenever it cannot do, searches are exact, and only slower.

Invariants: what is found is alive and has the component, whatever the index holds. Asked for k,
as many are found as qualify, up to k. Who searches holds the world's moment: one search waits for
another, and a system that runs beside others cannot search. An exact search gives the same on every
machine. When a search turns from exact to approximate depends on how quick the background is, and
so can the last few of a hundred results; `background=False` makes it depend on what happened alone.
Cost at 1M x 256 in i1: see `bench/cases_vectors.py`. Gaining or losing an embedding: 5 ns each.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any
from weakref import ref

import numpy as np

from populace.ecs import Observer, World
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import QueryError, ResourceError, SettingError, StructuralChangeError

from .dots import Queries, Vectors, queries
from .exact import Best, Cosines, VectorColumns
from .indexed import indices, origins, refuse_worker
from .inverted import MOST_LISTS, Inverted, engine, one_thread
from .labels import Labeled, Labels, Words, among, bitmap, members
from .tuning import RERANKED
from .upkeep import Upkeep

GATHERED_SHARE = 0.02
"""A filter that lets no more pass is served exactly: the inverted file would miss one in ten."""
SPLIT_FROM = 32
"""Queries that are shared out among threads."""
RECENT = 256
"""Queries that are kept to tune by."""
ROW_NS, GATHERED_NS, SCANNED_NS, PASSED_BY_NS = 30, 60, 55, 4
"""About what a vector costs: in its column in order, by its id, in an inverted list, and there if
a filter leaves it out. They choose between ways whose results differ little."""


class VectorWarning(UserWarning):
    """The background has failed; searches are exact, and slower."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How an index behaves.

    flat_below: vectors; with fewer there is no inverted file. tail_limit: newest vectors that are
    not in it. dead_share: of its vectors, before they are taken out. recall: share of the nearest
    ten that it must find, as measured. lists: how many it has; None for about 4 √n. background:
    whether a thread keeps it, or whoever searches. seed: of its training.
    """

    flat_below: int = 50_000
    tail_limit: int = 2_048
    dead_share: float = 0.05
    recall: float = 0.98
    lists: int | None = None
    background: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1 or not 0 <= self.dead_share < 1:
            raise SettingError(
                f"recall is a share above 0, dead_share one below 1; got {self.recall!r} and "
                f"{self.dead_share!r}"
            )
        if self.flat_below < 0 or self.tail_limit < 0:
            raise SettingError(
                f"flat_below and tail_limit are numbers of vectors >= 0; got {self.flat_below!r} "
                f"and {self.tail_limit!r}"
            )
        if self.lists is not None and not 1 <= self.lists <= MOST_LISTS:
            raise SettingError(f"an index has 1 to {MOST_LISTS:,} lists, got {self.lists!r}")


@dataclass(frozen=True, slots=True)
class Stages:
    """How a search went. way: "flat" (compared with all), "gathered" (with all that are allowed) or
    "inverted". probes: lists looked into. compared: vectors whose cosine each query got; tail: of
    these, the newest. fell_back: the inverted file had too few of what is allowed."""

    way: str
    probes: int = 0
    compared: int = 0
    tail: int = 0
    fell_back: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """What was found. Of one query: ids (m,) u8, cosines (m,) f8, m <= k, nearest first, equal ones
    by id. Of many: (q, k), with NOBODY and -inf where there are fewer."""

    ids: Ids
    cosines: Cosines
    stages: Stages


@dataclass(frozen=True, slots=True)
class IndexState:
    """What an index is like now.

    live: vectors of the world; dead: in the inverted file, of nobody any more; tail: not in it.
    lists, probes, recall: of the inverted file, as tuned; 0 where there is none.
    """

    live: int
    dead: int
    tail: int
    lists: int
    probes: int
    recall: float
    nbytes: int
    busy: bool
    failure: str


class Allowed:
    """The entities that a search may find, looked up once for any number of searches."""

    __slots__ = ("_version", "ids", "index", "labels", "words")

    def __init__(self, index: VectorIndex, ids: Ids) -> None:
        self.index, self._version = index, -1
        self.ids = ids
        self.labels: Labeled
        self.words: Words

    def refresh(self) -> None:
        """Look up again who of them has a vector, where that may have changed."""
        held = self.index.labels
        if self._version != held.version:
            labels = held.of(self.ids)
            self.words = bitmap(labels[labels >= 0], held.capacity)
            self.labels = labels[labels >= 0]
            self._version = held.version


class VectorIndex:
    """See the module. Made by `vector_index`.

    labels, columns, main: for `Upkeep`; main is the inverted file, or None.
    """

    def __init__(self, world: World, component: type, options: VectorOptions) -> None:
        self.component, self.options = component, options
        self.columns = VectorColumns(component)
        self.labels = Labels()
        self.main: Inverted | None = None
        self.upkeep = Upkeep(self)
        self.saved: tuple[str, int] | None = None
        self._world = ref(world)
        self._recent = np.zeros((RECENT, self.columns.dimensions), np.float32)
        self._n_asked = 0
        self._told: Exception | None = None
        self._tail: tuple[int, Ids] = -1, np.empty(0, np.uint64)
        with world.store.moment:
            self.labels.give(self.columns.all_ids(world))
            self._observers: tuple[Observer, ...] = (
                world.observe("add", component, self._gained),
                world.observe("remove", component, self._lost),
            )

    def __repr__(self) -> str:
        return f"<VectorIndex of {self.labels.n_live:,} {self.component.__name__}>"

    # -- what happens in the world ---------------------------------------------------------------

    @property
    def world(self) -> World | None:
        """Its world, or None where that is gone."""
        return self._world()

    def require_world(self) -> World:
        """Its world. Raises ResourceError where that is gone, or the index closed."""
        world = self._world()
        if world is None or not self._observers:
            raise ResourceError(
                f"this index of {self.component.__name__} is closed, or its world is gone; "
                f"vector_index(world, {self.component.__name__}) makes another"
            )
        return world

    def _gained(self, world: World, ids: Ids) -> None:
        self.labels.give(ids)
        self.upkeep.tell()

    def _lost(self, world: World, ids: Ids) -> None:
        self.labels.take(ids)
        self.upkeep.tell()

    # -- searching -------------------------------------------------------------------------------

    def nearest(
        self, query: Any, k: int, *, allowed: Any = None, probes: int | None = None
    ) -> Nearest:
        """The k memories nearest to a query, at most.

        query: (d,) of any length, or `queries` of one. allowed: the only ids that count, or what
        `allow` made of them; others are passed over. probes: lists to look into, instead of the
        number that was chosen.

        Raises QueryError for another number of dimensions, a k below 1, or what another index
        allowed; ResourceError after `close`; StructuralChangeError in a system that runs beside
        others. Cost: see the module.
        """
        asked = self._asked(query, one=True)
        with self._still() as (world, level):
            best, stages = self._best(world, level, asked, _whole(k, "k"), allowed, probes)
        n = int(np.count_nonzero(best.ids[0]))
        return Nearest(best.ids[0, :n], best.cosines[0, :n], stages)

    def nearest_to_each(
        self, query_vectors: Any, k: int, *, allowed: Any = None, probes: int | None = None
    ) -> Nearest:
        """The same for many queries, (q, d), together; on as many threads as FAISS has."""
        asked = self._asked(query_vectors, one=False)
        with self._still() as (world, level):
            best, stages = self._best(world, level, asked, _whole(k, "k"), allowed, probes)
        return Nearest(best.ids, best.cosines, stages)

    def allow(self, ids: Any) -> Allowed:
        """Ids to be given to searches as `allowed`, looked up once. Those without a vector, and the
        dead, do not count. Raises QueryError for what another index allowed. Cost: 5 ns an id,
        again after each change of embeddings."""
        if not isinstance(ids, Allowed):
            return Allowed(self, np.unique(as_ids(ids)))
        if ids.index is not self:
            raise QueryError(
                f"what {ids.index!r} allows is not for {self!r}, whose numbers are others; call "
                f"its own allow(ids)"
            )
        return ids

    def recent(self, k: int) -> Vectors:
        """(m, d) f4: the last queries, at most k."""
        n = min(k, self._n_asked, RECENT)
        return self._recent[(self._n_asked - 1 - np.arange(n)) % RECENT]

    def _asked(self, query: Any, one: bool) -> Queries:
        if isinstance(query, Queries):
            asked = query
        else:
            given = np.asarray(query)
            asked = queries(given[None] if one and given.ndim == 1 else given)
        self.columns.check(asked)
        if one and len(asked) != 1:
            raise QueryError(
                f"nearest takes one query, got {len(asked):,}; nearest_to_each takes many"
            )
        for unit in asked.unit_qd[-RECENT:]:
            self._recent[self._n_asked % RECENT] = unit
            self._n_asked += 1
        return asked

    @contextmanager
    def _still(self) -> Iterator[tuple[World, bool]]:
        """Nothing changes inside: neither the world nor the index. Gives the world, and whether its
        labels are level with it."""
        world = self.require_world()
        refuse_worker(world, "a search by meaning")
        with world.store.moment:
            self.require_world()  # it may have been closed meanwhile
            level = self._is_level(world)
            if not level and not world.store.locked:
                self._put_right(world)
                level = True
            if level and not self.options.background and self.upkeep.due() is not None:
                self.upkeep.run_due()
            if self.upkeep.failure is not None:
                self._tell()
            yield world, level

    def _is_level(self, world: World) -> bool:
        """Whether all that have a vector have a label. Not so in the middle of a change, nor after
        an observer that raised: this index has not heard of a change, or of one that was undone."""
        return world.query(self.component).count() == self.labels.n_live

    def _put_right(self, world: World) -> None:
        """Give labels to exactly those that have a vector. O(n log n)."""
        ids = self.columns.all_ids(world)
        held = self.labels.entity_of[members(self.labels.live)]
        self.labels.take(np.setdiff1d(held, ids))
        self.labels.give(ids[self.labels.of(ids) < 0])
        self.upkeep.tell()

    def _tell(self) -> None:
        failure = self.upkeep.failure
        if failure is not self._told:
            self._told = failure
            warnings.warn(
                f"the index of {self.component.__name__} is not kept any more, so that searches "
                f"are exact and slower: {type(failure).__name__}: {failure}; rebuild() tries again",
                VectorWarning,
                stacklevel=5,
            )

    def _best(
        self, world: World, level: bool, asked: Queries, k: int, allowed: Any, probes: int | None
    ) -> tuple[Best, Stages]:
        labels, columns = self.labels, self.columns
        some = None if allowed is None else self.allow(allowed)
        if not level:
            return self._best_amid(world, asked, k, some)
        if some is None:
            n = labels.n_live
        else:
            some.refresh()
            n = some.labels.size
        k = min(k, n)
        wanted = max(RERANKED, 4 * k)
        looked = 0 if not k else self._probes(n, k, wanted, probes, some)
        if looked and self.main is not None:
            words = labels.live if labels.n_dead else None
            tail = self._tail_ids()
            if some is not None:
                words = some.words & labels.live
                in_tail = labels.tail()
                tail = labels.entity_of[in_tail[among(in_tail, words)]]
            main, entity_of = self.main, labels.entity_of

            def part(some: Queries) -> Best:
                found = main.search(some, wanted, looked, words)
                return columns.nearest_of_each(world, some, found, entity_of, tail, k)

            best = part(asked) if len(asked) < SPLIT_FROM else on_threads(part, asked)
            if best.ids[:, -1].all():
                return best, Stages("inverted", looked, best.compared, tail.size)
        fell_back = looked > 0
        if some is not None:
            best = columns.nearest_of(world, asked, labels.entity_of[some.labels], k)
            return best, Stages("gathered", compared=best.compared, fell_back=fell_back)
        best = columns.nearest(world, asked, k)
        return best, Stages("flat", compared=best.compared, fell_back=fell_back)

    def _best_amid(
        self, world: World, asked: Queries, k: int, some: Allowed | None
    ) -> tuple[Best, Stages]:
        """What there is in the middle of a change: by the columns alone."""
        if some is None:
            n = world.query(self.component).count()
            best = self.columns.nearest(world, asked, min(k, n))
            return best, Stages("flat", compared=best.compared)
        best = self.columns.nearest_of(world, asked, some.ids, min(k, some.ids.size))
        return best, Stages("gathered", compared=best.compared)

    def _probes(self, n: int, k: int, wanted: int, probes: int | None, some: Allowed | None) -> int:
        """How many lists to look into; 0 to compare with all that count, n of them.

        More of them where more is asked for, or a filter leaves few: the nearest lie farther off.
        """
        main, labels = self.main, self.labels
        if main is None or not len(main):
            return 0
        share = n / labels.n_live
        if probes is None and share <= GATHERED_SHARE:
            return 0
        looked = main.probes_for(k / share) if probes is None else probes
        scanned = len(main) * looked / main.n_lists
        inverted_ns = labels.n_tail * GATHERED_NS + scanned * SCANNED_NS * share
        inverted_ns += wanted * GATHERED_NS + scanned * PASSED_BY_NS * (some is not None)
        exact_ns = n * (ROW_NS if some is None else GATHERED_NS)
        return looked if probes is not None or inverted_ns < exact_ns else 0

    def _tail_ids(self) -> Ids:
        if self._tail[0] != self.labels.version:
            self._tail = self.labels.version, self.labels.entity_of[self.labels.tail()]
        return self._tail[1]

    # -- its own state ---------------------------------------------------------------------------

    def state(self) -> IndexState:
        """What it is like now."""
        main, labels, failure = self.main, self.labels, self.upkeep.failure
        return IndexState(
            live=labels.n_live,
            dead=labels.n_dead,
            tail=labels.n_tail,
            lists=0 if main is None else main.n_lists,
            probes=0 if main is None else main.probes,
            recall=0.0 if main is None else main.recall,
            nbytes=labels.nbytes + self._recent.nbytes + (0 if main is None else main.nbytes),
            busy=self.upkeep.busy,
            failure="" if failure is None else f"{type(failure).__name__}: {failure}",
        )

    def wait(self) -> None:
        """Until the background has done what is due. Raises StructuralChangeError inside a step."""
        if not self.options.background:
            with self._still():
                return
        self.upkeep.wait()

    def rebuild(self) -> None:
        """Build the inverted file anew, in the background, also after a failure."""
        self.require_world()
        self.upkeep.again()

    def close(self) -> None:
        """Stop the background and forget everything. Twice does no harm. Raises
        StructuralChangeError in a system that runs beside others."""
        world = self._world()
        if world is not None:
            refuse_worker(world, "closing an index")
        moment = nullcontext() if world is None else world.store.moment
        with moment:
            for observer in self._observers:
                observer.cancel()
            self._observers = ()
            if world is not None and indices.get(world, {}).get(self.component) is self:
                del indices[world][self.component]
        self.upkeep.stop()  # outside: it waits for a thread that may wait for the moment
        with moment:
            self.main, self.labels = None, Labels()


def vector_index(world: World, component: type, **options: Any) -> VectorIndex:
    """The index of one component's vectors, made at the first call.

    component: as `embedding(dimensions, dtype)` makes it. options: see `VectorOptions`; for an
    index that exists, what it has already, or nothing. A world that was loaded takes up what was
    saved with it.

    Raises UnknownFieldError for a component without vectors, SettingError for unknown options,
    ResourceError for others than it has; StructuralChangeError in a system that runs beside others,
    and to make one inside an observer or a system that does not have the whole world.
    Cost: 10 ns a memory that is there already, and 0.1 s for 1M that were saved.
    """
    known = [each.name for each in fields(VectorOptions)]
    unknown = sorted(set(options).difference(known))
    if unknown:
        raise SettingError(
            f"a vector index has no option {unknown[0]!r}; it has {', '.join(known)}"
        )
    refuse_worker(world, "vector_index")
    with world.store.moment:
        held = indices.setdefault(world, {})
        index = held.get(component)
        if index is not None:
            for name, value in options.items():
                if getattr(index.options, name) != value:
                    raise ResourceError(
                        f"the index of {component.__name__} has {name}="
                        f"{getattr(index.options, name)!r}, not {value!r}; close() it to make "
                        f"another"
                    )
            return index
        if world.store.locked:
            raise StructuralChangeError(
                f"vector_index inside {world.store.locked} would number vectors that come or go; "
                f"call it once before, or in a system that takes `world: World`"
            )
        index = VectorIndex(world, component, VectorOptions(**options))
        try:
            origin = origins.get(world)
            if origin is not None:
                from .vectorfile import read_kept

                index.upkeep.kept = read_kept(*origin, index)
        except Exception:
            index.close()
            raise
        held[component] = index
        index.upkeep.tell()
        return index


def on_threads(part: Callable[[Queries], Best], asked: Queries) -> Best:
    """What a function makes of queries, parts of them side by side, on as many threads as FAISS is
    allowed here. None of them changes anything."""
    n_threads = max(1, min(engine().omp_get_max_threads(), len(asked) // (SPLIT_FROM // 2)))
    edges = np.linspace(0, len(asked), n_threads + 1).astype(int).tolist()

    def alone(begin: int, end: int) -> Best:
        with one_thread():
            return part(_slice(asked, begin, end))

    with ThreadPoolExecutor(n_threads) as pool:
        parts = list(pool.map(alone, edges[:-1], edges[1:]))
    return Best(
        np.concatenate([each.ids for each in parts]),
        np.concatenate([each.cosines for each in parts]),
        parts[0].compared,
    )


def _slice(asked: Queries, begin: int, end: int) -> Queries:
    rows = slice(begin, end)
    return Queries(asked.unit_qd[rows], asked.whole_qd[rows], asked.step_q[rows])


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise QueryError(f"{name} is a whole number >= 1, got {value!r}")
    return int(value)
