"""Who an agent is: name, temper, and how many memories it has formed."""

from __future__ import annotations

from populace.ecs import Text, component, f4, field, u4


@component
class Persona:
    """An agent's name and Big Five.

    `number` is its number in the population: stable over saves, moves and slot reuse, and so the
    key of its random draws and of every exported row. A trait of 0.5 is the population's mean, and
    what a source that knows nothing of traits leaves an agent with.
    """

    number: u4 = field(doc="the agent's number in the population")
    name: Text = field(default="", doc="full name")
    openness: f4 = field(default=0.5, range=(0, 1), unit="1", doc="Big Five, 0.5 is the mean")
    conscientiousness: f4 = field(
        default=0.5, range=(0, 1), unit="1", doc="Big Five, 0.5 is the mean"
    )
    extraversion: f4 = field(default=0.5, range=(0, 1), unit="1", doc="Big Five, 0.5 is the mean")
    agreeableness: f4 = field(default=0.5, range=(0, 1), unit="1", doc="Big Five, 0.5 is the mean")
    neuroticism: f4 = field(default=0.5, range=(0, 1), unit="1", doc="Big Five, 0.5 is the mean")


@component
class Stream:
    """How far an agent's memory stream has come.

    `formed` counts the memories ever formed, forgotten ones too: it is the sequence number of the
    next one, so (number of the agent, sequence) names a memory for good.
    """

    formed: u4 = field(default=0, doc="memories ever formed, kept or forgotten")
