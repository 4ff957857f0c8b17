"""What a run has come to after a step: what those who watch it are told.

A watcher is called after each step, in the runner's thread, and may ask the world; it is closed at
the end, however that comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from populace.ecs import World


@dataclass(frozen=True, slots=True)
class Tick:
    """After a step. row: the columns of the metrics but `time`. share: of the run that is over."""

    world: World
    row: Mapping[str, float]
    share: float


class Watcher(Protocol):
    """Somebody who wants to know how a run goes on."""

    def __call__(self, tick: Tick, /) -> None:
        """A step is over."""

    def close(self) -> None:
        """The run is over, or has failed."""
