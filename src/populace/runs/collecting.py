"""How often Python looks for garbage in cycles while a society is built and lives.

A step makes and drops tens of thousands of strings and tuples, none of them in a cycle: to look
after each 700 of them is time lost. Counted references free them at once all the same. What numba
makes to compile a kernel lives as long as that takes: looking costs a fifteenth of it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 70_000
"""That are there beyond those of the last look, before the next."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Within, the collector looks after each `OBJECTS` new objects, or as rarely as it did."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], OBJECTS) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
