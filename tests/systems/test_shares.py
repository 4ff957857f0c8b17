"""How work is cut among threads."""

import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from populace import World
from populace.systems.shares import batches, runs, side_by_side

weights = st.lists(st.integers(0, 50), max_size=40).map(lambda made: np.array(made, np.int64))


def joined(cuts):
    return [place for cut in cuts for place in range(cut.start, cut.stop)]


@given(weights, st.integers(1, 60))
def test_runs_hold_every_item_once_in_order(weight, most):
    """And none weighs more than `most` and its last item that weighs something."""
    cuts = runs(weight, most)
    assert joined(cuts) == list(range(weight.size))
    some = [weight[cut][weight[cut] > 0] for cut in cuts]
    assert all(its[:-1].sum() <= most for its in some)


@given(weights, st.integers(1, 60), st.integers(1, 5), st.sampled_from([0, 10**6]))
@example(np.array([1, 0]), 60, 1, 10**6)
@example(np.array([2, 2, 2, 0]), 60, 3, 0)
def test_batches_are_cut_among_the_threads(weight, most, threads, parallel_rows):
    """At most one share a thread, and one where there is little to do."""
    world = World(threads=threads)
    world.parallel_rows = parallel_rows
    made = list(batches(world, weight, most))
    assert joined(share for shares in made for share in shares) == list(range(weight.size))
    assert [joined(shares) for shares in made] == [joined([run]) for run in runs(weight, most)]
    assert all(len(shares) <= (1 if parallel_rows else threads) for shares in made)


def test_shares_are_of_one_weight():
    """A thousand equal items among three threads."""
    world = World(threads=3)
    world.parallel_rows = 0
    [shares] = batches(world, np.full(999, 7, np.int64), 10**6)
    assert [(share.start, share.stop) for share in shares] == [(0, 333), (333, 666), (666, 999)]


def test_results_come_in_the_order_of_the_shares():
    """Whoever was first; and an error is told."""
    world, gate = World(threads=2), threading.Barrier(2, timeout=60)

    def work(share):
        gate.wait()
        return share * 10, threading.get_ident()

    told = side_by_side(world, work, [3, 1])
    assert [value for value, _ in told] == [30, 10]
    assert told[0][1] != told[1][1]
    with pytest.raises(ZeroDivisionError):
        side_by_side(world, lambda share: 1 // share, [1, 0])
