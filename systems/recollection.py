"""Recall: the memories of agents that answer best, here and now, from the archive too if asked.

    found = recall(world, ann, "What is Klaus reading?", k=5)
    found.text, found.scores.total

Candidates are an agent's own memories that answer to the filters; the best k of them by the recall
score (`scoring`) are found, k whenever there are so many. Relevance is the overlap of words with
the query; without one it is the same for all.

Invariants: what is found depends on the memories alone, not on where they lie: a memory in the
archive scores what it would in the tables; equal scores go by sequence, older first. Looking
changes nothing, unless memories are to be revived or accessed.
Cost: 0.1 µs a candidate in the tables, and 0.3 ms; in the archive 2 µs, and reading the partitions
of its agent: 7 ms where it has 100,000 rows, 13 where it has a million (bench `archive_recall`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from populace.components import Memory, MemoryKind, Persona, Recalled, Trace
from populace.ecs import NOBODY, TextPool, World, jit
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ColumnShapeError, ColumnValueError, DuplicateEntityError

from .archive_reading import kinds_of, place_of, select
from .columns import columns
from .revival import revive as bring_back
from .scoring import RecallScore, Scores, best_places, score_candidates, weights_of
from .words import word_overlaps

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Recollection:
    """What came to mind: of agents[i] at places offsets[i] to offsets[i + 1], the best first.

    agents: (a,) u8. offsets: (a + 1,) i8. keys: (n, 2) i8, number of the agent and sequence. ids:
    (n,) u8, NOBODY for a memory that is in the archive. archived: (n,) bool, found in the archive.
    text: n strings. scores: (n,) each.
    """

    agents: Ids
    offsets: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    ids: Ids
    archived: npt.NDArray[np.bool_]
    text: list[str]
    scores: Scores

    def __len__(self) -> int:
        """How many memories came to mind."""
        return len(self.text)


def recall(
    world: World,
    agents: Any,
    query: str | Sequence[str] | None = None,
    k: int = 10,
    *,
    kinds: Any = None,
    since: int | None = None,
    until: int | None = None,
    importance: float = 0.0,
    archived: bool = False,
    revive: bool = False,
    access: bool = False,
) -> Recollection:
    """The k best memories of each of some agents.

    agents: ids, each once. query: what it is about, for all or for each of them. kinds:
    `MemoryKind`s or their names. since, until: µs, of memories formed in [since, until).
    importance: at least. archived: those in the archive compete too; revive: what is found there
    comes back (`revive`). access: all that is found counts as recalled now (`Recalled`), so that
    `reinforce` strengthens it at the next step; it does for what is to stay.

    Raises DeadEntityError, ColumnShapeError, ColumnValueError, and with `archived` what `archived`
    and `revive` raise.

    >>> from populace.components import Observed, Stream
    >>> from populace.systems import Retention, form_memories
    >>> world = World()
    >>> world.insert(Retention())
    >>> world.insert(RecallScore())
    >>> world.add_system(form_memories)
    >>> ann = world.spawn(1, Persona(number=7), Stream)
    >>> seen = ["Bo is reading", "the kettle boils", "rain"]
    >>> _ = world.emit(Observed(owner=ann.repeat(3), time=[1, 2, 3], text=seen))
    >>> world.step(1_000_000)
    >>> found = recall(world, ann, "What is Bo reading?", k=2)
    >>> found.text, found.keys.tolist()
    (['Bo is reading', 'rain'], [[7, 0], [7, 2]])
    """
    who = as_ids(agents, "agents")
    asked = _queries(who, query)
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise ColumnValueError(f"recall finds k >= 0 memories of each agent; got k={k!r}")
    if revive and not archived:
        raise ColumnValueError("recall(revive=True) brings memories back that archived=True finds")
    wanted = _Wanted(None if kinds is None else kinds_of(kinds), since, until, importance)
    pools = [world.text, TextPool()]
    parts = [_of_tables(world, who, wanted)]
    if archived:
        parts.append(_of_archive(world, who, wanted, pools[1]))
    relevance = np.concatenate(
        [_relevance(pool, asked, part) for pool, part in zip(pools, parts, strict=False)]
    )
    every = _Candidates(*(np.concatenate(same) for same in zip(*parts, strict=True)))
    order = np.argsort(every.agent, kind="stable")
    every = _Candidates(*(column[order] for column in every))
    offsets = np.searchsorted(every.agent, np.arange(who.size + 1))
    sizes = np.diff(offsets)
    three, total = np.empty(3 * order.size), np.empty(order.size)
    best = np.empty((who.size, min(k, int(sizes.max(initial=0)))), np.int64)
    best_of_each(
        offsets,
        np.int64(world.clock.now),
        every.accessed,
        every.importance,
        relevance[order],
        every.sequence,
        *weights_of(world.resource(RecallScore)),
        three,
        total,
        best,
    )
    at, counts = best[best >= 0], np.count_nonzero(best >= 0, axis=1)
    agent = every.agent[at]
    first, size = offsets[agent], sizes[agent]
    number = world.get(who, Persona.number).astype(np.int64)
    ids, cold = every.id[at], every.id[at] == NOBODY
    text = np.empty(at.size, object)
    for pool, mask in zip(pools, (~cold, cold), strict=True):
        text[mask] = pool.decode(every.text[at][mask])
    keys = np.stack([number[agent], every.sequence[at].astype(np.int64)], 1)
    if revive:
        ids[cold] = bring_back(world, keys[cold])
    if access:
        world.emit(Recalled(memory=ids[ids != NOBODY], time=world.clock.now))
    return Recollection(
        agents=who,
        offsets=np.append(0, np.cumsum(counts)),
        keys=keys,
        ids=ids,
        archived=cold,
        text=text.tolist(),
        scores=Scores(total[at], *(three[3 * first + i * size + at - first] for i in range(3))),
    )


# -- candidates ----------------------------------------------------------------------------------


class _Wanted(NamedTuple):
    """What a candidate has to answer to."""

    kinds: list[MemoryKind] | None
    since: int | None
    until: int | None
    importance: float


class _Candidates(NamedTuple):
    """Memories, (n,) each. agent: place among those asked. text: code in a pool."""

    agent: Array
    id: Array
    sequence: Array
    accessed: Array
    importance: Array
    text: Array


def _queries(who: Ids, query: str | Sequence[str] | None) -> list[str] | None:
    """What is asked of each agent. Raises ColumnShapeError, DuplicateEntityError."""
    if np.unique(who).size < who.size:
        raise DuplicateEntityError("recall takes each agent once; np.unique(ids) drops repeats")
    if query is None:
        return None
    asked = [query] * who.size if isinstance(query, str) else list(query)
    if len(asked) != who.size:
        raise ColumnShapeError(
            f"recall takes one query, or one for each of {who.size:,} agents; got {len(asked):,}"
        )
    return asked


def _of_tables(world: World, who: Ids, wanted: _Wanted) -> _Candidates:
    """Those of the agents' memories that are in the tables, and have a `Trace`."""
    held = world.index(Memory.owner).of(who, sort=False)
    agent = np.repeat(np.arange(who.size), np.diff(held.offsets))
    traced = world.has(held.ids, Trace)
    agent, ids = agent[traced], held.ids[traced]
    created, kind, sequence, text, accessed, importance = columns(
        world, ids, Memory.created, Memory.kind, Memory.sequence, Memory.text, Trace.accessed,
        Trace.importance,
    )  # fmt: skip
    fits = np.ones(ids.size, np.bool_)
    if wanted.kinds is not None:
        fits &= np.isin(kind, wanted.kinds)
    if wanted.since is not None:
        fits &= created >= wanted.since
    if wanted.until is not None:
        fits &= created < wanted.until
    if wanted.importance > 0:
        fits &= importance >= np.float32(wanted.importance)
    found = _Candidates(agent, ids, sequence, accessed, importance, text)
    return _Candidates(*(column[fits] for column in found))


