"""What agents feel: read out for now or any time, and the sweep that caches it for everybody.

An agent feels where it has `Emotion`, `Mood`, and a `Temperament` or a `Persona` to have one from.
Its temperament counts as it is now for all the time since the last event.

Invariants: both ways give the same bits, a function of `Emotion`, `Mood`, temperament and time: not
of when was swept last, of rows or threads.
Cost: the sweep 4 ns an agent; reading 45 ns for each asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Persona
from populace.components.emotion import Emotion, EmotionNow, Mood, MoodNow, Temperament
from populace.ecs import Clock, Places, Read, Res, Without, World, Write, f4, jit, kernel
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ComponentMissingError

from .affect import Emotions, faded, kept, passing, relaxed, seconds_since
from .temperament import (
    BIG_FIVE,
    temperaments,
    trait_arousal,
    trait_dominance,
    trait_pleasure,
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


# -- some agents, at any time ------------------------------------------------------------------


EMOTION = (Emotion.pleasure, Emotion.arousal, Emotion.dominance)
MOOD = (Mood.pleasure, Mood.arousal, Mood.dominance)
TEMPERAMENT = (Temperament.pleasure, Temperament.arousal, Temperament.dominance)


class Feelings:
    """The feelings of some living agents, copied out of their tables; `put` writes them back.

    feels: (k,) bool; the rows of an agent that does not feel hold nothing.
    """

    def __init__(self, world: World, ids: Ids) -> None:
        k = ids.size
        self.feels = np.zeros(k, np.bool_)
        self.at_rest, self.emotion, self.mood = (np.zeros((k, 3), np.float32) for _ in range(3))
        self.since, self.mood_since = np.zeros(k, np.int64), np.zeros(k, np.int64)
        self._parts = [part for part in world.at(ids) if feels(part)]
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


def feels(part: Places) -> bool:
    """Whether the agents of a table feel."""
    return part.has(Emotion) and part.has(Mood) and (part.has(Temperament) or part.has(Persona))


def half_lives(law: Emotions) -> tuple[Any, Any]:
    """Of emotion and mood, f4 s."""
    return f4(law.emotion_half_life), f4(law.mood_half_life)


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
    state = Feelings(world, asked)
    if not state.feels.all():
        one = int(asked[np.argmin(state.feels)])
        raise ComponentMissingError(
            f"entity {one} does not feel: that takes Emotion, Mood, and a Temperament or a Persona"
        )
    feelings(
        np.int64(world.clock.now if now is None else now),
        *half_lives(world.resource(Emotions)),
        state.at_rest,
        state.emotion,
        state.since,
        state.mood,
        state.mood_since,
    )
    return state.emotion, state.mood
