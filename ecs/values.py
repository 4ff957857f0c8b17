"""From what a caller gives to a checked column: the one door for values.

`prepare(field, value, n, ...)` returns an array of the field's dtype, (n,) or (n, width), or a
single value to broadcast, and raises before anything has changed. Allowed conversions: any float
or integer into a float field, any integer into an integer field when every value fits, bool into
bool, str into text, an enum member or its name into an enum, ids into a reference.
Cost: one pass to check floats and ranged fields (their minimum and maximum), none for the others.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .entities import id_array
from .errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentDefinitionError,
    PopulaceError,
)
from .fields import ABSENT, NOBODY, Field
from .jit import jit
from .text import TextPool

Array = npt.NDArray[Any]
Living = Callable[[Array], int]  # ids (k,) u8 -> place of the first that is dead, or -1


def prepare(field: Field, value: Any, n: int, text: TextPool, what: str = "row") -> Array:
    """`value` as an array of the field's dtype: field.shape for a scalar, else (n, *field.shape).

    what: names the n things in the message of ColumnShapeError, as in "one per spawned row".
    """
    array = _convert(field, value, text)
    one = array.shape == field.shape
    if not one and array.shape != (n, *field.shape):
        each = f"({n:,}, {field.width}) values" if field.width else f"{n:,} values"
        scalar = f"one vector of {field.width}" if field.width else "a scalar"
        raise ColumnShapeError(
            f"{field} needs {each}, one per {what}, or {scalar}; got shape {array.shape}"
        )
    _check_values(field, array)
    return array


def default_of(field: Field, text: TextPool) -> Array:
    """A field's default, as `prepare` gives it; one number fills a whole vector."""
    default = field.default
    if field.derived:
        return np.zeros(field.shape, field.dtype)
    if field.width and np.ndim(default) == 0:
        default = np.full(field.width, default)
    return prepare(field, default, 1, text)


def check_default(field: Field) -> None:
    """Check a field's default when its class is made."""
    if field.default is ABSENT:
        return
    try:
        default = default_of(field, TextPool())
    except PopulaceError as error:
        raise ComponentDefinitionError(
            f"the default of {field} does not fit it: {error}"
        ) from error
    if default.shape != field.shape:
        raise ComponentDefinitionError(f"the default of {field} must be one value")
    if field.kind == "entity" and int(default) != NOBODY:
        raise ComponentDefinitionError(f"the default of {field} can only be NOBODY")


def check_column(field: Field, column: Array) -> None:
    """Raise ColumnValueError when a column of the right dtype holds a value that is not allowed."""
    _check_values(field, column)


def _convert(field: Field, value: Any, text: TextPool) -> Array:
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "UO":
        value = value.item()
    if field.kind == "text":
        return _text(field, value, text)
    if field.kind == "enum":
        return _enum(field, value)
    try:
        array = id_array(value) if field.kind == "entity" else np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ColumnShapeError(f"{field} got a ragged or unreadable sequence: {error}") from error
    if array.shape == (0,) and not isinstance(value, np.ndarray):
        return np.empty((0, *field.shape), field.dtype)
    return array if array.dtype == field.dtype else _cast(field, array)


def rows_of(field: Field, value: Any) -> int | None:
    """How many rows a given value is for, None for one that broadcasts.

    Raises ColumnShapeError for a ragged sequence.
    """
    if value is None or isinstance(value, str):
        return None
    try:
        shape = np.shape(value)
    except ValueError as error:
        raise ColumnShapeError(f"{field} got a ragged sequence: {error}") from error
    return int(shape[0]) if len(shape) > len(field.shape) else None


