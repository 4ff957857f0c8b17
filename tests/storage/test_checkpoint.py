"""Snapshots of a running world: when they are due, what they hold, and what becomes of failures."""

import errno
import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from populace import World, hours, minutes, seconds, system
from populace.ecs.errors import (
    LockedError,
    PopulaceError,
    SnapshotError,
    StorageError,
    StructuralChangeError,
)
from populace.storage import checkpoint as checkpoint_module
from populace.storage.checkpoint import Checkpointer, CheckpointWarning
from populace.storage.files import LocalFiles
from populace.storage.snapshot import Snapshots, load, save

from . import model
from .crashing import QuickDisk, leftovers, quick
from .model import STEP, Body, Face, Hungry, assert_same, fingerprint, hamlet, run, town

ROOT = Path(__file__).parents[2]


class Gate(QuickDisk):
    """A disk on which writing waits until it may go on."""

    def __init__(self):
        self.open_ = threading.Event()
        self.open_.set()
        self.waiting = threading.Event()

    def write(self, fd, data):
        if not self.open_.is_set():
            self.waiting.set()
            assert self.open_.wait(30)
        return super().write(fd, data)


class Refusing(QuickDisk):
    """A disk that is full whenever it is told to be."""

    full = False

    def write(self, fd, data):
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)


@pytest.fixture
def clock(monkeypatch):
    """Wall time that passes when a test says so: clock[0], in seconds."""
    now = [100.0]
    monkeypatch.setattr(checkpoint_module, "perf_counter", lambda: now[0])
    return now


def ticks(directory):
    snapshots = Snapshots(directory)
    return [snapshots.manifest(number).tick for number in snapshots.numbers()]


# -- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [
        (hours(1), [minutes(20)] * 7, [3, 6]),
        (hours(1), [minutes(25)] * 7, [3, 5]),
        (hours(1), [hours(5), minutes(1), hours(1)], [1, 3]),
        (1, [1, 0, 0, 2], [1, 4]),
        (hours(1), [minutes(59), 0, minutes(1), 0], [3]),
    ],
)
def test_due_by_simulated_time(tmp_path, every, steps, expected):
    """One snapshot at the end of each step that passes a multiple of `every`, of the state then."""
    world, told = town(8), {}
    with Checkpointer(world, quick(tmp_path), every=every) as checkpointer:
        for dt in steps:
            world.step(dt)
            told[world.clock.tick] = fingerprint(world)
    assert [saved.tick for saved in checkpointer.saved] == expected == ticks(tmp_path)
    for number, tick in enumerate(expected, 1):
        assert fingerprint(load(tmp_path, number=number)) == told[tick]


def test_due_from_a_late_start(tmp_path):
    """Multiples are those of the simulated clock, not of the time since it was made."""
    world = town(8)
    world.clock.now = hours(3) + minutes(50)
    with Checkpointer(world, quick(tmp_path), every=hours(1)) as checkpointer:
        world.run(minutes(30), step=minutes(10))
    assert [saved.now_us for saved in checkpointer.saved] == [hours(4)]


def test_due_by_real_time(tmp_path, clock):
    """So many seconds after the last one, at the end of a step."""
    world = town(8)
    with Checkpointer(world, quick(tmp_path), every_s=10) as checkpointer:
        for passed in (0, 5, 4.9, 0.2, 9, 1.1, 0, 25, 9.9):
            clock[0] += passed
            world.step(1)
            checkpointer.wait()
    assert ticks(tmp_path) == [4, 6, 8]


def test_due_by_both(tmp_path, clock):
    """Whichever comes first; one snapshot a step at most."""
    world = town(8)
    with Checkpointer(world, quick(tmp_path), every=hours(1), every_s=10) as checkpointer:
        for passed, dt in ((0, minutes(30)), (11, minutes(1)), (11, minutes(40)), (1, minutes(1))):
            clock[0] += passed
            world.step(dt)
            checkpointer.wait()
    assert ticks(tmp_path) == [2, 3]


def test_due_by_nothing(tmp_path):
    """Then `save` alone saves."""
    world = town(8)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        world.run(hours(5), step=hours(1))
        assert ticks(tmp_path) == []
        assert checkpointer.save().tick == 5
    assert ticks(tmp_path) == [5]


