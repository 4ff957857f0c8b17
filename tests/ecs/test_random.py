"""Random draws: a function of seed, stream, key, draw and time, and of nothing else."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Rng
from populace.ecs import jit
from populace.ecs.errors import ColumnTypeError, ColumnValueError
from populace.ecs.random import (
    bits,
    bits_at,
    integers,
    normal,
    stream_of,
    uniform,
    uniform_at,
)

WORD = (1 << 64) - 1


def mix(x):
    """SplitMix64's finaliser on one Python int."""
    x &= WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def naive_bits(seed, stream, key, draw=0, time=0):
    """One draw, in Python integers: the twin of `bits`."""
    golden = 0x9E3779B97F4A7C15
    base = mix(mix(mix(seed + golden) + zlib.crc32(stream.encode())) + time)
    drawn = mix(key * golden + base)
    return mix(drawn + draw * 0xD1B54A32D192ED03 + golden)


# -- fixed for ever ------------------------------------------------------------------------------


def test_known_answers():
    """These numbers never change: a saved world must go on as it would have."""
    assert bits(7, "births", np.arange(4)).tolist() == [
        0xACA4EFBBD2CE2573,
        0xC1DC59F025C4C6E8,
        0xDC6C5C9B53F71666,
        0x8FF52122014003BE,
    ]
    assert bits(-1, "x", [-1], -1, -5).tolist() == [0x15C2DC3A22452C14]
    assert uniform(7, "births", np.arange(3), draw=2, time=10**15).tolist() == [
        0.9369986272330926,
        0.1770011443014221,
        0.8822666288382576,
    ]
    assert integers(7, "births", np.arange(8), 10).tolist() == [6, 7, 8, 5, 3, 8, 8, 3]
    assert normal(7, "births", np.arange(3)) == pytest.approx(
        [0.5326618457539574, -0.37977587113953987, -1.1972727418448625], rel=1e-14
    )


def test_splitmix_reference():
    """The mixer is SplitMix64's: its published stream from state 0."""
    golden = 0x9E3779B97F4A7C15
    assert [mix(golden * k) for k in (1, 2, 3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@settings(max_examples=200)
@given(
    st.integers(-(2**70), 2**70),
    st.text(max_size=8),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 2**32),
    st.integers(-(2**62), 2**62),
)
def test_bits_are_those_of_the_plain_twin(seed, stream, key, draw, time):
    """The vectorised draw equals the one in Python integers, for any arguments."""
    expected = naive_bits(seed, stream, key, draw, time)
    keys = np.array([key], np.uint64 if key >= 0 else np.int64)
    assert bits(seed, stream, keys, draw, time).tolist() == [expected]


# -- what it depends on --------------------------------------------------------------------------


def test_every_argument_matters():
    """Another seed, stream, key, draw or time gives other bits."""
    keys = np.arange(100)
    every = [
        bits(1, "a", keys),
        bits(2, "a", keys),
        bits(1, "b", keys),
        bits(1, "a", keys + 100),
        bits(1, "a", keys, 1),
        bits(1, "a", keys, 0, 1),
    ]
    assert np.unique(np.concatenate(every)).size == 600


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 20), max_size=6))
def test_splits_do_not_matter(seed, sizes):
    """Draws in batches of any sizes, in any order, are the draws of the whole."""
    keys = np.random.default_rng(seed).integers(0, 2**63, sum(sizes))
    whole = {kind: draw(seed, "s", keys, time=9) for kind, draw in KINDS.items()}
    parts = np.split(keys, np.cumsum(sizes)[:-1]) if sizes else [keys]
    for kind, draw in KINDS.items():
        pieces = [draw(seed, "s", part, time=9) for part in parts]
        assert np.concatenate(pieces).tobytes() == whole[kind].tobytes()
        backwards = draw(seed, "s", keys[::-1], time=9)[::-1]
        assert backwards.tobytes() == whole[kind].tobytes()


KINDS = {
    "bits": bits,
    "uniform": uniform,
    "normal": normal,
    "integers": lambda seed, stream, key, time: integers(seed, stream, key, 1_000, time=time),
}


def test_key_and_draw_broadcast():
    """Several draws for one key, one draw for each key, or a grid."""
    keys, draws = np.array([3, 5, 9]), np.array([0, 1, 2])
    one_each = bits(1, "s", keys, draws)
    assert one_each.tolist() == [naive_bits(1, "s", k, d) for k, d in ((3, 0), (5, 1), (9, 2))]
    assert bits(1, "s", [5], draws).tolist() == [naive_bits(1, "s", 5, d) for d in range(3)]
    assert bits(1, "s", keys[:, None], draws).shape == (3, 3)
    assert bits(1, "s", keys, 2).tolist() == [naive_bits(1, "s", k, 2) for k in (3, 5, 9)]
    assert bits(1, "s", 5).tolist() == [naive_bits(1, "s", 5)]
    assert bits(1, "s", np.empty(0, np.int64)).size == 0


