"""Cost per row against size, one small picture for each case of an area, as one SVG.

Populace in blue, its first subject strong, the others pale; the bound dashed, peers thin. The same
figures give the same bytes. On white, so that it can be read on a dark page too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .harness import size_name
from .record import Line

COLUMNS = 3
WIDTH, HEIGHT = 3.1, 2.3  # inches, of one small picture
STYLE: Any = {
    "svg.hashsalt": "populace",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 8,
    "figure.facecolor": "white",
}
FIRST, OTHERS = "#0072b2", "#56b4e9"  # subjects
PEERS = (
    "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#8c564b", "#7f7f7f", "#bcbd22", "#9467bd",
    "#17becf", "#e377c2", "#2ca02c", "#d62728", "#a6761d", "#666666",
)  # fmt: skip


def drawable(lines: Sequence[Line]) -> list[str]:
    """The cases that were measured at two sizes at least."""
    sizes: dict[str, set[int]] = {}
    for line in lines:
        sizes.setdefault(line["case"], set()).add(line["size"])
    return [case for case, found in sizes.items() if len(found) > 1]


def draw_area(area: str, lines: Sequence[Line], folder: Path) -> Path:
    """Draw the cases of an area. Returns the file."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    cases = drawable(lines)
    names = list(dict.fromkeys(name for line in lines for name in line["peers"]))
    colours = {name: PEERS[k % len(PEERS)] for k, name in enumerate(names)}
    columns = min(COLUMNS, len(cases))
    rows = -(-len(cases) // columns)
    with plt.rc_context(STYLE):
        picture, all_axes = plt.subplots(
            rows,
            columns,
            figsize=(WIDTH * max(columns, 2), HEIGHT * rows + 0.5),
            layout="constrained",
            squeeze=False,
        )
        for place, axes in enumerate(all_axes.flat):
            if place < len(cases):
                mine = [line for line in lines if line["case"] == cases[place]]
                draw_case(axes, cases[place], mine, colours)
            else:
                axes.set_axis_off()
        legend(picture, colours)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{area}.svg"
        picture.savefig(file, metadata={"Date": None})
        plt.close(picture)
    return file


def draw_case(axes: Any, name: str, lines: Sequence[Line], colours: dict[str, str]) -> None:
    """One case: ns a row by size."""
    subjects = list(dict.fromkeys(line["subject"] for line in lines))
    first = [line for line in lines if line["subject"] == subjects[0]]
    for peer, colour in colours.items():
        there = [line for line in first if peer in line["peers"]]
        each = [line["peers"][peer]["ms"]["median"] * 1e6 / line["rows"] for line in there]
        axes.plot([line["size"] for line in there], each, color=colour, lw=0.9, marker=".", ms=3)
    bound = [line for line in first if line["bound_ms"]]
    each = [line["bound_ms"]["median"] * 1e6 / line["rows"] for line in bound]
    axes.plot([line["size"] for line in bound], each, color="black", lw=1, ls="--")
    for k, subject in enumerate(subjects):
        mine = [line for line in lines if line["subject"] == subject]
        axes.plot(
            [line["size"] for line in mine],
            [line["ns_per_row"] for line in mine],
            color=OTHERS if k else FIRST,
            lw=1.0 if k else 1.8,
            marker="o",
            ms=2 if k else 3,
            zorder=2.5 if k else 3,
        )
    sizes = sorted({line["size"] for line in lines})
    axes.set(xscale="log", yscale="log", title=name)
    axes.set_xticks(sizes, [size_name(size) for size in sizes])
    axes.xaxis.minorticks_off()
    axes.set_ylabel("ns each")


def legend(picture: Any, colours: dict[str, str]) -> None:
    """Who is who, once for all."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=FIRST, lw=1.8, marker="o", ms=3, label="Populace"),
        Line2D([], [], color=OTHERS, lw=1.0, marker="o", ms=2, label="its other subjects"),
        Line2D([], [], color="black", lw=1, ls="--", label="bound"),
    ]
    lines += [
        Line2D([], [], color=c, lw=0.9, marker=".", label=name) for name, c in colours.items()
    ]
    picture.legend(handles=lines, loc="outside upper left", ncols=6, frameon=False)
