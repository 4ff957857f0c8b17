"""Which vector indices a world has, and where it was loaded from: they keep a file there.

Imports nothing heavy: whoever saves a world looks here whether there is anything to do.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from populace.ecs import World
from populace.ecs.errors import StructuralChangeError

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


def refuse_worker(world: World, doing: str) -> None:
    """Raise StructuralChangeError on a thread that runs a system beside others.

    It cannot wait for the moment, which the step holds for it, and what the others do is not kept
    out. 0.2 µs.
    """
    if threading.get_ident() in world.store.workers:
        raise StructuralChangeError(
            f"{doing} cannot run beside other systems of a stage, on a thread of its own; take "
            f"`world: World` as a parameter of the system: it runs alone then"
        )
