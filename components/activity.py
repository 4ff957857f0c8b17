"""What an agent is doing, and until when: a finite-state machine in columns.

State changes at `until` only, so finding those whose time has come reads 8 bytes an agent.
"""

from __future__ import annotations

from populace.ecs import Entity, component, event, field, i8, u1


@component
class Activity:
    """What an agent is doing. Codes are those of the world's `StateMachine`.

    It belongs to an agent with a `Persona`, whose number keys its draws.
    """

    state: u1 = field(doc="code of the state, a place in StateMachine.states")
    since: i8 = field(unit="us since 1970", doc="when the state was entered, in simulated time")
    until: i8 = field(unit="us since 1970", doc="when it ends, in simulated time")
    profile: u1 = field(default=0, doc="whose day it is, a place in StateMachine.profiles")


@event
class ActivityChanged:
    """An agent passed from one state to another. They come in the order of (time, number)."""

    agent: Entity = field(doc="whose activity it is")
    before: u1 = field(doc="code of the state that ended")
    after: u1 = field(doc="code of the state that began")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
