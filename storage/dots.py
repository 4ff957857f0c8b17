"""Directions of vectors, stored in f4, f2 or i1, and their cosines to a query.

    stored, scale = encode(vectors, "i1")
    cosines = queries(vectors[:1]).cosines(stored, scale)     # (1, n) f8

A stored vector stands for its direction: its cosine to a unit query is `scale` times the inner
product. In i1 each vector is stretched to the whole of [-127, 127], and the query is rounded to 14
bits or less, so that sums are of whole numbers, and exact.

Invariants: a cosine is a function of the two vectors alone, to the bit: not of the row, of what is
computed beside it, of threads or of the machine's vector width. A vector of zeros has scale 0 and
cosine 0 to everything. Cosines are of what is stored: rounding is done once, when it is encoded.
Cost: of 256 dimensions see `bench` case `recall_cosines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from populace.ecs import jit
from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError
from populace.ecs.rows import pointer_to

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float32]

PEAK = 127
FINEST = 8191
LANES = 32
SUMS = 2**31 - 1


def unit(vectors: Any, what: str = "vectors") -> Vectors:
    """(n, d) f4, contiguous: the same directions at length 1; zeros stay zeros.

    Raises ColumnTypeError, ColumnShapeError, ColumnValueError for what is not finite. O(n d).

    >>> unit([[3, 4], [0, 0], [0, 1e30]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0], [0.0, 1.0]]
    """
    given = np.asarray(vectors)
    if given.dtype.kind not in "fiu":
        raise ColumnTypeError(f"{what} are numbers; got {given.dtype.name}")
    if given.ndim != 2 or not given.shape[1]:
        raise ColumnShapeError(f"{what} have the shape (n, dimensions); got {given.shape}")
    wide = np.ascontiguousarray(given, np.float64)
    out = np.empty(wide.shape, np.float32)
    bad = directions(wide, out)
    if bad >= 0:
        row, place = divmod(bad, wide.shape[1])
        raise ColumnValueError(
            f"{what} must be finite; row {row:,} has {wide[row, place]} at place {place}. A vector "
            f"of zeros means nothing and is allowed"
        )
    return out


def encode(vectors: Any, dtype: Any) -> tuple[Array, Vectors]:
    """(stored (n, d) of dtype, scale (n,) f4) of vectors of any length.

    dtype: "f4", "f2" or "i1". Raises what `unit` raises, ColumnTypeError. O(n d).

    >>> stored, scale = encode([[0.25, -1.0], [0, 0]], "i1")
    >>> stored.tolist(), (1 / scale[:1] ** 2).round().tolist(), scale[1:].tolist()
    ([[32, -127], [0, 0]], [17153.0], [0.0])
    """
    kind = np.dtype(dtype)
    if kind not in (np.dtype("f4"), np.dtype("f2"), np.dtype("i1")):
        raise ColumnTypeError(f"vectors are stored as f4, f2 or i1; got {kind.name}")
    made = unit(vectors)
    if kind == np.dtype("i1"):
        peak = np.abs(made).max(axis=1, initial=0, keepdims=True)
        stretched = made * (PEAK / np.where(peak > 0, peak, 1))
        stored: Array = np.rint(stretched).astype(np.int8)
    else:
        stored = made.astype(kind)
    wide = stored.astype(np.float64)
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    scale = np.divide(1, length, out=np.zeros(length.size), where=length > 0)
    return stored, scale.astype(np.float32)


def decode(stored: Array, scale: Any) -> Vectors:
    """(n, d) f4: the unit vectors that are stored; zeros for a scale of 0. O(n d)."""
    return stored.astype(np.float32) * np.asarray(scale, np.float32)[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Directions to compare with, in the forms that kernels take.

    unit_qd: (q, d) f4. whole_qd: (q, d) i2, the same times 1 / step_q, rounded. step_q: (q,) f8.
    """

    unit_qd: Vectors
    whole_qd: npt.NDArray[np.int16]
    step_q: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.step_q.size)

    @property
    def dimensions(self) -> int:
        """Of each query."""
        return int(self.unit_qd.shape[1])

    def cosines(self, stored: Array, scale: Any) -> npt.NDArray[np.float64]:
        """(q, n) f8: the cosine of each query to each stored vector.

        stored: (n, d), contiguous, f4, f2 or i1. scale: (n,). Raises ColumnShapeError. O(q n d).
        """
        scale_n = np.ascontiguousarray(scale, np.float32)
        stored = np.ascontiguousarray(stored)
        if stored.ndim != 2 or stored.shape != (scale_n.size, self.dimensions):
            raise ColumnShapeError(
                f"cosines takes stored vectors (n, {self.dimensions}) and a scale for each; got "
                f"{stored.shape} and {scale_n.shape}"
            )
        out = np.empty((len(self), scale_n.size))
        rows = np.arange(scale_n.size, dtype=np.uint32)
        for q in range(len(self)):
            cosines_at(
                stored.ctypes.data, scale_n.ctypes.data, stored.itemsize, rows,
                self.unit_qd[q], self.whole_qd[q], self.step_q[q], out[q],
            )  # fmt: skip
        return out


