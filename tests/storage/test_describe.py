"""Classes as JSON: everything about them is written down, and a class can be made of that."""

import enum
import importlib
import json
import keyword
import pkgutil
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import populace.components
import populace.systems
from populace.ecs import (
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
from populace.ecs.errors import PopulaceError, SnapshotError, UnknownComponentError
from populace.storage.describe import describe, make_class, read

from .damage import damaged


class Trade(enum.IntEnum):
    NONE = 0
    BAKER = 7


@component
class Energy:
    level: f4 = field(0.1, range=(0, 1), unit="J", doc="what is left")
    now: f4 = field(derived=True)


@component(requires=Energy, unique=("source", "target"))
class Debt:
    """Who owes whom."""

    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="forbid")
    trade: Trade = Trade.BAKER
    sum: i8 = -(2**63)
    face: Vector[3] = field((0.1, np.inf, -0.0), finite=False)
    note: Text = "due"
    high: f8 = field(np.nan, finite=False, range=(-np.inf, 5))


def every_class():
    """All components and events of populace."""
    for package in (populace.components, populace.systems):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for made in vars(importlib.import_module(module.name)).values():
                if isinstance(made, type) and "__populace__" in vars(made):
                    yield made


def through_json(value):
    """As it comes back from a file."""
    return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())


def test_a_class_is_written_down_whole():
    """Every rule of every field stands in the description, as JSON that other readers take."""
    told = describe(Debt)
    fields = {part.pop("name"): part for part in told.pop("fields")}
    assert told == {
        "class": f"{__name__}:Debt",
        "name": "Debt",
        "doc": "Who owes whom.",
        "is_event": False,
        "requires": [f"{__name__}:Energy"],
        "unique": ["source", "target"],
    }
    assert list(fields) == ["source", "target", "trade", "sum", "face", "note", "high"]
    assert fields["source"] == {
        "kind": "entity",
        "dtype": "<u8",
        "width": 0,
        "unit": "",
        "doc": "",
        "range": None,
        "derived": False,
        "index": True,
        "on_despawn": "despawn",
        "finite": True,
        "choices": None,
    }
    assert fields["trade"]["choices"] == {"NONE": 0, "BAKER": 7}
    assert (fields["face"]["width"], fields["face"]["dtype"]) == (3, "<f4")
    assert fields["high"]["range"] == ["-inf", 5]
    defaults = [fields[name]["default"] for name in ("trade", "sum", "face", "note", "high")]
    assert defaults == [7, -(2**63), [0.1, "inf", -0.0], "due", "nan"]
    energy = describe(Energy)["fields"]
    assert energy[0] | {"name": "level", "default": 0.1, "range": [0, 1], "unit": "J"} == energy[0]
    assert energy[1]["derived"]
    assert "default" not in energy[1]


@pytest.mark.parametrize("cls", sorted(set(every_class()), key=repr), ids=lambda cls: cls.__name__)
def test_the_classes_of_populace_come_back(cls):
    """A class made of a description has that description, required components included."""
    told = through_json(describe(cls))
    made = make_class(told, dict(zip(told["requires"], schema(cls).requires, strict=True)))
    assert describe(made) == told
    assert repr(schema(made).fields) == repr(schema(cls).fields)


def test_a_made_class_works():
    """Spawning, defaults, choices, references and checks are those of the class described."""
    energy = make_class(through_json(describe(Energy)))
    told = through_json(describe(Debt))
    debt = make_class(told, {told["requires"][0]: energy})
    world = World()
    who = world.spawn(2, energy)
    ids = world.spawn(1, debt(source=who[0], target=who[1]))
    world.check()
    assert world.query(debt, with_=energy).count() == 1
    assert world.entity(ids[0])[debt].trade.name == "BAKER"
    assert world.text.decode(world.get(ids, debt.note)) == ["due"]
    assert np.array_equal(world.get(ids, debt.face), np.array([[0.1, np.inf, -0.0]], f4))
    assert np.signbit(world.get(ids, debt.face)[0, 2])
    assert world.get(ids, debt.sum).tolist() == [-(2**63)]
    with pytest.raises(PopulaceError, match=r"Energy.level must lie in \[0, 1\] J"):
        world.spawn(1, energy(level=2))
    assert make_class(told).__populace__.requires == ()


def test_events_are_made_as_events():
    """An event's description makes an event."""

    @event
    class Rang:
        who: Entity
        how_often: u1 = 3

    made = make_class(describe(Rang))
    assert schema(made).is_event
    assert describe(made) == describe(Rang)
    assert World().emit(made(who=[])) == 0


def test_what_no_file_can_hold_is_written_near_it():
    """Half a surrogate pair becomes its escape, an end beyond 64 bits a float."""

    @component
    class Odd:
        text: Text = "\udfff"
        size: f8 = field(0, range=(-(2**70), 2**70), unit="\ud800", doc="\ud801")

    text, size = through_json(describe(Odd))["fields"]
    assert (text["default"], size["unit"], size["doc"]) == ("\\udfff", "\\ud800", "\\ud801")
    assert size["range"] == [-(2.0**70), 2.0**70]


def test_only_components_and_events_are_described():
    """What the engine does not know as a class of columns is refused."""
    with pytest.raises(UnknownComponentError, match="decorate its class"):
        describe(World)


