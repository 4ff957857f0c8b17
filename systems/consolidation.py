"""Consolidation: near-duplicate memories of one owner and kind become one.

Like are memories of equal text, and, where there are embeddings, those whose cosine is at least
tau. The strongest memory takes in every one that is like it, then the strongest of those left
(`duplicates`), so all memories are compared, never only the nearest few. What stays of a group is
its strongest member with

    importance = 1 - prod(1 - I)    accesses, evidence = their sums    stability = the longest
    created = the earliest          accessed = the latest              pinned if any of them was

The stability is the longest because what one member has earned by being recalled is not lost by
meeting a copy. Text and sequence are its own. `Evidence` that names another member names it from
then on, and it is as deep a `Reflection` as the deepest; other references to merged memories
follow their own `on_despawn`.

Invariants: after a run no two memories of one owner and kind are alike, and a second run changes
nothing; so memories that have been compared (`Reviewed`) are compared with new ones only, to the
same effect, and an agent without new memories costs nothing. A memory that gets its embedding after
it was compared is not compared again, unless its owner's `Reviewed` is removed.
Cost: 35 ns a memory of agents with new ones, 1 µs a memory merged; by embeddings 13 to 20 ns a pair
of 256 dimensions.
Source: the merging of near-duplicates in cognee (from 0.85), Graphiti (0.9) and mem0 (0.95).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from populace.components import Memory, Pinned, Stream, Trace
from populace.components.consolidation import TEXT_ALONE, Reviewed
from populace.components.reflection import Evidence, Reflection
from populace.ecs import (
    Entity,
    Field,
    Res,
    World,
    days,
    event,
    f4,
    field,
    i8,
    jit,
    setting,
    settings,
    system,
    u4,
)
from populace.ecs.entities import Ids
from populace.ecs.errors import QueryError
from populace.ecs.system import System

from .columns import columns
from .duplicates import groups, lead_by_text, lead_by_vector, rank, unit_vectors
from .shares import batches, side_by_side
from .strength import strengths_of

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

MOST = i8(2**32 - 1)
MOST_AT_ONCE = 2**20
"""Memories that are copied together; 2^24 / d where they have embeddings."""


@settings
class Consolidation:
    """What counts as the same. A resource."""

    tau: float = setting(0.92, range=(0.01, 1), doc="least cosine of memories that are merged")


@event
class Merged:
    """A memory was merged into another."""

    kept: Entity = field(doc="the memory that stands for both")
    gone: Entity = field(doc="the other one, which is dead when this is read")


@event
class Consolidated:
    """So many memories were merged into others at once."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    count: i8 = field(doc="memories that are no more")


