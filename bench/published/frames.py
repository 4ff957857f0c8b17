"""The seven frames of the microecs comparison: scene, what happens in each frame, and the check.

From its definitions: seed 0, dt 0.016 s, 3 frames to warm up and 30 that are timed, 200 to 100,000
entities, the same scene and the same hits, births and migrations for everyone. The final state is
held against a reference in f8 by a fingerprint: all values of all entities, sorted, up to rtol 2e-3
and atol 2e-2. With many entities the values lie so close together that a mistake may pass, so here
the state of each entity is held against the reference too, at the same tolerance; and positions
belong to the state of w5, which published checks only who is left.

With the published numbers nobody gets as far as a wall in w2, or dies in w3 (33 frames drain 21 of
30 points of health or more), so their branches are asked and never taken; in w6 hits make some die.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..inputs import Array, Places
from ..peers import Entry

SEED = 0
DT = 0.016  # s
WARM_UP, TIMED = 3, 30
FRAMES = WARM_UP + TIMED
SIZES = (200, 1_000, 5_000, 20_000, 100_000)

WALL = 50.0  # w2: how far from the middle
DRAIN = 40.0  # w3: points of health a second, while alive
DRAINED = DRAIN * DT  # in a frame
RESPAWN = 0.5  # w3: s
HEALTHY = 100.0  # w3: points of health after a respawn
DAMAGE = 3.0  # w4: points of health a hit
RTOL, ATOL = 2e-3, 2e-2

State = dict[str, Array]
"""What is left at the end, entities in the order of the scene or of their birth."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of frame. has: what entities have; acceleration only those with odd numbers.
    steps: what happens in a frame, in this order. state: what is checked."""

    has: tuple[str, ...]
    steps: tuple[str, ...]
    state: tuple[str, ...]


MOVING = ("position", "velocity", "acceleration")
HEALTH = ("hp", "dead", "timer")
WORKLOADS = {
    "frame_w1_integrate": Workload(MOVING, ("accelerate", "move"), ("position",)),
    "frame_w2_bounce": Workload(MOVING, ("accelerate", "move", "bounce"), ("position", "velocity")),
    "frame_w3_health": Workload(("health",), ("live",), HEALTH),
    "frame_w4_hits": Workload(("health",), ("hit",), ("hp",)),
    "frame_w5_churn": Workload(
        ("position", "velocity", "payload"), ("replace", "move"), ("payload", "position")
    ),
    "frame_w6_mixed": Workload(
        (*MOVING, "health"), ("accelerate", "move", "live", "hit"), ("position", *HEALTH)
    ),
    "frame_w7_migrate": Workload(
        ("position", "velocity"), ("migrate", "move"), ("position", "amount")
    ),
}


class Scene(NamedTuple):
    """How n entities begin, alive, with payload -1 and without a buff."""

    position: npt.NDArray[np.float64]  # (n, 2)
    velocity: npt.NDArray[np.float64]  # (n, 2)
    acceleration: npt.NDArray[np.float64]  # (n, 2), of which those with odd numbers have theirs
    hp: npt.NDArray[np.float64]


def scene(n: int) -> Scene:
    """n entities."""
    draw = np.random.default_rng(SEED)
    position = draw.uniform(-40, 40, (n, 2))
    velocity = draw.uniform(-10, 10, (n, 2))
    acceleration = draw.uniform(-10, 10, (n, 2))
    return Scene(position, velocity, acceleration, draw.uniform(30, 100, n))


def accelerated(n: int) -> npt.NDArray[np.bool_]:
    """Who has an acceleration."""
    return np.arange(n) % 2 == 1


@cache
def targets(n: int) -> Places:
    """(FRAMES, k): who is hit in each frame, a fiftieth, nobody twice."""
    draw = np.random.default_rng(SEED + 1)
    k = min(n, max(16, n // 50))
    return np.stack([draw.choice(n, k, replace=False) for _ in range(FRAMES)])


def born(n: int) -> npt.NDArray[np.float64]:
    """(FRAMES, b): payloads of those that come, a hundredth; as many go, the oldest first. They
    begin at (0, 0) with a velocity of (1, 1)."""
    b = max(16, n // 100)
    return np.arange(FRAMES * b, dtype=np.float64).reshape(FRAMES, b)


def window(n: int, frame: int) -> slice:
    """Who gets a buff in a frame, a two-hundredth, and loses it in the next. Its amount is the
    entity's number."""
    k = max(4, n // 200)
    return slice(frame * k, (frame + 1) * k)


# -- the check -----------------------------------------------------------------------------------


@cache
def expected(name: str, n: int) -> State:
    """The reference: numpy in f8, without a thought of speed."""
    position, velocity, acceleration, hp = (column.copy() for column in scene(n))
    odd = accelerated(n)
    dead, timer = np.zeros(n, np.bool_), np.zeros(n)
    payload, amount = np.full(n, -1.0), np.full(n, np.nan)
    for frame in range(FRAMES):
        for step in WORKLOADS[name].steps:
            if step == "accelerate":
                velocity[odd] += acceleration[odd] * DT
            elif step == "move":
                position += velocity * DT
            elif step == "bounce":
                velocity = np.where(np.abs(position) > WALL, -velocity, velocity)
            elif step == "live":
                was_dead = dead.copy()
                hp[~was_dead] -= DRAINED
                dies = ~was_dead & (hp <= 0)
                timer[was_dead] -= DT
                comes_back = was_dead & (timer <= 0)
                timer[dies] = RESPAWN
                hp[comes_back] = HEALTHY
                dead = (was_dead | dies) & ~comes_back
            elif step == "hit":
                hp[targets(n)[frame]] -= DAMAGE
            elif step == "replace":
                come = born(n)[frame]
                payload = np.concatenate([payload[come.size :], come])
                position = np.concatenate([position[come.size :], np.zeros((come.size, 2))])
                velocity = np.concatenate([velocity[come.size :], np.ones((come.size, 2))])
            else:
                amount[:] = np.nan
                who = window(n, frame)
                amount[who] = np.arange(n)[who]
    having = amount[~np.isnan(amount)]
    found = {
        "position": position, "velocity": velocity, "hp": hp, "dead": dead, "timer": timer,
        "payload": payload, "amount": having,
    }  # fmt: skip
    return {each: found[each] for each in WORKLOADS[name].state}


def fingerprint(state: Mapping[str, Array]) -> npt.NDArray[np.float64]:
    """All values, sorted."""
    return np.sort(
        np.concatenate([np.asarray(each, np.float64).ravel() for each in state.values()])
    )


def check(name: str, n: int, state: State) -> None:
    """Assert that a state is that of the reference, as a whole and for each entity."""
    wanted = expected(name, n)
    assert state.keys() == wanted.keys(), (state.keys(), wanted.keys())
    mine, theirs = fingerprint(state), fingerprint(wanted)
    assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
    np.testing.assert_allclose(mine, theirs, RTOL, ATOL)
    for each, values in wanted.items():
        found = np.asarray(state[each], np.float64)
        np.testing.assert_allclose(found, values, RTOL, ATOL, err_msg=each)


# -- contestants ---------------------------------------------------------------------------------


class Frames(ABC):
    """A contestant in one workload. It has a method for each step that it takes part in, which is
    given the number of the frame."""

    def __init__(self, name: str, n: int) -> None:
        self.name, self.n = name, n
        self.workload = WORKLOADS[name]
        self.steps: list[Callable[[int], object]] = [
            getattr(self, step) for step in self.workload.steps if hasattr(self, step)
        ]

    @abstractmethod
    def begin(self) -> None:
        """The scene, and nothing left of what was."""

    @abstractmethod
    def found(self) -> State:
        """What there is, with at least the names of `workload.state`."""

    def frame(self, number: int) -> None:
        """All steps of one frame."""
        for step in self.steps:
            step(number)

    def before(self) -> None:
        """The scene after the frames that warm up."""
        self.begin()
        for number in range(WARM_UP):
            self.frame(number)

    def call(self) -> None:
        """What is timed."""
        for number in range(WARM_UP, FRAMES):
            self.frame(number)

    def state(self) -> State:
        """What is checked."""
        found = self.found()
        return {each: found[each] for each in self.workload.state}

    def check(self) -> None:
        """Assert that it is that of the reference."""
        check(self.name, self.n, self.state())


def entries(kind: Callable[[str, int], Frames], *names: str) -> dict[str, Callable[[int], Entry]]:
    """A peer's parts in these workloads, by default in all."""

    def entry_of(name: str) -> Callable[[int], Entry]:
        def entry(n: int) -> Entry:
            frames = kind(name, n)
            return Entry(frames.call, frames.check, frames.before)

        entry.__doc__ = kind.__doc__
        return entry

    return {name: entry_of(name) for name in names or WORKLOADS}


# -- as columns ----------------------------------------------------------------------------------


class Columns(Frames):
    """Bare arrays of f4, those with an acceleration first; the rows of w5 are a ring, in which
    newcomers take the place of the oldest. What the steps do is left to others."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        odd = accelerated(n)
        self.order = np.concatenate([np.flatnonzero(odd), np.flatnonzero(~odd)])
        if "payload" in self.workload.has or "amount" in self.workload.state:
            self.order = np.arange(n)
        self.row = np.argsort(self.order)
        given = scene(n)
        self.n_accelerated = int(odd.sum())
        columns = [*given.position.T, *given.velocity.T, *given.acceleration.T, given.hp]
        self.start = [column[self.order].astype(np.float32) for column in columns]
        self.x, self.y, self.dx, self.dy, self.ddx, self.ddy, self.hp = (
            column.copy() for column in self.start
        )
        self.ddx, self.ddy = self.ddx[: self.n_accelerated], self.ddy[: self.n_accelerated]
        self.dead, self.timer = np.zeros(n, np.uint8), np.zeros(n, np.float32)
        self.payload = np.zeros(n, np.float32)
        self.amount, self.buffed = np.zeros(n, np.float32), np.zeros(n, np.bool_)
        self.targets, self.born = self.row[targets(n)], born(n).astype(np.float32)
        self.oldest = 0

    def begin(self) -> None:
        names = ("x", "y", "dx", "dy", "hp")
        columns = (*self.start[:4], self.start[6])
        for name, column in zip(names, columns, strict=True):
            getattr(self, name)[:] = column
        self.dead[:], self.timer[:], self.payload[:], self.buffed[:] = 0, 0, -1, False
        self.oldest = 0

    def leaving(self, frame: int) -> list[tuple[slice, Array]]:
        """Whose rows newcomers take in a frame, and their payloads: one run of rows, or two where
        it goes around the end of the ring."""
        come, first = self.born[frame], self.oldest
        fit = min(come.size, self.n - first)
        self.oldest = (first + come.size) % self.n
        parts = [(slice(first, first + fit), come[:fit])]
        if fit < come.size:
            parts.append((slice(0, come.size - fit), come[fit:]))
        return parts

    def found(self) -> State:
        rows = np.roll(self.row, -self.oldest)
        return {
            "position": np.stack([self.x, self.y], axis=1)[rows],
            "velocity": np.stack([self.dx, self.dy], axis=1)[rows],
            "hp": self.hp[rows],
            "dead": self.dead[rows],
            "timer": self.timer[rows],
            "payload": self.payload[rows],
            "amount": self.amount[self.buffed],
        }


# -- as Python objects ---------------------------------------------------------------------------


@dataclass(slots=True)
class Body:
    """Where something is, and how it moves: one component, as everything that moves has both."""

    x: float
    y: float
    dx: float
    dy: float


@dataclass(slots=True)
class Acceleration:
    """How that changes."""

    x: float
    y: float


@dataclass(slots=True)
class Health:
    """How well it is."""

    hp: float
    dead: bool = False
    timer: float = 0.0


@dataclass(slots=True)
class Payload:
    """When it was born."""

    value: float


@dataclass(slots=True)
class Buff:
    """What it has for a frame."""

    amount: float


Components = list[Any]


class Objects(Frames):
    """Entities with Python objects as components, of Python's floats; each step is a loop over
    what the library gives, or a call for each entity. Place and speed are one component, as in the
    published adapters, which spares these libraries a join. entities: in the order of the scene and
    of birth."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        self.given = [column.tolist() for column in scene(n)]
        self.targets, self.born = targets(n).tolist(), born(n).tolist()
        self.windows = [
            list(range(n))[window(n, frame)] for frame in range(FRAMES)
        ]  # fmt: skip
        self.entities: list[Any] = []

    @abstractmethod
    def clear(self) -> None:
        """No entity is left."""

    @abstractmethod
    def create(self, given: list[Components]) -> list[Any]:
        """Entities with these components."""

    @abstractmethod
    def of(self, entity: Any, kind: type) -> Any:
        """A component of an entity."""

    @abstractmethod
    def buffs(self) -> list[Buff]:
        """Of all who have one."""

    def begin(self) -> None:
        self.clear()
        self.entities = self.create([self.components(number) for number in range(self.n)])

    def components(self, number: int) -> Components:
        """What this entity begins with."""
        position, velocity, acceleration, hp = self.given
        made: Components = []
        for kind in self.workload.has:
            if kind == "position":
                made.append(Body(*position[number], *velocity[number]))
            elif kind == "acceleration" and number % 2 == 1:
                made.append(Acceleration(*acceleration[number]))
            elif kind == "health":
                made.append(Health(hp[number]))
            elif kind == "payload":
                made.append(Payload(-1.0))
        return made

    def found(self) -> State:
        state: State = {"amount": np.sort([buff.amount for buff in self.buffs()])}
        if "velocity" in self.workload.has:
            bodies = [self.of(entity, Body) for entity in self.entities]
            state["position"] = np.array([(one.x, one.y) for one in bodies])
            state["velocity"] = np.array([(one.dx, one.dy) for one in bodies])
        if "health" in self.workload.has:
            health = [self.of(entity, Health) for entity in self.entities]
            state["hp"] = np.array([one.hp for one in health])
            state["dead"] = np.array([one.dead for one in health])
            state["timer"] = np.array([one.timer for one in health])
        if "payload" in self.workload.has:
            state["payload"] = np.array([self.of(e, Payload).value for e in self.entities])
        return state
