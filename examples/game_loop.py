"""A game at 60 frames a second: 5,000 characters that wander, remember, befriend and forget.

A frame is a step of ten simulated minutes. Sweeps only fill caches for whoever looks, so a budget
may leave some out while there is no time: nothing else depends on them. What is shown is asked for
when it is shown.

    python examples/game_loop.py              # two seconds; --seconds 60 for longer
"""

import sys
from time import perf_counter, sleep

import numpy as np

from populace import (
    Clock,
    Read,
    Res,
    Rng,
    World,
    Write,
    component,
    f4,
    hours,
    minutes,
    recall,
    system,
)
from populace.components import Contact, Memory, Persona, Stream, TieStrength
from populace.systems import Pruning, add_laws, pairs_within

FRAME = 1 / 60  # s of wall time
BUDGET = 0.002  # s of it for the world
N, SIDE = 5_000, 1_000.0  # characters, m
SECONDS = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 2.0


@component
class Body:
    x: f4
    y: f4


@system
def wander(body: Write[Body], persona: Read[Persona], rng: Rng):
    for axis, column in enumerate((body.x, body.y)):
        column += 4 * rng.normal(persona.number, draw=axis)
        np.clip(column, 0, SIDE, out=column)


@system(every=hours(1))
def bump(world: World, clock: Res[Clock]):
    """Whoever stands within 3 m of somebody has a word with them."""
    bodies = world.query(Body)
    ids = bodies.ids()
    i, j = pairs_within(bodies.gather(Body.x), bodies.gather(Body.y), 3.0, SIDE, SIDE)
    world.emit(Contact(source=ids[i], target=ids[j], time=clock.now, outcome=0.4, mutual=True))


world = World(seed=1)
add_laws(
    world,
    Pruning(theta=0.45, grace=6 * 3_600.0),  # forgetful, so that two seconds are enough to see it
    without=("change_activity", "follow_routine", "meet", "perceive"),
)
world.add_system(wander, before="apply_contacts")
world.add_system(bump, after="wander", before="apply_contacts")
draw = np.random.default_rng(1)
x, y = draw.uniform(0, SIDE, (2, N))
people = world.spawn(
    N, Persona(number=np.arange(N), name=[f"No. {k}" for k in range(N)]), Stream, Body(x=x, y=y)
)

world.run(hours(24), step=minutes(10))  # a past; and what is not compiled yet is compiled
recall(world, people[0], k=3)

world.set_budget(BUDGET)
took = []
while len(took) < SECONDS / FRAME:
    begin = perf_counter()
    world.step(minutes(10))
    if len(took) % 30 == 0:  # twice a second the player asks somebody what is on their mind
        answer = recall(world, draw.choice(people), k=3)
    took.append(perf_counter() - begin)
    sleep(max(0.0, FRAME - took[-1]))

p50, p99 = np.percentile(np.array(took) * 1e3, (50, 99))
print(f"{len(took)} frames of {FRAME * 1e3:.1f} ms: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
print(
    f"to keep within {BUDGET * 1e3:g} ms, one sweep in {world.telemetry.sweeps_every} is made now"
)
world.refresh()  # for whoever looks at all of it
friends = (world.query(TieStrength).gather(TieStrength.value) > 0.25).sum()
print(f"{world.query(Memory).count():,} memories, {friends:,} close ties")
print("forgotten:", world.telemetry.counts)
print("the last one asked said:", "; ".join(answer.text) or "nothing comes to mind")
