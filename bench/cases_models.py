"""Agent-based models by which frameworks are compared: Boltzmann wealth and Schelling.

A call is a whole run, from agents that are there to the last step; what is drawn by chance is drawn
beforehand, for everyone alike. `published.models` says what the models are, and how acting in turn
and acting at once differ: they are cases of their own, and a peer takes part in either with that
meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from populace import (
    Read,
    ResMut,
    World,
    Write,
    b1,
    component,
    field,
    i4,
    jit,
    seconds,
    system,
    u1,
    u4,
)

from .harness import Contest, Loss, Run, case
from .inputs import Array
from .published import models
from .published.models import GIFTS, MOVES, City, Gifts

AREA = "published"


@component
class Citizen:
    """Who somebody is, as long as the world lasts."""

    number: u4 = field(fixed=True)


# -- Boltzmann wealth ----------------------------------------------------------------------------


@component
class Wealth:
    """What somebody has."""

    units: i4 = 1


@dataclass
class Lottery:
    """Agents by their numbers, and what is drawn for each step."""

    ids: Array
    gifts: Gifts


@jit
def give_in_turn(order_n, receiver_n, row_n, units_n):  # type: ignore[no-untyped-def]
    """One agent after the other gives 1 to its receiver, if it has it."""
    for k in range(order_n.size):
        giver = order_n[k]
        if units_n[row_n[giver]] > 0:
            units_n[row_n[giver]] -= 1
            units_n[row_n[receiver_n[giver]]] += 1


@jit
def give_at_once(number_n, receiver_n, units_n, received_n):  # type: ignore[no-untyped-def]
    """All who have anything give 1. received_n: i4 room by number, zeros before and after."""
    for i in range(units_n.size):
        if units_n[i] > 0:
            units_n[i] -= 1
            received_n[receiver_n[number_n[i]]] += 1
    for i in range(units_n.size):
        units_n[i] += received_n[number_n[i]]
        received_n[number_n[i]] = 0


@system
def trade_in_turn(world: World) -> None:
    """A law whose events follow each other: rows by ids, then one loop in the order drawn."""
    lottery = world.resource(Lottery)
    step = world.clock.tick - 1
    (part,) = world.at(lottery.ids)  # all agents have the same components
    order, receiver = lottery.gifts.order[step], lottery.gifts.receiver[step]
    give_in_turn(order, receiver, part.rows, part.write(Wealth.units))


@dataclass
class Till:
    """What is drawn, and room for what each is given."""

    receiver: Array
    received: Array
    step: int = 0


@system
def trade_jit(wealth: Write[Wealth], citizen: Read[Citizen], till: ResMut[Till]) -> None:
    """An array system around njit loops."""
    give_at_once(citizen.number, till.receiver[till.step], wealth.units, till.received)
    till.step += 1


@system
def trade_numpy(wealth: Write[Wealth], citizen: Read[Citizen], till: ResMut[Till]) -> None:
    """An array system in numpy."""
    gives = wealth.units > 0
    receivers = till.receiver[till.step][citizen.number[gives]]
    received = np.bincount(receivers, minlength=till.received.size)
    wealth.units += received[citizen.number] - gives
    till.step += 1


MODEL = {"sizes": (1_000, 5_000, 50_000), "unit": "agent", "bytes_each": 5_000}


def traders(n: int, trade: Any) -> tuple[World, Array]:
    """A world of n agents who begin with 1."""
    world = World(seed=1)
    ids = world.spawn(n, Citizen(number=np.arange(n)), Wealth)
    world.add_system(trade)
    return world, ids


@case("step", **MODEL)
def boltzmann(n: int) -> Contest:
    """100 steps in which agents give 1 in turn. Bound: the same njit loop on a bare array."""
    given = models.gifts(n)
    world, ids = traders(n, trade_in_turn)
    world.insert(Lottery(ids, given))
    units, rows = np.ones(n, np.int32), np.arange(n, dtype=np.uint32)

    def begin() -> None:
        world.clock.tick = 0
        world.query(Wealth).set(Wealth(units=1))

    def run() -> None:
        for _ in range(GIFTS):
            world.step(seconds(1))

    def by_hand() -> None:
        for order, receiver in zip(*given, strict=True):
            give_in_turn(order, receiver, rows, units)

    def verify() -> None:
        expected = models.wealth_in_turn(n)
        begin(), units.fill(1)
        run(), by_hand()
        models.check_wealth(world.get(ids, Wealth.units), expected)
        models.check_wealth(units, expected)

    bound = Run(by_hand, lambda: units.fill(1))
    return Contest({"step": Run(run, begin)}, bound, verify, rows=n * GIFTS)


@case(
    "jit",
    "ufuncs",
    **MODEL,
    loses=(
        Loss("a step of a world takes some 8 µs beside its system", subjects=("jit",)),
        Loss(
            "rows of agents may be in any order, so what is given is looked up by their numbers, "
            "twice; the peer's arrays are in that order",
            subjects=("ufuncs",),
        ),
    ),
)
def boltzmann_at_once(n: int) -> Contest:
    """100 steps in which all who have anything at first give 1 at once: array systems with njit
    loops, and in numpy. Bound: the njit loops on bare arrays."""
    given = models.gifts(n)
    worlds = [traders(n, trade) for trade in (trade_jit, trade_numpy)]
    tills = [Till(given.receiver, np.zeros(n, np.int32)) for _ in worlds]
    for (world, _), till in zip(worlds, tills, strict=True):
        world.insert(till)
    units, numbers = np.ones(n, np.int32), np.arange(n, dtype=np.uint32)
    received = np.zeros(n, np.int32)

    def begin(world: World, till: Till) -> None:
        till.step = 0
        world.query(Wealth).set(Wealth(units=1))

    def run(world: World) -> None:
        for _ in range(GIFTS):
            world.step(seconds(1))

    def by_hand() -> None:
        for receiver in given.receiver:
            give_at_once(numbers, receiver, units, received)

    def verify() -> None:
        expected = models.wealth_at_once(n)
        units.fill(1)
        by_hand()
        models.check_wealth(units, expected)
        for (world, ids), till in zip(worlds, tills, strict=True):
            begin(world, till)
            run(world)
            models.check_wealth(world.get(ids, Wealth.units), expected)

    subjects = {
        name: Run(partial(run, world), partial(begin, world, till))
        for name, (world, _), till in zip(("jit", "ufuncs"), worlds, tills, strict=True)
    }
    bound = Run(by_hand, lambda: units.fill(1))
    return Contest(subjects, bound, verify, rows=n * GIFTS)


# -- Schelling -----------------------------------------------------------------------------------


@component
class Home:
    """Where somebody lives."""

    cell: i4


@component
class Group:
    """Which somebody belongs to: 1 or 2."""

    of: u1


@component
class Mood:
    """Whether somebody is happy; who is stays so."""

    happy: b1 = False


@dataclass
class Map:
    """The grid as it is now. ids: agents by their numbers. moving: room for their rows."""

    city: City
    ids: Array
    grid: Array
    empty: Array
    moving: Array
    step: int = 0

    def renew(self) -> None:
        """As it began."""
        self.grid[:], self.empty[:], self.step = self.city.grid(), self.city.empty, 0


def map_of(of: City, ids: Array) -> Map:
    """As it begins."""
    return Map(of, ids, of.grid(), of.empty.copy(), np.zeros(of.empty.size, np.int32))


@jit
def is_content(grid, side, wanted, radius, cell):  # type: ignore[no-untyped-def]
    """Whether enough near a cell are of the group that lives there."""
    row, column = cell // side, cell % side
    alike = -1  # who lives there is seen too
    for r in range(max(0, row - radius), min(side, row + radius + 1)):
        for c in range(max(0, column - radius), min(side, column + radius + 1)):
            alike += grid[r * side + c] == grid[cell]
    return alike >= wanted


@jit
def settle_in_turn(order_n, draw_n, row_n, grid, empty, side, wanted, radius, cell_n, happy_n):  # type: ignore[no-untyped-def]
    """One agent after the other becomes happy, or moves to the empty cell drawn for it."""
    for k in range(order_n.size):
        row = row_n[order_n[k]]
        if happy_n[row]:
            continue
        cell = cell_n[row]
        if is_content(grid, side, wanted, radius, cell):
            happy_n[row] = True
            continue
        place = draw_n[order_n[k]]
        cell_n[row], empty[place] = empty[place], cell
        grid[cell_n[row]], grid[cell] = grid[cell], 0


@jit
def settle_at_once(places, row_n, grid, empty, moving, side, wanted, radius, cell_n, happy_n):  # type: ignore[no-untyped-def]
    """All look, then the first of those that are not happy, by their numbers, move. moving: room
    for rows, as many as there are empty cells."""
    n_moving = 0
    for k in range(row_n.size):
        row = row_n[k]
        if happy_n[row]:
            continue
        if is_content(grid, side, wanted, radius, cell_n[row]):
            happy_n[row] = True
        elif n_moving < moving.size:
            moving[n_moving] = row
            n_moving += 1
    for k in range(n_moving):
        row, place = moving[k], places[k]
        cell = cell_n[row]
        cell_n[row], empty[place] = empty[place], cell
        grid[cell_n[row]], grid[cell] = grid[cell], 0


def in_turn(of: City, step: int, row_n: Array, now: Map, cell_n: Array, happy_n: Array) -> None:
    """A step of agents, whose rows by number these are."""
    settle_in_turn(
        of.order[step], of.draw[step], row_n, now.grid, now.empty, of.side, of.wanted, of.radius,
        cell_n, happy_n,
    )  # fmt: skip


def at_once(of: City, step: int, row_n: Array, now: Map, cell_n: Array, happy_n: Array) -> None:
    """A step of all."""
    settle_at_once(
        of.places[step], row_n, now.grid, now.empty, now.moving, of.side, of.wanted, of.radius,
        cell_n, happy_n,
    )  # fmt: skip


Step = Callable[[City, int, Array, Map, Array, Array], None]


@system
def settle(world: World) -> None:
    """In turn: rows by ids, then one loop in the order drawn."""
    settle_by(world, in_turn)


@system
def settle_all(world: World) -> None:
    """At once: rows by ids, then two loops."""
    settle_by(world, at_once)


def settle_by(world: World, step: Step) -> None:
    """A step of those in the world."""
    now = world.resource(Map)
    (part,) = world.at(now.ids)  # all agents have the same components
    step(now.city, now.step, part.rows, now, part.write(Home.cell), part.write(Mood.happy))
    now.step += 1


def segregation(n: int, law: Any, step: Step, expected: Callable[[int], models.Settled]) -> Contest:
    """A world of n agents in a city, and bare arrays of the same."""
    of = models.city(n)
    world = World(seed=1)
    ids = world.spawn(n, Citizen(number=np.arange(n)), Home(cell=of.home), Group(of=of.group), Mood)
    now, bare_now = map_of(of, ids), map_of(of, ids)
    world.insert(now)
    world.add_system(law)
    rows = np.arange(n, dtype=np.uint32)
    home, happy = of.home.copy(), np.zeros(n, np.bool_)

    def begin() -> None:
        now.renew()
        world.set(ids, Home(cell=of.home), Mood(happy=False))

    def run() -> None:
        for _ in range(MOVES):
            world.step(seconds(1))

    def begin_bare() -> None:
        bare_now.renew()
        home[:], happy[:] = of.home, False

    def by_hand() -> None:
        for number in range(MOVES):
            step(of, number, rows, bare_now, home, happy)

    def verify() -> None:
        begin(), begin_bare()
        run(), by_hand()
        models.check_settled(home, happy, expected(n))
        found = world.get(ids, Home.cell), world.get(ids, Mood.happy)
        models.check_settled(*found, expected(n))
        grid = np.zeros_like(now.grid)
        grid[found[0]] = world.get(ids, Group.of)
        assert np.array_equal(grid, now.grid)

    return Contest({"step": Run(run, begin)}, Run(by_hand, begin_bare), verify, rows=n * MOVES)


CITY = {"sizes": (1_000, 8_000, 80_000), "unit": "agent", "bytes_each": 2_000}


@case("step", **CITY)
def schelling(n: int) -> Contest:
    """20 steps in which agents look around and move in turn. Bound: the njit loop on arrays."""
    return segregation(n, settle, in_turn, models.settled_in_turn)


@case("step", **CITY)
def schelling_at_once(n: int) -> Contest:
    """20 steps in which all look around, then those not happy move at once. Bound: the njit loops
    on bare arrays."""
    return segregation(n, settle_all, at_once, models.settled_at_once)
