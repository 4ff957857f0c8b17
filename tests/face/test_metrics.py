"""The metrics of a run: what a row holds, that rows add up, and their file."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from populace.components import Memory, Persona, Stream, Strength, Tie, TieStrength
from populace.ecs import World, hours
from populace.ecs.errors import MemoryLimitReached, SettingError
from populace.runs import live, make_world
from populace.runs.metrics import Meter, MetricsTable
from populace.systems import Retention, Room, make_room
from populace.systems.archive import archive_memories, attach_archive

from .lived import TOWN, counts, metrics_of


@pytest.fixture(scope="module")
def metrics(town_run):
    """The table of a town's metrics."""
    return metrics_of(town_run.path)


def sums(table, prefix):
    """The sum of each column that begins so, by the rest of its name."""
    return {
        name.removeprefix(prefix): sum(table[name].to_pylist())
        for name in table.column_names
        if name.startswith(prefix)
    }


# -- of a run --------------------------------------------------------------------------------


def test_there_is_a_row_for_each_step(metrics, town_run):
    """By tick and by the time of its end."""
    assert metrics["tick"].to_pylist() == list(range(1, 61))
    time = metrics["time"].cast(pa.int64()).to_numpy()
    assert metrics.schema.field("time").type == pa.timestamp("us")
    assert (np.diff(time) == hours(1)).all()
    assert time[-1] == town_run.world.clock.now


def test_columns_are_numbers(metrics):
    """Counts are whole, all else is not, and none is missing or infinite but means of nothing."""
    whole = {"tick", "rss_bytes", "agents", "memories", "ties", "knowledge", "reflections",
             "formed", "contacts"}  # fmt: skip
    for name in metrics.column_names[1:]:
        column = metrics[name]
        counted = name in whole or name.startswith(("forgotten__", "formed__", "ns__", "state__"))
        if counted:
            assert column.type == pa.int64(), name
        else:
            assert column.type == pa.float64(), name
        there = metrics["memories"].to_numpy() > 0 if name == "memory_strength" else slice(None)
        assert column.null_count == np.sum(~there if name == "memory_strength" else 0)
        assert np.isfinite(column.to_numpy()[there]).all(), name
    assert len(set(metrics.column_names)) == metrics.num_columns


def test_the_last_row_is_the_world(metrics, town_run):
    """How many there are, and how strong on average."""
    world, last = town_run.world, metrics.slice(len(metrics) - 1).to_pylist()[0]
    assert [last[name] for name in ("agents", "memories", "ties", "knowledge")] == counts(world)
    strength = world.query(Memory, Strength).gather(Strength.value)
    assert last["memory_strength"] == pytest.approx(strength.mean(dtype=float), rel=1e-6)
    strength = world.query(Tie, TieStrength).gather(TieStrength.value)
    assert last["tie_strength"] == pytest.approx(strength.mean(dtype=float), rel=1e-6)


def test_memories_are_formed_forgotten_or_there(metrics, town_run):
    """Step by step, and in all as the outcome tells."""
    memories, formed = (metrics[name].to_numpy() for name in ("memories", "formed"))
    gone = sum(metrics[n].to_numpy() for n in metrics.column_names if n.startswith("forgotten__"))
    assert np.array_equal(np.diff(memories, prepend=0), formed - gone)
    assert formed.sum() == town_run.outcome.formed
    assert sums(metrics, "forgotten__") == town_run.outcome.forgotten_by
    assert "merged" in town_run.outcome.forgotten_by


def test_systems_take_the_time_that_telemetry_says(metrics, town_run):
    """Each system's, in all; not more than the step took."""
    told = {name: stats.ns for name, stats in town_run.world.telemetry.systems.items()}
    assert sums(metrics, "ns__") == told
    spent = sum(metrics[n].to_numpy() for n in metrics.column_names if n.startswith("ns__"))
    assert (spent <= 1e9 * metrics["wall_s"].to_numpy()).all()


