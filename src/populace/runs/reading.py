"""What telemetry reads of a world after a step, in plain values.

Cost: 20 µs, and 3 µs for each archetype.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from populace.ecs import World
from populace.ecs.telemetry import Latencies
from populace.systems.recall_cache import HITS, MISSES

from .tick import Tick

COUNTS: Final = ("agents", "memories", "ties", "knowledge", "reflections")
"""Columns of a row that count who and what there is."""
QUANTILES: Final = (0.5, 0.9, 0.99)
GONE: Final = "forgotten__"
COUNTED: Final = "forgotten, "


def rows_by_archetype(world: World) -> dict[str, int]:
    """Rows of the tables that have some, by the names of their components, sorted, so that they are
    called the same in every world, and joined by " + "."""
    found: dict[str, int] = {}
    for archetype in world.store.archetypes:
        if archetype.table.n:
            name = " + ".join(sorted(each.name for each in archetype.schemas)) or "(no component)"
            found[name] = found.get(name, 0) + archetype.table.n
    return found


def bytes_by_kind(world: World) -> dict[str, int]:
    """Bytes of the world's arrays: of tables, slack included, of entities, of indices, and of
    buffers held spare. Strings and caches are not among them."""
    store = world.store
    return {
        "tables": sum(table.nbytes for table in store.tables),
        "entities": store.entities.nbytes,
        "indices": sum(index.buckets.nbytes for index in store.indices.values())
        + sum(index.table.nbytes for index in store.pairs.values()),
        "spare": store.pool.nbytes,
    }


def forgotten_in(row: Mapping[str, float]) -> dict[str, int]:
    """Memories that went in a step, by reason."""
    return {name.removeprefix(GONE): int(n) for name, n in row.items() if name.startswith(GONE)}


class Forgotten:
    """Memories that went so far, by reason: as the world has counted them from its beginning, and
    since this was made those that it does not count, which were merged into others."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, tick: Tick) -> dict[str, int]:
        """The counts after a step; called once after each."""
        for reason, n in forgotten_in(tick.row).items():
            self._seen[reason] = self._seen.get(reason, 0) + n
        counted = {
            name.removeprefix(COUNTED): n
            for name, n in tick.world.telemetry.counts.items()
            if name.startswith(COUNTED)
        }
        return self._seen | counted


def cache_of(world: World) -> tuple[int, int]:
    """Recalls answered from the cache, and those found anew."""
    looks = world.telemetry.looks
    return looks.get(HITS, 0), looks.get(MISSES, 0)


def iso(us: int) -> str:
    """Simulated µs since 1970 as a date and time."""
    return (datetime(1970, 1, 1) + timedelta(microseconds=us)).isoformat()


class Since:
    """The calls of each name since it was last asked."""

    def __init__(self) -> None:
        self._earlier: dict[str, Latencies] = {}

    def __call__(self, world: World) -> dict[str, Latencies]:
        """Those with calls since. Cost: 40 µs each."""
        found = {}
        for name, calls in world.telemetry.latencies.items():
            earlier = self._earlier.get(name)
            if earlier is None or earlier.count != calls.count:
                found[name] = calls.since(earlier) if earlier is not None else calls.copy()
                self._earlier[name] = calls.copy()
        return found
