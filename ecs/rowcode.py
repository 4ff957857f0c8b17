"""From a row function to the source of one loop over the rows of many tables.

    def move(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]):
        position.x += velocity.x * clock.dt_s

becomes `loop(pointers, counts, clock_dt_s)`: `position.x` is the element at `row` of a column,
`clock.dt_s` a scalar argument, `return` goes on to the next row. Names from outside are looked up
now: numbers, enum members and tuples of them become literals, functions of math and numpy stay,
numba functions are handed on by name. Whatever else Python offers is a `KernelError` that names
file and line: a row function is arithmetic on one row.

Invariants: columns are sorted by parameter, then field as declared, whatever the body; no local is
read before it is assigned (it would leak from row to row, and results depend on how rows are
split); the digest covers the source and all that its numba functions reach.

Meaning: numba's, which is numpy's except that literals are i8 and f8. f4 with f4 is f4; f4 with a
literal, a scalar argument or an i4 or wider is f8, rounded once when stored; `f4(...)` keeps f4.
f2 is read as f4. u8 with a non-negative integer literal stays u8 (numba alone would turn to f8 and
lose bits). Division by zero gives inf or nan, integer division by zero 0. Shifts count modulo 64.
A float made or stored as an integer is cut towards zero and held within its range, NaN gives 0.
An index not known to lie within a vector is checked, and raises IndexError amid the rows.

Cost: about 1 ms a function, once.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
import types
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from .errors import KernelError
from .fingerprint import fingerprint
from .rowsyntax import Fields, Rows, arguments


@dataclass(frozen=True)
class RowColumn:
    """One column that a loop reads or writes. No two columns of a call may share memory."""

    parameter: str
    field: str  # "" when the parameter is itself the value, as an entity's id is
    dtype: np.dtype[Any]
    width: int  # 0: one value a row, d: an (n, d) vector column
    writes: bool


@dataclass(frozen=True)
class RowScalar:
    """One resource attribute, fetched at each call and handed on as a scalar."""

    parameter: str
    attribute: str


@dataclass(frozen=True)
class RowSource:
    """A translated row function: what `compile_rows` needs and what a call has to supply."""

    name: str
    origin: str  # file:line
    columns: tuple[RowColumn, ...]
    scalars: tuple[RowScalar, ...]
    source: str
    digest: str
    helpers: Mapping[str, Dispatcher]  # name in the source -> the user's numba function
    cacheable: bool  # False when a helper depends on what cannot be followed


def translate(
    function: Callable[..., None],
    component_parameters: Mapping[str, Fields],
    writable: Collection[str],
    resource_parameters: Collection[str],
    ignored_parameters: Collection[str] = (),
) -> RowSource:
    """The source of the loop that does to every row what `function` does to one.

    component_parameters: parameter -> field -> (dtype, width); the field "" is the parameter
    itself. writable: those that may be written. ignored_parameters: filters, and optional
    components that these tables lack; the function may only ask whether they are None, and a
    branch not taken for that is left out. Raises KernelError.
    """
    node, place = _parse(function)

    def where(inner: ast.AST) -> str:
        file, line = place
        return f"{file}:{line + getattr(inner, 'lineno', 1)}: row function {function.__name__}"

    rows = Rows(
        function,
        node,
        where,
        component_parameters,
        writable,
        resource_parameters,
        ignored_parameters,
    )
    columns = tuple(
        RowColumn(name, field, dtype, width, (name, field) in rows.written)
        for name in rows.parameters
        for field, (dtype, width) in component_parameters.get(name, {}).items()
        if (name, field) in rows.columns
    )
    source = _source(function, rows, columns)
    prints = {name: fingerprint(helper) for name, helper in rows.helpers.items()}
    cacheable = None not in prints.values()
    text = f"{source}\n{sorted(prints.items())}" if cacheable else uuid.uuid4().hex
    return RowSource(
        name=function.__name__,
        origin=f"{place[0]}:{place[1] + node.lineno}",
        columns=columns,
        scalars=tuple(RowScalar(*key) for key in rows.scalars),
        source=source,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        helpers=rows.helpers,
        cacheable=cacheable,
    )


def _parse(function: Callable[..., None]) -> tuple[ast.FunctionDef, tuple[str, int]]:
    """The syntax tree, its file, and the number to add to its line numbers."""
    if not isinstance(function, types.FunctionType):
        raise KernelError(f"a row function is a plain Python function, got {function!r}")
    code = function.__code__
    where = f"{code.co_filename}:{code.co_firstlineno}: row function {function.__name__}"
    if code.co_name == "<lambda>":
        raise KernelError(f"{where}: a lambda cannot be a row function; write it with def")
    try:
        lines, _ = inspect.getsourcelines(code)
        indented = lines[0][:1].isspace()  # below a condition the source may stay as it is
        tree = ast.parse("".join((["if True:\n"] if indented else []) + lines))
    except (OSError, SyntaxError, IndexError):
        raise KernelError(
            f"{where}: its source cannot be read; define it in a file or a notebook cell, or "
            "register the text that was executed with linecache"
        ) from None
    node: ast.AST = tree.body[0]
    if isinstance(node, ast.If):
        node = node.body[0]
    if isinstance(node, ast.AsyncFunctionDef):
        raise KernelError(f"{where}: async has no meaning for a row; use def")
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not isinstance(node, ast.FunctionDef) or names != tuple(a.arg for a in arguments(node)):
        raise KernelError(f"{where}: the file has changed since it was imported; import it again")
    return node, (code.co_filename, code.co_firstlineno - 1 - indented)


def _source(function: Callable[..., None], rows: Rows, columns: tuple[RowColumn, ...]) -> str:
    """The text of a module with the function `loop`."""
    pointers, counts, table, row = rows.pointers, rows.counts, rows.table, rows.row
    width = len(columns)
    names = [rows.columns[column.parameter, column.field] for column in columns]
    written = [name for name, column in zip(names, columns, strict=True) if column.writes]
    described = [
        f"{name} = column({pointers}[{table}, {k}], {c.dtype.str[1:]!r}, {c.width}, {k}, {width})"
        for k, (name, c) in enumerate(zip(names, columns, strict=True))
    ]
    signature = ", ".join([pointers, counts, *rows.scalars.values()])
    body = "\n".join(ast.unparse(ast.fix_missing_locations(statement)) for statement in rows.body)
    return "\n".join(
        [
            f"# The row function {function.__qualname__} of {function.__module__} as one loop.",
            "# Written by populace for numba; a cache, may be deleted at any time.",
            "#",
            f"# {pointers}: (n_tables, {width}) i8 addresses; {counts}: (n_tables,) i8 rows.",
            "# column(address, dtype, width, number, n_columns): no two columns share memory.",
            f"# Written: {', '.join(written) or 'none'}.",
            "",
            "",
            f"def loop({signature}):",
            f"    for {table} in range({counts}.shape[0]):",
            *(f"        {line}" for line in described),
            f"        for {row} in range({counts}[{table}]):",
            textwrap.indent(body, " " * 12),
            "",
        ]
    )
