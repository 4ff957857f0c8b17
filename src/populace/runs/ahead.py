"""Compiling ahead: the kernels of a first run, in processes beside it.

numba compiles one function at a time, whatever the threads. So a run on several threads whose
kernels are not on disk yet has helpers: other processes that compile what `kernels.txt` lists, from
its end, while the run compiles what it calls, from the beginning. Each finds on disk what another
has done. $POPULACE_HELPERS says how many there may be, 0 for none.

Invariants: a helper fills the cache and does nothing else. A run without one, or whose helpers
fail, compiles all itself; a kernel that is missing in the list, or changed since, costs time only.
Cost: docs/performance.md, cold start.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from populace.cores import n_cores
from populace.ecs.compiled import kernels_are_shared
from populace.ecs.jit import on_disk

from .collecting import rare_collections

LIST = Path(__file__).with_name("kernels.txt")
MOST = "POPULACE_HELPERS"
SHARE = 10
"""Kernels for each helper at least: it takes as long to start as to compile some of them."""
PATIENCE_S = 5.0


class Kernel(NamedTuple):
    """A function of a module, and the types of the arguments that it is called with."""

    module: str
    name: str
    types: str

    def find(self) -> Any:
        """The function, None if there is none. Imports its module."""
        return getattr(import_module(self.module), self.name, None)


def read_list() -> list[Kernel]:
    """A line for each, its fields apart by tabs; # begins a comment."""
    lines = (line for line in LIST.read_text().splitlines() if not line.startswith("#"))
    return [Kernel(*line.split("\t")) for line in lines]


@contextmanager
def compiling_ahead(threads: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Within, helpers compile what is not on disk, of modules that are imported.

    threads: of the run, which compiles on one of them; so a helper for each other one, as far as
    there are cores.
    """
    missing = [
        number
        for number, kernel in enumerate(read_list())
        if kernel.module in sys.modules and not on_disk(kernel.find())
    ]
    n_helpers = min(threads - 1, _most(), len(missing) // SHARE) if kernels_are_shared() else 0
    helpers: list[subprocess.Popen[bytes]] = []
    try:
        for first in range(n_helpers):
            with contextlib.suppress(OSError):  # no processes here: the run does without
                helpers.append(_helper(missing[::-1][first::n_helpers]))
        yield helpers
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            try:
                helper.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()


def _most() -> int:
    """Of helpers, by the environment, else by the cores."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return 0  # there is no Python to start
    given = os.environ.get(MOST, "")
    return int(given) if given.isdecimal() else n_cores() - 1


def _helper(numbers: Sequence[int]) -> subprocess.Popen[bytes]:
    """A process that compiles the kernels of these numbers, and has no helper itself."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, *map(str, numbers)],
        env={**os.environ, MOST: "0"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def compile_listed(numbers: Sequence[int]) -> None:
    """Compile the kernels of these numbers that are not on disk; end with the process that asked
    for it."""
    from numba.core import types

    known, kernels, parent = {**vars(types), "bool": types.boolean}, read_list(), os.getppid()
    with rare_collections():
        for number in numbers:
            if os.getppid() != parent:
                return
            with contextlib.suppress(Exception):  # the run that calls it will tell
                kernels[number].find().compile(eval(kernels[number].types, known))


if __name__ == "__main__":
    compile_listed([int(number) for number in sys.argv[1:]])
