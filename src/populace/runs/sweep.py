"""Sweeps: a scenario run with every combination of some parameters, and with several seeds.

Invariants: combinations are in the order of the grid, the last parameter varying fastest, and the
seeds of one lie together; what comes out does not depend on how many jobs there are. Each run is a
process's own business: it takes one thread, and what fails there is a row of the result, not the
end of the sweep. With a directory, each finished run is a line of `done.jsonl` at once, and a sweep
that meets the same parameters there does not run them again. A run is of the scenario's files as
they were when the sweep was planned: one of a file that was changed since fails.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
import signal
import statistics
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from populace.ecs.errors import SettingError, SourceFileError
from populace.scenarios.parameters import Parameters, read_parameters
from populace.scenarios.registry import find_scenario, name_of, text_of, texts_of
from populace.scenarios.scenario import Scenario
from populace.systems import Reason

from .headless import build, live
from .metrics import COUNTED

if TYPE_CHECKING:
    import pyarrow as pa

DONE, RUNS, SUMMARY = "done.jsonl", "sweep.parquet", "summary.parquet"
MOST_RUNS = 100_000
THREADS = "OMP_NUM_THREADS"
"""Read by the libraries of a process as they are loaded: it is set before the process begins."""


def run_once(scenario: Scenario, parameters: Parameters) -> dict[str, Any]:
    """Run a scenario to its end, on one thread: what it tells of itself, beside final counts."""
    world = build(scenario, parameters)
    outcome = live(world, scenario)
    counts = {name: world.query(component).count() for name, component in COUNTED.items()}
    forgotten = {reason.name.lower(): 0 for reason in Reason} | outcome.forgotten_by
    return {**counts, "formed": outcome.formed, "forgotten": forgotten, **outcome.told}


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One run of a sweep, done or not.

    varied: the values of its combination, as JSON values; changed: all its parameters that are
    other than the defaults. told: what `run_once` gave. error: why there is nothing told.
    """

    number: int
    varied: Mapping[str, Any]
    seed: int
    changed: Mapping[str, Any]
    key: str
    told: Mapping[str, Any] | None = None
    error: str = ""
    wall_s: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether it ran to its end."""
        return self.told is not None

    @property
    def numbers(self) -> dict[str, float]:
        """The finite numbers told; of what is within another, "outer.inner"."""
        return dict(_numbers(self.told or {}))


@dataclass(frozen=True, slots=True)
class Source:
    """What a sweep runs. scenario: its name, or its file; texts: `texts_of` it at the outset."""

    scenario: str
    texts: Mapping[Path, str]

    def check(self) -> None:
        """Raise SourceFileError where a file is no longer what it was."""
        for file, text in self.texts.items():
            if text_of(file) != text:
                raise SourceFileError(
                    f"{file} was changed after the sweep began: start it again for the new text"
                )


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over the seeds of a combination. sd: of the sample; None of fewer than two."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Combination:
    """What the runs of one combination came to."""

    varied: Mapping[str, Any]
    n: int
    failed: int
    spreads: Mapping[str, Spread]


@dataclass(slots=True)
class Sweep:
    """All runs of a sweep, in order. resumed: how many had been done before."""

    scenario: str
    runs: list[SweepRun] = field(default_factory=list)
    resumed: int = 0
    interrupted: bool = False

    @property
    def n_done(self) -> int:
        """Runs that came to their end."""
        return sum(run.is_done for run in self.runs)

    @property
    def failed(self) -> list[SweepRun]:
        """Runs that failed."""
        return [run for run in self.runs if run.error]

    def summary(self) -> list[Combination]:
        """Each combination's runs, over the seeds."""
        found = []
        for _, group in itertools.groupby(self.runs, lambda run: json.dumps(dict(run.varied))):
            runs = list(group)
            numbers = [run.numbers for run in runs if run.is_done]
            names = dict.fromkeys(name for told in numbers for name in told)
            spreads = {name: _spread([told[name] for told in numbers if name in told])
                       for name in names}  # fmt: skip
            failed = sum(bool(run.error) for run in runs)
            found.append(Combination(runs[0].varied, len(numbers), failed, spreads))
        return found

    def write(self, directory: Path) -> None:
        """Write sweep.parquet, a row a run, and summary.parquet, a row a combination."""
        import pyarrow.parquet as pq

        for name, table in ((RUNS, self.runs_table()), (SUMMARY, self.summary_table())):
            part = directory / f".{name}.part"
            pq.write_table(table, part, compression="zstd")
            os.replace(part, directory / name)

    def runs_table(self) -> pa.Table:
        """A row a run: parameters, seed, error, and each number told."""
        import pyarrow as pa

        names = dict.fromkeys(name for run in self.runs for name in run.numbers)
        columns: dict[str, Any] = _varied_columns([run.varied for run in self.runs])
        columns["seed"] = pa.array([run.seed for run in self.runs], pa.int64())
        columns["error"] = pa.array([run.error or None for run in self.runs], pa.string())
        columns["done"] = pa.array([run.is_done for run in self.runs], pa.bool_())
        columns["wall_s"] = pa.array([run.wall_s for run in self.runs], pa.float64())
        for name in names:
            values = [run.numbers.get(name) for run in self.runs]
            columns[_free(name, columns)] = pa.array(values, pa.float64())
        told = [json.dumps(run.told) if run.is_done else None for run in self.runs]
        columns[_free("told", columns)] = pa.array(told, pa.string())
        return pa.table(columns)

    def summary_table(self) -> pa.Table:
        """A row a combination: parameters, n, failed, and mean, sd and n of each number."""
        import pyarrow as pa

        rows = self.summary()
        columns: dict[str, Any] = _varied_columns([row.varied for row in rows])
        columns["n"] = pa.array([row.n for row in rows], pa.int64())
        columns["failed"] = pa.array([row.failed for row in rows], pa.int64())
        for name in dict.fromkeys(name for row in rows for name in row.spreads):
            spreads = [row.spreads.get(name, Spread(math.nan, None, 0)) for row in rows]
            means = [spread.mean if spread.n else None for spread in spreads]
            columns[f"{name}__mean"] = pa.array(means, pa.float64())
            columns[f"{name}__sd"] = pa.array([spread.sd for spread in spreads], pa.float64())
            columns[f"{name}__n"] = pa.array([spread.n for spread in spreads], pa.int64())
        return pa.table(columns)


