"""`@component` and `@event`: one class is schema, spawn value and column view.

    @component
    class Position:
        x: f4
        y: f4

`schema(Position)` is what the engine reads; `Position(x=xs, y=0)` is a value, whose fields are
arrays or scalars; a view of a table is a `Position` too, whose fields are columns (`views.py`).
A component without fields is a tag and is passed as the class itself.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform, overload

from .errors import (
    ComponentDefinitionError,
    DuplicateComponentError,
    MissingFieldError,
    UnknownComponentError,
    UnknownFieldError,
)
from .fields import ABSENT, Field, bind_field, field

T = TypeVar("T")

_RESERVED = frozenset({"ids"})


@dataclass(frozen=True, eq=False, slots=True)
class Schema:
    """What the engine knows of a component or event class.

    persisted: the fields that a snapshot holds and that values can be given, all but the derived
    ones. names: theirs. required: the names of those without a default. unique: the two `Entity`
    fields whose pair no two entities share, or (). lasting: those and what else is written once.
    texts: the `Text` fields. is_event: made by `@event`: lives in a queue, never in a table.
    """

    cls: type
    name: str
    fields: tuple[Field, ...]
    persisted: tuple[Field, ...]
    names: tuple[str, ...]
    required: tuple[str, ...]
    requires: tuple[type, ...]
    unique: tuple[Field, ...]
    lasting: tuple[Field, ...]
    texts: tuple[Field, ...]
    is_event: bool
    doc: str

    @property
    def is_tag(self) -> bool:
        """Whether it has no fields."""
        return not self.fields

    def missing(self, given: Container[str]) -> list[str]:
        """The fields that have no default and are not in `given`."""
        return [name for name in self.required if name not in given]


@overload
@dataclass_transform(kw_only_default=True)
def component(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(kw_only_default=True)
def component(
    *, requires: type | tuple[type, ...] = (), unique: tuple[str, ...] = ()
) -> Callable[[type[T]], type[T]]: ...


def component(
    cls: type | None = None,
    /,
    *,
    requires: type | tuple[type, ...] = (),
    unique: tuple[str, ...] = (),
) -> Any:
    """Make a class a component.

    requires: components that an entity with this one must have; they are added with their
    defaults where they are not given. unique: two names of `Entity` fields, indexed with
    on_despawn "despawn" or "forbid", whose pair identifies the entity (an edge).

    Raises ComponentDefinitionError for a field that cannot be a column.

    >>> from populace import component, field, f4
    >>> @component
    ... class Energy:
    ...     level: f4 = field(1.0, range=(0, 1))
    >>> Energy.level
    <Field Energy.level: scalar float32>
    """
    return _decorate(cls, requires=requires, unique=unique, is_event=False)


@overload
@dataclass_transform(kw_only_default=True)
def event(cls: type[T], /) -> type[T]: ...


@overload
@dataclass_transform(kw_only_default=True)
def event() -> Callable[[type[T]], type[T]]: ...


def event(cls: type | None = None, /) -> Any:
    """Make a class an event: columns in a queue, emitted in batches, read once by each reader."""
    return _decorate(cls, requires=(), unique=(), is_event=True)


def schema(cls: Any) -> Schema:
    """The schema of a component or event class.

    Raises UnknownComponentError for anything else.
    """
    found = getattr(cls, "__populace__", None)
    if isinstance(found, Schema) and found.cls is cls:  # not a value's, nor inherited
        return found
    hint = ""
    if isinstance(getattr(type(cls), "__populace__", None), Schema):
        hint = f"; pass the class {type(cls).__name__}, not a value of it"
    raise UnknownComponentError(
        f"{cls!r} is not a component: decorate its class with @component{hint}"
    )


def _decorate(
    cls: type | None, *, requires: type | tuple[type, ...], unique: tuple[str, ...], is_event: bool
) -> Any:
    namespace = sys._getframe(2).f_locals

    def make(made: type) -> type:
        if not isinstance(made, type):
            raise ComponentDefinitionError(f"@component decorates a class, got {made!r}")
        needed = requires if isinstance(requires, tuple) else (requires,)
        _build(made, namespace, needed, unique, is_event)
        return made

    return make if cls is None else make(cls)


def _build(
    cls: type, namespace: Any, requires: tuple[type, ...], unique: tuple[str, ...], is_event: bool
) -> None:
    name = cls.__name__
    parents = [base.__name__ for base in cls.__mro__[1:-1]]
    if parents:
        raise ComponentDefinitionError(
            f"component {name} inherits from {', '.join(parents)}; a component is plain data: give "
            f"it its own fields, and the entity both components"
        )
    try:
        annotations = inspect.get_annotations(cls, locals=dict(namespace), eval_str=True)
    except Exception as error:  # an annotation is the user's code
        raise ComponentDefinitionError(f"component {name}: {error} in an annotation") from error
    fields = []
    for number, (field_name, annotation) in enumerate(annotations.items()):
        if field_name.startswith("_") or field_name in _RESERVED:
            raise ComponentDefinitionError(
                f"{name}.{field_name}: a field's name has no leading underscore and is not 'ids'"
            )
        given = cls.__dict__.get(field_name, ABSENT)
        made = given if isinstance(given, Field) else field(given)
        bind_field(made, cls, field_name, number, annotation)
        if is_event and (made.derived or made.index):
            raise ComponentDefinitionError(
                f"{made}: an event's field is neither derived nor indexed"
            )
        setattr(cls, field_name, made)
        fields.append(made)
    stray = [key for key, value in cls.__dict__.items() if isinstance(value, Field)]
    unannotated = [key for key in stray if key not in annotations]
    if unannotated:
        raise ComponentDefinitionError(f"{name}.{unannotated[0]} = field(...) has no annotation")
    for needed in requires:
        found = getattr(needed, "__populace__", None)
        if not isinstance(found, Schema) or found.is_event:
            raise ComponentDefinitionError(f"{name} requires {needed!r}, which is not a component")
    persisted = tuple(f for f in fields if not f.derived)
    pair = _unique_fields(name, fields, unique)
    made_schema = Schema(
        cls=cls,
        name=name,
        fields=tuple(fields),
        persisted=persisted,
        names=tuple(f.name for f in persisted),
        required=tuple(f.name for f in fields if f.default is ABSENT),
        requires=tuple(requires),
        unique=pair,
        lasting=tuple(f for f in fields if f in pair or f.fixed),
        texts=tuple(f for f in fields if f.kind == "text"),
        is_event=is_event,
        doc=inspect.getdoc(cls) or "",
    )
    parts: dict[str, Any] = {
        "__populace__": made_schema,
        "__init__": _init,
        "__setattr__": _setattr,
        "__repr__": _repr,
        "__signature__": _signature(fields),
    }
    for key, value in parts.items():
        setattr(cls, key, value)
    from .values import check_default

    for made in fields:
        check_default(made)


def _unique_fields(name: str, fields: list[Field], unique: tuple[str, ...]) -> tuple[Field, ...]:
    if not unique:
        return ()
    by_name = {f.name: f for f in fields}
    pair = tuple(by_name[key] for key in unique if key in by_name)
    if len(unique) != 2 or len(pair) != 2 or pair[0] is pair[1]:
        raise ComponentDefinitionError(
            f"component {name}: unique={unique!r} must name two of its fields {sorted(by_name)}"
        )
    for made in pair:
        if made.on_despawn not in ("despawn", "forbid"):
            raise ComponentDefinitionError(
                f"{made} is part of a unique pair, so it must always name a living entity: declare "
                f"it Entity = field(index=True, on_despawn='despawn') or 'forbid'"
            )
    return pair


def _signature(fields: list[Field]) -> inspect.Signature:
    parameter = inspect.Parameter
    return inspect.Signature(
        [
            parameter(
                f.name,
                parameter.POSITIONAL_OR_KEYWORD,
                default=parameter.empty if f.default is ABSENT else f.default,
            )
            for f in sorted(fields, key=lambda f: f.default is not ABSENT)
            if not f.derived
        ]
    )


def _init(self: Any, *values: Any, **given: Any) -> None:
    made: Schema = type(self).__populace__
    names = made.names
    if len(values) > len(names):
        raise UnknownFieldError(
            f"{made.name} has {len(names)} fields ({', '.join(names)}), got {len(values)} values"
        )
    for name, value in zip(names, values, strict=False):
        if name in given:
            raise UnknownFieldError(f"{made.name}.{name} is given twice, by place and by name")
        given[name] = value
    for name in given:
        if name not in names:
            raise UnknownFieldError(unknown_field(made, name))
    self.__dict__.update(given)


def _setattr(self: Any, name: str, value: Any) -> None:
    made: Schema = type(self).__populace__
    if any(f.name == name for f in made.fields):
        raise UnknownFieldError(
            f"{made.name}.{name} of a value is fixed; make a new one: {made.name}({name}=...)"
        )
    raise UnknownFieldError(unknown_field(made, name))


def unknown_field(made: Schema, name: str) -> str:
    """Why a component cannot be given a field of that name, in words."""
    names = made.names
    if any(f.name == name for f in made.fields):
        return f"{made.name}.{name} is derived: a system fills it, it cannot be given"
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return (
        f"{made.name} has no field {name!r}; it has {', '.join(names) or 'none: it is a tag'}{hint}"
    )


def _repr(self: Any) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
    return f"{type(self).__populace__.name}({given})"


def given_fields(value: Any) -> dict[str, Any]:
    """The fields that a value was given, by name."""
    return dict(value.__dict__)


def require_fields(made: Schema, given: Container[str], doing: str) -> None:
    """Raise MissingFieldError where a field without default is not given."""
    absent = made.missing(given)
    if absent:
        raise MissingFieldError(
            f"{doing} needs {made.name}.{absent[0]}: it has no default; give "
            f"{made.name}({', '.join(f'{name}=...' for name in absent)})"
        )


def component_tuple(components: Any) -> tuple[type, ...]:
    """One component class or a tuple of them, each checked.

    Raises UnknownComponentError, DuplicateComponentError.
    """
    parts = components if isinstance(components, (tuple, list)) else (components,)
    for place, part in enumerate(parts):
        made = schema(part)
        if part in parts[:place]:
            raise DuplicateComponentError(f"{made.name} is named twice; once will do")
    return tuple(parts)
