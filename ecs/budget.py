"""A time budget for steps: when they take too long, sweeps that fill caches are made less often.

A sweep is a system that writes derived fields and nothing else. While steps take longer than the
budget, each sweep is made at every second, fourth, ... time that it is due: as often as keeps the
mean step within it. A sweep is never left out of a step in which a system may run that reads what
it fills. So no result can depend on the budget, which the wall clock rules: only how old a derived
column is when somebody outside looks at it, and `World.refresh` brings them all up to now.

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


class Budget:
    """How often sweeps are made: every `stretch` times that they are due."""

    def __init__(self, limit_s: float) -> None:
        self.limit_ns = limit_s * 1e9
        self.stretch = 1
        self._turns: dict[str, int] = {}
        self._rest_ns: float | None = None

    def left_out(self, plan: list[Entry], due: set[str]) -> set[str]:
        """The sweeps to leave out of this step.

        plan: all systems, in their order. due: the names of those that may run.
        """
        left_out: set[str] = set()
        read: set[type] = set()
        for entry in reversed(plan):
            if entry.name not in due:
                continue
            if entry.fills and entry.fixed_step is None:
                # They begin at different turns, so that not all of them fall on the same step.
                turn = self._turns.setdefault(entry.name, len(self._turns))
                self._turns[entry.name] = turn + 1
                if turn % self.stretch and not entry.fills & read:
                    left_out.add(entry.name)
                    continue
            read |= entry.system.access.reads
        return left_out

    def record(self, plan: list[Entry], step_ns: float, ran: set[str]) -> None:
        """Choose how often to sweep from now on, after a step in which the systems `ran` ran."""
        sweeps = [entry for entry in plan if entry.fills and entry.fixed_step is None]
        rest = max(0.0, step_ns - sum(e.last_ns for e in sweeps if e.name in ran))
        mean = rest if self._rest_ns is None else self._rest_ns
        self._rest_ns = mean + SMOOTHING * (rest - mean)
        together = sum(entry.last_ns for entry in sweeps)

        def step_at(stretch: float) -> float:
            assert self._rest_ns is not None
            return self._rest_ns + together / stretch

        while self.stretch < RAREST and step_at(self.stretch) > self.limit_ns:
            self.stretch *= 2
        while self.stretch > 1 and step_at(self.stretch / 2) < ROOM * self.limit_ns:
            self.stretch //= 2
