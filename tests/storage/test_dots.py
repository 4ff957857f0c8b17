"""Stored directions and their cosines, against plain Python."""

from math import isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError
from populace.storage.dots import PEAK, cosines_at, decode, encode, queries, unit

DTYPES = ("f4", "f2", "i1")
# What is lost of a cosine: rounding of f4 sums; of f2, of i1 and of the query's 14 bits.
LOST = {"f4": 2e-6, "f2": 2e-3, "i1": 1.5e-2}
OWN = {"f4": 2e-6, "f2": 2e-6, "i1": 3e-4}  # of a cosine to what is stored

numbers = st.floats(-1e3, 1e3, width=32) | st.sampled_from([0.0, 1.0, -1.0])


@st.composite
def vectors(draw, least=0):
    """(n, d) f8, some rows zero."""
    rows = draw(st.integers(least, 6))
    width = draw(st.sampled_from([1, 2, 5, 31, 32, 33, 70]))
    seed = draw(st.integers(0, 2**32 - 1))
    made = np.random.default_rng(seed).normal(size=(rows, width))
    if width <= 5:
        made = np.array([[draw(numbers) for _ in range(width)] for _ in range(rows)])
        made = made.reshape(rows, width)
    for row in made:
        row *= draw(st.sampled_from([1.0, 1.0, 0.0, 1e-30, 1e30]))
    return made


def naive_unit(row):
    """One vector at length 1; zeros stay."""
    peak = max(map(abs, row))
    if not peak:
        return [0.0] * len(row)
    row = [x / peak for x in row]
    length = sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def naive_cosine(one, other):
    return sum(x * y for x, y in zip(naive_unit(one), naive_unit(other), strict=True))


@given(vectors())
def test_unit_vectors_are_those_of_the_twin(given_):
    """Of length 1, in the same direction; zeros stay zeros."""
    found = unit(given_)
    assert (found.dtype, found.shape, found.flags.c_contiguous) == (np.float32, given_.shape, True)
    for row, want in zip(found.tolist(), given_.tolist(), strict=True):
        assert row == pytest.approx(naive_unit(want), abs=1e-7)


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_length_does_not_matter(size):
    """From the smallest numbers to the largest, whatever their type."""
    want = unit([[0.6, -0.8]])
    assert np.abs(unit(np.array([[0.6, -0.8]]) * size) - want).max() < 1e-3
    if size >= 1e-300:
        assert np.abs(unit(np.array([[0.6, -0.8]]) * size) - want).max() < 1e-7
    for kind in ("i1", "u1", "i8", "f2", "f4", "f8", "u8"):
        assert np.abs(unit(np.array([[6, 8]], kind)) - np.abs(want)).max() < 1e-7


@given(vectors(), st.sampled_from(DTYPES))
def test_what_is_stored_is_near_what_was_given(given_, dtype):
    """Of its dtype, with the scale that makes it of length 1; i1 uses the whole of its range."""
    stored, scale = encode(given_, dtype)
    assert (stored.dtype, stored.shape) == (np.dtype(dtype), given_.shape)
    assert (scale.dtype, scale.shape) == (np.float32, given_.shape[:1])
    back = decode(stored, scale)
    assert np.abs(back - unit(given_)).max(initial=0) <= 3 * LOST[dtype]
    empty = ~given_.any(axis=1)
    assert ((scale == 0) == empty).all()
    assert np.allclose(np.linalg.norm(back[~empty], axis=1), 1, atol=1e-6)
    if dtype == "i1" and not empty.all():
        assert (np.abs(stored[~empty].astype(int)).max(axis=1) == PEAK).all()


@given(vectors())
def test_what_was_stored_is_stored_again_as_it_is(given_):
    """Decoded and encoded, nothing is lost more."""
    stored, scale = encode(given_, "i1")
    again, same = encode(decode(stored, scale), "i1")
    assert again.tolist() == stored.tolist()
    assert same.tolist() == scale.tolist()


@given(vectors(), st.sampled_from(DTYPES), st.integers(0, 2**32 - 1))
def test_cosines_are_those_of_the_twin(given_, dtype, seed):
    """To what is stored, and a little less exactly to what was given; 0 for a vector of zeros."""
    stored, scale = encode(given_, dtype)
    asked = np.random.default_rng(seed).normal(size=(2, given_.shape[1]))
    asked[1] *= seed % 2
    found = queries(asked).cosines(stored, scale)
    assert (found.dtype, found.shape) == (np.float64, (2, len(given_)))
    for q, row in enumerate(found.tolist()):
        for cosine, kept, want in zip(row, stored.tolist(), given_.tolist(), strict=True):
            assert -1 <= cosine <= 1
            assert cosine == pytest.approx(naive_cosine(asked[q], kept), abs=OWN[dtype])
            assert cosine == pytest.approx(naive_cosine(asked[q], want), abs=LOST[dtype])
            if not any(want) or not asked[q].any():
                assert cosine == 0


