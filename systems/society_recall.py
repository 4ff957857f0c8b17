"""Who remembers the fire? The memories of a whole society, or of some of it, that answer best.

    found = who_remembers(world, "the fire at the cafe", k=20)
    found.text, found.owners

Ranked is by relevance alone, unless a `RecallScore` is given: words and meaning are fused as for
one agent (`ranking`), over all candidates. Up to some ten thousand candidates, with a `RecallScore`
and if asked to be exact, each of them is compared. Otherwise the best by meaning are those that the
vector index finds (`populace.storage.vectors`), the best by words those of the postings, each at
least a hundred; these are compared exactly, and ranked.

Invariants: who is found is alive and answers to the filters, which come first; k are found whenever
so many qualify; equal ones go by the agent's number and the sequence. Found exactly, it is a
function of the world. Found by the index, it may miss some of the best, and what it misses depends
on when the index was built: a system whose results are to be the same in every run asks to be
exact.
Cost: see bench cases `recall_society`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory, Recalled
from populace.ecs import World, jit
from populace.ecs.entities import Ids, as_ids, index_of
from populace.ecs.planning import Plan, Planner
from populace.storage.indexed import refuse_worker
from populace.storage.vectors import vector_index

from .asking import Mode, Question, asked_once, check_settings
from .candidates import Wanted, numbers_of, order_of, read_candidates, values_at, wanted
from .diversity import POOL, diverse, unit_vectors_of
from .lexicon import lexicon
from .postings import Matches, postings
from .ranking import FINE, NO_VECTORS, Held, cosines_of, deviation, fuse, rank, words_of
from .recall_cache import recall_cache
from .recall_html import recall_html
from .scoring import RecallScore, Scores, law_of, recall_scores, weights_of
from .society_rows import SocietyRows, society_rows

Array = npt.NDArray[Any]

EXACT_BELOW = 20_000
"""Candidates that are all compared: no index saves anything worth its misses."""
FEWEST = 100
SAMPLE = 1_024
EACH = 1_024
"""Memories of one text that are looked at: more that say the same are as good."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Remembered:
    """Who remembers what, the best first; (n,) each.

    owners: u8, whose memory it is. ids: u8. keys: (n, 2) i8, number of the owner and sequence.
    created: i8 µs. kind: u1 of `MemoryKind`. text: strings. scores: stretched over the candidates
    that were compared. plan: what was done, if that was asked for.
    """

    owners: Ids
    ids: Ids
    keys: npt.NDArray[np.int64]
    created: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    text: list[str]
    scores: Scores
    plan: Plan | None = None

    def __len__(self) -> int:
        """How many memories were found."""
        return len(self.text)

    def __repr__(self) -> str:
        return f"<Remembered: {len(self):,} memories>"

    def _repr_html_(self) -> str:
        return recall_html(self, f"Who remembers: {len(self):,} memories")


def who_remembers(
    world: World,
    query: Any,
    k: int = 10,
    *,
    agents: Any = None,
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
    exact: bool = False,
    access: bool = False,
    explain: bool = False,
) -> Remembered:
    """The k memories of all agents, or of some, that answer best.

    query: a text, or a vector (d,). agents: ids whose memories may answer; None for everybody's.
    The filters, mode, diversity, access and explain are those of `recall`. law: ranks by recency
    and importance too, as `recall` does. exact: each candidate is compared, however many there are.

    Raises DeadEntityError; ColumnValueError for no query, an empty text, a k below 1, a vector that
    is not finite; ColumnShapeError for another number of dimensions; ResourceError where there are
    no embeddings to compare a vector with.

    >>> from populace.components import Observed, Persona, Stream
    >>> from populace.systems import Retention, form_memories
    >>> world = World()
    >>> world.insert(Retention())
    >>> world.add_system(form_memories)
    >>> people = world.spawn(2, Persona(number=[7, 8]), Stream)
    >>> seen = ["the kettle boils", "the cafe is on fire"]
    >>> _ = world.emit(Observed(owner=people, time=[1, 2], text=seen))
    >>> world.step(1_000_000)
    >>> found = who_remembers(world, "fire at the cafe", k=1)
    >>> found.text, found.keys.tolist()
    (['the cafe is on fire'], [[8, 0]])
    """
    done = world.telemetry.stopwatch("who_remembers")
    planner = Planner(explain)
    filters = wanted(
        kinds=kinds, since=since, until=until, importance=importance, unexpired=unexpired,
        with_=with_, without=without, phrase=phrase, prefix=prefix,
    )  # fmt: skip
    k = check_settings(k, diversity, law)
    who = None if agents is None else np.unique(as_ids(agents, "agents"))
    question = asked_once(world, query, mode)  # an embedder may take long
    refuse_worker(world, "who_remembers")
    with world.store.moment:
        ranks = law or replace(law_of(world), w_recency=0.0, w_importance=0.0, w_relevance=1.0)
        compare_all = bool(exact) or law is not None
        planner.done("question", 1)
        cache = recall_cache(world)
        key = question.keyed("all", who, k, filters, ranks, diversity, compare_all)
        kept = cache.get(world, key)
        if kept is not None:
            planner.done("cache", len(kept[0]))
            found: Remembered = replace(kept[0], text=[*kept[1]], plan=planner.plan("cache"))
        else:
            rows = society_rows(world, who, filters, question.component)
            planner.done("filters", rows.n)
            search = _Search(world, rows, question, k, filters, ranks, diversity, planner)
            found = search.found(compare_all)
            cache.keep(key, found)
        if access:
            world.emit(Recalled(memory=found.ids, time=world.clock.now))
        done()
    return found


