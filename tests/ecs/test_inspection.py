"""Looking at a world: one entity, all of it in words, its bytes, what its systems did."""

import numpy as np
import pytest

from populace import Read, Vector, World, Write, component, f4, field, i4, seconds, system
from populace.ecs.errors import (
    ColumnTypeError,
    ComponentMissingError,
    DeadEntityError,
    UnknownComponentError,
)
from populace.ecs.telemetry import SystemStats

from .parts import Asleep, Hungry, Kind, Memory, Position, Tie, Trace, Velocity, refused


@component
class Measured:
    """Columns of known width."""

    x: f4 = field(0, unit="m")
    n: i4 = 0
    v: Vector[3] = 0
    cache: f4 = field(derived=True)


# -- one entity ----------------------------------------------------------------------------------


def test_a_row_has_plain_python_values():
    """`row[Memory].text` is a str, an enum a member, a number a number, a vector an array."""
    world = World()
    owner = world.spawn(1)
    ids = world.spawn(2, Memory(owner=owner[0], kind="chat", text=["tea", "bread"]), Position(x=2))
    row = world.entity(int(ids[1]))
    assert row.id == ids[1]
    assert row[Memory].text == "bread"
    assert row[Memory].kind is Kind.CHAT
    assert row[Memory].owner == owner[0]
    assert row[Memory].vector.tolist() == [0, 0, 0, 0]
    assert isinstance(row[Position].x, float)
    assert (row[Position].x, row[Position].norm) == (2, 2)


def test_a_row_knows_its_components():
    """components, `in`, and a repr that shows them all."""
    world = World()
    (entity,) = world.spawn(1, Position(x=1), Asleep)
    row = world.entity(entity)
    assert set(row.components) == {Position, Asleep}
    assert Position in row
    assert Velocity not in row
    assert str(int(entity)) in repr(row)
    assert "Position(x=1.0, y=0.0)" in repr(row)
    assert "Asleep()" in repr(row)


def test_a_row_follows_its_entity():
    """A row looks its entity up anew: it sees changes and moves, and raises once it is dead."""
    world = World()
    ids = world.spawn(3, Position(x=[1, 2, 3]))
    row = world.entity(int(ids[2]))
    world.despawn(ids[0])
    world.set(ids[2], Position(x=9))
    world.add(ids[2], Asleep)
    assert row[Position].x == 9
    assert Asleep in row
    world.despawn(ids[2])
    for access in (lambda: row[Position], lambda: row.components, lambda: Position in row):
        with refused(world, DeadEntityError, int(ids[2])):
            access()


def test_a_row_is_not_the_column():
    """Values of a row are copies: writing into its vector does not reach the world."""
    world = World()
    owner = world.spawn(1)
    (entity,) = world.spawn(1, Memory(owner=owner[0]))
    world.entity(entity)[Memory].vector[0] = 9
    assert not world.get(entity, Memory.vector).any()


def test_a_row_without_the_component():
    """What it lacks is named with what it has; what is no component too."""
    world = World()
    (entity,) = world.spawn(1, Position(x=1))
    row = world.entity(entity)
    with refused(world, ComponentMissingError, int(entity), "Velocity", "Position"):
        row[Velocity]
    with refused(world, UnknownComponentError, "int"):
        row[int]


def test_a_bare_entity():
    """An entity without components can be looked at."""
    world = World()
    row = world.entity(int(world.spawn(1)[0]))
    assert row.components == ()
    assert repr(row)


# -- all of it -----------------------------------------------------------------------------------


def test_describe():
    """Entities, archetypes with their rows, components with types and units, and the systems."""
    world = World(seed=42)
    world.spawn(1_234, Measured)
    world.spawn(2, Measured, Asleep)

    @system
    def fade(measured: Write[Measured]):
        measured.x *= 0.5

    world.add_system(fade)
    world.step(seconds(90))
    said = world.describe()
    for word in (
        "seed=42", "1,236 entities", "1,234", "Measured + Asleep", "x: float32 m", "n: int32",
        "v: float32[3]", "cache: float32 (derived)", "t = 90 s", "tick 1", "fade", "Asleep()",
    ):  # fmt: skip
        assert word in said
    assert "entities" in repr(world)


