"""A disk that refuses, falls short, dies or loses its power: what was saved stays, the world goes
on, and the error says which path and why."""

import errno
import itertools
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from populace.ecs.errors import StorageError
from populace.storage.checkpoint import Checkpointer, CheckpointWarning
from populace.storage.disk import Disk
from populace.storage.files import LocalFiles
from populace.storage.objects import ObjectFiles
from populace.storage.snapshot import Snapshots, load, save

from .crashing import MortalDisk, PowerDisk, QuickDisk, leftovers, temporaries, write_tree
from .faulty_disk import FaultyDisk, Killed
from .model import STEP, Body, change, contents, fingerprint, hamlet, story

ROOT = Path(__file__).parents[2]
ERRORS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS, errno.EDQUOT)


@pytest.fixture
def quickly(monkeypatch):
    """No disk waits for an fsync."""
    for name in ("fsync", "fsync_folder"):
        monkeypatch.setattr(Disk, name, getattr(QuickDisk, name))


def begun(directory, disk, n_saved, **how):
    """A world and its Checkpointer after some snapshots, and their fingerprints by tick."""
    world, told = hamlet(), {}
    checkpointer = Checkpointer(world, LocalFiles(directory, disk), threads=1, **how)
    for k in range(n_saved):
        told[world.clock.tick] = fingerprint(world)
        checkpointer.save()
        change(world, k)
    told[world.clock.tick] = fingerprint(world)
    return world, checkpointer, told


def check_all(directory, told):
    """Every snapshot that is listed is one of these worlds; returns the ticks."""
    snapshots = Snapshots(directory)
    ticks = [snapshots.manifest(number).tick for number in snapshots.numbers()]
    for tick, number in zip(ticks, snapshots.numbers(), strict=True):
        assert fingerprint(load(directory, number=number)) == told[tick], f"{number}, tick {tick}"
    return ticks


def refusal(call):
    """The StorageError that a call raises, or None."""
    try:
        call()
    except StorageError as error:
        return error
    return None


KINDS = {
    "the first": (0, {}),
    "a delta": (1, {}),
    "a full one, and a prune": (1, {"full_every": 1, "keep": 1}),
}


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", KINDS)
def test_any_call_may_fail(tmp_path, kind, every):
    """At each call of a save, in turn, the disk refuses, or takes a part of a write. Then: an error
    with errno, cause and path, or a snapshot that is whole; all files of before as they were; and
    the next save of the same Checkpointer, a delta too, is the world."""
    n_saved, how = KINDS[kind]
    disk = FaultyDisk()
    _, checkpointer, _ = begun(tmp_path / "well", disk, n_saved, **how)
    begin = len(disk.calls)
    checkpointer.save()
    calls = disk.calls[begin:]
    checkpointer.close()
    chosen = [n for n, name in enumerate(calls) if n % every == 0 or calls.count(name) <= 3]
    assert {"open", "write", "fsync", "rename", "close", "stat"} <= {calls[n] for n in chosen}
    assert "fsync_folder" in calls
    codes, n_refused = itertools.cycle(ERRORS), 0
    for n in chosen:
        where, code = tmp_path / f"{n}", next(codes)
        disk = FaultyDisk()
        world, checkpointer, told = begun(where, disk, n_saved, **how)
        before = contents(where)
        disk.at, disk.fault = begin + n, OSError(code, os.strerror(code))
        error = refusal(checkpointer.save)
        if error is not None:
            n_refused += 1
            assert error.errno == code
            assert os.strerror(code) in error.strerror
            assert error.filename.startswith(str(tmp_path))
        after = contents(where)
        if not how:  # nothing is pruned
            assert {name: after.get(name) for name in before} == before
        numbers = Snapshots(where).numbers()
        assert error or Snapshots(where).manifest(numbers[-1]).tick == world.clock.tick
        assert n_saved == 0 or numbers
        disk.at = None
        change(world, 8)
        told[world.clock.tick] = fingerprint(world)
        checkpointer.save()
        assert check_all(where, told)[-1] == world.clock.tick
        checkpointer.close()
        with Snapshots(where).writing():
            assert temporaries(where) == []
    assert n_refused > len(chosen) / 2


class OutOfOrder(FaultyDisk):
    """Refuses several calls in a row: those that tidy up after the first are among them."""

    def __init__(self, begin, n):
        super().__init__()
        self.begin, self.end = begin, begin + n

    def _call(self, name, args):
        if self.begin <= len(self.calls) < self.end:
            self.at, self.fault = len(self.calls), OSError(errno.EIO, "no answer")
        return super()._call(name, args)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("n_calls", [2, 3, 10**9])
