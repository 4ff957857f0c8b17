"""Processes that are killed while they archive, revive and save: see `tests.storage.crashing`.

random DIR N SEED     N that go on where the one before was killed, at any moment
calls DIR EVERY       one for each call to the system of a short story, or for some of them
"""

import itertools
import json
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

from populace.components import Memory, Persona, Stream, Trace
from populace.ecs import World, days
from populace.storage.archive import Archive
from populace.storage.checkpoint import Checkpointer
from populace.storage.files import LocalFiles
from populace.storage.partitions import Partitions
from populace.storage.snapshot import Snapshots, load, save
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.archive_reading import select
from populace.systems.revival import revive

from ..storage.crashing import Ear, Failed, KillingDisk, fork, quick, temporaries

STEP = days(1)
START = days(19_500)
AGENTS = 6
LONGEST = 3  # times what the first commit takes on this machine


def beginning():
    """Six people without memories."""
    world = World()
    world.clock.now = START
    world.spawn(AGENTS, Persona(number=np.arange(AGENTS)), Stream)
    return world


def form(world, draw):
    """Some memories, which say whose they are, of times that are certain too."""
    people = world.query(Persona, Stream)
    for agent, number, formed in zip(
        people.ids(), people.gather(Persona.number), people.gather(Stream.formed), strict=True
    ):
        sequence = np.arange(formed, formed + draw.integers(0, 9))
        world.spawn(
            sequence.size,
            Memory(
                owner=agent, sequence=sequence, created=created(number, sequence),
                text=[text(number, one) for one in sequence],
            ),
            Trace(importance=0.5, stability=60, accessed=START),
        )  # fmt: skip
        world.set([agent], Stream(formed=formed + sequence.size))


def text(number, sequence):
    return f"memory {sequence} of {number}"


def created(number, sequence):
    return START - days(1) * ((np.asarray(sequence) * 7 + int(number)) % 40)


def some(draw, values):
    return values[draw.random(len(values)) < draw.random()]


def day(world, draw):
    """Memories are formed, leave, and come back."""
    form(world, draw)
    archive_memories(world, some(draw, world.query(Memory).ids()))
    archive = world.resource(Archive)
    if draw.random() < 0.5 and len(archive):
        file = archive.files()[int(draw.integers(len(archive.files())))]
        keys = np.array([(k, s) for k, s in sorted(keys_away(world)) if k % 2 == file.bucket])
        revive(world, some(draw, keys)[:20])
    world.step(STEP)


def keys_away(world, where=None):
    """{(number, sequence)} of the memories in a world's archive, whose rows are what they were."""
    held = world.resource(Archive)
    partitions = Partitions(quick(where or world.where))
    rows = select(partitions, held, ("agent", "sequence", "created", "text"))
    keys = list(zip(rows["agent"].tolist(), rows["sequence"].tolist(), strict=True))
    assert rows["text"].tolist() == [text(*key) for key in keys]
    assert all(created(*key) == at for key, at in zip(keys, rows["created"], strict=True))
    assert len(set(keys)) == len(keys) == len(held)
    return set(keys)


def check(world, where):
    """Every memory that was ever formed is either there or in the archive, and is what it was."""
    query = world.query(Memory)
    numbers = world.get(query.gather(Memory.owner), Persona.number).tolist()
    keys = list(zip(numbers, query.gather(Memory.sequence).tolist(), strict=True))
    assert world.text.decode(query.gather(Memory.text)) == [text(*key) for key in keys]
    away = keys_away(world, where)
    people = world.query(Persona, Stream)
    formed = zip(
        people.gather(Persona.number).tolist(), people.gather(Stream.formed).tolist(), strict=True
    )
    want = {(number, sequence) for number, n in formed for sequence in range(n)}
    assert set(keys) | away == want, f"in neither: {sorted(want - away - set(keys))[:5]}"
    assert len(keys) + len(away) == len(want), f"in both: {sorted(set(keys) & away)[:5]}"


def check_all(where):
    """Every snapshot; return how many."""
    snapshots = Snapshots(quick(where))
    for number in snapshots.numbers():
        check(snapshots.load(number, threads=1), where)
    return len(snapshots.numbers())


