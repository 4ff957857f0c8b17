"""Graphs: what networkx gets, and what is read back from GraphML."""

import builtins
import os
import sys
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from populace.ecs import Entity, Text, World, b1, component, f4, field, i8, u4
from populace.ecs.errors import SourceFileError, StorageError
from populace.storage import graph as module
from populace.storage.graph import Graph, to_networkx, write_graphml
from populace.storage.tables import Table

NEVER = 2**63 - 1


@component
class Person:
    number: u4
    name: Text = field(default="")
    shy: b1 = field(default=False)


@component
class Home:
    town: Text = field(default="")


@component(unique=("source", "target"))
class Tie:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component
class State:
    weight: f4 = field(default=0.5)
    last: i8 = field(default=NEVER, unit="us since 1970")
    count: u4 = field(default=0)


PEOPLE = Table("people", (Person,), (Home,), rename={Person.number: "person"})
TIES = Table(
    "ties",
    (Tie, State),
    references={Tie.source: Person.number, Tie.target: Person.number},
    labels={"source_name": (Tie.source, Person.name)},
)
FRIENDS = Graph(PEOPLE, TIES, node="person")


def friends(names=("Ann", "Bo", "Cy"), pairs=((0, 1), (1, 0), (2, 0)), weights=None):
    """People 10, 11, ..., the first with a home, and who is tied to whom."""
    world = World()
    people = world.spawn(
        Person(number=10 + np.arange(len(names)), name=list(names), shy=np.arange(len(names)) == 1)
    )
    world.add(people[:1], Home(town="Oak Hill"))
    pairs = np.array(pairs, int).reshape(-1, 2)
    if len(pairs):
        world.spawn(
            Tie(source=people[pairs[:, 0]], target=people[pairs[:, 1]]),
            State(
                weight=weights or [0.25] * len(pairs),
                last=[0] + [NEVER] * (len(pairs) - 1),
                count=np.arange(len(pairs)),
            ),
        )
    return world


def read(path):
    """A GraphML file as networkx reads it."""
    return nx.read_graphml(path, node_type=int)


def same(one, other):
    """Two graphs with the same nodes, edges and attributes, f4 as exactly as f4 is."""

    def exact(attributes):
        return {k: np.float32(v) if type(v) is float else v for k, v in attributes.items()}

    for kind in ("nodes", "edges"):
        first, second = getattr(one, kind), getattr(other, kind)
        assert set(first) == set(second)
        for each in first:
            assert exact(first[each]) == exact(second[each])
    return True


def test_ties_become_a_directed_graph():
    """Numbers name the nodes; columns are attributes, nulls none, times ISO 8601, no ids, and no
    names on edges that the nodes have."""
    made = to_networkx(friends(), FRIENDS)
    assert type(made) is nx.DiGraph
    assert dict(made.nodes(data=True)) == {
        10: {"name": "Ann", "shy": False, "town": "Oak Hill"},
        11: {"name": "Bo", "shy": True},
        12: {"name": "Cy", "shy": False},
    }
    assert {(a, b): d for a, b, d in made.edges(data=True)} == {
        (10, 11): {"weight": 0.25, "last": "1970-01-01T00:00:00.000000", "count": 0},
        (11, 10): {"weight": 0.25, "count": 1},
        (12, 10): {"weight": 0.25, "count": 2},
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=6), min_size=1, max_size=9
    ),
    data=st.data(),
    batch=st.sampled_from([1, 3, 99]),
)
def test_graphml_comes_back(tmp_path, monkeypatch, names, data, batch):
    """networkx reads from the file the graph that it would have been given: any names, any number
    of edges and batches; of a name, what XML cannot hold has become U+FFFD."""
    monkeypatch.setattr(module, "BATCH", batch)
    people = st.integers(0, len(names) - 1)
    pairs = data.draw(st.lists(st.tuples(people, people), unique=True, max_size=9))
    weights = data.draw(
        st.lists(st.floats(0, width=32, allow_infinity=False),
                 min_size=len(pairs), max_size=len(pairs))
    )  # fmt: skip
    world = friends(names, pairs, weights)
    path = tmp_path / "graph.graphml"
    assert write_graphml(world, FRIENDS, path, force=True) == (len(names), len(pairs))
    made = to_networkx(world, FRIENDS)
    for _, attributes in made.nodes(data=True):
        attributes["name"] = "".join(
            c if (ord(c) >= 32 and ord(c) not in (0xFFFE, 0xFFFF)) or c in "\t\n\r" else "\ufffd"
            for c in attributes["name"]
        )
    assert same(read(path), made)


