"""Commands: structural changes that wait, and are then made in a fixed order."""

import numpy as np
import pytest

from populace import Commands, Entity, Id, Read, World, component, event, field, i4, system
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateComponentError,
    DuplicateEntityError,
    PopulaceError,
    ReferencedEntityError,
    UnknownComponentError,
)

from .parts import Asleep, Guarded, Hungry, Memory, Position, Tie, Velocity, Weight, refused


@component
class Number:
    n: i4 = 0


@component
class Link:
    to: Entity = field(0, index=True, on_despawn="null")


@event
class Ping:
    who: Entity
    n: i4 = 0


# -- queueing and applying -----------------------------------------------------------------------


def test_nothing_happens_before_the_sync():
    """A queued command changes nothing that can be seen; `sync` applies all and counts them."""
    world = World()
    ids = world.spawn(3, Number(n=[1, 2, 3]))
    digest = world.digest()
    world.commands.spawn(2, Number)
    world.commands.despawn(ids[0])
    world.commands.add(ids[1:], Asleep)
    world.commands.set(ids[1:], Number(n=[20, 30]))
    world.commands.remove(ids[1:2], Number)
    assert len(world.commands) == 5
    assert world.digest() == digest
    assert world.sync() == 5
    assert len(world.commands) == 0
    assert world.alive(ids).tolist() == [False, True, True]
    assert world.has(ids[1:], Asleep).all()
    assert world.has(ids[1:], Number).tolist() == [False, True]
    assert world.get(ids[2], Number.n).tolist() == [30]
    assert len(world) == 4
    assert world.sync() == 0
    world.check()


def test_commands_are_applied_in_the_order_queued():
    """Later commands see what earlier ones did."""
    world = World()
    ids = world.spawn(2, Number)
    commands = world.commands
    commands.set(ids, Number(n=1))
    commands.add(ids, Asleep)
    commands.remove(ids, Asleep)
    commands.add(ids, Asleep)
    commands.set(ids, Number(n=2))
    world.sync()
    assert world.get(ids, Number.n).tolist() == [2, 2]
    assert world.has(ids, Asleep).all()


def test_arrays_are_copied_when_queued():
    """Changing ids or values afterwards does not change the command."""
    world = World()
    ids = world.spawn(3, Number)
    target, values = ids[:2].copy(), np.array([1, 2])
    world.commands.set(target, Number(n=values))
    pending = world.commands.spawn(Number(n=values))
    target[:] = 0
    values[:] = 99
    world.sync()
    assert world.get(ids, Number.n).tolist() == [1, 2, 0]
    assert world.get(pending.ids, Number.n).tolist() == [1, 2]


def test_upsert_ensure_and_emit_wait_too():
    """Edges and events can be queued like the rest."""
    world = World()
    people = world.spawn(3)
    reader = world.events(Ping)
    world.commands.ensure(Tie(source=people[0], target=people[1:]), Weight(w=1))
    world.commands.upsert(Tie(source=people[0], target=people[1]), Weight(w=5))
    world.commands.emit(Ping(who=people, n=[1, 2, 3]))
    assert len(world.pairs(Tie)) == 0
    assert len(reader) == 0
    world.sync()
    edges = world.pairs(Tie).find(people[0], people[1:])
    assert world.get(edges, Weight.w).tolist() == [5, 1]
    assert reader.read().n.tolist() == [1, 2, 3]


def test_a_step_applies_what_was_queued_outside():
    """`world.commands` is taken up by the next sync point of a step."""
    world = World()
    world.commands.spawn(2, Number)
    world.step(1)
    assert world.query(Number).count() == 2


def test_commands_queued_while_commands_are_applied():
    """What an observer queues during a sync is applied by the same sync."""
    world = World()
    world.observe("add", Number, lambda w, ids: w.commands.add(ids, Hungry))
    ids = world.spawn(1, Asleep)
    world.commands.add(ids, Number)
    world.sync()
    assert world.has(ids, Hungry).all()