def test_a_disk_that_goes_away_for_a_while(tmp_path, n_calls):
    """Whatever cannot be tidied up either: each snapshot that is listed is whole, at once and after
    the next save; what is left over is gone when the next writer begins."""
    for n in itertools.count(0, 5):
        where = tmp_path / f"{n}"
        world, checkpointer, told = begun(where, Disk(), 1)
        checkpointer.snapshots.files._disk = disk = OutOfOrder(n, n_calls)
        refused = refusal(checkpointer.save) is not None
        checkpointer.snapshots.files._disk = Disk()
        check_all(where, told)
        change(world, 8)
        told[world.clock.tick] = fingerprint(world)
        checkpointer.save()
        assert check_all(where, told)[-1] == world.clock.tick
        checkpointer.close()
        with Snapshots(where).writing():
            assert temporaries(where) == []
            assert leftovers(where) == []
        if not refused and len(disk.calls) <= n:
            break
    assert n >= 40


class NthWrite(FaultyDisk):
    """Its n-th write is the one that falls short."""

    def __init__(self, n, fault):
        super().__init__(None, fault)
        self.left = n

    def write(self, fd, data):
        if self.left == 0:
            self.at = len(self.calls)
        self.left -= 1
        return self._call("write", (fd, data))


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("fault", ["short", "lie", "nothing"])
def test_writes_that_fall_short(tmp_path, fault):
    """A system that takes a part of what it is given is given the rest; one that lies about it, or
    takes nothing, is found out, and nothing is published."""
    for n in itertools.count():
        where = tmp_path / f"{n}"
        world, checkpointer, told = begun(where, Disk(), 1)
        checkpointer.snapshots.files._disk = disk = NthWrite(n, fault)
        error = refusal(checkpointer.save)
        checkpointer.snapshots.files._disk = Disk()
        if disk.left >= 0:
            break
        assert (error is None) == (fault == "short")
        if error is not None:
            assert error.errno == errno.EIO
            assert "bytes arrived" in error.strerror
            assert error.filename.startswith(str(where))
        ticks = check_all(where, told)
        assert len(ticks) == 1 + (error is None)
        checkpointer.save()
        assert check_all(where, told)[-1] == world.clock.tick
        checkpointer.close()
    checkpointer.close()
    assert n >= 6


@pytest.mark.usefixtures("quickly")
def test_a_running_world_goes_on(tmp_path):
    """A disk that is full for a while costs snapshots, not steps: a warning tells path and cause,
    and the first snapshot that succeeds holds what the others would have held."""
    disk = FaultyDisk()
    world, checkpointer, _ = begun(tmp_path, disk, 1, every=STEP)
    checkpointer.wait()
    saved = len(checkpointer.saved)
    real = FaultyDisk.write

    def full(self, fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaultyDisk, "write", full)
        for k in range(5):
            if k == 0:
                change(world, k)
                checkpointer.wait()
            else:
                with pytest.warns(CheckpointWarning, match=rf"No space left.*{tmp_path}"):
                    change(world, k)
                checkpointer.wait()
        assert isinstance(checkpointer.failure, StorageError)
        assert len(checkpointer.saved) == saved
    assert FaultyDisk.write is real
    with pytest.warns(CheckpointWarning, match="No space left"):
        change(world, 6)
    checkpointer.close()
    assert checkpointer.failure is None
    assert fingerprint(load(tmp_path)) == fingerprint(world)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("n", [0, 3, 6])
def test_a_full_disk_is_not_filled_by_what_failed(tmp_path, n):
    """What a save has written before it fails is deleted again: on a full disk it would be in the
    way of everything else, and no later snapshot might ever name it."""
    _, checkpointer, _ = begun(tmp_path, Disk(), 2)
    before = contents(tmp_path)
    checkpointer.snapshots.files._disk = NthWrite(n, OSError(errno.ENOSPC, "full"))
    assert refusal(checkpointer.save).errno == errno.ENOSPC
    assert contents(tmp_path) == before
    assert refusal(checkpointer.close) is None


# -- death ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.nightly)])
def test_any_call_may_be_the_last(tmp_path, every):
    """The process is gone at a call, or in the middle of a write, of a full snapshot, a delta, a
    fold or a prune: what was committed is there, what is there is whole, and the next one who
    writes leaves no file that no snapshot has."""
    for n in itertools.count(0, every):
        where, told, disk = tmp_path / f"{n}", {}, MortalDisk(n, Killed())
        committed = set()

        def tell(tick, digest, told=told, committed=committed):
            committed.update(told)
            told[tick] = digest

        with suppress(Killed):
            story(LocalFiles(where, disk), tell)
        disk.bury()
        ticks = check_all(where, told)
        assert not committed or max(ticks) >= max(committed)
        with Snapshots(where).writing():
            assert temporaries(where) == []
            assert leftovers(where) == [], f"at call {n} of {disk.calls}"
        if not disk.dead:
            break
    assert n > 200


