"""What is measured of a town after each step, and told of it at the end.

    state__<name>        people in each state of the day
    mood__pleasure, ...  means of mood and emotion over everybody who feels
    formed__0 ... 9      memories formed in the step and still there, by tenth of importance
    knows__0, ...        share of everybody that knows each rumour
    contacts, density    contacts of the step; ties over all that there could be

Cost: reads 12 bytes a memory, 24 an agent; 1 ms at 1M memories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from populace.components import (
    Activity,
    Contact,
    EmotionNow,
    Memory,
    MoodNow,
    Persona,
    Reflection,
    Tie,
    Trace,
)
from populace.ecs import World, f4, i8, jit
from populace.systems import StateMachine

from .rumours import labels as rumour_labels
from .rumours import shares

TENTHS = 10
CONTACTS = "populace.scenarios.outlook"


@dataclass(frozen=True, slots=True)
class Founding:
    """How a town began: what its end is compared with. A resource."""

    density: float
    acquaintances: float


@jit
def count_by_importance(created_n: Any, importance_n: Any, since: Any, out_10: Any) -> None:
    """out_10 += memories created after `since` (i8 µs), by tenth of importance. O(n)."""
    for i in range(created_n.size):
        if created_n[i] > since:
            out_10[min(i8(importance_n[i] * f4(10)), i8(9))] += 1  # in f4, 0.7 * 10 is 7


def measure(world: World) -> dict[str, float]:
    """The columns above, of what the world has."""
    found: dict[str, float] = {}
    if StateMachine in world.resources:
        states = world.resource(StateMachine).states
        counts = np.zeros(256, np.int64)
        for table in world.query(Activity).tables():
            counts += np.bincount(table.column(Activity.state), minlength=256)
        found |= {f"state__{name}": int(counts[code]) for code, name in enumerate(states)}
    for kind, component in (("mood", MoodNow), ("emotion", EmotionNow)):
        feeling = world.query(component, Persona)
        if feeling.count():
            for axis in ("pleasure", "arousal", "dominance"):
                column = feeling.gather(getattr(component, axis))
                found[f"{kind}__{axis}"] = float(column.mean(dtype=np.float64))
    formed = np.zeros(TENTHS, np.int64)
    since = i8(world.clock.now - world.clock.dt)
    for table in world.query(Memory, Trace).tables():
        count_by_importance(
            table.column(Memory.created), table.column(Trace.importance), since, formed
        )
    found |= {f"formed__{tenth}": int(count) for tenth, count in enumerate(formed)}
    contacts = world.beside.setdefault(CONTACTS, world.events(Contact)).read()
    return {**found, **shares(world), "contacts": len(contacts.time), "density": density(world)}


def density(world: World) -> float:
    """Ties over all that there could be, both ways: of a network of mutual ties its density."""
    n = world.query(Persona).count()
    return world.query(Tie).count() / (n * (n - 1)) if n > 1 else 0.0


def acquaintances(world: World) -> float:
    """How many people one knows, on average."""
    return world.query(Tie).count() / max(world.query(Persona).count(), 1)


def found_town(world: World) -> None:
    """Note how the town begins."""
    world.insert(Founding(density(world), acquaintances(world)))


def tell(world: World) -> dict[str, Any]:
    """How the town ended, beside how it began."""
    told: dict[str, Any] = {"density": density(world), "acquaintances": acquaintances(world)}
    if Founding in world.resources:
        founding = world.resource(Founding)
        told["density_at_start"] = founding.density
        told["acquaintances_at_start"] = founding.acquaintances
    told["reflections"] = world.query(Reflection).count()
    return {**told, **shares(world)}


def labels(world: World) -> Mapping[str, str]:
    """What columns are called that speak of something of the town's own."""
    return rumour_labels(world)
