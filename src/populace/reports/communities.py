"""The communities that ties make, as a picture.

Invariant: the same ties give the same picture: Louvain's method and the springs have fixed seeds,
and agents come in the order of their numbers. Cost: up to MOST_DRAWN agents, 2 s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .ending import Ending, Ties
from .palette import SYMBOLS, line_tone, tone
from .parts import Chart, Floats, Ints, Key, Omission, Rows, layout, plain, rounded, shortened
from .wording import decimal, several

MOST_DRAWN = 400
STRONGEST_OF_EACH = 4
SEED = 7
N_COMMUNITIES = 8
TOGETHER, APART = 3.0, 0.15
"""What a tie pulls within a community and across two, times its strength."""


def communities(ending: Ending, ties: Ties) -> Chart | Omission:
    """The picture of the network, of those with the strongest ties where there are many."""
    import networkx as nx

    everybody, weight = np.unique(np.concatenate([ties.source, ties.target])), _weights(ties)
    drawn = _most_tied(ties, weight)
    graph = _graph(ties, weight, drawn)
    if not graph.number_of_edges():
        return Omission("The network", "the agents with most ties have none among themselves")
    found = nx.community.louvain_communities(graph, weight="weight", seed=SEED)
    found = sorted((sorted(one) for one in found), key=lambda one: (-len(one), one[0]))
    modularity = float(nx.community.modularity(graph, found, weight="weight"))
    several_of = [one for one in found if len(one) > 1]
    kept = _backbone(graph)
    place = _places(graph.edge_subgraph(kept), found)
    data = [_edge_trace(kept, place)]
    rows = []
    for k, community in enumerate(several_of):
        data.append(_node_trace(ending, graph, community, place, k))
        hub = max(community, key=lambda agent: (graph.degree(agent, "weight"), -agent))
        rows.append([k + 1, len(community), ending.name(hub)])
    loose = [one[0] for one in found if len(one) == 1]
    if loose:
        data.append(_node_trace(ending, graph, loose, place, N_COMMUNITIES))
    whom = (
        "Agents fall" if drawn.size == everybody.size else f"The {drawn.size} best connected fall"
    )
    clear = (
        "clearly apart" if modularity > 0.5 else "with many ties across" if modularity > 0.25
        else "hardly apart from each other"
    )  # fmt: skip
    note = (
        f"Communities by Louvain's method, modularity {decimal(modularity, 2)}. Drawn are the "
        f"{STRONGEST_OF_EACH} strongest ties of each agent; all ties count for the communities, "
        f"whose agents are drawn together."
    )
    if drawn.size < everybody.size:
        who = several(everybody.size, "agent")
        note += f" Of {who} with ties the {drawn.size} with the strongest are shown."
    return Chart(
        "network",
        "Communities",
        f"{whom} into {several(len(several_of), 'community', 'communities')}, {clear}.",
        data,
        layout(
            x={"visible": False, "showline": False},
            y={"visible": False, "rangemode": "normal"},
            hovermode="closest",
            margin={"l": 4, "r": 4, "t": 4, "b": 4},
        ),
        Rows(["community", "agents", "in the middle"], rows),
        note=note,
        legend=_legend(rows),
        height=540,
        wide=True,
    )


def _legend(rows: list[list[Any]]) -> list[Key]:
    """A line for each community that has a colour of its own. rows: number, size, middle."""
    legend = [
        Key(f"{n} around {shortened(hub, 28)}", line_tone(k), "point", SYMBOLS[k])
        for k, (_, n, hub) in enumerate(rows[:N_COMMUNITIES])
    ]
    if len(rows) > N_COMMUNITIES:
        legend.append(Key("smaller ones", "muted", "point", "circle"))
    return legend


def _weights(ties: Ties) -> Floats:
    """What a tie weighs: its strength, or where there is none, its contacts; never 0."""
    return np.where(np.isfinite(ties.strength), ties.strength, ties.contacts) + 1e-6


def _most_tied(ties: Ties, weight: Floats) -> Ints:
    """The agents that are drawn: those whose ties weigh most."""
    agents, place = np.unique(np.concatenate([ties.source, ties.target]), return_inverse=True)
    sums = np.bincount(place, weights=np.concatenate([weight, weight]))
    best = np.lexsort((agents, -np.round(sums, 6)))[:MOST_DRAWN]
    return np.sort(agents[best])


def _graph(ties: Ties, weight: Floats, drawn: Ints) -> Any:
    """Those who are drawn, joined where one is tied to the other: with the weight of both ties."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(drawn.tolist())
    inside = np.isin(ties.source, drawn) & np.isin(ties.target, drawn)
    for a, b, w in zip(
        ties.source[inside].tolist(), ties.target[inside].tolist(), weight[inside].tolist(),
        strict=True,
    ):  # fmt: skip
        held = graph.get_edge_data(a, b, {"weight": 0.0})["weight"]
        graph.add_edge(a, b, weight=held + w)
    return graph


