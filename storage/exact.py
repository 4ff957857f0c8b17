"""The vectors nearest to a query, exactly, straight from a world's columns.

Of two at the same cosine, the one with the lower id is the nearer, so what is found is a function
of the vectors alone: not of the order of rows, of the tables that they are in, or of how they were
come by. Cosines are those of `dots`, to the bit.
Good until the next structural change: who holds the world's moment may search.
Cost: 256 dimensions of i1: 15 ns a row that lies beside the last, 60 ns one that lies elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, njit

from populace.ecs import NOBODY, World, jit, schema
from populace.ecs.entities import Ids
from populace.ecs.errors import QueryError, UnknownFieldError
from populace.ecs.fields import Field
from populace.ecs.rows import ADDRESS, pointer_to
from populace.ecs.table import IDS, Table

from .dots import Array, Queries, products
from .labels import Labeled

Addresses = npt.NDArray[np.int64]
Cosines = npt.NDArray[np.float64]

NOTHING = -np.inf
"""The cosine of no vector."""
BLOCK = 512

# -- kernels: a heap of the best k, its worst on top ---------------------------------------------


@njit(nogil=True, error_model="numpy")
def worse(cosine: Any, entity: Any, other: Any, other_entity: Any) -> Any:
    """Whether one is farther than another."""
    return cosine < other or (cosine == other and entity > other_entity)


@njit(nogil=True, error_model="numpy")
def sink(cosine: Any, entity: Any, cosine_k: Any, id_k: Any, k: Any) -> None:
    """Put one in place of the worst of a heap of k."""
    place = 0
    while 2 * place + 1 < k:
        child = 2 * place + 1
        if child + 1 < k and worse(
            cosine_k[child + 1], id_k[child + 1], cosine_k[child], id_k[child]
        ):
            child += 1
        if not worse(cosine_k[child], id_k[child], cosine, entity):
            break
        cosine_k[place], id_k[place] = cosine_k[child], id_k[child]
        place = child
    cosine_k[place], id_k[place] = cosine, entity


@njit(nogil=True, error_model="numpy")
def offer(cosine: Any, entity: Any, cosine_k: Any, id_k: Any, found: Any) -> Any:
    """Put one among the best k if it belongs there; return how many there are."""
    k = cosine_k.size
    if found < k:
        place = found
        while place > 0:
            parent = (place - 1) >> 1
            if not worse(cosine, entity, cosine_k[parent], id_k[parent]):
                break
            cosine_k[place], id_k[place] = cosine_k[parent], id_k[parent]
            place = parent
        cosine_k[place], id_k[place] = cosine, entity
        return found + 1
    if not worse(cosine, entity, cosine_k[0], id_k[0]):
        sink(cosine, entity, cosine_k, id_k, k)
    return found


@njit(nogil=True, error_model="numpy")
def order(cosine_k: Any, id_k: Any, found: Any) -> None:
    """The heap of `found` <- nearest first; NOTHING and NOBODY behind them."""
    for last in range(found - 1, 0, -1):
        cosine, entity = cosine_k[last], id_k[last]
        cosine_k[last], id_k[last] = cosine_k[0], id_k[0]
        sink(cosine, entity, cosine_k, id_k, last)
    cosine_k[found:] = NOTHING
    id_k[found:] = NOBODY


@njit(nogil=True, error_model="numpy")
def offer_all(
    address_m: Any, scale_m: Any, id_m: Any, size: Any, query: Any, out_m: Any,
    cosine_k: Any, id_k: Any, found: Any,
) -> Any:  # fmt: skip
    """Offer the vectors at some addresses. query: (unit_d, whole_d, step)."""
    unit_d, whole_d, step = query
    products(address_m, size, unit_d, whole_d, step, out_m)
    k = cosine_k.size
    if not k:
        return found
    for m in range(id_m.size):
        cosine = min(max(out_m[m] * np.float64(scale_m[m]), -1.0), 1.0)
        # Asked here, since a call with arrays counts references: 25 ns, for each row.
        if found == k and cosine < cosine_k[0]:
            continue
        found = offer(cosine, id_m[m], cosine_k, id_k, found)
    return found


@njit(nogil=True, error_model="numpy")
def offer_rows(
    address: Any, scale_n: Any, id_n: Any, size: Any, query: Any,
    cosine_k: Any, id_k: Any, found: Any,
) -> Any:  # fmt: skip
    """Offer every row of one table; return how many there are now. O(n d).

    address: of its column of vectors. scale_n: (n,) f4. id_n: (n,) u8. cosine_k, id_k: the best so
    far, `found` of them.
    """
    n, stride = id_n.size, np.int64(size) * query[0].size
    address_b, out_b = np.empty(BLOCK, np.int64), np.empty(BLOCK)
    for begin in range(0, n, BLOCK):
        k = min(BLOCK, n - begin)
        for b in range(k):
            address_b[b] = address + (begin + b) * stride
        found = offer_all(
            address_b[:k], scale_n[begin : begin + k], id_n[begin : begin + k], size, query,
            out_b[:k], cosine_k, id_k, found,
        )  # fmt: skip
    return found


@jit
def best_of_rows(
    address: Any, scale_n: Any, id_n: Any, size: Any, unit_qd: Any, whole_qd: Any, step_q: Any,
    cosine_qk: Any, id_qk: Any, found_q: Any,
) -> None:  # fmt: skip
    """Offer every row of one table to each query; found_q <- how many it has now."""
    for q in range(step_q.size):
        query = unit_qd[q], whole_qd[q], step_q[q]
        found_q[q] = offer_rows(
            address, scale_n, id_n, size, query, cosine_qk[q], id_qk[q], found_q[q]
        )


@njit(nogil=True, error_model="numpy")
def best_of_ids(
    slots: Any, column_t2: Any, ids_m: Any, size: Any, query: Any,
    cosine_k: Any, id_k: Any, found: Any,
) -> Any:  # fmt: skip
    """Offer those of some ids that live and have the component; return how many there are now.

    slots: of the entity index. column_t2: by table, the addresses of its columns of vectors and of
    scales, 0 where it has none. ids_m: (m,) u8.
    """
    stride = np.int64(size) * query[0].size
    block = min(BLOCK, ids_m.size)
    address_b, out_b = np.empty(block, np.int64), np.empty(block)
    scale_b, id_b = np.empty(block, np.float32), np.empty(block, np.uint64)
    n_slots, n_tables, begin = slots.shape[0], column_t2.shape[0], 0
    while begin < ids_m.size:
        k = 0
        while begin < ids_m.size and k < BLOCK:
            entity = ids_m[begin]
            begin += 1
            index, table = np.int64(entity & np.uint64(0xFFFFFFFF)), n_tables
            known = entity != 0 and index < n_slots
            if known and (slots[index, 0] ^ entity) >> np.uint64(32) == 0:
                table = np.int64(slots[index, 1])
            if table >= n_tables or column_t2[table, 0] == 0:
                continue
            row = np.int64(slots[index, 0] & np.uint64(0xFFFFFFFF))
            address_b[k] = column_t2[table, 0] + row * stride
            scale_b[k] = carray(pointer_to(column_t2[table, 1]), np.int64(1), np.float32)[row]
            id_b[k] = entity
            k += 1
        found = offer_all(
            address_b[:k], scale_b[:k], id_b[:k], size, query, out_b[:k], cosine_k, id_k, found
        )
    return found


@jit
def best_of_each(
    slots: Any, column_t2: Any, entity_of: Any, label_qm: Any, all_m: Any, size: Any,
    unit_qd: Any, whole_qd: Any, step_q: Any, cosine_qk: Any, id_qk: Any,
) -> None:  # fmt: skip
    """The best of each query's own candidates and of those that all have, in order.

    entity_of: by label. label_qm: (q, m) i8, -1 for none. all_m: (m,) u8.
    """
    ids_m = np.empty(label_qm.shape[1], np.uint64)
    for q in range(step_q.size):
        for m in range(ids_m.size):
            ids_m[m] = entity_of[label_qm[q, m]] if label_qm[q, m] >= 0 else np.uint64(0)
        query = unit_qd[q], whole_qd[q], step_q[q]
        found = best_of_ids(
            slots, column_t2, ids_m, size, query, cosine_qk[q], id_qk[q], np.int64(0)
        )
        found = best_of_ids(slots, column_t2, all_m, size, query, cosine_qk[q], id_qk[q], found)
        order(cosine_qk[q], id_qk[q], found)


@jit
def put_in_order(cosine_qk: Any, id_qk: Any, found_q: Any) -> None:
    """Each heap <- nearest first."""
    for q in range(found_q.size):
        order(cosine_qk[q], id_qk[q], found_q[q])


@jit
def copied(slots: Any, column_t2: Any, ids_m: Any, size: Any, bytes_mb: Any, scale_m: Any) -> None:
    """bytes_mb <- the vectors of some ids; scale_m <- their scales; zeros where an id does not live
    or has none.

    bytes_mb: (m, bytes of a vector) u1. Other parameters as of `best_of_ids`.
    """
    n_slots, n_tables, stride = slots.shape[0], column_t2.shape[0], bytes_mb.shape[1]
    for m in range(ids_m.size):
        index, table = np.int64(ids_m[m] & np.uint64(0xFFFFFFFF)), n_tables
        known = ids_m[m] != 0 and index < n_slots
        if known and (slots[index, 0] ^ ids_m[m]) >> np.uint64(32) == 0:
            table = np.int64(slots[index, 1])
        if table >= n_tables or column_t2[table, 0] == 0:
            bytes_mb[m] = 0
            scale_m[m] = 0
            continue
        row = np.int64(slots[index, 0] & np.uint64(0xFFFFFFFF))
        stored_b = carray(pointer_to(column_t2[table, 0] + row * stride), np.int64(1), np.uint8)
        for b in range(stride):
            bytes_mb[m, b] = stored_b[b]
        scale_m[m] = carray(pointer_to(column_t2[table, 1]), np.int64(1), np.float32)[row]


# -- the columns of one component ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The nearest of each query, nearest first. ids: (q, k) u8, NOBODY where there are fewer.
    cosines: (q, k) f8, NOTHING there. compared: vectors that each query was compared with."""

    ids: Ids
    cosines: Cosines
    compared: int


