"""A scenario without a screen: built, lived through step by step, watched, and told of.

    world = make_world("town", {"town.agents": 500, "run.days": 7})
    outcome = live(world)

Invariants: what watches, meters and saves changes nothing of the world, but for a memory limit, so
a run's end is a function of its scenario and parameters; a run that goes on from a snapshot ends as
one without a break. `live` ends after a whole step, unless the step itself fails, and what has come
to that end is saved, whoever else fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from populace.components import Memory, Persona, Tie
from populace.dates import date
from populace.ecs import World, days
from populace.ecs.errors import MemoryLimitReached, SettingError
from populace.scenarios.parameters import Parameters, read_parameters
from populace.scenarios.registry import find_scenario, name_of
from populace.scenarios.scenario import Scenario

from .collecting import rare_collections
from .itinerary import Itinerary
from .metrics import Meter, MetricsTable
from .outcome import Outcome, json_value, strongest_memories
from .tick import Tick, Watcher

if TYPE_CHECKING:
    from populace.storage import Checkpointer

LOG = logging.getLogger("populace.run")
FLUSH_S = 60.0
DAY = days(1)


def make_world(
    scenario: str | Path, values: Mapping[str, Any] | None = None, *, threads: int = 1
) -> World:
    """The world of a scenario, with these parameters other than its defaults.

    scenario: a name, or a Python or TOML file. Raises SettingError, SourceFileError.

    >>> world = make_world("town", {"town.agents": 30, "ties.half_life": "7d"})
    >>> world.query(Persona).count()
    30
    """
    file = Path(scenario) if str(scenario).endswith(".toml") else None
    found = find_scenario(scenario)
    given = read_parameters(found, file=file, environment={})
    return build(found, given.updated(values or {}), threads=threads)


def build(scenario: Scenario, parameters: Parameters, *, threads: int = 1) -> World:
    """A world with everybody in it, the scenario's systems, and the clock at its start."""
    run = parameters.run
    world = World(seed=run.seed, threads=threads)
    world.clock.now = run.start_us
    with rare_collections():
        scenario.build(world, parameters)
    start = world.clock.now
    world.insert(
        Itinerary(
            scenario=name_of(scenario),
            parameters=parameters.to_toml(comments=False),
            start_us=start,
            end_us=start + days(run.days),
            step_us=run.step_us,
        )
    )
    scenario.add_systems(world)
    return world


def days_left(world: World) -> float:
    """How many of its days a world has still to live."""
    return max(0, world.resource(Itinerary).end_us - world.clock.now) / DAY


