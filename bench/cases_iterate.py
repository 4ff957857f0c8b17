"""Iteration: one large table, 26 fragments, and what a call costs beyond its loop."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from populace import Clock, Read, Res, World, Write, f4, kernel, seconds, system

from . import bare, inputs
from .harness import Contest, Loss, Run, case, ratio, us, us_beyond
from .inputs import DT, FRAGMENTS
from .parts import Data, Position, Velocity, fragmented, tag_sets
from .reasons import CALL, TABLE_BY_TABLE

AREA = "ecs"


@njit(cache=True, nogil=True)
def advance(x_n, y_n, dx_n, dy_n, dt):  # type: ignore[no-untyped-def]
    """A user's kernel: pos += vel * dt."""
    for i in range(x_n.size):
        x_n[i] += dx_n[i] * dt
        y_n[i] += dy_n[i] * dt


@system
def move_arrays(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]) -> None:
    """An array system around it."""
    advance(position.x, position.y, velocity.x, velocity.y, f4(clock.dt_s))


@kernel
def move_rows(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]):  # type: ignore[no-untyped-def]
    """The same as a row function, in f4."""
    position.x += velocity.x * f4(clock.dt_s)
    position.y += velocity.y * f4(clock.dt_s)


@kernel
def move_rows_f8(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]):  # type: ignore[no-untyped-def]
    """The same with the clock's own f8: the product is f8, as in Python."""
    position.x += velocity.x * clock.dt_s
    position.y += velocity.y * clock.dt_s


F8 = Loss("its product is in f8, as Python's own would be", subjects=("kernel_f8",))


@case(
    "query", "system", "kernel", "kernel_f8", fast=True,
    loses=(F8, Loss(CALL)),
    target=dict.fromkeys(("query", "system", "kernel"), ratio(1.10, from_size=100_000)),
    peers={
        "EnTT": {10_000: 0.0017, 100_000: 0.0186, 1_000_000: 0.559, 10_000_000: 11.2},
        "flecs": {10_000: 0.00186, 100_000: 0.0177, 1_000_000: 0.547, 10_000_000: 9.22},
        "bare": {10_000: 0.0019, 100_000: 0.0167, 1_000_000: 0.551, 10_000_000: 9.78},
    },
)  # fmt: skip
def iter_2c(n: int) -> Contest:
    """pos += vel * dt over one table: a query with an njit kernel, the same as a system, a row
    kernel; bound: the njit loop on the same columns."""
    world = World(seed=1)
    start = inputs.motion(n)
    world.spawn(n, Position(x=start[0], y=start[1]), Velocity(x=start[2], y=start[3]))
    world.step(seconds(float(DT)))
    query = world.query(Position, Velocity)

    def sweep() -> None:
        for position, velocity in query:
            advance(position.x, position.y, velocity.x, velocity.y, DT)

    subjects = {
        "query": Run(sweep),
        "system": Run(partial(move_arrays.bind(world).run, None)),
        "kernel": Run(move_rows.bind(world).run),
        "kernel_f8": Run(move_rows_f8.bind(world).run),
    }
    position, velocity = next(iter(query))
    bound = Run(partial(bare.advance, position.x, position.y, velocity.x, velocity.y, DT))

    def verify() -> None:
        results = []
        for run in (*subjects.values(), bound):
            position.x[:], position.y[:] = start[:2]
            run.call()
            results.append(np.stack([position.x, position.y]))
        for result in results:
            assert np.array_equal(result, inputs.advanced(start))

    return Contest(subjects, bound, verify)


@system
def double_arrays(data: Write[Data]) -> None:
    """An array system with numpy."""
    data.value *= 2


@kernel
def double_rows(data: Write[Data]):  # type: ignore[no-untyped-def]
    """The same as a row function."""
    data.value *= f4(2)


def doubling(n_tables: int, rows: int) -> Contest:
    """data.value *= 2 over several tables."""
    world = fragmented(n_tables, rows)
    query = world.query(Data)

    def sweep() -> None:
        for data in query:
            data.value *= 2

    tables = query.tables()
    addresses = np.array([t.column(Data.value).ctypes.data for t in tables], np.int64)
    counts = np.array([t.n for t in tables], np.int64)
    bound = Run(partial(bare.double_tables, addresses, counts))
    subjects = {
        "kernel": Run(double_rows.bind(world).run),
        "system": Run(partial(double_arrays.bind(world).run, None)),
        "query": Run(sweep),
    }

    def verify() -> None:
        for run in (*subjects.values(), bound):
            query.set(Data(value=np.arange(rows)))
            run.call()
            assert np.array_equal(query.gather(Data.value), np.arange(rows, dtype=np.float32) * 2)
        query.set(Data(value=0.0))  # stays 0 however often it is doubled

    return Contest(subjects, bound, verify)


