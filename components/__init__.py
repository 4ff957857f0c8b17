"""The data of a mind, one small file per subject. No behaviour: that is in `populace.systems`.

What changes together stays together. A time is `int64` simulated µs since 1970 (its field's unit
says so, and exports make it a timestamp), a duration is in seconds.
"""

from .activity import Activity, ActivityChanged
from .biography import Biography, Survey
from .consolidation import Reviewed
from .contact import Contact, Met
from .embedding import Embedding
from .emotion import OCC, Appraisal, Emotion, EmotionNow, Mood, MoodNow, Temperament
from .energy import EnergyNow, SocialEnergy
from .knowledge import (
    NO_SOURCE,
    Confidence,
    Knowledge,
    KnowledgeForgotten,
    KnowledgeState,
    LearningRate,
    Provenance,
    Taught,
    Topic,
)
from .lineage import NO_PARENT, Census, Lineage
from .memory import NEVER, Memory, MemoryKind, Pinned, Statement
from .metric import Metric
from .observation import Observed, Recalled
from .persona import Persona, Stream
from .place import Haunts, Place, Whereabouts
from .reflection import Evidence, Reflection, Unreflected
from .space import Motion, Position, Space
from .tie import Tie, TiesEnded, TieState, TieStrength
from .trace import LONGEST_HALF_LIFE_S, Capacity, Retentiveness, Strength, Trace

__all__ = [
    "Activity",
    "ActivityChanged",
    "Appraisal",
    "Biography",
    "Capacity",
    "Census",
    "Confidence",
    "Contact",
    "Embedding",
    "Emotion",
    "EmotionNow",
    "EnergyNow",
    "Evidence",
    "Haunts",
    "Knowledge",
    "KnowledgeForgotten",
    "KnowledgeState",
    "LONGEST_HALF_LIFE_S",
    "LearningRate",
    "Lineage",
    "Memory",
    "MemoryKind",
    "Met",
    "Mood",
    "MoodNow",
    "Motion",
    "Metric",
    "NEVER",
    "NO_PARENT",
    "NO_SOURCE",
    "OCC",
    "Observed",
    "Persona",
    "Pinned",
    "Place",
    "Position",
    "Provenance",
    "Recalled",
    "Reflection",
    "Retentiveness",
    "Reviewed",
    "SocialEnergy",
    "Space",
    "Statement",
    "Stream",
    "Strength",
    "Survey",
    "Taught",
    "Temperament",
    "Tie",
    "TieState",
    "TieStrength",
    "TiesEnded",
    "Topic",
    "Trace",
    "Unreflected",
    "Whereabouts",
]
