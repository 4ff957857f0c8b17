"""Neighbour search: the grid finds what comparing all with all finds, bit for bit."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Persona
from populace.components.space import Motion, Space
from populace.ecs import World, component, seconds
from populace.ecs.errors import ColumnShapeError, ColumnValueError, ComponentMissingError
from populace.systems import grid
from populace.systems.neighbours import nearest, neighbours, pairs_within

from . import naive_space as naive

SIZES = [1.0, 3.0, 10.0, 37.3, 1_000.0]
RADII = [0.0, 0.1, 0.5, 1.0, 2.5, 30.0, 5_000.0, np.inf]


@st.composite
def crowds(draw, most=35):
    """Points in a world: spread, in clumps, on a lattice, at its edges, or all in one spot."""
    width, height = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    wrapping = draw(st.booleans())
    n = draw(st.integers(0, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, y = random.random((2, n)) ** draw(st.sampled_from([1, 6]))
    shape = draw(st.sampled_from(["spread", "lattice", "edges", "spot"]))
    if shape == "lattice":
        x, y = np.floor(x * 5) / 5, np.floor(y * 3) / 3
    elif shape == "edges":
        x = np.round(x)
    elif shape == "spot":
        x, y = np.full(n, 0.3), np.full(n, 0.7)
    sizes = np.float32(width), np.float32(height)
    return (x * sizes[0]).astype("f4"), (y * sizes[1]).astype("f4"), width, height, wrapping


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """The kernels as they run, and as Python runs their source."""
    if request.param == "plain":
        # By name: the package's own `neighbours` is the function.
        module = importlib.import_module("populace.systems.neighbours")
        monkeypatch.setattr(grid, "sort_points", grid.sort_points.py_func)
        for name in ("sweep_pairs", "cell_starts", "search_rings"):
            monkeypatch.setattr(module, name, getattr(module, name).py_func)


def as_pairs(found):
    """Two columns as a list of pairs."""
    return list(zip(*(column.tolist() for column in found), strict=True))


def check_pairs(crowd, radius):
    x, y, *world = crowd
    assert as_pairs(pairs_within(x, y, radius, *world)) == naive.pairs_within(x, y, radius, *world)


def check_nearest(crowd, k, reach):
    x, y, *world = crowd
    places, distances = nearest(x, y, k, *world, reach=reach)
    assert (places.shape, distances.shape) == ((x.size, k), (x.size, k))
    for i, want in enumerate(naive.nearest(x, y, k, *world, reach)):
        absent = k - len(want)
        assert places[i].tolist() == [j for j, _ in want] + [-1] * absent
        assert distances[i].tolist() == [np.sqrt(d) for _, d in want] + [np.inf] * absent


@settings(max_examples=150)
@given(crowds(), st.sampled_from(RADII))
def test_all_pairs_within_any_radius(crowd, radius):
    """The pairs of the plain comparison of all with all, in its order."""
    check_pairs(crowd, radius)


@settings(max_examples=150)
@given(crowds(), st.integers(1, 6), st.sampled_from(RADII))
def test_the_nearest_within_any_reach(crowd, k, reach):
    """Places, order and distances of a plain sort, ties and missing ones included."""
    check_nearest(crowd, k, reach)


@pytest.mark.parametrize("seed", range(12))
def test_the_kernels_run_without_the_compiler(kernels, seed):
    """The same from the kernels' own source, in plain Python."""
    random = np.random.default_rng(seed)
    x, y = (random.random((2, 25)) * 20).astype("f4")
    crowd = x, y, 20.0, 20.0, seed % 2 == 0
    check_pairs(crowd, [0.5, 3.0, 9.0][seed % 3])
    check_nearest(crowd, 1 + seed % 4, [np.inf, 4.0][seed % 2])


@settings(max_examples=100)
@given(crowds(), st.sampled_from(RADII), st.randoms(use_true_random=False))
def test_order_of_points_changes_names_only(crowd, radius, random):
    """Shuffled points have the same pairs, by their new places."""
    x, y, *world = crowd
    order = list(range(x.size))
    random.shuffle(order)
    found = as_pairs(pairs_within(x[order], y[order], radius, *world))
    names = sorted(tuple(sorted((order[i], order[j]))) for i, j in found)
    assert names == as_pairs(pairs_within(x, y, radius, *world))


