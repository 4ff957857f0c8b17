"""Recall over a whole society in plain Python; and societies to ask, as large as an index takes."""

from zlib import crc32

import numpy as np
from hypothesis import strategies as st

from populace.components import Memory, Persona, Statement, Trace
from populace.components.embedding import embedding
from populace.ecs import hours
from populace.storage import vectors
from populace.storage.dots import encode, queries
from populace.storage.vectors import vector_index
from populace.systems import society_recall
from populace.systems.bm25 import K1, B
from populace.systems.embedders import CallableEmbedder
from populace.systems.embedding import attach_embedder, embed, embedder_of

from . import naive_scoring, naive_words
from .naive_recall import (
    AGENTS,
    NOW,
    SAID,
    Starred,
    Told,
    answers,
    meaning,
    numbered,
    relevance,
    world_of,
)

NUMBERS = [30, 10, 20]
"""Of the agents, in another order than their ids."""
INDEX = {"flat_below": 40, "tail_limit": 12, "lists": 6, "background": False}
TOPICS = ["tea", "rain", "trees", "votes", "cards", "roses", "trains", "bread"]
WIDE = 16


def key_of(memory):
    """The number of its agent, and the sequence."""
    return NUMBERS[memory.agent], memory.sequence


def candidates_of(memories, agents=None, **filters):
    """Those that may answer."""
    return [
        each for each in memories
        if (agents is None or each.agent in agents) and answers(each, **filters)
    ]  # fmt: skip


def naive_who(memories, query, k, dtype=None, mode="hybrid", weights=None, agents=None, **filters):
    """[(memory, (total, recency, importance, relevance))] of the best of all, best first.

    weights: None for relevance alone.
    """
    able = candidates_of(memories, agents, **filters)
    if not able:
        return []
    parts = naive_scoring.parts(
        NOW,
        [each.accessed for each in able],
        [float(np.float32(each.importance)) for each in able],
        relevance(query, able, dtype, mode),
        0.995 if weights is None else 0.99,
    )
    weights = weights or (0, 0, 1)
    rows = list(zip(*parts, strict=True))
    total = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in rows]
    order = naive_scoring.best([round(x, 9) for x in total], [key_of(m) for m in able], k)
    return [(able[at], (total[at], *rows[at])) for at in order]


def alike(one, other):
    """Whether two memories score the same by what they are, not by chance."""
    what = ("text", "meant", "importance", "accessed")
    return all(getattr(one, name) == getattr(other, name) for name in what)


# -- what is drawn -------------------------------------------------------------------------------

told = st.builds(
    Told,
    agent=st.integers(0, AGENTS - 1),
    age_h=st.integers(0, 2000),
    idle_h=st.integers(0, 2000),
    kind=st.integers(0, 2),
    text=st.sampled_from(SAID),
    importance=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]),
    expires_h=st.none() | st.integers(-2, 2),
    starred=st.booleans(),
    stated=st.booleans(),
    meant=st.sampled_from([True, True, False]),
)
minds = st.lists(told, max_size=30).map(numbered)
dtypes = st.sampled_from([None, "f4", "f2", "i1"])
some_agents = st.none() | st.lists(st.integers(0, AGENTS - 1), max_size=4)
tags = st.sets(st.sampled_from([Starred, Statement])).map(tuple)
hour = st.integers(0, 2000).map(lambda h: NOW - hours(h))


@st.composite
def filters(draw):
    """Any of them together, no tag both wanted and not."""
    asked = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "kinds": st.sets(st.integers(0, 2), min_size=1),
                "since": hour,
                "until": hour,
                "importance": st.sampled_from([0.0, 0.1, 0.5, 0.7]),
                "unexpired": st.booleans(),
                "with_": tags,
                "without": tags,
                "phrase": st.sampled_from(["tea", "the tea", "Red rose", "red red", "rain Ann"]),
                "prefix": st.sampled_from(["r", "re", "ann", "T", "zz"]),
            },
        )
    )
    if "without" in asked:
        asked["without"] = tuple(set(asked["without"]) - set(asked.get("with_", ())))
    return asked


# -- worlds --------------------------------------------------------------------------------------


def society(memories, dtype=None, **options):
    """(world, agents, ids of the memories); agents have the numbers above."""
    world, people, ids = world_of(memories, dtype, **options)
    world.set(people, Persona(number=NUMBERS))
    return world, people, ids


def clustered(texts):
    """Texts as vectors about what their first word stands for; zeros for ""."""
    made = np.zeros((len(texts), WIDE))
    for row, text in zip(made, texts, strict=True):
        if text:
            centre = np.random.default_rng(crc32(text.split()[0].encode())).normal(size=WIDE)
            row[:] = centre + 0.4 * np.random.default_rng(crc32(text.encode())).normal(size=WIDE)
    return made


CLUSTERED = CallableEmbedder(clustered, "clustered", WIDE)


