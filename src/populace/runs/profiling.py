"""Where the time of a run goes: by system, by what it moves, and by Python function within it.

    profile = Profile(world, directory, draw)      # a watcher, made before the first step

Invariants: it changes nothing of the world. Times of systems are those of `world.telemetry`, in
steps in which the system ran. Bytes are of the columns that a system declares, once for each row
that it visits; those that a row kernel writes count twice, since what its loop stores is fetched
first. A system that takes the whole World declares none. Functions are sampled (`sampling`).
Cost: 50 µs a step of a town, between the steps, and the sampler's.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.ecs import World
from populace.ecs.component import schema
from populace.ecs.kernel import KernelSystem
from populace.ecs.schedule import Entry

from .itinerary import Itinerary
from .sampling import Sampler
from .tick import Tick

if TYPE_CHECKING:
    from .directory import RunDirectory

LOG = logging.getLogger("populace.run")
JSON, PAGE = "profile.json", "profile.html"
SHOWN = 0.005  # functions below this share of their system are left out
COPIED_BYTES = 64 * 2**20

Draw = Callable[["Profiled"], str]
"""What makes the page of a profile."""


@dataclass(slots=True)
class SystemProfile:
    """What a system took. share: of all steps. p50_ms, p99_ms: of a step in which it ran; the p99
    of few steps is their longest. rows: visited, over all calls. bytes_a_step: None where it
    declares no columns; gb_s and of_memcpy: at which rate it moved them, and what share of a copy's
    rate that is."""

    name: str
    share: float
    seconds: float
    p50_ms: float
    p99_ms: float
    calls: int
    rows: int
    bytes_a_step: int | None = None
    gb_s: float | None = None
    of_memcpy: float | None = None


@dataclass(slots=True)
class Profiled:
    """A profile. step_s: wall time of all steps. memcpy_gb_s: bytes that a copy reads and writes in
    a second, just after the run. functions: a tree for each system that was seen by the sampler."""

    scenario: str
    steps: int
    step_s: float
    memcpy_gb_s: float
    systems: list[SystemProfile]
    functions: list[dict[str, Any]]

    @property
    def between(self) -> float:
        """The share of all steps that no system took: commands, events, and the schedule."""
        return max(0.0, 1 - sum(one.share for one in self.systems))

    def table(self) -> str:
        """For a terminal: systems, most time first."""
        lines = [
            f"{'system':<24}{'share':>7}{'s':>9}{'p50 ms':>9}{'p99 ms':>9}{'calls':>8}"
            f"{'rows a call':>13}{'MB a step':>11}{'GB/s':>7}{'of memcpy':>11}"
        ]
        for one in self.systems:
            moved = " " * 29
            if one.bytes_a_step is not None and one.gb_s is not None:
                moved = f"{one.bytes_a_step / 1e6:>11,.2f}{one.gb_s:>7.1f}{one.of_memcpy:>11.0%}"
            rows = f"{one.rows // one.calls:,}" if one.rows else ""
            lines.append(
                f"{one.name[:24]:<24}{one.share:>7.1%}{one.seconds:>9.3f}{one.p50_ms:>9.3f}"
                f"{one.p99_ms:>9.3f}{one.calls:>8,}{rows:>13}{moved}".rstrip()
            )
        lines.append(
            f"{'between systems':<24}{self.between:>7.1%}{self.between * self.step_s:>9.3f}"
        )
        lines.append(
            f"{self.steps:,} steps in {self.step_s:.3f} s; memcpy moves {self.memcpy_gb_s:.1f} GB/s"
        )
        return "\n".join(lines)

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(slots=True)
class _Seen:
    """What a system has done so far, by the telemetry, and since the profile began: `called`,
    `visited` (rows), `moved` (bytes), and the ns of each step in which it ran."""

    entry: Entry
    ns: int
    calls: int
    rows: int
    called: int = 0
    visited: int = 0
    moved: float = 0.0
    step_ns: list[int] = field(default_factory=list)
    a_row: dict[int, int] = field(default_factory=dict)

    def bytes_a_row(self) -> float:
        """Of the columns that it declares, over all rows that match now."""
        rows = total = 0
        for query in self.entry.bound.queries:
            for table in query.tables():
                width = self.a_row.get(table.number)
                if width is None:
                    width = self.a_row[table.number] = declared_bytes(self.entry, table)
                rows += table.n
                total += table.n * width
        return total / rows if rows else 0.0


class Profile:
    """The watcher that profiles a run.

    directory: where profile.json and profile.html go; None prints the table to stderr. draw: makes
    the page.
    """

    def __init__(self, world: World, directory: RunDirectory | None, draw: Draw) -> None:
        self.world, self.directory, self.draw = world, directory, draw
        self.steps, self.step_s = 0, 0.0
        self.profiled: Profiled | None = None
        stats = world.telemetry.of
        self._seen = {
            name: _Seen(entry, stats(name).ns, stats(name).calls, stats(name).rows)
            for name, entry in world.schedule.entries.items()
        }
        self._sampler = Sampler(world)
        self._sampler.start()

    def __call__(self, tick: Tick) -> None:
        """A step is over."""
        self.steps += 1
        self.step_s += tick.row["wall_s"]
        for name, seen in self._seen.items():
            stats = tick.world.telemetry.of(name)
            if stats.calls == seen.calls:
                continue
            seen.step_ns.append(stats.ns - seen.ns)
            seen.called += stats.calls - seen.calls
            seen.visited += stats.rows - seen.rows
            seen.moved += (stats.rows - seen.rows) * seen.bytes_a_row()
            seen.ns, seen.calls, seen.rows = stats.ns, stats.calls, stats.rows

    def close(self) -> None:
        """The run is over: say where its time went."""
        self._sampler.stop()
        if not self.steps or self.profiled is not None:
            return
        found = self.profiled = self._add_up()
        if self.directory is None:
            print(found.table(), file=sys.stderr)
            return
        self.directory.write(JSON, found.to_json())
        self.directory.write(PAGE, self.draw(found))
        LOG.info("profile:\n%s", found.table())

    def _add_up(self) -> Profiled:
        copy_gb_s = memcpy_gb_s()
        systems = [
            _told_of(name, seen, self.step_s, copy_gb_s)
            for name, seen in self._seen.items()
            if seen.step_ns
        ]
        systems.sort(key=lambda one: -one.seconds)
        trees = (self._sampler.functions.get(one.name) for one in systems)
        return Profiled(
            scenario=self.world.resource(Itinerary).scenario,
            steps=self.steps,
            step_s=self.step_s,
            memcpy_gb_s=copy_gb_s,
            systems=systems,
            functions=[tree.tree(SHOWN) for tree in trees if tree is not None],
        )


def declared_bytes(entry: Entry, table: Any) -> int:
    """Bytes a row of the columns in a table that a system says it reads or writes."""
    place, widths = table.archetype.place, table.raw[:, 1]
    system = entry.system
    if isinstance(system, KernelSystem):
        of = {p.name: p.of for p in system.parameters}
        named = [c for c in system.rows.columns if c.field]
        keys = [getattr(of[c.parameter], c.field) for c in named]
        return sum(
            int(widths[place[key]]) * (2 if column.writes else 1)
            for key, column in zip(keys, named, strict=True)
        )
    parts = [inner for p in system.parameters for inner in (p.parts if p.role == "rows" else (p,))]
    roles = ("read", "write", "optional_read", "optional_write")
    taken = {part.of for part in parts if getattr(part, "role", "") in roles}
    keys = [getattr(cls, f.name) for cls in taken for f in schema(cls).fields]
    return sum(int(widths[place[key]]) for key in keys if key in place)


def memcpy_gb_s() -> float:
    """Bytes that a copy of an array reads and writes in a second, in 10^9; the best of three."""
    source = np.zeros(COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    taken = []
    for _ in range(4):  # the first one meets pages that are not there yet
        begin = perf_counter()
        np.copyto(target, source)
        taken.append(perf_counter() - begin)
    return 2 * COPIED_BYTES / min(taken[1:]) / 1e9


def _told_of(name: str, seen: _Seen, step_s: float, copy_gb_s: float) -> SystemProfile:
    ns = np.array(seen.step_ns)
    seconds = float(ns.sum()) / 1e9
    p50, p99 = np.quantile(ns, (0.5, 0.99), method="higher") / 1e6
    made = SystemProfile(
        name=name,
        share=seconds / step_s if step_s else 0.0,
        seconds=seconds,
        p50_ms=float(p50),
        p99_ms=float(p99),
        calls=seen.called,
        rows=seen.visited,
    )
    if seen.moved:
        made.bytes_a_step = round(seen.moved / len(ns))
        made.gb_s = seen.moved / max(seconds, 1e-9) / 1e9
        made.of_memcpy = made.gb_s / copy_gb_s
    return made
