"""Journals: events that are kept for good, as growing columns."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace import (
    Emit,
    Entity,
    Events,
    Text,
    Vector,
    World,
    b1,
    event,
    f4,
    field,
    i2,
    i4,
    minutes,
    system,
)
from populace.ecs.errors import DeadEntityError, ResourceError, UnknownComponentError
from populace.ecs.image import capture, restore
from populace.ecs.journal import SMALLEST, Journal

from .parts import Kind, Position


@event
class Talked:
    who: Entity = 0
    words: Text = "hm"
    loud: f4 = field(0.5, range=(0, 1))
    kind: Kind = Kind.CHAT
    at: Vector[2] = (1, 2)
    code: Vector[3, i2] = 0
    sure: b1 = True
    n: i4 = 0


@event
class Rang:
    """An event without fields."""


def numbers(world):
    return world.journal(Talked).columns["n"].tolist()


def test_events_are_kept_in_their_order():
    """Several batches a step, from systems and from outside, between steps and in them."""
    world = World()
    world.keep(Talked)

    @system
    def early(emit: Emit[Talked]):
        emit(Talked(n=[1, 2]))
        emit(Talked(n=3))

    @system(phase="last")
    def late(world: World):
        world.emit(Talked(n=4))

    world.add_systems(early, late)
    world.emit(Talked(n=[0, 0]))
    world.step(1)
    assert numbers(world) == [0, 0, 1, 2, 3, 4]
    world.emit(Talked(n=9))
    world.emit(Talked(n=[]))
    assert numbers(world) == [0, 0, 1, 2, 3, 4]
    world.step(1)
    assert numbers(world) == [0, 0, 1, 2, 3, 4, 9, 1, 2, 3, 4]


def test_every_kind_of_field():
    """Columns have the dtype and width of their fields, and hold what was emitted."""
    world = World()
    people = world.spawn(3)
    world.keep(Talked)
    world.emit(
        Talked(
            who=people,
            words=["a", "b", "a"],
            loud=[0, 0.25, 1],
            kind=["event", "chat", "thought"],
            at=[[1, 2], [3, 4], [5, 6]],
            code=[1, 2, 3],
            sure=[True, False, True],
            n=-1,
        )
    )
    world.step(1)
    columns = world.journal(Talked).columns
    assert list(columns) == ["who", "words", "loud", "kind", "at", "code", "sure", "n"]
    assert [str(c.dtype) for c in columns.values()] == [
        "uint64", "uint32", "float32", "uint8", "float32", "int16", "bool", "int32",
    ]  # fmt: skip
    assert columns["who"].tolist() == people.tolist()
    assert world.text.decode(columns["words"]) == ["a", "b", "a"]
    assert columns["loud"].tolist() == [0, 0.25, 1]
    assert columns["kind"].tolist() == [0, 1, 7]
    assert columns["at"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert columns["code"].tolist() == [[1, 2, 3]] * 3
    assert columns["sure"].tolist() == [True, False, True]
    assert columns["n"].tolist() == [-1] * 3


def test_an_empty_journal_has_its_columns():
    """Before the first event the columns are there, of the right shapes."""
    world = World()
    world.keep(Talked)
    journal = world.journal(Talked)
    shapes = {name: column.shape for name, column in journal.columns.items()}
    assert len(journal) == journal.n == 0
    assert shapes["at"] == (0, 2)
    assert shapes["who"] == (0,)
    world.step(1)
    assert len(journal) == 0
    assert repr(journal) == "<Journal of Talked: 0 events>"


def test_events_without_fields_are_counted():
    """A journal of events that hold nothing has a length and no column."""
    world = World()
    world.keep(Rang)
    for k in range(3):
        for _ in range(k):
            world.emit(Rang)
        world.step(1)
    assert len(world.journal(Rang)) == 3
    assert world.journal(Rang).columns == {}
    other = restore(capture(world))
    other.emit(Rang())
    other.step(1)
    assert len(other.journal(Rang)) == 4


def test_growth_keeps_what_was_given_out():
    """Columns of before stay what they were while the journal grows past its buffers."""
    world = World()
    world.keep(Talked)
    given_out, total = [], 0
    for n in (1, SMALLEST - 1, 1, 3 * SMALLEST, 0, 5, 9 * SMALLEST):
        world.emit(Talked(n=np.arange(total, total + n), at=np.ones((n, 2)) * n))
        total += n
        world.step(1)
        given_out.append((total, world.journal(Talked).columns))
        for rows, columns in given_out:
            assert columns["n"].tolist() == list(range(rows))
            assert columns["at"].shape == (rows, 2)
    assert (np.diff(world.journal(Talked).columns["at"][:, 0]) >= 0).sum() >= total - 3


def test_columns_are_read_only():
    """What happened cannot be changed, nor by taking the columns twice."""
    world = World()
    world.keep(Talked)
    world.emit(Talked(n=1))
    world.step(1)
    for _ in range(2):
        for column in world.journal(Talked).columns.values():
            with pytest.raises(ValueError, match="read-only"):
                column[...] = 0
    world.journal(Talked).columns["n"] = None
    assert numbers(world) == [1]
    world.emit(Talked(n=2))
    world.step(1)
    assert numbers(world) == [1, 2]


def test_kept_twice_is_kept_once():
    """Keeping again changes nothing, wherever it is done."""
    world = World()
    world.keep(Talked, Talked)
    journal = world.journal(Talked)
    world.emit(Talked(n=1))
    world.keep(Talked)
    world.step(1)
    world.keep(Rang, Talked)
    assert world.journal(Talked) is journal
    assert numbers(world) == [1]
    assert isinstance(world.journal(Rang), Journal)


def test_what_is_still_held_is_kept_too():
    """A journal that begins late takes up what some reader has not seen, and nothing that is
    gone."""
    world = World()
    reader = world.events(Talked)
    world.emit(Talked(n=1))
    world.step(1)
    assert len(reader.read()) == 1
    world.emit(Talked(n=2))
    world.step(1)
    world.emit(Talked(n=3))
    world.keep(Talked)
    world.step(1)
    assert 1 not in numbers(world)
    assert numbers(world)[-1] == 3
    assert len(reader.read()) == 2


def test_other_readers_see_what_they_would():
    """A journal takes nothing from anybody, and holds nothing back once it has it."""
    world = World()
    world.keep(Talked)
    seen = []

    @system(every=minutes(2))
    def listen(talked: Events[Talked]):
        seen.append(talked.n.tolist())

    world.add_system(listen)
    reader = world.events(Talked)
    for k in range(1, 5):
        world.emit(Talked(n=k))
        world.step(minutes(1))
    assert seen == [[1, 2], [3, 4]]
    assert reader.read().n.tolist() == [1, 2, 3, 4]
    world.step(minutes(1))
    assert len(world.event_queues.held[Talked]) == 0
    assert numbers(world) == [1, 2, 3, 4]


def test_a_journal_is_a_reader():
    """A kept class has readers, so that systems take the trouble to emit; for good."""
    world = World()
    queue = world.event_queues.queue(Talked)
    assert not queue.has_readers
    world.keep(Talked)
    gc.collect()
    assert queue.has_readers
    world.step(1)
    assert queue.has_readers
    assert restore(capture(world)).event_queues.held[Talked].has_readers
    assert not world.event_queues.queue(Rang).has_readers


def test_references_stay_when_somebody_dies():
    """A kept event names who it was about, dead or alive, and never anybody else."""
    world = World()
    people = world.spawn(2)
    world.keep(Talked)
    world.emit(Talked(who=people))
    world.despawn(people[:1])
    world.step(1)
    world.despawn(people[1:])
    world.spawn(5)
    world.step(1)
    assert world.journal(Talked).columns["who"].tolist() == people.tolist()
    assert not world.alive(world.journal(Talked).columns["who"]).any()
    other = restore(capture(world))
    assert other.journal(Talked).columns["who"].tolist() == people.tolist()
    with pytest.raises(DeadEntityError):
        world.emit(Talked(who=people))


def test_a_step_that_fails_loses_nothing():
    """What was emitted before a system raised is taken up by the next step that ends."""
    world = World()
    world.keep(Talked)
    fail = [True]

    @system
    def speak(emit: Emit[Talked]):
        emit(Talked(n=1))

    @system(phase="last")
    def stumble(world: World):
        if fail.pop():
            raise ZeroDivisionError

    world.add_systems(speak, stumble)
    fail.append(True)
    with pytest.raises(ZeroDivisionError):
        world.step(1)
    assert numbers(world) == []
    fail[:] = [False]
    world.step(1)
    assert numbers(world) == [1, 1]


def test_a_journal_inside_a_step():
    """A system sees the journal as the last step left it."""
    world = World()
    world.keep(Talked)
    seen = []

    @system
    def look(world: World):
        world.emit(Talked(n=len(seen)))
        seen.append(world.journal(Talked).n)

    world.add_system(look)
    for _ in range(3):
        world.step(1)
    assert seen == [0, 1, 2]
    assert numbers(world) == [0, 1, 2]


def test_events_that_systems_append():
    """Events that come by `EventQueue.append`, without a check, are kept as well."""
    world = World()
    world.keep(Talked)
    world.emit(Talked(n=[1, 2]))
    queue = world.event_queues.queue(Talked)
    (_, n, columns) = queue.batches[0]
    queue.append(columns, n)
    world.step(1)
    assert numbers(world) == [1, 2, 1, 2]


def test_errors():
    """Only events are kept, and only what is kept can be asked for."""
    world = World()
    for wrong in (Position, int, Talked(), "Talked"):
        with pytest.raises(UnknownComponentError):
            world.keep(wrong)
    with pytest.raises(ResourceError, match=r"world\.keep\(Talked\)"):
        world.journal(Talked)
    for wrong in (Position, int, "Talked"):
        with pytest.raises(ResourceError):
            world.journal(wrong)
    assert world.journals == {}
    world.keep()
    assert world.journals == {}


def test_a_refused_keep_keeps_nothing():
    """As any batch: all of it or nothing."""
    world = World()
    with pytest.raises(UnknownComponentError):
        world.keep(Talked, Position)
    assert world.journals == {}


# -- through images ------------------------------------------------------------------------------


def test_a_restored_journal_goes_on():
    """Kept events come back, those that wait are taken up once, and the two journals are apart."""
    world = World()
    world.keep(Talked)
    for k in range(3):
        world.emit(Talked(n=k, words=f"word {k}"))
        world.step(1)
    world.emit(Talked(n=3))
    other = restore(capture(world))
    before = world.journal(Talked).columns["n"]
    assert numbers(other) == [0, 1, 2]
    assert not other.journal(Talked).columns["n"].flags.writeable
    other.emit(Talked(n=-1))
    other.step(1)
    world.emit(Talked(n=4))
    world.step(1)
    assert numbers(other) == [0, 1, 2, 3, -1]
    assert numbers(world) == [0, 1, 2, 3, 4]
    assert before.tolist() == [0, 1, 2]
    words = other.text.decode(other.journal(Talked).columns["words"])
    assert words == ["word 0", "word 1", "word 2", "hm", "hm"]


def test_keeping_again_after_a_restore():
    """A program that says `keep` at its start may say so of a restored world."""
    world = World()
    world.keep(Talked)
    world.emit(Talked(n=1))
    world.step(1)
    other = restore(capture(world))
    other.keep(Talked, Rang)
    other.emit(Talked(n=2))
    other.step(1)
    assert numbers(other) == [1, 2]


ACTS = st.sampled_from(["emit", "emit", "step", "step", "by a system", "restore", "keep", "read"])


@given(acts=st.lists(st.tuples(ACTS, st.integers(0, 3)), max_size=25))
@examples(max_examples=60)
def test_any_history(acts):
    """A journal is the list of all that was emitted up to the end of the last step."""
    queued = []

    @system
    def speak(emit: Emit[Talked]):
        while queued:
            emit(Talked(n=queued.pop(0), loud=0.25))

    def begin(world):
        world.add_system(speak)
        return world, world.events(Talked)

    world, reader = begin(World())
    world.keep(Talked)
    waiting, kept, number = [], [], 0
    for act, n in acts:
        fresh = list(range(number, number + n))
        if act == "emit":
            world.emit(Talked(n=fresh, loud=0.25))
            waiting += fresh
            number += n
        elif act == "by a system" and n:
            queued.append(fresh)
            number += n
        elif act == "step":
            kept += waiting + [k for part in queued for k in part]
            waiting = []
            world.step(n)
        elif act == "restore":
            world, reader = begin(restore(capture(world)))
        elif act == "keep":
            world.keep(Talked)
        elif act == "read":
            reader.read()
        assert numbers(world) == kept
        assert (world.journal(Talked).columns["loud"] == 0.25).all()
        assert len(world.journal(Talked)) == len(kept)
