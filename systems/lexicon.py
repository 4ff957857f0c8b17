"""The words of a pool's texts as numbers, in their order: what ranking, phrases and prefixes read.

    words = lexicon(world.text, codes)      # those of `codes` among them
    asked = words.ask("research papers")    # every word of the lexicon that a query means

Invariants: a word's number never changes, nor do the words of a code, which stand in words_w from
start_c to end_c in the order of the text, repeats and common words too; length_c of them count.
A text that no memory has is among nobody's candidates. A lexicon is a cache of its pool's strings:
nothing of it is saved, and no result depends on its numbers. Where a world reclaims strings, its
next pool takes the lexicon over without them, or begins anew where half the words have gone.
Cost: see `learn`; 70 bytes for a text of 12 words and 200 to 400 for a distinct word. The stem of a
word takes 50 µs, once, when a query is first asked after the word has been learnt.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedList

from populace.ecs import TextPool, jit
from populace.ecs.errors import ColumnValueError

from .parting import Runs
from .stemming import COMMON, folded, split, stem, word_of

BATCH = 2_048
MOST_TERMS = 32_767


class Asked(NamedTuple):
    """What a query means: `words` (m,) i4 of the lexicon, and of each its term, (m,) i4.

    A term is a stem of the query; terms are counted from 0 in the order of the query, and those
    that no text has are left out. `terms` ascend.
    """

    words: npt.NDArray[np.int32]
    terms: npt.NDArray[np.int32]
    n_terms: int


class Lexicon:
    """The words of one pool's texts. Arrays by code end where the largest code learnt does.

    start_c, end_c: i8; start_c is -1 where `learn` has not seen a code. length_c: i4, how many of a
    code's words count. words_w: i4. common_v: bool, by word. All are good until the next `learn`.
    """

    def __init__(self) -> None:
        self.start_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.end_c: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.length_c: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self.words_w: npt.NDArray[np.int32] = np.empty(1024, np.int32)
        self.common_v: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._learnt: npt.NDArray[np.uint32] = np.empty(1024, np.uint32)
        self._n_learnt = 0
        self._used = 0
        self._runs = Runs()
        self._word_r: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._words: list[str] = []
        self._known: dict[str, int] = {}
        self._stems: list[str] = []  # by word, as far as they have been asked for
        self._alike: dict[str, list[int]] = {}
        self._sorted: Any = SortedList()

    def reclaimed(self, live_c: npt.NDArray[np.bool_], kept: Container[type]) -> bool:
        """See `TextCache`. O(codes + words of those that are live)."""
        self._used = drop_dead(live_c, self.start_c, self.end_c, self.words_w)
        self.length_c[self.start_c < 0] = 0
        left = self.learnt[self.start_c[self.learnt] >= 0]
        self._learnt, self._n_learnt = left, left.size
        in_use = np.zeros(self.n_words, np.bool_)
        in_use[self.words_w[: self._used]] = True
        return 2 * int(np.count_nonzero(in_use)) >= self.n_words

    @property
    def n_words(self) -> int:
        """How many distinct words there are: numbers are below it."""
        return len(self._words)

    @property
    def learnt(self) -> npt.NDArray[np.uint32]:
        """The codes whose words are known, in the order in which they were learnt."""
        return self._learnt[: self._n_learnt]

    def learn(self, pool: TextPool, codes: Any) -> None:
        """Look up the words of these codes. Cost: 1 µs for each one not seen before.

        codes: of texts that components hold; a code that a failed batch takes back would not be
        noticed.
        """
        codes = np.asarray(codes)
        if not codes.size:
            return
        missing = int(codes.max()) + 1 - self.start_c.size
        if missing > 0:
            missing += self.start_c.size // 2
            self.start_c = np.append(self.start_c, np.full(missing, -1))
            self.end_c = np.append(self.end_c, np.full(missing, -1))
            self.length_c = np.append(self.length_c, np.zeros(missing, np.int32))
        new = np.unique(codes[self.start_c[codes] < 0])
        for first in range(0, new.size, BATCH):
            self._learn(pool, new[first : first + BATCH])
        self._learnt = with_room(self._learnt, self._n_learnt, new.size)
        self._learnt[self._n_learnt : self._n_learnt + new.size] = new
        self._n_learnt += new.size

    def _learn(self, pool: TextPool, new: npt.NDArray[Any]) -> None:
        run_k, ends = self._runs.part(pool.decode(new))
        self._number()
        found, sizes = self._word_r[run_k], np.diff(ends, prepend=0)
        self.start_c[new], self.end_c[new] = self._used + ends - sizes, self._used + ends
        self.words_w = with_room(self.words_w, self._used, found.size)
        self.words_w[self._used : self._used + found.size] = found
        self._used += found.size
        counting = np.append(0, np.cumsum(~self.common_v[found]))
        self.length_c[new] = counting[ends] - counting[ends - sizes]

    def _number(self) -> None:
        """Give runs seen for the first time the number of their word, new words the next ones."""
        words, found = self._words, []
        for run in self._runs.since(self._word_r.size):
            word = word_of(run)
            number = self._known.setdefault(word, len(words))
            if number == len(words):
                words.append(word)
            found.append(number)
        is_common = [word in COMMON for word in words[self.common_v.size :]]
        self.common_v = np.append(self.common_v, np.array(is_common, np.bool_))
        self._word_r = np.append(self._word_r, np.array(found, np.int32))

    def ask(self, text: str) -> Asked:
        """Every word that has the stem of a word of `text`, common ones aside; repeats count once.

        Raises ColumnValueError for a text of more than 32,767 stems. Cost: 10 µs; 50 for each word
        learnt since the last query, and each that no text has.

        >>> pool = TextPool()
        >>> codes = pool.intern(["Klaus writes a research paper", "Ann researched papers"])
        >>> words = lexicon(pool, codes)
        >>> asked = words.ask("Who is researching? Research on bread")
        >>> [words.word(number) for number in asked.words], asked.terms.tolist(), asked.n_terms
        (['research', 'researched'], [0, 0], 1)
        """
        self._stem()
        stems = dict.fromkeys(self._stem_of(word) for word in split(text) if word not in COMMON)
        found = [self._alike[each] for each in stems if each in self._alike]
        if len(found) > MOST_TERMS:
            raise ColumnValueError(
                f"a query may have up to {MOST_TERMS:,} different words that texts have; this one "
                f"has {len(found):,}: ask with a shorter text"
            )
        terms = np.repeat(np.arange(len(found), dtype=np.int32), [len(each) for each in found])
        return Asked(np.array([*chain.from_iterable(found)], np.int32), terms, len(found))

    def word(self, number: int) -> str:
        """The word of a number."""
        return self._words[number]

    def find(self, word: str) -> int:
        """The number of a word as `split` gives it; -1 where no text has had it. A word whose texts
        were all reclaimed may keep its number."""
        return self._known.get(word, -1)

    def numbers(self, text: str) -> npt.NDArray[np.int32]:
        """The words of `text` in their order, (n,) i4; -1 as `find` gives it."""
        return np.array([self.find(word) for word in split(text)], np.int32)

    def beginning(self, prefix: str) -> npt.NDArray[np.int32]:
        """The words that begin with `prefix`, folded: (m,) i4, by the order of the words.

        >>> pool = TextPool()
        >>> words = lexicon(pool, pool.intern(["gentrified streets", "gentle Gentrification"]))
        >>> [words.word(number) for number in words.beginning("GENTRI")]
        ['gentrification', 'gentrified']
        """
        start = word_of(folded(prefix))
        self._sorted.update(self._words[len(self._sorted) :])
        found = []
        for word in self._sorted.irange(start):
            if not word.startswith(start):
                break
            found.append(self.find(word))
        return np.array(found, np.int32)

    def _stem_of(self, word: str) -> str:
        number = self.find(word)
        return self._stems[number] if number >= 0 else stem(word)

    def _stem(self) -> None:
        fresh = [stem(word) for word in self._words[len(self._stems) :]]
        for number, each in enumerate(fresh, len(self._stems)):
            if not self.common_v[number]:
                self._alike.setdefault(each, []).append(number)
        self._stems += fresh


def with_room(array: npt.NDArray[Any], used: int, more: int) -> npt.NDArray[Any]:
    """The array, or a larger copy of its first `used` values, with room for `more`."""
    if used + more <= array.size:
        return array
    larger = np.empty(2 * used + more, array.dtype)
    larger[:used] = array[:used]
    return larger


def lexicon(pool: TextPool, codes: Any = ()) -> Lexicon:
    """The words of a pool's texts, those of `codes` among them: see `Lexicon.learn`.

    It is the pool's own, and may not be kept across a reclaim, which changes it.
    """
    found = pool.cache(Lexicon)
    found.learn(pool, codes)
    return found


def drop_dead(live_c: Any, start_c: Any, end_c: Any, words_w: Any) -> int:
    """Take the words of codes that are not live out of words_w, in place: start_c <- -1, and those
    of the others move together. Returns how much of words_w is used then.

    live_c: (codes,) bool, False beyond. start_c, end_c: i8; words of code c are
    `words_w[start_c[c]:end_c[c]]`. O(codes log codes + words).
    """
    dead = np.ones(start_c.size, np.bool_)
    known = live_c[: start_c.size]
    dead[: known.size] = ~known
    start_c[dead] = -1
    return int(move_together(np.argsort(start_c, kind="stable"), start_c, end_c, words_w))


@jit
def move_together(order_c: Any, start_c: Any, end_c: Any, words_w: Any) -> Any:
    """Close the gaps between the words of codes, in place. Returns how much of words_w is used.

    order_c: codes, by start_c. start_c, end_c, words_w: of `drop_dead`, start_c -1 where there are
    no words. O(codes + words).
    """
    used = 0
    for code in order_c:
        if start_c[code] >= 0:
            begin, end = start_c[code], end_c[code]
            start_c[code] = used
            for w in range(begin, end):
                words_w[used] = words_w[w]
                used += 1
            end_c[code] = used
    return used
