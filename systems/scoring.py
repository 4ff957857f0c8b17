"""The recall score: which of an agent's memories answer best, here and now.

    score = w_recency * m(b^h) + w_importance * m(I) + w_relevance * m(r)

h hours since the last access, b the base, I importance, r relevance, and m(x) = (x - min) /
(max - min) over the candidates, 1/2 where all of them are equal. Relevance is the cosine to the
query's vector, the score of its words (`bm25`), both, or, without a query, the same for all.

Arrays in, arrays out: who the candidates are is decided before.
Invariants: a candidate's score depends on the set of candidates alone, not on their order; recency
falls with the time since the last access; equal scores are ranked by sequence, older first.
Cost: 15 ns a candidate, and 10 for finding the best thirty; a cosine of 256 dimensions 60 ns.
Source: Park et al. 2023 (arXiv 2304.03442). Its code scores the rank of a memory in place of its
age, from the wrong end, so that the oldest is the most recent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.ecs import World, f4, jit, setting, settings
from populace.ecs.errors import ColumnShapeError, ColumnValueError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

US_PER_HOUR = 3.6e9
LANES = 32


@settings
class RecallScore:
    """What counts how much when memories are recalled. A resource."""

    w_recency: float = setting(1.0, range=(0, 1000), doc="weight of recency")
    w_importance: float = setting(1.0, range=(0, 1000), doc="weight of importance")
    w_relevance: float = setting(1.0, range=(0, 1000), doc="weight of relevance to the query")
    base: float = setting(0.995, range=(0.01, 1), doc="what is left of recency after each hour")


SMALLVILLE = RecallScore(w_recency=0.5, w_importance=2.0, w_relevance=3.0, base=0.995)
"""The weights in the code of Generative Agents; its paper has 1, 1, 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of n candidates, and their parts: each (n,) f8, the parts in [0, 1], unweighted."""

    total: Floats
    recency: Floats
    importance: Floats
    relevance: Floats


def recall_scores(
    law: RecallScore, now: int, accessed: Any, importance: Any, relevance: Any = None
) -> Scores:
    """Score candidates against each other.

    now: simulated µs. accessed: (n,) i8 µs, the last accesses; one after `now` counts as now.
    importance: (n,). relevance: (n,), or None where there is no query.

    Raises ColumnShapeError, ColumnValueError for a relevance that is not finite. O(n).

    >>> hour = 3_600_000_000
    >>> found = recall_scores(RecallScore(), 9 * hour, [8 * hour, 0, 9 * hour], [0.2, 0.9, 0.2])
    >>> found.total.round(2).tolist()
    [1.39, 1.5, 1.5]
    """
    accessed_n = np.ascontiguousarray(accessed, np.int64)
    importance_n = np.ascontiguousarray(importance, f4)
    given = np.zeros(accessed_n.size) if relevance is None else relevance
    relevance_n = np.ascontiguousarray(given, np.float64)
    if not accessed_n.shape == importance_n.shape == relevance_n.shape == (accessed_n.size,):
        raise ColumnShapeError(
            f"recall_scores takes one last access, importance and relevance for each candidate; "
            f"got shapes {accessed_n.shape}, {importance_n.shape} and {relevance_n.shape}"
        )
    if not np.isfinite(relevance_n).all():
        raise ColumnValueError(
            "relevance must be finite; a zero vector is relevant to nothing: give it 0"
        )
    parts, total = np.empty((3, accessed_n.size)), np.empty(accessed_n.size)
    score_candidates(
        np.int64(now), accessed_n, importance_n, relevance_n, *weights_of(law), parts, total
    )
    return Scores(total, *parts)


DEFAULT = RecallScore()


def law_of(world: World) -> RecallScore:
    """The world's weights, or where it has none the default ones."""
    return world.resource(RecallScore) if RecallScore in world.resources else DEFAULT


def weights_of(law: RecallScore) -> tuple[float, float, float, float]:
    """(base, w_recency, w_importance, w_relevance), as `score_candidates` takes them."""
    return law.base, law.w_recency, law.w_importance, law.w_relevance


