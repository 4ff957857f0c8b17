"""Forgetting curves: of the memories formed so long ago, how many are kept, by importance.

At each tick a run tells how many memories of each tenth of importance were formed; the snapshot
tells how many of them are kept. Their ratio, over the age that they have by then, is the curve.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from populace.ecs.errors import SqlError

from .ending import Ending
from .palette import N_TENTHS, tone
from .parts import Chart, Floats, Key, Omission, Rows, Section, dash, layout, rounded
from .rundirectory import RunDirectory
from .wording import DAY_US, listed, share, span

Curve = tuple[Floats, Floats]
"""Ages, young first, and the shares that are kept; (k,) each."""
FEWEST_FORMED = 60
POINTS = 60
FEWEST_IN_POINT = 25


def forgetting(run: RunDirectory, ending: Ending | None, why_not: str) -> Section:
    """The section."""
    section = Section(
        "forgetting",
        "Forgetting",
        about="What is not recalled fades, and what matters little fades first.",
    )
    formed = {
        tenth: run[f"formed__{tenth}"] for tenth in range(N_TENTHS) if f"formed__{tenth}" in run
    }
    if ending is None:
        section.parts.append(Omission("Forgetting curves", why_not))
    elif not formed:
        section.parts.append(
            Omission("Forgetting curves", "memories were not counted by importance as they formed")
        )
    else:
        section.parts.append(_curves(run, ending, formed))
    return section


def survival(formed: Floats, kept: Floats, age: Floats) -> Curve:
    """The curve of one tenth: ages (k,) and shares (k,), young first; the shares never rise.

    formed, kept, age: (n,) of each tick. Neighbouring ticks are taken together until enough was
    formed in them. Of all curves that never rise the one that fits best, by pooling of adjacent
    violators (Ayer et al. 1955).

    >>> age = np.arange(100.0)[::-1]
    >>> ages, shares = survival(np.full(100, 50.0), np.where(age < 50, 50.0, 0.0), age)
    >>> half_life(ages, shares)
    49.25
    """
    order = np.argsort(age, kind="stable")
    formed, kept, age = formed[order], kept[order], age[order]
    enough = max(FEWEST_IN_POINT, float(formed.sum()) / POINTS)
    at = np.maximum(np.floor(np.cumsum(formed) / enough - 1e-9), 0).astype(np.int64)
    sums = np.bincount(at, weights=formed).astype(np.float64)
    there = sums >= FEWEST_IN_POINT / 2
    sums = sums[there]
    shares = np.minimum(np.bincount(at, weights=kept)[there] / sums, 1.0)
    return np.bincount(at, weights=formed * age)[there] / sums, never_rising(shares, sums)


def never_rising(values: Floats, weights: Floats) -> Floats:
    """The values that never rise and lie nearest to some, by weighted squares.

    >>> never_rising(np.array([1.0, 0.2, 0.4]), np.ones(3)).round(3).tolist()
    [1.0, 0.3, 0.3]
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        size = 1
        while pools and pools[-1][0] < value:
            before, heavy, many = pools.pop()
            value = (before * heavy + value * weight) / (heavy + weight)
            weight, size = heavy + weight, size + many
        pools.append((value, weight, size))
    return np.repeat([pool[0] for pool in pools], [pool[2] for pool in pools]).astype(np.float64)


def half_life(ages: Floats, shares: Floats) -> float | None:
    """The age at which the curve first falls below a half; None where it never does."""
    below = np.flatnonzero(shares < 0.5)
    if not below.size:
        return None
    at = int(below[0])
    if at == 0:
        return float(ages[0])
    left, right = shares[at - 1], shares[at]
    return float(ages[at - 1] + (ages[at] - ages[at - 1]) * (left - 0.5) / (left - right))


def tenth_name(tenth: int) -> str:
    """A tenth of importance: 0.2 to 0.3."""
    return f"{tenth / 10:g} to {(tenth + 1) / 10:g}"


