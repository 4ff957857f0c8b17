"""Forgetting: the law, its kernels against their plain twins, and pruning in a world."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Memory, Persona, Pinned, Stream, Strength, Trace
from populace.ecs import Clock, World, days, hours, seconds
from populace.ecs.errors import ColumnValueError
from populace.systems import (
    Forgetting,
    Forgotten,
    forget,
    refresh_strength,
    rows_to_forget,
)

from . import naive

DAY_S = 86_400.0
NOW = days(20_000)


def strengths(importance, stability, accessed, now=NOW, floor=0.0, threads=1):
    """What a sweep makes of memories with these traces, (n,) f4."""
    world = World(threads=threads)
    world.parallel_rows = 1
    world.insert(Forgetting(floor=floor))
    world.resource(Clock).now = now
    columns = np.broadcast_arrays(np.float32(importance), np.float32(stability), accessed)
    importance, stability, accessed = (np.atleast_1d(column) for column in columns)
    world.spawn(
        importance.size, Trace(importance=importance, stability=stability, accessed=accessed)
    )
    world.add_system(refresh_strength)
    world.step(0)
    return world.query(Strength).gather(Strength.value)


def society(n_memories=200, seed=5, **settings):
    """A world whose one agent holds memories of all ages and importances."""
    draw = np.random.default_rng(seed)
    world = World(seed=seed)
    world.insert(Forgetting(**settings))
    world.resource(Clock).now = NOW
    owner = world.spawn(1, Persona(number=0), Stream(formed=n_memories))
    created = NOW - draw.integers(0, days(20), n_memories)
    world.spawn(
        n_memories,
        Memory(owner=np.repeat(owner, n_memories), sequence=np.arange(n_memories), created=created),
        Trace(
            importance=draw.integers(1, 10, n_memories) / 10,
            stability=draw.uniform(1, 6, n_memories) * DAY_S,
            accessed=created,
        ),
    )
    world.add_systems(refresh_strength, forget)
    return world


def kept(world):
    """The sequence numbers of the memories that are left."""
    return sorted(world.query(Memory).gather(Memory.sequence).tolist())


# -- the law --------------------------------------------------------------------------------

rows = st.tuples(
    st.floats(0, 1, width=32),
    st.floats(1, 1e9, width=32),
    st.integers(-days(1), days(36_500)),
)


@given(st.lists(rows, min_size=1, max_size=70), st.floats(0, 1, width=32))
def test_the_kernel_computes_the_law(drawn, floor):
    """For any importance, half-life, age and floor the kernel is the formula, to f4 rounding."""
    importance, stability, age = (np.array(column) for column in zip(*drawn, strict=True))
    got = strengths(importance, stability, NOW - age, floor=floor)
    for row, (i, s, a) in enumerate(drawn):
        want = naive.strength(i, s, NOW - a, NOW, floor)
        half_lives = max(a, 0) / 1e6 / s
        assert got[row] == pytest.approx(want, rel=1e-6 + 3e-7 * min(half_lives, 126), abs=1e-37)


def test_nothing_is_lost_at_the_access_and_half_after_a_half_life():
    """R is exactly 1 at the access, 1/2 after S and 1/1024 after 10 S."""
    s = 2.0**18
    ages = (np.array([0, 1, 10]) * s * 1e6).astype(np.int64)
    assert strengths(1.0, s, NOW - ages).tolist() == [1.0, 0.5, 2.0**-10]


def test_everything_is_lost_in_the_end():
    """After the longest time and the shortest half-life R is 0 for all purposes, and finite."""
    got = strengths(1.0, 1.0, -(2**62), now=2**62 - 1)
    assert 0 <= got[0] < 1e-37


def test_an_access_in_the_future_counts_as_now():
    """A memory accessed after the clock's time is not worth more than its importance."""
    assert strengths([0.7], [100.0], [NOW + days(3)]) == np.float32(0.7)


@given(st.floats(0, 1, width=32), st.floats(1, 1e9, width=32), st.integers(0, days(36_500)))
def test_retrievability_never_falls_below_its_floor(importance, stability, age):
    """With floor 0.3 a memory keeps three tenths of its importance for ever."""
    assert strengths(importance, stability, NOW - age, floor=0.3) >= np.float32(
        importance
    ) * np.float32(0.3)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_strength_does_not_depend_on_its_row(threads):
    """In any company, at any place of any table, on any thread a memory has the same bits."""
    draw = np.random.default_rng(1)
    importance = draw.integers(1, 10, 3_000) / 10
    stability = draw.uniform(1, 6, 3_000) * DAY_S
    accessed = NOW - draw.integers(0, days(90), 3_000)
    whole = strengths(importance, stability, accessed).view(np.uint32)
    for start, end in ((5, 3_000), (1, 2_222), (0, 16), (7, 14), *((i, i + 1) for i in range(99))):
        part = slice(start, end)
        got = strengths(importance[part], stability[part], accessed[part], threads=threads)
        assert (got.view(np.uint32) == whole[part]).all()


