"""Pruning: exactly the weak and the old are forgotten, and are counted."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from populace.components import Memory, Persona, Stream, Strength, Trace
from populace.ecs import World, days, hours, seconds
from populace.ecs.errors import SettingError
from populace.systems import (
    Forgotten,
    Pruning,
    Reason,
    Retention,
    forget,
    refresh_strength,
    strengths_of,
)
from populace.systems.pruning import BLOCK, weak_memories, weak_rows_by
from populace.systems.retention import law_of

from . import naive_memory as naive
from .memories import AGENTS, DAY_S, LAWS, NOW, Row, by_name, f4s, gone, some_rows, world_of

DAY = days(1)
EVERY_LAW = pytest.mark.parametrize("law", LAWS)


def forgetting(rows, *resources, systems=(forget,), **options):
    """A world that forgets by these settings, the ids of its memories, and a reader of counts."""
    world, ids = world_of(rows, *resources, systems=systems, **options)
    return world, ids, world.events(Forgotten)


def told(reader):
    """{reason: memories} of all events not read yet."""
    events = reader.read()
    counts = dict.fromkeys(Reason, 0)
    for reason, count in zip(events.reason.tolist(), events.count.tolist(), strict=True):
        counts[Reason(reason)] += count
    return {reason: count for reason, count in counts.items() if count}


def worth(strength, age_us, table=0):
    """A memory formed so long ago, worth exactly `strength` now."""
    return Row(importance=strength, stability=1e9, accessed=NOW, created=NOW - age_us, table=table)


def society(n=400, seed=5):
    """n memories of all ages and importances, in all tables."""
    draw = np.random.default_rng(seed)
    rows = []
    for place in range(n):
        created = NOW - int(draw.integers(0, days(60)))
        rows.append(
            Row(
                owner=place % AGENTS,
                sequence=place // AGENTS,
                importance=float(np.float32(draw.integers(1, 10) / 10)),
                stability=float(np.float32(draw.uniform(1, 12) * DAY_S)),
                accessed=int(draw.integers(created, NOW + 1)),
                accesses=int(draw.integers(1, 5)),
                created=created,
                table=int(draw.integers(0, 8)),
            )
        )
    return rows


# -- which are forgotten --------------------------------------------------------------------

share = st.one_of(f4s(0, 1), st.sampled_from([0.0, 0.05, 0.1]))


@EVERY_LAW
@given(some_rows(12), share, share, st.integers(0, 40), st.integers(0, 90), f4s(0, 0.2))
def test_exactly_the_weak_and_the_old_go(law, rows, theta, theta_old, grace, old_days, floor):
    """In a world of several tables, by any settings: those that the plain twin names, counted by
    reason; one both weak and old counts as weak."""
    strengths = [naive.strength(row, NOW, law, floor) for row in rows]
    for strong, limit in itertools.product(strengths, (theta, theta_old)):
        assume(abs(strong - limit) > 1e-4 * limit or strong == limit)
    settings = Pruning(theta=theta, theta_old=theta_old, grace=grace * 9e3, old_age=old_days * 9e3)
    world, ids, reader = forgetting(rows, Retention(law=law, floor=floor), settings)
    world.step(0)
    weak, old = naive.forgotten(
        rows, NOW, strengths, theta=theta, grace_us=seconds(grace * 9e3), theta_old=theta_old,
        old_age_us=seconds(old_days * 9e3),
    )  # fmt: skip
    assert gone(world, ids) == sorted(weak + old)
    want = {Reason.WEAK: len(weak), Reason.OLD: len(old)}
    assert told(reader) == {reason: count for reason, count in want.items() if count}


@EVERY_LAW
@pytest.mark.parametrize("n", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
@pytest.mark.parametrize("python", [False, True])
def test_the_kernel_finds_the_rows_of_its_plain_twin(law, n, python):
    """Around the size of a block, compiled or in Python: weak rows, then old ones, ascending."""
    rows = [row.but(table=0) for row in society(n, seed=n)]
    world, ids = world_of(rows, Retention(law=law))
    strengths = strengths_of(world, ids).tolist()
    kernel = weak_rows_by(law_of(world))
    out = np.full(n, 9_999_999, np.uint32)
    columns = [
        np.array([getattr(row, name) for row in rows], dtype)
        for name, dtype in (("importance", "f4"), ("stability", "f4"), ("accessed", "i8"),
                            ("accesses", "u4"), ("created", "i8"))
    ]  # fmt: skip
    n_weak, n_old = (kernel.py_func if python else kernel)(
        *columns, np.int64(NOW), np.float32(0), columns[4], np.float32(0.2), np.int64(NOW - DAY),
        np.float32(0.4), np.int64(NOW - days(20)), np.empty((2, BLOCK), np.float32),
        np.empty(BLOCK, np.uint8), out,
    )  # fmt: skip
    weak, old = naive.forgotten(
        rows, NOW, strengths, theta=float(np.float32(0.2)), grace_us=DAY,
        theta_old=float(np.float32(0.4)), old_age_us=days(20),
    )  # fmt: skip
    assert (n < BLOCK) or (weak and old)
    assert out[:n_weak].tolist() == weak
    assert out[n_weak : n_weak + n_old].tolist() == old


def test_theta_itself_stays():
    """What is worth exactly theta, or theta_old, is kept: forgotten is what is weaker."""
    rows = [worth(strength, days(10)) for strength in (0.25, 0.2499, 0.0)]
    world, ids, _ = forgetting(rows, Pruning(theta=0.25, theta_old=0))
    world.step(0)
    assert gone(world, ids) == [1, 2]
    rows = [worth(strength, days(31)) for strength in (0.5, 0.4999)]
    world, ids, _ = forgetting(rows, Pruning(theta=0, theta_old=0.5))
    world.step(0)
    assert gone(world, ids) == [1]


def test_the_default_theta_is_a_twentieth():
    """0.05 and a memory worth 0.05 in f4 are the same: it stays, and 0.0499 goes."""
    world, ids, _ = forgetting([worth(0.05, days(2)), worth(0.0499, days(2))])
    world.step(0)
    assert gone(world, ids) == [1]


def test_no_memory_is_forgotten_within_its_grace():
    """One µs before its grace is over a worthless memory is there; then it is not."""
    world, ids, reader = forgetting([worth(0.0, 0)])
    world.step(days(1) - 1)
    assert (gone(world, ids), told(reader)) == ([], {})
    world.step(1)
    assert (gone(world, ids), told(reader)) == ([0], {Reason.WEAK: 1})


def test_a_memory_is_old_beyond_its_age_and_not_at_it():
    """At 30 days to the µs one worth 0.07 is there; one µs later it is too weak for its age."""
    world, ids, reader = forgetting([worth(0.07, days(30))])
    world.step(0)
    assert gone(world, ids) == []
    world.step(1)
    assert (gone(world, ids), told(reader)) == ([0], {Reason.OLD: 1})


def test_grace_and_age_count_from_the_forming():
    """An access does not make a memory young again: one accessed now is old all the same."""
    rows = [worth(0.01, days(2)), worth(0.07, days(31)), worth(0.07, days(29))]
    world, ids, reader = forgetting(rows)
    world.step(0)
    assert (gone(world, ids), told(reader)) == ([0, 1], {Reason.WEAK: 1, Reason.OLD: 1})


def test_an_old_memory_may_go_within_a_longer_grace():
    """Grace protects from theta alone: where it is longer than the age of the old, they go."""
    world, ids, reader = forgetting([worth(0.01, days(40))], Pruning(grace=90 * DAY_S))
    world.step(0)
    assert (gone(world, ids), told(reader)) == ([0], {Reason.OLD: 1})


def test_with_a_lower_theta_for_the_old_age_changes_nothing():
    """theta_old < theta: what it would catch is weak already, and counts as that."""
    rows = society()
    outcomes = []
    for theta_old in (0.0, 0.1, 0.3):
        settings = Pruning(theta=0.3, theta_old=theta_old)
        world, ids, reader = forgetting(rows, settings)
        world.step(0)
        outcomes.append((gone(world, ids), told(reader)))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][1].keys() == {Reason.WEAK}


def test_pinned_memories_are_never_forgotten():
    """Every other memory is pinned; after ten years exactly those are left."""
    rows = society()
    world, ids, _ = forgetting(rows)
    world.step(days(3_650))
    assert gone(world, ids) == [place for place, row in enumerate(rows) if not row.pinned]


def test_a_memory_of_the_future_stays():
    """Formed after the clock's time, it has no age yet, and is within its grace."""
    row = worth(0.0, -days(3))
    for settings in (Pruning(), Pruning(grace=0, old_age=0, theta_old=1.0)):
        world, ids, _ = forgetting([row], settings)
        world.step(0)
        assert gone(world, ids) == []


