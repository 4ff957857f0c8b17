"""The command line: `populace run` and `populace import` of ville, personas and contacts.

Results go to stdout (`--json` for scripts), progress and errors to stderr. Exit codes: 0 done,
1 the machine failed (disk, memory), 2 misuse or a source that cannot be imported, 130 interrupted.
Nothing heavy is imported before the arguments are known to be right, so `--help` is quick.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from populace.ecs import World

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
"""
VILLE_EXAMPLES = """examples:
  populace import ville saved/July1_the_ville --out minds
      minds/agents.parquet and minds/memories.parquet
  populace import ville ville --json
"""
PERSONAS_EXAMPLES = """examples:
  populace import personas gss_personas.jsonl --out people
"""
CONTACTS_EXAMPLES = """examples:
  populace import contacts sms.csv --out friends
      friends/agents.parquet and friends/ties.parquet, what the messages left of each tie
  populace import contacts calls.csv --columns weight=duration --half-life 30d --json
  populace import contacts CollegeMsg.txt --columns source,target,time
"""
EXAMPLES = """examples:
  populace run --agents 1000
  populace import ville saved/July1_the_ville --out minds
  populace import personas gss_personas.jsonl
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Misuse raises SystemExit(2), as argparse does."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("populace: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; stdout must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        print(f"populace: out of memory: {error}; ask for less", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"populace: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        from populace.ecs.errors import SourceFileError

        if not isinstance(error, SourceFileError):
            raise
        print(f"populace: {error}", file=sys.stderr)
        return 2
    return 0


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
    _check_out(options)
    from . import run
    from .minds import read_minds
    from .report import print_run, run_facts

    settings = run.RunSettings(
        agents=n_agents,
        memories=options.memories,
        days=options.days,
        seed=options.seed,
        threads=options.threads,
        minds=None if options.source is None else read_minds(options.source),
    )
    compile_s = run.warm_up()
    begin = perf_counter()
    world = run.build_society(settings)
    setup_s = perf_counter() - begin
    with _progress(options.days) as on_day:
        report = run.live(world, on_day=on_day)
    report.compile_s, report.setup_s = compile_s, setup_s
    about = {
        "made_by": "populace run",
        "seed": settings.seed,
        "agents": settings.agents,
        "memories_per_agent": settings.memories,
        "days": settings.days,
        "from": None if options.source is None else options.source.name,
    }
    begin = perf_counter()
    tables = _write(options, world, about)
    report.write_s = perf_counter() - begin if tables else 0.0
    _tell(options, {**run_facts(report), **tables}, lambda console: print_run(report, console))


def _import_ville(options: argparse.Namespace) -> None:
    _check_out(options)
    from .report import print_ville, ville_facts
    from .ville import load_ville

    world = _empty_world()
    found = load_ville(world, options.source)
    tables = _sweep_and_write(options, world, "populace import ville")
    _tell(options, {**ville_facts(found), **tables}, lambda console: print_ville(found, console))


def _import_personas(options: argparse.Namespace) -> None:
    _check_out(options)
    from .personas import load_personas
    from .report import personas_facts, print_personas

    world = _empty_world()
    found = load_personas(world, options.source)
    tables = _sweep_and_write(options, world, "populace import personas")
    _tell(
        options, {**personas_facts(found), **tables}, lambda console: print_personas(found, console)
    )


def _import_contacts(options: argparse.Namespace) -> None:
    _check_out(options)
    from populace.ecs.errors import QueryError

    from .contacts import export_ties, live_through, read_contacts
    from .report import contacts_facts, print_contacts

    try:
        log = read_contacts(options.source, columns=options.columns, time_unit=options.time_unit)
    except QueryError as error:
        options.misuse(str(error))
    world = _empty_world()
    live_through(world, log, half_life_us=options.half_life, step=options.step)
    tables: dict[str, Any] = {}
    if options.out is not None:
        about = {
            "made_by": "populace import contacts",
            "from": options.source.name,
            "half_life_s": options.half_life / 1e6,
        }
        rows = export_ties(world, options.out, about=about, force=options.force)
        tables = {"out": str(options.out), "tables": rows}
    facts = contacts_facts(world, log)
    _tell(options, {**facts, **tables}, lambda console: print_contacts(facts, console))


def _empty_world() -> World:
    from populace.ecs import World
    from populace.systems import Retention

    world = World(seed=0)
    world.insert(Retention())
    return world


def _sweep_and_write(options: argparse.Namespace, world: World, made_by: str) -> dict[str, Any]:
    if options.out is None:
        return {}
    from populace.systems import refresh_strength

    world.add_system(refresh_strength)
    world.step(0)
    return _write(options, world, {"made_by": made_by, "from": options.source.name})


def _check_out(options: argparse.Namespace) -> None:
    """Refuse a target before any work is done for it."""
    if options.force and options.out is None:
        options.misuse("--force is about --out, and there is no --out")
    if options.out is not None and options.out.exists():
        from populace.storage import check_target

        check_target(options.out, force=options.force)


def _write(options: argparse.Namespace, world: World, about: dict[str, Any]) -> dict[str, Any]:
    """Write the tables where --out says; say which, for the result."""
    if options.out is None:
        return {}
    from .minds import export_minds

    rows = export_minds(world, options.out, about=about, force=options.force)
    return {"out": str(options.out), "tables": rows}


def _tell(
    options: argparse.Namespace, facts: dict[str, Any], show: Callable[[Console], None]
) -> None:
    """The result, on stdout."""
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console()
    show(console)
    for name, rows in facts.get("tables", {}).items():
        path = options.out / f"{name}.parquet"
        console.print(f"{path}: {rows:,} rows", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _progress(n_days: float) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr that counts days; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("day 0", total=n_days)

        def on_day(day: int, n_memories: int) -> None:
            said = f"day {day}: {n_memories:,} memories"
            progress.update(task, completed=min(day, n_days), description=said)

        yield on_day


def _whole(low: int, high: int) -> Callable[[str], int]:
    """The reader of a whole number from low to high."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low} to {high}, got {text!r}"
            )
        return number

    return read


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not isfinite(number) or not 0.001 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"must be a number from 0.001 to 100000, got {text!r}")
    return number


