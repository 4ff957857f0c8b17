"""Reinforcement: what a recall adds, in whatever order and batches the news of it come."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Memory, Persona, Pinned, Recalled, Stream, Strength, Trace
from populace.ecs import NOBODY, World, component, days, f4, hours
from populace.ecs.errors import SettingError
from populace.systems import (
    Reinforcement,
    Retention,
    refresh_strength,
    reinforce,
    strengths_of,
)
from populace.systems.exponential import exponential
from populace.systems.reinforcement import reinforce_by
from populace.systems.retention import law_of

from . import naive_memory as naive
from .memories import DAY_S, LAWS, NOW, Row, bits, one_row, world_of

STATE = (Trace.stability, Trace.accessed, Trace.accesses)
EVERY_LAW = pytest.mark.parametrize("law", LAWS)


def after(rows, recalls, *resources, law="exponential", **options):
    """The world after one step in which these recalls, (place of the row, time), were told."""
    world, ids = world_of(rows, Retention(law=law), *resources, systems=[reinforce], **options)
    tell(world, ids, recalls)
    world.step(0)
    return world, ids


def tell(world, ids, recalls):
    """Emit these recalls as one batch."""
    if recalls:
        places, times = zip(*recalls, strict=True)
        world.emit(Recalled(memory=ids[list(places)], time=list(times)))


def state(world, ids):
    """Stability (bits), last access and accesses of each memory."""
    stability, accessed, accesses = (world.get(ids, made) for made in STATE)
    return list(zip(bits(stability), accessed.tolist(), accesses.tolist(), strict=True))


def old(age_us, stability_s=2.0**18, **others):
    """A memory formed and accessed so long ago."""
    return Row(stability=stability_s, accessed=NOW - age_us, created=NOW - age_us, **others)


HALF_LIFE = round(2**18 * 1e6)
"""2^18 s: so many µs that f4 halves exactly."""

some = st.lists(one_row(), min_size=1, max_size=4)
news = st.lists(st.tuples(st.integers(0, 5), st.integers(0, days(60))), max_size=8)


def about(rows, told, soonest=NOW):
    """Recalls of these rows, from `soonest` on."""
    return [(place % len(rows), soonest + wait) for place, wait in told]


# -- the formula ----------------------------------------------------------------------------


@EVERY_LAW
@given(some, news, st.floats(0, 5), st.floats(1, 400))
def test_recalls_do_what_the_formula_says(law, rows, told, gain, longest_days):
    """Any recalls, of any memories, in any order: as one after the other by hand."""
    longest = longest_days * DAY_S
    recalls = about(rows, told)
    world, ids = after(rows, recalls, Reinforcement(gain=gain, longest=longest), law=law)
    for place, row in enumerate(rows):
        times = [time for which, time in recalls if which == place]
        want = naive.recall(row, times, law, gain, longest)
        stability, accessed, accesses = (world.get(ids[[place]], made)[0] for made in STATE)
        assert (accessed, accesses) == (want.accessed, want.accesses)
        assert stability == pytest.approx(want.stability, rel=2e-5)


def test_a_recall_after_a_half_life_adds_half():
    """By hand: R = 1/2, so S grows to 3/2; the access is now, and the second."""
    world, ids = after([old(HALF_LIFE)], [(0, NOW)])
    assert [world.get(ids, made).tolist() for made in STATE] == [[1.5 * 2**18], [NOW], [2]]


def test_recalls_at_a_half_life_each():
    """By hand: half-lives grow by half each time, so the third recall comes at S = 9/4."""
    times = list(itertools.accumulate([NOW, HALF_LIFE * 3 // 2, HALF_LIFE * 9 // 4]))
    world, ids = after([old(HALF_LIFE)], [(0, time) for time in times])
    assert world.get(ids, Trace.stability)[0] == 2**18 * 1.5**3
    assert world.get(ids, Trace.accesses).tolist() == [4]


def test_each_law_asks_its_own_retrievability():
    """By hand, a recall at the age S: power has R = 0.9, activation 1/2, and g = 2 doubles it."""
    for law, gain, want in (("power", 1, 1.1), ("activation", 1, 1.5), ("power", 2, 1.2)):
        world, ids = after([old(HALF_LIFE)], [(0, NOW)], Reinforcement(gain=gain), law=law)
        assert world.get(ids, Trace.stability)[0] == pytest.approx(want * 2**18, rel=1e-6)


@EVERY_LAW
@given(one_row(), st.integers(1, days(300)), st.integers(1, days(300)))
def test_a_recall_of_a_nearly_forgotten_memory_adds_most(law, row, wait, longer):
    """The spacing effect: a later recall never leaves a shorter stability, of any memory."""
    early, late = row.but(table=0), row.but(table=1)
    recalls = [(0, NOW + wait), (1, NOW + wait + longer)]
    world, ids = after([early, late], recalls, Reinforcement(longest=1e9), law=law)
    first, second = world.get(ids, Trace.stability).astype(np.float64)
    assert second >= first * (1 - 1e-6)


@EVERY_LAW
def test_spacing_shows_from_recall_to_recall(law):
    """Recalled after a quarter, a half, 1, 2, 4 and 8 times its stability: more each time."""
    waits = [HALF_LIFE // 4, HALF_LIFE // 2, *(HALF_LIFE * times for times in (1, 2, 4, 8))]
    world, ids = after([old(0)] * 6, [(n, NOW + wait) for n, wait in enumerate(waits)], law=law)
    assert (np.diff(world.get(ids, Trace.stability)) > 0).all()


def test_stability_doubles_at_most():
    """At full spacing S grows by the gain, here to twice itself; without spacing it stays."""
    for wait, want in ((HALF_LIFE * 200, 2.0), (0, 1.0)):
        world, ids = after([old(wait)], [(0, NOW)])
        assert world.get(ids, Trace.stability)[0] == want * 2**18


def test_a_recall_of_a_fresh_memory_still_counts():
    """It adds no stability, but it is an access, and the last one."""
    world, ids = after([old(0)], [(0, NOW), (0, NOW)])
    assert [world.get(ids, made).tolist() for made in STATE] == [[2**18], [NOW], [3]]


def test_without_gain_stability_stays():
    """g = 0 leaves S alone; accesses are counted all the same."""
    world, ids = after([old(HALF_LIFE)], [(0, NOW)], Reinforcement(gain=0))
    assert [world.get(ids, made).tolist() for made in STATE] == [[2**18], [NOW], [2]]


def test_stability_grows_to_the_longest():
    """S_max is reached and not passed."""
    world, ids = after([old(HALF_LIFE)], [(0, NOW)], Reinforcement(longest=1.25 * 2**18))
    assert world.get(ids, Trace.stability)[0] == 1.25 * 2**18


def test_a_stability_beyond_the_longest_stays():
    """A memory that was given a longer stability keeps it; its access counts."""
    row = old(HALF_LIFE * 4, 4 * 2.0**18)
    world, ids = after([row], [(0, NOW)], Reinforcement(longest=2.0**18))
    assert [world.get(ids, made).tolist() for made in STATE] == [[4 * 2**18], [NOW], [2]]


def test_the_counter_of_accesses_stops_at_its_end():
    """After 2^32 - 1 accesses it stays there: it never starts over."""
    world, ids = after([old(0, accesses=2**32 - 2)], [(0, NOW)] * 3)
    assert world.get(ids, Trace.accesses).tolist() == [2**32 - 1]


@EVERY_LAW
def test_compiled_and_plain_python_have_the_same_bits(law):
    """The kernel as Python runs it leaves the bits that the compiled one leaves."""
    world, _ = world_of([], Retention(law=law))
    made = reinforce_by(law_of(world))
    draw = np.random.default_rng(4)
    rows = draw.integers(0, 20, 60).astype(np.uint32)
    times = np.sort(NOW + draw.integers(0, days(90), 60))
    results = []
    for kernel in (made, made.py_func):
        draw = np.random.default_rng(5)
        created = NOW - draw.integers(0, days(90), 20)
        stability = draw.uniform(1, 60, 20).astype(np.float32) * np.float32(DAY_S)
        accessed, accesses = created + days(1), np.ones(20, np.uint32)
        kernel(rows, times, f4(1), f4(1e8), created, stability, accessed, accesses)
        results.append((bits(stability), accessed.tolist(), accesses.tolist()))
    assert results[0] == results[1]


# -- order and batches ----------------------------------------------------------------------


@EVERY_LAW
@given(some, news, st.randoms(use_true_random=False))
def test_the_order_of_emission_is_irrelevant(law, rows, told, shuffle):
    """Recalls count in the order of their times, however they were told: the same digest."""
    recalls = sorted(about(rows, told))
    one, _ = after(rows, recalls, law=law)
    shuffle.shuffle(recalls)
    other, _ = after(rows, recalls, law=law)
    assert one.digest() == other.digest()


@EVERY_LAW
@given(some, news, st.lists(st.integers(0, 8), max_size=3))
def test_several_batches_are_as_one(law, rows, told, cuts):
    """Cut anywhere in time, into emissions or into steps: the same bits."""
    recalls = sorted(about(rows, told), key=lambda told: told[1])
    world, ids = after(rows, recalls, law=law)
    want = state(world, ids)
    edges = [0, *sorted(cuts), len(recalls)]
    for steps in (False, True):
        world, ids = world_of(rows, Retention(law=law), systems=[reinforce])
        for start, end in itertools.pairwise(edges):
            tell(world, ids, recalls[start:end])
            if steps:
                world.step(hours(1))
        world.step(0)
        assert state(world, ids) == want


@EVERY_LAW
def test_the_length_of_a_step_changes_nothing(law):
    """The same recalls in one step of a day or in 24 of an hour: the same bits."""
    rows = [old(days(age)) for age in (1, 5, 30)]
    recalls = [(place % 3, NOW + hours(hour) + 1) for place, hour in enumerate(range(24))]
    world, ids = world_of(rows, Retention(law=law), systems=[reinforce])
    tell(world, ids, recalls)
    world.step(days(1))
    other, others = world_of(rows, Retention(law=law), systems=[reinforce])
    for hour in range(24):
        tell(other, others, recalls[hour : hour + 1])
        other.step(hours(1))
    assert state(world, ids) == state(other, others)


def test_a_recall_counts_at_its_own_time():
    """Not at the clock's: told a day late, it was a day ago; what is to come is taken as told."""
    for told in (NOW - days(1), NOW + days(9)):
        world, ids = after([old(days(2))], [(0, told)])
        assert world.get(ids, Trace.accessed).tolist() == [told]
        assert world.clock.now == NOW


