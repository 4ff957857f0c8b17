"""The data files of one snapshot: nothing is believed that is not checked.

Every file is compared with the size and SHA-256 that the manifest gives before it is decoded, and
its columns with what they are said to be.

Invariant: what a file does not say is an error that names the file, never a guess.
Cost: about 50 ns a row of 50 bytes on one thread, hashing included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs.errors import KeyMismatchError, SnapshotError

from . import manifest as m
from .columns import decode
from .describe import StoredField
from .files import Files
from .keys import Key

Array = npt.NDArray[Any]


class DataFiles:
    """The files that a manifest names.

    threads: to decode on. check_key: raise KeyMismatchError for a missing or wrong key; who only
    verifies files needs none.
    """

    def __init__(
        self,
        files: Files,
        manifest: m.Manifest,
        key: Key | None = None,
        threads: int = 1,
        *,
        check_key: bool = True,
    ) -> None:
        self.files, self.manifest, self.key, self.threads = files, manifest, key, threads
        self.where = f"{files.location}/{manifest.name}"
        if check_key:
            self._check_key()

    def _check_key(self) -> None:
        wanted = self.manifest.key
        if wanted is None:
            return
        if self.key is None:
            raise KeyMismatchError(
                f"{self.where}: is encrypted with the key {wanted}; give it as key=, with "
                f"--key-file, or in the environment as POPULACE_KEY"
            )
        if self.key.fingerprint != wanted:
            raise KeyMismatchError(
                f"{self.where}: is encrypted with the key {wanted}, and the one given is "
                f"{self.key.fingerprint}"
            )

    def checked(self, name: str) -> Any:
        """The bytes of a data file, which are those that were written. Raises SnapshotError."""
        entry = self.manifest.files[name]
        data = self.files.read(name, size_limit=entry.bytes)
        where = f"{self.files.location}/{name}"
        if len(data) != entry.bytes:
            raise SnapshotError(
                f"{where}: has {len(data):,} bytes of {entry.bytes:,}; it was cut short"
            )
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise SnapshotError(
                f"{where}: is not what {self.manifest.name} says was written: it is damaged, or "
                f"was changed since"
            )
        return data

    def decoded(self, name: str, columns: Sequence[str], rows: int | None = None) -> dict[str, Any]:
        """Columns of a data file."""
        return decode(self.checked(name), columns, file=name, key=self.key, rows=rows)

    def verify(self) -> int:
        """Compare every data file with its SHA-256; return how many bytes. Raises SnapshotError."""
        return sum(len(self.checked(name)) for name in self.manifest.files)

    def group(self, group: m.Group, n: int, wanted: Mapping[str, StoredField]) -> dict[str, Array]:
        """(n,) or (n, width) columns of a group, patches applied."""
        names = list(wanted)
        if len(group.segments) == 1 and not group.segments[0].patches:
            only = group.segments[0].file
            found = self.decoded(only, names)
            self.check(found, wanted, only)
            if all(len(column) == n for column in found.values()):
                return found
        if group.segments and names:  # before room is made for what may not be there
            self.decoded(group.segments[-1].file, names)
        out = {
            name: np.empty((n, part.width) if part.width else n, part.dtype)
            for name, part in wanted.items()
        }
        patches: dict[str, dict[str, Array]] = {}
        for file in dict.fromkeys(p for s in group.segments for p in s.patches):
            patch = self.decoded(file, ["row", *names])
            self.check(patch, wanted, file)
            rows = patch["row"]
            if rows.dtype != np.int64 or (np.diff(rows) <= 0).any():
                raise SnapshotError(f"{self.files.location}/{file}: its rows are not in order")
            patches[file] = patch

        def fill(segment: m.Segment) -> None:
            found = self.decoded(segment.file, names)
            self.check(found, wanted, segment.file)
            have = min(len(found[names[0]]), segment.end - segment.begin)
            missing = np.ones(segment.end - segment.begin - have, np.bool_)
            for name in names:
                out[name][segment.begin : segment.begin + have] = found[name][:have]
            for file in segment.patches:
                rows = patches[file]["row"]
                low, high = np.searchsorted(rows, (segment.begin, segment.end))
                chosen = rows[low:high]
                for name in names:
                    out[name][chosen] = patches[file][name][low:high]
                missing[chosen[chosen >= segment.begin + have] - segment.begin - have] = False
            if missing.any():
                raise SnapshotError(
                    f"{self.files.location}/{segment.file}: and its patches lack "
                    f"{int(missing.sum()):,} rows of {segment.begin:,} to {segment.end:,}"
                )

        if names:
            with ThreadPoolExecutor(self.threads, "populace-read") as pool:
                for _ in pool.map(fill, group.segments):
                    pass
        return out

    def check(
        self, found: Mapping[str, Array], wanted: Mapping[str, StoredField], file: str
    ) -> None:
        """Raise SnapshotError unless columns are of the dtype and width that they should be."""
        for name, part in wanted.items():
            column = found[name]
            shape = (part.width,) if part.width else ()
            if column.dtype != part.dtype or column.shape[1:] != shape:
                raise SnapshotError(
                    f"{self.files.location}/{file}: column {name!r} is {column.dtype} with rows of "
                    f"{column.shape[1:]}, not {part.dtype} with {shape}"
                )