def test_real_time_does_not_wait(tmp_path, clock):
    """While one is being written none is due by real time: the world goes on, and the first step
    after that takes what has come due."""
    world, gate = town(8), Gate()
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, gate), every_s=1)
    gate.open_.clear()
    clock[0] += 2
    world.step(1)
    for _ in range(5):
        clock[0] += 2
        world.step(1)
        assert checkpointer.busy
    assert ticks(tmp_path) == []
    gate.open_.set()
    checkpointer.wait()
    assert not checkpointer.busy
    world.step(1)
    checkpointer.close()
    assert ticks(tmp_path) == [1, 7]
    assert_same(world, load(tmp_path))


def test_simulated_time_waits(tmp_path):
    """Every snapshot that is due by simulated time is taken: so the run leaves the same snapshots
    on a slow disk as on a quick one. How long the world waited is told."""
    world, gate, told = town(8), Gate(), {}
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, gate), every=1)
    gate.open_.clear()
    world.step(1)
    assert gate.waiting.wait(30)
    timer = threading.Timer(0.2, gate.open_.set)
    timer.start()
    told[1] = fingerprint(world)
    for _ in range(3):
        world.step(1)
        told[world.clock.tick] = fingerprint(world)
    checkpointer.close()
    timer.join()
    assert ticks(tmp_path) == [1, 2, 3, 4]
    assert [saved.waited_s > 0.01 for saved in checkpointer.saved[:2]] == [False, True]
    for number in range(1, 5):
        assert fingerprint(load(tmp_path, number=number)) == told[number]


def test_a_snapshot_is_of_its_moment(tmp_path):
    """Whatever happens to the world while it is being written, resources and events included."""
    world, gate, kept = town(20), Gate(), []
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, gate), every=STEP, full_every=3)
    for k in range(7):
        gate.open_.clear()
        world.step(STEP)
        then = fingerprint(world)
        run(world, model.random_program(np.random.default_rng(k), 8), kept)
        world.resource(model.Ledger).column[:] += 1
        world.resource(model.Ledger).names["later"] = k
        world.clock.now += 1 - world.clock.now % STEP  # within the same multiple
        gate.open_.set()
        checkpointer.wait()
        number = checkpointer.saved[-1].number
        assert fingerprint(load(tmp_path, number=number)) == then
    checkpointer.close()


# -- what -----------------------------------------------------------------------------------------


def test_full_ones_and_deltas(tmp_path):
    """One in `full_every` is full, beginning with the first; the others hold what has changed."""
    world = town(30)
    with Checkpointer(world, quick(tmp_path), full_every=4) as checkpointer:
        for k in range(9):
            checkpointer.save()
            world.set(world.query(Body).ids()[:1], Body(x=k + 1))
    saved = checkpointer.saved
    assert [each.full for each in saved] == [True, False, False, False] * 2 + [True]
    assert [each.number for each in saved] == list(range(1, 10))
    assert max(each.bytes for each in saved if not each.full) < saved[0].bytes / 5
    assert all(each.rows == len(world) for each in saved)
    assert all(each.pause_s > 0 and each.write_s > 0 for each in saved)
    with Checkpointer(world, quick(tmp_path), full_every=1) as checkpointer:
        assert [checkpointer.save().full for _ in range(3)] == [True] * 3


def test_keep(tmp_path):
    """So many full ones, and their deltas: others are gone with their files as soon as there is a
    newer one."""
    world, told = hamlet(), {}
    with Checkpointer(world, quick(tmp_path), full_every=2, keep=2) as checkpointer:
        seen = []
        for k in range(9):
            told[checkpointer.save().number] = fingerprint(world)
            seen.append(Snapshots(tmp_path).numbers())
            assert leftovers(tmp_path) == []
            model.change(world, k)
    assert seen[:5] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [3, 4, 5]]
    assert seen[-1] == [7, 8, 9]
    for number in seen[-1]:
        assert fingerprint(load(tmp_path, number=number)) == told[number]


