"""What a query gave: its rows, in whatever form the caller wants them.

Sums of integers, which DuckDB counts in 128 bits, are i8 where they fit; spans of time are
durations, a month as 30 days: that is what pandas and polars know.

Invariant: a result is its own. It holds no memory of a world, so it stays what it is while the
world goes on, and keeps nothing of it alive.
Cost: `arrow` and `polars` copy nothing, `pandas` each column once; `rows` makes Python objects, at
0.5 µs a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.ecs.errors import SqlError
from populace.ecs.html import page, table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

SHOWN = 20
SHOWN_ITEMS = 5
SHOWN_CHARACTERS = 200
US_PER_DAY = 86_400_000_000
INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("ns", "<i8")])


class Result:
    """The rows of a query. `for row in result` gives them as dicts."""

    def __init__(self, table: pa.Table) -> None:
        self._table = _usual(table)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __repr__(self) -> str:
        return f"<Result: {len(self):,} rows of {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        first = self._table.slice(0, SHOWN)
        headings = [(field.name, _type(field.type)) for field in first.schema]
        columns = [[_told(value) for value in _cut(column)] for column in first.columns]
        rows = zip(*columns, strict=True) if columns else ()
        body = table(headings, rows, len(self) - first.num_rows)
        return page(f"Result: {len(self):,} rows, {len(headings):,} columns", body)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._table.column_names)

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        return self._table

    def pandas(self) -> pd.DataFrame:
        """As a pandas data frame."""
        return self._table.to_pandas()

    def polars(self) -> pl.DataFrame:
        """As a polars data frame. Raises SqlError where polars is not installed."""
        try:
            import polars as pl
        except ImportError as error:
            raise SqlError(
                "polars is not installed: pip install polars, or take .arrow() or .pandas()"
            ) from error
        made = pl.from_arrow(self._table)
        assert isinstance(made, pl.DataFrame)
        return made

    def rows(self) -> list[dict[str, Any]]:
        """As a list of dicts; times are naive datetimes.

        Raises SqlError where two columns have the same name, since one would be lost.
        """
        twice = [name for name, n in Counter(self.columns).items() if n > 1]
        if twice:
            raise SqlError(
                f"two columns are called {twice[0]!r}, and a row has room for one; name them: "
                f"SELECT a.name AS source, b.name AS target"
            )
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def one(self) -> dict[str, Any]:
        """The only row. Raises SqlError where there is none, or more than one."""
        if len(self) != 1:
            raise SqlError(f"one() is for results of one row, and this one has {len(self):,}")
        return self.rows()[0]


def _type(kind: Any) -> str:
    """The name of a column's type, for a heading."""
    import pyarrow as pa

    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _cut(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without the ends of long texts, which nobody makes Python objects of."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.utf8_slice_codeunits(column, 0, SHOWN_CHARACTERS)
    return column


def _told(value: pa.Scalar) -> Any:
    """One value for a reader: of a list or a struct the first few, of bytes their number."""
    import pyarrow as pa

    if not value.is_valid:
        return None
    if isinstance(value, pa.MapScalar):
        return f"{len(value):,} entries"
    if isinstance(value, pa.StructScalar):
        names = [field.name for field in value.type][:SHOWN_ITEMS]
        items = [f"{name}: {_told(value[place])}" for place, name in enumerate(names)]
        return _bracketed(items, len(value.type), "{}")
    if isinstance(value, pa.ListScalar):
        items = [str(_told(item)) for item in value.values.slice(0, SHOWN_ITEMS)]
        return _bracketed(items, len(value.values), "[]")
    text = isinstance(value, pa.StringScalar | pa.LargeStringScalar)
    if isinstance(value, pa.BinaryScalar) and not text:
        return f"{len(value.as_buffer()):,} bytes"
    try:
        told = value.as_py()
    except (ArithmeticError, ValueError):  # a time that no calendar has
        return str(getattr(value, "value", ""))
    return told if isinstance(told, bool | int | float) else str(told)


def _bracketed(items: list[str], n: int, brackets: str) -> str:
    more = [f"… {n:,} in all"] if n > len(items) else []
    return f"{brackets[0]}{', '.join([*items, *more])}{brackets[1]}"


def _usual(table: pa.Table) -> pa.Table:
    """The table with types that are known everywhere."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type == pa.decimal128(38, 0):
            with suppress(pa.ArrowInvalid):  # it does not fit
                table = table.set_column(place, field.name, table[place].cast(pa.int64()))
        elif field.type == pa.month_day_nano_interval():
            chunks = [_durations(chunk) for chunk in table[place].chunks]
            column = pa.chunked_array(chunks, pa.duration("us"))
            table = table.set_column(place, field.name, column)
    return table


def _durations(intervals: pa.Array) -> pa.Array:
    """Intervals of months, days and ns as µs."""
    import pyarrow as pa

    n, offset = len(intervals), intervals.offset
    parts = np.frombuffer(intervals.buffers()[1], INTERVAL, n + offset)[offset:]
    days = parts["days"].astype(np.int64) + 30 * parts["months"].astype(np.int64)
    us = days * US_PER_DAY + parts["ns"] // 1_000
    return pa.array(us, pa.duration("us"), mask=np.asarray(intervals.is_null()))
