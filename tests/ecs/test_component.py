"""`@component` and `@event`: what a class may declare, and what becomes of it."""

import copy
import inspect
import pickle
from enum import IntEnum

import numpy as np
import pytest

from populace import (
    Entity,
    Text,
    Vector,
    World,
    b1,
    component,
    event,
    f2,
    f4,
    f8,
    field,
    i1,
    i2,
    i4,
    i8,
    schema,
    u1,
    u2,
    u4,
    u8,
)
from populace.ecs.errors import (
    ComponentDefinitionError,
    MissingFieldError,
    PopulaceError,
    UnknownComponentError,
    UnknownFieldError,
)

from . import future_annotations
from .parts import Asleep, Kind, Memory, Position, Tie, Trace, Velocity

# -- what a class becomes ------------------------------------------------------------------------


def test_fields_say_what_they_are():
    """On the class a name is a Field that carries dtype, kind, shape, unit, range and rules."""
    assert Velocity.x.component is Velocity
    assert (Velocity.x.name, str(Velocity.x)) == ("x", "Velocity.x")
    assert (Velocity.x.dtype, Velocity.x.kind, Velocity.x.shape) == (np.float32, "scalar", ())
    assert (Velocity.x.unit, Velocity.x.range, Velocity.x.default) == ("m/s", (-10, 10), 0)
    assert "m/s" in repr(Velocity.x)
    assert (Memory.vector.kind, Memory.vector.shape, Memory.vector.dtype) == (
        "vector",
        (4,),
        np.float32,
    )
    assert (Memory.text.kind, Memory.text.dtype) == ("text", np.uint32)
    assert (Memory.kind.kind, Memory.kind.dtype, Memory.kind.choices) == ("enum", np.uint8, Kind)
    assert (Memory.owner.kind, Memory.owner.dtype) == ("entity", np.uint64)
    assert (Memory.owner.index, Memory.owner.on_despawn) == (True, "despawn")
    assert Trace.strength.derived
    assert not Trace.importance.derived


def test_schema_reads_a_class():
    """`schema` gives name, fields in order, requirements, unique pair and documentation."""
    made = schema(Memory)
    assert (made.name, made.cls, made.requires, made.unique) == ("Memory", Memory, (Trace,), ())
    assert [f.name for f in made.fields] == ["owner", "kind", "text", "vector"]
    assert [f.name for f in schema(Trace).persisted] == ["importance", "accessed"]
    assert schema(Position).doc == "Where an entity is."
    assert schema(Asleep).is_tag
    assert not schema(Position).is_tag
    assert schema(Tie).unique == (Tie.source, Tie.target)


@pytest.mark.parametrize("kind", [f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, b1])
def test_every_scalar_type_makes_a_column(kind):
    """All twelve scalar types of numpy's own names are columns of exactly that dtype."""

    @component
    class Holder:
        value: kind = 0 if kind is not b1 else False

    world = World()
    ids = world.spawn(2, Holder)
    world.set(ids[:1], Holder(value=np.array([1], kind)))
    found = world.get(ids, Holder.value)
    assert found.dtype == np.dtype(kind)
    assert found.tolist() == [1, 0]


def test_a_field_knows_its_documentation_and_survives_copies():
    """`doc` is kept; a copied or pickled field is the very same object."""

    @component
    class Documented:
        x: f4 = field(0, doc="metres east of the well")

    assert Documented.x.doc == "metres east of the well"
    assert copy.deepcopy(Position.x) is Position.x
    assert pickle.loads(pickle.dumps(Position.x)) is Position.x


def test_the_signature_is_that_of_the_fields():
    """`inspect.signature` lists the fields that can be given, for editors and help()."""
    parameters = inspect.signature(Trace).parameters
    assert list(parameters) == ["importance", "accessed"]
    assert parameters["importance"].default == 0.5
    assert inspect.signature(Position).parameters["x"].default is inspect.Parameter.empty


def test_a_value_keeps_what_it_was_given():
    """A value has its fields as attributes: what was given, else the default; it is fixed."""
    value = Position(x=[1, 2])
    assert value.x == [1, 2]
    assert value.y == 0.0
    assert repr(value) == "Position(x=[1, 2])"
    assert Position(3, 4).y == 4
    with pytest.raises(AttributeError, match=r"Position\(x=\.\.\.\)"):
        value.x = 5


