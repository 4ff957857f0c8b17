"""What else a despawn brings with it, by the `on_despawn` rules of the indexed references.

"despawn": whoever names a dead entity dies too, and so on. "forbid": refused while a survivor
names one. "null": survivors' references become `NOBODY`. Worked out in full before anything
changes. Cost: one look-up a despawned entity and index, then what is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .entities import Ids, index_of
from .errors import ReferencedEntityError
from .fields import Field
from .jit import jit

if TYPE_CHECKING:
    from .batch import Batch
    from .store import Store


def closure(store: Store, batch: Batch, doing: str) -> tuple[Batch, list[tuple[Field, Ids]]]:
    """(the batch with all that cascades from it, (field, ids whose reference becomes NOBODY)).

    Raises ReferencedEntityError.
    """
    indices = [index for index in store.indices.values() if len(index.buckets)]
    if not indices:
        return batch, []
    cascading = [index for index in indices if index.field.on_despawn == "despawn"]
    others = [index for index in indices if index.field.on_despawn != "despawn"]
    seen = np.zeros(store.entities.n_slots, np.bool_)
    frontier = index_of(batch.ids)
    seen[frontier] = True
    dying = [frontier]
    while frontier.size:
        followers = [index.buckets.members(frontier, sort=False)[1] for index in cascading]
        found = np.concatenate([np.empty(0, np.uint32), *followers])
        frontier = np.sort(found[: _keep_new(found, seen)])  # buckets keep no order
        dying.append(frontier)
    ended = np.concatenate(dying)
    cleared: list[tuple[Field, Ids]] = []
    for index in others:
        offsets, members = index.buckets.members(ended, sort=False)
        survives = ~seen[members]
        if not survives.any():
            continue
        if index.field.on_despawn == "forbid":
            place = int(np.argmax(survives))
            owner = ended[[np.searchsorted(offsets, place, side="right") - 1]]
            who = [int(store.entities.ids_of(i)[0]) for i in (owner, members[[place]])]
            raise ReferencedEntityError(
                f"{doing}: entity {who[0]} is still named by {index.field} of entity {who[1]} "
                f"({int(survives.sum()):,} such references); despawn those first or set the field "
                f"to NOBODY"
            )
        cleared.append((index.field, store.entities.ids_of(members[survives])))
    if ended.size == batch.n:
        return batch, cleared
    return store.locate(store.entities.ids_of(ended)), cleared


@jit
def _keep_new(index_k: Any, seen_n: Any) -> int:
    """Move the indices not seen before, each once, to the front of index_k and note them as seen.
    Returns how many they are."""
    kept = 0
    for j in range(index_k.size):
        index = index_k[j]
        if not seen_n[index]:
            seen_n[index] = True
            index_k[kept] = index
            kept += 1
    return kept
