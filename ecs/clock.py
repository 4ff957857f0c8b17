"""Simulated time: `int64` microseconds, and never the wall clock.

The epoch is the reader's choice; importers and exports take 0 as 1970-01-01T00:00 so that a
clock reads as a calendar date.
"""

from __future__ import annotations

from dataclasses import dataclass

US_PER_SECOND = 1_000_000


def us(amount: float) -> int:
    """Microseconds, rounded to whole ones."""
    return round(amount)


def ms(amount: float) -> int:
    """Milliseconds in microseconds."""
    return round(amount * 1_000)


def seconds(amount: float) -> int:
    """Seconds in microseconds.

    >>> seconds(1.5)
    1500000
    """
    return round(amount * US_PER_SECOND)


def minutes(amount: float) -> int:
    """Minutes in microseconds."""
    return round(amount * 60 * US_PER_SECOND)


def hours(amount: float) -> int:
    """Hours in microseconds."""
    return round(amount * 3_600 * US_PER_SECOND)


def days(amount: float) -> int:
    """Days in microseconds."""
    return round(amount * 86_400 * US_PER_SECOND)


@dataclass(slots=True)
class Clock:
    """The world's time. A resource that `World.step` alone moves.

    now: simulated µs. dt: µs that the running step covers. tick: steps made so far.
    Inside a `fixed_step` system `now` and `dt` are those of its own step.
    """

    now: int = 0
    dt: int = 0
    tick: int = 0

    @property
    def seconds(self) -> float:
        """`now` in seconds."""
        return self.now / US_PER_SECOND

    @property
    def dt_s(self) -> float:
        """`dt` in seconds."""
        return self.dt / US_PER_SECOND
