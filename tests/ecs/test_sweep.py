"""Sweeps of a column: called with slices of the right columns, over all tables and threads."""

import threading

import numpy as np
import pytest

from populace import World, component, f4, field
from populace.ecs import Clock, column_sweep, i8, seconds
from populace.ecs.errors import ScheduleError, SystemSignatureError
from populace.ecs.sweep import SCRATCH


@component
class Level:
    """A level as it was once."""

    value: f4
    since: i8 = 0


@component
class LevelNow:
    """The level now."""

    value: f4 = field(derived=True)


@component
class Marked:
    """Makes a second table."""


def grown(value_n, since_n, now, rate, scratch_b, out_n):
    """A kernel in numpy."""
    assert scratch_b.shape == (SCRATCH,)
    assert scratch_b.dtype == np.float32
    assert len(value_n) == len(since_n) == len(out_n)
    out_n[:] = value_n + (now - since_n) * rate


def law(world):
    """Fill `LevelNow` for now."""
    return grown, (world.clock.now, 2e-6)


def sweep(**rules):
    return column_sweep(
        "refresh", (Level.value, Level.since), LevelNow.value, (Clock,), law, **rules
    )


def crowd(n=100, threads=1):
    """n entities in two tables."""
    world = World(threads=threads)
    world.parallel_rows = 1
    world.spawn(n, Level(value=np.arange(n)), LevelNow)
    world.spawn(n, Level(value=np.arange(n) + 1000, since=seconds(1)), LevelNow, Marked)
    world.spawn(3, Level(value=5))
    return world


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_row_of_every_table_is_filled(threads):
    """Those that have both components, whatever else they have, on any number of threads."""
    world = crowd(threads=threads)
    world.add_system(sweep())
    world.step(seconds(3))
    rows = np.arange(100)
    found = np.sort(world.query(LevelNow).gather(LevelNow.value))
    assert found.tolist() == [*(rows + 6.0), *(rows + 1004.0)]
    assert world.telemetry.systems["refresh"].rows == 200


def test_few_rows_stay_on_one_thread():
    """Below `parallel_rows` rows in all, however many tables there are."""
    used = set()

    def noting(value_n, since_n, now, rate, scratch_b, out_n):
        used.add(threading.get_ident())
        grown(value_n, since_n, now, rate, scratch_b, out_n)

    few = column_sweep(
        "few", (Level.value, Level.since), LevelNow.value, (Clock,),
        lambda world: (noting, law(world)[1]),
    )  # fmt: skip
    world = crowd(threads=4)
    world.parallel_rows = 201
    few.bind(world).run()
    assert used == {threading.get_ident()}
    assert world.schedule._pool is None


def test_it_says_what_it_touches():
    """Its access is that of a system with the same signature, and the plan tells its rules."""
    world = crowd()
    world.add_system(sweep(every=seconds(2)))
    made = world.schedule.entries["refresh"]
    assert made.system.access.reads == {Level, Clock}
    assert made.system.access.writes == made.fills == {LevelNow}
    assert "every 2 s" in world.schedule.plan()
    assert made.system.__doc__ == "Fill `LevelNow` for now."


def test_it_runs_by_itself():
    """Bound to a world it runs at once, without a schedule; with no rows it does nothing."""
    world = crowd(n=1)
    assert sweep().bind(world).run() == (2, 2)
    assert sweep().bind(World()).run() == (0, 0)


def test_only_caches_are_filled():
    """A field that is state is refused by name."""
    with pytest.raises(SystemSignatureError, match=r"refresh: Level\.value is not derived"):
        column_sweep("refresh", (Level.since,), Level.value, (Clock,), law)


def test_rules_are_those_of_systems():
    """A rule that there is none of is refused."""
    with pytest.raises(ScheduleError):
        sweep(every=-1)
