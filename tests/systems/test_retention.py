"""Retention: three laws and one's own, the sweep that they share, and what memories are worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from populace.components import Memory, Persona, Strength, Trace
from populace.ecs import World, days, f4, hours, seconds, setting, settings
from populace.ecs.errors import ComponentMissingError, DeadEntityError, SettingError
from populace.systems import (
    BaseLevel,
    Power,
    Retention,
    base_level,
    parameterised_law,
    refresh_strength,
    retention_law,
    strengths_of,
)
from populace.systems.activation import activation
from populace.systems.exponential import exponential
from populace.systems.power import power
from populace.systems.strength import scratch, strengths_by

from . import naive_memory as naive
from .memories import DAY_S, LAWS, NOW, Row, bits, by_name, f4s, one_row, some_rows, world_of

DAY = days(1)
EVERY_LAW = pytest.mark.parametrize("law", LAWS)


def swept(rows, law="exponential", *resources, floor=0.0, now=NOW, threads=1, order=None):
    """What a sweep makes of these rows, (n,) f4."""
    retention = Retention(law=law, floor=floor)
    world, ids = world_of(
        rows,
        retention,
        *resources,
        now=now,
        threads=threads,
        order=order,
        systems=[refresh_strength],
    )
    world.parallel_rows = 1
    world.step(0)
    return world.get(ids, Strength.value)


def many_rows(n, seed=1):
    """n memories of all ages in eight tables."""
    draw = np.random.default_rng(seed)
    created = NOW - draw.integers(0, days(400), n)
    return [
        Row(
            owner=place % 4,
            sequence=place,
            importance=float(np.float32(draw.integers(1, 10) / 10)),
            stability=float(np.float32(draw.uniform(1, 60) * DAY_S)),
            accessed=int(draw.integers(made, NOW + 1)),
            accesses=int(draw.integers(1, 20)),
            created=int(made),
            table=int(draw.integers(0, 8)),
        )
        for place, made in enumerate(created)
    ]


def aged(age_us, stability_s=3 * DAY_S, accesses=1, importance=1.0):
    """A memory formed and accessed so long ago."""
    return Row(
        importance=importance,
        stability=stability_s,
        accessed=NOW - age_us,
        accesses=accesses,
        created=NOW - age_us,
    )


# -- the formulas ---------------------------------------------------------------------------


def rounding(law, row, decay, noise):
    """The relative error that f4 has a right to: that of the exponent grows with it."""
    elapsed = max(max(NOW - row.accessed, 0) / 1e6 / row.stability, 1e-9)
    age = max((NOW - row.created) / 1e6, 1.0) / row.stability
    exponent = {
        "exponential": elapsed,
        "power": decay * (1 + np.log2(1 + (0.9 ** (-1 / decay) - 1) * elapsed)),
        "activation": (decay * (1 + abs(np.log2(age))) + 1 + np.log2(row.accesses)) / noise,
    }[law]
    return 1e-6 + 4e-7 * min(exponent, 126)


@EVERY_LAW
@given(st.lists(one_row(days(36_500)), min_size=1, max_size=12), f4s(0, 1))
def test_the_sweep_computes_the_law(law, rows, floor):
    """For any importance, stability, age, access and floor it is the formula, to f4 rounding."""
    got = swept(rows, law, floor=floor)
    for row, value in zip(rows, got.tolist(), strict=True):
        want = naive.strength(row, NOW, law, floor)
        assert value == pytest.approx(want, rel=rounding(law, row, 0.1542, 0.4), abs=1e-37)


@given(one_row(days(36_500)), st.floats(0.01, 2))
def test_the_power_law_has_any_exponent(row, decay):
    """`Power.decay` is the D of the formula."""
    want = naive.strength(row, NOW, "power", decay=decay)
    value = power(Power(decay=decay)).py_func(*law_arguments(row))
    got = row.importance * float(value)
    assert got == pytest.approx(want, rel=rounding("power", row, decay, 1), abs=1e-37)


@given(one_row(days(36_500)), st.floats(0.01, 0.99), st.floats(0.05, 5))
def test_activation_has_any_decay_and_noise(row, decay, noise):
    """`BaseLevel.decay` and `.noise` are the d and s of the formula."""
    want = naive.strength(row, NOW, "activation", decay=decay, noise=noise)
    value = activation(BaseLevel(decay=decay, noise=noise)).py_func(*law_arguments(row))
    got = row.importance * float(value)
    assert got == pytest.approx(want, rel=rounding("activation", row, decay, noise), abs=1e-37)


def law_arguments(row):
    """What a law gets of a row at NOW, in f4."""
    elapsed, age = (NOW - row.accessed) / 1e6, (NOW - row.created) / 1e6
    return [np.float32(value) for value in (elapsed, age, row.stability, row.accesses)]


@EVERY_LAW
def test_compiled_and_plain_python_have_the_same_bits(law):
    """The law as Python runs it, one row after the other, gives the bits of the compiled loop."""
    functions = {"exponential": exponential, "power": power(Power())}
    function = functions.get(law) or activation(BaseLevel())
    given = np.array([law_arguments(row) for row in many_rows(100)], np.float32)
    out = np.empty(100, np.float32)
    over(function, given, out)
    assert bits(out) == bits([function.py_func(*row) for row in given])


@njit
def over(law, given_nk, out_n):
    """A loop over rows of arguments."""
    for i in range(out_n.size):
        out_n[i] = law(given_nk[i, 0], given_nk[i, 1], given_nk[i, 2], given_nk[i, 3])


def test_the_kernel_runs_in_plain_python():
    """Without the compiler the kernel of the sweep gives the same bits, over blocks too."""
    rows = many_rows(2_100)
    columns = [
        np.array([row.importance for row in rows], np.float32),
        np.array([row.stability for row in rows], np.float32),
        np.array([row.accessed for row in rows], np.int64),
        np.array([row.accesses for row in rows], np.uint32),
        np.array([row.created for row in rows], np.int64),
    ]
    out = np.empty(len(rows), np.float32)
    strengths_by(exponential).py_func(*columns, np.int64(NOW), np.float32(0.25), scratch(), out)
    assert bits(out) == bits(swept(rows, floor=0.25))


def test_halves_are_exact_where_seconds_are():
    """With a half-life of 2^18 s R is 1, 1/2 and 1/1024 to the bit, after 0, 1 and 10 of them."""
    ages = [round(2**18 * 1e6) * times for times in (0, 1, 10)]
    assert swept([aged(age, 2.0**18) for age in ages]).tolist() == [1.0, 0.5, 2.0**-10]


@pytest.mark.parametrize(
    ("law", "age", "stability", "accesses", "want"),
    [
        ("exponential", 0, 3, 1, 1.0),
        ("exponential", 3, 3, 1, 0.5),
        ("exponential", 1, 3, 1, 0.7937005),
        ("exponential", 30, 3, 7, 2.0**-10),
        ("power", 0, 3, 1, 1.0),
        ("power", 3, 3, 1, 0.9),
        ("power", 30, 3, 5, 0.6928266),
        ("power", 365, 3, 1, 0.4777896),
        ("activation", 3, 3, 1, 0.5),
        ("activation", 3, 3, 2, 0.8497788),
        ("activation", 48, 3, 1, 1 / 33),
        ("activation", 48, 3, 4, 0.5),
        ("activation", 3, 48, 1, 32 / 33),
    ],
)
def test_golden_values(law, age, stability, accesses, want):
    """Worked out by hand: days of age and of stability, accesses, and R."""
    row = aged(days(age), stability * DAY_S, accesses)
    assert swept([row], law)[0] == pytest.approx(want, rel=1e-6)


@given(f4s(1, 1e9))
def test_power_is_nine_tenths_at_its_stability(stability):
    """FSRS: S is the time after which R is 0.9, for any S."""
    age = round(stability * 1e6)
    assert swept([aged(age, stability)], "power")[0] == pytest.approx(0.9, rel=2e-6)


@given(f4s(1, 1e9))
def test_exponential_is_half_at_its_stability(stability):
    """S is the half-life, for any S."""
    age = round(stability * 1e6)
    assert swept([aged(age, stability)])[0] == pytest.approx(0.5, rel=2e-6)


@given(f4s(1, 1e9))
def test_activation_is_half_at_its_stability(stability):
    """S is the age at which a memory accessed once is recalled every other time, for any S."""
    age = round(stability * 1e6)
    assert swept([aged(age, stability)], "activation")[0] == pytest.approx(0.5, rel=3e-6)


def test_base_level_is_the_formula_of_act_r():
    """B = ln(n / (1 - d)) - d ln T: by hand, and R is the logistic of B above the threshold."""
    assert base_level(1, 1.0) == pytest.approx(0.6931472)
    assert base_level(3, 3_600.0) == pytest.approx(-2.3025851)
    assert base_level(3, 100.0, decay=0.25) == pytest.approx(0.2350018)
    row = aged(days(5), 2 * DAY_S, accesses=3)
    above = base_level(3, 5 * DAY_S) - base_level(1, 2 * DAY_S)
    assert swept([row], "activation")[0] == pytest.approx(1 / (1 + np.exp(-above / 0.4)), rel=2e-6)


def test_activation_knows_age_and_not_recency():
    """An access as such moves nothing in it: what counts is how often, over what lifetime."""
    row = aged(days(10), accesses=3)
    long_ago, just_now = swept([row, row.but(accessed=NOW)], "activation")
    assert long_ago == just_now


@pytest.mark.parametrize("law", ["exponential", "power"])
def test_recency_counts_and_age_does_not(law):
    """In these two what counts is the last access: not age, not the number of accesses."""
    row = aged(days(10)).but(accessed=NOW - days(2))
    others = [row, row.but(created=NOW - days(300)), row.but(accesses=99)]
    assert len(set(bits(swept(others, law)))) == 1


# -- limits ---------------------------------------------------------------------------------


@EVERY_LAW
def test_nothing_is_lost_at_the_beginning(law):
    """At the access R is 1: exactly by recency, and to a millionth by activation."""
    got = swept([aged(0)], law)[0]
    assert got == 1.0 if law != "activation" else got == pytest.approx(1.0, abs=1e-6)


@EVERY_LAW
@pytest.mark.parametrize("stability", [1.0, 1e9])
@pytest.mark.parametrize("accesses", [1, 2**32 - 1])
def test_no_time_is_too_long(law, stability, accesses):
    """After 292,000 years R is finite and in [0, 1], whatever the stability and the accesses."""
    row = Row(
        importance=1.0, stability=stability, accessed=-(2**62), created=-(2**62), accesses=accesses
    )
    got = swept([row], law, now=2**62 - 1)[0]
    assert 0 <= got <= 1


def test_everything_is_lost_in_the_end():
    """In the limit R is 0 for all purposes, without ever being it; by the power law it is slow."""
    row = Row(importance=1.0, stability=1.0, accessed=-(2**62), created=-(2**62))
    assert 0 < swept([row], "exponential", now=2**62 - 1)[0] < 1e-37
    assert 0 < swept([row], "activation", now=2**62 - 1)[0] < 1e-15
    assert swept([row], "power", now=2**62 - 1)[0] == pytest.approx(0.010049, rel=1e-3)


@EVERY_LAW
def test_a_memory_of_the_future_counts_as_one_of_now(law):
    """Formed or accessed after the clock's time, it is worth what a new one is, and no more."""
    new = aged(0, importance=0.7)
    later = new.but(created=NOW + days(3), accessed=NOW + days(3))
    assert bits(swept([later], law)) == bits(swept([new], law))


