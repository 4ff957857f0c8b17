"""Co-location: who meets is drawn by pair and round, limited in a fixed order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Contact, Persona
from populace.components.activity import Activity
from populace.components.energy import SocialEnergy
from populace.components.place import Place, Whereabouts
from populace.components.space import Motion, Space
from populace.ecs import World, component, days, hours, i8, minutes, u8
from populace.ecs.errors import ResourceError, SettingError
from populace.ecs.random import stream_of
from populace.systems.colocation import (
    Colocation,
    awake,
    draw_meetings,
    keep_first,
    meet,
    meetings,
)
from populace.systems.daily import daily_life
from populace.systems.energy import Energy
from populace.systems.movement import go_to

from . import naive_space as naive

NOW = days(20_000)


@component
class Red:
    """Some of the agents."""


def crowd(n=40, *, size=12.0, seed=7, order=None, threads=1, **settings):
    """Agents on a square of that size, by number, spawned in any order; and their ids by number."""
    draw = np.random.default_rng(3)
    x, y, extraversion = draw.random((3, n))
    number = np.arange(n) if order is None else np.array(order)
    world = World(seed=seed, threads=threads)
    world.parallel_rows = 1
    world.insert(Space(width=size, height=size))
    world.insert(Colocation(**settings))
    world.clock.now = NOW
    ids = world.spawn(
        n,
        Persona(number=number, extraversion=extraversion[number]),
        Motion(x=x[number] * size, y=y[number] * size, since=NOW),
    )
    world.add_system(meet)
    return world, ids[np.argsort(number)]


def contacts(world, step, total):
    """All contacts of a run, as (source number, target number, time, place)."""
    reader = world.events(Contact)
    found = []
    for _ in range(total // step):
        world.step(step)
        batch = reader.read()
        source, target = (world.get(ids, Persona.number) for ids in (batch.source, batch.target))
        places = world.text.decode(batch.place)
        found += zip(source.tolist(), target.tolist(), batch.time.tolist(), places, strict=True)
    return found


# -- the draws ------------------------------------------------------------------------------

people = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.floats(0, 1, width=32)),
    min_size=2, max_size=8, unique_by=lambda person: person[0],
)  # fmt: skip


@settings(max_examples=60)
@given(people, st.floats(0, 1), st.integers(0, days(30_000)), st.integers(1, days(1)))
def test_the_kernel_draws_what_the_law_says(drawn, chance, now, lasts):
    """Who meets, who starts and when: the draws of the pair's numbers at the round's time."""
    drawn = sorted(drawn)
    number = np.array([person[0] for person in drawn], np.uint32)
    extraversion = np.array([person[1] for person in drawn], np.float32)
    i, j = np.triu_indices(len(drawn), 1)
    want = naive.meetings(
        zip(i.tolist(), j.tolist(), strict=True), number, extraversion, 7, now, lasts, chance
    )
    for kernel in (draw_meetings, draw_meetings.py_func):
        out = np.empty((3, i.size), np.int64)
        met = kernel(
            i, j, number, extraversion, u8(stream_of(7, "colocation")), i8(now), i8(lasts),
            chance, *out,
        )  # fmt: skip
        assert [tuple(row) for row in out[:, :met].T.tolist()] == want


two = st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True).map(tuple)


@given(st.lists(two, max_size=30), st.integers(0, 4))
def test_the_kernel_keeps_the_first_contacts(pairs, most):
    """Greedily, in their order: no agent has more than `most`, and none is dropped needlessly."""
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    want = naive.keep_first([(*pair, place) for place, pair in enumerate(pairs)], most)
    for kernel in (keep_first, keep_first.py_func):
        keep = np.empty(source.size, np.bool_)
        kernel(source.copy(), target.copy(), most, np.zeros(6, np.int64), keep)
        assert np.flatnonzero(keep).tolist() == [place for _, _, place in want]


# -- rounds ---------------------------------------------------------------------------------


def test_a_round_is_the_law_pair_by_pair():
    """Pairs, draws, order of time and the limit, against plain Python from end to end."""
    world, ids = crowd(chance=0.4, most=2)
    source, target, time = meetings(world, world.resource(Colocation), NOW, hours(1))
    number, x, y, extraversion = (
        world.get(ids, field)
        for field in (Persona.number, Motion.x, Motion.y, Persona.extraversion)
    )
    pairs = naive.pairs_within(x, y, 3.0, 12, 12, False)
    met = naive.meetings(pairs, number, extraversion, 7, NOW, hours(1), 0.4)
    want = naive.keep_first(sorted(met, key=lambda m: m[2]), 2)
    got = [world.get(ids, Persona.number).tolist() for ids in (source, target)]
    assert list(zip(*got, time.tolist(), strict=True)) == want
    assert len(want) < len(met)


def test_contacts_lie_in_the_round_and_count_for_both():
    """In the hour that is over, by time, mutual, with nobody over the limit."""
    world, _ = crowd(chance=1.0, most=3)
    reader = world.events(Contact)
    world.step(hours(1))
    batch = reader.read()
    assert len(batch) > 20
    assert batch.mutual.all()
    assert (batch.time > NOW).all()
    assert (batch.time <= NOW + hours(1)).all()
    assert (np.diff(batch.time) >= 0).all()
    had = np.unique(np.append(batch.source, batch.target), return_counts=True)[1]
    assert had.max() == 3


def test_the_chance_is_per_hour_whatever_the_round():
    """Of those who stay near, 1 - (1 - 0.3)^(1/6) meet in 10 minutes and 0.3 in an hour."""
    for every in (minutes(10), hours(1), hours(3)):
        n_met, n_pairs = 0, 0
        for seed in range(40):
            world, ids = crowd(30, size=3, seed=seed, radius=10, chance=0.3, most=10_000)
            n_met += meetings(world, world.resource(Colocation), NOW, every)[0].size
            n_pairs += ids.size * (ids.size - 1) // 2
        want = 1 - 0.7 ** (every / hours(1))
        assert n_met / n_pairs == pytest.approx(want, abs=4 * (want / n_pairs) ** 0.5)


def test_the_extraverted_start_more_often():
    """Extraversion 0.9 against 0.1: nine contacts of ten are started by the first."""
    world, _ = crowd(2, size=1, chance=1.0)
    world.query(Persona).set(Persona(extraversion=[0.9, 0.1]))
    started = [source for source, *_ in contacts(world, hours(1), hours(2_000))]
    assert len(started) == 2_000
    assert started.count(0) == pytest.approx(1_800, abs=4 * 2_000**0.5 * 0.3)


@pytest.mark.parametrize(("chance", "most"), [(0.0, 2), (1.0, 0)])
def test_no_chance_or_no_room_no_contact(chance, most):
    """At chance 0, or with no contacts allowed, nobody meets."""
    world, _ = crowd(chance=chance, most=most)
    assert contacts(world, hours(1), hours(10)) == []


def test_the_tired_start_nothing():
    """Who has no energy starts no contact, but is met by those who have."""
    world, ids = crowd(2, size=1, chance=1.0)
    world.insert(Energy(recovery=0))
    world.add(ids, SocialEnergy(level=[1.0, 0.05]))
    found = contacts(world, hours(1), hours(200))
    assert {source for source, *_ in found} == {0}
    assert 0 < len(found) < 200


def test_sleepers_meet_nobody():
    """Asleep is a state of the machine; several may be named; agents without activity are awake."""
    world, ids = crowd(4, size=1, chance=1.0, asleep="asleep, waking")
    world.insert(daily_life())
    world.add(ids[:3], Activity(state=[0, 1, 2], since=NOW, until=NOW + days(1)))
    assert awake(world, ids, "asleep, waking").tolist() == [False, False, True, True]
    assert {tuple(sorted(pair[:2])) for pair in contacts(world, hours(1), hours(3))} == {(2, 3)}


def test_contacts_say_where_when_both_are_at_one_place():
    """Two at the café; a third next door, and a fourth in passing, have no place in common."""
    world, ids = crowd(4, size=1, radius=10, chance=1.0, most=10)
    cafe, school = world.spawn(2, Place(name=["Hobbs Cafe", "Oak Hill College"], x=0, y=0))
    world.add(ids, Whereabouts(place=[cafe, cafe, school, cafe]))
    go_to(world, ids[3:], 0, 0, 1e-6)
    places = {tuple(sorted(c[:2])): c[3] for c in contacts(world, hours(1), hours(1))}
    assert len(places) == 6
    assert {pair for pair, place in places.items() if place} == {(0, 1)}
    assert places[0, 1] == "Hobbs Cafe"


def test_a_place_that_has_ended_has_no_name():
    """A stale reference is nowhere."""
    world, ids = crowd(2, size=1, chance=1.0)
    ruin = world.spawn(1, Place(name="ruin", x=0, y=0))
    world.add(ids, Whereabouts(place=ruin[0]))
    world.despawn(ruin)
    assert [place for *_, place in contacts(world, hours(1), hours(1))] == [""]


# -- what changes nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("step", [minutes(10), minutes(30)])
def test_the_length_of_a_step_changes_no_contact(step):
    """Hourly rounds in steps of an hour, or of parts of one: the same contacts."""
    assert contacts(crowd()[0], step, hours(12)) == contacts(crowd()[0], hours(1), hours(12)) != []


def test_rows_and_threads_change_no_contact():
    """Spawned in another order, moved by tags, on two threads: the same contacts, by number."""
    world, ids = crowd(order=np.random.default_rng(1).permutation(40), threads=2)
    world.add(ids[::3], Red)
    assert contacts(world, hours(1), hours(6)) == contacts(crowd()[0], hours(1), hours(6))


def test_the_far_away_change_no_contact():
    """The draws of a pair do not depend on who else there is."""
    world, ids = crowd(most=1_000)
    before = contacts(world, hours(1), hours(4))
    world, ids = crowd(most=1_000)
    world.despawn(ids[::2])
    left = [c for c in before if c[0] % 2 and c[1] % 2]
    assert contacts(world, hours(1), hours(4)) == left != []


def test_the_seed_matters():
    """Another seed, other contacts."""
    one, other = (contacts(crowd(seed=seed)[0], hours(1), hours(4)) for seed in (1, 2))
    assert one != other


def test_nobody_meets_in_an_empty_world():
    """No agents, or one: no contacts, no fault."""
    for n in (0, 1):
        assert contacts(crowd(n)[0], hours(1), hours(2)) == []


def test_what_is_missing_is_named():
    """A world without space, and agents with activity but no machine."""
    world = World()
    world.insert(Colocation())
    world.spawn(2, Persona(number=[0, 1]), Motion(x=0, y=0))
    world.add_system(meet)
    with pytest.raises(ResourceError, match="Space"):
        world.step(hours(1))
    world, ids = crowd(2)
    world.add(ids, Activity(state=0, since=NOW, until=NOW + 1))
    with pytest.raises(ResourceError, match="StateMachine"):
        world.step(hours(1))


@pytest.mark.parametrize(("name", "value"), [("radius", -1), ("chance", 1.5), ("most", -1)])
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and what is allowed."""
    with pytest.raises(SettingError, match=rf"Colocation\.{name} must lie in"):
        Colocation(**{name: value})
