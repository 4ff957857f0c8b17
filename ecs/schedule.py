"""The order in which systems run, derived from what they declare.

A step runs the phases in order. Inside a phase systems keep their order of registration, moved
only as far as `before` and `after` demand; neighbours in that order that do not conflict form a
stage. A stage's systems may run on several threads, because nothing that one writes is touched by
another: their commands and events are held back in a buffer each, and taken up in the order of the
plan. So results are the same on any number of threads.

Events appear at the end of the stage that emitted them, commands are applied at the end of the
phase; those of a `fixed_step` system after each of its steps. When a system raises, the step ends
there: what its stage had queued is dropped, what was written before stays, and the events that it
could not take up are there for it in the next step.

Threads are used only from `World.parallel_rows` rows a stage, since below that a hand-over costs
more than it saves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from .budget import Budget, can_be_spared, filled_by, read_old
from .bundle import copy_value
from .commands import Commands
from .errors import ScheduleError
from .notebook import schedule_html
from .system import BoundSystem, System
from .text import TextPool

if TYPE_CHECKING:
    from .clock import Clock
    from .world import World

DEFAULT_PHASES = ("first", "update", "last")


class _Sink:
    """What one system queues while it runs."""

    __slots__ = ("commands", "emitted")

    def __init__(self, world: World, owner: str) -> None:
        self.commands = Commands(world, f"system {owner}")
        self.emitted: list[Any] = []

    def emit(self, value: Any) -> None:
        """Hold events back until the stage ends."""
        self.emitted.append(copy_value(value))

    def clear(self) -> None:
        """Forget everything."""
        self.commands.clear()
        self.emitted.clear()


@dataclass(slots=True)
class Entry:
    """One registered system. fills: the caches that it fills, if it does nothing else. spareable:
    whether a budget may leave it out. last_ns: wall time of its last run."""

    name: str
    system: System
    bound: BoundSystem
    sink: _Sink
    phase: str
    before: frozenset[str]
    after: frozenset[str]
    every: int | None
    fixed_step: int | None
    run_if: Any
    fills: frozenset[type] = frozenset()
    spareable: bool = False
    last_ns: int = 0


class Schedule:
    """All systems of one world."""

    def __init__(self, world: World, phases: Sequence[str] = DEFAULT_PHASES) -> None:
        if not phases or len(set(phases)) != len(phases):
            raise ScheduleError(f"phases are distinct names, at least one; got {tuple(phases)!r}")
        self.world = world
        self.phases = tuple(phases)
        self.entries: dict[str, Entry] = {}
        self._stages: dict[str, list[list[Entry]]] | None = None
        self._buffers: list[Commands] = []
        self._pool: ThreadPoolExecutor | None = None
        self._left_out: set[str] = set()
        self._resumed: dict[str, Mapping[str, int]] = {}
        self.budget: Budget | None = None

    def __repr__(self) -> str:
        return f"<Schedule of {len(self.entries):,} systems>"

    def _repr_html_(self) -> str:
        return schedule_html(self)

    # -- registration --------------------------------------------------------------------------

    def add(self, system: System, rules: dict[str, Any]) -> None:
        """Register a system. Raises ScheduleError for an unknown phase or a name in use."""
        rules = {**system.rules, **rules}
        phase = rules.get("phase") or ("update" if "update" in self.phases else self.phases[0])
        if phase not in self.phases:
            raise ScheduleError(
                f"system {system.name}: phase {phase!r} is unknown; this world has "
                f"{', '.join(self.phases)}"
            )
        name = rules.get("name") or system.name
        if name in self.entries:
            raise ScheduleError(
                f"a system {name!r} is registered already; give one of them "
                f"add_system(..., name=...)"
            )
        entry = Entry(
            name=name,
            system=system,
            bound=system.bind(self.world, name),
            sink=_Sink(self.world, name),
            phase=phase,
            before=_names(rules.get("before", ())),
            after=_names(rules.get("after", ())),
            every=rules.get("every"),
            fixed_step=rules.get("fixed_step"),
            run_if=rules.get("run_if"),
            fills=filled_by(system),
        )
        self.entries[name] = entry
        try:
            self._stages = None
            named = frozenset().union(*(e.before | e.after for e in self.entries.values()))
            if named <= self.entries.keys():
                self.stages()
        except ScheduleError:
            del self.entries[name]
            self._stages = None
            raise
        for parameter, cursor in self._resumed.pop(name, {}).items():
            if parameter in entry.bound.readers:
                reader = entry.bound.readers[parameter]
                reader.cursor = min(cursor, reader.queue.next)

    def cursors(self) -> dict[str, dict[str, int]]:
        """What each system has seen of the events that it reads, by its name and parameter."""
        held = {name: dict(cursors) for name, cursors in self._resumed.items()}
        for name, entry in self.entries.items():
            readers = entry.bound.readers
            if readers:
                held[name] = {parameter: reader.cursor for parameter, reader in readers.items()}
        return held

    def resume(self, cursors: Mapping[str, Mapping[str, int]]) -> None:
        """Let systems of these names, when they are added, go on reading where they had come."""
        self._resumed = dict(cursors)

    def stages(self) -> dict[str, list[list[Entry]]]:
        """The plan: for each phase its stages, for each stage its systems.

        Raises ScheduleError for an unknown name in `before` or `after`, or a cycle.
        """
        if self._stages is None:
            self._stages = {
                phase: _stage(self._ordered([e for e in self.entries.values() if e.phase == phase]))
                for phase in self.phases
            }
            plan = self._plan()
            self._buffers = [entry.sink.commands for entry in plan]
            for entry in plan:
                entry.spareable = can_be_spared(entry, plan)
        return self._stages

    def buffers(self) -> list[Commands]:
        """The queued commands of all systems, in the order of the plan."""
        self.stages()
        return self._buffers

    def _ordered(self, entries: list[Entry]) -> list[Entry]:
        names = {e.name for e in entries}
        waits: dict[str, set[str]] = {e.name: set() for e in entries}
        for entry in entries:
            for other in entry.before | entry.after:
                self._check_name(entry, other)
            waits[entry.name] |= entry.after & names
            for later in entry.before & names:
                waits[later].add(entry.name)
        ordered: list[Entry] = []
        left = list(entries)
        while left:
            ready = next((e for e in left if not waits[e.name] & {o.name for o in left}), None)
            if ready is None:
                circle = ", ".join(f"{e.name} after {sorted(waits[e.name])}" for e in left)
                raise ScheduleError(f"before/after run in a circle: {circle}; drop one of them")
            left.remove(ready)
            ordered.append(ready)
        return ordered

    def _check_name(self, entry: Entry, other: str) -> None:
        known = self.entries.get(other)
        if known is None:
            raise ScheduleError(
                f"system {entry.name} is ordered against {other!r}, which is not registered; "
                f"registered are {', '.join(self.entries)}"
            )
        here, there = self.phases.index(entry.phase), self.phases.index(known.phase)
        wrong = there > here if other in entry.after else there < here
        if wrong:
            raise ScheduleError(
                f"system {entry.name} (phase {entry.phase}) cannot run "
                f"{'after' if other in entry.after else 'before'} {other} (phase {known.phase})"
            )

    # -- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """One step: every due system, phase by phase."""
        stages = self.stages()
        budget = self.budget  # a system may set another
        if budget is None:
            self._run_phases(stages)
            return
        plan = self._plan()
        due = {entry.name for entry in plan if self._falls_due(entry)}
        self._left_out = budget.left_out(plan, due)
        begin = perf_counter_ns()
        try:
            self._run_phases(stages)
        finally:
            left_out, self._left_out = self._left_out, set()
        budget.record(perf_counter_ns() - begin, left_out)
        telemetry = self.world.telemetry
        if budget is self.budget:
            telemetry.sweeps_every = budget.stretch
        for name in left_out:
            telemetry.of(name).left_out += 1

    def _run_phases(self, phases: dict[str, list[list[Entry]]]) -> None:
        for stages in phases.values():
            for stage in stages:
                self._run_stage(stage)
            self.world.sync()

    def refresh(self, every: bool = False) -> None:
        """Make every sweep that can be spared now, or every one, in the order of the plan."""
        for entry in self._plan():
            if entry.spareable or (every and entry.fills and not entry.fills & self.world.caches):
                self._call(entry)

    def aging(self) -> frozenset[type]:
        """The components whose derived fields what follows may depend on: those that a system may
        read when they are old, since their sweep is not due whenever it is or comes after it, and
        those that a system fills that does more than that."""
        plan = self._plan()
        found = {cls for sweep in plan if read_old(sweep, plan) for cls in sweep.fills}
        for entry in plan:
            if not entry.fills:
                for cls in entry.system.access.writes:
                    made = cls.__dict__.get("__populace__")
                    if made is not None and len(made.persisted) < len(made.fields):
                        found.add(cls)
        return frozenset(found)

    def _plan(self) -> list[Entry]:
        return [e for stages in self.stages().values() for stage in stages for e in stage]

    def _run_stage(self, stage: list[Entry]) -> None:
        due = [e for e in stage if e.name not in self._left_out and self._due(e)]
        if not due:
            return
        try:
            self._run_due(due)
        except BaseException:
            for entry in due:  # what a failed stage queued does not happen
                entry.sink.clear()
            raise
        for entry in due:
            self._emit_held(entry)

    def _run_due(self, due: list[Entry]) -> None:
        world = self.world
        if len(due) == 1 or not self._worth_threads(due):
            for entry in due:
                self._run_entry(entry)
            return
        with world.store.lock("a stage of systems"):
            # Not on this thread, which may do what a system beside others may not.
            self.spread([(self._run_entry, (entry,)) for entry in due], here=False)

    def _emit_held(self, entry: Entry) -> None:
        emitted, entry.sink.emitted = entry.sink.emitted, []
        for value in emitted:
            self.world.emit(value)

    def spread(
        self, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], here: bool = True
    ) -> list[Any]:
        """What independent calls return, in their order, made by this thread and as many others of
        the world's as are free; with here=False by others alone. All are made, then the first error
        in the order given is raised, but an interrupt before any. When this returns, or raises, no
        call goes on.
        Cost: 11 µs where others help, and up to 0.25 ms until one that slept is awake."""
        to_make = list(calls)
        places = iter(range(len(to_make)))  # whose `next` is one step for all threads
        found: list[Any] = [None] * len(to_make)
        errors: list[tuple[bool, int, BaseException]] = []

        def make_calls() -> None:
            for place in places:
                call, arguments = to_make[place]
                try:
                    found[place] = call(*arguments)
                except BaseException as error:
                    errors.append((isinstance(error, Exception), place, error))

        helpers: list[Future[None]] = []
        try:
            n_helpers = min(self.world.threads, len(to_make)) - here
            helpers.extend(self._workers().submit(make_calls) for _ in range(n_helpers))
            if here:
                make_calls()
            else:
                for helper in helpers:
                    helper.result()
        finally:
            for _ in places:
                pass  # what has not begun does not begin
            _wait_for(helpers)
            to_make.clear()  # a helper that was called off holds it until a thread looks at it
        if errors:
            try:
                raise min(errors)[-1]
            finally:
                errors.clear()  # else it, its traceback and this frame would hold each other
        return found

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            enter = self.world.store.workers.add
            self._pool = ThreadPoolExecutor(
                self.world.threads, "populace", lambda: enter(threading.get_ident())
            )
        return self._pool

    def _worth_threads(self, due: list[Entry]) -> bool:
        world = self.world
        if world.threads == 1 or any(e.fixed_step or e.system.access.exclusive for e in due):
            return False
        return sum(entry.bound.rows() for entry in due) >= world.parallel_rows

    def _falls_due(self, entry: Entry) -> bool:
        return entry.every is None or bool(_crossings(self.world.clock, entry.every))

    def _due(self, entry: Entry) -> bool:
        if not self._falls_due(entry):
            return False
        try:
            return entry.run_if is None or bool(entry.run_if(self.world))
        except Exception as error:
            error.add_note(f"in run_if of system {entry.name}, step {self.world.clock.tick}")
            raise

    def _run_entry(self, entry: Entry) -> None:
        if entry.fixed_step is None:
            self._call(entry)
            return
        clock = self.world.clock
        now, dt, step = clock.now, clock.dt, entry.fixed_step
        try:
            for crossing in _crossings(clock, step):
                clock.now, clock.dt = crossing * step, step
                self._call(entry)
                self._emit_held(entry)
                entry.sink.commands.apply()
        finally:
            clock.now, clock.dt = now, dt

    def _call(self, entry: Entry) -> None:
        world, store = self.world, self.world.store
        before = store.locked
        if not entry.system.access.exclusive:
            store.locked = before or f"system {entry.name}"
        readers = entry.bound.readers.values()
        cursors = [reader.cursor for reader in readers]
        begin = perf_counter_ns()
        try:
            tables, rows = entry.bound.run(entry.sink)
            elapsed = entry.last_ns = perf_counter_ns() - begin
            if world.debug and not before:
                world.check()
        except Exception as error:
            for reader, cursor in zip(readers, cursors, strict=True):
                reader.cursor = cursor  # what it could not take up it will see again
            error.add_note(f"in system {entry.name}, step {world.clock.tick}")
            raise
        finally:
            store.locked = before
        world.telemetry.of(entry.name).record(tables, rows, elapsed)

    # -- reading -------------------------------------------------------------------------------

    def plan(self) -> str:
        """The plan in words: phases, stages, and for each system when it runs, what it reads and
        writes, and which earlier system of its phase it has to wait for."""
        lines = []
        for phase, stages in self.stages().items():
            lines.append(f"phase {phase}")
            earlier: list[Entry] = []
            for number, stage in enumerate(stages, 1):
                for entry in stage:
                    lines.append(f"  stage {number}  {_describe(entry)}")
                    for other in earlier:
                        why = entry.system.access.conflict(other.system.access)
                        if why:
                            lines.append(f"           after {other.name}: {why}")
                earlier += stage
            lines.append("  sync     commands are applied")
        return "\n".join(lines)


def _wait_for(helpers: list[Future[None]]) -> None:
    """Until none of them runs any more. An interrupt is raised then, not before."""
    interrupt: KeyboardInterrupt | None = None
    for helper in helpers:
        while not (helper.cancel() or helper.done()):
            try:
                helper.exception()
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def _crossings(clock: Clock, interval: int) -> range:
    """The multiples of `interval` in (now - dt, now], as multipliers."""
    return range((clock.now - clock.dt) // interval + 1, clock.now // interval + 1)


def _stage(ordered: list[Entry]) -> list[list[Entry]]:
    stages: list[list[Entry]] = []
    for entry in ordered:
        together = stages[-1] if stages else None
        # A condition may read anything, so it is asked when all before it is done.
        if together is None or entry.run_if or any(_apart(entry, other) for other in together):
            stages.append([entry])
        else:
            together.append(entry)
    return stages


def _apart(entry: Entry, other: Entry) -> bool:
    ordered = other.name in entry.after or entry.name in other.before
    return ordered or bool(entry.system.access.conflict(other.system.access))


def _names(systems: Any) -> frozenset[str]:
    several = systems if isinstance(systems, (tuple, list, set, frozenset)) else (systems,)
    return frozenset(s if isinstance(s, str) else s.name for s in several)


def accesses(entry: Entry) -> tuple[str, str]:
    """What a system reads and what it writes, in words."""

    def names(classes: set[type]) -> str:
        return ", ".join(sorted(c.__name__ for c in classes if c is not TextPool)) or "-"

    access = entry.system.access
    if access.exclusive:
        return "the whole World", "the whole World"
    return names(access.reads), names(access.writes)


def times(entry: Entry) -> list[str]:
    """When a system runs, in words; nothing where it runs in every step."""
    parts = []
    if entry.every:
        parts.append(f"every {entry.every / 1e6:g} s")
    if entry.fixed_step:
        parts.append(f"fixed step {entry.fixed_step / 1e6:g} s")
    if entry.run_if:
        parts.append(f"if {getattr(entry.run_if, '__name__', 'a condition holds')}")
    return parts


def _describe(entry: Entry) -> str:
    reads, writes = accesses(entry)
    exclusive = entry.system.access.exclusive
    told = "exclusive: the whole World" if exclusive else f"reads {reads}; writes {writes}"
    return "; ".join([f"{entry.name:<24}", told, *times(entry)])
