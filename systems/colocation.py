"""Co-location: agents that are near each other meet now and then.

Once a round, of the pairs at most `radius` apart whose two are awake, each meets with the
probability

    1 - (1 - chance)^(length of the round / 1 h)

at a moment drawn from the round, which is over by then. Who turns to whom is drawn too: a starts
with the probability E_a / (E_a + E_b), E the extraversion. Nothing comes of it where the one that
starts is not `willing`, or where either has had `most` contacts in this round: earlier ones go
first. How a contact goes is told by `rapport` where the world has a `Rapport`, else it is neutral.

`meet` -> `Contact` (mutual, with the name of the place where both are). Invariants: every draw is a
function of (seed, the numbers of both, the round's time), so contacts depend on no row, no thread
and no third agent but through `most`; they are emitted by time, then number. A round sees agents as
they are when it runs: let no step be longer than a round, and let steps divide it.
Cost: a round of 10,000 agents, 42,000 contacts a day, 2.7 ms; of 100,000 25 to 60.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Contact, Persona
from populace.components.activity import Activity
from populace.ecs import (
    NOBODY,
    Clock,
    Res,
    World,
    f8,
    hours,
    i8,
    jit,
    setting,
    settings,
    system,
    u8,
)
from populace.ecs.entities import Ids
from populace.ecs.random import stream_of, uniform_at

from .energy import Energy, willing
from .machine import StateMachine
from .movement import edges, positions_at
from .neighbours import in_order, pairs_within
from .rapport import Rapport, outcomes
from .whereabouts import place_names, places_at

HOUR = hours(1)


@settings
class Colocation:
    """How near and how often agents meet. A resource."""

    radius: float = setting(3.0, range=(0, 1e6), unit="m", doc="within which agents meet")
    chance: float = setting(
        0.25, range=(0, 1), unit="1/h", doc="probability that two who stay near meet in an hour"
    )
    most: int = setting(2, range=(0, 2**31 - 1), doc="contacts that an agent has in a round")
    asleep: str = setting(
        "asleep", doc="states of the StateMachine in which agents meet nobody, split by commas"
    )


@jit
def draw_meetings(
    i_p: Any, j_p: Any, number_n: Any, extraversion_n: Any, stream: Any, now: Any, lasts: Any,
    chance: Any, source_m: Any, target_m: Any, time_m: Any,
) -> int:  # fmt: skip
    """source_m[:k], target_m[:k], time_m[:k] <- those of the pairs that meet; return k.

    i_p, j_p: places of agents, number_n[i] < number_n[j]. now: i8 µs, the round's end. lasts: i8
    µs. chance: f8, in a round. O(pairs).
    """
    met = 0
    for p in range(i_p.size):
        i, j = i_p[p], j_p[p]
        key = u8(number_n[i]) << u8(32) | u8(number_n[j])
        if uniform_at(stream, now, key, u8(0)) >= chance:
            continue
        mine, both = f8(extraversion_n[i]), f8(extraversion_n[i]) + f8(extraversion_n[j])
        forth = uniform_at(stream, now, key, u8(1)) * both < mine
        if both == 0:
            forth = uniform_at(stream, now, key, u8(1)) < 0.5
        source_m[met], target_m[met] = (i, j) if forth else (j, i)
        time_m[met] = now - i8(uniform_at(stream, now, key, u8(2)) * f8(lasts))
        met += 1
    return met


@jit
def keep_first(source_m: Any, target_m: Any, most: Any, had_n: Any, keep_m: Any) -> None:
    """keep_m <- whether both have had fewer than `most` contacts before. had_n: zeros. O(m)."""
    for m in range(source_m.size):
        i, j = source_m[m], target_m[m]
        keep_m[m] = had_n[i] < most and had_n[j] < most
        if keep_m[m]:
            had_n[i] += 1
            had_n[j] += 1


def awake(world: World, ids: Ids, asleep: str) -> npt.NDArray[np.bool_]:
    """(k,) bool: who is in none of the states named; so is who has no `Activity`.

    asleep: names split by commas; those that the machine lacks name nobody. Raises DeadEntityError,
    ResourceError where agents have an `Activity` and the world no StateMachine.
    """
    mask = np.ones(ids.size, np.bool_)
    active = world.has(ids, Activity)
    if active.any():
        states = world.resource(StateMachine).states
        names = {name.strip() for name in asleep.split(",")}
        is_awake = np.array([state not in names for state in states])
        mask[active] = is_awake[world.get(ids[active], Activity.state)]
    return mask


def meetings(
    world: World, law: Colocation, now: int, lasts: int
) -> tuple[Ids, Ids, npt.NDArray[np.int64]]:
    """Who turns to whom in the round that ends at `now` and lasted `lasts` (both µs), and when.

    Returns (source (k,) u8, target (k,) u8, time (k,) i8 µs), by time. Nothing is emitted.
    Raises ResourceError for a world without `Space`.
    """
    ids = in_order(world)
    ids = ids[awake(world, ids, law.asleep)]
    i, j = pairs_within(*positions_at(world, ids, now), law.radius, *edges(world))
    source, target, time = (np.empty(i.size, i8) for _ in range(3))
    chance = 1 - (1 - law.chance) ** (lasts / HOUR)
    n_met = draw_meetings(
        i, j, world.get(ids, Persona.number), world.get(ids, Persona.extraversion),
        u8(stream_of(world.seed, "colocation")), i8(now), i8(lasts), chance, source, target, time,
    )  # fmt: skip
    source, target, time = source[:n_met], target[:n_met], time[:n_met]
    if Energy in world.resources:
        can = willing(world, ids[source], now)
        source, target, time = source[can], target[can], time[can]
    # Pairs come by number, so simultaneous ones stay in that order.
    order = np.argsort(time, kind="stable")
    source, target = source[order], target[order]
    keep = np.empty(order.size, np.bool_)
    keep_first(source, target, law.most, np.zeros(ids.size, i8), keep)
    return ids[source[keep]], ids[target[keep]], time[order][keep]


@system(phase="first", fixed_step=hours(1))
def meet(world: World, law: Res[Colocation], clock: Res[Clock]) -> None:
    """Hold one round: emit the contacts of the time since the last one."""
    source, target, time = meetings(world, law, clock.now, clock.dt)
    if not source.size:
        return
    here = places_at(world, source, clock.now)
    here[here != places_at(world, target, clock.now)] = NOBODY
    world.emit(
        Contact(
            source=source,
            target=target,
            time=time,
            outcome=outcomes(world, source, target, time) if Rapport in world.resources else 0.0,
            mutual=True,
            place=place_names(world, here),
        )
    )
