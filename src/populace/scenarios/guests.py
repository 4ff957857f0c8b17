"""Minds that come from elsewhere, and bring their own time with them."""

from __future__ import annotations

from pathlib import Path

from populace.ecs import World
from populace.minds import read_minds

from .parameters import Parameters


def take_in(world: World, source: str, parameters: Parameters) -> None:
    """Spawn the minds of a file or folder in a world without any, whose clock is at `run.start`.

    They live on from the moment at which they were left: where their streams end, or their tables
    were written. A `run.start` other than the default counts where it is later, and always for
    personas, who come from no time. Raises what `read_minds` does.
    """
    clock = world.clock
    start, clock.now = clock.now, 0
    read_minds(Path(source))(world)
    given = "run.start" in parameters.changed()
    clock.now = max(clock.now, start) if given else clock.now or start
