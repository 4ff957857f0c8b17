"""Health: a judgement of what was seen, with its reasons in words."""

from types import SimpleNamespace

import pytest

from populace.ecs import World, days, hours
from populace.ecs.errors import SettingError
from populace.runs.health import Bounds, Health, Observation, State, Verdict, judge
from populace.storage import Checkpointer

from .watched import live, tick_of, village

GIB = 2**30
FAILING = {
    "memory: 2.00 GiB in use, above the limit": {"resident_bytes": 2 * GIB, "limit_bytes": GIB},
    "checkpoint failed: disk full": {"failure": "disk full"},
    "1.00 GiB free, and the last checkpoint took 2": {
        "free_bytes": GIB, "checkpoint_bytes": 2 * GIB,
    },
}  # fmt: skip
STRAINED = {
    "4.0 times the usual 0.1 s": {"tick_s": 0.4, "usual_s": 0.1},
    "90% of the limit": {"resident_bytes": 90, "limit_bytes": 100},
    "the last was 3.5 intervals ago": {"overdue": 3.5},
    "0.2 s, more than 0.1 s": {"recall_p99_s": 0.2},
    "less than 1.00 GiB": {"free_bytes": GIB - 1, "checkpoint_bytes": 5},
    "one sweep in 4 is made": {"sweeps_every": 4},
}
WELL = [
    {},
    {"tick_s": 0.3, "usual_s": 0.1},
    {"tick_s": 9.0},
    {"resident_bytes": 85, "limit_bytes": 100},
    {"resident_bytes": GIB},
    {"overdue": 3.0},
    {"recall_p99_s": 0.1},
    {"free_bytes": GIB, "checkpoint_bytes": GIB},
    {"free_bytes": GIB},
]
PAIRS = [(f, s) for f in FAILING for s in STRAINED if not FAILING[f].keys() & STRAINED[s].keys()]
BOUNDS = Bounds(recall_p99_s=0.1)


@pytest.mark.parametrize(("reason", "seen"), FAILING.items())
def test_what_fails_a_run(reason, seen):
    """Each of these alone makes a run fail, and says why."""
    verdict = judge(Observation(**seen), BOUNDS)
    assert verdict.state is State.FAILING
    assert len(verdict.reasons) == 1
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize(("reason", "seen"), STRAINED.items())
def test_what_strains_a_run(reason, seen):
    """Each of these alone strains a run, and says why."""
    verdict = judge(Observation(**seen), BOUNDS)
    assert verdict.state is State.STRAINED
    assert len(verdict.reasons) == 1
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize("seen", WELL)
def test_what_is_at_its_bound_is_well(seen):
    """On the bound, or where something is not known, there is no reason."""
    assert judge(Observation(**seen), BOUNDS) == Verdict(State.OK, ())


@pytest.mark.parametrize(("failing", "strained"), PAIRS)
def test_the_worst_reason_decides(failing, strained):
    """Of two reasons both are told, and one that fails a run comes first."""
    verdict = judge(Observation(**FAILING[failing], **STRAINED[strained]), BOUNDS)
    assert verdict.state is State.FAILING
    first, second = verdict.reasons
    assert failing in first
    assert strained in second
    assert verdict.facts() == {"state": "failing", "reasons": [first, second]}


def test_bounds_that_are_none_are_refused():
    """A bound of 0 would make every run strained."""
    with pytest.raises(SettingError, match="above 0"):
        Bounds(slower=0.0)
    with pytest.raises(SettingError, match="above 0"):
        Bounds(recall_p99_s=-1.0)


# -- the watcher ----------------------------------------------------------------------------------


def test_a_slow_step_is_seen_once_there_is_a_usual_one():
    """The first ten steps are never slow; later one of more than three times the median is."""
    world, health = World(), Health()
    health(tick_of(world, wall_s=5.0))
    assert health.verdict.state is State.OK
    for _ in range(10):
        health(tick_of(world, wall_s=0.1))
    health(tick_of(world, wall_s=0.31))
    assert health.verdict.state is State.STRAINED
    health(tick_of(world, wall_s=0.29))
    assert health.verdict == Verdict()


def test_the_usual_time_follows_the_last_hundred_steps():
    """What was slow at first is usual when it goes on."""
    world, health = World(), Health()
    for wall_s in (*[0.1] * 20, *[1.0] * 100):
        health(tick_of(world, wall_s=wall_s))
    assert health.seen.usual_s == 1.0
    assert health.verdict.state is State.OK


def test_recalls_are_judged_by_the_step():
    """Slow recalls of an earlier step do not strain this one."""
    world, health = World(), Health(bounds=Bounds(recall_p99_s=0.1))
    world.telemetry.latency("recall").record(10**9)
    health(tick_of(world))
    assert health.verdict.state is State.STRAINED
    assert health.seen.recall_p99_s == pytest.approx(1.0, rel=0.04)
    health(tick_of(world))
    assert health.seen.recall_p99_s is None
    world.telemetry.latency("recall").record(10**6)
    health(tick_of(world))
    assert health.verdict.state is State.OK


def test_a_budget_and_memory_are_seen():
    """What the world and the row tell is what is judged."""
    world, health = World(), Health(limit_bytes=1_000)
    world.telemetry.sweeps_every = 2
    health(tick_of(world, rss_bytes=1_001))
    assert health.verdict.state is State.FAILING
    assert len(health.verdict.reasons) == 2


def test_the_disk_of_the_run_is_looked_at(tmp_path):
    """Free bytes come from the directory's disk; one that is not there is not known."""
    world, health = World(), Health(directory=tmp_path, bounds=Bounds(free_bytes=2**62))
    health(tick_of(world))
    assert health.verdict.state is State.STRAINED
    assert health.seen.free_bytes > 0
    gone = Health(directory=tmp_path / "gone")
    gone(tick_of(world))
    assert gone.seen.free_bytes is None


def test_checkpoints_in_time_are_well(tmp_path):
    """Of a run that saves each day nothing is overdue, and the size of the last is known."""
    world = village()
    with Checkpointer(world, tmp_path, every=days(1)) as checkpointer:
        health, states = Health(checkpointer=checkpointer), []
        live(world, 20, health, lambda tick: states.append(health.verdict.state))
        checkpointer.wait()
        health(tick_of(world))
    assert states == [State.OK] * 20
    assert 0 < health.seen.checkpoint_bytes <= max(saved.bytes for saved in checkpointer.saved)
    assert health.seen.failure is None


def test_a_checkpoint_that_failed_or_is_late_is_told():
    """By simulated time, from the last that was written, or the first step where none was."""
    world = World()
    known = SimpleNamespace(every=days(1), every_s=None, full_every=16, saved=[], failure=None)
    health = Health(checkpointer=known)
    health(tick_of(world))
    world.clock.now += days(3) + 1
    health(tick_of(world))
    assert health.verdict.state is State.STRAINED
    known.saved.append(SimpleNamespace(now_us=world.clock.now, bytes=7))
    health(tick_of(world))
    assert health.verdict.state is State.OK
    assert health.seen.checkpoint_bytes == 7
    known.failure = OSError("no space left")
    world.clock.now += hours(1)
    health(tick_of(world))
    assert health.verdict == Verdict(State.FAILING, ("the last checkpoint failed: no space left",))