@given(st.sampled_from(LAWS), one_row(days(36_500)))
def test_retrievability_never_falls_below_its_floor(law, row):
    """With floor 0.3 a memory keeps three tenths of its importance for ever."""
    assert swept([row], law, floor=0.3)[0] >= np.float32(row.importance) * np.float32(0.3)


@EVERY_LAW
def test_a_floor_of_one_keeps_everything(law):
    """Then strength is importance."""
    assert bits(swept([aged(days(999), importance=0.4)], law, floor=1.0)) == bits([0.4])


def test_seconds_are_seconds():
    """A half-life of 3 seconds halves in 3 seconds of simulated time."""
    assert swept([aged(seconds(3), 3.0)])[0] == 0.5


# -- what makes a memory stronger or weaker -------------------------------------------------


@given(st.sampled_from(LAWS), one_row(days(3_650)), f4s(1, 1e8))
def test_strength_only_falls_between_accesses(law, row, stability):
    """A thousandth of a stability later, and of its age, a memory is never stronger."""
    row = row.but(stability=stability)
    wait = round((stability * 1e6 + NOW - row.created) / 1_000)
    now, later = swept([row], law)[0], swept([row], law, now=NOW + wait)[0]
    assert later <= now


@EVERY_LAW
@given(one_row(days(3_650)), f4s(1, 1e8), st.floats(1.001, 10))
def test_stability_slows_forgetting(law, row, stability, factor):
    """A longer stability never makes a memory weaker (a published system has it the other way)."""
    shorter, longer = (row.but(stability=stability * by) for by in (1, factor))
    assert swept([longer], law)[0] >= swept([shorter], law)[0]


