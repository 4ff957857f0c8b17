"""Where a world's columns go when they leave it: one file per backend."""

from .reader import load_tables, read_manifest
from .tables import MANIFEST, Table, check_target, to_arrow, write_tables

__all__ = [
    "MANIFEST",
    "Table",
    "check_target",
    "load_tables",
    "read_manifest",
    "to_arrow",
    "write_tables",
]
