"""SQL and pages of a society: worlds, snapshots, runs."""

import gc
import weakref
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from populace import World, component, hours, i8
from populace.ask import database, derive, page, sql
from populace.components import (
    Contact,
    Emotion,
    Knowledge,
    KnowledgeState,
    Memory,
    Mood,
    Persona,
    SocialEnergy,
    Stream,
    Topic,
    Trace,
)
from populace.components.metric import Metric
from populace.components.tie import TieStrength
from populace.ecs.errors import SnapshotError, SqlError
from populace.ecs.image import capture
from populace.generate import populate
from populace.storage.snapshot import Snapshots, save
from populace.storage.tables import Table
from populace.systems import Retention, add_laws, strengths_of
from populace.systems.archive import archive_memories, attach_archive


def society(n=12, seed=3):
    """A world with every law, in which people have met for some hours."""
    world = World(seed=seed)
    world.keep(Contact, Metric)
    add_laws(world)
    people = populate(world, n, seed=seed)
    world.add(people, Emotion, Mood, SocialEnergy)
    topic = world.spawn(1, Topic(number=0, name="the fire"))
    world.spawn(Knowledge(owner=people[:1], topic=topic), KnowledgeState)
    live(world, people)
    return world, people


def live(world, people, n_contacts=20):
    """Some contacts, and three hours."""
    random = np.random.default_rng(world.clock.tick)
    pairs = random.permuted(np.tile(np.arange(people.size), (n_contacts, 1)), axis=1)
    world.emit(
        Contact(
            source=people[pairs[:, 0]], target=people[pairs[:, 1]], time=world.clock.now,
            outcome=0.5,
        )
    )  # fmt: skip
    world.run(hours(3), step=hours(1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A society, its people, and a directory with three snapshots of it, the last as it is."""
    directory = tmp_path_factory.mktemp("run")
    world, people = society()
    for again in range(3):
        if again:
            live(world, people)
        save(world, directory)
    return world, people, directory


def test_every_view_shows_a_living_society(run):
    """All views are there and have the rows that the world has."""
    world, people, _ = run
    for view, n in [
        ("agents", people.size),
        ("memories", world.query(Memory).count()),
        ("ties", world.query(TieStrength).count()),
        ("knowledge", world.query(Knowledge).count()),
        ("contacts", len(world.journal(Contact))),
        ("metrics", len(world.journal(Metric))),
        ("clock", 1),
    ]:
        assert sql(world, f"SELECT count(*) AS n FROM {view}").one() == {"n": n}
        assert n
    assert len(sql(world, "SELECT * FROM reflections")) == 0
    names = sql(world, "SELECT name FROM agents ORDER BY agent").arrow()["name"].to_pylist()
    assert names == world.text.decode(world.get(people, Persona.name))


def test_a_snapshot_shows_the_same(run):
    """Over a snapshot every view gives what it gave over the world."""
    world, _, directory = run
    world.refresh()
    here = database(world)
    there = database(Snapshots(directory).open())
    for view, columns in here.views.items():
        if view == "clock":
            continue
        key = "row" if "row" in columns else "entity"
        query = f"SELECT * FROM {view} ORDER BY {key}"
        ours, theirs = here.ask(query).arrow(), there.ask(query).arrow()
        assert ours.schema.equals(theirs.schema)
        for name in ours.column_names:
            if name.endswith("_now") or name in ("strength", "x", "y"):
                continue
            assert ours[name].equals(theirs[name]), (view, name)
    here.close()
    there.close()


def test_a_snapshot_knows_what_things_are_worth_then(run):
    """Derived columns of a snapshot are those of its own moment, by the laws it has; those of laws
    that it has not are null."""
    world, _, directory = run
    found = sql(Snapshots(directory).open(), "SELECT entity, strength FROM memories").arrow()
    ids = found["entity"].to_numpy()
    assert found["strength"].to_numpy().tolist() == strengths_of(world, ids).tolist()
    bare = World()
    people = populate(bare, 2, seed=1)
    bare.spawn(1, Memory(owner=people[0], sequence=0, created=0),
               Trace(importance=1, stability=100, accessed=0))  # fmt: skip
    image = derive(capture(bare))
    assert sql(image, "SELECT strength FROM memories").one() == {"strength": None}
    bare.insert(Retention())
    assert sql(derive(capture(bare)), "SELECT strength FROM memories").one() == {"strength": 1.0}


def test_a_directory_shows_the_run(run):
    """Over a directory, or its `Snapshots`, views have a tick and a time."""
    world, people, directory = run
    query = "SELECT tick, time, count(*) AS n FROM agents GROUP BY ALL ORDER BY tick"
    expected = [
        {"tick": tick, "time": datetime(1970, 1, 1) + timedelta(hours=tick), "n": people.size}
        for tick in (3, 6, 9)
    ]
    for source in (directory, str(directory), Snapshots(directory)):
        assert sql(source, query).rows() == expected
        assert sql(source, "SELECT count(*) AS n FROM contacts").one()["n"] == 60
    assert sql(directory, "SELECT max(tick) AS x FROM memories", of=people[0]).one() == {"x": 9}
    assert world.clock.tick == 9


def test_pages_of_a_directory_show_its_newest_snapshot(run):
    """They are those of the world then."""
    world, _, directory = run
    ours = page(world, "memories", limit=7, columns=["entity", "text"])
    assert ours.rows
    for source in (directory, Snapshots(directory), Snapshots(directory).open()):
        assert page(source, "memories", limit=7, columns=["entity", "text"]) == ours


def test_a_world_keeps_its_database_and_lets_go_with_it(run):
    """One database for a world, however often it is asked, and none after it."""
    _, directory = run[1:]
    world = World()
    world.spawn(1, Persona(number=0, name="Ann"), Stream())
    sql(world, "SELECT 1")
    first = vars(world)["_database"]
    sql(world, "SELECT 2")
    page(world, "agents")
    assert vars(world)["_database"] is first
    gone = weakref.ref(world)
    del world, first
    gc.collect()
    assert gone() is None
    snapshots = Snapshots(directory)
    for source in (snapshots, snapshots.open()):
        sql(source, "SELECT 1")
        held = vars(source)["_database"]
        sql(source, "SELECT 1")
        assert vars(source)["_database"] is held


def test_views_and_tables_of_ones_own(run):
    """Arrow data for one query, tables of one's own components for a database."""
    world, people, _ = run

    @component
    class Debt:
        amount: i8 = 0

    world.spawn(3, Debt(amount=[1, 2, 3]))
    colours = pa.table({"agent": pa.array([0, 1], pa.uint32()), "colour": ["red", "blue"]})
    query = "SELECT colour FROM agents JOIN colours USING (agent) ORDER BY agent"
    found = sql(world, query, views={"colours": colours})
    assert [row["colour"] for row in found] == ["red", "blue"]
    with pytest.raises(SqlError, match="no view 'colours'"):
        sql(world, query)
    mine = database(world, tables=[Table("debts", required=(Debt,))], threads=1)
    assert mine.ask("SELECT sum(amount)::INT AS n FROM debts").one() == {"n": 6}
    assert sql(mine, "SELECT count(*) AS n FROM agents").one() == {"n": people.size}
    assert page(mine, "debts", columns=["amount"]).rows == [{"amount": n} for n in (1, 2, 3)]
    with pytest.raises(SqlError, match="where it is made"):
        sql(mine, query, views={"colours": colours})
    with pytest.raises(SqlError, match="database already"):
        database(mine)
    mine.close()
    world.query(Debt).despawn()


def test_the_archive_is_a_view(tmp_path):
    """Of a world, a snapshot and a run: the memories that have left, some columns, some agents."""
    world, people = society(n=5, seed=8)
    assert sql(world, "SELECT count(*) AS n FROM archive").one() == {"n": 0}
    with attach_archive(world, tmp_path, archiving=False):
        ids = world.query(Memory).ids()[::2]
        gone = sql(world, "SELECT entity, agent, sequence, text FROM memories").rows()
        gone = [row for row in gone if row["entity"] in set(ids.tolist())]
        assert archive_memories(world, ids) == ids.size == len(gone)
        save(world, tmp_path)
        key = ("agent", "sequence", "text")
        expected = sorted(tuple(row[name] for name in key) for row in gone)
        query = f"SELECT {', '.join(key)} FROM archive ORDER BY ALL"
        of_one = [row for row in expected if row[0] == 2]
        for source in (world, Snapshots(tmp_path).open(), tmp_path):
            assert [tuple(row.values()) for row in sql(source, query)] == expected
            assert sql(source, "SELECT count(*) AS n FROM archive").one() == {"n": len(gone)}
            for of in (2, people[2]):
                assert [tuple(row.values()) for row in sql(source, query, of=of)] == of_one
            told = [row["column_name"] for row in sql(source, "DESCRIBE archive")]
            assert set(key) < set(told)
            both = "SELECT text FROM archive WHERE agent = 2 UNION ALL SELECT text FROM memories"
            assert len(sql(source, both, of=2)) >= len(of_one)


def test_what_cannot_be_asked_says_so(tmp_path):
    """Anything but a world, an image, a snapshot or a directory of snapshots."""
    for source in (3, None, {}, [1]):
        with pytest.raises(SqlError, match="World"):
            sql(source, "SELECT 1")
    with pytest.raises(SnapshotError, match="no snapshot"):
        sql(tmp_path, "SELECT * FROM agents")
    with pytest.raises(SnapshotError, match="no snapshot"):
        page(tmp_path, "agents")
