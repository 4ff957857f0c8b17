"""Models of the comparisons of agent-based modelling frameworks, with all chance drawn beforehand.

Everyone is given the same draws, so that results are equal and not only alike; what a framework
would take to draw is left out. Each model comes twice. In turn: agents act one after the other in
an order drawn anew for each step, and see what those before them did, as frameworks of objects do
by default. At once: all look at the state before the step, then all act, as a step of columns does;
that is another model, and its results differ from those of the first.

Boltzmann wealth, of the mesa-frames comparison: each agent begins with 1, and gives 1, if it has
it, to one of all agents drawn by chance, itself not excepted; 1,000 to 5,000 agents, 100 steps.

Schelling, of ABMFrameworksComparison: a grid without wrap-around, one agent a cell, two groups of
the same size. Who is not happy looks around: with enough of its own group near it, it is happy from
then on; else it moves to an empty cell drawn by chance. 20 steps of 1,000 agents on 40 x 40 cells,
who want 3 within one cell, and of 8,000 on 100 x 100, who want 8 within two. In turn it moves to a
cell that is empty by then; at once those that move take different cells of those that were empty
before, by their numbers, as long as there are any.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..inputs import Array

Numbers = npt.NDArray[np.int32]

# -- Boltzmann wealth ----------------------------------------------------------------------------

GIFTS = 100  # steps


class Gifts(NamedTuple):
    """Who acts when, and whom each would give to; (GIFTS, n), agents by their numbers."""

    order: Numbers  # the numbers in the order in which they act
    receiver: Numbers  # by the number of the giver


@lru_cache(maxsize=1)
def gifts(n: int) -> Gifts:
    """For n agents."""
    draw = np.random.default_rng(1)
    everyone = np.arange(n, dtype=np.int32)
    order = np.stack([draw.permutation(everyone) for _ in range(GIFTS)])
    return Gifts(order, draw.integers(0, n, (GIFTS, n), np.int32))


@lru_cache(maxsize=2)
def wealth_in_turn(n: int) -> Numbers:
    """What each agent has in the end."""
    wealth = [1] * n
    for order, receiver in zip(*gifts(n), strict=True):
        to = receiver.tolist()
        for agent in order.tolist():
            if wealth[agent] > 0:
                wealth[agent] -= 1
                wealth[to[agent]] += 1
    return np.array(wealth, np.int32)


@lru_cache(maxsize=2)
def wealth_at_once(n: int) -> Numbers:
    """What each agent has in the end."""
    wealth = np.ones(n, np.int32)
    for receiver in gifts(n).receiver:
        gives = wealth > 0
        np.subtract.at(wealth, np.flatnonzero(gives), 1)
        np.add.at(wealth, receiver[gives], 1)
    return wealth


def check_wealth(found: Array, expected: Numbers) -> None:
    """Each agent has as much, by their numbers."""
    assert int(found.sum()) == found.size, "money was made or lost"
    assert np.array_equal(found, expected)


# -- Schelling -----------------------------------------------------------------------------------

MOVES = 20  # steps


class City(NamedTuple):
    """The grid, who lives where, and what is drawn. Cells are numbered row by row."""

    side: int
    wanted: int  # of the own group
    radius: int  # how far an agent looks
    group: npt.NDArray[np.int8]  # (n,), 1 or 2
    home: Numbers  # (n,), cells
    empty: Numbers  # the other cells
    order: Numbers  # (MOVES, n), agents in the order in which they act
    draw: Numbers  # (MOVES, n), by the number of the agent: where in `empty` it would move
    places: Numbers  # (MOVES, empty), where in `empty` those move that move at once

    def grid(self) -> npt.NDArray[np.int8]:
        """(cells,): the group of who lives there, 0 for nobody."""
        grid = np.zeros(self.side**2, np.int8)
        grid[self.home] = self.group
        return grid


@lru_cache(maxsize=1)
def city(n: int) -> City:
    """For n agents: of 1,000 as published for so many, of all others at the density and with the
    wishes published for 8,000."""
    side, wanted, radius = (40, 3, 1) if n == 1_000 else (int(np.ceil(np.sqrt(n * 1.25))), 8, 2)
    draw = np.random.default_rng(2)
    cells = draw.permutation(np.arange(side**2, dtype=np.int32))
    everyone, empty = np.arange(n, dtype=np.int32), cells[n:]
    return City(
        side, wanted, radius,
        group=(1 + everyone % 2).astype(np.int8),
        home=cells[:n],
        empty=empty,
        order=np.stack([draw.permutation(everyone) for _ in range(MOVES)]),
        draw=draw.integers(0, empty.size, (MOVES, n), np.int32),
        places=np.stack(
            [draw.permutation(empty.size).astype(np.int32) for _ in range(MOVES)]
        ),
    )  # fmt: skip


def _alike(grid: list[int], of: City, cell: int) -> int:
    """How many near a cell are of the group that lives there."""
    row, column = divmod(cell, of.side)
    rows = range(max(0, row - of.radius), min(of.side, row + of.radius + 1))
    columns = range(max(0, column - of.radius), min(of.side, column + of.radius + 1))
    return sum(grid[r * of.side + c] == grid[cell] for r in rows for c in columns) - 1


class Settled(NamedTuple):
    """What is left in the end, by the numbers of agents."""

    home: Array
    happy: Array


@lru_cache(maxsize=2)
def settled_in_turn(n: int) -> Settled:
    """One agent after the other."""
    of = city(n)
    grid, home, empty = of.grid().tolist(), of.home.tolist(), of.empty.tolist()
    happy = [False] * n
    for order, draw in zip(of.order.tolist(), of.draw.tolist(), strict=True):
        for agent in order:
            if happy[agent]:
                continue
            cell = home[agent]
            if _alike(grid, of, cell) >= of.wanted:
                happy[agent] = True
                continue
            place = draw[agent]
            home[agent], empty[place] = empty[place], cell
            grid[home[agent]], grid[cell] = grid[cell], 0
    return Settled(np.array(home), np.array(happy))


@lru_cache(maxsize=2)
def settled_at_once(n: int) -> Settled:
    """All look, then those that are not happy move."""
    of = city(n)
    grid, home, empty = of.grid().tolist(), of.home.tolist(), of.empty.tolist()
    happy = [False] * n
    for places in of.places.tolist():
        for agent, cell in enumerate(home):
            happy[agent] = happy[agent] or _alike(grid, of, cell) >= of.wanted
        moving = [agent for agent in range(n) if not happy[agent]]
        for agent, place in zip(moving, places, strict=False):
            home[agent], empty[place] = empty[place], home[agent]
        for agent, place in zip(moving, places, strict=False):
            grid[home[agent]], grid[empty[place]] = int(of.group[agent]), 0
    return Settled(np.array(home), np.array(happy))


def check_settled(home: Array, happy: Array, expected: Settled) -> None:
    """Each agent lives there and is as happy, by their numbers; nobody shares a cell."""
    assert np.unique(home).size == home.size, "a cell is shared"
    assert np.array_equal(home, expected.home)
    assert np.array_equal(happy, expected.happy)
