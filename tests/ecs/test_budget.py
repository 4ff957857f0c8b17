"""Budgets: under load caches are filled less often, and no result depends on it.

Time is not measured here: systems let a clock of the test's own go on.
"""

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
    Rng,
    Rows,
    Text,
    With,
    Without,
    World,
    Write,
    component,
    days,
    event,
    f4,
    field,
    hours,
    i8,
    kernel,
    system,
)
from populace.components import (
    Capacity,
    Memory,
    Observed,
    Persona,
    Pinned,
    Recalled,
    Retentiveness,
    Stream,
    Strength,
    Trace,
)
from populace.ecs import column_sweep, jit
from populace.ecs.budget import RAREST, filled_by
from populace.ecs.errors import ResourceError, ScheduleError, StructuralChangeError
from populace.systems import (
    Pruning,
    Reinforcement,
    Retention,
    Room,
    forget,
    form_memories,
    make_room,
    refresh_strength,
    reinforce,
    strengths_of,
)

from .parts import Asleep, Position, refused

MS = 1_000_000  # ns


@component
class Count:
    """State, which no budget may change."""

    n: i8 = 0


@component
class Cache:
    value: f4 = field(derived=True)


@component
class Far:
    """A cache that is made of another cache."""

    value: f4 = field(derived=True)


@component
class Farther:
    """A cache that is made of others."""

    value: f4 = field(derived=True)


@component
class Mixed:
    kept: f4 = 0
    cached: f4 = field(derived=True)


@component
class Caption:
    text: Text = field(derived=True)


@event
class Shout:
    who: Entity


@pytest.fixture
def wall(monkeypatch):
    """The time by which the schedule measures, in ns; it goes on only where a test says so."""
    time = Wall()
    monkeypatch.setattr("populace.ecs.schedule.perf_counter_ns", lambda: time.now)
    return time


class Wall:
    """The wall clock of a test."""

    def __init__(self):
        self.now = 0

    def takes(self, ms):
        self.now += round(ms * MS)


def small(*systems, threads=1):
    """Three entities with state and caches, and these systems."""
    world = World(threads=threads)
    world.parallel_rows = 1
    world.spawn(3, Count, Cache, Far)
    world.add_systems(*systems)
    return world


def stretched(world, stretch):
    """As if steps had taken so long that sweeps are made only each so many times."""
    world.set_budget(1)
    world.schedule.budget.stretch = stretch
    world.schedule.budget.record = lambda *_: None
    return world


def counts(world):
    return world.query(Count).gather(Count.n).tolist()


def cached(world, cls=Cache):
    return world.query(cls).gather(cls.value).tolist()


def calls(world, name):
    return world.telemetry.of(name).calls


@system
def sweep(count: Read[Count], cache: Write[Cache], clock: Res[Clock]):
    """Fill the cache with the time."""
    cache.value = clock.now


@system
def read_it(cache: Read[Cache], count: Write[Count]):
    """Something that happens, and depends on the cache."""
    count.n += cache.value.astype(np.int64)


def timed(wall, loads):
    """A system that takes time but fills nothing, and a sweep that takes time: as `loads` says."""

    @system
    def work():
        wall.takes(loads["work"])

    @system
    def fill(count: Read[Count], cache: Write[Cache], clock: Res[Clock]):
        wall.takes(loads["fill"])
        cache.value = clock.now

    return work, fill


# -- what a sweep is -----------------------------------------------------------------------------


def sweeps():
    """(id, system, what it fills)."""

    @system
    def array(count: Read[Count], cache: Write[Cache]): ...

    @system
    def two_caches(cache: Write[Cache], far: Write[Far], clock: Res[Clock]): ...

    @system
    def optional(count: Read[Count], cache: Write[Cache] | None): ...

    @system
    def in_rows(rows: Rows[Read[Count], Write[Cache], Without[Asleep]]): ...

    @system
    def with_rest(
        ids: Id, cache: Write[Cache], rng: Rng, events: Events[Shout], o: With[Asleep]
    ): ...

    @kernel
    def compiled(count: Read[Count], cache: Write[Cache]):
        cache.value = f4(count.n)

    columns = column_sweep("columns", (Count.n,), Cache.value, (Clock,), lambda world: None)
    return [
        (array, {Cache}), (two_caches, {Cache, Far}), (optional, {Cache}), (in_rows, {Cache}),
        (with_rest, {Cache}), (compiled, {Cache}), (columns, {Cache}),
        (refresh_strength, {Strength}),
    ]  # fmt: skip