def list_of(value: Any) -> list[Any]:
    """A sequence as a list; [] for what is none."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim else []
    return list(value) if isinstance(value, (list, tuple)) else []


def _cast(field: Field, array: Array) -> Array:
    source, target = array.dtype.kind, field.dtype.kind
    if target == "f" and source in "fiu":
        with np.errstate(over="ignore"):
            cast = array.astype(field.dtype)
        if not _all_finite(cast):
            overflown = np.isinf(cast) & (np.isfinite(array) if source == "f" else True)
            if overflown.any():
                place, bad = _first(array, overflown)
                raise ColumnValueError(f"{field} is {field.dtype.name}: {bad}{place} overflows it")
        return cast
    if target in "iu" and source in "iu":
        limits = np.iinfo(field.dtype)
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < limits.min or high > limits.max:
            bad = low if low < limits.min else high
            raise ColumnValueError(
                f"{field} is {field.dtype.name}: {bad} is outside [{limits.min}, {limits.max}]"
            )
        return array.astype(field.dtype)
    want = {"f": "floats or integers", "i": "integers", "u": "integers", "b": "booleans"}[target]
    raise ColumnTypeError(
        f"{field} is {field.dtype.name} and takes {want}; got {array.dtype.name}"
        f"{'' if array.dtype.kind != 'O' else ' (a sequence of mixed Python objects)'}; convert it "
        f"first if that is what you mean"
    )


def _text(field: Field, value: Any, text: TextPool) -> Array:
    if isinstance(value, str):
        return np.asarray(text.intern([value])[0])
    array = value if isinstance(value, np.ndarray) else None
    if isinstance(value, np.generic) and value.dtype.kind == "u":
        array = np.asarray(value)
    if array is not None and array.dtype.kind == "u":
        if why := text.fault(array):
            raise ColumnValueError(
                f"{field}: {why}; world.text.intern(...) gives the codes of strings"
            )
        return array.astype(np.uint32, copy=False)
    try:
        strings = list(value) if array is None else array.tolist()
    except TypeError:
        raise ColumnTypeError(f"{field} takes a str or a sequence of str, got {value!r}") from None
    if any(not isinstance(s, str) for s in strings):
        wrong = next(s for s in strings if not isinstance(s, str))
        raise ColumnTypeError(
            f"{field} takes a str, a sequence of str or u4 codes of world.text, got {wrong!r}"
        )
    return text.intern(strings)


def _enum(field: Field, value: Any) -> Array:
    choices = field.choices
    assert choices is not None
    members = {name: int(choice) for name, choice in choices.__members__.items()}
    folded = Counter(name.lower() for name in members)
    names = {name.lower(): c for name, c in members.items() if folded[name.lower()] == 1} | members

    def code(one: Any) -> Any:
        if isinstance(one, enum.Enum) and not isinstance(one, choices):
            raise ColumnTypeError(f"{field} takes {choices.__name__}, got {one!r}")
        if isinstance(one, str):
            found = names.get(one, names.get(one.lower()))
            if found is None:
                raise ColumnValueError(
                    f"{field} has no choice {one!r}; it has {', '.join(members)}"
                )
            return found
        return one

    if isinstance(value, (str, enum.Enum)):
        value = code(value)
    elif isinstance(value, (list, tuple)):
        value = [code(one) for one in value]
    elif isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        value = [code(one) for one in value.tolist()]
    array = np.asarray(value)
    if array.size == 0:
        return array.astype(np.uint8)
    return array if array.dtype == field.dtype else _cast(field, array)


def _check_values(field: Field, array: Array) -> None:
    if array.size == 0:
        return
    if field.choices is not None:
        allowed = np.zeros(256, np.bool_)
        allowed[[int(choice) for choice in field.choices]] = True
        if not allowed[array].all():
            place, bad = _first(array, ~allowed[array])
            names = ", ".join(f"{c.name} = {int(c)}" for c in field.choices)
            raise ColumnValueError(f"{field} has no choice {bad}{place}; it has {names}")
        return
    checked = field.dtype.kind == "f" and field.finite
    if field.range is None and (not checked or _all_finite(array)):
        return
    # NaN comes through minimum and maximum, and not through fmin and fmax.
    least, most = (np.minimum, np.maximum) if checked else (np.fmin, np.fmax)
    low, high = least.reduce(array, axis=None), most.reduce(array, axis=None)
    if checked and not (np.isfinite(low) and np.isfinite(high)):
        place, bad = _first(array, ~np.isfinite(array))
        raise ColumnValueError(
            f"{field} must be finite; got {bad}{place}; declare field(finite=False) if NaN and "
            f"infinities have a meaning there"
        )
    if field.range is not None:
        bottom, top = field.range
        if low < bottom or high > top:
            place, bad = _first(array, (array < bottom) | (array > top))
            unit = f" {field.unit}" if field.unit else ""
            raise ColumnValueError(f"{field} must lie in [{bottom}, {top}]{unit}; got {bad}{place}")


def _all_finite(array: Array) -> bool:
    if array.size == 1:
        return math.isfinite(array.item())
    if array.dtype.itemsize == 2:
        return bool(np.isfinite(array).all())
    return bool(_finite(array.ravel()))


@jit
def _finite(value_n: Any) -> bool:
    """Whether no value is NaN or an infinity: a finite one less itself is 0, any other NaN.

    No branch, so it vectorises: 0.01 to 0.04 ns a byte.
    """
    finite = True
    for i in range(value_n.size):
        rest = value_n[i] - value_n[i]
        finite &= rest == rest
    return finite


def _first(array: Array, wrong: Array) -> tuple[str, Any]:
    if array.ndim == 0:
        return "", array.item()
    place = np.argwhere(wrong)[0]
    value = array[tuple(place)].item()
    return f" at place {int(place[0]):,}", value
