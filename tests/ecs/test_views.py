"""Views: columns without a copy, checked assignment, and never a write that is lost."""

import gc

import numpy as np
import pytest

from populace import Read, World, component, f4, field, system
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    PopulaceError,
    QueryError,
    StaleViewError,
)

from .parts import Asleep, Friend, Kind, Loose, Memory, Position, Tie, Trace, Velocity, refused


def make(n=5):
    world = World()
    return world, world.spawn(n, Position(x=np.arange(n), y=0), Velocity)


def only(query):
    (view,) = query
    return view


# -- reading and writing -------------------------------------------------------------------------


def test_a_column_is_the_table_itself():
    """`position.x` is writable, contiguous and no copy: what is written is in the world."""
    world, ids = make()
    position = only(world.query(Position))
    position.x[2] = 42
    position.x += 1
    position.y[:] = position.x * 2
    assert world.get(ids, Position.x).tolist() == [1, 2, 43, 4, 5]
    assert world.get(ids, Position.y).tolist() == [2, 4, 86, 8, 10]
    assert position.x.flags.c_contiguous
    assert position.x is position.x
    world.check()


def test_two_views_share_the_column():
    """Views of the same table see each other's writes."""
    world, _ = make()
    first, second = only(world.query(Position)), only(world.query(Position))
    first.x[0] = 9
    assert second.x[0] == 9
    assert np.shares_memory(first.x, second.x)


def test_columns_of_a_vector_field():
    """A vector field is an (n, width) column."""
    world = World()
    owner = world.spawn(1)
    ids = world.spawn(3, Memory(owner=owner[0]))
    memory = only(world.query(Memory))
    assert memory.vector.shape == (3, 4)
    memory.vector[1] = [1, 2, 3, 4]
    memory.vector[:, 0] = 9
    assert world.get(ids, Memory.vector).tolist() == [[9, 0, 0, 0], [9, 2, 3, 4], [9, 0, 0, 0]]


def test_in_place_operators():
    """+=, -=, *= and the like write through without a copy."""
    world, ids = make()
    position = only(world.query(Position))
    before = position.x
    position.x += 1
    position.x *= 3
    position.x -= 1
    position.x /= 2
    assert position.x is before
    assert world.get(ids, Position.x).tolist() == [1, 2.5, 4, 5.5, 7]


def test_assignment_is_checked_and_broadcasts():
    """Assigning a field takes what `set` takes, and refuses what `set` refuses."""
    world, ids = make(3)
    position, velocity = only(world.query(Position, Velocity))
    position.x = 7
    position.y = [1, 2, 3]
    velocity.x = position.y
    assert world.get(ids, Position.x).tolist() == [7, 7, 7]
    assert world.get(ids, Velocity.x).tolist() == [1, 2, 3]
    with refused(world, ColumnShapeError, "Position.x", "3 values"):
        position.x = [1, 2]
    with refused(world, ColumnTypeError, "Position.x"):
        position.x = "far"
    with refused(world, ColumnValueError, "Velocity.x", "[-10, 10]", "11"):
        velocity.x = [0, 11, 0]
    with refused(world, ColumnValueError, "nan"):
        position.y = np.nan


def test_assigning_a_column_of_the_view_to_another():
    """Overlapping assignments copy first: reversing a column into itself works."""
    world, ids = make(4)
    position = only(world.query(Position))
    position.x = position.x[::-1]
    assert world.get(ids, Position.x).tolist() == [3, 2, 1, 0]
    position.y = position.x
    position.x[0] = 99
    assert world.get(ids, Position.y).tolist() == [3, 2, 1, 0]


def test_text_and_enums_are_assigned_by_name():
    """A view takes str and members, as a value does; reading gives codes."""
    world = World()
    owner = world.spawn(1)
    ids = world.spawn(2, Memory(owner=owner[0]))
    memory = only(world.query(Memory))
    memory.text = ["tea", "bread"]
    memory.kind = [Kind.CHAT, "thought"]
    assert world.text.decode(memory.text) == ["tea", "bread"]
    assert memory.kind.tolist() == [1, 7]
    memory.text = "same"
    assert world.text.decode(world.get(ids, Memory.text)) == ["same", "same"]
    with refused(world, ColumnShapeError, "Memory.text"):
        memory.text = ["never", "seen", "words"]


