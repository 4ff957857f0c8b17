"""ecs_bench_suite: what its workloads start from, and what they must come to.

Its values are the same for every entity (identity matrices, unit vectors, zeros), which would hide
most mistakes; here each entity has its own, such that one call is exact in f4 and f8. Where its
README and its code differ (heavy_compute, add_remove), the numbers are those of the code, which
made the published figures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..inputs import Array, Floats
from ..peers import Entry

FRAGMENTS = 26
INVERSIONS = 100


class Bodies(NamedTuple):
    """Four components of n entities."""

    matrix: Floats  # (n, 16), of transforms
    position: Floats  # (n, 3); the first number is the entity's own
    rotation: Floats  # (n, 3)
    velocity: Floats  # (n, 3), in eighths


def bodies(n: int) -> Bodies:
    """n of them."""
    draw = np.random.default_rng(1)
    position = draw.integers(0, 1024, (n, 3)).astype(np.float32)
    position[:, 0] = np.arange(n)
    velocity = draw.integers(1, 8, (n, 3)).astype(np.float32) / np.float32(8)
    rotation = draw.random((n, 3), np.float32)
    return Bodies(draw.random((n, 16), np.float32), position, rotation, velocity)


def moved(of: Bodies) -> Bodies:
    """After position += velocity."""
    return of._replace(position=of.position + of.velocity)


def check_bodies(found: Bodies, expected: Bodies) -> None:
    """The same entities, in whatever order."""
    orders = [np.argsort(one.position[:, 0]) for one in (found, expected)]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
        assert np.array_equal(mine[orders[0]], theirs[orders[1]])


# -- heavy_compute -------------------------------------------------------------------------------


class Spins(NamedTuple):
    """n matrices to invert, and a position for each to transform."""

    matrix: Floats  # (n, 16), row by row: rotations about x
    position: Floats  # (n, 3)


def spins(n: int) -> Spins:
    """Rotations by up to 1.2, as the one of the suite."""
    draw = np.random.default_rng(1)
    angle = draw.uniform(0.2, 1.2, n)
    matrix = np.zeros((n, 4, 4), np.float32)
    matrix[:, 0, 0] = matrix[:, 3, 3] = 1
    matrix[:, 1, 1] = matrix[:, 2, 2] = np.cos(angle)
    matrix[:, 2, 1] = np.sin(angle)
    matrix[:, 1, 2] = -np.sin(angle)
    return Spins(matrix.reshape(n, 16), draw.random((n, 3), np.float32))


def check_spins(found: Spins, start: Spins) -> None:
    """INVERSIONS are even, so the matrices are what they were; the positions are turned. Up to
    1e-4, which a hundred inversions in f4 leave."""
    matrix, position = (column.astype(np.float64) for column in start)
    turned = np.einsum("nij,nj->ni", matrix.reshape(-1, 4, 4)[:, :3, :3], position)
    np.testing.assert_allclose(found.matrix.reshape(-1, 16), matrix, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.position, turned, rtol=0, atol=1e-4)


# -- schedule ------------------------------------------------------------------------------------

SETS = ("AB", "ABC", "ABCD", "ABCE")  # as many entities of each
SWAPS = ("AB", "CD", "CE")  # a system each


def quarters(n: int) -> list[tuple[int, int]]:
    """Where the entities of each of SETS begin and end."""
    return list(pairwise(n * k // len(SETS) for k in range(len(SETS) + 1)))


def letters(begin: int, end: int, names: str) -> dict[str, Floats]:
    """The values of entities with these numbers: each its number, and an eighth for the letter."""
    numbers = np.arange(begin, end, dtype=np.float32)
    return {name: numbers + np.float32("ABCDE".index(name) / 8) for name in names}


def check_swapped(found: list[dict[str, Array]], n: int) -> None:
    """A and B are swapped everywhere, C with D or E where there are those; in order, by SETS."""
    partners = dict(zip("ABCDE", "BA?CC", strict=True))
    for mine, names, (begin, end) in zip(found, SETS, quarters(n), strict=True):
        start = letters(begin, end, names)
        for name in names:
            other = names[3:] or "C" if name == "C" else partners[name]
            assert np.array_equal(mine[name], start[other]), (names, name)


# -- as Python objects ---------------------------------------------------------------------------


@dataclass(slots=True)
class Transform:
    """Sixteen numbers."""

    matrix: list[float]


@dataclass(slots=True)
class Position:
    """Where something is."""

    x: float
    y: float
    z: float


@dataclass(slots=True)
class Rotation:
    """How it is turned."""

    x: float
    y: float
    z: float


@dataclass(slots=True)
class Velocity:
    """How it moves."""

    x: float
    y: float
    z: float


@dataclass(slots=True)
class Data:
    """One number."""

    value: float


def number(name: str) -> Any:
    """A component of one number, by that name."""
    return dataclass(slots=True)(
        type(name, (), {"__annotations__": {"value": float}, "value": 0.0})
    )


LETTERS = tuple(number(f"Letter{letter}") for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")

Rows = list[list[Any]]


def rows(of: Bodies) -> Rows:
    """For each component its rows, of Python's floats."""
    return [column.tolist() for column in of]


def made(given: Rows) -> list[tuple[Transform, Position, Rotation, Velocity]]:
    """The components of each entity."""
    return [
        (Transform(matrix), Position(*place), Rotation(*turn), Velocity(*speed))
        for matrix, place, turn, speed in zip(*given, strict=True)
    ]


def bodies_of(components: list[tuple[Transform, Position, Rotation, Velocity]]) -> Bodies:
    """As columns."""
    n = len(components)

    def column(values: list[list[float]], width: int) -> Floats:
        return np.array(values, np.float32).reshape(n, width)

    return Bodies(
        column([c[0].matrix for c in components], 16),
        *(column([[c[k].x, c[k].y, c[k].z] for c in components], 3) for k in (1, 2, 3)),
    )


class AddRemove(ABC):
    """add_remove for entities that have one number; a method for each half."""

    def __init__(self, entities: list[Any]) -> None:
        self.entities = entities

    @abstractmethod
    def give(self) -> None:
        """All get another number, 2."""

    @abstractmethod
    def take(self) -> None:
        """All lose it."""

    @abstractmethod
    def having(self) -> list[tuple[Any, float]]:
        """Who has it, and its value."""

    def give_and_take(self) -> None:
        """Both."""
        self.give()
        self.take()

    def check(self) -> None:
        """Nobody has it; all get it, and lose it."""
        assert not self.having()
        self.give()
        found = self.having()
        assert len(found) == len(self.entities)
        assert {entity for entity, _ in found} == set(self.entities)
        assert all(value == 2.0 for _, value in found)
        self.take()
        assert not self.having()

    def entry(self) -> Entry:
        """As a peer's part."""
        return Entry(self.give_and_take, self.check)
