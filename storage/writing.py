"""From an image to the files of one snapshot: what changed is written, the rest is shared.

A group's rows lie in segments of 2^20. A segment is a file, and patches: rows that have changed
since, by their number, in files that several segments of the group share. A segment of which a
quarter has changed, or that has many patches, is written anew. What only grows (texts, journals)
lies in stretches, of which the last ones are merged as they grow, so that there are few.

Invariant: nothing is overwritten: files carry the number of their snapshot, and a snapshot names
files of earlier ones. The manifest comes last; without it the files do not count.
Cost: full about 100 ns a row, most of it encoding, on the threads given; a delta as its changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeGuard

import msgspec
import numpy as np
import numpy.typing as npt

from populace.ecs import Field, schema
from populace.ecs.errors import PopulaceError, SnapshotError
from populace.ecs.image import Image, JournalImage, QueueImage, TableImage

from . import manifest as m
from .base import Array, Rows, column_groups
from .classes import path_of
from .columns import CODECS, encode, encode_blob
from .describe import describe
from .files import Files
from .keys import Key
from .plain import flatten

REWRITE_SHARE = 0.25
"""Of a segment's rows: where more have changed, it is written anew."""
MOST_PATCHES = 16
DATA = "data"

FlatResource = tuple[str, dict[str, Any], dict[str, Array]]
Changed = Callable[[tuple[type, ...], int], Rows | None]
"""The rows of a group, by its table's components and its place among their groups, that have
changed since the previous snapshot; None: all."""


class KeepsFiles(Protocol):
    """A resource with files of its own in the directory of snapshots, such as an archive."""

    def kept(self) -> Mapping[str, m.File]:
        """The files that the resource, as it is now, cannot do without, by name."""


def keeps_files(resource: Any) -> TypeGuard[KeepsFiles]:
    """Whether a resource has files of its own: a method of that name, not just a field."""
    return callable(getattr(type(resource), "kept", None))


@dataclass(frozen=True, slots=True)
class Delta:
    """What a snapshot can build on: the previous one, and what has changed since.

    arrays: those of its resources, by their SHA-256. given_texts: (k,) u4, ascending, the codes of
    texts that were free and have one now; None where any text may be another.
    """

    previous: m.Manifest
    arrays: Mapping[str, m.StoredArray]
    changed: Changed
    changed_generations: Rows
    given_texts: Array | None = None


@dataclass(frozen=True, slots=True)
class FrozenResources:
    """Resources as values that stay as they are, whatever the world does next.

    arrays: where each of their arrays has been stored, by its SHA-256, once they are written.
    """

    flat: tuple[FlatResource, ...]
    kept: dict[str, m.File]
    arrays: dict[str, m.StoredArray] = field(default_factory=dict)

    def same(self, other: FrozenResources) -> bool:
        """Whether both hold the same values, to the bit, and the same files."""
        return self.kept == other.kept and self._bytes() == other._bytes()

    def _bytes(self) -> list[Any]:
        return [
            (
                path,
                msgspec.json.encode(value),
                *((n, a.dtype, a.tobytes()) for n, a in arrays.items()),
            )
            for path, value, arrays in self.flat
        ]


def freeze_resources(resources: Iterable[Any]) -> FrozenResources:
    """Raises SnapshotError for a resource that cannot be written down."""
    held = tuple(resources)
    return FrozenResources(
        flat=tuple((path_of(type(r)), *flatten(r)) for r in held),
        kept={n: f for r in held if keeps_files(r) for n, f in r.kept().items()},
    )


def write_snapshot(
    files: Files,
    image: Image,
    number: int,
    *,
    delta: Delta | None = None,
    resources: FrozenResources | None = None,
    about: Mapping[str, Any] | None = None,
    key: Key | None = None,
    compression: str | None = None,
    threads: int = 1,
    version: str = "",
    on_progress: Callable[[int, int], object] | None = None,
) -> m.Manifest:
    """Write the data files of an image, then publish its manifest, and return that.

    Files that resources keep (`KeepsFiles`) become part of the snapshot. on_progress: called with
    (files written, files in all). Raises StorageError where the disk does; then nothing has been
    published.
    """
    check_writing(threads, compression)
    facts = checked_about(about)
    frozen = freeze_resources(image.resources) if resources is None else resources
    with ThreadPoolExecutor(threads, "populace-write") as pool:
        writer = _Writer(files, number, delta, key, compression, pool, on_progress)
        try:
            manifest = writer.write(image, frozen, facts, version)
            files.publish(manifest.name, published_bytes(manifest))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            writer.take_back()
            raise
    return manifest


