"""Who is to watch a run, as its options say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from populace.ecs import World

from .health import Health
from .memory import MemoryLimit, parse_size
from .profiling import Draw, Profile
from .tick import Watcher

if TYPE_CHECKING:
    from populace.storage import Checkpointer

    from .directory import RunDirectory

log = logging.getLogger("populace.run")

Watch = Callable[[World, "RunDirectory | None", "Checkpointer | None"], Sequence[Watcher]]
"""What makes the watchers of a run that is about to begin."""


def nobody(*_: object) -> Sequence[Watcher]:
    """No watchers."""
    return ()


def watched_by(
    *,
    memory_limit: str | None = None,
    telemetry: str | None = None,
    prometheus: int | None = None,
    profile: Draw | None = None,
) -> Watch:
    """The watchers that are asked for.

    memory_limit: a size, as "8GiB". telemetry: a file, or "-". prometheus: a port.
    profile: makes the page of a profile. Raises SettingError for a size that is none; what is made
    may raise what its watchers do.
    """
    limit = None if memory_limit is None else parse_size(memory_limit)

    def made(
        world: World, directory: RunDirectory | None, checkpointer: Checkpointer | None
    ) -> Sequence[Watcher]:
        watchers: list[Watcher] = []
        if profile is not None:
            watchers.append(Profile(world, directory, profile))
        if limit is not None:
            snapshots = None if directory is None else directory.snapshots
            key = None if checkpointer is None else checkpointer.snapshots.key
            watchers.append(MemoryLimit(limit, snapshots=snapshots, key=key))
        if telemetry is None and prometheus is None:
            return watchers
        path = None if directory is None else directory.path
        health = Health(directory=path, limit_bytes=limit, checkpointer=checkpointer)
        watchers.append(health)
        if telemetry is not None:
            from .jsonlines import JsonLines

            watchers.append(JsonLines(telemetry, health=health))
        if prometheus is not None:
            from .prometheus import Prometheus

            endpoint = Prometheus(prometheus, health=health)
            log.info("metrics for Prometheus at %s", endpoint.url)
            watchers.append(endpoint)
        return watchers

    return made
