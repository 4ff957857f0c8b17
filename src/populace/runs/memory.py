"""A limit to the memory of a run: what a run lets go to stay below it, and when it has to end.

Above a share of the limit a run is relieved, now and then, by these stages, each only when those
before it are used up:

    give back         slack of tables, what the allocator keeps, and, in a world that has the system
                      `reclaim_texts`, strings that nothing holds
    archive earlier   `Archiving.after` is halved, down to a day, and what is inactive leaves
    prune earlier     `Pruning.theta` grows by half, up to 0.5, `Room.capacity` shrinks by a fifth,
                      down to 10, and what is too weak or finds no room is forgotten

What frees less than a hundredth of the limit is not worth what it loses: the next relief comes half
as soon. Above the limit itself no stage waits for its turn, and they are taken again and again as
long as that is worth it; then the run ends, by `MemoryLimitReached`, before more is lost.

Invariants: giving back changes no memory, tie or feeling. Where strings go, later ones get other
codes, and with them `World.digest` is another. The other stages change results, and when they
happen depends on the machine: a run that was relieved by them is not made again by its seed. Each
is logged, and told in `relieved`. The laws that they change are resources, so a snapshot has them.
Cost: 25 µs a step to look; to give back, a copy of the tables that have slack, and what Python's
collection takes.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import re
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from populace.components import Memory, Trace
from populace.ecs import World
from populace.ecs.errors import (
    LockedError,
    MemoryLimitReached,
    ResourceError,
    SettingError,
    SnapshotError,
    StorageError,
)
from populace.storage.keys import Key
from populace.systems import Archiving, Pruning, Retention, Room, forget, make_room
from populace.systems.archive import archive_memories, attach_archive, attached_archive
from populace.systems.pruning import weak_memories
from populace.systems.retention import DAY_S, US_PER_S

from .reading import iso
from .tick import Tick

STATM = Path("/proc/self/statm")
SHARE = 0.8
EVERY = 24
MOST_REST = 4096
"""Ticks from one relief to the next where they free too little to be worth it."""
LEAST = 0.01
"""Of the limit, what stages free that are worth what they lose."""
LEAST_AFTER = DAY_S
MOST_THETA, LEAST_CAPACITY = 0.5, 10
_PAGE = resource.getpagesize()
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

log = logging.getLogger("populace.run")


class Relief(TypedDict):
    """What was let go once. time: simulated. before, after: resident bytes."""

    time: str
    stage: str
    what: str
    before: int
    after: int


def resident_bytes() -> int:
    """Bytes of this process that are in memory now.

    Where there is no /proc/self/statm, the most that there ever were (`getrusage`): a figure that
    never falls, so that a run there ends at its limit whatever it lets go.
    """
    try:
        return int(STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def parse_size(given: int | str) -> int:
    """A number of bytes, 1 or more: 4GiB and 4G are 4 * 2^30, 4GB is 4 * 10^9; K, M and T alike.

    Raises SettingError for anything else.

    >>> parse_size("512M"), parse_size("1.5 GB"), parse_size(1_000)
    (536870912, 1500000000, 1000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?B)?\s*", str(given).upper())
    if isinstance(given, bool) or found is None or (found[3] == "IB" and not found[2]):
        raise SettingError(
            f"a size is a number of bytes, or one with K, M, G or T, as 512M, 4GiB or 1.5GB; got "
            f"{given!r}"
        )
    factor = 1000 if found[3] == "B" else 1024
    size = round(float(found[1]) * float(factor) ** _UNITS[found[2]])
    if size < 1:
        raise SettingError(f"a size is a byte or more, got {given!r}")
    return size


def show_size(n: float) -> str:
    """Bytes in words.

    >>> show_size(5 * 2**30), show_size(900)
    ('5.00 GiB', '900 bytes')
    """
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if n >= 2**power:
            return f"{n / 2**power:,.2f} {unit}"
    return f"{n:,.0f} bytes"


def give_back(world: World) -> None:
    """Return to the system what nobody uses: strings, slack, collected objects, free pages.

    No memory, tie or feeling changes by it; codes of strings may, and with them `World.digest`.
    Strings go where the world has the system `reclaim_texts`: any other may have codes of them in a
    place that a reclaim does not know of.
    """
    if "reclaim_texts" in world.schedule.entries:
        world.reclaim_texts()
    world.shrink()
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


