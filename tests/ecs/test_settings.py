"""Settings: frozen, typed, checked parameters with a meaning, which systems and kernels read."""

import copy
import dataclasses
import enum
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace import Read, Res, World, Write, component, f4, i4, kernel, system
from populace.ecs import setting, settings
from populace.ecs.errors import ComponentDefinitionError, PopulaceError, ResourceError, SettingError

from . import future_annotations
from .parts import refused


class Curve(enum.Enum):
    EXPONENTIAL = "exponential"
    POWER = "power"


class Mood(enum.IntEnum):
    calm = 0
    Wild = 1


class Crossed(enum.StrEnum):
    """Each member's value is the name of the other."""

    LEFT = "RIGHT"
    RIGHT = "LEFT"


@settings
class Thirst:
    """How thirst grows."""

    rate: float = setting(0.1, range=(0, 1), unit="1/h", doc="of drying out")
    cups: int = setting(3, range=(1, 2**32 - 1), doc="in a bottle")
    salty: bool = setting(False, doc="whether the sea is drunk")
    place: str = setting("well", doc="where to drink")
    curve: Curve = setting(Curve.POWER, doc="of the throat")
    mood: Mood = setting(Mood.calm, doc="of who drinks")
    free: float = setting(-5.0, doc="any number at all")
    whole: int = setting(0, doc="any whole number at all")


@settings
class Span:
    """Two numbers that have to go together."""

    low: float = setting(0.0, range=(-10, 10), unit="m", doc="where it begins")
    high: float = setting(1.0, range=(-10, 10), unit="m", doc="where it ends")

    def check(self):
        """The end is not before the beginning."""
        assert type(self.low) is type(self.high) is float
        if self.high < self.low:
            raise SettingError(f"Span.high must be >= Span.low = {self.low}, got {self.high}")


# -- what is taken -------------------------------------------------------------------------------


def test_defaults():
    """Without arguments each setting has its default."""
    assert dataclasses.astuple(Thirst()) == (
        0.1, 3, False, "well", Curve.POWER, Mood.calm, -5.0, 0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("rate", 0.25, 0.25),
        ("rate", 1, 1.0),
        ("rate", 0, 0.0),
        ("rate", np.float64(0.5), 0.5),
        ("free", 2**60, float(2**60)),
        ("free", -0.0, -0.0),
        ("free", 5e-324, 5e-324),
        ("cups", 1, 1),
        ("whole", -(10**30), -(10**30)),
        ("salty", True, True),
        ("place", "", ""),
        ("place", "Žižkov", "Žižkov"),
        ("curve", Curve.EXPONENTIAL, Curve.EXPONENTIAL),
        ("curve", "EXPONENTIAL", Curve.EXPONENTIAL),
        ("curve", "exponential", Curve.EXPONENTIAL),
        ("mood", Mood.Wild, Mood.Wild),
        ("mood", "calm", Mood.calm),
        ("mood", "Wild", Mood.Wild),
        ("mood", "wild", Mood.Wild),
    ],
)
def test_a_value_becomes_its_type(name, given, kept):
    """A float takes whole numbers, an enum its members and their names; what is kept is of the
    declared type, the same value, and nothing else changes."""
    found = Thirst(**{name: given})
    value = getattr(found, name)
    assert type(value) is type(kept)
    assert value == kept
    if isinstance(kept, float):
        assert math.copysign(1, value) == math.copysign(1, kept)
    others = [part.name for part in dataclasses.fields(Thirst) if part.name != name]
    assert all(getattr(found, other) == getattr(Thirst(), other) for other in others)


def test_a_member_is_itself_whatever_its_value():
    """A member of an enum of texts is not taken for the name that its value happens to be."""

    @settings
    class Lane:
        side: Crossed = setting(Crossed.LEFT, doc="to keep to")

    assert Lane().side is Crossed.LEFT
    assert Lane(side=Crossed.RIGHT).side is Crossed.RIGHT
    assert Lane(side="RIGHT").side is Crossed.RIGHT