def test_limits_of_the_settings():
    """theta 0 forgets nothing, theta 1 all that is below 1; the longest grace is for ever."""
    rows = [row.but(table=0, importance=min(row.importance, 0.9)) for row in society(50)]
    cases = (
        (Pruning(theta=0, theta_old=0), 0),
        (Pruning(theta=1, grace=0), 50),
        (Pruning(theta=1, theta_old=1, grace=2.0**43, old_age=2.0**43), 0),
    )
    for settings, n_gone in cases:
        world, ids, _ = forgetting(rows, settings)
        world.step(days(365))
        assert len(gone(world, ids)) == n_gone


def test_the_floor_keeps_what_is_important():
    """With floor 0.3 a memory of importance 0.2 is never weaker than 0.06, and stays for ever."""
    rows = [worth(importance, 0) for importance in (0.2, 0.1)]
    world, ids, _ = forgetting(rows, Retention(floor=0.3), Pruning(theta_old=0.05))
    world.step(days(36_500))
    assert gone(world, ids) == [1]


# -- what it does not depend on -------------------------------------------------------------


@EVERY_LAW
@given(some_rows(8))
def test_it_never_reads_the_cache(law, rows):
    """Swept before, swept never, or filled with rubbish: the same world afterwards."""
    digests = set()
    for systems, value in (((forget,), 0), ((forget,), 1), ((refresh_strength, forget), 0)):
        world, _, _ = forgetting(rows, Retention(law=law), systems=systems)
        for strength in world.query(Strength):
            strength.value[:] = value
        world.step(days(3))
        digests.add(world.digest())
    assert len(digests) == 1


