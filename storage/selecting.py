"""Which rows of a tidy table: those since a moment, those of a month, so many at a time.

A selection says for each of an image's tables, by its number, which of its rows: a slice (of the
whole table, so that nothing is copied) or an array of row numbers. A log's rows stand under 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from populace.ecs import Field
from populace.ecs.image import Image

from .arrays import Array
from .frames import Held, Rows, held_of
from .tables import Log, Table

Selection = Mapping[int, Rows]

US_PER_DAY = 86_400_000_000
YEAR_1, YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
NO_MONTH = "__HIVE_DEFAULT_PARTITION__"
"""The month of a row that has none, as Hive and all who follow it call it."""


def count(selection: Selection) -> int:
    """How many rows."""
    return sum(_size(rows) for rows in selection.values())


def rows_since(image: Image, spec: Table | Log, since: int | None) -> Selection:
    """The rows whose `spec.since` is at or after a moment (µs); all where there is none."""
    if since is None or spec.since is None:
        return {held.number: slice(0, held.n) for held in held_of(image, spec)}
    return {
        held.number: np.flatnonzero(_times(held, spec.since) >= since)
        for held in held_of(image, spec)
    }


def in_batches(selection: Selection, most: int) -> Iterator[Selection]:
    """The same rows in the same order, at most so many at a time; at least one batch."""
    batch: dict[int, Rows] = {}
    room = most
    for number, rows in selection.items():
        begin, size = 0, _size(rows)
        while begin < size:
            if not room:
                yield batch
                batch, room = {}, most
            end = min(size, begin + room)
            if isinstance(rows, slice):
                batch[number] = slice(rows.start + begin, rows.start + end)
            else:
                batch[number] = rows[begin:end]
            room -= end - begin
            begin = end
    yield batch


def by_month(
    image: Image, spec: Table | Log, selection: Selection
) -> Iterator[tuple[str, Selection]]:
    """The rows of each month of `spec.month`, as ("2023-02", rows), months in order, each month's
    rows in theirs. Rows without a time, or beyond the years 1 to 9999, come last, as NO_MONTH.

    Cost: 15 ns a row.
    """
    found: dict[str, dict[int, Rows]] = {}
    for held in held_of(image, spec):
        rows = selection[held.number]
        months, names = _months(_times(held, spec.month)[rows])
        order = np.argsort(months, kind="stable")  # of u2: a radix sort
        n_of = np.bincount(months, minlength=len(names))
        for name, part in zip(names, np.split(order, np.cumsum(n_of)[:-1]), strict=True):
            if part.size:
                of_table = part + rows.start if isinstance(rows, slice) else rows[part]
                found.setdefault(name, {})[held.number] = of_table
    for name in sorted(found, key=lambda name: (name == NO_MONTH, name)):
        yield name, found[name]


def _months(times: Array) -> tuple[Array, list[str]]:
    """((n,) places in the names, the names of months), the last of which is NO_MONTH."""
    dated = (times >= YEAR_1) & (times < YEAR_10000)
    days = times // US_PER_DAY
    if not dated.all():
        days = np.where(dated, days, days[dated][:1].sum())
    first, last = (int(days.min()), int(days.max())) if days.size else (0, 0)
    calendar = np.arange(first, last + 1).astype("M8[D]").astype("M8[M]")
    names, month_of_day = np.unique(calendar, return_inverse=True)
    narrow = np.uint16 if names.size < 2**16 else np.uint32
    months = month_of_day.astype(narrow)[days - first]
    months[~dated] = names.size
    return months, [*np.datetime_as_string(names).tolist(), NO_MONTH]


def _times(held: Held, made: Field) -> Array:
    times = held.column(made)
    assert times is not None, f"{made} is persisted"
    return times


def _size(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else rows.size
