"""Movement: the closed form against exact arithmetic, legs to goals, and events in any batching."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import NEVER
from populace.components.space import Motion, Position, Space
from populace.ecs import World, days, hours, minutes, seconds
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    DuplicateEntityError,
    ResourceError,
    SettingError,
)
from populace.systems.movement import (
    STATE,
    go_to,
    head,
    place,
    positions,
    positions_at,
    refresh_positions,
    standing,
    steer,
    turn,
)

from . import naive_space as naive

NOW = days(20_000)
SIZES = st.sampled_from([1.0, 10.0, 100.1, 1_000.0, 1e6])


def moving(n=1, *, width=100.0, height=100.0, wrapping=False, now=NOW, threads=1, **motion):
    """A world of agents with these motions; and their ids."""
    world = World(threads=threads)
    world.parallel_rows = 1
    world.insert(Space(width=width, height=height, wrapping=wrapping))
    world.clock.now = now
    ids = world.spawn(n, Motion(**{"x": 0.0, "y": 0.0, "since": now, **motion}))
    world.add_system(refresh_positions)
    return world, ids


def where(world, ids, now=None):
    """[(x, y), ...] of agents."""
    return [(float(x), float(y)) for x, y in zip(*positions_at(world, ids, now), strict=True)]


def state(world, ids):
    """The bits of the agents' motions."""
    return [world.get(ids, field).tobytes() for field in STATE]


# -- the closed form ------------------------------------------------------------------------

legs = st.tuples(
    st.floats(0, 1, width=32),  # of the world's size
    st.floats(-100, 100),
    st.integers(0, days(36_500)),  # since the leg began
    st.integers(0, days(36_500)),  # and until it ends
)


@given(st.lists(legs, min_size=1, max_size=20), SIZES, st.booleans())
def test_the_kernel_computes_the_closed_form(drawn, size, wrapping):
    """After any time a coordinate is the exact one, to the rounding of f8 on the way and of f4."""
    start, v, age, length = (np.array(column) for column in zip(*drawn, strict=True))
    start = (start * size).astype("f4")
    since = NOW - age
    for kernel in (positions, positions.py_func):
        out = np.empty((2, v.size), "f4")
        kernel(
            start, start, v, -v, since, since + length, np.int64(NOW), np.float32(size),
            np.float32(size), wrapping, *out,
        )  # fmt: skip
        for got, sign in zip(out, (1, -1), strict=True):
            for row in range(v.size):
                begin = int(since[row])
                want = naive.coordinate(
                    start[row], sign * v[row], begin, begin + int(length[row]), NOW, size, wrapping
                )
                error = abs(float(got[row]) - float(want))
                if wrapping:
                    error = min(error, float(np.float32(size)) - error)
                way = abs(v[row]) * min(age[row], length[row]) * 1e-6
                assert error <= 1e-7 * size + 4e-16 * (way + size)


@given(st.lists(legs, min_size=1, max_size=20), SIZES, st.booleans())
def test_nobody_is_outside_the_world(drawn, size, wrapping):
    """Coordinates lie in [0, size], and below the size in a world that wraps."""
    start, v, age, _ = (np.array(column) for column in zip(*drawn, strict=True))
    start = (start * size).astype("f4")
    world, ids = moving(
        v.size, width=size, height=size, wrapping=wrapping, x=start, y=start, vx=v, vy=-v,
        since=NOW - age,
    )  # fmt: skip
    for axis in positions_at(world, ids):
        assert (axis >= 0).all()
        assert (axis < np.float32(size)).all() if wrapping else (axis <= np.float32(size)).all()


def test_metres_a_second_are_metres_a_second():
    """At 3 and -2 m/s an agent is 6 m to the right and 4 m lower after 2 seconds."""
    world, ids = moving(x=10, y=10, vx=3, vy=-2)
    assert where(world, ids, NOW + seconds(2)) == [(16.0, 6.0)]