def _curves(run: RunDirectory, ending: Ending, formed: dict[int, Floats]) -> Chart | Omission:
    until = run.time_us <= ending.now_us
    time = run.time_us[until]
    if not time.size:
        return Omission("Forgetting curves", "the newest snapshot is older than the first tick")
    try:
        kept = ending.alive(time, run.step_us)
    except SqlError as error:
        return Omission("Forgetting curves", f"what is kept cannot be asked for: {error}")
    age = (ending.now_us - time).astype(np.float64)
    curves: dict[int, Curve] = {}
    few = []
    for tenth, column in formed.items():
        counts = np.nan_to_num(column[until])
        if counts.sum() < FEWEST_FORMED:
            few += [tenth] * bool(counts.sum())
            continue
        curve = survival(counts, kept[:, tenth], age)
        if curve[0].size > 1:
            curves[tenth] = curve
    if not curves:
        return Omission("Forgetting curves", f"fewer than {FEWEST_FORMED} memories formed")
    note = (
        "Of each age, memories that are kept over all that were formed then, as a curve that never "
        "rises. What was merged counts as gone; what was recalled has lasted longer for it."
    )
    if few:
        names = listed([tenth_name(tenth) for tenth in few])
        note += f" Left out, with fewer than {FEWEST_FORMED} formed: {names}."
    return Chart(
        "forgetting-curves",
        "Still remembered, by age and importance",
        _finding(curves),
        [_trace(place, *one) for place, one in enumerate(curves.items())],
        layout(
            x={"title": {"text": "age of the memory, days"}, "rangemode": "tozero"},
            y={"tickformat": ".0%", "range": [0, 1.03]},
            shapes=[{
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.5, "y1": 0.5,
                "line": {"color": tone("muted"), "width": 1, "dash": "2px,3px"},
            }],
        ),
        Rows(["importance", "age, days", "share kept"],
             [row for one in curves.items() for row in _rows(*one)]),
        unit="share that is kept",
        note=note,
        legend=[Key(f"importance {tenth_name(tenth)}", f"tenth{tenth}", "line", dash(place))
                for place, tenth in enumerate(curves)],
        height=360,
        wide=True,
    )  # fmt: skip


def _trace(place: int, tenth: int, curve: Curve) -> dict[str, Any]:
    ages, shares = curve
    return {
        "type": "scatter", "mode": "lines", "x": rounded(ages / DAY_US, 4), "y": rounded(shares, 4),
        "name": tenth_name(tenth), "hovertemplate": "%{y:.0%}",
        "line": {"color": tone(f"tenth{tenth}"), "width": 2.25, "dash": dash(place)},
    }  # fmt: skip


def _rows(tenth: int, curve: Curve) -> list[list[Any]]:
    ages, shares = rounded(curve[0] / DAY_US, 3), rounded(curve[1], 3)
    return [[tenth_name(tenth), *pair] for pair in zip(ages, shares, strict=True)]


def _finding(curves: dict[int, Curve]) -> str:
    """The half-lives of the least and the most important that have lost a half, and who lasts."""
    halves: dict[int, str] = {}
    for tenth, (ages, shares) in curves.items():
        half = half_life(ages, shares)
        if half is not None:
            halves[tenth] = f"{'within' if shares[0] < 0.5 else 'after'} {span(half)}"
    lost = list(halves.items())
    lasting = [tenth for tenth in curves if tenth not in halves]
    said = []
    for begin, (tenth, at) in zip(
        ("Half of all memories", "half of those"), sorted({*lost[:1], *lost[-1:]}), strict=False
    ):
        said.append(f"{begin} of importance {tenth_name(tenth)} are gone {at}")
    text = "; ".join(said) + "." if said else ""
    if lasting:
        best = lasting[-1]
        ages, shares = curves[best]
        more = f"Those of importance {tenth_name(best)} last: after {span(float(ages[-1]))} "
        more += f"{share(float(shares[-1]))} are kept."
        text = f"{text} {more}" if text else f"No tenth has lost a half yet. {more}"
    return text
