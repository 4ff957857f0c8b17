"""Older descriptions: what today's class can take over, and what it refuses by name."""

import enum
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from populace.ecs import Entity, Text, Vector, component, event, f2, f4, f8, field, i2, i4, i8, u4
from populace.ecs.errors import SchemaError, SnapshotError
from populace.ecs.fields import SCALARS
from populace.ecs.text import TextPool
from populace.storage.describe import describe
from populace.storage.evolve import Source, complete, convert, defaults, match


class Job(enum.IntEnum):
    NONE = 0
    BAKER = 1


def made(name="Hunger", decorate=component, /, **fields):
    """A class of these fields: an annotation, or an annotation and what `field` is given."""
    body = {"__annotations__": {}}
    for key, value in fields.items():
        annotation, *about = value if isinstance(value, tuple) else (value,)
        body["__annotations__"][key] = annotation
        if about:
            body[key] = field(**about[0])
    return decorate(type(name, (), body))


def evolved(old, new, **stored):
    """The columns of today's class, from stored ones of three rows."""
    plan, pool = match(describe(old), new), TextPool()
    columns = {}
    for part, source in plan.sources.items():
        column = None if source is None else np.asarray(stored[source.name], source.dtype)
        columns[part.name] = convert(plan, part, column, 3, lambda text: pool.intern([text])[0])
        assert columns[part.name].dtype == part.dtype
        assert columns[part.name].shape == (3, *part.shape)
    return columns


# -- the same class -----------------------------------------------------------------------------


def test_the_same_class_takes_its_columns_as_they_are():
    """Neither copied nor read: values that a raw write left out of range come back too."""
    cls = made(level=(f4, {"range": (0, 1)}), face=Vector[2], now=(f4, {"derived": True}))
    plan = match(describe(cls), cls)
    level = np.array([5, np.nan, 0], f4)
    face = np.zeros((3, 2), f4)
    assert convert(plan, cls.level, level, 3, int) is level
    assert convert(plan, cls.face, face, 3, int) is face
    assert list(plan.sources) == [cls.level, cls.face]
    assert (plan.cls, plan.lost, plan.texts) == (cls, (), ())


def test_what_is_told_about_a_field_may_change():
    """Unit, text, default, order, index and on_despawn follow the class of today."""
    old = made(a=(f4, {"unit": "J", "default": 2}), b=(Entity, {"index": True}))
    new = made(
        b=(Entity, {"index": True, "on_despawn": "forbid", "doc": "who"}),
        a=(f4, {"unit": "kJ", "doc": "of it"}),
    )
    columns = evolved(old, new, a=[1, 2, 3], b=[4, 5, 6])
    assert columns["a"].tolist() == [1, 2, 3]
    assert columns["b"].tolist() == [4, 5, 6]


# -- fields that come and go --------------------------------------------------------------------


def test_a_field_that_is_new_takes_its_default():
    """Numbers, vectors, enum members, references and texts; a text's code is the caller's."""
    new = made(
        level=(f8, {"default": 0.5}),
        face=(Vector[2], {"default": 3}),
        line=(Vector[2], {"default": (1, 2)}),
        job=(Job, {"default": Job.BAKER}),
        who=(Entity, {"default": 0, "index": True}),
        name=(Text, {"default": "Ann"}),
        note=(Text, {"default": ""}),
    )
    columns = evolved(made(), new)
    assert columns["level"].tolist() == [0.5] * 3
    assert columns["face"].tolist() == [[3, 3]] * 3
    assert columns["line"].tolist() == [[1, 2]] * 3
    assert columns["job"].tolist() == [1] * 3
    assert columns["who"].tolist() == [0] * 3
    assert columns["name"].tolist() == [1] * 3
    assert columns["note"].tolist() == [0] * 3
    assert match(describe(made()), new).texts == ("Ann", "")


def test_a_field_that_is_new_needs_a_default():
    """Nothing can be made up for the rows that are there."""
    old, new = made(amount=f4), made(level=f4)
    says = r"Hunger.level has no default and the snapshot of .*:Hunger does not hold it; .* amount"
    with pytest.raises(SchemaError, match=says):
        match(describe(old), new)
    with pytest.raises(SchemaError, match=r"Hunger.level has no default and .* as derived"):
        match(describe(made(level=(f4, {"derived": True}))), new)


def test_a_field_that_is_gone_is_dropped():
    """Gone, or filled by a system today."""
    old = made(a=f4, b=f4, c=f4)
    plan = match(describe(old), made(b=f4, c=(f4, {"derived": True})))
    assert [part.name for part in plan.sources] == ["b"]
    assert plan.lost == ("a", "c")


def test_a_derived_field_that_is_kept_today_is_a_new_one():
    """It has no column in the file, so it takes its default."""
    old = made(level=(f4, {"derived": True}))
    columns = evolved(old, made(level=(f4, {"default": 7})))
    assert columns["level"].tolist() == [7] * 3


