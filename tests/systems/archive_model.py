"""A world with an archive, and a plain model of it: what is there, what is away, what is gone.

A program is a list of (name of an operation, seed); what it does follows from these and the state.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from populace.components import (
    Evidence,
    Memory,
    Persona,
    Pinned,
    Reflection,
    Statement,
    Stream,
    Trace,
)
from populace.ecs import NOBODY, Entity, Vector, World, component, days, f2, f4, hours, schema
from populace.ecs import field as declared
from populace.storage.archive import Archive
from populace.storage.partitions import Partitions
from populace.storage.snapshot import Snapshots, load, save
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.archive_reading import select
from populace.systems.archive_rows import can_leave, spawn_rows
from populace.systems.revival import revive

from ..storage.crashing import quick

NOW = days(19_500)
AGENTS = 3


@component
class Starred:
    """A tag of the user's own."""


@component
class Meaning:
    """A vector of the user's own, and a number."""

    vector: Vector[3, f2]
    weight: f4 = 0.5


@component
class About:
    """Names another entity: its memory stays where it is."""

    whom: Entity = declared(default=NOBODY)


KEPT = (Memory, Trace, Statement, Reflection, Starred, Meaning)


def key_of(world, ids):
    """[(number of the agent, sequence)] of memories."""
    number = world.get(world.get(ids, Memory.owner), Persona.number).tolist()
    return list(zip(number, world.get(ids, Memory.sequence).tolist(), strict=True))


def contents(world, ids=None):
    """{key: {component: values of its fields}} of memories, by default all, whatever their ids."""
    ids = world.query(Memory).ids() if ids is None else ids
    found = {key: {} for key in key_of(world, ids)}
    for cls in (*KEPT, Pinned, About):
        having = ids[world.has(ids, cls)]
        fields = [made for made in schema(cls).persisted if made is not Memory.owner]
        columns = []
        for made in fields:
            column = world.get(having, made)
            columns.append(world.text.decode(column) if made.kind == "text" else column.tolist())
        for place, key in enumerate(key_of(world, having)):
            found[key][cls.__name__] = [column[place] for column in columns]
    return found


def links(world):
    """{(key of the insight, key of the memory)}"""
    query = world.query(Evidence)
    ends = [key_of(world, query.gather(end)) for end in (Evidence.insight, Evidence.memory)]
    pairs = list(zip(*ends, strict=True))
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def away(world, partitions=None):
    """What is in the archive, as `contents` shows it, by (agent's entity, key): as it would be in
    another world, which has no other memories."""
    partitions = partitions or Partitions(quick("."))
    archive = world.resource(Archive)
    rows = select(partitions, archive, None)
    other = World()
    other.spawn(1, Memory(owner=NOBODY, sequence=0, created=0), Starred, Meaning(vector=[0, 0, 0]))
    other.query(Memory).despawn()
    entity, of = np.unique(rows["agent_entity"], return_inverse=True)
    number = np.zeros(entity.size, np.uint32)
    number[of] = rows["agent"]
    people = other.spawn(entity.size, Persona(number=np.arange(entity.size)))
    ids = spawn_rows(other, rows | {"agent_entity": people[of]}, archive.components)
    found = {}
    for (place, sequence), values in contents(other, ids).items():
        found[int(entity[place]), (int(number[place]), sequence)] = values
    assert len(found) == rows["agent"].size == len(archive)
    return found


@dataclass
class Model:
    """hot: {key: contents}. cold: {(entity, key): contents}. links: of memories that are not
    forgotten. entity: of the living, by number. n_formed, n_forgotten: of all there ever were."""

    hot: dict = field(default_factory=dict)
    cold: dict = field(default_factory=dict)
    links: set = field(default_factory=set)
    entity: dict = field(default_factory=dict)
    n_formed: int = 0
    n_forgotten: int = 0