@given(st.sampled_from(LAWS), one_row(days(3_650)), st.integers(1, 2**30 - 1), st.integers(2, 4))
def test_accesses_never_weaken(law, row, accesses, factor):
    """What was accessed more often, and is otherwise the same, is never weaker."""
    seldom, often = row.but(accesses=accesses), row.but(accesses=accesses * factor)
    assert swept([often], law)[0] >= swept([seldom], law)[0]


def test_accesses_strengthen_under_activation():
    """Twice as often is 2^2.5 times the odds."""
    rows = [aged(days(3)), aged(days(3), accesses=2)]
    once, twice = (r / (1 - r) for r in swept(rows, "activation").astype(np.float64))
    assert twice / once == pytest.approx(2**2.5, rel=1e-5)


@given(st.sampled_from(LAWS), one_row(), f4s(0, 1))
def test_importance_is_a_factor(law, row, importance):
    """Strength over importance is R, whatever the importance."""
    got, whole = swept([row.but(importance=importance), row.but(importance=1.0)], law)
    assert got == np.float32(importance) * whole


# -- bit for bit ----------------------------------------------------------------------------


@EVERY_LAW
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_strength_does_not_depend_on_its_row(law, threads):
    """In any company, at any place of any table, on any thread a memory has the same bits."""
    rows = [row.but(table=max(row.table - 5, 0)) for row in many_rows(2_500)]
    whole = np.array(bits(swept(rows, law)))
    shuffled = np.random.default_rng(2).permutation(2_500)
    for places in (shuffled, shuffled[:33], np.arange(5, 1_600), np.arange(7, 14), *shuffled[:20]):
        places = np.atleast_1d(places)
        got = swept([rows[place] for place in places], law, threads=threads)
        assert bits(got) == whole[places].tolist()


