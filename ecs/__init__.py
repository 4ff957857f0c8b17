"""The archetype entity-component-system: knows no component and no file format."""

from .access import AnyOf, Emit, Events, Id, Read, Res, ResMut, Rows, With, Without, Write
from .bundle import Template
from .clock import Clock, days, hours, minutes, ms, seconds, us
from .commands import Commands, Pending
from .component import Schema, component, event, schema
from .events import EventReader
from .fields import (
    NOBODY,
    Entity,
    Field,
    Text,
    Vector,
    b1,
    f2,
    f4,
    f8,
    field,
    i1,
    i2,
    i4,
    i8,
    u1,
    u2,
    u4,
    u8,
)
from .jit import jit
from .kernel import kernel
from .observers import Observer
from .pairs import PairIndex
from .places import Places
from .query import Query, Selection
from .random import Rng
from .references import Csr, ReferenceIndex
from .settings import setting, settings
from .sweep import ColumnSweep, column_sweep
from .system import System, system
from .telemetry import SystemStats, Telemetry
from .text import TextPool
from .world import World

__all__ = [
    "NOBODY", "AnyOf", "Clock", "ColumnSweep", "Commands", "Csr", "Emit", "Entity",
    "EventReader", "Events", "Field", "Id", "Observer", "PairIndex", "Pending", "Places",
    "Query", "Read", "ReferenceIndex", "Res", "ResMut", "Rng", "Rows", "Schema", "Selection",
    "System", "SystemStats", "Telemetry", "Template", "Text", "TextPool", "Vector", "With",
    "Without", "World", "Write", "b1", "column_sweep", "component", "days", "event", "f2", "f4",
    "f8", "field", "hours", "i1", "i2", "i4", "i8", "jit", "kernel", "minutes", "ms", "schema",
    "seconds", "setting", "settings", "system", "u1", "u2", "u4", "u8", "us",
]  # fmt: skip
