"""`value_at`: a value read at an address is the one that lies there, whatever its type."""

import numpy as np
import pytest

from populace.ecs import jit
from populace.ecs.rows import value_at

KINDS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "?")


@jit
def read(address, rows_k, like, out_k):
    """out_k <- the values at some rows of a column."""
    for k in range(rows_k.size):
        out_k[k] = value_at(address, rows_k[k], like)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_lies_there(kind):
    """Any row, in any order, to the bit: the largest numbers, signs, NaN."""
    n_bytes = np.dtype(kind).itemsize
    raw = np.random.default_rng(1).integers(0, 256, 40 * n_bytes, np.uint8)
    column = (raw.view(kind) if kind != "?" else (raw & 1).view(kind)).copy()
    rows = np.random.default_rng(2).integers(0, 40, 100)
    out = np.empty(100, kind)
    read(column.ctypes.data, rows, np.zeros(1, kind)[0], out)
    assert out.tobytes() == column[rows].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_into_a_column_is_read_from_its_beginning(kind):
    """The address says where row 0 is; rows before it are negative."""
    column = np.arange(9).astype(kind)
    out = np.empty(4, kind)
    begin = column[3:].ctypes.data
    read(begin, np.array([0, 5, 1, -3]), np.zeros(1, kind)[0], out)
    assert out.tolist() == column[[3, 8, 4, 0]].tolist()


@jit
def total(address, n, like):
    """The sum of a column, in its own type where that is a float."""
    found = like
    for row in range(n):
        found += value_at(address, np.int64(row), like)
    return found


def test_it_has_the_type_of_what_it_is_like():
    """So that no number is widened unasked."""
    column = np.full(3, 0.1, np.float32)
    want = np.float32(0.1) + np.float32(0.1) + np.float32(0.1)
    assert total(column.ctypes.data, 3, np.float32(0)) == want