def consolidation(vector: Field | None = None) -> System:
    """The system that merges near-duplicates, once a day unless registered otherwise.

    vector: field of embeddings, such as `Embedding.vector` (f4, f2 or i1); memories without one are
    compared by text. Without a field all are.

    Raises QueryError for a field that is no vector.
    """
    if vector is not None and (not isinstance(vector, Field) or vector.kind != "vector"):
        raise QueryError(f"consolidation(vector=...) takes a Vector field, got {vector!r}")

    @system(name="consolidate", phase="last", every=days(1))
    def consolidate(world: World, law: Res[Consolidation]) -> None:
        """Merge the near-duplicates among the memories of all agents that have new ones."""
        threshold = TEXT_ALONE if vector is None else law.tau
        due, since, formed = to_review(world, threshold)
        index = world.index(Memory.owner)
        held = index.count(due)

        def groups_of(share: slice) -> tuple[Ids, Places]:
            its = index.of(due[share])
            if vector is None:
                return same_text(world, its.ids, its.offsets)
            return alike(world, its.ids, its.offsets, since[share], vector, threshold)

        count = 0
        most = MOST_AT_ONCE if vector is None else max(2**24 // vector.width, 1)
        for shares in batches(world, held, most):
            count += merge(world, *joined(side_by_side(world, groups_of, shares)))
        new = ~world.has(due, Reviewed)
        for mask, change in ((new, world.add), (~new, world.set)):
            change(due[mask], Reviewed(formed=formed[mask], threshold=threshold))
        if count:
            world.emit(Consolidated(time=world.clock.now, count=count))

    return cast(System, consolidate)


# -- who is alike --------------------------------------------------------------------------------


def to_review(world: World, threshold: float) -> tuple[Ids, Array, Array]:
    """Agents with memories not compared yet, how many of their stream are, and how many will be.

    Of an agent whose memories were compared less closely than by `threshold`, none is.
    """
    due, since, formed = [np.empty(0, np.uint64)], [np.empty(0, u4)], [np.empty(0, u4)]
    for stream, reviewed in world.query(Stream, optional=Reviewed):
        known = np.zeros(len(stream), u4)
        if reviewed is not None:
            closely = reviewed.threshold <= f4(threshold)
            known[closely] = reviewed.formed[closely]
        new = stream.formed > known
        due.append(stream.ids[new])
        since.append(known[new])
        formed.append(stream.formed[new])
    return np.concatenate(due), np.concatenate(since), np.concatenate(formed)


def same_text(world: World, ids: Ids, offsets: Places) -> tuple[Ids, Places]:
    """(members, offsets): groups of memories of one kind and text, the strongest first.

    ids, offsets: the memories of each of some owners.
    """
    kind, text = columns(world, ids, Memory.kind, Memory.text)
    lead = np.empty(ids.size, np.int64)
    lead_by_text(offsets, kind, text, np.empty(2 << longest(offsets).bit_length(), np.int64), lead)
    member, offsets = grouped(lead)
    ids = ids[member]
    accessed, sequence = columns(world, ids, Trace.accessed, Memory.sequence)
    order = np.arange(ids.size)
    rank(offsets, strengths_of(world, ids), accessed, sequence, order)
    return ids[order], offsets


def alike(
    world: World, ids: Ids, offsets: Places, since: Array, vector: Field, tau: float
) -> tuple[Ids, Places]:
    """The same by embeddings, and by text; memories numbered below `since` of their owner, (o,),
    are known to be unlike each other."""
    kind, text, sequence, accessed = columns(
        world, ids, Memory.kind, Memory.text, Memory.sequence, Trace.accessed
    )
    owner = np.repeat(np.arange(since.size), np.diff(offsets))
    item = np.lexsort((kind, owner))
    first = np.ones(ids.size, np.bool_)
    first[1:] = (np.diff(owner) != 0) | (np.diff(kind[item].astype(np.int64)) != 0)
    segments = np.append(np.flatnonzero(first), ids.size)
    strength = strengths_of(world, ids)
    rank(segments, strength, accessed, sequence, item)
    unit = np.full((ids.size, vector.width), np.nan, f4)
    has = world.has(ids, vector.component)
    unit[has] = world.get(ids[has], vector)
    unit_vectors(unit, unit)
    lead = np.empty(ids.size, np.int64)
    lead_by_vector(segments, item, sequence >= since[owner], text, unit, f4(tau), lead)
    member, offsets = grouped(lead)
    rank(offsets, strength, accessed, sequence, member)
    return ids[member], offsets


def grouped(lead: Places) -> tuple[Places, Places]:
    """(members, offsets) of the groups of two items or more that have the same leader."""
    offsets, member = np.empty(lead.size + 1, np.int64), np.empty(lead.size, np.int64)
    n_groups = groups(lead, np.empty(lead.size, np.int64), offsets, member)
    return member[: offsets[n_groups]], offsets[: n_groups + 1]


def joined(found: Iterable[tuple[Ids, Places]]) -> tuple[Ids, Places]:
    """The groups of several shares as those of one."""
    members, offsets = zip(*found, strict=True)
    sizes = np.concatenate([np.diff(its) for its in offsets])
    return np.concatenate(members), np.append(0, np.cumsum(sizes))


def longest(offsets: Places) -> int:
    """The size of the largest segment."""
    return int(np.diff(offsets).max(initial=0))


# -- making them one -----------------------------------------------------------------------------


@jit
def fuse(
    offsets_g: Any,
    importance_m: Any,
    stability_m: Any,
    accessed_m: Any,
    accesses_m: Any,
    evidence_m: Any,
    created_m: Any,
    importance_g: Any,
    stability_g: Any,
    accessed_g: Any,
    accesses_g: Any,
    evidence_g: Any,
    created_g: Any,
) -> None:
    """What is left of each group of memories, (g,), from what its members were, (m,). O(m)."""
    for g in range(offsets_g.size - 1):
        first = offsets_g[g]
        missing, accesses, evidence = np.float64(1), np.int64(0), np.int64(0)
        stability, accessed, created = stability_m[first], accessed_m[first], created_m[first]
        for m in range(first, offsets_g[g + 1]):
            missing *= 1 - np.float64(importance_m[m])
            stability = max(stability, stability_m[m])
            accessed = max(accessed, accessed_m[m])
            accesses = min(accesses + np.int64(accesses_m[m]), MOST)
            evidence = min(evidence + np.int64(evidence_m[m]), MOST)
            created = min(created, created_m[m])
        importance_g[g] = 1 - missing
        stability_g[g] = stability
        accessed_g[g] = accessed
        accesses_g[g] = accesses
        evidence_g[g] = evidence
        created_g[g] = created


FUSED = (Trace.importance, Trace.stability, Trace.accessed, Trace.accesses, Trace.evidence,
         Memory.created)  # fmt: skip


def merge(world: World, ids: Ids, offsets: Places) -> int:
    """Merge groups of memories into the first of each. Returns how many are gone.

    ids: (m,) u8, distinct. offsets: (g + 1,) i8, of groups of two or more. Emits `Merged`.
    """
    if not ids.size:
        return 0
    first, sizes = offsets[:-1], np.diff(offsets)
    kept = ids[first]
    fused = [np.empty(kept.size, made.dtype) for made in FUSED]
    fuse(offsets, *columns(world, ids, *FUSED), *fused)
    importance, stability, accessed, accesses, evidence, created = fused
    world.set(
        kept,
        Trace(
            importance=importance,
            stability=stability,
            accessed=accessed,
            accesses=accesses,
            evidence=evidence,
        ),
        Memory(created=created),
    )
    pinned = np.logical_or.reduceat(world.has(ids, Pinned), first)
    world.add(kept[pinned & ~world.has(kept, Pinned)], Pinned)
    _deepen(world, ids, first, kept)
    others = np.ones(ids.size, np.bool_)
    others[first] = False
    gone, into = ids[others], np.repeat(kept, sizes)[others]
    _redirect(world, gone, into)
    world.emit(Merged(kept=into, gone=gone))
    world.despawn(gone)
    return int(gone.size)


def _deepen(world: World, ids: Ids, first: Places, kept: Ids) -> None:
    """Make each kept memory as deep a reflection as the deepest of its group."""
    has = world.has(ids, Reflection)
    if not has.any():
        return
    depth = np.zeros(ids.size, np.uint8)
    depth[has] = world.get(ids[has], Reflection.depth)
    deepest, had = np.maximum.reduceat(depth, first), has[first]
    world.set(kept[had], Reflection(depth=deepest[had]))
    new = ~had & (deepest > 0)
    world.add(kept[new], Reflection(depth=deepest[new]))


def _redirect(world: World, gone: Ids, into: Ids) -> None:
    """Let the links of merged memories name what they were merged into, each pair once."""
    changed = []
    for end in (Evidence.insight, Evidence.memory):
        named = world.index(end).of(gone)
        world.set(named.ids, Evidence(**{end.name: np.repeat(into, np.diff(named.offsets))}))
        changed.append(named.ids)
    touched = np.unique(world.get(np.concatenate(changed), Evidence.insight))
    links = world.index(Evidence.insight).of(touched).ids
    insight, memory = world.get(links, Evidence.insight), world.get(links, Evidence.memory)
    order = np.lexsort((links, memory, insight))
    again = np.zeros(links.size, np.bool_)
    again[1:] = (np.diff(insight[order]) == 0) & (np.diff(memory[order]) == 0)
    world.despawn(links[order][again | (insight == memory)[order]])


consolidate = consolidation()
