"""A report as one HTML file.

Invariants: the file asks nothing of a network, and a content security policy forbids it to: only
the scripts in it run, named by their hashes. Text of others is escaped. Without scripts it still
reads: findings and tables are HTML; scripts draw the charts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from .palette import TONES, style_variables
from .parts import (
    Chart,
    Floats,
    Headline,
    Key,
    Listing,
    Omission,
    Part,
    Rows,
    Section,
    Source,
    thinned,
)

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'; script-src {}"
)
SPARK_POINTS = 60
SHORT = 18
NUMBER = re.compile(r"-?[\d,]*\.?\d+(e-?\d+)?(\u202f%)?|–|under 1\u202f%")
STROKES = {
    "/": "M2 11 9 1M8 11 15 1M14 11 18 5",
    "\\": "M2 1 9 11M8 1 15 11M14 1 18 7",
    "x": "M2 11 9 1M8 11 15 1M2 1 9 11M8 1 15 11",
    "-": "M0 4H18M0 8H18",
    ".": "M3 4h1.6M8 4h1.6M13 4h1.6M5.5 8h1.6M10.5 8h1.6",
}
POINTS = {
    "circle": '<circle cx="9" cy="6" r="4.5"/>',
    "square": '<rect x="5" y="2" width="8" height="8"/>',
    "diamond": '<path d="M9 1 14 6 9 11 4 6Z"/>',
    "triangle-up": '<path d="M9 1 14 10.5H4Z"/>',
    "cross": '<path d="M7.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z"/>',
    "star": '<path d="M9 1 10.5 4.4 14 4.7 11.4 7 12 11 9 9 6 11 6.6 7 4 4.7 7.5 4.4Z"/>',
    "hexagon": '<path d="M9 1 13.5 3.5V8.5L9 11 4.5 8.5V3.5Z"/>',
    "x": '<path d="M6 1 9 4 12 1 14 3 11 6 14 9 12 11 9 8 6 11 4 9 7 6 4 3Z"/>',
}  # fmt: skip


def page(
    title: str,
    about: str,
    lead: str,
    notices: Sequence[str],
    headlines: Sequence[Headline],
    sections: Sequence[Section],
    charts: str,
    plotly: str,
    foot: str,
) -> str:
    """The whole file. charts: the JSON of all figures, by key. plotly: plotly.min.js."""
    program = files(__package__).joinpath("report.js").read_text()
    colours = json.dumps(dict(TONES.values()))
    program = program.replace("__TONES__", colours)
    policy = POLICY.format(" ".join(_hash(script) for script in (plotly, program)))
    links = "".join(
        f'<li><a href="#{section.key}">{escape(section.title)}</a></li>' for section in sections
    )
    told = "".join(f'<p class="notice" role="note">{escape(text)}</p>' for text in notices)
    return (
        f"{head(title, policy)}<body>\n"
        '<a class="skip" href="#main">Skip to the report</a>\n'
        '<button id="theme" type="button" aria-label="Switch between light and dark">'
        '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7.25"/>'
        '<path d="M10 2.75a7.25 7.25 0 0 1 0 14.5Z"/></svg></button>\n'
        f'<nav aria-label="Sections"><ol>{links}</ol></nav>\n'
        f'<main id="main">\n<header>\n<p class="kicker">Populace · report of a run</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="about">{escape(about)}</p>\n{told}'
        f'<p class="lead">{escape(lead)}</p>\n{_headlines(headlines)}</header>\n'
        f"{''.join(map(_section, sections))}"
        f"<footer><p>{escape(foot)}</p></footer>\n</main>\n"
        f'<script type="application/json" id="charts">{charts}</script>\n'
        f"<script>{plotly}</script>\n<script>{program}</script>\n</body>\n</html>\n"
    )


def head(title: str, policy: str, style: str = "") -> str:
    """A file up to its body. policy: of content security. style: CSS beyond that of all pages."""
    css = files(__package__).joinpath("report.css").read_text()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)} – Populace</title>\n"
        f"<style>:root{{{style_variables()}}}\n{css}{style}</style>\n</head>\n"
    )


def in_script(text: str) -> str:
    """JSON that may stand in a script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _headlines(headlines: Sequence[Headline]) -> str:
    tiles = "".join(
        f"<div><dt>{escape(one.label)}</dt><dd><strong>{escape(one.value)}</strong>"
        f"{_spark(one.trace)}<span>{escape(one.detail)}</span></dd></div>"
        for one in headlines
    )
    return f'<dl class="headlines">{tiles}</dl>\n'


