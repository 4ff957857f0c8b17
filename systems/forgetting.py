"""Forgetting: strength decays between accesses, and what has grown too weak is pruned.

R = 2^(-(t - t0) / S), strength = I * max(R, floor): t0 the last access, S the half-life then, I the
importance. (Ebbinghaus 1885; MemoryBank, arXiv 2305.10250, with its sign mended.) A memory is
forgotten where strength < theta, its age >= grace and it is not `Pinned`.

Invariants: strength is a function of `Trace` and the clock, bit for bit: not of when it was last
swept, of its row, of threads, nor of the wall clock; with no access in between it only falls, so
pruning every hour or once a month leaves the same memories, unless a step is shorter than about
1e-6 half-lives (f4 rounding).
Cost: 0.52 ns per row in cache, 1.1 from memory (20 bytes a row), half on two threads from 1M rows;
finding what to forget 0.18 ns.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numba import njit

from populace.components import LONGEST_HALF_LIFE_S, Memory, Pinned, Strength, Trace
from populace.ecs import (
    Clock,
    Commands,
    Emit,
    Id,
    Read,
    Res,
    Without,
    Write,
    event,
    f4,
    i4,
    i8,
    kernel,
    system,
)
from populace.ecs.errors import ColumnValueError

DAY_S = 86_400.0
US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The settings of forgetting. A resource.

    half_life: s, the stability of a new memory. theta: strength below which a memory is forgotten.
    grace: s, the age before which none is. floor: the least that retrievability falls to; 0.3 keeps
    old but important memories.

    Raises ColumnValueError for a value that the law does not allow.

    >>> Forgetting(half_life=7 * 86_400.0).theta
    0.05
    """

    half_life: float = 3 * DAY_S
    theta: float = 0.05
    grace: float = DAY_S
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check every setting against what the law allows."""
        for name, low, high, unit in (
            ("half_life", 1.0, LONGEST_HALF_LIFE_S, " s"),
            ("theta", 0.0, 1.0, ""),
            ("grace", 0.0, 2.0**43, " s"),
            ("floor", 0.0, 1.0, ""),
        ):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not isfinite(value) or not low <= value <= high:
                raise ColumnValueError(
                    f"Forgetting.{name} must be a number from {low:g} to {high:g}{unit}, "
                    f"got {value!r}"
                )


class Reason(enum.IntEnum):
    """Why memories were forgotten."""

    WEAK = 0
    """Their strength fell below theta."""


@event
class Forgotten:
    """So many memories were forgotten at once, for one reason."""

    reason: Reason
    count: i8


# 2^r = 1 + r * (C1 + r * (C2 + ...)) on [-0.5, 0.5]: relative error 9.2e-8, exact at 0.
C1, C2, C3, C4, C5 = (
    f4(value)
    for value in (0.6931470036506653, 0.24022242426872253, 0.05550733581185341,
                  0.009671512991189957, 0.001326472731307149)
)  # fmt: skip


# 0.52 ns a row. Rejected: fastmath saves 0.1 ns, but divides by reciprocals in the vectorised body
# of the loop and not in its remainder, so a strength would depend on its row; 1 / stability as a
# column saves 0.07 ns in cache and nothing from memory; libm's exp2 takes 1.8 ns; times in f4
# 0.2 ns, but they cannot hold a date.
@njit(nogil=True, error_model="numpy")
def strength_at(importance: Any, stability: Any, accessed: Any, now: Any, floor: Any) -> Any:
    """importance * max(2^(-(now - accessed) / stability), floor), f4.

    importance: f4. stability: f4 s, > 0. accessed, now: i8 µs. A memory accessed after `now` counts
    as accessed now; R below 2^-126 is that.
    """
    # The i8 difference is exact; in f4 its relative error is 6e-8, whatever the date.
    x = f4(now - accessed) * f4(-1e-6) / stability
    x = min(max(x, f4(-126)), f4(0))
    whole = i4(x - f4(0.5))
    r = x - f4(whole)
    power = f4(1) + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * C5))))
    recall = power * i4((whole + i4(127)) << i4(23)).view(np.float32)  # the bits of 2^whole
    return importance * max(recall, f4(floor))


# Rejected: a branchless row list takes 0.5 ns a row always; this 0.17 to 0.21 while fewer than 1 in
# 200 rows go, as they do from sweep to sweep, and 4 when half of them go, once.
@njit(cache=True, nogil=True)
def rows_to_forget(strength_n: Any, created_n: Any, theta: Any, latest: Any, out_n: Any) -> int:
    """out_n[:k] <- the rows with strength < theta and created <= latest, ascending; return k.

    strength_n: (n,) f4. created_n: (n,) i8 µs. latest: i8 µs. out_n: (n,) i8. O(n), one pass.
    """
    k = 0
    for i in range(strength_n.size):
        if strength_n[i] < theta and created_n[i] <= latest:
            out_n[k] = i
            k += 1
    return k


@kernel(phase="update")
def refresh_strength(
    trace: Read[Trace], strength: Write[Strength], clock: Res[Clock], law: Res[Forgetting]
) -> None:
    """Fill `Strength` for now."""
    strength.value = strength_at(
        trace.importance, trace.stability, trace.accessed, clock.now, law.floor
    )


@system(phase="last")
def forget(
    strength: Read[Strength],
    memory: Read[Memory],
    ids: Id,
    pinned: Without[Pinned],
    clock: Res[Clock],
    law: Res[Forgetting],
    commands: Commands,
    forgotten: Emit[Forgotten],
) -> None:
    """Despawn what has grown too weak, in one batch. Runs after `refresh_strength`."""
    rows = np.empty(ids.size, np.int64)
    latest = np.int64(clock.now - round(law.grace * US_PER_S))
    count = rows_to_forget(strength.value, memory.created, f4(law.theta), latest, rows)
    if count:
        commands.despawn(ids[rows[:count]])
        forgotten(Forgotten(reason=Reason.WEAK, count=count))
