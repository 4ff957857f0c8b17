"""SQL over all snapshots of a directory."""

import threading
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from populace.ecs import World
from populace.ecs.errors import PopulaceError, SnapshotError, SqlError
from populace.ecs.image import capture, restore
from populace.storage.history import HistorySource
from populace.storage.pages import page
from populace.storage.snapshot import Snapshots, save
from populace.storage.sql import Database

from .village import CATALOGUE, SPECS, Note, Person, Weight, asked, village

START = datetime(1970, 1, 1)


@pytest.fixture
def run(tmp_path):
    """A world saved at three moments, what it was each time, and a database of the directory."""
    world, people = village()
    was = []
    here = asked(world)
    for _ in range(3):
        seen = {view: here.ask(f"SELECT * FROM {view}").rows() for view in (*SPECS, "clock")}
        was.append(seen)
        save(world, tmp_path / "run")
        world.despawn(world.query(Note).ids()[:5])
        world.spawn(2, Note(owner=people[0], place=[100, 101], text=f"new {len(was)}"))
        world.step(10**9)
    here.close()
    database = Database(HistorySource(CATALOGUE, Snapshots(tmp_path / "run")))
    yield tmp_path / "run", was, database
    database.close()


def test_views_are_those_of_all_snapshots_with_their_time(run):
    """A row for each entity in each snapshot, with the tick and the time it was made at."""
    _, was, database = run
    for view in ("people", "notes", "links", "facts"):
        found = database.ask(f"SELECT * FROM {view} ORDER BY tick, entity").rows()
        expected = [
            {**now["clock"][0], **row, **({"strength": None} if view == "notes" else {})}
            for now in was
            for row in sorted(now[view], key=lambda row: row["entity"])
        ]
        assert found == expected
        assert list(found[0])[:2] == ["tick", "time"]


def test_logs_hold_each_event_once(run):
    """A log is that of the newest snapshot."""
    _, was, database = run
    assert database.ask("FROM talks ORDER BY row").rows() == was[-1]["talks"]


def test_the_clock_has_a_row_for_each_snapshot(run):
    """`clock` says when they were made."""
    _, was, database = run
    assert database.ask("FROM clock ORDER BY tick").rows() == [now["clock"][0] for now in was]
    assert was[0]["clock"][0]["time"] == START + timedelta(seconds=2000)


def test_a_view_may_stand_several_times_in_a_query(run):
    """Self-joins and joins of views see all snapshots on each side."""
    _, was, database = run
    found = database.ask(
        "SELECT a.tick, count(*) AS n FROM notes a JOIN notes b USING (tick, entity) "
        "JOIN people p ON p.tick = a.tick AND p.person = a.person GROUP BY a.tick ORDER BY 1"
    ).rows()
    assert [row["n"] for row in found] == [len(now["notes"]) for now in was]
    assert database.ask(
        "SELECT count(*) AS n FROM notes, people WHERE notes.tick = people.tick"
    ).one()


def test_only_what_is_named_is_shown(run):
    """Columns and types are those of a snapshot, also where nothing but the tick is named."""
    _, was, database = run
    found = database.ask("SELECT tick, count(*) AS n FROM notes GROUP BY tick ORDER BY 1")
    assert [row["n"] for row in found] == [len(now["notes"]) for now in was]
    told = {row["column_name"]: row["column_type"] for row in database.ask("DESCRIBE notes")}
    assert told["time"] == "TIMESTAMP"
    assert told["tick"] == "BIGINT"
    assert told["text"] == "VARCHAR"
    assert list(told)[2:] == list(SPECS["notes"].by_name)


def test_of_goes_through_every_snapshot(run):
    """`of` finds an agent's rows in each; where it is not known there are none."""
    _, was, database = run
    found = database.ask("SELECT tick, entity FROM notes ORDER BY ALL", of=[10, 10]).rows()
    expected = sorted(
        (now["clock"][0]["tick"], row["entity"])
        for now in was for row in now["notes"] if row["person"] == 10
    )  # fmt: skip
    assert [(row["tick"], row["entity"]) for row in found] == expected
    assert len(database.ask("SELECT * FROM notes", of=4711)) == 0


