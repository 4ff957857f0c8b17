"""One run from beginning to end: its directory, its log, its checkpoints, and who watches it.

session = Session(scenario, directory=RunDirectory("runs/town-1"))
outcome = session.start(parameters)          # or session.go_on(world)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from populace.components import Metric
from populace.ecs import World
from populace.ecs.errors import LockedError
from populace.scenarios.parameters import Parameters
from populace.scenarios.registry import name_of
from populace.scenarios.scenario import Scenario
from populace.storage.archive import Archive
from populace.systems.archive import attach_archive

from .compiling import compiling
from .directory import LOG, RESULT, RunDirectory, now
from .headless import build, days_left, live, steps_left
from .interrupt import polite
from .itinerary import Itinerary
from .metrics import MetricsTable
from .outcome import Outcome
from .progress import progress
from .watching import Watch, nobody

if TYPE_CHECKING:
    from populace.storage import Checkpointer, Key

ROOT_LOG = logging.getLogger("populace")
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(slots=True)
class Saving:
    """When a run is saved: every so much simulated µs or wall seconds; neither: at its end."""

    every: int | None = None
    every_s: float | None = None
    keep: int | None = None
    key: Key | None = None

    def facts(self) -> dict[str, float | None]:
        """All but the key, as JSON values: for a run that is gone on with."""
        return {"every": self.every, "every_s": self.every_s, "keep": self.keep}


@dataclass(slots=True)
class Session:
    """What it takes to run a scenario.

    directory: where it is kept; None keeps nothing. watch: makes the watchers of a world, beside
    the progress bar. verbose: the log on stderr too. began: `perf_counter` when all began.
    """

    scenario: Scenario
    directory: RunDirectory | None = None
    saving: Saving = field(default_factory=Saving)
    threads: int = 1
    watch: Watch = nobody
    verbose: bool = False
    began: float = field(default_factory=perf_counter)

    def start(self, parameters: Parameters) -> tuple[World, Outcome]:
        """Build the scenario's world and live through its days."""
        with compiling() as spent:
            begin = perf_counter()
            world = build(self.scenario, parameters, threads=self.threads)
            setup_s = perf_counter() - begin
            if self.directory is not None:
                # Not before: what cannot be built, nor watched as asked for, leaves nothing.
                for watcher in self.watch(world, None, None):
                    watcher.close()
                self._begin_directory(self.directory, parameters)
                world.keep(Metric)
            with self._recording():
                outcome = self._live(world)
        outcome.compile_s, outcome.setup_s = spent.seconds, setup_s
        return world, outcome

    def _begin_directory(self, directory: RunDirectory, parameters: Parameters) -> None:
        directory.create(
            {
                "scenario": self.scenario.name,
                "found_as": name_of(self.scenario),
                "about": self.scenario.about,
                "seed": parameters.run.seed,
                "command": sys.argv,
                "changed": parameters.changed(),
                "resumed": [],
                "saving": self.saving.facts(),
            },
            parameters.to_toml(),
        )

    def go_on(self, world: World) -> Outcome:
        """Live through the days that a world from a snapshot has left."""
        begin = perf_counter()
        self.scenario.add_systems(world)
        if self.directory is not None and Archive in world.resources:
            attach_archive(world, self.directory.snapshots, key=self.saving.key)
        changes: dict[str, Any] = {"status": "running", "reason": "", "ended": None}
        if self.directory is not None:
            changes["resumed"] = [*self.directory.manifest.get("resumed", []), now()]
        with self._recording(), compiling() as spent:
            outcome = self._live(world, **changes)
        outcome.compile_s, outcome.setup_s = spent.seconds, perf_counter() - begin - outcome.run_s
        return outcome

    def _live(self, world: World, **changes: Any) -> Outcome:
        """changes: of the manifest, once the directory is this run's alone."""
        way = world.resource(Itinerary)
        metrics = MetricsTable(self.directory.metrics if self.directory is not None else None)
        metrics.take_up(world.clock.now)
        labels = {} if self.scenario.labels is None else dict(self.scenario.labels(world))
        changes |= {
            "start_us": way.start_us, "end_us": way.end_us, "step_us": way.step_us,
            "labels": labels,
        }  # fmt: skip
        with polite() as interrupt, self._checkpoints(world) as checkpointer:
            if self.directory is not None:
                self.directory.update(**changes)
            watchers = self.watch(world, self.directory, checkpointer)
            outcome = live(
                world,
                self.scenario,
                metrics=metrics,
                watchers=[*progress(steps_left(world)), *watchers],
                checkpointer=checkpointer,
                interrupted=lambda: interrupt.asked,
                began=self.began,
            )
        outcome.labels = labels
        outcome.relieved = [r for watcher in watchers for r in getattr(watcher, "relieved", ())]
        if self.directory is not None:
            self.directory.update(
                status=outcome.status, reason=outcome.reason, ended=now(), facts=outcome.told,
                relieved=[*self.directory.manifest.get("relieved", ()), *outcome.relieved],
            )  # fmt: skip
        return outcome

    @contextmanager
    def _checkpoints(self, world: World) -> Iterator[Checkpointer | None]:
        """What saves the run; nothing where nothing will happen that is not saved."""
        if self.directory is None or not days_left(world):
            yield None
            return
        from populace.storage import Checkpointer

        with Checkpointer(
            world,
            self.directory.snapshots,
            every=self.saving.every,
            every_s=self.saving.every_s,
            keep=self.saving.keep,
            key=self.saving.key,
        ) as checkpointer:
            yield checkpointer

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """The log, and what became of a run that fails."""
        with ExitStack() as closing:
            for handler in self._handlers():
                handler.setFormatter(logging.Formatter(LINE))
                ROOT_LOG.addHandler(handler)
                closing.callback(handler.close)
                closing.callback(ROOT_LOG.removeHandler, handler)
            level = ROOT_LOG.level
            ROOT_LOG.setLevel(logging.INFO)
            closing.callback(ROOT_LOG.setLevel, level)
            try:
                yield
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                status = "interrupted" if stopped else "failed"
                told = "at once" if stopped else str(error) or type(error).__name__
                ROOT_LOG.error("%s: %s", status, told, exc_info=not stopped)
                # A directory that another process writes has that one's manifest.
                if self.directory is not None and not isinstance(error, LockedError):
                    try:
                        self.directory.update(status=status, reason=told, ended=now())
                    except OSError as refused:  # a full disk is not to hide what went wrong
                        ROOT_LOG.error("the manifest cannot be written: %s", refused)
                raise

    def _handlers(self) -> list[logging.Handler]:
        found: list[logging.Handler] = []
        if self.directory is not None:
            found.append(logging.FileHandler(self.directory.path / LOG, encoding="utf-8"))
        if self.verbose:
            found.append(logging.StreamHandler())
        return found


def write_result(directory: RunDirectory, facts: dict[str, Any]) -> None:
    """Write what a run came to into its directory."""
    import json

    directory.write(RESULT, json.dumps(facts, indent=2) + "\n")
