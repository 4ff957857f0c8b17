"""Reinforcement: a memory that is recalled, or seen again, holds longer from then on.

At each recall, at its own time t,

    S <- min(S * (1 + gain * (1 - R(t))), longest),  t0 <- t,  n <- n + 1

so a recall of a nearly forgotten memory adds most (the spacing effect), and one of a fresh memory
nothing. R is that of the law in force, before the recall. A stability that is longer already stays.
News that are older than the last access count as happening at it.

Invariants: recalls are taken in the order of their times, so batches do not matter; later decay
reads only what is written here.
Cost: a sort of the batch, and about 30 ns a recall.
Source: the spacing effect as FSRS has it; MemoryBank (arXiv 2305.10250) for t0 and n.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from populace.components import LONGEST_HALF_LIFE_S, Memory, Recalled, Trace
from populace.ecs import Events, Res, World, f4, jit, setting, settings, system, u4
from populace.ecs.events import picked

from .retention import DAY_S, Law, law_of, recall_by

MOST_ACCESSES = u4(2**32 - 1)


@settings
class Reinforcement:
    """What a recall adds. A resource."""

    gain: float = setting(1.0, range=(0, 100), doc="g: growth of stability at full spacing")
    longest: float = setting(
        365 * DAY_S, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="most that it grows to"
    )


@cache
def reinforce_by(law: Law) -> Any:
    """The kernel that applies recalls under a law: see the function inside."""
    retrievability = recall_by(law)

    @jit
    def reinforce_rows(
        row_e: Any,
        time_e: Any,
        gain: Any,
        longest: Any,
        created_n: Any,
        stability_n: Any,
        accessed_n: Any,
        accesses_n: Any,
    ) -> None:
        """Recall the memory in row_e[e] at time_e[e], one after the other. O(e).

        row_e: (e,) u4, may repeat. time_e: (e,) i8 µs, ascending for each row. longest: s.
        """
        for e in range(row_e.size):
            i = row_e[e]
            now = max(time_e[e], accessed_n[i])
            recall = retrievability(stability_n[i], accessed_n[i], accesses_n[i], created_n[i], now)
            grown = stability_n[i] * (f4(1) + f4(gain) * (f4(1) - recall))
            stability_n[i] = max(stability_n[i], min(grown, f4(longest)))
            accessed_n[i] = now
            accesses_n[i] += u4(accesses_n[i] < MOST_ACCESSES)

    return reinforce_rows


@system
def reinforce(world: World, recalled: Events[Recalled], law: Res[Reinforcement]) -> None:
    """Strengthen the memories that were recalled since the last time and are still there."""
    alive = world.alive(recalled.memory)
    living = recalled.memory[alive]
    alive[alive] = world.has(living, Memory) & world.has(living, Trace)
    if not alive.all():
        recalled = picked(recalled, alive)
    order = np.argsort(recalled.time, kind="stable")
    apply = reinforce_by(law_of(world))
    for part in world.at(recalled.memory[order]):
        apply(
            part.rows,
            recalled.time[order][part.at],
            f4(law.gain),
            f4(law.longest),
            part.read(Memory.created),
            part.write(Trace.stability),
            part.write(Trace.accessed),
            part.write(Trace.accesses),
        )
