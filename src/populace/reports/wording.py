"""Numbers, spans and moments as people say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import floor, isfinite, log10

EPOCH = datetime(1970, 1, 1)
THIN = "\u202f"
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


def count(number: float) -> str:
    """A count: 12,345, and 1.2 million from a million on."""
    if abs(number) >= 1e9:
        return f"{number / 1e9:.3g} billion"
    if abs(number) >= 1e6:
        return f"{number / 1e6:.3g} million"
    return f"{number:,.0f}"


def several(number: float, one: str, more: str = "") -> str:
    """A count with its noun: 1 tie, 2 ties."""
    return f"{count(number)} {one if round(number) == 1 else more or one + 's'}"


def share(part: float) -> str:
    """A part of a whole: 38 %, under 1 %, 99.6 %."""
    percent = 100 * part
    if 0 < percent < 0.95:
        return f"under 1{THIN}%" if percent < 0.1 else f"{percent:.1f}{THIN}%"
    if 99 < percent < 100:
        return f"{min(percent, 99.9):.1f}{THIN}%"
    return f"{percent:.0f}{THIN}%"


def decimal(number: float, digits: int = 3) -> str:
    """A number to so many significant digits, with no exponent where it can be read without."""
    if not isfinite(number):
        return "–"
    if number == 0:
        return "0"
    places = max(0, digits - 1 - floor(log10(abs(number))))
    if places > 6:
        return f"{number:.{digits - 1}e}"
    text = f"{number:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def span(us: float) -> str:
    """A span of time: 3.1 days, 14 hours, 25 minutes."""
    for unit, name in ((DAY_US, "day"), (HOUR_US, "hour"), (60_000_000, "minute")):
        if us >= unit * (1.95 if unit == DAY_US else 1):
            text = decimal(us / unit, 2 if us < 100 * unit else 3)
            return f"{text} {name}{'' if text == '1' else 's'}"
    return f"{decimal(us / 1e6, 2)} seconds"


def bytes_of(number: float) -> str:
    """A size: 210 MB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{decimal(number / unit)} {name}"
    return f"{number:.0f} bytes"


def moment(us: int) -> str:
    """A simulated time: 17 Feb 2023, 14:00."""
    return _at(us).strftime("%-d %b %Y, %H:%M")


def day(us: int) -> str:
    """A simulated day: 17 Feb 2023."""
    return _at(us).strftime("%-d %b %Y")


def _at(us: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=int(us))
    except OverflowError:
        return datetime.max


def listed(names: Sequence[str]) -> str:
    """A list in words: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def capital(text: str) -> str:
    """A sentence's beginning."""
    return text[:1].upper() + text[1:]
