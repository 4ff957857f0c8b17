"""What the commands share: readers of options, the result on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from populace.scenarios.spans import SECONDS_OF, span_in

if TYPE_CHECKING:
    from rich.console import Console

    from populace.ecs import World
    from populace.scenarios.parameters import Parameters
    from populace.storage import Key


def tell(
    options: argparse.Namespace, facts: dict[str, Any], show: Callable[[Console], None]
) -> None:
    """The result, on stdout."""
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    from rich.console import Console

    console = Console()
    show(console)
    if "out" in facts:
        for name, rows in facts["tables"].items():
            path = options.out / f"{name}.parquet"
            console.print(f"{path}: {rows:,} rows", highlight=False, markup=False, soft_wrap=True)


def whole(low: int, high: int) -> Callable[[str], int]:
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


def number_of_days(text: str) -> float:
    """Days, as an option gives them: a number, or a span such as 12h."""
    try:
        number = span_in(text, "d") if text[-1:] in SECONDS_OF else float(text)
    except ValueError:
        number = 0.0
    if not isfinite(number) or not 0.001 <= number <= 100_000:
        raise argparse.ArgumentTypeError(
            f"must be a number from 0.001 to 100000, or a span as 12h or 7d, got {text!r}"
        )
    return number


def span(text: str) -> int:
    """A span of time such as 90s, 30m, 1h or 14d, in µs."""
    try:
        us = round(span_in(text) * 1e6)
    except (ValueError, OverflowError):
        us = 0
    if not 1_000_000 <= us <= 10**15:
        raise argparse.ArgumentTypeError(
            f"must be a span of time from 1s to 11574d, as 90s, 30m, 1h or 14d, got {text!r}"
        )
    return us


def make_command(make: Callable[..., Any], examples: str, *names: str, **options: Any) -> Any:
    """A parser, made by `make`, whose help ends in examples."""
    return make(
        *names,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **options,
    )


def add_shared(
    parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int | None]
) -> None:
    """What every command takes."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="write Parquet tables into DIR")
    parser.add_argument(
        "--force", action="store_true", help="write into DIR though it holds something else"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(command=command, misuse=parser.error)


def check_out(options: argparse.Namespace) -> None:
    """Refuse a target before any work is done for it."""
    if options.force and options.out is None:
        options.misuse("--force is about --out, and there is no --out")
    if options.out is not None and options.out.exists():
        from populace.storage import check_target

        check_target(options.out, force=options.force)


def write_minds(options: argparse.Namespace, world: World, about: dict[str, Any]) -> dict[str, Any]:
    """Write the tables where --out says; say which, for the result."""
    if options.out is None:
        return {}
    from .minds import export_minds

    rows = export_minds(world, options.out, about=about, force=options.force)
    return {"out": str(options.out), "tables": rows}


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """The options that set a scenario's parameters; `parameters_for` reads them."""
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE",
        help="a parameter, as ties.half_life=7d; may be given again for another",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml",
        help="with parameters, as `populace scenario show` prints them",
    )  # fmt: skip


def parameters_for(options: argparse.Namespace, scenario: str) -> Parameters:
    """The parameters of a scenario, by its name or its file, as the options set them.

    A TOML file that stands for the scenario is its --config, too.
    """
    file = options.config
    if scenario.endswith(".toml"):
        if file is not None:
            options.misuse(f"--config is a second file of parameters beside {scenario}: give one")
        file = Path(scenario)
    from populace.scenarios.parameters import read_parameters
    from populace.scenarios.registry import find_scenario

    return read_parameters(find_scenario(scenario), file=file, overrides=options.overrides)


def add_key(parser: argparse.ArgumentParser) -> None:
    """The option that names an encryption key."""
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE",
        help="with a key in hex or base64, for snapshots that are encrypted (or set POPULACE_KEY)",
    )  # fmt: skip


def key_of(options: argparse.Namespace) -> Key | None:
    """The key that --key-file or the environment names, if one does."""
    from populace.storage import Key

    if options.key_file is not None:
        return Key.from_file(options.key_file)
    return Key.from_environment() if os.environ.get("POPULACE_KEY") else None


def find_snapshots(options: argparse.Namespace) -> None:
    """Let `directory` be that of the snapshots, where it names a run's.

    A directory that is to be read must be there; a URI is looked up by who reads it.
    """
    if "://" not in options.directory and not Path(options.directory).is_dir():
        options.misuse(f"DIR: there is no directory {options.directory}")
    from populace.runs.directory import snapshots_in

    options.directory = snapshots_in(options.directory)
