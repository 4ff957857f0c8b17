"""Reviving: memories come back from the archive as what they were.

A revived memory has the key, the text and the trace that it had, and all other components; its
entity is a new one. `Evidence` is made again where the other end is there (`archive_links`). It is
worth what it would be had it never left: so weak, as a rule, that the laws let it go again at the
next step, unless coming back counts as an access.

Invariant: a memory comes back once; as long as it is there its row in the archive does not count.
Cost: 6 µs a memory, and reading the partitions of its agent (bench `archive_revive`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Persona, Recalled
from populace.ecs import World
from populace.ecs.entities import Ids
from populace.ecs.errors import ColumnShapeError, DeadEntityError, DuplicateEntityError, QueryError
from populace.storage.archive import Archive

from .archive import AttachedArchive, attached_archive
from .archive_links import come_back, those_there
from .archive_reading import select
from .archive_rows import spawn_rows

Pairs = npt.NDArray[np.int64]


def revive(world: World, keys: Any, *, access: bool = False) -> Ids:
    """Bring memories back from the archive; return their new ids, in the order of the keys.

    keys: (k, 2), for each the number of its agent and its sequence. access: it counts as recalled
    now (`Recalled`), so that `reinforce` strengthens it at the next step.

    Raises QueryError for a memory that is not in the archive: it is there already, was forgotten,
    or never was; DeadEntityError for one whose agent has died; DuplicateEntityError for a key that
    is there twice; ColumnShapeError; SchemaError for a component that the program does not have;
    SnapshotError, KeyMismatchError, StorageError of the files. Then nothing has happened.
    """
    world.store.guard("revive")
    held, archive = attached_archive(world), world.resource(Archive)
    claim = held.claim
    asked = _pairs(keys)
    if not len(asked):
        return np.empty(0, np.uint64)
    with world.store.moment:
        rows = _rows_of(world, held, archive, asked)
        try:
            ids = spawn_rows(world, rows, archive.components)
            come_back(world, archive, rows)
        except BaseException:  # an observer's too, when its memories are there
            world.despawn(those_there(world, rows))
            raise
        archive.mark_revived(rows["file"], rows["row"])
        claim.names = frozenset(archive.kept())
    world.telemetry.count("revived", ids.size)
    if access:
        world.emit(Recalled(memory=ids, time=world.clock.now))
    return ids


def _pairs(keys: Any) -> Pairs:
    """(k, 2) i8: the keys, each once."""
    pairs = np.asarray(keys, np.int64)
    if pairs.size == 0:
        return np.empty((0, 2), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ColumnShapeError(
            f"keys of memories are pairs (number of the agent, sequence), (k, 2); got {pairs.shape}"
        )
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    if len(distinct) < len(pairs):
        agent, sequence = distinct[counts > 1][0].tolist()
        raise DuplicateEntityError(
            f"memory {sequence:,} of agent {agent} is named twice; name each once"
        )
    return pairs


def _rows_of(
    world: World, held: AttachedArchive, archive: Archive, asked: Pairs
) -> dict[str, npt.NDArray[Any]]:
    """The rows of these memories, in their order."""
    people = world.query(Persona)
    number = people.gather(Persona.number)
    here = np.isin(number, asked[:, 0])
    dead = asked[~np.isin(asked[:, 0], number[here])]
    if len(dead):
        raise DeadEntityError(
            f"agent {int(dead[0, 0])} has died, or there never was one: what the archive has of it "
            f"is history, which nobody remembers; archived(world, agents=[{int(dead[0, 0])}]) "
            f"shows it"
        )
    rows = select(
        held.partitions,
        archive,
        None,
        agents=asked[:, 0],
        entities=people.ids()[here],
        sequences=asked[:, 1],
    )
    keys = np.stack([rows["agent"], rows["sequence"]], 1).astype(np.int64)
    order = np.lexsort(keys.T[::-1])
    every = np.concatenate([keys[order], asked])
    _, first, which = np.unique(every, axis=0, return_index=True, return_inverse=True)
    at = first[which.reshape(-1)[len(keys) :]]
    lost = asked[at >= len(keys)]
    if len(lost):
        agent, sequence = lost[0].tolist()
        raise QueryError(
            f"the archive has no memory {sequence:,} of agent {agent}: it has not left, was "
            f"forgotten, or never was; archived(world, agents=[{agent}]) shows what there is"
        )
    return {name: column[order[at]] for name, column in rows.items()}
