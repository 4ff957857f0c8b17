"""`populace sql` and `populace export`: a run asked, and handed on as tidy tables."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import add_key, find_snapshots, key_of, make_command, tell, whole

if TYPE_CHECKING:
    from populace.storage.results import Result

    from .ask import Askable

SQL_EXAMPLES = """examples:
  populace sql town
      the views with their columns, and the ready questions
  populace sql town "SELECT kind, count(*) AS n FROM memories GROUP BY kind"
  populace sql town "SELECT text FROM memories WHERE agent_name = $name" --param name="Ann Lee"
  populace sql town --history "SELECT time, count(*) FROM memories GROUP BY time ORDER BY time"
  populace sql town --preset top-memories --arg agent=7 --format csv
"""
EXPORT_EXAMPLES = """examples:
  populace export town --to tables
      tables/agents.parquet and others, with tables/README.md saying what each column is
  populace export town --to recent --since 2023-02-20 --tables memories,ties --format csv
  populace export town --to tables --graphml ties.graphml
      the ties as a graph, too, for networkx, igraph, Gephi
"""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    sql = make_command(
        commands.add_parser,
        SQL_EXAMPLES,
        "sql",
        help="ask a run in SQL",
        description="Ask the newest good snapshot in DIR, or with --history all of them, in SQL "
        "(the dialect of DuckDB). Nothing can be changed, and no file be read or written, by a "
        "query. Without one, the views and the ready questions are listed.",
    )
    sql.add_argument("directory", metavar="DIR", help="a directory of snapshots, or a URI")
    sql.add_argument("query", nargs="?", metavar="QUERY", help="one SELECT")
    sql.add_argument("--preset", metavar="NAME", help="a ready question instead of a query")
    sql.add_argument(
        "--arg", action="append", default=[], metavar="NAME=VALUE", help="argument of the preset"
    )
    sql.add_argument(
        "--param", action="append", default=[], metavar="[NAME=]VALUE",
        help="value for $NAME in the query, or for the next ?; JSON where it is a number, true, "
        "false or null, else text",
    )  # fmt: skip
    sql.add_argument(
        "--history", action="store_true",
        help="ask all snapshots: the views then have tick and time",
    )  # fmt: skip
    sql.add_argument(
        "--format", choices=("table", "csv", "json"), default="table",
        help="of the result (default table)",
    )  # fmt: skip
    sql.add_argument(
        "--rows", type=whole(1, 10**9), default=100, metavar="N",
        help="of a table that are shown (default 100; csv and json have all)",
    )  # fmt: skip
    _add_snapshot(sql, _sql)

    export = make_command(
        commands.add_parser,
        EXPORT_EXAMPLES,
        "export",
        help="write tidy tables for pandas, polars, DuckDB, R, Spark",
        description="Write the newest good snapshot in DIR as tidy tables, one file each or, where "
        "they are large, one folder, with a dictionary of all columns.",
    )
    export.add_argument("directory", metavar="DIR", help="a directory of snapshots, or a URI")
    export.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="the directory to write"
    )
    export.add_argument(
        "--format", choices=("parquet", "csv", "arrow"), default="parquet",
        help="of the tables (default parquet)",
    )  # fmt: skip
    export.add_argument(
        "--since", type=_moment, metavar="TIME",
        help="only what is as new as this simulated time, as 2023-02-20 or 2023-02-20T12:00",
    )  # fmt: skip
    export.add_argument(
        "--tables", type=lambda text: text.split(","), metavar="A,B", help="only these tables"
    )
    export.add_argument(
        "--monthly", action="store_true", help="folders by month for what has a time"
    )
    export.add_argument(
        "--no-names", action="store_true", help="numbers only, without the names beside them"
    )
    export.add_argument(
        "--graphml", type=Path, metavar="FILE", help="write the ties as a graph, too"
    )
    export.add_argument("--force", action="store_true", help="replace an earlier export")
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    _add_snapshot(export, _export)


def _add_snapshot(parser: argparse.ArgumentParser, command: Any) -> None:
    parser.add_argument(
        "--number", type=whole(1, 10**10), metavar="N", help="snapshot N instead of the newest"
    )
    add_key(parser)
    parser.set_defaults(command=command, misuse=parser.error)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a date or a time, as 2023-02-20 or 2023-02-20T12:00, got {text!r}"
        ) from None


# -- sql -----------------------------------------------------------------------------------------


def _sql(options: argparse.Namespace) -> None:
    find_snapshots(options)
    if options.query is not None and options.preset is not None:
        options.misuse("give a QUERY or a --preset, not both")
    if options.arg and options.preset is None:
        options.misuse("--arg is about --preset, and there is no --preset")
    if options.param and options.query is None:
        options.misuse("--param is about a QUERY, and there is none")
    if options.history and options.number is not None:
        options.misuse("--history is about all snapshots: leave --number out")
    params = _params(options)
    arguments = dict(_pair(options, text) for text in options.arg)
    from populace.storage import Snapshots

    from .ask import sql
    from .questions import ask_preset

    snapshots = Snapshots(options.directory, key=key_of(options))
    source: Askable = (
        snapshots if options.history else snapshots.open(options.number, unknown="make")
    )
    if options.preset is not None:
        _show(options, ask_preset(source, options.preset, arguments))
    elif options.query is not None:
        _show(options, sql(source, options.query, params))
    else:
        _list(options, source)


def _params(options: argparse.Namespace) -> Any:
    """Values by name, or in order."""
    named = [text for text in options.param if _is_named(text)]
    if named and len(named) < len(options.param):
        options.misuse("--param: give all values a NAME=, or none")
    if named:
        return {name: _value(text) for name, text in (_pair(options, text) for text in named)}
    return [_value(text) for text in options.param] or None


def _is_named(text: str) -> bool:
    return "=" in text and text.partition("=")[0].isidentifier()


def _pair(options: argparse.Namespace, text: str) -> tuple[str, str]:
    if not _is_named(text):
        options.misuse(f"must be NAME=VALUE, got {text!r}")
    name, _, value = text.partition("=")
    return name, value


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, str | list | dict) else value


def _show(options: argparse.Namespace, result: Result) -> None:
    if options.format == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(result.arrow(), sys.stdout.buffer)
    elif options.format == "json":
        print(json.dumps(result.rows(), indent=2, default=_as_text))
    else:
        from rich.console import Console

        from .report import print_rows

        print_rows(result, Console(), options.rows)


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _list(options: argparse.Namespace, source: Askable) -> None:
    """What can be asked."""
    from rich.console import Console

    from .ask import asking
    from .questions import PRESETS
    from .report import print_views

    with asking(source) as database:
        views = database.views
    if options.format == "json":
        presets = {
            name: {"about": found.about, "arguments": {p.name: p.doc for p in found.parameters}}
            for name, found in PRESETS.items()
        }
        print(json.dumps({"views": views, "presets": presets}, indent=2))
    else:
        print_views(views, PRESETS, Console())


# -- export --------------------------------------------------------------------------------------


def _export(options: argparse.Namespace) -> None:
    find_snapshots(options)
    from populace.storage import Snapshots
    from populace.storage.export import check_export, export_tables
    from populace.storage.graph import write_graphml

    from .ask import derive
    from .catalogue import TIE_GRAPH, catalogue

    check_export(options.to, force=options.force)
    snapshots = Snapshots(options.directory, key=key_of(options))
    image = derive(snapshots.open(options.number, unknown="make").image(lazy=False))
    tables = catalogue(image)
    unknown = [name for name in options.tables or () if name not in tables]
    if unknown:
        options.misuse(f"--tables: there is no {unknown[0]!r}; there are {', '.join(tables)}")
    rows = export_tables(
        image,
        options.to,
        [tables[name] for name in options.tables or tables],
        format=options.format,
        since=options.since,
        names=not options.no_names,
        monthly=options.monthly,
        force=options.force,
    )
    facts: dict[str, Any] = {"to": str(options.to), "tables": rows}
    if options.graphml is not None:
        n_nodes, n_edges = write_graphml(image, TIE_GRAPH, options.graphml, force=options.force)
        facts["graphml"] = {"file": str(options.graphml), "nodes": n_nodes, "edges": n_edges}

    def show(console: Any) -> None:
        for name, n_rows in rows.items():
            console.print(f"{options.to}: {name}, {n_rows:,} rows", highlight=False, markup=False)
        if options.graphml is not None:
            told = f"{options.graphml}: {n_nodes:,} nodes, {n_edges:,} edges"
            console.print(told, highlight=False, markup=False)

    tell(options, facts, show)
