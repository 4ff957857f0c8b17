"""What a notebook shows of recalled memories: texts, scores and their parts, safely."""

import numpy as np
import pytest

from populace import World, hours, recall, who_remembers
from populace.components import Observed, Persona, Stream
from populace.systems import add_laws

from ..ecs.pages import shown

TEXTS = ["a fire in the mill", "<script>alert(1)</script>", "tea $5 & cake\x00", "a walk"]


@pytest.fixture
def world():
    world = World(seed=1)
    add_laws(world)
    people = world.spawn(2, Persona(number=[7, 8], name="</b>"), Stream)
    world.emit(
        Observed(
            owner=people[[0, 0, 0, 1]],
            time=hours(1) * np.arange(1, 5),
            kind=["event", "thought", "chat", "event"],
            text=TEXTS,
            importance=[0.9, 0.5, 0.2, 0.3],
        )
    )
    world.step(hours(5))
    return world, people


def test_a_recollection(world):
    """Whose it is, the memory, its kind and date, the score and its three parts, the best first."""
    town, people = world
    found = recall(town, people, "fire", k=3, mode="words")
    page = shown(found)
    assert page.titles == ["What came to mind: 4 memories of 2 agents"]
    assert page.rows[0][4:] == ["score", "recency", "importance", "relevance"]
    assert page.rows[1][:4] == ["7", "a fire in the mill", "event", "1970-01-01 01:00:00"]
    assert page.rows[1][4:] == [f"{round(part[0], 3):g}" for part in (
        found.scores.total, found.scores.recency, found.scores.importance, found.scores.relevance
    )]  # fmt: skip
    kinds = {row[1]: row[2] for row in page.rows}
    assert kinds["<script>alert(1)</script>"] == "thought"
    assert kinds["tea $5 & cake\N{REPLACEMENT CHARACTER}"] == "chat"
    assert repr(found) == "<Recollection: 4 memories of 2 agents>"


def test_who_remembers(world):
    """The same of a society."""
    found = who_remembers(world[0], "mill", k=2, mode="words")
    page = shown(found)
    assert page.titles == [f"Who remembers: {len(found)} memories"]
    assert page.rows[1][:2] == ["7", "a fire in the mill"]
    assert repr(found) == f"<Remembered: {len(found)} memories>"


def test_a_plan(world):
    """What was done is shown where it was asked for."""
    page = shown(recall(world[0], world[1], "fire", mode="words", explain=True))
    assert "How: owner slice" in page.text
    assert "filters, score, best" in page.text


def test_nothing(world):
    """Nothing may come to mind."""
    town, people = world
    assert "nothing came to mind" in shown(recall(town, people, since=hours(9))).text


def test_many_are_counted(world):
    """Twenty memories and how many more."""
    town, people = world
    town.emit(Observed(owner=people[0], time=hours(6) + np.arange(100), text="tea", importance=1))
    town.step(hours(1))
    page = shown(recall(town, people[0], k=50))
    assert len(page.rows) == 21
    assert "… 30 more" in page.text
