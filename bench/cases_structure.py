"""Rows in bulk: spawn, add and remove, despawn, set and get; and what one call costs."""

from __future__ import annotations

import gc
from functools import partial

import numpy as np

from populace import World

from . import bare, inputs
from .harness import Contest, Run, case, either, ms_per_million, ratio
from .parts import Health, Position, Velocity

AREA = "ecs"

Floats = np.ndarray


def values(columns: Floats) -> tuple[Position, Velocity]:
    """Four columns as component values."""
    return Position(x=columns[0], y=columns[1]), Velocity(x=columns[2], y=columns[3])


def columns_of(world: World) -> Floats:
    """Position and Velocity of all entities, sorted by x."""
    query = world.query(Position, Velocity)
    fields = (Position.x, Position.y, Velocity.x, Velocity.y)
    return inputs.by_x(np.stack([query.gather(field) for field in fields]))


NO_IDS = {
    "numpy": "a row is its number there: no ids to check for life and repetition, to give or to "
    "look up, and what Python calls besides costs 20 to 90 µs",
    "polars": "frames have no ids, and new columns share what stays",
    "C++ loops": "a row is its number there: no ids, no floats that are checked to be finite",
    "flecs": "a call costs 20 to 90 µs in Python, whatever the number of rows",
}
"""Why peers are faster with bare rows, or with few of them."""

SPAWN_PEERS = {
    "EnTT": {10_000: 0.268, 100_000: 3.09, 1_000_000: 35.4, 10_000_000: 672.0},
    "flecs": {10_000: 0.0304, 100_000: 1.85, 1_000_000: 27.7, 10_000_000: 295.0},
    "bare": {10_000: 0.00679, 100_000: 0.158, 1_000_000: 1.79, 10_000_000: 36.8},
}


@case(
    "reserved", "recycled", peers=SPAWN_PEERS, fast=True, loses=NO_IDS,
    target=either(ratio(2, from_size=100_000), ms_per_million(5, from_size=100_000)),
)  # fmt: skip
def spawn_4c(n: int) -> Contest:
    """Spawn n rows of four f4 columns where there is room: reserved in a new world, or left by
    entities that were despawned; bound: np.copyto of the four columns into warm arrays."""
    columns = inputs.columns(n)
    given = values(columns)
    world, recycling = World(seed=1), World(seed=1)
    recycling.spawn(n, *given)
    everyone = recycling.query(Position, Velocity)
    target = np.zeros_like(columns)

    def renew() -> None:
        nonlocal world
        del world
        gc.collect(0)
        world = World(seed=1)
        world.reserve(n, Position, Velocity)

    def copy() -> None:
        for source, into in zip(columns, target, strict=True):
            np.copyto(into, source)

    def verify() -> None:
        renew()
        for made in (world, recycling):
            everyone.despawn()
            made.spawn(n, *given)
            assert np.array_equal(columns_of(made), columns)

    return Contest(
        {
            "reserved": Run(lambda: world.spawn(n, *given), renew),
            "recycled": Run(partial(recycling.spawn, n, *given), everyone.despawn),
        },
        Run(copy),
        verify,
    )


@case("fresh", peers=SPAWN_PEERS, loses=NO_IDS)
def spawn_4c_fresh(n: int) -> Contest:
    """Spawn n rows of four f4 columns in a world where nothing is reserved; bound: np.copyto of the
    four columns, an id and a slot into new arrays."""
    columns = inputs.columns(n)
    given = values(columns)
    ids = np.arange(n, dtype=np.uint64)
    slots = np.zeros((n, 2), np.uint64)
    held: list[object] = []

    def renew() -> None:
        held.clear()
        gc.collect(0)
        held.append(World(seed=1))

    def copy() -> None:
        for source in (*columns, ids, slots):
            into = np.empty_like(source)
            np.copyto(into, source)
            held.append(into)

    return Contest(
        {"fresh": Run(lambda: held[0].spawn(n, *given), renew)},  # type: ignore[attr-defined]
        Run(copy, held.clear),
    )


CHANGE_PEERS = {
    "EnTT": {10_000: 0.128, 100_000: 1.36, 1_000_000: 12.8, 10_000_000: 164.0},
    "flecs": {10_000: 0.72, 100_000: 7.86, 1_000_000: 78.7, 10_000_000: 796.0},
    "bare": {10_000: 0.00205, 100_000: 0.0152, 1_000_000: 0.187, 10_000_000: 7.97},
}


