"""A directory of files, written by one process at a time: the contract, and the local one.

Invariants: a file is there whole or not at all. What `publish` names is there only when all that
was written before it would outlive a loss of power; deletions reach the disk in the order of their
folders. Names come from manifests, which nobody vouches for: none leads out of the directory.
A lock dies with its process, however that dies.
Cost of `write` beyond the disk's own speed: one fsync, 0.2 ms on a virtual disk (100 files of
10 kB: 22 ms; 5 of 100 MB: 0.27 s, 0.10 s without). One fsync for several files, at the end, took
0.8 to 1 times as long, and would lose errors that the system reports once.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from populace.ecs.errors import LockedError, SnapshotError, StorageError

from .disk import Disk

if TYPE_CHECKING:
    import pyarrow as pa

LOCK = ".lock"
TEMPORARY = ".writing-"

READ = os.O_RDONLY | os.O_NONBLOCK  # does not wait where somebody has put a pipe
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
OWN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW


class Files(ABC):
    """What a directory of files can do, wherever it lies.

    Names are relative and posix: "data/0000000001-x.parquet"; see `checked_name`. Any process may
    read at any time; one that writes or deletes holds the lock. Whatever disk or store refuses
    raises StorageError, with `errno`, path and cause; files that were there before are untouched.
    """

    location: str
    """The directory's path or URI, for messages."""

    @abstractmethod
    def write(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """Write a whole file, in place of one of that name; no reader ever sees a part of it.

        It would outlive a loss of power when the next `publish` returns.
        """

    @abstractmethod
    def publish(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """Write the file that makes what was written before it count: the commit.

        When it returns, this file and all before it would outlive a loss of power; until then no
        reader sees it, whatever the order in which the disk writes.
        """

    @abstractmethod
    def read(self, name: str, size_limit: int | None = None) -> bytes:
        """A whole file. Raises SnapshotError where it is missing, or above `size_limit` bytes."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """The full names of all files below a folder, sorted; [] where there is no such folder.

        The lock and what is being written are not among them.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is deleted already."""

    @abstractmethod
    def acquire(self) -> None:
        """Become the one who writes. Raises LockedError, which says who that is, if another is."""

    @abstractmethod
    def release(self) -> None:
        """Let others write; nothing happens if this object does not hold the lock."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """`with files.lock():` holds the lock for the block. Raises as `acquire`."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @abstractmethod
    def sweep_temporaries(self) -> int:
        """Delete what a crash left half-written; return how many files that was.

        Raises LockedError unless this object holds the lock: it might be another's, half-written.
        """

    def local_path(self, name: str) -> Path | None:
        """Where an engine that opens files itself finds this one, or None if it cannot."""
        return None

    @abstractmethod
    def below(self, folder: str) -> Files:
        """The same files from a folder of the directory on, with a lock of their own."""


class LocalFiles(Files):
    """A directory of a local file system; made, with its parents, when first written to.

    One object may be used from several threads, except for `publish`, which waits for nobody.
    """

    def __init__(self, path: str | Path, disk: Disk | None = None) -> None:
        self.path = Path(path).absolute()  # a program may change its directory
        self.location = str(path)
        self._disk = disk or Disk()
        self._unsynced: set[Path] = set()  # folders in which names have come or gone
        self._lock: int | None = None
        self._process = 0

    def write(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """Write a whole file: under a temporary name, fsynced, renamed."""
        path = self._path(name)
        temporary = path.with_name(TEMPORARY + path.name)
        with _refused("write", path):
            self._make_folder(path.parent)
            try:
                self._fill(temporary, memoryview(data).cast("B"))
                self._disk.rename(temporary, path)
            except BaseException:
                with suppress(OSError):
                    self._disk.remove(temporary)
                raise
        self._unsynced.add(path.parent)

    def publish(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """fsync the folders of all files written so far, then write this one and fsync its own.

        If that last fsync fails, the file is taken back if it is new.
        """
        path = self._path(name)
        self._sync_folders(self._unsynced)
        new = not path.exists()
        self.write(name, data)
        try:
            self._sync_folders(self._unsynced)
        except StorageError:
            if new:
                with suppress(OSError):
                    self._disk.remove(path)
            raise

    def read(self, name: str, size_limit: int | None = None) -> bytes:
        """A whole file, in one read; never mapped, since a map dies of what a read reports."""
        path = self._path(name)
        with _refused("read", path):
            try:
                fd = self._disk.open(path, READ)
            except (FileNotFoundError, NotADirectoryError):
                raise SnapshotError(f"{path}: is missing") from None
            try:
                found = self._disk.stat(fd)
                if not stat.S_ISREG(found.st_mode):
                    raise SnapshotError(f"{path}: is not a file")
                check_size(str(path), found.st_size, size_limit)
                return self._read(fd, found.st_size)
            finally:
                self._disk.close(fd)

    def names(self, folder: str = "") -> list[str]:
        """The full names of all files below a folder, sorted. Folders behind symlinks are not."""
        top = self._path(folder) if folder else self.path
        return sorted(
            str(path.relative_to(self.path))
            for path in self._files(top)
            if not is_temporary(path.name) and path != self.path / LOCK
        )

    def delete(self, name: str) -> None:
        """Delete a file, after what was deleted from other folders is gone for good.

        So a manifest deleted before its data never comes back without them.
        """
        path = self._path(name)
        self._sync_folders(self._unsynced - {path.parent})
        with _refused("delete", path):
            try:
                self._disk.remove(path)
            except (FileNotFoundError, NotADirectoryError):
                return
        self._unsynced.add(path.parent)

    def acquire(self) -> None:
        """Lock the file `.lock`, by flock. Raises LockedError if another object has."""
        path = self.path / LOCK
        if self._lock is not None:
            raise LockedError(f"{self.location}: is locked by this object already")
        with _refused("lock", path):
            self._make_folder(self.path)
            fd = self._disk.open(path, OWN)
            try:
                self._disk.lock(fd)
                self._disk.truncate(fd)
                self._disk.write(fd, memoryview(json.dumps(this_process()).encode()))
            except BlockingIOError:
                holder = described(self._disk.read(fd, 1000))
                self._disk.close(fd)
                raise LockedError(
                    f"{self.location}: {holder} writes to it; wait until it is done, or write to "
                    f"another directory"
                ) from None
            except BaseException:
                self._disk.close(fd)
                raise
        self._lock, self._process = fd, os.getpid()

    def release(self) -> None:
        """Give the lock back; the file stays, since to delete it would race with who opens it."""
        if self._lock is not None:
            fd, self._lock = self._lock, None
            with _refused("unlock", self.path / LOCK):
                try:
                    if self._process == os.getpid():  # a forked child must not let go of it
                        self._disk.unlock(fd)
                finally:
                    self._disk.close(fd)

    def sweep_temporaries(self) -> int:
        """Delete every file with a temporary name."""
        if self._lock is None:
            raise LockedError(f"{self.location}: acquire the lock before sweeping")
        left = [path for path in self._files(self.path) if is_temporary(path.name)]
        for path in left:
            with _refused("delete", path):
                self._disk.remove(path)
        return len(left)

    def local_path(self, name: str) -> Path:
        """Its path."""
        return self._path(name)

    def below(self, folder: str) -> LocalFiles:
        """A folder of this directory, on the same disk."""
        return LocalFiles(self._path(folder), self._disk)

    def _path(self, name: str) -> Path:
        """The path of a name that does not lead out of the directory."""
        path = self.path / checked_name(name, self.location)
        top = os.path.realpath(self.path)
        if os.path.commonpath((top, os.path.realpath(path))) != top:
            raise SnapshotError(f"{path}: leads out of the directory through a symlink")
        return path

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents where they are missing."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with suppress(FileExistsError):
            self._disk.mkdir(folder)
        self._unsynced.add(folder.parent)

    def _fill(self, path: Path, data: memoryview) -> None:
        """Write and fsync a new file, however little of it the system takes at a time."""
        fd = self._disk.open(path, WRITE)
        try:
            rest = data
            while rest and (n := self._disk.write(fd, rest)):
                rest = rest[n:]
            self._disk.fsync(fd)
            size = self._disk.stat(fd).st_size
            if size != len(data):
                raise OSError(errno.EIO, f"{size:,} of {len(data):,} bytes arrived")
        finally:
            self._disk.close(fd)

    def _read(self, fd: int, size: int) -> bytes:
        """At most that many bytes: one read, but for files above 2 GB."""
        parts = []
        while size and (part := self._disk.read(fd, size)):
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _sync_folders(self, folders: set[Path]) -> None:
        for folder in sorted(folders):
            with _refused("write", folder):
                self._disk.fsync_folder(folder)
            self._unsynced.discard(folder)

    def _files(self, folder: Path) -> Iterator[Path]:
        """Every file below a folder."""
        with _refused("list", folder):
            try:
                entries = self._disk.entries(folder)
            except FileNotFoundError:
                return
        for name, is_folder, is_file in entries:
            if is_folder:
                yield from self._files(folder / name)
            elif is_file:
                yield folder / name


def open_files(destination: str | Path | tuple[Any, str]) -> Files:
    """The files at a path, at a URI such as "s3://bucket/prefix?region=eu-west-1", or at a pair of
    a pyarrow.fs.FileSystem and a path in it.

    Raises StorageError for a URI that pyarrow cannot open. Nothing is read or written yet.

    >>> from populace.storage.files import open_files
    >>> open_files("runs/today").location
    'runs/today'
    """
    if isinstance(destination, tuple) or "://" in str(destination):
        from .objects import open_objects

        return open_objects(destination)
    return LocalFiles(destination)


def checked_name(name: str, location: str) -> str:
    """The name, if it is one: relative, posix, without empty parts, ".", ".." or reserved names.

    Raises SnapshotError.
    """
    parts = name.split("/") if isinstance(name, str) else [""]
    wrong = (
        any(part in ("", ".", "..") or part.startswith(TEMPORARY) for part in parts)
        or name == LOCK
        or not name.isprintable()
        or "\\" in name
    )
    if wrong:
        raise SnapshotError(
            f'{location}: {name!r} is not the name of a file in it; one is like "data/7.parquet"'
        )
    return name


def is_temporary(name: str) -> bool:
    """Whether a file is being written, or was when its writer died."""
    return name.rpartition("/")[2].startswith(TEMPORARY)


def check_size(path: str, size: int, limit: int | None) -> None:
    """Raise SnapshotError for a file of more bytes than the limit."""
    if limit is not None and size > limit:
        raise SnapshotError(f"{path}: has {size:,} bytes where at most {limit:,} are expected")


def this_process() -> dict[str, Any]:
    """Who holds a lock, for others to read."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def described(holder: bytes) -> str:
    """Who holds a lock, in words."""
    try:
        told = json.loads(holder)
        return f"process {int(told['pid'])} on {told['host']} (since {told['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def _refused(doing: str, path: Path) -> Iterator[None]:
    """What the system refuses, as a StorageError that says what it was asked to do."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            error.errno, f"cannot {doing}: {error.strerror or error}", str(path)
        ) from error
