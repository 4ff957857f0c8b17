"""The tidy tables of a society: what there is to ask about, to export and to read back.

    agents        one row per agent              memories      one per memory
    ties          one per directed tie           knowledge     one per agent and topic it knows
    reflections   one per link from an insight to a memory that it rests on
    places, topics, births                       one per place, topic, entry in the register
    contacts      what happened between whom     metrics       counts and means over time

`agent` is everywhere an agent's number in the population (`source`, `target`, `person`, ... where
there are several): it outlives saves and moves and is the key to join on. (`agent`, `sequence`)
names a memory for good. Names of columns say what they are of where a table has several: a state
and what has become of it by now are `mood_pleasure`, as of `mood_since`, and `mood_pleasure_now`.
Columns that end in `_now`, `strength`, `x` and `y` are as of the last sweep; a snapshot has none.

`contacts` and `metrics` are journals: they hold what was emitted since the world was told to keep
it, `world.keep(Met, Metric)`, and what they name may have died since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from populace.components import (
    NO_PARENT,
    NO_SOURCE,
    Activity,
    Biography,
    Capacity,
    Confidence,
    Contact,
    Emotion,
    EmotionNow,
    EnergyNow,
    Evidence,
    Haunts,
    Knowledge,
    KnowledgeState,
    LearningRate,
    Lineage,
    Memory,
    Met,
    Mood,
    MoodNow,
    Motion,
    Persona,
    Pinned,
    Place,
    Position,
    Provenance,
    Reflection,
    Retentiveness,
    SocialEnergy,
    Statement,
    Stream,
    Strength,
    Survey,
    Temperament,
    Tie,
    TieState,
    TieStrength,
    Topic,
    Trace,
    Unreflected,
    Whereabouts,
)
from populace.components.metric import Metric
from populace.ecs import schema
from populace.ecs.image import Image
from populace.storage.graph import Graph
from populace.storage.tables import Log, Table
from populace.systems import StateMachine

PAD = ("pleasure", "arousal", "dominance")


def _names(which: str) -> Callable[[Image], Sequence[str]]:
    """The names of a state machine's states or profiles, of an image that has one."""

    def find(image: Image) -> Sequence[str]:
        for resource in image.resources:
            if isinstance(resource, StateMachine):
                names: tuple[str, ...] = getattr(resource, which)
                return names
        return ()

    return find


def _prefixed(component: Any, prefix: str, suffix: str = "") -> dict[Any, str]:
    """`rename` for every field of a component."""
    return {
        made: f"{prefix}_{name}{suffix}"
        for name, made in vars(component).items()
        if name in (*PAD, "since")
    }


SURVEYED = {
    made.name: f"answer to the General Social Survey: {made.name.replace('_', ' ')}"
    for made in schema(Survey).fields
    if not made.doc
}

