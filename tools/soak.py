"""Endurance: a town lives for a simulated year, and its memory and its pace are judged by month.

    make soak                              # 10,000 people, 365 days: some 15 minutes
    python -P tools/soak.py --run DIR      # judge a run that is there

Resident memory is to stay within 5 % of that of the second month, and the median time of a step on
the processor, which a neighbour takes little of, within 10 %. Exit code 1 where it does not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from populace.cli import main as populace

MONTH, FEWEST = 30 * 24, 3  # steps of a month, months that can be compared
MEMORY, PACE = 0.05, 0.10


def judge(metrics: Path) -> bool:
    """Print a line for each month of hourly steps; return whether all stays as it was."""
    table = pq.read_table(metrics, columns=["rss_bytes", "cpu_s", "memories", "ties"])
    columns = {name: np.array(table[name]) for name in table.column_names}
    months = [
        {name: float(np.median(column[begin : begin + MONTH])) for name, column in columns.items()}
        for begin in range(0, len(table) - MONTH + 1, MONTH)
    ]
    if len(months) < FEWEST:
        print("there is nothing to compare: give it three months or more", file=sys.stderr)
        return False
    flat = True
    print("month   resident MiB      of month 2   ms a step   of month 2    memories        ties")
    for number, month in enumerate(months, 1):
        memory, pace = (month[name] / months[1][name] - 1 for name in ("rss_bytes", "cpu_s"))
        over = number > 2 and (abs(memory) > MEMORY or pace > PACE)
        flat &= not over
        print(
            f"{number:5}   {month['rss_bytes'] / 2**20:12,.0f} {memory:15.1%} "
            f"{1e3 * month['cpu_s']:11.1f} {pace:12.1%} {month['memories']:11,.0f} "
            f"{month['ties']:11,.0f}{'   over' if over else ''}"
        )
    return flat


def main() -> int:
    """Run what was asked for, and judge it."""
    parser = argparse.ArgumentParser(description="Let a town live for a year, and judge it.")
    parser.add_argument("--run", type=Path, help="the directory of a run that is there")
    parser.add_argument("--dir", type=Path, default=Path("runs/soak"), help="of the run to make")
    parser.add_argument("--agents", default="10000")
    parser.add_argument("--days", type=int, default=365)
    asked = parser.parse_args()
    if asked.run is None:
        if asked.days * 24 < FEWEST * MONTH:
            parser.error(f"--days {asked.days}: there is something to compare from 90 days on")
        if (asked.dir / "manifest.json").exists():
            parser.error(
                f"{asked.dir} holds a run already: judge it by --run {asked.dir}, or delete it"
            )
        options = ("--agents", asked.agents, "--days", str(asked.days), "--dir", str(asked.dir))
        if code := populace(["run", "town", *options]):
            return code
    return 0 if judge((asked.run or asked.dir) / "metrics.parquet") else 1


if __name__ == "__main__":
    sys.exit(main())
