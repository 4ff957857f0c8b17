"""How a benchmark is written, run and judged.

    @case("system", "kernel", target=ratio(1.10, from_size=100_000))
    def iter_2c(n: int) -> Contest:
        '''pos += vel * dt over one table.'''
        ...
        return Contest({"system": Run(...), "kernel": Run(...)}, bound=Run(...), verify=...)

A contest is one case at one size: subjects (Populace) and a bound (a hand-written numba loop or a
memcpy over the same bytes). Contestants take turns, A B A B, so that a neighbour on the machine
slows them alike; figures are medians over the rounds, a ratio is the median of the rounds' own
ratios, with quartiles. Rounds are many and short rather than few and long: a neighbour then spoils
whole rounds, which the median leaves out. What restores state before a round (`Run.before`) is not
timed; a run that needs none is repeated for 0.3 ms a round. Garbage collection is off meanwhile.
`verify` checks once, before any timing, that subject and bound compute the same.

Nothing here asserts a time: a target is judged "ok" or "over" and the table says so.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Any

import numba
import numpy as np

import populace

SIZES = (10_000, 100_000, 1_000_000)
FULL = (*SIZES, 10_000_000)
FEWEST_ROUNDS, MOST_ROUNDS = 7, 301
CONTEST_S = 1.0  # rounds are made for as long, between those two numbers
LOOP_NS = 300_000  # a run without `before` is repeated until it takes as long

# -- what a case consists of ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant: what is timed, and what restores its state before each timing."""

    call: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Contest:
    """A case at one size, ready to run. rows: how many units a call handles (default: the size)."""

    subjects: Mapping[str, Run]
    bound: Run
    verify: Callable[[], object] | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one subject: quartiles (low, median, high), what one round in a hundred
    took at least, and the rounds behind."""

    size: int
    rows: int
    rounds: int
    subject_ns: tuple[float, float, float]
    bound_ns: tuple[float, float, float]
    ratio: tuple[float, float, float]
    p99_ns: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a subject should reach, judged from `from_size` on."""

    text: str
    met: Callable[[Figures], bool]
    from_size: int = 0


def ratio(limit: float, from_size: int = 0) -> Target:
    """At most `limit` times the bound."""
    return Target(f"<= {limit:.2f}x", lambda f: f.ratio[1] <= limit, from_size)


def ms_per_million(limit: float, from_size: int = 0) -> Target:
    """At most so many ms per million rows, whatever the bound."""
    return Target(f"<= {limit:g} ms/1M", lambda f: f.subject_ns[1] <= limit * f.rows, from_size)


def us(limit: float, from_size: int = 0) -> Target:
    """At most so many µs a call."""
    return Target(f"<= {limit:g} µs", lambda f: f.subject_ns[1] <= limit * 1e3, from_size)


def seconds(limit: float) -> Target:
    """At most so many seconds a call."""
    return Target(f"<= {limit:g} s", lambda f: f.subject_ns[1] <= limit * 1e9)


def us_each(limit: float) -> Target:
    """At most so many µs a unit of size, whatever the bound."""
    return Target(f"<= {limit:g} µs each", lambda f: f.subject_ns[1] <= limit * 1e3 * f.rows)


def us_beyond(limit: float) -> Target:
    """At most so many µs a call and unit of size beyond the bound."""

    def met(f: Figures) -> bool:
        return f.subject_ns[1] - f.bound_ns[1] <= limit * 1e3 * f.rows

    return Target(f"<= +{limit:g} µs each", met)


def p99_us(limit: float) -> Target:
    """At most so many µs in 99 rounds of 100."""
    return Target(f"p99 <= {limit:g} µs", lambda f: f.p99_ns <= limit * 1e3)


def both(first: Target, second: Target) -> Target:
    """One and the other."""
    text = f"{first.text}, {second.text}"
    lowest = max(first.from_size, second.from_size)
    return Target(text, lambda f: first.met(f) and second.met(f), lowest)


