"""The laws of memory: decay, forgetting, capacity, recall. Bounds move the same bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from populace import World
from populace.components import Memory, Persona, Recalled, Stream, Strength, Trace
from populace.systems import (
    Forgotten,
    Pruning,
    Reinforcement,
    Retention,
    Room,
    forget,
    make_room,
    refresh_strength,
    reinforce,
    strengths_of,
)

from . import inputs
from .harness import FULL, Contest, Run, case, ms_per_million, ratio, us
from .inputs import DAY_S, NOW
from .reasons import FAST_MATH

AREA = "sweeps"

MEMORIES = 1_000  # of each agent
SWEEP_BYTES = 20  # importance, stability, access read; strength written
FORGET_BYTES = 24  # importance, stability, access and creation read
SIZES = (*FULL, 100_000_000)


def minds(n: int, law: str = "exponential", threads: int = 1) -> World:
    """n memories of n / MEMORIES agents, formed in the last month, none too weak to keep."""
    world = World(seed=1, threads=threads)
    for settings in (Retention(law=law), Pruning(), Room(capacity=MEMORIES), Reinforcement()):
        world.insert(settings)
    world.clock.now = NOW
    n_agents = n // MEMORIES
    agents = world.spawn(n_agents, Persona(number=np.arange(n_agents)), Stream(formed=MEMORIES))
    importance, stability, created = inputs.traces(n)
    world.spawn(
        n,
        Memory(
            owner=np.repeat(agents, MEMORIES),
            sequence=np.tile(np.arange(MEMORIES), n_agents),
            created=created,
        ),
        Trace(importance=importance, stability=stability, accessed=created),
    )
    return world


CACHED_BYTES = 10_000_000  # a memcpy of fewer says what a cache is like that day


def moved(n_bytes: int, threads: int = 1) -> Run | None:
    """A memcpy that reads half of so many bytes and writes as many, on so many threads; None where
    these bytes lie in a cache, where it is several times as fast and no bound for arithmetic."""
    if n_bytes < CACHED_BYTES:
        return None
    half = n_bytes // 2 // threads
    parts = [(np.ones(half, np.uint8), np.ones(half, np.uint8)) for _ in range(threads)]
    if threads == 1:
        return Run(partial(np.copyto, *parts[0]))
    pool = ThreadPoolExecutor(threads)

    def copy() -> None:
        for job in [pool.submit(np.copyto, *part) for part in parts]:
            job.result()

    return Run(copy)


def decay(n: int, law: str, threads: int) -> Contest:
    """`Strength` of n memories, for a new moment each time."""
    world = minds(n, law, threads)
    sweep = refresh_strength.bind(world)

    def run() -> None:
        world.clock.now += 1_000_000
        sweep.run(None)

    def verify() -> None:
        run()
        some = world.query(Memory).ids()[:: max(1, n // 1000)]
        swept = world.get(some, Strength.value)
        assert np.array_equal(swept, strengths_of(world, some))
        if law == "exponential":
            traces = inputs.Traces(*(column[:: max(1, n // 1000)] for column in inputs.traces(n)))
            assert np.allclose(swept, inputs.strengths(traces, world.clock.now), rtol=1e-6)

    return Contest({law: Run(run)}, moved(SWEEP_BYTES * n, threads), verify)


@case(
    "exponential", target=ratio(1.25, from_size=10_000_000), sizes=SIZES, bytes_each=120,
    fast=True,
    loses={
        "C++ loops, -ffast-math": FAST_MATH,
        "numpy": "a sweep takes 15 to 20 µs beside its loop, for law, clock and settings",
    },
)  # fmt: skip
def sweep_decay(n: int) -> Contest:
    """Strength of all memories by the exponential law; bound: a memcpy that moves the same 20 bytes
    a row (10 read, 10 written)."""
    return decay(n, "exponential", 1)


@case(
    "exponential", target=ratio(1.25, from_size=10_000_000), sizes=SIZES, bytes_each=120,
    elsewhere=True,
)  # fmt: skip
def sweep_decay_2_threads(n: int) -> Contest:
    """The same on two threads, and the memcpy too."""
    return decay(n, "exponential", 2)


@case("power", sizes=SIZES, bytes_each=120)
def sweep_decay_power(n: int) -> Contest:
    """Strength by the power law of FSRS; bound: as sweep_decay."""
    return decay(n, "power", 1)


@case("activation", sizes=SIZES, bytes_each=120)
def sweep_decay_activation(n: int) -> Contest:
    """Strength by ACT-R's base-level activation; bound: as sweep_decay."""
    return decay(n, "activation", 1)


