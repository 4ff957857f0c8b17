"""`populace run` and `populace resume`: a scenario, headless, and what it leaves behind."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .cores import n_cores
from .options import (
    add_key,
    add_parameters,
    add_shared,
    check_out,
    key_of,
    make_command,
    number_of_days,
    parameters_for,
    span,
    tell,
    whole,
    write_minds,
)

if TYPE_CHECKING:
    from populace.ecs import World
    from populace.runs.directory import RunDirectory
    from populace.runs.outcome import Outcome
    from populace.runs.session import Saving
    from populace.runs.watching import Watch

INTERRUPTED, STOPPED = 130, 3

MOST_THREADS = 4
"""By default: more were not measured."""

RUN_EXAMPLES = """examples:
  populace run
      a town of 10,000 people lives for 30 days; what comes of it is in runs/town-1
  populace run town --agents 500 --days 7 --dir monday --set ties.half_life=7d
  populace run mine.toml --every 1d --keep 3
      the scenario and parameters of a file; a snapshot after each day
  populace run smallville --from saved/July1_the_ville
      agents with imported memories among generated neighbours
  populace run replay --from calls.csv --set replay.time_unit=s
      a recorded log of contacts drives who meets whom
  populace run harbour.py
      a scenario of your own: one Python file
  populace run stream --agents 1000 --set stream.memories=500 --no-dir --json
"""
RESUME_EXAMPLES = """examples:
  populace resume runs/town-1
      goes on where its newest snapshot was made, as if nothing had come between
  populace resume runs/town-1 --days 7
      a run that is over lives for another week
