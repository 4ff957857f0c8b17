"""One parameter of a scenario: type, range, unit and meaning, and how people write its value."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from populace.ecs.errors import SettingError
from populace.ecs.settings import check_value

from .scenario import Run, Scenario
from .spans import SECONDS_OF, shown_span, span_in

SPAN_UNITS = ("s", "d")
MOST_WRITTEN_OUT = 1e13


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a scenario, as its section's class declares it.

    default: the scenario's own where it has one; elsewhere: that of the class.
    """

    section: str
    key: str
    kind: type
    default: Any
    elsewhere: Any
    range: tuple[float, float] | None
    unit: str
    doc: str

    @property
    def name(self) -> str:
        """As on the command line: "ties.half_life"."""
        return f"{self.section}.{self.key}"

    @property
    def is_span(self) -> bool:
        """Whether it may be written as 7d."""
        return self.kind in (int, float) and self.unit in SPAN_UNITS

    @property
    def choices(self) -> list[str]:
        """The names that it may have; none where it is not an enum."""
        return [name.lower() for name in self._members]

    @property
    def _members(self) -> list[str]:
        return list(self.kind.__members__) if issubclass(self.kind, enum.Enum) else []

    def read(self, value: Any, where: str, *, quoted: bool = False) -> Any:
        """A value of its type, from a value, or from text as people write it.

        quoted: the text stands in a typed file, where a number is not written in quotes. Raises
        SettingError, beginning with `where`.
        """
        if isinstance(value, str) and self.kind in (int, float, bool):
            value = self._from_text(value, where, quoted)
        if self.kind is str and isinstance(value, date | time):
            value = value.isoformat()
        about = {"range": self.range, "unit": self.unit}
        return check_value(f"{where}{self.name}", self.kind, about, value)

    def _from_text(self, text: str, where: str, quoted: bool) -> float:
        folded = text.strip().lower()
        if self.kind is bool:
            if folded in ("true", "false") and not quoted:
                return folded == "true"
            bare = " without quotes" if quoted else ""
            raise SettingError(f"{where}{self.name} must be true or false{bare}, got {text!r}")
        try:
            if self.is_span and folded[-1:] in SECONDS_OF:
                number = span_in(folded, self.unit)
                return int(number) if self.kind is int and number == int(number) else number
            if not quoted:
                return int(folded) if self.kind is int else float(folded)
        except ValueError:
            pass
        number_text = "a whole number" if self.kind is int else "a number"
        unit = f" of {self.unit}" if self.unit not in ("", "1") else ""
        also = ", or a span as 90s, 30m, 12h or 7d" if self.is_span else ""
        bare = " without quotes" if quoted else ""
        raise SettingError(
            f"{where}{self.name} must be {number_text}{unit}{bare}{also}, got {text!r}"
        )

    def written(self, value: Any) -> Any:
        """A value as files hold it: an enum by its name."""
        return value.name.lower() if isinstance(value, enum.Enum) else value

    def shown(self, value: Any) -> str:
        """A value as people read it: a span as 7d."""
        if self.is_span:
            return shown_span(value * SECONDS_OF[self.unit])
        if isinstance(value, bool):
            return str(value).lower()
        return _plain(value) if isinstance(value, float) else str(self.written(value))

    def allowed(self) -> str:
        """Range and unit in words, or the choices; empty where anything goes."""
        unit = self.unit if self.unit != "1" else ""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.range is None:
            return unit
        low, high = (_plain(end, ",") for end in self.range)
        return f"{low} to {high} {unit}".rstrip()


def parameters_of(scenario: Scenario) -> dict[str, Parameter]:
    """Each parameter of a scenario by its name, "ties.half_life", in the order of declaration."""
    found = {}
    for section, cls in classes_of(scenario).items():
        defaults = cls(**own_defaults(scenario, section))
        for part in dataclasses.fields(cls):
            default = getattr(defaults, part.name)  # of the declared type, whatever was written
            about = part.metadata
            parameter = Parameter(
                section, part.name, type(default), default, part.default,
                about["range"], about["unit"], about["doc"],
            )  # fmt: skip
            found[parameter.name] = parameter
    return found


def classes_of(scenario: Scenario) -> dict[str, type]:
    """The class of each section, [run] first."""
    return {"run": Run, **scenario.sections}


def own_defaults(scenario: Scenario, section: str) -> dict[str, Any]:
    """The defaults that a scenario has of its own, for a section."""
    by_name = {name.partition("."): value for name, value in scenario.defaults.items()}
    return {key: value for (part, _, key), value in by_name.items() if part == section}


def _plain(number: float, between: str = "") -> str:
    """As short as it can be and still read as that number; a whole one has all its digits.

    between: of each three digits of a whole one.
    """
    if isinstance(number, int) or (number.is_integer() and abs(number) < MOST_WRITTEN_OUT):
        return f"{int(number):{between}}"
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