def test_names_that_differ_in_case_only():
    """The exact name comes first."""

    class Letter(enum.Enum):
        A = 1
        a = 2

    @settings
    class Script:
        letter: Letter = setting(Letter.A, doc="the first one")

    assert Script(letter="A").letter is Letter.A
    assert Script(letter="a").letter is Letter.a


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("rate", "0.5", ("float", "1/h", "'0.5'")),
        ("rate", None, ("float", "None")),
        ("rate", True, ("float", "True")),
        ("rate", np.float32(0.5), ("float", "0.5")),
        ("rate", np.array([0.5]), ("float", "array([0.5])")),
        ("rate", 1j, ("float", "1j")),
        ("rate", [], ("float", "[]")),
        ("cups", 2.0, ("int", "2.0")),
        ("cups", True, ("int", "True")),
        ("cups", "2", ("int", "'2'")),
        ("cups", np.float64(2), ("int", "2.0")),
        ("salty", 1, ("bool", "1")),
        ("salty", "yes", ("bool", "'yes'")),
        ("salty", None, ("bool", "None")),
        ("place", 3, ("str", "3")),
        ("place", b"well", ("str", "b'well'")),
        ("place", None, ("str", "None")),
        ("curve", "linear", ("exponential, power", "'linear'")),
        ("curve", Mood.calm, ("exponential, power", "calm")),
        ("curve", 0, ("exponential, power", "0")),
        ("curve", Curve, ("exponential, power", "Curve")),
        ("mood", 1, ("calm, wild", "1")),
        ("mood", None, ("calm, wild", "None")),
        ("mood", "", ("calm, wild", "''")),
        ("rate", math.nan, ("finite", "nan")),
        ("rate", math.inf, ("finite", "inf")),
        ("rate", -math.inf, ("finite", "-inf")),
        ("free", math.nan, ("finite", "nan")),
        ("free", math.inf, ("finite", "inf")),
        ("free", 10**400, ("finite",)),
        ("rate", -0.5, ("[0, 1]", "1/h", "-0.5")),
        ("rate", 2, ("[0, 1]", "1/h", "2")),
        ("rate", 1.0000001, ("[0, 1]", "1/h", "got 1.0000001")),
        ("rate", -5e-324, ("[0, 1]", "got -4.94066e-324")),
        ("cups", 0, ("[1, 4294967295]", "got 0")),
        ("cups", 2**32, ("[1, 4294967295]", "got 4294967296")),
        ("cups", 10**400, ("[1, 4294967295]", f"got {10**400}")),
    ],
)
def test_a_wrong_value_is_refused(name, given, words):
    """The error names the class and the setting, what is allowed, and the value."""
    with pytest.raises(SettingError) as caught:
        Thirst(**{name: given})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PopulaceError)
    said = str(caught.value)
    assert said.startswith(f"Thirst.{name} must ")
    for word in words:
        assert word in said, said


@given(st.floats(-3, 3), st.floats(allow_nan=False, allow_infinity=False))
def test_the_range_is_closed(inside, anywhere):
    """Every number from one end to the other is taken, ends included, and no other."""
    low, high = sorted((inside, math.nextafter(inside, 9) + 0.5))

    @settings
    class Ruled:
        x: float = setting(low, range=(low, high), doc="anything between")

    for value in (low, high, (low + high) / 2):
        assert Ruled(x=value).x == value
    for value in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf)):
        with pytest.raises(SettingError, match=r"Ruled\.x must lie in \["):
            Ruled(x=value)
    if low <= anywhere <= high:
        assert Ruled(x=anywhere).x == anywhere
    else:
        with pytest.raises(SettingError) as caught:
            Ruled(x=anywhere)
        assert float(str(caught.value).rpartition("got ")[2]) == anywhere


