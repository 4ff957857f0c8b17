"""numpy's savez: the columns of a snapshot in one zip file, not compressed.

Zip's checksums are its only ones. A snapshot has more: a catalogue, events, and what is needed to
go on; and what `load` returns is a world with its indices, where this returns arrays.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import saved as of
from ..peers import Peer
from ..saved import Saved, reading, synced, writing

FILE = "columns.npz"


def write(saved: Saved) -> None:
    """savez, and sync."""
    path = saved.folder / FILE
    arrays = {
        f"{name}/{key}": column
        for name, columns in saved.tables.items()
        for key, column in columns.items()
    }
    np.savez(path, texts=saved.texts, **arrays)  # type: ignore[arg-type]
    synced(path)


def read(saved: Saved) -> dict[str, Any]:
    """Every array of the file."""
    with np.load(saved.folder / FILE) as file:
        return {name: file[name] for name in file.files}


def columns(arrays: dict[str, Any]) -> tuple[of.Tables, Any]:
    """The same by table."""
    found: dict[str, dict[str, Any]] = {}
    texts = arrays["texts"]
    for name, column in arrays.items():
        if name != "texts":
            table, key = name.split("/")
            found.setdefault(table, {})[key] = column
    return found, texts


def here() -> None:
    """It is always there."""


PEER = Peer(
    "numpy.savez",
    "numpy",
    workloads={
        "snapshot_full": partial(writing, write=write, read=read, columns=columns),
        "snapshot_load": partial(reading, write=write, read=read, columns=columns),
    },
    absent=here,
)
