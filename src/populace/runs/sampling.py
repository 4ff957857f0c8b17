"""In which Python functions the systems of a world spend their time, by samples.

    sampler = Sampler(world)
    sampler.start()
    ...
    sampler.stop()
    sampler.functions["reflect"].tree()

A thread of its own looks every 2 ms at what all others are doing; what they do outside of
systems is left out. Meanwhile the interpreter hands over within 0.5 ms instead of 5: a sample is
that late at most in Python code, and not at all in compiled code, which lets go of the interpreter.
A call into numpy that does not is seen at its end, in the function that made it.
Invariant: it changes nothing of the world. Cost: 5 % of a town's steps, whatever they do; memory
for each function once for each way to it. (pyinstrument and cProfile, which are told of every call,
take 40 and 50 %, and shift shares towards small functions.)
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from time import perf_counter
from types import CodeType, FrameType, FunctionType
from typing import Any

from populace.ecs import World

INTERVAL_S = 0.002
HAND_OVER_S = 0.0005
MARK = "<system>"  # the file of the frame that names a system
DEEPEST = 60  # functions in each other that are told apart


@dataclass(slots=True)
class Function:
    """Time in a function, and in what it called. calls: by the number of their code."""

    name: str
    code: CodeType | None = None
    seconds: float = 0.0
    calls: dict[int, Function] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Folder, file and line; "" for a system."""
        if self.code is None:
            return ""
        folder, file = ("", *PurePath(self.code.co_filename).parts)[-2:]
        return f"{folder}/{file}:{self.code.co_firstlineno}"

    def tree(self, least: float = 0.0) -> dict[str, Any]:
        """As JSON values, most time first, without what took less than a share of it."""
        return self._tree(least * self.seconds)

    def _tree(self, least_s: float) -> dict[str, Any]:
        called = sorted(self.calls.values(), key=lambda one: -one.seconds)
        return {
            "name": self.name,
            "where": self.where,
            "seconds": round(self.seconds, 6),
            "calls": [one._tree(least_s) for one in called if one.seconds >= least_s],
        }


class Sampler:
    """Samples the systems that a world has now. functions: by system."""

    def __init__(self, world: World) -> None:
        self.functions: dict[str, Function] = {}
        self._bound = {name: entry.bound for name, entry in world.schedule.entries.items()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="populace-sampler", daemon=True)
        self._hand_over_s = sys.getswitchinterval()

    def start(self) -> None:
        """Begin."""
        for name, bound in self._bound.items():
            vars(bound)["run"] = _under_name(name, bound.run)
        sys.setswitchinterval(HAND_OVER_S)
        self._thread.start()

    def stop(self) -> None:
        """End; no other sampler may have begun meanwhile. A second time does nothing."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        sys.setswitchinterval(self._hand_over_s)
        for bound in self._bound.values():
            vars(bound).pop("run", None)

    def _look(self) -> None:
        own, last = threading.get_ident(), perf_counter()
        while not self._over.wait(INTERVAL_S):
            now = perf_counter()
            for thread, frame in sys._current_frames().items():
                if thread != own:
                    self._add(frame, now - last)
            last = now

    def _add(self, frame: FrameType | None, seconds: float) -> None:
        """Count a stack from the system's own frame on, if there is one."""
        stack: list[CodeType] = []
        while frame is not None and frame.f_code.co_filename != MARK:
            stack.append(frame.f_code)
            frame = frame.f_back
        if frame is None:
            return
        name = frame.f_code.co_name
        at = self.functions.setdefault(name, Function(name))
        at.seconds += seconds
        for code in stack[: -DEEPEST - 1 : -1]:
            called = at.calls.get(id(code))
            if called is None:
                called = at.calls[id(code)] = Function(code.co_qualname, code)
            called.seconds += seconds
            at = called


def _under_name(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """The same, called through a frame of that name: so a stack says in which system it is."""

    def call(sink: Any = None) -> Any:
        return run(sink)

    code = call.__code__.replace(co_name=name, co_qualname=name, co_filename=MARK)
    return FunctionType(code, call.__globals__, name, call.__defaults__, call.__closure__)