def test_properties_work_on_values_and_on_views():
    """A property of the class computes on a value and on whole columns alike."""
    assert Position(x=3, y=4).norm == 5
    world = World()
    world.spawn(Position(x=[3.0, 6.0], y=[4.0, 8.0]))
    for position in world.query(Position):
        assert position.norm.tolist() == [5, 10]
        assert isinstance(position, Position)


def test_methods_and_constants_stay():
    """Methods, class methods and attributes without annotation are no fields."""

    @component
    class Clockwork:
        LIMIT = 12
        ticks: i4 = 0

        def left(self):
            return self.LIMIT - self.ticks

        @staticmethod
        def unit():
            return "ticks"

    assert [f.name for f in schema(Clockwork).fields] == ["ticks"]
    assert Clockwork.unit() == "ticks"
    world = World()
    world.spawn(Clockwork(ticks=[1, 2]))
    for view in world.query(Clockwork):
        assert view.left().tolist() == [11, 10]


def test_annotations_may_be_strings():
    """Under `from __future__ import annotations` a component is the same, also inside a function
    where the annotation names a local class."""
    assert future_annotations.Plain.x.dtype == np.float32
    assert future_annotations.Plain.vector.shape == (3,)
    local, choices = future_annotations.local_component()
    assert local.state.choices is choices
    assert local.owner.kind == "entity"
    world = World()
    ids = world.spawn(local(state=choices.ON))
    assert world.get(ids, local.state).tolist() == [1]


def test_classes_of_one_name_are_different_components():
    """Two classes called alike in different functions do not share columns."""

    def make():
        @component
        class Twin:
            x: f4 = 0

        return Twin

    first, second = make(), make()
    world = World()
    ids = world.spawn(1, first(x=1), second(x=2))
    assert world.get(ids, first.x) == 1
    assert world.get(ids, second.x) == 2
    world.remove(ids, first)
    assert not world.has(ids, first)[0]
    assert world.has(ids, second)[0]
    world.check()


def test_defaults_fill_what_is_not_given():
    """Each kind of default arrives in the column, a scalar default fills a whole vector."""

    @component
    class Full:
        number: i2 = 7
        flag: b1 = True
        text: Text = "quiet"
        kind: Kind = Kind.THOUGHT
        whole: Vector[3] = 2
        each: Vector[2, i1] = (1, -1)
        who: Entity = 0
        cache: f4 = field(derived=True)

    world = World()
    row = world.entity(int(world.spawn(3, Full)[2]))[Full]
    assert (row.number, row.flag, row.text, row.kind, row.who) == (
        7,
        True,
        "quiet",
        Kind.THOUGHT,
        0,
    )
    assert row.whole.tolist() == [2, 2, 2]
    assert row.each.tolist() == [1, -1]
    assert Full.each.row_bytes == 2
    assert Full.whole.row_bytes == 12


def test_the_limits_of_enums_and_vectors():
    """Codes 0 and 255, and a vector of one, are allowed."""

    class Edge(IntEnum):
        LOW = 0
        HIGH = 255

    @component
    class Limits:
        edge: Edge = Edge.HIGH
        one: Vector[1] = 3

    world = World()
    ids = world.spawn(2, Limits(edge=[Edge.HIGH, "low"]))
    assert world.get(ids, Limits.edge).tolist() == [255, 0]
    assert world.get(ids, Limits.one).tolist() == [[3], [3]]
    world.check()


def test_defaults_are_not_shared_between_rows():
    """Changing one row's default vector changes no other row, nor later ones."""
    world = World()
    owner = world.spawn(1)
    ids = world.spawn(2, Memory(owner=owner[0]))
    for memory in world.query(Memory):
        memory.vector[0] = 9
    later = world.spawn(1, Memory(owner=owner[0]))
    assert world.get([ids[1], later[0]], Memory.vector).max() == 0


def test_on_despawn_defaults():
    """An indexed reference is nulled unless told otherwise, a plain one is kept."""

    @component
    class Refers:
        kept: Entity = 0
        nulled: Entity = field(0, index=True)

    assert Refers.kept.on_despawn == "keep"
    assert Refers.nulled.on_despawn == "null"


# -- what cannot be a component ------------------------------------------------------------------


