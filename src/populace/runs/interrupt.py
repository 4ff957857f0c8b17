"""Ctrl-C, politely: the first one asks a run to end after its step, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether somebody has asked for an end."""

    def __init__(self) -> None:
        self.asked = ""

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal has come."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name


@contextmanager
def polite() -> Iterator[Interrupt]:
    """Within, SIGINT and SIGTERM ask; outside the main thread, where none arrive, nobody does."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {
        number: signal.signal(number, interrupt.handle)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
