"""Tables: growing, shrinking, closing holes, handing over, clustering. Contents never change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Entity, Text, Vector, World, b1, component, f2, f4, f8, field, i1, i8, u2
from populace.ecs.errors import DeadEntityError, QueryError
from populace.ecs.table import BufferPool

from .parts import (
    Asleep,
    Hungry,
    Kind,
    Memory,
    Position,
    Tie,
    Velocity,
    columns_by_id,
    raw_state,
    refused,
)


@component
class Widths:
    """Columns of every width that moving rows treats apart: 1, 2, 4, 8, 3, 12, 20 bytes."""

    one: i1 = 0
    flag: b1 = False
    two: u2 = 0
    half: f2 = 0
    four: f4 = 0
    eight: f8 = 0
    three: Vector[3, i1] = 0
    twelve: Vector[3] = 0
    twenty: Vector[5, f4] = 0


@component
class Number:
    n: i8 = 0


def widths(numbers):
    """Values that tell every row apart in every column."""
    n = np.asarray(numbers, np.int64)
    return Widths(
        one=(n % 251 - 125).astype(np.int8),
        flag=n % 2 == 1,
        two=(n % 65_536).astype(np.uint16),
        half=(n % 1_000).astype(np.float16),
        four=n.astype(np.float32),
        eight=n * 0.5,
        three=np.stack([n % 100, -(n % 99), n % 3], axis=1).astype(np.int8),
        twelve=np.stack([n, n + 1, n + 2], axis=1).astype(np.float32),
        twenty=np.stack([n * k for k in range(5)], axis=1).astype(np.float32),
    )


def assert_rows(world, ids, numbers):
    """The entities `ids` have the values of `numbers`, in every column."""
    expected = widths(numbers)
    for name in Widths.__annotations__:
        found = world.get(ids, getattr(Widths, name))
        assert (
            found.tobytes() == np.ascontiguousarray(getattr(expected, name), found.dtype).tobytes()
        ), name
    assert world.get(ids, Number.n).tolist() == list(numbers)


def table_of(world, *components):
    return next(t for t in world.store.tables if set(t.archetype.components) == set(components))


def test_every_column_moves_with_its_row():
    """Rows that are spawned, moved to another archetype, moved back and closed up keep every value
    in columns of every width."""
    world = World()
    ids = world.spawn(widths(range(300)), Number(n=range(300)))
    world.add(ids[50:250:3], Asleep)
    assert_rows(world, ids, range(300))
    world.despawn(ids[::7])
    left = np.setdiff1d(np.arange(300), np.arange(0, 300, 7))
    assert_rows(world, ids[left], left.tolist())
    asleep = np.intersect1d(left, np.arange(50, 250, 3))
    world.remove(ids[asleep[::-1]], Asleep)
    assert_rows(world, ids[left], left.tolist())
    world.check()


@pytest.mark.parametrize(
    "gone",
    [
        [0], [9], [0, 9], [8, 9], [0, 1, 2], [4, 5], list(range(10)), [0, 2, 4, 6, 8],
        [1, 3, 5, 7, 9], [9, 0, 5], [3, 2, 1, 9, 8, 7], list(range(9)), list(range(1, 10)),
    ],
)  # fmt: skip
def test_holes_are_closed(gone):
    """Whichever rows of ten go, in whatever order, the others keep their values."""
    world = World()
    ids = world.spawn(widths(range(10)), Number(n=range(10)))
    assert world.despawn(ids[gone]) == len(gone)
    left = [i for i in range(10) if i not in gone]
    assert_rows(world, ids[left], left)
    assert world.query(Widths).count() == len(left)
    world.check()


def test_growth_doubles():
    """Spawning one by one reallocates a logarithmic number of times."""
    world = World()
    capacities = set()
    for number in range(2_000):
        world.spawn(Number(n=number))
        capacities.add(table_of(world, Number).capacity)
    assert len(capacities) < 12
    assert sorted(world.query(Number).gather(Number.n).tolist()) == list(range(2_000))
    world.check()


def test_reserved_room_is_not_reallocated():
    """After `reserve(n)` n spawns fit: the columns stay where they are."""
    world = World()
    world.spawn(3, Number)
    world.reserve(1_000, Number)
    table = table_of(world, Number)
    before, slots = table.buffers[1].ctypes.data, world.store.entities.slots.ctypes.data
    for _ in range(10):
        world.spawn(100, Number)
    assert table.buffers[1].ctypes.data == before
    assert world.store.entities.slots.ctypes.data == slots
    assert len(world) == 1_003
    world.check()


def test_reserve_changes_nothing_that_can_be_seen():
    """Reserving room spawns nobody and leaves digest and contents alone."""
    world = World()
    world.spawn(2, Number(n=[1, 2]))
    digest = world.digest()
    world.reserve(10_000, Number, Position)
    world.reserve(100, Number)
    assert world.digest() == digest
    assert len(world) == 2
    assert world.query(Number, Position).count() == 0
    world.check()


def test_shrink_gives_slack_back():
    """`shrink` frees what despawned rows held, says how much, and changes no value; a second one
    frees nothing."""
    world = World()
    ids = world.spawn(widths(range(50_000)), Number(n=range(50_000)))
    world.despawn(ids[1_000:])
    before = sum(sum(c.values()) for c in world.memory().values())
    freed = world.shrink()
    after = sum(sum(c.values()) for c in world.memory().values())
    assert freed > 49_000 * 50
    assert before - after >= freed
    assert world.shrink() == 0
    assert_rows(world, ids[:1_000], range(1_000))
    world.spawn(10, Number)
    world.check()


def test_memory_of_despawned_rows_is_reused():
    """Spawning and despawning the same number over and over does not grow the world."""
    world = World()
    sizes = []
    for _ in range(50):
        ids = world.spawn(1_000, Number, Position(x=0))
        world.despawn(ids)
        sizes.append(sum(sum(c.values()) for c in world.memory().values()))
    assert max(sizes[1:]) == sizes[1]


def test_a_recycled_buffer_brings_no_old_values():
    """Rows whose memory comes from another table start with their own defaults."""
    world = World()
    world.spawn(widths(range(64)), Number(n=range(64)))
    world.query(Widths).despawn()
    world.shrink()
    ids = world.spawn(64, Widths, Number)
    for name in Widths.__annotations__:
        assert not world.get(ids, getattr(Widths, name)).any()


def test_a_whole_query_moves_as_one():
    """Adding to all rows of a query, or removing, keeps ids, values and the order of rows; a table
    that moves as a whole is not copied."""
    world = World()
    ids = world.spawn(widths(range(100)), Number(n=range(100)))
    address = table_of(world, Widths, Number).buffers[1].ctypes.data
    assert world.query(Widths).add(Asleep) == 100
    assert world.query(Widths, Asleep).ids().tolist() == ids.tolist()
    assert table_of(world, Widths, Number, Asleep).buffers[1].ctypes.data == address
    assert_rows(world, ids, range(100))
    world.query(Asleep).remove(Asleep)
    assert table_of(world, Widths, Number).buffers[1].ctypes.data == address
    assert_rows(world, ids, range(100))
    world.check()


def test_a_whole_query_moves_into_a_table_with_rows():
    """Where the target has rows already, those that come join them."""
    world = World()
    first = world.spawn(widths(range(20)), Number(n=range(20)), Asleep)
    second = world.spawn(widths(range(20, 50)), Number(n=range(20, 50)))
    third = world.spawn(widths(range(50, 60)), Number(n=range(50, 60)), Hungry)
    assert world.query(Number, without=Asleep).add(Asleep) == 40
    assert_rows(world, np.concatenate([first, second, third]), range(60))
    assert world.query(Number, Asleep).count() == 60
    world.query(Number).remove(Number, Widths)
    assert world.query(Asleep).count() == 60
    assert world.query(Number).count() == 0
    world.check()


def test_two_tables_meet_in_one():
    """Two whole tables that become the same archetype in one call end up in one table."""
    world = World()
    a = world.spawn(3, Number(n=[1, 2, 3]), Asleep)
    b = world.spawn(3, Number(n=[4, 5, 6]), Hungry, Asleep)
    world.remove(np.concatenate([a, b]), Asleep)
    world.add(a, Hungry)
    assert world.get(np.concatenate([b, a]), Number.n).tolist() == [4, 5, 6, 1, 2, 3]
    assert world.query(Number, Hungry).count() == 6
    assert sum(t.n > 0 for t in world.store.tables) == 1
    world.check()


def test_a_bundle_moves_once():
    """Several components at once make one archetype, not one for each step."""
    world = World()
    ids = world.spawn(4, Number)
    before = len(world.store.archetypes)
    world.add(ids[:2], Position(x=1), Velocity, Asleep, Hungry)
    assert len(world.store.archetypes) == before + 1
    world.remove(ids[:2], Position, Asleep)
    assert len(world.store.archetypes) == before + 2


def test_values_follow_the_order_of_the_ids():
    """add and set give value j to ids[j], also where ids come from several tables in any order."""
    world = World()
    ids = np.concatenate(
        [world.spawn(4, Number), world.spawn(4, Number, Asleep), world.spawn(4, Number, Hungry)]
    )
    order = ids[np.random.default_rng(0).permutation(12)]
    world.set(order, Number(n=range(12)))
    assert world.get(order, Number.n).tolist() == list(range(12))
    world.add(order[::-1], Position(x=range(12), y=-np.arange(12.0)))
    assert world.get(order[::-1], Position.x).tolist() == list(range(12))
    assert world.get(order, Number.n).tolist() == list(range(12))
    world.check()


# -- cluster -------------------------------------------------------------------------------------


def test_cluster_sorts_every_table_by_field_then_index():
    """After `cluster` each table lies in the order of the field, equal values by entity index, and
    nothing else has changed."""
    world = World()
    rng = np.random.default_rng(5)
    for tags in ((), (Asleep,), (Asleep, Hungry)):
        world.spawn(widths(rng.integers(0, 9, 200)), Number(n=rng.integers(-5, 5, 200)), *tags)
    world.despawn(world.query(Number).ids()[::3])
    world.spawn(100, Number(n=rng.integers(-5, 5, 100)))
    before, digest = columns_by_id(world, [Widths, Number]), world.digest()
    world.cluster(Number.n)
    for numbers in world.query(Number):
        keys = list(zip(numbers.n.tolist(), (numbers.ids & 0xFFFF_FFFF).tolist(), strict=True))
        assert keys == sorted(keys)
    assert columns_by_id(world, [Widths, Number]) == before
    assert world.digest() == digest
    world.check()


def test_cluster_by_owner_lays_each_owners_rows_together():
    """Clustered by a reference, the rows of one owner are neighbours, by owner index, then
    index."""
    world = World()
    owners = world.spawn(50)
    memories = world.spawn(Memory(owner=owners[np.random.default_rng(2).integers(0, 50, 400)]))
    world.despawn(owners[::10])
    world.despawn(memories[world.alive(memories)][::5])
    before = columns_by_id(world, [Memory])
    world.cluster(Memory.owner)
    for memory in world.query(Memory):
        keys = list(zip((memory.owner & 0xFFFF_FFFF).tolist(), memory.ids.tolist(), strict=True))
        assert [k[0] for k in keys] == sorted(k[0] for k in keys)
        assert [(o, i & 0xFFFF_FFFF) for o, i in keys] == sorted(
            (o, i & 0xFFFF_FFFF) for o, i in keys
        )
    assert columns_by_id(world, [Memory]) == before
    world.check()


def test_cluster_makes_row_order_a_function_of_the_data():
    """Two worlds with the same entities but another history have the same rows after `cluster`."""

    def build(detour):
        world = World()
        ids = world.spawn(40, Number(n=np.arange(40) % 7))
        if detour:
            world.add(ids[::3], Asleep)
            world.remove(ids[::3][::-1], Asleep)
            world.query(Number).add(Hungry)
            world.query(Number).remove(Hungry)
        world.cluster(Number.n)
        return [(n.ids.tolist(), n.n.tolist()) for n in world.query(Number)]

    assert build(False) == build(True)


@pytest.mark.parametrize("wrong", [Memory.vector, Memory, "owner", None])
def test_what_cannot_be_clustered_by(wrong):
    """Only a field with one value a row can be sorted by."""
    world = World()
    world.spawn(2, Asleep)
    with refused(world, QueryError, "cluster"):
        world.cluster(wrong)


@pytest.mark.parametrize("field_of", [Memory.kind, Memory.text, Memory.owner, Position.x])
def test_cluster_by_any_single_value(field_of):
    """Enums, text codes, references and floats can all be sorted by; other tables stay."""
    world = World()
    owner = world.spawn(3)
    world.spawn(9, Memory(owner=owner[0], kind=[0, 1, 7] * 3, text=list("ihgfedcba")))
    world.spawn(4, Position(x=[3, -1, -0.0, 0.0]))
    before = columns_by_id(world, [Memory, Position])
    world.cluster(field_of)
    assert columns_by_id(world, [Memory, Position]) == before
    for view in world.query(field_of.component):
        column = getattr(view, field_of.name)
        assert (column[1:] >= column[:-1]).all()
    world.check()


# -- when memory runs out ------------------------------------------------------------------------

GROWING = {
    "spawn": lambda world, ids: world.spawn(widths(range(500)), Number(n=range(500))),
    "spawn of another archetype": lambda world, ids: world.spawn(9, Position(x=0), Number),
    "add": lambda world, ids: world.add(ids[::2], Position(x=1), Asleep),
    "add to all": lambda world, ids: world.query(Number).add(Position(x=1)),
    "remove": lambda world, ids: world.remove(ids[1:5], Number),
    "cluster": lambda world, ids: world.cluster(Number.n),
    "reserve": lambda world, ids: world.reserve(10_000, Number, Widths),
    "track": lambda world, ids: world.track(Number),
    "upsert": lambda world, ids: world.upsert(Tie(source=ids, target=ids[0]), Number(n=3)),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_failed_allocation_changes_nothing(name, monkeypatch):
    """Whichever buffer cannot be had, the call raises MemoryError and the world is as before; with
    memory again it succeeds."""
    world = World()
    ids = world.spawn(widths(range(20)), Number(n=range(20)))
    world.spawn(3, Number, Hungry)
    world.shrink()
    take, failures = BufferPool.take, 0
    for failing in range(40):
        left = [failing]

        def scarce(pool, key, capacity, left=left):
            if capacity and not left[0]:
                raise MemoryError(f"no {capacity} rows")
            left[0] -= bool(capacity)
            return take(pool, key, capacity)

        monkeypatch.setattr(BufferPool, "take", scarce)
        before = raw_state(world)
        try:
            GROWING[name](world, ids)
        except MemoryError:
            failures += 1
            monkeypatch.undo()
            assert raw_state(world) == before
            world.check()
        else:
            break
    monkeypatch.undo()
    assert failures
    assert left[0] >= 0
    world.check()


# -- any program ---------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spawn", "despawn", "add", "remove", "shrink"]),
            st.integers(0, 2**32 - 1),
        ),
        max_size=15,
    )
)
def test_rows_keep_their_values_whatever_moves(program):
    """Any sequence of spawns, despawns, adds, removes and shrinks of random subsets keeps every
    value of every survivor, in columns of every width."""
    world, numbers, next_number = World(), {}, 0
    for act, seed in program:
        rng = np.random.default_rng(seed)
        alive = np.array(list(numbers), np.uint64)
        some = rng.permutation(alive)[: rng.integers(0, alive.size + 1)]
        if act == "spawn":
            n = int(rng.integers(0, 70))
            born = world.spawn(
                n,
                widths(range(next_number, next_number + n)),
                Number(n=np.arange(next_number, next_number + n)),
            )
            numbers.update(zip(born.tolist(), range(next_number, next_number + n), strict=True))
            next_number += n
        elif act == "despawn":
            world.despawn(some)
            for entity in some.tolist():
                del numbers[entity]
        elif act == "add":
            world.add(some[~world.has(some, Asleep)], Asleep)
        elif act == "remove":
            world.remove(some[world.has(some, Asleep)], Asleep)
        else:
            world.shrink()
        world.check()
    assert_rows(world, np.array(list(numbers), np.uint64), list(numbers.values()))


def test_a_million_rows():
    """A table of a million rows grows, loses every third row and answers exactly."""
    world = World()
    ids = np.concatenate(
        [world.spawn(Number(n=np.arange(k, k + 250_000))) for k in range(0, 10**6, 250_000)]
    )
    world.despawn(ids[::3])
    left = np.delete(np.arange(10**6), np.s_[::3])
    assert (world.get(ids[left], Number.n) == left).all()
    assert not world.alive(ids[::3]).any()
    with pytest.raises(DeadEntityError):
        world.get(ids[3:4], Number.n)
    world.check()


def test_kinds_survive_moves():
    """Text, enums, references and vectors move like everything else."""

    @component
    class Mixed:
        text: Text = ""
        kind: Kind = Kind.EVENT
        who: Entity = field(0, index=True)

    world = World()
    people = world.spawn(3)
    ids = world.spawn(
        6, Mixed(text=list("abcdef"), kind=[0, 1, 7, 0, 1, 7], who=people[[0, 1, 2] * 2])
    )
    world.add(ids[1::2], Asleep)
    world.despawn(ids[[0, 3]])
    left = [1, 2, 4, 5]
    assert world.text.decode(world.get(ids[left], Mixed.text)) == list("bcef")
    assert world.get(ids[left], Mixed.kind).tolist() == [1, 7, 1, 7]
    assert world.get(ids[left], Mixed.who).tolist() == people[[1, 2, 1, 2]].tolist()
    world.check()
