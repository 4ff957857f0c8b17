"""`populace report`: a run as one HTML file to look at."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import add_key, key_of, make_command, tell, whole

REPORT_EXAMPLES = """examples:
  populace report town
      writes town/report.html, which opens anywhere and needs no network
  populace report town --agent 7 --out seven.html
      the same with the life of agent 7
  populace report town --json
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    report = make_command(
        commands.add_parser,
        REPORT_EXAMPLES,
        "report",
        help="draw a run as one HTML file",
        description="Draw what a run has left in its directory as one self-contained HTML file: "
        "memories and how they are forgotten, ties and communities, rumours, moods, one agent's "
        "life, what the run cost and how to make it again. A run that was interrupted, or is still "
        "going on, will do.",
    )
    report.add_argument(
        "directory", type=Path, metavar="RUN", help="the directory that `populace run --dir` wrote"
    )
    report.add_argument(
        "--out", type=Path, metavar="FILE.html", help="the file (default RUN/report.html)"
    )
    report.add_argument(
        "--agent", type=whole(0, 2**32 - 1), metavar="NUMBER",
        help="whose life is told (default: the one with the most ties)",
    )  # fmt: skip
    report.add_argument("--json", action="store_true", help="print the result as JSON")
    add_key(report)
    report.set_defaults(command=_report, misuse=report.error)


def _report(options: argparse.Namespace) -> None:
    if options.out is not None and options.out.is_dir():
        options.misuse(f"--out {options.out} is a directory: name a file in it, as report.html")
    from populace.reports.writing import write_report

    try:
        made = write_report(
            options.directory, options.out, agent=options.agent, key=key_of(options)
        )
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("plotly", "networkx"):
            raise
        options.misuse(str(error))
    facts = {
        "report": str(made.file),
        "bytes": made.bytes,
        "status": made.status,
        "headlines": made.headlines,
        "charts": made.charts,
        "left_out": made.left_out,
    }

    def show(console: Any) -> None:
        told = ", ".join(f"{label.lower()} {value}" for label, value in made.headlines.items())
        for line in (str(made.file), f"{made.status}: {told}"):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    tell(options, facts, show)
