"""Observers: told of structural changes, once for each batch, with the data still (or already)
there."""

import numpy as np
import pytest

from populace import World, component, i4
from populace.ecs.errors import (
    ColumnValueError,
    QueryError,
    StructuralChangeError,
    UnknownComponentError,
)

from .parts import Asleep, Friend, Hungry, Memory, Position, Tie, Trace, Weight, refused


@component
class Number:
    n: i4 = 0


def watched(*components, kinds=("add", "remove", "despawn")):
    """A world that writes down (kind, component, ids) of all it is told."""
    world, told = World(), []
    for cls in components:
        for kind in kinds:
            world.observe(
                kind, cls, lambda w, ids, k=kind, c=cls: told.append((k, c.__name__, ids.tolist()))
            )
    return world, told


def test_spawn_and_add_are_told():
    """Whoever gains the component, by spawn or by add, and nobody else."""
    world, told = watched(Number)
    ids = world.spawn(3, Number, Asleep)
    other = world.spawn(2, Asleep)
    world.add(other[:1], Number)
    world.add(ids[:1], Hungry)
    world.spawn(0, Number)
    assert told == [("add", "Number", ids.tolist()), ("add", "Number", other[:1].tolist())]


def test_remove_and_despawn_are_told():
    """remove: "remove"; despawn: "remove", then "despawn"."""
    world, told = watched(Number)
    ids = world.spawn(4, Number, Asleep)
    told.clear()
    world.remove(ids[:1], Number)
    world.remove(ids[:2], Asleep)
    world.despawn(ids[:3])
    assert [(kind, cls, sorted(found)) for kind, cls, found in told] == [
        ("remove", "Number", ids[:1].tolist()),
        ("remove", "Number", ids[1:3].tolist()),
        ("despawn", "Number", ids[1:3].tolist()),
    ]


def test_the_data_is_there():
    """In "add" the values are there already, in "remove" and "despawn" still, indices included."""
    world, seen = World(), []
    people = world.spawn(2)

    def look(w, ids):
        members = w.index(Memory.owner).of(people).ids
        seen.append((w.get(ids, Memory.owner).tolist(), set(ids.tolist()) <= set(members.tolist())))

    for kind in ("add", "remove", "despawn"):
        world.observe(kind, Memory, look)
    ids = world.spawn(Memory(owner=people))
    world.remove(ids[:1], Memory)
    world.despawn(ids[1])
    assert seen == [
        (people.tolist(), True),
        (people[:1].tolist(), True),
        (people[1:].tolist(), True),
        (people[1:].tolist(), True),
    ]


def test_once_for_each_batch():
    """A batch over several tables is told in one call, with all its ids."""
    world, told = watched(Number)
    ids = np.concatenate([world.spawn(2, Number), world.spawn(2, Number, Asleep), world.spawn(1)])
    world.add(ids[4], Number)
    told.clear()
    world.query(Number).remove(Number)
    world.add(ids, Number(n=range(5)))
    world.despawn(ids[[4, 0, 2]])
    assert [(kind, sorted(found)) for kind, _, found in told] == [
        ("remove", sorted(ids.tolist())),
        ("add", sorted(ids.tolist())),
        ("remove", sorted(ids[[0, 2, 4]].tolist())),
        ("despawn", sorted(ids[[0, 2, 4]].tolist())),
    ]


def test_required_components_are_told_too():
    """A component that comes because another requires it is gained like the other."""
    world, told = watched(Memory, Trace, kinds=("add",))
    people = world.spawn(1)
    spawned = world.spawn(1, Memory(owner=people[0]))
    has_trace, has_none = world.spawn(1, Trace), world.spawn(1)
    world.add([int(has_trace[0]), int(has_none[0])], Memory(owner=people[0]))
    gained = {
        cls: sorted(i for _, c, ids in told if c == cls for i in ids) for cls in ("Memory", "Trace")
    }
    assert gained["Memory"] == sorted([*spawned.tolist(), *has_trace.tolist(), *has_none.tolist()])
    assert gained["Trace"] == sorted([*spawned.tolist(), *has_trace.tolist(), *has_none.tolist()])


def test_edges_are_told():
    """Upsert and ensure tell of the edges they make, not of those they find."""
    world, told = watched(Tie, kinds=("add",))
    people = world.spawn(3)
    tie = Tie(source=people[[0, 0, 1]], target=people[[1, 1, 2]])
    ids, _ = world.upsert(tie, Weight(w=1))
    world.upsert(tie, Weight(w=2))
    world.ensure(tie)
    assert told == [("add", "Tie", np.unique(ids).tolist())]