def test_late_news_count_at_the_last_access():
    """A recall before the last access that is known adds nothing to S by recency, moves no access
    back, and is counted."""
    row = old(days(9)).but(accessed=NOW)
    world, ids = after([row], [(0, NOW - days(5))])
    assert [world.get(ids, made).tolist() for made in STATE] == [[2**18], [NOW], [2]]


def test_late_news_of_one_batch_after_another():
    """Told in the wrong order over two steps, the earlier recall counts as one at the later."""
    world, ids = world_of([old(HALF_LIFE)], systems=[reinforce])
    tell(world, ids, [(0, NOW)])
    world.step(1)
    tell(world, ids, [(0, NOW - HALF_LIFE // 2)])
    world.step(1)
    assert [world.get(ids, made).tolist() for made in STATE] == [[1.5 * 2**18], [NOW], [3]]


def test_tables_and_threads_do_not_show():
    """Pinned, tagged or plain, each memory is taken for itself: alone it comes to the same bits."""
    rows = [old(days(place + 1), table=place % 8) for place in range(24)]
    recalls = [(place, NOW + days(3 * place % 7)) for place in [*range(24), *range(0, 24, 5)]]
    world, ids = after(rows, recalls, threads=2, debug=True)
    want = state(world, ids)
    for place in range(24):
        own = [(0, time) for which, time in recalls if which == place]
        assert state(*after([rows[place].but(table=0)], own)) == want[place : place + 1]
    order = np.random.default_rng(1).permutation(24)
    assert state(*after(rows, recalls, order=order)) == want


# -- who is meant ---------------------------------------------------------------------------


def test_recalls_of_the_dead_are_passed_over():
    """Of three recalls one is of a memory that was forgotten before they were read."""
    world, ids = world_of([old(HALF_LIFE) for _ in range(3)], systems=[reinforce], debug=True)
    tell(world, ids, [(0, NOW), (1, NOW), (2, NOW)])
    world.despawn(ids[1:2])
    world.step(0)
    assert world.get(ids[[0, 2]], Trace.accesses).tolist() == [2, 2]
    tell(world, ids, [(0, NOW)])
    world.despawn(ids[[0]])
    world.step(0)
    assert world.get(ids[[2]], Trace.accesses).tolist() == [2]


def test_nobody_is_no_memory():
    """A recall of `NOBODY` is passed over, as that of a dead memory is."""
    world, ids = world_of([old(HALF_LIFE)], systems=[reinforce])
    world.emit(Recalled(memory=[NOBODY, ids[0]], time=NOW))
    world.step(0)
    assert world.get(ids, Trace.accesses).tolist() == [2]


def test_without_recalls_nothing_changes():
    """A step without news, and one in a world without memories, change nothing but the clock."""
    world, ids = after([old(days(1))], [], debug=True)
    assert state(world, ids) == [(bits([2**18])[0], NOW - days(1), 1)]
    assert after([], [])[0].query(Memory).count() == 0


def test_only_what_was_recalled_changes():
    """Its neighbours keep every bit, and of itself importance, evidence and the memory stay."""
    rows = [old(days(place), table=place % 8) for place in range(10)]
    before, ids = world_of(rows)
    want = state(before, ids)
    world, ids = after(rows, [(4, NOW)])
    got = state(world, ids)
    assert got[:4] + got[5:] == want[:4] + want[5:]
    assert got[4] != want[4]
    for made in (Trace.importance, Trace.evidence, Memory.created, Memory.sequence, Memory.owner):
        assert world.get(ids, made).tolist() == before.get(ids, made).tolist()


def test_pinned_memories_hold_longer_too():
    """A pin keeps a memory in the world; it is reinforced like any other."""
    world, ids = after([old(HALF_LIFE, table=1)], [(0, NOW)])
    assert world.has(ids, Pinned).all()
    assert world.get(ids, Trace.stability)[0] == 1.5 * 2**18


def test_changes_are_tracked():
    """Change detection finds the memories that were recalled, and no others."""
    world, ids = world_of([old(days(1), table=place % 4) for place in range(9)])
    world.track(Trace)
    world.add_system(reinforce)
    mark = world.mark()
    tell(world, ids, [(2, NOW), (5, NOW), (2, NOW)])
    world.step(1)
    assert world.changed_since(mark, Trace).tolist() == sorted(ids[[2, 5]].tolist())


@component
class Stone:
    """Something that is no memory."""

    weight: f4 = 1.0


@pytest.mark.parametrize("first", [True, False])
def test_a_recall_of_what_is_no_memory_is_passed_over(first):
    """The other recalls of the batch count all the same."""
    world = World()
    for law in (Retention(), Reinforcement()):
        world.insert(law)
    agent = world.spawn(1, Persona(number=0), Stream)
    stone = world.spawn(1, Stone) if first else None
    ids = world.spawn(
        2,
        Memory(owner=agent[0], sequence=[0, 1], created=0),
        Trace(importance=0.5, stability=DAY_S, accessed=0),
    )
    stone = world.spawn(1, Stone) if stone is None else stone
    world.add_system(reinforce)
    world.emit(Recalled(memory=[ids[0], stone[0], ids[1]], time=days(1)))
    world.step(days(2))
    assert world.get(ids, Trace.accesses).tolist() == [2, 2]
    assert world.get(ids, Trace.accessed).tolist() == [days(1), days(1)]


# -- what comes of it -----------------------------------------------------------------------


@EVERY_LAW
def test_what_was_recalled_decays_more_slowly_from_then_on(law):
    """At once, and 10, 100 and 300 days later, it is stronger than its twin."""
    world, ids = after([old(days(20)), old(days(20))], [(0, NOW)], law=law)
    for later in (0, 10, 100, 300):
        recalled, other = strengths_of(world, ids, NOW + days(later))
        assert recalled > other


@EVERY_LAW
def test_the_sweep_sees_the_recall(law):
    """In the same step, swept after it, `Strength` is that of the recalled memory."""
    world, ids = world_of(
        [old(days(20))] * 2, Retention(law=law), systems=[reinforce, refresh_strength]
    )
    tell(world, ids, [(0, NOW)])
    world.step(days(1))
    assert bits(world.get(ids, Strength.value)) == bits(strengths_of(world, ids))
    assert np.diff(world.get(ids, Strength.value)) < 0


def test_spaced_recalls_hold_longer_than_massed_ones():
    """Five recalls over a month leave more than five in an hour, a year later."""
    massed = [(0, NOW + hours(place / 5)) for place in range(5)]
    spaced = [(1, NOW + days(6 * place)) for place in range(5)]
    world, ids = after([old(0)] * 2, massed + spaced)
    short, long = world.get(ids, Trace.stability)
    assert long > 3 * short


def test_a_law_of_ones_own_is_asked():
    """Kernels are made for any law that numba has compiled."""
    kernel = reinforce_by(exponential)
    stability, accessed = np.array([8.0], np.float32), np.array([0])
    accesses = np.ones(1, np.uint32)
    when = np.array([8_000_000])
    kernel(np.zeros(1, np.uint32), when, f4(1), f4(99), np.zeros(1, int), stability, accessed,
           accesses)  # fmt: skip
    assert (stability.tolist(), accessed.tolist(), accesses.tolist()) == ([12], [8_000_000], [2])


@pytest.mark.parametrize(
    ("name", "value"),
    [("gain", -0.1), ("gain", 101), ("gain", float("nan")), ("gain", "1"), ("longest", 0.5),
     ("longest", 2e9), ("longest", None), ("gain", True)],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and the value."""
    with pytest.raises(SettingError, match=rf"Reinforcement\.{name} must .* got "):
        Reinforcement(**{name: value})


def test_defaults_are_those_of_the_sources():
    """g = 1, and a year at most."""
    assert (Reinforcement().gain, Reinforcement().longest) == (1.0, 365 * DAY_S)
