"""Movement: agents walk straight legs, and where one is follows from its last event.

    x(t) = fold(x + vx * (min(t, until) - since)), y(t) likewise

A leg begins at an event (`steer`, `go_to`, `place`), which fixes where the agent was then. It ends
at `until`: who went to a goal stands still there. At the edges `fold` takes each coordinate
for itself: in a world that wraps it is the remainder by the size; else edges are walls, where an
agent stops, or slides along if it came at an angle. (Rejected: reflection. An agent that has met a
wall then heads where nobody sent it.) Goals lie inside the walls, so a leg to a goal meets none; in
a world that wraps it takes the shortest way.

Invariants: a position is a function of `Motion` and the time, in f8, stored as f4: not of when it
was last swept. Events take effect in the order of their times, whatever batches they come in; one
older than the leg it meets counts as happening at the leg's beginning. A leg ends exactly at its
goal, to the last bit of an f4 coordinate (of one below 1 cm: to 1 nm).
Cost: a sweep 1.4 ns a row from memory (48 bytes; copying as many takes 1.0), 0.7 in cache; an event
0.1 to 0.2 µs; a look-up of positions 20 to 70 ns an agent.
"""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components.memory import NEVER
from populace.components.space import Motion, Position, Space
from populace.ecs import Clock, Read, Res, World, Write, f4, f8, i8, jit, kernel
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ColumnShapeError, ColumnValueError

Coordinates = npt.NDArray[np.float32]
Times = npt.NDArray[np.int64]

SLOWEST, FASTEST = 1e-6, 1e6
"""Speeds of a leg in m/s: at the least one a leg across the largest world ends in i8 time."""


@njit(nogil=True, error_model="numpy")
def seconds_moved(since: Any, until: Any, now: Any) -> Any:
    """f8 s of a leg that are over at `now`; none before its beginning. All i8 µs."""
    return f8(max(min(now, until) - since, i8(0))) * f8(1e-6)


@njit(nogil=True, error_model="numpy")
def coordinate_at(start: Any, velocity: Any, elapsed_s: Any, size: Any, wrapping: Any) -> Any:
    """f4 m: one coordinate after `elapsed_s`, folded into the world.

    start: f4 m. velocity: f8 m/s. elapsed_s: f8 s. size: f4 m.
    """
    reached = f8(start) + velocity * elapsed_s
    if wrapping:
        folded = f4(reached - f8(size) * floor(reached / f8(size)))
        # What rounds up to the size is at 0, and so is what rounding left a hair below 0.
        return folded if f4(0) <= folded < size else f4(0)
    return f4(min(max(reached, f8(0)), f8(size)))


@kernel
def refresh_positions(
    motion: Read[Motion], position: Write[Position], clock: Res[Clock], space: Res[Space]
) -> None:
    """Fill `Position` for now."""
    moved = seconds_moved(motion.since, motion.until, clock.now)
    position.x = coordinate_at(motion.x, motion.vx, moved, f4(space.width), space.wrapping)
    position.y = coordinate_at(motion.y, motion.vy, moved, f4(space.height), space.wrapping)


# -- kernels over agents and events ----------------------------------------------------------


@jit
def positions(
    x_n: Any, y_n: Any, vx_n: Any, vy_n: Any, since_n: Any, until_n: Any, now: Any, width: Any,
    height: Any, wrapping: Any, out_x_n: Any, out_y_n: Any,
) -> None:  # fmt: skip
    """out_x_n, out_y_n <- where agents with these `Motion`s are at `now`. All (n,); O(n)."""
    for i in range(x_n.size):
        moved = seconds_moved(since_n[i], until_n[i], now)
        out_x_n[i] = coordinate_at(x_n[i], vx_n[i], moved, width, wrapping)
        out_y_n[i] = coordinate_at(y_n[i], vy_n[i], moved, height, wrapping)


@njit(nogil=True, error_model="numpy")
def way(start: Any, goal: Any, size: Any, wrapping: Any) -> Any:
    """f8 m, signed: how far a goal is along one axis; the shorter way round in a torus."""
    ahead = f8(goal) - f8(start)
    if wrapping:
        ahead -= f8(size) * floor(ahead / f8(size) + 0.5)
    return ahead


