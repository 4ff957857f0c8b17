"""The compiled loop of a row function, and its cache on disk.

A `Column` is a raw address that numba indexes as `column[row]` or `column[row, j]`. Its loads and
stores say that no two columns of a loop share memory, so LLVM vectorises with any number of
columns and without run-time checks (12 columns, 20 rows: 0.20 µs a call against 0.32 with checks
and 0.67 for a numba function with 12 array arguments).

Invariants: the same rows give the same bits however they are split over calls. So no fastmath:
`contract` fuses multiply and add in a vectorised, branch-free body but not across the branches of
the scalar remainder, `reassoc` sums in another order, `nnan` drops the NaN tests of the user. A
float made an integer, by a call or by storing it, is held within the integer's range, NaN becomes
0: what the processor does there differs between vector and scalar code (300.7 into u1 gave 44 or
300). In a user's own numba function such a conversion is numba's.

The generated source lies in `kernels_folder()` under a name made of the digest of all that matters
(source, numba functions it reaches, this file, versions), and numba caches the machine code beside
it. So nothing is ever stale; files of former versions stay until somebody deletes the folder.

Cost: the first call 60 to 150 ms, from the cache 2 ms (100 ms for the first in a process); then
0.2 µs a call, plus 12 ns a scalar.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import linecache
import math
import operator
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model
from numba.np.numpy_support import from_dtype

from .errors import KernelError
from .fingerprint import callee
from .rowcode import RowSource

# -- columns in numba -----------------------------------------------------------------------


class Column(types.Type):
    """numba's type of the `number`-th of `n_columns` raw columns. f2 is read and given as f4."""

    def __init__(self, code: str, width: int, number: int, n_columns: int) -> None:
        self.stored = from_dtype(np.dtype(code))
        self.value = types.float32 if self.stored == types.float16 else self.stored
        self.width, self.number, self.n_columns = width, number, n_columns
        super().__init__(f"Column({code}, {width}, {number}, {n_columns})")


@register_model(Column)
class _ColumnModel(models.PrimitiveModel):
    def __init__(self, manager: Any, column: Column) -> None:
        half = column.stored == types.float16
        element = ir.HalfType() if half else manager[column.stored].get_data_type()
        super().__init__(manager, column, element.as_pointer())


@intrinsic(prefer_literal=True)
def column(typing_context, address, code, width, number, n_columns):  # type: ignore[no-untyped-def]
    """The column at an address; all but the address are literals."""
    literals = [argument.literal_value for argument in (code, width, number, n_columns)]
    kind = Column(*literals)

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, code, width, number, n_columns), build


@njit
def element(j: int, width: int) -> int:
    """The index `j` into a vector of `width`, negative from its end, or IndexError."""
    place = j | 0  # i8 whatever integer it was, even u8; no float passes
    if place < 0:
        place += width
    if j >= width or place < 0:
        raise IndexError("a vector field was indexed outside its width")
    return place


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, arguments: Any, keywords: Any) -> Any:
        kind = arguments[0]
        return signature(kind.value, *arguments) if isinstance(kind, Column) else None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, arguments: Any, keywords: Any) -> Any:
        is_column = isinstance(arguments[0], Column) and isinstance(
            arguments[2], types.Number | types.Boolean
        )
        return signature(types.none, *arguments) if is_column else None


