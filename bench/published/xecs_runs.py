"""xecs in the published workloads: array expressions, numpy where there are none.

Those of ecs_bench_suite are systems with a query, as its documentation has them, and what is timed
is `app.update()`. In the frames pools are seen as a whole by `World.get_view`, without systems, as
the published adapter does: many times quicker, as no query is matched. Entities cannot end and lose
no component, so add_remove, w5 and w7 are left out. Who is dead in w3 is an Int.
"""

# No `from __future__ import annotations`: xecs reads the annotations of components and systems, and
# wants classes there, not strings.

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import inputs
from ..peers import Entry
from . import frames, suite
from .frames import DT, Frames, State

DRAINED, DT4 = np.float32(frames.DRAINED), np.float32(DT)
RESPAWN, HEALTHY, DAMAGE, WALL = (
    np.float32(v) for v in (frames.RESPAWN, frames.HEALTHY, frames.DAMAGE, frames.WALL)
)


@cache
def kinds() -> SimpleNamespace:
    """The components, which need xecs to be there."""
    import xecs as xx

    class Transform(xx.Component):
        """Sixteen numbers, a field each."""

        __annotations__ = {f"m{k}": xx.Float for k in range(16)}

    class Place(xx.Component):
        """Where something is."""

        x: xx.Float
        y: xx.Float
        z: xx.Float

    class Turn(xx.Component):
        """How it is turned."""

        x: xx.Float
        y: xx.Float
        z: xx.Float

    class Speed(xx.Component):
        """How it moves."""

        x: xx.Float
        y: xx.Float
        z: xx.Float

    class Position(xx.Component):
        """Where something is, on a plane."""

        x: xx.Float
        y: xx.Float

    class Velocity(xx.Component):
        """How it moves."""

        x: xx.Float
        y: xx.Float

    class Acceleration(xx.Component):
        """How that changes."""

        x: xx.Float
        y: xx.Float

    class Health(xx.Component):
        """How well it is."""

        hp: xx.Float
        dead: xx.Int
        timer: xx.Float

    return SimpleNamespace(
        xx=xx, Transform=Transform, Place=Place, Turn=Turn, Speed=Speed, Position=Position,
        Velocity=Velocity, Acceleration=Acceleration, Health=Health,
    )  # fmt: skip


def app_of(*args: Any) -> Any:
    """See `peers.xecs_peer`, which takes over what is here."""
    from ..peers.xecs_peer import app_of

    return app_of(*args)


# -- ecs_bench_suite -----------------------------------------------------------------------------


def fields(kind: SimpleNamespace) -> list[tuple[Any, tuple[str, ...]]]:
    """Components and their fields, in the order of `suite.Bodies`."""
    matrix = tuple(f"m{k}" for k in range(16))
    rest = [(each, ("x", "y", "z")) for each in (kind.Place, kind.Turn, kind.Speed)]
    return [(kind.Transform, matrix), *rest]


def bodies_app(of: suite.Bodies) -> Any:
    """An app that will spawn these."""
    kind, n = kinds(), of.position.shape[0]
    columns = [np.ascontiguousarray(each.T) for each in of]

    def spawn(commands: Any, world: Any) -> None:
        places = commands.spawn(tuple(component for component, _ in fields(kind)), n)
        for (component, names), where, rows in zip(fields(kind), places, columns, strict=True):
            view = world.get_view(component, where)
            for name, row in zip(names, rows, strict=True):
                getattr(view, name).fill(row)

    return app_of({component: n for component, _ in fields(kind)}, spawn)


def found(app: Any) -> suite.Bodies:
    """All there are."""
    views = [(app.world.get_view(component), names) for component, names in fields(kinds())]
    return suite.Bodies(
        *(np.stack([getattr(v, name).numpy() for name in names], axis=1) for v, names in views)
    )


def simple_insert(n: int) -> Entry:
    """One call of Commands.spawn into pools that are there, and an array for each field."""
    given = suite.bodies(n)
    app = bodies_app(given)

    def renew() -> None:
        nonlocal app
        app = bodies_app(given)

    return Entry(lambda: app.update(), lambda: suite.check_bodies(found(app), given), renew)


def simple_iter(n: int) -> Entry:
    """A system: an expression for each axis."""
    kind, given = kinds(), suite.bodies(n)
    app, xx = bodies_app(given), kind.xx
    app.update()

    def move(query: xx.Query[tuple[kind.Place, kind.Speed]]) -> None:  # type: ignore
        place, speed = query.result()
        place.x += speed.x
        place.y += speed.y
        place.z += speed.z

    app.add_system(move)
    return Entry(app.update, lambda: suite.check_bodies(found(app), suite.moved(given)))


