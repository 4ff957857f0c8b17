"""Populace: a columnar entity-component-system for societies of agents that remember."""

import gc as _gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

_collecting = _gc.isenabled()
_gc.disable()  # nothing of what is imported goes again, so looking for it is time lost
try:
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
finally:
    if _collecting:
        if not _gc.get_freeze_count():
            _gc.freeze()  # and so all of it is old at once, unlooked at
            _gc.unfreeze()
        _gc.enable()

if TYPE_CHECKING:
    from populace.storage import Checkpointer, Key, Snapshots, load, save
    from populace.systems.embedding import attach_embedder, embed
    from populace.systems.recollection import recall
    from populace.systems.rendering import memories_as_text
    from populace.systems.society_recall import who_remembers

    from .ask import database, page, sql

__version__ = "0.1.0"

__all__ = [
    "AnyOf", "Checkpointer", "Clock", "Commands", "Emit", "Entity", "Events", "Id", "Key",
    "NOBODY", "Query", "Read", "Res", "ResMut", "Rng", "Rows", "Snapshots", "Text", "Vector",
    "With", "Without", "World", "Write", "__version__", "attach_embedder", "b1", "component",
    "database", "days", "embed", "event", "f2", "f4", "f8", "field", "hours", "i1", "i2", "i4",
    "i8", "jit", "kernel", "load", "memories_as_text", "minutes", "ms", "page", "recall", "save",
    "schema", "seconds", "setting", "settings", "sql", "system", "u1", "u2", "u4", "u8", "us",
    "who_remembers",
]  # fmt: skip

_PLACES = {
    **dict.fromkeys(("Checkpointer", "Key", "Snapshots", "load", "save"), "populace.storage"),
    **dict.fromkeys(("database", "page", "sql"), "populace.ask"),
    **dict.fromkeys(("attach_embedder", "embed"), "populace.systems.embedding"),
    "memories_as_text": "populace.systems.rendering",
    "recall": "populace.systems.recollection",
    "who_remembers": "populace.systems.society_recall",
}


def __getattr__(name: str) -> Any:
    # What reads and writes files, asks or recalls is loaded by the first who asks for it.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
