"""Templates and required components: bundles that come whole."""

import numpy as np
import pytest

from populace import Text, World, component, f4, field
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    DuplicateComponentError,
    MissingFieldError,
    QueryError,
    RequiredComponentError,
    UnknownComponentError,
)

from .parts import Asleep, Hungry, Memory, Position, Trace, Velocity, refused


@component
class Body:
    mass: f4
    height: f4 = 1.7


@component(requires=(Trace, Velocity))
class Living:
    age: f4 = 0


@component(requires=(Living, Asleep))
class Person:
    name: Text = ""


@component(requires=(Body,))
class Strict:
    """Requires a component that has a field without default."""

    level: f4 = 0


# -- templates -----------------------------------------------------------------------------------


def test_a_template_is_spawned():
    """A template brings its components with its values, as often as asked."""
    world = World()
    villager = world.template("villager", Position(x=3, y=4), Velocity, Asleep)
    ids = world.spawn(5, villager)
    assert world.get(ids, Position.y).tolist() == [4] * 5
    assert world.has(ids, Asleep).all()
    assert world.spawn(villager).size == 1
    assert "villager" in repr(villager)
    assert "Position(x=3, y=4)" in repr(villager)


def test_values_beside_a_template_override_field_by_field():
    """What is given wins, the other fields keep the template's value; order does not matter."""
    world = World()
    villager = world.template("villager", Position(x=3, y=4), Velocity(y=2))
    for arguments in (
        (villager, Position(x=[7, 8]), Hungry),
        (Hungry, Position(x=[7, 8]), villager),
    ):
        ids = world.spawn(*arguments)
        assert world.get(ids, Position.x).tolist() == [7, 8]
        assert world.get(ids, Position.y).tolist() == [4, 4]
        assert world.get(ids, Velocity.y).tolist() == [2, 2]
        assert world.has(ids, Hungry).all()
    assert world.get(world.spawn(1, villager), Position.x).tolist() == [3]


def test_a_template_may_leave_fields_open():
    """A field without default may be missing in the template; it must be there at the spawn."""
    world = World()
    heavy = world.template("heavy", Body(height=2))
    with refused(world, MissingFieldError, "Body.mass"):
        world.spawn(heavy)
    ids = world.spawn(heavy, Body(mass=[80, 90]))
    assert world.get(ids, Body.height).tolist() == [2, 2]


def test_a_template_can_be_added():
    """`add` takes a template too."""
    world = World()
    ids = world.spawn(3)
    sleeper = world.template("sleeper", Velocity(x=1), Asleep)
    world.add(ids[:2], sleeper, Velocity(y=[5, 6]))
    assert world.get(ids[:2], Velocity.y).tolist() == [5, 6]
    assert world.has(ids, Asleep).tolist() == [True, True, False]


def test_a_template_keeps_its_values():
    """An array given to a template is copied: changing it later changes nothing."""
    world = World()
    xs = np.array([1.0, 2.0])
    pair = world.template("pair", Position(x=xs))
    xs[:] = 9
    assert world.get(world.spawn(pair), Position.x).tolist() == [1, 2]
    ids = world.spawn(pair, Position(x=5))
    assert world.get(ids, Position.x).tolist() == [5]
    assert world.get(world.spawn(pair), Position.x).tolist() == [1, 2]


def test_wrong_templates():
    """Two templates at once, a component twice, or what is no component is refused."""
    world = World()
    one, two = world.template("one", Asleep), world.template("two", Hungry)
    with refused(world, QueryError, "'one'", "'two'"):
        world.spawn(3, one, two)
    with refused(world, DuplicateComponentError, "Position"):
        world.template("three", Position(x=1), Position(y=1))
    with refused(world, UnknownComponentError, "7"):
        world.template("four", 7)
    with refused(world, ColumnValueError, "Velocity.x", "99"):
        world.spawn(2, world.template("five", Velocity(x=99)))
    with refused(world, ColumnShapeError, "Position.x"):
        world.spawn(3, world.template("six", Position(x=[1, 2])))


