"""A run from beginning to end with its directory: saved, broken off, gone on with, failed."""

import json
import logging
import shutil
import signal
import sys
import threading
import warnings
from dataclasses import replace
from time import perf_counter, sleep

import numpy as np
import pytest

from populace.components import Persona
from populace.ecs import World, days, hours
from populace.ecs.errors import LockedError, SettingError, StorageError
from populace.runs import make_world
from populace.runs.directory import RunDirectory
from populace.runs.session import ResumeWarning, Saving, Session
from populace.runs.watching import watched_by
from populace.scenarios.registry import find_scenario
from populace.storage import Checkpointer, Snapshots, load
from populace.storage.checkpoint import CheckpointWarning

from .harbour import HARBOUR
from .lived import (
    TOWN,
    Watching,
    go_on,
    lose_after,
    metrics_of,
    parameters_of,
    run_in,
    same_anywhere,
)

STREAM = {"stream.agents": 30, "stream.memories": 40, "run.days": 3}


def manifest_of(path):
    """The manifest of a run, as it is on disk."""
    return json.loads((path / "manifest.json").read_text())


def assert_same_run(one, other):
    """Two directories hold runs that came to the same, step by step."""
    assert load(one / "snapshots").digest() == load(other / "snapshots").digest()
    mine, theirs = same_anywhere(metrics_of(one)), same_anywhere(metrics_of(other))
    assert mine.schema == theirs.schema
    differ = [name for name in mine.column_names if not mine[name].equals(theirs[name])]
    assert differ == []
    assert manifest_of(one)["facts"] == manifest_of(other)["facts"]


# -- what is saved ---------------------------------------------------------------------------


def test_the_last_snapshot_is_the_end(town_run):
    """It is the world as the run left it, and there is one for every so much time before."""
    snapshots = Snapshots(town_run.path / "snapshots")
    assert snapshots.load().digest() == town_run.world.digest()
    ticks = [snapshots.manifest(number).tick for number in snapshots.numbers()]
    assert ticks == list(range(6, 61, 6))
    assert town_run.outcome.snapshots == len(ticks)


def test_a_run_is_saved_at_its_end_alone_unless_asked(tmp_path):
    """One snapshot, and `keep` keeps the newest."""
    run_in(tmp_path / "once", "stream", STREAM, every=None)
    assert Snapshots(tmp_path / "once" / "snapshots").numbers() == [1]
    scenario = find_scenario("stream")
    saving = Saving(every=hours(1), keep=1)
    session = Session(scenario, RunDirectory(tmp_path / "kept"), saving)
    session.start(parameters_of("stream", **STREAM))
    numbers = Snapshots(tmp_path / "kept" / "snapshots").numbers()
    assert numbers[-1] == 72
    assert len(numbers) <= 16  # a full one and its deltas
    assert manifest_of(tmp_path / "kept")["saving"] == {
        "every": hours(1), "every_s": None, "keep": 1,
    }  # fmt: skip


def test_wall_time_saves_too(tmp_path):
    """Every so many seconds that pass; what is saved changes nothing."""
    session = Session(find_scenario("stream"), RunDirectory(tmp_path / "a"), Saving(every_s=1e-4))
    _, outcome = session.start(parameters_of("stream", **STREAM))
    assert outcome.snapshots > 1
    run_in(tmp_path / "b", "stream", STREAM, every=None)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_without_a_directory_nothing_is_kept(tmp_path, monkeypatch):
    """And the run is the same."""
    monkeypatch.chdir(tmp_path)
    _, outcome = Session(find_scenario("stream")).start(parameters_of("stream", **STREAM))
    assert (outcome.status, outcome.formed, outcome.snapshots) == ("done", 1_200, 0)
    assert list(tmp_path.iterdir()) == []


# -- to go on --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 9], ids=lambda n: f"{n * 6 % 24}h")
def test_a_broken_town_goes_on_as_one_without_a_break(town_run, town_copy, number):
    """Whatever the hour of the break: the same world to the bit, the same row for each step."""
    lose_after(town_copy, number)
    again = go_on(town_copy)
    assert again.outcome.ticks == 60 - 6 * number
    assert_same_run(town_run.path, town_copy)
    assert len(manifest_of(town_copy)["resumed"]) == 1
    again.world.check()


def test_a_run_broken_twice_goes_on_too(town_run, town_copy):
    """Each break is told in the manifest."""
    for number in (7, 4):
        lose_after(town_copy, number)
        go_on(town_copy)
    assert_same_run(town_run.path, town_copy)
    assert len(manifest_of(town_copy)["resumed"]) == 2


