"""Ties: how strong they are, and how many each agent has."""

from __future__ import annotations

from typing import Any

import numpy as np

from .communities import communities
from .ending import Ending, Ties
from .palette import tone
from .parts import Chart, Omission, Rows, Section, bars, layout, rounded
from .wording import decimal, several, share

FAR = 8
"""Degrees that spread further than this, greatest over median, are shown on log axes."""


def bonds(ending: Ending | None, why_not: str) -> Section:
    """The section."""
    section = Section("ties", "Ties")
    if ending is None:
        section.parts.append(Omission("Ties and their network", why_not))
        return section
    if ending.ties is None:
        section.parts.append(Omission("Ties and their network", "nobody has a tie to anybody"))
        return section
    if np.isfinite(ending.ties.strength).all():
        section.parts.append(_strengths(ending.ties))
    else:
        section.parts.append(Omission("Strengths of ties", "the run has no law of ties"))
    section.parts.append(_degrees(ending, ending.ties))
    section.parts.append(communities(ending, ending.ties))
    return section


def _strengths(ties: Ties) -> Chart:
    edges = np.linspace(0, 1, 21)
    counts, _ = np.histogram(ties.strength, edges)
    weak = float(counts[:4].sum()) / ties.strength.size
    strong = float(counts[10:].sum()) / ties.strength.size
    there = counts[counts > 0]
    log = bool(there.size > 1 and there.max() > 200 * max(1, np.median(there)))
    middle = (edges[:-1] + edges[1:]) / 2
    y: dict[str, Any] = {"type": "log", "dtick": 1} if log else {"tickformat": ",~s"}
    return Chart(
        "tie-strengths",
        "How strong ties are",
        f"{share(weak)} are weaker than 0.2, and {share(strong)} stronger than 0.5; the median is "
        f"{decimal(float(np.median(ties.strength)), 2)}.",
        [bars(rounded(middle, 4), counts, "ties", 0, width=0.044, hovertemplate="%{y:,} ties")],
        layout(x={"title": {"text": "strength"}, "range": [0, 1], "dtick": 0.2}, y=y),
        Rows(["from", "to", "ties"],
             [[round(a, 2), round(b, 2), int(n)]
              for a, b, n in zip(edges, edges[1:], counts, strict=False)]),
        unit="directed ties" + ", log scale" * log,
    )  # fmt: skip


def _degrees(ending: Ending, ties: Ties) -> Chart:
    degrees = ties.degrees()
    agents = sorted(ending.names) or np.union1d(ties.source, ties.target).tolist()
    degree = np.array([degrees.get(agent, 0) for agent in agents])
    median, most = float(np.median(degree)), int(degree.max())
    log = most > FAR * max(median, 1) and most > 20
    finding = f"The median agent knows {several(median, 'other')}; the best connected {most}"
    alone = int((degree == 0).sum())
    finding += f"; {several(alone, 'agent')} nobody." if alone else "."
    if log:
        k = np.unique(degree[degree > 0])
        at_least = (degree.size - np.searchsorted(np.sort(degree), k)) / degree.size
        data = [{
            "type": "scatter", "mode": "lines+markers", "x": k.tolist(), "y": rounded(at_least),
            "line": {"color": tone("line0"), "width": 1.5}, "marker": {"size": 4},
            "hovertemplate": "%{y:.2%} have %{x} or more<extra></extra>",
        }]  # fmt: skip
        drawn = layout(
            x={"type": "log", "title": {"text": "ties, at least"}, "dtick": 1},
            y={"type": "log", "tickformat": ".1~%", "dtick": 1}, hovermode="closest",
        )  # fmt: skip
        rows = [[int(a), b] for a, b in zip(k, rounded(at_least, 3), strict=True)]
        table = Rows(["ties, at least", "share of agents"], rows)
        unit = "share of agents, log scales"
    else:
        width = max(1, -(-(most + 1) // 24))
        counts = np.bincount(degree // width)
        begins = np.arange(counts.size) * width
        middle = begins + (width - 1) / 2
        names = [str(a) if width == 1 else f"{a} to {a + width - 1}" for a in begins.tolist()]
        data = [bars(rounded(middle), counts, "agents", 2, form=0, width=0.88 * width,
                     customdata=names, hovertemplate="%{y:,} agents have %{customdata}"
                     "<extra></extra>")]  # fmt: skip
        drawn = layout(x={"title": {"text": "ties of an agent"}}, y={"tickformat": ",~s"},
                       hovermode="closest")  # fmt: skip
        pairs = zip(names, counts.tolist(), strict=True)
        table = Rows(["ties", "agents"], [list(pair) for pair in pairs])
        unit = "agents"
    return Chart("degrees", "How many ties agents have", finding, data, drawn, table, unit=unit)
