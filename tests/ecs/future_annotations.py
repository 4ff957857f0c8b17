"""Components whose annotations are strings, for `test_component`."""

from __future__ import annotations

from enum import IntEnum

from populace import Entity, Vector, component, f4


@component
class Plain:
    x: f4 = 1.0
    vector: Vector[3] = 0


def local_component():
    """A component made inside a function, whose annotation names another local class."""

    class State(IntEnum):
        OFF = 0
        ON = 1

    @component
    class Local:
        state: State = State.OFF
        owner: Entity = 0

    return Local, State
