"""2^x and log2 in f4: how near they come to the real ones, over all that they take."""

import numpy as np
import pytest
from numba import njit

from populace.systems.curves import exp2_f4, log2_f4

from .memories import bits

LEAST = np.float32(2.0**-126)
MOST = np.finfo(np.float32).max


@njit
def over(curve, x_n, out_n):
    """A loop that LLVM vectorises."""
    for i in range(x_n.size):
        out_n[i] = curve(x_n[i])


def compiled(curve, x):
    x = np.asarray(x, np.float32)
    out = np.empty_like(x)
    over(curve, x, out)
    return out


def in_python(curve, x):
    return np.array([curve.py_func(value) for value in np.asarray(x, np.float32)], np.float32)


WAYS = pytest.mark.parametrize(("way", "n"), [(compiled, 1_000_000), (in_python, 3_000)])


@WAYS
def test_exp2_is_right_to_two_parts_in_ten_million(way, n):
    """On the whole of [-126, 0], evenly and crowded towards 0, the relative error is 2e-7."""
    for x in (np.linspace(-126, 0, n), -np.geomspace(1e-38, 126, n)):
        x = x.astype(np.float32)
        assert np.abs(way(exp2_f4, x) / np.exp2(x.astype(np.float64)) - 1).max() <= 2e-7


@WAYS
def test_log2_is_right_to_two_parts_in_ten_million(way, n):
    """For all normal x the error is 2e-7, absolute where log2 lies in (-2, 2), else relative."""
    for low, high in ((LEAST, 0.25), (0.25, 0.5), (0.5, 1), (1, 2), (2, 4), (4, MOST)):
        x = np.geomspace(low, high, n // 5, dtype=np.float64).astype(np.float32)
        x = x[(x >= LEAST) & np.isfinite(x)]
        right = np.log2(x.astype(np.float64))
        allowed = 2e-7 * np.where(np.abs(right) < 2, 1, np.abs(right))
        assert (np.abs(way(log2_f4, x) - right) <= allowed).all()


def test_log2_is_right_beside_one():
    """Where log2 passes 0, the nearest f4 on either side of 1 give their logarithms to 1e-13."""
    x = np.array([1 - 2**-24, 1, 1 + 2**-23], np.float32)
    assert compiled(log2_f4, x) == pytest.approx(np.log2(x.astype(np.float64)), abs=1e-13)


@pytest.mark.parametrize("way", [compiled, in_python])
def test_powers_of_two_are_exact(way):
    """2^k and log2(2^k) are exact for every whole k that f4 has."""
    down, all_of_them = np.arange(-126, 1), np.arange(-126, 128)
    assert (way(exp2_f4, down) == np.exp2(down.astype(np.float64))).all()
    assert (way(log2_f4, np.exp2(all_of_them.astype(np.float64))) == all_of_them).all()


@pytest.mark.parametrize("way", [compiled, in_python])
def test_exp2_stops_at_the_smallest_normal_number(way):
    """Below -126, and at minus infinity, 2^x is 2^-126: never 0, never a denormal."""
    lost = [-126, -126.5, -127, -1_000, -3e38, -np.inf]
    assert way(exp2_f4, lost).tolist() == [float(LEAST)] * len(lost)


def test_minus_zero_is_zero():
    """2^-0 is 1."""
    assert bits(compiled(exp2_f4, [-0.0])) == bits([1.0])


@pytest.mark.parametrize(("curve", "low", "high"), [(exp2_f4, -126, 0), (log2_f4, LEAST, 1e6)])
def test_they_never_turn_back(curve, low, high):
    """Along a million values in order the results are in order."""
    assert (np.diff(compiled(curve, np.linspace(low, high, 1_000_000))) >= 0).all()


@pytest.mark.parametrize("curve", [exp2_f4, log2_f4])
def test_bits_do_not_depend_on_place_or_compiler(curve):
    """In a long array, at any start, alone, or in plain Python: the same bits."""
    draw = np.random.default_rng(3)
    x = np.exp2(draw.uniform(-20, 6, 1_500)).astype(np.float32)
    x = -x if curve is exp2_f4 else x
    whole = bits(compiled(curve, x))
    for start, end in ((1, 1_500), (3, 1_001), (7, 40), *((i, i + 1) for i in range(40))):
        assert bits(compiled(curve, x[start:end])) == whole[start:end]
    assert bits(in_python(curve, x)) == whole
