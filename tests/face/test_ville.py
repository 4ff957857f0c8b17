"""Importing memory streams: what is read, what is refused, and that all or nothing comes in."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from populace.components import (
    NEVER,
    Biography,
    Memory,
    MemoryKind,
    Persona,
    Statement,
    Stream,
    Trace,
)
from populace.components.reflection import Reflection
from populace.ecs import Clock, World
from populace.ecs.errors import SourceFileError
from populace.minds import export_minds, import_minds
from populace.ville import load_ville, read_ville

from .conftest import node, nodes, save, scratch


def rewrite(path, **changes):
    """Change top-level fields of a JSON file; None as a key's value stays null, ... drops it."""
    data = json.loads(path.read_text())
    for key, value in changes.items():
        if value is ...:
            data.pop(key)
        else:
            data[key] = value
    path.write_text(json.dumps(data))


def test_nodes_become_memories_and_personas_agents(ville):
    """Text, kind, times, importance, sequence and what a node rests on arrive as saved."""
    world = World()
    load_ville(world, ville)
    people = world.query(Persona, Biography, Stream)
    assert world.text.decode(people.gather(Persona.name)) == ["Ada Bell", "Kofi Osei"]
    assert people.gather(Stream.formed).tolist() == [4, 4]
    assert people.gather(Biography.age).tolist() == [34, 34]
    ids = world.index(Memory.owner).ids(people.ids()[0])
    ids = ids[np.argsort(world.get(ids, Memory.sequence))]
    assert world.get(ids, Memory.sequence).tolist() == [0, 1, 2, 3]
    kinds = [MemoryKind(kind).name for kind in world.get(ids, Memory.kind)]
    assert kinds == ["EVENT", "EVENT", "THOUGHT", "CHAT"]
    assert world.text.decode(world.get(ids, Memory.text))[2] == "desk 3 is being used"
    assert world.get(ids, Trace.importance) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert world.get(ids, Trace.accessed).tolist() == world.get(ids, Memory.created).tolist()
    assert world.get(ids, Memory.created)[0] == 1_676_271_670_000_000  # 2023-02-13 07:01:10
    assert world.get(ids, Statement.expires)[[0, 2]].tolist() == [NEVER, 1_678_863_790_000_000]
    assert world.text.decode(world.get(ids, Statement.basis)) == [
        "", "node_1", "node_1, node_2", "Ada Bell: Tea?\nKofi Osei: With pleasure.",
    ]  # fmt: skip
    assert world.text.decode(world.get(ids, Statement.keywords))[0] == "desk, used"
    assert world.has(ids, Reflection).tolist() == [False, False, True, False]
    assert world.get(ids[2:3], Reflection.depth).tolist() == [1]
    world.check()


def test_the_clock_moves_to_the_last_memory(ville):
    """So a memory is never younger than now; a clock that is ahead stays."""
    world = World()
    load_ville(world, ville)
    assert world.resource(Clock).now == int(world.query(Memory).gather(Memory.created).max())
    ahead = World()
    ahead.resource(Clock).now = 2**60
    load_ville(ahead, ville)
    assert ahead.resource(Clock).now == 2**60


def test_newcomers_get_the_next_numbers(ville):
    """A second import joins the population: numbers stay distinct."""
    world = World()
    load_ville(world, ville)
    load_ville(world, ville)
    assert sorted(world.query(Persona).gather(Persona.number).tolist()) == [0, 1, 2, 3]


def test_both_layouts_give_the_same_minds(ville, tmp_path):
    """A saved simulation as its project keeps it reads as the flat mirror does."""
    for name in ("Ada Bell", "Kofi Osei"):
        save(tmp_path / "original", name, original_layout=True)
    (tmp_path / "original" / "reverie").mkdir()
    assert read_ville(tmp_path / "original") == read_ville(ville)


def test_somebody_without_memories_is_an_agent_too(tmp_path):
    """A simulation that has not begun has empty streams."""
    nodes_file, _ = save(tmp_path)
    nodes_file.write_text("{}")
    world = World()
    assert load_ville(world, tmp_path).nodes == [0]
    assert len(world) == 1


def test_depth_is_exported(ville, tmp_path):
    """The depth of thoughts goes into the tables and comes back; observations have none."""
    world, again = World(), World()
    load_ville(world, ville)
    export_minds(world, tmp_path / "tables")
    import_minds(again, tmp_path / "tables")
    for each in (world, again):
        ids = each.query(Memory, Reflection).ids()
        assert each.get(ids, Memory.kind).tolist() == [MemoryKind.THOUGHT] * 2
        assert each.get(ids, Reflection.depth).tolist() == [1, 1]
    depth = pq.read_table(tmp_path / "tables" / "memories.parquet")["depth"]
    assert depth.to_pylist() == [None, None, 1, None] * 2


# -- what is refused ------------------------------------------------------------------------