AGENTS = Table(
    "agents",
    required=(Persona, Stream),
    optional=(
        Biography,
        Survey,
        Retentiveness,
        Capacity,
        LearningRate,
        Temperament,
        Emotion,
        EmotionNow,
        Mood,
        MoodNow,
        SocialEnergy,
        EnergyNow,
        Activity,
        Position,
        Motion,
        Whereabouts,
        Haunts,
        Unreflected,
    ),
    order=(Persona.number,),
    rename={
        Persona.number: "agent",
        Retentiveness.half_life: "memory_half_life",
        Capacity.memories: "memory_capacity",
        LearningRate.value: "learning_rate",
        **_prefixed(Temperament, "temperament"),
        **_prefixed(Emotion, "emotion"),
        **_prefixed(EmotionNow, "emotion", "_now"),
        **_prefixed(Mood, "mood"),
        **_prefixed(MoodNow, "mood", "_now"),
        SocialEnergy.level: "energy",
        SocialEnergy.since: "energy_since",
        EnergyNow.level: "energy_now",
        Activity.since: "state_since",
        Activity.until: "state_until",
        Motion.x: "leg_x",
        Motion.y: "leg_y",
        Motion.since: "leg_since",
        Motion.until: "leg_until",
        Haunts.home: "home_place",
        Haunts.work: "work_place",
        Haunts.leisure: "leisure_place",
        Unreflected.importance: "unreflected_importance",
        Unreflected.since: "reflected",
        Unreflected.seen: "observed",
    },
    labels={
        "place": (Whereabouts.place, Place.name),
        "home_place": (Haunts.home, Place.name),
        "work_place": (Haunts.work, Place.name),
        "leisure_place": (Haunts.leisure, Place.name),
    },
    codes={Activity.state: _names("states"), Activity.profile: _names("profiles")},
    docs={
        **SURVEYED,
        **{f"emotion_{axis}": f"the emotion's {axis} at `emotion_since`" for axis in PAD},
        **{f"emotion_{axis}_now": f"the emotion's {axis}" for axis in PAD},
        **{f"mood_{axis}": f"the mood's {axis} at `mood_since`" for axis in PAD},
        **{f"mood_{axis}_now": f"the mood's {axis}" for axis in PAD},
        **{
            f"temperament_{axis}": f"the temperament's {axis}, where the mood rests" for axis in PAD
        },
        "emotion_since": "when the emotion last changed, in simulated time",
        "mood_since": "when the mood was last moved, in simulated time",
        "energy": "social energy at `energy_since`; 1 is rested, 0 is spent",
        "energy_since": "the last contact that took energy, in simulated time",
        "energy_now": "social energy; 1 is rested, 0 is spent",
        "state": "what the agent is doing",
        "profile": "whose day it is",
        "leg_x": "where the leg of its way began, along the width",
        "leg_y": "where the leg of its way began, along the height",
        "vx": "velocity from `leg_since` to `leg_until`, along the width",
        "vy": "velocity from `leg_since` to `leg_until`, along the height",
        "leg_since": "when the leg of its way began, in simulated time",
        "leg_until": "when it stands still, at its goal; null: never",
        "place": "the place at which it is, or to which it is on its way",
        "home_place": "where it lives",
        "work_place": "where it works",
        "leisure_place": "where it goes when it is free",
        "unreflected_importance": "importance observed since it last reflected, in millionths",
        "reflected": "when it last reflected, in simulated time; null: never",
        "observed": "the last observation counted, in simulated time; null: none",
    },
    doc="One row per agent.",
)

MEMORIES = Table(
    "memories",
    required=(Memory, Trace, Strength),
    optional=(Statement, Reflection, Pinned),
    order=(Memory.owner, Memory.sequence),
    rename={Memory.owner: "agent", Strength.value: "strength"},
    references={Memory.owner: Persona.number},
    labels={"agent_name": (Memory.owner, Persona.name)},
    docs={"agent_name": "full name of the agent that remembers"},
    since=Memory.created,
    month=Memory.created,
    doc="One row per memory that is kept.",
)

TIES = Table(
    "ties",
    required=(Tie, TieState, TieStrength),
    order=(Tie.source, Tie.target),
    rename={TieStrength.value: "strength"},
    references={Tie.source: Persona.number, Tie.target: Persona.number},
    labels={
        "source_name": (Tie.source, Persona.name),
        "target_name": (Tie.target, Persona.name),
    },
    since=TieState.last,
    doc="One row per directed tie between two agents.",
)

KNOWLEDGE = Table(
    "knowledge",
    required=(Knowledge, KnowledgeState, Confidence, Provenance),
    order=(Knowledge.owner, Knowledge.topic),
    rename={
        Knowledge.owner: "agent",
        Confidence.value: "confidence_now",
        Provenance.source_number: "source",
    },
    references={Knowledge.owner: Persona.number, Knowledge.topic: Topic.number},
    labels={
        "agent_name": (Knowledge.owner, Persona.name),
        "topic_name": (Knowledge.topic, Topic.name),
        "source_name": (Provenance.source, Persona.name),
    },
    missing={Provenance.source_number: NO_SOURCE},
    docs={
        "topic": "number of the topic",
        "topic_name": "what it is about",
        "source": "number of the agent it first had it from; null: first hand",
        "source_name": "full name of the agent it first had it from; null: first hand, or dead",
    },
    since=KnowledgeState.rehearsed,
    doc="One row per agent and topic that it knows.",
)

