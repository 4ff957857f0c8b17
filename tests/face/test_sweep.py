"""Sweeps: every combination with every seed, once, whatever fails or stops it."""

import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from populace.cli import main
from populace.ecs.errors import SettingError, SourceFileError
from populace.runs import sweep as sweeps
from populace.runs.sweep import SweepRun, plan_sweep, run_in_process, run_once, sweep
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario

from .commands import said, started
from .harbour import HARBOUR


@pytest.fixture
def file(tmp_path):
    """The file of a scenario."""
    path = tmp_path / "harbour.py"
    path.write_text(HARBOUR)
    return path


@pytest.fixture
def parameters(file):
    """Its parameters."""
    return read_parameters(find_scenario(file), environment={})


@pytest.fixture
def in_this_process(monkeypatch):
    """Run everything here, in turn; returns the list of what was run."""
    ran = []

    def run_all(source, pending, jobs):
        for run in pending:
            ran.append((*run.varied.values(), run.seed))
            yield sweeps.replace(run, **run_in_process(source, run.changed))

    monkeypatch.setattr(sweeps, "_run_all", run_all)
    return ran


def rows(sweep):
    """What came of each run."""
    return [(*run.varied.values(), run.seed, run.error, run.numbers) for run in sweep.runs]


# -- the plan --------------------------------------------------------------------------------


def test_the_grid_is_whole_and_in_order(parameters):
    """The last parameter varies fastest, and seeds fastest of all, from run.seed on."""
    vary = {"harbour.boats": ["5", "9"], "ties.half_life": ["3d", "7d"]}
    plan = plan_sweep(parameters.replaced("run.seed", 4), vary, 2)
    assert [(*run.varied.values(), run.seed) for run in plan] == [
        (boats, days * 86_400.0, seed) for boats in (5, 9) for days in (3, 7) for seed in (4, 5)
    ]
    assert [run.number for run in plan] == list(range(8))
    assert plan[0].changed == {
        "run.seed": 4, "harbour.boats": 5, "ties.half_life": 259_200.0,
    }  # fmt: skip


def test_a_key_tells_runs_apart_by_what_makes_a_difference(parameters, file):
    """Parameters, seed, and the text of the scenario; not how the plan came about."""
    (first,) = plan_sweep(parameters, {"harbour.boats": ["5"]}, 1)
    assert plan_sweep(parameters.replaced("harbour.boats", 5), {}, 1)[0].key == first.key
    assert plan_sweep(parameters, {"harbour.boats": ["6"]}, 1)[0].key != first.key
    assert plan_sweep(parameters, {"harbour.boats": ["5"]}, 2)[1].key != first.key
    file.write_text(HARBOUR + "\n# no longer the same\n")
    assert plan_sweep(parameters, {"harbour.boats": ["5"]}, 1)[0].key != first.key


def test_a_key_knows_the_files_beside_that_of_the_scenario(file, monkeypatch):
    """Those that it imports: what was done with another text of them is done again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    beside = file.with_name("tides_of_this_test.py")
    beside.write_text("HIGH = 3\n")
    file.write_text("import tides_of_this_test\n" + HARBOUR)
    given = read_parameters(find_scenario(file), environment={})
    (first,) = plan_sweep(given, {}, 1)
    assert plan_sweep(given, {}, 1)[0].key == first.key
    beside.write_text("HIGH = 4\n")
    assert plan_sweep(given, {}, 1)[0].key != first.key
    del sys.modules["tides_of_this_test"]


@pytest.mark.parametrize(
    ("vary", "n_seeds", "why"),
    [
        ({"run.seed": [1, 2]}, 1, "varied by the number of seeds"),
        ({"harbour.boats": [1, 0]}, 1, "harbour.boats must lie in"),
        ({"harbour.boat": [1]}, 1, "did you mean harbour.boats"),
        ({"harbour.boats": [1, 1]}, 1, "given twice"),
        ({"harbour.boats": []}, 1, "these are 0"),
        ({"harbour.boats": [1]}, 0, "at least one seed, got 0"),
        ({"harbour.boats": [1, 2]}, 50_001, "these are 100,002"),
        ({"harbour.calm_under": [1, 3]}, 1, "calm_under must be below storm_over"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(parameters, vary, n_seeds, why):
    """Before anything runs."""
    with pytest.raises(SettingError, match=why):
        plan_sweep(parameters, vary, n_seeds)


# -- what comes of it ------------------------------------------------------------------------


def test_a_run_tells_counts_and_what_its_scenario_tells(parameters):
    """Live counts, what was formed and forgotten, and the scenario's facts beside them."""
    told = run_once(parameters.scenario, parameters)
    assert (told["agents"], told["memories"], told["catch"]) == (30, 0, 101)
    assert told["forgotten"] == {"weak": 0, "old": 0, "crowded": 0}


