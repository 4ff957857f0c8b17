"""How a benchmark is written: cases, what they consist of, and what they should reach.

    AREA = "ecs"

    @case("system", "kernel", target=ratio(1.10, from_size=100_000))
    def iter_2c(n: int) -> Contest:
        '''pos += vel * dt over one table.'''
        ...
        return Contest({"system": Run(...), "kernel": Run(...)}, bound=Run(...), verify=...)

A contest is one case at one size: subjects (Populace) and a bound (a hand-written numba loop or a
memcpy over the same bytes). `verify` checks once, before any timing, that subject and bound compute
the same. What peers do for the case of a name is said in `peers`; they are shown beside every
subject. A new suite is a new module `cases_*.py`, which nothing else has to know.

`measure` runs contests, `record` keeps the figures, `table` prints them, `report` makes a page of
them, `compare` holds them against those of another day. Nothing asserts a time: a target is judged
"ok" or "over" and the table says so.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SIZES = (10_000, 100_000, 1_000_000)
FULL = (*SIZES, 10_000_000)
FEWEST_ROUNDS = 7

AREAS = {
    "ecs": "entities, components, queries, indices",
    "sweeps": "what fades: memories, ties, feelings, knowledge",
    "contacts": "what people do to each other",
    "recall": "memories asked for, by one and by all; reflection; the vector index",
    "snapshot": "snapshots, the archive, tables for others",
    "sql": "questions to a living world and to a snapshot",
    "town": "the day of a society, and whole runs",
    "start": "what a new process pays",
    "published": "workloads that others have published",
}
"""The areas in the order of the report. One that is not here comes after them."""

# -- what a case consists of ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant: what is timed, and what restores its state before each timing."""

    call: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Contest:
    """A case at one size, ready to run. bound: None where there is nothing but peers to compare
    with. rows: how many units a call handles (default: the size)."""

    subjects: Mapping[str, Run]
    bound: Run | None = None
    verify: Callable[[], object] | None = None
    rows: int | None = None


Quartiles = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """What was measured of a peer. ratio: by subject, how many times its time the peer took."""

    rounds: int
    ns: Quartiles
    ratio: Mapping[str, Quartiles]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one subject: quartiles, what one round in a hundred took at least, and
    the rounds behind. bound_ns, ratio: None where there is no bound."""

    size: int
    rows: int
    rounds: int
    subject_ns: Quartiles
    bound_ns: Quartiles | None
    ratio: Quartiles | None
    p99_ns: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a subject should reach, judged from `from_size` on."""

    text: str
    met: Callable[[Figures], bool]
    from_size: int = 0


def ratio(limit: float, from_size: int = 0) -> Target:
    """At most `limit` times the bound."""
    return Target(
        f"<= {limit:.2f}x", lambda f: f.ratio is not None and f.ratio[1] <= limit, from_size
    )


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
        beyond = f.subject_ns[1] - (f.bound_ns[1] if f.bound_ns else 0.0)
        return beyond <= limit * 1e3 * f.rows

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


@dataclass(frozen=True, slots=True)
class Loss:
    """Why peers are faster: these peers than these subjects, all if none are named; from a size to
    a size, both included."""

    why: str
    peers: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    from_size: int = 0
    to_size: float = math.inf

    def explains(self, peer: str, subject: str, size: int) -> bool:
        """Whether it says why this peer is faster than this subject at a size."""
        return (
            (not self.peers or peer in self.peers)
            and (not self.subjects or subject in self.subjects)
            and self.from_size <= size <= self.to_size
        )


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One benchmark. Made by `case`.

    setup: size -> Contest with these subjects. sizes: in `unit`s, small first. area: what it is
    about; by default its module's AREA, or the module's own name. peers: name -> size -> ms,
    measured in a run of their own, "bare" being a bound of it (docs/benchmarks.md). loses: why
    peers are faster, where some are: one reason, or by peer, or of several `Loss` the first that
    explains it. fast: takes part in the quick check of ratios that the tests make; must be set up
    in a moment. bytes_each: memory that one unit of size takes in a contest, generously. rounds:
    made at least. elsewhere: the work is done outside this thread, so that only the wall clock sees
    it. cold: it takes minutes, and is not called before it is timed.
    """

    name: str
    about: str
    setup: Callable[[int], Contest]
    subjects: tuple[str, ...]
    target: Mapping[str, Target]
    sizes: tuple[int, ...] = FULL
    unit: str = "row"
    area: str = ""
    peers: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    loses: str | Mapping[str, str] | tuple[Loss, ...] = ()
    fast: bool = False
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

    @property
    def losses(self) -> tuple[Loss, ...]:
        """`loses`, whichever way it was said."""
        if isinstance(self.loses, str):
            return (Loss(self.loses),)
        if isinstance(self.loses, Mapping):
            return tuple(Loss(why, (peer,)) for peer, why in self.loses.items())
        return self.loses

    def why_loses(self, peer: str, subject: str, size: int) -> str:
        """Why this peer is faster than this subject, "" if nobody has said so."""
        found = (each.why for each in self.losses if each.explains(peer, subject, size))
        return next(found, "")


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
            found += cases_of(vars(importlib.import_module(f"{package}.{module}")))
    return found


def cases_of(module: Mapping[str, Any]) -> list[Case]:
    """The cases among the names of a module, each with its area."""
    area = module.get("AREA", module["__name__"].rpartition(".")[2].removeprefix("cases_"))
    return [
        replace(value, area=value.area or area)
        for value in module.values()
        if isinstance(value, Case)
    ]


def area_order(area: str) -> tuple[int, str]:
    """Sorts areas: those of AREAS as there, then the others by name."""
    known = [*AREAS]
    return (known.index(area) if area in AREAS else len(known), area)


def size_name(size: int) -> str:
    """10000 as 10k, 1000000 as 1M."""
    for letter, scale in (("M", 1_000_000), ("k", 1_000)):
        if size >= scale and size % scale == 0:
            return f"{size // scale}{letter}"
    return str(size)
