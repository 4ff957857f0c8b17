"""Tables read back: the same entities, or an error that names the file."""

import json

import pytest

from populace.ecs import World
from populace.ecs.errors import QueryError, SourceFileError
from populace.storage import MANIFEST, load_tables, read_manifest, write_tables

from .test_tables import NOTES, PEOPLE, Extra, Note, Person, Starred, office


def test_what_was_written_is_read(tmp_path):
    """Written, read and written again, the tables have the same bytes: nothing is lost or added."""
    write_tables(office(), tmp_path / "one", (PEOPLE, NOTES))
    world = World()
    assert load_tables(world, tmp_path / "one", (PEOPLE, NOTES)) == {"people": 3, "notes": 12}
    world.check()
    write_tables(world, tmp_path / "two", (PEOPLE, NOTES))
    for name in ("people.parquet", "notes.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_components_come_back_to_whom_they_belonged(tmp_path):
    """Two of twelve notes have extras, one of them a star; owners are the people of the table."""
    write_tables(office(), tmp_path, (PEOPLE, NOTES))
    world = World()
    load_tables(world, tmp_path, (PEOPLE, NOTES))
    assert world.query(Note).count() == 12
    assert world.query(Note, Extra, without=Starred).gather(Note.place).tolist() == [1]
    starred = world.query(Note, Extra, with_=Starred)
    assert starred.gather(Extra.score).tolist() == [0.75]
    owner = world.get(starred.gather(Note.owner), Person.number)
    assert (owner.tolist(), starred.gather(Note.place).tolist()) == ([12], [3])


def test_an_empty_world_is_read(tmp_path):
    """Tables without rows are no error."""
    write_tables(World(), tmp_path, (PEOPLE, NOTES))
    world = World()
    assert load_tables(world, tmp_path, (PEOPLE, NOTES)) == {"people": 0, "notes": 0}
    assert len(world) == 0


def test_tables_are_read_into_a_new_world_only(tmp_path):
    """Two populations would share their numbers."""
    write_tables(office(), tmp_path, (PEOPLE,))
    world = office()
    with pytest.raises(QueryError, match="a world without such rows, and this one has 3"):
        load_tables(world, tmp_path, (PEOPLE,))
    assert world.query(Person).count() == 3


@pytest.mark.parametrize("name", ["people.parquet", "notes.parquet"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "other"])
def test_a_file_that_is_not_what_was_written_is_named(tmp_path, name, damage):
    """Cut short, altered in a bit, deleted, or replaced: an error, and an empty world."""
    write_tables(office(), tmp_path, (PEOPLE, NOTES))
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= damage == "flip"
        path.write_bytes({"cut": data[:-9], "flip": data, "other": b"PAR1"}[damage])
    world = World()
    with pytest.raises(SourceFileError, match=name):
        load_tables(world, tmp_path, (PEOPLE, NOTES))
    assert len(world) == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"format": "populace tables", "version": 1}', "[" * 100_000,
     '{"format": "populace tables", "version": 1, "now_us": 0, "files": {"a": 1}}'],
)  # fmt: skip
def test_a_damaged_manifest_is_named(tmp_path, text):
    """Whatever populace.json holds, it is read or refused by name."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(SourceFileError, match=f"{MANIFEST}: is damaged"):
        read_manifest(tmp_path)


def test_a_newer_or_foreign_format_is_told_apart(tmp_path):
    """The error says what was found and what can be read."""
    write_tables(office(), tmp_path, (PEOPLE,))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    for change in ({"version": 2}, {"version": 0}, {"format": "snapshot"}):
        (tmp_path / MANIFEST).write_text(json.dumps({**manifest, **change}))
        with pytest.raises(SourceFileError, match="reads 'populace tables' up to version 1"):
            read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "files": {}}))
    with pytest.raises(SourceFileError, match=r"people\.parquet: is not among"):
        load_tables(World(), tmp_path, (PEOPLE,))
    with pytest.raises(SourceFileError, match="cannot be read"):
        read_manifest(tmp_path / "nowhere")