def best(scores: Any, sequence: Any, k: int) -> Places:
    """(min(k, n),) i8: the places of the highest scores, best first; ties by lower `sequence`.

    scores: (n,), sequence: (n,), distinct. Raises ColumnShapeError, ColumnValueError for a negative
    k. O(n log k).

    >>> best([0.5, 2.0, 0.5], [8, 9, 7], 2).tolist()
    [1, 2]
    """
    score_n, sequence_n = np.asarray(scores, np.float64), np.asarray(sequence)
    if score_n.ndim != 1 or score_n.shape != sequence_n.shape:
        raise ColumnShapeError(
            f"best takes one sequence number for each score; got shapes {score_n.shape} and "
            f"{sequence_n.shape}"
        )
    if k < 0:
        raise ColumnValueError(f"best takes k >= 0, the number of places wanted; got {k}")
    out = np.empty(min(k, score_n.size), np.int64)
    best_places(score_n, sequence_n, out)
    return out


def cosines(query: Any, vectors: Any) -> Floats:
    """(n,) f8: the cosine of `query` (d,) to each of `vectors` (n, d); 0 for a zero vector.

    Vectors may be f4, f2 or i1: they are read as f4; one whose length is not between 1e-18 and 1e18
    counts as zero. Raises ColumnShapeError. O(n d).

    >>> cosines([1, 0], [[3, 0], [0, 2], [-1, 0], [0, 0]]).tolist()
    [1.0, 0.0, -1.0, 0.0]
    """
    query_d = np.ascontiguousarray(query, f4)
    vector_nd = np.ascontiguousarray(vectors, f4)
    if query_d.ndim != 1 or vector_nd.ndim != 2 or query_d.size != vector_nd.shape[1]:
        raise ColumnShapeError(
            f"cosines takes a query (d,) and vectors (n, d); got {query_d.shape} and "
            f"{vector_nd.shape}"
        )
    out = np.empty(vector_nd.shape[0])
    cosines_to(query_d, vector_nd, out)
    return out


# -- kernels -------------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def spread(x_n: Any) -> None:
    """x_n <- (x - min) / (max - min), or 1/2 where they are equal; in place. O(n)."""
    low, high = x_n[0], x_n[0]
    for i in range(1, x_n.size):
        low, high = min(low, x_n[i]), max(high, x_n[i])
    for i in range(x_n.size):
        x_n[i] = (x_n[i] - low) / (high - low) if high > low else 0.5


# In f8: in f4 the recencies of accesses within seconds of each other would be rounding, which
# `spread` then blows up to the whole of [0, 1].
@jit
def score_candidates(
    now: Any,
    accessed_n: Any,
    importance_n: Any,
    relevance_n: Any,
    base: Any,
    w_recency: Any,
    w_importance: Any,
    w_relevance: Any,
    part_3n: Any,
    out_n: Any,
) -> None:
    """out_n <- scores; part_3n <- recency, importance and relevance in [0, 1]. O(n).

    accessed_n: (n,) i8 µs, now: i8 µs. importance_n: (n,) f4. relevance_n, out_n: (n,) f8.
    part_3n: (3, n) f8.
    """
    if not out_n.size:
        return
    recency_n, weight_n, match_n = part_3n[0], part_3n[1], part_3n[2]
    recencies_to(now, accessed_n, base, recency_n)
    for i in range(out_n.size):
        weight_n[i] = importance_n[i]
        match_n[i] = relevance_n[i]
    spread(recency_n)
    spread(weight_n)
    spread(match_n)
    add_weighted(recency_n, weight_n, match_n, w_recency, w_importance, w_relevance, out_n)


@njit(nogil=True, error_model="numpy")
def recencies_to(now: Any, accessed_n: Any, base: Any, out_n: Any) -> None:
    """out_n <- base to the power of the hours since the last access. O(n).

    now: i8 µs. accessed_n: (n,) i8 µs, or longer. out_n: (n,) f8.
    """
    rate = np.log2(base) / US_PER_HOUR
    for i in range(out_n.size):
        out_n[i] = 2.0 ** (rate * max(now - accessed_n[i], 0))


