"""`python -m bench`: every case beside its bound, as a table.

python -m bench                                    all cases, up to a million rows
python -m bench --filter iter --sizes 10k,1M       some of them
python -m bench --full --json figures.json         ten million rows too, figures kept
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .harness import (
    HEADINGS,
    SIZES,
    Case,
    available_bytes,
    cells,
    discover,
    machine,
    markdown,
    measure,
    plain,
    record,
    said,
    size_name,
    write_json,
    write_page,
)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 2 if nothing matches."""
    asked = parser().parse_args(arguments)
    cases = [c for c in discover() if any(part in c.name for part in asked.filter or [""])]
    if asked.list:
        for each in cases:
            print(f"{each.name:<24}  {each.about}")
        return 0
    if not cases:
        print(f"no case has {' or '.join(asked.filter)} in its name; see --list", file=sys.stderr)
        return 2
    about = {**machine(), "clock": "processor" if asked.cpu else "wall"}
    print(said(about))
    if (about["load_average"] or 0) > 0.5 and not asked.cpu:
        print("the machine is busy: read the ratios and their quartiles, or count with --cpu")
    if not asked.markdown:
        print(plain(HEADINGS), flush=True)
    lines: list[dict[str, Any]] = []
    for each in cases:
        for size in chosen(each, asked):
            if each.bytes_each * size > available_bytes():
                print(f"{each.name} at {size_name(size)} left out: too little memory", flush=True)
                continue
            figures = measure(each, size, asked.rounds, asked.cpu)
            made = [record(each, subject, f) for subject, f in figures.items()]
            lines += made
            if not asked.markdown:
                for line in made:
                    print(plain(cells(line)), flush=True)
    if asked.markdown:
        print(*markdown(lines), sep="\n")
    if asked.page:
        write_page(asked.page, lines, about)
    if asked.json:
        write_json(asked.json, lines, cases, about)
    return 0


def chosen(case: Case, asked: argparse.Namespace) -> list[int]:
    """The sizes of a case to run."""
    if asked.sizes:
        return [size for size in case.sizes if size in asked.sizes]
    return [size for size in case.sizes if asked.full or size <= SIZES[-1]]


def sizes(text: str) -> list[int]:
    """10k,1M as [10000, 1000000]."""
    scale = {"k": 1_000, "m": 1_000_000}
    parts = [part.strip().lower().replace("_", "") for part in text.split(",")]
    return [int(part.rstrip("km")) * scale.get(part[-1:], 1) for part in parts]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench", description="Time Populace beside C-speed bounds, in one run."
    )
    option = made.add_argument
    option("--filter", action="append", metavar="NAME", help="cases with NAME in their name")
    option("--sizes", type=sizes, metavar="10k,1M", help="only these sizes")
    option("--full", action="store_true", help="ten million rows as well")
    option("--rounds", type=int, metavar="K", help="exactly so many rounds")
    option("--cpu", action="store_true", help="count processor time: for a busy machine")
    option("--json", metavar="FILE", help="write machine and figures there")
    option("--markdown", action="store_true", help="print the table as markdown")
    option("--page", metavar="FILE", help="put the table into this page, between its marks")
    option("--list", action="store_true", help="say what the cases are, run none")
    return made


if __name__ == "__main__":
    sys.exit(main())
