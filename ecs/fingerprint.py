"""What a numba function depends on, as one digest; and the same function without its disk cache.

numba keys its disk cache by the file of one function: edit a callee in another file, or a constant
it reads, and the old machine code comes back. `fingerprint` covers the bytecode of a function and
of every numba function it reaches, their options, and each constant they read. `uncached` rebuilds
the same functions with no disk cache, so that compiling a caller never picks up an old callee.

Invariant: equal fingerprints mean equal behaviour under the same versions of Python, numpy and
numba. Whatever cannot be followed (a plain Python function, an instance, an array over 1 MB) gives
None: "do not keep the result".
Cost: about 0.1 ms a function; `uncached` has a callee compiled again, once a process, when a caller
of it is. A callee without the wrappers by which Python and C call it compiles in half the time.
"""

from __future__ import annotations

import builtins
import dis
import enum
import hashlib
import types as pytypes
from collections.abc import Mapping
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

# numba compiles larger global arrays as addresses and then refuses to cache.
MAX_ARRAY_BYTES = 1_000_000
_FOLLOWED_BY_VERSION = {"builtins", "cmath", "llvmlite", "math", "numba", "numpy", "operator"}
_GLOBAL_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"}
_ATTRIBUTE_LOADS = {"LOAD_ATTR", "LOAD_METHOD"}


class _UnknownError(Exception):
    """A dependency that cannot be followed."""


def fingerprint(function: Dispatcher) -> str | None:
    """Hex digest of all that the behaviour of a numba function depends on, or None if unknown."""
    try:
        return hashlib.sha256(_of_dispatcher(function, {}).encode()).hexdigest()
    except _UnknownError:
        return None


def uncached(function: Any, stamp: str) -> Any:
    """The same numba function, and its callees, compiled from source as it is now.

    stamp: its `fingerprint`. Its `py_func` is for the compiler: what it reaches cannot be called
    from Python.
    """
    return _copy(function, {"no_cfunc_wrapper": True}, stamp)


def callee(function: Any) -> Any:
    """As `uncached`, for compiled callers only: it cannot be called from Python.

    What has the same fingerprint is one function, compiled once a process for all its callers.
    """
    stamp = fingerprint(function)
    if stamp is None:
        return function
    made = _CALLEES.get(stamp)
    if made is None:
        bare = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
        made = _copy(function, bare, stamp, shared=True)
    return made


_CALLEES: WeakValueDictionary[str, Any] = WeakValueDictionary()
"""Those of living callers, by fingerprint."""


def _copy(function: Any, options: Mapping[str, Any], stamp: str, *, shared: bool = False) -> Any:
    """stamp: its fingerprint. shared: as a callee, which may call itself."""
    python = function.py_func
    scope = dict(python.__globals__)
    cells = dict(zip(python.__code__.co_freevars, python.__closure__ or (), strict=True))
    fresh = {name: pytypes.CellType() for name in cells}
    copy = pytypes.FunctionType(
        python.__code__, scope, python.__name__, python.__defaults__, tuple(fresh.values()) or None
    )
    copy.__kwdefaults__ = python.__kwdefaults__
    # numba links machine code by module, qualified name and a count that starts anew in each
    # process, so two versions of a callee, cached by two processes, need two names. A module that
    # is not imported (a notebook's, an executed text's) cannot be named in a cache.
    copy.__module__ = __name__
    copy.__qualname__ = f"{python.__name__}_{stamp}"
    options = {**_options(function), **options}
    signatures = None if function._can_compile else list(function.nopython_signatures)
    # Explicit signatures compile at once, so the scope must be complete first; such a function
    # cannot call itself by inference, and no cycle is lost.
    if signatures is None:
        made = numba.jit(**options)(copy)
        if shared:
            _CALLEES[stamp] = made
    for name, cell in cells.items():
        value = cell.cell_contents
        fresh[name].cell_contents = callee(value) if isinstance(value, Dispatcher) else value
    for path in _paths(python.__code__):
        value, path = _resolve(python, path)
        if isinstance(value, Dispatcher) and path[0] not in cells:
            scope[path[0]] = _with(scope[path[0]], path[1:], callee(value))
    if signatures is not None:
        made = numba.jit(signatures, **options)(copy)
        if shared:
            _CALLEES[stamp] = made
    return made