@EVERY_LAW
@pytest.mark.parametrize("cuts", [[24], [1] * 24, [5, 1, 17, 1], [0.25] * 96])
def test_the_length_of_a_step_changes_nothing(law, cuts):
    """One step of a day, 24 of an hour, 96 of a quarter: the same memories, the same strengths."""
    rows = society(400)
    worlds = [forgetting(rows, Retention(law=law), systems=(refresh_strength, forget))[0]
              for _ in range(2)]  # fmt: skip
    worlds[0].step(days(1))
    for cut in cuts:
        worlds[1].step(hours(cut))
    fields = (Trace.accessed, Trace.stability, Trace.accesses, Strength.value, Memory.created)
    one, other = (by_name(world, *fields) for world in worlds)
    assert one == other
    assert 0 < len(one) < 400


def test_a_skipped_step_loses_nothing():
    """Time that passes without any step is made up for by the next one."""
    one, other = (forgetting(society())[0] for _ in range(2))
    for _ in range(10):
        one.step(days(1))
    other.clock.now += days(10) - 1
    other.step(1)
    assert by_name(one) == by_name(other)


@pytest.mark.parametrize("threads", [1, 2])
def test_row_order_and_threads_do_not_show(threads):
    """Spawned one by one in any order, on any number of threads: the same are left."""
    rows = society(120)
    world, _, _ = forgetting(rows)
    world.step(days(2))
    order = np.random.default_rng(threads).permutation(120)
    other, _, _ = forgetting(rows, order=order, threads=threads, debug=True)
    other.parallel_rows = 1
    other.step(days(2))
    assert by_name(world) == by_name(other)


