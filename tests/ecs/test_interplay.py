"""Facts at the seams between concepts: each was once a fault or could easily become one."""

import numpy as np
import pytest

from populace import (
    NOBODY,
    Commands,
    Emit,
    Entity,
    Id,
    Read,
    ResMut,
    Text,
    Without,
    World,
    Write,
    component,
    event,
    f4,
    field,
    seconds,
    system,
)
from populace.ecs.errors import DeadEntityError, QueryError


@component
class Body:
    x: f4 = 0


@component
class Other:
    x: f4 = 0


@component
class Named:
    name: Text


@component
class Tagged:
    pass


@component
class Owned:
    owner: Entity = field(index=True, on_despawn="despawn")
    friend: Entity = NOBODY


@component(unique=("source", "target"))
class Tie:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component(unique=("source", "target"))
class Grudge:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@event
class Moved:
    x: f4


def test_removing_nothing_changes_nothing():
    """`remove`, `add` and `set` without components leave every row where it is."""
    world = World(debug=True)
    ids = world.spawn(3, Body(x=[1, 2, 3]))
    world.remove(ids)
    world.query(Body).remove()
    world.add(ids)
    world.set(ids)
    world.commands.remove(ids)
    world.sync()
    assert world.get(ids, Body.x).tolist() == [1, 2, 3]


def test_added_values_may_be_columns_of_the_tables_that_move():
    """They count as they were at the call, whichever table moves first."""
    world = World(debug=True)
    plain = world.spawn(6, Body(x=np.arange(6)))
    tagged = world.spawn(6, Body(x=np.arange(6)), Tagged)
    (column,) = (body.x for body in world.query(Body, without=Tagged))
    ids = np.concatenate([tagged[:3], plain[:3]])
    world.add(ids, Other(x=column))
    assert world.get(ids, Other.x).tolist() == [0, 1, 2, 3, 4, 5]


def test_an_observer_that_raises_leaves_the_texts_of_the_spawned():
    """ "add" is told after the commit: the entity stays, and so do its strings."""
    world = World(debug=True)

    def refuse(world, ids):
        raise RuntimeError("no")

    observer = world.observe("add", Named, refuse)
    with pytest.raises(RuntimeError):
        world.spawn(1, Named(name="Zoe"))
    observer.cancel()
    world.spawn(1, Named(name="Max"))
    names = world.text.decode(world.query(Named).gather(Named.name))
    assert sorted(names) == ["Max", "Zoe"]


@pytest.mark.parametrize("doing", ["upsert", "ensure"])
@pytest.mark.parametrize("there", [False, True])
def test_two_edge_components_in_one_call_are_refused(doing, there):
    """An entity found by one pair cannot be given another pair on the way, nor one that is there
    the pair of another edge."""
    world = World(debug=True)
    a, b = world.spawn(2)
    if there:
        world.spawn(Tie(source=a, target=b), Grudge(source=b, target=a))
    before = world.digest()
    with pytest.raises(QueryError, match="Grudge"):
        getattr(world, doing)(Tie(source=a, target=b), Grudge(source=a, target=b))
    assert world.digest() == before


def test_emitted_arrays_are_as_they_were_when_emitted():
    """A system may go on changing the column that it has emitted."""
    world = World()
    world.spawn(2, Body(x=1))
    reader = world.events(Moved)

    @system
    def move(body: Write[Body], moved: Emit[Moved]):
        moved(Moved(x=body.x))
        body.x += 10

    world.add_system(move)
    world.step(1)
    assert reader.read().x.tolist() == [1, 1]


def test_queued_lists_are_as_they_were_when_queued():
    """As arrays are."""
    world = World()
    ids = world.spawn(2, Body)
    given = [1.0, 2.0]
    world.commands.set(ids, Body(x=given))
    given.append(3.0)
    world.sync()
    assert world.get(ids, Body.x).tolist() == [1, 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failed_stage_queues_nothing(threads):
    """Neither the system that raised nor its neighbours, on any number of threads."""
    world = World(threads=threads)
    world.parallel_rows = 1
    ids = world.spawn(2, Body, Other)
    failing = [True]

    @system
    def fails(body: Read[Body], commands: Commands):
        commands.add(ids[:1], Tagged)
        if failing:
            raise RuntimeError("no")

    @system
    def works(other: Read[Other], commands: Commands):
        commands.despawn(ids[1:])

    world.add_systems(fails, works)
    with pytest.raises(RuntimeError):
        world.step(1)
    assert world.sync() == 0
    assert world.alive(ids).all()
    assert not world.has(ids, Tagged).any()


def test_a_condition_sees_what_earlier_systems_wrote():
    """`run_if` is asked when everything before the system is done."""
    from dataclasses import dataclass

    @dataclass
    class Switch:
        on: bool = False

    world = World()
    world.insert(Switch())
    ran = []

    @system
    def turn_on(switch: ResMut[Switch]):
        switch.on = True

    @system(run_if=lambda world: world.resource(Switch).on)
    def follow():
        ran.append(1)

    world.add_systems(turn_on, follow)
    world.step(1)
    assert ran == [1]


def test_commands_of_a_fixed_step_are_applied_after_each_of_its_steps():
    """So the next step of the same system sees them."""
    world = World()
    ids = world.spawn(3, Body)
    seen = []

    @system(fixed_step=seconds(1))
    def nod(ids: Id, body: Read[Body], commands: Commands, _: Without[Tagged]):
        seen.append(ids.size)
        commands.add(ids[:1], Tagged)

    world.add_system(nod)
    world.step(seconds(3))
    assert seen == [3, 2, 1]
    assert world.has(ids, Tagged).all()


def test_two_systems_may_give_and_take_the_same_tag():
    """A queued tag that is there by then is passed over, and one to remove that is gone."""
    world = World()
    ids = world.spawn(2, Body)
    for _ in range(2):
        world.commands.add(ids, Tagged)
    world.sync()
    assert world.has(ids, Tagged).all()
    for _ in range(2):
        world.commands.remove(ids, Tagged)
    world.sync()
    assert not world.has(ids, Tagged).any()


def test_a_queued_spawn_fares_as_if_it_had_come_first():
    """Its owner ended before it was applied: it cascades; a kept reference becomes NOBODY."""
    world = World(debug=True)
    a, b = world.spawn(2, Body)
    world.commands.despawn(a)
    born = world.commands.spawn(3, Owned(owner=np.array([a, b, b]), friend=np.array([b, a, 0])))
    world.sync()
    assert born.ids[0] == NOBODY
    assert world.alive(born.ids).tolist() == [False, True, True]
    assert world.get(born.ids[1:], Owned.friend).tolist() == [NOBODY, NOBODY]


def test_a_queued_spawn_of_the_dead_is_refused_at_once():
    """What was dead when it was queued is the caller's mistake."""
    world = World()
    (a,) = world.spawn(1, Body)
    world.despawn(a)
    with pytest.raises(DeadEntityError, match="dead"):
        world.commands.spawn(1, Owned(owner=a))
