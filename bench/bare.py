"""The bounds: what a numba programmer would write by hand over bare arrays.

No checks, no growth, no observers, no change ticks: only the loads and stores that the data needs.
Layouts are those of Populace, so that a ratio compares work and not bytes: ids are u8 (generation
<< 32 | index), an entity's slot is 16 bytes (generation << 32 | row, table), rows are u4, columns
are contiguous. Where a bound needs room it was taken, and its pages touched, beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

Array = npt.NDArray[Any]

_LOW = np.uint64(0xFFFF_FFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_NONE = np.uint64(0)


# -- sweeps --------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def advance(x_n: Array, y_n: Array, dx_n: Array, dy_n: Array, dt: Any) -> None:
    """Move by velocity * dt, in the dtype of dt."""
    for i in range(x_n.size):
        x_n[i] += dx_n[i] * dt
        y_n[i] += dy_n[i] * dt


@intrinsic
def _pointer(typing_context, address):  # type: ignore[no-untyped-def]
    """An int64 address as a void pointer."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


@njit(cache=True, nogil=True)
def double_tables(address_t: Array, count_t: Array) -> None:
    """Double one f4 column of every table, by its address."""
    one = np.int64(1)
    for t in range(address_t.size):
        column = carray(_pointer(address_t[t]), one, np.float32)
        for i in range(count_t[t]):
            column[i] *= np.float32(2)


@njit(cache=True, nogil=True)
def double(value_n: Array) -> None:
    """Double one column."""
    for i in range(value_n.size):
        value_n[i] *= np.float32(2)


@njit(cache=True, nogil=True)
def changed(
    x_n: Array, old_x_n: Array, y_n: Array, old_y_n: Array, ids_n: Array, begin: int, end: int,
    out_n: Array, k: int,
) -> int:  # fmt: skip
    """Append to out_n the ids of the rows of [begin, end) where two u4 columns differ from what
    they were, and note what they are; returns how many are in out_n. 64 rows at a time, as memcmp
    would."""
    for block in range(begin, end, 64):
        stop = min(block + 64, end)
        x, old_x = x_n[block:stop], old_x_n[block:stop]  # slices: numba vectorises their loops
        y, old_y = y_n[block:stop], old_y_n[block:stop]
        differs = np.uint32(0)
        for i in range(x.size):
            differs |= (x[i] ^ old_x[i]) | (y[i] ^ old_y[i])
        if differs:
            for i in range(x.size):
                if x[i] != old_x[i] or y[i] != old_y[i]:
                    old_x[i], old_y[i] = x[i], y[i]
                    out_n[k] = ids_n[block + i]
                    k += 1
    return k


# -- rows that come and go -----------------------------------------------------------------------


@dataclass
class Rows:
    """One table of bare columns (c, capacity) f4, its ids, and how many rows are alive."""

    columns: Array
    ids: Array
    n: int

    @classmethod
    def of(cls, columns: list[Array], ids: Array, capacity: int) -> Rows:
        """Copies, with room up to `capacity`, pages touched."""
        room = np.zeros((len(columns), capacity), np.float32)
        made = cls(room, np.zeros(capacity, np.uint64), ids.size)
        made.ids[: ids.size] = ids
        for mine, given in zip(made.columns, columns, strict=True):
            mine[: ids.size] = given
        return made


def slots_for(ids: Array, capacity: int) -> Array:
    """Slots of entities that live in table 0, in the order of `ids`."""
    slots = np.zeros((capacity, 2), np.uint64)
    index = (ids & _LOW).astype(np.intp)
    slots[index, 0] = (ids & ~_LOW) | np.arange(ids.size, dtype=np.uint64)
    return slots


@njit(cache=True, nogil=True)
def resolve(slots: Array, ids_k: Array, row_k: Array) -> None:
    """row_k <- the rows of ids_k."""
    for j in range(ids_k.size):
        row_k[j] = np.uint32(slots[ids_k[j] & _LOW, 0] & _LOW)


@njit(cache=True, nogil=True)
def gather(column_n: Array, row_k: Array, out_k: Array) -> None:
    """out_k <- the values of these rows."""
    for j in range(row_k.size):
        out_k[j] = column_n[row_k[j]]


@njit(cache=True, nogil=True)
def scatter(column_n: Array, row_k: Array, value_k: Array) -> None:
    """These rows <- value_k."""
    for j in range(row_k.size):
        column_n[row_k[j]] = value_k[j]


@njit(cache=True, nogil=True)
def append_rows(
    slots: Array, row_k: Array, source_cn: Array, source_ids: Array, target_cn: Array,
    target_ids: Array, m: int, table: int,
) -> None:  # fmt: skip
    """Copy rows to the end (m) of another table, and let their slots say so."""
    for c in range(source_cn.shape[0]):
        for j in range(row_k.size):
            target_cn[c, m + j] = source_cn[c, row_k[j]]
    for j in range(row_k.size):
        entity = source_ids[row_k[j]]
        target_ids[m + j] = entity
        slots[entity & _LOW, 0] = (entity & ~_LOW) | np.uint64(m + j)
        slots[entity & _LOW, 1] = np.uint64(table)


@njit(cache=True, nogil=True)
def swap_columns(row_k: Array, column_cn: Array, n: int) -> None:
    """Remove ascending rows from n, from the highest down: the last row takes each one's place."""
    for c in range(column_cn.shape[0]):
        last = n
        for j in range(row_k.size - 1, -1, -1):
            last -= 1
            column_cn[c, row_k[j]] = column_cn[c, last]


