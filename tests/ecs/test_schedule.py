"""The schedule: order, stages, phases, intervals, conditions, threads, and the plan in words."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import (
    Clock,
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Res,
    ResMut,
    Rows,
    With,
    Without,
    World,
    Write,
    component,
    days,
    event,
    f4,
    hours,
    i4,
    minutes,
    ms,
    seconds,
    system,
    us,
)
from populace.ecs.errors import ScheduleError, StructuralChangeError

from .parts import Asleep, Hungry, refused


@component
class A:
    x: f4 = 0


@component
class B:
    x: f4 = 0


@component
class C:
    x: f4 = 0


@event
class Ping:
    n: i4 = 0


@dataclass
class Total:
    n: int = 0


def logger(log, name, **rules):
    """A system that only notes its name."""

    @system(name=name, **rules)
    def note(clock: Res[Clock]):
        log.append(name)

    return note


def stages(world, phase="update"):
    return [[entry.name for entry in stage] for stage in world.schedule.stages()[phase]]


# -- order ---------------------------------------------------------------------------------------


def test_registration_order_is_kept():
    """Without a word about order systems run as they were registered."""
    log, world = [], World()
    names = ["c", "a", "b", "z", "k"]
    world.add_systems(*(logger(log, name) for name in names))
    world.step(1)
    world.step(1)
    assert log == names * 2


def test_before_and_after():
    """`before` and `after` take systems or names, one or several, and move only what they must."""
    log, world = [], World()
    c = logger(log, "c", after="b")
    a = logger(log, "a")
    b = logger(log, "b", after=(a,))
    d = logger(log, "d", before="a")
    e = logger(log, "e", before=(a, "c"), after=[d])
    world.add_systems(c, a, b, d, e, logger(log, "f"))
    world.step(1)
    assert log == ["d", "e", "a", "b", "c", "f"]


def test_rules_given_at_registration_override_the_decorator():
    """The same system can be registered under other rules and another name."""
    log = []
    world = World()

    @system(every=hours(1), phase="first")
    def note(clock: Res[Clock]):
        log.append(clock.now)

    world.add_system(note, every=hours(2), phase="last", name="note again")
    world.add_system(note)
    world.run(hours(4), step=hours(1))
    assert sorted(log) == [hours(h) for h in (1, 2, 2, 3, 4, 4)]
    assert [e.name for stage in world.schedule.stages()["last"] for e in stage] == ["note again"]


@pytest.mark.parametrize(
    "rules",
    [
        {"a": {"after": "a"}},
        {"a": {"after": "b"}, "b": {"after": "a"}},
        {"a": {"before": "b"}, "b": {"before": "c"}, "c": {"before": "a"}},
        {"a": {"before": "b", "after": "b"}, "b": {}},
    ],
)
def test_circles_are_refused(rules):
    """A circle in before/after raises, and names the systems in it."""

    def build_and_step():
        world = World()
        for name, rule in rules.items():
            world.add_system(logger([], name, **rule))
        world.step(1)

    with pytest.raises(ScheduleError, match="circle") as caught:
        build_and_step()
    for name in rules:
        assert name in str(caught.value)


def test_a_refused_system_is_not_registered():
    """After a refusal the schedule is as before, and runs."""
    log, world = [], World()
    world.add_system(logger(log, "a", before="b"))
    world.add_system(logger(log, "b"))
    with refused(world, ScheduleError, "circle"):
        world.add_system(logger(log, "c", after="b", before="a"))
    with refused(world, ScheduleError, "a", "already", "name="):
        world.add_system(logger(log, "a"))
    with refused(world, ScheduleError, "dusk", "first, update, last"):
        world.add_system(logger(log, "d", phase="dusk"))
    world.step(1)
    assert log == ["a", "b"]


def test_an_unknown_name_is_named_when_it_matters():
    """Order against a system that never comes raises at the step, with the names that are there;
    one that comes later is fine."""
    world = World()
    world.add_system(logger([], "a", after="ghost"))
    with pytest.raises(ScheduleError, match=r"a .*'ghost'.*registered"):
        world.step(1)
    world.add_system(logger([], "ghost"))
    world.step(1)


def test_order_over_phases():
    """before/after against another phase must agree with the phases; else it is refused."""
    log, world = [], World()
    world.add_system(logger(log, "late", phase="last", after="early"))
    world.add_system(logger(log, "early", phase="first"))
    world.step(1)
    assert log == ["early", "late"]
    with pytest.raises(
        ScheduleError, match=r"impossible.*\(phase first\).*after.*late.*\(phase last\)"
    ):
        world.add_system(logger(log, "impossible", phase="first", after="late"))


@settings(max_examples=100)
@given(st.data())
def test_any_partial_order_is_respected(data):
    """For any acyclic before/after every edge holds, and the order is the same each time."""
    n = data.draw(st.integers(1, 8))
    order = data.draw(st.permutations(range(n)))
    edges = [
        (order[i], order[j])
        for i in range(n)
        for j in range(i + 1, n)
        if data.draw(st.integers(0, 3)) == 0
    ]
    runs = []
    for _ in range(2):
        log, world = [], World()
        for k in range(n):
            after = [str(a) for a, b in edges if b == k and (a + b) % 2]
            before = [str(b) for a, b in edges if a == k and not (a + b) % 2]
            world.add_system(logger(log, str(k), after=after, before=before))
        world.step(1)
        runs.append(log)
    assert runs[0] == runs[1]
    assert sorted(runs[0]) == [str(k) for k in range(n)]
    for a, b in edges:
        assert runs[0].index(str(a)) < runs[0].index(str(b))
    if not edges:
        assert runs[0] == [str(k) for k in range(n)]


# -- stages --------------------------------------------------------------------------------------


def test_stages_follow_from_what_is_declared():
    """Neighbours that do not conflict share a stage; a conflict, or a word about order, divides."""

    @system
    def read_a(a: Read[A]): ...

    @system
    def read_a_too(a: Read[A], b: Read[B]): ...

    @system
    def write_b(b: Write[B]): ...

    @system
    def write_c(c: Write[C]): ...

    @system
    def after_c(a: Read[A]): ...

    world = World()
    for each in (read_a, read_a_too, write_b, write_c):
        world.add_system(each)
    world.add_system(after_c, after=write_c)
    assert stages(world) == [["read_a", "read_a_too"], ["write_b", "write_c"], ["after_c"]]


CONFLICTS = {
    "read and read": (False, Read[A], Read[A]),
    "read and write": (True, Read[A], Write[A]),
    "write and write": (True, Write[A], Write[A]),
    "two components": (False, Write[A], Write[B]),
    "optional write": (True, Write[A] | None, Read[A]),
    "rows write": (True, Rows[Write[A]], Read[A]),
    "rows read": (False, Rows[Read[A]], Read[A]),
    "rows of disjoint filters": (False, Rows[Write[A], With[B]], Rows[Write[A], Without[B]]),
    "resource read and read": (False, Res[Total], Res[Total]),
    "resource read and write": (True, ResMut[Total], Res[Total]),
    "emit and emit": (True, Emit[Ping], Emit[Ping]),
    "emit and read events": (True, Emit[Ping], Events[Ping]),
    "events and events": (False, Events[Ping], Events[Ping]),
    "commands and commands": (False, Commands, Commands),
    "commands and write": (False, Commands, Write[A]),
    "world and anything": (True, World, Read[A]),
    "world and commands": (True, World, Commands),
    "ids and write": (False, Id, Write[A]),
    "filter and write": (False, With[A], Write[B]),
}


@pytest.mark.parametrize("words", CONFLICTS.values(), ids=CONFLICTS)
def test_what_conflicts(words):
    """Two systems conflict when one writes what the other touches: components, resources,
    events."""
    divided, *annotations = words
    world = World()
    for number, annotation in enumerate(annotations):

        def function(part): ...

        function.__annotations__ = {"part": annotation}
        world.add_system(system(name=f"s{number}")(function))
    assert stages(world) == ([["s0"], ["s1"]] if divided else [["s0", "s1"]])


def test_filters_that_exclude_each_other_do_not_conflict():
    """Writers of one component over disjoint sets of entities may share a stage."""

    @system
    def sleepers(a: Write[A], only: With[Asleep]): ...

    @system
    def wakers(a: Write[A], no: Without[Asleep]): ...

    @system
    def hungry(a: Write[A], only: With[Hungry]): ...

    world = World()
    world.add_systems(sleepers, wakers, hungry)
    assert stages(world) == [["sleepers", "wakers"], ["hungry"]]


def test_optional_parts_do_not_exclude():
    """An optional component excludes nothing: the writers may meet."""

    @system
    def maybe(a: Write[A], b: Read[B] | None): ...

    @system
    def without(a: Write[A], no: Without[B]): ...

    world = World()
    world.add_systems(maybe, without)
    assert stages(world) == [["maybe"], ["without"]]


# -- time ----------------------------------------------------------------------------------------


def test_units_of_time():
    """All are whole microseconds."""
    assert (us(1), ms(1), seconds(1), minutes(1), hours(1), days(1)) == (
        1,
        1_000,
        1_000_000,
        60_000_000,
        3_600_000_000,
        86_400_000_000,
    )
    assert seconds(1.5) == 1_500_000
    assert isinstance(hours(0.1), int)


def test_the_clock():
    """now, dt and tick move with each step; seconds and dt_s read them in seconds."""
    world = World()
    seen = []

    @system
    def look(clock: Res[Clock]):
        seen.append((clock.now, clock.dt, clock.tick, clock.seconds, clock.dt_s))

    world.add_system(look)
    world.step(seconds(2))
    world.step(seconds(0.5))
    world.step(0)
    assert seen == [
        (2_000_000, 2_000_000, 1, 2.0, 2.0),
        (2_500_000, 500_000, 2, 2.5, 0.5),
        (2_500_000, 0, 3, 2.5, 0.0),
    ]


def test_run_takes_whole_steps_and_a_rest():
    """`run` reaches the time exactly: the last step may be shorter; progress is told each time."""
    world = World()
    seen = []
    world.run(hours(2.5), step=hours(1), progress=lambda w: seen.append((w.clock.now, w.clock.dt)))
    assert seen == [
        (hours(1), hours(1)),
        (hours(2), hours(1)),
        (hours(2.5), hours(0.5)),
    ]
    world.run(0, step=1)
    assert world.clock.tick == 3


@pytest.mark.parametrize("dt", [-1, 1.0, None, "1", True, float("nan")])
def test_a_step_is_a_whole_number(dt):
    """A step backwards, a fraction or no number at all is refused before anything runs."""
    world = World()
    with refused(world, ScheduleError, dt):
        world.step(dt)
    with refused(world, ScheduleError, dt):
        world.run(10, step=dt)
    with refused(world, ScheduleError):
        world.run(10, step=0)


def test_every():
    """`every=` runs in each step that crosses a multiple, once, whatever the step."""

    def ticks(step, n):
        world, seen = World(), []

        @system(every=hours(1))
        def note(clock: Res[Clock]):
            seen.append(clock.now)

        world.add_system(note)
        for _ in range(n):
            world.step(step)
        return seen

    assert ticks(hours(1), 3) == [hours(1), hours(2), hours(3)]
    assert ticks(minutes(20), 7) == [hours(1), hours(2)]
    assert ticks(minutes(40), 6) == [minutes(80), minutes(120), minutes(200), minutes(240)]
    assert ticks(hours(5), 2) == [hours(5), hours(10)]


def test_fixed_step():
    """`fixed_step=` runs once for each multiple that a step crosses, with the clock at it."""
    world, seen, after = World(), [], []

    @system(fixed_step=minutes(10))
    def note(clock: Res[Clock]):
        seen.append((clock.now, clock.dt))

    @system
    def later(clock: Res[Clock]):
        after.append((clock.now, clock.dt))

    world.add_systems(note, later)
    world.step(minutes(25))
    world.step(minutes(3))
    world.step(minutes(12))
    assert seen == [(minutes(k * 10), minutes(10)) for k in (1, 2, 3, 4)]
    assert after == [
        (minutes(25), minutes(25)),
        (minutes(28), minutes(3)),
        (minutes(40), minutes(12)),
    ]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 30))
def test_fixed_steps_do_not_depend_on_the_step(steps, interval):
    """The sequence of fixed steps depends on the time passed alone."""

    def run(steps):
        world, seen = World(), []

        @system(fixed_step=interval)
        def note(clock: Res[Clock]):
            seen.append(clock.now)

        world.add_system(note)
        for step in steps:
            world.step(step)
        return seen

    assert run(steps) == run([1] * sum(steps)) == list(range(interval, sum(steps) + 1, interval))


def test_the_clock_is_right_again_after_a_failed_fixed_step():
    """A fixed step that raises leaves the clock at the world's time."""
    world = World()

    @system(fixed_step=3)
    def fails(clock: Res[Clock]):
        raise RuntimeError

    world.add_system(fails)
    with pytest.raises(RuntimeError):
        world.step(10)
    assert (world.clock.now, world.clock.dt) == (10, 10)


