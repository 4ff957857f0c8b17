"""Numbers for the vectors of a world, that a vector index can keep: small, dense, never ambiguous.

An entity that gains an embedding gets a label, and gives it up when it loses the embedding. The
vector of a label that was given up may still lie in an index for a while: the index says which
labels it holds, and a label is free again only when nobody holds it. So a label that is found
stands for one vector, or for none any more, never for another.

    live        an entity has it now
    main, next  held: its vector lies in the index that is searched, or goes into one being built

Each is a bitmap of u8 words, label % 64 of word label // 64, in which FAISS finds label i as bit
i % 8 of byte i // 8. A label is free where no bitmap has it, and the lowest is given first.
Invariants: `entity_of[label]` is NOBODY unless the label is live; the two maps are inverse.
Cost: 2 to 5 ns a label; 12 bytes an entity slot and label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import NOBODY, jit
from populace.ecs.entities import Ids
from populace.ecs.errors import CapacityError

Words = npt.NDArray[np.uint64]
Labeled = npt.NDArray[np.int64]

NONE = -1
MOST = 2**31 - 64
_SMALLEST = 1024

# -- kernels -------------------------------------------------------------------------------------


@jit
def set_bits(words: Any, label_k: Any) -> Any:
    """Set the bits of labels; return how many were not set."""
    fresh: Any = 0
    for label in label_k:
        bit = np.uint64(1) << np.uint64(label & 63)
        fresh += np.int64(words[label >> 6] & bit == 0)
        words[label >> 6] |= bit
    return fresh


@jit
def clear_bits(words: Any, label_k: Any) -> Any:
    """Clear the bits of labels; return how many were set."""
    cleared: Any = 0
    for label in label_k:
        bit = np.uint64(1) << np.uint64(label & 63)
        cleared += np.int64(words[label >> 6] & bit != 0)
        words[label >> 6] &= ~bit
    return cleared


@jit
def bits_at(words: Any, label_k: Any, out_k: Any) -> None:
    """out_k <- whether each label's bit is set; labels beyond the words have none."""
    for k in range(label_k.size):
        label = label_k[k]
        word = words[label >> 6] if 0 <= label < words.size * 64 else np.uint64(0)
        out_k[k] = word >> np.uint64(label & 63) & np.uint64(1) != 0


@jit
def listed(words: Any, label_k: Any) -> None:
    """label_k <- the labels whose bits are set, ascending; there must be so many."""
    k = 0
    for place in range(words.size):
        word, label = words[place], place * 64
        while word != 0:
            if word & np.uint64(0xFFFFFFFF) == 0:
                word >>= np.uint64(32)
                label += 32
            if word & np.uint64(1):
                label_k[k] = label
                k += 1
            word >>= np.uint64(1)
            label += 1


@jit
def given(
    live: Any, main: Any, following: Any, start: Any, entity_of: Any, label_of: Any, ids_k: Any
) -> Any:
    """Give each of ids_k the lowest free label from word `start` on; there must be enough. Return
    the word to begin with next time."""
    place = start
    taken = live[place] | main[place] | following[place]
    for entity in ids_k:
        while taken == np.uint64(0xFFFFFFFFFFFFFFFF):
            place += 1
            taken = live[place] | main[place] | following[place]
        low = 0
        while taken >> np.uint64(low) & np.uint64(1):
            low += 1
        bit = np.uint64(1) << np.uint64(low)
        live[place] |= bit
        taken |= bit
        entity_of[place * 64 + low] = entity
        label_of[entity & np.uint64(0xFFFFFFFF)] = place * 64 + low
    return place


@jit
def given_up(live: Any, main: Any, entity_of: Any, label_of: Any, ids_k: Any) -> Any:
    """Take the labels of ids_k back. Return (how many had one, how many of these are in `main`,
    the lowest word touched)."""
    gone, lowest = 0, live.size
    dead: Any = 0
    for entity in ids_k:
        index = np.int64(entity & np.uint64(0xFFFFFFFF))
        label = np.int64(label_of[index]) if index < label_of.size else -1
        if label < 0:
            continue
        label_of[index] = -1
        entity_of[label] = 0
        bit = np.uint64(1) << np.uint64(label & 63)
        live[label >> 6] &= ~bit
        dead += np.int64(main[label >> 6] & bit != 0)
        lowest = min(lowest, label >> 6)
        gone += 1
    return gone, dead, lowest


@jit
def looked_up(entity_of: Any, label_of: Any, ids_k: Any, label_k: Any) -> None:
    """label_k <- the labels of ids_k, -1 where an id has none."""
    for k in range(ids_k.size):
        index = np.int64(ids_k[k] & np.uint64(0xFFFFFFFF))
        label = np.int64(label_of[index]) if index < label_of.size else -1
        label_k[k] = label if label >= 0 and entity_of[label] == ids_k[k] else -1


# -- the labels ----------------------------------------------------------------------------------


