"""What one field of a component is: dtype, width, unit, range, default, reference rules.

A `Field` is made by `@component` from an annotation and, if there is one, a `field(...)`. It sits
on the class, so `Position.x` names the field, `Position(x=1).x` is a value and a view's
`position.x` is the column.

Kinds: scalar (numpy scalar types), vector ((n, width) column), entity (u8 id, 0 is `NOBODY`),
text (u4 code into the world's `TextPool`), enum (u1, from an `enum.IntEnum`).
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import numpy as np

from .errors import ComponentDefinitionError

OnDespawn = Literal["keep", "null", "despawn", "forbid"]
Kind = Literal["scalar", "vector", "entity", "text", "enum"]

NOBODY: Final = 0

if TYPE_CHECKING:
    # An annotation stands for a scalar in a value, an array in a view: no one type says that.
    f2: TypeAlias = Any
    f4: TypeAlias = Any
    f8: TypeAlias = Any
    i1: TypeAlias = Any
    i2: TypeAlias = Any
    i4: TypeAlias = Any
    i8: TypeAlias = Any
    u1: TypeAlias = Any
    u2: TypeAlias = Any
    u4: TypeAlias = Any
    u8: TypeAlias = Any
    b1: TypeAlias = Any
    Entity: TypeAlias = Any
    Text: TypeAlias = Any

    class Vector:
        """A fixed number of values a row."""

        def __class_getitem__(cls, parameters: Any) -> Any: ...

else:
    f2, f4, f8 = np.float16, np.float32, np.float64
    i1, i2, i4, i8 = np.int8, np.int16, np.int32, np.int64
    u1, u2, u4, u8 = np.uint8, np.uint16, np.uint32, np.uint64
    b1 = np.bool_

    class Entity:
        """A reference to an entity: a u8 id, or `NOBODY`."""

    class Text:
        """An interned string: a u4 code, the string lives in `world.text`."""

    class Vector:
        """A fixed number of values a row: `Vector[256]` (f4) or `Vector[256, i1]`."""

        def __init__(self, width, dtype):
            self.width, self.dtype = width, dtype

        def __class_getitem__(cls, parameters):
            width, dtype = parameters if isinstance(parameters, tuple) else (parameters, f4)
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise ComponentDefinitionError(f"Vector[width] needs a width >= 1, got {width!r}")
            return cls(width, dtype)


SCALARS: Final = {
    np.dtype(kind)
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
}


class _Absent:
    """The mark of a field that has no default."""

    def __repr__(self) -> str:
        return "no default"


ABSENT: Final = _Absent()


class Field:
    """One column of a component. Read-only after the class is made.

    dtype: of one value. width: 0 for one value a row, d for an (n, d) vector column. range: closed
    interval or None. default: `ABSENT` when it must be given. choices: the enum, for enum fields.
    number: its place among the component's fields. shape: of one row's value. sealed: why the
    column cannot be written in place, in words, or "".
    """

    __slots__ = (
        "choices",
        "component",
        "default",
        "derived",
        "doc",
        "dtype",
        "finite",
        "fixed",
        "index",
        "kind",
        "name",
        "number",
        "on_despawn",
        "range",
        "sealed",
        "shape",
        "unit",
        "width",
    )

    component: type
    name: str
    number: int
    kind: Kind
    dtype: np.dtype[Any]
    width: int
    choices: type[enum.IntEnum] | None
    sealed: str
    shape: tuple[int, ...]

    def __init__(
        self,
        default: Any,
        *,
        range: tuple[float, float] | None,
        unit: str,
        derived: bool,
        index: bool,
        on_despawn: OnDespawn | None,
        finite: bool,
        fixed: bool,
        doc: str,
    ) -> None:
        self.default = default
        self.range = range
        self.unit = unit
        self.derived = derived
        self.index = index
        self.on_despawn: OnDespawn = on_despawn or ("null" if index else "keep")
        self.finite = finite
        self.fixed = fixed
        self.doc = doc

    @property
    def row_bytes(self) -> int:
        """Bytes a row."""
        return self.dtype.itemsize * (self.width or 1)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The field itself on the class; on a value what was given, else the default."""
        if instance is None:
            return self
        return instance.__dict__.get(self.name, self.default)

    def __set__(self, instance: Any, value: Any) -> None:
        """A data descriptor, so that the class's own attribute wins; values are fixed."""
        raise AttributeError(f"{self} of a value is fixed")

    def __str__(self) -> str:
        return f"{self.component.__name__}.{self.name}"

    def __repr__(self) -> str:
        width = f"[{self.width}]" if self.width else ""
        unit = f" in {self.unit}" if self.unit else ""
        return f"<Field {self}: {self.kind} {self.dtype.name}{width}{unit}>"

    def __reduce__(self) -> Any:
        return getattr, (self.component, self.name)


