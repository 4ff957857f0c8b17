"""What an agent has left for others. State changes at a contact only: see `systems.energy`."""

from __future__ import annotations

from populace.ecs import component, f4, field, i8


@component
class EnergyNow:
    """The social energy of an agent at the last sweep; a cache, filled by a system."""

    level: f4 = field(derived=True, unit="1", doc="1 is rested, 0 is spent")


@component(requires=EnergyNow)
class SocialEnergy:
    """What an agent could still give to others at its last contact, and when that was.

    An agent without it never tires.
    """

    level: f4 = field(default=1.0, range=(0, 1), unit="1", doc="1 is rested, 0 is spent")
    since: i8 = field(default=0, unit="us since 1970", doc="when it was that, in simulated time")
