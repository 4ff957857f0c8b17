"""SQL over living worlds and images: what it sees, what it costs, what it cannot do."""

import contextlib
import gc
import threading
import tracemalloc
from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import Clock, Res, World, Write, component, i8, system
from populace.ecs.errors import QueryError, SqlError
from populace.ecs.image import capture, restore
from populace.storage.imagesource import ImageSource
from populace.storage.source import Catalogue, WorldSource
from populace.storage.sql import Database
from populace.storage.tables import Table

from .village import CATALOGUE, Kind, Note, Person, Weight, asked, still, village


@pytest.fixture
def town():
    """A world, its people, and a database of it."""
    world, people = village()
    database = asked(world)
    yield world, people, database
    database.close()


# -- what a query sees ---------------------------------------------------------------------------


def test_views_show_the_world(town):
    """Numbers, names of codes, texts, references, tags and times are those of the world."""
    world, _, database = town
    seen = database.ask("SELECT * FROM notes ORDER BY entity").rows()
    assert len(seen) == world.query(Note).count() == 40
    for row in seen:
        note = world.entity(row["entity"])[Note]
        owner = world.entity(note.owner)[Person]
        assert row["person"] == owner.number
        assert row["person_entity"] == note.owner
        assert (row["name"], row["text"]) == (owner.name, note.text)
        assert row["kind"] == Kind(note.kind).name.lower()
        assert row["importance"] == note.importance
        assert row["starred"] == (row["strength"] is not None)
        assert (row["created"] - datetime(1970, 1, 1)).total_seconds() == note.created / 1e6


def test_a_log_shows_its_events_in_order(town):
    """A journal's rows are numbered, and stand in the order of emission."""
    world, _, database = town
    seen = database.ask("SELECT row, time, source_entity FROM talks").arrow()
    assert seen["row"].to_pylist() == list(range(14))
    kept = world.journals[next(iter(world.journals))].columns
    assert seen["source_entity"].to_pylist() == kept["source"].tolist()
    assert seen["time"].cast(pa.int64()).to_pylist() == kept["time"].tolist()


def test_the_clock_is_a_view(town):
    """`clock` has one row: the tick, and simulated time, whose 0 is 1970."""
    _, _, database = town
    assert database.ask("FROM clock").one() == {"tick": 2, "time": datetime(1970, 1, 1, 0, 33, 20)}


def test_changes_are_seen_at_once(town):
    """Values set or written in place, rows spawned and despawned, and new texts show in the next
    query, and so do rows that have moved to other tables."""
    world, people, database = town
    notes = world.query(Note).ids()

    def look(what):
        return database.ask(f"SELECT {what} AS x FROM notes").rows()[0]["x"]

    for note in world.query(Note):
        note.importance[:] = 0.125
    assert look("max(importance)") == 0.125
    world.set(notes[:3], Note(text="never said before", owner=people[0]))
    assert look("count(*) FILTER (text = 'never said before' AND name = 'P0')") == 3
    world.set(people[0], Person(name="Zoe"))
    assert look("count(*) FILTER (name = 'Zoe' AND text = 'never said before')") == 3
    world.despawn(notes[:3])
    assert look("count(*)") == 37
    world.add(notes[3], Weight)
    assert look("count(strength)") in (20, 21)
    world.set(people[0], Person(number=99))
    assert look("count(*) FILTER (person = 99)") == world.index(Note.owner).count(people[0])[0]
    world.query(Note).despawn()
    assert look("count(*)") == 0


def test_a_result_is_its_own(town):
    """What a query gave stays as it is when the world goes on."""
    world, _, database = town
    query = "SELECT entity, importance, text, kind, created, person, starred FROM notes"
    result = database.ask(query)
    rows = result.rows()
    for note in world.query(Note):
        note.importance[:], note.created[:], note.kind[:], note.text[:] = 1, 7, 2, 0
    assert result.rows() == rows
    world.query(Note).despawn()
    world.spawn(50, Person(number=np.arange(50)))
    assert result.rows() == rows
    assert database.ask(query).rows() == []


