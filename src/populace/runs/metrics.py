"""The metrics of a run: one row a step, kept in memory and in metrics.parquet.

    tick, wall_s, cpu_s                     the step, its wall time, its time on processors
    rss_bytes, pause_s                      resident memory, the world's pause for a checkpoint
    agents, memories, ties, knowledge, reflections      how many there are
    formed, forgotten__<reason>, archived   memories, in the step
    memory_strength, tie_strength           means
    ns__<system>                            wall time of each system in the step

and what the scenario measures. Counts are i8, all else is f8; what a world has nothing of is
absent, and in a single step a count of it is 0 and all else null. The file is rewritten as a whole
when it is flushed, so it can be read while the run goes on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.components import (
    Knowledge,
    Memory,
    Persona,
    Reflection,
    Stream,
    Strength,
    Tie,
    TieStrength,
)
from populace.ecs import World
from populace.ecs.entities import Ids
from populace.ecs.errors import SettingError
from populace.systems import Forgotten, Reason
from populace.systems.archive import Archived
from populace.systems.consolidation import Consolidated
from populace.systems.metrics import fine_sum

from .memory import resident_bytes

if TYPE_CHECKING:
    import pyarrow as pa

LOG = logging.getLogger("populace.run")
COUNTED = {
    "agents": Persona,
    "memories": Memory,
    "ties": Tie,
    "knowledge": Knowledge,
    "reflections": Reflection,
}
AVERAGED = {"memory_strength": Strength.value, "tie_strength": TieStrength.value}
MERGED = "merged"
OWN = {"time", "tick", "wall_s", "cpu_s", "rss_bytes", "pause_s", "formed", "archived",
       *COUNTED, *AVERAGED}  # fmt: skip
OWN_PREFIXES = ("forgotten__", "ns__")
LARGEST = 2**63 - 1


class Meter:
    """Reads a world after each step.

    measure: the scenario's own columns. scenario: what it is called, for errors. Raises
    SettingError, also when it reads, for columns that are no numbers, or that are its own.
    """

    def __init__(
        self,
        world: World,
        measure: Callable[[World], Mapping[str, float]] | None = None,
        scenario: str = "",
    ) -> None:
        self.world, self.measure, self.scenario = world, measure, scenario
        self._forgotten = world.events(Forgotten)
        self._merged = world.events(Consolidated)
        self._archived = world.events(Archived)
        for told in (self._forgotten, self._merged, self._archived):
            told.read()  # of the step before, where the world comes from a snapshot
        self._ns = {name: stats.ns for name, stats in world.telemetry.systems.items()}
        self._streams = self._formed_by()
        self.formed = 0
        self.forgotten: dict[str, int] = {}
        self.archived = 0
        self._measured()  # whoever counts events begins to read them before the first step

    def _formed_by(self) -> tuple[Ids, npt.NDArray[np.uint32]]:
        """Who has a stream of memories, and how many each has formed."""
        streams = self.world.query(Stream)
        return streams.ids(), streams.gather(Stream.formed)

    def _newly_formed(self) -> int:
        """Memories formed since this was last asked, but for those of who has died since."""
        ids, before = self._streams
        self._streams = self._formed_by()
        held = self.world.alive(ids)
        held[held] = self.world.has(ids[held], Stream)
        return int(self._streams[1].sum(dtype=np.int64) - before[held].sum(dtype=np.int64))

    def read(self, wall_s: float, cpu_s: float = 0.0, pause_s: float = 0.0) -> dict[str, float]:
        """The row of the step that is over, and took so long."""
        world = self.world
        row: dict[str, float] = {
            "tick": world.clock.tick,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "rss_bytes": resident_bytes(),
            "pause_s": pause_s,
        }
        for name, component in COUNTED.items():
            row[name] = world.query(component).count()
        row["formed"] = newly = self._newly_formed()
        self.formed += newly
        archived = self.archived
        row |= {f"forgotten__{reason}": n for reason, n in self.count_gone().items()}
        if self.archived:
            row["archived"] = self.archived - archived
        for name, field in AVERAGED.items():
            query = world.query(field.component)
            n = query.count()
            if n:
                total = sum(int(fine_sum(table.column(field))) for table in query.tables())
                row[name] = total / 2.0**32 / n
        for name, stats in world.telemetry.systems.items():
            row[f"ns__{name}"] = stats.ns - self._ns.get(name, 0)
            self._ns[name] = stats.ns
        return row | self._measured()

    def _measured(self) -> dict[str, float]:
        """The scenario's own columns, as Python's numbers."""
        found: Any = {} if self.measure is None else self.measure(self.world)
        said = f"scenario {self.scenario}: measure gives"
        if not isinstance(found, Mapping):
            raise SettingError(f"{said} {found!r}; it must give numbers by name of their column")
        row = {}
        for name, value in found.items():
            if not isinstance(name, str) or name in OWN or name.startswith(OWN_PREFIXES):
                raise SettingError(
                    f"{said} a column {name!r}: a column is named by a text, other than those that "
                    f"a run measures itself ({', '.join(sorted(OWN))}, forgotten__*, ns__*)"
                )
            number = _number(value)
            if number is None:
                raise SettingError(
                    f"{said} {value!r} for {name!r}; it must be a number of at most 64 bits: leave "
                    f"the column out of a step that has none"
                )
            row[name] = number
        return row

    def count_gone(self) -> dict[str, int]:
        """Memories forgotten since it was last asked, by reason; every reason that there has been.

        The row of a step asks, and the end of a run, for those that went after its last row.
        """
        gone = dict.fromkeys(self.forgotten, 0)
        told = self._forgotten.read()
        for code, count in zip(told.reason.tolist(), told.count.tolist(), strict=True):
            reason = Reason(code).name.lower()
            gone[reason] = gone.get(reason, 0) + count
        merged = int(self._merged.read().count.sum())
        if merged or MERGED in gone:
            gone[MERGED] = merged
        for reason, count in gone.items():
            self.forgotten[reason] = self.forgotten.get(reason, 0) + count
        self.archived += int(self._archived.read().count.sum())
        return gone


class MetricsTable:
    """The rows of a run, and their file."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._columns: dict[str, list[float | None]] = {}
        self._n = 0
        self._refused = False

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, name: str) -> list[float | None]:
        return self._columns[name]

    def add(self, time: int, row: Mapping[str, float]) -> None:
        """Add the row of a step that ended at `time`, simulated µs."""
        for name, value in {"time": time, **row}.items():
            if name not in self._columns:  # what there was none of before
                self._columns[name] = [_none_of(value)] * self._n
            self._columns[name].append(value)
        self._n += 1
        for column in self._columns.values():
            if len(column) < self._n:
                column.append(_none_of(column[0]))

    def take_up(self, before: int) -> None:
        """Read the rows that a run had written before it went on from `before`, simulated µs."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        if self.path is None or not self.path.exists():
            return
        found = pq.read_table(self.path)
        found = found.filter(pc.less_equal(found["time"].cast(pa.int64()), before))
        for name, column in zip(found.column_names, found.columns, strict=True):
            self._columns[name] = (
                column.cast(pa.int64()) if name == "time" else column
            ).to_pylist()
        self._n = len(found)

    def arrow(self) -> pa.Table:
        """All rows."""
        import pyarrow as pa

        columns: dict[str, Any] = {}
        for name, values in self._columns.items():
            if name == "time":
                columns[name] = pa.array(values, pa.timestamp("us"))
            elif all(isinstance(value, int) for value in values):
                columns[name] = pa.array(values, pa.int64())
            else:
                held = [None if value is None else float(value) for value in values]
                columns[name] = pa.array(held, pa.float64())
        return pa.table(columns)

    def flush(self) -> None:
        """Write the file, if there is to be one. Raises OSError, which names it."""
        if self.path is None or not self._n:
            return
        import pyarrow.parquet as pq

        part = self.path.with_name(f".{self.path.name}.part")
        try:
            pq.write_table(self.arrow(), part, compression="zstd")
            os.replace(part, self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            said = "cannot write" if error.errno is None else os.strerror(error.errno)
            raise OSError(error.errno, said, str(self.path)) from error

    def keep_up(self) -> None:
        """Flush; where the disk refuses, the rows wait here, which is logged, once."""
        try:
            self.flush()
            self._refused = False
        except OSError as error:
            if not self._refused:
                LOG.warning("metrics are not written until the disk lets them: %s", error)
            self._refused = True


def _number(value: Any) -> float | None:
    """A number as Python has it: an int that fits an i8, or a float; None of all else."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST else None
    return value if isinstance(value, float) else None


def _none_of(value: float | None) -> int | None:
    """What stands in a column, of which one value is given, where a step has nothing for it."""
    return 0 if isinstance(value, int) else None
