"""Fields that are written once: given with their component, and by no other way."""

import numpy as np
import pytest

from populace import (
    Commands,
    Entity,
    Id,
    Read,
    Vector,
    World,
    Write,
    component,
    f4,
    field,
    i8,
    kernel,
    system,
)
from populace.ecs.errors import (
    ColumnTypeError,
    ColumnValueError,
    ComponentDefinitionError,
    MissingFieldError,
    QueryError,
    SystemSignatureError,
)
from populace.ecs.image import capture, restore

from .parts import Position, Tie, refused

ONCE = "written once; remove Mark from the entity and add it anew"


@component
class Mark:
    """Three fields, of which two are fixed."""

    vector: Vector[3] = field(fixed=True)
    weight: f4 = field(0.5, range=(0, 1), fixed=True)
    note: i8 = 0


def marked(n=4):
    """A world of n entities with a `Mark`, and their ids."""
    world = World(debug=True)
    return world, world.spawn(n, Mark(vector=np.arange(3 * n).reshape(n, 3)), Position(x=1))


def test_it_says_so():
    """The field knows, and why its column is sealed; another does not."""
    assert Mark.vector.fixed
    assert Mark.vector.sealed == f"Mark.vector is {ONCE}"
    assert not Mark.note.fixed
    assert Mark.note.sealed == ""


@pytest.mark.parametrize(
    "value",
    [Mark(vector=[1, 2, 3]), Mark(weight=0.25), Mark(weight=0.5), Mark(weight=0.25, note=7)],
)
def test_it_cannot_be_set(value):
    """Not even to what it is; nor does the rest of the same value come through."""
    world, ids = marked()
    for write in (
        lambda: world.set(ids, value),
        lambda: world.set(ids[1:2], Position(x=9), value),
        lambda: world.query(Mark).set(value),
        lambda: world.query(Mark).where(np.array([True, False, True, False])).set(value),
    ):
        with refused(world, QueryError, "Mark.", ONCE):
            write()


def test_the_other_fields_of_its_component_are_free():
    """Set, by a view, by places, by a kernel."""
    world, ids = marked()
    world.set(ids[:1], Mark(note=1))
    (view,) = world.query(Mark)
    view.note[1] = 2
    for part in world.at(ids[2:3]):
        part.write(Mark.note)[part.rows] = 3
    world.add_system(count_notes)
    world.step(1)
    assert world.get(ids, Mark.note).tolist() == [11, 12, 13, 10]
    assert world.get(ids, Mark.vector)[3].tolist() == [9, 10, 11]


@kernel
def count_notes(mark: Write[Mark]):
    """note is ten more."""
    mark.note += 10


def test_a_view_shows_it_read_only():
    """Its column refuses writes of any form; assigning is refused with the reason."""
    world, _ = marked()
    (view,) = world.query(Mark)
    assert view.vector.shape == (4, 3)
    with refused(world, ValueError, "read-only"):
        view.vector[0] = 7
    with refused(world, ValueError, "read-only"):
        view.vector.reshape(-1)[0] = 7
    with refused(world, ValueError, "read-only"):
        np.multiply(view.weight, 2, out=view.weight)
    with refused(world, QueryError, "Mark.weight", ONCE):
        view.weight = 1.0
    with pytest.raises(ValueError, match="read-only"):
        view.weight += 1


def test_a_systems_view_shows_it_read_only():
    """Declared as written or not."""
    world, _ = marked()
    digest = world.digest()

    @system
    def write(mark: Write[Mark]):
        mark.weight[:] = 1

    world.add_system(write)
    with pytest.raises(ValueError, match="read-only"):
        world.step(1)
    assert world.get(world.query(Mark).ids(), Mark.weight).tolist() == [0.5] * 4
    assert world.digest() == digest or world.clock.now > 0


def test_places_give_it_to_read_alone():
    """`read` does, `write` says why not."""
    world, ids = marked()
    (part,) = world.at(ids[1:3])
    assert part.read(Mark.vector)[part.rows].tolist() == [[3, 4, 5], [6, 7, 8]]
    with refused(world, QueryError, "Mark.vector", ONCE):
        part.write(Mark.vector)


