"""Routine: agents are where their day takes place; and a small society that lives by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import NEVER, Contact, Memory, Persona, Stream
from populace.components.activity import Activity, ActivityChanged
from populace.components.energy import SocialEnergy
from populace.components.place import Haunts, Place, Whereabouts
from populace.components.space import Motion, Space
from populace.components.tie import Tie, TieState
from populace.ecs import NOBODY, World, component, days, hours, i8, minutes, random, seconds, u8
from populace.ecs.errors import (
    ComponentMissingError,
    DuplicateEntityError,
    ResourceError,
    SettingError,
)
from populace.ecs.random import stream_of
from populace.systems.activity import change_activity, enter_state
from populace.systems.colocation import Colocation, meet
from populace.systems.daily import daily_life
from populace.systems.energy import Energy, spend_energy
from populace.systems.formation import form_memories
from populace.systems.movement import STATE, positions_at, standing
from populace.systems.perception import Perception, perceive
from populace.systems.retention import Retention
from populace.systems.routine import (
    Routine,
    Walking,
    draw_spots,
    find_moves,
    follow_routine,
    settle,
)
from populace.systems.ties import Ties, apply_contacts

MONDAY = days(20_000 + (4 - 20_000 % 7) % 7)
DAY, HOUR = days(1), hours(1)
ASLEEP, WAKING, WORKING, LUNCH, LEISURE, HOME = range(6)


@component
class Red:
    """Some of the agents."""


def village(n=1, *, radius=0.0, width=1_000.0, wrapping=False, **resources):
    """Sleepers at home at (100, 100); the office is at (500, 400), the café at (100, 240)."""
    world = World(seed=3)
    world.clock.now = MONDAY
    for resource in (
        Space(width=width, height=1_000, wrapping=wrapping), Routine(**resources), Walking(),
        daily_life(),
    ):  # fmt: skip
        world.insert(resource)
    places = world.spawn(
        3,
        Place(name=["home", "office", "cafe"], x=[100, 500, 100], y=[100, 400, 240], radius=radius),
    )
    home, work, leisure = places
    ids = world.spawn(
        n,
        Persona(number=np.arange(n)),
        Activity(state=ASLEEP, since=MONDAY, until=MONDAY + days(100)),
        Haunts(home=home, work=work, leisure=leisure),
    )
    settle(world, ids)
    world.add_system(follow_routine)
    return world, ids, places


def change(world, ids, *events):
    """Emit changes of state: (agent, state, µs after Monday began)."""
    agent, after, time = (np.array(column) for column in zip(*events, strict=True))
    world.emit(ActivityChanged(agent=ids[agent], before=0, after=after, time=MONDAY + time))


def where(world, ids, now):
    """[(x, y), ...] at a time after Monday began."""
    return list(zip(*(c.tolist() for c in positions_at(world, ids, MONDAY + now)), strict=True))


# -- going there ----------------------------------------------------------------------------


def test_to_work_at_the_moment_and_at_walking_speed():
    """500 m at 1.4 m/s: from 8:00 an agent is 357.142858 s on its way."""
    world, ids, places = village()
    change(world, ids, (0, WORKING, hours(8)))
    world.step(hours(9))
    assert where(world, ids, hours(8)) == [(100, 100)]
    assert where(world, ids, hours(8) + seconds(500 / 1.4 / 2))[0] == pytest.approx((300, 250))
    assert world.get(ids, Motion.until).tolist() == [MONDAY + hours(8) + 357_142_858]
    assert where(world, ids, hours(9)) == [(500, 400)]
    assert world.get(ids, Whereabouts.place).tolist() == [places[1]]


def test_who_is_there_already_stays():
    """Waking is at home, where one was asleep: no leg begins."""
    world, ids, _ = village()
    before = world.get(ids, Motion.since).tolist()
    change(world, ids, (0, WAKING, hours(7)), (0, HOME, hours(8)))
    world.step(hours(9))
    assert world.get(ids, Motion.since).tolist() == before


def test_several_changes_in_one_step_count_one_after_the_other():
    """Out at 12:00 and back at 12:01, turned half way; emitted in any order."""
    world, ids, places = village()
    change(world, ids, (0, HOME, hours(12) + seconds(60)), (0, LUNCH, hours(12)))
    world.step(hours(13))
    assert where(world, ids, hours(12) + seconds(60))[0] == pytest.approx((100, 184))
    assert where(world, ids, hours(12) + seconds(120)) == [(100, 100)]
    assert world.get(ids, Whereabouts.place).tolist() == [places[0]]


def test_who_has_no_such_haunt_stays_where_it_is():
    """Nowhere to work, a café that has ended, a state that the routine leaves out."""
    world, ids, places = village(
        3, haunts={"asleep": "home", "working": "work", "lunch": "leisure"}
    )
    world.set(ids[:1], Haunts(work=NOBODY))
    world.despawn(places[2:])
    change(world, ids, (0, WORKING, 1), (1, LUNCH, 1), (2, HOME, 1))
    world.step(hours(1))
    assert standing(world, ids, MONDAY + 2).all()
    assert world.get(ids, Whereabouts.place).tolist() == [places[0]] * 3


def test_those_who_have_gone_or_cannot_go_are_passed_over():
    """The dead, and agents without haunts or without motion."""
    world, ids, _ = village(4)
    change(world, ids, *((agent, WORKING, 1) for agent in range(4)))
    world.despawn(ids[:1])
    world.remove(ids[1:2], Haunts)
    world.remove(ids[2:3], Motion)
    world.step(hours(1))
    assert where(world, ids[3:], hours(1)) == [(500, 400)]
    assert where(world, ids[1:2], hours(1)) == [(100, 100)]


def test_nothing_changed_nothing_moves():
    """No events, no work."""
    world, ids, _ = village()
    before = [world.get(ids, field).tobytes() for field in STATE]
    world.step(days(1))
    assert before == [world.get(ids, field).tobytes() for field in STATE]


# -- spots ----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, days(30_000)), st.floats(0, 50), st.booleans())
def test_a_spot_lies_in_the_disc_and_in_the_world(number, time, radius, wrapping):
    """Within the radius, and inside the walls; drawn by the agent's number and the moment."""
    edges = np.float32(100), np.float32(100), wrapping
    middle = np.array([[1, 50, 99], [50, 2, 99]], np.float32)
    spots = []
    for kernel in (draw_spots, draw_spots.py_func):
        out = np.empty((2, 3), np.float32)
        kernel(
            u8(stream_of(7, "routine.spot")), np.full(3, number, np.uint32), np.full(3, time),
            *middle, np.full(3, radius, np.float32), edges, *out,
        )  # fmt: skip
        assert (np.hypot(*(out - middle)) <= radius * 1.000001 + 1e-5).all()
        assert wrapping or ((out >= 0) & (out <= 100)).all()
        spots.append(out)
    assert spots[0].tobytes() == spots[1].tobytes()


