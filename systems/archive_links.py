"""`Evidence` between memories of which one is away: kept, and tied again when both are back.

A link dies with either end. So a memory takes its links with it when it leaves, as the sequences of
the other ends, which are of the same owner: (owner, insight, memory). When it comes back, those
whose other end is there are made again; the others wait in `Archive.links` until both are.

Links between memories of different owners, which no law makes, end when one of them leaves.
Cost: as many links as those memories have; coming back, a sort of their owners' memories.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Evidence, Memory
from populace.ecs import World
from populace.ecs.entities import Ids
from populace.storage.archive import Archive

from .archive_rows import LINKS, Rows
from .columns import columns

Array = npt.NDArray[Any]
Links = npt.NDArray[np.uint64]
"""(l, 3): entity of the owner, sequence of the insight, sequence of the memory that it rests on."""

BOTH = slice(0, 2), slice(0, 3, 2)
"""In a link the columns that name the insight, and those that name the memory."""


def links_of(world: World, ids: Ids) -> Links:
    """The links that memories have, each once."""
    ends = [world.index(end).of(ids).ids for end in (Evidence.insight, Evidence.memory)]
    edges = np.unique(np.concatenate(ends))
    insight, memory = columns(world, edges, Evidence.insight, Evidence.memory)
    owner, sequence = columns(world, insight, Memory.owner, Memory.sequence)
    other, basis = columns(world, memory, Memory.owner, Memory.sequence)
    links = np.stack([owner, sequence, basis], 1).astype(np.uint64)
    return np.unique(links[owner == other], axis=0)


def told(links: Links, rows: Rows) -> dict[str, Array]:
    """The columns "rests_on" and "evidence_for" of rows."""
    mine = np.stack([rows["agent_entity"], rows["sequence"]], 1).astype(np.uint64)
    return {
        name: _joined(_places(mine, links[:, own]), links[:, 2 - place], len(mine))
        for place, (name, own) in enumerate(zip(LINKS, BOTH, strict=True))
    }


def read(rows: Rows) -> Links:
    """The links that rows tell of. Each once."""
    found = [np.empty((0, 3), np.uint64)]
    for place, name in enumerate(LINKS):
        having = np.flatnonzero(rows[name] != "")
        others = [
            np.array([int(each) for each in text.split(", ")], np.uint64)
            for text in rows[name][having]
        ]
        mine = np.repeat(having, [other.size for other in others])
        ends = [rows["sequence"][mine], np.concatenate([np.empty(0, np.uint64), *others])]
        owner = rows["agent_entity"][mine]
        found.append(np.stack([owner, *(ends[::-1] if place else ends)], 1).astype(np.uint64))
    return np.unique(np.concatenate(found), axis=0)


def come_back(world: World, archive: Archive, rows: Rows) -> None:
    """Make the links of memories that are there again, where both ends are; let the others wait."""
    mine = np.stack([rows["agent_entity"], rows["sequence"]], 1).astype(np.uint64)
    concerned = _concerning(archive.links, mine)
    links = np.unique(np.concatenate([read(rows), archive.links[concerned]]), axis=0)
    held, there = _in_tables(world, rows)
    insight, memory = (_places(there, links[:, end]) for end in BOTH)
    both = (insight >= 0) & (memory >= 0)
    if both.any():
        world.spawn(Evidence(insight=held[insight[both]], memory=held[memory[both]]))
    archive.links = np.concatenate([archive.links[~concerned], links[~both]])


def those_there(world: World, rows: Rows) -> Ids:
    """The memories of these rows that are in the tables: ids."""
    held, there = _in_tables(world, rows)
    mine = np.stack([rows["agent_entity"], rows["sequence"]], 1).astype(np.uint64)
    at = _places(there, mine)
    found: Ids = held[at[at >= 0]]
    return found


def _in_tables(world: World, rows: Rows) -> tuple[Ids, Links]:
    """All memories of the rows' agents: ids, and (k, 2) owner and sequence."""
    held = world.index(Memory.owner).of(np.unique(rows["agent_entity"])).ids
    owner, sequence = columns(world, held, Memory.owner, Memory.sequence)
    return held, np.stack([owner, sequence], 1).astype(np.uint64)


def _concerning(links: Links, memories: Links) -> npt.NDArray[np.bool_]:
    """(l,) bool: which links have one of the memories, (k, 2) owner and sequence, as an end."""
    found = np.zeros(len(links), np.bool_)
    for end in BOTH:
        found |= _places(memories, links[:, end]) >= 0
    return found


def _places(among: Links, wanted: Links) -> npt.NDArray[np.int64]:
    """(k,) i8: where each wanted pair is among pairs, which are distinct; -1 where it is not."""
    if not len(among):
        return np.full(len(wanted), -1)
    owners = np.unique(among[:, 0])
    keys, asked = (
        np.searchsorted(owners, pairs[:, 0]).astype(np.uint64) << np.uint64(32) | pairs[:, 1]
        for pairs in (among, wanted)
    )
    order = np.argsort(keys)
    at = order[np.searchsorted(keys, asked, sorter=order).clip(max=len(among) - 1)]
    return np.where((among[at] == wanted).all(axis=1), at, -1)


def _joined(row: Array, sequence: Array, n: int) -> Array:
    """(n,) str: for each row the sequences that go with it, ascending, joined; -1 is no row."""
    found = np.full(n, "", object)
    order = np.lexsort((sequence, row))
    order = order[row[order] >= 0]
    row, sequence = row[order], sequence[order]
    first = np.flatnonzero(np.append(True, row[1:] != row[:-1])[: row.size])
    for place, some in zip(row[first], np.split(sequence, first[1:]), strict=False):
        found[place] = ", ".join(map(str, some.tolist()))
    return found
