"""The scenario `town`: a step of it beside a copy of all that it holds, and whole runs of it.

A whole run is a process of its own, `populace run town`, as a user starts it. Its figures are told
by the clock on the wall; the bound is the same command for two people and one step: what any run
pays for starting.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from populace import hours
from populace.runs import make_world

from .harness import Contest, Run, case, seconds

AREA = "town"

AGENTS = 10_000
WARM_HOURS = 34  # until ten in the morning of the second day: awake, at work, with a past


@case("step", sizes=(AGENTS, 100_000), unit="agent", bytes_each=60_000)
def town_step(n: int) -> Contest:
    """An hour of n people by day, everything included; bound: one copy of all their columns."""
    world = make_world("town", {"town.agents": n})
    world.run(hours(WARM_HOURS), step=hours(1))

    def daytime() -> None:
        """At eight in the evening on to the next morning at eight."""
        if world.clock.now // hours(1) % 24 >= 20:
            world.run(hours(12), step=hours(1))

    copies: dict[tuple[int, int], np.ndarray] = {}

    def copy() -> None:
        for table in world.store.tables:
            for place, buffer in enumerate(table.buffers):
                key, column = (table.number, place), buffer[: table.n]
                if key not in copies or len(copies[key]) < table.n:
                    copies[key] = np.empty_like(buffer)
                np.copyto(copies[key][: table.n], column)

    return Contest({"step": Run(lambda: world.step(hours(1)), daytime)}, Run(copy))


def command(*options: str) -> Run:
    """`populace run town` with these options, in a process of its own."""

    def call() -> None:
        subprocess.run(
            [sys.executable, "-P", "-m", "populace", "run", "town", "--no-dir", "--json", *options],
            env=os.environ, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    return Run(call)


START = command("--agents", "2", "--days", "0.04")
ONCE = {"unit": "agent", "rounds": 1, "elsewhere": True, "cold": True}


@case("run", target=seconds(3), sizes=(AGENTS,), unit="agent", rounds=3, elsewhere=True)
def town_start(n: int) -> Contest:
    """From the command to the end of the first step, kernels compiled before."""
    return Contest({"run": command("--agents", str(n), "--days", "0.04")}, START)


@case("run", target=seconds(60), sizes=(AGENTS,), **ONCE)
def town_month(n: int) -> Contest:
    """30 days of n people in steps of an hour."""
    return Contest({"run": command("--agents", str(n), "--days", "30")}, START)


@case("run", target=seconds(600), sizes=(1_000_000,), bytes_each=16_000, **ONCE)
def town_day(n: int) -> Contest:
    """One day of n people in steps of an hour."""
    return Contest({"run": command("--agents", str(n), "--days", "1")}, START)
