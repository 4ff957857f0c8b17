"""Pruning: forgetting what has grown too weak, and what is too weak for its age.

A memory is forgotten where

    strength < theta      and age >= grace      (WEAK)
    strength < theta_old  and age >  old_age    (OLD)

and never where it is `Pinned`. `capacity` forgets what finds no room.

Invariants: strength is worked out here, for now, so that nothing depends on when `Strength` was
swept. Between accesses it only falls, so WEAK and OLD leave the same memories whether applied every
hour or once a month (unless a step is shorter than about 1e-6 half-lives: f4 rounding).
Cost: reads 28 bytes a row, once for both rules.
Source: the forgetting rules of agent memories (MemoryBank, arXiv 2305.10250).
"""

from __future__ import annotations

import enum
from functools import cache
from typing import Any

import numpy as np

from populace.components import Memory, Pinned, Trace
from populace.ecs import Res, World, event, f4, field, i8, jit, setting, settings, system, u1
from populace.ecs.entities import Ids
from populace.ecs.sweep import by_rows
from populace.ecs.table import Table

from .retention import DAY_S, US_PER_S, Law, Retention, law_of
from .strength import BLOCK, TRACE_FIELDS, block_by


@settings
class Pruning:
    """When memories are forgotten. A resource."""

    theta: float = setting(0.05, range=(0, 1), doc="strength below which one is forgotten")
    grace: float = setting(DAY_S, range=(0, 2**43), unit="s", doc="age before which it is not")
    theta_old: float = setting(0.1, range=(0, 1), doc="the same for an old one")
    old_age: float = setting(
        30 * DAY_S, range=(0, 2**43), unit="s", doc="age beyond which a memory is old"
    )


class Reason(enum.IntEnum):
    """Why memories left the world."""

    WEAK = 0
    """Their strength fell below theta."""
    OLD = 1
    """They were old, and below theta_old."""
    CROWDED = 2
    """Their owner held too many."""


@event
class Forgotten:
    """So many memories were forgotten at once, for one reason."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    reason: Reason = field(doc="why")
    count: i8 = field(doc="memories")


@cache
def weak_rows_by(law: Law) -> Any:
    """The kernel that finds weak memories under a law: see the function inside."""
    strengths_of_block = block_by(law)

    # Three loops over a block: strengths, reasons without a branch, and the list, which in most
    # blocks stays empty: 1.1 ns a row, against 4 with the list made in the first loop.
    @jit
    def weak_rows(
        importance_n: Any,
        stability_n: Any,
        accessed_n: Any,
        accesses_n: Any,
        created_n: Any,
        now: Any,
        floor: Any,
        since_n: Any,
        theta: Any,
        latest: Any,
        theta_old: Any,
        latest_old: Any,
        scratch_2b: Any,
        why_b: Any,
        out_n: Any,
    ) -> Any:
        """out_n[:w] <- rows with strength < theta and since <= latest; out_n[w : w + o] <- the
        others with strength < theta_old and since < latest_old; return (w, o). Both ascending.

        now, since_n, latest, latest_old: i8 µs. scratch_2b: (2, BLOCK) f4. why_b: (BLOCK,) u1.
        out_n: (n,) u4. O(n).
        """
        n = importance_n.size
        weak, old = 0, 0
        strength_b = scratch_2b[1]
        for start in range(0, n, BLOCK):
            end = min(start + BLOCK, n)
            strengths_of_block(
                importance_n[start:end],
                stability_n[start:end],
                accessed_n[start:end],
                accesses_n[start:end],
                created_n[start:end],
                now,
                floor,
                scratch_2b[0],
                strength_b,
            )
            since_b = since_n[start:end]
            for j in range(end - start):
                is_weak = (strength_b[j] < theta) & (since_b[j] <= latest)
                is_old = (strength_b[j] < theta_old) & (since_b[j] < latest_old)
                why_b[j] = u1(is_weak) | u1(is_old) << u1(1)
            for j in range(end - start):
                if why_b[j] & 1:
                    out_n[weak] = start + j
                    weak += 1
                elif why_b[j]:
                    old += 1
                    out_n[n - old] = start + j
        for k in range(old // 2):
            first, last = n - old + k, n - 1 - k
            out_n[first], out_n[last] = out_n[last], out_n[first]
        for k in range(old):
            out_n[weak + k] = out_n[n - old + k]
        return weak, old

    return weak_rows


def weak_memories(
    world: World,
    since: Any,
    theta: float,
    latest: int,
    theta_old: float = 0.0,
    latest_old: int = 0,
) -> tuple[Ids, Ids]:
    """Memories, not pinned, with strength < theta and since <= latest; and of the others those with
    strength < theta_old and since < latest_old. Both (k,) u8.

    since: a field of `Memory` or `Trace`, i8 µs. latest, latest_old: µs.
    """
    find = weak_rows_by(law_of(world))
    moments = np.int64(world.clock.now), f4(world.resource(Retention).floor)
    limits = f4(theta), np.int64(latest), f4(theta_old), np.int64(latest_old)
    read = (*TRACE_FIELDS, Memory.created, since)

    def look(table: Table, low: int, high: int) -> tuple[Ids, Ids]:
        *columns, since_n = (table.column(made)[low:high] for made in read)
        both, why = np.empty((2, BLOCK), np.float32), np.empty(BLOCK, np.uint8)
        rows = np.empty(high - low, np.uint32)
        weak, old = find(*columns, *moments, since_n, *limits, both, why, rows)
        ids = table.ids[low:high]
        return ids[rows[:weak]], ids[rows[weak : weak + old]]

    tables = world.query(Memory, Trace, without=Pinned).tables()
    nobody = np.empty(0, np.uint64)
    weak, old = zip((nobody, nobody), *by_rows(world, tables, look), strict=True)
    return np.concatenate(weak), np.concatenate(old)


@system(phase="last")
def forget(world: World, pruning: Res[Pruning]) -> None:
    """Despawn what has grown too weak, or too weak for its age."""
    now = world.clock.now
    weak, old = weak_memories(
        world,
        Memory.created,
        pruning.theta,
        now - round(pruning.grace * US_PER_S),
        pruning.theta_old,
        now - round(pruning.old_age * US_PER_S),
    )
    if weak.size + old.size:
        world.despawn(np.concatenate([weak, old]))
    tell(world, {Reason.WEAK: weak.size, Reason.OLD: old.size})


def tell(world: World, counts: dict[Reason, int]) -> None:
    """Emit, and count, how many memories were forgotten for each reason that there was."""
    for reason, count in counts.items():
        if count:
            world.telemetry.count(f"forgotten, {reason.name.lower()}", count)
            world.emit(Forgotten(time=world.clock.now, reason=reason, count=count))
