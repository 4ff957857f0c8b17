"""FAISS alone: vectors as f4, inner products, no columns beside them.

It finds by nearness only. Populace weighs recency and importance too, and filters; what it returns
are ids, texts and scores, where FAISS returns places in an array. So this is less work, and what of
recall is more than a search can be read from the difference.
One owner's memories are an index of their own (IndexFlatIP), which for so few is what FAISS's guide
on choosing an index advises; all of them are an inverted file of 8-bit codes, whose lists are
searched as far as Populace searches its own: until so many of the nearest are found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import inputs
from ..peers import Entry, Peer

Places = npt.NDArray[np.int64]
OWNERS = 256  # more memories than any cache of a processor holds
THREADS = 2
ENOUGH = 0.95


def own_index(agent: int) -> Any:
    """The memories of one agent."""
    import faiss

    made = faiss.IndexFlatIP(inputs.DIMENSIONS)
    made.add(inputs.mind(agent).vector)
    return made


def recall_own(n: int) -> Entry:
    """Another agent each time, by another vector: the search of an index per owner."""
    owners = [own_index(agent) for agent in range(OWNERS)]
    agents, asked = cycle(range(OWNERS)), cycle(inputs.questions(997)[:, None])
    last: tuple[int, Any, Any] = (0, None, None)

    def run() -> None:
        nonlocal last
        agent, question = next(agents), next(asked)
        last = agent, question, owners[agent].search(question, inputs.ANSWERS)

    def check() -> None:
        agent, question, (_, places) = last
        inputs.is_nearest(places[0], inputs.mind(agent).vector, question[0])

    return Entry(run, check)


def recall_all_agents(n: int) -> Entry:
    """All agents at once, a search each, on two threads."""
    owners = [own_index(agent) for agent in range(n)]
    asked = inputs.questions(n)
    pool = ThreadPoolExecutor(THREADS)
    found = np.zeros((n, inputs.ANSWERS), np.int64)

    def part(begin: int, end: int) -> None:
        for agent in range(begin, end):
            found[agent] = owners[agent].search(asked[agent : agent + 1], inputs.ANSWERS)[1]

    cuts = [n * cut // THREADS for cut in range(THREADS + 1)]

    def run() -> None:
        list(pool.map(part, cuts[:-1], cuts[1:]))

    def check() -> None:
        for agent in range(0, n, max(1, n // 20)):
            inputs.is_nearest(found[agent], inputs.mind(agent).vector, asked[agent])

    return Entry(run, check)


# -- all memories --------------------------------------------------------------------------------


@lru_cache(2)
def meanings(n: int) -> inputs.Floats:
    """The vectors that the cases of `cases_vectors` search, of length 1."""
    from ..cases_vectors import meanings as drawn

    parts = [drawn(min(50_000, n - begin), 1 + begin) for begin in range(0, n, 50_000)]
    return inputs.units(np.concatenate(parts))


def asked_of(n: int, seed: int) -> inputs.Floats:
    """n queries like them."""
    from ..cases_vectors import meanings as drawn

    return inputs.units(drawn(n, seed))


def trained(vectors: inputs.Floats) -> Any:
    """An inverted file of 4 sqrt(n) lists, as FAISS's guide has it, trained and filled.

    Training is as long as that of Populace's index, and codes are of the vectors themselves, as
    there: FAISS's own defaults, more rounds on more vectors, and codes of what they differ from
    their list's centroid by, take longer.
    """
    import faiss

    from populace.storage.inverted import ROUNDS, SAMPLE_EACH

    n_lists = 1 << round(np.log2(4 * np.sqrt(len(vectors))))
    kind = f"IVF{n_lists},SQ8"
    made = faiss.index_factory(inputs.DIMENSIONS, kind, faiss.METRIC_INNER_PRODUCT)
    made.cp.niter, made.cp.max_points_per_centroid = ROUNDS, SAMPLE_EACH
    made.by_residual = False
    made.train(vectors)
    made.add(vectors)
    return made


def nearest(vectors: inputs.Floats, asked: inputs.Floats) -> Places:
    """(q, ANSWERS) places of the nearest, by comparing with all."""
    import faiss

    flat = faiss.IndexFlatIP(inputs.DIMENSIONS)
    flat.add(vectors)
    places: Places = flat.search(asked, inputs.ANSWERS)[1]
    return places


def share(found: Places, expected: Places) -> float:
    """How many of the expected are found."""
    pairs = zip(found, expected, strict=True)
    return sum(np.isin(want, got).sum() for got, want in pairs) / expected.size


def tuned(index: Any, vectors: inputs.Floats, asked: inputs.Floats) -> None:
    """Let it look into as many lists as it takes to find what Populace's index has to find."""
    from populace.storage.vectors import VectorOptions

    expected = nearest(vectors, asked)
    index.nprobe = 1
    while share(index.search(asked, inputs.ANSWERS)[1], expected) < VectorOptions().recall:
        index.nprobe += max(1, index.nprobe // 8)


@lru_cache(2)
def inverted(n: int) -> Any:
    """The inverted file of n memories, tuned by queries like those to come."""
    made = trained(meanings(n))
    tuned(made, meanings(n), asked_of(256, 98))
    return made


def found_enough(search: Any, vectors: inputs.Floats, asked: inputs.Floats) -> None:
    """A search of an index that is not exact finds 95 in 100 of the nearest."""
    found = np.concatenate([search(query[None])[1] for query in asked])
    reached = share(found, nearest(vectors, asked))
    assert reached >= ENOUGH, reached


def nearest_of_all(n: int) -> Entry:
    """The search of an inverted file, for one vector after another."""
    index, asked = inverted(n), cycle(asked_of(256, 99)[:, None])

    def check() -> None:
        def search(query: inputs.Floats) -> Any:
            return index.search(query, inputs.ANSWERS)

        found_enough(search, meanings(n), asked_of(200, 97))

    return Entry(lambda: index.search(next(asked), inputs.ANSWERS), check)


def nearest_batch(n: int) -> Entry:
    """256 at once, on as many threads as FAISS has."""
    index, asked = inverted(n), asked_of(256, 95)
    found: list[Places] = []

    def run() -> None:
        found[:] = [index.search(asked, inputs.ANSWERS)[1]]

    def check() -> None:
        assert share(found[0], nearest(meanings(n), asked)) >= ENOUGH

    return Entry(run, check)


def nearest_flat(n: int) -> Entry:
    """One vector compared with all, in codes of 8 bits, a memory's 256 bytes as Populace's."""
    import faiss

    index = faiss.IndexScalarQuantizer(
        inputs.DIMENSIONS, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    vectors, asked = meanings(n), asked_of(1, 99)
    index.train(vectors)
    index.add(vectors)
    found: list[Places] = []

    def run() -> None:
        found[:] = [index.search(asked, inputs.ANSWERS)[1]]

    def check() -> None:
        inputs.is_nearest(found[0][0], meanings(n), asked[0], inputs.I1_ERROR)

    return Entry(run, check)


def nearest_build(n: int) -> Entry:
    """Training and filling on one thread, without tuning: FAISS leaves nprobe to its user."""
    made: list[Any] = []

    def run() -> None:
        from populace.storage.inverted import one_thread

        with one_thread():
            made[:] = [trained(meanings(n))]

    def check() -> None:
        index, asked = made[0], asked_of(64, 97)
        assert index.ntotal == n
        tuned(index, meanings(n), asked)  # ends only if enough can be found

    return Entry(run, check)


PEER = Peer(
    "FAISS",
    "faiss-cpu",
    workloads={
        "recall_own": recall_own,
        "recall_all_agents": recall_all_agents,
        "nearest_of_all": nearest_of_all,
        "nearest_batch": nearest_batch,
        "nearest_flat": nearest_flat,
        "nearest_build": nearest_build,
    },
    most={"recall_all_agents": 1_000, "nearest_build": 100_000},
)
