"""The figures as lines to read: a plain table for the terminal, a markdown one for a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .harness import size_name
from .record import Line

HEADINGS = (
    "case", "subject", "size", "ms", "bound ms", "ratio", "quartiles", "ns each", "target", "",
    "peers, ms (× the subject)", "peers elsewhere, ms",
)  # fmt: skip
WIDTHS = (23, 13, 4, 9, 9, 7, 15, 8, 23, 4, 0, 0)
LEFT = {0, 1, 8, 9, 10, 11}


def cells(line: Line, unit: str) -> tuple[str, ...]:
    """A line of a record as the table's columns."""
    of, bound = line["ratio"], line["bound_ms"]
    return (
        line["case"],
        line["subject"],
        size_name(line["size"]),
        figure(line["subject_ms"]["median"]),
        figure(bound["median"]) if bound else "",
        f"{of['median']:.2f}" if of else "",
        f"{of['q1']:.2f} - {of['q3']:.2f}" if of else "",
        figure(line["ns_per_row"]) if unit != "process" else "",
        line["target"],
        line["verdict"],
        ", ".join(told_peers(line)),
        ", ".join(f"{peer} {figure(ms)}" for peer, ms in line["elsewhere_ms"].items()),
    )


def told_peers(line: Line) -> Iterator[str]:
    """As in "esper 8.30 (1,200 ×)", "EnTT not installed"; the machine's line gives the reason."""
    for name, peer in line["peers"].items():
        yield f"{name} {figure(peer['ms']['median'])} ({times(peer['ratio']['median'])})"
    for name, why in line["absent"].items():
        yield f"{name} {why.partition(':')[0]}"


def plain(columns: Sequence[str]) -> str:
    """One line of the plain table."""
    padded = (
        text.ljust(width) if k in LEFT else text.rjust(width)
        for k, (text, width) in enumerate(zip(columns, WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()


def markdown(
    headings: Sequence[str], rows: Iterable[Sequence[str]], left: Iterable[int] = LEFT
) -> Iterator[str]:
    """A table as markdown, line by line."""
    numbers = {*range(len(headings))}.difference(left)
    yield f"| {' | '.join(headings)} |"
    yield "|" + "".join("--:|" if k in numbers else "---|" for k in range(len(headings)))
    for row in rows:
        yield f"| {' | '.join(row)} |"


def said(about: Mapping[str, Any]) -> str:
    """The machine in one line, without its peers."""
    return ", ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in about.items()
        if key != "peers" and value not in (None, "")
    )


def said_peers(about: Mapping[str, Any]) -> str:
    """The peers and their versions in one line."""
    return "; ".join(f"{name} {version}".strip() for name, version in about["peers"].items())


def figure(value: float) -> str:
    """Three significant digits, never in exponents, thousands apart."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{digits}f}"


def times(ratio: float) -> str:
    """A ratio: "0.81 ×", "12.3 ×", "1,200 ×"."""
    if ratio >= 1000:
        ratio = float(f"{ratio:.3g}")
    return f"{figure(ratio)} ×"