def test_values_are_no_structure():
    """set, events, nulled references and moves between tables for other reasons are not told."""
    world, told = watched(Number, Friend)
    people = world.spawn(2)
    ids = world.spawn(2, Number, Friend(other=people[0]))
    told.clear()
    world.set(ids, Number(n=5))
    world.add(ids, Asleep)
    world.despawn(people[0])
    world.cluster(Number.n)
    world.shrink()
    assert told == []


def test_they_are_called_in_order_of_registration():
    """Several observers of the same: first come, first called."""
    world, calls = World(), []
    for name in "cab":
        world.observe("add", Number, lambda w, ids, name=name: calls.append(name))
    world.spawn(1, Number)
    assert calls == ["c", "a", "b"]


def test_cancel():
    """After `cancel` nobody is told; twice does no harm."""
    world, told = World(), []
    first = world.observe("add", Number, lambda w, ids: told.append("first"))
    second = world.observe("add", Number, lambda w, ids: told.append("second"))
    first.cancel()
    first.cancel()
    world.spawn(1, Number)
    second.cancel()
    world.spawn(1, Number)
    assert told == ["second"]


def test_structure_is_locked_while_an_observer_runs():
    """An observer may read and queue commands; a structural call raises and points to Commands."""
    world, refusals = World(), []
    loose = world.spawn(3)

    def meddle(w, ids):
        for call in (
            lambda: w.spawn(1, Asleep),
            lambda: w.despawn(ids),
            lambda: w.add(loose, Asleep),
            lambda: w.set(ids, Number(n=1)),
            lambda: w.query(Number).despawn(),
            lambda: w.sync(),
            lambda: w.cluster(Number.n),
        ):
            with pytest.raises(StructuralChangeError, match=r"observer of Number.*Commands"):
                call()
            refusals.append(1)
        w.commands.add(loose, Hungry)

    observer = world.observe("add", Number, meddle)
    world.spawn(2, Number)
    assert len(refusals) == 7
    assert world.query(Asleep).count() == 0
    world.sync()
    assert world.has(loose, Hungry).all()
    observer.cancel()
    world.spawn(1, Asleep)
    world.check()


def test_an_observer_that_raises():
    """Its error reaches the caller, and the world is consistent and open; before the change, the
    change has not happened."""
    world = World()
    ids = world.spawn(3, Number)

    def fails(w, some):
        raise RuntimeError("no luck")

    for kind, change in (
        ("remove", lambda: world.remove(ids, Number)),
        ("remove", lambda: world.despawn(ids)),
        ("despawn", lambda: world.despawn(ids)),
    ):
        observer = world.observe(kind, Number, fails)
        with refused(world, RuntimeError, "no luck"):
            change()
        observer.cancel()
    observer = world.observe("add", Number, fails)
    with pytest.raises(RuntimeError, match="no luck"):
        world.spawn(1, Number)
    observer.cancel()
    world.check()
    world.spawn(1, Number)


def test_a_refused_change_is_not_told():
    """Nothing happened, so nobody hears of it."""
    world, told = watched(Number, Position)
    ids = world.spawn(2, Number)
    told.clear()
    for call in (
        lambda: world.spawn(2, Number, Position(x=[1, np.nan])),
        lambda: world.add(ids, Position(x=np.inf)),
    ):
        with refused(world, ColumnValueError):
            call()
    assert told == []


def test_wrong_registrations():
    """An unknown kind or a class that is no component is refused; the kinds are listed."""
    world = World()
    with refused(world, QueryError, "change", "add, remove, despawn"):
        world.observe("change", Number, print)
    with refused(world, UnknownComponentError, "int"):
        world.observe("add", int, print)


def test_what_observers_are_told_adds_up():
    """A set kept by observers alone equals the entities that have the component, after anything."""
    world, have = World(), set()
    world.observe("add", Number, lambda w, ids: have.update(ids.tolist()))
    world.observe("remove", Number, lambda w, ids: have.difference_update(ids.tolist()))
    rng = np.random.default_rng(3)
    for _ in range(200):
        act = rng.integers(0, 5)
        every = world.query().ids()
        some = rng.permutation(every)[: rng.integers(0, 6)]
        if act == 0:
            world.spawn(int(rng.integers(0, 6)), *([Number] if rng.random() < 0.5 else []))
        elif act == 1:
            world.despawn(some)
        elif act == 2:
            world.add(some[~world.has(some, Number)], Number)
        elif act == 3:
            world.remove(some[world.has(some, Number)], Number)
        elif rng.random() < 0.1:
            world.query(Number).remove(Number)
        assert have == set(world.query(Number).ids().tolist())
    world.check()
