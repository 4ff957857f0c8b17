"""Interned strings: a column holds a u4 code, the pool holds each distinct string once.

Invariants: code 0 is the empty string; codes are given in the order of first sight and never
change; `strings[code]` and `codes[string]` are inverse.
Cost: interning is one dict lookup a string (about 50 ns), decoding one list lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from .errors import CapacityError, ColumnTypeError, ColumnValueError

Codes = npt.NDArray[np.uint32]


class _Codes(dict[str, int]):
    """string -> code; a string seen for the first time is given the next code."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__({text: code for code, text in enumerate(strings)})
        self._strings = strings

    def __missing__(self, text: str) -> int:
        code = len(self._strings)
        if code == 2**32 - 1:
            raise CapacityError("the text pool is full: it holds 2^32 - 1 distinct strings")
        self._strings.append(text)
        self[text] = code
        return code


class Prefix(Sequence[str]):
    """The first n strings of a pool: no copy, and they stay what they are while it grows."""

    __slots__ = ("_n", "_strings")

    def __init__(self, strings: list[str], n: int) -> None:
        self._strings, self._n = strings, n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self._strings[code] for code in range(*at.indices(self._n))]
        return self._strings[range(self._n)[at]]


class TextPool:
    """All the strings of one world.

    >>> pool = TextPool()
    >>> pool.intern(["tea", "bread", "tea"]).tolist()
    [1, 2, 1]
    >>> pool.decode([2, 0])
    ['bread', '']
    """

    def __init__(self, strings: Sequence[str] = ("",)) -> None:
        if not strings or strings[0] != "" or len(set(strings)) != len(strings):
            raise ColumnValueError("a text pool starts with '' and holds each string once")
        self._strings = list(strings)
        self._codes = _Codes(self._strings)

    def __len__(self) -> int:
        return len(self._strings)

    def __contains__(self, text: str) -> bool:
        return text in self._codes

    @property
    def strings(self) -> tuple[str, ...]:
        """Every string, in the order of its code."""
        return tuple(self._strings)

    def prefix(self) -> Prefix:
        """Every string so far, in the order of its code; strings that come later are not seen."""
        return Prefix(self._strings, len(self._strings))

    def intern(self, texts: Iterable[str]) -> Codes:
        """The codes of `texts`, (n,) u4; strings not seen before are added, all or none."""
        batch = [texts] if isinstance(texts, str) else list(texts)
        for place, text in enumerate(batch):
            if not isinstance(text, str):
                raise ColumnTypeError(
                    f"a text must be a str, got {type(text).__name__} ({text!r}) at place {place}"
                )
        return np.fromiter(map(self._codes.__getitem__, batch), np.uint32, len(batch))

    def find(self, text: str) -> int | None:
        """The code of `text`, or None where the pool has never seen it."""
        return self._codes.get(text)

    def decode(self, codes: Any) -> list[str]:
        """The strings of `codes`, an iterable of ints."""
        array, strings = np.asarray(codes), self._strings
        try:
            return [strings[code] for code in array.tolist()]
        except IndexError:
            raise ColumnValueError(
                f"text code {int(array.max())} is unknown: this pool holds codes 0 to "
                f"{len(strings) - 1}"
            ) from None

    def truncate(self, n: int) -> None:
        """Forget every string after the first n: how a failed batch takes its strings back."""
        for text in self._strings[n:]:
            del self._codes[text]
        del self._strings[n:]