def test_describe_many_archetypes():
    """A world of very many archetypes is described on one page."""

    def make(number):
        @component
        class Tag:
            pass

        return Tag

    tags = [make(n) for n in range(6)]
    world = World()
    for number in range(64):
        world.spawn(1, *(tag for bit, tag in enumerate(tags) if number >> bit & 1))
    said = world.describe()
    assert "64 archetypes" in said
    assert len(said.splitlines()) < 50
    assert "more" in said


def test_describe_an_empty_world():
    """Nothing yet is fine."""
    assert "0 entities" in World().describe()


def test_memory():
    """Bytes by archetype and column: at least the rows' own bytes, and all columns are there."""
    world = World()
    world.spawn(1_000, Measured)
    columns = next(v for k, v in world.memory().items() if k == "Measured")
    assert columns["Measured.x"] >= 4_000
    assert columns["Measured.v"] == 3 * columns["Measured.x"]
    assert columns["ids"] == 2 * columns["Measured.x"]
    assert columns["Measured.x"] < 4 * 4_000
    assert world.memory()["(entities)"]["slots"] >= 16_000


def test_memory_of_indices_and_pairs():
    """Reference indices and pair tables are counted too."""
    world = World()
    people = world.spawn(100)
    before = sum(world.memory()["(indices)"].values())
    world.spawn(Tie(source=people, target=people[::-1]))
    indices = world.memory()["(indices)"]
    assert sum(indices.values()) > before
    assert {"Tie.source", "Tie.target", "Tie"} <= indices.keys()


def test_memory_of_tracking():
    """What tracking costs can be seen: a tick for each row and a shadow for each column."""
    world = World()
    world.track(Position)
    world.spawn(100, Position(x=0))
    columns = next(v for k, v in world.memory().items() if k == "Position")
    assert sum(v for k, v in columns.items() if "shadow" in k) == columns["Position.x"] * 2
    assert any("tick" in k for k in columns)


# -- telemetry -----------------------------------------------------------------------------------


def test_telemetry_counts():
    """Steps, commands, and for each system calls, tables and rows."""
    world = World()
    world.spawn(3, Position(x=0))
    world.spawn(4, Position(x=0), Asleep)

    @system
    def walk(position: Write[Position]):
        position.x += 1

    @system(every=2)
    def rest(position: Read[Position], asleep: Read[Asleep]):
        pass

    world.add_systems(walk, rest)
    world.commands.spawn(1, Hungry)
    for _ in range(4):
        world.step(1)
    assert world.telemetry.steps == 4
    assert world.telemetry.commands == 1
    stats = world.telemetry.systems
    assert (stats["walk"].calls, stats["walk"].tables, stats["walk"].rows) == (4, 8, 28)
    assert (stats["rest"].calls, stats["rest"].tables, stats["rest"].rows) == (2, 2, 8)
    assert stats["walk"].ns >= stats["walk"].first_ns > 0
    assert stats["walk"].rows_per_second > 0
    assert world.telemetry.step_ns >= stats["walk"].ns
    assert "walk" in world.telemetry.table()


def test_rows_per_second_leave_the_first_call_out():
    """The first call compiles: the rate is that of the calls after it, once there are any."""
    stats = SystemStats()
    stats.record(tables=1, rows=10, ns=1_000_000_000)
    assert stats.rows_per_second == 10
    stats.record(tables=1, rows=10, ns=500)
    stats.record(tables=2, rows=10, ns=500)
    assert stats.rows_per_second == pytest.approx(20 / 1_000 * 1e9)
    assert (stats.calls, stats.tables, stats.rows, stats.first_ns) == (3, 4, 30, 1_000_000_000)


def test_telemetry_of_nothing():
    """A system that never ran, and a world without systems, have zero counts."""
    world = World()
    world.step(1)
    assert world.telemetry.systems == {}
    assert world.telemetry.of("nobody").rows_per_second == 0
    assert "rows/s" in world.telemetry.table()