def test_numbers_are_spread_over_seeds(parameters, in_this_process):
    """Mean and sample standard deviation of what each seed told; texts and NaN are left out."""
    result = sweep(parameters, {"harbour.boats": [5, 9]}, n_seeds=3)
    first, second = result.summary()
    assert (first.n, first.failed, second.varied) == (3, 0, {"harbour.boats": 9})
    catch = first.spreads["catch"]
    assert (catch.mean, catch.n) == (52, 3)
    assert catch.sd == statistics.stdev([51, 52, 53])
    assert first.spreads["sea.swell"].sd == 0
    assert first.spreads["seen"].mean == 1.5
    assert not {"note", "odd"} & set(first.spreads)
    assert sweep(parameters, {}).summary()[0].spreads["catch"].sd is None


def test_a_failed_run_is_a_row(parameters, in_this_process):
    """With its error; the others count."""
    result = sweep(parameters, {"harbour.name": ["Hope", "Ruin"]}, n_seeds=2)
    assert [run.error for run in result.runs] == ["", ""] + [
        "RuntimeError: the harbour silted up"
    ] * 2
    assert [(row.n, row.failed) for row in result.summary()] == [(2, 0), (0, 2)]
    assert result.summary()[1].spreads == {}


def test_what_is_kept_is_not_run_again(parameters, in_this_process, tmp_path):
    """The same sweep runs nothing, a larger one what is new, and a failed run is tried again."""
    there = tmp_path / "kept"
    first = sweep(parameters, {"harbour.boats": [5, 9]}, n_seeds=2, directory=there)
    assert len(in_this_process) == 4
    again = sweep(parameters, {"harbour.boats": [5, 9]}, n_seeds=2, directory=there)
    assert (len(in_this_process), again.resumed) == (4, 4)
    assert rows(again) == rows(first)
    sweep(parameters, {"harbour.boats": [5, 7]}, n_seeds=3, directory=there)
    assert in_this_process[4:] == [(5, 3), (7, 1), (7, 2), (7, 3)]
    for _ in range(2):
        sweep(parameters, {"harbour.name": ["Ruin"]}, directory=there)
    assert in_this_process[8:] == [("Ruin", 1)] * 2


def test_a_run_of_a_file_that_was_changed_fails(file, in_this_process, monkeypatch, tmp_path):
    """Of the scenario or beside it: nothing is kept as come of a text that it did not come of."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    beside = file.with_name("swell_of_this_test.py")
    texts = {file: "import swell_of_this_test\n" + HARBOUR, beside: "HIGH = 3\n"}
    for each, text in texts.items():
        each.write_text(text)
    for number, (each, text) in enumerate(texts.items()):
        kept = tmp_path / f"kept {number}"
        result = sweep(
            read_parameters(find_scenario(file), environment={}), {}, n_seeds=3, directory=kept,
            on_run=lambda *_, each=each, text=text: each.write_text(f"{text}\n# edited"),
        )  # fmt: skip
        assert [run.is_done for run in result.runs] == [True, False, False]
        why = f"SourceFileError: {each} was changed after the sweep began: start it again"
        assert all(run.error.startswith(why) for run in result.failed)
        each.write_text(text)
        given = read_parameters(find_scenario(file), environment={})
        again = sweep(given, {}, n_seeds=3, directory=kept)
        assert (again.resumed, again.n_done) == (1, 3)
    del sys.modules["swell_of_this_test"]


def test_a_damaged_line_is_run_again(parameters, in_this_process, tmp_path):
    """A line cut short by a crash costs that run and no other, and the next is not joined to it."""
    there = tmp_path / "kept"
    vary = {"harbour.boats": [5, 9, 11]}
    first = sweep(parameters, vary, directory=there)
    lines = (there / "done.jsonl").read_text().splitlines(keepends=True)
    (there / "done.jsonl").write_text("{}\n3\n" + lines[0] + lines[1] + lines[2][:40])
    for expected in (1, 0):
        del in_this_process[:]
        assert rows(sweep(parameters, vary, directory=there)) == rows(first)
        assert len(in_this_process) == expected


def test_a_directory_of_something_else_is_let_be(parameters, in_this_process, tmp_path):
    """A sweep is not mixed with other files."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SourceFileError, match="holds something, and no sweep"):
        sweep(parameters, {}, directory=tmp_path)
    assert in_this_process == []