def test_a_second_life(tmp_path):
    """A Checkpointer of another process, or after `save`, begins with a full one, goes on counting,
    and prunes what those before have left."""
    world = hamlet()
    save(world, quick(tmp_path))
    for k in range(3):
        with Checkpointer(world, quick(tmp_path), keep=1) as checkpointer:
            assert checkpointer.save().full
            model.change(world, k)
            assert not checkpointer.save().full
        world = load(tmp_path)
    assert Snapshots(tmp_path).numbers() == [6, 7]
    assert_same(world, load(tmp_path))


def test_two_of_one_world(tmp_path):
    """In two directories, each at moments of its own: both have what they should."""
    world, kept, draw = town(15), [], np.random.default_rng(4)
    one = Checkpointer(world, quick(tmp_path / "one"), full_every=100)
    other = Checkpointer(world, quick(tmp_path / "other"), full_every=100, threads=1)
    for k in range(12):
        run(world, model.random_program(draw, 3), kept)
        world.sync()
        for each, name in ((one, "one"), (other, "other")):
            if draw.random() < 0.6 or k == 11:
                each.save()
                assert fingerprint(load(tmp_path / name)) == fingerprint(world)
    one.close()
    run(world, model.random_program(draw, 3), kept)
    world.sync()
    other.save()
    other.close()
    assert_same(world, load(tmp_path / "other"))


def test_world_run_within(tmp_path):
    """As in the documentation: a run of some days, and the last step saved at the end."""
    world = town(20)
    with Checkpointer(world, quick(tmp_path), every=hours(6), keep=1, full_every=2) as checkpointer:
        world.run(hours(25), step=hours(1))
        checkpointer.finish()
        n = len(checkpointer.saved)
        checkpointer.finish()
        assert len(checkpointer.saved) == n == 5
    assert ticks(tmp_path)[-1] == 25
    assert_same(world, load(tmp_path))


def test_finishing_after_changes_between_steps(tmp_path):
    """What was done by hand after the last step is saved too."""
    world = hamlet()
    with Checkpointer(world, quick(tmp_path), every=1) as checkpointer:
        world.step(1)
        world.spawn(3, Hungry)
        checkpointer.finish()
    assert_same(world, load(tmp_path))
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        checkpointer.finish()
        world.resource(model.Account).column[0] = 77
        checkpointer.finish()
    assert_same(world, load(tmp_path))


@dataclass
class Fine:
    number: object = 1
    column: object = None


def test_finishing_sees_every_bit(tmp_path):
    """What compares equal and is not the same counts as changed; what is the same does not."""
    world = hamlet()
    world.insert(Fine(column=np.zeros(100)))
    fine = world.resource(Fine)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        for number in (1, True, 1.0, 0, 0.0, -0.0, [0], (0,)):
            fine.number = number
            checkpointer.finish()
            assert_same(world, load(tmp_path))
            assert type(load(tmp_path).resource(Fine).number) is type(number)
            assert repr(load(tmp_path).resource(Fine).number) == repr(number)
        fine.column[50] = -0.0
        checkpointer.finish()
        assert np.signbit(load(tmp_path).resource(Fine).column[50])
        fine.column[51] = np.nan
        checkpointer.finish()
        n = len(checkpointer.saved)
        checkpointer.finish()
        assert len(checkpointer.saved) == n


def test_a_checkpoint_from_within_a_system(tmp_path):
    """A step is not over there, so commands may wait and the schedule runs: `save` refuses, or is
    of that very moment, and the run goes on."""
    world = town(8, systems=False)
    checkpointer = Checkpointer(world, quick(tmp_path))
    seen = []

    @system
    def impatient(world: World):
        seen.append(fingerprint(world))
        checkpointer.save()

    world.add_systems(impatient)
    world.step(STEP)
    world.step(STEP)
    checkpointer.close()
    assert [fingerprint(load(tmp_path, number=n)) for n in (1, 2)] == seen


def test_progress(tmp_path):
    """Files written, of files in all: it rises to the end with each snapshot."""
    calls = []
    with Checkpointer(town(8), quick(tmp_path), on_progress=lambda *n: calls.append(n)) as made:
        made.save()
    done, n = zip(*calls, strict=True)
    assert len(set(n)) == 1
    assert done == tuple(range(1, n[0] + 1))
    assert n[0] == len(list((tmp_path / "data").iterdir()))


