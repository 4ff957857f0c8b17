"""Tables read back: the same entities, or an error that names the file."""

import dataclasses
import json

import pytest

from populace.ecs import World, component, f4, field, i8, u1, u4
from populace.ecs.errors import QueryError, SourceFileError
from populace.storage import MANIFEST, Table, load_tables, read_manifest, write_tables

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


PENDING = '{"format": "populace tables", "version": 1, "now_us": 0, "files": {}, "pending": '


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"format": "populace tables", "version": 1}', "[" * 100_000,
     '{"format": "populace tables", "version": 1, "now_us": 0, "files": {"a": 1}}',
     *(PENDING + name + "}" for name in ('"../x"', "7", '".writing-/.."'))],
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


@component
class Task:
    """With what a file says by name, or leaves open."""

    number: u4
    state: u1 = field(default=0)
    parent: u4 = field(default=2**32 - 1)
    due: i8 = field(default=2**63 - 1, unit="us since 1970")
    begun: i8 = field(default=-(2**62), unit="us since 1970")
    cache: f4 = field(derived=True)


@component
class Late:
    """An optional one that is nothing but a time."""

    since: i8 = field(unit="us since 1970")


@dataclasses.dataclass
class States:
    """The names of states."""

    names: tuple[str, ...] = ("open", "done")


TASKS = Table(
    "tasks",
    (Task,),
    (Late,),
    order=(Task.number,),
    missing={Task.parent: 2**32 - 1},
    codes={
        Task.state: lambda image: next(
            (r.names for r in image.resources if isinstance(r, States)), ()
        )
    },
)


def tasks():
    """Three tasks: the states by name, one parent, one due, one late."""
    world = World()
    world.insert(States())
    world.spawn(Task(number=[0, 1], state=[1, 0], parent=[2**32 - 1, 0], due=[7, 2**63 - 1]))
    world.spawn(Task(number=[2], state=5), Late(since=9))
    return world


def test_names_of_codes_and_what_stands_for_none_come_back(tmp_path):
    """A state is written by name and read by it; null is what the field has for none."""
    world = tasks()
    for number in (10, 11):
        world.spawn(Person(number=[number]))
    write_tables(world, tmp_path, (PEOPLE, TASKS))
    world = World()
    world.insert(States(("none", "done", "open")))
    with pytest.raises(
        SourceFileError, match=r"'state' is '5' in some rows, and this world has no"
    ):
        load_tables(world, tmp_path, (PEOPLE, TASKS))
    assert len(world) == 0
    world.insert(States(("x", "done", "open", "y", "z", "5")), replace=True)
    load_tables(world, tmp_path, (TASKS,))
    rows = world.query(Task)
    assert dict(zip(rows.gather(Task.number), rows.gather(Task.state), strict=True)) == {
        0: 1,
        1: 2,
        2: 5,
    }
    assert rows.gather(Task.parent).tolist() == [2**32 - 1, 0, 2**32 - 1]
    assert rows.gather(Task.due).tolist() == [7, 2**63 - 1, 2**63 - 1]
    assert set(rows.gather(Task.begun).tolist()) == {-(2**62)}
    assert world.query(Late).gather(Late.since).tolist() == [9]


def test_a_file_without_a_column_that_every_row_needs_is_named(tmp_path):
    """As when it was written for another table; nothing is spawned."""
    write_tables(tasks(), tmp_path, (Table("tasks", (Late,)),))
    world = World()
    with pytest.raises(SourceFileError, match=r"tasks\.parquet: has no column 'number'"):
        load_tables(world, tmp_path, (TASKS,))
    assert len(world) == 0
