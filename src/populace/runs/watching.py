"""Who is to watch a run, as its options say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from populace.ecs import World

from .health import Health
from .memory import MemoryLimit, parse_size
from .profiling import Draw, Profile
from .tick import Watcher

if TYPE_CHECKING:
    from populace.storage import Checkpointer

    from .directory import RunDirectory

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
    profile: makes the page of a profile. Raises SettingError for a size that is none. What makes
    them raises what they do, and then leaves none of them open.
    """
    limit = None if memory_limit is None else parse_size(memory_limit)

    def made(
        world: World, directory: RunDirectory | None, checkpointer: Checkpointer | None
    ) -> Sequence[Watcher]:
        watchers: list[Watcher] = []
        with ExitStack() as undoing:
            for watcher in one_by_one(world, directory, checkpointer):
                undoing.callback(watcher.close)
                watchers.append(watcher)
            undoing.pop_all()  # all are made
        return watchers

    def one_by_one(
        world: World, directory: RunDirectory | None, checkpointer: Checkpointer | None
    ) -> Iterator[Watcher]:
        if profile is not None:
            yield Profile(world, directory, profile)
        if limit is not None:
            snapshots = None if directory is None else directory.snapshots
            key = None if checkpointer is None else checkpointer.snapshots.key
            yield MemoryLimit(limit, snapshots=snapshots, key=key)
        if telemetry is None and prometheus is None:
            return
        path = None if directory is None else directory.path
        health = Health(directory=path, limit_bytes=limit, checkpointer=checkpointer)
        yield health
        if telemetry is not None:
            from .jsonlines import JsonLines

            yield JsonLines(telemetry, health=health)
        if prometheus is not None:
            from .prometheus import Prometheus

            yield Prometheus(prometheus, health=health)

    return made
