"""Routine: who begins to do something else goes where that is done.

`Routine.haunts` says for each state of the StateMachine at which of its `Haunts` an agent is in it.
At an `ActivityChanged` the agent leaves, at that moment, for a spot of its own at the place: drawn
evenly from the disc of the place's radius, a function of (seed, number, moment), and kept inside
the walls. It stays where it is if the place is the one it is at or on its way to, or it has none.

`ActivityChanged` -> `follow_routine` -> `Motion`, `Whereabouts`. Register it after
`change_activity`. Invariants: events count in the order of their times, so the state does not
depend on how time is cut into steps.
Cost: 0.3 µs for each change of activity among 10,000 agents, 1.4 among 100,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Persona
from populace.components.activity import Activity, ActivityChanged
from populace.components.place import Haunts, Place, Whereabouts
from populace.components.space import Motion
from populace.ecs import (
    NOBODY,
    Events,
    Res,
    World,
    f4,
    f8,
    i8,
    jit,
    setting,
    settings,
    system,
    u1,
    u8,
)
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import SettingError
from populace.ecs.events import picked
from populace.ecs.random import stream_of, uniform_at

from .machine import StateMachine
from .movement import edges, go_to, place

KINDS = (Haunts.home, Haunts.work, Haunts.leisure)
NAMES = tuple(haunt.name for haunt in KINDS)
NOWHERE = 255

DAILY_HAUNTS = {
    "asleep": "home",
    "waking": "home",
    "working": "work",
    "lunch": "leisure",
    "leisure": "leisure",
    "home": "home",
}
"""Where the states of `daily_life` happen."""


DAILY_WORDS = {
    "asleep": "asleep",
    "waking": "getting up",
    "working": "working",
    "lunch": "having lunch",
    "leisure": "relaxing",
    "home": "spending time",
}
"""What somebody in a state of `daily_life` "is"."""


@dataclass(frozen=True, slots=True)
class Routine:
    """Where each state happens, "home", "work" or "leisure", and how it is told. A resource.

    Agents stay where they are in a state that `haunts` leaves out. `words` says what somebody in a
    state is doing, as in "Maria Lopez is working"; what it leaves out is told by the state's name.
    Raises SettingError for another haunt.
    """

    haunts: Mapping[str, str] = field(default_factory=lambda: dict(DAILY_HAUNTS))
    words: Mapping[str, str] = field(default_factory=lambda: dict(DAILY_WORDS))

    def __post_init__(self) -> None:
        """Check that every haunt is one."""
        for state, haunt in self.haunts.items():
            if haunt not in NAMES:
                raise SettingError(
                    f"Routine.haunts[{state!r}] must be one of {', '.join(NAMES)}, got {haunt!r}"
                )

    def codes(self, states: tuple[str, ...]) -> npt.NDArray[np.uint8]:
        """(s,) u1: for each state the place of its haunt in `KINDS`, NOWHERE where left out."""
        return np.array(
            [NAMES.index(self.haunts[s]) if s in self.haunts else NOWHERE for s in states], u1
        )


@settings
class Walking:
    """How agents get about. A resource."""

    speed: float = setting(
        1.4, range=(1e-3, 1e3), unit="m/s", doc="of an agent on its way (Browning et al. 2006)"
    )


@jit
def draw_spots(
    stream: Any, number_k: Any, time_k: Any, x_k: Any, y_k: Any, radius_k: Any, edges: Any,
    out_x_k: Any, out_y_k: Any,
) -> None:  # fmt: skip
    """out_x_k, out_y_k <- a point of each disc, inside the walls. Discs f4 m, times i8 µs. O(k)."""
    width, height, wrapping = edges
    for k in range(number_k.size):
        dx = dy = f8(2)
        draw = u8(0)
        while dx * dx + dy * dy > 1:  # of a square, until it falls into the disc
            dx = 2 * uniform_at(stream, time_k[k], u8(number_k[k]), draw) - 1
            dy = 2 * uniform_at(stream, time_k[k], u8(number_k[k]), draw + u8(1)) - 1
            draw += u8(2)
        x, y = f8(x_k[k]) + f8(radius_k[k]) * dx, f8(y_k[k]) + f8(radius_k[k]) * dy
        if not wrapping:
            x, y = min(max(x, f8(0)), f8(width)), min(max(y, f8(0)), f8(height))
        out_x_k[k], out_y_k[k] = x, y


@jit
def find_moves(agent_e: Any, goal_e: Any, place_n: Any, moves_e: Any) -> None:
    """moves_e <- whether an event sends its agent to another place. place_n: where agents are,
    carried on from event to event. O(events)."""
    for e in range(agent_e.size):
        i = agent_e[e]
        moves_e[e] = goal_e[e] != 0 and goal_e[e] != place_n[i]
        if moves_e[e]:
            place_n[i] = goal_e[e]


def haunts_of(world: World, ids: Ids, states: npt.NDArray[np.uint8]) -> Ids:
    """(k,) u8: the place where each agent is in a state (a code), NOBODY where it has none.

    Raises DeadEntityError, ResourceError, ComponentMissingError for an agent without `Haunts`.
    """
    codes = world.resource(Routine).codes(world.resource(StateMachine).states)[states]
    found = np.zeros(ids.size, np.uint64)
    for code, haunt in enumerate(KINDS):
        here = codes == code
        found[here] = world.get(ids[here], haunt)
    return found


def spots(
    world: World, ids: Ids, places: Ids, time: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(k,) f4 m twice: where each agent goes that leaves for a place at a moment (i8 µs)."""
    x, y = np.empty(ids.size, f4), np.empty(ids.size, f4)
    middle_x, middle_y, radius = (
        world.get(places, field) for field in (Place.x, Place.y, Place.radius)
    )
    stream, number = u8(stream_of(world.seed, "routine.spot")), world.get(ids, Persona.number)
    draw_spots(stream, number, time, middle_x, middle_y, radius, edges(world), x, y)
    return x, y


