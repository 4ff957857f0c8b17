"""The bounds of the laws: the loads, stores and formulas of a law over bare arrays, rows known.

As in `bare`: no ids, no checks, no order to bring events into, no room to make. Where a formula is
short it is that of the law itself, so that what is compared is all the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from populace.ecs import f4, i8, jit, u8
from populace.systems.curves import exp2_f4
from populace.systems.knowledge import known_of, left_at
from populace.systems.telling_nodes import heard

PER_US = f4(-1e-6)


# -- space ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def near_pairs(
    x_n: Any, y_n: Any, per_m: Any, n_side: int, limit: Any, start_c: Any, at_c: Any, held_x_n: Any,
    held_y_n: Any,
) -> int:  # fmt: skip
    """How many pairs of points are within `limit` m², f4, squared: sort them into a square grid,
    compare each with what follows it in its cell and in the four next ones.

    per_m: cells a metre, n_side along each side. start_c: (cells + 1,) i8, at_c: (cells,) i8,
    held_x_n, held_y_n: room.
    """
    start_c[:] = 0
    last = n_side - 1
    for i in range(x_n.size):
        cell = min(int(y_n[i] * per_m), last) * n_side + min(int(x_n[i] * per_m), last)
        start_c[cell + 1] += 1
    for cell in range(at_c.size):
        start_c[cell + 1] += start_c[cell]
        at_c[cell] = start_c[cell]
    for i in range(x_n.size):
        cell = min(int(y_n[i] * per_m), last) * n_side + min(int(x_n[i] * per_m), last)
        held_x_n[at_c[cell]], held_y_n[at_c[cell]] = x_n[i], y_n[i]
        at_c[cell] += 1
    found = 0
    for row in range(n_side):
        for column in range(n_side):
            cell = row * n_side + column
            right = cell + (1 if column < last else 0)
            under = under_end = 0
            if row < last:
                under = start_c[cell + n_side - (1 if column > 0 else 0)]
                under_end = start_c[right + n_side + 1]
            for a in range(start_c[cell], start_c[cell + 1]):
                for b in range(a + 1, start_c[right + 1]):
                    dx, dy = held_x_n[a] - held_x_n[b], held_y_n[a] - held_y_n[b]
                    found += dx * dx + dy * dy <= limit
                for b in range(under, under_end):
                    dx, dy = held_x_n[a] - held_x_n[b], held_y_n[a] - held_y_n[b]
                    found += dx * dx + dy * dy <= limit
    return found


@njit(cache=True, nogil=True)
def next_states(state_n: Any, since_n: Any, until_n: Any, now: int, lasts: int) -> int:
    """Whoever is due by `now` passes to the next of 6 states, for as long as all; how many did."""
    changed = 0
    for i in range(until_n.size):
        if until_n[i] <= now:
            state_n[i] = (state_n[i] + 1) % 6
            since_n[i] = until_n[i]
            until_n[i] += lasts
            changed += 1
    return changed


# -- contacts ------------------------------------------------------------------------------------


@jit
def infect(
    i_e: Any, j_e: Any, time_e: Any, pull_e: Any, pulled_e: Any, half_life: Any, emotion_3n: Any,
    since_n: Any,
) -> None:  # fmt: skip
    """Contacts of agents whose mood and temperament are neutral: both emotions fade up to it, then
    move toward each other."""
    for e in range(i_e.size):
        i, j = i_e[e], j_e[e]
        keeps = exp2_f4(f4(time_e[e] - since_n[i]) * PER_US / f4(half_life))
        other_keeps = exp2_f4(f4(time_e[e] - since_n[j]) * PER_US / f4(half_life))
        for axis in range(3):
            own, other = emotion_3n[axis, i] * keeps, emotion_3n[axis, j] * other_keeps
            emotion_3n[axis, i] = own + pull_e[e] * (other - own)
            emotion_3n[axis, j] = other + pulled_e[e] * (own - other)
        since_n[i] = since_n[j] = time_e[e]


@jit
def tire(
    i_e: Any, j_e: Any, time_e: Any, cost: Any, recovery: Any, level_n: Any, since_n: Any
) -> None:
    """Contacts cost both parties as much."""
    for e in range(i_e.size):
        for row in (i_e[e], j_e[e]):
            rest = f4(recovery) * (f4(time_e[e] - since_n[row]) * f4(1e-6))
            level_n[row] = max(min(level_n[row] + rest, f4(1)) - f4(cost), f4(0))
            since_n[row] = time_e[e]


@jit
def tellings(
    i_e: Any, j_e: Any, time_e: Any, strength_e: Any, stream: Any, threshold: Any, offsets: Any,
    topic_m: Any, confidence_m: Any, half_life_m: Any, rehearsed_m: Any,
) -> int:  # fmt: skip
    """How many topics are told: for each piece of knowledge of both parties of each contact, what
    is left of it and the draw. Agents' numbers are their places; nothing is written."""
    told = 0
    for e in range(i_e.size):
        for a, b in ((i_e[e], j_e[e]), (j_e[e], i_e[e])):
            key = u8(a) << u8(32) | u8(b)
            for m in range(offsets[a], offsets[a + 1]):
                left = left_at(time_e[e], half_life_m[m], rehearsed_m[m])
                known = known_of(confidence_m[m], left, threshold)
                told += heard(stream, time_e[e], key, topic_m[m], strength_e[e], known)
    return told


