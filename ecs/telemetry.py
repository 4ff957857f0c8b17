"""Where time, rows and bytes go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from time import perf_counter_ns

from .errors import ColumnValueError
from .notebook import telemetry_html


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


class Latencies:
    """How long calls took: a histogram of whole nanoseconds in buckets of equal ratio, so that any
    quantile is within 3.2 % of the true one.

    count: calls. sum, max: ns. Invariant: the buckets add up to count.
    Cost: 7.7 kB; 0.2 µs a call, whatever there was before.

    >>> calls = Latencies()
    >>> for us in range(1, 101):
    ...     calls.record(us * 1_000)
    >>> calls.count, calls.max, round(calls.p50_s * 1e6), round(calls.p99_s * 1e6)
    (100, 100000, 50, 100)
    """

    __slots__ = ("_buckets", "count", "max", "sum")

    def __init__(self) -> None:
        self.count = self.sum = self.max = 0
        self._buckets = [0] * _N_BUCKETS

    def __repr__(self) -> str:
        return (
            f"<Latencies of {self.count:,} calls: p50 {self.p50_s:.3g} s, p99 {self.p99_s:.3g} s>"
        )

    def record(self, ns: int) -> None:
        """Add one call. Below 0, by a clock that went back, counts as 0; above 2^62 ns as that."""
        ns = 0 if ns < 0 else ns if ns < _MOST_NS else _MOST_NS
        shift = ns.bit_length() - _BITS
        self._buckets[ns if shift <= 0 else (shift << _BITS - 1) + (ns >> shift)] += 1
        self.count += 1
        self.sum += ns
        if ns > self.max:
            self.max = ns

    def quantiles(self, *shares: float) -> list[float]:
        """For each share of the calls the time in s that it took at most; 0 where there were none.

        shares: in [0, 1], else ColumnValueError. Cost: 25 µs for all of them.
        """
        for share in shares:
            if not 0 <= share <= 1:
                raise ColumnValueError(f"a quantile's share lies in [0, 1], as 0.99; got {share!r}")
        if not self.count:
            return [0.0] * len(shares)
        up_to = list(accumulate(self._buckets))
        buckets = [bisect_left(up_to, max(1, ceil(share * self.count))) for share in shares]
        return [min(_middle(bucket), self.max) / 1e9 for bucket in buckets]

    @property
    def p50_s(self) -> float:
        """The median in s."""
        return self.quantiles(0.5)[0]

    @property
    def p90_s(self) -> float:
        """What nine of ten calls took at most, in s."""
        return self.quantiles(0.9)[0]

    @property
    def p99_s(self) -> float:
        """What 99 of 100 calls took at most, in s."""
        return self.quantiles(0.99)[0]

    def copy(self) -> Latencies:
        """The calls so far, as they are now."""
        made = Latencies()
        made.count, made.sum, made.max = self.count, self.sum, self.max
        made._buckets = self._buckets.copy()
        return made

    def since(self, earlier: Latencies) -> Latencies:
        """The calls after an earlier `copy`. Their max is that of all calls, where it was reached
        meanwhile, else within 3.2 %."""
        made = Latencies()
        made.count, made.sum = self.count - earlier.count, self.sum - earlier.sum
        pairs = zip(self._buckets, earlier._buckets, strict=True)
        made._buckets = [now - before for now, before in pairs]
        if self.max > earlier.max:
            made.max = self.max
        else:
            used = [bucket for bucket, n in enumerate(made._buckets) if n]
            made.max = min(_middle(used[-1]), self.max) if used else 0
        return made


_BITS = 5
"""Of a time that tell its bucket: 16 buckets to the power of two."""
_MOST_NS = 2**62
_N_BUCKETS = (63 - _BITS + 1) * 2 ** (_BITS - 1) + 2 ** (_BITS - 1)


def _middle(bucket: int) -> int:
    """The middle of a bucket, in ns."""
    shift = max(0, (bucket >> _BITS - 1) - 1)
    return ((bucket - (shift << _BITS - 1)) << shift) + ((1 << shift) >> 1)


@dataclass(slots=True)
class Telemetry:
    """The counters of one world: steps, commands applied, and each system's stats by name.

    counts: what systems count, by name, as "forgotten, weak". looks: what is counted of looking at
    the world. latencies: of calls, by name, as "recall". Neither of these two is part of the
    world's state, nor saved. sweeps_every: sweeps of derived fields are made every so many times
    that they are due; more than 1 where a budget demands it.
    """

    steps: int = 0
    step_ns: int = 0
    commands: int = 0
    sweeps_every: int = 1
    systems: dict[str, SystemStats] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, Latencies] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        return telemetry_html(self)

    def of(self, name: str) -> SystemStats:
        """The stats of a system."""
        return self.systems.setdefault(name, SystemStats())

    def latency(self, name: str) -> Latencies:
        """How long the calls of a name took."""
        found = self.latencies.get(name)
        if found is None:
            found = self.latencies[name] = Latencies()
        return found

    def stopwatch(self, name: str) -> Callable[[], None]:
        """Begin to time a call of a name; what is returned is called at its end, if it succeeds."""
        begin = perf_counter_ns()
        return lambda: self.latency(name).record(perf_counter_ns() - begin)

    def count(self, name: str, n: int) -> None:
        """Add n to what is counted under a name."""
        self.counts[name] = self.counts.get(name, 0) + n

    def table(self) -> str:
        """A readable table of the systems, most time first, and of what else was measured."""
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
        if self.latencies:
            lines.append(
                f"{'call':<28}{'calls':>8}{'p50 ms':>16}{'p90 ms':>12}{'p99 ms':>12}{'max ms':>12}"
            )
        for name, calls in self.latencies.items():
            times = *calls.quantiles(0.5, 0.9, 0.99), calls.max / 1e9
            shown = "".join(f"{1e3 * s:>{12 if n else 16}.3g}" for n, s in enumerate(times))
            lines.append(f"{name:<28}{calls.count:>8,}{shown}")
        return "\n".join(lines)
