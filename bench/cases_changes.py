"""Change detection, and sorting a table by owner."""

from __future__ import annotations

from functools import partial

import numpy as np

from populace import World, schema

from . import bare
from .harness import Contest, Run, case
from .parts import Note, Position, Velocity

AREA = "ecs"

CHUNK = 65_536


def changing(n: int, scattered: bool) -> Contest:
    """Ask what changed after a thousandth of n rows did."""
    random = np.random.default_rng(1)
    start = random.random((2, n), np.float32)
    world = World(seed=1)
    ids = world.spawn(n, Position(x=start[0], y=start[1]), Velocity(x=0, y=0))
    world.track(Position)
    k = n // 1000
    now, was = start.copy(), start.copy()
    bits, old_bits = now.view(np.uint32), was.view(np.uint32)
    found = np.zeros(n, np.uint64)
    tick = n_found = 0
    opened = np.arange(0)
    choices = [np.random.default_rng(2) for _ in range(2)]

    def choose(choice: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        begin = int(choice.integers(0, max(1, n - k)))
        some = choice.choice(n, k, replace=False) if scattered else np.arange(begin, begin + k)
        return some, choice.random(k, np.float32)

    def write() -> None:
        nonlocal tick
        tick = world.mark()
        some, value = choose(choices[0])
        world.set(ids[some], Position(x=value))

    def write_bare() -> None:
        nonlocal opened
        some, value = choose(choices[1])
        now[0, some] = value
        opened = np.unique(some // CHUNK)

    def ask_bare() -> None:
        nonlocal n_found
        n_found = 0
        for chunk in opened:
            begin, end = chunk * CHUNK, min((chunk + 1) * CHUNK, n)
            n_found = bare.changed(
                bits[0], old_bits[0], bits[1], old_bits[1], ids, begin, end, found, n_found
            )
        found[:n_found].sort()

    def verify() -> None:
        for _ in range(2):
            write(), write_bare()
            changed = world.changed_since(tick, Position)
            ask_bare()
            assert np.array_equal(changed, found[:n_found])

    return Contest(
        {"world": Run(lambda: world.changed_since(tick, Position), write)},
        Run(ask_bare, write_bare),
        verify,
    )


@case("world", fast=True)
def changed_scattered(n: int) -> Contest:
    """changed_since after a random thousandth of the rows was set, so that every chunk was opened;
    bound: compare both columns with a copy, collect the ids, renew the copy."""
    return changing(n, scattered=True)


@case("world")
def changed_local(n: int) -> Contest:
    """changed_since after a thousandth of the rows that lie together was set; bound: the same
    comparison over the one or two chunks that were opened."""
    return changing(n, scattered=False)


@case("world")
def cluster_owner(n: int) -> Contest:
    """Sort a table of four fields by owner, n / 100 owners in random order; bound: np.argsort of
    (owner, entity) and np.take of every column, an id among them, into arrays that are there."""
    random = np.random.default_rng(1)
    world = World(seed=1)
    owner_ids = world.spawn(max(1, n // 100))
    owners = random.choice(owner_ids, n)
    floats = random.random((2, n), np.float32)
    times = random.integers(0, 1 << 40, n)
    ids = world.spawn(
        n, Note(owner=owners, importance=floats[0], strength=floats[1], accessed=times)
    )
    columns = [owners.copy(), floats[0], floats[1], times, ids.copy()]
    sorted_columns = [np.zeros_like(column) for column in columns]
    notes = world.query(Note)

    choices = [np.random.default_rng(2) for _ in range(2)]

    def renew() -> None:
        notes.set(Note(owner=choices[0].choice(owner_ids, n)))

    def renew_bare() -> None:
        np.copyto(columns[0], choices[1].choice(owner_ids, n))

    def sort_bare() -> None:
        order = np.argsort((columns[0] << np.uint64(32)) | (columns[-1] & np.uint64(0xFFFF_FFFF)))
        for column, into in zip(columns, sorted_columns, strict=True):
            np.take(column, order, out=into, mode="clip")

    def verify() -> None:
        world.cluster(Note.owner)
        sort_bare()
        *fields, theirs = sorted_columns
        for field, column in zip(schema(Note).fields, fields, strict=True):
            assert np.array_equal(notes.gather(field), column)
        assert np.array_equal(notes.ids(), theirs)

    subject = Run(partial(world.cluster, Note.owner), renew)
    return Contest({"world": subject}, Run(sort_bare, renew_bare), verify)
