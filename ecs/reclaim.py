"""Which strings of a world something still holds, so that the others can be given back.

Held are the codes in the `Text` fields of tables, of events that are pending or kept, of queued
commands and templates, and those that a resource, or an object in `world.beside`, tells of by a
method `text_codes`. What else keeps codes beyond a step, a variable of a program, say, must not
outlive a reclaim: its strings may be gone, and its codes others'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np
import numpy.typing as npt

from .component import schema
from .errors import InvariantError
from .jit import jit
from .table import Array

if TYPE_CHECKING:
    from .text import TextPool
    from .world import World


class HoldsTexts(Protocol):
    """A resource, or an object in `world.beside`, that keeps codes of the world's text pool.

    A snapshot holds resources, not what stands in `world.beside`: codes that only an object there
    holds are free in a world that was saved and loaded.
    """

    def text_codes(self) -> Iterable[Any]:
        """Arrays of whole numbers, of any shape: all codes that it holds."""


def holds_texts(held: Any) -> TypeGuard[HoldsTexts]:
    """Whether an object tells of codes: a method of that name, not just a field."""
    return callable(getattr(type(held), "text_codes", None))


@jit
def mark_live(code_n: Any, live_c: Any) -> Any:
    """live_c[code_n] <- True; returns whether all codes are below the size of live_c.

    code_n: (n,) u4. live_c: (codes,) bool. O(n), 0.5 to 3 ns a code.
    """
    good = True
    for i in range(code_n.size):
        if code_n[i] < live_c.size:
            live_c[code_n[i]] = True
        else:
            good = False
    return good


def live_texts(world: World) -> npt.NDArray[np.bool_]:
    """(codes,) bool: which codes of the world's pool something holds. O(rows + codes).

    Raises InvariantError for a code that is none, naming who holds it.
    """
    pool = world.text
    live_c = np.zeros(len(pool), np.bool_)
    for who, codes in _held(world):
        if not _mark(who, codes, live_c):
            raise _stranger(pool, who, codes)
    if live_c[pool.free].any():
        for who, codes in _held(world):
            if pool.fault(np.asarray(codes)):
                raise _stranger(pool, who, codes)
    live_c[0] = True
    return live_c


def _held(world: World) -> Iterator[tuple[Any, Any]]:
    """(who, codes) of all that holds any."""
    return chain(_in_tables(world), _in_events(world), _elsewhere(world))


def _stranger(pool: TextPool, who: Any, codes: Any) -> InvariantError:
    return InvariantError(f"{who} holds a code without a string: {pool.fault(np.asarray(codes))}")


def _mark(who: Any, codes: Any, live_c: npt.NDArray[np.bool_]) -> bool:
    """Whether all codes are below the number of codes. Raises InvariantError for other things."""
    array = np.asarray(codes)
    if array.size and (array.dtype.kind not in "iu" or int(array.min()) < 0):
        raise InvariantError(
            f"{who} tells of text codes that are none: they are whole numbers >= 0, and it has "
            f"{array.dtype.name}, the least {array.min()!r}"
        )
    flat = np.ascontiguousarray(array.reshape(-1))
    if flat.dtype != np.uint32:
        flat = np.minimum(flat.astype(np.uint64), np.uint64(2**32 - 1)).astype(np.uint32)
    return bool(mark_live(flat, live_c))


def _in_tables(world: World) -> Iterator[tuple[Any, Array]]:
    for archetype in world.store.archetypes:
        for made in archetype.fields:
            if made.kind == "text" and archetype.table.n:
                yield made, archetype.table.column(made)


def _in_events(world: World) -> Iterator[tuple[Any, Array]]:
    for queue in world.event_queues.held.values():
        for made in queue.schema.texts:
            for _, _, columns in queue.batches:
                yield made, columns[made.name]
    for journal in world.journals.values():
        for made in journal.schema.texts:
            yield made, journal.columns[made.name]


def _elsewhere(world: World) -> Iterator[tuple[Any, Any]]:
    for commands in (world.commands, *(e.sink.commands for e in world.schedule.entries.values())):
        for part in commands.values():
            yield from _given(part)
    for template in world.templates.values():
        yield from _given(template.bundle)
    for held in chain(world.resources, world.beside.values()):
        if holds_texts(held):
            for codes in held.text_codes():
                yield type(held).__name__, codes


def _given(bundle: Mapping[type, Mapping[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """The codes among the values of a bundle; strings are interned when they are used."""
    for cls, given in bundle.items():
        for made in schema(cls).texts:
            value = given.get(made.name)
            if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "u":
                yield made, value


def reclaim_texts(world: World, least: int) -> int:
    """See `World.reclaim_texts`, which has looked at what it was given."""
    store = world.store
    live_c = live_texts(world)
    n_dead = live_c.size - store.text.n_free - int(np.count_nonzero(live_c))
    if n_dead < least:
        return 0
    for table in store.tables:  # a code may come back to a row as another string
        store.changes.settle(table)
    store.text = store.text.reclaimed(live_c)
    return n_dead
