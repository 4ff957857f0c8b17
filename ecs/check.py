"""Every invariant of a world, verified from scratch: what `World.check` and debug mode run.

Reads everything and changes nothing. Cost: O(all rows), with Python work per table only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from .component import schema
from .entities import FREE, INDEX_MASK
from .errors import ColumnValueError, InvariantError
from .fields import NOBODY
from .pairs import pair_keys
from .table import Table, address_of
from .values import check_column

if TYPE_CHECKING:
    from .store import Store


def check(store: Store) -> None:
    """Raise InvariantError with the first fault found."""
    _check_entities(store)
    for number, table in enumerate(store.tables):
        _check_table(store, table, number)
    _check_archetypes(store)
    _check_references(store)
    _check_pairs(store)


def _fault(message: str) -> NoReturn:
    raise InvariantError(
        f"{message}; this is a fault of Populace, or of a raw write past a view: please report it "
        f"with the steps that led here"
    )


def _check_entities(store: Store) -> None:
    entities = store.entities
    slots = entities.slots[: entities.n_slots]
    free = entities.free_indices()
    if free.size != entities.n_free or (free.size and int(free[-1]) >= entities.n_slots):
        _fault(f"{entities.n_free:,} slots count as free, the bitmap holds {free.size:,}")
    unused = slots[:, 1] == FREE
    retired = unused & (slots[:, 0] >> np.uint64(32) == 0)
    if int(retired.sum()) != entities.n_retired:
        _fault(f"{entities.n_retired:,} slots count as retired, {int(retired.sum()):,} are")
    if not np.array_equal(np.flatnonzero(unused & ~retired), free):
        _fault("the free bitmap and the slots disagree")
    rows = sum(table.n for table in store.tables)
    if len(entities) != rows:
        _fault(f"{len(entities):,} entities are alive, the tables hold {rows:,} rows")


def _check_table(store: Store, table: Table, number: int) -> None:
    name, n = table.archetype, table.n
    if table.number != number or store.tables[number] is not table:
        _fault(f"table {number} ({name}) carries number {table.number}")
    if len(table.buffers) != len(name.keys) or n > table.capacity:
        _fault(f"table {name} has {n:,} rows, {len(table.buffers)} columns of {table.capacity:,}")
    for key, buffer, raw in zip(name.keys, table.buffers, table.raw, strict=True):
        shape = (table.capacity, key.width) if key.width else (table.capacity,)
        if buffer.shape != shape or buffer.dtype != key.dtype or address_of(buffer) != raw[0]:
            _fault(f"column {key!r} of {name} is {buffer.dtype} {buffer.shape}, not {shape}")
    if not n:
        return
    ids = table.buffers[0][:n]
    slots = store.entities.slots[(ids & INDEX_MASK).astype(np.intp)]
    expected = (ids & ~INDEX_MASK) | np.arange(n, dtype=np.uint64)
    if not np.array_equal(slots[:, 0], expected) or not (slots[:, 1] == number).all():
        _fault(f"the ids of table {name} and the entity index are not inverse")
    for field in name.fields:
        column = table.column(field)
        if field.kind == "text" and (why := store.text.fault(column)):
            _fault(f"{field} holds a code without a string: {why}")
        if not field.derived:
            try:
                check_column(field, column)
            except ColumnValueError as error:
                _fault(f"a raw write put a value that is not allowed into a column: {error}")


def _check_archetypes(store: Store) -> None:
    held = [archetype.table for archetype in store.archetypes]
    if len(set(map(id, held))) != len(store.tables):
        _fault(f"{len(store.archetypes)} archetypes do not have one table each")
    for archetype in store.archetypes:
        if archetype.table.archetype is not archetype:
            _fault(f"the table of {archetype} thinks that it is one of {archetype.table.archetype}")
        if archetype.mask != store.mask(archetype.components):
            _fault(f"the mask of {archetype} is {archetype.mask:b}")
        for made in archetype.schemas:
            absent = [c for c in made.requires if c not in archetype.components]
            if absent and archetype.table.n:
                _fault(
                    f"entities of {archetype} lack {absent[0].__name__}, which {made.name} requires"
                )


def _check_references(store: Store) -> None:
    for field, index in store.indices.items():
        index.buckets.check()
        owners, members = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for archetype in store.archetypes:
            if field in archetype.place and archetype.table.n:
                named = archetype.table.column(field)
                owners.append(named[named != NOBODY])
                members.append(archetype.table.buffers[0][: named.size][named != NOBODY])
        owner, member = np.concatenate(owners), np.concatenate(members)
        bad = store.entities.first_dead(owner)
        if bad >= 0:
            _fault(f"{field} of entity {int(member[bad])} names {int(owner[bad])}, which is dead")
        csr = index.csr()
        found = np.repeat(csr.owners, np.diff(csr.offsets))
        by_owner, by_found = np.lexsort((member, owner)), np.lexsort((csr.ids, found))
        if not (
            np.array_equal(owner[by_owner], found[by_found])
            and np.array_equal(member[by_owner], csr.ids[by_found])
        ):
            _fault(f"the index of {field} and its column disagree")


def _check_pairs(store: Store) -> None:
    for component, index in store.pairs.items():
        index.table.check()
        source, target = schema(component).unique
        keys, ids = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for archetype in store.archetypes:
            if component in archetype.components and archetype.table.n:
                table = archetype.table
                keys.append(pair_keys(table.column(source), table.column(target)))
                ids.append(table.buffers[0][: table.n])
        key, entity = np.concatenate(keys), np.concatenate(ids)
        order = np.argsort(key)
        held_keys, held_ids = index.table.items()
        if not np.array_equal(key[order], held_keys) or not np.array_equal(entity[order], held_ids):
            _fault(f"the pairs of {schema(component).name} and their table disagree")
