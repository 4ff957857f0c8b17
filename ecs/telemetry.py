"""Where time, rows and bytes go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class SystemStats:
    """What one system has done so far. ns: wall nanoseconds, first (compiling) call included.
    left_out: times that it was due and a budget left it out."""

    calls: int = 0
    tables: int = 0
    rows: int = 0
    ns: int = 0
    first_ns: int = 0
    left_out: int = 0

    @property
    def rows_per_second(self) -> float:
        """Rows a second, the first call left out once there are others."""
        ns = self.ns - self.first_ns if self.calls > 1 else self.ns
        rows = self.rows * (self.calls - 1) / self.calls if self.calls > 1 else self.rows
        return rows / ns * 1e9 if ns else 0.0

    def record(self, tables: int, rows: int, ns: int) -> None:
        """Add one call."""
        if not self.calls:
            self.first_ns = ns
        self.calls += 1
        self.tables += tables
        self.rows += rows
        self.ns += ns


@dataclass(slots=True)
class Telemetry:
    """The counters of one world: steps, commands applied, and each system's stats by name.

    counts: what systems count, by name, as "forgotten, weak". looks: what is counted of looking at
    the world, which is no part of its state and is not saved. sweeps_every: sweeps of derived
    fields are made every so many times that they are due; more than 1 where a budget demands it.
    """

    steps: int = 0
    step_ns: int = 0
    commands: int = 0
    sweeps_every: int = 1
    systems: dict[str, SystemStats] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> SystemStats:
        """The stats of a system."""
        return self.systems.setdefault(name, SystemStats())

    def count(self, name: str, n: int) -> None:
        """Add n to what is counted under a name."""
        self.counts[name] = self.counts.get(name, 0) + n

    def table(self) -> str:
        """A readable table of the systems, most time first."""
        lines = [f"{'system':<28}{'calls':>8}{'rows':>16}{'ms':>12}{'rows/s':>12}"]
        if self.sweeps_every > 1:
            lines.insert(0, f"to keep within its budget, one sweep in {self.sweeps_every} is made")
        for name, stats in sorted(self.systems.items(), key=lambda item: -item[1].ns):
            lines.append(
                f"{name:<28}{stats.calls:>8,}{stats.rows:>16,}{stats.ns / 1e6:>12,.1f}"
                f"{stats.rows_per_second:>12.3g}"
                + (f"  left out {stats.left_out:,} times" if stats.left_out else "")
            )
        lines += [f"{name:<28}{n:>24,}" for name, n in (self.counts | self.looks).items()]
        return "\n".join(lines)
