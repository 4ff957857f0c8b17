"""The best of each of many agents' memories, by the recall score: one kernel, agent by agent.

For each agent the candidates are gathered from wherever they lie, compared with its query by
vectors, by words or by both, scored (`scoring`), and the best k found.

Relevance of both kinds is fused as the sum of z-scores over the candidates: c / sd(c) + w / sd(w),
for cosines c and word scores w (BM25); what z-scores subtract is the same for all and does not
matter to a score that is stretched to [0, 1] afterwards. A kind that tells nothing apart (sd = 0)
drops out. A memory without a vector has cosine 0.

Invariants: a score depends on the agent's candidates as a set: not on their order, on where they
lie, on other agents or on threads; deviations are sums of whole numbers, which have no order.
Cost: see bench cases `recall_own`.
Source: of the fusion docs/notes/006; rank fusion (Cormack et al. 2009) finds less on the same data.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.ecs import jit
from populace.storage.dots import Queries, products

from .bm25 import K1, B, bm25_scores
from .candidates import MemoryTables, Wanted, passing, read_candidates
from .lexicon import Asked, Lexicon
from .scoring import best_places, score_candidates

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

FINE = 2.0**15
"""Steps that the largest of some values is cut into, for their deviation."""
ALONE = 4_096
"""Candidates below which a second thread would cost more than it saves."""
SAME = 0.002
"""Deviations below which fused relevances differ by their rounding alone."""
TOTAL, RECENCY, IMPORTANCE, RELEVANCE = range(4)


class Words(NamedTuple):
    """Queries as words, and the lexicon that knows the candidates' texts.

    Those of query q are words_m[offsets_q[q]:offsets_q[q + 1]], their terms beside them.
    """

    lexicon: Lexicon
    offsets_q: Places
    words_m: npt.NDArray[np.int32]
    terms_m: npt.NDArray[np.int32]
    n_terms_q: Places


def words_of(lexicon: Lexicon, asked: list[Asked]) -> Words:
    """Several queries side by side."""
    sizes = [each.words.size for each in asked]
    return Words(
        lexicon,
        np.append(0, np.cumsum(sizes, dtype=np.int64)),
        np.concatenate([np.empty(0, np.int32), *(each.words for each in asked)]),
        np.concatenate([np.empty(0, np.int32), *(each.terms for each in asked)]),
        np.array([each.n_terms for each in asked], np.int64),
    )


class Held(NamedTuple):
    """The memories of some agents: those of agent a at places [offsets_a[a], offsets_a[a + 1]).

    table_m, row_m: (m,) u4, where each lies. text_m: (m,) u4, codes of its text, or (0,) where they
    do not matter. pass_m: (m,) bool, whether its text passes a `WordFilter`, or (0,). tie_m: (m,)
    u8, the order of equal scores, or (0,) for that of sequences.
    """

    offsets_a: Places
    table_m: npt.NDArray[np.uint32]
    row_m: npt.NDArray[np.uint32]
    text_m: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
    pass_m: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
    tie_m: npt.NDArray[np.uint64] = np.empty(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The best of each agent. place_ak: (a, k) i8 into `Held`, -1 where there are no more.
    part_ak4: (a, k, 4) f8, total, recency, importance, relevance. count_a: candidates of each."""

    place_ak: Places
    part_ak4: npt.NDArray[np.float64]
    count_a: Places