def _spark(trace: Floats | None) -> str:
    """A small line without axes."""
    if trace is None:
        return ""
    values = thinned(trace[np.isfinite(trace)], SPARK_POINTS)
    if values.size < 3 or np.ptp(values) == 0:
        return ""
    x = np.linspace(1, 99, values.size)
    y = 23 - 21 * (values - values.min()) / np.ptp(values)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return (
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}"/></svg>'
    )


def _section(section: Section) -> str:
    shown = [part for part in section.parts if not isinstance(part, Omission)]
    missing = [part for part in section.parts if isinstance(part, Omission)]
    about = f'<p class="about">{escape(section.about)}</p>' if section.about else ""
    left_out = "".join(f"<li><b>{escape(one.what)}</b>: {escape(one.why)}.</li>" for one in missing)
    return (
        f'<section id="{section.key}" aria-labelledby="{section.key}-title">\n'
        f'<h2 id="{section.key}-title">{escape(section.title)}</h2>\n{about}'
        f'<div class="parts">{"".join(map(_part, shown))}</div>\n'
        + (f'<ul class="omissions">{left_out}</ul>\n' if missing else "")
        + "</section>\n"
    )


def _part(part: Part) -> str:
    if isinstance(part, Chart):
        return _chart(part)
    if isinstance(part, Listing):
        return (
            f'<div class="part listing{" wide" * part.wide}"><h3>{escape(part.title)}</h3>'
            f'<p class="finding">{escape(part.finding)}</p>{_table(part.rows)}'
            f"{_note(part.note)}</div>\n"
        )
    assert isinstance(part, Source)
    text = f'<pre tabindex="0"><code>{escape(part.text)}</code></pre>'
    if part.folded:
        text = f"<details><summary>{escape(part.title)}</summary>{text}</details>"
    else:
        text = f"<h3>{escape(part.title)}</h3>{text}"
    return f'<div class="part source wide">{text}</div>\n'


def _chart(chart: Chart) -> str:
    keys = "".join(f"<li>{_swatch(key)}{escape(key.label)}</li>" for key in chart.legend)
    legend = f'<ul class="legend" aria-label="Legend">{keys}</ul>' if keys else ""
    unit = f'<p class="unit">{escape(chart.unit)}</p>' if chart.unit else ""
    label = f"Chart: {chart.title}. {chart.finding}"
    return (
        f'<figure class="part{" wide" * chart.wide}" aria-labelledby="{chart.key}-title">'
        f'<h3 id="{chart.key}-title">{escape(chart.title)}</h3>'
        f'<p class="finding">{escape(chart.finding)}</p>{unit}{legend}'
        f'<div class="chart" id="chart-{chart.key}" data-chart="{chart.key}" role="img" '
        f'aria-label="{escape(label)}" style="height:{chart.height}px"></div>'
        f"<figcaption>{_note(chart.note)}<details><summary>Numbers"
        f'<span class="hidden"> of: {escape(chart.title)}</span></summary>'
        f"{_table(chart.rows)}</details></figcaption></figure>\n"
    )


def _note(note: str) -> str:
    return f'<p class="note">{escape(note)}</p>' if note else ""


def _swatch(key: Key) -> str:
    """What a line, bar or point looks like."""
    inside = POINTS.get(key.form, POINTS["circle"])
    if key.mark == "line":
        dashes = "" if key.form in ("", "solid") else key.form.replace("px", "")
        dotted = f' stroke-dasharray="{dashes}"' if dashes else ""
        inside = f'<path class="stroke" d="M0 6H26"{dotted}/>'
    elif key.mark == "band":
        inside = '<path class="band" d="M0 6H26"/>'
    elif key.mark == "bar":
        inside = '<rect width="18" height="12" rx="1"/>'
        if key.form in STROKES:
            inside += f'<path class="hatch" d="{STROKES[key.form]}"/>'
    width = 26 if key.mark in ("line", "band") else 18
    return (
        f'<svg width="{width}" height="12" viewBox="0 0 {width} 12" aria-hidden="true" '
        f'style="color:var(--{key.tone})">{inside}</svg>'
    )


def _table(rows: Rows) -> str:
    numeric = [
        all(NUMBER.fullmatch(_cell(row[k])) for row in rows.rows) for k in range(len(rows.columns))
    ]
    short = [all(len(_cell(row[k])) <= SHORT for row in rows.rows) for k in range(len(numeric))]
    kinds = [
        " class=number" * number or " class=short" * brief
        for number, brief in zip(numeric, short, strict=True)
    ]
    heading = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>'
        for name, kind in zip(rows.columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{escape(_cell(value))}</td>" for value, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows.rows
    )
    about = f'<p class="note">{escape(rows.about)}</p>' if rows.about else ""
    return (
        f'{about}<div class="table" tabindex="0"><table><thead><tr>{heading}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:g}"
    return str(value)