# -- required components -------------------------------------------------------------------------


def test_required_components_come_with_their_defaults():
    """Spawning a Person brings what it requires, and what that requires."""
    world = World()
    ids = world.spawn(2, Person(name=["Ada", "Ben"]))
    for cls in (Living, Asleep, Trace, Velocity):
        assert world.has(ids, cls).all()
    assert world.get(ids, Trace.importance).tolist() == [0.5, 0.5]


def test_a_required_component_can_be_given():
    """What is given is taken instead of the default."""
    world = World()
    ids = world.spawn(2, Person, Trace(importance=[0.1, 0.2]))
    assert world.get(ids, Trace.importance).tolist() == pytest.approx([0.1, 0.2])
    assert world.has(ids, Velocity).all()


def test_add_brings_only_what_is_lacking():
    """An entity that has a required component keeps its values; the others get the default."""
    world = World()
    have = world.spawn(1, Trace(importance=0.25, accessed=7))
    lack = world.spawn(1)
    world.add([int(lack[0]), int(have[0])], Living(age=[1, 2]))
    assert world.get([int(have[0]), int(lack[0])], Trace.accessed).tolist() == [7, 0]
    assert world.get([int(have[0]), int(lack[0])], Living.age).tolist() == [2, 1]
    assert world.has([int(have[0]), int(lack[0])], Velocity).all()
    world.check()


def test_one_that_cannot_be_made_must_be_given():
    """A required component with a field without default is named, with the field and the way
    out."""
    world = World()
    ids = world.spawn(2)
    with refused(world, RequiredComponentError, "Strict", "Body", "mass", "Body(mass=...)"):
        world.spawn(1, Strict)
    with refused(world, RequiredComponentError, "Strict", "Body"):
        world.add(ids, Strict)
    with refused(world, RequiredComponentError, "Body"):
        world.query().add(Strict)
    with refused(world, MissingFieldError, "Body.mass"):
        world.spawn(1, Strict, Body(height=2))
    world.spawn(1, Strict, Body(mass=3))
    world.add(ids[:1], Body(mass=1))
    world.add(ids[:1], Strict)
    with refused(world, RequiredComponentError, "Strict", "Body"):
        world.add(ids[1:], Strict)
    world.check()


def test_what_is_required_stays():
    """A component that another of the entity requires cannot be removed alone; both together
    can."""
    world = World()
    ids = world.spawn(3, Person)
    with refused(world, RequiredComponentError, "Living", "Trace"):
        world.remove(ids[:1], Trace)
    with refused(world, RequiredComponentError, "Person", "Living"):
        world.remove(ids, Living, Trace)
    with refused(world, RequiredComponentError, "Person", "Asleep"):
        world.query(Asleep).remove(Asleep)
    world.remove(ids, Person, Living, Trace)
    assert world.has(ids, Velocity).all()
    assert not world.has(ids, Trace).any()
    world.check()


def test_memories_require_traces():
    """The same through a reference component and an observer's eyes."""
    world, told = World(), []
    world.observe("add", Trace, lambda w, ids: told.extend(ids.tolist()))
    owner = world.spawn(1)
    ids = world.spawn(2, Memory(owner=owner[0]))
    assert told == ids.tolist()


def test_a_required_tag_and_a_range():
    """Defaults of required components obey their ranges, as every value does."""

    @component
    class Mood:
        level: f4 = field(0.5, range=(0, 1))

    @component(requires=(Mood, Hungry))
    class Soul:
        pass

    world = World()
    ids = world.spawn(2, Soul, Mood(level=[0, 1]))
    assert world.has(ids, Hungry).all()
    with refused(world, ColumnValueError, "Mood.level"):
        world.spawn(1, Soul, Mood(level=2))
