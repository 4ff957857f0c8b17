"""Kernels compiled in processes beside a first run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from populace.ecs.jit import on_disk
from populace.runs import ahead, make_world
from populace.runs.ahead import LIST, MOST, SHARE, Kernel, compiling_ahead, read_list
from populace.runs.session import Session
from populace.scenarios.registry import find_scenario
from populace.systems.words import sort_few

from .lived import parameters_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def town(monkeypatch):
    """The modules of a town are imported, and there may be seven helpers."""
    make_world("town", {"town.agents": 2})
    monkeypatch.setenv(MOST, "7")


@pytest.fixture
def lacking(monkeypatch):
    """Says which kernels are not on disk."""

    def lack(kernels):
        names = {(kernel.module, kernel.name) for kernel in kernels}

        def on_disk(found):
            return (found.py_func.__module__, found.py_func.__name__) not in names

        monkeypatch.setattr(ahead, "on_disk", on_disk)

    return lack


@pytest.fixture
def asked(monkeypatch):
    """The numbers that each helper is asked for; none is started."""
    asked = []

    def refuse(numbers):
        asked.append(numbers)
        raise OSError("no processes here")

    monkeypatch.setattr(ahead, "_helper", refuse)
    return asked


def test_the_list_is_what_a_run_calls():
    """To the last kernel and type."""
    command = [sys.executable, "-P", ROOT / "tools" / "list_kernels.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_on_disk_is_what_was_called_once():
    """And no function of another make."""
    assert on_disk(Kernel("populace.ecs.entities", "_allocate", "").find())
    assert not on_disk(sort_few)
    assert not on_disk(Kernel("populace.ecs.entities", "nothing", "").find())


def machine_code(folder):
    """The functions that are kept there, and when each was written."""
    return {
        (file.name.rpartition("_")[0], file.suffix): file.stat().st_mtime_ns
        for file in folder.rglob("*.nb?")
    }


def helped(folder, *numbers):
    """What is kept in a folder once a helper has done these."""
    subprocess.run(
        [sys.executable, "-P", "-m", "populace.runs.ahead", *map(str, numbers)],
        env={**os.environ, "POPULACE_CACHE_DIR": str(folder)}, check=True,
    )  # fmt: skip
    return machine_code(folder)


def test_a_helper_compiles_what_it_is_told(tmp_path):
    """And nothing else; told again, it compiles nothing, and one that cannot be found is passed
    over."""
    number = [kernel.name for kernel in read_list()].index("first_repeat")
    kept = helped(tmp_path, 10_000, number)
    assert sorted(kept) == [("first_repeat", ".nbc"), ("first_repeat", ".nbi")]
    assert helped(tmp_path, number) == kept


def test_a_helper_ends_with_the_run(tmp_path):
    """Once the process that asked for it is gone, it begins no other kernel."""
    script = (
        "import os, sys; from populace.runs import ahead\n"
        "parents = iter([1, 2])\n"
        "os.getppid = lambda: next(parents)\n"
        "ahead.compile_listed(range(1000))\n"
    )
    where = {**os.environ, "POPULACE_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-P", "-c", script], env=where, check=True)
    assert machine_code(tmp_path) == {}


def test_helpers_begin_at_the_end(monkeypatch, lacking, asked):
    """Each has its share of what is missing, the last first; of modules that nobody imported there
    is nothing."""
    kernels = read_list()
    lacking(kernels)
    monkeypatch.delitem(sys.modules, "populace.systems.evidence")
    with compiling_ahead(3):
        pass
    there = [n for n, each in enumerate(kernels) if each.module != "populace.systems.evidence"]
    assert len(there) < len(kernels)
    assert asked == [there[::-1][0::2], there[::-1][1::2]]


@pytest.mark.parametrize(
    ("threads", "n_missing", "most", "helpers"),
    [
        (1, 60, "7", 0),
        (2, 60, "7", 1),
        (64, 60, "2", 2),
        (64, 3 * SHARE, "7", 3),
        (64, SHARE - 1, "7", 0),
        (64, 0, "7", 0),
        (64, 60, "0", 0),
    ],
)
def test_there_are_no_more_helpers_than_pay(
    monkeypatch, lacking, asked, threads, n_missing, most, helpers
):
    """One for each further thread, as far as there is work for it and the environment allows."""
    # Lines of distinct functions, since a function is on disk or not whatever its types.
    distinct = list({(each.module, each.name): each for each in read_list()}.values())[:60]
    monkeypatch.setattr(ahead, "read_list", lambda: distinct)
    lacking(distinct[:n_missing])
    monkeypatch.setenv(MOST, most)
    with compiling_ahead(threads):
        assert len(asked) == helpers


@pytest.mark.parametrize("lack", ["a cache for all", "python", "a program of its own"])
def test_where_a_helper_would_be_of_no_use_there_is_none(monkeypatch, lacking, asked, lack):
    """The cache is this process's alone, or there is no Python to start."""
    lacking(read_list())
    if lack == "a cache for all":
        monkeypatch.setattr(ahead, "kernels_are_shared", lambda: False)
    elif lack == "python":
        monkeypatch.setattr(sys, "executable", None)
    else:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    with compiling_ahead(8):
        assert asked == []


def test_by_default_a_core_is_left_to_the_run(monkeypatch, lacking, asked):
    """Whatever the threads."""
    lacking(read_list())
    monkeypatch.delenv(MOST)
    monkeypatch.setattr(ahead, "n_cores", lambda: 4)
    with compiling_ahead(64):
        assert len(asked) == 3


def test_a_helper_has_no_helper(monkeypatch):
    """Whatever it comes to run."""
    told = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, **_: told.append(env[MOST]))
    ahead._helper([0])
    assert told == ["0"]


def test_a_run_does_without_helpers_that_cannot_start(lacking, asked):
    """And comes to its end."""
    lacking(read_list())
    small = parameters_of("stream", **{"stream.agents": 30, "stream.memories": 40, "run.days": 1})
    _, outcome = Session(find_scenario("stream"), threads=2).start(small)
    assert len(asked) == 1
    assert outcome.status == "done"


def test_helpers_end_with_a_run_that_fails(lacking):
    """None is left behind."""
    lacking(read_list())
    started = []

    def run():
        with compiling_ahead(3) as helpers:
            started.extend(helpers)
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert [each.returncode is not None for each in started] == [True, True]


def test_the_list_can_be_read():
    """Three fields a line, and functions that are there."""
    kernels = read_list()
    assert len(kernels) == sum(not line.startswith("#") for line in LIST.read_text().splitlines())
    assert all(kernel.find() is not None and kernel.types.endswith(")") for kernel in kernels)
