"""What happens: one file per law, its kernels beside it. Laws depend on simulated time alone.

`society.add_laws` gives a world all of them; docs/laws.md tells what each does.
"""

from . import exponential  # noqa: F401  # makes itself known
from .activation import BaseLevel, base_level
from .activity import change_activity, enter_state
from .affect import Emotions
from .appraisal import VECTORS
from .archiving import Archiving, Inactive, find_inactive
from .attention import AWAKE, DAY, Span, memories_formed, moments, waking_times
from .capacity import Room, make_room
from .colocation import Colocation, meet
from .consolidation import Consolidated, Consolidation, Merged, consolidate
from .daily import daily_life
from .emotion import feel
from .encounters import Encounters, remember_contacts
from .energy import Energy, refresh_energy, spend_energy, willing
from .feelings import feelings_of, refresh_emotions, refresh_tempered_emotions
from .formation import form_memories, remember
from .heredity import Heredity, births
from .kinship import Siblings, ancestors, descendants, siblings
from .knowledge import (
    Learning,
    confidences,
    forget_knowledge,
    learn,
    refresh_confidence,
    rehearse,
    share_knowing,
)
from .machine import WEEKEND, WORKDAYS, StateMachine, lasting, state_machine, until, when
from .metrics import measure, measure_counts
from .movement import go_to, place, positions_at, refresh_positions, standing, steer
from .neighbours import nearest, pairs_within
from .perception import Perception, perceive
from .power import Power
from .pruning import Forgotten, Pruning, Reason, forget
from .rapport import Rapport, appraise_contacts, outcomes
from .reflection import Reflected, Reflecting, reflect
from .reinforcement import Reinforcement, reinforce
from .retention import Retention, parameterised_law, retention_law
from .routine import Routine, Walking, follow_routine, settle
from .scoring import SMALLVILLE, RecallScore, Scores, recall_scores
from .society import SETTINGS, SYSTEMS, add_laws
from .strength import refresh_strength, strengths_of
from .telling import pass_on
from .temperament import octant
from .texts import Texts, reclaim_texts
from .ties import Ties, apply_contacts, end_ties, refresh_ties, tie_strengths
from .topics import find_topics, intern_topics
from .writing import Insight, Occasion, Writer, template_writer

__all__ = [
    "AWAKE",
    "Archiving",
    "BaseLevel",
    "Colocation",
    "Consolidated",
    "Consolidation",
    "DAY",
    "Emotions",
    "Encounters",
    "Energy",
    "Forgotten",
    "Heredity",
    "Inactive",
    "Insight",
    "Learning",
    "Merged",
    "Occasion",
    "Perception",
    "Power",
    "Pruning",
    "Rapport",
    "Reason",
    "RecallScore",
    "Reflected",
    "Reflecting",
    "Reinforcement",
    "Retention",
    "Room",
    "Routine",
    "SETTINGS",
    "SMALLVILLE",
    "SYSTEMS",
    "Scores",
    "Siblings",
    "Span",
    "StateMachine",
    "Texts",
    "Ties",
    "VECTORS",
    "WEEKEND",
    "WORKDAYS",
    "Walking",
    "Writer",
    "add_laws",
    "ancestors",
    "apply_contacts",
    "appraise_contacts",
    "base_level",
    "births",
    "change_activity",
    "confidences",
    "consolidate",
    "daily_life",
    "descendants",
    "end_ties",
    "enter_state",
    "feel",
    "feelings_of",
    "find_inactive",
    "find_topics",
    "follow_routine",
    "forget",
    "forget_knowledge",
    "form_memories",
    "go_to",
    "intern_topics",
    "lasting",
    "learn",
    "make_room",
    "meet",
    "memories_formed",
    "moments",
    "nearest",
    "octant",
    "outcomes",
    "pairs_within",
    "parameterised_law",
    "pass_on",
    "perceive",
    "place",
    "positions_at",
    "recall_scores",
    "reclaim_texts",
    "reflect",
    "refresh_confidence",
    "refresh_emotions",
    "refresh_energy",
    "refresh_positions",
    "refresh_strength",
    "refresh_tempered_emotions",
    "refresh_ties",
    "rehearse",
    "reinforce",
    "remember",
    "remember_contacts",
    "retention_law",
    "settle",
    "share_knowing",
    "siblings",
    "spend_energy",
    "standing",
    "measure",
    "measure_counts",
    "state_machine",
    "steer",
    "strengths_of",
    "template_writer",
    "tie_strengths",
    "until",
    "waking_times",
    "when",
    "willing",
]