def either(first: Target, second: Target) -> Target:
    """One of two."""
    text = f"{first.text} or {second.text}"
    lowest = min(first.from_size, second.from_size)
    return Target(text, lambda f: first.met(f) or second.met(f), lowest)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One benchmark. Made by `case`.

    setup: size -> Contest with these subjects. sizes: in `unit`s, small first. peers: name -> size
    -> ms, measured in a run of their own, "bare" being a bound of it (docs/benchmarks.md).
    bytes_each: memory that one unit of size takes in a contest, generously. rounds: made at least.
    elsewhere: the work is done outside this thread, so that only the wall clock sees it. cold: it
    takes minutes, and is not called before it is timed.
    """

    name: str
    about: str
    setup: Callable[[int], Contest]
    subjects: tuple[str, ...]
    target: Mapping[str, Target]
    sizes: tuple[int, ...] = FULL
    unit: str = "row"
    peers: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    bytes_each: int = 600
    rounds: int = FEWEST_ROUNDS
    elsewhere: bool = False
    cold: bool = False

    def contest(self, size: int) -> Contest:
        """Set up and verified."""
        contest = self.setup(size)
        if tuple(contest.subjects) != self.subjects:
            raise LookupError(f"{self.name}: {self.subjects} declared, {[*contest.subjects]} made")
        if contest.verify is not None:
            contest.verify()
        return contest


def case(
    *subjects: str, target: Target | Mapping[str, Target] | None = None, **rest: Any
) -> Callable[[Callable[[int], Contest]], Case]:
    """Make a setup function a Case of its name, described by its docstring.

    target: of every subject, or by subject.
    """
    if not isinstance(target, Mapping):
        target = {subject: target for subject in subjects} if target else {}
    targets = dict(target)

    def make(setup: Callable[[int], Contest]) -> Case:
        about = " ".join((setup.__doc__ or "").split("\n\n")[0].split())
        return Case(setup.__name__, about, setup, subjects, targets, **rest)

    return make


def discover() -> list[Case]:
    """The cases of every module `cases_*` of this package, in order of module and definition."""
    package = __package__ or "bench"
    found = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module.startswith("cases_"):
            names = vars(importlib.import_module(f"{package}.{module}"))
            found += [value for value in names.values() if isinstance(value, Case)]
    return found


# -- running -------------------------------------------------------------------------------------

Clock = Callable[[], int]


def timed(call: Callable[[], object], times: int, clock: Clock = perf_counter_ns) -> float:
    """ns a call, over `times` calls."""
    if times == 1:
        begin = clock()
        call()
        return float(clock() - begin)
    turns = repeat(None, times)
    begin = clock()
    for _ in turns:
        call()
    return (clock() - begin) / times


def warmed(run: Run) -> int:
    """Call it twice, so that what is compiled and cached is; returns how often to repeat it."""
    last = 0.0
    for _ in range(2):
        if run.before is not None:
            run.before()
        last = timed(run.call, 1)
    if run.before is not None:
        return 1
    if last < LOOP_NS / 4:
        last = timed(run.call, 4)
    return max(1, min(20_000, round(LOOP_NS / max(last, 1.0))))


def measure(
    case: Case, size: int, rounds: int | None = None, cpu: bool = False
) -> dict[str, Figures]:
    """Run a contest; the figures of each subject.

    rounds: exactly so many, however long they take. cpu: count the thread's processor time, which
    a busy neighbour does not take away, instead of the wall clock's.
    """
    contest = case.contest(size)
    runs = {**contest.subjects, "": contest.bound}
    clock = thread_time_ns if cpu and not case.elsewhere else perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        times = {name: 1 if case.cold else warmed(run) for name, run in runs.items()}
        taken: dict[str, list[float]] = {name: [] for name in runs}
        begin = perf_counter()
        for made in range(rounds or MOST_ROUNDS):
            if not rounds and made >= case.rounds and perf_counter() - begin > CONTEST_S:
                break
            for name, run in runs.items():
                if run.before is not None:
                    run.before()
                taken[name].append(timed(run.call, times[name], clock))
    finally:
        gc.enable()
    bound = np.array(taken[""])
    return {
        name: Figures(
            size=size,
            rows=contest.rows or size,
            rounds=bound.size,
            subject_ns=quartiles(np.array(taken[name])),
            bound_ns=quartiles(bound),
            ratio=quartiles(np.array(taken[name]) / bound),
            p99_ns=float(np.percentile(taken[name], 99)),
        )
        for name in contest.subjects
    }


def quartiles(values: np.ndarray) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(s.split()[1]) << 10 for s in lines if s.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 4 << 30


# -- reporting -----------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(s.split(":")[1].strip() for s in lines if s.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "populace": populace.__version__,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def record(case: Case, subject: str, f: Figures) -> dict[str, Any]:
    """One line of the table as data: what the JSON holds. Times in ms."""
    target = case.target.get(subject)
    judged = target is not None and f.size >= target.from_size

    def spread(ns: tuple[float, float, float]) -> dict[str, float]:
        return dict(zip(("q1", "median", "q3"), (t / 1e6 for t in ns), strict=True))

    return {
        "case": case.name,
        "subject": subject,
        "size": f.size,
        "unit": case.unit,
        "rows": f.rows,
        "rounds": f.rounds,
        "subject_ms": {**spread(f.subject_ns), "p99": f.p99_ns / 1e6},
        "bound_ms": spread(f.bound_ns),
        "ratio": dict(zip(("q1", "median", "q3"), f.ratio, strict=True)),
        "ns_per_row": f.subject_ns[1] / f.rows,
        "target": target.text if judged and target else "",
        "verdict": ("ok" if target.met(f) else "over") if judged and target else "",
        "peers_ms": {peer: ms[f.size] for peer, ms in case.peers.items() if f.size in ms},
    }


HEADINGS = (
    "case", "subject", "size", "ms", "bound ms", "ratio", "quartiles", "ns each", "target", "",
    "peers elsewhere, ms",
)  # fmt: skip
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
WIDTHS = (23, 13, 4, 9, 9, 7, 15, 8, 23, 4, 0)


def cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A record as the table's columns."""
    of = line["ratio"]
    return (
        line["case"],
        line["subject"],
        size_name(line["size"]),
        figure(line["subject_ms"]["median"]),
        figure(line["bound_ms"]["median"]),
        f"{of['median']:.2f}",
        f"{of['q1']:.2f} - {of['q3']:.2f}",
        figure(line["ns_per_row"]) if line["unit"] != "process" else "",
        line["target"],
        line["verdict"],
        ", ".join(f"{peer} {figure(ms)}" for peer, ms in line["peers_ms"].items()),
    )


