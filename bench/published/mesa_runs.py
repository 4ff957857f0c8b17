"""Mesa in the published models: agents with attributes and a method `step`, `CellAgent` on a grid.

Acting in turn is its own way, and `AgentSet.shuffle_do` its call for it; here the order is given,
so the model's step is a loop over agents in that order, which takes less time than shuffling. For
acting at once its documentation has stages: `do("look")`, then `do("act")`. What others would draw
by `self.random` is read from lists. The grid, and the neighbourhoods that its cells keep, are made
once and not timed.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..peers import Entry
from . import models

# -- the classes ---------------------------------------------------------------------------------


@cache
def kinds() -> SimpleNamespace:
    """The classes, which need Mesa to be there."""
    import mesa  # type: ignore[import-untyped]
    from mesa.discrete_space import CellAgent, OrthogonalMooreGrid

    class Trader(mesa.Agent):  # type: ignore[misc]
        """Gives 1, if it has it, to whom was drawn for it."""

        def __init__(self, model: Any, number: int) -> None:
            super().__init__(model)
            self.number, self.wealth, self.gives = number, 1, False

        def step(self) -> None:
            """In turn."""
            if self.wealth > 0:
                self.wealth -= 1
                self.model.people[self.model.receiver[self.number]].wealth += 1

        def look(self) -> None:
            """At once: whether it has anything."""
            self.gives = self.wealth > 0

        def act(self) -> None:
            """At once: give."""
            if self.gives:
                self.wealth -= 1
                self.model.people[self.model.receiver[self.number]].wealth += 1

    class Market(mesa.Model):  # type: ignore[misc]
        """Traders, in turn."""

        def __init__(self, n: int) -> None:
            super().__init__(seed=1)
            self.people = list(Trader.create_agents(self, n, list(range(n))))
            order, receiver = models.gifts(n)
            self.orders, self.receivers = order.tolist(), receiver.tolist()
            self.receiver: list[int] = []

        def step(self) -> None:
            self.receiver, people = self.receivers[self.steps - 1], self.people
            for number in self.orders[self.steps - 1]:
                people[number].step()

    class Exchange(Market):
        """Traders, at once."""

        def step(self) -> None:
            self.receiver = self.receivers[self.steps - 1]
            self.agents.do("look")
            self.agents.do("act")

    class Resident(CellAgent):  # type: ignore[misc]
        """Wants enough of its group near it."""

        def __init__(self, model: Any, number: int, group: int) -> None:
            super().__init__(model)
            self.number, self.group, self.happy = number, group, False

        def look(self) -> None:
            """Be happy, if there are enough."""
            if self.happy:
                return
            group, alike = self.group, 0
            for other in self.cell.get_neighborhood(radius=self.model.radius).agents:
                if other.group == group:
                    alike += 1
            self.happy = alike >= self.model.wanted

        def step(self) -> None:
            """In turn: look, or move to an empty cell."""
            if self.happy:
                return
            self.look()
            if not self.happy:
                self.move(self.model.draw[self.number])

        def move(self, place: int) -> None:
            """To a cell that is empty, which takes the other's place among these."""
            empty, left = self.model.empty, self.cell
            self.cell = empty[place]
            empty[place] = left

    class Town(mesa.Model):  # type: ignore[misc]
        """Residents, in turn."""

        def __init__(self, n: int) -> None:
            super().__init__(seed=1)
            of = models.city(n)
            self.radius, self.wanted = of.radius, of.wanted
            self.grid = OrthogonalMooreGrid(
                (of.side, of.side), torus=False, capacity=1, random=self.random
            )
            self.cells = [self.grid[divmod(cell, of.side)] for cell in range(of.side**2)]
            self.people = list(Resident.create_agents(self, n, list(range(n)), of.group.tolist()))
            self.starts = [self.cells[cell] for cell in of.home.tolist()]
            self.vacant = [self.cells[cell] for cell in of.empty.tolist()]
            self.empty: list[Any] = []
            self.orders, self.draws = of.order.tolist(), of.draw.tolist()
            self.places = of.places.tolist()
            self.draw: list[int] = []

        def begin(self) -> None:
            """Everyone where it started."""
            for resident in self.people:
                resident.cell, resident.happy = None, False
            for resident, cell in zip(self.people, self.starts, strict=True):
                resident.cell = cell
            self.empty, self.steps = list(self.vacant), 0

        def step(self) -> None:
            self.draw, people = self.draws[self.steps - 1], self.people
            for number in self.orders[self.steps - 1]:
                people[number].step()

    class Estate(Town):
        """Residents, at once."""

        def step(self) -> None:
            self.agents.do("look")
            moving = self.agents.select(lambda resident: not resident.happy)
            for resident, place in zip(moving, self.places[self.steps - 1], strict=False):
                resident.move(place)

    return SimpleNamespace(
        ids=mesa.Agent._ids, Market=Market, Exchange=Exchange, Town=Town, Estate=Estate
    )


def forget(model: Any) -> None:
    """Let a model go, which Mesa would keep to number its agents."""
    kinds().ids.pop(model, None)


# -- the workloads -------------------------------------------------------------------------------


class Held:
    """A model, until this object ends."""

    def __init__(self, kind: Any, n: int) -> None:
        self.kind, self.n = kind, n
        self.model = kind(n)

    def __del__(self) -> None:
        forget(self.model)

    def run(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            self.model.step()


def trading(kind: str, n: int) -> Entry:
    """100 steps."""
    held = Held(getattr(kinds(), kind), n)
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
    held = Held(getattr(kinds(), kind), n)
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
