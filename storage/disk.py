"""The calls to the operating system that storage makes, one method each, and nothing else.

A test stands in for it to make any single call fail or fall short, or to stop the world there:
after a crash that it pretends, every later call must fail too, the removal of temporary files
included.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path


class Disk:
    """The real one. Every method raises OSError where the system refuses."""

    def open(self, path: Path, flags: int) -> int:
        """A file descriptor."""
        return os.open(path, flags | os.O_CLOEXEC, 0o666)

    def close(self, fd: int) -> None:
        """Close a file; the lock on it, if any, goes with it."""
        os.close(fd)

    def read(self, fd: int, n: int) -> bytes:
        """At most n bytes; none at the end of the file."""
        return os.read(fd, n)

    def write(self, fd: int, data: memoryview) -> int:
        """How many of the bytes were taken, from the first on."""
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        """Return when what was written to a file would outlive a loss of power."""
        os.fsync(fd)

    def fsync_folder(self, path: Path) -> None:
        """The same for the names in a folder; file systems that cannot (EINVAL) need not."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(fd)

    def stat(self, fd: int) -> os.stat_result:
        """Kind and size of an open file."""
        return os.fstat(fd)

    def truncate(self, fd: int) -> None:
        """Make an open file empty."""
        os.ftruncate(fd, 0)

    def lock(self, fd: int) -> None:
        """Lock an open file for this process alone; BlockingIOError where another has it."""
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(self, fd: int) -> None:
        """Undo `lock`, also for child processes that have inherited the file."""
        fcntl.flock(fd, fcntl.LOCK_UN)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its name at one stroke, in place of one that had it."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        os.mkdir(path)

    def entries(self, path: Path) -> list[tuple[str, bool, bool]]:
        """(name, whether a folder, whether a file) of all in a folder; a symlink is neither."""
        with os.scandir(path) as found:
            return [
                (e.name, e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False))
                for e in found
            ]
