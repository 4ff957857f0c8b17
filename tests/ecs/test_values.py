"""Which values a field takes, and what becomes of them: one rule at every door.

The doors: spawn, add, set, upsert, a query's set, assignment to a view, commands, events.
"""

import warnings
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from populace import (
    NOBODY,
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
    i8,
    u1,
    u8,
)
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    UnknownComponentError,
)

from .parts import Asleep, Kind, Position, refused


class State(IntEnum):
    OFF = 0
    ON = 1
    RUNNING = 1
    off2 = 9


@component
class Values:
    half: f2 = 0
    single: f4 = 0
    double: f8 = 0
    tiny: i1 = 0
    short: i2 = 0
    long: i8 = 0
    byte: u1 = 0
    wide: u8 = 0
    flag: b1 = False
    who: Entity = 0
    text: Text = ""
    kind: Kind = Kind.EVENT
    state: State = State.OFF
    vector: Vector[3] = 0
    bytes: Vector[2, i1] = 0
    unit: f4 = field(0, range=(0, 1), unit="share")
    even: i8 = field(0, range=(-5, 5))
    ranged: Vector[2] = field(0, range=(-1, 1))
    open: f4 = field(0, finite=False)
    bounded: f4 = field(0, finite=False, range=(0, 1))


N = 3


def stored(name, value, n=N):
    """What a column holds after `value` came through spawn."""
    world = World()
    found = world.get(world.spawn(n, Values(**{name: value})), getattr(Values, name))
    world.check()
    return found


# -- what is allowed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("single", 2, [2, 2, 2]),
        ("single", 0.1, [np.float32(0.1)] * 3),
        ("single", [1, 2.5, -3], [1, 2.5, -3]),
        ("single", np.array([1.1, 2.2, 3.3]), np.float32([1.1, 2.2, 3.3])),
        ("single", np.arange(3, dtype=np.int8), [0, 1, 2]),
        ("single", np.float16(0.5), [0.5] * 3),
        ("single", range(3), [0, 1, 2]),
        ("single", np.array(7), [7] * 3),
        ("half", np.float64([0, 1, 65504]), [0, 1, 65504]),
        ("double", np.float32([0.1, 0.2, 0.3]), np.float32([0.1, 0.2, 0.3])),
        ("double", 2**60, [2.0**60] * 3),
        ("tiny", [-128, 127, 0], [-128, 127, 0]),
        ("tiny", np.array([1, 2, 3], np.uint64), [1, 2, 3]),
        ("byte", np.array([0, 255, 1], np.int64), [0, 255, 1]),
        ("long", 2**63 - 1, [2**63 - 1] * 3),
        ("long", np.array([5, 6, 7], np.uint32), [5, 6, 7]),
        ("wide", 2**64 - 1, [2**64 - 1] * 3),
        ("flag", True, [True] * 3),
        ("flag", [True, False, True], [True, False, True]),
        ("flag", np.array([False, True, False]), [False, True, False]),
        ("who", 0, [0] * 3),
        ("who", [0, 0, 0], [0] * 3),
        ("kind", Kind.THOUGHT, [7] * 3),
        ("kind", "chat", [1] * 3),
        ("kind", "THOUGHT", [7] * 3),
        ("kind", 7, [7] * 3),
        ("kind", [Kind.CHAT, "event", 7], [1, 0, 7]),
        ("kind", np.array(["chat", "EVENT", "thought"]), [1, 0, 7]),
        ("kind", np.array([0, 1, 7], np.int64), [0, 1, 7]),
        ("kind", np.array("chat"), [1] * 3),
        ("kind", np.array([Kind.CHAT, Kind.EVENT, Kind.CHAT], object), [1, 0, 1]),
        ("state", "RUNNING", [1] * 3),
        ("state", "off2", [9] * 3),
        ("vector", (1, 2, 3), [[1, 2, 3]] * 3),
        ("vector", np.arange(9).reshape(3, 3), np.arange(9).reshape(3, 3)),
        ("vector", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ("bytes", [-128, 127], [[-128, 127]] * 3),
        ("unit", [0, 1, 0.5], [0, 1, 0.5]),
        ("even", [-5, 5, 0], [-5, 5, 0]),
        ("ranged", [[-1, 1]] * 3, [[-1, 1]] * 3),
    ],
)
def test_allowed_values(name, value, expected):
    """Numbers that fit, scalars that broadcast, names and members of enums: all are stored as the
    field's own dtype."""
    found = stored(name, value)
    assert found.dtype == getattr(Values, name).dtype
    assert np.array_equal(found, np.asarray(expected))


