"""`populace run --profile`: where the time of a run goes, and that it comes to the same."""

import json
import re
import sys
import threading
from html.parser import HTMLParser

import pytest

from populace import Id, Read, Rows, With, World, Write, component, f4, f8, kernel, system
from populace.reports.profile import profile_page
from populace.runs.directory import RunDirectory
from populace.runs.itinerary import Itinerary
from populace.runs.profiling import JSON, PAGE, Profile, Profiled, SystemProfile, memcpy_gb_s
from populace.runs.sampling import Function, Sampler
from populace.runs.session import Session
from populace.runs.tick import Tick
from populace.runs.watching import watched_by
from populace.scenarios.registry import find_scenario
from populace.storage import load

from .commands import said
from .lived import TOWN, parameters_of

DAY = {**TOWN, "run.days": 1.0}


@component
class Body:
    """12 bytes a row."""

    x: f4 = 0
    mass: f8 = 1


@component
class Push:
    """4 bytes a row."""

    x: f4 = 1


@component
class Heavy:
    """A tag."""


@kernel
def move(body: Write[Body], push: Read[Push]):
    body.x += push.x


@system
def weigh(body: Read[Body], ids: Id):
    assert body.mass.size == len(ids)


@system
def heave(rows: Rows[Read[Body], With[Heavy]]):
    assert rows.count() == 10


@system
def survey(world: World):
    linger()


def linger():
    """Python for some ms."""
    total = 0
    for number in range(100_000):
        total += number
    return total


def bodies():
    """200 bodies that are pushed, 10 that are heavy."""
    world = World()
    world.spawn(200, Body, Push)
    world.spawn(10, Body, Heavy)
    world.add_systems(move, weigh, heave, survey)
    world.insert(Itinerary(scenario="bodies", parameters="", start_us=0, end_us=9, step_us=1))
    return world


def profiled(world, steps=3, directory=None, row=None):
    """A profile of so many steps."""
    profile = Profile(world, directory, profile_page)
    for _ in range(steps):
        world.step(1)
        profile(Tick(world, row or {"wall_s": 0.5}, 1.0))
    profile.close()
    return profile.profiled


