"""How a run goes on, on stderr: date, steps a second, memories, time left; quiet elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from time import perf_counter
from typing import Any

from populace.dates import date

from .tick import Tick

WINDOW = 20
"""Steps over which the pace is taken."""


class Progress:
    """A bar on a terminal. A watcher."""

    def __init__(self, n_steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar: Any = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("setting out", total=n_steps)
        self._ends: deque[float] = deque([perf_counter()], WINDOW)
        self._bar.start()

    def __call__(self, tick: Tick) -> None:
        """Show where the run has come to."""
        self._ends.append(perf_counter())
        pace = (len(self._ends) - 1) / max(self._ends[-1] - self._ends[0], 1e-9)
        said = (
            f"{date(tick.world.clock.now)}  {pace:,.1f} ticks/s  "
            f"{int(tick.row['memories']):,} memories"
        )
        self._bar.update(self._task, advance=1, description=said)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def progress(n_steps: int) -> list[Progress]:
    """The bar, where stderr is a terminal."""
    return [Progress(n_steps)] if sys.stderr.isatty() and n_steps else []
