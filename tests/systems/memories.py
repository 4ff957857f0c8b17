"""Worlds whose memories lie in several tables, for the tests of what happens to memories."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from populace.components import Memory, Persona, Pinned, Statement, Stream, Trace
from populace.ecs import World, component, days
from populace.systems import Archiving, Pruning, Reinforcement, Retention, Room

DAY_S = 86_400.0
NOW = days(20_000)
LAWS = ("exponential", "power", "activation")
AGENTS = 4
OLDEST = days(120)


@component
class Starred:
    """A tag of the user's own, so that memories lie in one more table."""


@dataclass(frozen=True, slots=True)
class Row:
    """One memory, as the naive twins and `world_of` take it. table: which extras it has, 0..7."""

    owner: int = 0
    sequence: int = 0
    importance: float = 0.5
    stability: float = 3 * DAY_S
    accessed: int = NOW
    accesses: int = 1
    created: int = NOW
    table: int = 0

    @property
    def pinned(self):
        return bool(self.table & 1)

    def but(self, **changes):
        """The row with other values."""
        return replace(self, **changes)


def numbered(rows):
    """The rows with their place among those of the same owner as sequence number."""
    count = dict.fromkeys(range(AGENTS), -1)
    made = []
    for row in rows:
        count[row.owner] += 1
        made.append(row.but(sequence=count[row.owner]))
    return made


def f4s(low, high):
    """Floats that an f4 holds."""
    return st.floats(float(np.float32(low)), float(np.float32(high)), width=32)


@st.composite
def one_row(draw, oldest=OLDEST):
    """A memory formed within `oldest` before NOW, and accessed at some time since."""
    age = draw(st.integers(0, oldest))
    return Row(
        owner=draw(st.integers(0, AGENTS - 1)),
        importance=draw(st.one_of(f4s(0, 1), st.sampled_from([0.0, 0.125, 0.5, 1.0]))),
        stability=draw(f4s(3_600, 30 * DAY_S)),
        accessed=NOW - draw(st.integers(0, age)),
        accesses=draw(st.integers(1, 9)),
        created=NOW - age,
        table=draw(st.integers(0, 7)),
    )


def some_rows(most=30, oldest=OLDEST):
    """Up to `most` memories of up to four owners."""
    return st.lists(one_row(oldest), max_size=most).map(numbered)


def empty_world(*resources, now=NOW, **options):
    """A world with the settings of every law of memory, and four agents numbered 0..3.

    resources: settings that are not the defaults, and any others.
    """
    world = World(**options)
    given = {type(resource): resource for resource in resources}
    for law in (Retention, Pruning, Room, Reinforcement, Archiving):
        world.insert(given.pop(law, None) or law())
    for other in given.values():
        world.insert(other)
    world.clock.now = now
    agents = world.spawn(AGENTS, Persona(number=np.arange(AGENTS)), Stream)
    return world, agents


def add_rows(world, agents, rows, order=None):
    """Spawn memories; return their ids in the order of the rows.

    order: of spawning, one at a time; without it each table gets its rows at once.
    """
    ids = np.zeros(len(rows), np.uint64)
    tables = np.array([row.table for row in rows], int)
    batches = [np.flatnonzero(tables == table) for table in np.unique(tables)]
    if order is not None:
        batches = [np.array([place]) for place in order]
    for places in batches:
        batch = [rows[place] for place in places]
        extras = [Pinned, Starred, Statement]
        bits = batch[0].table
        ids[places] = world.spawn(
            len(batch),
            Memory(
                owner=agents[[row.owner for row in batch]],
                sequence=[row.sequence for row in batch],
                created=[row.created for row in batch],
            ),
            Trace(
                importance=[row.importance for row in batch],
                stability=[row.stability for row in batch],
                accessed=[row.accessed for row in batch],
                accesses=[row.accesses for row in batch],
            ),
            *(extra for place, extra in enumerate(extras) if bits >> place & 1),
        )
    formed = np.zeros(AGENTS, int)
    for row in rows:
        formed[row.owner] = max(formed[row.owner], row.sequence + 1)
    world.set(agents, Stream(formed=formed))
    return ids


def world_of(rows, *resources, systems=(), order=None, **options):
    """A world that holds these memories and runs these systems; and the ids of the memories."""
    world, agents = empty_world(*resources, **options)
    ids = add_rows(world, agents, rows, order)
    world.add_systems(*systems)
    return world, ids


def gone(world, ids):
    """The places of the ids that are no longer alive."""
    return np.flatnonzero(~world.alive(ids)).tolist()


def by_name(world, *fields):
    """{(number of the owner, sequence): values of the fields}, whatever ids and rows are."""
    query = world.query(Memory, Trace)
    owners = world.get(query.gather(Memory.owner), Persona.number).tolist()
    sequences = query.gather(Memory.sequence).tolist()
    columns = [query.gather(made).tolist() for made in fields]
    return {
        key: values
        for key, *values in zip(zip(owners, sequences, strict=True), *columns, strict=True)
    }


def bits(values):
    """f4 values as integers, to compare them bit for bit."""
    return np.asarray(values, np.float32).view(np.uint32).tolist()
