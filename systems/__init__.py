"""What happens: one file per law, its kernel beside it. Laws depend on simulated time alone."""

from . import activation, exponential, power  # noqa: F401  # laws make themselves known
from .attention import (
    AWAKE,
    DAY,
    Span,
    attention,
    memories_formed,
    moments,
    waking_times,
)
from .forgetting import (
    Forgetting,
    Forgotten,
    Reason,
    forget,
    refresh_strength,
    rows_to_forget,
    strength_at,
)

__all__ = [
    "AWAKE",
    "DAY",
    "Forgetting",
    "Forgotten",
    "Reason",
    "Span",
    "attention",
    "forget",
    "memories_formed",
    "moments",
    "refresh_strength",
    "rows_to_forget",
    "strength_at",
    "waking_times",
]
