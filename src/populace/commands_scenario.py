"""`populace scenario list | show | validate`: which scenarios there are, and their parameters."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .options import add_parameters, make_command, parameters_for, tell

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """examples:
  populace scenario list
  populace scenario show town > mine.toml
  populace scenario validate mine.toml
"""
LIST_EXAMPLES = """examples:
  populace scenario list
  populace scenario list --json
"""
SHOW_EXAMPLES = """examples:
  populace scenario show town
      every parameter with its meaning, range and unit: a file to begin with
  populace scenario show town --set ties.half_life=7d > mine.toml
  populace scenario show mine.toml --json
      as a JSON schema
"""
VALIDATE_EXAMPLES = """examples:
  populace scenario validate mine.toml
  populace scenario validate harbour.py --set run.days=7
"""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    scenario = make_command(
        commands.add_parser,
        EXAMPLES,
        "scenario",
        help="list scenarios, show and check their parameters",
        description="A scenario is a society to build and the laws that it lives by. Its "
        "parameters come from its defaults, then a TOML file, then the environment "
        "(POPULACE_TIES__HALF_LIFE=7d), then --set; the later count.",
    )
    actions = scenario.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = make_command(
        actions.add_parser,
        LIST_EXAMPLES,
        "list",
        help="list the scenarios that are built in",
        description="List the scenarios that are built in, and what each is about.",
    )
    listing.add_argument("--json", action="store_true", help="print the result as JSON")
    listing.set_defaults(command=_list, misuse=listing.error)
    show = make_command(
        actions.add_parser,
        SHOW_EXAMPLES,
        "show",
        help="print all parameters as TOML",
        description="Print all parameters of a scenario as a TOML file with comments, which "
        "`populace scenario validate` accepts as it stands.",
    )
    _add_scenario(show)
    show.add_argument(
        "--json", action="store_true",
        help="print a JSON schema of such files: types, ranges, units, defaults and meanings",
    )  # fmt: skip
    show.set_defaults(command=_show, misuse=show.error)
    validate = make_command(
        actions.add_parser,
        VALIDATE_EXAMPLES,
        "validate",
        help="check a file of parameters, or a scenario of your own",
        description="Say what would be run, or everything that is wrong. Nothing is run.",
    )
    _add_scenario(validate)
    validate.add_argument("--json", action="store_true", help="print the result as JSON")
    validate.set_defaults(command=_validate, misuse=validate.error)


def _add_scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="a name, a TOML file, or a Python file of your own"
    )
    add_parameters(parser)


def _list(options: argparse.Namespace) -> None:
    from populace.scenarios.registry import names

    found = names()

    def show(console: Console) -> None:
        width = max(map(len, found))
        for name, about in found.items():
            console.print(f"{name:{width}}  {about}", highlight=False, markup=False, soft_wrap=True)

    tell(options, found, show)


def _show(options: argparse.Namespace) -> None:
    parameters = parameters_for(options, options.scenario)
    if options.json:
        print(json.dumps(parameters.to_schema(), indent=2))
    else:
        print(parameters.to_toml(), end="")


def _validate(options: argparse.Namespace) -> None:
    parameters = parameters_for(options, options.scenario)
    run, changed = parameters.run, parameters.changed()
    facts = {
        "scenario": parameters.scenario.name,
        "days": run.days,
        "step": run.step,
        "start": run.start,
        "seed": run.seed,
        "changed": changed,
    }

    def show(console: Console) -> None:
        others = [
            f"{parameter.name} = {parameter.shown(value)}"
            for parameter, value in parameters
            if parameter.name in changed and parameter.section != "run"
        ]
        line = (
            f"{options.scenario}: would run {parameters.scenario.name} for {run.days:g} days from "
            f"{run.start}, in steps of {run.step:g} s, with seed {run.seed}"
        )
        if others:
            line += f"; other than the defaults: {', '.join(others)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    tell(options, facts, show)