def test_run_if():
    """`run_if` gets the world and decides in each step; conditions combine with `every`."""
    log, world = [], World()
    world.add_system(logger(log, "odd", run_if=lambda w: w.clock.tick % 2 == 1))
    world.add_system(logger(log, "populated", run_if=lambda w: len(w) > 0))
    world.add_system(logger(log, "both", every=2, run_if=lambda w: w.clock.tick != 4))
    world.step(1)
    world.spawn(1)
    for _ in range(3):
        world.step(1)
    assert log == ["odd", "populated", "both", "odd", "populated", "populated"]


def test_an_error_in_run_if_names_the_system():
    """A condition that raises is told apart from the others, and leaves the world open."""
    world = World()
    world.add_system(logger([], "whenever", run_if=lambda w: 1 // 0))
    with pytest.raises(ZeroDivisionError) as caught:
        world.step(1)
    assert any("whenever" in note for note in getattr(caught.value, "__notes__", []))
    world.spawn(1)
    world.check()


# -- phases --------------------------------------------------------------------------------------


def test_phases_run_in_order():
    """first, update, last; update unless said otherwise."""
    log, world = [], World()
    for name, phase in (("z", "last"), ("m", None), ("a", "first"), ("n", "update")):
        world.add_system(logger(log, name), **({"phase": phase} if phase else {}))
    world.step(1)
    assert log == ["a", "m", "n", "z"]


def test_a_world_can_have_its_own_phases():
    """Named phases replace the three; systems without one go to update, or to the first."""
    log = []
    world = World(phases=("sense", "think", "act"))
    world.add_system(logger(log, "c", phase="act"))
    world.add_system(logger(log, "b", phase="think"))
    world.add_system(logger(log, "a"))
    world.step(1)
    assert log == ["a", "b", "c"]
    for wrong in ((), ("a", "a")):
        with pytest.raises(ScheduleError, match="phases"):
            World(phases=wrong)


def test_commands_of_a_phase_are_seen_by_the_next():
    """The sync point lies at the end of each phase."""
    counts, world = [], World()

    @system(phase="first")
    def spawn(commands: Commands):
        commands.spawn(2, A)

    @system
    def count(rows: Rows[Read[A]]):
        counts.append(rows.count())

    world.add_systems(count, spawn)
    world.step(1)
    world.step(1)
    assert counts == [2, 4]


# -- the plan ------------------------------------------------------------------------------------


def test_the_plan_in_words():
    """The plan names phases, stages, what each system reads and writes, when it runs, and for whom
    it waits, and why."""

    def dusk(world):
        return True

    @system(every=hours(1))
    def grow(a: Write[A], b: Read[B]): ...

    @system(fixed_step=seconds(2), run_if=dusk)
    def fade(a: Write[A]): ...

    @system(phase="last")
    def rule(world: World): ...

    world = World()
    world.add_systems(grow, fade, rule)
    plan = world.schedule.plan()
    lines = {
        name: next(s for s in plan.splitlines() if f" {name} " in s)
        for name in ("grow", "fade", "rule")
    }
    assert plan.index("phase first") < plan.index("phase update") < plan.index("phase last")
    assert "stage 1" in lines["grow"]
    assert "reads B; writes A" in lines["grow"]
    assert "every 3600 s" in lines["grow"]
    assert "stage 2" in lines["fade"]
    assert "fixed step 2 s" in lines["fade"]
    assert "dusk" in lines["fade"]
    assert "exclusive" in lines["rule"]
    assert "after grow: both touch A" in plan
    assert plan.count("commands are applied") == 3


# -- threads -------------------------------------------------------------------------------------


def threaded(threads=2):
    world = World(threads=threads)
    world.parallel_rows = 0
    return world


def test_systems_of_a_stage_run_at_the_same_time():
    """With threads two systems of one stage meet at a barrier, which one thread could not pass."""
    barrier, met = threading.Barrier(2), []
    world = threaded()
    world.spawn(4, A, B)

    @system
    def one(a: Write[A]):
        met.append(barrier.wait(30))
        a.x += 1

    @system
    def two(b: Write[B]):
        met.append(barrier.wait(30))
        b.x += 2

    world.add_systems(one, two)
    world.step(1)
    assert sorted(met) == [0, 1]
    assert world.query(A).gather(A.x).tolist() == [1] * 4
    assert world.query(B).gather(B.x).tolist() == [2] * 4


def test_conflicting_systems_never_overlap():
    """Systems that touch the same component run one after the other, with any number of threads."""
    world = threaded(4)
    world.spawn(3, A)
    running, worst = [], []

    def make(k):
        @system(name=f"s{k}")
        def work(a: Write[A]):
            running.append(k)
            worst.append(len(running))
            a.x = a.x * 2 + k
            running.remove(k)

        return work

    world.add_systems(*(make(k) for k in range(6)))
    world.step(1)
    assert max(worst) == 1
    expected = 0
    for k in range(6):
        expected = expected * 2 + k
    assert world.query(A).gather(A.x).tolist() == [expected] * 3


def test_small_stages_stay_on_one_thread():
    """Below `parallel_rows` rows the caller's thread does everything; from there on each system of
    a stage can wait for the other, and none is on the caller's thread, which holds the world."""

    def threads_of(parallel_rows, meet):
        used = []
        world = World(threads=2)
        world.parallel_rows = parallel_rows
        world.spawn(10, A, B)

        @system
        def one(a: Read[A]):
            meet()
            used.append(threading.get_ident())

        @system
        def two(b: Read[B]):
            meet()
            used.append(threading.get_ident())

        world.add_systems(one, two)
        world.step(1)
        return used

    here = threading.get_ident()
    assert threads_of(21, lambda: None) == [here, here]
    used = threads_of(20, threading.Barrier(2, timeout=60).wait)
    assert len({here, *used}) == 3


def test_calls_are_shared_by_as_many_threads_as_the_world_has():
    """What they return comes in their order, whoever made them; with one thread all in turn."""
    together = threading.Barrier(3, timeout=60)

    def call(number):
        together.wait()
        return number, threading.get_ident()

    told = World(threads=3).schedule.spread([(call, (number,)) for number in range(6)])
    assert [number for number, _ in told] == list(range(6))
    assert len({who for _, who in told}) == 3
    alone = World().schedule.spread([(lambda: threading.get_ident(), ())] * 5)
    assert alone == [threading.get_ident()] * 5
    assert World(threads=2).schedule.spread([]) == []


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_all_calls_are_made_before_the_first_error_is_raised(threads):
    """The first in the order given, whichever came first."""
    made = []

    def call(number):
        if number == 2:
            time.sleep(0.01)
        made.append(number)
        if number in (2, 4):
            raise ValueError(number)

    with pytest.raises(ValueError, match="2"):
        World(threads=threads).schedule.spread([(call, (number,)) for number in range(7)])
    assert sorted(made) == list(range(7))


def test_an_interrupt_is_raised_before_errors():
    """Whatever came first: who pressed Ctrl-C is not told of something else."""

    def call(number):
        raise KeyboardInterrupt if number == 3 else ValueError(number)

    with pytest.raises(KeyboardInterrupt):
        World(threads=2).schedule.spread([(call, (number,)) for number in range(5)])


def test_where_no_thread_can_be_had_nothing_goes_on(monkeypatch):
    """A call that a helper had begun is over when the error is told, and no other begins."""
    schedule, begun, done = World(threads=3).schedule, threading.Event(), []

    def call(number):
        begun.set()
        time.sleep(0.02)
        done.append(number)

    class Workers:
        """One thread, and none after it."""

        asked = 0

        def submit(self, function):
            self.asked += 1
            if self.asked == 2:
                begun.wait(60)
                raise RuntimeError("can't start new thread")
            return pool.submit(function)

    with ThreadPoolExecutor(1) as pool:
        workers = Workers()
        monkeypatch.setattr(schedule, "_workers", lambda: workers)
        with pytest.raises(RuntimeError, match="new thread"):
            schedule.spread([(call, (number,)) for number in range(50)])
        so_far = list(done)
        time.sleep(0.05)
    assert done == so_far
    assert 0 < len(done) < 50


def test_what_was_spread_is_held_by_nobody():
    """Columns that calls were given are free again, though a helper never came to look."""

    class Column:
        """Something to be referred to."""

    world, column = World(threads=2), Column()
    gone = weakref.ref(column)
    world.schedule.spread([(lambda column: None, (column,))] * 2)
    del column
    assert gone() is None


def test_calls_may_spread_calls_of_their_own():
    """To any depth: who finds all threads busy makes them itself."""
    schedule = World(threads=2).schedule

    def count(depth):
        if not depth:
            return 1
        return sum(schedule.spread([(count, (depth - 1,))] * 3))

    assert count(5) == 3**5


def test_structure_is_locked_on_every_thread():
    """A structural call from a system on another thread is refused too."""
    world = threaded()
    world.spawn(4, A, B)
    refusals = []

    def make(cls):
        @system(name=f"on {cls.__name__}")
        def meddle(part: Read[cls]):
            with pytest.raises(StructuralChangeError):
                world.spawn(1, C)
            refusals.append(cls)

        return meddle

    world.add_systems(make(A), make(B))
    world.step(1)
    assert set(refusals) == {A, B}
    assert world.query(C).count() == 0
    world.spawn(1, C)


def test_an_error_on_a_thread_reaches_the_caller():
    """The first error in the order of the plan is raised, with the system's name; the world is open
    again and whole."""
    world = threaded()
    world.spawn(4, A, B)

    @system
    def good(a: Write[A]):
        a.x += 1

    @system
    def bad(b: Write[B]):
        raise RuntimeError("no luck")

    world.add_systems(good, bad)
    with pytest.raises(RuntimeError, match="no luck") as caught:
        world.step(1)
    assert any("bad" in note for note in caught.value.__notes__)
    world.spawn(1, A)
    world.check()


def test_commands_and_events_of_threads_come_in_the_order_of_the_plan():
    """Whichever thread is done first, the plan decides the order of spawns and events."""

    def run(threads, slow):
        world = threaded(threads)
        world.spawn(2, A, B)
        gate, seen = threading.Event(), []

        def make(cls, n):
            @system(name=cls.__name__)
            def work(part: Read[cls], commands: Commands):
                if slow == n:
                    assert gate.wait(30)
                gate.set() if slow else None
                commands.spawn(n, C(x=n))

            return work

        world.add_systems(make(A, 1), make(B, 2))
        for _ in range(2):
            world.step(1)
            seen.append(world.query(C).ids().tolist())
            gate.clear()
        assert world.get(sorted(seen[-1]), C.x).tolist() == [1, 2, 2, 1, 2, 2]
        return world.digest(), seen

    assert run(1, 0) == run(2, 1) == run(2, 2)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, None])
def test_threads_is_a_whole_number(threads):
    """At least one."""
    with pytest.raises(ScheduleError, match="threads"):
        World(threads=threads)


def test_entities_named_by_events_may_die():
    """An event may name who has died since: it is read as it was emitted."""

    @event
    class Met:
        who: Entity

    world = World()
    ids = world.spawn(2)
    reader = world.events(Met)
    world.emit(Met(who=ids))
    world.despawn(ids[0])
    assert np.array_equal(reader.read().who, ids)
