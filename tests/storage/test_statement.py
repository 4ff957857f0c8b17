"""What a statement may do, and what it reads."""

import duckdb
import pytest

from populace.ecs.errors import SqlError
from populace.storage.source import WorldSource
from populace.storage.statement import parse

from .village import CATALOGUE, asked, village

QUERIES = [
    "SELECT count(*) FROM notes",
    "SELECT * FROM notes ORDER BY entity",
    "FROM notes ORDER BY entity",
    "SELECT n.* FROM notes n, people p WHERE n.person = p.person AND p.name = 'P1' ORDER BY ALL",
    "SELECT n.* EXCLUDE (text), p.name AS who FROM notes n JOIN people p USING (person) ORDER BY 1",
    "SELECT text FROM notes NATURAL JOIN (SELECT person, name FROM people) ORDER BY text",
    "SELECT count(*) FROM notes NATURAL JOIN people",
    "SELECT count(*) FROM people JOIN notes USING (person, name)",
    "SELECT COLUMNS('p.*') FROM notes ORDER BY ALL",
    "SELECT #2 FROM notes ORDER BY 1",
    "SELECT notes FROM notes ORDER BY notes.entity LIMIT 3",
    "SELECT n FROM notes n ORDER BY n.entity LIMIT 3",
    "SELECT a, b FROM notes n(a, b) ORDER BY a",
    "SELECT NOTES.TEXT, Kind FROM Notes ORDER BY ALL",
    "WITH notes AS (SELECT text, kind FROM notes) SELECT * FROM notes ORDER BY ALL",
    "WITH own AS MATERIALIZED (FROM notes SELECT kind, count(*) AS n GROUP BY kind) FROM own "
    "ORDER BY ALL",
    "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 5) "
    "SELECT n, name FROM up JOIN people ON person = 9 + n ORDER BY n",
    "SELECT name, (SELECT max(importance) FROM notes WHERE notes.person = p.person) FROM people p "
    "ORDER BY name",
    "SELECT name FROM people p WHERE EXISTS (FROM notes n WHERE n.person = p.person AND starred) "
    "ORDER BY name",
    "SELECT name FROM people WHERE person IN (SELECT source FROM links UNION SELECT target FROM "
    "links) ORDER BY name",
    "SELECT person, text FROM notes QUALIFY row_number() OVER (PARTITION BY person ORDER BY "
    "importance DESC, entity) <= 2 ORDER BY ALL",
    "PIVOT notes ON kind IN ('event', 'chat') USING count(*) GROUP BY person ORDER BY person",
    "PIVOT (SELECT kind, person FROM notes) ON kind IN ('event') USING count(*) ORDER BY person",
    "UNPIVOT (SELECT entity, person, place FROM notes) ON person, place ORDER BY ALL",
    "SELECT kind, avg(importance) FROM notes GROUP BY ALL ORDER BY ALL",
    "SELECT kind, starred, count(*) FROM notes GROUP BY GROUPING SETS ((kind), (starred), ()) "
    "ORDER BY ALL",
    "SELECT p.name, f.strength FROM people p LEFT JOIN facts f ON f.person = p.person ORDER BY ALL",
    "SELECT p.name, x.text FROM people p, LATERAL (SELECT text FROM notes WHERE person = p.person "
    "ORDER BY entity LIMIT 1) x ORDER BY name",
    "SELECT list_transform(list(importance ORDER BY entity), lambda x: x * 2) FROM notes",
    "SELECT x.range AS n, count(*) FROM range(3) x, notes GROUP BY n ORDER BY n",
    "SELECT time, source FROM talks ASOF JOIN notes ON talks.time >= notes.created AND "
    "talks.source = notes.person ORDER BY ALL",
    "SELECT text FROM notes UNION BY NAME SELECT name FROM people ORDER BY ALL",
    "SELECT unnest([person, place]) AS v FROM notes ORDER BY v",
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT sum(n.importance) FROM main.notes AS n",
    "TABLE people ORDER BY person",
    "SUMMARIZE people",
    "SELECT row, time FROM talks WHERE row >= 3 ORDER BY row",
    "SELECT (SELECT tick FROM clock) - row AS age FROM talks ORDER BY row",
]


@pytest.fixture(scope="module")
def town():
    world, _ = village()
    database = asked(world)
    yield world, database
    database.close()