def _with(holder: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a module in which the attribute at `path` is `value`; for no path `value`."""
    if not path:
        return value
    proxy = pytypes.ModuleType(holder.__name__)
    proxy.__dict__.update(holder.__dict__)
    setattr(proxy, path[0], _with(getattr(holder, path[0]), path[1:], value))
    return proxy


def _options(function: Any) -> dict[str, Any]:
    return {**function.targetoptions, "locals": dict(function.locals)}


@cache
def _paths(code: pytypes.CodeType) -> tuple[tuple[str, ...], ...]:
    """Dotted names that the code reads from outside, as tuples: ("np", "pi"), ("rate",)."""
    local = set(code.co_cellvars)
    found: list[tuple[str, ...]] = []
    path: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        if path and step.opname in _ATTRIBUTE_LOADS:
            path += (str(step.argval),)
            continue
        if path:
            found.append(path)
        outside = step.opname in _GLOBAL_LOADS and step.argval not in local
        path = (str(step.argval),) if outside else ()
    for constant in code.co_consts:
        if isinstance(constant, pytypes.CodeType):
            inner = {*code.co_varnames, *code.co_cellvars}
            found += (p for p in _paths(constant) if p[0] not in inner)
    return tuple(dict.fromkeys(found))


def _resolve(function: Any, path: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The object that a path names, as far as modules and enums lead, and that part of the path."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    root = path[0]
    try:
        if root in cells:
            value = cells[root].cell_contents
        elif root in function.__globals__:
            value = function.__globals__[root]
        else:
            value = getattr(builtins, root)
        for depth, name in enumerate(path[1:], 1):
            if not isinstance(value, pytypes.ModuleType | enum.EnumMeta):
                return value, path[:depth]
            value = getattr(value, name)
    except (AttributeError, ValueError):
        raise _UnknownError(".".join(path)) from None
    return value, path


def _of_dispatcher(function: Any, seen: dict[int, int]) -> str:
    if id(function) in seen:
        return f"function {seen[id(function)]} again"
    seen[id(function)] = len(seen)
    python = function.py_func
    parts = [
        *_of_python(python, seen),
        _of(_options(function), seen),
        "" if function._can_compile else repr(function.nopython_signatures),
    ]
    return f"function({'; '.join(parts)})"


def _of_python(python: Any, seen: dict[int, int]) -> list[str]:
    parts = [
        _of_code(python.__code__),
        _of(python.__defaults__, seen),
        _of(python.__kwdefaults__, seen),
    ]
    for path in _paths(python.__code__):
        value, path = _resolve(python, path)
        parts.append(f"{'.'.join(path)} = {_of(value, seen)}")
    return parts


@cache
def _of_code(code: pytypes.CodeType) -> str:
    constants = [
        _of_code(constant) if isinstance(constant, pytypes.CodeType) else repr(constant)
        for constant in code.co_consts
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)
    return f"code({code.co_code.hex()}, {names!r}, {constants!r})"


def _of(value: Any, seen: dict[int, int]) -> str:
    """A text that differs when the value does."""
    if isinstance(value, Dispatcher):
        return _of_dispatcher(value, seen)
    if isinstance(value, _Intrinsic):  # what it emits is a function of its code
        return f"intrinsic({'; '.join(_of_python(value._defn, seen))})"
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}({_of(value.value, seen)})"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.generic):
        return f"{value.dtype.str} {value.tobytes().hex()}"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        if value.nbytes <= MAX_ARRAY_BYTES:
            bits = hashlib.sha256(value.tobytes()).hexdigest()
            return f"array {value.dtype.str} {value.shape} {value.flags.c_contiguous} {bits}"
    elif isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(_of(item, seen) for item in value)})"
    elif isinstance(value, set | frozenset):
        return f"set({', '.join(sorted(_of(item, seen) for item in value))})"
    elif isinstance(value, Mapping):
        return f"map({', '.join(sorted(f'{k!r}: {_of(v, seen)}' for k, v in value.items()))})"
    elif isinstance(value, enum.EnumMeta):
        members = [f"{name} = {_of(value[name], seen)}" for name in value.__members__]
        return f"{value.__qualname__} {members}"
    elif isinstance(value, numba.types.Type):
        return f"type {value!r}"
    elif isinstance(value, pytypes.ModuleType):
        return f"module {value.__name__}"
    elif isinstance(value, np.ufunc):
        name = str(getattr(value, "__name__", ""))
        if getattr(np, name, None) is value:
            return f"ufunc {name}"
    elif hasattr(value, "__qualname__"):
        module = str(getattr(value, "__module__", None) or "builtins")
        if module.partition(".")[0] in _FOLLOWED_BY_VERSION:
            return f"{module}.{value.__qualname__}"
    raise _UnknownError(repr(value))
