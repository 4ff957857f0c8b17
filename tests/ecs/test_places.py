"""`world.at`: tables and rows of some entities, for kernels that take events in their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace import Entity, Events, World, component, event, f4, field, i4, i8, system
from populace.ecs import Places, jit
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ComponentMissingError,
    DeadEntityError,
    PopulaceError,
    QueryError,
)
from populace.ecs.table import CHUNK

from .parts import (
    Asleep,
    Friend,
    Hungry,
    Kind,
    Memory,
    Position,
    Tie,
    Trace,
    Velocity,
    Weight,
    refused,
)


@component
class Score:
    """Points, and when they were last given."""

    points: i4 = 0
    since: i8 = 0
    shown: f4 = field(derived=True)


@event
class Scored:
    who: Entity
    points: i4
    time: i8 = 0


@jit
def score(row_e, points_e, time_e, points_n, since_n):
    """Doubles what is there and adds: the order of events matters."""
    for e in range(row_e.size):
        i = row_e[e]
        points_n[i] = (points_n[i] * 2 + points_e[e]) % 1_000_003
        since_n[i] = max(since_n[i], time_e[e])


def crowd(sizes=(4, 3, 5)):
    """A world whose entities with a score are in several tables, in mixed order of ids."""
    world = World()
    more = [(), (Asleep,), (Position(x=1),), (Asleep, Hungry), (Velocity, Position(x=2))]
    parts = [world.spawn(n, Score, *more[k % 5]) for k, n in enumerate(sizes)]
    ids = np.concatenate([np.empty(0, np.uint64), *parts])
    world.query(Score).set(Score(points=np.arange(len(ids)), since=-1))
    return world, ids


def indices(part, k):
    """Which places of the k ids a part is about."""
    return np.arange(k)[part.at]


# -- where they are ------------------------------------------------------------------------------


def test_one_table():
    """Ids of one table are one part: all of them, their rows in their order."""
    world, ids = crowd((4,))
    asked = ids[[2, 0, 3, 2]]
    [part] = world.at(asked)
    assert isinstance(part, Places)
    assert part.rows.dtype == np.uint32
    assert part.rows.shape == (4,)
    assert len(part) == 4
    assert indices(part, 4).tolist() == [0, 1, 2, 3]
    assert asked[part.at].tolist() == asked.tolist()
    column = part.read(Score.points)
    assert column[part.rows].tolist() == world.get(asked, Score.points).tolist()


def test_several_tables():
    """Each table is one part; its ids keep their order, repeats included."""
    world, ids = crowd((3, 3))
    asked = ids[[5, 0, 4, 1, 0, 5, 5]]
    parts = world.at(asked)
    found = sorted(indices(part, 7).tolist() for part in parts)
    assert found == [[0, 2, 5, 6], [1, 3, 4]]
    for part in parts:
        some = asked[part.at]
        assert len(part) == some.size
        points = part.read(Score.points)[part.rows]
        assert points.tolist() == world.get(some, Score.points).tolist()
        assert part.has(Asleep) == world.has(some, Asleep).all()


@given(
    st.lists(st.integers(0, 6), max_size=6),
    st.lists(st.integers(0, 10**6), max_size=50),
    st.booleans(),
)
def test_every_id_is_in_its_place_once(sizes, drawn, cluster):
    """The parts together name each place of the ids once, in ascending order inside a part, one
    part a table; what is read there is what `world.get` gives."""
    world, ids = crowd(sizes)
    asked = ids[np.array(drawn, int) % ids.size] if ids.size else ids
    if cluster:
        world.cluster(Score.points)
    parts = world.at(asked)
    taken = [indices(part, asked.size) for part in parts]
    assert all((np.diff(at) > 0).all() for at in taken)
    assert sorted(np.concatenate([[], *taken]).tolist()) == list(range(asked.size))
    kinds = [tuple(part.has(cls) for cls in (Asleep, Position, Hungry, Velocity)) for part in parts]
    assert len(set(kinds)) == len(kinds)
    assert all(len(part) for part in parts)
    for part, at in zip(parts, taken, strict=True):
        for made in (Score.points, Score.since, Score.shown):
            want = world.get(asked[at], made)
            assert part.read(made)[part.rows].tobytes() == want.tobytes()


def test_no_ids_are_nowhere():
    """An empty batch has no parts, in an empty world too."""
    for world in (World(), crowd()[0]):
        assert world.at([]) == []
        assert world.at(np.empty(0, np.uint64)) == []


def test_ids_in_every_form():
    """One id, a list, a signed array, a slice of an array: as everywhere."""
    world, ids = crowd((4,))
    for asked in (ids[1], int(ids[1]), [ids[1]], ids[1:2], ids[::-1][2:3], ids[1:2].astype("i8")):
        [part] = world.at(asked)
        assert part.read(Score.points)[part.rows].tolist() == [1]
    with refused(world, ColumnShapeError, "shape (2, 2)"):
        world.at(ids.reshape(2, 2))
    with refused(world, ColumnTypeError, "float64"):
        world.at([0.5])


def test_they_are_found_again_after_a_move():
    """After a structural change `at` knows the new tables and rows."""
    world, ids = crowd((6,))
    world.add(ids[[1, 4]], Hungry)
    world.despawn(ids[0])
    for part in world.at(ids[1:]):
        some = ids[1:][part.at]
        assert part.read(Score.points)[part.rows].tolist() == world.get(some, Score.points).tolist()
        assert part.has(Hungry) == (1 in world.get(some, Score.points))


def test_entities_without_components_have_places_too():
    """There is nothing to read, and the error says so."""
    world = World()
    bare = world.spawn(2)
    [part] = world.at(bare)
    assert (len(part), part.has(Score)) == (2, False)
    with refused(world, ComponentMissingError, int(bare[0]), "Score", "no component"):
        part.read(Score.points)


# -- reading and writing -------------------------------------------------------------------------


def test_columns_of_every_kind():
    """Vectors come as (n, d), texts and enums as codes, references as ids: the raw columns."""
    world = World()
    owner = world.spawn(1)
    vectors = np.arange(12).reshape(3, 4)
    ids = world.spawn(
        Memory(owner=owner[[0, 0, 0]], kind="thought", text=["a", "b", "a"], vector=vectors),
        Trace(importance=[0.5, 0.25, 1]),
    )
    [part] = world.at(ids[[2, 1]])
    assert part.read(Memory.vector).shape == (3, 4)
    assert part.read(Memory.vector)[part.rows].tolist() == vectors[[2, 1]].tolist()
    assert world.text.decode(part.read(Memory.text)[part.rows]) == ["a", "b"]
    assert part.read(Memory.kind)[part.rows].tolist() == [Kind.THOUGHT] * 2
    assert part.read(Memory.owner)[part.rows].tolist() == [owner[0]] * 2
    part.write(Memory.vector)[part.rows, 1] = -1
    assert world.get(ids, Memory.vector)[:, 1].tolist() == [1, -1, -1]
    strength = part.write(Trace.strength)
    strength[part.rows] = 0.5
    assert world.get(ids, Trace.strength)[1:].tolist() == [0.5, 0.5]


events = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 999), st.integers(-5, 99)), max_size=40
)


def scored(world, ids, drawn):
    """Apply events (whose place, points, time) by kernel, one table after the other."""
    who, points, time = np.array(drawn, np.int64).reshape(-1, 3).T
    for part in world.at(ids[who]):
        score(
            part.rows,
            points[part.at],
            time[part.at],
            part.write(Score.points),
            part.write(Score.since),
        )


@given(events, st.integers(0, 40))
def test_writes_land_in_the_order_of_the_ids(drawn, cut):
    """A kernel over each table does what a loop over all events does, in one batch or two."""
    expected = {k: (k, -1) for k in range(12)}
    for who, points, time in drawn:
        before, since = expected[who]
        expected[who] = (before * 2 + points) % 1_000_003, max(since, time)
    for batches in ([drawn], [drawn[:cut], drawn[cut:]]):
        world, ids = crowd((4, 3, 5))
        for batch in batches:
            scored(world, ids, batch)
        values = [world.get(ids, made).tolist() for made in (Score.points, Score.since)]
        assert dict(enumerate(zip(*values, strict=True))) == expected
        world.check()


def test_only_the_rows_written_change():
    """The others keep every bit, whatever table they are in."""
    world, ids = crowd()
    before = world.get(ids, Score.points)
    for part in world.at(ids[[1, 6, 11]]):
        part.write(Score.points)[part.rows] += 1000
    changed = world.get(ids, Score.points) - before
    assert np.flatnonzero(changed).tolist() == [1, 6, 11]
    assert changed[[1, 6, 11]].tolist() == [1000] * 3


def test_in_a_system_that_takes_the_world():
    """How a law applies its events; those of the dead are the system's care."""
    world, ids = crowd()

    @system
    def take(w: World, scored: Events[Scored]):
        for part in w.at(scored.who):
            score(
                part.rows,
                scored.points[part.at],
                scored.time[part.at],
                part.write(Score.points),
                part.write(Score.since),
            )

    world.add_system(take)
    world.step(1)
    world.emit(Scored(who=ids[[2, 9, 2]], points=[1, 2, 3], time=[10, 20, 15]))
    world.step(1)
    assert world.get(ids[[2, 9]], Score.points).tolist() == [(2 * 2 + 1) * 2 + 3, 9 * 2 + 2]
    assert world.get(ids[[2, 9]], Score.since).tolist() == [15, 20]


