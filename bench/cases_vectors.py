"""Search by meaning over all memories of a world. Bounds are plain FAISS on the same vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import cycle
from typing import Any

import faiss
import numpy as np

from populace import World
from populace.components.embedding import Embedding
from populace.storage.dots import Queries, encode, queries
from populace.storage.inverted import ROUNDS, SAMPLE_EACH, one_thread
from populace.storage.vectors import VectorIndex, vector_index

from .harness import Contest, Run, both, case, p99_us, ratio, us

AREA = "recall"

DIMENSIONS = 256
CENTRES = 20_000
ASKED = 256
CHURN = 100  # one in so many is replaced
SIZES = (100_000, 1_000_000)
EXACT = {
    "FAISS": "its cosines are those of its codes; Populace takes more than are wanted, leaves out "
    "who is gone, and compares the rest anew with the vectors that memories have"
}


def meanings(n: int, seed: int) -> np.ndarray:
    """n vectors that crowd about 20,000 centres, which themselves lie in 64 dimensions."""
    fixed, draw = np.random.default_rng(7), np.random.default_rng(seed)
    centres = fixed.standard_normal((CENTRES, 64), np.float32)
    centres = centres @ fixed.standard_normal((64, DIMENSIONS), np.float32) / 8
    made = centres[draw.integers(0, CENTRES, n)]
    made += 0.9 * draw.standard_normal((n, DIMENSIONS), np.float32)
    return made


def remember(world: World, n: int, seed: int) -> np.ndarray:
    """Spawn n memories, a part at a time; returns their ids."""
    parts = []
    for begin in range(0, n, 50_000):
        given = meanings(min(50_000, n - begin), seed + begin)
        stored, scale = encode(given, "i1")
        parts.append(world.spawn(len(given), Embedding(vector=stored, scale=scale)))
    return np.concatenate(parts)


def asked_of(n: int, seed: int = 99) -> list[Queries]:
    """n queries, each near some centre."""
    given = meanings(n, seed)
    return [queries(given[q : q + 1]) for q in range(n)]


@lru_cache(2)
def remembered(n: int) -> tuple[World, VectorIndex]:
    """A world of n memories whose inverted file is there, tuned by queries like those to come."""
    world = World(seed=1)
    remember(world, n, 1)
    index = vector_index(world, Embedding, background=False)
    for query in asked_of(ASKED, 98):
        index.nearest(query, 10)
    index.rebuild()
    index.wait()
    return world, index


def plain_search(index: VectorIndex, k: int) -> Callable[[Any], object]:
    """FAISS itself, asked for k, looking into as many lists."""
    assert index.main is not None
    parameters = faiss.SearchParametersIVF(nprobe=index.main.probes)
    return partial(index.main._index.search, k=k, params=parameters)


def recall_of(world: World, index: VectorIndex, asked: list[Queries]) -> float:
    """The share of the ten nearest that is found."""
    found = 0
    for query in asked:
        least = index.columns.nearest(world, query, 10).cosines[0, -1]
        found += np.count_nonzero(index.nearest(query, 10).cosines >= least)
    return found / (10 * len(asked))


@case(
    "nearest", sizes=SIZES, bytes_each=2_000, loses=EXACT,
    target=both(ratio(1.2, from_size=1_000_000), p99_us(2_000)),
)  # fmt: skip
def nearest_of_all(n: int) -> Contest:
    """The ten nearest of n memories x 256, with exact cosines; bound: FAISS's search of the same
    index, as many lists, ten approximate ones."""
    world, index = remembered(n)
    plain = plain_search(index, 10)
    asked, other = cycle(asked_of(ASKED)), cycle(asked_of(ASKED, 97))

    def verify() -> None:
        assert recall_of(world, index, asked_of(200)) >= 0.95

    return Contest(
        {"nearest": Run(lambda: index.nearest(next(asked), 10))},
        Run(lambda: plain(next(other).unit_qd)),
        verify,
        rows=1,
    )


@case("nearest", target=us(1_000, from_size=1_000_000), sizes=SIZES, bytes_each=2_000)
def nearest_from_numbers(n: int) -> Contest:
    """The same from an array of floats; bound: the same of a query made ready."""
    _, index = remembered(n)
    given, asked = cycle(meanings(ASKED, 96)), cycle(asked_of(ASKED))
    return Contest(
        {"nearest": Run(lambda: index.nearest(next(given), 10))},
        Run(lambda: index.nearest(next(asked), 10)),
        rows=1,
    )


@case(
    "nearest_to_each", target=ratio(1.11, from_size=1_000_000), sizes=SIZES, bytes_each=2_000,
    elsewhere=True, loses=EXACT,
)  # fmt: skip
def nearest_batch(n: int) -> Contest:
    """256 queries at once, on as many threads as FAISS has; bound: FAISS's search of the same."""
    _, index = remembered(n)
    plain = plain_search(index, 10)
    asked, other = queries(meanings(ASKED, 95)), queries(meanings(ASKED, 94))
    return Contest(
        {"nearest_to_each": Run(lambda: index.nearest_to_each(asked, 10))},
        Run(lambda: plain(other.unit_qd)),
        rows=ASKED,
    )


