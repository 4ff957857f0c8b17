"""Small plots of the laws of relationships, drawn by the project's own code."""

import numpy as np

from populace import World, days, hours
from populace.components import Contact, Met, Persona
from populace.components.energy import EnergyNow, SocialEnergy
from populace.systems.energy import Energy, refresh_energy, spend_energy
from populace.systems.ties import Ties, apply_contacts, tie_strengths


def plot_ties(axes):
    """Strength of one tie over 60 days, contacts on six of them, for three half-lives."""
    contacts = days(1) * np.array([0, 1, 2, 3, 10, 30])
    for half_life in (7, 14, 28):
        world = World()
        world.insert(Ties(half_life=half_life * 86_400))
        world.add_system(apply_contacts)
        one, other = world.spawn(2, Persona(number=[0, 1]))
        hour, strength = [], []
        for now in range(0, days(60) + 1, hours(1)):
            due = contacts[(contacts <= now) & (contacts > now - hours(1))]
            if due.size:
                world.emit(Contact(source=one, target=other, time=due))
            world.step(now - world.clock.now)
            hour.append(now / days(1))
            strength.append(tie_strengths(world, one, other)[0])
        axes.plot(hour, strength, label=f"half-life {half_life} days")
    axes.plot(contacts / days(1), np.zeros(contacts.size), "k|", clip_on=False, label="contacts")
    axes.set(xlabel="days", ylabel="tie strength", ylim=(0, None))
    axes.legend(frameon=False)


def plot_energy(axes):
    """Energy over a day with two gatherings, of three extraversions."""
    times = np.concatenate(
        [np.linspace(hours(9), hours(11), 10), np.linspace(hours(18), hours(20), 20)]
    ).astype(np.int64)
    world = World()
    world.insert(Energy())
    world.add_systems(spend_energy, refresh_energy)
    agents = world.spawn(3, Persona(number=[0, 1, 2], extraversion=[0, 0.5, 1]), SocialEnergy())
    crowd = world.spawn(1)
    clock, level = [], []
    for now in range(0, hours(24) + 1, hours(1) // 12):
        due = times[(times <= now) & (times > now - hours(1) // 12)]
        if due.size:
            for agent in agents:
                world.emit(Met(source=agent, target=crowd[0], time=due))
        world.step(now - world.clock.now)
        clock.append(now / hours(1))
        level.append(world.get(agents, EnergyNow.level))
    for name, line in zip(("0", "0.5", "1"), np.array(level).T, strict=True):
        axes.plot(clock, line, label=f"extraversion {name}")
    axes.axhline(Energy().least, color="k", linewidth=0.8, linestyle=":", label="starts none below")
    axes.set(xlabel="hour", ylabel="social energy", ylim=(0, 1.05))
    axes.legend(frameon=False)