@given(st.integers(-(2**70), 2**70))
def test_ranges_of_whole_numbers(value):
    """Whole numbers are compared exactly, and named exactly, however large."""
    if 1 <= value <= 2**32 - 1:
        assert Thirst(cups=value).cups == value
    else:
        with pytest.raises(SettingError) as caught:
            Thirst(cups=value)
        said = str(caught.value).rpartition("got ")[2]
        assert (float(said) if "e" in said else int(said)) == value


def test_a_range_may_be_open_above():
    """An infinite end of a range leaves that side free, but not infinite."""

    @settings
    class Patience:
        wait: float = setting(1.0, range=(0, math.inf), unit="s", doc="before leaving")

    assert Patience(wait=1e300).wait == 1e300
    with pytest.raises(SettingError, match="finite"):
        Patience(wait=math.inf)
    with pytest.raises(SettingError, match=r"\[0, inf\] s, got -1"):
        Patience(wait=-1)


def test_the_first_wrong_setting_is_named():
    """Settings are checked in their order; nothing is made."""
    with pytest.raises(SettingError, match=r"Thirst\.rate"):
        Thirst(place=0, rate=7, cups=-1)


def test_settings_are_given_by_name():
    """A position means nothing, an unknown name is an error."""
    with pytest.raises(TypeError, match="positional"):
        Thirst(0.5)
    with pytest.raises(TypeError, match="speed"):
        Thirst(speed=1)


# -- values that have to go together -------------------------------------------------------------


def test_check_comes_last():
    """`check` sees every value as it is kept, and its error is the error."""
    assert Span(low=2, high=2).high == 2
    with pytest.raises(SettingError, match=r"Span\.high must be >= Span\.low = 2.0, got 1.0"):
        Span(low=2)
    with pytest.raises(SettingError, match=r"Span\.high must lie in"):
        Span(low=2, high=19)


def test_check_may_be_called_again():
    """It is a plain method that answers nothing."""
    assert Span().check() is None


# -- a frozen value ------------------------------------------------------------------------------


def test_settings_are_frozen():
    """Nothing can be assigned or deleted, nothing can be added."""
    law = Thirst()
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.rate = 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        del law.rate
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        law.speed = 0.5
    assert law == Thirst()


def test_replacing_checks_again():
    """`dataclasses.replace` makes another one, checked like the first."""
    law = Thirst(cups=5)
    assert dataclasses.replace(law, rate=1) == Thirst(cups=5, rate=1.0)
    assert law.rate == 0.1
    with pytest.raises(SettingError, match=r"Thirst\.rate"):
        dataclasses.replace(law, rate=2)
    with pytest.raises(SettingError, match=r"Span\.high"):
        dataclasses.replace(Span(), low=5)


def test_equal_values_are_equal_settings():
    """Equality and hash follow the values, however they were given, within one class."""

    @settings
    class Hunger:
        rate: float = setting(0.1, range=(0, 1), unit="1/h", doc="of starving")

    @settings
    class Other:
        rate: float = setting(0.1, range=(0, 1), unit="1/h", doc="of something else")

    assert Thirst(rate=1, curve="power") == Thirst(rate=1.0, curve=Curve.POWER)
    assert hash(Thirst(rate=1)) == hash(Thirst(rate=1.0))
    assert Thirst(rate=0.2) != Thirst()
    assert Hunger() != Other()
    assert len({Hunger(), Hunger(rate=0.1), Other(), Hunger(rate=0)}) == 3


def test_repr_makes_it_again():
    """What is printed can be run."""
    law = Thirst(rate=np.float64(0.7), cups=9, place="sea", mood="wild")
    names = {"Thirst": Thirst}
    said = (
        repr(law).replace("<Curve.POWER: 'power'>", "'power'").replace("<Mood.Wild: 1>", "'Wild'")
    )
    assert eval(said, names) == law
    assert repr(Span()) == "Span(low=0.0, high=1.0)"


