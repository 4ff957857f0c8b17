"""Plots of the laws of memory."""

import numpy as np

from populace import World, days
from populace.components import Memory, Persona, Recalled, Stream, Trace
from populace.systems import (
    Power,
    Reinforcement,
    Retention,
    reinforce,
    strengths_of,
)

DAY_S = 86_400.0
SAVINGS = {19: 0.582, 63: 0.442, 526: 0.358, 1440: 0.337, 2880: 0.278, 8640: 0.254, 44_640: 0.211}
"""Ebbinghaus 1885, section 29: minutes after learning, and the share of the work saved."""


def recalled(law, minutes, stability_s, *settings):
    """R of a memory of that stability, so many minutes after it was formed and never accessed."""
    world = World()
    for each in (Retention(law=law), *settings):
        world.insert(each)
    owner = world.spawn(1, Persona(number=0), Stream)
    memory = world.spawn(
        1,
        Memory(owner=owner, sequence=0, created=0),
        Trace(importance=1, stability=stability_s, accessed=0),
    )
    return np.array([strengths_of(world, memory, now=round(m * 6e7))[0] for m in minutes])


def plot_retention(axes):
    """The three laws, for a memory of a stability of 3 days that nobody recalls."""
    day = np.linspace(0.01, 60, 300)
    for law in ("exponential", "power", "activation"):
        axes.plot(day, recalled(law, day * 1440, 3 * DAY_S), label=law)
    axes.set(xlabel="days", ylabel="retrievability R", ylim=(0, 1.02), title="stability 3 days")
    axes.legend(frameon=False)


def plot_ebbinghaus(axes):
    """Ebbinghaus' savings, and the law of either family that comes closest to them."""
    minute = np.geomspace(5, 60_000, 200)
    axes.semilogx(minute, recalled("power", minute, 32.6), label="power, D = 0.154, S = 33 s")
    axes.semilogx(
        minute,
        recalled("power", minute, 16.9, Power(decay=0.1344)),
        "--",
        label="power, D = 0.134, S = 17 s",
    )
    axes.semilogx(
        minute, recalled("exponential", minute, 9_169.0), ":", label="exponential, S = 2.5 h"
    )
    axes.semilogx(list(SAVINGS), list(SAVINGS.values()), "ko", label="Ebbinghaus 1885")
    axes.set(xlabel="minutes", ylabel="savings, R", ylim=(0, 1))
    axes.legend(frameon=False)


def plot_reinforcement(axes):
    """Strength under four recalls, crammed into two days or spaced over twenty."""
    for label, at in (("crammed", (0.5, 1, 1.5, 2)), ("spaced", (1, 4, 10, 20))):
        world = World()
        world.insert(Retention())
        world.insert(Reinforcement())
        world.add_system(reinforce)
        owner = world.spawn(1, Persona(number=0), Stream)
        memory = world.spawn(
            1,
            Memory(owner=owner, sequence=0, created=0),
            Trace(importance=1, stability=3 * DAY_S, accessed=0),
        )
        times, strength, left = np.linspace(0, 60, 601), [], [days(d) for d in at]
        for day in times:
            now = days(day)
            while left and left[0] <= now:
                world.emit(Recalled(memory=memory, time=left.pop(0)))
            world.step(now - world.clock.now)
            strength.append(strengths_of(world, memory)[0])
        (line,) = axes.plot(times, strength, label=f"{label}: days {', '.join(map(str, at))}")
        axes.plot(at, np.full(len(at), 1.0), "|", color=line.get_color(), ms=8)
    axes.set(xlabel="days", ylabel="strength", ylim=(0, 1.05), title="four recalls")
    axes.legend(frameon=False)
