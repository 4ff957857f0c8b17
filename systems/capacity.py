"""Capacity: an agent that holds more memories than it can forgets its weakest.

An owner of more than C memories forgets the weakest until floor(keep * C) remain. Equals: older
access first, then lower sequence, then lower entity index. `Pinned` memories count, and stay, as
do those without a `Trace`.

Invariants: strength is worked out here, for now, as in `pruning`; which memories go depends on
no row, batch or thread. Below capacity nothing goes, at C + 1 some tenth of C, so that the rule
does not run again at once.
Cost: one look at each owner's count (1 ns), 15 ns for each memory of the owners that overflow (55
where they hold less than a sixteenth of all), and 150 ns for each that goes (bench `prune_owners`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Capacity, Memory, Pinned, Trace
from populace.ecs import Res, World, f4, jit, setting, settings, system, u4
from populace.ecs.entities import Ids, Rows, index_of
from populace.ecs.fields import Field

from .pruning import Reason, tell
from .retention import Retention, law_of
from .strength import TRACE_FIELDS, scratch, strengths_by

Places: TypeAlias = npt.NDArray[np.int64]


@settings
class Room:
    """How many memories an agent can hold. A resource; `Capacity` is an agent's own."""

    capacity: int = setting(1000, range=(1, 2**32 - 1), doc="C, memories of an agent")
    keep: float = setting(0.9, range=(0, 1), doc="share of C that is left after an overflow")


@njit(nogil=True)
def kth_smallest(key_m: Any, k: int) -> Any:
    """The k-th smallest of m i8 keys, 1 <= k <= m, by bisection until k keys are on one side: some
    log2(m) passes where keys are spread evenly, at most as many as their range has bits, each
    vectorised. (np.partition takes 4 s to compile.)"""
    low, high = key_m[0], key_m[0]
    for j in range(key_m.size):  # key_m.min() is not vectorised
        low, high = min(low, key_m[j]), max(high, key_m[j])
    while low < high:
        middle = (low & high) + ((low ^ high) >> 1)  # the mean, without overflow
        below = 0
        for j in range(key_m.size):
            below += key_m[j] <= middle
        if below == k:
            for j in range(key_m.size):
                low = max(low, key_m[j] if key_m[j] <= middle else low)
            return low
        if below > k:
            high = middle
        else:
            low = middle + 1
    return low


@jit
def part(
    offsets_o: Any, wanted_o: Any, key_m: Any, first_m: Any, equal_m: Any, ends_o: Any, left_o: Any
) -> int:
    """first_m[:k] <- for each owner the places of those that are among its `wanted` first members
    whatever the order of equals; return k.

    Members of owner o are places [offsets_o[o], offsets_o[o + 1]), ordered by key_m, i8; 0 <=
    wanted_o <= members. equal_m <- the places of those of which only some are wanted, the owner's
    at [ends_o[o], ends_o[o + 1]), and left_o <- how many. 3 ns a member.
    """
    k, t = 0, 0
    ends_o[0] = 0
    for o in range(wanted_o.size):
        begin, wanted, n_first = offsets_o[o], wanted_o[o], 0
        if wanted:
            keys, first = key_m[begin : offsets_o[o + 1]], first_m[k:]
            limit = kth_smallest(keys, wanted)
            for j in range(keys.size):  # without a branch: half the time
                first[n_first] = begin + j
                n_first += keys[j] <= limit
            if n_first > wanted:
                within, n_first = first[:n_first], 0
                for place in within:
                    if key_m[place] < limit:
                        first[n_first] = place
                        n_first += 1
                    else:
                        equal_m[t] = place
                        t += 1
        ends_o[o + 1], left_o[o] = t, wanted - n_first
        k += n_first
    return k


