"""What becomes of memories: near-duplicates merged, thoughts drawn, the best of them recalled."""

from __future__ import annotations

from functools import partial

import numpy as np

from populace import World, days, hours
from populace.components import Memory, MemoryKind, Observed, Persona, Recalled, Stream, Trace
from populace.components.consolidation import Reviewed
from populace.components.reflection import LONG_AGO, Evidence, Reflection, Unreflected
from populace.ecs import Vector, component
from populace.systems.consolidation import Consolidated, Consolidation, consolidate, consolidation
from populace.systems.reflection import Reflected, Reflecting, reflect
from populace.systems.retention import Retention
from populace.systems.scoring import RecallScore, recall_scores

from . import bare_laws as bare
from .cases_minds import DAY_S, MEMORIES
from .harness import FULL, Contest, Run, case
from .parts import tell

AREA = "recall"

NOW = days(20_000)
NEW, REPEATED = 100, 70  # memories of each owner a day, and those that say what an old one says
TEXTS, STRIDE = 20_000, 7
WIDTH = 256
SUBJECTS = "tea bread rain book desk paper party music garden school river market train".split()


@component
class Meaning:
    """The embedding of a memory."""

    vector: Vector[WIDTH]


class Minds:
    """Owners with MEMORIES memories each of the last month, all of different texts."""

    def __init__(self, n_owners: int) -> None:
        self.world = World(seed=1)
        for settings in (Retention(), Consolidation(), Reflecting(threshold=1.0), RecallScore()):
            self.world.insert(settings)
        self.world.clock.now = NOW
        n = n_owners * MEMORIES
        draw = np.random.default_rng(1)
        m = len(SUBJECTS)
        said = [
            f"{SUBJECTS[i % m]} is near the {SUBJECTS[i // m % m]} of {SUBJECTS[i // m**2 % m]} {i}"
            for i in range(TEXTS + NEW)
        ]
        self.codes = self.world.text.intern(said)
        self.owners = self.world.spawn(
            n_owners,
            Persona(number=np.arange(n_owners), name=[f"Agent {i}" for i in range(n_owners)]),
            Stream(formed=MEMORIES),
        )
        self.text = (np.arange(n_owners)[:, None] * 37 + np.arange(MEMORIES) * STRIDE) % TEXTS
        self.importance = draw.uniform(0.5, 0.9, n).astype(np.float32)
        self.accessed = NOW - draw.integers(days(1), days(29), n)
        self.memories = self.world.spawn(
            n,
            Memory(
                owner=np.repeat(self.owners, MEMORIES),
                sequence=np.tile(np.arange(MEMORIES), n_owners),
                created=self.accessed,
                text=self.codes[self.text.reshape(-1)],
            ),
            Trace(importance=self.importance, stability=60 * DAY_S, accessed=self.accessed),
        )

    def restore(self) -> None:
        """What memories were at the outset."""
        self.world.set(
            self.memories, Trace(importance=self.importance, accessed=self.accessed, accesses=1)
        )