def test_tables_have_a_row_a_run_and_a_row_a_combination(parameters, in_this_process, tmp_path):
    """With parameters, seed, error, all that was told, and its mean, sd and n."""
    vary = {"harbour.name": ["Hope", "Ruin"], "harbour.tide": ["1h", "2h"]}
    sweep(parameters, vary, n_seeds=2, directory=tmp_path / "kept")
    runs = pq.read_table(tmp_path / "kept" / "sweep.parquet").to_pylist()
    assert [run["harbour.tide"] for run in runs] == [3600.0, 3600.0, 7200.0, 7200.0] * 2
    assert [run["seed"] for run in runs] == [1, 2] * 4
    assert [run["done"] for run in runs] == [True] * 4 + [False] * 4
    assert runs[1]["catch"] == 102
    assert json.loads(runs[1]["told"])["note"] == "fair"
    assert runs[7]["catch"] is None
    assert "silted up" in runs[7]["error"]
    summary = pq.read_table(tmp_path / "kept" / "summary.parquet").to_pylist()
    assert [(row["n"], row["failed"]) for row in summary] == [(2, 0), (2, 0), (0, 2), (0, 2)]
    assert summary[0]["catch__mean"] == 101.5
    assert summary[3]["catch__mean"] is None
    assert summary[3]["catch__n"] == 0


def test_an_interrupted_sweep_keeps_what_is_done(parameters, monkeypatch, tmp_path):
    """The result says so, and the directory holds the runs that came to their end."""

    def run_all(source, pending, jobs):
        yield sweeps.replace(pending[0], told={"catch": 1})
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "_run_all", run_all)
    vary = {"harbour.boats": [5, 9]}
    result = sweep(parameters, vary, directory=tmp_path / "kept")
    assert (result.interrupted, result.n_done) == (True, 1)
    assert pq.read_table(tmp_path / "kept" / "sweep.parquet")["done"].to_pylist() == [True, False]
    assert len((tmp_path / "kept" / "done.jsonl").read_text().splitlines()) == 1


# -- in processes ----------------------------------------------------------------------------


def test_processes_give_what_one_gives(parameters, in_this_process, monkeypatch):
    """Two at a time or here in turn: the same rows in the same order; on_run sees each once."""
    vary = {"harbour.boats": [5, 9]}
    here = sweep(parameters, vary, n_seeds=2)
    monkeypatch.undo()
    seen = []
    there = sweep(
        parameters, vary, n_seeds=2, jobs=2,
        on_run=lambda run, n_ended, n_runs: seen.append((run.number, n_ended, n_runs)),
    )  # fmt: skip
    assert rows(there) == rows(here)
    assert sorted(number for number, _, _ in seen) == [0, 1, 2, 3]
    assert [ended for _, ended, _ in seen] == [1, 2, 3, 4]


