"""What DuckDB scans besides the columns of a source: a few rows at a time, and views of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from populace.ecs.errors import SqlError

if TYPE_CHECKING:
    import pyarrow as pa


class Slot:
    """A few rows under the name of a view: others with each query, registered once, which saves
    0.4 ms a query. DuckDB cannot know how many there are, so that its joins suit small ones."""

    def __init__(self, columns: tuple[str, ...], schema: pa.Schema) -> None:
        self.columns, self._schema = columns, schema
        self.rows: pa.Table | None = None

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        assert self.rows is not None
        return self.rows.__arrow_c_stream__(requested_schema)


@runtime_checkable
class View(Protocol):
    """A view that is read when a query names it."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns."""

    def read(self, columns: Sequence[str], of: Any) -> pa.Table:
        """Some columns, in this order. of: as of `Database.ask`; others' rows may be left out."""


def readable(name: str, data: Any) -> Any:
    """What was given as a view, as something that DuckDB scans as often as it likes."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    if isinstance(data, str | Path | list | tuple):
        try:
            paths = [str(one) for one in data] if isinstance(data, list | tuple) else str(data)
            return ds.dataset(paths, format="parquet", partitioning="hive")
        except (OSError, pa.ArrowInvalid) as error:
            raise SqlError(f"the view {name!r} cannot be read: {error}") from error
    is_dataset = isinstance(data, ds.Dataset)
    if isinstance(data, pa.RecordBatchReader) or not (
        is_dataset or hasattr(data, "__arrow_c_stream__")
    ):
        raise SqlError(
            f"the view {name!r} is an Arrow table, a dataset, a data frame or a path of Parquet "
            f"files, which can be read again and again; got {type(data).__name__}"
        )
    return data