def definitions():
    """(what the message must say, a function that defines something wrong)."""

    def plain_float():
        @component
        class C:
            x: float

    def plain_int():
        @component
        class C:
            x: int = 0

    def unsupported_numpy():
        @component
        class C:
            x: np.complex64

    def long_double():
        @component
        class C:
            x: np.longdouble

    def array_type():
        @component
        class C:
            x: np.ndarray

    def unknown_name():
        @component
        class C:
            x: "Unheard"  # noqa: F821

    def unknown_attribute():
        @component
        class C:
            x: "np.nope"

    def no_expression():
        @component
        class C:
            x: "f4 f4"  # noqa: F722

    def inherited():
        @component
        class C(Position):
            z: f4 = 0

    def reserved_name():
        @component
        class C:
            ids: u8

    def underscore():
        @component
        class C:
            _x: f4

    def no_annotation():
        @component
        class C:
            x = field(0.5)

    def default_outside_range():
        @component
        class C:
            x: f4 = field(2, range=(0, 1))

    def default_of_wrong_type():
        @component
        class C:
            x: i4 = 0.5

    def default_nan():
        @component
        class C:
            x: f4 = float("nan")

    def default_text():
        @component
        class C:
            x: Text = 5

    def default_choice():
        @component
        class C:
            x: Kind = 2

    def default_somebody():
        @component
        class C:
            x: Entity = 1 << 32

    def default_array():
        @component
        class C:
            x: f4 = (1, 2)

    def default_of_wrong_width():
        @component
        class C:
            x: Vector[3] = (1, 2)

    def default_overflows():
        @component
        class C:
            x: u1 = 256

    def empty_range():
        @component
        class C:
            x: f4 = field(0, range=(1, 0))

    def range_of_nan():
        @component
        class C:
            x: f4 = field(0, range=(float("nan"), 1))

    def range_of_text():
        @component
        class C:
            x: Text = field("", range=(0, 1))

    def range_of_flag():
        @component
        class C:
            x: b1 = field(False, range=(0, 1))

    def index_of_number():
        @component
        class C:
            x: f4 = field(0, index=True)

    def rule_without_index():
        @component
        class C:
            x: Entity = field(on_despawn="despawn")

    def unknown_rule():
        @component
        class C:
            x: Entity = field(index=True, on_despawn="mourn")

    def index_that_keeps_the_dead():
        @component
        class C:
            x: Entity = field(index=True, on_despawn="keep")

    def derived_with_default():
        @component
        class C:
            x: f4 = field(1.0, derived=True)

    def derived_and_indexed():
        @component
        class C:
            x: Entity = field(derived=True, index=True)

    def empty_vector():
        @component
        class C:
            x: Vector[0]

    def vector_of_a_flag():
        @component
        class C:
            x: Vector[True]

    def vector_of_text():
        @component
        class C:
            x: Vector[3, Text]

    def vector_of_fraction():
        @component
        class C:
            x: Vector[2.5]

    def unique_of_one():
        @component(unique=("x",))
        class C:
            x: Entity = field(index=True, on_despawn="despawn")

    def unique_of_strangers():
        @component(unique=("x", "y"))
        class C:
            x: Entity = field(index=True, on_despawn="despawn")

    def unique_of_itself():
        @component(unique=("x", "x"))
        class C:
            x: Entity = field(index=True, on_despawn="despawn")

    def unique_of_loose_ends():
        @component(unique=("x", "y"))
        class C:
            x: Entity = field(index=True, on_despawn="despawn")
            y: Entity = field(index=True, on_despawn="null")

    def enum_too_large():
        class Large(IntEnum):
            MUCH = 256

        @component
        class C:
            x: Large

    def enum_negative():
        class Low(IntEnum):
            LESS = -1

        @component
        class C:
            x: Low

    def enum_empty():
        class Void(IntEnum):
            pass

        @component
        class C:
            x: Void

    def a_function():
        @component
        def C():
            pass

    def derived_event_field():
        @event
        class E:
            x: f4 = field(derived=True)

    def indexed_event_field():
        @event
        class E:
            x: Entity = field(index=True)

    return [
        (("C.x", "float", "f4"), plain_float),
        (("C.x", "int", "i8"), plain_int),
        (("C.x", "complex64"), unsupported_numpy),
        (("C.x", "longdouble"), long_double),
        (("C.x", "ndarray"), array_type),
        (("C", "Unheard"), unknown_name),
        (("C", "nope"), unknown_attribute),
        (("C",), no_expression),
        (("C", "Position", "inherits"), inherited),
        (("C.ids",), reserved_name),
        (("C._x", "underscore"), underscore),
        (("C.x", "annotation"), no_annotation),
        (("C.x", "2", "[0, 1]"), default_outside_range),
        (("C.x", "float"), default_of_wrong_type),
        (("C.x", "nan"), default_nan),
        (("C.x", "5"), default_text),
        (("C.x", "2", "CHAT"), default_choice),
        (("C.x", "NOBODY"), default_somebody),
        (("C.x", "(2,)"), default_array),
        (("C.x", "(2,)"), default_of_wrong_width),
        (("C.x", "256"), default_overflows),
        (("C.x", "(1, 0)"), empty_range),
        (("C.x", "nan"), range_of_nan),
        (("C.x", "range"), range_of_text),
        (("C.x", "range"), range_of_flag),
        (("C.x", "index"), index_of_number),
        (("C.x", "index=True"), rule_without_index),
        (("C.x", "mourn", "forbid"), unknown_rule),
        (("C.x", "keep"), index_that_keeps_the_dead),
        (("C.x", "derived"), derived_with_default),
        (("C.x", "derived"), derived_and_indexed),
        (("0",), empty_vector),
        (("True",), vector_of_a_flag),
        (("C.x",), vector_of_text),
        (("2.5",), vector_of_fraction),
        (("C", "('x',)"), unique_of_one),
        (("C", "y"), unique_of_strangers),
        (("C", "x"), unique_of_itself),
        (("C.y", "despawn"), unique_of_loose_ends),
        (("C.x", "Large", "256", "255"), enum_too_large),
        (("C.x", "Low", "-1"), enum_negative),
        (("C.x", "Void"), enum_empty),
        (("function",), a_function),
        (("E.x",), derived_event_field),
        (("E.x",), indexed_event_field),
    ]


