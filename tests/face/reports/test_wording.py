"""Numbers as people say them."""

import pytest

from populace.reports import wording as w

HOUR, DAY = w.HOUR_US, w.DAY_US


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (3.1 * DAY, "3.1 days"),
        (1.5 * DAY, "36 hours"),
        (17 * DAY, "17 days"),
        (365 * DAY, "365 days"),
        (HOUR, "1 hour"),
        (90 * 60e6, "1.5 hours"),
        (25 * 60e6, "25 minutes"),
        (4.23e6, "4.2 seconds"),
        (3e3, "0.003 seconds"),
    ],
)
def test_a_span_has_the_unit_that_fits(us, text):
    """Two digits, and days from two on."""
    assert w.span(us) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(0, "0 %"), (0.0001, "under 1 %"), (0.005, "0.5 %"), (0.38, "38 %"), (0.9961, "99.6 %"),
     (0.99999, "99.9 %"), (1, "100 %")],
)  # fmt: skip
def test_a_share_is_whole_percents_but_near_none_and_all(part, text):
    """What is not all is not told as 100 %, nor what is something as 0."""
    assert w.share(part).replace(w.THIN, " ") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (12.34, "12.3"), (1234.5, "1,234"), (0.00123, "0.00123"), (2.0, "2"),
     (-0.5, "-0.5"), (1e-9, "1.00e-09"), (float("nan"), "–")],
)  # fmt: skip
def test_a_decimal_has_three_digits(number, text):
    """And no zeros behind them."""
    assert w.decimal(number) == text


def test_counts_and_nouns_agree():
    """One tie, two ties, millions in words."""
    said = [w.several(n, "memory", "memories") for n in (0, 1, 2, 12_345, 3_456_789)]
    assert said == ["0 memories", "1 memory", "2 memories", "12,345 memories",
                    "3.46 million memories"]  # fmt: skip


def test_moments_and_lists():
    """Simulated times count from 1970; a far one is no error."""
    assert w.moment(19_405 * DAY + 14 * HOUR) == "17 Feb 2023, 14:00"
    assert w.day(2**62).endswith("9999")
    assert [w.listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a", "a and b", "a, b and c",
    ]  # fmt: skip
    assert w.bytes_of(203_000_000) == "203 MB"
