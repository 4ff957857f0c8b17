"""The candidates of a search over a whole society: which rows, what they say, and how often.

Looked up once, and kept for as long as nothing that they rest on has changed (`recall_cache`).

Invariants: candidates have `Memory` and `Trace` and answer to the filters; positions count them in
the order of tables and rows, or of owners where these were named.
Cost: 2 ns a memory for everybody's; with filters 5 to 10 ns; of some agents, what they have.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory
from populace.ecs import World, jit
from populace.ecs.entities import Ids
from populace.storage.vectors import Allowed, VectorIndex

from .candidates import (
    MemoryTables,
    Wanted,
    memory_tables,
    order_of,
    passing,
    texts_at,
    values_at,
)
from .lexicon import lexicon
from .recall_cache import recall_cache

Array = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]


class SocietyRows:
    """The candidates. some: whether a filter leaves any out. n: how many there are."""

    def __init__(
        self,
        world: World,
        where: MemoryTables,
        component: type | None,
        table: Array | None,
        row: Array,
    ) -> None:
        self._world, self._component = world, component
        self.where = where
        self.some = table is not None
        self._table, self._row = table, row
        sizes = [each.n for each in where.tables]
        self._starts = np.append(0, np.cumsum(sizes, dtype=np.int64))
        self.n = int(self._starts[-1]) if table is None else table.size
        self._allowed: tuple[VectorIndex, Allowed] | None = None

    def places(self, positions: Positions) -> tuple[Array, Array]:
        """(table numbers, rows), (m,) u4 each."""
        if self._table is not None:
            return self._table[positions], self._row[positions]
        which = np.searchsorted(self._starts, positions, side="right") - 1
        numbers = np.array([each.number for each in self.where.tables], np.uint32)
        return numbers[which], (positions - self._starts[which]).astype(np.uint32)

    def ids_at(self, positions: Positions) -> Ids:
        """(m,) u8."""
        return values_at(*self.places(positions), self.where.address_tc).id

    @cached_property
    def texts(self) -> npt.NDArray[np.uint32]:
        """(n,) codes."""
        if self._table is None:
            return np.concatenate(
                [np.empty(0, np.uint32), *(t.column(Memory.text) for t in self.where.tables)]
            )
        found = np.empty(self.n, np.uint32)
        texts_at(self._table, self._row, self.where.address_tc, found)
        return found

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """(n,) u8, in the order of (number of the owner, sequence). 20 ns each."""
        told = values_at(*self.places(np.arange(self.n)), self.where.address_tc)
        return order_of(self._world, self._world.get(told.id, Memory.owner), told.sequence)

    @cached_property
    def counts(self) -> Positions:
        """(codes,) i8: how many candidates have each text."""
        return np.bincount(self.texts)

    @cached_property
    def distinct_texts(self) -> npt.NDArray[np.uint32]:
        """The codes that candidates have, ascending."""
        return np.flatnonzero(self.counts).astype(np.uint32)

    @cached_property
    def total_length(self) -> int:
        """Words that count of all candidates together."""
        codes = self.distinct_texts
        known = lexicon(self._world.text, codes)
        return int((known.length_c[codes] * self.counts[codes]).sum())

    def with_texts(self, codes: Array, each: int) -> Positions:
        """The positions of the candidates that have one of these texts, the first so many of each.

        O(n).
        """
        left_c = np.zeros(self.counts.size, np.int64)
        left_c[codes] = np.minimum(self.counts[codes], each)
        found = np.empty(int(left_c.sum()), np.int64)
        first_with(self.texts, left_c, found)
        return found

    def allowed(self, index: VectorIndex) -> Allowed | None:
        """What a search of the index may find; None for whatever it holds."""
        others = self._world.query(index.component, without=()).count() - sum(
            t.n for t in self.where.tables if index.component in t.archetype.components
        )
        if not self.some and not others:
            return None
        if self._allowed is None or self._allowed[0] is not index:
            self._allowed = index, index.allow(self.ids_at(np.arange(self.n)))
        return self._allowed[1]


def society_rows(
    world: World, who: Ids | None, filters: Wanted, component: type | None
) -> SocietyRows:
    """The candidates of all agents, or of some, (a,) u8, each once. Raises DeadEntityError."""
    key = None if who is None else who.tobytes(), filters, component
    return recall_cache(world).rows(
        world, key, lambda: _society_rows(world, who, filters, component)
    )


def _society_rows(
    world: World, who: Ids | None, filters: Wanted, component: type | None
) -> SocietyRows:
    where = memory_tables(world, filters, component)
    if who is None and not filters.needs_rows:
        whole = world.query(Memory).count() == sum(table.n for table in where.tables)
        if whole:
            return SocietyRows(world, where, component, None, np.empty(0, np.uint32))
    if who is None:
        numbers = [np.full(table.n, table.number, np.uint32) for table in where.tables]
        rows = [np.arange(table.n, dtype=np.uint32) for table in where.tables]
        none = [np.empty(0, np.uint32)]
        table_m, row_m = np.concatenate(none + numbers), np.concatenate(none + rows)
    else:
        _, table_m, row_m = world.index(Memory.owner).rows_of(who)
    pass_m = np.empty(0, np.bool_)
    if filters.words is not None:
        text_m = np.empty(table_m.size, np.uint32)
        texts_at(table_m, row_m, where.address_tc, text_m)
        pass_m = filters.words.mask(lexicon(world.text, np.unique(text_m)), text_m)
    place = np.empty(table_m.size, np.int64)
    n = passing(
        0, table_m.size, table_m, row_m, pass_m, where.address_tc, filters.limits(world.clock.now),
        np.float32(filters.importance), place,
    )  # fmt: skip
    place = place[:n]
    return SocietyRows(world, where, component, table_m[place], row_m[place])


@jit
def first_with(text_n: Any, left_c: Any, out_m: Any) -> None:
    """out_m <- the places of texts of which some are left, as many as are; left_c <- 0. O(n)."""
    m = 0
    for i in range(text_n.size):
        if left_c[text_n[i]]:
            left_c[text_n[i]] -= 1
            out_m[m] = i
            m += 1
