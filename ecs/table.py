"""One archetype's columns: contiguous, growable, all of one capacity.

Invariants: rows [0, n) are live; `buffers[0]` holds the ids and is inverse to the entity index;
`raw[c]` is (address, bytes a row) of `buffers[c]`, and `raw` is another array once they are other
buffers. Row order is not promised. `version` counts structural changes; arrays handed out before
the last one have been made read-only, so a write that would be lost raises instead.
Cost: append O(1) amortised a row; closing k holes O(k) a column; a hand-out 50 ns once exposed.

Besides the ids and the fields a table may hold hidden columns: for every tracked component a
change tick a row and a shadow of each of its fields (`changes.py`). They move as rows move.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from .component import Schema, schema
from .errors import CapacityError
from .fields import Field
from .notebook import table_html
from .rows import ADDRESS, ROW_BYTES, Rows, copy_rows, pair_holes

if TYPE_CHECKING:
    from .query import Filter
    from .store import Store

Array = npt.NDArray[Any]

CHUNK = 65_536
SMALLEST = 16
MAX_ROWS = 0xFFFF_FFFF

COPIES, CACHES = 1, 2
"""Who looks at which columns may have been written, a bit each: copies for snapshots, and caches of
what was read from them."""
EVERYONE = COPIES | CACHES
_OPEN = bytes([EVERYONE])


@dataclass(frozen=True, slots=True)
class Hidden:
    """The key of a column that no component declares: "ids", "tick" of a component, "shadow" of
    a field."""

    role: Literal["ids", "tick", "shadow"]
    of: type | Field | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one value."""
        if isinstance(self.of, Field):
            return self.of.dtype
        return np.dtype(np.uint64 if self.role == "ids" else np.uint32)

    @property
    def width(self) -> int:
        """As Field.width."""
        return self.of.width if isinstance(self.of, Field) else 0


Key = Field | Hidden
IDS = Hidden("ids")


class Archetype:
    """A set of components, the layout of its columns, and the table that holds its rows now.

    mask: one bit a component, by its number in the store. place: key -> column number.
    row_bytes: of each column. every: all columns as pairs with themselves, (c, 2) i8. plans: how
    rows move to another archetype, by its mask. watchers: the filters that match.
    """

    def __init__(self, mask: int, components: tuple[type, ...], tracked: Iterable[type]) -> None:
        self.mask = mask
        self.components = components
        self.schemas: tuple[Schema, ...] = tuple(schema(c) for c in components)
        self.fields = tuple(f for s in self.schemas for f in s.fields)
        self.indexed = tuple(f for f in self.fields if f.index)
        self.pairs = tuple(s for s in self.schemas if s.unique)
        self.track(tracked)
        self.table: Table
        self.watchers: list[Filter] = []

    def keys_with(self, tracked: Iterable[type]) -> tuple[Key, ...]:
        """The columns if these components were tracked."""
        hidden: list[Key] = []
        for each in self.components:
            if each in tracked:
                hidden.append(Hidden("tick", each))
                hidden.extend(Hidden("shadow", f) for f in schema(each).persisted)
        return (IDS, *self.fields, *hidden)

    def track(self, tracked: Iterable[type]) -> None:
        """Lay the columns out anew for the components that are tracked."""
        self.tracked = tuple(c for c in self.components if c in tracked)
        self.keys = self.keys_with(self.tracked)
        self.place: dict[Key, int] = {key: c for c, key in enumerate(self.keys)}
        self.row_bytes = [key.dtype.itemsize * (key.width or 1) for key in self.keys]
        self.every = np.repeat(np.arange(len(self.keys)), 2).reshape(-1, 2)
        self.first = {s.cls: self.place[s.fields[0]] for s in self.schemas if s.fields}
        self.spans = {s.cls: slice(self.first[s.cls], self.first[s.cls] + len(s.fields))
                      for s in self.schemas if s.fields}  # fmt: skip
        self.plans: dict[int, MovePlan] = {}

    def __str__(self) -> str:
        return " + ".join(s.name for s in self.schemas) or "(no component)"

    def _repr_html_(self) -> str:
        return table_html(self.table)


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Which columns two archetypes share, (p, 2) i8, and which the target fills anew."""

    shared: npt.NDArray[np.int64]
    fresh: tuple[Field, ...]
    fresh_components: tuple[type, ...]
    target: Archetype


class BufferPool:
    """Buffers that tables no longer need, for the next table that wants one of that shape, and
    arrays of ids on loan to callers.

    Fresh pages cost five times what warm ones do, so both are recycled, up to `limit` bytes.
    """

    LOANS = 4
    LOAN_FROM = 32_768  # ids; below, the allocator reuses memory by itself

    def __init__(self, limit: int = 256 << 20) -> None:
        self.limit = limit
        self.nbytes = 0
        self._held: dict[tuple[str, tuple[int, ...]], list[Array]] = {}
        self._loans: list[Array] = []

    def take(self, key: Key, capacity: int) -> Array:
        """An uninitialised buffer."""
        shape = (capacity, key.width) if key.width else (capacity,)
        held = self._held.get((key.dtype.str, shape))
        if held:
            buffer = held.pop()
            self.nbytes -= buffer.nbytes
            return buffer
        return np.empty(shape, key.dtype)

    def give(self, buffer: Array) -> None:
        """Take a buffer back, unless somebody still looks at it or the pool is full."""
        # 3 references: the caller's name, this parameter, getrefcount's own.
        unseen = sys.getrefcount(buffer) <= 3
        if buffer.nbytes and unseen and self.nbytes + buffer.nbytes <= self.limit:
            self._held.setdefault((buffer.dtype.str, buffer.shape), []).append(buffer)
            self.nbytes += buffer.nbytes

    def lend_ids(self, n: int) -> npt.NDArray[np.uint64]:
        """(n,) u8, uninitialised, the caller's own until dropped; then its memory is lent again."""
        if n < self.LOAN_FROM:
            return np.empty(n, np.uint64)
        for buffer in self._loans:
            # 3 references: the list's, this loop's name, getrefcount's own.
            if buffer.size >= n and sys.getrefcount(buffer) <= 3:
                return buffer[:n]
        buffer = np.empty(n, np.uint64)
        self._loans.append(buffer)
        if len(self._loans) > self.LOANS:
            del self._loans[0]
        return buffer[:n]

    def clear(self) -> None:
        """Return everything to the system."""
        self._held.clear()
        self._loans.clear()
        self.nbytes = 0


