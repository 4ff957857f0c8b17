"""Whereabouts: at which place an agent is, and what it is called.

An agent is at its `Whereabouts.place` while it stands still, and on its way there while it walks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from populace.components.place import Place, Whereabouts
from populace.ecs import NOBODY, World
from populace.ecs.entities import Ids

from .movement import standing


def places_of(world: World, ids: Ids) -> Ids:
    """(k,) u8: the place at which each agent is or to which it is on its way.

    `NOBODY` where it has none, or the place has ended. Raises DeadEntityError.
    """
    found = np.zeros(ids.size, np.uint64)
    somewhere = world.has(ids, Whereabouts)
    found[somewhere] = world.get(ids[somewhere], Whereabouts.place)
    found[~world.alive(found)] = NOBODY
    return found


def places_at(world: World, ids: Ids, now: int | None = None) -> Ids:
    """(k,) u8: the place at which each agent is now, or at `now` in simulated µs.

    `NOBODY` where it is on its way or nowhere. Raises DeadEntityError, ComponentMissingError for an
    agent without `Motion`.
    """
    found = places_of(world, ids)
    found[~standing(world, ids, now)] = NOBODY
    return found


def place_names(world: World, places: Ids) -> npt.NDArray[np.uint32]:
    """(k,) u4: the text code of each place's name, 0 for `NOBODY`. Raises DeadEntityError."""
    codes = np.zeros(places.size, np.uint32)
    named = places != NOBODY
    codes[named] = world.get(places[named], Place.name)
    return codes
