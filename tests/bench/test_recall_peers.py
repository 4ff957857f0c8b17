"""Peers of recall and of snapshots find and keep what Populace does."""

import numpy as np
import pytest
from bench.peers import faiss_peer, list_store_peer, pyarrow_peer, savez_peer

from bench import inputs

SMALL = {
    "recall_own": 1,
    "recall_all_agents": 20,
    "recall_society": 5_000,
    "nearest_of_all": 20_000,
    "nearest_batch": 20_000,
    "nearest_flat": 20_000,
    "nearest_build": 20_000,
    "snapshot_full": 5_000,
    "snapshot_load": 5_000,
}
PEERS = [faiss_peer.PEER, list_store_peer.PEER, pyarrow_peer.PEER, savez_peer.PEER]
ENTRIES = [(peer, case) for peer in PEERS for case in peer.workloads]


def called(peer, case):
    """An entry, its state restored, called once."""
    if why := peer.why_absent():
        pytest.skip(f"{peer.name}: {why}")
    entry = peer.workloads[case](SMALL[case])
    if entry.before is not None:
        entry.before()
    entry.call()
    return entry


@pytest.mark.parametrize(
    ("peer", "case"), ENTRIES, ids=[f"{peer.name}-{case}" for peer, case in ENTRIES]
)
def test_peers_find_and_keep_what_populace_does(peer, case):
    """The check of every entry passes after one call, and after another."""
    entry = called(peer, case)
    entry.check()
    if entry.before is not None:
        entry.before()
    entry.call()
    entry.check()


def test_every_workload_has_the_name_of_a_case():
    """So that none is silently never run; and takes its smallest size."""
    from bench.harness import discover

    smallest = {case.name: case.sizes[0] for case in discover()}
    for peer, case in ENTRIES:
        assert peer.takes(case, smallest[case]), (peer.name, case)


def test_a_list_store_that_forgets_recency_is_noticed(monkeypatch):
    """Its answers are compared with Populace's own score."""
    monkeypatch.setattr(list_store_peer, "BASE", 1.0)
    with pytest.raises(AssertionError):
        called(list_store_peer.PEER, "recall_own").check()


def test_answers_that_are_not_the_nearest_are_noticed():
    """The second best ten; and the best one ten times."""
    mind, question = inputs.mind(0), inputs.questions(1)[0]
    order = np.argsort(-(mind.vector @ question))
    inputs.is_nearest(order[:10], mind.vector, question)
    for wrong in (order[1:11], np.repeat(order[:1], 10)):
        with pytest.raises(AssertionError):
            inputs.is_nearest(wrong, mind.vector, question)


@pytest.mark.parametrize("case", ["nearest_of_all", "nearest_batch"])
def test_an_index_that_looks_into_too_few_lists_is_noticed(case):
    """The share of the nearest that is found is part of the check."""
    entry = called(faiss_peer.PEER, case)
    index = faiss_peer.inverted(SMALL[case])
    probes, index.nprobe = index.nprobe, 1
    try:
        entry.call()
        with pytest.raises(AssertionError):
            entry.check()
    finally:
        index.nprobe = probes


@pytest.mark.parametrize("peer", [pyarrow_peer, savez_peer], ids=["pyarrow", "savez"])
def test_columns_that_differ_are_noticed(peer, monkeypatch):
    """A value, a type, a text: one of each is enough."""
    held = []

    def spoil(spoiler):
        def read(saved):
            tables, texts = peer.columns(peer.read(saved))
            spoiler(tables, texts)
            held.append(spoiler)
            return tables, texts

        return read

    def value(tables, texts):
        table = next(iter(tables.values()))
        table["id"] = table["id"].copy()
        table["id"][0] += 1

    def dtype(tables, texts):
        table = next(iter(tables.values()))
        table["id"] = table["id"].astype(np.int64)

    def text(tables, texts):
        texts[0] = "?"

    for spoiler in (value, dtype, text):
        entry = peer.reading(
            1_000, write=peer.write, read=spoil(spoiler), columns=lambda pair: pair
        )
        entry.call()
        with pytest.raises(AssertionError):
            entry.check()
    assert held == [value, dtype, text]
