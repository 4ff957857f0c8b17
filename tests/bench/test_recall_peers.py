"""Peers of recall and of snapshots find and keep what Populace does."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from bench.peers import faiss_peer, list_store_peer, pyarrow_peer, savez_peer
from bench.saved import Saved

from bench import cases_recall, inputs
from populace.storage.inverted import ROUNDS, SAMPLE_EACH
from populace.storage.vectors import VectorOptions
from populace.systems.recall_cache import HITS, MISSES

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
    """Its answers are compared with sums worked out apart."""
    monkeypatch.setattr(list_store_peer, "BASE", 1.0)
    with pytest.raises(AssertionError):
        called(list_store_peer.PEER, "recall_own").check()


def test_no_recall_is_answered_from_what_was_kept(monkeypatch):
    """However often the questions come round: peers keep no answers."""
    monkeypatch.setattr(cases_recall, "AGENTS", 20)
    contest = cases_recall.recall_own.contest(1)
    looks = cases_recall.minds(20).telemetry.looks
    before = looks[MISSES]
    for subject in contest.subjects.values():
        for _ in range(1_100):
            subject.call()
    assert looks[MISSES] == before + 3_300
    assert HITS not in looks


@pytest.mark.parametrize("case", [cases_recall.recall_own, cases_recall.recall_all_agents])
def test_a_recall_of_other_memories_is_noticed(case, monkeypatch):
    """Populace is held to the memories that its peers have."""
    monkeypatch.setattr(cases_recall, "AGENTS", 20)
    contest = case.contest(20)
    theirs = inputs.mind
    monkeypatch.setattr(inputs, "mind", lambda agent: theirs(agent + 1))
    with pytest.raises(AssertionError):
        contest.verify()


def test_a_recall_of_a_society_that_finds_others_is_noticed(monkeypatch):
    """Populace is held to the meanings that its peer goes through."""
    contest = cases_recall.recall_society.contest(5_000)
    theirs = inputs.meanings
    monkeypatch.setattr(inputs, "meanings", lambda n: np.roll(theirs(n), 1, axis=0))
    with pytest.raises(AssertionError):
        contest.verify()


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


def test_an_index_of_a_peer_is_trained_and_tuned_as_ours_is():
    """As many rounds on as many vectors, codes of the vectors themselves, as many found."""
    index = faiss_peer.inverted(SMALL["nearest_of_all"])
    assert (index.cp.niter, index.cp.max_points_per_centroid) == (ROUNDS, SAMPLE_EACH)
    assert not index.by_residual
    vectors, asked = faiss_peer.meanings(20_000), faiss_peer.asked_of(256, 98)
    found = index.search(asked, inputs.ANSWERS)[1]
    share = faiss_peer.share(found, faiss_peer.nearest(vectors, asked))
    assert VectorOptions().recall <= share < 1


def test_a_flat_index_of_a_peer_has_as_many_bytes_as_ours():
    """A byte a dimension: what is compared is as much to read."""
    entry = called(faiss_peer.PEER, "nearest_flat")
    (index,) = (
        cell.cell_contents for cell in entry.call.__closure__ if hasattr(cell.cell_contents, "d")
    )
    assert index.sa_code_size() == inputs.DIMENSIONS


def test_columns_are_written_with_the_settings_that_suit_them():
    """pyarrow's defaults would search numbers that hardly repeat for what repeats."""
    saved = Saved(1_000)
    pyarrow_peer.write(saved)
    for path in saved.folder.iterdir():
        told = pq.ParquetFile(path).metadata.row_group(0)
        for column in map(told.column, range(told.num_columns)):
            assert column.compression == "UNCOMPRESSED"
            assert not column.has_dictionary_page


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