class VectorColumns:
    """The vectors of one component in all tables of a world.

    component: has the fields `vector` and `scale`, as `components.embedding` makes them. Raises
    UnknownFieldError for another.
    """

    def __init__(self, component: type) -> None:
        made = {each.name: each for each in schema(component).fields}
        if "vector" not in made or "scale" not in made or not made["vector"].width:
            raise UnknownFieldError(
                f"{component.__name__} has no vectors: it needs the fields `vector`, of a fixed "
                f"width, and `scale`; embedding(dimensions, dtype) makes such a component"
            )
        self.component = component
        self.vector: Field = made["vector"]
        self.scale: Field = made["scale"]
        self.size = self.vector.dtype.itemsize
        self.dimensions = self.vector.width
        self._held: tuple[tuple[int, int, int], Addresses] = (0, 0, 0), np.empty((0, 2), np.int64)

    def check(self, asked: Queries) -> None:
        """Raise QueryError for queries of other dimensions."""
        if asked.dimensions != self.dimensions:
            raise QueryError(
                f"{self.component.__name__} has {self.dimensions} dimensions, the query has "
                f"{asked.dimensions}; embed both with the same embedder"
            )

    def all_ids(self, world: World) -> Ids:
        """(n,) u8: the entities that have a vector, in the order of tables and rows."""
        return np.concatenate(
            [np.empty(0, np.uint64), *(table.column(IDS) for table in self._in(world))]
        )

    def nearest(self, world: World, asked: Queries, k: int, most: int = 2**32) -> Best:
        """The k nearest of all, or of the first `most` rows of each table. O(q n d)."""
        cosine_qk, id_qk = np.empty((len(asked), k)), np.empty((len(asked), k), np.uint64)
        if not k:
            return Best(id_qk, cosine_qk, 0)
        found_q, compared = np.zeros(len(asked), np.int64), 0
        for table in self._in(world):
            vectors = table.archetype.place[self.vector]
            compared += min(table.n, most)
            best_of_rows(
                table.raw[vectors, ADDRESS], table.column(self.scale)[:most],
                table.column(IDS)[:most], self.size,
                asked.unit_qd, asked.whole_qd, asked.step_q, cosine_qk, id_qk, found_q,
            )  # fmt: skip
        put_in_order(cosine_qk, id_qk, found_q)
        return Best(id_qk, cosine_qk, compared)

    def nearest_of(self, world: World, asked: Queries, ids: Ids, k: int) -> Best:
        """The k nearest of some ids, the same for each query. Those that do not live, or have no
        vector, are passed over."""
        none = np.empty((len(asked), 0), np.int64)
        return self.nearest_of_each(world, asked, none, ids[:0], ids, k)

    def nearest_of_each(
        self, world: World, asked: Queries, labels: Labeled, entity_of: Ids, ids: Ids, k: int
    ) -> Best:
        """The k nearest to each query of its own candidates and of those that all queries have.

        labels: (q, m) i8, -1 where there are fewer; entity_of: by label, NOBODY for those that do
        not count. ids: (m,) u8. None is in both. O(q m d).
        """
        cosine_qk, id_qk = np.empty((len(asked), k)), np.empty((len(asked), k), np.uint64)
        if not k:
            return Best(id_qk, cosine_qk, 0)
        best_of_each(
            world.store.entities.slots, self._addresses(world), entity_of, labels, ids, self.size,
            asked.unit_qd, asked.whole_qd, asked.step_q, cosine_qk, id_qk,
        )  # fmt: skip
        return Best(id_qk, cosine_qk, labels.shape[1] + ids.size)

    def read(self, world: World, ids: Ids) -> tuple[Array, Array]:
        """(stored (m, d), scale (m,) f4) of some ids: copies; zeros for those that do not live, or
        have no vector."""
        stored = np.empty((ids.size, self.dimensions), self.vector.dtype)
        scale = np.empty(ids.size, np.float32)
        slots, columns = world.store.entities.slots, self._addresses(world)
        copied(slots, columns, ids, self.size, stored.view(np.uint8), scale)
        return stored, scale

    def _in(self, world: World) -> list[Table]:
        return world.query(self.component).tables()

    def _addresses(self, world: World) -> Addresses:
        """(tables, 2) i8: where the columns of vectors and of scales begin; 0 in other tables."""
        tables = self._in(world)
        state = id(world), world.query(self.component).filter.version, len(world.store.tables)
        held, column_t2 = self._held
        if state != held:
            column_t2 = np.zeros((len(world.store.tables), 2), np.int64)
            for table in tables:
                place = table.archetype.place
                both = table.raw[[place[self.vector], place[self.scale]], ADDRESS]
                column_t2[table.number] = both
            self._held = state, column_t2  # both at once: others may be reading
        return column_t2