def test_new_snapshots_are_seen_by_the_next_query(run):
    """A directory that grows shows more."""
    directory, _, database = run
    query = "SELECT count(DISTINCT tick) AS n FROM people"
    assert database.ask(query).one() == {"n": 3}
    world, _ = village(seed=2)
    world.run(10**7, 10**6)
    save(world, directory)
    assert database.ask(query).one() == {"n": 4}


def test_derived_columns_are_made_for_each_snapshot(run):
    """Where a query names one, each snapshot's own is made."""
    directory, was, _ = run

    def derive(image):
        revived = restore(image)
        for weight in revived.query(Weight):
            weight.value[:] = image.clock.tick
        return capture(revived, whole=False)

    database = Database(HistorySource(CATALOGUE, Snapshots(directory), derive))
    found = database.ask(
        "SELECT min(strength) AS low, max(strength) AS high FROM notes GROUP BY tick ORDER BY tick"
    ).rows()
    database.close()
    ticks = [now["clock"][0]["tick"] for now in was]
    assert [(row["low"], row["high"]) for row in found] == [(tick, tick) for tick in ticks]


def test_a_damaged_snapshot_is_named(run):
    """A file that is not what it was ends the query with an error that names it; nothing is left
    out in silence."""
    directory, _, database = run
    refused = []
    for file in (directory / "data").iterdir():
        good = file.read_bytes()
        file.write_bytes(good[: len(good) // 2])
        for view in SPECS:
            try:
                database.ask(f"SELECT * FROM {view}")
            except SnapshotError as error:
                refused.append((file.name, str(error)))
        file.write_bytes(good)
    assert len(refused) > 5
    assert all(name in told for name, told in refused)
    assert len(database.ask("SELECT * FROM notes"))


def test_an_empty_directory_is_an_error(tmp_path):
    """Where there is no snapshot there is nothing to ask of."""
    database = Database(HistorySource(CATALOGUE, Snapshots(tmp_path)))
    with pytest.raises(SnapshotError, match="no snapshot"):
        database.ask("SELECT * FROM notes")
    database.close()


def test_errors_of_the_query_are_its_own(run):
    """A query that fails by itself says why."""
    _, _, database = run
    with pytest.raises(SqlError, match="notes has tick, time, entity"):
        database.ask("SELECT colour FROM notes")
    with pytest.raises(SqlError, match="boo"):
        database.ask("SELECT CAST(text || 'boo' AS INT) FROM notes")


def test_memory_holds_one_snapshot_at_a_time(tmp_path):
    """A query over ten snapshots holds about as much as one over the newest."""
    world = World()
    owner = world.spawn(1, Person(number=0))[0]
    world.spawn(200_000, Note(owner=owner, place=range(200_000)))
    for _ in range(10):
        save(world, tmp_path)
        world.step(1)
    database = Database(HistorySource(CATALOGUE, Snapshots(tmp_path)))
    peaks = []
    done = threading.Event()

    def watch():
        while not done.wait(0.001):
            peaks.append(pa.total_allocated_bytes())

    watcher = threading.Thread(target=watch)
    before = pa.total_allocated_bytes()
    watcher.start()
    found = database.ask("SELECT count(*) AS n, sum(place) AS s, max(importance) FROM notes").one()
    done.set()
    watcher.join()
    database.close()
    assert (found["n"], found["s"]) == (2_000_000, 10 * 199_999 * 100_000)
    assert max(peaks, default=0) - before < 4 * 200_000 * 16


def test_a_history_is_not_paged(run):
    """Pages are of one moment."""
    _, _, database = run
    with pytest.raises(PopulaceError, match="one moment"):
        page(database, "notes")
