"""The columns of a snapshot, for peers that write and read columns: which, and where to."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .cases_snapshot import remembering
from .peers import Entry

Tables = Mapping[str, Mapping[str, npt.NDArray[Any]]]


class Saved:
    """The persisted columns of n memories and their agents, by table; and a folder that goes when
    this does."""

    def __init__(self, n: int) -> None:
        from populace.ecs.image import capture

        world, _ = remembering(n)
        self.tables: Tables = {
            f"table{table.number}": {
                "id": table.ids.copy(),
                **{
                    f"{made.component.__name__}.{made.name}": column.copy()
                    for made, column in table.columns.items()
                    if not made.derived
                },
            }
            for table in capture(world).tables
            if table.n
        }
        self.texts = np.array(world.text.strings)
        self.folder = Path(tempfile.mkdtemp(prefix="populace-bench-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def check(self, tables: Tables, texts: npt.NDArray[Any]) -> None:
        """These are the same columns, bit for bit."""
        assert tables.keys() == self.tables.keys()
        for name, columns in self.tables.items():
            assert tables[name].keys() == columns.keys(), name
            for key, column in columns.items():
                assert tables[name][key].dtype == column.dtype, key
                assert np.array_equal(tables[name][key], column), key
        assert texts.tolist() == self.texts.tolist()


Write = Callable[[Saved], object]
Read = Callable[[Saved], Any]
Columns = Callable[[Any], tuple[Tables, npt.NDArray[Any]]]


def writing(n: int, write: Write, read: Read, columns: Columns) -> Entry:
    """Write and sync; each time to where nothing is."""
    saved = Saved(n)

    def clear() -> None:
        for path in saved.folder.iterdir():
            path.unlink()

    return Entry(lambda: write(saved), lambda: saved.check(*columns(read(saved))), clear)


def reading(n: int, write: Write, read: Read, columns: Columns) -> Entry:
    """Read what was written."""
    saved = Saved(n)
    write(saved)
    held: list[Any] = []

    def run() -> None:
        held[:] = [read(saved)]

    return Entry(run, lambda: saved.check(*columns(held[0])), held.clear)


def synced(path: Path) -> None:
    """What was written is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
