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

from .retention import DAY_S, TRACE_FIELDS, US_PER_S, Law, Retention, law_of, recall_by

BLOCK = 1024
"""Rows whose strength is worked out at a time: a block stays in the first cache."""


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

    reason: Reason
    count: i8 = field(doc="memories")


@cache
def weak_rows_by(law: Law) -> Any:
    """The kernel that finds weak memories under a law: see the function inside."""
    retrievability = recall_by(law)

    # The loop over a block has no branch, so LLVM vectorises it: 1 ns a row against 4 with the list
    # made inside. The second loop finds little, and is predicted well.
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
        why_b: Any,
        out_n: Any,
    ) -> Any:
        """out_n[:w] <- rows with strength < theta and since <= latest; out_n[w : w + o] <- the
        others with strength < theta_old and since < latest_old; return (w, o). Both ascending.

        now, since_n, latest, latest_old: i8 µs. why_b: (BLOCK,) u1 scratch. out_n: (n,) u4. O(n).
        """
        n = importance_n.size
        weak, old = 0, 0
        for start in range(0, n, BLOCK):
            end = min(start + BLOCK, n)
            # Slices: numba takes start + j for an index that may be negative, and gives up.
            importance_b, stability_b = importance_n[start:end], stability_n[start:end]
            accessed_b, accesses_b = accessed_n[start:end], accesses_n[start:end]
            created_b, since_b = created_n[start:end], since_n[start:end]
            for j in range(end - start):
                recall = retrievability(
                    stability_b[j], accessed_b[j], accesses_b[j], created_b[j], now
                )
                strength = importance_b[j] * max(recall, f4(floor))
                is_weak = (strength < theta) & (since_b[j] <= latest)
                is_old = (strength < theta_old) & (since_b[j] < latest_old)
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
    floor, now = f4(world.resource(Retention).floor), np.int64(world.clock.now)
    why = np.empty(BLOCK, np.uint8)
    found: tuple[list[Ids], list[Ids]] = ([], [])
    for memory, trace in world.query(Memory, Trace, without=Pinned):
        rows = np.empty(len(memory), np.uint32)
        weak, old = find(
            *(getattr(trace, made.name) for made in TRACE_FIELDS),
            memory.created,
            now,
            floor,
            getattr(memory if since.component is Memory else trace, since.name),
            f4(theta),
            np.int64(latest),
            f4(theta_old),
            np.int64(latest_old),
            why,
            rows,
        )
        found[0].append(memory.ids[rows[:weak]])
        found[1].append(memory.ids[rows[weak : weak + old]])
    none = np.empty(0, np.uint64)
    return np.concatenate([none, *found[0]]), np.concatenate([none, *found[1]])


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
    """Emit how many memories were forgotten for each reason for which there were any."""
    for reason, count in counts.items():
        if count:
            world.emit(Forgotten(reason=reason, count=count))
