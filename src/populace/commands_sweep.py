"""`populace sweep`: a scenario with every combination of some parameters, over several seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cores import n_cores
from .options import add_parameters, make_command, parameters_for, tell, whole

if TYPE_CHECKING:
    from rich.console import Console

    from populace.runs.sweep import Combination, Spread, Sweep, SweepRun
    from populace.scenarios.parameters import Parameters

Shown = Mapping[str, Callable[[Any], str]]

EXAMPLES = """examples:
  populace sweep town --vary ties.half_life=3d,7d,14d --seeds 10
      30 runs; mean and standard deviation over the seeds of all that the scenario tells
  populace sweep town --vary ties.half_life=3d,7d --vary room.capacity=100,300 --seeds 5
      every combination: 20 runs
  populace sweep mine.toml --seeds 20 --set run.days=7 --dir spread
      the same parameters with 20 seeds, kept in spread; again, it goes on where it was
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = make_command(
        commands.add_parser,
        EXAMPLES,
        "sweep",
        help="run a scenario over values of parameters and over seeds",
        description="Run a scenario with every combination of the values and with each seed, each "
        "run on one core, and compare what it tells. A run that fails is a row with its error, and "
        "the exit code is then 1.",
    )
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="a name, a TOML file, or a Python file of your own"
    )
    parser.add_argument(
        "--vary", action="append", default=[], metavar="SECTION.KEY=A,B,C",
        help="values of a parameter, split at every comma; given again, every combination is run",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=whole(1, 100_000), default=1, metavar="N",
        help="runs of each combination, with seeds from run.seed on (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=whole(1, 1024), metavar="N", help="runs at a time (default: one a core)"
    )
    parser.add_argument(
        "--dir", type=Path, dest="directory", metavar="DIR",
        help="keep sweep.parquet (a row a run) and summary.parquet there; runs that are done "
        "there are not done again",
    )  # fmt: skip
    add_parameters(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(command=_sweep, misuse=parser.error)


def _sweep(options: argparse.Namespace) -> int:
    parameters = parameters_for(options, options.scenario)
    vary = _varied(options, parameters)
    from populace.runs.sweep import sweep

    with _progress() as on_run:
        result = sweep(
            parameters,
            vary,
            n_seeds=options.seeds,
            jobs=options.jobs or n_cores(),
            directory=options.directory,
            on_run=on_run,
        )
    shown = {name: _shown_by(name, parameters) for name in vary}
    tell(options, _facts(options, result), lambda console: _show(options, result, shown, console))
    sys.stdout.flush()
    return _end(options, result, shown)


def _shown_by(name: str, parameters: Parameters) -> Callable[[Any], str]:
    """How a value of a parameter is shown: a span as 7d."""
    return next(parameter.shown for parameter, _ in parameters if parameter.name == name)


def _varied(options: argparse.Namespace, parameters: Parameters) -> dict[str, list[Any]]:
    """The values of each parameter that --vary names, each read by itself.

    Whether they go together, and whether there is such a parameter, is for the plan to say.
    """
    known = {parameter.name: parameter for parameter, _ in parameters}
    vary: dict[str, list[Any]] = {}
    for given in options.vary:
        name, equals, values = given.partition("=")
        if not equals or not values:
            options.misuse(f"--vary must be SECTION.KEY=A,B,C, got {given!r}")
        if name in vary:
            options.misuse(f"--vary {name} is given twice: give it all values, as {name}=A,B,C")
        vary[name] = [value.strip() for value in values.split(",")]
        if name in known:
            vary[name] = [known[name].read(value, f"--vary {given}: ") for value in vary[name]]
        if len(set(vary[name])) < len(vary[name]):
            options.misuse(f"--vary {given}: the same value stands there twice")
    return vary


def _end(options: argparse.Namespace, result: Sweep, shown: Shown) -> int:
    """Say what is missing; the exit code for it."""
    for run in result.failed:
        print(f"populace: {_named(run, shown)} failed: {run.error}", file=sys.stderr)
    if result.interrupted:
        kept = f"kept in {options.directory}; " if options.directory is not None else ""
        again = (
            "the same command goes on with the others"
            if options.directory is not None
            else "with --dir they would have been kept"
        )
        print(
            f"populace: interrupted: {result.n_done} of {len(result.runs)} runs are done, "
            f"{kept}{again}",
            file=sys.stderr,
        )
        return 130
    return 1 if result.failed else 0


def _named(run: SweepRun, shown: Shown) -> str:
    values = ", ".join(f"{name}={shown[name](value)}" for name, value in run.varied.items())
    return f"the run with {values + ', ' if values else ''}seed {run.seed}"


def _facts(options: argparse.Namespace, result: Sweep) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        "scenario": result.scenario,
        "runs": len(result.runs),
        "done": result.n_done,
        "resumed": result.resumed,
        "interrupted": result.interrupted,
        "dir": None if options.directory is None else str(options.directory),
        "combinations": [
            {
                "parameters": dict(row.varied),
                "n": row.n,
                "failed": row.failed,
                "told": {
                    name: {"mean": spread.mean, "sd": spread.sd, "n": spread.n}
                    for name, spread in row.spreads.items()
                },
            }
            for row in result.summary()
        ],
        "errors": [
            {"parameters": dict(run.varied), "seed": run.seed, "error": run.error}
            for run in result.failed
        ],
    }