"""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    run = make_command(
        commands.add_parser,
        RUN_EXAMPLES,
        "run",
        help="run a scenario",
        description="Build a scenario's society and let it live, step by step. The same parameters "
        "give the same world, bit for bit. Ctrl-C ends it after the step, saved: `populace resume` "
        "goes on. Exit codes: 0 done, 3 stopped at the memory limit, 130 interrupted.",
    )
    run.add_argument(
        "scenario", nargs="?", default="town", metavar="SCENARIO",
        help="town, replay, smallville, stream, a FILE.toml or a FILE.py (default town)",
    )  # fmt: skip
    run.add_argument(
        "--from", dest="source", type=Path, metavar="PATH",
        help="what the scenario begins with: personas, memory streams, a log of contacts",
    )  # fmt: skip
    run.add_argument("--agents", metavar="N", help="as --set town.agents=N")
    run.add_argument("--days", metavar="D", help="as --set run.days=D: a number, or as 12h")
    run.add_argument("--seed", metavar="S", help="as --set run.seed=S")
    add_parameters(run)
    run.add_argument(
        "--dir", type=Path, metavar="RUN",
        help="the run's directory (default: the first free of runs/SCENARIO-1, -2, ...)",
    )  # fmt: skip
    run.add_argument("--no-dir", action="store_true", help="keep nothing")
    _add_running(run)
    add_shared(run, _run)
    resume = make_command(
        commands.add_parser,
        RESUME_EXAMPLES,
        "resume",
        help="go on with a run from its newest snapshot",
        description="Load the newest good snapshot of a run, live on to the end of its days, and "
        "save there as before. What comes out is what the run would have come to without a break, "
        "to the bit.",
    )
    resume.add_argument("directory", type=Path, metavar="RUN", help="the run's directory")
    resume.add_argument(
        "--days", type=number_of_days, metavar="D",
        help="live on for so many days, if the run is over: a number, or as 12h",
    )  # fmt: skip
    _add_running(resume)
    add_shared(resume, _resume)


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=whole(1, 1024), default=min(n_cores(), MOST_THREADS), metavar="T",
        help=f"threads (default: one a core, at most {MOST_THREADS}); they change no result",
    )  # fmt: skip
    parser.add_argument(
        "--every", type=span, metavar="SPAN",
        help="of simulated time between snapshots, as 6h or 7d (default: one at the end)",
    )  # fmt: skip
    parser.add_argument(
        "--every-wall", type=span, metavar="SPAN", help="of wall time between snapshots, as 10m"
    )
    parser.add_argument(
        "--keep", type=whole(1, 10**6), metavar="N",
        help="keep the newest N full snapshots and their deltas (default: all)",
    )  # fmt: skip
    add_key(parser)
    parser.add_argument(
        "--memory-limit", metavar="SIZE",
        help="as 8GiB: below it by forgetting earlier, at it the run stops, saved",
    )  # fmt: skip
    parser.add_argument(
        "--telemetry", metavar="FILE", help="a line of JSON for each step; - is stderr"
    )
    parser.add_argument(
        "--prometheus", type=whole(0, 65_535), metavar="PORT",
        help="serve metrics to Prometheus at this port of 127.0.0.1 (0: any free one)",
    )  # fmt: skip
    parser.add_argument(
        "--profile", action="store_true",
        help="where the time goes, by system and function: profile.html in the run's directory",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="the log on stderr too")


def _run(options: argparse.Namespace) -> int:
    began = perf_counter()
    if options.no_dir:
        _refuse(options, ("dir", "every", "every_wall", "keep", "key_file"), "--no-dir")
    check_out(options)
    watch = _watch(options)
    from populace.runs.directory import RunDirectory
    from populace.runs.session import Session
    from populace.scenarios.registry import find_scenario

    scenario = find_scenario(options.scenario)
    options.overrides = [*_shortcuts(options, scenario), *options.overrides]
    parameters = parameters_for(options, options.scenario)
    directory = None
    if not options.no_dir:
        if options.dir is None:
            directory = RunDirectory.free(scenario.name)
        else:
            directory = RunDirectory(options.dir)
            _refuse_what_is_there(options)
        path = directory.path.resolve()
        if options.out is not None and options.out.resolve() in (path, *path.parents):
            options.misuse(
                f"--out {options.out} is the directory of the run, or holds it: name another"
            )
    session = Session(
        scenario, directory, _saving(options), options.threads, watch, options.verbose, began
    )
    world, outcome = session.start(parameters)
    return _finish(options, world, outcome, directory)


def _shortcuts(options: argparse.Namespace, scenario: Any) -> list[str]:
    """What the short options set, as --set would."""
    found = []
    for value, name in ((options.days, "run.days"), (options.seed, "run.seed")):
        if value is not None:
            found.append(f"{name}={value}")
    if options.agents is not None:
        owners = [s for s, cls in scenario.sections.items()
                  if "agents" in getattr(cls, "__dataclass_fields__", {})]  # fmt: skip
        if not owners:
            options.misuse(f"--agents: the scenario {scenario.name} has no parameter `agents`")
        found.append(f"{owners[0]}.agents={options.agents}")
    if options.source is not None:
        if not scenario.source:
            options.misuse(f"--from: the scenario {scenario.name} begins with nothing from outside")
        found.append(f"{scenario.source}={options.source.resolve()}")  # config.toml may be moved
    return found


def _refuse(options: argparse.Namespace, names: Sequence[str], flag: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            options.misuse(f"--{name.replace('_', '-')} and {flag} contradict each other")


def _refuse_what_is_there(options: argparse.Namespace) -> None:
    from populace.runs.directory import MANIFEST

    path = options.dir
    if path.exists() and not path.is_dir():
        options.misuse(f"--dir {path} is a file: name another directory")
    if path.exists() and any(path.iterdir()):
        go_on = f"go on with `populace resume {path}`, or " * (path / MANIFEST).is_file()
        options.misuse(f"--dir {path} holds something already: {go_on}name another directory")


def _saving(options: argparse.Namespace, before: Mapping[str, Any] | None = None) -> Saving:
    """When to save. before: what holds where no option says otherwise."""
    from populace.runs.session import Saving

    wall = None if options.every_wall is None else options.every_wall / 1e6
    given = {"every": options.every, "every_s": wall}
    if options.every is None and wall is None and before:
        given = {name: before.get(name) for name in given}
    keep = options.keep or (before or {}).get("keep")
    return Saving(given["every"], given["every_s"], keep, key_of(options))


def _watch(options: argparse.Namespace) -> Watch:
    """What makes the watchers that are asked for."""
    from populace.runs.watching import watched_by

    draw = None
    if options.profile:
        from populace.reports.profile import profile_page

        draw = profile_page
    return watched_by(
        memory_limit=options.memory_limit,
        telemetry=options.telemetry,
        prometheus=options.prometheus,
        profile=draw,
    )


def _resume(options: argparse.Namespace) -> int:
    began = perf_counter()
    check_out(options)
    watch = _watch(options)
    from populace.ecs import days
    from populace.runs.directory import CONFIG, RunDirectory
    from populace.runs.headless import days_left
    from populace.runs.itinerary import Itinerary
    from populace.runs.session import Session
    from populace.scenarios.registry import find_scenario
    from populace.storage import Snapshots, load

    directory = RunDirectory(options.directory).open()
    # Before the world, which may hold what a scenario's own file defines.
    scenario = find_scenario(directory.found_as)
    if not Snapshots(directory.snapshots).numbers():
        options.misuse(
            f"{directory.snapshots} holds no snapshot to go on from: the run has not come to its "
            f"first (--every, --every-wall); `populace run {directory.path / CONFIG}` begins it "
            f"anew"
        )
    world = load(directory.snapshots, key=key_of(options), threads=max(options.threads, 2))
    world.threads = options.threads
    if Itinerary not in world.resources:
        options.misuse(
            f"{directory.snapshots} holds the world of another program: go on with it there, by "
            f"populace.load({str(directory.snapshots)!r})"
        )
    way = world.resource(Itinerary)
    if options.days is not None:
        if left := days_left(world):
            options.misuse(f"--days: {left:g} days of the run are left; resume it without first")
        way.end_us = world.clock.now + days(options.days)
        if scenario.prolong is not None:
            scenario.prolong(world, way.end_us)
    saving = _saving(options, directory.manifest.get("saving", {}))
    session = Session(scenario, directory, saving, options.threads, watch, options.verbose, began)
    return _finish(options, world, session.go_on(world), directory)


def _finish(
    options: argparse.Namespace, world: World, outcome: Outcome, directory: RunDirectory | None
) -> int:
    """Write the result and the tables, tell the result, and give the exit code."""
    from populace.runs.directory import RESULT
    from populace.runs.itinerary import Itinerary
    from populace.runs.session import write_result

    from .report import print_run

    # Of a run that was over, what is there says more.
    told = directory is not None and (outcome.ticks or not (directory.path / RESULT).exists())

    def result(tables: Mapping[str, Any]) -> dict[str, Any]:
        facts = {**outcome.facts(), **tables}
        if directory is not None:
            facts["dir"] = str(directory.path)
            if told:
                write_result(directory, facts)
        return facts

    facts = result({})  # before the tables, for which there may be no room
    if options.out is not None:
        begin, way = perf_counter(), world.resource(Itinerary)
        about = {"made_by": "populace run", "scenario": way.scenario, "seed": world.seed,
                 "days": way.days}  # fmt: skip
        tables = write_minds(options, world, about)
        outcome.write_s = perf_counter() - begin
        facts = result(tables)
    profiled = options.profile and outcome.ticks
    tell(options, facts, lambda console: print_run(outcome, directory, console, bool(profiled)))
    return {"interrupted": INTERRUPTED, "stopped": STOPPED}.get(outcome.status, 0)
