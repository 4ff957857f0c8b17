"""`@kernel`: a system written for one row, compiled and fused into one loop over the columns.

    @kernel
    def move(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]):
        position.x += velocity.x * clock.dt_s

The signature is that of an array system. Every matching table is visited in one compiled call, so
many small archetypes cost little more than one large one; from `World.parallel_rows` rows the call
is split over the world's threads. Rows are independent, so no split can change a bit.

What a row function may contain: see `rowcode.py`. Cost: 60 to 150 ms to compile at the first run
on a machine, 5 ms from the cache; then under 1 µs a run beyond the loop.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from .compiled import RowLoop, compile_rows
from .component import schema
from .errors import SystemSignatureError
from .rowcode import RowSource, translate
from .rows import fill_bytes
from .system import BoundSystem, Sink, System, query_of, read_rules
from .table import EVERYONE, IDS, Key, Table
from .text import TextPool

if TYPE_CHECKING:
    from .world import World

F = TypeVar("F", bound=Callable[..., Any])
Known = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[int]]
"""The `raw` of a table, of which the columns that a loop takes, (c, 2), and their doors."""
Part = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # pointers (t, c), counts (t,)

_ROLES = frozenset({"read", "write", "res", "id", "with", "without", "any"})


class KernelSystem(System):
    """A row function as a system. Made by `@kernel`; calling it runs one row in plain Python."""

    def __init__(
        self, function: Callable[..., Any], names: dict[str, Any], rules: dict[str, Any]
    ) -> None:
        super().__init__(function, names, rules)
        for parameter in self.parameters:
            if parameter.role not in _ROLES:
                raise SystemSignatureError(
                    f"kernel {self.name}, parameter {parameter.name!r}: a row function takes "
                    f"Read[C], Write[C], Res[R], Id, With[C], Without[C] and AnyOf[...]; write an "
                    f"array system (@system) for anything else"
                )
        self.access.writes.discard(TextPool)  # a row function knows codes only
        if not self.per_table:
            raise SystemSignatureError(f"kernel {self.name} reads and writes no component")
        self.rows: RowSource = self._translate()

    @cached_property
    def loop(self) -> RowLoop:
        """The compiled loop: one for all worlds."""
        return RowLoop(compile_rows(self.rows), len(self.rows.scalars), self.rows.origin)

    def _translate(self) -> RowSource:
        fields = {
            p.name: {f.name: (f.dtype, f.width) for f in schema(p.of).fields}
            for p in self.parameters
            if p.role in ("read", "write")
        }
        fields |= {
            p.name: {"": (np.dtype(np.uint64), 0)} for p in self.parameters if p.role == "id"
        }

        def named(*roles: str) -> frozenset[str]:
            return frozenset(p.name for p in self.parameters if p.role in roles)

        rows = translate(
            self.function, fields, named("write"), named("res"), named("with", "without", "any")
        )
        of = {p.name: p.of for p in self.parameters}
        for column in rows.columns:
            sealed = column.writes and getattr(of[column.parameter], column.field).sealed
            if sealed:
                raise SystemSignatureError(f"kernel {self.name} writes a column in place: {sealed}")
        return rows

    def bind(self, world: World, name: str = "") -> KernelRun:
        """The kernel as `world` runs it; `.run()` runs it at once, without a schedule."""
        return KernelRun(self, world, name)


class KernelRun(BoundSystem):
    """A kernel in one world: the addresses of all its columns, worked out after each structural
    change, and one call."""

    def __init__(self, system: KernelSystem, world: World, name: str = "") -> None:
        super().__init__(system, world, name)
        self.query = query_of(world, system.parameters)
        self.queries.append(self.query)
        rows, of = system.rows, {p.name: p.of for p in system.parameters}
        self._keys: list[Key] = [
            getattr(of[c.parameter], c.field) if c.field else IDS for c in rows.columns
        ]
        self._written = [key for key, c in zip(self._keys, rows.columns, strict=True) if c.writes]
        self._scalars = [(of[s.parameter], s.attribute) for s in rows.scalars]
        self._loop = system.loop
        self._seen = -1
        self._known: dict[int, Known] = {}
        self._parts: list[Part] = []
        self._doors = np.empty(0, np.int64)
        self._visited = (0, 0)

    def _look(self) -> None:
        world, tables = self.world, self.query.tables()
        known = [self._columns(table) for table in tables]
        columns = [columns for _, columns, _ in known]
        counts = [table.n for table in tables]
        total = sum(counts)
        n_parts = world.threads if total >= world.parallel_rows else 1
        self._parts = split(columns, np.array(counts, np.int64), n_parts)
        self._doors = np.array([door for *_, doors in known for door in doors], np.int64)
        self._visited = (len(tables), total)
        self._seen = self.query.filter.version

    def _columns(self, table: Table) -> Known:
        """What the loop takes of a table, good until it has other buffers."""
        known = self._known.get(table.number)
        if known is None or known[0] is not table.raw:
            place = table.archetype.place
            found = table.raw.take([place[key] for key in self._keys], axis=0)
            doors = table.doors([place[key] for key in self._written])
            known = self._known[table.number] = (table.raw, found, doors)
        return known

    def _read_scalars(self) -> tuple[Any, ...]:
        get = self.world.resources.get
        return tuple([getattr(get(cls), attribute) for cls, attribute in self._scalars])

    def run(self, sink: Sink | None = None) -> tuple[int, int]:
        """Visit every row of every matching table."""
        self.query.tables()
        if self._seen != self.query.filter.version:
            self._look()
        fill_bytes(self._doors, EVERYONE)
        scalars = self._read_scalars() if self._scalars else ()
        parts = self._parts
        if len(parts) == 1:
            self._loop.call(parts[0] + scalars)
        elif parts:
            self.world.schedule.spread([(self._loop.call, (part + scalars,)) for part in parts])
        return self._visited


def split(raw: list[npt.NDArray[np.int64]], n: npt.NDArray[np.int64], n_parts: int) -> list[Part]:
    """Pointers and counts for each of n_parts calls that together visit every row once.

    raw: for each table its columns, (c, 2) address and bytes a row. n: rows of each table.
    """
    if not raw:
        return []
    columns = np.array(raw)
    addresses, sizes = columns[:, :, 0], columns[:, :, 1]
    if n_parts == 1:
        return [(np.ascontiguousarray(addresses), n)] if len(addresses) else []
    starts = np.concatenate([[0], np.cumsum(n)])
    bounds = np.linspace(0, starts[-1], n_parts + 1).astype(np.int64)
    parts = []
    for low, high in itertools.pairwise(bounds):
        begin = np.clip(low - starts[:-1], 0, n)
        count = np.clip(high - starts[:-1], 0, n) - begin
        some = count > 0
        if some.any():
            pointers = np.ascontiguousarray((addresses + begin[:, None] * sizes)[some])
            parts.append((pointers, np.ascontiguousarray(count[some])))
    return parts


@overload
def kernel(function: F, /) -> F: ...


@overload
def kernel(**rules: Any) -> Callable[[F], F]: ...


def kernel(function: Any = None, /, **rules: Any) -> Any:
    """Make a row function a system. Takes the rules of `system`.

    Raises KernelError for what cannot be compiled, SystemSignatureError, ScheduleError.

    >>> from populace import Clock, Read, Res, World, Write, component, f4, kernel, seconds
    >>> @component
    ... class Body:
    ...     x: f4 = 0
    ...     speed: f4 = 2
    >>> @kernel
    ... def move(body: Write[Body], clock: Res[Clock]):
    ...     if body.speed > 1:
    ...         body.x += body.speed * clock.dt_s
    >>> world = World()
    >>> _ = world.spawn(2, Body)
    >>> world.add_system(move)
    >>> world.step(seconds(3))
    >>> world.query(Body).gather(Body.x).tolist()
    [6.0, 6.0]
    """
    names = dict(sys._getframe(1).f_locals)
    checked = read_rules(**rules)

    def make(made: Callable[..., Any]) -> KernelSystem:
        return KernelSystem(made, names, dict(checked))

    return make if function is None else make(function)
