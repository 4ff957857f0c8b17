"""A hash of everything that a snapshot would hold, in an order that depends on nothing else.

Equal worlds have equal digests, whatever their row order, threads, capacity or the components that
somebody merely asked about.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .component import schema

if TYPE_CHECKING:
    from .world import World


class _Hash:
    """SHA-256 over parts that cannot run into each other."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    def add_all(self, part: Any) -> None:
        """Add a value of a resource: what it holds, in an order that depends on nothing else.

        Fields that a dataclass does not compare are no part of what it is.
        """
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            self.add(_name(type(part)))
            self.add_all({f.name: getattr(part, f.name) for f in _telling(part)})
        elif isinstance(part, Mapping):
            self.add(f"{len(part)} pairs")
            for key, value in part.items():
                self.add_all(key)
                self.add_all(value)
        elif isinstance(part, (set, frozenset)):
            self.add(f"{len(part)} members")
            for digest in sorted(_digest_of(member) for member in part):
                self.add(digest)
        elif isinstance(part, (list, tuple)):
            self.add(f"{type(part).__name__} of {len(part)}")
            for value in part:
                self.add_all(value)
        else:
            self.add(part)

    def add(self, part: Any) -> None:
        """Add a string, an array, or anything whose repr is its value."""
        if isinstance(part, np.ndarray):
            self.add(f"{part.dtype.str} {part.shape}")
            data = np.ascontiguousarray(part).tobytes()
        else:
            data = (part if isinstance(part, str) else repr(part)).encode("utf-8", "surrogatepass")
        self._total.update(len(data).to_bytes(8, "little"))
        self._total.update(data)

    def hex(self) -> str:
        return self._total.hexdigest()


def digest(world: World) -> str:
    """See `World.digest`."""
    total, store = _Hash(), world.store
    slots = store.entities.slots[: store.entities.n_slots]
    total.add(slots[:, 0] >> np.uint64(32))
    total.add(slots[:, 1] == 0xFFFF_FFFF)
    for component in sorted(store.numbers, key=_name):
        query = world.query(with_=component)
        ids = query.ids()
        if not ids.size:
            continue
        order = np.argsort(ids)
        total.add(_name(component))
        total.add(ids[order])
        for field in schema(component).persisted:
            total.add(field.name)
            total.add(query.gather(field)[order])
    for text in store.text.strings:
        total.add(text)
    if store.text.n_free:
        total.add(store.text.free)
    for resource in sorted(world.resources, key=lambda r: _name(type(r))):
        total.add(_name(type(resource)))
        for part in _telling(resource):
            total.add(part.name)
            total.add_all(getattr(resource, part.name))
    for cls in sorted(world.event_queues.held, key=_name):
        queue = world.event_queues.held[cls]
        for first, n, columns in queue.batches:
            total.add(f"{_name(cls)} {first} {n}")
            for column in columns.values():
                total.add(column)
    total.add(world.seed)
    return total.hex()


def _digest_of(part: Any) -> str:
    alone = _Hash()
    alone.add_all(part)
    return alone.hex()


def _telling(instance: Any) -> list[dataclasses.Field[Any]]:
    """The fields that make a value what it is: without those that are `field(compare=False)`."""
    return [part for part in dataclasses.fields(instance) if part.compare]


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
