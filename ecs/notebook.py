"""What a notebook shows of a world and of what is in it.

Each function is the `_repr_html_` of one class: the object as a page of `html.py`. None raises,
whatever state a world is in, and nothing that they show counts as handed out.
Invariant: an answer is of one moment: it waits for the step of another thread to end.
Cost: that of the rows and names shown, at most `ROWS` and `NAMES`, whatever the rows of the world.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Any

from .component import Schema, schema
from .errors import PopulaceError
from .fields import Field
from .html import count, moment, note, page, section, size, table

if TYPE_CHECKING:
    from .inspection import Row
    from .query import Query
    from .schedule import Entry, Schedule
    from .store import Store
    from .table import Table
    from .telemetry import Telemetry
    from .views import _ViewBase
    from .world import World

ROWS = 10
NAMES = 20
VECTOR = 4
SINCE_1970 = "us since 1970"


# -- a world ---------------------------------------------------------------------------------------


def world_html(world: World) -> str:
    """Its clock, its tables, components, resources, kept events and systems. The bytes are of all
    but texts, whose sizes would have to be looked at one by one."""
    store = world.store
    with _still(store):
        tables = sorted((a.table for a in store.archetypes), key=lambda t: -t.n)
        nbytes = (
            sum(t.nbytes for t in tables)
            + store.entities.nbytes
            + store.pool.nbytes
            + sum(index.buckets.nbytes for index in store.indices.values())
            + sum(index.table.nbytes for index in store.pairs.values())
        )
        clock = world.clock
        title = (
            f"World, seed {world.seed}: {len(world):,} entities in {len(tables):,} tables, "
            f"{size(nbytes)} without texts"
        )
        now = f"tick {clock.tick:,}, clock at {moment(clock.now)} ({clock.seconds:,.0f} s)"
        parts = [note(now), _tables(tables)]
        if store.numbers:
            parts.append(_components(list(store.numbers)))
        parts.append(_resources(list(world.resources)))
        if world.journals:
            kept = [[cls.__name__, count(len(j))] for cls, j in world.journals.items()]
            parts.append(section("Kept events", table(["event", "kept"], kept[:NAMES]), False))
        if world.schedule.entries:
            body = _systems(world.telemetry, world.schedule.entries)
            parts.append(section("Systems", body, open=world.telemetry.steps > 0))
        return page(title, *parts)


def _tables(tables: list[Table]) -> str:
    rows = [[str(t.archetype), count(t.n), size(t.nbytes)] for t in tables[:NAMES]]
    headings = ["components of a table", "rows", "memory"]
    return table(headings, rows, len(tables) - NAMES) if rows else ""


def _components(components: list[type]) -> str:
    rows = [
        [made.name, ", ".join(f"{f.name}: {_kind(f)}" for f in made.fields) or "a tag", made.doc]
        for made in map(schema, components[: 2 * NAMES])
    ]
    body = table(["component", "fields", "what it is"], rows, len(components) - 2 * NAMES)
    return section("Components", body, open=False)


def _resources(resources: list[Any]) -> str:
    rows = [[type(r).__name__, _values(r)] for r in resources[: 2 * NAMES]]
    body = table(["resource", "values"], rows, len(resources) - 2 * NAMES)
    return section("Resources", body, open=False)


def _values(resource: Any) -> str:
    """The fields of a dataclass in words: numbers, flags, texts and enum members; of anything else
    its type, since what a user's object says of itself may be long, or an error."""
    told = []
    for part in dataclasses.fields(resource)[:NAMES]:
        value = getattr(resource, part.name, None)
        if isinstance(value, Enum):
            told.append(f"{part.name}={value.name}")
        elif isinstance(value, float):
            told.append(f"{part.name}={value:.6g}")
        elif isinstance(value, bool | int | type(None)):
            told.append(f"{part.name}={value}")
        elif isinstance(value, str):
            told.append(f"{part.name}={value[:40]!r}")
        else:
            told.append(f"{part.name}: {type(value).__name__}")
    return ", ".join(told)


# -- systems ---------------------------------------------------------------------------------------


def telemetry_html(telemetry: Telemetry) -> str:
    """Steps, the systems with their times, and what was counted."""
    told = f"{telemetry.steps:,} steps, {telemetry.step_ns / 1e6:,.1f} ms, "
    told += f"{telemetry.commands:,} commands applied"
    parts = [_systems(telemetry, ())]
    counts = {**telemetry.counts, **telemetry.looks}
    if counts:
        rows = [[name, count(n)] for name, n in list(counts.items())[: 2 * NAMES]]
        parts.append(section("Counts", table(["of", "count"], rows, len(counts) - 2 * NAMES)))
    return page(f"Telemetry: {told}", *parts)


def _systems(telemetry: Telemetry, registered: Iterable[str]) -> str:
    """The systems, most time first; then those that have not run."""
    ran = sorted(dict(telemetry.systems).items(), key=lambda item: -item[1].ns)
    rows = [
        [name, count(s.calls), count(s.rows), _ms(s.ns), _ms(s.ns / max(s.calls, 1)),
         count(s.left_out)]
        for name, s in ran
    ]  # fmt: skip
    known = {name for name, _ in ran}
    rows += [[name, count(0), count(0), None, None, count(0)]
             for name in registered if name not in known]  # fmt: skip
    headings = ["system", "calls", "rows", "ms", "ms a call", "left out"]
    if not any(s.left_out for _, s in ran):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    lagging = telemetry.sweeps_every
    told = f"to keep within its budget, one sweep in {lagging} is made" if lagging > 1 else ""
    return table(headings, rows[: 2 * NAMES], len(rows) - 2 * NAMES) + note(told)


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)