# -- memories ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def merge_texts(text_om: Any, importance_om: Any, place_h: Any, gone_om: Any) -> int:
    """Per owner: each memory that repeats an earlier text goes into that one; how many did.

    place_h: (a power of 2,) i4, room for a hash table of one owner's texts.
    """
    mask = np.uint64(place_h.size - 1)
    gone = 0
    for o in range(text_om.shape[0]):
        place_h[:] = -1
        for m in range(text_om.shape[1]):
            text = text_om[o, m]
            at = (np.uint64(text) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32) & mask
            while place_h[at] >= 0 and text_om[o, place_h[at]] != text:
                at = (at + np.uint64(1)) & mask
            first = place_h[at]
            gone_om[o, m] = first >= 0
            if first < 0:
                place_h[at] = m
            else:
                gone += 1
                missing = (1 - importance_om[o, first]) * (1 - importance_om[o, m])
                importance_om[o, first] = 1 - missing
    return gone


# With fastmath, or the sums keep their order and are not vectorised.
@njit(cache=True, nogil=True, fastmath=True)
def count_alike(unit_nd: Any, tau: Any) -> int:
    """How many pairs of unit vectors have a product of at least tau."""
    found = 0
    for a in range(unit_nd.shape[0]):
        for b in range(a + 1, unit_nd.shape[0]):
            product = np.float32(0)
            for k in range(unit_nd.shape[1]):
                product += unit_nd[a, k] * unit_nd[b, k]
            found += product >= tau
    return found


# -- descent -------------------------------------------------------------------------------------


@jit
def kin(
    a_e: Any, b_e: Any, parent_2n: Any, own_n: Any, share_2n: Any, queue_2p: Any, weight_p: Any,
    out_e: Any,
) -> None:  # fmt: skip
    """out_e <- the kinship of pairs, by every line of descent: each adds the half of the half ...
    of the genes to an ancestor. own_n: f8, of each person what its parents do not account for.

    share_2n: zeros, and so again afterwards. queue_2p, weight_p: room for all lines of one person.
    """
    for e in range(a_e.size):
        for side in range(2):
            queue_p, share_n = queue_2p[side], share_2n[side]
            queue_p[0], weight_p[0] = (a_e[e], b_e[e])[side], 1.0
            head, tail = 0, 1
            while head < tail:
                i = queue_p[head]
                share_n[i] += weight_p[head]
                for p in range(2):
                    if parent_2n[p, i] >= 0:
                        queue_p[tail], weight_p[tail] = parent_2n[p, i], weight_p[head] / 2
                        tail += 1
                head += 1
            queue_p[tail] = -1
        total, k = 0.0, i8(0)
        while queue_2p[0, k] >= 0:
            c = queue_2p[0, k]
            total += share_2n[0, c] * share_2n[1, c] * own_n[c]
            share_2n[0, c] = 0
            k += 1
        k = i8(0)
        while queue_2p[1, k] >= 0:
            share_2n[1, queue_2p[1, k]] = 0
            k += 1
        out_e[e] = total / 2
