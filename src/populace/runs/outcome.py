"""What a run came to: counts, seconds, what an agent remembers, and what the scenario tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from populace.components import Memory, MemoryKind, Persona, Strength
from populace.ecs import World

SECONDS = (
    "sweep_s", "compile_s", "setup_s", "start_up_s", "run_s", "write_s", "longest_pause_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StrongMemory:
    """One remembered thing."""

    strength: float
    kind: str
    created_us: int
    text: str


@dataclass(slots=True)
class Outcome:
    """What a run did. Counts are of memories unless they say otherwise; seconds are wall time.

    status: done, interrupted or stopped; reason: why, if not done. imported: memories that were
    there before the first step. compile_s: of numba in this process. start_up_s: from the beginning
    of the command to the end of the first step. told: what the scenario says of its end.
    """

    scenario: str = ""
    status: str = "done"
    reason: str = ""
    ticks: int = 0
    agents: int = 0
    imported: int = 0
    formed: int = 0
    forgotten_by: dict[str, int] = field(default_factory=dict)
    archived: int = 0
    kept: int = 0
    kept_by_day: list[int] = field(default_factory=list)
    ties: int = 0
    rows_swept: int = 0
    sweep_s: float = 0.0
    compile_s: float = 0.0
    setup_s: float = 0.0
    start_up_s: float = 0.0
    run_s: float = 0.0
    write_s: float = 0.0
    snapshots: int = 0
    longest_pause_s: float = 0.0
    peak_bytes: int = 0
    told: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    relieved: list[dict[str, Any]] = field(default_factory=list)
    strongest_of: str = ""
    strongest: list[StrongMemory] = field(default_factory=list)

    @property
    def forgotten(self) -> int:
        """Memories that left the world, for whatever reason."""
        return sum(self.forgotten_by.values())

    @property
    def rows_per_s(self) -> float:
        """Rows of memory swept in a second of sweeping."""
        return self.rows_swept / self.sweep_s if self.sweep_s else 0.0

    @property
    def ticks_per_s(self) -> float:
        """Steps in a second of running."""
        return self.ticks / self.run_s if self.run_s else 0.0

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        found = {"forgotten": self.forgotten, **asdict(self)}
        found["rows_per_s"] = round(self.rows_per_s)
        found["ticks_per_s"] = round(self.ticks_per_s, 3)
        for name in SECONDS:
            found[name] = round(found[name], 4)
        return found


def json_value(value: Any) -> Any:
    """What somebody tells, as JSON has it: of numpy plain values, and null for no finite number.

    >>> json_value({"catch": np.int64(3), "odds": float("nan"), 5: (1, 2)})
    {'catch': 3, 'odds': None, '5': [1, 2]}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, int | str) else str(value)


def strongest_memories(world: World, n: int = 5) -> tuple[str, list[StrongMemory]]:
    """The first agent's name and the n strongest things it remembers, each text once."""
    people = world.query(Persona)
    if not people.count():
        return "", []
    first = int(np.argmin(people.gather(Persona.number)))
    name = world.text.decode(people.gather(Persona.name)[[first]])[0]
    ids = world.index(Memory.owner).ids(people.ids()[first])
    strength = world.get(ids, Strength.value)
    order = np.lexsort((world.get(ids, Memory.sequence), -strength))
    texts = world.text.decode(world.get(ids, Memory.text)[order])
    kinds = world.get(ids, Memory.kind)[order]  # type: ignore[arg-type]  # the field
    created = world.get(ids, Memory.created)[order]
    found: dict[str, StrongMemory] = {}
    for row, text in enumerate(texts):
        if text not in found and len(found) < n:
            found[text] = StrongMemory(
                strength=float(strength[order[row]]),
                kind=MemoryKind(int(kinds[row])).name.lower(),
                created_us=int(created[row]),
                text=text,
            )
    return name, list(found.values())
