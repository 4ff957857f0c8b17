"""Metrics: counts and means over time, for whoever listens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import (
    Confidence,
    Knowledge,
    KnowledgeState,
    Memory,
    Persona,
    Reflection,
    Stream,
    Strength,
    Tie,
    TieState,
    Topic,
    Trace,
)
from populace.components.metric import Metric
from populace.ecs import World, days, f4, hours, minutes
from populace.ecs.image import capture, restore
from populace.systems import Learning, Pruning, Retention, Ties, forget, refresh_strength
from populace.systems.knowledge import refresh_confidence
from populace.systems.metrics import FINE, fine_sum, measure, measure_counts
from populace.systems.ties import refresh_ties

NOW = days(20_000)
SYSTEMS = (refresh_strength, refresh_ties, refresh_confidence, forget, measure, measure_counts)


def society(n=40, keep=True, **options):
    """Three agents, n memories of them, two ties, a reflection and what one knows."""
    world = World(seed=3, **options)
    for law in (Retention(), Pruning(), Ties(), Learning()):
        world.insert(law)
    world.clock.now = NOW
    agents = world.spawn(3, Persona(number=[0, 1, 2]), Stream)
    k = np.arange(n)
    created = NOW - hours(1) * k
    notes = world.spawn(
        Memory(owner=agents[k % 3], sequence=k // 3, created=created),
        Trace(importance=(k % 9 + 1) / 10, stability=86_400.0, accessed=created),
    )
    world.add(notes[:1], Reflection)
    world.spawn(Tie(source=agents[:2], target=agents[1:]), TieState(weight=[5, 15], last=NOW))
    topic = world.spawn(Topic(number=[0], name="tea"))
    world.spawn(
        Knowledge(owner=agents[:1], topic=topic), KnowledgeState(confidence=0.5, rehearsed=NOW)
    )
    world.add_systems(*SYSTEMS)
    if keep:
        world.keep(Metric)
    return world


def told(world):
    """What was measured: by (time, name)."""
    columns = world.journal(Metric).columns
    names = world.text.decode(columns["name"])
    pairs = zip(columns["time"].tolist(), names, strict=True)
    return dict(zip(pairs, columns["value"].tolist(), strict=True))


def test_counts_and_means_are_those_of_the_world():
    """At the time of the step, after the sweeps and after forgetting."""
    world = society()
    world.step(hours(1))
    now = NOW + hours(1)
    memories = world.query(Memory)
    got = told(world)
    assert {time for time, _ in got} == {now}
    values = {name: value for (_, name), value in got.items()}
    assert values.pop("memory_strength") == pytest.approx(
        world.query(Strength, with_=Memory).gather(Strength.value).astype("f8").mean(), abs=1e-9
    )
    assert values.pop("tie_strength") == pytest.approx((0.5 + 0.75) / 2, abs=1e-2)
    assert values.pop("confidence") == pytest.approx(
        world.query(Knowledge).gather(Knowledge.owner).size
        * world.query(Confidence).gather(Confidence.value)[0]
    )
    forgotten = 40 - memories.count()
    assert forgotten > 0
    assert values == {
        "agents": 3.0, "memories": float(40 - forgotten), "reflections": 1.0, "ties": 2.0,
        "knowledge": 1.0, "forgotten, weak": float(forgotten),
    }  # fmt: skip


def test_it_is_measured_every_hour():
    """Whatever the step; in steps of more than an hour once a step."""
    world = society()
    world.run(hours(3), step=minutes(20))
    world.run(hours(6), step=hours(3))
    times = sorted({time - NOW for time, _ in told(world)})
    assert times == [hours(k) for k in (1, 2, 3, 6, 9)]


def test_nothing_is_measured_where_nobody_listens():
    """No events, and the systems do not run."""
    world = society(keep=False)
    world.run(hours(3), step=hours(1))
    for name in ("measure", "measure_counts"):
        assert world.telemetry.of(name).calls == 0
    reader = world.events(Metric)
    world.step(hours(1))
    assert len(reader) == 9
    del reader
    world.step(hours(1))
    assert world.telemetry.of("measure").calls == 1


def test_what_a_world_has_none_of_is_left_out():
    """An empty world has nothing to tell."""
    world = World()
    world.add_systems(measure, measure_counts)
    world.keep(Metric)
    world.step(hours(1))
    assert len(world.journal(Metric)) == 0


def test_metrics_do_not_depend_on_a_budget_nor_on_save_and_load():
    """Sweeps that a budget leaves out are made before measuring; a restored world goes on."""
    plain, hurried, saved = society(), society(), society()
    hurried.set_budget(1e-9)
    for world in (plain, hurried, saved):
        world.run(hours(5), step=minutes(10))
    saved = restore(capture(saved))
    saved.add_systems(*SYSTEMS)
    for world in (plain, hurried, saved):
        world.run(hours(5), step=minutes(10))
    assert told(plain) == told(hurried) == told(saved)
    assert len(told(plain)) == 90
    assert hurried.telemetry.sweeps_every > 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200), st.randoms())
def test_a_mean_does_not_depend_on_the_order_of_rows(values, random):
    """The sum is exact to 2^-32 a value, and the same in any order."""
    column = np.array(values, f4)
    total = fine_sum(column)
    random.shuffle(values)
    assert fine_sum(np.array(values, f4)) == total
    assert total / FINE == pytest.approx(float(column.astype("f8").sum()), abs=len(values) / FINE)
