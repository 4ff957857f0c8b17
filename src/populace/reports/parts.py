"""What a report is made of: charts, each with what it says and its numbers; tables; omissions.

A chart is a plain dict as plotly takes it, so that subjects are tested without plotly; colours are
tones of `palette.py`. Text of others goes through `plain` where plotly reads markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .palette import DASHES, PATTERNS, line_tone, tone

MOST_POINTS = 1000
MOST_ROWS = 60
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


@dataclass(frozen=True, slots=True)
class Key:
    """A line of a legend. mark: line, band, bar or point; form: its dash, pattern or symbol."""

    label: str
    tone: str
    mark: str = "line"
    form: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: names of columns, and rows of texts and numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure. finding: what it shows, in a sentence. unit: of what is drawn. rows: its numbers.
    wide: over the whole page."""

    key: str
    title: str
    finding: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    rows: Rows
    unit: str = ""
    note: str = ""
    legend: Sequence[Key] = ()
    height: int = 250
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A table that is shown as such."""

    title: str
    finding: str
    rows: Rows
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Text as it was written: a command, a file. folded: shown when opened."""

    title: str
    text: str
    folded: bool = True


@dataclass(frozen=True, slots=True)
class Omission:
    """What this run has no data for, and why."""

    what: str
    why: str


Part = Chart | Listing | Source | Omission


@dataclass(frozen=True, slots=True)
class Section:
    """A subject. about: a sentence or two below its title."""

    key: str
    title: str
    parts: list[Part] = field(default_factory=list)
    about: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """A number of the first page. trace: how it came about, for a small line."""

    label: str
    value: str
    detail: str = ""
    trace: Floats | None = None


def plain(text: object) -> str:
    """Text for where plotly reads markup: shown as it is."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("%{", "% {")


def shortened(text: str, most: int = 60) -> str:
    """Text of a bounded length."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def last_of(values: Floats) -> float:
    """The last value that is finite; NaN where none is."""
    there = np.flatnonzero(np.isfinite(values))
    return float(values[there[-1]]) if there.size else float("nan")


def rounded(values: npt.ArrayLike, digits: int = 5) -> list[float | None]:
    """Numbers to so many significant digits; None for what is not finite."""
    return [
        float(f"{value:.{digits}g}") if np.isfinite(value) else None
        for value in np.asarray(values, np.float64).tolist()
    ]


def stamps(time_us: Ints) -> list[str]:
    """Simulated times as plotly reads them, to the minute."""
    return [str(each) for each in time_us.astype("datetime64[us]").astype("datetime64[m]")]


def thinned(values: npt.NDArray[Any], most: int = MOST_POINTS) -> npt.NDArray[Any]:
    """At most so many values: the means of blocks, of times the last of each; NaN are left out."""
    size = -(-values.size // most)
    if size <= 1:
        return values
    if values.dtype.kind == "i":
        return values[np.minimum(np.arange(size - 1, values.size + size - 1, size),
                                 values.size - 1)]  # fmt: skip
    padded = np.full(-(-values.size // size) * size, np.nan)
    padded[: values.size] = values
    blocks = padded.reshape(-1, size)
    there = ~np.isnan(blocks)
    n = there.sum(axis=1)
    means: Floats = np.where(there, blocks, 0).sum(axis=1) / np.where(n > 0, n, np.nan)
    return means


def dash(place: int) -> str:
    """The dash of the line in some place."""
    return DASHES[place % len(DASHES)]


def pattern(place: int) -> str:
    """The pattern of the bars in some place."""
    return PATTERNS[place % len(PATTERNS)]


def line(x: Sequence[Any], y: npt.ArrayLike, name: str, place: int, **more: Any) -> dict[str, Any]:
    """A line; its place gives colour and dash."""
    style = {"color": tone(line_tone(place)), "width": 2, "dash": dash(place)}
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": rounded(y), "name": plain(name),
        "line": {**style, **more.pop("line", {})}, **more,
    }  # fmt: skip


def bars(
    x: Sequence[Any], y: npt.ArrayLike, name: str, place: int, form: int | None = None, **more: Any
) -> dict[str, Any]:
    """Bars; their place gives colour and, unless form is given, pattern."""
    colour = tone(line_tone(place))
    shape = pattern(place if form is None else form)
    marker: dict[str, Any] = {"color": colour, "line": {"width": 0}}
    if shape:
        marker["pattern"] = {
            "shape": shape, "fillmode": "overlay", "size": 6, "solidity": 0.25,
            "fgcolor": tone("paper"),
        }  # fmt: skip
    return {"type": "bar", "x": x, "y": rounded(y), "name": plain(name), "marker": marker, **more}


def layout(
    x: Mapping[str, Any] | None = None, y: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The look of a chart: no frame, few lines, room for what is drawn."""
    axis = {
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "tickfont": {"color": tone("muted"), "size": 12},
        "title": {"font": {"color": tone("muted"), "size": 12}, "standoff": 8},
    }
    dates = [
        {"dtickrange": [None, 86_400_000 - 1], "value": "%H:%M\n%-d %b %Y"},
        {"dtickrange": [86_400_000, "M1"], "value": "%-d %b\n%Y"},
        {"dtickrange": ["M1", None], "value": "%b\n%Y"},
    ]
    across = {
        **axis,
        "showgrid": False,
        "showline": True,
        "linecolor": tone("rule"),
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": tone("rule"),
        "nticks": 7,
    }
    if x is None:
        across |= {"tickangle": 0, "tickformatstops": dates, "hoverformat": "%-d %b %Y, %H:%M"}
    upward = {
        **axis,
        "gridcolor": tone("rule"),
        "gridwidth": 1,
        "showline": False,
        "nticks": 5,
        "rangemode": "tozero",
        "ticks": "",
        "ticklabelstandoff": 6,
    }
    return {
        "font": {"family": FONT, "size": 12, "color": tone("soft")},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 40, "r": 12, "t": 8, "b": 32},
        "showlegend": False,
        "hovermode": "x unified",
        "dragmode": False,
        "hoverlabel": {
            "bgcolor": tone("raised"), "bordercolor": tone("rule"), "align": "left",
            "font": {"color": tone("ink"), "size": 12, "family": FONT},
        },
        "xaxis": _merged(across, x or {}),
        "yaxis": _merged(upward, y or {}),
        **more,
    }  # fmt: skip


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for name, value in over.items():
        if isinstance(value, Mapping) and isinstance(made.get(name), Mapping):
            made[name] = _merged(made[name], value)
        else:
            made[name] = value
    return made


def time_rows(time_us: Ints, columns: Mapping[str, Floats], most: int = MOST_ROWS) -> Rows:
    """Lines over time as a table, thinned to what can be read."""
    size = -(-time_us.size // most)
    at = stamps(thinned(time_us, most))
    parts = [rounded(thinned(column, most), 4) for column in columns.values()]
    about = f"Means of {size} steps each." if size > 1 else ""
    rows = [list(row) for row in zip((a.replace("T", " ") for a in at), *parts, strict=True)]
    return Rows(["time", *columns], rows, about)
