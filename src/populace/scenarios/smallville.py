"""Smallville goes on: agents with imported memory streams live in a small town among neighbours.

The streams of Generative Agents (`ville`) say who the agents are and all that they remember. They
move into a town with generated neighbours, up to `town.agents` in all, and live on from the moment
at which their streams end.
"""

from __future__ import annotations

from populace.components import Memory
from populace.ecs import World
from populace.ecs.errors import SettingError

from . import town
from .parameters import Parameters
from .scenario import Scenario
from .town_settings import Town

DEFAULTS = {**town.DEFAULTS, "town.agents": 25, "run.days": 2.0, "room.capacity": 1_000}


def build(world: World, parameters: Parameters) -> None:
    """Build a town whose first people are those of the streams, at the moment when these end."""
    source = parameters.of(Town).personas
    if not source:
        raise SettingError(
            "town.personas is empty: name the folder of memory streams, by --from DIR or "
            "--set town.personas=DIR"
        )
    town.build(world, parameters)
    if not world.query(Memory).count():
        raise SettingError(
            f"town.personas: {source} holds no memories; smallville begins with memory streams, "
            f"and the scenario town with people who have none"
        )


scenario = Scenario(
    name="smallville",
    about="Agents with imported memory streams live on in a small town among neighbours",
    sections=town.scenario.sections,
    build=build,
    add_systems=town.add_systems,
    measure=town.scenario.measure,
    labels=town.scenario.labels,
    tell=town.scenario.tell,
    source="town.personas",
    defaults=DEFAULTS,
)