@settings(max_examples=60)
@given(crowds(), st.floats(0, 1_000), st.floats(1, 3))
def test_a_larger_radius_finds_no_fewer(crowd, radius, factor):
    """Every pair within a radius is within any larger one."""
    x, y, *world = crowd
    near = set(as_pairs(pairs_within(x, y, radius, *world)))
    assert near <= set(as_pairs(pairs_within(x, y, radius * factor, *world)))


@settings(max_examples=60)
@given(crowds())
def test_filters_come_before_ranking(crowd):
    """Asked for k there are k, as long as k others are within reach: never fewer."""
    x, y, *world = crowd
    places, _ = nearest(x, y, 3, *world)
    assert ((places >= 0).sum(axis=1) == min(3, max(x.size - 1, 0))).all()


@settings(max_examples=60)
@given(crowds(), st.integers(1, 5))
def test_both_searches_agree(crowd, k):
    """The pairs within the distance of the k-th nearest hold all k."""
    x, y, *world = crowd
    places, distances = nearest(x, y, k, *world)
    for i in range(x.size):
        last = distances[i][np.isfinite(distances[i])].max(initial=0)
        pairs = as_pairs(pairs_within(x, y, np.nextafter(last, np.float32(np.inf)), *world))
        assert {tuple(sorted((i, j))) for j in places[i].tolist() if j >= 0} <= set(pairs)


def test_a_pair_exactly_a_radius_apart_is_within_it():
    """3, 4, 5; and one bit less is not."""
    x, y = [10.0, 13.0], [10.0, 14.0]
    assert as_pairs(pairs_within(x, y, 5.0, 100, 100)) == [(0, 1)]
    assert as_pairs(pairs_within(x, y, np.nextafter(np.float32(5), 0), 100, 100)) == []


def test_pairs_over_the_edges_and_corners_of_a_torus():
    """The four corners are one place; in a bounded world they are far apart."""
    x, y = [0.5, 99.5, 0.5, 99.5], [0.5, 0.5, 99.5, 99.5]
    every = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert as_pairs(pairs_within(x, y, 1.5, 100, 100, wrapping=True)) == every
    assert as_pairs(pairs_within(x, y, 1.5, 100, 100)) == []
    assert nearest(x, y, 3, 100, 100, wrapping=True)[0][0].tolist() == [1, 2, 3]


def test_of_points_at_the_same_distance_the_lower_place_is_nearer():
    """A cross of four around the last point, in a grid of any cells."""
    x, y = [6.0, 4.0, 5.0, 5.0, 5.0], [5.0, 5.0, 6.0, 4.0, 5.0]
    for k in (1, 2, 3, 4):
        assert nearest(x, y, k, 10, 10)[0][4].tolist() == [0, 1, 2, 3][:k]


def test_identical_points_are_each_others_nearest():
    """At distance 0, the lowest places first, and never a point itself."""
    places, distances = nearest([7.0] * 5, [3.0] * 5, 2, 10, 10)
    assert places.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert not distances.any()


def test_nobody_and_one():
    """No points, or one, have no pairs and nobody near."""
    for n in (0, 1):
        assert as_pairs(pairs_within([1.0] * n, [1.0] * n, 5.0, 10, 10)) == []
        places, distances = nearest([1.0] * n, [1.0] * n, 2, 10, 10)
        assert places.tolist() == [[-1, -1]] * n
        assert distances.tolist() == [[np.inf, np.inf]] * n


@pytest.mark.parametrize("n", range(20, 60, 3))
def test_a_search_right_round_the_world_visits_nobody_twice(n):
    """One alone on the far side of a torus, of any number of columns, finds the crowd once."""
    x, y = (np.random.default_rng(n).random((2, n)) * 3).astype("f4")
    x[0], y[0] = 50.0, 50.0
    check_nearest((x, y, 100.0, 100.0, True), 5, np.inf)


