"""The words of texts, what a query means, and the filters by phrase and prefix."""

import gc
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import TextPool
from populace.ecs.errors import ColumnTypeError, ColumnValueError
from populace.systems import lexicon as module
from populace.systems.lexicon import Lexicon, lexicon
from populace.systems.stemming import COMMON, split, stem
from populace.systems.wordfilter import WordFilter, passing

from . import naive_words as naive

FORMS = [pytest.param(False, id="compiled"), pytest.param(True, id="plain")]
DRAWN = """tea teas bread the at is Hobbs Cafe caf CAFE's didn't it\u2019s x's's research , ' . \n
    researching researched well-known ﬁne café İstanbul ß ss 10:00 a_b \u2019 紅茶""".split(" ")
text = st.lists(st.sampled_from(DRAWN), max_size=9).map(" ".join)


def of(words, code):
    """The words of a code, as they stand."""
    numbers = words.words_w[words.start_c[code] : words.end_c[code]]
    return [words.word(number) for number in numbers]


# -- words -----------------------------------------------------------------------------------


def test_what_a_word_is():
    """Hyphens part, apostrophes within do not; possessives go, denials stay; accents count."""
    assert split("Klaus's O'Brien -- well-known, they'll don't; 'quoted' İ") == [
        "klaus", "o'brien", "well", "known", "they", "don't", "quoted", split("İ")[0],
    ]  # fmt: skip
    assert split("\uff34\uff25\uff21 Straße café cafe") == ["tea", "strasse", "café", "cafe"]
    assert split("紅茶を飲む 5:30 a_b") == ["紅茶を飲む", "5", "30", "a_b"]
    assert split("") == split(" .,!'\u2019\n") == []
    assert {"don't", "the"} < COMMON


def test_common_words_are_words():
    """Each word of COMMON is what parting a text gives, so none of them is there in vain."""
    assert all(split(word) == [word] for word in COMMON)


# -- the lexicon -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.lists(text, max_size=6), max_size=4))
def test_a_lexicon_keeps_the_words_of_each_text(batches):
    """In whatever batches codes are learnt: their words, in order, and how many of them count."""
    pool, words, seen = TextPool(), Lexicon(), []
    for batch in batches:
        codes = pool.intern(batch)
        words.learn(pool, codes[::-1])
        seen += codes.tolist()
    for code in seen:
        have = split(pool.decode([code])[0])
        assert of(words, code) == have
        assert words.length_c[code] == sum(word not in COMMON for word in have)
    assert sorted(words.learnt.tolist()) == sorted(set(seen))
    known = [words.word(number) for number in range(words.n_words)]
    assert len(set(known)) == len(known)
    assert words.common_v.tolist() == [word in COMMON for word in known]
    others = set(range(words.start_c.size)) - set(seen)
    assert all(words.start_c[code] == -1 for code in others)


def test_a_large_batch_is_learnt_in_parts(monkeypatch):
    """Parts and growth change nothing."""
    monkeypatch.setattr(module, "BATCH", 7)
    pool, words = TextPool(), Lexicon()
    codes = pool.intern([f"word{i} the word{i + 1}" for i in range(3_000)])
    words.learn(pool, codes[::2])
    words.learn(pool, codes)
    assert of(words, codes[1501]) == ["word1501", "the", "word1502"]
    assert words.length_c[codes].tolist() == [2] * 3_000
    assert words.learnt.size == 3_000


def test_there_is_one_lexicon_for_a_pool():
    """It is kept as long as the pool is, and no longer."""
    pool = TextPool()
    words = lexicon(pool, pool.intern(["tea"]))
    assert lexicon(pool) is words
    assert lexicon(TextPool()) is not words
    gone = weakref.ref(words)
    del pool, words
    gc.collect()
    assert gone() is None


@settings(max_examples=60)
@given(text, st.lists(text, max_size=8))
def test_a_query_means_every_word_of_its_stems(query, texts):
    """Each word of a stem of the query, with the place of the stem; unknown and common ones not."""
    pool = TextPool()
    words = lexicon(pool, pool.intern(texts))
    words.ask(query)
    words.learn(pool, pool.intern(["researcher cafes"]))
    asked = words.ask(query)
    known = {words.word(number) for number in range(words.n_words)} - COMMON
    stems = list(dict.fromkeys(naive.terms(query)))
    stems = [each for each in stems if each in {stem(word) for word in known}]
    got = {words.word(n): stems[t] for n, t in zip(asked.words, asked.terms, strict=True)}
    assert got == {word: stem(word) for word in known if stem(word) in stems}
    assert asked.n_terms == len(stems)
    assert (np.diff(asked.terms) >= 0).all()


