"""What SQL is asked of: the contract of a source, and a living world.

A source shows views: the tables and logs of its catalogue, and `clock`. Of a view the columns that
a query names are built, and no others; of a world they are its own columns, not copies.

Invariants: while a world's source is held, the world stands still: structural changes and steps of
other threads wait, so everything asked meanwhile is of one moment. What is shown is never written
to, and of a world nothing is kept.
Cost: 10 µs to hold a world; then as `frames.py`. The rows of an owner are found by the index of the
reference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from populace.ecs import Clock, Field, World
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import SqlError
from populace.ecs.image import Image, capture

from .frames import Frames, Texts, schema_of
from .tables import Log, Table

if TYPE_CHECKING:
    import pyarrow as pa

Spec = Table | Log
Rows = dict[int, npt.NDArray[Any]]
"""Rows wanted, by number of an image's table."""

CLOCK = "clock"
TICK, TIME = "tick", "time"
ROW = "row"
"""The column of a log that numbers its events from 0, in the order of emission."""
FIRST_ID = 2**32
"""No id is less; no number of an agent is as much."""


@dataclass(frozen=True)
class Catalogue:
    """Which views an image has, and what belongs to whom.

    specs: the tables and logs of an image, by name. owners: of the views whose rows belong to
    agents, the name of the column with the owner's number, which its references lead to.
    """

    specs: Callable[[Image], Mapping[str, Spec]]
    owners: Mapping[str, str] = field(default_factory=dict)


class Source(ABC):
    """Something to ask SQL of."""

    lasting: ClassVar[bool] = False
    """Whether what it shows stays as it is, so that whoever asked may keep it."""
    settings: ClassVar[Mapping[str, str]] = {}
    """What DuckDB should be told to suit it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    @abstractmethod
    def hold(self) -> AbstractContextManager[Any]:
        """Let nothing change. Everything else is for whoever holds it."""

    @property
    @abstractmethod
    def specs(self) -> Mapping[str, Spec]:
        """The tables and logs that there are, by name."""

    @abstractmethod
    def arrow(self, view: str, columns: Sequence[str], of: Any = None) -> Any:
        """The rows of a view, as something that DuckDB scans.

        of: agents by number or by id, whose rows alone are wanted of a view that `restricts`.
        """

    @property
    def views(self) -> dict[str, tuple[str, ...]]:
        """The names of the columns of each view, in order."""
        shown: dict[str, tuple[str, ...]] = {CLOCK: (TICK, TIME)}
        for name, spec in self.specs.items():
            own = tuple(spec.by_name)
            shown[name] = (ROW, *own) if isinstance(spec, Log) else own
        return shown

    def schema(self, view: str, columns: Sequence[str] | None = None) -> pa.Schema:
        """Names and types of columns of a view, all of them for None."""
        import pyarrow as pa

        if view == CLOCK:
            return clock_schema(columns)
        names = self.views[view] if columns is None else columns
        kinds = schema_of(self.specs[view], [name for name in names if name != ROW])
        return pa.schema([_row_field() if name == ROW else kinds.field(name) for name in names])

    @abstractmethod
    def pick(self, view: str, columns: Sequence[str], keys: Ids) -> pa.Table:
        """The rows of some entities, or of a log those of some numbers, in any order."""

    def restricts(self, view: str) -> bool:
        """Whether the rows of a view belong to agents."""
        return view in self.catalogue.owners


class WorldSource(Source):
    """A living world, as it is at the moment of asking."""

    def __init__(self, catalogue: Catalogue, world: World) -> None:
        super().__init__(catalogue)
        self.world = world
        self._texts = Texts()
        self._shown: tuple[Frames, Mapping[str, Spec]] | None = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """See `Source.hold`; the thread that holds it may hold it again."""
        with self.world.store.moment:
            before = self._shown
            image = capture(self.world, whole=False)
            self._shown = Frames(image, self._texts), self.catalogue.specs(image)
            try:
                yield
            finally:
                self._shown = before

    def _held(self) -> tuple[Frames, Mapping[str, Spec]]:
        assert self._shown is not None, "the source is not held"
        return self._shown

    @property
    def specs(self) -> Mapping[str, Spec]:
        """See `Source.specs`."""
        return self._held()[1]

    def arrow(self, view: str, columns: Sequence[str], of: Any = None) -> Any:
        """The world's own columns, as far as they are."""
        frames, specs = self._held()
        if view == CLOCK:
            return clock_table([frames.image.clock], columns)
        spec = specs[view]
        if self.world.stale and not self.world.store.locked and shows_derived(spec, columns):
            self.world.refresh()
        rows = None
        if of is not None and self.restricts(view):
            path, number = owner_path(spec, self.catalogue.owners[view])
            owners = agents_of(frames.image, number, of)
            rows = self._rows_of(frames.image, spec, path, owners)
        return numbered_frame(frames, spec, columns, rows)

    def pick(self, view: str, columns: Sequence[str], keys: Ids) -> pa.Table:
        """See `Source.pick`. O(keys)."""
        frames, specs = self._held()
        rows = {0: keys} if isinstance(specs[view], Log) else self._located(keys)
        return numbered_frame(frames, specs[view], columns, rows)

    def _rows_of(self, image: Image, spec: Spec, path: tuple[Field, ...], owners: Ids) -> Rows:
        if isinstance(spec, Log):
            return log_rows(image, spec, path[0], owners)
        for reference in reversed(path):
            owners = self.world.index(reference).of(owners, sort=False).ids
        return self._located(owners)

    def _located(self, ids: Ids) -> Rows:
        groups = self.world.store.locate(ids).groups
        return {group.table.number: group.sorted_rows() for group in groups}


