"""Small worlds that live by the laws of memory, and what a runner tells of their steps."""

import numpy as np

from populace.components import Observed, Persona, Stream
from populace.ecs import World, hours
from populace.runs.metrics import Meter
from populace.runs.tick import Tick
from populace.systems import (
    Archiving,
    Pruning,
    Retention,
    Room,
    find_inactive,
    forget,
    form_memories,
    make_room,
)

ROW = {"tick": 1, "wall_s": 0.01, "rss_bytes": 100, "pause_s": 0.0}


def village(n=5, *laws):
    """A world of n agents that form memories and forget."""
    world = World(seed=1)
    given = {type(law): law for law in laws}
    for law in (Retention, Pruning, Room, Archiving):
        world.insert(given.get(law) or law())
    world.add_systems(form_memories, find_inactive, forget, make_room)
    world.spawn(n, Persona(number=np.arange(n)), Stream)
    return world


def live(world, n_steps, *watchers, per_step=2, step=None, text="the kettle boils"):
    """Step by step everybody forms some memories, and the watchers are called."""
    ids = np.repeat(world.query(Persona).ids(), per_step)
    meter = Meter(world)
    for done in range(n_steps):
        if ids.size:
            texts = f"{text} {world.clock.tick}"
            world.emit(Observed(owner=ids, time=world.clock.now, text=texts, importance=0.5))
        world.step(hours(6) if step is None else step)
        tick = Tick(world, meter.read(0.01), (done + 1) / n_steps)
        for watch in watchers:
            watch(tick)


def tick_of(world, share=0.5, **row):
    """A step with a row of one's own."""
    return Tick(world, ROW | row, share)
