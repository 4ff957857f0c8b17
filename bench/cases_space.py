"""The laws of space and of the day: neighbours, positions, activities, a round of an hour.

The neighbours' bound is scipy's cKDTree, built and asked, since points have moved by the next step.
scipy is no dependency: where it is missing the subject is called "vs grid", and its bound is a bare
pass over a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from populace import World, days, hours
from populace.components import Contact, Observed, Persona, Stream
from populace.components.activity import Activity, ActivityChanged
from populace.components.energy import SocialEnergy
from populace.components.place import Haunts, Place
from populace.components.space import Motion, Position, Space
from populace.systems.activity import change_activity, enter_state
from populace.systems.colocation import Colocation, awake, meet
from populace.systems.daily import daily_life
from populace.systems.energy import Energy
from populace.systems.movement import positions_at, refresh_positions
from populace.systems.neighbours import nearest, pairs_within
from populace.systems.perception import Perception, perceive
from populace.systems.routine import Routine, Walking, follow_routine, settle

from . import bare_laws as bare
from .cases_minds import moved
from .harness import FULL, SIZES, Contest, Run, case

AREA = "town"

RADIUS = float(np.sqrt(4 / np.pi))  # m: 4 neighbours each where there is 1 point a m²
NEAREST = 4
PEER = "vs cKDTree" if find_spec("scipy") else "vs grid"
POSITION_BYTES = 48  # x, y f4, velocities f8 and both times read; x, y f4 written
MONDAY = days(4)


def points(n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """x, y f4 of n points at 1 a m², and the side of their world."""
    side = float(np.sqrt(n))
    x, y = (np.random.default_rng(1).random((2, n)) * side).astype(np.float32)
    return x, y, side


def grid_pass(x: np.ndarray, y: np.ndarray, side: float, radius: float) -> Callable[[], int]:
    """A bare count of the pairs within the radius, with at most as many cells as points."""
    n_side = max(1, int(min(side / (radius * 1.001), np.sqrt(x.size))))
    start, at = np.zeros(n_side**2 + 1, np.int64), np.zeros(n_side**2, np.int64)
    held = np.zeros_like(x), np.zeros_like(y)
    reach = np.float32(radius)
    return partial(
        bare.near_pairs, x, y, n_side / side, n_side, reach * reach, start, at, *held
    )  # fmt: skip


def tree_maker(place: np.ndarray) -> Callable[[], Any]:
    """What makes a cKDTree of (n, 2) points."""
    from scipy.spatial import cKDTree

    return partial(cKDTree, place)


@case(PEER, sizes=SIZES, bytes_each=400)
def neighbours_pairs(n: int) -> Contest:
    """All pairs of n points that are near each other, 4 neighbours each; bound: scipy's cKDTree,
    built, and its query_pairs; without scipy a bare count of the pairs, by a grid."""
    x, y, side = points(n)
    run = partial(pairs_within, x, y, RADIUS, side, side)
    count = grid_pass(x, y, side, RADIUS)
    if PEER == "vs grid":

        def verify() -> None:
            assert run()[0].size == count()

        return Contest({PEER: Run(run)}, Run(count), verify)
    place = np.stack([x, y], axis=1).astype(np.float64)
    tree = tree_maker(place)

    def by_tree() -> np.ndarray:
        found: np.ndarray = tree().query_pairs(RADIUS, output_type="ndarray")
        return found

    def verify_tree() -> None:
        i, j = run()
        assert i.size == count()
        theirs = by_tree()
        # f4 and f8 may differ about a pair that is just as far apart as the radius.
        differ = np.setxor1d(i * n + j, theirs[:, 0] * n + theirs[:, 1])
        apart = np.hypot(*(place[differ // n] - place[differ % n]).T)
        assert np.allclose(apart, RADIUS, rtol=1e-6)

    return Contest({PEER: Run(run)}, Run(by_tree), verify_tree)


@case(PEER, sizes=SIZES, bytes_each=500, rounds=3)
def neighbours_nearest_4(n: int) -> Contest:
    """The 4 nearest of each of n points; bound: scipy's cKDTree, built, and its query for 5, one
    being the point itself; without scipy a bare count of the pairs within a radius of 4
    neighbours."""
    x, y, side = points(n)
    run = partial(nearest, x, y, NEAREST, side, side)

    def verify() -> None:
        place, distance = run()
        for i in range(0, n, max(1, n // 20)):
            apart = np.hypot(x - x[i], y - y[i])
            apart[i] = np.inf
            assert np.allclose(np.sort(apart)[:NEAREST], distance[i], rtol=1e-5)
            assert np.allclose(apart[place[i]], distance[i], rtol=1e-5)

    if PEER == "vs grid":
        return Contest({PEER: Run(run)}, Run(grid_pass(x, y, side, RADIUS)), verify)
    both = np.stack([x, y], axis=1).astype(np.float64)
    tree = tree_maker(both)

    def by_tree() -> Any:
        return tree().query(both, k=NEAREST + 1)

    def verify_tree() -> None:
        verify()
        assert np.allclose(run()[1], by_tree()[0][:, 1:], rtol=1e-5, atol=1e-6)

    return Contest({PEER: Run(run)}, Run(by_tree), verify_tree)


@case("sweep", area="sweeps", sizes=FULL, bytes_each=300)
def sweep_positions(n: int) -> Contest:
    """Where n agents on straight legs are, for a new moment each time; bound: a memcpy that moves
    the same 48 bytes a row (24 read, 24 written)."""
    world = World(seed=1)
    world.insert(Space())
    draw = np.random.default_rng(1)
    (x, y), (vx, vy) = draw.random((2, n)) * 1_000, draw.normal(size=(2, n))
    ids = world.spawn(n, Motion(x=x, y=y, vx=vx, vy=vy))
    sweep = refresh_positions.bind(world)

    def run() -> None:
        world.clock.now += 1_000_000
        sweep.run(None)

    def verify() -> None:
        run()
        some = ids[:: max(1, n // 1000)]
        expected = positions_at(world, some)
        for field, column in zip((Position.x, Position.y), expected, strict=True):
            assert np.array_equal(world.get(some, field), column)

    return Contest({"sweep": Run(run)}, moved(POSITION_BYTES * n), verify)


@case("activity", sizes=SIZES, bytes_each=300)
def activity_hundredth(n: int) -> Contest:
    """A random hundredth of n agents, asleep, get up at 7:00; bound: a scan of all ends, and the
    due ones pass to a next state, by a bare loop."""
    world = World(seed=1)
    machine = daily_life()
    world.insert(machine)
    now, asleep = MONDAY + hours(7), machine.code("asleep")
    world.clock.now = now
    k = n // 100
    ids = world.spawn(
        n,
        Persona(number=np.arange(n)),
        Activity(state=asleep, since=now - hours(8), until=now + hours(1)),
    )
    run, told = change_activity.bind(world), world.events(ActivityChanged)
    states, since = np.full(n, asleep, np.uint8), np.full(n, now - hours(8))
    until = np.full(n, now + hours(1))
    randoms = [np.random.default_rng(2) for _ in range(2)]

    def due() -> None:
        told.read()
        for queue in world.event_queues.held.values():
            queue.end_step()
        rows = randoms[0].choice(n, k, replace=False)
        world.set(ids[rows], Activity(state=asleep, since=now - hours(8), until=now))

    def due_bare() -> None:
        rows = randoms[1].choice(n, k, replace=False)
        states[rows], until[rows] = asleep, now

    def by_hand() -> None:
        bare.next_states(states, since, until, now, hours(1))

    def verify() -> None:
        due()
        due_bare()
        rows = np.flatnonzero(until == now)
        run.run(None)
        changed = told.read()
        assert np.array_equal(np.sort(changed.agent), np.sort(ids[rows]))
        assert (changed.before == asleep).all()
        assert (world.get(ids, Activity.until) > now).all()
        assert bare.next_states(states, since, until, now, hours(1)) == k

    subject = Run(partial(run.run, None), due)
    return Contest({"activity": subject}, Run(by_hand, due_bare), verify)


def town(n: int) -> World:
    """n agents in homes of 3, offices of 20 and cafés of 50, on a Monday at 0:00, asleep."""
    side = float(1_000 * np.sqrt(n / 1_000))
    world = World(seed=1)
    settings = (Space(width=side, height=side), Colocation(), Perception(), Routine(), Walking())
    for resource in (*settings, daily_life(), Energy()):
        world.insert(resource)
    draw = np.random.default_rng(1)

    def places(count: int, kind: str) -> np.ndarray:
        names = [f"{kind} {number}" for number in range(count)]
        x, y = draw.uniform(0, side, (2, count))
        return world.spawn(count, Place(name=names, kind=kind, x=x, y=y))

    homes, offices = places(n // 3, "house"), places(n // 20, "office")
    cafes = places(n // 50, "cafe")
    agents = world.spawn(
        n,
        Persona(
            number=np.arange(n), name=[f"Agent {i}" for i in range(n)], extraversion=draw.random(n)
        ),
        Stream(),
        SocialEnergy,
        Haunts(
            home=draw.choice(homes, n), work=draw.choice(offices, n), leisure=draw.choice(cafes, n)
        ),
    )
    world.clock.now = MONDAY
    enter_state(world, agents, "asleep")
    settle(world, agents)
    world.add_systems(change_activity, follow_routine, meet, perceive)
    return world


@case("to work", "at work", sizes=(10_000,), unit="agent", bytes_each=30_000)
def round_of_an_hour(n: int) -> Contest:
    """Activities, ways, meetings and observations of n agents, from 7 to 8 and from 10 to 11 of a
    working day; bound: two bare counts of the pairs awake at 11, within the radius of meetings and
    within sight, by a grid."""
    world = town(n)
    agents = world.query(Persona).ids()
    met, seen = world.events(Contact), world.events(Observed)

    def until(hour: int) -> None:
        """Live on to the next such hour of a working day."""
        while True:
            met.read()
            seen.read()
            day, of_day = divmod(world.clock.now, days(1))
            if of_day == hours(hour) and (day - MONDAY // days(1)) % 7 < 5:
                return
            world.step(hours(1))

    law, sight = world.resource(Colocation), world.resource(Perception).sight
    until(10)
    world.step(hours(1))
    waking = agents[awake(world, agents, law.asleep)]
    x, y = positions_at(world, waking)
    side = world.resource(Space).width
    passes = [grid_pass(x, y, side, radius) for radius in (law.radius, sight)]

    def count() -> None:
        for each in passes:
            each()

    def verify() -> None:
        contacts, observed = met.read(), seen.read()
        assert len(contacts) > n // 10
        assert len(observed) > waking.size
        now = world.clock.now
        assert ((contacts.time > now - hours(1)) & (contacts.time <= now)).all()
        ends = [np.stack(positions_at(world, e)) for e in (contacts.source, contacts.target)]
        assert (np.hypot(*(ends[0] - ends[1]).astype(np.float64)) <= law.radius + 1e-3).all()
        assert passes[0]() == pairs_within(x, y, law.radius, side, side)[0].size

    step = partial(world.step, hours(1))
    subjects = {"to work": Run(step, partial(until, 7)), "at work": Run(step, partial(until, 10))}
    return Contest(subjects, Run(count), verify)