class MemoryLimit:
    """A watcher that keeps a run below so many bytes of resident memory.

    share: of the limit above which it is relieved. every: ticks from one relief to the next, at
    least.
    snapshots: the directory of the run's snapshots, where an archive is attached when it is needed
    and there is none; None attaches none. key: of these snapshots. resident: what is resident now.
    relieved: what was let go so far.

    Raises SettingError for a limit that is none, or below what is resident already. Called, it
    raises MemoryLimitReached.
    """

    def __init__(
        self,
        limit_bytes: int,
        *,
        share: float = SHARE,
        every: int = EVERY,
        snapshots: str | os.PathLike[str] | None = None,
        key: Key | None = None,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self.limit = parse_size(limit_bytes)
        if not 0 < share <= 1 or every < 1:
            raise SettingError(
                f"a MemoryLimit's share lies in (0, 1] and every is 1 or more; got {share!r} and "
                f"{every!r}"
            )
        self.share, self.every, self.snapshots, self.key = share, every, snapshots, key
        self.relieved: list[Relief] = []
        self.resident = resident
        self._next = self._rest = 0
        self._broken = False  # the archive
        if resident is resident_bytes and not STATM.exists():
            log.warning(
                "memory limit: this system tells only the most memory that there was, which never "
                "falls: the run ends at its limit whatever it lets go"
            )
        now = self._now = resident()
        if now >= self.limit:
            raise SettingError(
                f"a memory limit of {show_size(self.limit)} leaves no room for a run: "
                f"{show_size(now)} are in use before its first step; give it more"
            )

    def __call__(self, tick: Tick, /) -> None:
        """Relieve the run if it has come too near to its limit. Raises MemoryLimitReached."""
        self._now = self.resident()
        number = tick.world.clock.tick
        if self._now <= self.share * self.limit:
            return
        due = number >= self._next
        if due or self._now > self.limit:
            worth = self._relieve(tick.world, due)
        if due:
            self._rest = self.every if worth else min(max(2 * self._rest, self.every), MOST_REST)
            self._next = number + self._rest

    def close(self) -> None:
        """Nothing: an archive that it attached stays, since the last snapshot needs it."""

    def _relieve(self, world: World, due: bool) -> bool:
        """Let go what the moment asks for; return whether it was worth it. due: whether the time
        has come to do more than to give back. Raises MemoryLimitReached."""
        self._take(world, "give back", lambda _: "unused strings, slack and pages")
        worth = True
        if due and self._now > self.share * self.limit:
            before = self._now
            _ = self._archive_earlier(world) or self._prune_earlier(world)
            worth = self._has_freed(before)
        while self._now > self.limit:
            before = self._now
            self._archive_earlier(world)
            self._prune_earlier(world)
            if not self._has_freed(before):
                raise MemoryLimitReached(
                    f"this run holds {show_size(self._now)} of memory, more than its limit of "
                    f"{show_size(self.limit)}, and letting go of more frees too little; give it "
                    f"more (--memory-limit), fewer agents, or laws that forget sooner (Pruning, "
                    f"Room)"
                )
        return worth

    def _has_freed(self, before: int) -> bool:
        return self._now <= before - LEAST * self.limit

    def _take(self, world: World, stage: str, measure: Callable[[World], str]) -> bool:
        """Take a measure, give back what it sets free, and tell of it; False for one that is used
        up."""
        before = self.resident()
        what = measure(world)
        if not what:
            return False
        give_back(world)
        after = self._now = self.resident()
        time = iso(world.clock.now)
        self.relieved.append(Relief(time=time, stage=stage, what=what, before=before, after=after))
        told = f"memory limit: {show_size(before)} of {show_size(self.limit)} in use; {stage}: "
        told += f"{what}; {show_size(after)} now"
        if stage == "give back":
            log.info(told)
        else:
            log.warning("%s; results differ from those without a limit", told)
        return True

    # -- stages that change results ----------------------------------------------------------------

    def _archive_earlier(self, world: World) -> bool:
        return self._take(world, "archive earlier", self._archive)

    def _prune_earlier(self, world: World) -> bool:
        return self._take(world, "prune earlier", self._prune)

    def _archive(self, world: World) -> str:
        """Archive what is inactive, after a shorter time than before; what was done, "" if it
        cannot be any shorter or there is nowhere to archive to."""
        if not _has(world, "find_inactive", Archiving) or not self._attach(world):
            return ""
        law = world.resource(Archiving)
        after = max(law.after / 2, LEAST_AFTER)
        if after >= law.after:
            return ""
        world.insert(replace(law, after=after), replace=True)
        latest = world.clock.now - round(after * US_PER_S) - 1
        inactive, _ = weak_memories(world, Trace.accessed, law.theta, latest)
        done = f"Archiving.after {law.after / DAY_S:g} d -> {after / DAY_S:g} d"
        try:
            n = archive_memories(world, inactive)
        except (StorageError, LockedError, SnapshotError) as error:
            self._give_up_archive(error)
            return f"{done}: nothing left, since the archive cannot be written"
        return f"{done}: {n:,} memories left for the archive"

    def _attach(self, world: World) -> bool:
        """Whether the world has an archive, by now."""
        if self._broken:
            return False
        try:
            attached_archive(world)
        except ResourceError:
            if self.snapshots is None:
                return False
            try:
                attach_archive(world, self.snapshots, key=self.key)
            except (StorageError, LockedError, SnapshotError) as error:
                self._give_up_archive(error)
                return False
        return True

    def _give_up_archive(self, error: Exception) -> None:
        self._broken = True
        log.warning("memory limit: nothing is archived to relieve the run: %s", error)

    def _prune(self, world: World) -> str:
        """Forget what is too weak or finds no room, by stricter laws; what was done, "" if they
        cannot be any stricter. A theta of 0, which forgets nothing, and each agent's own
        `Capacity` stay. Capacity shrinks from the most that anybody holds, if that is less."""
        before, done = world.query(Memory).count(), []
        if _has(world, "forget", Pruning):
            law = world.resource(Pruning)
            theta = min(law.theta * 1.5, MOST_THETA)
            if theta > law.theta:
                done.append(f"Pruning.theta {law.theta:.3g} -> {theta:.3g}")
                world.insert(replace(law, theta=theta), replace=True)
                forget(world, world.resource(Pruning))
        if _has(world, "make_room", Room):
            room = world.resource(Room)
            held = world.index(Memory.owner).counts()[1]
            most = min(room.capacity, int(held.max(initial=0)))
            capacity = max(int(most * 0.8), LEAST_CAPACITY)
            if capacity < room.capacity:
                done.append(f"Room.capacity {room.capacity:,} -> {capacity:,}")
                world.insert(replace(room, capacity=capacity), replace=True)
                make_room(world, world.resource(Room), world.resource(Retention))
        if not done:
            return ""
        gone = before - world.query(Memory).count()
        return f"{', '.join(done)}: {gone:,} memories forgotten"


def _has(world: World, system: str, law: type) -> bool:
    """Whether a world lives by a law."""
    held = law in world.resources and Retention in world.resources
    return held and system in world.schedule.entries
