"""Which tables match, and what can be done with their rows all at once.

A query is a filter over archetypes. It is cached by the world: matching looks only at archetypes
made since it last looked, so ten thousand of them cost nothing to a query that matches one.

    world.query(Position, Velocity, with_=Alive, without=Asleep, optional=Mood, any=(Cat, Dog))

Rows come in the order of tables (oldest archetype first), then of rows. Whole-query operations
(`add`, `remove`, `despawn`, `set`) address tables, not ids: a table that moves as a whole is handed
over, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .batch import Batch, Group
from .bundle import read_bundle
from .component import component_tuple
from .entities import Ids
from .errors import (
    ComponentMissingError,
    QueryError,
    StaleViewError,
)
from .fields import Field
from .notebook import query_html
from .store import Store
from .table import Archetype, Array, Table
from .views import view_maker

if TYPE_CHECKING:
    from .world import World

Mask = npt.NDArray[np.bool_] | Callable[..., Any]


class Filter:
    """With, without and any, as bit masks; the archetypes that match, and their tables with rows.

    Invariant: `stale` is True from any structural change of a matching table until `tables` is
    asked again; `version` counts how often the answer was worked out anew.
    """

    __slots__ = (
        "_archetypes",
        "_seen",
        "_tables",
        "any",
        "stale",
        "store",
        "version",
        "with_",
        "without",
    )

    def __init__(self, store: Store, with_: int, without: int, any_: int) -> None:
        self.store, self.with_, self.without, self.any = store, with_, without, any_
        self._archetypes: list[Archetype] = []
        self._tables: list[Table] = []
        self._seen = 0
        self.stale = True
        self.version = 0

    def matches(self, mask: int) -> bool:
        """Whether an archetype's mask passes."""
        if mask & self.with_ != self.with_ or mask & self.without:
            return False
        return not self.any or bool(mask & self.any)

    def archetypes(self) -> list[Archetype]:
        """All that match, oldest first, empty ones included."""
        every = self.store.archetypes
        if self._seen < len(every):
            for archetype in every[self._seen :]:
                if self.matches(archetype.mask):
                    self._archetypes.append(archetype)
                    archetype.watchers.append(self)
                    self.stale = True
            self._seen = len(every)
        return self._archetypes

    def tables(self) -> list[Table]:
        """Those with rows."""
        if self.stale or self._seen < len(self.store.archetypes):
            archetypes = self.archetypes()
            if self.stale:
                self._tables = [a.table for a in archetypes if a.table.n]
                self.version += 1
                self.stale = False
        return self._tables


class _Rows:
    """What queries and selections have in common: operations on a batch of rows."""

    _world: World

    def _batch(self) -> Batch:
        raise QueryError("a query or a selection says which rows")

    def ids(self) -> Ids:
        """(n,) u8, a copy, in the query's order."""
        return self._batch().ids

    def gather(self, field: Field) -> Array:
        """(n, ...) values of a field over all its rows, a copy, in the query's order.

        Raises ComponentMissingError where a row has no such component.
        """
        check_field(field, "gather")
        columns = []
        for group in self._batch().groups:
            if field not in group.table.archetype.place:
                raise ComponentMissingError(
                    f"{field} cannot be gathered: rows of {group.table.archetype} have none; add "
                    f"{field.component.__name__} to the query"
                )
            columns.append(group.column(field))
        return np.concatenate([np.empty((0, *field.shape), field.dtype), *columns])

    def add(self, *components: Any) -> int:
        """Give every row these components: values (n rows or scalars) and tags. Returns n."""
        self._world.store.guard("query.add")
        with self._world.store.moment:
            batch = self._batch()
            self._world.store.add(batch, read_bundle(components, "query.add"), "query.add")
        return batch.n

    def remove(self, *components: type) -> int:
        """Take these components from every row. Returns n."""
        self._world.store.guard("query.remove")
        with self._world.store.moment:
            batch = self._batch()
            self._world.store.remove(batch, component_tuple(components), "query.remove")
        return batch.n

    def set(self, *values: Any) -> int:
        """Change the given fields of every row. Returns n."""
        self._world.store.guard("query.set")
        with self._world.store.moment:
            batch = self._batch()
            self._world.store.set(batch, read_bundle(values, "query.set"), "query.set")
        return batch.n

    def despawn(self) -> int:
        """Despawn every row and all that follows it. Returns how many entities ended."""
        self._world.store.guard("query.despawn")
        with self._world.store.moment:
            return self._world.store.despawn(self._batch(), "query.despawn")


