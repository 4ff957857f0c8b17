"""Damaged sources: whatever happens to a file, it is read whole or refused by name, never half."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from populace.components import Memory, Persona
from populace.ecs import World
from populace.ecs.errors import SourceFileError
from populace.personas import load_personas
from populace.ville import load_ville

from .conftest import nodes, persona, save

# The files are written anew for each example, so a folder shared by the examples is no harm.
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

NODES = json.dumps(nodes(), indent=1).encode()
BANK = b"".join(json.dumps(persona(number)).encode() + b"\n" for number in range(1, 4))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["node_1", "2023-02-13 00:00:00", "chat", 10**30]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


def read_or_refuse(load, source, *where):
    """Load into a world; on refusal the error begins with `where` and the world is as it was."""
    world = World()
    empty = world.digest()
    refused = None
    try:
        load(world, source)
    except SourceFileError as error:
        refused = str(error)
    if refused is None:
        world.check()
        return world
    assert refused.startswith(where)
    assert (len(world), world.digest()) == (0, empty)
    return None


def ville_with(tmp_path, content):
    """A folder with one persona whose nodes.json holds `content`; the file."""
    path = tmp_path / "ville" / "Ada_Bell" / "nodes.json"
    if not path.exists():
        save(tmp_path / "ville")
    path.write_bytes(content)
    return path


@on_files
@given(st.integers(0, len(NODES) - 1))
def test_truncated_nodes_are_refused(tmp_path, length):
    """A nodes.json cut anywhere is no JSON any more."""
    path = ville_with(tmp_path, NODES[:length])
    assert read_or_refuse(load_ville, path.parents[1], f"{path}: ") is None


@on_files
@given(st.integers(0, len(BANK)))
def test_a_truncated_bank_is_refused_unless_cut_between_lines(tmp_path, length):
    """Whole lines are read, half a line is an error; a cut between lines cannot be seen."""
    path = tmp_path / "bank.jsonl"
    path.write_bytes(BANK[:length])
    world = read_or_refuse(load_personas, path, f"{path}: ")
    whole_lines = [n for n in range(4) if length in (_end(n), _end(n) - 1)]
    if world is None:
        assert not whole_lines or whole_lines == [0]
    else:
        assert whole_lines == [world.query(Persona).count()]


def _end(n_lines):
    return sum(len(line) for line in BANK.splitlines(keepends=True)[:n_lines])


@on_files
@given(
    st.lists(st.tuples(st.integers(0, len(NODES) - 1), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_flipped_bytes_are_read_whole_or_refused(tmp_path, flips):
    """Other bytes give other text, or an error; never another exception, never a part."""
    content = bytearray(NODES)
    for place, byte in flips:
        content[place] = byte
    path = ville_with(tmp_path, bytes(content))
    world = read_or_refuse(load_ville, path.parents[1], f"{path}: ")
    assert world is None or world.query(Memory).count() == 4


@on_files
@given(st.sampled_from(sorted(nodes()["node_1"])), values)
def test_any_value_in_any_field_is_read_or_refused_by_node(tmp_path, key, value):
    """Whatever JSON stands in a field, the record is named, or its four nodes are there."""
    made = nodes()
    made["node_3"][key] = value
    path = ville_with(tmp_path, json.dumps(made).encode())
    where = (f"{path}: node_3: {key!r} is ", f"{path}: not usable JSON: ")
    world = read_or_refuse(load_ville, path.parents[1], *where)
    assert world is None or world.query(Memory).count() == 4


@on_files
@given(st.sampled_from(sorted(persona())), values)
def test_any_value_in_any_answer_is_read_or_refused_by_line(tmp_path, key, value):
    """The same for a line of the bank."""
    path = tmp_path / "bank.jsonl"
    lines = [persona(1), {**persona(2), key: value}, persona(3)]
    path.write_text("\n".join(map(json.dumps, lines)))
    where = (f"{path}: line 2: ", f"{path}: line 3: 'agent_id' ")
    world = read_or_refuse(load_personas, path, *where)
    assert world is None or len(world) == 3