def test_an_unknown_attribute_is_an_error():
    """A misspelt field raises, for reading and for writing; nothing is silently attached."""
    world, _ = make()
    position = only(world.query(Position))
    with pytest.raises(AttributeError):
        _ = position.z
    with pytest.raises((AttributeError, PopulaceError)):
        position.z = 1


def test_derived_fields_can_be_written():
    """A derived field is a column like others in a view: that is how a system fills it."""
    world = World()
    ids = world.spawn(3, Trace)
    trace = only(world.query(Trace))
    trace.strength = [1, 2, 3]
    trace.strength += 1
    assert world.get(ids, Trace.strength).tolist() == [2, 3, 4]


def test_ids_are_read_only():
    """Nobody can rewrite who a row is."""
    world, ids = make()
    view = only(world.query(Position))
    assert view.ids.tolist() == ids.tolist()
    with pytest.raises(ValueError, match="read-only"):
        view.ids[0] = 5
    with pytest.raises(AttributeError):
        view.ids = ids


@pytest.mark.parametrize("cls", [Memory, Friend, Tie])
def test_indexed_references_are_read_only(cls):
    """A reference with an index changes by `world.set` alone, or its index would be wrong."""
    world = World()
    people = world.spawn(3)
    values = {
        Memory: Memory(owner=people),
        Friend: Friend(other=people),
        Tie: Tie(source=people, target=people[0]),
    }
    world.spawn(values[cls])
    view = only(world.query(cls))
    name = next(iter(cls.__annotations__))
    with pytest.raises(ValueError, match="read-only"):
        getattr(view, name)[0] = people[1]
    with refused(world, QueryError, f"{cls.__name__}.{name}", "world.set"):
        setattr(view, name, people[1])
    world.check()


def test_a_loose_reference_can_be_written():
    """A reference without an index is a plain column; assignment still refuses the dead."""
    world = World()
    people = world.spawn(2)
    ids = world.spawn(2, Loose)
    view = only(world.query(Loose))
    view.about = people
    assert world.get(ids, Loose.about).tolist() == people.tolist()
    world.despawn(people[0])
    with refused(world, DeadEntityError, "Loose.about", int(people[0])):
        view.about = people
    assert world.get(ids, Loose.about).tolist() == people.tolist()


def test_len_and_repr():
    """A view knows its rows and says what it is."""
    world, ids = make(3)
    view = only(world.query(Position))
    assert len(view) == 3
    assert "Position" in repr(view)
    assert "3" in repr(view)
    world.despawn(ids[0])
    assert "stale" in repr(view)


# -- after a structural change -------------------------------------------------------------------