def test_a_broken_stream_goes_on_as_one_without_a_break(tmp_path):
    """The draws of what is lived through go on where they were."""
    run_in(tmp_path / "whole", "stream", STREAM)
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    lose_after(tmp_path / "broken", 5)
    go_on(tmp_path / "broken")
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


def test_rows_up_to_a_snapshot_are_on_disk_with_it(tmp_path, monkeypatch):
    """A run that is killed has its metrics up to the newest snapshot, so none is ever wanting."""
    seen = []

    def look(tick):
        newest = Snapshots(tmp_path / "run" / "snapshots").numbers()
        if newest:
            saved = Snapshots(tmp_path / "run" / "snapshots").manifest(newest[-1]).tick
            seen.append((saved, metrics_of(tmp_path / "run")["tick"].to_pylist()[-1]))

    class Looking(Watching):
        def __call__(self, tick):
            look(tick)

    run_in(tmp_path / "run", "stream", STREAM, watch=Looking())
    assert len(seen) > 50
    assert all(rows >= saved for saved, rows in seen)


def test_a_run_that_is_over_may_live_on(tmp_path):
    """A stream that is given more days goes on at its pace."""
    path = tmp_path / "run"
    run_in(path, "stream", STREAM, every=None)
    world = load(path / "snapshots")
    scenario = find_scenario("stream")
    way = next(held for held in world.resources if type(held).__name__ == "Itinerary")
    way.end_us += days(1.5)
    scenario.prolong(world, way.end_us)
    outcome = Session(scenario, RunDirectory(path).open()).go_on(world)
    assert (outcome.formed, outcome.ticks) == (30 * 20, 36)
    assert metrics_of(path)["tick"].to_pylist() == list(range(1, 109))
    assert manifest_of(path)["end_us"] == world.clock.now


def test_a_scenario_of_ones_own_goes_on(tmp_path):
    """The classes of its file are found by its snapshots, also after the file was edited."""
    file = tmp_path / "harbour.py"
    file.write_text(HARBOUR)
    run = run_in(tmp_path / "run", str(file), {"run.days": 1.0})
    lose_after(tmp_path / "run", 2)
    file.write_text(HARBOUR.replace("boats * 10", "boats * 11"))
    with pytest.warns(ResumeWarning, match=r"harbour.py was changed: the run goes on so, and may"):
        again = go_on(tmp_path / "run")
    assert "harbour.py was changed" in (tmp_path / "run" / "log.txt").read_text()
    assert again.outcome.ticks == 12
    assert (run.outcome.told["catch"], again.outcome.told["catch"]) == (101, 111)


def test_another_version_is_told_where_a_run_goes_on(tmp_path):
    """Of what the result may depend on; a manifest from before files were noted is one of them."""
    path = tmp_path / "run"
    run_in(path, "stream", STREAM)
    lose_after(path, 3)
    told = manifest_of(path)
    del told["files"]
    told["versions"] |= {"numba": "0.1", "duckdb": "0.1"}
    (path / "manifest.json").write_text(json.dumps(told))
    with pytest.warns(ResumeWarning, match=r"^numba is [\d.]+, was 0.1: the run goes on so"):
        go_on(path)


def test_when_a_run_is_saved_is_remembered_as_it_was_last_said(tmp_path):
    """For the next time that it goes on."""
    path = tmp_path / "run"
    run_in(path, "stream", STREAM, every=hours(2))
    lose_after(path, 3)
    go_on(path, every=hours(6))
    assert manifest_of(path)["saving"]["every"] == hours(6)


def test_setting_up_is_what_comes_before_the_first_step(tmp_path, monkeypatch):
    """Also of a run that goes on: not its last snapshot."""
    path, finish = tmp_path / "run", Checkpointer.finish
    run_in(path, "stream", STREAM)
    lose_after(path, 3)

    def slowly(checkpointer):
        sleep(0.5)
        finish(checkpointer)

    monkeypatch.setattr(Checkpointer, "finish", slowly)
    began = perf_counter()
    directory = RunDirectory(path).open()
    session = Session(find_scenario("stream"), directory, began=began)
    outcome = session.go_on(load(directory.snapshots))
    assert perf_counter() - began - outcome.setup_s - outcome.run_s >= 0.5
    assert outcome.setup_s > 0


# -- what ends it before its time ------------------------------------------------------------


def ended_well(path, ticks=72):
    """The world of a run's newest snapshot is that of the last step."""
    assert load(path / "snapshots").clock.tick == ticks
    return True


