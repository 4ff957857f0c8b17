"""SQL over a living world, a snapshot or a run: DuckDB on columns that stay where they are.

    Database(WorldSource(catalogue, world)).ask("SELECT count(*) FROM memories").one()

A `Database` is one DuckDB in memory for one source. Each thread that asks gets a cursor of its own.
A query names views; the columns of them that it names, and no others, are handed to DuckDB as Arrow
arrays over the source's memory, and taken back when the result is made.

Invariants: a query cannot change the source, a file or a setting: only what `statement` allows is
run, on a DuckDB that may touch no file, load no extension and sees no Python variable. Everything a
query sees of a world is of one moment. A result holds nothing of the source.
Cost: 12 ms for the first query; then 0.5 to 1 ms beside the work itself (bench `sql_*`).
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.ecs.errors import SqlError

from .results import Result
from .source import Source
from .statement import Statement, parse
from .views import Slot, View, readable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Params = Sequence[Any] | Mapping[str, Any] | None

KEPT_STATEMENTS = 500
LOCKED = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
"""What DuckDB is told so that it stays by itself. An empty temp_directory: it writes no file when
memory runs out, but gives up the query."""


class _Cursor(threading.local):
    """What one thread has: a cursor, and what stands on it.

    shown: by view, the slot or the columns of a lasting source that are registered.
    """

    connection: duckdb.DuckDBPyConnection
    shown: dict[str, frozenset[str] | Slot]


class Database:
    """What answers SQL about one source. Safe for threads; queries of one thread follow each other.

    views: more of them, by name: Arrow tables, pyarrow datasets, anything else that has an Arrow
    stream as often as it is asked, the path of a Parquet file or a folder of them, or several; or a
    `View`, of which only the columns that a query names are read. threads, memory_limit: of DuckDB;
    a query that needs more memory raises SqlError.
    """

    def __init__(
        self,
        source: Source,
        *,
        views: Mapping[str, Any] | None = None,
        threads: int | None = None,
        memory_limit: str = "4GB",
    ) -> None:
        self.source = source
        given = {name.lower(): data for name, data in (views or {}).items()}
        self._read = {name: data for name, data in given.items() if isinstance(data, View)}
        self._held = {
            name: readable(name, data) for name, data in given.items() if name not in self._read
        }
        self._settings = {**LOCKED, **source.settings, "memory_limit": memory_limit}
        if threads is not None:
            self._settings["threads"] = str(threads)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._statements: dict[str, Statement] = {}
        self._cursor = _Cursor()
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"<Database of a {type(self.source).__name__}>"

    @property
    def views(self) -> dict[str, tuple[str, ...]]:
        """The names of the columns of each view, in order."""
        with self.source.hold():
            return {**self._views(), **{name: tuple(data.schema.names)
                                        for name, data in self._held.items()
                                        if hasattr(data, "schema")}}  # fmt: skip

    def ask(
        self,
        query: str,
        params: Params = None,
        *,
        of: Any = None,
        timeout_s: float | None = None,
    ) -> Result:
        """The result of one SELECT.

        params: values for ? or $1 (a sequence) or $name (a mapping); the only way for text that is
        not yours. of: agents, by number or id: the views show what belongs to them and nothing
        else, found through the owner index, so that nothing else is looked at. timeout_s: after so
        many seconds the query ends with SqlError.

        Raises SqlError for a query that is not allowed, cannot be run, or fails.
        """
        mine = self._open()
        statement = self._parse(mine.connection, query)
        with self.source.hold():
            wanted = self._wanted(statement)
            if of is not None and not any(map(self._restricts, wanted)):
                owned = ", ".join(filter(self._restricts, self._views()))
                raise SqlError(f"of= is about {owned}, and the query names none of them")
            with self._registered(mine, statement, wanted, of):
                table = self._run(mine.connection, statement, wanted, params, timeout_s)
        return Result(table)

    def close(self) -> None:
        """End it. Other threads' cursors end with their threads."""
        with self._opening:
            held = [getattr(self._cursor, "connection", None), self._connection]
            self._cursor = _Cursor()
            self._connection = None
        for each in held:
            if each is not None:
                each.close()

    # -- the parts of a query --------------------------------------------------------------------

    def _open(self) -> _Cursor:
        """This thread's cursor."""
        mine = self._cursor
        if not hasattr(mine, "connection"):
            with self._opening:
                if self._connection is None:
                    self._connection = _connect(self._settings)
                mine.connection, mine.shown = self._connection.cursor(), {}
            for name, data in self._held.items():
                mine.connection.register(name, data)
        return mine

    def _views(self) -> dict[str, tuple[str, ...]]:
        """The columns of the views whose columns are chosen."""
        read = {name: tuple(view.schema.names) for name, view in self._read.items()}
        return {**self.source.views, **read}

    def _parse(self, cursor: duckdb.DuckDBPyConnection, query: str) -> Statement:
        found = self._statements.get(query) if isinstance(query, str) else None
        if found is None:
            found = parse(cursor, query)
            if len(self._statements) >= KEPT_STATEMENTS:
                self._statements.clear()
            self._statements[query] = found
        return found

    def _wanted(self, statement: Statement) -> dict[str, tuple[str, ...]]:
        """The columns of each view that a statement reads. Raises SqlError for unknown views."""
        views = self._views()
        wanted = {}
        for name, seen in statement.reads.items():
            columns = views.get(name)
            if name in self.source.views and (name in self._held or name in self._read):
                raise SqlError(f"there are two views {name!r}; give yours another name")
            if columns is not None:
                named = [c for c in columns if seen is None or c.lower() in seen]
                wanted[name] = tuple(named) or columns[:1]
            elif name not in statement.given and name not in self._held:
                known = [*views, *self._held]
                close = difflib.get_close_matches(name, known, 1)
                raise SqlError(
                    f"there is no view {name!r}; there are {', '.join(known)}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
                )
        return wanted

    @contextmanager
    def _registered(
        self,
        mine: _Cursor,
        statement: Statement,
        wanted: Mapping[str, tuple[str, ...]],
        of: Any,
    ) -> Iterator[None]:
        """The views stand on the cursor; those that may not stay are gone afterwards."""
        source = self.source
        passing: list[str | Slot] = []
        try:
            for view in wanted or (self._views() if statement.describes else ()):
                read = self._read.get(view)
                if statement.describes:
                    passing.append(view)
                    schema = source.schema(view) if read is None else read.schema
                    self._register(mine, view, schema.empty_table())
                elif read is not None:
                    passing.append(view)
                    self._register(mine, view, read.read(wanted[view], of))
                elif of is not None and source.restricts(view):
                    passing.append(self._put(mine, view, wanted[view], of))
                elif source.lasting:
                    self._keep(mine, view, wanted[view])
                else:
                    passing.append(view)
                    self._register(mine, view, source.arrow(view, wanted[view]))
            yield
        finally:
            for each in passing:
                if isinstance(each, Slot):
                    each.rows = None
                else:
                    mine.connection.unregister(each)

    def _restricts(self, view: str) -> bool:
        return view in self._read or self.source.restricts(view)

    def _register(self, mine: _Cursor, view: str, data: Any) -> None:
        mine.shown.pop(view, None)
        mine.connection.register(view, data)

    def _keep(self, mine: _Cursor, view: str, columns: tuple[str, ...]) -> None:
        """Columns of a lasting source stay, and those that stood there before."""
        held = mine.shown.get(view)
        before = held if isinstance(held, frozenset) else frozenset()
        if not before.issuperset(columns):
            every = before.union(columns)
            data = self.source.arrow(view, [c for c in self.source.views[view] if c in every])
            self._register(mine, view, data)
            mine.shown[view] = every

    def _put(self, mine: _Cursor, view: str, columns: tuple[str, ...], of: Any) -> Slot:
        """The rows of some agents, into the view's slot."""
        rows = self.source.arrow(view, columns, of)
        slot = mine.shown.get(view)
        if not isinstance(slot, Slot) or slot.columns != columns:
            slot = Slot(columns, self.source.schema(view, columns))
            self._register(mine, view, slot)
            mine.shown[view] = slot
        slot.rows = rows
        return slot

    def _run(
        self,
        cursor: duckdb.DuckDBPyConnection,
        statement: Statement,
        wanted: Mapping[str, tuple[str, ...]],
        params: Params,
        timeout_s: float | None,
    ) -> pa.Table:
        import duckdb

        timer = None
        if timeout_s is not None:
            timer = threading.Timer(timeout_s, cursor.interrupt)
            timer.daemon = True
            timer.start()
        try:
            relation = cursor.sql(statement.text, params=_plain(params))
            return relation.to_arrow_table()
        except duckdb.InterruptException as error:
            raise SqlError(f"the query was ended after timeout_s={timeout_s} s") from error
        except duckdb.Error as error:
            raise SqlError(self._explained(error, wanted)) from error
        finally:
            if timer is not None:
                timer.cancel()

    def _explained(self, error: Exception, wanted: Mapping[str, tuple[str, ...]]) -> str:
        """DuckDB's message, and what columns there are where it may be about one."""
        import duckdb

        told = str(error)
        if not isinstance(error, duckdb.BinderException) or "olumn" not in told:
            return told
        views = self._views()
        there = "; ".join(f"{view} has {', '.join(views[view])}" for view in wanted)
        return f"{told.split('Candidate bindings')[0].rstrip()}\n{there}"


def _connect(settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    import duckdb

    try:
        connection = duckdb.connect(":memory:", config=dict(settings))
    except duckdb.Error as error:
        raise SqlError(f"DuckDB cannot be started: {error}") from error
    connection.execute("SET lock_configuration = true")
    return connection


def _plain(params: Params) -> Any:
    """Parameters as DuckDB takes them: numpy's numbers as Python's."""
    if params is None:
        return None
    if isinstance(params, Mapping):
        return {name: _value(value) for name, value in params.items()}
    if isinstance(params, Sequence) and not isinstance(params, str | bytes):
        return [_value(value) for value in params]
    raise SqlError(
        f"params are a list of values for ?, or a dict of values for $name; got {params!r}"
    )


def _value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value