@jit
def turn(
    order_e: Any, agent_e: Any, time_e: Any, vx_e: Any, vy_e: Any, width: Any, height: Any,
    wrapping: Any, x_n: Any, y_n: Any, vx_n: Any, vy_n: Any, since_n: Any, until_n: Any,
) -> None:  # fmt: skip
    """Begin an endless leg at each event, in the order `order_e`; the six columns of `Motion` are
    overwritten. agent_e: the row of each event's agent. O(e)."""
    for e in order_e:
        i = agent_e[e]
        time = max(time_e[e], since_n[i])
        moved = seconds_moved(since_n[i], until_n[i], time)
        x_n[i] = coordinate_at(x_n[i], vx_n[i], moved, width, wrapping)
        y_n[i] = coordinate_at(y_n[i], vy_n[i], moved, height, wrapping)
        vx_n[i], vy_n[i] = vx_e[e], vy_e[e]
        since_n[i], until_n[i] = time, NEVER


@jit
def head(
    order_e: Any, agent_e: Any, time_e: Any, to_x_e: Any, to_y_e: Any, speed_e: Any, width: Any,
    height: Any, wrapping: Any, x_n: Any, y_n: Any, vx_n: Any, vy_n: Any, since_n: Any,
    until_n: Any,
) -> None:  # fmt: skip
    """Begin a leg to a goal at each event, as `turn` does an endless one. A speed of infinity is
    there at once. O(e)."""
    for e in order_e:
        i = agent_e[e]
        time = max(time_e[e], since_n[i])
        moved = seconds_moved(since_n[i], until_n[i], time)
        x = coordinate_at(x_n[i], vx_n[i], moved, width, wrapping)
        y = coordinate_at(y_n[i], vy_n[i], moved, height, wrapping)
        dx = way(x, to_x_e[e], width, wrapping)
        dy = way(y, to_y_e[e], height, wrapping)
        lasts = i8(np.ceil(np.sqrt(dx * dx + dy * dy) / speed_e[e] * f8(1e6)))  # whole µs
        since_n[i], until_n[i] = time, time + lasts
        if lasts == 0:
            x_n[i] = coordinate_at(to_x_e[e], f8(0), f8(0), width, wrapping)
            y_n[i] = coordinate_at(to_y_e[e], f8(0), f8(0), height, wrapping)
            vx_n[i], vy_n[i] = f8(0), f8(0)
        else:
            x_n[i], y_n[i] = x, y
            vx_n[i] = dx / (f8(lasts) * f8(1e-6))
            vy_n[i] = dy / (f8(lasts) * f8(1e-6))


# -- what others call ------------------------------------------------------------------------

STATE = (Motion.x, Motion.y, Motion.vx, Motion.vy, Motion.since, Motion.until)


def edges(world: World) -> tuple[Any, Any, Any]:
    """Width and height in m as f4, and whether the world wraps: what kernels take."""
    space = world.resource(Space)
    return f4(space.width), f4(space.height), space.wrapping


def positions_at(world: World, ids: Any, now: int | None = None) -> tuple[Coordinates, Coordinates]:
    """(k,) f4 m twice: x and y of agents now, or at `now` in simulated µs.

    Before its last event an agent counts as standing where that event met it. Raises
    DeadEntityError, ComponentMissingError, ResourceError for a world without `Space`.
    Cost: six look-ups a row.
    """
    columns = [world.get(ids, field) for field in STATE]
    moment = i8(world.clock.now if now is None else now)
    x, y = np.empty(len(columns[0]), f4), np.empty(len(columns[0]), f4)
    given: tuple[Any, ...] = (*columns, moment, *edges(world), x, y)
    positions(*given)
    return x, y


def standing(world: World, ids: Any, now: int | None = None) -> npt.NDArray[np.bool_]:
    """(k,) bool: which agents stand still now, or at `now` in simulated µs.

    Raises DeadEntityError, ComponentMissingError.
    """
    moment = world.clock.now if now is None else now
    still = (world.get(ids, Motion.vx) == 0) & (world.get(ids, Motion.vy) == 0)
    stands: npt.NDArray[np.bool_] = still | (world.get(ids, Motion.until) <= moment)
    return stands


def steer(world: World, ids: Any, vx: Any, vy: Any, time: Any = None) -> None:
    """Agents move on with new velocities from a moment on, until the next event.

    ids: (k,), repeats allowed. vx, vy: m/s. time: simulated µs, now if None. Each (k,) or a scalar.
    Raises ColumnValueError for a velocity that is not finite or above 1e6 m/s, ColumnShapeError,
    DeadEntityError, ComponentMissingError for an agent without `Motion`; nothing is changed then.
    """
    asked = as_ids(ids)
    vx_e, vy_e = (_column(name, v, asked.size) for name, v in (("vx", vx), ("vy", vy)))
    for name, column in (("vx", vx_e), ("vy", vy_e)):
        _check(name, column, np.abs(column) <= FASTEST, "lie in [-1e6, 1e6] m/s")
    _begin(world, asked, time, turn, vx_e, vy_e)


