"""Logs of contacts: who turned to whom, and when, read from a CSV file and lived through again.

A log has one contact a row, in columns time, source, target and, where there is one, weight; with a
header whose names are told below, or without one in that order. Comma, tab, semicolon and space
separate; lines that begin with # before the first contact are comments, the last of which may be
the header. Times are numbers, or dates like 2023-02-13 17:55:10 (with a zone, or in UTC).

`read_contacts` reads and checks the whole file into columns; `replay` spawns an agent for each
distinct id and feeds the contacts to the world's systems step by step. An error anywhere means that
nothing was imported. What ties come out does not depend on the step: see `systems/ties.py`.
Cost: 0.25 µs a contact to read; then that of the world's systems.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Contact, Persona, Stream
from populace.ecs import Clock, World, hours
from populace.ecs.entities import Ids
from populace.ecs.errors import QueryError, ScheduleError
from populace.storage import write_tables
from populace.systems.ties import Ties, apply_contacts, refresh_ties

from .catalogue import MEMORIES, TIES
from .minds import PERSONS
from .population import advance_clock, next_number
from .sheet import Columns, Sheet, fits, is_number

HEADERS = {
    "time": ("time", "timestamp", "t", "ts", "datetime", "date_time", "date", "unixts",
             "unix_time", "when", "sent_at", "created_at"),
    "source": ("source", "src", "from", "sender", "caller", "user", "user_a", "source_id",
               "from_id", "sender_id", "caller_id"),
    "target": ("target", "dst", "to", "recipient", "receiver", "callee", "user_b", "target_id",
               "to_id", "recipient_id", "receiver_id", "callee_id"),
    "weight": ("weight",),
}  # fmt: skip
"""The names by which a header tells each column, in any case, with spaces or hyphens for _."""
UNITS_US = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000,
    "d": 86_400_000_000,
}  # fmt: skip
HEAVIEST = 1e6
EARLIEST_US, LATEST_US = -62_135_596_800_000_000, 253_402_300_799_000_000
"""The years 1 to 9999: what dates can show."""


@dataclass(frozen=True, slots=True)
class ContactLog:
    """Contacts by time, simultaneous ones in the order of the file.

    names: the distinct ids of the file, sorted (as numbers, where all are whole numbers). source,
    target: (n,) i8, places in `names`. time: (n,) i8 µs since 1970. weight: (n,) f4. with_self: how
    many rows were left out because source and target are the same.
    """

    names: list[str]
    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    with_self: int = 0

    def __len__(self) -> int:
        return self.time.size


def read_contacts(
    path: str | Path,
    *,
    columns: Columns | None = None,
    time_unit: str = "s",
    start: int = 0,
    delimiter: str | None = None,
) -> ContactLog:
    """Read a CSV log of contacts.

    columns: where time, source, target and weight are, if neither a known header nor the usual
    order says it: {"time": "when", "source": 0, "target": 1} by header or place, or the roles in
    the order of the columns, ("source", "target", "time"), with "" for one to pass over. A contact
    counts 1 unless a column is its weight; a column named duration may be, and then a negative one
    (a call that nobody took) counts 0. time_unit: us, ms, s, min, h or d, and start: µs since 1970
    at time 0, of times that are numbers. delimiter: None finds out.

    Raises SourceFileError, naming file and line, for anything missing or damaged, and QueryError
    for `columns` and `time_unit` that make no sense.
    """
    if time_unit not in UNITS_US:
        raise QueryError(f"time_unit must be one of {', '.join(UNITS_US)}, got {time_unit!r}")
    sheet = Sheet(Path(path), HEADERS, 3, columns, delimiter)
    time = _times(sheet, UNITS_US[time_unit], start)
    names, source, target = _people(sheet)
    weight = _weights(sheet, time.size)
    order = np.argsort(time, kind="stable")
    order = order[source[order] != target[order]]
    return ContactLog(
        names, source[order], target[order], time[order], weight[order], time.size - order.size
    )


def replay(
    world: World,
    log: ContactLog,
    step: int = hours(1),
    progress: Callable[[World], object] | None = None,
) -> Ids:
    """Spawn an agent for each name of a log and live through its contacts, in steps of `step` µs.

    The clock moves from the first contact (or from now, if that is later) to the last one. What
    comes of the contacts is up to the world's systems, such as `apply_contacts`. progress: called
    with the world after each step. Returns the agents' ids, in the order of the names.

    Raises ScheduleError for a step that is not > 0.
    """
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step <= 0:
        raise ScheduleError(f"a replay's step is a whole number of µs > 0, got {step!r}")
    agents = world.spawn(
        len(log.names),
        Persona(number=next_number(world) + np.arange(len(log.names)), name=log.names),
        Stream(),
    )
    clock = world.resource(Clock)
    advance_clock(world, int(log.time[0]) if len(log) else clock.now)
    done = 0
    while done < len(log):
        until = max(clock.now, min(clock.now + int(step), int(log.time[-1])))
        end = int(np.searchsorted(log.time, until, side="right"))
        if end > done:
            world.emit(
                Contact(
                    source=agents[log.source[done:end]],
                    target=agents[log.target[done:end]],
                    time=log.time[done:end],
                    weight=log.weight[done:end],
                )
            )
        world.step(until - clock.now)
        done = end
        if progress is not None:
            progress(world)
    return agents


def live_through(world: World, log: ContactLog, *, half_life_us: int, step: int) -> None:
    """Replay a log in a world without ties, by the law of `systems/ties.py`."""
    world.insert(Ties(half_life=half_life_us / 1e6))
    world.add_systems(apply_contacts, refresh_ties)
    replay(world, log, step)


def export_ties(
    world: World,
    directory: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    force: bool = False,
) -> dict[str, int]:
    """Write agents, memories and ties as Parquet tables; return rows by table.

    `source` and `target` of ties.parquet are numbers of agents; `strength` is as of the last sweep.
    Raises what `write_tables` does.
    """
    return write_tables(world, directory, (PERSONS, MEMORIES, TIES), about=about, force=force)


# -- what the columns hold -------------------------------------------------------------------


def _times(sheet: Sheet, unit_us: int, start: int) -> npt.NDArray[np.int64]:
    """(n,) i8 µs since 1970."""
    import pyarrow as pa

    texts = sheet.column("time")
    if not is_number(texts[0].as_py()):
        plain = pa.timestamp("us")
        kind = plain if fits(texts[0], plain) else pa.timestamp("us", "UTC")
        allowed = "a number or a date and time like 2023-02-13 17:55:10, of one kind in all rows"
        return np.array(sheet.cast("time", kind, allowed).cast(pa.int64()))
    try:
        ticks = np.array(texts.cast(pa.int64()))
    except pa.ArrowInvalid:
        ticks = np.array(sheet.cast("time", pa.float64(), "a number, as in the first row"))
    low, high = ((end - start) / unit_us for end in (EARLIEST_US, LATEST_US))
    allowed = f"from {low:g} to {high:g}, the years 1 to 9999; is its unit another?"
    sheet.require("time", (ticks >= low) & (ticks <= high), allowed)
    us = ticks * unit_us
    return start + (us if us.dtype.kind == "i" else np.rint(us).astype(np.int64))


def _people(sheet: Sheet) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(distinct ids, sorted; the places in them of sources (n,) i8, and of targets)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for role in ("source", "target"):
        named = np.asarray(pc.not_equal(sheet.column(role), ""))
        sheet.require(role, named, "an id that is not empty")
    both = pa.concat_arrays([sheet.column("source"), sheet.column("target")]).dictionary_encode()
    ids = both.dictionary.to_pylist()
    whole = all(one.isascii() and one.removeprefix("-").isdigit() and len(one) <= 18 for one in ids)
    order = sorted(range(len(ids)), key=lambda i: (int(ids[i]) if whole else 0, ids[i]))
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    source, target = np.split(rank[np.asarray(both.indices)], 2)
    return [ids[i] for i in order], source, target


def _weights(sheet: Sheet, n: int) -> npt.NDArray[np.float32]:
    """(n,) f4."""
    import pyarrow as pa

    if "weight" not in sheet.places:
        return np.ones(n, np.float32)
    weights = np.array(sheet.cast("weight", pa.float64(), "a number"))
    if sheet.header and "duration" in sheet.header[sheet.places["weight"]].lower():
        weights = np.where(weights < 0, 0.0, weights)
    allowed = f"from 0 to {HEAVIEST:,.0f}"
    sheet.require("weight", (weights >= 0) & (weights <= HEAVIEST), allowed)
    return weights.astype(np.float32)
