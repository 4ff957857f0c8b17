"""What a caller gives to spawn, add or set, read into one form: schema -> given fields.

Accepted: a value (`Position(x=xs)`), a component class (its defaults; how a tag is passed), a
template. A value beside a template overrides it field by field.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from .component import Schema, given_fields, require_fields, schema
from .errors import (
    ColumnShapeError,
    DuplicateComponentError,
    QueryError,
    RequiredComponentError,
    UnknownComponentError,
)
from .values import rows_of

Bundle = dict[type, dict[str, Any]]


class Template:
    """A named bundle with defaults, made by `World.template`."""

    __slots__ = ("bundle", "name")

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.name = name
        self.bundle = bundle

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{cls.__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"
            for cls, given in self.bundle.items()
        )
        return f"<Template {self.name!r}: {parts}>"


def read_bundle(things: tuple[Any, ...], doing: str) -> Bundle:
    """The components in `things`, in their order.

    Raises DuplicateComponentError, UnknownComponentError.
    """
    bundle: Bundle = {}
    templates = [thing for thing in things if isinstance(thing, Template)]
    if len(templates) > 1:
        raise QueryError(
            f"{doing} got {len(templates)} templates "
            f"({', '.join(repr(t.name) for t in templates)}); it takes one"
        )
    for thing in things:
        if isinstance(thing, Template):
            continue
        cls = thing if isinstance(thing, type) else type(thing)
        made = getattr(cls, "__populace__", None)
        if not isinstance(made, Schema):
            raise UnknownComponentError(
                f"{doing} got {thing!r}, which is not a component; pass values such as "
                f"Position(x=0, y=0) and tags such as Asleep"
            )
        if made.is_event:
            raise UnknownComponentError(f"{made.name} is an event: emit it with world.emit(...)")
        if made.cls in bundle:
            raise DuplicateComponentError(
                f"{doing} got {made.name} twice; merge its fields into one"
            )
        bundle[made.cls] = {} if isinstance(thing, type) else given_fields(thing)
    for template in templates:
        inherited = {cls: dict(given) for cls, given in template.bundle.items()}
        for cls, given in bundle.items():
            inherited.setdefault(cls, {}).update(given)
        bundle = inherited
    return bundle


def copy_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Given fields that no later change of the caller's arrays and lists reaches."""
    return {
        k: np.array(v) if isinstance(v, np.ndarray) else list(v) if isinstance(v, list) else v
        for k, v in given.items()
    }


def copy_value(value: Any) -> Any:
    """The same of a value; a class is itself."""
    return value if isinstance(value, type) else type(value)(**copy_fields(given_fields(value)))


def copied(bundle: Bundle) -> Bundle:
    """The same for a whole bundle."""
    return {cls: copy_fields(given) for cls, given in bundle.items()}


def with_required(bundle: Bundle, doing: str, present: Collection[type] = ()) -> Bundle:
    """The bundle and all that its components require, with defaults; fields without one checked.

    present: components that every entity concerned has already.

    Raises RequiredComponentError where a required component cannot be made from defaults, and
    MissingFieldError where a given one lacks a field.
    """
    whole: Bundle = dict(bundle)
    for cls, given in bundle.items():
        require_fields(schema(cls), given, doing)
    queue = list(bundle)
    while queue:
        cls = queue.pop()
        for needed in schema(cls).requires:
            if needed in whole or needed in present:
                continue
            absent = schema(needed).missing(())
            if absent:
                raise RequiredComponentError(
                    f"{doing}: {cls.__name__} requires {needed.__name__}, which was not given and "
                    f"has no default for {', '.join(absent)}; give {needed.__name__}"
                    f"({', '.join(f'{name}=...' for name in absent)})"
                )
            whole[needed] = {}
            queue.append(needed)
    return whole


def count_rows(n: int | None, bundle: Bundle) -> int:
    """How many rows to spawn: n, or what the first array says, or one.

    Raises ColumnShapeError where n is no count.
    """
    if n is not None:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ColumnShapeError(f"spawn needs a number of rows >= 0, got {n!r}")
        return int(n)
    for cls, given in bundle.items():
        for field in schema(cls).fields:
            rows = rows_of(field, given.get(field.name))
            if rows is not None:
                return rows
    return 1
