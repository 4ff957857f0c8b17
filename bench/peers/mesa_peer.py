"""Mesa: agents are Python objects with attributes and methods, held in sets.

As the documentation of Mesa 3 recommends: `Agent.create_agents` with an array for each attribute,
`AgentSet.do` with a method's name, `select`, `groupby`, `agent.remove()`. `do` activates one agent
after the other; where agents read each other this gives other results than a step of columns, in
the work here they do not. There are no components to add or remove, and no look-up by id, so those
cases are left out, as is the work on edges.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from functools import cache, partial
from math import exp, log1p
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import inputs, objects
from ..objects import DT, Bodies, Row
from ..published import mesa_runs
from . import Entry, Peer


@cache
def kinds() -> SimpleNamespace:
    """The classes of agents, which need Mesa to be there."""
    import mesa  # type: ignore[import-untyped]

    class Body(mesa.Agent):  # type: ignore[misc]
        """Something that moves."""

        def __init__(self, model: Any, x: float, y: float, dx: float, dy: float) -> None:
            super().__init__(model)
            self.x, self.y, self.dx, self.dy = x, y, dx, dy

        def move(self) -> None:
            self.x += self.dx * DT
            self.y += self.dy * DT

    class Number(mesa.Agent):  # type: ignore[misc]
        """One number."""

        def __init__(self, model: Any, value: float) -> None:
            super().__init__(model)
            self.value = value

        def double(self) -> None:
            self.value *= 2.0

    class Trace(mesa.Agent):  # type: ignore[misc]
        """A memory with a half-life."""

        def __init__(self, model: Any, importance: float, stability: float, accessed: int) -> None:
            super().__init__(model)
            self.importance, self.stability, self.accessed = importance, stability, accessed
            self.strength = 0.0

        def decay(self, now: int) -> None:
            elapsed_s = (now - self.accessed) * 1e-6
            self.strength = self.importance * 2.0 ** (-elapsed_s / self.stability)

    class Recollection(mesa.Agent):  # type: ignore[misc]
        """A memory that lasts the longer, the more often it was recalled."""

        def __init__(self, model: Any, importance: float, last: float, recalls: int) -> None:
            super().__init__(model)
            self.importance, self.last, self.recalls = importance, last, recalls
            self.strength = 0.0

        def decay(self, now: float, tau: float) -> None:
            lasts = tau * (1.0 + log1p(self.recalls))
            self.strength = self.importance * exp((self.last - now) / lasts)

    class Memory(mesa.Agent):  # type: ignore[misc]
        """A memory, whosesoever."""

        def __init__(self, model: Any, owner: int, importance: float) -> None:
            super().__init__(model)
            self.owner, self.importance = owner, importance

    letters = [type(f"Letter{k}", (Number,), {}) for k in range(inputs.FRAGMENTS)]
    return SimpleNamespace(
        Model=mesa.Model,
        ids=getattr(mesa.Agent, "_ids", {}),
        Body=Body,
        Trace=Trace,
        Recollection=Recollection,
        Memory=Memory,
        letters=letters,
    )


class Held:
    """A model without agents, which ends with this object.

    Mesa counts the ids of each model in a dict that keeps the model, and all agents with it, until
    the process ends; a run of many sizes would run out of memory.
    """

    def __init__(self) -> None:
        self.model = kinds().Model(seed=1)
        weakref.finalize(self, kinds().ids.pop, self.model, None).atexit = False


def create(kind: type, held: Held, columns: Sequence[Sequence[Any]]) -> list[Any]:
    """An agent of each row."""
    agents = kind.create_agents(held.model, len(columns[0]), *columns)  # type: ignore[attr-defined]
    return list(agents)


def lists(columns: Sequence[inputs.Array]) -> list[list[Any]]:
    """As Python's numbers: numpy's make every method of an agent slower."""
    return [column.tolist() for column in columns]


class Agents(Bodies):
    """Agents of one class."""

    def __init__(self) -> None:
        super().__init__()
        self.held = Held()

    def prepared(self, columns: inputs.Floats) -> list[list[Any]]:
        return lists([*columns])

    def create(self, given: Sequence[Sequence[Any]]) -> Any:
        return kinds().Body.create_agents(self.held.model, len(given[0]), *given)

    def clear(self) -> None:
        self.held = Held()
        gc.collect()

    def advance(self) -> None:
        self.held.model.agents.do("move")

    def rows(self) -> list[Row]:
        rows: list[Row] = self.held.model.agents.get(["x", "y", "dx", "dy"])
        return rows

    def delete(self) -> None:
        for agent in self.picks:
            agent.remove()


def iter_frag26(n: int) -> Entry:
    """agents.do over 26 classes of agents."""
    held = Held()
    for kind, (begin, end) in zip(kinds().letters, inputs.fragments(n), strict=True):
        create(kind, held, [[float(number) for number in range(begin, end)]])

    def double() -> None:
        held.model.agents.do("double")  # a set alone would not keep its agents

    return Entry(double, lambda: objects.check_doubled(list(held.model.agents), n))


def sweep_decay(n: int) -> Entry:
    """agents.do, for a new moment each time."""
    held, given, now = Held(), inputs.traces(n), inputs.NOW
    traces = create(kinds().Trace, held, lists(given))

    def sweep() -> None:
        nonlocal now
        now += 1_000_000
        held.model.agents.do("decay", now)

    return Entry(sweep, lambda: objects.check_strengths(traces, given, now))


def decay_w6(n: int) -> Entry:
    """agents.do, then agents.get, to count."""
    held, given, weak = Held(), inputs.recollections(n), 0
    memories = create(kinds().Recollection, held, lists(given))
    now, tau, threshold = objects.W6

    def sweep() -> None:
        nonlocal weak
        held.model.agents.do("decay", now, tau)
        weak = sum(strength < threshold for strength in held.model.agents.get("strength"))

    def check() -> None:
        inputs.check_w6(given, np.array([memory.strength for memory in memories]), weak)

    return Entry(sweep, check)


def prune_owners(n: int) -> Entry:
    """groupby owner, each group sorted, the weakest removed."""
    held, crowd = Held(), inputs.Crowd(n)

    def come() -> None:
        if held.model.agents:
            crowd.renew()
        newcomers = crowd.owner[crowd.places], crowd.importance[crowd.places]
        create(kinds().Memory, held, lists(newcomers))

    def prune() -> None:
        for _, memories in held.model.agents.groupby("owner", result_type="list"):
            memories.sort(key=lambda memory: memory.importance, reverse=True)
            for memory in memories[inputs.KEPT :]:
                memory.remove()

    return Entry(prune, lambda: objects.check_kept(list(held.model.agents), crowd), come)


PEER = Peer(
    "Mesa",
    "mesa",
    workloads={
        "spawn_4c": partial(objects.spawn_4c, Agents),
        "iter_2c": partial(objects.iter_2c, Agents),
        "iter_frag26": iter_frag26,
        "despawn_spawn_tenth": partial(objects.despawn_spawn_tenth, Agents),
        "sweep_decay": sweep_decay,
        "decay_w6": decay_w6,
        "prune_owners": prune_owners,
        **mesa_runs.WORKLOADS,
    },
)