@njit(nogil=True, error_model="numpy")
def add_weighted(
    recency_n: Any, weight_n: Any, match_n: Any, w_recency: Any, w_importance: Any,
    w_relevance: Any, out_n: Any,
) -> None:  # fmt: skip
    """out_n <- the sum of the parts, each by its weight. All (n,) f8. O(n)."""
    for i in range(out_n.size):
        out_n[i] = w_recency * recency_n[i] + w_importance * weight_n[i] + w_relevance * match_n[i]


@njit(nogil=True, error_model="numpy")
def _worse(score_n: Any, sequence_n: Any, a: Any, b: Any) -> Any:
    """Whether candidate a ranks behind candidate b."""
    if score_n[a] != score_n[b]:
        return score_n[a] < score_n[b]
    return sequence_n[a] > sequence_n[b]


# The root is np.int64(0) for those who call: for 0 numba would compile a second one, in 0.1 s.
@njit(nogil=True, error_model="numpy")
def _sift(score_n: Any, sequence_n: Any, heap_k: Any, at: Any, size: Any) -> None:
    """Let heap_k[at] sink among the first `size`, whose root is the worst of all."""
    item = heap_k[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _worse(score_n, sequence_n, heap_k[child + 1], heap_k[child]):
            child += 1
        if not _worse(score_n, sequence_n, heap_k[child], item):
            break
        heap_k[at] = heap_k[child]
        at = child
    heap_k[at] = item


@jit
def best_places(score_n: Any, sequence_n: Any, out_k: Any) -> None:
    """out_k <- the places of the k highest scores, best first; ties by lower sequence.

    score_n: (n,) f8. sequence_n: (n,) integers, distinct. out_k: (k,) i8, k <= n. O(n log k).
    """
    k = out_k.size
    if not k:
        return
    for i in range(k):
        out_k[i] = i
    for at in range(k // 2 - 1, -1, -1):
        _sift(score_n, sequence_n, out_k, at, k)
    for i in range(k, score_n.size):
        if _worse(score_n, sequence_n, out_k[0], i):
            out_k[0] = i
            _sift(score_n, sequence_n, out_k, np.int64(0), k)
    for size in range(k - 1, 0, -1):
        worst = out_k[0]
        out_k[0] = out_k[size]
        _sift(score_n, sequence_n, out_k, np.int64(0), size)
        out_k[size] = worst


# Lanes, since LLVM does not vectorise a sum that must keep its order: 56 ns a row of 256 in place
# of 125. With fastmath 10, but then the bits are those of the machine's vector width.
@jit
def cosines_to(query_d: Any, vector_nd: Any, out_n: Any) -> None:
    """out_n <- the cosine of query_d to each row; 0 where either is zero. O(n d).

    query_d: (d,) f4. vector_nd: (n, d) f4, or longer. out_n: (n,) f8.
    """
    d = query_d.size
    whole = d // LANES * LANES
    product_l, square_l = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    own = np.float64(0)
    for i in range(d):
        own += np.float64(query_d[i]) * np.float64(query_d[i])
    for i in range(out_n.size):
        vector_d = vector_nd[i]
        product_l[:] = 0
        square_l[:] = 0
        for start in range(0, whole, LANES):
            part_l, asked_l = vector_d[start : start + LANES], query_d[start : start + LANES]
            for lane in range(LANES):
                product_l[lane] += part_l[lane] * asked_l[lane]
                square_l[lane] += part_l[lane] * part_l[lane]
        for lane in range(d - whole):
            product_l[lane] += vector_d[whole + lane] * query_d[whole + lane]
            square_l[lane] += vector_d[whole + lane] * vector_d[whole + lane]
        product, square = np.float64(0), np.float64(0)
        for lane in range(LANES):
            product += np.float64(product_l[lane])
            square += np.float64(square_l[lane])
        size = np.sqrt(own * square)
        out_n[i] = min(max(product / size, -1.0), 1.0) if 0 < size < np.inf else 0.0
