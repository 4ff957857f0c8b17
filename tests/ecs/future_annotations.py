"""Components and settings whose annotations are strings, for `test_component`, `test_settings`."""

from __future__ import annotations

from enum import Enum, IntEnum

from populace import Entity, Vector, component, f4
from populace.ecs import setting, settings


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


class Pace(Enum):
    SLOW = 1
    FAST = 2


@settings
class Law:
    pace: Pace = setting(Pace.SLOW, doc="of walking")
    share: float = setting(0.5, range=(0, 1), doc="of those who walk")
    steps: int = setting(2, doc="at a time")


def local_settings():
    """Settings made inside a function, whose annotation names a local enum."""

    class Stride(Enum):
        SLOW = 1
        FAST = 2

    @settings
    class Local:
        pace: Stride = setting(Stride.SLOW, doc="of walking")

    return Local, Stride