@EVERY_LAW
def test_a_strength_does_not_depend_on_its_table(law):
    """With a pin, a tag, a statement or none of them: the same bits."""
    row = many_rows(1)[0]
    assert len(set(bits(swept([row.but(table=table) for table in range(8)], law)))) == 1


@given(st.sampled_from(LAWS), some_rows(12))
def test_strengths_of_is_what_the_sweep_fills_in(law, rows):
    """The two agree bit for bit at the same time, for ids in any order and more than once."""
    world, ids = world_of(rows, Retention(law=law, floor=0.01), systems=[refresh_strength])
    world.step(days(1))
    asked = np.concatenate([ids[::-1], ids])
    assert bits(strengths_of(world, asked)) == bits(world.get(asked, Strength.value))


@EVERY_LAW
def test_strengths_of_any_other_moment(law):
    """At a time that is given they are what a sweep at that time finds."""
    rows = many_rows(100)
    world, ids = world_of(rows, Retention(law=law))
    for moment in (NOW, NOW + days(40), NOW - days(100), 0):
        assert bits(strengths_of(world, ids, moment)) == bits(swept(rows, law, now=moment))


def test_strengths_do_not_wait_for_a_sweep():
    """In a world that never sweeps they are right, and asking changes nothing."""
    world, ids = world_of([aged(0), aged(days(3))])
    world.step(days(3))
    before = world.digest()
    assert strengths_of(world, ids) == pytest.approx([0.5, 0.25], rel=1e-6)
    assert world.get(ids, Strength.value).tolist() == [0, 0]
    assert world.digest() == before


def test_strengths_of_nothing_and_of_the_dead():
    """No ids, no strengths; a forgotten memory, an agent and an unknown id are errors."""
    world, ids = world_of([aged(0), aged(0)])
    assert strengths_of(world, []).shape == (0,)
    assert strengths_of(world, ids).dtype == np.float32
    world.despawn(ids[:1])
    with pytest.raises(DeadEntityError, match=str(int(ids[0]))):
        strengths_of(world, ids)
    with pytest.raises(ComponentMissingError, match="has no Trace"):
        strengths_of(world, world.query(Persona).ids())