# -- changes -------------------------------------------------------------------------------------


def test_changes_are_seen():
    """Rows written through `write` count as changed where their value differs; reading is none."""
    world, ids = crowd()
    world.track(Score)
    mark = world.mark()
    for part in world.at(ids):
        part.read(Score.points)
    assert world.changed_since(mark, Score).size == 0
    for part in world.at(ids[[3, 3, 10, 5]]):
        column = part.write(Score.points)
        column[part.rows] = 3  # what entity 3 has already
    assert world.changed_since(mark, Score).tolist() == sorted(ids[[10, 5]].tolist())
    later = world.mark()
    assert world.changed_since(later, Score).size == 0
    for part in world.at(ids[:1]):
        part.write(Score.since)[part.rows] = 7
    assert world.changed_since(later, Score).tolist() == ids[:1].tolist()
    assert world.changed_since(mark, Score).tolist() == sorted(ids[[0, 5, 10]].tolist())


@given(st.lists(events, min_size=1, max_size=4))
def test_any_writes_are_seen_by_value(batches):
    """After each batch exactly those are changed whose values are not what they were."""
    world, ids = crowd((4, 3, 5))
    world.track(Score)
    for drawn in batches:
        mark = world.mark()
        before = [world.get(ids, made) for made in (Score.points, Score.since)]
        scored(world, ids, drawn)
        after = [world.get(ids, made) for made in (Score.points, Score.since)]
        differ = np.logical_or(*(old != new for old, new in zip(before, after, strict=True)))
        assert world.changed_since(mark, Score).tolist() == sorted(ids[differ].tolist())


