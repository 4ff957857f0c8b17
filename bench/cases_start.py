"""Starting: what a new process pays before its first step is done. Whole processes are timed.

Bytecode is there already, as an installed package has it; machine code only where a case says so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from functools import cache
from pathlib import Path

from .harness import Contest, Run, Target, case, seconds

AREA = "start"

BARE = """
import numpy as np
from numba import njit

@njit(cache=True)
def move(x, speed):
    for i in range(x.size):
        x[i] += speed[i]

x, speed = np.zeros(1000, np.float32), np.ones(1000, np.float32)
move(x, speed)
assert x[0] == 1
"""
STEP = """
from populace import Read, World, Write, component, f4, kernel, seconds

@component
class Place:
    x: f4 = 0

@component
class Speed:
    x: f4 = 1

@kernel
def move(place: Write[Place], speed: Read[Speed]):
    place.x += speed.x

world = World()
world.spawn(1000, Place, Speed)
world.add_system(move)
world.step(seconds(1))
assert world.query(Place).gather(Place.x)[0] == 1
"""


RUN = """
from populace.cli import main
import sys, os

sys.stdout = open(os.devnull, "w")
words = "run town --agents 60 --days 4 --every 1d --set texts.least=1 --set texts.share=0 --json"
assert main(words.split()) == 0
"""
IMPORTS = """
import populace.scenarios.town, populace.runs.session, numba.core.types
from populace.runs.ahead import compile_listed, read_list

numbers = range(len(read_list()))
"""
LOAD = (
    IMPORTS
    + """
compile_listed(numbers)
"""
)


@cache
def bytecode() -> Path:
    """Where all programs keep their bytecode until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="populace-bench-bytecode-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Program:
    """A script that is run in a process of its own, with caches of compiled code of its own."""

    def __init__(self, script: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="populace-bench-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.file = self.folder / "script.py"
        self.file.write_text(script)
        self.caches = self.folder / "caches"
        given = {"NUMBA_CACHE_DIR": "numba", "POPULACE_CACHE_DIR": "populace"}
        caches = {name: str(self.caches / folder) for name, folder in given.items()}
        self.environment = {**os.environ, **caches, "PYTHONPYCACHEPREFIX": str(bytecode())}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def forget(self) -> None:
        """Empty the caches of machine code."""
        shutil.rmtree(self.caches, ignore_errors=True)

    def run(self) -> None:
        """Start it and wait; raises if it failed."""
        subprocess.run(
            [sys.executable, "-P", str(self.file)], env=self.environment, check=True,
            cwd=self.folder,
        )  # fmt: skip


ONCE = {"sizes": (1,), "unit": "process", "rounds": 3, "elsewhere": True}


@case("populace", target=seconds(0.3), **ONCE)
def start_import(n: int) -> Contest:
    """From the start of a process until it has imported populace; bound: numpy and numba. Neither
    takes down what it has imported, which is no part of it."""
    ours, theirs = (
        Program(f"import os, {names}; os._exit(0)") for names in ("populace", "numpy, numba")
    )
    return Contest({"populace": Run(ours.run)}, Run(theirs.run), ours.run)


@case("populace", **ONCE)
def start_step_cold(n: int) -> Contest:
    """A process that spawns 1,000 entities and steps one row kernel, nothing of it compiled before;
    bound: one that calls one njit function on bare arrays, not compiled before."""
    ours, theirs = Program(STEP), Program(BARE)
    return Contest(
        {"populace": Run(ours.run, ours.forget)}, Run(theirs.run, theirs.forget), ours.run
    )


@case("populace", **ONCE)
def start_step_cached(n: int) -> Contest:
    """The same once it was compiled and cached; bound: the same, cached."""
    ours, theirs = Program(STEP), Program(BARE)
    return Contest({"populace": Run(ours.run)}, Run(theirs.run), ours.run)


@case("run", target=seconds(20), sizes=(1,), unit="process", rounds=1, elsewhere=True, cold=True)
def start_run_cold(n: int) -> Contest:
    """`populace run town` for 60 people and four days, nothing of it compiled before: it calls all
    kernels of the main job; bound: the same once they were compiled and cached."""
    first, later = Program(RUN), Program(RUN)
    return Contest({"run": Run(first.run, first.forget)}, Run(later.run), later.run)


@case("run", target=Target("<= +1 s", lambda f: f.subject_ns[1] - f.bound_ns[1] <= 1e9), **ONCE)
def start_run_cached(n: int) -> Contest:
    """All kernels of the main job, loaded from the cache; bound: a process that imports what they
    are in."""
    ours, theirs = Program(LOAD), Program(IMPORTS)
    return Contest({"run": Run(ours.run)}, Run(theirs.run), ours.run)
