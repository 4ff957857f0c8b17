"""Which rows changed: exact by value, bit for bit, at the cost of the chunks that were opened.

A tracked component has two hidden columns beside its own: a shadow of each persisted field as it
was when last looked at, and the tick at which the row last differed. Handing out a writable column
opens the whole table, `set` opens the chunks of its rows (65,536 each); opened chunks are compared
with their shadow when somebody asks, at every mark, and before rows move. So a raw numpy write
cannot be missed, a write of the same value is no change, and a component that nobody tracks pays
nothing.

Cost: memory once more for the tracked fields and 4 bytes a row; a comparison reads the opened
chunks twice; asking reads the ticks of the chunks that changed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .component import schema
from .errors import CapacityError, UntrackedError
from .rows import Rows, stamp_changes
from .table import CHUNK, Hidden, Table

if TYPE_CHECKING:
    from .store import Store


class Changes:
    """The change ticks of one store. `tick` stamps what changes from now on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tick = 1
        self.tracked: tuple[type, ...] = ()
        self._newest: dict[tuple[int, type], tuple[int, npt.NDArray[np.uint32]]] = {}

    def track(self, component: type) -> None:
        """Begin to track a component; rows that exist count as changed now."""
        if component in self.tracked:
            return
        schema(component)
        tracked = (*self.tracked, component)
        pool, widened = self.store.pool, []
        for archetype in self.store.archetypes:
            if component in archetype.components:
                table = archetype.table
                held = dict(zip(archetype.keys, table.buffers, strict=True))
                keys = archetype.keys_with(tracked)
                buffers = [
                    held[key] if key in held else pool.take(key, table.capacity) for key in keys
                ]
                widened.append((archetype, buffers))
        self.tracked = tracked
        for archetype in self.store.archetypes:
            archetype.plans.clear()
        for archetype, buffers in widened:
            table = archetype.table
            self.settle(table)
            table.touch()
            archetype.track(tracked)
            table.adopt(archetype, buffers, table.capacity)
            self.fresh(table, 0, table.n, (component,))

    def fresh(self, table: Table, begin: int, end: int, components: tuple[type, ...]) -> None:
        """Rows [begin, end) have just been given these components."""
        place, buffers = table.archetype.place, table.buffers
        for component in table.archetype.tracked:
            if component not in components:
                continue
            buffers[place[Hidden("tick", component)]][begin:end] = self.tick
            for field in schema(component).persisted:
                shadow = buffers[place[Hidden("shadow", field)]]
                shadow[begin:end] = buffers[place[field]][begin:end]

    def opened(self, table: Table, component: type, rows: Rows | None) -> None:
        """Rows of a component (None: all) have been written by the engine itself."""
        table.open(component, rows is None)
        if rows is None or component not in table.archetype.tracked:
            return
        n_chunks = -(-table.capacity // CHUNK)
        flags = table.dirty.get(component)
        if flags is None or flags.size < n_chunks:
            grown = np.zeros(n_chunks, np.bool_)
            if flags is not None:
                grown[: flags.size] = flags
            flags = table.dirty[component] = grown
        flags[rows // CHUNK] = True

    def settle(self, table: Table) -> None:
        """Compare the opened chunks of a table with their shadows and stamp what differs."""
        handed = table.handed
        if handed is None or not table.n:
            return
        table.unshow()
        place = table.archetype.place
        for component in table.archetype.tracked:
            fields = schema(component).persisted
            places = [place[f] for f in fields]
            out = [p for p in places if handed[p]]
            dirty = table.dirty.pop(component, None)
            if not out and dirty is None:
                continue
            for p in out:
                handed[p] = table.exported(p)
            columns = table.raw[places]
            shadows = table.raw[[place[Hidden("shadow", f)] for f in fields]]
            ticks = table.buffers[place[Hidden("tick", component)]]
            n_chunks = -(-table.n // CHUNK)
            chunks = range(n_chunks) if out or dirty is None else np.flatnonzero(dirty[:n_chunks])
            version, newest = self._newest.get((table.number, component), (-1, ticks))
            for chunk in chunks:
                begin, end = int(chunk) * CHUNK, min((int(chunk) + 1) * CHUNK, table.n)
                changed = stamp_changes(columns, shadows, ticks, begin, end, self.tick)
                if changed and version == table.version:
                    newest[chunk] = self.tick

    def mark(self) -> int:
        """The present, as a tick: what changes after this call is stamped later than it."""
        for table in self.store.tables:
            self.settle(table)
        now = self.tick
        if now == 2**32 - 1:
            raise CapacityError("2^32 - 1 change ticks have been used; save and load the world")
        self.tick += 1
        return now

    def since(self, tick: int, component: type) -> npt.NDArray[np.uint64]:
        """Ids whose component changed after `tick`, ascending."""
        if component not in self.tracked:
            raise UntrackedError(
                f"{schema(component).name} is not tracked; call "
                f"world.track({schema(component).name}) before the changes you want to see"
            )
        found = [np.empty(0, np.uint64)]
        for archetype in self.store.archetypes:
            table = archetype.table
            if component not in archetype.tracked or not table.n:
                continue
            self.settle(table)
            ticks = table.column(Hidden("tick", component))
            for chunk in np.flatnonzero(self._chunk_ticks(table, component, ticks) > tick):
                rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
                found.append(table.buffers[0][: table.n][rows][ticks[rows] > tick])
        return np.sort(np.concatenate(found))

    def _chunk_ticks(self, table: Table, component: type, ticks: Rows) -> npt.NDArray[np.uint32]:
        """The newest tick of every chunk; worked out anew after a structural change."""
        known = self._newest.get((table.number, component))
        if known is None or known[0] != table.version:
            newest = np.maximum.reduceat(ticks, np.arange(0, table.n, CHUNK))
            known = self._newest[table.number, component] = (table.version, newest)
        return known[1]
