"""Which vector indices a world has, and where it was loaded from: they keep a file there.

Imports nothing heavy: whoever saves a world looks here whether there is anything to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from populace.ecs import World

if TYPE_CHECKING:
    from .files import Files
    from .keys import Key
    from .vectors import VectorIndex

indices: WeakKeyDictionary[World, dict[type, VectorIndex]] = WeakKeyDictionary()
"""By world, then by component."""
origins: WeakKeyDictionary[World, tuple[Files, Key | None]] = WeakKeyDictionary()
"""The directory, and its key, that a world was loaded from."""


def indices_of(world: World) -> list[VectorIndex]:
    """The vector indices of a world."""
    return list(indices.get(world, {}).values())
