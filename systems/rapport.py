"""Rapport: how a meeting goes, and what that stirs in the two who met.

    outcome = base + warmth (A - 1/2) + liking v + mood p + spread z, clipped to [-1, 1]

A is the mean agreeableness of both, v of the valences of their ties to each other (0 where there is
none), p of the pleasure of their moods at that time (0 of who does not feel), z a standard normal
drawn for the two and the moment. The parts are those of Kenny's social relations model (1984: the
two persons, their relationship, chance), with the mood beside them; the coefficients are choices.

`meet` gives its contacts that outcome where the world has a `Rapport`. A contact with

    |outcome| > threshold        is an appraisal of either party, of intensity * |outcome|

good: GRATITUDE with the probability strength of one's own tie to the other, else JOY; bad: DISTRESS
with the probability of one's own neuroticism, else ANGER.

`Met` -> `appraise_contacts` -> `Appraisal`, for those who feel; contacts with the dead or oneself
are passed over. Invariants: an outcome is the same whoever turned to whom; draws are functions of
(seed, numbers of both, time). Who has no `Persona` counts as of mean neuroticism, and a contact
that one of them has draws 1/2.
Cost: an outcome 0.2 µs; telling what a contact stirs 0.05, and its appraisals as much again.
"""

from __future__ import annotations

from math import cos, log, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Met, Persona
from populace.components.emotion import OCC, Appraisal
from populace.ecs import (
    Events,
    Res,
    World,
    f4,
    f8,
    jit,
    setting,
    settings,
    system,
    u1,
    u8,
)
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ColumnShapeError
from populace.ecs.random import stream_of, uniform_at

from .affect import Emotions, kept, relaxed, seconds_since
from .columns import columns
from .feelings import Feelings, feels, half_lives
from .ties import valences

JOY, DISTRESS, GRATITUDE, ANGER = (
    u1(label) for label in (OCC.JOY, OCC.DISTRESS, OCC.GRATITUDE, OCC.ANGER)
)


@settings
class Rapport:
    """How meetings go, and when that stirs an emotion. A resource."""

    base: float = setting(0.1, range=(-1, 1), doc="outcome between two average strangers")
    warmth: float = setting(
        0.6, range=(0, 2), doc="what their mean agreeableness adds, for each unit above 1/2"
    )
    liking: float = setting(0.4, range=(0, 1), doc="share of the ties' mean valence that is added")
    mood: float = setting(0.3, range=(0, 1), doc="share of the moods' mean pleasure that is added")
    spread: float = setting(0.3, range=(0, 1), doc="standard deviation of chance")
    threshold: float = setting(
        0.25, range=(0, 1), doc="what |outcome| must exceed to stir an emotion"
    )
    intensity: float = setting(
        1.0, range=(0, 1), doc="of the emotion that the best or worst outcome stirs"
    )


# -- how it goes -----------------------------------------------------------------------------


@jit
def draw_outcomes(
    stream: Any, time_e: Any, number_p: Any, agreeableness_p: Any, valence_p: Any,
    at_rest_p3: Any, mood_p3: Any, mood_since_p: Any, mood_half_life: Any,
    base: Any, warmth: Any, liking: Any, in_mood: Any, spread: Any, out_e: Any,
) -> None:  # fmt: skip
    """out_e <- how each of n meetings goes, f4. O(n).

    time_e: i8 µs. *_p: (2n,) of the sources, then of the targets; valence_p of the own tie to the
    other; at_rest_p3, mood_p3: f4 PAD, zeros where nothing is felt. The rest f8, half-life f4 s.
    """
    n = out_e.size
    for e in range(n):
        time, i, j = time_e[e], e, e + n
        a, b = u8(min(number_p[i], number_p[j])), u8(max(number_p[i], number_p[j]))
        key = a << u8(32) | b
        u = f8(1) - uniform_at(stream, time, key, u8(0))
        v = uniform_at(stream, time, key, u8(1))
        chance = sqrt(f8(-2) * log(u)) * cos(f8(2) * pi * v)
        warm = (f8(agreeableness_p[i]) + f8(agreeableness_p[j])) / 2 - 0.5
        liked = (f8(valence_p[i]) + f8(valence_p[j])) / 2
        left_i = kept(seconds_since(mood_since_p[i], time), mood_half_life)
        left_j = kept(seconds_since(mood_since_p[j], time), mood_half_life)
        pleased_i = relaxed(mood_p3[i, 0], at_rest_p3[i, 0], left_i)
        pleased_j = relaxed(mood_p3[j, 0], at_rest_p3[j, 0], left_j)
        pleased = (f8(pleased_i) + f8(pleased_j)) / 2
        went = base + warmth * warm + liking * liked + in_mood * pleased + spread * chance
        out_e[e] = f4(min(max(went, f8(-1)), f8(1)))