class Table:
    """See the module. Structural methods end in `touch`; checks are the caller's."""

    __slots__ = (
        "_frozen",
        "_live",
        "archetype",
        "buffers",
        "capacity",
        "dirty",
        "handed",
        "n",
        "number",
        "opened",
        "raw",
        "shown",
        "store",
        "version",
    )

    def __init__(self, store: Store, archetype: Archetype, number: int) -> None:
        self.store = store
        self.number = number
        self.n = 0
        self.version = 0
        self.shown: list[tuple[Any, str]] = []  # views and the names of the columns in their slots
        self.adopt(archetype, [store.pool.take(key, 0) for key in archetype.keys], 0)

    def adopt(self, archetype: Archetype, buffers: list[Array], capacity: int) -> None:
        """Take these buffers as the columns of `archetype`."""
        self.archetype = archetype
        self.buffers = buffers
        self.capacity = capacity
        self.raw = np.empty((len(buffers), 2), np.int64)
        self.raw[:, ADDRESS] = [address_of(buffer) for buffer in buffers]
        self.raw[:, ROW_BYTES] = archetype.row_bytes
        self._live: dict[int, Array] = {}  # what has been handed out, by place
        self._frozen: dict[int, Array] = {}
        self.handed = bytearray(len(buffers)) if archetype.tracked else None
        self.opened = bytearray(_OPEN * len(buffers))
        self.dirty: dict[type, npt.NDArray[np.bool_]] = {}

    def __repr__(self) -> str:
        return f"<Table of {self.archetype}: {self.n:,} rows>"

    def _repr_html_(self) -> str:
        return table_html(self)

    # -- hand-outs ---------------------------------------------------------------------------

    def live(self, place: int) -> Array:
        """Column `place`, writable, zero-copy, until the next structural change."""
        array = self._live.get(place)
        if array is None:
            array = self._live[place] = self.buffers[place][: self.n]
        if self.handed is not None:
            self.handed[place] = 1
        self.opened[place] = EVERYONE
        return array

    def frozen(self, place: int) -> Array:
        """Column `place`, read-only, zero-copy."""
        array = self._frozen.get(place)
        if array is None:
            array = self._frozen[place] = self.buffers[place][: self.n]
            array.flags.writeable = False
        return array

    def column(self, key: Key) -> Array:
        """The live rows of a column, for the engine's own use: no hand-out is noted."""
        return self.buffers[self.archetype.place[key]][: self.n]

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """(n,) u8, read-only."""
        return self.frozen(0)

    def open(self, component: type, whole: bool) -> None:
        """Note that the engine itself writes columns of a component, the whole of them or some
        rows, which `changes` notes."""
        span = self.archetype.spans[component]
        opened = _OPEN * (span.stop - span.start)
        self.opened[span] = opened
        if whole and self.handed is not None:
            self.handed[span] = opened

    def doors(self, places: Iterable[int]) -> list[int]:
        """The addresses of all bytes that say that columns at these places may have been written,
        each to be set to `EVERYONE` by whoever writes them past `live`. Good until `raw` is another
        array."""
        notes = (self.opened,) if self.handed is None else (self.opened, self.handed)
        starts = [np.frombuffer(note, np.uint8).ctypes.data for note in notes]
        return [start + place for place in places for start in starts]

    def look(self, who: int = COPIES, places: Iterable[int] | None = None) -> list[bool]:
        """Which columns, or those at some places, may have been written since the last call by
        who looks: `COPIES` or `CACHES`."""
        self.unshow()
        asked = range(len(self.opened)) if places is None else places
        was = []
        for place in asked:
            flag = self.opened[place] & who
            was.append(flag != 0)
            if flag and not self.exported(place):
                self.opened[place] ^= who
        return was

    def exported(self, place: int) -> bool:
        """Whether anybody outside still holds a writable array of this column."""
        # Each name, list and getrefcount's own argument count one.
        ours = 2 + (place in self._live) + (place in self._frozen)
        return sys.getrefcount(self.buffers[place]) > ours or (
            place in self._live and sys.getrefcount(self._live[place]) > 2
        )

    def touch(self) -> None:
        """Make every view and array handed out stale."""
        self.version += 1
        self.opened[:] = _OPEN * len(self.opened)
        for watcher in self.archetype.watchers:
            watcher.stale = True
        if self.shown:
            self.unshow()
        for array in self._live.values():
            array.flags.writeable = False
        self._live.clear()
        self._frozen.clear()

    def unshow(self) -> None:
        """Take every column out of the views' slots: they ask again."""
        for view, name in self.shown:
            object.__delattr__(view, name)
        self.shown.clear()

    # -- growth ------------------------------------------------------------------------------

    def room(self, k: int, exact: bool = False) -> tuple[list[Array], int]:
        """Buffers with room for k more rows and their capacity: the table's own, or longer ones
        with its rows copied. Nothing has changed until they are adopted (`settle_in`)."""
        need = self.n + k
        if need <= self.capacity:
            return self.buffers, self.capacity
        if need > MAX_ROWS:
            raise CapacityError(f"{need:,} rows of {self.archetype}; a table holds {MAX_ROWS:,}")
        capacity = need if exact else max(need, self.capacity * 2, SMALLEST)
        pool, n = self.store.pool, self.n
        longer = [pool.take(key, capacity) for key in self.archetype.keys]
        for old, new in zip(self.buffers, longer, strict=True):
            new[:n] = old[:n]
        return longer, capacity

    def settle_in(self, buffers: list[Array], capacity: int) -> None:
        """Adopt what `room` gave."""
        if buffers is not self.buffers:
            old, handed, dirty = self.buffers, self.handed, self.dirty
            self.touch()
            self.adopt(self.archetype, buffers, capacity)
            self.handed, self.dirty = handed, dirty
            while old:
                buffer = old.pop()
                self.store.pool.give(buffer)

    def resize(self, capacity: int) -> None:
        """Move to buffers of exactly this capacity, at least n."""
        longer = [self.store.pool.take(key, capacity) for key in self.archetype.keys]
        for old, new in zip(self.buffers, longer, strict=True):
            new[: self.n] = old[: self.n]
        self.settle_in(longer, capacity)

    # -- rows --------------------------------------------------------------------------------

    def close(self, gone: Rows) -> None:
        """Remove rows (ascending, distinct) by filling their holes from the end."""
        k = gone.size
        left = self.n - k
        if left:
            holes, tails = np.empty(k, np.uint32), np.empty(k, np.uint32)
            m = pair_holes(gone, left, holes, tails)
            if m:
                holes, tails = holes[:m], tails[:m]
                copy_rows(self.raw, self.raw, self.archetype.every, tails, holes)
                self.store.entities.place(self.buffers[0], holes, self.number)
        self.n = left
        self.touch()

    def permute(self, order: Rows) -> None:
        """Row j becomes what row order[j] was."""
        n = self.n
        fresh = [self.store.pool.take(key, self.capacity) for key in self.archetype.keys]
        target = np.empty_like(self.raw)
        target[:, ADDRESS] = [address_of(buffer) for buffer in fresh]
        target[:, ROW_BYTES] = self.raw[:, ROW_BYTES]
        rows = np.arange(n, dtype=np.uint32)
        copy_rows(self.raw, target, self.archetype.every, order, rows)
        self.settle_in(fresh, self.capacity)
        self.store.entities.place(self.buffers[0], rows, self.number)

    @property
    def nbytes(self) -> int:
        """Bytes held, slack included."""
        return sum(b.nbytes for b in self.buffers)


def address_of(buffer: Array) -> int:
    """Where a column begins, 0 for one without rows. 0.3 µs; `ctypes.data` takes 0.9."""
    return addressof(c_char.from_buffer(buffer.data)) if buffer.size else 0


def move_plan(source: Archetype, target: Archetype) -> MovePlan:
    """How rows of `source` become rows of `target`, worked out once."""
    plan = source.plans.get(target.mask)
    if plan is None:
        places = [(c, target.place[key]) for key, c in source.place.items() if key in target.place]
        plan = source.plans[target.mask] = MovePlan(
            shared=np.array(places, np.int64),
            fresh=tuple(f for f in target.fields if f not in source.place),
            fresh_components=tuple(c for c in target.components if c not in source.components),
            target=target,
        )
    return plan
