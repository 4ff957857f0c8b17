"""Functions that are told of structural changes, in batches.

"add" fires after entities have gained a component (spawn or add), "remove" before they lose it
(remove or despawn), "despawn" before entities that have it are despawned. A callback gets the
world and the ids (k,) u8, once for each batch and component, in the order of registration. It may
read everything and queue `world.commands` (applied at the next sync point), but not change
structure itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from .component import schema
from .entities import Ids
from .errors import QueryError

Kind = Literal["add", "remove", "despawn"]
Callback = Callable[[Any, Ids], object]


class Observer:
    """One registration; `cancel()` ends it."""

    __slots__ = ("_observers", "callback", "component", "kind")

    def __init__(
        self, observers: Observers, kind: Kind, component: type, callback: Callback
    ) -> None:
        self._observers, self.kind, self.component = observers, kind, component
        self.callback = callback

    def cancel(self) -> None:
        """Be told no more; twice does no harm."""
        held = self._observers.held.get((self.kind, self.component), [])
        if self in held:
            held.remove(self)


class Observers:
    """All registrations of one world."""

    def __init__(self) -> None:
        self.held: dict[tuple[Kind, type], list[Observer]] = {}

    def register(self, kind: Kind, component: type, callback: Callback) -> Observer:
        """Raises QueryError for an unknown kind, UnknownComponentError for a non-component."""
        if kind not in get_args(Kind):
            raise QueryError(f"observers are told of {', '.join(get_args(Kind))}; got {kind!r}")
        schema(component)
        made = Observer(self, kind, component, callback)
        self.held.setdefault((kind, component), []).append(made)
        return made

    def watching(self, kind: Kind, components: tuple[type, ...]) -> list[Observer]:
        """Who is to be told that these components changed, in order of component."""
        if not self.held:
            return []
        return [o for c in components for o in self.held.get((kind, c), ())]