def go_to(world: World, ids: Any, x: Any, y: Any, speed: Any, time: Any = None) -> None:
    """Agents walk straight to a goal from a moment on, and stand still there.

    ids: (k,), repeats allowed. x, y: m, inside the world; in a world that wraps any point, and they
    take the shortest way. speed: m/s, in [1e-6, 1e6]. time: simulated µs, now if None. Each (k,) or
    a scalar.

    Raises ColumnValueError for a goal outside the walls or a speed that is none, ColumnShapeError,
    DeadEntityError, ComponentMissingError for an agent without `Motion`; nothing is changed then.

    >>> world = World()
    >>> world.insert(Space(width=100, height=100))
    >>> ann = world.spawn(1, Motion(x=10, y=10))
    >>> go_to(world, ann, 40, 50, speed=2.0)            # 50 m, 25 s
    >>> [float(c[0]) for c in positions_at(world, ann, 5_000_000)]
    [16.0, 18.0]
    >>> [float(c[0]) for c in positions_at(world, ann, 60_000_000)]
    [40.0, 50.0]
    """
    asked = as_ids(ids)
    goal = _points(world, x, y, asked.size)
    pace = _column("speed", speed, asked.size)
    _check("speed", pace, (pace >= SLOWEST) & (pace <= FASTEST), "lie in [1e-6, 1e6] m/s")
    _begin(world, asked, time, head, *goal, pace)


def place(world: World, ids: Any, x: Any, y: Any, time: Any = None) -> None:
    """Put agents down at a point at a moment; those without `Motion` get it.

    ids: (k,), distinct where any lacks `Motion`. x, y: m, inside the world. time: simulated µs, now
    if None. Raises ColumnValueError for a point outside the walls, ColumnShapeError,
    DeadEntityError, DuplicateEntityError; nothing is changed then.
    """
    asked = as_ids(ids)
    goal = _points(world, x, y, asked.size)
    when = _times(world, time, asked.size)
    new = ~world.has(asked, Motion)
    if new.any():
        world.add(asked[new], Motion(x=goal[0][new], y=goal[1][new], since=when[new]))
    _begin(world, asked, when, head, *goal, _column("speed", np.inf, asked.size))


def _begin(world: World, ids: Ids, time: Any, kernel: Any, *columns: Any) -> None:
    """Begin a leg at each event by `turn` or `head`."""
    when = _times(world, time, ids.size)
    agents, rows = np.unique(ids, return_inverse=True)
    state = [world.get(agents, field) for field in STATE]
    order = np.argsort(when, kind="stable")
    kernel(order, rows, when, *columns, *edges(world), *state)
    values = {field.name: column for field, column in zip(STATE, state, strict=True)}
    world.set(agents, Motion(**values))


def _times(world: World, time: Any, n: int) -> Times:
    when = np.asarray(world.clock.now if time is None else time)
    if when.dtype.kind not in "iu":
        raise ColumnValueError(f"time is simulated µs in whole numbers, got {when.dtype}")
    times: Times = _column("time", when, n, i8)
    return times


def _points(world: World, x: Any, y: Any, n: int) -> tuple[Coordinates, Coordinates]:
    width, height, wrapping = edges(world)
    x_e, y_e = _column("x", x, n, f4), _column("y", y, n, f4)
    for name, column, size in (("x", x_e, width), ("y", y_e, height)):
        if wrapping:
            _check(name, column, np.isfinite(column), "be finite")
        else:
            _check(name, column, (column >= 0) & (column <= size), f"lie in [0, {size:g}] m")
    return x_e, y_e


def _column(name: str, value: Any, n: int, dtype: Any = f8) -> Any:
    """(n,) of a dtype from n values or a scalar, read-only: one type for kernels, whatever was
    given. Raises ColumnShapeError."""
    given = np.asarray(value, dtype)
    if given.shape not in ((), (n,)):
        raise ColumnShapeError(f"{name} needs {n:,} values or a scalar, got shape {given.shape}")
    column = np.ascontiguousarray(np.broadcast_to(given, n))
    column.flags.writeable = False
    return column


def _check(name: str, column: Any, good: Any, allowed: str) -> None:
    if not good.all():
        bad = int(np.argmin(good))
        raise ColumnValueError(f"{name} must {allowed}; got {column[bad]:g} at place {bad}")
