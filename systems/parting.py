"""Texts parted into runs, as numbers: `WORD.findall(folded(text))` of many texts, in one kernel.

    run_k, end_t, n = runs.part(["tea at Hobbs Cafe", "tea"])   # [0 1 2 3 0], [4, 5], 4

A table of every distinct run that was seen, in bytes: a run is the UTF-8 of what `word_of` takes.

Invariants: runs are numbered from 0 in the order of first sight, whatever the batches; the bytes of
run r are `byte_b[start_r[r]:start_r[r + 1]]`, and two runs are one if their bytes are. Half of the
slots are empty at least.
Cost: 0.3 µs a text of 60 bytes; 30 bytes a distinct run and its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import jit

from .stemming import END, WORD, plain

Numbers = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]

SPACE, STOP, APOSTROPHE = np.array([ord(" "), ord(END), ord("'")], np.uint8)
FOLD = np.arange(256, dtype=np.uint8)
"""Of each byte of a plain text: itself folded, or a space where it parts words."""
for _code in range(128):
    _parts = not WORD.match(chr(_code)) and chr(_code) not in END + "'"
    FOLD[_code] = SPACE if _parts else ord(chr(_code).lower())

PRIME = np.uint64(0x100000001B3)
_0, _8 = np.uint64(0), np.uint64(8)
SPREAD, HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)
SMALLEST = 1024


class Runs:
    """Every run of the texts that were parted, n of them."""

    def __init__(self) -> None:
        self.n = 0
        self.byte_b: npt.NDArray[np.uint8] = np.empty(SMALLEST, np.uint8)
        self.start_r: Places = np.zeros(SMALLEST + 1, np.int64)
        self._hash_r: npt.NDArray[np.uint64] = np.empty(SMALLEST, np.uint64)
        self._slot_h: Numbers = np.full(2 * SMALLEST, -1, np.int32)

    def part(self, texts: Sequence[str]) -> tuple[Numbers, Places]:
        """((k,) i4 the runs of all texts, in their order; (t,) i8 where those of each text end).

        O(bytes).
        """
        given = np.frombuffer(plain(texts).encode(), np.uint8)
        room = self.start_r[self.n] + given.size
        if room > self.byte_b.size:
            self.byte_b = np.append(self.byte_b, np.empty(room, np.uint8))
        run_k, end_t = np.empty(given.size // 2 + 1, np.int32), np.zeros(len(texts), np.int64)
        at, t = 0, 0
        while t < end_t.size:
            self.n, at, t = part(
                given, at, t, self.n, self.byte_b, self.start_r, self._hash_r, self._slot_h,
                run_k, end_t,
            )  # fmt: skip
            if t < end_t.size:
                self._grow()
        return run_k[: end_t[-1] if t else 0], end_t

    def _grow(self) -> None:
        """Twice the room."""
        self.start_r = np.append(self.start_r, np.empty(self.n, np.int64))
        self._hash_r = np.append(self._hash_r, np.empty(self.n, np.uint64))
        self._slot_h = np.full(4 * self.n, -1, np.int32)
        fill(self.n, self._hash_r, self._slot_h)

    def since(self, first: int) -> list[str]:
        """The runs from number `first` on."""
        start = self.start_r[first : self.n + 1].tolist()
        return [self.byte_b[begin:end].tobytes().decode() for begin, end in pairwise(start)]


# -- kernels -------------------------------------------------------------------------------------


@jit
def fill(n_runs: Any, hash_r: Any, slot_h: Any) -> None:
    """slot_h, all -1, <- the first n_runs runs, which are distinct. O(runs)."""
    last = slot_h.size - 1
    for r in range(n_runs):
        h = np.int64((hash_r[r] * SPREAD) >> HALF) & last
        while slot_h[h] >= 0:
            h = (h + 1) & last
        slot_h[h] = r


@jit
def part(
    given_b: Any,
    at: Any,
    t: Any,
    n_runs: Any,
    byte_b: Any,
    start_r: Any,
    hash_r: Any,
    slot_h: Any,
    run_k: Any,
    end_t: Any,
) -> Any:
    """run_k <- the runs of texts from text t on, end_t <- where those of each text end.

    given_b: u1, plain texts, each with END after it; text t begins at place `at`. n_runs, byte_b,
    start_r, hash_r, slot_h: a `Runs`, byte_b with room for all that is given. run_k: i4, one for
    every two bytes. end_t: (texts,) i8. Returns n_runs, at and t as they are then: with the last
    text done, or before one for whose runs there is no room. O(bytes).
    """
    # The hash takes 8 bytes at a time; among runs of one length up to 8 it is as good as the bytes.
    # Looking up stands in this loop, since a function that takes six arrays needs 50 ns a call.
    key, part, begin = _0, _0, at
    k = end_t[t - 1] if t else 0
    last = slot_h.size - 1
    for b in range(at, given_b.size):
        byte = FOLD[given_b[b]]
        if byte == APOSTROPHE:
            after = FOLD[given_b[b + 1]]
            if begin == b or after in (SPACE, STOP, APOSTROPHE):
                byte = SPACE
        if byte != SPACE and byte != STOP:
            part = (part << _8) | np.uint64(byte)
            if (b - begin) & 7 == 7:
                key, part = (key ^ part) * PRIME, _0
            continue
        size = b - begin
        if size:
            key = (key ^ part) * PRIME
            h = np.int64((key * SPREAD) >> HALF) & last
            while slot_h[h] >= 0:
                r = slot_h[h]
                if hash_r[r] == key and start_r[r + 1] - start_r[r] == size:
                    i = 0 if size > 8 else size
                    while i < size and FOLD[given_b[begin + i]] == byte_b[start_r[r] + i]:
                        i += 1
                    if i == size:
                        break
                h = (h + 1) & last
            if slot_h[h] < 0:
                if n_runs == hash_r.size:
                    break
                slot_h[h], hash_r[n_runs] = n_runs, key
                end = start_r[n_runs]
                for i in range(size):
                    byte_b[end + i] = FOLD[given_b[begin + i]]
                n_runs += 1
                start_r[n_runs] = end + size
            run_k[k] = slot_h[h]
            k += 1
            key, part = _0, _0
        begin = b + 1
        if byte == STOP:
            end_t[t] = k
            t += 1
            at = begin
    return n_runs, at, t
