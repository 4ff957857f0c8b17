"""Tidy tables on disk that populace reads back: one Parquet file for each, and `populace.json`.

One row per entity, one column per field of one value: enum members by name and texts as dictionary
columns, times as timestamp[us], a reference as the stable number of what it names, a tag as a
boolean. Each column's unit and meaning are in the metadata of its Arrow field. For tables that are
to be analysed elsewhere, with names in place of numbers, see `export.py`.

Invariants: rows are ordered by the table's key and dictionaries are sorted, so equal worlds give
equal bytes, whatever the order of rows or ids. `populace.json` has every file's SHA-256. Files are
written into a folder beside and synced; then `populace.json`, which names that folder, is renamed
into place: this is the moment at which the new tables count, all of them. Then they are moved to
their names. So after a crash at any instruction a reader finds either the old tables or the new.
Cost: about 0.5 s per 1M memories, and twice the table's size in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.ecs import World
from populace.ecs.errors import QueryError, SourceFileError, StorageError
from populace.ecs.image import Image

from .arrays import utf8
from .disk import Disk
from .frames import Frames, held_columns, image_of
from .tables import Column, Table

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "populace.json"
FORMAT = "populace tables"
VERSION = 1
ROW_GROUP = 2**20
PENDING = ".writing-"


def write_tables(
    source: World | Image,
    directory: str | Path,
    tables: Sequence[Table],
    *,
    about: Mapping[str, Any] | None = None,
    force: bool = False,
) -> dict[str, int]:
    """Write a Parquet file for each table into `directory`; return rows by table.

    about: what `populace.json` tells of the tables beside their own facts. force: write into a
    directory that holds something else; only files of the same names are replaced. Tables that were
    written there before and are not among these are removed.

    Raises SourceFileError where `check_target` does, QueryError where a row names something that
    has no number, and StorageError where the disk refuses. Then what was there can be read as
    before, unless the disk refuses after the new tables count: then these can be read.
    """
    image = image_of(source)
    directory = Path(directory)
    check_target(directory, force=force)
    before = _former(directory)
    with refused("write", directory):
        fresh = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=PENDING, dir=directory))
    counts = False
    try:
        files = {}
        for table in tables:
            path = temporary / f"{table.name}.parquet"
            with refused("write", path):
                files[path.name] = _write(to_arrow(image, table), path)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "now_us": image.clock.now,
            **(about or {}),
            "files": files,
        }
        with refused("write", directory / MANIFEST):
            Disk().fsync_folder(temporary)
            _publish({**manifest, "pending": temporary.name}, temporary, directory)
        counts = True
        with refused("replace the tables of", directory):
            for name in files:
                os.replace(temporary / name, directory / name)
            Disk().fsync_folder(directory)
            _publish(manifest, temporary, directory)
            for name in before.files - set(files):
                (directory / name).unlink(missing_ok=True)
        for name in before.pending | {temporary.name}:
            shutil.rmtree(directory / name, ignore_errors=True)
    except BaseException:
        if not counts:
            shutil.rmtree(temporary, ignore_errors=True)
            if fresh and not any(directory.iterdir()):
                directory.rmdir()
        raise
    return {Path(name).stem: facts["rows"] for name, facts in files.items()}


def check_target(directory: str | Path, *, force: bool = False) -> None:
    """Raise SourceFileError where tables may not be written: into a file, among other things."""
    directory = Path(directory)
    if not directory.exists():
        return
    if not directory.is_dir():
        raise SourceFileError(f"{directory}: is a file; name a directory for the tables")
    if force or not any(directory.iterdir()):
        return
    if not _former(directory).ours:
        raise SourceFileError(
            f"{directory}: is not empty and holds no tables of populace; name another directory, "
            f"or force it (--force) to write beside what is there"
        )


def to_arrow(source: World | Image, table: Table) -> pa.Table:
    """One table as it is written, in the order of its key.

    Columns that the image can have no values for are left out. Raises QueryError where a row names
    something that has no number.
    """
    import pyarrow as pa

    image = image_of(source)
    chosen = [column for column in held_columns(image, table) if column.stored]
    frame = Frames(image).frame(table, [column.name for column in chosen])
    columns = [_plain(c, table, frame[c.name]) for c in chosen]
    told = [
        frame.schema.field(c.name).with_type(made.type)
        for c, made in zip(chosen, columns, strict=True)
    ]
    whole = pa.Table.from_arrays(columns, schema=pa.schema(told))
    keys = [_key(whole[table.column(made)].chunk(0)) for made in table.order]
    return whole.take(np.lexsort(keys[::-1])).combine_chunks() if keys else whole


def _plain(column: Column, table: Table, values: pa.ChunkedArray) -> pa.Array:
    """A column in one piece; codes as a dictionary array of the texts in use, sorted."""
    import pyarrow as pa

    if column.path and not column.nullable and values.null_count:
        raise QueryError(
            f"{values.null_count:,} rows of {table.name!r} name as {column.name!r} an entity that "
            f"has no {column.field}; without it they could not be told apart"
        )
    if not pa.types.is_dictionary(values.type):
        return _whole(values)
    array = _whole(values.unify_dictionaries())
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    codes = array.indices.fill_null(0).to_numpy()[valid]
    used, inverse = np.unique(codes, return_inverse=True)
    texts = array.dictionary.take(pa.array(used)).to_pylist()
    by_text = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), np.int32)
    rank[by_text] = np.arange(len(texts), dtype=np.int32)
    indices = np.zeros(len(array), np.int32)
    indices[valid] = rank[inverse]
    mask = None if valid.all() else ~valid
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, mask=mask), utf8([texts[k] for k in by_text]).cast(pa.string())
    )


def _whole(values: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    combined = values.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # of a chunked array without chunks
        return combined.chunk(0) if combined.num_chunks else pa.array([], values.type)
    return combined


def _key(values: pa.Array) -> Any:
    """What to sort by; the sorted dictionary's codes stand for its texts."""
    import pyarrow as pa

    plain = values.indices if pa.types.is_dictionary(values.type) else values
    return plain.to_numpy(zero_copy_only=False)