@pytest.mark.parametrize(
    "value",
    [
        ["tea", "", "naïve 茶\0x"],
        ("tea", "", "naïve 茶\0x"),
        np.array(["tea", "", "naïve 茶\0x"]),
        np.array(["tea", "", "naïve 茶\0x"], object),
        (word for word in ("tea", "", "naïve 茶\0x")),
    ],
    ids=["list", "tuple", "array", "objects", "generator"],
)
def test_text_from_many_sequences(value):
    """Text comes as any sequence of str; the empty string is code 0."""
    world = World()
    ids = world.spawn(3, Values(text=value))
    codes = world.get(ids, Values.text)
    assert world.text.decode(codes) == ["tea", "", "naïve 茶\0x"]
    assert codes[1] == 0


@pytest.mark.parametrize("value", ["tea", np.str_("tea"), np.array("tea")])
def test_one_text_broadcasts(value):
    """A str is one text for every row, never a sequence of letters."""
    world = World()
    ids = world.spawn(3, Values(text=value))
    assert world.text.decode(world.get(ids, Values.text)) == ["tea"] * 3
    assert world.text.strings == ("", "tea")


def test_text_as_codes():
    """Codes of the world's pool are taken as they are; an unknown code is refused."""
    world = World()
    codes = world.text.intern(["a", "b", "a"])
    ids = world.spawn(3, Values(text=codes))
    assert world.get(ids, Values.text).tolist() == codes.tolist() == [1, 2, 1]
    world.spawn(2, Values(text=codes[1]))
    assert world.text.decode(world.query(Values).gather(Values.text)) == ["a", "b", "a", "b", "b"]
    with refused(world, ColumnValueError, "Values.text", "3", "intern"):
        world.spawn(1, Values(text=np.array([3], np.uint32)))


def test_nan_and_infinity_where_they_mean_something():
    """`finite=False` lets NaN and infinities in, with a range only NaN, without a warning."""
    assert np.isnan(stored("open", float("nan"))).all()
    assert stored("open", [np.inf, -np.inf, 0]).tolist() == [np.inf, -np.inf, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(stored("bounded", [np.nan] * 3)).all()
        assert stored("bounded", [np.nan, 1, 0])[1:].tolist() == [1, 0]


def test_signed_zero_and_subnormals_are_kept():
    """A column keeps the bits of what fits: -0.0 and the smallest numbers included."""
    found = stored("double", [-0.0, 5e-324, -5e-324])
    assert np.signbit(found).tolist() == [True, False, True]
    assert found[1] == 5e-324


def test_a_large_integer_may_lose_bits_in_a_float():
    """An integer goes into a float field rounded, as numpy does it."""
    assert stored("single", 2**24 + 1)[0] == 2**24


def test_values_are_copied():
    """Changing the caller's array afterwards does not change the world."""
    given_array = np.zeros(3, np.float32)
    world = World()
    ids = world.spawn(3, Values(single=given_array))
    given_array[:] = 9
    assert world.get(ids, Values.single).tolist() == [0, 0, 0]
    world.set(ids, Values(single=given_array))
    given_array[:] = 5
    assert world.get(ids, Values.single).tolist() == [9, 9, 9]


def test_values_may_be_columns_of_the_same_table():
    """Values that are live columns count as they were at the call: two fields can be swapped, rows
    permuted, and rows that move meanwhile do not mix them up."""
    for act in (
        lambda w, ids, v: w.set(ids, Values(single=v.open, open=v.single)),
        lambda w, ids, v: w.query(Values).set(Values(single=v.open, open=v.single)),
    ):
        world = World()
        ids = world.spawn(Values(single=[1, 2, 3], open=[4, 5, 6]))
        (view,) = world.query(Values)
        act(world, ids, view)
        assert world.get(ids, Values.single).tolist() == [4, 5, 6]
        assert world.get(ids, Values.open).tolist() == [1, 2, 3]
    world.set(ids[[2, 0, 1]], Values(single=view.single))
    assert world.get(ids, Values.single).tolist() == [5, 6, 4]
    view.single = view.single[::-1]
    assert world.get(ids, Values.single).tolist() == [4, 6, 5]


def test_added_values_may_be_columns_of_a_table_that_moves():
    """Rows of a first table that leave, and close up behind them, do not change what a second one
    gets from its column."""
    world = World()
    first = world.spawn(Position(x=[1, 2, 3, 4]))
    second = world.spawn(2, Position(x=0), Asleep)
    position = next(iter(world.query(Position, without=Asleep)))
    order = np.array([second[0], second[1], first[0], first[1]])
    world.add(order, Values(single=position.x))
    assert world.get(order, Values.single).tolist() == [1, 2, 3, 4]


def test_odd_strides_and_byte_orders():
    """Reversed, strided, transposed, foreign-endian and read-only arrays arrive right."""
    base = np.arange(12, dtype=np.float32)
    assert stored("single", base[::-1][:3]).tolist() == [11, 10, 9]
    assert stored("single", base[::4]).tolist() == [0, 4, 8]
    assert stored("single", base[:3].astype(">f4")).tolist() == [0, 1, 2]
    assert stored("long", base[:3].astype(">i8")).tolist() == [0, 1, 2]
    assert stored("vector", base[:9].reshape(3, 3).T).tolist() == base[:9].reshape(3, 3).T.tolist()
    assert stored("vector", np.asfortranarray(base[:9].reshape(3, 3)))[0].tolist() == [0, 1, 2]
    frozen = base[:3].copy()
    frozen.flags.writeable = False
    assert stored("single", frozen).tolist() == [0, 1, 2]
    assert stored("single", np.broadcast_to(np.float32(4), 3)).tolist() == [4, 4, 4]
    world = World()
    ids = world.spawn(4)
    loose = np.stack([ids, ids[::-1]], axis=1)
    found = world.spawn(Values(who=loose[:, 1]))
    assert world.get(found, Values.who).tolist() == ids[::-1].tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("single", []), ("long", []), ("long", range(0)), ("flag", []), ("text", []),
        ("kind", []),
        ("who", []), ("vector", []), ("single", np.empty(0, np.float32)),
        ("vector", np.empty((0, 3))),
        ("text", np.empty(0, "U1")), ("unit", np.empty(0)), ("single", 1.0), ("text", "tea"),
    ],
)  # fmt: skip
def test_no_rows(name, value):
    """Zero rows take an empty list or array of any kind, and a scalar."""
    assert stored(name, value, 0).shape == (0, *getattr(Values, name).shape)


