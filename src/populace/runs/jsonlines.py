"""Telemetry as JSON lines: an object a step, for `jq`, log shippers and scripts.

Invariants: a line is written at one stroke before the next step begins, and begins on a line of its
own, also after one that was cut off. A file that is there is appended to: where a run goes on from
a snapshot, steps after it come again, and the last line of a tick counts. A disk that refuses does
not end the run: that is logged, once.
Cost: 0.2 ms and 0.7 kB a step.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import msgspec

from populace.ecs.errors import StorageError
from populace.ecs.telemetry import Latencies

from .health import Health
from .reading import (
    COUNTS,
    QUANTILES,
    Forgotten,
    Since,
    bytes_by_kind,
    cache_of,
    forgotten_in,
    iso,
    rows_by_archetype,
)
from .tick import Tick

STDERR = "-"

log = logging.getLogger("populace.run")


class JsonLines:
    """A watcher that writes a line a step.

    path: of a file, whose folder exists; "-" for standard error. health: whose verdict is told,
    called before this. Raises StorageError for a file that cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, health: Health | None = None) -> None:
        self.path = os.fspath(path)
        self.health = health
        self._torn = self._refused = False
        self._file = None if self.path == STDERR else self._open()
        self._calls = Since()
        self._forgotten = Forgotten()

    def _open(self) -> int:
        """A descriptor whose next byte begins a line."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                size = os.fstat(file).st_size
                self._torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            except BaseException:
                os.close(file)
                raise
        except OSError as error:
            raise StorageError(
                f"{self.path}: telemetry cannot be written there: {error.strerror or error}; name "
                f"a file in a folder that exists, or - for standard error"
            ) from error
        return file

    def line(self, tick: Tick) -> dict[str, Any]:
        """What is told of a step."""
        world, row = tick.world, tick.row
        hits, misses = cache_of(world)
        told: dict[str, Any] = {
            "time": iso(world.clock.now),
            "tick": world.clock.tick,
            "share": round(tick.share, 6),
            "tick_s": float(row["wall_s"]),
            "checkpoint_pause_s": float(row["pause_s"]),
        }
        told |= {name: int(row[name]) for name in (*COUNTS, "formed") if name in row}
        told["forgotten"] = {"tick": forgotten_in(row), "so_far": self._forgotten(tick)}
        told["rows"] = rows_by_archetype(world)
        told["bytes"] = {"resident": int(row["rss_bytes"]), **bytes_by_kind(world)}
        told["calls"] = {name: _facts(calls) for name, calls in self._calls(world).items()}
        told["recall_cache"] = {
            "hits": hits, "misses": misses, "rate": hits / (hits + misses or 1)
        }  # fmt: skip
        told["sweeps_every"] = world.telemetry.sweeps_every
        if self.health is not None:
            told["health"] = self.health.verdict.facts()
        return told

    def __call__(self, tick: Tick, /) -> None:
        """Write the line of a step."""
        line = msgspec.json.encode(self.line(tick)) + b"\n"
        if self._file is None:
            if self.path == STDERR:
                sys.stderr.write(line.decode())
                sys.stderr.flush()
            return
        try:
            begun = b"\n" if self._torn else b""
            done = os.write(self._file, begun + line)
            self._torn = done < len(begun + line) and (done > 0 or self._torn)
        except OSError as error:
            if not self._refused:
                log.warning("telemetry: %s cannot be written, lines are lost: %s", self.path, error)
            self._refused = True

    def close(self) -> None:
        """Close the file. Twice does no harm."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _facts(calls: Latencies) -> dict[str, float]:
    """Calls of a step as JSON values."""
    p50, p90, p99 = calls.quantiles(*QUANTILES)
    return {"n": calls.count, "p50_s": p50, "p90_s": p90, "p99_s": p99, "max_s": calls.max / 1e9}