@given(st.floats(1, 1e8, width=32), st.floats(1.001, 10), st.integers(0, days(3_650)))
def test_stability_slows_forgetting(stability, factor, age):
    """A longer half-life never makes a memory weaker (a published system has it the other way)."""
    shorter = strengths(1.0, stability, NOW - age)
    longer = strengths(1.0, stability * factor, NOW - age)
    assert longer >= shorter


@given(st.floats(1, 1e8, width=32), st.integers(0, days(3_650)))
def test_strength_only_falls_between_accesses(stability, age):
    """A thousandth of a half-life later a memory is never stronger."""
    later = age + max(round(stability * 1e3), 1)
    assert strengths(1.0, stability, NOW - later) <= strengths(1.0, stability, NOW - age)


# -- what is forgotten ----------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, days(3))), max_size=300),
    st.floats(0, 1, width=32),
)
def test_the_rows_to_forget_are_the_weak_and_old(drawn, theta):
    """The kernel finds exactly the rows that its plain twin finds, in order."""
    strengths = np.array([row[0] for row in drawn], np.float32)
    created = NOW - np.array([row[1] for row in drawn], np.int64)
    out = np.empty(len(drawn), np.int64)
    count = rows_to_forget(strengths, created, np.float32(theta), np.int64(NOW - days(1)), out)
    want = naive.rows_to_forget(strengths.tolist(), created.tolist(), theta, NOW, days(1))
    assert out[:count].tolist() == want


def test_a_memory_at_theta_stays_and_one_below_goes():
    """theta itself is kept: forgotten is what is weaker."""
    world = society(2, theta=0.25)
    created = NOW - days(10)
    world.query(Memory, Trace).set(
        Memory(created=created),
        Trace(importance=[0.25, 0.2499], accessed=NOW, stability=1e9),
    )
    world.step(1)
    assert kept(world) == [0]


def test_no_memory_is_forgotten_within_its_grace():
    """One µs before its grace is over a worthless memory is there; then it is not."""
    world = society(1, grace=DAY_S)
    world.query(Trace).set(Trace(importance=0.0))
    world.query(Memory).set(Memory(created=NOW))
    world.step(days(1) - 1)
    assert kept(world) == [0]
    world.step(1)
    assert kept(world) == []


def test_pinned_memories_are_never_forgotten():
    """Every tenth memory is pinned; after ten years exactly those are left."""
    world = society()
    pinned = world.query(Memory).ids()[::10]
    world.add(pinned, Pinned)
    world.step(days(3_650))
    assert sorted(world.query(Memory).ids().tolist()) == sorted(pinned.tolist())


def test_what_is_forgotten_is_counted():
    """The events of all steps add up to the memories that are gone."""
    world = society()
    reader = world.events(Forgotten)
    for _ in range(5):
        world.step(days(1))
    assert int(reader.read().count.sum()) == 200 - world.query(Memory).count() > 0


@pytest.mark.parametrize("cuts", [[24], [1] * 24, [5, 1, 17, 1], [0.25] * 96])
def test_the_length_of_a_step_changes_nothing(cuts):
    """One step of a day, 24 of an hour, 96 of a quarter: the same memories, the same strengths."""
    worlds = society(2_000), society(2_000)
    worlds[0].step(days(1))
    for cut in cuts:
        worlds[1].step(hours(cut))
    assert kept(worlds[0]) == kept(worlds[1])
    for field in (Trace.accessed, Trace.stability, Strength.value):
        one, other = (
            (w.query(Memory).ids(), w.query(Trace, Strength).gather(field)) for w in worlds
        )
        assert (one[1][one[0].argsort()] == other[1][other[0].argsort()]).all()


def test_a_skipped_sweep_loses_nothing():
    """Time that passes without any sweep is made up for by the next one."""
    one, other = society(), society()
    for _ in range(10):
        one.step(days(1))
    other.resource(Clock).now += days(10) - 1
    other.step(1)
    assert kept(one) == kept(other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("half_life", 0.0), ("half_life", float("nan")), ("half_life", float("inf")),
        ("half_life", "3 days"), ("theta", -0.1), ("theta", 1.5), ("theta", True),
        ("grace", -1.0), ("floor", 2.0), ("floor", None),
    ],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting, the value and what is allowed."""
    with pytest.raises(
        ColumnValueError, match=rf"Forgetting\.{name} must be a number from .* got "
    ):
        Forgetting(**{name: value})


def test_laws_never_look_at_the_wall_clock():
    """No file in systems imports anything that knows the real time or real randomness."""
    folder = Path(__file__).resolve().parents[2] / "systems"
    seen = set()
    for path in folder.glob("*.py"):
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.Import):
                seen |= {alias.name.partition(".")[0] for alias in found.names}
            elif isinstance(found, ast.ImportFrom) and not found.level:
                seen.add((found.module or "").partition(".")[0])
    assert "numba" in seen
    assert not seen & {"time", "datetime", "random", "secrets", "uuid", "os"}


def test_seconds_are_seconds():
    """A half-life of 3 seconds halves in 3 seconds of simulated time."""
    assert strengths(1.0, 3.0, NOW - seconds(3)) == np.float32(0.5)
