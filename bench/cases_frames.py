"""The seven frames of the microecs comparison of ECS libraries in Python.

A call is the 30 frames that are timed there, after 3 to warm up; figures are for an entity and a
frame. "systems" runs each system by itself, without a schedule, as the others are run there; "step"
is a whole `world.step`. What happens in a frame, and the check: `published.frames`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from populace import Read, World, Write, b1, component, f4, kernel, system

from .harness import Contest, Run, case
from .inputs import Array
from .published import frames
from .published.frames import Columns, Frames, State

AREA = "published"

DT = f4(frames.DT)
DT_US = 16_000
WALL, HEALTHY, RESPAWN = f4(frames.WALL), f4(frames.HEALTHY), f4(frames.RESPAWN)
DRAINED = f4(frames.DRAINED)
DAMAGE = f4(frames.DAMAGE)


@component
class Position:
    """Where something is."""

    x: f4
    y: f4


@component
class Velocity:
    """How it moves."""

    x: f4
    y: f4


@component
class Acceleration:
    """How that changes."""

    x: f4
    y: f4


@component
class Health:
    """How well it is."""

    hp: f4
    dead: b1 = False
    timer: f4 = 0.0


@component
class Payload:
    """When it was born."""

    value: f4 = -1.0


@component
class Buff:
    """What it has for a frame."""

    amount: f4


@dataclass
class Script:
    """What is to happen, frame by frame. ids: in the order of the scene and of birth."""

    n: int
    ids: Array
    targets: Array
    born: Array
    frame: int = 0


@kernel
def accelerate(velocity: Write[Velocity], acceleration: Read[Acceleration]):  # type: ignore[no-untyped-def]
    """Those that have an acceleration."""
    velocity.x += acceleration.x * DT
    velocity.y += acceleration.y * DT


@kernel
def move(position: Write[Position], velocity: Read[Velocity]):  # type: ignore[no-untyped-def]
    """All."""
    position.x += velocity.x * DT
    position.y += velocity.y * DT


@kernel
def bounce(position: Read[Position], velocity: Write[Velocity]):  # type: ignore[no-untyped-def]
    """Those beyond a wall turn back."""
    if abs(position.x) > WALL:
        velocity.x = -velocity.x
    if abs(position.y) > WALL:
        velocity.y = -velocity.y


@kernel
def live(health: Write[Health]):  # type: ignore[no-untyped-def]
    """Health drains; those without are dead for a while."""
    if health.dead:
        health.timer -= DT
        if health.timer <= f4(0):
            health.dead = False
            health.hp = HEALTHY
    else:
        health.hp -= DRAINED
        if health.hp <= f4(0):
            health.dead = True
            health.timer = RESPAWN


@system
def hit(world: World) -> None:
    """Those that are hit in this frame, by their ids."""
    script = world.resource(Script)
    ids = script.ids[script.targets[script.frame]]
    world.set(ids, Health(hp=world.get(ids, Health.hp) - DAMAGE))
    script.frame += 1


@system
def replace(world: World) -> None:
    """The oldest go, as many come."""
    script = world.resource(Script)
    come = script.born[script.frame]
    first = script.frame * come.size
    world.despawn(script.ids[first : first + come.size])
    ids = world.spawn(come.size, Position(x=0, y=0), Velocity(x=1, y=1), Payload(value=come))
    script.ids[first + script.n : first + script.n + come.size] = ids
    script.frame += 1


@system
def migrate(world: World) -> None:
    """Those of the frame before lose their buff, others get one."""
    script = world.resource(Script)
    if script.frame:
        world.remove(script.ids[frames.window(script.n, script.frame - 1)], Buff)
    who = frames.window(script.n, script.frame)
    world.add(script.ids[who], Buff(amount=np.arange(who.start, who.stop)))
    script.frame += 1


SYSTEMS: dict[str, Any] = {
    each.name: each for each in (accelerate, move, bounce, live, hit, replace, migrate)
}


class Populace(Frames):
    """A new world for each call. direct: run the systems in turn, not world.step."""

    def __init__(self, name: str, n: int, direct: bool) -> None:
        super().__init__(name, n)
        self.direct = direct
        self.systems = [SYSTEMS[step] for step in self.workload.steps]
        self.given = frames.scene(n)
        self.odd = frames.accelerated(n)
        self.targets, self.born = frames.targets(n), frames.born(n).astype(np.float32)
        self.world = World()
        self.script = Script(n, np.empty(0, np.uint64), self.targets, self.born)
        self.runs: list[Callable[[], object]] = []

    def begin(self) -> None:
        self.world = World(seed=frames.SEED)
        ids = np.zeros(self.n + self.born.size, np.uint64)
        self.script = Script(self.n, ids, self.targets, self.born)
        self.world.insert(self.script)
        everyone = np.arange(self.n)
        accelerating = "acceleration" in self.workload.has
        for rows in (everyone[self.odd], everyone[~self.odd]) if accelerating else (everyone,):
            ids[rows] = self.world.spawn(rows.size, *self.components(rows))
        if self.direct:
            self.runs = [partial(each.bind(self.world).run, None) for each in self.systems]
        else:
            self.world.add_systems(*self.systems)

    def components(self, rows: Array) -> list[object]:
        """What these of the scene begin with."""
        made: list[object] = []
        for name in self.workload.has:
            if name == "health":
                made.append(Health(hp=self.given.hp[rows]))
            elif name == "payload":
                made.append(Payload())
            elif name != "acceleration" or self.odd[rows[0]]:
                x, y = getattr(self.given, name)[rows].T
                kind = {"position": Position, "velocity": Velocity}.get(name, Acceleration)
                made.append(kind(x=x, y=y))
        return made

    def frame(self, number: int) -> None:
        if self.direct:
            for run in self.runs:
                run()
        else:
            self.world.step(DT_US)

    def found(self) -> State:
        gone = self.born.size if "payload" in self.workload.has else 0
        ids, get = self.script.ids[gone : gone + self.n], self.world.get
        state: State = {"amount": np.sort(self.world.query(Buff).gather(Buff.amount))}
        if "velocity" in self.workload.has:
            state["position"] = np.stack([get(ids, f) for f in (Position.x, Position.y)], axis=1)
            state["velocity"] = np.stack([get(ids, f) for f in (Velocity.x, Velocity.y)], axis=1)
        if "health" in self.workload.has:
            for name in ("hp", "dead", "timer"):
                state[name] = get(ids, getattr(Health, name))
        if "payload" in self.workload.has:
            state["payload"] = get(ids, Payload.value)
        return state


# -- the bound -----------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def advance(x_n, y_n, dx_n, dy_n, dt):  # type: ignore[no-untyped-def]
    """x, y += dx, dy * dt."""
    for i in range(x_n.size):
        x_n[i] += dx_n[i] * dt
        y_n[i] += dy_n[i] * dt


@njit(cache=True, nogil=True)
def turn_back(x_n, dx_n, wall):  # type: ignore[no-untyped-def]
    """Those beyond a wall, along one axis."""
    for i in range(x_n.size):
        if abs(x_n[i]) > wall:
            dx_n[i] = -dx_n[i]


@njit(cache=True, nogil=True)
def drain(hp_n, dead_n, timer_n, drained, dt, respawn, healthy):  # type: ignore[no-untyped-def]
    """One frame of health."""
    for i in range(hp_n.size):
        if dead_n[i]:
            timer_n[i] -= dt
            if timer_n[i] <= 0:
                dead_n[i] = 0
                hp_n[i] = healthy
        else:
            hp_n[i] -= drained
            if hp_n[i] <= 0:
                dead_n[i] = 1
                timer_n[i] = respawn


@njit(cache=True, nogil=True)
def hurt(hp_n, row_k, damage):  # type: ignore[no-untyped-def]
    """Those in these rows."""
    for j in range(row_k.size):
        hp_n[row_k[j]] -= damage


@njit(cache=True, nogil=True)
def take_rows(x_k, y_k, dx_k, dy_k, payload_k, come_k):  # type: ignore[no-untyped-def]
    """Newcomers in these rows."""
    for j in range(come_k.size):
        x_k[j], y_k[j], dx_k[j], dy_k[j] = 0, 0, 1, 1
        payload_k[j] = come_k[j]


@njit(cache=True, nogil=True)
def take_turns(buffed_n, amount_n, begin, end, width):  # type: ignore[no-untyped-def]
    """The rows before `begin` lose their buff, those from there to `end` get one."""
    for i in range(max(0, begin - width), begin):
        buffed_n[i] = False
    for i in range(begin, end):
        buffed_n[i] = True
        amount_n[i] = i


class Bare(Columns):
    """Loops by hand over bare arrays: no ids, no tables, no holes."""

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration come first."""
        k = self.n_accelerated
        advance(self.dx[:k], self.dy[:k], self.ddx, self.ddy, DT)

    def move(self, frame: int) -> None:
        """All."""
        advance(self.x, self.y, self.dx, self.dy, DT)

    def bounce(self, frame: int) -> None:
        """Along each axis."""
        turn_back(self.x, self.dx, WALL)
        turn_back(self.y, self.dy, WALL)

    def live(self, frame: int) -> None:
        """One loop."""
        drain(self.hp, self.dead, self.timer, DRAINED, DT, RESPAWN, HEALTHY)

    def hit(self, frame: int) -> None:
        """By row."""
        hurt(self.hp, self.targets[frame], DAMAGE)

    def replace(self, frame: int) -> None:
        """Newcomers overwrite the oldest."""
        for rows, come in self.leaving(frame):
            take_rows(
                self.x[rows], self.y[rows], self.dx[rows], self.dy[rows], self.payload[rows], come
            )

    def migrate(self, frame: int) -> None:
        """A mask and a column."""
        who = frames.window(self.n, frame)
        take_turns(self.buffed, self.amount, who.start, who.stop, who.stop - who.start)


