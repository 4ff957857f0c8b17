"""The files of an archive: rows in, durably; rows out, checked.

Rows are columns of one length, arrays or object arrays of str. Every row has these:

    agent           u4   the number of its agent, whose bucket it is in
    agent_entity    u8   the agent's entity, which no other ever is
    sequence        u4   its place among the agent's rows; with `agent_entity` it names the row
    created         i8   µs since 1970, the month it is in

Within a file rows are in the order of agent and sequence. Each writing makes one file for each
partition concerned, and takes up its newest files into that one while they are less than twice as
long: so each file has at least twice the rows of the next, and a partition few files.

Invariants: what was written is on disk for good when `write` returns; where it raises, nothing
counts that did not before. No row is read that was not compared with its SHA-256.
Cost: 3 µs a row to write, mostly strings, and 3 ms a file; to read 0.3 µs a row and column of
strings, less for numbers, and 0.5 ms a file (bench `archive_*`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs.errors import KeyMismatchError, LockedError, SnapshotError, StorageError

from .archive import ARCHIVE, Archive, ArchiveFile, file_name, months_of
from .claims import Claim
from .columns import decode, encode
from .files import Files
from .keys import Key

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
About = Mapping[str, Mapping[str, str]]

COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Change:
    """What a writing has done: the files that it wrote, and by number those that they replace."""

    added: tuple[ArchiveFile, ...]
    gone: tuple[int, ...]


class Partitions:
    """The archive's files in one directory. key: for those that are encrypted."""

    def __init__(self, files: Files, key: Key | None = None) -> None:
        self.files, self.key = files, key

    # -- reading -----------------------------------------------------------------------------------

    def checked(self, file: ArchiveFile) -> bytes:
        """The bytes of a file, which are those that were written. Raises SnapshotError."""
        where = f"{self.files.location}/{file.name}"
        data = self.files.read(file.name, size_limit=file.size)
        if len(data) != file.size:
            raise SnapshotError(
                f"{where}: has {len(data):,} bytes of {file.size:,}; it was cut short"
            )
        if hashlib.sha256(data).digest() != file.sha256:
            raise SnapshotError(
                f"{where}: is not what the archive says was written: it is damaged, or was changed "
                f"since"
            )
        return data

    def decoded(
        self, file: ArchiveFile, data: bytes, names: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Columns of a file's bytes, by default all. Raises SnapshotError, KeyMismatchError."""
        key = self.key if file.sealed else None
        found = decode(data, names, file=file.name, key=key, rows=file.rows)
        return {name: _column(values) for name, values in found.items()}

    def read(self, file: ArchiveFile, names: Sequence[str] | None = None) -> dict[str, Array]:
        """Columns of a file, rows that have come back included."""
        return self.decoded(file, self.checked(file), names)

    def missing(self, archive: Archive) -> list[str]:
        """The files that are not there, by name. A listing."""
        kept = archive.kept()
        return sorted(kept.keys() - self.files.names(ARCHIVE)) if kept else []

    # -- writing -----------------------------------------------------------------------------------

    def write(self, archive: Archive, rows: Columns, claim: Claim, about: About) -> Change:
        """Write rows to their partitions; `archive.replace` then makes them count.

        claim: names the new files before they are there. about: by column, what to tell readers.
        Raises StorageError, LockedError; then the new files are deleted, if that can be done.
        """
        month = months_of(rows["created"])
        bucket = (rows["agent"] % archive.buckets).astype(np.int32)
        order = np.lexsort((bucket, month))
        moved = (np.diff(month[order]) != 0) | (np.diff(bucket[order]) != 0)
        added: list[ArchiveFile] = []
        gone: list[int] = []
        parts = np.split(order, np.flatnonzero(moved) + 1)
        try:
            with claim.writing() as folder:
                for place, part in enumerate(parts):
                    at = int(month[part[0]]), int(bucket[part[0]])
                    taken, merged = self._taken_up(archive, *at, part.size)
                    gone += taken
                    own = {name: column[part] for name, column in rows.items()}
                    whole = joined([*merged, own])
                    file, data = self._file(archive.written + place, *at, whole, about)
                    claim.names |= {file.name}
                    added.append(file)
                    _put(folder, file.name, data, last=place == len(parts) - 1)
        except BaseException:
            self.take_back(added, claim)
            raise
        return Change(tuple(added), tuple(gone))

    def take_back(self, added: Collection[ArchiveFile], claim: Claim) -> None:
        """Delete files that do not count after all; those that the disk keeps are nobody's."""
        for file in added:
            with suppress(StorageError, LockedError):
                self.files.delete(file.name)
        claim.names = claim.names.difference(file.name for file in added)

    def copy(self, origin: Partitions, archive: Archive, claim: Claim) -> int:
        """Bring an archive's files that are missing here from where they are; return how many.

        claim: to these files, here. Raises StorageError, LockedError, and SnapshotError for a file
        that is damaged there.
        """
        files = {file.name: file for file in archive.files()}
        with claim.writing() as folder:
            missing = self.missing(archive)
            for name in missing:
                _put(folder, name, origin.checked(files[name]), last=name == missing[-1])
        return len(missing)

    def _taken_up(
        self, archive: Archive, month: int, bucket: int, n: int
    ) -> tuple[list[int], list[dict[str, Array]]]:
        """Numbers and rows of a partition's files that go into the next one, which has n rows.

        One that cannot be read stays as it is, for whoever needs it to be told.
        """
        numbers: list[int] = []
        found: list[dict[str, Array]] = []
        for file in archive.partition(month, bucket):
            counting = archive.counting(file)
            n_counting = int(counting.sum())
            if n_counting >= 2 * n:
                break
            try:
                columns = self.read(file)
            except (SnapshotError, StorageError, KeyMismatchError):
                break
            numbers.append(file.number)
            found.append({name: column[counting] for name, column in columns.items()})
            n += n_counting
        return numbers, found[::-1]

    def _file(
        self, number: int, month: int, bucket: int, rows: Columns, about: About
    ) -> tuple[ArchiveFile, Any]:
        """A file of these rows, and its bytes."""
        agent = rows["agent"]
        order = np.lexsort((rows["sequence"], rows["agent_entity"], agent))
        rows = {name: column[order] for name, column in rows.items()}
        token = int.from_bytes(os.urandom(8))
        name = file_name(number, month, bucket, token)
        data = encode(
            {name: c.tolist() if c.dtype == object else c for name, c in rows.items()},
            file=name,
            key=self.key,
            compression=COMPRESSION,
            metadata=about,
        )
        file = ArchiveFile(
            number=number,
            month=month,
            bucket=bucket,
            rows=agent.size,
            first=int(agent.min()),
            last=int(agent.max()),
            content=_digest(rows),
            token=token,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            sealed=self.key is not None,
        )
        return file, data


def _put(folder: Files, name: str, data: Any, last: bool) -> None:
    """Write a file; after the last one all are on disk for good."""
    put = folder.publish if last else folder.write
    put(name.removeprefix(f"{ARCHIVE}/"), data)


def joined(parts: Sequence[Columns]) -> dict[str, Array]:
    """The rows of all parts; where one lacks a column, its rows have "", 0 or False there."""
    if len(parts) == 1:
        return dict(parts[0])
    like = {name: column for part in parts for name, column in part.items()}
    return {
        name: np.concatenate(
            [part[name] if name in part else _blank(column, len(part["agent"])) for part in parts]
        )
        for name, column in like.items()
    }


def _blank(like: Array, n: int) -> Array:
    if like.dtype == object:
        return np.full(n, "", object)
    return np.zeros((n, *like.shape[1:]), like.dtype)


def _column(values: Any) -> Array:
    """A decoded column; strings as an array of objects."""
    if isinstance(values, np.ndarray):
        return values
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _digest(rows: Columns) -> bytes:
    """A digest of the rows, however they are encoded."""
    total = hashlib.sha256()
    for name, column in sorted(rows.items()):
        if column.dtype == object:
            texts = column.tolist()
            whole = "\0".join(texts)
            if whole.count("\0") >= len(texts) > 0:  # a text has some: tell where each ends
                whole += repr([len(text) for text in texts])
            data = whole.encode("utf-8", "surrogatepass")
        else:
            data = np.ascontiguousarray(column).tobytes()
        total.update(f"{name} {column.dtype.str} {column.shape} {len(data)} ".encode())
        total.update(data)
    return total.digest()
