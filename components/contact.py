"""Who met whom: the events that ties, energy, emotion, knowledge and memories follow from."""

from __future__ import annotations

from populace.ecs import NOBODY, Entity, Text, b1, event, f4, field, i8


@event
class Contact:
    """One agent turned to another: a talk, a message, a call. Simultaneous ones count in the order
    of emission."""

    source: Entity = field(doc="who turned to the other")
    target: Entity = field(doc="to whom")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    weight: f4 = field(default=1.0, range=(0, 1e6), unit="1", doc="how much it counts for the tie")
    outcome: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="how it went; 0 is neutral")
    mutual: b1 = field(default=False, doc="strengthens the target's tie to the source too")
    place: Text = field(default="", doc="where")


@event
class Met:
    """A contact as the ties took it up: what it looks like to everything that follows from it.

    A tie that does not exist is `NOBODY`, with strength 0. Strengths are those just after it.
    """

    source: Entity = field(doc="who turned to the other")
    target: Entity = field(doc="to whom")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    outcome: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="how it went")
    place: Text = field(default="", doc="where")
    tie: Entity = field(default=NOBODY, doc="the source's tie to the target")
    returned: Entity = field(default=NOBODY, doc="the target's tie to the source")
    strength: f4 = field(default=0.0, range=(0, 1), unit="1", doc="of the source's tie")
    returned_strength: f4 = field(default=0.0, range=(0, 1), unit="1", doc="of the target's tie")
