"""Reading tidy tables back: what `tables.py` wrote becomes entities again.

Not a snapshot: ids are new, derived fields wait for their sweep, and nothing comes back but what
the tables name. Every file is checked against its SHA-256 in `populace.json` before the world
changes, so what is read is what was written.
Cost: about 0.4 s per 1M memories.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.ecs import Field, World, schema
from populace.ecs.errors import QueryError, SourceFileError

from .tables import FORMAT, MANIFEST, NEVER, TIME_UNIT, VERSION, Table

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[Any]


def read_manifest(directory: str | Path) -> dict[str, Any]:
    """What `populace.json` tells of a directory of tables.

    Raises SourceFileError when it is missing, damaged, foreign, or of a newer version.
    """
    path = Path(directory) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        found, version = manifest["format"], int(manifest["version"])
        int(manifest["now_us"])
        {name: str(facts["sha256"]) for name, facts in manifest["files"].items()}
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceFileError(
            f"{path}: is damaged or not by populace; write the tables again"
        ) from error
    if found != FORMAT or not 1 <= version <= VERSION:
        raise SourceFileError(
            f"{path}: holds {found!r} version {version}; this populace reads {FORMAT!r} up to "
            f"version {VERSION}"
        )
    return manifest


def load_tables(world: World, directory: str | Path, tables: Sequence[Table]) -> dict[str, int]:
    """Spawn the entities of tables that `write_tables` wrote; return rows by table.

    tables: as they were written, what is referred to before what refers to it.

    Raises SourceFileError, naming the file, for one that is missing or was altered, and QueryError
    where the world holds such entities already; the world is then as before.
    """
    files = read_manifest(directory)["files"]
    for table in tables:
        n_rows = world.query(*table.required).count()
        if n_rows:
            raise QueryError(
                f"table {table.name!r} is loaded into a world without such rows, and this one has "
                f"{n_rows:,}; load it into a new World"
            )
    read = [_verified(Path(directory) / f"{table.name}.parquet", files) for table in tables]
    for table, arrow in zip(tables, read, strict=True):
        _spawn(world, table, arrow)
    return {table.name: arrow.num_rows for table, arrow in zip(tables, read, strict=True)}


def _verified(path: Path, files: Mapping[str, Any]) -> pa.Table:
    """A table whose file is as it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.name not in files:
        raise SourceFileError(f"{path}: is not among the tables of {MANIFEST}; write them again")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != files[path.name]["sha256"]:
        raise SourceFileError(
            f"{path}: is not what {MANIFEST} says was written: it is damaged, or was changed since"
        )
    return pq.read_table(pa.BufferReader(data)).combine_chunks()


def _spawn(world: World, table: Table, arrow: pa.Table) -> None:
    """One bulk spawn for each combination of components that a row has."""
    has: dict[type, npt.NDArray[np.bool_]] = {}
    columns: dict[type, dict[str, Array]] = {}
    for component in (*table.required, *table.optional):
        fields = schema(component).persisted
        if schema(component).is_tag:
            if component.__name__.lower() in arrow.column_names:
                has[component] = arrow[component.__name__.lower()].to_numpy()
        elif all(table.column(made) in arrow.column_names for made in fields):
            columns[component] = {
                made.name: _values(world, table, made, arrow[table.column(made)]) for made in fields
            }
            sure = next((made for made in fields if made.unit != TIME_UNIT), None)
            valid = arrow[table.column(sure)].is_valid().to_numpy() if sure else True
            has[component] = np.broadcast_to(valid, arrow.num_rows)
    order = list(has)
    bits = np.zeros(arrow.num_rows, np.int64)
    for place, component in enumerate(order):
        bits |= has[component].astype(np.int64) << place
    for mask in np.unique(bits).tolist():
        rows = np.flatnonzero(bits == mask)
        given = [component for place, component in enumerate(order) if mask >> place & 1]
        values = [
            component(**{name: column[rows] for name, column in columns[component].items()})
            if component in columns
            else component
            for component in given
        ]
        world.spawn(rows.size, *values)


def _values(world: World, table: Table, made: Field, column: pa.ChunkedArray) -> Array:
    """A column as the field holds it; anything where it is null."""
    import pyarrow as pa

    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_dictionary(array.type):
        names = array.dictionary.to_pylist()
        codes = array.indices.fill_null(0).to_numpy()
        if made.kind == "text":
            texts: Array = world.text.intern(names or [""])[codes]
            return texts
        choices = {choice.name.lower(): int(choice) for choice in made.choices or ()}
        members: Array = np.array([choices[name] for name in names] or [0], made.dtype)[codes]
        return members
    if made.unit == TIME_UNIT:
        return np.asarray(array.cast(pa.int64()).fill_null(NEVER).to_numpy())
    plain = np.asarray(array.fill_null(0).to_numpy())
    stands = table.references.get(made)
    return plain if stands is None else _referred(world, stands, plain)


def _referred(world: World, stands: Field, values: Array) -> Array:
    """The ids of the entities whose field `stands` has these values, each of them one's own."""
    query = world.query(stands.component)
    known, ids = query.gather(stands), query.ids()
    order = np.argsort(known)
    found: Array = ids[order[np.searchsorted(known, values, sorter=order)]]
    return found
