"""Memories in the archive beside those in the tables, so that both are ranked as one.

Rows of the archive become one more table, at addresses of their own; texts of both get codes of a
pool that is nobody's, so that looking leaves no trace in the world's.

Invariant: a memory in the archive is compared by what it was archived with: its vector, where it
had one then.
Cost: reading the partitions, 2 µs a row, and 3 µs a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from populace.components import NEVER, MemoryKind, Persona
from populace.ecs import NOBODY, TextPool, World
from populace.ecs.entities import Ids
from populace.ecs.errors import QueryError
from populace.storage.classes import path_of

from .archive_reading import place_of, select
from .archive_rows import FLAGS
from .candidates import ALL_KINDS, FIRST, LAST, MemoryTables, Wanted
from .ranking import Held

Array = npt.NDArray[Any]


class Both(NamedTuple):
    """Memories in the tables and in the archive. pool: of the codes in `held.text_m`. columns: keep
    the archive's rows alive."""

    held: Held
    where: MemoryTables
    pool: TextPool
    columns: list[Array]


def with_archive(
    world: World,
    who: Ids,
    wanted: Wanted,
    held: Held,
    where: MemoryTables,
    component: type | None,
) -> Both:
    """Add the archived memories of some agents, each named once, to those in the tables.

    held: with text codes of the world's pool. component: of the vectors that are compared, or None.
    Raises QueryError for a filter by a component that the archive does not know, and what
    `archived` raises.
    """
    rows, name = _rows(world, who, wanted, component)
    by_id = np.argsort(who)
    owner = rows["agent_entity"].astype(np.uint64)
    agent = by_id[np.searchsorted(who, owner, sorter=by_id)]
    order = np.argsort(agent, kind="stable")
    rows = {each: column[order] for each, column in rows.items()}
    agent = agent[order]
    pool = TextPool()
    codes, places = np.unique(held.text_m, return_inverse=True)
    own = pool.intern(world.text.decode(codes))[places]
    columns = _columns(rows, name, component, pool.intern(rows["text"].tolist()))
    number = len(where.address_tc)
    before = np.repeat(np.arange(who.size), np.diff(held.offsets_a))
    merged = np.argsort(np.append(before, agent), kind="stable")
    n = agent.size
    return Both(
        Held(
            np.append(0, np.cumsum(np.bincount(np.append(before, agent), minlength=who.size))),
            np.append(held.table_m, np.full(n, number, np.uint32))[merged],
            np.append(held.row_m, np.arange(n, dtype=np.uint32))[merged],
            np.append(own, columns[3]).astype(np.uint32)[merged],
        ),
        where.with_rows(columns),
        pool,
        columns,
    )


def _rows(
    world: World, who: Ids, wanted: Wanted, component: type | None
) -> tuple[dict[str, Array], str | None]:
    """The rows of the archive that may answer, and what the vectors' component is called there."""
    for cls in (*wanted.with_, *wanted.without):
        if cls not in FLAGS:
            raise QueryError(
                f"the archive is filtered by {' and '.join(c.__name__ for c in FLAGS)} alone, not "
                f"by {cls.__name__}; leave it out, or leave archived=True out"
            )
    partitions, archive = place_of(world)
    known = archive.components if component is not None else {}
    name = next((n for n, path in known.items() if path == path_of(component)), None)  # type: ignore[arg-type]
    names = {
        "agent_entity", "sequence", "created", "kind", "accessed", "importance", "text", "expires",
        *FLAGS.values(),
    }  # fmt: skip
    rows = select(
        partitions,
        archive,
        None if name else names,
        agents=world.get(who, Persona.number),
        entities=who,
        since=None if wanted.since == FIRST else wanted.since,
        until=None if wanted.last == LAST else wanted.last + 1,
        kinds=None if wanted.kinds == ALL_KINDS else _kinds(wanted),
        importance=wanted.importance,
    )
    if not rows["agent_entity"].size:
        return dict.fromkeys(names, np.empty(0, object)), None
    fits = np.ones(rows["agent_entity"].size, np.bool_)
    for cls in wanted.with_:
        fits &= rows[FLAGS[cls]]
    for cls in wanted.without:
        fits &= ~rows[FLAGS[cls]]
    return {each: column[fits] for each, column in rows.items()}, name


def _kinds(wanted: Wanted) -> list[MemoryKind]:
    return [kind for kind in MemoryKind if wanted.kinds >> int(kind) & 1]


def _columns(
    rows: Mapping[str, Array],
    name: str | None,
    component: type | None,
    text: Array,
) -> list[Array]:
    """The rows as columns, in the order of addresses in `candidates`."""
    n = text.size
    numbers = {kind.name.lower(): int(kind) for kind in MemoryKind}
    columns = [
        rows["created"].astype(np.int64),
        np.array([numbers[kind] for kind in rows["kind"].tolist()], np.uint8),
        rows["sequence"].astype(np.uint32),
        text,
        rows["accessed"].astype(np.int64),
        rows["importance"].astype(np.float32),
        np.where(rows["statement"], rows["expires"], NEVER).astype(np.int64),
    ]
    if component is None:
        vectors, scale = np.empty(0, np.uint8), np.empty(0, np.float32)
    else:
        field = component.vector  # type: ignore[attr-defined]
        vectors, scale = np.zeros((n, field.width), field.dtype), np.zeros(n, np.float32)
        had = np.zeros(n, np.bool_)
        if name is not None and name in rows:
            had[:] = rows[name]
            vectors[had], scale[had] = rows[f"{name}.vector"][had], rows[f"{name}.scale"][had]
    columns += [vectors, scale, np.full(n, NOBODY, np.uint64)]
    return [np.ascontiguousarray(column) for column in columns]
