"""Resources as JSON and arrays: what comes back is equal, and damage is told, never run."""

import dataclasses
import enum
import functools
import json
import math
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, make_dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from populace.components.lineage import Census
from populace.components.persona import Persona
from populace.ecs import Clock, World, days, setting, settings
from populace.ecs.errors import PopulaceError, ResourceError, SchemaError, SnapshotError
from populace.experience import Sentences, prepare_sentences
from populace.storage.classes import find_class, path_of
from populace.storage.plain import INLINE, MAX_DEPTH, flatten, rebuild
from populace.systems.attention import Span
from populace.systems.daily import daily_life
from populace.systems.routine import Routine
from populace.systems.society import add_laws
from populace.systems.topics import TopicNumbers, intern_topics

from .damage import damaged

find = functools.partial(find_class, kind="data")


class Color(enum.Enum):
    RED = "red"
    ROUGE = "red"
    BLUE = ("b", 2)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass(eq=False)
class Bag:
    """Anything at all."""

    held: object = None


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5


@settings
class Thirst:
    """Of a law."""

    rate: float = setting(0.5, range=(0, 1), unit="1/h", doc="of drying out")
    steps: int = setting(3, doc="of it")
    name: str = setting("dry", doc="of it")
    color: Color = setting(Color.RED, doc="of it")
    strict: bool = setting(False, doc="or not")


