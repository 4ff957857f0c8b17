"""The laws of descent: births, and how closely persons are related."""

from __future__ import annotations

from functools import partial

import numpy as np

from populace import World
from populace.components import Persona, Stream
from populace.components.lineage import Lineage
from populace.systems.heredity import Heredity, births
from populace.systems.kinship import kinship
from populace.systems.pedigree import pedigree_of
from populace.systems.temperament import BIG_FIVE

from . import bare_laws as bare
from .harness import FULL, SIZES, Contest, Run, case

AREA = "town"

BIRTHS = 10_000
PAIRS = 1_000
GENERATIONS, ASKED = 10, 6  # in the register; that of the pairs, whose founders are 6 steps up


@case("births", sizes=FULL, bytes_each=500)
def births_10k(n: int) -> Contest:
    """10,000 children of random parents among n people, with five traits and an entry in the
    register; bound: numpy gathers the parents' traits, draws from its own generator and writes the
    children's at the end of the columns."""
    world, law = World(seed=1), Heredity()
    world.insert(law)
    draw = np.random.default_rng(1)
    traits = draw.uniform(0.3, 0.7, (5, n)).astype(np.float32)
    given = dict(zip((field.name for field in BIG_FIVE), traits, strict=True))
    people = world.spawn(n, Persona(number=np.arange(n), **given), Stream)
    first = draw.integers(0, n, BIRTHS)
    second = (first + draw.integers(1, n, BIRTHS)) % n
    mothers, fathers = people[first], people[second]
    room = np.zeros((5, n + BIRTHS), np.float32)
    room[:, :n] = traits
    children = np.empty(0, np.uint64)

    def renew() -> None:
        nonlocal children
        world.despawn(children)
        world.query(Lineage).despawn()
        children = children[:0]

    def bear() -> None:
        nonlocal children
        children = births(world, mothers, fathers, Stream)

    def by_hand() -> None:
        for column in room:
            child = law.heritability * (column[first] + column[second]) / 2
            child += (1 - law.heritability) * law.mean
            child += np.sqrt(0.5) * law.sigma * draw.standard_normal(BIRTHS)
            column[n:] = np.clip(child, 0, 1)

    def verify() -> None:
        bear()
        by_hand()
        expected = law.heritability * (traits[:, first] + traits[:, second]) / 2
        expected += (1 - law.heritability) * law.mean
        found = np.stack([world.get(children, field) for field in BIG_FIVE])
        for made in (found, room[:, n:]):
            assert abs((made - expected).mean()) < 0.002
            assert abs((made - expected).std() / (np.sqrt(0.5) * law.sigma) - 1) < 0.02
        register = world.query(Lineage)
        assert np.array_equal(np.sort(register.gather(Lineage.person)), n + np.arange(BIRTHS))

    return Contest({"births": Run(bear, renew)}, Run(by_hand), verify, rows=BIRTHS)


@case("kinship", sizes=SIZES, bytes_each=400)
def kinship_pairs(n: int) -> Contest:
    """1,000 pairs of persons with 6 known generations, in a register of n births, the inbreeding of
    their ancestors being known; bound: a bare walk up each line of descent, which sums the same
    shares of genes and looks nobody up."""
    world = World()
    size = n // GENERATIONS
    draw = np.random.default_rng(1)
    for generation in range(GENERATIONS):
        first = draw.integers(0, size, size)
        second = (first + draw.integers(1, size, size)) % size
        born = np.arange(size) + (generation + 1) * size
        parents = [number + generation * size for number in (first, second)]
        world.spawn(Lineage(person=born, first=parents[0], second=parents[1]))
    pairs = (draw.integers(0, size, (2, PAIRS)) + ASKED * size).astype(np.uint32)
    found = kinship(world, *pairs)
    pedigree = pedigree_of(world)
    place = [pedigree.places(numbers) for numbers in pairs]
    parent = np.stack([pedigree.first, pedigree.second])
    inbreeding = np.nan_to_num(pedigree.inbreeding)
    own = 1 - np.where(parent >= 0, (1 + inbreeding[parent]) / 4, 0).sum(axis=0)
    share, out = np.zeros((2, parent.shape[1])), np.zeros(PAIRS)
    queue, weight = np.zeros((2, 2 << ASKED), np.int32), np.zeros(2 << ASKED)

    def by_hand() -> None:
        bare.kin(*place, parent, own, share, queue, weight, out)

    def verify() -> None:
        by_hand()
        assert np.array_equal(out, found)
        assert (found > 0).any()

    subject = Run(partial(kinship, world, *pairs))
    return Contest({"kinship": subject}, Run(by_hand), verify, rows=PAIRS)
