"""Pages of a view, one after the other, for services that show long lists.

    first = page(database, "memories", limit=50, agent=7)
    second = page(database, "memories", limit=50, agent=7, after=first.next)

A cursor says where the last row stood: the value it was ordered by, and its key (the entity, or the
number of the event in its log). The next page begins behind that place.

Invariants: rows that are there all the while, and whose place in the order does not change, come
exactly once, whatever comes and goes between two pages. `newest`, `oldest` and `important` go by
what seldom changes; by `strongest` and `weakest` a row may be seen twice or never where strengths
cross while somebody turns the pages.
Cost: one look at the filtered and ordered columns for the keys of a page (of one agent: of its own
rows), then the page's rows alone (bench `sql_page`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from populace.ecs.errors import SqlError

from .source import ROW, Spec
from .sql import Database

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
MOST = 1_000
DIGEST_BYTES = 6
EPOCH = datetime(1970, 1, 1)
SINCE = "(since)"
"""Stands for the column that says how new a row is."""
ORDERS = {
    "key": ("", False),
    "newest": (SINCE, True),
    "oldest": (SINCE, False),
    "strongest": ("strength", True),
    "weakest": ("strength", False),
    "important": ("importance", True),
}
"""By the name of an order its column, and whether the largest come first. Nulls come last; rows
that are equal follow their keys, in the same direction."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, as dicts, and the cursor of what follows them; None after the last ones."""

    rows: list[dict[str, Any]]
    next: str | None


def page(
    database: Database,
    view: str,
    *,
    limit: int = 50,
    after: str | None = None,
    order: str | None = None,
    columns: Sequence[str] | None = None,
    agent: int | None = None,
    kind: str | None = None,
    importance_at_least: float | None = None,
    since: int | datetime | None = None,
    until: int | datetime | None = None,
    contains: str | None = None,
) -> Page:
    """Up to `limit` rows of a view (1 to 1,000), those that follow the cursor `after`.

    order: newest, oldest, strongest, weakest, important or key; None is newest where rows have a
    time, else key. columns: those wanted, None for all. agent: the owner, by number or id. since,
    until: the time of a row is at or after the one, and before the other; datetimes or µs.
    contains: a part of the text, in any case.

    Raises SqlError for a view that has no such order, filter or column, for values that make no
    sense, and for a cursor that is damaged or belongs to another view, order or filter.
    """
    with database.source.hold():
        spec = database.source.specs.get(view)
        if spec is None:
            known = ", ".join(database.source.specs)
            raise SqlError(f"there are no pages of {view!r}; there are of {known}")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
            raise SqlError(f"limit is a whole number from 1 to {MOST:,}, got {limit!r}")
        if agent is not None and not database.source.restricts(view):
            raise SqlError(f"agent= is not for {view}, whose rows belong to nobody")
        filters = {
            "kind": kind,
            "importance_at_least": importance_at_least,
            "since": _us(since, "since"),
            "until": _us(until, "until"),
            "contains": contains,
        }
        names = database.source.views[view]
        turn = _Turn.of(spec, order or ("newest" if spec.since else "key"), names)
        conditions, params = _conditions(spec, filters)
        asked = _digest(json.dumps([view, turn, agent, filters], default=str).encode())
        if after is not None:
            value, key = _read_cursor(after, asked)
            conditions.append(turn.behind(value))
            params |= {"key": key} if value is None else {"key": key, "value": value}
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = database.ask(
            f'SELECT {turn.value} AS value, "{turn.key}" AS key FROM "{view}" {where} '
            f"ORDER BY {turn.sorting} LIMIT {limit + 1}",
            params,
            of=agent,
        ).arrow()
        keys = found["key"][:limit].to_numpy()
        rows = _rows(database, view, names if columns is None else columns, turn.key, keys)
    cursor = None
    if found.num_rows > limit:
        last = found.slice(limit - 1, 1).to_pylist()[0]
        cursor = _write_cursor([last["value"], last["key"]], asked)
    return Page(rows, cursor)


def _rows(
    database: Database, view: str, columns: Sequence[str], key: str, keys: Any
) -> list[dict[str, Any]]:
    """The rows of some keys, in their order."""
    missing = [name for name in columns if name not in database.source.views[view]]
    if missing:
        there = ", ".join(database.source.views[view])
        raise SqlError(f"{view} has no column {missing[0]!r}; it has {there}")
    wanted = [*columns, *({key} - set(columns))]
    table: pa.Table = database.source.pick(view, wanted, keys)
    place = {one: n for n, one in enumerate(keys.tolist())}
    order = np.argsort([place[one] for one in table[key].to_pylist()], kind="stable")
    rows: list[dict[str, Any]] = table.select(list(columns)).take(order).to_pylist()
    return rows


# -- what is asked ---------------------------------------------------------------------------