def others():
    """Systems that do more than filling caches, or do not fill any."""

    @system
    def state(count: Write[Count]): ...

    @system
    def state_and_cache(count: Write[Count], cache: Write[Cache]): ...

    @system
    def optional_state(count: Write[Count] | None, cache: Write[Cache]): ...

    @system
    def state_in_rows(rows: Rows[Write[Count], Write[Cache]]): ...

    @system
    def mixed(mixed: Write[Mixed]): ...

    @system
    def tag(asleep: Write[Asleep], cache: Write[Cache]): ...

    @system
    def text(caption: Write[Caption]): ...

    @system
    def commands(cache: Write[Cache], commands: Commands): ...

    @system
    def emit(cache: Write[Cache], emit: Emit[Shout]): ...

    @system
    def resource(cache: Write[Cache], clock: ResMut[Clock]): ...

    @system
    def everything(world: World): ...

    @system
    def reading(cache: Read[Cache], clock: Res[Clock]): ...

    @system
    def nothing(): ...

    @kernel
    def compiled(count: Write[Count], cache: Write[Cache]):
        count.n += 1
        cache.value = f4(count.n)

    return [
        state, state_and_cache, optional_state, state_in_rows, mixed, tag, text, commands, emit,
        resource, everything, reading, nothing, compiled, read_it, forget, make_room,
        form_memories, reinforce,
    ]  # fmt: skip


@pytest.mark.parametrize(("made", "fills"), sweeps(), ids=lambda p: getattr(p, "name", ""))
def test_a_sweep_writes_derived_fields_and_nothing_else(made, fills):
    """Whatever it reads, by whatever kind of parameter."""
    assert filled_by(made) == fills


@pytest.mark.parametrize("made", others(), ids=lambda made: made.name)
def test_whatever_else_a_system_does_it_is_no_sweep(made):
    """Not with state, tags, texts, commands, events, resources or the World to write."""
    assert filled_by(made) == frozenset()


@pytest.mark.parametrize("made", others(), ids=lambda made: made.name)
def test_no_other_system_is_ever_left_out(made):
    """However far over its budget a step is, all that is not a sweep runs whenever it is due."""
    world = small()
    world.spawn(2, Asleep, Cache, Mixed, Caption)
    for law in (Retention(), Pruning(), Room(), Reinforcement()):
        world.insert(law)
    world.add_system(made)
    stretched(world, RAREST)
    for _ in range(5):
        world.step(1)
    assert (calls(world, made.name), world.telemetry.of(made.name).left_out) == (5, 0)


# -- how often -----------------------------------------------------------------------------------


def test_without_a_budget_every_sweep_is_made(wall):
    """However long it takes."""
    world = small(*timed(wall, {"work": 1e6, "fill": 1e6}))
    for _ in range(10):
        world.step(1)
    assert calls(world, "fill") == 10
    assert (world.telemetry.sweeps_every, world.telemetry.of("fill").left_out) == (1, 0)


@pytest.mark.parametrize(
    ("limit", "every"),
    [
        (19, 1), (18, 1), (17.9, 2), (14, 2), (13, 4), (12, 4), (11, 8), (10.9, 16), (10.1, RAREST),
        (9, RAREST),
    ],
)  # fmt: skip
def test_as_often_as_the_budget_allows(wall, limit, every):
    """Work of 10 ms and a sweep of 8 ms: made every k-th time, k the least power of two at which
    the mean step, 10 + 8 / k ms, is within the limit."""
    world = small(*timed(wall, {"work": 10, "fill": 8}))
    world.set_budget(limit / 1000)
    world.run(100, step=1)
    assert world.telemetry.sweeps_every == every
    before, begin = calls(world, "fill"), wall.now
    world.run(128, step=1)
    assert calls(world, "fill") - before == 128 // every
    assert wall.now - begin == 128 * 10 * MS + 128 // every * 8 * MS
    assert wall.now - begin <= 128 * limit * MS or limit < 10 + 8 / RAREST
    stats = world.telemetry.of("fill")
    assert stats.calls + stats.left_out == 228
    assert calls(world, "work") == 228


def test_a_sweep_is_never_older_than_64_turns(wall):
    """Where no stretch is enough, as under a budget of next to nothing."""
    world = small(*timed(wall, {"work": 1000, "fill": 1000}))
    world.set_budget(1e-9)
    oldest = 0
    for _ in range(300):
        world.step(1)
        oldest = max(oldest, int(world.clock.now - cached(world)[0]))
    assert RAREST == 64
    assert 32 <= oldest < RAREST