def rank(
    held: Held,
    where: MemoryTables,
    wanted: Wanted,
    weights: tuple[float, float, float, float],
    now: int,
    k: int,
    query_a: Places,
    vectors: Queries | None = None,
    vector_type: np.dtype[Any] | None = None,
    words: Words | None = None,
    threads: int = 1,
) -> Ranked:
    """The k best of each agent.

    wanted: the filters, but for those of tables and texts, which `where` and `held` answer to.
    weights: as `weights_of` gives them. query_a: (a,) i8, which query each is asked, -1 for none.
    vectors, words: of the queries. vector_type: dtype that vectors are stored in. Arrays are as the
    kernels take them; no checks.
    """
    n_agents = query_a.size
    total = int(held.offsets_a[-1])
    k = min(k, total if n_agents < 2 else int(np.diff(held.offsets_a).max()))
    made = Ranked(
        np.empty((n_agents, k), np.int64), np.empty((n_agents, k, 4)), np.empty(n_agents, np.int64)
    )
    if vectors is None or vector_type is None:
        size, vectors = 0, NO_VECTORS
    else:
        size = vector_type.itemsize
    if words is None:
        words = _NO_WORDS
    known = words.lexicon
    limits, least = wanted.limits(now), np.float32(wanted.importance)

    def part(first: int, last: int) -> None:
        rank_agents(
            held.offsets_a, np.int64(first), np.int64(last), held.table_m, held.row_m,
            held.text_m, held.pass_m, held.tie_m, where.address_tc, limits, least,
            np.array([now, size], np.int64), np.array(weights), query_a,
            vectors.unit_qd, vectors.whole_qd, vectors.step_q,
            known.start_c, known.end_c, known.length_c, known.words_w,
            words.offsets_q, words.words_m, words.terms_m, words.n_terms_q,
            _scratch(known.n_words), made.place_ak, made.part_ak4, made.count_a,
        )  # fmt: skip

    n_parts = min(threads, max(1, total // ALONE), max(n_agents, 1))
    if n_parts == 1:
        part(0, n_agents)
    else:
        shares = np.linspace(0, total, n_parts + 1)[1:-1]
        cuts = [0, *np.searchsorted(held.offsets_a, shares).tolist(), n_agents]
        list(_workers().map(part, cuts[:-1], cuts[1:]))
    return made


NO_VECTORS = Queries(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.int16), np.zeros(1))
_NO_WORDS = words_of(Lexicon(), [])
_own = threading.local()


def _scratch(n_words: int) -> npt.NDArray[np.int16]:
    """(n_words or more,) i2 of this thread, all 0 between two uses."""
    held: npt.NDArray[np.int16] | None = getattr(_own, "term_v", None)
    if held is None or held.size < n_words:
        held = _own.term_v = np.zeros(n_words + n_words // 2 + 64, np.int16)
    return held


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="populace-recall")


# -- kernels -------------------------------------------------------------------------------------


@jit
def deviation(x_n: Any) -> Any:
    """The standard deviation of x_n, f8, to 3 parts in 100,000; the same in any order. O(n)."""
    peak = 0.0
    for i in range(x_n.size):
        peak = max(peak, abs(x_n[i]))
    if not peak > 0:
        return 0.0
    total, squares = np.int64(0), np.int64(0)
    for i in range(x_n.size):
        steps = np.int64(np.rint(x_n[i] * (FINE / peak)))
        total += steps
        squares += steps * steps
    mean = total / np.float64(x_n.size)
    return np.sqrt(max(squares / np.float64(x_n.size) - mean * mean, 0.0)) * (peak / FINE)


@jit
def fuse(cosine_n: Any, word_n: Any, of_cosine: Any, of_word: Any, out_n: Any) -> None:
    """out_n <- c / of_cosine + w / of_word, without a kind whose deviation is 0; the same for all
    where words and meaning cancel each other. O(n).

    out_n may be one of the two.
    """
    by_cosine = 1 / of_cosine if of_cosine > 0 else 0.0
    by_word = 1 / of_word if of_word > 0 else 0.0
    low, high = np.inf, -np.inf
    for i in range(out_n.size):
        fused = cosine_n[i] * by_cosine + word_n[i] * by_word
        low, high = min(low, fused), max(high, fused)
        out_n[i] = fused
    if high - low < SAME:
        out_n[:] = low


@njit(nogil=True, error_model="numpy")
def cosines_of(
    vector_n: Any, scale_n: Any, size: Any, unit_d: Any, whole_d: Any, step: Any,
    address_n: Any, product_n: Any, out_n: Any,
) -> None:  # fmt: skip
    """out_n <- the cosine of each vector to a query, 0 where its address is 0. O(n d).

    vector_n: (n,) i8 addresses. scale_n: (n,) f4. address_n, product_n: (n,) scratch.
    """
    n = 0
    for i in range(out_n.size):
        if vector_n[i]:
            address_n[n] = vector_n[i]
            n += 1
    products(address_n[:n], size, unit_d, whole_d, step, product_n[:n])
    n = 0
    for i in range(out_n.size):
        out_n[i] = 0.0
        if vector_n[i]:
            out_n[i] = min(max(product_n[n] * np.float64(scale_n[i]), -1.0), 1.0)
            n += 1


@njit(nogil=True, error_model="numpy")
def score_words(
    text_n: Any, start_c: Any, end_c: Any, length_c: Any, words_w: Any, word_k: Any, term_k: Any,
    term_v: Any, tf_m: Any, idf_t: Any, out_n: Any,
) -> None:  # fmt: skip
    """out_n <- the word score of each text to a query of words word_k that mean terms term_k.

    term_v: i2 by word, all 0, and so afterwards. tf_m, idf_t: scratch. O(words).
    """
    n, n_terms = text_n.size, idf_t.size
    for k in range(word_k.size):
        term_v[word_k[k]] = term_k[k] + 1
    bm25_scores(
        text_n, start_c, end_c, length_c, words_w, term_v, K1, B,
        tf_m[: n * n_terms].reshape(n, n_terms), idf_t, out_n,
    )  # fmt: skip
    for k in range(word_k.size):
        term_v[word_k[k]] = 0


@jit
def rank_agents(
    offsets_a: Any,
    first: Any,
    last: Any,
    table_m: Any,
    row_m: Any,
    text_m: Any,
    pass_m: Any,
    tie_m: Any,
    address_tc: Any,
    limit_4: Any,
    least: Any,
    now_size: Any,
    weight_4: Any,
    query_a: Any,
    unit_qd: Any,
    whole_qd: Any,
    step_q: Any,
    start_c: Any,
    end_c: Any,
    length_c: Any,
    words_w: Any,
    offset_q: Any,
    word_m: Any,
    term_m: Any,
    n_terms_q: Any,
    term_v: Any,
    place_ak: Any,
    part_ak4: Any,
    count_a: Any,
) -> None:
    """See `rank`, of agents [first, last). O(candidates), and O(log k) each for the best.

    term_v: i2 by word, all 0, and so afterwards.
    """
    now, size = now_size[0], now_size[1]
    most, most_terms = 0, np.int64(0)
    for a in range(first, last):
        most = max(most, offsets_a[a + 1] - offsets_a[a])
    for q in range(n_terms_q.size):
        most_terms = max(most_terms, n_terms_q[q])
    place_n, accessed_n = np.empty(most, np.int64), np.empty(most, np.int64)
    vector_n, address_n = np.empty(most, np.int64), np.empty(most, np.int64)
    importance_n, scale_n = np.empty(most, np.float32), np.empty(most, np.float32)
    sequence_n, text_n = np.empty(most, np.uint64), np.empty(most, np.uint32)
    cosine_n, word_n, total_n = np.empty(most), np.empty(most), np.empty(most)
    part_m, best_k = np.empty(3 * most), np.empty(most, np.int64)
    tf_m, idf_t = np.empty(most * most_terms, np.uint8), np.empty(most_terms)
    for a in range(first, last):
        n = passing(
            offsets_a[a], offsets_a[a + 1], table_m, row_m, pass_m, address_tc, limit_4, least,
            place_n,
        )  # fmt: skip
        count_a[a] = n
        place_ak[a] = -1
        if not n:
            continue
        read_candidates(
            place_n[:n], table_m, row_m, address_tc, size * unit_qd.shape[1],
            accessed_n, importance_n, sequence_n, vector_n, scale_n,
        )  # fmt: skip
        if tie_m.size:
            for i in range(n):
                sequence_n[i] = tie_m[place_n[i]]
        q = query_a[a]
        has_vector, n_terms = q >= 0 and size > 0, np.int64(0)
        if has_vector:
            cosines_of(
                vector_n[:n], scale_n, size, unit_qd[q], whole_qd[q], step_q[q],
                address_n, total_n, cosine_n[:n],
            )  # fmt: skip
        if q >= 0 and n_terms_q.size:
            n_terms = n_terms_q[q]
        if n_terms:
            for i in range(n):
                text_n[i] = text_m[place_n[i]]
            begin, end = offset_q[q], offset_q[q + 1]
            score_words(
                text_n[:n], start_c, end_c, length_c, words_w, word_m[begin:end],
                term_m[begin:end], term_v, tf_m, idf_t[:n_terms], word_n[:n],
            )  # fmt: skip
        relevance_n = cosine_n if has_vector else word_n
        if has_vector and n_terms:
            fuse(
                cosine_n[:n], word_n[:n], deviation(cosine_n[:n]), deviation(word_n[:n]),
                relevance_n[:n],
            )  # fmt: skip
        elif not has_vector and not n_terms:
            relevance_n[:n] = 0
        part_3n = part_m[: 3 * n].reshape(3, n)
        score_candidates(
            now, accessed_n[:n], importance_n[:n], relevance_n[:n],
            weight_4[0], weight_4[1], weight_4[2], weight_4[3], part_3n, total_n[:n],
        )  # fmt: skip
        found = min(n, place_ak.shape[1])
        best_places(total_n[:n], sequence_n[:n], best_k[:found])
        for j in range(found):
            i = best_k[j]
            place_ak[a, j] = place_n[i]
            part_ak4[a, j, 0] = total_n[i]
            for part in range(3):
                part_ak4[a, j, part + 1] = part_3n[part, i]
