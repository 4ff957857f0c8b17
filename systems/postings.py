"""Which texts have a word: BM25 over the memories of a whole society, from the words of the query.

    found = postings(world.text, codes).score("election at Hobbs Cafe", count_c)

Scores are those of `bm25` over every memory at once, to the bit, but of each text once: `count_c`
says how many candidates have it. Only texts that have a word of the query are looked at.

Invariants: each (word, text) that counts is held once, in a base in the order of words or in a tail
that is linked by word; a tail beyond a quarter of the base is folded into it. A result does not
depend on the order in which texts were learnt, nor on what has been folded. Nothing is removed: a
text without candidates is passed over. The scratch is the postings' own: one query at a time.
Cost: 5 bytes for each distinct word of a text, and 12 for each text. 0.1 µs to take in a word,
folding included. See `score`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.ecs import TextPool, jit
from populace.ecs.errors import ColumnShapeError, ColumnTypeError

from .bm25 import K1, MOST_TF, B, idf, weight
from .lexicon import Lexicon, lexicon, with_room

SMALL = 65_536
BLOCK = 64


class Matches(NamedTuple):
    """Texts that match: their codes, (m,) u4 ascending, and scores, (m,) f8, above 0."""

    codes: npt.NDArray[np.uint32]
    scores: npt.NDArray[np.float64]


class Postings:
    """The texts of each word of a lexicon."""

    def __init__(self, words: Lexicon) -> None:
        self.lexicon = words
        self._taken = 0
        # The base: texts of word v are text_p[first_v[v]:first_v[v + 1]].
        self._first_v: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._text_p: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._tf_p: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        # The tail: the last entry of word v is head_v[v], the one before it before_q of that.
        self._head_v: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._before_q: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._text_q: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._tf_q: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._n_tail = 0
        # Scratch, zeros between queries.
        self._score_c: npt.NDArray[np.float64] = np.zeros(0)
        self._tf_c: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._met_b: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._seen_v: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)

    def take_in(self) -> None:
        """Post the texts that the lexicon has learnt since. Amortised O(words)."""
        words = self.lexicon
        new = words.learnt[self._taken :]
        if not new.size:
            return
        missing = words.n_words - self._head_v.size
        self._head_v = np.append(self._head_v, np.full(missing, -1))
        self._seen_v = np.append(self._seen_v, np.zeros(missing, np.uint8))
        more = int((words.end_c[new] - words.start_c[new]).sum())
        self._before_q = with_room(self._before_q, self._n_tail, more)
        self._text_q = with_room(self._text_q, self._n_tail, more)
        self._tf_q = with_room(self._tf_q, self._n_tail, more)
        self._n_tail = link(
            new, words.start_c, words.end_c, words.words_w, words.common_v, self._seen_v,
            self._n_tail, self._head_v, self._before_q, self._text_q, self._tf_q,
        )  # fmt: skip
        self._taken += new.size
        if self._n_tail > SMALL + self._text_p.size // 4:
            self._fold()

    def _fold(self) -> None:
        first_v = np.empty(self._head_v.size + 1, np.int64)
        text_p = np.empty(self._text_p.size + self._n_tail, np.uint32)
        tf_p = np.empty(text_p.size, np.uint8)
        fold(
            self._first_v, self._text_p, self._tf_p,
            self._head_v, self._before_q, self._text_q, self._tf_q, first_v, text_p, tf_p,
        )  # fmt: skip
        self._first_v, self._text_p, self._tf_p = first_v, text_p, tf_p
        self._head_v[:] = -1
        self._n_tail = 0
        if self._text_q.size > 2 * SMALL + text_p.size:  # the first texts, not what comes in a day
            self._before_q = np.empty(0, np.int64)
            self._text_q, self._tf_q = np.empty(0, np.uint32), np.empty(0, np.uint8)

    def score(
        self, query: str, count_c: Any = None, totals: tuple[int, int] | None = None
    ) -> Matches:
        """The texts that match among the candidates, best known by `bm25`.

        count_c: (codes,) integers, how many candidates have each text; codes beyond it have none;
        None: each text that has been learnt is one. totals: how many candidates there are and how
        many words of theirs count, if that is known; otherwise O(codes), 0.15 ms for 300,000.
        Raises ColumnTypeError, ColumnShapeError; what `Lexicon.ask` raises.
        Cost: 12 ns for each text that has a word of the query.

        >>> pool = TextPool()
        >>> codes = pool.intern(["reads a book on trees", "trees", "the book is read", "idle desk"])
        >>> found = postings(pool, codes).score("Who is reading books?", [0, 1, 3, 2, 9])
        >>> found.codes.tolist(), found.scores.round(2).tolist()
        ([1, 3], [2.5, 2.96])
        """
        self.take_in()
        words = self.lexicon
        n_codes = words.start_c.size
        counts = self._counts(count_c)
        asked = words.ask(query)
        if not asked.n_terms:
            return Matches(np.empty(0, np.uint32), np.empty(0))
        if totals is None:
            n, length = sum_candidates(counts, words.length_c)
        else:
            n, length = totals
        missing = n_codes - self._tf_c.size
        if missing > 0:
            self._score_c, self._tf_c = np.zeros(n_codes), np.zeros(n_codes, np.uint8)
            self._met_b = np.zeros(n_codes // BLOCK + 1, np.bool_)
        found = score_postings(
            asked.words, asked.terms, asked.n_terms, counts, words.length_c, n, length, K1, B,
            self._first_v, self._text_p, self._tf_p,
            self._head_v, self._before_q, self._text_q, self._tf_q,
            self._tf_c, self._met_b, self._score_c,
        )  # fmt: skip
        codes, scores = np.empty(found + 1, np.uint32), np.empty(found + 1)
        gather(self._met_b, self._score_c, codes, scores)
        return Matches(codes[:found], scores[:found])

    def _counts(self, count_c: Any) -> npt.NDArray[Any]:
        n_codes = self.lexicon.start_c.size
        if count_c is None:
            return (self.lexicon.start_c >= 0).astype(np.int64)
        counts = np.asarray(count_c)
        if counts.ndim != 1:
            raise ColumnShapeError(
                f"count_c has one number for each text code, (codes,); got {counts.shape}"
            )
        if counts.size and counts.dtype.kind not in "iu":
            raise ColumnTypeError(f"count_c holds integers; got {counts.dtype.name}")
        if counts.size < n_codes:
            missing = np.zeros(n_codes - counts.size, counts.dtype)
            return np.append(counts, missing).astype(counts.dtype if counts.size else np.int64)
        return counts


def postings(pool: TextPool, codes: Any = ()) -> Postings:
    """The postings of a pool's texts, those of `codes` among them: see `Lexicon.learn`."""
    return pool.cache(Postings, lexicon(pool, codes))


