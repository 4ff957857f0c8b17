"""`PairTable` against a dict: random programs, keys that collide, growth, churn, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from populace.ecs import pairtable
from populace.ecs.errors import InvariantError
from populace.ecs.pairtable import PairTable

from .naive_index import NaivePairTable, key_of_hash, u8

# Small numbers, keys anywhere, and keys whose homes are the first and last slots of any table.
KEYS = (
    st.integers(1, 60)
    | st.integers(1, 2**64 - 1)
    | st.integers(0, 40).map(key_of_hash).filter(bool)
    | st.integers(0, 40).map(lambda low: key_of_hash(2**64 - 1 - low))
)
BATCHES = st.lists(KEYS, max_size=50)
STEPS = 20


def filled(keys, values=None):
    table = PairTable()
    table.insert(u8(keys), u8(keys if values is None else values))
    return table


def contents(table):
    return tuple(array.tolist() for array in table.items())


class Program(RuleBasedStateMachine):
    """The same calls to a table and to its naive twin."""

    def __init__(self):
        super().__init__()
        self.table, self.naive = PairTable(), NaivePairTable()

    @rule(keys=BATCHES, salt=st.integers(1, 2**40))
    def upsert(self, keys, salt):
        values, new = self.table.claim(u8(keys))
        assert (values.tolist(), new.tolist()) == self.naive.claim(keys)
        first = list(dict.fromkeys(k for k, number in zip(keys, new, strict=True) if number >= 0))
        made = [salt + number for number in range(len(first))]
        self.table.insert(u8(first), u8(made))
        self.naive.insert(first, made)

    @rule(keys=BATCHES)
    def look(self, keys):
        assert self.table.find(u8(keys)).tolist() == self.naive.find(keys)
        assert self.table.duplicates(u8(keys)) == self.naive.duplicates(keys)

    @rule(keys=BATCHES)
    def discard(self, keys):
        assert self.table.discard(u8(keys)) == self.naive.discard(keys)

    @rule(part=st.floats(0, 1))
    def discard_part(self, part):
        keys = self.naive.items()[0]
        keys = keys[: int(part * len(keys))]
        assert self.table.discard(u8(keys)) == self.naive.discard(keys)

    @rule(n_keys=st.integers(0, 300))
    def reserve(self, n_keys):
        self.table.reserve(n_keys)
        assert self.table.nbytes >= 16 * n_keys / 0.6

    @rule()
    def shrink(self):
        self.table.shrink()

    @rule()
    def clear(self):
        self.table.clear()
        self.naive = NaivePairTable()

    @invariant()
    def agrees(self):
        self.table.check()
        assert contents(self.table) == self.naive.items()
        assert len(self.table) == len(self.naive.values)


def test_any_program_agrees_with_a_dict():
    """After any sequence of batches a table holds and answers what a dict does."""
    run_state_machine_as_test(Program, settings=settings(stateful_step_count=STEPS))


@given(st.lists(KEYS, unique=True, max_size=300), st.data())
def test_batching_does_not_show(keys, data):
    """However a set of keys is batched and ordered, the table answers the same."""
    whole, parts = filled(keys), PairTable()
    shuffled = data.draw(st.permutations(keys))
    step = data.draw(st.integers(1, 100))
    for start in range(0, len(keys), step):
        parts.insert(u8(shuffled[start : start + step]), u8(shuffled[start : start + step]))
    assert contents(whole) == contents(parts)
    assert whole.nbytes == parts.nbytes


def test_empty_batches():
    """Batches of nothing are allowed everywhere and change nothing."""
    table, nothing = filled([5]), u8([])
    table.insert(nothing, nothing)
    assert table.find(nothing).size == table.claim(nothing)[1].size == 0
    assert table.duplicates(nothing) == -1
    assert table.discard(nothing) == 0
    assert contents(table) == ([5], [5])
    assert contents(PairTable()) == ([], [])
    PairTable().check()


def test_claim_numbers_new_keys_in_order_of_first_appearance():
    """Repeats share their number, present keys have none, and the table is as before."""
    table = filled([8], [80])
    values, new = table.claim(u8([3, 8, 9, 3, 8, 1]))
    assert values.tolist() == [0, 80, 0, 0, 80, 0]
    assert new.tolist() == [0, -1, 1, 0, -1, 2]
    assert contents(table) == ([8], [80])


@pytest.mark.parametrize(
    ("keys", "place"), [([1, 2, 3], -1), ([1, 8, 1], 1), ([1, 2, 1], 2), ([2, 2, 8], 1), ([8], 0)]
)
def test_duplicates_names_the_first(keys, place):
    """The first key that is present, or that repeats an earlier one, is the one named."""
    assert filled([8]).duplicates(u8(keys)) == place


@pytest.mark.parametrize("n_keys", [9, 10, 19, 20, 614, 615, 39_321, 39_322])
def test_the_load_stays_at_three_fifths(n_keys):
    """A table doubles with the first key past 3/5 of its slots, and no earlier."""
    table = filled(range(1, n_keys + 1))
    table.check()
    capacity = table.nbytes // 16
    assert n_keys <= capacity * 3 / 5
    assert capacity == 16 or n_keys > capacity * 3 / 10


def test_a_run_of_colliding_keys_wraps_around():
    """Keys whose home is the last slot fill the first ones, and leave without a trace."""
    keys = [key_of_hash(2**64 - 1 - low) for low in range(9)]
    table = filled(keys)
    assert table.nbytes == 16 * 16
    for gone in range(9):
        assert table.discard(u8([keys[gone], keys[0]])) == 1
        table.check()
        assert table.find(u8(keys)).tolist() == [0] * (gone + 1) + keys[gone + 1 :]


def test_steady_churn_costs_no_memory():
    """Replacing a tenth of the keys, many times over, leaves size and answers as they should be."""
    ring = np.random.default_rng(3).permutation(np.arange(1, 60_001, dtype=np.uint64))
    table = filled(ring[:50_000])
    size = table.nbytes
    for _ in range(50):
        table.discard(ring[:5_000])
        table.insert(ring[50_000:55_000], ring[50_000:55_000])
        ring = np.roll(ring, -5_000)
    assert table.nbytes == size
    table.check()
    assert contents(table)[0] == sorted(ring[:50_000].tolist())


def test_shrink_gives_memory_back():
    """After most keys have gone, `shrink` leaves the size of a table that never had them."""
    table = filled(range(1, 100_001))
    table.discard(u8(range(11, 100_001)))
    table.shrink()
    table.check()
    assert table.nbytes == filled(range(1, 11)).nbytes
    assert contents(table)[0] == list(range(1, 11))


def test_a_million_keys():
    """Built at once, every key is found, and neighbours that are not there are not."""
    keys = np.arange(1, 2_000_001, 2, dtype=np.uint64) << np.uint64(20)
    table = filled(keys, np.arange(1, 1_000_001))
    assert (table.find(keys) == np.arange(1, 1_000_001)).all()
    assert not table.find(keys + np.uint64(1)).any()
    assert table.discard(keys[::2]) == 500_000
    table.check()


def test_no_memory_to_grow_changes_nothing(monkeypatch):
    """An insert that cannot get its memory leaves the table as it was."""
    table = filled(range(1, 10))
    monkeypatch.setattr(pairtable.np, "zeros", no_memory)
    with pytest.raises(MemoryError):
        table.insert(u8([10]), u8([10]))
    monkeypatch.undo()
    table.check()
    assert contents(table)[0] == list(range(1, 10))


def no_memory(*_, **__):
    raise MemoryError


def test_one_compiled_version_takes_any_array():
    """Read-only, strided and other integer arrays are taken without compiling anything again."""
    table = filled([4, 6])
    frozen = u8([4, 5, 6])
    frozen.flags.writeable = False
    assert table.find(frozen).tolist() == [4, 0, 6]
    assert table.find(u8([4, 9, 6])[::2]).tolist() == [4, 6]
    assert table.find(np.array([6])).tolist() == [6]
    assert len(pairtable._find.signatures) == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: t._slots.__setitem__(t._slots == 6, 0), "counted"),
        (lambda t: setattr(t, "_n", 3), "counted"),
        (lambda t: setattr(t, "_slots", t._slots[:12]), "power of two"),
        (lambda t: setattr(t, "_slots", t._slots[t._slots[:, 0] > 0]), "3/5"),
        (lambda t: t._slots.__setitem__((t._slots[:, 0] == 0, 1), 7), "empty slot"),
        (lambda t: t._slots.__setitem__((t._slots[:, 0] == 6, 1), 0), "value is 0"),
        (lambda t: t._slots.__setitem__((t._slots[:, 0] == 6, 0), 4), "twice"),
        (lambda t: setattr(t, "_slots", np.roll(t._slots, 5, axis=0)), "not reached"),
    ],
)
def test_check_finds_damage(damage, reason):
    """Each invariant, broken by hand, is named."""
    table = filled([4, 6], [40, 60])
    damage(table)
    with pytest.raises(InvariantError, match=reason):
        table.check()
