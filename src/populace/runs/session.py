"""One run from beginning to end: its directory, its log, its checkpoints, and who watches it.

session = Session(scenario, directory=RunDirectory("runs/town-1"))
outcome = session.start(parameters)          # or session.go_on(world)
"""

from __future__ import annotations

import hashlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from populace.components import Metric
from populace.ecs import World
from populace.scenarios.parameters import Parameters
from populace.scenarios.registry import files_of, name_of
from populace.scenarios.scenario import Scenario
from populace.storage.archive import Archive
from populace.systems.archive import attach_archive

from .ahead import compiling_ahead
from .compiling import compiling
from .directory import LOG, RESULT, RunDirectory, now, versions
from .headless import build, days_left, live, steps_left
from .interrupt import polite
from .itinerary import Itinerary
from .metrics import MetricsTable
from .outcome import Outcome
from .progress import progress
from .watching import Watch, nobody

if TYPE_CHECKING:
    from populace.storage import Checkpointer, Key

ROOT_LOG, RUN_LOG = logging.getLogger("populace"), logging.getLogger("populace.run")
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
DECIDING = ("populace", "python", "numpy", "numba")
"""Of whose version it may depend to what a run comes."""


class ResumeWarning(UserWarning):
    """A run that goes on with other code than it began with."""


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
        with compiling() as spent, compiling_ahead(self.threads):
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
                "files": digests_of(self.scenario),
                "resumed": [],
                "saving": self.saving.facts(),
            },
            parameters.to_toml(),
        )

    def go_on(self, world: World) -> Outcome:
        """Live through the days that a world from a snapshot has left.

        Warns where what it comes to may be other than without the break.
        """
        self.scenario.add_systems(world)
        changes: dict[str, Any] = {"status": "running", "reason": "", "ended": None}
        if self.directory is not None:
            if Archive in world.resources:
                attach_archive(world, self.directory.snapshots, key=self.saving.key)
            changes["resumed"] = [*self.directory.manifest.get("resumed", []), now()]
            changes["saving"] = self.saving.facts()
        with self._recording(), compiling() as spent, compiling_ahead(self.threads):
            if self.directory is not None and (other := self._other_code(self.directory)):
                warnings.warn(other, ResumeWarning, stacklevel=2)
            setup_s = perf_counter() - self.began
            outcome = self._live(world, **changes)
        outcome.compile_s, outcome.setup_s = spent.seconds, setup_s
        return outcome

    def _other_code(self, directory: RunDirectory) -> str:
        """What is other than when the run began, in a sentence; "" where all is the same."""
        known, told = directory.manifest, []
        files, before = digests_of(self.scenario), known.get("files")
        if before is not None:
            told += [f"{name} was changed" for name in sorted(files.keys() | before.keys())
                     if files.get(name) != before.get(name)]  # fmt: skip
        here, there = versions(), known.get("versions", {})
        told += [f"{name} is {here[name]}, was {there[name]}" for name in DECIDING
                 if name in there and here[name] != there[name]]  # fmt: skip
        if not told:
            return ""
        return (
            f"{'; '.join(told)}: the run goes on so, and may come to something other than it would "
            f"have without a break"
        )

    def _live(self, world: World, **changes: Any) -> Outcome:
        """changes: of the manifest, where there is something to live, once the directory is this
        run's alone and whoever watches is there."""
        way = world.resource(Itinerary)
        metrics = MetricsTable(self.directory.metrics if self.directory is not None else None)
        metrics.take_up(world.clock.now)
        labels = {} if self.scenario.labels is None else dict(self.scenario.labels(world))
        changes |= {
            "start_us": way.start_us, "end_us": way.end_us, "step_us": way.step_us,
            "labels": labels,
        }  # fmt: skip
        with polite() as interrupt, self._checkpoints(world) as checkpointer:
            watchers = self.watch(world, self.directory, checkpointer)
            if self.directory is not None and steps_left(world):
                self.directory.update(**changes)
            for url in (getattr(watcher, "url", "") for watcher in watchers):
                if url:
                    RUN_LOG.info("metrics at %s", url)
                    print(f"populace: metrics at {url}", file=sys.stderr)
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
                status=outcome.status, reason=outcome.reason, facts=outcome.told,
                ended=self.directory.manifest.get("ended") or now(),
                relieved=[*self.directory.manifest.get("relieved", ()), *outcome.relieved],
            )  # fmt: skip
        return outcome

    @contextmanager
    def _checkpoints(self, world: World) -> Iterator[Checkpointer | None]:
        """What saves the run; nothing where nothing will happen that is not saved. Within, nobody
        else writes to the directory."""
        if self.directory is None:
            yield None
            return
        from populace.storage import Checkpointer, Snapshots

        if not days_left(world):
            with Snapshots(self.directory.snapshots).files.lock():
                yield None
            return
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
            closing.enter_context(_logged_warnings())
            try:
                yield
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                status = "interrupted" if stopped else "failed"
                told = "at once" if stopped else str(error) or type(error).__name__
                ROOT_LOG.error("%s: %s", status, told, exc_info=not stopped)
                # Before that, it tells of the run as it was, or as another process has it.
                if self.directory is not None and self.directory.written:
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


@contextmanager
def _logged_warnings() -> Iterator[None]:
    """Within, what is warned of is in the log too, for whoever has no stderr to read."""
    show = warnings.showwarning

    def log_and_show(message: Warning | str, *where: Any, **more: Any) -> None:
        RUN_LOG.warning("%s", message)
        show(message, *where, **more)

    warnings.showwarning = log_and_show
    try:
        yield
    finally:
        warnings.showwarning = show


def digests_of(scenario: Scenario) -> dict[str, str]:
    """SHA-256 of the files of a user's own scenario, by path."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(scenario)}


def write_result(directory: RunDirectory, facts: dict[str, Any]) -> None:
    """Write what a run came to into its directory."""
    import json

    directory.write(RESULT, json.dumps(facts, indent=2) + "\n")