def test_copies_and_pickles_are_equal():
    """So that a process or a file can take it over."""
    law = Thirst(rate=0.3, curve="exponential")
    assert copy.deepcopy(law) == law
    assert pickle.loads(pickle.dumps(law)) == law


def test_a_setting_says_what_it_is():
    """Range, unit and meaning can be read from the class, for a manual or a command line."""
    rate, cups, *_ = dataclasses.fields(Thirst)
    assert rate.metadata == {"range": (0, 1), "unit": "1/h", "doc": "of drying out"}
    assert (cups.default, cups.metadata["unit"]) == (3, "")
    assert Thirst.__doc__ == "How thirst grows."
    with pytest.raises(TypeError, match="doc"):
        setting(1.0)


def test_settings_without_any_setting():
    """A class may have none yet."""

    @settings
    class Nothing:
        """To come."""

    assert Nothing() == Nothing()


# -- classes that cannot be settings -------------------------------------------------------------


def refused_classes():
    """(id, words of the message, function that defines the class)."""

    def no_default():
        @settings
        class Law:
            rate: float

    def plain_default():
        @settings
        class Law:
            rate: float = 1.0

    def plain_field():
        @settings
        class Law:
            rate: float = dataclasses.field(default=1.0)

    def an_array():
        @settings
        class Law:
            rate: np.ndarray = setting(None, doc="an array")

    def a_column():
        @settings
        class Law:
            rate: f4 = setting(1.0, doc="a column's type")

    def maybe():
        @settings
        class Law:
            rate: float | None = setting(None, doc="perhaps")

    def anything():
        @settings
        class Law:
            rate: Any = setting(1.0, doc="anything")

    def a_list():
        @settings
        class Law:
            rate: list[float] = setting((), doc="several")

    def a_class():
        @settings
        class Law:
            rate: Thirst = setting(None, doc="settings in settings")

    return [
        (("Law.rate", "default", "doc"), no_default),
        (("Law.rate", "default", "doc"), plain_default),
        (("Law.rate", "default", "doc"), plain_field),
        (("Law.rate", "ndarray", "float"), an_array),
        (("Law.rate", "float32", "float"), a_column),
        (("Law.rate", "None", "float"), maybe),
        (("Law.rate", "Any", "float"), anything),
        (("Law.rate", "list", "float"), a_list),
        (("Law.rate", "Thirst", "float"), a_class),
    ]


@pytest.mark.parametrize(
    ("words", "define"), refused_classes(), ids=lambda part: getattr(part, "__name__", "")
)
def test_a_class_that_cannot_be_one_is_refused(words, define):
    """When it is defined, naming the setting and what a setting is."""
    with pytest.raises(ComponentDefinitionError) as caught:
        define()
    for word in words:
        assert word in str(caught.value)


def questionable_classes():
    def without_annotation():
        @settings
        class Law:
            rate = setting(1.0, doc="of what type?")

        return Law

    def inherited():
        @settings
        class Law(Thirst):
            more: float = setting(1.0, doc="one more")

        return Law

    def unknown_annotation():
        @settings
        class Law:
            rate: "Flaot" = setting(1.0, doc="misspelt")  # noqa: F821

        return Law

    def a_range_of_texts():
        @settings
        class Law:
            place: str = setting("a", range=(0, 1), doc="between what?")

        return Law

    def a_range_of_members():
        @settings
        class Law:
            curve: Curve = setting(Curve.POWER, range=(0, 1), doc="between what?")

        return Law

    def an_empty_range():
        @settings
        class Law:
            rate: float = setting(0.5, range=(1, 0), doc="no number at all")

        return Law

    def a_default_out_of_range():
        @settings
        class Law:
            rate: float = setting(5.0, range=(0, 1), doc="never its default")

        return Law

    def a_default_of_another_type():
        @settings
        class Law:
            rate: float = setting("fast", doc="not a number")

        return Law

    def no_class():
        return settings(3)

    return [
        without_annotation, inherited, unknown_annotation, a_range_of_texts, a_range_of_members,
        an_empty_range, a_default_out_of_range, a_default_of_another_type, no_class,
    ]  # fmt: skip


