"""What contestants start from, and what they must come to: the same for Populace, bounds and peers.

Arrays by size, from seeds that never change; places are numbers from 0, which everyone maps to ids
of their own. What is expected is worked out by numpy, in f8 where rounding could differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from populace import days

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

# -- rows of four columns ------------------------------------------------------------------------

DT = np.float32(0.25)  # s; a power of two: f4 and f8 arithmetic give the same bits
FRAGMENTS = 26  # archetypes of iter_frag26


def motion(n: int) -> Floats:
    """(4, n): x, y, and the speeds of both, in [0, 1)."""
    return np.random.default_rng(1).random((4, n), np.float32)


def advanced(start: Floats) -> Floats:
    """(2, n): x and y after DT."""
    after: Floats = start[:2] + start[2:] * DT
    return after


def fragments(n: int) -> list[tuple[int, int]]:
    """Where each of the 26 fragments of n rows begins and ends."""
    bounds = [n * k // FRAGMENTS for k in range(FRAGMENTS + 1)]
    return list(pairwise(bounds))


def columns(n: int) -> Floats:
    """(4, n): x, which numbers the rows, exactly in f4; y, and the speeds of both, in [0, 1)."""
    made = motion(n)
    made[0] = np.arange(n)
    return made


def born(n: int) -> Floats:
    """(4, n // 10): the rows that come for those that went; no x is among those of `columns`."""
    made: Floats = columns(n)[:, : n // 10] + np.float32(0.5)
    return made


def by_x(rows: Floats) -> Floats:
    """The same rows, sorted by their first column."""
    return rows[:, np.argsort(rows[0])]


def tenths(n: int) -> Iterator[Places]:
    """Again and again a random tenth of n places, in random order."""
    random = np.random.default_rng(2)
    while True:
        yield random.choice(n, n // 10, replace=False)


def tenth(n: int) -> Places:
    """The first of these."""
    return next(tenths(n))


def given(n: int) -> Floats:
    """What a tenth of the rows get for their x."""
    return np.arange(n // 10, dtype=np.float32)


class Churn:
    """n rows, of which a random tenth is replaced in each round.

    columns: (4, n), who is to be there after the round. places: (n // 10,), whose place newcomers
    take, each that of the one that goes.
    """

    def __init__(self, n: int) -> None:
        self.columns = columns(n)
        self.born = born(n)
        self.places: Places = np.empty(0, np.int64)
        self._tenths = tenths(n)

    def choose(self) -> None:
        """The next round."""
        self.places = next(self._tenths)
        self.columns[:, self.places] = self.born


# -- memories ------------------------------------------------------------------------------------

DAY_S = 86_400.0
NOW = days(20_000)


class Traces(NamedTuple):
    """Columns of n memories."""

    importance: Floats
    stability: Floats  # s, the half-life
    accessed: npt.NDArray[np.int64]  # simulated µs


def traces(n: int) -> Traces:
    """n memories of the last month, none too weak to keep."""
    draw = np.random.default_rng(1)
    accessed = NOW - draw.integers(0, days(29), n)
    importance = (draw.integers(2, 10, n) / 10).astype(np.float32)
    return Traces(importance, np.full(n, 60 * DAY_S, np.float32), accessed)


def strengths(of: Traces, now: int) -> Array:
    """(n,) f8: importance * 2^(-elapsed / stability)."""
    elapsed_s = (now - of.accessed) / 1e6
    left: Array = of.importance * np.exp2(-elapsed_s / of.stability)
    return left


TAU_S = np.float32(5 * DAY_S)
W6_NOW_S = np.float32(30 * DAY_S)
THRESHOLD = np.float32(0.1)


class Recollections(NamedTuple):
    """Columns of n memories that last the longer, the more often they were recalled."""

    importance: Floats
    last: Floats  # s since the beginning
    recalls: npt.NDArray[np.uint32]


def recollections(n: int) -> Recollections:
    """n memories of a month, recalled up to 49 times."""
    draw = np.random.default_rng(1)
    return Recollections(
        draw.random(n, np.float32),
        draw.random(n, np.float32) * W6_NOW_S,
        draw.integers(0, 50, n).astype(np.uint32),
    )


def check_w6(of: Recollections, strength: Array, weak: int) -> None:
    """The strengths at W6_NOW_S, and how many of them are weak. Up to 1e-5, which is what f4 and
    the polynomials for exp and log leave of exponents up to 6; the count as exactly as that."""
    importance, last, recalls = (column.astype(np.float64) for column in of)
    elapsed_s = float(W6_NOW_S) - last
    expected = importance * np.exp(-elapsed_s / (float(TAU_S) * (1 + np.log1p(recalls))))
    np.testing.assert_allclose(strength, expected, rtol=1e-5)
    limit = float(THRESHOLD)
    fewest, most = ((expected < limit * (1 + e)).sum() for e in (-1e-5, 1e-5))
    assert fewest <= weak <= most, (fewest, weak, most)


MEMBERS, KEPT = 100, 90  # memories of each owner, and how many stay


class Crowd:
    """n memories, 100 of each of n / 100 owners in random order; the 10 least important of each
    owner go, and as many others come before the next round.

    owner: (n,) numbers of owners. importance: (n,) in [0, 1). stays: (n,) bool, who is kept.
    places: whose places the memories of this round took: all n in the first one.
    """

    def __init__(self, n: int) -> None:
        self._random = np.random.default_rng(1)
        self.n_owners = n // MEMBERS
        self.owner = self._random.permutation(np.repeat(np.arange(self.n_owners), MEMBERS))
        self.importance = self._random.random(self.owner.size, np.float32)
        self.places = np.arange(self.owner.size)
        self._choose()

    def renew(self) -> None:
        """Others take the places of those that went."""
        self.places = np.flatnonzero(~self.stays)
        self.importance[self.places] = self._random.random(self.places.size, np.float32)
        self._choose()

    def _choose(self) -> None:
        key = (self.owner.astype(np.uint64) << np.uint64(32)) | self.importance.view(np.uint32)
        weakest = np.argsort(key).reshape(-1, MEMBERS)[:, : MEMBERS - KEPT]
        self.stays = np.ones(self.owner.size, np.bool_)
        self.stays[weakest] = False

    def check(self, owner: Array, importance: Array) -> None:
        """These are the owners and importances of those that stay, in whatever order."""
        expected = self.owner[self.stays], self.importance[self.stays]
        assert owner.size == expected[0].size, (owner.size, expected[0].size)
        for mine, wanted in zip(
            _sorted(owner, importance.astype(np.float32)), _sorted(*expected), strict=True
        ):
            assert np.array_equal(mine, wanted)


def _sorted(owner: Array, importance: Array) -> tuple[Array, Array]:
    order = np.lexsort((importance, owner))
    return owner[order], importance[order]


# -- edges ---------------------------------------------------------------------------------------

FADE = np.float32(63 / 64)  # exact in f4 and f8 with weights of up to 10 bits, as `edges` has
GAIN = np.float32(1)


class Edges(NamedTuple):
    """Edges among nodes numbered from 0: n of them, then some that are not there yet."""

    n: int
    n_nodes: int
    source: Places
    target: Places
    weight: Floats  # of the n that are there
    met: Places  # places of n / 10 different edges, in random order


def edges(n: int, n_new: int = 0) -> Edges:
    """n edges among n / 10 nodes, and n / 10 events that name pairs, of which `n_new` have no edge
    yet."""
    n_nodes = max(400, n // 10)
    k = n // 10
    random = np.random.default_rng(1)
    numbers = np.sort(random.integers(0, n_nodes**2, 2 * (n + k)))
    numbers = numbers[np.diff(numbers, prepend=-1) > 0]  # np.unique takes 100 times as long
    numbers = random.permutation(numbers)[: n + n_new]
    known = random.choice(n, k - n_new, replace=False)
    met = random.permutation(np.concatenate([known, np.arange(n, n + n_new)]))
    weight = random.integers(1, 1024, n).astype(np.float32)
    return Edges(n, n_nodes, numbers // n_nodes, numbers % n_nodes, weight, met)


def strengthened(of: Edges) -> Floats:
    """(n,) the weights after all have faded and those met were strengthened."""
    weight: Floats = of.weight * FADE
    weight[of.met] += GAIN
    return weight


# -- minds ---------------------------------------------------------------------------------------

MIND = 1_000  # memories of each agent
DIMENSIONS = 256
ANSWERS = 10  # how many are wanted
DRAWN = 50_000
US_PER_HOUR = 3.6e9
RECENCY = 0.995  # what an hour leaves of it
I1_ERROR = 0.0025  # of a cosine, where vectors are kept in 256 bytes


@lru_cache(1)
def drawn() -> Floats:
    """(DRAWN, DIMENSIONS) vectors of length 1, drawn by chance: those that minds are made of."""
    return units(np.random.default_rng(1).standard_normal((DRAWN, DIMENSIONS), np.float32))


class Mind(NamedTuple):
    """What one agent remembers: columns of MIND memories."""

    accessed: npt.NDArray[np.int64]  # simulated µs
    importance: Floats
    which: Places  # of `drawn` is its vector

    @property
    def vector(self) -> Floats:
        """(MIND, DIMENSIONS), of length 1."""
        return drawn()[self.which]


def mind(agent: int) -> Mind:
    """MIND memories of the last month, with vectors drawn by chance."""
    draw = np.random.default_rng([5, agent])
    accessed = NOW - draw.integers(0, days(29), MIND)
    return Mind(accessed, draw.random(MIND, np.float32), draw.integers(0, DRAWN, MIND))


def units(vectors: Floats) -> Floats:
    """The same directions, of length 1."""
    made: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


def questions(n: int) -> Floats:
    """(n, DIMENSIONS) vectors of length 1 to recall by."""
    return units(np.random.default_rng(3).standard_normal((n, DIMENSIONS), np.float32))


def is_nearest(found: Places, vectors: Floats, question: Floats, error: float = 1e-6) -> None:
    """These places have the ANSWERS greatest cosines, best first; up to an error of each, by
    default the rounding of f4."""
    _are_best(found, cosines(vectors, question), error)


def is_best(found: Places, agent: int, question: Floats, error: float = 1e-6) -> None:
    """These memories of an agent, by their places, have the ANSWERS greatest sums of recency,
    importance and cosine, each scaled to [0, 1]; best first. error: of a cosine, at most."""
    of = mind(agent)
    relevance = cosines(of.vector, question)
    recency = RECENCY ** ((NOW - of.accessed) / US_PER_HOUR)
    total = _scaled(recency) + _scaled(of.importance.astype(np.float64)) + _scaled(relevance)
    _are_best(found, total, 1e-5 + 2 * error / np.ptp(relevance))


def cosines(vectors: Floats, question: Floats) -> Array:
    """(n,) f8, of vectors of length 1."""
    found: Array = vectors.astype(np.float64) @ question.astype(np.float64)
    return found


def _scaled(values: Array) -> Array:
    scaled: Array = (values - values.min()) / np.ptp(values)
    return scaled


def _are_best(found: Places, value: Array, error: float) -> None:
    expected = np.sort(value)[::-1][:ANSWERS]
    assert len(set(found.tolist())) == ANSWERS
    np.testing.assert_allclose(value[found], expected, rtol=0, atol=2 * error)


# -- what is said --------------------------------------------------------------------------------

QUESTION = "who talked with Maria about the election at the cafe"
NAMES = ("Klaus", "Maria", "Isabella", "Tom", "Adam", "Ayesha", "Carlos", "Eddy")
DOING = (
    "is reading about", "talked with Maria about", "is planning", "dreams of", "wrote a paper on",
    "is tired of", "cooks for", "paints", "argued over", "remembers",
)  # fmt: skip
THINGS = (
    "the election", "gentrification", "a valentine's party", "the cafe", "the garden",
    "breakfast", "the dormitory", "a poem", "the piano", "her research",
)  # fmt: skip
DIFFERENT = 500_000  # texts; among more memories they are repeated
PLACES = ("at Hobbs Cafe", "at Oak Hill College", "in the park", "at home", "at the pharmacy")


def said(n: int) -> list[str]:
    """n texts of some twelve words, hardly one of them twice."""
    draw = np.random.default_rng(5)
    parts = [draw.integers(0, len(each), n).tolist() for each in (NAMES, DOING, THINGS, PLACES)]
    day = draw.integers(0, max(n // 8_000, 1) * 31, n).tolist()
    return [
        f"{NAMES[a]} {DOING[b]} {THINGS[c]} {PLACES[d]} on day {e} of the month"
        for a, b, c, d, e in zip(*parts, day, strict=True)
    ]


def asked(n: int) -> list[str]:
    """n questions, no two the same."""
    return [f"{QUESTION} on day {day}" for day in range(n)]


def meanings(n: int) -> Floats:
    """(n, DIMENSIONS): vectors of length 1 of n memories of what is said, by their words."""
    return np.resize(understood(said(min(n, DIFFERENT))), (n, DIMENSIONS))


def understood(texts: list[str]) -> Floats:
    """(n, DIMENSIONS) vectors of length 1 of texts, by their words."""
    from populace.systems.embedders import HashedEmbedder

    return units(HashedEmbedder()(texts))


def share_found(found: Places, vectors: Floats, asked: Floats, error: float = 1e-6) -> float:
    """How many of what is found are among the nearest, up to an error of a cosine.

    found: (q, ANSWERS) places, those of a question all different. vectors, asked: of length 1.
    """
    assert all(np.unique(places).size == ANSWERS for places in found)
    cosine_qn = asked @ vectors.T
    least_q1 = np.partition(cosine_qn, -ANSWERS)[:, -ANSWERS, None]
    return float(np.mean(np.take_along_axis(cosine_qn, found, 1) >= least_q1 - 2 * error))