# -- files ---------------------------------------------------------------------------------------


def _write(table: pa.Table, path: Path) -> dict[str, Any]:
    """Write a file and sync it; what `populace.json` tells of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        use_dictionary=[f.name for f in table.schema if pa.types.is_dictionary(f.type)],
        row_group_size=ROW_GROUP,
    )
    return {"rows": table.num_rows, "sha256": _sync_and_hash(path)}


def _publish(manifest: Mapping[str, Any], temporary: Path, directory: Path) -> None:
    """Put `populace.json` into its place, at one stroke and for good."""
    path = temporary / MANIFEST
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    _sync_and_hash(path)
    os.replace(path, directory / MANIFEST)
    Disk().fsync_folder(directory)


def _sync_and_hash(path: Path) -> str:
    """Force a file to the disk; return its SHA-256."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Former:
    """What an earlier `write_tables` left: the names of its tables, those of its folder beside."""

    ours: bool = False
    files: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()


def _former(directory: Path) -> _Former:
    try:
        told = json.loads((directory / MANIFEST).read_bytes())
        if told["format"] != FORMAT:
            return _Former()
        listed, pending = [str(name) for name in told["files"]], told.get("pending")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _Former()
    files = {name for name in listed if name == Path(name).name and name.endswith(".parquet")}
    return _Former(True, frozenset(files), frozenset([pending] if is_pending(pending) else []))


def is_pending(name: object) -> bool:
    """Whether a manifest may name this as the folder beside."""
    return isinstance(name, str) and name.startswith(PENDING) and Path(name).name == name


@contextmanager
def refused(doing: str, path: Path) -> Iterator[None]:
    """What the system refuses, as a StorageError that says what it was asked to do."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            error.errno, f"cannot {doing}: {error.strerror or error}", str(path)
        ) from error
