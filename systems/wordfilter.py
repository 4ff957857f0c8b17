"""Which texts have a phrase, or a word that begins so: exactly, without stems or scores.

    words = lexicon(world.text, codes)
    WordFilter(phrase="party at Hobbs Cafe", prefix="gentri").mask(words, codes)

Invariants: a filter looks at words alone, so that case, punctuation and spaces do not matter;
common words matter as all others. What is let through depends on the text alone.
Cost: see `mask`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import jit
from populace.ecs.errors import ColumnTypeError, ColumnValueError

from .lexicon import Lexicon
from .stemming import split


@dataclass(frozen=True, slots=True)
class WordFilter:
    """Texts that have the words of `phrase` in its order, side by side, and a word that begins with
    `prefix`. What is None does not matter.

    Raises ColumnTypeError for what is no text, ColumnValueError for a phrase without a word or a
    prefix that is not one.
    """

    phrase: str | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        for name, given in (("phrase", self.phrase), ("prefix", self.prefix)):
            if given is None:
                continue
            if not isinstance(given, str):
                raise ColumnTypeError(
                    f"{name} must be a text or None, got {type(given).__name__} ({given!r})"
                )
            n_words = len(split(given))
            if n_words == 0 or (name == "prefix" and n_words > 1):
                allowed = "one word or more" if name == "phrase" else "the beginning of one word"
                raise ColumnValueError(f"{name} must be {allowed}, got {given!r}, {n_words} words")

    def arrays(self, words: Lexicon) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """(phrase_w, begins_v), as `passing` takes them. Good until the lexicon's next `learn`."""
        phrase_w = np.empty(0, np.int32) if self.phrase is None else words.numbers(self.phrase)
        if self.prefix is None:
            return phrase_w, np.empty(0, np.bool_)
        begins_v = np.zeros(max(words.n_words, 1), np.bool_)
        begins_v[words.beginning(split(self.prefix)[0])] = True
        return phrase_w, begins_v

    def mask(self, words: Lexicon, codes: Any) -> npt.NDArray[np.bool_]:
        """(n,) bool: which texts pass. codes: (n,) u4, which the lexicon has learnt.

        Cost: 40 ns a text of 12 words; 1 µs for each word that begins with the prefix.

        >>> from populace.ecs import TextPool
        >>> from populace.systems.lexicon import lexicon
        >>> pool = TextPool()
        >>> codes = pool.intern(["the party at Hobbs Cafe", "a party; at Hobbs", "Hobbs Cafe"])
        >>> WordFilter(phrase="At hobbs cafe").mask(lexicon(pool, codes), codes).tolist()
        [True, False, False]
        """
        codes = np.asarray(codes, np.uint32)
        out = np.empty(codes.size, np.bool_)
        passing(codes, words.start_c, words.end_c, words.words_w, *self.arrays(words), out)
        return out


@jit
def passing(
    text_n: Any,
    start_c: Any,
    end_c: Any,
    words_w: Any,
    phrase_w: Any,
    begins_v: Any,
    out_n: Any,
) -> None:
    """out_n <- whether a text has all of phrase_w in a row, and any word that begins_v marks.

    text_n: (n,) u4. start_c, end_c, words_w: a `Lexicon` that knows the texts. phrase_w: i4, empty
    where any text will do. begins_v: bool by word, empty likewise. out_n: (n,) bool. O(words).
    """
    for i in range(out_n.size):
        start, end = start_c[text_n[i]], end_c[text_n[i]]
        found = phrase_w.size == 0
        for first in range(start, end - phrase_w.size + 1):
            if found:
                break
            found = True
            for k in range(phrase_w.size):
                if words_w[first + k] != phrase_w[k]:
                    found = False
                    break
        if found and begins_v.size:
            found = False
            for w in range(start, end):
                if begins_v[words_w[w]]:
                    found = True
                    break
        out_n[i] = found