def test_a_watcher_that_fails_at_the_end_does_not_cost_the_run(tmp_path):
    """As a profile whose page the disk has no room for: the world is saved, and that is told."""

    class Unwritable(Watching):
        def close(self):
            if self.seen:
                raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run_in(tmp_path / "run", "stream", STREAM, every=None, watch=Unwritable())
    assert ended_well(tmp_path / "run")
    assert manifest_of(tmp_path / "run")["status"] == "failed"
    again = go_on(tmp_path / "run")
    assert (again.outcome.status, again.outcome.ticks) == ("done", 0)
    told = manifest_of(tmp_path / "run")
    assert (told["status"], told["reason"], told["resumed"]) == ("done", "", [])
    assert told["facts"] == again.outcome.told


def test_a_measure_that_fails_does_not_cost_the_run(tmp_path):
    """The step that it could not measure is saved, and the run goes on from it to the same end."""
    stream = find_scenario("stream")
    odd = replace(stream, measure=lambda world: {"x": None if world.clock.tick == 20 else 1.0})
    session = Session(odd, RunDirectory(tmp_path / "run"))
    with pytest.raises(SettingError, match="scenario stream: measure gives None for 'x'"):
        session.start(parameters_of("stream", **STREAM))
    assert ended_well(tmp_path / "run", 20)
    assert go_on(tmp_path / "run").outcome.ticks == 52
    run_in(tmp_path / "whole", "stream", STREAM)
    assert load(tmp_path / "run" / "snapshots").digest() == load(
        tmp_path / "whole" / "snapshots"
    ).digest()  # fmt: skip


def test_a_step_left_half_done_is_not_saved(tmp_path, monkeypatch):
    """The newest snapshot is of a whole step."""
    step = World.step

    def fail(world, dt):
        if world.clock.tick == 20:
            raise RuntimeError("half done")
        step(world, dt)

    monkeypatch.setattr(World, "step", fail)
    with pytest.raises(RuntimeError, match="half done"):
        run_in(tmp_path / "run", "stream", STREAM)
    assert ended_well(tmp_path / "run", 18)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_the_step(town_run, tmp_path, sent):
    """It is saved, says so, and goes on as if nothing had been."""
    watch = Watching(29, lambda tick: signal.raise_signal(sent))
    run = run_in(tmp_path / "run", "town", TOWN, every=None, watch=watch)
    assert (run.outcome.status, run.outcome.reason) == ("interrupted", sent.name)
    assert (run.outcome.ticks, run.outcome.snapshots) == (29, 1)
    told = manifest_of(tmp_path / "run")
    assert (told["status"], told["reason"]) == ("interrupted", sent.name)
    assert go_on(tmp_path / "run").outcome.status == "done"
    assert_same_run(town_run.path, tmp_path / "run")
    assert manifest_of(tmp_path / "run")["status"] == "done"


