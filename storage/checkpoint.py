"""Snapshots of a world while it runs.

    with Checkpointer(world, "town", every=days(1), keep=3):
        world.run(days(30), step=hours(1))

At the end of a step that is due the world stands still while its columns are brought up to date in
a copy (`base.py`); then it goes on, and a thread writes from the copy what has changed since the
last snapshot, and now and then everything.

Invariants: a snapshot shows the world between two steps. One is written at a time: which moments
of simulated time are saved depends on the world alone, not on how quick the disk is. A write that
fails leaves every snapshot as it was, the world goes on, and the next one holds what the failed one
would have held.
Cost: the persisted columns a second time in memory; the pause of a look; a thread.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from populace.ecs import World
from populace.ecs.errors import PopulaceError, SnapshotError
from populace.ecs.image import Image
from populace.ecs.text import Prefix

from . import manifest as m
from .base import Base, Look, Rows
from .keys import Key
from .snapshot import THREADS, Collected, Destination, Snapshots
from .writing import Delta, FrozenResources, check_writing, checked_about, freeze_resources


class CheckpointWarning(UserWarning):
    """A snapshot that could not be written; the world goes on."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One snapshot that was written.

    pause_s: wall time for which the world stood still. write_s: of writing, in the background.
    waited_s: for the one before to be written, after which the pause begins. bytes: written; shared
    files do not count. opened_bytes: of the columns that may have changed, which is what the pause
    goes through.
    """

    number: int
    tick: int
    now_us: int
    full: bool
    rows: int
    bytes: int
    opened_bytes: int
    waited_s: float
    pause_s: float
    write_s: float


@dataclass(frozen=True, slots=True)
class _Committed:
    """What the newest snapshot was made of."""

    look: Look
    frozen: FrozenResources
    manifest: m.Manifest


def _outline(image: Image) -> tuple[Any, ...]:
    """All of an image but what its columns and resources hold."""
    return (
        image.components,
        [(table.components, table.number, table.n) for table in image.tables],
        image.generations.size,
        image.texts.mark if isinstance(image.texts, Prefix) else len(image.texts),
        [(q.event, q.next, q.before_step, len(q.batches)) for q in image.queues],
        [(journal.event, journal.n, journal.cursor) for journal in image.journals],
        image.cursors,
        image.counts,
        image.tracked,
        image.caches,
    )


class Checkpointer:
    """Saves a world at the end of steps, until it is closed. It is the one writer of its directory.

    every: simulated µs; a snapshot is due where a multiple of it is passed, and the world waits for
    the one before if it must. every_s: wall seconds since the last; while one is being written none
    is due. With neither, `save` alone saves. keep: so many full snapshots are kept, and the
    deltas since the oldest of them; None keeps all. full_every: every so many snapshots one is
    full; the others are deltas. on_saved: called with each `Saved`, on the writing thread.
    on_progress: called with (files written, files in all) meanwhile. threads: of the copy and of
    writing. key, compression, about: as `save` takes them. saved, paused_s: what was written, and
    for how long the world stood still, so far.

    Raises LockedError where another process writes there, StorageError, SnapshotError for settings
    that make no sense.
    """

    def __init__(
        self,
        world: World,
        destination: Destination,
        *,
        every: int | None = None,
        every_s: float | None = None,
        keep: int | None = None,
        full_every: int = 16,
        key: Key | None = None,
        compression: str | None = None,
        about: Mapping[str, Any] | None = None,
        threads: int = THREADS,
        on_saved: Callable[[Saved], object] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> None:
        for name, value in (("every", every), ("every_s", every_s), ("keep", keep),
                            ("full_every", full_every)):  # fmt: skip
            if value is not None and not value > 0:
                raise SnapshotError(f"a Checkpointer's {name} is > 0 or left out, got {value!r}")
        check_writing(threads, compression)
        self.world = world
        self.snapshots = Snapshots(destination, key=key)
        self.every, self.every_s, self.keep, self.full_every = every, every_s, keep, full_every
        self.about = checked_about(about)
        self.saved: list[Saved] = []
        self.paused_s = 0.0
        self.failure: Exception | None = None
        self._compression, self._threads = compression, threads
        self._on_saved, self._on_progress = on_saved, on_progress
        self.snapshots.files.acquire()
        try:
            self.snapshots.clear_leftovers()
            self._base = Base(world, threads)
        except BaseException:
            self.snapshots.files.release()
            raise
        self._committed: _Committed | None = None
        self._since_full = 0
        self._told: Exception | None = None
        self._troubles: list[str] = []
        self._closed = False
        self._writing = 0  # the thread that writes
        self._last_now, self._last_wall = world.clock.now, perf_counter()
        self._job: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, "populace-checkpoint")
        self._cancel = world.on_step(self._after_step)

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:
                raise  # else what went wrong first is what counts

    @property
    def busy(self) -> bool:
        """Whether a snapshot is being written."""
        return self._job is not None and not self._job.done()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the copy holds."""
        return self._base.nbytes

    def save(self) -> Saved:
        """Save now, and wait until it is done.

        Raises StorageError, SnapshotError, also when it is closed, StructuralChangeError while
        commands wait.
        """
        if self._closed:
            raise SnapshotError(
                "this Checkpointer is closed; make another, or use save(world, ...)"
            )
        self.wait()
        self._start()
        self.wait()
        if self.failure is not None:
            self._told = self.failure
            raise self.failure
        return self.saved[-1]

    def finish(self) -> None:
        """Save, unless the newest snapshot shows the world as it is. Raises what `save` does."""
        self.wait()
        if self._committed is None or self.failure or not self._shows_all():
            self.save()

    def _shows_all(self) -> bool:
        """Whether nothing has changed since the newest snapshot."""
        known = self._committed
        assert known is not None
        look = self._base.look()
        return (
            self._base.unchanged_since(known.look.number)
            and _outline(look.image) == _outline(known.look.image)
            and freeze_resources(self.world.resources).same(known.frozen)
        )

    def wait(self) -> None:
        """Until nothing is being written. Raises SnapshotError in a callback of the writing."""
        if threading.get_ident() == self._writing:
            raise SnapshotError(
                "on_saved and on_progress are called while a snapshot is written: they cannot wait "
                "for it, so they must not save, wait for or close their Checkpointer"
            )
        if self._job is not None:
            self._job.result()
            self._job = None

    def close(self) -> None:
        """Finish what is being written, and leave the directory to others. Twice does no harm.

        Raises what the last snapshot failed with, if it did.
        """
        self.wait()
        self._cancel()
        self._closed = True
        self._writer.shutdown()
        self._base.close()
        self.snapshots.files.release()
        if self.failure is not None and self.failure is not self._told:
            self._told = self.failure
            raise self.failure

    # -- when ------------------------------------------------------------------------------------

    def _after_step(self, world: World) -> None:
        now, before = world.clock.now, self._last_now
        self._last_now = now
        passed = self.every is not None and now // self.every != before // self.every
        late = self.every_s is not None and perf_counter() - self._last_wall >= self.every_s
        if passed or (late and not self.busy):
            begin = perf_counter()
            self.wait()
            self._tell()
            try:
                self._start(perf_counter() - begin)
            except Exception as error:
                self.failure = error
                self._tell()

    def _tell(self) -> None:
        """Warn of what failed in the background, once, on the thread of the world."""
        if self.failure is not None and self.failure is not self._told:
            self._told = self.failure
            self._troubles.append(str(self.failure))
        while self._troubles:
            warnings.warn(self._troubles.pop(0), CheckpointWarning, stacklevel=4)

    # -- how -------------------------------------------------------------------------------------

    def _start(self, waited_s: float = 0.0) -> None:
        begin = perf_counter()
        look = self._base.look()
        frozen = freeze_resources(self.world.resources)
        # Not on the writing thread: it would wait for a step that may be waiting for it.
        found = self.snapshots.collect_indices(self.world, always=False)
        self._last_wall = perf_counter()
        pause_s = self._last_wall - begin
        self.paused_s += pause_s
        self._job = self._writer.submit(self._write, look, frozen, found, waited_s, pause_s)

    def _write(
        self,
        look: Look,
        frozen: FrozenResources,
        found: Collected,
        waited_s: float,
        pause_s: float,
    ) -> None:
        begin = perf_counter()
        self._writing = threading.get_ident()
        try:
            delta = self._delta(look)
            manifest = self.snapshots.write(
                look.image,
                delta=delta,
                resources=frozen,
                about=self.about,
                compression=self._compression,
                threads=self._threads,
                on_progress=self._on_progress,
            )
            self._committed = _Committed(look, frozen, manifest)
            self._since_full = 0 if delta is None else self._since_full + 1
            own = f"/{manifest.number:010d}-"
            done = Saved(
                number=manifest.number,
                tick=manifest.tick,
                now_us=manifest.now_us,
                full=delta is None,
                rows=manifest.rows,
                bytes=sum(file.bytes for name, file in manifest.files.items() if own in name),
                opened_bytes=look.opened_bytes,
                waited_s=waited_s,
                pause_s=pause_s,
                write_s=perf_counter() - begin,
            )
            self.failure = None
            self.saved.append(done)
            if self.keep is not None:
                self._prune(self.keep)
            self._write_indices(found)
            if self._on_saved is not None:
                self._on_saved(done)
        except Exception as error:  # the world goes on; `_tell`, `save` and `close` say so
            self.failure = error
        finally:
            self._writing = 0  # the number of a thread that has ended goes to another

    def _prune(self, keep: int) -> None:
        """Delete old snapshots; where that fails, the new one is there all the same."""
        try:
            self.snapshots.prune_locked(keep)
        except PopulaceError as error:
            self._troubles.append(f"old snapshots are not deleted: {error}")

    def _write_indices(self, found: Collected) -> None:
        """Write down vector indices that have changed; where that fails, the snapshot is there."""
        try:
            self.snapshots.write_indices(found)
        except PopulaceError as error:
            self._troubles.append(f"no vector index is saved: {error}")

    def _delta(self, look: Look) -> Delta | None:
        """What a snapshot of a look can build on; None where it is to be full."""
        if self._committed is None or self._since_full + 1 >= self.full_every:
            return None
        base, after = self._base, self._committed.look.number

        def changed(components: tuple[type, ...], place: int) -> Rows:
            return base.tables[components][place].changed(after)

        texts, before = look.image.texts, self._committed.look.image.texts
        given = None
        if isinstance(texts, Prefix) and isinstance(before, Prefix):
            given = texts.given_since(before.mark)
        marks = base.generation_marks[: look.image.generations.size]
        return Delta(
            self._committed.manifest,
            self._committed.frozen.arrays,
            changed,
            np.flatnonzero(marks > after),
            given,
        )
