"""`Store.moment`: who holds it, on whatever thread, sees nothing change."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from populace import Commands, Id, Read, World, Write, event, f4, kernel, minutes, system
from populace.ecs.errors import DeadEntityError, PopulaceError, StaleViewError
from populace.ecs.image import capture, restore

from . import society
from .parts import Asleep, Hungry, Memory, Position, Tie, Velocity, Weight, columns_by_id
from .twins import assert_twins, differing, state

WAIT = 0.03
"""Seconds after which a thread that has not ended counts as waiting."""


@event
class Nudge:
    n: f4 = 1


@contextmanager
def thread(call):
    """The call on a thread of its own; its error comes out at the end."""
    errors = []

    def run():
        try:
            call()
        except BaseException as error:
            errors.append(error)

    made = threading.Thread(target=run)
    made.start()
    try:
        yield made
    finally:
        made.join(20)
    assert not made.is_alive()
    if errors:
        raise errors[0]


@contextmanager
def waiting(world, call):
    """While the block runs a call on another thread waits for the moment; then it is done."""
    with world.store.moment:
        other = thread(call)
        started = other.__enter__()
        started.join(WAIT)
        waits = started.is_alive()
        try:
            yield
        finally:
            world.store.moment.release()
            try:
                other.__exit__(None, None, None)
            finally:
                world.store.moment.acquire()
    assert waits, "the call did not wait"


def village():
    world = World()
    people = world.spawn(8, Position(x=np.arange(8)), Velocity)
    world.spawn(4, Memory(owner=people[:4], text="tea"))
    world.ensure(Tie(source=people[:2], target=people[2:4]), Weight)
    world.keep(Nudge)

    @system
    def move(position: Write[Position]):
        position.x += 1

    world.add_system(move)
    return world, people


CHANGES = {
    "step": lambda w, p: w.step(1),
    "run": lambda w, p: w.run(2, step=1),
    "spawn": lambda w, p: w.spawn(2, Position(x=1)),
    "spawn, a new archetype": lambda w, p: w.spawn(2, Hungry, Weight),
    "spawn, with growth": lambda w, p: w.spawn(5000, Position(x=1), Velocity),
    "despawn": lambda w, p: w.despawn(p[0]),
    "add": lambda w, p: w.add(p[:2], Asleep),
    "remove": lambda w, p: w.remove(p[:2], Velocity),
    "set": lambda w, p: w.set(p[:2], Position(x=50)),
    "upsert": lambda w, p: w.upsert(Tie(source=p[0], target=p[2]), Weight(w=3)),
    "ensure": lambda w, p: w.ensure(Tie(source=p[5], target=p[6])),
    "query.add": lambda w, p: w.query(Position).add(Asleep),
    "query.remove": lambda w, p: w.query(Position).remove(Velocity),
    "query.set": lambda w, p: w.query(Position).set(Position(x=3)),
    "query.despawn": lambda w, p: w.query(Memory).despawn(),
    "where.set": lambda w, p: w.query(Position).where(lambda q: q.x > 3).set(Position(x=9)),
    "cluster": lambda w, p: [w.set(p, Position(x=-np.arange(8.0))), w.cluster(Position.x)],
    "track": lambda w, p: w.track(Position),
    "emit": lambda w, p: w.emit(Nudge(n=3)),
}
UNSEEN = {  # what no digest tells, but what moves columns
    "shrink": lambda w, p: w.shrink(),
    "reserve": lambda w, p: w.reserve(5000, Position, Velocity),
    "cluster alone": lambda w, p: w.cluster(Memory.owner),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_wait(change):
    """While one thread holds the moment nothing that another one does is seen; then it is done."""
    world, people = village()
    twin, _ = village()
    before = state(world)
    with waiting(world, lambda: change(world, people)):
        assert differing(state(world), before) == []
        copied = restore(capture(world))
    copied.check()
    change(twin, people)
    assert differing(state(world), before) != []
    assert_twins(world, twin)
    world.check()


@pytest.mark.parametrize("change", UNSEEN.values(), ids=UNSEEN)
def test_moving_columns_waits(change):
    """Buffers stay where they are while somebody looks."""
    world, people = village()
    addresses = [t.raw.copy() for t in world.store.tables]
    with waiting(world, lambda: change(world, people)):
        for table, was in zip(world.store.tables, addresses, strict=True):
            assert np.array_equal(table.raw, was)
    world.check()


def test_refresh_and_commands_wait():
    """Sweeps and queued changes wait as well."""
    world, people = village()
    world.commands.despawn(people[:2])
    for call in (world.refresh, world.sync):
        with waiting(world, call):
            assert len(world) == 14
    assert len(world) < 14


def test_reading_does_not_wait():
    """Queries, views, values and images are there for other threads too."""
    world, people = village()
    with world.store.moment, thread(lambda: read(world, people)):
        pass


def read(world, people):
    assert world.get(people, Position.x).size == 8
    assert world.query(Position).gather(Position.x).sum() == 28
    assert only(world.query(Position)).x.size == 8
    assert restore(capture(world)).digest() == world.digest()
    world.check()


def only(query):
    return next(iter(query))


def test_the_holder_itself_may_change():
    """It is re-entrant: who holds it changes what it likes, and steps."""
    for change in CHANGES.values():
        world, people = village()
        twin, _ = village()
        with world.store.moment, world.store.moment:
            change(world, people)
        change(twin, people)
        assert_twins(world, twin)
        with thread(lambda world=world: world.spawn(1, Hungry)):
            pass


@pytest.mark.parametrize(
    "fail",
    [
        lambda w, p: w.despawn(1),
        lambda w, p: w.set(p, Position(x=np.nan)),
        lambda w, p: w.step(7),
        lambda w, p: w.add(p, Position(x=1)),
        lambda w, p: w.remove(p, Weight),
        lambda w, p: w.query(Position).set(Position(x="a")),
    ],
    ids=["despawn", "set", "step", "add", "remove", "query.set"],
)
def test_errors_let_go(fail):
    """A call that raises leaves the moment free for others."""
    world, people = village()

    @system
    def stumble(world: World):
        raise DeadEntityError("on purpose")

    world.add_system(stumble)
    with pytest.raises(PopulaceError):
        fail(world, people)
    with thread(lambda: world.spawn(1, Hungry)):
        pass
    assert world.store.moment.acquire(blocking=False)
    world.store.moment.release()


def test_a_step_holds_it():
    """Whoever waits for the moment while a step runs gets it when everything of the step is
    done."""
    world, _ = village()
    begun, found = threading.Event(), []

    @system(phase="last")
    def take_time(ids: Id, position: Read[Position], commands: Commands):
        begun.set()
        waiter.join(WAIT)
        assert not found
        commands.despawn(ids[:3])

    def look():
        begun.wait(10)
        with world.store.moment:
            found.append((world.clock.tick, world.telemetry.steps, len(world)))

    world.add_system(take_time)
    world.on_step(lambda w: found.append("end"))
    waiter = threading.Thread(target=look)
    waiter.start()
    world.step(1)
    waiter.join(10)
    assert found[0] == "end"
    assert found[1][:2] == (1, 1)


# -- looking while a world runs ------------------------------------------------------------------


@kernel
def drift(place: Write[society.Place]):
    place.x += f4(0.5)


@pytest.mark.parametrize("threads", [1, 2])
def test_images_of_a_running_world(threads):
    """A thread that takes images while the world runs, on one thread or two, sees whole steps only;
    each image makes a sound world; nobody waits for ever, and the result is what it would be."""
    world = society.build(40, threads=threads)
    world.add_system(drift)
    done, digests, taken = threading.Event(), {}, {}

    def watch():
        while not done.is_set():
            with world.store.moment:
                made = restore(capture(world))
                tick = world.clock.tick
            made.check()
            taken[tick] = made.digest()

    world.on_step(lambda w: digests.__setitem__(w.clock.tick, w.digest()))
    digests[0] = world.digest()
    with thread(watch):
        for _ in range(25):
            world.step(minutes(10))
        done.set()
    alone = society.build(40)
    alone.add_system(drift)
    alone.run(minutes(250), step=minutes(10))
    assert columns_of(world) == columns_of(alone)
    assert taken
    assert {tick: digests[tick] for tick in taken} == taken


def columns_of(world):
    classes = (society.Person, society.Place, society.Note, society.Tie, society.Count)
    return columns_by_id(world, classes)


def test_parallel_systems_and_kernels_with_a_holder():
    """Two threads for systems and kernels, and a third that takes the moment again and again."""
    world = World(threads=2)
    world.parallel_rows = 0
    world.spawn(1000, Position(x=0), Velocity(x=1))
    world.spawn(500, Position(x=0), Velocity(x=1), Asleep)

    @kernel
    def move(position: Write[Position], velocity: Read[Velocity]):
        position.x += velocity.x

    @system
    def slow_down(velocity: Write[Velocity], commands: Commands, ids: Id):
        commands.add(ids[:1], Hungry)

    @system
    def count(memory: Read[Memory]):
        pass

    world.add_systems(move, slow_down, count)
    done, n_taken = threading.Event(), [0]

    def hold():
        while not done.is_set():
            with world.store.moment:
                x = world.query(Position).gather(Position.x)
                assert (x == world.clock.tick).all()
                n_taken[0] += 1

    with thread(hold):
        for _ in range(30):
            world.step(1)
        done.set()
    assert n_taken[0] > 0
    assert (world.query(Position).gather(Position.x) == 30).all()


# -- two threads that change ---------------------------------------------------------------------


def test_spawns_of_two_threads():
    """A spawn that had to wait for another spawn gives its entities their own values, and leaves
    the other's as they are."""
    world = World()
    world.spawn(2, Position(x=[1, 2]))
    born = []
    with waiting(world, lambda: born.append(world.spawn(2, Position(x=[10, 20])))):
        mine = world.spawn(1, Position(x=5))
    assert world.get(mine, Position.x).tolist() == [5]
    assert world.get(born[0], Position.x).tolist() == [10, 20]