def _of_archive(world: World, who: Ids, wanted: _Wanted, pool: TextPool) -> _Candidates:
    """Those that are in the archive; their texts go into a pool that is nobody's."""
    partitions, archive = place_of(world)
    rows = select(
        partitions,
        archive,
        ("agent_entity", "sequence", "accessed", "importance", "text"),
        agents=world.get(who, Persona.number),
        entities=who,
        **wanted._asdict(),
    )
    by_id = np.argsort(who)
    agent = by_id[np.searchsorted(who, rows["agent_entity"], sorter=by_id)]
    return _Candidates(
        agent,
        np.full(agent.size, NOBODY, np.uint64),
        rows["sequence"],
        rows["accessed"],
        rows["importance"],
        pool.intern(rows["text"].tolist()),
    )


def _relevance(pool: TextPool, asked: list[str] | None, found: _Candidates) -> Array:
    """(n,) f8: how far each text has the words of what its agent is asked."""
    if asked is None or not found.agent.size:
        return np.zeros(found.agent.size)
    queries = {query: place for place, query in enumerate(dict.fromkeys(asked))}
    which = np.array([queries[query] for query in asked])[found.agent]
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(len(queries) + 1))
    relevance = np.empty(order.size)
    for query, place in queries.items():
        at = order[ends[place] : ends[place + 1]]
        relevance[at] = word_overlaps(pool, query, found.text[at])
    return relevance


@jit
def best_of_each(
    offsets_a: Any,
    now: Any,
    accessed_n: Any,
    importance_n: Any,
    relevance_n: Any,
    sequence_n: Any,
    base: Any,
    w_recency: Any,
    w_importance: Any,
    w_relevance: Any,
    three_m: Any,
    total_n: Any,
    out_ak: Any,
) -> None:
    """out_ak[a] <- the places of agent a's k best candidates, best first, then -1. O(n log k).

    Candidates of agent a are places [offsets_a[a], offsets_a[a + 1]), their parts three_m[3 * begin
    : 3 * end], recency first. now: i8 µs. accessed_n: (n,) i8 µs. importance_n: (n,) f4.
    relevance_n, total_n: (n,) f8. sequence_n: (n,) u4, distinct for each agent. three_m: (3 n,) f8.
    """
    out_ak[:] = -1
    for a in range(offsets_a.size - 1):
        begin, end = offsets_a[a], offsets_a[a + 1]
        n = end - begin
        score_candidates(
            now, accessed_n[begin:end], importance_n[begin:end], relevance_n[begin:end],
            base, w_recency, w_importance, w_relevance,
            three_m[3 * begin : 3 * end].reshape(3, n), total_n[begin:end],
        )  # fmt: skip
        found = min(n, out_ak.shape[1])
        best_places(total_n[begin:end], sequence_n[begin:end], out_ak[a, :found])
        for place in range(found):
            out_ak[a, place] += begin
