"""Interned strings: a column holds a u4 code, the pool holds each distinct string once.

Invariants: code 0 is the empty string; a new string is given the lowest code that is free;
`strings[code]` and `codes[string]` are inverse, but for free codes, whose string is "". The codes
of a pool never change: `reclaimed` makes another pool, in which survivors keep theirs, and the
former takes no more strings. So what is cached by the codes of a pool is good as long as that pool
is the world's; of the survivors' codes, beyond.
Cost: interning is one dict lookup a string (about 50 ns), decoding one list lookup.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple, Protocol, TypeVar, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import CapacityError, ColumnTypeError, ColumnValueError, StaleViewError

Codes = npt.NDArray[np.uint32]
T = TypeVar("T")


class Mark(NamedTuple):
    """A moment of a pool: how often its strings were reclaimed, how many codes there were, and how
    many of those that were free after the last time had been given again."""

    reclaims: int
    n: int
    given: int


class _Codes(dict[str, int]):
    """string -> code; a string seen for the first time is given the lowest free code.

    free: (f,) u4 ascending, of which the first `given` are in use again.
    """

    def __init__(self, strings: list[str], free: Codes) -> None:
        super().__init__()
        self.given = 0
        self._strings = strings
        self._free, self._n_free = free.data, free.size  # whose items are ints, not numpy's

    def __missing__(self, text: str) -> int:
        if self.given < self._n_free:
            code: int = self._free[self.given]
            self._strings[code] = text
            self.given += 1
        else:
            code = len(self._strings)
            if code == 2**32 - 1:
                raise CapacityError("the text pool is full: it holds 2^32 - 1 distinct strings")
            self._strings.append(text)
        self[text] = code
        return code


class Prefix(Sequence[str]):
    """The strings of a pool at one moment: no copy, and they stay what they are while it grows.

    free: the codes that were free, ascending.
    """

    __slots__ = ("_lowest", "_strings", "_took", "free", "mark")

    def __init__(self, strings: list[str], mark: Mark, free: Codes) -> None:
        self._strings, self.mark = strings, mark
        self._took = free[: mark.given]
        self.free: Codes = free[mark.given :]
        self._lowest = int(self.free[0]) if self.free.size else 0

    def given_since(self, earlier: Mark) -> Codes | None:
        """The codes that had been free at an earlier moment and have a string at this one,
        ascending; None where strings were reclaimed in between, so that any code may differ."""
        if earlier.reclaims != self.mark.reclaims:
            return None
        return self._took[earlier.given :]

    def __len__(self) -> int:
        return self.mark.n

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        strings = self._strings
        if not isinstance(at, slice):
            code = range(self.mark.n)[at]
            text = strings[code]
            return "" if self._is_outdated() and self._was_free(code) else text
        begin, end, step = at.indices(self.mark.n)
        found = strings[begin:end] if step == 1 else [strings[c] for c in range(begin, end, step)]
        if self._is_outdated():
            if step != 1:
                return self[:][at]
            low, high = np.searchsorted(self.free, (begin, end))
            for code in self.free[low:high].tolist():
                found[code - begin] = ""
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    def _is_outdated(self) -> bool:
        """Whether a code that was free has a string by now: then the lowest has. Asked after
        strings were read, since the pool may be growing."""
        return self._strings[self._lowest] != ""

    def _was_free(self, code: int) -> bool:
        place = int(np.searchsorted(self.free, code))
        return place < self.free.size and int(self.free[place]) == code


@runtime_checkable
class TextCache(Protocol):
    """What is derived from a pool's strings and outlives a reclaim. Other caches are forgotten."""

    def reclaimed(self, live_c: npt.NDArray[np.bool_], kept: Container[type]) -> bool:
        """Forget the codes that are not live; returns whether it is good for the pool that comes
        after. kept: the caches made before it that are."""


