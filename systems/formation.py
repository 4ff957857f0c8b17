"""Forming memories: what was observed becomes memories of those who observed it.

Invariants: an agent's memories are numbered in the order in which they happened (time, then order
of emission), so (number of the agent, sequence) names each for good; ids are given in the order of
(number, sequence), whatever the order of events of different agents. A memory's stability starts at
its owner's `Retentiveness`, else at the world's `Retention.half_life`.
Cost: a sort of the batch, and a spawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory, Observed, Persona, Retentiveness, Stream, Trace
from populace.ecs import Events, World, system
from populace.ecs.entities import Ids
from populace.ecs.errors import CapacityError
from populace.ecs.events import picked

from .retention import Retention

LAST_SEQUENCE = 2**32 - 1


def remember(world: World, observed: Any) -> tuple[Ids, npt.NDArray[np.int64]]:
    """Form one memory for each observation, at once.

    observed: columns with the fields of `Observed`, k rows; owners have `Persona` and `Stream`.
    Returns (ids (k,) u8 in the order of forming, order (k,) i8: the row that each was formed from).

    Raises ComponentMissingError for an owner that has no stream, DeadEntityError, CapacityError for
    one whose stream is full; then nothing has happened.
    """
    owner = observed.owner
    # By owner too: agents that share a number by mistake must not run into one another.
    order = np.lexsort((observed.time, owner, world.get(owner, Persona.number)))
    owner, time = owner[order], observed.time[order]
    first = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])[: owner.size])
    owners = owner[first]
    counts = np.diff(np.append(first, owner.size))
    formed = world.get(owners, Stream.formed)
    if (formed.astype(np.int64) + counts > LAST_SEQUENCE).any():
        raise CapacityError(f"a stream holds {LAST_SEQUENCE:,} memories, forgotten ones counted")
    sequence = np.repeat(formed - first, counts) + np.arange(owner.size)
    ids = world.spawn(
        owner.size,
        Memory(
            owner=owner,
            sequence=sequence,
            created=time,
            kind=observed.kind[order],
            text=observed.text[order],
        ),
        Trace(
            importance=observed.importance[order],
            stability=np.repeat(first_stabilities(world, owners), counts),
            accessed=time,
        ),
    )
    world.set(owners, Stream(formed=formed + counts))
    return ids, order


def first_stabilities(world: World, owners: Ids) -> npt.NDArray[np.float32]:
    """(k,) f4 s: the stability that a new memory of each agent starts with."""
    found = np.full(owners.size, world.resource(Retention).half_life, np.float32)
    own = world.has(owners, Retentiveness)
    if own.any():
        found[own] = world.get(owners[own], Retentiveness.half_life)
    return found


@system
def form_memories(world: World, observed: Events[Observed]) -> None:
    """Turn everything observed since the last time into memories of those who live and can
    remember, that is who have `Persona` and `Stream`."""
    able = able_to_remember(world, observed.owner)
    remember(world, observed if able.all() else picked(observed, able))


def able_to_remember(world: World, ids: Ids) -> npt.NDArray[np.bool_]:
    """(k,) bool: who lives and has a memory stream."""
    able = world.alive(ids)
    living = ids[able]
    able[able] = world.has(living, Persona) & world.has(living, Stream)
    return able