# -- what is refused -----------------------------------------------------------------------------


REFUSED = [
    # values that do not fit
    ("single", float("nan"), ColumnValueError, ("finite", "nan")),
    ("single", [0, np.inf, 0], ColumnValueError, ("finite", "inf", "place 1")),
    ("single", [0, 0, -np.inf], ColumnValueError, ("finite", "-inf", "place 2")),
    ("single", np.array([0, 1e39, 0]), ColumnValueError, ("1e+39", "float32")),
    ("half", 70_000.0, ColumnValueError, ("70000", "float16")),
    ("half", 70_000, ColumnValueError, ("70000",)),
    ("open", [0.0, 1e39, 0.0], ColumnValueError, ("1e+39",)),
    ("double", [np.nan] * 3, ColumnValueError, ("nan", "place 0")),
    ("vector", [[0, 0, 0], [0, np.nan, 0], [0, 0, 0]], ColumnValueError, ("nan", "place 1")),
    ("unit", 1.5, ColumnValueError, ("[0, 1]", "1.5", "share")),
    ("unit", [0, 0.5, -0.001], ColumnValueError, ("[0, 1]", "-0.001", "place 2")),
    ("unit", np.nextafter(np.float32(1), np.float32(2)), ColumnValueError, ("[0, 1]",)),
    ("unit", float("nan"), ColumnValueError, ("nan",)),
    ("even", 6, ColumnValueError, ("[-5, 5]", "6")),
    ("even", [-5, -6, 0], ColumnValueError, ("[-5, 5]", "-6", "place 1")),
    ("ranged", [[0, 0], [0, 1.5], [0, 0]], ColumnValueError, ("[-1, 1]", "1.5", "place 1")),
    ("bounded", [np.nan, 2, 0], ColumnValueError, ("[0, 1]", "2", "place 1")),
    ("bounded", np.inf, ColumnValueError, ("[0, 1]", "inf")),
    ("tiny", 128, ColumnValueError, ("128", "[-128, 127]")),
    ("tiny", [0, -129, 0], ColumnValueError, ("-129",)),
    ("byte", -1, ColumnValueError, ("-1", "[0, 255]")),
    ("byte", 256, ColumnValueError, ("256",)),
    ("short", np.array([0, 0, 40_000]), ColumnValueError, ("40000",)),
    ("long", 2**63, ColumnValueError, ("9223372036854775808",)),
    ("wide", -1, ColumnValueError, ("-1",)),
    ("kind", 2, ColumnValueError, ("no choice 2", "CHAT = 1")),
    ("kind", [0, 1, 3], ColumnValueError, ("3", "place 2")),
    ("kind", "gossip", ColumnValueError, ("gossip", "THOUGHT")),
    ("kind", ["chat", "gossip", "chat"], ColumnValueError, ("gossip",)),
    ("kind", 300, ColumnValueError, ("300",)),
    ("kind", -1, ColumnValueError, ("-1",)),
    # types that do not fit
    ("single", True, ColumnTypeError, ("bool",)),
    ("single", [True, False, True], ColumnTypeError, ("bool",)),
    ("single", "1", ColumnTypeError, ("single",)),
    ("single", ["1", "2", "3"], ColumnTypeError, ("single",)),
    ("single", None, ColumnTypeError, ("object",)),
    ("single", [1, None, 3], ColumnTypeError, ("object",)),
    ("single", [1, object(), 3], ColumnTypeError, ("object",)),
    ("single", 1j, ColumnTypeError, ("complex",)),
    ("single", np.array(["2020", "2021", "2022"], "M8[Y]"), ColumnTypeError, ("datetime",)),
    ("single", {1, 2, 3}, ColumnTypeError, ("object",)),
    ("single", {"a": 1}, ColumnTypeError, ("object",)),
    ("long", 1.0, ColumnTypeError, ("integers", "float64")),
    ("long", [1, 2, 3.0], ColumnTypeError, ("integers",)),
    ("long", True, ColumnTypeError, ("bool",)),
    ("long", "7", ColumnTypeError, ("integers",)),
    ("wide", 2.0**63, ColumnTypeError, ("integers",)),
    ("flag", 1, ColumnTypeError, ("booleans",)),
    ("flag", [0, 1, 0], ColumnTypeError, ("booleans",)),
    ("flag", "True", ColumnTypeError, ("booleans",)),
    ("flag", None, ColumnTypeError, ("booleans",)),
    ("who", 1.0, ColumnTypeError, ("integers",)),
    ("who", True, ColumnTypeError, ("integers",)),
    ("who", "1", ColumnTypeError, ("integers",)),
    ("who", None, ColumnTypeError, ("integers",)),
    ("text", 5, ColumnTypeError, ("5",)),
    ("text", None, ColumnTypeError, ("None",)),
    ("text", [1, 2, 3], ColumnTypeError, ("1",)),
    ("text", ["a", None, "b"], ColumnTypeError, ("None",)),
    ("text", b"abc", ColumnTypeError, ("text",)),
    ("text", [b"a", b"b", b"c"], ColumnTypeError, ("b'a'",)),
    ("text", np.array([1, 2, 3]), ColumnTypeError, ("1",)),
    ("text", np.array([0.5, 1, 2]), ColumnTypeError, ("0.5",)),
    ("text", [["a"], ["b"], ["c"]], ColumnTypeError, ("['a']",)),
    ("kind", State.ON, ColumnTypeError, ("State",)),
    ("kind", [State.ON] * 3, ColumnTypeError, ("State",)),
    ("kind", 1.0, ColumnTypeError, ("float",)),
    ("kind", True, ColumnTypeError, ("bool",)),
    ("kind", None, ColumnTypeError, ("object",)),
    ("vector", ["a", "b", "c"], ColumnTypeError, ("vector",)),
    ("bytes", [0.5, 0.5], ColumnTypeError, ("integers",)),
    # shapes that do not fit
    ("single", [1, 2], ColumnShapeError, ("3 values", "(2,)")),
    ("single", [1, 2, 3, 4], ColumnShapeError, ("3 values", "(4,)")),
    ("single", [], ColumnShapeError, ("3 values", "(0,)")),
    ("single", [1], ColumnShapeError, ("3 values", "scalar")),
    ("single", [[1, 2, 3]], ColumnShapeError, ("(1, 3)",)),
    ("single", np.zeros((3, 1)), ColumnShapeError, ("(3, 1)",)),
    ("single", [[1], [2, 3], [4]], ColumnShapeError, ("ragged",)),
    ("text", ["a", "b"], ColumnShapeError, ("3 values", "(2,)")),
    ("text", ["a"], ColumnShapeError, ("(1,)",)),
    ("text", np.zeros((3, 3), np.uint32), ColumnShapeError, ("(3, 3)",)),
    ("kind", ["chat", "chat"], ColumnShapeError, ("(2,)",)),
    ("who", np.zeros((3, 2), np.uint64), ColumnShapeError, ("(3, 2)",)),
    ("vector", 1.0, ColumnShapeError, ("(3, 3)", "one vector of 3")),
    ("vector", [1, 2], ColumnShapeError, ("one vector of 3", "(2,)")),
    ("vector", [[1, 2, 3]], ColumnShapeError, ("(1, 3)",)),
    ("vector", np.zeros((3, 4)), ColumnShapeError, ("(3, 4)",)),
    ("vector", np.zeros((2, 3)), ColumnShapeError, ("(2, 3)",)),
    ("vector", [[1, 2, 3], [1, 2], [1, 2, 3]], ColumnShapeError, ("ragged",)),
]  # fmt: skip


