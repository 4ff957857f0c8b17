"""Tidy tables for others: what pandas, polars, DuckDB and Arrow get of an export."""

import csv
import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from populace.ecs import Vector, World, component, days, f4, field
from populace.ecs.errors import QueryError, SourceFileError, StorageError
from populace.ecs.image import capture
from populace.storage import export
from populace.storage.dictionary import as_markdown, describe_tables
from populace.storage.export import README, SCHEMA, check_export, export_tables
from populace.storage.frames import frame
from populace.storage.selecting import NO_MONTH, by_month, count, in_batches, rows_since
from populace.storage.tables import Log, Table

from .test_frames import NOTES, PEOPLE, SAID, Extra, Note, Person, Said, written

FEBRUARY = 1_675_209_600_000_000  # 2023-02-01
SPECS = (
    PEOPLE,
    Table(
        "notes",
        (Note,),
        NOTES.optional,
        rename=NOTES.rename,
        references=NOTES.references,
        labels=NOTES.labels,
        codes=NOTES.codes,
        missing=NOTES.missing,
        docs=NOTES.docs,
        since=Note.created,
        month=Note.created,
        doc="One row per note.",
    ),
    Log("said", Said, references=SAID.references, since=Said.at, month=Said.at),
)
NUMBERS = ("person", "place", "weight", "score", "left", "worth")


def diary(n=40):
    """Notes of 80 days from February 2023 on, in three tables, and what three people said."""
    world = written(n)
    for note in world.query(Note):
        note.created[:] = FEBRUARY + days(2) * note.place.astype(np.int64)
    world.keep(Said)
    world.emit(
        Said(who=world.query(Person).ids(), at=FEBRUARY + days(1) * np.arange(3), words="hi")
    )
    world.step(0)
    return world


def days_of(rows):
    """Their `created`, as days from FEBRUARY on."""
    return [(row["created"] - datetime(2023, 2, 1)).days for row in rows]


def shown(spec, world):
    """The rows that an export must have: the frame without ids."""
    whole = frame(capture(world), spec)
    return whole.drop_columns([n for n in whole.column_names if "entity" in n]).to_pylist()


def by_place(rows):
    """Rows of notes in one order."""
    return sorted(rows, key=lambda row: row["place"])


@pytest.fixture
def target(tmp_path):
    """A directory that there is not yet."""
    return tmp_path / "out"


# -- who reads it -------------------------------------------------------------------------------


@pytest.mark.parametrize("monthly", [False, True])
def test_parquet_is_read_by_all(target, monthly, monkeypatch):
    """The rows of the frame, in one file, in parts and in folders by month, nulls included."""
    for part in (99, 7):
        monkeypatch.setattr(export, "PART", part)
        world = diary()
        rows = export_tables(world, target, SPECS, monthly=monthly, force=True)
        assert rows == {"people": 3, "notes": 40, "said": 3}
        told = json.loads((target / SCHEMA).read_text())["tables"]
        pattern = str(target / told["notes"]["files"])
        want = by_place(shown(SPECS[1], world))
        if monthly:
            for row in want:
                row["month"] = f"{row['created']:%Y-%m}"
        for row in want:
            row["starred"] = bool(row["starred"])
        table = pl.read_parquet(pattern, hive_partitioning=True)
        assert by_place(table.to_dicts()) == want
        read = duckdb.sql(f"FROM read_parquet('{pattern}') ORDER BY place").to_arrow_table()
        assert read.to_pylist() == want
        folder = target / "notes" if (target / "notes").is_dir() else target / "notes.parquet"
        arrow = ds.dataset(folder, format="parquet", partitioning="hive").to_table()
        assert by_place(arrow.to_pylist()) == want
        pandas = pd.read_parquet(folder).sort_values("place")
        assert pandas["text"].tolist() == [row["text"] for row in want]
        assert pandas["mood"].astype(str).tolist() == [row["mood"] for row in want]
        assert pandas["created"].tolist() == [row["created"] for row in want]
        assert pandas["until"].isna().tolist() == [row["until"] is None for row in want]
        assert pandas["text"].dtype == "str"
        assert pandas["mood"].dtype == "category"


def test_csv_is_read_by_all(target):
    """A null is an empty cell, text with commas, quotes and line breaks is text."""
    world = diary(4)
    awkward = 'say "aye",\nor = not\r'
    world.set(world.query(Note).ids()[:1], Note(text=awkward))
    export_tables(world, target, SPECS, format="csv")
    want = by_place(shown(SPECS[1], world))
    with (target / "notes.csv").open(newline="") as file:
        got = sorted(csv.DictReader(file), key=lambda row: int(row["place"]))
    assert [row["text"] for row in got] == [row["text"] for row in want]
    assert awkward in [row["text"] for row in got]
    assert [row["score"] for row in got] == ["", "0.125", "", "0.375"]
    table = pl.read_csv(target / "notes.csv", try_parse_dates=True).sort("place")
    assert table["created"].to_list() == [row["created"] for row in want]
    assert table["starred"].to_list() == [row["starred"] for row in want]
    assert pd.read_csv(target / "notes.csv")["mood"].tolist().count("merry") == 2
    assert (target / "said.csv").read_text().splitlines()[1] == '10,2023-02-01 00:00:00.000000,"hi"'


