"""When an agent forms its memories: a day has waking hours, and attention follows them.

Attention is the integral of a rate: 16 a µs in an agent's 16 waking hours, 1 in its 8 hours of
sleep. Over a span an agent forms exactly n memories, one in each of n equal shares of its
attention, at a random moment of the share. So which memory forms when is a function of (seed,
agent, span, n) alone: it does not depend on the length of a step, and any cutting of the span into
windows gives the same memories.

Costs: about 0.1 µs per agent and window, one pass of numpy after another; 0.2 µs per memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import days, hours, i8, random
from populace.ecs.errors import ColumnValueError

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

DAY = days(1)
AWAKE = hours(16)
AWAKE_RATE = 16
ATTENTION_A_DAY = AWAKE_RATE * AWAKE + (DAY - AWAKE)
EARLIEST_WAKING, LATEST_WAKING = hours(5.5), hours(8)
SLACK = 1e-3


def waking_times(seed: int, number: Any) -> Times:
    """(n,) i8 µs of the day at which the agents of those numbers get up: from 5:30 to 8:00."""
    spread = LATEST_WAKING - EARLIEST_WAKING
    drawn = random.uniform(seed, "attention.waking", number)
    return EARLIEST_WAKING + (drawn * spread).astype(i8)


def attention(wakes: Any, t: int) -> Times:
    """(n,) i8: attention spent since 1970 by agents that get up at `wakes`, at time t in µs."""
    day, of_day = divmod(t, DAY)
    awake = np.clip(of_day - wakes, 0, AWAKE)
    spent: Times = day * ATTENTION_A_DAY + of_day + (AWAKE_RATE - 1) * awake
    return spent


def moments(wakes: Any, spent: Any) -> Times:
    """(n,) i8 µs: the last moment at which no more attention is spent; inverts `attention`."""
    day, of_day = np.divmod(spent, ATTENTION_A_DAY)
    morning = np.minimum(of_day, wakes)
    awake = np.clip((of_day - wakes) // AWAKE_RATE, 0, AWAKE)
    evening = np.maximum(of_day - wakes - AWAKE_RATE * AWAKE, 0)
    found: Times = day * DAY + morning + awake + evening
    return found


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of simulated time in which each agent forms `memories` memories. A resource.

    start, end: µs since 1970, end excluded.

    Raises ColumnValueError for an empty span or a negative number of memories.
    """

    start: int
    end: int
    memories: int

    def __post_init__(self) -> None:
        """Check that time runs forward and that the count is one."""
        if not self.start < self.end:
            raise ColumnValueError(
                f"a span must end after it starts, got {self.start} to {self.end} µs"
            )
        if not 0 <= self.memories < 2**31:
            raise ColumnValueError(
                f"a span's memories per agent must be from 0 to 2^31 - 1, got {self.memories}"
            )


def memories_formed(
    seed: int, span: Span, number: Any, start: int, end: int
) -> tuple[Rows, Rows, Times]:
    """The memories that agents form in the window [start, end) of a span.

    number: (n,) integers, the agents' numbers. Returns (row, share, created), each (k,) i8: the
    place in `number`, which of the agent's `span.memories` it is, and µs since 1970; ordered by
    row, then by time.

    >>> span = Span(start=0, end=days(2), memories=50)
    >>> row, share, created = memories_formed(7, span, np.arange(3), 0, days(2))
    >>> np.bincount(row).tolist(), bool((np.diff(share) == 1).sum() == 147)
    ([50, 50, 50], True)
    """
    start, end = max(start, span.start), min(end, span.end)
    wakes = waking_times(seed, number)
    first = attention(wakes, span.start)
    whole = attention(wakes, span.end) - first
    lower, upper = attention(wakes, start) - first, attention(wakes, end) - first
    if span.memories == 0 or start >= end:
        return np.empty(0, i8), np.empty(0, i8), np.empty(0, i8)
    share_size = whole / span.memories
    # The candidates, with slack: rounding must not lose a share at the edge of a window.
    least = np.maximum(lower / share_size - SLACK, 0).astype(i8)
    most = np.minimum(upper / share_size + SLACK, span.memories - 1).astype(i8)
    counts = most - least + 1
    row = np.repeat(np.arange(wakes.size), counts)
    share = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts) + least[row]
    key = np.asarray(number).astype(np.uint64)[row] << np.uint64(32) | share.astype(np.uint64)
    drawn = random.uniform(seed, "attention.share", key, time=span.start)
    spent = np.minimum((share + drawn) * share_size[row], whole[row] - 1).astype(i8)
    inside = (spent >= lower[row]) & (spent < upper[row])
    row, share, spent = row[inside], share[inside], spent[inside]
    return row, share, moments(wakes[row], first[row] + spent)
