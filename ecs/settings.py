"""Settings: the parameters of a law, typed, checked and documented. A resource of a world.

    @settings
    class TieDecay:
        half_life: float = setting(14 * DAY_S, range=(1, 1e9), unit="s", doc="of a tie's weight")

    world.insert(TieDecay(half_life=7 * DAY_S))

A settings class is a frozen dataclass whose values are numbers, flags, texts or enum members, each
with a default, so that a file, a command line and a snapshot can hold it. Kernels read its numbers
through `Res[TieDecay]`.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

from .errors import ComponentDefinitionError, SettingError
from .html import settings_html

T = TypeVar("T")


def setting(
    default: Any, *, range: tuple[float, float] | None = None, unit: str = "", doc: str
) -> Any:
    """One parameter: its default, the closed range it may lie in, its unit and meaning."""
    about = {"range": range, "unit": unit, "doc": doc}
    return dataclasses.field(default=default, metadata=about)


# Without field_specifiers: to a checker, whatever is assigned is the default.
@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class of `setting(...)`s a frozen dataclass that checks what it is given.

    A method `check(self)`, where there is one, is called last; it raises SettingError for values
    that do not go together. Making an instance raises SettingError for a value of the wrong type,
    not finite, or out of range. Raises ComponentDefinitionError for a class that cannot be one.

    >>> from populace.ecs import setting, settings
    >>> @settings
    ... class Thirst:
    ...     rate: float = setting(0.1, range=(0, 1), unit="1/h", doc="of drying out")
    >>> Thirst(rate=0.2)
    Thirst(rate=0.2)
    >>> Thirst(rate=2)
    Traceback (most recent call last):
    populace.ecs.errors.SettingError: Thirst.rate must lie in [0, 1] 1/h, got 2
    """
    kinds = _kinds(cls, sys._getframe(1).f_locals)
    for name, kind in kinds.items():
        _check_definition(f"{cls.__name__}.{name}", kind, cls.__dict__.get(name))
    check: Callable[[Any], None] | None = cls.__dict__.get("check")

    def post_init(self: Any) -> None:
        for part in dataclasses.fields(self):
            where = f"{cls.__name__}.{part.name}"
            value = check_value(where, kinds[part.name], part.metadata, getattr(self, part.name))
            object.__setattr__(self, part.name, value)
        if check is not None:
            check(self)

    cls.__post_init__ = post_init  # type: ignore[attr-defined]
    cls._repr_html_ = settings_html  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(cls)


def _kinds(cls: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The type of each setting, by name. Raises ComponentDefinitionError."""
    if not isinstance(cls, type):
        raise ComponentDefinitionError(f"@settings decorates a class, got {cls!r}")
    parents = [base.__name__ for base in cls.__mro__[1:-1]]
    if parents:
        raise ComponentDefinitionError(
            f"settings {cls.__name__} inherit from {', '.join(parents)}; give them their own"
        )
    try:
        kinds = inspect.get_annotations(cls, locals=dict(namespace), eval_str=True)
    except Exception as error:  # an annotation is the user's code
        raise ComponentDefinitionError(
            f"settings {cls.__name__}: {error} in an annotation"
        ) from error
    for name, value in cls.__dict__.items():
        if isinstance(value, dataclasses.Field) and name not in kinds:
            raise ComponentDefinitionError(
                f"{cls.__name__}.{name} needs a type: {name}: float = setting(...)"
            )
    return kinds


def _check_definition(where: str, kind: Any, default: Any) -> None:
    """Raise ComponentDefinitionError for a setting that no value could satisfy."""
    name = where.partition(".")[2]
    if not isinstance(default, dataclasses.Field) or "doc" not in default.metadata:
        raise ComponentDefinitionError(
            f"{where} needs a default and a meaning: {name}: float = setting(1.0, doc=...)"
        )
    if kind not in (int, float, bool, str) and not _is_enum(kind):
        raise ComponentDefinitionError(
            f"{where}: a setting is a float, int, bool, str or an enum, got {kind!r}"
        )
    bounds = default.metadata["range"]
    if bounds is not None and (kind not in (int, float) or not bounds[0] <= bounds[1]):
        raise ComponentDefinitionError(
            f"{where}: a range is (lowest, highest) of a float or int, got {bounds!r}"
        )
    try:
        check_value(where, kind, default.metadata, default.default)
    except SettingError as error:
        raise ComponentDefinitionError(f"the default of {error}") from error


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def check_value(where: str, kind: Any, about: Mapping[str, Any], value: Any) -> Any:
    """The value of one setting, as its type; raises SettingError.

    kind: the declared type. about: its `range` and `unit`, as in the field's metadata.
    """
    unit = f" {about['unit']}" if about["unit"] else ""
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        value = _as_float(value)
    if _is_enum(kind) and isinstance(value, str) and not isinstance(value, kind):
        folded = {name.lower(): member for name, member in kind.__members__.items()}
        value = kind.__members__.get(value, folded.get(value.lower(), value))
    if not isinstance(value, kind) or (kind in (int, float) and isinstance(value, bool)):
        article = "an" if kind is int else "a"
        allowed = (
            ", ".join(kind.__members__).lower() if _is_enum(kind) else f"{article} {kind.__name__}"
        )
        raise SettingError(f"{where} must be {allowed}{unit}, got {value!r}")
    if kind is float and not math.isfinite(value):
        raise SettingError(f"{where} must be finite, got {value!r}")
    bounds = about["range"]
    if bounds is not None and not bounds[0] <= value <= bounds[1]:
        low, high, got = (_shown(number) for number in (*bounds, value))
        raise SettingError(f"{where} must lie in [{low}, {high}]{unit}, got {got}")
    return value


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _shown(number: float) -> str:
    """As short as it can be and still read as that number."""
    short = f"{number:g}" if abs(number) < 2**53 else repr(number)
    return short if float(short) == number else repr(number)
