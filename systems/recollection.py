"""Recall: the memories of agents that answer best, here and now, from the archive too if asked.

    found = recall(world, ann, "What is Klaus reading?", k=5)
    found.text, found.scores.total

Candidates are an agent's own memories that answer to the filters; the best k of them by the recall
score (`scoring`) are found, k whenever there are so many. Relevance to a text is that of its words
and of its meaning together (`ranking`), where memories have embeddings, else of its words; to a
vector, the cosine; without a query it is the same for all.

Invariants: what is found depends on the memories alone, not on where they lie: a memory in the
archive scores what it would in the tables; equal scores go by sequence, older first. Looking
changes nothing, unless memories are to be revived or accessed.
Cost: see bench cases `recall_own`; for one agent 50 µs and what its candidates take; in the archive
2 µs a candidate, and reading the partitions of its agent: 7 ms where it has 100,000 rows, 13 where
it has a million (bench `archive_recall`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory, Recalled
from populace.ecs import NOBODY, TextPool, World, jit
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ColumnValueError, DuplicateEntityError
from populace.ecs.planning import Plan, Planner
from populace.storage.indexed import refuse_worker

from .asking import Mode, Question, asked, check_settings
from .candidates import (
    MemoryTables,
    Wanted,
    empty_values,
    memory_tables,
    numbers_of,
    read_value,
    texts_at,
    values_at,
    wanted,
)
from .cold import with_archive
from .diversity import POOL, diverse, unit_vectors_of
from .lexicon import lexicon
from .ranking import Held, Ranked, rank, words_of
from .recall_cache import recall_cache
from .recall_html import recall_html
from .revival import revive as bring_back
from .scoring import RecallScore, Scores, law_of, weights_of

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Recollection:
    """What came to mind: of agents[i] at places offsets[i] to offsets[i + 1], the best first.

    agents: (a,) u8. offsets: (a + 1,) i8. keys: (n, 2) i8, number of the agent, -1 for one without
    `Persona`, and sequence. ids: (n,) u8, NOBODY for a memory that is in the archive. archived:
    (n,) bool, found in the archive. created: (n,) i8 µs. kind: (n,) u1 of `MemoryKind`. text: n
    strings. scores: (n,) each. plan: what was done, if that was asked for.
    """

    agents: Ids
    offsets: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    ids: Ids
    archived: npt.NDArray[np.bool_]
    created: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    text: list[str]
    scores: Scores
    plan: Plan | None = None

    def __len__(self) -> int:
        """How many memories came to mind."""
        return len(self.text)

    def __repr__(self) -> str:
        return f"<Recollection: {len(self):,} memories of {self.agents.size:,} agents>"

    def _repr_html_(self) -> str:
        title = f"What came to mind: {len(self):,} memories of {self.agents.size:,} agents"
        return recall_html(self, title)


def recall(
    world: World,
    agents: Any,
    query: str | Sequence[str] | npt.ArrayLike | None = None,
    k: int = 10,
    *,
    kinds: Any = None,
    since: int | None = None,
    until: int | None = None,
    importance: float = 0.0,
    unexpired: bool = False,
    with_: Any = (),
    without: Any = (),
    phrase: str | None = None,
    prefix: str | None = None,
    mode: Mode = "hybrid",
    law: RecallScore | None = None,
    diversity: float = 0.0,
    archived: bool = False,
    revive: bool = False,
    access: bool = False,
    explain: bool = False,
) -> Recollection:
    """The k best memories of each of some agents.

    agents: ids; one that is named twice is asked twice. query: what it is about, for all or for
    each of them: texts, or vectors of as many dimensions as the memories have, (d,) or (a, d).

    Which memories may answer: kinds: `MemoryKind`s or their names. since, until: µs, of memories
    formed in [since, until). importance: at least. unexpired: not those whose source lets them
    expire by now. with_, without: components, such as `Pinned`. phrase: words that stand side by
    side in the text; prefix: with which a word of it begins. archived: those in the archive compete
    too; each agent is then named once.

    How they are ranked: mode: by "words" or "vectors" alone, or by both. law: weights other than
    the world's `RecallScore`, such as `SMALLVILLE`. diversity: in [0, 1], how much an answer is
    kept from resembling those before it (`diversity`).

    What follows: revive: what is found in the archive comes back (`revive`). access: all that is
    found counts as recalled now (`Recalled`), so that `reinforce` strengthens it at the next step;
    it does for what is to stay. explain: the result tells what was done, as `plan`.

    Raises DeadEntityError; ColumnValueError for a k below 1, an empty text, a vector that is not
    finite; ColumnShapeError for another number of queries or dimensions; ColumnTypeError for what
    is no query or no law; ResourceError where there are no embeddings to compare with;
    DuplicateEntityError with `archived`, and what `archived` and `revive` raise. An agent without
    memories finds none.

    >>> from populace.components import Observed, Persona, Stream
    >>> from populace.systems import Retention, form_memories
    >>> world = World()
    >>> world.insert(Retention())
    >>> world.add_system(form_memories)
    >>> ann = world.spawn(1, Persona(number=7), Stream)
    >>> seen = ["Bo is reading", "the kettle boils", "rain"]
    >>> _ = world.emit(Observed(owner=ann.repeat(3), time=[1, 2, 3], text=seen))
    >>> world.step(1_000_000)
    >>> found = recall(world, ann, "What does Bo read?", k=2)
    >>> found.text, found.keys.tolist()
    (['Bo is reading', 'rain'], [[7, 0], [7, 2]])
    """
    done = world.telemetry.stopwatch("recall")
    planner = Planner(explain)
    filters = wanted(
        kinds=kinds, since=since, until=until, importance=importance, unexpired=unexpired,
        with_=with_, without=without, phrase=phrase, prefix=prefix,
    )  # fmt: skip
    k = check_settings(k, diversity, law)
    if revive and not archived:
        raise ColumnValueError("recall(revive=True) brings memories back that archived=True finds")
    who = as_ids(agents, "agents").copy()  # they are part of what is found
    if archived and np.unique(who).size < who.size:
        raise DuplicateEntityError(
            "recall(archived=True) takes each agent once; np.unique(ids) drops repeats"
        )
    used = law or law_of(world)
    question = asked(world, query, who.size, mode)  # an embedder may take long
    refuse_worker(world, "recall")
    with world.store.moment:
        held = Held(*world.index(Memory.owner).rows_of(who))
        planner.done("question, owner slice", held.table_m.size)
        cache = recall_cache(world)
        key = None if archived else question.keyed("own", who, k, filters, used, diversity)
        kept = cache.get(world, key)
        if kept is not None:
            planner.done("cache", len(kept[0]))
            found: Recollection = replace(kept[0], text=[*kept[1]], plan=planner.plan("cache"))
        else:
            found = _found(
                world, who, held, question, k, filters, used, diversity, archived, planner
            )
            cache.keep(key, found)
        if revive:
            cold = found.archived
            found.ids[cold] = bring_back(world, found.keys[cold])
        if access:
            world.emit(Recalled(memory=found.ids[found.ids != NOBODY], time=world.clock.now))
        done()
    return found


# -- finding -------------------------------------------------------------------------------------


def _found(
    world: World,
    who: Ids,
    held: Held,
    question: Question,
    k: int,
    filters: Wanted,
    law: RecallScore,
    diversity: float,
    archived: bool,
    planner: Planner,
) -> Recollection:
    """What comes to mind, found anew."""
    where = memory_tables(world, filters, question.component)
    by_words = question.by_words and bool(question.texts)
    pool = world.text
    if by_words or filters.words is not None or archived:
        text_m = np.empty(held.table_m.size, np.uint32)
        texts_at(held.table_m, held.row_m, where.address_tc, text_m)
        held = held._replace(text_m=text_m)
    if archived:
        both = with_archive(world, who, filters, held, where, question.component)
        held, where, pool = both.held, both.where, both.pool
        planner.done("archive", held.table_m.size)
    known = lexicon(pool, held.text_m)
    if filters.words is not None:
        held = held._replace(pass_m=filters.words.mask(known, held.text_m))
        planner.done("phrase, prefix", held.pass_m)
    most = k if not diversity else k * POOL
    ranked = rank(
        held, where, filters, weights_of(law), world.clock.now, most, question.query_n,
        question.vectors, question.vector_type,
        words_of(known, [known.ask(text) for text in question.texts]) if by_words else None,
        world.threads,
    )  # fmt: skip
    planner.done("filters, score, best", ranked.count_a)
    if diversity:
        ranked = _diversified(world, held, where, pool, question, k, law, diversity, ranked)
        planner.done("diversity", ranked.place_ak >= 0)
    return _answer(world, who, held, where, pool, ranked, planner)


def _answer(
    world: World,
    who: Ids,
    held: Held,
    where: MemoryTables,
    pool: TextPool,
    ranked: Ranked,
    planner: Planner,
) -> Recollection:
    """What was ranked best, as what is told."""
    n = int(np.minimum(ranked.count_a, ranked.place_ak.shape[1]).sum())
    offsets, keys, score_4n = (
        np.empty(who.size + 1, np.int64),
        np.empty((n, 2), np.int64),
        np.empty((4, n)),
    )
    told = empty_values(n)
    tell(
        ranked.place_ak, ranked.part_ak4, held.table_m, held.row_m, held.text_m, where.address_tc,
        numbers_of(world, who), offsets, keys, score_4n, *told,
    )  # fmt: skip
    text = pool.decode(told.text)
    planner.done("answer", n)
    return Recollection(
        agents=who,
        offsets=offsets,
        keys=keys,
        ids=told.id,
        archived=told.id == NOBODY,
        created=told.created,
        kind=told.kind,
        text=text,
        scores=Scores(*score_4n),
        plan=planner.plan("owner slice"),
    )


@jit
def tell(
    place_ak: Any,
    part_ak4: Any,
    table_m: Any,
    row_m: Any,
    text_m: Any,
    address_tc: Any,
    number_a: Any,
    offsets_a: Any,
    key_n2: Any,
    score_4n: Any,
    id_n: Any,
    sequence_n: Any,
    text_n: Any,
    created_n: Any,
    kind_n: Any,
) -> None:
    """What is told of those that were ranked: of agent a from place offsets_a[a] on. O(a k)."""
    n = 0
    for a in range(place_ak.shape[0]):
        offsets_a[a] = n
        for k in range(place_ak.shape[1]):
            place = place_ak[a, k]
            if place < 0:
                break
            read_value(
                table_m[place], np.int64(row_m[place]), address_tc, n,
                id_n, sequence_n, text_n, created_n, kind_n,
            )  # fmt: skip
            if text_m.size:
                text_n[n] = text_m[place]
            key_n2[n, 0], key_n2[n, 1] = number_a[a], sequence_n[n]
            for part in range(4):
                score_4n[part, n] = part_ak4[a, k, part]
            n += 1
    offsets_a[place_ak.shape[0]] = n


def _diversified(
    world: World,
    held: Held,
    where: MemoryTables,
    pool: TextPool,
    question: Question,
    k: int,
    law: RecallScore,
    diversity: float,
    ranked: Ranked,
) -> Ranked:
    """Of the best of each agent, those that are good and unlike each other."""
    best = ranked.place_ak >= 0
    place = ranked.place_ak[best]
    offsets = np.append(0, np.cumsum(np.count_nonzero(best, axis=1)))
    table, row = held.table_m[place], held.row_m[place]
    text = held.text_m[place] if held.text_m.size else values_at(table, row, where.address_tc).text
    vectors = unit_vectors_of(
        table, row, where.address_tc, question.component, lambda: pool.decode(text)
    )
    weights = sum(weights_of(law)[1:]) or 1.0
    parts = ranked.part_ak4[best]
    k = min(k, ranked.place_ak.shape[1])
    taken = diverse(parts[:, 0] / weights, vectors, offsets, k, diversity)
    there = taken >= 0
    place_ak, part_ak4 = np.full(taken.shape, -1), np.zeros((*taken.shape, 4))
    place_ak[there], part_ak4[there] = place[taken[there]], parts[taken[there]]
    return Ranked(place_ak, part_ak4, ranked.count_a)