def test_a_component_is_no_event():
    """One lives in tables, the other in queues."""
    cls, other = made(), made("Hunger", event)
    with pytest.raises(SchemaError, match="as a component, and today Hunger is an event"):
        match(describe(cls), other)
    with pytest.raises(SchemaError, match="as an event, and today Hunger is a component"):
        match(describe(other), cls)


# -- dtypes -------------------------------------------------------------------------------------


def edges(dtype):
    """The values that another dtype is most likely to lose."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind == "f":
        about = np.finfo(dtype)
        return [about.max, about.min, about.smallest_subnormal, 1 + about.eps, -0.0, 0.1]
    about = np.iinfo(dtype)
    return [about.min, about.max, about.max - 1, about.min + 1]


def keeps(value, dtype):
    """Whether one value of a number is the same number in another dtype."""
    try:
        with np.errstate(all="ignore"):
            return np.array(value).astype(dtype).item() == value
    except OverflowError:
        return False


@pytest.mark.parametrize(
    ("stored", "today"),
    list(itertools.product(sorted(SCALARS, key=str), repeat=2)),
    ids=lambda dtype: dtype.str[1:],
)
def test_a_dtype_becomes_any_that_holds_its_values(stored, today):
    """The rule is that of the values themselves; booleans are no numbers."""
    old, new = made(level=stored.type), made(level=today.type)
    values = np.array(edges(stored), stored)
    exact = all(keeps(value, today) for value in values.tolist())
    if (exact and "b" not in (stored.kind, today.kind)) or stored == today:
        plan = match(describe(old), new)
        column = convert(plan, new.level, values, values.size, int)
        assert column.dtype == today
        assert column.tolist() == values.tolist()
    else:
        says = f"Hunger.level was stored as {stored.name}, and today it is {today.name}, which"
        with pytest.raises(SchemaError, match=says):
            match(describe(old), new)


@given(
    st.sampled_from([(f2, f8), (f4, f8), (i2, f4), (i4, f8), (u4, i8)]).flatmap(
        lambda pair: st.tuples(
            st.just(pair[1]), npst.arrays(pair[0], st.tuples(st.integers(0, 9), st.just(3)))
        )
    )
)
def test_wider_vectors_hold_the_same_numbers(case):
    """And may be narrowed back to what they were, NaN and infinities among them."""
    wide, values = case
    old = made(face=(Vector[3, values.dtype.type], {"finite": False}))
    new = made(face=(Vector[3, wide], {"finite": False}))
    column = convert(match(describe(old), new), new.face, values, len(values), int)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(column.astype(values.dtype), values)


@pytest.mark.parametrize(
    ("stored", "today", "says"),
    [
        (Text, u4, "stored as text, and today it is uint32"),
        (Text, Job, "stored as text, and today it is enum"),
        (Job, Text, "stored as enum, and today it is text"),
        (u4, Text, "stored as uint32, and today it is text"),
        (Entity, u4, "stored as entity, and today it is uint32"),
        (Vector[3], Vector[4], "stored as vector of 3 float32, and today it is vector of 4 float"),
        (f4, Vector[1], "stored as float32, and today it is vector of 1 float32"),
        (
            Vector[3],
            Vector[3, f2],
            "stored as vector of 3 float32, and today it is vector of 3 float16",
        ),
    ],
)
def test_a_kind_or_width_does_not_change(stored, today, says):
    """The error tells what it was, what it is, and the two ways out."""
    with pytest.raises(SchemaError, match=rf"Hunger.it was {says}.*declare it as it was, or give"):
        match(describe(made(it=stored)), made(it=today))


# -- enums --------------------------------------------------------------------------------------


def test_an_enum_may_gain_members():
    """Codes that are stored keep their meaning; an old name may stand beside a new one."""

    class More(enum.IntEnum):
        COOK = 2
        BAKERY = 1
        BAKER = 1
        NONE = 0

    assert evolved(made(job=Job), made(job=More), job=[0, 1, 0])["job"].tolist() == [0, 1, 0]


def test_a_member_keeps_its_name_and_value():
    """A member that is renumbered, renamed or gone is named."""

    class Renumbered(enum.IntEnum):
        NONE = 0
        BAKER = 2

    class Gone(enum.IntEnum):
        NONE = 0
        COOK = 1

    says = "Hunger.job was stored with BAKER = 1, and today BAKER is 2 in Renumbered; .* bring"
    with pytest.raises(SchemaError, match=says):
        match(describe(made(job=Job)), made(job=Renumbered))
    with pytest.raises(SchemaError, match="with BAKER = 1, and today BAKER does not exist in Gone"):
        match(describe(made(job=Job)), made(job=Gone))


# -- ranges and NaN -----------------------------------------------------------------------------


def test_a_range_that_is_narrower_is_checked():
    """What fits is loaded; what does not is named with its value."""
    old = made(level=(f4, {"range": (0, 10), "unit": "J"}))
    new = made(level=(f8, {"range": (0, 1), "unit": "J"}))
    assert evolved(old, new, level=[0, 0.5, 1])["level"].tolist() == [0, 0.5, 1]
    says = r"today's Hunger.level refuses: .* must lie in \[0, 1\] J; got 5.0 at place 1; .* widen"
    with pytest.raises(SchemaError, match=says):
        evolved(old, new, level=[0, 5, 0])
    with pytest.raises(SchemaError, match=r"got 5.0 at place 0"):
        evolved(made(level=f4), new, level=[5, 5, 0])
    with pytest.raises(SchemaError, match=r"got -1.0 at place 1"):
        evolved(made(level=(f4, {"range": (-1, 1)})), new, level=[0, -1, 0])


def test_a_range_that_is_wider_is_not():
    """Stored values obeyed the narrower one, or were written past it."""
    old = made(level=(f4, {"range": (0, 1)}))
    for new in (made(level=(f4, {"range": (-1, 1)})), made(level=f4)):
        assert match(describe(old), new).sources[new.level] == Source("level", np.dtype(f4), 0)
        assert evolved(old, new, level=[7, 0, 0])["level"].tolist() == [7, 0, 0]


def test_a_field_that_has_become_finite_holds_no_nan():
    """Where it did, the place is named."""
    old, new = made(level=(f4, {"finite": False})), made(level=f4)
    assert evolved(old, new, level=[1, 2, 3])["level"].tolist() == [1, 2, 3]
    with pytest.raises(SchemaError, match=r"Hunger.level must be finite; got nan at place 2"):
        evolved(old, new, level=[1, 2, np.nan])
    assert np.isnan(evolved(new, old, level=[1, 2, np.nan])["level"][2])


# -- references ---------------------------------------------------------------------------------


def test_a_reference_that_has_become_indexed_names_the_living():
    """The dead become NOBODY, or are refused, as a despawn would have had it."""
    old = made(who=Entity)

    def living(ids):
        return ids < 10

    stored = np.array([0, 4, 17], np.uint64)
    for on_despawn, said in (("despawn", "despawn"), ("forbid", "forbid")):
        new = made(who=(Entity, {"index": True, "on_despawn": on_despawn}))
        with pytest.raises(SchemaError, match=f"on_despawn='{said}', and .* 1 of 3 rows name"):
            convert(match(describe(old), new), new.who, stored, 3, int, living)
        assert convert(match(describe(old), new), new.who, stored[:2], 2, int, living).size == 2
    new = made(who=(Entity, {"index": True, "on_despawn": "null"}))
    plan = match(describe(old), new)
    assert convert(plan, new.who, stored, 3, int, living).tolist() == [0, 4, 0]
    assert convert(plan, new.who, stored, 3, int) is stored
    again = match(describe(new), new)
    assert convert(again, new.who, stored, 3, int, lambda ids: 1 / 0) is stored


def test_a_pair_that_has_become_unique_is_told():
    """Whoever loads it looks for pairs that are there twice."""
    ends = dict.fromkeys("ab", (Entity, {"index": True, "on_despawn": "forbid"}))
    free = made("Tie", **ends)
    pair, turned = (made("Tie", component(unique=tuple(names)), **ends) for names in ("ab", "ba"))
    assert match(describe(free), pair).newly_unique
    assert not match(describe(pair), turned).newly_unique
    assert not match(describe(pair), free).newly_unique


# -- components that are required anew ----------------------------------------------------------


def test_a_component_that_is_required_today_is_added():
    """With its defaults, after the stored ones, and what it requires in turn."""
    c = made("C", level=(f4, {"default": 1}))
    b = component(requires=c)(type("B", (), {"__annotations__": {}}))
    a = component(requires=(b, c))(type("A", (), {"__annotations__": {}}))
    assert complete((a,)) == (a, b, c)
    assert complete((c, a)) == (c, a, b)
    assert complete((c, b, a)) == (c, b, a)
    assert convert(defaults(c), c.level, None, 2, int).tolist() == [1, 1]


def test_a_component_without_defaults_cannot_be_added():
    """The error names both components and the field."""
    b = made("B", level=f4)
    a = component(requires=b)(type("A", (), {"__annotations__": {}}))
    with pytest.raises(SchemaError, match=r"with A and without B, .* B.level has no default; give"):
        complete((a,))
    assert complete((a, b)) == (a, b)


# -- columns that are not as described ----------------------------------------------------------


@pytest.mark.parametrize(
    "column", [None, np.zeros(2, f4), np.zeros(3, f8), np.zeros((3, 1), f4), np.zeros(3, ">f4")]
)
def test_a_column_is_as_described(column):
    """Another length, dtype or shape is damage, not evolution."""
    cls = made(level=f4)
    with pytest.raises(SnapshotError, match=r"Hunger.level is described as float32 \(3,\)"):
        convert(match(describe(cls), cls), cls.level, column, 3, int)
