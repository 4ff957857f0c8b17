"""How long calls took: a histogram that is small, quick, and right within 3.2 %."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs import World
from populace.ecs.errors import ColumnValueError
from populace.ecs.image import capture
from populace.ecs.telemetry import Latencies, Telemetry

WITHIN = 0.0321
TIMES = st.one_of(st.integers(0, 2**62), st.integers(0, 5_000), st.integers(10_000, 10_000_000))
SHARES = (0.0, 0.5, 0.9, 0.99, 1.0)


def of(times):
    """The latencies of some times in ns."""
    made = Latencies()
    for ns in times:
        made.record(ns)
    return made


def nearest_rank(times, share):
    """The plain twin: the least time that a share of the calls took at most."""
    return sorted(times)[max(1, math.ceil(share * len(times))) - 1]


def assert_quantiles(calls, times):
    for share, seconds in zip(SHARES, calls.quantiles(*SHARES), strict=True):
        assert seconds * 1e9 == pytest.approx(nearest_rank(times, share), rel=WITHIN, abs=1e-6)


@given(st.lists(TIMES, min_size=1, max_size=200))
def test_quantiles_are_right_within_three_percent(times):
    """Whatever the times, each quantile is near that of the sorted list; count, sum, max exact."""
    calls = of(times)
    assert (calls.count, calls.sum, calls.max) == (len(times), sum(times), max(times))
    assert_quantiles(calls, times)
    assert [calls.p50_s, calls.p90_s, calls.p99_s] == calls.quantiles(0.5, 0.9, 0.99)


@given(st.lists(TIMES, max_size=50), st.lists(TIMES, min_size=1, max_size=50))
def test_since_leaves_the_earlier_calls_out(before, after):
    """What was recorded after a copy is all that counts, and the copy stays what it was."""
    calls = of(before)
    earlier = calls.copy()
    for ns in after:
        calls.record(ns)
    recent = calls.since(earlier)
    assert (earlier.count, earlier.sum) == (len(before), sum(before))
    assert (recent.count, recent.sum) == (len(after), sum(after))
    assert recent.max == pytest.approx(max(after), rel=WITHIN, abs=1)
    assert_quantiles(recent, after)


def test_times_out_of_range_count_at_its_ends():
    """A clock that went back counts as 0 ns, and what is beyond 2^62 ns as that."""
    calls = of([-5, 2**70])
    assert (calls.count, calls.sum, calls.max) == (2, 2**62, 2**62)
    assert calls.quantiles(0.5, 1.0) == [0.0, 2**62 / 1e9]


def test_nothing_was_called():
    """No calls have quantiles of 0."""
    assert Latencies().quantiles(0.5, 0.99) == [0.0, 0.0]
    assert Latencies().since(Latencies()).max == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share):
    """A percentile given as 99 is no share."""
    with pytest.raises(ColumnValueError, match=r"lies in \[0, 1\]"):
        of([1]).quantiles(share)


def test_the_table_shows_calls():
    """Each name has its line, with calls and times in ms; without calls there is no such part."""
    telemetry = Telemetry()
    assert "p99" not in telemetry.table()
    for ns in np.arange(1, 101) * 1_000_000:
        telemetry.latency("recall").record(int(ns))
    line = telemetry.table().splitlines()[-1].split()
    assert line[:2] == ["recall", "100"]
    assert [float(word) for word in line[2:]] == pytest.approx([50, 90, 99, 100], rel=WITHIN)


def test_latencies_are_no_part_of_the_state():
    """They are not saved, and no digest depends on them."""
    world, other = World(), World()
    world.telemetry.latency("recall").record(5)
    assert world.digest() == other.digest()
    assert "recall" not in capture(world).counts
