"""`populace run` and `populace resume`: a scenario, headless, with snapshots of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .options import (
    add_key,
    add_shared,
    check_out,
    key_of,
    make_command,
    number_of_days,
    progress_of_days,
    span,
    tell,
    whole,
    write_minds,
)

if TYPE_CHECKING:
    from populace.ecs import World
    from populace.storage import Checkpointer

    from .run import RunReport

MOST_MEMORIES = 2**32 - 2
DEFAULT_AGENTS = 10_000

RUN_EXAMPLES = """examples:
  populace run
      10,000 agents live 30 days and form 1,000,000 memories
  populace run --agents 1000 --days 365 --out year
      a year of a village, kept as year/agents.parquet and year/memories.parquet
  populace run --from year --days 7 --out another-week
      the same village goes on living
  populace run --from ville --memories 0 --days 7 --json
      what three imported agents still remember a week later
  populace run --agents 1000 --checkpoint town --every 1d --keep 3
      a snapshot after each day, of which the newest full ones are kept
"""
RESUME_EXAMPLES = """examples:
  populace resume town
      goes on where the newest snapshot in town was made, as if nothing had come between
  populace resume town --out tables
  populace resume town --days 7
      a run that is over lives for another week
"""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    run = make_command(
        commands.add_parser,
        RUN_EXAMPLES,
        "run",
        help="let agents live, form memories and forget",
        description="Let agents live for some days in steps of an hour, form memories, and forget "
        "by the law: strength halves every 3 days without access, and what falls below 0.05 goes "
        "after a day of grace. The same options give the same tables.",
    )
    run.add_argument(
        "--from", dest="source", type=Path, metavar="PATH",
        help="begin with these minds: memory streams, personas, or tables that populace wrote",
    )  # fmt: skip
    run.add_argument(
        "--agents", type=whole(0, 100_000_000), metavar="N",
        help=f"agents to generate (default {DEFAULT_AGENTS}; with --from 0: they join the others)",
    )  # fmt: skip
    run.add_argument(
        "--memories", type=whole(0, 2**31 - 1), default=100, metavar="M",
        help="memories that each agent forms over the days (default 100)",
    )  # fmt: skip
    run.add_argument(
        "--days", type=number_of_days, default=30.0, metavar="D", help="simulated days (default 30)"
    )
    run.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=1, metavar="S", help="random seed (default 1)"
    )
    run.add_argument(
        "--threads", type=whole(1, 1024), default=1, metavar="T", help="threads (default 1)"
    )
    add_shared(run, _run)
    run.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="save snapshots into DIR while it runs"
    )
    _add_checkpoints(run)
    resume = make_command(
        commands.add_parser,
        RESUME_EXAMPLES,
        "resume",
        help="go on with a run from its newest snapshot",
        description="Load the newest good snapshot that `populace run --checkpoint DIR` saved, "
        "live on to the end of its days, and save snapshots there as before. What comes out is "
        "what the run would have come to without a break, to the bit.",
    )
    resume.add_argument("directory", type=Path, metavar="DIR", help="the directory of snapshots")
    resume.add_argument(
        "--days", type=number_of_days, metavar="D",
        help="live on for so many days, if the run is over",
    )  # fmt: skip
    resume.add_argument(
        "--memories", type=whole(0, 2**31 - 1), metavar="M",
        help="memories that each agent forms over these days (default: as many a day as before)",
    )  # fmt: skip
    resume.add_argument(
        "--threads", type=whole(1, 1024), default=1, metavar="T", help="threads (default 1)"
    )
    _add_checkpoints(resume)
    add_shared(resume, _resume)


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every", type=span, metavar="SPAN",
        help="of simulated time between snapshots, as 6h or 7d (default 1d)",
    )  # fmt: skip
    parser.add_argument(
        "--every-wall", type=span, metavar="SPAN", help="of wall time between snapshots, as 10m"
    )
    parser.add_argument(
        "--keep", type=whole(1, 10**6), metavar="N",
        help="keep the newest N full snapshots and their deltas (default: all)",
    )  # fmt: skip
    add_key(parser)


def _run(options: argparse.Namespace) -> None:
    n_agents = options.agents
    if n_agents is None:
        n_agents = DEFAULT_AGENTS if options.source is None else 0
    elif n_agents == 0 and options.source is None:
        options.misuse("--agents 0 leaves nobody to live: give at least 1, or --from")
    if n_agents * options.memories > MOST_MEMORIES:
        options.misuse(
            f"--agents {n_agents} times --memories {options.memories} is more than a world holds, "
            f"{MOST_MEMORIES:,} entities"
        )
    if options.checkpoint is None:
        for name in ("every", "every_wall", "keep", "key_file"):
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                options.misuse(f"--{flag} is about --checkpoint, and there is no --checkpoint")
    else:
        _refuse_other_snapshots(options)
    check_out(options)
    from populace.components import Metric

    from . import run
    from .minds import read_minds

    settings = run.RunSettings(
        agents=n_agents,
        memories=options.memories,
        days=options.days,
        seed=options.seed,
        threads=options.threads,
        minds=None if options.source is None else read_minds(options.source),
        source="" if options.source is None else options.source.name,
    )
    compile_s = run.warm_up()
    begin = perf_counter()
    world = run.build_society(settings)
    if options.checkpoint is not None:
        world.keep(Metric)
    setup_s = perf_counter() - begin
    report = _live(options, world, options.checkpoint)
    report.compile_s, report.setup_s = compile_s, setup_s
    _finish(options, world, report)


def _refuse_other_snapshots(options: argparse.Namespace) -> None:
    from populace.storage import Snapshots

    if Snapshots(options.checkpoint).numbers():
        options.misuse(
            f"--checkpoint {options.checkpoint} holds snapshots already: go on with `populace "
            f"resume {options.checkpoint}`, or name another directory"
        )


def _resume(options: argparse.Namespace) -> None:
    check_out(options)
    from populace.storage import load

    from . import run

    if options.memories is not None and options.days is None:
        options.misuse("--memories is about --days, and there is no --days")
    begin = perf_counter()
    world = load(options.directory, key=key_of(options), threads=max(options.threads, 2))
    world.threads = options.threads
    if run.Scenario not in world.resources:
        options.misuse(
            f"{options.directory} holds the world of another program: go on with it there, by "
            f"populace.load({str(options.directory)!r})"
        )
    if options.days is not None:
        left = run.days_left(world)
        if left:
            options.misuse(f"--days: {left:g} days of the run are left; resume it without first")
        run.live_longer(world, options.days, options.memories)
    run.add_systems(world)
    setup_s = perf_counter() - begin
    report = _live(options, world, options.directory)
    report.setup_s = setup_s
    _finish(options, world, report)


def _live(options: argparse.Namespace, world: World, directory: Path | None) -> RunReport:
    from . import run

    with (
        _checkpoints(options, world, directory) as checkpointer,
        progress_of_days(run.days_left(world)) as on_day,
    ):
        report = run.live(world, on_day=on_day)
        if checkpointer is not None:
            checkpointer.finish()
            report.snapshots = len(checkpointer.saved)
            report.longest_pause_s = max(saved.pause_s for saved in checkpointer.saved)
    return report


@contextmanager
def _checkpoints(
    options: argparse.Namespace, world: World, directory: Path | None
) -> Iterator[Checkpointer | None]:
    from populace.ecs import days
    from populace.storage import Checkpointer

    from . import run

    if directory is None or not run.days_left(world):
        yield None  # nothing will happen that is not saved
        return

    wall = options.every_wall
    simulated = options.every if wall is None or options.every is not None else None
    with Checkpointer(
        world,
        directory,
        every=simulated or (None if wall else days(1)),
        every_s=None if wall is None else wall / 1e6,
        keep=options.keep,
        key=key_of(options),
    ) as checkpointer:
        yield checkpointer


def _finish(options: argparse.Namespace, world: World, report: RunReport) -> None:
    from .report import print_run, run_facts
    from .run import Scenario

    begin = perf_counter()
    tables = write_minds(options, world, world.resource(Scenario).facts)
    report.write_s = perf_counter() - begin if tables else 0.0
    tell(options, {**run_facts(report), **tables}, lambda console: print_run(report, console))
