"""Events: typed queues of columns, in which each reader sees each event once, in order."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Emit, Entity, Events, Text, Vector, World, b1, event, f4, field, i4, system
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    MissingFieldError,
    UnknownComponentError,
    UnknownFieldError,
)
from populace.ecs.events import picked

from .parts import Kind, Position, refused


@event
class Said:
    who: Entity
    text: Text = "hm"
    loud: f4 = field(0.5, range=(0, 1))
    kind: Kind = Kind.CHAT
    vector: Vector[2] = (1, 2)
    sure: b1 = True


@event
class Tick:
    """An event without fields: that it happened is all."""


@event
class Number:
    n: i4


def test_an_event_comes_as_it_was_emitted():
    """Scalars broadcast, defaults fill, every kind of field arrives as a column."""
    world = World()
    people = world.spawn(3)
    reader = world.events(Said)
    assert world.emit(Said(who=people, text=["a", "b", "a"], loud=1)) == 3
    batch = reader.read()
    assert isinstance(batch, Said)
    assert len(batch) == 3
    assert batch.who.tolist() == people.tolist()
    assert world.text.decode(batch.text) == ["a", "b", "a"]
    assert batch.loud.tolist() == [1, 1, 1]
    assert batch.kind.tolist() == [1, 1, 1]
    assert batch.vector.tolist() == [[1, 2]] * 3
    assert batch.sure.tolist() == [True] * 3
    assert batch.loud.dtype == np.float32


def test_scalars_alone_are_one_event():
    """`emit(Said(who=a))` emits one."""
    world = World()
    reader = world.events(Said)
    assert world.emit(Said(who=0)) == 1
    assert world.emit(Said(who=[])) == 0
    batch = reader.read()
    assert (len(batch), world.text.decode(batch.text)) == (1, ["hm"])


def test_events_without_fields():
    """A bare event is counted; as with a tag the class itself will do."""
    world = World()
    reader = world.events(Tick)
    world.emit(Tick())
    world.emit(Tick)
    assert len(reader) == 2
    assert len(reader.read()) == 2
    assert len(reader.read()) == 0


def test_each_reader_sees_each_event_once():
    """Readers have places of their own; what one has read the other still gets."""
    world = World()
    first, second = world.events(Number), world.events(Number)
    world.emit(Number(n=[1, 2]))
    assert first.read().n.tolist() == [1, 2]
    world.emit(Number(n=3))
    assert first.read().n.tolist() == [3]
    assert first.read().n.tolist() == []
    assert second.read().n.tolist() == [1, 2, 3]
    assert len(second) == 0


def test_an_empty_reading_has_typed_columns():
    """Nothing to read still has every column, with its dtype and shape."""
    batch = World().events(Said).read()
    assert (batch.who.shape, batch.who.dtype) == ((0,), np.uint64)
    assert batch.vector.shape == (0, 2)


def test_the_columns_are_read_only_or_copies():
    """What one reader does to its columns does not reach another reader."""
    world = World()
    first, second = world.events(Number), world.events(Number)
    values = np.array([1, 2], np.int32)
    world.emit(Number(n=values))
    values[:] = 9
    column = first.read().n
    if column.flags.writeable:
        column[:] = 7
    assert second.read().n.tolist() == [1, 2]


def test_a_new_reader_sees_what_is_still_held():
    """A reader that comes late gets what is held, and all that follows."""
    world = World()
    world.emit(Number(n=[1, 2]))
    late = world.events(Number)
    world.emit(Number(n=3))
    assert late.read().n.tolist() == [1, 2, 3]


def test_events_that_all_have_read_are_dropped():
    """At the end of a step read events go; those that some reader has not seen stay."""
    world = World()
    first, second = world.events(Number), world.events(Number)
    world.emit(Number(n=[1, 2]))
    first.read()
    for _ in range(5):
        world.step(1)
    assert len(second) == 2
    second.read()
    assert world.events(Number).read().n.tolist() == [1, 2]  # held until the step ends
    world.step(1)
    assert world.events(Number).read().n.tolist() == []


def test_events_that_nobody_reads_do_not_pile_up():
    """Without a reader an event is gone when the next step has ended."""
    world = World()
    for k in range(10):
        world.emit(Number(n=k))
        world.step(1)
    held = world.events(Number).read().n.tolist()
    assert held == [9]


def test_a_reader_that_is_gone_holds_nothing_back():
    """A dropped reader no longer keeps events alive."""
    world = World()
    reader = world.events(Number)
    kept = world.events(Number)
    del reader
    gc.collect()
    for _ in range(3):
        world.emit(Number(n=1))
        kept.read()
        world.step(1)
    assert world.events(Number).read().n.size == 0


def test_refused_events():
    """An event is checked like a spawn, and nothing is emitted when something is wrong."""
    world = World()
    people = world.spawn(2)
    world.despawn(people[1])
    world.emit(Said(who=0))
    with refused(world, DeadEntityError, "Said.who", int(people[1])):
        world.emit(Said(who=people, text=["new", "newer"]))
    with refused(world, ColumnValueError, "Said.loud", "[0, 1]"):
        world.emit(Said(who=0, text="new", loud=2))
    with refused(world, ColumnValueError, "Said.kind", "3"):
        world.emit(Said(who=0, kind=3))
    with refused(world, ColumnTypeError, "Said.text"):
        world.emit(Said(who=0, text=1))
    with refused(world, ColumnShapeError, "Said"):
        world.emit(Said(who=[0, 0], text=["new"] * 3))
    with refused(world, ColumnShapeError, "Said.vector"):
        world.emit(Said(who=[0, 0], vector=[[1, 2, 3]] * 2))
    with refused(world, MissingFieldError, "Said.who", "Said(who=...)"):
        world.emit(Said(text="new"))
    with refused(world, UnknownFieldError, "whom"):
        world.emit(Said(whom=0))


def test_events_and_components_are_told_apart():
    """An event cannot be spawned, a component cannot be emitted or read."""
    world = World()
    with refused(world, UnknownComponentError, "Number", "emit"):
        world.spawn(Number(n=1))
    with refused(world, UnknownComponentError, "Position", "@event"):
        world.emit(Position(x=1))
    with refused(world, UnknownComponentError, "Position", "@event"):
        world.events(Position)
    with refused(world, UnknownComponentError):
        world.emit(5)
    with refused(world, UnknownComponentError):
        world.events(int)


def test_a_system_emits_what_another_reads_over_steps():
    """Readers that run more seldom get all that came meanwhile, in order."""
    world, seen = World(), []

    @system
    def count(emit: Emit[Number], world_clock: Events[Tick]):
        emit(Number(n=world.clock.tick))

    @system(every=3)
    def hear(numbers: Events[Number]):
        seen.append(numbers.n.tolist())

    world.add_systems(count, hear)
    world.run(9, step=1)
    assert seen == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@settings(max_examples=100)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("emit"), st.integers(0, 4)),
            st.tuples(st.just("read"), st.integers(0, 2)),
            st.tuples(st.just("step"), st.just(0)),
        ),
        max_size=30,
    )
)
def test_no_event_is_lost_or_seen_twice(program):
    """Whatever the order of emitting, reading and steps, each of three readers gets 0, 1, 2, ..."""
    world = World()
    readers = [world.events(Number) for _ in range(3)]
    seen, emitted = [[], [], []], 0
    for act, k in program:
        if act == "emit":
            world.emit(Number(n=np.arange(emitted, emitted + k)))
            emitted += k
        elif act == "read":
            assert len(readers[k]) == emitted - len(seen[k])
            seen[k] += readers[k].read().n.tolist()
        else:
            world.step(1)
    for k in range(3):
        seen[k] += readers[k].read().n.tolist()
        assert seen[k] == list(range(emitted))
    world.step(1)
    assert len(world.event_queues.queue(Number)) == 0


@pytest.mark.parametrize("n", [0, 1, 100_000])
def test_batches_of_any_size(n):
    """A batch of any size is read back whole."""
    world = World()
    reader = world.events(Number)
    world.emit(Number(n=np.arange(n)))
    assert np.array_equal(reader.read().n, np.arange(n))


# -- some of a batch -----------------------------------------------------------------------------


def said(world, n):
    """A batch of n events of every kind of column, as read."""
    reader = world.events(Said)
    who = world.spawn(n)
    vector = np.arange(2 * n).reshape(n, 2)
    world.emit(
        Said(who=who, text=[f"t{k}" for k in range(n)], loud=np.arange(n) / n, vector=vector)
    )
    return reader.read()


def columns(batch):
    return {name: getattr(batch, name) for name in Said.__annotations__}


@given(st.integers(0, 12), st.data())
def test_some_events_of_a_batch(n, data):
    """By a mask, by places or by a slice: every column, in the order asked for; the batch itself
    stays as it was."""
    world = World()
    batch = said(world, n)
    whole = {name: column.copy() for name, column in columns(batch).items()}
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    places = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20) if n else st.just([])))
    cut = slice(data.draw(st.integers(0, n)), None)
    for rows in (mask, places.astype(np.int64), cut, np.flatnonzero(mask)):
        some = picked(batch, rows)
        assert isinstance(some, Said)
        assert len(some) == len(np.arange(n)[rows])
        for name, column in columns(some).items():
            assert column.dtype == whole[name].dtype
            assert np.array_equal(column, whole[name][rows])
        again = picked(some, np.arange(len(some))[::-1])
        assert np.array_equal(again.who, some.who[::-1])
    for name, column in columns(batch).items():
        assert np.array_equal(column, whole[name])
    assert len(batch) == n


def test_picking_none_or_all():
    """No event keeps the columns with their types; lists and tuples of places are places too."""
    world = World()
    batch = said(world, 3)
    none = picked(batch, np.zeros(3, bool))
    assert (len(none), none.who.dtype, none.vector.shape) == (0, np.uint64, (0, 2))
    assert len(picked(batch, [])) == 0
    assert picked(batch, np.ones(3, bool)).who.tolist() == batch.who.tolist()
    assert picked(batch, [2, 0, 2]).who.tolist() == batch.who[[2, 0, 2]].tolist()
    empty = picked(picked(batch, []), np.zeros(0, bool))
    assert len(empty) == 0


def test_events_without_fields_are_picked_by_number():
    """Of five bare events two are two."""
    world = World()
    reader = world.events(Tick)
    for _ in range(5):
        world.emit(Tick)
    batch = reader.read()
    assert len(picked(batch, np.array([True, False, False, True, False]))) == 2
    assert len(picked(batch, [0, 1, 1])) == 3
    assert len(picked(batch, slice(1, None))) == 4
    assert len(picked(picked(batch, []), [])) == 0


def test_events_of_the_living():
    """What it is for: a system drops the events of those who are dead by now."""
    world, heard = World(), []

    @system
    def hear(w: World, said: Events[Said]):
        heard.append(picked(said, w.alive(said.who)).who.tolist())

    world.add_system(hear)
    people = world.spawn(4)
    world.emit(Said(who=people[[3, 1, 0, 1]]))
    world.despawn(people[[0, 3]])
    world.step(1)
    assert heard == [people[[1, 1]].tolist()]


# -- whether anybody reads -----------------------------------------------------------------------


def test_whether_anybody_reads():
    """A queue has readers while a reader lives, whether it has read or not."""
    world = World()
    queue = world.event_queues.queue(Number)
    assert queue.has_readers is False
    first = world.events(Number)
    second = world.events(Number)
    assert queue.has_readers is True
    assert world.event_queues.queue(Tick).has_readers is False
    first.read()
    del first
    gc.collect()
    assert queue.has_readers is True
    world.step(1)
    assert queue.has_readers is True
    del second
    gc.collect()
    assert queue.has_readers is False
    world.step(1)
    assert queue.has_readers is False


def test_a_system_that_reads_is_a_reader():
    """From its registration on, also one that runs seldom; one that emits is none."""
    world = World()
    queue = world.event_queues.queue(Number)

    @system
    def speak(emit: Emit[Number]):
        emit(Number(n=1))

    @system(every=100)
    def hear(numbers: Events[Number]): ...

    world.add_system(speak)
    world.step(1)
    assert queue.has_readers is False
    world.add_system(hear)
    assert queue.has_readers is True
    for _ in range(3):
        world.step(1)
    assert queue.has_readers is True
    assert len(queue) == 4  # the one that was still held, too


def test_asking_emits_and_drops_nothing():
    """What is held is held, whoever asks."""
    world = World()
    queue = world.event_queues.queue(Number)
    world.emit(Number(n=[1, 2]))
    assert queue.has_readers is False
    assert len(queue) == 2
    reader = world.events(Number)
    assert queue.has_readers is True
    assert reader.read().n.tolist() == [1, 2]
