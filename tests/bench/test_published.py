"""The published workloads: verified, equal among all who take part, and what is spoiled is seen."""

import gc

import numpy as np
import pytest
from bench.peers import esper_peer, mesa_peer, numpy_peer, polars_peer, tcod_peer, xecs_peer
from bench.published import frames, models, suite

from bench import (
    cases_frames,
    cases_models,
    cases_published,
    cases_published_compute,
    cases_published_files,
    harness,
)
from populace.ecs.errors import DeadEntityError

CASES = [
    case
    for module in (
        cases_published,
        cases_published_compute,
        cases_published_files,
        cases_frames,
        cases_models,
    )
    for case in harness.cases_of(vars(module))
]
PEERS = [
    module.PEER for module in (esper_peer, tcod_peer, xecs_peer, mesa_peer, polars_peer, numpy_peer)
]
ENTRIES = [
    pytest.param(peer, case, id=f"{peer.name}-{case.name}")
    for peer in PEERS
    for case in CASES
    if case.name in peer.workloads
]
N = 200
# What has to be part of a frame for the state to be what it is; nobody gets as far as a wall.
STEPS = [
    (name, step)
    for name, workload in frames.WORKLOADS.items()
    for step in workload.steps
    if step != "bounce"
]
SEEN = (AssertionError, DeadEntityError)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_is_verified_at_its_smallest_size(case):
    """Populace and the bound are where they should be; each call from a restored state as well."""
    contest = case.contest(case.sizes[0])
    for run in (*contest.subjects.values(), contest.bound):
        for _ in range(2):
            if run.before is not None:
                run.before()
            run.call()


@pytest.mark.parametrize(("peer", "case"), ENTRIES)
def test_a_peer_is_equal_to_populace(peer, case):
    """At the smallest size: one call from a restored state, and another one."""
    if why := peer.why_absent():
        pytest.skip(f"{peer.name}: {why}")
    entry = peer.workloads[case.name](case.sizes[0])
    for _ in range(2 if entry.before is not None else 1):
        if entry.before is not None:
            entry.before()
        entry.call()
    entry.check()


@pytest.mark.parametrize("name", frames.WORKLOADS)
def test_fingerprints_of_a_frame_are_equal(name):
    """Populace's, the bound's and numpy's differ by less than is published as enough; they are of
    the same numbers of values."""
    made = [
        cases_frames.Populace(name, N, True),
        cases_frames.Populace(name, N, False),
        cases_frames.Bare(name, N),
        numpy_peer.numpy_runs.Frames(name, N),
    ]
    expected = frames.fingerprint(frames.expected(name, N))
    for each in made:
        each.before()
        each.call()
        found = frames.fingerprint(each.state())
        assert found.shape == expected.shape
        assert np.allclose(found, expected, frames.RTOL, frames.ATOL)


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_step_left_out_is_seen(name, step):
    """A world in which one of the systems of a frame does not run is not taken for equal."""
    world = cases_frames.Populace(name, N, True)
    world.systems = [each for each in world.systems if each.name != step]
    world.before()
    world.call()
    with pytest.raises(SEEN):
        world.check()


@pytest.mark.parametrize("name", frames.WORKLOADS)
def test_a_frame_too_few_is_seen(name):
    """So is a world that stops a frame early."""
    world = cases_frames.Populace(name, N, True)
    world.before()
    for number in range(frames.WARM_UP, frames.FRAMES - 1):
        world.frame(number)
    with pytest.raises(SEEN):
        world.check()


def test_one_spoiled_entity_among_many_is_seen():
    """Sorted values lie too close together to show it: the state of each entity is looked at."""
    n = frames.SIZES[-1]
    state = {"hp": frames.expected("frame_w4_hits", n)["hp"].copy()}
    state["hp"][7] -= frames.DAMAGE
    mine, theirs = (frames.fingerprint(s) for s in (state, frames.expected("frame_w4_hits", n)))
    assert np.allclose(mine, theirs, frames.RTOL, frames.ATOL)
    with pytest.raises(AssertionError):
        frames.check("frame_w4_hits", n, state)


@pytest.fixture
def harsher(monkeypatch):
    """A scene in which some are beyond the walls, and many have little health left."""
    published = frames.scene

    def scene(n):
        of = published(n)
        return of._replace(position=of.position * 1.5, hp=of.hp * 0.2)

    monkeypatch.setattr(frames, "scene", scene)
    frames.expected.cache_clear()
    yield
    frames.expected.cache_clear()