def refusal_id(case):
    return f"{case[0]}-{case[1]!r}"[:48].replace("\n", "")


@event
class Happened:
    half: f2 = 0
    single: f4 = 0
    double: f8 = 0
    tiny: i1 = 0
    short: i2 = 0
    long: i8 = 0
    byte: u1 = 0
    wide: u8 = 0
    flag: b1 = False
    who: Entity = 0
    text: Text = ""
    kind: Kind = Kind.EVENT
    vector: Vector[3] = 0
    bytes: Vector[2, i1] = 0
    unit: f4 = field(0, range=(0, 1), unit="share")
    even: i8 = field(0, range=(-5, 5))
    ranged: Vector[2] = field(0, range=(-1, 1))
    open: f4 = field(0, finite=False)
    bounded: f4 = field(0, finite=False, range=(0, 1))
    count: u1  # of the batch


@pytest.mark.parametrize("case", REFUSED, ids=refusal_id)
def test_refused_values_at_every_door(case):
    """What does not fit is refused by spawn, add, set, a query's set, a view and an event, with the
    same class and a message that names the field and the value; nothing has changed."""
    name, value, error, words = case
    world = World()
    ids = world.spawn(N, Values(single=[1, 2, 3], text=["x", "y", "z"]))
    others = world.spawn(N)
    wrong = Values(**{name: value})
    words = (f"Values.{name}", *words)
    with refused(world, error, *words):
        world.spawn(N, wrong)
    with refused(world, error, *words):
        world.add(others, wrong)
    with refused(world, error, *words):
        world.set(ids, wrong)
    with refused(world, error, *words):
        world.query(Values).set(wrong)
    with refused(world, error, *words):
        world.query(Values).where(np.ones(N, np.bool_)).set(wrong)
    for view in world.query(Values):
        with refused(world, error, *words):
            setattr(view, name, value)
    with refused(world, error, "Happened", name):
        world.emit(Happened(count=[1, 2, 3], **{name: value}))


