"""Embedding: what memories say, as vectors beside them, and the cache of what texts mean.

    attach_embedder(world, "static")
    world.run(days(1), step=hours(1))              # whoever remembers, remembers with a vector
    embedder_of(world).query(["Who paints?"])      # (1, 256) f4

Which embedder a world has is its resource `Embeddings`, and stays: vectors of two cannot be
compared. A snapshot holds it and the vectors, not the embedder; a world that was loaded is attached
again. Insights, and what else comes after `embed_memories` in a step, are embedded in the next, or
by `embed`. A memory keeps its vector if `world.set` gives it another text: `embed(world, ids,
replace=True)`.

Invariants: an embedder is asked about a text once, as long as the world is attached and the text is
in its pool; a query, once while it is among the latest `queries`. What the cache holds of a code is
checked against the pool's string, so that one which a failed batch took back is never mistaken for
the next. After a reclaim it lets go of what was given back, and keeps the vectors of the rest. A
call that fails leaves the world as it was. Cached or not, vectors are the same.
Whoever holds the lock of an `AttachedEmbedder` waits for nobody's moment of the world.
Cost: 0.15 to 0.6 µs a memory whose text is known, i1 to f4; a new text, what its embedder takes and
3 µs; in memory, beside the columns, 272 bytes a distinct text in i1 (528 in f2, 1,040 in f4) at 256
dimensions, and 1.2 kB a query. A batch of texts is held in f4 and f8, 4 kB a text.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from populace.components import Memory
from populace.components.embedding import DTYPES, MOST_DIMENSIONS, embedding
from populace.ecs import TextPool, World, setting, settings, system
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import (
    ColumnTypeError,
    ColumnValueError,
    PopulaceError,
    ResourceError,
    SettingError,
)
from populace.storage.dots import Vectors, decode, encode
from populace.storage.indexed import refuse_worker

from .embedders import Embedder, EmbedderWarning, check_embedder, embedder_from, vectors_of
from .lexicon import lexicon

Array = npt.NDArray[Any]

NAME = "embed_memories"
BATCH = 4096
QUERIES = 4096


@settings
class Embeddings:
    """How memories of a world are embedded. A resource; `attach_embedder` makes it."""

    embedder: str = setting("hashed-256", doc="the name of what makes vectors of texts")
    dimensions: int = setting(256, range=(1, MOST_DIMENSIONS), doc="of each vector")
    dtype: str = setting("i1", doc="of the vectors that are kept: f4, f2 or i1")

    def check(self) -> None:
        """Raise SettingError for a dtype that no vector is kept in."""
        if self.dtype not in DTYPES:
            raise SettingError(f"Embeddings.dtype must be f4, f2 or i1, got {self.dtype!r}")

    @property
    def component(self) -> type:
        """The component that a memory's vector is in."""
        return embedding(self.dimensions, self.dtype)


