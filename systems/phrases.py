"""Sentences made of two texts, "Maria Lopez" and "working at Oak Hill College", each made once.

What laws say repeats: of 10,000 agents a few hundred change in an hour what there is to say about
them. So a sentence is looked up by the codes of its parts and made only when it is first needed;
those that a batch needs for the first time are interned in the order in which it needs them.

What is kept is a cache of the pool's own strings, whose codes never change (a world that reclaims
strings has another pool): nothing of it is saved.
Cost: 4 ns a sentence that is known, 0.6 µs a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import TextPool
from populace.ecs.pairtable import PairTable

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

HALF, ONE = np.uint64(32), np.uint64(1)


class _Known(dict[str, PairTable]):
    """By pattern, the codes of sentences by those of their parts."""


def phrases(pool: TextPool, pattern: str, first: Any, second: Any) -> Codes:
    """(k,) u4: the codes of pattern.format(a, b) for the k pairs of texts.

    pattern: has some text of its own. first, second: (k,) u4, codes of the pool.
    Raises ColumnValueError for a code that the pool does not know.

    >>> pool = TextPool()
    >>> who, what = pool.intern(["Ann", "Bo"]), pool.intern(["asleep", "asleep"])
    >>> pool.decode(phrases(pool, "{} is {}", who, what))
    ['Ann is asleep', 'Bo is asleep']
    """
    table = pool.cache(_Known).setdefault(pattern, PairTable())
    parts = np.asarray(first), np.asarray(second)

    def make(place: Places) -> Codes:
        return pool.intern(map(pattern.format, *(pool.decode(part[place]) for part in parts)))

    return looked_up(table, *parts, make).astype(np.uint32)


def looked_up(
    table: PairTable, first: Any, second: Any, make: Callable[[Places], npt.NDArray[Any]]
) -> npt.NDArray[np.uint64]:
    """(k,) u8: what a table has for each pair of u4; what it lacks is made, and kept.

    first, second: (k,). make: gives the values, at least 1, of the pairs at some places: of each
    that is new the first, in their order.
    """
    keys = (first.astype(np.uint64) << HALF | second.astype(np.uint64)) + ONE  # no key may be 0
    found, new = table.claim(keys)
    wanting = np.flatnonzero(new >= 0)
    if wanting.size:
        place = np.empty(int(new.max()) + 1, np.int64)
        place[new[wanting[::-1]]] = wanting[::-1]  # of equals the last is assigned
        made = np.asarray(make(place), np.uint64)
        table.insert(keys[place], made)
        found[wanting] = made[new[wanting]]
    return found
