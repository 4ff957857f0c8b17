"""numpy in the published workloads: arrays by hand, in place wherever numpy can.

A row is its number, and a mask says who has what; so nothing here keeps ids. Agents that act in
turn are no work for numpy, so only the models in which all act at once are here.
"""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from .. import inputs
from ..peers import Entry
from . import frames, models, suite
from .frames import Columns

DT = np.float32(frames.DT)
WALL, HEALTHY, RESPAWN = (np.float32(v) for v in (frames.WALL, frames.HEALTHY, frames.RESPAWN))
DRAINED, DAMAGE = np.float32(frames.DRAINED), np.float32(frames.DAMAGE)

# -- ecs_bench_suite -----------------------------------------------------------------------------


def simple_insert(n: int) -> Entry:
    """Copies of the four arrays."""
    given = suite.bodies(n)
    held: list[suite.Bodies] = []

    def insert() -> None:
        held.append(suite.Bodies(*(column.copy() for column in given)))

    def check() -> None:
        assert held, "nothing was inserted"
        suite.check_bodies(held[0], given)

    return Entry(insert, check, held.clear)


def simple_iter(n: int) -> Entry:
    """One +=."""
    given = suite.bodies(n)
    position = given.position.copy()

    def move() -> None:
        np.add(position, given.velocity, out=position)

    found = given._replace(position=position)
    return Entry(move, lambda: suite.check_bodies(found, suite.moved(given)))


def frag_iter(n: int) -> Entry:
    """A ufunc for each of 26 arrays."""
    from ..peers.numpy_peer import iter_frag26

    return iter_frag26(n)


class AddRemove:
    """A column filled, and a mask twice."""

    def __init__(self, n: int) -> None:
        self.has, self.value = np.zeros(n, np.bool_), np.zeros(n, np.float32)

    def give(self) -> None:
        """To all."""
        self.value.fill(2.0)
        self.has.fill(True)

    def take(self) -> None:
        """From all."""
        self.has.fill(False)

    def give_and_take(self) -> None:
        """Both."""
        self.give()
        self.take()

    def check(self) -> None:
        """Nobody has it; all get it, and lose it."""
        assert not self.has.any()
        self.give()
        assert self.has.all()
        assert np.all(self.value == 2.0)
        self.take()
        assert not self.has.any()


def add_remove(n: int) -> Entry:
    """A column filled, and a mask twice."""
    both = AddRemove(n)
    return Entry(both.give_and_take, both.check)


def heavy_compute(n: int) -> Entry:
    """np.linalg.inv of all matrices at once, a hundred times, then matmul."""
    start = suite.spins(n)
    matrix, position = start.matrix.reshape(n, 4, 4), start.position

    def begin() -> None:
        nonlocal matrix, position
        matrix, position = start.matrix.reshape(n, 4, 4), start.position

    def compute() -> None:
        nonlocal matrix, position
        for _ in range(suite.INVERSIONS):
            matrix = np.linalg.inv(matrix)
        position = np.matmul(matrix[:, :3, :3], position[:, :, np.newaxis])[:, :, 0]

    return Entry(compute, lambda: suite.check_spins(suite.Spins(matrix, position), start), begin)


def schedule(n: int) -> Entry:
    """Six swaps of arrays, by way of a third one."""
    columns = [
        suite.letters(begin, end, names)
        for names, (begin, end) in zip(suite.SETS, suite.quarters(n), strict=True)
    ]
    room = np.empty_like(columns[-1]["A"])
    pairs = [
        (held[pair[0]], held[pair[1]])
        for pair in suite.SWAPS
        for held in columns
        if set(pair) <= set(held)
    ]

    def swap() -> None:
        for left, right in pairs:
            np.copyto(room[: left.size], left)
            np.copyto(left, right)
            np.copyto(right, room[: left.size])

    return Entry(swap, lambda: suite.check_swapped([dict(c) for c in columns], n))


def serialize(n: int) -> Entry:
    """np.savez to a file, np.load from it; nothing is synced."""
    given = suite.bodies(n)
    held: list[suite.Bodies] = []
    keeper = tempfile.TemporaryDirectory(prefix="populace-bench-")
    path = Path(keeper.name) / "bodies.npz"

    def round_trip() -> None:
        np.savez(path, **given._asdict())
        with np.load(path) as file:
            held.append(suite.Bodies(*(file[name] for name in suite.Bodies._fields)))

    def check() -> None:
        assert held, "nothing was read"
        suite.check_bodies(held[-1], given)

    weakref.finalize(round_trip, keeper.cleanup)
    return Entry(round_trip, check, held.clear)


