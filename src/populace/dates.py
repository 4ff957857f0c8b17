"""Simulated times as people read them."""

from __future__ import annotations

from datetime import timedelta

from .source import EPOCH


def date(us: int) -> str:
    """A simulated time as text, to the minute.

    >>> date(1_676_246_400_000_000)
    '2023-02-13 00:00'
    """
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M")