@lower_builtin(operator.getitem, Column, types.Integer)
@lower_builtin(operator.getitem, Column, types.BaseTuple)
def _load(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    kind, place = signature.args
    value = builder.load(_address(context, builder, kind, place, *arguments))
    _apart(builder, value, kind)
    if kind.stored == types.float16:
        return builder.fpext(value, ir.FloatType())
    return context.data_model_manager[kind.stored].from_data(builder, value)


@lower_builtin(operator.setitem, Column, types.Integer, types.Any)
@lower_builtin(operator.setitem, Column, types.BaseTuple, types.Any)
def _store(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    kind, place, given = signature.args
    value = arguments[2]
    if isinstance(given, types.Float) and isinstance(kind.value, types.Integer):
        value = _clamped(builder, value, kind.value)
    else:
        value = context.cast(builder, value, given, kind.value)
    if kind.stored == types.float16:
        value = builder.fptrunc(value, ir.HalfType())
    else:
        value = context.data_model_manager[kind.stored].as_data(builder, value)
    address = _address(context, builder, kind, place, *arguments[:2])
    _apart(builder, builder.store(value, address), kind)
    return context.get_dummy_value()


def _clamped(builder: Any, value: Any, to: types.Integer) -> Any:
    """A float as the nearest integer of `to` towards zero, NaN as 0.

    LLVM has an intrinsic for it, which is not vectorised: 1 ns a row against 0.1 at 100k.
    """
    number = np.float32 if value.type == ir.FloatType() else np.float64
    low, high = (int(bound) for bound in (to.minval, to.maxval))
    top = number(high)
    if int(top) > high:  # the largest integer is no float: stop at the last float before it
        top = np.nextafter(top, number(0))
    floor, ceiling = (ir.Constant(value.type, float(bound)) for bound in (low, top))
    inside = builder.select(builder.fcmp_ordered(">", value, floor), value, floor)
    inside = builder.select(builder.fcmp_ordered("<", inside, ceiling), inside, ceiling)
    kind = ir.IntType(to.bitwidth)
    result = (builder.fptosi if to.signed else builder.fptoui)(inside, kind)
    if int(top) < high:
        result = builder.select(
            builder.fcmp_ordered(">", value, ceiling), ir.Constant(kind, high), result
        )
    if low:
        nan = builder.fcmp_unordered("uno", value, value)
        result = builder.select(nan, ir.Constant(kind, 0), result)
    return result


def _to_integer(name: str, rounding: str | None, fixed: types.Integer | None = None) -> Any:
    """An intrinsic that makes a number an integer: of type `fixed`, or i8, or as it was."""

    def convert(typing_context, value):  # type: ignore[no-untyped-def]
        given = types.unliteral(value)
        whole = isinstance(given, types.Integer)
        if not isinstance(given, types.Integer | types.Float | types.Boolean):
            return None
        result = fixed or (given if whole else types.int64)

        def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            if not isinstance(given, types.Float):
                return context.cast(builder, arguments[0], value, result)
            number = arguments[0]
            if rounding:
                kind = ir.FunctionType(number.type, [number.type])
                rounded = builder.module.declare_intrinsic(rounding, [number.type], kind)
                number = builder.call(rounded, [number])
            return _clamped(builder, number, result)

        return result(value), build

    convert.__name__ = name
    return intrinsic(convert)


def _address(context: Any, builder: Any, kind: Column, place: Any, base: Any, index: Any) -> Any:
    if isinstance(place, types.BaseTuple):
        parts = zip(cgutils.unpack_tuple(builder, index), place, strict=True)
        row, j = (context.cast(builder, part, given, types.intp) for part, given in parts)
        start = builder.mul(row, ir.Constant(row.type, kind.width), flags=["nsw"])
        index = builder.add(start, j, flags=["nsw"])
    else:
        index = context.cast(builder, index, place, types.intp)
    return builder.gep(base, [index], inbounds=True)


def _apart(builder: Any, access: Any, kind: Column) -> None:
    """Tell LLVM that this access touches no memory of the other columns."""
    module = builder.module
    domain = module.add_metadata(["populace columns"])
    scopes = [module.add_metadata([f"column {k}", domain]) for k in range(kind.n_columns)]
    own = scopes.pop(kind.number)
    access.set_metadata("alias.scope", module.add_metadata([own]))
    if scopes:
        access.set_metadata("noalias", module.add_metadata(scopes))


WORDS: dict[str, Any] = {
    "column": column,
    "element": element,
    "int": _to_integer("int", None),
    "trunc": _to_integer("trunc", None),
    "floor": _to_integer("floor", "llvm.floor"),
    "ceil": _to_integer("ceil", "llvm.ceil"),
    "nearest": _to_integer("nearest", "llvm.roundeven"),
    "f4": np.float32,
    "f8": np.float64,
    **{
        f"{k}{b}": _to_integer(f"{k}{b}", None, from_dtype(np.dtype(f"{k}{b}")))
        for k in "iu"
        for b in (1, 2, 4, 8)
    },
    "math": math,
    "np": np,
}

# -- compiling ------------------------------------------------------------------------------


def compile_rows(rows: RowSource) -> Dispatcher:
    """The numba function `loop(pointers, counts, *scalars)`, compiled at its first call.

    pointers: (n_tables, n_columns) i8 addresses, in the order of `rows.columns`, each of a
    contiguous column aligned for its dtype; counts: (n_tables,) i8 rows; scalars: numbers, in the
    order of `rows.scalars`. Both arrays C-contiguous. Releases the GIL. Nothing is checked.
    """
    halves = [f"{c.parameter}.{c.field}" for c in rows.columns if c.dtype == np.float16]
    if halves and not converts_halves():
        raise KernelError(
            f"{rows.origin}: {halves[0]} is f2, which this processor cannot turn into f4 and back "
            "(x86 without F16C); use an f4 field"
        )
    options = {
        "nogil": True, "error_model": "numpy", "cache": rows.cacheable, "no_cfunc_wrapper": True,
    }  # fmt: skip
    helpers = dict(rows.helpers)
    digest = hashlib.sha256(f"{rows.digest} {versions()}".encode()).hexdigest()
    name = f"{rows.name[:40]}_{digest[:32]}"
    if rows.cacheable:
        helpers = {name: callee(helper) for name, helper in helpers.items()}
        file = str(_write(f"{name}.py", rows.source))
    else:
        file = f"<populace {name}>"
        lines = rows.source.splitlines(keepends=True)
        linecache.cache[file] = (len(rows.source), None, lines, file)
    known = {**WORDS, **helpers}
    # The cache holds the name of the module, so it must be one that can be imported, and links by
    # qualified name, so that must differ between any two loops (see `fingerprint`).
    known["__name__"] = __name__
    exec(compile(rows.source, file, "exec"), known)
    known["loop"].__qualname__ = name
    loop: Dispatcher = njit(**options)(known["loop"])
    return loop


def converts_halves() -> bool:
    """Whether machine code for f2 needs no library routine, which LLVM would die for."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return not triple.startswith(("x86", "i686")) or "+f16c" in features


@cache
def versions() -> str:
    """What else machine code depends on; numba itself adds the processor."""
    files = (Path(__file__), Path(__file__).with_name("fingerprint.py"))
    here = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    versions = (platform.python_version(), numba.__version__, llvmlite.__version__, np.__version__)
    return f"{versions} {here}"


def _write(name: str, text: str) -> Path:
    """The file of that name with that text in the kernels folder; another process may do the same.

    A file that is there and right is left alone.
    """
    path = kernels_folder() / name
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return path
    passing = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    passing.write_text(text, encoding="utf-8")
    # numba 0.61 takes another time for another source, and compiles again after a second writer.
    os.utime(passing, (0, 0))
    os.replace(passing, path)
    return path


def kernels_folder() -> Path:
    """Where generated source and machine code are kept.

    $POPULACE_CACHE_DIR/kernels, else $XDG_CACHE_HOME/populace/kernels, else
    ~/.cache/populace/kernels; where that cannot be written, a folder of this process alone, as
    one that others can write could hand us their code.
    """
    given, shared = os.environ.get("POPULACE_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    try:
        base = Path(given) if given else Path(shared or "~/.cache").expanduser() / "populace"
        folder = base / "kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_to(folder)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return _passing_folder()
    return folder


@cache
def _write_to(folder: Path) -> None:
    """Raises OSError where that cannot be. Looks once, since there are many kernels."""
    tempfile.TemporaryFile(dir=folder).close()


def kernels_are_shared() -> bool:
    """Whether other processes have the same kernels folder."""
    kernels_folder()
    return not _passing_folder.cache_info().currsize


@cache
def _passing_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="populace-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class RowLoop:
    """A compiled loop, called with the least overhead that is safe.

    `call` costs 30 to 70 ns above the numba function. Calling the entry point below numba's
    dispatcher would save 70 ns, and read a float as an integer when a resource changes its type.
    """

    __slots__ = ("loop", "n_scalars", "origin")

    def __init__(self, loop: Dispatcher, n_scalars: int, origin: str = "") -> None:
        self.loop, self.n_scalars, self.origin = loop, n_scalars, origin

    def run(
        self,
        pointers: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        scalars: Sequence[Any] = (),
    ) -> None:
        """Do all rows of all tables; `KernelError` where numba cannot compile the function."""
        self.call((pointers, counts, *scalars))

    def call(self, arguments: tuple[Any, ...]) -> None:
        """The same with all arguments in one tuple, as put together they would cost 0.1 µs."""
        try:
            self.loop(*arguments)
        except NumbaError as error:
            raise KernelError(f"{self.origin}: numba cannot compile this: {error}") from error
