"""Upsert and ensure: from a batch of (source, target) pairs to edges, each made at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .bundle import Bundle, count_rows, read_bundle, with_required
from .component import schema
from .entities import INDEX_BITS, INDEX_MASK, Ids
from .errors import MissingFieldError
from .fields import Field

if TYPE_CHECKING:
    from .store import Values
    from .world import World

Made = tuple[Ids, npt.NDArray[np.bool_]]


def ensure(world: World, pair: Any, values: tuple[Any, ...]) -> Made:
    """See `World.ensure`."""
    with world.store.checking():
        batch = _EdgeBatch(world, pair, values, "ensure")
    first = batch.first_new()
    return batch.finish(first, first)


def upsert(world: World, pair: Any, values: tuple[Any, ...]) -> Made:
    """See `World.upsert`."""
    with world.store.checking():
        batch = _EdgeBatch(world, pair, values, "upsert")
        batch.update_known()
    return batch.finish(batch.last_new(), batch.first_new())


class _EdgeBatch:
    """k pairs, looked up: `known` (k,) u8 has their edges or 0, `new` (k,) i8 numbers the absent
    ones in the order of first appearance, -1 elsewhere."""

    def __init__(self, world: World, pair: Any, values: tuple[Any, ...], doing: str) -> None:
        self.store, self.doing = world.store, doing
        self.cls = type(pair)
        unique = world.pairs(self.cls).schema.unique
        self.bundle = read_bundle((pair, *values), doing)
        absent = [f.name for f in unique if f.name not in self.bundle[self.cls]]
        if absent:
            raise MissingFieldError(
                f"{doing} needs both ends of {self.cls.__name__}; give {absent[0]}"
            )
        self.k = count_rows(None, self.bundle)
        with_required(self.bundle, doing)
        self.values: Values = self.store.prepare(self.bundle, self.k, "pair", defaults=False)
        source, target = (np.array(np.broadcast_to(self.values[f], self.k)) for f in unique)
        index = self.store.pairs[self.cls]
        self.known, self.new = index.table.claim(index.keys(source, target))

    def first_new(self) -> npt.NDArray[np.intp]:
        """The row of each new pair's first appearance."""
        rows = np.flatnonzero(self.new >= 0)[::-1]
        first = np.empty(self._n_new(), np.intp)
        first[self.new[rows]] = rows  # the last assignment, the first row, stays
        return first

    def last_new(self) -> npt.NDArray[np.intp]:
        """The row of each new pair's last appearance."""
        rows = np.flatnonzero(self.new >= 0)
        last = np.empty(self._n_new(), np.intp)
        last[self.new[rows]] = rows
        return last

    def _n_new(self) -> int:
        return int(self.new.max()) + 1 if self.new.size else 0

    def update_known(self) -> None:
        """Set the values on the edges that exist; the last row of a repeated pair counts."""
        unique = schema(self.cls).unique
        fields = [f for f in self.values if f not in unique]
        rows = np.flatnonzero(self.known)
        if not fields or not rows.size:
            return
        # Sorted by edge, then row: the end of each run is an edge and its last row.
        key = (self.known[rows] << INDEX_BITS) | rows.astype(np.uint64)
        key.sort()
        last = np.append(key[1:] >> INDEX_BITS != key[:-1] >> INDEX_BITS, True)
        picked = (key[last] & INDEX_MASK).astype(np.intp)
        batch = self.store.locate(self.known[picked])
        self.store.set(batch, self._bundle(fields, picked), self.doing)

    def finish(self, rows: npt.NDArray[np.intp], first: npt.NDArray[np.intp]) -> Made:
        """Spawn the new pairs from these rows; `first` are those of their first appearance."""
        ids, created = self.known, np.zeros(self.k, np.bool_)
        if rows.size:
            created[first] = True
            bundle = {cls: dict[str, Any]() for cls in self.bundle}
            bundle.update(self._bundle(list(self.values), rows))
            born = self.store.spawn(bundle, rows.size, self.doing, new_pairs=self.cls)
            absent = self.new >= 0
            ids[absent] = born[self.new[absent]]
        return ids, created

    def _bundle(self, fields: list[Field], rows: npt.NDArray[np.intp]) -> Bundle:
        bundle: Bundle = {}
        for field in fields:
            value = self.values[field]
            given = bundle.setdefault(field.component, {})
            given[field.name] = value if value.shape == field.shape else value[rows]
        return bundle