def outcomes(world: World, source: Any, target: Any, time: Any) -> npt.NDArray[np.float32]:
    """(k,) f4 in [-1, 1]: how each meeting goes, by ties and moods as they are now.

    source, target: (k,) ids. time: (k,) simulated µs, or one. Nothing is changed. Raises
    ResourceError for a world without `Rapport`, ColumnShapeError, DeadEntityError,
    ComponentMissingError for an agent without `Persona`.

    >>> world = World(seed=7)
    >>> world.insert(Rapport(spread=0.0))
    >>> ann, bo = world.spawn(2, Persona(number=[0, 1], agreeableness=[0.5, 1.0]))
    >>> outcomes(world, ann, bo, 0).round(2).tolist()
    [0.25]
    """
    law = world.resource(Rapport)
    sources, targets = as_ids(source, "source"), as_ids(target, "target")
    times = np.asarray(time, np.int64)
    if sources.size != targets.size or times.shape not in {(), sources.shape}:
        raise ColumnShapeError(
            f"outcomes takes as many targets and times as sources, or one time; got "
            f"{sources.size:,} sources, {targets.size:,} targets, times of shape {times.shape}"
        )
    party, other = np.concatenate([sources, targets]), np.concatenate([targets, sources])
    number, agreeableness = columns(world, party, Persona.number, Persona.agreeableness)
    at_rest, mood, mood_since, half_life = _moods(world, party)
    moments = np.array(np.broadcast_to(times, sources.shape))
    valence = valences(world, party, other, np.concatenate([moments, moments]))
    went = np.empty(sources.size, np.float32)
    draw_outcomes(
        u8(stream_of(world.seed, "rapport")), moments,
        number, agreeableness, valence, at_rest, mood, mood_since, half_life,
        law.base, law.warmth, law.liking, law.mood, law.spread, went,
    )  # fmt: skip
    return went


def _moods(world: World, ids: Ids) -> tuple[Any, Any, Any, Any]:
    """(temperament (k, 3) f4, mood (k, 3) f4, since (k,) i8, half-life f4 s): neutral where nobody
    feels."""
    if Emotions not in world.resources:
        neutral = np.zeros((ids.size, 3), np.float32)
        return neutral, neutral, np.zeros(ids.size, np.int64), f4(1)
    state = Feelings(world, ids)
    return state.at_rest, state.mood, state.mood_since, half_lives(world.resource(Emotions))[1]


# -- what it stirs ---------------------------------------------------------------------------


@jit
def name_emotions(
    stream: Any, time_p: Any, key_p: Any, drawn_p: Any, outcome_p: Any, strength_p: Any,
    neuroticism_p: Any, label_p: Any,
) -> None:  # fmt: skip
    """label_p <- what each party feels, u1. key_p: u8, numbers of party << 32 | other. drawn_p:
    bool, whether there is a key. strength_p: of the party's tie. O(p)."""
    for p in range(label_p.size):
        chance = uniform_at(stream, time_p[p], key_p[p], u8(0)) if drawn_p[p] else 0.5
        if outcome_p[p] > 0:
            label_p[p] = GRATITUDE if chance < strength_p[p] else JOY
        else:
            label_p[p] = DISTRESS if chance < neuroticism_p[p] else ANGER


def emotions_of(world: World, met: Any, above: float) -> tuple[npt.NDArray[np.int64], Any]:
    """(place (s,) i8, label (s,) u1): whom contacts stir, and to what, ascending by place.

    met: columns of `Met`. A place is 2 * contact for its source, 2 * contact + 1 for its target.
    above: what |outcome| must exceed. Those who do not feel, and contacts with the dead, are left
    out. It depends on (seed, numbers, time, outcome, tie strength, neuroticism) alone.
    """
    contact = np.flatnonzero(np.abs(met.outcome) > f4(above))
    if contact.size:
        alive = world.alive(met.source[contact]) & world.alive(met.target[contact])
        contact = contact[alive & (met.source[contact] != met.target[contact])]
    if not contact.size:
        return np.zeros(0, np.int64), np.zeros(0, np.uint8)
    party, _ = sides(met.source[contact], met.target[contact])
    strength, _ = sides(met.strength[contact], met.returned_strength[contact])
    feeling, number = np.zeros(party.size, np.bool_), np.zeros(party.size, np.uint32)
    named, neuroticism = np.zeros(party.size, np.bool_), np.full(party.size, 0.5, np.float32)
    for part in world.at(party):
        feeling[part.at] = feels(part)
        if part.has(Persona):
            named[part.at] = True
            number[part.at] = part.read(Persona.number)[part.rows]
            neuroticism[part.at] = part.read(Persona.neuroticism)[part.rows]
    # The other of a party is its neighbour.
    beside = np.arange(party.size) ^ 1
    label = np.empty(party.size, np.uint8)
    name_emotions(
        u8(stream_of(world.seed, "contact emotions")), np.repeat(met.time[contact], 2),
        number.astype(np.uint64) << u8(32) | number[beside], named & named[beside],
        np.repeat(met.outcome[contact], 2), strength, neuroticism, label,
    )  # fmt: skip
    place, _ = sides(2 * contact, 2 * contact + 1)
    return place[feeling], label[feeling]


def sides(source: Any, target: Any) -> tuple[Any, Any]:
    """((2k,), (2k,)): of each contact what is the source's and the target's, side by side, and the
    same of the other one."""
    return np.stack([source, target], 1).reshape(-1), np.stack([target, source], 1).reshape(-1)


@system
def appraise_contacts(world: World, met: Events[Met], law: Res[Rapport]) -> None:
    """Let every contact since the last time that went well or badly stir those who had it."""
    place, label = emotions_of(world, met, law.threshold)
    if not place.size:
        return
    contact = place // 2
    world.emit(
        Appraisal(
            agent=np.where(place % 2, met.target[contact], met.source[contact]),
            label=label,
            intensity=f4(law.intensity) * np.abs(met.outcome[contact]),
            time=met.time[contact],
        )
    )
