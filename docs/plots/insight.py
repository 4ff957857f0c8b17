"""Plots of the laws of insight, drawn from the project's own code."""

import numpy as np

from populace.components import Memory, Observed, Persona, Stream
from populace.components.reflection import Unreflected
from populace.ecs import World, days, hours, minutes
from populace.systems.consolidation import Consolidation, consolidate
from populace.systems.formation import form_memories
from populace.systems.reflection import Reflected, Reflecting, reflect
from populace.systems.retention import Retention
from populace.systems.scoring import RecallScore, recall_scores


def plot_reflection(axes):
    """The sum of importances of three agents over a day, and their reflections."""
    world = World(seed=1)
    for law in (Retention(), RecallScore(), Reflecting()):
        world.insert(law)
    agents = world.spawn(3, Persona(number=[0, 1, 2], name=["Ann", "Bo", "Cy"]), Stream)
    world.add_systems(form_memories, reflect)
    draw = np.random.default_rng(4)
    reader, step = world.events(Reflected), minutes(5)
    hour, sums, fired = [], [], []
    while world.clock.now < days(1):
        awake = hours(7) < world.clock.now < hours(23)
        seen = agents[draw.random(3) < (0.7 if awake else 0.03)]
        world.emit(
            Observed(owner=seen, time=world.clock.now + 1, text="something happens",
                     importance=draw.choice([0.1, 0.3, 0.6, 0.8], seen.size))
        )  # fmt: skip
        world.step(step)
        have = world.has(agents, Unreflected)
        now = np.zeros(3)
        now[have] = world.get(agents[have], Unreflected.importance) / 1e6
        hour.append(world.clock.now / hours(1))
        sums.append(now)
        fired += (reader.read().time / hours(1)).tolist()
    for line, name in zip(np.array(sums).T, ("Ann", "Bo", "Cy"), strict=True):
        axes.step(hour, line, where="post", label=name)
    axes.axhline(Reflecting().threshold, color="grey", linestyle=":")
    axes.plot(fired, [Reflecting().threshold] * len(fired), "kv", label="reflects")
    axes.set(xlabel="hour of the day", ylabel="importance observed since", title="Reflection")
    axes.legend()


def plot_consolidation(axes):
    """Memories formed and left, where two of three repeat what was seen before."""
    world = World(seed=1)
    for law in (Retention(), Consolidation()):
        world.insert(law)
    agents = world.spawn(20, Persona(number=np.arange(20)), Stream)
    world.add_systems(form_memories, consolidate)
    draw = np.random.default_rng(4)
    formed, left = [0], [0]
    for day in range(30):
        n = 20 * 50
        texts = draw.zipf(1.3, n) % 5000
        world.emit(
            Observed(owner=np.repeat(agents, 50), time=day * days(1) + np.arange(n) + 1,
                     text=[f"text {text}" for text in texts], importance=0.3)
        )  # fmt: skip
        world.step(days(1))
        formed.append(formed[-1] + n)
        left.append(world.query(Memory).count())
    axes.plot(formed, label="formed")
    axes.plot(left, label="left")
    axes.set(xlabel="day", ylabel="memories", title="Consolidation by text")
    axes.legend()


def plot_recall_score(axes):
    """The parts of the recall score of ten memories, stacked."""
    draw = np.random.default_rng(7)
    since = np.sort(draw.integers(0, 400, 10))
    found = recall_scores(
        RecallScore(), hours(400), hours(400) - since * hours(1), draw.integers(1, 10, 10) / 10,
        draw.random(10),
    )  # fmt: skip
    bottom = np.zeros(10)
    for name in ("recency", "importance", "relevance"):
        axes.bar(range(10), getattr(found, name), bottom=bottom, label=name)
        bottom += getattr(found, name)
    axes.set_xticks(range(10), [f"{hour} h" for hour in since], rotation=45)
    axes.set(xlabel="since the last access", ylabel="score", title="Recall score")
    axes.legend()
