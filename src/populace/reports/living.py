"""Population and memory over time: how many there are, and what comes and goes each day."""

from __future__ import annotations

from typing import Any

import numpy as np

from .palette import N_LINES, line_tone, tone
from .parts import (
    Chart,
    Floats,
    Ints,
    Key,
    Omission,
    Rows,
    Section,
    bars,
    dash,
    last_of,
    layout,
    line,
    pattern,
    rounded,
    stamps,
    thinned,
    time_rows,
)
from .rundirectory import RunDirectory
from .wording import DAY_US, HOUR_US, capital, count, decimal, listed, moment, several, share

GROWING = {"ties": "Ties", "knowledge": "Knowledge", "reflections": "Reflections"}
ARCHIVED, OTHERWISE = "archived", "otherwise"
REASONS = {
    "weak": "grown weak",
    "old": "grown old",
    "crowded": "crowded out",
    "merged": "merged into others",
    ARCHIVED: "moved to the archive",
    OTHERWISE: "merged, or gone with their owner",
}
"""Why memories go, in words."""
MOST_TOLD = 3
"""Of these that a sentence has, the commonest."""
FEW = 0.005
"""A part of what was formed that is not spoken of."""


def losses(run: RunDirectory) -> dict[str, Floats]:
    """Memories that went in each tick, by reason, most first.

    What the counts do not account for, though there are fewer than were formed, is OTHERWISE.
    """
    lost = {why: np.nan_to_num(column) for why, column in run.family("forgotten").items()}
    if ARCHIVED in run:
        lost[ARCHIVED] = np.nan_to_num(run[ARCHIVED])
    if "formed" in run and "memories" in run:
        formed = np.nan_to_num(run["formed"])
        grown = np.diff(run["memories"], prepend=run["memories"][:1])
        rest = formed - grown - np.sum(list(lost.values()), axis=0)
        rest[0] = 0
        rest = np.maximum(np.nan_to_num(rest), 0)
        if rest.sum() > FEW * formed.sum():
            lost[OTHERWISE] = rest
    there = [why for why, column in lost.items() if column.any()]
    return {why: lost[why] for why in sorted(there, key=lambda why: -float(lost[why].sum()))}


def periods(time_us: Ints) -> tuple[Ints, Ints, int]:
    """Days (or hours of a short run, weeks of a long one) that ticks fall into.

    Returns begins (k,) µs, the period of each tick (n,), and the length of one in µs. A tick that
    ends at midnight belongs to the day that ends.
    """
    lived = int(time_us[-1] - time_us[0])
    length = HOUR_US if lived < 2 * DAY_US else DAY_US if lived < 150 * DAY_US else 7 * DAY_US
    number = (time_us - 1) // length
    first = int(number[0])
    begins = (first + np.arange(int(number[-1]) - first + 1)) * length
    return begins.astype(np.int64), (number - first).astype(np.int64), length


def per_period(values: Floats, of: Ints, n: int) -> Floats:
    """Sums by period, (n,)."""
    sums: Floats = np.bincount(of, np.nan_to_num(values), n).astype(np.float64)
    return sums


def period_name(length: int) -> str:
    """hour, day or week."""
    return {HOUR_US: "hour", DAY_US: "day"}.get(length, "week")


def living(run: RunDirectory) -> Section:
    """The section."""
    section = Section("living", "Population and memory")
    if "agents" in run:
        section.parts.append(_agents(run))
    if "memories" in run:
        section.parts.append(_memories(run))
    if "formed" in run or run.family("forgotten"):
        section.parts.append(_flows(run))
    else:
        section.parts.append(Omission("What was formed and forgotten", "it was not counted"))
    for name, title in GROWING.items():
        if name in run and np.nanmax(run[name]) > 0:
            section.parts.append(_grown(run, name, title))
        else:
            section.parts.append(Omission(title, f"this run has no {name}"))
    section.parts.append(_strengths(run))
    return section


def _agents(run: RunDirectory) -> Chart | Omission:
    agents = run["agents"]
    if np.nanmin(agents) == np.nanmax(agents):
        return Omission(
            "Agents over time",
            f"there were {several(run.last('agents'), 'agent')} from first to last",
        )
    return _grown(run, "agents", "Agents")


def _area(run: RunDirectory, name: str, place: int) -> dict[str, object]:
    at = thinned(run.time_us)
    fill = {"fill": "tozeroy", "fillcolor": tone("wash")} if place == 0 else {}
    return line(stamps(at), thinned(run[name]), name, place, line={"dash": "solid"}, **fill)