class Reading(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.open = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# -- what is told of systems -----------------------------------------------------------------


def test_bytes_are_those_of_the_declared_columns():
    """A row kernel's by column, what it writes twice; an array system's by component; of a system
    that takes the World nothing is known."""
    told = {one.name: one for one in profiled(bodies()).systems}
    assert told["move"].bytes_a_step == 200 * (2 * 4 + 4)
    assert told["weigh"].bytes_a_step == 210 * (4 + 8)
    assert told["heave"].bytes_a_step == 10 * (4 + 8)
    assert told["survey"].bytes_a_step is None
    assert told["survey"].gb_s is None
    assert (told["move"].calls, told["move"].rows) == (3, 600)
    assert told["survey"].rows == 0


def test_what_was_before_the_profile_does_not_count():
    """A world that goes on from a snapshot has a past."""
    world = bodies()
    world.run(5, step=1)
    told = {one.name: one for one in profiled(world, steps=2).systems}
    assert {one.calls for one in told.values()} == {2}
    assert told["move"].rows == 400
    stats = world.telemetry.of("move")
    assert 0 < told["move"].seconds < stats.ns / 1e9


def test_shares_are_of_the_steps():
    """Of their wall time, most first; what no system took is between them; rates go by memcpy."""
    found = profiled(bodies())
    assert (found.steps, found.step_s) == (3, 1.5)
    assert [s.seconds for s in found.systems] == sorted(s.seconds for s in found.systems)[::-1]
    for one in found.systems:
        assert one.share == pytest.approx(one.seconds / 1.5)
        assert 0 < one.p50_ms <= one.p99_ms <= 1e3 * one.seconds
        if one.bytes_a_step is not None:
            assert one.gb_s == pytest.approx(3 * one.bytes_a_step / one.seconds / 1e9)
            assert one.of_memcpy == pytest.approx(one.gb_s / found.memcpy_gb_s)
    assert found.between == pytest.approx(1 - sum(one.share for one in found.systems))
    assert 0.1 < memcpy_gb_s() < 10_000


def test_a_system_that_never_ran_is_not_told_of():
    """Nor does one that runs now and then count the steps in which it did not."""
    world = World()
    world.spawn(1, Body)
    ran = []

    @system(every=10)
    def seldom(world: World):
        ran.append(1)

    @system(every=10_000)
    def never(world: World):
        raise AssertionError

    world.add_systems(seldom, never)
    world.insert(Itinerary(scenario="x", parameters="", start_us=0, end_us=9, step_us=1))
    (one,) = profiled(world, steps=25).systems
    assert (one.name, one.calls, len(ran)) == ("seldom", 2, 2)


# -- functions -------------------------------------------------------------------------------


def test_functions_are_found_below_their_system():
    """Where the time is in a function, that is where the samples are."""
    found = profiled(bodies(), steps=40)
    tree = next(tree for tree in found.functions if tree["name"] == "survey")
    run = tree["calls"][0]
    function = run["calls"][0]
    inner = function["calls"][0]
    names = [one["name"] for one in (run, function, inner)]
    assert names == ["SingleSystem.run", "survey", "linger"]
    assert re.fullmatch(r"face/test_profile\.py:\d+", inner["where"])
    assert inner["seconds"] > tree["seconds"] / 2


def test_nothing_of_the_sampler_stays():
    """Its thread, the quick hand-over, and the frames that name systems are gone; twice is once."""
    world = bodies()
    before = sys.getswitchinterval(), threading.active_count()
    sampler = Sampler(world)
    sampler.start()
    bound = world.schedule.entries["move"].bound
    assert "run" in vars(bound)
    assert sys.getswitchinterval() < before[0]
    sampler.stop()
    sampler.stop()
    assert "run" not in vars(bound)
    assert (sys.getswitchinterval(), threading.active_count()) == before


def test_small_functions_are_left_out_of_a_tree():
    """Those below a share of the whole, with all that they called."""
    whole = Function("whole", seconds=10.0)
    whole.calls[1] = Function("large", seconds=6.0)
    whole.calls[2] = Function("small", seconds=0.01)
    whole.calls[3] = Function("larger", seconds=7.0)
    assert [one["name"] for one in whole.tree(0.005)["calls"]] == ["larger", "large"]
    assert len(whole.tree()["calls"]) == 3


# -- a run -----------------------------------------------------------------------------------


def test_a_run_is_the_same_with_a_profile(tmp_path):
    """To the bit, on two threads too; the directory has one file more for people, one for
    programs."""
    digests = {}
    for name, draw, threads in (
        ("plain", None, 1),
        ("one", profile_page, 1),
        ("two", profile_page, 2),
    ):
        session = Session(
            find_scenario("town"), RunDirectory(tmp_path / name), threads=threads,
            watch=watched_by(profile=draw),
        )  # fmt: skip
        world, _ = session.start(parameters_of("town", **DAY))
        digests[name] = world.digest()
        assert load(tmp_path / name / "snapshots").digest() == world.digest()
    assert len(set(digests.values())) == 1
    files = [{file.name for file in (tmp_path / name).iterdir()} for name in ("plain", "one")]
    assert files[1] - files[0] == {JSON, PAGE}
    found = json.loads((tmp_path / "one" / JSON).read_text())
    assert (found["scenario"], found["steps"]) == ("town", 24)
    assert "profile:\nsystem  " in (tmp_path / "one" / "log.txt").read_text()


def test_the_page_asks_for_nothing_and_runs_nothing(tmp_path):
    """One file, without scripts, whatever the names are."""
    world = bodies()
    world.add_system(survey, name="<b>&")
    directory = RunDirectory(tmp_path)
    profiled(world, 20, directory)
    page = Reading((tmp_path / PAGE).read_text())
    assert page.open == []
    assert not page.tags & {"script", "iframe", "img", "b", "object"}
    assert page.addresses == ["data:,"]
    text = (tmp_path / PAGE).read_text()
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    assert "&lt;b&gt;&amp;" in text
    assert "url(" not in text


def test_nested_functions_are_drawn_inside_each_other():
    """As wide as their share of what called them."""
    tree = {
        "name": "meet", "where": "", "seconds": 4.0,
        "calls": [
            {"name": "outer<1>", "where": "a/b.py:3", "seconds": 3.0,
             "calls": [{"name": "inner", "where": "a/c.py:5", "seconds": 1.5, "calls": []}]},
            {"name": "other", "where": "a/d.py:7", "seconds": 1.0, "calls": []},
        ],
    }  # fmt: skip
    one = SystemProfile("meet", 0.8, 4.0, 1.0, 2.0, 3, 0)
    page = profile_page(Profiled("town", 3, 5.0, 10.0, [one], [tree]))
    assert page.count('width:75.00%"><span title="outer&lt;1&gt; a/b.py:3, 3.000 s"') == 1
    assert page.count('width:50.00%"><span title="inner') == 1
    assert page.count('width:25.00%"><span title="other') == 1
    assert "<td>–</td>" in page
    Reading(page)


def test_a_run_that_fails_has_its_profile(tmp_path):
    """Up to there; one that had no step has none."""
    world, directory = bodies(), RunDirectory(tmp_path)
    assert profiled(world, 0, directory) is None
    assert list(tmp_path.iterdir()) == []
    profile = Profile(world, directory, profile_page)
    world.step(1)
    profile(Tick(world, {"wall_s": 0.5}, 0.5))
    profile.close()
    profile.close()
    assert json.loads((tmp_path / JSON).read_text())["steps"] == 1


def test_without_a_directory_the_table_is_printed(capsys):
    """To stderr, so that stdout is the result alone; the widths of its columns agree."""
    found = profiled(bodies())
    out, err = capsys.readouterr()
    assert out == ""
    assert err == found.table() + "\n"
    head, *rows, between, last = err.splitlines()
    assert re.fullmatch(r"3 steps in 1\.500 s; memcpy moves [\d.]+ GB/s", last)
    assert between.startswith("between systems ")
    assert {row.split()[0] for row in rows} == {"move", "weigh", "heave", "survey"}
    assert all(len(row) <= len(head) for row in rows)


def test_the_command_says_where_it_is(capsys, tmp_path):
    """In its result; with no directory there is the table."""
    given = ("run", "stream", "--agents", 5, "--days", 1, "--profile")
    told = said(capsys, *given, "--dir", tmp_path / "run")
    assert f"profile in {tmp_path / 'run' / PAGE}" in told.replace("\n", "")
    assert main_json(capsys, *given, "--no-dir")[1].startswith("system  ")
    assert said(capsys, "resume", tmp_path / "run", "--days", 1, "--profile")
    assert json.loads((tmp_path / "run" / JSON).read_text())["steps"] == 24


def main_json(capsys, *arguments):
    """(result, stderr) of a command with --json."""
    from populace.cli import main

    assert main([*map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err
