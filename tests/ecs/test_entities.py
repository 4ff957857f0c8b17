"""Ids: which resolve, which never do again, and which come next."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numba import njit

from populace import NOBODY, World
from populace.ecs import entities
from populace.ecs.errors import (
    CapacityError,
    ColumnShapeError,
    ColumnTypeError,
    DeadEntityError,
    DuplicateEntityError,
)

from .parts import Asleep, Hungry, Position, refused

LAST = 0xFFFF_FFFF


def index(ids):
    return (np.asarray(ids, np.uint64) & np.uint64(0xFFFF_FFFF)).tolist()


def generation(ids):
    return (np.asarray(ids, np.uint64) >> np.uint64(32)).tolist()


@njit
def recycle(slots, free_words, ids_m):
    """Give index 0 out and take it back, ids_m.size times, by the kernels of the engine."""
    one = np.empty(1, np.uint64)
    for j in range(ids_m.size):
        entities._allocate(slots, free_words, 0, 1, 1, 0, 0, one)
        ids_m[j] = one[0]
        entities._release(slots, free_words, one)


def test_an_index_recycled_a_million_times_never_revives_an_old_id():
    """Every one of a million ids of one slot is distinct, dead, and stays dead when the slot
    lives again."""
    world = World()
    world.despawn(world.spawn(1, Asleep))
    store = world.store.entities
    old = np.empty(1_000_000, np.uint64)
    recycle(store.slots, store.free_words, old)
    assert set(index(old[[0, -1]])) == {0}
    assert np.unique(old).size == old.size
    assert not world.alive(old).any()
    new = world.spawn(1, Asleep)
    assert index(new) == [0]
    assert generation(new) == [1_000_002]
    assert not world.alive(old).any()
    assert new[0] not in old
    for entity in old[[0, 1, 500_000, -2, -1]]:
        with refused(world, DeadEntityError, int(entity), "despawned"):
            world.despawn(entity)


def test_recycling_through_the_world():
    """1,000 rounds of 100 entities: no id comes twice, and the slots do not grow."""
    world = World()
    seen = [world.spawn(100, Asleep)]
    for _ in range(1_000):
        assert world.despawn(seen[-1]) == 100
        seen.append(world.spawn(100, Asleep))
    every = np.concatenate(seen)
    assert np.unique(every).size == every.size
    assert world.alive(every).sum() == 100
    assert world.alive(seen[-1]).all()
    assert world.store.entities.n_slots == 100
    world.check()


@pytest.mark.parametrize("place", [0, 1])
def test_a_slot_that_used_its_last_generation_is_retired(place):
    """After the last generation an index is never given out again, and none of its ids resolves."""
    world = World()
    world.despawn(world.spawn(2, Asleep))
    slots = world.store.entities.slots
    slots[place, 0] = np.uint64((LAST - 1) << 32)
    world.check()
    first = world.spawn(2, Asleep)
    world.despawn(first[place])
    last = world.spawn(1, Hungry)
    assert generation([first[place], last[0]]) == [LAST - 1, LAST]
    assert index(last) == [place]
    world.despawn(last)
    world.check()
    assert index(world.spawn(3, Asleep)) == [2, 3, 4]
    used = np.array([first[place], last[0], place, NOBODY, 1 << 32 | place], np.uint64)
    assert not world.alive(used).any()
    with refused(world, DeadEntityError, int(last[0])):
        world.get(last, Position.x)
    assert len(world) == 4
    world.check()


def test_retired_slots_are_counted_in_bulk():
    """A despawn that retires some slots and frees others leaves the free list exact."""
    world = World()
    world.despawn(world.spawn(130, Asleep))
    world.store.entities.slots[:130:2, 0] = np.uint64(LAST << 32)
    ids = world.spawn(130, Asleep)
    world.despawn(ids)
    world.check()
    again = world.spawn(66, Asleep)
    assert index(again) == [*range(1, 130, 2), 130]
    assert not world.alive(ids).any()


def test_nobody_is_no_entity():
    """Id 0 is never alive, and every operation on it says that it is NOBODY."""
    world = World()
    world.spawn(3, Position(x=0))
    assert NOBODY == 0
    assert not world.alive(NOBODY).any()
    calls = (
        world.despawn,
        world.entity,
        lambda ids: world.add(ids, Asleep),
        lambda ids: world.remove(ids, Position),
        lambda ids: world.set(ids, Position(x=1)),
        lambda ids: world.get(ids, Position.x),
        lambda ids: world.has(ids, Position),
    )
    for call in calls:
        with refused(world, DeadEntityError, "NOBODY"):
            call(NOBODY)


@pytest.mark.parametrize(
    "forged",
    [
        1,  # generation 0
        3 << 32,  # a generation still to come
        (1 << 32) + 3,  # the next index
        (1 << 32) + 70,  # beyond the slots that exist
        (1 << 32) + LAST,
        (1 << 64) - 1,
        LAST << 32,
    ],
)
def test_forged_ids_do_not_resolve(forged):
    """An id that was never given out is dead, and the message says it was never spawned."""
    world = World()
    world.spawn(3, Asleep)
    assert not world.alive(np.array([forged], np.uint64)).any()
    with refused(world, DeadEntityError, forged, "never spawned"):
        world.despawn(np.array([forged], np.uint64))


def test_the_message_names_the_first_dead_id_and_its_place():
    """In a batch the first dead id is named, with its place, index and generation."""
    world = World()
    ids = world.spawn(5, Asleep)
    world.despawn(ids[[2, 4]])
    with refused(world, DeadEntityError, int(ids[2]), "place 1 of 4", "index 2", "alive"):
        world.add(ids[[0, 2, 4, 1]], Hungry)


def test_the_lowest_free_index_comes_first():
    """Freed indices are reused in ascending order, whatever the order of the despawns."""
    world = World()
    ids = world.spawn(200, Asleep)
    world.despawn(ids[[190, 3, 64, 100, 63]])
    world.despawn(ids[[7, 128]])
    assert index(world.spawn(3, Asleep)) == [3, 7, 63]
    world.despawn(ids[0])
    assert index(world.spawn(7, Asleep)) == [0, 64, 100, 128, 190, 200, 201]
    world.check()


def test_ids_do_not_depend_on_how_batches_are_split():
    """The same entities spawned and despawned in one batch or in many get the same ids."""
    whole, parts = World(), World()
    for world, k in ((whole, 1), (parts, 7)):
        ids = np.concatenate(
            [world.spawn(n, Asleep) for n in np.diff(np.linspace(0, 70, k + 1, dtype=int))]
        )
        for some in np.array_split(ids[np.random.default_rng(1).permutation(70)[:50]], k):
            world.despawn(some)
        again = [world.spawn(n, Asleep) for n in np.diff(np.linspace(0, 60, k + 1, dtype=int))]
        world.found = np.concatenate([ids, *again])
    assert whole.found.tolist() == parts.found.tolist()
    assert whole.digest() == parts.digest()


def test_ids_are_taken_in_every_honest_form():
    """One int, a numpy scalar, a list, a signed array, an empty list: all name entities."""
    world = World()
    ids = world.spawn(6, Position(x=range(6)))
    for given, expected in (
        (int(ids[2]), [2]),
        (ids[3], [3]),
        (ids[:3].tolist(), [0, 1, 2]),
        (ids[4:].astype(np.int64), [4, 5]),
        (tuple(ids[[5, 0]].tolist()), [5, 0]),
        (ids[::2], [0, 2, 4]),
        ([ids[1], int(ids[2])], [1, 2]),
        (list(ids[:2]), [0, 1]),
        ([], []),
    ):
        assert world.get(given, Position.x).tolist() == expected


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (1.0, ColumnTypeError),
        ([True], ColumnTypeError),
        ("1", ColumnTypeError),
        (None, ColumnTypeError),
        (-1, ColumnTypeError),
        (np.zeros((2, 2), np.uint64), ColumnShapeError),
        ([[1]], ColumnShapeError),
    ],
)
def test_what_is_no_id_is_refused(given, error):
    """Floats, booleans, text, negatives and matrices are no ids."""
    world = World()
    world.spawn(2, Asleep)
    for call in (world.despawn, world.alive, lambda ids: world.add(ids, Hungry)):
        with refused(world, error, "ids"):
            call(given)


def test_a_repeated_id_is_refused_and_named():
    """Twice in a batch: the id and both places are in the message. Only questions may repeat."""
    world = World()
    ids = world.spawn(4, Position(x=range(4)))
    twice = ids[[3, 1, 0, 1]]
    for call in (
        world.despawn,
        lambda ids: world.add(ids, Asleep),
        lambda ids: world.remove(ids, Position),
        lambda ids: world.set(ids, Position(x=0)),
    ):
        with refused(world, DuplicateEntityError, int(ids[1]), "places 1 and 3"):
            call(twice)
    assert world.get(twice, Position.x).tolist() == [3, 1, 0, 1]
    assert world.has(twice, Position).all()
    assert world.alive(twice).all()


def test_alive_answers_for_any_mixture():
    """`alive` answers in order, for the living, the dead, the forged and the repeated."""
    world = World()
    assert world.alive([1 << 32, 0, 5]).tolist() == [False, False, False]
    ids = world.spawn(3, Asleep)
    world.despawn(ids[1])
    new = world.spawn(1, Asleep)
    asked = np.array([ids[0], ids[1], new[0], 0, ids[2], ids[0], (1 << 32) + 99], np.uint64)
    assert world.alive(asked).tolist() == [True, False, True, False, True, True, False]


def test_spawn_returns_a_copy():
    """Writing into the ids that spawn returned does not touch the world."""
    world = World()
    ids = world.spawn(3, Asleep)
    kept = ids.copy()
    ids[:] = 0
    assert world.query(Asleep).ids().tolist() == kept.tolist()
    world.check()


@pytest.mark.parametrize(
    "keep",
    [
        lambda ids: ids,
        lambda ids: ids[30_000:],
        lambda ids: ids.reshape(-1, 2)[5:, 0],
        lambda ids: ids.view(np.uint32),
        lambda ids: memoryview(ids)[10:],
        lambda ids: np.frombuffer(ids, np.uint64),
        lambda ids: [ids][:],
        lambda ids: (i for i in ids),
    ],
    ids=["ids", "slice", "strides", "view", "memoryview", "frombuffer", "list", "generator"],
)
def test_ids_that_a_caller_keeps_never_change(keep):
    """Whatever part or view of the ids of a large spawn is kept, later spawns do not write into it;
    memory of ids that nobody keeps may be used again."""
    world = World()
    kept = keep(world.spawn(40_000, Asleep))
    first = world.query(Asleep).ids()
    for _ in range(8):
        assert world.spawn(40_000, Hungry).size == 40_000
    if isinstance(kept, list):
        found = kept[0]
    elif hasattr(kept, "send"):
        found = np.array(list(kept))
    else:
        found = np.asarray(kept)
    assert np.array_equal(np.asarray(keep(first) if found.size != first.size else first), found)


def test_more_slots_than_the_layout_has_are_refused():
    """2^32 - 2 entities are the most: asking for more fails before anything is allocated."""
    index = entities.EntityIndex()
    with pytest.raises(CapacityError, match="4,294,967,294"):
        index.reserve(1 << 32)
    assert index.slots.shape[0] == 64


def test_len_counts_the_living():
    """`len(world)` follows spawns and despawns; a world is true even when nobody lives in it."""
    world = World()
    assert len(world) == 0
    assert bool(world)
    ids = world.spawn(10)
    world.despawn(ids[3:])
    assert len(world) == 3


@hypothesis.given(st.lists(st.integers(0, 9), max_size=40))
def test_ids_by_table(numbers):
    """Each table that there is once, ascending, with all its ids in their order and their rows."""
    tables = np.array(numbers, np.uint32)
    rows = np.arange(tables.size, dtype=np.uint32)[::-1].copy()
    parts = list(entities.by_table(tables, rows))
    assert [number for number, _, _ in parts] == sorted(set(numbers))
    for number, at, its in parts:
        assert at.tolist() == np.flatnonzero(tables == number).tolist()
        assert its.tolist() == rows[at].tolist()
