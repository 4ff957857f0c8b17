"""The consistent copy: a world's persisted columns as they were at the last look, and which rows
have changed since the look before.

A look compares every column that may have been written with its copy, row by row and bit by bit,
writes what differs into the copy, and notes the row. Then the world may go on: files are made of
the copy, which stays as it is until the next look.

A group is a set of columns of one table that go into the same files: all narrow columns and the ids
together, each component with wide vectors by itself.

Invariants: after a look the copy equals the world. `changed(...)` are exactly the rows in which a
column of the group differs from what it was at the look before, or that were not there.
Cost: the persisted columns once more, and 4 bytes a row and group. A look reads both copies of what
may have been written, which takes as long as a memcpy of it, on the threads that it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt

from populace.ecs import Field, World, jit, schema
from populace.ecs.image import Image, TableImage, capture
from populace.ecs.rows import ADDRESS, ROW_BYTES, stamp_changes
from populace.ecs.table import IDS, Key, Table

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]

WIDE = 64
"""Bytes a row from which on a component's vectors have files of their own."""
PIECE = 2**18
"""Rows that one thread compares at a time."""
SLACK = 1.25

Work = tuple[Callable[..., object], tuple[Any, ...]]


@jit
def stamp_generations(slots: Any, was_n: Any, mark_n: Any, begin: Any, end: Any, mark: Any) -> None:
    """Take the generations of slots [begin, end) over into was_n, and mark those that differ.

    slots: (slots, 2) u8 of the entity index. was_n, mark_n: (n,) u4. O(end - begin).
    """
    for i in range(begin, end):
        generation = np.uint32(slots[i, 0] >> np.uint64(32))
        if was_n[i] != generation:
            was_n[i] = generation
            mark_n[i] = mark


def column_groups(
    components: tuple[type, ...], caches: frozenset[type] = frozenset()
) -> tuple[tuple[Key, ...], ...]:
    """The columns of an archetype that are saved, by the files that they go into; ids come first.

    caches: the components whose derived fields are saved too, see `Image`.

    >>> from populace import Vector, component, f4
    >>> @component
    ... class Spot:
    ...     x: f4
    ...     shape: Vector[32]
    >>> [[getattr(key, "name", "ids") for key in group] for group in column_groups((Spot,))]
    [['ids', 'x'], ['shape']]
    """
    narrow: list[Key] = [IDS]
    wide: list[tuple[Key, ...]] = []
    for component in components:
        made_schema = schema(component)
        fields = made_schema.fields if component in caches else made_schema.persisted
        narrow += [made for made in fields if made.row_bytes < WIDE]
        apart = tuple(made for made in fields if made.row_bytes >= WIDE)
        if apart:
            wide.append(apart)
    return tuple(narrow), *wide


