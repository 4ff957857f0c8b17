"""All laws at once: their order, what may be left out, and that nothing depends on how time, rows
and threads are cut."""

import numpy as np
import pytest

from populace.components import (
    Activity,
    Contact,
    Emotion,
    Haunts,
    Knowledge,
    Memory,
    Mood,
    Observed,
    Persona,
    Place,
    Recalled,
    SocialEnergy,
    Space,
    Stream,
    Tie,
)
from populace.ecs import World, days, hours, minutes, system
from populace.ecs.errors import ResourceError, ScheduleError
from populace.systems import (
    SETTINGS,
    SYSTEMS,
    Reflecting,
    Retention,
    Ties,
    add_laws,
    enter_state,
    intern_topics,
    learn,
    settle,
)

MONDAY = days(20_000 + (4 - 20_000 % 7) % 7)


def town(n=40, *, threads=1, order=None, without=(), debug=False):
    """n people with homes, offices and cafés, of whom two know something; awake on Monday."""
    world = World(seed=5, threads=threads, debug=debug)
    world.parallel_rows = 1
    world.clock.now = MONDAY
    add_laws(world, Space(width=400, height=400), Reflecting(threshold=2.0), without=without)
    draw = np.random.default_rng(1)
    homes, offices, cafes = (
        world.spawn(
            k,
            Place(
                name=[f"{kind} {i}" for i in range(k)],
                kind=kind,
                x=draw.uniform(0, 400, k),
                y=draw.uniform(0, 400, k),
            ),
        )
        for k, kind in ((n // 3, "house"), (3, "office"), (2, "café"))
    )
    number = np.arange(n) if order is None else np.array(order)
    haunts = [draw.integers(0, places.size, n)[number] for places in (homes, offices, cafes)]
    people = world.spawn(
        n,
        Persona(number=number, name=[f"Person {i}" for i in number], extraversion=number / n),
        Stream,
        SocialEnergy,
        Emotion,
        Mood,
        Haunts(home=homes[haunts[0]], work=offices[haunts[1]], leisure=cafes[haunts[2]]),
    )
    by_number = people[np.argsort(number)]
    enter_state(world, by_number, "asleep", profile="worker")
    settle(world, by_number)
    learn(world, by_number[:2], intern_topics(world, ["the well is dry", "a fair is coming"]))
    return world, by_number


def told(world):
    """What everybody remembers, as text, with numbers for ids: equal in equal societies."""
    owners = world.query(Memory).gather(Memory.owner)
    rows = zip(
        world.get(owners, Persona.number).tolist(),
        world.query(Memory).gather(Memory.sequence).tolist(),
        world.query(Memory).gather(Memory.created).tolist(),
        world.text.decode(world.query(Memory).gather(Memory.text)),
        strict=True,
    )
    return sorted(rows)


def tied(world):
    """Who is tied to whom, by number."""
    ties = world.query(Tie)
    ends = (world.get(ties.gather(end), Persona.number) for end in (Tie.source, Tie.target))
    return sorted(zip(*(end.tolist() for end in ends), strict=True))


def test_a_society_lives_by_itself():
    """Nobody tells it anything, and after two days people remember, know each other and reflect."""
    world, _ = town(debug=True)
    world.run(days(1), step=hours(1))
    texts = {text for *_, text in told(world)}
    assert any(text.startswith("talked with") for text in texts)
    assert any(" about the well is dry at " in text for text in texts)
    assert any("; felt at ease" in text for text in texts)
    assert any("; felt annoyed" in text for text in texts)
    assert any(text.startswith("saw ") for text in texts)
    assert any("is working at office" in text for text in texts)
    assert any("often thinks about" in text for text in texts)
    assert world.query(Tie).count() > 10
    assert world.telemetry.systems["apply_contacts"].calls == 24


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    """The same society to the bit on one thread and on several."""
    worlds = [town(threads=k)[0] for k in (1, threads)]
    for world in worlds:
        world.run(days(2), step=hours(1))
    assert worlds[0].digest() == worlds[1].digest()


def test_the_order_in_which_people_were_made_changes_nothing():
    """With the same numbers, other ids and rows: the same memories and ties."""
    order = np.random.default_rng(7).permutation(40)
    worlds = [town()[0], town(order=order)[0]]
    for world in worlds:
        world.run(days(1), step=hours(1))
    assert told(worlds[0]) == told(worlds[1])
    assert tied(worlds[0]) == tied(worlds[1])


def test_the_length_of_a_step_changes_nothing():
    """Steps of an hour and of 20 minutes: the same memories and ties."""
    worlds = [town(without="reflect")[0] for _ in range(2)]
    worlds[0].run(days(1), step=hours(1))
    worlds[1].run(days(1), step=minutes(20))
    assert told(worlds[0]) == told(worlds[1])
    assert tied(worlds[0]) == tied(worlds[1])


def test_a_budget_changes_nothing():
    """However little time a step may take, state is the same to the bit."""
    worlds = [town()[0] for _ in range(2)]
    worlds[1].set_budget(1e-9)
    for world in worlds:
        world.run(days(1), step=hours(1))
    assert worlds[1].telemetry.sweeps_every > 1
    assert worlds[0].digest() == worlds[1].digest()


def test_deaths_and_events_about_the_dead():
    """People die while contacts, observations and recalls of theirs are queued: nothing breaks."""
    world, people = town(debug=True)
    world.run(hours(12), step=hours(1))
    for _ in range(6):
        now, living = world.clock.now, people[world.alive(people)]
        source, target = living[:4], living[4:8]
        world.emit(Contact(source=source, target=target, time=now, mutual=True, place="the well"))
        world.emit(Observed(owner=living[:8], time=now, text="a storm", importance=0.9))
        memories = world.query(Memory).ids()
        world.emit(Recalled(memory=memories[:50], time=now))
        world.despawn(living[[0, 5, 9]])
        world.step(hours(1))
    world.check()
    assert world.query(Persona).count() == 40 - 18


def test_resources_given_go_before_defaults():
    """What is given is inserted, the rest has its defaults, and nothing is inserted twice."""
    world = World()
    world.insert(Retention(law="power"))
    add_laws(world, Ties(half_life=60.0))
    assert world.resource(Ties).half_life == 60.0
    assert world.resource(Retention).law == "power"
    assert all(made in world.resources for made in SETTINGS)
    with pytest.raises(ResourceError, match="Ties"):
        world.insert(Ties())


def test_laws_can_be_left_out():
    """By name or as the system itself; a name that none has is refused, and nothing is added."""
    world = World()
    add_laws(world, without=("meet", SYSTEMS[0]))
    assert {"meet", "change_activity"} & world.schedule.entries.keys() == set()
    assert len(world.schedule.entries) == len(SYSTEMS) - 2
    other = World()
    with pytest.raises(ScheduleError, match=r"'met'.*change_activity"):
        add_laws(other, without="met")
    assert not other.schedule.entries
    assert Ties not in other.resources


def test_an_empty_world_lives_too():
    """With nobody in it every law does nothing."""
    world = World(debug=True)
    add_laws(world)
    world.run(days(2), step=hours(6))
    assert len(world) == 0
    assert world.query(Activity).count() == world.query(Knowledge).count() == 0


def test_a_law_of_ones_own_takes_the_place_of_another():
    """It stands where the other stood, in its phase; a place that there is none of is refused."""

    @system
    def quiet(world: World):
        """Nobody meets."""

    world = World()
    add_laws(world, instead={"meet": quiet})
    names = [entry.name for stage in world.schedule.stages()["first"] for entry in stage]
    assert names == ["change_activity", "follow_routine", "quiet", "perceive"]
    with pytest.raises(ScheduleError, match="'greet'"):
        add_laws(World(), instead={"greet": quiet})
