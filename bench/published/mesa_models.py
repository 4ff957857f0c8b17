"""The published models in Mesa's classes: `mesa_runs` says how, and times their steps.

It imports Mesa, so it is imported where Mesa is there, in functions.
"""

from __future__ import annotations

from typing import Any

import mesa  # type: ignore[import-untyped]
from mesa.discrete_space import CellAgent, OrthogonalMooreGrid

from . import models


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


def forget(model: Any) -> None:
    """Let a model go, which Mesa would keep to number its agents."""
    getattr(mesa.Agent, "_ids", {}).pop(model, None)
