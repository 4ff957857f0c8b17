"""Archiving: what was not accessed for long, and is weak, may leave for cold storage.

A memory is inactive where now - accessed > after and strength < theta. `find_inactive` says so by
an `Inactive` event; the system `archive` reads these, if the world has an archive attached
(`archive.attach_archive`), writes the memories down, and only then despawns them. Nobody reads
them: the memories stay. `Pinned` ones are never inactive.

Cost: reads 28 bytes a row; nothing where nobody reads the event.
"""

from __future__ import annotations

from populace.components import Trace
from populace.ecs import Entity, Res, World, days, event, setting, settings, system

from .pruning import weak_memories
from .retention import DAY_S, US_PER_S


@settings
class Archiving:
    """When a memory is inactive. A resource."""

    after: float = setting(14 * DAY_S, range=(0, 2**43), unit="s", doc="since the last access")
    theta: float = setting(0.1, range=(0, 1), doc="strength below which it may leave")


@event
class Inactive:
    """A memory that may leave for cold storage. It is told again as long as it stays."""

    memory: Entity


@system(phase="last", every=days(1))
def find_inactive(world: World, law: Res[Archiving]) -> None:
    """Tell which memories are inactive, if anybody listens. Goes before `forget`."""
    if world.event_queues.queue(Inactive).has_readers:
        latest = world.clock.now - round(law.after * US_PER_S) - 1
        inactive, _ = weak_memories(world, Trace.accessed, law.theta, latest)
        if inactive.size:
            world.emit(Inactive(memory=inactive))