def test_a_reference_to_the_dead_is_refused():
    """An Entity field takes NOBODY or a living id, in every form of giving it."""
    world = World()
    alive = world.spawn(3, Values)
    dead = world.spawn(1, Values)
    world.despawn(dead)
    for value in (int(dead[0]), [0, int(dead[0]), 0], np.array([*alive[:2], dead[0]]), 77):
        with refused(world, DeadEntityError, "Values.who"):
            world.set(alive, Values(who=value))
        with refused(world, DeadEntityError, "Values.who"):
            world.spawn(3, Values(who=value))
    with refused(world, ColumnValueError, "Values.who", "-1"):
        world.set(alive, Values(who=-1))
    world.set(alive, Values(who=[alive[0], NOBODY, alive[1]]))
    assert world.get(alive, Values.who).tolist() == [alive[0], NOBODY, alive[1]]
    world.set(alive, Values(who=alive[::-1]))
    assert world.get(alive, Values.who).tolist() == alive[::-1].tolist()


def test_one_wrong_value_among_many_good_ones():
    """A million good values and one NaN: refused, named with its place, nothing kept."""
    world = World()
    values = np.zeros(100_001, np.float32)
    values[77_777] = np.nan
    with refused(world, ColumnValueError, "place 77,777"):
        world.spawn(Values(single=values))
    values[77_777] = 0
    words = [f"word {i}" for i in range(1_000)] + [None]
    with refused(world, ColumnTypeError, "None"):
        world.spawn(Values(text=words))
    assert len(world.text) == 1


