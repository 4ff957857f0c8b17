"""Streams alone: everybody forms so many memories as time goes by, and forgets them by the law.

No places, no meetings: what agents live through is drawn (`experience`). It is the load that memory
itself makes, for sizing and for imported minds that are to do nothing but forget.
"""

from __future__ import annotations

from dataclasses import dataclass

from populace.components import Tie
from populace.ecs import World, days, setting, settings
from populace.ecs.errors import SettingError
from populace.experience import experience, prepare_sentences
from populace.generate import populate
from populace.systems import (
    Pruning,
    Retention,
    Room,
    Span,
    forget,
    form_memories,
    make_room,
    measure,
    measure_counts,
    refresh_strength,
)
from populace.systems.ties import Ties, refresh_ties

from .guests import take_in
from .parameters import Parameters
from .scenario import Scenario

MOST_MEMORIES = 2**32 - 2


@settings
class Streaming:
    """Who forms how many memories. A resource."""

    agents: int = setting(
        10_000, range=(0, 100_000_000), doc="people to generate, beside those of `minds`"
    )
    memories: int = setting(
        100, range=(0, 2**31 - 1), doc="that each agent forms over the days of the run"
    )
    minds: str = setting(
        "", doc="who is there before them: memory streams, personas, or tables of an export"
    )

    def check(self) -> None:
        """Refuse more than a world holds, and nobody at all."""
        if self.agents * self.memories > MOST_MEMORIES:
            raise SettingError(
                f"Streaming.agents {self.agents} times memories {self.memories} is more than a "
                f"world holds, {MOST_MEMORIES:,} entities; ask for fewer"
            )
        if not self.agents and not self.minds:
            raise SettingError(
                "Streaming.agents 0 leaves nobody to live: give at least 1, or minds"
            )


@dataclass(frozen=True, slots=True)
class Pace:
    """The days that a run was first to have: more are lived at their pace. A resource."""

    first: Span

    def formed_by(self, time: int) -> int:
        """Memories that each agent forms up to `time`, simulated µs."""
        return round(
            self.first.memories * (time - self.first.start) / (self.first.end - self.first.start)
        )


def build(world: World, parameters: Parameters) -> None:
    """Spawn everybody; what they may come to remember is interned at once."""
    given, clock = parameters.of(Streaming), world.clock
    for law in (Retention, Pruning, Room):
        world.insert(parameters.of(law))
    if any(name.startswith("ties.") for name in parameters.changed()):
        world.insert(parameters.of(Ties))  # else ties bring the law that they had
    if given.minds:
        take_in(world, given.minds, parameters)
    if Ties not in world.resources:
        world.insert(parameters.of(Ties))
    if given.agents:
        populate(world, given.agents, seed=world.seed)
    world.insert(Span(clock.now, clock.now + days(parameters.run.days), given.memories))
    world.insert(prepare_sentences(world, seed=world.seed))


def add_systems(world: World) -> None:
    """What it takes to form memories and forget them; ties of imported minds fade."""
    world.add_systems(experience, form_memories, refresh_strength, forget, make_room)
    world.add_systems(measure, measure_counts)
    if world.query(Tie).count():
        world.add_system(refresh_ties)


def prolong(world: World, end: int) -> None:
    """Let as many memories form each day as at first, however short the pieces are."""
    past = world.resource(Span)
    if Pace not in world.resources:
        world.insert(Pace(past))
    pace = world.resource(Pace)
    memories = pace.formed_by(end) - pace.formed_by(past.end)
    world.insert(Span(past.end, end, memories), replace=True)


scenario = Scenario(
    name="stream",
    about="Everybody forms so many memories and forgets them; no places and no meetings",
    sections={
        "stream": Streaming, "retention": Retention, "pruning": Pruning, "room": Room, "ties": Ties,
    },
    build=build,
    add_systems=add_systems,
    source="stream.minds",
    prolong=prolong,
)  # fmt: skip