def through_json(value):
    """As it comes back from a file in UTF-8."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
    return json.loads(text.encode())


def again(resource, find=find):
    """What a snapshot makes of a resource."""
    value, arrays = flatten(resource)
    for array in arrays.values():
        assert array.ndim == 1
        assert array.flags.c_contiguous
        assert array.flags.owndata or array.base.flags.owndata
        assert array.dtype.str[1:] in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split()
        assert array.dtype.str[0] in "<|"
        array.flags.writeable = False
    return rebuild(through_json(value), arrays, find)


def told(value):
    """A text that differs when the value does, in type, order and bits too."""
    if isinstance(value, np.ndarray):
        order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        bits = value.astype(value.dtype.newbyteorder("<")).tobytes()
        return f"{value.dtype.str} {value.shape} {order} {value.flags.writeable} {bits!r}"
    if isinstance(value, np.generic):
        return f"{type(value).__name__} {value.tobytes()!r}"
    if isinstance(value, dict):
        return f"dict{[(told(key), told(one)) for key, one in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[told(one) for one in value]}"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(told(one) for one in value)}"
    if dataclasses.is_dataclass(value):
        parts = [(part.name, told(getattr(value, part.name))) for part in dataclasses.fields(value)]
        return f"{path_of(type(value))}{parts}"
    return f"{type(value).__name__} {value!r}"


# -- what comes back ----------------------------------------------------------------------------

dtypes = st.sampled_from(
    [np.dtype(order + code) for order in "<>" for code in
     "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()]
)  # fmt: skip
arrays = dtypes.flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
surrogates = st.text(st.characters(categories=["Cs", "Lu"]), max_size=4)
keys = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | surrogates
    | st.binary(max_size=5)
    | st.sampled_from([*Color, *Rights, Rights.READ | Rights.WRITE, Rights(0), Point(1)])
    | st.builds(Point, st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)


@st.composite
def scalars(draw):
    """A number that numpy made."""
    dtype = draw(dtypes).newbyteorder("=")
    return draw(npst.arrays(dtype, ()))[()]


@st.composite
def laid_out(draw):
    """An array in one of the orders that a transpose or a slice leaves, or read-only."""
    array = draw(arrays)
    how = draw(st.sampled_from(["C", "F", "step", "locked"]))
    if how == "step" and array.ndim:
        return array[::-2]
    array = np.array(array, order="F" if how == "F" else "C")
    array.flags.writeable = how != "locked"
    return array


values = st.recursive(
    keys | st.floats() | scalars() | laid_out(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(keys, max_size=4)
        | inner.map(Bag)
    ),
    max_leaves=12,
)


@given(values)
def test_what_was_flattened_is_rebuilt(value):
    """Types, bits, orders and flags included."""
    assert told(again(Bag(value)).held) == told(value)


@given(st.sets(keys, max_size=6), st.randoms())
def test_equal_sets_have_equal_json(values, random):
    """Whatever the order in which they were filled."""
    shuffled = list(values)
    random.shuffle(shuffled)
    assert flatten(Bag(values)) == flatten(Bag(set(shuffled)))


def test_small_arrays_stand_in_the_json_and_large_ones_beside_it():
    """As numbers that can be read; or under the path that they have."""
    small, large = np.array([0.1, -0.0], "f4"), np.zeros((8, 9))
    value, arrays = flatten(Bag({"a": small, "b": [large, np.zeros(INLINE)]}))
    assert list(arrays) == ["held.1.0"]
    assert arrays["held.1.0"].shape == (72,)
    assert value["fields"]["held"]["dict"][0][1]["array"]["data"] == [0.1, -0.0]
    arrays["held.1.0"][:] = 1
    assert not large.any()


def test_what_is_large_and_complex_or_swapped_is_stored_as_plain_floats():
    """Parquet has neither; the rebuilt arrays have both."""
    swapped = np.arange(100, dtype=">f4")
    turned = np.arange(100) + 1j * np.nan
    back = again(Bag([swapped, turned, swapped.reshape(10, 10).T])).held
    assert [told(one) for one in back] == [
        told(one) for one in (swapped, turned, swapped.reshape(10, 10).T)
    ]


def test_the_resources_of_populace_come_back():
    """Every law's settings, its machines, counts and sentences: the world's digest is the same."""
    world = World(seed=3)
    add_laws(world, Thirst(rate=0.25, color=Color.BLUE), Census(41), Span(3, days(2), 5))
    world.spawn(2, Persona(name=["Ann Lee", "Bo"], number=[0, 1]))
    world.insert(prepare_sentences(world, seed=3))
    intern_topics(world, ["tea"])
    world.insert(Clock(now=2**62, tick=9), replace=True)
    before = world.digest()
    held = list(world.resources)
    assert {Routine, Sentences, Span, TopicNumbers, type(daily_life())} <= set(map(type, held))
    for resource in held:
        made = again(resource)
        assert told(made) == told(resource)
        world.insert(made, replace=True)
    assert world.digest() == before


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "resource Bag: held is a builtins:object, which a snapshot does not hold; it"),
        ([1, {"a": len}], "held.1.0 is a builtins:builtin_function_or_method"),
        (np.array([None]), "held is an array of object"),
        (np.array(["a"]), "held is an array of <U1"),
        (np.zeros(1, "M8[s]"), "held is an array of datetime64"),
        (np.longdouble(1), "held is a numpy:longdouble"),
        (np.str_("a"), "held is a numpy:str_"),
        (np.ma.zeros(2), r"held is a numpy\.ma.*:MaskedArray"),
        (dict(a=1).keys(), "held is a builtins:dict_keys"),
        (1j, "held is a builtins:complex"),
        (World, "held is a builtins:type"),
        (Point, "held is a builtins:type"),
    ],
)
def test_what_a_snapshot_does_not_hold_is_named(value, says):
    """Resource, place and type, and what would do instead."""
    with pytest.raises(SnapshotError, match=says):
        flatten(Bag(value))


def test_depth_has_an_end():
    """So a list within itself is told, not followed."""
    loop, deep = [], []
    loop.append(loop)
    with pytest.raises(SnapshotError, match=r"resource Bag: held.0.0 lies 64 levels deep"):
        flatten(Bag(loop))
    for _ in range(MAX_DEPTH - 2):
        deep = [deep]
    assert again(Bag(deep)).held == deep
    value, arrays = flatten(Bag(deep))
    value["fields"]["held"] = [[value["fields"]["held"]]]
    with pytest.raises(
        SnapshotError, match=r"Bag: held.0.0 is damaged: a list stands where at most"
    ):
        rebuild(value, arrays, find)


def test_a_resource_is_a_whole_dataclass_instance():
    """Not its class, nor another thing, nor one with a field unset."""
    for thing in (Point, 3, {}):
        with pytest.raises(SnapshotError, match="an instance of a dataclass"):
            flatten(thing)
    point = Point(1)
    object.__delattr__(point, "x")
    with pytest.raises(SnapshotError, match="resource Point: x has no value; set it"):
        flatten(point)
    with pytest.raises(ResourceError):
        World().insert(Point)


# -- how it is made again -----------------------------------------------------------------------


def test_a_frozen_class_checks_what_it_is_made_of():
    """A setting out of range, or of the wrong type, is named with the reason."""
    value, arrays = flatten(Thirst())
    value["fields"]["rate"] = 7
    with pytest.raises(SchemaError, match=r"resource Thirst: .* Thirst.rate must lie in \[0, 1\]"):
        rebuild(value, arrays, find)
    value["fields"]["rate"] = "wet"
    with pytest.raises(SchemaError, match=r"Thirst.rate must be a float 1/h, got 'wet'; widen"):
        rebuild(value, arrays, find)


def test_a_setting_is_what_its_class_makes_of_it():
    """A setting that was an int or a name is today's float or member."""
    value, arrays = flatten(Thirst())
    value["fields"] |= {"rate": 1, "color": "blue"}
    made = rebuild(value, arrays, find)
    assert told(made) == told(Thirst(rate=1.0, color=Color.BLUE))


