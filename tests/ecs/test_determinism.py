"""The same seed gives the same world, bit for bit: over threads, splits, processes and hash
seeds."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Rng, Text, World, Write, component, f4, i4, system, u8

from . import society
from .parts import columns_by_id
from .society import Asleep, Count, Note, Person, Place, Tie

EVERY = (Person, Place, Asleep, Note, Tie, Count)


def everything(world):
    """All that a run leaves: columns in the order of ids, byte for byte, ids, strings, digest."""
    entities = world.store.entities
    return {
        **columns_by_id(world, EVERY),
        "strings": world.text.strings,
        "slots": (entities.slots[: entities.n_slots, 0] >> np.uint64(32)).tobytes(),
        "free": entities.free_indices().tobytes(),
        "digest": world.digest(),
    }


@pytest.fixture(scope="module")
def expected():
    """One run, in the plainest way."""
    world = society.run()
    world.check()
    assert len(world) > 100
    assert world.query(Tie).count() > 50
    assert len(world.text) > 50
    return everything(world)


def test_the_same_program_twice(expected):
    """Two runs in one process end alike."""
    assert everything(society.run()) == expected


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_do_not_matter(expected, threads):
    """Every stage forced onto threads: the same bytes."""
    assert everything(society.run(threads=threads)) == expected


@pytest.mark.parametrize("parts", [2, 3, 60])
def test_batch_splits_do_not_matter(expected, parts):
    """The population spawned, changed and despawned in other batches: the same bytes."""
    assert everything(society.run(parts=parts)) == expected


def test_debug_tracking_clustering_and_shrinking_do_not_matter(expected):
    """What only looks, or only moves rows, changes no result."""
    assert everything(society.run(tracked=True)) == expected
    world = society.build()
    world.debug = True
    for step in range(20):
        if step % 3 == 0:
            world.cluster(Note.owner)
            world.cluster(Person.number)
        if step % 5 == 0:
            world.shrink()
        world.step(society.minutes(10))
    assert everything(world) == expected


def test_the_seed_matters(expected):
    """Another seed, another world."""
    world = society.build()
    world.seed = 12
    for _ in range(20):
        world.step(society.minutes(10))
    assert everything(world)["digest"] != expected["digest"]


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_hash_seeds_and_processes_do_not_matter(hash_seed):
    """Another process, in which Python's sets and dicts of str hash differently: the same bytes."""
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", str(folder / "society.py")],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == society.columns_hash(society.run())


# -- draws by stable keys ------------------------------------------------------------------------


@component
class Agent:
    number: u8
    luck: f4 = 0


@system
def fortune(agent: Write[Agent], rng: Rng):
    agent.luck = rng.uniform(agent.number).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_draws_belong_to_keys_not_rows(seed):
    """Whatever slots, rows and tables the agents are in, agent k draws what agent k draws."""
    rng = np.random.default_rng(seed)
    plain = World(seed=5)
    plain.spawn(Agent(number=np.arange(30)))
    tangled = World(seed=5)
    for numbers in np.array_split(rng.permutation(30), 5):
        junk = tangled.spawn(int(rng.integers(0, 9)))
        ids = tangled.spawn(Agent(number=numbers.astype(np.uint64)))
        tangled.despawn(junk[::2])
        tangled.add(ids[rng.random(ids.size) < 0.5], Asleep)
    found = []
    for world in (plain, tangled):
        world.add_system(fortune)
        world.step(1)
        query = world.query(Agent)
        found.append(query.gather(Agent.luck)[np.argsort(query.gather(Agent.number))].tobytes())
    assert found[0] == found[1]


# -- what threads could disturb ------------------------------------------------------------------


@component
class Left:
    said: Text = ""


@component
class Right:
    said: Text = ""


def test_text_written_by_two_threads_gets_the_same_codes():
    """Two systems of one stage that write new strings: the codes do not depend on who came
    first."""

    def run(threads, order):
        world = World(threads=threads)
        world.parallel_rows = 0
        ids = world.spawn(2, Left, Right)
        first_done = threading.Event()

        def turn(mine, work):
            if threads == 1:
                work()
            elif mine == order:
                work()
                first_done.set()
            else:
                first_done.wait(0.3)  # in vain where the plan keeps them apart
                work()

        @system
        def left(part: Write[Left]):
            turn("left", lambda: setattr(part, "said", ["one", "two"]))

        @system
        def right(part: Write[Right]):
            turn("right", lambda: setattr(part, "said", ["three", "four"]))

        world.add_systems(left, right)
        world.step(1)
        assert world.text.decode(world.get(ids, Left.said)) == ["one", "two"]
        assert world.text.decode(world.get(ids, Right.said)) == ["three", "four"]
        return (
            world.get(ids, Left.said).tolist(),
            world.get(ids, Right.said).tolist(),
            world.digest(),
        )

    assert run(1, "") == run(2, "left") == run(2, "right")


def test_codes_of_text_do_not_depend_on_the_split():
    """Two text fields in one component, or in two, get the same codes in one batch or in many."""

    @component
    class Both:
        first: Text = "none"
        second: Text = ""

    def run(parts):
        world = World()
        for some in np.array_split(np.arange(12), parts):
            world.spawn(
                Both(first=[f"a{i % 5}" for i in some], second=[f"b{i % 3}" for i in some]),
                Left(said=[f"c{i % 4}" for i in some]),
            )
        for some in np.array_split(world.query(Both).ids(), parts):
            world.set(
                some, Both(second=[f"d{i % 7}" for i in (some & 0xFF).tolist()]), Left(said="e")
            )
        return world.text.strings, world.digest()

    assert run(1) == run(2) == run(5) == run(12)


def test_changes_are_the_same_on_threads():
    """`changed_since` reports the same ids, whoever wrote them."""

    @component
    class Score:
        n: i4 = 0

    def run(threads):
        world = World(threads=threads)
        world.parallel_rows = 0
        world.track(Score, Agent)
        ids = world.spawn(20, Score, Agent(number=range(20)))

        @system
        def score(part: Write[Score]):
            part.n[::3] += 1

        world.add_systems(score, fortune)
        mark = world.mark()
        world.step(1)
        assert ids.size == 20
        return world.changed_since(mark, Score).tolist(), world.changed_since(mark, Agent).tolist()

    assert run(1) == run(2)
    assert len(run(1)[0]) == 7
