"""Answers that differ from each other: maximal marginal relevance.

Of the best candidates of an agent, one after the other is taken whose

    (1 - d) · score - d · (largest cosine to one taken before)

is the largest; d = 0 takes them as they are ranked, d = 1 as unlike each other as can be. Scores
are in [0, 1]: a recall score over the sum of its weights.

Invariants: the first is the best; equal values go by rank. The result is a function of scores and
vectors alone.
Cost: k cosines for each candidate.
Source: Carbonell & Goldstein 1998.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import jit
from populace.ecs.rows import value_at
from populace.storage.dots import decode, products_f4, unit

from .candidates import SCALE, VECTOR
from .embedders import HashedEmbedder

POOL = 8
"""Candidates that are looked at for each that is wanted, the best by score."""


def unit_vectors_of(
    table: Any,
    row: Any,
    address_tc: Any,
    component: type | None,
    texts: Callable[[], Sequence[str]],
) -> npt.NDArray[np.float32]:
    """(n, d) f4, of length 1 or 0: what memories are compared with each other by: their embeddings,
    zeros for one without; where the query was not compared by meaning (component is None), the
    hashed words of their texts."""
    if component is None:
        return unit(HashedEmbedder()(texts()))
    field = component.vector  # type: ignore[attr-defined]
    stored = np.zeros((row.size, field.width), field.dtype)
    scale = np.zeros(row.size, np.float32)
    copy_vectors(table, row, address_tc, stored.view(np.uint8), scale)
    return decode(stored, scale)


@jit
def copy_vectors(table_k: Any, row_k: Any, address_tc: Any, byte_kb: Any, scale_k: Any) -> None:
    """byte_kb, scale_k <- the vectors of memories as they are stored; left as they are where there
    is none. O(k)."""
    for k in range(row_k.size):
        t, row = table_k[k], np.int64(row_k[k])
        if address_tc[t, VECTOR]:
            begin = address_tc[t, VECTOR] + row * byte_kb.shape[1]
            for place in range(byte_kb.shape[1]):
                byte_kb[k, place] = value_at(begin, np.int64(place), np.uint8(0))
            scale_k[k] = value_at(address_tc[t, SCALE], row, np.float32(0))


def diverse(
    scores: npt.NDArray[np.float64],
    vectors: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.int64],
    k: int,
    diversity: float,
) -> npt.NDArray[np.int64]:
    """(a, k) i8: the places of what is taken of each agent, then -1.

    scores: (n,) f8, best first for each agent. vectors: (n, d) f4, of length 1 or 0, contiguous.
    offsets: (a + 1,) i8.

    >>> unit = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> scores, offsets = np.array([0.9, 0.8, 0.3]), np.array([0, 3])
    >>> [diverse(scores, unit, offsets, 2, d).tolist() for d in (0.0, 0.5)]
    [[[0, 1]], [[0, 2]]]
    """
    out = np.empty((offsets.size - 1, k), np.int64)
    take_diverse(scores, vectors, offsets, float(diversity), out)
    return out


@jit
def take_diverse(score_n: Any, unit_nd: Any, offsets_a: Any, diversity: Any, out_ak: Any) -> None:
    """See `diverse`. O(n k d)."""
    most = 0
    for a in range(out_ak.shape[0]):
        most = max(most, offsets_a[a + 1] - offsets_a[a])
    like_n, near_n = np.empty(most), np.empty(most)
    address_n, taken_n = np.empty(most, np.int64), np.empty(most, np.uint8)
    stride = unit_nd.shape[1] * 4
    for a in range(out_ak.shape[0]):
        begin = offsets_a[a]
        n = offsets_a[a + 1] - begin
        out_ak[a] = -1
        for i in range(n):
            address_n[i] = unit_nd.ctypes.data + (begin + i) * stride
            like_n[i] = 0.0
            taken_n[i] = 0
        for place in range(min(n, out_ak.shape[1])):
            chosen, most_value = -1, -np.inf
            for i in range(n):
                value = (1 - diversity) * score_n[begin + i] - diversity * like_n[i]
                if not taken_n[i] and value > most_value:
                    chosen, most_value = i, value
            out_ak[a, place] = begin + chosen
            taken_n[chosen] = 1
            products_f4(address_n[:n], unit_nd[begin + chosen], near_n[:n])
            for i in range(n):
                like_n[i] = max(like_n[i], near_n[i]) if place else near_n[i]