def test_another_law_forgets_others():
    """A world that changes its law forgets by the new one from the next step on."""
    rows = [row.but(table=0) for row in society()]
    world, ids, _ = forgetting(rows, Retention(law="power"), Pruning(theta_old=0))
    world.step(0)
    assert len(gone(world, ids)) == 0
    world.insert(Retention(law="exponential"), replace=True)
    world.step(0)
    assert 0 < len(gone(world, ids)) < len(rows)


# -- counting -------------------------------------------------------------------------------


def test_what_is_forgotten_is_counted():
    """The events of all steps add up to the memories that are gone, for each reason."""
    world, ids, reader = forgetting(society(), Pruning(theta_old=0.3))
    total = dict.fromkeys((Reason.WEAK, Reason.OLD), 0)
    for _ in range(5):
        world.step(days(1))
        for reason, count in told(reader).items():
            total[reason] += count
    assert min(total.values()) > 0
    assert sum(total.values()) == len(gone(world, ids))


def test_telemetry_counts_too():
    """By reason and in all, whether or not anybody reads the events."""
    world, ids = world_of(society(), Pruning(theta_old=0.3), systems=[forget])
    for _ in range(3):
        world.step(days(1))
    counts = world.telemetry.counts
    assert counts.keys() == {"forgotten, weak", "forgotten, old"}
    assert sum(counts.values()) == len(gone(world, ids))


def test_a_reason_without_memories_is_not_told():
    """One event for each reason that there is, and none where nothing is forgotten."""
    world, _, reader = forgetting([worth(0.01, days(2))] * 3)
    world.step(0)
    events = reader.read()
    assert (events.reason.tolist(), events.count.tolist()) == ([Reason.WEAK], [3])
    world.step(0)
    assert len(reader.read()) == 0


def test_an_empty_world_forgets_nothing():
    """Without memories, without agents, without tables of memories: no event and no crash."""
    world, _, reader = forgetting([], debug=True)
    world.step(days(1))
    bare = World(debug=True)
    for law in (Retention(), Pruning()):
        bare.insert(law)
    bare.add_system(forget)
    bare.step(days(1))
    assert (len(reader.read()), len(bare)) == (0, 0)


def test_it_forgets_memories_and_nothing_else():
    """Agents and their count of memories ever formed stay when all is forgotten."""
    rows = [row.but(table=0) for row in society(20)]
    world, _, _ = forgetting(rows, debug=True)
    world.step(days(9_999))
    assert world.query(Memory).count() == 0
    assert world.query(Persona).count() == AGENTS
    assert world.query(Stream).gather(Stream.formed).tolist() == [5] * AGENTS
    assert world.index(Memory.owner).counts()[0].size == 0


def test_weak_memories_may_be_asked_for():
    """The same search, by the last access: ids of the weak, and of the others the old."""
    rows = society()
    world, ids = world_of(rows)
    strengths = strengths_of(world, ids)
    weak, old = weak_memories(world, Trace.accessed, 0.2, NOW - days(3), 0.5, NOW - days(9))
    free = np.array([not row.pinned for row in rows])
    accessed = np.array([row.accessed for row in rows])
    want = free & (strengths < np.float32(0.2)) & (accessed <= NOW - days(3))
    others = free & ~want & (strengths < np.float32(0.5)) & (accessed < NOW - days(9))
    assert (sorted(weak.tolist()), sorted(old.tolist())) == (
        sorted(ids[want].tolist()), sorted(ids[others].tolist()),
    )  # fmt: skip
    assert weak.size
    assert old.size
    assert weak.dtype == old.dtype == np.uint64


@pytest.mark.parametrize(
    ("name", "value"),
    [("theta", -0.1), ("theta", 1.5), ("theta", True), ("theta", float("nan")), ("grace", -1.0),
     ("grace", 1e14), ("theta_old", 2), ("old_age", -1), ("old_age", "30 days")],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and the value."""
    with pytest.raises(SettingError, match=rf"Pruning\.{name} must .* got "):
        Pruning(**{name: value})


def test_defaults_are_those_of_the_sources():
    """theta 0.05 after a day of grace; old is what has more than 30 days."""
    assert (Pruning().theta, Pruning().grace, Pruning().old_age) == (0.05, DAY_S, 30 * DAY_S)
