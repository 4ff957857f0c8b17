"""An inverted file of unit vectors: FAISS finds the lists that are near a query, and looks there.

Vectors lie in the list of the nearest of some hundred or thousand centroids, a byte a dimension,
between the least and the greatest value seen in training. What is found is near, not always
nearest, and in the order of the rounded vectors; who wants better asks for more than they need and
compares those anew.

Everything here is of labels and arrays and knows no world. One thread may change it while nobody
searches. Any number may search at once: those that a `VectorIndex` shares a batch out to do, while
its searches wait for one another.
Invariants: training and adding are functions of their arguments on one thread (`one_thread`).
Cost of 1M x 256: k-means of 4,096 lists 16 s, finding the list of each 15 s, adding 1 s; removing
any number 9 ms; a query that looks into 24 lists 0.5 ms. Memory: d + 8 bytes a vector, and slack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import jit

from .dots import Array, Queries, Vectors, encode
from .exact import best_of_rows
from .labels import Labeled, Words

Marks = npt.NDArray[np.uint64]
MOST_LISTS = 4096
SHALLOW, DEEP = 10, 100
"""The depths that `probes` and `deep` are for."""

ROUNDS = 8
"""Of k-means."""
SAMPLE_EACH = 40
"""Vectors that k-means looks at, for each centroid."""
MARGIN = 0.05
"""How far beyond the range of the sample values are told apart, as a part of it."""


def engine() -> Any:
    """FAISS, loaded at its first use. The types that it declares are not those that it has."""
    import faiss

    return faiss


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS computes on one thread here, and on as many as before afterwards."""
    faiss = engine()

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def trained(
    sample: Vectors, n_lists: int, seed: int, progress: Callable[[], object] = lambda: None
) -> Inverted:
    """An empty inverted file for vectors like those of a sample.

    sample: (s, d) f4, unit vectors or zeros, at least n_lists. progress: called every few seconds;
    what it raises ends the training.
    """
    faiss = engine()

    n, dimensions = sample.shape
    draw = np.random.default_rng(seed)
    centroids = sample[np.sort(draw.choice(n, n_lists, replace=False))]
    flat = faiss.IndexFlatIP(dimensions)
    for number in range(ROUNDS):
        progress()
        # A round at a time, so that one can stop in between.
        clustering = faiss.Clustering(dimensions, n_lists)
        clustering.niter, clustering.spherical, clustering.seed = 1, True, seed + number
        clustering.max_points_per_centroid = max(SAMPLE_EACH * 2, n // n_lists + 1)
        clustering.min_points_per_centroid = 1
        faiss.copy_array_to_vector(centroids.ravel(), clustering.centroids)
        flat.reset()
        clustering.train(sample, flat)
        centroids = faiss.vector_to_array(clustering.centroids).reshape(n_lists, dimensions)
    centroids = np.ascontiguousarray(centroids)
    low, high = sample.min(axis=0), sample.max(axis=0)
    margin = (high - low) * MARGIN + 1e-6
    ranges = np.concatenate([low - margin, high - low + 2 * margin]).astype(np.float32)
    return Inverted(centroids, ranges)


class Inverted:
    """See the module.

    centroids: (n_lists, d) f4, of length 1. ranges: (2 d,) f4, least value and span of each
    dimension. probes: how many lists a search of ten looks into; deep: one of a hundred. recall: of
    ten, as measured. nearness: mean cosine of vectors to their centroids, when it was trained;
    n_trained: of how many there were. list_of, mark_of: by label, good where it lies in here.
    changes: vectors added and removed so far.
    """

    def __init__(self, centroids: Vectors, ranges: Vectors) -> None:
        faiss = engine()

        self.centroids, self.ranges = centroids, ranges
        self.n_lists, self.dimensions = centroids.shape
        self.probes = self.deep = 1
        self.nearness, self.n_trained, self.recall = 0.0, 0, 0.0
        self._flat = faiss.IndexFlatIP(self.dimensions)
        self._flat.add(centroids)
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._flat,
            self.dimensions,
            self.n_lists,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
            False,
        )
        faiss.copy_array_to_vector(ranges, self._index.sq.trained)
        self._index.is_trained = True
        self._plain: dict[int, Any] = {}
        self._rounded = encode(centroids, "i1")
        self._numbers = np.arange(self.n_lists, dtype=np.uint64)
        self.list_of = np.zeros(0, np.uint16)
        self.mark_of: Marks = np.zeros(0, np.uint64)
        self.changes = 0

    def __len__(self) -> int:
        """How many vectors lie in it."""
        return int(self._index.ntotal)

    @property
    def nbytes(self) -> int:
        """Bytes of vectors, centroids and what is by label, without the slack of the lists."""
        own = self.list_of.nbytes + self.mark_of.nbytes + self.centroids.nbytes
        return int(len(self) * (self.dimensions + 8) + own)

    def probes_for(self, depth: float) -> int:
        """How many lists to look into for the nearest so many: as measured for ten and a hundred,
        and as it goes on from there."""
        slope = log10(self.deep / self.probes)
        probes = self.probes * (max(depth, SHALLOW) / SHALLOW) ** slope
        return int(min(ceil(probes), self.n_lists))

    def assign(self, units: Vectors) -> tuple[Labeled, Vectors]:
        """(lists (n,) i8, cosine to their centroids (n,) f4): where vectors belong."""
        nearness, lists = self._flat.search(units, 1)
        return np.ascontiguousarray(lists[:, 0]), nearness[:, 0]

    def add(self, units: Vectors, labels: Labeled, lists: Labeled, marks: Marks) -> None:
        """Add vectors to the lists that `assign` gave. marks: of their bytes, to be kept."""
        faiss = engine()

        if not labels.size:
            return
        address = faiss.swig_ptr
        self._index.add_core(labels.size, address(units), address(labels), address(lists))
        highest = int(labels.max())
        if highest >= self.list_of.size:
            room = max(highest + 1, 2 * self.list_of.size)
            self.list_of = np.concatenate(
                [self.list_of, np.zeros(room - self.list_of.size, np.uint16)]
            )
            self.mark_of = np.concatenate(
                [self.mark_of, np.zeros(room - self.mark_of.size, np.uint64)]
            )
        self.list_of[labels] = lists
        self.mark_of[labels] = marks
        self.changes += labels.size

    def remove(self, words: Words) -> int:
        """Take the labels of a bitmap out; return how many were in it. O(n)."""
        faiss = engine()

        removed: int = self._index.remove_ids(faiss.IDSelectorBitmap(words.view(np.uint8)))
        self.changes += removed
        return removed

    def search(
        self, asked: Queries, k: int, probes: int = 0, words: Words | None = None
    ) -> Labeled:
        """(q, k) i8: labels near to each query, nearest first, -1 where there are fewer.

        probes: lists to look into; 0 for `probes`. words: a bitmap of the labels that count.
        """
        faiss = engine()

        probes = min(probes or self.probes, self.n_lists)
        if words is None:
            parameters = self._plain.get(probes)
            if parameters is None:
                parameters = self._plain[probes] = faiss.SearchParametersIVF(nprobe=probes)
        else:
            counted = faiss.IDSelectorBitmap(words.view(np.uint8))
            parameters = faiss.SearchParametersIVF(nprobe=probes, sel=counted)
        nearness, lists = self._near(asked, probes)
        scores, labels = np.empty((len(asked), k), np.float32), np.empty((len(asked), k), np.int64)
        address = faiss.swig_ptr
        self._index.search_preassigned_c(
            len(asked), address(asked.unit_qd), k, address(lists), address(nearness),
            address(scores), address(labels), False, parameters,
        )  # fmt: skip
        return labels

    def _near(self, asked: Queries, probes: int) -> tuple[Vectors, Labeled]:
        """(cosines (q, probes) f4, lists (q, probes) i8): the lists to look into.

        By centroids rounded to bytes, 0.06 ms for 4,096 of them: FAISS takes 0.2 ms in f4, half of
        a whole search.
        """
        nearness, lists = np.empty((len(asked), probes)), np.empty((len(asked), probes), np.uint64)
        stored, scale = self._rounded
        best_of_rows(
            stored.ctypes.data, scale, self._numbers, 1,
            asked.unit_qd, asked.whole_qd, asked.step_q,
            nearness, lists, np.zeros(len(asked), np.int64),
        )  # fmt: skip
        # The cosines would count only if the lists held differences to their centroids.
        return np.zeros(lists.shape, np.float32), lists.view(np.int64)


def marks_of(stored: Array) -> Marks:
    """(n,) u8: 64 bits that tell stored vectors apart. O(n d)."""
    mark_n = np.empty(len(stored), np.uint64)
    marked(stored.view(np.uint8), mark_n)
    return mark_n


@jit
def marked(bytes_nb: Any, mark_n: Any) -> None:
    """mark_n <- 64 bits that tell vectors apart, of their bytes. bytes_nb: (n, bytes) u1. O(n)."""
    for n in range(mark_n.size):
        mark = np.uint64(0x9E3779B97F4A7C15)
        for b in range(bytes_nb.shape[1]):
            mark = (mark ^ np.uint64(bytes_nb[n, b])) * np.uint64(0x100000001B3)
        mark ^= mark >> np.uint64(29)
        mark_n[n] = mark * np.uint64(0xBF58476D1CE4E5B9)
