"""What makes two worlds twins: everything persisted, in its raw order, as plain values.

Stricter than `World.digest`, which leaves out the order of rows, tables and codes, and what each
system has seen.
"""

import copy

import numpy as np


def state(world):
    """{part: plain value} of one world: equal exactly for twins."""
    store, entities, n_slots = world.store, world.store.entities, world.store.entities.n_slots
    parts = {
        "seed": world.seed,
        "phases": world.schedule.phases,
        "components": list(store.numbers),
        "tables": [table_state(archetype.table) for archetype in store.archetypes],
        "slots": entities.slots[:n_slots].tobytes(),
        "free": entities.free_indices().tolist(),
        "counts of slots": (n_slots, entities.n_free, entities.n_retired),
        "texts": list(store.text.strings),
        "free texts": store.text.free.tolist(),
        "codes": [store.text.find(text) for text in store.text.strings],
        "resources": copy.deepcopy([plain(resource) for resource in world.resources]),
        "clock": repr(world.clock),
        "cursors": world.schedule.cursors(),
        "counts": dict(world.telemetry.counts),
        "steps": world.telemetry.steps,
        "tracked": store.changes.tracked,
    }
    for cls, queue in world.event_queues.held.items():
        batches = [(first, n, column_bytes(columns)) for first, n, columns in queue.batches]
        parts[f"queue of {cls.__name__}"] = (queue.next, queue.before_step, batches)
    for cls, journal in world.journals.items():
        columns = column_bytes(journal.columns)
        parts[f"journal of {cls.__name__}"] = (journal.n, journal.reader.cursor, columns)
    for made, index in store.indices.items():
        csr = index.csr()
        owners = np.repeat(csr.owners, np.diff(csr.offsets))
        parts[f"index of {made}"] = sorted(zip(owners.tolist(), csr.ids.tolist(), strict=True))
    for cls, index in store.pairs.items():
        parts[f"pairs of {cls.__name__}"] = [a.tolist() for a in index.table.items()]
    return parts


def table_state(table):
    """One table: which it is, and its persisted columns row by row."""
    fields = [f for f in table.archetype.fields if not f.derived]
    columns = {str(f): table.column(f).tobytes() for f in fields}
    return (table.archetype.components, table.number, table.n, table.ids.tolist(), columns)


def column_bytes(columns):
    return {name: (c.dtype.str, c.shape, c.tobytes()) for name, c in columns.items()}


def plain(resource):
    """A resource as something that == compares."""
    if hasattr(resource, "__slots__") and not hasattr(resource, "__dict__"):
        parts = {name: getattr(resource, name, None) for name in resource.__slots__}
    else:
        parts = vars(resource)
    return type(resource), {
        k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in parts.items()
    }


def differing(one, other):
    """The names of the parts in which two states differ."""
    return [part for part in {**one, **other} if one.get(part) != other.get(part)]


def assert_twins(world, other):
    """Two worlds hold the same, in the same order, and share no memory."""
    assert differing(state(world), state(other)) == []
    assert world.digest() == other.digest()


def arrays(world):
    """Every array that holds state of a world, read-only events left out."""
    store = world.store
    for table in store.tables:
        yield from table.buffers
    yield store.entities.slots
    yield store.entities.free_words
    for journal in world.journals.values():
        yield from journal.columns.values()
    for resource in world.resources:
        held = getattr(resource, "__dict__", {}).values()
        yield from (value for value in held if isinstance(value, np.ndarray))


def assert_apart(world, other):
    """No array that one of two worlds may write is the other's too."""
    mine, theirs = list(arrays(world)), list(arrays(other))
    assert not [1 for a in mine for b in theirs if np.may_share_memory(a, b) and a.size and b.size]
