"""C++ loops: what a programmer writes by hand, without a library, over vectors of columns.

Compiled with -O3 -march=native and nothing that loosens the arithmetic, so the exponentials of the
decays are calls of libm, one row at a time; `native_fast_peer` is what -ffast-math makes of them.
There are no ids, no checks of who is there and no growth: less than what Populace keeps.
"""

from __future__ import annotations

import ctypes
from functools import partial

from ..native import CompiledPeer, Source, compiled, why_not
from ..native.entries import entries

SOURCE = Source("loops.cpp")


def library() -> ctypes.CDLL:
    """The loops, compiled."""
    return compiled(SOURCE)


PEER = CompiledPeer(
    "C++ loops",
    "",
    workloads=entries(
        library, "iter_2c", "spawn_4c", "sweep_decay", "decay_w6", "prune_owners", "edges_update"
    ),
    largest=10_000_000,
    absent=partial(why_not, lambda: SOURCE, ""),
)
