"""The directory that a run leaves behind.

    manifest.json     what ran, when, on what, and how it ended
    config.toml       its parameters, all of them
    metrics.parquet   one row a step
    snapshots/        checkpoints; the last is the end of the run
    log.txt           the log
    result.json       what `--json` prints
    report.html       written by `populace report`

Invariants: a file appears under its name when it is complete. `manifest.json` is there before the
first step and is rewritten as the run goes on, so a directory with one is a run, whatever became of
it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from populace.ecs.errors import SourceFileError

FORMAT = 1
MANIFEST, CONFIG, METRICS, SNAPSHOTS = (
    "manifest.json",
    "config.toml",
    "metrics.parquet",
    "snapshots",
)
LOG, RESULT, TABLES = "log.txt", "result.json", "tables"
LIBRARIES = ("populace", "numpy", "numba", "pyarrow", "duckdb")


class RunDirectory:
    """The files of one run. `path` need not exist before `create`.

    numbered: a scenario's name, where any path will do that `free_directory` finds; `path` is then
    final after `create`. written: whether this object has written the manifest.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.numbered = ""
        self.manifest: dict[str, Any] = {}
        self.written = False

    @classmethod
    def free(cls, scenario: str) -> RunDirectory:
        """The first that is free, by the name of a scenario."""
        directory = cls(free_directory(scenario))
        directory.numbered = scenario
        return directory

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def snapshots(self) -> Path:
        """Where checkpoints are."""
        return self.path / SNAPSHOTS

    @property
    def metrics(self) -> Path:
        """The file of metrics."""
        return self.path / METRICS

    @property
    def found_as(self) -> str:
        """The name, or the path of the file, of the scenario of a run that is there."""
        return str(self.manifest.get("found_as") or self.manifest.get("scenario"))

    def create(self, manifest: Mapping[str, Any], parameters: str) -> None:
        """Begin a run: write its manifest and parameters. Raises FileExistsError for a directory
        that holds something."""
        self._make()
        if any(self.path.iterdir()):
            raise FileExistsError(f"{self.path} holds something already; name a new directory")
        self.write(CONFIG, parameters)
        self.manifest = {
            "format": FORMAT,
            **manifest,
            "status": "running",
            "reason": "",
            "started": now(),
            "ended": None,
            "versions": versions(),
            "machine": machine(),
        }
        self.save()

    def _make(self) -> None:
        """Make the directory; of numbered ones the next, where another run has made this one."""
        try:
            self.path.mkdir(parents=True, exist_ok=not self.numbered)
        except FileExistsError:
            if not self.numbered:
                raise
            self.path = free_directory(self.numbered)
            self._make()

    def open(self) -> RunDirectory:
        """Read the manifest of a run that is there. Raises SourceFileError where there is none."""
        path = self.path / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            newer = found["format"] > FORMAT
        except OSError as error:
            raise SourceFileError(
                f"{self.path} is not the directory of a run: {MANIFEST} cannot be read: "
                f"{error.strerror or error}; `populace run --dir DIR` makes one"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise SourceFileError(f"{path}: is damaged: {error}") from error
        if newer:
            raise SourceFileError(
                f"{path}: is of format {found['format']}, and this version of Populace reads up to "
                f"{FORMAT}: use a newer one"
            )
        self.manifest = found
        return self

    def update(self, **changes: Any) -> None:
        """Change the manifest."""
        self.manifest |= changes
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        self.write(MANIFEST, json.dumps(self.manifest, indent=2) + "\n")
        self.written = True

    def write(self, name: str, text: str) -> None:
        """Write a file of text, which appears when it is complete."""
        path = self.path / name
        part = path.with_name(f".{name}.part")
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def snapshots_in(location: str) -> str:
    """Where the snapshots of a location are: of a run's directory those in it, else itself.

    location: a path or a URI.
    """
    if "://" in location or not (Path(location) / MANIFEST).is_file():
        return location
    return str(Path(location) / SNAPSHOTS)


def free_directory(scenario: str, root: str | Path = "runs") -> Path:
    """The first of runs/town-1, runs/town-2, ... that is not there yet."""
    number = 1
    while (path := Path(root) / f"{Path(scenario).stem}-{number}").exists():
        number += 1
    return path


def now() -> str:
    """The time of day, for people and programs."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """What the run was made with."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def machine() -> dict[str, Any]:
    """On what it ran."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "byte_order": sys.byteorder,
    }
