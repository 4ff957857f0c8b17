"""pyarrow: the columns of a snapshot as Parquet, a file for each table.

Without dictionaries and compression, its defaults, which take longer and gain little on numbers
that hardly repeat. Populace writes through pyarrow too, and compresses what shrinks tenfold.
A snapshot has more: checksums, a catalogue, events, and what is needed to go on; and what `load`
returns is a world with its indices, where this returns tables.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import saved as of
from ..peers import Peer
from ..saved import Saved, reading, synced, writing


def write(saved: Saved) -> None:
    """write_table, and sync."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, columns in {**saved.tables, "texts": {"text": saved.texts}}.items():
        path = saved.folder / f"{name}.parquet"
        table = pa.table(dict(columns))
        pq.write_table(table, path, use_dictionary=False, compression="none")
        synced(path)


def read(saved: Saved) -> dict[str, Any]:
    """read_table: on as many threads as Arrow has."""
    import pyarrow.parquet as pq

    return {path.stem: pq.read_table(path) for path in saved.folder.glob("*.parquet")}


def columns(tables: dict[str, Any]) -> tuple[of.Tables, Any]:
    """The same as arrays."""
    found = {
        name: {key: table[key].to_numpy() for key in table.column_names}
        for name, table in tables.items()
    }
    return found, np.array(found.pop("texts")["text"], str)


PEER = Peer(
    "pyarrow, Parquet",
    "pyarrow",
    workloads={
        "snapshot_full": partial(writing, write=write, read=read, columns=columns),
        "snapshot_load": partial(reading, write=write, read=read, columns=columns),
    },
)
