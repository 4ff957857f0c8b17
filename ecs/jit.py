"""Numba functions whose machine code is kept on disk and is never stale.

    @jit
    def energy_at(level_n, since_n, now, rate, out_n): ...

`numba.njit(cache=True)` keys its cache by the file of one function, so that a callee edited in
another file keeps its old machine code. Here the key is the fingerprint of the function and of all
it reaches: kernels may share callees over files. Options are those that every kernel of ours has:
no GIL, numpy's division, no fastmath (its results would depend on the row, see `compiled`).
Cost: as numba's cache, and 0.1 ms a function for the fingerprint. A function with something in it
that cannot be followed, such as a call of itself, is compiled anew in each process. Constants that
it reads, arrays too, are taken as they are when it is decorated, and must not change.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from .compiled import kernels_folder, versions
from .fingerprint import fingerprint, uncached

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """A function of arrays and numbers, compiled at its first call or loaded from the cache.

    What it calls must be defined before it. Its plain Python twin is `.py_func`.
    """
    made = njit(nogil=True, error_model="numpy")(function)
    calls_itself = function.__name__ in function.__code__.co_names
    stamp = None if calls_itself else fingerprint(made)
    if stamp is None:
        return cast(F, made)
    kept = uncached(made, stamp)
    kept._cache = _Cache(function, f"{stamp} {versions()}")
    # What it compiles reaches callees that Python cannot call.
    kept.py_func = kept.__wrapped__ = function
    kept.__doc__ = function.__doc__
    return cast(F, kept)


def on_disk(kernel: Any) -> bool:
    """Whether machine code of what `jit` made is kept, for arguments of some types; False for any
    other function."""
    cache = getattr(kernel, "_cache", None)
    return isinstance(cache, _Cache) and cache.index.exists()


class _Locator:
    """Says where numba keeps a function. The name holds the fingerprint, so nothing is outdated."""

    def __init__(self, function: Any) -> None:
        self._py_file = function.__code__.co_filename
        self._folder = kernels_folder()

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # somebody may have deleted it

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return ""


class _Files(CompileResultCacheImpl):
    """How a compiled function is stored, under a name made of its stamp."""

    def __init__(self, function: Any, stamp: str) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function)
        digest = hashlib.sha256(stamp.encode()).hexdigest()[:32]
        self._filename_base = f"{function.__name__[:40]}_{digest}"


class _Cache(FunctionCache):
    """numba's cache of one function."""

    def __init__(self, function: Any, stamp: str) -> None:
        self._impl_class = lambda function: _Files(function, stamp)
        super().__init__(function)
        self.index = Path(self.cache_path, f"{self._impl.filename_base}.nbi")

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        # numba adds the pickled closure, and a numba function in it is pickled differently in each
        # process. The stamp says what it closes over.
        return sig, codegen.magic_tuple()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # A file that is cut short or cannot be read: compile, and write it anew. So too where two
        # processes that wrote at once, for arguments of different types, chose the same name.
        try:
            found = super().load_overload(sig, target_context)
            if found is None or tuple(found.signature.args) == tuple(sig):
                return found
        except Exception:  # numba and pickle raise what they like
            pass
        with contextlib.suppress(OSError):
            self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            super().save_overload(sig, data)
