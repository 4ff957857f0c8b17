"""esper: entities are integers, components Python objects in dicts, queries cached lists.

As its README recommends: dataclasses as components, loops over `get_components`, which answers from
its cache until an entity or component comes or goes. It has no bulk calls, so whatever is done to n
entities is n calls; components are given slots, which is faster than without. Numbers are Python's
floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import exp, log1p

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
from ..published import esper_runs
from ..published.esper_runs import Context
from . import Entry, Peer


class Entities(Bodies):
    """Entities with Position and Velocity."""

    def __init__(self) -> None:
        super().__init__()
        self.context = Context()

    def create(self, given: Sequence[Row]) -> list[int]:
        create = self.context.enter().create_entity
        return [create(Position(x, y), Velocity(dx, dy)) for x, y, dx, dy in given]

    def clear(self) -> None:
        self.context.enter().clear_database()

    def advance(self) -> None:
        for _, (position, velocity) in self.context.enter().get_components(Position, Velocity):
            position.x += velocity.x * DT
            position.y += velocity.y * DT

    def rows(self) -> list[Row]:
        pairs = self.context.enter().get_components(Position, Velocity)
        return [(p.x, p.y, v.x, v.y) for _, (p, v) in pairs]

    def delete(self) -> None:
        esper = self.context.enter()
        delete = esper.delete_entity
        for entity in self.picks:
            delete(entity)
        esper.clear_dead_entities()

    def give(self) -> None:
        add = self.context.enter().add_component
        for entity in self.picks:
            add(entity, Health(HEALTH))

    def take(self) -> None:
        remove = self.context.enter().remove_component
        for entity in self.picks:
            remove(entity, Health)

    def healthy(self) -> list[tuple[int, float]]:
        return [(entity, h.value) for entity, h in self.context.enter().get_component(Health)]

    def write(self, values: Sequence[float]) -> None:
        find = self.context.enter().component_for_entity
        for entity, value in zip(self.picks, values, strict=True):
            find(entity, Position).x = value

    def read(self) -> list[float]:
        find = self.context.enter().component_for_entity
        return [find(entity, Position).x for entity in self.picks]


def sweep_decay(n: int) -> Entry:
    """A loop over get_component, cached; for a new moment each time."""
    context, given, now = Context(), inputs.traces(n), inputs.NOW
    traces = objects.made(Trace, given)
    ids = [context.esper.create_entity(trace) for trace in traces]

    def sweep() -> None:
        nonlocal now
        now += 1_000_000
        for _, trace in context.enter().get_component(Trace):
            elapsed_s = (now - trace.accessed) * 1e-6
            trace.strength = trace.importance * 2.0 ** (-elapsed_s / trace.stability)

    def check() -> None:
        find = context.enter().component_for_entity
        objects.check_strengths([find(entity, Trace) for entity in ids], given, now)

    return Entry(sweep, check)


def decay_w6(n: int) -> Entry:
    """A loop over get_component, cached, which counts as well."""
    context, given, weak = Context(), inputs.recollections(n), 0
    create = context.esper.create_entity
    ids = [create(memory) for memory in objects.made(Recollection, given)]
    now, tau, threshold = objects.W6

    def sweep() -> None:
        nonlocal weak
        weak = 0
        for _, memory in context.enter().get_component(Recollection):
            lasts = tau * (1.0 + log1p(memory.recalls))
            memory.strength = memory.importance * exp((memory.last - now) / lasts)
            if memory.strength < threshold:
                weak += 1

    def check() -> None:
        find = context.enter().component_for_entity
        found = [find(entity, Recollection).strength for entity in ids]
        inputs.check_w6(given, np.array(found), weak)

    return Entry(sweep, check)


def prune_owners(n: int) -> Entry:
    """Memories in a dict of lists by owner, each list sorted, the weakest deleted."""
    context, crowd = Context(), inputs.Crowd(n)

    def come() -> None:
        esper = context.enter()
        if esper.get_component(Memory):
            crowd.renew()
        for memory in objects.newcomers(crowd):
            esper.create_entity(memory)
        esper.get_component(Memory)  # the frame before would have cached it

    def prune() -> None:
        esper = context.enter()
        for entity in objects.least_important(esper.get_component(Memory)):
            esper.delete_entity(entity)
        esper.clear_dead_entities()

    def check() -> None:
        objects.check_kept([memory for _, memory in context.enter().get_component(Memory)], crowd)

    return Entry(prune, check, come)


def edges_update(n: int) -> Entry:
    """It has no relations: edges are entities, found in a dict by source and target."""
    context, given = Context(), inputs.edges(n)
    names = list(zip(given.source.tolist(), given.target.tolist(), strict=True))
    edges = [Edge(weight) for weight in given.weight.tolist()]
    for edge in edges:
        context.esper.create_entity(edge)
    of = dict(zip(names, edges, strict=True))
    met = [names[place] for place in given.met]

    def update() -> None:
        for _, edge in context.enter().get_component(Edge):
            edge.weight *= FADE
        for name in met:
            of[name].weight += GAIN

    def check() -> None:
        found = [edge for _, edge in context.enter().get_component(Edge)]
        assert set(map(id, found)) == set(map(id, edges))
        objects.check_strengthened(edges, given)

    return Entry(update, check, lambda: objects.restore(edges, given))


PEER = Peer(
    "esper",
    "esper",
    workloads={
        **objects.workloads(Entities),
        "iter_frag26": partial(esper_runs.frag_iter, letters=LETTERS),
        "sweep_decay": sweep_decay,
        "decay_w6": decay_w6,
        "prune_owners": prune_owners,
        "edges_update": edges_update,
        **esper_runs.WORKLOADS,
    },
    most=esper_runs.MOST,
)
