"""How well a memory holds. State changes at an access only; between accesses see
`populace.systems.retention`.

What a memory is worth *now* is a function of `Trace` and the clock, cached in `Strength`.
"""

from __future__ import annotations

from populace.ecs import component, f4, field, i8, u4

LONGEST_HALF_LIFE_S = 1e9
"""About 32 years: longer than any law lets a memory's stability grow."""


@component
class Strength:
    """Importance times retrievability at the last sweep; a cache, filled by a system."""

    value: f4 = field(derived=True, unit="1", doc="importance times retrievability")


@component(requires=Strength)
class Trace:
    """What a memory was worth when it was last accessed, and when that was."""

    importance: f4 = field(range=(0, 1), unit="1", doc="poignancy / 10")
    stability: f4 = field(range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="half-life of recall")
    accessed: i8 = field(unit="us since 1970", doc="last access, in simulated time")
    accesses: u4 = field(default=1, range=(1, 2**32 - 1), doc="accesses, its forming counted")
    evidence: u4 = field(default=1, range=(1, 2**32 - 1), doc="observations that it stands for")


@component
class Retentiveness:
    """An agent's own half-life of new memories; without it the world's `Retention` holds."""

    half_life: f4 = field(range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of a new memory")


@component
class Capacity:
    """An agent's own capacity; without it the world's `Room` holds."""

    memories: u4 = field(range=(1, 2**32 - 1), doc="memories that it can hold")
