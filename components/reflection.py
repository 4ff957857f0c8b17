"""What an agent has made of its memories, and how close it is to thinking about them again."""

from __future__ import annotations

from populace.ecs import Entity, component, field, i8, u1

LONG_AGO = -(2**62)
"""The time of what has not happened yet: before every time that a simulation has."""


@component
class Reflection:
    """On a memory: it is a thought about other memories, those that `Evidence` links it to."""

    depth: u1 = field(
        default=1, range=(1, 255), doc="one above its deepest evidence; an observation has none"
    )


@component
class Evidence:
    """A link, an entity of its own: `insight` rests on `memory`. It dies with either."""

    insight: Entity = field(index=True, on_despawn="despawn", doc="the reflection")
    memory: Entity = field(index=True, on_despawn="despawn", doc="what it rests on")


@component
class Unreflected:
    """On an agent: what it has observed since it last reflected.

    Importance is summed in whole millionths, so that the sum is the same in any order.
    """

    importance: i8 = field(default=0, range=(0, 2**62), doc="millionths, summed since then")
    since: i8 = field(default=LONG_AGO, unit="us since 1970", doc="when the agent last reflected")
    seen: i8 = field(default=LONG_AGO, unit="us since 1970", doc="the last observation counted")