class TextPool:
    """All the strings of one world.

    strings: by code. free: of these, the codes that nobody has, ascending; their strings do not
    count. reclaims: how often strings of the world were reclaimed before. caches: what is derived
    from the strings, by its class, see `cache` and `TextCache`.

    >>> pool = TextPool()
    >>> pool.intern(["tea", "bread", "tea"]).tolist()
    [1, 2, 1]
    >>> pool.decode([2, 0])
    ['bread', '']
    """

    def __init__(
        self, strings: Sequence[str] = ("",), free: Any = (), *, reclaims: int = 0
    ) -> None:
        self._strings = list(strings)
        self._free: Codes = np.array(free, np.uint32)
        self._check_free()
        self._codes = _Codes(self._strings, self._free)
        if self._free.size:
            live_c = np.ones(len(self._strings), np.bool_)
            live_c[self._free] = False
            for code in self._free.tolist():
                self._strings[code] = ""
            codes: Iterable[int] = np.flatnonzero(live_c).tolist()
            self._codes.update(zip(compress(self._strings, live_c.tolist()), codes, strict=True))
            self._free_c = ~live_c
        else:
            self._codes.update(zip(self._strings, range(len(self._strings)), strict=True))
            self._free_c = np.zeros(0, np.bool_)
        if not strings or strings[0] != "" or len(self) - self.n_free != len(self._codes):
            raise ColumnValueError("a text pool starts with '' and holds each string once")
        self.reclaims = reclaims
        self.successor: TextPool | None = None
        self.caches: dict[type, Any] = {}
        self._noted = 0  # given codes that _free_c knows of

    def _check_free(self) -> None:
        free = self._free
        good = free.ndim == 1 and (np.diff(free.astype(np.int64)) > 0).all()
        if not good or (free.size and not 0 < free[0] <= free[-1] < len(self._strings)):
            raise ColumnValueError(
                f"the free codes of a text pool are ascending, from 1 to the number of its strings "
                f"less one, {len(self._strings) - 1:,}; got {free!r}"
            )

    def __len__(self) -> int:
        """How many codes there are, free ones among them."""
        return len(self._strings)

    def __contains__(self, text: str) -> bool:
        return text in self._codes

    @property
    def strings(self) -> tuple[str, ...]:
        """Every string, in the order of its code; "" where one is free."""
        return tuple(self._strings)

    @property
    def n_free(self) -> int:
        """How many codes below the highest are free: they are given first, from the lowest on."""
        return int(self._free.size) - self._codes.given

    @property
    def free(self) -> Codes:
        """(f,) u4, ascending: the codes that are free."""
        return self._free[self._codes.given :]

    def cache(self, cls: type[T], *given: Any) -> T:
        """The pool's cache of a class, made of what is given when it is first asked for."""
        found = self.caches.get(cls)
        if found is None:
            found = self.caches[cls] = cls(*given)
        made: T = found
        return made

    def prefix(self) -> Prefix:
        """Every string so far, in the order of its code; strings that come later are not seen."""
        return Prefix(self._strings, self.mark(), self._free)

    def intern(self, texts: Iterable[str]) -> Codes:
        """The codes of `texts`, (n,) u4; strings not seen before are added, all or none.

        Raises ColumnTypeError for what is no str, StaleViewError for a pool that the world has
        another for.
        """
        if self.successor is not None:
            raise StaleViewError(
                "this text pool was the world's before reclaim_texts(), which gave its codes to "
                "others: ask for world.text again, and intern there"
            )
        batch = [texts] if isinstance(texts, str) else list(texts)
        if not {*map(type, batch)} <= {str}:  # a subclass of str is a str, too
            for place, text in enumerate(batch):
                if not isinstance(text, str):
                    raise ColumnTypeError(
                        f"a text must be a str, got {type(text).__name__} ({text!r}) at place "
                        f"{place}"
                    )
        return np.fromiter(map(self._codes.__getitem__, batch), np.uint32, len(batch))

    def find(self, text: str) -> int | None:
        """The code of `text`, or None where the pool does not hold it."""
        return self._codes.get(text)

    def decode(self, codes: Any) -> list[str]:
        """The strings of `codes`, an iterable of ints. Raises ColumnValueError for unknown ones."""
        array, strings = np.asarray(codes), self._strings
        if (self._free.size or array.dtype.kind == "i") and (why := self.fault(array)):
            raise ColumnValueError(why)
        try:
            return list(map(strings.__getitem__, array.tolist()))
        except IndexError:
            raise ColumnValueError(self.fault(array)) from None

    def fault(self, codes: npt.NDArray[Any]) -> str:
        """Why one of some codes has no string, in words; "" where all have one. 1 ns a code."""
        if not codes.size:
            return ""
        least = int(codes.min()) if codes.dtype.kind == "i" else 0
        utmost = least if least < 0 else int(codes.max())
        if not 0 <= utmost < len(self):
            return f"text code {utmost} is unknown: this pool holds codes 0 to {len(self) - 1}"
        if self._free.size:
            self._note()
            bounds = self._free_c.size
            known = codes if bounds == len(self) else codes[codes < bounds]
            wrong = self._free_c[known]
            if wrong.any():
                return (
                    f"text code {int(known[np.argmax(wrong)])} is free: reclaim_texts() gave its "
                    f"string back, since nothing that a world knows of held it; intern the string "
                    f"again, or let a resource tell of the codes that it holds by text_codes()"
                )
        return ""

    def _note(self) -> None:
        """Let _free_c know of the codes that were given since. Any thread may."""
        given = self._codes.given
        self._free_c[self._free[self._noted : given]] = False
        self._noted = given

    def mark(self) -> Mark:
        """This moment, to `rollback` to. O(1)."""
        return Mark(self.reclaims, len(self._strings), self._codes.given)

    def rollback(self, mark: Mark) -> None:
        """Forget every string since a moment of this pool: how a failed batch takes its strings
        back. Their codes are free again."""
        for text in self._strings[mark.n :]:
            del self._codes[text]
        del self._strings[mark.n :]
        again = self._free[mark.given : self._codes.given]
        for code in again.tolist():
            del self._codes[self._strings[code]]
            self._strings[code] = ""
        self._codes.given = mark.given
        if again.size:
            self._free_c[again] = True
            self._noted = min(self._noted, mark.given)

    def reclaimed(self, live_c: npt.NDArray[np.bool_]) -> TextPool:
        """A pool with the strings of some codes alone, which keep their codes. It takes the place
        of this one, which can be read as before, and takes no more strings; of the caches, it gets
        those that say they stay good.

        live_c: (codes,) bool; code 0 is live, free ones are not. O(codes).
        """
        n = int(np.flatnonzero(live_c)[-1]) + 1
        made = TextPool(self._strings[:n], np.flatnonzero(~live_c[:n]), reclaims=self.reclaims + 1)
        self.successor = made
        for cls, cache in self.caches.items():
            if isinstance(cache, TextCache) and cache.reclaimed(live_c, made.caches):
                made.caches[cls] = cache
        self.caches = {}
        return made
