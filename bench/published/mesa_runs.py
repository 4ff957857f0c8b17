"""Mesa in the published models: agents with attributes and a method `step`, `CellAgent` on a grid.

Acting in turn is its own way, and `AgentSet.shuffle_do` its call for it; here the order is given,
so the model's step is a loop over agents in that order, which takes less time than shuffling. For
acting at once its documentation has stages: `do("look")`, then `do("act")`. What others would draw
by `self.random` is read from lists. The grid, and the neighbourhoods that its cells keep, are made
once and not timed.
"""

from __future__ import annotations

import numpy as np

from ..peers import Entry
from . import models


class Held:
    """A model of one of the classes in `mesa_models`, until this object ends."""

    def __init__(self, kind: str, n: int) -> None:
        from . import mesa_models

        self.model = getattr(mesa_models, kind)(n)
        self.forget = mesa_models.forget

    def __del__(self) -> None:
        self.forget(self.model)

    def run(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            self.model.step()


def trading(kind: str, n: int) -> Entry:
    """100 steps."""
    held = Held(kind, n)
    expected = models.wealth_in_turn if kind == "Market" else models.wealth_at_once

    def begin() -> None:
        held.model.steps = 0
        for agent in held.model.people:
            agent.wealth = 1

    def check() -> None:
        wealth = np.array([agent.wealth for agent in held.model.people])
        models.check_wealth(wealth, expected(n))

    return Entry(lambda: held.run(models.GIFTS), check, begin)


def settling(kind: str, n: int) -> Entry:
    """20 steps."""
    held = Held(kind, n)
    expected = models.settled_in_turn if kind == "Town" else models.settled_at_once
    side = models.city(n).side

    def check() -> None:
        cells = np.array([agent.cell.coordinate for agent in held.model.people])
        happy = np.array([agent.happy for agent in held.model.people])
        models.check_settled(cells @ np.array([side, 1]), happy, expected(n))

    return Entry(lambda: held.run(models.MOVES), check, lambda: held.model.begin())


def boltzmann(n: int) -> Entry:
    """A loop over agents in the order drawn."""
    return trading("Market", n)


def boltzmann_at_once(n: int) -> Entry:
    """Two stages of agents.do."""
    return trading("Exchange", n)


def schelling(n: int) -> Entry:
    """A loop over agents in the order drawn; cells are looked up once and kept."""
    return settling("Town", n)


def schelling_at_once(n: int) -> Entry:
    """agents.do, then a loop over agents.select."""
    return settling("Estate", n)


WORKLOADS = {
    workload.__name__: workload
    for workload in (boltzmann, boltzmann_at_once, schelling, schelling_at_once)
}