def test_spots_fill_a_disc_evenly():
    """Half of them within 1/sqrt(2) of the radius, a quarter in each quarter."""
    n = 4_000
    zeros, out = np.zeros(n, np.float32), np.empty((2, n), np.float32)
    draw_spots(
        u8(1), np.arange(n, dtype=np.uint32), np.zeros(n, i8), zeros, zeros, zeros + 1,
        (np.float32(100), np.float32(100), True), *out,
    )  # fmt: skip
    slack = 4 * 0.5 / n**0.5
    assert (np.hypot(*out) < 0.5**0.5).mean() == pytest.approx(0.5, abs=slack)
    assert ((out[0] > 0) & (out[1] > 0)).mean() == pytest.approx(0.25, abs=slack)


moves = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=20)


@given(moves, st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_the_kernel_finds_who_moves(events, places):
    """An event moves its agent if it names a place, and another than the last one."""
    here, want = list(places), []
    for agent, goal in events:
        want.append(goal not in (0, here[agent]))
        here[agent] = goal or here[agent]
    agent, goal = np.array(events, np.int64).reshape(-1, 2).T
    for kernel in (find_moves, find_moves.py_func):
        place, moving = np.array(places, np.uint64), np.empty(agent.size, np.bool_)
        kernel(agent.copy(), goal.astype(np.uint64), place, moving)
        assert (place.tolist(), moving.tolist()) == (here, want)


# -- at the outset ---------------------------------------------------------------------------


def test_settling_puts_everybody_where_they_are():
    """Sleepers at home, workers at work, with a place to be at."""
    world, ids, places = village(2)
    world.set(ids, Activity(state=[ASLEEP, WORKING]))
    settle(world, ids)
    assert where(world, ids, 0) == [(100, 100), (500, 400)]
    assert world.get(ids, Whereabouts.place).tolist() == places[:2].tolist()


def test_settling_is_all_or_nothing():
    """Repeats, and agents without haunts, are refused before anybody is moved."""
    world, ids, _ = village(2)
    world.set(ids, Activity(state=WORKING))
    with pytest.raises(DuplicateEntityError):
        settle(world, ids[[0, 0]])
    homeless = world.spawn(1, Persona(number=9), Activity(state=0, since=0, until=NEVER))
    with pytest.raises(ComponentMissingError, match="Haunts"):
        settle(world, np.append(ids, homeless))
    assert where(world, ids, 0) == [(100, 100)] * 2


def test_a_haunt_is_home_work_or_leisure():
    """Another word is refused, with those that there are."""
    with pytest.raises(SettingError, match=r"haunts\['lunch'\] must be one of home, work, leisure"):
        Routine(haunts={"lunch": "cafe"})
    with pytest.raises(SettingError, match=r"Walking\.speed must lie in"):
        Walking(speed=0)


def test_a_world_without_a_routine_says_so():
    """The error names the resource."""
    world = World()
    world.add_system(follow_routine)
    with pytest.raises(ResourceError, match="Routine"):
        world.step(hours(1))


# -- a society ------------------------------------------------------------------------------

N_AGENTS = 60


def society(seed=5, *, threads=1, shuffled=False, wrapping=False, rounds=True):
    """Sixty agents with homes, offices and a café, on the night before a Monday."""
    world = World(seed=seed, threads=threads)
    world.parallel_rows = 1
    world.clock.now = MONDAY
    for resource in (
        Space(width=800, height=800, wrapping=wrapping), Colocation(), Perception(), Routine(),
        Walking(), daily_life(), Ties(), Energy(), Retention(),
    ):  # fmt: skip
        world.insert(resource)

    def places(n, kind):
        x, y = (
            800 * random.uniform(seed, f"test.{kind}", np.arange(n), draw=draw) for draw in (0, 1)
        )
        names = [f"{kind} {place}" for place in range(n)]
        return world.spawn(n, Place(name=names, kind=kind, x=x, y=y))

    homes, offices, cafes = places(20, "house"), places(4, "office"), places(2, "cafe")
    number = np.arange(N_AGENTS)
    haunts = [
        kind[random.integers(seed, "test.haunt", number, kind.size, draw=draw)]
        for draw, kind in enumerate((homes, offices, cafes))
    ]
    ids = world.spawn(
        N_AGENTS,
        Persona(
            number=number,
            name=[f"Agent {i}" for i in range(N_AGENTS)],
            extraversion=random.uniform(seed, "test.extraversion", number),
        ),
        Stream(),
        SocialEnergy,
        Haunts(**dict(zip(("home", "work", "leisure"), haunts, strict=True))),
    )
    if shuffled:  # rows in another order, and in two tables
        world.add(ids[::3], Red)
        world.add(ids[::2], Activity(state=0, since=0, until=0))
        world.remove(ids[::6], Red)
        world.remove(ids[3::6], Red)
    enter_state(world, ids, "asleep", profile="worker")
    settle(world, ids)
    world.add_systems(change_activity, follow_routine)
    if rounds:
        world.add_systems(meet, perceive, apply_contacts, spend_energy, form_memories)
    return world


def live(world, total=2 * DAY, step=HOUR):
    """Run it; return its contacts and its memories, by numbers and in words."""
    reader = world.events(Contact)
    contacts = []
    for _ in range(total // step):
        world.step(step)
        batch = reader.read()
        source, target = (world.get(ids, Persona.number) for ids in (batch.source, batch.target))
        contacts += zip(
            source.tolist(), target.tolist(), batch.time.tolist(),
            world.text.decode(batch.place), strict=True,
        )  # fmt: skip
    memories = world.query(Memory)
    owner = world.get(memories.gather(Memory.owner), Persona.number)
    sequence, created, text = (
        memories.gather(field) for field in (Memory.sequence, Memory.created, Memory.text)
    )
    texts = world.text.decode(text)
    told = zip(owner.tolist(), sequence.tolist(), created.tolist(), texts, strict=True)
    return contacts, sorted(told)


@pytest.fixture(scope="module")
def lived():
    """One run of two days, in the plainest way."""
    world = society()
    return world, *live(world)


def test_a_society_lives_by_itself(lived):
    """In two days memories and ties form, from the round of the day alone."""
    world, contacts, memories = lived
    world.check()
    assert 100 < len(contacts) < 48 * N_AGENTS
    assert len(memories) > 20 * N_AGENTS
    assert world.query(Tie).count() > N_AGENTS
    texts = {text for *_, text in memories}
    assert any(" is working at office " in text for text in texts)
    assert any(" is having lunch at cafe " in text for text in texts)
    assert any(text.startswith("saw Agent ") and " at house " in text for text in texts)


def test_agents_sleep_at_night(lived):
    """Nobody meets or remembers from 0:30 to 5:30."""
    _, contacts, memories = lived
    for times in ({time for _, _, time, _ in contacts}, {time for _, _, time, _ in memories}):
        assert not [t for t in times if minutes(30) < t % days(1) < minutes(330)]


def test_who_meets_more_is_tied_closer(lived):
    """A tie has counted its contacts, of which each counts for both."""
    world, contacts, _ = lived
    counts = np.zeros((N_AGENTS, N_AGENTS), int)
    for source, target, *_ in contacts:
        counts[source, target] += 1
        counts[target, source] += 1
    ties = world.query(Tie, TieState)
    source, target = (
        world.get(ties.gather(field), Persona.number) for field in (Tie.source, Tie.target)
    )
    assert ties.gather(TieState.contacts).tolist() == counts[source, target].tolist()
    assert ties.count() == (counts > 0).sum()


def test_nobody_strays(lived):
    """Who has gone to bed is at home, within its radius, when the night is over."""
    world, *_ = lived
    ids = world.query(Haunts).ids()
    ids = ids[world.get(ids, Activity.state) == ASLEEP]
    assert ids.size > 0.9 * N_AGENTS
    home = world.get(ids, Haunts.home)
    x, y = positions_at(world, ids, world.clock.now + hours(3))
    away = np.hypot(x - world.get(home, Place.x), y - world.get(home, Place.y))
    assert away.max() <= 5.001


def test_the_same_seed_gives_the_same_society(lived):
    """Bit for bit; and another seed another one."""
    world, contacts, _ = lived
    again = society()
    live(again)
    assert again.digest() == world.digest()
    assert live(society(seed=6))[0] != contacts


def test_threads_change_no_bit(lived):
    """Every stage on threads: the same digest."""
    other = society(threads=2)
    live(other)
    assert other.digest() == lived[0].digest()


def test_the_order_of_rows_changes_nothing(lived):
    """Agents in other rows and tables: the same digest."""
    other = society(shuffled=True)
    live(other)
    assert other.digest() == lived[0].digest()


@pytest.mark.parametrize("step", [minutes(10), minutes(20)])
def test_the_length_of_a_step_changes_nothing(lived, step):
    """Steps that divide the hour: the same contacts and memories, in the same order."""
    assert live(society(), step=step) == lived[1:]


def test_the_paths_of_agents_do_not_depend_on_the_step_at_all():
    """Not even on steps of a day, which pass over the rounds: legs begin at their moments."""
    states = []
    for step in (days(1), hours(1), minutes(7)):
        world = society(wrapping=True, rounds=False)
        world.run(days(1), step)
        ids = world.query(Motion).ids()
        order = np.argsort(world.get(ids, Persona.number))
        states.append([world.get(ids[order], field).tobytes() for field in STATE])
    assert states[0] == states[1] == states[2]


def test_in_an_empty_village_nothing_happens():
    """No agents, no fault."""
    world = society()
    world.query(Persona).despawn()
    assert live(world, total=hours(12)) == ([], [])