def contest(name: str, n: int) -> Contest:
    """Systems by themselves, and in a step; both and the bound are what the reference says, and
    bit for bit the same."""
    direct, step, bound = Populace(name, n, True), Populace(name, n, False), Bare(name, n)

    def verify() -> None:
        states = []
        for each in (bound, direct, step):
            each.before()
            each.call()
            each.check()
            states.append(each.state())
        for state in states[1:]:
            for key, values in states[0].items():
                assert np.array_equal(state[key], values), (name, key)
        direct.world.check(), step.world.check()

    return Contest(
        {"systems": Run(direct.call, direct.before), "step": Run(step.call, step.before)},
        Run(bound.call, bound.before),
        verify,
        rows=n * frames.TIMED,
    )


FRAME = {"sizes": frames.SIZES, "unit": "entity", "bytes_each": 2_000}
FEW = (
    "a batch by ids costs 10 to 25 µs whatever its size, for checks and tables; with a few dozen "
    "ids a frame single look-ups in a dict take less"
)
STEP = (
    "a step takes about 15 µs beside its systems, for the schedule, ticks and events: as long as "
    "numpy takes for some thousand entities"
)
ROWS = "a row is its number there, without ids to check or to look up, tables or holes to close"
LOSES = {"numpy": ROWS, "xecs": ROWS, "esper": FEW, "tcod-ecs": FEW}
STEPS = {"numpy": STEP, "xecs": STEP}