@pytest.mark.usefixtures("quickly")
def test_the_power_may_fail_at_any_moment(tmp_path):
    """Whatever of the latest changes of names the disk had not yet made durable, and in whatever
    order it works: the newest snapshot that had been committed is there, and all that are there
    are whole."""
    draw, top, told, when = random.Random(5), tmp_path / "top", {}, {}
    disk = PowerDisk(top)

    def tell(tick, digest):
        when[tick] = len(disk.moments)  # all before this tick have been committed by then
        told[tick] = digest

    top.mkdir()
    story(LocalFiles(top, disk), tell)
    seen, n_different = set(), 0
    for number, moment in enumerate(disk.moments):
        for _ in range(6):
            names = PowerDisk.left(moment, draw)
            key = (frozenset((path, data) for path, data in names.items()), number)
            if key in seen:
                continue
            seen.add(key)
            if not any(path.name.startswith("snapshot-") for path in names):
                assert sum(at <= number for at in when.values()) <= 1
                continue
            where = tmp_path / f"{len(seen)}"
            write_tree(names, top, where)
            newest = Snapshots(where).numbers()[-1]
            tick = Snapshots(where).manifest(newest).tick
            committed = [t for t, at in when.items() if at <= number]
            assert len(committed) < 2 or tick >= committed[-2]
            ticks = [Snapshots(where).manifest(n).tick for n in Snapshots(where).numbers()]
            assert fingerprint(load(where)) == told[tick]
            for n in Snapshots(where).numbers():
                Snapshots(where).open(n).data.verify()
            n_different += 1
            assert set(ticks) <= set(told)
    assert n_different > 100


# -- real ones ------------------------------------------------------------------------------------


def in_a_process(code, *arguments):
    """Code in a process of its own: `directory` is the first argument, `world` a hamlet, and
    `refusal(call)` errno and path of the StorageError that a call raises."""
    begin = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from populace.ecs.errors import *\n"
        "from populace.storage.checkpoint import *\n"
        "from populace.storage.snapshot import *\n"
        "from tests.storage.model import *\n"
        "directory = sys.argv[1]\n"
        "def refusal(call):\n"
        "    try: call()\n"
        "    except StorageError as error: return f'{error.errno} {error.filename}'\n"
        "def checkpoint(place):\n"
        "    with Checkpointer(world, place) as checkpointer: checkpointer.save()\n"
        "world = hamlet()\n"
        "if sys.argv[2:]:  # all is imported before the process may do less\n"
        "    save(world, sys.argv[2]); load(sys.argv[2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", begin + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_that_may_not_grow(tmp_path):
    """A real limit of the system on the size of files: no snapshot, the old one as it was, and the
    next one as soon as there is room."""
    save(hamlet(), tmp_path)
    before = contents(tmp_path)
    printed = in_a_process(
        "import resource\n"
        "world = load(directory)\n"
        "world.spawn(5000, Body(y=np.random.default_rng(1).random(5000)), Face)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))\n"
        "try: save(world, directory)\n"
        "except StorageError as error: print(error.errno, error.filename, error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "print(list(sorted(os.listdir(directory))))\n"
        "world.step(STEP)\n"
        "save(world, directory)\n"
        "print(fingerprint(world))\n",
        tmp_path,
    ).splitlines()
    assert printed[0].startswith(f"{errno.EFBIG} {tmp_path}")
    assert "File too large" in printed[0]
    assert printed[1] == str([".lock", "data", "snapshot-0000000001.json"])
    assert fingerprint(load(tmp_path)) == printed[2]
    assert {name: contents(tmp_path)[name] for name in before} == before
    assert temporaries(tmp_path) == []


@pytest.fixture
def nobody(tmp_path):
    """Code that makes a process one to whom permissions apply, also where root runs the tests."""
    if os.geteuid():
        return ""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o011)
    return "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"


