"""Rows addressed: which rows of which tables an operation is about, and which values are theirs.

Invariant: a batch names living entities, each once, as they are until the next structural change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .entities import Ids
from .fields import Field
from .rows import Rows
from .table import Archetype, Array, Table

Values = dict[Field, Array]


@dataclass(slots=True)
class Group:
    """Some rows of one table, and which of the batch's values are theirs.

    rows: (k,) u4 in the batch's order, or None for the whole table. take: index into the batch.
    ordered: the rows ascending, once somebody has asked.
    """

    table: Table
    rows: Rows | None
    take: Any
    ordered: Rows | None = None

    @property
    def size(self) -> int:
        """How many rows."""
        return self.table.n if self.rows is None else int(self.rows.size)

    @property
    def ids(self) -> Ids:
        """Their ids, in the batch's order; of a whole table the column itself, so copy what is to
        outlive the next structural change."""
        ids = self.table.buffers[0]
        return ids[: self.table.n] if self.rows is None else ids.take(self.rows)

    def column(self, field: Field) -> Array:
        """Their values of a field, a copy."""
        column = self.table.column(field)
        return column.copy() if self.rows is None else column.take(self.rows, axis=0)

    def sorted_rows(self) -> Rows:
        """The rows, ascending."""
        if self.ordered is None:
            if self.rows is None:
                self.ordered = np.arange(self.table.n, dtype=np.uint32)
            else:
                self.ordered = self.rows.copy()
                self.ordered.sort()
        return self.ordered


@dataclass(slots=True)
class Batch:
    """Distinct living entities, by table: what every operation on existing entities takes."""

    groups: list[Group]
    n: int

    @property
    def ids(self) -> Ids:
        """All ids, by table: a copy."""
        return np.concatenate([np.empty(0, np.uint64), *(g.ids for g in self.groups)])


@dataclass(slots=True)
class NewRows:
    """Rows in the slack of a table, all checked, not yet entities."""

    archetype: Archetype
    n: int
    buffers: list[Array]
    capacity: int
    keys: list[Any]
