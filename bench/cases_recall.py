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
from populace.systems.recall_cache import recall_cache

from . import inputs
from .harness import Contest, Loss, Run, both, case, p99_us, us, us_each

AREA = "recall"

AGENTS = 1_000  # of whom one is asked
THREADS = 2
NO_WORDS = "it compares no words, and embeds no text"
NEARNESS = Loss(
    "it answers with places by nearness alone, from a matrix per owner. Recall looks up whose "
    "memories these are, weighs their recency and importance, keeps a step from changing them "
    "meanwhile, and tells ids, times, texts and scores",
    peers=("FAISS",),
)


@lru_cache(2)
def minds(n_agents: int, embedded: bool = False) -> World:
    """So many agents with the memories of `inputs.mind`, each one's together, with vectors in i1:
    those of `inputs.mind`, or of their texts."""
    world = World(seed=1, threads=THREADS)
    world.clock.now = inputs.NOW
    attach_embedder(world, "hashed", embedding=False)
    agents = world.spawn(n_agents, Persona(number=np.arange(n_agents)), Stream(formed=inputs.MIND))
    stored, scale = encode(inputs.drawn(), "i1")
    each = inputs.DIFFERENT // inputs.MIND
    texts = inputs.said(min(n_agents, each) * inputs.MIND)
    for begin in range(0, n_agents, each):
        some = agents[begin : begin + each]
        parts = [inputs.mind(agent) for agent in range(begin, begin + some.size)]
        accessed, importance, which = map(np.concatenate, zip(*parts, strict=True))
        by_chance = () if embedded else (Embedding(vector=stored[which], scale=scale[which]),)
        world.spawn(
            which.size,
            Memory(
                owner=np.repeat(some, inputs.MIND),
                sequence=np.tile(np.arange(inputs.MIND), some.size),
                created=accessed,
                text=texts[: which.size],
            ),
            Trace(importance=importance, stability=1e6, accessed=accessed),
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
    rows = np.arange(n_agents * inputs.MIND, dtype=np.uint32)
    out = np.empty(rows.size)

    def compare(begin: int, end: int) -> None:
        for first in range(begin, end, inputs.MIND):
            part = slice(first, first + inputs.MIND)
            cosines_at(
                vector.ctypes.data, scale.ctypes.data, 1, rows[part], query.unit_qd[0],
                query.whole_qd[0], query.step_q[0], out[part],
            )  # fmt: skip

    cuts = [n_agents * part // threads * inputs.MIND for part in range(threads + 1)]
    pool = ThreadPoolExecutor(threads)
    if threads == 1:
        return Run(partial(compare, 0, rows.size))
    return Run(lambda: list(pool.map(compare, cuts[:-1], cuts[1:])))


@case(
    "vector, others", "vector", "text, others", sizes=(1,), unit="agent", bytes_each=1 << 30,
    rounds=101, target={"vector": us(150), "text, others": us(2_000)},
    loses=(Loss(NO_WORDS, ("FAISS",), ("text, others",)), NEARNESS),
)  # fmt: skip
def recall_own(n: int) -> Contest:
    """One agent of 1,000 recalls the best ten of its 1,000 memories, by another question each time:
    another agent each time, whose memories are in no cache of the processor, by a vector; always
    the same agent; another agent each time, by a text in words and meaning. Nothing is answered
    from what was kept. Bound: the cosines alone, of the same agent."""
    world = minds(AGENTS)
    agents = world.query(Persona).ids().tolist()
    first, others = agents[0], cycle(agents)
    vectors = cycle(inputs.questions(997))
    asked = map("{} on day {}".format, repeat(inputs.QUESTION), count())

    def verify() -> None:
        for number, question in enumerate(inputs.questions(20)):
            found = recall(world, agents[number], question)
            assert (found.keys[:, 0] == number).all()
            inputs.is_best(found.keys[:, 1], number, question, inputs.I1_ERROR)
        found = recall(world, first, next(asked))
        assert len(found) == inputs.ANSWERS
        assert (np.diff(found.scores.total) <= 0).all()

    return Contest(
        {
            "vector, others": Run(lambda: recall(world, next(others), next(vectors))),
            "vector": Run(lambda: recall(world, first, next(vectors))),
            "text, others": Run(lambda: recall(world, next(others), next(asked))),
        },
        bare(world, 1, 1),
        verify,
    )


@case(
    "vectors", "texts", sizes=(100, 1_000, 10_000), unit="agent", bytes_each=600_000,
    target={"vectors": us_each(52)}, elsewhere=True,
    loses=(Loss(NO_WORDS, ("FAISS",), ("texts",)), NEARNESS),
)  # fmt: skip
def recall_all_agents(n: int) -> Contest:
    """All agents recall at once, on two threads, each by a vector of its own, or by one of ten
    texts; bound: the cosines alone, on two threads."""
    world = minds(n)
    agents = world.query(Persona).ids()
    vectors = inputs.questions(n)
    texts = [f"{inputs.QUESTION} on day {agent % 10}" for agent in range(n)]

    def verify() -> None:
        places = recall(world, agents, vectors).keys[:, 1].reshape(n, inputs.ANSWERS)
        for agent in range(0, n, max(1, n // 20)):
            inputs.is_best(places[agent], agent, vectors[agent], inputs.I1_ERROR)

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
    world = minds(AGENTS)
    agent = int(world.query(Persona).ids()[0])
    cache = recall_cache(world)

    def entries(k: int) -> None:
        cache.entries = k

    def verify() -> None:
        entries(0)
        anew = recall(world, agent, inputs.QUESTION)
        entries(10)
        recall(world, agent, inputs.QUESTION)
        kept = recall(world, agent, inputs.QUESTION, explain=True)
        assert kept.plan is not None
        assert kept.plan.path == "cache"
        assert kept.ids.tolist() == anew.ids.tolist()

    ask = partial(recall, world, agent, inputs.QUESTION)
    return Contest(
        {"cached": Run(ask, partial(entries, 10))}, Run(ask, partial(entries, 0)), verify
    )


@case(
    "vector", "text", "words", "text, rare filter", sizes=(100_000, 1_000_000), unit="memory",
    bytes_each=4_000, target={"vector": both(us(1_000), p99_us(2_000))},
)  # fmt: skip
def recall_society(n: int) -> Contest:
    """Who of all remembers: by a vector, by a text in words and meaning, by its words alone, and
    among the oldest in a thousand; another question each time, which is like no memory: of the ten
    nearest 0.91 are found among a million, at least. Bound: the vector index alone."""
    world = minds(n // inputs.MIND, embedded=True)
    index = vector_index(world, Embedding, background=False)
    index.wait()
    recall_cache(world).entries = 100
    questions = inputs.understood(inputs.asked(5_000))
    vectors = cycle(questions)
    asked = map("{} on day {}".format, repeat(inputs.QUESTION), count())
    when = inputs.NOW - days(29) + days(29) // 1_000

    def verify() -> None:
        some = questions[::100]
        keys = np.array([who_remembers(world, question).keys for question in some])
        places = keys @ [inputs.MIND, 1]
        assert inputs.share_found(places, inputs.meanings(n), some, inputs.I1_ERROR) >= 0.9
        told = who_remembers(world, next(asked))
        assert len(told) == inputs.ANSWERS
        assert (np.diff(told.scores.relevance) <= 0).all()

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
    world = minds(n // inputs.MIND, embedded=True)
    vector_index(world, Embedding, background=False).wait()
    recall_cache(world).entries = 100
    asked = map("{} on day {}".format, repeat(inputs.QUESTION), count())

    def change() -> None:
        world.clock.now += 1

    ask = Run(lambda: who_remembers(world, next(asked)))
    return Contest({"text": Run(ask.call, change)}, ask, rows=1)


@case("static", "hashed", sizes=(10_000, 100_000), unit="text", bytes_each=10_000)
def embed_texts(n: int) -> Contest:
    """Vectors of n texts of twelve words; bound: the static model's own library."""
    texts = inputs.said(n)
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
    texts = [f"{text} {place}" for place, text in enumerate(inputs.said(n))]
    pool = TextPool()
    codes = pool.intern(texts)
    return Contest(
        {"learn": Run(lambda: Lexicon().learn(pool, codes))},
        Run(lambda: [text.lower().split() for text in texts]),
    )