def steps_left(world: World) -> int:
    """In how many steps."""
    way = world.resource(Itinerary)
    return -(-max(0, way.end_us - world.clock.now) // way.step_us)


def live(
    world: World,
    scenario: Scenario | None = None,
    *,
    metrics: MetricsTable | None = None,
    watchers: Sequence[Watcher] = (),
    checkpointer: Checkpointer | None = None,
    interrupted: Callable[[], str] = lambda: "",
    began: float | None = None,
) -> Outcome:
    """Live through what is left of a world's days, and tell what happened.

    scenario: of the world; None finds it by the name that the world holds.
    metrics: where rows go. watchers: called after each step, closed at the end. checkpointer: saves
    at the end too. interrupted: says why to end after this step, or "". began: `perf_counter` at
    the beginning of all, for the time to the first step. Raises what steps and watchers do, and
    SettingError for what a scenario measures or tells and nobody can keep.
    """
    way, table = world.resource(Itinerary), MetricsTable() if metrics is None else metrics
    scenario = find_scenario(way.scenario) if scenario is None else scenario
    if world.stale:
        world.refresh()
    outcome = Outcome(scenario=scenario.name, imported=world.query(Memory).count())
    begin = flushed = perf_counter()
    whole, paused_s, next_day = True, _paused_s(checkpointer), world.clock.now + DAY
    LOG.info("%s from %s to %s", scenario.name, date(world.clock.now), date(way.end_us))

    def save(kind: type[BaseException] | None, *_: object) -> None:
        """Unless a step was left half done, or all is to end at once."""
        outcome.run_s = perf_counter() - begin
        if checkpointer is not None and whole and (kind is None or issubclass(kind, Exception)):
            checkpointer.finish()

    with ExitStack() as closing:
        closing.push(save)  # first in, so last: whatever the others raise
        closing.enter_context(rare_collections())
        for watcher in watchers:
            closing.callback(watcher.close)
        closing.callback(table.flush)
        meter = Meter(world, scenario.measure, scenario.name)
        try:
            while world.clock.now < way.end_us and not outcome.reason:
                since, worked, whole = perf_counter(), process_time(), False
                world.step(min(way.step_us, way.end_us - world.clock.now))
                whole = True
                wall_s, cpu_s = perf_counter() - since, process_time() - worked
                if not outcome.ticks and began is not None:
                    outcome.start_up_s = perf_counter() - began
                outcome.ticks += 1
                before_s, paused_s = paused_s, _paused_s(checkpointer)
                row = meter.read(wall_s, cpu_s, paused_s - before_s)
                table.add(world.clock.now, row)
                outcome.peak_bytes = max(outcome.peak_bytes, int(row["rss_bytes"]))
                if world.clock.now >= next_day or world.clock.now >= way.end_us:
                    next_day += DAY
                    outcome.kept_by_day.append(int(row["memories"]))
                    LOG.info(
                        "%s: %s memories, %s ties, %.1f ms a step", date(world.clock.now),
                        f"{row['memories']:,}", f"{row['ties']:,}", 1e3 * wall_s,
                    )  # fmt: skip
                # Rows up to a snapshot are in the file: who goes on from there has no others.
                if paused_s > before_s or perf_counter() - flushed > FLUSH_S:
                    table.keep_up()
                    flushed = perf_counter()
                span = max(way.end_us - way.start_us, 1)
                tick = Tick(world, row, (world.clock.now - way.start_us) / span)
                for watcher in watchers:
                    watcher(tick)
                if world.clock.now < way.end_us and (asked := interrupted()):
                    outcome.status, outcome.reason = "interrupted", asked
        except MemoryLimitReached as error:
            outcome.status, outcome.reason = "stopped", str(error)
    if checkpointer is not None:
        outcome.snapshots = len(checkpointer.saved)
        outcome.longest_pause_s = max((one.pause_s for one in checkpointer.saved), default=0.0)
    _account(outcome, world, scenario, meter)
    LOG.info("%s at %s%s", outcome.status, date(world.clock.now),
             f": {outcome.reason}" if outcome.reason else "")  # fmt: skip
    return outcome


def _paused_s(checkpointer: Checkpointer | None) -> float:
    """For how long a world has stood still to be saved."""
    return 0.0 if checkpointer is None else checkpointer.paused_s


def _account(outcome: Outcome, world: World, scenario: Scenario, meter: Meter) -> None:
    """What there is at the end, and what came and went since `live` began."""
    outcome.formed = meter.formed
    meter.count_gone()  # what a memory limit let go after the last row
    outcome.forgotten_by, outcome.archived = meter.forgotten, meter.archived
    outcome.agents = world.query(Persona).count()
    outcome.kept, outcome.ties = world.query(Memory).count(), world.query(Tie).count()
    swept = world.telemetry.of("refresh_strength")
    outcome.rows_swept, outcome.sweep_s = swept.rows, swept.ns / 1e9
    if scenario.tell is not None:
        told: Any = scenario.tell(world)
        if not isinstance(told, Mapping):
            raise SettingError(
                f"scenario {scenario.name}: tell gives {told!r}; it must give values by name, as "
                f'{{"catch": 3}}'
            )
        outcome.told = json_value(told)
    outcome.strongest_of, outcome.strongest = strongest_memories(world)
