"""Structural changes queued for later: how systems and observers change structure.

Commands are applied at a sync point (the end of each phase, or `World.sync`), buffer by buffer in
the order of the plan and inside a buffer in the order they were queued, so results do not depend
on threads. Arrays are copied when queued. Ids are checked when queued; those that an earlier
command has ended by the time it is applied are passed over, because two laws may well forget the
same memory. So are entities that have got the tags, or lost the components, that a command would
give or take. A queued spawn that names somebody who has ended since fares as if it had come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .bundle import Bundle, copied, copy_fields, count_rows, read_bundle
from .component import component_tuple, given_fields, schema
from .entities import Ids, as_ids, id_array, plain
from .errors import ColumnShapeError, DeadEntityError
from .fields import NOBODY, Field
from .values import rows_of

if TYPE_CHECKING:
    from .world import World


class Pending:
    """Entities that a queued spawn will make.

    Usable as ids in later commands of the same buffer, and as the value of an `Entity` field.
    """

    __slots__ = ("_ids", "n")

    def __init__(self, n: int) -> None:
        self.n = n
        self._ids: Ids | None = None

    @property
    def value(self) -> Any:
        """The ids as the value of a field: those of one entity are a scalar."""
        return self.ids[0] if self.n == 1 else self.ids

    @property
    def ids(self) -> Ids:
        """(n,) u8. Raises DeadEntityError before the commands have been applied."""
        if self._ids is None:
            raise DeadEntityError(
                f"these {self.n:,} entities are queued, not spawned yet: their ids are known after "
                f"the next sync point"
            )
        return self._ids


class Commands:
    """One buffer of queued changes."""

    def __init__(self, world: World, owner: str) -> None:
        self._world = world
        self.owner = owner
        self._queue: list[tuple[str, Callable[[], None], Bundle]] = []

    def __len__(self) -> int:
        return len(self._queue)

    def spawn(self, *things: Any) -> Pending:
        """Queue a spawn: as `World.spawn`, n first if given."""
        n, parts = (None, things)
        if things and isinstance(things[0], (int, np.integer)):
            n, parts = int(things[0]), things[1:]
        bundle = copied(read_bundle(parts, "commands.spawn"))
        rows = count_rows(n, _resolved_sizes(bundle))
        for field, value in _references(bundle):
            if not isinstance(value, Pending):
                self._check_now(f"spawn, {field}", plain(id_array(value).astype(np.uint64).ravel()))
        pending = Pending(rows)

        def run() -> None:
            filled = _filled(bundle)
            keep = self._outlived(filled, rows)
            ids = np.zeros(rows, np.uint64)
            if not keep.all():
                filled = _picked(filled, keep)
            ids[keep] = self._world.store.spawn(filled, int(keep.sum()), "commands.spawn")
            pending._ids = ids

        self._queue.append(("spawn", run, bundle))
        return pending

    def _outlived(self, filled: Bundle, rows: int) -> npt.NDArray[np.bool_]:
        """Which rows of a queued spawn are still to be. Where an entity that a row names has ended
        since, the row fares as if it had been there: it goes with a reference that cascades, and
        any other becomes `NOBODY`."""
        keep = np.ones(rows, np.bool_)
        for field, value in _references(filled):
            ids = id_array(value).astype(np.uint64)
            ended = ~self._world.alive(ids.ravel()).reshape(ids.shape) & (ids != NOBODY)
            if ended.any() and field.on_despawn == "despawn":
                keep &= ~ended
            elif ended.any():
                filled[field.component][field.name] = np.where(ended, np.uint64(NOBODY), ids)
        return keep

    def despawn(self, ids: Any) -> None:
        """Queue a despawn."""
        self._on("despawn", ids, None, lambda batch, _: self._world.store.despawn(batch))

    def add(self, ids: Any, *components: Any) -> None:
        """Queue an add."""
        bundle = copied(read_bundle(components, "commands.add"))
        act = self._world.store.add
        self._on("add", ids, bundle, lambda batch, given: act(batch, given), tuple(bundle))

    def set(self, ids: Any, *values: Any) -> None:
        """Queue a set."""
        bundle = copied(read_bundle(values, "commands.set"))
        self._on("set", ids, bundle, lambda batch, given: self._world.store.set(batch, given))

    def remove(self, ids: Any, *components: type) -> None:
        """Queue a remove."""
        component_tuple(components)
        act = self._world.store.remove
        self._on("remove", ids, None, lambda batch, _: act(batch, components), components)

    def upsert(self, pair: Any, *values: Any) -> None:
        """Queue an upsert, as `World.upsert`."""
        self._values("upsert", (pair, *values), self._world.upsert)

    def ensure(self, pair: Any, *values: Any) -> None:
        """Queue an ensure, as `World.ensure`."""
        self._values("ensure", (pair, *values), self._world.ensure)

    def emit(self, events: Any) -> None:
        """Queue a batch of events: it appears when the commands are applied."""
        self._values("emit", (events,), self._world.emit)

    def _values(self, name: str, values: tuple[Any, ...], act: Callable[..., object]) -> None:
        parts = [
            v if isinstance(v, type) else (type(v), copy_fields(given_fields(v))) for v in values
        ]

        def run() -> None:
            act(*(p if isinstance(p, type) else p[0](**_fill_fields(p[1])) for p in parts))

        given = dict(part for part in parts if not isinstance(part, type))
        self._queue.append((name, run, given))

    def _on(
        self,
        name: str,
        ids: Any,
        bundle: Bundle | None,
        act: Callable[[Any, Any], object],
        tags: Iterable[type] = (),
    ) -> None:
        target = ids if isinstance(ids, Pending) else as_ids(ids).copy()
        n = target.n if isinstance(target, Pending) else target.size
        if not isinstance(target, Pending):
            self._check_now(name, target)
        _check_lengths(f"commands.{name}", bundle or {}, n)

        def run() -> None:
            named = target.ids if isinstance(target, Pending) else target
            alive = self._world.alive(named)
            if name == "remove" or (name == "add" and all(schema(c).is_tag for c in tags)):
                for component in tags:
                    alive[alive] = self._world.has(named[alive], component) == (name == "remove")
            given = _filled(bundle) if bundle is not None else None
            if not alive.all():
                named = named[alive]
                given = _picked(given, alive) if given is not None else None
            act(self._world.store.locate(named), given)

        self._queue.append((name, run, bundle or {}))

    def _check_now(self, name: str, ids: Ids) -> None:
        entities = self._world.store.entities
        bad = entities.first_dead(ids, nobody=name.startswith("spawn"))
        if bad >= 0:
            why = entities.obituary(int(ids[bad]), bad, ids.size)
            raise DeadEntityError(f"commands.{name} by {self.owner}: {why}")

    def values(self) -> Iterator[Bundle]:
        """What the queued changes were given, one after the other."""
        return (bundle for _, _, bundle in self._queue)

    def clear(self) -> None:
        """Forget every queued change."""
        self._queue.clear()

    def apply(self) -> int:
        """Make every queued change. Returns how many commands there were.

        An error names the command and who queued it; that command did nothing and is dropped, the
        ones after it stay queued.
        """
        done = 0
        while self._queue:
            name, run, _ = self._queue.pop(0)
            try:
                run()
            except Exception as error:
                error.add_note(f"command {done + 1} ({name}) queued by {self.owner}")
                raise
            done += 1
        return done


def _fill_fields(given: dict[str, Any]) -> dict[str, Any]:
    return {k: v.value if isinstance(v, Pending) else v for k, v in given.items()}


def _filled(bundle: Bundle) -> Bundle:
    return {cls: _fill_fields(given) for cls, given in bundle.items()}


def _resolved_sizes(bundle: Bundle) -> Bundle:
    """The bundle with something of the right shape where ids are still pending."""
    return {
        cls: {
            k: np.zeros(() if v.n == 1 else v.n) if isinstance(v, Pending) else v
            for k, v in given.items()
        }
        for cls, given in bundle.items()
    }


def _references(bundle: Bundle) -> list[tuple[Field, Any]]:
    """The reference fields that are given, and their values."""
    return [
        (field, given[field.name])
        for cls, given in bundle.items()
        for field in schema(cls).fields
        if field.kind == "entity" and field.name in given
    ]


def _rows_given(bundle: Bundle, name: str, cls: type) -> int | None:
    """How many rows a given value has, None for one that broadcasts."""
    value = bundle[cls][name]
    if isinstance(value, Pending):
        return value.n if value.n != 1 else None
    return rows_of(getattr(cls, name), value)


def _check_lengths(doing: str, bundle: Bundle, n: int) -> None:
    for cls, given in bundle.items():
        for name in given:
            rows = _rows_given(bundle, name, cls)
            if rows is not None and rows != n:
                raise ColumnShapeError(
                    f"{doing}: {cls.__name__}.{name} needs {n:,} values, one per entity, or a "
                    f"scalar; got {rows:,}"
                )


def _picked(bundle: Bundle, mask: Any) -> Bundle:
    """The values of the entities that are still alive."""
    return {
        cls: {
            name: value
            if _rows_given(bundle, name, cls) is None
            else [v for v, kept in zip(value, mask, strict=True) if kept]
            if isinstance(value, (list, tuple))
            else np.asarray(value)[mask]
            for name, value in given.items()
        }
        for cls, given in bundle.items()
    }
