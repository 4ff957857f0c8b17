"""The directory of a run: its files, its manifest, and directories that are none."""

import json
import shutil
import tomllib

import pytest

from populace.cli import main
from populace.ecs.errors import SourceFileError
from populace.runs.directory import RunDirectory, free_directory, snapshots_in
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario
from populace.storage import Snapshots, load

from .commands import said
from .lived import TOWN, metrics_of, parameters_of, run_in, same_anywhere

STREAM = {"stream.agents": 5, "run.days": 0.1}
FILES = ["config.toml", "log.txt", "manifest.json", "metrics.parquet", "snapshots"]


def files_in(path):
    """The names of what a directory holds, hidden files too."""
    return sorted(each.name for each in path.iterdir())


# -- what a run leaves -----------------------------------------------------------------------


def test_a_run_leaves_its_files_and_nothing_else(town_run):
    """No part of a file stays."""
    assert files_in(town_run.path) == FILES


def test_the_manifest_says_what_ran_and_how_it_ended(town_run):
    """What, when, on what, how far, and what the scenario tells."""
    told = json.loads((town_run.path / "manifest.json").read_text())
    assert (told["format"], told["scenario"], told["found_as"]) == (1, "town", "town")
    assert told["about"] == find_scenario("town").about
    assert (told["status"], told["reason"], told["seed"]) == ("done", "", TOWN["run.seed"])
    assert told["started"] <= told["ended"]
    assert {"populace", "python", "numpy", "numba", "pyarrow", "duckdb"} == set(told["versions"])
    assert told["machine"]["processors"] >= 1
    assert told["end_us"] - told["start_us"] == 2.5 * 86_400_000_000
    assert told["end_us"] == town_run.world.clock.now
    assert told["step_us"] == 3_600_000_000
    assert told["changed"] == TOWN
    assert told["facts"] == town_run.outcome.told
    assert told["labels"] == {
        "knows__0": "Sam Moore's run for mayor",
        "knows__1": "the Valentine's Day party at Hobbs Cafe",
    }
    assert (told["resumed"], told["relieved"]) == ([], [])


def test_labels_are_of_columns(town_run):
    """Each speaks of one of the metrics."""
    assert set(town_run.outcome.labels) <= set(metrics_of(town_run.path).column_names)


def test_the_parameters_of_a_run_make_it_again(town_run, tmp_path):
    """config.toml has all of them, with their meanings; what runs by it comes to the same."""
    config = town_run.path / "config.toml"
    again = read_parameters(find_scenario(config), file=config, environment={})
    assert again.values() == parameters_of("town", **TOWN).values()
    assert "# " in config.read_text()
    assert tomllib.loads(config.read_text())["scenario"] == "town"
    options = ["--dir", tmp_path / "again", "--every", "6h"]
    assert main(["run", str(config), *map(str, options)]) == 0
    assert load(tmp_path / "again" / "snapshots").digest() == town_run.world.digest()
    mine, theirs = same_anywhere(metrics_of(tmp_path / "again")), metrics_of(town_run.path)
    assert mine.equals(same_anywhere(theirs))


def test_the_result_is_what_is_printed(capsys, tmp_path):
    """result.json is what `--json` tells, with where the run is kept."""
    options = ["--agents", "5", "--days", "0.1", "--dir", tmp_path / "run", "--json"]
    told = json.loads(said(capsys, "run", "stream", *options))
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == told
    assert (told["dir"], told["status"]) == (str(tmp_path / "run"), "done")
    assert files_in(tmp_path / "run") == sorted([*FILES, "result.json"])


def test_runs_without_a_name_are_numbered(capsys, tmp_path, monkeypatch):
    """Below runs, by scenario, the first number that is free."""
    monkeypatch.chdir(tmp_path)
    brief = ["run", "stream", "--agents", "3", "--days", "0.1", "--json"]
    assert [json.loads(said(capsys, *brief))["dir"] for _ in range(2)] == [
        "runs/stream-1", "runs/stream-2",
    ]  # fmt: skip
    assert str(free_directory("stream")) == "runs/stream-3"
    assert str(free_directory("town", "elsewhere")) == "elsewhere/town-1"
    said(capsys, *brief, "--no-dir")
    assert files_in(tmp_path / "runs") == ["stream-1", "stream-2"]


def test_two_runs_that_begin_together_have_directories_of_their_own(tmp_path, monkeypatch):
    """Both found the same number free; who comes second takes the next."""
    monkeypatch.chdir(tmp_path)
    first, second = RunDirectory.free("town"), RunDirectory.free("town")
    for directory in (first, second):
        directory.create({"scenario": "town"}, "")
    assert [str(each.path) for each in (first, second)] == ["runs/town-1", "runs/town-2"]