# -- any class, any damage ----------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(
    lambda name: name != "ids" and not keyword.iskeyword(name)
)
scalars = st.sampled_from([f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, b1])
enums = st.dictionaries(
    st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.integers(0, 255), min_size=1, max_size=4
).map(lambda members: enum.IntEnum("Sort", members))


def numbers_of(dtype):
    made = np.dtype(dtype)
    if made.kind == "b":
        return st.booleans()
    if made.kind == "f":
        return st.floats(width=made.itemsize * 8)
    return st.integers(np.iinfo(made).min, np.iinfo(made).max)


@st.composite
def parts(draw):
    """A field of any kind: its annotation and what `field` is given."""
    about = {"unit": draw(st.text(max_size=3)), "doc": draw(st.text(max_size=5))}
    kind = draw(st.sampled_from(["scalar", "vector", "entity", "text", "enum"]))
    has_default = draw(st.booleans())
    if kind == "entity":
        about["index"] = draw(st.booleans())
        return Entity, about | ({"default": 0} if has_default else {})
    if kind == "text":
        return Text, about | ({"default": draw(st.text(max_size=5))} if has_default else {})
    if kind == "enum":
        choices = draw(enums)
        member = draw(st.sampled_from(list(choices)))
        return choices, about | ({"default": member} if has_default else {})
    dtype = draw(scalars)
    if draw(st.booleans()):
        return dtype, about | {"derived": True}
    about["finite"] = False
    width = draw(st.integers(1, 4)) if kind == "vector" else 0
    if has_default:
        one = numbers_of(dtype)
        many = st.lists(one, min_size=width, max_size=width).map(lambda x: np.array(x, dtype))
        about["default"] = draw(many if width else one)
    return Vector[width, dtype] if width else dtype, about


@st.composite
def classes(draw):
    """Any component or event class."""
    fields = draw(st.dictionaries(names, parts(), max_size=5))
    is_event = draw(st.booleans())
    if is_event:
        for _, about in fields.values():
            about.pop("derived", None), about.pop("index", None)
    body = {name: field(**about) for name, (_, about) in fields.items()}
    body["__annotations__"] = {name: annotation for name, (annotation, _) in fields.items()}
    return (event if is_event else component)(type("Anything", (), body))


@given(classes())
def test_any_class_comes_back(cls):
    """Whatever the fields, their defaults and rules, the description and its class agree."""
    told = through_json(describe(cls))
    made = make_class(told)
    assert describe(made) == told
    for one, other in zip(schema(cls).fields, schema(made).fields, strict=True):
        assert (one.dtype, one.shape, one.index) == (other.dtype, other.shape, other.index)


@given(st.sampled_from([Debt, Energy]).flatmap(lambda cls: damaged(describe(cls))))
def test_damage_is_a_snapshot_error(told):
    """With any part of a description replaced or gone, there is a class or a SnapshotError."""
    with suppress(SnapshotError):
        describe(make_class(told))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("class", "nowhere", "a class is damaged: its class is 'nowhere'"),
        ("class", None, "a class is damaged: its class is None"),
        ("name", 3, "class .*:Energy is damaged: its name is 3"),
        ("fields", {}, "its fields is a dict"),
        ("fields", [7], "a field of .*:Energy is damaged: it is 7, not an object"),
        ("requires", [3], "its requires is a list"),
        ("unique", ["level", "now"], "no class can be made of it: Energy.level is part of"),
        ("is_event", 1, "its is_event is 1"),
    ],
)
def test_a_damaged_class_is_named(key, value, says):
    """What stands there, and where."""
    with pytest.raises(SnapshotError, match=says):
        make_class(describe(Energy) | {key: value})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("name", 3, "a field of .*its name is 3"),
        ("name", "two words", "'two words' of .*its name is 'two words'"),
        ("kind", "blob", "'level' of .*:Energy is damaged: its kind is 'blob'"),
        ("kind", "text", "its dtype is '<f4'"),
        ("dtype", "O", "its dtype is 'O'"),
        ("dtype", "<c8", "its dtype is '<c8'"),
        ("width", 2, "its width is 2"),
        ("width", True, "its width is True"),
        ("range", [2, 1], "its range is a list"),
        ("range", "wide", "its range is 'wide'"),
        ("default", {"a": 1}, "its default is a dict"),
        ("default", 7, "no class can be made of it: the default of Energy.level"),
        ("finite", None, "its finite is None"),
        ("on_despawn", "burn", "on_despawn is 'burn'"),
    ],
)
def test_what_is_damaged_is_named(key, value, says):
    """The error names class, field, part and value."""
    told = describe(Energy)
    told["fields"][0][key] = value
    with pytest.raises(SnapshotError, match=says):
        make_class(told)


def test_a_choice_is_one_byte():
    """As the column that holds it."""
    told = describe(Debt)
    told["fields"][2]["choices"] = {"BAKER": 256}
    with pytest.raises(SnapshotError, match=r"'trade' of .*its choices is a dict"):
        read(told)


def test_a_field_twice_is_damage():
    """Two fields of one name are no class."""
    told = describe(Energy)
    told["fields"].append(told["fields"][0])
    with pytest.raises(SnapshotError, match=r"class .*:Energy is damaged: its fields is a list"):
        read(told)


def test_a_vector_of_absurd_width_is_refused():
    """A file cannot ask for a default of a terabyte."""
    told = describe(Debt)
    told["fields"][4] |= {"width": 2**40, "default": 0}
    with pytest.raises(SnapshotError, match="its width is 1099511627776"):
        make_class(told)