@EVERY_LAW
@pytest.mark.parametrize("cuts", [[24], [1] * 24, [5, 1, 17, 1], [0.25] * 96])
def test_the_length_of_a_step_changes_nothing(law, cuts):
    """One step of a day, 24 of an hour, 96 of a quarter: the same strengths, bit for bit."""
    rows = many_rows(50)
    world, ids = world_of(rows, Retention(law=law), systems=[refresh_strength])
    for cut in cuts:
        world.step(hours(cut))
    assert bits(world.get(ids, Strength.value)) == bits(swept(rows, law, now=NOW + DAY))


def test_a_skipped_sweep_loses_nothing():
    """Time that passes without any sweep is made up for by the next one."""
    worlds = [world_of(many_rows(50), systems=[refresh_strength])[0] for _ in range(2)]
    for _ in range(10):
        worlds[0].step(days(1))
    worlds[1].clock.now += days(10) - 1
    worlds[1].step(1)
    one, other = (by_name(world, Strength.value) for world in worlds)
    assert one == other


def test_a_refresh_brings_strengths_up_to_now():
    """Time that passed outside of steps, and recalls by hand, show after `world.refresh()`."""
    world, ids = world_of(many_rows(20), systems=[refresh_strength])
    world.clock.now += days(2)
    world.set(ids[:5], Trace(accessed=world.clock.now))
    world.refresh()
    assert bits(world.get(ids, Strength.value)) == bits(strengths_of(world, ids))


def test_a_budget_delays_the_cache_and_nothing_else():
    """In a world with no time to sweep, strengths are right whenever they are asked for."""
    world, ids = world_of(many_rows(20), systems=[refresh_strength])
    world.set_budget(1e-9)
    for _ in range(7):
        world.step(days(1))
    assert world.telemetry.sweeps_every > 1
    assert bits(strengths_of(world, ids)) == bits(swept(many_rows(20), now=NOW + days(7)))


def test_an_empty_world_is_swept():
    """No memories, no crash; agents alone have no strength."""
    world, _ = world_of([], systems=[refresh_strength], debug=True)
    world.step(hours(1))
    assert world.query(Strength).count() == 0


# -- which law is in force ------------------------------------------------------------------


@EVERY_LAW
def test_a_running_world_may_change_its_law(law):
    """From the next step on strengths are those of the new law, and back again."""
    rows = many_rows(40)
    world, ids = world_of(rows, systems=[refresh_strength])
    world.step(0)
    first = bits(world.get(ids, Strength.value))
    world.insert(Retention(law=law), replace=True)
    world.step(0)
    assert bits(world.get(ids, Strength.value)) == bits(swept(rows, law))
    assert bits(strengths_of(world, ids)) == bits(swept(rows, law))
    world.insert(Retention(), replace=True)
    world.step(0)
    assert bits(world.get(ids, Strength.value)) == first


def test_a_running_world_may_change_a_parameter():
    """Another exponent, another floor: from the next step on."""
    world, ids = world_of([aged(days(30))], Retention(law="power"), systems=[refresh_strength])
    values = []
    for power_law, floor in ((None, 0.0), (Power(decay=1.0), 0.0), (Power(decay=1.0), 0.9)):
        if power_law:
            world.insert(power_law, replace=True)
        world.insert(Retention(law="power", floor=floor), replace=True)
        world.step(0)
        values.append(float(world.get(ids, Strength.value)[0]))
    assert values == pytest.approx([0.6928266, 1 / (1 + 10 / 9), 0.9], rel=1e-6)


def test_worlds_have_their_own_laws():
    """Two worlds side by side, each by its own law, with its own exponent."""
    rows = [aged(days(30))]
    worlds = [
        world_of(rows, Retention(law=law), *shape, systems=[refresh_strength])
        for law, *shape in (("exponential",), ("power",), ("power", Power(decay=1.0)))
    ]
    for _ in range(2):
        for world, _ in worlds:
            world.step(0)
    values = [float(world.get(ids, Strength.value)[0]) for world, ids in worlds]
    assert values == pytest.approx([2.0**-10, 0.6928266, 1 / (1 + 10 / 9)], rel=1e-6)


@retention_law("test_linear")
def linear(elapsed, age, stability, accesses):
    return max(f4(0), f4(1) - elapsed / (f4(2) * stability))


@retention_law("test_compiled")
@njit
def sudden(elapsed, age, stability, accesses):
    return f4(1) if elapsed < stability else f4(0)


@settings
class Slow:
    times: float = setting(2.0, range=(1, 10), doc="how much slower")


