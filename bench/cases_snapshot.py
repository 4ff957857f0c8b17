"""Snapshots of memories: written in full, by changes, loaded, and how long the world stands still.

A memory has 57 bytes of persisted columns, its id among them. Files go where the system keeps
temporary ones, and are synced.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from populace import World
from populace.components import Memory, Persona, Stream, Trace
from populace.ecs.image import capture
from populace.storage import Checkpointer, load, save
from populace.storage.base import Base

from .harness import Contest, Run, case, ratio

AREA = "snapshot"

SIZES = (100_000, 1_000_000, 10_000_000)
WHOLE = (
    "it has columns alone: no hash of what was written, no catalogue, no events, and no indices to "
    "rebuild"
)


def remembering(n: int) -> tuple[World, np.ndarray]:
    """n memories, 1,000 each agent."""
    world, rng = World(seed=1), np.random.default_rng(1)
    agents = world.spawn(max(n // 1000, 1), Persona(number=np.arange(max(n // 1000, 1))), Stream)
    texts = world.text.intern([f"text {i}" for i in range(1000)])
    ids = world.spawn(
        n,
        Memory(
            owner=np.repeat(agents, 1000)[:n],
            sequence=np.arange(n) % 1000,
            created=rng.integers(0, 10**15, n),
            text=texts[rng.integers(0, 1000, n)],
        ),
        Trace(
            importance=rng.random(n, np.float32),
            stability=86_400,
            accessed=rng.integers(0, 10**15, n),
        ),
    )
    return world, ids


def directory_of(world: World) -> Path:
    """A directory that goes when the world does."""
    made = Path(tempfile.mkdtemp(prefix="populace-bench-"))
    weakref.finalize(world, shutil.rmtree, made, ignore_errors=True)
    return made


def columns_of(world: World) -> list[np.ndarray]:
    """Every persisted column of the world."""
    held = []
    for table in capture(world).tables:
        held += [table.ids, *(c for made, c in table.columns.items() if not made.derived)]
    return held


def change(world: World, ids: np.ndarray, rng: np.random.Generator) -> None:
    """A hundredth of the memories is recalled."""
    some = ids[rng.random(ids.size) < 0.01]
    time = rng.integers(0, 10**15, some.size)
    world.set(some, Trace(accessed=time, importance=rng.random(some.size, np.float32)))


@case("save", sizes=SIZES, unit="memory", elsewhere=True, bytes_each=400, loses=WHOLE)
def snapshot_full(n: int) -> Contest:
    """save(world, directory). Bound: the columns written to one file as they are, and synced."""
    world, _ = remembering(n)
    directory = directory_of(world)
    columns = columns_of(world)

    def plain() -> None:
        with (directory / "plain").open("wb") as file:
            for column in columns:
                column.tofile(file)
            os.fsync(file.fileno())

    def clear() -> None:
        shutil.rmtree(directory / "run", ignore_errors=True)

    return Contest({"save": Run(lambda: save(world, directory / "run"), clear)}, Run(plain))


@case("load", sizes=SIZES, unit="memory", elsewhere=True, bytes_each=600, loses=WHOLE)
def snapshot_load(n: int) -> Contest:
    """load(directory): files checked, columns, indices. Bound: the columns read from a file."""
    world, _ = remembering(n)
    directory = directory_of(world)
    save(world, directory / "run")
    columns = columns_of(world)
    with (directory / "plain").open("wb") as file:
        for column in columns:
            column.tofile(file)

    def plain() -> list[np.ndarray]:
        with (directory / "plain").open("rb") as file:
            return [np.fromfile(file, c.dtype, c.size).reshape(c.shape) for c in columns]

    def verify() -> None:
        assert load(directory / "run").digest() == world.digest()

    return Contest({"load": Run(lambda: load(directory / "run"))}, Run(plain), verify)


@case("1 thread", "2 threads", sizes=SIZES, unit="memory", elsewhere=True, bytes_each=400,
      target={"2 threads": ratio(1.0, from_size=1_000_000)})  # fmt: skip
def snapshot_pause(n: int) -> Contest:
    """The pause for a consistent copy after a hundredth was recalled. Bound: a memcpy of the
    columns of `Trace`, in which something has changed."""
    world, ids = remembering(n)
    rng = np.random.default_rng(2)
    one, two = Base(world, 1), Base(world, 2)
    trace = [c for made, c in capture(world).tables[1].columns.items() if made.component is Trace]
    copies = [np.empty_like(column) for column in trace]

    def again() -> None:
        one.look()
        two.look()
        change(world, ids, rng)

    def memcpy() -> None:
        for column, held in zip(trace, copies, strict=True):
            held[:] = column

    return Contest(
        {"1 thread": Run(one.look, again), "2 threads": Run(two.look, again)}, Run(memcpy)
    )


@case("delta", sizes=SIZES, unit="memory", elsewhere=True, bytes_each=600,
      target=ratio(0.05, from_size=10_000_000))  # fmt: skip
def snapshot_delta(n: int) -> Contest:
    """A snapshot of what has changed, pause included, after a hundredth was recalled. Bound: the
    full snapshot that the same Checkpointer writes."""
    world, ids = remembering(n)
    rng = np.random.default_rng(2)
    directory = directory_of(world)
    deltas = Checkpointer(world, directory / "deltas", full_every=10**9, keep=1)
    full = Checkpointer(world, directory / "full", full_every=1, keep=1)
    deltas.save()

    def verify() -> None:
        change(world, ids, rng)
        saved = deltas.save()
        if n >= 1_000_000:
            assert not saved.full
            assert saved.bytes <= 0.03 * full.save().bytes

    return Contest(
        {"delta": Run(deltas.save, lambda: change(world, ids, rng))}, Run(full.save), verify
    )
