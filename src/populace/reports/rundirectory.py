"""A run directory, read: what the run says of itself, and what was measured at each tick.

Invariant: nothing is written or executed; a run that is still being written can be read, as its
files are replaced whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from populace.ecs.errors import SourceFileError

from .parts import Floats, Ints, last_of

FORMAT = 1
MANIFEST, METRICS, CONFIG = "manifest.json", "metrics.parquet", "config.toml"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """What a run has left. time_us, columns: (n,) of each tick; NaN where nothing was measured.

    Invariant: of a column that is there something was measured.
    """

    path: Path
    manifest: Mapping[str, Any]
    config: str
    time_us: Ints
    columns: Mapping[str, Floats]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]

    def last(self, name: str) -> float:
        """The last value of a column that was measured; NaN where there is no such column."""
        return last_of(self.columns[name]) if name in self else float("nan")

    def family(self, prefix: str) -> dict[str, Floats]:
        """The columns `prefix__name`, by name, in the order of the file."""
        begin = f"{prefix}__"
        return {
            name.removeprefix(begin): column
            for name, column in self.columns.items()
            if name.startswith(begin)
        }

    @property
    def n_ticks(self) -> int:
        """How many ticks were measured."""
        return int(self.time_us.size)

    @property
    def step_us(self) -> int:
        """The length of a tick."""
        told = self.manifest.get("step_us")
        if isinstance(told, int) and told > 0:
            return told
        return int(np.median(np.diff(self.time_us))) if self.n_ticks > 1 else 3_600_000_000

    @property
    def begin_us(self) -> int:
        """When the first measured tick began."""
        return int(self.time_us[0]) - self.step_us

    @property
    def end_us(self) -> int:
        """When the last measured tick ended."""
        return int(self.time_us[-1])

    @property
    def lived_us(self) -> int:
        """The simulated span that was measured."""
        return self.end_us - self.begin_us

    @property
    def relieved(self) -> int:
        """How often a limit to memory let go of more than nobody used, so that results changed."""
        told = self.manifest.get("relieved") or ()
        return sum(1 for one in told if one.get("stage") != "give back")

    @property
    def status(self) -> str:
        """running, done, interrupted, failed or stopped."""
        return str(self.manifest.get("status", "done"))

    def label(self, column: str) -> str:
        """What a column is, in words."""
        labels = self.manifest.get("labels")
        told = labels.get(column) if isinstance(labels, dict) else None
        return str(told) if told else column.partition("__")[2].replace("_", " ") or column


def read_run(path: str | Path) -> RunDirectory:
    """Read a run directory. Raises SourceFileError for one that is none, or is damaged."""
    path = Path(path)
    if not (path / MANIFEST).is_file():
        known = "a directory that `populace run --dir RUN` wrote"
        if not path.is_dir():
            raise SourceFileError(f"{path}: there is no such directory; name {known}")
        hint = "; of snapshots alone see `populace info`" if any(path.glob("snapshot-*")) else ""
        raise SourceFileError(f"{path}: has no {MANIFEST}, so it is no run; name {known}{hint}")
    manifest = _read_manifest(path / MANIFEST)
    time_us, columns = _read_metrics(path / METRICS)
    try:
        config = (path / CONFIG).read_text(errors="replace")
    except FileNotFoundError:
        config = ""
    return RunDirectory(path, manifest, config, time_us, columns)


def _read_manifest(file: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(file.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise SourceFileError(f"{file}: is damaged, not JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise SourceFileError(f"{file}: is not that of a run: it has no whole number 'format'")
    if manifest["format"] > FORMAT:
        raise SourceFileError(
            f"{file}: has format {manifest['format']}; this Populace reads up to {FORMAT}: upgrade "
            f"it"
        )
    return manifest


def _read_metrics(file: Path) -> tuple[Ints, dict[str, Floats]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise SourceFileError(
            f"{file}: there is none, so nothing was measured; a run writes it with its first "
            f"checkpoint: wait for that, or run it again"
        )
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise SourceFileError(
            f"{file}: is damaged, or no Parquet file: {str(error).splitlines()[0]}; run it again"
        ) from error
    if "time" not in table.column_names or not pa.types.is_timestamp(table["time"].type):
        raise SourceFileError(
            f"{file}: has no column 'time' of timestamps; it is not that of a run"
        )
    if not table.num_rows:
        raise SourceFileError(f"{file}: has no row: the run has not come through its first tick")
    time = table["time"].cast(pa.timestamp("us"), safe=False).to_numpy().astype(np.int64)
    columns = {
        held.name: table[held.name].cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
        for held in table.schema
        if pa.types.is_integer(held.type) or pa.types.is_floating(held.type)
    }
    order = np.argsort(time, kind="stable")
    measured = {name: np.isfinite(column) for name, column in columns.items()}
    return time[order], {
        name: np.where(there, columns[name], np.nan)[order]
        for name, there in measured.items()
        if there.any()
    }