REFLECTIONS = Table(
    "reflections",
    required=(Evidence,),
    labels={
        "agent": (Evidence.insight, Memory.owner, Persona.number),
        "agent_name": (Evidence.insight, Memory.owner, Persona.name),
        "insight": (Evidence.insight, Memory.sequence),
        "insight_text": (Evidence.insight, Memory.text),
        "insight_created": (Evidence.insight, Memory.created),
        "depth": (Evidence.insight, Reflection.depth),
        "memory": (Evidence.memory, Memory.sequence),
        "memory_text": (Evidence.memory, Memory.text),
        "memory_kind": (Evidence.memory, Memory.kind),
        "memory_created": (Evidence.memory, Memory.created),
        "memory_depth": (Evidence.memory, Reflection.depth),
    },
    docs={
        "insight": "sequence of the reflection in the agent's stream",
        "memory": "sequence of the memory that it rests on, in the same stream",
        "agent": "the agent's number in the population",
        "agent_name": "full name of the agent",
        "insight_text": "what the reflection says",
        "insight_created": "when the reflection was made, in simulated time",
        "depth": "of the reflection: one above its deepest evidence",
        "memory_text": "what the memory says",
        "memory_kind": "event, thought or chat",
        "memory_created": "when the memory was formed, in simulated time",
        "memory_depth": "of a memory that is a reflection itself; else null",
    },
    doc="One row per link from a reflection to a memory that it rests on.",
)

PLACES = Table("places", required=(Place,), order=(Place.name,), doc="One row per place.")

TOPICS = Table(
    "topics",
    required=(Topic,),
    order=(Topic.number,),
    rename={Topic.number: "topic"},
    doc="One row per thing to know.",
)

BIRTHS = Table(
    "births",
    required=(Lineage,),
    order=(Lineage.person,),
    rename={Lineage.first: "parent", Lineage.second: "other_parent"},
    missing={Lineage.first: NO_PARENT, Lineage.second: NO_PARENT},
    docs={
        "parent": "number of one parent; null: not known",
        "other_parent": "number of the other; null: not known",
    },
    since=Lineage.born,
    month=Lineage.born,
    doc="One row per birth in the register; persons are named by their number.",
)

MEETINGS = Log(
    "contacts",
    Met,
    references={Met.source: Persona.number, Met.target: Persona.number},
    labels={
        "source_name": (Met.source, Persona.name),
        "target_name": (Met.target, Persona.name),
    },
    since=Met.time,
    month=Met.time,
    doc="One row per contact, in the order in which the ties took them up.",
)

CONTACTS = Log(
    "contacts",
    Contact,
    references={Contact.source: Persona.number, Contact.target: Persona.number},
    labels={
        "source_name": (Contact.source, Persona.name),
        "target_name": (Contact.target, Persona.name),
    },
    since=Contact.time,
    month=Contact.time,
    doc="One row per contact, in the order of emission.",
)

METRICS = Log(
    "metrics",
    Metric,
    since=Metric.time,
    month=Metric.time,
    doc="One row per moment and what was measured then.",
)


TIE_GRAPH = Graph(AGENTS, TIES, node="agent")
"""Agents and the ties between them, for `populace.storage.graph`."""


def catalogue(image: Image) -> dict[str, Table | Log]:
    """Every tidy table of an image, by name; those that have no rows too.

    `contacts` are those kept as `Met`, or where that is not kept, as `Contact`.
    """
    kept = {journal.event for journal in image.journals}
    contacts = CONTACTS if Contact in kept and Met not in kept else MEETINGS
    specs = (
        AGENTS,
        MEMORIES,
        TIES,
        KNOWLEDGE,
        REFLECTIONS,
        PLACES,
        TOPICS,
        BIRTHS,
        contacts,
        METRICS,
    )
    return {spec.name: spec for spec in specs}
