"""For peers whose entities are Python objects: what is the same for all of them.

A peer says in a subclass of `Bodies` how its entities come, move, change and go, always all of a
batch in one method, so that what is timed is its own loop. Numbers are Python's floats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from . import inputs
from .peers import Entry

Row = Sequence[float]  # x, y, and the speeds of both
Make = Callable[[], "Bodies"]
T = TypeVar("T")
DT, FADE, GAIN = float(inputs.DT), float(inputs.FADE), float(inputs.GAIN)
W6 = float(inputs.W6_NOW_S), float(inputs.TAU_S), float(inputs.THRESHOLD)
HEALTH = 2.0

# -- components ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Position:
    """Where something is."""

    x: float
    y: float


@dataclass(slots=True)
class Velocity:
    """How it moves."""

    x: float
    y: float


@dataclass(slots=True)
class Data:
    """One number."""

    value: float


@dataclass(slots=True)
class Health:
    """What entities are given and lose again."""

    value: float


@dataclass(slots=True)
class Memory:
    """A memory, whosesoever."""

    owner: int
    importance: float


@dataclass(slots=True)
class Trace:
    """What a memory's strength is worked out from."""

    importance: float
    stability: float
    accessed: int
    strength: float = 0.0


@dataclass(slots=True)
class Recollection:
    """A memory that lasts the longer, the more often it was recalled."""

    importance: float
    last: float
    recalls: int
    strength: float = 0.0


@dataclass(slots=True)
class Edge:
    """What an edge carries."""

    weight: float


LETTERS = tuple(type(f"Letter{k}", (), {"__slots__": ()}) for k in range(inputs.FRAGMENTS))

# -- rows that come, move, change and go ---------------------------------------------------------


class Bodies(ABC):
    """Entities with a position and a velocity. picks: those that the next call is about."""

    def __init__(self) -> None:
        self.picks: Sequence[Any] = ()

    def prepared(self, columns: inputs.Floats) -> Any:
        """What `create` is given for these: rows of Python's floats."""
        return columns.T.tolist()

    @abstractmethod
    def create(self, given: Any) -> Sequence[Any]:
        """Entities for what was prepared, in its order."""

    @abstractmethod
    def clear(self) -> None:
        """No entity is left."""

    @abstractmethod
    def advance(self) -> None:
        """Position += velocity * DT."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """Everyone's, in whatever order."""

    def delete(self) -> None:
        """Those picked go."""
        raise NotImplementedError

    def give(self) -> None:
        """Those picked get Health, of HEALTH."""
        raise NotImplementedError

    def take(self) -> None:
        """They lose it."""
        raise NotImplementedError

    def healthy(self) -> list[tuple[Any, float]]:
        """Who has Health, and how much."""
        raise NotImplementedError

    def write(self, values: Sequence[float]) -> None:
        """The x of those picked."""
        raise NotImplementedError

    def read(self) -> Sequence[float]:
        """The same."""
        raise NotImplementedError

    def give_and_take(self) -> None:
        """Health comes and goes."""
        self.give()
        self.take()

    def found(self) -> inputs.Floats:
        """(4, n): what there is."""
        return np.array(self.rows(), np.float32).reshape(-1, 4).T

    def check(self, columns: inputs.Floats) -> None:
        """These are there, in whatever order."""
        found = self.found()
        assert found.shape == columns.shape, (found.shape, columns.shape)
        mine, theirs = (rows[:, np.lexsort(rows)] for rows in (found, columns))
        assert np.array_equal(mine, theirs)

    def check_given(self, columns: inputs.Floats) -> None:
        """Nobody has Health; all picked get it, and lose it; nothing else changes."""
        assert not self.healthy()
        self.give()
        health = self.healthy()
        assert {entity for entity, _ in health} == set(self.picks)
        assert len(health) == len(self.picks)
        assert all(value == HEALTH for _, value in health)
        self.take()
        assert not self.healthy()
        self.check(columns)


def spawn_4c(make: Make, n: int) -> Entry:
    """Created in a world without entities; what one of them needs is made with it."""
    bodies, columns = make(), inputs.columns(n)
    given = bodies.prepared(columns)
    return Entry(lambda: bodies.create(given), lambda: bodies.check(columns), bodies.clear)


def iter_2c(make: Make, n: int) -> Entry:
    """One loop over the entities."""
    bodies, start = make(), inputs.motion(n)
    bodies.create(bodies.prepared(start))
    expected = np.concatenate([inputs.advanced(start), start[2:]])
    return Entry(bodies.advance, lambda: bodies.check(expected))


def add_remove_all(make: Make, n: int) -> Entry:
    """A call for each entity, twice."""
    bodies, columns = make(), inputs.columns(n)
    bodies.picks = bodies.create(bodies.prepared(columns))
    return Entry(bodies.give_and_take, lambda: bodies.check_given(columns))


