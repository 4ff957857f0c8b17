"""A component and systems of one's own, beside the laws: people who get hungry, and eat.

Hunger is kept as what it was and when, so what it is now follows from the time alone: no result
depends on the length of a step. To eat is an event, to have eaten well a memory.

    python examples/custom_component.py
"""

import numpy as np

from populace import (
    Clock,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Res,
    World,
    Write,
    component,
    days,
    event,
    f4,
    field,
    hours,
    i8,
    jit,
    kernel,
    setting,
    settings,
    sql,
    system,
)
from populace.components import Observed, Persona, Stream
from populace.systems import add_laws


@component
class HungerNow:
    level: f4 = field(derived=True)  # a cache: filled by a sweep, never saved


@component(requires=HungerNow)
class Hunger:
    level: f4 = field(0.0, range=(0, 1))  # at `since`
    since: i8 = field(0, unit="us since 1970")


@event
class Ate:
    who: Entity
    time: i8 = field(unit="us since 1970")


@settings
class Appetite:
    rate: float = setting(1 / 10, range=(0, 1), unit="1/h", doc="hunger gained in an hour")
    limit: float = setting(0.7, range=(0, 1), doc="hunger with which people sit down to eat")


@kernel  # written for one row, compiled, and run over all of them
def refresh_hunger(
    hunger: Read[Hunger], now: Write[HungerNow], clock: Res[Clock], law: Res[Appetite]
):
    passed = f4((clock.now - hunger.since) / 3.6e9)
    now.level = min(f4(1), hunger.level + f4(law.rate) * passed)


@system(every=hours(1))  # written for a table at once, in numpy
def eat(ids: Id, now: Read[HungerNow], law: Res[Appetite], clock: Res[Clock], ate: Emit[Ate]):
    hungry = ids[now.level >= law.limit]
    ate(Ate(who=hungry, time=clock.now))


@jit
def sate(row_e, time_e, level_n, since_n):
    """Who has eaten is hungry no more. The kernel goes through events in their order."""
    for e in range(row_e.size):
        level_n[row_e[e]], since_n[row_e[e]] = 0, time_e[e]


@system  # takes the whole world, so it runs alone
def digest(world: World, ate: Events[Ate]):
    for part in world.at(ate.who):
        sate(part.rows, ate.time[part.at], part.write(Hunger.level), part.write(Hunger.since))
    world.emit(Observed(owner=ate.who, time=ate.time, text="had a good meal", importance=0.3))


world = World(seed=1)
add_laws(world)
world.insert(Appetite(limit=0.6))
world.add_systems(refresh_hunger, eat, digest)
people = world.spawn(
    1_000, Persona(number=np.arange(1_000)), Stream, Hunger(level=np.linspace(0, 0.5, 1_000))
)
world.run(days(2), step=hours(1))

for hunger in world.query(HungerNow):
    print(f"mean hunger {hunger.level.mean():.2f}, of {len(hunger):,} people")
# Nobody keeps a hundred memories of a hundred meals: once a day, what is alike becomes one.
ASKED = "SELECT text, count(*) AS memories, sum(accesses) AS meals FROM memories GROUP BY text"
for row in sql(world, ASKED):
    print(f"{row['text']}: {row['memories']:,} memories of {row['meals']:,} meals")
