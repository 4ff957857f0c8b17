"""What is measured of a society as time goes by, as events: `populace.systems.metrics` emits them,
`world.keep(Metric)` keeps them."""

from __future__ import annotations

from populace.ecs import Text, event, f8, field, i8


@event
class Metric:
    """What a count or a mean was at some time."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    name: Text = field(doc="of what: agents, memories, memory_strength, ...")
    value: f8 = field(doc="how many, or the mean")
