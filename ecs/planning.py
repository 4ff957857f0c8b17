"""What a question did: the way that it took, the candidates after each stage, and the time.

    print(recall(world, ann, "tea", explain=True).plan)

It is of looking, and of real time: nothing of a world depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, the candidates that were left after it, and the wall time it took."""

    name: str
    candidates: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What was done, in order.

    path: the way that was taken, as "owner slice" or "cache". details: what else decided, such as
    the probes of an inverted file. To be read: `print(plan)`.
    """

    path: str
    stages: tuple[Stage, ...]
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Of all stages together."""
        return sum(stage.seconds for stage in self.stages)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.details.items())
        lines = [f"{self.path}, {self.seconds * 1e6:,.0f} µs" + (f" ({told})" if told else "")]
        lines += [
            f"  {stage.name:<28}{stage.candidates:>14,}{stage.seconds * 1e6:>12,.0f} µs"
            for stage in self.stages
        ]
        return "\n".join(lines)


class Planner:
    """Notes the stages of one question as they end, if that is wanted. 1 µs each, else 0.1."""

    __slots__ = ("_begin", "_stages", "_wanted", "details")

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self.details: dict[str, object] = {}
        self._stages: list[Stage] = []
        self._begin = perf_counter()

    def done(self, name: str, candidates: Any) -> None:
        """A stage has just ended. candidates: how many, or numbers or truths that add up to it."""
        if self._wanted:
            now = perf_counter()
            self._stages.append(Stage(name, int(np.sum(candidates)), now - self._begin))
            self._begin = perf_counter()

    def plan(self, path: str) -> Plan | None:
        """All of it, if it is wanted."""
        return Plan(path, tuple(self._stages), self.details) if self._wanted else None
