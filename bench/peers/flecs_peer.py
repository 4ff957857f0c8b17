"""flecs: an entity component system in C, of archetypes as Populace is, with cached queries.

Its two files flecs.h and flecs.c are looked for in $FLECS_INCLUDE and /usr/include, and compiled as
its makers say, without its checks (NDEBUG). The exponentials of the decays are libm's.
"""

from __future__ import annotations

import ctypes
from functools import partial

from ..native import CompiledPeer, Source, compiled, header, why_not
from ..native.entries import MAKERS, entries

MISSING = "no flecs.h and flecs.c; FLECS_INCLUDE=FOLDER names where they are"


def source() -> Source | None:
    """What to compile; None without its files."""
    folder = header("flecs.h", "FLECS_INCLUDE")
    if folder is None or not (folder / "flecs.c").is_file():
        return None
    return Source(
        "flecs.cpp", ("-DNDEBUG",), (folder,), beside=(folder / "flecs.c",),
        needs=(folder / "flecs.h",),
    )  # fmt: skip


def library() -> ctypes.CDLL:
    """The workloads with flecs, compiled."""
    found = source()
    if found is None:
        raise LookupError(MISSING)
    return compiled(found)


def version() -> str:
    """The version that its header tells, "" without it."""
    if source() is None:
        return ""
    tell = library().version
    tell.restype = ctypes.c_char_p
    return str(tell().decode())


PEER = CompiledPeer(
    "flecs",
    "",
    workloads=entries(library, *MAKERS),
    largest=1_000_000,
    absent=partial(why_not, source, MISSING),
    told=version,
)
