"""Rumours: the share of agents that know each, and the S-curve that it follows."""

from __future__ import annotations

from math import log

import numpy as np

from .logistic import Logistic, fit_logistic
from .palette import N_LINES, line_tone, tone
from .parts import (
    Chart,
    Key,
    Listing,
    Omission,
    Rows,
    Section,
    dash,
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


def spreading(run: RunDirectory) -> Section:
    """The section."""
    section = Section("rumours", "Rumours")
    known = run.family("knows")
    known = {name: column for name, column in known.items() if np.isfinite(column).any()}
    if not known:
        section.parts.append(Omission("Rumours", "none was followed in this run"))
        return section
    widest = sorted(known, key=lambda name: -float(np.nanmax(known[name])))[:N_LINES]
    shown = [name for name in known if name in widest]
    days = (run.time_us - run.begin_us) / DAY_US
    at, data, legend, columns, rows, said = stamps(thinned(run.time_us)), [], [], {}, [], []
    for place, name in enumerate(shown):
        column, text = known[name], run.label(f"knows__{name}")
        label = f"“{shortened(text)}”"
        fit = fit_logistic(days, column)
        data.append(line(at, thinned(column), shortened(text, 40), place,
                         hovertemplate="%{y:.1%}"))  # fmt: skip
        legend.append(Key(label, line_tone(place), "line", dash(place)))
        columns[shortened(text)] = column
        if fit is not None and fit.explained >= WELL:
            data.append(
                {
                    "type": "scatter", "mode": "lines", "x": at, "hoverinfo": "skip",
                    "y": rounded(thinned(fit.at(days))), "name": "fit",
                    "line": {"color": tone(line_tone(place)), "width": 6}, "opacity": 0.22,
                }
            )  # fmt: skip
        rows.append(_row(text, float(column[-1]), fit))
        said.append((float(np.nanmax(column)), label, fit, float(column[-1])))
    if any(trace["name"] == "fit" for trace in data):
        legend.append(Key("the broad band: the logistic curve that fits it", "line5", "band"))
    left = len(known) - len(shown)
    section.parts.append(
        Chart(
            "rumours",
            "Who has heard",
            _finding(max(said, key=lambda one: one[0])[1:], float(days[-1])),
            data,
            layout(y={"tickformat": ".2~p", "range": [0, None]}),
            time_rows(run.time_us, columns),
            unit="share of agents that know it",
            note=f"{left} more, known to fewer, are left out." if left else "",
            legend=legend,
            height=320,
            wide=True,
        )
    )
    section.parts.append(
        Listing(
            "The curves in numbers",
            "Each follows a / (1 + exp(−r (t − t0))), where it has spread at all.",
            Rows(
                ["rumour", "know it at the end", "reach a", "rate r, per day", "half way t0, days",
                 "variance explained"],
                rows,
            ),
            note="a: the share that it would come to. r: how fast it grows at first. t0: when half "
            "of those who will know it do. Of a curve that has not passed its middle a and t0 are "
            "guesses.",
            wide=True,
        )
    )  # fmt: skip
    return section


def _row(text: str, last: float, fit: Logistic | None) -> list[str]:
    ended = [shortened(text, 80), share(last)]
    if fit is None:
        return [*ended, *["–"] * 4]
    return [*ended, share(fit.reach), decimal(fit.rate), decimal(fit.middle), share(fit.explained)]


def _finding(widest: tuple[str, Logistic | None, float], lived: float) -> str:
    label, fit, last = widest
    told = f"{label} had come to {share(last)} of all agents"
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