def check_writing(threads: int, compression: str | None) -> None:
    """Raise SnapshotError for settings of writing that make no sense."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SnapshotError(f"threads is a whole number >= 1, got {threads!r}")
    if compression is not None and compression not in CODECS:
        raise SnapshotError(f"compression is None, 'lz4' or 'zstd', got {compression!r}")


def published_bytes(manifest: m.Manifest) -> bytes:
    """A manifest's bytes, which have been read again: what is published can be loaded.

    Raises SnapshotError for a clock, a count or `about` that JSON or the format does not hold.
    """
    try:
        data = m.serialize(manifest)
    except (TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot cannot be written down as JSON: {error}") from error
    m.parse(data, "the snapshot as it would be written")
    return data


def checked_about(about: Mapping[str, Any] | None) -> dict[str, Any]:
    """Facts to keep with a snapshot, which JSON holds as they are. Raises SnapshotError."""
    facts = dict(about or {})
    try:
        same = json.loads(json.dumps(facts, allow_nan=False)) == facts
        json.dumps(facts, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise SnapshotError(f"about= must be JSON: {error}") from error
    if not same:
        raise SnapshotError(
            "about= must be JSON as it is: texts as keys, lists in place of tuples, and numbers, "
            "texts, booleans and None as values"
        )
    return facts


class _Writer:
    """One snapshot in the making. `entries`: what its data files must be."""

    def __init__(
        self,
        files: Files,
        number: int,
        delta: Delta | None,
        key: Key | None,
        compression: str | None,
        pool: ThreadPoolExecutor,
        on_progress: Callable[[int, int], object] | None,
    ) -> None:
        self.files, self.number, self.delta, self.key = files, number, delta, key
        self.compression = compression
        self.pool, self.on_progress = pool, on_progress
        self.before = None if delta is None else delta.previous
        self.entries: dict[str, m.File] = {}
        self.written: list[str] = []
        self.caches: frozenset[type] = frozenset()

    def write(
        self,
        image: Image,
        resources: FrozenResources,
        about: Mapping[str, Any],
        version: str,
    ) -> m.Manifest:
        """Write all data files; return the manifest that names them."""
        components = {cls: place for place, cls in enumerate(image.components)}
        self.caches = image.caches
        events: dict[type, int] = {}
        for queue in image.queues:
            events.setdefault(queue.event, len(events))
        for journal in image.journals:
            events.setdefault(journal.event, len(events))
        clock = image.clock
        work: list[Callable[[], None]] = []
        tables = [self._table(held, components, work) for held in image.tables]
        generations = self._generations(image.generations, work)
        texts, patches = self._texts(image, work)
        free: str | msgspec.UnsetType = msgspec.UNSET
        if image.free_texts.size:
            free = self._later("texts.free", lambda: {"code": image.free_texts}, work)
        journals = [self._journal(held, events, work) for held in image.journals]
        queues = [self._queue(held, events, work) for held in image.queues]
        private = m.Private(
            resources=tuple(
                self._resource(place, flat, resources.arrays, work)
                for place, flat in enumerate(resources.flat)
            ),
            cursors={name: dict(cursors) for name, cursors in image.cursors.items()},
            counts=dict(image.counts),
            about=dict(about),
        )
        sealed = self._seal(private, work) if self.key is not None else None
        for n_done, done in enumerate([self._begun(call) for call in work], 1):
            done()
            if self.on_progress is not None:
                self.on_progress(n_done, len(work))
        manifest = m.Manifest(
            format=m.FORMAT,
            version=2 if patches or free else 1,
            number=self.number,
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            populace=version,
            tick=clock.tick,
            now_us=clock.now,
            seed=image.seed,
            steps=image.steps,
            phases=image.phases,
            components=tuple(describe(cls) for cls in image.components),
            events=tuple(describe(cls) for cls in events),
            tables=tuple(tables),
            generations=generations,
            slots=image.generations.size,
            texts=texts,
            n_texts=len(image.texts),
            text_patches=patches or msgspec.UNSET,
            free_texts=free,
            queues=tuple(queues),
            journals=tuple(journals),
            tracked=tuple(components[cls] for cls in image.tracked),
            caches=tuple(sorted(components[cls] for cls in image.caches if cls in components)),
            private=None if sealed else private,
            sealed=sealed,
            key=None if self.key is None else self.key.fingerprint,
            files=self.entries,
            kept=resources.kept,
        )
        shared = {} if self.before is None else self.before.files
        arrays = [a.file for r in private.resources for a in r.arrays.values()]
        for name in (*manifest.named(), *arrays):
            if name not in self.entries:
                self.entries[name] = shared[name]
        return manifest

    def _begun(self, call: Callable[[], None]) -> Callable[[], object]:
        """Work that a thread does; what is returned waits for it. While the program ends there are
        no new threads, and it is done here."""
        try:
            return self.pool.submit(call).result
        except RuntimeError:
            return call

    def take_back(self) -> None:
        """Delete what was written for a snapshot that did not come about, as far as that goes."""
        with suppress(PopulaceError):
            if m.manifest_name(self.number) in self.files.names():
                return  # it could not be taken back: better whole than half
            for name in self.written:
                self.files.delete(name)

    # -- files -------------------------------------------------------------------------------------

    def _later(
        self, label: str, columns: Callable[[], Mapping[str, Any]], work: list[Callable[[], None]],
        told: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:  # fmt: skip
        """Name a file, and note the work of writing it."""
        name = f"{DATA}/{self.number:010d}-{label}.parquet"

        def write() -> None:
            data = encode(
                columns(),
                file=name,
                key=self.key,
                compression=self.compression,
                metadata=told,
            )
            self._put(name, data)

        work.append(write)
        return name

    def _put(self, name: str, data: Any) -> None:
        self.written.append(name)
        self.files.write(name, data)
        self.entries[name] = m.File(len(data), hashlib.sha256(data).hexdigest())

    def _seal(self, private: m.Private, work: list[Callable[[], None]]) -> str:
        name = f"{DATA}/{self.number:010d}-private.parquet"
        assert self.key is not None
        key = self.key
        data = msgspec.json.encode(private)
        work.append(lambda: self._put(name, encode_blob(data, file=name, key=key)))
        return name

    # -- tables ------------------------------------------------------------------------------------

    def _table(
        self, held: TableImage, places: Mapping[type, int], work: list[Callable[[], None]]
    ) -> m.Table:
        before = self._before(held.components)
        groups = []
        for place, keys in enumerate(column_groups(held.components, self.caches)):
            names = _column_names(keys, places)
            values = [held.columns[k] if isinstance(k, Field) else held.ids for k in keys]
            known = None
            if before is not None and place < len(before.groups):
                known = before.groups[place]
            changed = None
            if known is not None and known.columns == tuple(names) and self.delta is not None:
                changed = self.delta.changed(held.components, place)
            groups.append(
                self._group(
                    f"table{held.number}.{place}",
                    tuple(names),
                    {name.name: value for name, value in zip(names, values, strict=True)},
                    held.n,
                    known if changed is not None else None,
                    changed,
                    work,
                    {n.name: _told(k) for n, k in zip(names, keys, strict=True)},
                )
            )
        return m.Table(
            components=tuple(places[c] for c in held.components),
            number=held.number,
            rows=held.n,
            groups=tuple(groups),
        )

    def _before(self, components: tuple[type, ...]) -> m.Table | None:
        """The table of the previous snapshot that has the same components."""
        if self.before is None:
            return None
        paths = [path_of(c) for c in components]
        for table in self.before.tables:
            if [self.before.components[place]["class"] for place in table.components] == paths:
                return table
        return None

    def _generations(
        self, generations: npt.NDArray[np.uint32], work: list[Callable[[], None]]
    ) -> m.Group:
        return self._group(
            "generations",
            (m.Column("generation"),),
            {"generation": generations},
            generations.size,
            None if self.before is None else self.before.generations,
            None if self.delta is None else self.delta.changed_generations,
            work,
        )

    def _group(
        self,
        label: str,
        columns: tuple[m.Column, ...],
        values: Mapping[str, Array],
        n: int,
        known: m.Group | None,
        changed: Rows | None,
        work: list[Callable[[], None]],
        told: Mapping[str, Mapping[str, str]] | None = None,
    ) -> m.Group:
        """The segments of a group: shared, patched or written anew."""
        segments: list[m.Segment] = []
        patched: list[Rows] = []
        patch = f"{DATA}/{self.number:010d}-{label}.patch.parquet"
        before = {s.begin: s for s in known.segments} if known else {}
        for begin in range(0, n, m.SEGMENT):
            end = min(begin + m.SEGMENT, n)
            old = before.get(begin)
            if old is not None and changed is not None:
                low, high = np.searchsorted(changed, (begin, end))
                few = high - low <= REWRITE_SHARE * (end - begin)
                if low == high:
                    segments.append(m.Segment(begin, end, old.file, old.patches))
                    continue
                if few and len(old.patches) < MOST_PATCHES:
                    patched.append(changed[low:high])
                    segments.append(m.Segment(begin, end, old.file, (*old.patches, patch)))
                    continue
            columns_of = partial(_rows, values, slice(begin, end))
            name = self._later(f"{label}.{begin // m.SEGMENT}", columns_of, work, told)
            segments.append(m.Segment(begin, end, name))
        if patched:
            rows = np.concatenate(patched)
            self._later(
                f"{label}.patch",
                lambda: {"row": rows, **_rows(values, rows)},
                work,
                told,
            )
        return m.Group(columns, tuple(segments))

    # -- what only grows ---------------------------------------------------------------------------

    def _series(
        self,
        label: str,
        before: Sequence[m.Stretch],
        n: int,
        work: list[Callable[[], None]],
        columns: Callable[[int, int], Mapping[str, Any]],
    ) -> tuple[m.Stretch, ...]:
        """Stretches that cover [0, n): those before, the last ones merged with what is new."""
        held = list(before)
        begin = held[-1].end if held else 0
        if begin == n:
            return tuple(held)
        while held and held[-1].end - held[-1].begin <= n - begin:
            begin = held.pop().begin
        name = self._later(f"{label}.{begin}", lambda: columns(begin, n), work)
        return (*held, m.Stretch(begin, n, name))

    def _texts(
        self, image: Image, work: list[Callable[[], None]]
    ) -> tuple[tuple[m.Stretch, ...], tuple[str, ...]]:
        """The stretches of texts, and patches for codes that were free and are given again."""
        known: Sequence[m.Stretch] = ()
        patches: tuple[str, ...] = ()
        again = None if self.delta is None else self.delta.given_texts
        if self.before is not None and again is not None:
            known, patches = self.before.texts, self.before.text_patches or ()
            again = again[again < self.before.n_texts]
            if again.size > REWRITE_SHARE * len(image.texts) or len(patches) == MOST_PATCHES:
                known, patches = (), ()
            elif again.size:
                name = self._later(
                    "texts.patch",
                    lambda: {"code": again, "text": [image.texts[c] for c in again.tolist()]},
                    work,
                )
                patches = (*patches, name)
        stretches = self._series(
            "texts", known, len(image.texts), work, lambda a, b: {"text": image.texts[a:b]}
        )
        return stretches, patches

    def _journal(
        self, held: JournalImage, events: Mapping[type, int], work: list[Callable[[], None]]
    ) -> m.Journal:
        known: Sequence[m.Stretch] = ()
        if self.before is not None:
            path = path_of(held.event)
            known = next(
                (
                    j.stretches
                    for j in self.before.journals
                    if self.before.events[j.event]["class"] == path
                ),
                (),
            )
        stretches: tuple[m.Stretch, ...] = ()
        if held.columns:
            stretches = self._series(
                f"journal{events[held.event]}",
                known,
                held.n,
                work,
                lambda a, b: {name: column[a:b] for name, column in held.columns.items()},
            )
        return m.Journal(events[held.event], held.n, held.cursor, stretches)

    def _queue(
        self, held: QueueImage, events: Mapping[type, int], work: list[Callable[[], None]]
    ) -> m.Queue:
        file = None
        fields = schema(held.event).fields
        if held.batches and fields:
            file = self._later(
                f"queue{events[held.event]}",
                lambda: {
                    f.name: np.concatenate([columns[f.name] for _, _, columns in held.batches])
                    for f in fields
                },
                work,
            )
        batches = tuple((first, n) for first, n, _ in held.batches)
        return m.Queue(events[held.event], held.next, held.before_step, batches, file)

    # -- resources ---------------------------------------------------------------------------------

    def _resource(
        self,
        place: int,
        flat: FlatResource,
        written: dict[str, m.StoredArray],
        work: list[Callable[[], None]],
    ) -> m.Resource:
        path, value, arrays = flat
        known = {} if self.delta is None else self.delta.arrays
        stored = {}
        for k, (name, array) in enumerate(arrays.items()):
            digest = hashlib.sha256(f"{array.dtype.str} {array.size} ".encode())
            digest.update(array.data)
            found = known.get(digest.hexdigest())
            if found is None:
                label = f"resource{place}.{k}"
                file = self._later(label, partial(dict, value=array), work)
                found = m.StoredArray(file, digest.hexdigest())
            stored[name] = written[found.sha256] = found
        return m.Resource(path, value, stored)


def _rows(values: Mapping[str, Array], rows: Any) -> dict[str, Array]:
    return {name: value[rows] for name, value in values.items()}


def _column_names(keys: Sequence[Any], places: Mapping[type, int]) -> list[m.Column]:
    """The columns of a group. Two components of one name are told apart by their place."""
    names: list[m.Column] = []
    for key in keys:
        if not isinstance(key, Field):
            names.append(m.Column("id"))
            continue
        name, place = f"{key.component.__name__}.{key.name}", places[key.component]
        if any(column.name == name for column in names):
            name = f"{name}#{place}"
        names.append(m.Column(name, place, key.name))
    return names


def _told(key: Any) -> dict[str, str]:
    """What a reader of the file alone should know of a column."""
    return {"unit": key.unit, "doc": key.doc} if isinstance(key, Field) else {}
