"""Recall: of one agent, of all at once, of a society; by vectors, words and both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import count, cycle, repeat
from pathlib import Path

import numpy as np

from populace import World, attach_embedder, days, embed, recall, who_remembers
from populace.components import Memory, Persona, Stream, Trace
from populace.components.embedding import Embedding
from populace.ecs import TextPool
from populace.storage.dots import cosines_at, encode, queries
from populace.storage.vectors import vector_index
from populace.systems.embedders import HashedEmbedder, StaticEmbedder
from populace.systems.lexicon import Lexicon, lexicon
from populace.systems.recall_cache import ENTRIES, recall_cache

from .harness import Contest, Run, both, case, p99_us, us, us_each

AREA = "recall"

MEMORIES = 1_000  # of each agent
NOW = days(20_000)
THREADS = 2
QUESTION = "who talked with Maria about the election at the cafe"
NAMES = ("Klaus", "Maria", "Isabella", "Tom", "Adam", "Ayesha", "Carlos", "Eddy")
DOING = (
    "is reading about", "talked with Maria about", "is planning", "dreams of", "wrote a paper on",
    "is tired of", "cooks for", "paints", "argued over", "remembers",
)  # fmt: skip
THINGS = (
    "the election", "gentrification", "a valentine's party", "the cafe", "the garden",
    "breakfast", "the dormitory", "a poem", "the piano", "her research",
)  # fmt: skip
PLACES = ("at Hobbs Cafe", "at Oak Hill College", "in the park", "at home", "at the pharmacy")


def said(n: int) -> list[str]:
    """n texts of some twelve words; about one in three is new, as in real streams."""
    draw = np.random.default_rng(5)
    parts = [draw.integers(0, len(each), n).tolist() for each in (NAMES, DOING, THINGS, PLACES)]
    day = draw.integers(0, max(n // 8_000, 1) * 31, n).tolist()
    return [
        f"{NAMES[a]} {DOING[b]} {THINGS[c]} {PLACES[d]} on day {e} of the month"
        for a, b, c, d, e in zip(*parts, day, strict=True)
    ]


@lru_cache(1)
def minds(n_agents: int, embedded: bool = False) -> World:
    """So many agents, each with 1,000 memories that lie together, with vectors in i1: of their
    texts, or drawn by chance where only how many there are matters."""
    world = World(seed=1, threads=THREADS)
    world.clock.now = NOW
    attach_embedder(world, "hashed", embedding=False)
    agents = world.spawn(n_agents, Persona(number=np.arange(n_agents)), Stream(formed=MEMORIES))
    draw = np.random.default_rng(1)
    stored, scale = encode(draw.standard_normal((50_000, 256), np.float32), "i1")
    for begin in range(0, n_agents, 500):
        some = agents[begin : begin + 500]
        n = some.size * MEMORIES
        which = draw.integers(0, len(stored), n)
        created = NOW - draw.integers(0, days(29), n)
        by_chance = () if embedded else (Embedding(vector=stored[which], scale=scale[which]),)
        world.spawn(
            n,
            Memory(
                owner=np.repeat(some, MEMORIES),
                sequence=np.tile(np.arange(MEMORIES), some.size),
                created=created,
                text=said(n),
            ),
            Trace(importance=draw.random(n, np.float32), stability=1e6, accessed=created),
            *by_chance,
        )
    embed(world)
    lexicon(world.text, np.arange(len(world.text)))
    recall_cache(world).entries = 0
    return world


def bare(world: World, n_agents: int, threads: int) -> Run:
    """The cosines alone of a query to each memory of so many agents, where they lie."""
    query = queries(np.ones((1, 256)))
    table = world.query(Embedding).tables()[0]
    vector, scale = table.column(Embedding.vector), table.column(Embedding.scale)
    rows = np.arange(n_agents * MEMORIES, dtype=np.uint32)
    out = np.empty(rows.size)

    def compare(begin: int, end: int) -> None:
        for first in range(begin, end, MEMORIES):
            part = slice(first, first + MEMORIES)
            cosines_at(
                vector.ctypes.data, scale.ctypes.data, 1, rows[part], query.unit_qd[0],
                query.whole_qd[0], query.step_q[0], out[part],
            )  # fmt: skip

    cuts = [rows.size // MEMORIES * part // threads * MEMORIES for part in range(threads + 1)]
    pool = ThreadPoolExecutor(threads)
    if threads == 1:
        return Run(partial(compare, 0, rows.size))
    return Run(lambda: list(pool.map(compare, cuts[:-1], cuts[1:])))


@case(
    "vector", "vector, others", "text, others", sizes=(1,), unit="agent", bytes_each=1 << 30,
    rounds=101, target={"vector": us(150), "text, others": us(2_000)},
)  # fmt: skip
def recall_own(n: int) -> Contest:
    """One agent of 1,000 recalls the best ten of its 1,000 memories, by another question each time:
    always the same agent, by a vector; another agent each time, whose memories are in no cache of
    the processor, by a vector, and by a text in words and meaning. Bound: the cosines alone, of the
    same agent."""
    world = minds(1_000)
    recall_cache(world).entries = ENTRIES
    first = int(world.query(Persona).ids()[0])
    agents = cycle(world.query(Persona).ids().tolist())
    vectors = cycle(np.random.default_rng(3).standard_normal((997, 256)))
    asked = map("{} on day {}".format, repeat(QUESTION), count())

    def verify() -> None:
        agent = next(agents)
        for query in (next(vectors), next(asked)):
            found = recall(world, agent, query)
            assert len(found) == 10
            assert (np.diff(found.scores.total) <= 0).all()
            assert (world.get(found.ids, Memory.owner) == agent).all()

    return Contest(
        {
            "vector": Run(lambda: recall(world, first, next(vectors))),
            "vector, others": Run(lambda: recall(world, next(agents), next(vectors))),
            "text, others": Run(lambda: recall(world, next(agents), next(asked))),
        },
        bare(world, 1, 1),
        verify,
    )


@case(
    "vectors", "texts", sizes=(100, 1_000, 10_000), unit="agent", bytes_each=600_000,
    target={"vectors": us_each(52)}, elsewhere=True,
)  # fmt: skip
def recall_all_agents(n: int) -> Contest:
    """All agents recall at once, on two threads, each by a vector of its own, or by one of ten
    texts; bound: the cosines alone, on two threads."""
    world = minds(n)
    agents = world.query(Persona).ids()
    vectors = np.random.default_rng(3).standard_normal((n, 256))
    texts = [f"{QUESTION} on day {agent % 10}" for agent in range(n)]

    def verify() -> None:
        whole = recall(world, agents, vectors)
        alone = recall(world, agents[7], vectors[7])
        assert whole.ids[whole.offsets[7] : whole.offsets[8]].tolist() == alone.ids.tolist()

    return Contest(
        {
            "vectors": Run(lambda: recall(world, agents, vectors)),
            "texts": Run(lambda: recall(world, agents, texts)),
        },
        bare(world, n, THREADS),
        verify,
    )


@case("cached", sizes=(1,), unit="agent", bytes_each=1 << 30, rounds=101)
def recall_again(n: int) -> Contest:
    """The same question to the same agent, answered from the cache; bound: without it."""
    world = minds(1_000)
    agent = int(world.query(Persona).ids()[0])
    cache = recall_cache(world)

    def entries(k: int) -> None:
        cache.entries = k

    def verify() -> None:
        entries(0)
        anew = recall(world, agent, QUESTION)
        entries(10)
        recall(world, agent, QUESTION)
        kept = recall(world, agent, QUESTION, explain=True)
        assert kept.plan is not None
        assert kept.plan.path == "cache"
        assert kept.ids.tolist() == anew.ids.tolist()

    ask = partial(recall, world, agent, QUESTION)
    return Contest(
        {"cached": Run(ask, partial(entries, 10))}, Run(ask, partial(entries, 0)), verify
    )


@case(
    "vector", "text", "words", "text, rare filter", sizes=(100_000, 1_000_000), unit="memory",
    bytes_each=4_000, target={"vector": both(us(1_000), p99_us(2_000))},
)  # fmt: skip
def recall_society(n: int) -> Contest:
    """Who of all remembers: by a vector, by a text in words and meaning, by its words alone, and
    among the oldest in a thousand; another question each time. Bound: the vector index alone."""
    world = minds(n // MEMORIES, embedded=True)
    index = vector_index(world, Embedding, background=False)
    index.wait()
    recall_cache(world).entries = 100
    hashed = HashedEmbedder()
    vectors = cycle(hashed([f"{QUESTION} on day {day}" for day in range(5_000)]))
    asked = map("{} on day {}".format, repeat(QUESTION), count())
    when = NOW - days(29) + days(29) // 1_000

    def verify() -> None:
        for query in (next(asked), next(vectors)):
            found = who_remembers(world, query)
            assert len(found) == 10
            assert (np.diff(found.scores.relevance) <= 0).all()

    return Contest(
        {
            "vector": Run(lambda: who_remembers(world, next(vectors))),
            "text": Run(lambda: who_remembers(world, next(asked))),
            "words": Run(lambda: who_remembers(world, next(asked), mode="words")),
            "text, rare filter": Run(lambda: who_remembers(world, next(asked), until=when)),
        },
        Run(lambda: index.nearest(next(vectors), 10)),
        verify,
        rows=1,
    )


@case("text", sizes=(100_000, 1_000_000), unit="memory", bytes_each=4_000)
def recall_society_changed(n: int) -> Contest:
    """The first question after something has changed: what is kept of the candidates is looked up
    anew. Bound: the next question."""
    world = minds(n // MEMORIES, embedded=True)
    vector_index(world, Embedding, background=False).wait()
    recall_cache(world).entries = 100
    asked = map("{} on day {}".format, repeat(QUESTION), count())

    def change() -> None:
        world.clock.now += 1

    ask = Run(lambda: who_remembers(world, next(asked)))
    return Contest({"text": Run(ask.call, change)}, ask, rows=1)


@case("static", "hashed", sizes=(10_000, 100_000), unit="text", bytes_each=10_000)
def embed_texts(n: int) -> Contest:
    """Vectors of n texts of twelve words; bound: the static model's own library."""
    texts = said(n)
    from wordllama import WordLlama  # it configures the root logger

    static, hashed = StaticEmbedder(), HashedEmbedder()
    static(texts[:1])
    folder = Path(find_spec("wordllama").origin).parent
    model = WordLlama.load(disable_download=True, cache_dir=folder)
    return Contest(
        {"static": Run(lambda: static(texts)), "hashed": Run(lambda: hashed(texts))},
        Run(lambda: model.embed(texts)),
    )


@case("learn", sizes=(10_000, 100_000), unit="text", bytes_each=10_000)
def words_learnt(n: int) -> Contest:
    """n distinct texts taken apart into numbered words; bound: `str.lower().split()` of each."""
    texts = [f"{text} {place}" for place, text in enumerate(said(n))]
    pool = TextPool()
    codes = pool.intern(texts)
    return Contest(
        {"learn": Run(lambda: Lexicon().learn(pool, codes))},
        Run(lambda: [text.lower().split() for text in texts]),
    )