class _Turn(NamedTuple):
    """An order of rows, as SQL: by a column, and by the key. None: by the key alone."""

    column: str | None
    key: str
    is_time: bool
    descending: bool

    @classmethod
    def of(cls, spec: Spec, order: str, names: Sequence[str]) -> _Turn:
        """Raises SqlError for an order that there is not, or not here."""
        if order not in ORDERS:
            raise SqlError(f"order is one of {', '.join(ORDERS)}, got {order!r}")
        column, descending = ORDERS[order]
        what = f"order {order!r}"
        if column:
            column = _since(spec, what) if column == SINCE else _need(spec, column, what)
        is_time = spec.since is not None and column == spec.column(spec.since)
        return cls(column or None, ROW if ROW in names else "entity", is_time, descending)

    @property
    def value(self) -> str:
        """What the order goes by, as a number that JSON holds to the last bit."""
        if self.column is None:
            return "NULL"
        return f'epoch_us("{self.column}")' if self.is_time else f'"{self.column}"::DOUBLE'

    @property
    def sorting(self) -> str:
        """After ORDER BY."""
        turn = "DESC" if self.descending else "ASC"
        first = "" if self.column is None else f'"{self.column}" {turn} NULLS LAST, '
        return f'{first}"{self.key}" {turn}'

    def behind(self, value: float | None) -> str:
        """The condition that a row stands behind $key at $value, or at null if that is None."""
        sign = "<" if self.descending else ">"
        after_key = f'"{self.key}" {sign} $key'
        if self.column is None:
            return after_key
        if value is None:
            return f'("{self.column}" IS NULL AND {after_key})'
        place = "make_timestamp($value::BIGINT)" if self.is_time else "$value::DOUBLE"
        return (
            f'("{self.column}" {sign} {place} OR "{self.column}" IS NULL '
            f'OR ("{self.column}" = {place} AND {after_key}))'
        )


def _since(spec: Spec, what: str) -> str:
    if spec.since is None:
        raise SqlError(f"{what} is not for {spec.name}, whose rows have no time")
    return spec.column(spec.since)


def _need(spec: Spec, column: str, what: str) -> str:
    if column not in spec.by_name:
        raise SqlError(f"{what} is not for {spec.name}, which has no column {column!r}")
    return column


def _conditions(spec: Spec, filters: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The conditions of the filters that are given, and their parameters."""
    given = {name: value for name, value in filters.items() if value is not None}
    conditions = []
    if "kind" in given:
        made = spec.by_name[_need(spec, "kind", "kind=")].field
        kinds = [choice.name.lower() for choice in (made.choices if made else None) or ()]
        if kinds and given["kind"] not in kinds:
            raise SqlError(f"kind is one of {', '.join(kinds)}, got {given['kind']!r}")
        conditions.append("kind = $kind")
    if "importance_at_least" in given:
        _need(spec, "importance", "importance_at_least=")
        conditions.append("importance >= $importance_at_least")
    for bound, comparison in (("since", ">="), ("until", "<")):
        if bound in given:
            column = _since(spec, f"{bound}=")
            conditions.append(f'"{column}" {comparison} make_timestamp(${bound}::BIGINT)')
    if "contains" in given:
        _need(spec, "text", "contains=")
        conditions.append("contains(lower(text), lower($contains))")
    return conditions, given


def _us(time: int | datetime | None, what: str) -> int | None:
    """A time in simulated µs."""
    if isinstance(time, datetime):
        if time.tzinfo is not None:
            raise SqlError(f"{what} is a datetime without a zone, since the views' are; got {time}")
        return (time - EPOCH) // timedelta(microseconds=1)
    if time is None or (isinstance(time, int | np.integer) and not isinstance(time, bool)):
        return None if time is None else int(time)
    raise SqlError(f"{what} is a datetime, or whole µs since 1970; got {time!r}")


# -- cursors ---------------------------------------------------------------------------------


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def _write_cursor(place: list[Any], asked: str) -> str:
    """A place in an order, as letters that go into any URL."""
    body = json.dumps([FORMAT, asked, *place], separators=(",", ":"))
    whole = f"{_digest(body.encode())}{body}".encode()
    return base64.urlsafe_b64encode(whole).rstrip(b"=").decode()


def _read_cursor(cursor: str, asked: str) -> list[Any]:
    """The place. Raises SqlError."""
    try:
        whole = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        body = whole[2 * DIGEST_BYTES :]
        if _digest(body).encode() != whole[: 2 * DIGEST_BYTES]:
            raise ValueError
        version, of, value, key = json.loads(body)
        if not isinstance(value, float | int | None) or not isinstance(key, int):
            raise ValueError
    except (ValueError, AttributeError, binascii.Error, UnicodeError) as error:
        raise SqlError(
            f"the cursor {str(cursor)[:40]!r} is damaged; give one as a page gave it, or none for "
            f"the first page"
        ) from error
    if version != FORMAT:
        raise SqlError(f"the cursor is of format {version}, and this populace reads {FORMAT}")
    if of != asked:
        raise SqlError(
            "the cursor belongs to another view, order or filter; the pages of one list are asked "
            "for with the same ones"
        )
    return [value, key]
