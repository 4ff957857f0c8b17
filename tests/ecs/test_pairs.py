"""Edges: unique (source, target) pairs, found and made in bulk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import NOBODY, Entity, Text, World, component, f4, field, i4
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateComponentError,
    DuplicatePairError,
    MissingFieldError,
    QueryError,
    ReferencedEntityError,
    RequiredComponentError,
    UnknownComponentError,
)

from .parts import Asleep, Position, Tie, Weight, refused


@component
class State:
    weight: f4 = field(0.0, range=(0, 100))
    note: Text = ""


@component(unique=("a", "b"))
class Bond:
    """An edge that protects both its ends."""

    a: Entity = field(index=True, on_despawn="forbid")
    b: Entity = field(index=True, on_despawn="forbid")
    level: i4 = 0


def town(n=6):
    world = World()
    return world, world.spawn(n)


# -- find ----------------------------------------------------------------------------------------


def test_find_in_bulk():
    """`find` gives the edge of every pair, NOBODY where there is none; direction matters."""
    world, people = town()
    ties = world.spawn(Tie(source=people[[0, 1, 2]], target=people[[1, 0, 2]]))
    pairs = world.pairs(Tie)
    found = pairs.find(people[[1, 0, 2, 0, 5]], people[[0, 1, 2, 2, 5]])
    assert found.tolist() == [ties[1], ties[0], ties[2], NOBODY, NOBODY]
    assert found.dtype == np.uint64
    assert len(pairs) == 3
    assert pairs.find([], []).shape == (0,)


def test_one_id_broadcasts_against_many():
    """One source against many targets, or the other way round."""
    world, people = town()
    ties = world.spawn(Tie(source=people[0], target=people[1:4]))
    pairs = world.pairs(Tie)
    assert pairs.find(people[0], people).tolist() == [0, *ties, 0, 0]
    assert pairs.find(people, people[2]).tolist() == [ties[1], 0, 0, 0, 0, 0]


def test_wrong_questions():
    """Unequal lengths, dead ids and NOBODY are refused; a component without a pair has none."""
    world, people = town()
    world.spawn(Tie(source=people[0], target=people[1]))
    pairs = world.pairs(Tie)
    with refused(world, ColumnShapeError, "2", "3"):
        pairs.find(people[:2], people[:3])
    with refused(world, DeadEntityError, "NOBODY"):
        pairs.find(people[0], 0)
    world.despawn(people[5])
    with refused(world, DeadEntityError, int(people[5]), "Tie.target"):
        pairs.find(people[:3], people[[1, 5, 2]])
    with refused(world, QueryError, "Position", "unique="):
        world.pairs(Position)
    with refused(world, UnknownComponentError, "int"):
        world.pairs(int)


# -- uniqueness ----------------------------------------------------------------------------------


def test_a_pair_exists_once():
    """Spawning or adding a pair that exists, or twice in a batch, is refused; both ends and the
    edge are named."""
    world, people = town()
    tie = world.spawn(Tie(source=people[0], target=people[1]))
    with refused(world, DuplicatePairError, int(people[0]), int(people[1]), int(tie[0]), "upsert"):
        world.spawn(Tie(source=people[[2, 0]], target=people[[3, 1]]))
    with refused(world, DuplicatePairError, "twice", "place 2"):
        world.spawn(Tie(source=people[[2, 3, 2]], target=people[[3, 3, 3]]))
    with refused(world, DuplicatePairError, "twice"):
        world.spawn(2, Tie(source=people[2], target=people[3]))
    lone = world.spawn(1)
    with refused(world, DuplicatePairError, int(tie[0])):
        world.add(lone, Tie(source=people[0], target=people[1]))
    world.spawn(Tie(source=people[1], target=people[0]))
    world.check()


def test_both_ends_live():
    """An edge names two living entities: NOBODY and the dead are refused."""
    world, people = town()
    world.despawn(people[5])
    with refused(world, DeadEntityError, "Tie.target", "NOBODY"):
        world.spawn(Tie(source=people[:2], target=[int(people[2]), 0]))
    with refused(world, DeadEntityError, "Tie.source", int(people[5])):
        world.spawn(Tie(source=people[5], target=people[0]))
    with refused(world, MissingFieldError, "target"):
        world.spawn(Tie(source=people[0]))


def test_the_ends_are_fixed_for_life():
    """Neither `set` nor a view changes whom an edge joins; other fields of it can change."""
    world, people = town()
    tie = world.spawn(Tie(source=people[0], target=people[1]))
    bond = world.spawn(Bond(a=people[0], b=people[1]))
    with refused(world, QueryError, "Tie.source", "fixed"):
        world.set(tie, Tie(source=people[2]))
    with refused(world, QueryError, "Bond.b"):
        world.query(Bond).set(Bond(b=people[2], level=3))
    world.set(bond, Bond(level=3))
    assert world.get(bond, Bond.level).tolist() == [3]


def test_a_pair_is_free_again():
    """After the edge is despawned, loses the component, or an end dies, the pair can be made
    anew."""
    world, people = town()
    pairs = world.pairs(Tie)
    tie = world.spawn(Tie(source=people[0], target=people[1]))
    world.despawn(tie)
    assert pairs.find(people[0], people[1]) == NOBODY
    tie = world.spawn(Tie(source=people[0], target=people[1]))
    world.remove(tie, Tie)
    assert len(pairs) == 0
    world.add(tie, Tie(source=people[0], target=people[1]))
    assert pairs.find(people[0], people[1]).tolist() == tie.tolist()
    world.despawn(people[1])
    assert not world.alive(tie).any()
    assert len(pairs) == 0
    new = world.spawn(2)
    assert pairs.find(people[0], new).tolist() == [NOBODY, NOBODY]
    world.check()


def test_forbidding_ends():
    """With on_despawn="forbid" an end cannot go before its edges."""
    world, people = town()
    bond = world.spawn(Bond(a=people[0], b=people[1]))
    for end in people[:2]:
        with refused(world, ReferencedEntityError, int(end), int(bond[0])):
            world.despawn(end)
    assert world.despawn([*people[:2], *bond]) == 3
    assert len(world.pairs(Bond)) == 0
    world.check()


def test_edges_in_both_indices():
    """An edge is in the index of its source and of its target."""
    world, people = town()
    ties = world.spawn(Tie(source=people[[0, 0, 1]], target=people[[1, 2, 2]]))
    assert world.index(Tie.source).count(people[:3]).tolist() == [2, 1, 0]
    assert world.index(Tie.target).ids(people[2]).tolist() == ties[1:].tolist()
    assert world.despawn(people[2]) == 3
    assert world.index(Tie.source).count(people[:2]).tolist() == [1, 0]
    world.check()


# -- upsert and ensure ---------------------------------------------------------------------------


def test_upsert_sets_on_old_and_new():
    """New pairs are spawned with the values, known ones get them; ids come in the given order."""
    world, people = town()
    old = world.spawn(Tie(source=people[0], target=people[1]), State(weight=1, note="old"))
    ids, created = world.upsert(
        Tie(source=people[[2, 0, 3]], target=people[[0, 1, 0]]), State(weight=[5, 6, 7])
    )
    assert created.tolist() == [True, False, True]
    assert ids[1] == old[0]
    assert world.get(ids, State.weight).tolist() == [5, 6, 7]
    assert world.text.decode(world.get(ids, State.note)) == ["", "old", ""]
    assert world.pairs(Tie).find(people[[2, 3]], people[0]).tolist() == ids[[0, 2]].tolist()
    world.check()


def test_upsert_of_a_repeated_pair():
    """The last row of a repeated pair counts; `created` is true at its first appearance only."""
    world, people = town()
    source, target = people[[0, 1, 0, 0, 1]], people[[1, 2, 1, 1, 2]]
    ids, created = world.upsert(Tie(source=source, target=target), State(weight=[1, 2, 3, 4, 5]))
    assert created.tolist() == [True, True, False, False, False]
    assert ids[0] == ids[2] == ids[3]
    assert ids[1] == ids[4]
    assert world.get(ids, State.weight).tolist() == [4, 5, 4, 4, 5]
    again, created = world.upsert(Tie(source=source, target=target), State(weight=[9, 8, 7, 6, 5]))
    assert again.tolist() == ids.tolist()
    assert not created.any()
    assert world.get(ids, State.weight).tolist() == [6, 5, 6, 6, 5]
    assert len(world.pairs(Tie)) == 2


def test_ensure_leaves_old_edges_alone():
    """Only new pairs get the values, from the first row of a repeated one."""
    world, people = town()
    old = world.spawn(Tie(source=people[0], target=people[1]), State(weight=1))
    ids, created = world.ensure(
        Tie(source=people[[0, 2, 2]], target=people[[1, 3, 3]]), State(weight=[50, 60, 70])
    )
    assert created.tolist() == [False, True, False]
    assert ids[0] == old[0]
    assert world.get(ids, State.weight).tolist() == [1, 60, 60]


def test_new_edges_are_numbered_by_first_appearance():
    """The ids of new edges ascend in the order in which their pairs first appear."""
    world, people = town()
    for call in (world.upsert, world.ensure):
        ids, created = call(
            Tie(
                source=people[[4, 1, 4, 0]] if call == world.upsert else people[[5, 2, 5, 3]],
                target=people[0],
            )
        )
        assert created.tolist() == [True, True, False, True]
        assert (np.diff(ids[created].astype(np.int64)) > 0).all()


def test_one_end_broadcasts():
    """A scalar source with an array of targets; scalars alone make one edge."""
    world, people = town()
    ids, created = world.upsert(Tie(source=people[0], target=people[1:]), State(weight=2))
    assert ids.size == 5
    assert created.all()
    one, created = world.ensure(Tie(source=people[0], target=people[0]))
    assert (one.size, created.tolist()) == (1, [True])
    assert world.has(ids, State).all()
    assert not world.has(one, State).any()


def test_no_pairs():
    """An empty batch makes and finds nothing."""
    world, people = town()
    digest = world.digest()
    for call in (world.upsert, world.ensure):
        ids, created = call(Tie(source=[], target=[]), State(weight=[]))
        assert (ids.shape, created.shape) == ((0,), (0,))
    assert world.digest() == digest
    assert len(world) == people.size


def test_tags_and_several_components():
    """New edges get every component given, tags included."""
    world, people = town()
    ids, _ = world.upsert(
        Tie(source=people[:2], target=people[2]), State(note=["a", "b"]), Weight(w=3), Asleep
    )
    assert world.has(ids, Asleep).all()
    assert world.text.decode(world.get(ids, State.note)) == ["a", "b"]
    assert world.get(ids, Weight.w).tolist() == [3, 3]


def test_fields_of_the_edge_component_itself():
    """Fields beside the pair are set like those of other components."""
    world, people = town()
    ids, _ = world.upsert(Bond(a=people[:2], b=people[2], level=[1, 2]))
    assert world.get(ids, Bond.level).tolist() == [1, 2]
    world.upsert(Bond(a=people[0], b=people[2], level=9))
    assert world.get(ids, Bond.level).tolist() == [9, 2]
    world.ensure(Bond(a=people[:3], b=people[2], level=7))
    assert world.query(Bond).gather(Bond.level).tolist() == [9, 2, 7]


@pytest.mark.parametrize("name", ["upsert", "ensure"])
def test_refused_upserts(name):
    """Whatever is wrong with a pair or a value is refused before anything has changed."""
    world, people = town()
    world.despawn(people[5])
    world.spawn(Tie(source=people[0], target=people[1]), State(weight=1))
    call = getattr(world, name)
    both = Tie(source=people[[2, 0]], target=people[[3, 1]])
    with refused(world, DeadEntityError, "Tie.target", int(people[5])):
        call(Tie(source=people[[2, 0]], target=people[[3, 5]]), State(note=["new", "newer"]))
    with refused(world, DeadEntityError, "NOBODY"):
        call(Tie(source=people[0], target=0))
    with refused(world, ColumnValueError, "State.weight", "101"):
        call(both, State(weight=[0, 101], note=["new", "newer"]))
    with refused(world, ColumnShapeError, "State.note", "one per pair"):
        call(both, State(note=["new"] * 3))
    with refused(world, MissingFieldError, "Tie", "target"):
        call(Tie(source=people[0]))
    with refused(world, MissingFieldError, "Position.x"):
        call(both, Position(y=1))
    with refused(world, DuplicateComponentError, "State"):
        call(both, State, State(weight=1))
    with refused(world, QueryError, "Position"):
        call(Position(x=1))
    with refused(world, UnknownComponentError):
        call(both, 7)
    with refused(world, QueryError, "Tie", "Bond"):
        call(both, Bond(a=people[:2], b=people[2]))


def test_upsert_where_the_known_edge_lacks_the_component():
    """`upsert` sets values of components that a known edge has; where it lacks one, that is an
    error and nothing has changed, neither old nor new."""
    world, people = town()
    tie = world.spawn(Tie(source=people[0], target=people[1]))
    both = Tie(source=people[[2, 0]], target=people[[3, 1]])
    with refused(world, ComponentMissingError, int(tie[0]), "State"):
        world.upsert(both, State(note=["new", "newer"]))
    ids, created = world.ensure(both, State(note=["new", "newer"]))
    assert created.tolist() == [True, False]
    assert world.has(ids, State).tolist() == [True, False]


def test_edges_that_require_something():
    """A component that an edge component requires comes with it, or must be given."""

    @component
    class Needed:
        level: f4

    @component(requires=(Needed,), unique=("source", "target"))
    class Heavy:
        source: Entity = field(index=True, on_despawn="despawn")
        target: Entity = field(index=True, on_despawn="despawn")

    world, people = town()
    heavy = Heavy(source=people[:2], target=people[2])
    with refused(world, RequiredComponentError, "Heavy", "Needed", "level"):
        world.ensure(heavy)
    ids, _ = world.ensure(heavy, Needed(level=[1, 2]))
    assert world.get(ids, Needed.level).tolist() == [1, 2]


def test_adding_an_edge_component():
    """Entities can become edges by `add`, and not twice."""
    world, people = town()
    ids = world.spawn(2, Weight)
    world.add(ids, Tie(source=people[:2], target=people[2]))
    assert world.pairs(Tie).find(people[:2], people[2]).tolist() == ids.tolist()
    with refused(world, ComponentPresentError, "Tie"):
        world.add(ids, Tie(source=people[:2], target=people[3]))
    ids, created = world.upsert(Tie(source=people[:2], target=people[2]), Weight(w=4))
    assert not created.any()
    assert world.get(ids, Weight.w).tolist() == [4, 4]


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["upsert", "ensure", "despawn", "remove"]),
            st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8),
        ),
        max_size=10,
    )
)
def test_any_history_of_edges(program):
    """Any sequence of upserts, ensures, despawns and removals leaves exactly the pairs and weights
    that a dictionary has, and does not depend on how the batches are split."""
    world, people = town(4)
    split, others = town(4)
    known, weight = {}, 0
    for act, batch in program:
        a, b = [s for s, _ in batch], [t for _, t in batch]
        if act in ("upsert", "ensure"):
            weights = list(range(weight, weight + len(batch)))
            weight = (weight + len(batch)) % 90
            getattr(world, act)(Tie(source=people[a], target=people[b]), State(weight=weights))
            for s, t, w in zip(a, b, weights, strict=True):
                getattr(split, act)(Tie(source=others[s], target=others[t]), State(weight=w))
                if act == "upsert" or (s, t) not in known:
                    known[s, t] = w
        else:
            for w, ids in ((world, people), (split, others)):
                found = np.unique(w.pairs(Tie).find(ids[a], ids[b]))
                found = found[found != NOBODY]
                w.despawn(found) if act == "despawn" else w.remove(found, Tie)
            for pair in batch:
                known.pop(pair, None)
        world.check()
    every = [(s, t) for s in range(4) for t in range(4)]
    found = world.pairs(Tie).find(people[[s for s, _ in every]], people[[t for _, t in every]])
    for pair, edge in zip(every, found, strict=True):
        assert (edge != NOBODY) == (pair in known)
        if pair in known:
            assert world.get(edge, State.weight) == known[pair]
    assert len(world.pairs(Tie)) == len(known)
    assert world.digest() == split.digest()


def test_fifty_thousand_pairs():
    """A batch of 50,000 pairs with repeats: each pair once, all found."""
    world, people = town(300)
    rng = np.random.default_rng(0)
    source, target = people[rng.integers(0, 300, 50_000)], people[rng.integers(0, 300, 50_000)]
    ids, created = world.upsert(Tie(source=source, target=target), State(weight=1))
    distinct = len(set(zip(source.tolist(), target.tolist(), strict=True)))
    assert created.sum() == distinct == len(world.pairs(Tie)) == np.unique(ids).size
    assert world.pairs(Tie).find(source, target).tolist() == ids.tolist()
    assert (world.get(ids, Tie.source) == source).all()
    assert (world.get(ids, Tie.target) == target).all()
    world.check()