# -- pending entities ----------------------------------------------------------------------------


def test_pending_entities():
    """A queued spawn hands out a Pending: it knows how many, and after the sync their ids."""
    world = World()
    pending = world.commands.spawn(3, Number(n=[4, 5, 6]))
    assert pending.n == 3
    with pytest.raises(DeadEntityError, match="next sync"):
        _ = pending.ids
    world.sync()
    assert pending.ids.dtype == np.uint64
    assert world.get(pending.ids, Number.n).tolist() == [4, 5, 6]


def test_pending_as_target():
    """Later commands of the buffer can add to, set, remove from and despawn what is pending."""
    world = World()
    commands = world.commands
    pending = commands.spawn(2, Number, Hungry)
    commands.add(pending, Position(x=[1, 2]), Asleep)
    commands.set(pending, Number(n=[7, 8]))
    commands.remove(pending, Hungry)
    gone = commands.spawn(4, Number)
    commands.despawn(gone)
    world.sync()
    assert world.get(pending.ids, Position.x).tolist() == [1, 2]
    assert world.get(pending.ids, Number.n).tolist() == [7, 8]
    assert world.has(pending.ids, Asleep).all()
    assert not world.has(pending.ids, Hungry).any()
    assert not world.alive(gone.ids).any()
    assert len(world) == 2


def test_pending_as_a_reference():
    """A Pending is the value of an Entity field: in spawn, add, set, upsert, ensure and emit."""
    world = World()
    people = world.spawn(2, Link)
    reader = world.events(Ping)
    commands = world.commands
    owners = commands.spawn(2, Number)
    others = commands.spawn(2, Number)
    memories = commands.spawn(Memory(owner=owners, text=["a", "b"]))
    commands.set(people, Link(to=owners))
    linked = commands.spawn(2, Hungry)
    commands.add(linked, Link(to=owners))
    commands.ensure(Tie(source=owners, target=people[0]), Weight(w=1))
    commands.upsert(Tie(source=others, target=owners), Weight(w=2))
    commands.emit(Ping(who=owners))
    world.sync()
    assert world.get(memories.ids, Memory.owner).tolist() == owners.ids.tolist()
    assert world.get(people, Link.to).tolist() == owners.ids.tolist()
    assert world.index(Link.to).ids(owners.ids[0]).tolist() == sorted([people[0], linked.ids[0]])
    assert (world.pairs(Tie).find(owners.ids, people[0]) != 0).all()
    assert (world.pairs(Tie).find(others.ids, owners.ids) != 0).all()
    assert reader.read().who.tolist() == owners.ids.tolist()
    world.check()


def test_a_pending_of_one_is_one_id():
    """A Pending of one entity stands for its id: it broadcasts where many name it."""
    world = World()
    people = world.spawn(2, Link)
    commands = world.commands
    agent = commands.spawn(Number(n=1))
    memories = commands.spawn(Memory(owner=agent, text=["a", "b", "c"]))
    commands.set(people, Link(to=agent))
    commands.ensure(Tie(source=agent, target=people))
    world.sync()
    assert world.index(Memory.owner).ids(agent.ids[0]).tolist() == memories.ids.tolist()
    assert world.text.decode(world.get(memories.ids, Memory.text)) == ["a", "b", "c"]
    assert world.index(Link.to).count(agent.ids).tolist() == [2]
    assert (world.pairs(Tie).find(agent.ids, people) != 0).all()


def test_how_many_a_pending_spawn_makes():
    """n is what is said, else read from arrays or from another Pending."""
    world = World()
    commands = world.commands
    three = commands.spawn(3)
    assert commands.spawn(Memory(owner=three)).n == 3
    assert commands.spawn(Number(n=[1, 2])).n == 2
    assert commands.spawn(Number).n == 1
    assert commands.spawn(np.int64(4), Number).n == 4
    world.sync()
    assert len(world) == 13


