"""flecs: an entity component system in C, of archetypes as Populace is, with cached queries.

Its two files flecs.h and flecs.c are looked for in $FLECS_INCLUDE and /usr/include, and compiled as
its makers say, without its checks (NDEBUG). The exponentials of the decays are libm's.
"""

from __future__ import annotations

from ..native import Source, header
from ..native.libraries import library_peer

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


PEER = library_peer("flecs", source, MISSING)