def test_changes_in_every_chunk():
    """In a table of several chunks those of the written rows are looked at, the last one too."""
    world = World()
    n = 2 * CHUNK + 10
    ids = world.spawn(n, Score)
    world.track(Score)
    mark = world.mark()
    for k in (0, CHUNK - 1, CHUNK, n - 1):
        [part] = world.at(ids[k])
        part.write(Score.points)[part.rows] = 1
    assert world.changed_since(mark, Score).tolist() == ids[[0, CHUNK - 1, CHUNK, n - 1]].tolist()


def test_changes_before_rows_move():
    """What was written is not lost when rows move before anybody asks."""
    world, ids = crowd((6,))
    world.track(Score)
    mark = world.mark()
    [part] = world.at(ids[[1, 5]])
    part.write(Score.points)[part.rows] = 99
    world.despawn(ids[0])
    world.add(ids[2], Hungry)
    assert world.changed_since(mark, Score).tolist() == ids[[1, 5]].tolist()
    assert world.get(ids[[1, 5]], Score.points).tolist() == [99, 99]


def test_one_component_written_is_no_change_of_another():
    """Tracked is what was asked for, whatever else is written in the same table."""
    world = World()
    ids = world.spawn(3, Score, Position(x=0))
    world.track(Position)
    mark = world.mark()
    [part] = world.at(ids)
    part.write(Score.points)[part.rows] = 4
    assert world.changed_since(mark, Position).size == 0
    part.write(Position.x)[part.rows[1:2]] = 4
    assert world.changed_since(mark, Position).tolist() == ids[1:2].tolist()


# -- refusals ------------------------------------------------------------------------------------


def test_the_dead_have_no_place():
    """A dead, unknown or null id is an error at once, that names it."""
    world, ids = crowd()
    world.despawn(ids[5])
    for bad in (ids[5], 0, 2**64 - 1):
        with refused(world, DeadEntityError, int(bad) or "NOBODY"):
            world.at([ids[0], ids[1], bad])


def test_a_component_that_is_not_there():
    """Reading and writing both say which entity lacks what, and what it has."""
    world, ids = crowd((2, 2, 2))
    asleep, plain = ids[2:4], ids[:2]
    for part in world.at(ids[:4]):
        some = ids[:4][part.at]
        assert some.tolist() in (asleep.tolist(), plain.tolist())
        for use in (part.read, part.write):
            with refused(world, ComponentMissingError, int(some[0]), "Position", "Score"):
                use(Position.x)
    [part] = [part for part in world.at(ids) if part.has(Position)]
    assert part.read(Position.x)[part.rows].tolist() == [1, 1]


def test_indexed_fields_are_not_written():
    """References with an index, and so the pairs of edges, change by `world.set` alone."""
    world = World()
    a, b = world.spawn(2, Hungry)
    ties = world.spawn(Tie(source=[a, b], target=[b, a]), Weight(w=1))
    friends = world.spawn(1, Friend(other=a))
    [part] = world.at(ties)
    for made in (Tie.source, Tie.target):
        with refused(world, QueryError, made.name, "world.set"):
            part.write(made)
        assert part.read(made)[part.rows].size == 2
    with refused(world, QueryError, "other", "world.set"):
        world.at(friends)[0].write(Friend.other)
    part.write(Weight.w)[part.rows] = [3, 4]
    assert world.get(ties, Weight.w).tolist() == [3, 4]


@pytest.mark.parametrize("wrong", [Score, "points", None, 3])
def test_fields_are_asked_for_by_field(wrong):
    """A class, a name or a number is no field."""
    world, ids = crowd((2,))
    [part] = world.at(ids)
    for use in (part.read, part.write):
        with refused(world, QueryError, "field"):
            use(wrong)


def test_only_components_can_be_had():
    """As `world.has` does, `has` refuses what is no component."""
    world, ids = crowd((2,))
    [part] = world.at(ids)
    with pytest.raises(PopulaceError):
        part.has(int)