def test_on_saved(tmp_path):
    """Is told of each that is there, in order, when it can be loaded."""
    seen = []
    world = hamlet()

    def told(saved):
        seen.append((saved, fingerprint(load(tmp_path, number=saved.number))))

    with Checkpointer(world, quick(tmp_path), every=STEP, on_saved=told) as checkpointer:
        for k in range(4):
            model.change(world, k)
    assert [saved for saved, _ in seen] == checkpointer.saved
    assert seen[-1][1] == fingerprint(world)


# -- failures -------------------------------------------------------------------------------------


def test_a_delta_after_failures(tmp_path):
    """Holds what those that failed would have held: rows that changed, came and went before."""
    world, disk, kept = town(20), Refusing(), []
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, disk), full_every=100)
    checkpointer.save()
    for k in range(6):
        disk.full = True
        for j in range(k):
            run(world, model.random_program(np.random.default_rng(10 * k + j), 5), kept)
            world.sync()
            with pytest.raises(StorageError, match="No space left") as caught:
                checkpointer.save()
            assert str(tmp_path) in caught.value.filename
            assert checkpointer.failure is caught.value
        disk.full = False
        run(world, model.random_program(np.random.default_rng(100 + k), 2), kept)
        world.sync()
        assert not checkpointer.save().full
        assert checkpointer.failure is None
        assert_same(world, load(tmp_path))
    assert Snapshots(tmp_path).numbers() == list(range(1, 8))
    checkpointer.close()


def test_the_first_one_fails(tmp_path):
    """Then the next is full; a full one that fails is followed by a full one."""
    world, disk = hamlet(), Refusing()
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, disk), full_every=2)
    disk.full = True
    with pytest.raises(StorageError):
        checkpointer.save()
    disk.full = False
    assert checkpointer.save().full
    assert not checkpointer.save().full
    disk.full = True
    with pytest.raises(StorageError):
        checkpointer.save()
    disk.full = False
    assert checkpointer.save().full
    checkpointer.close()
    assert_same(world, load(tmp_path))


def test_a_failure_is_told_once(tmp_path):
    """In the background: by a warning at the next that is due, on the thread of the world; at the
    end by `close`; not twice."""
    world, disk = hamlet(), Refusing()
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, disk), every=1)
    world.step(1)
    checkpointer.wait()
    disk.full = True
    world.step(1)
    checkpointer.wait()
    assert isinstance(checkpointer.failure, StorageError)
    disk.full = False
    with pytest.warns(CheckpointWarning, match=rf"No space left.*{tmp_path}") as told:
        world.step(1)
    assert len(told) == 1
    world.step(1)  # no warning, else it would be an error here
    checkpointer.wait()
    disk.full = True
    world.step(1)
    with pytest.raises(StorageError, match="No space left"):
        checkpointer.close()
    checkpointer.close()
    save(world, tmp_path)
    assert_same(world, load(tmp_path))


def test_a_failure_within_a_block(tmp_path):
    """Leaving the block raises it, unless something else is on its way already."""
    world, disk = hamlet(), Refusing()

    def block(error=None):
        with Checkpointer(world, LocalFiles(tmp_path, disk), every=1):
            disk.full = True
            world.step(1)
            if error is not None:
                raise error

    with pytest.raises(StorageError):
        block()
    disk.full = False
    with pytest.raises(ZeroDivisionError):
        block(ZeroDivisionError())
    disk.full = False
    save(world, tmp_path)  # the lock is free


@dataclass
class Secretive:
    back: object = None


def test_a_world_that_cannot_be_written_down_goes_on(tmp_path):
    """A resource that a snapshot cannot hold costs the snapshot, not the run."""
    world = hamlet()
    with Checkpointer(world, quick(tmp_path), every=1) as checkpointer:
        world.step(1)
        world.insert(Secretive(print))
        with pytest.warns(CheckpointWarning, match=r"resource Secretive: back is"):
            world.step(1)
        with pytest.raises(SnapshotError, match="resource Secretive: back is"):
            checkpointer.save()
        world.resource(Secretive).back = None
        model.change(world, 1)
        checkpointer.wait()
        assert checkpointer.failure is None
    assert ticks(tmp_path) == [2, 4]
    assert_same(world, load(tmp_path))