def test_a_refused_batch_takes_its_strings_back():
    """When a later field is wrong, the strings that an earlier one interned are forgotten."""
    world = World()
    world.spawn(Values(text="kept"))
    with refused(world, ColumnValueError, "Values.unit"):
        world.spawn(Values(text=["new", "newer"], unit=[0, 2]))
    assert world.text.strings == ("", "kept")
    assert world.text.find("new") is None
    world.spawn(Values(text="next"))
    assert world.text.find("next") == 2


# -- n from the values ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_values", "n"),
    [
        ((Values(single=[1, 2, 3, 4]),), 4),
        ((Values(vector=np.zeros((5, 3))),), 5),
        ((Values(vector=[1, 2, 3]),), 1),
        ((Values(text="four"),), 1),
        ((Values(text=["four", "five"]),), 2),
        ((Values(single=1.0, kind=["chat", "chat"]),), 2),
        ((Values(single=[]),), 0),
        ((Values,), 1),
        ((7, Values), 7),
        ((np.int64(2), Values(single=[1, 2])), 2),
        ((), 1),
        ((0,), 0),
    ],
)
def test_how_many_rows_a_spawn_makes(given_values, n):
    """n is what is said, else the length of the first array, else one."""
    assert World().spawn(*given_values).shape == (n,)


@pytest.mark.parametrize(
    ("n", "error"),
    [
        (-1, ColumnShapeError),
        (True, ColumnShapeError),
        (2.0, UnknownComponentError),
        ("3", UnknownComponentError),
    ],
)
def test_what_is_no_number_of_rows(n, error):
    """A negative number, a bool, a float or text is no number of rows."""
    world = World()
    with refused(world, error, n):
        world.spawn(n, Values)


@pytest.mark.parametrize("name", ["single", "vector"])
def test_a_ragged_sequence_where_it_should_say_n(name):
    """A ragged sequence is refused as such also where the number of rows is to be read from it."""
    ragged = Values(**{name: [[1, 2, 3], [4, 5]]})
    world = World()
    with refused(world, ColumnShapeError, f"Values.{name}", "ragged"):
        world.spawn(ragged)
    with refused(world, ColumnShapeError, f"Values.{name}", "ragged"):
        world.commands.spawn(ragged)
        world.sync()


def test_arrays_of_different_lengths():
    """Two arrays that disagree: the second is named."""
    world = World()
    with refused(world, ColumnShapeError, "Values.double", "3 values", "(2,)"):
        world.spawn(Values(single=[1, 2, 3], double=[1, 2]))


# -- properties ----------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    hnp.arrays(
        st.sampled_from(["f2", "f4", "f8"]), st.integers(0, 20), elements={"allow_nan": True}
    )
)
def test_any_float_array_is_stored_exactly_or_refused(values):
    """A float array either arrives as numpy casts it, all finite, or is refused whole."""
    world = World()
    with np.errstate(over="ignore"):
        cast = values.astype(np.float32)
    if np.isfinite(cast).all():
        ids = world.spawn(Values(single=values))
        assert world.get(ids, Values.single).tobytes() == cast.tobytes()
    else:
        with refused(world, ColumnValueError, "Values.single"):
            world.spawn(Values(single=values))


@settings(max_examples=100)
@given(st.lists(st.integers(-(2**64), 2**64), max_size=8))
def test_any_integers_are_stored_exactly_or_refused(values):
    """Python integers of any size either all fit and are stored, or are refused; none wraps."""
    world = World()
    if all(-(2**63) <= v < 2**63 for v in values):
        ids = world.spawn(len(values), Values(long=values))
        assert world.get(ids, Values.long).tolist() == values
    else:
        with refused(world, (ColumnValueError if fits_numpy(values) else ColumnTypeError)):
            world.spawn(len(values), Values(long=values))


def fits_numpy(values):
    """Whether numpy holds these in one integer array: else they are objects or floats to it."""
    return np.asarray(values).dtype.kind in "iu"


@settings(max_examples=50)
@given(st.lists(st.text(max_size=5), max_size=12))
def test_any_text_comes_back(words):
    """Every str, with any character, is decoded as it was given."""
    world = World()
    ids = world.spawn(len(words), Values(text=words))
    assert world.text.decode(world.get(ids, Values.text)) == words
    world.check()