@case("a tenth", "a fiftieth", sizes=SIZES, bytes_each=2_000)
def nearest_of_some(n: int) -> Contest:
    """The ten nearest of some memories drawn at random; bound: of all."""
    world, index = remembered(n)
    ids = np.random.default_rng(1).permutation(world.query(Embedding).ids())
    asked = cycle(asked_of(ASKED))

    def among(share: int) -> Run:
        allowed = index.allow(ids[: n // share])
        return Run(lambda: index.nearest(next(asked), 10, allowed=allowed))

    return Contest(
        {"a tenth": among(10), "a fiftieth": among(50)},
        Run(lambda: index.nearest(next(asked), 10)),
        rows=1,
    )


@case("flat", target=ratio(1.1), sizes=SIZES, bytes_each=2_000)
def nearest_flat(n: int) -> Contest:
    """The ten nearest, compared with all, as long as there is no inverted file; bound: the cosines
    alone."""
    world, index = remembered(n)
    asked = asked_of(1)[0]
    ids = world.query(Embedding).ids()
    stored, scale = index.columns.read(world, ids)
    return Contest(
        {"flat": Run(lambda: index.columns.nearest(world, asked, 10))},
        Run(lambda: asked.cosines(stored, scale)),
    )


@case("indexed", sizes=SIZES, bytes_each=2_000)
def nearest_gain_10k(n: int) -> Contest:
    """10,000 memories gain an embedding and lose it again, in a world of n with an index; bound:
    the same in a world without."""

    def both(world: World) -> Run:
        stored, scale = encode(meanings(10_000, 3), "i1")
        bare = world.spawn(10_000)

        def gain_and_lose() -> None:
            world.add(bare, Embedding(vector=stored, scale=scale))
            world.remove(bare, Embedding)

        return Run(gain_and_lose)

    worlds = World(seed=1), World(seed=1)
    for world in worlds:
        remember(world, n, 1)
    vector_index(worlds[0], Embedding, flat_below=10 * n, background=False)
    return Contest({"indexed": both(worlds[0])}, both(worlds[1]), rows=10_000)


@case("churn", sizes=SIZES, bytes_each=4_000)
def nearest_churn(n: int) -> Contest:
    """One in a hundred memories is replaced, and the index brought up to date at the next search;
    bound: FAISS removes as many and adds as many."""
    world, index = World(seed=1), None
    remember(world, n, 1)
    index = vector_index(world, Embedding, background=False, tail_limit=0, dead_share=0)
    index.wait()
    assert index.main is not None
    stored, scale = encode(meanings(n // CHURN, 5), "i1")
    units = queries(meanings(n // CHURN, 5)).unit_qd
    asked, draw = asked_of(200), np.random.default_rng(1)
    bare = faiss.clone_index(index.main._index)
    names = np.arange(n)

    def replace() -> None:
        world.despawn(draw.choice(world.query(Embedding).ids(), n // CHURN, replace=False))
        world.spawn(n // CHURN, Embedding(vector=stored, scale=scale))
        index.nearest(asked[0], 10)

    def replace_bare() -> None:
        with one_thread():
            gone = draw.choice(names, n // CHURN, replace=False)
            bare.remove_ids(gone)
            bare.add_with_ids(units, gone)

    def verify() -> None:
        before = index.state().nbytes
        for seed in range(50):
            world.despawn(draw.choice(world.query(Embedding).ids(), n // CHURN, replace=False))
            remember(world, n // CHURN, 1000 + seed)
            index.nearest(asked[0], 10)
        assert recall_of(world, index, asked) >= 0.95
        assert index.state().nbytes < 1.1 * before

    return Contest({"churn": Run(replace)}, Run(replace_bare), verify, rows=n // CHURN)


@case("index", sizes=SIZES, bytes_each=4_000, rounds=3, loses={"FAISS": (
    "Populace's index also measures how many lists a search has to look into, by comparing queries "
    "with all vectors; FAISS leaves that to its user"
)})  # fmt: skip
def nearest_build(n: int) -> Contest:
    """An index is trained, filled and tuned, on one thread; bound: FAISS trains and fills one of as
    many lists."""
    world, index = remembered(n)
    assert index.main is not None
    n_lists = index.main.n_lists
    stored, scale = index.columns.read(world, world.query(Embedding).ids())
    units = stored * scale[:, None]

    def build() -> None:
        index.rebuild()
        index.wait()

    def build_bare() -> None:
        with one_thread():
            flat = faiss.IndexFlatIP(DIMENSIONS)
            made = faiss.IndexIVFScalarQuantizer(
                flat, DIMENSIONS, n_lists, faiss.ScalarQuantizer.QT_8bit,
                faiss.METRIC_INNER_PRODUCT, False,
            )  # fmt: skip
            made.cp.niter, made.cp.max_points_per_centroid = ROUNDS, SAMPLE_EACH
            made.train(units)
            made.add(units)

    return Contest({"index": Run(build)}, Run(build_bare))