@dataclass(frozen=True, slots=True)
class Scaled:
    """Its constructor takes seconds, and holds µs; `total` is its own affair."""

    length: int
    total: int = field(init=False)
    log: list = field(init=False, default_factory=list)

    def __post_init__(self):
        object.__setattr__(self, "length", self.length * 1_000_000)
        object.__setattr__(self, "total", self.length * 2)
        self.log.append("made")


def test_fields_are_as_they_were_whatever_the_constructor_does():
    """It is called, for its checks; what the world held is what the world holds."""
    scaled = Scaled(3)
    scaled.log.append("used")
    made = again(scaled)
    assert (made.length, made.total, made.log) == (3_000_000, 6_000_000, ["made", "used"])


@dataclass(slots=True)
class Tank:
    """Full at first; a run empties it."""

    fuel: float

    def __post_init__(self):
        if self.fuel <= 0:
            raise ValueError("an empty tank")


def test_a_class_that_is_not_frozen_is_as_the_run_left_it():
    """Its constructor's checks are for beginnings."""
    tank = Tank(1.0)
    tank.fuel = 0.0
    assert again(tank).fuel == 0.0


@dataclass(frozen=True)
class Seeded:
    """Its constructor takes what its fields do not say."""

    size: int = field(init=False)
    start: InitVar[int]

    def __post_init__(self, start):
        object.__setattr__(self, "size", start + 1)


@dataclass(frozen=True)
class Handmade:
    """Its constructor is its own."""

    size: int

    def __init__(self, path):
        object.__setattr__(self, "size", len(path))


@pytest.mark.parametrize("resource", [Seeded(start=4), Handmade("abc"), Point(1), Bag(2)])
def test_a_constructor_that_needs_more_than_the_fields_is_not_called(resource):
    """The fields are set."""
    assert told(again(resource)) == told(resource)


# -- classes that have changed ------------------------------------------------------------------


