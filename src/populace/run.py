"""The default scenario: agents live for some days, form memories, and forget by the law.

    society = build_society(RunSettings(agents=1_000))
    report = live(society)

The same settings give the same world, bit for bit, with any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from populace.components import Memory, MemoryKind, Persona, Stream, Strength, Tie
from populace.ecs import Clock, World, days, hours
from populace.systems import (
    Forgotten,
    Pruning,
    Reason,
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

from .experience import experience, prepare_sentences
from .generate import populate
from .population import advance_clock

START = 1_676_246_400_000_000
"""2023-02-13T00:00, the first day of the recorded ville; µs since 1970."""
STEP = hours(1)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `populace run` was asked for.

    agents: how many to generate. memories: how many each agent forms over the days. minds: spawns
    those who are there before them, as `minds.read_minds` returns it; source: what they are called.
    """

    agents: int = 10_000
    memories: int = 100
    days: float = 30.0
    seed: int = 1
    threads: int = 1
    minds: Callable[[World], object] | None = None
    source: str = ""


@dataclass(slots=True)
class Scenario:
    """What a run was made of, so that it can go on from a snapshot. A resource."""

    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StrongMemory:
    """One remembered thing, for the summary."""

    strength: float
    kind: str
    created_us: int
    text: str


@dataclass(slots=True)
class RunReport:
    """What a run did. Counts are of memories unless they say otherwise; seconds are wall time."""

    agents: int = 0
    imported: int = 0
    formed: int = 0
    forgotten_by: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    kept_by_day: list[int] = field(default_factory=list)
    rows_swept: int = 0
    sweep_s: float = 0.0
    compile_s: float = 0.0
    setup_s: float = 0.0
    run_s: float = 0.0
    write_s: float = 0.0
    snapshots: int = 0
    longest_pause_s: float = 0.0
    strongest_of: str = ""
    strongest: list[StrongMemory] = field(default_factory=list)

    @property
    def forgotten(self) -> int:
        """Memories forgotten, for whatever reason."""
        return sum(self.forgotten_by.values())

    @property
    def rows_per_s(self) -> float:
        """Rows of memory swept in a second of sweeping."""
        return self.rows_swept / self.sweep_s if self.sweep_s else 0.0


def build_society(settings: RunSettings) -> World:
    """A world with everybody in it, the systems of the scenario, and the clock at its start."""
    world = World(seed=settings.seed, threads=settings.threads)
    for law in (Retention(), Pruning(), Room()):
        world.insert(law)
    if settings.minds is not None:
        settings.minds(world)
    if settings.agents:
        populate(world, settings.agents, seed=settings.seed)
    clock = world.resource(Clock)
    advance_clock(world, clock.now or START)
    world.insert(Span(clock.now, clock.now + days(settings.days), settings.memories))
    world.insert(prepare_sentences(world, seed=settings.seed))
    facts = {
        "made_by": "populace run",
        "seed": settings.seed,
        "agents": settings.agents,
        "memories_per_agent": settings.memories,
        "days": settings.days,
        "from": settings.source or None,
    }
    world.insert(Scenario(facts))
    add_systems(world)
    return world


def add_systems(world: World) -> None:
    """The systems of the scenario, also for a world that comes from a snapshot of it."""
    world.add_systems(experience, form_memories, refresh_strength, forget, make_room)
    world.add_systems(measure, measure_counts)
    if world.query(Tie).count():  # those of the minds: they fade, and nobody meets
        if Ties not in world.resources:
            world.insert(Ties())
        world.add_system(refresh_ties)


def days_left(world: World) -> float:
    """How many of its days a world of the scenario has still to live."""
    return max(0, world.resource(Span).end - world.clock.now) / days(1)


def live_longer(world: World, n_days: float, memories: int | None = None) -> None:
    """Give a world whose days are over more of them.

    memories: how many each agent forms over these days; None: as many a day as before.
    """
    past = world.resource(Span)
    if memories is None:
        memories = round(past.memories * n_days / ((past.end - past.start) / days(1)))
    now = world.clock.now
    world.insert(Span(now, now + days(n_days), memories), replace=True)
    world.resource(Scenario).facts["days"] += n_days


def live(world: World, *, on_day: Callable[[int, int], None] | None = None) -> RunReport:
    """Live through the world's span, hour by hour, and tell what happened.

    on_day: called after each day with the days lived and the memories held.
    """
    span, clock = world.resource(Span), world.resource(Clock)
    if world.stale:
        world.refresh()
    memories, stream = world.query(Memory), world.query(Stream)
    forgotten = world.events(Forgotten)
    report = RunReport(agents=world.query(Persona).count(), imported=memories.count())
    before = int(stream.gather(Stream.formed).sum(dtype=np.int64))
    begin = perf_counter()
    while clock.now < span.end:
        world.run(min(days(1), span.end - clock.now), step=STEP)
        told = forgotten.read()
        for reason, count in zip(told.reason.tolist(), told.count.tolist(), strict=True):
            name = Reason(reason).name.lower()
            report.forgotten_by[name] = report.forgotten_by.get(name, 0) + count
        report.kept_by_day.append(memories.count())
        if on_day is not None:
            on_day(len(report.kept_by_day), report.kept_by_day[-1])
    report.run_s = perf_counter() - begin
    report.kept = memories.count()
    report.formed = int(stream.gather(Stream.formed).sum(dtype=np.int64)) - before
    swept = world.telemetry.of("refresh_strength")
    report.rows_swept, report.sweep_s = swept.rows, swept.ns / 1e9
    report.strongest_of, report.strongest = strongest_memories(world)
    return report


def strongest_memories(world: World, n: int = 5) -> tuple[str, list[StrongMemory]]:
    """The first agent's name and the n strongest things it remembers, each text once."""
    people = world.query(Persona)
    first = int(np.argmin(people.gather(Persona.number)))
    name = world.text.decode(people.gather(Persona.name)[[first]])[0]
    ids = world.index(Memory.owner).ids(people.ids()[first])
    strength = world.get(ids, Strength.value)
    order = np.lexsort((world.get(ids, Memory.sequence), -strength))
    texts = world.text.decode(world.get(ids, Memory.text)[order])
    kinds = world.get(ids, Memory.kind)[order]  # type: ignore[arg-type]  # the field
    created = world.get(ids, Memory.created)[order]
    found: dict[str, StrongMemory] = {}
    for row, text in enumerate(texts):
        if text not in found and len(found) < n:
            found[text] = StrongMemory(
                strength=float(strength[order[row]]),
                kind=MemoryKind(int(kinds[row])).name.lower(),
                created_us=int(created[row]),
                text=text,
            )
    return name, list(found.values())


def warm_up() -> float:
    """Compile every kernel of the scenario, or load it from the cache; return the seconds it took.

    It runs a world of the smallest size and drops it.
    """
    begin = perf_counter()
    live(build_society(RunSettings(agents=2, memories=24, days=4.0)))
    return perf_counter() - begin
