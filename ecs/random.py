"""Counter-based random draws: a draw is a function of what it is for, not of when it was made.

`bits(seed, stream, key, draw, time)` mixes its arguments through SplitMix64's finaliser, so
thread count, batch splits, archetype layout and slot reuse cannot change a result. `key` must be
an entity's *stable* key (its number in the population, or owner and sequence), never its id.
Source: Steele, Lea & Flood 2014 (SplitMix); Salmon et al. 2011 for the counter-based idea.
Cost: about 2 ns a uniform draw, one pass.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from .errors import ColumnTypeError, ColumnValueError

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

_GOLDEN = 0x9E3779B97F4A7C15
_STEP = 0xD1B54A32D192ED03
_MASK = (1 << 64) - 1
_TO_UNIT = 2.0**-53


def _mix(x: Keys) -> Keys:
    """SplitMix64's finaliser, elementwise; overwrites and returns x."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _mix_int(x: int) -> int:
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def _words(name: str, value: Any) -> Keys:
    """`value` as u8 words; negative numbers in two's complement."""
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "ui":
        raise ColumnTypeError(f"{name} must be integers, got {array.dtype}")
    return array.astype(np.int64).view(np.uint64) if array.dtype.kind == "i" else array.astype("u8")


def stream_of(seed: int, stream: str | int) -> np.uint64:
    """One number for a seed and a stream's name, for `uniform_at`."""
    name = zlib.crc32(stream.encode()) if isinstance(stream, str) else int(stream)
    return np.uint64(_mix_int(_mix_int(int(seed) + _GOLDEN) + name))


def bits(seed: int, stream: str | int, key: Any, draw: Any = 0, time: int = 0) -> Keys:
    """(n,) u8 of uniform bits, one for each key; `draw` broadcasts with `key`.

    >>> whole = bits(7, "births", np.arange(4))
    >>> halves = [bits(7, "births", np.arange(2)), bits(7, "births", np.arange(2, 4))]
    >>> bool((whole == np.concatenate(halves)).all())
    True
    """
    base = _mix_int(int(stream_of(seed, stream)) + int(time))
    drawn = _mix(_words("key", key) * np.uint64(_GOLDEN) + np.uint64(base))
    step = _words("draw", draw) * np.uint64(_STEP) + np.uint64(_GOLDEN)
    return _mix(drawn + step)


def uniform(seed: int, stream: str | int, key: Any, draw: Any = 0, time: int = 0) -> Floats:
    """(n,) f8 in [0, 1), 53 bits each."""
    return (bits(seed, stream, key, draw, time) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def normal(seed: int, stream: str | int, key: Any, draw: Any = 0, time: int = 0) -> Floats:
    """(n,) f8, mean 0, variance 1 (Box–Muller: takes draws 2·draw and 2·draw + 1)."""
    pair = _words("draw", draw) * np.uint64(2)
    u = 1.0 - uniform(seed, stream, key, pair, time)
    v = uniform(seed, stream, key, pair + np.uint64(1), time)
    result: Floats = np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)
    return result


def integers(
    seed: int, stream: str | int, key: Any, n: int, draw: Any = 0, time: int = 0
) -> npt.NDArray[np.int64]:
    """(n,) i8 in [0, n), from the top 32 bits: unbiased to one part in 2^32 / n; n < 2^31."""
    if not 0 < n < 2**31:
        raise ColumnValueError(f"integers() draws from [0, n) with 0 < n < 2^31, got n = {n}")
    top = bits(seed, stream, key, draw, time) >> np.uint64(32)
    return ((top * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


# -- one at a time, in kernels: 3 ns a draw -------------------------------------------------------


@njit(nogil=True)
def _mixed(x: Any) -> Any:
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True)
def bits_at(stream: Any, time: Any, key: Any, draw: Any) -> Any:
    """u8 of uniform bits: `bits(seed, name, key, draw, time)` for stream = stream_of(seed, name).

    stream, key, draw: u8. time: i8 µs. Called from kernels.
    """
    base = _mixed(np.uint64(stream) + np.uint64(time))
    drawn = _mixed(np.uint64(key) * np.uint64(_GOLDEN) + base)
    return _mixed(drawn + (np.uint64(draw) * np.uint64(_STEP) + np.uint64(_GOLDEN)))


@njit(nogil=True)
def uniform_at(stream: Any, time: Any, key: Any, draw: Any) -> Any:
    """f8 in [0, 1): `uniform(seed, name, key, draw, time)`, see `bits_at`."""
    return np.float64(bits_at(stream, time, key, draw) >> np.uint64(11)) * _TO_UNIT


class Rng:
    """One system's stream at one moment: `rng.uniform(agent.number)`.

    seed, stream and time are fixed; the caller gives keys, and draw numbers where it draws more
    than once for a key.
    """

    __slots__ = ("seed", "stream", "time")

    def __init__(self, seed: int, stream: str, time: int) -> None:
        self.seed, self.stream, self.time = seed, stream, time

    def bits(self, key: Any, draw: Any = 0) -> Keys:
        """(n,) u8 of uniform bits."""
        return bits(self.seed, self.stream, key, draw, self.time)

    def uniform(self, key: Any, draw: Any = 0) -> Floats:
        """(n,) f8 in [0, 1)."""
        return uniform(self.seed, self.stream, key, draw, self.time)

    def normal(self, key: Any, draw: Any = 0) -> Floats:
        """(n,) f8, mean 0, variance 1."""
        return normal(self.seed, self.stream, key, draw, self.time)

    def integers(self, key: Any, n: int, draw: Any = 0) -> npt.NDArray[np.int64]:
        """(n,) i8 in [0, n)."""
        return integers(self.seed, self.stream, key, n, draw, self.time)
