"""Colours can be told apart, and read."""

import pytest

from populace.reports import palette
from populace.reports.palette import TONES


def luminance(colour):
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_colour_names_its_tone():
    """On light paper no two tones are the same: a chart is coloured anew by them."""
    light = [light for light, _ in TONES.values()]
    assert len(set(light)) == len(light)


@pytest.mark.parametrize("paper", [0, 1], ids=["light", "dark"])
def test_text_and_lines_stand_out(paper):
    """Text 4.5 to 1 against its paper, lines 3 to 1; of the ramp of tenths, 2 to 1 at its end."""
    ground = TONES["paper"][paper]
    for name in ("ink", "soft", "muted", "alarm"):
        assert contrast(TONES[name][paper], ground) >= 4.5, name
        assert contrast(TONES[name][paper], TONES["raised"][paper]) >= 4.5, name
    for k in range(palette.N_LINES):
        assert contrast(TONES[f"line{k}"][paper], ground) >= 3, k
    for k in range(palette.N_TENTHS):
        assert contrast(TONES[f"tenth{k}"][paper], ground) >= 2, k


@pytest.mark.parametrize("paper", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ramp", ["tenth", "heat"])
def test_a_ramp_stands_out_more_and_more(ramp, paper):
    """So that it reads in grey, and by the colour-blind."""
    ground = TONES["paper"][paper]
    stands = [contrast(TONES[f"{ramp}{k}"][paper], ground) for k in range(palette.N_TENTHS)]
    assert stands == sorted(stands)


def test_lines_and_bars_differ_in_grey():
    """As many dashes and patterns as there are colours of lines."""
    assert len(set(palette.DASHES)) == len(set(palette.PATTERNS)) == palette.N_LINES
