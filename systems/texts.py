"""Texts that nothing holds any more are given back, so that a world can live on for years.

A town forms some 100,000 distinct sentences a day and forgets most memories of them; their strings
stay in the text pool until `World.reclaim_texts`. The system `reclaim_texts` calls it now and then:

    world.insert(Texts(every=7 * DAY_S))
    world.add_system(reclaim_texts)

It is none of `add_laws`: whoever adds it has no codes of texts anywhere but where a reclaim finds
them, see `populace.ecs.reclaim`.

Invariant: whether strings are given back depends on the state of the world and the time alone.
Cost: 0.5 to 3 ns a row with a text where one is due, and 0.2 µs a string where enough are dead.
"""

from __future__ import annotations

from math import ceil

from populace.ecs import Res, World, setting, settings, system

from .retention import DAY_S, US_PER_S


@settings
class Texts:
    """When texts that nothing holds are given back. A resource."""

    every: float = setting(
        7 * DAY_S, range=(1e-6, 2**43), unit="s", doc="between one look and the next"
    )
    least: int = setting(10_000, range=(1, 2**32), doc="texts below which it is not worth it")
    share: float = setting(0.1, range=(0, 1), doc="of all texts, below which it is not worth it")


@system(phase="last")
def reclaim_texts(world: World, law: Res[Texts]) -> None:
    """Give texts back where a multiple of `every` is passed and enough of them are held by nothing.
    Goes last."""
    every, clock = round(law.every * US_PER_S), world.clock
    if clock.now // every != (clock.now - clock.dt) // every:
        n_texts = len(world.text) - world.text.n_free
        world.reclaim_texts(least=max(law.least, ceil(law.share * n_texts)))
