"""What agents know: topics, how sure each agent is of those it knows, and whom it has it from.

State changes at an exposure only; how sure an agent is *now* is a function of `KnowledgeState` and
the clock, cached in `Confidence`. The law is `populace.systems.knowledge`.
"""

from __future__ import annotations

from populace.ecs import NOBODY, Entity, Text, b1, component, event, f4, field, i8, u2, u4

from .trace import LONGEST_HALF_LIFE_S

NO_SOURCE = 2**32 - 1
"""The number of the source of what somebody knows first hand."""


@component
class Topic:
    """Something to know: a rumour, a fact, a skill. `populace.systems.topics` makes them.

    `number` is stable over saves and slot reuse, and so part of the key of random draws. Names are
    unique and stay.
    """

    number: u4 = field(doc="the topic's number, in the order of creation")
    name: Text = field(doc="what it is called")
    appeal: f4 = field(
        default=1.0, range=(0, 1), unit="1", doc="how much it is worth telling; 0 is never told"
    )


@component
class Confidence:
    """How sure an agent was at the last sweep; a cache, filled by a system."""

    value: f4 = field(derived=True, unit="1", doc="what is left of the confidence, in [0, 1]")


@component(requires=Confidence)
class KnowledgeState:
    """How sure an agent was when it last heard or thought of it, and when that was."""

    confidence: f4 = field(default=1.0, range=(0, 1), unit="1", doc="at `rehearsed`")
    half_life: f4 = field(
        default=30 * 86_400.0, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of the confidence"
    )
    rehearsed: i8 = field(
        default=0, unit="us since 1970", doc="last exposure or rehearsal, in simulated time"
    )
    exposures: u4 = field(default=1, doc="exposures and rehearsals so far")


@component
class Provenance:
    """Whom an agent first had it from. Written when it is learned, and when it is learned anew.

    `source_number` outlives the source, so that chains can be followed to their beginning.
    """

    learned: i8 = field(default=0, unit="us since 1970", doc="when, in simulated time")
    source: Entity = field(
        default=NOBODY,
        index=True,
        on_despawn="null",
        doc="the teacher; NOBODY: none, or dead",
    )
    source_number: u4 = field(
        default=NO_SOURCE, doc="number of the teacher in the population; 2^32 - 1: first hand"
    )
    hops: u2 = field(default=0, doc="tellings from whoever had it first hand; 0 is first hand")


@component(requires=(KnowledgeState, Provenance), unique=("owner", "topic"))
class Knowledge:
    """Who knows what. It ends with either, and there is one for each pair."""

    owner: Entity = field(index=True, on_despawn="despawn", doc="who knows")
    topic: Entity = field(index=True, on_despawn="despawn", doc="what")


@component
class LearningRate:
    """An agent's own learning rate; without it the world's `Learning.rate` holds."""

    value: f4 = field(range=(0, 1), unit="1", doc="share of the doubt that one exposure takes away")


@event
class Taught:
    """One agent told another something. They come in the order of time; those of one contact by
    the number of the topic, what the source told first."""

    learner: Entity = field(doc="who was told")
    topic: Entity = field(doc="what")
    teacher: Entity = field(doc="by whom")
    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    confidence: f4 = field(range=(0, 1), unit="1", doc="of the learner, just after it")
    first: b1 = field(doc="the learner did not know it before, or no longer")


@event
class KnowledgeForgotten:
    """So many pieces of knowledge were swept away at once."""

    time: i8 = field(unit="us since 1970", doc="when, in simulated time")
    count: i8 = field(doc="pieces of knowledge")