def test_a_field_that_is_new_takes_its_default():
    """Of frozen classes and others, by value or by factory; without one it is refused."""
    for frozen in (True, False):
        old = make_dataclass("Law", [("a", int)], frozen=frozen)
        more = [("b", int, 5), ("c", list, field(default_factory=list))]
        new = make_dataclass("Law", [("a", int), *more], frozen=frozen)
        value, arrays = flatten(old(2))
        made = rebuild(value, arrays, lambda path, new=new: new)
        assert (made.a, made.b, made.c) == (2, 5, [])
        bare = make_dataclass("Law", [("a", int), ("b", int)], frozen=frozen)
        with pytest.raises(SchemaError, match=r"Law.b has no default and the snapshot does not"):
            rebuild(value, arrays, lambda path, bare=bare: bare)


def test_a_new_field_that_the_constructor_fills_needs_no_default():
    """`total` is worked out of `length` where the snapshot has none."""
    value, arrays = flatten(Scaled(3))
    del value["fields"]["total"]
    assert rebuild(value, arrays, find).total == 2 * 3_000_000 * 1_000_000


def test_a_field_that_is_gone_is_dropped_with_its_classes():
    """Nobody looks for the class of what nobody holds."""
    old = make_dataclass("Law", [("a", int), ("b", object)])
    new = make_dataclass("Law", [("a", int)])
    value, arrays = flatten(old(2, Point(1)))
    asked = []
    made = rebuild(value, arrays, lambda path: asked.append(path) or new)
    assert (made.a, len(asked)) == (2, 1)


def test_members_of_enums_are_found_by_name():
    """A member may be renumbered; one that is gone is named."""
    renumbered = enum.Enum("Color", {"RED": 9, "BLUE": 8})
    classes = {path_of(Bag): Bag, path_of(Color): renumbered}
    value, arrays = flatten(Bag([Color.RED, Color.ROUGE]))
    assert rebuild(value, arrays, classes.get).held == [renumbered.RED] * 2
    classes[path_of(Color)] = enum.Enum("Color", {"BLUE": 8})
    with pytest.raises(SchemaError, match=r"Bag: held.0 is 'RED' of Color, which has BLUE today"):
        rebuild(value, arrays, classes.get)
    value["fields"]["held"] = {"enum": [path_of(Color), 8]}
    with pytest.raises(SchemaError, match="held is 8 of Color, which has BLUE today"):
        rebuild(value, arrays, classes.get)


def test_a_class_that_is_not_found_is_the_finder_s_error():
    """It says what to do."""
    value, arrays = flatten(Bag(Point(1)))
    value["fields"]["held"]["class"] = "nowhere:Point"
    with pytest.raises(
        SchemaError, match="snapshot holds nowhere:Point, a class that this program"
    ):
        rebuild(value, arrays, find)


# -- damage -------------------------------------------------------------------------------------

SPECIMEN = Bag(
    {
        "nan": math.nan,
        2**70: (1, "\ud800", b"x"),
        None: [Color.RED, Rights.READ, {1, 2}, frozenset({"a"})],
        "arrays": [np.arange(3), np.array([1, np.inf], "f2"), np.zeros((9, 9)), np.float32(2)],
        "more": [Point(1, 2.0), Thirst(), np.array([True]), Scaled(1)],
    }
)


