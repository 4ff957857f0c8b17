"""tcod-ecs: entities are objects, their components in dicts by type, relations of their own.

As its README recommends: components are looked up by type, entities (not their uids) are held on
to, loops go over `registry.Q[Position, Velocity]`, whose query is cached until a component of these
comes or goes. It has no bulk calls, so whatever is done to n entities is n calls. Numbers are
Python's floats.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import partial
from math import exp, log1p
from typing import Any

import numpy as np

from .. import inputs, objects
from ..objects import (
    DT,
    FADE,
    GAIN,
    HEALTH,
    LETTERS,
    Bodies,
    Edge,
    Health,
    Memory,
    Position,
    Recollection,
    Row,
    Trace,
    Velocity,
)
from ..published import tcod_runs
from ..published.tcod_runs import registry_of
from . import Entry, Peer


class Entities(Bodies):
    """Entities with Position and Velocity."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = registry_of()

    def create(self, given: Sequence[Row]) -> list[Any]:
        new = self.registry.new_entity
        return [
            new({Position: Position(x, y), Velocity: Velocity(dx, dy)}) for x, y, dx, dy in given
        ]

    def clear(self) -> None:
        self.registry = registry_of()
        gc.collect()

    def advance(self) -> None:
        for position, velocity in self.registry.Q[Position, Velocity]:
            position.x += velocity.x * DT
            position.y += velocity.y * DT

    def rows(self) -> list[Row]:
        return [(p.x, p.y, v.x, v.y) for p, v in self.registry.Q[Position, Velocity]]

    def delete(self) -> None:
        for entity in self.picks:
            entity.clear()

    def give(self) -> None:
        for entity in self.picks:
            entity.components[Health] = Health(HEALTH)

    def take(self) -> None:
        for entity in self.picks:
            del entity.components[Health]

    def healthy(self) -> list[tuple[Any, float]]:
        from tcod.ecs import Entity

        return [(entity, h.value) for entity, h in self.registry.Q[Entity, Health]]

    def write(self, values: Sequence[float]) -> None:
        for entity, value in zip(self.picks, values, strict=True):
            entity.components[Position].x = value

    def read(self) -> list[float]:
        return [entity.components[Position].x for entity in self.picks]


def sweep_decay(n: int) -> Entry:
    """A loop over Q[Trace], for a new moment each time."""
    registry, given, now = registry_of(), inputs.traces(n), inputs.NOW
    traces = objects.made(Trace, given)
    entities = [registry.new_entity({Trace: trace}) for trace in traces]

    def sweep() -> None:
        nonlocal now
        now += 1_000_000
        for (trace,) in registry.Q[(Trace,)]:
            elapsed_s = (now - trace.accessed) * 1e-6
            trace.strength = trace.importance * 2.0 ** (-elapsed_s / trace.stability)

    def check() -> None:
        objects.check_strengths([e.components[Trace] for e in entities], given, now)

    return Entry(sweep, check)


def decay_w6(n: int) -> Entry:
    """A loop over Q[Recollection], which counts as well."""
    registry, given, weak = registry_of(), inputs.recollections(n), 0
    entities = [
        registry.new_entity({Recollection: memory}) for memory in objects.made(Recollection, given)
    ]
    now, tau, threshold = objects.W6

    def sweep() -> None:
        nonlocal weak
        weak = 0
        for (memory,) in registry.Q[(Recollection,)]:
            lasts = tau * (1.0 + log1p(memory.recalls))
            memory.strength = memory.importance * exp((memory.last - now) / lasts)
            if memory.strength < threshold:
                weak += 1

    def check() -> None:
        found = [entity.components[Recollection].strength for entity in entities]
        inputs.check_w6(given, np.array(found), weak)

    return Entry(sweep, check)


def prune_owners(n: int) -> Entry:
    """Memories in a dict of lists by owner, each list sorted, the weakest cleared."""
    from tcod.ecs import Entity

    registry, crowd = registry_of(), inputs.Crowd(n)

    def come() -> None:
        if registry.Q.all_of([Memory]):
            crowd.renew()
        for memory in objects.newcomers(crowd):
            registry.new_entity({Memory: memory})
        registry.Q.all_of([Memory]).get_entities()  # the frame before would have cached it

    def prune() -> None:
        for entity in objects.least_important(registry.Q[Entity, Memory]):
            entity.clear()

    def check() -> None:
        objects.check_kept([memory for (memory,) in registry.Q[(Memory,)]], crowd)

    return Entry(prune, check, come)


def edges_update(n: int) -> Entry:
    """Edges are relations with a component, from entity to entity."""
    registry, given = registry_of(), inputs.edges(n)
    nodes = [registry.new_entity() for _ in range(given.n_nodes)]
    edges = [Edge(weight) for weight in given.weight.tolist()]
    names = [
        (nodes[source], nodes[target])
        for source, target in zip(given.source.tolist(), given.target.tolist(), strict=True)
    ]
    for (source, target), edge in zip(names, edges, strict=True):
        source.relation_components[Edge][target] = edge
    met = [names[place] for place in given.met]

    def update() -> None:
        for source in registry.Q.all_of(relations=[(Edge, ...)]):
            for edge in source.relation_components[Edge].values():
                edge.weight *= FADE
        for source, target in met:
            source.relation_components[Edge][target].weight += GAIN

    def check() -> None:
        found = [source.relation_components[Edge][target] for source, target in names]
        objects.check_strengthened(found, given)

    return Entry(update, check, lambda: objects.restore(edges, given))


PEER = Peer(
    "tcod-ecs",
    "tcod-ecs",
    workloads={
        **objects.workloads(Entities),
        "iter_frag26": partial(tcod_runs.frag_iter, letters=LETTERS),
        "sweep_decay": sweep_decay,
        "decay_w6": decay_w6,
        "prune_owners": prune_owners,
        "edges_update": edges_update,
        **tcod_runs.WORKLOADS,
    },
    most={"spawn_4c": 100_000, "edges_update": 100_000, **tcod_runs.MOST},
)