# -- the plan ------------------------------------------------------------------------------------


def plan_sweep(
    parameters: Parameters, vary: Mapping[str, Sequence[Any]], n_seeds: int
) -> list[SweepRun]:
    """Every combination of the values, each with seeds from run.seed on.

    vary: "ties.half_life" -> values, or texts as on the command line. Raises SettingError for what
    a run would refuse, a parameter that is varied twice over (run.seed), equal values, and more
    than `MOST_RUNS` runs.
    """
    if n_seeds < 1:
        raise SettingError(f"a sweep has at least one seed, got {n_seeds}")
    if "run.seed" in vary:
        raise SettingError("run.seed is varied by the number of seeds; set it to the first of them")
    n_runs = math.prod(map(len, vary.values())) * n_seeds
    if not 1 <= n_runs <= MOST_RUNS:
        raise SettingError(f"a sweep has 1 to {MOST_RUNS:,} runs, and these are {n_runs:,}")
    origin = _origin(parameters.scenario)
    runs: list[SweepRun] = []
    for values in itertools.product(*vary.values()):
        made = parameters.updated(dict(zip(vary, values, strict=True)))
        everything = made.values()
        varied = {name: everything[name] for name in vary}
        for seed in range(parameters.run.seed, parameters.run.seed + n_seeds):
            changed = made.replaced("run.seed", seed).changed()
            text = json.dumps([origin, everything | {"run.seed": seed}])
            key = hashlib.sha256(text.encode()).hexdigest()
            runs.append(SweepRun(len(runs), varied, seed, changed, key))
    if len({run.key for run in runs}) < len(runs):
        raise SettingError("a value is given twice for a parameter; each combination is run once")
    return runs


def _origin(scenario: Scenario) -> list[str]:
    """What a run's result depends on besides its parameters."""
    from populace import __version__

    texts = texts_of(scenario).values()
    return [name_of(scenario), *(texts or [""]), __version__]


# -- running -------------------------------------------------------------------------------------


def sweep(
    parameters: Parameters,
    vary: Mapping[str, Sequence[Any]],
    *,
    n_seeds: int = 1,
    jobs: int = 1,
    directory: Path | None = None,
    on_run: Callable[[SweepRun, int, int], None] | None = None,
) -> Sweep:
    """Run every combination with every seed, `jobs` at a time, each in a process.

    directory: kept there, and what was done there is not done again; made if it is not there.
    on_run: called with each run as it ends, how many have, and of how many. KeyboardInterrupt ends
    it: the result is then `interrupted` and holds what is done. Raises SettingError for a plan that
    cannot be run, and SourceFileError for a directory of something else.
    """
    plan = plan_sweep(parameters, vary, n_seeds)
    source = Source(name_of(parameters.scenario), texts_of(parameters.scenario))
    result = Sweep(source.scenario, list(plan))
    known = _known(directory)
    for run in plan:
        if run.key in known:
            line = known[run.key]
            result.runs[run.number] = replace(run, told=line["told"], wall_s=line["wall_s"])
            result.resumed += 1
    pending = [run for run in result.runs if not run.is_done]
    ended = result.resumed
    try:
        with closing(_run_all(source, pending, jobs)) as runs:
            for run in runs:
                result.runs[run.number] = run
                ended += 1
                if directory is not None and run.is_done:
                    _keep(directory, run)
                if on_run is not None:
                    on_run(run, ended, len(plan))
    except KeyboardInterrupt:
        result.interrupted = True
    if directory is not None:
        result.write(directory)
    return result