class Pair:
    """A world that is attached to a directory, its model, and those of its snapshots."""

    def __init__(self, directory):
        self.directory = directory
        self.world = World(seed=3)
        self.world.clock.now = NOW
        people = self.world.spawn(AGENTS, Persona(number=np.arange(AGENTS)), Stream)
        self.model = Model(entity=dict(enumerate(people.tolist())))
        self.saved = {}
        self.attached = None
        self.attach()

    def attach(self):
        self.attached = attach_archive(
            self.world, quick(self.directory), buckets=2, archiving=False
        )

    def check(self):
        """Every memory is in exactly one place, as it was; whatever was linked and is there is."""
        world, model = self.world, self.model
        assert contents(world) == model.hot
        assert away(world, self.attached.partitions) == model.cold
        assert links(world) == {pair for pair in model.links if set(pair) <= model.hot.keys()}
        living = {key for entity, key in model.cold if entity in model.entity.values()}
        assert not living & model.hot.keys()
        assert model.n_formed == len(model.hot) + len(model.cold) + model.n_forgotten
        world.check()

    def run(self, program):
        """Carry a program out, checking after every operation; then look at every snapshot."""
        for name, seed in program:
            getattr(self, name)(np.random.default_rng(seed))
            self.check()
        for number in self.saved:
            self.go_back_to(number)
            self.check()
        self.attached.close()

    # -- operations ----------------------------------------------------------------------------

    def form(self, draw):
        """Some memories, of any kind."""
        n = int(draw.integers(1, 9))
        people = self.world.query(Persona, Stream).ids()
        if not people.size:
            return
        for owner in draw.choice(people, n).tolist():
            owner = np.array([owner], np.uint64)
            sequence = self.world.get(owner, Stream.formed)
            created = NOW - int(draw.integers(0, days(100)))
            parts = [
                Memory(
                    owner=owner,
                    sequence=sequence,
                    created=created,
                    kind=int(draw.integers(0, 3)),
                    text=f"text {draw.integers(0, 20)}, é \ud800",
                ),
                Trace(
                    importance=draw.random(),
                    stability=draw.uniform(1, 1e6),
                    accessed=created + int(draw.integers(0, hours(50))),
                    accesses=int(draw.integers(1, 9)),
                ),
            ]
            if draw.random() < 0.3:
                parts.append(Statement(subject="s", object=f"o{draw.integers(0, 9)}"))
            if draw.random() < 0.3:
                parts.append(Reflection(depth=int(draw.integers(1, 9))))
            if draw.random() < 0.2:
                parts.append(Starred)
            if draw.random() < 0.2:
                parts.append(Meaning(vector=draw.normal(size=(1, 3)).astype(np.float16)))
            if draw.random() < 0.1:
                parts.append(Pinned)
            if draw.random() < 0.1:
                parts.append(About(whom=owner))
            made = self.world.spawn(1, *parts)
            self.world.set(owner, Stream(formed=sequence + 1))
            self.model.hot |= contents(self.world, made)
            self.model.n_formed += 1

    def link(self, draw):
        """Memories rest on others of their owners."""
        ids = self.world.query(Memory).ids()
        for one in draw.choice(ids, min(6, ids.size), replace=False):
            mine = self.world.index(Memory.owner).ids(self.world.get([one], Memory.owner))
            other = draw.choice(mine)
            pair = tuple(key_of(self.world, np.array([one, other])))
            if one != other and pair not in self.model.links:
                self.world.spawn(1, Evidence(insight=one, memory=other))
                self.model.links.add(pair)

    def archive(self, draw):
        """Some memories leave, but those that may not."""
        ids = self._some(draw, self.world.query(Memory).ids())
        able = can_leave(self.world, ids)
        keys = key_of(self.world, ids)
        assert able.tolist() == [
            not {"Pinned", "About"} & self.model.hot[key].keys() for key in keys
        ]
        assert archive_memories(self.world, ids) == able.sum()
        for key, leaves in zip(keys, able, strict=True):
            if leaves:
                self.model.cold[self.model.entity[key[0]], key] = self.model.hot.pop(key)

    def revive(self, draw):
        """Some come back."""
        living = {entity: number for number, entity in self.model.entity.items()}
        there = sorted(each for each in self.model.cold if each[0] in living)
        chosen = [there[k] for k in self._some(draw, np.arange(len(there)))]
        draw.shuffle(chosen)
        keys = [key for _, key in chosen]
        ids = revive(self.world, keys)
        assert key_of(self.world, ids) == keys
        for entity, key in chosen:
            self.model.hot[key] = self.model.cold.pop((entity, key))

    def forget(self, draw):
        """Some are forgotten."""
        ids = self._some(draw, self.world.query(Memory).ids())[:3]
        self._forgotten(key_of(self.world, ids))
        self.world.despawn(ids)

    def change(self, draw):
        """Some are accessed."""
        ids = self._some(draw, self.world.query(Memory, Trace).ids())
        self.world.set(ids, Trace(accessed=NOW + int(draw.integers(0, 99)), accesses=7))
        self.model.hot |= contents(self.world, ids)

    def die(self, draw):
        """An agent dies, and one may come that gets its number."""
        people = self.world.query(Persona).ids()
        if not people.size:
            return
        one = draw.choice(people, 1)
        number = int(self.world.get(one, Persona.number)[0])
        self._forgotten([key for key in self.model.hot if key[0] == number])
        # Links of what the dead one has in the archive are history too.
        self.model.links = {pair for pair in self.model.links if pair[0][0] != number}
        self.world.despawn(one)
        del self.model.entity[number]
        if draw.random() < 0.5:
            new = self.world.spawn(1, Persona(number=number), Stream)
            self.model.entity[number] = int(new[0])

    def save(self, draw):
        """A snapshot."""
        number = save(self.world, quick(self.directory), threads=1).number
        self.saved[number] = copy.deepcopy(self.model)

    def crash(self, draw):
        """The world ends, and goes on as it was in a snapshot."""
        if self.saved:
            self.go_back_to(int(draw.choice(list(self.saved))))

    def prune(self, draw):
        """Old snapshots are deleted."""
        if self.saved:
            for number in Snapshots(quick(self.directory)).prune(1 + int(draw.integers(2))):
                del self.saved[number]

    def go_back_to(self, number):
        self.attached.close()
        self.world = load(quick(self.directory), number=number, threads=1)
        self.model = copy.deepcopy(self.saved[number])
        self.attach()

    def _some(self, draw, values):
        return values[draw.random(len(values)) < draw.choice([0.2, 0.6, 1.0])]

    def _forgotten(self, keys):
        for key in keys:
            del self.model.hot[key]
        self.model.n_forgotten += len(keys)
        gone = set(keys)
        self.model.links = {pair for pair in self.model.links if not gone & set(pair)}


OPERATIONS = (
    "form", "form", "link", "link", "archive", "archive", "revive", "forget", "change", "die",
    "save", "crash", "prune",
)  # fmt: skip

programs = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 10**6)), max_size=25)
