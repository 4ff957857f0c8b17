"""Peers in C++ that are libraries: looked for, compiled with their part in the workloads, and asked
for their version."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial

from . import CompiledPeer, Source, compiled, why_not
from .entries import MAKERS, entries


def library_peer(name: str, source: Callable[[], Source | None], missing: str) -> CompiledPeer:
    """A library that takes part in all workloads, up to a million entities.

    source: what to compile, None without its headers; `missing` says which and where they go. It
    has a function `version`, which returns a string.
    """

    def library() -> ctypes.CDLL:
        found = source()
        if found is None:
            raise LookupError(missing)
        return compiled(found)

    def version() -> str:
        if source() is None:
            return ""
        tell = library().version
        tell.restype = ctypes.c_char_p
        return str(tell().decode())

    return CompiledPeer(
        name,
        "",
        workloads=entries(library, *MAKERS),
        largest=1_000_000,
        absent=partial(why_not, source, missing),
        told=version,
    )