def test_templates_in_commands():
    """A template can be queued, with values beside it."""
    world = World()
    villager = world.template("villager", Position(x=1), Asleep)
    pending = world.commands.spawn(villager, Position(y=[5, 6]))
    world.sync()
    assert world.get(pending.ids, Position.y).tolist() == [5, 6]
    assert world.get(pending.ids, Position.x).tolist() == [1, 1]


# -- ids that died meanwhile ---------------------------------------------------------------------


def test_the_dead_are_passed_over():
    """Ids that an earlier command ended are left out, with their values; the others are served."""
    world = World()
    ids = world.spawn(4, Number)
    commands = world.commands
    commands.despawn(ids[[1, 3]])
    commands.despawn(ids[[1, 2]])
    commands.set(ids[[0, 1]], Number(n=[10, 11]))
    commands.add(ids[[3, 0]], Position(x=[3, 0], y=5), Velocity(y=[1, 2]))
    commands.add(ids[[0, 2]], Memory(owner=ids[0], text=["kept", "left out"], vector=np.eye(4)[:2]))
    world.sync()
    assert world.alive(ids).tolist() == [True, False, False, False]
    assert world.get(ids[0], Number.n).tolist() == [10]
    assert (world.get(ids[0], Position.x), world.get(ids[0], Velocity.y)) == (0, 2)
    assert world.text.decode(world.get(ids[0], Memory.text)) == ["kept"]
    assert world.get(ids[0], Memory.vector).tolist() == [[1, 0, 0, 0]]
    world.check()


def test_two_laws_may_forget_the_same():
    """Two systems that despawn the same entities in one phase do not disturb each other."""

    @system
    def one(ids: Id, number: Read[Number], commands: Commands):
        commands.despawn(ids[:3])

    @system
    def two(ids: Id, number: Read[Number], commands: Commands):
        commands.despawn(ids[1:4])

    world = World()
    ids = world.spawn(5, Number)
    world.add_systems(one, two)
    world.step(1)
    assert world.alive(ids).tolist() == [False] * 4 + [True]


def test_a_recycled_id_is_not_hit():
    """When a slot is used again between, the command does not reach the newcomer."""
    world = World()
    ids = world.spawn(2, Number)
    world.commands.despawn(ids[0])
    fresh = world.commands.spawn(1, Number(n=5))
    world.commands.set(ids[0], Number(n=9))
    world.commands.despawn(ids[0])
    world.sync()
    assert (fresh.ids & 0xFFFF_FFFF).tolist() == (ids[:1] & 0xFFFF_FFFF).tolist()
    assert world.get(fresh.ids, Number.n).tolist() == [5]


def test_cascades_count_as_dead():
    """Who is ended by a cascade of an earlier command is passed over too."""
    world = World()
    people = world.spawn(1)
    memories = world.spawn(3, Memory(owner=people[0]))
    world.commands.despawn(people)
    world.commands.despawn(memories[1:])
    world.commands.set(memories, Memory(text=["a", "b", "c"]))
    world.sync()
    assert len(world) == 0


# -- errors --------------------------------------------------------------------------------------


def test_what_is_wrong_at_once_is_said_at_once():
    """Dead ids, unknown components, wrong lengths and repeats in a bundle are refused when
    queued."""
    world = World()
    ids = world.spawn(3, Number)
    world.despawn(ids[2])
    commands = world.commands
    with refused(world, DeadEntityError, int(ids[2]), "commands.despawn", "world.commands"):
        commands.despawn(ids)
    with refused(world, DeadEntityError, "NOBODY"):
        commands.set([int(ids[0]), 0], Number(n=1))
    with refused(world, ColumnTypeError, "ids"):
        commands.despawn(0.5)
    with refused(world, ColumnShapeError, "Number.n", "2", "3"):
        commands.set(ids[:2], Number(n=[1, 2, 3]))
    with refused(world, ColumnShapeError, "Position.x"):
        commands.add(ids[:2], Position(x=[1, 2, 3]))
    with refused(world, UnknownComponentError, "7"):
        commands.add(ids[:1], 7)
    with refused(world, UnknownComponentError, "int"):
        commands.remove(ids[:1], int)
    with refused(world, DuplicateComponentError, "Asleep"):
        commands.spawn(2, Asleep, Asleep)
    with refused(world, ColumnShapeError, "-1"):
        commands.spawn(-1, Asleep)