def test_processes_begin_with_one_thread(file, monkeypatch):
    """Whatever they load reads it as it is loaded; here all is as before."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("the system does not tell with what a process began")
    asked = 'b"OMP_NUM_THREADS=1" in open("/proc/self/environ", "rb").read().split(b"\\0")'
    file.write_text(HARBOUR.replace('"catch": ', f'"one": int({asked}), "catch": '))
    given = read_parameters(find_scenario(file), environment={})
    for threads in ("2", None):
        if threads is None:
            monkeypatch.delenv("OMP_NUM_THREADS")
        else:
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
        assert sweep(given, {}).runs[0].numbers["one"] == 1
        assert os.environ.get("OMP_NUM_THREADS") == threads


def test_a_process_that_dies_is_a_row(parameters):
    """It takes down the pool; the others are run all the same."""
    result = sweep(parameters, {"harbour.name": ["Abyss", "Hope"]}, jobs=2)
    assert [bool(run.error) for run in result.runs] == [True, False]
    assert "process died" in result.runs[0].error


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def quick(in_this_process):
    """The command, without processes."""
    return in_this_process


def test_the_command_prints_a_table(capsys, file, quick, tmp_path):
    """Combinations by numbers, as mean ± standard deviation; what is always 0 is left out."""
    out = said(
        capsys, "sweep", file, "--vary", "harbour.tide=1h,2d", "--seeds", 3,
        "--dir", tmp_path / "kept",
    )  # fmt: skip
    assert " 1h │ 3 │ " in out
    assert " 2d │ 3 │ " in out
    assert "102 ± 1 " in out
    assert "memories" not in out
    assert f"{tmp_path / 'kept' / 'sweep.parquet'}: 6 rows\n" in out


def test_the_command_prints_json(capsys, file, quick):
    """With every number; the same twice."""
    arguments = ["sweep", file, "--vary", "harbour.boats=5,9", "--seeds", "2", "--json"]
    out = said(capsys, *arguments)
    facts = json.loads(out)
    assert (facts["runs"], facts["done"], facts["errors"]) == (4, 4, [])
    assert facts["combinations"][1]["parameters"] == {"harbour.boats": 9}
    assert facts["combinations"][1]["told"]["catch"] == {
        "mean": 91.5, "sd": statistics.stdev([91, 92]), "n": 2,
    }  # fmt: skip
    assert said(capsys, *arguments) == out


def test_parameters_that_must_agree_are_varied_together(capsys, file, quick):
    """Each value is read by itself; whether they go together is asked of each combination."""
    under = ["--vary", "harbour.calm_under=3,4"]
    facts = json.loads(
        said(capsys, "sweep", file, *under, "--vary", "harbour.storm_over=5,6", "--json")
    )
    assert (facts["runs"], facts["done"]) == (4, 4)
    why = "calm_under must be below storm_over"
    assert why in said(capsys, "sweep", file, *under, "--vary", "harbour.storm_over=3.5,6", code=2)
    assert len(quick) == 4


def test_there_are_as_many_jobs_as_cores_that_may_be_used(capsys, file, quick, monkeypatch):
    """Or as the machine has, where the system does not tell."""
    asked, run_all = [], sweeps._run_all
    monkeypatch.setattr(
        sweeps, "_run_all", lambda *given: asked.append(given[-1]) or run_all(*given)
    )
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    said(capsys, "sweep", file)
    monkeypatch.delattr(os, "sched_getaffinity")
    said(capsys, "sweep", file)
    assert asked == [2, 7]


def test_the_command_fails_when_a_run_does(capsys, file, quick):
    """Exit code 1, after the table, with the run and its error on stderr."""
    assert main(["sweep", str(file), "--vary", "harbour.name=Hope,Ruin", "--seeds", "2"]) == 1
    out, err = capsys.readouterr()
    assert "0 (2 failed)" in out
    assert "populace: the run with harbour.name=Ruin, seed 2 failed: RuntimeError: the harb" in err


def test_a_table_is_split_to_fit(capsys, file, quick, monkeypatch):
    """No number is cut off, however narrow the terminal."""
    monkeypatch.setenv("COLUMNS", "50")
    out = said(capsys, "sweep", file, "--vary", "harbour.boats=5,9", "--seeds", 2)
    assert out.count("harbour.boats") == out.count("┡") > 1
    assert "…" not in out
    assert all(len(line) <= 50 for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--vary", "harbour.boats"], "--vary must be SECTION.KEY=A,B,C, got 'harbour.boats'"),
        (["--vary", "harbour.boats="], "--vary must be"),
        (["--vary", "harbour.boats=1,0"], "--vary harbour.boats=1,0: harbour.boats must lie in"),
        (["--vary", "harbour.boat=1"], "did you mean harbour.boats?"),
        (["--vary", "harbour.tide=1d,24h"], "the same value stands there twice"),
        (["--vary", "ties.gain=1", "--vary", "ties.gain=2"], "ties.gain is given twice"),
        (["--vary", "run.seed=1,2"], "varied by the number of seeds"),
        (["--seeds", "0"], "must be a whole number from 1"),
        (["--jobs", "0"], "must be a whole number from 1"),
    ],
)
def test_misuse_is_told(capsys, file, quick, arguments, why):
    """Exit code 2, and nothing is run."""
    assert why in said(capsys, "sweep", file, *arguments, code=2)
    assert quick == []


def test_ctrl_c_keeps_what_is_done_and_says_so(file, tmp_path):
    """Exit code 130; the slow run is ended, the quick one is in the directory."""
    kept = tmp_path / "kept"
    arguments = ["sweep", file, "--vary", "harbour.name=Hope,Doldrums", "--jobs", 1, "--dir", kept]
    with started(*arguments) as process:
        while not (kept / "done.jsonl").exists() or not (kept / "done.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert time.monotonic() - begin < 20
    assert "interrupted: 1 of 2 runs are done" in err
    assert str(kept) in err
    assert "Traceback" not in err
    assert "Hope" in out


def test_nothing_outlives_a_sweep_that_is_killed(file, tmp_path):
    """Its processes end with it."""
    kept = tmp_path / "kept"
    arguments = ["sweep", file, "--vary", "harbour.name=Hope,Doldrums", "--jobs", 2, "--dir", kept]
    with started(*arguments) as process:
        while not (kept / "done.jsonl").exists() or not (kept / "done.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("the system does not tell whose child a process is")
        ours = children.read_text().split()
        process.kill()
    assert ours
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}/exe").exists() for child in ours):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_not_done_has_no_numbers():
    """Nor is it done."""
    run = SweepRun(0, {}, 1, {}, "")
    assert not run.is_done
    assert run.numbers == {}