def _run_all(
    source: Source, pending: Sequence[SweepRun], jobs: int
) -> Generator[SweepRun, None, None]:
    """Each run as it ends. A process that dies takes down its pool; who was in it runs alone."""
    waiting = deque(pending)
    while waiting:
        running: dict[Future[dict[str, Any]], SweepRun] = {}
        suspects: list[SweepRun] = []
        with _pool(min(jobs, len(waiting))) as pool:
            while (waiting or running) and not suspects:
                while waiting and len(running) < jobs:
                    try:
                        future = pool.submit(run_in_process, source, dict(waiting[0].changed))
                    except BrokenProcessPool:
                        break
                    running[future] = waiting.popleft()
                if not running:
                    break  # it broke while nobody was in it
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run = running.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        suspects.append(run)
                    else:
                        yield replace(run, **future.result())
            suspects += running.values()
        for run in sorted(suspects, key=lambda suspect: suspect.number):
            yield _run_alone(source, run)


def _run_alone(source: Source, run: SweepRun) -> SweepRun:
    """A run in a process of its own; if that dies, it is to blame."""
    with _pool(1) as pool:
        try:
            return replace(run, **pool.submit(run_in_process, source, dict(run.changed)).result())
        except BrokenProcessPool:
            return replace(run, error="its process died; was there too little memory?")


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread; they are ended, not awaited, when something is raised."""
    others = set(multiprocessing.active_children())
    threads = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_process
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.pop(THREADS, None)
        if threads is not None:
            os.environ[THREADS] = threads


def _begin_process() -> None:
    """Ctrl-C is the parent's, and who has lost the parent ends."""
    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_in_process(source: Source, changed: Mapping[str, Any]) -> dict[str, Any]:
    """One run of a sweep: told, error and wall_s."""
    begin = perf_counter()
    try:
        found = find_scenario(source.scenario)
        source.check()
        parameters = read_parameters(found, environment={}).updated(changed)
        told = json.loads(json.dumps(run_once(found, parameters), default=float))
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        return {"error": said, "wall_s": perf_counter() - begin}
    return {"told": told, "wall_s": perf_counter() - begin}


# -- what is kept --------------------------------------------------------------------------------


def _known(directory: Path | None) -> dict[str, dict[str, Any]]:
    """The runs that a directory holds, by key. Makes it; raises SourceFileError."""
    if directory is None:
        return {}
    directory.mkdir(parents=True, exist_ok=True)
    file, found = directory / DONE, {}
    if not file.exists():
        if any(directory.iterdir()):
            raise SourceFileError(
                f"{directory} holds something, and no sweep ({DONE}); name another directory"
            )
        file.touch()
    text = file.read_text(encoding="utf-8")
    for line in text.splitlines()[: text.count("\n")]:  # the last may have been cut short
        try:
            held = json.loads(line)
            found[held["key"]] = {"told": dict(held["told"]), "wall_s": float(held["wall_s"])}
        except (ValueError, LookupError, TypeError):
            continue  # it is run again
    if text and not text.endswith("\n"):
        with file.open("a", encoding="utf-8") as out:
            out.write("\n")
    return found


def _keep(directory: Path, run: SweepRun) -> None:
    """Add a run to those that are done."""
    line = {
        "key": run.key,
        "seed": run.seed,
        "parameters": dict(run.changed),
        "wall_s": run.wall_s,
        "told": run.told,
    }
    with (directory / DONE).open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


# -- numbers -------------------------------------------------------------------------------------


def _numbers(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{name}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield f"{above}{name}", float(value)


def _spread(values: Sequence[float]) -> Spread:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), sd, len(values))


def _varied_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    import pyarrow as pa

    names = rows[0] if rows else {}
    return {name: pa.array([row[name] for row in rows]) for name in names}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A column's name that is not taken."""
    return _free(f"told.{name}", taken) if name in taken else name
