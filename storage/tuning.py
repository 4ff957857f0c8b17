"""How many lists of an inverted file a search must look into: measured, not guessed.

Queries are vectors that are there, each without itself, and what was really asked of late. Their
nearest are found exactly, in one pass over all vectors; then the smallest number of lists is taken
that finds the target's share of them, when four times as many as asked for, at least `RERANKED`,
are compared anew: once for ten, once for a hundred. What is as near as the tenth counts as found,
so that repeated vectors, of which any will do, are no fault. A filter that lets a tenth pass is as
a search ten times as deep.
Cost of 128 queries and 1M x 256: the pass 3 s, the search for the number 1 s.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import numpy.typing as npt

from .dots import Vectors, queries
from .inverted import DEEP, SHALLOW, Inverted, engine
from .labels import Labeled, Words, among, set_bits

RERANKED = 40
ROUNDING = 1e-5
GONE = -2.0
"""The cosine of what does not count."""
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024)
TIMED = 32

Read = Callable[[Labeled], tuple[npt.NDArray[np.bool_], Vectors]]
"""Labels -> (k,) which are live, and their unit vectors."""


class Truth:
    """The nearest of some queries among all that `feed` is shown.

    vectors: (q, d) f4, the queries. own: (q,) i8, the label that a query is the vector of, or -1.
    """

    def __init__(self, vectors: Vectors, own: Labeled) -> None:
        self.own = own
        self.asked = queries(vectors)
        self._best = np.full((own.size, DEEP + 1), GONE, np.float32)
        self._labels = np.full(self._best.shape, -1, np.int64)
        self._shown = np.zeros(1, np.uint64)  # a bitmap

    def feed(self, labels: Labeled, units: Vectors) -> None:
        """Show some vectors; each is shown once."""
        faiss = engine()
        if not labels.size or not self.own.size:
            return
        words = int(labels.max()) // 64 + 1
        if words > self._shown.size:
            longer = np.zeros(max(words, 2 * self._shown.size), np.uint64)
            longer[: self._shown.size] = self._shown
            self._shown = longer
        set_bits(self._shown, labels)
        k = min(DEEP + 1, labels.size)
        cosines, places = faiss.knn(self.asked.unit_qd, units, k, faiss.METRIC_INNER_PRODUCT)
        cosines[labels[places] == self.own[:, None]] = GONE
        both = np.concatenate([self._best, cosines], axis=1)
        names = np.concatenate([self._labels, labels[places]], axis=1)
        nearest = np.argpartition(both, k - 1, axis=1)[:, k:]
        self._best = np.take_along_axis(both, nearest, axis=1)
        self._labels = np.take_along_axis(names, nearest, axis=1)

    def drop(self, live: Words) -> None:
        """Those that have died since they were shown do not count."""
        alive = among(self._labels.ravel(), live).reshape(self._labels.shape)
        self._best[~alive] = GONE
        both = min(live.size, self._shown.size)
        self._shown[:both] &= live[:both]

    def recall(self, main: Inverted, probes: int, depth: int, read: Read) -> float:
        """The mean share of the nearest that `main` finds when it looks into so many lists."""
        labels = main.search(self.asked, max(RERANKED, 4 * depth), probes)
        flat = labels.ravel()
        live, units = read(np.where(flat >= 0, flat, 0))
        live &= among(flat, self._shown) & (flat != np.repeat(self.own, labels.shape[1]))
        vectors = units.reshape(*labels.shape, -1)
        cosines = np.einsum("qmd,qd->qm", vectors, self.asked.unit_qd)
        cosines[~live.reshape(labels.shape)] = 2 * GONE
        best = np.partition(self._best, -depth, axis=1)[:, -depth:]
        wanted = np.count_nonzero(best > GONE, axis=1)
        least = np.where(best > GONE, best, np.inf).min(axis=1, keepdims=True)
        near = cosines >= least - ROUNDING
        found = np.minimum(near.sum(axis=1), wanted)
        return float(found.sum() / max(1, wanted.sum()))


def choose_probes(
    main: Inverted, truth: Truth, read: Read, target: float, progress: Callable[[], object]
) -> bool:
    """Set `main.probes`, `deep` and `recall`; return whether ten are found as the target says.

    progress: called now and then; what it raises ends it.
    """
    steps = [*(step for step in STEPS if step < main.n_lists), main.n_lists]
    for probes in steps:
        progress()
        main.probes, main.recall = probes, truth.recall(main, probes, SHALLOW, read)
        if main.recall >= target:
            break
    for deep in steps[steps.index(main.probes) :]:
        progress()
        main.deep = deep
        if truth.recall(main, deep, DEEP, read) >= target:
            break
    return main.recall >= target


def seconds_a_search(main: Inverted, truth: Truth) -> float:
    """The median wall time of one query."""
    taken = []
    for q in range(min(TIMED, len(truth.asked))):
        asked = queries(truth.asked.unit_qd[q : q + 1])
        begin = perf_counter()
        main.search(asked, RERANKED)
        taken.append(perf_counter() - begin)
    return float(np.median(taken)) if taken else 0.0
