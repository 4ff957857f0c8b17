"""Sweeps of a column: an array kernel fills one derived field from others, table by table.

    refresh_ties = column_sweep(
        "refresh_ties", (TieState.weight, TieState.last), TieStrength.value, (Clock, Ties), law
    )

`law(world)` gives a kernel and its scalars; it is called as kernel(*columns, *scalars, scratch_b,
out), with slices of the columns, `SCRATCH` f4 numbers to work with, and the slice to fill. A row
kernel (`@kernel`) does the same with less to write; this is for loops that are faster in blocks,
such as those that turn times into f4 first.

Cost: 3 µs a table. From `World.parallel_rows` rows on, each table is shared among the threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .access import Parameter, access_of
from .errors import SystemSignatureError
from .fields import Field
from .system import BoundSystem, Sink, System, read_rules

if TYPE_CHECKING:
    from .table import Table
    from .world import World

SCRATCH = 1024

T = TypeVar("T")

Law = Callable[["World"], tuple[Callable[..., object], tuple[Any, ...]]]


class ColumnSweep(System):
    """A sweep of one column. Made by `column_sweep`."""

    def __init__(
        self,
        name: str,
        reads: tuple[Field, ...],
        fills: Field,
        resources: tuple[type, ...],
        law: Law,
        rules: dict[str, Any],
    ) -> None:
        if not fills.derived:
            raise SystemSignatureError(
                f"sweep {name}: {fills} is not derived; a sweep fills caches"
            )
        self.function = law
        self.name = self.__name__ = name
        self.__doc__ = law.__doc__
        self.rules = rules
        components = dict.fromkeys(made.component for made in reads)
        self.parameters = (
            *(Parameter(f"read {c.__name__}", "read", c) for c in components),
            Parameter("fills", "write", fills.component),
            *(Parameter(f"resource {r.__name__}", "res", r) for r in resources),
        )
        self.access = access_of(self.parameters)
        self.per_table = False
        self.reads, self.fills, self.law = reads, fills, law

    def bind(self, world: World, name: str = "") -> BoundSweep:
        """The sweep as `world` runs it; `.run()` runs it at once, without a schedule."""
        return BoundSweep(self, world, name)


class BoundSweep(BoundSystem):
    """A sweep in one world."""

    def __init__(self, system: ColumnSweep, world: World, name: str = "") -> None:
        super().__init__(system, world, name)
        self.sweep = system
        components = (p.of for p in system.parameters if p.role in ("read", "write"))
        self.query = world.query(*dict.fromkeys(components))
        self.queries.append(self.query)

    def run(self, sink: Sink | None = None) -> tuple[int, int]:
        """Fill the column of every table."""
        world, sweep, tables = self.world, self.sweep, self.query.tables()
        kernel, scalars = sweep.law(world)

        def fill(table: Table, low: int, high: int) -> None:
            part = (table.column(made)[low:high] for made in sweep.reads)
            out = table.column(sweep.fills)[low:high]
            kernel(*part, *scalars, np.empty(SCRATCH, np.float32), out)

        by_rows(world, tables, fill)
        return len(tables), sum(table.n for table in tables)


def by_rows(world: World, tables: Sequence[Table], call: Callable[[Table, int, int], T]) -> list[T]:
    """What `call(table, first row, end)` returns, for shares that hold all rows of the tables: one
    a table and thread of the world, or a table at a time, on this thread, below
    `World.parallel_rows` rows in all."""
    if world.threads == 1 or sum(table.n for table in tables) < world.parallel_rows:
        return [call(table, 0, table.n) for table in tables]
    n = world.threads
    return world.schedule.spread(
        [
            (call, (table, table.n * share // n, table.n * (share + 1) // n))
            for table in tables
            for share in range(n)
        ]
    )


def column_sweep(
    name: str,
    reads: tuple[Any, ...],
    fills: Any,
    resources: tuple[type, ...],
    law: Law,
    **rules: Any,
) -> ColumnSweep:
    """A system that fills the derived field `fills` from the fields `reads`.

    resources: what `law` reads beside the columns. law: see the top of this file; its docstring is
    the system's. rules: as of `system`. Raises SystemSignatureError, ScheduleError.
    """
    return ColumnSweep(name, reads, fills, resources, law, read_rules(**rules))
