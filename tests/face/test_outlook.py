"""What is measured of a town, beside plain counts of the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import (
    Activity,
    Contact,
    EmotionNow,
    Knowledge,
    Memory,
    MoodNow,
    Persona,
    Reflection,
    Tie,
    TieState,
    Trace,
)
from populace.ecs import World, hours
from populace.runs import make_world
from populace.scenarios.outlook import (
    acquaintances,
    count_by_importance,
    density,
    found_town,
    labels,
    measure,
    tell,
)
from populace.scenarios.rumours import Told
from populace.systems import StateMachine

from .lived import TOWN, metrics_of


@pytest.fixture(scope="module")
def noon():
    """A town at noon of its second day, what is measured of it, and the contacts of that hour."""
    world = make_world("town", TOWN)
    world.run(hours(35), step=hours(1))
    measure(world)
    reader = world.events(Contact)
    reader.read()
    world.step(hours(1))
    return world, measure(world), len(reader.read().time)


def test_everybody_is_in_one_state(noon):
    """Of the machine's states, all of them told, also those that nobody is in."""
    world, found, _ = noon
    states = world.resource(StateMachine).states
    state = world.query(Activity).gather(Activity.state)
    want = {f"state__{name}": int((state == k).sum()) for k, name in enumerate(states)}
    assert {name: n for name, n in found.items() if name.startswith("state__")} == want
    assert sum(want.values()) == world.query(Persona).count()
    assert min(want.values()) == 0 < want["state__lunch"]


def test_feelings_are_means(noon):
    """Of mood and emotion, by axis."""
    world, found, _ = noon
    for kind, component in (("mood", MoodNow), ("emotion", EmotionNow)):
        for axis in ("pleasure", "arousal", "dominance"):
            column = world.query(component).gather(getattr(component, axis))
            assert found[f"{kind}__{axis}"] == pytest.approx(column.mean(dtype=float), abs=1e-9)
            assert abs(column).max() > 0


def test_what_the_hour_has_formed_is_told_by_importance(noon):
    """By tenths; what was formed before does not count."""
    world, found, _ = noon
    memories = world.query(Memory, Trace)
    fresh = memories.gather(Memory.created) > world.clock.now - hours(1)
    tenth = np.minimum((memories.gather(Trace.importance)[fresh] * np.float32(10)).astype(int), 9)
    want = np.bincount(tenth, minlength=10).tolist()
    assert [found[f"formed__{k}"] for k in range(10)] == want
    assert 0 < sum(want) < memories.count()


def test_contacts_are_those_of_the_step(noon):
    """Each once, however often it is measured."""
    world, found, n_contacts = noon
    assert found["contacts"] == n_contacts > 0
    assert measure(world)["contacts"] == 0


def test_rumours_are_known_by_a_share(noon):
    """Of everybody, those who know; and the column is called as the rumour says."""
    world, found, _ = noon
    told = world.resource(Told)
    known = world.query(Knowledge)
    for k, (topic, text) in enumerate(zip(told.topics, told.texts, strict=True)):
        owners = set(known.gather(Knowledge.owner)[known.gather(Knowledge.topic) == topic].tolist())
        assert found[f"knows__{k}"] == pytest.approx(len(owners) / world.query(Persona).count())
        assert len(owners) >= TOWN["rumours.knowers"]
        assert labels(world)[f"knows__{k}"] == text


@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 1, width=32)), max_size=20))
def test_importance_is_counted_by_tenths(rows):
    """The twin in Python: of those after the moment, the most important in the last tenth."""
    created = np.array([time for time, _ in rows], np.int64)
    importance = np.array([worth for _, worth in rows], np.float32)
    found = np.zeros(10, np.int64)
    count_by_importance(created, importance, np.int64(0), found)
    want = np.zeros(10, np.int64)
    for time, worth in zip(created, importance, strict=True):
        if time > 0:
            want[min(int(worth * np.float32(10)), 9)] += 1
    assert found.tolist() == want.tolist()


@pytest.mark.parametrize("poignancy", range(1, 11))
def test_a_poignancy_is_its_own_tenth(poignancy):
    """As importance is poignancy / 10, and 10 stays with 9: none slips by rounding."""
    found = np.zeros(10, np.int64)
    one = np.ones(1, np.int64)
    count_by_importance(one, np.array([poignancy / 10], np.float32), np.int64(0), found)
    assert found.nonzero()[0].tolist() == [min(poignancy, 9)]


def test_density_is_of_all_that_there_could_be():
    """Ties both ways; of nobody or one alone it is 0."""
    world = World()
    assert (density(world), acquaintances(world)) == (0, 0)
    people = world.spawn(1, Persona(number=0, name="Ann"))
    assert (density(world), acquaintances(world)) == (0, 0)
    people = np.append(people, world.spawn(3, Persona(number=[1, 2, 3], name="Bo")))
    world.spawn(Tie(source=people[[0, 1, 2]], target=people[[1, 0, 0]]), TieState)
    assert (density(world), acquaintances(world)) == (3 / 12, 3 / 4)


def test_the_end_is_told_beside_the_beginning(town_run):
    """Density and acquaintances of both, reflections, and how far rumours came."""
    world, told = town_run.world, tell(town_run.world)
    assert told["density"] == density(world)
    assert told["acquaintances"] == acquaintances(world) > told["acquaintances_at_start"]
    start = make_world("town", TOWN)
    assert told["density_at_start"] == density(start)
    assert told["acquaintances_at_start"] == acquaintances(start)
    assert told["reflections"] == world.query(Reflection).count() > 0
    last = metrics_of(town_run.path).to_pylist()[-1]
    assert [told[f"knows__{k}"] for k in (0, 1)] == [last["knows__0"], last["knows__1"]]
    assert told["density"] == last["density"]


def test_a_world_with_nothing_is_measured_too():
    """Columns of what there is not are absent, and nothing fails."""
    world = World()
    found_town(world)
    found = measure(world)
    assert (found["contacts"], found["density"]) == (0, 0)
    assert not [name for name in found if name.startswith(("state__", "mood__", "knows__"))]
    assert labels(world) == {}
    assert tell(world)["reflections"] == 0