def queries(vectors: Any) -> Queries:
    """Vectors of any length as what to compare with. Raises what `unit` raises.

    >>> stored, scale = encode([[1, 0], [1, 1], [0, 0]], "f4")
    >>> queries([[2, 0]]).cosines(stored, scale).round(4).tolist()
    [[1.0, 0.7071, 0.0]]
    """
    made = unit(vectors, "query vectors")
    whole, step = np.empty(made.shape, np.int16), np.empty(len(made))
    round_whole(made, min(FINEST, SUMS // (PEAK * made.shape[1])), whole, step)
    return Queries(made, whole, step)


# -- kernels -------------------------------------------------------------------------------------


@intrinsic
def _added(typing_context, sum_i4, a_i1, b_i2):  # type: ignore[no-untyped-def]
    """sum + a * b in 32 bits, where numba would widen to 64: four times as many in a register."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, a, b = arguments
        wide = ir.IntType(32)
        return builder.add(total, builder.mul(builder.sext(a, wide), builder.sext(b, wide)))

    return types.int32(types.int32, types.int8, types.int16), build


@intrinsic
def _from_half(typing_context, bits_u2):  # type: ignore[no-untyped-def]
    """An f2, given as its bits, as f4."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), build


@jit
def directions(given_nd: Any, out_nd: Any) -> Any:
    """out_nd <- given_nd at length 1, zeros as they are. Returns the place of the first value that
    is not finite, counted through, or -1. O(n d).

    given_nd: (n, d) f8. out_nd: (n, d) f4.
    """
    d = given_nd.shape[1]
    for n in range(given_nd.shape[0]):
        peak = 0.0
        for place in range(d):
            if not np.isfinite(given_nd[n, place]):
                return n * d + place
            peak = max(peak, abs(given_nd[n, place]))
        if peak == 0:
            out_nd[n] = 0
            continue
        squares = 0.0
        for place in range(d):
            part = given_nd[n, place] / peak
            squares += part * part
        length = np.sqrt(squares)
        for place in range(d):
            out_nd[n, place] = given_nd[n, place] / peak / length
    return -1


@jit
def round_whole(unit_qd: Any, most: Any, whole_qd: Any, step_q: Any) -> None:
    """whole_qd <- unit_qd in whole numbers up to `most`; step_q <- what one of them is. O(q d)."""
    for q in range(step_q.size):
        peak = 0.0
        for place in range(unit_qd.shape[1]):
            peak = max(peak, abs(np.float64(unit_qd[q, place])))
        step_q[q] = peak / most
        for place in range(unit_qd.shape[1]):
            whole_qd[q, place] = np.rint(unit_qd[q, place] / step_q[q]) if peak > 0 else 0


@njit(nogil=True, error_model="numpy")
def _products_i1(address_k: Any, whole_d: Any, step: Any, out_k: Any) -> None:
    for k in range(address_k.size):
        stored_d = carray(pointer_to(address_k[k]), np.int64(1), np.int8)
        total = np.int32(0)
        for place in range(whole_d.size):
            total = _added(total, stored_d[place], whole_d[place])
        out_k[k] = np.float64(total) * step


# Lanes, since LLVM does not vectorise a sum that must keep its order.
@njit(nogil=True, error_model="numpy")
def products_f4(address_k: Any, unit_d: Any, out_k: Any) -> None:
    """out_k <- the inner product of each (d,) f4 at address_k with unit_d. O(k d)."""
    whole = unit_d.size // LANES * LANES
    sum_l = np.empty(LANES, np.float32)
    for k in range(address_k.size):
        stored_d = carray(pointer_to(address_k[k]), np.int64(1), np.float32)
        sum_l[:] = 0
        for start in range(0, whole, LANES):
            for lane in range(LANES):
                sum_l[lane] += stored_d[start + lane] * unit_d[start + lane]
        for lane in range(unit_d.size - whole):
            sum_l[lane] += stored_d[whole + lane] * unit_d[whole + lane]
        total = np.float64(0)
        for lane in range(LANES):
            total += np.float64(sum_l[lane])
        out_k[k] = total


@njit(nogil=True, error_model="numpy")
def _products_f2(address_k: Any, unit_d: Any, out_k: Any) -> None:
    whole = unit_d.size // LANES * LANES
    sum_l = np.empty(LANES, np.float32)
    for k in range(address_k.size):
        stored_d = carray(pointer_to(address_k[k]), np.int64(1), np.uint16)
        sum_l[:] = 0
        for start in range(0, whole, LANES):
            for lane in range(LANES):
                sum_l[lane] += _from_half(stored_d[start + lane]) * unit_d[start + lane]
        for lane in range(unit_d.size - whole):
            sum_l[lane] += _from_half(stored_d[whole + lane]) * unit_d[whole + lane]
        total = np.float64(0)
        for lane in range(LANES):
            total += np.float64(sum_l[lane])
        out_k[k] = total


@njit(nogil=True, error_model="numpy")
def products(address_k: Any, size: Any, unit_d: Any, whole_d: Any, step: Any, out_k: Any) -> None:
    """out_k <- the inner product of each vector at address_k with a query. O(k d).

    address_k: (k,) i8. size: bytes a value, 1, 2 or 4. unit_d, whole_d, step: one of `Queries`.
    out_k: (k,) f8; times the scale of each it is the cosine, but for rounding beyond 1.
    """
    if size == 1:
        _products_i1(address_k, whole_d, step, out_k)
    elif size == 2:
        _products_f2(address_k, unit_d, out_k)
    else:
        products_f4(address_k, unit_d, out_k)


@jit
def cosines_at(
    address: Any,
    scale_address: Any,
    size: Any,
    row_k: Any,
    unit_d: Any,
    whole_d: Any,
    step: Any,
    out_k: Any,
) -> None:
    """out_k <- the cosines of some rows of a column of vectors to a query. O(k d).

    address, scale_address: of the columns. size: bytes a value, 1, 2 or 4. row_k: (k,) u4. unit_d,
    whole_d, step: one of `Queries`. out_k: (k,) f8, in [-1, 1].
    """
    stride = np.int64(size) * unit_d.size
    address_k = np.empty(row_k.size, np.int64)
    for k in range(row_k.size):
        address_k[k] = address + np.int64(row_k[k]) * stride
    products(address_k, size, unit_d, whole_d, step, out_k)
    scale_n = carray(pointer_to(scale_address), np.int64(1), np.float32)
    for k in range(row_k.size):
        out_k[k] = min(max(out_k[k] * np.float64(scale_n[row_k[k]]), -1.0), 1.0)
