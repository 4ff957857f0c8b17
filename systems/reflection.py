"""Reflection: when enough has happened to an agent, it draws thoughts from its memories.

What an agent observes, events and chats, adds its importance to a sum. The observation with which
the sum reaches the threshold makes the agent reflect, at its own time, and the sum begins again at
0. For each of its focal points (`evidence`) the agent recalls its best memories, and a writer
(`writing`) draws insights from them. Each insight becomes a memory, a thought formed at that
moment,

    depth = 1 + max(depth of its evidence)

(0 for an observation), with an `Evidence` link to each memory that it rests on, and as important as
the most important of these unless the writer says otherwise. Everything recalled for a focal point
counts as recalled, once a reflection, as in the source.

Invariants: the sum is of whole millionths, so who reflects when does not depend on the length of a
step, on batches, or on what was forgotten in between; an observation older than the last one
counted tips the sum at the time of that one. Thoughts of one step are not evidence for each other,
for the writer is called once; a writer that fails leaves the world as it was.
Cost: 0.2 µs an observation; 0.25 ms a reflection of an agent with 1,000 memories, 1 ms with
embeddings of 256 dimensions; and the writer.
Source: Park et al. 2023 (arXiv 2304.03442); 15.0 here is 150 on its scale of 1 to 10. Its code
counts events alone, a chat through the event formed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from populace.components import Memory, MemoryKind, Observed, Persona, Recalled, Trace
from populace.components.reflection import Evidence, Reflection, Unreflected
from populace.ecs import (
    NOBODY,
    Entity,
    Events,
    Field,
    Res,
    World,
    event,
    f4,
    field,
    i8,
    jit,
    setting,
    settings,
    system,
    u4,
)
from populace.ecs.entities import Ids
from populace.ecs.errors import QueryError
from populace.ecs.system import System

from .columns import columns
from .evidence import bring_to_mind, focal_points
from .formation import able_to_remember, remember
from .scoring import RecallScore, weights_of
from .shares import batches, side_by_side
from .words import WordIndex, word_index
from .writing import Insight, Occasion, Writer, template_writer, written

Times = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]

MIND = (Memory.created, Memory.kind, Memory.text, Memory.sequence, Trace.importance,
        Trace.accessed)  # fmt: skip
STATE = (Unreflected.importance, Unreflected.since, Unreflected.seen)
MILLION = 1_000_000
DEEPEST = 255
MOST_AT_ONCE = 2**20
"""Memories that are copied together for a batch of reflections."""


@settings
class Reflecting:
    """When agents reflect, and on how much. A resource."""

    threshold: float = setting(
        15.0, range=(1e-6, 1e9), doc="sum of importances since the last reflection that sets it off"
    )
    focal_points: int = setting(3, range=(1, 100), doc="what one reflection is about, at most")
    memories: int = setting(30, range=(1, 10_000), doc="recalled for a focal point, at most")
    insights: int = setting(5, range=(1, 1000), doc="drawn from a focal point, at most")
    evidence: int = setting(5, range=(1, 10_000), doc="that one insight rests on, at most")


@event
class Reflected:
    """An agent has reflected."""

    agent: Entity
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    insights: u4 = field(doc="thoughts that came of it")


@dataclass(frozen=True, slots=True)
class Reflections:
    """Who is to reflect, n of them: by number of the agent, then by time.

    agent: ids. time, since: i8 µs, now and the time before.
    """

    agent: Ids
    time: Times
    since: Times


class Recollections(NamedTuple):
    """What reflections are about, o focal points in their order, and what these bring to mind.

    of: (o,) i8, places in `Reflections`. focal: (o,) u8, memories. recalled: (o, m) u8, memories,
    best first, then NOBODY.
    """

    of: Places
    focal: Ids
    recalled: Ids


def reflection(writer: Writer = template_writer, vector: Field | None = None) -> System:
    """The system by which agents reflect. It stands after `form_memories`.

    writer: turns memories into insights; called once a step with all occasions, if there are any.
    vector: field of embeddings, such as `Embedding.vector`: relevance is then the cosine to the
    focal point's own vector; without one, or for a focal point that has none, it is the overlap of
    words.

    Raises QueryError for a field that is no vector.
    """
    if vector is not None and (not isinstance(vector, Field) or vector.kind != "vector"):
        raise QueryError(f"reflection(vector=...) takes a Vector field, got {vector!r}")

    @system(name="reflect")
    def reflect(
        world: World, observed: Events[Observed], law: Res[Reflecting], score: Res[RecallScore]
    ) -> None:
        """Let those reflect who have observed enough since the last time."""
        who, state, due = add_up(world, observed, law.threshold)
        if due.agent.size:
            minds = recollect(world, due, law, score, vector)
            occasions = occasions_of(world, due, minds, law)
            answers = written(writer, occasions) if occasions else []
            insights = form_insights(world, due, minds, answers)
            tell(world, due, minds, insights)
        put(world, who, state)

    return cast(System, reflect)


# -- when ----------------------------------------------------------------------------------------


@jit
def add_importance(
    agent_e: Any,
    time_e: Any,
    millionths_e: Any,
    threshold: Any,
    sum_a: Any,
    since_a: Any,
    seen_a: Any,
    agent_out_e: Any,
    time_out_e: Any,
    since_out_e: Any,
) -> int:
    """Add up observations; the outputs [:k] <- agent, time and last time of those who reflect.

    agent_e: (e,) i8, places in the arrays of agents. time_e: (e,) i8 µs, ascending for each agent.
    millionths_e: (e,) i8. threshold: millionths. sum_a, since_a, seen_a: (a,) i8, the state, in
    place. Outputs: (e,) i8, in the order of the observations. Returns k. O(e).
    """
    k = 0
    for e in range(agent_e.size):
        a = agent_e[e]
        seen_a[a] = max(seen_a[a], time_e[e])
        sum_a[a] += millionths_e[e]
        if sum_a[a] >= threshold:
            agent_out_e[k], time_out_e[k], since_out_e[k] = a, seen_a[a], since_a[a]
            sum_a[a], since_a[a] = 0, seen_a[a]
            k += 1
    return k


def add_up(world: World, observed: Any, threshold: float) -> tuple[Ids, Times, Reflections]:
    """(agents that observed something (a,), their new `Unreflected` (3, a), who reflects)."""
    counted = able_to_remember(world, observed.owner) & (observed.kind != MemoryKind.THOUGHT)
    owner, time = observed.owner[counted], observed.time[counted]
    number = world.get(owner, Persona.number)
    order = np.lexsort((time, owner, number))
    owner, time = owner[order], time[order]
    first = np.append(True, owner[1:] != owner[:-1])[: owner.size]
    who, agent = owner[first], np.cumsum(first) - 1
    state = np.empty((len(STATE), who.size), np.int64)
    old = world.has(who, Unreflected)
    for values, column in zip(state, STATE, strict=True):
        values[:] = column.default
        values[old] = world.get(who[old], column)
    weight = np.rint(observed.importance[counted][order].astype(np.float64) * MILLION)
    out = np.empty((3, owner.size), np.int64)
    k = add_importance(
        agent, time, weight.astype(np.int64), max(round(threshold * MILLION), 1), *state, *out
    )

    return who, state, Reflections(who[out[0, :k]], out[1, :k], out[2, :k])


def put(world: World, who: Ids, state: Times) -> None:
    """Set what agents have observed since they last reflected, (3, a)."""
    old = world.has(who, Unreflected)
    for mask, change in ((old, world.set), (~old, world.add)):
        importance, since, seen = state[:, mask]
        change(who[mask], Unreflected(importance=importance, since=since, seen=seen))


# -- about what ----------------------------------------------------------------------------------


def recollect(
    world: World, due: Reflections, law: Reflecting, score: RecallScore, vector: Field | None
) -> Recollections:
    """Focal points of reflections, and what they bring to mind."""
    count = world.index(Memory.owner).count(due.agent)
    brought: list[Recollections] = []
    for shares in batches(world, count, MOST_AT_ONCE):
        minds = side_by_side(world, lambda share: _Minds(world, due, share, law), shares)
        words = word_index(world.text, np.concatenate([some.text for some in minds]))
        bring = partial(_Minds.recollect, words=words, score=score, vector=vector)
        brought += side_by_side(world, bring, minds)
    return Recollections(*map(np.concatenate, zip(*brought, strict=True)))


class _Minds:
    """The memories of some of those who reflect, and their focal points."""

    def __init__(self, world: World, due: Reflections, share: slice, law: Reflecting) -> None:
        self.world, self.law, self.first, self.time = world, law, share.start, due.time[share]
        held = world.index(Memory.owner).of(due.agent[share])
        self.ids, self.offsets = held.ids, held.offsets
        found = columns(world, held.ids, *MIND)
        self.created, kind, self.text, self.sequence, self.importance, self.accessed = found
        self.focal_fk = np.empty((self.time.size, law.focal_points), np.int64)
        focal_points(
            held.offsets, due.since[share], self.time,
            self.created, kind, self.text, self.importance, self.sequence, self.focal_fk,
        )  # fmt: skip

    def recollect(
        self, words: WordIndex, score: RecallScore, vector: Field | None
    ) -> Recollections:
        """What these bring to mind."""
        focal_fk = self.focal_fk
        recalled_fkm = np.empty((*focal_fk.shape, self.law.memories), np.int64)
        bring_to_mind(
            self.offsets, self.time, focal_fk,
            self.created, self.accessed, self.importance, self.sequence, self.text,
            *words.arrays, vectors_of(self.world, self.ids, vector),
            *weights_of(score), recalled_fkm,
        )  # fmt: skip
        there = focal_fk >= 0
        ids = np.append(self.ids, np.uint64(NOBODY))  # at place -1
        of = np.nonzero(there)[0] + self.first
        return Recollections(of, ids[focal_fk[there]], ids[recalled_fkm[there]])


def vectors_of(world: World, ids: Ids, vector: Field | None) -> npt.NDArray[np.float32] | None:
    """(n, d) f4: the vectors of memories, zeros where one has none; None without a field."""
    if vector is None:
        return None
    found = np.zeros((ids.size, vector.width), f4)
    has = world.has(ids, vector.component)
    found[has] = world.get(ids[has], vector)
    return found


def occasions_of(
    world: World, due: Reflections, minds: Recollections, law: Reflecting
) -> list[Occasion]:
    """Every focal point, as the writer is told of it."""
    there = minds.recalled != NOBODY
    text = world.text.decode(world.get(minds.recalled[there], Memory.text))
    counts = np.count_nonzero(there, axis=1)
    return [
        Occasion(name, focal, tuple(text[end - count : end]), time, law.insights, law.evidence)
        for name, focal, count, end, time in zip(
            world.text.decode(world.get(due.agent[minds.of], Persona.name)),
            world.text.decode(world.get(minds.focal, Memory.text)),
            counts.tolist(),
            np.cumsum(counts).tolist(),
            due.time[minds.of].tolist(),
            strict=True,
        )
    ]


# -- what comes of it ----------------------------------------------------------------------------


def form_insights(
    world: World, due: Reflections, minds: Recollections, answers: list[list[Insight]]
) -> Places:
    """Form one thought for each insight, with links to its evidence.

    answers: of each focal point. Returns (n,) i8: how many insights came of each reflection.
    """
    drawn = [insight for answer in answers for insight in answer]
    counts = np.array([len(answer) for answer in answers], np.int64)
    point = np.repeat(np.arange(minds.of.size), counts)
    of = minds.of[point]
    insights = np.bincount(of, minlength=due.agent.size)
    if not drawn:
        return insights
    counts = np.array([len(insight.evidence) for insight in drawn])
    places = [place for insight in drawn for place in insight.evidence]
    evidence = minds.recalled[np.repeat(point, counts), places]
    first = np.cumsum(counts) - counts
    given = np.array([insight.importance for insight in drawn], f4)  # NaN where there is none
    heaviest = np.maximum.reduceat(world.get(evidence, Trace.importance), first)
    deepest = np.maximum.reduceat(depths_of(world, evidence), first)
    ids, order = remember(
        world,
        Observed(
            owner=due.agent[of],
            time=due.time[of],
            text=np.array([insight.text for insight in drawn], object),
            kind=np.full(len(drawn), MemoryKind.THOUGHT),  # type: ignore[arg-type]  # a column
            importance=np.where(np.isnan(given), heaviest, given),
        ),
    )
    world.add(ids, Reflection(depth=np.minimum(deepest + 1, DEEPEST)[order]))
    insight_of = np.empty_like(ids)
    insight_of[order] = ids
    world.spawn(Evidence(insight=np.repeat(insight_of, counts), memory=evidence))
    return insights


def tell(world: World, due: Reflections, minds: Recollections, insights: Places) -> None:
    """Emit `Recalled` for all that came to mind, once a reflection, and `Reflected`."""
    point, place = np.nonzero(minds.recalled)
    memory, of = minds.recalled[point, place], minds.of[point]
    order = np.lexsort((world.get(memory, Memory.sequence), of))
    memory, of = memory[order], of[order]
    once = np.ones(order.size, np.bool_)
    once[1:] = (memory[1:] != memory[:-1]) | (of[1:] != of[:-1])
    world.emit(Recalled(memory=memory[once], time=due.time[of[once]]))
    world.emit(Reflected(agent=due.agent, time=due.time, insights=insights))


def depths_of(world: World, ids: Ids) -> Places:
    """(k,) i8: how many steps of reflection memories are away from what was observed."""
    depths = np.zeros(ids.size, np.int64)
    has = world.has(ids, Reflection)
    depths[has] = world.get(ids[has], Reflection.depth)
    return depths


reflect = reflection()
