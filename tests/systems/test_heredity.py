"""Heredity: what children take from their parents, their numbers, and the register of births."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Persona, Stream
from populace.components.lineage import NO_PARENT, Census, Lineage
from populace.ecs import (
    World,
    component,
    f4,
    field,
    hours,
    system,
    u1,
    u4,
)
from populace.ecs.errors import (
    CapacityError,
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    DuplicateComponentError,
    MissingFieldError,
    ResourceError,
    SettingError,
    StructuralChangeError,
    UnknownFieldError,
)
from populace.systems.heredity import Heredity, births, inherited, next_number
from populace.systems.temperament import BIG_FIVE

from . import naive_heredity as naive


@component
class Talent:
    """Traits of one's own, of other ranges."""

    iq: f4 = field(default=100, range=(40, 160))
    fingers: u1 = field(default=10, range=(0, 20))
    loose: f4 = 0.5
    score: f4 = field(derived=True, range=(0, 1))


@component
class Trade:
    """With a field that must be given."""

    skill: f4 = field(range=(0, 1))
    town: u4


def village(n=10, seed=3, **law):
    """A world of n founders with traits about the mean. Returns (world, ids)."""
    world = World(seed=seed)
    world.insert(Heredity(**law))
    draw = np.random.default_rng(seed)
    traits = np.clip(draw.normal(0.5, 0.1, (5, n)), 0, 1)
    names = [trait.name for trait in BIG_FIVE]
    persona = Persona(number=np.arange(n), **dict(zip(names, traits, strict=True)))
    return world, world.spawn(n, persona)


def openness(world, ids):
    """(n,) f8."""
    return world.get(ids, Persona.openness).astype(np.float64)


# -- the law ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12),
)
def test_children_are_the_twins(heritability, sigma, mean, drawn):
    """For any settings and pairs every trait of every child is the naive twin's."""
    world, ids = village(heritability=heritability, sigma=sigma, mean=mean)
    law = world.resource(Heredity)
    first = np.array([a for a, _ in drawn])
    second = np.array([(a + step) % 10 for a, step in drawn])
    children = births(world, ids[first], ids[second])
    for trait in BIG_FIVE:
        parents = world.get(ids, trait).astype(float)
        for k, got in enumerate(world.get(children, trait).tolist()):
            pair = parents[first[k]], parents[second[k]]
            assert got == pytest.approx(naive.child_trait(3, trait, 10 + k, *pair, law), abs=1e-6)
    world.check()


