"""xecs: pools of columns in Rust, which systems get as views of what a query matches.

As its documentation recommends: an app with preallocated pools, `Commands.spawn` in bulk and `fill`
with an array, systems of array expressions on vectors, numpy on `.numpy()`. What is timed is one
`app.update()`, in which each query is run anew: entities cannot be named, only masked, can lose no
component and cannot end, so the cases that need this are left out.
"""

# No `from __future__ import annotations`: xecs reads the annotations of components and systems, and
# wants classes there, not strings.

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import inputs
from ..published import xecs_runs
from . import Entry, Peer

DT = float(inputs.DT)


@cache
def kinds() -> SimpleNamespace:
    """The components, which need xecs to be there. It numbers them in the order of definition, and
    an app has room for as many pools as there were when it was made."""
    import xecs as xx

    class Position(xx.Component):
        """Where something is."""

        value: xx.Vec2

    class Velocity(xx.Component):
        """How it moves."""

        value: xx.Vec2

    class Data(xx.Component):
        """One number."""

        value: xx.Float

    class Trace(xx.Component):
        """A memory with a half-life. There are no 64-bit fields: the access is s before NOW."""

        importance: xx.Float
        stability: xx.Float
        before: xx.Float
        strength: xx.Float

    class Recollection(xx.Component):
        """A memory that lasts the longer, the more often it was recalled."""

        importance: xx.Float
        last: xx.Float
        recalls: xx.Int
        strength: xx.Float

    letters = [
        type(f"Letter{k}", (xx.Component,), {"__annotations__": {"value": xx.Bool}})
        for k in range(inputs.FRAGMENTS)
    ]
    return SimpleNamespace(
        xx=xx,
        Position=Position,
        Velocity=Velocity,
        Data=Data,
        Trace=Trace,
        Recollection=Recollection,
        letters=letters,
    )


def app_of(rooms: dict[Any, int], spawn: Callable[[Any, Any], None]) -> Any:
    """An app with a pool of each component, in whose first update `spawn(commands, world)` runs."""
    import xecs as xx

    app = xx.RealTimeApp()
    for component, room in rooms.items():
        app.add_pool(component.create_pool(room))

    def begin(commands: xx.Commands, world: xx.World) -> None:
        spawn(commands, world)

    app.add_startup_system(begin)
    return app


def bodies_of(columns: inputs.Floats) -> Any:
    """An app that will spawn these rows."""
    kind, n = kinds(), columns.shape[1]

    def spawn(commands: Any, world: Any) -> None:
        places = commands.spawn((kind.Position, kind.Velocity), n)
        position = world.get_view(kind.Position, places[0]).value
        velocity = world.get_view(kind.Velocity, places[1]).value
        position.x.fill(columns[0])
        position.y.fill(columns[1])
        velocity.x.fill(columns[2])
        velocity.y.fill(columns[3])

    return app_of({kind.Position: n, kind.Velocity: n}, spawn)


def found(app: Any) -> inputs.Floats:
    """(4, n): what there is."""
    position = app.world.get_view(kinds().Position).value
    velocity = app.world.get_view(kinds().Velocity).value
    columns = (position.x, position.y, velocity.x, velocity.y)
    return np.stack([column.numpy() for column in columns])


def spawn_4c(n: int) -> Entry:
    """One call of Commands.spawn into pools that are there, and an array for each field."""
    columns = inputs.columns(n)
    app = bodies_of(columns)

    def renew() -> None:
        nonlocal app
        app = bodies_of(columns)

    return Entry(lambda: app.update(), lambda: _equal(found(app), columns), renew)


def _equal(mine: inputs.Array, expected: inputs.Array) -> None:
    assert np.array_equal(mine, expected)


def iter_2c(n: int) -> Entry:
    """A system: one expression on vectors."""
    kind, start = kinds(), inputs.motion(n)
    app, xx = bodies_of(start), kind.xx
    app.update()
    expected = np.concatenate([inputs.advanced(start), start[2:]])

    def move(query: xx.Query[tuple[kind.Position, kind.Velocity]]) -> None:  # type: ignore
        position, velocity = query.result()
        position.value += velocity.value * DT

    app.add_system(move)
    return Entry(app.update, lambda: _equal(found(app), expected))


