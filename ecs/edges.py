"""Upsert and ensure: from a batch of (source, target) pairs to edges, each made at most once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .bundle import count_rows, read_bundle, with_required
from .component import schema
from .entities import INDEX_BITS, INDEX_MASK, Ids
from .errors import MissingFieldError, QueryError
from .fields import Field

if TYPE_CHECKING:
    from .batch import Values
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
        index = world.pairs(self.cls)
        self.unique = index.schema.unique
        bundle = read_bundle((pair, *values), doing)
        others = [c.__name__ for c in bundle if schema(c).unique and c is not self.cls]
        if others:
            raise QueryError(
                f"{doing} makes {self.cls.__name__} edges; {others[0]} has a unique pair of its "
                f"own and is an edge apart"
            )
        absent = [f.name for f in self.unique if f.name not in bundle[self.cls]]
        if absent:
            raise MissingFieldError(
                f"{doing} needs both ends of {self.cls.__name__}; give {absent[0]}"
            )
        self.k = count_rows(None, bundle)
        whole = with_required(bundle, doing)
        self.components = tuple(whole)
        self.values = self.store.prepare(whole, self.k, "pair")
        self.given = [
            f for f in self.values if f.name in bundle.get(f.component, {}) and f not in self.unique
        ]
        self.known, self.new = index.table.claim(index.keys_of(self.values, self.k))

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
        rows = np.flatnonzero(self.known)
        if not self.given or not rows.size:
            return
        # Sorted by edge, then row: the end of each run is an edge and its last row.
        key = (self.known[rows] << INDEX_BITS) | rows.astype(np.uint64)
        key.sort()
        last = np.append(key[1:] >> INDEX_BITS != key[:-1] >> INDEX_BITS, True)
        picked = (key[last] & INDEX_MASK).astype(np.intp)
        batch = self.store.locate(self.known[picked])
        self.store.refuse_missing(batch, {f.component for f in self.given}, self.doing)
        self.store.refuse_lasting(self.given, self.doing)
        self.store.set_values(batch, self._picked(self.given, picked))

    def finish(self, rows: npt.NDArray[np.intp], first: npt.NDArray[np.intp]) -> Made:
        """Spawn the new pairs from these rows; `first` are those of their first appearance."""
        ids, created = self.known, np.zeros(self.k, np.bool_)
        if rows.size:
            created[first] = True
            values = self._picked(self.values, rows)
            born = self.store.commit(self.store.stage(self.components, values, rows.size, self.cls))
            absent = self.new >= 0
            ids[absent] = born[self.new[absent]]
        return ids, created

    def _picked(self, fields: Iterable[Field], rows: npt.NDArray[np.intp]) -> Values:
        return {
            f: self.values[f] if self.values[f].shape == f.shape else self.values[f][rows]
            for f in fields
        }
