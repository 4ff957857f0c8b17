"""Where a world's columns go when they leave it: one file per backend.

Names are looked up when they are first used, so that a program loads what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Checkpointer, CheckpointWarning, Saved
    from .keys import Key
    from .reader import load_tables, read_manifest
    from .snapshot import Snapshots, SnapshotWarning, load, save
    from .tables import Table
    from .writer import MANIFEST, check_target, write_tables

_PLACES = {
    "checkpoint": ("Checkpointer", "CheckpointWarning", "Saved"),
    "keys": ("Key",),
    "reader": ("load_tables", "read_manifest"),
    "snapshot": ("Snapshots", "SnapshotWarning", "load", "save"),
    "tables": ("Table",),
    "writer": ("MANIFEST", "check_target", "write_tables"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "MANIFEST",
    "CheckpointWarning",
    "Checkpointer",
    "Key",
    "Saved",
    "SnapshotWarning",
    "Snapshots",
    "Table",
    "check_target",
    "load",
    "load_tables",
    "read_manifest",
    "save",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