def test_the_type_of_the_keys_does_not_matter():
    """Keys of any integer type draw the same; the arrays given are not written."""
    for dtype in (np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64):
        keys = np.array([0, 1, 100], dtype)
        assert bits(1, "s", keys).tolist() == [naive_bits(1, "s", k) for k in (0, 1, 100)]
        assert keys.tolist() == [0, 1, 100]
    frozen = np.arange(3, dtype=np.uint64)
    frozen.flags.writeable = False
    assert bits(1, "s", frozen).size == 3


def test_an_rng_fixes_seed_stream_and_time():
    """Rng's methods are the functions with three arguments filled in."""
    rng, keys = Rng(5, "walk", 77), np.arange(20)
    assert rng.bits(keys, 3).tolist() == bits(5, "walk", keys, 3, 77).tolist()
    assert rng.uniform(keys).tolist() == uniform(5, "walk", keys, 0, 77).tolist()
    assert rng.normal(keys, 2).tolist() == normal(5, "walk", keys, 2, 77).tolist()
    assert rng.integers(keys, 6, draw=1).tolist() == integers(5, "walk", keys, 6, 1, 77).tolist()
    assert rng.uniform(keys).tolist() == rng.uniform(keys).tolist()


# -- how they are spread -------------------------------------------------------------------------

MANY = np.arange(200_000)


def chi_square(counts):
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    "sample",
    [
        lambda: uniform(1, "s", MANY),
        lambda: uniform(1, "s", MANY * 2**32),
        lambda: uniform(1, "s", [7], MANY),
        lambda: uniform(2**63, "another", MANY, 3, 10**15),
        lambda: np.concatenate([uniform(seed, "s", [0]) for seed in range(20_000)]),
        lambda: np.concatenate([uniform(1, "s", [0], 0, time) for time in range(20_000)]),
    ],
    ids=["keys", "spread keys", "draws", "late", "seeds", "times"],
)
def test_uniform(sample):
    """Counting up keys, draws, seeds or times gives uniform numbers in [0, 1): 100 cells are filled
    evenly (chi-square far from its 1e-6 tails), neighbours are not correlated."""
    found = sample()
    assert found.min() >= 0
    assert found.max() < 1
    assert 40 < chi_square(np.bincount((found * 100).astype(int), minlength=100)) < 190
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 5 / np.sqrt(found.size)
    assert abs(found.mean() - 0.5) < 5 * np.sqrt(1 / 12 / found.size)


def test_every_bit_is_fair():
    """Each of the 64 bits is set in half of the draws, and flips in half when the key moves by
    1."""
    words = bits(3, "s", MANY)
    for values in (words, words[1:] ^ words[:-1]):
        ones = np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(values.size)


def test_streams_are_independent():
    """Draws of two streams, two draws, two times of the same keys are not correlated."""
    base = uniform(1, "a", MANY)
    for other in (
        uniform(1, "b", MANY),
        uniform(1, "a", MANY, 1),
        uniform(1, "a", MANY, 0, 1),
        uniform(2, "a", MANY),
        uniform(1, "a", MANY + 1),
    ):
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / np.sqrt(MANY.size)


def test_normal():
    """Mean 0, variance 1, the right share beyond 1, 2 and 3, all finite, draws independent."""
    found = normal(1, "s", MANY)
    assert np.isfinite(found).all()
    assert abs(found.mean()) < 5 / np.sqrt(found.size)
    assert abs(found.var() - 1) < 5 * np.sqrt(2 / found.size)
    for limit, share in ((1, 0.31731), (2, 0.0455), (3, 0.0027)):
        assert abs((np.abs(found) > limit).mean() - share) < 5 * np.sqrt(share / found.size)
    assert abs(np.corrcoef(found, normal(1, "s", MANY, 1))[0, 1]) < 5 / np.sqrt(found.size)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1_000, 2**31 - 1])
def test_integers(n):
    """Whole numbers in [0, n), each as often as the others."""
    found = integers(1, "s", MANY, n)
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < n
    if n in (2, 3, 10, 1_000):
        counts = np.bincount(found, minlength=n)
        freedom = n - 1
        assert chi_square(counts) < freedom + 6 * np.sqrt(2 * freedom) + 10


# -- in kernels ----------------------------------------------------------------------------------


@jit
def draw_at(stream, time_e, key_e, draw_e, bits_e, uniform_e):
    """bits_e, uniform_e <- one draw for each event, as laws make them."""
    for e in range(bits_e.size):
        bits_e[e] = bits_at(stream, time_e[e], key_e[e], draw_e[e])
        uniform_e[e] = uniform_at(stream, time_e[e], key_e[e], draw_e[e])


keys = st.one_of(
    st.integers(0, 2**32 - 1),
    st.builds(lambda number, other: number << 32 | other, *[st.integers(0, 2**32 - 1)] * 2),
    st.sampled_from([0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]),
)
times = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 1, -(2**63), 2**63 - 1])
)
draws_for = st.lists(st.tuples(times, keys, st.integers(0, 2**64 - 1)), min_size=1, max_size=20)
streams = st.one_of(st.text(max_size=8), st.integers(0, 2**32 - 1))


