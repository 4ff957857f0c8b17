"""Kernels compiled in processes beside a first run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from populace.ecs.jit import on_disk
from populace.runs import ahead, make_world
from populace.runs.ahead import FEW, LIST, Listed, compiling_ahead, listed
from populace.runs.session import Session
from populace.scenarios.registry import find_scenario
from populace.systems.words import sort_few

from .lived import parameters_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def town():
    """Its modules are imported."""
    make_world("town", {"town.agents": 2})


@pytest.fixture
def nothing_on_disk(monkeypatch):
    monkeypatch.setattr(ahead, "on_disk", lambda kernel: False)


def test_the_list_is_what_a_town_calls():
    """To the last kernel and type."""
    tool = [sys.executable, "-P", ROOT / "tools" / "list_kernels.py", "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_list_is_lines_of_three_fields():
    """Comments and empty lines say nothing."""
    assert listed("# a comment\n\npopulace.ecs.rows\tfirst_repeat\t(int64,)\n") == [
        Listed("populace.ecs.rows", "first_repeat", "(int64,)")
    ]


def test_on_disk_is_what_was_called_once():
    """And no function of another make."""
    kernel = listed(LIST.read_text())[0].find()
    assert on_disk(kernel)
    assert not on_disk(sort_few)
    assert not on_disk(len)


def test_a_helper_compiles_what_it_is_told(tmp_path):
    """Its machine code is on disk afterwards, and that of nothing else; told again, it compiles
    nothing."""
    (line,) = [each for each in LIST.read_text().splitlines() if "\tfirst_repeat\t" in each]
    where = {**os.environ, "POPULACE_CACHE_DIR": str(tmp_path)}

    def help_out():
        subprocess.run(
            [sys.executable, "-P", "-m", "populace.runs.ahead"],
            input=f"{line}\n", text=True, check=True, env=where,
        )  # fmt: skip
        return {file.name: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nb?")}

    kept = help_out()
    assert sorted(Path(name).suffix for name in kept) == [".nbc", ".nbi"]
    assert all(name.startswith("first_repeat_") for name in kept)
    assert help_out() == kept


@pytest.mark.usefixtures("nothing_on_disk")
def test_helpers_begin_at_the_end(monkeypatch):
    """Each has its share of what is missing, the last first; of modules that nobody imported there
    is nothing. They are gone afterwards."""
    shares = []
    helper = ahead._helper
    monkeypatch.setattr(ahead, "_helper", lambda share: shares.append(share) or helper(share))
    monkeypatch.delitem(sys.modules, "populace.systems.evidence")
    with compiling_ahead(2) as helpers:
        assert len(helpers) == 2
    assert all(each.returncode is not None for each in helpers)
    kernels = [k for k in listed(LIST.read_text()) if k.module != "populace.systems.evidence"]
    assert shares == [kernels[::-1][0::2], kernels[::-1][1::2]]


def test_a_run_that_lacks_little_has_no_helper(monkeypatch):
    """Nor has one that lacks nothing, one on a single thread, nor one whose cache no other process
    can see."""
    with compiling_ahead(3) as helpers:
        assert helpers == []
    kernels = {kernel.find() for kernel in listed(LIST.read_text())[-FEW:]}
    monkeypatch.setattr(ahead, "on_disk", lambda kernel: kernel not in kernels)
    with compiling_ahead(3) as helpers:
        assert helpers == []
    monkeypatch.setattr(ahead, "on_disk", lambda kernel: False)
    with compiling_ahead(0) as helpers:
        assert helpers == []
    monkeypatch.setattr(ahead, "kernels_are_shared", lambda: False)
    with compiling_ahead(3) as helpers:
        assert helpers == []


@pytest.mark.usefixtures("nothing_on_disk")
@pytest.mark.parametrize("program", ["/nowhere/python", shutil.which("false")])
def test_a_run_does_without_helpers_that_fail(monkeypatch, program):
    """Whether they cannot be started or are gone at once."""
    monkeypatch.setattr(sys, "executable", program)
    small = parameters_of("stream", **{"stream.agents": 30, "stream.memories": 40, "run.days": 1})
    _, outcome = Session(find_scenario("stream"), threads=2).start(small)
    assert outcome.status == "done"


@pytest.mark.usefixtures("nothing_on_disk")
def test_helpers_end_with_a_run_that_fails():
    """None is left behind."""
    started = []

    def run():
        with compiling_ahead(1) as helpers:
            started.extend(helpers)
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert [each.returncode is not None for each in started] == [True]
