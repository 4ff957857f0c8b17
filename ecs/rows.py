"""Kernels that move rows of raw columns, whatever their dtype.

A column is (address, bytes a row); a set of columns is an (c, 2) int64 table of both, so one call
costs the same however many columns there are (about 0.2 µs) and one compilation serves every
dtype. Rows are (k,) u4. Nothing here checks anything: the callers have.

Invariant: addresses are those of live buffers with at least max(rows) + 1 rows; `from` and `to`
ranges do not overlap within one column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from .jit import jit

ADDRESS, ROW_BYTES = 0, 1

Columns = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint32]


@intrinsic
def pointer_to(typing_context, address):  # type: ignore[no-untyped-def]
    """An int64 address as a void pointer."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


@intrinsic
def value_at(typing_context, address, row, like):  # type: ignore[no-untyped-def]
    """Row `row` of the column at an address, of the type of `like`. A column that is indexed as an
    array costs as much at run time, and 0.1 s more to compile for each place."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        stored = context.get_data_type(like).as_pointer()
        place = builder.gep(builder.inttoptr(arguments[0], stored), [arguments[1]])
        return context.unpack_value(builder, like, place)

    return like(types.int64, types.int64, like), build


@jit
def copy_rows(source_c: Any, target_c: Any, pair_p: Any, from_k: Rows, to_k: Rows) -> None:
    """target[d][to_k[j]] <- source[c][from_k[j]] for every pair (c, d) of columns and every j.

    source_c, target_c: (columns, 2) i8 of address and bytes a row. pair_p: (p, 2) i8 of columns
    with equal bytes a row. O(p k).
    """
    one = np.int64(1)
    for p in range(pair_p.shape[0]):
        c, d = pair_p[p, 0], pair_p[p, 1]
        size = source_c[c, 1]
        source, target = pointer_to(source_c[c, 0]), pointer_to(target_c[d, 0])
        if size == 4:
            a4, b4 = carray(source, one, np.uint32), carray(target, one, np.uint32)
            for j in range(from_k.size):
                b4[to_k[j]] = a4[from_k[j]]
        elif size == 8:
            a8, b8 = carray(source, one, np.uint64), carray(target, one, np.uint64)
            for j in range(from_k.size):
                b8[to_k[j]] = a8[from_k[j]]
        elif size == 1:
            a1, b1 = carray(source, one, np.uint8), carray(target, one, np.uint8)
            for j in range(from_k.size):
                b1[to_k[j]] = a1[from_k[j]]
        elif size == 2:
            a2, b2 = carray(source, one, np.uint16), carray(target, one, np.uint16)
            for j in range(from_k.size):
                b2[to_k[j]] = a2[from_k[j]]
        elif size % 4 == 0:
            words = size // 4
            aw, bw = carray(source, one, np.uint32), carray(target, one, np.uint32)
            for j in range(from_k.size):
                a, b = from_k[j] * words, to_k[j] * words
                for w in range(words):
                    bw[b + w] = aw[a + w]
        else:
            ax, bx = carray(source, one, np.uint8), carray(target, one, np.uint8)
            for j in range(from_k.size):
                a, b = from_k[j] * size, to_k[j] * size
                for w in range(size):
                    bx[b + w] = ax[a + w]


@jit
def fill_bytes(address_k: Any, value: int) -> None:
    """The bytes at these addresses <- value. O(k)."""
    for j in range(address_k.size):
        carray(pointer_to(address_k[j]), np.int64(1), np.uint8)[0] = value


@jit
def first_repeat(row_k: Rows) -> int:
    """The first place whose row is that of the next one, or -1. row_k: ascending. O(k)."""
    for j in range(row_k.size - 1):
        if row_k[j] == row_k[j + 1]:
            return j
    return -1


@jit
def pair_holes(gone_k: Rows, n_left: int, holes_m: Rows, tails_m: Rows) -> int:
    """The moves that close a table: holes_m[j] is to be filled from tails_m[j]; returns m.

    gone_k: rows to go, ascending and distinct; n_left: rows that stay. Both outputs have room for
    k and come out ascending. O(k).
    """
    k = gone_k.size
    m = 0
    while m < k and gone_k[m] < n_left:
        holes_m[m] = gone_k[m]
        m += 1
    n = n_left + k
    tail, dead, found = n_left, m, 0
    while tail < n and found < m:
        if dead < k and gone_k[dead] == tail:
            dead += 1
        else:
            tails_m[found] = tail
            found += 1
        tail += 1
    return m


@njit(nogil=True, error_model="numpy")
def _differ(now: Any, was: Any) -> bool:
    """Whether two arrays of words differ anywhere."""
    differs = now[0] ^ was[0]
    for w in range(1, now.size):
        differs |= now[w] ^ was[w]
    return bool(differs != 0)


@njit(nogil=True, error_model="numpy")
def _stamp_words(now: Any, was: Any, tick_n: Any, tick: Any) -> None:
    """stamp_changes for one column of some rows, a word each; without branches, it vectorises."""
    for row in range(now.size):
        tick_n[row] = tick if now[row] != was[row] else tick_n[row]
    for row in range(now.size):
        was[row] = now[row]


@njit(nogil=True, error_model="numpy")
def _stamp_vectors(now: Any, was: Any, width: int, tick_n: Any, tick: Any) -> None:
    """The same for rows of `width` words."""
    for w in range(now.size):
        if now[w] != was[w]:
            was[w] = now[w]
            tick_n[w // width] = tick


@jit
def stamp_changes(
    column_c: Any, shadow_c: Any, tick_n: Rows, begin: int, end: int, tick: int
) -> bool:
    """Stamp rows in [begin, end) whose bytes differ from the shadow's, and refresh the shadow.

    tick_n: (n,) u4, set to `tick` where any column differs. Returns whether any does. O(c rows),
    128 rows at a time: with 1 % of the rows changed at random it takes 1.4 times what it takes
    where none is, with 64 rows twice, for the branch is then taken at random too.
    """
    changed = False
    stamp = np.uint32(tick)
    for c in range(column_c.shape[0]):
        size = column_c[c, 1]
        now, was = pointer_to(column_c[c, 0]), pointer_to(shadow_c[c, 0])
        for first in range(begin, end, 128):
            last = min(first + 128, end)
            ticks = tick_n[first:last]
            if size == 4:
                n4, w4 = carray(now, last, np.uint32)[first:], carray(was, last, np.uint32)[first:]
                if _differ(n4, w4):
                    changed = True
                    _stamp_words(n4, w4, ticks, stamp)
            elif size == 8:
                n8, w8 = carray(now, last, np.uint64)[first:], carray(was, last, np.uint64)[first:]
                if _differ(n8, w8):
                    changed = True
                    _stamp_words(n8, w8, ticks, stamp)
            elif size % 4 == 0:
                a, b = first * (size // 4), last * (size // 4)
                nv, wv = carray(now, b, np.uint32)[a:], carray(was, b, np.uint32)[a:]
                if _differ(nv, wv):
                    changed = True
                    _stamp_vectors(nv, wv, size // 4, ticks, stamp)
            else:
                a, b = first * size, last * size
                n1, w1 = carray(now, b, np.uint8)[a:], carray(was, b, np.uint8)[a:]
                if _differ(n1, w1):
                    changed = True
                    _stamp_vectors(n1, w1, size, ticks, stamp)
    return changed
