"""Kinship: lines up and down, siblings, coefficients, and a register that changes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Persona
from populace.components.lineage import NO_PARENT, Lineage
from populace.ecs import World
from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError
from populace.systems import kinship as kernels
from populace.systems import pedigree
from populace.systems.heredity import Heredity, births
from populace.systems.kinship import ancestors, descendants, kinship, siblings
from populace.systems.pedigree import Pedigree, pedigree_of

from . import naive_heredity as naive


def registered(parents, order=None):
    """A world whose register holds {person: (first, second)}, None if unknown."""
    world = World()
    people = list(parents) if order is None else [list(parents)[k] for k in order]
    columns = [
        [NO_PARENT if parents[p][side] is None else parents[p][side] for p in people]
        for side in (0, 1)
    ]
    if people:
        world.spawn(len(people), Lineage(person=people, first=columns[0], second=columns[1]))
    return world


# 0 to 5 are founders; 10, 11, 12 full siblings; 13 their half sibling; 20 and 21 first cousins, 30
# the child of two full siblings, 40 of 30 and a founder.
FAMILY = {
    10: (0, 1),
    11: (1, 0),
    12: (0, 1),
    13: (0, 2),
    20: (10, 3),
    21: (11, 4),
    30: (11, 12),
    40: (30, 5),
}


@st.composite
def pedigrees(draw, largest=14):
    """{person: (first, second)} with numbers that say nothing about the order of birth, with
    unknown parents, unregistered founders, and now and then both parents the same."""
    n = draw(st.integers(0, largest))
    numbers = draw(st.permutations(range(3, 3 + 2 * n, 2)))
    parents = {}
    for k, number in enumerate(numbers):
        pool = st.sampled_from([None, 0, 1, *numbers[:k]])
        parents[number] = draw(st.tuples(pool, pool))
    return parents


# -- textbook values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [
        (0, 0, 1 / 2), (0, 1, 0), (0, 10, 1 / 4), (10, 11, 1 / 4), (10, 13, 1 / 8),
        (10, 21, 1 / 8), (20, 21, 1 / 16), (0, 20, 1 / 8), (30, 30, 5 / 8), (30, 11, 3 / 8),
        (40, 40, 1 / 2), (40, 30, 5 / 16), (3, 4, 0), (20, 13, 1 / 16), (99, 10, 0),
        (99, 99, 1 / 2),
    ],
)  # fmt: skip
def test_textbook_coefficients(a, b, want):
    """Parent and child 1/4, full siblings 1/4, half siblings 1/8, uncle 1/8, first cousins 1/16,
    a child of full siblings is inbred by 1/4."""
    world = registered(FAMILY)
    assert kinship(world, a, b) == want
    assert kinship(world, b, a) == want


def test_inbreeding_by_hand():
    """Brother and sister, generation upon generation: F = 0, 1/4, 3/8, 1/2, 19/32 (Wright)."""
    parents = {}
    for g in range(6):
        parents |= {2 * g + 2: (2 * g, 2 * g + 1), 2 * g + 3: (2 * g, 2 * g + 1)}
    world = registered(parents)
    own = np.arange(2, 12, 2)
    assert (2 * kinship(world, own, own) - 1).tolist() == [0, 1 / 4, 3 / 8, 1 / 2, 19 / 32]


def test_selfing_by_hand():
    """One parent twice, as an imported pedigree may have it: F = 0, 1/2, 3/4, 7/8."""
    world = registered({k + 1: (k, k) for k in range(4)})
    assert (2 * kinship(world, [0, 1, 2, 3], [0, 1, 2, 3]) - 1).tolist() == [0, 0.5, 0.75, 0.875]


def test_families_by_hand():
    """Lines up and down, nearest first, and siblings in either order of parents."""
    world = registered(FAMILY)
    assert ancestors(world, 40).tolist() == [5, 30, 11, 12, 0, 1]
    assert ancestors(world, 40, generations=1).tolist() == [5, 30]
    assert ancestors(world, 40, generations=2).tolist() == [5, 30, 11, 12]
    assert descendants(world, 1).tolist() == [10, 11, 12, 20, 21, 30, 40]
    assert descendants(world, 1, generations=1).tolist() == [10, 11, 12]
    full, half = siblings(world, 10)
    assert full.tolist() == [11, 12]
    assert half.tolist() == [13]
    assert [part.tolist() for part in siblings(world, 0)] == [[], []]


def test_unknown_parents_are_nobodys():
    """Two persons whose parents are not known are no siblings; one known parent makes half ones."""
    world = registered({1: (None, None), 2: (None, None), 3: (7, None), 4: (None, 7), 5: (7, 8)})
    assert [part.tolist() for part in siblings(world, 1)] == [[], []]
    assert siblings(world, 3).half.tolist() == [4, 5]
    assert siblings(world, 3).full.tolist() == []
    assert kinship(world, [1, 3, 3], [2, 4, 5]).tolist() == [0, 1 / 8, 1 / 8]


# -- against the definition ---------------------------------------------------------------------


@settings(max_examples=60)
@given(pedigrees(), st.randoms(use_true_random=False))
def test_coefficients_are_those_of_the_definition(parents, random):
    """For every pair of any pedigree, exactly, whatever the order of its entries."""
    order = random.sample(range(len(parents)), len(parents))
    world = registered(parents, order)
    people = sorted({0, 1, 77, *parents})
    a, b = (part.ravel() for part in np.meshgrid(people, people))
    got = kinship(world, a, b)
    want = [naive.kinship(parents, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert got.tolist() == want
    one = random.choice(people)
    assert kinship(world, one, people).tolist() == [naive.kinship(parents, one, p) for p in people]


@settings(max_examples=60)
@given(pedigrees(), st.none() | st.integers(0, 4))
def test_lines_are_those_of_the_twin(parents, generations):
    """Ancestors, descendants and siblings of everybody, up to any generation."""
    world = registered(parents)
    for person in sorted({0, 1, 77, *parents}):
        for found, twin in ((ancestors, naive.ancestors), (descendants, naive.descendants)):
            want = twin(parents, person, generations)
            ordered = sorted(want, key=lambda who, want=want: (want[who], who))
            assert found(world, person, generations).tolist() == ordered
        full, half = siblings(world, person)
        assert (set(full.tolist()), set(half.tolist())) == naive.siblings(parents, person)


@settings(max_examples=40)
@given(pedigrees(largest=10))
def test_the_kernels_are_the_same_uncompiled(parents):
    """Each kernel of `pedigree` and `kinship` without numba gives the same."""
    world = registered(parents)
    people = sorted({0, 1, *parents})
    asked = [
        lambda: kinship(world, people, people[::-1]).tolist(),
        lambda: [ancestors(world, p).tolist() for p in people],
        lambda: [descendants(world, p, 2).tolist() for p in people],
        lambda: [s.tolist() for p in people for s in siblings(world, p)],
    ]
    compiled = [ask() for ask in asked]
    names = {
        kernels: ("climb", "descend", "both_lines", "meeting", "kinships"),
        pedigree: ("birth_order", "gather_children"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for module, functions in names.items():
            for name in functions:
                patch.setattr(module, name, getattr(module, name).py_func)
        world.spawn(1, Lineage(person=2**20))
        assert [ask() for ask in asked] == compiled


def test_births_make_a_register_that_kinship_reads():
    """Three generations of births: their kinship is that of the definition."""
    world = World(seed=1)
    world.insert(Heredity())
    ids = world.spawn(8, Persona(number=np.arange(8)))
    everybody = ids
    draw = np.random.default_rng(0)
    for _ in range(3):
        first = draw.permutation(everybody)[:6]
        second = np.roll(first, 1)
        everybody = np.concatenate([everybody, births(world, first, second)])
    world.despawn(everybody[:20])
    rows = [world.query(Lineage).gather(f).tolist() for f in
            (Lineage.person, Lineage.first, Lineage.second)]  # fmt: skip
    parents = {person: (a, b) for person, a, b in zip(*rows, strict=True)}
    pairs = [(a, b) for a in range(26) for b in range(26)]
    got = kinship(world, *np.array(pairs).T)
    assert got.tolist() == [naive.kinship(parents, a, b) for a, b in pairs]


# -- a register that changes --------------------------------------------------------------------


def test_a_register_that_changed_is_read_anew():
    """A birth, a correction in place and a struck entry are seen by the next question; moved rows
    change nothing, and without a change nothing is built again."""
    world = registered({2: (0, 1), 3: (0, 1)})
    assert kinship(world, 2, 3) == 1 / 4
    held = pedigree_of(world)
    assert pedigree_of(world) is held
    entry = world.spawn(1, Lineage(person=4, first=0, second=9))
    assert kinship(world, 2, 4) == 1 / 8
    world.set(entry, Lineage(second=1))
    assert kinship(world, 2, 4) == 1 / 4
    for lineage in world.query(Lineage):
        lineage.first[:] = 8
    assert kinship(world, 2, 4) == 1 / 8 + 1 / 8
    world.cluster(Lineage.second)
    assert kinship(world, 2, 4) == 1 / 4
    world.despawn(entry)
    assert kinship(world, 2, 4) == 0


def test_inbreeding_is_remembered_and_right():
    """A second question about the same line finds it known, and gets the same answer."""
    world = registered(FAMILY)
    assert kinship(world, 40, 40) == 1 / 2
    known = pedigree_of(world).inbreeding
    assert np.isfinite(known).sum() == 7  # 40 and its ancestors: the others were not needed
    assert kinship(world, 30, 30) == 5 / 8
    assert pedigree_of(world).inbreeding is known


def test_two_worlds_have_two_registers():
    """The pedigree of one is not that of another."""
    one, other = registered({2: (0, 1), 3: (0, 1)}), registered({2: (0, 1), 3: (5, 6)})
    assert kinship(one, 2, 3) == 1 / 4
    assert kinship(other, 2, 3) == 0


def test_an_empty_register_answers():
    """Nobody has kin, everybody is themselves."""
    world = World()
    assert kinship(world, [4, 4], [4, 5]).tolist() == [0.5, 0]
    assert ancestors(world, 4).tolist() == descendants(world, 4).tolist() == []
    assert [part.tolist() for part in siblings(world, 4)] == [[], []]
    assert kinship(world, [], []).shape == (0,)


def test_shapes_follow_the_question():
    """A matrix of pairs gives a matrix, two numbers a 0-d array that is a float."""
    world = registered(FAMILY)
    people = np.array([10, 11, 20])
    got = kinship(world, people[:, None], people)
    assert got.shape == (3, 3)
    assert (got == got.T).all()
    assert kinship(world, 10, 11).shape == ()


def test_a_long_line_is_no_recursion():
    """10,000 generations of mothers: halved at each, up to what f8 can hold."""
    n = 10_000
    world = World()
    world.spawn(n, Lineage(person=np.arange(1, n + 1), first=np.arange(n)))
    assert kinship(world, n, n - 40) == 0.5**41
    assert ancestors(world, n).size == descendants(world, 0).size == n
    assert ancestors(world, n, 3).tolist() == [n - 1, n - 2, n - 3]


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parents", "ring"),
    [
        ({5: (5, 0)}, "5 -> 5"),
        ({5: (6, 0), 6: (7, None), 7: (1, 5)}, "5 -> 6 -> 7 -> 5"),
        ({1: (5, 6), 2: (1, 1), 5: (6, None), 6: (5, 0), 0: (None, 9)}, "5 -> 6 -> 5"),
    ],
)
def test_a_person_that_is_its_own_ancestor_is_refused(parents, ring):
    """The error names the ring, and every question raises it; the register is left as it is."""
    world = registered(parents)
    for ask in (lambda: kinship(world, 1, 2), lambda: ancestors(world, 1),
                lambda: descendants(world, 1), lambda: siblings(world, 1)):  # fmt: skip
        with pytest.raises(
            ColumnValueError, match=rf"own ancestor in the register \({ring}, child"
        ):
            ask()


def test_a_person_registered_twice_is_refused():
    """The error says who."""
    world = registered({4: (0, 1), 5: (0, 1)})
    world.spawn(1, Lineage(person=4, first=7))
    with pytest.raises(ColumnValueError, match="person 4 is in the register twice"):
        kinship(world, 4, 5)


@pytest.mark.parametrize(
    ("a", "b", "error", "says"),
    [
        ([1, 2], [1, 2, 3], ColumnShapeError, r"\(2,\) and \(3,\)"),
        (0.5, 1, ColumnTypeError, "a takes numbers of persons"),
        (1, True, ColumnTypeError, "b takes numbers of persons"),
        (-1, 1, ColumnValueError, "-1 is no person's number"),
        (1, NO_PARENT, ColumnValueError, "b: 4294967295 is no person's number"),
        (["x"], 1, ColumnTypeError, "numbers of persons"),
    ],
)
def test_numbers_that_are_none_are_refused(a, b, error, says):
    """The error says what and where."""
    with pytest.raises(error, match=says):
        kinship(registered(FAMILY), a, b)


@pytest.mark.parametrize("generations", [-1, 1.5, True, "all"])
def test_generations_that_are_none_are_refused(generations):
    """A whole number from 0, or None."""
    with pytest.raises(ColumnValueError, match="generations is a whole number"):
        ancestors(registered(FAMILY), 10, generations)


@pytest.mark.parametrize("ask", [ancestors, descendants, siblings])
def test_questions_about_one_person_take_one(ask):
    """A list of them is refused, not cut short."""
    with pytest.raises(ColumnShapeError, match="one person"):
        ask(registered(FAMILY), [10, 11])


def test_a_pedigree_is_made_of_columns():
    """And needs no world: parents come before their children, and children lie together."""
    made = Pedigree(*np.array([[9, 7], [7, 3], [8, NO_PARENT]], np.uint32))
    graph = SimpleNamespace(**{name: getattr(made, name).tolist() for name in
                               ("numbers", "first", "second", "begin", "child")})  # fmt: skip
    assert graph.numbers == [3, 8, 7, 9]
    assert graph.first == [-1, -1, 0, 2]
    assert graph.second == [-1, -1, -1, 1]
    assert graph.begin == [0, 1, 2, 3, 3]
    assert graph.child[:3] == [2, 3, 3]
