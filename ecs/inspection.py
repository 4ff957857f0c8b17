"""Looking at a world from outside: one entity, all of it in words, its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .component import Schema, schema
from .errors import ComponentMissingError
from .fields import Field
from .notebook import row_html
from .table import Hidden

if TYPE_CHECKING:
    from .store import Store
    from .world import World


class Row:
    """One entity as an object: slow and convenient.

    `row[Position].x` is a plain Python value; text comes as str, enums as members. It looks the
    entity up anew at each access, so it raises DeadEntityError after a despawn.
    """

    __slots__ = ("_store", "id")

    def __init__(self, store: Store, entity: int) -> None:
        self._store = store
        self.id = entity

    def _where(self) -> tuple[Any, int]:
        rows, tables, _, _ = self._store.entities.resolve(np.array([self.id], np.uint64))
        return self._store.tables[tables[0]], int(rows[0])

    @property
    def components(self) -> tuple[type, ...]:
        """The components it has."""
        parts: tuple[type, ...] = self._where()[0].archetype.components
        return parts

    def __contains__(self, component: type) -> bool:
        return component in self.components

    def __getitem__(self, component: Any) -> Any:
        """A value of one of its components. Raises ComponentMissingError."""
        made = schema(component)
        table, row = self._where()
        if component not in table.archetype.components:
            raise ComponentMissingError(
                f"entity {self.id} has no {made.name}; it has {table.archetype}"
            )
        value = component.__new__(component)
        value.__dict__.update({f.name: self._value(f, table.column(f)[row]) for f in made.fields})
        return value

    def _value(self, field: Field, stored: Any) -> Any:
        if field.kind == "text":
            return self._store.text.decode([stored])[0]
        if field.choices is not None:
            return field.choices(int(stored))
        return stored.copy() if field.width else stored.item()

    def __repr__(self) -> str:
        parts = ", ".join(repr(self[c]) for c in self.components)
        return f"<entity {self.id}: {parts}>"

    def _repr_html_(self) -> str:
        return row_html(self)


def memory(store: Store) -> dict[str, dict[str, int]]:
    """See `World.memory`."""
    found: dict[str, dict[str, int]] = {}
    for archetype in store.archetypes:
        columns = found[str(archetype)] = {}
        for key, buffer in zip(archetype.keys, archetype.table.buffers, strict=True):
            columns[_column_name(key)] = buffer.nbytes
    found["(entities)"] = {"slots": store.entities.nbytes}
    found["(indices)"] = {str(f): index.buckets.nbytes for f, index in store.indices.items()} | {
        c.__name__: index.table.nbytes for c, index in store.pairs.items()
    }
    found["(pool)"] = {"spare buffers": store.pool.nbytes}
    return found


def _column_name(key: Field | Hidden) -> str:
    if isinstance(key, Field):
        return str(key)
    if key.of is None:
        return "ids"
    return f"{key.role} of {key.of if isinstance(key.of, Field) else key.of.__name__}"


def describe(world: World) -> str:
    """See `World.describe`."""
    store, sizes = world.store, memory(world.store)
    total = sum(sum(columns.values()) for columns in sizes.values())
    lines = [
        f"World(seed={world.seed}): {len(world):,} entities in {len(store.archetypes):,} "
        f"archetypes, {total / 1e6:,.1f} MB, t = {world.clock.seconds:,.0f} s, "
        f"tick {world.clock.tick:,}",
        "",
        f"{'archetype':<48}{'rows':>14}{'MB':>10}",
    ]
    for archetype in sorted(store.archetypes, key=lambda a: -a.table.n)[:20]:
        megabytes = sum(sizes[str(archetype)].values()) / 1e6
        lines.append(f"{str(archetype)[:47]:<48}{archetype.table.n:>14,}{megabytes:>10,.1f}")
    if len(store.archetypes) > 20:
        lines.append(f"... and {len(store.archetypes) - 20:,} more")
    lines += ["", "components"]
    lines += [f"  {_component_line(schema(c))}" for c in store.numbers]
    if world.telemetry.systems:
        lines += ["", world.telemetry.table()]
    return "\n".join(lines)


def _component_line(made: Schema) -> str:
    def part(field: Field) -> str:
        width = f"[{field.width}]" if field.width else ""
        kind = field.dtype.name if field.kind in ("scalar", "vector") else field.kind
        unit = f" {field.unit}" if field.unit else ""
        return f"{field.name}: {kind}{width}{unit}{' (derived)' if field.derived else ''}"

    return f"{made.name}({', '.join(map(part, made.fields))})"
