"""Populace: a columnar entity-component-system for societies of agents that remember."""

from typing import TYPE_CHECKING, Any

from populace.ecs import (
    NOBODY,
    AnyOf,
    Clock,
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Query,
    Read,
    Res,
    ResMut,
    Rng,
    Rows,
    Text,
    Vector,
    With,
    Without,
    World,
    Write,
    b1,
    component,
    days,
    event,
    f2,
    f4,
    f8,
    field,
    hours,
    i1,
    i2,
    i4,
    i8,
    jit,
    kernel,
    minutes,
    ms,
    schema,
    seconds,
    setting,
    settings,
    system,
    u1,
    u2,
    u4,
    u8,
    us,
)

if TYPE_CHECKING:
    from populace.storage import Checkpointer, Key, Snapshots, load, save

__version__ = "0.1.0"

__all__ = [
    "NOBODY", "AnyOf", "Checkpointer", "Clock", "Commands", "Emit", "Entity", "Events", "Id", "Key",
    "Query", "Read", "Res", "ResMut", "Rng", "Rows", "Snapshots", "Text", "Vector", "With",
    "Without", "World", "Write", "__version__", "b1", "component", "days", "event", "f2", "f4",
    "f8", "field", "hours", "i1", "i2", "i4", "i8", "jit", "kernel", "load", "minutes", "ms",
    "save", "schema", "seconds", "setting", "settings", "system", "u1", "u2", "u4", "u8", "us",
]  # fmt: skip

_STORAGE = {"Checkpointer", "Key", "Snapshots", "load", "save"}


def __getattr__(name: str) -> Any:
    # What reads and writes files is loaded by the first who asks for it.
    if name in _STORAGE:
        from populace import storage

        return getattr(storage, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