# -- frames --------------------------------------------------------------------------------------


class Frames(Columns):
    """A few ufuncs for each system, in place; branches are masks."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        self.room = np.empty(n, np.float32)

    def _advance(self, places: tuple[Any, Any], speeds: tuple[Any, Any]) -> None:
        for place, speed in zip(places, speeds, strict=True):
            room = self.room[: place.size]
            np.multiply(speed, DT, out=room)
            np.add(place, room, out=place)

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration come first."""
        k = self.n_accelerated
        self._advance((self.dx[:k], self.dy[:k]), (self.ddx, self.ddy))

    def move(self, frame: int) -> None:
        """All."""
        self._advance((self.x, self.y), (self.dx, self.dy))

    def bounce(self, frame: int) -> None:
        """A mask for each axis."""
        for place, speed in ((self.x, self.dx), (self.y, self.dy)):
            np.negative(speed, out=speed, where=np.abs(place, out=self.room) > WALL)

    def live(self, frame: int) -> None:
        """Masks."""
        dead = self.dead.view(np.bool_)
        alive = ~dead
        np.subtract(self.hp, DRAINED, out=self.hp, where=alive)
        dies = alive & (self.hp <= 0)
        np.subtract(self.timer, DT, out=self.timer, where=dead)
        returns = dead & (self.timer <= 0)
        self.timer[dies] = RESPAWN
        self.hp[returns] = HEALTHY
        dead |= dies
        dead &= ~returns

    def hit(self, frame: int) -> None:
        """A scatter; nobody is hit twice in a frame."""
        self.hp[self.targets[frame]] -= DAMAGE

    def replace(self, frame: int) -> None:
        """Newcomers overwrite the oldest."""
        for rows, come in self.leaving(frame):
            self.x[rows] = self.y[rows] = 0
            self.dx[rows] = self.dy[rows] = 1
            self.payload[rows] = come

    def migrate(self, frame: int) -> None:
        """A mask and a column."""
        who = frames.window(self.n, frame)
        if frame:
            self.buffed[frames.window(self.n, frame - 1)] = False
        self.buffed[who] = True
        self.amount[who] = np.arange(who.start, who.stop)


# -- models --------------------------------------------------------------------------------------


def boltzmann_at_once(n: int) -> Entry:
    """bincount of the receivers of those who give."""
    given, wealth = models.gifts(n), np.ones(n, np.int32)

    def run() -> None:
        for receiver in given.receiver:
            gives = wealth > 0
            wealth[:] += np.bincount(receiver[gives], minlength=n) - gives

    def check() -> None:
        models.check_wealth(wealth, models.wealth_at_once(n))

    return Entry(run, check, lambda: wealth.fill(1))


def schelling_at_once(n: int) -> Entry:
    """Sums of each group over windows, by running sums along both axes."""
    of = models.city(n)
    home, happy, empty = of.home.copy(), np.zeros(n, np.bool_), of.empty.copy()
    side, width = of.side, 2 * of.radius + 1
    padded = np.zeros((side + width, side + width), np.int32)
    inner = slice(of.radius + 1, of.radius + 1 + side)

    def begin() -> None:
        home[:], happy[:], empty[:] = of.home, False, of.empty

    def alike(grid: inputs.Array, group: int) -> inputs.Array:
        padded[:] = 0
        padded[inner, inner] = (grid == group).reshape(side, side)
        sums = padded.cumsum(axis=0).cumsum(axis=1)
        window = sums[width:, width:] - sums[:-width, width:]
        window -= sums[width:, :-width] - sums[:-width, :-width]
        return window.reshape(-1)

    def run() -> None:
        grid = of.grid()
        for places in of.places:
            near = np.where(of.group == 1, alike(grid, 1)[home], alike(grid, 2)[home]) - 1
            np.logical_or(happy, near >= of.wanted, out=happy)
            moving = np.flatnonzero(~happy)[: empty.size]
            free, left = places[: moving.size], home[moving]
            home[moving] = empty[free]
            empty[free] = left
            grid[left] = 0
            grid[home[moving]] = of.group[moving]

    def check() -> None:
        models.check_settled(home, happy, models.settled_at_once(n))

    return Entry(run, check, begin)


WORKLOADS = {
    **{
        workload.__name__: workload
        for workload in (
            simple_insert, simple_iter, frag_iter, add_remove, heavy_compute, schedule, serialize,
            boltzmann_at_once, schelling_at_once,
        )
    },
    **frames.entries(Frames),
}  # fmt: skip
