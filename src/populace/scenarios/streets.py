"""Where things are in a town: homes, workplaces and meeting places along its streets.

A town is a square whose streets run to and fro, one above the other, as one long way. Whatever
lies along it has a place t in [0, 1) on the way, so that neighbours on the way are neighbours in
the town, and who lives at t works and goes out not far from t. Names are a surname and a kind, as
"Ricci Bakery"; homes are all called "home".

Every draw is a function of (seed, number). Cost: 1 µs a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

from populace.components import Place
from populace.ecs import World, random
from populace.ecs.entities import Ids
from populace.words import LAST_NAMES

STREET = 40.0
"""Metres between streets."""
EDGE = 12.0
"""Metres from the walls to what lies nearest to them."""
HOME_RADIUS, WORK_RADIUS, MEETING_RADIUS = 4.0, 8.0, 8.0

Numbers = npt.NDArray[np.float64]


def side_of(n_agents: int, density: float) -> float:
    """Metres along the side of a town of so many agents, of so many to the km²."""
    return max(1_000 * sqrt(n_agents / density), 4 * EDGE)


def along(t: Numbers, side: float) -> tuple[Numbers, Numbers]:
    """(x, y) in m of places on the way, t in [0, 1).

    >>> x, y = along(np.array([0.0, 0.4, 0.6]), 104.0)
    >>> x.tolist(), y.tolist()
    ([12.0, 76.0, 76.0], [32.0, 32.0, 72.0])
    """
    n_streets = max(1, int((side - 2 * EDGE) // STREET))
    reached = t * n_streets
    street = np.minimum(reached.astype(np.int64), n_streets - 1)
    part = reached - street
    part = np.where(street % 2 == 0, part, 1 - part)
    gap = (side - 2 * EDGE) / n_streets
    return EDGE + part * (side - 2 * EDGE), EDGE + (street + 0.5) * gap


def spread(n: int) -> Numbers:
    """(n,) the places of n things, evenly along the way."""
    found: Numbers = (np.arange(n) + 0.5) / n
    return found


def nearby(t: Numbers, n: int, drawn: Numbers, reach: float) -> npt.NDArray[np.int64]:
    """(k,) which of n evenly spread things those at t go to.

    drawn: (k,) standard normal. reach: how far they look, as a share of the way.
    """
    wanted = (t + drawn * reach) * n
    wanted = np.abs(wanted) % (2 * n)  # who would leave the way turns back
    wanted = np.minimum(wanted, 2 * n - wanted)
    return np.minimum(wanted.astype(np.int64), n - 1)


def build_places(
    world: World, kinds: Sequence[tuple[str, str]], n: int, side: float, radius: float, stream: str
) -> tuple[Ids, list[str]]:
    """Spawn n places along the way, each of a kind drawn in turn; return their ids and names.

    kinds: (kind, what is said of one, as "{} Bakery"). Names repeat with a number where surnames
    run out.
    """
    which = [place % len(kinds) for place in range(n)]
    turn = int(random.integers(world.seed, stream, 0, len(LAST_NAMES))[0])
    names = []
    for place in range(n):
        again, family = divmod(place // len(kinds), len(LAST_NAMES))
        surname = LAST_NAMES[(family * 37 + turn + which[place] * 11) % len(LAST_NAMES)]
        name = kinds[which[place]][1].format(surname)
        names.append(f"{name} {again + 1}" if again else name)
    x, y = along(spread(n), side)
    y = y + STREET / 4 * np.where(np.arange(n) % 2, 1, -1)  # across the street from each other
    ids: Ids = world.spawn(
        n,
        Place(
            name=names, kind=[kinds[k][0] for k in which], x=x, y=np.clip(y, 0, side), radius=radius
        ),
    )
    return ids, names


def build_homes(world: World, n: int, side: float) -> Ids:
    """Spawn n homes evenly along the way."""
    x, y = along(spread(n), side)
    ids: Ids = world.spawn(n, Place(name="home", kind="home", x=x, y=y, radius=HOME_RADIUS))
    return ids


def how_many(n_agents: int, for_each: float) -> int:
    """Places for so many agents, at so many to a place; at least one."""
    return max(1, ceil(n_agents / for_each))
