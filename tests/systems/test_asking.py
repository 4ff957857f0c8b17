"""What is asked: texts or vectors, checked, each of them once."""

import numpy as np
import pytest

from populace.components import Memory, Persona, Trace
from populace.components.embedding import embedding
from populace.ecs import World
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ResourceError,
)
from populace.storage.dots import encode
from populace.systems.asking import asked, embeddings_of
from populace.systems.embedders import CallableEmbedder
from populace.systems.embedding import Embeddings, attach_embedder
from populace.systems.recollection import recall

from .naive_recall import (
    AGENTS,
    DIMENSIONS,
    MEANING,
    SAID,
    Told,
    exact,
    meaning,
    numbered,
    world_of,
)

GENERATOR = np.random.default_rng(5)


def with_vectors(dtype="f4"):
    """A world whose memories have vectors of their own, and no embedder; and its people."""
    world, people, ids = world_of(numbered(Told(agent=k % AGENTS, text=SAID[k]) for k in range(7)))
    stored, scale = encode(np.random.default_rng(5).normal(size=(7, DIMENSIONS)), dtype)
    world.add(ids, embedding(DIMENSIONS, dtype)(vector=stored, scale=scale))
    return world, people


def test_nothing_is_asked():
    """No query: nothing to compare, whatever the mode."""
    for mode in ("hybrid", "words", "vectors"):
        found = asked(World(), None, 3, mode)
        assert (found.texts, found.vectors, found.component) == ((), None, None)
        assert found.query_n.tolist() == [-1, -1, -1]


def test_texts_are_taken_once():
    """Each distinct one, in the order of its first; one for all is one."""
    world = World()
    found = asked(world, ["tea", "rain", "tea", "red"], 4, "hybrid")
    assert found.texts == ("tea", "rain", "red")
    assert found.query_n.tolist() == [0, 1, 0, 2]
    assert found.by_words
    assert asked(world, "tea", 3, "hybrid").query_n.tolist() == [0, 0, 0]
    for given in (("tea", "rain"), np.array(["tea", "rain"]), iter(["tea", "rain"])):
        assert asked(world, given, 2, "words").texts == ("tea", "rain")


def test_an_embedder_is_asked_once_about_each():
    """And not again for the same text; not at all where words alone count."""
    calls = []

    def noting(texts):
        calls.append(list(texts))
        return meaning(texts)

    world, people, _ = world_of(numbered([Told()]))
    attach_embedder(world, CallableEmbedder(noting, "noting", DIMENSIONS), embedding=False)
    recall(world, people, ["tea", "rain", "tea"])
    recall(world, people, "rain")
    recall(world, people, "red", mode="words")
    assert sorted(text for call in calls for text in call) == ["rain", "tea"]


def test_by_words_where_nothing_else_is_known():
    """A world without `Embeddings` compares words; one with it both, or what the mode says."""
    world, _ = with_vectors()
    assert asked(world, "tea", 3, "hybrid").vectors is None
    attach_embedder(world, MEANING, dtype="f4", embedding=False)
    both = asked(world, "tea", 3, "hybrid")
    assert (both.by_words, both.component) == (True, embedding(DIMENSIONS, "f4"))
    assert both.vector_type == np.float32
    assert not asked(world, "tea", 3, "vectors").by_words
    assert asked(world, "tea", 3, "words").vectors is None


def test_vectors_of_any_length_and_number_type():
    """One for all or one for each: lists, whole numbers, f2 or f8; only directions count."""
    world, people = with_vectors()
    one = np.array([1, 0, -2, 0, 3])
    want = exact(recall(world, people, one))
    for same in (
        one * 1e30, one.astype("f2"), one.astype("i1"), np.tile(one, (3, 1)), [one.tolist()] * 3,
        [one] * 3, np.tile(one, (3, 2))[:, :5], one.repeat(2)[::2],
    ):  # fmt: skip
        assert exact(recall(world, people, same)) == want
    assert exact(recall(world, people, one, mode="vectors")) == want
    each = GENERATOR.normal(size=(3, DIMENSIONS))
    found = recall(world, people, each)
    for agent in range(AGENTS):
        part = slice(found.offsets[agent], found.offsets[agent + 1])
        alone = recall(world, people[agent], each[agent])
        assert found.scores.total[part].tolist() == alone.scores.total.tolist()


