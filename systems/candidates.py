"""Which memories may be recalled, and where their columns lie.

Filters come before any ranking: whoever answers to all of them is a candidate, nobody else is.
A table that has what it takes is one row of addresses, so that one kernel reads memories of any
archetype, and of the archive, where they lie.

Invariants: a candidate has `Memory` and `Trace`; addresses are those of live columns, good until
the next structural change.
Cost: about 5 µs a table, once after each structural change; a candidate is looked at in 5 to 10 ns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Memory, MemoryKind, Persona, Statement, Trace
from populace.ecs import World, jit
from populace.ecs.component import component_tuple
from populace.ecs.entities import Ids
from populace.ecs.errors import ColumnValueError
from populace.ecs.query import Query
from populace.ecs.rows import ADDRESS, value_at
from populace.ecs.table import IDS, Key, Table

from .archive_reading import kinds_of
from .wordfilter import WordFilter

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]

FIRST, LAST = -(2**63), 2**63 - 1
"""The times that there are."""
ALL_KINDS = 0b111

CREATED, KIND, SEQUENCE, TEXT, ACCESSED, IMPORTANCE, EXPIRES, VECTOR, SCALE, ID = range(10)
COLUMNS: tuple[Any, ...] = (
    Memory.created, Memory.kind, Memory.sequence, Memory.text, Trace.accessed, Trace.importance,
    Statement.expires,
)  # fmt: skip
"""By their place in a row of addresses; those of an embedding and the ids follow."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a candidate has to answer to. Made by `wanted`.

    kinds: a bit each. since, last: µs, both included. importance: at least. unexpired: leaves out
    what has expired (`Statement.expires`). with_, without: components. words: a phrase or a prefix,
    or None.
    """

    kinds: int = ALL_KINDS
    since: int = FIRST
    last: int = LAST
    importance: float = 0.0
    unexpired: bool = False
    with_: tuple[type, ...] = ()
    without: tuple[type, ...] = ()
    words: WordFilter | None = None

    def limits(self, now: int) -> Places:
        """(4,) i8, as kernels take them."""
        expires_from = now + 1 if self.unexpired else FIRST
        return np.array([self.since, self.last, self.kinds, expires_from], np.int64)

    @property
    def needs_rows(self) -> bool:
        """Whether a memory's own values decide, beyond the table that it is in."""
        return self != Wanted(with_=self.with_, without=self.without)


EVERYTHING, NOTHING = Wanted(), (0.0, False, (), ())


def wanted(
    *,
    kinds: Any = None,
    since: int | None = None,
    until: int | None = None,
    importance: float = 0.0,
    unexpired: bool = False,
    with_: Any = (),
    without: Any = (),
    phrase: str | None = None,
    prefix: str | None = None,
) -> Wanted:
    """Checked filters: see `recall`.

    Raises ColumnValueError, ColumnTypeError for what is no text, UnknownComponentError.
    """
    no_time, no_words = since is until is None, phrase is prefix is None
    if (
        kinds is None
        and no_time
        and no_words
        and (importance, unexpired, with_, without) == NOTHING
    ):
        return EVERYTHING
    bits = ALL_KINDS if kinds is None else sum({1 << int(kind) for kind in kinds_of(kinds)})
    if not bits:
        names = ", ".join(kind.name.lower() for kind in MemoryKind)
        raise ColumnValueError(
            f"kinds=[] would find nothing; leave kinds out for all of them, or name some of {names}"
        )
    for name, time in (("since", since), ("until", until)):
        whole = isinstance(time, (int, np.integer)) and not isinstance(time, bool)
        if time is not None and not (whole and FIRST < int(time) <= LAST):
            raise ColumnValueError(f"{name} is a time in µs since 1970, or None; got {time!r}")
    number = isinstance(importance, (int, float, np.number)) and not isinstance(importance, bool)
    if not number or not 0 <= importance <= 1:
        raise ColumnValueError(f"importance is a least value in [0, 1]; got {importance!r}")
    return Wanted(
        kinds=bits,
        since=FIRST if since is None else int(since),
        last=LAST if until is None else int(until) - 1,
        importance=float(importance),
        unexpired=bool(unexpired),
        with_=component_tuple(with_),
        without=component_tuple(without),
        words=None if phrase is None and prefix is None else WordFilter(phrase, prefix),
    )


# -- where they lie ------------------------------------------------------------------------------


class MemoryTables(NamedTuple):
    """Where the memories of some tables lie.

    tables: those that match and have rows. address_tc: (t, 10) i8 by the number of the table, 0 for
    a column that it lacks, all 0 where it does not match.
    """

    tables: list[Table]
    address_tc: Array

    def with_rows(self, columns: Iterable[Array]) -> MemoryTables:
        """The same and one more table, of arrays in the order of addresses, that must outlive it:
        ids included, (k,) each but for the vectors."""
        row = np.array([[array.ctypes.data for array in columns]], np.int64)
        return MemoryTables(self.tables, np.concatenate([self.address_tc, row]))