def crowd(n=900, dtype="i1", meant=lambda place: True, **changes):
    """(memories, world, agents, ids): n memories about some topics, in four tables."""
    memories = numbered(
        Told(
            agent=k * 7 % AGENTS, age_h=k % 300, idle_h=k % 97, kind=k % 3,
            text=f"{TOPICS[k * 5 % 8]} with {TOPICS[k // 3 % 8]} number{k % 40} of{k}",
            importance=k % 10 / 10, starred=k % 2 == 0, stated=k % 5 < 2, expires_h=k % 3 - 1,
            meant=meant(k),
        )
        for k in range(n)
    )  # fmt: skip
    world, people, ids = society(memories)
    attach_embedder(world, CLUSTERED, dtype=dtype, embedding=False)
    embed(world, ids[[each.meant for each in memories]])
    return memories, world, people, ids


def approximate(patch):
    """Let even small societies be searched by the indices. patch: pytest's monkeypatch."""
    patch.setattr(society_recall, "EXACT_BELOW", 24)
    patch.setattr(society_recall, "FEWEST", 8)
    patch.setattr(society_recall, "SAMPLE", 32)
    patch.setattr(vectors, "ROW_NS", 10**6)
    patch.setattr(vectors, "SCANNED_NS", 0)
    patch.setattr(vectors, "PASSED_BY_NS", 0)
    patch.setattr(vectors, "RERANKED", 8)


def indexed(world, dimensions=WIDE, dtype="i1"):
    """The world's index, of small limits."""
    return vector_index(world, embedding(dimensions, dtype), **INDEX)


# -- what a world holds --------------------------------------------------------------------------


def memories_of(world, component):
    """{id: what is told of it} of every memory, read column by column."""
    ids = world.query(Memory, Trace).ids()
    number = world.get(world.get(ids, Memory.owner), Persona.number).tolist()
    columns = [world.get(ids, each).tolist() for each in (
        Memory.sequence, Memory.created, Trace.accessed, Memory.kind, Trace.importance
    )]  # fmt: skip
    texts = world.text.decode(world.get(ids, Memory.text))
    starred, stated, meant = (world.has(ids, cls) for cls in (Starred, Statement, component))
    expires = dict(zip(ids[stated].tolist(), world.get(ids[stated], Statement.expires).tolist(),
                       strict=True))  # fmt: skip
    hour = hours(1)
    found = {}
    for at, one in enumerate(ids.tolist()):
        sequence, created, accessed, kind, importance = (column[at] for column in columns)
        gone = expires.get(one)
        found[one] = Told(
            NUMBERS.index(number[at]), sequence, (NOW - created) // hour, (NOW - accessed) // hour,
            kind, texts[at], importance,
            None if gone is None or gone > NOW + hours(10**6) else (gone - NOW) // hour,
            bool(starred[at]), bool(stated[at]), bool(meant[at]),
        )  # fmt: skip
    return found


def assert_valid(
    world, found, query, k, component, mode="hybrid", agents=None, dtype="i1", embedder=meaning,
    **filters,
):  # fmt: skip
    """What was found by whatever way: alive, each once, of the filters, k of them, told as it is,
    and its scores those of its cosine and its words, but for how they are stretched."""
    ids = found.ids.tolist()
    assert world.alive(found.ids).all()
    known = memories_of(world, component)
    able = candidates_of(known.values(), agents, **filters)
    assert len(set(ids)) == len(ids) == min(k, len(able))
    mine = [known[one] for one in ids]
    assert all(each in able for each in mine)
    assert found.text == [each.text for each in mine]
    assert found.keys.tolist() == [list(key_of(each)) for each in mine]
    assert found.created.tolist() == [each.created for each in mine]
    assert found.kind.tolist() == [each.kind for each in mine]
    assert found.owners.tolist() == world.get(found.ids, Memory.owner).tolist()
    scores = found.scores
    for part in (scores.total, scores.recency, scores.importance, scores.relevance):
        assert part.size == len(ids)
        assert ((part >= 0) & (part <= 1)).all()
    assert (np.diff(scores.total) <= 0).all()
    assert scores.total.tolist() == scores.relevance.tolist()
    if not ids:
        return
    columns = [np.ones(len(ids))]
    if mode != "words":
        stored, scale = encode(embedder([m.text if m.meant else "" for m in mine]), dtype)
        vector = embedder_of(world).query([query])[0] if isinstance(query, str) else query
        columns.append(queries([vector]).cosines(stored, scale)[0])
    if isinstance(query, str) and mode != "vectors":
        # Of each text once, since a BM25 of one text is the same for all who have it.
        words = dict(zip([each.text for each in able],
                         naive_words.bm25(query, [each.text for each in able], K1, B),
                         strict=True))  # fmt: skip
        columns.append(np.array([words[each.text] for each in mine]))
    given = np.stack(columns, 1)
    fit = np.linalg.lstsq(given, scores.relevance, rcond=None)[0]
    assert np.allclose(given @ fit, scores.relevance, atol=1e-5)
    if np.linalg.matrix_rank(given - given.mean(0), 1e-3) == given.shape[1] - 1:
        assert (fit[1:] > -1e-6).all()


def exact(found):
    """All that was found, to the bit, but ids, to compare it with another's."""
    scores = found.scores
    return (
        found.keys.tolist(), found.created.tolist(), found.kind.tolist(), found.text,
        [part.view(np.int64).tolist() for part in (
            scores.total, scores.recency, scores.importance, scores.relevance
        )],
    )  # fmt: skip
