"""One SQL statement: what it may do, and what it reads.

DuckDB parses it; what is looked at here is its syntax tree, never its text. A statement may only
read: one SELECT in any form (WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES), or EXPLAIN of
one. What reads files, runs text as SQL or has side effects is refused by name.

Invariant: `reads` names every column that the statement can see, or more. A view that holds those
columns alone gives the same result as one that holds all, since a name that is found in it would
be found there too, and nothing that counts or lists columns is there but makes `reads` whole.
Cost: 0.3 to 0.6 ms; a `Database` keeps what it has parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from populace.ecs.errors import SqlError

if TYPE_CHECKING:
    import duckdb

Node = dict[str, Any]
Scope = tuple[Node, ...]
"""The tables that the select around a node reads from."""

ALLOWED = "SELECT, WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES and EXPLAIN"
QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
TABLE_FUNCTIONS = {
    "generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest",
}  # fmt: skip
"""Those that make rows of their arguments. Others read files, settings, memory, or run SQL."""
REFUSED_FUNCTIONS = {"currval", "nextval", "setseed", "setval", "sleep_ms", "write_log"}
"""Functions that change something besides their result, or hold up whoever waits for it."""
_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b)?(?P<rest>.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is run, and what it reads.

    text: the SQL to run. reads: by name of a table that it names, the names of columns that it may
    mean, or None for all of them. given: names of tables that its own WITH gives. All names are in
    lower case. describes: it asks for names and types alone, no rows.
    """

    text: str
    reads: Mapping[str, frozenset[str] | None]
    given: frozenset[str] = frozenset()
    describes: bool = False


def parse(cursor: duckdb.DuckDBPyConnection, text: str) -> Statement:
    """Read a statement. Raises SqlError where it cannot be parsed or is not allowed."""
    import duckdb

    if not isinstance(text, str):
        raise SqlError(f"a query is a str of SQL, got {type(text).__name__}")
    try:
        kinds = [each.type.name for each in cursor.extract_statements(text)]
    except duckdb.Error as error:
        raise SqlError(f"the query cannot be parsed: {error}") from error
    if len(kinds) != 1:
        raise SqlError(
            f"a query is one statement, got {len(kinds)}; untrusted text goes in as a parameter: "
            f"sql(world, 'SELECT ... WHERE name = $name', {{'name': text}})"
        )
    if kinds == ["EXPLAIN"]:
        found = _EXPLAIN.fullmatch(text)
        if found is None:
            raise SqlError(
                "EXPLAIN and EXPLAIN ANALYZE stand before a SELECT, with nothing between"
            )
        inner = parse(cursor, found["rest"])
        verb = "EXPLAIN ANALYZE" if found[1] else "EXPLAIN"
        return Statement(f"{verb} {inner.text}", inner.reads, inner.given)
    if kinds == ["MULTI"]:
        raise SqlError(
            "a PIVOT names its values: PIVOT memories ON kind IN ('chat', 'event') USING count(*)"
        )
    if kinds != ["SELECT"]:
        raise SqlError(
            f"{kinds[0]} is not allowed: a query reads and changes nothing; {_allowed()}"
        )
    try:
        rows = cursor.execute("SELECT json_serialize_sql($1)", [text]).fetchall()
        told = json.loads(rows[0][0])
    except (duckdb.Error, RecursionError) as error:
        raise SqlError(f"the query cannot be parsed: {error}") from error
    if told["error"]:
        raise SqlError(f"the query cannot be run: {told['error_message']}; {_allowed()}")
    return _Reader(told["statements"][0]["node"]).statement(text)


def _allowed() -> str:
    return f"there are {ALLOWED}"


