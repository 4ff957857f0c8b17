"""Reading tidy tables back: what `writer.py` wrote becomes entities again.

Not a snapshot: ids are new, derived fields wait for their sweep, and nothing comes back but what
the tables name. Every file is checked against its SHA-256 in `populace.json` before the world
changes, so what is read is what was written.
Cost: about 0.4 s per 1M memories.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.ecs import Field, World, schema
from populace.ecs.errors import QueryError, SourceFileError

from .arrays import code_names
from .frames import image_of
from .tables import NEVER, TIME_UNIT, Table, may_be_far
from .writer import FORMAT, MANIFEST, VERSION, is_pending

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
        pending = manifest.get("pending")
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceFileError(
            f"{path}: is damaged or not by populace; write the tables again"
        ) from error
    if pending is not None and not is_pending(pending):
        raise SourceFileError(f"{path}: is damaged or not by populace; write the tables again")
    if found != FORMAT or not 1 <= version <= VERSION:
        raise SourceFileError(
            f"{path}: holds {found!r} version {version}; this populace reads {FORMAT!r} up to "
            f"version {VERSION}"
        )
    return manifest


def load_tables(world: World, directory: str | Path, tables: Sequence[Table]) -> dict[str, int]:
    """Spawn the entities of tables that `write_tables` wrote; return rows by table.

    tables: as they were written, what is referred to before what refers to it. An optional
    component comes back where any of its columns has a value.

    Raises SourceFileError, naming the file, for one that is missing or was altered, and QueryError
    where the world holds such entities already; the world is then as before.
    """
    manifest = read_manifest(directory)
    for table in tables:
        n_rows = world.query(*table.required).count()
        if n_rows:
            raise QueryError(
                f"table {table.name!r} is loaded into a world without such rows, and this one has "
                f"{n_rows:,}; load it into a new World"
            )
    read = [_verified(Path(directory), table, manifest) for table in tables]
    spawned: list[Array] = []
    try:
        for table, arrow in zip(tables, read, strict=True):
            spawned += _spawn(world, table, arrow)
    except BaseException:
        for ids in reversed(spawned):
            world.despawn(ids[world.alive(ids)])
        raise
    return {table.name: arrow.num_rows for table, arrow in zip(tables, read, strict=True)}


def _verified(directory: Path, table: Table, manifest: Mapping[str, Any]) -> pa.Table:
    """A table whose file is as it was written, and has the columns that every row needs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, files = directory / f"{table.name}.parquet", manifest["files"]
    if path.name not in files:
        raise SourceFileError(f"{path}: is not among the tables of {MANIFEST}; write them again")
    data = _bytes(directory, path.name, files[path.name]["sha256"], manifest.get("pending"))
    arrow = pq.read_table(pa.BufferReader(data)).combine_chunks()
    for component in table.required:
        for made in schema(component).persisted:
            if table.column(made) not in arrow.column_names:
                raise SourceFileError(
                    f"{path}: has no column {table.column(made)!r}, which {made} is read from"
                )
    return arrow


def _bytes(directory: Path, name: str, sha256: str, pending: str | None) -> bytes:
    """A file from its place or, if it was not moved there any more, from the folder beside."""
    path = directory / name
    refusal: OSError | None = None
    places = [path] if pending is None else [path, directory / pending / name]
    for place in places:
        try:
            data = place.read_bytes()
        except OSError as error:
            refusal = refusal or error
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    if refusal is not None:
        raise SourceFileError(f"{path}: cannot be read: {refusal.strerror or refusal}") from refusal
    raise SourceFileError(
        f"{path}: is not what {MANIFEST} says was written: it is damaged, or was changed since"
    )


def _spawn(world: World, table: Table, arrow: pa.Table) -> Iterator[Array]:
    """One bulk spawn for each combination of components that a row has; the ids of each."""
    has: dict[type, npt.NDArray[np.bool_]] = {}
    columns: dict[type, dict[str, Array]] = {}
    everywhere = np.ones(arrow.num_rows, np.bool_)
    for component in (*table.required, *table.optional):
        fields = schema(component).persisted
        names = [table.column(made) for made in fields]
        if schema(component).is_tag:
            if component.__name__.lower() in arrow.column_names:
                has[component] = arrow[component.__name__.lower()].to_numpy()
        elif component in table.required or (fields and set(names) <= set(arrow.column_names)):
            found = [arrow[name] for name in names]
            columns[component] = {
                made.name: _values(world, table, made, column)
                for made, column in zip(fields, found, strict=True)
            }
            has[component] = (
                everywhere
                if component in table.required
                else np.logical_or.reduce([column.is_valid().to_numpy() for column in found])
            )
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
        yield world.spawn(rows.size, *values)


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
        known = table.by_name[table.column(made)]
        numbers = {name: code for code, name in enumerate(code_names(known, image_of(world)))}
        for name in names:
            if name not in numbers:
                raise SourceFileError(
                    f"{table.name}.parquet: {known.name!r} is {name!r} in some rows, and this "
                    f"world has no code for it; insert the resource that names them first"
                )
        members: Array = np.array([numbers[name] for name in names] or [0], made.dtype)[codes]
        return members
    if made.unit == TIME_UNIT:
        never = made.default if may_be_far(made) else NEVER
        return np.asarray(array.cast(pa.int64()).fill_null(never).to_numpy())
    plain = np.asarray(array.fill_null(table.missing.get(made, 0)).to_numpy())
    stands = table.references.get(made)
    return plain if stands is None else _referred(world, stands, plain)


def _referred(world: World, stands: Field, values: Array) -> Array:
    """The ids of the entities whose field `stands` has these values, each of them one's own."""
    query = world.query(stands.component)
    known, ids = query.gather(stands), query.ids()
    order = np.argsort(known)
    found: Array = ids[order[np.searchsorted(known, values, sorter=order)]]
    return found