@dataclass(slots=True)
class _Search:
    """One search: what all its stages know."""

    world: World
    rows: SocietyRows
    question: Question
    k: int
    filters: Wanted
    law: RecallScore
    diversity: float
    planner: Planner

    def found(self, exact: bool) -> Remembered:
        """By the way that suits."""
        most = self.k * (POOL if self.diversity else 1)
        if exact or self.rows.n <= max(EXACT_BELOW, 4 * most):
            way = "exact filtered" if self.rows.some else "exact scan"
            return self._answer(way, *self._all(most))
        way, table, row, scores = self._some(most)
        return self._answer(way, table, row, scores)

    # -- every candidate -------------------------------------------------------------------------

    def _all(self, most: int) -> tuple[Array, Array, Scores]:
        """The best of all candidates, compared one by one, as those of one agent."""
        world, rows, question = self.world, self.rows, self.question
        table, row = rows.places(np.arange(rows.n))
        held = Held(np.array([0, rows.n]), table, row, tie_m=rows.keys)
        words = None
        if question.by_words:
            held = held._replace(text_m=rows.texts)
            known = lexicon(world.text, rows.distinct_texts)
            words = words_of(known, [known.ask(text) for text in question.texts])
        ranked = rank(
            held, rows.where, Wanted(), weights_of(self.law), world.clock.now, most,
            question.query_n, question.vectors, question.vector_type, words,
        )  # fmt: skip
        place, parts = ranked.place_ak[0], ranked.part_ak4[0]
        self.planner.done("score, best", ranked.count_a)
        return table[place], row[place], Scores(*parts.T.copy())

    # -- those that indices find -----------------------------------------------------------------

    def _some(self, most: int) -> tuple[str, Array, Array, Scores]:
        """The best of those that are near by meaning or by words."""
        world, rows, question = self.world, self.rows, self.question
        size = max(FEWEST, 4 * most)
        pool, way, matches = [np.empty(0, np.uint64)], "postings", None
        if question.component is not None and question.vectors is not None:
            index = vector_index(world, question.component)
            nearest = index.nearest(question.vectors, size, allowed=rows.allowed(index))
            stages = nearest.stages
            way = {"flat": "exact scan", "gathered": "exact filtered", "inverted": "inverted file"}[
                stages.way
            ]
            self.planner.details |= {"probes": stages.probes, "compared": stages.compared}
            self.planner.done(f"nearest, {stages.way}", nearest.ids.size)
            pool.append(nearest.ids)
        if question.by_words:
            matches = postings(world.text, rows.distinct_texts).score(
                question.texts[0], rows.counts, (rows.n, rows.total_length)
            )
            self.planner.done("postings", matches.codes.size)
            best = rows.with_texts(_best_texts(matches, size), max(most, EACH))
            pool.append(rows.ids_at(best))
            self.planner.done("best by words", pool[-1].size)
        ids, sample = np.unique(np.concatenate(pool)), None
        if len(pool) > 2 or ids.size < most:
            n = min(rows.n, max(SAMPLE, most))
            sample = rows.ids_at(np.arange(n) * rows.n // n)
            ids = np.union1d(ids, sample)  # k are found, however few are near
        table, row = world.store.entities.places_of(index_of(ids))
        if len(pool) < 3:
            sample = None
        scores, order = self._ranked(table, row, matches, sample, ids)
        best = order[:most]
        self.planner.done("compared, best", best.size)
        return way, table[best], row[best], Scores(*(part[best] for part in _parts(scores)))

    def _ranked(
        self, table: Array, row: Array, matches: Matches | None, sample: Ids | None, ids: Ids
    ) -> tuple[Scores, Array]:
        """Scores of the candidates at some places, and their order."""
        world, question, n = self.world, self.question, table.size
        cosine, accessed, importance = np.zeros(n), np.empty(n, np.int64), np.empty(n, np.float32)
        vectors, dtype = question.vectors, question.vector_type
        asked_of = vectors if vectors is not None else NO_VECTORS
        read_pool(
            table, row, self.rows.where.address_tc, 0 if dtype is None else dtype.itemsize,
            asked_of.unit_qd[0], asked_of.whole_qd[0], asked_of.step_q[0],
            accessed, importance, cosine,
        )  # fmt: skip
        told = values_at(table, row, self.rows.where.address_tc)
        relevance = cosine
        if matches is not None:
            place = np.searchsorted(matches.codes, told.text)
            place[place == matches.codes.size] = 0
            known = matches.codes[place] == told.text if matches.codes.size else np.zeros(n, bool)
            word = np.zeros(n)
            word[known] = matches.scores[place[known]]
            relevance = word
            if sample is not None:
                here = cosine[np.searchsorted(ids, sample)]
                relevance = np.empty(n)
                fuse(
                    cosine, word, deviation(here),
                    word_deviation(matches.scores, matches.codes, self.rows.counts, self.rows.n),
                    relevance,
                )  # fmt: skip
        scores = recall_scores(self.law, world.clock.now, accessed, importance, relevance)
        order = order_of(world, world.get(told.id, Memory.owner), told.sequence)
        return scores, np.lexsort((told.id, order, -scores.total))

    # -- the answer ------------------------------------------------------------------------------

    def _answer(self, way: str, table: Array, row: Array, scores: Scores) -> Remembered:
        world, address_tc = self.world, self.rows.where.address_tc
        told = values_at(table, row, address_tc)
        if self.diversity:
            texts = told.text
            vectors = unit_vectors_of(
                table, row, address_tc, self.question.component, lambda: world.text.decode(texts)
            )
            weights = sum(weights_of(self.law)[1:]) or 1.0
            offsets, k = np.array([0, table.size]), min(self.k, table.size)
            taken = diverse(scores.total / weights, vectors, offsets, k, self.diversity)[0]
            taken = taken[taken >= 0]
            told = type(told)(*(column[taken] for column in told))
            scores = Scores(*(part[taken] for part in _parts(scores)))
            self.planner.done("diversity", taken.size)
        owners = world.get(told.id, Memory.owner)
        number = numbers_of(world, owners)
        text = world.text.decode(told.text)
        self.planner.done("answer", len(text))
        return Remembered(
            owners=owners,
            ids=told.id,
            keys=np.stack([number, told.sequence], 1),
            created=told.created,
            kind=told.kind,
            text=text,
            scores=scores,
            plan=self.planner.plan(way),
        )


def _parts(scores: Scores) -> tuple[Array, ...]:
    return scores.total, scores.recency, scores.importance, scores.relevance


def _best_texts(matches: Matches, size: int) -> npt.NDArray[np.uint32]:
    """The texts of the highest scores, `size` of them; equal ones by code."""
    if matches.codes.size <= size:
        return matches.codes
    least = np.partition(matches.scores, matches.scores.size - size)[-size]
    above, equal = matches.scores > least, np.flatnonzero(matches.scores == least)
    codes = matches.codes[above]
    return np.append(codes, matches.codes[equal[: size - codes.size]])


@jit
def word_deviation(score_m: Any, code_m: Any, count_c: Any, n: Any) -> Any:
    """The standard deviation of the word scores of n candidates, as `deviation` has it, f8. O(m).

    score_m, code_m: (m,) f8 and u4, of the texts that match. count_c: (codes,) i8, how many
    candidates have each; the others have score 0.
    """
    peak = 0.0
    for m in range(score_m.size):
        peak = max(peak, score_m[m])
    if not peak > 0:
        return 0.0
    total, squares = np.int64(0), np.int64(0)
    for m in range(score_m.size):
        steps = np.int64(np.rint(score_m[m] * (FINE / peak)))
        total += steps * count_c[code_m[m]]
        squares += steps * steps * count_c[code_m[m]]
    mean = total / np.float64(n)
    return np.sqrt(max(squares / np.float64(n) - mean * mean, 0.0)) * (peak / FINE)


@jit
def read_pool(
    table_m: Any,
    row_m: Any,
    address_tc: Any,
    size: Any,
    unit_d: Any,
    whole_d: Any,
    step: Any,
    accessed_m: Any,
    importance_m: Any,
    cosine_m: Any,
) -> None:
    """What ranking needs of candidates. table_m, row_m: (m,) u4. size: bytes of a vector's value, 0
    for no cosines. accessed_m: i8. importance_m: f4. cosine_m: f8. O(m d)."""
    m = row_m.size
    vector_m, scale_m = np.empty(m, np.int64), np.empty(m, np.float32)
    read_candidates(
        np.arange(m), table_m, row_m, address_tc, size * unit_d.size,
        accessed_m, importance_m, np.empty(m, np.uint64), vector_m, scale_m,
    )  # fmt: skip
    if size:
        cosines_of(
            vector_m, scale_m, size, unit_d, whole_d, step,
            np.empty(m, np.int64), np.empty(m), cosine_m,
        )  # fmt: skip
