"""Debug mode, and the proof that `World.check` finds each invariant that is broken on purpose."""

import numpy as np
import pytest

from populace import Entity, Text, Vector, World, Write, component, f4, field, i4, system
from populace.ecs.errors import InvariantError

from .parts import Asleep, Kind, Memory, Tie, Trace, Velocity, raw_state


@component
class Strict:
    level: f4


@component(requires=(Strict,))
class Needy:
    pass


# -- debug mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "debug"), [("1", True), ("yes", True), ("0", False), ("", False), (None, False)]
)
def test_the_environment_turns_debug_on(monkeypatch, value, debug):
    """POPULACE_DEBUG=1 is honoured; an argument wins over it."""
    if value is None:
        monkeypatch.delenv("POPULACE_DEBUG", raising=False)
    else:
        monkeypatch.setenv("POPULACE_DEBUG", value)
    assert World().debug is debug
    assert World(debug=False).debug is False
    assert World(debug=True).debug is True


CHANGES = {
    "spawn": lambda world, ids: world.spawn(1, Asleep),
    "add": lambda world, ids: world.add(ids[:1], Asleep),
    "remove": lambda world, ids: world.remove(ids[:1], Velocity),
    "set": lambda world, ids: world.set(ids[:1], Velocity(y=1)),
    "despawn": lambda world, ids: world.despawn(ids[:1]),
    "query.add": lambda world, ids: world.query(Velocity).add(Asleep),
    "upsert": lambda world, ids: world.upsert(Tie(source=ids[:1], target=ids[1:2])),
    "cluster": lambda world, ids: world.cluster(Velocity.y),
    "sync": lambda world, ids: (world.commands.spawn(1), world.sync()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_debug_checks_after_each_structural_change(name):
    """With debug on, a broken invariant is found by the next structural change, without it not."""
    for debug in (True, False):
        world = World(debug=debug)
        ids = world.spawn(3, Velocity)
        (view,) = world.query(Velocity)
        view.x[1] = 99
        if debug:
            with pytest.raises(InvariantError, match=r"Velocity\.x"):
                CHANGES[name](world, ids)
        else:
            CHANGES[name](world, ids)


def test_debug_checks_after_each_system():
    """With debug on, the system that wrote the wrong value is named."""
    world = World(debug=True)
    world.spawn(3, Velocity)

    @system
    def harmless(velocity: Write[Velocity]):
        velocity.x += 1

    @system
    def guilty(velocity: Write[Velocity]):
        velocity.x += 100

    world.add_systems(harmless, guilty)
    with pytest.raises(InvariantError, match=r"Velocity\.x.*\[-10, 10\]") as caught:
        world.step(1)
    assert any("guilty" in note for note in getattr(caught.value, "__notes__", []))


# -- what check finds ----------------------------------------------------------------------------


@component
class Everything:
    unit: f4 = field(0.5, range=(0, 1))
    free: f4 = 0
    kind: Kind = Kind.EVENT
    text: Text = ""
    vector: Vector[2] = field(0, range=(-1, 1))
    n: i4 = field(0, range=(0, 9))
    who: Entity = field(0, index=True)


def sound():
    """A world with something of everything, which passes its check."""
    world = World()
    people = world.spawn(4, Everything(text="known"))
    world.spawn(2, Everything(who=people[:2]), Asleep)
    world.spawn(Memory(owner=people))
    world.spawn(Tie(source=people[:2], target=people[2:]))
    world.spawn(1, Needy, Strict(level=1))
    world.spawn(1)
    world.despawn(world.spawn(3))
    world.check()
    return world, people


def table(world, *components):
    return next(t for t in world.store.tables if set(t.archetype.components) == set(components))


def column(world, made, *components):
    found = table(world, *(components or (made.component,)))
    return found.buffers[found.archetype.place[made]][: found.n]


def corrupt(world, made, value):
    column(world, made)[-1] = value


CORRUPTIONS = {
    # values
    "nan in a column": (lambda w, p: corrupt(w, Everything.free, np.nan), "Everything.free"),
    "infinity in a column": (lambda w, p: corrupt(w, Everything.free, np.inf), "Everything.free"),
    "below the range": (lambda w, p: corrupt(w, Everything.unit, -1), "Everything.unit"),
    "integer above the range": (lambda w, p: corrupt(w, Everything.n, 10), "Everything.n"),
    "vector outside the range": (
        lambda w, p: corrupt(w, Everything.vector, [0, 2]),
        "Everything.vector",
    ),
    "no such choice": (lambda w, p: corrupt(w, Everything.kind, 2), "Everything.kind"),
    "unknown text code": (lambda w, p: corrupt(w, Everything.text, 99), "Everything.text"),
    # entities
    "an id in the table": (lambda w, p: corrupt_id(w, 0, 77 << 32), "inverse"),
    "two rows of one id": (lambda w, p: corrupt_id(w, 1, int(p[0])), "inverse"),
    "slot names another row": (lambda w, p: bend_slot(w, p[0], row=3), "inverse"),
    "slot names another table": (lambda w, p: bend_slot(w, p[0], table=1), "inverse"),
    "slot carries another generation": (lambda w, p: bend_slot(w, p[0], generation=9), "inverse"),
    "living slot marked free": (lambda w, p: bend_slot(w, p[0], table=0xFFFF_FFFF), "free"),
    "free slot marked as living": (lambda w, p: free_a_bit(w, clear=True), "free"),
    "living slot in the free list": (lambda w, p: free_a_bit(w, clear=False), "free"),
    "free count": (lambda w, p: bump(w.store.entities, "n_free", 1), "free"),
    "retired count": (lambda w, p: bump(w.store.entities, "n_retired", 1), "retired"),
    "a row too many": (lambda w, p: bump(table(w, Everything), "n", 1), "rows|inverse"),
    "a row too few": (lambda w, p: bump(table(w, Everything), "n", -1), "rows|alive"),
    # tables and archetypes
    "table number": (lambda w, p: bump(table(w, Everything), "number", 1), "number"),
    "more rows than room": (
        lambda w, p: bump(table(w, Everything), "capacity", -15),
        "rows|column",
    ),
    "column of another dtype": (lambda w, p: recast(w, np.float64), "Everything.unit"),
    "column of another length": (lambda w, p: cut(w), "Everything.unit"),
    "address of a column": (lambda w, p: shift_address(w), "column"),
    "two archetypes of one table": (lambda w, p: share_table(w), "table"),
    "mask": (lambda w, p: bump(table(w, Everything).archetype, "mask", 1), "mask"),
    "required component missing": (lambda w, p: drop_required(w), "requires|Strict|mask"),
    # references
    "reference to a dead entity": (
        lambda w, p: corrupt(w, Everything.who, 5 << 32),
        "Everything.who .* is dead",
    ),
    "reference not in its index": (
        lambda w, p: corrupt(w, Everything.who, p[3]),
        "Everything.who",
    ),
    "index without its reference": (
        lambda w, p: w.index(Memory.owner).buckets.discard(
            low(p[:1]), low(w.index(Memory.owner).ids(p[0]))
        ),
        "Memory.owner",
    ),
    "member in another bucket": (lambda w, p: move_member(w, p), "Memory.owner"),
    "bucket damaged": (lambda w, p: damage_bucket(w), "Buckets|Memory.owner"),
    # pairs
    "pair missing": (lambda w, p: drop_pair(w), "Tie"),
    "pair of another edge": (
        lambda w, p: w.store.pairs[Tie].table._slots.__setitem__(filled(w), [5, 7]),
        "Tie|Pair",
    ),
    "edge of a pair": (lambda w, p: swap_edge(w), "Tie"),
    "end of an edge": (lambda w, p: column(w, Tie.target).__setitem__(0, p[0]), "Tie"),
}


def low(ids):
    return np.asarray(ids, np.uint64).astype(np.uint32)


def corrupt_id(world, row, entity):
    table(world, Everything).buffers[0][row] = entity


def bend_slot(world, entity, row=None, table=None, generation=None):
    slot = world.store.entities.slots[int(entity) & 0xFFFF_FFFF]
    if row is not None:
        slot[0] = (int(slot[0]) >> 32) << 32 | row
    if generation is not None:
        slot[0] = generation << 32 | int(slot[0]) & 0xFFFF_FFFF
    if table is not None:
        slot[1] = table


def free_a_bit(world, clear):
    entities = world.store.entities
    index = int(entities.free_indices()[0])
    if clear:
        entities.slots[index, 1] = 0
    else:
        entities.free_words[0] |= np.uint64(1)


def bump(thing, name, by):
    setattr(thing, name, getattr(thing, name) + by)


def recast(world, dtype):
    found = table(world, Everything)
    place = found.archetype.place[Everything.unit]
    found.buffers[place] = found.buffers[place].astype(dtype)


def cut(world):
    found = table(world, Everything)
    place = found.archetype.place[Everything.unit]
    found.buffers[place] = found.buffers[place][:-1]


def shift_address(world):
    table(world, Everything).raw[1, 0] += 8


def share_table(world):
    first, second = world.store.archetypes[:2]
    first.table = second.table


def drop_required(world):
    archetype = table(world, Needy, Strict).archetype
    archetype.components = (Needy,)
    archetype.schemas = tuple(s for s in archetype.schemas if s.cls is Needy)


def move_member(world, people):
    index = world.index(Memory.owner)
    member = low(index.ids(people[0]))
    index.buckets.move(low(people[:1]), low(people[1:2]), member)


def damage_bucket(world):
    positions = world.index(Memory.owner).buckets._position
    positions[positions.argmax() if positions.any() else low(world.query(Memory).ids())[0]] += 1


def filled(world):
    slots = world.store.pairs[Tie].table._slots
    return int(np.flatnonzero(slots[:, 0])[0])


def drop_pair(world):
    pairs = world.store.pairs[Tie].table
    pairs.discard(pairs.items()[0][:1])


def swap_edge(world):
    slots = world.store.pairs[Tie].table._slots
    rows = np.flatnonzero(slots[:, 0])
    slots[rows, 1] = slots[rows[::-1], 1]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_check_finds(name):
    """A world broken in this way does not pass its check; the message names where."""
    damage, where = CORRUPTIONS[name]
    world, people = sound()
    damage(world, people)
    with pytest.raises(InvariantError, match=where):
        world.check()


def test_check_changes_nothing():
    """A check only reads."""
    world, _ = sound()
    before = raw_state(world)
    world.check()
    assert raw_state(world) == before


def test_check_allows_what_is_allowed():
    """Derived columns may hold anything, a kept reference may name the dead."""
    world = World()
    ids = world.spawn(2, Trace)
    (trace,) = world.query(Trace)
    trace.strength[:] = np.nan
    world.check()
    assert np.isnan(world.get(ids, Trace.strength)).all()
