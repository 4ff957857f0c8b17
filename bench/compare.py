"""Ratios of today against those of another day: what has become slower, by more than noise.

Compared are ratios alone, subject to bound and subject to peer, so that a slower machine is no
regression; 1.3 where it was 1.0 is. Of one measurement with n rounds, whose ratios have the
quartiles q1, m, q3, the noise is

    3 * 0.93 * (q3 - q1) / m / sqrt(n)

three standard errors of its median (0.93 * (q3 - q1) / sqrt(n) is one, if rounds were independent
and normal). Rounds are not independent: a neighbour stays for many. So the baseline is measured
three times, all cases before any again; the middle median counts, and its noise is at least the
range of the medians, (highest - lowest) / m.

    noise = sqrt(noise of the baseline² + noise of today²)
    regressed, where today's m / baseline's m - 1 > max(20 %, noise)
    improved,  where baseline's m / today's m - 1 > max(20 %, noise)

Today is measured once; what is more than 20 % worse once more when all else was measured, and
again, and the lowest median counts, with its own noise: a neighbour makes a ratio worse now and
then, a regression always. An improvement is told after one measurement; nothing hangs on it.

A ratio to a peer whose version is not that of the baseline differs, but regresses never: it may be
the peer that got faster. Ratios by another clock are not compared at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .harness import Case, Quartiles, size_name
from .measure import Measured
from .record import FORMAT, RecordError, read_json, write_json

BASELINE = Path(__file__).parent / "baselines" / "ratios.json"
LIMIT = 0.20
REPEATS = 3  # of the baseline; at most, of what looks regressed
BOUND = "bound"
WARNED = ("cpu", "cores", "system", "python", "numpy", "numba")  # of a machine: ratios depend on it

median = attrgetter("median")


@dataclass(frozen=True, slots=True)
class Key:
    """Which ratio: of a subject to its bound, or to a peer."""

    case: str
    subject: str
    size: int
    against: str = BOUND

    @property
    def contest(self) -> tuple[str, int]:
        """Case and size."""
        return self.case, self.size

    def __str__(self) -> str:
        return f"{self.case}, {self.subject}, {size_name(self.size)}, against {self.against}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Quartiles of a ratio over the rounds of one measurement; spread: the range of the medians of
    all, relative; 0 of one."""

    q1: float
    median: float
    q3: float
    rounds: int
    spread: float = 0.0

    @property
    def noise(self) -> float:
        """By how much the median may be off, relative."""
        error = 0.93 * (self.q3 - self.q1) / self.median / sqrt(self.rounds)
        return max(3 * error, self.spread)


Ratios = Mapping[Key, Ratio]


def ratios_of(case: Case, measured: Measured) -> dict[Key, Ratio]:
    """Of a contest. The greater, the slower Populace."""
    found = {}
    for subject, f in measured.subjects.items():
        if f.ratio is not None:
            found[Key(case.name, subject, f.size)] = Ratio(*f.ratio, f.rounds)
        for name, peer in measured.peers.items():
            key = Key(case.name, subject, f.size, name)
            found[key] = Ratio(*inverse(peer.ratio[subject]), peer.rounds)
    return found


def inverse(quartiles: Quartiles) -> Quartiles:
    """Peer to subject as subject to peer."""
    low, middle, high = quartiles
    return 1 / high, 1 / middle, 1 / low


