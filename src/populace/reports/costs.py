"""What the run cost: time by system, milliseconds a tick, pauses, memory of the process."""

from __future__ import annotations

from typing import Any

import numpy as np

from .palette import line_tone, tone
from .parts import (
    Chart,
    Floats,
    Key,
    Omission,
    Rows,
    Section,
    bars,
    layout,
    line,
    rounded,
    stamps,
    thinned,
    time_rows,
)
from .rundirectory import RunDirectory
from .wording import DAY_US, bytes_of, decimal, listed, share, span

MOST_SYSTEMS = 12


def costs(run: RunDirectory) -> Section:
    """The section."""
    section = Section("costs", "What it cost")
    systems = {name: column for name, column in run.family("ns").items() if np.nansum(column) > 0}
    if "wall_s" in run:
        section.parts.append(_ticks(run))
    else:
        section.parts.append(Omission("Time of each tick", "it was not measured"))
    if systems:
        section.parts.append(_systems(systems))
    else:
        section.parts.append(Omission("Time by system", "it was not measured"))
    if "rss_bytes" in run:
        section.parts.append(_memory(run))
    else:
        section.parts.append(Omission("Memory of the process", "it was not measured"))
    return section


def ticks_a_second(run: RunDirectory) -> float:
    """Ticks a second of wall time; NaN where it was not measured."""
    if "wall_s" not in run:
        return float("nan")
    wall = run["wall_s"]
    total = float(np.nansum(wall))
    return int(np.isfinite(wall).sum()) / total if total > 0 else float("nan")


def _systems(systems: dict[str, Floats]) -> Chart:
    took = {name: float(np.nansum(column)) / 1e9 for name, column in systems.items()}
    total = sum(took.values())
    ordered = sorted(took, key=lambda name: -took[name])
    shown = ordered[:MOST_SYSTEMS]
    labels, seconds = list(shown), [took[name] for name in shown]
    if len(ordered) > MOST_SYSTEMS:
        labels.append(f"{len(ordered) - MOST_SYSTEMS} others")
        seconds.append(sum(took[name] for name in ordered[MOST_SYSTEMS:]))
    parts = [each / total for each in seconds]
    half, so_far = 0, 0.0
    while so_far < 0.5:
        so_far += parts[half]
        half += 1
    one = "One system takes" if half == 1 else f"{half} systems take"
    finding = f"{one} {share(so_far)} of the time: {listed(shown[:half])}."
    trace = bars([], [], "share of time", 0, orientation="h")
    trace |= {
        "x": rounded(parts, 4), "y": labels,
        "text": [f" {share(part)}" for part in parts], "textposition": "outside",
        "textfont": {"color": tone("muted"), "size": 11}, "cliponaxis": False,
        "customdata": rounded(seconds, 4), "hovertemplate": "%{customdata:.3~s} s<extra></extra>",
    }  # fmt: skip
    return Chart(
        "systems",
        "Time by system",
        finding,
        [trace],
        layout(
            x={"tickformat": ".0%", "visible": False, "showline": False,
               "range": [0, 1.2 * max(parts)]},
            y={"autorange": "reversed", "showgrid": False, "type": "category", "nticks": 0,
               "dtick": 1},
            hovermode="closest", bargap=0.35, margin={"l": 40, "r": 12, "t": 4, "b": 8},
        ),
        Rows(["system", "seconds", "share"],
             [[name, round(took[name], 4), share(took[name] / total)] for name in ordered]),
        unit="share of the time that all systems took",
        height=40 + 24 * len(labels),
    )  # fmt: skip


def _ticks(run: RunDirectory) -> Chart:
    wall = run["wall_s"] * 1e3
    speed = ticks_a_second(run)
    a_day = DAY_US / run.step_us / speed
    at = stamps(thinned(run.time_us))
    data = [line(at, thinned(wall), "tick", 0, line={"width": 1.25})]
    legend = [Key("tick", line_tone(0))]
    columns = {"ms a tick": wall}
    slowest = int(np.nanargmax(wall))
    finding = (
        f"A tick takes {decimal(float(np.nanmedian(wall)), 2)} ms (median), a simulated day "
        f"{span(a_day * 1e6)}; the slowest took {decimal(float(wall[slowest]), 2)} ms."
    )
    if "pause_s" in run and np.nansum(run["pause_s"]) > 0:
        pause = run["pause_s"] * 1e3
        paused = pause > 0
        data.append({
            "type": "scatter", "mode": "markers", "x": stamps(run.time_us[paused]),
            "y": rounded(pause[paused], 4), "name": "pause of a checkpoint",
            "marker": {"color": tone("line1"), "size": 7, "symbol": "diamond"},
        })  # fmt: skip
        legend.append(Key("pause of a checkpoint", line_tone(1), "point", "diamond"))
        columns["pause, ms"] = pause
        longest = decimal(float(np.nanmax(pause)), 2)
        finding += f" For checkpoints it stood still {longest} ms at most."
    scale: dict[str, Any] = {"tickformat": ",~g"}
    spread = float(np.nanmax(wall)) > 30 * max(float(np.nanmedian(wall)), 1e-6)
    if spread:
        scale = {"type": "log", "dtick": 1, "tickformat": "~g"}
    return Chart(
        "ticks",
        "Time of each tick",
        finding,
        data,
        layout(y=scale),
        time_rows(run.time_us, columns),
        unit="milliseconds of wall time" + ", log scale" * spread,
        legend=legend if len(legend) > 1 else (),
        wide=True,
        height=230,
    )


def _memory(run: RunDirectory) -> Chart:
    held = run["rss_bytes"]
    last, most, kept = run.last("rss_bytes"), float(np.nanmax(held)), run.last("memories")
    each = f", {last / kept:,.0f} bytes for each memory that is kept" if kept > 100_000 else ""
    at = stamps(thinned(run.time_us))
    drawn = line(at, thinned(held / 1e6), "memory", 2, line={"dash": "solid"})
    return Chart(
        "process",
        "Memory of the process",
        f"It held {bytes_of(last)} at the end{each}; at most {bytes_of(most)}."
        if bytes_of(last) != bytes_of(most)
        else f"It held {bytes_of(last)} at the end, and never more{each}.",
        [drawn],
        layout(y={"tickformat": ",~g"}),
        time_rows(run.time_us, {"MB": held / 1e6}),
        unit="MB",
        height=220,
    )