BAD_NODES = {
    "type": ["dream", 3, None, ...],
    "poignancy": [0, 11, -1, 5.0, "5", True, None, ...],
    "created": ["2023-02-30 00:00:00", "2023-02-13", "13.2.2023 7:00", "2023-W07-1 00:00:00", ...],
    "expiration": ["soon", 0, "2023-02-12 00:00:00", "٢023-02-13 00:00:00", ...],
    "depth": [-1, 256, 1.5, None, ...],
    "description": ["", "  ", None, 7, ["desk"], "lone \ud83d", ...],
    "subject": [None, 1, ...],
    "predicate": [None, ...],
    "object": [{}, ...],
    "keywords": ["desk", [1], {"desk": 1}, None, ...],
    "filling": [{}, 5, ["node_99"], [["Ada"]], [["Ada", 5]], ["node_1", ["Ada", "Tea?"]], ...],
    "node_count": [5, 0, "2", True, None, ...],
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD_NODES.items() for value in values]
)
def test_a_damaged_node_is_named_and_nothing_imported(ville, key, value):
    """Any field that is missing, of another type or out of range: file, node, field, allowed."""
    path = ville / "Kofi_Osei" / "nodes.json"
    data = json.loads(path.read_text())
    if value is ...:
        del data["node_2"][key]
    else:
        data["node_2"][key] = value
    path.write_text(json.dumps(data))
    world = World()
    empty = world.digest()
    with pytest.raises(SourceFileError) as caught:
        load_ville(world, ville)
    said = str(caught.value)
    assert said.startswith(f"{path}: node_2: '{key}' is ")
    assert "it must be" in said
    assert (len(world), world.digest()) == (0, empty)


BAD_PERSONAS = {
    "name": ["", None, 7, "Ada Bell", ...],
    "age": [-1, 131, "34", 34.0, None, ...],
    "innate": [None, ["kind"], ...],
    "learned": [1, ...],
    "currently": [None, ...],
    "lifestyle": [None, ...],
    "living_area": [None, ...],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD_PERSONAS.items() for value in values]
)
def test_a_damaged_persona_is_named_and_nothing_imported(ville, key, value):
    """The same for scratch.json; two personas of one name are an error too."""
    path = ville / "Kofi_Osei" / "scratch.json"
    rewrite(path, **{key: value})
    world = World()
    with pytest.raises(SourceFileError, match=key) as caught:
        load_ville(world, ville)
    assert str(caught.value).startswith(f"{path}: persona: ")
    assert len(world) == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object, got a list of 0"),
        (b"17", "must be a JSON object, got 17"),
        (b'{"node_1": 3}', "node_1: must be a JSON object, got 3"),
        (
            b'{"a": {"node_count": 1}}',
            "'node_count' is 1; it must be the number in the node's own id",
        ),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b'{"node_1": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"n": ' + b"9" * 5_000 + b"}", "not usable JSON"),
        (b'{"node_1": {}, "node_1": {}}', "the key 'node_1' is there twice"),
    ],
)
def test_a_file_of_something_else_is_refused(ville, content, why):
    """Whatever the file holds, the error names it and says what is wrong."""
    path = ville / "Ada_Bell" / "nodes.json"
    path.write_bytes(content)
    with pytest.raises(SourceFileError) as caught:
        read_ville(ville)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_the_same_node_under_two_names_is_refused(ville):
    """node_1 and node_01 have one number: the second is not named as it must be."""
    path = ville / "Ada_Bell" / "nodes.json"
    path.write_text(json.dumps({"node_1": node(1), "node_01": node(1)}))
    with pytest.raises(SourceFileError, match="node_01: 'node_count' is 1"):
        read_ville(ville)


@pytest.mark.parametrize("missing", ["nodes.json", "scratch.json"])
def test_a_missing_file_is_named(ville, missing):
    """A persona needs both of its files."""
    (ville / "Kofi_Osei" / missing).unlink()
    with pytest.raises(SourceFileError, match=rf"{missing}: cannot be read"):
        read_ville(ville)


def test_a_folder_without_personas_is_refused(tmp_path):
    """An empty folder, one that is not there, and a file: each says what is expected."""
    with pytest.raises(SourceFileError, match="holds no persona"):
        read_ville(tmp_path)
    with pytest.raises(SourceFileError, match="cannot be read"):
        read_ville(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceFileError, match="cannot be read"):
        read_ville(tmp_path / "file")


def test_a_byte_order_mark_is_no_damage(ville):
    """Editors on some systems write one."""
    path = ville / "Ada_Bell" / "scratch.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_ville(ville).name == ["Ada Bell", "Kofi Osei"]


# -- real streams ---------------------------------------------------------------------------


def test_the_real_streams_are_read_whole(real_data):
    """912 + 593 + 600 nodes; Klaus Mueller's events alone weigh 1,017 in poignancy."""
    world = World()
    found = load_ville(world, real_data / "ville")
    assert found.nodes_by_agent == {
        "Isabella Rodriguez": 912, "Klaus Mueller": 593, "Maria Lopez": 600,
    }  # fmt: skip
    assert found.nodes_by_kind == {"event": 1725, "thought": 364, "chat": 16}
    agents = world.query(Persona).ids()
    assert world.index(Memory.owner).count(agents).tolist() == [912, 593, 600]
    klaus = world.index(Memory.owner).ids(agents[1])
    events = klaus[world.get(klaus, Memory.kind) == MemoryKind.EVENT]
    assert round(float(world.get(events, Trace.importance).sum() * 10)) == 1017
    assert world.query(Reflection).count() == 364
    assert world.query(Reflection).gather(Reflection.depth).max() == 10


def test_fixtures_look_like_the_real_thing(real_data):
    """The nodes and personas made for these tests have no field that the real ones lack."""
    home = real_data / "ville" / "Klaus_Mueller"
    real = json.loads((home / "nodes.json").read_text())
    assert set(node(1)) == set(real["node_1"])
    assert set(nodes()) <= set(real)
    assert set(scratch()) <= set(json.loads((home / "scratch.json").read_text()))
