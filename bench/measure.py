"""How a contest is run.

Contestants take turns, A B A B, so that a neighbour on the machine slows them alike; figures are
medians over the rounds, a ratio is the median of the rounds' own ratios, with quartiles. Rounds are
many and short rather than few and long: a neighbour then spoils whole rounds, which the median
leaves out. What restores state before a round (`Run.before`) is not timed; a run that needs none is
repeated for 0.3 ms a round. Garbage collection is off meanwhile.

First subjects and bound have their rounds; then each peer in turn has its own with all of them, and
is let go. So the figures of Populace and bound do not depend on which peers are installed, nor
those of a peer on the others, whose objects may fill the caches and gigabytes. A peer is checked
before it is timed; one that computes something else stops the run. It has seven rounds at least
where a round takes less than 0.1 s, else three.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time_ns, thread_time_ns

import numpy as np
import numpy.typing as npt

from .harness import (
    FEWEST_ROUNDS,
    Case,
    Contest,
    Figures,
    PeerFigures,
    Quartiles,
    Run,
    size_name,
)
from .peers import Entry, Peer

MOST_ROUNDS = 301
FEWEST_PEER_ROUNDS = 3  # of a slow one
QUICK_S = (
    0.1 * FEWEST_ROUNDS
)  # the fewest rounds are made if they take no longer, whatever the budget
CONTEST_S = 1.0  # rounds of subjects and bound are made for as long; half of it with each peer
LOOP_NS = 300_000  # a run without `before` is repeated until it takes as long
SLOW_NS = 100_000_000  # who takes as long is not called again just to be warm

Clock = Callable[[], int]
Times = Mapping[str, npt.NDArray[np.float64]]
"""Contestant -> ns a call, by round. The bound's name is ""."""


class PeerError(AssertionError):
    """A peer failed, or computed something else than Populace: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a contest is run. rounds: exactly so many, however long they take; None: for as long as
    `contest_s`. cpu: count the processor's time, which a busy neighbour does not take away, instead
    of the wall clock's. patience_s: leave out peers that would take longer at a size, judged by
    what they took at the one before; None: wait."""

    rounds: int | None = None
    contest_s: float = CONTEST_S
    cpu: bool = False
    patience_s: float | None = None


@dataclass(frozen=True, slots=True)
class Least:
    """What a peer takes at a size: to be set up and checked, and for the fewest rounds."""

    ready_s: float
    rounds_s: float

    @property
    def all_s(self) -> float:
        """Both."""
        return self.ready_s + self.rounds_s


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a contest. subjects: in the order of the case. peers: those that took part.
    absent: the others that have this workload, and why they did not. least: what each peer takes at
    least."""

    subjects: Mapping[str, Figures]
    peers: Mapping[str, PeerFigures] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    least: Mapping[str, Least] = field(default_factory=dict)


def measure(
    case: Case,
    size: int,
    pace: Pace | None = None,
    peers: Iterable[Peer] = (),
    before: Mapping[int, Measured] | None = None,
) -> Measured:
    """Run a contest with those of these peers that have its workload.

    before: what was measured of smaller sizes, for pace.patience_s. Raises PeerError.
    """
    pace = pace or Pace()
    contest = case.contest(size)
    runs = {**contest.subjects, **({"": contest.bound} if contest.bound else {})}
    timed_here = thread_time_ns if pace.cpu and not case.elsewhere else perf_counter_ns
    times = {name: 1 if case.cold else warmed(run) for name, run in runs.items()}
    taken, _ = take_turns(runs, times, timed_here, case.rounds, pace, pace.contest_s)
    subjects = figures(contest, size, taken)
    met, absent, least = {}, {}, {}
    for peer in peers:
        if case.name not in peer.workloads:
            continue
        why = why_absent(peer, case.name, size, pace, before or {})
        if why is not None:
            absent[peer.name] = why
            continue
        wake(peer, case)
        begin = perf_counter()
        entry, repeated = entered(peer, case.name, size)
        ready_s = perf_counter() - begin
        name = f"peer {peer.name}"
        taken, rounds_s = take_turns(
            {**runs, name: Run(entry.call, entry.before)},
            {**times, name: repeated},
            process_time_ns if pace.cpu and not case.elsewhere else perf_counter_ns,
            FEWEST_PEER_ROUNDS,
            pace,
            pace.contest_s / 2,
            rehearse=True,
        )
        del entry  # not before: what it works on may be held by its check alone
        gc.collect()
        made = taken[name].size
        least[peer.name] = Least(ready_s, rounds_s * min(made, FEWEST_PEER_ROUNDS) / made)
        met[peer.name] = PeerFigures(
            rounds=made,
            ns=quartiles(taken[name]),
            ratio={each: quartiles(taken[name] / taken[each]) for each in contest.subjects},
        )
    return Measured(subjects, met, absent, least)


def figures(contest: Contest, size: int, taken: Times) -> dict[str, Figures]:
    """Of each subject."""
    bound = taken.get("")
    return {
        name: Figures(
            size=size,
            rows=contest.rows or size,
            rounds=taken[name].size,
            subject_ns=quartiles(taken[name]),
            bound_ns=None if bound is None else quartiles(bound),
            ratio=None if bound is None else quartiles(taken[name] / bound),
            p99_ns=float(np.percentile(taken[name], 99)),
        )
        for name in contest.subjects
    }


# -- rounds --------------------------------------------------------------------------------------


def take_turns(
    runs: Mapping[str, Run],
    times: Mapping[str, int],
    clock: Clock,
    fewest: int,
    pace: Pace,
    budget_s: float,
    rehearse: bool = False,
) -> tuple[Times, float]:
    """Rounds of all of them, and seconds that these took together: `pace.rounds`, or at least
    `fewest` and for `budget_s`; and at least FEWEST_ROUNDS if these take no longer than QUICK_S.

    rehearse: call the quick ones before they are timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    begin = perf_counter()
    try:
        for made in range(pace.rounds or MOST_ROUNDS):
            enough_s = budget_s if made >= FEWEST_ROUNDS else max(budget_s, QUICK_S)
            if not pace.rounds and made >= fewest and perf_counter() - begin > enough_s:
                break
            for name, run in runs.items():
                if rehearse and not (made and taken[name][-1] > SLOW_NS):
                    restored(run)
                if run.before is not None:
                    run.before()
                taken[name].append(timed(run.call, times[name], clock))
        spent_s = perf_counter() - begin
    finally:
        gc.enable()
    return {name: np.array(each) for name, each in taken.items()}, spent_s


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


