"""What importers and the generator share: numbers for newcomers, the clock, the law in force."""

from __future__ import annotations

from populace.components import Persona
from populace.ecs import Clock, World
from populace.ecs.errors import ResourceError
from populace.systems import Retention


def next_number(world: World) -> int:
    """The number of the next agent to join: one above the highest."""
    numbers = world.query(Persona).gather(Persona.number)
    return int(numbers.max()) + 1 if numbers.size else 0


def advance_clock(world: World, now: int) -> None:
    """Move the clock forward to `now` (µs since 1970) where it is behind."""
    clock = world.resource(Clock)
    clock.now = max(clock.now, now)


def law_of(world: World) -> Retention:
    """The world's settings of retention, or the defaults where it has none."""
    try:
        return world.resource(Retention)
    except ResourceError:
        return Retention()
