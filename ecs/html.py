"""HTML for notebooks: tables and sections as strings.

    page("3 people", table(["name", "rows"], [["Ann", 3], ["Bo", 1]], more=1))

Invariants: whatever is shown is escaped, of characters that HTML allows, and cut at `LONGEST`; no
row follows the last one that fits but a line that says how many there are. No script, no style
sheet and no colour: those of the page hold, light or dark, and a `$` begins no formula.
Cost: 1 µs a cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

LONGEST = 160
MOST_COLUMNS = 32

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_CELL = "padding: 0.1em 1em 0.1em 0; vertical-align: top; text-align: "
_TEXT = f"{_CELL}left; max-width: 40em; overflow-wrap: break-word"
_NUMBER = f"{_CELL}right"
_FAINT = "opacity: 0.7"


class Figure(str):
    """A number in words: it stands right, as numbers do."""

    __slots__ = ()


def count(n: int) -> Figure:
    """How many there are.

    >>> count(12345)
    '12,345'
    """
    return Figure(f"{n:,}")


def size(nbytes: int) -> Figure:
    """Bytes in words.

    >>> size(12_345_678), size(512)
    ('12.3 MB', '0.5 kB')
    """
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if nbytes >= factor:
            return Figure(f"{nbytes / factor:,.1f} {unit}")
    return Figure(f"{nbytes / 1e3:,.1f} kB")


def moment(us: int) -> str:
    """µs since 1970 as a date and time; as they are where a calendar has no such year.

    >>> moment(86_400_000_000), moment(2**63 - 1)
    ('1970-01-02 00:00:00', '9223372036854775807')
    """
    try:
        return str(datetime(1970, 1, 1) + timedelta(microseconds=us))
    except OverflowError:
        return str(us)


def plain(value: Any, longest: int = LONGEST) -> str:
    """A value as escaped text, cut at so many characters.

    >>> plain("<script>"), plain(1 / 3), plain(None)
    ('&lt;script&gt;', '0.333333', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        text = f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    else:
        text = str(value)
    if len(text) > longest:
        text = f"{text[:longest]}…"
    return escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", text))


def table(
    headings: Sequence[str | tuple[str, str]],
    rows: Iterable[Sequence[Any]],
    more: int = 0,
    longest: int = LONGEST,
) -> str:
    """Rows of cells under headings, each a name or a name and a note. more: how many rows are left
    out. Numbers stand right; columns beyond `MOST_COLUMNS` are counted."""
    left_out = len(headings) - MOST_COLUMNS
    cut = slice(0, MOST_COLUMNS)
    shown = [row[cut] for row in rows]
    right = [
        all(_is_number(row[place]) for row in shown) and bool(shown)
        for place in range(len(headings[cut]))
    ]
    head = "".join(map(_heading, headings[cut], right))
    body = "".join(
        "<tr>" + "".join(_cell(v, r, longest) for v, r in zip(row, right, strict=True)) + "</tr>"
        for row in shown
    )
    notes = [f"… {more:,} more"] if more > 0 else []
    notes += [f"… {left_out:,} more columns"] if left_out > 0 else []
    return (
        f'<div style="overflow-x: auto"><table style="border-collapse: collapse"><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>{note(', '.join(notes))}"
    )


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | Figure) and not isinstance(value, bool)
    return value is None or number


def _heading(heading: str | tuple[str, str], right: bool) -> str:
    name, about = heading if isinstance(heading, tuple) else (heading, "")
    small = f'<br><small style="{_FAINT}; font-weight: normal">{plain(about)}</small>'
    style = _NUMBER if right else _TEXT
    return f'<th scope="col" style="{style}">{plain(name)}{small if about else ""}</th>'


def _cell(value: Any, right: bool, longest: int) -> str:
    return f'<td style="{_NUMBER if right else _TEXT}">{plain(value, longest)}</td>'


def note(text: str) -> str:
    """A faint line, or nothing for no text."""
    return f'<p style="{_FAINT}; margin: 0.2em 0">{plain(text, 1_000)}</p>' if text else ""


def section(title: str, body: str, open: bool = True) -> str:
    """Something under a title that shows and hides it."""
    return (
        f'<details{" open" if open else ""} style="margin: 0.4em 0"><summary>{plain(title)}'
        f"</summary>{body}</details>"
    )


def page(title: str, *parts: str) -> str:
    """All that is shown of one object: its title, then what `table`, `section`, `note` gave."""
    return (
        '<div class="tex2jax_ignore mathjax_ignore" style="font-variant-numeric: tabular-nums">'
        f'<p style="margin: 0.2em 0"><b>{plain(title, 1_000)}</b></p>{"".join(parts)}</div>'
    )


def settings_html(settings: Any) -> str:
    """An instance of a settings class: each setting's name, value, range, unit and meaning."""
    from dataclasses import fields

    rows = []
    for part in fields(settings):
        value, about = getattr(settings, part.name), part.metadata
        bounds = about["range"]
        allowed = f"{bounds[0]:g} to {bounds[1]:g}" if bounds else ""
        rows.append(
            [part.name, getattr(value, "name", value), allowed, about["unit"], about["doc"]]
        )
    headings = ["setting", "value", "allowed", "unit", "meaning"]
    return page(type(settings).__name__, table(headings, rows))
