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

import numpy as np

from .component import schema
from .entities import Ids
from .errors import QueryError

Kind = Literal["add", "remove", "despawn"]
Callback = Callable[[Any, Ids], object]
Change = tuple[tuple[type, ...], Ids]  # components, and the ids of one table that gain or lose them


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

    def calls(self, kind: Kind, changes: list[Change]) -> list[tuple[Observer, Ids]]:
        """Who is to be told what, each once: in the order of components, then of registration."""
        told: dict[type, list[Ids]] = {}
        for components, ids in changes:
            for component in components:
                if self.held.get((kind, component)):
                    told.setdefault(component, []).append(ids)
        return [
            (observer, np.concatenate(parts))
            for component, parts in told.items()
            for observer in self.held[kind, component]
        ]