class AttachedEmbedder:
    """The embedder of a world, and what it has said. Made by `attach_embedder`.

    law: the world's `Embeddings`. batch: texts that the embedder is asked about at once. queries:
    latest texts outside the pool whose vectors are kept. Any thread may ask.
    """

    def __init__(
        self, embedder: Embedder, law: Embeddings, pool: TextPool, batch: int, queries: int
    ) -> None:
        self.embedder, self.law, self.batch, self.queries = embedder, law, batch, queries
        self._pool = pool
        self._lock = threading.RLock()
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        self._row_c: npt.NDArray[np.int32] = np.empty(0, np.int32)  # of each code; -1 for none
        self._strings: list[str] = []  # of each row
        self._stored: Array = np.empty((0, law.dimensions), law.dtype)
        self._scale: Vectors = np.empty(0, np.float32)

    def __repr__(self) -> str:
        return f"<AttachedEmbedder {self.law.embedder}: {len(self._strings):,} texts>"

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors that are kept, slack included."""
        recent = len(self._recent) * self.law.dimensions * 4
        return self._stored.nbytes + self._scale.nbytes + self._row_c.nbytes + recent

    def query(self, texts: Sequence[str]) -> Vectors:
        """(n, d) f4: texts as unit vectors, zeros for "": as memories have them where the world's
        pool knows the text, others exactly as the embedder has them.

        Raises what `vectors_of` raises. Cost: 1 µs a text that is known.
        """
        asked = _strings_of(texts)
        out = np.empty((len(asked), self.law.dimensions), np.float32)
        pool = self._follow()
        codes = {text: pool.find(text) for text in asked}
        said = [place for place, text in enumerate(asked) if codes[text] is not None]
        if said:
            known = np.array([codes[asked[place]] for place in said])
            out[said] = decode(*self.codes(known, pool))
        missing: dict[str, list[int]] = {}
        with self._lock:
            for place, text in enumerate(asked):
                if codes[text] is not None:
                    continue
                found = self._recent.get(text)
                if found is None:
                    missing.setdefault(text, []).append(place)
                else:
                    self._recent.move_to_end(text)
                    out[place] = found
            for part, vectors in self._ask(list(missing)):
                for text, vector in zip(part, vectors, strict=True):
                    out[missing[text]] = vector
                    self._recent[text] = vector.copy()  # not a view, which would keep the batch
                while len(self._recent) > self.queries:
                    self._recent.popitem(last=False)
        return out

    def codes(self, codes: Any, pool: TextPool | None = None) -> tuple[Array, Vectors]:
        """(stored (n, d), scale (n,) f4) of texts of the world's pool, in the world's dtype.

        codes: (n,) u4. pool: the world's when it gave the codes, if it may have another since.
        Raises ColumnValueError for one that the pool does not know, and what `vectors_of` raises.
        Cost: 0.2 µs a text that is known.
        """
        asked = np.asarray(codes)
        if asked.size and (asked.ndim != 1 or asked.dtype.kind not in "iu" or asked.min() < 0):
            raise ColumnValueError(
                f"text codes are whole numbers >= 0, (n,); got {asked.dtype.name} of shape "
                f"{asked.shape}, as Memory.text columns hold them"
            )
        kind = asked.dtype if asked.size else np.uint32  # of an empty list it is f8
        distinct, place = np.unique(asked.astype(kind), return_inverse=True)
        with self._lock:
            now = self._follow()
            rows = self._rows(distinct, (now if pool is None else pool).decode(distinct))[place]
            return self._stored[rows], self._scale[rows]

    def _follow(self) -> TextPool:
        """The world's pool as it is now. After a reclaim, what was given back is let go."""
        with self._lock:
            before = self._pool
            while (after := self._pool.successor) is not None:
                self._pool = after
            if self._pool is not before:
                self._let_go()
            return self._pool

    def _let_go(self) -> None:
        """Keep the rows of strings that the pool has under the same code. 0.2 µs a row."""
        find, held = self._pool.find, self._strings
        codes = np.flatnonzero(self._row_c >= 0)
        rows = self._row_c[codes]
        pairs = zip(codes.tolist(), rows.tolist(), strict=True)
        kept = np.fromiter((find(held[row]) == code for code, row in pairs), np.bool_, codes.size)
        codes, rows = codes[kept], rows[kept]
        self._strings = [held[row] for row in rows.tolist()]
        self._stored, self._scale = self._stored[rows], self._scale[rows]
        self._row_c = np.full(int(codes[-1]) + 1 if codes.size else 0, -1, np.int32)
        self._row_c[codes] = np.arange(rows.size, dtype=np.int32)

    def _ask(self, texts: list[str]) -> Iterator[tuple[list[str], Vectors]]:
        """Batches of texts and their vectors. What was asked about of late is not asked again."""
        for begin in range(0, len(texts), self.batch):
            part = texts[begin : begin + self.batch]
            new = [text for text in part if text not in self._recent]
            made = dict(zip(new, vectors_of(self.embedder, new), strict=True)) if new else {}
            vectors = [made[text] if text in made else self._recent[text] for text in part]
            yield part, np.array(vectors, np.float32)

    def _rows(self, codes: Array, texts: list[str]) -> npt.NDArray[np.int32]:
        """(n,) i4: rows of ascending codes, whose texts these are; those that are not known, or are
        known of another text, are asked about."""
        short = (int(codes[-1]) + 1 if codes.size else 0) - self._row_c.size
        if short > 0:
            more = np.full(short + self._row_c.size // 2, -1, np.int32)
            self._row_c = np.append(self._row_c, more)
        rows = self._row_c[codes]
        held = self._strings
        new = [
            at
            for at, (row, text) in enumerate(zip(rows.tolist(), texts, strict=True))
            if row < 0 or held[row] != text
        ]
        if new:
            self._reserve(len(held) + len(new))
            begin = 0
            for part, vectors in self._ask([texts[at] for at in new]):
                first, last = len(held), len(held) + len(part)
                self._stored[first:last], self._scale[first:last] = encode(vectors, self.law.dtype)
                held += part
                rows[new[begin : begin + len(part)]] = np.arange(first, last)
                begin += len(part)
                self._row_c[codes[new[:begin]]] = rows[new[:begin]]
        return rows

    def _reserve(self, n: int) -> None:
        """Room for n texts."""
        if n > len(self._stored):
            size = max(n, len(self._stored) * 3 // 2)
            stored = np.empty((size, self.law.dimensions), self.law.dtype)
            scale = np.empty(size, np.float32)
            used = len(self._strings)
            stored[:used], scale[:used] = self._stored[:used], self._scale[:used]
            self._stored, self._scale = stored, scale


def _strings_of(texts: Any) -> list[str]:
    """Texts as a list. Raises ColumnTypeError for what is none."""
    asked = [texts] if isinstance(texts, str) else list(texts)
    for place, text in enumerate(asked):
        if not isinstance(text, str):
            raise ColumnTypeError(
                f"a text must be a str, got {type(text).__name__} ({text!r}) at place {place}"
            )
    return asked


_attached: WeakKeyDictionary[World, AttachedEmbedder] = WeakKeyDictionary()


def attach_embedder(
    world: World,
    embedder: Any = None,
    *,
    dtype: str | None = None,
    embedding: bool = True,
    replace: bool = False,
    batch: int = BATCH,
    queries: int = QUERIES,
) -> AttachedEmbedder:
    """Let a world have its memories embedded, by the system `embed_memories`.

    embedder: as `embedder_from` takes it; None is the one that the world had when it was saved.
    dtype: "i1" if the world has none yet; "f2" takes twice as much and "f4" four times. embedding:
    False leaves the system out, so that `embed` alone embeds. replace: an embedder or a dtype other
    than before; the vectors that memories have are removed. batch, queries: see `AttachedEmbedder`.

    The system stands right after `form_memories`, whose order with all others stays as it is, so
    attach after `add_laws`; in a world without that law it is the last of its phase. Attached
    again, the world has a new cache.

    Raises SettingError where the world has another embedder or dtype, ResourceError where a model
    is not installed.

    >>> world = World()
    >>> attach_embedder(world, "hashed").law
    Embeddings(embedder='hashed-256', dimensions=256, dtype='i1')
    """
    for what, number, least in (("batch", batch, 1), ("queries", queries, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise SettingError(f"attach_embedder takes {what} >= {least}, got {number!r}")
    world.store.guard("attach_embedder")
    known = world.resource(Embeddings) if Embeddings in world.resources else None
    made = _former(known) if embedder is None and known and not replace else embedder_from(embedder)
    name, dimensions = check_embedder(made)
    kept = known.dtype if known else "i1"
    law = Embeddings(embedder=name, dimensions=dimensions, dtype=kept if dtype is None else dtype)
    if known is not None and law != known and not replace:
        raise SettingError(
            f"this world's memories are embedded by {known.embedder!r}, {known.dimensions:,} "
            f"dimensions in {known.dtype}, and {law.embedder!r}, {law.dimensions:,} in "
            f"{law.dtype}, cannot be compared with that; attach the former, or pass replace=True "
            f"and embed(world), which makes all vectors anew"
        )
    attached = AttachedEmbedder(made, law, world.text, batch, queries)
    if embedding and NAME not in world.schedule.entries:
        _add_system(world)
    if known is not None and law != known:
        world.query(Memory, with_=known.component).remove(known.component)
    world.insert(law, replace=True)
    _attached[world] = attached
    return attached


def _former(law: Embeddings) -> Embedder:
    """The embedder that a world was saved with. Raises SettingError for one of the user's own."""
    try:
        return embedder_from(law.embedder)
    except SettingError as error:
        raise SettingError(
            f"this world's memories are embedded by {law.embedder!r}, which Populace does not "
            f"have; pass that embedder: attach_embedder(world, embedder)"
        ) from error


def _add_system(world: World) -> None:
    """Right after `form_memories`, or else right before `reflect`."""
    for stages in world.schedule.stages().values():
        plan = [entry.name for stage in stages for entry in stage]
        for name, after in (("form_memories", ("form_memories",)), ("reflect", ())):
            if name in plan:
                later = tuple(plan[plan.index(name) + len(after) :])
                phase = world.schedule.entries[name].phase
                world.add_system(embed_memories, after=after, before=later, phase=phase)
                return
    world.add_system(embed_memories)


def embedder_of(world: World) -> AttachedEmbedder | None:
    """The embedder that a world has attached, or None."""
    return _attached.get(world)


def embed(world: World, ids: Any = None, *, replace: bool = False) -> int:
    """Give memories their vectors now; return how many got one.

    ids: memories, each once or more; None for all. replace: also those that have one, which is
    removed: of memories whose text was changed. Memories without one are embedded in bulk.

    Raises ResourceError without an embedder, DeadEntityError, ComponentMissingError for what is no
    memory, and what `vectors_of` raises; then all is as it was.

    >>> from populace.components import Persona
    >>> world = World()
    >>> _ = attach_embedder(world, "hashed")
    >>> ann = world.spawn(1, Persona(number=7))
    >>> _ = world.spawn(Memory(owner=ann.repeat(2), sequence=[0, 1], created=0, text=["tea", ""]))
    >>> embed(world), embed(world)
    (2, 0)
    """
    world.store.guard("embed")
    held = _attached.get(world)
    if held is None:
        raise ResourceError(
            "this world has no embedder attached; attach_embedder(world) gives it one"
        )
    component = held.law.component
    refuse_worker(world, "embed")
    with world.store.moment:
        asked, codes = _wanting(world, component, ids, replace)
        pool = world.text
    if not asked.size:
        return 0
    # Outside the moment, since an embedder may take long; inside a step it holds it anyway.
    stored, scale = held.codes(codes, pool)
    with world.store.moment:
        here = world.alive(asked)
        here[here] = world.has(asked[here], Memory)
        had = here.copy()
        had[had] = world.has(asked[had], component)
        if not replace:
            here &= ~had
        same = here.copy()
        found = world.get(asked[same], Memory.text)
        same[same] = _alike(pool, codes[same], world.text, found)  # or somebody set another
        lexicon(world.text, found)  # or whoever recalls them first would wait for it
        if replace and (had & same).any():
            world.remove(asked[had & same], component)
        if same.all():
            world.add(asked, component(vector=stored, scale=scale))
        else:
            world.add(asked[same], component(vector=stored[same], scale=scale[same]))
    return int(np.count_nonzero(same))


def _alike(pool: TextPool, codes: Array, now: TextPool, found: Array) -> npt.NDArray[np.bool_]:
    """(n,) bool: whether codes of a pool and those of the same or its successor mean the same."""
    if now is pool:
        alike: npt.NDArray[np.bool_] = codes == found
        return alike
    pairs = zip(pool.decode(codes), now.decode(found), strict=True)
    return np.fromiter((one == other for one, other in pairs), np.bool_, codes.size)


def _wanting(world: World, component: type, ids: Any, replace: bool) -> tuple[Ids, Array]:
    """(ids, text codes) of the memories to embed, each once."""
    if ids is None:
        query = world.query(Memory, without=() if replace else component)
        return query.ids(), query.gather(Memory.text)
    asked = np.sort(as_ids(ids))
    asked = asked[np.append(True, asked[1:] != asked[:-1])[: asked.size]]
    codes = world.get(asked, Memory.text)
    if not replace:
        without = ~world.has(asked, component)
        asked, codes = asked[without], codes[without]
    return asked, codes


@system(name=NAME)
def embed_memories(world: World) -> None:
    """Give every memory that has no vector one. Where the embedder itself fails, they go without,
    with an EmbedderWarning, until the next step."""
    if world not in _attached:
        return
    try:
        embed(world)
    except PopulaceError:
        raise  # not what it declared to be: no next step mends that
    except Exception as error:
        warnings.warn(
            f"memories go without vectors for now: {type(error).__name__}: {error}",
            EmbedderWarning,
            stacklevel=2,
        )