@pytest.mark.parametrize("query", QUERIES)
def test_columns_left_out_change_nothing(town, query):
    """A query over views that hold what it reads alone gives what it gives over whole views."""
    world, database = town
    source = WorldSource(CATALOGUE, world)
    plain = duckdb.connect()
    with source.hold():
        for view, columns in source.views.items():
            plain.register(view, source.arrow(view, columns))
        whole = plain.sql(query).to_arrow_table()
    plain.close()
    assert database.ask(query).arrow().equals(whole)
    assert whole.num_rows


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("SELECT text FROM notes", {"notes": {"text"}}),
        ("SELECT count(*) FROM notes", {"notes": set()}),
        ("SELECT text FROM notes ORDER BY ALL", {"notes": {"text"}}),
        ("SELECT n.text FROM notes n", {"notes": {"n", "text"}}),
        ("SELECT n.* FROM notes n, people", {"notes": None, "people": set()}),
        ("SELECT * FROM (SELECT text FROM notes)", {"notes": {"text"}}),
        ("SELECT * FROM range(3)", {}),
        ("EXPLAIN SELECT text FROM notes", {"notes": {"text"}}),
    ],
)
def test_a_statement_reads_what_it_names(query, reads):
    """What a query does not name is not read."""
    with duckdb.connect() as connection:
        found = parse(connection, query).reads
    assert {name: None if c is None else set(c) for name, c in found.items()} == reads


REFUSED = [
    "COPY notes TO 'x.csv'",
    "COPY (SELECT 1) TO 'x.csv'",
    "ATTACH 'x.db'",
    "DETACH memory",
    "INSTALL fts",
    "LOAD fts",
    "PRAGMA database_list",
    "CREATE TABLE x (a INT)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE MACRO f(x) AS x + 1",
    "CREATE SECRET s (TYPE s3)",
    "DROP VIEW notes",
    "INSERT INTO notes VALUES (1)",
    "UPDATE notes SET place = 1",
    "DELETE FROM notes",
    "TRUNCATE notes",
    "MERGE INTO notes USING people ON (person) WHEN MATCHED THEN DELETE",
    "ALTER TABLE notes ADD COLUMN x INT",
    "SET threads = 1",
    "RESET threads",
    "SET VARIABLE x = 1",
    "USE memory",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "CALL pragma_version()",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "WITH x AS (INSERT INTO notes VALUES (1) RETURNING 1) SELECT * FROM x",
    "WITH x AS (DELETE FROM notes RETURNING 1) SELECT * FROM x",
    "SELECT * FROM (WITH x AS (UPDATE notes SET place = 1 RETURNING 1) FROM x)",
    "EXPLAIN CREATE TABLE x (a INT)",
    "EXPLAIN ANALYZE INSERT INTO notes VALUES (1)",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW notes",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('x.parquet')",
    "SELECT * FROM read_json('x.json')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM 'x.parquet'",
    "FROM '/etc/passwd'",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('notes')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT (SELECT count(*) FROM glob('*'))",
    "SELECT write_log('x')",
    "SELECT text.write_log() FROM notes",
    "SELECT system.main.write_log('x')",
    "SELECT sleep_ms(10)",
    "SELECT setseed(0.5)",
    "PIVOT notes ON kind USING count(*)",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT * FROM notes AT (VERSION => 1)",
    "SELECT error('no')",
]


@pytest.mark.parametrize("query", REFUSED)
def test_what_does_more_than_read_is_refused(town, query, tmp_path, monkeypatch):
    """Nothing but one SELECT over the views runs; a refusal leaves no file and no view behind."""
    monkeypatch.chdir(tmp_path)
    world, database = town
    before = world.digest()
    with pytest.raises(SqlError):
        database.ask(query)
    assert world.digest() == before
    assert not list(tmp_path.iterdir())
    assert database.ask("SHOW TABLES").arrow().num_rows == len(database.views)


def test_a_refusal_says_what_is_allowed(town):
    """The message names what was refused and the way out."""
    _, database = town
    for query, words in [
        ("DROP VIEW notes", ["DROP", "SELECT"]),
        ("SELECT 1; SELECT 2", ["one statement", "parameter"]),
        ("SELECT * FROM read_csv('x')", ["read_csv", "range"]),
        ("SELECT * FROM note", ["'note'", "did you mean 'notes'"]),
        ("SELECT colour FROM notes", ["colour", "notes has entity, person"]),
        ("SELECT n.colour FROM notes n", ["colour", "notes has entity, person"]),
        ("PIVOT notes ON kind USING count(*)", ["IN ('"]),
    ]:
        with pytest.raises(SqlError) as refusal:
            database.ask(query)
        assert all(word in str(refusal.value) for word in words), str(refusal.value)
