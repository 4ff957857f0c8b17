"""The archive of a world: old, inactive memories leave the tables for files beside its snapshots.

    add_laws(world)
    attach_archive(world, "town")
    with Checkpointer(world, "town", every=days(1)):
        world.run(days(365), step=hours(1))

What `find_inactive` tells of leaves at once: `archive` writes it down (`storage.partitions`), and
only then despawns it. `archived` reads the archive, `revive` brings memories back, `recall` looks
into it if asked.

Invariants: a memory is in the tables or in the archive, never in both and never in neither, until
it is forgotten; that holds of the world and of the world of every snapshot, however it came to an
end. A disk that fails leaves memories where they are: the world goes on, with an ArchiveWarning,
and the next day tries again.
Cost: 3.5 µs a memory that leaves, and 3 ms for each partition concerned (bench `archive_out`).
"""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from populace.ecs import Events, World, event, field, i8, system
from populace.ecs.entities import as_ids
from populace.ecs.errors import (
    LockedError,
    ResourceError,
    SettingError,
    SnapshotError,
    StorageError,
)
from populace.storage.archive import BUCKETS, Archive
from populace.storage.claims import Claim
from populace.storage.files import Files, open_files
from populace.storage.keys import Key
from populace.storage.partitions import Partitions

from .archive_links import links_of, told
from .archive_rows import ABOUT, can_leave, rows_of
from .archiving import Inactive

MOST_BUCKETS = 4096
NAME = "archive"


class ArchiveWarning(UserWarning):
    """Memories that could not be written down; they stay in the tables, and the world goes on."""


@event
class Archived:
    """So many memories went to the archive at once."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    count: i8 = field(doc="memories")


class AttachedArchive:
    """Where the archive of a world lies. Made by `attach_archive`; good until it is closed, or the
    world is gone."""

    def __init__(self, files: Files, key: Key | None, archive: Archive) -> None:
        self.partitions = Partitions(files, key)
        self.claims = [Claim(files, archive.kept())]
        try:
            missing = self.partitions.missing(archive)
            if missing:
                raise SnapshotError(
                    f"{files.location}: lacks {len(missing):,} of the files of this world's "
                    f"archive, {missing[0]} among them; attach it where they are, and "
                    f"copy_archive(world, destination) brings them elsewhere"
                )
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<AttachedArchive in {self.partitions.files.location}>"

    def __enter__(self) -> AttachedArchive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def claim(self) -> Claim:
        """To the files that the world cannot do without. Raises ResourceError once closed."""
        if not self.claims:
            raise ResourceError(f"{self!r} is closed; attach_archive(world, ...) opens it again")
        return self.claims[0]

    def close(self) -> None:
        """Leave the archive to others; what no snapshot names of it may be deleted from then on.
        Twice does no harm."""
        while self.claims:
            self.claims.pop().release()


_attached: WeakKeyDictionary[World, AttachedArchive] = WeakKeyDictionary()


def attach_archive(
    world: World,
    destination: Any,
    *,
    key: Key | None = None,
    buckets: int = BUCKETS,
    archiving: bool = True,
) -> AttachedArchive:
    """Let a world have its archive in a directory of snapshots, its own or one to be.

    destination: as `save` takes it; one with the files that the world's archive has already. key:
    encrypts the files. buckets: over which agents are spread, of a new archive. archiving: inactive
    memories leave, by the system `archive`, which stands right after `find_inactive`, whose order
    with all other systems stays as it is; without it `archive_memories` alone moves any.

    A world that was loaded is attached again, as its systems are added again. Close it after the
    last snapshot; an object that is dropped closes with the world.

    Raises LockedError where a world of another process archives there, SnapshotError where files
    are missing, ResourceError for a world that is attached already, StorageError, SettingError.
    """
    if isinstance(buckets, bool) or not isinstance(buckets, int) or not 0 < buckets <= MOST_BUCKETS:
        raise SettingError(f"an archive has 1 to {MOST_BUCKETS:,} buckets, got {buckets!r}")
    held = _attached.get(world)
    if held is not None and held.claims:
        raise ResourceError(f"this world has its archive attached: {held!r}; close that first")
    files = destination if isinstance(destination, Files) else open_files(destination)
    known = Archive in world.resources
    archive = world.resource(Archive) if known else Archive(buckets=buckets)
    made = AttachedArchive(files, key, archive)
    if archiving and NAME not in world.schedule.entries:
        try:
            _add_system(world)
        except BaseException:
            made.close()
            raise
    if not known:
        world.insert(archive)
    _attached[world] = made
    return made


def _add_system(world: World) -> None:
    """Right after `find_inactive`, whether that is there already or will be."""
    plan = [entry.name for stage in world.schedule.stages().get("last", ()) for entry in stage]
    later = plan[plan.index("find_inactive") + 1 :] if "find_inactive" in plan else []
    world.add_system(archive_inactive, after="find_inactive", before=tuple(later))


def attached_archive(world: World) -> AttachedArchive:
    """Where a world's archive lies. Raises ResourceError for a world that has none attached."""
    held = _attached.get(world)
    if held is None or not held.claims:
        raise ResourceError(
            "this world has no archive attached; attach_archive(world, destination) does that"
        )
    return held


def archive_memories(world: World, ids: Any) -> int:
    """Let memories leave for the archive now; return how many did.

    ids: memories, each once or more. `Pinned` ones stay, as do those without a `Trace` or whose
    agent has no number, and those with a component of yours that names another entity.

    Raises DeadEntityError, ResourceError without an archive, StorageError and LockedError; then all
    is as it was.
    """
    world.store.guard("archive_memories")
    held, archive = attached_archive(world), world.resource(Archive)
    claim = held.claim
    with world.store.moment:
        asked = np.sort(as_ids(ids))  # np.unique takes ten times as long for ids
        asked = asked[np.append(True, asked[1:] != asked[:-1])[: asked.size]]
        going = asked[can_leave(world, asked)]
        if not going.size:
            return 0
        rows, components = rows_of(world, going, archive.components)
        rows |= told(links_of(world, going), rows)
        change = held.partitions.write(archive, rows, claim, ABOUT)
        try:
            world.despawn(going)
        except BaseException:
            held.partitions.take_back(change.added, claim)
            raise
        archive.replace(change.gone, change.added)
        archive.components = components
        claim.names = frozenset(archive.kept())
    world.telemetry.count("archived", going.size)
    world.emit(Archived(time=world.clock.now, count=going.size))
    return int(going.size)


@system(name=NAME, phase="last")
def archive_inactive(world: World, inactive: Events[Inactive]) -> None:
    """Let inactive memories leave, if the world has an archive attached."""
    held = _attached.get(world)
    if not inactive.memory.size or held is None or not held.claims:
        return
    try:
        archive_memories(world, inactive.memory[world.alive(inactive.memory)])
    except (StorageError, LockedError, SnapshotError) as error:
        warnings.warn(
            f"inactive memories stay where they are: {error}", ArchiveWarning, stacklevel=2
        )


def copy_archive(world: World, destination: Any) -> int:
    """Copy the files of a world's archive to another directory, so that the world can be saved
    there; return how many were not there yet.

    They stay until the archive is closed, and longer if a snapshot names them. Raises
    ResourceError, StorageError, LockedError, and SnapshotError for a file that is damaged.
    """
    held, archive = attached_archive(world), world.resource(Archive)
    files = destination if isinstance(destination, Files) else open_files(destination)
    claim = Claim(files, archive.kept())
    held.claims.append(claim)
    return Partitions(files).copy(held.partitions, archive, claim)