class Query(_Rows):
    """See the module. Made by `World.query`; iterate it, or use its operations."""

    def __init__(
        self,
        world: World,
        fetch: tuple[type, ...],
        with_: tuple[type, ...],
        without: tuple[type, ...],
        optional: tuple[type, ...],
        any_: tuple[type, ...],
        writable: tuple[type, ...] | None = None,
    ) -> None:
        store = world.store
        needed = store.mask((*fetch, *with_))
        if needed & store.mask(without):
            both = [c.__name__ for c in without if c in (*fetch, *with_)]
            raise QueryError(f"a query with and without {', '.join(both)} matches nothing")
        self._world = world
        self.fetch, self.optional = fetch, optional
        self.filter = Filter(store, needed, store.mask(without), store.mask(any_))
        self._makers = [
            (c, view_maker(c, writable is None or c in writable), c in optional)
            for c in (*fetch, *optional)
        ]
        self._entries: list[tuple[Table, int, Any]] = []
        self._entries_of = 0

    def __repr__(self) -> str:
        return f"<{self.asks()}: {self.count():,} rows>"

    def _repr_html_(self) -> str:
        return query_html(self)

    def asks(self) -> str:
        """What it asks for, in words."""
        fetched = ", ".join(c.__name__ for c in self.fetch)
        told = [fetched] if fetched else []
        wanted = self.filter
        with_ = wanted.with_ & ~self._world.store.mask(self.fetch)
        for word, bits in (("with", with_), ("without", wanted.without), ("any of", wanted.any)):
            told += [f"{word} {self._names(bits)}"] if bits else []
        if self.optional:
            told.append(f"optional {', '.join(c.__name__ for c in self.optional)}")
        return f"Query({'; '.join(told)})"

    def tables(self) -> list[Table]:
        """The matching tables that have rows."""
        return self.filter.tables()

    def views(self, table: Table) -> tuple[Any, ...]:
        """The views of one matching table, in the order asked for; None for an absent optional."""
        parts = table.archetype.components
        return tuple(
            None if optional and component not in parts else make(table)
            for component, make, optional in self._makers
        )

    def entries(self) -> list[tuple[Table, int, Any]]:
        """For each table with rows: it, its version, and what iteration yields for it. Worked out
        anew only when a matching table has changed structurally."""
        tables = self.filter.tables()
        if self._entries_of != self.filter.version:
            single = len(self._makers) == 1
            self._entries = [
                (table, table.version, views[0] if single else views)
                for table, views in ((table, self.views(table)) for table in tables)
            ]
            self._entries_of = self.filter.version
        return self._entries

    def __iter__(self) -> Iterator[Any]:
        if not self._makers:
            raise QueryError(
                "this query fetches no component, so there is nothing to iterate; name some, as in "
                "world.query(Position, without=Asleep), or use .ids() or .count()"
            )
        for table, version, views in self.entries():
            if table.version != version:
                raise StaleViewError(
                    f"a table of this query ({table.archetype}) changed structurally while the "
                    f"query was being iterated; collect ids first and change the world after the "
                    f"loop, or queue the change with world.commands"
                )
            yield views

    def count(self) -> int:
        """How many rows match."""
        return sum(a.table.n for a in self.filter.archetypes())

    def __len__(self) -> int:
        return self.count()

    def where(self, mask: Mask) -> Selection:
        """Some of the rows: a bool array over them all, in the query's order, or a function that
        gets the views of one table and returns the bool array of that table.

        Raises QueryError for a mask of another length or type.
        """
        return Selection(self._world, self, mask)

    def _batch(self) -> Batch:
        return self._world.store.whole(self.tables())

    def why_not(self, mask: int) -> list[str]:
        """Every reason why an archetype of this mask does not match, in words."""
        wanted, names, found = self.filter, self._names, []
        if lacking := wanted.with_ & ~mask:
            found.append(f"it lacks {names(lacking)}")
        if unwanted := wanted.without & mask:
            found.append(f"it has {names(unwanted)}, which the query leaves out")
        if wanted.any and not wanted.any & mask:
            found.append(f"it has none of {names(wanted.any)}")
        return found

    def _names(self, bits: int) -> str:
        numbers = self._world.store.numbers
        return ", ".join(c.__name__ for c, k in numbers.items() if bits >> k & 1)


class Selection(_Rows):
    """The rows of a query that a mask picks, fixed when it is made."""

    def __init__(self, world: World, query: Query, mask: Mask) -> None:
        self._world = world
        entries = query.entries()
        self._versions = [(table, version) for table, version, _ in entries]
        groups, n, offset = [], 0, 0
        whole = None if callable(mask) else _bool_mask(mask, query.count())
        for table, _, views in entries:
            if whole is None:
                assert callable(mask)
                given = views if isinstance(views, tuple) else (views,)
                part = _bool_mask(mask(*given), table.n)
            else:
                part = whole[offset : offset + table.n]
            offset += table.n
            rows = np.flatnonzero(part).astype(np.uint32)
            if rows.size:
                all_of_it = rows.size == table.n
                take = slice(n, n + rows.size)
                groups.append(Group(table, None if all_of_it else rows, take, rows))
                n += rows.size
        self._found = Batch(groups, n)

    def count(self) -> int:
        """How many rows were picked."""
        return self._found.n

    def __len__(self) -> int:
        return self._found.n

    def _batch(self) -> Batch:
        for table, version in self._versions:
            if table.version != version:
                raise StaleViewError(
                    f"this selection is stale: a table of it ({table.archetype}) changed "
                    f"structurally since; select again"
                )
        return self._found


def _bool_mask(mask: Any, n: int) -> npt.NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != (n,):
        raise QueryError(
            f"a mask over {n:,} rows is a bool array of shape ({n},); got {array.dtype.name} of "
            f"shape {array.shape}; for row numbers or ids use world methods that take ids"
        )
    return array


def check_field(field: Any, doing: str) -> None:
    """Raise QueryError for anything but a field of a component."""
    if not isinstance(field, Field):
        raise QueryError(f"{doing} takes a field, as Position.x, got {field!r}")
