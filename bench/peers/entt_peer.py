"""EnTT: an entity component system in C++ of sparse sets, one for each component.

Its header is looked for as entt/entt.hpp in $ENTT_INCLUDE and /usr/include. Its default identifiers
of 32 bits number a million entities, which is as far as it goes here. The exponentials of the
decays are libm's.
"""

from __future__ import annotations

from ..native import Source, header
from ..native.libraries import library_peer

HEADER = "entt/entt.hpp"
MISSING = f"no {HEADER}; a package of EnTT brings it, or ENTT_INCLUDE=FOLDER names where it is"


def source() -> Source | None:
    """What to compile; None without the header."""
    folder = header(HEADER, "ENTT_INCLUDE")
    if folder is None:
        return None
    return Source("entt.cpp", ("-std=c++20", "-DNDEBUG"), (folder,), needs=(folder / HEADER,))


PEER = library_peer("EnTT", source, MISSING)
