"""Views: one component of one table, its fields as columns.

    for position, velocity in world.query(Position, Velocity):
        position.x += velocity.x * dt

A view is an instance of its component's class, so properties that the class defines work on
columns as they do on values. `view.field` is the column itself, no copy; assigning a field checks
the values and writes them in place.

Invariant: a view serves the rows that its table had when it was made. After any structural change
of the table each access raises StaleViewError, and arrays handed out before have turned read-only.
Indexed references are always read-only here: `world.set` keeps their index right.
Cost: about 0.2 µs to make, 0.15 µs an access.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .component import schema, unknown_field
from .errors import ColumnValueError, QueryError, StaleViewError, UnknownFieldError
from .fields import Field
from .table import Table


class _ColumnAccess:
    """One field of a view class."""

    __slots__ = ("field",)

    def __init__(self, field: Field) -> None:
        self.field = field

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self.field
        table: Table = view._table
        if view._version != table.version:
            _stale(view)
        place = view._first + self.field.number
        if view._writable and not self.field.index:
            return table.live(place)
        return table.frozen(place)

    def __set__(self, view: Any, value: Any) -> None:
        field, table = self.field, view._table
        if view._version != table.version:
            _stale(view)
        if not view._writable:
            raise ColumnValueError(
                f"{field} is read here; declare Write[{field.component.__name__}]"
            )
        if field.index:
            raise QueryError(f"{field} is indexed; change it with world.set(ids, ...)")
        column = table.live(view._first + field.number)
        if value is column:
            return  # an in-place operation such as `view.x += 1` has written already
        with table.store.checking():
            column[...] = table.store.prepare_field(field, value, table.n, "row of the table")


class _ViewBase:
    """What every view has beside its fields."""

    __slots__ = ("_first", "_table", "_version", "_writable")
    _table: Table
    _version: int
    _first: int
    _writable: bool

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in type(self).__dict__ and not isinstance(
            getattr(type(self), name, None), property
        ):
            raise UnknownFieldError(unknown_field(schema(type(self).__mro__[2]), name))
        object.__setattr__(self, name, value)

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """(n,) u8 ids of the rows, read-only."""
        if self._version != self._table.version:
            _stale(self)
        return self._table.ids

    def __len__(self) -> int:
        if self._version != self._table.version:
            _stale(self)
        return self._table.n

    def __repr__(self) -> str:
        if self._version != self._table.version:
            return f"<stale view of {type(self).__name__}>"
        return f"<view of {type(self).__name__}: {self._table.n:,} rows of {self._table.archetype}>"


def _stale(view: Any) -> NoReturn:
    raise StaleViewError(
        f"this view of {type(view).__name__} is stale: its table ({view._table.archetype}) has "
        f"gained or lost rows since the view was made; query again, or queue the change with "
        f"world.commands and read on"
    )


def view_class(component: type) -> type:
    """The view class of a component, made once."""
    made: type | None = component.__dict__.get("__populace_view__")
    if made is None:
        shape = schema(component)
        namespace: dict[str, Any] = {f.name: _ColumnAccess(f) for f in shape.fields}
        namespace["__slots__"] = ()
        namespace["__doc__"] = component.__doc__
        namespace["__len__"] = _ViewBase.__len__
        namespace["__repr__"] = _ViewBase.__repr__
        made = type(shape.name, (_ViewBase, component), namespace)
        type.__setattr__(component, "__populace_view__", made)
    return made


def view_maker(component: type, writable: bool = True) -> Callable[[Table], Any]:
    """A function from a table that has the component to a view of it."""
    made = view_class(component)
    new: Callable[[type], Any] = object.__new__
    put = object.__setattr__

    def make(table: Table) -> Any:
        view = new(made)
        put(view, "_table", table)
        put(view, "_version", table.version)
        put(view, "_first", table.archetype.first.get(component, 0))
        put(view, "_writable", writable)
        return view

    return make
