"""BM25: its law, its kernel against the plain twin, and what a score does not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import TextPool
from populace.systems.bm25 import K1, B, bm25, bm25_scores, terms_of_words
from populace.systems.lexicon import lexicon

from . import naive_words as naive

text = st.lists(
    st.sampled_from("tea teas bread the at is Hobbs Cafe research researching ran 5".split()),
    max_size=9,
).map(" ".join)


def scores(pool, query, codes, k1=K1, b=B):
    """The kernel by itself, with dirty scratch."""
    words = lexicon(pool, codes)
    asked = words.ask(query)
    out = np.full(codes.size, np.nan)
    bm25_scores(
        codes, words.start_c, words.end_c, words.length_c, words.words_w,
        terms_of_words(asked, words.n_words), k1, b,
        np.full((codes.size, asked.n_terms), 77, np.uint8), np.full(asked.n_terms, np.nan), out,
    )  # fmt: skip
    return out


@settings(max_examples=100)
@given(
    text,
    st.lists(text, max_size=12),
    st.sampled_from([0.0, 0.9, 2.0]),
    st.sampled_from([0, 0.4, 1.0]),
)
def test_the_kernel_computes_bm25(query, texts, k1, b):
    """For any texts, query and constants the kernel is the formula."""
    pool = TextPool()
    codes = pool.intern(texts)
    want = naive.bm25(query, texts, k1, b)
    assert scores(pool, query, codes, k1, b).tolist() == pytest.approx(want)
    assert bm25(pool, query, codes).tolist() == pytest.approx(naive.bm25(query, texts, K1, B))


@settings(max_examples=40)
@given(text, st.lists(text, min_size=1, max_size=12), st.randoms())
def test_scores_depend_on_the_candidates_alone(query, texts, draw):
    """Not on their order, on other texts of the pool, or on the order of learning: to the bit."""
    pool, other = TextPool(), TextPool()
    codes = pool.intern(texts)
    first = bm25(pool, query, codes)
    lexicon(other, other.intern(["teas research cafes", "unrelated words", *reversed(texts)]))
    order = list(range(len(texts)))
    draw.shuffle(order)
    again = bm25(other, query, other.intern([texts[place] for place in order]))
    assert again.tolist() == first[order].tolist()
    lexicon(pool, pool.intern(["bread bread tea", "cafe"]))
    assert bm25(pool, query, codes).tolist() == first.tolist()


def test_equal_texts_tie_and_strangers_are_zero():
    """What shares no term, has no words or only common ones has 0 exactly; so has every query
    without a word that counts."""
    pool = TextPool()
    codes = pool.intern(["tea at Hobbs", "Hobbs: TEA", "", "the of", "rain", "tea at Hobbs"])
    got = bm25(pool, "teas", codes)
    assert got[0] == got[1] == got[5] > 0
    assert got[2:5].tolist() == [0] * 3
    for query in ("", "the", "zebra", "?"):
        assert bm25(pool, query, codes).tolist() == [0] * 6
    assert bm25(pool, "tea", []).tolist() == []
    assert bm25(pool, "tea", pool.intern(["", "the"])).tolist() == [0, 0]


def test_rare_words_weigh_more_and_long_texts_less():
    """What idf and length are there for; and a word in every candidate still counts a little."""
    pool = TextPool()
    codes = pool.intern(["tea rain", "tea bread", "tea bread and more bread with other things"])
    rain, bread, long = bm25(pool, "tea rain bread", codes)
    assert rain > bread
    assert 0 < bm25(pool, "tea", codes)[2] < bm25(pool, "tea", codes)[1]
    assert long > 0


def test_repeats_are_counted_to_255():
    """More than 255 of a word are as 255, and a text as long as that does no harm."""
    pool = TextPool()
    texts = ["tea " * 254, "tea " * 255, "tea " * 1000, "rain"]
    codes = pool.intern(texts)
    got = scores(pool, "tea", codes, 1.2, 0.0)
    assert got[0] < got[1] == got[2]
    assert got.tolist() == pytest.approx(naive.bm25("tea", texts, 1.2, 0.0))


def test_many_candidates():
    """Beyond what is fetched ahead, scores are the formula's still."""
    pool = TextPool()
    texts = [f"tea {i % 7} for {i % 50} at Hobbs" + " cafe" * (i % 3) for i in range(300)]
    codes = pool.intern(texts)
    want = naive.bm25("teas 3 cafes", texts, K1, B)
    assert bm25(pool, "teas 3 cafes", codes).tolist() == pytest.approx(want)
