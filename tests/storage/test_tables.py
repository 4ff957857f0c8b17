"""Tidy tables: what readers get, byte for byte, and what becomes of the directory."""

import enum
import hashlib
import json
import os
import shutil

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from populace.ecs import Entity, Text, World, component, f4, field, i8, u4
from populace.ecs.errors import QueryError, SourceFileError, StorageError
from populace.storage import MANIFEST, Table, check_target, load_tables, write_tables
from populace.storage.writer import to_arrow


class Mood(enum.IntEnum):
    CALM = 0
    MERRY = 3


@component
class Person:
    number: u4 = field(doc="who")
    name: Text = field(default="")


@component
class Note:
    owner: Entity = field(index=True, on_despawn="despawn", doc="whose")
    place: u4
    created: i8 = field(unit="us since 1970", doc="when")
    weight: f4 = field(default=1.5, unit="kg")
    mood: Mood = field(default=Mood.CALM)
    text: Text = field(default="")


@component
class Extra:
    score: f4 = field(default=0.0, unit="1")
    until: i8 = field(default=2**63 - 1, unit="us since 1970")
    said: Text = field(default="")
    mood: Mood = field(default=Mood.MERRY)


@component
class Starred:
    """Somebody liked it."""


PEOPLE = Table("people", required=(Person,), order=(Person.number,))
NOTES = Table(
    "notes",
    required=(Note,),
    optional=(Extra, Starred),
    order=(Note.owner, Note.place),
    rename={Note.owner: "person", Extra.mood: "extra_mood"},
    references={Note.owner: Person.number},
)


