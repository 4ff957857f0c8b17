"""Compiling ahead: the kernels of a first run, in processes beside it.

numba compiles one function at a time, whatever the threads. So a run whose kernels are not on disk
yet has helpers: other processes that compile what `kernels.txt` lists, from its end, while the run
compiles what it calls, from the beginning. Each finds on disk what another has done.

Invariants: a helper fills the cache and does nothing else. A run without one, or whose helpers
fail, compiles all itself; a kernel that is missing in the list, or changed since, costs time only.
Cost: 2 ms to see that nothing is missing. A first run of a town on two cores takes 16 s with a
helper in place of 26.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from populace.ecs.compiled import kernels_are_shared
from populace.ecs.jit import on_disk

LIST = Path(__file__).with_name("kernels.txt")
FEW = 10
"""Kernels so few that a run has compiled them before a helper has started."""


class Listed(NamedTuple):
    """A kernel, and the types of the arguments that it is called with."""

    module: str
    name: str
    types: str

    def find(self) -> Any:
        """The kernel. Imports its module."""
        return getattr(import_module(self.module), self.name)


def listed(text: str) -> list[Listed]:
    """The kernels of a list: a line for each, its fields apart by tabs; # begins a comment."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [Listed(*line.split("\t")) for line in lines]


@contextmanager
def compiling_ahead(n_helpers: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Within, so many processes compile what is not on disk, of modules that are imported."""
    missing = [
        kernel
        for kernel in listed(LIST.read_text())
        if kernel.module in sys.modules and not on_disk(kernel.find())
    ]
    helpers: list[subprocess.Popen[str]] = []
    try:
        if len(missing) > FEW and kernels_are_shared():
            for first in range(n_helpers):
                share = missing[::-1][first::n_helpers]
                with contextlib.suppress(OSError):  # no processes here: the run does without
                    helpers.append(_helper(share))
        yield helpers
    finally:
        for helper in helpers:
            helper.terminate()
            helper.wait()


def _helper(share: list[Listed]) -> subprocess.Popen[str]:
    """A process that compiles these kernels."""
    helper = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert helper.stdin is not None
    with contextlib.suppress(BrokenPipeError), helper.stdin:
        helper.stdin.write("".join("\t".join(kernel) + "\n" for kernel in share))
    return helper


def compile_listed(text: str) -> None:
    """Compile the kernels of a list, but those that are on disk by then."""
    from numba.core import types

    known = {**vars(types), "bool": types.boolean}
    for listing in listed(text):
        kernel = listing.find()
        if not on_disk(kernel):
            kernel.compile(eval(listing.types, known))


if __name__ == "__main__":
    compile_listed(sys.stdin.read())
