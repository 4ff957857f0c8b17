"""What else a despawn brings with it, by the `on_despawn` rules of the indexed references.

"despawn": whoever names a dead entity dies too, and so on. "forbid": refused while a survivor
names one. "null": survivors' references become `NOBODY`. Worked out in full before anything
changes. Cost: one look-up a despawned entity and index, then what is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .entities import Ids, index_of
from .errors import ReferencedEntityError
from .fields import Field

if TYPE_CHECKING:
    from .store import Batch, Store


def closure(store: Store, batch: Batch, doing: str) -> tuple[Batch, list[tuple[Field, Ids]]]:
    """(the batch with all that cascades from it, (field, ids whose reference becomes NOBODY)).

    Raises ReferencedEntityError.
    """
    indices = [index for index in store.indices.values() if len(index.buckets)]
    if not indices:
        return batch, []
    cascading = [index for index in indices if index.field.on_despawn == "despawn"]
    others = [index for index in indices if index.field.on_despawn != "despawn"]
    dying = frontier = batch.ids
    grown = False
    while frontier.size:
        owners = index_of(frontier)
        followers = [index.buckets.members(owners, sort=False)[1] for index in cascading]
        found = store.entities.ids_of(np.concatenate([np.empty(0, np.uint32), *followers]))
        if not found.size:
            break
        frontier = np.setdiff1d(found, dying)
        if frontier.size:
            grown = True
            dying = np.concatenate([dying, frontier])
    cleared: list[tuple[Field, Ids]] = []
    for index in others:
        offsets, members = index.buckets.members(index_of(dying), sort=False)
        if not members.size:
            continue
        named = store.entities.ids_of(members)
        survives = ~np.isin(named, dying)
        if index.field.on_despawn == "forbid" and survives.any():
            place = int(np.flatnonzero(survives)[0])
            owner = int(dying[np.searchsorted(offsets, place, side="right") - 1])
            raise ReferencedEntityError(
                f"{doing}: entity {owner} is still named by {index.field} of entity "
                f"{int(named[place])} ({int(survives.sum()):,} such references); despawn those "
                f"first or set the field to NOBODY"
            )
        if survives.any():
            cleared.append((index.field, named[survives]))
    return (store.locate(dying) if grown else batch), cleared
