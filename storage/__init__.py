"""Where a world's columns go when they leave it: one file per backend."""

from .tables import MANIFEST, Table, check_target, to_arrow, write_tables

__all__ = ["MANIFEST", "Table", "check_target", "to_arrow", "write_tables"]
