"""ecs_bench_suite: the workloads that ECS libraries in Rust are compared by.

Here entities come, are swept and change what they have; `cases_published_compute` and
`cases_published_files` have the others. At their published size and at larger ones. What they start
from: `published.suite`.
"""

from __future__ import annotations

import gc
from functools import partial

import numpy as np
from numba import njit

from populace import Read, World, Write, f4, kernel

from . import bare, inputs
from .harness import SIZES, Contest, Loss, Run, case, ratio
from .published import suite
from .published.parts import (
    LETTERS,
    A,
    B,
    Data,
    Position,
    Rotation,
    Transform,
    Velocity,
    bodies_of,
    components,
)
from .published.suite import FRAGMENTS
from .reasons import CALL, TABLE_BY_TABLE

AREA = "published"


# -- simple_insert, simple_iter ------------------------------------------------------------------


@case(
    "fresh", "reserved", sizes=SIZES, unit="entity", bytes_each=1_000,
    loses={"numpy": "it copies four arrays: nothing is checked, and no ids are given"},
)  # fmt: skip
def simple_insert(n: int) -> Contest:
    """A new world, and n entities with a matrix and three vectors: the world made in the timed
    call, as published; or made before, with room reserved. Bound: the four columns, an id and a
    slot copied into new arrays."""
    given = suite.bodies(n)
    values = components(given)
    sources = [*given, np.arange(n, dtype=np.uint64), np.zeros((n, 2), np.uint64)]
    held: list[object] = []
    kinds = (Transform, Position, Rotation, Velocity)

    def clear() -> None:
        held.clear()
        gc.collect(0)

    def reserve() -> None:
        clear()
        world = World(seed=1)
        world.reserve(n, *kinds)
        held.append(world)

    def insert() -> None:
        world = World(seed=1)
        world.spawn(n, *values)
        held.append(world)

    def fill() -> None:
        held[0].spawn(n, *values)  # type: ignore[attr-defined]

    def copy() -> None:
        for source in sources:
            into = np.empty_like(source)
            np.copyto(into, source)
            held.append(into)

    def verify() -> None:
        for before, call in ((clear, insert), (reserve, fill)):
            before()
            call()
            suite.check_bodies(bodies_of(held[0]), given)  # type: ignore[arg-type]
        clear()

    subjects = {"fresh": Run(insert, clear), "reserved": Run(fill, reserve)}
    return Contest(subjects, Run(copy, clear), verify)


@njit(cache=True, nogil=True)
def add(value_n, change_n):  # type: ignore[no-untyped-def]
    """value += change."""
    for i in range(value_n.size):
        value_n[i] += change_n[i]


@kernel
def move_rows(position: Write[Position], velocity: Read[Velocity]):  # type: ignore[no-untyped-def]
    """A row function."""
    position.at[0] += velocity.by[0]
    position.at[1] += velocity.by[1]
    position.at[2] += velocity.by[2]


@case(
    "kernel", "query", sizes=SIZES, unit="entity", bytes_each=600,
    target={"kernel": ratio(1.10, from_size=100_000)},
    loses=CALL,
)  # fmt: skip
def simple_iter(n: int) -> Contest:
    """position += velocity on the entities of simple_insert: a row kernel; a query and numpy's +=.
    Bound: the njit loop on the same columns."""
    given = suite.bodies(n)
    world = World(seed=1)
    world.spawn(n, *components(given))
    query = world.query(Position, Velocity)

    def sweep() -> None:
        for position, velocity in query:
            position.at += velocity.by

    subjects = {"kernel": Run(move_rows.bind(world).run), "query": Run(sweep)}
    position, velocity = next(iter(query))
    bound = Run(partial(add, position.at.reshape(-1), velocity.by.reshape(-1)))

    def verify() -> None:
        expected = suite.moved(given)
        for run in (*subjects.values(), bound):
            position.at[:] = given.position
            run.call()
            suite.check_bodies(bodies_of(world), expected)
        velocity.by[:] = 0  # stays there, however often it is moved

    return Contest(subjects, bound, verify)


# -- frag_iter, add_remove -----------------------------------------------------------------------


@kernel
def double_rows(data: Write[Data]):  # type: ignore[no-untyped-def]
    """A row function."""
    data.value *= f4(2)


@case(
    "kernel", "query", sizes=(520, 100_000, 1_000_000), unit="entity",
    loses=(Loss(TABLE_BY_TABLE, subjects=("query",)), Loss(CALL)),
)  # fmt: skip
def frag_iter(n: int) -> Contest:
    """data *= 2, over 26 archetypes each of which has a number of its own beside it (published: 20
    entities each). Bound: one njit call on a table of pointers."""
    world = World(seed=1)
    for letter, (begin, end) in zip(LETTERS, inputs.fragments(n), strict=True):
        world.spawn(end - begin, Data(value=np.arange(begin, end)), letter())
    query = world.query(Data)
    tables = query.tables()
    assert len(tables) == FRAGMENTS
    addresses = np.array([t.column(Data.value).ctypes.data for t in tables], np.int64)
    counts = np.array([t.n for t in tables], np.int64)

    def sweep() -> None:
        for data in query:
            data.value *= 2

    subjects = {"kernel": Run(double_rows.bind(world).run), "query": Run(sweep)}
    bound = Run(partial(bare.double_tables, addresses, counts))

    def verify() -> None:
        for run in (*subjects.values(), bound):
            query.set(Data(value=np.arange(n)))
            run.call()
            assert np.array_equal(query.gather(Data.value), np.arange(n, dtype=np.float32) * 2)
        query.set(Data(value=0.0))  # stays 0 however often it is doubled

    return Contest(subjects, bound, verify)


@case(
    "ids", "query", sizes=SIZES, unit="entity",
    loses={"numpy": "a mask says there who has what: nothing is looked up, and no row moves"},
)  # fmt: skip
def add_remove(n: int) -> Contest:
    """n entities with one number get another one, then lose it: by their ids, as published; by
    query. Bound: the new column is filled."""
    world = World(seed=1)
    start = np.arange(n, dtype=np.float32)
    ids = world.spawn(n, A(value=start))
    query = world.query(A)
    column = np.zeros(n, np.float32)

    def by_ids() -> None:
        world.add(ids, B(value=2.0))
        world.remove(ids, B)

    def by_query() -> None:
        query.add(B(value=2.0))
        query.remove(B)

    def verify() -> None:
        for who in (partial(world.add, ids), query.add):
            who(B(value=2.0))
            assert np.array_equal(world.get(ids, B.value), np.full(n, 2.0))
            query.remove(B)
        by_ids(), by_query()
        assert world.query(B).count() == 0
        assert np.array_equal(world.get(ids, A.value), start)

    return Contest(
        {"ids": Run(by_ids), "query": Run(by_query)}, Run(partial(column.fill, 2.0)), verify
    )
