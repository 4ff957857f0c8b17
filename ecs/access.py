"""The words a system's signature is written in, and what they add up to.

    def refresh(energy: Read[SocialEnergy], now: Write[EnergyNow], clock: Res[Clock]): ...

For a type checker `Read[C]`, `Write[C]`, `Res[R]` and `Events[E]` are simply C, R and E.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar, TypeVarTuple, Union

from .commands import Commands
from .component import schema
from .entities import Ids
from .errors import PopulaceError, SystemSignatureError
from .random import Rng
from .text import TextPool

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Read = Annotated[T, "read"]
Write = Annotated[T, "write"]
Res = Annotated[T, "res"]
ResMut = Annotated[T, "res_mut"]
Events = Annotated[T, "events"]
Id = Annotated[Ids, "id"]


class Emit(Generic[T]):
    """Emits events of one type from a system: `emit(Contact(source=..., target=...))`."""

    __slots__ = ("_of", "_sink")

    def __init__(self, of: type[T], sink: Callable[[T], object]) -> None:
        self._of, self._sink = of, sink

    def __call__(self, events: T) -> None:
        """Emit a batch; readers see it when the stage ends.

        Raises SystemSignatureError for events of another type than the signature says.
        """
        cls = events if isinstance(events, type) else type(events)
        if cls is not self._of:
            raise SystemSignatureError(
                f"Emit[{self._of.__name__}] got {cls.__name__}; declare Emit[{cls.__name__}] too"
            )
        self._sink(events)


class With(Generic[T]):
    """Only entities that have the component; the argument is None."""


class Without(Generic[T]):
    """Only entities that lack the component; the argument is None."""


class AnyOf(Generic[*Ts]):
    """Only entities that have at least one of the components; the argument is None."""


class Rows(Generic[*Ts]):
    """All matching tables at once, as a query: `rows: Rows[Read[A], Write[B], Without[C]]`.

    A system with such a parameter is called once; it loops over the query itself.
    """


Role = Literal[
    "read", "write", "optional_read", "optional_write", "res", "res_mut", "events", "emit",
    "with", "without", "any", "commands", "rng", "world", "id", "rows",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a system. of: its class; parts: those of `AnyOf` and `Rows`."""

    name: str
    role: Role
    of: Any = None
    parts: tuple[Any, ...] = ()


@dataclass(slots=True)
class Access:
    """What a signature reads and writes: components, resources and events alike."""

    reads: set[type] = field(default_factory=set)
    writes: set[type] = field(default_factory=set)
    filters: list[tuple[frozenset[type], frozenset[type]]] = field(default_factory=list)
    exclusive: bool = False

    def conflict(self, other: Access) -> str:
        """Why two systems may not run at the same time, in words; "" where they may.

        Two systems that write the same component do not conflict when their filters cannot match
        the same entity.
        """
        if self.exclusive or other.exclusive:
            return "one takes the whole World"
        for cls in self.writes & (other.reads | other.writes) | other.writes & self.reads:
            in_tables = not getattr(cls.__dict__.get("__populace__"), "is_event", True)
            if in_tables and self._disjoint(other):
                continue
            return f"both touch {cls.__name__}"
        return ""

    def _disjoint(self, other: Access) -> bool:
        return bool(self.filters and other.filters) and all(
            needs & other_without or other_needs & without
            for needs, without in self.filters
            for other_needs, other_without in other.filters
        )


