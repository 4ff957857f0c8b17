"""What memories are worth: strength = importance * max(R, floor), by the law of retention in force.

Invariants: strength is a function of `Memory.created`, `Trace` and the clock, bit for bit: not of
when it was last swept, of its row, of threads, nor of the wall clock. `Strength` is a cache of it,
which `refresh_strength` fills; `strengths_of` works it out for some memories, at any time.
Cost: a sweep reads and writes 20 bytes a row (exponential and power law) or 32 (activation).
Exponential law 0.5 ns a row in cache, 0.6 from memory, little more than moving the bytes takes;
power law 1.0, activation 2.2 (bench `sweep_decay`). On two threads, from `World.parallel_rows` rows
on, memory is the limit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Memory, Strength, Trace
from populace.ecs import Clock, World, column_sweep, f4, jit
from populace.ecs.sweep import SCRATCH

from .retention import Law, Retention, law_of

BLOCK = SCRATCH
"""Rows that are worked on at a time: what is kept of a block between two loops stays in cache."""

TRACE_FIELDS = (Trace.importance, Trace.stability, Trace.accessed, Trace.accesses)


# Two loops, since a loop that turns i8 into f4 is vectorised at the width of the i8, which halves
# the speed of all the rest of it: 0.51 ns a row in one loop, 0.34 in two. Rejected: fastmath saves
# 0.1 ns, but divides by reciprocals in the vectorised body of a loop and not in its remainder, so a
# strength would depend on its row; 1 / stability as a column saves nothing; libm's exp2 takes 1.8
# ns; times in f4 cannot hold a date; stores past the cache gain nothing.
@cache
def block_by(law: Law) -> Any:
    """A law over one block, for kernels: out_b <- the strengths of at most BLOCK memories.

    (importance_b, stability_b, accessed_b, accesses_b, created_b, now, floor, elapsed_b, out_b);
    elapsed_b: (BLOCK,) f4 scratch. The arrays are slices of the columns: numba takes an index
    start + j for one that may be negative, and does not vectorise.
    """

    @njit(nogil=True, error_model="numpy")
    def strengths_of_block(
        importance_b: Any,
        stability_b: Any,
        accessed_b: Any,
        accesses_b: Any,
        created_b: Any,
        now: Any,
        floor: Any,
        elapsed_b: Any,
        out_b: Any,
    ) -> None:
        # The i8 differences are exact; in f4 their relative error is 6e-8, whatever the date.
        for j in range(accessed_b.size):
            elapsed_b[j] = f4(max(now - accessed_b[j], 0))
        for j in range(accessed_b.size):
            age = f4(max(now - created_b[j], 0)) * f4(1e-6)
            recall = law(elapsed_b[j] * f4(1e-6), age, stability_b[j], f4(accesses_b[j]))
            out_b[j] = importance_b[j] * max(recall, f4(floor))

    return strengths_of_block


@cache
def strengths_by(law: Law) -> Any:
    """The kernel that works out strengths under a law: see the function inside."""
    strengths_of_block = block_by(law)

    @jit
    def strengths(
        importance_n: Any,
        stability_n: Any,
        accessed_n: Any,
        accesses_n: Any,
        created_n: Any,
        now: Any,
        floor: Any,
        elapsed_b: Any,
        out_n: Any,
    ) -> None:
        """out_n <- the strength of each memory at `now`. O(n), one pass.

        importance_n, stability_n (s), out_n: (n,) f4. accessed_n, created_n: (n,) i8 µs.
        accesses_n: (n,) u4. now: i8 µs. elapsed_b: (BLOCK,) f4 scratch.
        """
        for start in range(0, out_n.size, BLOCK):
            end = min(start + BLOCK, out_n.size)
            strengths_of_block(
                importance_n[start:end],
                stability_n[start:end],
                accessed_n[start:end],
                accesses_n[start:end],
                created_n[start:end],
                now,
                floor,
                elapsed_b,
                out_n[start:end],
            )

    return strengths


def scratch() -> npt.NDArray[np.float32]:
    """The scratch of one call of a kernel."""
    return np.empty(BLOCK, np.float32)


def strengths_of(world: World, ids: Any, now: int | None = None) -> npt.NDArray[np.float32]:
    """(k,) f4: what these memories are worth now, or at `now` in simulated µs.

    It does not depend on when they were last swept. Raises DeadEntityError, ComponentMissingError.
    """
    strengths = strengths_by(law_of(world))
    floor = f4(world.resource(Retention).floor)
    moment = np.int64(world.clock.now if now is None else now)
    parts = world.at(ids)
    found = np.empty(sum(map(len, parts)), np.float32)
    for part in parts:
        out = np.empty(len(part), np.float32)
        columns = (part.read(made)[part.rows] for made in (*TRACE_FIELDS, Memory.created))
        strengths(*columns, moment, floor, scratch(), out)
        found[part.at] = out
    return found


def _law(world: World) -> tuple[Any, tuple[Any, ...]]:
    """Fill `Strength` for now, by the law in force."""
    floor = f4(world.resource(Retention).floor)
    return strengths_by(law_of(world)), (np.int64(world.clock.now), floor)


refresh_strength = column_sweep(
    "refresh_strength", (*TRACE_FIELDS, Memory.created), Strength.value, (Clock, Retention), _law
)
