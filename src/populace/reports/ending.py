"""How a run stood at its newest snapshot, as far as a report asks: memories, ties, one agent.

Invariant: everything is asked in SQL, so a world of any scenario will do; what it lacks comes as
None. Cost: what its sweeps give is worked out once, which takes a copy of the world in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.ecs.errors import SnapshotError, SourceFileError, SqlError, StorageError
from populace.storage import Key, Snapshots

from .parts import Floats, Ints
from .rundirectory import RunDirectory

if TYPE_CHECKING:
    from populace.storage.sql import Database

SNAPSHOTS = "snapshots"


@dataclass(frozen=True, slots=True)
class Ties:
    """Directed ties, (e,): numbers of agents, strengths, contacts."""

    source: Ints
    target: Ints
    strength: Floats
    contacts: Floats

    def degrees(self) -> dict[int, int]:
        """How many ties each agent has that has any, by its number, in ascending order."""
        agents, counts = np.unique(self.source, return_counts=True)
        return dict(zip(agents.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Ending:
    """The newest good snapshot of a run. now_us: its simulated time. names: of agents by number."""

    now_us: int
    names: dict[int, str]
    ties: Ties | None
    database: Database
    snapshots: Snapshots

    def rows(self, query: str, params: Any = None, of: Any = None) -> list[dict[str, Any]]:
        """The rows of a query; none where the world lacks what it is about. Raises SqlError."""
        return self.database.ask(query, params, of=of).rows()

    def history(self, query: str, params: Any = None) -> list[dict[str, Any]]:
        """The rows of a query of all snapshots that the run has kept; none where one is damaged."""
        from populace.ask import sql

        try:
            return sql(self.snapshots, query, params).rows()
        except (SqlError, SnapshotError, StorageError):
            return []

    def alive(self, time_us: Ints, step_us: int) -> Floats:
        """Memories that are kept, by the tick in which they were formed and by tenth of importance.

        (n, 10), for the ticks that end at time_us. Raises SqlError.
        """
        found = self.rows(
            "SELECT (epoch_us(created) + $step - 1 - $first) // $step AS tick, "
            "least(floor(importance * CAST(10 AS FLOAT)), 9) AS tenth, count(*) AS n "
            "FROM memories WHERE epoch_us(created) > $first - $step GROUP BY ALL",
            {"first": int(time_us[0]), "step": step_us},
        )
        kept = np.zeros((time_us.size, 10))
        for row in found:
            ends = int(time_us[0]) + int(row["tick"]) * step_us
            tick = int(np.searchsorted(time_us, ends))
            if tick < time_us.size:
                kept[tick, int(row["tenth"])] += row["n"]
        return kept

    def name(self, agent: int) -> str:
        """An agent's name, or else its number."""
        return self.names.get(agent) or f"agent {agent}"


@contextmanager
def read_ending(run: RunDirectory, key: Key | None = None) -> Iterator[tuple[Ending | None, str]]:
    """The newest snapshot of a run; or None, and why."""
    from populace.ask import database

    place = run.path / SNAPSHOTS
    if not _holds_any(place):
        yield None, "the run has saved no snapshot"
        return
    try:
        snapshots = Snapshots(place, key=key)
        asked = database(snapshots.open(unknown="make"))
    except (SnapshotError, StorageError) as error:
        yield None, f"no snapshot can be read: {error}"
        return
    try:
        try:
            ending = _ending(asked, snapshots)
        except (SnapshotError, StorageError, SqlError) as error:
            yield None, f"the newest snapshot cannot be asked: {error}"
        else:
            yield ending, ""
    finally:
        asked.close()


def _holds_any(place: Path) -> bool:
    return place.is_dir() and any(place.glob("snapshot-*.json"))


def _ending(asked: Database, snapshots: Snapshots) -> Ending:
    now = asked.ask("SELECT epoch_us(max(time)) AS now FROM clock").one()["now"]
    held = asked.ask("SELECT agent, name FROM agents ORDER BY agent").rows()
    names = {int(row["agent"]): row["name"] or "" for row in held}
    ties = _ties(asked)
    return Ending(int(now), names, ties, asked, snapshots)


def _ties(asked: Database) -> Ties | None:
    """All ties; with strengths of NaN where the world has no law for them."""
    table = asked.ask(
        "SELECT source, target, strength, contacts FROM ties "
        "WHERE source IS NOT NULL AND target IS NOT NULL ORDER BY source, target"
    ).arrow()
    if not table.num_rows:
        return None
    return Ties(
        table["source"].to_numpy().astype(np.int64),
        table["target"].to_numpy().astype(np.int64),
        table["strength"].to_numpy().astype(np.float64),
        table["contacts"].to_numpy().astype(np.float64),
    )


def chosen_agent(ending: Ending, asked: int | None) -> int | None:
    """Whose life is told: who was asked for, or who has the most ties, or the first.

    Raises SourceFileError for a number that nobody has.
    """
    if asked is not None:
        if asked not in ending.names:
            numbers = sorted(ending.names)
            there = f"they are from {numbers[0]} to {numbers[-1]}" if numbers else "there is nobody"
            raise SourceFileError(f"--agent {asked}: no agent has that number; {there}")
        return asked
    if ending.ties is not None:
        degrees = ending.ties.degrees()
        return max(degrees, key=degrees.__getitem__)
    return min(ending.names, default=None)
