"""C++ loops with -ffast-math: the compiler vectorises the exponentials of the same source.

An inexact licence: divisions become multiplications by reciprocals, sums are reordered, and the
bits of a row depend on where in the loop it lies, which Populace never lets happen.
"""

from __future__ import annotations

import ctypes
from functools import partial

from ..native import CompiledPeer, Source, compiled, why_not
from ..native.entries import entries

SOURCE = Source("loops.cpp", flags=("-ffast-math",))


def library() -> ctypes.CDLL:
    """The loops, compiled for speed."""
    return compiled(SOURCE)


PEER = CompiledPeer(
    "C++ loops, -ffast-math",
    "",
    workloads=entries(library, "sweep_decay", "decay_w6"),
    largest=10_000_000,
    absent=partial(why_not, lambda: SOURCE, ""),
)