def office(order=slice(None), batches=1):
    """Three people, each with four notes, two notes with extras and one starred; spawned in any
    order and any number of batches."""
    world = World()
    for number in np.arange(3)[order]:
        world.spawn(1, Person(number=[number + 10], name=[f"P{number}"]))
    people = world.query(Person)
    ids = dict(zip(people.gather(Person.number).tolist(), people.ids().tolist(), strict=True))
    rows = np.arange(12)[order]
    for part in np.array_split(rows, batches):
        world.spawn(
            len(part),
            Note(
                owner=np.array([ids[10 + row // 4] for row in part], np.uint64),
                place=part % 4,
                created=part * 1_000_000,
                mood=[3 * (row % 2) for row in part],
                text=[f"note {row % 5}" for row in part],
            ),
        )
    notes = world.query(Note)
    number = {key: id for id, key in ids.items()}
    key = {
        (number[owner], place): id
        for id, owner, place in zip(
            notes.ids().tolist(),
            notes.gather(Note.owner).tolist(),
            notes.gather(Note.place).tolist(),
            strict=True,
        )
    }
    world.add([key[10, 1]], Extra(score=0.25, said="aye"))
    world.add([key[12, 3]], Extra(score=0.75, until=5), Starred)
    return world


def test_a_table_has_a_row_per_entity_and_a_column_per_field():
    """Names for codes, numbers for references, times as timestamps, nulls for what is not there."""
    table = to_arrow(office(), NOTES)
    assert table.num_rows == 12
    assert table.column_names == [
        "person", "place", "created", "weight", "mood", "text",
        "score", "until", "said", "extra_mood", "starred",
    ]  # fmt: skip
    assert table.schema.field("created").type == pa.timestamp("us")
    first, last = table.slice(1, 1).to_pylist()[0], table.slice(11, 1).to_pylist()[0]
    assert (first["person"], first["place"], first["mood"], first["text"]) == (
        10,
        1,
        "merry",
        "note 1",
    )
    assert first["created"].isoformat() == "1970-01-01T00:00:01"
    assert (first["score"], first["until"], first["said"], first["starred"]) == (
        0.25,
        None,
        "aye",
        False,
    )
    assert (last["score"], last["until"].microsecond) == (0.75, 5)
    assert (last["extra_mood"], last["starred"]) == ("merry", True)
    for name in ("score", "until", "said", "extra_mood"):
        assert table[name].null_count >= 10


def test_columns_carry_their_unit_and_meaning():
    """Unit and doc are in the metadata of the field; a timestamp's type says its unit."""
    told = {f.name: f.metadata for f in to_arrow(office(), NOTES).schema}
    assert told["weight"] == {b"unit": b"kg"}
    assert told["created"] == {b"doc": b"when"}
    assert told["starred"] == {b"doc": b"Somebody liked it."}


def test_columns_of_components_that_nobody_has_are_left_out():
    """Without extras and stars the table ends with what is required; without rows it has types."""
    world = World()
    assert to_arrow(world, NOTES).schema.field("mood").type == pa.dictionary(
        pa.int32(), pa.string()
    )
    assert to_arrow(world, NOTES).num_rows == 0
    assert "score" not in to_arrow(world, NOTES).column_names


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_equal_worlds_give_equal_bytes(tmp_path, batches):
    """The order and the batches of spawning do not show, nor do ids, rows and text codes."""
    write_tables(office(), tmp_path / "one", (PEOPLE, NOTES))
    write_tables(office(slice(None, None, -1), batches), tmp_path / "other", (PEOPLE, NOTES))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["notes.parquet", "people.parquet", MANIFEST]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_duckdb_and_pandas_read_the_tables(tmp_path):
    """Both see text as text, categories as categories, and can join notes to people."""
    assert write_tables(office(), tmp_path, (PEOPLE, NOTES)) == {"people": 3, "notes": 12}
    with duckdb.connect() as database:
        rows = database.execute(
            f"""SELECT name, count(*), max(created)::VARCHAR, sum(starred::INT)
                FROM '{tmp_path}/notes.parquet' JOIN '{tmp_path}/people.parquet'
                ON person = number GROUP BY name ORDER BY name"""
        ).fetchall()
    assert rows[2] == ("P2", 4, "1970-01-01 00:00:11", 1)
    frame = pd.read_parquet(tmp_path / "notes.parquet")
    assert frame.dtypes["text"] == "category"
    assert str(frame.dtypes["created"]) == "datetime64[us]"
    assert frame.groupby("mood", observed=True).size().to_dict() == {"calm": 6, "merry": 6}


def test_the_manifest_has_rows_and_hashes(tmp_path):
    """populace.json tells what was written, how much, and what its caller said of it."""
    write_tables(office(), tmp_path, (PEOPLE,), about={"seed": 7})
    told = json.loads((tmp_path / MANIFEST).read_text())
    data = (tmp_path / "people.parquet").read_bytes()
    assert told["seed"] == 7
    assert told["files"]["people.parquet"] == {
        "rows": 3,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


# -- the directory --------------------------------------------------------------------------


def test_somebody_elses_directory_is_refused(tmp_path):
    """A directory with other things in it is left alone, unless forced; then only ours change."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SourceFileError, match="not empty"):
        write_tables(office(), tmp_path, (PEOPLE,))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    write_tables(office(), tmp_path, (PEOPLE,), force=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": "another"}'])
def test_a_foreign_manifest_does_not_make_a_directory_ours(tmp_path, text):
    """Somebody else's populace.json is somebody else's."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SourceFileError, match="not empty"):
        check_target(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    """The error names the file."""
    (tmp_path / "out").write_text("")
    with pytest.raises(SourceFileError, match="out: is a file"):
        check_target(tmp_path / "out", force=True)


def test_our_own_tables_are_replaced(tmp_path):
    """A directory that we wrote may be written again."""
    write_tables(office(), tmp_path / "out", (PEOPLE, NOTES))
    write_tables(World(), tmp_path / "out", (PEOPLE, NOTES))
    assert pq.read_table(tmp_path / "out" / "notes.parquet").num_rows == 0


def test_tables_of_an_earlier_export_that_are_not_written_again_go(tmp_path):
    """A reader who takes every file takes none of another world; what is not ours stays."""
    write_tables(office(), tmp_path, (PEOPLE, NOTES))
    (tmp_path / "mine.parquet").write_text("mine")
    write_tables(office(), tmp_path, (PEOPLE,))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "mine.parquet", "people.parquet", MANIFEST,
    ]  # fmt: skip


class Crash(BaseException):
    """The power is gone."""


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_crash_at_any_step_leaves_the_old_tables_or_the_new(tmp_path, monkeypatch, call):
    """Of one moment, all of them: never some of each. Writing again then leaves no trace of it."""
    kinds = {3: "old", 0: "new"}
    real, seen = getattr(os, call), []
    for after in range(99):
        out = tmp_path / f"{call}-{after}"
        write_tables(office(), out, (PEOPLE, NOTES))
        left = [after]

        def crash(*arguments, left=left):
            if not left[0]:
                raise Crash
            left[0] -= 1
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, crash)
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # nobody tidies up
            try:
                write_tables(World(), out, (PEOPLE, NOTES))
            except Crash:
                done = False
            else:
                done = True
        rows = load_tables(World(), out, (PEOPLE, NOTES))
        seen.append(kinds[rows["people"]])
        assert rows["notes"] == 4 * rows["people"]
        write_tables(office(), out, (PEOPLE, NOTES))
        assert load_tables(World(), out, (PEOPLE, NOTES))["people"] == 3
        if seen[-1] == "new":
            assert sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) == [
                "notes.parquet", "people.parquet", MANIFEST,
            ]  # fmt: skip
        if done:
            break
    assert done
    assert seen == sorted(seen, reverse=True)
    assert {"old", "new"} == set(seen)


def test_a_full_disk_is_said_with_the_path(tmp_path, monkeypatch):
    """A StorageError, which is an OSError, names what could not be written and why."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StorageError, match=r"cannot write: No space left on device.*people"
    ) as told:
        write_tables(office(), tmp_path / "out", (PEOPLE, NOTES))
    assert told.value.errno == 28
    assert not (tmp_path / "out").exists()


def test_a_row_that_names_nobody_in_the_tables_is_refused(tmp_path):
    """A note's key is its person's number: of a person without one, it has no key."""
    world = office()
    world.remove(world.query(Person).ids()[:1], Person)
    with pytest.raises(
        QueryError, match=r"4 rows of 'notes' name as 'person' an entity that has no"
    ):
        write_tables(world, tmp_path / "out", (PEOPLE, NOTES))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch, error):
    """After Ctrl-C or a full disk at the second table the old files are whole, and nothing else."""
    out = tmp_path / "out"
    write_tables(office(), out, (PEOPLE, NOTES))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    real = pq.write_table

    def fail_at_notes(table, path, **options):
        if path.name == "notes.parquet":
            path.write_bytes(b"half")
            raise error
        real(table, path, **options)

    monkeypatch.setattr(pq, "write_table", fail_at_notes)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_tables(World(), out, (PEOPLE, NOTES))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_tables(World(), tmp_path / "new", (PEOPLE, NOTES))
    assert not (tmp_path / "new").exists()
