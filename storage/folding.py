"""Folding: a snapshot whose segments rest on patches, written anew without them.

Nothing becomes a class: columns are moved as they are described, and what has no patches is shared.
So any snapshot can be folded, whatever components the program knows.
"""

from __future__ import annotations

import hashlib

import msgspec

from . import manifest as m
from .columns import encode
from .datafiles import DataFiles
from .describe import StoredField, read
from .stored import GENERATIONS, IDS
from .writing import DATA


def fold(data: DataFiles, number: int) -> m.Manifest:
    """Write each segment that has patches as one file; return the manifest of snapshot `number`.

    The manifest is not published. Raises StorageError, SnapshotError.
    """
    before = data.manifest
    fields = [read(told).fields for told in before.components]
    written: dict[str, m.File] = {}

    def folded(group: m.Group, rows: int, label: str, parts: dict[str, StoredField]) -> m.Group:
        if not any(segment.patches for segment in group.segments):
            return group
        columns = data.group(group, rows, parts)
        segments = []
        for place, segment in enumerate(group.segments):
            file = segment.file
            if segment.patches:
                file = f"{DATA}/{number:010d}-{label}.{place}.parquet"
                part = {name: c[segment.begin : segment.end] for name, c in columns.items()}
                encoded = encode(part, file=file, key=data.key)
                data.files.write(file, encoded)
                written[file] = m.File(len(encoded), hashlib.sha256(encoded).hexdigest())
            segments.append(m.Segment(segment.begin, segment.end, file))
        return m.Group(group.columns, tuple(segments))

    def parts_of(group: m.Group) -> dict[str, StoredField]:
        return {
            column.name: IDS if column.component is None else fields[column.component][column.field]
            for column in group.columns
        }

    tables = tuple(
        msgspec.structs.replace(
            table,
            groups=tuple(
                folded(group, table.rows, f"table{table.number}.{place}", parts_of(group))
                for place, group in enumerate(table.groups)
            ),
        )
        for table in before.tables
    )
    generations = folded(
        before.generations, before.slots, "generations", {"generation": GENERATIONS}
    )
    manifest = msgspec.structs.replace(
        before, number=number, tables=tables, generations=generations, files={}
    )
    arrays = [a.file for r in before.private.resources for a in r.arrays.values()] if (
        before.private
    ) else [name for name in before.files if name not in set(before.named())]  # fmt: skip
    names = {*manifest.named(), *arrays}
    return msgspec.structs.replace(
        manifest, files={name: written.get(name) or before.files[name] for name in sorted(names)}
    )
