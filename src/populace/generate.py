"""A generated population: names, traits and lives, for worlds that import none.

Everything about an agent is a function of (seed, its number), so a population does not depend on
how it was cut into batches. Python runs per distinct string, never per agent.
Cost: about 0.5 µs per agent.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Biography, Persona, Stream
from populace.ecs import World, hours, random
from populace.systems import AWAKE, waking_times

from .population import next_number
from .words import FIRST_NAMES, LAST_NAMES, PLACES, TRAITS

Codes = npt.NDArray[np.uint32]

TRAIT_MEAN, TRAIT_DEVIATION = 0.5, 0.15
YOUNGEST, OLDEST = 18, 80
WORKPLACES = np.array([place for place, words in enumerate(PLACES) if words.trade])
N_NAMES = len(FIRST_NAMES) * len(LAST_NAMES)
STRIDE = 7919
assert gcd(STRIDE, N_NAMES) == 1, "a stride that shares a factor with N_NAMES repeats names early"


def populate(world: World, n_agents: int, *, seed: int) -> npt.NDArray[np.uint64]:
    """Spawn agents with names, Big Five and a short biography; return their ids.

    Full names are all different up to 21,098 agents. Traits are normal (mean 0.5, deviation 0.15),
    clipped to [0, 1]; ages are even from 18 to 80.
    """
    number = next_number(world) + np.arange(n_agents)
    traits = big_five(seed, number)
    ids: npt.NDArray[np.uint64] = world.spawn(
        n_agents,
        Persona(
            number=number,
            name=names_of(world, seed, number),
            openness=traits[0],
            conscientiousness=traits[1],
            extraversion=traits[2],
            agreeableness=traits[3],
            neuroticism=traits[4],
        ),
        Biography(
            age=ages_of(seed, number),
            innate=_innate(world, traits),
            learned=_learned(world, seed, number),
            lifestyle=_lifestyle(world, seed, number),
        ),
        Stream(),
    )
    return ids


def big_five(seed: int, number: Any) -> npt.NDArray[np.float64]:
    """(5, n) f8 in [0, 1], in the order of `Persona`."""
    drawn = [random.normal(seed, "generate.trait", number, draw=trait) for trait in range(5)]
    return np.clip(TRAIT_MEAN + TRAIT_DEVIATION * np.stack(drawn), 0, 1)


def ages_of(seed: int, number: Any) -> npt.NDArray[np.int64]:
    """(n,) i8 years, even from 18 to 80."""
    drawn: npt.NDArray[np.int64] = random.integers(
        seed, "generate.age", number, OLDEST + 1 - YOUNGEST
    )
    return YOUNGEST + drawn


def workplaces(seed: int, number: Any) -> npt.NDArray[np.int64]:
    """(n,) i8: where the agents of those numbers work, as places of `words.PLACES`."""
    found: npt.NDArray[np.int64] = WORKPLACES[
        random.integers(seed, "generate.work", number, WORKPLACES.size)
    ]
    return found


def names_of(world: World, seed: int, number: Any) -> Codes:
    """Walks all full names in strides that share no factor with their count: no early repeats."""
    start = int(random.integers(seed, "generate.name", 0, N_NAMES)[0])
    chosen, inverse = np.unique((start + number * STRIDE) % N_NAMES, return_inverse=True)
    firsts, lasts = np.divmod(chosen, len(LAST_NAMES))
    pairs = zip(firsts.tolist(), lasts.tolist(), strict=True)
    names = [f"{FIRST_NAMES[first]} {LAST_NAMES[last]}" for first, last in pairs]
    return world.text.intern(names)[inverse]


def _innate(world: World, traits: npt.NDArray[np.float64]) -> Codes:
    """The three most pronounced traits, in words."""
    away = np.abs(traits - TRAIT_MEAN)
    told = away >= np.sort(away, axis=0)[2]
    bits = 1 << np.arange(5)[:, None]
    chosen, inverse = np.unique(
        (told * bits).sum(axis=0) * 32 + ((traits > TRAIT_MEAN) * bits).sum(axis=0),
        return_inverse=True,
    )
    texts = [
        ", ".join(pair[high >> trait & 1] for trait, pair in enumerate(TRAITS) if mask >> trait & 1)
        for mask, high in (divmod(int(code), 32) for code in chosen)
    ]
    return world.text.intern(texts)[inverse]


def _learned(world: World, seed: int, number: Any) -> Codes:
    texts = [f"{place.trade} at {place.name}" if place.trade else "" for place in PLACES]
    return world.text.intern(texts)[workplaces(seed, number)]


def _lifestyle(world: World, seed: int, number: Any) -> Codes:
    half_hours = np.round(waking_times(seed, number) / hours(0.5)).astype(np.int64)
    chosen, inverse = np.unique(half_hours, return_inverse=True)
    to_bed = chosen + AWAKE // hours(0.5)
    texts = [
        f"gets up around {_clock(up)} and goes to bed around {_clock(down)}"
        for up, down in zip(chosen.tolist(), to_bed.tolist(), strict=True)
    ]
    return world.text.intern(texts)[inverse]


def _clock(half_hours: int) -> str:
    return f"{half_hours // 2 % 24}:{half_hours % 2 * 3}0"
