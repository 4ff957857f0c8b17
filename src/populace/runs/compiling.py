"""How long numba compiles, by its own account: what is loaded from its cache counts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Compiling:
    """Seconds spent so far."""

    seconds: float = 0.0


@contextmanager
def compiling() -> Iterator[Compiling]:
    """Within, what numba compiles on this thread is timed; nested compilations count once."""
    from numba.core import event

    spent = Compiling()
    listener = event.TimingListener()
    with event.install_listener("numba:compile", listener):
        try:
            yield spent
        finally:
            spent.seconds = listener.duration if listener.done else 0.0