@case(
    "query", "ids", peers=CHANGE_PEERS, loses=NO_IDS,
    target={"query": ms_per_million(1, from_size=100_000)},
)  # fmt: skip
def add_remove_all(n: int) -> Contest:
    """Give every row of a table a component, then take it away: by query, and by all its ids;
    bound: fill the new column."""
    world = World(seed=1)
    ids = world.spawn(n, *values(inputs.columns(n)))
    before = columns_of(world)
    query = world.query(Position, Velocity)
    column = np.zeros(n, np.float32)

    def by_query() -> None:
        query.add(Health(value=2.0))
        query.remove(Health)

    def by_ids() -> None:
        world.add(ids, Health(value=2.0))
        world.remove(ids, Health)

    def verify() -> None:
        query.add(Health(value=2.0))
        assert np.all(query.gather(Health.value) == 2.0)
        query.remove(Health)
        by_ids()
        assert np.array_equal(columns_of(world), before)

    return Contest(
        {"query": Run(by_query), "ids": Run(by_ids)}, Run(partial(column.fill, 2.0)), verify
    )


@case(
    "ids", "where", target=ratio(2, from_size=100_000), loses=NO_IDS,
    peers={
        "EnTT": {10_000: 0.0132, 100_000: 0.142, 1_000_000: 2.29, 10_000_000: 126.0},
        "flecs": {10_000: 0.0779, 100_000: 0.856, 1_000_000: 21.3, 10_000_000: 675.0},
        "bare": {10_000: 0.018, 100_000: 0.157, 1_000_000: 3.07, 10_000_000: 119.0},
    },
)  # fmt: skip
def add_remove_tenth(n: int) -> Contest:
    """Give a random tenth of the rows a component, then take it away: by ids in random order, and
    by a mask over a query; bound: gather the rows into the other table's arrays, close the holes by
    descending swap-remove, and back."""
    k = n // 10
    columns = inputs.columns(n)
    world, masked = World(seed=1), World(seed=1)
    ids = world.spawn(n, *values(columns))
    masked.spawn(n, *values(columns))
    everyone = masked.query(Position, Velocity)
    having = masked.query(Position, Velocity, Health)
    table = bare.Rows.of([*columns], ids, n)
    other = bare.Rows.of([*columns[:, :0]], ids[:0], n)
    health = np.zeros(n, np.float32)
    slots = bare.slots_for(ids, n)
    rows = np.zeros(k, np.uint32)
    tenths = [inputs.tenths(n) for _ in range(3)]
    picks, bare_picks, mask = ids[:k], ids[:k], np.zeros(n, np.bool_)

    def choose() -> None:
        nonlocal picks
        picks = ids[next(tenths[0])]

    def choose_bare() -> None:
        nonlocal bare_picks
        bare_picks = ids[next(tenths[1])]

    def choose_mask() -> None:
        mask.fill(False)
        mask[next(tenths[2])] = True

    def by_ids() -> None:
        world.add(picks, Health(value=2.0))
        world.remove(picks, Health)

    def by_mask() -> None:
        everyone.where(mask).add(Health(value=2.0))
        having.remove(Health)

    def move(source: bare.Rows, target: bare.Rows, number: int) -> None:
        bare.resolve(slots, bare_picks, rows)
        rows.sort()
        bare.append_rows(
            slots, rows, source.columns, source.ids, target.columns, target.ids, target.n, number
        )
        bare.swap_columns(rows, source.columns, source.n)
        bare.swap_ids(slots, rows, source.ids, source.n)
        source.n -= k
        target.n += k

    def by_hand() -> None:
        move(table, other, 1)
        health[:k] = 2.0
        move(other, table, 0)

    def verify() -> None:
        choose(), choose_bare(), choose_mask()
        by_ids(), by_mask(), by_hand()
        world.check()
        assert np.array_equal(world.get(table.ids, Position.x), table.columns[0])
        assert np.array_equal(world.get(table.ids, Velocity.y), table.columns[3])
        assert np.array_equal(columns_of(masked), columns_of(world))
        bare.resolve(slots, picks, rows)
        assert np.array_equal(table.ids[rows], picks)

    return Contest(
        {"ids": Run(by_ids, choose), "where": Run(by_mask, choose_mask)},
        Run(by_hand, choose_bare),
        verify,
        rows=2 * k,
    )