def test_nothing_of_a_world_is_kept(town):
    """After a query nobody holds a column: change tracking sees that nobody can write into it,
    and buffers are recycled."""
    world, _, database = town
    for query, options in [
        ("SELECT * FROM notes n JOIN people p USING (person)", {}),
        ("SELECT * FROM notes", {"of": 10}),
        ("SELECT no FROM notes", {}),
        ("DESCRIBE notes", {}),
    ]:
        with contextlib.suppress(SqlError):
            database.ask(query, **options)
        gc.collect()
        tables = [table for table in world.store.tables if table.n]
        exported = [
            table.exported(place) for table in tables for place in range(len(table.buffers))
        ]
        assert not any(exported), query


def test_a_living_column_is_not_copied():
    """Asking about two columns of a million rows allocates less than a hundredth of them, in
    Python, in Arrow and in DuckDB."""
    n = 1_000_000
    world = World()
    owner = world.spawn(1, Person(number=0))[0]
    world.spawn(n, Note(owner=owner, place=np.arange(n), importance=0.5, text=""))
    bytes_of = n * 8
    database = asked(world)
    query = "SELECT sum(importance) AS a, max(place) AS b, count(person_entity) AS c FROM notes"
    database.ask(query)
    meter = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
    connection = database._open().connection
    before = pa.total_allocated_bytes(), connection.execute(meter).fetchall()[0][0]
    tracemalloc.start()
    try:
        found = database.ask(query).one()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    after = pa.total_allocated_bytes(), connection.execute(meter).fetchall()[0][0]
    database.close()
    assert found == {"a": n / 2, "b": n - 1, "c": n}
    assert peak < bytes_of / 50
    assert after[0] - before[0] < bytes_of / 100
    assert after[1] - before[1] < bytes_of / 100


# -- of whom -------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(seed=st.integers(0, 50), chosen=st.sets(st.integers(0, 4), max_size=3), by_id=st.booleans())
def test_of_some_agents_is_where_their_number_is(seed, chosen, by_id):
    """`of` shows the same rows as a condition on their owners, in a world and in images of it."""
    world, people = village(seed=seed)
    numbers = [10 + place for place in chosen]
    of = people[sorted(chosen)] if by_id else numbers
    told = ", ".join(map(str, [*numbers, 999]))
    sources = [asked(source) for source in (world, still(world))]
    for view, column, key in [
        ("notes", "person", "entity"),
        ("links", "source", "entity"),
        ("facts", "person", "entity"),
        ("talks", "source", "row"),
    ]:
        for database in sources:
            query = f"SELECT {key} AS k, {column} AS o FROM {view}"
            where = f"{query} WHERE {column} IN ({told}) ORDER BY k"
            expected = database.ask(where).rows()
            assert database.ask(f"{query} ORDER BY k", of=of).rows() == expected
            assert database.ask(where).rows() == expected
    for database in sources:
        database.close()


def test_of_leaves_other_views_whole(town):
    """A view that belongs to nobody shows everybody, so that names can be joined."""
    _, _, database = town
    query = "SELECT count(DISTINCT p.person) AS n FROM people p LEFT JOIN notes n ON true"
    assert database.ask(query, of=10).one() == {"n": 5}


def test_of_says_what_is_wrong(town):
    """Agents that there are not, and queries that `of` says nothing about, are errors."""
    world, people, database = town
    for of, words in [(7, "none has 7"), ([10, 2**40], str(2**40)), (-1, "unsigned")]:
        with pytest.raises((SqlError, TypeError), match=words):
            database.ask("SELECT * FROM notes", of=of)
    with pytest.raises(SqlError, match="notes, links, facts, talks"):
        database.ask("SELECT * FROM people", of=10)
    world.despawn(people[0])
    with pytest.raises(SqlError, match="none has 10"):
        database.ask("SELECT * FROM notes", of=10)
    assert len(database.ask("SELECT * FROM notes", of=[])) == 0


# -- images --------------------------------------------------------------------------------------


def test_an_image_shows_what_the_world_was(town):
    """An image gives what the world gave when it was taken, and goes on to."""
    world, _, database = town
    queries = [
        "SELECT * EXCLUDE (strength) FROM notes ORDER BY entity",
        "SELECT * FROM links ORDER BY entity",
        "SELECT * FROM talks ORDER BY row",
        "SELECT name, count(*) FROM notes GROUP BY name ORDER BY name",
        "FROM clock",
    ]
    expected = [database.ask(query).rows() for query in queries]
    image = asked(still(world))
    world.step(10)
    world.query(Note).despawn()
    for _ in range(2):
        assert [image.ask(query).rows() for query in queries] == expected
    image.close()