def test_arrow_is_mapped_by_all(target, monkeypatch):
    """IPC files of one dictionary a column, with the metadata of each."""
    monkeypatch.setattr(export, "PART", 15)
    world = diary()
    export_tables(world, target, SPECS, format="arrow")
    parts = [
        pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        for path in sorted((target / "notes").iterdir())
    ]
    assert [part.num_rows for part in parts] == [14, 14, 12]
    assert [row for part in parts for row in part.to_pylist()] == shown(SPECS[1], world)
    assert parts[0].schema.field("weight").metadata == {b"unit": b"kg"}
    assert pl.read_ipc(target / "people.arrow")["name"].to_list() == ["Ann", "Bo", "Cy"]
    assert pd.read_feather(target / "people.arrow")["name"].tolist() == ["Ann", "Bo", "Cy"]


@pytest.mark.parametrize("format", ["parquet", "csv", "arrow"])
def test_an_empty_world_gives_empty_tables(target, format):
    """With all columns that it could have values for, of their types."""
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "arrow": pl.read_ipc}[format]
    assert export_tables(World(), target, SPECS, format=format, monthly=True) == {
        "people": 0, "notes": 0, "said": 0,
    }  # fmt: skip
    for spec in SPECS:
        assert read(target / f"{spec.name}.{format}").height == 0
    assert read(target / f"notes.{format}").columns == [
        "person", "person_name", "place", "created", "weight", "mood", "text",
    ]  # fmt: skip
    if format == "parquet":
        told = pq.read_schema(target / "notes.parquet")
        assert told.field("created").type == pa.timestamp("us")
        assert told.field("mood").type == pa.dictionary(pa.int32(), pa.string())
        assert told.field("weight").metadata == {b"unit": b"kg"}


def test_texts_that_repeat_are_stored_once(target):
    """By dictionary, without any other text of the world, and are strings to readers."""
    world = written(0)
    world.text.intern(["secret of another table"])
    person = world.query(Person).ids()[:1]
    world.spawn(
        Note(owner=np.repeat(person, 900), place=np.arange(900), created=0, text=["tea"] * 900)
    )
    export_tables(world, target, SPECS)
    path = target / "notes.parquet"
    column = pq.ParquetFile(path).metadata.row_group(0).column(6)
    assert column.path_in_schema == "text"
    assert column.has_dictionary_page
    assert column.total_uncompressed_size < 200
    assert pq.read_schema(path).field("text").type == pa.string()
    for file in target.iterdir():
        assert b"secret" not in file.read_bytes()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.text(max_size=4), min_size=1, max_size=30),
    stars=st.integers(0, 3),
    batch=st.sampled_from([1, 4, 99]),
)
def test_whatever_text_there_is_comes_back(tmp_path, monkeypatch, texts, stars, batch):
    """Any text in any number of batches, in all three formats."""
    monkeypatch.setattr(export, "BATCH", batch)
    world = written(0)
    people = world.query(Person).ids()
    k = np.arange(len(texts))
    notes = world.spawn(Note(owner=people[k % 3], place=k, created=0, text=texts))
    world.add(notes[:stars], Extra)
    places = [places for table in capture(world).tables if Note in table.components
              for places in table.columns[Note.place].tolist()]  # fmt: skip
    want = [texts[place] for place in places]
    for format, read in (("parquet", pq.read_table), ("arrow", _read_arrow), ("csv", _read_csv)):
        export_tables(world, tmp_path / format, SPECS[1:2], format=format, force=True)
        table = read(tmp_path / format / f"notes.{format}")
        assert table["text"].to_pylist() == want
        assert table["place"].to_pylist() == places


def _read_arrow(path):
    return pa.ipc.open_file(str(path)).read_all()


def _read_csv(path):
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        path,
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False,
            column_types={"text": pa.string()},
        ),
    )  # fmt: skip


# -- which rows and columns ---------------------------------------------------------------------