def test_a_directory_that_may_not_be_written(tmp_path, nobody):
    """Permission denied, by the system, to the directory, to all in it, and to its data alone: the
    error names the path, all is as it was, the lock is free again; and who may read may load."""
    world, places = hamlet(), [tmp_path / name for name in ("read", "none", "data")]
    for place in places:
        save(world, place)
    before = [contents(place) for place in places]
    for place, modes in zip(places, ((0o555, 0o555, 0o444), (0, 0, 0), (0o777, 0o555, 0o666)),
                            strict=True):  # fmt: skip
        for path, mode in zip((place / "data", place, place / ".lock"), modes, strict=True):
            path.chmod(mode)
    places[2].chmod(0o777)
    (places[2] / "data").chmod(0o555)
    printed = in_a_process(
        f"{nobody}"
        "for name in ('read', 'none', 'data', 'data'):\n"
        "    place = f'{directory}/{name}'\n"
        "    print(refusal(lambda: save(world, place)))\n"
        "    print(refusal(lambda: checkpoint(place)))\n"
        "    print(refusal(lambda: print(fingerprint(load(place)))))\n",
        tmp_path,
        tmp_path / "else",
    ).splitlines()
    for place in places:
        place.chmod(0o755)
        (place / "data").chmod(0o755)
    read, none, data = places
    can = [fingerprint(world), "None"]
    assert printed[:4] == [f"{errno.EACCES} {read}/.lock"] * 2 + can
    assert printed[4:7] == [f"{errno.EACCES} {none}/.lock"] * 2 + [f"{errno.EACCES} {none}"]
    assert [line.startswith(f"{errno.EACCES} {data}/data/0") for line in printed[7:9]] == [True] * 2
    assert printed[9:11] == can
    assert len(printed) == 15
    assert [contents(place) for place in places] == before
    with Snapshots(data).writing():
        assert temporaries(data) == []


def test_a_small_disk(tmp_path):
    """A real file system that is full: as long as it is, nothing is published; then all is well."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        world = hamlet()
        save(world, place)
        before = contents(place)
        space = os.statvfs(place)
        (place / "ballast").write_bytes(bytes(space.f_bsize * (space.f_bavail - 6)))
        world.spawn(3000, Body(number=np.arange(3000), y=np.random.default_rng(1).random(3000)))
        with pytest.raises(StorageError, match="No space left on device") as caught:
            save(world, place)
        assert caught.value.errno == errno.ENOSPC
        assert str(place) in caught.value.filename
        assert {name: contents(place)[name] for name in before} == before
        assert fingerprint(load(place)) == fingerprint(hamlet())
        (place / "ballast").unlink()
        save(world, place)
        assert fingerprint(load(place)) == fingerprint(world)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


class RefusingStore(ObjectFiles):
    """A store in which one request to write, or all from one on, is refused."""

    left, ever = -1, False

    def _put(self, name, data):
        if name != ".lock":
            self.left -= 1
            if self.left == 0 or (self.left < 0 and self.ever):
                raise StorageError(errno.EIO, "cannot write: slow down", f"{self.location}/{name}")
        super()._put(name, data)


@pytest.mark.parametrize("ever", [False, True])
def test_a_store_that_refuses(tmp_path, ever):
    """As with a disk: the error names the object, what was saved before is there, the next one
    holds all, and no object is left that no snapshot has."""
    for n in itertools.count(1):
        inner = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
        files, where = RefusingStore(inner, f"{n}", settle_s=0), tmp_path / f"{n}"
        world, told = hamlet(), {}
        with Checkpointer(world, files, threads=1, keep=1) as checkpointer:
            told[world.clock.tick] = fingerprint(world)
            checkpointer.save()
            change(world, 1)
            told[world.clock.tick] = fingerprint(world)
            files.left, files.ever = n, ever
            error = refusal(checkpointer.save)
            files.left, files.ever = -1, False
            if error is None:
                break
            assert f"/{n}/" in error.filename
            assert check_all(where, told) == [1]
            change(world, 2)
            told[world.clock.tick] = fingerprint(world)
            checkpointer.save()
            assert check_all(where, told)[-1] == world.clock.tick
            assert leftovers(where) == []
    assert n > 5


def test_a_read_that_fails_is_no_damage(tmp_path):
    """An error in reading is told as such: the snapshot may be good, so none is passed over."""
    save(hamlet(), tmp_path)
    save(hamlet(), tmp_path)
    for n in range(6):
        disk = FaultyDisk()
        world = load(LocalFiles(tmp_path, disk))
        reads = [k for k, name in enumerate(disk.calls) if name == "read"]
        disk = FaultyDisk(reads[min(n, len(reads) - 1)], OSError(errno.EIO, "no answer"))
        with pytest.raises(StorageError, match="no answer") as caught:
            load(LocalFiles(tmp_path, disk), threads=1)
        assert caught.value.filename.startswith(str(tmp_path))
        assert world.clock.tick == 1
