"""Ratios of today against those of another day: what has become slower, by more than noise.

Compared are ratios alone, subject to bound and subject to peer, so that a slower machine is no
regression; 1.3 where it was 1.0 is. Of one measurement with n rounds, whose ratios have the
quartiles q1, m, q3, the noise is

    3 * 0.93 * (q3 - q1) / m / sqrt(n)

three standard errors of its median (0.93 * (q3 - q1) / sqrt(n) is one, if rounds were independent
and normal). Rounds are not independent: a neighbour stays for many. So what counts is measured
several times, minutes apart, and its noise is at least the range of the medians, (highest - lowest)
/ m.

    noise = sqrt(noise of the baseline² + noise of today²)
    regressed, where today's m / baseline's m - 1 > max(20 %, noise)
    improved,  where baseline's m / today's m - 1 > max(20 %, noise)

The baseline is measured three times, all cases before any again, and m is the middle one. Today is
measured once; what looks regressed once more when all else was measured, and again, and m is then
the lowest: a neighbour makes a ratio worse now and then, a regression always. An improvement is
told after one measurement; nothing hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from pathlib import Path
from typing import Any

from .harness import Case, Quartiles, size_name
from .measure import Measured
from .record import FORMAT, read_json, write_json

BASELINE = Path(__file__).parent / "baselines" / "ratios.json"
LIMIT = 0.20
REPEATS = 3  # of the baseline; at most, of what looks regressed
BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Key:
    """Which ratio: of a subject to its bound, or to a peer."""

    case: str
    subject: str
    size: int
    against: str = BOUND

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


def together(measured: Sequence[Ratio], lowest: bool = False) -> Ratio:
    """Several measurements of one ratio as one, the middle or the lowest; and their range."""
    ordered = sorted(measured, key=lambda ratio: ratio.median)
    chosen = ordered[0 if lowest else len(ordered) // 2]
    spread = (ordered[-1].median - ordered[0].median) / chosen.median
    return Ratio(chosen.q1, chosen.median, chosen.q3, chosen.rounds, spread)


def gathered(measurements: Sequence[Ratios]) -> dict[Key, Ratio]:
    """Several measurements of a contest as one; what is in each of them."""
    keys = [key for key in measurements[0] if all(key in each for each in measurements)]
    return {key: together([each[key] for each in measurements]) for key in keys}


# -- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """A ratio beside that of the baseline. word: regressed, improved, or same."""

    key: Key
    before: Ratio
    now: Ratio
    measurements: int = 1

    @property
    def noise(self) -> float:
        """Of both."""
        return hypot(self.before.noise, self.now.noise)

    @property
    def word(self) -> str:
        """What has become of it."""
        limit = max(LIMIT, self.noise)
        if self.now.median / self.before.median - 1 > limit:
            return "regressed"
        return "improved" if self.before.median / self.now.median - 1 > limit else "same"

    def __str__(self) -> str:
        change = self.now.median / self.before.median - 1
        return (
            f"{self.word:<9}  {self.key}: {self.before.median:.3g} -> {self.now.median:.3g} "
            f"({change:+.0%}; noise {self.noise:.0%}; measured {self.measurements} x)"
        )


def judge(
    before: Ratios,
    contests: Iterable[tuple[str, int]],
    measure: Callable[[str, int], Ratios],
) -> list[Judged]:
    """The ratios of these contests, by case and size, that the baseline knows; measured as often as
    it takes."""
    found: dict[Key, list[Ratio]] = {}
    judged: dict[Key, Judged] = {}
    again = list(dict.fromkeys(contests))
    for _ in range(REPEATS):
        for contest in again:
            for key, ratio in measure(*contest).items():
                if key in before and (key not in judged or judged[key].word == "regressed"):
                    found.setdefault(key, []).append(ratio)
                    now = together(found[key], lowest=True)
                    judged[key] = Judged(key, before[key], now, len(found[key]))
        suspects = {(k.case, k.size) for k, each in judged.items() if each.word == "regressed"}
        again = [contest for contest in again if contest in suspects]
    return [*judged.values()]


# -- the baseline --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Baseline:
    """The ratios of a day, and the machine of that day."""

    machine: Mapping[str, Any]
    ratios: Ratios

    def sizes(self, case: str) -> list[int]:
        """At which it knows a case."""
        return sorted({key.size for key in self.ratios if key.case == case})

    def peers(self, case: str, size: int) -> set[str]:
        """Whom a contest was held against, the bound among them."""
        return {key.against for key in self.of(case, size)}

    def of(self, case: str, size: int) -> dict[Key, Ratio]:
        """The ratios of a contest."""
        return {k: r for k, r in self.ratios.items() if (k.case, k.size) == (case, size)}

    def write(self, file: Path) -> None:
        """As JSON: four digits, so that a renewal is a diff to read."""
        lines = [
            {
                "case": key.case,
                "subject": key.subject,
                "size": key.size,
                "against": key.against,
                "ratio": [rounded(v) for v in (ratio.q1, ratio.median, ratio.q3)],
                "rounds": ratio.rounds,
                "spread": rounded(ratio.spread),
            }
            for key, ratio in self.ratios.items()
        ]
        write_json(file, {"format": FORMAT, "machine": self.machine, "ratios": lines})


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


def read_baseline(file: Path) -> Baseline:
    """What `Baseline.write` wrote. Raises RecordError."""
    content = read_json(file)
    ratios = {}
    for line in content["ratios"]:
        low, middle, high = line["ratio"]
        key = Key(line["case"], line["subject"], line["size"], line["against"])
        ratios[key] = Ratio(low, middle, high, line["rounds"], line["spread"])
    return Baseline(content["machine"], ratios)


# -- telling -------------------------------------------------------------------------------------


def missing(
    baseline: Baseline,
    asked: Iterable[tuple[str, int]],
    judged: Iterable[Judged],
    why: Mapping[tuple[str, int, str], str],
) -> Iterator[str]:
    """What the baseline has of the contests that were asked for, and today's run has not.

    why: by case, size and what it is held against, as far as it is known.
    """
    found = {each.key for each in judged}
    for case, size in asked:
        for key in baseline.of(case, size):
            if key not in found:
                said = why.get((case, size, key.against)) or why.get((case, size, ""))
                yield f"missing    {key}: {said or 'there is no such contestant any more'}"


def summary(judged: Sequence[Judged], n_new: int, n_missing: int) -> str:
    """One line."""
    count = {word: sum(each.word == word for each in judged) for word in ("regressed", "improved")}
    same = len(judged) - sum(count.values())
    return (
        f"{count['regressed']} regressed, {count['improved']} improved, {same} as before, "
        f"{n_new} not in the baseline, {n_missing} missing"
    )
