"""A list of dicts: a memory store as Generative Agents has it (arXiv 2304.03442).

An agent has a Python list of memories, each a dict of text, time, importance and a numpy vector.
To recall, all of them are gone through and scored by recency, importance and cosine, each scaled to
[0, 1] over the candidates, and the ten best are taken; its weights in the paper, 1, 1 and 1, are
also Populace's. Its own code is not run: this is its design without what it adds. Others keep their
vectors in an index, such as FAISS, which is a peer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from itertools import cycle
from typing import Any

import numpy as np

from .. import inputs
from ..peers import Entry, Peer

Memory = dict[str, Any]
BASE = 0.995  # of recency, an hour
OWNERS = 100


def stream_of(agent: int, vectors: inputs.Floats | None = None) -> list[Memory]:
    """The memories of one agent. vectors: other than its own."""
    mind = inputs.mind(agent)
    vectors = mind.vector if vectors is None else vectors
    return [
        {
            "number": number,
            "text": f"memory {number} of agent {agent}",
            "accessed": accessed,
            "importance": importance,
            "embedding": vector,
        }
        for number, (accessed, importance, vector) in enumerate(
            zip(mind.accessed.tolist(), mind.importance.tolist(), vectors, strict=True)
        )
    ]


def cosine(a: inputs.Floats, b: inputs.Floats) -> float:
    """Of two vectors, by numpy, anew for each pair."""
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def scaled(values: list[float]) -> list[float]:
    """To [0, 1]; 0.5 where all are the same."""
    low, high = min(values), max(values)
    if low == high:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]


def recall(memories: list[Memory], question: inputs.Floats, now: int, k: int) -> list[Memory]:
    """The k best memories, best first."""
    recency = [BASE ** ((now - memory["accessed"]) / inputs.US_PER_HOUR) for memory in memories]
    importance = [memory["importance"] for memory in memories]
    relevance = [cosine(memory["embedding"], question) for memory in memories]
    parts = zip(scaled(recency), scaled(importance), scaled(relevance), strict=True)
    totals = [sum(part) for part in parts]
    best = sorted(range(len(memories)), key=totals.__getitem__, reverse=True)[:k]
    return [memories[place] for place in best]


def numbers(found: list[Memory]) -> inputs.Places:
    """Which of its agent's memories they are."""
    return np.array([memory["number"] for memory in found])


def recall_own(n: int) -> Entry:
    """Another agent each time, by another vector."""
    streams = [stream_of(agent) for agent in range(OWNERS)]
    agents, asked = cycle(range(OWNERS)), cycle(inputs.questions(997))
    last: tuple[int, Any, list[Memory]] = (0, None, [])

    def run() -> None:
        nonlocal last
        agent, question = next(agents), next(asked)
        last = agent, question, recall(streams[agent], question, inputs.NOW, inputs.ANSWERS)

    def check() -> None:
        agent, question, found = last
        inputs.is_best(numbers(found), agent, question)

    return Entry(run, check)


def recall_all_agents(n: int) -> Entry:
    """All agents, one after the other: Python has one thread for it."""
    streams = [stream_of(agent) for agent in range(n)]
    asked = inputs.questions(n)
    found: list[list[Memory]] = []

    def run() -> None:
        found[:] = [
            recall(stream, question, inputs.NOW, inputs.ANSWERS)
            for stream, question in zip(streams, asked, strict=True)
        ]

    def check() -> None:
        for agent in range(0, n, max(1, n // 10)):
            inputs.is_best(numbers(found[agent]), agent, asked[agent])

    return Entry(run, check)


def recall_society(n: int) -> Entry:
    """Who of all remembers, by a vector: the lists of all agents are gone through."""
    vectors = inputs.meanings(n)
    own = np.split(vectors, n // inputs.MIND)
    streams = [stream_of(agent, each) for agent, each in enumerate(own)]
    asked = cycle(inputs.understood(inputs.asked(997)))
    last: tuple[Any, list[tuple[float, int, int]]] = (None, [])

    def run() -> None:
        nonlocal last
        question = next(asked)
        scored = (
            (cosine(memory["embedding"], question), agent, memory["number"])
            for agent, stream in enumerate(streams)
            for memory in stream
        )
        last = question, nlargest(inputs.ANSWERS, scored)

    def check() -> None:
        question, found = last
        places = np.array([agent * inputs.MIND + number for _, agent, number in found])
        inputs.is_nearest(places, vectors, question)

    return Entry(run, check)


WORKLOADS: dict[str, Callable[[int], Entry]] = {
    "recall_own": recall_own,
    "recall_all_agents": recall_all_agents,
    "recall_society": recall_society,
}


def here() -> None:
    """It is always there: plain Python and numpy."""


PEER = Peer(
    "list of dicts",
    "numpy",
    workloads=WORKLOADS,
    most={"recall_all_agents": 100, "recall_society": 100_000},
    absent=here,
)