def together(measured: Sequence[Ratio]) -> Ratio:
    """Several measurements of one ratio as one: the middle, and their range."""
    ordered = sorted(measured, key=median)
    middle = ordered[len(ordered) // 2]
    spread = (ordered[-1].median - ordered[0].median) / middle.median
    return replace(middle, spread=spread)


def gathered(measurements: Sequence[Ratios]) -> dict[Key, Ratio]:
    """Several measurements of a contest as one; what is in each of them."""
    keys = [key for key in measurements[0] if all(key in each for each in measurements)]
    return {key: together([each[key] for each in measurements]) for key in keys}


# -- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """A ratio beside that of the baseline. word: regressed, improved, same; or differs, of a peer
    that is another today. unlike: which one it was, and is."""

    key: Key
    before: Ratio
    now: Ratio
    measurements: int = 1
    unlike: str = ""

    @property
    def noise(self) -> float:
        """Of both."""
        return hypot(self.before.noise, self.now.noise)

    @property
    def change(self) -> float:
        """What Populace takes more, relative; below 0: less."""
        return self.now.median / self.before.median - 1

    @property
    def suspect(self) -> bool:
        """Whether another measurement is worth its time."""
        return self.change > LIMIT and not self.unlike

    @property
    def word(self) -> str:
        """What has become of it."""
        limit = max(LIMIT, self.noise)
        slower = self.change > limit
        if not slower and self.before.median / self.now.median - 1 <= limit:
            return "same"
        if self.unlike:
            return "differs"
        return "regressed" if slower else "improved"

    def __str__(self) -> str:
        unlike = f"; {self.unlike}" if self.unlike else ""
        return (
            f"{self.word:<9}  {self.key}: {self.before.median:.3g} -> {self.now.median:.3g} "
            f"({self.change:+.0%}; noise {self.noise:.0%}; measured {self.measurements} x{unlike})"
        )


def judge(
    before: Ratios,
    contests: Iterable[tuple[str, int]],
    measure: Callable[[str, int], Ratios],
    unlike: Mapping[Key, str] = MappingProxyType({}),
) -> list[Judged]:
    """The ratios of these contests, by case and size, that the baseline knows; measured as often as
    it takes. unlike: those to peers that are others today."""
    found: dict[Key, list[Ratio]] = {}
    judged: dict[Key, Judged] = {}
    again = list(dict.fromkeys(contests))
    for _ in range(REPEATS):
        for contest in again:
            for key, ratio in measure(*contest).items():
                if key in before and (key not in judged or judged[key].suspect):
                    taken = found.setdefault(key, [])
                    taken.append(ratio)
                    lowest = min(taken, key=median)
                    judged[key] = Judged(key, before[key], lowest, len(taken), unlike.get(key, ""))
        suspects = {key.contest for key, each in judged.items() if each.suspect}
        again = [contest for contest in again if contest in suspects]
    return [*judged.values()]


# -- the baseline --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """What was measured in one go, and the machine of that day."""

    machine: Mapping[str, Any]
    ratios: Ratios


@dataclass(frozen=True, slots=True)
class Baseline:
    """The ratios of one day; or of several, where it was renewed in part."""

    days: Sequence[Day] = ()

    @property
    def ratios(self) -> dict[Key, Ratio]:
        """Of all days."""
        return {key: ratio for day in self.days for key, ratio in day.ratios.items()}

    @property
    def contests(self) -> set[tuple[str, int]]:
        """Case and size of all that it has."""
        return {key.contest for key in self.ratios}

    def peers(self, case: str, size: int) -> set[str]:
        """Whom a contest was held against, the bound among them."""
        return {key.against for key in self.ratios if key.contest == (case, size)}

    def only(self, contests: Container[tuple[str, int]]) -> Baseline:
        """What it has of these contests."""
        return self._where(lambda key: key.contest in contests)

    def without(self, contests: Container[tuple[str, int]]) -> Baseline:
        """What it has of others."""
        return self._where(lambda key: key.contest not in contests)

    def _where(self, kept: Callable[[Key], bool]) -> Baseline:
        """The ratios that are kept; no day without any."""
        days = (Day(d.machine, {k: r for k, r in d.ratios.items() if kept(k)}) for d in self.days)
        return Baseline([day for day in days if day.ratios])

    def write(self, file: Path) -> None:
        """As JSON: four digits, so that a renewal is a diff to read."""
        days = [
            {
                "machine": day.machine,
                "ratios": [
                    {
                        "case": key.case,
                        "subject": key.subject,
                        "size": key.size,
                        "against": key.against,
                        "ratio": [rounded(v) for v in (ratio.q1, ratio.median, ratio.q3)],
                        "rounds": ratio.rounds,
                        "spread": rounded(ratio.spread),
                    }
                    for key, ratio in day.ratios.items()
                ],
            }
            for day in self.days
        ]
        write_json(file, {"format": FORMAT, "days": days})


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


def read_baseline(file: Path) -> Baseline:
    """What `Baseline.write` wrote. Raises RecordError."""
    days = []
    for day in read_json(file, ["days"])["days"]:
        ratios = {}
        for line in day["ratios"]:
            low, middle, high = line["ratio"]
            key = Key(line["case"], line["subject"], line["size"], line["against"])
            ratios[key] = Ratio(low, middle, high, line["rounds"], line["spread"])
        days.append(Day(day["machine"], ratios))
    return Baseline(days)


# -- another machine -----------------------------------------------------------------------------


def other_peers(baseline: Baseline, machine: Mapping[str, Any]) -> dict[Key, str]:
    """The ratios to peers whose version is another now: which it was, and is."""
    found = {}
    for day in baseline.days:
        was, now = day.machine["peers"], machine["peers"]
        for key in day.ratios:
            if key.against in now and now[key.against] != was.get(key.against):
                found[key] = f"{key.against} {was.get(key.against)}, now {now[key.against]}"
    return found


def other_machine(baseline: Baseline, machine: Mapping[str, Any]) -> Iterator[str]:
    """What else ratios depend on, and is not as it was. Raises RecordError if it is the clock."""
    for day in baseline.days:
        if day.machine["clock"] != machine["clock"]:
            raise RecordError(
                f"the baseline of {day.machine['date']} counts {day.machine['clock']} time, this "
                f"run {machine['clock']} time: ratios of two clocks are not compared. --cpu counts "
                "the processor's, both here and with --save-baseline"
            )
        for each in WARNED:
            if day.machine.get(each) != machine[each]:
                yield (
                    f"unlike     {each} {machine[each]}; the baseline of {day.machine['date']} "
                    f"has {day.machine.get(each)}"
                )


# -- telling -------------------------------------------------------------------------------------


def missing(
    baseline: Baseline,
    judged: Iterable[Judged],
    why: Mapping[tuple[str, int, str], str],
) -> Iterator[str]:
    """What the baseline has, and today's run has not.

    why: by case, size and what it is held against, as far as it is known.
    """
    found = {each.key for each in judged}
    for key in baseline.ratios:
        if key not in found:
            said = why.get((*key.contest, key.against)) or why.get((*key.contest, ""))
            yield f"missing    {key}: {said or 'there is no such contestant any more'}"


def too_noisy(noises: Iterable[float]) -> str:
    """Of how many ratios the limit lies within the noise."""
    all_of = [*noises]
    noisy = sum(noise > LIMIT for noise in all_of)
    return f"{noisy} of {len(all_of)} ratios are too noisy to show a change of {LIMIT:.0%}"


def summary(judged: Sequence[Judged], n_missing: int) -> str:
    """One line."""
    words = Counter(each.word for each in judged)
    told = {"regressed": "regressed", "improved": "improved", "same": "as before"}
    if words["differs"]:
        told["differs"] = "differ by another peer"
    counts = [f"{words[word]} {said}" for word, said in told.items()]
    return ", ".join([*counts, f"{n_missing} missing"])