@system(phase="first")
def follow_routine(
    world: World, changed: Events[ActivityChanged], routine: Res[Routine], walking: Res[Walking]
) -> None:
    """Send everybody who has begun something else to where that is done."""
    able = world.alive(changed.agent)
    living = changed.agent[able]
    able[able] = world.has(living, Haunts) & world.has(living, Motion)
    if not able.any():
        return
    changed = picked(changed, np.flatnonzero(able)[np.argsort(changed.time[able], kind="stable")])
    goals = haunts_of(world, changed.agent, changed.after)
    agents, rows = np.unique(changed.agent, return_inverse=True)
    here, moves = world.get(agents, Whereabouts.place), np.empty(rows.size, np.bool_)
    find_moves(rows, goals, here, moves)
    moving = picked(changed, moves)
    goals = goals[moves]
    go_to(
        world, moving.agent, *spots(world, moving.agent, goals, moving.time), walking.speed,
        moving.time,
    )  # fmt: skip
    # `here` may name a place that has ended, which a reference cannot be set to.
    left = np.unique(rows[moves])
    world.set(agents[left], Whereabouts(place=here[left]))


def settle(world: World, ids: Any, time: int | None = None) -> None:
    """Put agents down where what they are doing is done: at the outset.

    ids: (k,) distinct agents with `Persona`, `Activity` and `Haunts`. They are given `Motion`, but
    for those who have no such haunt, which are left as they are. time: simulated µs, now if None.
    Raises ComponentMissingError, ResourceError, DeadEntityError, DuplicateEntityError.
    """
    asked = as_ids(ids)
    world.store.locate(asked)  # refuses repeats before anything changes
    goals = haunts_of(world, asked, world.get(asked, Activity.state))
    asked, goals = asked[goals != NOBODY], goals[goals != NOBODY]
    when = np.full(asked.size, world.clock.now if time is None else time, i8)
    place(world, asked, *spots(world, asked, goals, when), when)
    world.set(asked, Whereabouts(place=goals))
