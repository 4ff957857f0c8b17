"""What the tests of the core share: a few components, and the proof that nothing has changed."""

from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import pytest

from populace import Entity, Text, Vector, World, component, f4, field, i8


class Kind(IntEnum):
    EVENT = 0
    CHAT = 1
    THOUGHT = 7


@component
class Position:
    """Where an entity is."""

    x: f4
    y: f4 = 0.0

    @property
    def norm(self):
        return np.sqrt(np.square(self.x) + np.square(self.y))


@component
class Velocity:
    x: f4 = field(0, range=(-10, 10), unit="m/s")
    y: f4 = 0


@component
class Asleep:
    """A tag."""


@component
class Hungry:
    """Another tag."""


@component
class Trace:
    importance: f4 = field(0.5, range=(0, 1))
    accessed: i8 = 0
    strength: f4 = field(derived=True)


@component(requires=(Trace,))
class Memory:
    owner: Entity = field(index=True, on_despawn="despawn")
    kind: Kind = Kind.EVENT
    text: Text = ""
    vector: Vector[4] = 0


@component
class Friend:
    other: Entity = field(index=True, on_despawn="null")


@component
class Guarded:
    by: Entity = field(index=True, on_despawn="forbid")


@component
class Loose:
    about: Entity = 0


@component(unique=("source", "target"))
class Tie:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component
class Weight:
    w: f4 = 0


def columns_by_id(world, components):
    """{(component, field): [(id, bytes of the value), ...]}, ascending by id."""
    found = {}
    for cls in components:
        query = world.query(cls)
        ids = query.ids()
        order = np.argsort(ids)
        found[cls.__name__, "ids"] = ids[order].tobytes()
        for name in cls.__annotations__:
            made = getattr(cls, name)
            if not made.derived:
                found[cls.__name__, name] = query.gather(made)[order].tobytes()
    return found


def raw_state(world: World):
    """Everything of a world that a refused call must leave as it was, byte for byte."""
    store, entities = world.store, world.store.entities
    tables = {}
    for table in store.tables:
        if table.n:
            fields = ((key, table.column(key).tobytes()) for key in table.archetype.fields)
            tables[str(table.archetype)] = (table.n, table.ids.tobytes(), *fields)
    references = {}
    for made, index in store.indices.items():
        csr = index.csr()
        if csr.ids.size:
            order = np.lexsort((csr.ids, np.repeat(csr.owners, np.diff(csr.offsets))))
            references[made] = (csr.owners.tobytes(), csr.ids[order].tobytes())
    return {
        "digest": world.digest(),
        "tables": tables,
        "slots": entities.slots[: entities.n_slots].tobytes(),
        "free": entities.free_indices().tobytes(),
        "retired": entities.n_retired,
        "text": world.text.strings,
        "references": references,
        "pairs": {
            c: [a.tobytes() for a in index.table.items()]
            for c, index in store.pairs.items()
            if len(index)
        },
        "events": {c: (q.next, len(q)) for c, q in world.event_queues.held.items() if q.next},
        "commands": len(world.commands),
        "clock": repr(world.clock),
    }


@contextmanager
def refused(world, error, *words):
    """The block raises exactly `error`, its message holds all `words`, and the world is as before,
    in its digest and in its raw bytes."""
    before = raw_state(world)
    with pytest.raises(error) as caught:
        yield caught
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {caught.value}"
    said = str(caught.value)
    for word in words:
        assert str(word) in said, f"{word!r} is not in: {said}"
    after = raw_state(world)
    differing = [part for part in before if before[part] != after[part]]
    assert not differing, f"{said}\n... and yet changed: {differing}"
    world.check()
