"""ecs_bench_suite: entities written and read again, as `cases_published` says."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from populace import World
from populace.storage import load, save

from .harness import Contest, Run, case
from .inputs import Floats
from .published import suite
from .published.parts import bodies_of, components

AREA = "published"


def directory_for(of: object) -> Path:
    """A directory that goes when the object does."""
    made = Path(tempfile.mkdtemp(prefix="populace-bench-"))
    weakref.finalize(of, shutil.rmtree, made, ignore_errors=True)
    return made


def written_and_read(columns: list[Floats], file: Path) -> list[Floats]:
    """Raw columns, through a file that is synced."""
    with file.open("wb") as into:
        for column in columns:
            column.tofile(into)
        os.fsync(into.fileno())
    with file.open("rb") as out:
        return [np.fromfile(out, c.dtype, c.size).reshape(c.shape) for c in columns]


@case("save, load", sizes=(1_000, 100_000, 1_000_000), unit="entity", bytes_each=1_500,
      elsewhere=True, loses={"numpy": "savez syncs nothing, and keeps no schema"})  # fmt: skip
def serialize(n: int) -> Contest:
    """The entities of simple_insert written, and read into a new world: a snapshot, which is synced
    and whose files are checked as they are read; published: bytes in memory. Bound: the columns and
    the ids in one file, synced, and read again."""
    given = suite.bodies(n)
    world = World(seed=1)
    ids = world.spawn(n, *components(given))
    directory = directory_for(world)
    held: list[World] = []

    def clear() -> None:
        held.clear()
        shutil.rmtree(directory / "run", ignore_errors=True)

    def round_trip() -> None:
        save(world, directory / "run")
        held.append(load(directory / "run"))

    plain: Callable[[], object] = partial(written_and_read, [*given, ids], directory / "plain")

    def verify() -> None:
        clear()
        round_trip()
        suite.check_bodies(bodies_of(held[0]), given)
        assert held[0].digest() == world.digest()
        read = written_and_read([*given, ids], directory / "plain")
        assert all(map(np.array_equal, read, (*given, ids)))

    return Contest({"save, load": Run(round_trip, clear)}, Run(plain), verify)
