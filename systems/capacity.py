"""Capacity: an agent that holds more memories than it can forgets its weakest.

An owner of more than C memories forgets the weakest until floor(keep * C) remain. Equals: older
access first, then lower sequence, then lower entity index. `Pinned` memories count, and stay, as
do those without a `Trace`.

Invariants: strength is worked out here, for now, as in `pruning`; which memories go depends on
no row, batch or thread. Below capacity nothing goes, at C + 1 some tenth of C, so that the rule
does not run again at once.
Cost: one look at each owner's count (1 ns), then 40 ns for each memory of the owners that overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Capacity, Memory, Pinned, Trace
from populace.ecs import Res, World, i8, jit, setting, settings, system
from populace.ecs.entities import Ids, index_of

from .pruning import Reason, tell
from .retention import Retention, law_of
from .strength import TRACE_FIELDS, scratch, strengths_by


@settings
class Room:
    """How many memories an agent can hold. A resource; `Capacity` is an agent's own."""

    capacity: int = setting(1000, range=(1, 2**32 - 1), doc="C, memories of an agent")
    keep: float = setting(0.9, range=(0, 1), doc="share of C that is left after an overflow")


@njit(nogil=True)
def kth_smallest(key_m: Any, k: int) -> Any:
    """The k-th smallest of m i8 keys, 1 <= k <= m, by bisection: as many passes as the range of
    the keys has bits, each vectorised. (np.partition takes 4 s to compile.)"""
    low, high = key_m.min(), key_m.max()
    while low < high:
        middle = (low & high) + ((low ^ high) >> 1)  # the mean, without overflow
        below = 0
        for j in range(key_m.size):
            below += key_m[j] <= middle
        if below >= k:
            high = middle
        else:
            low = middle + 1
    return low


@jit
def weakest(
    offsets_o: Any, wanted_o: Any, keys_km: Any, places_m: Any, key_m: Any, out_m: Any
) -> int:
    """out_m[:k] <- for each owner the places of its `wanted` first members; return k.

    Members of owner o are places [offsets_o[o], offsets_o[o + 1]), ordered by keys_km[0], equals by
    keys_km[1], and so on; all keys are i8 and the last row has no equals within an owner.
    places_m, key_m: (m,) i8, overwritten. 0 <= wanted_o <= members. About 64 passes over the
    members, of 0.1 ns each.
    """
    k = 0
    for o in range(wanted_o.size):
        begin, wanted = offsets_o[o], wanted_o[o]
        left = offsets_o[o + 1] - begin
        for j in range(left):
            places_m[j] = begin + j
        for level in range(keys_km.shape[0]):
            if wanted == 0 or wanted == left:
                break
            for j in range(left):
                key_m[j] = keys_km[level, places_m[j]]
            limit = kth_smallest(key_m[:left], wanted)
            equal = 0
            for j in range(left):
                place = places_m[j]
                if key_m[j] < limit:
                    out_m[k] = place
                    k += 1
                    wanted -= 1
                elif key_m[j] == limit:
                    places_m[equal] = place
                    equal += 1
            left = equal
        for j in range(wanted):
            out_m[k] = places_m[j]
            k += 1
    return k


@system(phase="last")
def make_room(world: World, room: Res[Room], retention: Res[Retention]) -> None:
    """Despawn the weakest memories of every owner that holds too many."""
    owners, counts = world.index(Memory.owner).counts()
    capacity = np.full(owners.size, room.capacity, np.int64)
    if world.query(Capacity).count():
        own = world.has(owners, Capacity)
        capacity[own] = world.get(owners[own], Capacity.memories)
    over = np.flatnonzero(counts > capacity)
    if not over.size:
        return
    excess = counts[over] - np.floor(room.keep * capacity[over]).astype(np.int64)
    going = surplus(world, owners[over], excess, retention.floor)
    if going.size:
        world.despawn(going)
    tell(world, {Reason.CROWDED: going.size})


def surplus(world: World, owners: Ids, excess: npt.NDArray[np.int64], floor: float) -> Ids:
    """The `excess` weakest memories of each owner, pinned ones left out: ids."""
    members = world.index(Memory.owner).of(owners, sort=False)
    ids, offsets = members.ids, members.offsets
    pinned = np.zeros(ids.size, np.bool_)
    keys = np.zeros((4, ids.size), np.int64)
    law = strengths_by(law_of(world))
    for part in world.at(ids):
        rows, at = part.rows.astype(np.intp), part.at  # numpy would convert them at each look-up
        if not part.has(Trace):  # worth nothing that is known: it stays
            pinned[at] = True
            continue
        strength = np.empty(rows.size, np.float32)
        columns = [part.read(made)[rows] for made in (*TRACE_FIELDS, Memory.created)]
        law(*columns, np.int64(world.clock.now), np.float32(floor), scratch(), strength)
        # Not negative, so ordered as its bits; an importance of -0.0 is made 0.0.
        keys[0, at] = (strength + np.float32(0)).view(np.uint32)
        keys[1, at] = columns[2]
        keys[2, at] = part.read(Memory.sequence)[rows]
        pinned[at] = part.has(Pinned)
    keys[3] = index_of(ids)
    if pinned.any():
        free = ~pinned
        offsets = np.concatenate([[0], np.cumsum(free)])[offsets]
        ids, keys = ids[free], np.ascontiguousarray(keys[:, free])
    wanted = np.minimum(excess, np.diff(offsets))
    places, key, out = (np.empty(ids.size, i8) for _ in range(3))
    chosen = weakest(offsets, wanted, keys, places, key, out)
    going: Ids = ids[out[:chosen]]
    return going
