"""From a snapshot to an image, whose classes are today's.

What was stored is compared with the description of its class, which may be an older one than
today's (`evolve.py`). Columns and texts are read when they are asked for, or all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal, overload

import msgspec
import numpy as np
import numpy.typing as npt

from populace.ecs import Clock, Field, schema
from populace.ecs.errors import SchemaError, SnapshotError
from populace.ecs.image import Image, JournalImage, QueueImage, TableImage

from . import manifest as m
from .classes import find_class
from .columns import decode_blob
from .datafiles import DataFiles
from .describe import StoredField, make_class, read
from .evolve import Plan, complete, convert, defaults, match
from .files import Files
from .keys import Key
from .plain import rebuild

Array = npt.NDArray[Any]

IDS = StoredField("id", "scalar", np.dtype("<u8"), 0, "", "", None, False, False, "keep", True,
                  None, None)  # fmt: skip
GENERATIONS = StoredField("generation", "scalar", np.dtype("<u4"), 0, "", "", None, False, False,
                          "keep", True, None, None)  # fmt: skip
CODES = StoredField("code", "scalar", np.dtype("<u4"), 0, "", "", None, False, False, "keep", True,
                    None, None)  # fmt: skip
NO_CODES: Array = np.empty(0, np.uint32)


class Texts(Sequence[str]):
    """The strings of a snapshot, read when the first is asked for."""

    def __init__(self, n: int, load: Callable[[], list[str]]) -> None:
        self._n, self._load = n, load
        self._more: list[str] = []

    @cached_property
    def _strings(self) -> list[str]:
        return self._load()

    def __len__(self) -> int:
        return self._n + len(self._more)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if not self._more:
            return self._strings[at]
        return (self._strings + self._more)[at]

    def __iter__(self) -> Iterator[str]:
        yield from self._strings
        yield from self._more

    def intern(self, text: str) -> int:
        """The code of a string, which is added where there is none: the default of a new field."""
        for code, known in enumerate(self):
            if known == text:
                return code
        self._more.append(text)
        return len(self) - 1


class Columns(Mapping[Field, Array]):
    """The persisted columns of a table, each read when it is first asked for."""

    def __init__(self, fields: Sequence[Field], load: Callable[[Field], Array]) -> None:
        self._fields, self._load = fields, load
        self.held: dict[Field, Array] = {}

    def __getitem__(self, made: Field) -> Array:
        if made not in self.held:
            if made not in self._fields:
                raise KeyError(made)
            self.held[made] = self._load(made)
        return self.held[made]

    def __contains__(self, made: object) -> bool:
        return made in self._fields

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


Part = tuple[m.Group, str, StoredField]
"""A stored column: its group, its name there, what it is."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a column is made of: a stored one, or without it the default that the plan gives."""

    plan: Plan | None
    part: Part | None


