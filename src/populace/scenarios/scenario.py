"""What a scenario is: a society to build, the laws that it lives by, and what is told of it.

    def build(world, parameters): ...          # spawn everybody, insert resources
    def add_systems(world): ...                # also called for a world that comes from a snapshot

    scenario = Scenario(
        "harbour", "Fishers who gossip", {"harbour": Harbour, "ties": Ties}, build, add_systems
    )

A user's scenario is one Python file with such a `scenario` in it; `populace run FILE.py` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from populace.ecs import World, hours, setting, settings
from populace.ecs.errors import SettingError

if TYPE_CHECKING:
    from .parameters import Parameters


LATEST_US = 253_402_300_799 * 10**6
"""The last second of the year 9999: dates know no later one."""


@settings
class Run:
    """How long a scenario runs, from when, and in what steps: the section [run] of each."""

    days: float = setting(30.0, range=(0.001, 100_000), unit="d", doc="simulated days")
    step: float = setting(
        3600.0, range=(1, 86_400), unit="s", doc="of the clock; a whole part or multiple of an hour"
    )
    start: str = setting("2023-02-13T00:00", doc="the first moment, as ISO 8601 without a zone")
    seed: int = setting(1, range=(0, 2**63 - 1), doc="random seed")

    def check(self) -> None:
        """Refuse steps that would skip an hourly round, and a start that is no date."""
        if hours(1) % self.step_us and self.step_us % hours(1):
            raise SettingError(
                f"Run.step must divide an hour or be a whole number of hours, got {self.step:g} s; "
                f"as 15m, 1h or 6h"
            )
        try:
            plain = datetime.fromisoformat(self.start).tzinfo is None
        except ValueError:
            plain = False
        if not plain:
            raise SettingError(
                f"Run.start must be a date and time without a zone, as 2023-02-13T08:00; got "
                f"{self.start!r}"
            )
        if self.start_us + self.days * 86_400e6 > LATEST_US:
            raise SettingError(
                f"Run.start {self.start} and days {self.days:g} end after the year 9999: give "
                f"fewer days, or an earlier start"
            )

    @property
    def step_us(self) -> int:
        """The step in µs."""
        return round(self.step * 1e6)

    @property
    def start_us(self) -> int:
        """The first moment in µs since 1970."""
        return (
            round((datetime.fromisoformat(self.start) - datetime(1970, 1, 1)).total_seconds())
            * 10**6
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """A society and its laws.

    name: as on the command line. about: a sentence. sections: its parameters, a `@settings` class
    for each section of the TOML file; [run] is there by itself. build: fills a new world whose
    clock is at `Run.start`, which it may move. add_systems: registers the systems, and is also
    called for a world loaded from a snapshot, so it asks the world alone. measure: more columns of
    the metrics, called after each step: numbers, under names that a run has not itself. labels:
    what these columns are, in words. tell: what is to be said of a world at its end, as JSON values
    by name. source: the parameter that `--from PATH` sets, as "town.personas"; "" refuses --from.
    defaults: of this scenario, where they are other than those of the classes, as
    {"room.capacity": 300}. prolong: called with the world and the new end in µs when a run whose
    days are over is given more.
    """

    name: str
    about: str
    sections: Mapping[str, type]
    build: Callable[[World, Parameters], None]
    add_systems: Callable[[World], None]
    measure: Callable[[World], Mapping[str, float]] | None = None
    labels: Callable[[World], Mapping[str, str]] | None = None
    tell: Callable[[World], dict[str, Any]] | None = None
    source: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prolong: Callable[[World, int], None] | None = None
