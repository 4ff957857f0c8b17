"""Labels: dense numbers that never stand for two vectors."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from populace.storage.labels import Labels, among, bitmap, count, members


def ids_of(indices, generation=1):
    return np.array([generation << 32 | i for i in indices], np.uint64)


class LabelMachine(RuleBasedStateMachine):
    """Entities come and go, an index takes labels up and lets them go; beside it, plain sets."""

    def __init__(self):
        super().__init__()
        self.labels = Labels()
        self.of = {}  # entity -> label
        self.main, self.next = set(), set()
        self.generation = {}

    @rule(indices=st.sets(st.integers(0, 3000), max_size=40))
    def give(self, indices):
        """Labels are free ones: of no living entity, and held by nobody."""
        fresh = [i for i in sorted(indices) if self.generation.get(i, 0) >= 0]
        fresh = [i for i in fresh if not any(int(e) & 0xFFFFFFFF == i for e in self.of)]
        for i in fresh:
            self.generation[i] = self.generation.get(i, 0) + 1
        ids = np.array([self.generation[i] << 32 | i for i in fresh], np.uint64)
        taken = set(self.of.values()) | self.main | self.next
        self.labels.give(ids)
        got = self.labels.of(ids).tolist()
        assert not taken.intersection(got)
        assert len(set(got)) == len(got)
        self.of.update(zip(ids.tolist(), got, strict=True))

    @rule(share=st.floats(0, 1), seed=st.integers(0, 99))
    def take(self, share, seed):
        """Who loses its label has none, and neither has a stranger."""
        held = sorted(self.of)
        gone = [e for e in held if np.random.default_rng([seed, e]).random() < share]
        ids = np.array([*gone, 7 << 32 | 5000], np.uint64)
        assert self.labels.take(ids) == len(gone)
        assert (self.labels.of(ids) == -1).all()
        for entity in gone:
            del self.of[entity]

    @rule(n=st.integers(0, 60))
    def promise(self, n):
        """Some of the tail are on their way."""
        some = self.labels.tail()[:n]
        assert set(self.labels.promise(some).tolist()) == set(some.tolist()) - self.next
        self.next.update(some.tolist())

    @rule()
    def settle(self):
        """They have arrived, dead or alive."""
        arrived = np.array(sorted(self.next), np.int64)
        self.labels.settle(arrived, arrived[::2])
        self.main |= self.next
        self.next -= set(arrived[::2].tolist())

    @rule()
    def replace(self):
        """What was on its way was for another index."""
        self.labels.replace()
        self.main, self.next = self.next, set()

    @rule(n=st.integers(0, 60))
    def withdraw(self, n):
        """Some of what was on its way does not come; such labels may be free."""
        some = np.array(sorted(self.next)[:n], np.int64)
        self.labels.withdraw(some)
        self.next -= set(some.tolist())

    @rule()
    def break_promises(self):
        self.labels.break_promises()
        self.next = set()

    @rule()
    def remove_dead(self):
        """Exactly those that are held and not live."""
        dead = self.main - set(self.of.values())
        assert members(self.labels.remove_dead()).tolist() == sorted(dead)
        self.main -= dead

    @rule()
    def empty(self):
        self.labels.empty()
        self.main, self.next = set(), set()

    @invariant()
    def agrees(self):
        self.labels.check()
        live = set(self.of.values())
        assert set(members(self.labels.live).tolist()) == live
        assert set(members(self.labels.main).tolist()) == self.main
        assert self.labels.tail().tolist() == sorted(live - self.main)
        assert self.labels.n_dead == len(self.main - live)


def test_labels_are_those_of_sets():
    """Whatever happens in whatever order."""
    run_state_machine_as_test(
        LabelMachine, settings=settings(settings.default, stateful_step_count=30)
    )


def test_a_label_that_is_held_is_not_given_again():
    """Its vector may still be found; when it was taken out, the label is free."""
    labels = Labels()
    labels.give(ids_of([0, 1, 2]))
    labels.settle(np.array([0, 1, 2]), np.array([0, 1, 2]))
    labels.take(ids_of([1]))
    labels.give(ids_of([5]))
    assert labels.of(ids_of([5])).tolist() == [3]
    labels.remove_dead()
    labels.give(ids_of([6]))
    assert labels.of(ids_of([6])).tolist() == [1]


def test_a_label_that_was_withdrawn_is_given_again():
    """The lowest first, as ever."""
    labels = Labels()
    labels.give(ids_of(range(200)))
    labels.promise(np.arange(200))
    labels.take(ids_of([3, 150]))
    labels.give(ids_of([300]))
    assert labels.of(ids_of([300])).tolist() == [200]
    labels.withdraw(np.array([3, 150]))
    labels.give(ids_of([301, 302]))
    assert labels.of(ids_of([301, 302])).tolist() == [3, 150]
    labels.check()


def test_an_older_generation_has_no_label():
    """The entity that had the slot before is not the one that has it now."""
    labels = Labels()
    labels.give(ids_of([4], generation=2))
    assert labels.of(ids_of([4], generation=1)).tolist() == [-1]
    assert labels.of(ids_of([4], generation=2)).tolist() == [0]


@pytest.mark.parametrize("chosen", [[], [0], [63, 64, 1023], list(range(0, 1024, 3))])
def test_a_bitmap_lists_its_members(chosen):
    """In order; and says of each label whether it is one."""
    words = bitmap(np.array(chosen, np.int64), 1024)
    assert members(words).tolist() == chosen
    assert count(words) == len(chosen)
    every = np.arange(-1, 1100)
    assert every[among(every, words)].tolist() == chosen