@case("forget", sizes=SIZES, bytes_each=120)
def forget_none(n: int) -> Contest:
    """The rules of forgetting over all memories, of which none goes; bound: a memcpy that moves the
    same 24 bytes a row."""
    world = minds(n)
    run = forget.bind(world)

    def verify() -> None:
        run.run(None)
        assert world.query(Memory).count() == n

    return Contest({"forget": Run(partial(run.run, None))}, moved(FORGET_BYTES * n), verify)


OVERFLOWING = 100


def overflow(n: int, extra: int) -> Contest:
    """100 owners hold `extra` memories more than they can, the other owners none."""
    world = minds(n)
    owners = world.query(Stream).ids()[:OVERFLOWING]
    told = world.events(Forgotten)
    run = make_room.bind(world)
    draw = np.random.default_rng(2)
    going = MEMORIES // 10 + extra

    def fill() -> None:
        lacking = MEMORIES + extra - world.index(Memory.owner).count(owners)
        n_lacking = int(lacking.sum())
        world.spawn(
            n_lacking,
            Memory(owner=np.repeat(owners, lacking), sequence=0, created=NOW),
            Trace(
                importance=draw.integers(2, 10, n_lacking) / 10,
                stability=60 * DAY_S,
                accessed=NOW,
            ),
        )

    strengths = draw.random((OVERFLOWING, MEMORIES + extra), np.float32)

    def select() -> None:
        for row in strengths:
            np.partition(row, going)

    def verify() -> None:
        fill()
        run.run(None)
        assert told.read().count.tolist() == [OVERFLOWING * going]
        assert (world.index(Memory.owner).count(owners) == MEMORIES * 9 // 10).all()

    subjects = {"make_room": Run(partial(run.run, None), fill)}
    return Contest(subjects, Run(select), verify, rows=OVERFLOWING * (MEMORIES + extra))


@case("make_room", target=us(5_000), sizes=FULL[2:], bytes_each=200)
def capacity_100_owners(n: int) -> Contest:
    """100 owners of 1,010 memories, 1,000 being allowed, lose 110 each, the other owners nothing;
    bound: numpy's partition of as many strengths, owner by owner."""
    return overflow(n, 10)


@case("make_room", sizes=FULL[2:], bytes_each=200)
def capacity_100_owners_surge(n: int) -> Contest:
    """The same after a surge: 100 owners of 1,150 memories lose 250 each."""
    return overflow(n, 150)


RECALLS = 10_000


@case("reinforce", target=ms_per_million(100), sizes=FULL[1:], bytes_each=200)
def recall_10k(n: int) -> Contest:
    """10,000 recalls of random memories, among n; bound: the bare reads and writes of four columns
    at those rows, by numpy."""
    world = minds(n)
    ids = world.query(Memory).ids()
    draw = np.random.default_rng(3)
    picked = draw.choice(ids, RECALLS)
    run = reinforce.bind(world)
    rows = draw.integers(0, n, RECALLS)
    columns = [np.ones(n, np.float32), np.ones(n, np.int64), np.ones(n, np.uint32)]

    def emit() -> None:
        world.emit(Recalled(memory=picked, time=world.clock.now))
        for queue in world.event_queues.held.values():
            queue.end_step()

    def bare() -> None:
        for column in columns:
            column[rows] = column[rows] + 1

    def verify() -> None:
        emit()
        run.run(None)
        recalled = np.unique(picked)
        assert (world.get(recalled, Trace.accessed) == world.clock.now).all()
        assert (world.get(recalled, Trace.accesses) > 1).all()

    return Contest({"reinforce": Run(partial(run.run, None), emit)}, Run(bare), verify, RECALLS)