# -- digest --------------------------------------------------------------------------------------


def build(world):
    ids = world.spawn(6, Position(x=range(6)), Trace)
    world.add(ids[2:4], Asleep)
    owners = world.spawn(Memory(owner=ids[:3], text=["a", "b", "c"]))
    world.despawn(ids[5])
    return ids, owners


DIFFERENCES = {
    "a value": lambda world, ids: world.set(ids[0], Position(x=99)),
    "a sign": lambda world, ids: world.set(ids[0], Position(x=-0.0)),
    "a component": lambda world, ids: world.add(ids[0], Hungry),
    "a component less": lambda world, ids: world.remove(ids[2], Asleep),
    "an entity": lambda world, ids: world.spawn(1, Position(x=0)),
    "a bare entity": lambda world, ids: world.spawn(1),
    "an entity less": lambda world, ids: world.despawn(ids[4]),
    "a generation": lambda world, ids: world.despawn(world.spawn(1, Asleep)),
    "a reference": lambda world, ids: world.query(Memory).set(Memory(owner=ids[4])),
    "a text": lambda world, ids: world.query(Memory).set(Memory(text="new")),
    "an interned text": lambda world, ids: world.text.intern(["new"]),
    "the time": lambda world, ids: world.step(1),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_digest_sees(name):
    """Whatever a snapshot would keep changes the digest."""
    world = World(seed=1)
    ids, _ = build(world)
    before = world.digest()
    DIFFERENCES[name](world, ids)
    assert world.digest() != before


INDIFFERENT = {
    "nothing": lambda world, ids: None,
    "row order": lambda world, ids: (world.add(ids[1], Hungry), world.remove(ids[1], Hungry)),
    "cluster": lambda world, ids: world.cluster(Position.x),
    "capacity": lambda world, ids: (world.reserve(1_000, Position, Trace), world.shrink()),
    "a query": lambda world, ids: world.query(Velocity, any=(Tie,)).count(),
    "a derived field": lambda world, ids: [setattr(t, "strength", 3) for t in world.query(Trace)],
    "the same value": lambda world, ids: world.set(ids[:5], Position(x=range(5))),
    "tracking": lambda world, ids: world.track(Position, Velocity),
    "a mark": lambda world, ids: world.mark(),
    "an observer": lambda world, ids: world.observe("add", Velocity, print),
    "a template": lambda world, ids: world.template("t", Velocity),
    "an index": lambda world, ids: world.index(Tie.source),
    "no rows": lambda world, ids: world.spawn(0, Velocity),
}


@pytest.mark.parametrize("name", INDIFFERENT)
def test_the_digest_does_not_see(name):
    """Row order, capacity, caches and questions leave the digest as it is."""
    world = World(seed=1)
    ids, _ = build(world)
    before = world.digest()
    INDIFFERENT[name](world, ids)
    assert world.digest() == before


def test_the_seed_is_in_the_digest():
    """Worlds that differ by the seed will go different ways."""
    assert World(seed=1).digest() != World(seed=2).digest()
    assert World(seed=1).digest() == World(seed=1, threads=2).digest()
    assert World().digest() == World(seed=0).digest()


def test_text_pool():
    """Interning gives each string one code; codes decode; unknown ones are named."""
    world = World()
    codes = world.text.intern(["a", "b", "a", ""])
    assert codes.tolist() == [1, 2, 1, 0]
    assert codes.dtype == np.uint32
    assert world.text.intern("a").tolist() == [1]
    assert world.text.decode(codes) == ["a", "b", "a", ""]
    assert (world.text.find("b"), world.text.find("c"), world.text.find("")) == (2, None, 0)
    assert "a" in world.text
    assert "c" not in world.text
    assert len(world.text) == 3
    with pytest.raises(ValueError, match="3"):
        world.text.decode([3])
    with refused(world, ColumnTypeError, "place 1"):
        world.text.intern(["new", 5])