@case("consolidate", sizes=FULL, bytes_each=500)
def consolidate_text(n: int) -> Contest:
    """Owners of 1,000 old memories each, n in all, and 100 new ones, of which 70 repeat an old
    text; bound: a bare hash table of each owner's texts, and the importances merged."""
    minds = Minds(n // MEMORIES)
    world, owners, n_owners = minds.world, minds.owners, n // MEMORIES
    run, told = consolidate.bind(world), world.events(Consolidated)
    run.run(None)  # the old ones are compared beforehand
    draw = np.random.default_rng(2)
    text = np.empty((n_owners, NEW), np.int64)
    text[:, REPEATED:] = TEXTS + np.arange(NEW - REPEATED)
    picked = draw.integers(0, MEMORIES, (n_owners, REPEATED))
    text[:, :REPEATED] = np.take_along_axis(minds.text, picked, axis=1)
    texts = np.concatenate([minds.text, text], axis=1).astype(np.uint32)
    values = np.full(texts.shape, 0.01, np.float32)
    gone, place = np.zeros(texts.shape, np.bool_), np.zeros(4096, np.int32)
    formed, new = MEMORIES, np.empty(0, np.uint64)

    def renew() -> None:
        nonlocal formed, new
        told.read()
        minds.restore()
        world.despawn(new[world.alive(new)])
        new = world.spawn(
            NEW * n_owners,
            Memory(
                owner=np.repeat(owners, NEW),
                sequence=np.tile(formed + np.arange(NEW), n_owners),
                created=NOW,
                text=minds.codes[text.reshape(-1)],
            ),
            Trace(importance=0.01, stability=60 * DAY_S, accessed=NOW),
        )
        formed += NEW
        world.set(owners, Stream(formed=formed))

    def renew_bare() -> None:
        values[:, :MEMORIES] = minds.importance.reshape(n_owners, MEMORIES)

    def by_hand() -> None:
        bare.merge_texts(texts, values, place, gone)

    def verify() -> None:
        renew()
        renew_bare()
        run.run(None)
        by_hand()
        for queue in world.event_queues.held.values():
            queue.end_step()
        assert told.read().count.tolist() == [REPEATED * n_owners] == [gone.sum()]
        kept = world.get(minds.memories, Trace.importance)
        assert np.allclose(kept, values[:, :MEMORIES].reshape(-1), atol=1e-5)

    subject = Run(partial(run.run, None), renew)
    contest = {"consolidate": subject}
    return Contest(contest, Run(by_hand, renew_bare), verify, rows=texts.size)


@case("consolidate", sizes=(MEMORIES,), unit="memory", bytes_each=200_000)
def consolidate_vectors(n: int) -> Contest:
    """All of n new memories of one owner, compared by vectors of 256 numbers, none like another;
    bound: a bare loop over the pairs, whose sums may be in any order."""
    minds = Minds(1)
    world, law = minds.world, Consolidation()
    vectors = np.random.default_rng(2).normal(size=(n, WIDTH)).astype(np.float32)
    world.add(minds.memories, Meaning(vector=vectors))
    run = consolidation(Meaning.vector).bind(world)

    def renew() -> None:
        if world.has(minds.owners, Reviewed).all():
            world.remove(minds.owners, Reviewed)

    def by_hand() -> int:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        counted: int = bare.count_alike(unit, np.float32(law.tau))
        return counted

    def verify() -> None:
        renew()
        run.run(None)
        assert world.query(Memory).count() == n
        assert by_hand() == 0 == np.count_nonzero(np.triu(np.corrcoef(vectors), 1) > 0.9)
        assert (world.get(minds.owners, Reviewed.formed) == n).all()

    return Contest({"consolidate": Run(partial(run.run, None), renew)}, Run(by_hand), verify)


@case("reflect", sizes=(MEMORIES, 100 * MEMORIES), unit="memory", bytes_each=2_000)
def reflect_all(n: int) -> Contest:
    """Owners of 1,000 memories each, n in all, reflect: each on three focal points, by words, with
    the template writer; bound: numpy scores three times 1,000 candidates of each and picks the best
    30, the relevances being there."""
    minds = Minds(n // MEMORIES)
    world, owners, n_owners = minds.world, minds.owners, n // MEMORIES
    run = reflect.bind(world)
    told, recalled = world.events(Reflected), world.events(Recalled)
    score, law = RecallScore(), Reflecting()
    relevance = np.random.default_rng(2).random((law.focal_points, MEMORIES))

    def renew() -> None:
        told.read()
        recalled.read()
        minds.restore()
        world.query(Reflection).despawn()
        world.set(owners, Stream(formed=MEMORIES))
        known = owners[world.has(owners, Unreflected)]
        world.set(known, Unreflected(importance=0, since=LONG_AGO, seen=LONG_AGO))
        tell(world, Observed(owner=owners, time=NOW, text="the bell has rung", importance=1.0))

    def by_hand() -> None:
        for o in range(n_owners):
            mine = slice(o * MEMORIES, (o + 1) * MEMORIES)
            for match in relevance:
                total = by_numpy(score, NOW, minds.accessed[mine], minds.importance[mine], match)
                np.argpartition(total, MEMORIES - law.memories)

    def verify() -> None:
        renew()
        run.run(None)
        reflected = told.read()
        assert np.array_equal(np.sort(reflected.agent), np.sort(owners))
        thoughts = world.query(Memory).gather(Memory.kind) == MemoryKind.THOUGHT
        assert np.count_nonzero(thoughts) == reflected.insights.sum() >= n_owners
        assert len(recalled.read()) >= law.memories * n_owners
        assert world.query(Evidence).count() >= n_owners

    return Contest({"reflect": Run(partial(run.run, None), renew)}, Run(by_hand), verify)


def by_numpy(
    law: RecallScore, now: int, accessed: np.ndarray, importance: np.ndarray, relevance: np.ndarray
) -> np.ndarray:
    """The recall scores of candidates."""
    total = np.zeros(accessed.size)
    recency = law.base ** ((now - accessed) / hours(1))
    weights = law.w_recency, law.w_importance, law.w_relevance
    for weight, part in zip(weights, (recency, importance, relevance), strict=True):
        low = part.min()
        total += weight * (part - low) / (part.max() - low)
    return total


@case("recall_scores", sizes=(MEMORIES, 100 * MEMORIES), unit="candidate", bytes_each=1_500)
def recall_scores_all(n: int) -> Contest:
    """Scores of n candidates by recency, importance and relevance; bound: the same by numpy, column
    by column, without the parts."""
    draw = np.random.default_rng(1)
    law = RecallScore()
    accessed = NOW - draw.integers(0, days(30), n)
    columns = accessed, draw.random(n).astype(np.float32), draw.random(n)

    def verify() -> None:
        expected = by_numpy(law, NOW, *columns)
        assert np.allclose(recall_scores(law, NOW, *columns).total, expected, atol=1e-6)

    ours, theirs = partial(recall_scores, law, NOW), partial(by_numpy, law, NOW)
    subject = Run(partial(ours, *columns))
    return Contest({"recall_scores": subject}, Run(partial(theirs, *columns)), verify)
