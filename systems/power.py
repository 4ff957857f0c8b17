"""Retrievability by a power of time, as FSRS has it: steep at first, with a long tail.

R = (1 + F * t / S)^(-D), F = 0.9^(-1 / D) - 1, so that R(S) = 0.9: the stability is the time after
which a memory is recalled nine times out of ten. Source: the FSRS scheduler, version 6.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from populace.ecs import f4, setting, settings

from .curves import exp2_f4, log2_f4
from .retention import Law, parameterised_law


@settings
class Power:
    """The shape of the power law. A resource; without it the default holds."""

    decay: float = setting(0.1542, range=(0.01, 2), doc="D, the exponent")


@parameterised_law("power", Power)
def power(law: Power) -> Law:
    """The law for one exponent."""
    decay, factor = f4(law.decay), f4(0.9 ** (-1 / law.decay) - 1)

    @njit(nogil=True, error_model="numpy")
    def power_law(elapsed: Any, age: Any, stability: Any, accesses: Any) -> Any:
        return exp2_f4(-decay * log2_f4(f4(1) + factor * (elapsed / stability)))

    made: Law = power_law
    return made
