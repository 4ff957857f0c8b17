"""Finding near-duplicates in columns: kernels. The law is in `consolidation`.

Of items in segments (the memories of one owner and kind) the strongest takes in every other one
that is like it, the strongest of those left takes in what is like it and left, and so on: leaders
first, so that a chain A ~ B ~ C with A unlike C has one outcome, and no two leaders are alike. The
order is strength, falling, then older access, then sequence: whole, whatever the rows.

Like are items of equal text (code 0, no text, is like nothing) and items whose unit vectors have a
product >= the threshold.

Invariants: a product is summed in the order of the dimensions, so it is the same bits whichever
item leads, in any block and row; vectors of NaN are like nothing.
Cost: by text 7 ns an item; by vectors 13 ns a pair of 256 dimensions, at worst every pair of which
one is new.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from populace.ecs import jit

WIDTH = 64
"""Vectors in a block, one dimension after the other, so that products are vectorised across it."""


@njit(nogil=True, error_model="numpy")
def _after(strength_n: Any, accessed_n: Any, sequence_n: Any, a: Any, b: Any) -> Any:
    """Whether item a comes after item b."""
    if strength_n[a] != strength_n[b]:
        return strength_n[a] < strength_n[b]
    if accessed_n[a] != accessed_n[b]:
        return accessed_n[a] > accessed_n[b]
    return sequence_n[a] > sequence_n[b]


# Its root is np.int64(0), as in `scoring`.
@njit(nogil=True, error_model="numpy")
def _sift(
    strength_n: Any, accessed_n: Any, sequence_n: Any, item_m: Any, low: Any, at: Any, size: Any
) -> None:
    """Let item_m[low + at] sink in a heap of `size` items from `low` on, whose root is the last."""
    item = item_m[low + at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        left, right = item_m[low + child], item_m[low + min(child + 1, size - 1)]
        if child + 1 < size and _after(strength_n, accessed_n, sequence_n, right, left):
            child += 1
        if not _after(strength_n, accessed_n, sequence_n, item_m[low + child], item):
            break
        item_m[low + at] = item_m[low + child]
        at = child
    item_m[low + at] = item


@jit
def rank(offsets_s: Any, strength_n: Any, accessed_n: Any, sequence_n: Any, item_m: Any) -> None:
    """Sort each segment of item_m, in place: strongest first, then older access, then sequence.

    offsets_s: (s + 1,) i8, segments of item_m. strength_n: (n,) f4. accessed_n: (n,) i8 µs.
    sequence_n: (n,) u4, distinct in a segment. item_m: (m,) i8, places in the n. O(m log m).
    """
    for s in range(offsets_s.size - 1):
        low, size = offsets_s[s], offsets_s[s + 1] - offsets_s[s]
        for at in range(size // 2 - 1, -1, -1):
            _sift(strength_n, accessed_n, sequence_n, item_m, low, at, size)
        for left in range(size - 1, 0, -1):
            last = item_m[low]
            item_m[low] = item_m[low + left]
            item_m[low + left] = last
            _sift(strength_n, accessed_n, sequence_n, item_m, low, np.int64(0), left)


@jit
def lead_by_text(offsets_s: Any, kind_n: Any, text_n: Any, place_h: Any, lead_n: Any) -> None:
    """lead_n <- the first item of the segment with the same kind and text.

    offsets_s: (s + 1,) i8. kind_n: (n,) u1. text_n: (n,) u4. place_h: (h,) i8, scratch, h a power
    of 2 above twice the longest segment. lead_n: (n,) i8. O(n).
    """
    for s in range(offsets_s.size - 1):
        low, high = offsets_s[s], offsets_s[s + 1]
        size = 2
        while size < 2 * (high - low):
            size *= 2
        mask = np.uint64(size - 1)
        place_h[:size] = -1
        for i in range(low, high):
            lead_n[i] = i
            if text_n[i] == 0:
                continue
            key = np.uint64(text_n[i]) << np.uint64(8) | np.uint64(kind_n[i])
            at = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32) & mask
            while place_h[at] >= 0:
                other = place_h[at]
                if text_n[other] == text_n[i] and kind_n[other] == kind_n[i]:
                    lead_n[i] = other
                    break
                at = (at + np.uint64(1)) & mask
            if lead_n[i] == i:
                place_h[at] = i


@jit
def unit_vectors(vector_nd: Any, out_nd: Any) -> None:
    """out_nd <- the vectors at length 1; NaN for zero vectors and those with NaN. O(n d).

    vector_nd, out_nd: (n, d) f4, may be the same.
    """
    for i in range(vector_nd.shape[0]):
        square = np.float64(0)
        for k in range(vector_nd.shape[1]):
            square += np.float64(vector_nd[i, k]) * np.float64(vector_nd[i, k])
        scale = 1 / np.sqrt(square) if square > 0 else np.nan
        for k in range(vector_nd.shape[1]):
            out_nd[i, k] = np.float32(np.float64(vector_nd[i, k]) * scale)


@njit(nogil=True, error_model="numpy")
def _products(unit_d: Any, block_dw: Any, out_w: Any) -> None:
    """out_w <- the products of one vector with those of a block, each summed from the left."""
    d = unit_d.size
    whole = d // 4 * 4
    out_w[:] = 0
    for k in range(0, whole, 4):
        a, b, c, e = unit_d[k], unit_d[k + 1], unit_d[k + 2], unit_d[k + 3]
        for w in range(WIDTH):
            out_w[w] = (
                out_w[w] + a * block_dw[k, w] + b * block_dw[k + 1, w]
                + c * block_dw[k + 2, w] + e * block_dw[k + 3, w]
            )  # fmt: skip
    for k in range(whole, d):
        for w in range(WIDTH):
            out_w[w] += unit_d[k] * block_dw[k, w]


@njit(nogil=True, error_model="numpy")
def _take_in(
    leader: Any, first: Any, side: Any, item_pm: Any, size_p: Any, block_pbdw: Any,
    unit_nd: Any, text_n: Any, tau: Any, product_w: Any, lead_n: Any,
) -> None:  # fmt: skip
    """Let `leader` take in what is like it of one side's items, from its place `first` on."""
    blind = np.isnan(unit_nd[leader, 0])
    product_w[:] = np.nan
    for block in range(first // WIDTH, (size_p[side] + WIDTH - 1) // WIDTH):
        if not blind:
            _products(unit_nd[leader], block_pbdw[side, block], product_w)
        for w in range(max(first - block * WIDTH, 0), min(size_p[side] - block * WIDTH, WIDTH)):
            item = item_pm[side, block * WIDTH + w]
            if lead_n[item] < 0 and (
                product_w[w] >= tau or (text_n[item] == text_n[leader] and text_n[item] != 0)
            ):
                lead_n[item] = leader


@jit
def lead_by_vector(
    offsets_s: Any, item_m: Any, new_n: Any, text_n: Any, unit_nd: Any, tau: Any, lead_n: Any
) -> None:
    """lead_n <- the leader of each item of the segments.

    offsets_s: (s + 1,) i8, segments of item_m. item_m: (m,) i8, places in the n, ranked. new_n:
    (n,) bool; two items that are not are known to be unlike. text_n: (n,) u4. unit_nd: (n, d) f4,
    `unit_vectors`. tau: f4. lead_n: (n,) i8. O(pairs d).
    """
    longest = 0
    for s in range(offsets_s.size - 1):
        longest = max(longest, offsets_s[s + 1] - offsets_s[s])
    d = unit_nd.shape[1]
    item_pm = np.empty((2, longest), np.int64)  # old items and new ones, each in their order
    size_p = np.empty(2, np.int64)
    block_pbdw = np.empty((2, (longest + WIDTH - 1) // WIDTH, d, WIDTH), np.float32)
    block_pbdw[:] = 0
    product_w = np.empty(WIDTH, np.float32)
    for s in range(offsets_s.size - 1):
        size_p[:] = 0
        for m in range(offsets_s[s], offsets_s[s + 1]):
            item = item_m[m]
            lead_n[item] = -1
            side = np.int64(new_n[item])
            at = size_p[side]
            item_pm[side, at] = item
            for k in range(d):
                block_pbdw[side, at // WIDTH, k, at % WIDTH] = unit_nd[item, k]
            size_p[side] = at + 1
        old, new = 0, 0  # of each side, how many have had their turn
        for m in range(offsets_s[s], offsets_s[s + 1]):
            item = item_m[m]
            fresh = new_n[item]
            old += not fresh
            new += fresh
            if lead_n[item] >= 0:
                continue
            lead_n[item] = item
            _take_in(item, new, 1, item_pm, size_p, block_pbdw,
                     unit_nd, text_n, tau, product_w, lead_n)  # fmt: skip
            if fresh:
                _take_in(item, old, 0, item_pm, size_p, block_pbdw,
                         unit_nd, text_n, tau, product_w, lead_n)  # fmt: skip


@jit
def groups(lead_n: Any, size_n: Any, offsets_g: Any, item_m: Any) -> int:
    """offsets_g[: g + 1], item_m <- the items that share a leader with others; return g.

    lead_n: (n,) i8, the place of each item's leader. size_n: (n,) i8, scratch. offsets_g: (n + 1,)
    i8. item_m: (n,) i8. Groups come in the order of their first items, items in their order. O(n).
    """
    size_n[:] = 0
    for i in range(lead_n.size):
        size_n[lead_n[i]] += 1
    g = 0
    offsets_g[0] = 0
    for i in range(lead_n.size):  # from here on size_n is -1 - where the group's next item goes
        lead = lead_n[i]
        if size_n[lead] == 1:
            continue
        if size_n[lead] > 1:
            offsets_g[g + 1] = offsets_g[g] + size_n[lead]
            size_n[lead] = -1 - offsets_g[g]
            g += 1
        item_m[-1 - size_n[lead]] = i
        size_n[lead] -= 1
    return g