def test_a_set_that_waits_for_a_despawn():
    """It changes the entity that it named, though its row has moved meanwhile."""
    world = World()
    ids = world.spawn(4, Position(x=[0, 1, 2, 3]))
    with waiting(world, lambda: world.set(ids[3], Position(x=99))):
        world.despawn(ids[:1])
        world.despawn(ids[1:2])
    assert world.get(ids[2:], Position.x).tolist() == [2, 99]


@pytest.mark.parametrize(
    "change",
    [
        lambda w, ids: w.despawn(ids[3]),
        lambda w, ids: w.add(ids[3], Hungry),
        lambda w, ids: w.remove(ids[3], Velocity),
        lambda w, ids: w.upsert(Tie(source=ids[3], target=ids[2]), Weight(w=2)),
        lambda w, ids: w.query(Velocity).set(Velocity(y=[2, 3])),
    ],
    ids=["despawn", "add", "remove", "upsert", "query.set"],
)
def test_what_waits_is_done_to_those_it_named(change):
    """Rows that have moved while a call waited are found again."""

    def make():
        world = World()
        return world, world.spawn(4, Position(x=[0, 1, 2, 3]), Velocity(x=[0, 1, 2, 3]))

    world, ids = make()
    twin, _ = make()
    with waiting(world, lambda: change(world, ids)):
        world.despawn(ids[:1])
        world.despawn(ids[1:2])
    twin.despawn(ids[:1])
    twin.despawn(ids[1:2])
    change(twin, ids)
    world.check()
    assert_twins(world, twin)


def test_a_selection_that_waits():
    """Rows that were picked before others moved are not taken for those that lie there now."""
    world = World()
    ids = world.spawn(4, Position(x=[0, 1, 2, 3]))
    picked = world.query(Position).where(lambda p: p.x == 3)
    with (
        pytest.raises(StaleViewError),
        waiting(world, lambda: picked.set(Position(x=9))),
    ):
        world.despawn(ids[:2])
    assert world.get(ids[2:], Position.x).tolist() == [2, 3]
    world.check()


def test_a_change_while_a_system_runs():
    """What another thread changes while a step runs waits for the end of the step; it is no change
    made inside the system."""
    world = World()
    world.spawn(2, Position(x=0))
    begun, tried = threading.Event(), []

    def change():
        begun.wait(10)
        try:
            world.spawn(3, Position(x=1))
        finally:
            tried.append(world.clock.tick)

    other = thread(change)

    @system
    def take_time(position: Write[Position]):
        begun.set()
        started.join(WAIT)
        assert not tried

    world.add_system(take_time)
    started = other.__enter__()
    try:
        world.step(1)
    finally:
        other.__exit__(None, None, None)
    assert len(world) == 5
