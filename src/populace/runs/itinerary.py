"""What a run is of, held by its world, so that it can go on from a snapshot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Itinerary:
    """The scenario of a world, its parameters, and from when to when it runs. A resource.

    scenario: name, or full path of a Python file. parameters: TOML. start_us, end_us: simulated µs
    since 1970. step_us: of the clock.
    """

    scenario: str
    parameters: str
    start_us: int
    end_us: int
    step_us: int

    @property
    def days(self) -> float:
        """How many days there are in all."""
        return (self.end_us - self.start_us) / 86_400e6
