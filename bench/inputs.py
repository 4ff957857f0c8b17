"""What contestants start from, and what they must come to: the same for Populace, bounds and peers.

Arrays by size, from seeds that never change; places are numbers from 0, which everyone maps to ids
of their own. What is expected is worked out by numpy, in f8 where rounding could differ.
"""

from __future__ import annotations

from collections.abc import Iterator
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
US_PER_HOUR = 3.6e9


class Mind(NamedTuple):
    """What one agent remembers."""

    accessed: npt.NDArray[np.int64]  # simulated µs
    importance: Floats
    vector: Floats  # (MIND, DIMENSIONS), of length 1


def mind(agent: int) -> Mind:
    """MIND memories of the last month, with vectors drawn by chance."""
    draw = np.random.default_rng([5, agent])
    accessed = NOW - draw.integers(0, days(29), MIND)
    importance = draw.random(MIND, np.float32)
    return Mind(accessed, importance, units(draw.standard_normal((MIND, DIMENSIONS), np.float32)))


def units(vectors: Floats) -> Floats:
    """The same directions, of length 1."""
    made: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


def questions(n: int) -> Floats:
    """(n, DIMENSIONS) vectors of length 1 to recall by."""
    return units(np.random.default_rng(3).standard_normal((n, DIMENSIONS), np.float32))


def is_nearest(found: Places, vectors: Floats, question: Floats) -> None:
    """These places have the ANSWERS greatest cosines, best first; up to the rounding of f4."""
    cosines = vectors.astype(np.float64) @ question.astype(np.float64)
    expected = np.sort(cosines)[::-1][:ANSWERS]
    assert len(set(found.tolist())) == ANSWERS
    np.testing.assert_allclose(cosines[found], expected, rtol=0, atol=1e-6)