@parameterised_law("test_slow", Slow)
def slow(law):
    times = f4(law.times)

    @njit
    def slow_law(elapsed, age, stability, accesses):
        return f4(1) / (f4(1) + elapsed / (times * stability))

    return slow_law


def test_a_law_of_ones_own_in_plain_python():
    """A decorated function of four numbers is a law: it is swept, asked for and floored by it."""
    rows = [aged(days(age), 3 * DAY_S) for age in (0, 3, 5, 7)]
    assert swept(rows, "test_linear") == pytest.approx([1, 1 / 2, 1 / 6, 0], abs=1e-6)
    assert swept(rows, "test_linear", floor=0.25)[3] == 0.25
    world, ids = world_of(rows, Retention(law="test_linear"))
    assert strengths_of(world, ids)[1] == 0.5
    assert linear(1.0, 1.0, 1.0, 1) == 0.5


def test_a_law_of_ones_own_may_be_compiled():
    """A function that numba has compiled already is taken as it is."""
    assert swept([aged(days(2)), aged(days(4))], "test_compiled").tolist() == [1, 0]


def test_a_law_of_ones_own_with_settings():
    """It is made from the world's settings, or from their defaults where the world has none."""
    rows = [aged(days(6), 3 * DAY_S)]
    assert swept(rows, "test_slow")[0] == 0.5
    assert swept(rows, "test_slow", Slow(times=1.0))[0] == pytest.approx(1 / 3)


@retention_law("test_elapsed")
def elapsed_alone(elapsed, age, stability, accesses):
    return elapsed / f4(1_000)


@retention_law("test_age")
def age_alone(elapsed, age, stability, accesses):
    return age / f4(1_000)


@retention_law("test_stability")
def stability_alone(elapsed, age, stability, accesses):
    return stability / f4(1_000)


@retention_law("test_accesses")
def accesses_alone(elapsed, age, stability, accesses):
    return accesses / f4(1_000)


def test_what_a_law_is_given():
    """Seconds since the access, seconds since the forming, the stability, the accesses."""
    row = Row(
        importance=1.0,
        stability=600.0,
        accessed=NOW - seconds(70),
        created=NOW - seconds(90),
        accesses=5,
    )

    assert swept([row], "test_elapsed")[0] == pytest.approx(70 / 1_000)
    assert swept([row], "test_age")[0] == pytest.approx(90 / 1_000)
    assert swept([row], "test_stability")[0] == pytest.approx(600 / 1_000)
    assert swept([row], "test_accesses")[0] == pytest.approx(5 / 1_000)


def test_an_unknown_law_is_refused():
    """The error names the law, those that there are, and the way to make one known."""
    with pytest.raises(SettingError, match=r"activation, exponential, power.*'ebbinghouse'.*@re"):
        Retention(law="ebbinghouse")


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (Retention, "half_life", 0.0), (Retention, "half_life", float("nan")),
        (Retention, "half_life", float("inf")), (Retention, "half_life", "3 days"),
        (Retention, "half_life", 2e9), (Retention, "floor", 2.0), (Retention, "floor", -0.1),
        (Retention, "floor", None), (Retention, "floor", True), (Retention, "law", 3),
        (Power, "decay", 0.0), (Power, "decay", -0.5), (Power, "decay", 3.0),
        (BaseLevel, "decay", 0.0), (BaseLevel, "decay", 1.0), (BaseLevel, "noise", 0.0),
    ],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(cls, name, value):
    """The error names the setting and the value."""
    with pytest.raises(SettingError, match=rf"{cls.__name__}\.{name} must .* got "):
        cls(**{name: value})


def test_defaults_are_those_of_the_sources():
    """Three days of half-life without a floor; D of FSRS; d and s of ACT-R."""
    assert (Retention().law, Retention().half_life, Retention().floor) == (
        "exponential",
        259_200.0,
        0.0,
    )
    assert Power().decay == 0.1542
    assert (BaseLevel().decay, BaseLevel().noise) == (0.5, 0.4)


def test_a_world_without_retention_says_so():
    """The sweep asks for the resource by name."""
    world = World()
    agent = world.spawn(1, Persona(number=0))
    world.spawn(
        1,
        Memory(owner=agent, sequence=0, created=0),
        Trace(importance=0.5, stability=1.0, accessed=0),
    )
    world.add_system(refresh_strength)
    with pytest.raises(LookupError, match="Retention"):
        world.step(1)