Known = tuple[Query, int, MemoryTables]


def memory_tables(world: World, asked: Wanted, embedding: type | None = None) -> MemoryTables:
    """Where the memories are that may answer; with their vectors, where they have any.

    Raises QueryError for components that exclude each other.
    """
    held: dict[Any, Known] = world.beside.setdefault(MemoryTables, {})
    key = asked.with_, asked.without, embedding
    found = held.get(key)
    if found is None:
        query = world.query(Memory, Trace, with_=asked.with_, without=asked.without)
    else:
        query = found[0]
    tables = query.tables()
    # A table that does not match leaves the version as it was, and has a row here all the same.
    short = found is None or len(found[2].address_tc) < len(world.store.tables)
    if found is None or short or found[1] != query.filter.version:
        keys: list[Key | None] = [*COLUMNS, None, None, IDS]
        if embedding is not None:
            keys[VECTOR], keys[SCALE] = embedding.vector, embedding.scale  # type: ignore[attr-defined]
        address_tc = np.zeros((len(world.store.tables), len(keys)), np.int64)
        for table in tables:
            place = table.archetype.place
            address_tc[table.number] = [
                table.raw[place[key], ADDRESS] if key in place else 0 for key in keys
            ]
        found = held[key] = query, query.filter.version, MemoryTables(tables, address_tc)
    return found[2]


# -- kernels -------------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def answers(created: Any, kind: Any, importance: Any, since: Any, last: Any, kinds: Any,
            least: Any) -> Any:  # fmt: skip
    """Whether a memory answers to the filters that each memory has a value for. O(1).

    Numbers alone: with an array among its arguments it costs 30 ns, not 1.
    """
    return (
        created >= since
        and created <= last
        and (kinds >> np.int64(kind)) & 1 != 0
        and importance >= least
    )


@jit
def texts_at(table_m: Any, row_m: Any, address_tc: Any, out_m: Any) -> None:
    """out_m <- the text codes of memories, 0 in tables that do not match. O(m).

    table_m, row_m, out_m: (m,) u4. address_tc: of `MemoryTables`.
    """
    for m in range(out_m.size):
        address = address_tc[table_m[m], TEXT]
        out_m[m] = value_at(address, np.int64(row_m[m]), np.uint32(0)) if address else np.uint32(0)


# Tables are named by number: a row of address_tc as an array would be counted, 5 ns a candidate.
@jit
def passing(
    begin: Any,
    end: Any,
    table_m: Any,
    row_m: Any,
    pass_m: Any,
    address_tc: Any,
    limit_4: Any,
    least: Any,
    place_n: Any,
) -> Any:
    """place_n <- the places in [begin, end) of the memories that may answer; returns how many.

    table_m, row_m: (m,) u4. pass_m: (m,) bool, whether the text passes, or (0,) where all do.
    address_tc: of `MemoryTables`. limit_4, least: of `Wanted`. place_n: i8. O(end - begin).
    """
    since, last, kinds, expires_from = limit_4[0], limit_4[1], limit_4[2], limit_4[3]
    limited = since > FIRST or last < LAST or kinds != ALL_KINDS or least > 0
    n = 0
    for m in range(begin, end):
        t, row = table_m[m], np.int64(row_m[m])
        if not address_tc[t, CREATED] or (pass_m.size and not pass_m[m]):
            continue
        if limited and not answers(
            value_at(address_tc[t, CREATED], row, np.int64(0)),
            value_at(address_tc[t, KIND], row, np.uint8(0)),
            value_at(address_tc[t, IMPORTANCE], row, np.float32(0)),
            since, last, kinds, least,
        ):  # fmt: skip
            continue
        expires = address_tc[t, EXPIRES]
        if expires and value_at(expires, row, np.int64(0)) < expires_from:
            continue
        place_n[n] = m
        n += 1
    return n


