"""kill -9 at any moment: what was committed is there, and what was not leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from populace.storage.snapshot import Snapshots, load, save

from .crashing import leftovers, quick, temporaries
from .model import change, fingerprint, hamlet

ROOT = Path(__file__).parents[2]


def crash(*arguments):
    """`crashing.main` in a process of its own; what it prints."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.storage import crashing; crashing.main(*sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def killed_at_random(directory, n, seed):
    told = crash("random", directory, n, seed)
    assert told["kills"] == n
    assert told["committed"] > n / 4  # they do not all die before they have written
    snapshots = Snapshots(directory)
    with snapshots.writing():
        assert temporaries(directory) == []
        assert snapshots.load().clock.tick > 1


def test_processes_killed_at_random_moments(tmp_path):
    """200 of them. Each snapshot that the next one finds is, bit for bit, the world that was told
    of before it was written, the newest committed one is among them, and no temporary file is left
    when the next one has begun to write. They save full and deltas, prune and compact."""
    killed_at_random(tmp_path, 200, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [10_000, 20_000, 30_000])
def test_many_processes_killed_at_random_moments(tmp_path, seed):
    """As above, for longer."""
    killed_at_random(tmp_path, 1000, seed)


def check_all_calls(directory, every):
    told = crash("calls", directory, every)
    assert told["calls"] > 200
    n_seen = set()
    for n in range(0, told["calls"] + 1, every):
        where, digests = directory / f"{n}", json.loads((directory / f"{n}.json").read_text())
        numbers = Snapshots(where).numbers()
        n_seen.add(tuple(numbers))
        for number in numbers:
            tick = Snapshots(where).manifest(number).tick
            assert fingerprint(load(where, number=number)) == digests[str(tick)]
        if numbers:
            world = load(where)
            assert str(world.clock.tick) in list(digests)[-2:]  # no commit before the last is lost
        else:
            world = hamlet()
            assert len(digests) <= 1
        with Snapshots(quick(where)).writing():
            assert temporaries(where) == []
        change(world, 9)
        save(world, quick(where))
        assert fingerprint(load(where)) == fingerprint(world)
        Snapshots(quick(where)).prune(1)
        assert leftovers(where) == []
    assert len(n_seen) >= 5  # all parts of the story are among them


def test_processes_killed_at_calls(tmp_path):
    """A process that is killed at a call to the system, or in the middle of a write: every
    17th of those of a full snapshot, a delta, a fold and a prune."""
    check_all_calls(tmp_path, 17)


@pytest.mark.nightly
def test_processes_killed_at_every_call(tmp_path):
    """At all of them."""
    check_all_calls(tmp_path, 1)
