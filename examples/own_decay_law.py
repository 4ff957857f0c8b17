"""A law of retention of one's own, in one file: memories fade in two stages.

A third of what was learnt is lost within hours, the rest within weeks. The sweep, pruning, capacity
and reinforcement all go by it.

    python examples/own_decay_law.py
"""

import numpy as np

from populace import World, days, f4, hours, setting, settings
from populace.components import Memory, Observed, Persona, Recalled, Stream, Strength
from populace.systems import (
    Pruning,
    Reinforcement,
    Retention,
    forget,
    form_memories,
    parameterised_law,
    refresh_strength,
    reinforce,
)


@settings
class TwoStages:
    """The law's own parameters: checked, documented, and in the world as a resource."""

    share: float = setting(0.33, range=(0, 1), doc="of what is lost fast")
    fast: float = setting(20.0, range=(1, 1e6), doc="how many times faster")


@parameterised_law("two stages", TwoStages)
def two_stages(law):
    """The law for one set of parameters: a function of four numbers, compiled by numba."""
    share, fast = f4(law.share), f4(law.fast)

    def retrievability(elapsed, age, stability, accesses):
        slow = f4(0.5) ** (elapsed / stability)
        return share * slow**fast + (f4(1) - share) * slow

    return retrievability


world = World(seed=1)
for resource in (
    Retention(law="two stages", half_life=7 * 86_400.0),
    TwoStages(share=0.5),
    Pruning(),
    Reinforcement(),
):
    world.insert(resource)
world.add_systems(form_memories, reinforce, refresh_strength, forget)

ann = world.spawn(1, Persona(number=0, name="Ann"), Stream)
texts = ["heard of the fire", "the kettle is idle", "met Bo at the market"]
world.emit(Observed(owner=np.repeat(ann, 3), time=0, text=texts, importance=[0.9, 0.1, 0.4]))
world.step(0)
fire = world.query(Memory).ids()[:1]

for day in (0.25, 1, 3, 7, 14, 28):
    world.run(days(day) - world.clock.now, step=hours(1))
    for memory, strength in world.query(Memory, Strength):
        held = zip(world.text.decode(memory.text), strength.value, strict=True)
        print(f"day {day:>5}:", ", ".join(f"{text} {value:.2f}" for text, value in held))
    if day == 7:
        world.emit(Recalled(memory=fire, time=world.clock.now))
        print("           somebody asks about the fire")
