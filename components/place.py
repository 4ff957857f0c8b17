"""Places, who frequents them, and where an agent is: the data of a daily round."""

from __future__ import annotations

from populace.ecs import NOBODY, Entity, Text, component, f4, field


@component
class Place:
    """Somewhere to be: a home, a college, a café. Who goes there finds a spot within its radius."""

    name: Text = field(doc='as in "at Hobbs Cafe"')
    kind: Text = field(default="", doc="what it is: home, college, cafe")
    x: f4 = field(unit="m", doc="of its middle, along the world's width")
    y: f4 = field(unit="m", doc="of its middle, along the world's height")
    radius: f4 = field(default=5.0, range=(0, 1e6), unit="m", doc="how far it reaches")


@component
class Whereabouts:
    """The place at which an agent is, or to which it is on its way.

    Not indexed, since it changes several times a day: where a place has ended, its id is stale.
    """

    place: Entity = field(default=NOBODY, doc="the place, or NOBODY")


@component(requires=Whereabouts)
class Haunts:
    """The places where an agent spends its days; one that ends is forgotten."""

    home: Entity = field(default=NOBODY, index=True, on_despawn="null", doc="where it lives")
    work: Entity = field(default=NOBODY, index=True, on_despawn="null", doc="where it works")
    leisure: Entity = field(
        default=NOBODY, index=True, on_despawn="null", doc="where it goes when it is free"
    )
