"""Processes that are killed while they save, and disks on which the power fails.

`main` is for a process of its own, which has imported everything and started no thread. It forks
children one after the other:

    random DIR N SEED     N that save in a loop, killed at any moment
    calls DIR EVERY       one for each call to the system of a short story, or for some of them

Each of the first kind checks what the one before has left; the directories of the second kind are
there to be checked. One line of JSON says how many there were.
"""

import gc
import itertools
import json
import os
import random
import select
import signal
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pyarrow.parquet  # noqa: F401  # before there are children

from populace.ecs.image import capture, restore
from populace.storage.base import Base
from populace.storage.checkpoint import Checkpointer
from populace.storage.columns import encode
from populace.storage.disk import Disk
from populace.storage.files import LocalFiles, is_temporary
from populace.storage.snapshot import Snapshots, load

from .faulty_disk import FaultyDisk
from .model import STEP, change, fingerprint, hamlet, story

LONGEST = 0.08  # s

# -- disks ----------------------------------------------------------------------------------------


class QuickDisk(Disk):
    """The real disk, which waits for nothing: the death of a process loses no written byte."""

    def fsync(self, fd):
        pass

    def fsync_folder(self, path):
        pass


def quick(path):
    """The files in a directory, on a QuickDisk."""
    return LocalFiles(path, QuickDisk())


class MortalDisk(FaultyDisk):
    """A FaultyDisk whose process leaves no files open when it is dead: nor a lock, therefore."""

    def __init__(self, at=None, fault=None):
        super().__init__(at, fault)
        self._open = set()

    def open(self, path, flags):
        fd = self._call("open", (path, flags))
        self._open.add(fd)
        return fd

    def close(self, fd):
        if not self.dead:
            self._open.discard(fd)
        self._call("close", (fd,))

    def bury(self):
        """What the system does when a process has ended."""
        for fd in self._open:
            os.close(fd)
        self._open.clear()