def test_walls_stop_each_coordinate_for_itself():
    """Who runs into the right wall slides up along it, and leaves no world."""
    world, ids = moving(x=90, y=10, vx=2, vy=1)
    assert where(world, ids, NOW + seconds(20)) == [(100.0, 30.0)]
    assert where(world, ids, NOW + days(365)) == [(100.0, 100.0)]


def test_a_torus_is_left_at_one_edge_and_entered_at_the_other():
    """From 90 m at 2 m/s to 10 m in 10 s; and after 1,000 years still where arithmetic says."""
    world, ids = moving(wrapping=True, x=90, y=50, vx=2, vy=0)
    assert where(world, ids, NOW + seconds(10)) == [(10.0, 50.0)]
    assert where(world, ids, NOW + days(365_000)) == [(90.0, 50.0)]  # a whole number of laps


def test_what_rounds_up_to_the_edge_of_a_torus_is_at_0():
    """A coordinate a hair below the size is no f4 below it, so it is 0."""
    world, ids = moving(wrapping=True, x=0, y=0, vx=-1e-9, vy=1e-9)
    assert where(world, ids, NOW + seconds(1)) == [(0.0, float(np.float32(1e-9)))]


def test_before_its_leg_an_agent_stands_at_its_beginning():
    """A question about the time before the last event is answered with where that met the agent."""
    world, ids = moving(x=5, y=5, vx=1)
    assert where(world, ids, NOW - seconds(10)) == [(5.0, 5.0)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sweep_fills_what_is_asked_whatever_the_row_and_thread(threads):
    """`Position` after a sweep has the bits of `positions_at`, for any rows in any company."""
    draw = np.random.default_rng(1)
    n = 1_001
    columns = {
        "x": draw.uniform(0, 100, n), "y": draw.uniform(0, 100, n),
        "vx": draw.normal(size=n), "vy": draw.normal(size=n),
    }  # fmt: skip
    for wrapping in (False, True):
        world, ids = moving(n, wrapping=wrapping, threads=threads, **columns)
        world.step(minutes(10))
        part, _ = moving(3, wrapping=wrapping, **{k: v[7:10] for k, v in columns.items()})
        part.step(minutes(10))
        for field, axis in zip((Position.x, Position.y), positions_at(world, ids), strict=True):
            got = world.get(ids, field)
            assert got.tobytes() == axis.tobytes()
            assert part.query(Position).gather(field).tobytes() == got[7:10].tobytes()


def test_the_length_of_a_step_changes_no_position():
    """One step of a day or 24 of an hour: the same bits."""
    worlds = [moving(wrapping=True, x=1, y=2, vx=1.234, vy=-0.77)[0] for _ in range(2)]
    worlds[0].step(days(1))
    for _ in range(24):
        worlds[1].step(hours(1))
    for field in (Position.x, Position.y):
        assert len({world.query(Position).gather(field).tobytes() for world in worlds}) == 1


# -- legs to a goal --------------------------------------------------------------------------

points = st.tuples(*[st.floats(0, 1, width=32)] * 4)


@settings(max_examples=100)
@given(points, SIZES, SIZES, st.floats(1e-3, 1e3), st.booleans())
def test_who_goes_to_a_goal_stands_exactly_there(drawn, width, height, speed, wrapping):
    """At its end, and ever after, a leg is at its goal to the last bit (within 1 cm of 0 to 1 nm);
    in a torus at the same point of it."""
    x, y, to_x, to_y = (
        np.float32(share * np.float32(size))
        for share, size in zip(drawn, (width, height) * 2, strict=True)
    )
    world, ids = moving(width=width, height=height, wrapping=wrapping, x=x, y=y)
    go_to(world, ids, to_x, to_y, speed)
    until = int(world.get(ids, Motion.until)[0])
    goal = [float(to_x), float(to_y)]
    if wrapping:
        goal = [g if g < np.float32(s) else 0.0 for g, s in zip(goal, (width, height), strict=True)]
    for now in (until, until + 1, until + days(1_000)):
        for got, want in zip(where(world, ids, now)[0], goal, strict=True):
            assert got == want if want > 0.01 else got == pytest.approx(want, rel=0, abs=1e-9)


@given(points, st.floats(0.01, 100), st.booleans())
def test_nobody_is_faster_than_told(drawn, speed, wrapping):
    """A leg takes the distance over the speed, rounded up to a whole µs."""
    x, y, to_x, to_y = (np.float32(100 * share) for share in drawn)
    world, ids = moving(wrapping=wrapping, x=x, y=y)
    go_to(world, ids, to_x, to_y, speed)
    way = np.abs(np.array([to_x, to_y], "f8") - np.array([x, y], "f8"))
    if wrapping:
        way = np.minimum(way, 100 - way)
    took = (int(world.get(ids, Motion.until)[0]) - NOW) * 1e-6
    assert took == pytest.approx(np.hypot(*way) / speed, rel=1e-12, abs=1e-6)
    v = np.hypot(world.get(ids, Motion.vx), world.get(ids, Motion.vy))[0]
    assert v <= speed * (1 + 1e-12)


def test_half_way_at_half_time():
    """30 m right and 40 m up at 2 m/s take 25 s; after 12.5 s half of each is done."""
    world, ids = moving(x=10, y=10)
    go_to(world, ids, 40, 50, 2.0)
    assert int(world.get(ids, Motion.until)[0]) == NOW + seconds(25)
    assert where(world, ids, NOW + seconds(12.5)) == [(25.0, 30.0)]


def test_in_a_torus_the_way_is_the_shorter_one():
    """From 90 m to 10 m it is 20 m ahead, not 80 m back."""
    world, ids = moving(wrapping=True, x=90, y=0)
    go_to(world, ids, 10, 0, 1.0)
    assert where(world, ids, NOW + seconds(5)) == [(95.0, 0.0)]
    assert where(world, ids, NOW + seconds(15)) == [(5.0, 0.0)]
    assert where(world, ids, NOW + seconds(25)) == [(10.0, 0.0)]


def test_a_goal_where_one_stands_is_reached_at_once():
    """No distance, no time, no speed."""
    world, ids = moving(x=3, y=4)
    go_to(world, ids, 3, 4, 1.4)
    assert world.get(ids, Motion.until).tolist() == [NOW]
    assert world.get(ids, Motion.vx).tolist() == [0.0]
    assert standing(world, ids).all()


def test_who_stands_is_who_has_arrived_or_never_left():
    """Standing: no speed, or past the end of the leg."""
    world, ids = moving(4, x=0, y=0, vx=[0, 1, 1, 0], vy=[0, 0, 0, 1],
                        until=[NEVER, NEVER, NOW, NOW + 1])  # fmt: skip
    assert standing(world, ids).tolist() == [True, False, True, False]
    assert standing(world, ids, NOW + 1).tolist() == [True, False, True, True]


def test_place_puts_agents_down_and_gives_motion():
    """Placed agents stand at the point from that moment; those that could not move now can."""
    world, ids = moving(vx=5)
    new = world.spawn(1)
    both = np.append(ids, new)
    place(world, both, [1, 2], 7)
    assert where(world, both, NOW + days(1)) == [(1.0, 7.0), (2.0, 7.0)]
    assert world.get(both, Motion.until).tolist() == [NOW, NOW]
    assert world.has(new, Position).all()


# -- events ----------------------------------------------------------------------------------

happenings = st.lists(
    st.tuples(
        st.integers(0, 3),  # agent
        st.integers(0, days(1)),
        st.sampled_from(["steer", "go_to", "place"]),
        st.floats(0, 100, width=32),
        st.floats(0, 100, width=32),
    ),
    max_size=12,
)
CALLS = {
    "steer": lambda world, ids, x, y, time: steer(world, ids, x - 50, y - 50, time),
    "go_to": lambda world, ids, x, y, time: go_to(world, ids, x, y, 0.1, time),
    "place": place,
}


def tell(world, ids, events):
    """Make the calls that these events stand for: neighbours of one kind in one batch."""
    while events:
        kind = events[0][2]
        n = next((i for i, event in enumerate(events) if event[2] != kind), len(events))
        agent, time, _, x, y = (np.array(column) for column in zip(*events[:n], strict=True))
        CALLS[kind](world, ids[agent], x, y, NOW + time)
        events = events[n:]


@settings(max_examples=60)
@given(happenings, st.lists(st.integers(0, 12), max_size=3), st.booleans())
def test_batches_of_events_change_nothing(events, cuts, wrapping):
    """Events at their times in one batch, one by one, or cut anywhere: the same bits."""
    events = sorted(events, key=lambda event: event[1])
    bounds = sorted({0, len(events), *(min(cut, len(events)) for cut in cuts)})
    parts = [events[a:b] for a, b in pairwise(bounds)]
    results = []
    for batches in ([events], [[event] for event in events], parts):
        world, ids = moving(4, wrapping=wrapping, x=50, y=50)
        for batch in batches:
            tell(world, ids, batch)
        results.append(state(world, ids))
    assert results[0] == results[1] == results[2]


@settings(max_examples=60)
@given(happenings, st.randoms(use_true_random=False))
def test_events_count_by_time_not_by_emission(events, random):
    """In one batch of `go_to`, shuffled, with different times, the same bits."""
    events = list({time: (agent, time, "go_to", x, y) for agent, time, _, x, y in events}.values())
    results = []
    for _ in range(2):
        world, ids = moving(4, x=50, y=50)
        tell(world, ids, events)
        results.append(state(world, ids))
        random.shuffle(events)
    assert results[0] == results[1]


@pytest.mark.parametrize("steps", [[24], [1] * 24, [0.25] * 96])
def test_the_length_of_steps_between_events_changes_nothing(steps):
    """Turned at 3:30 and sent home at 17:10, told at the end of the step in which it happens."""
    events = [(0, hours(3.5), "steer", 50.7, 49.9), (0, minutes(1030), "go_to", 7.0, 8.0)]
    world, ids = moving(x=50, y=50, vx=0.001)
    start = 0
    for step in steps:
        world.step(hours(step))
        end = world.clock.now - NOW
        tell(world, ids, [event for event in events if start < event[1] <= end])
        start = end
    other, ids = moving(x=50, y=50, vx=0.001)
    tell(other, ids, events)
    assert state(world, ids) == state(other, ids)


def test_late_news_counts_at_the_beginning_of_the_leg():
    """An event older than the leg it meets neither runs time backwards nor is lost."""
    world, ids = moving(x=10, y=10, vx=1)
    steer(world, ids, 0, 2, NOW - hours(1))
    assert world.get(ids, Motion.since).tolist() == [NOW]
    assert where(world, ids, NOW + seconds(1)) == [(10.0, 12.0)]
    go_to(world, ids, 10, 90, 1.0, NOW - days(1))
    assert world.get(ids, Motion.since).tolist() == [NOW]
    assert world.get(ids, Motion.until).tolist() == [NOW + seconds(80)]


def motions(n, vx):
    """The columns of n motions that began now at (10, 10)."""
    values = {"f4": (10, 10), "f8": (vx, 0), "i8": (NOW, NEVER)}
    return [np.full(n, value, dtype) for dtype, both in values.items() for value in both]


@pytest.mark.parametrize("kernel", [turn, turn.py_func])
def test_a_turn_takes_along_where_the_agent_was(kernel):
    """Two turns of one agent: 2 s at 1 m/s along x, 3 s at 2 m/s along y, then 1 m/s back."""
    columns = motions(1, vx=1)
    kernel(
        np.array([1, 0]), np.array([0, 0]), np.array([NOW + seconds(5), NOW + seconds(2)]),
        np.array([-1.0, 0.0]), np.array([0.0, 2.0]), np.float32(100), np.float32(100), False,
        *columns,
    )  # fmt: skip
    assert [column[0] for column in columns] == [12, 16, -1, 0, NOW + seconds(5), NEVER]


@pytest.mark.parametrize("kernel", [head, head.py_func])
def test_a_heading_has_the_speed_and_the_time_of_arrival(kernel):
    """3 m right and 4 m up at 0.5 m/s: 10 s, 0.3 and 0.4 m/s; at infinite speed one is there."""
    columns = motions(2, vx=0)
    goal = np.full((2, 2), (13, 14), "f4").T.copy()
    kernel(
        np.array([0, 1]), np.array([0, 1]), np.full(2, NOW), *goal, np.array([0.5, np.inf]),
        np.float32(100), np.float32(100), False, *columns,
    )  # fmt: skip
    assert [c[0] for c in columns] == [10, 10, pytest.approx(0.3), pytest.approx(0.4), NOW,
                                       NOW + seconds(10)]  # fmt: skip
    assert [c[1] for c in columns] == [13, 14, 0, 0, NOW, NOW]


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "says", "call"),
    [
        (ColumnValueError, r"x must lie in \[0, 100\] m; got 101 at place 1",
         lambda w, ids: go_to(w, ids, [5, 101], 0, 1)),
        (ColumnValueError, r"y must lie in \[0, 100\] m; got nan at place 0",
         lambda w, ids: place(w, ids, 5, np.nan)),
        (ColumnValueError, r"speed must lie in \[1e-6, 1e6\] m/s; got 0",
         lambda w, ids: go_to(w, ids, 5, 5, 0)),
        (ColumnValueError, r"speed must lie in .*; got inf",
         lambda w, ids: go_to(w, ids, 5, 5, np.inf)),
        (ColumnValueError, r"vy must lie in \[-1e6, 1e6\] m/s; got nan",
         lambda w, ids: steer(w, ids, 1, np.nan)),
        (ColumnValueError, r"time is simulated µs in whole numbers, got float64",
         lambda w, ids: steer(w, ids, 1, 1, 3.5)),
        (ColumnShapeError, r"vx needs 2 values or a scalar, got shape \(3,\)",
         lambda w, ids: steer(w, ids, [1, 2, 3], 1)),
        (ColumnShapeError, r"x needs 2 values", lambda w, ids: place(w, ids, [1, 2, 3], 1)),
        (DeadEntityError, "12345", lambda w, ids: steer(w, [ids[0], 12345], 1, 1)),
        (DuplicateEntityError, "twice|more than once|repeat",
         lambda w, ids: place(w, [w.spawn(1)[0]] * 2, 1, 1)),
        (ComponentMissingError, "Motion", lambda w, ids: go_to(w, w.spawn(1), 1, 1, 1)),
    ],
)  # fmt: skip
def test_what_makes_no_leg_is_refused_and_nothing_changes(error, says, call):
    """The error names what is wrong, the value and what is allowed; every motion stays."""
    world, ids = moving(2, x=1, y=2, vx=3)
    before = state(world, ids)
    with pytest.raises(error, match=says):
        call(world, ids)
    assert state(world, ids) == before


