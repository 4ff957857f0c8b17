"""What agents reflect on, many at once: focal points, and the memories that they bring to mind.

A focal point is a text that the agent observed since its last reflection (an event or a chat):
the most important ones, each text once; of equal importance the later first, then by higher
sequence. Where nothing was observed since, all that ever was counts. It stands for the questions
that Generative Agents has a language model put.

What it brings to mind are the memories of any kind with the highest recall score at that moment,
its text being the query. Nothing counts that was formed after the moment.

Kernels: agents are segments of columns over their memories, `offsets_f[f]` to `offsets_f[f + 1]`
for reflection f; places are rows of those columns. An agent may have several segments.
Cost: 25 ns a memory and focal point by words, 110 by vectors of 256 dimensions.
Source: Park et al. 2023 (arXiv 2304.03442).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from populace.components import MemoryKind
from populace.ecs import jit

from .scoring import add_weighted, best_places, cosines_to, recencies_to, spread
from .words import overlaps_to

THOUGHT = int(MemoryKind.THOUGHT)


@njit(nogil=True, error_model="numpy")
def _sooner(importance_n: Any, created_n: Any, sequence_n: Any, a: Any, b: Any) -> Any:
    """Whether memory a is a focal point rather than memory b."""
    if importance_n[a] != importance_n[b]:
        return importance_n[a] > importance_n[b]
    if created_n[a] != created_n[b]:
        return created_n[a] > created_n[b]
    return sequence_n[a] > sequence_n[b]


@jit
def focal_points(
    offsets_f: Any,
    after_f: Any,
    until_f: Any,
    created_n: Any,
    kind_n: Any,
    text_n: Any,
    importance_n: Any,
    sequence_n: Any,
    out_fk: Any,
) -> None:
    """out_fk[f] <- the places of the k focal points of reflection f, best first, then -1.

    offsets_f: (f + 1,) i8. after_f, until_f: (f,) i8 µs, of what was observed after one and not
    after the other. created_n: (n,) i8 µs. kind_n: (n,) u1. text_n: (n,) u4, 0 is no text.
    importance_n: (n,) f4. sequence_n: (n,) u4. O(n k).
    """
    most = out_fk.shape[1]
    for f in range(out_fk.shape[0]):
        chosen_k = out_fk[f]
        after = after_f[f]
        for _ in range(2):
            for k in range(most):
                chosen_k[k] = -1
            held = 0
            for i in range(offsets_f[f], offsets_f[f + 1]):
                if kind_n[i] == THOUGHT or text_n[i] == 0:
                    continue
                if created_n[i] <= after or created_n[i] > until_f[f]:
                    continue
                at = 0  # where the text is held, else a new place, else that of the worst
                while at < held and text_n[chosen_k[at]] != text_n[i]:
                    at += 1
                if at == most:
                    at -= 1
                if at < held and not _sooner(importance_n, created_n, sequence_n, i, chosen_k[at]):
                    continue
                held = max(held, at + 1)
                while at > 0 and _sooner(importance_n, created_n, sequence_n, i, chosen_k[at - 1]):
                    chosen_k[at] = chosen_k[at - 1]
                    at -= 1
                chosen_k[at] = i
            if held:
                break
            after = np.int64(-(2**63))


@jit
def bring_to_mind(
    offsets_f: Any,
    until_f: Any,
    focal_fk: Any,
    created_n: Any,
    accessed_n: Any,
    importance_n: Any,
    sequence_n: Any,
    text_n: Any,
    start_c: Any,
    end_c: Any,
    words_w: Any,
    vector_nd: Any,
    base: Any,
    w_recency: Any,
    w_importance: Any,
    w_relevance: Any,
    out_fkm: Any,
) -> None:
    """out_fkm[f, k] <- the places of the m memories that focal point k recalls, best first, then
    -1; all -1 for a focal point that is -1.

    offsets_f: (f + 1,) i8. until_f: (f,) i8 µs. focal_fk: (f, k) i8, `focal_points`. created_n,
    accessed_n: (n,) i8 µs. importance_n: (n,) f4. sequence_n, text_n: (n,) u4. start_c, end_c,
    words_w: a `WordIndex` that knows the texts. vector_nd: (n, d) f4, zeros for a memory without
    one; relevance is by words where the focal point has none. Or None, for which what compares
    vectors is not compiled. O(k (n d + n log m)).
    """
    longest, n_words = 0, 0
    for f in range(until_f.size):
        longest = max(longest, offsets_f[f + 1] - offsets_f[f])
        for k in range(focal_fk.shape[1]):
            if focal_fk[f, k] >= 0:
                code = text_n[focal_fk[f, k]]
                if start_c[code] < end_c[code]:
                    n_words = max(n_words, words_w[end_c[code] - 1] + 1)
            for m in range(out_fkm.shape[2]):
                out_fkm[f, k, m] = -1
    asked_v = np.zeros(n_words, np.bool_)
    place_i, last_i = np.empty(longest, np.int64), np.empty(longest, np.int64)
    key_i, text_i = np.empty(longest, np.uint32), np.empty(longest, np.uint32)
    if vector_nd is not None:
        near_id = np.empty((longest, vector_nd.shape[1]), np.float32)
    part_4i = np.empty((4, longest))
    for f in range(until_f.size):
        n = 0
        for i in range(offsets_f[f], offsets_f[f + 1]):
            if created_n[i] <= until_f[f]:
                place_i[n] = i
                last_i[n] = accessed_n[i]
                part_4i[1, n] = importance_n[i]
                key_i[n] = sequence_n[i]
                text_i[n] = text_n[i]
                if vector_nd is not None:
                    for d in range(vector_nd.shape[1]):
                        near_id[n, d] = vector_nd[i, d]
                n += 1
        recency_n, weight_n = part_4i[0, :n], part_4i[1, :n]
        match_n, score_n = part_4i[2, :n], part_4i[3, :n]
        if n:
            recencies_to(until_f[f], last_i, base, recency_n)
            spread(recency_n)
            spread(weight_n)
        for k in range(focal_fk.shape[1]):
            focal = focal_fk[f, k]
            if focal < 0:
                break
            by_words = True
            if vector_nd is not None:
                for d in range(vector_nd.shape[1]):
                    by_words = by_words and vector_nd[focal, d] == 0
                if not by_words:
                    cosines_to(vector_nd[focal], near_id, match_n)
            if by_words:
                overlaps_to(text_n[focal], text_i, start_c, end_c, words_w, asked_v, match_n)
            spread(match_n)
            add_weighted(
                recency_n, weight_n, match_n, w_recency, w_importance, w_relevance, score_n
            )
            found = min(n, out_fkm.shape[2])
            best_places(score_n, key_i, out_fkm[f, k, :found])
            for m in range(found):
                out_fkm[f, k, m] = place_i[out_fkm[f, k, m]]