def add_remove_tenth(make: Make, n: int) -> Entry:
    """A call for each entity, twice."""
    bodies, columns, tenths = make(), inputs.columns(n), inputs.tenths(n)
    entities = bodies.create(bodies.prepared(columns))

    def choose() -> None:
        bodies.picks = [entities[place] for place in next(tenths)]

    return Entry(bodies.give_and_take, lambda: bodies.check_given(columns), choose)


def despawn_spawn_tenth(make: Make, n: int) -> Entry:
    """A call for each entity that goes, then for each that comes."""
    bodies, churn = make(), inputs.Churn(n)
    entities = list(bodies.create(bodies.prepared(churn.columns)))
    born = bodies.prepared(churn.born)
    made: Sequence[Any] = ()

    def choose() -> None:
        if made:
            for place, entity in zip(churn.places, made, strict=True):
                entities[place] = entity
        churn.choose()
        bodies.picks = [entities[place] for place in churn.places]

    def replace() -> None:
        nonlocal made
        bodies.delete()
        made = bodies.create(born)

    return Entry(replace, lambda: bodies.check(churn.columns), choose)


def set_tenth(make: Make, n: int) -> Entry:
    """A look-up for each entity."""
    bodies, columns, places = make(), inputs.columns(n), inputs.tenth(n)
    entities = bodies.create(bodies.prepared(columns))
    bodies.picks = [entities[place] for place in places]
    values = inputs.given(n).tolist()
    expected = columns.copy()
    expected[0, places] = values
    return Entry(lambda: bodies.write(values), lambda: bodies.check(expected))


def get_tenth(make: Make, n: int) -> Entry:
    """A look-up for each entity, into a list."""
    bodies, columns, places = make(), inputs.columns(n), inputs.tenth(n)
    entities = bodies.create(bodies.prepared(columns))
    bodies.picks = [entities[place] for place in places]
    found: Sequence[float] = ()

    def read() -> None:
        nonlocal found
        found = bodies.read()

    return Entry(read, lambda: _equal(found, columns[0, places]))


def workloads(make: Make) -> dict[str, Callable[[int], Entry]]:
    """All of these for one kind of bodies."""
    of = (
        spawn_4c, iter_2c, add_remove_all, add_remove_tenth, despawn_spawn_tenth, set_tenth,
        get_tenth,
    )  # fmt: skip
    return {each.__name__: partial(each, make) for each in of}


def _equal(found: Sequence[float], expected: inputs.Floats) -> None:
    assert np.array_equal(found, expected)


# -- numbers, memories, edges --------------------------------------------------------------------


def made(kind: Callable[..., T], columns: Sequence[inputs.Array]) -> list[T]:
    """An object of each row."""
    return [kind(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def check_doubled(data: Sequence[Any], n: int) -> None:
    """The numbers from 0 to n, each doubled. They are 0 afterwards, however often doubled."""
    assert sorted(one.value for one in data) == [2.0 * number for number in range(n)]
    for one in data:
        one.value = 0.0


def check_strengths(of: Sequence[Any], given: inputs.Traces, now: int) -> None:
    """The strengths of these memories, in their order, up to a few roundings."""
    found = np.array([one.strength for one in of])
    np.testing.assert_allclose(found, inputs.strengths(given, now), rtol=1e-9)


def newcomers(crowd: inputs.Crowd) -> list[Memory]:
    """The memories of this round."""
    return made(Memory, [crowd.owner[crowd.places], crowd.importance[crowd.places]])


def least_important(memories: Iterable[tuple[Any, Memory]]) -> list[Any]:
    """The entities that go: a dict of lists by owner, each list sorted, the weakest cut off."""
    mine: defaultdict[int, list[tuple[float, Any]]] = defaultdict(list)
    for entity, memory in memories:
        mine[memory.owner].append((memory.importance, entity))
    going = []
    for each in mine.values():
        each.sort(key=itemgetter(0), reverse=True)
        going += [entity for _, entity in each[inputs.KEPT :]]
    return going


def check_kept(memories: Sequence[Any], crowd: inputs.Crowd) -> None:
    """Those that are to stay."""
    owner = np.array([memory.owner for memory in memories])
    crowd.check(owner, np.array([memory.importance for memory in memories]))


def restore(edges: Sequence[Edge], given: inputs.Edges) -> None:
    """The weights as they began."""
    for edge, weight in zip(edges, given.weight.tolist(), strict=True):
        edge.weight = weight


def check_strengthened(edges: Sequence[Edge], given: inputs.Edges) -> None:
    """All faded, those met stronger; exact, as the factor is."""
    found = np.array([edge.weight for edge in edges], np.float32)
    assert np.array_equal(found, inputs.strengthened(given))
