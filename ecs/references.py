"""The reverse of an indexed `Entity` field: for any owner, who names it.

Invariants: a member is in the bucket of exactly the owner that its field names, or in none when
that is `NOBODY`. Members are held as entity indices, so rows may move (hole-fills, added tags,
clustering) without any upkeep; spawn, despawn and `set` pay for the entities they touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .buckets import Buckets
from .entities import Ids, as_ids, index_of
from .errors import DeadEntityError
from .fields import NOBODY, Field
from .rows import Rows

if TYPE_CHECKING:
    from .store import Store


@dataclass(frozen=True, slots=True)
class Csr:
    """All owners and their members, packed: those of owners[i] are ids[offsets[i]:offsets[i + 1]].

    owners: (m,) u8, ascending by index, none empty. offsets: (m + 1,) i8. ids: (e,) u8.
    """

    owners: Ids
    offsets: npt.NDArray[np.int64]
    ids: Ids


class ReferenceIndex:
    """What `World.index(field)` returns; kept right by the engine."""

    def __init__(self, store: Store, field: Field) -> None:
        self._store = store
        self.field = field
        self.buckets = Buckets()

    def __repr__(self) -> str:
        return f"<ReferenceIndex {self.field}: {len(self.buckets):,} references>"

    def count(self, owners: Any) -> npt.NDArray[np.int64]:
        """(k,) i8: how many entities name each of `owners`. Raises DeadEntityError."""
        return self.buckets.counts(index_of(self._living(owners)))

    def counts(self) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Every owner that is named, (m,) u8 ascending by index, and how many name it, (m,) i8.

        Cost: O(largest index of an owner), whatever the number of members.
        """
        owners = self.buckets.owners()
        return self._store.entities.ids_of(owners), self.buckets.counts(owners)

    def ids(self, owner: Any) -> Ids:
        """(m,) u8: who names `owner` (one id), ascending by index. Raises DeadEntityError.

        Cost: O(m log m).
        """
        return self.of(owner).ids

    def of(self, owners: Any, sort: bool = True) -> Csr:
        """The members of the given living owners, in the order given, ascending by index inside
        each, or without `sort` in no order.

        Raises DeadEntityError. Cost: O(members), and with `sort` a sort of them.
        """
        living = self._living(owners)
        offsets, members = self.buckets.members(index_of(living), sort)
        return Csr(living, offsets, self._store.entities.ids_of(members))

    def rows_of(self, owners: Any) -> tuple[npt.NDArray[np.int64], Rows, Rows]:
        """(offsets (k + 1,) i8, table (m,) u4, row (m,) u4): where the members of the given living
        owners are, in the order given, in no order inside each.

        table: numbers in `store.tables`. Good until the next structural change. Raises
        DeadEntityError. Cost: 2 to 5 ns a member.
        """
        living = self._living(owners)
        offsets, members = self.buckets.members(index_of(living))
        return offsets, *self._store.entities.places_of(members)

    def csr(self) -> Csr:
        """Every owner with members, packed, ascending by index inside each.

        Cost: O(members), and a sort of each owner's: 8 ms for 1M of 10,000 owners.
        """
        owners, offsets, members = self.buckets.csr(sort=True)
        entities = self._store.entities
        return Csr(entities.ids_of(owners), offsets, entities.ids_of(members))

    def rows(self, owner: Any) -> list[tuple[Any, npt.NDArray[np.uint32]]]:
        """The same as rows: (table, ascending rows (k,) u4) for every table that holds some.

        Cost: O(m log m). Stale after the next structural change.
        """
        batch = self._store.locate(self.ids(owner))
        return [(group.table, group.sorted_rows()) for group in batch.groups]

    def _living(self, owners: Any) -> Ids:
        asked = as_ids(owners, "owners")
        entities = self._store.entities
        bad = entities.first_dead(asked)
        if bad >= 0:
            raise DeadEntityError(entities.obituary(int(asked[bad]), bad, asked.size))
        return asked

    # -- upkeep, by the store ------------------------------------------------------------------

    def add(self, owners: Ids, members: Ids) -> None:
        """`members` have just begun to name `owners`."""
        named = owners != NOBODY
        if not named.all():
            owners, members = owners[named], members[named]
        if owners.size:
            self.buckets.add(index_of(owners), index_of(members))

    def discard(self, owners: Ids, members: Ids) -> None:
        """`members` no longer name `owners`."""
        named = owners != NOBODY
        if not named.all():
            owners, members = owners[named], members[named]
        if owners.size:
            self.buckets.discard(index_of(owners), index_of(members))