@pytest.mark.parametrize("inside", ["", "snapshots"])
def test_commands_take_a_run_or_its_snapshots(capsys, town_copy, tmp_path, inside):
    """Each finds the same snapshots, whichever of the two is named."""
    place, where = town_copy / inside, town_copy / "snapshots"
    facts = json.loads(said(capsys, "info", place, "--json"))
    assert [one["number"] for one in facts["snapshots"]] == Snapshots(where).numbers()
    told = said(capsys, "sql", place, "SELECT count(*) AS n FROM agents", "--format", "json")
    (n_agents,) = (row["n"] for row in json.loads(told))
    told = json.loads(said(capsys, "export", place, "--to", tmp_path / "tables", "--json"))
    assert told["tables"]["agents"] == n_agents > TOWN["town.agents"]
    before = load(where).digest()
    said(capsys, "compact", place)
    said(capsys, "prune", place, "--keep", "1")
    assert load(where).digest() == before


# -- directories -----------------------------------------------------------------------------


def test_a_directory_with_something_in_it_is_not_taken(tmp_path):
    """And is left as it is; an empty one is."""
    (tmp_path / "empty").mkdir()
    RunDirectory(tmp_path / "empty").create({"scenario": "stream"}, "")
    with pytest.raises(FileExistsError, match="holds something already"):
        RunDirectory(tmp_path / "empty").create({"scenario": "town"}, "")
    assert RunDirectory(tmp_path / "empty").open().manifest["scenario"] == "stream"


def test_a_run_that_goes_on_is_a_run_already(tmp_path):
    """Its manifest says that it is running, from before the first step."""
    seen = []

    class Looking:
        def __call__(self, tick):
            seen.append(RunDirectory(tmp_path / "run").open().manifest["status"])

        def close(self):
            pass

    run_in(tmp_path / "run", "stream", STREAM, watch=Looking())
    assert set(seen) == {"running"}


def test_the_result_of_a_run_that_is_over_stays(capsys, tmp_path):
    """To resume it does nothing, and what it came to is not written over; half a day more is."""
    place = tmp_path / "run"
    small = ("--set", "stream.memories=24", "--agents", "3", "--days", "1", "--json")
    assert main(["run", "stream", "--dir", str(place), *small]) == 0
    before = (place / "result.json").read_bytes()
    assert main(["resume", str(place)]) == 0
    assert (place / "result.json").read_bytes() == before
    assert main(["resume", str(place), "--days", "12h"]) == 0
    assert json.loads((place / "result.json").read_text())["ticks"] == 12
    capsys.readouterr()


def test_a_run_without_a_snapshot_says_how_to_begin_it_anew(capsys, tmp_path):
    """And so it begins."""
    place = tmp_path / "run"
    small = ("--set", "stream.memories=24", "--agents", "3", "--days", "1", "--json")
    assert main(["run", "stream", "--dir", str(place), *small]) == 0
    shutil.rmtree(place / "snapshots")
    with pytest.raises(SystemExit, match="2"):
        main(["resume", str(place)])
    told = capsys.readouterr().err
    assert f"{place / 'snapshots'} holds no snapshot to go on from" in told
    assert f"`populace run {place / 'config.toml'}` begins it anew" in told
    assert main(["run", str(place / "config.toml"), "--no-dir", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["formed"] == 72


def test_a_file_that_cannot_be_written_leaves_no_part(tmp_path, monkeypatch):
    """What was there stays, and nothing beside it."""
    directory = RunDirectory(tmp_path)
    directory.write("told.txt", "first")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="No space"):
        directory.write("told.txt", "second")
    assert [path.name for path in tmp_path.iterdir()] == ["told.txt"]
    assert (tmp_path / "told.txt").read_text() == "first"


def test_a_manifest_is_changed_as_a_whole(tmp_path, monkeypatch):
    """A write that fails leaves the one before."""
    directory = RunDirectory(tmp_path / "run")
    directory.create({"scenario": "stream"}, "")
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        directory.update(status="done")
    assert RunDirectory(tmp_path / "run").open().manifest["status"] == "running"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "manifest.json: is damaged"),
        ("[1]", "manifest.json: is damaged"),
        ("{}", "manifest.json: is damaged"),
        ('{"format": "one"}', "manifest.json: is damaged"),
        ('{"format": 2}', "manifest.json: is of format 2, and this version of Populace reads up"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(tmp_path, text, why):
    """By its path; one of a newer format is not called damaged."""
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SourceFileError, match=why) as error:
        RunDirectory(tmp_path).open()
    assert ("damaged" in str(error.value)) == ("damaged" in why)


def test_what_is_no_run_is_told(tmp_path):
    """With what makes one."""
    with pytest.raises(SourceFileError, match="`populace run --dir DIR` makes one"):
        RunDirectory(tmp_path / "nowhere").open()


def test_snapshots_are_found_in_a_run_or_where_they_are(town_run, tmp_path):
    """What is no run is itself the place, and so is a URI."""
    assert snapshots_in(str(town_run.path)) == str(town_run.path / "snapshots")
    for place in (str(tmp_path), str(tmp_path / "nowhere"), "s3://bucket/run"):
        assert snapshots_in(place) == place
