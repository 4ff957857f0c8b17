"""`populace import` of ville, personas and contacts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import add_shared, check_out, make_command, span, tell, write_minds

if TYPE_CHECKING:
    from populace.ecs import World

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


def add(commands: Any) -> None:
    """Add the command to the parser."""
    importing = make_command(
        commands.add_parser,
        VILLE_EXAMPLES
        + PERSONAS_EXAMPLES.partition("\n")[2]
        + CONTACTS_EXAMPLES.partition("\n")[2],
        "import",
        help="read minds that others have saved, or a log of contacts",
        description="Read minds that others have saved, or a log of contacts, and say how many "
        "there are. A damaged file is named, with the record, and nothing is imported.",
    ).add_subparsers(title="sources", required=True, metavar="SOURCE")
    ville = make_command(
        importing.add_parser,
        VILLE_EXAMPLES,
        "ville",
        help="memory streams of Generative Agents",
        description="Read the memory streams of a saved simulation of Generative Agents: a folder "
        "with a folder per persona (nodes.json, scratch.json), or with a 'personas' folder as that "
        "project saves it.",
    )
    ville.add_argument("source", type=Path, metavar="DIR", help="the folder")
    add_shared(ville, _import_ville)
    personas = make_command(
        importing.add_parser,
        PERSONAS_EXAMPLES,
        "personas",
        help="a bank of personas in JSON lines",
        description="Read a bank of personas: one JSON object per line with name, age, address and "
        "answers to the General Social Survey.",
    )
    personas.add_argument("source", type=Path, metavar="FILE", help="the file")
    add_shared(personas, _import_personas)
    contacts = make_command(
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
        "--half-life", type=span, default="14d", metavar="SPAN",
        help="in which a tie's weight halves without contact (default 14d)",
    )  # fmt: skip
    contacts.add_argument(
        "--step", type=span, default="1h", metavar="SPAN", help="of the clock (default 1h)"
    )
    add_shared(contacts, _import_contacts)


def _import_ville(options: argparse.Namespace) -> None:
    check_out(options)
    from .report import print_ville, ville_facts
    from .ville import load_ville

    world = _empty_world()
    found = load_ville(world, options.source)
    tables = _sweep_and_write(options, world, "populace import ville")
    tell(options, {**ville_facts(found), **tables}, lambda console: print_ville(found, console))


def _import_personas(options: argparse.Namespace) -> None:
    check_out(options)
    from .personas import load_personas
    from .report import personas_facts, print_personas

    world = _empty_world()
    found = load_personas(world, options.source)
    tables = _sweep_and_write(options, world, "populace import personas")
    tell(
        options, {**personas_facts(found), **tables}, lambda console: print_personas(found, console)
    )


def _import_contacts(options: argparse.Namespace) -> None:
    check_out(options)
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
    tell(options, {**facts, **tables}, lambda console: print_contacts(facts, console))


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
    return write_minds(options, world, {"made_by": made_by, "from": options.source.name})


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
