"""The sets of words of texts, as sorted numbers, so that kernels can compare what texts are about.

Two texts overlap by the cosine of their sets of words, |A & B| / sqrt(|A| |B|): 1 for the same
words, 0 where none is shared. Case, punctuation, order and the commonest words of English do not
count.

Invariants: a word's number is the lexicon's; an overlap does not depend on the numbers. A
`WordIndex` is a cache of its pool's strings: nothing of it is saved.
Cost: 0.5 µs for each distinct string beyond what the lexicon takes, once; then 12 ns an overlap of
9 words.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.ecs import TextPool, jit

from .lexicon import Lexicon, drop_dead, lexicon, with_room
from .stemming import COMMON, split


def words(text: str) -> set[str]:
    """The words that tell what a text is about.

    >>> sorted(words("Klaus Mueller is reading about the effects of gentrification."))
    ['effects', 'gentrification', 'klaus', 'mueller', 'reading']
    """
    return set(split(text)) - COMMON


class WordIndex:
    """The sets of words of one pool's texts, looked up when they are first asked for.

    Those of code c are `words_w[start_c[c]:end_c[c]]`, ascending; start_c is -1 where `learn` has
    not seen c.
    """

    def __init__(self, words: Lexicon) -> None:
        self.lexicon = words
        self.start_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.end_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.words_w: npt.NDArray[np.int32] = np.empty(1024, np.int32)
        self._used = 0

    def reclaimed(self, live_c: npt.NDArray[np.bool_], kept: Container[type]) -> bool:
        """See `TextCache`: good as long as the lexicon is."""
        self._used = drop_dead(live_c, self.start_c, self.end_c, self.words_w)
        return Lexicon in kept

    @property
    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(start_c, end_c, words_w), for kernels. Good until the next `learn`."""
        return self.start_c, self.end_c, self.words_w

    def learn(self, codes: Any) -> None:
        """Take the sets of these codes, which the lexicon has learnt, from it."""
        codes = np.asarray(codes)
        if not codes.size:
            return
        missing = self.lexicon.start_c.size - self.start_c.size
        if missing > 0:
            self.start_c = np.append(self.start_c, np.full(missing, -1))
            self.end_c = np.append(self.end_c, np.full(missing, -1))
        new = np.unique(codes[self.start_c[codes] < 0])
        if not new.size:
            return
        known = self.lexicon
        more = int(known.length_c[new].sum()) + 1  # a common word is written, then overwritten
        self.words_w = with_room(self.words_w, self._used, more)
        self._used = distinct(
            new, known.start_c, known.end_c, known.words_w, known.common_v,
            self._used, self.start_c, self.end_c, self.words_w,
        )  # fmt: skip


def word_index(pool: TextPool, codes: Any) -> WordIndex:
    """The words of a pool's texts, those of `codes` among them.

    codes: of texts that components hold; a code that a failed batch takes back would not be
    noticed.
    """
    known = lexicon(pool, codes)
    found = pool.cache(WordIndex, known)
    found.learn(codes)
    return found


# Shell's method with Knuth's gaps, which for a sentence is insertion: a third of what numba's
# quicksort takes for 10 words, to run and to compile.
@njit(nogil=True, error_model="numpy")
def sort_few(value_n: Any, low: Any, high: Any) -> None:
    """Sort value_n[low:high]. O(n^1.5) at worst."""
    gap = 1
    while 9 * gap < high - low:
        gap = 3 * gap + 1
    while gap:
        for i in range(low + gap, high):
            value, at = value_n[i], i
            while at >= low + gap and value_n[at - gap] > value:
                value_n[at] = value_n[at - gap]
                at -= gap
            value_n[at] = value
        gap //= 3


@jit
def distinct(
    text_k: Any,
    start_c: Any,
    end_c: Any,
    words_w: Any,
    common_v: Any,
    used: Any,
    out_start_c: Any,
    out_end_c: Any,
    out_w: Any,
) -> Any:
    """out_w[used:] <- the distinct words of each text that count, ascending; returns what is used.

    text_k: (k,) u4. start_c, end_c, words_w, common_v: a `Lexicon`. 0.1 µs a text of 10 words.
    """
    for k in range(text_k.size):
        code = text_k[k]
        n = used
        for w in range(start_c[code], end_c[code]):
            out_w[n] = words_w[w]
            n += not common_v[words_w[w]]
        sort_few(out_w, used, n)
        out_start_c[code] = used
        for w in range(used, n):
            if w == out_start_c[code] or out_w[w] != out_w[used - 1]:
                out_w[used] = out_w[w]
                used += 1
        out_end_c[code] = used
    return used


@jit
def overlaps_to(
    code: Any, text_n: Any, start_c: Any, end_c: Any, words_w: Any, asked_v: Any, out_n: Any
) -> None:
    """out_n <- the overlap of text `code` with each of text_n; 0 where either has no word.

    text_n: (n,) u4, or longer. start_c, end_c, words_w: a `WordIndex` that knows the texts.
    asked_v: (v,) bool, all False before and after; text `code` has no word from v on. out_n: (n,)
    f8. O(words).
    """
    first, last = start_c[code], end_c[code]
    for w in range(first, last):
        asked_v[words_w[w]] = True
    for n in range(out_n.size):
        begin, end = start_c[text_n[n]], end_c[text_n[n]]
        shared = 0
        for w in range(begin, end):
            shared += words_w[w] < asked_v.size and asked_v[words_w[w]]
        # The root of a product: exactly the number of words where both have as many.
        size = np.sqrt(np.float64((last - first) * (end - begin)))
        out_n[n] = shared / size if shared else 0.0
    for w in range(first, last):
        asked_v[words_w[w]] = False