# -- who is meant --------------------------------------------------------------------------------


def owner_path(spec: Spec, column: str) -> tuple[tuple[Field, ...], Field]:
    """(the references from a row to its owner, the field with the owner's number)."""
    found = spec.by_name[column]
    assert found.field is not None
    return found.path, found.field


def agents_of(image: Image, number: Field, of: Any, *, lenient: bool = False) -> Ids:
    """(k,) u8, distinct: the ids of agents that are named by number or by id.

    Raises SqlError for what names none of the image's, unless lenient.
    """
    asked = np.unique(as_ids(of, "of"))
    numbers, ids = asked[asked < FIRST_ID], asked[asked >= FIRST_ID]
    found = [np.empty(0, np.uint64)]
    known = [np.empty(0, np.uint64)]
    for held in image.tables:
        if held.n and number.component in held.components:
            if numbers.size:
                column = held.columns[number]
                at = np.flatnonzero(np.isin(column, numbers))
                found.append(held.ids[at])
                known.append(column[at].astype(np.uint64))
            if ids.size:
                found.append(held.ids[np.isin(held.ids, ids)])
                known.append(found[-1])
    lost = asked[~np.isin(asked, np.concatenate(known))]
    if lost.size and not lenient:
        raise SqlError(
            f"of= names agents by number or by id, and none has {int(lost[0])}; "
            f"SELECT agent, entity, name FROM agents shows them all"
        )
    return np.unique(np.concatenate(found))


def log_rows(image: Image, log: Log, reference: Field, owners: Ids) -> Rows:
    """The events that name one of the owners."""
    for journal in image.journals:
        if journal.event is log.event:
            return {0: np.flatnonzero(np.isin(journal.columns[reference.name], owners))}
    return {}


# -- what is shown -------------------------------------------------------------------------------


def shows_derived(spec: Spec, columns: Collection[str]) -> bool:
    """Whether one of these columns shows a derived field."""
    fields = (spec.by_name[name].field for name in columns if name in spec.by_name)
    return any(made is not None and made.derived for made in fields)


def numbered_frame(
    frames: Frames, spec: Spec, columns: Sequence[str], rows: Rows | None = None
) -> pa.Table:
    """A frame; of a log, with the numbers of its events where they are wanted."""
    import pyarrow as pa

    if ROW not in columns:
        return frames.frame(spec, columns, rows=rows)
    made = frames.frame(spec, [name for name in columns if name != ROW], rows=rows)
    numbers = np.arange(frames.n_rows(spec)) if rows is None else rows.get(0, np.arange(0))
    row = pa.chunked_array([pa.array(numbers, pa.int64())])
    fields = [_row_field() if name == ROW else made.schema.field(name) for name in columns]
    shown = [row if name == ROW else made[name] for name in columns]
    return pa.Table.from_arrays(shown, schema=pa.schema(fields))


def _row_field() -> pa.Field:
    import pyarrow as pa

    return pa.field(ROW, pa.int64())


def clock_schema(columns: Sequence[str] | None = None) -> pa.Schema:
    """Of the view `clock`."""
    import pyarrow as pa

    kinds = {TICK: pa.int64(), TIME: pa.timestamp("us")}
    return pa.schema([(name, kinds[name]) for name in columns or kinds])


def clock_table(clocks: Sequence[Clock], columns: Sequence[str]) -> pa.Table:
    """The view `clock`: one row for each moment."""
    import pyarrow as pa

    told = {TICK: [clock.tick for clock in clocks], TIME: [clock.now for clock in clocks]}
    schema = clock_schema(columns)
    return pa.table({name: told[name] for name in schema.names}, schema=schema)
