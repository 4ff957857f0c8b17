"""One file of a tidy table, as Parquet, CSV or Arrow IPC, that anything reads.

Texts are strings, enums and other codes are categories of strings, times are timestamps without a
zone. In Parquet a text column that repeats itself is stored by dictionary, and is a column of
strings to whoever reads it; units and meanings are in the metadata of each Arrow field.

Cost: see `export.py`. Memory: about 100 bytes a row for BATCH rows at a time; for Arrow IPC, whose
file has one dictionary for a column, for the whole file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from populace.ecs.errors import QueryError

from .arrays import arrow_field, dictionary_of, in_use
from .frames import Frames
from .selecting import Selection
from .tables import Column, Log, Table

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("parquet", "csv", "arrow")
BATCH = 1 << 20
"""Rows that are worked on at a time, and rows of a Parquet row group."""
REPEATS = 8
"""A text column whose texts occur so often, on average, is stored by dictionary."""


def tidy_schema(columns: Sequence[Column]) -> pa.Schema:
    """Names, types and metadata of columns as readers of a file see them."""
    import pyarrow as pa

    fields = []
    for column in columns:
        made = arrow_field(column)
        kind = made.type
        if pa.types.is_dictionary(kind):
            by_text = kind.value_type == pa.large_string()
            kind = pa.string() if by_text else pa.dictionary(pa.int32(), pa.string())
        fields.append(made.with_type(kind))
    return pa.schema(fields)


def check_format(format: str, columns: Sequence[Column], name: str) -> None:
    """Raise QueryError for a format that there is not, or that cannot hold a column."""
    if format not in FORMATS:
        raise QueryError(f"format is one of {', '.join(FORMATS)}; got {format!r}")
    for column in columns:
        if format == "csv" and column.field is not None and column.field.kind == "vector":
            raise QueryError(
                f"column {column.name!r} of {name!r} has {column.field.width} values a row, which "
                f"CSV cannot hold; choose another format"
            )


def write_file(
    path: Path,
    frames: Frames,
    spec: Table | Log,
    columns: Sequence[Column],
    batches: Iterable[Selection],
    format: str,
) -> None:
    """Write some rows of a table: those of each batch in turn. Raises OSError."""
    write = {"parquet": _write_parquet, "csv": _write_csv, "arrow": _write_arrow}[format]
    names = [column.name for column in columns]
    read = (frames.frame(spec, names, rows=batch, whole_texts=True) for batch in batches)
    write(path, tidy_schema(columns), read)


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(batches, None)
    if first is None:
        pq.write_table(schema.empty_table(), path)
        return
    table, by_dictionary = _strings(first, schema, None)
    with pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[
            f.name for f in table.schema if pa.types.is_dictionary(f.type) or _is_narrow(f.type)
        ],
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=BATCH)
        for batch in batches:
            table, _ = _strings(batch, schema, by_dictionary)
            writer.write_table(table, row_group_size=BATCH)
        # what the columns are to readers, however they are stored
        told = base64.b64encode(schema.serialize()).decode()
        writer.add_key_value_metadata({"ARROW:schema": told})


def _write_csv(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    import pyarrow as pa
    from pyarrow import csv

    plain = pa.schema(
        [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in schema]
    )
    with csv.CSVWriter(path, plain) as writer:
        for batch in batches:
            table, _ = _strings(batch, schema, frozenset())
            writer.write_table(table.cast(plain))


def _write_arrow(path: Path, schema: pa.Schema, batches: Iterator[pa.Table]) -> None:
    import pyarrow as pa

    parts = [_strings(batch, schema, frozenset())[0].cast(schema) for batch in batches]
    whole = pa.concat_tables([schema.empty_table(), *parts]).unify_dictionaries()
    with pa.ipc.new_file(str(path), schema) as writer:
        writer.write_table(whole, max_chunksize=BATCH)


def _is_narrow(kind: pa.DataType) -> bool:
    """Whether a column has so few values that they repeat."""
    import pyarrow as pa

    return kind in (pa.uint8(), pa.int8(), pa.uint16(), pa.int16(), pa.uint32())


def _strings(
    frame: pa.Table, schema: pa.Schema, by_dictionary: frozenset[str] | None
) -> tuple[pa.Table, frozenset[str]]:
    """A frame whose texts are dictionary columns or strings, and the names of the former.

    by_dictionary: what it was for an earlier batch of the file, which holds for all.
    """
    import pyarrow as pa

    found, chosen = [], set()
    for made, column in zip(schema, frame.columns, strict=True):
        if pa.types.is_dictionary(made.type):
            column = _categories(column)
        elif pa.types.is_string(made.type):
            name = None if by_dictionary is None else made.name in by_dictionary
            column = _texts(column, name)
            if pa.types.is_dictionary(column.type):
                chosen.add(made.name)
        found.append(column)
    kinds = [made.with_type(c.type) for made, c in zip(schema, found, strict=True)]
    return pa.Table.from_arrays(found, schema=pa.schema(kinds)), frozenset(chosen)


def _categories(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Enums: pandas takes no unsigned codes."""
    import pyarrow as pa

    kind = pa.dictionary(pa.int32(), pa.string())
    unified = column.unify_dictionaries()
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), chunk.dictionary)
        for chunk in unified.chunks
    ]
    return pa.chunked_array(chunks, kind)


def _texts(column: pa.ChunkedArray, by_dictionary: bool | None) -> pa.Array:
    """Texts whose chunks share a dictionary: by one of those in use where they repeat, or None."""
    import pyarrow as pa

    if not column.num_chunks:
        return pa.array([], pa.large_string())
    texts = column.chunk(0).dictionary
    chunks = [chunk.indices for chunk in column.chunks]
    codes = pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]
    if by_dictionary is not False:
        used, indices = in_use(codes.fill_null(0).to_numpy(), len(texts))
        if by_dictionary or used.size * REPEATS <= len(codes):
            valid = codes.is_valid().to_numpy(zero_copy_only=False) if codes.null_count else None
            return dictionary_of(indices, valid, texts.take(pa.array(used)))
    return texts.take(codes)
