"""All laws together: what a world needs so that a society lives by itself.

    world = World(seed=1)
    add_laws(world, Ties(half_life=7 * 86_400.0))

The order in which laws follow each other within a step:

    first    what people do         activity, routine, meetings, perception
    update   what follows from it   ties, energy, emotion, knowledge, memories, reflection, recall;
                                    then the sweeps, which fill caches
    last     what is let go         consolidation, archiving, forgetting, capacity, knowledge,
                                    ties; then metrics, if anybody listens

`Contact` -> ties -> `Met` -> energy, appraisal, emotion, knowledge, memories; `Appraisal` ->
emotion; `Taught`, `Observed` -> memories; `Recalled` -> reinforcement. A law works on the agents
that have its components, and costs next to nothing where nobody does. Where an archive is attached
(`archive.attach_archive`), what is inactive leaves for it before anything is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from populace.components.space import Space
from populace.ecs import System, World
from populace.ecs.errors import ScheduleError

from .activity import change_activity
from .affect import Emotions
from .archiving import Archiving, find_inactive
from .capacity import Room, make_room
from .colocation import Colocation, meet
from .consolidation import Consolidation, consolidate
from .daily import daily_life
from .emotion import feel
from .encounters import Encounters, remember_contacts
from .energy import Energy, refresh_energy, spend_energy
from .feelings import refresh_emotions, refresh_tempered_emotions
from .formation import form_memories
from .heredity import Heredity
from .knowledge import Learning, forget_knowledge, refresh_confidence
from .metrics import measure, measure_counts
from .movement import refresh_positions
from .perception import Perception, perceive
from .pruning import Pruning, forget
from .rapport import Rapport, appraise_contacts
from .reflection import Reflecting, reflect
from .reinforcement import Reinforcement, reinforce
from .retention import Retention
from .routine import Routine, Walking, follow_routine
from .scoring import RecallScore
from .strength import refresh_strength
from .telling import pass_on
from .ties import Ties, apply_contacts, end_ties, refresh_ties

SYSTEMS: tuple[Any, ...] = (
    change_activity,
    follow_routine,
    meet,
    perceive,
    apply_contacts,
    spend_energy,
    appraise_contacts,
    feel,
    pass_on,
    remember_contacts,
    form_memories,
    reflect,
    reinforce,
    refresh_strength,
    refresh_ties,
    refresh_energy,
    refresh_emotions,
    refresh_tempered_emotions,
    refresh_confidence,
    refresh_positions,
    consolidate,
    find_inactive,
    forget,
    make_room,
    forget_knowledge,
    end_ties,
    measure,
    measure_counts,
)
"""Every law's systems, in their order."""

SETTINGS: tuple[type, ...] = (
    Archiving,
    Colocation,
    Consolidation,
    Emotions,
    Encounters,
    Energy,
    Heredity,
    Learning,
    Perception,
    Pruning,
    Rapport,
    RecallScore,
    Reflecting,
    Reinforcement,
    Retention,
    Room,
    Routine,
    Space,
    Ties,
    Walking,
)
"""The resources of all laws that have defaults."""


def add_laws(
    world: World,
    *resources: Any,
    without: Any = (),
    instead: Mapping[str, System] | None = None,
) -> None:
    """Give a world every law: its resource where it has none yet, and its systems.

    resources: settings other than the defaults, and a `StateMachine` other than `daily_life`.
    without: systems, or their names, to leave out. instead: for names of systems, those that take
    their places.

    Raises ResourceError where a resource is there already, ScheduleError for a system that is
    there already or a name that none has.

    >>> world = World()
    >>> add_laws(world, Ties(half_life=86_400.0), without=("meet", "perceive"))
    >>> "meet" in world.schedule.entries, "apply_contacts" in world.schedule.entries
    (False, True)
    """
    several = without if isinstance(without, tuple | list | set | frozenset) else (without,)
    left_out = {getattr(each, "name", each) for each in several}
    places = dict(instead or {})
    known = {each.name for each in SYSTEMS}
    unknown = [repr(name) for name in (*left_out, *places) if name not in known]
    if unknown:
        names = ", ".join(each.name for each in SYSTEMS)
        raise ScheduleError(f"no law has a system {unknown[0]}; there are {names}")
    for resource in resources:
        world.insert(resource)
    for made in (*(cls() for cls in SETTINGS), daily_life()):
        if type(made) not in world.resources:
            world.insert(made)
    for each in SYSTEMS:
        if each.name in left_out:
            continue
        own = places.get(each.name)
        if own is None:
            world.add_system(each)
        else:
            world.add_system(own, **({} if "phase" in own.rules else phase_of(each)))


def phase_of(system: System) -> dict[str, str]:
    """The phase that a system runs in, as a rule."""
    return {"phase": system.rules.get("phase") or "update"}
