"""What happens to memories, as events: what is to be remembered, and what was recalled."""

from __future__ import annotations

from populace.ecs import Entity, Text, event, f4, field, i8

from .memory import MemoryKind


@event
class Observed:
    """Somebody perceived, did or said something: it will be a memory of theirs."""

    owner: Entity = field(doc="the agent that will remember")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    text: Text = field(default="", doc="what is remembered")
    kind: MemoryKind = field(default=MemoryKind.EVENT, doc="event, thought or chat")
    importance: f4 = field(default=0.1, range=(0, 1), unit="1", doc="poignancy / 10; idle is 0.1")


@event
class Recalled:
    """A memory was recalled, or what it tells was seen again."""

    memory: Entity = field(doc="what was recalled")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