def test_only_what_is_new_is_exported(target):
    """`since` counts by the spec's field, from that moment on; tables without one are whole."""
    world = diary()
    moments = [
        FEBRUARY + days(30),
        datetime(2023, 3, 3),
        datetime(2023, 3, 3, 2, tzinfo=timezone(timedelta(hours=2))),
        datetime(2023, 3, 3, tzinfo=UTC),
        np.int64(FEBRUARY + days(30)),
    ]
    for moment in moments:
        rows = export_tables(world, target, SPECS, since=moment, force=True)
        assert rows == {"people": 3, "notes": 25, "said": 0}
        assert min(days_of(pq.read_table(target / "notes.parquet").to_pylist())) == 30
        assert json.loads((target / SCHEMA).read_text())["since_us"] == FEBRUARY + days(30)


def test_names_can_be_left_out(target):
    """Then what stands for a reference is its number alone."""
    export_tables(diary(), target, SPECS, names=False)
    names = pq.read_schema(target / "notes.parquet").names
    assert "person" in names
    assert not {"person_name", "about_text", "about_name"} & set(names)


def test_columns_without_any_values_are_left_out(target):
    """No ids, and nothing of components that nobody has."""
    export_tables(diary(1), target, SPECS)
    assert pq.read_schema(target / "notes.parquet").names == [
        "person", "person_name", "place", "created", "weight", "mood", "text",
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    times=st.lists(
        st.one_of(
            st.integers(FEBRUARY, FEBRUARY + days(100)),
            st.sampled_from([2**63 - 1, -(2**62), -62_135_596_800_000_001, 253_402_300_800_000_000,
                             253_402_300_799_999_999, -62_135_596_800_000_000, -1, 0]),
        ), max_size=30,
    ),
    since=st.one_of(st.none(), st.integers(-1, FEBRUARY + days(100))),
    most=st.integers(1, 12),
)  # fmt: skip
def test_every_row_has_one_month(times, since, most):
    """Whatever the rows: each is in one month, that of its time, in the order of rows; what no
    calendar has comes last. Batches have the same rows in the same order."""
    world = written(0)
    k = np.arange(len(times))
    world.spawn(Note(owner=world.query(Person).ids()[k % 3], place=k, created=times))
    image = capture(world)
    selection = rows_since(image, SPECS[1], since)
    wanted = [place for place in k.tolist() if since is None or times[place] >= since]
    assert count(selection) == len(wanted)
    got = list(by_month(image, SPECS[1], selection))
    for month, part in got:
        (rows,) = part.values()
        assert rows.tolist() == sorted(rows.tolist())
        for row in rows.tolist():
            dated = -62_135_596_800_000_000 <= times[row] < 253_402_300_800_000_000
            moment = datetime(1970, 1, 1) + timedelta(microseconds=times[row]) if dated else None
            assert month == (f"{moment.year:04}-{moment.month:02}" if dated else NO_MONTH)
    months = [month for month, _ in got]
    assert months == sorted(months, key=lambda m: (m == NO_MONTH, m))
    assert sorted(row for _, part in got for row in next(iter(part.values()))) == wanted
    for some in (selection, *(part for _, part in got)):
        batches = list(in_batches(some, most))
        assert all(count(batch) == most for batch in batches[:-1])
        rows = [
            np.arange(len(times))[part].tolist() for batch in batches for part in batch.values()
        ]
        whole = [np.arange(len(times))[part].tolist() for part in some.values()]
        assert list(chain(*rows)) == list(chain(*whole))


def test_batches_go_over_several_tables():
    """A batch ends where it is full, not where a table does."""
    image = capture(written(20))
    selection = rows_since(image, SPECS[1], None)
    assert [count(batch) for batch in in_batches(selection, 7)] == [7, 7, 6]
    assert max(len(batch) for batch in in_batches(selection, 7)) > 1


def test_equal_worlds_give_equal_bytes(tmp_path):
    """And so does one world twice, on any number of threads."""
    trees = []
    for threads in (1, 2, 2):
        target = tmp_path / f"{len(trees)}"
        export_tables(diary(), target, SPECS, monthly=True, threads=threads)
        trees.append({p.relative_to(target): p.read_bytes() for p in target.rglob("*.*")})
    assert trees[0] == trees[1] == trees[2]
    assert len(trees[0]) == 7  # two pages, people, three months of notes, one of what was said


# -- the data dictionary ------------------------------------------------------------------------