def _backbone(graph: Any) -> list[tuple[int, int]]:
    """The edges that are drawn: of each agent the strongest few."""
    kept = set()
    for agent in graph:
        near = sorted(graph[agent].items(), key=lambda to: (-to[1]["weight"], to[0]))
        for other, _ in near[:STRONGEST_OF_EACH]:
            kept.add((min(agent, other), max(agent, other)))
    return sorted(kept)


def _places(graph: Any, found: list[list[int]]) -> dict[int, Floats]:
    """Where agents are drawn: from a ring of communities, by springs; loose ones on the rim."""
    import networkx as nx

    draw = np.random.default_rng(SEED)
    begin: dict[int, Floats] = {}
    sizes = np.array([len(one) for one in found], float)
    angles = 2 * np.pi * (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    for community, angle in zip(found, angles.tolist(), strict=True):
        for agent in community:
            centre = np.array([np.cos(angle), np.sin(angle)])
            begin[agent] = centre + draw.normal(0, 0.15, 2)
    of = {agent: k for k, community in enumerate(found) for agent in community}
    held = nx.Graph()
    held.add_nodes_from(sorted(graph))
    for a, b in sorted((min(edge), max(edge)) for edge in graph.edges):
        pull = TOGETHER if of[a] == of[b] else APART
        held.add_edge(a, b, weight=pull * graph.edges[a, b]["weight"])
    placed = nx.spring_layout(
        held,
        pos={agent: begin[agent] for agent in held},
        k=1.3 / max(len(held), 1) ** 0.5,
        iterations=120,
        seed=SEED,
        method="force",
    )
    return {agent: placed.get(agent, begin[agent]) for agent in begin}


def _edge_trace(kept: list[tuple[int, int]], place: dict[int, Floats]) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in kept:
        x += [*rounded([place[a][0], place[b][0]], 4), None]
        y += [*rounded([place[a][1], place[b][1]], 4), None]
    style = {"color": tone("muted"), "width": 0.7}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": style, "opacity": 0.35,
            "hoverinfo": "skip"}  # fmt: skip


def _node_trace(
    ending: Ending, graph: Any, agents: list[int], place: dict[int, Floats], k: int
) -> dict[str, Any]:
    """The agents of community k; from N_COMMUNITIES on, those without a colour of their own."""
    degree = np.array([graph.degree(agent) for agent in agents], float)
    texts = [
        f"<b>{plain(ending.name(agent))}</b><br>knows {several(n, 'agent')} of those shown"
        for agent, n in zip(agents, degree, strict=True)
    ]
    other = k >= N_COMMUNITIES
    return {
        "type": "scatter", "mode": "markers",
        "x": rounded([place[agent][0] for agent in agents], 4),
        "y": rounded([place[agent][1] for agent in agents], 4),
        "text": texts, "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "color": tone("muted" if other else line_tone(k)),
            "symbol": "circle" if other else SYMBOLS[k],
            "opacity": 0.95,
            "size": rounded(6 + 1.5 * np.sqrt(np.minimum(degree, 60)), 3),
            "line": {"color": tone("paper"), "width": 1},
        },
    }  # fmt: skip