def test_a_world_has_columns_of_what_it_has():
    """A stream has no moods, no ties and no contacts; its reasons are those of its laws."""
    table = MetricsTable()
    world = make_world("stream", {"stream.agents": 20, "run.days": 8, "room.capacity": 60})
    outcome = live(world, metrics=table)
    names = set(table.arrow().column_names)
    assert {"time", "tick", "memories", "memory_strength", "ns__forget"} <= names
    assert not {"tie_strength", "contacts", "mood__pleasure", "forgotten__merged"} & names
    assert set(outcome.forgotten_by) == {"weak", "crowded"}
    assert sum(table["forgotten__crowded"]) == outcome.forgotten_by["crowded"] > 0


def test_a_meter_reads_what_came_after_it():
    """Not what was formed or forgotten before, and of each step once."""
    world = make_world("town", TOWN)
    world.run(hours(30), step=hours(1))
    meter = Meter(world)
    assert (meter.read(0.1)["formed"], meter.forgotten) == (0, {})
    world.step(hours(1))
    row = meter.read(0.25, 0.125, pause_s=0.5)
    assert row["formed"] > 0
    assert [row[name] for name in ("tick", "wall_s", "cpu_s", "pause_s")] == [31, 0.25, 0.125, 0.5]
    assert meter.read(0.1)["formed"] == 0


def test_pauses_are_of_the_steps_in_which_the_world_stood_still(metrics):
    """Not of those in which the snapshot was written to its end."""
    pause_s = metrics["pause_s"].to_numpy()
    assert (np.flatnonzero(pause_s) + 1).tolist() == list(range(6, 61, 6))
    assert (pause_s <= metrics["wall_s"].to_numpy()).all()


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ({"time": 5}, "a column 'time': .* other than those that a run measures itself"),
        ({"memories": -1}, "a column 'memories'"),
        ({"archived": 1}, "a column 'archived'"),
        ({"forgotten__weak": 1}, "a column 'forgotten__weak'"),
        ({"ns__forget": 1}, "a column 'ns__forget'"),
        ({5: 1}, "a column 5"),
        ({"x": None}, "None for 'x'; it must be a number"),
        ({"x": "3"}, "'3' for 'x'"),
        ({"x": np.arange(2)}, r"array\(\[0, 1\]\) for 'x'"),
        ({"x": 2**63}, "9223372036854775808 for 'x'; it must be a number of at most 64 bits"),
        (None, "None; it must give numbers by name"),
        ([1], r"\[1\]; it must give numbers by name"),
    ],
)
def test_what_is_no_column_is_refused_when_it_is_measured(measured, why):
    """With the scenario's name, at the first step, and at a later one too."""
    world = make_world("stream", {"stream.agents": 3})
    with pytest.raises(SettingError, match=f"scenario harbour: measure gives {why}"):
        Meter(world, lambda _: measured, "harbour")
    given = iter([{}, measured])
    meter = Meter(world, lambda _: next(given), "harbour")
    with pytest.raises(SettingError, match=why):
        meter.read(0.1)


def test_what_numpy_counts_is_a_count():
    """Its numbers are Python's in a row."""
    measured = {"n": np.int32(3), "mean": np.float32(0.5), "any": np.True_, "at": np.array(2.0)}
    row = Meter(make_world("stream", {"stream.agents": 3}), lambda _: measured).read(0.1)
    assert [(row[name], type(row[name])) for name in measured] == [
        (3, int), (0.5, float), (1, int), (2.0, float),
    ]  # fmt: skip


# -- the table -------------------------------------------------------------------------------


def test_what_goes_after_the_last_row_is_counted_at_the_end():
    """As what a memory limit lets go in a run that it stops."""

    class Stopping:
        def __call__(self, tick):
            if tick.world.clock.tick == 20:
                world.insert(replace(world.resource(Room), capacity=5), replace=True)
                make_room(world, world.resource(Room), world.resource(Retention))
                raise MemoryLimitReached("no more")

        def close(self):
            """Nothing."""

    world = make_world("town", {"town.agents": 30, "run.days": 2})
    outcome = live(world, watchers=[Stopping()])
    assert (outcome.status, outcome.kept) == ("stopped", world.query(Memory).count())
    assert outcome.forgotten_by["crowded"] > 0
    assert outcome.formed == outcome.forgotten + outcome.kept


