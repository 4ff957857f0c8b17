"""Emotion: what happens to an agent stirs it, whom it meets infects it, and it passes.

    appraisal   e <- e + i v,  M <- M + mood_gain i v      i intensity, v the label's vector
    contact     e <- e + contagion s (e' - e)              s own tie strength to the partner

Both parties of a contact move at once, each toward what the other's emotion was just before. All is
clipped to [-1, 1]. Between events emotion comes down to the mood and the mood to the temperament:
`affect` has the closed forms, `appraisal` the vectors, `temperament` where moods come to rest.

An agent feels where it has `Emotion`, `Mood`, and a `Temperament` or a `Persona` to have one from;
events of others are passed over, and so are contacts with them and with oneself.

Invariants: `Appraisal` and `Met` are taken up merged, in the order of their times (at the same time
appraisals first, then in the order of emission), so batches do not matter. An event older than the
state that it meets counts as happening at the state's time. A contact leaves the mood as it is;
what has no effect (intensity 0, a tie of strength 0) leaves all as it is, bit for bit.
Cost: the sweep 4 ns an agent; 100,000 contacts among as many agents 17 ms, among 1M 43 (misses of
the cache); appraisals two thirds of that.
Source: FAtiMA, GAMYGDALA; Gebhard 2005 (ALMA) for moods moved by emotions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Met, Persona
from populace.components.emotion import Appraisal, Emotion, EmotionNow, Mood, MoodNow, Temperament
from populace.ecs import (
    Clock,
    Events,
    Places,
    Read,
    Res,
    Without,
    World,
    Write,
    f4,
    jit,
    kernel,
    setting,
    settings,
    system,
)
from populace.ecs.entities import Ids, as_ids, index_of
from populace.ecs.errors import ComponentMissingError
from populace.ecs.events import picked

from .affect import faded, kept, passing, relaxed, seconds_since, within
from .appraisal import OCC_VECTORS
from .temperament import BIG_FIVE, temperaments, trait_arousal, trait_dominance, trait_pleasure

LONGEST_HALF_LIFE_S = 1e9


@settings
class Emotions:
    """How feelings pass, and what moves them. A resource."""

    emotion_half_life: float = setting(
        600.0, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of an emotion's distance to the mood"
    )
    mood_half_life: float = setting(
        21_600.0, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of a mood's to the temperament"
    )
    mood_gain: float = setting(0.3, range=(0, 1), doc="share of an appraisal that moves the mood")
    contagion: float = setting(
        0.1, range=(0, 1), doc="share of the way to the partner's emotion, at tie strength 1"
    )


# -- the sweep -------------------------------------------------------------------------------


@kernel
def refresh_emotions(
    emotion: Read[Emotion],
    mood: Read[Mood],
    persona: Read[Persona],
    emotion_now: Write[EmotionNow],
    mood_now: Write[MoodNow],
    clock: Res[Clock],
    law: Res[Emotions],
    _: Without[Temperament],
) -> None:
    """Fill `EmotionNow` and `MoodNow` of agents whose temperament is that of their Big Five."""
    gap, keeps, takes = passing(
        emotion.since, mood.since, clock.now, law.emotion_half_life, law.mood_half_life
    )
    left = kept(seconds_since(mood.since, clock.now), law.mood_half_life)
    at_rest = trait_pleasure(persona.extraversion, persona.agreeableness, persona.neuroticism)
    mood_now.pleasure = relaxed(mood.pleasure, at_rest, left)
    emotion_now.pleasure = faded(emotion.pleasure, mood.pleasure, at_rest, gap, keeps, takes)
    at_rest = trait_arousal(persona.openness, persona.agreeableness, persona.neuroticism)
    mood_now.arousal = relaxed(mood.arousal, at_rest, left)
    emotion_now.arousal = faded(emotion.arousal, mood.arousal, at_rest, gap, keeps, takes)
    at_rest = trait_dominance(
        persona.openness, persona.conscientiousness, persona.extraversion, persona.agreeableness
    )
    mood_now.dominance = relaxed(mood.dominance, at_rest, left)
    emotion_now.dominance = faded(emotion.dominance, mood.dominance, at_rest, gap, keeps, takes)


@kernel
def refresh_tempered_emotions(
    emotion: Read[Emotion],
    mood: Read[Mood],
    at_rest: Read[Temperament],
    emotion_now: Write[EmotionNow],
    mood_now: Write[MoodNow],
    clock: Res[Clock],
    law: Res[Emotions],
) -> None:
    """Fill `EmotionNow` and `MoodNow` of agents that have a `Temperament` of their own."""
    gap, keeps, takes = passing(
        emotion.since, mood.since, clock.now, law.emotion_half_life, law.mood_half_life
    )
    left = kept(seconds_since(mood.since, clock.now), law.mood_half_life)
    mood_now.pleasure = relaxed(mood.pleasure, at_rest.pleasure, left)
    mood_now.arousal = relaxed(mood.arousal, at_rest.arousal, left)
    mood_now.dominance = relaxed(mood.dominance, at_rest.dominance, left)
    emotion_now.pleasure = faded(
        emotion.pleasure, mood.pleasure, at_rest.pleasure, gap, keeps, takes
    )
    emotion_now.arousal = faded(emotion.arousal, mood.arousal, at_rest.arousal, gap, keeps, takes)
    emotion_now.dominance = faded(
        emotion.dominance, mood.dominance, at_rest.dominance, gap, keeps, takes
    )


# -- events ----------------------------------------------------------------------------------


@jit
def feel_events(
    agent_e: Any,
    partner_e: Any,
    time_e: Any,
    force_e: Any,
    returned_e: Any,
    label_e: Any,
    order_e: Any,
    vector_l3: Any,
    emotion_half_life: Any,
    mood_half_life: Any,
    mood_gain: Any,
    contagion: Any,
    feels_n: Any,
    at_rest_n3: Any,
    emotion_n3: Any,
    since_n: Any,
    mood_n3: Any,
    mood_since_n: Any,
) -> None:
    """Take up appraisals and contacts, one after the other in the order `order_e`. O(e).

    agent_e: (e,) i4 agents. partner_e: (e,) i4, -1 for an appraisal. time_e: (e,) i8 µs. force_e:
    (e,) f4 the intensity, or the tie strength of the agent; returned_e: that of the partner.
    label_e: (e,) u1. feels_n: (n,) bool; the states of n agents are changed in place.
    """
    for place in range(order_e.size):
        e = order_e[place]
        i, j = agent_e[e], partner_e[e]
        if not feels_n[i]:
            continue
        if j < 0:
            force = force_e[e]
            if force == f4(0):
                continue
            now = max(time_e[e], max(since_n[i], mood_since_n[i]))
            gap, keeps, takes = passing(
                since_n[i], mood_since_n[i], now, emotion_half_life, mood_half_life
            )
            left = kept(seconds_since(mood_since_n[i], now), mood_half_life)
            for axis in range(3):
                at_rest, mood = at_rest_n3[i, axis], mood_n3[i, axis]
                emotion = faded(emotion_n3[i, axis], mood, at_rest, gap, keeps, takes)
                push = force * vector_l3[label_e[e], axis]
                emotion_n3[i, axis] = within(emotion + push)
                mood_n3[i, axis] = within(relaxed(mood, at_rest, left) + f4(mood_gain) * push)
            since_n[i] = now
            mood_since_n[i] = now
        elif feels_n[j] and i != j:
            pull, pulled = f4(contagion) * force_e[e], f4(contagion) * returned_e[e]
            now, then = max(time_e[e], since_n[i]), max(time_e[e], since_n[j])
            gap, keeps, takes = passing(
                since_n[i], mood_since_n[i], now, emotion_half_life, mood_half_life
            )
            gap_j, keeps_j, takes_j = passing(
                since_n[j], mood_since_n[j], then, emotion_half_life, mood_half_life
            )
            for axis in range(3):
                own = faded(
                    emotion_n3[i, axis], mood_n3[i, axis], at_rest_n3[i, axis], gap, keeps, takes
                )
                other = faded(
                    emotion_n3[j, axis],
                    mood_n3[j, axis],
                    at_rest_n3[j, axis],
                    gap_j,
                    keeps_j,
                    takes_j,
                )
                if pull > f4(0):
                    emotion_n3[i, axis] = within(own + pull * (other - own))
                if pulled > f4(0):
                    emotion_n3[j, axis] = within(other + pulled * (own - other))
            if pull > f4(0):
                since_n[i] = now
            if pulled > f4(0):
                since_n[j] = then


@system
def feel(world: World, appraised: Events[Appraisal], met: Events[Met], law: Res[Emotions]) -> None:
    """Take up what happened to agents since the last time."""
    told = _of_living(world, appraised, appraised.agent)
    seen = _of_living(world, met, met.source, met.target)
    a, m = len(told), len(seen)
    if not a + m:
        return
    ids = np.concatenate([told.agent, seen.source, seen.target])
    ordered = np.sort(ids)
    agents = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    state, number = _State(world, agents), _places(agents, ids)
    time = np.concatenate([told.time, seen.time])
    feel_events(
        number[: a + m],
        np.concatenate([np.full(a, -1, np.int32), number[a + m :]]),
        time,
        np.concatenate([told.intensity, seen.strength]),
        np.concatenate([np.zeros(a, np.float32), seen.returned_strength]),
        np.concatenate([told.label, np.zeros(m, np.uint8)]),
        np.argsort(time, kind="stable"),
        OCC_VECTORS,
        *_half_lives(law),
        f4(law.mood_gain),
        f4(law.contagion),
        state.feels,
        state.at_rest,
        state.emotion,
        state.since,
        state.mood,
        state.mood_since,
    )
    state.put()


@jit
def feelings(
    now: Any,
    emotion_half_life: Any,
    mood_half_life: Any,
    at_rest_n3: Any,
    emotion_n3: Any,
    since_n: Any,
    mood_n3: Any,
    mood_since_n: Any,
) -> None:
    """emotion_n3, mood_n3 <- what they have become at `now` i8 µs. O(n)."""
    for i in range(since_n.size):
        gap, keeps, takes = passing(
            since_n[i], mood_since_n[i], now, emotion_half_life, mood_half_life
        )
        left = kept(seconds_since(mood_since_n[i], now), mood_half_life)
        for axis in range(3):
            at_rest, mood = at_rest_n3[i, axis], mood_n3[i, axis]
            emotion_n3[i, axis] = faded(emotion_n3[i, axis], mood, at_rest, gap, keeps, takes)
            mood_n3[i, axis] = relaxed(mood, at_rest, left)


def feelings_of(
    world: World, ids: Any, now: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """((k, 3) f4, (k, 3) f4): emotion and mood of these agents now, or at `now` in simulated µs.

    Columns are pleasure, arousal, dominance; the bits are those that the sweep makes. Ids may
    repeat. Raises DeadEntityError, and ComponentMissingError for an agent that does not feel.

    >>> from populace.ecs import World, hours
    >>> world = World()
    >>> world.insert(Emotions())
    >>> ann = world.spawn(1, Persona(number=0), Emotion, Mood(pleasure=0.5))
    >>> emotion, mood = feelings_of(world, ann, hours(6))
    >>> mood.tolist()
    [[0.25, 0.0, 0.0]]
    """
    asked = as_ids(ids)
    state = _State(world, asked)
    if not state.feels.all():
        one = int(asked[np.argmin(state.feels)])
        raise ComponentMissingError(
            f"entity {one} does not feel: that takes Emotion, Mood, and a Temperament or a Persona"
        )
    feelings(
        np.int64(world.clock.now if now is None else now),
        *_half_lives(world.resource(Emotions)),
        state.at_rest,
        state.emotion,
        state.since,
        state.mood,
        state.mood_since,
    )
    return state.emotion, state.mood


def _of_living(world: World, batch: Any, *agents: Ids) -> Any:
    """The events of a batch whose agents are all alive."""
    alive = np.logical_and.reduce([world.alive(ids) for ids in agents])
    return batch if alive.all() else picked(batch, alive)


def _half_lives(law: Emotions) -> tuple[Any, Any]:
    return f4(law.emotion_half_life), f4(law.mood_half_life)


EMOTION = (Emotion.pleasure, Emotion.arousal, Emotion.dominance)
MOOD = (Mood.pleasure, Mood.arousal, Mood.dominance)
TEMPERAMENT = (Temperament.pleasure, Temperament.arousal, Temperament.dominance)


class _State:
    """The feelings of some living agents, copied out of their tables; `put` writes them back.

    feels: (k,) bool; the rows of an agent that does not feel hold nothing.
    """

    def __init__(self, world: World, ids: Ids) -> None:
        k = ids.size
        self.feels = np.zeros(k, np.bool_)
        self.at_rest, self.emotion, self.mood = (np.zeros((k, 3), np.float32) for _ in range(3))
        self.since, self.mood_since = np.zeros(k, np.int64), np.zeros(k, np.int64)
        self._parts = [part for part in world.at(ids) if _feels(part)]
        for part in self._parts:
            rows, at = part.rows, part.at
            self.feels[at] = True
            for axis in range(3):
                self.emotion[at, axis] = part.read(EMOTION[axis])[rows]
                self.mood[at, axis] = part.read(MOOD[axis])[rows]
            self.since[at] = part.read(Emotion.since)[rows]
            self.mood_since[at] = part.read(Mood.since)[rows]
            if part.has(Temperament):
                for axis in range(3):
                    self.at_rest[at, axis] = part.read(TEMPERAMENT[axis])[rows]
            else:
                found = np.empty((rows.size, 3), np.float32)
                temperaments(np.array([part.read(trait)[rows] for trait in BIG_FIVE]), found)
                self.at_rest[at] = found

    def put(self) -> None:
        """Write emotions and moods back; the ids are distinct."""
        for part in self._parts:
            rows, at = part.rows, part.at
            for axis in range(3):
                part.write(EMOTION[axis])[rows] = self.emotion[at, axis]
                part.write(MOOD[axis])[rows] = self.mood[at, axis]
            part.write(Emotion.since)[rows] = self.since[at]
            part.write(Mood.since)[rows] = self.mood_since[at]


def _places(agents: Ids, ids: Ids) -> npt.NDArray[np.int32]:
    """(k,) i4: the place of each id among distinct living agents that have them all."""
    # A table by slot of which only the slots named are touched: 3 ns an id, a search takes 60.
    table = np.empty(int(index_of(agents).max(initial=0)) + 1, np.int32)
    table[index_of(agents)] = np.arange(agents.size, dtype=np.int32)
    found: npt.NDArray[np.int32] = table[index_of(ids)]
    return found


def _feels(part: Places) -> bool:
    return part.has(Emotion) and part.has(Mood) and (part.has(Temperament) or part.has(Persona))
