"""Importing a bank of personas: what is read, what is refused."""

import json

import pytest

from populace.components import Biography, Persona, Stream, Survey
from populace.ecs import World
from populace.ecs.errors import SourceFileError
from populace.personas import load_personas, read_personas

from .conftest import persona


def test_lines_become_agents(bank):
    """Name, age, address and every answer arrive; traits, which it has not, are at 0.5."""
    world = World()
    load_personas(world, bank)
    people = world.query(Persona, Biography, Survey, Stream)
    assert people.gather(Persona.number).tolist() == [0, 1, 2]
    assert world.text.decode(people.gather(Persona.name)) == ["Ethan Robinson"] * 3
    assert people.gather(Persona.openness).tolist() == [0.5] * 3
    assert people.gather(Biography.age).tolist() == [21, 22, 23]
    homes = world.text.decode(people.gather(Biography.home))
    assert homes[0] == "123 Elmwood Drive, Little Rock, AR"
    assert world.text.decode(people.gather(Survey.total_wealth))[2] == "total_wealth 3"
    assert world.text.decode(people.gather(Survey.agent_id)) == ["id-1", "id-2", "id-3"]


def test_blank_lines_and_a_missing_last_newline_are_no_damage(bank):
    """Neither holds a persona, nor hides one."""
    bank.write_text("\n" + bank.read_text().rstrip("\n") + "\n \n")
    assert len(read_personas(bank).name) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("age", -1), ("age", 131), ("age", "25"), ("age", 25.5), ("age", None), ("age", ...),
        ("first_name", ""), ("first_name", None), ("last_name", 3), ("agent_id", ""),
        ("agent_id", "id-1"), ("agent_id", ...), ("city", None), ("sex", 1), ("religion", ...),
        ("total_wealth", ["much"]), ("race", "\udc80"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_named_and_nothing_imported(bank, key, value):
    """File, line, field, what it is and what it must be."""
    lines = bank.read_text().splitlines()
    changed = persona(3, **{key: value})
    if value is ...:
        del changed[key]
    bank.write_text("\n".join([*lines[:2], json.dumps(changed)]))
    world = World()
    with pytest.raises(SourceFileError) as caught:
        load_personas(world, bank)
    assert str(caught.value).startswith(f"{bank}: line 3: '{key}' is ")
    assert len(world) == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "holds no persona"),
        (b"\n\n", "holds no persona"),
        (b"name,age\nAda,34\n", "line 1: not JSON"),
        (b"[1, 2]\n", "line 1: must be a JSON object, got a list of 2"),
        (b"{}\n", "line 1: 'agent_id' is missing"),
        (b"\x00\xff\n", "byte 1 is not UTF-8"),
        (b'{"age": Infinity}', "line 1: not usable JSON: Infinity is no JSON number"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, why):
    """Whatever the file holds, the error names it and says what is wrong."""
    path = tmp_path / "bank.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceFileError) as caught:
        read_personas(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert why in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    """As is a folder in its place."""
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        with pytest.raises(SourceFileError, match="cannot be read"):
            read_personas(path)


def test_the_real_bank_is_read_whole(real_data):
    """3,505 personas, all of them American residents of 18 to 89."""
    world = World()
    load_personas(world, real_data / "personas" / "gss_personas.jsonl")
    people = world.query(Persona, Biography)
    assert people.count() == 3505
    ages = people.gather(Biography.age)
    assert (ages.min(), ages.max()) == (18, 89)
    first = people.gather(Persona.name)[:1]
    assert world.text.decode(first) == ["Ethan Robinson"]
