"""Temperament: where a mood comes to rest, from the Big Five; and words for what is felt.

    pleasure  = .21 E + .59 A + .19 S
    arousal   = .15 O + .30 A - .57 S
    dominance = .25 O + .17 C + .60 E - .32 A

O, C, E, A: openness, conscientiousness, extraversion, agreeableness; S is emotional stability, the
opposite of neuroticism. The map is one of standardised traits: a trait of 0 is -1, of 0.5, the
mean, 0, of 1 +1. What leaves [-1, 1] (a dominance of 1.34 is possible) is clipped.
Source: Mehrabian 1996, Analysis of the Big-Five personality factors in terms of the PAD
temperament model; the words are those of his Pleasure-arousal-dominance, also 1996.
Cost: 3 ns an agent; in the sweep of `emotion` next to nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Persona
from populace.ecs import f4, jit
from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError

from .affect import within

BIG_FIVE = (
    Persona.openness,
    Persona.conscientiousness,
    Persona.extraversion,
    Persona.agreeableness,
    Persona.neuroticism,
)

NEUTRAL_BELOW = 0.05
"""A feeling shorter than this has no word."""

OCTANTS = (
    "bored", "disdainful", "anxious", "hostile", "docile", "relaxed", "dependent", "exuberant"
)  # fmt: skip
"""Mehrabian's words, by 4 * pleased + 2 * stirred + in control."""


@njit(nogil=True, error_model="numpy")
def standard(trait: Any) -> Any:
    """A trait in [0, 1] with mean 0.5 as one in [-1, 1] with mean 0, f4."""
    return f4(2) * f4(trait) - f4(1)


@njit(nogil=True, error_model="numpy")
def trait_pleasure(extraversion: Any, agreeableness: Any, neuroticism: Any) -> Any:
    """The pleasure of a temperament, f4."""
    return within(
        f4(0.21) * standard(extraversion)
        + f4(0.59) * standard(agreeableness)
        - f4(0.19) * standard(neuroticism)
    )


@njit(nogil=True, error_model="numpy")
def trait_arousal(openness: Any, agreeableness: Any, neuroticism: Any) -> Any:
    """The arousal of a temperament, f4: it rises with neuroticism."""
    return within(
        f4(0.15) * standard(openness)
        + f4(0.30) * standard(agreeableness)
        + f4(0.57) * standard(neuroticism)
    )


@njit(nogil=True, error_model="numpy")
def trait_dominance(
    openness: Any, conscientiousness: Any, extraversion: Any, agreeableness: Any
) -> Any:
    """The dominance of a temperament, f4."""
    return within(
        f4(0.25) * standard(openness)
        + f4(0.17) * standard(conscientiousness)
        + f4(0.60) * standard(extraversion)
        - f4(0.32) * standard(agreeableness)
    )


@jit
def temperaments(trait_5n: Any, out_n3: Any) -> None:
    """out_n3 <- pleasure, arousal, dominance. trait_5n: (5, n) f4, `BIG_FIVE`."""
    for i in range(out_n3.shape[0]):
        openness, conscientiousness, extraversion = trait_5n[0, i], trait_5n[1, i], trait_5n[2, i]
        agreeableness, neuroticism = trait_5n[3, i], trait_5n[4, i]
        out_n3[i, 0] = trait_pleasure(extraversion, agreeableness, neuroticism)
        out_n3[i, 1] = trait_arousal(openness, agreeableness, neuroticism)
        out_n3[i, 2] = trait_dominance(openness, conscientiousness, extraversion, agreeableness)


def temperament(
    openness: Any = 0.5,
    conscientiousness: Any = 0.5,
    extraversion: Any = 0.5,
    agreeableness: Any = 0.5,
    neuroticism: Any = 0.5,
) -> npt.NDArray[np.float32]:
    """(..., 3) f4: pleasure, arousal and dominance of a temperament.

    Traits in [0, 1], numbers or arrays that broadcast. Raises ColumnValueError for any other,
    ColumnShapeError where they do not broadcast.

    >>> temperament(neuroticism=1).tolist() == np.float32([-0.19, 0.57, 0]).tolist()
    True
    """
    given = {
        "openness": openness,
        "conscientiousness": conscientiousness,
        "extraversion": extraversion,
        "agreeableness": agreeableness,
        "neuroticism": neuroticism,
    }
    traits = _broadcast(given).astype(np.float32)
    for name, trait in zip(given, traits, strict=True):
        wrong = ~((trait >= 0) & (trait <= 1))
        if wrong.any():
            raise ColumnValueError(f"{name} must lie in [0, 1]; got {trait[wrong].flat[0]}")
    out = np.empty((traits[0].size, 3), np.float32)
    temperaments(traits.reshape(5, -1), out)
    return out.reshape(*traits.shape[1:], 3)


def octant(pleasure: Any, arousal: Any, dominance: Any) -> Any:
    """A word for what is felt: exuberant, dependent, relaxed, docile, hostile, anxious, disdainful,
    bored; neutral for less than `NEUTRAL_BELOW`. A str, or an array of them for arrays.

    Coordinates in [-1, 1] that broadcast; 0 counts as above. Raises ColumnValueError for any other,
    ColumnShapeError where they do not broadcast.

    >>> octant(0.4, 0.2, -0.1)
    'dependent'
    >>> octant([0, -0.5], [0, 0.5], 0.3).tolist()
    ['exuberant', 'hostile']
    """
    given = {"pleasure": pleasure, "arousal": arousal, "dominance": dominance}
    point = _broadcast(given)
    wrong = ~(np.abs(point) <= 1)
    if wrong.any():
        raise ColumnValueError(f"a feeling lies in [-1, 1]; got {point[wrong].flat[0]}")
    above = point >= 0
    code = 4 * above[0] + 2 * above[1] + above[2]
    words = np.array([*OCTANTS, "neutral"])
    found = words[np.where((point**2).sum(axis=0) < NEUTRAL_BELOW**2, len(OCTANTS), code)]
    return found if point.ndim > 1 else str(found)


def _broadcast(given: dict[str, Any]) -> Any:
    """The values as (k, ...) f8, all of one shape. Raises ColumnTypeError, ColumnShapeError."""
    try:
        arrays = [np.asarray(value, np.float64) for value in given.values()]
    except (ValueError, TypeError) as error:
        raise ColumnTypeError(f"{', '.join(given)} are numbers or arrays: {error}") from None
    try:
        return np.array(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(
            f"{name} {array.shape}" for name, array in zip(given, arrays, strict=True)
        )
        raise ColumnShapeError(f"these do not go together: {shapes}; give one length") from None
