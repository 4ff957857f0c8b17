"""Reading the archive of a world, or of a snapshot, without bringing anything back.

    archived(world, agents=7, since=march, importance=0.5).to_pandas()
    archived(snapshot.image(), "town", columns=["agent", "text"])

Only the partitions that may have such rows are read, each file compared with its SHA-256; rows that
have come back are left out. The memories of agents that have died since are there: they are
history, which nobody remembers any more.

Cost: 0.3 µs a row of the partitions that are read for three columns, 2 µs for all, and 0.5 ms a
file (bench `archive_read`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory, MemoryKind, Persona, Reflection, Statement, Trace
from populace.ecs import Field, World
from populace.ecs.errors import ColumnValueError, ResourceError
from populace.ecs.image import Image, TableImage
from populace.storage.archive import Archive
from populace.storage.files import Files, open_files
from populace.storage.frames import frame, image_of, schema_of
from populace.storage.keys import Key
from populace.storage.partitions import Partitions, joined
from populace.storage.tables import Column, Table

from .archive import attached_archive
from .archive_rows import ABOUT, FIELDS, FLAGS, LINKS, Rows, by_flags

if TYPE_CHECKING:
    import pyarrow as pa

Array = npt.NDArray[Any]

ARCHIVED = Table(
    "archive",
    required=(Memory, Trace),
    optional=(Statement, Reflection),
    order=(Memory.owner, Memory.sequence),
    rename={Memory.owner: "agent"},
    references={Memory.owner: Persona.number},
    labels={"agent_name": (Memory.owner, Persona.name)},
    docs={
        "entity": "null: it has none while it is in the archive",
        "agent_entity": "the agent's entity, which may have died since",
        "agent_name": "full name of the agent that remembers; null where it has died",
    },
    doc="One row per memory in the archive.",
)
MORE = (*LINKS, "archived")
"""Columns that stand behind those of the table."""


def archived(
    source: World | Image,
    destination: Any = None,
    *,
    agents: Any = None,
    since: int | None = None,
    until: int | None = None,
    kinds: Any = None,
    importance: float = 0.0,
    columns: Sequence[str] | None = None,
    table: Table = ARCHIVED,
    key: Key | None = None,
) -> pa.Table:
    """What the archive has, as an Arrow table, in no particular order.

    destination, key: the directory of the snapshot that an image is of; a world's own is known.
    agents: numbers. since, until: µs, of memories formed in [since, until). kinds: `MemoryKind`s
    or their names. importance: at least. columns: names, in this order; None: those of the table,
    then "rests_on", "evidence_for" (sequences of the agent's other memories, "3, 17") and
    "archived" (when it left). table: a description of memories; derived fields are null.

    Raises SnapshotError, which names the file, for one that is damaged or missing; StorageError,
    KeyMismatchError; ResourceError for a world without its archive, or an image without a
    destination; QueryError for an unknown column.
    """
    import pyarrow as pa

    names = [c.name for c in table.columns] + list(MORE) if columns is None else list(columns)
    chosen = table.chosen([name for name in names if name not in MORE])
    used = {column.field for column in chosen}
    fields = [made for made in FIELDS.values() if made in used]
    wanted = {made.name for made in fields}
    wanted |= {"agent", "agent_entity", *FLAGS.values(), *(n for n in names if n in MORE)}
    partitions, archive = place_of(source, destination, key)
    rows = select(
        partitions,
        archive,
        wanted,
        agents=None if agents is None else np.atleast_1d(agents),
        since=since,
        until=until,
        kinds=kinds,
        importance=importance,
    )
    image, order = _image_of(image_of(source), table, rows, fields)
    found = frame(image, table, [column.name for column in chosen])
    for place, column in enumerate(chosen):
        values = _known_here(column, rows, order)
        if values is not None:
            kind = found.schema.field(place)
            found = found.set_column(place, kind, values.cast(kind.type))
    for name in MORE:
        if name in names:
            field = _more_field(name)
            found = found.append_column(field, pa.array(rows[name][order].tolist(), field.type))
    return found.select(names)


def archive_schema(table: Table = ARCHIVED) -> pa.Schema:
    """Names, Arrow types and meanings of the columns of `archived`."""
    import pyarrow as pa

    return pa.schema([*schema_of(table), *map(_more_field, MORE)])


# -- rows ----------------------------------------------------------------------------------------


def place_of(
    source: World | Image, destination: Any = None, key: Key | None = None
) -> tuple[Partitions, Archive]:
    """The files of a world's or an image's archive, and which of them count."""
    resources = source.resources
    archive = next((held for held in resources if isinstance(held, Archive)), None)
    if destination is None and isinstance(source, World) and archive is not None:
        return attached_archive(source).partitions, archive
    if destination is None and archive is not None and len(archive):
        raise ResourceError(
            f"the archive of this image has {len(archive):,} memories; say in which directory of "
            f"snapshots they are: archived(image, destination)"
        )
    if archive is None:
        archive = Archive()
    if destination is None:
        destination = "."  # an archive without files: nothing is looked for there
    files = destination if isinstance(destination, Files) else open_files(destination)
    return Partitions(files, key), archive


def select(
    partitions: Partitions,
    archive: Archive,
    names: Collection[str] | None,
    *,
    agents: Array | None = None,
    entities: Array | None = None,
    sequences: Array | None = None,
    since: int | None = None,
    until: int | None = None,
    kinds: Any = None,
    importance: float = 0.0,
) -> dict[str, Array]:
    """Columns of the rows that count and answer to all that is asked; None for all columns.

    Beside them "file" and "row", (n,) i8: the number of the file, and the row in it. agents: (k,)
    numbers, entities: (k,) u8, of the agents. sequences: (k,). Raises as `archived`.
    """
    tests: dict[str, Any] = {"agent": lambda column: np.ones(column.size, np.bool_)}
    if agents is not None:
        tests["agent"] = lambda column: np.isin(column, agents)
    if entities is not None:
        tests["agent_entity"] = lambda column: np.isin(column, entities)
    if sequences is not None:
        tests["sequence"] = lambda column: np.isin(column, sequences)
    if since is not None or until is not None:
        low, high = -(2**63) if since is None else since, 2**63 if until is None else until
        tests["created"] = lambda column: (column >= low) & (column < high)
    if kinds is not None:
        named = [kind.name.lower() for kind in kinds_of(kinds)]
        tests["kind"] = lambda column: np.isin(column.astype("U8"), named)
    if importance > 0:
        tests["importance"] = lambda column: column >= np.float32(importance)
    parts: list[dict[str, Array]] = []
    for file in archive.files(agents, since, until):
        data = partitions.checked(file)
        tested = partitions.decoded(file, data, list(tests))
        mask = archive.counting(file)
        for name, test in tests.items():
            mask &= test(tested[name])
        row = np.flatnonzero(mask)
        if row.size:
            rest = None if names is None else [name for name in names if name not in tested]
            columns = tested | (partitions.decoded(file, data, rest) if rest != [] else {})
            part = {name: column[row] for name, column in columns.items()}
            parts.append(part | {"file": np.full(row.size, file.number), "row": row})
    return joined(parts) if parts else _nothing()


def kinds_of(kinds: Any) -> list[MemoryKind]:
    """One kind or several, as members or names. Raises ColumnValueError for any other."""
    asked = [kinds] if isinstance(kinds, str | int) else list(kinds)
    names = {kind.name.lower(): kind for kind in MemoryKind}
    known: dict[Any, MemoryKind] = {**names, **{int(kind): kind for kind in MemoryKind}}
    found = [known.get(kind.lower() if isinstance(kind, str) else kind) for kind in asked]
    if None in found:
        raise ColumnValueError(f"kinds of memories are {', '.join(names)}; got {kinds!r}")
    return [kind for kind in found if kind is not None]


def _nothing() -> dict[str, Array]:
    """No rows."""
    return {
        "agent": np.empty(0, np.uint32),
        "agent_entity": np.empty(0, np.uint64),
        "archived": np.empty(0, np.int64),
        "file": np.empty(0, np.int64),
        "row": np.empty(0, np.int64),
        **{flag: np.empty(0, np.bool_) for flag in FLAGS.values()},
        **{name: np.empty(0, object) for name in LINKS},
        **{
            name: np.empty(0, object if made.kind in ("text", "enum") else made.dtype)
            for name, made in FIELDS.items()
        },
    }


# -- Arrow ---------------------------------------------------------------------------------------


def _image_of(
    image: Image, table: Table, rows: Rows, fields: Collection[Field]
) -> tuple[Image, Array]:
    """An image whose only memories are the rows, and which row each of them is."""
    strings: list[str] = list(image.texts)
    columns = {}
    for made in fields:
        column = rows[made.name]
        if made.kind == "text":
            column = _interned(column, strings)
        elif made.choices is not None:
            codes = {choice.name.lower(): int(choice) for choice in made.choices}
            column = np.array([codes.get(name, 255) for name in column], np.uint8)
        columns[made] = column
    columns[Memory.owner] = rows["agent_entity"]
    tables = [held for held in image.tables if Persona in held.components]
    order: list[Array] = []
    for there, at in by_flags(rows, FLAGS.values()):
        parts = [cls for cls, flag in FLAGS.items() if flag in there]
        components = tuple(dict.fromkeys((*table.required, *parts)))
        some = {made: column[at] for made, column in columns.items()}
        ids = np.zeros(at.size, np.uint64)
        tables.append(TableImage(components, len(image.tables) + len(order), at.size, ids, some))
        order.append(at)
    made_of = replace(image, tables=tuple(tables), texts=strings)
    return made_of, np.concatenate([np.empty(0, np.int64), *order])


def _interned(column: Array, strings: list[str]) -> Array:
    """(n,) u4 codes; the strings are appended to the others."""
    first, known = len(strings), dict[str, int]()
    codes = [known.setdefault(text, first + len(known)) for text in column.tolist()]
    strings += known
    return np.array(codes, np.uint32)


def _known_here(column: Column, rows: Rows, order: Array) -> pa.Array | None:
    """What the archive knows of a column that an image does not: (n,) in the order of the frame."""
    import pyarrow as pa

    if column.kind == "entity" and column.field is None:
        return pa.nulls(order.size, pa.uint64())
    if column.path == (Memory.owner,) and column.field is Persona.number:
        return pa.array(rows["agent"][order])
    return None


def _more_field(name: str) -> pa.Field:
    import pyarrow as pa

    told = {"doc": ABOUT[name]["doc"]}
    kind = pa.timestamp("us") if name == "archived" else pa.large_string()
    return pa.field(name, kind, metadata=told)