def test_commands_that_wait(tmp_path):
    """`save` refuses, and a step applies them; nothing is lost."""
    world = hamlet()
    with Checkpointer(world, quick(tmp_path), every=1) as checkpointer:
        checkpointer.save()
        world.commands.spawn(3, Hungry)
        with pytest.raises(StructuralChangeError):
            checkpointer.save()
        world.step(1)
        checkpointer.wait()
        assert_same(world, load(tmp_path))
        assert world.query(Hungry).count() == 3
        cancel = world.on_step(lambda world: world.commands.spawn(1, Hungry))
        world.step(1)
        cancel()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            world.step(1)
    assert_same(world, load(tmp_path))


def test_an_error_in_a_callback(tmp_path):
    """Of `on_saved`: the snapshot is there all the same, and the next one too. Of `on_progress`: it
    is a failure like any other."""
    world = hamlet()

    def wrong(*_):
        raise ZeroDivisionError("in a callback")

    checkpointer = Checkpointer(world, quick(tmp_path), on_saved=wrong)
    for number in (1, 2):
        with pytest.raises(ZeroDivisionError):
            checkpointer.save()
        model.change(world, number)
        assert Snapshots(tmp_path).numbers()[-1] == number
    checkpointer.close()
    assert [saved.number for saved in checkpointer.saved] == [1, 2]
    checkpointer = Checkpointer(world, quick(tmp_path), on_progress=wrong)
    with pytest.raises(ZeroDivisionError):
        checkpointer.save()
    checkpointer.close()
    assert Snapshots(tmp_path).numbers() == [1, 2]
    with Snapshots(tmp_path).writing():
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize("doing", ["save", "wait", "close", "finish"])
def test_a_callback_cannot_wait_for_itself(tmp_path, doing):
    """It is told so, instead of waiting for ever."""
    world, errors = hamlet(), []

    def call(_):
        try:
            getattr(checkpointer, doing)()
        except PopulaceError as error:
            errors.append(str(error))

    checkpointer = Checkpointer(world, quick(tmp_path), on_saved=call)
    thread = threading.Thread(target=checkpointer.save, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert "cannot wait" in errors[0]
    checkpointer.close()


def test_a_prune_that_fails(tmp_path):
    """The snapshot itself is there, and counts: a damaged old one in the directory is no reason
    to say that nothing is saved."""
    world = hamlet()
    save(world, quick(tmp_path))
    old = tmp_path / "snapshot-0000000001.json"
    old.write_bytes(old.read_bytes()[:-2])
    numbers = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpointer = Checkpointer(
            world,
            quick(tmp_path),
            keep=1,
            full_every=2,
            on_saved=lambda s: numbers.append(s.number),
        )
        for k in range(3):
            model.change(world, k)
            checkpointer.save()
        checkpointer.close()
    assert [saved.number for saved in checkpointer.saved] == numbers == [2, 3, 4]
    assert_same(world, load(tmp_path))


# -- beginning and end ----------------------------------------------------------------------------


def test_settings_that_make_no_sense(tmp_path):
    """Are refused, and leave no lock behind."""
    world = hamlet()
    for how in ({"every": 0}, {"every": -5}, {"every_s": 0}, {"keep": 0}, {"full_every": 0},
                {"every_s": float("nan")}, {"threads": 0}, {"compression": "gzip"},
                {"about": {"x": object()}}):  # fmt: skip
        with pytest.raises(SnapshotError):
            Checkpointer(world, tmp_path, **how)
    assert not list(tmp_path.iterdir())
    with pytest.raises((TypeError, AttributeError)):
        Checkpointer(None, tmp_path)
    Checkpointer(world, tmp_path).close()


def test_closing(tmp_path):
    """Finishes what is being written, gives the directory back, and is done: twice does no harm,
    and a world that goes on saves nothing more."""
    world, gate = hamlet(), Gate()
    before = set(threading.enumerate())
    checkpointer = Checkpointer(world, LocalFiles(tmp_path, gate), every=1)
    gate.open_.clear()
    world.step(1)
    threading.Timer(0.1, gate.open_.set).start()
    checkpointer.close()
    assert ticks(tmp_path) == [2]
    checkpointer.close()
    world.step(1)
    assert ticks(tmp_path) == [2]
    with pytest.raises(SnapshotError, match="closed"):
        checkpointer.save()
    errors = []

    def close():
        try:
            checkpointer.close()
        except PopulaceError as error:
            errors.append(error)

    for _ in range(20):  # one of these may have the number of the thread that wrote
        other = threading.Thread(target=close)
        other.start()
        other.join()
    assert errors == []
    save(world, tmp_path)
    more = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in more if name.startswith("populace-")]


