"""A small study: how a rumour spreads through a village, in three runs that differ by their seed.

90 people sleep, work, meet and talk by the laws of Populace; one of them knows on Monday morning
that the mill will close. Printed is the share that knows it, hour by hour.

    python examples/rumour_study.py
"""

import numpy as np

from populace import World, days, hours
from populace.components import Haunts, Persona, Place, SocialEnergy, Space, Stream
from populace.systems import (
    Colocation,
    Ties,
    add_laws,
    enter_state,
    intern_topics,
    learn,
    settle,
    share_knowing,
)

N, HOURS = 90, 72
SEEDS = (1, 2, 3)
MONDAY = days(19_401)  # 2023-02-13


def village(seed):
    """A world of N people with homes, workshops and cafés, all of them asleep."""
    world = World(seed=seed)
    world.clock.now = MONDAY
    add_laws(
        world,
        Space(width=400, height=400),
        Colocation(chance=0.5),  # two who stay near each other meet as often as not in an hour
        Ties(saturation=1.0),  # and one talk makes a tie of 0.5: this is a friendly village
    )
    draw = np.random.default_rng(seed)

    def places(n, kind):
        x, y = draw.uniform(0, 400, (2, n))
        names = [f"{kind} {k + 1}" for k in range(n)]
        return world.spawn(n, Place(name=names, kind=kind, x=x, y=y, radius=6))

    homes, shops, cafes = places(40, "house"), places(8, "workshop"), places(3, "café")
    people = world.spawn(
        N,
        Persona(number=np.arange(N), extraversion=draw.random(N)),
        Haunts(
            home=draw.choice(homes, N), work=draw.choice(shops, N), leisure=draw.choice(cafes, N)
        ),
        Stream,
        SocialEnergy,
    )
    enter_state(world, people, "asleep", profile="worker")
    settle(world, people)
    return world, people


def study(seed):
    """The share that knows, after each hour."""
    world, people = village(seed)
    rumour = intern_topics(world, ["the mill will close"])
    learn(world, people[0], rumour)
    known = []
    for _ in range(HOURS):
        world.step(hours(1))
        known.append(share_knowing(world, rumour)[0])
    return known


share_sh = np.array([study(seed) for seed in SEEDS])  # a row for each seed, a column for each hour
print("hour   mean  lowest to highest of", len(SEEDS), "seeds")
for hour in range(5, HOURS, 6):
    at = share_sh[:, hour]
    bar = "#" * round(40 * at.mean())
    print(f"{hour + 1:>4} {at.mean():6.0%}  {at.min():4.0%} to {at.max():4.0%}  {bar}")
half = [int(np.argmax(known >= 0.5)) + 1 if known.max() >= 0.5 else None for known in share_sh]
print("half of the village knows after so many hours:", half)
