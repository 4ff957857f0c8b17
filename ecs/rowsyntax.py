"""The statements and expressions of a row function, each turned into those of a loop.

`Rows` walks the syntax tree of one function. Only what has a method here is allowed, so whatever
Python adds later is refused until somebody has thought about it. Column and scalar names are made
from the parameter's and the field's (`position_x`), with underscores added where a local has that
name already.

Invariant: translating has no effect but on this object, and its outcome depends only on the
function, the values it names and the fields given.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numba.core.dispatcher import Dispatcher

from .errors import KernelError
from .rownames import (
    BUILTINS,
    KEEPS_U8,
    WORDS,
    RefusedError,
    as_u8,
    check_assigned,
    integer,
    is_u8,
    literal,
    lookup,
    mark,
    outside,
    range_end,
    stored_names,
)

Fields: TypeAlias = Mapping[str, tuple[np.dtype[Any], int]]
RESERVED = {"loop", "math", "np", *BUILTINS, *WORDS}


def arguments(node: ast.FunctionDef) -> list[ast.arg]:
    """Every named parameter, in the order of the signature."""
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


class Rows:
    """One row function and what its translation needs: columns, scalars, numba functions, names."""

    def __init__(
        self,
        function: Callable[..., None],
        node: ast.FunctionDef,
        where: Callable[[ast.AST], str],
        components: Mapping[str, Fields],
        writable: Collection[str],
        resources: Collection[str],
        ignored: Collection[str],
    ) -> None:
        self.function, self.where = function, where
        self.components, self.writable = components, writable
        self.resources, self.ignored = resources, ignored
        self.parameters = [argument.arg for argument in arguments(node)]
        self.columns: dict[tuple[str, str], str] = {}  # (parameter, field) -> name in the source
        self.written: set[tuple[str, str]] = set()
        self.scalars: dict[tuple[str, str], str] = {}
        self.helpers: dict[str, Dispatcher] = {}
        self._depth = 0  # of loops around the current statement
        self._below: dict[str, int] = {}  # loop variables known to lie in [0, n)
        self._u8_locals: set[str] = set()
        self._check_signature(node)
        names = set(stored_names(node)) - set(self.parameters)
        self._taken = RESERVED | names | set(self.parameters)
        self.locals = {name: self._free(name) if name in RESERVED else name for name in names}
        self.table, self.row = self._free("table"), self._free("row")
        self.pointers, self.counts = self._free("pointers"), self._free("counts")
        self.body = self._block(node.body)
        check_assigned(self.body, set(self.locals.values()), frozenset(), self.fail)

    def fail(self, node: ast.AST, what: str) -> NoReturn:
        """Raise KernelError with the place of `node`."""
        raise KernelError(f"{self.where(node)}: {what}")

    def _check_signature(self, node: ast.FunctionDef) -> None:
        extra = node.args.vararg or node.args.kwarg
        if extra is not None:
            self.fail(extra, f"a row function takes no *{extra.arg}; name each parameter")
        defaults = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
        if defaults:
            self.fail(defaults[0], "a row function has no defaults; use a resource or a constant")
        known = {*self.components, *self.resources, *self.ignored}
        for argument in arguments(node):
            if argument.arg not in known:
                self.fail(argument, f"parameter {argument.arg} is no component, resource or filter")

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _refuse(self, node: ast.AST) -> NoReturn:
        text = ast.unparse(node).splitlines()[0]
        self.fail(
            node,
            f"`{text}` ({type(node).__name__}) has no place in a row function, which assigns, "
            "computes with numbers, branches and loops; do the rest in a system",
        )

    # -- statements ---------------------------------------------------------------------------

    def _block(self, nodes: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of one block, at least `pass`."""
        done: list[ast.stmt] = []
        for node in nodes:
            method = getattr(self, f"_{type(node).__name__}", None)
            if method is None:
                self._refuse(node)
            done += [ast.copy_location(new, node) for new in method(node)]
        return done or [ast.Pass()]

    def _Pass(self, node: ast.Pass) -> list[ast.stmt]:
        return []

    def _Break(self, node: ast.Break) -> list[ast.stmt]:
        return [node]

    def _Continue(self, node: ast.Continue) -> list[ast.stmt]:
        return [node]

    def _Return(self, node: ast.Return) -> list[ast.stmt]:
        if node.value is not None:
            self.fail(node, "a row function returns nothing; assign to a field instead")
        if self._depth:
            self.fail(node, "return inside a loop; set a local, break, and test it after the loop")
        return [ast.Continue()]

    def _Expr(self, node: ast.Expr) -> list[ast.stmt]:
        return [] if isinstance(node.value, ast.Constant) else [ast.Expr(self._value(node.value))]

    def _Assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self._value(node.value)
        targets = [self._target(target) for target in node.targets]
        for target in node.targets:
            for name in stored_names(target):
                self._note_u8(name, is_u8(value))
        return [ast.Assign(targets, value)]

    def _AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return []
        return self._Assign(ast.copy_location(ast.Assign([node.target], node.value), node))

    def _AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        target, value = self._target(node.target), self._value(node.value)
        if isinstance(node.op, ast.LShift | ast.RShift):
            value = self._shift_count(node, target, value)
        if is_u8(target) and isinstance(node.op, KEEPS_U8):
            value = as_u8(value)
        if isinstance(node.target, ast.Name):
            keeps = isinstance(node.op, KEEPS_U8) and is_u8(target) and is_u8(value)
            self._note_u8(node.target.id, keeps)
        place: Any = target
        return [ast.AugAssign(place, node.op, value)]

    def _If(self, node: ast.If) -> list[ast.stmt]:
        test = self._value(node.test)
        if isinstance(test, ast.Constant):  # the branch not taken may use what these tables lack
            return self._block(node.body if test.value else node.orelse or [ast.Pass()])
        orelse = self._block(node.orelse) if node.orelse else []
        return [ast.If(test, self._block(node.body), orelse)]

    def _While(self, node: ast.While) -> list[ast.stmt]:
        return [ast.While(self._value(node.test), *self._loop(node))]

    def _For(self, node: ast.For) -> list[ast.stmt]:
        if not isinstance(node.target, ast.Name):
            self.fail(node.target, "a loop variable is a plain local name")
        name, steps, before = node.target.id, self._value(node.iter), dict(self._below)
        target, end = self._target(node.target), range_end(steps)
        self._note_u8(name, False)
        if end is not None and not any(name in stored_names(inner) for inner in node.body):
            self._below[name] = end
        body, orelse = self._loop(node)
        self._below = before
        return [ast.For(target, steps, body, orelse)]

    def _loop(self, node: ast.For | ast.While) -> tuple[list[ast.stmt], list[ast.stmt]]:
        self._depth += 1
        body = self._block(node.body)
        self._depth -= 1
        return body, self._block(node.orelse) if node.orelse else []

    def _note_u8(self, name: str, u8: bool) -> None:
        (self._u8_locals.add if u8 else self._u8_locals.discard)(name)

    def _target(self, node: ast.expr) -> ast.expr:
        """What is assigned to: a local, a field, one element of a vector, a tuple of these."""
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self._target(item) for item in node.elts], ast.Store())
        if isinstance(node, ast.Name):
            if node.id in self.parameters:
                self.fail(node, f"{node.id} is a parameter and stays as it is; assign to a field")
            return ast.copy_location(self._local(node), node)
        if isinstance(node, ast.Attribute | ast.Subscript):
            return ast.copy_location(self._place(node, ast.Store()), node)
        self._refuse(node)

    # -- expressions --------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> ast.expr:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            self._refuse(node)
        try:
            new: ast.expr = method(node)
        except RefusedError as refused:
            self.fail(node, str(refused))
        return ast.copy_location(new, node)

    def _Constant(self, node: ast.Constant) -> ast.expr:
        return literal(node.value)

    def _Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.parameters:
            return self._field(node, node.id, "", ast.Load())
        return self._local(node) if node.id in self.locals else self._outside(node.id)

    def _Attribute(self, node: ast.Attribute) -> ast.expr:
        root = _root(node)
        if root in self.parameters:
            return self._place(node, ast.Load())
        if root is None or root in self.locals:
            self.fail(node, f"`{ast.unparse(node)}`: a number has no attributes here")
        return self._outside(ast.unparse(node))

    def _Subscript(self, node: ast.Subscript) -> ast.expr:
        if _root(node) in self.parameters:
            return self._place(node, ast.Load())
        return ast.Subscript(self._value(node.value), self._value(node.slice), ast.Load())

    def _Tuple(self, node: ast.Tuple) -> ast.expr:
        return ast.Tuple([self._value(item) for item in node.elts], ast.Load())

    def _UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        value = self._value(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(value, ast.Constant):
            return ast.Constant(not value.value)
        return mark(ast.UnaryOp(node.op, value), isinstance(node.op, ast.Invert) and is_u8(value))

    def _BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self._value(node.left), self._value(node.right)
        keeps = isinstance(node.op, KEEPS_U8)
        if isinstance(node.op, ast.LShift | ast.RShift):
            right = self._shift_count(node, left, right)
        if keeps and (is_u8(left) or is_u8(right)):
            left, right = as_u8(left), as_u8(right)
        return mark(ast.BinOp(left, node.op, right), keeps and is_u8(left) and is_u8(right))

    def _shift_count(self, node: ast.AST, left: ast.expr, count: ast.expr) -> ast.expr:
        """Modulo 64: beyond that the processor's vector and scalar shifts differ."""
        value = integer(count)
        if value is None:
            low = ast.BinOp(count, ast.BitAnd(), ast.Constant(63))
            return (
                mark(ast.Call(ast.Name("u8", ast.Load()), [low], []), True) if is_u8(left) else low
            )
        if not 0 <= value < 64:
            self.fail(node, f"a shift by {value} bits; 0 to 63 are possible")
        return count

    def _BoolOp(self, node: ast.BoolOp) -> ast.expr:
        decides = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for item in node.values:  # `velocity is not None and velocity.x > 0` may end at the first
            values = [v for v in values if not isinstance(v, ast.Constant)] + [self._value(item)]
            last = values[-1]
            if isinstance(last, ast.Constant) and bool(last.value) == decides:
                break
        return values[0] if len(values) == 1 else ast.BoolOp(node.op, values)

    def _IfExp(self, node: ast.IfExp) -> ast.expr:
        test = self._value(node.test)
        if isinstance(test, ast.Constant):
            return self._value(node.body if test.value else node.orelse)
        body, orelse = self._value(node.body), self._value(node.orelse)
        return mark(ast.IfExp(test, body, orelse), is_u8(body) and is_u8(orelse))

    def _Compare(self, node: ast.Compare) -> ast.expr:
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            return self._is_none(node)
        left, rest = self._value(node.left), [self._value(item) for item in node.comparators]
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            return self._among(node, left, rest[0])
        return ast.Compare(left, node.ops, rest)

    def _is_none(self, node: ast.Compare) -> ast.expr:
        left, right = node.left, node.comparators[0]
        asks = isinstance(right, ast.Constant) and right.value is None and len(node.ops) == 1
        if not (asks and isinstance(left, ast.Name) and left.id in self.parameters):
            self.fail(node, "`is` only asks whether a parameter is None; compare numbers with ==")
        return ast.Constant((left.id in self.ignored) == isinstance(node.ops[0], ast.Is))

    def _among(self, node: ast.Compare, left: ast.expr, choices: ast.expr) -> ast.expr:
        """`x in (A, B)` as `x == A or x == B`: nothing here has a side effect."""
        if len(node.ops) > 1 or not isinstance(choices, ast.Tuple) or not choices.elts:
            self.fail(node, "`in` needs one tuple of numbers on its right")
        within = isinstance(node.ops[0], ast.In)
        equal: ast.cmpop = ast.Eq() if within else ast.NotEq()
        tests: list[ast.expr] = [ast.Compare(left, [equal], [item]) for item in choices.elts]
        return tests[0] if len(tests) == 1 else ast.BoolOp(ast.Or() if within else ast.And(), tests)

    def _Call(self, node: ast.Call) -> ast.expr:
        root = _root(node.func)
        if root == "len" and root not in self.locals and len(node.args) == 1:
            return self._length(node.args[0])
        inside = root is None or root in self.locals or root in self.parameters
        function = node.func if inside else self._value(node.func)
        if inside or not isinstance(function, ast.Name | ast.Attribute):
            self.fail(node, f"`{ast.unparse(node.func)}` is not a function from outside")
        arguments = [self._value(argument) for argument in node.args]
        if any(keyword.arg is None for keyword in node.keywords):
            self._refuse(node)
        named = [ast.keyword(keyword.arg, self._value(keyword.value)) for keyword in node.keywords]
        name = function.id if isinstance(function, ast.Name) else ""
        if name == "round" and len(arguments) == 1:
            function = ast.Name("nearest", ast.Load())
        return mark(ast.Call(function, arguments, named), name == "u8")

    def _length(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            _, width = self.components.get(node.value.id, {}).get(node.attr, (None, 0))
            if width:
                return ast.Constant(width)
        value = self._value(node)
        if isinstance(value, ast.Tuple):
            return ast.Constant(len(value.elts))
        self.fail(node, f"len of `{ast.unparse(node)}`: only a vector field or a tuple has one")

    # -- names --------------------------------------------------------------------------------

    def _local(self, node: ast.Name) -> ast.expr:
        return mark(ast.Name(self.locals[node.id], node.ctx), node.id in self._u8_locals)

    def _outside(self, path: str) -> ast.expr:
        found = outside(path, lookup(self.function, path))
        if not isinstance(found, Dispatcher):
            return found
        for name, helper in self.helpers.items():
            if helper is found:
                return ast.Name(name, ast.Load())
        name = self._free(path.rpartition(".")[2])
        self.helpers[name] = found
        return ast.Name(name, ast.Load())

    def _place(self, node: ast.Attribute | ast.Subscript, context: ast.expr_context) -> ast.expr:
        """`parameter.field` or `parameter.field[j]`, read or written."""
        index = node.slice if isinstance(node, ast.Subscript) else None
        owner = node.value if isinstance(node, ast.Subscript) else node
        if isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name):
            name = owner.value.id
            if name in self.parameters:
                return self._field(node, name, owner.attr, context, index)
        done = "assigned to" if isinstance(context, ast.Store) else "read"
        self.fail(node, f"`{ast.unparse(node)}` cannot be {done}; use parameter.field or .field[j]")

    def _field(
        self,
        node: ast.expr,
        name: str,
        field: str,
        context: ast.expr_context,
        index: ast.expr | None = None,
    ) -> ast.expr:
        key, text, stores = (name, field), f"{name}.{field}", isinstance(context, ast.Store)
        if name in self.ignored:
            self.fail(node, f"{name} is a filter or absent: None here, without a value")
        if name in self.resources:
            if stores:
                self.fail(node, f"{text} belongs to a resource, which no row may change")
            if not field or index is not None:
                self.fail(node, f"`{ast.unparse(node)}`: of a resource, read one number by name")
            if key not in self.scalars:
                self.scalars[key] = self._free(f"{name}_{field}")
            return ast.Name(self.scalars[key], ast.Load())
        fields = self.components[name]
        if field not in fields:
            some = ", ".join(known for known in fields if known) or "none"
            fault = f"has no field {field}" if field else "cannot be used as a whole"
            self.fail(node, f"{name} {fault}; its fields: {some}")
        if stores and name not in self.writable:
            self.fail(node, f"{text} may only be read; declare {name} as Write[...]")
        dtype, width = fields[field]
        place: ast.expr = ast.Name(self.row, ast.Load())
        if width:
            if index is None:
                self.fail(node, f"{text} is a vector of {width}; use {text}[j] for one element")
            place = ast.Tuple([place, self._element(index, width, text)], ast.Load())
        elif index is not None:
            self.fail(node, f"{text} is one number and has no elements")
        if key not in self.columns:
            self.columns[key] = self._free(f"{name}_{field or 'id'}")
        if stores:
            self.written.add(key)
        column = ast.Name(self.columns[key], ast.Load())
        return mark(ast.Subscript(column, place, context), dtype == np.uint64)

    def _element(self, node: ast.expr, width: int, text: str) -> ast.expr:
        """An index that is known to lie within the width, or is checked row by row."""
        index = self._value(node)
        value = integer(index)
        if value is not None:
            if not -width <= value < width:
                self.fail(node, f"{text}[{value}] lies outside its {width} elements")
            return ast.Constant(value % width)
        if isinstance(node, ast.Name) and self._below.get(node.id, width + 1) <= width:
            return index
        return ast.Call(ast.Name("element", ast.Load()), [index, ast.Constant(width)], [])


def _root(node: ast.expr) -> str | None:
    """The name that a chain of attributes and elements starts with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
