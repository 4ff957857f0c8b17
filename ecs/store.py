"""Structure: which entity has which components, and every way in which that changes.

The store is the engine under `World`. Each operation has two halves: everything that can fail
(conversion, ranges, living references, unique pairs, required components, memory) comes first and
changes nothing that a caller could see; then the change is made, which cannot fail. New rows are
written into the slack of a table and become rows only by the commit.

Order of a change: observers of "remove" and "despawn" (the data is still there), indices and
pairs, rows, then observers of "add".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from .batch import Batch, Group, NewRows, Values
from .bundle import Bundle, with_required
from .cascade import closure
from .changes import Changes
from .component import Schema, schema
from .entities import EntityIndex, Ids, by_table, index_of, plain
from .errors import (
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateEntityError,
    QueryError,
    RequiredComponentError,
    StructuralChangeError,
)
from .fields import NOBODY, Field
from .observers import Change, Kind, Observers
from .pairs import PairIndex, pair_keys
from .references import ReferenceIndex
from .rows import copy_rows, first_repeat
from .table import Archetype, Array, BufferPool, Key, Table, move_plan
from .text import Mark, TextPool
from .values import default_of, list_of, prepare

if TYPE_CHECKING:
    from .world import World


F = TypeVar("F", bound=Callable[..., Any])


def _exclusive(operation: F) -> F:
    """A change that waits until nobody looks at the store from another thread. 0.1 µs."""

    @wraps(operation)
    def alone(self: Store, *arguments: Any, **named: Any) -> Any:
        with self.moment:
            return operation(self, *arguments, **named)

    return alone  # type: ignore[return-value]


class Checking:
    """A context made by `Store.checking`; entered, the moment of the text pool to go back to."""

    # A class, as a generator costs 1 µs more, a twentieth of a small spawn.
    __slots__ = ("held", "store", "working")

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> Mark:
        # Nobody sees strings that may be taken back; a worker's step holds the moment for it.
        self.working = threading.get_ident() in self.store.workers
        if not self.working:
            self.store.moment.acquire()
        self.held = self.store.text.mark()
        return self.held

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self.store.text.rollback(self.held)
        finally:
            if not self.working:
                self.store.moment.release()


class Store:
    """All entities, tables and indices of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.entities = EntityIndex()
        self.text = TextPool()
        self.pool = BufferPool()
        self.numbers: dict[type, int] = {}
        self.archetypes: list[Archetype] = []
        self.tables: list[Table] = []
        self.indices: dict[Field, ReferenceIndex] = {}
        self.pairs: dict[type, PairIndex] = {}
        self.changes = Changes(self)
        self.observers = Observers()
        self.locked = ""
        self.moment = threading.RLock()  # who holds it sees nothing change
        self.workers: set[int] = set()  # threads that run systems for who holds it
        self._by_mask: dict[int, Archetype] = {}
        self._defaults: dict[Field, Array] = {}

    # -- components and archetypes -----------------------------------------------------------

    def number(self, component: type) -> int:
        """The bit of a component in archetype masks; given at first sight."""
        number = self.numbers.get(component)
        if number is None:
            made = schema(component)
            if made.is_event:
                raise QueryError(f"{made.name} is an event; only components are in tables")
            number = self.numbers[component] = len(self.numbers)
            for field in made.fields:
                if field.index:
                    self.indices[field] = ReferenceIndex(self, field)
            if made.unique:
                self.pairs[component] = PairIndex(self, made)
        return number

    def mask(self, components: Iterable[type]) -> int:
        """The bits of several components."""
        mask = 0
        for component in components:
            mask |= 1 << self.number(component)
        return mask

    def archetype(self, mask: int) -> Archetype:
        """The archetype of a mask, made at first sight."""
        found = self._by_mask.get(mask)
        if found is None:
            parts = tuple(c for c, number in self.numbers.items() if mask >> number & 1)
            found = Archetype(mask, parts, self.changes.tracked)
            found.table = Table(self, found, len(self.tables))
            self.tables.append(found.table)
            self._by_mask[mask] = found
            self.archetypes.append(found)
        return found

    # -- addressing --------------------------------------------------------------------------

    def locate(self, ids: Ids) -> Batch:
        """The rows of distinct living ids.

        Raises DeadEntityError, DuplicateEntityError. Cost: 0.5 to 5 ns an id, and a sort where
        rows do not come in order; one comparison for a whole table in its own order.
        """
        k = ids.size
        if not k:
            return Batch([], 0)
        first = int(ids[0]) & 0xFFFF_FFFF
        if first < self.entities.n_slots:
            number = int(self.entities.slots[first, 1])
            if number < len(self.tables) and self.tables[number].n == k:
                table = self.tables[number]
                if np.array_equal(ids, table.buffers[0][:k]):
                    return Batch([Group(table, None, slice(None))], k)
        rows, tables, together, ascending = self.entities.resolve(ids)
        if together:
            groups = [Group(self.tables[tables[0]], rows, slice(None), rows if ascending else None)]
        else:
            parts = by_table(tables, rows)
            groups = [Group(self.tables[number], its, take) for number, take, its in parts]
        for group in groups:
            if group.ordered is None:
                self._refuse_duplicates(group, ids)
        return Batch(groups, k)

    def _refuse_duplicates(self, group: Group, ids: Ids) -> None:
        ordered = group.sorted_rows()
        twice = first_repeat(ordered)
        if twice >= 0:
            entity = group.table.buffers[0][ordered[twice]]
            places = np.flatnonzero(ids == entity)[:2].tolist()
            raise DuplicateEntityError(
                f"entity {int(entity)} is twice in the batch, at places {places[0]:,} and "
                f"{places[1]:,}; a batch names each entity once: np.unique(ids) drops repeats"
            )

    def whole(self, tables: Iterable[Table]) -> Batch:
        """Every row of some tables, in their order."""
        groups, n = [], 0
        for table in tables:
            groups.append(Group(table, None, slice(n, n + table.n)))
            n += table.n
        return Batch(groups, n)

    # -- guards ------------------------------------------------------------------------------

    def guard(self, doing: str) -> None:
        """Raise StructuralChangeError while structure may not change, to who would change it from
        within. Another thread waits for the moment instead."""
        if self.locked and self.is_inside():
            raise StructuralChangeError(
                f"{doing} inside {self.locked} would change tables that are in use; queue it with "
                f"Commands (a system parameter, or world.commands): it is applied at the next "
                f"sync point"
            )

    def is_inside(self) -> bool:
        """Whether this thread makes the step, or works for it."""
        inside: bool = self.moment._is_owned()  # type: ignore[attr-defined]  # as Condition asks
        return inside or threading.get_ident() in self.workers

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """No structural change inside."""
        before, self.locked = self.locked, name
        try:
            yield
        finally:
            self.locked = before

    def checking(self) -> Checking:
        """The half of an operation that may fail: takes back the strings it interned."""
        return Checking(self)

    def _notify(self, kind: Kind, changes: list[Change]) -> None:
        for observer, ids in self.observers.calls(kind, changes):
            with self.lock(f"an observer of {observer.component.__name__}"):
                observer.callback(self.world, ids)

    def _changed(self) -> None:
        if self.world.debug:
            self.world.check()

    # -- values ------------------------------------------------------------------------------

    def prepare(self, bundle: Bundle, n: int, what: str, defaults: bool = True) -> Values:
        """Checked values of every given field, and the defaults of the others if asked."""
        self._intern_by_row(bundle, n)
        values: Values = {}
        for component, given in bundle.items():
            for field in schema(component).fields:
                if field.name in given:
                    values[field] = self.prepare_field(field, given[field.name], n, what)
                elif defaults:
                    default = self._defaults.get(field)
                    if default is None:
                        default = default_of(field, self.text)
                        if field.kind != "text":
                            self._defaults[field] = default
                    values[field] = default
        return values

    def _intern_by_row(self, bundle: Bundle, n: int) -> None:
        """Give new strings their codes row by row, not field by field, so that codes do not depend
        on how a batch is split. What is no column of strings is left to `prepare`."""
        texts = [f for c, given in bundle.items() for f in schema(c).texts if f.name in given]
        if len(texts) < 2:
            return
        columns: list[list[str]] = []
        for field in texts:
            value = bundle[field.component][field.name]
            column = [value] * n if isinstance(value, str) else list_of(value)
            if len(column) == n and set(map(type, column)) <= {str, np.str_}:
                columns.append(column)
        self.text.intern(chain.from_iterable(zip(*columns, strict=True)))

    def prepare_field(self, field: Field, value: Any, n: int, what: str) -> Array:
        """One checked value: as `values.prepare`, and references name the living."""
        array = prepare(field, value, n, self.text, what)
        if field.kind == "entity":
            ids = plain(array.reshape(-1))
            bad = self.entities.first_dead(ids, nobody=True)
            if bad >= 0:
                why = self.entities.obituary(int(ids[bad]), bad, ids.size)
                raise DeadEntityError(f"{field}: {why}")
        return array

    def _new_keys(
        self, made: Schema, values: Values, n: int, known_new: bool = False
    ) -> npt.NDArray[np.uint64]:
        keys = self.pairs[made.cls].keys_of(values, n)
        if not known_new:
            self.pairs[made.cls].refuse_known(keys)
        return keys

    # -- operations --------------------------------------------------------------------------

    @_exclusive
    def spawn(self, bundle: Bundle, n: int, doing: str = "spawn") -> Ids:
        """n new entities with these components."""
        self.guard(doing)
        with self.checking() as held:
            whole = with_required(bundle, doing)
            values = self.prepare(whole, n, "spawned row")
            if not n:
                self.text.rollback(held)
                return np.empty(0, np.uint64)
            new = self.stage(tuple(whole), values, n)
        return self.commit(new)

    def stage(
        self, components: tuple[type, ...], values: Values, n: int, new_pairs: type | None = None
    ) -> NewRows:
        """Write n new rows, from checked values of all their fields, into the slack of their table.

        new_pairs: the component whose pairs are known to be new and distinct.
        """
        archetype = self.archetype(self.mask(components))
        keys = [(s, self._new_keys(s, values, n, s.cls is new_pairs)) for s in archetype.pairs]
        begin = archetype.table.n
        buffers, capacity = archetype.table.room(n)
        self.entities.reserve(n)
        for field in archetype.fields:
            buffers[archetype.place[field]][begin : begin + n] = values[field]
        return NewRows(archetype, n, buffers, capacity, keys)

    @_exclusive
    def commit(self, new: NewRows) -> Ids:
        """Make staged rows entities. An observer of "add" that raises does so after that."""
        archetype, table = new.archetype, new.archetype.table
        begin, end = table.n, table.n + new.n
        table.settle_in(new.buffers, new.capacity)
        ids = table.buffers[0][begin:end]
        self.entities.allocate(ids, table.number, begin)
        table.n = end
        table.touch()
        self._gained(table, begin, end, archetype.components, new.keys)
        born = self.pool.lend_ids(new.n)
        born[:] = ids
        if self.observers.held:
            self._notify("add", [(archetype.components, born)])
        self._changed()
        return born

    def _gained(
        self, table: Table, begin: int, end: int, components: tuple[type, ...], keys: list[Any]
    ) -> None:
        """Indices, pairs and change ticks of rows that have just got components."""
        ids = table.buffers[0][begin:end]
        for field in table.archetype.indexed:
            if field.component in components:
                owners = table.buffers[table.archetype.place[field]][begin:end]
                self.indices[field].add(owners, ids)
        for made, new in keys:
            if made.cls in components:
                self.pairs[made.cls].table.insert(new, ids)
        self.changes.fresh(table, begin, end, components)

    @_exclusive
    def add(self, batch: Batch, bundle: Bundle, doing: str = "add") -> None:
        """Give every entity of the batch these components, moving each row once."""
        self.guard(doing)
        if not bundle:
            return
        with self.checking():
            given = self.mask(bundle)
            for group in batch.groups:
                self._refuse_present(group, given, doing)
            have = [group.table.archetype.components for group in batch.groups]
            present = set(have[0]).intersection(*have[1:]) if have else set()
            whole = with_required(bundle, doing, present)
            values = self.prepare(whole, batch.n, "entity")
            self._detach(batch, values)
            keys = {
                s.cls: self._new_keys(s, values, batch.n) for s in map(schema, whole) if s.unique
            }
            extra = self.mask(whole)
            moves = [(g, self.archetype(g.table.archetype.mask | extra)) for g in batch.groups]
            room = self._make_room(moves)
        told: list[Change] = []
        for (group, target), fresh in zip(moves, room, strict=True):
            plan = move_plan(group.table.archetype, target)
            new = {
                f: values[f] if values[f].shape == f.shape else values[f][group.take]
                for f in plan.fresh
            }
            made_keys = [(s, keys[s.cls][group.take]) for s in target.pairs if s.cls in keys]
            if self.observers.held:
                told.append((plan.fresh_components, group.ids.copy()))
            table, begin, end = self._move(group, target, new, fresh)
            self._gained(table, begin, end, plan.fresh_components, made_keys)
        if told:
            self._notify("add", told)
        self._changed()

    def _refuse_present(self, group: Group, mask: int, doing: str) -> None:
        have = group.table.archetype.mask & mask
        if have and group.size:
            name = next(c.__name__ for c, number in self.numbers.items() if have >> number & 1)
            raise ComponentPresentError(
                f"{doing}: entity {int(group.ids[0])} has {name} already; world.set changes its "
                f"values, world.query(..., without={name}) leaves such entities out"
            )

    def refuse_missing(self, batch: Batch, components: Iterable[type], doing: str) -> None:
        """Raise ComponentMissingError where an entity lacks one of these."""
        for group in batch.groups:
            archetype = group.table.archetype
            for component in components:
                if component not in archetype.components and group.size:
                    raise ComponentMissingError(
                        f"{doing}: entity {int(group.ids[0])} has no {schema(component).name}; it "
                        f"has {archetype}"
                    )

    @_exclusive
    def remove(self, batch: Batch, components: tuple[type, ...], doing: str = "remove") -> None:
        """Take these components from every entity of the batch."""
        self.guard(doing)
        if not components:
            return
        gone = self.mask(components)
        self.refuse_missing(batch, components, doing)
        for group in batch.groups:
            for made in group.table.archetype.schemas:
                needed = [c for c in made.requires if c in components]
                if needed and made.cls not in components:
                    raise RequiredComponentError(
                        f"{doing}: {made.name} requires {needed[0].__name__}; remove {made.name} "
                        f"as well, or keep both"
                    )
        moves = [(g, self.archetype(g.table.archetype.mask & ~gone)) for g in batch.groups]
        room = self._make_room(moves)
        if self.observers.held:
            self._notify("remove", [(components, group.ids) for group, _ in moves])
        for (group, target), fresh in zip(moves, room, strict=True):
            self._lost(group, components)
            self._move(group, target, {}, fresh)
        self._changed()

    def _lost(self, group: Group, components: tuple[type, ...]) -> None:
        """Indices and pairs of entities that are about to lose components."""
        archetype = group.table.archetype
        for field in archetype.indexed:
            if field.component in components:
                self.indices[field].discard(group.column(field), group.ids)
        for made in archetype.pairs:
            if made.cls in components:
                source, target = (group.column(f) for f in made.unique)
                self.pairs[made.cls].table.discard(pair_keys(source, target))

    def _make_room(self, moves: list[tuple[Group, Archetype]]) -> list[dict[Key, Array] | None]:
        """All the memory that the moves will take, before the first row moves.

        For each move the buffers that a hand-over needs, or None where rows are appended. A table
        is handed over when all of it goes to an empty table and nothing else does.
        """
        coming: dict[Archetype, int] = {}
        for group, target in moves:
            coming[target] = coming.get(target, 0) + group.size
        fresh: list[dict[Key, Array] | None] = []
        for group, target in moves:
            table, k = target.table, coming[target]
            if group.rows is None and not table.n and group.size == k:
                held, capacity = group.table.archetype.place, group.table.capacity
                fresh.append({k: self.pool.take(k, capacity) for k in target.keys if k not in held})
            else:
                table.settle_in(*table.room(k))
                fresh.append(None)
        return fresh

    def _move(
        self, group: Group, target: Archetype, values: Values, fresh: dict[Key, Array] | None
    ) -> tuple[Table, int, int]:
        """Move rows to another archetype, where `_make_room` made room; returns where they are."""
        table = group.table
        self.changes.settle(table)
        if fresh is not None:
            return self._hand_over(table, target, values, fresh)
        plan = move_plan(table.archetype, target)
        into, k = target.table, group.size
        begin, end = into.n, into.n + k
        rows = np.arange(begin, end, dtype=np.uint32)
        if group.rows is None:
            for a, b in plan.shared.tolist():
                into.buffers[b][begin:end] = table.buffers[a][:k]
        else:
            copy_rows(table.raw, into.raw, plan.shared, group.rows, rows)
        for field, value in values.items():
            into.buffers[target.place[field]][begin:end] = value
        into.n = end
        into.touch()
        self.entities.place(into.buffers[0], rows, into.number)
        if group.rows is None:
            table.n = 0
            table.touch()
        else:
            table.close(group.sorted_rows())
        return into, begin, end

    def _hand_over(
        self, table: Table, target: Archetype, values: Values, fresh: dict[Key, Array]
    ) -> tuple[Table, int, int]:
        """A whole table becomes the table of another archetype: columns change hands, rows do not
        move, and slots stay right because they name the table, not the archetype."""
        source, empty, n = table.archetype, target.table, table.n
        spare = dict(zip(source.keys, table.buffers, strict=True))
        kept = {k: spare.pop(k) if k in spare else fresh.pop(k) for k in target.keys}
        held = table.handed or b""
        out = [key for key, flag in zip(source.keys, held, strict=False) if flag and key in kept]
        table.touch()
        empty.touch()
        unused = [*spare.values(), *empty.buffers]
        spare.clear()
        table.adopt(target, [kept[key] for key in target.keys], table.capacity)
        empty.adopt(source, [self.pool.take(key, 0) for key in source.keys], 0)
        if table.handed is not None:
            for key in out:  # somebody still holds a part of it
                table.handed[target.place[key]] = 1
        target.table, source.table = table, empty
        while unused:
            buffer = unused.pop()
            self.pool.give(buffer)
        for field, value in values.items():
            table.buffers[target.place[field]][:n] = value
        return table, 0, n

    def set(self, batch: Batch, bundle: Bundle, doing: str = "set") -> None:
        """Change the given fields of every entity of the batch."""
        self.guard(doing)
        with self.checking():
            self.refuse_missing(batch, bundle, doing)
            for component, given in bundle.items():
                lasting = schema(component).lasting
                self.refuse_lasting((f for f in lasting if f.name in given), doing)
            values = self.prepare(bundle, batch.n, "entity", defaults=False)
        self._detach(batch, values)
        self.set_values(batch, values)

    def _detach(self, batch: Batch, values: Values) -> None:
        """Copy values that are columns of the batch's own tables: they count as they were at the
        call, whatever is written or moved first."""
        for field, value in values.items():
            if value.base is None:  # all that is ever handed out is a part of a column
                continue
            buffers = (buffer for group in batch.groups for buffer in group.table.buffers)
            if any(np.may_share_memory(value, buffer) for buffer in buffers):
                values[field] = value.copy()

    @_exclusive
    def set_values(self, batch: Batch, values: Values) -> None:
        """Change fields to checked values."""
        for group in batch.groups:
            for field, value in values.items():
                new = value if value.shape == field.shape else value[group.take]
                if field.index:
                    self._redirect(group, field, new)
                column = group.table.column(field)
                column[slice(None) if group.rows is None else group.rows] = new
                self.changes.opened(group.table, field.component, group.rows)
        self._changed()

    def refuse_lasting(self, fields: Iterable[Field], doing: str) -> None:
        """Raise QueryError for a field that is written once."""
        for field in fields:
            if field in schema(field.component).unique:
                raise QueryError(
                    f"{doing}: {field} is part of a unique pair and fixed for life; despawn the "
                    f"edge and spawn another"
                )
            if field.fixed:
                raise QueryError(f"{doing}: {field.sealed}")

    def _redirect(self, group: Group, field: Field, new: Array) -> None:
        old, ids = group.column(field), group.ids
        self.indices[field].discard(old, ids)
        self.indices[field].add(np.broadcast_to(new, ids.shape).copy(), ids)

    @_exclusive
    def despawn(self, batch: Batch, doing: str = "despawn") -> int:
        """End every entity of the batch and all that follow it. Returns how many ended."""
        self.guard(doing)
        if not batch.n:
            return 0
        batch, cleared = closure(self, batch, doing)
        if self.observers.held:
            ending = [(group.table.archetype.components, group.ids) for group in batch.groups]
            self._notify("remove", ending)
            self._notify("despawn", ending)
        for field, members in cleared:
            for group in self.locate(members).groups:
                group.table.column(field)[group.sorted_rows()] = NOBODY
                self.changes.opened(group.table, field.component, group.rows)
        dead = [
            g.ids if g.rows is None else g.table.buffers[0].take(g.sorted_rows())
            for g in batch.groups
        ]
        for index in self.indices.values():
            if len(index.buckets):
                for ids in dead:  # whoever named the dead is dead too, or names nobody now
                    index.buckets.drop(index_of(ids))
        for group in batch.groups:
            self._lost(group, group.table.archetype.components)
        for group, ids in zip(batch.groups, dead, strict=True):
            table = group.table
            self.changes.settle(table)
            if group.rows is None:
                table.n = 0
                table.touch()
            else:
                table.close(group.sorted_rows())
            self.entities.release(ids)
        self._changed()
        return batch.n
