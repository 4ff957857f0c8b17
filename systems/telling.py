"""Telling: what one agent knows passes to the other when they meet.

At a contact (`Met`) each tells the other of every topic it knows, with the probability

    strength of the teller's tie to the learner  *  confidence of the teller  *  appeal of the topic

and what is told is an exposure of the learner (`knowledge`) with

    trust = Learning.trust + (1 - Learning.trust) * strength of the learner's tie to the teller

Both tell what they knew before the contact. A draw is a function of (seed, time of the contact,
numbers of teller and learner, number of the topic), so two contacts of one pair at one moment draw
alike. Contacts count in the order of their time, simultaneous ones in that of emission, and what
was learned a moment before is told on.

Invariants: the state does not depend on how contacts are cut into batches, nor on rows. New
knowledge gets its ids in the order of (time, number of the owner, number of the topic). A learner
keeps the source that it first had something from; `Provenance.hops` is one more than the teller's
then. Contacts of the dead, and of who has no `Persona`, teach nothing.
Cost: about 0.12 µs for each piece of knowledge of those who met, and 1 µs for each telling; a look
at the appeal of each topic there is, and an array up to the highest number of those that differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components.contact import Met
from populace.components.knowledge import (
    Knowledge,
    KnowledgeState,
    LearningRate,
    Provenance,
    Taught,
    Topic,
)
from populace.components.persona import Persona
from populace.ecs import Events, Res, World, f4, i8, system, u8
from populace.ecs.entities import Ids, index_of
from populace.ecs.events import picked
from populace.ecs.random import stream_of

from .columns import columns
from .knowledge import MOST_EXPOSURES, Learning
from .shares import batches, side_by_side
from .telling_nodes import ANEW, NODE, ORIGIN, TELLING, link, number_agents, tell

STREAM = "telling"
ROOM = 2
"""New nodes and tellings for each contact that there is room for at the outset."""


@system
def pass_on(world: World, met: Events[Met], law: Res[Learning]) -> None:
    """Let everybody who met somebody since the last time tell what they know."""
    counting = _countable(world, met)
    if not len(counting) or not world.query(Knowledge).count():
        return
    agents, source, target = _numbered(counting.source, counting.target)
    batch = _Batch(world, agents, ROOM * len(counting))
    batch.tell(counting, source, target, law)
    batch.store()
    batch.emit()


def _countable(world: World, met: Any) -> Any:
    """The meetings of two living agents, by time."""
    alive = world.alive(met.source) & world.alive(met.target) & (met.source != met.target)
    if not alive.all():
        met = picked(met, alive)
    people = world.has(met.source, Persona) & world.has(met.target, Persona)
    if not people.all():
        met = picked(met, people)
    if (met.time[1:] < met.time[:-1]).any():
        met = picked(met, np.argsort(met.time, kind="stable"))
    return met


def _numbered(source: Ids, target: Ids) -> tuple[Ids, Any, Any]:
    """(agents (a,), source (e,) u4, target (e,) u4): who met, and their places in `agents`."""
    both = np.concatenate([source, target])
    index = index_of(both)
    place = np.zeros(int(index.max()) + 1, np.uint32)
    agent, first = np.empty(both.size, np.uint32), np.empty(both.size, np.int64)
    n_agents = number_agents(index, place, agent, first)
    return both[first[:n_agents]], agent[: source.size], agent[source.size :]


class _Batch:
    """What the agents of a batch know, as nodes: see `telling_nodes`."""

    def __init__(self, world: World, agents: Ids, room: int) -> None:
        self.world, self.agents = world, agents
        self.numbers = world.get(agents, Persona.number)
        self.known = world.index(Knowledge.owner).count(agents)
        self.old = agents.size + int(self.known.sum())
        n = self.old + room
        self.node, self.origin = np.zeros(n, NODE), np.zeros(n, ORIGIN)
        self.touched, self.telling = np.zeros(n, i8), np.zeros(room, TELLING)
        self.counts = np.array([self.old, 0, 0])
        self.held, self.topics = np.empty((2, self.old - agents.size), np.uint64)
        for shares in batches(world, self.known, self.old):
            side_by_side(world, self._link, shares)

    def _link(self, share: slice) -> None:
        """Fill the nodes of what some of the agents know."""
        world, n_agents = self.world, self.agents.size
        held = world.index(Knowledge.owner).of(self.agents[share])
        topics, sure, half_life, rehearsed, hops = columns(world, held.ids, *COPIED)
        number = world.get(topics, Topic.number)
        first = int(self.known[: share.start].sum())
        link(
            held.offsets, number, sure, half_life, rehearsed, hops,
            share.start, n_agents + first, self.node,
        )  # fmt: skip
        self.held[first : first + topics.size] = held.ids
        self.topics[first : first + topics.size] = topics

    def tell(self, met: Any, source: Any, target: Any, law: Learning) -> None:
        """Take all contacts up."""
        stream = u8(stream_of(self.world.seed, STREAM))
        rate = np.full(self.agents.size, law.rate, f4)
        own = self.world.has(self.agents, LearningRate)
        if own.any():
            rate[own] = self.world.get(self.agents[own], LearningRate.value)
        appeal = _appeals(self.world)
        # Copies: events may be read-only, and numba would compile that case apart.
        columns = (met.time.copy(), met.strength.copy(), met.returned_strength.copy())
        done = 0
        while True:
            done = tell(
                done, source, target, *columns,
                stream, self.numbers, rate, appeal,
                f4(law.trust), f4(law.threshold), f4(law.half_life), f4(law.growth),
                f4(law.longest), i8(self.old), self.known,
                self.node, self.origin, self.touched, self.telling, self.counts,
            )  # fmt: skip
            if done == source.size:
                return
            most = int(self.known[source[done]] + self.known[target[done]])
            self.node, self.origin, self.touched = (
                _grown(column, int(self.counts[0]), most)
                for column in (self.node, self.origin, self.touched)
            )
            self.telling = _grown(self.telling, int(self.counts[2]), most)

    def store(self) -> None:
        """Write what has changed, and spawn what is new."""
        touched = self.touched[: self.counts[1]]
        before = touched < self.old
        self._set(touched[before])
        new = touched[~before]
        node, origin = self.node[new], self.origin[new]
        order = np.lexsort((node["topic"], self.numbers[origin["owner"]], origin["learned"]))
        if order.size:
            node, origin = node[order], origin[order]
            knowledge = Knowledge(owner=self.agents[origin["owner"]], topic=self._topic(new[order]))
            state = _state(node, origin["exposures"])
            self.world.spawn(knowledge, state, self._provenance(node, origin))

    def _set(self, changed: npt.NDArray[np.int64]) -> None:
        """Write existing nodes back."""
        ids, node, origin = self._held(changed), self.node[changed], self.origin[changed]
        anew = node["marks"] & ANEW > 0
        exposures = origin["exposures"].astype(np.uint64)
        exposures[~anew] += self.world.get(ids[~anew], KnowledgeState.exposures)
        self.world.set(ids, _state(node, np.minimum(exposures, MOST_EXPOSURES)))
        if anew.any():
            self.world.set(ids[anew], self._provenance(node[anew], origin[anew]))

    def emit(self) -> None:
        """Tell of all tellings."""
        told = self.telling[: self.counts[2]]
        if told.size:
            self.world.emit(
                Taught(
                    learner=self.agents[told["learner"]],
                    topic=self._topic(told["node"]),
                    teacher=self.agents[told["teacher"]],
                    time=told["time"],
                    confidence=told["confidence"],
                    first=told["first"] > 0,
                )
            )

    def _held(self, nodes: Any) -> Ids:
        ids: Ids = self.held[nodes - self.agents.size]
        return ids

    def _topic(self, nodes: Any) -> Ids:
        like = np.where(nodes < self.old, nodes, self.origin["like"][nodes])
        topics: Ids = self.topics[like - self.agents.size]
        return topics

    def _provenance(self, node: Any, origin: Any) -> Provenance:
        return Provenance(
            learned=origin["learned"],
            source=self.agents[origin["teacher"]],
            source_number=self.numbers[origin["teacher"]],
            hops=node["hops"],
        )


def _appeals(world: World) -> npt.NDArray[np.float32]:
    """(t,) f4: the appeal of topics by their number, up to the last that has another than 1."""
    topics = world.query(Topic)
    appeal = topics.gather(Topic.appeal)
    marked = np.flatnonzero(appeal != 1)
    number = topics.gather(Topic.number)[marked]
    found = np.ones(int(number.max(initial=0)) + 2, np.float32)
    found[number] = appeal[marked]
    return found


COPIED = (
    Knowledge.topic,
    KnowledgeState.confidence,
    KnowledgeState.half_life,
    KnowledgeState.rehearsed,
    Provenance.hops,
)


def _grown(column: npt.NDArray[Any], n: int, more: int) -> npt.NDArray[Any]:
    """A column with room for n + more rows: itself, or a copy at least twice as long."""
    if n + more <= column.size:
        return column
    return np.concatenate([column, np.zeros(max(column.size, more), column.dtype)])


def _state(node: Any, exposures: Any) -> KnowledgeState:
    return KnowledgeState(
        confidence=node["confidence"],
        half_life=node["half_life"],
        rehearsed=node["rehearsed"],
        exposures=exposures,
    )
