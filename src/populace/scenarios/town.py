"""A town that lives: people with homes, work and haunts, who meet, talk, feel, remember and forget.

Everything they do is by the laws of `populace.systems`. Here is where they live (`streets`), who
they are (`townsfolk`), what news there is (`rumours`), and what is measured of it all (`outlook`).
"""

from __future__ import annotations

from populace.components import Space
from populace.ecs import World
from populace.systems import Texts, add_laws, daily_life, reclaim_texts

from .guests import take_in
from .laws import LAWS, insert_laws
from .newborns import have_children
from .outlook import found_town, labels, measure, tell
from .parameters import Parameters
from .rumours import start_rumours
from .scenario import Scenario
from .streets import side_of
from .town_settings import Rumours, Town
from .townsfolk import settle_town

DEFAULTS = {
    "colocation.radius": 8.0,
    "colocation.chance": 0.16,
    "colocation.most": 3,
    "encounters.importance": 0.2,
    "encounters.intensity": 0.4,
    "perception.others": 1,
    "perception.seen": 0.1,
    "reflecting.focal_points": 1,
    "reflecting.memories": 10,
    "room.capacity": 300,
    "ties.threshold": 0.1,
}
"""Where a town differs from the laws' own defaults. How people meet is fitted to what was measured
of Generative Agents (docs/town.md); the others keep a mind to some hundred memories,
and a talk without another to 46 days of acquaintance."""


def build(world: World, parameters: Parameters) -> None:
    """Lay out the town, let its people move in, and start its rumours."""
    town, rumours = parameters.of(Town), parameters.of(Rumours)
    side = side_of(town.agents, town.density)
    insert_laws(world, parameters)
    texts = parameters.of(Texts)
    for made in (Space(width=side, height=side), daily_life(), town, rumours, texts):
        world.insert(made)
    if town.personas:
        take_in(world, town.personas, parameters)
    agents = settle_town(world, town)
    start_rumours(world, agents, rumours)
    found_town(world)


def add_systems(world: World) -> None:
    """Every law, births, and a look for strings that nobody remembers any more."""
    add_laws(world)
    world.add_systems(have_children, reclaim_texts)


scenario = Scenario(
    name="town",
    about="People with homes, work and haunts who meet, talk, befriend, feel, learn and forget",
    sections={"town": Town, "rumours": Rumours, **LAWS, "texts": Texts},
    build=build,
    add_systems=add_systems,
    measure=measure,
    labels=labels,
    tell=tell,
    source="town.personas",
    defaults=DEFAULTS,
)
