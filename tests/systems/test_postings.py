"""Scores of a whole society from postings: those of BM25 over every memory, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import TextPool
from populace.ecs.errors import ColumnShapeError, ColumnTypeError
from populace.systems import postings as module
from populace.systems.bm25 import bm25
from populace.systems.lexicon import lexicon
from populace.systems.postings import Postings, fold, gather, link, postings, sum_candidates

text = st.lists(
    st.sampled_from("tea teas bread the at is Hobbs Cafe research researching ran 5".split()),
    max_size=9,
).map(" ".join)


def agree(pool, found, query, memories, n_codes):
    """Whether postings find what scoring each memory does."""
    counts = np.bincount(memories, minlength=n_codes)
    got = found.score(query, counts)
    want = np.zeros(n_codes)
    want[memories] = bm25(pool, query, memories)
    assert got.codes.tolist() == np.flatnonzero(want).tolist()
    assert got.scores.tolist() == want[want > 0].tolist()
    length = int(found.lexicon.length_c[memories].sum())
    again = found.score(query, counts.astype(np.uint32), (len(memories), length))
    assert [part.tolist() for part in again] == [part.tolist() for part in got]


@pytest.mark.parametrize("small", [0, 5, 10_000])
@settings(max_examples=50)
@given(st.lists(st.tuples(text, st.lists(text, max_size=8)), max_size=5), st.randoms())
def test_postings_score_as_bm25_does(small, steps, draw):
    """However texts come and are folded, for any counts, with totals given or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", small)
        pool = TextPool()
        found = postings(pool)
        for query, texts in steps:
            codes = pool.intern(texts).tolist()
            draw.shuffle(codes)
            lexicon(pool, codes)
            memories = np.array(draw.choices(range(len(pool)), k=9), np.uint32)
            lexicon(pool, memories)
            agree(pool, found, query, memories, len(pool))


def test_texts_without_candidates_are_passed_over():
    """They change no statistics; without counts each text is one candidate."""
    pool = TextPool()
    codes = pool.intern(["tea", "tea rain", "rain bread", "bread"])
    found = postings(pool, codes)
    agree(pool, found, "teas rain", codes[[0, 0, 2]], 5)
    got = found.score("tea rain")
    assert got.codes.tolist() == [1, 2, 3]
    assert got.scores.tolist() == bm25(pool, "tea rain", codes)[:3].tolist()
    assert found.score("tea", np.zeros(5, np.int64)).codes.tolist() == []
    assert found.score("tea", []).codes.tolist() == []
    for query in ("", "the", "zebra"):
        assert found.score(query).codes.tolist() == []


def test_counts_may_be_short_or_long():
    """Codes beyond them have no candidates; a number beyond the codes is not looked at."""
    pool = TextPool()
    found = postings(pool, pool.intern(["tea", "tea rain", "teas"]))
    assert found.score("tea", [0, 1, 1]).codes.tolist() == [1, 2]
    assert found.score("tea", [0, 1, 1, 1, 8, 8]).codes.tolist() == [1, 2, 3]


def test_nothing_remains_of_a_query():
    """The same question has the same answer, whatever was asked between."""
    pool = TextPool()
    codes = pool.intern([f"tea {i % 7} rain {i % 11} bread{i}" for i in range(500)])
    found = postings(pool, codes)
    first = found.score("tea rain 3")
    found.score("5 bread7 teas", np.arange(501))
    again = found.score("tea rain 3")
    assert first.codes.tolist() == again.codes.tolist() == list(range(1, 501))
    assert first.scores.tolist() == again.scores.tolist()


def test_each_word_of_a_text_is_held_once(monkeypatch):
    """A tail is folded when it has grown, by learning order within a word, and its room let go."""
    monkeypatch.setattr(module, "SMALL", 10)
    pool = TextPool()
    found = postings(pool, pool.intern(["tea tea the rain", "tea bread"]))
    found.take_in()
    assert found._n_tail == 4
    words = lexicon(pool, pool.intern([f"tea {i}" for i in range(10)]))
    found.take_in()
    assert found._n_tail == 0
    tea = words.find("tea")
    span = slice(found._first_v[tea], found._first_v[tea + 1])
    assert found._text_p[span].tolist() == list(range(1, 13))
    assert found._tf_p[span].tolist() == [2] + [1] * 11
    assert found._first_v[-1] == found._text_p.size == 24


def test_there_are_one_pools_postings():
    """They are kept with the pool."""
    pool = TextPool()
    assert postings(pool) is postings(pool)
    assert postings(TextPool()) is not postings(pool)


@settings(max_examples=30)
@given(st.lists(text, max_size=6), st.lists(text, max_size=6))
def test_the_plain_kernels_do_the_same(first, later):
    """`link`, `fold`, `sum_candidates` and `gather` as the Python they are compiled from."""
    pool = TextPool()
    want = Postings(lexicon(pool, pool.intern(first)))
    got = Postings(want.lexicon)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 5)
        for kernel in (link, fold, sum_candidates, gather):
            patch.setattr(module, kernel.__name__, kernel.py_func)
        got.take_in()
        lexicon(pool, pool.intern(later))
        mine = got.score("tea Cafe 5")
        patch.undo()
        other = want.score("tea Cafe 5")
    assert [part.tolist() for part in mine] == [part.tolist() for part in other]


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([[1]], ColumnShapeError, r"one number for each text code, \(codes,\); got \(1, 1\)"),
        ([1.0], ColumnTypeError, "count_c holds integers; got float64"),
    ],
)
def test_counts_of_another_kind_are_refused(counts, error, message):
    """The error has what was given."""
    pool = TextPool()
    found = postings(pool, pool.intern(["tea"]))
    with pytest.raises(error, match=message):
        found.score("tea", counts)
