"""What one agent is to another: a directed tie, one for each ordered pair of agents.

A tie is an entity of its own, so any component can be given to it (kinship, a debt). State changes
at a contact only; what a tie is worth *now* is a function of `TieState` and the clock, cached in
`TieStrength`. The law is `populace.systems.ties`.

>>> from populace.ecs import World
>>> world = World()
>>> ann, bo = world.spawn(2)
>>> ties, created = world.ensure(Tie(source=[ann, ann], target=[bo, bo]))
>>> created.tolist(), world.get(ties, TieState.contacts).tolist()
([True, False], [0, 0])
"""

from __future__ import annotations

from populace.ecs import Entity, component, event, f4, field, i8, u4

HEAVIEST = 2.0**100
"""The most that a tie's weight may be: far from overflow, further from any history of contacts."""


@component
class TieStrength:
    """The strength of a tie at the last sweep; a cache, filled by a system."""

    value: f4 = field(derived=True, unit="1", doc="weight / (weight + saturation), in [0, 1]")


@component(requires=TieStrength)
class TieState:
    """What a tie was worth at its last contact, and when that was."""

    weight: f4 = field(
        default=0.0, range=(0, HEAVIEST), unit="1", doc="contacts, each decayed to `last`"
    )
    valence: f4 = field(
        default=0.0, range=(-1, 1), unit="1", doc="moving average of how contacts went"
    )
    last: i8 = field(default=0, unit="us since 1970", doc="latest contact, in simulated time")
    contacts: u4 = field(default=0, doc="contacts so far")


@component(requires=TieState, unique=("source", "target"))
class Tie:
    """Who is tied to whom. It ends with either of them, and there is one for each ordered pair."""

    source: Entity = field(index=True, on_despawn="despawn", doc="whose tie it is")
    target: Entity = field(index=True, on_despawn="despawn", doc="to whom")


@event
class TiesEnded:
    """So many ties were swept away at once, for they were over."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    count: i8 = field(doc="ties")