class _Reader:
    """Walks the tree of a statement once."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.tables: set[str] = set()
        self.whole: set[str] = set()
        self.names: set[str] = set()
        self.alone: set[str] = set()
        self.aliases: dict[str, set[str]] = {}
        self.given: set[str] = set()

    def statement(self, text: str) -> Statement:
        """What the tree says."""
        waiting: list[tuple[Any, Scope, bool]] = [(self.root, (), False)]
        while waiting:
            node, scope, ordering = waiting.pop()
            if isinstance(node, list):
                waiting += [(each, scope, ordering) for each in node]
            elif isinstance(node, dict):
                kind = node.get("type", "")
                if kind == "SELECT_NODE":
                    scope = tuple(_sources(node["from_table"]))
                ordering = ordering or kind == "ORDER_MODIFIER"
                self._look(node, kind, scope, ordering)
                waiting += [(each, scope, ordering) for each in node.values()]
        for name in self.alone & self.aliases.keys():  # a whole row as a value: SELECT m FROM m
            self.whole |= self.aliases[name]
        names = frozenset(self.names)
        reads = {name: None if name in self.whole else names for name in self.tables}
        return Statement(text, reads, frozenset(self.given), self._describes())

    def _describes(self) -> bool:
        source = self.root.get("from_table") or {}
        return source.get("type") == "SHOW_REF" and source["show_type"] != "SUMMARY"

    def _look(self, node: Node, kind: str, scope: Scope, ordering: bool) -> None:
        if kind.endswith("_NODE") and kind not in QUERIES:
            verb = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise SqlError(f"{verb} is not allowed inside a query either; {_allowed()}")
        if "cte_map" in node:
            self.given |= {entry["key"].lower() for entry in node["cte_map"]["map"]}
        if kind == "BASE_TABLE":
            self._table(node)
        elif kind == "TABLE_FUNCTION" or kind == "FUNCTION":
            self._function(node, kind)
        elif kind == "JOIN":
            self.names |= {name.lower() for name in node["using_columns"]}
            if node["ref_type"] == "NATURAL":
                self._see_all(scope)
        elif kind in ("PIVOT", "POSITIONAL_REFERENCE"):
            self._see_all(scope)
        elif kind == "STAR" and not (ordering and node["columns"] and not node.get("expr")):
            if node["relation_name"]:
                self.alone.add(node["relation_name"].lower())
            else:
                self._see_all(scope)
        elif kind == "COLUMN_REF":
            parts = [part.lower() for part in node["column_names"]]
            self.names.update(parts)
            if len(parts) == 1:
                self.alone.update(parts)

    def _table(self, node: Node) -> None:
        path = [part.lower() for part in node["qualified_name"]["path"]]
        name = path[-1]
        if path[:-1] not in ([], ["main"], ["memory", "main"], ["temp", "main"], ["temp"]):
            raise SqlError(f"{'.'.join(path)} is not one of the views; their names stand alone")
        self.tables.add(name)
        self.aliases.setdefault(_called(node), set()).add(name)
        if node["column_name_alias"]:
            self.whole.add(name)

    def _function(self, node: Node, kind: str) -> None:
        called = node["function"] if kind == "TABLE_FUNCTION" else node
        if called.get("type") != "FUNCTION":
            raise SqlError(f"a table function cannot be {called.get('type')}")
        name = called["function_name"].lower()
        if kind == "TABLE_FUNCTION" and name not in TABLE_FUNCTIONS:
            raise SqlError(
                f"{name}() is not allowed: a query reads the views and nothing else; of table "
                f"functions there are {', '.join(sorted(TABLE_FUNCTIONS))}"
            )
        if name in REFUSED_FUNCTIONS:
            raise SqlError(f"{name}() is not allowed: a query reads and does nothing else")

    def _see_all(self, scope: Scope) -> None:
        """All columns of these tables are seen."""
        self.whole |= {each["table_name"].lower() for each in scope}


def _sources(table: Node) -> Iterator[Node]:
    """The base tables of a FROM, those in subqueries left out."""
    waiting = [table]
    while waiting:
        node = waiting.pop()
        if node["type"] == "BASE_TABLE":
            yield node
        waiting += [node[side] for side in ("left", "right", "source") if side in node]


def _called(table: Node) -> str:
    return str(table["alias"] or table["table_name"]).lower()
