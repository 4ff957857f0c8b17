"""Texts parted into runs: the kernel against the pattern."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.systems import parting as module
from populace.systems.parting import Runs
from populace.systems.stemming import split, word_of

from . import naive_words as naive

DRAWN = """tea Tea tea's didn't it\u2019s ' '' x'y'z research , researching seventeen-letters \0 \n
    a eightletters eight888 eight88 eight889 \ufb01ne caf\u00e9 \u0130stanbul \u00df \u2019
    \u7d05\u8336
    a_b \u00a8 \u0301 \ud800 :""".split(" ")
text = st.lists(st.sampled_from(DRAWN), max_size=9).map(" ".join)
FORMS = [pytest.param(False, id="compiled"), pytest.param(True, id="plain")]


def words_of(runs, texts):
    """The words of each text, by way of the numbers of its runs."""
    run_k, end_t = runs.part(texts)
    known = runs.since(0)
    assert run_k.size == (end_t[-1] if texts else 0)
    found = np.split(run_k, end_t[:-1]) if texts else []
    return [[word_of(known[run]) for run in each] for each in found]


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=150)
@given(batches=st.lists(st.lists(st.text(max_size=30) | text, max_size=8), max_size=3))
def test_texts_are_parted_into_words(plain, batches):
    """Of any texts in any batches the kernel is the pattern; words are words again."""
    runs = Runs()
    with pytest.MonkeyPatch.context() as patch:
        if plain:
            patch.setattr(module, "part", module.part.py_func)
        with np.errstate(over="ignore"):
            got = [words_of(runs, texts) for texts in batches]
    for found, texts in zip(got, batches, strict=True):
        assert found == [split(each) for each in texts] == [naive.split(each) for each in texts]
        for words in found:
            assert [again for word in words for again in split(word)] == words
    known = runs.since(0)
    assert len(set(known)) == len(known) == runs.n


def test_runs_are_numbered_in_the_order_of_first_sight(monkeypatch):
    """Through every growth of the table, in one batch or many, and up to its last place."""
    monkeypatch.setattr(module, "SMALLEST", 2)
    texts = [f"w{i} w{i // 2} {'long' * 5}{i}" for i in range(500)]
    once, many = Runs(), Runs()
    run_k, end_t = once.part(texts)
    parts = [many.part(texts[first : first + 7]) for first in range(0, 500, 7)]
    assert np.array_equal(run_k, np.concatenate([runs for runs, _ in parts]))
    assert end_t.tolist() == [3 * (i + 1) for i in range(500)]
    known = once.since(0)
    assert known == many.since(0) == [*dict.fromkeys(" ".join(texts).split())]
    assert once.since(998) == known[998:]


def test_bytes_tell_runs_apart_where_hashes_do_not(monkeypatch):
    """With every hash of nine bytes and more the same, and all in one slot."""
    monkeypatch.setattr(module, "PRIME", np.uint64(0))
    monkeypatch.setattr(module, "part", module.part.py_func)
    monkeypatch.setattr(module, "fill", module.fill.py_func)
    runs = Runs()
    texts = ["seventeen-letters seventeen1 seventeen2", "SEVENTEEN1 seventeen3 seventeens"]
    assert words_of(runs, texts) == [split(each) for each in texts]


def test_a_text_without_words_has_no_runs():
    """Also as the last; and no text at all."""
    runs = Runs()
    assert words_of(runs, ["", "tea", " .,'!", ""]) == [[], ["tea"], [], []]
    assert words_of(runs, []) == []
    assert runs.n == 1