@pytest.mark.parametrize(
    ("words", "define"), definitions(), ids=lambda d: getattr(d, "__name__", "")
)
def test_a_wrong_definition_is_refused(words, define):
    """A class that cannot be a component is refused when it is made; the message names class and
    field, the value, and what is allowed."""
    with pytest.raises(ComponentDefinitionError) as caught:
        define()
    assert isinstance(caught.value, TypeError)
    for word in words:
        assert word in str(caught.value)


def test_required_things_are_components():
    """`requires` takes components only: no other class, no event."""

    @event
    class Happened:
        x: f4 = 0

    for stranger in (int, Happened, "Position"):
        with pytest.raises(PopulaceError, match=getattr(stranger, "__name__", stranger)):

            @component(requires=(stranger,))
            class Needy:
                x: f4 = 0


def test_one_required_class_needs_no_tuple():
    """`requires=Trace` means `requires=(Trace,)`."""

    @component(requires=Trace)
    class Needy:
        pass

    world = World()
    assert world.has(world.spawn(1, Needy), Trace).all()


# -- values --------------------------------------------------------------------------------------


def test_unknown_fields_are_named_with_the_nearest():
    """A misspelt field is refused at once, and the message offers the nearest name."""
    with pytest.raises(UnknownFieldError, match="did you mean 'importance'") as caught:
        Trace(importence=1)
    assert isinstance(caught.value, TypeError)
    with pytest.raises(UnknownFieldError, match="it is a tag"):
        Asleep(deep=True)
    with pytest.raises(UnknownFieldError, match="derived"):
        Trace(strength=1)
    with pytest.raises(UnknownFieldError, match="twice"):
        Position(1, x=1)
    with pytest.raises(UnknownFieldError, match="2 fields"):
        Position(1, 2, 3)


def test_a_field_without_default_must_be_given():
    """Position.x has no default: spawning without it names it and shows how to give it."""
    world = World()
    for wrong in (Position, Position(y=1)):
        with pytest.raises(MissingFieldError, match=r"Position\.x.*Position\(x=\.\.\.\)"):
            world.spawn(3, wrong)
    assert len(world) == 0


def test_schema_of_anything_else():
    """A class that is no component, and a value where a class is meant, are told apart."""
    with pytest.raises(UnknownComponentError, match="int"):
        schema(int)
    with pytest.raises(UnknownComponentError, match="pass the class Position"):
        schema(Position(x=0))

    class Child(Position):
        pass

    with pytest.raises(UnknownComponentError, match="Child"):
        schema(Child)


def test_many_components_in_one_world():
    """More than 64 components: masks have no limit of bits."""

    def make(number):
        @component
        class Numbered:
            x: i4 = number

        return Numbered

    classes = [make(number) for number in range(150)]
    world = World()
    ids = world.spawn(2, *classes)
    for number, cls in enumerate(classes):
        assert world.get(ids, cls.x).tolist() == [number, number]
    world.remove(ids[:1], *classes[::2])
    assert world.query(classes[149], without=classes[0]).ids().tolist() == ids[:1].tolist()
    assert world.query(*classes).ids().tolist() == ids[1:].tolist()
    world.check()
