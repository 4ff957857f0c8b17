"""The manifest of one snapshot: what it holds, in which files, and how to know that they are whole.

A manifest is `snapshot-0000000012.json`:

    {"sha256":"<64 hex digits>","manifest":<JSON>}

where the digest is of the bytes of <JSON> as they stand there. It names each data file with its
size and SHA-256, so a snapshot is whole when its manifest and all files that it names are.
docs/format.md describes every part.

Invariants, checked by `parse`: types are as declared here; numbers are not negative; every file
that a part names is in `files`, with a safe relative name; segments and parts follow each other
without gaps and end where their rows do; places of components are those of the list.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import msgspec

from populace.ecs.errors import SnapshotError

from .files import checked_name

FORMAT = "populace snapshot"
VERSION = 2
"""Of a snapshot with free texts or patches of them; all others are of version 1."""
NAME = re.compile(r"snapshot-([0-9]{10})\.json")
MOST_BYTES = 2**30
MOST_ROWS = 2**32
SEGMENT = 2**20
"""Rows of a segment, all but a group's last."""
_HEAD = b'{"sha256":"'
_MIDDLE = b'","manifest":'

# Structs below are immutable, and refuse a key that this version does not know.

Count = Annotated[int, msgspec.Meta(ge=0)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A data file: what it must be."""

    bytes: Count
    sha256: Digest


class Segment(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rows [begin, end) of a group: those of `file`, whose first row is `begin`, then those that
    each patch has for this range, the last one counting. A file may have more rows or fewer."""

    begin: Count
    end: Count
    file: str
    patches: tuple[str, ...] = ()


class Column(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A column of the files of a group. component: its place in `components`, None for "id"."""

    name: str
    component: Count | None = None
    field: str = ""


class Group(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Columns that go into the same files."""

    columns: tuple[Column, ...]
    segments: tuple[Segment, ...]


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The rows of one archetype. components: places in `components`, in their order."""

    components: tuple[Count, ...]
    number: Count
    rows: Count
    groups: tuple[Group, ...]


class Stretch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Rows [begin, end) of something that only grows."""

    begin: Count
    end: Count
    file: str


class Queue(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pending events. batches: (number of the first, how many) of each; their rows follow each
    other in the file."""

    event: Count
    next: Count
    before_step: Count
    batches: tuple[tuple[Count, Count], ...]
    file: str | None


class Journal(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Kept events. event: its place in `events`."""

    event: Count
    rows: Count
    cursor: Count
    stretches: tuple[Stretch, ...]


class StoredArray(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An array of a resource. sha256: of its bytes, so that equal ones share a file."""

    file: str
    sha256: Digest


class Resource(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One resource: its class, its value as JSON, and the arrays that the value names."""

    path: str
    value: Any
    arrays: dict[str, StoredArray] = {}


class Private(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an encrypted snapshot keeps to itself: in the manifest, or sealed in a file."""

    resources: tuple[Resource, ...]
    cursors: dict[str, dict[str, Count]]
    counts: dict[str, int]
    about: dict[str, Any]


class Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One snapshot. See docs/format.md."""

    format: str
    version: Count
    number: Annotated[int, msgspec.Meta(ge=1)]
    written: str
    populace: str
    tick: Count
    now_us: int
    seed: int
    steps: Count
    phases: tuple[str, ...]
    components: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    tables: tuple[Table, ...]
    generations: Group
    slots: Count
    texts: tuple[Stretch, ...]
    n_texts: Count
    text_patches: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    free_texts: str | msgspec.UnsetType = msgspec.UNSET
    queues: tuple[Queue, ...]
    journals: tuple[Journal, ...]
    tracked: tuple[Count, ...]
    caches: tuple[Count, ...] = ()
    private: Private | None = None
    sealed: str | None = None
    key: str | None = None
    files: dict[str, File]
    kept: dict[str, File] = {}

    @property
    def name(self) -> str:
        """Its file name."""
        return manifest_name(self.number)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of all files that it names, shared ones included."""
        return sum(file.bytes for file in (*self.files.values(), *self.kept.values()))

    @property
    def is_full(self) -> bool:
        """Whether it rests on no delta: no segment has patches."""
        groups = [group for table in self.tables for group in table.groups]
        return not any(s.patches for g in (*groups, self.generations) for s in g.segments)

    def named(self) -> Iterator[str]:
        """Every file that a part names; one may come more than once."""
        groups = [group for table in self.tables for group in table.groups]
        for group in (*groups, self.generations):
            for segment in group.segments:
                yield segment.file
                yield from segment.patches
        for journal in self.journals:
            yield from (stretch.file for stretch in journal.stretches)
        yield from (stretch.file for stretch in self.texts)
        yield from self.text_patches or ()
        if self.free_texts:
            yield self.free_texts
        yield from (queue.file for queue in self.queues if queue.file is not None)
        if self.sealed is not None:
            yield self.sealed
        for resource in self.private.resources if self.private else ():
            yield from (array.file for array in resource.arrays.values())


def manifest_name(number: int) -> str:
    """The file name of the manifest of a snapshot."""
    return f"snapshot-{number:010d}.json"


def serialize(manifest: Manifest) -> bytes:
    """The bytes of a manifest's file."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    digest = hashlib.sha256(body).hexdigest().encode()
    return _HEAD + digest + _MIDDLE + body + b"}\n"


def parse(data: bytes, file: str) -> Manifest:
    """The manifest in a file's bytes.

    file: its path, for messages. Raises SnapshotError, naming it, for one that is damaged, altered,
    foreign, or of a newer version.
    """

    def damaged(why: str) -> NoReturn:
        raise SnapshotError(f"{file}: {why}")

    start = len(_HEAD) + 64 + len(_MIDDLE)
    body, end = data[start:-2], data[-2:]
    if not data.startswith(_HEAD) or data[start - len(_MIDDLE) : start] != _MIDDLE or end != b"}\n":
        damaged("is not a manifest of a snapshot, or was cut short")
    if hashlib.sha256(body).hexdigest().encode() != data[len(_HEAD) : len(_HEAD) + 64]:
        damaged("is not what was written: its SHA-256 is another; it is damaged or was edited")
    try:
        told = msgspec.json.decode(body)
        form, version = told["format"], told["version"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError) as error:
        damaged(f"is not a manifest of a snapshot: {error}")
    if form != FORMAT:
        damaged(f"holds {form!r}, not {FORMAT!r}")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        damaged(
            f"is of version {version!r}, and this populace reads up to version {VERSION}; a newer "
            f"populace wrote it: use that one"
        )
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        damaged(f"is not as the format says: {error}")
    for fault in faults(manifest):
        damaged(fault)
    return manifest


def faults(manifest: Manifest) -> Iterator[str]:
    """Where a manifest contradicts itself."""
    known = len(manifest.components), len(manifest.events)
    for name in (*manifest.files, *manifest.kept):
        try:
            checked_name(name, "DIR")
        except SnapshotError:
            yield f"names a file outside of the directory: {name!r}"
    for name in manifest.named():
        if name not in manifest.files:
            yield f"names {name!r}, and does not say what it must be"
    for table in manifest.tables:
        if any(place >= known[0] for place in table.components):
            yield f"has a table of components that it does not describe: {table.components}"
        if len(set(table.components)) != len(table.components):
            yield f"has a table with a component twice: {table.components}"
        for group in table.groups:
            yield from _gaps(group.segments, table.rows)
            names = [column.name for column in group.columns]
            if len(set(names)) != len(names):
                yield f"has a group with a column twice: {names}"
            for column in group.columns:
                if column.component is not None and column.component not in table.components:
                    yield f"has a column {column.name!r} of no component of its table"
    yield from _gaps(manifest.generations.segments, manifest.slots)
    yield from _gaps(manifest.texts, manifest.n_texts)
    if manifest.version < 2 and (manifest.text_patches or manifest.free_texts):
        yield "is of version 1, which knows of no free texts"
    events = [queue.event for queue in manifest.queues]
    events += [journal.event for journal in manifest.journals]
    if any(place >= known[1] for place in events):
        yield f"has events that it does not describe: {events}"
        return
    for journal in manifest.journals:
        # Events without fields have no columns, and so no files.
        if manifest.events[journal.event].get("fields"):
            yield from _gaps(journal.stretches, journal.rows)
    following = {queue.event: queue.next for queue in manifest.queues}
    for journal in manifest.journals:
        if journal.cursor > following.get(journal.event, journal.cursor):
            yield f"has a journal that has seen event {journal.cursor:,}, which is not there yet"
    for queue in manifest.queues:
        begin = 0
        for first, n in queue.batches:
            if first < begin or n < 1:
                yield f"has {n:,} events from number {first:,} on where {begin:,} is next"
            begin = first + n
        if max(begin, queue.before_step) > queue.next or queue.next >= 2**63:
            yield f"has events up to number {begin:,} and says that {queue.next:,} is next"
    if not manifest.phases:
        yield "has no phases"
    for n in (manifest.slots, manifest.n_texts, *(table.rows for table in manifest.tables)):
        if n > MOST_ROWS:
            yield f"has {n:,} rows, and at most {MOST_ROWS:,} are allowed"
    if any(place >= known[0] for place in (*manifest.tracked, *manifest.caches)):
        yield f"tracks components that it does not describe: {manifest.tracked}"
    if (manifest.private is None) == (manifest.sealed is None):
        yield "must have either private parts or a file in which they are sealed"


def _gaps(ranges: Any, rows: int) -> Iterator[str]:
    """Where ranges do not follow each other from 0 to rows."""
    begin = 0
    for held in ranges:
        if held.begin != begin or held.end <= begin:
            yield f"has rows {held.begin:,} to {held.end:,} where {begin:,} is next"
            return
        if isinstance(held, Segment) and held.end - begin > SEGMENT:
            yield f"has a segment of {held.end - begin:,} rows, and {SEGMENT:,} are allowed"
        begin = held.end
    if begin != rows:
        yield f"has {begin:,} of {rows:,} rows"