# -- frames --------------------------------------------------------------------------------------


class Views(Frames):
    """Expressions on pools, in place; branches and hits by numpy on copies, which are filled in
    again."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        odd = frames.accelerated(n)
        order = np.concatenate([np.flatnonzero(odd), np.flatnonzero(~odd)])
        self.row, self.n_accelerated = np.argsort(order), int(odd.sum())
        columns = [column[order].T.astype(np.float32) for column in frames.scene(n)]
        self.given = [np.ascontiguousarray(column) for column in columns]
        self.targets = self.row[frames.targets(n)]
        self.world: Any = None
        self.faster: Any = None  # which velocities have an acceleration

    def begin(self) -> None:
        kind, n, k = kinds(), self.n, self.n_accelerated
        position, velocity, acceleration, hp = self.given
        moving = "position" in self.workload.has
        sick = "health" in self.workload.has
        always = (kind.Velocity, kind.Position) * moving + (kind.Health,) * sick
        rooms = dict.fromkeys(always, n) | ({kind.Acceleration: k} if moving else {})

        def fill(view: Any, values: inputs.Array) -> None:
            view.x.fill(np.ascontiguousarray(values[0]))
            view.y.fill(np.ascontiguousarray(values[1]))

        def spawn(commands: Any, world: Any) -> None:
            if moving:
                self.faster = commands.spawn((*always, kind.Acceleration), k)[0]
                commands.spawn(always, n - k)
                fill(world.get_view(kind.Position), position)
                fill(world.get_view(kind.Velocity), velocity)
                fill(world.get_view(kind.Acceleration), acceleration[:, :k])
            else:
                commands.spawn(always, n)
            if sick:
                health = world.get_view(kind.Health)
                health.hp.fill(hp)
                health.dead.fill(np.zeros(n, np.int32))
                health.timer.fill(np.zeros(n, np.float32))

        app = app_of(rooms, spawn)
        app.update()
        self.world = app.world

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration."""
        velocity = self.world.get_view(kinds().Velocity, self.faster)
        acceleration = self.world.get_view(kinds().Acceleration)
        velocity.x += acceleration.x * DT
        velocity.y += acceleration.y * DT

    def move(self, frame: int) -> None:
        """All."""
        position = self.world.get_view(kinds().Position)
        velocity = self.world.get_view(kinds().Velocity)
        position.x += velocity.x * DT
        position.y += velocity.y * DT

    def bounce(self, frame: int) -> None:
        """Those beyond a wall."""
        position = self.world.get_view(kinds().Position)
        velocity = self.world.get_view(kinds().Velocity)
        for place, speed in ((position.x, velocity.x), (position.y, velocity.y)):
            values = speed.numpy()
            np.negative(values, out=values, where=np.abs(place.numpy()) > WALL)
            speed.fill(values)

    def live(self, frame: int) -> None:
        """Masks."""
        health = self.world.get_view(kinds().Health)
        hp, timer = health.hp.numpy(), health.timer.numpy()
        dead = health.dead.numpy() != 0
        alive = ~dead
        np.subtract(hp, DRAINED, out=hp, where=alive)
        dies = alive & (hp <= 0)
        np.subtract(timer, DT4, out=timer, where=dead)
        returns = dead & (timer <= 0)
        timer[dies] = RESPAWN
        hp[returns] = HEALTHY
        health.hp.fill(hp)
        health.timer.fill(timer)
        health.dead.fill(((dead | dies) & ~returns).astype(np.int32))

    def hit(self, frame: int) -> None:
        """A scatter into a copy."""
        health = self.world.get_view(kinds().Health)
        hp = health.hp.numpy()
        hp[self.targets[frame]] -= DAMAGE
        health.hp.fill(hp)

    def found(self) -> State:
        kind, world, state = kinds(), self.world, State()
        if "position" in self.workload.has:
            for name, component in (("position", kind.Position), ("velocity", kind.Velocity)):
                value = world.get_view(component)
                state[name] = np.stack([value.x.numpy(), value.y.numpy()], axis=1)[self.row]
        if "health" in self.workload.has:
            health = world.get_view(kind.Health)
            for name in ("hp", "dead", "timer"):
                state[name] = getattr(health, name).numpy()[self.row]
        return state


WORKLOADS = {
    "simple_insert": simple_insert,
    "simple_iter": simple_iter,
    **frames.entries(
        Views, "frame_w1_integrate", "frame_w2_bounce", "frame_w3_health", "frame_w4_hits",
        "frame_w6_mixed",
    ),
}  # fmt: skip