@examples(max_examples=60)
@given(vectors(least=1), st.sampled_from(DTYPES), st.data())
def test_a_cosine_does_not_depend_on_its_row(given_, dtype, data):
    """Any rows, in any order, more than once, beside any others and other queries: to the bit."""
    stored, scale = encode(given_, dtype)
    asked = queries(given_[::-1])
    want = asked.cosines(stored, scale)
    rows = data.draw(st.lists(st.integers(0, len(given_) - 1), max_size=9))
    out = np.empty(len(rows))
    for q in range(len(asked)):
        cosines_at(
            stored.ctypes.data, scale.ctypes.data, stored.itemsize, np.array(rows, np.uint32),
            asked.unit_qd[q], asked.whole_qd[q], asked.step_q[q], out,
        )  # fmt: skip
        assert out.tolist() == want[q, rows].tolist()
    alone = queries(given_[-1:]).cosines(stored[:1], scale[:1])
    assert alone[0, 0] == want[0, 0]
    padded = np.concatenate([stored[:1], stored, stored[::-1]])
    many = asked.cosines(padded, np.concatenate([scale[:1], scale, scale[::-1]]))
    assert many[:, 1 : 1 + len(given_)].tolist() == want.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 32, 256, 8192])
def test_the_same_direction_has_cosine_1(dtype, d):
    """And the other way round -1, whatever the dimensions; sums of i1 do not overflow."""
    row = np.ones((1, d))
    stored, scale = encode(np.concatenate([row, -row]), dtype)
    found = queries(row).cosines(stored, scale)[0]
    assert found == pytest.approx([1, -1], abs=2 * OWN[dtype])
    assert (np.abs(found) <= 1).all()


def test_halves_are_read_as_they_are():
    """The f2 in the column, subnormals and all: each value times a query along its axis."""
    values = np.array([1, -1, 0.333, 6e-8, -6.1e-5, 0.5, 2**-14, 0], np.float16)
    stored = np.ascontiguousarray(np.broadcast_to(values, (1, 8)))
    found = queries(np.eye(8)).cosines(stored, [1.0])
    assert found[:, 0].tolist() == values.astype(float).tolist()


def test_strided_and_transposed_columns_are_read_right():
    """`cosines` takes any array; kernels take contiguous ones."""
    stored, scale = encode(np.random.default_rng(1).normal(size=(8, 6)), "f4")
    asked = queries(np.random.default_rng(2).normal(size=(1, 6)))
    want = asked.cosines(stored, scale)
    assert asked.cosines(np.asfortranarray(stored), scale).tolist() == want.tolist()
    assert asked.cosines(stored[::2], scale[::2]).tolist() == want[:, ::2].tolist()


@pytest.mark.parametrize("give", [unit, queries, lambda v: encode(v, "i1")])
def test_what_is_no_vector(give):
    """The error says which value of which row, and what is allowed."""
    for value, error, match in (
        ([[1, np.nan]], ColumnValueError, "finite; row 0 has nan at place 1.*zeros.*allowed"),
        ([[1, 2], [np.inf, 0]], ColumnValueError, "row 1 has inf at place 0"),
        ([1, 2], ColumnShapeError, r"\(n, dimensions\); got \(2,\)"),
        (np.empty((2, 0)), ColumnShapeError, r"got \(2, 0\)"),
        (np.empty((2, 2, 2)), ColumnShapeError, r"got \(2, 2, 2\)"),
        ([["a"]], ColumnTypeError, "numbers; got str"),
        ([[True]], ColumnTypeError, "numbers; got bool"),
        ([[1j]], ColumnTypeError, "numbers; got complex"),
    ):
        with pytest.raises(error, match=match):
            give(value)


def test_what_cannot_be_stored_or_compared():
    """Other dtypes; other dimensions or scales than there are vectors."""
    for dtype in ("f8", "u1", "i2"):
        with pytest.raises(ColumnTypeError, match=f"f4, f2 or i1; got {np.dtype(dtype).name}"):
            encode([[1.0]], dtype)
    asked = queries([[1, 0]])
    for stored, scale in ((np.ones((2, 3), "f4"), [1, 1]), (np.ones((2, 2), "f4"), [1]),
                          (np.ones(2, "f4"), [1, 1])):  # fmt: skip
        with pytest.raises(ColumnShapeError, match=r"vectors \(n, 2\) and a scale for each"):
            asked.cosines(stored, scale)


def test_none_at_all():
    """No vectors, no queries."""
    for dtype in DTYPES:
        stored, scale = encode(np.empty((0, 4)), dtype)
        assert decode(stored, scale).shape == (0, 4)
        assert queries(np.ones((2, 4))).cosines(stored, scale).shape == (2, 0)
        assert queries(np.empty((0, 4))).cosines(stored, scale).shape == (0, 0)
    assert (len(queries(np.ones((2, 4)))), queries(np.ones((2, 4))).dimensions) == (2, 4)
    assert isfinite(queries(np.zeros((1, 4))).step_q[0])