def test_half_a_surrogate_pair_does_not_break_the_file(tmp_path):
    """It is shown escaped, in both."""
    world = friends(("\ud800",), ())
    write_graphml(world, FRIENDS, tmp_path / "g")
    assert read(tmp_path / "g").nodes[10]["name"] == "\\ud800"
    assert to_networkx(world, FRIENDS).nodes[10]["name"] == "\\ud800"


def test_graphml_says_the_types_of_attributes(tmp_path):
    """Each key once, for nodes or edges, in GraphML's own words."""
    write_graphml(friends(), FRIENDS, tmp_path / "g.graphml")
    space = "{http://graphml.graphdrawing.org/xmlns}"
    root = ElementTree.parse(tmp_path / "g.graphml").getroot()
    keys = {
        (key.get("for"), key.get("attr.name")): key.get("attr.type")
        for key in root.iter(f"{space}key")
    }
    assert keys == {
        ("node", "name"): "string", ("node", "shy"): "boolean", ("node", "town"): "string",
        ("edge", "weight"): "double", ("edge", "last"): "string", ("edge", "count"): "long",
    }  # fmt: skip
    assert root.find(f"{space}graph").get("edgedefault") == "directed"


@pytest.mark.parametrize("world", [World(), friends((), ()), friends(pairs=())], ids=str)
def test_without_ties_there_are_nodes_alone(tmp_path, world):
    """And without people an empty graph."""
    path = tmp_path / "g.graphml"
    n = world.query(Person).count()
    assert write_graphml(world, FRIENDS, path) == (n, 0)
    assert same(read(path), to_networkx(world, FRIENDS))
    assert to_networkx(world, FRIENDS).number_of_nodes() == n


def test_who_has_no_row_is_a_bare_node_or_none(tmp_path):
    """A table of nodes may hold fewer than are tied: the others are nodes without attributes. Who
    has no number cannot be named, and the tie is left out."""
    world = friends()
    homes = Graph(Table("p", (Person, Home), rename=PEOPLE.rename), TIES, node="person")
    made = to_networkx(world, homes)
    assert dict(made.nodes(data=True))[11] == {}
    assert made.number_of_edges() == 3
    assert write_graphml(world, homes, tmp_path / "g") == (3, 3)
    assert same(read(tmp_path / "g"), made)
    world.remove(world.query(Person).ids()[1:2], Person)
    assert set(to_networkx(world, FRIENDS).edges) == {(12, 10)}
    assert write_graphml(world, FRIENDS, tmp_path / "g", force=True) == (2, 1)


def test_a_file_is_replaced_by_force_only(tmp_path):
    """A directory not even then."""
    path = tmp_path / "g.graphml"
    write_graphml(friends(), FRIENDS, path)
    with pytest.raises(SourceFileError, match=r"g\.graphml: exists already.*--force"):
        write_graphml(friends(), FRIENDS, path)
    write_graphml(friends(pairs=()), FRIENDS, path, force=True)
    assert read(path).number_of_edges() == 0
    with pytest.raises(SourceFileError, match="exists already"):
        write_graphml(friends(), FRIENDS, tmp_path, force=True)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call, error):
    """And nothing beside it."""
    path = tmp_path / "g.graphml"
    write_graphml(friends(), FRIENDS, path)
    before = path.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        write_graphml(friends(pairs=()), FRIENDS, path, force=True)
    assert [each.name for each in tmp_path.iterdir()] == ["g.graphml"]
    assert path.read_bytes() == before


def test_without_networkx_the_way_out_is_told(monkeypatch, tmp_path):
    """Only the graph object needs it; GraphML is written without."""
    real = builtins.__import__

    def absent(name, *rest):
        if name == "networkx":
            raise ModuleNotFoundError("No module named 'networkx'", name="networkx")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.delitem(sys.modules, "networkx")
    with pytest.raises(ModuleNotFoundError, match=r"pip install populace\[graph\]"):
        to_networkx(friends(), FRIENDS)
    assert write_graphml(friends(), FRIENDS, tmp_path / "g") == (3, 3)
