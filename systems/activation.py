"""Retrievability by base-level activation, as ACT-R has it: frequency and age, not recency alone.

B = ln(n / (1 - d)) - d * ln(T), n accesses over the lifetime T in s (optimised learning: the
accesses are taken as spread evenly). A memory is recalled where its activation and logistic noise s
exceed a threshold; the threshold is the activation that a memory accessed once has at the age S, so

    R = 1 / (1 + exp((B(1, S) - B(n, T)) / s)) = 1 / (1 + (T / S)^(d / s) * n^(-1 / s))

and the stability S is the age at which a memory accessed once is recalled every other time.
Ages below 1 s count as 1 s. Source: Anderson & Lebiere 1998; Petrov 2006.
"""

from __future__ import annotations

from math import log
from typing import Any

from numba import njit

from populace.ecs import f4, setting, settings

from .curves import exp2_f4, log2_f4
from .retention import Law, parameterised_law


@settings
class BaseLevel:
    """The shape of base-level learning. A resource; without it the defaults hold."""

    decay: float = setting(0.5, range=(0.01, 0.99), doc="d, ACT-R's :bll")
    noise: float = setting(0.4, range=(0.05, 5), doc="s of the logistic noise, ACT-R's :ans")


def base_level(accesses: float, lifetime_s: float, decay: float = 0.5) -> float:
    """B of `accesses` spread over `lifetime_s`.

    >>> round(base_level(1, 86_400.0), 3)
    -4.99
    """
    return log(accesses / (1 - decay)) - decay * log(lifetime_s)


@parameterised_law("activation", BaseLevel)
def activation(law: BaseLevel) -> Law:
    """The law for one decay and noise."""
    age_power, access_power = f4(law.decay / law.noise), f4(1 / law.noise)

    @njit(nogil=True, error_model="numpy")
    def activation_law(elapsed: Any, age: Any, stability: Any, accesses: Any) -> Any:
        lifetime = max(age, f4(1))
        odds = age_power * log2_f4(lifetime / stability) - access_power * log2_f4(accesses)
        # Of 2^odds and 2^-odds the one below 1, so that nothing overflows.
        small = exp2_f4(-abs(odds))
        return (small if odds > f4(0) else f4(1)) / (f4(1) + small)

    made: Law = activation_law
    return made
