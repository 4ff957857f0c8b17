"""`changed_since`: exactly the rows whose component was given, or differs by value, since a
mark."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Vector, World, Write, component, f8, field, i1, i8, kernel, system
from populace.ecs.errors import CapacityError, QueryError, UnknownComponentError, UntrackedError

from .parts import Asleep, Friend, Hungry, Memory, Position, Tie, Trace, Velocity, Weight, refused

CHUNK = 65_536


def tracked(n=8, *components):
    """A world that tracks Position, n entities at 0, and a mark after that."""
    world = World()
    world.track(Position)
    ids = world.spawn(n, Position(x=0), *components)
    return world, ids, world.mark()


def changed(world, mark, cls=Position):
    found = world.changed_since(mark, cls)
    assert found.dtype == np.uint64
    assert (found[1:] > found[:-1]).all()
    return found.tolist()


def only(query):
    (view,) = query
    return view


# -- what counts ---------------------------------------------------------------------------------


@kernel
def double(position: Write[Position]):
    position.x *= 2


def test_a_kernel_counts_where_the_value_differs():
    """At each run, in all its tables, also when it ran before somebody tracked what it writes, and
    when tables have grown or were handed over since its last run."""
    world = World()
    still = world.spawn(3, Position(x=0), Hungry)
    ids = np.concatenate([world.spawn(3, Position(x=1)), world.spawn(2, Position(x=1), Asleep)])
    run = double.bind(world).run
    run()
    world.track(Position)
    for change in (
        lambda: None,
        lambda: None,
        lambda: world.spawn(40, Position(x=0)),
        lambda: world.query(Position, with_=Asleep).add(Velocity),
        lambda: world.despawn(still[:1]),
    ):
        change()
        mark = world.mark()
        run()
        assert changed(world, mark) == sorted(ids.tolist())
        assert changed(world, world.mark()) == []


def test_spawn_and_add_count():
    """Who is given the component after the mark has changed; who had it before has not."""
    world, ids, mark = tracked()
    other = world.spawn(2)
    assert changed(world, mark) == []
    new = world.spawn(1, Position(x=0))
    world.add(other, Position(x=0))
    assert changed(world, mark) == sorted([*new.tolist(), *other.tolist()])
    assert changed(world, world.mark()) == []
    assert changed(world, 0) == sorted([*ids.tolist(), *other.tolist(), *new.tolist()])


def test_set_counts_where_the_value_differs():
    """Setting the same value is no change, another one is."""
    world, ids, mark = tracked()
    world.set(ids, Position(x=0, y=0))
    assert changed(world, mark) == []
    world.set(ids[[6, 1]], Position(x=[0, 5]))
    assert changed(world, mark) == ids[[1]].tolist()
    world.query(Position).set(Position(y=np.arange(8) % 2))
    assert changed(world, mark) == ids[1::2].tolist()


def test_raw_writes_count():
    """A numpy write into a column is seen, by row, without a word from the writer."""
    world, ids, mark = tracked()
    position = only(world.query(Position))
    position.x[3] = 1
    position.y[5:7] += 2
    assert changed(world, mark) == ids[[3, 5, 6]].tolist()
    assert changed(world, mark) == ids[[3, 5, 6]].tolist()


def test_reading_is_no_change():
    """Handing a column out, reading it, writing back what is there: nothing has changed."""
    world, _, mark = tracked()
    position = only(world.query(Position))
    position.x[:] = position.x.copy()
    position.y += 0
    position.x = position.x * 1
    assert position.x.sum() == 0
    assert changed(world, mark) == []


def test_bits_decide():
    """-0.0 instead of 0.0 is a change, another NaN payload is one, the same NaN again is none."""

    @component
    class Open:
        x: f8 = field(0, finite=False)

    world = World()
    world.track(Open)
    ids = world.spawn(4, Open(x=[0.0, np.nan, np.nan, 1.0]))
    mark = world.mark()
    column = only(world.query(Open)).x
    column[0] = -0.0
    column[1] = np.nan
    column.view(np.uint64)[2] ^= 1
    assert changed(world, mark, Open) == ids[[0, 2]].tolist()


def test_every_kind_of_field_counts():
    """Text, enums, references, vectors and small integers are compared too."""
    world = World()
    world.track(Memory)
    people = world.spawn(2)
    ids = world.spawn(6, Memory(owner=people[0], text="same"))
    for turn, value in enumerate(
        (
            Memory(owner=people[1]),
            Memory(kind="chat"),
            Memory(text="other"),
            Memory(vector=[0, 0, 0, 1]),
        )
    ):
        mark = world.mark()
        world.set(ids[turn], value)
        assert changed(world, mark, Memory) == [ids[turn]]
    mark = world.mark()
    memory = only(world.query(Memory))
    memory.vector[5, 2] = 1e-30
    memory.text[4] = 0
    assert changed(world, mark, Memory) == ids[[4, 5]].tolist()


def test_columns_of_odd_widths():
    """A change of any byte of a row of 1, 3, 12 or 20 bytes is seen."""

    @component
    class Odd:
        one: i1 = 0
        three: Vector[3, i1] = 0
        twelve: Vector[3] = 0
        twenty: Vector[5] = 0

    world = World()
    world.track(Odd)
    ids = world.spawn(50, Odd)
    rng = np.random.default_rng(1)
    for name in Odd.__annotations__:
        mark = world.mark()
        column = getattr(only(world.query(Odd)), name).reshape(50, -1)
        rows = rng.permutation(50)[:7]
        column[rows, rng.integers(0, column.shape[1], 7)] = 1
        assert changed(world, mark, Odd) == np.sort(ids[rows]).tolist()


def test_derived_fields_do_not_count():
    """A derived field is a cache: filling it changes nothing that is kept."""
    world = World()
    world.track(Trace)
    ids = world.spawn(3, Trace)
    mark = world.mark()
    trace = only(world.query(Trace))
    trace.strength = [1, 2, 3]
    assert changed(world, mark, Trace) == []
    trace.accessed[1] = 7
    assert changed(world, mark, Trace) == [ids[1]]


def test_a_tag_counts_when_it_is_given():
    """A tracked tag has no value: gaining it is the only change."""
    world = World()
    world.track(Asleep)
    ids = world.spawn(4)
    mark = world.mark()
    world.add(ids[1:3], Asleep)
    assert changed(world, mark, Asleep) == ids[1:3].tolist()
    mark = world.mark()
    world.remove(ids[1], Asleep)
    assert changed(world, mark, Asleep) == []
    world.add(ids[1], Asleep)
    assert changed(world, mark, Asleep) == [ids[1]]


def test_the_dead_and_those_without_it_are_not_reported():
    """Only living entities that have the component now."""
    world, ids, mark = tracked()
    only(world.query(Position)).x[:] = 1
    world.despawn(ids[:3])
    world.remove(ids[7], Position)
    assert changed(world, mark) == ids[3:7].tolist()


def test_a_reference_nulled_by_a_despawn_has_changed():
    """on_despawn="null" writes into the survivor: that is a change of it."""
    world = World()
    world.track(Friend)
    people = world.spawn(2)
    ids = world.spawn(Friend(other=people[[0, 1]]))
    mark = world.mark()
    world.despawn(people[0])
    assert changed(world, mark, Friend) == [ids[0]]


def test_upsert_counts_by_value():
    """An upsert changes the known edges whose value differs, and the new ones."""
    world = World()
    world.track(Weight)
    people = world.spawn(3)
    tie = Tie(source=people[[0, 1]], target=people[2])
    ids, _ = world.upsert(tie, Weight(w=[1, 2]))
    mark = world.mark()
    world.upsert(tie, Weight(w=[1, 3]))
    assert changed(world, mark, Weight) == [ids[1]]
    new, _ = world.ensure(Tie(source=people, target=people[2]), Weight(w=9))
    assert changed(world, mark, Weight) == sorted([ids[1], new[2]])


def test_components_are_tracked_apart():
    """A change of one component says nothing of another."""
    world = World()
    world.track(Position, Velocity)
    ids = world.spawn(3, Position(x=0), Velocity)
    mark = world.mark()
    world.set(ids[0], Position(x=1))
    only(world.query(Velocity)).y[2] = 1
    assert changed(world, mark, Position) == [ids[0]]
    assert changed(world, mark, Velocity) == [ids[2]]


# -- when it was ---------------------------------------------------------------------------------


def test_marks_divide_time():
    """Each mark asks about what came after it, and all marks keep answering."""
    world, ids, first = tracked()
    marks = [first]
    for k in range(5):
        only(world.query(Position)).x[k] = 1
        marks.append(world.mark())
    for k, mark in enumerate(marks):
        assert changed(world, mark) == ids[k:5].tolist()
    assert marks == sorted(set(marks))


def test_changed_and_changed_back():
    """A value that is back at a mark counts as changed since an earlier mark when a mark lay
    between; nobody who was never written is reported."""
    world, ids, first = tracked()
    position = only(world.query(Position))
    position.x[2] = 1
    second = world.mark()
    position.x[2] = 0
    assert changed(world, second) == [ids[2]]
    assert changed(world, first) == [ids[2]]
    third = world.mark()
    position.x[4] = 1
    position.x[4] = 0
    assert changed(world, third) == []


def test_every_step_is_a_mark():
    """What a step changes is asked about by the mark before it."""
    world, ids, _ = tracked()

    @system
    def push(position: Write[Position]):
        position.x[:2] += 1

    world.add_system(push)
    for _ in range(3):
        mark = world.mark()
        world.step(1)
        assert changed(world, mark) == ids[:2].tolist()


def test_asking_does_not_disturb():
    """Asking in between, or not at all, gives the same answer in the end."""
    answers = []
    for ask in (False, True):
        world, ids, mark = tracked()
        position = only(world.query(Position))
        for row in (1, 4, 1):
            position.x[row] += 1
            if ask:
                changed(world, mark)
                changed(world, 0)
        answers.append(changed(world, mark))
    assert answers[0] == answers[1] == ids[[1, 4]].tolist()


# -- arrays kept aside ---------------------------------------------------------------------------


def test_arrays_kept_across_marks():
    """An array taken before a mark and written after it is seen, however long it is kept."""
    world, ids, _ = tracked()
    kept = only(world.query(Position)).x
    for row in (0, 3, 5):
        mark = world.mark()
        assert changed(world, mark) == []
        mark = world.mark()
        kept[row] = 9
        assert changed(world, mark) == [ids[row]]


@pytest.mark.parametrize(
    "derive",
    [
        lambda x: x[2:],
        lambda x: x[::2],
        lambda x: x.reshape(4, 2),
        lambda x: x.view(np.uint32),
        lambda x: np.asarray(memoryview(x)),
        lambda x: (lambda y: y)(x),
        lambda x: [x],
        lambda x: np.ma.masked_array(x, copy=False),
    ],
    ids=["slice", "strides", "reshape", "view", "memoryview", "name", "list", "masked"],
)
def test_arrays_made_from_a_column_keep_it_open(derive):
    """Slices, reshapes, views and containers of a column can be kept and written like the
    column."""
    world, ids, _ = tracked()
    kept = derive(only(world.query(Position)).x)
    gc.collect()
    for _ in range(3):
        world.step(1)
    mark = world.mark()
    target = kept[0] if isinstance(kept, list) else kept
    target[...] = 7
    got = changed(world, mark)
    assert set(got) == {i for i, x in zip(ids, world.get(ids, Position.x), strict=True) if x != 0}
    assert got


def test_a_slice_kept_over_a_structural_change():
    """A slice that still writes into the live column after its table was handed over, shrunk or
    clustered is seen; one that does not write there changes nothing."""
    for change in (
        lambda world, ids: world.query(Position).add(Hungry),
        lambda world, ids: world.shrink(),
        lambda world, ids: world.cluster(Position.x),
        lambda world, ids: world.despawn(ids[-1:]),
        lambda world, ids: world.spawn(1, Position(x=0)),
        lambda world, ids: world.spawn(1_000, Position(x=0)),
        lambda world, ids: world.track(Velocity),
        lambda world, ids: world.reserve(5_000, Position),
    ):
        world, ids, _ = tracked()
        kept = only(world.query(Position)).x[1:4]
        change(world, ids)
        mark = world.mark()
        before = world.get(ids[:7], Position.x)
        if kept.flags.writeable:
            kept[:] = 5
        now = world.get(ids[:7], Position.x)
        assert changed(world, mark) == ids[:7][now != before].tolist()


def test_an_array_let_go_closes_the_column():
    """Once nobody holds a writable array, marks need no comparison; a later hand-out opens
    again."""
    world, ids, _ = tracked()
    kept = only(world.query(Position)).x
    kept[0] = 1
    world.mark()
    del kept
    gc.collect()
    world.mark()
    mark = world.mark()
    assert changed(world, mark) == []
    only(world.query(Position)).x[1] = 1
    assert changed(world, mark) == [ids[1]]


# -- rows that move ------------------------------------------------------------------------------

MOVES = {
    "add a tag": lambda world, ids: world.add(ids[::2], Asleep),
    "add to all": lambda world, ids: world.query(Position).add(Asleep),
    "there and back": lambda world, ids: (world.add(ids, Asleep), world.remove(ids[::-1], Asleep)),
    "holes": lambda world, ids: world.despawn(world.query(Hungry).ids()[:1]),
    "cluster": lambda world, ids: world.cluster(Velocity.y),
    "shrink": lambda world, ids: world.shrink(),
    "growth": lambda world, ids: world.despawn(world.spawn(2_000, Position(x=0), Velocity)),
    "reserve": lambda world, ids: world.reserve(2_000, Position, Velocity),
    "remove another": lambda world, ids: world.remove(ids[3:6], Velocity),
    "track another": lambda world, ids: world.track(Velocity),
}


@pytest.mark.parametrize("move", MOVES)
def test_rows_that_move_keep_their_ticks(move):
    """Moving rows between and inside tables is no change of their values, and forgets none."""
    world = World()
    world.track(Position)
    filler = world.spawn(3, Position(x=0), Velocity, Hungry)
    ids = world.spawn(10, Position(x=0), Velocity(y=np.arange(10) % 3))
    world.despawn(filler[:1])
    first = world.mark()
    world.set(ids[[2, 7]], Position(x=1))
    second = world.mark()
    only(world.query(Position, without=Hungry)).x[4] = 1
    third = world.mark()
    MOVES[move](world, ids)
    assert changed(world, third) == []
    assert changed(world, second) == [ids[4]]
    assert changed(world, first) == ids[[2, 4, 7]].tolist()
    world.check()


@pytest.mark.parametrize("move", MOVES)
def test_a_write_just_before_a_move_is_seen(move):
    """A raw write and then a move, with no mark between: the change moves along."""
    world = World()
    world.track(Position)
    world.spawn(3, Position(x=0), Velocity, Hungry)
    ids = world.spawn(10, Position(x=0), Velocity)
    mark = world.mark()
    position = only(world.query(Position, without=Hungry))
    position.x[[1, 4, 9]] = 3
    del position
    world.set(ids[6], Position(y=3))
    MOVES[move](world, ids)
    assert changed(world, mark) == ids[[1, 4, 6, 9]].tolist()


def test_a_component_taken_and_given_back_has_changed():
    """remove and add again: given anew, changed, whatever the value."""
    world, ids, mark = tracked()
    world.remove(ids[2], Position)
    world.add(ids[2], Position(x=0))
    assert changed(world, mark) == [ids[2]]


def test_a_new_entity_in_an_old_slot_or_row():
    """Neither a recycled id nor a recycled row inherits a change."""
    world, ids, _ = tracked()
    only(world.query(Position)).x[:] = 1
    world.despawn(ids[3:])
    mark = world.mark()
    new = world.spawn(5, Position(x=1))
    assert changed(world, mark) == sorted(new.tolist())
    mark = world.mark()
    assert changed(world, mark) == []


# -- tracking itself -----------------------------------------------------------------------------


def test_untracked_components_cannot_be_asked_about():
    """Without `track` the question is an error that says what to call; the component is named."""
    world, _, mark = tracked()
    world.spawn(2, Velocity)
    with refused(world, UntrackedError, "Velocity", "world.track(Velocity)"):
        world.changed_since(mark, Velocity)
    with refused(world, UnknownComponentError, "int"):
        world.changed_since(mark, int)
    for stranger in (int, Position(x=1)):
        with refused(world, UnknownComponentError):
            world.track(stranger)


def test_an_event_cannot_be_tracked():
    """Events are not in tables."""
    from .test_values import Happened

    world = World()
    with refused(world, QueryError, "Happened"):
        world.track(Happened)


def test_the_last_tick():
    """When every tick has been used, a mark is refused instead of counting from 0 again."""
    world, ids, _ = tracked()
    world.store.changes.tick = 2**32 - 2
    mark = world.mark()
    world.set(ids[0], Position(x=1))
    assert changed(world, mark) == [ids[0]]
    with refused(world, CapacityError, "ticks"):
        world.mark()
    world.check()


def test_tracking_late():
    """Rows that exist when tracking begins count as changed then; twice does no harm."""
    world = World()
    ids = world.spawn(5, Position(x=1), Asleep)
    early = world.mark()
    world.track(Position)
    assert changed(world, early) == ids.tolist()
    mark = world.mark()
    world.track(Position)
    assert changed(world, mark) == []
    world.set(ids[0], Position(x=2))
    assert changed(world, mark) == [ids[0]]
    world.check()


def test_tracking_changes_no_contents():
    """A tracked world has the same digest, and its queries the same rows."""
    plain, watched = World(), World()
    watched.track(Position, Memory)
    for world in (plain, watched):
        ids = world.spawn(20, Position(x=range(20)))
        world.spawn(Memory(owner=ids))
        world.despawn(ids[3:9])
        world.cluster(Position.x)
    assert plain.digest() == watched.digest()
    assert (
        plain.query(Position).gather(Position.x).tolist()
        == watched.query(Position).gather(Position.x).tolist()
    )


def test_chunks():
    """Changes at the edges of the 65,536-row chunks are seen to the row."""

    @component
    class Big:
        x: i8 = 0

    world = World()
    world.track(Big)
    n = 3 * CHUNK + 100
    ids = world.spawn(n, Big)
    rows = [0, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK, 3 * CHUNK, n - 1]
    mark = world.mark()
    world.set(ids[rows], Big(x=1))
    assert changed(world, mark, Big) == ids[rows].tolist()
    mark = world.mark()
    only(world.query(Big)).x[[r ^ 1 for r in rows]] = 1
    assert changed(world, mark, Big) == np.sort(ids[[r ^ 1 for r in rows]]).tolist()
    mark = world.mark()
    world.despawn(ids[1 : CHUNK + 5])
    assert changed(world, mark, Big) == []
    world.set(ids[-1], Big(x=5))
    assert changed(world, mark, Big) == [ids[-1]]
    world.spawn(CHUNK, Big)
    assert len(changed(world, mark, Big)) == CHUNK + 1
    world.check()


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "raw",
                    "set",
                    "spawn",
                    "despawn",
                    "tag",
                    "untag",
                    "mark",
                    "cluster",
                    "add",
                    "remove",
                ]
            ),
            st.integers(0, 2**32 - 1),
        ),
        max_size=25,
    )
)
def test_any_history_of_changes(program):
    """Whatever is done, each mark answers with the rows whose value at some later mark, or now,
    differs from what it was at the mark before, and those that were given the component; beyond
    them at most rows that changed and changed back in between."""
    world = World()
    world.track(Position)
    ids = world.spawn(12)
    world.add(ids[:8], Position(x=0))
    values = dict.fromkeys(ids[:8].tolist(), 0)  # id -> x, now
    at_mark, last = dict(values), dict.fromkeys(values, 1)  # id -> x, number of its last change
    ever = dict(last)  # id -> number of the last mark before which it differed for a while
    marks = [world.mark()]

    def differing():
        return {e: len(marks) + 1 for e, x in values.items() if at_mark.get(e) != x}

    def close():
        last.update(differing())
        at_mark.clear()
        at_mark.update(values)

    for act, seed in program:
        rng = np.random.default_rng(seed)
        have = np.array(sorted(values), np.uint64)
        some = rng.permutation(have)[: rng.integers(0, have.size + 1)]
        if act == "raw":
            for position in world.query(Position):
                for row in rng.permutation(len(position))[:2]:
                    position.x[row] = rng.integers(1, 1_000_000)
                    values[int(position.ids[row])] = int(position.x[row])
        elif act == "set":
            xs = rng.integers(1, 1_000_000, some.size)
            world.set(some, Position(x=xs))
            values.update(zip(some.tolist(), xs.tolist(), strict=True))
        elif act in ("spawn", "add"):
            lacking = world.query(without=Position).ids()
            target = world.spawn(2) if act == "spawn" else lacking[:2]
            world.add(target, Position(x=0))
            for entity in target.tolist():
                values[entity] = at_mark[entity] = 0
                last[entity] = ever[entity] = len(marks) + 1
        elif act in ("despawn", "remove"):
            world.despawn(some[:2]) if act == "despawn" else world.remove(some[:2], Position)
            for entity in some[:2].tolist():
                del values[entity]
                at_mark.pop(entity), last.pop(entity), ever.pop(entity, None)
        elif act == "tag":
            world.add(some[~world.has(some, Asleep)], Asleep)
        elif act == "untag":
            world.remove(some[world.has(some, Asleep)], Asleep)
        elif act == "cluster":
            world.cluster(Position.x)
        else:
            close()
            marks.append(world.mark())
        ever.update(differing())
        if seed % 3 == 0:
            world.changed_since(marks[-1], Position)
    close()
    for number, mark in enumerate(marks, 1):
        found = set(changed(world, mark))
        assert found >= {e for e, tick in last.items() if tick > number}
        assert found <= {e for e, tick in ever.items() if tick > number}