@contextmanager
def _progress() -> Iterator[Callable[[SweepRun, int, int], None] | None]:
    """A bar on stderr that counts runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("runs", total=None)

        def on_run(run: SweepRun, n_ended: int, n_runs: int) -> None:
            progress.update(task, completed=n_ended, total=n_runs)

        yield on_run


# -- the table -----------------------------------------------------------------------------------


def _show(options: argparse.Namespace, result: Sweep, shown: Shown, console: Console) -> None:
    """Mean ± standard deviation of each number that is not always 0.

    As many tables as the width asks for.
    """
    rows = result.summary()
    varied = list(rows[0].varied)
    head = [[shown[name](row.varied[name]) for name in varied] + [_counted(row)] for row in rows]
    told = {name for run in result.runs for name, value in run.numbers.items() if value}
    numbers = [
        name for name in dict.fromkeys(n for row in rows for n in row.spreads) if name in told
    ]
    cells = {name: [_spread(row.spreads.get(name)) for row in rows] for name in numbers}
    for names in _fitting(console.width, [*varied, "n"], head, cells):
        _print_table(console, [*varied, "n"], head, {name: cells[name] for name in names})
    if options.directory is not None:
        from populace.runs.sweep import RUNS, SUMMARY

        for file, n in ((RUNS, len(result.runs)), (SUMMARY, len(rows))):
            console.print(
                f"{options.directory / file}: {n:,} rows", highlight=False, markup=False,
                soft_wrap=True,
            )  # fmt: skip


def _fitting(
    width: int, varied: Sequence[str], head: Sequence[Sequence[str]], cells: dict[str, list[str]]
) -> Iterator[list[str]]:
    """The numbers, in groups that fit beside the parameters; at least one in each."""
    columns = zip(*head, strict=True)
    left = sum(_width(name, column) for name, column in zip(varied, columns, strict=True))
    names: list[str] = []
    taken = left
    for name, column in cells.items():
        needed = _width(name, column)
        if names and taken + needed > width:
            yield names
            names, taken = [], left
        names.append(name)
        taken += needed
    yield names


def _width(name: str, column: Sequence[str]) -> int:
    return max(len(name), *map(len, column)) + 3


def _print_table(
    console: Console, varied: Sequence[str], head: Sequence[Sequence[str]], cells: dict[str, Any]
) -> None:
    from rich.table import Table

    table = Table(header_style="bold")
    for name in (*varied, *cells):
        table.add_column(name, justify="right", no_wrap=True)
    for place, values in enumerate(head):
        table.add_row(*values, *(column[place] for column in cells.values()))
    console.print(table, markup=False)


def _counted(row: Combination) -> str:
    return f"{row.n} ({row.failed} failed)" if row.failed else str(row.n)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    mean = _short(spread.mean)
    return mean if spread.sd is None else f"{mean} ± {_short(spread.sd)}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.4g}"
