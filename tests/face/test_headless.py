"""A scenario without a screen: what `make_world` makes, and what `live` does and tells."""

import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from populace.components import Memory, Persona, Strength
from populace.ecs import days, hours
from populace.ecs.errors import MemoryLimitReached, SettingError, SourceFileError
from populace.runs import days_left, headless, live, make_world
from populace.runs.headless import steps_left
from populace.runs.itinerary import Itinerary
from populace.runs.metrics import MetricsTable
from populace.runs.outcome import json_value, strongest_memories
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario

from .harbour import HARBOUR
from .lived import TOWN, Watching, counts

SHORT = {**TOWN, "run.days": 0.5}


# -- a world ---------------------------------------------------------------------------------


def test_a_world_is_made_of_parameters():
    """By name, as text or as numbers; everybody is there, and nothing has happened yet."""
    world = make_world("town", {"town.agents": 30, "ties.half_life": "7d", "run.days": "36h"})
    assert world.query(Persona).count() == 30
    assert (days_left(world), steps_left(world), world.clock.tick) == (1.5, 36, 0)
    way = world.resource(Itinerary)
    assert (way.scenario, way.start_us, way.step_us) == ("town", world.clock.now, hours(1))
    assert "half_life = 604800" in way.parameters
    world.check()


def test_a_world_holds_its_parameters(tmp_path):
    """What it was made with can be read again from the world."""
    file = tmp_path / "again.toml"
    file.write_text(make_world("stream", {"stream.agents": 5}).resource(Itinerary).parameters)
    again = read_parameters(find_scenario("stream"), file=file, environment={})
    assert again.changed() == {"stream.agents": 5}


def test_a_world_is_made_of_files(tmp_path):
    """A TOML file counts less than the values, and a Python file has its own defaults."""
    (tmp_path / "harbour.py").write_text(HARBOUR)
    file = tmp_path / "mine.toml"
    file.write_text('scenario = "harbour.py"\n[harbour]\nboats = 4\ncrew = 5\n')
    assert make_world(tmp_path / "harbour.py").query(Persona).count() == 30
    assert make_world(file).query(Persona).count() == 20
    world = make_world(file, {"harbour.crew": 1})
    assert world.query(Persona).count() == 4
    assert live(world).told["catch"] == 41


def test_the_environment_does_not_count(monkeypatch):
    """A program says itself what it wants."""
    monkeypatch.setenv("POPULACE_TOWN__AGENTS", "7")
    assert make_world("town", {"run.days": 1, "town.household": 3}).query(Persona).count() == 10_000


@pytest.mark.parametrize(
    ("scenario", "values", "error", "why"),
    [
        ("twon", {}, SettingError, "did you mean town"),
        ("town", {"town.agent": 5}, SettingError, "did you mean town.agents"),
        ("town", {"town.agents": 1}, SettingError, "must lie in"),
        ("town", {"run.step": 7 * 60}, SettingError, "must divide an hour"),
        ("town", {"run.start": "2023-02-13T00:00Z"}, SettingError, "without a zone"),
        ("nowhere.py", {}, SourceFileError, "cannot be read"),
        ("nowhere.toml", {}, SourceFileError, "cannot be read"),
    ],
)
def test_what_cannot_be_made_is_told(scenario, values, error, why):
    """As on the command line."""
    with pytest.raises(error, match=why):
        make_world(scenario, values)


# -- to live ---------------------------------------------------------------------------------


def test_a_run_tells_what_happened():
    """Counts agree with each other and with the world."""
    world = make_world("town", TOWN)
    outcome = live(world)
    assert (outcome.scenario, outcome.status, outcome.reason) == ("town", "done", "")
    assert (outcome.ticks, world.clock.tick, days_left(world), steps_left(world)) == (60, 60, 0, 0)
    assert outcome.formed == outcome.kept + outcome.forgotten
    assert 0 < outcome.forgotten == sum(outcome.forgotten_by.values())
    assert [outcome.agents, outcome.kept, outcome.ties] == counts(world)[:3]
    assert len(outcome.kept_by_day) == 3  # two days, and half a one
    assert outcome.kept_by_day[-1] == outcome.kept
    assert outcome.rows_swept == world.telemetry.of("refresh_strength").rows > 0
    assert outcome.snapshots == 0
    world.check()


def test_a_run_that_is_over_is_not_lived_again():
    """Nothing happens, and that is what is told."""
    world = make_world("town", SHORT)
    live(world)
    digest = world.digest()
    outcome = live(world)
    assert (outcome.status, outcome.ticks, outcome.formed, outcome.kept_by_day) == (
        "done", 0, 0, []
    )  # fmt: skip
    assert world.digest() == digest


@pytest.mark.parametrize("scenario", ["town", "stream"])
def test_watching_changes_nothing(scenario):
    """A world that is lived through with metrics and watchers is the one that is stepped alone.
    It ends at midnight: contacts of the last step would still wait for whoever reads them."""
    values = {**TOWN, "run.days": 1} if scenario == "town" else {"stream.agents": 20, "run.days": 1}
    lived, stepped = (make_world(scenario, values) for _ in range(2))
    live(lived, metrics=MetricsTable(), watchers=[Watching()])
    stepped.run(days(1), step=hours(1))
    assert lived.digest() == stepped.digest()


def test_a_run_may_be_cut_anywhere():
    """Ended after some steps and lived on, it comes to the same."""
    whole, cut = (make_world("town", SHORT) for _ in range(2))
    live(whole)
    calls = iter(["", "", "", "enough"])
    assert live(cut, interrupted=lambda: next(calls)).ticks == 4
    assert live(cut).ticks == 8
    assert cut.digest() == whole.digest()