@jit
def link(
    text_k: Any,
    start_c: Any,
    end_c: Any,
    words_w: Any,
    common_v: Any,
    seen_v: Any,
    n_tail: Any,
    head_v: Any,
    before_q: Any,
    text_q: Any,
    tf_q: Any,
) -> Any:
    """Put each word of these texts that counts into the tail; returns how long that is then.

    text_k: (k,) u4. start_c, end_c, words_w, common_v: a `Lexicon`. seen_v: u1, zeros, and again
    afterwards. head_v, before_q: i8. text_q: u4, tf_q: u1. O(words).
    """
    for k in range(text_k.size):
        code = text_k[k]
        for w in range(start_c[code], end_c[code]):
            word = words_w[w]
            seen_v[word] += seen_v[word] < MOST_TF
        for w in range(start_c[code], end_c[code]):
            word = words_w[w]
            if seen_v[word] and not common_v[word]:
                before_q[n_tail] = head_v[word]
                text_q[n_tail] = code
                tf_q[n_tail] = seen_v[word]
                head_v[word] = n_tail
                n_tail += 1
            seen_v[word] = 0
    return n_tail


@jit
def fold(
    first_v: Any,
    text_p: Any,
    tf_p: Any,
    head_v: Any,
    before_q: Any,
    text_q: Any,
    tf_q: Any,
    out_first_v: Any,
    out_text_p: Any,
    out_tf_p: Any,
) -> None:
    """out_first_v, out_text_p, out_tf_p <- the base with the tail in it. O(words)."""
    n = 0
    for word in range(head_v.size):
        out_first_v[word] = n
        if word + 1 < first_v.size:
            for p in range(first_v[word], first_v[word + 1]):
                out_text_p[n] = text_p[p]
                out_tf_p[n] = tf_p[p]
                n += 1
        # From the last to the first: turned round, for a base in the order of learning.
        after = n
        q = head_v[word]
        while q >= 0:
            out_text_p[n] = text_q[q]
            out_tf_p[n] = tf_q[q]
            n += 1
            q = before_q[q]
        out_text_p[after:n] = out_text_p[after:n][::-1].copy()
        out_tf_p[after:n] = out_tf_p[after:n][::-1].copy()
    out_first_v[head_v.size] = n