def test_a_kernel_that_writes_it_is_refused():
    """When it is made, by name, with the reason; one that reads it runs."""

    def move(mark: Write[Mark]):
        """Writes what it must not."""
        mark.weight = 0.25

    with pytest.raises(SystemSignatureError, match=rf"kernel move.*Mark\.weight is {ONCE}"):
        kernel(move)

    @kernel
    def follow(mark: Read[Mark], position: Write[Position]):
        """Reads it."""
        position.x = mark.weight * 8

    world, ids = marked()
    world.add_system(follow)
    world.step(1)
    assert world.get(ids, Position.x).tolist() == [4] * 4


def test_it_is_given_with_its_component():
    """At spawn, or when it is added: checked then, with its default if it has one."""
    world, ids = marked(2)
    more = world.spawn(2)
    for value, error in (
        (Mark(), MissingFieldError),
        (Mark(vector=[0, 0, np.nan]), ColumnValueError),
        (Mark(vector=[0, 0, 0], weight=2), ColumnValueError),
        (Mark(vector="abc"), ColumnTypeError),
    ):
        with refused(world, error, "Mark."):
            world.add(more, value)
    world.add(more, Mark(vector=[1, 2, 3], weight=[0.25, 0.75]))
    assert world.get(more, Mark.weight).tolist() == [0.25, 0.75]
    assert world.get(ids, Mark.weight).tolist() == [0.5, 0.5]


def test_it_changes_by_removing_and_adding_which_observers_see():
    """An index that listens hears of both."""
    world, ids = marked()
    told = []
    world.observe("remove", Mark, lambda _, some: told.append(("gone", some.tolist())))
    world.observe("add", Mark, lambda _, some: told.append(("there", some.tolist())))
    world.remove(ids[1:3], Mark)
    world.add(ids[1:3], Mark(vector=[[7, 7, 7], [8, 8, 8]]))
    assert told == [("gone", ids[1:3].tolist()), ("there", ids[1:3].tolist())]
    assert world.get(ids, Mark.vector)[:, 0].tolist() == [0, 7, 8, 9]
    world.check()


def test_an_edge_that_exists_keeps_its_own():
    """An upsert gives it to new pairs, is refused for one that is there, and `ensure` leaves it."""
    world = World(debug=True)
    people = world.spawn(3)
    made, _ = world.upsert(Tie(source=people[0], target=people[1]), Mark(vector=[1, 2, 3]))
    with refused(world, QueryError, "Mark.vector", ONCE):
        world.upsert(
            Tie(source=people[0], target=people[[2, 1]]), Mark(vector=[[7, 7, 7], [8, 8, 8]])
        )
    world.ensure(Tie(source=people[0], target=people[[2, 1]]), Mark(vector=[9, 9, 9]))
    assert world.get(made, Mark.vector).tolist() == [[1, 2, 3]]
    assert world.query(Mark).count() == 2


def test_queued_commands_are_held_to_it():
    """A `set` by commands is refused, at the latest when it is applied."""
    world, _ = marked()

    @system
    def write(ids: Id, mark: Read[Mark], commands: Commands):
        commands.set(ids, Mark(weight=1.0))

    world.add_system(write)
    with pytest.raises(QueryError, match=r"Mark\.weight"):
        world.step(1)
    assert set(world.get(world.query(Mark).ids(), Mark.weight).tolist()) == {0.5}


def test_it_is_kept_with_the_world():
    """Saved and restored as any other; rows move as rows move."""
    world, ids = marked(6)
    world.despawn(ids[[0, 2]])
    other = restore(capture(world))
    left = ids[[1, 3, 4, 5]]
    assert other.get(left, Mark.vector).tolist() == world.get(left, Mark.vector).tolist()
    assert world.get(left, Mark.vector)[:, 0].tolist() == [3, 9, 12, 15]


def test_what_has_no_sense():
    """A derived field is filled again and again; the error is at the class."""
    with pytest.raises(ComponentDefinitionError, match=r"Bad\.x.*derived.*cannot be fixed"):

        @component
        class Bad:
            x: f4 = field(derived=True, fixed=True)


@component
class Named:
    """A reference that is indexed and fixed."""

    to: Entity = field(index=True, on_despawn="null", fixed=True)


def test_a_fixed_reference_is_nulled_when_its_end_dies():
    """It cannot be set, but never names the dead."""
    world = World(debug=True)
    people = world.spawn(2)
    ids = world.spawn(2, Named(to=people))
    with refused(world, QueryError, "Named.to"):
        world.set(ids, Named(to=people[::-1]))
    world.despawn(people[:1])
    assert world.get(ids, Named.to).tolist() == [0, int(people[1])]
    world.check()
