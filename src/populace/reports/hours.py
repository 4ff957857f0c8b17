"""The day: mood by the hour, and who does what when."""

from __future__ import annotations

import numpy as np

from .palette import heat_scale, line_tone, tone
from .parts import (
    Chart,
    Floats,
    Ints,
    Key,
    Omission,
    Rows,
    Section,
    layout,
    line,
    plain,
    rounded,
)
from .rundirectory import RunDirectory
from .wording import DAY_US, HOUR_US, capital, decimal, share

AXES = ("pleasure", "arousal", "dominance")
HOURS = np.arange(24)
NOON = 12
THURSDAY = 3
"""1970-01-01 was one; Monday is 0."""


def hours_of(time_us: Ints) -> tuple[Ints, Ints]:
    """The hour of the day of each moment, and whether its day is on a weekend (0 or 1).

    Midnight belongs to the day that ends: who feels what then has lived that day.
    """
    hour = time_us // HOUR_US % 24
    weekday = ((time_us - 1) // DAY_US + THURSDAY) % 7
    return hour.astype(np.int64), (weekday >= 5).astype(np.int64)


def by_hour(values: Floats, hour: Ints, chosen: Floats | None = None) -> Floats:
    """Means by hour of the day, (24,); NaN for hours without a value."""
    there = np.isfinite(values) if chosen is None else np.isfinite(values) & (chosen > 0)
    n = np.bincount(hour[there], minlength=24)
    sums = np.bincount(hour[there], values[there], 24)
    means: Floats = sums / np.where(n > 0, n, np.nan)
    return means


def hours(run: RunDirectory) -> Section:
    """The section."""
    section = Section("hours", "The day")
    states = {name: column for name, column in run.family("state").items()
              if np.nansum(column) > 0}  # fmt: skip
    if states:
        section.parts.append(_activity(run, states))
    else:
        section.parts.append(Omission("Activity", "agents have no states of the day in this run"))
    felt = {kind: run.family(kind) for kind in ("mood", "emotion")}
    told = [kind for kind, held in felt.items()
            if all(axis in held and np.isfinite(held[axis]).any() for axis in AXES)]  # fmt: skip
    for kind, held in felt.items():
        if kind in told:
            section.parts.append(_feeling(run, kind, held, wide=len(told) == 1))
        else:
            section.parts.append(Omission(f"{capital(kind)} over the day", "it was not measured"))
    return section


def _activity(run: RunDirectory, states: dict[str, Floats]) -> Chart:
    hour, _ = hours_of(run.time_us)
    total = np.nansum(list(states.values()), axis=0)
    total[total == 0] = np.nan
    of_all = {name: by_hour(column / total, hour) for name, column in states.items()}
    names = [name.replace("_", " ") for name in of_all]
    grid = np.array(list(of_all.values()))
    busiest, at = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
    finding = f"At {at}:00 {share(float(grid[busiest, at]))} are {_doing(names[busiest])}"
    noon = grid[:, NOON]
    if np.isfinite(noon).any():  # a short run may not have one
        most = int(np.nanargmax(noon))
        finding += f"; at noon {share(float(noon[most]))} are {_doing(names[most])}"
        finding += ", more than do anything else"
    finding += "."
    labels = [f"{h:02d}" for h in HOURS]
    return Chart(
        "activity",
        "Who does what when",
        finding,
        [
            {
                "type": "heatmap", "x": labels, "y": [plain(name) for name in names],
                "z": [rounded(row, 3) for row in grid], "zmin": 0, "zmax": 1,
                "colorscale": heat_scale(), "xgap": 2, "ygap": 2,
                "hovertemplate": "%{x}:00, %{y}: %{z:.0%}<extra></extra>",
                "colorbar": {
                    "thickness": 8, "outlinewidth": 0, "tickformat": ".0%", "len": 0.9, "xpad": 6,
                    "tickfont": {"color": tone("muted"), "size": 11}, "nticks": 3,
                },
            }
        ],
        layout(
            x={"title": {"text": "hour of the day"}, "showline": False, "ticks": "", "type":
               "category", "tickvals": labels[::3], "tickangle": 0},
            y={"autorange": "reversed", "showgrid": False, "type": "category", "nticks": 0,
               "dtick": 1},
            hovermode="closest",
        ),
        Rows(["hour", *names], [[h, *rounded(grid[:, k], 3)] for k, h in enumerate(labels)]),
        unit="share of agents, mean over all days",
        height=90 + 34 * len(names),
        wide=True,
    )  # fmt: skip


def _doing(state: str) -> str:
    return f"at {state}" if state in {"lunch", "home", "leisure", "work"} else state


def _feeling(run: RunDirectory, kind: str, held: dict[str, Floats], wide: bool) -> Chart:
    hour, weekend = hours_of(run.time_us)
    labels = [f"{h:02d}:00" for h in HOURS]
    data, legend, columns = [], [], {}
    for place, axis in enumerate(AXES):
        for free, name in ((0, "weekdays"), (1, "weekend")):
            means = by_hour(held[axis], hour, (weekend == free).astype(np.float64))
            if not np.isfinite(means).any():
                continue
            style = "solid" if not free else "2px,3px"
            data.append(
                line(labels, means, f"{axis}, {name}", place, line={"dash": style},
                     mode="lines+markers" if free else "lines",
                     marker={"size": 5, "symbol": ("circle", "square", "diamond")[place]},
                     hovertemplate="%{y:.3f}")
            )  # fmt: skip
            columns[f"{axis}, {name}"] = means
        legend.append(Key(axis, line_tone(place), "line", "solid"))
    if any("weekend" in name for name in columns) and any("weekdays" in name for name in columns):
        legend.append(Key("weekend", "soft", "line", "2px,3px"))
    pleasure = by_hour(held["pleasure"], hour)
    best, worst = int(np.nanargmax(pleasure)), int(np.nanargmin(pleasure))
    swing = float(pleasure[best] - pleasure[worst])
    finding = (
        f"Agents are most pleased at {best}:00 and least at {worst}:00; between the two lie "
        f"{decimal(swing, 2)} of a scale from −1 to 1."
        if swing > 0.002
        else f"The time of day hardly moves it: pleasure stays at "
        f"{decimal(float(np.nanmean(pleasure)), 2)}."
    )
    return Chart(
        kind,
        f"{capital(kind)} over the day",
        finding,
        data,
        layout(
            x={"type": "category", "tickvals": labels[::6], "tickangle": 0},
            y={"rangemode": "normal", "zeroline": True, "zerolinecolor": tone("muted")},
        ),
        Rows(["hour", *columns], [[h, *(rounded(c, 3)[k] for c in columns.values())]
                                  for k, h in enumerate(labels)]),
        unit=f"mean {kind}, from −1 to 1",
        legend=legend,
        height=260,
        wide=wide,
    )  # fmt: skip