@case("systems", "step", loses=STEPS, **FRAME)
def frame_w1_integrate(n: int) -> Contest:
    """vel += acc * dt for half of all, pos += vel * dt for all. Bound: njit loops on arrays."""
    return contest("frame_w1_integrate", n)


@case("systems", "step", loses=STEPS, **FRAME)
def frame_w2_bounce(n: int) -> Contest:
    """w1, then those beyond a wall turn back; with the published numbers nobody gets so far. Bound:
    njit loops on bare arrays."""
    return contest("frame_w2_bounce", n)


@case("systems", "step", loses=STEPS, **FRAME)
def frame_w3_health(n: int) -> Contest:
    """Health drains, who has none is dead for half a second; with the published numbers nobody gets
    so far. Bound: an njit loop on bare arrays."""
    return contest("frame_w3_health", n)


@case("systems", "step", loses=LOSES, **FRAME)
def frame_w4_hits(n: int) -> Contest:
    """A fiftieth is hit in each frame, by id: get, subtract, set. Bound: an njit loop by row."""
    return contest("frame_w4_hits", n)


@case("systems", "step", loses=LOSES, **FRAME)
def frame_w5_churn(n: int) -> Contest:
    """In each frame a hundredth goes, the oldest first, as many come, and all move. Bound: an njit
    loop over a ring of rows, without ids."""
    return contest("frame_w5_churn", n)


@case("systems", "step", loses=LOSES, **FRAME)
def frame_w6_mixed(n: int) -> Contest:
    """w1, w3 and w4 in one frame. Bound: njit loops on bare arrays."""
    return contest("frame_w6_mixed", n)


@case("systems", "step", loses=LOSES, **FRAME)
def frame_w7_migrate(n: int) -> Contest:
    """In each frame a two-hundredth gets a component, those of the frame before lose theirs, and
    all move. Bound: njit loops over a mask and a column."""
    return contest("frame_w7_migrate", n)
