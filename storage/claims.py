"""Files of archives that no snapshot names yet, but a running world.

What a world archives is in files from that moment on, and in a manifest only from its next
snapshot. Until then a claim keeps these files from whoever clears the directory of what no manifest
names. Worlds of one process share a lock of the folder `archive`, beside that of the directory,
which comes and goes with those who write snapshots; so no other process clears there meanwhile.

Invariant: a file is deleted only where no manifest names it, no claim of this process, and no
other process has claims.
Cost: a lock when the first claim is made; clearing lists the files, and reads every manifest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from weakref import WeakSet, WeakValueDictionary, finalize

from populace.ecs.errors import LockedError, ResourceError, SnapshotError

from .archive import ARCHIVE, NAME
from .files import Files


class Claim:
    """What one world needs of the files in a directory's archive. It ends with `release`, or when
    nothing refers to it any more.

    names: the files; whoever changes them puts a new set here. Raises LockedError where a world of
    another process archives into the directory, StorageError.
    """

    def __init__(self, files: Files, names: Collection[str] = ()) -> None:
        self.names = frozenset(names)
        with _one_by_one:
            hold = _holds.get(_place(files))
            if hold is None:
                hold = _Hold(files)
                _holds[_place(files)] = hold
            hold.claims.add(self)
        self._hold: _Hold | None = hold

    @contextmanager
    def writing(self) -> Iterator[Files]:
        """The folder `archive`, for one writer of this process at a time: names in it are those of
        the directory without "archive/". Raises ResourceError after `release`."""
        if self._hold is None:
            raise ResourceError("this claim was released; make another one before writing")
        with self._hold.one_by_one:
            yield self._hold.folder

    def release(self) -> None:
        """What it named is nobody's, unless a snapshot names it. Twice does no harm."""
        if self._hold is not None:
            self._hold.claims.discard(self)
            self._hold = None


class _Hold:
    """The lock of one folder, for as long as something refers to this."""

    def __init__(self, files: Files) -> None:
        self.folder = files.below(ARCHIVE)
        self.folder.acquire()
        self.one_by_one = threading.Lock()
        self.claims: WeakSet[Claim] = WeakSet()
        finalize(self, self.folder.release)


_holds: WeakValueDictionary[str, _Hold] = WeakValueDictionary()
_one_by_one = threading.Lock()


def _place(files: Files) -> str:
    """The same for all objects that are the same directory."""
    path = files.local_path(ARCHIVE)
    return files.location if path is None else os.path.realpath(path)


def clear_archive(files: Files, named: Callable[[], Collection[str]]) -> int:
    """Delete the archive's files that nobody names; return how many.

    named: looks up what the manifests name. The lock of the directory must be held, so that there
    is no new one meanwhile. Nothing is deleted while a world of another process archives there.
    Raises StorageError, and what `named` raises.
    """
    there = [name for name in files.names(ARCHIVE) if NAME.fullmatch(name)]
    left = set(there).difference(named()) if there else set()
    if not left:
        return 0
    with _claims(files) as claims:
        if claims is None:
            return 0
        # Listed before it is asked who claims them: a file that came since is not among them.
        left = left.difference(*(claim.names for claim in claims))
        for name in sorted(left):
            files.delete(name)
    return len(left)


@contextmanager
def _claims(files: Files) -> Iterator[list[Claim] | None]:
    """All claims to a directory's archive; None where another process has some."""
    with _one_by_one:
        try:
            hold = _holds.get(_place(files)) or _Hold(files)
        except LockedError:
            hold = None
        yield None if hold is None else list(hold.claims)


def require_kept(files: Files, kept: Collection[str]) -> None:
    """Raise SnapshotError unless the directory has the archive's files that a snapshot is to name.

    Cost: a listing of the archive, where there is one.
    """
    missing = sorted(set(kept).difference(files.names(ARCHIVE))) if kept else []
    if missing:
        raise SnapshotError(
            f"{files.location}: lacks {len(missing):,} files of the world's archive, {missing[0]} "
            f"among them; copy_archive(world, destination) brings them, or save where they are"
        )
