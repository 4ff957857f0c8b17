"""`Buckets` against a dict: random programs, growth, recycling, packing, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from populace.ecs import buckets as module
from populace.ecs.buckets import Buckets
from populace.ecs.errors import CapacityError, InvariantError

from .naive_index import NaiveBuckets, u4

OWNERS = st.integers(0, 5) | st.integers(0, 300)  # some owners have many members
MEMBERS = st.lists(st.integers(0, 200), unique=True, max_size=200)
STEPS = 20


class Watched(Buckets):
    """Fails if a `move` has to grow after its discard, when it could no longer be undone."""

    __slots__ = ("fixed",)

    def __init__(self):
        super().__init__()
        self.fixed = False

    def _place(self, owners_k, members_k, commit):
        super()._place(owners_k, members_k, commit)
        self.fixed = not commit

    def _grow(self):
        assert not self.fixed
        super()._grow()


def contents(index):
    """{owner: its members, ascending}"""
    owners, offsets, members = index.csr(sort=True)
    lists = np.split(members, offsets[1:-1])
    return {o: part.tolist() for o, part in zip(owners.tolist(), lists, strict=False)}


class Program(RuleBasedStateMachine):
    """The same calls to buckets and to their naive twin."""

    @initialize(few=st.sampled_from([0, 64, 4096]))
    def start(self, few):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "_FEW", few)  # 0: pack these small pools too
        self.index, self.naive = Watched(), NaiveBuckets()

    def teardown(self):
        self.patch.undo()

    @rule(members=MEMBERS, data=st.data())
    def add(self, members, data):
        new = [m for m in members if m not in self.naive.owner_of]
        owners = self.owners_for(new, data)
        self.index.add(u4(owners), u4(new))
        self.naive.add(owners, new)

    @rule(members=MEMBERS, data=st.data())
    def discard(self, members, data):
        owners = [self.naive.owner_of.get(m, 7) for m in members]
        assert self.index.discard(u4(owners), u4(members)) == self.naive.discard(owners, members)

    @rule(pairs=st.lists(st.tuples(OWNERS, st.integers(0, 500)), max_size=20))
    def discard_anything(self, pairs):
        owners, members = zip(*pairs, strict=True) if pairs else ((), ())
        assert self.index.discard(u4(owners), u4(members)) == self.naive.discard(owners, members)

    @rule(members=MEMBERS, data=st.data())
    def move(self, members, data):
        known = [m for m in members if m in self.naive.owner_of]
        old, new = [self.naive.owner_of[m] for m in known], self.owners_for(known, data)
        self.index.move(u4(old), u4(new), u4(known))
        self.naive.move(new, known)

    @rule(owners=st.lists(OWNERS | st.just(2**32 - 2), max_size=20))
    def drop(self, owners):
        assert self.index.drop(u4(owners)) == self.naive.drop(owners)

    @rule()
    def build_again(self):
        members = list(self.naive.owner_of)
        self.index.build(u4(list(self.naive.owner_of.values())), u4(members))

    @rule()
    def shrink(self):
        self.index.shrink()

    @rule(owners=st.lists(OWNERS | st.just(2**32 - 2), max_size=20))
    def look(self, owners):
        expected = self.naive.members(owners)
        offsets, members = self.index.members(u4(owners), sort=True)
        assert [part.tolist() for part in np.split(members, offsets[1:])][:-1] == expected
        assert self.index.counts(u4(owners)).tolist() == [len(part) for part in expected]
        offsets, members = self.index.members(u4(owners))
        assert [sorted(part.tolist()) for part in np.split(members, offsets[1:])][:-1] == expected

    @invariant()
    def agrees(self):
        self.index.check()
        owners = sorted(set(self.naive.owner_of.values()))
        lists = self.naive.members(owners)
        assert contents(self.index) == dict(zip(owners, lists, strict=True))
        assert len(self.index) == len(self.naive.owner_of)

    def owners_for(self, members, data):
        """All to one owner, or each to any."""
        if data.draw(st.booleans()):
            return [data.draw(OWNERS)] * len(members)
        salt = data.draw(st.integers(1, 1000))
        span = data.draw(st.sampled_from([3, 40, 301]))
        return [(m * 2654435761 + salt * 40503) % 2**32 % span for m in members]


def test_any_program_agrees_with_a_dict():
    """After any sequence of batches buckets hold and answer what a dict does, block by block."""
    run_state_machine_as_test(Program, settings=settings(stateful_step_count=STEPS))


@given(st.dictionaries(st.integers(0, 10_000), OWNERS, max_size=300), st.integers(1, 100))
def test_batching_does_not_show(owner_of, step):
    """Built at once, added at once, in parts or backwards: each owner has the same members."""
    owners, members = u4(list(owner_of.values())), u4(list(owner_of))
    built, added, parts = Buckets(), Buckets(), Buckets()
    built.build(owners, members)
    added.add(owners[::-1], members[::-1])
    for start in range(0, members.size, step):
        parts.add(owners[start : start + step], members[start : start + step])
    assert contents(built) == contents(added) == contents(parts)


def test_empty_batches():
    """Batches of nothing are allowed everywhere and change nothing."""
    index, nothing = Buckets(), u4([])
    index.add(nothing, nothing)
    index.move(nothing, nothing, nothing)
    index.build(nothing, nothing)
    assert index.discard(nothing, nothing) == index.drop(nothing) == len(index) == 0
    assert index.counts(nothing).tolist() == []
    offsets, members = index.members(nothing, sort=True)
    assert (offsets.tolist(), members.tolist()) == ([0], [])
    assert [array.tolist() for array in index.csr()] == [[], [0], []]
    index.check()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 4096, 4097])
def test_one_more_than_a_block(count):
    """One by one or at once, a bucket grows across every capacity and empties again."""
    members = np.arange(count, dtype=np.uint32)
    index = Buckets()
    for start in range(count):
        index.add(u4([9]), members[start : start + 1])
    index.check()
    at_once = Buckets()
    at_once.add(np.full(count, 9, np.uint32), members)
    at_once.check()
    assert contents(index) == contents(at_once) == {9: members.tolist()}
    for start in range(count):
        assert index.discard(u4([9]), members[start : start + 1]) == 1
    index.check()
    assert contents(index) == {}


@pytest.mark.parametrize("n_owners", [1, 1000, 1_000_000])
def test_a_million_members(n_owners):
    """One owner with all, a thousand with a thousand each, a million with one each."""
    members = np.random.default_rng(5).permutation(1_000_000).astype(np.uint32)
    owners = members % np.uint32(n_owners)
    index = Buckets()
    index.build(owners, members)
    index.check()
    found, offsets, sorted_members = index.csr(sort=True)
    assert found.tolist() == list(range(n_owners))
    assert (np.diff(offsets) == 1_000_000 // n_owners).all()
    assert (sorted_members % np.uint32(n_owners) == np.repeat(found, np.diff(offsets))).all()
    assert (np.sort(sorted_members) == np.arange(1_000_000)).all()
    index.move(owners[:100_000], owners[:100_000] + np.uint32(1), members[:100_000])
    assert index.discard(owners[100_000:], members[100_000:]) == 900_000
    index.check()
    assert len(index) == 100_000
    assert index.nbytes < 40_000_000


def test_arrays_grow_to_the_largest_index_seen():
    """What is held follows the largest owner and member, not each other nor the calls made."""
    index = Buckets()
    index.add(u4([3]), u4([1_000_000]))
    assert index.nbytes < 4_100_000
    index.add(u4([500_000]), u4([7]))
    assert index.nbytes < 6_200_000
    assert contents(index) == {3: [1_000_000], 500_000: [7]}


@pytest.mark.parametrize("batch", [1, 500])
def test_steady_churn_costs_no_memory(batch):
    """Members that come, go and change owners at random leave the size where it settled."""
    rng = np.random.default_rng(7)
    owners = rng.integers(0, 200, 20_000).astype(np.uint32)
    index = Buckets()
    index.build(owners, np.arange(20_000, dtype=np.uint32))
    sizes = []
    for turn in range(3000 // batch + 300):
        gone = rng.choice(20_000, batch, replace=False).astype(np.uint32)
        new = rng.integers(0, 200, batch).astype(np.uint32)
        if turn % 2:
            index.discard(owners[gone], gone)
            index.add(new, gone)
        else:
            index.move(owners[gone], new, gone)
        owners[gone] = new
        sizes.append(index.nbytes)
    index.check()
    assert max(sizes[100:]) == sizes[99]
    assert contents(index) == {o: np.flatnonzero(owners == o).tolist() for o in range(200)}


def test_generations_of_owners_costs_no_memory():
    """Owners that come with their members and go whole leave blocks and rows to the next ones."""
    index = Buckets()
    sizes = []
    for generation in range(60):
        owners = np.arange(1000, dtype=np.uint32) + np.uint32(generation % 7 * 1000)
        members = np.arange(20_000, dtype=np.uint32)
        index.add(np.repeat(owners, 20), members)
        sizes.append(index.nbytes)
        assert index.drop(owners) == 20_000
    index.check()
    assert max(sizes[7:]) <= sizes[6]


def test_memory_follows_members_down():
    """A pool much too large for the members left is packed without being asked."""
    owners = np.repeat(np.arange(1000, dtype=np.uint32), 100)
    members = np.arange(100_000, dtype=np.uint32)
    index = Buckets()
    index.build(owners, members)
    before = index.nbytes
    index.discard(owners[5000:], members[5000:])
    index.check()
    assert before - index.nbytes > 600_000
    assert contents(index) == {o: list(range(o * 100, o * 100 + 100)) for o in range(50)}


def test_shrink_keeps_no_place_too_many():
    """After `shrink` a pool has the blocks and nothing else, and grows again when asked."""
    index = Buckets()
    index.build(np.repeat(u4([1, 2]), 64), np.arange(128, dtype=np.uint32))
    index.discard(np.full(30, 1, np.uint32), np.arange(30, dtype=np.uint32))
    index.shrink()
    index.check()
    assert index._pool.size == 1 + 64 + 64
    index.add(u4([5]), u4([3]))
    index.check()


def test_what_is_not_there_is_passed_over():
    """Discarding a wrong owner, a stranger, a repeat or an index never seen takes nothing out."""
    index = Buckets()
    index.add(u4([1, 1, 2]), u4([10, 11, 12]))
    assert index.discard(u4([2, 1, 9, 2**32 - 2]), u4([10, 13, 12, 2**32 - 1])) == 0
    assert index.discard(u4([1, 1]), u4([11, 11])) == 1
    assert index.drop(u4([2, 2, 7, 2**32 - 2])) == 1
    index.check()
    assert contents(index) == {1: [10]}


@pytest.mark.parametrize("target", [4, 900_000])
def test_no_memory_to_grow_changes_nothing(monkeypatch, target):
    """An add or a move that cannot get its memory leaves the buckets as they were."""
    index = Buckets()
    index.build(np.repeat(u4([3, 4]), 3), np.arange(6, dtype=np.uint32))
    index.shrink()
    before = contents(index)
    new = np.arange(100, 500, dtype=np.uint32)
    with monkeypatch.context() as patch:
        patch.setattr(Buckets, "_grow", no_memory)
        with pytest.raises(MemoryError):
            index.add(np.full(400, target, np.uint32), new)
        with pytest.raises(MemoryError):
            index.move(u4([3, 3, 3]), np.full(3, target, np.uint32), u4([0, 1, 2]))
    index.check()
    assert contents(index) == before
    index.add(np.full(400, target, np.uint32), new)
    index.check()


def no_memory(self):
    raise MemoryError


def test_a_move_gets_its_memory_before_it_discards():
    """Free blocks that fit what is full now do not fit what the discard will have emptied."""
    index = Watched()
    sizes = {1: 60, 2: 65, 3: 3, 4: 128, 5: 128, 6: 64}
    owners = np.repeat(u4(list(sizes)), list(sizes.values()))
    index.build(owners, np.arange(owners.size, dtype=np.uint32))
    index.shrink()
    index.drop(u4([4, 5, 6]))
    moved = u4([*range(60), 125])  # all 60 of owner 1, and the first of owner 3
    index.move(owners[moved], np.where(moved < 60, u4(2), u4(1)), moved)
    index.check()
    assert {o: len(part) for o, part in contents(index).items()} == {1: 1, 2: 125, 3: 2}


def test_a_full_pool_says_so(monkeypatch):
    """Past the places that a u4 can name there is a CapacityError, and nothing has changed."""
    monkeypatch.setattr(module, "_MAX_POOL", 300)
    index = Buckets()
    index.add(u4([1]), u4([5]))
    with pytest.raises(CapacityError, match="at most 300"):
        index.add(np.full(400, 1, np.uint32), np.arange(10, 410, dtype=np.uint32))
    index.check()
    assert contents(index) == {1: [5]}


def test_one_compiled_version_takes_any_array():
    """Read-only, strided and u8 arrays are taken without compiling anything again."""
    index = Buckets()
    frozen = u4([4, 5, 6])
    frozen.flags.writeable = False
    index.add(frozen, np.array([1, 2, 3], np.uint64))
    assert index.counts(u4([4, 9, 6])[::2]).tolist() == [1, 1]
    assert len(module._add.signatures) == len(module._measure.signatures) == 1


def damaged():
    """Owner 1 with members 0..4 in a block of 8, owner 2 with 5 and 6, one free block and row."""
    index = Buckets()
    index.add(np.full(5, 1, np.uint32), np.arange(5, dtype=np.uint32))
    index.add(u4([3, 2, 2]), u4([9, 5, 6]))
    index.drop(u4([3]))
    index.check()
    return index


def put(array, place, value):
    array[place] = value


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda b: put(b._state, (0, 1), 10_000), "more rows or places"),
        (lambda b: put(b._bucket_of, 2, 1), "a row has no owner"),
        (lambda b: put(b._bucket_of, 1, 0), "a row has no owner"),
        (lambda b: put(b._state, (0, 4), 0), "a row has no owner"),
        (lambda b: put(b._rows, (1, 1), 0), r"owner \[1\] has a bucket and no members"),
        (lambda b: put(b._rows, (1, 3), 1), "pending"),
        (lambda b: put(b._rows, (1, 2), 7), "size class"),
        (lambda b: put(b._rows, (1, 1), 9), r"owner \[1\] is overfull"),
        (lambda b: put(b._state, (0, 2), 12), "places"),
        (lambda b: put(b._state, (0, 0), 6), "members, 6 counted"),
        (lambda b: put(b._state, (2, 0), 2), "free list"),
        (lambda b: put(b._state, (slice(1, 3), 0), 0), "blocks overlap"),
        (lambda b: put(b._rows, (1, 0), 2), "blocks overlap"),
        (lambda b: put(b._pool, b._rows[1, 0], 1), "two buckets"),
        (lambda b: put(b._pool, b._rows[1, 0], 99), "no position"),
        (lambda b: put(b._position, 4, 3), r"member \[4\] is not at its position"),
    ],
)
def test_check_finds_damage(damage, reason):
    """Each invariant, broken by hand, is named."""
    index = damaged()
    damage(index)
    with pytest.raises(InvariantError, match=reason):
        index.check()