_SPAN_US = {
    "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000,
}  # fmt: skip


def _span(text: str) -> int:
    """A span of time such as 90s, 30m, 1h or 14d, in µs."""
    try:
        us = round(float(text[:-1]) * _SPAN_US[text[-1:]])
    except (ValueError, KeyError, OverflowError):
        us = 0
    if not 1_000_000 <= us <= 10**15:
        raise argparse.ArgumentTypeError(
            f"must be a span of time from 1s to 11574d, as 90s, 30m, 1h or 14d, got {text!r}"
        )
    return us


def _columns(text: str) -> dict[str, str | int] | list[str]:
    """Roles in the order of the columns, or role=column pairs."""
    if "=" not in text:
        return text.split(",")
    found: dict[str, str | int] = {}
    for part in text.split(","):
        role, _, column = part.partition("=")
        if not role or not column or role in found:
            raise argparse.ArgumentTypeError(
                f"must be roles in order, as source,target,time, or pairs, as time=when,source=0, "
                f"got {text!r}"
            )
        found[role] = int(column) if column.isdecimal() else column
    return found


class _Version(argparse.Action):
    """`--version`, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__

        print(f"populace {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _command(
        argparse.ArgumentParser,
        EXAMPLES,
        prog="populace",
        description="Societies of agents that remember, and forget.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = _command(
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
        "--agents", type=_whole(0, 100_000_000), metavar="N",
        help=f"agents to generate (default {DEFAULT_AGENTS}; with --from 0: they join the others)",
    )  # fmt: skip
    run.add_argument(
        "--memories", type=_whole(0, 2**31 - 1), default=100, metavar="M",
        help="memories that each agent forms over the days (default 100)",
    )  # fmt: skip
    run.add_argument(
        "--days", type=_days, default=30.0, metavar="D", help="simulated days (default 30)"
    )
    run.add_argument(
        "--seed", type=_whole(0, 2**63 - 1), default=1, metavar="S", help="random seed (default 1)"
    )
    run.add_argument(
        "--threads", type=_whole(1, 1024), default=1, metavar="T", help="threads (default 1)"
    )
    _shared(run, _run)

    importing = _command(
        commands.add_parser,
        VILLE_EXAMPLES
        + PERSONAS_EXAMPLES.partition("\n")[2]
        + CONTACTS_EXAMPLES.partition("\n")[2],
        "import",
        help="read minds that others have saved, or a log of contacts",
        description="Read minds that others have saved, or a log of contacts, and say how many "
        "there are. A damaged file is named, with the record, and nothing is imported.",
    ).add_subparsers(title="sources", required=True, metavar="SOURCE")
    ville = _command(
        importing.add_parser,
        VILLE_EXAMPLES,
        "ville",
        help="memory streams of Generative Agents",
        description="Read the memory streams of a saved simulation of Generative Agents: a folder "
        "with a folder per persona (nodes.json, scratch.json), or with a 'personas' folder as that "
        "project saves it.",
    )
    ville.add_argument("source", type=Path, metavar="DIR", help="the folder")
    _shared(ville, _import_ville)
    personas = _command(
        importing.add_parser,
        PERSONAS_EXAMPLES,
        "personas",
        help="a bank of personas in JSON lines",
        description="Read a bank of personas: one JSON object per line with name, age, address and "
        "answers to the General Social Survey.",
    )
    personas.add_argument("source", type=Path, metavar="FILE", help="the file")
    _shared(personas, _import_personas)
    contacts = _command(
        importing.add_parser,
        CONTACTS_EXAMPLES,
        "contacts",
        help="a log of messages, calls or meetings in CSV",
        description="Read a CSV log of contacts (time, source, target and, where there is one, "
        "weight; with a header or without) and live through it: every contact strengthens the "
        "tie of who turned to whom, and between contacts ties decay. What comes out does not "
        "depend on --step.",
    )
    contacts.add_argument("source", type=Path, metavar="FILE", help="the file")
    contacts.add_argument(
        "--columns", type=_columns, metavar="COLUMNS",
        help="which column is which, if the header does not tell: roles in the order of the "
        "columns (source,target,time; nothing between commas for one to pass over), or pairs of "
        "role and header or place from 0 (time=when,weight=3)",
    )  # fmt: skip
    contacts.add_argument(
        "--time-unit", choices=("us", "ms", "s", "min", "h", "d"), default="s",
        help="of times that are numbers (default s)",
    )  # fmt: skip
    contacts.add_argument(
        "--half-life", type=_span, default="14d", metavar="SPAN",
        help="in which a tie's weight halves without contact (default 14d)",
    )  # fmt: skip
    contacts.add_argument(
        "--step", type=_span, default="1h", metavar="SPAN", help="of the clock (default 1h)"
    )
    _shared(contacts, _import_contacts)
    return parser


def _command(make: Callable[..., Any], examples: str, *names: str, **options: Any) -> Any:
    return make(
        *names,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )


def _shared(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], None]) -> None:
    """What every command takes."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="write Parquet tables into DIR")
    parser.add_argument(
        "--force", action="store_true", help="write into DIR though it holds something else"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(command=command, misuse=parser.error)
