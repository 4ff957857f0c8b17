"""Social energy: a contact costs both parties some, and it comes back with time.

    x(t) = min(1, x(t0) + recovery * (t - t0))
    a contact costs cost * (1 - 0.5 * extraversion), and x never falls below 0

An agent below `least` starts no contact: those who start contacts ask `willing`. Agents without
`SocialEnergy` neither tire nor pay; those without `Persona` pay as at the mean extraversion of 0.5.

`Met` -> `spend_energy`. Invariants: contacts count in the order of their time, simultaneous ones in
that of emission, so the state does not depend on how time is cut into steps. A contact older than
an agent's last one counts as happening then. Only the contact's parties change.
Cost: 100,000 contacts of 100,000 agents 3 ms; the sweep 0.2 ns an agent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Met, Persona
from populace.components.energy import EnergyNow, SocialEnergy
from populace.ecs import (
    Clock,
    Events,
    Read,
    Res,
    World,
    Write,
    f4,
    jit,
    kernel,
    setting,
    settings,
    system,
)
from populace.ecs.entities import Ids, as_ids
from populace.ecs.events import picked

FULL_REST_S = 8 * 3_600.0


@settings
class Energy:
    """How contacts tire, and rest restores. A resource."""

    recovery: float = setting(
        1 / FULL_REST_S, range=(0, 1e3), unit="1/s", doc="of energy; spent to rested in 8 h"
    )
    cost: float = setting(
        0.05, range=(0, 1), doc="of a contact to an agent of extraversion 0; half at 1"
    )
    least: float = setting(0.1, range=(0, 1), doc="energy below which an agent starts no contact")


# -- the law ---------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def rested(level: Any, elapsed: Any, recovery: Any) -> Any:
    """The energy after `elapsed` i8 µs without a contact, f4; as it was where that is negative.

    >>> float(rested(f4(0.25), np.int64(2_000_000), 0.125))
    0.5
    """
    return min(level + f4(recovery) * (f4(max(elapsed, 0)) * f4(1e-6)), f4(1))


@jit
def energy_at(level_k: Any, since_k: Any, now: Any, recovery: Any, out_k: Any) -> None:
    """out_k <- the energy of each agent at `now` (i8 µs). O(k)."""
    for i in range(out_k.size):
        out_k[i] = rested(level_k[i], now - since_k[i], recovery)


@jit
def spend(
    row_p: Any,
    table_p: Any,
    time_p: Any,
    cost_p: Any,
    table: Any,
    recovery: Any,
    level_n: Any,
    since_n: Any,
) -> None:
    """Let the parties of contacts pay, in their order, where they are rows of one table.

    row_p, table_p: (p,) u4, where each party is; those in other tables than `table` are passed
    over. time_p: i8 µs. cost_p: f4. The columns of the table, *_n, are changed. O(p).
    """
    for p in range(time_p.size):
        if table_p[p] == table:
            row = row_p[p]
            level = rested(level_n[row], time_p[p] - since_n[row], recovery)
            level_n[row] = max(level - cost_p[p], f4(0))
            since_n[row] = max(since_n[row], time_p[p])


# -- contacts --------------------------------------------------------------------------------


@system
def spend_energy(world: World, met: Events[Met], law: Res[Energy]) -> None:
    """Let both parties of every contact since the last time pay for it, if they still live."""
    if not met.time.size:
        return
    if (met.time[1:] < met.time[:-1]).any():
        met = picked(met, np.argsort(met.time, kind="stable"))
    party = np.stack([met.source, met.target], axis=1).reshape(-1)
    time = np.repeat(met.time, 2)
    if world.store.entities.first_dead(party) >= 0:
        alive = world.alive(party)
        party, time = party[alive], time[alive]
    cost = f4(law.cost) * (f4(1) - f4(0.5) * extraversion(world, party))
    row, table, _, _ = world.store.entities.resolve(party)
    for tiring in world.query(SocialEnergy).tables():
        world.store.changes.opened(tiring, SocialEnergy, None)
        level, since = (tiring.column(f) for f in (SocialEnergy.level, SocialEnergy.since))
        spend(row, table, time, cost, np.uint32(tiring.number), law.recovery, level, since)


def extraversion(world: World, ids: Ids) -> npt.NDArray[np.float32]:
    """(k,) f4: of each agent, 0.5 for one without `Persona`."""
    people = world.has(ids, Persona)
    if people.all():
        return world.get(ids, Persona.extraversion)
    found = np.full(ids.size, 0.5, np.float32)
    found[people] = world.get(ids[people], Persona.extraversion)
    return found


# -- what is left ----------------------------------------------------------------------------


def willing(world: World, ids: Any, now: int | None = None) -> npt.NDArray[np.bool_]:
    """(k,) bool: who has the energy to start a contact now, or at `now` in simulated µs.

    ids: (k,); agents without `SocialEnergy` always have it. It does not depend on when energy was
    last swept. Raises DeadEntityError, ResourceError. Cost: about 7 ns an agent.

    >>> world = World()
    >>> world.insert(Energy())
    >>> ann, bo = world.spawn(2, SocialEnergy(level=[0.5, 0.05]))
    >>> willing(world, [ann, bo]).tolist(), willing(world, [ann, bo], now=3_600_000_000).tolist()
    ([True, False], [True, True])
    """
    law = world.resource(Energy)
    asked = as_ids(ids)
    mask = np.ones(asked.size, np.bool_)
    tiring = world.has(asked, SocialEnergy)
    level = world.get(asked[tiring], SocialEnergy.level)
    since = world.get(asked[tiring], SocialEnergy.since)
    left = np.empty(level.size, np.float32)
    moment = np.int64(world.clock.now if now is None else now)
    energy_at(level, since, moment, law.recovery, left)
    mask[tiring] = left >= f4(law.least)
    return mask


@kernel
def refresh_energy(
    energy: Read[SocialEnergy], now: Write[EnergyNow], clock: Res[Clock], law: Res[Energy]
) -> None:
    """Fill `EnergyNow` for now."""
    now.level = rested(energy.level, clock.now - energy.since, law.recovery)
