"""A time budget for steps: when they take too long, sweeps that fill caches are made less often.

A sweep is a system that writes derived fields and nothing else. While steps take longer than the
budget, each sweep that can be spared is made at every second, fourth, ... time that it is due: as
often as keeps the mean step within it.

Invariant: no result depends on the budget, which the wall clock rules; only how old a derived
column is when somebody outside looks at it. So a sweep is made whenever a system runs that reads
what it fills, and one is never spared that stands after such a system, that need not be due when
such a system is, or where another system writes what it fills too. A system that takes the World,
a condition (`run_if`) and an observer do not say what they read: they must not read derived fields.

Cost: a look at the plan each step, about 0.5 µs a system; nothing without a budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .schedule import Entry
    from .system import System

RAREST = 64
"""Sweeps are made at least every so many times that they are due."""
ROOM = 0.8
"""The share of the budget that the mean step must stay within to make sweeps more often again."""
SMOOTHING = 0.3
"""Weight of the newest step in the mean time of all that is not a sweep."""


def filled_by(system: System) -> frozenset[type]:
    """The components whose caches a sweep fills; nothing for a system that does anything else."""
    if {p.role for p in system.parameters} & {"world", "commands", "emit", "res_mut"}:
        return frozenset()
    shapes = [written.__dict__.get("__populace__") for written in system.access.writes]
    sweeps = all(s is not None and s.fields and not s.persisted for s in shapes)
    return frozenset(system.access.writes) if sweeps else frozenset()


def can_be_spared(sweep: Entry, plan: list[Entry]) -> bool:
    """Whether no other system writes what a sweep fills, and every one that reads it finds it made:
    it comes later in the plan, and is never due without the sweep."""
    if not sweep.fills or sweep.fixed_step is not None or sweep.run_if is not None:
        return False
    others = [o for o in plan if o is not sweep and sweep.system.access.conflict(o.system.access)]
    if any(sweep.fills & other.system.access.writes for other in others):
        return False
    return not read_old(sweep, plan)


def filters_of(entry: Entry) -> frozenset[tuple[str, object]]:
    """The filters that a system's signature names: With, Without, AnyOf."""
    parts = [
        part
        for one in entry.system.parameters
        for part in (one.parts if one.role == "rows" else (one,))
    ]
    roles = ("with", "without", "any")
    return frozenset((p.role, p.of or p.parts) for p in parts if p.role in roles)


def read_old(sweep: Entry, plan: list[Entry]) -> frozenset[type]:
    """What a sweep fills that another system may read before it is made at a step, at steps at
    which it is not made, or in rows that its filters leave out."""
    place, found = plan.index(sweep), frozenset[type]()
    conditional = sweep.fixed_step is not None or sweep.run_if is not None
    for later, other in enumerate(plan):
        if other is sweep or not sweep.system.access.conflict(other.system.access):
            continue
        without = sweep.every is not None and (
            other.every is None or other.every % sweep.every != 0
        )
        narrower = filters_of(sweep) - filters_of(other)
        if conditional or later < place or other.fixed_step is not None or without or narrower:
            found |= sweep.fills & other.system.access.reads
    return found


class Budget:
    """How often sweeps are made: every `stretch` times that they are due."""

    def __init__(self, limit_s: float) -> None:
        self.limit_ns = limit_s * 1e9
        self.stretch = 1
        self._turns: dict[str, int] = {}
        self._rest_ns: float | None = None
        self._free: list[Entry] = []

    def left_out(self, plan: list[Entry], due: set[str]) -> set[str]:
        """The sweeps to leave out of this step.

        plan: all systems, in their order. due: the names of those that may run.
        """
        left_out: set[str] = set()
        self._free = []
        running: list[Entry] = []
        for entry in reversed(plan):
            if entry.name not in due:
                continue
            if entry.spareable and not any(
                entry.fills & other.system.access.reads for other in running
            ):
                self._free.append(entry)
                # They begin at different turns, so that not all of them fall on the same step.
                turn = self._turns.setdefault(entry.name, len(self._turns))
                self._turns[entry.name] = turn + 1
                if turn % self.stretch:
                    left_out.add(entry.name)
                    continue
            running.append(entry)
        return left_out

    def record(self, step_ns: float, left_out: set[str]) -> None:
        """Choose how often to sweep from now on, after a step that took so long."""
        if not self._free:
            return
        made = sum(entry.last_ns for entry in self._free if entry.name not in left_out)
        rest = max(0.0, step_ns - made)
        mean = rest if self._rest_ns is None else self._rest_ns
        self._rest_ns = mean = mean + SMOOTHING * (rest - mean)
        together = sum(entry.last_ns for entry in self._free)
        while self.stretch < RAREST and mean + together / self.stretch > self.limit_ns:
            self.stretch *= 2
        while self.stretch > 1 and mean + together / self.stretch * 2 < ROOM * self.limit_ns:
            self.stretch //= 2