@settings(max_examples=100)
@given(st.integers(-(2**70), 2**70), streams, draws_for)
def test_a_kernel_draws_the_same_bits(seed, stream, drawn):
    """One at a time in a kernel, each at its own time, the draws are those of the batch functions:
    for negative times, whole 64-bit keys, any draw number, and both halves of the streams."""
    time, key, draw = zip(*drawn, strict=True)
    time, key = np.array(time, np.int64), np.array(key, np.uint64)
    draw = np.array(draw, np.uint64)
    words, shares = np.empty(time.size, np.uint64), np.empty(time.size)
    draw_at(np.uint64(stream_of(seed, stream)), time, key, draw, words, shares)
    one_by_one = [
        (bits(seed, stream, key[e : e + 1], draw[e], t), uniform(seed, stream, key[e], draw[e], t))
        for e, t in enumerate(time.tolist())
    ]
    assert words.tobytes() == np.concatenate([pair[0] for pair in one_by_one]).tobytes()
    assert shares.tobytes() == np.concatenate([pair[1] for pair in one_by_one]).tobytes()
    if isinstance(stream, str):
        twins = [
            naive_bits(seed, stream, *event)
            for event in zip(key.tolist(), draw.tolist(), time.tolist(), strict=True)
        ]
        assert words.tolist() == twins


@pytest.mark.parametrize("kind", ["u4", "i4", "u8", "i8"])
def test_keys_of_every_width_draw_the_same(kind):
    """A persona's number is u4; signed keys count in two's complement, as in a batch."""
    key = np.array([0, 1, 2, 2**31 - 1], kind)
    if kind[0] == "i":
        key[1:3] = [-1, -(2**31)]
    n = key.size
    words, shares = np.empty(n, np.uint64), np.empty(n)
    stream, time = stream_of(3, "law.what"), -17
    draw_at(np.uint64(stream), np.full(n, time), key, np.zeros(n, np.int64), words, shares)
    assert words.tolist() == bits(3, "law.what", key, 0, time).tolist()
    assert shares.tolist() == uniform(3, "law.what", key, 0, time).tolist()


def test_a_stream_may_be_handed_over_as_it_is():
    """What `stream_of` gives is what a kernel takes, below and above 2^63, in any order."""

    @jit
    def draw(stream, time):
        return bits_at(stream, time, np.uint64(9), np.uint64(2))

    seeds = (1, 0, 1)
    assert [stream_of(seed, "births") >= 2**63 for seed in seeds] == [False, True, False]
    for seed in seeds:
        assert int(draw(stream_of(seed, "births"), -5)) == naive_bits(seed, "births", 9, 2, -5)


def test_the_plain_functions_draw_the_same():
    """`.py_func`, as with the JIT off, gives the same bits; numpy's scalars warn of the overflow
    that the mixing is made of."""
    for seed, key, draw, time in ((7, 0, 0, 0), (7, 2**64 - 1, 3, -(2**63)), (-1, 5, 0, -5)):
        stream = np.uint64(stream_of(seed, "births"))
        given = (stream, np.int64(time), np.uint64(key), np.uint64(draw))
        expected = naive_bits(seed, "births", key, draw, time)
        with np.errstate(over="ignore"):
            assert int(bits_at.py_func(*given)) == int(bits_at(*given)) == expected
            plain = uniform_at.py_func(*given)
        assert plain == uniform_at(*given) == (expected >> 11) * 2.0**-53
        assert type(plain) is np.float64
    words, shares = np.empty(2, np.uint64), np.empty(2)
    with np.errstate(over="ignore"):
        draw_at.py_func(
            np.uint64(stream_of(7, "births")), np.zeros(2, "i8"), np.arange(2), np.zeros(2, "i8"),
            words, shares,
        )  # fmt: skip
    assert words.tolist() == [0xACA4EFBBD2CE2573, 0xC1DC59F025C4C6E8]


def test_known_streams():
    """These numbers never change either."""
    assert stream_of(7, "births") == mix(mix(7 + 0x9E3779B97F4A7C15) + zlib.crc32(b"births"))
    assert stream_of(7, "births") == stream_of(7, zlib.crc32(b"births"))
    stream = np.uint64(stream_of(7, "births"))
    assert bits_at(stream, 0, 3, 0) == 0x8FF52122014003BE
    assert uniform_at(stream, 10**15, 2, 2) == 0.8822666288382576


def test_a_stream_is_one_word_for_seed_and_name():
    """Another seed or another name is another stream, any seed fits into 64 bits."""
    named = {stream_of(seed, name) for seed in range(50) for name in ("a", "b", "law.a", 0, 1)}
    assert len(named) == 250
    for seed in (-1, 2**70, -(2**70)):
        assert 0 <= stream_of(seed, "a") < 2**64
        assert stream_of(seed, "a") == stream_of(seed % 2**64, "a")


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, 2**31])
def test_impossible_ranges(n):
    """integers() takes 0 < n < 2^31."""
    with pytest.raises(ColumnValueError, match=str(n)):
        integers(1, "s", [0], n)


@pytest.mark.parametrize("key", [0.5, [1.0], ["a"], [None], [True]])
def test_keys_are_integers(key):
    """A float, text or a bool is no key."""
    with pytest.raises(ColumnTypeError, match="key"):
        bits(1, "s", key)