def field(
    default: Any = ABSENT,
    *,
    range: tuple[float, float] | None = None,
    unit: str = "",
    derived: bool = False,
    index: bool = False,
    on_despawn: OnDespawn | None = None,
    finite: bool = True,
    fixed: bool = False,
    doc: str = "",
) -> Any:
    """Describe a field more closely than a bare annotation does.

    default: used where the field is not given. range: closed interval of allowed values. unit: of
    one value. derived: a cache filled by a system, never given and never saved. index, on_despawn:
    of `Entity` fields; an indexed reference is kept in `world.index(field)`, and the despawn of
    what it names despawns its entity ("despawn"), sets it to `NOBODY` ("null", the default when
    indexed) or is refused ("forbid"); "keep" (the default when not indexed) leaves it, stale but
    never mistaken for another's. finite: refuse NaN and infinities in float fields. fixed: written
    once, when the entity gets its component; to change it, remove the component and add it anew,
    which observers see.

    Raises ComponentDefinitionError, when the class is made, for a combination that has no sense.
    """
    return Field(
        default,
        range=range,
        unit=unit,
        derived=derived,
        index=index,
        on_despawn=on_despawn,
        finite=finite,
        fixed=fixed,
        doc=doc,
    )


def bind_field(made: Field, component: type, name: str, number: int, annotation: Any) -> None:
    """Give a field its place, dtype and kind; check that all its parts agree."""
    made.component, made.name, made.number = component, name, number
    made.width, made.choices = 0, None
    if annotation is Entity:
        made.kind, made.dtype = "entity", np.dtype(np.uint64)
        if made.default is ABSENT and not made.derived:
            made.default = ABSENT
    elif annotation is Text:
        made.kind, made.dtype = "text", np.dtype(np.uint32)
    elif isinstance(annotation, type) and issubclass(annotation, enum.IntEnum):
        made.kind, made.dtype, made.choices = "enum", np.dtype(np.uint8), annotation
        _check_choices(made, annotation)
    elif isinstance(annotation, cast(type, Vector)):
        vector: Any = annotation
        made.kind, made.dtype, made.width = "vector", _scalar(made, vector.dtype), vector.width
    else:
        made.kind, made.dtype = "scalar", _scalar(made, annotation)
    made.shape = (made.width,) if made.width else ()
    _check_rules(made)
    if made.derived:
        made.default = 0
    made.sealed = ""
    if made.index:
        made.sealed = f"{made} is indexed; change it with world.set(ids, ...)"
    elif made.fixed:
        made.sealed = (
            f"{made} is written once; remove {component.__name__} from the entity and add it anew"
        )


def _scalar(made: Field, annotation: Any) -> np.dtype[Any]:
    known = isinstance(annotation, type) and issubclass(annotation, np.generic)
    dtype: np.dtype[Any] | None = np.dtype(annotation) if known else None
    if dtype is None or dtype not in SCALARS:
        raise ComponentDefinitionError(
            f"{made} is annotated {annotation!r}; allowed are f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1, "
            f"Entity, Text, Vector[d] or Vector[d, dtype], and subclasses of enum.IntEnum"
        )
    return dtype


def _check_choices(made: Field, choices: type[enum.IntEnum]) -> None:
    values = [int(choice) for choice in choices]
    if not values or min(values) < 0 or max(values) > 255:
        raise ComponentDefinitionError(
            f"{made}: an enum field is one byte, so {choices.__name__} needs members with values "
            f"from 0 to 255, got {values}"
        )


def _check_rules(made: Field) -> None:
    def wrong(reason: str) -> ComponentDefinitionError:
        return ComponentDefinitionError(f"{made}: {reason}")

    reference = made.kind == "entity"
    if made.index and not reference:
        raise wrong("only an Entity field can have index=True")
    if made.on_despawn not in ("keep", "null", "despawn", "forbid"):
        raise wrong(
            f"on_despawn is {made.on_despawn!r}; allowed are 'despawn', 'null', 'forbid', 'keep'"
        )
    if made.index and made.on_despawn == "keep":
        raise wrong(
            "an indexed reference cannot keep naming the dead; on_despawn is 'null', 'despawn' or "
            "'forbid'"
        )
    if made.on_despawn != "keep" and not made.index:
        raise wrong(f"on_despawn={made.on_despawn!r} needs an Entity field with index=True")
    if made.derived and (made.default is not ABSENT or made.index):
        raise wrong("a derived field has no default and no index: a system fills it")
    if made.derived and made.fixed:
        raise wrong("a derived field is filled again and again, so it cannot be fixed")
    if made.range is not None:
        if made.kind not in ("scalar", "vector") or made.dtype.kind == "b":
            raise wrong("a range is for numbers only")
        low, high = made.range
        if math.isnan(low) or math.isnan(high) or low > high:
            raise wrong(f"range=({low}, {high}) is empty")
