"""Diversity: answers that are good and unlike each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.systems.diversity import POOL, diverse, unit_vectors_of
from populace.systems.embedders import HashedEmbedder
from populace.systems.recollection import recall

from .naive_recall import AGENTS, SAID, Told, exact, numbered, world_of


def naive_diverse(scores, vectors, k, diversity):
    """The places of what is taken, one after the other."""
    taken = []
    while len(taken) < min(k, len(scores)):
        value = {
            place: (1 - diversity) * scores[place]
            - diversity * max([vectors[place] @ vectors[t] for t in taken], default=0)
            for place in range(len(scores))
            if place not in taken
        }
        taken.append(max(value, key=value.__getitem__))
    return taken


def directions(draw, n, d):
    """(n, d) f4 of length 1, some of them alike, some 0. Cosines are exact: axes, or halves."""
    rows = np.zeros((n, d), np.float32)
    for row in rows:
        kind = draw(st.sampled_from(["axis", "axis", "half", "none"]))
        if kind == "axis":
            row[draw(st.integers(0, d - 1))] = draw(st.sampled_from([1, -1]))
        elif kind == "half" and d >= 4:
            row[draw(st.permutations(range(d)))[:4]] = 0.5
    return rows


@st.composite
def answers(draw):
    """(scores, vectors, offsets): of some agents, best first; scores are multiples of 1/64."""
    sizes = draw(st.lists(st.integers(0, 12), min_size=1, max_size=3))
    parts = st.integers(0, 64).map(lambda s: s / 64)
    scores = [sorted(draw(st.lists(parts, min_size=n, max_size=n)), reverse=True) for n in sizes]
    d = draw(st.sampled_from([1, 4, 33]))
    vectors = directions(draw, sum(sizes), d)
    return (
        np.array([score for each in scores for score in each], float),
        vectors,
        np.append(0, np.cumsum(sizes)),
    )


@given(answers(), st.integers(1, 15), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_what_is_taken_is_what_the_twin_takes(case, k, diversity):
    """One after the other, of each agent; -1 where there are no more."""
    scores, vectors, offsets = case
    found = diverse(scores, vectors, offsets, k, diversity)
    for agent, row in enumerate(found.tolist()):
        part = slice(offsets[agent], offsets[agent + 1])
        want = naive_diverse(scores[part].tolist(), vectors[part], k, diversity)
        want = [int(offsets[agent]) + place for place in want]
        assert row == want + [-1] * (k - len(want))


def test_none_takes_them_as_they_are_ranked_and_all_as_unlike_as_can_be():
    """0 and 1; the first is the best in any case."""
    unit = np.eye(3, dtype=np.float32)[[0, 0, 1, 0, 2, 1]]
    scores, offsets = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([0, 6])
    assert diverse(scores, unit, offsets, 6, 0.0).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert diverse(scores, unit, offsets, 4, 1.0).tolist() == [[0, 2, 4, 1]]
    assert diverse(np.empty(0), unit[:0], np.array([0, 0]), 2, 0.5).tolist() == [[-1, -1]]


# -- through recall ------------------------------------------------------------------------------


def repeating(dtype=None):
    """An agent who has seen the same thing many times, and three others once."""
    said = ["tea with Ann"] * 9 + ["Ann reads", "Ann, rain", "a red red rose"]
    return world_of(numbered(Told(text=t, importance=0.5) for t in said), dtype)


@pytest.mark.parametrize("dtype", [None, "f4", "f2", "i1"])
def test_the_same_is_not_told_again_and_again(dtype):
    """By embeddings where there are any, by words else."""
    world, people, _ = repeating(dtype)
    plain = recall(world, people[0], "tea with Ann", k=3)
    assert plain.text == ["tea with Ann"] * 3
    other = recall(world, people[0], "tea with Ann", k=3, diversity=0.7)
    assert other.text[0] == "tea with Ann"
    assert len(set(other.text)) == 3
    assert other.keys[0].tolist() == plain.keys[0].tolist()


@examples(max_examples=60)
@given(
    st.lists(st.sampled_from(SAID), max_size=40),
    st.integers(1, 4),
    st.sampled_from([0.01, 0.5, 1.0]),
    st.sampled_from([None, "i1"]),
)
def test_those_are_taken_of_the_best(texts, k, diversity, dtype):
    """k times `POOL` of them; as many as there would be otherwise, with the scores they would
    have, each once."""
    memories = numbered(
        Told(agent=n % AGENTS, text=text, age_h=n, importance=n % 5 / 4)
        for n, text in enumerate(texts)
    )
    world, people, _ = world_of(memories, dtype)
    pool = recall(world, people, "Ann's tea", k * POOL)
    taken = recall(world, people, "Ann's tea", k, diversity=diversity)
    assert np.diff(taken.offsets).tolist() == np.minimum(np.diff(pool.offsets), k).tolist()
    scores = dict(zip(map(tuple, pool.keys.tolist()), pool.scores.total.tolist(), strict=True))
    for key, total in zip(map(tuple, taken.keys.tolist()), taken.scores.total, strict=True):
        assert scores.pop(key) == total


def test_0_is_as_without():
    """To the bit; any number in [0, 1] will do."""
    world, people, _ = repeating("i1")
    plain = exact(recall(world, people, "tea", 5))
    for none in (0, 0.0, np.float64(0)):
        assert exact(recall(world, people, "tea", 5, diversity=none)) == plain
    for half in (0.5, np.float64(0.5), np.float32(0.5)):
        assert len(recall(world, people, "tea", 5, diversity=half)) == 5


def test_as_many_as_asked_for_whatever_type_k_has():
    """A byte holds k, but not k times what is looked at."""
    for kind in (int, np.uint8, np.int64):
        world, people, _ = world_of(numbered(Told(text="tea") for _ in range(300)))
        assert len(recall(world, people[0], "tea", kind(100), diversity=0.3)) == 100


def test_where_there_are_no_embeddings_words_are_compared():
    """The hashed words of the texts, of length 1; zeros for ""."""
    found = unit_vectors_of(np.zeros(3), np.zeros(3), np.zeros((1, 10)), None, lambda: SAID[2:5])
    want = HashedEmbedder()(SAID[2:5])
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 0])
    assert np.allclose(found[:2], want[:2] / np.linalg.norm(want[:2], axis=1, keepdims=True))