def plain(columns: tuple[str, ...]) -> str:
    """One line of the plain table."""
    left = {0, 1, 8, 9, 10}
    padded = (
        text.ljust(width) if k in left else text.rjust(width)
        for k, (text, width) in enumerate(zip(columns, WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()


def markdown(lines: list[dict[str, Any]]) -> Iterator[str]:
    """The table as markdown, line by line."""
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|---|---|" + "--:|" * 6 + "---|---|---|"
    for line in lines:
        yield f"| {' | '.join(cells(line))} |"


def write_page(file: str, lines: list[dict[str, Any]], about: Mapping[str, Any]) -> None:
    """Put the table and what it was measured on between the marks of a markdown page."""
    page = Path(file)
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = "\n".join([f"Measured on: {said(about)}.", "", *markdown(lines)])
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


def said(about: Mapping[str, Any]) -> str:
    """The machine in one line."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about.items())


def size_name(size: int) -> str:
    """10000 as 10k, 1000000 as 1M."""
    for letter, scale in (("M", 1_000_000), ("k", 1_000)):
        if size >= scale and size % scale == 0:
            return f"{size // scale}{letter}"
    return str(size)


def figure(value: float) -> str:
    """Three significant digits, never in exponents."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{digits}f}"


def write_json(
    file: str, lines: list[dict[str, Any]], cases: list[Case], about: Mapping[str, Any]
) -> None:
    """Machine, what the cases are, and results, in one file."""
    names = {line["case"] for line in lines}
    content = {
        "machine": about,
        "cases": {case.name: case.about for case in cases if case.name in names},
        "results": lines,
    }
    Path(file).write_text(json.dumps(content, indent=1) + "\n")
