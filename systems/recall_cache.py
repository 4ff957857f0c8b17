"""What was recalled before, for as long as nothing that it rests on has changed.

An answer rests on the clock, on the rows of the memories' tables, on their columns and on the codes
of texts. Whatever may have changed one of them, a step, a spawn, a reclaim, a writable column that
somebody holds, empties the cache: so a hit is what would be found anew, to the bit.

Invariant: an answer is given only under the key it was kept for, in the state it was found in.
Cost: 2 to 4 µs to look, and 1 µs more for each table of memories.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from populace.components import Memory, Persona, Statement, Trace
from populace.ecs import World
from populace.ecs.query import Query
from populace.ecs.table import CACHES, Table

HITS, MISSES = "recall, from the cache", "recall, found anew"
ENTRIES = 4096
MOST_MEMORIES = 4096
"""In an answer that is kept."""
MOST_ROWS = 8
"""Filters whose candidates are kept: some 40 bytes a candidate."""
R = TypeVar("R")
RESTS_ON = (
    Memory.owner, Memory.created, Memory.kind, Memory.sequence, Memory.text, Trace.importance,
    Trace.accessed, Statement.expires, Persona.number,
)  # fmt: skip


class RecallCache:
    """The latest answers of one world. entries: how many are kept at most; 0 keeps none.

    A cache belongs to one world, the first that it is asked about.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self.entries = entries
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._rows: OrderedDict[Any, Any] = OrderedDict()
        self._state: tuple[int, ...] = ()
        self._queries: tuple[Query, Query] | None = None
        self._columns: list[tuple[Table, list[int]]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, world: World, key: Any) -> tuple[Any, tuple[str, ...]] | None:
        """The answer kept under a key, if it still holds, and its texts. Counts hits and misses.

        key: None for one that is not kept.
        """
        found = None
        if self.entries:
            self._forget_stale(world)
            found = self._kept.get(key)
        looks = world.telemetry.looks
        name = MISSES if found is None else HITS
        looks[name] = looks.get(name, 0) + 1
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Any, answer: Any) -> None:
        """Keep what was found right after `get` found nothing; its arrays become read-only."""
        if key is not None and self.entries and len(answer) <= MOST_MEMORIES:
            for array in arrays_of(answer):
                array.flags.writeable = False
            put(self._kept, key, (answer, tuple(answer.text)), self.entries)

    def rows(self, world: World, key: Any, look_up: Callable[[], R]) -> R:
        """The candidates of a filter, looked up if they are not kept."""
        if not self.entries:
            return look_up()
        self._forget_stale(world)
        found: R | None = self._rows.get(key)
        if found is None:
            found = look_up()
        put(self._rows, key, found, MOST_ROWS)
        return found

    def _forget_stale(self, world: World) -> None:
        """Forget everything if anything may have changed since the last call."""
        memories, people = self._queries = self._queries or (
            world.query(Memory), world.query(Persona)
        )  # fmt: skip
        tables = memories.tables(), people.tables()
        state = (
            world.clock.now, memories.filter.version, people.filter.version, world.text.reclaims
        )  # fmt: skip
        if state[1:3] != self._state[1:3]:
            both = {table.number: table for table in (*tables[0], *tables[1])}
            self._columns = [(table, _places(table)) for table in both.values()]
        opened = False
        for table, places in self._columns:
            opened |= True in table.look(CACHES, places)
        if opened or state != self._state:
            self._kept.clear()
            self._rows.clear()
            self._state = state


def put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Keep a value as the latest, and at most so many."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def arrays_of(answer: Any) -> tuple[npt.NDArray[Any], ...]:
    """All arrays of an answer, those of its scores too."""
    found = _getters.get(type(answer))
    if found is None:
        names = [each.name for each in fields(answer)]
        names += [f"scores.{each.name}" for each in fields(answer.scores)]
        whole = [name for name in names if isinstance(attrgetter(name)(answer), np.ndarray)]
        found = _getters[type(answer)] = attrgetter(*whole)
    arrays: tuple[npt.NDArray[Any], ...] = found(answer)
    return arrays


_getters: dict[type, attrgetter[Any]] = {}


def _places(table: Table) -> list[int]:
    return [table.archetype.place[field] for field in RESTS_ON if field in table.archetype.place]


def recall_cache(world: World) -> RecallCache:
    """The cache of a world, made when it is first asked for."""
    found: RecallCache | None = world.beside.get(RecallCache)
    if found is None:
        found = world.beside[RecallCache] = RecallCache()
    return found
