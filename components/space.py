"""Where agents are: on a straight leg from the last event, and so a closed form of time.

At the time t an agent is at (x, y) + (vx, vy) * (min(t, until) - since), folded into the world:
`systems.movement` has the formula. `Motion` changes at events only; `Position` is a cache of it.
"""

from __future__ import annotations

from populace.ecs import component, f4, f8, field, i8, setting, settings

from .memory import NEVER


@settings
class Space:
    """How large the world is, and what is at its edges. A resource.

    Sizes are held as f4. Coordinates lie in [0, width] and [0, height] of a bounded world, and in
    [0, width) and [0, height) of one that wraps.
    """

    width: float = setting(1_000.0, range=(1, 1e6), unit="m", doc="of the world, along x")
    height: float = setting(1_000.0, range=(1, 1e6), unit="m", doc="of the world, along y")
    wrapping: bool = setting(
        False, doc="who leaves at one edge enters at the other (a torus); else edges are walls"
    )


@component
class Position:
    """Where an agent is: a cache of `Motion`, filled by a sweep."""

    x: f4 = field(derived=True, unit="m", doc="along the world's width")
    y: f4 = field(derived=True, unit="m", doc="along the world's height")


@component(requires=Position)
class Motion:
    """Where an agent was at its last event, and how it moves on from there.

    Velocities are f8, so that a leg ends at its goal to the last bit of an f4 coordinate.
    """

    x: f4 = field(unit="m", doc="along the width, at `since`")
    y: f4 = field(unit="m", doc="along the height, at `since`")
    vx: f8 = field(default=0.0, range=(-1e6, 1e6), unit="m/s", doc="from `since` to `until`")
    vy: f8 = field(default=0.0, range=(-1e6, 1e6), unit="m/s", doc="from `since` to `until`")
    since: i8 = field(default=0, unit="us since 1970", doc="the last event, in simulated time")
    until: i8 = field(default=NEVER, unit="us since 1970", doc="when it stands still, at its goal")