@case(
    "kernel", "system", "query", sizes=(520,), target={"kernel": us(0.78)},
    loses=(Loss(TABLE_BY_TABLE, subjects=("query", "system")), Loss(CALL)),
    peers={"EnTT": {520: 0.000263}, "flecs": {520: 0.000261}, "bare": {520: 0.000336}},
)  # fmt: skip
def iter_frag26x20(n: int) -> Contest:
    """value *= 2 over 26 archetypes of 20 rows; bound: one njit call on a table of pointers."""
    return doubling(FRAGMENTS, n)


@case(
    "kernel", "system", "query", target={"kernel": ratio(1.10, from_size=100_000)},
    loses=(Loss(TABLE_BY_TABLE, subjects=("query", "system")), Loss(CALL)),
    peers={
        "EnTT": {10_000: 0.00433, 100_000: 0.0481, 1_000_000: 0.52, 10_000_000: 11.6},
        "flecs": {10_000: 0.000943, 100_000: 0.00707, 1_000_000: 0.133, 10_000_000: 1.45},
        "bare": {10_000: 0.000807, 100_000: 0.00684, 1_000_000: 0.134, 10_000_000: 1.42},
    },
)  # fmt: skip
def iter_frag26(n: int) -> Contest:
    """value *= 2 over 26 archetypes of n / 26 rows; bound: one njit call on a table of pointers."""
    return doubling(FRAGMENTS, n)


@system
def idle_arrays(data: Write[Data]) -> None:
    """Nothing, with arrays."""


@kernel
def idle_rows(data: Write[Data]):  # type: ignore[no-untyped-def]
    """As little as possible, by rows."""
    data.value = data.value


TABLES = {"sizes": (1, 26, 1000), "unit": "table", "bytes_each": 100_000}


@case("system", "kernel", "step", target=us_beyond(5), **TABLES)
def call_empty(n_tables: int) -> Contest:
    """An empty system over so many tables of 20 rows: run by itself, as a kernel, and in a whole
    world.step; bound: plain Python that calls the empty function with ready arguments."""
    world = fragmented(n_tables, 20 * n_tables)
    stepping = fragmented(n_tables, 20 * n_tables)
    stepping.add_system(idle_arrays)
    views = list(world.query(Data))
    function = idle_arrays.function

    def loop() -> None:
        for view in views:
            function(view)

    return Contest(
        {
            "system": Run(partial(idle_arrays.bind(world).run, None)),
            "kernel": Run(idle_rows.bind(world).run),
            "step": Run(partial(stepping.step, 1)),
        },
        Run(loop),
    )


@case("system", "kernel", "query", target=us_beyond(5), **TABLES)
def call_after_change(n_tables: int) -> Contest:
    """The first run after an entity came and went in a table that the system does not visit;
    bound: as for call_empty."""
    world = fragmented(n_tables, 20 * n_tables)
    views = list(world.query(Data))
    function = idle_arrays.function
    query = world.query(Data)

    def change() -> None:
        world.despawn(world.spawn(1, Position(x=0, y=0)))

    def loop() -> None:
        for view in views:
            function(view)

    def sweep() -> None:
        for view in query:
            function(view)

    return Contest(
        {
            "system": Run(partial(idle_arrays.bind(world).run, None), change),
            "kernel": Run(idle_rows.bind(world).run, change),
            "query": Run(sweep, change),
        },
        Run(loop, change),
    )


def among(n_archetypes: int) -> World:
    """A world of so many archetypes, one of which has Data: 1,000 rows."""
    world = World(seed=1)
    world.spawn(1_000, Data())
    for tags in tag_sets(n_archetypes - 1) if n_archetypes > 1 else []:
        world.spawn(1, Position(x=0, y=0), *tags)
    return world


def alone_or_among(name: str, n: int) -> Contest:
    """One system or query in a world of n archetypes, and in a world of one."""
    runs = []
    for world in (among(n), among(1)):
        assert len(world.store.archetypes) in (n, 1)
        query = world.query(Data)

        def sweep(query=query) -> None:  # type: ignore[no-untyped-def]
            for data in query:
                bare.double(data.value)

        made = {"query": sweep, "system": partial(double_arrays.bind(world).run, None)}
        runs.append(Run(made.get(name) or double_rows.bind(world).run))
    return Contest({name: runs[0]}, runs[1])


ARCHETYPES = {"sizes": (10_000,), "unit": "archetype", "target": ratio(1.10), "bytes_each": 20_000}


@case("query", **ARCHETYPES)
def among_archetypes_query(n: int) -> Contest:
    """A query that matches one of 10,000 archetypes; bound: the same in a world of one."""
    return alone_or_among("query", n)


@case("system", **ARCHETYPES)
def among_archetypes_system(n: int) -> Contest:
    """A system that matches one of 10,000 archetypes; bound: the same in a world of one."""
    return alone_or_among("system", n)


@case("kernel", **ARCHETYPES)
def among_archetypes_kernel(n: int) -> Contest:
    """A row kernel that matches one of 10,000 archetypes; bound: the same in a world of one."""
    return alone_or_among("kernel", n)