def iter_frag26(n: int) -> Entry:
    """A system: one expression; 26 sets of entities that have another component too."""
    kind = kinds()
    xx, parts = kind.xx, inputs.fragments(n)
    rooms = {kind.Data: n}
    rooms |= {letter: end - begin for letter, (begin, end) in zip(kind.letters, parts, strict=True)}

    def spawn(commands: Any, world: Any) -> None:
        for letter, (begin, end) in zip(kind.letters, parts, strict=True):
            places = commands.spawn((kind.Data, letter), end - begin)
            numbers = np.arange(begin, end, dtype=np.float32)
            world.get_view(kind.Data, places[0]).value.fill(numbers)

    def double(query: xx.Query[kind.Data]) -> None:  # type: ignore[name-defined]
        data = query.result()
        data.value *= 2.0

    app = app_of(rooms, spawn)
    app.update()
    app.add_system(double)

    def check() -> None:
        data = app.world.get_view(kind.Data)
        _equal(data.value.numpy(), np.arange(n, dtype=np.float32) * 2)
        data.value.fill(0.0)  # stays 0 however often it is doubled

    return Entry(app.update, check)


def sweep_decay(n: int) -> Entry:
    """A system: numpy on copies of the columns, and the result filled in; for a new moment each
    time."""
    kind, given, now = kinds(), inputs.traces(n), inputs.NOW
    xx = kind.xx
    before = ((inputs.NOW - given.accessed) / 1e6).astype(np.float32)

    def spawn(commands: Any, world: Any) -> None:
        (places,) = commands.spawn((kind.Trace,), n)
        trace = world.get_view(kind.Trace, places)
        trace.importance.fill(given.importance)
        trace.stability.fill(given.stability)
        trace.before.fill(before)

    def decay(query: xx.Query[kind.Trace]) -> None:  # type: ignore[name-defined]
        trace = query.result()
        left = trace.before.numpy()
        left += np.float32((now - inputs.NOW) * 1e-6)
        left /= trace.stability.numpy()
        np.exp2(np.negative(left, out=left), out=left)
        left *= trace.importance.numpy()
        trace.strength.fill(left)

    app = app_of({kind.Trace: n}, spawn)
    app.update()
    app.add_system(decay)

    def sweep() -> None:
        nonlocal now
        now += 1_000_000
        app.update()

    def check() -> None:
        strength = app.world.get_view(kind.Trace).strength.numpy()
        np.testing.assert_allclose(strength, inputs.strengths(given, now), rtol=1e-6)  # f4

    return Entry(sweep, check)


def decay_w6(n: int) -> Entry:
    """A system: numpy on copies of the columns, the result filled in, and counted."""
    kind, given, weak = kinds(), inputs.recollections(n), 0
    xx = kind.xx

    def spawn(commands: Any, world: Any) -> None:
        (places,) = commands.spawn((kind.Recollection,), n)
        memory = world.get_view(kind.Recollection, places)
        memory.importance.fill(given.importance)
        memory.last.fill(given.last)
        memory.recalls.fill(given.recalls.astype(np.int32))

    def decay(query: xx.Query[kind.Recollection]) -> None:  # type: ignore[name-defined]
        nonlocal weak
        memory = query.result()
        lasts = memory.recalls.numpy().astype(np.float32)
        np.log1p(lasts, out=lasts)
        lasts += np.float32(1)
        lasts *= inputs.TAU_S
        strength = memory.last.numpy()
        strength -= inputs.W6_NOW_S
        strength /= lasts
        np.exp(strength, out=strength)
        strength *= memory.importance.numpy()
        memory.strength.fill(strength)
        weak = int(np.count_nonzero(strength < inputs.THRESHOLD))

    app = app_of({kind.Recollection: n}, spawn)
    app.update()
    app.add_system(decay)

    def check() -> None:
        strength = app.world.get_view(kind.Recollection).strength.numpy()
        inputs.check_w6(given, strength, weak)

    return Entry(app.update, check)


PEER = Peer(
    "xecs",
    "xecs",
    workloads={
        "spawn_4c": spawn_4c,
        "iter_2c": iter_2c,
        "iter_frag26": iter_frag26,
        "sweep_decay": sweep_decay,
        "decay_w6": decay_w6,
        **xecs_runs.WORKLOADS,
    },
)
