"""What the names in a row function stand for: numbers, known functions, locals that have a value.

`outside` turns a global, closure variable or builtin into source text: a number is written out, so
that whoever hashes the source sees its value. `check_assigned` makes sure that no local is read
before it has a value: in one loop over all rows it would still hold what the row before left there.

u8 marks: numba turns u8 with an i8 into f8 and loses the low bits of large ids. So expressions
known to be u8 are marked, and an integer literal beside one is written as u8.
"""

from __future__ import annotations

import ast
import builtins
import math
import types
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numba.core.dispatcher import Dispatcher

BUILTINS = {"abs", "bool", "divmod", "float", "int", "len", "max", "min", "pow", "range", "round"}
TYPES = {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
# Names that the compiled loop gives a meaning of its own: see `compiled.WORDS`.
WORDS = {"ceil", "column", "element", "floor", "nearest", "trunc", *TYPES}
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
KEEPS_U8 = (*_ARITHMETIC, ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift)

Fail = Callable[[ast.AST, str], NoReturn]


class RefusedError(Exception):
    """A name or number that has no place in a row function, and why."""


def lookup(function: Any, path: str) -> Any:
    """The object that a dotted name means inside `function`, as of now."""
    root, *attributes = path.split(".")
    scope = function.__globals__
    names = function.__code__.co_freevars
    cells = dict(zip(names, function.__closure__ or (), strict=True))
    try:
        if root in cells:
            value = cells[root].cell_contents
        else:
            value = scope[root] if root in scope else getattr(builtins, root)
        for name in attributes:
            value = getattr(value, name)
    except (AttributeError, ValueError):
        raise RefusedError(f"{path} is not defined") from None
    return value


def outside(path: str, value: Any) -> ast.expr | Dispatcher:
    """The source text for a value from outside, or the numba function that it is."""
    if isinstance(value, tuple):
        return ast.Tuple([literal(item) for item in value], ast.Load())
    if isinstance(value, bool | int | float | np.number | np.bool):
        return literal(value)
    name = getattr(value, "__name__", "")
    if isinstance(value, type) and issubclass(value, np.number) and number_type(value) in TYPES:
        return ast.Name(number_type(value), ast.Load())
    if value in (math.ceil, math.floor, math.trunc):
        return ast.Name(name, ast.Load())
    for module, prefix in ((math, "math"), (np, "np")):
        if callable(value) and getattr(module, name, None) is value:
            return ast.Attribute(ast.Name(prefix, ast.Load()), name, ast.Load())
    if name in BUILTINS and getattr(builtins, name) is value:
        return ast.Name(name, ast.Load())
    if isinstance(value, Dispatcher):
        return value
    if isinstance(value, types.FunctionType):
        raise RefusedError(
            f"{path} is a plain Python function; put @numba.njit on it, or if its result is the "
            "same for all rows, compute it once outside and name the number"
        )
    raise RefusedError(
        f"{path} is a {type(value).__name__}; rows can use numbers, enum members, functions of "
        f"math and numpy, numba functions and {', '.join(sorted(BUILTINS))}"
    )


def number_type(kind: type[np.number[Any]]) -> str:
    """The short name of a numpy number type: f4, i8."""
    return np.dtype(kind).str[1:]


def literal(value: Any) -> ast.expr:
    """A number as source text that numba types as the number is typed."""
    if isinstance(value, np.integer | np.floating) and not isinstance(value, np.float64 | np.int64):
        kind = number_type(type(value))
        if kind not in TYPES:
            raise RefusedError(f"{value!r} has no type that rows can compute with")
        plain = literal(value.item())
        return mark(ast.Call(ast.Name(kind, ast.Load()), [plain], []), kind == "u8")
    if isinstance(value, bool | np.bool):
        return ast.Constant(bool(value))
    if not isinstance(value, int | float | np.int64):
        raise RefusedError(f"{value!r:.60} is not a real number, and rows hold nothing else")
    number = float(value) if isinstance(value, float) else int(value)
    if isinstance(number, int) and not -(1 << 63) <= number < (1 << 64):
        raise RefusedError(f"{number} does not fit 64 bits")
    if number != number:
        return ast.Attribute(ast.Name("math", ast.Load()), "nan", ast.Load())
    if math.copysign(1, number) < 0:  # a negative Constant would be unparsed wrongly beside **
        return ast.UnaryOp(ast.USub(), ast.Constant(-number))
    return mark(ast.Constant(number), isinstance(number, int) and number >= 1 << 63)


def integer(node: ast.expr) -> int | None:
    """The value of an integer literal, None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = integer(node.operand)
        return None if value is None else -value
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


def range_end(node: ast.expr) -> int | None:
    """n where the node is a `range` of literals within [0, n), None for anything else."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "range"):
        return None
    limits = [limit for limit in map(integer, node.args) if limit is not None]
    if len(limits) < len(node.args) or not limits or 0 in limits[2:]:
        return None
    steps = range(*limits)
    return max(steps, default=-1) + 1 if min(steps, default=0) >= 0 else None


def mark(node: ast.expr, u8: bool) -> ast.expr:
    """The node, noted as u8 or not."""
    node.u8 = u8  # type: ignore[attr-defined]
    return node


def is_u8(node: ast.expr) -> bool:
    """Whether an expression is known to be u8."""
    return getattr(node, "u8", False)


def as_u8(node: ast.expr) -> ast.expr:
    """A non-negative integer literal as u8; anything else as it is."""
    value = integer(node)
    if is_u8(node) or value is None or value < 0:
        return node
    return literal(np.uint64(value))


def stored_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement assigns."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def check_assigned(
    body: Sequence[ast.stmt], names: Collection[str], before: frozenset[str], fail: Fail
) -> frozenset[str] | None:
    """Call `fail` on a read of one of `names` that may come before its assignment.

    Returns what is assigned after `body`, None if its end is never reached. The body of a loop may
    run no times, so what only it assigns is not assigned after it.
    """

    def check_read(node: ast.AST) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id in names and inner.id not in known:
                updated = isinstance(node, ast.AugAssign) and inner is node.target
                if updated or isinstance(inner.ctx, ast.Load):
                    fail(inner, f"{inner.id} may be read before it has a value; assign it first")

    known = before
    for node in body:
        if isinstance(node, ast.Break | ast.Continue):
            return None
        if isinstance(node, ast.If):
            check_read(node.test)
            ends = [check_assigned(part, names, known, fail) for part in (node.body, node.orelse)]
            reached = [end for end in ends if end is not None]
            if not reached:
                return None
            known = frozenset.intersection(*reached)
        elif isinstance(node, ast.For | ast.While):
            check_read(node.iter if isinstance(node, ast.For) else node.test)
            variable = stored_names(node.target) if isinstance(node, ast.For) else ()
            check_assigned(node.body, names, known | frozenset(variable), fail)
            check_assigned(node.orelse, names, known, fail)
        else:
            check_read(node)
            known |= frozenset(stored_names(node))
    return known
