"""Social energy: what contacts cost, how it comes back, and who has enough left."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Contact, Met, Persona
from populace.components.energy import EnergyNow, SocialEnergy
from populace.components.tie import Tie
from populace.ecs import World, component, days, f4, hours, schema
from populace.ecs.errors import DeadEntityError, SettingError
from populace.systems.energy import (
    Energy,
    energy_at,
    extraversion,
    refresh_energy,
    rested,
    spend,
    spend_energy,
    willing,
)
from populace.systems.ties import Ties, apply_contacts

from . import naive_ties as naive

START = days(19_000)
DAY = days(1)
N = 6
TRAITS = [0.0, 0.5, 1.0, 0.25, 0.75]  # of agents 0 to 4; agent 5 is nobody's persona
RECOVERY = 1 / (8 * 3_600)
cheap = settings(max_examples=60)


@component
class Hat:
    """Makes some agents live in another table."""


def society(level=1.0, hats=False, **law):
    """Six agents, the last without `Persona`; agent 3 never tires. Their ids."""
    world = World(seed=3)
    world.clock.now = START
    world.insert(Energy(**law))
    world.add_systems(spend_energy, refresh_energy)
    tiring = SocialEnergy(level=level, since=START)
    agents = np.concatenate(
        [
            world.spawn(3, Persona(number=[0, 1, 2], extraversion=TRAITS[:3]), tiring),
            world.spawn(1, Persona(number=3, extraversion=TRAITS[3])),
            world.spawn(1, Persona(number=4, extraversion=TRAITS[4]), tiring),
            world.spawn(1, tiring),
        ]
    )
    if hats:
        world.add(agents[[0, 4]], Hat)
    return world, agents


def meeting(agents, drawn):
    """Drawn contacts (source, target, time) as what the ties tell of them."""
    source, target, time = (np.array(column) for column in zip(*drawn, strict=True))
    return Met(source=agents[source], target=agents[target], time=time)


def live(drawn, cuts=(), **options):
    """A world that has lived a day of contacts, and its ids."""
    world, agents = society(**options)
    left = drawn
    for until in sorted({*(START + int(cut * DAY) for cut in cuts), START + DAY}):
        due, left = ([c for c in left if (c[2] <= until) == now] for now in (True, False))
        if due:
            world.emit(meeting(agents, due))
        world.step(until - world.clock.now)
    world.check()
    return world, agents


def states(world, agents):
    """(level, since) of every agent that tires, as they are in memory."""
    tiring = agents[[0, 1, 2, 4, 5]]
    return {
        field.name: world.get(tiring, field).tolist()
        for field in (SocialEnergy.level, SocialEnergy.since, EnergyNow.level)
    }


drawn_contacts = st.tuples(
    st.integers(0, N - 1),
    st.integers(0, N - 1),
    st.integers(0, DAY).map(lambda t: START + t) | st.sampled_from([START, START + hours(5)]),
).filter(lambda c: c[0] != c[1])
histories = st.lists(drawn_contacts, max_size=40)


# -- the law ---------------------------------------------------------------------------------


@cheap
@given(histories, st.floats(0, 1), st.sampled_from([0.0, RECOVERY, 1.0]))
def test_contacts_cost_what_the_law_says(drawn, cost, recovery):
    """Both parties pay by their extraversion, rest between contacts, and are as in the plain twin;
    the one who never tires pays nothing."""
    world, agents = live(drawn, cost=cost, recovery=recovery)
    energy = {agent: [1.0, START] for agent in (0, 1, 2, 4, 5)}
    naive.spend(drawn, energy, dict(enumerate(TRAITS)), recovery, cost)
    got = states(world, agents)
    assert got["level"] == pytest.approx(
        [
            naive.rested(level, world.clock.now - since, recovery)
            for level, since in energy.values()
        ],
        abs=1e-5,
    )
    assert got["since"] == [since for _, since in energy.values()]
    kept = world.get(agents[[0, 1, 2, 4, 5]], SocialEnergy.level)
    assert kept == pytest.approx([level for level, _ in energy.values()], abs=1e-5)


@pytest.mark.parametrize("kernel", [spend, spend.py_func])
@cheap
@given(drawn=st.lists(st.tuples(st.integers(0, 7), st.integers(0, DAY)), max_size=40))
def test_the_kernel_is_its_plain_twin(kernel, drawn):
    """Compiled and not: parties are rows 0 to 5, rows 6 and 7 are of another table."""
    drawn = sorted(drawn, key=lambda c: c[1])
    row, time = (np.array([c[i] for c in drawn], np.int64) for i in (0, 1))
    table = np.where(row >= 6, 9, 2).astype(np.uint32)
    level, since = np.full(8, 0.5, f4), np.zeros(8, np.int64)
    costs = np.linspace(0, 0.3, time.size).astype(f4)
    kernel(row.astype(np.uint32), table, time, costs, np.uint32(2), RECOVERY, level, since)
    want = [[0.5, 0] for _ in range(8)]
    for (agent, moment), cost in zip(drawn, costs.tolist(), strict=True):
        if agent < 6:
            before, last = want[agent]
            now = max(naive.rested(before, moment - last, RECOVERY) - cost, 0)
            want[agent] = [now, max(last, moment)]
    assert level == pytest.approx([w[0] for w in want], abs=1e-5)
    assert since.tolist() == [w[1] for w in want]


@given(st.floats(0, 1, width=32), st.integers(-DAY, days(3_650)), st.floats(0, 1))
def test_rest_restores_up_to_the_whole(level, elapsed, recovery):
    """x + rate * t, never above 1, never less than it was; compiled or not the same bits."""
    got = rested(f4(level), np.int64(elapsed), recovery)
    assert got == pytest.approx(naive.rested(level, elapsed, recovery), rel=3e-7, abs=1e-30)
    assert level <= got <= 1
    assert got == rested.py_func(f4(level), np.int64(elapsed), recovery)
    out = np.empty(1, f4)
    for kernel in (energy_at, energy_at.py_func):
        kernel(np.array([level], f4), np.array([START]), START + elapsed, recovery, out)
        assert out[0] == got


def test_golden_numbers():
    """A contact costs 0.05 at extraversion 0, 0.0375 at 0.5 and 0.025 at 1; two hours restore a
    quarter."""
    world, agents = society(level=0.5)
    world.emit(meeting(agents, [(0, 1, START), (2, 3, START)]))
    world.step(0)
    left = world.get(agents[:3], SocialEnergy.level)
    assert left.tolist() == pytest.approx([0.45, 0.4625, 0.475])
    world.step(hours(2))
    assert world.get(agents[:3], EnergyNow.level).tolist() == pytest.approx([0.7, 0.7125, 0.725])
    world.step(hours(6))
    assert world.get(agents[:3], EnergyNow.level).tolist() == [1, 1, 1]


def test_eight_hours_restore_the_spent():
    """From nothing to rested in 8 h exactly, and no further."""
    assert rested(f4(0), np.int64(hours(8)), Energy().recovery) == pytest.approx(1, abs=1e-6)
    assert rested(f4(0), np.int64(hours(4)), Energy().recovery) == pytest.approx(0.5, abs=1e-6)
    assert rested(f4(0), np.int64(days(99)), Energy().recovery) == 1


def test_energy_never_falls_below_nothing():
    """A hundred contacts at once leave 0, not less."""
    world, agents = society()
    world.emit(meeting(agents, [(0, 1, START)] * 100))
    world.step(0)
    assert world.get(agents[:3], SocialEnergy.level).tolist() == [0, 0, 1]


@cheap
@given(histories, drawn_contacts)
def test_a_contact_more_never_gives_energy(drawn, more):
    """Whoever has had one contact more has no more energy at the end of the day."""
    less, agents = live(drawn)
    also, _ = live(sorted([*drawn, more], key=lambda c: c[2]))
    for left, after in zip(
        states(less, agents)["level"], states(also, agents)["level"], strict=True
    ):
        assert after <= left + 1e-6


# -- time, order, place ----------------------------------------------------------------------


@cheap
@given(histories, st.lists(st.floats(0, 1), max_size=6))
def test_the_length_of_a_step_changes_nothing(drawn, cuts):
    """However a day is cut, the same bits."""
    one, agents = live(drawn)
    other, _ = live(drawn, cuts=cuts)
    assert states(one, agents) == states(other, agents)


@cheap
@given(histories, st.randoms(use_true_random=False))
def test_order_of_emission_rows_and_tables_change_nothing(drawn, random):
    """Contacts at different times may be told in any order; agents may lie in several tables."""
    drawn = list({c[2]: c for c in drawn}.values())
    one, agents = live(drawn)
    other, same = live(random.sample(drawn, len(drawn)), hats=True)
    assert (agents == same).all()
    assert states(one, agents) == states(other, agents)


def test_late_news_count_when_they_come():
    """A contact older than the last one takes its cost now, without any rest."""
    world, agents = society(level=0.5)
    for time in (START + hours(2), START):
        world.emit(meeting(agents, [(0, 3, time)]))
        world.step(0)
    state = world.entity(agents[0])[SocialEnergy]
    assert (state.level, state.since) == (pytest.approx(0.65), START + hours(2))


# -- who has energy --------------------------------------------------------------------------


def test_an_agent_below_the_least_starts_nothing():
    """0.1 is enough, 0.0999 is not; who never tires always may; rest makes willing again."""
    world, agents = society()
    world.set(agents[:3], SocialEnergy(level=[0.1, 0.0999, 0]))
    assert willing(world, agents).tolist() == [True, False, False, True, True, True]
    assert willing(world, agents[[3, 1, 1]]).tolist() == [True, False, False]
    assert willing(world, agents[:3], START + hours(0.8)).tolist() == [True, True, True]
    world.clock.now += hours(0.1)
    assert willing(world, agents[:3]).tolist() == [True, True, False]


def test_willing_refuses_the_dead():
    """Ids kept aside are to be asked for life first."""
    world, agents = society()
    world.despawn(agents[:1])
    with pytest.raises(DeadEntityError):
        willing(world, agents)
    assert willing(world, []).size == 0


def test_the_living_pay_for_a_contact_with_the_dead():
    """Whoever dies before the law hears of it, the other had the contact."""
    world, agents = society()
    world.emit(meeting(agents, [(0, 1, START), (1, 2, START)]))
    world.despawn(agents[1:2])
    world.step(0)
    assert world.get(agents[[0, 2]], SocialEnergy.level) == pytest.approx([0.95, 0.975])


def test_extraversion_is_the_mean_without_a_persona():
    """And what the persona says with one."""
    world, agents = society()
    assert extraversion(world, agents).tolist() == [*TRAITS, 0.5]
    assert extraversion(world, agents[[1, 0, 1]]).tolist() == [0.5, 0, 0.5]


def test_contacts_tire_through_the_ties():
    """A contact in the world costs both parties, once; without anybody to pay nothing happens."""
    world, agents = society()
    world.insert(Ties())
    world.add_system(apply_contacts, before=spend_energy)
    world.emit(Contact(source=agents[0], target=agents[1], time=START, mutual=True))
    world.step(0)
    assert world.get(agents[:2], SocialEnergy.level).tolist() == pytest.approx([0.95, 0.9625])
    world.step(hours(1))
    assert world.query(Tie).count() == 2


def test_changes_of_energy_are_seen():
    """Those who paid are among the changed, others are not."""
    world, agents = society()
    world.track(SocialEnergy)
    mark = world.mark()
    world.emit(meeting(agents, [(0, 3, START)]))
    world.step(0)
    assert world.changed_since(mark, SocialEnergy).tolist() == [agents[0]]


def test_no_contact_changes_nothing():
    """Neither none, nor those of agents who never tire."""
    world, agents = society()
    before = states(world, agents)["level"]
    world.step(0)
    world.emit(meeting(agents, [(3, 3, START)]))
    world.step(0)
    assert states(world, agents)["level"] == [1.0] * 5 != before
    assert World().query(SocialEnergy).count() == 0


def test_only_the_present_energy_is_a_cache():
    """Level and time are saved."""
    saved = {f.name for c in (SocialEnergy, EnergyNow) for f in schema(c).persisted}
    assert saved == {"level", "since"}
    assert [f.name for f in schema(EnergyNow).fields if f.derived] == ["level"]


def test_settings_are_those_of_the_law():
    """8 h, 0.05 and 0.1."""
    law = Energy()
    assert (law.recovery * 8 * 3_600, law.cost, law.least) == (pytest.approx(1), 0.05, 0.1)


@pytest.mark.parametrize(
    ("name", "value"), [("recovery", -1), ("recovery", math.inf), ("cost", 2), ("least", "few")]
)
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Energy\.{name} must "):
        Energy(**{name: value})
