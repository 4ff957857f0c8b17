"""Forgetting curves: shares kept by age, and half-lives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.reports.forgetting import forgetting, half_life, never_rising, survival
from populace.reports.parts import Omission
from populace.reports.wording import DAY_US

shares = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize("days", [0.5, 2.0, 3.1])
def test_the_half_life_of_an_exponential_is_found(days):
    """Memories that go at a constant rate: the curve crosses a half at their half-life."""
    age = np.arange(0, 20 * 24)[::-1] * DAY_US / 24
    formed = np.full(age.size, 400.0)
    kept = np.random.default_rng(1).binomial(400, 2 ** (-age / (days * DAY_US)))
    assert half_life(*survival(formed, kept.astype(float), age)) / DAY_US == pytest.approx(
        days, rel=0.1
    )


def test_what_is_all_kept_has_no_half_life():
    """Nor has it one that lies beyond the run."""
    ages, kept = survival(np.full(99, 40.0), np.full(99, 40.0), np.arange(99.0))
    assert half_life(ages, kept) is None
    assert set(kept.tolist()) == {1.0}


@given(shares)
def test_a_curve_never_rises_and_keeps_its_mean(values):
    """Pooling moves values, not their sum; what falls already stays."""
    values = np.array(values)
    pooled = never_rising(values, np.ones(values.size))
    assert (np.diff(pooled) <= 1e-12).all()
    assert pooled.sum() == pytest.approx(values.sum())
    falling = np.sort(values)[::-1]
    assert never_rising(falling, np.ones(values.size)) == pytest.approx(falling)


@given(shares, st.randoms(use_true_random=False))
def test_no_other_falling_curve_is_nearer(values, random):
    """Any curve that never rises has squares at least as large."""
    values = np.array(values)
    other = np.sort([random.random() for _ in range(values.size)])[::-1]
    best = ((never_rising(values, np.ones(values.size)) - values) ** 2).sum()
    assert best <= ((other - values) ** 2).sum() + 1e-9


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1)), min_size=1, max_size=80))
def test_shares_lie_between_none_and_all(ticks):
    """Whatever was formed and kept, and in ticks where nothing was."""
    formed = np.array([n for n, _ in ticks], float)
    kept = np.floor(formed * [part for _, part in ticks])
    ages, kept_shares = survival(formed, kept, np.arange(formed.size)[::-1].astype(float))
    assert ((kept_shares >= 0) & (kept_shares <= 1)).all()
    assert (np.diff(ages) > 0).all()


def test_without_a_snapshot_the_curves_are_left_out(run):
    """And the reason is told."""
    (part,) = forgetting(run, None, "the run has saved no snapshot").parts
    assert isinstance(part, Omission)
    assert part.why == "the run has saved no snapshot"
