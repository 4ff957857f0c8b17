"""Metrics: counts and means of a society, told every hour to whoever listens.

    world.keep(Metric)                       # or world.events(Metric)
    world.add_systems(measure, measure_counts)

Measured are, of what the world has: `agents`, `memories`, `reflections`, `ties`, `knowledge`
(counts), `memory_strength`, `tie_strength`, `confidence` (means, by now), and what systems have
counted so far (`Telemetry.counts`), such as `forgotten, weak`.

Invariant: a mean is of caches that are swept just before, whatever budget the world has, so metrics
are a function of the state and the time. Cost: reads 4 bytes a memory, tie and piece of knowledge,
0.1 ms per 1M; nothing where nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from populace.components import Confidence, Memory, Persona, Reflection, Strength, TieStrength
from populace.components.metric import Metric
from populace.ecs import Clock, Emit, Read, Res, Rows, World, f8, hours, i8, jit, system

FINE = 2.0**32


@jit
def fine_sum(value_n: Any) -> Any:
    """The sum of values in [0, 1], each in whole parts of FINE: the same in any order. O(n)."""
    total = i8(0)
    for row in range(value_n.size):
        total += i8(f8(value_n[row]) * FINE)
    return total


def anybody_listens(world: World) -> bool:
    """Whether somebody reads `Metric`, or the world keeps it."""
    return world.event_queues.queue(Metric).has_readers


@system(phase="last", every=hours(1), run_if=anybody_listens)
def measure(
    agents: Rows[Read[Persona]],
    memories: Rows[Read[Memory], Read[Strength]],
    reflections: Rows[Read[Reflection]],
    ties: Rows[Read[TieStrength]],
    knowledge: Rows[Read[Confidence]],
    clock: Res[Clock],
    emit: Emit[Metric],
) -> None:
    """Tell how many there are of each, and how strong they are on average.

    What the world has none of is left out.
    """
    found: dict[str, Any] = {
        "agents": agents,
        "memories": memories,
        "reflections": reflections,
        "ties": ties,
        "knowledge": knowledge,
    }
    n = {name: query.count() for name, query in found.items()}
    told = {name: float(count) for name, count in n.items() if count}
    for name, of, columns in (
        ("memory_strength", "memories", (strength.value for _, strength in found["memories"])),
        ("tie_strength", "ties", (strength.value for strength in found["ties"])),
        ("confidence", "knowledge", (confidence.value for confidence in found["knowledge"])),
    ):
        if n[of]:
            told[name] = sum(int(fine_sum(column)) for column in columns) / FINE / n[of]
    _tell(told, clock.now, emit)


@system(phase="last", every=hours(1), run_if=anybody_listens)
def measure_counts(world: World) -> None:
    """Tell what systems have counted so far."""
    _tell(world.telemetry.counts, world.clock.now, world.emit)


def _tell(told: Mapping[str, float], now: int, emit: Callable[[Any], object]) -> None:
    if told:
        emit(Metric(time=now, name=list(told), value=list(told.values())))
