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

    from .ask import database, page, sql

__version__ = "0.1.0"

__all__ = [
    "AnyOf", "Checkpointer", "Clock", "Commands", "Emit", "Entity", "Events", "Id", "Key",
    "NOBODY", "Query", "Read", "Res", "ResMut", "Rng", "Rows", "Snapshots", "Text", "Vector",
    "With", "Without", "World", "Write", "__version__", "b1", "component", "database", "days",
    "event", "f2", "f4", "f8", "field", "hours", "i1", "i2", "i4", "i8", "jit", "kernel", "load",
    "minutes", "ms", "page", "save", "schema", "seconds", "setting", "settings", "sql", "system",
    "u1", "u2", "u4", "u8", "us",
]  # fmt: skip

_STORAGE = {"Checkpointer", "Key", "Snapshots", "load", "save"}
_ASK = {"database", "page", "sql"}


def __getattr__(name: str) -> Any:
    # What reads and writes files is loaded by the first who asks for it.
    if name in _STORAGE:
        from populace import storage

        return getattr(storage, name)
    if name in _ASK:
        from . import ask

        return getattr(ask, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