def test_a_list_of_numbers_is_a_vector():
    """One for all, as an array of them is."""
    world, people = with_vectors()
    one = [1.0, 0.0, -2.0, 0.0, 3.0]
    for who in (people, people[0]):
        assert exact(recall(world, who, one)) == exact(recall(world, who, np.array(one)))


def test_a_vector_of_zeros_means_nothing():
    """Everything is as relevant to it."""
    world, people = with_vectors()
    found = recall(world, people, np.zeros(DIMENSIONS))
    assert set(found.scores.relevance.tolist()) == {0.5}


REFUSED = {
    "empty": ("", ColumnValueError, "says what it is about; got ''.*give None"),
    "blank": (" \n", ColumnValueError, "says what it is about"),
    "one of them empty": (["tea", "", "rain"], ColumnValueError, "got ''"),
    "too few": (["tea"], ColumnShapeError, "one for each of 3 agents; got 1"),
    "none": ([], ColumnShapeError, "one for each of 3 agents; got 0"),
    "too many vectors": (np.ones((4, 5)), ColumnShapeError, "one for each of 3 agents; got 4"),
    "other dimensions": (np.ones(6), ColumnShapeError, r"5 dimensions \(Embedding5f4\).*\(6,\)"),
    "other dimensions each": (np.ones((3, 4)), ColumnShapeError, r"\(3, 5\).*got \(3, 4\)"),
    "a cube": (np.ones((3, 1, 5)), ColumnShapeError, r"got \(3, 1, 5\)"),
    "one number": (np.array(1.0), ColumnShapeError, r"got \(\)"),
    "not finite": (np.array([1, 2, np.nan, 0, 0]), ColumnValueError, "finite; row 0 has nan"),
    "endless": (np.array([1, 2, np.inf, 0, 0]), ColumnValueError, "finite; row 0 has inf"),
    "truths": (np.ones(5, bool), ColumnTypeError, "a vector"),
    "texts and numbers": (["tea", 1.0, "rain"], ColumnTypeError, "a text, a vector"),
    "texts and vectors": (["tea", [1.0] * 5, "rain"], ColumnTypeError, "a text, a vector"),
    "vectors of other sizes": ([[1.0], [1.0, 2.0], [1.0]], ColumnTypeError, "a vector"),
    "a number": (5, ColumnTypeError, "a text, a vector"),
    "bytes": (b"tea", ColumnTypeError, "a text, a vector"),
    "an object": (object(), ColumnTypeError, "a text, a vector"),
}


@pytest.mark.parametrize(("query", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_question(query, error, match):
    """The error says what is allowed."""
    world, people = with_vectors()
    with pytest.raises(error, match=match):
        recall(world, people, query)


def test_a_mode_that_cannot_answer():
    """A vector has no words; texts need somebody to embed them."""
    world, people = with_vectors()
    with pytest.raises(ColumnValueError, match="a vector has none: ask with a text"):
        recall(world, people, np.ones(DIMENSIONS), mode="words")
    with pytest.raises(ResourceError, match=r"attach_embedder\(world\).*mode='words'"):
        recall(world, people, "tea", mode="vectors")
    with pytest.raises(ColumnValueError, match="hybrid, words, vectors; got 'both'"):
        recall(world, people, "tea", mode="both")


def test_which_vectors_are_meant():
    """Those of `Embeddings`, or the only ones; else the error says what to do."""
    world = World()
    with pytest.raises(ResourceError, match="no memory of this world has an embedding"):
        embeddings_of(world)
    world, people = with_vectors()
    assert embeddings_of(world) is embedding(DIMENSIONS, "f4")
    person = world.spawn(1, Persona(number=99))
    other = embedding(3, "i1")
    world.spawn(
        1,
        Memory(owner=person, sequence=0, created=0),
        Trace(importance=0.5, stability=9.0, accessed=0),
        other(vector=[[1, 2, 3]], scale=0.1),
    )
    with pytest.raises(ResourceError, match="2 kinds, Embedding5f4, Embedding3i1; insert"):
        recall(world, people, np.ones(DIMENSIONS))
    world.insert(Embeddings(embedder="mine", dimensions=3, dtype="i1"))
    assert embeddings_of(world) is other
    assert len(recall(world, person, np.ones(3))) == 1