@jit
def sum_candidates(count_c: Any, length_c: Any) -> Any:
    """(how many candidates, how many of their words count). O(codes)."""
    n, length = np.int64(0), np.int64(0)
    for code in range(length_c.size):
        n += np.int64(count_c[code])
        length += np.int64(count_c[code]) * np.int64(length_c[code])
    return n, length


# Each loops by itself: called for one posting, its arrays' counts of references cost 25 ns.
@njit(nogil=True, error_model="numpy")
def _meet_base(
    first: Any, end: Any, text_p: Any, tf_p: Any, count_c: Any, tf_c: Any, met_m: Any, n_met: Any
) -> Any:
    """Add up what texts of candidates have of a word; those met first go into met_m."""
    for p in range(first, end):
        code = text_p[p]
        if count_c[code]:
            met_m[n_met] = code
            n_met += tf_c[code] == 0
            tf_c[code] += min(tf_p[p], MOST_TF - tf_c[code])
    return n_met


@njit(nogil=True, error_model="numpy")
def _meet_tail(
    q: Any, before_q: Any, text_q: Any, tf_q: Any, count_c: Any, tf_c: Any, met_m: Any, n_met: Any
) -> Any:
    """The same of the tail, from its entry q backwards."""
    while q >= 0:
        code = text_q[q]
        if count_c[code]:
            met_m[n_met] = code
            n_met += tf_c[code] == 0
            tf_c[code] += min(tf_q[q], MOST_TF - tf_c[code])
        q = before_q[q]
    return n_met


@jit
def score_postings(
    word_m: Any,
    term_m: Any,
    n_terms: Any,
    count_c: Any,
    length_c: Any,
    n: Any,
    total: Any,
    k1: Any,
    b: Any,
    first_v: Any,
    text_p: Any,
    tf_p: Any,
    head_v: Any,
    before_q: Any,
    text_q: Any,
    tf_q: Any,
    tf_c: Any,
    met_b: Any,
    score_c: Any,
) -> Any:
    """score_c <- the score of each text of a candidate that has a term; returns how many there are.

    word_m, term_m: (m,) i4, `Asked`, terms ascending. count_c: integers by code. n, total: how many
    candidates, and their words that count. tf_c: u1, zeros, and again afterwards. score_c: f8,
    zeros; met_b: whether any of 64 codes has a score; `gather` clears both.
    """
    longest = 0
    for m in range(word_m.size):
        word = word_m[m]
        if word + 1 < first_v.size:
            longest += first_v[word + 1] - first_v[word]
        q = head_v[word]
        while q >= 0:
            longest += 1
            q = before_q[q]
    met_m = np.empty(longest + 1, np.uint32)
    mean_length = total / np.float64(n)
    found = 0
    m = 0
    for term in range(n_terms):
        n_met = 0
        while m < word_m.size and term_m[m] == term:
            word = word_m[m]
            if word + 1 < first_v.size:
                first, end = first_v[word], first_v[word + 1]
                n_met = _meet_base(first, end, text_p, tf_p, count_c, tf_c, met_m, n_met)
            q = head_v[word]
            n_met = _meet_tail(q, before_q, text_q, tf_q, count_c, tf_c, met_m, n_met)
            m += 1
        df = np.int64(0)
        for k in range(n_met):
            df += np.int64(count_c[met_m[k]])
        rarity = idf(n, np.float64(df))
        for k in range(n_met):
            code = met_m[k]
            found += score_c[code] == 0
            score_c[code] += rarity * weight(
                np.float64(tf_c[code]), length_c[code], mean_length, k1, b
            )
            tf_c[code] = 0
            met_b[code // BLOCK] = True
    return found


@jit
def gather(met_b: Any, score_c: Any, out_code_m: Any, out_score_m: Any) -> None:
    """out_code_m, out_score_m <- what has a score, by code; met_b, score_c <- 0.

    out_code_m: u4, out_score_m: f8, one longer than what has a score. O(codes in blocks met).
    """
    m = 0
    for block in range(met_b.size):
        if met_b[block]:
            met_b[block] = False
            # No branch, which would often be foretold wrongly: what has no score is overwritten.
            for code in range(block * BLOCK, min((block + 1) * BLOCK, score_c.size)):
                out_code_m[m] = code
                out_score_m[m] = score_c[code]
                m += score_c[code] != 0
                score_c[code] = 0