def test_columns_of_an_image_are_read_once_and_only_if_named(town):
    """A column is taken from the image when a query first names it, and then kept."""
    world, _, _ = town
    image = still(world)
    read = []

    class Watched(dict):
        def __getitem__(self, made):
            read.append(str(made))
            return super().__getitem__(made)

        def get(self, made, default=None):
            read.append(str(made))
            return super().get(made, default)

    for held in image.tables:
        object.__setattr__(held, "columns", Watched(held.columns))
    database = asked(image)
    database.ask("SELECT count(*) FROM notes")
    assert read == []
    for _ in range(3):
        database.ask("SELECT sum(importance) FROM notes")
    assert read == ["Note.importance"] * 2
    database.ask("SELECT max(importance), max(place) FROM notes")
    assert read == ["Note.importance"] * 2 + ["Note.place"] * 2
    database.close()


def test_derived_columns_of_an_image_are_made_once(town):
    """A query that names one has it made; others do not; without a way to make them it is null."""
    world, _, _ = town
    made = []

    def derive(image):
        made.append(1)
        revived = restore(image)
        for view in revived.query(Weight):
            view.value[:] = 0.75
        return capture(revived, whole=False)

    image = still(world)
    bare, full = asked(image), Database(ImageSource(CATALOGUE, image, derive))
    query = "SELECT count(strength) AS n, max(strength) AS x FROM notes"
    assert bare.ask(query).one() == {"n": 0, "x": None}
    assert full.ask("SELECT count(importance) AS n FROM notes").one() == {"n": 40}
    assert not made
    for _ in range(2):
        assert full.ask(query).one() == {"n": 20, "x": 0.75}
        assert full.ask(query, of=[10, 11, 12, 13, 14]).one() == {"n": 20, "x": 0.75}
    assert made == [1]
    bare.close()
    full.close()


# -- how it is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "params", "found"),
    [
        ("SELECT ? AS x", ["it's; DROP VIEW notes"], "it's; DROP VIEW notes"),
        ("SELECT $1 AS x, $2", (np.uint64(2**63), 2), 2**63),
        ("SELECT $who AS x", {"who": np.float32(0.5)}, 0.5),
        ("SELECT list_sum($l) AS x", {"l": np.arange(4)}, 6),
        ("SELECT $t AS x", {"t": datetime(2023, 2, 13)}, datetime(2023, 2, 13)),
        ("SELECT $n IS NULL AS x", {"n": None}, True),
        ("SELECT count(*) AS x FROM notes WHERE name = $n", {"n": "P1' OR '1' = '1"}, 0),
        ("SELECT 1 AS x", None, 1),
    ],
)
def test_parameters_are_values(town, query, params, found):
    """What is given as a parameter is a value, whatever it says."""
    _, _, database = town
    assert next(iter(database.ask(query, params).rows()[0].values())) == found


@pytest.mark.parametrize("params", ["a", 3, [1, 2], {"b": 1}, {}, [object()]])
def test_parameters_that_do_not_fit_are_errors(town, params):
    """Too many, too few, of other names, or no parameters at all."""
    _, _, database = town
    with pytest.raises(SqlError):
        database.ask("SELECT $a", params)


def test_results_come_in_every_form(town):
    """Arrow, pandas, polars, rows, one row."""
    _, _, database = town
    result = database.ask("SELECT person, count(*) AS n FROM notes GROUP BY person ORDER BY 1")
    rows = result.rows()
    assert result.columns == ["person", "n"]
    assert result.arrow().to_pylist() == rows == list(result)
    assert result.pandas().to_dict("records") == rows
    assert isinstance(result.polars(), pl.DataFrame)
    assert result.polars().to_dicts() == rows
    assert repr(result) == f"<Result: {len(rows)} rows of person, n>"
    with pytest.raises(SqlError, match="one row"):
        result.one()
    with pytest.raises(SqlError, match="two columns are called 'x'"):
        database.ask("SELECT 1 AS x, 2 AS x").rows()


