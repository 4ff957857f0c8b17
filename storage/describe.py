"""Component and event classes as JSON, and classes made of such a description alone.

`describe` writes down what a class is, `read` checks what a file says that one was, and
`make_class` makes a class of it. `evolve.py` follows a class that has changed since.

Invariant: whatever a file holds, `read` and `make_class` give a description, a class, or
SnapshotError. Cost: 25 to 70 µs a class to describe, about half of that to read, 0.15 ms to make.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from populace.ecs import Field, component, event, field, schema
from populace.ecs.errors import PopulaceError, SnapshotError
from populace.ecs.fields import ABSENT, SCALARS, Entity, Text, Vector
from populace.ecs.text import TextPool
from populace.ecs.values import default_of

from .classes import excerpt, is_path, path_of

MAX_WIDTH: Final = 2**20
_DTYPES: Final = {dtype.str: dtype for dtype in SCALARS}
_FIXED: Final = {"entity": "<u8", "text": "<u4", "enum": "|u1"}


def describe(cls: type) -> dict[str, Any]:
    """A component or event class as values for JSON.

    Keys: class (its path), name, doc, is_event, requires (paths), unique (names of fields), fields
    (a list in their order, derived ones too). Of a field: name, kind, dtype ("<f4"), width, unit,
    doc, range ([low, high] or None), derived, index, on_despawn, finite, choices ({name: value} or
    None), and default where it has one. Infinities and NaN are "inf", "-inf" and "nan". All of it
    fits UTF-8 and numbers of 64 bits.

    Raises UnknownComponentError for anything but a component or event class.

    >>> from populace.ecs import component, f4
    >>> @component
    ... class Hunger:
    ...     level: f4 = 0.1
    >>> made = describe(Hunger)["fields"][0]
    >>> made["name"], made["dtype"], made["default"]
    ('level', '<f4', 0.1)
    """
    made = schema(cls)
    return {
        "class": path_of(cls),
        "name": made.name,
        "doc": made.doc,
        "is_event": made.is_event,
        "requires": [path_of(needed) for needed in made.requires],
        "unique": [part.name for part in made.unique],
        "fields": [_field_as_json(part) for part in made.fields],
    }


def _field_as_json(made: Field) -> dict[str, Any]:
    choices = made.choices
    shown: dict[str, Any] = {
        "name": made.name,
        "kind": made.kind,
        "dtype": made.dtype.str,
        "width": made.width,
        "unit": _utf8(made.unit),
        "doc": _utf8(made.doc),
        "range": made.range and [_number_as_json(end) for end in made.range],
        "derived": made.derived,
        "index": made.index,
        "on_despawn": made.on_despawn,
        "finite": made.finite,
        "choices": choices and {choice.name: int(choice) for choice in choices},
    }
    if made.default is not ABSENT and not made.derived:
        shown["default"] = _default_as_json(made)
    return shown


def _default_as_json(made: Field) -> Any:
    if made.kind == "text":
        return _utf8(default_text(made))
    values = default_of(made, TextPool()).astype(made.dtype).reshape(-1)
    if np.unique(values.view(f"u{values.itemsize}")).size == 1:
        return _number_as_json(values[0])
    return [_number_as_json(value) for value in values]


def default_text(made: Field) -> str:
    """The default of a `Text` field."""
    pool = TextPool()
    return pool.decode(default_of(made, pool).reshape(1))[0]


def _number_as_json(number: Any) -> bool | int | float | str:
    """As short as it can be and still read as that number of its dtype."""
    if isinstance(number, bool | int | np.bool_ | np.integer):
        whole: bool | int = number.item() if isinstance(number, np.generic) else number
        return whole if -(2**63) <= whole < 2**64 else float(whole)  # as JSON readers have it
    return float(str(number)) if math.isfinite(number) else str(float(number))


def _utf8(text: str) -> str:
    r"""The text; half of a surrogate pair, which UTF-8 does not have, as its escape "\ud800"."""
    return text.encode("utf-8", "backslashreplace").decode()


def type_name(part: Field | StoredField) -> str:
    """What a column is, in words: "float32", "text", "vector of 256 int8"."""
    shown = part.dtype.name if part.kind in ("scalar", "vector") else part.kind
    return f"vector of {part.width} {shown}" if part.width else shown


# -- JSON as a class ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredField:
    """One field of a description, as `read` gives it. default: `ABSENT` where it has none."""

    name: str
    kind: str
    dtype: np.dtype[Any]
    width: int
    unit: str
    doc: str
    range: tuple[float, float] | None
    derived: bool
    index: bool
    on_despawn: Any
    finite: bool
    choices: dict[str, int] | None
    default: Any


@dataclass(frozen=True, slots=True)
class Stored:
    """A description, as `read` gives it."""

    path: str
    name: str
    doc: str
    is_event: bool
    requires: tuple[str, ...]
    unique: tuple[str, ...]
    fields: dict[str, StoredField]


def make_class(description: Any, requires: Mapping[str, type] | None = None) -> type:
    """A component or event class made from its description alone, with the same path.

    For readers of a run whose program they do not have. requires: classes by path; a required
    component that is not among them is left out. Each call makes a new class.

    Raises SnapshotError for what is no description of a class.

    >>> from populace.ecs import component, schema, u1
    >>> @component
    ... class Thirst:
    ...     level: u1 = 3
    >>> make_class(describe(Thirst)).level
    <Field Thirst.level: scalar uint8>
    """
    stored = read(description)
    module, _, qualname = stored.path.partition(":")
    known = requires or {}
    try:
        body: dict[str, Any] = {
            "__module__": module,
            "__qualname__": qualname,
            "__doc__": stored.doc or None,
            "__annotations__": {
                part.name: _annotation(part, module) for part in stored.fields.values()
            },
        }
        for part in stored.fields.values():
            body[part.name] = field(
                _default(part),
                range=part.range,
                unit=part.unit,
                derived=part.derived,
                index=part.index,
                on_despawn=part.on_despawn,
                finite=part.finite,
                doc=part.doc,
            )
        cls = type(stored.name, (), body)
        if stored.is_event:
            return event(cls)
        needed = tuple(known[path] for path in stored.requires if path in known)
        return component(requires=needed, unique=stored.unique)(cls)
    except (PopulaceError, TypeError, ValueError, ArithmeticError) as error:
        raise SnapshotError(
            f"the description of {stored.path} is damaged: no class can be made of it: {error}"
        ) from error


def _default(part: StoredField) -> Any:
    if type(part.default) is not list:
        return part.default
    with np.errstate(over="ignore"):  # numbers too large are infinite, and refused or not as such
        return np.array(part.default, part.dtype)


def _annotation(part: StoredField, module: str) -> Any:
    if part.kind == "entity":
        return Entity
    if part.kind == "text":
        return Text
    if part.choices is not None:
        return enum.IntEnum(part.name.title().replace("_", ""), part.choices, module=module)
    vector: Any = Vector
    return vector[part.width, part.dtype.type] if part.width else part.dtype.type


def read(description: Any) -> Stored:
    """A description from a file, checked: every part is there and of its type.

    Raises SnapshotError, naming class and field, where one is not.
    """
    path = _part(description, "class", str, "a class")
    if not is_path(path):
        raise _damaged("a class", "class", path)
    where = f"class {path}"
    name = _part(description, "name", str, where)
    fields = [_read_field(part, path) for part in _part(description, "fields", list, where)]
    if len({part.name for part in fields}) != len(fields):
        raise _damaged(where, "fields", [part.name for part in fields])
    return Stored(
        path=path,
        name=name,
        doc=_part(description, "doc", str, where),
        is_event=_part(description, "is_event", bool, where),
        requires=tuple(_texts(description, "requires", where)),
        unique=tuple(_texts(description, "unique", where)),
        fields={part.name: part for part in fields},
    )


def _read_field(description: Any, path: str) -> StoredField:
    name = _part(description, "name", str, f"a field of {path}")
    where = f"field {name!r} of {path}"
    if not name.isidentifier():
        raise _damaged(where, "name", name)
    kind = _part(description, "kind", str, where)
    code = _part(description, "dtype", str, where)
    width = _part(description, "width", int, where)
    if kind not in ("scalar", "vector", *_FIXED):
        raise _damaged(where, "kind", kind)
    if code not in _DTYPES or _FIXED.get(kind, code) != code:
        raise _damaged(where, "dtype", code)
    if not 0 <= width <= MAX_WIDTH or (width > 0) != (kind == "vector"):
        raise _damaged(where, "width", width)
    choices = _part(description, "choices", dict, where) if kind == "enum" else None
    for choice, value in (choices or {}).items():
        if not choice or type(value) is not int or not 0 <= value <= 255:
            raise _damaged(where, "choices", choices)
    return StoredField(
        name=name,
        kind=kind,
        dtype=_DTYPES[code],
        width=width,
        unit=_part(description, "unit", str, where),
        doc=_part(description, "doc", str, where),
        range=_read_range(description, where),
        derived=_part(description, "derived", bool, where),
        index=_part(description, "index", bool, where),
        on_despawn=_part(description, "on_despawn", str, where),
        finite=_part(description, "finite", bool, where),
        choices=choices,
        default=_read_default(description, kind, where),
    )


def _read_range(description: dict[str, Any], where: str) -> tuple[float, float] | None:
    if description.get("range", ABSENT) is None:
        return None
    ends = [_number(end, "range", where) for end in _part(description, "range", list, where)]
    if len(ends) != 2 or not ends[0] <= ends[1]:
        raise _damaged(where, "range", ends)
    return ends[0], ends[1]


def _read_default(description: dict[str, Any], kind: str, where: str) -> Any:
    if "default" not in description:
        return ABSENT
    if kind == "text":
        return _part(description, "default", str, where)
    default = description["default"]
    if isinstance(default, list):
        return [_number(value, "default", where) for value in default]
    return _number(default, "default", where)


def _number(value: Any, key: str, where: str) -> Any:
    if isinstance(value, str) and value in ("inf", "-inf", "nan"):
        return float(value)
    if not isinstance(value, bool | int | float):
        raise _damaged(where, key, value)
    return value


def _texts(description: dict[str, Any], key: str, where: str) -> list[str]:
    texts: list[str] = _part(description, key, list, where)
    if not all(isinstance(text, str) for text in texts):
        raise _damaged(where, key, texts)
    return texts


def _part(description: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(description, dict):
        raise SnapshotError(
            f"the description of {where} is damaged: it is {excerpt(description)}, not an object"
        )
    found = description.get(key)
    if type(found) is not kind:
        raise _damaged(where, key, found)
    return found


def _damaged(where: str, key: str, found: Any) -> SnapshotError:
    return SnapshotError(f"the description of {where} is damaged: its {key} is {excerpt(found)}")