def test_they_are_made_again_when_there_is_time(wall):
    """Load comes and goes: sweeps are spared while it lasts, and made at each step afterwards."""
    loads = {"work": 1, "fill": 5}
    world = small(*timed(wall, loads))
    world.set_budget(0.010)
    world.run(20, step=1)
    assert (world.telemetry.sweeps_every, calls(world, "fill")) == (1, 20)
    loads["work"] = 50
    world.run(20, step=1)
    assert world.telemetry.sweeps_every == RAREST
    assert calls(world, "fill") < 30
    loads["work"] = 1
    world.run(100, step=1)
    assert world.telemetry.sweeps_every == 1
    before = calls(world, "fill")
    world.run(20, step=1)
    assert calls(world, "fill") - before == 20
    assert cached(world) == [world.clock.now] * 3


def test_one_slow_step_is_not_a_load(wall):
    """The mean counts: after a single step of 30 ms sweeps are soon made as before."""
    loads = {"work": 1, "fill": 1}
    world = small(*timed(wall, loads))
    world.set_budget(0.010)
    world.run(10, step=1)
    loads["work"] = 30
    world.step(1)
    loads["work"] = 1
    world.run(10, step=1)
    assert world.telemetry.sweeps_every == 1
    assert world.telemetry.of("fill").left_out <= 10


def test_the_mean_counts_not_the_longest(wall):
    """Steps of 1 and 17 ms by turns take 9 ms in the mean: within 12 ms there is room for all."""
    loads = {"work": 9, "fill": 0.5}
    world = small(*timed(wall, loads))
    world.set_budget(0.012)
    for k in range(60):
        world.step(1)
        loads["work"] = (1, 17)[k % 2]
    assert world.telemetry.of("fill").left_out == 0


def test_it_does_not_swing(wall):
    """Under a steady load the stretch settles and stays, also next to a bound."""
    for limit in np.linspace(10.2, 18.2, 41):
        world = small(*timed(wall, {"work": 10, "fill": 8}))
        world.set_budget(float(limit) / 1000)
        world.run(100, step=1)
        settled = world.telemetry.sweeps_every
        seen = set()
        for _ in range(100):
            world.step(1)
            seen.add(world.telemetry.sweeps_every)
        assert seen == {settled}


def test_sweeps_take_turns(wall):
    """Of two sweeps that are each made every second time, one is made at each step."""
    made = []

    def of(cls, name):
        @system(name=name)
        def fill(count: Read[Count], cache: Write[cls]):
            made.append((wall.step, name))
            wall.takes(4)

        return fill

    world = small(of(Cache, "one"), of(Far, "other"))
    world.set_budget(0.006)
    for wall.step in range(30):
        world.step(1)
    assert world.telemetry.sweeps_every == 2
    late = [step for step, _ in made if step >= 10]
    assert late == list(range(10, 30))


def test_a_longer_time_is_counted_when_the_sweep_is_made(wall):
    """A sweep that has grown is left out more often, one that has shrunk less."""
    loads = {"work": 1, "fill": 2}
    world = small(*timed(wall, loads))
    world.set_budget(0.010)
    for fill, every in ((2, 1), (16, 2), (64, 8), (2, 1)):
        loads["fill"] = fill
        world.run(200, step=1)
        assert world.telemetry.sweeps_every == every


# -- when a sweep is needed ----------------------------------------------------------------------


def results(*plan, steps=12, dt=1):
    """State and digest after some steps, for every stretch. plan: (system, its rules)."""
    found = []
    for stretch in (None, 2, 4, RAREST):
        world = small()
        for made, rules in plan:
            world.add_system(made, **rules)
        if stretch is not None:
            stretched(world, stretch)
        for _ in range(steps):
            world.step(dt)
        found.append((counts(world), world.digest()))
    return found


