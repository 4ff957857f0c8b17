"""Events that are kept: what happened, as growing columns.

    world.keep(Contact)
    world.run(days(7), step=hours(1))
    world.journal(Contact).columns["source"]

An event lives until its readers have seen it. The journal of an event class is one more reader: it
takes up what was emitted at the end of every step, and holds it for good. It is part of the world,
so a snapshot holds it, and only what is new since the last one is written.

Invariants: rows [0, n) are in the order of emission and never change.
Cost: one copy of each event; nothing for a class that is not kept.
"""

from __future__ import annotations

import numpy as np

from .component import Schema
from .events import EventQueue
from .table import Array

SMALLEST = 1024


class Journal:
    """The kept events of one class. Made by `World.keep`."""

    def __init__(self, queue: EventQueue) -> None:
        self.schema: Schema = queue.schema
        self.reader = queue.reader()
        self.n = 0
        self._buffers: dict[str, Array] = {
            field.name: np.empty((0, *field.shape), field.dtype) for field in self.schema.fields
        }

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"<Journal of {self.schema.name}: {self.n:,} events>"

    @property
    def columns(self) -> dict[str, Array]:
        """Each field's column, (n,) or (n, width), read-only, no copy."""
        shown = {name: buffer[: self.n] for name, buffer in self._buffers.items()}
        for column in shown.values():
            column.flags.writeable = False
        return shown

    def take_up(self) -> None:
        """Append what was emitted since the last time. Amortised O(new events)."""
        if not len(self.reader):
            return
        fresh = self.reader.read()
        self.append({name: getattr(fresh, name) for name in self._buffers}, len(fresh))

    def append(self, columns: dict[str, Array], k: int) -> None:
        """Append k events, one column of the right dtype for each field."""
        end = self.n + k
        for name, buffer in self._buffers.items():
            if end > buffer.shape[0]:
                capacity = max(end, 2 * buffer.shape[0], SMALLEST)
                grown = np.empty((capacity, *buffer.shape[1:]), buffer.dtype)
                grown[: self.n] = buffer[: self.n]
                self._buffers[name] = buffer = grown
            buffer[self.n : end] = columns[name]
        self.n = end