def restored(run: Run) -> float:
    """Restore its state and call it; ns of the call."""
    if run.before is not None:
        run.before()
    return timed(run.call, 1)


def warmed(run: Run, calls: int = 2) -> int:
    """Call it, so that what is compiled and cached is; returns how often to repeat it."""
    last = 0.0
    for _ in range(calls):
        last = restored(run)
    if run.before is not None:
        return 1
    if last < LOOP_NS / 4:
        last = timed(run.call, 4)
    return max(1, min(20_000, round(LOOP_NS / max(last, 1.0))))


def quartiles(values: npt.NDArray[np.float64]) -> Quartiles:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)


# -- peers ---------------------------------------------------------------------------------------


def why_absent(
    peer: Peer, case: str, size: int, pace: Pace, before: Mapping[int, Measured]
) -> str | None:
    """Why a peer does not take part in a contest; None if it does."""
    why = peer.why_absent()
    if why is not None:
        return why
    if not peer.takes(case, size):
        return f"left out beyond {size_name(peer.most.get(case, peer.largest))}"
    if pace.patience_s is None or not before:
        return None
    last = max(before)
    if peer.name in before[last].absent:  # it lost this patience at the size before
        return before[last].absent[peer.name]
    wait_s = expected_s({n: each.least[peer.name] for n, each in before.items()}, size)
    if wait_s > pace.patience_s:
        return f"left out beyond {size_name(last)}: it would take about {wait_s:.0f} s here"
    return None


def expected_s(least: Mapping[int, Least], size: int) -> float:
    """What a peer will take at a size, by what it took at smaller ones: as the last two of these
    differ. After one of them only its rounds are known to grow."""
    *earlier, last = sorted(least)
    if not earlier:
        return least[last].ready_s + least[last].rounds_s * size / last
    grown_s = max(0.0, least[last].all_s - least[earlier[-1]].all_s)
    return least[last].all_s + grown_s * (size - last) / (last - earlier[-1])


_awake: set[str] = set()


def wake(peer: Peer, case: Case) -> None:
    """Let it import what it needs, lest its first case pays for that."""
    if peer.name not in _awake:
        _awake.add(peer.name)
        entered(peer, case.name, case.sizes[0])


def entered(peer: Peer, case: str, size: int) -> tuple[Entry, int]:
    """A peer's part, set up, checked and warm; and how often to repeat it. Raises PeerError."""
    place = f"{peer.name} in {case} at {size_name(size)}"
    try:
        entry: Entry = peer.workloads[case](size)
        if entry.before is not None:
            entry.before()
        took_ns = timed(entry.call, 1)
    except Exception as error:
        raise PeerError(f"{place} failed: {type(error).__name__}: {error}") from error
    try:
        entry.check()
    except Exception as error:
        raise PeerError(
            f"{place} computed something else than Populace, so that its time would mean nothing: "
            f"{type(error).__name__}: {error}"
        ) from error
    return entry, 1 if took_ns > SLOW_NS else warmed(Run(entry.call, entry.before), 1)


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(s.split()[1]) << 10 for s in lines if s.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 4 << 30