def test_archived_memories_are_counted(tmp_path):
    """In the row and in the outcome: what was formed is forgotten, archived or there."""

    class Archiving:
        def __call__(self, tick):
            if tick.world.clock.tick == 20:
                archive_memories(world, world.query(Memory).ids()[:40])

        def close(self):
            """Nothing."""

    world, table = make_world("town", {"town.agents": 30, "run.days": 1}), MetricsTable()
    attach_archive(world, tmp_path)
    outcome = live(world, metrics=table, watchers=[Archiving()])
    assert outcome.archived == sum(table["archived"]) == 40
    assert outcome.formed == outcome.forgotten + outcome.archived + outcome.kept


def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """Whatever the writer says, and nothing of it is left."""
    table = MetricsTable(tmp_path / "metrics.parquet")
    table.add(1, {"tick": 1})

    def refuse(_, path, **__):
        path.write_text("half")
        raise OSError(28, "Error writing bytes to file")

    monkeypatch.setattr(pq, "write_table", refuse)
    with pytest.raises(OSError, match=r"\[Errno 28\] No space left on device: '.*metrics.parquet'"):
        table.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_column_may_begin_late_or_pause():
    """Where a row has nothing of it a count is 0, and what is no count is missing."""
    table = MetricsTable()
    for time, row in enumerate([{"a": 1}, {"a": 2, "b": 0.5}, {"b": 1.5}]):
        table.add(time, row)
    assert (table["a"], table["b"], len(table)) == ([1, 2, 0], [None, 0.5, 1.5], 3)
    found = table.arrow()
    assert [found.to_pydict()[name] for name in "ab"] == [[1, 2, 0], [None, 0.5, 1.5]]
    assert [str(field.type) for field in found.schema] == ["timestamp[us]", "int64", "double"]


def test_a_table_is_taken_up_where_a_run_goes_on(tmp_path):
    """Later rows are of a life that is lived again."""
    path = tmp_path / "metrics.parquet"
    first = MetricsTable(path)
    absent = [{}, {"count": 2, "mean": 0.5}, {}, {"mean": 1.5}, {"count": 3}]
    for time in range(5):
        first.add(time * 10, {"tick": time, "share": time / 4, **absent[time]})
    first.flush()
    again = MetricsTable(path)
    again.take_up(20)
    assert (again["time"], again["tick"], len(again)) == ([0, 10, 20], [0, 1, 2], 3)
    for time in (3, 4):
        again.add(time * 10, {"tick": time, "share": time / 4, **absent[time]})
    assert again.arrow().equals(first.arrow())


def test_without_a_file_nothing_is_taken_up_or_written(tmp_path):
    """Nor before there is a row."""
    MetricsTable().flush()
    table = MetricsTable(tmp_path / "metrics.parquet")
    table.take_up(10)
    table.flush()
    assert (len(table), list(tmp_path.iterdir())) == (0, [])


def test_the_file_is_whole_at_every_moment(tmp_path, monkeypatch):
    """A write that fails leaves the one before."""
    table = MetricsTable(tmp_path / "metrics.parquet")
    table.add(1, {"tick": 1})
    table.flush()
    table.add(2, {"tick": 2})

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", fail)
        with pytest.raises(OSError, match="No space"):
            table.flush()
    assert pq.read_table(table.path)["tick"].to_pylist() == [1]
    table.flush()
    assert pq.read_table(table.path)["tick"].to_pylist() == [1, 2]
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.parquet"]


def test_whoever_dies_takes_no_memory_of_others_along():
    """In the step in which somebody with many memories dies, others have formed what they have."""
    world = World(seed=1)
    ids = world.spawn(3, Persona(number=[0, 1, 2]), Stream(formed=[500, 7, 0]))
    meter = Meter(world)
    world.despawn(ids[:1])
    world.set(ids[1:], Stream(formed=[10, 1]))
    world.spawn(1, Persona(number=3), Stream(formed=2))
    assert (meter.read(0.1)["formed"], meter.formed) == (6, 6)
    world.set(ids[1:2], Stream(formed=11))
    assert (meter.read(0.1)["formed"], meter.formed) == (1, 7)