class Copy:
    """The columns of one group, n rows of them. mark: (capacity,) u4, the look that changed it."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys
        self.n = 0
        self.buffers = [np.empty(_shape(key, 0), key.dtype) for key in keys]
        self.mark = np.empty(0, np.uint32)

    def reserve(self, n: int) -> None:
        """Room for n rows."""
        if n <= self.mark.size:
            return
        capacity = int(n * SLACK) if self.n else n
        longer = [np.empty(_shape(key, capacity), key.dtype) for key in self.keys]
        for old, new in zip(self.buffers, longer, strict=True):
            new[: self.n] = old[: self.n]
        marks = np.zeros(capacity, np.uint32)
        marks[: self.n] = self.mark[: self.n]
        self.buffers, self.mark = longer, marks

    def changed(self, after: int) -> Rows:
        """(k,) i8, ascending: the rows that have differed, or were new, since that look. O(n)."""
        return np.flatnonzero(self.mark[: self.n] > after)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(buffer.nbytes for buffer in self.buffers) + self.mark.nbytes


@dataclass(frozen=True, slots=True)
class Look:
    """What a look saw. number: 1, 2, ...; pause_s: wall time that it took; opened_bytes: of the
    columns that may have been written, and so were compared or copied."""

    number: int
    image: Image
    pause_s: float
    opened_bytes: int


_bases: WeakKeyDictionary[World, WeakSet[Base]] = WeakKeyDictionary()
"""Whoever looks at a table closes its columns, so that the others have to be told."""


class Base:
    """The copy of one world. Threads may be more than one; results do not depend on them."""

    def __init__(self, world: World, threads: int = 1) -> None:
        self.world = world
        self.looks = 0
        self._forget()
        _bases.setdefault(world, WeakSet()).add(self)
        self._threads = ThreadPoolExecutor(threads, "populace-look") if threads > 1 else None
        nothing = np.empty((0, 2), np.int64)  # compiled now, not while the world stands still
        stamp_changes(nothing, nothing, self.generation_marks, 0, 0, 0)
        slots = world.store.entities.slots
        stamp_generations(slots, self.generations, self.generation_marks, 0, 0, 0)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        copies = (held for group in self.tables.values() for held in group)
        own = self.generations.nbytes + self.generation_marks.nbytes
        return own + sum(held.nbytes for held in copies)

    def close(self) -> None:
        """End the threads, and be told no more of what others see."""
        _bases[self.world].discard(self)
        if self._threads is not None:
            self._threads.shutdown()

    def _forget(self) -> None:
        """Begin anew: nobody can say any more what the copy lacks."""
        self.tables: dict[tuple[type, ...], tuple[Copy, ...]] = {}
        self.missed: dict[tuple[type, ...], set[Key]] = {}  # opened columns, by table
        self.generations = np.empty(0, np.uint32)
        self.generation_marks = np.empty(0, np.uint32)
        self._slots = 0
        self._versions = -1

    def unchanged_since(self, look: int) -> bool:
        """Whether no row and no slot has differed since that look. O(rows)."""
        held = [one for group in self.tables.values() for one in group]
        marks = self.generation_marks[: self._slots]
        return not (marks > look).any() and not any((h.mark[: h.n] > look).any() for h in held)

    def look(self) -> Look:
        """Bring the copy up to date. Nothing of the world may change meanwhile.

        Raises StructuralChangeError while commands wait to be applied.
        """
        begin = perf_counter()
        world = self.world
        with world.store.moment:
            image = capture(world, generations=self.generations)
            self.looks += 1
            work: list[Work] = []
            opened = 0
            try:
                for held in image.tables:
                    table = world.store.tables[held.number]
                    opened += self._plan(table, column_groups(held.components, image.caches), work)
                self._plan_generations(work)
                self._do(work)
            except BaseException:
                self._forget()
                raise
            generations = self.generations[: world.store.entities.n_slots]
        tables = tuple(map(self._copied, image.tables))
        clock = copy.copy(image.clock)  # the resources themselves move on
        copied = replace(image, tables=tables, generations=generations, resources=(clock,))
        return Look(self.looks, copied, perf_counter() - begin, opened)

    def _plan(self, table: Table, groups: tuple[tuple[Key, ...], ...], work: list[Work]) -> int:
        """Append what has to be done for a table; return the bytes that it looks at."""
        components, place = table.archetype.components, table.archetype.place
        copies = self.tables.get(components)
        if copies is None or tuple(held.keys for held in copies) != groups:
            copies = self.tables[components] = tuple(map(Copy, groups))
        opened = {key for key, flag in zip(table.archetype.keys, table.look(), strict=True) if flag}
        for other in _bases[self.world]:
            other.missed.setdefault(components, set()).update(opened)
        opened = self.missed.pop(components)
        total = 0
        for held in copies:
            held.reserve(table.n)
            known, held.n = min(held.n, table.n), table.n
            # Sweeps fill caches without saying so.
            written = [
                c
                for c, key in enumerate(held.keys)
                if key in opened or (isinstance(key, Field) and key.derived)
            ]
            now = table.raw[[place[held.keys[c]] for c in written]]
            was = _raw([held.buffers[c] for c in written])
            for begin in range(0, known if written else 0, PIECE):
                end = min(begin + PIECE, known)
                work.append((stamp_changes, (now, was, held.mark, begin, end, self.looks)))
            work += [
                (self._take, (table, held, begin, min(begin + PIECE, table.n)))
                for begin in range(known, table.n, PIECE)
            ]
            total += known * int(was[:, ROW_BYTES].sum())
            total += (table.n - known) * int(_raw(held.buffers)[:, ROW_BYTES].sum())
        return total

    def _take(self, table: Table, held: Copy, begin: int, end: int) -> None:
        """Copy rows that the copy has not had."""
        place = table.archetype.place
        for key, buffer in zip(held.keys, held.buffers, strict=True):
            buffer[begin:end] = table.buffers[place[key]][begin:end]
        held.mark[begin:end] = self.looks

    def _plan_generations(self, work: list[Work]) -> None:
        entities = self.world.store.entities
        versions = sum(table.version for table in self.world.store.tables) + entities.n_slots
        if versions == self._versions:
            return
        self._versions = versions
        n = entities.n_slots
        if n > self.generations.size:
            grown = np.zeros((2, int(n * SLACK)), np.uint32)
            grown[0, : self.generations.size] = self.generations
            grown[1, : self.generations.size] = self.generation_marks
            self.generations, self.generation_marks = grown
        self.generation_marks[self._slots : n] = self.looks
        self._slots = n
        for begin in range(0, n, PIECE):
            end = min(begin + PIECE, n)
            call = (entities.slots, self.generations, self.generation_marks, begin, end, self.looks)
            work.append((stamp_generations, call))

    def _do(self, work: list[Work]) -> None:
        if self._threads is None:
            for call, arguments in work:
                call(*arguments)
            return
        for done in [self._threads.submit(call, *arguments) for call, arguments in work]:
            done.result()

    def _copied(self, held: TableImage) -> TableImage:
        """The image of a table whose columns are the copy's."""
        columns: dict[Field, Array] = {}
        ids = held.ids
        for own in self.tables[held.components]:
            for key, buffer in zip(own.keys, own.buffers, strict=True):
                if isinstance(key, Field):
                    columns[key] = buffer[: held.n]
                else:
                    ids = buffer[: held.n]
        return replace(held, ids=ids, columns=columns)


def _shape(key: Key, n: int) -> tuple[int, ...]:
    return (n, key.width) if key.width else (n,)


def _raw(buffers: list[Array]) -> npt.NDArray[np.int64]:
    """(c, 2) i8: address and bytes a row of each."""
    raw = np.empty((len(buffers), 2), np.int64)
    raw[:, ADDRESS] = [buffer.ctypes.data for buffer in buffers]
    raw[:, ROW_BYTES] = [buffer.strides[0] for buffer in buffers]
    return raw