def test_a_torus_takes_any_finite_goal():
    """500 m is 0 m in a world of 100 m; infinity is nowhere."""
    world, ids = moving(wrapping=True, x=10, y=0)
    go_to(world, ids, 500, 0, 10.0)
    assert where(world, ids, NOW + seconds(1)) == [(0.0, 0.0)]
    with pytest.raises(ColumnValueError, match="x must be finite; got inf"):
        go_to(world, ids, np.inf, 0, 10.0)


def test_a_world_without_space_says_so():
    """Where the edges are must be known."""
    world = World()
    ids = world.spawn(1, Motion(x=0, y=0))
    with pytest.raises(ResourceError, match="Space"):
        positions_at(world, ids)


@pytest.mark.parametrize("name", ["width", "height"])
def test_a_world_has_a_size(name):
    """Sizes are 1 m to 1,000 km."""
    with pytest.raises(SettingError, match=rf"Space\.{name} must lie in \[1, 1e\+06\] m, got 0"):
        Space(**{name: 0})


def test_nobody_asked_nobody_moved():
    """Empty batches are fine everywhere."""
    world, _ = moving()
    none = np.empty(0, np.uint64)
    steer(world, none, 1, 1)
    go_to(world, none, 1, 1, 1)
    place(world, none, 1, 1)
    assert where(world, none) == []
    assert standing(world, none).size == 0
