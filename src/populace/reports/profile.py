"""The page of a profile: a table of systems, and below it what each spent its time in.

Invariants: one file that asks nothing of a network; there is no script in it, and a content
security policy allows none. A block is as wide as the time in its function, and what that called
stands below it; what is left free below is the function's own, compiled code and numpy included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from populace.runs.profiling import Profiled, SystemProfile

from .page import head

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
N_OPEN = 3
"""Systems whose functions are shown at once."""
DEEPEST = 40
"""Functions in each other that are drawn."""
STYLE = """
main { max-width: 80rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.3rem 0 0.3rem 1rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }
th { color: var(--muted); font-weight: 600; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
td.bar { width: 9rem; }
td.bar i { display: block; height: 0.75rem; background: var(--line0); }
.scroll { overflow-x: auto; margin-top: 1.5rem; }
summary { width: auto; color: var(--ink); font-size: 1rem; }
.flame { margin: 0.25rem 0 1rem; font-size: 0.75rem; line-height: 1.25rem; }
.row { display: flex; }
.row > div { flex: none; min-width: 0; border-left: 1px solid var(--paper); }
.row > div > span { display: block; overflow: hidden; padding: 0 0.25rem; white-space: nowrap;
  text-overflow: ellipsis; color: var(--ink); background: var(--wash);
  border-bottom: 1px solid var(--paper); }
.row > div > span:hover { outline: 1px solid var(--line0); outline-offset: -1px; }
"""
HEADS = (
    "system", "", "share", "s", "ms a step, median", "p99", "calls", "rows a call", "MB a step",
    "GB/s", "of memcpy",
)  # fmt: skip


def profile_page(profiled: Profiled) -> str:
    """The whole file."""
    title = f"Profile of {profiled.scenario}"
    lead = (
        f"{profiled.steps:,} steps took {profiled.step_s:,.3f} s. Just after the run a copy moved "
        f"{profiled.memcpy_gb_s:.1f} GB/s, read and written."
    )
    heads = "".join(f"<th>{escape(head)}</th>" for head in HEADS)
    rows = "".join(map(_row, profiled.systems)) + (
        f"<tr><td>between systems</td>{_bar(profiled.between)}<td>{profiled.between:.1%}</td>"
        f"<td>{profiled.between * profiled.step_s:,.3f}</td>{'<td></td>' * (len(HEADS) - 4)}</tr>"
    )
    return (
        f"{head(title, POLICY, STYLE)}<body>\n"
        f'<main>\n<header>\n<p class="kicker">Populace · profile of a run</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n</header>\n'
        '<section id="systems">\n<h2>Systems</h2>\n<p class="about">Bytes are of the columns that '
        "a system declares, once for each row that it visits, those that a row kernel writes "
        "twice. A rate above that of a copy comes from a cache, or from columns that were "
        "declared and not touched.</p>\n"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>\n</section>\n"
        f'<section id="functions">\n<h2>Functions</h2>\n{_functions(profiled)}</section>\n'
        "</main>\n</body>\n</html>\n"
    )


def _row(one: SystemProfile) -> str:
    moved = ("–", "–", "–")
    if one.bytes_a_step is not None and one.gb_s is not None and one.of_memcpy is not None:
        moved = (f"{one.bytes_a_step / 1e6:,.2f}", f"{one.gb_s:.1f}", f"{one.of_memcpy:.0%}")
    cells = (
        f"{one.share:.1%}", f"{one.seconds:,.3f}", f"{one.p50_ms:,.3f}", f"{one.p99_ms:,.3f}",
        f"{one.calls:,}", f"{one.rows // one.calls:,}" if one.rows else "–", *moved,
    )  # fmt: skip
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr><td>{escape(one.name)}</td>{_bar(one.share)}{told}</tr>"


def _bar(share: float) -> str:
    return f'<td class="bar"><i style="width:{100 * min(share, 1):.2f}%"></i></td>'


def _functions(profiled: Profiled) -> str:
    about = (
        '<p class="about">Looked at every 2 ms: a block is as wide as the time in a function, '
        "and what it called stands below. What is free below it is its own time, in compiled code "
        "and numpy too.</p>"
    )
    return about + "".join(
        f"<details{' open' if place < N_OPEN else ''}><summary>{escape(tree['name'])}, "
        f'{tree["seconds"]:.3f} s</summary><div class="flame">{"".join(_flame(tree))}</div>'
        "</details>\n"
        for place, tree in enumerate(profiled.functions)
    )


def _flame(tree: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """What a function called, side by side, each with what it called below it."""
    whole = tree["seconds"]
    if not tree["calls"] or depth == DEEPEST or not whole:
        return
    yield '<div class="row">'
    for one in tree["calls"]:
        width = 100 * one["seconds"] / whole
        told = f"{one['name']} {one['where']}, {one['seconds']:.3f} s"
        yield f'<div style="width:{width:.2f}%"><span title="{escape(told)}">'
        yield f"{escape(one['name'])}</span>"
        yield from _flame(one, depth + 1)
        yield "</div>"
    yield "</div>"
