"""The world: everything a user calls.

A thin layer: `Store` changes structure, `Query` finds tables, `Schedule` runs systems; here their
doors stand side by side, with the checks of what a caller gives and the documentation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .budget import Budget
from .bundle import Template, copied, count_rows, read_bundle
from .check import check
from .clock import Clock
from .commands import Commands
from .component import component_tuple, schema
from .digest import digest
from .edges import ensure, upsert
from .entities import Ids, as_ids, by_table
from .errors import (
    ColumnValueError,
    ComponentMissingError,
    QueryError,
    ResourceError,
    ScheduleError,
    SystemSignatureError,
)
from .events import EventQueues, EventReader
from .fields import Field
from .inspection import Row, describe, memory
from .journal import Journal
from .notebook import world_html
from .observers import Callback, Kind, Observer
from .pairs import PairIndex
from .places import Places, places
from .query import Query, check_field
from .reclaim import reclaim_texts
from .references import ReferenceIndex
from .resources import Resources
from .schedule import DEFAULT_PHASES, Schedule
from .store import Store
from .system import System, read_rules
from .table import SMALLEST, Array
from .telemetry import Telemetry
from .text import TextPool

R = TypeVar("R")


class World:
    """Entities, components, systems, resources and events: one society.

    seed: of every random draw. threads: how many may share non-conflicting systems, row kernels and
    what large systems do, from `parallel_rows` rows on (an attribute); results depend on neither.
    debug: verify every invariant after each structural change and each system (slow); None reads
    POPULACE_DEBUG.
    phases: of the schedule, in order.

    >>> from populace import World, component, f4
    >>> @component
    ... class Position:
    ...     x: f4
    ...     y: f4 = 0.0
    >>> world = World(seed=7)
    >>> ids = world.spawn(3, Position(x=[1, 2, 3]))
    >>> for position in world.query(Position):
    ...     position.x += 1
    >>> world.get(ids, Position.x).tolist()
    [2.0, 3.0, 4.0]
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        threads: int = 1,
        debug: bool | None = None,
        phases: Sequence[str] = DEFAULT_PHASES,
    ) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ScheduleError(f"threads is a whole number >= 1, got {threads!r}")
        self.seed = int(seed)
        self.threads = threads
        self.debug = (
            os.environ.get("POPULACE_DEBUG", "") not in ("", "0") if debug is None else debug
        )
        self.parallel_rows = 500_000
        self.store = Store(self)
        self.resources = Resources()
        self.clock = Clock()
        self.resources.insert(self.clock)
        self.event_queues = EventQueues()
        self.telemetry = Telemetry()
        self.commands = Commands(self, "world.commands")
        self.schedule = Schedule(self, phases)
        self.journals: dict[type, Journal] = {}
        self.stale = False  # derived fields wait for their sweeps: a world just restored,
        self.caches: frozenset[type] = frozenset()  # but for those of these components
        self.beside: dict[Any, Any] = {}  # what others keep for this world; it dies with it
        self._on_step: dict[object, Callable[[World], object]] = {}  # by registration
        self._queries: dict[Any, Query] = {}
        self.templates: dict[str, Template] = {}

    def __len__(self) -> int:
        """How many entities are alive."""
        return len(self.store.entities)

    def __bool__(self) -> bool:
        """True, also of an empty world."""
        return True

    def __repr__(self) -> str:
        return f"<World seed={self.seed}: {len(self):,} entities, t = {self.clock.seconds:g} s>"

    def _repr_html_(self) -> str:
        return world_html(self)

    @property
    def text(self) -> TextPool:
        """The interned strings of this world."""
        return self.store.text

    # -- entities --------------------------------------------------------------------------------

    def spawn(self, n: Any = None, /, *components: Any) -> Ids:
        """Make n entities that have these components; returns their ids, (n,) u8.

        components: values, whose fields are arrays of n or scalars; tags; a template. n may be
        left out where an array says it. Nothing is spawned when anything is wrong.

        Raises ColumnShapeError, ColumnTypeError, ColumnValueError, MissingFieldError,
        RequiredComponentError, DuplicateComponentError, DeadEntityError (a reference to a dead
        entity), DuplicatePairError, StructuralChangeError.
        Cost: one checked copy of each column.
        """
        self.store.guard("spawn")
        if n is not None and not isinstance(n, (int, np.integer)):
            n, components = None, (n, *components)
        bundle = read_bundle(components, "spawn")
        return self.store.spawn(bundle, count_rows(n, bundle))

    def despawn(self, ids: Any) -> int:
        """End entities, with all that follows them by `on_despawn`. Returns how many ended.

        Raises DeadEntityError, DuplicateEntityError, ReferencedEntityError, StructuralChangeError.
        """
        self.store.guard("despawn")
        with self.store.moment:
            return self.store.despawn(self.store.locate(as_ids(ids)))

    def add(self, ids: Any, *components: Any) -> None:
        """Give entities components: all at once, each row moves once.

        Values are in the order of `ids`. Raises ComponentPresentError where one has it already,
        and whatever `spawn` raises.
        """
        self.store.guard("add")
        bundle = read_bundle(components, "add")
        with self.store.moment:
            self.store.add(self.store.locate(as_ids(ids)), bundle)

    def remove(self, ids: Any, *components: type) -> None:
        """Take components from entities.

        Raises ComponentMissingError where one lacks it, RequiredComponentError where another
        component needs it, DeadEntityError, DuplicateEntityError, StructuralChangeError.
        """
        self.store.guard("remove")
        with self.store.moment:
            self.store.remove(self.store.locate(as_ids(ids)), component_tuple(components))

    def set(self, ids: Any, *values: Any) -> None:
        """Change the fields that are given; the others keep their value. In the order of `ids`.

        Raises ComponentMissingError, DeadEntityError, DuplicateEntityError, and for values
        whatever `spawn` raises.
        """
        self.store.guard("set")
        with self.store.moment:
            self.store.set(self.store.locate(as_ids(ids)), read_bundle(values, "set"))

    def alive(self, ids: Any) -> npt.NDArray[np.bool_]:
        """(k,) bool: which ids name a living entity. Never raises for a dead one."""
        asked = as_ids(ids)
        slots = self.store.entities.slots
        index = (asked & np.uint64(0xFFFF_FFFF)).astype(np.intp)
        known = index < self.store.entities.n_slots
        found = slots[np.where(known, index, 0)]
        same = (found[:, 0] ^ asked) >> np.uint64(32) == 0
        alive: npt.NDArray[np.bool_] = known & same & (found[:, 1] != 0xFFFF_FFFF) & (asked != 0)
        return alive

    def get(self, ids: Any, field: Field) -> Array:
        """(k, ...) values of a field, in the order of `ids`; an id may be repeated.

        Raises DeadEntityError, ComponentMissingError.
        """
        check_field(field, "get")
        asked = as_ids(ids)
        rows, tables, together, _ = self.store.entities.resolve(asked)
        if together and asked.size:
            table = self.store.tables[tables[0]]
            if field in table.archetype.place:
                taken: Array = table.column(field).take(rows, axis=0)
                return taken
        found = np.empty((asked.size, *field.shape), field.dtype)
        for number, at, its in by_table(tables, rows):
            table = self.store.tables[number]
            if field not in table.archetype.place:
                raise ComponentMissingError(
                    f"entity {int(asked[at[0]])} has no {field.component.__name__}; it has "
                    f"{table.archetype}"
                )
            found[at] = table.column(field).take(its, axis=0)
        return found

    def at(self, ids: Any) -> list[Places]:
        """Tables and rows of these entities, for kernels that work through events in their order:
        see `Places`. Ids may repeat. Raises DeadEntityError."""
        return list(places(self.store, as_ids(ids)))

    def has(self, ids: Any, component: type) -> npt.NDArray[np.bool_]:
        """(k,) bool: which of these living entities have the component. Raises DeadEntityError."""
        schema(component)
        _, tables, _, _ = self.store.entities.resolve(as_ids(ids))
        having = np.array(
            [component in t.archetype.components for t in self.store.tables], np.bool_
        )
        return having[tables] if tables.size else np.empty(0, np.bool_)

    def entity(self, entity: int) -> Row:
        """One entity, for tests, tools and the REPL. Raises DeadEntityError."""
        self.store.entities.resolve(as_ids(entity))
        return Row(self.store, int(entity))

    def template(self, name: str, *components: Any) -> Template:
        """A named bundle with defaults, to spawn from; later ones of that name replace it."""
        made = self.templates[name] = Template(name, copied(read_bundle(components, "template")))
        return made

    # -- queries ---------------------------------------------------------------------------------

    def query(
        self,
        *components: type,
        with_: Any = (),
        without: Any = (),
        optional: Any = (),
        any: Any = (),
    ) -> Query:
        """The entities that have all of `components` (fetched) and `with_` (not fetched), none of
        `without`, and at least one of `any`; `optional` ones are fetched where they exist.

        The same arguments give the same query object. Raises UnknownComponentError, QueryError.
        """
        key = (components, with_, without, optional, any)
        try:
            found = self._queries.get(key)
        except TypeError:
            raise QueryError(
                f"a query takes component classes or tuples of them, got {key!r}"
            ) from None
        if found is None:
            parts = [component_tuple(part) for part in key]
            fetched = (*parts[0], *parts[3])
            for component in fetched:
                if fetched.count(component) > 1:
                    raise QueryError(
                        f"a query fetches each component once; {component.__name__} is named twice"
                    )
            found = self._queries[key] = Query(self, *parts)
        return found

    def explain(self, entity: int, query: Query) -> str:
        """Why one entity does or does not match a query, in words. Raises DeadEntityError."""
        _, tables, _, _ = self.store.entities.resolve(as_ids(entity))
        archetype = self.store.tables[tables[0]].archetype
        reasons = query.why_not(archetype.mask)
        if not reasons:
            return f"entity {int(entity)} ({archetype}) matches"
        return f"entity {int(entity)} ({archetype}) does not match: {'; '.join(reasons)}"

    def index(self, field: Field) -> ReferenceIndex:
        """The reverse of an indexed reference. Raises QueryError for a field without an index."""
        if not isinstance(field, Field) or not field.index:
            raise QueryError(
                f"{field} has no index; declare it Entity = field(index=True) to ask who names whom"
            )
        self.store.number(field.component)
        return self.store.indices[field]

    def pairs(self, component: type) -> PairIndex:
        """The unique pairs of an edge component. Raises QueryError for any other."""
        if not schema(component).unique:
            raise QueryError(
                f"{component.__name__} has no unique pair; declare @component(unique=('source', "
                f"'target')) to look edges up"
            )
        self.store.number(component)
        return self.store.pairs[component]

    def upsert(self, pair: Any, *values: Any) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """Set `values` on the edges of these pairs, spawning those that do not exist.

        pair: a value with both fields of a unique pair, as `Tie(source=s, target=t)`. values: of
        other components, or none; where a pair is repeated, its last row counts. Returns (ids
        (k,) u8, created (k,) bool: True at the first appearance of a pair that was spawned).

        Raises what `spawn` and `set` raise; then nothing has changed.
        Cost: one hash look-up a pair, and a spawn of the new ones.
        """
        self.store.guard("upsert")
        with self.store.moment:
            return upsert(self, pair, values)

    def ensure(self, pair: Any, *values: Any) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """As `upsert`, but edges that exist are left as they are; where a new pair is repeated, its
        first row counts."""
        self.store.guard("ensure")
        with self.store.moment:
            return ensure(self, pair, values)

    # -- storage of rows -------------------------------------------------------------------------

    def reserve(self, n: int, *components: type) -> None:
        """Make room for n more entities with exactly these components, pages touched, so that the
        spawns that follow only copy."""
        self.store.guard("reserve")
        table = self.store.archetype(self.store.mask(component_tuple(components))).table
        n = count_rows(n, {})
        with self.store.moment:
            buffers, capacity = table.room(n, exact=True)
            self.store.entities.reserve(n)
            self.store.entities.slots[self.store.entities.n_slots :] = 0
            for buffer in buffers:
                buffer[table.n :] = 0
            table.settle_in(buffers, capacity)
        self.store.pool.lend_ids(n)[:] = 0

    def shrink(self) -> int:
        """Give slack back to the system. Returns the bytes freed."""
        self.store.guard("shrink")
        before = sum(table.nbytes for table in self.store.tables) + self.store.pool.nbytes
        with self.store.moment:
            for table in self.store.tables:
                if table.capacity > max(table.n, SMALLEST if table.n else 0):
                    table.resize(table.n)
        self.store.pool.clear()
        return before - sum(table.nbytes for table in self.store.tables)

    def reclaim_texts(self, least: int = 1) -> int:
        """Give back the strings that nothing holds any more, if there are at least so many; returns
        how many. New strings get their codes, the lowest first.

        Held are the codes in tables, events, journals, queued commands and templates, and those
        that a resource tells of by a method `text_codes` (see `reclaim.HoldsTexts`). `world.text`
        is another object afterwards, and codes kept elsewhere are good for nothing: look up theirs
        again.

        Raises StructuralChangeError, and InvariantError for a code that is none; then nothing has
        happened. Cost: 1M strings of which half go 0.2 s, and 0.5 to 3 ns a row with a text; what
        is cached by code (phrases, which texts have a word) is worked out anew when it is next
        asked for, but for the words of texts that are still held.
        """
        self.store.guard("reclaim_texts")
        if isinstance(least, bool) or not isinstance(least, (int, np.integer)) or least < 1:
            raise ColumnValueError(f"reclaim_texts takes least >= 1, got {least!r}")
        with self.store.moment:
            done = reclaim_texts(self, int(least))
        if self.debug:
            self.check()
        return done

    def cluster(self, field: Field) -> None:
        """Sort every table that has `field` by it, then by entity index: rows of one owner lie
        together, and row order becomes a function of the data alone.

        Cost: a sort and one gather of every column.
        """
        self.store.guard("cluster")
        check_field(field, "cluster")
        if field.width:
            raise QueryError(f"cluster sorts by a field that has one value a row, got {field!r}")
        with self.store.moment:
            for archetype in self.store.archetypes:
                table = archetype.table
                if field in archetype.place and table.n > 1:
                    self.store.changes.settle(table)
                    index = table.buffers[0][: table.n].astype(np.uint32)
                    column = table.column(field)
                    if field.kind == "entity":
                        key = (column << np.uint64(32)) | index
                        key.sort()
                        order = self.store.entities.rows_of(key.astype(np.uint32))
                    else:
                        order = np.lexsort((index, column)).astype(np.uint32)
                    table.permute(order)
        if self.debug:
            self.check()

    # -- change, observation ---------------------------------------------------------------------

    def track(self, *components: type) -> None:
        """Record which rows of these components change, from now on; see `changed_since`."""
        self.store.guard("track")
        with self.store.moment:
            for component in components:
                self.store.number(component)
                self.store.changes.track(component)

    def mark(self) -> int:
        """A point in the history of changes, to ask `changed_since` about. Every step makes one."""
        return self.store.changes.mark()

    def changed_since(self, tick: int, component: type) -> Ids:
        """(k,) u8, ascending: living entities whose `component` was given or changed its value
        (bit for bit, in a persisted field) after the mark `tick`. One that changed and changed back
        is among them only if somebody asked, or its table changed structurally, in between.

        Raises UntrackedError unless `track(component)` was called before.
        Cost: a comparison of the chunks that were opened for writing since.
        """
        return self.store.changes.since(tick, component)

    def observe(self, kind: Kind, component: type, callback: Callback) -> Observer:
        """Call `callback(world, ids)` when entities gain ("add"), lose ("remove") or are despawned
        with ("despawn") a component. Raises QueryError, UnknownComponentError."""
        return self.store.observers.register(kind, component, callback)

    # -- resources and events --------------------------------------------------------------------

    def insert(self, resource: Any, replace: bool = False) -> None:
        """Add a resource: an instance of a dataclass, one of each class. Raises ResourceError."""
        if isinstance(resource, Clock):
            self.clock = resource
        self.resources.insert(resource, replace or isinstance(resource, Clock))

    def resource(self, cls: type[R]) -> R:
        """The resource of a class. Raises ResourceError where there is none."""
        return self.resources.get(cls)

    def emit(self, events: Any) -> int:
        """Emit a batch of events, checked like a spawn. Returns how many.

        Raises UnknownComponentError for anything but an event, and what `spawn` raises of values.
        """
        cls = events if isinstance(events, type) else type(events)
        queue = self.event_queues.queue(cls)
        if self.store.is_inside():
            return queue.emit(events, self.text, self.store.entities)
        with self.store.moment:
            return queue.emit(events, self.text, self.store.entities)

    def events(self, cls: type) -> EventReader:
        """A reader of an event type: `.read()` gives what it has not seen yet, as columns."""
        return self.event_queues.queue(cls).reader()

    def keep(self, *events: type) -> None:
        """Keep the events of these classes for good, from now on: see `journal`. Twice does no
        harm. Raises UnknownComponentError for anything but an event."""
        queues = [self.event_queues.queue(cls) for cls in events]
        for cls, queue in zip(events, queues, strict=True):
            if cls not in self.journals:
                self.journals[cls] = Journal(queue)

    def journal(self, cls: type) -> Journal:
        """The kept events of a class, those of the last step included, as `columns`.

        Raises ResourceError for a class that is not kept.
        """
        try:
            return self.journals[cls]
        except KeyError:
            name = getattr(cls, "__name__", cls)
            raise ResourceError(
                f"no events {name} are kept; call world.keep({name}) before what you want to see"
            ) from None

    # -- time ------------------------------------------------------------------------------------

    def on_step(self, callback: Callable[[World], object]) -> Callable[[], None]:
        """Call `callback(world)` at the end of every step, when events and commands have had their
        way. Returns what ends it."""
        registration = object()
        self._on_step[registration] = callback

        def cancel() -> None:
            self._on_step.pop(registration, None)

        return cancel

    def add_system(self, system: Any, **rules: Any) -> None:
        """Register a system; rules override those of its decorator (see `system`).

        Raises SystemSignatureError for a plain function, ScheduleError.
        """
        if not isinstance(system, System):
            raise SystemSignatureError(f"{system!r} is not a system: decorate it with @system")
        self.schedule.add(system, read_rules(**rules))

    def add_systems(self, *systems: Any) -> None:
        """Register several systems, in this order."""
        for each in systems:
            self.add_system(each)

    def step(self, dt: int) -> None:
        """Let dt simulated µs pass, then run every system that is due. Raises ScheduleError."""
        if isinstance(dt, bool) or not isinstance(dt, (int, np.integer)) or dt < 0:
            raise ScheduleError(
                f"a step is a whole number of µs >= 0, as hours(1) gives; got {dt!r}"
            )
        self.store.guard("step")
        begin = perf_counter_ns()
        with self.store.moment:
            if self.stale:
                self.schedule.refresh(every=True)
                self.stale = False
            if self.store.changes.tracked:
                self.mark()
            self.clock.now += int(dt)
            self.clock.dt = int(dt)
            self.clock.tick += 1
            self.schedule.run()
            for journal in self.journals.values():
                journal.take_up()
            for queue in self.event_queues.held.values():
                queue.end_step()
            self.telemetry.steps += 1
            self.telemetry.step_ns += perf_counter_ns() - begin
            for registration, callback in tuple(self._on_step.items()):
                if registration in self._on_step:  # one before it may have ended it
                    callback(self)

    def run(self, time: int, step: int, progress: Callable[[World], object] | None = None) -> None:
        """Steps of `step` µs until `time` µs have passed; the last one may be shorter.

        progress: called with the world after each step. Raises ScheduleError.
        """
        if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step <= 0:
            raise ScheduleError(f"a run's step is a whole number of µs > 0, got {step!r}")
        if isinstance(time, bool) or not isinstance(time, (int, np.integer)) or time < 0:
            raise ScheduleError(f"a run lasts a whole number of µs >= 0, got {time!r}")
        left = int(time)
        while left > 0:
            self.step(min(int(step), left))
            left -= int(step)
            if progress is not None:
                progress(self)

    def set_budget(self, seconds: float | None) -> None:
        """Keep the mean step within so many seconds of wall time, as far as making sweeps of
        derived fields less often can; None: make them whenever due.

        No result depends on it: a sweep is made wherever a system reads what it fills, and
        `refresh` makes them all. `telemetry.sweeps_every` says how often they are made. Raises
        ScheduleError.
        """
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if seconds is not None and (not number or not 0 < seconds < 1e100):
            raise ScheduleError(f"a budget is a number of seconds > 0, or None; got {seconds!r}")
        self.schedule.budget = None if seconds is None else Budget(seconds)
        self.telemetry.sweeps_every = 1

    def refresh(self) -> None:
        """Make the sweeps of derived fields now, for whoever looks from outside: where a budget
        leaves some out, or after changes between steps.

        Only sweeps that a budget could leave out: no result changes. Raises what they do.
        """
        self.store.guard("refresh")
        with self.store.moment:
            self.schedule.refresh(every=self.stale)
        self.stale = False

    def sync(self) -> int:
        """Apply all queued commands now, in the order of the plan. Returns how many."""
        self.store.guard("sync")
        done = sum(buffer.apply() for buffer in self.schedule.buffers() if len(buffer))
        while len(self.commands):
            done += self.commands.apply()
        self.telemetry.commands += done
        return done

    # -- looking at it ---------------------------------------------------------------------------

    def check(self) -> None:
        """Verify every invariant. Raises InvariantError. Cost: O(all rows)."""
        check(self.store)

    def describe(self) -> str:
        """What is in the world and what it costs, to be read."""
        return describe(self)

    def memory(self) -> dict[str, dict[str, int]]:
        """Bytes by archetype and column, slack included; "(entities)" and "(indices)" beside."""
        return memory(self.store)

    def digest(self) -> str:
        """SHA-256 of all persisted state in canonical order: equal for equal worlds, whatever the
        row order, threads or capacity. Cost: O(all rows) and a sort a component."""
        return digest(self)