def _memories(run: RunDirectory) -> Chart:
    kept, last, agents = run["memories"], run.last("memories"), run.last("agents")
    each = f", {decimal(last / agents, 2)} for each agent" if agents > 0 else ""
    begins, of, length = periods(run.time_us)
    ticks = per_period(np.isfinite(kept).astype(np.float64), of, begins.size)
    days = per_period(kept, of, begins.size)[ticks > 0] / ticks[ticks > 0]
    late, recent = days[-1 - max(1, days.size // 4) :][0], days[-1]
    change = (recent - late) / max(late, 1)
    how = "still more" if change > 0.05 else "fewer" if change < -0.05 else "hardly more"
    trend = f"{how} from {period_name(length)} to {period_name(length)}"
    peak = int(np.nanargmax(kept))
    fallen = kept[peak] > 1.05 * last
    most = f" At most there were {count(kept[peak])}, on {moment(int(run.time_us[peak]))}."
    return Chart(
        "memories",
        "Memories kept",
        f"At the end agents held {several(last, 'memory', 'memories')}{each}, {trend}."
        + most * bool(fallen),
        [_area(run, "memories", 0)],
        layout(y={"tickformat": ",~s"}),
        time_rows(run.time_us, {"memories": kept}),
        unit="memories",
        wide=True,
        height=270,
    )


def _flows(run: RunDirectory) -> Chart:
    begins, of, length = periods(run.time_us)
    n, name = begins.size, period_name(length)
    lost = {why: per_period(column, of, n) for why, column in losses(run).items()}
    if len(lost) > N_LINES - 1:
        rest = list(lost)[N_LINES - 2 :]
        lost["for other reasons"] = np.sum([lost.pop(why) for why in rest], axis=0)
    at = [text[: 16 if length == HOUR_US else 10] for text in stamps(begins)]
    data, legend, columns = [], [], {}
    if "formed" in run:
        columns["formed"] = per_period(run["formed"], of, n)
        data.append(bars(at, columns["formed"], "formed", 0))
        legend.append(Key("formed", line_tone(0), "bar"))
    for place, (why, sums) in enumerate(lost.items(), 1):
        label = REASONS.get(why, why.replace("_", " "))
        told: dict[str, Any] = {"customdata": rounded(sums), "hovertemplate": "%{customdata:,}"}
        data.append(bars(at, -sums, label, place, **told))
        legend.append(Key(label, line_tone(place), "bar", pattern(place)))
        columns[label] = sums
    rows = [[text, *map(int, values)] for text, *values in zip(at, *columns.values(), strict=True)]
    return Chart(
        "flows",
        f"Formed and gone, {name} by {name}",
        _flow(columns),
        data,
        layout(
            y={**_both_ways(columns), "zeroline": True, "zerolinecolor": tone("muted")},
            barmode="relative",
            bargap=0.25,
        ),
        Rows([name, *columns], rows),
        unit=f"memories a {name}; what goes is below the line",
        legend=legend,
        wide=True,
        height=300,
    )


def counted(values: Floats) -> dict[str, Any]:
    """The axis of a count: whole numbers, thousands as k."""
    if np.nanmax(values) < 5:
        return {"tickformat": ",d", "dtick": 1}
    return {"tickformat": ",~s"}


def _both_ways(columns: dict[str, Floats]) -> dict[str, Any]:
    """Ticks of an axis that counts up and down from zero: what goes is no negative number."""
    up = float(np.max(columns.get("formed", np.zeros(1))))
    down = float(np.max(sum((v for k, v in columns.items() if k != "formed"), np.zeros(1))))
    rough = max(up + down, 1) / 5
    size = 10 ** np.floor(np.log10(rough))
    step = float(size * next(part for part in (1, 2, 5, 10) if size * part >= rough))
    ticks = step * np.arange(-np.floor(down / step), np.floor(up / step) + 1)
    texts = [
        count(at) if step < 1000 or not at else f"{at / 1000:g}k" for at in np.abs(ticks).tolist()
    ]
    return {"tickvals": ticks.tolist(), "ticktext": texts}


def _flow(columns: dict[str, Floats]) -> str:
    """What was formed and what went, in a sentence."""
    totals = {label: float(sums.sum()) for label, sums in columns.items()}
    formed = totals.pop("formed", 0.0)
    gone = sum(totals.values())
    if not gone:
        return f"{several(formed, 'memory', 'memories')} formed, and none is gone yet."
    parts = [f"{share(part / gone)} {label}" for label, part in totals.items()]
    begin = f"Of 100 memories formed {100 * gone / formed:.0f} are gone" if formed else (
        f"{several(gone, 'memory', 'memories')} are gone")  # fmt: skip
    only = next(iter(totals))
    told = listed([*parts[:MOST_TOLD], *["others"] * (len(parts) > MOST_TOLD)])
    return f"{begin}: {told}." if len(parts) > 1 else f"{begin}, {only}."


def _grown(run: RunDirectory, name: str, title: str) -> Chart:
    values = run[name]
    first, last = float(values[np.isfinite(values)][0]), run.last(name)
    noun = {"knowledge": "pieces of knowledge"}.get(name, name)
    if first == last:
        finding = f"{count(last)} {noun} at the beginning, and as many at the end."
    else:
        finding = f"From {count(first)} {noun} after the first step to {count(last)} at the end."
    if name == "ties" and "density" in run:
        finding += f" {capital(share(run.last('density')))} of all pairs are acquainted."
    if name == "ties" and "contacts" in run:
        a_day = float(np.nansum(run["contacts"])) / (run.lived_us / DAY_US)
        finding += f" There were {count(a_day)} contacts a day."
    return Chart(
        name, title, finding, [_area(run, name, 0)], layout(y=counted(values)),
        time_rows(run.time_us, {name: values}), unit=noun, height=200,
    )  # fmt: skip


def _strengths(run: RunDirectory) -> Chart | Omission:
    data, legend, columns, told = [], [], {}, []
    at = stamps(thinned(run.time_us))
    for place, (name, label) in enumerate(
        (("memory_strength", "memories"), ("tie_strength", "ties"))
    ):
        if name not in run:
            continue
        values = run[name]
        if label in run:  # none has no strength
            values = np.where(run[label] > 0, values, np.nan)
        if np.isnan(values).all():
            continue
        data.append(line(at, thinned(values), label, place))
        legend.append(Key(label, line_tone(place), "line", dash(place)))
        columns[label] = values
        one = "memory" if place == 0 else "tie"
        told.append(f"a {one} is {decimal(last_of(values), 2)}")
    if not told:
        return Omission("Mean strengths", "this run has none")
    return Chart(
        "strengths",
        "Mean strengths",
        f"On average {' and '.join(told)} strong at the end.",
        data,
        layout(y={"tickformat": ".2~f"}),
        time_rows(run.time_us, columns),
        unit="mean strength, from 0 to 1",
        legend=legend,
        height=200,
    )