def read_signature(function: Callable[..., Any], names: dict[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a system. `names`: what its annotations may name beside its globals.

    Raises SystemSignatureError that names system and parameter.
    """
    where = f"system {function.__name__}"
    try:
        hints = inspect.get_annotations(function, locals=names, eval_str=True)
    except Exception as error:  # an annotation is the user's code
        raise SystemSignatureError(f"{where}: {error} in an annotation") from error
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SystemSignatureError(f"{where}: *{name} declares nothing; name each parameter")
        if name not in hints:
            raise SystemSignatureError(
                f"{where}: parameter {name!r} has no annotation; a system's signature declares its "
                f"access: Read[C], Write[C], Res[R], Events[E], Emit[E], Commands, Rng, Id, ..."
            )
        try:
            found.append(_parameter(name, hints[name]))
        except PopulaceError as error:
            raise SystemSignatureError(f"{where}, parameter {name!r}: {error}") from error
    return tuple(found)


def _parameter(name: str, hint: Any) -> Parameter:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = _parameter(name, next(a for a in arguments if a is not type(None)))
        if inner.role not in ("read", "write"):
            raise SystemSignatureError(f"{hint}: only Read[C] and Write[C] can be `| None`")
        return Parameter(
            name, "optional_read" if inner.role == "read" else "optional_write", inner.of
        )
    if origin is Annotated:
        return _annotated(name, hint, arguments)
    if origin is Emit:
        return Parameter(name, "emit", _event(arguments[0]))
    if origin in (With, Without):
        schema(arguments[0])
        return Parameter(name, "with" if origin is With else "without", arguments[0])
    if origin is AnyOf:
        for part in arguments:
            schema(part)
        return Parameter(name, "any", parts=arguments)
    if origin is Rows:
        parts = tuple(_parameter(name, part) for part in arguments)
        wrong = [p for p in parts if p.role not in _TABLE_ROLES]
        if wrong:
            raise SystemSignatureError("Rows[...] takes Read, Write, With, Without and AnyOf only")
        return Parameter(name, "rows", parts=parts)
    if hint is Commands:
        return Parameter(name, "commands")
    if hint is Rng:
        return Parameter(name, "rng")
    from .world import World

    if hint is World:
        return Parameter(name, "world")
    raise SystemSignatureError(
        f"{hint!r} declares no access; allowed are Read[C], Write[C] (each also `| None`), "
        f"With[C], Without[C], AnyOf[A, B], Rows[...], Res[R], ResMut[R], Events[E], Emit[E], "
        f"Commands, Rng, Id and World"
    )


_TABLE_ROLES = frozenset(
    {"read", "write", "optional_read", "optional_write", "with", "without", "any"}
)


def _annotated(name: str, hint: Any, arguments: tuple[Any, ...]) -> Parameter:
    of, role = arguments[0], arguments[1]
    if role in ("read", "write"):
        if schema(of).is_event:
            raise SystemSignatureError(f"{of.__name__} is an event: use Events[...] or Emit[...]")
        return Parameter(name, role, of)
    if role in ("res", "res_mut", "id"):
        return Parameter(name, role, of)
    if role == "events":
        return Parameter(name, "events", _event(of))
    raise SystemSignatureError(f"{hint!r} declares no access")


def _event(cls: Any) -> Any:
    if not schema(cls).is_event:
        raise SystemSignatureError(f"{cls.__name__} is a component: use Read[...] or Write[...]")
    return cls


def access_of(parameters: tuple[Parameter, ...]) -> Access:
    """What a signature adds up to."""
    total = Access()
    _tables(total, [p for p in parameters if p.role in _TABLE_ROLES or p.role == "id"])
    for parameter in parameters:
        if parameter.role == "rows":
            _tables(total, list(parameter.parts))
        elif parameter.role in ("res", "events"):
            total.reads.add(parameter.of)
        elif parameter.role in ("res_mut", "emit"):
            total.writes.add(parameter.of)
        elif parameter.role == "world":
            total.exclusive = True
    return total


def _tables(total: Access, parts: list[Parameter]) -> None:
    needs, without = set(), set()
    for part in parts:
        if part.role in ("read", "optional_read"):
            total.reads.add(part.of)
        elif part.role in ("write", "optional_write"):
            total.writes.add(part.of)
            if schema(part.of).texts:
                total.writes.add(TextPool)  # codes are given in the order of first sight
        if part.role in ("read", "write", "with"):
            needs.add(part.of)
        elif part.role == "without":
            without.add(part.of)
    if parts:
        total.filters.append((frozenset(needs), frozenset(without)))