@njit(cache=True, nogil=True)
def swap_ids(slots: Array, row_k: Array, ids_n: Array, n: int) -> None:
    """The same for the ids, and let the slots of those that moved say so."""
    last = n
    for j in range(row_k.size - 1, -1, -1):
        last -= 1
        if row_k[j] != last:
            entity = ids_n[last]
            ids_n[row_k[j]] = entity
            slots[entity & _LOW, 0] = (entity & ~_LOW) | np.uint64(row_k[j])


@njit(cache=True, nogil=True)
def release(slots: Array, free_n: Array, n_free: int, ids_k: Array) -> int:
    """Put the slots of ids_k on the free list, a generation older; returns its length."""
    for j in range(ids_k.size):
        index = ids_k[j] & _LOW
        slots[index, 0] = ((ids_k[j] >> _32) + _ONE) << _32
        slots[index, 1] = _LOW
        free_n[n_free] = np.uint32(index)
        n_free += 1
    return n_free


@njit(cache=True, nogil=True)
def allocate(slots: Array, free_n: Array, n_free: int, ids_n: Array, n: int, k: int) -> int:
    """Take k slots from the free list for rows n, n + 1, ...; returns the list's new length."""
    for j in range(k):
        n_free -= 1
        index = np.uint64(free_n[n_free])
        generation = slots[index, 0] & ~_LOW
        slots[index, 0] = generation | np.uint64(n + j)
        slots[index, 1] = _NONE
        ids_n[n + j] = generation | index
    return n_free


# -- owners and their members --------------------------------------------------------------------


@njit(cache=True, nogil=True)
def join_owners(
    owner_k: Array, member_k: Array, member_om: Array, count_o: Array, place_n: Array
) -> None:
    """Append each member to the list of its owner; place_n remembers where."""
    for j in range(owner_k.size):
        owner, member = owner_k[j] & _LOW, member_k[j] & _LOW
        member_om[owner, count_o[owner]] = np.uint32(member)
        place_n[member] = count_o[owner]
        count_o[owner] += 1


@njit(cache=True, nogil=True)
def leave_owners(
    owner_k: Array, member_k: Array, member_om: Array, count_o: Array, place_n: Array
) -> None:
    """Take each member off the list of its owner: the last one takes its place."""
    for j in range(owner_k.size):
        owner, member = owner_k[j] & _LOW, member_k[j] & _LOW
        count_o[owner] -= 1
        moved = member_om[owner, count_o[owner]]
        member_om[owner, place_n[member]] = moved
        place_n[moved] = place_n[member]


@njit(cache=True, nogil=True)
def collect_members(
    slots: Array, owner_k: Array, member_om: Array, count_o: Array, row_n: Array, id_n: Array
) -> int:
    """row_n, id_n <- all members of these owners, whose lists are emptied; returns how many."""
    k = 0
    for j in range(owner_k.size):
        owner = owner_k[j] & _LOW
        for m in range(count_o[owner]):
            member = np.uint64(member_om[owner, m])
            row_n[k] = np.uint32(slots[member, 0] & _LOW)
            id_n[k] = (slots[member, 0] & ~_LOW) | member
            k += 1
        count_o[owner] = 0
    return k


@njit(cache=True, nogil=True)
def pack_owners(
    slots: Array, member_om: Array, count_o: Array, owner_o: Array, offset_o: Array, id_n: Array
) -> int:
    """Owners with members, where theirs begin, and the members' ids; returns how many owners."""
    n_owners, filled = 0, 0
    for owner in range(count_o.size):
        if count_o[owner]:
            owner_o[n_owners] = (slots[owner, 0] & ~_LOW) | np.uint64(owner)
            offset_o[n_owners] = filled
            n_owners += 1
            for m in range(count_o[owner]):
                member = np.uint64(member_om[owner, m])
                id_n[filled] = (slots[member, 0] & ~_LOW) | member
                filled += 1
    offset_o[n_owners] = filled
    return n_owners


# -- pairs ---------------------------------------------------------------------------------------

_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@njit(cache=True, nogil=True)
def find_or_insert(
    key_value: Array, shift: Any, key_k: Array, weight_k: Array, weight_n: Array, n: int,
    update: bool, row_k: Array, made_k: Array,
) -> int:  # fmt: skip
    """Look each key up in a map of (capacity, 2) [key, row] and write its weight.

    A new key gets the next row from n on. `update`: known ones get the weight too. row_k: the row
    of each key; made_k: the slots that new keys took, to take them back. Returns how many.
    """
    last = np.uint64(key_value.shape[0] - 1)
    made = 0
    for j in range(key_k.size):
        key = key_k[j]
        z = (key ^ (key >> _30)) * _MIX_1
        z = (z ^ (z >> _27)) * _MIX_2
        slot = (z ^ (z >> _31)) >> shift
        while key_value[slot, 0] != key and key_value[slot, 0] != _NONE:
            slot = (slot + _ONE) & last
        if key_value[slot, 0] == _NONE:
            key_value[slot, 0] = key
            key_value[slot, 1] = np.uint64(n + made)
            weight_n[n + made] = weight_k[j]
            made_k[made] = slot
            made += 1
        elif update:
            weight_n[key_value[slot, 1]] = weight_k[j]
        row_k[j] = np.uint32(key_value[slot, 1])
    return made


@njit(cache=True, nogil=True)
def take_back(key_value: Array, made_k: Array) -> None:
    """Empty the slots that the last `find_or_insert` filled, latest first."""
    for j in range(made_k.size - 1, -1, -1):
        key_value[made_k[j], 0] = _NONE
        key_value[made_k[j], 1] = _NONE
