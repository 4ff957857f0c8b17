"""Ranking: how cosines and words are fused, and that nothing but the candidates counts."""

from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.ecs import hours
from populace.storage.dots import encode, queries
from populace.systems import RecallScore
from populace.systems import ranking as ranking_module
from populace.systems.embedding import Embeddings
from populace.systems.ranking import cosines_of, deviation, fuse
from populace.systems.recollection import recall

from . import naive_recall as naive
from .naive_recall import AGENTS, DIMENSIONS, NOW, SAID, Told, exact, meaning, numbered, world_of

values = st.lists(st.floats(-1, 1, width=32) | st.sampled_from([0.0, 0.5, -0.5]), min_size=1)
BY_RELEVANCE = RecallScore(w_recency=0, w_importance=0, w_relevance=1, base=0.99)


# -- the kernels ---------------------------------------------------------------------------------


@given(values, st.randoms(use_true_random=False))
def test_deviation_is_that_of_the_twin_in_any_order(given_, random):
    """Equal to the plain twin, to the bit whatever the order; near the exact one."""
    found = deviation(np.array(given_))
    assert found == pytest.approx(naive.deviation(given_), rel=1e-12, abs=1e-300)
    peak = max(map(abs, given_))
    assert found == pytest.approx(pstdev(given_), rel=3e-5, abs=3e-5 * peak)
    random.shuffle(given_)
    assert deviation(np.array(given_)) == found


@pytest.mark.parametrize("value", [0.0, 0.1, -0.3, 1e-300, 7e300, 1 / 3])
@pytest.mark.parametrize("n", [1, 3, 1000])
def test_equal_values_do_not_deviate(value, n):
    """Exactly 0, whatever they are and however many."""
    assert deviation(np.full(n, value)) == 0


def test_deviation_of_many_values_does_not_overflow():
    """A million at both ends."""
    assert deviation(np.tile([1.0, -1.0], 500_000)) == 1.0


@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(0, 50, width=32)), min_size=1))
def test_fusion_is_that_of_the_twin(pairs):
    """The sum of both in deviations; the output may be one of the inputs."""
    cosines, words = (np.array(column) for column in zip(*pairs, strict=True))
    out, deviates = np.empty(len(pairs)), (deviation(cosines), deviation(words))
    fuse(cosines, words, *deviates, out)
    want = naive.fused(cosines.tolist(), words.tolist())
    assert np.allclose(out, want, rtol=1e-9, atol=1e-9)
    for given_ in (cosines, words):
        pair = [cosines.copy(), words.copy()]
        into = pair[0] if given_ is cosines else pair[1]
        fuse(*pair, *deviates, into)
        assert into.tolist() == out.tolist()


def test_a_kind_that_tells_nothing_apart_drops_out():
    """All cosines alike leave the words as they are ranked, and the other way round."""
    out, rising = np.empty(3), np.array([0.0, 1.0, 4.0])
    alike, want = np.full(3, 0.7), (rising / deviation(rising)).tolist()
    for cosines, words in ((alike, rising), (rising, alike)):
        fuse(cosines, words, deviation(cosines), deviation(words), out)
        assert out.tolist() == want
    fuse(alike, np.zeros(3), deviation(alike), 0.0, out)
    assert out.tolist() == [0, 0, 0]


@given(st.lists(st.booleans(), max_size=9), st.sampled_from(["f4", "f2", "i1"]))
def test_a_memory_without_a_vector_has_cosine_0(there, dtype):
    """Among those that have one, whose cosines are as if they were alone."""
    n = len(there)
    stored, scale = encode(np.random.default_rng(n).normal(size=(n, 40)), dtype)
    asked = queries(np.random.default_rng(99).normal(size=(1, 40)))
    begin = stored.ctypes.data + np.arange(n) * stored.strides[0]
    address, out = np.where(there, begin, 0).astype(np.int64), np.empty(n)
    cosines_of(
        address, scale, stored.itemsize, asked.unit_qd[0], asked.whole_qd[0], asked.step_q[0],
        np.empty(n, np.int64), np.empty(n), out,
    )  # fmt: skip
    want = asked.cosines(stored, scale)[0]
    assert out.tolist() == [w if t else 0.0 for w, t in zip(want.tolist(), there, strict=True)]


# -- through recall ------------------------------------------------------------------------------


def society(n, dtype=None, **options):
    """A world of n memories whose texts, ages and importances vary."""
    return world_of(
        numbered(
            Told(agent=k * k % AGENTS, text=SAID[k * 5 % 7], age_h=k % 90, idle_h=k % 70,
                 importance=k % 11 / 10, meant=k % 4 > 0, starred=k % 2 > 0, stated=k % 3 > 0)
            for k in range(n)
        ),
        dtype,
        **options,
    )  # fmt: skip


@pytest.mark.parametrize("alone", [1, 7, 60])
@pytest.mark.parametrize("dtype", [None, "i1"])
def test_threads_change_nothing(monkeypatch, alone, dtype):
    """However the agents are shared out, also where one has nearly all memories or none."""
    monkeypatch.setattr(ranking_module, "ALONE", alone)
    found = []
    for threads in (1, 2, 5):
        world, people, _ = society(120, dtype, threads=threads)
        who = np.concatenate([people, people[::-1], people[:1]])
        found.append(exact(recall(world, who, "Does Ann read?", k=9)))
    assert found[0] == found[1] == found[2]