@pytest.mark.parametrize("h2", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_slope_on_midparent_is_the_heritability(h2):
    """Over 100,000 births, within 0.02; and they come back to the mean by the rest."""
    world, ids = village(2_000, heritability=h2)
    draw = np.random.default_rng(5)
    first = draw.integers(0, 2_000, 100_000)
    second = (first + draw.integers(1, 2_000, 100_000)) % 2_000
    children = births(world, ids[first], ids[second])
    parents = openness(world, ids)
    midparent = (parents[first] + parents[second]) / 2
    slope, intercept = np.polyfit(midparent, openness(world, children), 1)
    assert slope == pytest.approx(h2, abs=0.02)
    assert intercept == pytest.approx((1 - h2) * 0.5, abs=0.011)


def test_siblings_differ_by_half_of_sigma_squared():
    """A large family's variance is sigma^2 / 2 in every trait, traits do not go together."""
    world, ids = village(2, heritability=0.7)
    children = births(world, np.repeat(ids[0], 40_000), np.repeat(ids[1], 40_000))
    traits = np.array([world.get(children, trait) for trait in BIG_FIVE], np.float64)
    assert traits.var(axis=1) == pytest.approx(0.1**2 / 2, rel=0.04)
    assert np.abs(np.corrcoef(traits) - np.eye(5)).max() < 0.02


@pytest.mark.parametrize(("h2", "share"), [(0.5, 1 / 1.75), (1.0, 1.0)])
def test_the_variance_of_a_population_settles(h2, share):
    """At sigma^2 / (2 - h2^2) after some generations of random pairs."""
    world, ids = village(4_000, heritability=h2)
    draw = np.random.default_rng(8)
    for _ in range(6):
        ids = births(world, ids, ids[(np.arange(4_000) + draw.integers(1, 4_000)) % 4_000])
        draw.shuffle(ids)
    assert openness(world, ids).var() == pytest.approx(0.01 * share, rel=0.12)


def test_limits_of_the_law():
    """Without spread: midparent at h2 = 1, the mean at h2 = 0; and with all spread, clipped."""
    for h2, want in ((1, 0.5), (0, 0.25), (0.5, 0.375)):
        world, _ = village(0, heritability=h2, sigma=0, mean=0.25)
        ids = world.spawn(2, Persona(number=[0, 1], openness=[0.25, 0.75]))
        assert openness(world, births(world, ids[:1], ids[1:])).tolist() == [want]
    world, ids = village(2, sigma=1)
    wild = openness(world, births(world, np.repeat(ids[0], 500), np.repeat(ids[1], 500)))
    assert wild.min() == 0
    assert wild.max() == 1


def test_parents_are_equal():
    """Who is named first does not matter."""
    one, ids = village()
    other, same = village()
    a = births(one, ids[:5], ids[5:])
    b = births(other, same[5:], same[:5])
    assert (openness(one, a) == openness(other, b)).all()


# -- other traits -----------------------------------------------------------------------------


def test_any_ranged_number_is_inherited():
    """A trait of another range is scaled to it, a whole-numbered one rounded; the children get its
    component, and traits not named have their default."""
    world, ids = village(2, heritability=0.5, sigma=0.1)
    world.add(ids, Talent(iq=[150, 130], fingers=[10, 11], loose=0.9))
    world.query(Persona).set(Persona(openness=1.0))
    many = np.repeat(ids[0], 4_000), np.repeat(ids[1], 4_000)
    children = births(world, *many, traits=(Talent.iq, Talent.fingers))
    iq = world.get(children, Talent.iq).astype(float)
    assert iq.mean() == pytest.approx(120, abs=0.5)
    assert iq.var() == pytest.approx((0.1 * 120) ** 2 / 2, rel=0.08)
    law = world.resource(Heredity)
    assert iq[0] == pytest.approx(
        naive.child_trait(3, Talent.iq, 2, 150, 130, law, 40, 160), rel=1e-6
    )
    assert world.get(children, Talent.fingers).mean() == pytest.approx(10.25, abs=0.1)
    assert set(world.get(children, Talent.loose).tolist()) == {0.5}
    assert set(openness(world, children).tolist()) == {0.5}


def test_the_order_of_traits_changes_nothing():
    """A draw is keyed by the trait's name, not by its place in the list."""
    worlds = [village(), village()]
    for (world, ids), traits in zip(worlds, (BIG_FIVE, BIG_FIVE[::-1]), strict=True):
        births(world, ids[:5], ids[5:], traits=traits)
    assert worlds[0][0].digest() == worlds[1][0].digest()


@pytest.mark.parametrize(
    ("trait", "error", "says"),
    [
        (Talent.loose, ColumnTypeError, "finite range"),
        (Talent.score, ColumnTypeError, "cannot be inherited"),
        (Persona.name, ColumnTypeError, "cannot be inherited"),
        (Persona.number, ColumnTypeError, "cannot be inherited"),
        ("openness", ColumnTypeError, "a trait is a field"),
        (Persona.openness, DuplicateComponentError, "named twice"),
        (Talent.iq, ComponentMissingError, "has no Talent"),
    ],
)
def test_what_is_no_trait_is_refused(trait, error, says):
    """With an error that says why, and nothing has happened."""
    world, ids = village()
    before = world.digest()
    with pytest.raises(error, match=says):
        births(world, ids[:1], ids[1:2], traits=(*BIG_FIVE, trait))
    assert world.digest() == before


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-6, 6))
def test_inherited_stays_in_range(first, second, noise):
    """And is a number of the field's type."""
    law = Heredity(heritability=0.9, sigma=0.5)
    got = inherited(law, Talent.iq, [40 + 120 * first], [40 + 120 * second], np.array([noise]))
    assert got.dtype == np.float32
    assert 40 <= got[0] <= 160


# -- children, numbers, the register ------------------------------------------------------------