def readers():
    """Systems whose state depends on a cache, each by another way."""

    @system
    def array(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system
    def optional(cache: Read[Cache] | None, count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system
    def rows(rows: Rows[Read[Cache], Write[Count]]):
        for cache, count in rows:
            count.n += cache.value.astype(np.int64)

    @kernel
    def compiled(cache: Read[Cache], count: Write[Count]):
        count.n += int(cache.value)

    @system
    def writing(cache: Write[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)
        cache.value = -7

    @system(phase="last")
    def later(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(phase="first")
    def earlier(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(before="sweep")
    def just_before(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(every=3)
    def seldom(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(every=3, phase="first")
    def seldom_and_earlier(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(run_if=lambda world: world.clock.tick % 3 == 1)
    def sometimes(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system(fixed_step=2)
    def in_steps(cache: Read[Cache], count: Write[Count]):
        count.n += cache.value.astype(np.int64)

    @system
    def by_command(ids: Id, cache: Read[Cache], commands: Commands):
        commands.set(ids, Count(n=cache.value.astype(np.int64)))

    return [
        array, optional, rows, compiled, writing, later, earlier, just_before, seldom,
        seldom_and_earlier, sometimes, in_steps, by_command,
    ]  # fmt: skip


def odd(world):
    """A condition: at every second step."""
    return world.clock.tick % 2 == 1


RHYTHMS = [{}, {"every": 2}, {"every": 3}, {"every": 5}, {"run_if": odd}]


@pytest.mark.parametrize("rules", RHYTHMS, ids=lambda rules: "".join(rules) or "always")
@pytest.mark.parametrize("sweep_first", [True, False], ids=["behind it", "before it"])
@pytest.mark.parametrize("reader", readers(), ids=lambda made: made.name)
def test_a_reader_sees_what_it_would_have_seen(reader, sweep_first, rules):
    """Whoever reads a cache, before or after the sweep, in whatever rhythm of the two, finds in it
    the same as without a budget."""
    for dt in (1, 2, 7):
        plan = [(sweep, rules), (reader, {})]
        found = results(*(plan if sweep_first else plan[::-1]), dt=dt)
        assert found[1:] == found[:1] * 3
        assert any(found[0][0])


def test_a_sweep_is_made_where_a_reader_may_run():
    """A reader that is due, even if its condition says no, needs the sweep; in other steps it is
    left out."""

    @system(every=4)
    def reader(cache: Read[Cache], count: Write[Count]): ...

    @system(every=3, run_if=lambda world: False)
    def never(cache: Read[Cache], count: Write[Count]): ...

    world = stretched(small(sweep, reader, never), RAREST)
    fresh = []
    for _ in range(13):
        world.step(1)
        if cached(world)[0] == world.clock.now:
            fresh.append(world.clock.now)
    assert set(fresh) - {1} == {3, 4, 6, 8, 9, 12}  # 1: its own turn
    assert calls(world, "sweep") == len(fresh)


def test_a_sweep_that_another_sweep_needs():
    """A cache of a cache: when the second is made the first is made before it."""

    @system
    def beyond(cache: Read[Cache], far: Write[Far]):
        far.value = cache.value * 2

    world = stretched(small(sweep, beyond), 4)
    for _ in range(20):
        before = calls(world, "beyond")
        world.step(1)
        if calls(world, "beyond") > before:
            assert cached(world, Far) == [2 * world.clock.now] * 3
            assert cached(world) == [world.clock.now] * 3
    assert calls(world, "beyond") == 5
    assert 5 <= calls(world, "sweep") <= 10

    @system
    def reader(far: Read[Far], count: Write[Count]):
        count.n += far.value.astype(np.int64)

    found = results((sweep, {}), (beyond, {}), (reader, {}))
    assert found[1:] == found[:1] * 3
    world = stretched(small(sweep, beyond, reader), 4)
    world.run(10, step=1)
    assert (calls(world, "sweep"), calls(world, "beyond")) == (10, 10)


def test_two_sweeps_of_one_column():
    """One that refines what another has filled always finds it filled."""

    @system
    def refine(cache: Write[Cache]):
        cache.value = cache.value * 2

    for stretch in (1, 2, 4, RAREST):
        world = stretched(small(sweep, refine), stretch)
        for _ in range(10):
            world.step(1)
            assert cached(world)[0] % 2 == 0
            assert cached(world)[0] <= 2 * world.clock.now
        world.step(1)
    assert calls(world, "sweep") == calls(world, "refine")


def test_sweeps_with_a_rhythm_are_left_out_of_it(wall):
    """`every` counts the times at which it is due, not steps."""
    world = stretched(small(), 2)
    world.add_system(sweep, every=3)
    fresh = []
    for _ in range(36):
        world.step(1)
        if cached(world)[0] == world.clock.now:
            fresh.append(world.clock.now)
    assert (np.diff(fresh) == 6).all()
    stats = world.telemetry.of("sweep")
    assert (stats.calls, stats.left_out) == (6, 6)


def test_sweeps_in_fixed_steps_are_left_alone(wall):
    """They are made for each of their steps, under any load."""
    seen = []
    world = small(*timed(wall, {"work": 1000, "fill": 1000}))

    @system(fixed_step=2)
    def fixed(count: Read[Count], far: Write[Far], clock: Res[Clock]):
        seen.append(clock.now)
        far.value = clock.now

    world.add_system(fixed)
    world.set_budget(1e-6)
    world.run(60, step=3)
    assert seen == list(range(2, 61, 2))
    assert world.telemetry.of("fixed").left_out == 0
    assert world.telemetry.of("fill").left_out > 0


# -- refresh -------------------------------------------------------------------------------------


def test_refresh_fills_every_cache_for_now():
    """Those left out, those not due, in the order of the plan; and nothing else happens."""
    order = []

    @system(every=days(1))
    def seldom(count: Read[Count], cache: Write[Strength]):
        order.append("seldom")

    @system
    def happen(count: Write[Count], emit: Emit[Shout], ids: Id):
        order.append("happen")
        count.n += 1
        emit(Shout(who=ids))

    @system
    def fill(count: Read[Count], cache: Write[Cache]):
        order.append("fill")
        cache.value = count.n

    world = small()
    world.spawn(1, Count, Strength)
    world.add_systems(happen, fill, seldom)
    stretched(world, RAREST)
    world.run(5, step=1)
    order.clear()
    shouts = world.events(Shout)
    heard = len(shouts)
    before, clock, ticks = world.digest(), repr(world.clock), world.telemetry.steps
    assert cached(world) != [5] * 3
    world.refresh()
    assert cached(world) == [5] * 3
    assert order == ["fill", "seldom"]
    assert (world.digest(), repr(world.clock), world.telemetry.steps) == (before, clock, ticks)
    assert len(shouts) == heard
    world.query(Count).set(Count(n=50))
    world.refresh()
    assert cached(world) == [50] * 3


def test_refresh_without_a_budget_or_without_sweeps():
    """It may be called at any time; an empty world has nothing to fill."""
    World().refresh()
    world = small(read_it)
    world.refresh()
    assert counts(world) == [0] * 3
    world = small(sweep)
    world.clock.now = 77
    world.refresh()
    assert cached(world) == [77] * 3


def test_refresh_changes_no_result():
    """Whether somebody looks in between is nothing to those who read a cache."""

    def run(rules, reader, look):
        world = small()
        world.add_system(sweep, **rules)
        world.add_system(reader)
        for _ in range(12):
            world.step(1)
            if look:
                world.refresh()
        return counts(world), world.digest()

    for rules in RHYTHMS:
        for reader in readers():
            assert run(rules, reader, True) == run(rules, reader, False), (rules, reader)


def test_refresh_leaves_no_column_half_made():
    """Where a sweep refines what another fills, both are made, or neither."""

    @system
    def refine(cache: Write[Cache]):
        cache.value = cache.value * 2

    world = small(sweep, refine)
    world.step(3)
    assert cached(world) == [6] * 3
    world.refresh()
    assert cached(world) == [6] * 3


def test_refresh_is_not_for_systems():
    """Inside a system it is refused; an error of a sweep comes out with its name."""

    @system
    def look(count: Read[Count]):
        world.refresh()

    world = small(look)
    with pytest.raises(StructuralChangeError, match="refresh"):
        world.step(1)

    @system
    def broken(count: Read[Count], far: Write[Far]):
        raise ZeroDivisionError

    world = small(broken)
    with pytest.raises(ZeroDivisionError) as caught:
        world.refresh()
    assert any("broken" in note for note in caught.value.__notes__)
    world.check()
    world.spawn(1, Count)

    @system
    def needy(count: Read[Count], far: Write[Far], law: Res[Retention]): ...

    with pytest.raises(ResourceError, match="Retention"):
        small(needy).refresh()


@pytest.mark.parametrize("threads", [1, 2])
def test_refresh_of_compiled_sweeps(threads):
    """Row kernels and column sweeps are refreshed as array systems are, on any number of
    threads."""

    @kernel
    def fill(count: Read[Count], cache: Write[Cache], clock: Res[Clock]):
        cache.value = f4(count.n + clock.now)

    @jit
    def doubled(n_n, now, scratch_b, out_n):
        for i in range(out_n.size):
            out_n[i] = 2 * n_n[i] + now

    double = column_sweep(
        "double", (Count.n,), Far.value, (Clock,), lambda world: (doubled, (world.clock.now,))
    )
    world = small(fill, double, threads=threads)
    world.spawn(5, Count(n=np.arange(5)), Cache, Far, Position(x=0))
    stretched(world, RAREST)
    for _ in range(5):
        world.step(2)
    world.refresh()
    n = world.query(Count).gather(Count.n)
    assert cached(world) == (n + 10).tolist()
    assert cached(world, Far) == (2 * n + 10).tolist()


# -- telling, and being told ---------------------------------------------------------------------


def test_telemetry_says_what_was_left_out(wall):
    """How often sweeps are made, how often each was left out, and both in the table to read."""
    world = small(*timed(wall, {"work": 10, "fill": 8}))
    world.run(3, step=1)
    assert "left out" not in world.telemetry.table()
    assert "budget" not in world.telemetry.table()
    world.set_budget(0.012)
    world.run(40, step=1)
    stats = world.telemetry.of("fill")
    assert world.telemetry.sweeps_every == 4
    assert stats.calls + stats.left_out == 43
    assert stats.left_out >= 28
    table = world.telemetry.table()
    assert f"left out {stats.left_out} times" in next(
        line for line in table.splitlines() if line.startswith("fill")
    )
    assert "left out" not in next(line for line in table.splitlines() if line.startswith("work"))
    assert "budget" in table.splitlines()[0]
    assert "4" in table.splitlines()[0]
    assert stats.rows == 3 * stats.calls


def test_a_budget_can_be_changed_and_lifted(wall):
    """Each begins anew; None makes every sweep again, at once."""
    world = small(*timed(wall, {"work": 10, "fill": 8}))
    world.set_budget(0.009)
    world.run(10, step=1)
    assert world.telemetry.sweeps_every == RAREST
    world.set_budget(1)
    assert world.telemetry.sweeps_every == 1
    before = calls(world, "fill")
    world.run(10, step=1)
    assert calls(world, "fill") - before == 10
    world.set_budget(0.009)
    world.run(10, step=1)
    world.set_budget(None)
    assert world.telemetry.sweeps_every == 1
    before, left_out = calls(world, "fill"), world.telemetry.of("fill").left_out
    world.run(10, step=1)
    assert calls(world, "fill") - before == 10
    assert world.telemetry.of("fill").left_out == left_out
    assert world.telemetry.sweeps_every == 1


@pytest.mark.parametrize("wrong", [0, -1, 0.0, -0.5, float("nan"), float("inf"), True, "1", [1]])
def test_what_is_no_budget_is_refused(wall, wrong):
    """It is a number of seconds above zero; the one in force stays in force."""
    world = small(*timed(wall, {"work": 10, "fill": 8}))
    world.set_budget(0.012)
    world.run(10, step=1)
    with refused(world, ScheduleError, repr(wrong), "seconds", "None"):
        world.set_budget(wrong)
    assert world.telemetry.sweeps_every == 4
    world.run(10, step=1)
    assert world.telemetry.sweeps_every == 4


@pytest.mark.parametrize("given", [2, 0.5, 1e-12, 1e12, np.float64(0.1)])
def test_budgets_of_any_size(given):
    """Whole and broken numbers of seconds, however small or large."""
    world = small(sweep)
    world.set_budget(given)
    world.step(1)
    world.refresh()
    assert cached(world) == [1] * 3


def test_a_system_may_set_the_budget():
    """One that takes the World may change or lift it in the middle of a step."""

    @system
    def govern(world: World):
        world.set_budget(None if world.clock.tick % 2 else 0.5)

    world = small(govern, sweep)
    world.set_budget(1)
    for _ in range(4):
        world.step(1)
        assert cached(world) == [world.clock.now] * 3


def test_systems_may_come_later(wall):
    """A reader that is registered under way is reckoned with from then on, as is a new sweep."""
    world = stretched(small(sweep), RAREST)
    world.run(5, step=1)
    assert cached(world) != [5] * 3
    world.add_system(read_it)
    world.run(3, step=1)
    assert counts(world) == [6 + 7 + 8] * 3

    @system
    def beyond(count: Read[Count], far: Write[Far], clock: Res[Clock]):
        far.value = clock.now

    world.add_system(beyond)
    world.run(2, step=1)
    world.refresh()
    assert cached(world, Far) == [10] * 3


def test_a_failed_step_leaves_the_budget_in_order(wall):
    """After an error in a step the next one is planned anew, and sweeps are made when due."""
    fails = [False]

    @system
    def fail():
        if fails[0]:
            raise ZeroDivisionError

    work, fill = timed(wall, {"work": 10, "fill": 8})
    world = small(work, fail, fill)
    world.set_budget(0.012)
    world.run(20, step=1)
    fails[0] = True
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            world.step(1)
    fails[0] = False
    before = calls(world, "fill")
    world.run(40, step=1)
    assert (world.telemetry.sweeps_every, calls(world, "fill") - before) == (4, 10)
    world.set_budget(None)
    world.step(1)
    assert cached(world) == [world.clock.now] * 3


# -- no result depends on it ---------------------------------------------------------------------


CACHES = (Cache, Far, Farther)


def filling(j, i):
    """A sweep of the j-th cache, from the i-th, or from the state where there is no such."""
    if i >= j:

        @system
        def fill(count: Read[Count], cache: Write[CACHES[j]], clock: Res[Clock]):
            cache.value = count.n % 97 + clock.now

    else:

        @system
        def fill(source: Read[CACHES[i]], cache: Write[CACHES[j]], clock: Res[Clock]):
            cache.value = source.value % 89 + clock.now

    return fill


def taking(i):
    """A system whose state depends on the i-th cache."""

    @system
    def take(cache: Read[CACHES[i]], count: Write[Count]):
        count.n = (count.n * 3 + cache.value.astype(np.int64)) % 1_000_003

    return take


rules = st.fixed_dictionaries(
    {},
    optional={
        "every": st.integers(2, 4),
        "phase": st.sampled_from(["first", "update", "last"]),
        "run_if": st.just(odd),
    },
)
plans = st.lists(
    st.one_of(
        st.tuples(st.builds(filling, st.integers(0, 2), st.integers(0, 2)), rules),
        st.tuples(st.builds(taking, st.integers(0, 2)), rules),
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=300)
@given(plans, st.lists(st.integers(0, 3), max_size=25), st.integers(1, RAREST), st.booleans())
def test_no_plan_of_systems_knows_of_it(plan, lengths, stretch, look):
    """Sweeps, sweeps of what others have filled, and those who read it, in any order and rhythm:
    under any stretch, looked at or not, the state after each step is that without a budget."""
    free, bound = World(), World()
    for world in (free, bound):
        world.spawn(3, Count(n=[1, 2, 3]), *CACHES)
        for number, (made, when) in enumerate(plan):
            world.add_system(made, name=f"s{number}", **when)
    stretched(bound, stretch)
    for dt in lengths:
        for world in (free, bound):
            world.step(dt)
        if look:
            bound.refresh()
        assert counts(bound) == counts(free)
    free.refresh()
    bound.refresh()
    assert bound.digest() == free.digest()


N_AGENTS = 4
START = days(20_000)


def society(threads=1):
    """Agents that form, recall and forget memories, by the laws themselves."""
    world = World(seed=3, threads=threads)
    world.parallel_rows = 1
    world.clock.now = START
    world.insert(Retention(half_life=6 * 3600))
    world.insert(Pruning(theta=0.1, grace=3600.0, theta_old=0.2, old_age=2 * 86400.0))
    world.insert(Room(capacity=6, keep=0.5))
    world.insert(Reinforcement(gain=2.0))
    agents = world.spawn(N_AGENTS, Persona(number=np.arange(N_AGENTS)), Stream, Position(x=0))
    world.add(agents[:1], Retentiveness(half_life=86400.0))
    world.add(agents[1:2], Capacity(memories=3))
    world.add_systems(form_memories, refresh_strength, reinforce, forget, make_room)
    return world, agents


def happen(world, agents, drawn):
    """Emit observations and recalls of memories, each at its time within the step to come."""
    memories = np.sort(world.query(Memory).ids())
    for who, what, share, dt in drawn:
        time = world.clock.now + round(share * dt)
        if what < 10 or not memories.size:
            world.emit(Observed(owner=agents[who], time=time, importance=what % 10 / 10))
        elif what < 20:
            world.emit(Recalled(memory=memories[(who + what) % memories.size], time=time))
        else:
            k = who % memories.size
            pinned = memories[k : k + 1]
            world.add(pinned[~world.has(pinned, Pinned)], Pinned)


def strengths(world):
    """The bits of every memory's strength, as its column has them, ascending by id."""
    query = world.query(Memory, Trace, Strength)
    ids = query.ids()
    order = np.argsort(ids)
    return ids[order], query.gather(Strength.value)[order].view(np.uint32)


step_lengths = st.one_of(
    st.integers(0, hours(30)), st.sampled_from([0, hours(1), hours(6), days(1), days(3)])
)
happenings = st.tuples(st.integers(0, N_AGENTS - 1), st.integers(0, 20), st.floats(0, 1))
programs = st.lists(
    st.tuples(step_lengths, st.lists(happenings, max_size=6), st.integers(0, 40), st.booleans()),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("threads", [1, 2])
@settings(max_examples=60)
@given(programs, st.floats(1e-9, 1), st.integers(0, 2**32 - 1), st.booleans())
def test_the_laws_of_memory_do_not_know_of_it(threads, program, limit, seed, forced):
    """Whatever steps take, whatever the budget, whoever looks in between: the same memories with
    the same traces after each step, and after `refresh` the same strengths, bit for bit."""
    free, agents = society()
    bound, same = society(threads)
    assert agents.tolist() == same.tolist()
    draw = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        wall = Wall()

        def measured():
            wall.now += int(draw.exponential(2e7))
            return wall.now

        patch.setattr("populace.ecs.schedule.perf_counter_ns", measured)
        bound.set_budget(limit)
        for dt, drawn, stretch, look in program:
            if forced:
                bound.schedule.budget.stretch = 1 << stretch % 7
            for world in (free, bound):
                happen(world, agents, [(*event, dt) for event in drawn])
                world.step(dt)
            if look:
                bound.refresh()
            assert bound.digest() == free.digest()
    for world in (free, bound):
        world.refresh()
        world.check()
    ids, bits = strengths(free)
    found, values = strengths(bound)
    assert found.tolist() == ids.tolist()
    assert values.tolist() == bits.tolist()
    assert values.tolist() == strengths_of(bound, ids).view(np.uint32).tolist()


def test_the_laws_of_memory_under_load():
    """The test above leaves out sweeps indeed: most of them, and strengths are old until
    refreshed."""
    world, agents = society()
    for who in range(N_AGENTS):
        world.emit(Observed(owner=agents[who], time=START, importance=1.0))
    stretched(world, RAREST)
    for _ in range(12):
        world.step(hours(1))
    stats = world.telemetry.of("refresh_strength")
    assert (stats.calls, stats.left_out) == (1, 11)
    ids, old = strengths(world)
    assert ids.size == N_AGENTS
    world.refresh()
    assert (strengths(world)[1] < old).all()
    assert strengths(world)[1].tolist() == strengths_of(world, ids).view(np.uint32).tolist()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, RAREST))
def test_strengths_at_a_common_time_are_equal(cuts, stretch):
    """One step or many, under any stretch: at the time that they share the strengths are equal."""
    found = []
    for lengths in (cuts, [sum(cuts)]):
        world, agents = society()
        who = np.arange(40) % N_AGENTS
        world.insert(Room(capacity=1000), replace=True)
        world.insert(Pruning(theta=0, theta_old=0), replace=True)
        world.query(Capacity).remove(Capacity)
        world.emit(Observed(owner=agents[who], time=START, importance=who / 4 + 0.2))
        world.step(0)
        stretched(world, stretch)
        for dt in lengths:
            world.step(hours(dt))
        world.refresh()
        found.append([part.tolist() for part in strengths(world)])
    assert found[0] == found[1]
    assert len(found[0][0]) == 40


@pytest.mark.parametrize("threads", [1, 2])
def test_stages_of_several_threads(threads):
    """What is left out is missing from its stage, the others of the stage run."""

    @system
    def fill(count: Read[Count], cache: Write[Cache], clock: Res[Clock]):
        cache.value = clock.now

    @system
    def beyond(count: Read[Count], far: Write[Far], clock: Res[Clock]):
        far.value = clock.now

    @system
    def happen(position: Write[Position]):
        position.x += 1

    world = small(fill, beyond, happen, threads=threads)
    world.spawn(2, Count, Position(x=0))
    assert len(world.schedule.stages()["update"]) == 1
    stretched(world, 2)
    for _ in range(10):
        world.step(1)
    assert world.query(Position).gather(Position.x).tolist() == [10, 10]
    left_out = [world.telemetry.of(name).left_out for name in ("fill", "beyond", "happen")]
    assert left_out == [5, 5, 0]
    assert abs(cached(world)[0] - cached(world, Far)[0]) == 1