def weakest(offsets: Places, wanted: Places, key: Places, *ties: Callable[[Places], Any]) -> Places:
    """The places of each owner's `wanted` first members by a key, in no order: (k,) i8.

    `ties`: each gives (t,) i8 keys for the places of members that were equal by those before it; no
    two of an owner are by the last. The rest as in `part`, where the time goes.
    """
    chosen, equal, offsets, wanted = _parted(offsets, wanted, key)
    for tie in ties:
        if not equal.size:
            break
        first, still, offsets, wanted = _parted(offsets, wanted, tie(equal).astype(np.int64))
        chosen, equal = np.concatenate([chosen, equal[first]]), equal[still]
    return chosen


def _parted(offsets: Places, wanted: Places, key: Places) -> tuple[Places, ...]:
    """What `part` fills: first, equal, ends, left."""
    first, equal = np.empty((2, key.size), np.int64)
    ends, left = np.empty_like(offsets), np.empty_like(wanted)
    k = part(offsets, wanted, key, first, equal, ends, left)
    return first[:k], equal[: ends[-1]], ends, left


@jit
def spread(id_n: Any, key_n: Any, out_i: Any) -> None:
    """out_i <- key_n at the entity index of each id_n (u8). O(n)."""
    for row in range(id_n.size):
        out_i[u4(id_n[row])] = key_n[row]


@jit
def picked(key_i: Any, index_m: Any, out_m: Any) -> None:
    """out_m (i8) <- the keys at some entity indices (u4). O(m)."""
    for j in range(index_m.size):
        out_m[j] = key_i[index_m[j]]


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


def surplus(world: World, owners: Ids, excess: Places, floor: float) -> Ids:
    """The `excess` weakest memories of each owner, those that stay left out: ids, ascending by
    index."""
    offsets, members = world.index(Memory.owner).buckets.members(index_of(owners))
    key = strength_keys(world, members, floor)
    if key.min() == STAYS:
        free = key != STAYS
        offsets = np.concatenate([[0], np.cumsum(free)])[offsets]
        members, key = members[free], key[free]

    def tied(field: Field) -> Callable[[Places], Any]:
        return lambda at: world.get(ids_of(members[at]), field)

    ids_of = world.store.entities.ids_of
    wanted = np.minimum(excess, np.diff(offsets))
    ties = tied(Trace.accessed), tied(Memory.sequence), members.__getitem__
    return ids_of(np.sort(members[weakest(offsets, wanted, key, *ties)]))


STAYS = np.int32(-1)
"""The key of a memory that its owner cannot lose: pinned, or worth nothing that is known."""

SWEEP_FROM = 1 / 16
"""The share of all memories from which on it takes less time to work out the strength of every one:
3 ns in the order of rows, 50 where the columns of some are gathered."""


def strength_keys(world: World, members: Rows, floor: float) -> Places:
    """(m,) i8: the strength of memories, by entity index, as the bits of its f4, which are in the
    order of strengths since none is negative; or STAYS."""
    law, now = strengths_by(law_of(world)), np.int64(world.clock.now)
    fields = (*TRACE_FIELDS, Memory.created)

    def keys(columns: Any) -> npt.NDArray[np.int32]:
        strength = np.empty(columns[0].size, np.float32)
        law(*columns, now, f4(floor), scratch(), strength)
        strength += 0  # an importance of -0.0 is worth 0.0
        return strength.view(np.int32)

    found = np.empty(members.size, np.int64)
    tables = world.query(Memory, Trace, without=Pinned).tables()
    if members.size < SWEEP_FROM * sum(table.n for table in tables):
        found[:] = STAYS
        for places in world.at(world.store.entities.ids_of(members)):
            if places.has(Trace) and not places.has(Pinned):
                rows = places.rows.astype(np.intp)  # numpy would convert them at each look-up
                found[places.at] = keys([places.read(made)[rows] for made in fields])
        return found
    by_index = np.full(world.store.entities.n_slots, STAYS)
    for table in tables:
        spread(table.ids, keys([table.column(made) for made in fields]), by_index)
    picked(by_index, members, found)
    return found