def test_sums_and_spans_have_usual_types(town):
    """A sum of integers is an integer where it fits, the difference of times a timedelta."""
    _, _, database = town
    result = database.ask(
        "SELECT sum(place) AS n, 10::HUGEINT ** 30 AS far, max(created) - min(created) AS span, "
        "INTERVAL '1 month 1 day 3 seconds' AS month, NULL::INTERVAL AS never, "
        "NULL::HUGEINT AS none, sum(place) FILTER (false) AS nothing FROM notes"
    )
    expected = {
        "n": 780, "far": 1e30, "span": timedelta(seconds=9000),
        "month": timedelta(days=31, seconds=3), "never": None, "none": None, "nothing": None,
    }  # fmt: skip
    assert result.one() == expected
    assert result.polars().to_dicts() == [expected]
    assert result.pandas()["n"].tolist() == [780]
    big = database.ask("SELECT 170141183460469231731687303715884105727::HUGEINT AS n").one()
    assert int(big["n"]) == 2**127 - 1
    spans = database.ask("SELECT created - make_timestamp(0) AS t FROM notes ORDER BY entity")
    times = database.ask("SELECT epoch_us(created) AS t FROM notes ORDER BY entity")
    assert [row["t"] / timedelta(microseconds=1) for row in spans] == [row["t"] for row in times]
    assert database.ask("SELECT created - created AS t FROM notes WHERE false").rows() == []


def test_a_query_that_takes_too_long_ends(town):
    """With `timeout_s` a query gives up, and the next one runs."""
    _, _, database = town
    with pytest.raises(SqlError, match=r"timeout_s=0\.05"):
        database.ask(
            "SELECT count(*) FROM range(1000000000) a, range(1000000000) b", timeout_s=0.05
        )
    assert database.ask("SELECT 1 AS x", timeout_s=60).one() == {"x": 1}


def test_a_query_that_takes_too_much_memory_ends(town, tmp_path, monkeypatch):
    """A query beyond the limit is an error, and writes nothing to the disk."""
    monkeypatch.chdir(tmp_path)
    world, _, _ = town
    database = asked(world, memory_limit="30MB", threads=1)
    with pytest.raises(SqlError, match="Out of Memory"):
        database.ask("SELECT count(DISTINCT (range, range)) FROM range(10_000_000)")
    assert not list(tmp_path.iterdir())
    assert database.ask("SELECT count(*) AS n FROM notes").one() == {"n": 40}
    database.close()


def test_views_of_others_can_be_joined(town, tmp_path):
    """Arrow tables, data frames, datasets and Parquet files stand beside the world's own views."""
    world, _, _ = town
    told = pa.table({"person": pa.array([10, 11], pa.uint32()), "colour": ["red", "blue"]})
    folder = tmp_path / "month=2023-02"
    folder.mkdir()
    pq.write_table(told, folder / "a.parquet")
    views = {
        "Told": told,
        "framed": pl.from_arrow(told),
        "filed": folder / "a.parquet",
        "foldered": str(tmp_path),
        "listed": [folder / "a.parquet"],
    }
    database = asked(world, views=views)
    for view in views:
        query = f"SELECT name, colour FROM {view} JOIN people USING (person) ORDER BY name"
        for _ in range(2):
            assert [row["colour"] for row in database.ask(query)] == ["red", "blue"]
    assert database.ask("SELECT DISTINCT month FROM foldered").one() == {"month": "2023-02"}
    database.close()
    reader = told.to_reader()
    for wrong in (reader, 3, tmp_path / "no"):
        with pytest.raises(SqlError, match="'x'"):
            asked(world, views={"x": wrong})
    clash = asked(world, views={"notes": told})
    with pytest.raises(SqlError, match="two views 'notes'"):
        clash.ask("SELECT * FROM notes")
    clash.close()


def test_a_view_is_read_as_far_as_it_is_named(town):
    """What reads itself is asked for the columns that a query names, of the agents it is about, and
    only if the query names it."""
    world, _, _ = town
    told = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [True, False, True]})
    asked_for = []

    class Shelf:
        schema = told.schema

        def read(self, columns, of):
            asked_for.append((tuple(columns), of))
            return told.select(columns)

    database = asked(world, views={"shelf": Shelf()})
    assert database.ask("SELECT sum(a)::INT AS s FROM shelf").one() == {"s": 6}
    assert database.ask("SELECT b FROM shelf WHERE c ORDER BY b", of=10).rows() == [
        {"b": "x"},
        {"b": "z"},
    ]
    assert database.ask("SELECT count(*) AS n FROM shelf").one() == {"n": 3}
    database.ask("SELECT count(*) FROM notes")
    assert len(database.ask("DESCRIBE shelf")) == 3
    assert asked_for == [(("a",), None), (("b", "c"), 10), (("a",), None)]
    assert database.views["shelf"] == ("a", "b", "c")
    with pytest.raises(SqlError, match="shelf has a, b, c"):
        database.ask("SELECT d FROM shelf")
    database.close()