class Labels:
    """Which entity has which label, and which labels are held. See the module.

    version: counts the changes of what `tail` gives.
    """

    def __init__(self) -> None:
        words = _SMALLEST // 64
        self.live, self.main, self.next = (np.zeros(words, np.uint64) for _ in range(3))
        self.entity_of: Ids = np.zeros(_SMALLEST, np.uint64)
        self.label_of = np.full(_SMALLEST, NONE, np.int32)
        self.n_live = self.n_main = self.n_dead = 0
        self.version = 0
        self._start = 0
        self._tail: tuple[int, Labeled] = -1, np.empty(0, np.int64)

    @property
    def capacity(self) -> int:
        """Labels that there is room for: all are below it."""
        return int(self.entity_of.size)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.entity_of.nbytes + self.label_of.nbytes + 3 * self.live.nbytes

    @property
    def n_tail(self) -> int:
        """How many are live and not in `main`."""
        return self.n_live - (self.n_main - self.n_dead)

    def give(self, ids: Ids) -> None:
        """Give entities, none of which has one, a label each. Raises CapacityError."""
        if not ids.size:
            return
        self._reserve(ids.size, int((ids & np.uint64(0xFFFF_FFFF)).max()) + 1)
        self._start = given(
            self.live, self.main, self.next, self._start, self.entity_of, self.label_of, ids
        )
        self.n_live += ids.size
        self.version += 1

    def take(self, ids: Ids) -> int:
        """Take the labels of entities back; return how many had one."""
        gone, dead, lowest = given_up(self.live, self.main, self.entity_of, self.label_of, ids)
        self.n_live -= gone
        self.n_dead += dead
        self._start = min(self._start, lowest)
        self.version += 1
        return int(gone)

    def of(self, ids: Ids) -> Labeled:
        """(k,) i8: the labels of entities, -1 for those that have none."""
        label_k = np.empty(ids.size, np.int64)
        looked_up(self.entity_of, self.label_of, ids, label_k)
        return label_k

    def tail(self) -> Labeled:
        """The live labels that are not in `main`, ascending. Read only."""
        if self._tail[0] != self.version:
            self._tail = self.version, members(self.live & ~self.main)
        return self._tail[1]

    def promise(self, labels: Labeled) -> Labeled:
        """Hold labels for an index that is being built, or for what is about to be added; return
        those that were not held so already."""
        fresh = labels[~among(labels, self.next)]
        set_bits(self.next, fresh)
        return fresh

    def settle(self, labels: Labeled, fresh: Labeled) -> None:
        """Labels lie in the index that is searched now, dead or alive. fresh: of these, the ones
        that were promised to it and not to another that is being built."""
        clear_bits(self.next, fresh)
        self.n_main += set_bits(self.main, labels)
        self._recount()

    def replace(self) -> None:
        """The index that all promises were for takes the place of the one that is searched."""
        self.main, self.next = self.next, np.zeros_like(self.main)
        self.n_main = count(self.main)
        self._recount()

    def withdraw(self, labels: Labeled) -> None:
        """Labels that were promised are held no more."""
        clear_bits(self.next, labels)
        self._start = 0

    def break_promises(self) -> None:
        """Nothing is being built any more."""
        self.next[:] = 0
        self._recount()

    def remove_dead(self) -> Words:
        """Let go of the labels in `main` that no entity has; returns them as a bitmap.

        Whoever asks takes their vectors out of the index before anybody gets a label.
        """
        dead = self.main & ~self.live
        self.main &= self.live
        self.n_main -= self.n_dead
        self._recount()
        return dead

    def empty(self) -> None:
        """Nothing is held: no index is searched, and none is being built."""
        self.main[:] = self.next[:] = 0
        self.n_main = 0
        self._recount()

    def _recount(self) -> None:
        self.n_dead = count(self.main & ~self.live)
        self._start = 0
        self.version += 1

    def _reserve(self, k: int, n_slots: int) -> None:
        """Room for k more labels, and for entities of slots below n_slots."""
        if n_slots > self.label_of.size:
            longer = np.full(max(n_slots, 2 * self.label_of.size), NONE, np.int32)
            longer[: self.label_of.size] = self.label_of
            self.label_of = longer
        used = count(self.live | self.main | self.next)
        if used + k <= self.capacity:
            return
        if used + k > MOST:
            raise CapacityError(f"{used + k:,} vectors are wanted; an index has at most {MOST:,}")
        capacity = min(max(used + k, 2 * self.capacity), MOST)
        capacity += -capacity % 64
        entity_of = np.full(capacity, NOBODY, np.uint64)
        entity_of[: self.capacity] = self.entity_of
        self.entity_of = entity_of
        for name in ("live", "main", "next"):
            words = np.zeros(capacity // 64, np.uint64)
            held = getattr(self, name)
            words[: held.size] = held
            setattr(self, name, words)

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold. O(capacity)."""
        live = members(self.live)
        assert live.size == self.n_live
        assert np.array_equal(np.flatnonzero(self.entity_of), live)
        index = (self.entity_of[live] & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        assert np.array_equal(self.label_of[index], live)
        assert np.count_nonzero(self.label_of >= 0) == live.size
        assert count(self.main) == self.n_main
        assert count(self.main & ~self.live) == self.n_dead
        assert self.tail().size == self.n_tail


# -- bitmaps -------------------------------------------------------------------------------------


def count(words: Words) -> int:
    """How many bits are set."""
    return int(np.bitwise_count(words).sum())


def members(words: Words) -> Labeled:
    """(k,) i8: the labels whose bits are set, ascending."""
    label_k = np.empty(count(words), np.int64)
    listed(words, label_k)
    return label_k


def bitmap(labels: Labeled, capacity: int) -> Words:
    """The bitmap, (capacity / 64,) u8, in which these labels are set."""
    words = np.zeros(capacity // 64, np.uint64)
    set_bits(words, labels)
    return words


def among(labels: Labeled, words: Words) -> npt.NDArray[np.bool_]:
    """(k,) bool: which labels are set."""
    out_k = np.empty(labels.size, np.bool_)
    bits_at(words, labels, out_k)
    return out_k