@pytest.mark.parametrize("define", questionable_classes(), ids=lambda define: define.__name__)
def test_a_class_whose_instances_could_not_be_made_is_refused(define):
    """What could only fail later is said when the class is defined."""
    with pytest.raises(ComponentDefinitionError):
        define()


def test_annotations_may_be_strings():
    """As under `from __future__ import annotations`, enums of the module included."""
    law = future_annotations.Law(pace="fast", share=1)
    assert (law.pace, law.share, law.steps) == (future_annotations.Pace.FAST, 1.0, 2)
    with pytest.raises(SettingError, match=r"Law\.pace must be slow, fast, got 'still'"):
        future_annotations.Law(pace="still")


def test_annotations_may_name_what_is_local():
    """As those of a component or a system may."""
    law, pace = future_annotations.local_settings()
    assert law(pace="fast").pace is pace.FAST


# -- as a resource -------------------------------------------------------------------------------


@component
class Body:
    water: f4 = 1
    drunk: i4 = 0


def world_with(*resources):
    world = World()
    world.spawn(3, Body(water=[1, 2, 3]))
    for resource in resources:
        world.insert(resource)
    return world


def water(world):
    return world.query(Body).gather(Body.water).tolist()


def test_an_array_system_reads_every_kind():
    """`Res[Thirst]` is the instance itself."""
    given, seen = Thirst(rate=0.5, place="sea", curve="exponential"), []
    world = world_with(given)

    @system
    def dry(body: Write[Body], law: Res[Thirst]):
        seen.append(law)
        body.water *= 1 - law.rate

    world.add_system(dry)
    world.step(1)
    assert seen[0] is given is world.resource(Thirst)
    assert water(world) == [0.5, 1.0, 1.5]


def test_a_kernel_reads_the_numbers():
    """Floats, integers and flags come into row functions; another instance counts at the next
    step, without compiling anew."""
    world = world_with(Thirst(rate=0.5, cups=7))

    @kernel
    def dry(body: Write[Body], law: Res[Thirst]):
        if law.salty:
            body.water = 0
        else:
            body.water *= f4(1 - law.rate)
        body.drunk += law.cups

    world.add_system(dry)
    world.step(1)
    assert water(world) == [0.5, 1.0, 1.5]
    world.insert(Thirst(rate=1, cups=2**20), replace=True)
    world.step(1)
    assert water(world) == [0, 0, 0]
    world.query(Body).set(Body(water=5))
    world.insert(Thirst(rate=0), replace=True)
    world.step(1)
    assert water(world) == [5, 5, 5]
    world.insert(Thirst(rate=0, salty=True), replace=True)
    world.step(1)
    assert water(world) == [0, 0, 0]
    assert world.query(Body).gather(Body.drunk).tolist() == [7 + 2**20 + 3 + 3] * 3
    [signature] = {len(s) for s in dry.loop.loop.signatures}
    assert len(dry.loop.loop.signatures) == 1
    assert signature == 5  # pointers, counts, salty, rate, cups


def test_one_of_each_class():
    """A second instance has to replace the first; a world without one says so."""
    world = world_with(Thirst())
    with refused(world, ResourceError, "Thirst"):
        world.insert(Thirst(rate=0.9))
    assert world.resource(Thirst).rate == 0.1
    with refused(world, ResourceError, "Span", "Thirst"):
        world.resource(Span)


def test_a_system_without_its_settings_says_so():
    """A step raises ResourceError with the name of the class."""
    world = world_with()

    @system
    def dry(body: Read[Body], law: Res[Thirst]):
        raise AssertionError

    world.add_system(dry)
    with pytest.raises(ResourceError, match="Thirst"):
        world.step(1)
