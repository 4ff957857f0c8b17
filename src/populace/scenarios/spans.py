"""Spans of time as people write them: 90s, 30m, 12h, 7d."""

from __future__ import annotations

import math
from decimal import Decimal

SECONDS_OF = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""Seconds in each unit, the longest first."""


def span_in(text: str, unit: str = "s") -> float:
    """A span such as 90s, 30m, 12h or 7d, as a number of a unit of `SECONDS_OF`.

    The float nearest to what is written. Raises ValueError for anything else.

    >>> span_in("7d"), span_in("12h", "d")
    (604800.0, 0.5)
    """
    try:
        number = float(Decimal(text[:-1]) * SECONDS_OF[text[-1:]] / SECONDS_OF[unit])
    except (ArithmeticError, ValueError, KeyError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"must be a span of time, as 90s, 30m, 12h or 7d, got {text!r}")
    return number


def shown_span(seconds: float) -> str:
    """The shortest way to write a span of time that says exactly this.

    >>> shown_span(604_800.0), shown_span(5_400.0), shown_span(0.5)
    ('7d', '90m', '0.5s')
    """
    for unit, length in SECONDS_OF.items():
        if seconds and not seconds % length:
            return f"{int(seconds) // length}{unit}"
    return f"{seconds:g}s" if float(f"{seconds:g}") == seconds else f"{seconds!r}s"