def unnamed(where):
    """Files of the archive that no snapshot has."""
    snapshots = Snapshots(quick(where))
    named = {n for number in snapshots.numbers() for n in snapshots.manifest(number).kept}
    found = {str(p.relative_to(where)) for p in Path(where).rglob("archive/*/*/*")}
    return sorted(found - named)


# -- children -------------------------------------------------------------------------------------


def victim(where, seed, committed, tell):
    """Check what the one before has left, go on with it, and archive and save until killed."""
    numbers = Snapshots(quick(where)).numbers()
    assert max(numbers, default=0) >= committed, f"{committed} was committed; there are {numbers}"
    check_all(where)
    world = load(quick(where), threads=1) if numbers else beginning()
    world.where = where
    draw = np.random.default_rng(seed)
    checkpointer = Checkpointer(
        world, quick(where), every=STEP, keep=int(draw.integers(1, 3)),
        full_every=int(draw.integers(1, 4)), threads=1,
        on_saved=lambda saved: tell("committed", saved.number),
    )  # fmt: skip
    assert temporaries(where) == unnamed(where) == []
    attach_archive(world, quick(where), buckets=2, archiving=False)
    tell("begun")
    with checkpointer:
        while True:
            day(world, draw)


def story(where, disk, tell):
    """Three days, and what a directory goes through."""
    world, draw = beginning(), np.random.default_rng(5)
    world.where = where
    files = LocalFiles(where, disk)
    attach_archive(world, files, buckets=2, archiving=False)
    for turn in range(3):
        day(world, draw)
        tell("committed", save(world, files, threads=1).number)
        day(world, draw)
        if turn:
            Snapshots(files).prune(1)


def warm_up(where):
    """Compile what children would compile, each for itself; start no thread."""
    world = beginning()
    world.where = where
    with attach_archive(world, quick(where), buckets=2, archiving=False):
        for _ in range(2):
            form(world, np.random.default_rng(1))
            archive_memories(world, world.query(Memory).ids())
            world.step(STEP)


def kill_at_random(directory, n, seed):
    """n children, one after the other, each killed within LONGEST of its beginning, but the first,
    which is when it has committed."""
    chance, committed, n_committed, first_s = random.Random(seed), 0, 0, 0.0
    for k in range(n + 1):
        pid, pipe = fork(partial(victim, directory, seed + k, committed))
        ear, begun = Ear(pipe), False
        try:
            for message in ear.listen(60):
                if message[0] == "failed":
                    raise Failed(message[1])
                begun = message == ["begun"]
                if begun:
                    break
            if not begun:
                raise Failed(f"child {k} does not begin")
            since = time.monotonic()
            if k:
                heard = list(ear.listen(chance.random() * LONGEST * first_s))
            else:
                heard = list(itertools.islice(ear.listen(60), 1))
                first_s = time.monotonic() - since
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        heard += ear.listen(1)
        pipe.close()
        for kind, what in heard:
            if kind == "failed":
                raise Failed(what)
            committed, n_committed = what, n_committed + 1
    return {"kills": n, "committed": n_committed}


def kill_at_calls(directory, every):
    """A child for each call of `story`, or for some, killed there: its directory is named by it."""
    directory.mkdir(parents=True)
    for n in itertools.count(0, every):
        pid, pipe = fork(lambda tell, n=n: story(directory / f"{n}", KillingDisk(n), tell))
        told = list(Ear(pipe).listen(60))
        _, status = os.waitpid(pid, 0)
        pipe.close()
        if told and told[-1][0] == "failed":
            raise Failed(told[-1][1])
        (directory / f"{n}.json").write_text(json.dumps(max([0, *(number for _, number in told)])))
        if status == 0:
            return {"calls": n}


def main(how, where, *numbers):
    """What the script does."""
    warm_up(Path(where) / "warm")
    run_it = {"random": kill_at_random, "calls": kill_at_calls}[how]
    print(json.dumps(run_it(Path(where) / "towns", *map(int, numbers))))