def test_a_child_has_what_it_is_given():
    """Names, further components and templates, as for spawn; and its Lineage."""
    world, ids = village()
    cradle = world.template("child", Stream, Talent(iq=90))
    pair = ids[[0, 1]], ids[[2, 3]]
    children = births(world, *pair, cradle, Persona(name=["Ann", "Bo"]), time=hours(5))
    assert world.text.decode(world.get(children, Persona.name)) == ["Ann", "Bo"]
    assert world.get(children, Stream.formed).tolist() == [0, 0]
    assert world.get(children, Talent.iq).tolist() == [90, 90]
    register = world.query(Lineage)
    rows = [register.gather(f).tolist() for f in
            (Lineage.person, Lineage.first, Lineage.second, Lineage.born)]  # fmt: skip
    assert rows == [[10, 11], [0, 1], [2, 3], [hours(5)] * 2]


def test_births_are_now_unless_told():
    """In simulated time; or each at its own."""
    world, ids = village()
    world.clock.now = hours(7)
    births(world, ids[:1], ids[1:2])
    births(world, ids[:2], ids[2:4], time=[1, 2])
    assert world.query(Lineage).gather(Lineage.born).tolist() == [hours(7), 1, 2]


def test_a_split_batch_is_the_same():
    """Ten births at once, or one by one: the same children with the same numbers."""
    whole, ids = village()
    parts, same = village()
    births(whole, ids, np.roll(ids, 1), time=0)
    for k in range(10):
        births(parts, same[k : k + 1], np.roll(same, 1)[k : k + 1], time=0)
    for field_ in (Persona.number, *BIG_FIVE):
        assert (whole.query(Persona).gather(field_) == parts.query(Persona).gather(field_)).all()
    assert (
        whole.query(Lineage).gather(Lineage.second) == parts.query(Lineage).gather(Lineage.second)
    ).all()


def test_rows_and_ids_change_nothing():
    """The traits of a child depend on its number, not on the slot or row that it gets."""
    one, ids = village()
    other, same = village()
    other.despawn(other.spawn(7, Talent))
    other.cluster(Persona.openness)
    a, b = births(one, ids[:5], ids[5:]), births(other, same[:5], same[5:])
    assert (a != b).any()
    assert (openness(one, a) == openness(other, b)).all()


def test_a_number_is_given_once():
    """Also when those with the highest have died, founders or children, and after a spawn by
    hand."""
    world, ids = village(4)
    child = births(world, ids[:1], ids[1:2])
    world.despawn(child)
    assert world.get(births(world, ids[:1], ids[1:2]), Persona.number).tolist() == [5]
    world.spawn(1, Persona(number=40))
    assert next_number(world) == 41
    world.query(Persona).where(lambda persona: persona.number == 40).despawn()
    world.spawn(Lineage(person=50, first=60))
    assert world.get(births(world, ids[:1], ids[1:2]), Persona.number).tolist() == [61]


def test_a_struck_entry_gives_no_number_back():
    """Nor when both the child and its entry are gone: the Census remembers."""
    world, ids = village(4)
    world.despawn(births(world, ids[:1], ids[1:2]))
    world.query(Lineage).despawn()
    assert world.get(births(world, ids[:1], ids[1:2]), Persona.number).tolist() == [5]


def test_a_census_keeps_the_numbers_of_the_early_dead():
    """Who dies before the first birth keeps the number where a Census says how many there were."""
    world, ids = village(4)
    world.insert(Census(4))
    world.despawn(ids[3])
    assert world.get(births(world, ids[:1], ids[1:2]), Persona.number).tolist() == [4]


def test_numbers_come_to_an_end():
    """2^32 - 2 is the last; one more is an error, and nothing has happened."""
    world, ids = village(2)
    world.insert(Census(NO_PARENT - 1))
    assert world.get(births(world, ids[:1], ids[1:]), Persona.number) == NO_PARENT - 1
    before = world.digest()
    with pytest.raises(CapacityError, match="1 births from number 4,294,967,295 on"):
        births(world, ids[:1], ids[1:])
    assert world.digest() == before


def test_the_register_outlives_the_persons():
    """A despawn takes the person and leaves the entry."""
    world, ids = village(2)
    child = births(world, ids[:1], ids[1:])
    world.despawn([*ids, *child])
    assert len(world) == 1
    assert world.query(Lineage).gather(Lineage.person).tolist() == [2]