CHANGES = {
    "spawn": lambda world, ids: world.spawn(1, Position(x=0), Velocity),
    "spawn that grows": lambda world, ids: world.spawn(1_000, Position(x=0), Velocity),
    "despawn": lambda world, ids: world.despawn(ids[:1]),
    "despawn of the last row": lambda world, ids: world.despawn(ids[-1:]),
    "despawn of all": lambda world, ids: world.despawn(ids),
    "add": lambda world, ids: world.add(ids[1:2], Asleep),
    "add to all": lambda world, ids: world.query(Position).add(Asleep),
    "remove": lambda world, ids: world.remove(ids[:2], Velocity),
    "cluster": lambda world, ids: world.cluster(Position.x),
    "shrink": lambda world, ids: world.shrink(),
    "reserve": lambda world, ids: world.reserve(1_000, Position, Velocity),
    "track": lambda world, ids: world.track(Position),
    "arrival": lambda world, ids: world.add(world.spawn(1, Position(x=0)), Velocity),
    "upsert": lambda world, ids: world.ensure(
        Tie(source=ids[:1], target=ids[1:2]), Position(x=0), Velocity
    ),
    "commands": lambda world, ids: (world.commands.despawn(ids[:1]), world.sync()),
    "cascade": lambda world, ids: world.despawn(world.query(Memory).ids()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_write_is_never_lost(change):
    """After any structural change an array handed out before either still is the column, or refuses
    to be written. Nothing written goes nowhere."""
    world, ids = make()
    position = only(world.query(Position))
    array, alias = position.x, position.x[1:4]
    before = world.get(ids, Position.x)
    CHANGES[change](world, ids)
    if array.flags.writeable:
        array[:] = 77
        alive = ids[world.alive(ids)]
        assert (world.get(alive, Position.x) == 77).all()
        assert any(view.x is array for view in world.query(Position))
    else:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            array += 1
        assert array.size == before.size
    del alias
    world.check()


@pytest.mark.parametrize(
    "change",
    [
        "spawn",
        "spawn that grows",
        "despawn",
        "despawn of all",
        "add",
        "add to all",
        "remove",
        "arrival",
    ],
)
def test_a_stale_view_says_so(change):
    """After its table gained or lost rows every access to a view raises StaleViewError, with the
    component's name and the way out."""
    world, ids = make()
    position = only(world.query(Position))
    array = position.x
    CHANGES[change](world, ids)
    assert not array.flags.writeable
    for access in (
        lambda: position.x,
        lambda: position.y,
        lambda: position.ids,
        lambda: len(position),
        lambda: position.norm,
        lambda: setattr(position, "x", 1),
    ):
        with refused(world, StaleViewError, "Position", "query again"):
            access()


def test_views_of_other_tables_stay():
    """A change of one table leaves views and arrays of the others alone."""
    world, ids = make()
    other = world.spawn(3, Position(x=0), Asleep)
    view = only(world.query(Position, without=Asleep))
    array = view.x
    world.despawn(other)
    world.spawn(5, Velocity)
    world.set(ids[:1], Position(x=5))
    array[1] = 6
    assert view.x.tolist() == [5, 6, 2, 3, 4]
    assert world.get(ids, Position.x).tolist() == [5, 6, 2, 3, 4]


def test_setting_values_is_no_structural_change():
    """`set`, events, queries, marks and reading keep views alive."""
    world, ids = make()
    view = only(world.query(Position))
    array = view.x
    world.set(ids, Position(y=1))
    world.query(Position).set(Position(x=3))
    world.mark()
    world.query(Asleep).ids()
    world.digest()
    world.check()
    world.step(1)
    assert array.flags.writeable
    assert view.x is array
    assert array.tolist() == [3] * 5


def test_a_refused_call_keeps_views_alive():
    """Nothing has changed, so nothing is stale."""
    world, ids = make()
    view = only(world.query(Position))
    array = view.x
    for error, call in (
        (ColumnValueError, lambda: world.spawn(3, Position(x=np.nan), Velocity)),
        (ComponentPresentError, lambda: world.add(ids, Velocity)),
        (ComponentMissingError, lambda: world.remove(ids, Asleep)),
        (DeadEntityError, lambda: world.despawn([*ids.tolist(), 0])),
    ):
        with refused(world, error):
            call()
    assert array.flags.writeable
    assert view.x is array


def test_an_old_array_keeps_its_values():
    """An array handed out before rows were despawned still reads as it was, even when the memory of
    its table is used again."""
    world, ids = make()
    array = only(world.query(Position)).x
    values = array.tolist()
    world.despawn(ids)
    gc.collect()
    world.shrink()
    for _ in range(5):
        world.spawn(16, Position(x=-1), Velocity)
        world.shrink()
    assert array.tolist() == values or not array.flags.writeable
    assert array.size == 5


# -- in systems ----------------------------------------------------------------------------------


def test_read_views_are_read_only():
    """`Read[C]` hands out arrays that cannot be written, nor assigned; `Write[C]` is unaffected."""
    world, ids = make()
    caught = []

    @system
    def look(position: Read[Position]):
        for attempt in (
            lambda: position.x.__setitem__(0, 9),
            lambda: position.x.__iadd__(1),
            lambda: setattr(position, "x", 9),
            lambda: np.add(position.x, 1, out=position.x),
        ):
            with pytest.raises(ValueError, match=r"read-only|is read here") as error:
                attempt()
            caught.append(error.value)

    world.add_system(look)
    world.step(1)
    assert len(caught) == 4
    assert isinstance(caught[2], PopulaceError)
    assert "Write[Position]" in str(caught[2])
    assert world.get(ids, Position.x).tolist() == [0, 1, 2, 3, 4]
    assert only(world.query(Position)).x.flags.writeable


def test_a_property_can_write_through_its_view():
    """Methods of a component may write the columns of the view they are called on."""

    @component
    class Meter:
        level: f4 = field(0, range=(0, 10))

        def fill(self):
            self.level = 10

    world = World()
    ids = world.spawn(2, Meter)
    only(world.query(Meter)).fill()
    assert world.get(ids, Meter.level).tolist() == [10, 10]
