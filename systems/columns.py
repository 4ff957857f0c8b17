"""Several fields of the same entities, looked up once.

Cost: as one `World.get`, and a gather for each further field.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import World


def columns(world: World, ids: Any, *fields: Any) -> list[npt.NDArray[Any]]:
    """One array for each scalar field, (k,) in the order of `ids`, which may repeat.

    Raises DeadEntityError, ComponentMissingError.

    >>> from populace.components import Persona
    >>> world = World()
    >>> ids = world.spawn(2, Persona(number=[7, 8], openness=[0.25, 0.75]))
    >>> number, openness = columns(world, ids[[1, 0, 1]], Persona.number, Persona.openness)
    >>> number.tolist(), openness.tolist()
    ([8, 7, 8], [0.75, 0.25, 0.75])
    """
    parts = world.at(ids)
    found = [np.empty(sum(map(len, parts)), made.dtype) for made in fields]
    for part in parts:
        rows = part.rows.astype(np.intp)  # numpy would convert them for each field
        for column, made in zip(found, fields, strict=True):
            column[part.at] = part.read(made).take(rows)
    return found
