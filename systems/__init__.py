"""What happens: one file per law, its kernel beside it. Laws depend on simulated time alone."""

from .activation import BaseLevel, base_level
from .archiving import Archiving, Inactive, find_inactive
from .attention import (
    AWAKE,
    DAY,
    Span,
    attention,
    memories_formed,
    moments,
    waking_times,
)
from .capacity import Room, make_room
from .exponential import exponential
from .formation import form_memories, remember
from .power import Power
from .pruning import Forgotten, Pruning, Reason, forget
from .reinforcement import Reinforcement, reinforce
from .retention import Retention, parameterised_law, retention_law
from .strength import refresh_strength, strengths_of

__all__ = [
    "AWAKE",
    "DAY",
    "Archiving",
    "BaseLevel",
    "Forgotten",
    "Inactive",
    "Power",
    "Pruning",
    "Reason",
    "Reinforcement",
    "Retention",
    "Room",
    "Span",
    "attention",
    "base_level",
    "exponential",
    "find_inactive",
    "forget",
    "form_memories",
    "make_room",
    "memories_formed",
    "moments",
    "parameterised_law",
    "refresh_strength",
    "reinforce",
    "remember",
    "retention_law",
    "strengths_of",
    "waking_times",
]
