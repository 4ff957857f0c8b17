"""Typed singletons of a world: the clock, the settings of a law, a running count.

A resource is an instance of a dataclass, so that a snapshot can hold it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from .errors import ResourceError

R = TypeVar("R")


class Resources:
    """The resources of one world, by their class."""

    def __init__(self) -> None:
        self._held: dict[type, Any] = {}

    def insert(self, resource: Any, replace: bool = False) -> None:
        """Add a resource.

        Raises ResourceError for anything but a dataclass instance or, unless `replace`, a second.
        """
        cls = type(resource)
        if isinstance(resource, type) or not dataclasses.is_dataclass(resource):
            raise ResourceError(
                f"a resource is an instance of a dataclass, so that a snapshot can hold it; got "
                f"{resource!r}"
            )
        if cls in self._held and not replace:
            raise ResourceError(
                f"this world has a {cls.__name__} already; change it, or insert(..., replace=True)"
            )
        self._held[cls] = resource

    def get(self, cls: type[R]) -> R:
        """The resource of a class. Raises ResourceError where there is none."""
        try:
            found: R = self._held[cls]
        except KeyError:
            held = ", ".join(sorted(c.__name__ for c in self._held)) or "none"
            raise ResourceError(
                f"this world has no resource {getattr(cls, '__name__', cls)!r} (it has {held}); "
                f"world.insert({getattr(cls, '__name__', '...')}(...)) adds one"
            ) from None
        return found

    def __contains__(self, cls: type) -> bool:
        return cls in self._held

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held.values())
