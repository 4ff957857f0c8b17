"""Recall in plain Python, one memory at a time; and worlds that hold the memories it is told of."""

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from populace.components import NEVER, Memory, Persona, Statement, Stream, Trace
from populace.ecs import World, component, days, hours
from populace.storage.dots import encode, queries
from populace.systems import RecallScore, Reinforcement, Retention
from populace.systems.bm25 import K1, B
from populace.systems.embedders import CallableEmbedder
from populace.systems.embedding import attach_embedder, embed

from . import naive_scoring, naive_words

NOW = days(19_500)
AGENTS = 3
DIMENSIONS = 5
SAID = ["tea with Ann", "rain", "Ann reads", "the tea is cold", "", "a red red rose", "Ann, rain"]


@component
class Starred:
    """A tag of the user's own."""


@dataclass(frozen=True, slots=True)
class Told:
    """One memory. starred, stated, meant: whether it has the tag, a `Statement`, a vector."""

    agent: int = 0
    sequence: int = 0
    age_h: int = 5
    idle_h: int = 5
    kind: int = 0
    text: str = "rain"
    importance: float = 0.5
    expires_h: int | None = None
    starred: bool = False
    stated: bool = False
    meant: bool = True
    away: bool = False

    @property
    def created(self):
        return NOW - hours(self.age_h)

    @property
    def accessed(self):
        return NOW - hours(min(self.age_h, self.idle_h))

    @property
    def expires(self):
        return NEVER if self.expires_h is None else NOW + hours(self.expires_h)


def numbered(memories):
    """The same, numbered within each agent."""
    formed = dict.fromkeys(range(AGENTS), -1)
    made = []
    for each in memories:
        formed[each.agent] += 1
        made.append(replace(each, sequence=formed[each.agent]))
    return made


# -- worlds --------------------------------------------------------------------------------------


def meaning(texts):
    """What an embedder of few dimensions makes of texts; zeros for ""."""
    return np.array(
        [np.random.default_rng(crc32(t.encode())).normal(size=DIMENSIONS) * bool(t) for t in texts]
    )


MEANING = CallableEmbedder(meaning, "meaning", DIMENSIONS)


def world_of(memories, dtype=None, order=None, **options):
    """(world, agents, ids of the memories): numbers of agents are 10, 11, ...

    dtype: of the vectors; None for none. order: of spawning, one at a time; without it at once.
    """
    world = World(**options)
    world.clock.now = NOW
    for law in (RecallScore(base=0.99), Retention(), Reinforcement()):
        world.insert(law)
    people = world.spawn(AGENTS, Persona(number=np.arange(AGENTS) + 10), Stream)
    ids = np.zeros(len(memories), np.uint64)
    tables = {}
    for place, each in enumerate(memories):
        tables.setdefault((each.starred, each.stated), []).append(place)
    batches = tables.values() if order is None else [[place] for place in order]
    for batch in batches:
        ids[batch] = spawn(world, people, [memories[place] for place in batch])
    if dtype is not None:
        attach_embedder(world, MEANING, dtype=dtype, embedding=False)
        embed(world, ids[[place for place, each in enumerate(memories) if each.meant]])
    return world, people, ids


def spawn(world, people, memories):
    """Memories of one table."""
    column = {name: [getattr(each, name) for each in memories] for name in (
        "agent", "sequence", "created", "kind", "text", "importance", "accessed", "expires"
    )}  # fmt: skip
    extras = [Starred] * memories[0].starred
    if memories[0].stated:
        extras.append(Statement(expires=column["expires"]))
    return world.spawn(
        len(memories),
        Memory(
            owner=people[column["agent"]],
            sequence=column["sequence"],
            created=column["created"],
            kind=column["kind"],
            text=column["text"],
        ),
        Trace(
            importance=column["importance"], stability=3600.0, accessed=column["accessed"]
        ),
        *extras,
    )  # fmt: skip


# -- the twin ------------------------------------------------------------------------------------


def answers(
    memory, *, kinds=None, since=None, until=None, importance=0.0, unexpired=False, with_=(),
    without=(), phrase=None, prefix=None, archived=False,
):  # fmt: skip
    """Whether a memory may answer at all."""
    has = {Starred: memory.starred, Statement: memory.stated}
    return (
        (archived or not memory.away)
        and (kinds is None or memory.kind in kinds)
        and (since is None or memory.created >= since)
        and (until is None or memory.created < until)
        and np.float32(memory.importance) >= np.float32(importance)
        and not (unexpired and memory.stated and memory.expires <= NOW)
        and all(has[cls] for cls in with_)
        and not any(has[cls] for cls in without)
        and naive_words.passes(memory.text, phrase, prefix)
    )


def deviation(values):
    """Of values cut into 2^15 steps of the largest."""
    peak = max(map(abs, values), default=0)
    if not peak:
        return 0.0
    steps = [round(value * (2**15 / peak)) for value in values]
    mean = sum(steps) / len(steps)
    return max(sum(s * s for s in steps) / len(steps) - mean * mean, 0) ** 0.5 * (peak / 2**15)


SAME = 0.002


def fused(cosines, words):
    """The sum of both in standard deviations; one that has none drops out. All alike where they
    differ by less than the deviations are sure of."""
    parts = [(values, deviation(values)) for values in (cosines, words)]
    found = [
        sum(values[place] / deviates for values, deviates in parts if deviates)
        for place in range(len(words))
    ]
    alike = max(found) - min(found) < SAME
    return [min(found)] * len(found) if alike else found


def relevance(query, memories, dtype, mode):
    """Of each of some memories: to a text, to a vector, or to nothing."""
    if query is None:
        return [0.0] * len(memories)
    text = query if isinstance(query, str) else None
    words = naive_words.bm25(text, [m.text for m in memories], K1, B) if text else None
    if mode == "words" or (dtype is None and text):
        return words
    stored, scale = encode(meaning([m.text if m.meant else "" for m in memories]), dtype)
    asked = meaning([text]) if text else [query]
    cosines = queries(asked).cosines(stored, scale)[0].tolist()
    if mode == "vectors" or not text or not any(words):
        return cosines
    return fused(cosines, words)


def naive_recall(
    memories, agent, query, k, dtype=None, mode="hybrid", weights=(1, 1, 1), **filters
):
    """[(memory, (total, recency, importance, relevance))] of the best of one agent, best first."""
    mine = [each for each in memories if each.agent == agent and answers(each, **filters)]
    if not mine:
        return []
    parts = naive_scoring.parts(
        NOW,
        [each.accessed for each in mine],
        [float(np.float32(each.importance)) for each in mine],
        relevance(query, mine, dtype, mode),
        0.99,
    )
    rows = list(zip(*parts, strict=True))
    total = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in rows]
    order = naive_scoring.best(
        [round(score, 9) for score in total], [each.sequence for each in mine], k
    )
    return [(mine[at], (total[at], *rows[at])) for at in order]


def exact(found):
    """All that a recollection tells but ids, to the bit, to compare it with another."""
    scores = found.scores
    return (
        found.offsets.tolist(),
        found.keys.tolist(),
        found.archived.tolist(),
        found.created.tolist(),
        found.kind.tolist(),
        list(found.text),
        [part.view(np.int64).tolist() for part in (
            scores.total, scores.recency, scores.importance, scores.relevance,
        )],
    )  # fmt: skip