def test_every_column_is_described(target):
    """schema.json names just the columns of a file, with type, unit, meaning, range or values, and
    README.md shows them."""
    export_tables(diary(), target, SPECS, monthly=True)
    told = json.loads((target / SCHEMA).read_text())
    assert told["format"] == "populace export"
    assert told["now_us"] == 0
    notes = told["tables"]["notes"]
    assert (notes["rows"], notes["files"], notes["doc"]) == (
        40,
        "notes/*/*.parquet",
        "One row per note.",
    )
    columns = {column["name"]: column for column in notes["columns"]}
    read = ds.dataset(target / "notes", partitioning="hive").schema
    assert list(columns) == read.names
    assert columns["weight"] == {
        "name": "weight", "dtype": "float32", "unit": "kg", "meaning": "", "nullable": False,
        "range": [0.0, 9.0],
    }  # fmt: skip
    assert columns["mood"]["values"] == ["calm", "merry"]
    assert columns["state"]["values"] == ["idle", "busy"]
    assert columns["created"]["dtype"] == "timestamp[us]"
    assert columns["until"]["nullable"]
    assert columns["month"]["dtype"] == "string"
    for name, kind in zip(read.names, read.types, strict=True):
        texts = pa.types.is_string(kind) or pa.types.is_dictionary(kind)
        assert columns[name]["dtype"] == (
            "string" if texts else str(kind).replace("float", "float32")
        )
    page = (target / README).read_text()
    assert "# A society at 1970-01-01 00:00:00" in page
    assert "40 rows in `notes/*/*.parquet`" in page
    assert "| `weight` | float32 | kg |  | 0 to 9 |" in page
    assert "| `until` | timestamp[us] |  |  | may be null |" in page


def test_a_page_is_a_table_whatever_the_words():
    """Bars and line breaks in a meaning do not break the row."""

    @component
    class Odd:
        x: f4 = field(0.0, doc="this | that,\nor both")

    page = as_markdown(describe_tables([Table("odd", (Odd,))]))
    assert "| `x` | float32 |  | this \\| that, or both |  |" in page


# -- misuse and faults --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"format": "xlsx"}, "format is one of parquet, csv, arrow; got 'xlsx'"),
        ({"since": "yesterday"}, "since is a datetime or whole µs since 1970.*'yesterday'"),
        ({"since": True}, "got True"),
        ({"since": 1.5}, "got 1.5"),
        ({"threads": 0}, "threads is a whole number >= 1, got 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(target, options, why):
    """Before anything is written."""
    with pytest.raises(QueryError, match=why):
        export_tables(diary(2), target, SPECS, **options)
    assert not target.exists()


def test_two_tables_of_one_name_are_refused(target):
    """One would overwrite the other."""
    with pytest.raises(QueryError, match="two tables of the same name: notes, notes"):
        export_tables(diary(2), target, (SPECS[1], NOTES))


def test_csv_holds_no_vectors(target):
    """The error names the column; Parquet holds them."""

    @component
    class Vec:
        v: Vector[2]

    world = World()
    world.spawn(Vec(v=[[1, 2]]))
    with pytest.raises(QueryError, match="column 'v' of 'vec' has 2 values a row"):
        export_tables(world, target, [Table("vec", (Vec,))], format="csv")
    export_tables(world, target, [Table("vec", (Vec,))])
    assert pl.read_parquet(target / "vec.parquet")["v"].to_list() == [[1, 2]]


def test_only_an_export_is_replaced_and_only_by_force(target):
    """Not a file, not the directory of others, not an export without `force`; an empty one is."""
    target.mkdir()
    export_tables(diary(2), target, SPECS)
    with pytest.raises(SourceFileError, match=r"out: holds an export already.*--force"):
        export_tables(diary(1), target, SPECS)
    export_tables(diary(1), target, SPECS[:1], force=True)
    assert sorted(path.name for path in target.iterdir()) == [README, "people.parquet", SCHEMA]
    (target / SCHEMA).write_text('{"format": "mine"}')
    for force in (False, True):
        with pytest.raises(SourceFileError, match="not empty and holds no export"):
            export_tables(diary(1), target, SPECS, force=force)
    with pytest.raises(SourceFileError, match="is a file"):
        check_export(target / SCHEMA, force=True)


def test_an_export_is_for_everybody_who_may_read_its_folder(target):
    """Not only for its owner, as temporary folders are."""
    umask = os.umask(0o022)
    try:
        export_tables(diary(1), target, SPECS)
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_export_leaves_what_was_there(target, monkeypatch, call, error):
    """Wherever it fails: the old export, whole, and nothing beside it."""
    export_tables(diary(3), target, SPECS)
    before = {p.name: p.read_bytes() for p in target.iterdir()}
    real = getattr(os, call)
    calls = Counter()
    for after in range(99):
        calls.clear()

        def fail(*arguments, after=after):
            calls[call] += 1
            if calls[call] > after and calls["failed"] == 0:
                calls["failed"] += 1
                raise error
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                export_tables(diary(30), target, SPECS, force=True, threads=1)
            except (KeyboardInterrupt, StorageError):
                pass
            else:
                break
        assert sorted(p.name for p in target.parent.iterdir()) == ["out"]
        now = {p.name: p.read_bytes() for p in target.iterdir()}
        if now != before:  # the last sync, of the folder that the export stands in
            assert json.loads(now[SCHEMA])["tables"]["notes"]["rows"] == 30
            shutil.rmtree(target)
            export_tables(diary(3), target, SPECS)
    assert after >= 1