@given(damaged(flatten(SPECIMEN)[0]))
def test_damage_is_a_populace_error(value):
    """With any part of the JSON replaced or gone, there is a resource or an error of ours."""
    with suppress(SnapshotError, SchemaError), np.errstate(all="raise"):
        rebuild(value, flatten(SPECIMEN)[1], find)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({}, "held is damaged: a dict stands where an object with one key belongs"),
        ({"pickle": "gASVIA=="}, "'pickle' stands where a kind of value that a snapshot holds"),
        ({"float": "1e5"}, "'float' stands where"),
        ({"int": "0xzz"}, "resource Bag is damaged, or .* ValueError"),
        ({"bytes": "é"}, "resource Bag is damaged"),
        ({"text": 3}, "3 stands where a text belongs"),
        ({"set": [1, 1]}, "a list stands where a set of different values belongs"),
        ({"set": [[1]]}, "TypeError: unhashable"),
        ({"dict": [[1, 2], [1, 3]]}, "where a dict of different keys belongs"),
        ({"dict": [[1, 2, 3]]}, "where a list of two belongs"),
        ({"dict": ["ab"]}, "'ab' stands where a list of two belongs"),
        ({"enum": [path_of(Point), "x"]}, "where the path of an enum belongs"),
        ({"class": path_of(Color), "fields": {}}, "where the fields of a dataclass, .*:Color"),
        ({"class": path_of(Point), "fields": [1]}, "where the fields of a dataclass, .*:Point"),
        ({"class": path_of(Point)}, "where the class and fields of a dataclass belongs"),
        ({"scalar": ["O", 1]}, "'O' stands where the dtype of a column belongs"),
        ({"scalar": ["<i4", [1.5]]}, "where numbers of dtype int32 belongs"),
        ({"scalar": ["|i1", [300]]}, "OverflowError"),
        ({"scalar": ["<f2", [1e9]]}, "where numbers of dtype float16 belongs"),
        ({"scalar": ["<f4", [1, 2]]}, "2 stands where 1 numbers belongs"),
        ({"scalar": ["|b1", {"bytes": "Ag=="}]}, "where the numbers of an array belongs"),
    ],
)
def test_what_is_damaged_is_named(held, says):
    """Resource, place, what stands there and what should."""
    value = {"class": path_of(Bag), "fields": {"held": held}}
    with pytest.raises(SnapshotError, match=says):
        rebuild(value, {}, find)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"shape": [2, -1]}, "where a shape belongs"),
        ({"shape": [0, 10**30], "data": []}, "ValueError|OverflowError"),
        ({"shape": [1] * 80, "data": [1]}, "ValueError"),
        ({"shape": [10**9, 10**9]}, "3 stands where 1,000,000,000,000,000,000 numbers belongs"),
        ({"order": "Q"}, "'Q' stands where 'C' or 'F' belongs"),
        ({"data": {"column": "none"}}, "'none' stands where a column of int64 in the snapshot"),
        ({"data": {"column": "floats"}}, "'floats' stands where a column of int64"),
        ({"data": {"column": "square"}}, "'square' stands where a column of int64"),
        ({"more": 1}, "where an array: data, dtype, order, shape, writeable belongs"),
    ],
)
def test_a_damaged_array_is_named(part, says):
    """Its shape, its order and its column agree, or none of it is taken."""
    array = flatten(Bag(np.arange(3)))[0]["fields"]["held"]["array"] | part
    value = {"class": path_of(Bag), "fields": {"held": {"array": array}}}
    columns = {"floats": np.zeros(3), "square": np.zeros((3, 1), np.int64)}
    with pytest.raises(SnapshotError, match=says):
        rebuild(value, columns, find)


def test_only_dataclasses_and_enums_are_made():
    """A file cannot have a class called that is neither."""
    for path in ("subprocess:Popen", "os:system", "builtins:eval"):
        with pytest.raises(PopulaceError, match=path):
            rebuild({"class": path, "fields": {"args": "true"}}, {}, find)


def test_errors_of_a_class_s_own_code_are_told_as_such():
    """Whatever a __hash__ or a check raises."""

    @dataclass(frozen=True)
    class Moody:
        a: int

        def __hash__(self):
            raise RuntimeError("not today")

    class Stern(Moody):
        def __post_init__(self):
            raise KeyError("never")

    classes = {path_of(Bag): Bag, "x:Moody": Moody, "x:Stern": dataclass(frozen=True)(Stern)}
    moody = {"class": "x:Moody", "fields": {"a": 1}}
    bag = {"class": path_of(Bag), "fields": {"held": {"set": [moody]}}}
    with pytest.raises(SnapshotError, match=r"resource Bag is damaged, .* RuntimeError: not today"):
        rebuild(bag, {}, classes.get)
    with pytest.raises(SchemaError, match="today's Stern refuses what the snapshot holds: 'never'"):
        rebuild(moody | {"class": "x:Stern"}, {}, classes.get)