def test_few_points_in_a_vast_world():
    """A fine radius in 1,000 km takes no grid of 10^11 cells."""
    random = np.random.default_rng(2)
    x, y = (random.random((2, 300)) * 1e6).astype("f4")
    x[7], y[7] = x[200], y[200]
    for wrapping in (False, True):
        check_pairs((x, y, 1e6, 1e6, wrapping), 1.0)
        check_nearest((x, y, 1e6, 1e6, wrapping), 2, np.inf)
        check_nearest((x, np.minimum(y, 1), 1e6, 1.0, wrapping), 2, np.inf)
        cells = grid.Grid(x, y, (np.float32(1e6), np.float32(1e6), wrapping), 1.0)
        assert cells.n_columns == cells.rows.size - 1 == 600


@pytest.mark.parametrize(
    ("error", "says", "call"),
    [
        (ColumnValueError, "radius must be a number of m, from 0, got -1",
         lambda: pairs_within([1], [1], -1, 10, 10)),
        (ColumnValueError, "radius must be .* got nan",
         lambda: pairs_within([1], [1], np.nan, 10, 10)),
        (ColumnValueError, r"x must lie in \[0, 10\] m; got 11 at place 1",
         lambda: pairs_within([1, 11], [1, 1], 1, 10, 10)),
        (ColumnValueError, r"y must lie in \[0, 10\] m; got nan at place 0",
         lambda: nearest([1], [np.nan], 1, 10, 10)),
        (ColumnValueError, "k must be a whole number from 1, got 0",
         lambda: nearest([1], [1], 0, 10, 10)),
        (ColumnValueError, "reach must be a number of m, from 0, got -2",
         lambda: nearest([1], [1], 1, 10, 10, reach=-2)),
        (ColumnValueError, "height must be a number of m above 0, got 0",
         lambda: nearest([], [], 1, 10, 0)),
        (ColumnShapeError, r"one length, got shapes \(2,\) and \(1,\)",
         lambda: pairs_within([1, 2], [1], 1, 10, 10)),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(error, says, call):
    """The error names the argument, the value and what is allowed."""
    with pytest.raises(error, match=says):
        call()


# -- agents ----------------------------------------------------------------------------------


@component
class Blue:
    """Some of the agents."""


def crowd(n=60, order=None):
    """Agents at random, spawned in any order of their numbers."""
    random = np.random.default_rng(4)
    x, y, vx = random.random((3, n)) * 100
    number = np.arange(n) if order is None else np.array(order)
    world = World()
    world.insert(Space(width=100, height=100, wrapping=True))
    ids = world.spawn(n, Persona(number=number), Motion(x=x[number], y=y[number], vx=vx[number]))
    return world, ids, (x.astype("f4"), y.astype("f4"), vx)


def numbers(world, found):
    """Pairs of ids as pairs of numbers."""
    return as_pairs([world.get(ids, Persona.number) for ids in found])


def test_neighbours_are_pairs_of_agents_wherever_they_have_got_to():
    """Now, and at a later time, by their motions."""
    world, _, (x, y, vx) = crowd()
    assert numbers(world, neighbours(world, 9.0)) == naive.pairs_within(x, y, 9, 100, 100, True)
    later = ((x + vx * 3) % 100).astype("f4")
    found = numbers(world, neighbours(world, 9.0, now=seconds(3)))
    assert found == naive.pairs_within(later, y, 9, 100, 100, True)


def test_the_order_of_rows_does_not_matter():
    """Spawned in another order, rows moved by tags that came and went: the same numbers."""
    order = np.random.default_rng(5).permutation(60)
    world, ids, _ = crowd(order=order)
    world.add(ids[::3], Blue)
    world.remove(ids[::6], Blue)
    other, _, _ = crowd()
    assert numbers(world, neighbours(world, 9.0)) == numbers(other, neighbours(other, 9.0))


def test_a_query_says_who_counts():
    """Only the blue ones among themselves."""
    world, ids, (x, y, _) = crowd()
    world.add(ids[:20], Blue)
    found = numbers(world, neighbours(world, 15.0, world.query(Persona, Motion, with_=Blue)))
    assert found == naive.pairs_within(x[:20], y[:20], 15, 100, 100, True)


def test_agents_are_told_by_their_numbers():
    """A query of rows without `Persona` is refused."""
    world, _, _ = crowd()
    world.spawn(1, Motion(x=1, y=1))
    with pytest.raises(ComponentMissingError, match="Persona"):
        neighbours(world, 15.0, world.query(Motion))
