"""What SQL is asked of: a run, as all the snapshots in a directory.

Views are those of a snapshot with the columns `tick` and `time` before the others: a row for each
entity in each snapshot. Logs have no `tick`, they are those of the newest snapshot, since a journal
holds what happened from its beginning, and every event would be there many times. `clock` has a row
for each snapshot.

Snapshots are read one after the other while a query runs, only in the columns that it names, and
let go again: memory holds one of them at a time. What is shown is what is there when the query is
asked; a snapshot that is damaged, or deleted meanwhile, ends it with an error that names the file.
Joins are made in the order of the query: the larger view stands first, `memories JOIN agents`.
Cost: as reading those columns of every snapshot, once for each time that a query names the view.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from populace.ecs.clock import Clock
from populace.ecs.entities import Ids
from populace.ecs.errors import PopulaceError, SnapshotError, SqlError
from populace.ecs.image import Image

from .imagesource import ImageSource
from .snapshot import Snapshots
from .source import (
    CLOCK,
    TICK,
    TIME,
    Catalogue,
    Source,
    Spec,
    clock_schema,
    clock_table,
)
from .tables import Log

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class _Held:
    """What one query sees: the snapshots, and the newest of them; and what went wrong with them."""

    numbers: Sequence[int]
    newest: ImageSource
    failure: PopulaceError | None = None


class HistorySource(Source):
    """All snapshots of a directory. derive: as of an `ImageSource`, for each of them."""

    # DuckDB takes a stream for one row and would put the larger side of a join into memory as often
    # as not (10M rows joined to 10,000: 0.5 s; in the order of the query 0.23 s).
    settings: ClassVar[dict[str, str]] = {"disabled_optimizers": "join_order,build_side_probe_side"}

    def __init__(
        self,
        catalogue: Catalogue,
        snapshots: Snapshots,
        derive: Callable[[Image], Image] | None = None,
    ) -> None:
        super().__init__(catalogue)
        self.snapshots = snapshots
        self._derive = derive
        self._of_thread = threading.local()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Settle which snapshots there are. Raises SnapshotError where there is none."""
        numbers = self.snapshots.numbers()
        if not numbers:
            raise SnapshotError(f"{self.snapshots.files.location}: holds no snapshot to ask of")
        before = getattr(self._of_thread, "held", None)
        held = self._of_thread.held = _Held(numbers, self.open(numbers[-1]))
        try:
            yield
        except SqlError as error:
            if held.failure is not None:
                raise held.failure from error
            raise
        finally:
            self._of_thread.held = before

    @property
    def held(self) -> _Held:
        """What this thread's query sees."""
        held: _Held | None = getattr(self._of_thread, "held", None)
        assert held is not None, "the source is not held"
        return held

    @property
    def specs(self) -> Mapping[str, Spec]:
        """Those of the newest snapshot."""
        return self.held.newest.specs

    @property
    def views(self) -> dict[str, tuple[str, ...]]:
        """See `Source.views`."""
        shown = super().views
        for view, spec in self.specs.items():
            if not isinstance(spec, Log):
                shown[view] = (TICK, TIME, *shown[view])
        return shown

    def schema(self, view: str, columns: Sequence[str] | None = None) -> pa.Schema:
        """See `Source.schema`."""
        import pyarrow as pa

        if view == CLOCK or isinstance(self.specs[view], Log):
            return super().schema(view, columns)
        kinds = {one.name: one for one in (*clock_schema(), *self.held.newest.schema(view))}
        return pa.schema([kinds[name] for name in columns or kinds])

    def arrow(self, view: str, columns: Sequence[str], of: Any = None) -> Any:
        """A stream that can be read again: each time it reads the snapshots anew."""
        if view == CLOCK:
            manifests = map(self.snapshots.manifest, self.held.numbers)
            clocks = [Clock(now=manifest.now_us, tick=manifest.tick) for manifest in manifests]
            return clock_table(clocks, columns)
        if isinstance(self.specs[view], Log):
            return self.held.newest.arrow(view, columns, of)
        return _Stream(self, view, columns, of)

    def pick(self, view: str, columns: Sequence[str], keys: Ids) -> pa.Table:
        """Raises SqlError: an entity has a row in each snapshot."""
        raise SqlError(
            "pages are of one moment: a world or one snapshot, as Snapshots(directory).open() "
            "gives; a directory is for sql()"
        )

    def open(self, number: int) -> ImageSource:
        """One snapshot; classes that this program does not have are made of their description."""
        image = self.snapshots.open(number, unknown="make").image()
        return ImageSource(self.catalogue, image, self._derive, lenient=True)


class _Stream:
    """One view's rows in snapshot after snapshot, as DuckDB reads them."""

    def __init__(self, source: HistorySource, view: str, columns: Sequence[str], of: Any) -> None:
        self.source, self.view, self.of = source, view, of
        self.held = source.held
        self.schema = source.schema(view, columns)

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for number in self.held.numbers:
                yield from self._batches_of(number)
        except PopulaceError as error:
            self.held.failure = error
            raise

    def _batches_of(self, number: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        newest = number == self.held.numbers[-1]
        source = self.held.newest if newest else self.source.open(number)
        own = [name for name in self.schema.names if name not in (TICK, TIME)]
        table = source.arrow(self.view, own or source.views[self.view][:1], self.of)
        clock = source.image.clock
        shared = {TICK: clock.tick, TIME: clock.now}
        for batch in table.to_batches():
            columns = [
                pa.repeat(pa.scalar(shared[one.name], one.type), batch.num_rows)
                if one.name in shared
                else batch.column(one.name)
                for one in self.schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