class StoredSnapshot:
    """One snapshot's files, and the classes that they are read into.

    given, aliases: as `find_class` takes them. unknown: "refuse" classes that this program does
    not have, or "make" them of their description, and leave out such resources. threads: to decode
    on. Raises KeyMismatchError for a missing or wrong key, SchemaError.
    """

    def __init__(
        self,
        files: Files,
        manifest: m.Manifest,
        *,
        key: Key | None = None,
        given: Iterable[type] = (),
        aliases: Mapping[str, type] | None = None,
        unknown: Literal["refuse", "make"] = "refuse",
        threads: int = 1,
    ) -> None:
        self.data = DataFiles(files, manifest, key, threads)
        self.files, self.manifest, self.key, self.where = files, manifest, key, self.data.where
        self.given, self.aliases, self.unknown = tuple(given), aliases, unknown
        self._made: dict[str, type] = {}
        with self._blamed():
            self.plans = [self._plan(told, "component") for told in manifest.components]
            self.event_plans = [self._plan(told, "event") for told in manifest.events]
        self.texts = Texts(manifest.n_texts, self._read_texts)

    def _plan(self, told: dict[str, Any], kind: Literal["component", "event"]) -> Plan:
        described = read(told)
        try:
            cls = find_class(described.path, self.given, kind=kind, aliases=self.aliases)
        except SchemaError:
            if self.unknown == "refuse":
                raise
            cls = make_class(told, self._made)
        self._made[described.path] = cls
        return match(told, cls)

    # -- the image ---------------------------------------------------------------------------------

    def image(self, *, lazy: bool = True) -> Image:
        """All that the snapshot holds. lazy: columns and texts are read when they are asked for.

        Raises SnapshotError, SchemaError, StorageError.
        """
        with self._blamed():
            return self._image(lazy)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """What is found damaged belongs to this snapshot, and the message says so."""
        try:
            yield
        except SnapshotError as error:
            if self.files.location in str(error):
                raise
            raise SnapshotError(f"{self.where}: {error}") from error

    def _image(self, lazy: bool) -> Image:
        manifest = self.manifest
        private = self.private
        components = dict.fromkeys(plan.cls for plan in self.plans)
        tables = []
        for table in manifest.tables:
            stored = [self.plans[place] for place in table.components]
            whole = complete(plan.cls for plan in stored)
            components.update(dict.fromkeys(whole))
            added = [defaults(cls) for cls in whole[len(stored) :]]
            tables.append(self._table(table, [*stored, *added], whole, lazy))
        if not lazy:
            len(self.texts) and self.texts[0]
        generations = self.data.group(
            manifest.generations, manifest.slots, {"generation": GENERATIONS}
        )["generation"]
        resources = tuple(self._resources(private))
        if sum(isinstance(resource, Clock) for resource in resources) != 1:
            raise SnapshotError(f"{self.where}: does not hold one Clock")
        return Image(
            seed=manifest.seed,
            phases=manifest.phases,
            components=tuple(components),
            tables=_merged(tables),
            generations=generations,
            texts=self.texts,
            resources=resources,
            queues=tuple(map(self._queue, manifest.queues)),
            journals=tuple(map(self._journal, manifest.journals)),
            cursors=private.cursors,
            counts=private.counts,
            steps=manifest.steps,
            tracked=tuple(self.plans[place].cls for place in manifest.tracked),
            caches=frozenset(self.plans[place].cls for place in manifest.caches),
            free_texts=self._free_texts(),
        )

    @cached_property
    def private(self) -> m.Private:
        """The resources and what else an encrypted snapshot keeps to itself."""
        if self.manifest.private is not None:
            return self.manifest.private
        name, key = self.manifest.sealed, self.key
        assert name is not None  # the manifest has been checked, the key too
        assert key is not None
        data = decode_blob(self.data.checked(name), file=name, key=key)
        try:
            return msgspec.json.decode(data, type=m.Private)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"{self.files.location}/{name}: is damaged: {error}") from error

    def _resources(self, private: m.Private) -> Iterator[Any]:
        find = partial(find_class, given=self.given, kind="data", aliases=self.aliases)
        for resource in private.resources:
            arrays = {
                name: self.data.decoded(array.file, ["value"])["value"]
                for name, array in resource.arrays.items()
                if array.file in self.manifest.files
            }
            try:
                made = rebuild(resource.value, arrays, find)
            except SchemaError:
                if self.unknown == "make":
                    continue
                raise
            yield made

    def _read_texts(self) -> list[str]:
        texts: list[str] = []
        for stretch in self.manifest.texts:
            rows = stretch.end - stretch.begin
            texts += self.data.decoded(stretch.file, ["text"], rows)["text"]
        for file in self.manifest.text_patches or ():
            patch = self.data.decoded(file, ["code", "text"])
            for code, text in zip(self._codes(patch, file).tolist(), patch["text"], strict=True):
                texts[code] = text
        return texts

    def _free_texts(self) -> Array:
        """(f,) u4, ascending: the codes that no text has."""
        file = self.manifest.free_texts
        return self._codes(self.data.decoded(file, ["code"]), file) if file else NO_CODES

    def _codes(self, found: Mapping[str, Any], file: str) -> Array:
        """The codes of a file. Raises SnapshotError for what cannot be such."""
        self.data.check(found, {"code": CODES}, file)
        codes: Array = found["code"]
        good = (np.diff(codes.astype(np.int64)) > 0).all()
        if not good or (codes.size and not 0 < codes[0] <= codes[-1] < self.manifest.n_texts):
            raise SnapshotError(
                f"{self.files.location}/{file}: its codes are not those of texts, in their order"
            )
        return codes

    # -- tables ------------------------------------------------------------------------------------

    def _table(
        self, table: m.Table, plans: Sequence[Plan], components: tuple[type, ...], lazy: bool
    ) -> TableImage:
        """plans: of the stored components, and of those that they require today."""
        stored: dict[tuple[int | None, str], tuple[m.Group, str]] = {}
        for group in table.groups:
            for column in group.columns:
                stored[column.component, column.field] = group, column.name
        origins: dict[Field | None, _Origin] = {}
        places: list[int | None] = [*table.components]
        places += [None] * (len(plans) - len(places))
        for plan, place in zip(plans, places, strict=True):
            for made, source in plan.sources.items():
                part = None
                if source is not None and place is not None:
                    part = self._part(table, stored, place, source.name)
                origins[made] = _Origin(plan, part)
        for place in set(self.manifest.caches) & set(table.components):
            told = read(self.manifest.components[place]).fields
            for made in schema(self.plans[place].cls).fields:
                as_told = told.get(made.name)
                if as_told is None or not made.derived or (place, made.name) not in stored:
                    continue
                if (as_told.dtype, as_told.width) == (made.dtype, made.width):
                    origins[made] = _Origin(None, (*stored[place, made.name], as_told))
        try:
            origins[None] = _Origin(None, (*stored[None, ""], IDS))
        except KeyError:
            raise SnapshotError(f"{self.where}: table {table.number} has no ids") from None

        def load(keys: Iterable[Field | None]) -> dict[Field | None, Array]:
            return self._load(table.rows, {key: origins[key] for key in keys})

        found = load([None] if lazy else origins)
        ids = found.pop(None)
        fields = tuple(key for key in origins if key is not None)
        columns = Columns(fields, lambda made: load([made])[made])
        columns.held.update(found)  # type: ignore[arg-type]  # None is gone
        return TableImage(components, table.number, table.rows, ids, columns)

    def _part(
        self,
        table: m.Table,
        stored: Mapping[tuple[int | None, str], tuple[m.Group, str]],
        place: int,
        field: str,
    ) -> Part:
        """Where a field's column is, and what it is."""
        told = self.manifest.components[place]
        try:
            return (*stored[place, field], read(told).fields[field])
        except KeyError:
            raise SnapshotError(
                f"{self.where}: table {table.number} has no column {field!r} of {told['class']}"
            ) from None

    def _load(self, n: int, origins: Mapping[Field | None, _Origin]) -> dict[Field | None, Array]:
        """The columns of n rows; None are the ids. Each file is read once."""
        by_group: dict[int, tuple[m.Group, dict[str, StoredField]]] = {}
        for origin in origins.values():
            if origin.part is not None:
                group, name, part = origin.part
                by_group.setdefault(id(group), (group, {}))[1][name] = part
        read_now = {
            key: self.data.group(group, n, wanted) for key, (group, wanted) in by_group.items()
        }
        found: dict[Field | None, Array] = {}
        for made, origin in origins.items():
            column = None
            if origin.part is not None:
                column = read_now[id(origin.part[0])][origin.part[1]]
            if made is not None and origin.plan is not None:
                column = convert(origin.plan, made, column, n, self.texts.intern, self._living)
            assert column is not None
            found[made] = column
        return found

    def _living(self, ids: Array) -> npt.NDArray[np.bool_]:
        """(k,) bool: which ids have a row."""
        held = [np.empty(0, np.uint64)]
        for table in self.manifest.tables:
            held += [
                self.data.group(group, table.rows, {column.name: IDS})[column.name]
                for group in table.groups
                for column in group.columns
                if column.component is None
            ]
        return np.isin(ids, np.concatenate(held))

    # -- events ------------------------------------------------------------------------------------

    def _events(self, place: int, files: Sequence[tuple[str, int]], n: int) -> dict[str, Array]:
        """The columns of n events of one class, whose files follow each other."""
        plan = self.event_plans[place]
        described = read(self.manifest.events[place]).fields
        sources = {s.name: described[s.name] for s in plan.sources.values() if s is not None}
        pieces = []
        for file, rows in files if sources else ():
            pieces.append(self.data.decoded(file, list(sources), rows))
            self.data.check(pieces[-1], sources, file)
        columns = {}
        for made, source in plan.sources.items():
            stored = None
            if source is not None:
                empty = np.empty((0, *made.shape), source.dtype)
                stored = np.concatenate([empty, *(piece[source.name] for piece in pieces)])
            columns[made.name] = convert(plan, made, stored, n, self.texts.intern, self._living)
        return columns

    def _queue(self, queue: m.Queue) -> QueueImage:
        n = sum(count for _, count in queue.batches)
        columns = self._events(queue.event, [(queue.file, n)] if queue.file else [], n)
        batches, begin = [], 0
        for first, count in queue.batches:
            part = {name: column[begin : begin + count] for name, column in columns.items()}
            for column in part.values():
                column.flags.writeable = False
            batches.append((first, count, part))
            begin += count
        cls = self.event_plans[queue.event].cls
        return QueueImage(cls, queue.next, queue.before_step, tuple(batches))

    def _journal(self, journal: m.Journal) -> JournalImage:
        files = [(s.file, s.end - s.begin) for s in journal.stretches]
        columns = self._events(journal.event, files, journal.rows)
        cls = self.event_plans[journal.event].cls
        return JournalImage(cls, journal.rows, journal.cursor, columns)


def _merged(tables: Sequence[TableImage]) -> tuple[TableImage, ...]:
    """The tables of an image, one for each set of components: where a component requires another
    anew, two of them may have become alike."""
    alike: dict[frozenset[type], list[TableImage]] = {}
    for table in tables:
        alike.setdefault(frozenset(table.components), []).append(table)
    if len(alike) == len(tables):
        return tuple(tables)
    merged = []
    for parts in alike.values():
        first = parts[0]
        if len(parts) > 1:
            first = TableImage(
                first.components,
                first.number,
                sum(part.n for part in parts),
                np.concatenate([part.ids for part in parts]),
                {
                    made: np.concatenate([part.columns[made] for part in parts])
                    for made in first.columns
                },
            )
        merged.append(first)
    ranks = {number: rank for rank, number in enumerate(sorted(t.number for t in merged))}
    return tuple(replace(table, number=ranks[table.number]) for table in merged)
