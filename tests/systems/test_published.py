"""Published figures that the laws of retention reproduce, each with the tolerance it is held to."""

import numpy as np
import pytest

from populace.systems import Power

from .memories import DAY_S, NOW, Row
from .test_retention import swept

EBBINGHAUS = {
    19: 0.582,
    63: 0.442,
    526: 0.358,
    1440: 0.337,
    2880: 0.278,
    8640: 0.254,
    44_640: 0.211,
}
"""Ebbinghaus 1885, section 29: minutes since learning, share of the work saved on relearning."""


def savings(law, stability_s, *settings):
    """R after each of Ebbinghaus' intervals."""
    rows = [
        Row(importance=1.0, stability=stability_s, accessed=NOW - round(m * 6e7))
        for m in EBBINGHAUS
    ]
    return swept(rows, law, *settings)


def worst(found):
    """The largest distance to Ebbinghaus' savings."""
    return float(np.abs(found - np.array(list(EBBINGHAUS.values()))).max())


def test_the_power_law_follows_ebbinghaus():
    """With the default exponent and S = 32.6 s all seven savings of 1885 are met within 0.04; with
    D = 0.1344 and S = 16.9 s within 0.03."""
    assert worst(savings("power", 32.6)) < 0.04
    assert worst(savings("power", 16.9, Power(decay=0.1344))) < 0.03


def test_the_exponential_law_does_not():
    """No half-life brings the exponential law within 0.33 of all seven: it forgets for good."""
    half_lives = np.geomspace(60, 1e7, 200)
    assert min(worst(savings("exponential", float(s))) for s in half_lives) > 0.33


@pytest.mark.parametrize(
    ("times_s", "want"),
    [(0.0, 1.0), (0.5, 0.94034), (1.0, 0.9), (2.0, 0.84588), (10.0, 0.69283), (100.0, 0.49232)],
)
def test_the_power_law_is_the_curve_of_fsrs(times_s, want):
    """FSRS 6 with decay -0.1542: R at multiples of the stability, to 1e-5."""
    factor = 0.9 ** (-1 / 0.1542) - 1
    assert (1 + factor * times_s) ** -0.1542 == pytest.approx(want, abs=1e-5)
    row = Row(importance=1.0, stability=3 * DAY_S, accessed=NOW - round(times_s * 3 * DAY_S * 1e6))
    assert swept([row], "power")[0] == pytest.approx(want, abs=1e-5)