@pytest.mark.usefixtures("harsher")
@pytest.mark.parametrize("name", ["frame_w2_bounce", "frame_w3_health", "frame_w6_mixed"])
def test_branches_that_the_published_scene_never_takes_are_the_same_for_all(name):
    """Where entities turn back at walls, die and return, all come to the same as well."""
    cases_frames.contest(name, N).verify()
    assert name == "frame_w2_bounce" or frames.expected(name, N)["dead"].any()
    for peer in PEERS:
        if name in peer.workloads and peer.why_absent() is None:
            entry = peer.workloads[name](N)
            entry.before()
            entry.call()
            entry.check()


@pytest.mark.usefixtures("harsher")
def test_walls_left_out_are_seen():
    """In that scene: a world without the system is not taken for equal."""
    world = cases_frames.Populace("frame_w2_bounce", N, True)
    world.systems = [each for each in world.systems if each.name != "bounce"]
    world.before()
    world.call()
    with pytest.raises(AssertionError):
        world.check()


def test_the_scene_is_the_one_published():
    """Seed 0, half of all accelerated; nobody gets as far as a wall, or dies of the drain alone,
    some do of hits."""
    assert np.abs(frames.expected("frame_w2_bounce", N)["position"]).max() < frames.WALL
    first = np.random.default_rng(0).uniform(-40, 40, (N, 2))
    assert np.array_equal(frames.scene(N).position, first)
    assert frames.accelerated(N).sum() == N // 2
    assert not frames.expected("frame_w3_health", N)["dead"].any()
    assert frames.expected("frame_w6_mixed", N)["dead"].any()
    assert all(np.unique(hit).size == hit.size for hit in frames.targets(N))
    assert frames.window(N, frames.FRAMES - 1).stop <= N


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (models.wealth_in_turn, models.wealth_at_once),
        (models.settled_in_turn, models.settled_at_once),
    ],
)
def test_acting_at_once_is_another_model(before, after):
    """Its results are not those of acting in turn."""
    first, second = before(1_000), after(1_000)
    assert not np.array_equal(first, second)


def test_money_is_neither_made_nor_lost():
    """Each agent begins with 1, however they act; a unit too many is seen."""
    for wealth in (models.wealth_in_turn(1_000), models.wealth_at_once(1_000)):
        assert wealth.sum() == 1_000
        assert wealth.min() == 0
        with pytest.raises(AssertionError):
            models.check_wealth(wealth + (np.arange(1_000) == 7), wealth)


def test_cities_are_those_published():
    """1,000 on 40 x 40, 8,000 on 100 x 100; two groups of one size, one agent a cell."""
    for n, side in ((1_000, 40), (8_000, 100)):
        city = models.city(n)
        assert city.side == side
        assert city.home.size + city.empty.size == side**2
        assert np.unique(np.concatenate([city.home, city.empty])).size == side**2
        assert np.bincount(city.group)[1:].tolist() == [n // 2, n // 2]


def test_happy_agents_have_stopped_moving():
    """Most are happy in the end; who has moved elsewhere, or shares a cell, is seen."""
    settled = models.settled_in_turn(1_000)
    assert settled.happy.mean() > 0.9
    moved = settled.home.copy()
    moved[0] = moved[1]
    with pytest.raises(AssertionError):
        models.check_settled(moved, settled.happy, settled)


def test_swaps_are_checked_by_their_letters():
    """What is left as it was, and what got the wrong letter, is seen."""
    start = [
        suite.letters(begin, end, names)
        for names, (begin, end) in zip(suite.SETS, suite.quarters(N), strict=True)
    ]
    with pytest.raises(AssertionError):
        suite.check_swapped(start, N)


def test_inversions_that_were_not_made_are_seen():
    """Positions that were not turned differ from those that were."""
    start = suite.spins(N)
    with pytest.raises(AssertionError):
        suite.check_spins(start, start)


def test_models_of_mesa_end_with_their_entries():
    """Mesa numbers agents by model, and so would keep every model there was."""
    mesa = pytest.importorskip("mesa")
    gc.collect()
    before = len(mesa.Agent._ids)
    entry = mesa_peer.PEER.workloads["boltzmann"](1_000)
    assert len(mesa.Agent._ids) == before + 1
    del entry
    gc.collect()
    assert len(mesa.Agent._ids) == before
