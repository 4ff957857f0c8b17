"""A run from beginning to end with its directory: saved, broken off, gone on with, failed."""

import json
import logging
import shutil
import signal

import numpy as np
import pytest

from populace.components import Persona
from populace.ecs import days, hours
from populace.ecs.errors import LockedError, SettingError
from populace.runs.directory import RunDirectory
from populace.runs.session import Saving, Session
from populace.scenarios.registry import find_scenario
from populace.storage import Checkpointer, Snapshots, load

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
    again = go_on(tmp_path / "run")
    assert again.outcome.ticks == 12
    assert (run.outcome.told["catch"], again.outcome.told["catch"]) == (101, 111)


# -- what ends it before its time ------------------------------------------------------------


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


# -- the log ---------------------------------------------------------------------------------


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
