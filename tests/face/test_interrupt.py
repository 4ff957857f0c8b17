"""Ctrl-C: asked for in a process, and what a run of its own process comes to."""

import json
import signal
import threading
import time

import pytest

from populace.cli import main
from populace.runs import memory
from populace.runs.interrupt import polite

from .commands import said, started
from .lived import metrics_of

SLOW = '''
import sys
import time
from pathlib import Path

import numpy as np

from populace.components import Persona, Stream
from populace.ecs import Clock, Res, setting, settings, system
from populace.scenarios.scenario import Scenario


@settings
class Pace:
    """How slow it is. A resource."""

    nap: float = setting(0.02, range=(0, 600), unit="s", doc="of wall time, in each step")
    fails: int = setting(0, range=(0, 10**9), doc="the step that fails; 0: none")
    memory: str = setting("", doc="file that tells how many pages are resident")
    greedy: int = setting(0, range=(0, 10**9), doc="the step from which there are too many")


@system
def dawdle(pace: Res[Pace], clock: Res[Clock]):
    print(f"step {clock.tick}", file=sys.stderr, flush=True)
    if clock.tick == pace.fails:
        raise RuntimeError("the harbour silted up")
    if pace.memory:
        Path(pace.memory).write_text(f"0 {100_000 if clock.tick >= pace.greedy else 10}")
    time.sleep(pace.nap)


def build(world, parameters):
    world.insert(parameters.of(Pace))
    world.spawn(3, Persona(number=np.arange(3), name="Ann"), Stream)


scenario = Scenario(
    "slow", "Somebody naps", {"pace": Pace}, build, lambda world: world.add_system(dawdle),
    defaults={"run.days": 10_000.0},
)
'''


@pytest.fixture
def slow(tmp_path):
    """The file of a scenario that takes its time."""
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    return path


def wait_for(process, step):
    """Read what a run says until it is in a step."""
    for line in process.stderr:
        if line.strip() == f"step {step}":
            return
    raise AssertionError(f"it ended before step {step}")


def manifest_of(run):
    """The manifest of a run."""
    return json.loads((run / "manifest.json").read_text())


# -- within a process ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    """Afterwards signals do what they did before."""
    before = signal.getsignal(number)
    with polite() as interrupt:
        assert interrupt.asked == ""
        signal.raise_signal(number)
        assert interrupt.asked == number.name
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_signals_are_as_before_after_an_error():
    """Whatever ends it."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), polite():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nobody_asks():
    """No signal arrives there, and none can be listened to."""
    found = []

    def run():
        with polite() as interrupt:
            found.append(interrupt.asked)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [""]


# -- a process of its own --------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_says_how_to_go_on(capsys, slow, tmp_path, sent):
    """It ends with 130 after the step; what was lived is on disk, and the run goes on."""
    place = tmp_path / "run"
    with started("run", slow, "--dir", place) as process:
        wait_for(process, 5)
        process.send_signal(sent)
        out, err = process.communicate()
    assert process.returncode == 130
    assert f"interrupted: {sent.name}" in out
    assert f"populace resume {place}" in out
    assert "Traceback" not in err
    told = manifest_of(place)
    assert (told["status"], told["reason"]) == ("interrupted", sent.name)
    ticks = metrics_of(place)["tick"].to_pylist()
    assert ticks == list(range(1, ticks[-1] + 1))
    assert 5 <= ticks[-1] < 50
    assert json.loads((place / "result.json").read_text())["status"] == "interrupted"
    facts = json.loads(said(capsys, "info", place, "--verify", "--json"))
    assert [one["tick"] for one in facts["snapshots"]] == [ticks[-1]]


def test_a_second_ctrl_c_ends_a_run_at_once(slow, tmp_path):
    """In the middle of a step; snapshots of before are whole, and no tables are written."""
    place, out = tmp_path / "run", tmp_path / "out"
    options = ["--dir", place, "--every", "1h", "--out", out, "--set", "pace.nap=60"]
    with started("run", slow, *options) as process:
        wait_for(process, 1)
        for _ in range(2):  # a third may come while Python ends, and kills
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        said, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (said, err.strip()) == ("", "populace: interrupted")
    assert manifest_of(place)["status"] == "interrupted"
    assert not out.exists()


def test_a_step_that_fails_is_told_with_its_traceback(slow, tmp_path):
    """A scenario's own fault is nobody's misuse: exit code 1, and where it happened."""
    place = tmp_path / "run"
    options = ["--dir", place, "--set", "pace.nap=0", "--set", "pace.fails=3", "--every", "1h"]
    with started("run", slow, *options) as process:
        out, err = process.communicate()
    assert process.returncode == 1
    assert out == ""
    assert "slow.py" in err
    assert err.strip().endswith("RuntimeError: the harbour silted up\nin system dawdle, step 3")
    told = manifest_of(place)
    assert told["status"] == "failed"
    assert "the harbour silted up" in told["reason"]
    assert metrics_of(place)["tick"].to_pylist() == [1, 2]


# -- the memory limit ------------------------------------------------------------------------


def test_a_run_stops_at_its_memory_limit_and_goes_on_with_more(capsys, slow, tmp_path, monkeypatch):
    """Exit code 3, saved; the reason says what to do, and the run resumes to its end."""
    pages, place = tmp_path / "statm", tmp_path / "run"
    pages.write_text("0 10")
    monkeypatch.setattr(memory, "STATM", pages)
    options = ["--set", f"pace.memory={pages}", "--set", "pace.greedy=4", "--set", "pace.nap=0",
               "--set", "run.days=0.5", "--dir", place, "--json"]  # fmt: skip
    assert main(["run", str(slow), *map(str, options), "--memory-limit", "100M"]) == 3
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["ticks"]) == ("stopped", 4)
    assert "more than its limit of 100.00 MiB" in facts["reason"]
    assert "--memory-limit" in facts["reason"]
    assert manifest_of(place)["status"] == "stopped"
    pages.write_text("0 10")
    assert main(["resume", str(place), "--memory-limit", "100M", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["ticks"] == 1
    assert main(["resume", str(place), "--memory-limit", "1G", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ticks"] == 7
    assert metrics_of(place)["tick"].to_pylist() == list(range(1, 13))
    assert manifest_of(place)["status"] == "done"
