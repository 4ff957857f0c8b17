"""What an agent feels: points in pleasure, arousal and dominance, each in [-1, 1] (PAD, Mehrabian).

An emotion passes within minutes, a mood within hours, a temperament stays. State changes at an
appraisal or a contact only: what they are *now* is a function of these and the clock, cached in
`EmotionNow` and `MoodNow`. The law is `populace.systems.emotion`.

>>> from populace.ecs import World
>>> world = World()
>>> ann = world.spawn(1, Emotion(pleasure=0.5), Mood)
>>> world.get(ann, Emotion.pleasure).tolist(), world.get(ann, Mood.pleasure).tolist()
([0.5], [0.0])
"""

from __future__ import annotations

import enum

from populace.ecs import Entity, component, event, f4, field, i8


@component
class EmotionNow:
    """The emotion of an agent at the last sweep; a cache, filled by a system."""

    pleasure: f4 = field(derived=True, unit="1", doc="pleased above 0, displeased below")
    arousal: f4 = field(derived=True, unit="1", doc="stirred above 0, calm below")
    dominance: f4 = field(derived=True, unit="1", doc="in control above 0, at a loss below")


@component
class MoodNow:
    """The mood of an agent at the last sweep; a cache, filled by a system."""

    pleasure: f4 = field(derived=True, unit="1", doc="pleased above 0, displeased below")
    arousal: f4 = field(derived=True, unit="1", doc="stirred above 0, calm below")
    dominance: f4 = field(derived=True, unit="1", doc="in control above 0, at a loss below")


@component(requires=EmotionNow)
class Emotion:
    """The emotion of an agent when it last changed, and when that was.

    By default that was none, in 1970: by now it has long come to rest at the temperament.
    """

    pleasure: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    arousal: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    dominance: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    since: i8 = field(default=0, unit="us since 1970", doc="when it was that, in simulated time")


@component(requires=MoodNow)
class Mood:
    """The mood of an agent when it was last moved, and when that was; by default as `Emotion`."""

    pleasure: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    arousal: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    dominance: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="at `since`")
    since: i8 = field(default=0, unit="us since 1970", doc="when it was that, in simulated time")


@component
class Temperament:
    """An agent's own temperament, where its mood comes to rest; without it that of its Big Five
    holds (see `populace.systems.temperament`)."""

    pleasure: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="pleased above 0")
    arousal: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="stirred above 0")
    dominance: f4 = field(default=0.0, range=(-1, 1), unit="1", doc="in control above 0")


class OCC(enum.IntEnum):
    """The sixteen emotions of Ortony, Clore & Collins 1988 that GAMYGDALA computes."""

    JOY = 0
    """A wanted thing has come about."""
    DISTRESS = 1
    """An unwanted one has."""
    HOPE = 2
    """A wanted one may."""
    FEAR = 3
    """An unwanted one may."""
    SATISFACTION = 4
    """What was hoped for has come about."""
    FEARS_CONFIRMED = 5
    """What was feared has."""
    RELIEF = 6
    """What was feared has not."""
    DISAPPOINTMENT = 7
    """What was hoped for has not."""
    HAPPY_FOR = 8
    """Good has come to somebody liked."""
    RESENTMENT = 9
    """Good has come to somebody disliked."""
    PITY = 10
    """Ill has come to somebody liked."""
    GLOATING = 11
    """Ill has come to somebody disliked."""
    GRATITUDE = 12
    """Another has done one good."""
    ANGER = 13
    """Another has done one ill."""
    GRATIFICATION = 14
    """One has done good."""
    REMORSE = 15
    """One has done ill."""


@event
class Appraisal:
    """Something meant something to somebody."""

    agent: Entity = field(doc="whom it stirs")
    label: OCC = field(doc="as what")
    intensity: f4 = field(default=1.0, range=(0, 1), unit="1", doc="how much; 0 is not at all")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