def test_a_program_that_ends_without_closing(tmp_path):
    """What was being written is finished, and the directory is free."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage.model import *\n"
        "world = town(30)\n"
        "checkpointer = Checkpointer(world, sys.argv[1], every=STEP)\n"
        "world.step(STEP)\n"
        "print(fingerprint(world))\n"
        "sys.exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert fingerprint(load(tmp_path)) == done.stdout.strip()
    with Snapshots(tmp_path).writing():
        assert leftovers(tmp_path) == []


def test_a_forked_process_that_lets_go(tmp_path):
    """A child has the files of its parent, and leaves them: the lock stays where it was."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage.model import *\n"
        "from populace.ecs.errors import LockedError\n"
        "files = Snapshots(sys.argv[1]).files\n"
        "with files.lock():\n"
        "    if os.fork() == 0:\n"
        "        files.release()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    try: Snapshots(sys.argv[1]).files.acquire()\n"
        "    except LockedError: print('refused')\n"
        "Snapshots(sys.argv[1]).files.acquire()\n"
        "print('free')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("refused\nfree\n", "")


def test_a_world_is_let_go(tmp_path):
    """A closed Checkpointer keeps the copy of a world no longer than itself."""
    world = town(8)
    checkpointer = Checkpointer(world, quick(tmp_path))
    checkpointer.save()
    checkpointer.close()
    held = weakref.ref(world)
    del world, checkpointer
    gc.collect()
    assert held() is None


def test_a_world_that_a_checkpointer_cannot_lock_is_as_before(tmp_path):
    """One that is refused leaves nothing on the world: no callback, no copy."""
    world, other = hamlet(), hamlet()
    with Checkpointer(other, quick(tmp_path)):
        with pytest.raises(LockedError):
            Checkpointer(world, quick(tmp_path), every=1)
        world.step(1)
    assert ticks(tmp_path) == []


def test_memory(tmp_path):
    """The copy takes as much as the persisted columns, and a little."""
    world = World()
    world.spawn(50_000, Body, Face)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        checkpointer.save()
        persisted = 50_000 * (8 + 8 + 4 + 8 + 2 + 2 + 1 + 128 + 5 + 1)
        assert persisted < checkpointer.nbytes < persisted * 1.4
        assert checkpointer.saved[0].opened_bytes == persisted


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_change_nothing(tmp_path, threads):
    """The same files, byte for byte, on any number of threads."""
    for k in (1, threads):
        world = town(40)
        with Checkpointer(world, quick(tmp_path / f"{k}"), threads=k) as checkpointer:
            checkpointer.save()
            world.run(3 * STEP, step=STEP)
            checkpointer.save()
    one, other = (model.contents(tmp_path / f"{k}" / "data") for k in (1, threads))
    assert one == other


def test_a_crash_before(tmp_path):
    """What a dead writer has left is gone when a Checkpointer begins."""
    world = hamlet()
    save(world, quick(tmp_path))
    (tmp_path / "data" / ".writing-0000000002-x.parquet").write_bytes(b"half")
    (tmp_path / "data" / "0000000002-x.parquet").write_bytes(b"whole")
    with Checkpointer(world, quick(tmp_path)):
        assert leftovers(tmp_path) == []


def test_seconds_are_no_microseconds(tmp_path):
    """`every` takes what `seconds` and the others give, `every_s` a number of seconds."""
    world = hamlet()
    with Checkpointer(world, quick(tmp_path), every=seconds(90), every_s=3600.5) as checkpointer:
        world.run(minutes(3), step=seconds(30))
    assert [saved.now_us for saved in checkpointer.saved] == [
        STEP + seconds(30) + k * seconds(90) for k in range(2)
    ]
