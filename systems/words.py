"""The words of texts as sorted numbers, so that kernels can compare what texts are about.

Two texts overlap by the cosine of their sets of words, |A & B| / sqrt(|A| |B|): 1 for the same
words, 0 where none is shared. Case, punctuation, order and the commonest words of English do not
count.

Invariants: a word's number never changes; an overlap does not depend on the numbers. A `WordIndex`
is a cache of its pool's strings: nothing of it is saved.
Cost: 3 to 7 µs for each distinct string, once; then 15 ns an overlap.
"""

from __future__ import annotations

import re
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.ecs import TextPool, jit

WORD = re.compile(r"\w+")

COMMON = frozenset(
    """a about again all also an and any are as at be been being but by can could did do does for
    from had has have he her here him his how i if in into is it its just me my no not now of on or
    our out she so some such than that the their them then there these they this those to too up
    was we were what when where which while who will with would you your""".split()
)
"""Words that tell nothing of what a text is about."""


def words(text: str) -> set[str]:
    """The words that tell what a text is about.

    >>> sorted(words("Klaus Mueller is reading about the effects of gentrification."))
    ['effects', 'gentrification', 'klaus', 'mueller', 'reading']
    """
    return {word for word in WORD.findall(text.lower()) if word not in COMMON}


class WordIndex:
    """The words of one pool's texts, looked up when they are first asked for.

    Those of code c are `words_w[start_c[c]:end_c[c]]`, ascending; start_c is -1 where `learn` has
    not seen c.
    """

    def __init__(self) -> None:
        self.start_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.end_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.words_w: npt.NDArray[np.int32] = np.empty(1024, np.int32)
        self._used = 0
        self._numbers: dict[str, int] = {}

    @property
    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(start_c, end_c, words_w), as `overlaps` takes them. Good until the next `learn`."""
        return self.start_c, self.end_c, self.words_w

    def learn(self, pool: TextPool, codes: Any) -> None:
        """Look up the words of these codes. Cost: 3 to 7 µs for each one not seen before."""
        codes = np.asarray(codes)
        if not codes.size:
            return
        missing = int(codes.max()) + 1 - self.start_c.size
        if missing > 0:
            missing += self.start_c.size // 2
            self.start_c = np.append(self.start_c, np.full(missing, -1))
            self.end_c = np.append(self.end_c, np.full(missing, -1))
        new = np.unique(codes[self.start_c[codes] < 0])
        for code, text in zip(new.tolist(), pool.decode(new), strict=True):
            found = sorted(self._number(word) for word in words(text))
            if self._used + len(found) > self.words_w.size:
                more = np.empty(self.words_w.size + len(found), np.int32)
                self.words_w = np.append(self.words_w, more)
            self.start_c[code], self.end_c[code] = self._used, self._used + len(found)
            self.words_w[self._used : self._used + len(found)] = found
            self._used += len(found)

    def _number(self, word: str) -> int:
        return self._numbers.setdefault(word, len(self._numbers))


_INDICES: weakref.WeakKeyDictionary[TextPool, WordIndex] = weakref.WeakKeyDictionary()


def word_index(pool: TextPool, codes: Any) -> WordIndex:
    """The words of a pool's texts, those of `codes` among them.

    codes: of texts that components hold; a code that a failed batch takes back would not be
    noticed.
    """
    found = _INDICES.setdefault(pool, WordIndex())
    found.learn(pool, codes)
    return found


def word_overlaps(pool: TextPool, query: str, codes: Any) -> npt.NDArray[np.float64]:
    """(n,) f8 in [0, 1]: how far each text has the words of `query`; 0 for one without words.

    codes: (n,) u4, texts of components.

    >>> pool = TextPool()
    >>> codes = pool.intern(["reading a book", "the book is read", "a desk is idle"])
    >>> word_overlaps(pool, "What about Reading a book?", codes).round(2).tolist()
    [1.0, 0.5, 0.0]
    """
    codes = np.asarray(codes, np.uint32)
    index = word_index(pool, codes)
    # A word that no text has is told from the others, and only counts.
    asked = [index._numbers.get(word, -1 - at) for at, word in enumerate(sorted(words(query)))]
    out = np.empty(codes.size)
    overlaps(np.array(sorted(asked), np.int32), *index.arrays, codes, out)
    return out


@njit(nogil=True, error_model="numpy")
def overlap(a_w: Any, b_w: Any) -> Any:
    """|A & B| / sqrt(|A| |B|) of two ascending arrays of distinct numbers, f8; 0 if one is empty.

    O(|A| + |B|).
    """
    i, j, shared = 0, 0, 0
    while i < a_w.size and j < b_w.size:
        a, b = a_w[i], b_w[j]
        shared += a == b
        i += a <= b
        j += b <= a
    # The root of a product: exactly the number of words where both have as many.
    return shared / np.sqrt(np.float64(a_w.size * b_w.size)) if shared else 0.0


@jit
def overlaps(query_w: Any, start_c: Any, end_c: Any, words_w: Any, text_n: Any, out_n: Any) -> None:
    """out_n <- the overlap of query_w with the words of each text. O(words).

    query_w: ascending i4. start_c, end_c, words_w: a `WordIndex`. text_n: (n,) u4. out_n: (n,) f8.
    """
    for i in range(out_n.size):
        code = text_n[i]
        out_n[i] = overlap(query_w, words_w[start_c[code] : end_c[code]])