def test_many_candidates_are_shared_among_threads():
    """As many as a second thread is worth, without any help."""
    n = 3 * ranking_module.ALONE
    found = []
    for threads in (1, 2):
        world, people, _ = society(n, "i1", threads=threads)
        found.append(exact(recall(world, people, ["tea", "red", "Ann"], k=50)))
    assert found[0] == found[1]


@examples(max_examples=50)
@given(st.integers(1, 60), st.sampled_from(["f4", "f2", "i1"]), st.integers(0, 2**20))
def test_an_agents_scores_do_not_depend_on_others(n, dtype, seed):
    """Asked with any others, in any order, more than once."""
    world, people, _ = society(n, dtype)
    who = np.random.default_rng(seed).integers(0, AGENTS, 7)
    together = recall(world, people[who], "tea, rain, Ann", k=6)
    for place, agent in enumerate(who):
        part = slice(together.offsets[place], together.offsets[place + 1])
        alone = recall(world, people[agent], "tea, rain, Ann", k=6)
        assert together.keys[part].tolist() == alone.keys.tolist()
        assert together.scores.total[part].tolist() == alone.scores.total.tolist()
        assert together.scores.relevance[part].tolist() == alone.scores.relevance.tolist()


def test_fusion_finds_what_either_would_miss():
    """One says it in the same words, another means it: both come before those that do neither."""
    word, sense = "Ann has a red rose", "the gift"
    said = [word, "bread", "a coin", "the sea", "wind", sense]
    world, people, ids = world_of(numbered(Told(text=text) for text in said), "f4")
    component = world.resource(Embeddings).component
    asked = meaning(["a rose"])
    away = np.random.default_rng(1).normal(size=(6, DIMENSIONS))
    away -= (away @ asked.T) * asked / (asked @ asked.T)
    away[5] = asked
    stored, scale = encode(away, "f4")
    world.remove(ids, component)
    world.add(ids, component(vector=stored, scale=scale))
    best = {
        mode: recall(world, people[0], "a rose", k=2, mode=mode, law=BY_RELEVANCE).text
        for mode in ("words", "vectors", "hybrid")
    }
    assert best["words"][0] == word
    assert best["vectors"][0] == sense
    assert set(best["hybrid"]) == {word, sense}


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (1, 3), (5, 4)])
def test_opposed_evidence_is_none(sizes):
    """Two sorts of memory, one of which shares the words and the other means it: both kinds tell
    them apart by as many deviations, so that they are as relevant, a half each."""
    said = ["tea with Ann"] * sizes[0] + ["bread"] * sizes[1]
    world, people, ids = world_of(numbered(Told(text=text) for text in said), "f4")
    component = world.resource(Embeddings).component
    asked = meaning(["tea"])[0]
    away = np.array([-asked if text != "bread" else asked for text in said])
    stored, scale = encode(away, "f4")
    world.remove(ids, component)
    world.add(ids, component(vector=stored, scale=scale))
    found = recall(world, people[0], "tea", k=9)
    assert set(found.scores.relevance.tolist()) == {0.5}


def test_modes_are_their_kinds_alone():
    """By words: memories that share none have relevance 0, all alike. By vectors: words nobody
    shares do not matter. Hybrid is neither."""
    memories = numbered(Told(text=t) for t in SAID)
    world, people, _ = world_of(memories, "f4")
    words, vectors, both = (
        recall(world, people[0], "red Ann", k=7, mode=mode, law=BY_RELEVANCE)
        for mode in ("words", "vectors", "hybrid")
    )
    said = dict(zip(words.text, words.scores.relevance.tolist(), strict=True))
    assert {t for t, score in said.items() if score > 0} == {
        "tea with Ann", "Ann reads", "a red red rose", "Ann, rain",
    }  # fmt: skip
    cosine = (
        meaning(["red Ann"])[0]
        @ meaning(SAID).T
        / np.maximum(np.linalg.norm(meaning(SAID), axis=1), 1e-9)
    )
    assert vectors.text == [SAID[place] for place in np.argsort(-cosine)]
    assert len({tuple(each.text) for each in (words, vectors, both)}) == 3


def test_without_a_query_all_are_as_relevant():
    """A half each; so is a text of words that tell nothing, where there are no vectors."""
    world, people, _ = society(30)
    for query in (None, "of the", "xyzzy"):
        found = recall(world, people, query, k=30)
        assert set(found.scores.relevance.tolist()) == {0.5}
        assert found.keys.tolist() == recall(world, people, k=30).keys.tolist()


def test_times_ahead_count_as_now():
    """A last access after now is no better than one at now."""
    world, people, _ = world_of(numbered([Told(age_h=-5, idle_h=-5), Told(age_h=0), Told(age_h=9)]))
    found = recall(world, people[0])
    assert found.scores.recency.tolist() == [1, 1, 0]
    assert found.created.tolist() == [NOW + hours(5), NOW, NOW - hours(9)]
