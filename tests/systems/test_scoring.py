"""The recall score: its law, its kernels against their plain twins, ranking and words."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from populace.ecs import TextPool, hours
from populace.ecs.errors import ColumnShapeError, ColumnValueError, SettingError
from populace.systems.lexicon import lexicon
from populace.systems.scoring import (
    SMALLVILLE,
    RecallScore,
    best,
    best_places,
    cosines,
    cosines_to,
    recall_scores,
    score_candidates,
)
from populace.systems.stemming import COMMON
from populace.systems.words import distinct, overlaps_to, sort_few, word_index, words

from . import naive_scoring as naive

NOW = hours(480_000)
FORMS = [pytest.param(False, id="compiled"), pytest.param(True, id="plain")]
PLAIN = RecallScore()

candidate = st.tuples(
    st.integers(-hours(2), hours(24 * 400)), st.integers(0, 10), st.floats(-1, 1, width=32)
)


def form(kernel, plain):
    """A kernel as compiled, or the Python that it is compiled from."""
    return kernel.py_func if plain else kernel


def columns(drawn):
    """(accessed, importance f4, relevance) of drawn candidates."""
    since, tenths, relevance = zip(*drawn, strict=True)
    return NOW - np.array(since), np.array(tenths, np.float32) / np.float32(10), np.array(relevance)


# -- the score -------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(
    st.lists(candidate, min_size=1, max_size=40),
    st.tuples(*[st.floats(0, 10)] * 3),
    st.sampled_from([0.5, 0.9, 0.995, 1.0]),
)
def test_the_kernel_computes_the_score(plain, drawn, weights, base):
    """For any candidates, weights and base the kernel is the formula."""
    accessed, importance, relevance = columns(drawn)
    part, out = np.empty((3, len(drawn))), np.empty(len(drawn))
    form(score_candidates, plain)(
        np.int64(NOW), accessed, importance, relevance, base, *weights, part, out
    )
    args = (NOW, accessed.tolist(), importance.tolist(), relevance.tolist(), base)
    # Powers of libm and of Python differ in the last bit, and `minmax01` magnifies that.
    hours_of = [base ** (max(NOW - a, 0) / 3.6e9) for a in args[1]]
    span = max(hours_of) - min(hours_of)
    assume(span == 0 or span > 1e-9)
    for got, want in zip(part, naive.parts(*args), strict=True):
        assert got == pytest.approx(want, abs=1e-6)
    assert out == pytest.approx(naive.scores(weights, *args), abs=1e-5)


def test_the_more_recent_access_has_more_recency():
    """Recency rises with the time of the last access (a published system ranks it in reverse)."""
    accessed = NOW - np.array([hours(100), hours(2), hours(50), 0])
    found = recall_scores(PLAIN, NOW, accessed, [0.5] * 4)
    assert np.argsort(found.recency).tolist() == [0, 2, 1, 3]
    assert (found.recency[[0, 3]] == [0, 1]).all()
    assert best(found.total, [0, 1, 2, 3], 4).tolist() == [3, 1, 2, 0]


def test_golden_scores():
    """By hand: hours 0, 1, 2 at base 1/2 are 1, 1/2, 1/4, so 1, 1/3, 0; importance 0, 1, 1/2."""
    law = RecallScore(w_recency=3, w_importance=2, w_relevance=4, base=0.5)
    accessed = NOW - np.array([0, hours(1), hours(2)])
    found = recall_scores(law, NOW, accessed, [0.25, 0.75, 0.5], [5.0, 5.0, 9.0])
    assert found.recency == pytest.approx([1, 1 / 3, 0])
    assert found.importance.tolist() == [0, 1, 0.5]
    assert found.relevance.tolist() == [0, 0, 1]
    assert found.total == pytest.approx([3, 3, 5])


def test_an_hour_is_an_hour():
    """Between 1,000 hours ago and now, 500 hours ago lies where 0.995^h says."""
    found = recall_scores(PLAIN, NOW, NOW - np.array([0, hours(500), hours(1000)]), [0.1] * 3)
    low = 0.995**1000
    assert found.recency[1] == pytest.approx((0.995**500 - low) / (1 - low), rel=1e-9)


def test_where_all_are_equal_a_part_counts_half():
    """A zero range maps to 1/2; so one candidate alone has half of each weight."""
    assert recall_scores(PLAIN, NOW, [NOW] * 3, [0.7] * 3).total.tolist() == [1.5] * 3
    assert recall_scores(SMALLVILLE, NOW, [0], [1.0], [1.0]).total.tolist() == [2.75]


def test_accesses_within_a_second_are_told_apart():
    """Recencies a millisecond apart are spread evenly over [0, 1]: no rounding is blown up."""
    accessed = NOW - np.arange(11) * 1000
    found = recall_scores(PLAIN, NOW, accessed, [0.5] * 11)
    assert found.recency == pytest.approx(1 - np.arange(11) / 10, abs=1e-6)


def test_an_access_in_the_future_counts_as_now():
    """It is as recent as one now, and no more."""
    found = recall_scores(PLAIN, NOW, NOW + np.array([0, hours(3), -hours(1)]), [0.5] * 3)
    assert found.recency.tolist() == [1, 1, 0]


def test_an_access_long_ago_is_finite():
    """After 10,000 years nothing is left of recency, and nothing breaks."""
    found = recall_scores(PLAIN, 2**62, [2**62, 0, 2**61], [0.5] * 3)
    assert found.recency.tolist() == [1, 0, 0]


def test_a_base_of_one_is_no_recency():
    """Nothing is lost with time: all are equally recent."""
    assert recall_scores(RecallScore(base=1), NOW, [0, NOW], [0.5, 0.5]).recency.tolist() == [
        0.5,
        0.5,
    ]


@settings(max_examples=60)
@given(st.lists(candidate, min_size=2, max_size=40), st.randoms())
def test_the_order_of_candidates_does_not_show(drawn, shuffle):
    """A permutation of the candidates permutes their scores, bit for bit."""
    accessed, importance, relevance = columns(drawn)
    order = list(range(len(drawn)))
    shuffle.shuffle(order)
    one = recall_scores(PLAIN, NOW, accessed, importance, relevance).total
    other = recall_scores(PLAIN, NOW, accessed[order], importance[order], relevance[order]).total
    assert (one[order].view(np.uint64) == other.view(np.uint64)).all()


@pytest.mark.parametrize("name", ["importance", "relevance", "recency"])
def test_a_better_part_never_lowers_the_score(name):
    """Of two candidates that differ in one part only the one with more of it scores higher."""
    given = {"accessed": NOW - np.array([5, 5]) * hours(1), "importance": [0.4, 0.4]}
    given["relevance"] = [0.1, 0.1]
    better = {"importance": [0.4, 0.5], "relevance": [0.1, 0.2]}
    if name == "recency":
        given["accessed"] = NOW - np.array([hours(5), hours(4)])
    else:
        given[name] = better[name]
    total = recall_scores(PLAIN, NOW, *given.values()).total
    assert total.tolist() == [1, 2]


def test_the_preset_has_the_weights_of_the_code():
    """Generative Agents: gw = [0.5, 3, 2] for recency, relevance, importance."""
    assert (SMALLVILLE.w_recency, SMALLVILLE.w_relevance, SMALLVILLE.w_importance) == (0.5, 3, 2)
    assert RecallScore(w_recency=1, w_importance=1, w_relevance=1, base=0.995) == PLAIN


def test_nobody_scores_nothing():
    """No candidates: empty arrays, no error."""
    found = recall_scores(PLAIN, NOW, [], [])
    assert found.total.shape == found.recency.shape == (0,)
    assert best([], [], 5).tolist() == []


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        (([0, 1], [0.5]), ColumnShapeError, r"shapes \(2,\), \(1,\) and \(2,\)"),
        (([0], [0.5], [1.0, 2.0]), ColumnShapeError, "for each candidate"),
        (([[0]], [[0.5]]), ColumnShapeError, "for each candidate"),
        (([0], [0.5], [np.nan]), ColumnValueError, "relevance must be finite"),
    ],
)
def test_columns_that_do_not_fit_are_refused(args, error, match):
    """The error says what is wanted and what came."""
    with pytest.raises(error, match=match):
        recall_scores(PLAIN, NOW, *args)


@pytest.mark.parametrize(
    ("name", "value"), [("w_recency", -1.0), ("base", 0.0), ("base", 1.5), ("w_relevance", "3")]
)
def test_settings_that_make_no_score_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"RecallScore\.{name}"):
        RecallScore(**{name: value})


# -- the best --------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(st.lists(st.integers(0, 6), max_size=50), st.integers(0, 60), st.randoms())
def test_the_best_are_those_of_a_sort(plain, scores, k, shuffle):
    """For any scores, with many ties, the k best come in the order of (score, sequence)."""
    sequence = list(range(len(scores)))
    shuffle.shuffle(sequence)
    k = min(k, len(scores))
    out = np.empty(k, np.int64)
    form(best_places, plain)(np.array(scores, float), np.array(sequence, np.uint32), out)
    assert out.tolist() == naive.best(scores, sequence, k)


def test_asking_for_more_than_there_are_gives_all():
    """k is the most that is wanted."""
    assert best([1.0, 2.0], [0, 1], 30).tolist() == [1, 0]


def test_what_cannot_be_ranked_is_refused():
    """Every score has a sequence number, and k is no debt."""
    with pytest.raises(ColumnShapeError, match=r"\(2,\) and \(1,\)"):
        best([1, 2], [1], 1)
    with pytest.raises(ColumnValueError, match="got -1"):
        best([1], [1], -1)


# -- relevance -------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", FORMS)
@pytest.mark.parametrize("d", [1, 3, 31, 32, 33, 100])
def test_the_kernel_computes_cosines(plain, d):
    """In any dimension the kernel is the formula, and a zero vector has cosine 0."""
    draw = np.random.default_rng(d)
    query, vectors = draw.normal(size=d).astype("f4"), draw.normal(size=(7, d)).astype("f4")
    vectors[3] = 0
    out = np.empty(7)
    form(cosines_to, plain)(query, vectors, out)
    want = [naive.cosine(query.tolist(), vector) for vector in vectors.tolist()]
    assert out == pytest.approx(want, abs=2e-6)
    assert cosines(np.zeros(d), vectors).tolist() == [0] * 7


def test_cosines_of_any_dtype():
    """f2 and i1 vectors have the cosines of what they hold; opposite ones exactly -1."""
    for dtype in (np.float16, np.int8, np.float32):
        vectors = np.array([[3, 4], [-3, -4], [4, -3], [100, 100]], dtype)
        got = cosines(vectors[0], vectors)
        assert got == pytest.approx([1, -1, 0, 7 / 50**0.5])
        assert np.abs(got).max() <= 1


def test_vectors_of_another_width_are_refused():
    """The error has both shapes."""
    with pytest.raises(ColumnShapeError, match=r"\(3,\) and \(1, 2\)"):
        cosines([1, 2, 3], [[1, 2]])


text = st.lists(
    st.sampled_from("tea bread rain Klaus reading the is of party klaus".split()), max_size=8
).map(" ".join)


def word_overlaps(pool, query, codes, plain=False):
    """The overlap of a text of the pool with each of these."""
    codes, asked = np.array(codes, np.uint32), pool.intern([query])
    index = word_index(pool, np.append(codes, asked))
    marks = np.zeros(max(index.lexicon.numbers(query), default=-1) + 1, np.bool_)
    found = np.empty(codes.size)
    form(overlaps_to, plain)(asked[0], codes, *index.arrays, marks, found)
    assert not marks.any()
    return found


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(text, st.lists(text, max_size=12))
def test_word_overlap_is_the_cosine_of_sets(plain, query, texts):
    """For any texts the kernel is the formula, whatever the numbers of the words."""
    pool = TextPool()
    codes = pool.intern(texts)
    want = [naive.overlap(words(query), words(each)) for each in texts]
    assert word_overlaps(pool, query, codes, plain).tolist() == pytest.approx(want)


@pytest.mark.parametrize("plain", FORMS)
@given(st.lists(st.integers(0, 90), max_size=200), st.integers(0, 3), st.integers(0, 3))
def test_a_part_is_sorted_in_place(plain, values, before, after):
    """Of any length, with repeats; what is beside it stays."""
    column = np.array([7] * before + values + [5] * after, np.int32)
    form(sort_few, plain)(column, before, before + len(values))
    assert column.tolist() == [7] * before + sorted(values) + [5] * after


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(st.lists(text, max_size=12))
def test_sets_are_the_distinct_words_that_count(plain, texts):
    """Ascending, each once; beside texts that are not asked for."""
    pool = TextPool()
    known = lexicon(pool, pool.intern(["of rain and", *texts]))
    start, end = np.full((2, len(pool)), -1)
    numbers = np.full(known.words_w.size + 1, -9, np.int32)
    codes = pool.intern(texts)
    used = form(distinct, plain)(
        np.unique(codes), known.start_c, known.end_c, known.words_w, known.common_v,
        0, start, end, numbers,
    )  # fmt: skip
    for code, each in zip(codes.tolist(), texts, strict=True):
        have = numbers[start[code] : end[code]]
        assert (np.diff(have) > 0).all()
        assert {known.word(number) for number in have} == words(each)
    assert used == sum(len(words(each)) for each in set(texts))


def test_equal_words_overlap_wholly():
    """Case, order, repeats, punctuation and the commonest words do not count; sharing none is 0."""
    pool = TextPool()
    codes = pool.intern(["Is the tea for Ann?", "ann; TEA, Ann's", "bread", "", "the of"])
    assert word_overlaps(pool, "tea: Ann", codes).tolist() == [1, 1, 0, 0, 0]
    assert word_overlaps(pool, "the", codes).tolist() == [0] * 5
    assert "tea" not in COMMON


def test_texts_are_learnt_once_and_in_any_order():
    """New codes extend the index and leave what it knows; a large batch grows it."""
    pool = TextPool()
    codes = pool.intern([f"word{i} word{i + 1} shared" for i in range(3_000)])
    first = word_overlaps(pool, "word7 shared", codes[:20])
    whole = word_overlaps(pool, "word7 shared", codes)
    assert (whole[:20] == first).all()
    assert whole[7] == pytest.approx(2 / 6**0.5)
    assert word_overlaps(pool, "word2999", codes[2_999:]).tolist() == [1 / 3**0.5]
    assert word_overlaps(pool, "tea", []).tolist() == []
