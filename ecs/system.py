"""Systems: functions whose signature is their access set.

    @system(every=hours(1))
    def refresh(energy: Read[SocialEnergy], now: Write[EnergyNow], clock: Res[Clock]):
        now.level[:] = energy.level + RATE * (clock.now - energy.since)

A function with `Read`, `Write` or `Id` parameters is called once for each matching table with
rows, with views; any other once a run. Inside, structure changes only through `Commands`.
Cost: about 1 µs a run and 1 µs a table beyond the function itself.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from .access import Access, Emit, Parameter, access_of, read_signature
from .commands import Commands
from .errors import ScheduleError, SystemSignatureError
from .query import Query
from .random import Rng

if TYPE_CHECKING:
    from .events import EventReader
    from .world import World

F = TypeVar("F", bound=Callable[..., Any])
RunIf = Callable[["World"], bool]


class Sink(Protocol):
    """Where a running system's commands and events go until the next sync point."""

    commands: Commands

    def emit(self, value: Any) -> None:
        """Hold events back."""


class System:
    """A declared system: function, signature, and when it runs. Made by `@system`.

    Calling it calls the function.
    """

    def __init__(
        self, function: Callable[..., Any], names: dict[str, Any], rules: dict[str, Any]
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise SystemSignatureError(f"@system decorates a function, got {function!r}")
        self.function = function
        self.name: str = rules.pop("name", None) or function.__name__
        self.__name__ = self.name
        self.__doc__ = function.__doc__
        self.rules = rules
        self.parameters = read_signature(function, names)
        self.access: Access = access_of(self.parameters)
        roles = {p.role for p in self.parameters}
        self.per_table = bool(roles & {"read", "write", "optional_read", "optional_write", "id"})
        if self.per_table and "rows" in roles:
            raise SystemSignatureError(
                f"system {self.name}: Rows[...] beside Read, Write or Id leaves open how often it "
                f"is called; put them all into Rows[...]"
            )
        _refuse_twice(self.name, self.parameters)
        if self.access.exclusive and roles - {"world", "events", "res", "rng"}:
            raise SystemSignatureError(
                f"system {self.name}: World is everything; beside it take only Events, Res and Rng"
            )

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function itself, as a test does."""
        return self.function(*arguments, **keywords)

    def __repr__(self) -> str:
        return f"<System {self.name}>"

    def bind(self, world: World, name: str = "") -> BoundSystem:
        """The system as `world` runs it, under its own name or another."""
        bound = TableSystem if self.per_table else SingleSystem
        return bound(self, world, name)


class BoundSystem(ABC):
    """One system in one world. `run` returns (tables visited, rows visited)."""

    def __init__(self, system: System, world: World, name: str = "") -> None:
        self.system, self.world, self.name = system, world, name or system.name
        self.queries: list[Query] = []
        self.readers: dict[str, EventReader] = {
            p.name: world.event_queues.queue(p.of).reader()
            for p in system.parameters
            if p.role == "events"
        }

    def rows(self) -> int:
        """How many rows a run would visit now."""
        return sum(query.count() for query in self.queries)

    @abstractmethod
    def run(self, sink: Sink) -> tuple[int, int]:
        """Do the work."""

    def source(self, parameter: Parameter) -> Callable[[Sink], Any]:
        """Where a parameter that does not depend on a table comes from at each run."""
        role, world, of = parameter.role, self.world, parameter.of
        if role in ("res", "res_mut"):
            get = world.resources.get
            return lambda sink: get(of)
        if role == "events":
            read = self.readers[parameter.name].read
            return lambda sink: read()
        if role == "emit":
            return lambda sink: Emit(of, sink.emit)
        if role == "commands":
            return lambda sink: sink.commands
        if role == "rng":
            return lambda sink: Rng(world.seed, self.name, world.clock.now)
        if role == "world":
            return lambda sink: world
        return lambda sink: None


class TableSystem(BoundSystem):
    """Called once for each matching table.

    The views of all tables are made anew only after a structural change of one of them.
    """

    def __init__(self, system: System, world: World, name: str = "") -> None:
        super().__init__(system, world, name)
        self.query = query_of(world, system.parameters)
        self.queries.append(self.query)
        order = [*self.query.fetch, *self.query.optional]
        roles = ("read", "write", "optional_read", "optional_write")
        numbered = list(enumerate(system.parameters))
        self._views = [(n, order.index(p.of)) for n, p in numbered if p.role in roles]
        self._ids = [n for n, p in numbered if p.role == "id"]
        self._others = [
            (n, self.source(p))
            for n, p in numbered
            if p.role in ("res", "res_mut", "events", "emit", "commands", "rng")
        ]
        self._seen = -1
        self._arguments: list[list[Any]] = []
        self._visited = (0, 0)

    def _look(self) -> None:
        """For each table the arguments of its call, those filled in that depend on it."""
        self._arguments, rows = [], 0
        for table in self.query.tables():
            views = self.query.views(table)
            arguments: list[Any] = [None] * len(self.system.parameters)
            for place, which in self._views:
                arguments[place] = views[which]
            for place in self._ids:
                arguments[place] = table.ids
            self._arguments.append(arguments)
            rows += table.n
        self._visited = (len(self._arguments), rows)
        self._seen = self.query.filter.version

    def run(self, sink: Sink) -> tuple[int, int]:
        """Call the function for each table."""
        self.query.tables()
        if self._seen != self.query.filter.version:
            self._look()
        given = [(place, source(sink)) for place, source in self._others]
        function = self.system.function
        for arguments in self._arguments:
            for place, value in given:
                arguments[place] = value
            function(*arguments)
        return self._visited


class SingleSystem(BoundSystem):
    """Called once a run; `Rows` parameters are queries."""

    def __init__(self, system: System, world: World, name: str = "") -> None:
        super().__init__(system, world, name)
        self._rows = {
            p.name: query_of(world, p.parts) for p in system.parameters if p.role == "rows"
        }
        self.queries += self._rows.values()

    def run(self, sink: Sink) -> tuple[int, int]:
        """Call the function."""
        arguments = [
            self._rows[p.name] if p.role == "rows" else self.source(p)(sink)
            for p in self.system.parameters
        ]
        self.system.function(*arguments)
        return len(self.queries), self.rows()


def _refuse_twice(name: str, parts: tuple[Parameter, ...]) -> None:
    taken = [p.of for p in parts if p.role.endswith(("read", "write"))]
    for of in taken:
        if taken.count(of) > 1:
            raise SystemSignatureError(
                f"system {name} takes {of.__name__} twice; one Write[{of.__name__}] reads as well"
            )
    for part in parts:
        _refuse_twice(name, part.parts if part.role == "rows" else ())


def query_of(world: World, parts: tuple[Parameter, ...]) -> Query:
    """The query that a signature describes; only what it writes is writable."""

    def classes(*roles: str) -> tuple[type, ...]:
        return tuple(p.of for p in parts if p.role in roles)

    fetch, optional = classes("read", "write"), classes("optional_read", "optional_write")
    return Query(
        world,
        fetch,
        with_=classes("with"),
        without=classes("without"),
        optional=optional,
        any_=tuple(c for p in parts if p.role == "any" for c in p.parts),
        writable=classes("write", "optional_write"),
    )


def read_rules(
    *,
    name: str | None = None,
    phase: str | None = None,
    before: Any = (),
    after: Any = (),
    every: int | None = None,
    fixed_step: int | None = None,
    run_if: RunIf | None = None,
) -> dict[str, Any]:
    """When a system runs, checked.

    Raises ScheduleError.
    """
    for label, interval in (("every", every), ("fixed_step", fixed_step)):
        whole = isinstance(interval, int) and not isinstance(interval, bool)
        if interval is not None and (not whole or interval <= 0):
            raise ScheduleError(
                f"{label} is simulated time in whole µs, > 0, as hours(1) gives; got {interval!r}"
            )
    if every is not None and fixed_step is not None:
        raise ScheduleError("a system has `every` or `fixed_step`, not both")
    given = {
        "name": name, "phase": phase, "before": before, "after": after, "every": every,
        "fixed_step": fixed_step, "run_if": run_if,
    }  # fmt: skip
    return {key: value for key, value in given.items() if value not in (None, ())}


@overload
def system(function: F, /) -> F: ...


@overload
def system(**rules: Any) -> Callable[[F], F]: ...


def system(function: Any = None, /, **rules: Any) -> Any:
    """Make a function a system.

    name: for plan and telemetry (default: the function's). phase: "first", "update" (default) or
    "last", or one of the world's own. before, after: systems or names in the same phase. every:
    simulated µs; runs in a step that crosses a multiple of it. fixed_step: simulated µs; runs once
    for each multiple that a step crosses, with the clock set to it. run_if: gets the world.

    Raises SystemSignatureError, ScheduleError.

    >>> from populace import Read, Write, World, component, f4, system
    >>> @component
    ... class Body:
    ...     x: f4 = 0
    ...     speed: f4 = 1
    >>> @system
    ... def move(body: Write[Body]):
    ...     body.x += body.speed
    >>> world = World()
    >>> _ = world.spawn(2, Body)
    >>> world.add_system(move)
    >>> world.step(1)
    >>> world.query(Body).gather(Body.x).tolist()
    [1.0, 1.0]
    """
    names = dict(sys._getframe(1).f_locals)
    checked = read_rules(**rules)

    def make(made: Callable[..., Any]) -> System:
        return System(made, names, dict(checked))

    return make if function is None else make(function)