@jit
def read_candidates(
    place_n: Any,
    table_m: Any,
    row_m: Any,
    address_tc: Any,
    vector_bytes: Any,
    accessed_n: Any,
    importance_n: Any,
    sequence_n: Any,
    vector_n: Any,
    scale_n: Any,
) -> None:
    """What the candidates at some places are ranked by. O(n).

    vector_bytes: of a row, 0 without vectors. accessed_n, vector_n: i8, vector_n the addresses, 0
    for none. importance_n, scale_n: f4, the latter where there is a vector. sequence_n: u8.
    """
    for n in range(place_n.size):
        t, row = table_m[place_n[n]], np.int64(row_m[place_n[n]])
        accessed_n[n] = value_at(address_tc[t, ACCESSED], row, np.int64(0))
        importance_n[n] = value_at(address_tc[t, IMPORTANCE], row, np.float32(0))
        sequence_n[n] = value_at(address_tc[t, SEQUENCE], row, np.uint32(0))
        vector_n[n] = 0
        if vector_bytes and address_tc[t, VECTOR]:
            vector_n[n] = address_tc[t, VECTOR] + row * vector_bytes
            scale_n[n] = value_at(address_tc[t, SCALE], row, np.float32(0))


def numbers_of(world: World, agents: Ids) -> Places:
    """(k,) i8: the number of each agent in the population, -1 for nobody and who has none."""
    query = world.query(Persona)
    tables, n_tables = query.tables(), len(world.store.tables)
    found: tuple[int, int, Array] = world.beside.get(Persona, (-1, 0, np.empty(0, np.int64)))
    if found[:2] != (query.filter.version, n_tables):
        address_t = np.zeros(n_tables, np.int64)
        for table in tables:
            address_t[table.number] = table.raw[table.archetype.place[Persona.number], ADDRESS]
        found = world.beside[Persona] = query.filter.version, n_tables, address_t
    numbers = np.empty(agents.size, np.int64)
    read_numbers(world.store.entities.slots, found[2], agents, numbers)
    return numbers


@jit
def read_numbers(slots: Any, address_t: Any, ids_k: Any, out_k: Any) -> None:
    """See `numbers_of`. slots: of the entity index. address_t: by table, of the numbers, or 0."""
    for k in range(ids_k.size):
        out_k[k] = -1
        if ids_k[k]:
            slot = np.int64(ids_k[k] & np.uint64(0xFFFFFFFF))
            address = address_t[slots[slot, 1]]
            if address:
                row = np.int64(slots[slot, 0] & np.uint64(0xFFFFFFFF))
                out_k[k] = value_at(address, row, np.uint32(0))


def order_of(world: World, owners: Ids, sequences: Places) -> npt.NDArray[np.uint64]:
    """(k,) u8: the order of equal ones: by number of the owner, then by sequence; owners without a
    number come last, by their own order. 20 ns each."""
    distinct, place = np.unique(owners, return_inverse=True)
    number = numbers_of(world, distinct)
    unnumbered = (distinct & np.uint64(2**31 - 1)) | np.uint64(2**31)
    first = np.where(number < 0, unnumbered, number.astype(np.uint64))
    order: npt.NDArray[np.uint64] = (first[place] << np.uint64(32)) | sequences.astype(np.uint64)
    return order


class Values(NamedTuple):
    """What is told of k memories. id: u8. sequence, created: i8. text: u4 codes. kind: u1."""

    id: Ids
    sequence: Places
    text: npt.NDArray[np.uint32]
    created: Places
    kind: npt.NDArray[np.uint8]


def empty_values(k: int) -> Values:
    """Room for what is told of k memories."""
    return Values(
        np.empty(k, np.uint64), np.empty(k, np.int64), np.empty(k, np.uint32),
        np.empty(k, np.int64), np.empty(k, np.uint8),
    )  # fmt: skip


def values_at(table: Array, row: Array, address_tc: Array) -> Values:
    """What is told of the memories at these places. O(k)."""
    made = empty_values(table.size)
    read_values(table, row, address_tc, *made)
    return made


@njit(nogil=True, error_model="numpy")
def read_value(
    t: Any, row: Any, address_tc: Any, k: Any,
    id_k: Any, sequence_k: Any, text_k: Any, created_k: Any, kind_k: Any,
) -> None:  # fmt: skip
    """Fill place k of `Values` from a row of table t."""
    id_k[k] = value_at(address_tc[t, ID], row, np.uint64(0))
    sequence_k[k] = value_at(address_tc[t, SEQUENCE], row, np.uint32(0))
    text_k[k] = value_at(address_tc[t, TEXT], row, np.uint32(0))
    created_k[k] = value_at(address_tc[t, CREATED], row, np.int64(0))
    kind_k[k] = value_at(address_tc[t, KIND], row, np.uint8(0))


@jit
def read_values(
    table_k: Any,
    row_k: Any,
    address_tc: Any,
    id_k: Any,
    sequence_k: Any,
    text_k: Any,
    created_k: Any,
    kind_k: Any,
) -> None:
    """See `values_at`."""
    for k in range(row_k.size):
        read_value(
            table_k[k], np.int64(row_k[k]), address_tc, k,
            id_k, sequence_k, text_k, created_k, kind_k,
        )  # fmt: skip
