"""Rumours: the share of agents that know each, and the S-curve that it follows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from .logistic import Logistic, fit_logistic
from .palette import N_LINES, line_tone, tone
from .parts import (
    Chart,
    Floats,
    Key,
    Listing,
    Omission,
    Rows,
    Section,
    dash,
    last_of,
    layout,
    line,
    rounded,
    shortened,
    stamps,
    thinned,
    time_rows,
)
from .rundirectory import RunDirectory
from .wording import DAY_US, decimal, share, span

WELL = 0.8
"""A curve that explains less of the variance is not spoken of."""


@dataclass(frozen=True, slots=True)
class Rumour:
    """A rumour that is shown. share: of the agents that know it, (n,). fit: its curve, if any."""

    text: str
    share: Floats
    fit: Logistic | None

    @property
    def label(self) -> str:
        """The rumour as it stands in legends and sentences."""
        return f"“{shortened(self.text)}”"


def spreading(run: RunDirectory) -> Section:
    """The section."""
    section = Section("rumours", "Rumours")
    known = run.family("knows")
    if not known:
        section.parts.append(Omission("Rumours", "none was followed in this run"))
        return section
    widest = sorted(known, key=lambda name: -float(np.nanmax(known[name])))[:N_LINES]
    days = (run.time_us - run.begin_us) / DAY_US
    shown = [
        Rumour(run.label(f"knows__{name}"), column, fit_logistic(days, column))
        for name, column in known.items()
        if name in widest
    ]
    section.parts.append(_chart(run, days, shown, len(known) - len(shown)))
    section.parts.append(_listing(shown))
    return section


def _chart(run: RunDirectory, days: Floats, shown: list[Rumour], n_left: int) -> Chart:
    at = stamps(thinned(run.time_us))
    data, legend = [], []
    columns: dict[str, Floats] = {}
    for place, rumour in enumerate(shown):
        data += _traces(at, days, place, rumour)
        legend.append(Key(rumour.label, line_tone(place), "line", dash(place)))
        heading = shortened(rumour.text)
        columns[heading if heading not in columns else f"{heading} ({place + 1})"] = rumour.share
    if len(data) > len(shown):
        legend.append(Key("the broad band: the logistic curve that fits it", "line5", "band"))
    best = max(shown, key=lambda rumour: float(np.nanmax(rumour.share)))
    return Chart(
        "rumours",
        "Who has heard",
        _finding(best, float(days[-1])),
        data,
        layout(y={"tickformat": ".2~p", "range": [0, None]}),
        time_rows(run.time_us, columns),
        unit="share of agents that know it",
        note=f"{n_left} more, known to fewer, are left out." if n_left else "",
        legend=legend,
        height=320,
        wide=True,
    )


def _traces(at: list[str], days: Floats, place: int, rumour: Rumour) -> list[dict[str, Any]]:
    """The line of a rumour, and the band of its curve where that fits well."""
    drawn = line(
        at, thinned(rumour.share), shortened(rumour.text, 40), place, hovertemplate="%{y:.1%}"
    )
    if rumour.fit is None or rumour.fit.explained < WELL:
        return [drawn]
    band = {
        "type": "scatter", "mode": "lines", "x": at, "hoverinfo": "skip",
        "y": rounded(thinned(rumour.fit.at(days))), "name": "fit",
        "line": {"color": tone(line_tone(place)), "width": 6}, "opacity": 0.22,
    }  # fmt: skip
    return [drawn, band]


def _listing(shown: list[Rumour]) -> Listing:
    return Listing(
        "The curves in numbers",
        "Each follows a / (1 + exp(−r (t − t0))), where it has spread at all.",
        Rows(
            ["rumour", "know it at the end", "reach a", "rate r, per day", "half way t0, days",
             "variance explained"],
            [_row(rumour) for rumour in shown],
        ),
        note="a: the share that it would come to. r: how fast it grows at first. t0: when half "
        "of those who will know it do. Of a curve that has not passed its middle a and t0 are "
        "guesses.",
        wide=True,
    )  # fmt: skip


def _row(rumour: Rumour) -> list[str]:
    ended, fit = [shortened(rumour.text, 80), share(last_of(rumour.share))], rumour.fit
    if fit is None:
        return [*ended, *["–"] * 4]
    return [*ended, share(fit.reach), decimal(fit.rate), decimal(fit.middle), share(fit.explained)]


def _finding(widest: Rumour, lived: float) -> str:
    fit = widest.fit
    told = f"{widest.label} had come to {share(last_of(widest.share))} of all agents"
    if fit is None:
        return f"{told}; it did not spread."
    if fit.explained < WELL:
        return f"{told}, though not along an S-curve."
    doubling = span(log(2) / fit.rate * DAY_US)
    begin = f"{told}. Those who knew doubled every {doubling} at first"
    when = span(abs(fit.middle) * DAY_US)
    if fit.middle > lived:
        return f"{begin}; the curve has its steepest part ahead, after {when}."
    if fit.middle <= 0:
        return f"{begin}; half of its reach of {share(fit.reach)} was there from the start."
    return f"{begin}; half of its reach of {share(fit.reach)} was there after {when}."
