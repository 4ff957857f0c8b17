"""The logistic fit: curves that are known are found again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.reports.logistic import Logistic, fit_logistic


def curve(time, reach, rate, middle):
    return reach / (1 + np.exp(-rate * (time - middle)))


@given(
    reach=st.floats(0.05, 1),
    steepness=st.floats(5, 40),
    place=st.floats(0.25, 0.7),
    length=st.floats(0.5, 400),
    n=st.integers(40, 400),
)
def test_a_logistic_curve_is_found_again(reach, steepness, place, length, n):
    """Whatever its height, its rate, its middle, and the unit of time."""
    time = np.linspace(0, length, n)
    found = fit_logistic(time, curve(time, reach, steepness / length, place * length))
    assert found.reach == pytest.approx(reach, rel=2e-3)
    assert found.rate * length == pytest.approx(steepness, rel=1e-2)
    assert found.middle / length == pytest.approx(place, abs=5e-3)
    assert found.explained > 0.9999


def test_noise_moves_the_fit_little():
    """Noise of 0.02 on a share leaves rate and middle within a few hundredths."""
    time = np.linspace(0, 30, 720)
    noise = np.random.default_rng(3).normal(0, 0.02, time.size)
    found = fit_logistic(time, curve(time, 0.9, 0.4, 12.0) + noise)
    assert (found.reach, found.rate, found.middle) == pytest.approx((0.9, 0.4, 12.0), rel=0.03)
    assert 0.98 < found.explained < 1


def test_steps_and_gaps_are_borne():
    """A curve that rises by day only, with ticks that were not measured."""
    time = np.arange(0, 20, 1 / 24)
    share = curve(np.floor(time), 0.8, 0.9, 8.0)
    share[100:130] = np.nan
    found = fit_logistic(time, share)
    assert found.middle == pytest.approx(8.5, abs=0.1)
    assert found.rate == pytest.approx(0.9, rel=0.1)


@pytest.mark.parametrize(
    "share",
    [
        np.full(50, 0.25),
        np.linspace(0.9, 0.1, 50),
        np.concatenate([np.linspace(0, 0.5, 25), np.linspace(0.5, 0, 25)]),
        np.full(50, np.nan),
    ],
    ids=["level", "falling", "up and down", "not measured"],
)
def test_what_does_not_spread_has_no_curve(share):
    """None, rather than a number that means nothing."""
    assert fit_logistic(np.arange(50.0), share) is None


def test_too_few_points_have_no_curve():
    """Three parameters are not fitted to five points."""
    time = np.arange(5.0)
    assert fit_logistic(time, curve(time, 1, 1, 2)) is None


def test_a_curve_is_half_way_in_its_middle():
    """The curve of a fit is that of its formula."""
    at = Logistic(0.8, 2.0, 3.0, 1.0).at(np.array([3.0, 1e9, -1e9]))
    assert at == pytest.approx([0.4, 0.8, 0.0])