def test_a_second_signal_ends_it_at_once(tmp_path):
    """What was saved before is good; the manifest says what happened."""

    def twice(tick):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "run", "stream", STREAM, watch=Watching(20, twice))
    told = manifest_of(tmp_path / "run")
    assert (told["status"], told["reason"]) == ("interrupted", "at once")
    assert load(tmp_path / "run" / "snapshots").clock.tick == 18
    assert go_on(tmp_path / "run").outcome.status == "done"
    run_in(tmp_path / "whole", "stream", STREAM)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_step_that_fails_is_told(tmp_path):
    """In the manifest and, with where, in the log; what was saved before is good."""

    def fail(tick):
        raise RuntimeError("the harbour silted up")

    with pytest.raises(RuntimeError):
        run_in(tmp_path / "run", "stream", STREAM, watch=Watching(20, fail))
    told = manifest_of(tmp_path / "run")
    assert (told["status"], told["reason"]) == ("failed", "the harbour silted up")
    assert told["ended"]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback" in log
    assert "the harbour silted up" in log
    assert metrics_of(tmp_path / "run")["tick"].to_pylist() == list(range(1, 21))
    run_in(tmp_path / "whole", "stream", STREAM)
    go_on(tmp_path / "run")
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_disk_that_refuses_does_not_hide_what_failed(tmp_path, monkeypatch):
    """The step's own error is raised, and both are in the log."""

    def fail(tick):
        monkeypatch.setattr(RunDirectory, "save", refuse)
        raise RuntimeError("the harbour silted up")

    def refuse(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(RuntimeError, match="silted up"):
        run_in(tmp_path / "run", "stream", STREAM, watch=Watching(2, fail))
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "failed: the harbour silted up" in log
    assert "the manifest cannot be written: [Errno 28]" in log


@pytest.mark.parametrize(
    ("scenario", "values", "why"),
    [
        ("replay", {}, "replay.contacts is empty"),
        ("smallville", {}, "town.personas is empty"),
        ("town", {"town.personas": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_built_leaves_nothing(tmp_path, scenario, values, why):
    """No directory."""
    with pytest.raises(Exception, match=why):
        run_in(tmp_path / "run", scenario, values)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_watched_leaves_nothing(tmp_path):
    """As where a limit leaves no room, or a port is taken."""

    def refuse(*_):
        raise SettingError("no room")

    session = Session(find_scenario("stream"), RunDirectory(tmp_path / "run"), watch=refuse)
    with pytest.raises(SettingError, match="no room"):
        session.start(parameters_of("stream", **STREAM))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_another_process_goes_on_with_is_left_alone(town_copy):
    """Its directory is locked, and its manifest stays what that process wrote."""
    lose_after(town_copy, 3)
    before = manifest_of(town_copy)
    other = load(town_copy / "snapshots")
    with Checkpointer(other, town_copy / "snapshots"), pytest.raises(LockedError):
        go_on(town_copy)
    assert manifest_of(town_copy) == before
    assert go_on(town_copy).outcome.status == "done"
    with Checkpointer(other, town_copy / "snapshots"), pytest.raises(LockedError):
        go_on(town_copy)  # although nothing is left to live


def test_a_run_that_is_over_is_left_as_it_is(tmp_path):
    """To go on with it is to live no step, and its manifest says nothing else."""
    run_in(tmp_path / "run", "stream", STREAM)
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    assert go_on(tmp_path / "run").outcome.ticks == 0
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("over", [True, False])
def test_who_cannot_be_watched_going_on_is_as_before(tmp_path, over):
    """Misuse makes no failed run of one that is done, or was interrupted."""
    path = tmp_path / "run"
    run_in(path, "stream", STREAM)
    if not over:
        lose_after(path, 3)
    before = manifest_of(path)

    def refuse(*_):
        raise SettingError("no room")

    directory = RunDirectory(path).open()
    session = Session(find_scenario("stream"), directory, watch=refuse)
    with pytest.raises(SettingError, match="no room"):
        session.go_on(load(directory.snapshots))
    assert manifest_of(path) == before


def test_of_watchers_that_cannot_all_be_made_none_stays(tmp_path):
    """The sampler of a profile has ended where there is no telemetry."""
    before = sys.getswitchinterval()
    watch = watched_by(telemetry=str(tmp_path / "nowhere" / "x"), profile=lambda profiled: "")
    with pytest.raises(StorageError, match="telemetry cannot be written"):
        watch(make_world("stream", {"stream.agents": 3}), None, None)
    assert sys.getswitchinterval() == before
    assert not [each for each in threading.enumerate() if each.name == "populace-sampler"]


# -- the log ---------------------------------------------------------------------------------


def test_what_is_warned_of_is_in_the_log(tmp_path):
    """A snapshot that could not be written is a line there, and warned of as ever."""
    watch = Watching(20, lambda tick: warnings.warn("no room", CheckpointWarning, stacklevel=1))
    show = warnings.showwarning
    with pytest.warns(CheckpointWarning, match="no room"):
        run_in(tmp_path / "run", "stream", STREAM, watch=watch)
    assert "WARNING populace.run: no room" in (tmp_path / "run" / "log.txt").read_text()
    assert warnings.showwarning is show


def test_the_log_tells_of_each_day(town_run):
    """When it began, what there was at midnight, how it ended."""
    lines = (town_run.path / "log.txt").read_text().splitlines()
    assert len(lines) == 5
    assert "town from 2023-02-13 00:00 to 2023-02-15 12:00" in lines[0]
    assert [line.split("populace.run: ")[1][:16] for line in lines[1:4]] == [
        "2023-02-14 00:00", "2023-02-15 00:00", "2023-02-15 12:00",
    ]  # fmt: skip
    assert lines[-1].endswith("done at 2023-02-15 12:00")


def test_logging_is_left_as_it_was(tmp_path):
    """No handler stays, and no level."""
    root = logging.getLogger("populace")
    before = list(root.handlers), root.level
    run_in(tmp_path / "run", "stream", {"stream.agents": 3, "run.days": 0.1})
    assert (list(root.handlers), root.level) == before


def test_persons_born_before_a_break_stay(town_run):
    """The town of these tests has births, so breaks are tried with them too."""
    numbers = np.sort(town_run.world.query(Persona).gather(Persona.number))
    assert numbers.tolist() == list(range(numbers.size))
    assert numbers.size > TOWN["town.agents"]