def test_no_births_change_nothing():
    """Empty lists give no children, not even a Census."""
    world, _ = village(2)
    before = world.digest()
    assert births(world, [], [], Persona(name="Ann")).shape == (0,)
    assert world.digest() == before
    assert Census not in world.resources


# -- errors -----------------------------------------------------------------------------------


def dead_parent(world, ids):
    """The second parent of the first pair is dead."""
    world.despawn(ids[3])
    return (ids[:2], ids[[3, 4]])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (dead_parent, DeadEntityError, "dead"),
        (lambda w, i: (i[:2], i[:1]), ColumnShapeError, "got 2 and 1"),
        (lambda w, i: (i[:2], i[[5, 1]]), ColumnValueError, "at place 1 both are entity"),
        (lambda w, i: (i[:1], w.spawn(1, Talent)), ComponentMissingError, "has no Persona"),
        (lambda w, i: (i[:2], i[2:4], Persona(number=3)), UnknownFieldError, "Persona.number"),
        (lambda w, i: (i[:2], i[2:4], Persona(openness=0.3)), UnknownFieldError, "openness"),
        (lambda w, i: (i[:2], i[2:4], Lineage(person=3)), UnknownFieldError, "Lineage"),
        (lambda w, i: (i[:2], i[2:4], Talent(iq=[1, 2, 3])), ColumnShapeError, "Talent.iq"),
        (lambda w, i: (i[:2], i[2:4], Talent(iq=500)), ColumnValueError, "Talent.iq"),
        (lambda w, i: (i[:2], i[2:4], Trade(skill=0.5)), MissingFieldError, "Trade.town"),
        (lambda w, i: (i[:2], i[2:4], Talent, Talent), DuplicateComponentError, "Talent"),
        (lambda w, i: (i[:2], i[2:4], Persona(name=["A", 3])), ColumnTypeError, "Persona.name"),
    ],
)
def test_a_batch_of_births_is_atomic(call, error, says):
    """Whatever is wrong is said, and nothing has happened: no child, entry, number or text."""
    world, ids = village()
    arguments = call(world, ids)
    before, texts = world.digest(), len(world.text)
    with pytest.raises(error, match=says):
        births(world, *arguments)
    assert world.digest() == before
    assert len(world.text) == texts
    assert Census not in world.resources
    world.check()


@pytest.mark.parametrize("time", [1.5, "now", [1, 2, 3]])
def test_a_time_that_is_none_is_refused_before_anything(time):
    """Not after the children are there."""
    world, ids = village()
    before = world.digest()
    with pytest.raises((ColumnTypeError, ColumnShapeError), match=r"Lineage\.born"):
        births(world, ids[:2], ids[2:4], time=time)
    assert world.digest() == before


def test_births_want_their_law():
    """Without Heredity the error says how to add it."""
    world = World()
    with pytest.raises(ResourceError, match="Heredity"):
        births(world, [], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("heritability", -0.1),
        ("heritability", 1.1),
        ("sigma", math.nan),
        ("mean", 2),
        ("sigma", ""),
    ],
)
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Heredity\.{name} must"):
        Heredity(**{name: value})


def test_an_observer_that_raises_does_so_after_the_births():
    """Children and entries are both there then: the register misses nobody."""
    world, ids = village(2)

    def refuse(world, ids):
        raise RuntimeError("no")

    for kind in (Persona, Lineage):
        observer = world.observe("add", kind, refuse)
        with pytest.raises(RuntimeError, match="no"):
            births(world, ids[:1], ids[1:])
        observer.cancel()
    assert world.query(Lineage).gather(Lineage.person).tolist() == [2, 3]
    assert sorted(world.query(Persona).gather(Persona.number).tolist()) == [0, 1, 2, 3]
    world.check()


def test_births_happen_in_exclusive_systems_only():
    """A system that has the World may make them; one that reads columns may not."""
    world, ids = village(2)

    @system
    def spring(world: World) -> None:
        births(world, ids[:1], ids[1:])

    world.add_system(spring)
    world.step(1)
    assert world.query(Persona).count() == 3

    def in_an_observer(world, ids):
        births(world, ids[:1], ids[:1])

    world.observe("add", Talent, in_an_observer)
    with pytest.raises(StructuralChangeError, match="births"):
        world.spawn(1, Talent)
