"""The colours of a report, each for light and dark paper.

Invariant: no two tones are the same on light paper, as a chart is coloured anew by taking each
colour for the tone that it is there. Told apart by the colour-blind: the hues of lines are blue,
orange, green-blue, purple, ... of different lightness, and no line or bar differs by colour alone:
it has a dash or a pattern, too. A ramp grows darker on light paper and lighter on dark paper.
"""

from __future__ import annotations

from collections.abc import Sequence

N_TENTHS = 10
DASHES = ("solid", "6px,3px", "1.5px,2.5px", "9px,3px,2px,3px", "12px,4px", "3px,3px")
PATTERNS = ("", "/", ".", "x", "-", "\\")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")
N_LINES = 6


def _mixed(stops: Sequence[str], place: float) -> str:
    """The colour at a place in [0, 1] of a ramp through some stops."""
    left = min(int(place * (len(stops) - 1)), len(stops) - 2)
    within = place * (len(stops) - 1) - left
    pair = [[int(stop[k : k + 2], 16) for k in (1, 3, 5)] for stop in stops[left : left + 2]]
    mixed = [round(a + (b - a) * within) for a, b in zip(*pair, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _ramp(name: str, light: Sequence[str], dark: Sequence[str]) -> dict[str, tuple[str, str]]:
    places = [k / (N_TENTHS - 1) for k in range(N_TENTHS)]
    return {f"{name}{k}": (_mixed(light, p), _mixed(dark, p)) for k, p in enumerate(places)}


TONES: dict[str, tuple[str, str]] = {
    "paper": ("#fcfbf9", "#14171b"),
    "raised": ("#f4f2ee", "#1c2026"),
    "ink": ("#1d2125", "#e9eaec"),
    "soft": ("#3f464d", "#c3c8ce"),
    "muted": ("#646b73", "#98a0a9"),
    "rule": ("#e2dfd9", "#2d333b"),
    "line0": ("#1f5f9e", "#72b4f0"),
    "line1": ("#c65a11", "#f0a060"),
    "line2": ("#0d8070", "#57cdb6"),
    "line3": ("#8e3f8f", "#d596d8"),
    "line4": ("#8a6a00", "#dcc052"),
    "line5": ("#59616b", "#aab3be"),
    "alarm": ("#a3261b", "#ff9d90"),
    "wash": ("#dfe9f2", "#22384d"),
    **_ramp("tenth", ("#e8a04a", "#b3417c", "#2a1c63"), ("#6f5fd0", "#dd6f9f", "#ffdca0")),
    **_ramp("heat", ("#f1efea", "#7fb0d3", "#114a7c"), ("#1b2027", "#2f6d9e", "#b4e0ff")),
}
"""Every tone's colour on light and on dark paper."""


def tone(name: str) -> str:
    """A tone as it is written into charts: its colour on light paper."""
    return TONES[name][0]


def line_tone(place: int) -> str:
    """The tone of the line in some place, of N_LINES that are told apart."""
    return f"line{place % N_LINES}"


def heat_scale() -> list[list[float | str]]:
    """The ramp of heat maps, as plotly takes it."""
    return [[k / (N_TENTHS - 1), tone(f"heat{k}")] for k in range(N_TENTHS)]


def style_variables() -> str:
    """All tones as CSS variables."""
    return "".join(f"--{name}:light-dark({light},{dark});" for name, (light, dark) in TONES.items())
