"""What of a world lies in its archive: which files count, and which of their rows have come back.

    DIR/archive/month=2023-02/bucket=3/0000000007-9f2c51d0a4b7e836.parquet

A row lies in the partition of the month in which it was created and of its agent's number modulo
the number of buckets. Files are never changed, and count for a world only if its `Archive` lists
them. That is a resource, so a snapshot holds it, and names the files: whatever snapshot is loaded,
its world has the rows in its tables and those in its archive that it had then, each in one place.

Invariants: files are listed in the order of their numbers, which are never used twice; a row that
has come back is listed once; what the list says of a file that is on disk is true of it.
Cost: a snapshot writes 130 bytes a file, and 8 a row that has come back, and names the files, 4 µs
each of the world's time.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import manifest as m

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

ARCHIVE: Final = "archive"
BUCKETS: Final = 16
NAME: Final = re.compile(
    rf"{ARCHIVE}/month=-?[0-9]{{4,}}-[0-9]{{2}}/bucket=[0-9]+/[0-9]{{10}}-[0-9a-f]{{16}}\.parquet"
)
FAR: Final = 2**62
"""Times so far before or after 1970 are in the partitions of that time: numpy knows no month."""


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file: `rows` rows of agents numbered from `first` to `last`.

    number: the how manieth that the world wrote. month: since January 1970. content: a digest of
    the rows. token: chance, so that no other world's file has the name. size: bytes. sealed: it is
    encrypted.
    """

    number: int
    month: int
    bucket: int
    rows: int
    first: int
    last: int
    content: bytes
    token: int
    size: int
    sha256: bytes
    sealed: bool

    @property
    def name(self) -> str:
        """Its name in the directory of snapshots."""
        return file_name(self.number, self.month, self.bucket, self.token)


def file_name(number: int, month: int, bucket: int, token: int) -> str:
    """The name of a file of an archive."""
    partition = f"month={_month_name(month)}/bucket={bucket}"
    return f"{ARCHIVE}/{partition}/{number:010d}-{token:016x}.parquet"


@lru_cache(maxsize=1024)
def _month_name(month: int) -> str:
    """2023-02: a snapshot names every file, and numpy takes 3 µs for a month."""
    return str(np.datetime64(month, "M"))


def months_of(created: Array) -> npt.NDArray[np.int32]:
    """(n,) i4: months since January 1970 of times in µs since 1970."""
    near = np.clip(created, -FAR, FAR)
    return near.astype("M8[us]").astype("M8[M]").astype(np.int32)


_U4: Final = partial(np.empty, 0, np.uint32)
_DIGESTS: Final = partial(np.empty, (0, 32), np.uint8)
COLUMNS: Final = tuple(part.name for part in dataclasses.fields(ArchiveFile))


@dataclass(slots=True, eq=False)
class Archive:
    """The archive of a world. A resource; `systems.archive.attach_archive` makes it.

    buckets: agents are spread over so many. written: files so far. number, ..., sealed: the files,
    (f,) each, as `ArchiveFile`s in columns, since a snapshot writes an array a thousand times as
    fast as objects; equal worlds have equal digests, so what chance and encryption have a part in
    does not count as what the archive is. revived: (t, 2) u4, rows that no longer count: number of
    the file, row. links: (l, 3) u8, of memories that came back while the other end was away: entity
    of their agent, sequence of the insight, sequence of the memory that it rests on. components:
    classes whose fields the files have beside the usual ones, by what columns call them.
    """

    buckets: int = BUCKETS
    written: int = 0
    number: Array = field(default_factory=_U4)
    month: Array = field(default_factory=partial(np.empty, 0, np.int32))
    bucket: Array = field(default_factory=_U4)
    rows: Array = field(default_factory=_U4)
    first: Array = field(default_factory=_U4)
    last: Array = field(default_factory=_U4)
    content: Array = field(default_factory=_DIGESTS)
    token: Array = field(default_factory=partial(np.empty, 0, np.uint64), compare=False)
    size: Array = field(default_factory=partial(np.empty, 0, np.int64), compare=False)
    sha256: Array = field(default_factory=_DIGESTS, compare=False)
    sealed: Array = field(default_factory=partial(np.empty, 0, np.bool_), compare=False)
    revived: Array = field(default_factory=partial(np.empty, (0, 2), np.uint32))
    links: Array = field(default_factory=partial(np.empty, (0, 3), np.uint64))
    components: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows are in it."""
        return int(self.rows.sum()) - len(self.revived)

    def __bool__(self) -> bool:
        """True, also of an empty one."""
        return True

    def kept(self) -> dict[str, m.File]:
        """The files that a snapshot of the world has to keep: `writing.KeepsFiles`."""
        return {
            file.name: m.File(file.size, file.sha256.hex()) for file in self._listed(slice(None))
        }

    def files(
        self,
        agents: Array | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> list[ArchiveFile]:
        """The files that may have rows of these agents, (k,) numbers, created in [since, until)."""
        chosen = np.ones(self.number.size, np.bool_)
        if agents is not None:
            asked = np.unique(np.asarray(agents, np.int64))
            chosen &= np.isin(self.bucket, asked % self.buckets)
            begin, end = (
                np.searchsorted(asked, self.first),
                np.searchsorted(asked, self.last, "right"),
            )
            chosen &= begin < end
        if since is not None:
            chosen &= self.month >= months_of(np.array([since]))[0]
        if until is not None:
            chosen &= self.month <= months_of(np.array([until]))[0]
        return self._listed(chosen)

    def partition(self, month: int, bucket: int) -> list[ArchiveFile]:
        """The files of one partition, the newest first."""
        return self._listed((self.month == month) & (self.bucket == bucket))[::-1]

    def counting(self, file: ArchiveFile) -> Mask:
        """(rows,) bool: which rows of a file count."""
        found = np.ones(file.rows, np.bool_)
        found[self.revived[self.revived[:, 0] == file.number, 1]] = False
        return found

    def replace(self, gone: Collection[int], added: Collection[ArchiveFile]) -> None:
        """Files of these numbers no longer count, and others do, which are on disk."""
        stay = ~np.isin(self.number, list(gone))
        for name in COLUMNS:
            column = getattr(self, name)
            new = [getattr(file, name) for file in added]
            if column.ndim == 2:
                new = [np.frombuffer(digest, np.uint8) for digest in new]
            fresh = np.array(new, column.dtype).reshape(-1, *column.shape[1:])
            setattr(self, name, np.concatenate([column[stay], fresh]))
        self.written += len(added)
        self.revived = self.revived[~np.isin(self.revived[:, 0], list(gone))]

    def mark_revived(self, number: Array, row: Array) -> None:
        """Rows, by file number and row, (k,), no longer count; nor files of which none is left."""
        self.revived = np.concatenate([self.revived, np.stack([number, row], 1).astype(np.uint32)])
        files, counts = np.unique(self.revived[:, 0], return_counts=True)
        rows = self.rows[np.searchsorted(self.number, files)]
        self.replace(files[counts == rows].tolist(), ())

    def _listed(self, chosen: Any) -> list[ArchiveFile]:
        columns = [getattr(self, name)[chosen] for name in COLUMNS]
        listed = [
            [digest.tobytes() for digest in column] if column.ndim == 2 else column.tolist()
            for column in columns
        ]
        return [ArchiveFile(*values) for values in zip(*listed, strict=True)]
