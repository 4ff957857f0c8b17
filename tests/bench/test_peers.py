"""The peers in Python: each does the work of its cases, and work that is not done is found out."""

import gc
import sys

import numpy as np
import pytest
from bench.peers import (
    esper_peer,
    mesa_peer,
    numpy_peer,
    polars_peer,
    tcod_peer,
    xecs_peer,
)

from bench import cases_peers, harness, inputs

PEERS = [
    module.PEER for module in (esper_peer, tcod_peer, xecs_peer, mesa_peer, polars_peer, numpy_peer)
]
ENTRIES = [
    pytest.param(peer, case, id=f"{peer.name}-{case}") for peer in PEERS for case in peer.workloads
]
SIZE = 1_000
CASES = {case.name: case for case in harness.discover()}
# What these do they undo, so that nothing shows whether they were called.
UNDONE = ("add_remove_all", "add_remove_tenth", "add_remove")


def entry_of(peer, case):
    """An entry, restored."""
    if why := peer.why_absent():
        pytest.skip(f"{peer.name}: {why}")
    entry = peer.workloads[case](SIZE)
    if entry.before is not None:
        entry.before()
    return entry


@pytest.mark.parametrize(("peer", "case"), ENTRIES)
def test_a_peer_does_the_work_of_a_case(peer, case):
    """One call after a restored state gives what Populace is verified to give; so does another."""
    entry = entry_of(peer, case)
    entry.call()
    entry.check()
    if entry.before is not None:
        for _ in range(2):
            entry.before()
            entry.call()
        entry.check()


@pytest.mark.parametrize(("peer", "case"), ENTRIES)
def test_work_not_done_or_half_done_is_found_out(peer, case):
    """The check fails where nothing was called, or only the first half of what is undone."""
    entry = entry_of(peer, case)
    if case in UNDONE:
        entry.call()
        entry.call.__self__.give()
    with pytest.raises(AssertionError):
        entry.check()


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_a_peer_takes_part_in_cases_that_there_are(peer):
    """A misspelt case would leave it out without a word."""
    assert set(peer.workloads) <= set(CASES)
    assert set(peer.most) <= set(peer.workloads)


def test_polars_is_a_peer_wherever_it_takes_part():
    """Among the subjects it would stand as a form of Populace, and its wins would not be told."""
    assert not [case.name for case in CASES.values() if "polars" in case.subjects]
    assert {name for name in CASES if name.startswith("sql_")} <= set(polars_peer.PEER.workloads)


@pytest.mark.parametrize("case", ["decay_w6", "prune_owners", "edges_update"])
def test_the_cases_made_for_peers_are_verified(case):
    """Populace and its bound compute what the peers are held to."""
    CASES[case].contest(SIZE)


def test_worlds_of_esper_end_with_their_entries():
    """esper keeps its worlds by name, so one that nobody holds is taken out there."""
    esper = pytest.importorskip("esper")
    before = set(esper.list_worlds())
    first, second = (esper_peer.PEER.workloads["iter_2c"](SIZE) for _ in range(2))
    for entry in (first, second, first):
        entry.call()
    second.check()
    assert len(set(esper.list_worlds()) - before) == 2
    del first, second, entry
    gc.collect()
    assert set(esper.list_worlds()) <= before | {"default"}


def test_models_of_mesa_end_with_their_entries():
    """Mesa numbers agents by model, and so would keep every model there was."""
    mesa = pytest.importorskip("mesa")

    def models():
        # Not `isinstance`, which asks what a dead proxy stood for.
        return sum(issubclass(type(each), mesa.Model) for each in gc.get_objects())

    gc.collect()
    before = models()
    entry = mesa_peer.sweep_decay(SIZE)
    assert models() == before + 1
    del entry
    gc.collect()
    assert models() == before


@pytest.mark.parametrize("case", mesa_peer.PEER.workloads)
def test_agents_live_as_long_as_what_is_timed(case):
    """Mesa's sets hold agents weakly: without the check, what is timed still works on them all."""
    entry = entry_of(mesa_peer.PEER, case)
    call, calls = entry.call, 0
    del entry
    gc.collect()

    def count(_frame, event, _arg):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    assert calls >= SIZE // 10


def test_inputs_are_the_same_each_time():
    """Contestants that make them apart begin alike."""
    for make in (
        inputs.motion, inputs.columns, inputs.born, inputs.tenth, inputs.given, inputs.traces,
        inputs.recollections, inputs.edges,
    ):  # fmt: skip
        for first, second in zip(make(SIZE), make(SIZE), strict=True):
            assert np.array_equal(first, second), make.__name__


def test_a_crowd_keeps_the_most_important_of_each_owner():
    """As a loop over the owners would, and in each round anew."""
    crowd = inputs.Crowd(SIZE)
    for _ in range(3):
        for owner in range(crowd.n_owners):
            mine = crowd.importance[crowd.owner == owner]
            kept = crowd.importance[(crowd.owner == owner) & crowd.stays]
            assert mine.size == inputs.MEMBERS
            assert np.array_equal(np.sort(kept), np.sort(mine)[-inputs.KEPT :])
        crowd.renew()
        assert crowd.places.size == SIZE // 10


def test_memories_as_important_as_each_other_are_kept_as_far_as_there_is_room():
    """The bound of `prune_owners` drops as many as are too many, whatever is equal."""
    owner, bits = np.repeat([0, 1], [5, 3]), np.array([7, 7, 7, 1, 9, 2, 2, 2])
    room = [np.empty(8, np.int64) for _ in range(2)]
    kept = cases_peers.keep_best(
        owner, bits, 3, np.empty(4, np.int64), *room, np.empty(8, np.bool_)
    )
    assert owner[:kept].tolist() == [0, 0, 0, 1, 1, 1]
    assert bits[:kept].tolist() == [7, 7, 9, 2, 2, 2]
