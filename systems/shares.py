"""Work on many agents at once, cut into shares that the world's threads take.

    for shares in batches(world, n_memories, MOST_AT_ONCE):
        found = side_by_side(world, look, shares)

What a share does reads the world and changes nothing but what belongs to its agents. Results come
in the order of the agents, so neither cuts nor threads change a bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from populace.ecs import World

S = TypeVar("S")
T = TypeVar("T")

ROWS = 64
"""Rows of a sweep that cost about as much as one item here: so many times fewer than
`World.parallel_rows` are worth sharing."""


def runs(weight_k: npt.NDArray[np.int64], most: int) -> list[slice]:
    """Items cut into runs: a new one begins with each further `most` of weight that came before.

    weight_k: (k,) i8, such as how many memories each agent has. O(k).

    >>> import numpy as np
    >>> runs(np.array([5, 5, 30, 1, 1, 0]), 10)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 6, None)]
    """
    before = np.cumsum(weight_k) - weight_k
    begins = np.flatnonzero(np.diff(before // most)) + 1
    # What weighs nothing at the end needs no run of its own.
    edges = [0, *begins[before[begins] < weight_k.sum()].tolist(), weight_k.size]
    return [slice(low, high) for low, high in itertools.pairwise(edges)]


def batches(world: World, weight_k: npt.NDArray[np.int64], most: int) -> Iterator[list[slice]]:
    """Runs of items that weigh about `most`, each as shares of about equal weight, one for each of
    the world's threads where there is enough to do.
    """
    for run in runs(weight_k, most):
        weight = weight_k[run]
        total, first = int(weight.sum()), run.start
        n_shares = world.threads if total * ROWS >= world.parallel_rows else 1
        shares = runs(weight, max(-(-total // n_shares), 1))
        yield [slice(first + share.start, first + share.stop) for share in shares]


def side_by_side(world: World, work: Callable[[S], T], shares: Sequence[S]) -> list[T]:
    """What `work` makes of each share, on the world's threads. Raises the first error."""
    return world.schedule.spread([(work, (share,)) for share in shares])
