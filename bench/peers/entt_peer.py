"""EnTT: an entity component system in C++ of sparse sets, one for each component.

Its header is looked for as entt/entt.hpp in $ENTT_INCLUDE and /usr/include. Its default identifiers
of 32 bits number a million entities, which is as far as it goes here. The exponentials of the
decays are libm's.
"""

from __future__ import annotations

import ctypes
from functools import partial

from ..native import CompiledPeer, Source, compiled, header, why_not
from ..native.entries import MAKERS, entries

HEADER = "entt/entt.hpp"
MISSING = f"no {HEADER}; a package of EnTT brings it, or ENTT_INCLUDE=FOLDER names where it is"


def source() -> Source | None:
    """What to compile; None without the header."""
    folder = header(HEADER, "ENTT_INCLUDE")
    if folder is None:
        return None
    return Source("entt.cpp", ("-std=c++20", "-DNDEBUG"), (folder,), needs=(folder / HEADER,))


def library() -> ctypes.CDLL:
    """The workloads with EnTT, compiled."""
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
    "EnTT",
    "",
    workloads=entries(library, *MAKERS),
    largest=1_000_000,
    absent=partial(why_not, source, MISSING),
    told=version,
)