def test_too_long_a_query_is_refused(monkeypatch):
    """The error has both numbers."""
    monkeypatch.setattr(module, "MOST_TERMS", 1)
    pool = TextPool()
    words = lexicon(pool, pool.intern(["tea bread"]))
    assert words.ask("tea rain teas").n_terms == 1
    with pytest.raises(ColumnValueError, match=r"up to 1 different words .* has 2"):
        words.ask("tea bread")


def test_the_stemmer_is_loaded_when_it_is_needed(tmp_path):
    """Learning, phrases and prefixes do without it."""
    import subprocess

    script = """
import sys
from populace.ecs import TextPool
from populace.systems.lexicon import lexicon
pool = TextPool()
words = lexicon(pool, pool.intern(["researching tea"]))
words.numbers("tea"), words.beginning("te")
assert "snowballstemmer" not in sys.modules
assert words.ask("research").n_terms == 1
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True, cwd=tmp_path)


# -- filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=80)
@given(st.lists(text, max_size=10), text, st.sampled_from(["caf", "t", "RESEARCH", "zz", "it's"]))
def test_filters_let_through_what_has_the_words(plain, texts, phrase, prefix):
    """For any texts the kernel is the definition, for a phrase, a prefix and both."""
    pool = TextPool()
    codes = pool.intern(texts)
    words = lexicon(pool, codes)
    kernel = passing.py_func if plain else passing
    for ask in ({"prefix": prefix}, {"phrase": phrase}, {"phrase": phrase, "prefix": prefix}):
        if "phrase" in ask and not split(phrase):
            continue
        wanted = WordFilter(**ask)
        out = np.empty(codes.size, np.bool_)
        arrays = words.start_c, words.end_c, words.words_w
        kernel(codes, *arrays, *wanted.arrays(words), out)
        assert out.tolist() == [naive.passes(each, **ask) for each in texts]
        assert (wanted.mask(words, codes) == out).all()


def test_a_phrase_is_exact():
    """Common words and order count, stems and punctuation do not; an unknown word is nowhere."""
    pool = TextPool()
    codes = pool.intern(
        ["The election, at HOBBS cafe.", "elections at Hobbs Cafe", "election Hobbs Cafe", "at"]
    )
    words = lexicon(pool, codes)
    for phrase in ("election at Hobbs Cafe", "Cafe"):
        got = WordFilter(phrase=phrase).mask(words, codes)
        assert got.tolist() == [naive.passes(each, phrase) for each in pool.decode(codes)]
    assert WordFilter(phrase="election at Hobbs Cafe").mask(words, codes).sum() == 1
    assert not WordFilter(phrase="election zebra").mask(words, codes).any()
    assert not WordFilter(prefix="zeb").mask(words, codes).any()
    assert WordFilter().mask(words, codes).all()
    assert WordFilter(phrase="at").mask(words, []).tolist() == []


def test_prefixes_follow_the_lexicon():
    """Words learnt after a first question are found too."""
    pool = TextPool()
    words = lexicon(pool, pool.intern(["gentry"]))
    assert words.beginning("gent").size == 1
    words = lexicon(pool, pool.intern(["gentle gently", "zebra"]))
    found = [words.word(number) for number in words.beginning("Gent")]
    assert found == ["gentle", "gently", "gentry"]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        ({"phrase": " ,"}, ColumnValueError, "phrase must be one word or more, got ' ,', 0 words"),
        ({"prefix": ""}, ColumnValueError, "prefix must be the beginning of one word, got ''"),
        ({"prefix": "a b"}, ColumnValueError, "got 'a b', 2 words"),
        ({"phrase": 7}, ColumnTypeError, "phrase must be a text or None, got int \\(7\\)"),
        ({"prefix": b"a"}, ColumnTypeError, "prefix must be a text or None, got bytes"),
    ],
)
def test_filters_of_no_words_are_refused(ask, error, message):
    """The error names what was given and what is allowed."""
    with pytest.raises(error, match=message):
        WordFilter(**ask)