QUEUED_WRONG = {
    "present": (ComponentPresentError, lambda c, ids: c.add(ids, Number)),
    "missing for set": (ComponentMissingError, lambda c, ids: c.set(ids, Position(x=1))),
    "value": (ColumnValueError, lambda c, ids: c.spawn(2, Velocity(x=11))),
    "type": (ColumnTypeError, lambda c, ids: c.set(ids, Number(n=0.5))),
    "forbidden": (ReferencedEntityError, lambda c, ids: c.despawn(ids[:1])),
    "twice": (DuplicateEntityError, lambda c, ids: c.despawn(ids[[1, 1]])),
    "pair": (DeadEntityError, lambda c, ids: c.ensure(Tie(source=ids, target=0))),
    "field": (PopulaceError, lambda c, ids: c.spawn(2, Position)),
}


@pytest.mark.parametrize("name", QUEUED_WRONG)
def test_an_error_while_applying(name):
    """A command that fails does nothing and is dropped; the error says which it was and who queued
    it; those before it are done, those after it stay queued."""
    error, queue = QUEUED_WRONG[name]
    world = World()
    ids = world.spawn(2, Number)
    world.spawn(1, Guarded(by=ids[0]))
    commands = world.commands
    commands.spawn(1, Hungry)
    queue(commands, ids)
    commands.spawn(1, Asleep)
    with pytest.raises(error) as caught:
        world.sync()
    note = "\n".join(caught.value.__notes__)
    assert "command 2" in note
    assert "world.commands" in note
    assert (world.query(Hungry).count(), world.query(Asleep).count()) == (1, 0)
    assert len(commands) == 1
    assert world.alive(ids).all()
    world.check()
    assert world.sync() == 1
    assert world.query(Asleep).count() == 1


def test_the_note_names_the_system():
    """A command that a system queued and that fails names the system."""

    @system
    def careless(ids: Id, number: Read[Number], commands: Commands):
        commands.add(ids, Number)

    world = World()
    world.spawn(1, Number)
    world.add_system(careless)
    with pytest.raises(ComponentPresentError) as caught:
        world.step(1)
    assert any("careless" in note for note in caught.value.__notes__)


def test_pending_ids_of_a_spawn_that_failed():
    """When the spawn fails, what was to be done to its entities fails too, without harm."""
    world = World()
    pending = world.commands.spawn(2, Velocity(x=11))
    world.commands.add(pending, Asleep)
    with pytest.raises(ColumnValueError):
        world.sync()
    with pytest.raises(DeadEntityError):
        world.sync()
    assert len(world) == 0
    assert len(world.commands) == 0
    world.check()


def test_buffers_are_applied_in_the_order_of_the_plan():
    """The systems' buffers come in the order in which systems run, the world's own last."""
    order = []
    world = World()
    world.observe("add", Number, lambda w, ids: order.append(w.get(ids, Number.n).tolist()))
    world.commands.spawn(Number(n=[3]))

    def make(k, **rules):
        @system(name=f"s{k}", **rules)
        def spawn(commands: Commands):
            commands.spawn(Number(n=[k]))

        return spawn

    world.add_systems(make(2), make(1, before="s2"))
    world.add_system(make(9), phase="last")
    world.step(1)
    assert order.index([1]) < order.index([2]) < order.index([9])
    assert sorted(order) == [[1], [2], [3], [9]]