def test_two_specs_of_one_name_are_refused():
    """A catalogue whose spec has two columns of one name says so when it is asked."""
    twice = Table("people", required=(Person,), rename={Person.number: "name"})
    database = Database(WorldSource(Catalogue(lambda image: {"people": twice}), World()))
    with pytest.raises(QueryError, match="two columns 'name'"):
        database.ask("SELECT * FROM people")
    database.close()


def test_a_closed_database_opens_again(town):
    """`close` gives everything back; the next query begins anew."""
    _, _, database = town
    database.ask("SELECT 1")
    database.close()
    database.close()
    assert database.ask("SELECT count(*) AS n FROM notes").one() == {"n": 40}


def test_duckdb_is_shut_in(town):
    """The connection itself may touch no file, load nothing, and be told nothing else."""
    _, _, database = town
    connection = database._open().connection
    local = pa.table({"x": [1]})
    for query in [
        "SET enable_external_access = true",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/populace-x.csv'",
        "ATTACH '/tmp/populace-x.db'",
        "LOAD fts",
        "SELECT * FROM local",
    ]:
        with pytest.raises(duckdb.Error):
            connection.execute(query).fetchall()
    assert local.num_rows


# -- threads -------------------------------------------------------------------------------------


@component
class Twin:
    """Two counts that are equal between steps, and only there."""

    one: i8 = 0
    two: i8 = 0


@system
def count_up(twins: Write[Twin], clock: Res[Clock]):
    twins.one[:] = clock.tick
    threading.Event().wait(0.001)
    twins.two[:] = clock.tick


@system
def multiply(world: World, clock: Res[Clock]):
    world.spawn(7, Twin(one=clock.tick, two=clock.tick))


def test_queries_beside_a_run_see_whole_steps():
    """While a world runs in one thread, queries from others see all rows of one tick, no matter
    that columns are written and tables grow meanwhile."""
    world = World()
    world.spawn(1_000, Twin())
    world.add_systems(count_up, multiply)
    twins = Table("twins", required=(Twin,))
    database = Database(WorldSource(Catalogue(lambda image: {"twins": twins}), world))
    query = (
        "SELECT count(*) AS n, count(*) FILTER (one <> two) AS odd, min(one) AS low, "
        "max(two) AS high, (SELECT tick FROM clock) AS tick FROM twins"
    )
    seen, wrong, done = [], [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                seen.append(database.ask(query).one())
            except BaseException as error:
                wrong.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(seen) < 60 and not wrong:
        world.step(1)
    done.set()
    for thread in threads:
        thread.join()
    database.close()
    assert not wrong
    assert len({row["tick"] for row in seen}) > 1
    for row in seen:
        assert row["n"] == 1_000 + 7 * row["tick"]
        assert (row["odd"], row["low"], row["high"]) == (0, row["tick"], row["tick"])


def test_threads_share_an_image(town):
    """Many threads ask one image at once, each on its own cursor, and all get the same."""
    world, _, _ = town
    database = asked(still(world))
    expected = [
        asked(world).ask("SELECT * EXCLUDE strength FROM notes ORDER BY entity").rows(),
        asked(world).ask("SELECT * EXCLUDE strength FROM notes ORDER BY entity", of=11).rows(),
    ]
    wrong = []

    def ask(of):
        for _ in range(20):
            query = "SELECT * EXCLUDE strength FROM notes ORDER BY entity"
            if database.ask(query, of=of).rows() != expected[of is not None]:
                wrong.append(of)

    threads = [threading.Thread(target=ask, args=(of,)) for of in (None, 11) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert not wrong


def test_a_system_may_ask():
    """A query inside a step, by the thread that makes it, sees the columns as they are then."""
    world, _ = village()
    database = asked(world)
    told = []

    @system
    def wonder(world: World):
        told.append(database.ask("SELECT count(*) AS n FROM notes").one()["n"])

    world.add_system(wonder)
    world.step(1)
    database.close()
    assert told == [40]