@case(
    "ids", target=ratio(2, from_size=100_000), loses=NO_IDS,
    peers={
        "EnTT": {10_000: 0.0343, 100_000: 0.632, 1_000_000: 12.4, 10_000_000: 590.0},
        "flecs": {10_000: 0.0233, 100_000: 0.513, 1_000_000: 22.8, 10_000_000: 424.0},
        "bare": {10_000: 0.0123, 100_000: 0.166, 1_000_000: 3.21, 10_000_000: 53.4},
    },
)  # fmt: skip
def despawn_spawn_tenth(n: int) -> Contest:
    """Despawn a random tenth of the rows, ids in random order, then spawn as many; bound: resolve,
    sort, descending swap-remove, free list, and append."""
    k = n // 10
    columns = inputs.columns(n)
    world = World(seed=1)
    ids = world.spawn(n, *values(columns))
    everyone = world.query(Position, Velocity)
    table = bare.Rows.of([*columns], ids, n)
    slots = bare.slots_for(ids, n)
    free = np.zeros(k, np.uint32)
    rows = np.zeros(k, np.uint32)
    born = inputs.born(n)
    given = values(born)
    tenths = [inputs.tenths(n) for _ in range(2)]
    picks, bare_picks = ids[:k], ids[:k]

    def choose() -> None:
        nonlocal picks
        picks = everyone.ids()[next(tenths[0])]

    def choose_bare() -> None:
        nonlocal bare_picks
        bare_picks = table.ids[next(tenths[1])]

    def churn() -> None:
        world.despawn(picks)
        world.spawn(k, *given)

    def by_hand() -> None:
        bare.resolve(slots, bare_picks, rows)
        rows.sort()
        bare.swap_columns(rows, table.columns, n)
        bare.swap_ids(slots, rows, table.ids, n)
        n_free = bare.release(slots, free, 0, bare_picks)
        bare.allocate(slots, free, n_free, table.ids, n - k, k)
        table.columns[:, n - k :] = born

    def verify() -> None:
        choose(), choose_bare()
        churn(), by_hand()
        world.check()
        assert np.array_equal(columns_of(world), inputs.by_x(table.columns))
        bare.resolve(slots, table.ids[-k:], rows)
        assert np.array_equal(rows, np.arange(n - k, n))

    return Contest({"ids": Run(churn, choose)}, Run(by_hand, choose_bare), verify, rows=2 * k)


def world_and_picks(n: int, places: np.ndarray) -> tuple[World, np.ndarray, np.ndarray]:
    """A world of n rows, all their ids, and those at some places."""
    world = World(seed=1)
    ids = world.spawn(n, *values(inputs.columns(n)))
    return world, ids, ids[places]


@case("ids", fast=True, loses=NO_IDS)
def set_tenth(n: int) -> Contest:
    """Set one field of a random tenth of the rows, ids in random order; bound: resolve, scatter."""
    k = n // 10
    world, ids, picks = world_and_picks(n, inputs.tenth(n))
    given = inputs.given(n)
    slots, column, rows = bare.slots_for(ids, n), inputs.columns(n)[0], np.zeros(k, np.uint32)

    def by_hand() -> None:
        bare.resolve(slots, picks, rows)
        bare.scatter(column, rows, given)

    def by_ids() -> None:
        world.set(picks, Position(x=given))

    def verify() -> None:
        by_ids(), by_hand()
        assert np.array_equal(world.get(ids, Position.x), column)

    return Contest({"ids": Run(by_ids)}, Run(by_hand), verify, rows=k)


@case("ids", loses=NO_IDS)
def get_tenth(n: int) -> Contest:
    """Get one field of a random tenth of the rows, ids in random order; bound: resolve, gather."""
    k = n // 10
    world, ids, picks = world_and_picks(n, inputs.tenth(n))
    slots, column, rows = bare.slots_for(ids, n), inputs.columns(n)[0], np.zeros(k, np.uint32)
    out = np.zeros(k, np.float32)

    def by_hand() -> None:
        bare.resolve(slots, picks, rows)
        bare.gather(column, rows, out)

    def verify() -> None:
        by_hand()
        assert np.array_equal(world.get(picks, Position.x), out)

    return Contest(
        {"ids": Run(partial(world.get, picks, Position.x))}, Run(by_hand), verify, rows=k
    )


@case("spawn_despawn", "add_remove", "set", "get", sizes=(1,), unit="entity")
def call_one_entity(n: int) -> Contest:
    """What a call costs that handles a single entity, in a world of 1,000: these are tools for
    tests and the REPL; bound: resolve, close and reopen one row of bare arrays."""
    world, ids, one = world_and_picks(1_000, inputs.tenth(1_000)[:n])
    table, slots = bare.Rows.of([*inputs.columns(1_000)], ids, 1_000), bare.slots_for(ids, 1_000)
    rows, free = np.zeros(n, np.uint32), np.zeros(n, np.uint32)

    def come_and_go() -> None:
        world.despawn(world.spawn(1, Position(x=1, y=1), Velocity(x=1, y=1)))

    def change() -> None:
        world.add(one, Health(value=2.0))
        world.remove(one, Health)

    def by_hand() -> None:
        last = table.ids[-1:].copy()
        bare.resolve(slots, last, rows)
        bare.swap_columns(rows, table.columns, 1_000)
        bare.swap_ids(slots, rows, table.ids, 1_000)
        bare.allocate(slots, free, bare.release(slots, free, 0, last), table.ids, 999, 1)
        table.columns[:, 999] = 1.0

    return Contest(
        {
            "spawn_despawn": Run(come_and_go),
            "add_remove": Run(change),
            "set": Run(lambda: world.set(one, Position(x=1.0))),
            "get": Run(partial(world.get, one, Position.x)),
        },
        Run(by_hand),
    )