class KillingDisk(QuickDisk):
    """A QuickDisk on which the process is killed instead of call number `at`."""

    def __init__(self, at):
        self.at, self.calls = at, []

    def _call(self, name, args):
        if len(self.calls) == self.at:
            if name == "write":
                os.write(args[0], args[1][: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls.append(name)
        return getattr(QuickDisk, name)(self, *args)


for _name in vars(Disk):
    if not _name.startswith("_"):
        _made = (lambda name: lambda self, *args: self._call(name, args))(_name)
        setattr(KillingDisk, _name, _made)


class PowerDisk(Disk):
    """The real disk, and beside it what would be left of it if the power failed.

    What was written to a file is there after its fsync. That a name has come or gone, or is
    another file's, is certain after the fsync of its folder; until then each such change may be
    there or not, but those of one name in their order. Folders are there from the first.
    """

    def __init__(self, top, moments=None):
        self.top = Path(top)
        self.paths = {}  # fd -> path
        self.synced = {}  # path -> bytes that an fsync has made durable
        self.certain = {}  # path -> bytes, or None: after the fsync of the folder
        self.pending = []  # (path, bytes or None), in order
        self.moments = [] if moments is None else moments  # (certain, pending) after each call

    def _note(self):
        self.moments.append((dict(self.certain), tuple(self.pending)))

    def open(self, path, flags):
        fd = super().open(path, flags)
        self.paths[fd] = Path(path)
        if flags & os.O_CREAT:
            self.synced[Path(path)] = b""
            self.pending.append((Path(path), b""))
        return fd

    def close(self, fd):
        super().close(fd)
        self.paths.pop(fd, None)

    def fsync(self, fd):
        path = self.paths[fd]
        self.synced[path] = path.read_bytes()
        self.pending = [(p, self.synced[p] if p == path and d == b"" else d)
                        for p, d in self.pending]  # fmt: skip
        self._note()

    def fsync_folder(self, path):
        for changed, data in self.pending:
            if changed.parent == Path(path):
                self._apply(self.certain, changed, data)
        self.pending = [(p, d) for p, d in self.pending if p.parent != Path(path)]
        self._note()

    def rename(self, old, new):
        super().rename(old, new)
        self.pending += [(Path(new), self.synced.pop(Path(old))), (Path(old), None)]
        self._note()

    def remove(self, path):
        super().remove(path)
        self.pending.append((Path(path), None))
        self._note()

    @staticmethod
    def _apply(names, path, data):
        if data is None:
            names.pop(path, None)
        else:
            names[path] = data

    @classmethod
    def left(cls, moment, draw):
        """{path: bytes} that could be there after a moment, by a chance for each change."""
        certain, pending = moment
        names = dict(certain)
        stopped = set()
        share = draw.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        for path, data in pending:
            if path not in stopped and draw.random() < share:
                cls._apply(names, path, data)
            else:
                stopped.add(path)  # what follows of this name comes later still
        return names


def write_tree(names, old, new):
    """Files with these bytes below `new`, where their paths are below `old`."""
    for path, data in names.items():
        place = Path(new) / path.relative_to(old)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def leftovers(directory):
    """Files that no snapshot has, below a directory."""
    snapshots = Snapshots(directory)
    named = {".lock"}
    for number in snapshots.numbers():
        manifest = snapshots.manifest(number)
        named |= {manifest.name, *manifest.files, *manifest.kept}
    found = {str(p.relative_to(directory)) for p in Path(directory).rglob("*") if p.is_file()}
    return sorted(found - named)


def temporaries(directory):
    """Files that were being written."""
    return [str(p) for p in Path(directory).rglob("*") if is_temporary(p.name)]


# -- children -------------------------------------------------------------------------------------


def check(directory, told):
    """Every snapshot is one that was told of, and there are no fewer than were committed."""
    snapshots = Snapshots(directory)
    for number in snapshots.numbers():
        tick = snapshots.manifest(number).tick
        got = fingerprint(load(directory, number=number))
        assert told.get(tick) == got, (
            f"snapshot {number}, tick {tick}: {got}, told {told.get(tick)}"
        )


def victim(directory, seed, tell, told, committed):
    """Check what the one before has left, go on with it, and save until somebody ends it."""
    numbers = Snapshots(directory).numbers()
    assert max(numbers, default=0) >= committed, f"{committed} was committed; there are {numbers}"
    check(directory, told)
    world = load(directory) if numbers else hamlet(300)
    draw = np.random.default_rng(seed)
    world.on_step(lambda world: tell("told", world.clock.tick, fingerprint(world)))
    checkpointer = None
    for turn in itertools.count():
        if checkpointer is None:
            checkpointer = Checkpointer(
                world, quick(directory), every=STEP, keep=int(draw.integers(1, 3)),
                full_every=int(draw.integers(1, 4)), threads=int(draw.integers(1, 3)),
                on_saved=lambda saved: tell("committed", saved.number),
            )  # fmt: skip
            left = temporaries(directory)
            assert not left, f"left over: {left}"
        if turn == 0:
            tell("begun")
        change(world, int(draw.integers(10**6)))
        if draw.random() < 0.1:
            checkpointer.close()
            checkpointer = None
            Snapshots(quick(directory)).compact(threads=1)
            if draw.random() < 0.5:
                Snapshots(quick(directory)).prune(1)


def warm_up():
    """Compile what children would compile, each for itself; start no thread, as they would not
    have it."""
    world = hamlet()
    base = Base(world)
    for k in range(3):
        change(world, k)
        base.look()
    restore(capture(world))
    base.close()
    encode({"text": ["as much as is needed"], "x": np.zeros(1)}, file="none")
    assert threading.active_count() == 1
    gc.freeze()  # so that children do not copy what they do not touch


def fork(child):
    """A process that does `child(tell)`; returns its id and where its lines are read."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, os.fdopen(read, "rb", buffering=0)
    os.close(read)
    status = 1

    def tell(*parts):
        os.write(write, (json.dumps(parts) + "\n").encode())

    try:
        child(tell)
        status = 0
    except BaseException:
        tell("failed", traceback.format_exc())
    finally:
        os._exit(status)


class Ear:
    """What a child tells through a pipe."""

    def __init__(self, pipe):
        self.pipe, self._held, self._heard = pipe, b"", []

    def listen(self, seconds):
        """Each message within a time, or until the child has ended."""
        until = time.monotonic() + seconds
        while True:
            while self._heard:
                yield self._heard.pop(0)
            left = max(0.0, until - time.monotonic())
            if not select.select([self.pipe], [], [], left)[0]:
                return
            data = self.pipe.read(65_536)
            if not data:
                return
            *lines, self._held = (self._held + data).split(b"\n")
            self._heard += map(json.loads, lines)


class Failed(Exception):
    """What a child found wrong."""


def kill_at_random(directory, n, seed):
    """n children, one after the other, each killed within LONGEST of its beginning."""
    chance = random.Random(seed)
    told, committed, n_committed = {}, 0, 0

    def take(message):
        nonlocal committed, n_committed
        match message:
            case ["told", tick, digest]:
                told[tick] = digest
            case ["committed", number]:
                committed, n_committed = number, n_committed + 1
            case ["failed", why]:
                raise Failed(why)
        return message

    for k in range(n + 1):
        pid, pipe = fork(lambda tell, k=k: victim(directory, seed + k, tell, told, committed))
        try:
            ear = Ear(pipe)
            for message in ear.listen(60):
                if take(message) == ["begun"]:
                    break
            else:
                raise Failed(f"child {k} does not begin")
            for message in ear.listen(chance.random() * LONGEST):
                take(message)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for message in ear.listen(1):
            take(message)
        pipe.close()
    return {"kills": n, "committed": n_committed}


def kill_at_calls(directory, every):
    """A child for each call of `story`, or for some, killed there: its directory is named by it."""
    for n in itertools.count(0, every):
        told = {}
        disk = KillingDisk(n)
        pid, pipe = fork(
            lambda tell, disk=disk, n=n: story(
                LocalFiles(directory / f"{n}", disk), lambda *parts: tell("told", *parts)
            )
        )
        for message in Ear(pipe).listen(60):
            if message[0] == "failed":
                raise Failed(message[1])
            told[message[1]] = message[2]
        _, status = os.waitpid(pid, 0)
        pipe.close()
        (directory / f"{n}.json").write_text(json.dumps(told))
        if status == 0:
            return {"calls": n, "told": len(told)}


def main(how, where, *numbers):
    """What the script does."""
    warm_up()
    run_it = {"random": kill_at_random, "calls": kill_at_calls}[how]
    print(json.dumps(run_it(Path(where), *map(int, numbers))))
