"""Activity: the machine's definition, its kernels against their plain twins, and agents' days."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components.activity import Activity, ActivityChanged
from populace.components.persona import Persona
from populace.ecs import World, component, days, hours, minutes, seconds, u1
from populace.ecs.errors import (
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    DuplicateEntityError,
    SettingError,
)
from populace.ecs.random import stream_of
from populace.systems.activity import (
    change_activity,
    due_agents,
    end_of_stay,
    ends_of_stays,
    enter_state,
    next_state,
    pass_transitions,
    stable_order,
)
from populace.systems.daily import daily_life
from populace.systems.machine import (
    WEEKEND,
    WORKDAYS,
    StateMachine,
    lasting,
    state_machine,
    until,
    when,
)

from . import naive_activity as naive

MONDAY = days(19_408)
"""0:00 on 2023-02-20."""

RESTLESS = {
    "a": lasting(minutes(5), hours(9), then=({"a": 0.2, "b": 0.3, "c": 0.5})),
    "b": until("6:30", "18:00", jitter=hours(2), at_least=minutes(40), then=(
        when(days=WEEKEND, hours=(22, 7), then="c"),
        when(hours=(6, 12), then={"a": 0.5, "b": 0.5}),
        "a",
    )),
    "c": until("0:00", then={"a": 0.1, "b": 0.9}),
}  # fmt: skip
CALM = {"d": lasting(days(1), days(1), then="a"), "a": until("12:00", then="d")}


def machine():
    return state_machine(restless=RESTLESS, calm=CALM)


def society(n=30, seed=5, start=MONDAY, numbers=None, shuffled=False, threads=1):
    """Agents that begin their Monday at `start`; every third is calm."""
    world = World(seed=seed, threads=threads)
    world.parallel_rows = 1
    world.insert(machine())
    world.clock.now = start
    numbers = np.arange(n) if numbers is None else np.asarray(numbers)
    order = np.random.default_rng(1).permutation(n) if shuffled else np.arange(n)
    agents = np.empty(n, np.uint64)
    agents[order] = world.spawn(n, Persona(number=numbers[order]))
    calm = numbers % 3 == 0
    enter_state(world, agents[~calm], "a", profile="restless")
    enter_state(world, agents[calm], "a", profile="calm")
    world.add_system(change_activity)
    return world, agents


def columns(world, agents):
    """State, since and until of agents, as lists."""
    fields = Activity.state, Activity.since, Activity.until
    return [world.get(agents, field).tolist() for field in fields]


def told(world, reader):
    """(number, before, after, time) of the events, in their order."""
    batch = reader.read()
    numbers = world.get(batch.agent, Persona.number)
    return list(zip(*(x.tolist() for x in (numbers, batch.before, batch.after, batch.time)),
                    strict=True))  # fmt: skip


# -- the law ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1), st.integers(-days(30), days(30_000)), st.integers(0, days(4)),
    st.sampled_from(["restless", "calm"]), st.integers(1, 99),
)  # fmt: skip
def test_the_kernel_walks_the_machine(compiled, number, start, length, profile, room):
    """For any agent, date and span the kernel passes the transitions that the definition says,
    whatever room for them it is given at a time."""
    made, seed = machine(), 3
    definition = {"restless": RESTLESS, "calm": CALM}[profile]
    column = [np.array([x]) for x in (np.uint32(number), np.uint8(made.profile(profile)))]
    state, since, ends = (np.array([x]) for x in (np.uint8(0), start, start))
    kernel = pass_transitions if compiled else pass_transitions.py_func
    done, changes = 0, []
    while not done:
        out = [np.empty(room, dtype) for dtype in (np.int64, np.uint8, np.uint8, np.int64)]
        done, n = kernel(
            done, np.uint64(stream_of(seed, "activity")), start + length, *column,
            made.times, made.shortest, made.spread, made.rule, made.cumulative,
            state, since, ends, *out,
        )  # fmt: skip
        changes += zip(*(part[:n].tolist() for part in out[1:]), strict=True)
    want = naive.path(definition, made.states, seed, number, "a", start, start + length)
    assert made.states[state[0]] == want[0]
    assert since[0] == (start if want[1] is None else want[1])
    assert ends[0] == want[2]
    names = [(time, made.states[before], made.states[after]) for before, after, time in changes]
    assert names == want[3]


@given(
    st.integers(-days(3), days(30_000)), st.floats(0, 1, exclude_max=True),
    st.lists(st.integers(0, days(1) - 1), max_size=3), st.integers(seconds(1), days(3)),
    st.integers(0, hours(24)),
)  # fmt: skip
def test_a_stay_ends_as_its_definition_says(since, u, times, shortest, spread):
    """Compiled, plain and naive give one end: never before the shortest stay, in reach of it."""
    state = dataclasses.replace(
        lasting(seconds(1), seconds(1), then="x"), times=tuple(times), shortest=shortest,
        spread=2 * (spread // 2),
    )  # fmt: skip
    padded = np.array([*times, -1], np.int64)
    want = naive.end_of_stay(state, since, u)
    for function in (end_of_stay, end_of_stay.py_func):
        assert function(since, padded, shortest, state.spread, u) == want
    longest = shortest + (days(1) if times else state.spread)
    assert since + shortest <= want <= since + longest


def test_sleepers_wake_around_seven():
    """Asleep until 7:00 ± 30 min ends between 6:30 and 7:30, every moment as likely."""
    state = until("7:00", jitter=minutes(30), then="up")
    n = 4_000
    ends = np.empty(n, np.int64)
    ends_of_stays(
        np.uint64(9), np.arange(n, dtype=np.uint32), np.zeros(n, np.uint8), np.zeros(n, np.uint8),
        np.full(n, MONDAY - hours(1)),
        np.array([[state.times]]), np.array([[state.shortest]]), np.array([[state.spread]]), ends,
    )  # fmt: skip
    late = (ends - MONDAY) / hours(1)
    assert 6.5 <= late.min() < 6.51
    assert 7.49 < late.max() <= 7.5
    assert np.histogram(late, 4, (6.5, 7.5))[0] == pytest.approx([n / 4] * 4, rel=0.1)


def test_lengths_of_stay_are_uniform():
    """A state that lasts 1 to 3 h does so on average for 2, in each quarter as often."""
    state = lasting(hours(1), hours(3), then="x")
    u = (np.arange(1_000) + 0.5) / 1_000
    stays = np.array([end_of_stay(0, np.array([-1]), state.shortest, state.spread, x) for x in u])
    assert stays.min() >= hours(1)
    assert stays.max() <= hours(3)
    assert stays.mean() == pytest.approx(hours(2), rel=1e-3)


def test_transitions_come_with_their_probabilities():
    """Of 20,000 agents 30 % go one way and 70 % the other, within 3 standard errors."""
    world = World(seed=2)
    world.insert(
        state_machine(p={
            "x": lasting(hours(1), hours(1), then={"y": 0.3, "z": 0.7}),
            "y": lasting(days(9), days(9), then="x"),
            "z": lasting(days(9), days(9), then="x"),
        })
    )  # fmt: skip
    agents = world.spawn(20_000, Persona(number=np.arange(20_000)))
    enter_state(world, agents, "x")
    world.add_system(change_activity)
    world.step(hours(1))
    share = np.bincount(world.get(agents, Activity.state), minlength=3) / 20_000
    assert share.tolist() == [0, pytest.approx(0.3, abs=0.01), pytest.approx(0.7, abs=0.01)]


@given(st.integers(0, 6), st.integers(0, 23))
def test_cases_apply_at_their_hours_of_the_week(day, hour):
    """The first case that covers the moment counts; hours may pass midnight."""
    made = state_machine(
        p={
            "a": lasting(seconds(1), seconds(1), then=(
                when(days=WORKDAYS, hours=(22, 6), then="night"),
                when(days=WEEKEND, then="free"),
                when(hours=(9, 17), then="work"),
                "a",
            )),
            **{x: lasting(seconds(1), seconds(1), then="a") for x in ("night", "free", "work")},
        }
    )  # fmt: skip
    moment = MONDAY + days(7 * 3 + day) + hours(hour) + minutes(59)
    code = next_state(moment, made.rule[0, 0], made.cumulative, 0.5)
    assert code == next_state.py_func(moment, made.rule[0, 0], made.cumulative, 0.5)
    if day in WORKDAYS and (hour >= 22 or hour < 6):
        want = "night"
    elif day in WEEKEND:
        want = "free"
    else:
        want = "work" if 9 <= hour < 17 else "a"
    assert made.states[code] == want


def test_an_outcome_of_no_probability_never_comes():
    """Not even for the greatest draw below 1, where probabilities sum to less by rounding."""
    shares = {name: 0.1 for name in "bcdefghijk"}
    states = {name: lasting(hours(1), hours(1), then="a") for name in "bcdefghijkl"}
    made = state_machine(
        p={"a": lasting(hours(1), hours(1), then=(when(hours=(0, 1), then="l"), shares)), **states}
    )
    last = next_state(hours(5), made.rule[0, 0], made.cumulative, 1 - 2**-53)
    assert made.states[last] == "k"
    assert sum(shares.values()) < 1


# -- agents -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[72], [1] * 72, [5, 1, 17, 1, 48], [0.25] * 288])
def test_the_length_of_a_step_changes_nothing(cuts):
    """Three days at once, by the hour or by the quarter: the same states and the same events."""
    seen = []
    for lengths in ([72], cuts):
        world, agents = society()
        reader = world.events(ActivityChanged)
        events = []
        for length in lengths:
            world.step(hours(length))
            events += told(world, reader)
        seen.append((columns(world, agents), events))
    assert seen[0] == seen[1]
    assert len(seen[0][1]) > 150


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_rows_nor_threads_matter(threads):
    """Rows in any order, in several tables, on any threads: the same paths, events in one order."""

    @component
    class Hat:
        size: u1 = 1

    seen = []
    for shuffled in (False, True):
        world, agents = society(60, shuffled=shuffled, threads=threads)
        reader = world.events(ActivityChanged)
        if shuffled:
            world.add(agents[::4], Hat)
        world.step(days(2))
        seen.append((columns(world, agents), told(world, reader)))
    assert seen[0] == seen[1]
    keys = [(time, number) for number, _, _, time in seen[0][1]]
    assert keys == sorted(keys)


def test_an_agent_lives_the_same_days_in_any_company():
    """What an agent does depends on its number, not on who else is there."""
    many, agents = society(60)
    alone, agent = society(1, numbers=[17])
    for world in (many, alone):
        world.step(days(3))
    assert [x[17] for x in columns(many, agents)] == [x[0] for x in columns(alone, agent)]


def test_an_end_at_the_clocks_time_has_come():
    """A state that ends now has ended; one that ends a µs later has not."""
    world, agents = society(1, numbers=[1])
    end = int(world.get(agents, Activity.until)[0])
    world.step(end - MONDAY - 1)
    assert not due_agents(world, world.clock.now).size
    assert world.get(agents, Activity.until)[0] == end
    world.step(1)
    assert world.get(agents, Activity.until)[0] > end


def test_a_state_that_follows_itself_goes_on():
    """It draws a new end; `since` stays, and nobody is told."""
    world = World()
    world.insert(state_machine(p={"on": lasting(hours(1), hours(2), then="on")}))
    agents = world.spawn(5, Persona(number=np.arange(5)))
    enter_state(world, agents, "on")
    world.add_system(change_activity)
    reader = world.events(ActivityChanged)
    world.step(days(1))
    assert (world.get(agents, Activity.since) == 0).all()
    assert (world.get(agents, Activity.until) > days(1)).all()
    assert not len(reader.read())


def test_events_tell_the_path():
    """Replaying an agent's events from its first state gives its last; each began where the one
    before ended."""
    world, agents = society(20)
    reader = world.events(ActivityChanged)
    state = dict(enumerate(columns(world, agents)[0]))
    world.step(days(4))
    for number, before, after, _ in told(world, reader):
        assert state[number] == before != after
        state[number] = after
    assert list(state.values()) == columns(world, agents)[0]


@given(st.lists(st.sampled_from([0, 1, 2, -5, days(9), 2**61, -(2**61)]), max_size=40))
def test_events_are_put_in_their_order(times):
    """Whether times lie close or far apart, the order is the stable one."""
    column = np.array(times, np.int64)
    assert stable_order(column).tolist() == np.argsort(column, kind="stable").tolist()


def test_a_world_without_agents_costs_nothing():
    """An empty world steps; so does one whose agents are all gone."""
    world = World()
    world.insert(daily_life())
    world.add_system(change_activity)
    world.step(days(1))
    agents = world.spawn(2, Persona(number=[0, 1]))
    enter_state(world, agents, "home", profile="student")
    enter_state(world, agents[:0], "home")
    world.despawn(agents)
    world.step(days(1))


def test_only_those_who_changed_count_as_changed():
    """Change tracking finds exactly the agents whose time had come."""
    world, agents = society(50)
    world.track(Activity)
    mark = world.mark()
    due = world.get(agents, Activity.until) <= MONDAY + hours(2)
    world.step(hours(2))
    assert world.changed_since(mark, Activity).tolist() == sorted(agents[due].tolist())
    assert 0 < due.sum() < 50


# -- entering a state -------------------------------------------------------------------------


def test_an_alarm_wakes_everybody():
    """enter_state draws a new end from the moment given, tells of the change, keeps profiles."""
    world, agents = society(9)
    profiles = world.get(agents, Activity.profile).tolist()
    reader = world.events(ActivityChanged)
    enter_state(world, agents[[4, 1]], "b", time=MONDAY + minutes(5))
    enter_state(world, agents[[4]], "b", time=MONDAY + minutes(6))
    assert told(world, reader) == [(1, 0, 1, MONDAY + minutes(5)), (4, 0, 1, MONDAY + minutes(5))]
    state, since, ends = columns(world, agents[[1, 4]])
    assert state == [1, 1]
    assert since == [MONDAY + minutes(5), MONDAY + minutes(6)]
    assert min(ends) >= MONDAY + minutes(45)
    assert world.get(agents, Activity.profile).tolist() == profiles


def test_entering_is_all_or_nothing():
    """Unknown names, a state of another profile, no persona, the dead and repeats are refused."""
    world, agents = society(6)
    stranger, late = world.spawn(1), world.spawn(1)
    world.despawn(late)
    fresh = world.spawn(1, Persona(number=99))
    before = world.digest()
    for ids, state, profile, error, match in (
        (agents, "z", None, SettingError, "no state is called 'z'; there are a, b, c, d"),
        (agents, "a", "lazy", SettingError, "no profile is called 'lazy'"),
        (agents, "b", None, ColumnValueError, "number 0 is in state 'b' of profile 'calm'"),
        (np.append(fresh, agents[[1, 1]]), "b", "restless", DuplicateEntityError, "twice"),
        (np.append(agents[1], fresh[[0, 0]]), "b", "restless", DuplicateEntityError, "twice"),
        (stranger, "a", None, ComponentMissingError, "has no Persona"),
        (late, "a", None, DeadEntityError, "is dead"),
    ):
        with pytest.raises(error, match=match):
            enter_state(world, ids, state, profile=profile)
    assert world.digest() == before


def test_a_code_that_the_machine_lacks_is_an_error_that_names_the_agent():
    """Not a crash in a kernel; and nothing has changed."""
    world, agents = society(6)
    for bad in ({"state": 9}, {"profile": 7}, {"state": 3, "profile": 0}):
        world.set(agents[2], Activity(until=0, state=0, profile=0))
        world.set(agents[2], Activity(**bad))
        before = world.digest()
        with pytest.raises(ColumnValueError, match=r"agent number 2 is in state .* of profile "):
            change_activity(world)
        assert world.digest() == before


# -- definitions ------------------------------------------------------------------------------

HOUR_LONG = (hours(1), hours(1))


@pytest.mark.parametrize(
    ("define", "match"),
    [
        (lambda: state_machine(), "at least one profile"),
        (lambda: state_machine(p={}), "at least one profile, and each a state"),
        (lambda: state_machine(p={"a": "b"}), "p: 'a' must be lasting"),
        (lambda: state_machine(p={"a": lasting(*HOUR_LONG, then="b")}),
         "p: 'a' leads to 'b', a state that this profile does not define; it has a"),
        (lambda: state_machine(p={"a": lasting(*HOUR_LONG, then={"a": 0.4})}),
         "must sum to 1, got 0.4"),
        (lambda: state_machine(p={"a": lasting(*HOUR_LONG, then={"a": 1.5})}),
         "leads to 'a' with the probability 1.5"),
        (lambda: state_machine(p={"a": lasting(*HOUR_LONG, then={"a": float("nan")})}),
         "with the probability nan"),
        (lambda: state_machine(p={
            "a": lasting(*HOUR_LONG, then={"a": 1.0, "b": 0.0}),
            "b": lasting(*HOUR_LONG, then="a"),
        }), "no way leads from 'a', its first state, to 'b'"),
        (lambda: state_machine(p={
            "a": lasting(*HOUR_LONG, then=when(hours=(8, 24), then="a").outcome),
            "b": lasting(*HOUR_LONG, then=(when(hours=(8, 24), then="a"),)),
        }), "p: 'b' has nothing that comes next at 0:00 on Monday .and 55 other"),
        (lambda: lasting(0, hours(1), then="a"), "a state lasts 1 second to 366 days.* got 0"),
        (lambda: lasting(hours(1), -5, then="a"), "got -5"),
        (lambda: lasting(1.5e9, hours(1), then="a"), "whole µs .* got 1500000000.0"),
        (lambda: lasting(hours(2), hours(1), then="a"), "is shorter than"),
        (lambda: lasting(*HOUR_LONG, then=7), "`then` is a state"),
        (lambda: lasting(*HOUR_LONG, then=[7]), "`then` is a state"),
        (lambda: until(then="a"), "needs a time of day"),
        (lambda: until("25:00", then="a"), "a time of day reads as .* got '25:00'"),
        (lambda: until("7", then="a"), "got '7'"),
        (lambda: until(7, then="a"), "got 7"),
        (lambda: until("7:00", jitter=-1, then="a"), "jitter=.* got -1"),
        (lambda: until("7:00", at_least=0, then="a"), "at_least.* got 0"),
        (lambda: when(days=(7,), then="a"), "numbers 0 .Monday. to 6; got .7,"),
        (lambda: when(hours=(8, 8), then="a"), "two different hours"),
        (lambda: when(hours=(24, 0), then="a"), "two different hours"),
        (lambda: when(hours=8, then="a"), "two different hours .* got 8"),
        (lambda: state_machine(p={str(i): lasting(*HOUR_LONG, then="0") for i in range(300)}),
         "at most 256 states"),
    ],
)  # fmt: skip
def test_a_definition_that_makes_no_machine_is_refused(define, match):
    """The error names profile and state, the value, and what is allowed."""
    with pytest.raises(SettingError, match=match):
        define()


def test_a_machine_is_plain_data():
    """Rebuilt from its fields it is equal, and a part of it that does not fit is refused."""
    made = daily_life()
    fields = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    again = StateMachine(**{k: v.copy() if isinstance(v, np.ndarray) else v
                            for k, v in fields.items()})  # fmt: skip
    assert again == made
    assert again != machine()
    assert again != "a machine"
    with pytest.raises(SettingError, match=r"StateMachine.shortest must have the shape"):
        dataclasses.replace(made, shortest=made.shortest[:1])
    with pytest.raises(ValueError, match="read-only"):
        made.spread[0, 0] = 1


# -- the day that ships -----------------------------------------------------------------------


def test_the_default_day_is_a_day():
    """At 3:00 everybody sleeps; at 11:00 on workdays 95 % of workers and students work, at the
    weekend nobody; nights are 6.5 to 11 hours long."""
    world = World(seed=4)
    world.insert(daily_life())
    world.clock.now = MONDAY
    agents = world.spawn(900, Persona(number=np.arange(900)))
    for i, profile in enumerate(("worker", "student", "retired")):
        enter_state(world, agents[i::3], "asleep", profile=profile)
    world.add_system(change_activity)
    made, reader = world.resource(StateMachine), world.events(ActivityChanged)
    shares = {}
    for hour in range(1, 7 * 24 + 1):
        world.step(hours(1))
        states = world.get(agents, Activity.state)
        shares[hour] = [np.bincount(states[i::3], minlength=6) / 300 for i in range(3)]
    asleep, working = made.code("asleep"), made.code("working")
    for day in range(7):
        assert [share[asleep] for share in shares[24 * day + 3]] == [1, 1, 1]
        at_work = [share[working] for share in shares[24 * day + 11]]
        want = [0.95, 0.95, 0] if day < 5 else [0, 0, 0]
        assert at_work == pytest.approx(want, abs=0.05)
    events = reader.read()
    slept = events.agent[events.after == asleep], events.time[events.after == asleep]
    order = np.lexsort(slept[::-1])
    woke = events.agent[events.before == asleep], events.time[events.before == asleep]
    nights = np.lexsort(woke[::-1])
    begun = slept[1][order].reshape(900, 7)[:, :6]
    ended = woke[1][nights].reshape(900, 7)[:, 1:]
    assert hours(6.5) < (ended - begun).min() < (ended - begun).max() < hours(11)


def test_the_day_of_a_child():
    """Profiles keep their places. On workdays 95 % of children are at school at 10:00 and again at
    14:00, nobody at 16:00, at the weekend nobody; none is out after 18:30, all sleep at 21:00, and
    nights are 10 to 12 hours long."""
    world = World(seed=4)
    made = daily_life()
    assert made.profiles[:3] == ("worker", "student", "retired")
    world.insert(made)
    world.clock.now = MONDAY
    children = world.spawn(400, Persona(number=np.arange(400)))
    enter_state(world, children, "asleep", profile="child")
    world.add_system(change_activity)
    reader, shares = world.events(ActivityChanged), {}
    for half_hour in range(1, 7 * 48 + 1):
        world.step(minutes(30))
        states = world.get(children, Activity.state)
        shares[half_hour] = np.bincount(states, minlength=len(made.states)) / 400
    asleep, working, leisure = map(made.code, ("asleep", "working", "leisure"))
    for day in range(7):
        at = {hour: shares[round(48 * day + 2 * hour)] for hour in (3, 10, 14, 16, 18.5, 21)}
        assert at[3][asleep] == at[21][asleep] == 1
        assert at[18.5][leisure] == at[16][working] == 0
        want = 0.95 if day < 5 else 0
        assert [at[10][working], at[14][working]] == pytest.approx([want, want], abs=0.03)
    events = reader.read()
    slept, woke = events.after == asleep, events.before == asleep
    begun, ended = (
        events.time[each][np.lexsort((events.time[each], events.agent[each]))].reshape(400, 7)
        for each in (slept, woke)
    )
    nights = ended[:, 1:] - begun[:, :6]
    assert hours(10) <= nights.min() < nights.max() <= hours(12)
