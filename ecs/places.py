"""Where entities are, for kernels that read and write some rows in the order of events.

    for part in world.at(ids):
        decay(part.rows, times[part.at], part.read(TieState.last), part.write(TieState.weight))

Ids may repeat, and each part keeps their order. Good until the next structural change, and to write
until the next mark: changes of tracked components are looked for then.
Cost: 0.5 to 5 ns an id, and about 4 more where they are of several tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .component import schema
from .entities import Ids, by_table
from .errors import ComponentMissingError, QueryError
from .fields import Field
from .query import check_field
from .rows import Rows
from .table import Array, Table

if TYPE_CHECKING:
    from .store import Store


class Places:
    """The rows of one table that some ids name.

    at: index into the ids, a slice for all of them. rows: (k,) u4, in the order of the ids.
    """

    __slots__ = ("_store", "_table", "at", "rows")

    def __init__(self, store: Store, table: Table, at: Any, rows: Rows) -> None:
        self._store, self._table, self.at, self.rows = store, table, at, rows

    def __len__(self) -> int:
        return int(self.rows.size)

    def has(self, component: type) -> bool:
        """Whether these rows have a component. Raises UnknownComponentError."""
        schema(component)
        return component in self._table.archetype.components

    def read(self, field: Field) -> Array:
        """The whole column of a field, to be indexed by `rows`; do not write to it.

        Raises ComponentMissingError, QueryError for anything but a field.
        """
        check_field(field, "read")
        if field not in self._table.archetype.place:
            raise ComponentMissingError(
                f"entity {int(self._table.buffers[0][self.rows[0]])} has no "
                f"{field.component.__name__}; it has {self._table.archetype}"
            )
        return self._table.column(field)

    def write(self, field: Field) -> Array:
        """The same, to write the elements at `rows` in place. Ranges are the writer's care.

        Raises ComponentMissingError, QueryError for an indexed or a fixed field.
        """
        check_field(field, "write")
        if field.sealed:
            raise QueryError(field.sealed)
        column = self.read(field)
        self._store.changes.opened(self._table, field.component, self.rows)
        return column


def places(store: Store, ids: Ids) -> Iterator[Places]:
    """The tables that living ids are in, and their rows there. Raises DeadEntityError."""
    rows, tables, together, _ = store.entities.resolve(ids)
    if not ids.size:
        return
    if together:
        yield Places(store, store.tables[tables[0]], slice(None), rows)
        return
    for number, at, its in by_table(tables, rows):
        yield Places(store, store.tables[number], at, its)