def test_the_last_step_ends_at_the_end():
    """It is shorter where the days are no multiple of the step."""
    world = make_world("stream", {"stream.agents": 3, "run.days": 0.3, "run.step": "2h"})
    start = world.clock.now
    table = MetricsTable()
    assert live(world, metrics=table).ticks == 4
    assert world.clock.now - start == days(0.3)
    assert np.diff([start, *table["time"]]).tolist() == [hours(2)] * 3 + [days(0.3) - hours(6)]


def test_watchers_are_told_of_each_step_and_closed():
    """With the step's row, and how much of the run is over."""
    first, second = Watching(), Watching()
    live(make_world("stream", {"stream.agents": 3, "run.days": 0.25}), watchers=[first, second])
    assert first.seen == second.seen == [(n, n, n / 6) for n in range(1, 7)]
    assert (first.closed, second.closed) == (1, 1)


def test_whoever_asks_ends_a_run_after_the_step():
    """The reason is told; a run that has reached its end by then is done."""
    values = {"stream.agents": 3, "run.days": 0.25}
    world = make_world("stream", values)
    outcome = live(world, interrupted=lambda: "SIGINT" * (world.clock.tick == 2))
    assert (outcome.status, outcome.reason, outcome.ticks) == ("interrupted", "SIGINT", 2)
    world = make_world("stream", values)
    outcome = live(world, interrupted=lambda: "SIGINT" * (world.clock.tick == 6))
    assert (outcome.status, outcome.reason, outcome.ticks) == ("done", "", 6)


def test_a_memory_limit_stops_a_run():
    """With what the watcher said; everybody is closed."""

    def full(tick):
        raise MemoryLimitReached("too much")

    watcher = Watching(3, full)
    outcome = live(make_world("stream", {"stream.agents": 3, "run.days": 1}), watchers=[watcher])
    assert (outcome.status, outcome.reason, outcome.ticks) == ("stopped", "too much", 3)
    assert watcher.closed == 1


def test_a_step_that_fails_leaves_the_rows_before(tmp_path):
    """The error goes on, the metrics are written, the watchers closed."""
    watcher = Watching(3, lambda tick: 1 / 0)
    table = MetricsTable(tmp_path / "metrics.parquet")
    with pytest.raises(ZeroDivisionError):
        live(
            make_world("stream", {"stream.agents": 3, "run.days": 1}),
            metrics=table, watchers=[watcher],
        )  # fmt: skip
    assert len(table) == 3
    assert watcher.closed == 1
    assert (tmp_path / "metrics.parquet").is_file()


def test_a_disk_that_refuses_rows_does_not_end_a_run(tmp_path, monkeypatch, caplog):
    """They wait, which is logged once; the last ones must be written."""
    write, refused = pq.write_table, iter([True] * 3 + [False])

    def refuse(*given, **more):
        if next(refused, False):
            raise OSError(28, "No space left on device")
        write(*given, **more)

    monkeypatch.setattr(pq, "write_table", refuse)
    monkeypatch.setattr(headless, "FLUSH_S", 0.0)
    table = MetricsTable(tmp_path / "metrics.parquet")
    values = {"stream.agents": 3, "run.days": 0.25}
    assert live(make_world("stream", values), metrics=table).status == "done"
    assert pq.read_table(table.path)["tick"].to_pylist() == [1, 2, 3, 4, 5, 6]
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 1
    assert "metrics are not written until the disk lets them: [Errno 28]" in told[0]
    refused = iter([True] * 10)
    with pytest.raises(OSError, match="No space left"):
        live(make_world("stream", values), metrics=table)


# -- what is told ----------------------------------------------------------------------------


def test_a_scenario_that_cannot_be_measured_is_told_so_before_the_first_step():
    """Watchers are closed all the same."""
    scenario = replace(find_scenario("stream"), measure=lambda world: {"tick": 1})
    world, watcher = make_world("stream", {"stream.agents": 3}), Watching()
    with pytest.raises(SettingError, match="scenario stream: measure gives a column 'tick'"):
        live(world, scenario, watchers=[watcher])
    assert (world.clock.tick, watcher.closed) == (0, 1)


@pytest.mark.parametrize("told", [None, ["catch", 3]])
def test_a_scenario_that_tells_nothing_by_name_is_told_so(told):
    """By its own name."""
    scenario = replace(find_scenario("stream"), name="harbour", tell=lambda world: told)
    world = make_world("stream", {"stream.agents": 3, "run.days": 0.1})
    with pytest.raises(SettingError, match=f"scenario harbour: tell gives {re.escape(str(told))}"):
        live(world, scenario)


def test_the_first_agent_tells_what_it_remembers_best(town_run):
    """Sorted by strength, each text once, and the strongest of all that it has."""
    world = town_run.world
    name, strongest = strongest_memories(world, 6)
    people = world.query(Persona)
    first = people.ids()[np.argmin(people.gather(Persona.number))]
    assert name == world.text.decode(world.get([first], Persona.name))[0]
    held = world.get(world.index(Memory.owner).ids(first), Strength.value)
    assert strongest[0].strength == held.max()
    assert len({memory.text for memory in strongest}) == 6
    assert [m.strength for m in strongest] == sorted((m.strength for m in strongest), reverse=True)


def test_what_scenarios_tell_is_json(tmp_path):
    """Numpy's numbers are plain, and what is no finite number is null."""
    told = json_value({"n": np.int64(3), "x": np.float32(0.5), "none": np.nan, "far": -np.inf,
                       "all": (np.arange(2), {1: True}), "path": tmp_path, "no": None})  # fmt: skip
    assert told == {"n": 3, "x": 0.5, "none": None, "far": None, "all": [[0, 1], {"1": True}],
                    "path": str(tmp_path), "no": None}  # fmt: skip
    assert [type(told[name]) for name in ("n", "x")] == [int, float]