def schedule_html(schedule: Schedule) -> str:
    """The plan: phases, stages, and for each system when it runs, what it reads and writes."""
    from .schedule import accesses, times

    try:
        phases = schedule.stages()
    except PopulaceError as error:  # an order that cannot be met
        phases, wrong = {"(no order)": [[entry] for entry in schedule.entries.values()]}, str(error)
    else:
        wrong = ""
    parts = [note(wrong)]
    for phase, stages in phases.items():
        rows = [
            [str(number), entry.name, *accesses(entry), ", ".join(times(entry)) or "every step"]
            for number, entry in _numbered(stages)
        ]
        if rows:
            headings = ["stage", "system", "reads", "writes", "when"]
            body = table(headings, rows[: 5 * NAMES], len(rows) - 5 * NAMES)
            parts.append(section(f"Phase {phase}", body))
    return page(f"Schedule: {len(schedule.entries):,} systems", *parts)


def _numbered(stages: list[list[Entry]]) -> Iterator[tuple[int, Entry]]:
    for number, stage in enumerate(stages, 1):
        for entry in stage:
            yield number, entry


# -- rows ------------------------------------------------------------------------------------------


def table_html(shown: Table) -> str:
    """One archetype's table: its columns, and its first rows."""
    with _still(shown.store):
        archetype = shown.archetype
        title = (
            f"Table of {archetype}: {shown.n:,} rows, room for {shown.capacity:,}, "
            f"{size(shown.nbytes)}"
        )
        place = archetype.place
        columns = [
            [str(f), _kind(f), f.unit, size(shown.buffers[place[f]].nbytes), f.doc]
            for f in archetype.fields
        ]
        headings = ["column", "type", "unit", "memory", "meaning"]
        return page(
            title,
            section("Columns", table(headings, columns[: 2 * NAMES], len(columns) - 2 * NAMES)),
            section("Rows", _rows([shown], archetype.components, shown.n)),
        )


def query_html(query: Query) -> str:
    """What a query asks for, the tables that match, and the first rows."""
    with _still(query.filter.store):
        tables = query.tables()
        total = query.count()
        matching = [[str(t.archetype), count(t.n)] for t in tables[:NAMES]]
        body = table(["components of a table", "rows"], matching, len(tables) - NAMES)
        return page(
            f"{query.asks()}: {total:,} rows in {len(tables):,} tables",
            section("Tables", body) if tables else "",
            section("Rows", _rows(tables, (*query.fetch, *query.optional), total)),
        )


def view_html(view: _ViewBase) -> str:
    """One component of one table: its first rows."""
    shown = view._table
    with _still(shown.store):
        if view._version != shown.version:
            return page(repr(view), note("its table has gained or lost rows; query again"))
        return page(repr(view), _rows([shown], (view._component,), shown.n))


def row_html(row: Row) -> str:
    """One entity: each value with its unit and meaning."""
    with _still(row._store):
        try:
            found, at = row._where()
        except PopulaceError as error:  # it is dead
            return page(f"Entity {row.id}", note(str(error)))
        cells = []
        for made in found.archetype.schemas:
            for field in made.fields:
                stored = found.column(field)[at]
                cells.append([made.name, field.name, _value(row._store, field, stored), field.unit,
                              field.doc])  # fmt: skip
            if made.is_tag:
                cells.append([made.name, "", "", "", "a tag"])
        headings = ["component", "field", "value", "unit", "meaning"]
        body = table(headings, cells[: 5 * NAMES], len(cells) - 5 * NAMES, longest=500)
        return page(f"Entity {row.id}: {found.archetype}", body if cells else "")


def _rows(tables: list[Table], components: Iterable[type], total: int) -> str:
    """The first rows of these tables: ids, and the fields of these components where they have
    them."""
    made = [schema(component) for component in components]
    headings: list[str | tuple[str, str]] = [("entity", "id")]
    headings += [(_heading(f, made), f.unit or _kind(f)) for s in made for f in s.fields]
    rows: list[list[Any]] = []
    for each in tables:
        n = min(ROWS - len(rows), each.n)
        if n <= 0:
            break
        columns: list[list[Any]] = [[str(entity) for entity in each.buffers[0][:n].tolist()]]
        for field in (field for s in made for field in s.fields):
            here = field in each.archetype.place
            column = each.column(field) if here else None
            columns.append([
                None if column is None else _value(each.store, field, column[at])
                for at in range(n)
            ])  # fmt: skip
        rows += map(list, zip(*columns, strict=True))
    return table(headings, rows, total - len(rows))


def _heading(field: Field, made: list[Schema]) -> str:
    return str(field) if len(made) > 1 else field.name


def _value(store: Store, field: Field, stored: Any) -> Any:
    """One stored value as it is told: a text, the name of an enum's member, a date."""
    if field.width:
        told = ", ".join(f"{value:.4g}" for value in stored[:VECTOR].tolist())
        return f"[{told}{', …' if field.width > VECTOR else ''}]"
    value = stored.item()
    if field.kind == "text":
        try:
            return store.text.decode([value])[0]
        except PopulaceError:  # a raw write left a code that no text has
            return f"(text {value})"
    if field.kind == "entity":
        return str(value) if value else "nobody"
    if field.choices is not None:
        names = {int(choice): choice.name.lower() for choice in field.choices}
        return names.get(value, str(value))
    return moment(value) if field.unit == SINCE_1970 else value


def _kind(field: Field) -> str:
    kind = field.dtype.name if field.kind in ("scalar", "vector") else field.kind
    width = f"[{field.width}]" if field.width else ""
    return f"{kind}{width}{', derived' if field.derived else ''}"


def _still(store: Store) -> AbstractContextManager[object]:
    """Nothing changes inside; a worker's step holds the moment for it."""
    return nullcontext() if threading.get_ident() in store.workers else store.moment
