"""How a run does: ok, strained or failing, and why in words.

    strained    slow steps, memory near its limit, a checkpoint overdue, slow recalls, a disk that
                fills up, sweeps left out to keep within a budget
    failing     memory above its limit, a checkpoint that failed, no room for the next one

Invariants: `judge` is a function of what was observed and of the bounds, and asks no clock; what is
not known (None) is no reason. A run is failing if one reason is, else strained if there is any.
Cost: 40 µs a step, and 50 µs for each kind of call that was made in it.
"""

from __future__ import annotations

import enum
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from populace.ecs.errors import SettingError

from .memory import show_size
from .reading import Since
from .tick import Tick

if TYPE_CHECKING:
    from populace.storage import Checkpointer

WINDOW = 100
"""Steps that the usual time of one is the median of."""
FEWEST = 10
"""Steps before there is a usual time: the first ones compile."""


class State(enum.StrEnum):
    """How a run does."""

    OK = "ok"
    STRAINED = "strained"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on there is a reason. slower: times the usual step. memory: share of the limit.
    recall_p99_s: None for no bound. free_bytes: of the disk. late: intervals between checkpoints.
    """

    slower: float = 3.0
    memory: float = 0.85
    recall_p99_s: float | None = None
    free_bytes: int = 2**30
    late: float = 3.0

    def __post_init__(self) -> None:
        """Refuse bounds that everything or nothing would pass."""
        p99 = self.recall_p99_s
        positive = min(self.slower, self.memory, self.late, 1.0 if p99 is None else p99) > 0
        if not positive or self.free_bytes < 0:
            raise SettingError(f"the bounds of health are above 0; got {self}")


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen after a step; None where it is not known, or of no concern.

    tick_s: wall time of the step; usual_s: of those before it. recall_p99_s: of the recalls since
    the step before. overdue: intervals since the last checkpoint. failure: what the last one failed
    with. checkpoint_bytes: that it took.
    """

    tick_s: float = 0.0
    usual_s: float | None = None
    resident_bytes: int = 0
    limit_bytes: int | None = None
    failure: str | None = None
    overdue: float | None = None
    checkpoint_bytes: int | None = None
    recall_p99_s: float | None = None
    free_bytes: int | None = None
    sweeps_every: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run does, and why: no reasons for one that is ok."""

    state: State = State.OK
    reasons: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {"state": self.state.value, "reasons": list(self.reasons)}


def judge(seen: Observation, bounds: Bounds | None = None) -> Verdict:
    """What an observation says of a run.

    >>> judge(Observation(tick_s=0.9, usual_s=0.1)).reasons
    ('a step took 0.9 s, 9.0 times the usual 0.1 s',)
    """
    bound = bounds or Bounds()
    failing, strained = _failures(seen), _strains(seen, bound)
    state = State.FAILING if failing else State.STRAINED if strained else State.OK
    return Verdict(state, (*failing, *strained))


def _failures(seen: Observation) -> list[str]:
    found = []
    limit, needed, free = seen.limit_bytes, seen.checkpoint_bytes, seen.free_bytes
    if limit is not None and seen.resident_bytes > limit:
        found.append(
            f"memory: {show_size(seen.resident_bytes)} in use, above the limit of "
            f"{show_size(limit)}"
        )
    if seen.failure is not None:
        found.append(f"the last checkpoint failed: {seen.failure}")
    if needed is not None and free is not None and free < needed:
        found.append(
            f"disk: {show_size(free)} free, and the last checkpoint took {show_size(needed)}"
        )
    return found


def _strains(seen: Observation, bound: Bounds) -> list[str]:
    found = []
    usual, limit, p99, most = seen.usual_s, seen.limit_bytes, seen.recall_p99_s, bound.recall_p99_s
    if usual and seen.tick_s > bound.slower * usual:
        found.append(
            f"a step took {seen.tick_s:.2g} s, {seen.tick_s / usual:.1f} times the usual "
            f"{usual:.2g} s"
        )
    if limit is not None and bound.memory * limit < seen.resident_bytes <= limit:
        found.append(
            f"memory: {show_size(seen.resident_bytes)} in use, "
            f"{seen.resident_bytes / limit:.0%} of the limit of {show_size(limit)}"
        )
    if seen.overdue is not None and seen.overdue > bound.late:
        found.append(f"a checkpoint is overdue: the last was {seen.overdue:.1f} intervals ago")
    if p99 is not None and most is not None and p99 > most:
        found.append(f"recalls: the 99th percentile took {p99:.2g} s, more than {most:.2g} s")
    free, needed = seen.free_bytes, seen.checkpoint_bytes or 0
    if free is not None and needed <= free < bound.free_bytes:
        found.append(f"disk: {show_size(free)} free, less than {show_size(bound.free_bytes)}")
    if seen.sweeps_every > 1:
        found.append(f"budget: to keep within it, one sweep in {seen.sweeps_every} is made")
    return found


class Health:
    """A watcher that knows how a run does; the others ask it for `verdict`, so it goes first.

    directory: of the run, whose disk is looked at. limit_bytes: of memory. checkpointer: whose
    snapshots are looked at.
    """

    def __init__(
        self,
        *,
        directory: str | Path | None = None,
        limit_bytes: int | None = None,
        checkpointer: Checkpointer | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.directory = None if directory is None else Path(directory)
        self.limit_bytes, self.checkpointer = limit_bytes, checkpointer
        self.bounds = bounds or Bounds()
        self.seen, self.verdict = Observation(), Verdict()
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._calls = Since()
        self._n_saved = -1  # of which the last was seen after so many seconds and µs
        self._saved_s, self._saved_us = 0.0, 0

    def __call__(self, tick: Tick, /) -> None:
        """Look at the step, and judge."""
        self.seen = self.observe(tick)
        self.verdict = judge(self.seen, self.bounds)

    def close(self) -> None:
        """Nothing."""

    def observe(self, tick: Tick) -> Observation:
        """What is to be seen after a step."""
        tick_s = tick.row["wall_s"]
        usual = median(self._times) if len(self._times) >= FEWEST else None
        self._times.append(tick_s)
        calls = self._calls(tick.world).values()
        failure, overdue, needed = self._checkpoints(tick)
        return Observation(
            tick_s=tick_s,
            usual_s=usual,
            resident_bytes=int(tick.row["rss_bytes"]),
            limit_bytes=self.limit_bytes,
            failure=failure,
            overdue=overdue,
            checkpoint_bytes=needed,
            recall_p99_s=max((each.p99_s for each in calls), default=None),
            free_bytes=self._free(),
            sweeps_every=tick.world.telemetry.sweeps_every,
        )

    def _free(self) -> int | None:
        if self.directory is None:
            return None
        try:
            return shutil.disk_usage(self.directory).free
        except OSError:
            return None

    def _checkpoints(self, tick: Tick) -> tuple[str | None, float | None, int | None]:
        """What the last checkpoint failed with, how many intervals ago the last good one was, and
        the most that one of the latest took, a full one among them."""
        known, now, wall_s = self.checkpointer, tick.world.clock.now, perf_counter()
        if known is None:
            return None, None, None
        saved = known.saved[-known.full_every :]
        if len(known.saved) != self._n_saved:
            self._n_saved, self._saved_s = len(known.saved), wall_s
            self._saved_us = saved[-1].now_us if saved else now
        ages = []
        if known.every is not None:
            ages.append((now - self._saved_us) / max(known.every, tick.world.clock.dt))
        if known.every_s is not None:
            ages.append((wall_s - self._saved_s) / known.every_s)
        failure = None if known.failure is None else str(known.failure)
        return failure, min(ages, default=None), max((each.bytes for each in saved), default=None)
