"""Who lives in a town: names and traits, homes, work, haunts, and whom and what they know.

Agents live along the way (`streets`) in the order of their numbers, so who has the next number is
a neighbour. Before the first day everybody knows the people of the same home and some neighbours,
and is versed in a few topics.

Every draw is a function of (seed, number). Cost: 10 µs an agent, most of it ties and knowledge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from populace.components import (
    Biography,
    Emotion,
    Haunts,
    Mood,
    Persona,
    SocialEnergy,
    Tie,
    TieState,
)
from populace.ecs import World, random
from populace.ecs.entities import Ids
from populace.ecs.errors import SettingError
from populace.generate import ages_of, populate
from populace.systems import enter_state, intern_topics, learn, settle
from populace.words import TOPICS

from .streets import (
    MEETING_RADIUS,
    WORK_RADIUS,
    build_homes,
    build_places,
    how_many,
    nearby,
    side_of,
    spread,
)
from .town_settings import Town

YOUNG, OLD = 25, 67
"""Who is younger studies; who is as old as that has retired."""
PUPILS = 200
"""Students of one college."""
KINDS_OF_WORK = tuple(
    (trade, "{} " + place)
    for place, trade in (
        ("Bakery", "baker"), ("School", "teacher"), ("Clinic", "nurse"),
        ("Workshop", "carpenter"), ("Farm", "farmer"), ("Office", "accountant"),
        ("Studio", "painter"), ("Laboratory", "chemist"), ("Shipyard", "fisher"),
        ("Gazette", "journalist"), ("Theatre", "actor"), ("Garage", "mechanic"),
        ("Town Hall", "clerk"), ("Kitchen", "cook"),
    )
)  # fmt: skip
COLLEGE = (("student", "{} College"),)
KINDS_OF_MEETING = (
    ("cafe", "{} Cafe"), ("park", "{} Park"), ("pub", "the {} Arms"),
    ("library", "{} Library"), ("market", "{} Market"),
)  # fmt: skip
HOUSEHOLD_WEIGHT, FRIEND_WEIGHT = 15.0, 2.0
"""Weights of ties at the outset: of strength 0.75 and 0.29 by the law's defaults."""
NEIGHBOURHOOD = 12
"""How far from one's own number acquaintances at the outset are, at most."""


def settle_town(world: World, town: Town) -> Ids:
    """Spawn places, and agents beside those who are there; let all be at home, asleep; return
    their ids."""
    agents = move_in(world, town)
    n = agents.size
    t, number = spread(n), np.arange(n)
    side = side_of(n, town.density)
    reach = town.reach / n

    def drawn(what: int) -> npt.NDArray[np.float64]:
        return random.normal(world.seed, "town.haunts", number, draw=what)

    households = how_many(n, town.household)
    home = build_homes(world, households, side)[number * households // n]
    leisure, _ = build_places(
        world, KINDS_OF_MEETING, how_many(n, town.regulars), side, MEETING_RADIUS, "town.meeting"
    )
    age = world.get(agents, Biography.age)
    studies, works = age < YOUNG, (age >= YOUNG) & (age < OLD)
    work = np.zeros(n, np.uint64)
    learned = np.zeros(n, np.uint32)
    for who, kinds, staff in ((studies, COLLEGE, PUPILS), (works, KINDS_OF_WORK, town.staff)):
        n_places = how_many(int(who.sum()), staff)
        ids, names = build_places(world, kinds, n_places, side, WORK_RADIUS, "town.work")
        at = nearby(t[who], ids.size, drawn(0)[who], reach)
        work[who] = ids[at]
        said = [f"{kinds[k % len(kinds)][0]} at {name}" for k, name in enumerate(names)]
        learned[who] = world.text.intern(said)[at]
    haunt = leisure[nearby(t, leisure.size, drawn(1), reach)]
    world.add(agents, Haunts(home=home, work=work, leisure=haunt))
    for inner in (SocialEnergy, Emotion, Mood):  # who comes from elsewhere may have some
        world.add(agents[~world.has(agents, inner)], inner)
    told = world.get(agents, Biography.learned) == 0
    world.set(agents[told], Biography(learned=learned[told]))
    for profile, who in (("student", studies), ("worker", works), ("retired", age >= OLD)):
        if who.any():
            enter_state(world, agents[who], "asleep", profile=profile)
    settle(world, agents)
    acquaint(world, agents, number * households // n, town)
    if town.topics:
        teach(world, agents, town)
    return agents


def move_in(world: World, town: Town) -> Ids:
    """Generate the agents who are wanted beside those who are there; return all, by number.

    Raises SettingError where more are there than the town has.
    """
    n_guests = world.query(Persona).count()
    if n_guests > town.agents:
        raise SettingError(
            f"town.personas: {town.personas} holds {n_guests:,} people, and town.agents is "
            f"{town.agents:,}: give --agents {n_guests}, or fewer people"
        )
    strangers = world.query(Persona, without=Biography)
    age = ages_of(world.seed, strangers.gather(Persona.number))
    world.add(strangers.ids(), Biography(age=age))
    generated = populate(world, town.agents - n_guests, seed=world.seed)
    world.set(generated, Biography(learned=""))  # where they work is the town's to say
    people = world.query(Persona)
    agents: Ids = people.ids()[np.argsort(people.gather(Persona.number), kind="stable")]
    return agents


def acquaint(world: World, agents: Ids, household: npt.NDArray[np.int64], town: Town) -> None:
    """Tie everybody, both ways, to the people of the same home and to some who live near."""
    n = agents.size
    number = np.arange(n)
    pairs, weights = [], []
    # Of one home are only those whose numbers follow each other.
    for apart in range(1, int(np.bincount(household).max())):
        a = number[:-apart][household[:-apart] == household[apart:]]
        pairs.append(np.stack([a, a + apart]))
        weights.append(np.full(a.size, HOUSEHOLD_WEIGHT))
    n_friends = round(town.acquaintances * n / 2)
    key = np.arange(n_friends)
    a = random.integers(world.seed, "town.friend", key, n)
    step = 1 + random.integers(world.seed, "town.friend", key, min(NEIGHBOURHOOD, n - 1), draw=1)
    pairs.append(np.sort(np.stack([a, (a + step) % n]), axis=0))
    weights.append(np.full(n_friends, FRIEND_WEIGHT))
    (a, b), weight = np.concatenate(pairs, axis=1), np.concatenate(weights)
    _, first = np.unique(a << 32 | b, return_index=True)  # households come before friends
    a, b, weight = a[first], b[first], weight[first]
    world.ensure(
        Tie(source=agents[np.append(a, b)], target=agents[np.append(b, a)]),
        TieState(weight=np.append(weight, weight), last=world.clock.now),
    )


def teach(world: World, agents: Ids, town: Town) -> None:
    """Let everybody be versed in a few topics of the town, the popular ones more often."""
    topics = intern_topics(world, TOPICS, town.small_talk)
    number = np.repeat(np.arange(agents.size), town.topics)
    key = np.arange(number.size)
    drawn = random.uniform(world.seed, "town.topic", key)
    topic = (drawn * drawn * len(TOPICS)).astype(np.int64)
    sure = 0.3 + 0.7 * random.uniform(world.seed, "town.topic", key, draw=1)
    learn(world, agents[number], topics[topic], sure)
