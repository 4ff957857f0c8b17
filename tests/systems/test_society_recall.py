"""Recall over a society: exact where it is said to be, and never wrong where it is not."""

import copy
import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from populace.components import Memory, Persona, Pinned, Recalled, Statement, Stream, Trace
from populace.components.embedding import embedding
from populace.ecs import World, days, hours, system
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    ResourceError,
    UnknownComponentError,
)
from populace.storage.dots import encode
from populace.storage.snapshot import load, save
from populace.storage.vectors import vector_index
from populace.systems import Pruning, RecallScore, consolidate, forget, reinforce
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.consolidation import Consolidation
from populace.systems.embedding import attach_embedder, embed
from populace.systems.recollection import recall
from populace.systems.rendering import memories_as_text
from populace.systems.society_recall import who_remembers

from ..storage.crashing import quick
from .naive_recall import (
    AGENTS,
    DIMENSIONS,
    MEANING,
    NOW,
    SAID,
    Starred,
    Told,
    meaning,
    numbered,
    spawn,
)
from .naive_society import (
    CLUSTERED,
    NUMBERS,
    TOPICS,
    WIDE,
    alike,
    approximate,
    assert_valid,
    candidates_of,
    clustered,
    crowd,
    dtypes,
    exact,
    filters,
    indexed,
    key_of,
    memories_of,
    minds,
    naive_who,
    society,
    some_agents,
)

ASKED = ["What does Ann read?", "tea and rain", "of the", "nobody said this", "a rose"]
MODES = ("hybrid", "words", "vectors")
Wide = embedding(WIDE, "i1")
Small = embedding(DIMENSIONS, "i1")

FILTERS = {
    "all": {},
    "a kind": {"kinds": (1,)},
    "two kinds": {"kinds": {0, 2}},
    "lately": {"since": NOW - hours(100)},
    "long ago": {"until": NOW - hours(200)},
    "important": {"importance": 0.6},
    "unexpired": {"unexpired": True},
    "with a tag": {"with_": Starred},
    "without one": {"without": (Starred,)},
    "with and without": {"with_": (Statement,), "without": (Starred,)},
    "a phrase": {"phrase": "with rain"},
    "a prefix": {"prefix": "number1"},
    "an agent": {"agents": (1,)},
    "two agents": {"agents": (2, 0)},
    "many of them": {"agents": (0, 1), "kinds": (0, 1), "importance": 0.3, "unexpired": True},
    "few": {"kinds": (0,), "prefix": "number39", "with_": Starred},
    "nobody": {"prefix": "zz"},
}
EVERY_FILTER = pytest.mark.parametrize("asked", FILTERS.values(), ids=FILTERS)


def plain(asked):
    """Filters as the twin takes them."""
    made = dict(asked)
    for name in ("with_", "without"):
        if isinstance(made.get(name), type):
            made[name] = (made[name],)
    return made


def who(world, people, query, k=10, agents=None, **asked):
    """`who_remembers`, of agents by their place."""
    some = None if agents is None else people[list(agents)]
    return who_remembers(world, query, k, agents=some, **asked)


# -- exact ---------------------------------------------------------------------------------------


@st.composite
def cases(draw):
    """(memories, dtype, query, mode, the law's weights, filters)."""
    dtype = draw(dtypes)
    text = draw(st.sampled_from(ASKED))
    if dtype is not None and draw(st.booleans()):
        query, mode = meaning([text])[0] * 3, "hybrid"
    else:
        query, mode = text, draw(st.sampled_from(MODES if dtype is not None else MODES[:2]))
    weights = draw(st.sampled_from([None, (1, 1, 1), (0.5, 2, 3), (1, 0, 0)]))
    return draw(minds), dtype, query, mode, weights, draw(filters())


def law_of(weights):
    """A `RecallScore` of these weights."""
    if weights is None:
        return None
    return RecallScore(
        w_recency=weights[0], w_importance=weights[1], w_relevance=weights[2], base=0.99
    )


@given(cases(), st.integers(1, 8), some_agents, st.booleans())
def test_the_best_are_those_of_the_plain_twin(case, k, agents, asked_exactly):
    """k of those that answer to every filter, in their order, with the parts of their score, equal
    ones by the agent's number and the sequence; few are compared exactly whether asked to or not;
    looking changes nothing."""
    memories, dtype, query, mode, weights, asked = case
    world, people, ids = society(memories, dtype)
    digest = world.digest()
    found = who(
        world, people, query, k, agents, mode=mode, law=law_of(weights), exact=asked_exactly,
        explain=True, **asked,
    )  # fmt: skip
    assert world.digest() == digest
    assert found.plan.path in ("exact scan", "exact filtered")
    want = naive_who(memories, query, k, dtype, mode, weights, agents, **asked)
    assert len(found) == len(want) == found.keys.shape[0]
    for at, name in enumerate(("total", "recency", "importance", "relevance")):
        values = getattr(found.scores, name)
        if name == "total":
            assert np.allclose(values, [score[0] for _, score in want], atol=1e-6)
            assert (np.diff(values) <= 0).all()
            # Scores that differ by rounding alone may change places, unless they are the same.
            everything = naive_who(memories, query, 99, dtype, mode, weights, agents, **asked)
            total = [score[0] for _, score in everything]
            close = [j for j in range(1, len(total)) if total[j - 1] - total[j] < 1e-6]
            if not all(alike(everything[j - 1][0], everything[j][0]) for j in close):
                break
            assert found.keys.tolist() == [list(key_of(one)) for one, _ in want]
        else:
            assert np.allclose(values, [score[at] for _, score in want], atol=1e-6), name
    by_key = {key_of(each): (each, one) for each, one in zip(memories, ids.tolist(), strict=True)}
    for place, key in enumerate(found.keys.tolist()):
        memory, one = by_key[tuple(key)]
        assert (found.ids[place], found.owners[place]) == (one, people[memory.agent])
        assert found.text[place] == memory.text
        assert (found.created[place], found.kind[place]) == (memory.created, memory.kind)


@examples(max_examples=80)
@given(cases(), some_agents, st.sampled_from([0.0, 0.4]), st.randoms(use_true_random=False))
def test_where_memories_lie_changes_nothing(case, agents, diversity, random):
    """Spawned one by one in any order, after others that are gone, clustered, moved between tables:
    to the bit."""
    memories, dtype, query, mode, weights, asked = case
    options = {"mode": mode, "law": law_of(weights), "diversity": diversity, **asked}
    world, people, _ = society(memories, dtype)
    first = exact(who(world, people, query, 5, agents, **options))
    order = list(range(len(memories)))
    random.shuffle(order)
    other, them, ids = society(memories, dtype, order=order, threads=2)
    more = spawn(other, them, [Told(agent=k % AGENTS, sequence=900 + k) for k in range(7)])
    some = ids[[place for place in order if random.random() < 0.4]]
    other.add(some, Pinned)
    other.despawn(more)
    other.remove(some[::2], Pinned)
    other.cluster(Memory.owner)
    assert exact(who(other, them, query, 5, agents, **options)) == first
    other.check()


@examples(max_examples=60)
@given(cases())
def test_of_one_agent_it_is_what_that_agent_recalls(case):
    """`recall` of one and `who_remembers` of the same one: the same to the bit, by the same law."""
    memories, dtype, query, mode, weights, asked = case
    world, people, _ = society(memories, dtype)
    law = law_of(weights) or RecallScore(w_recency=0, w_importance=0, w_relevance=1)
    own = recall(world, people[:1], query, 6, mode=mode, law=law, **asked)
    all_of_it = who(world, people, query, 6, (0,), mode=mode, law=law, **asked)
    assert exact(all_of_it) == exact(own)
    assert all_of_it.ids.tolist() == own.ids.tolist()


@pytest.mark.parametrize("exactly", [True, False])
def test_equal_scores_go_by_number_and_sequence(exactly):
    """Not by id or by where they lie."""
    memories = numbered([Told(agent=k % AGENTS) for k in range(12)])
    world, people, _ = society(memories, "i1")
    found = who(world, people, "rain", 12, exact=exactly)
    assert found.keys.tolist() == sorted([list(key_of(each)) for each in memories])
    assert found.scores.relevance.tolist() == [0.5] * 12


def test_a_law_ranks_by_recency_and_importance_too(monkeypatch):
    """Of all candidates, however many there are."""
    memories, world, people, _ = crowd(120)
    want = naive_who(memories, "number3", 7, None, "words", (1, 1, 1), (0, 1), kinds=(0, 1))
    approximate(monkeypatch)
    found = who(
        world, people, "number3", 7, (0, 1), kinds=(0, 1), mode="words", law=law_of((1, 1, 1)),
        explain=True,
    )  # fmt: skip
    assert found.plan.path == "exact filtered"
    assert np.allclose(found.scores.total, [score[0] for _, score in want])
    assert found.keys.tolist() == [list(key_of(one)) for one, _ in want]


@pytest.mark.parametrize("dtype", ["i1", "f2", "f4"])
def test_it_is_the_same_after_loading(tmp_path, dtype):
    """Once the embedder is attached again: to the bit, and with the same ids."""
    _, world, people, _ = crowd(200, dtype, meant=lambda k: k % 4 > 0)
    questions = [("tea with rain", mode, asked) for mode in MODES for asked in FILTERS.values()]
    questions.append((clustered(["votes with tea"])[0], "hybrid", {"importance": 0.4}))
    first = [who(world, people, query, 6, mode=mode, **asked) for query, mode, asked in questions]
    save(world, tmp_path)
    other = load(tmp_path)
    with pytest.raises(ResourceError, match=r"attach_embedder\(world\)"):
        who_remembers(other, "tea")
    attach_embedder(other, CLUSTERED, embedding=False)
    for (query, mode, asked), before in zip(questions, first, strict=True):
        after = who(other, people, query, 6, mode=mode, **asked)
        assert exact(after) == exact(before)
        assert after.ids.tolist() == before.ids.tolist()


# -- by the indices ------------------------------------------------------------------------------


@EVERY_FILTER
@pytest.mark.parametrize("mode", MODES)
def test_what_the_indices_find_is_valid(monkeypatch, mode, asked):
    """With any filter: k of those that qualify, told as they are, scored by what they are."""
    approximate(monkeypatch)
    _, world, people, _ = crowd(300, meant=lambda k: k % 6 > 0)
    indexed(world)
    paths = set()
    for query in ("rain with tea", "number17", "votes nobody knows"):
        found = who(world, people, query, 7, mode=mode, explain=True, **asked)
        paths.add(found.plan.path)
        assert_valid(world, found, query, 7, Wide, mode, embedder=clustered, **plain(asked))
    few = len(candidates_of(crowd_of(world).values(), **plain(asked))) <= 28
    assert few or "exact scan" not in paths
    if mode == "words":
        assert paths == {"exact filtered" if few else "postings"}
    elif not asked:
        assert paths == {"inverted file"}


def crowd_of(world):
    """The memories of a `crowd`."""
    return memories_of(world, Wide)


@EVERY_FILTER
def test_k_are_found_whenever_k_qualify(monkeypatch, asked):
    """Also when few have a word of the query, or a vector, or neither."""
    approximate(monkeypatch)
    memories, world, people, _ = crowd(300, meant=lambda k: k < 3)
    indexed(world)
    able = len(candidates_of(memories, **plain(asked)))
    for query in ("number0 of0", "of the", "zyzzyva", clustered(["tea"])[0]):
        for mode in MODES if isinstance(query, str) else ("hybrid",):
            for k in (1, 9, 40):
                assert len(who(world, people, query, k, mode=mode, **asked)) == min(k, able)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name", ["all", "two kinds", "important", "with a tag", "two agents", "many of them"]
)
def test_the_indices_agree_with_comparing_all(monkeypatch, mode, name):
    """On average 9 of the first 10 are the same, with every filter that leaves enough."""
    _, world, people, _ = crowd(1_500)
    asked = FILTERS[name]
    queries = [f"{one} with {other}" for one in TOPICS for other in TOPICS[::3]]
    best = [who(world, people, query, 10, mode=mode, exact=True, **asked) for query in queries]
    approximate(monkeypatch)
    monkeypatch.setattr("populace.systems.society_recall.FEWEST", 40)
    indexed(world)
    shares, paths = [], set()
    for query, want in zip(queries, best, strict=True):
        found = who(world, people, query, 10, mode=mode, explain=True, **asked)
        paths.add(found.plan.path)
        # Of equal scores any may be found: what counts is whether they are as good.
        shares.append(_share_as_good(world, want, found))
    assert np.mean(shares) >= 0.9
    # The inverted file falls back where the lists that it looks into have too few of these.
    assert ("postings" if mode == "words" else "inverted file") in paths
    assert paths <= {"postings", "inverted file", "exact filtered"}


def _share_as_good(world, want, found):
    """Of what was found, how much is among the best, or says what one of them says of its kind."""
    best = set(want.ids.tolist())
    same = {text.rsplit(" ", 1)[0] for text in want.text}
    return np.mean([
        one in best or text.rsplit(" ", 1)[0] in same
        for one, text in zip(found.ids.tolist(), found.text, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("meant", [True, False], ids=["embedded", "not embedded"])
@pytest.mark.parametrize("mode", ["hybrid", "words"])
def test_a_rare_word_is_found(monkeypatch, mode, meant):
    """However far its memory's vector is from that of the query, or without a vector; until the
    memory is gone."""
    approximate(monkeypatch)
    _, world, people, _ = crowd(500)
    indexed(world)
    who(world, people, "tea")  # whatever is kept by now
    rare = spawn(world, people, [
        Told(agent=2, sequence=900, kind=1, text="bread zyzzyva", importance=0.25)
    ])  # fmt: skip
    if meant:
        embed(world, rare)
    for asked in ({}, {"kinds": (1,)}, {"agents": (2,)}, {"importance": 0.25}, {"prefix": "zyz"}):
        found = who(world, people, "who knows a zyzzyva", 3, mode=mode, **asked)
        assert found.ids[0] == rare[0]
        assert found.keys[0].tolist() == [NUMBERS[2], 900]
    for asked in ({"kinds": (0,)}, {"agents": (0, 1)}, {"importance": 0.3}, {"with_": Starred}):
        assert rare[0] not in who(world, people, "zyzzyva", 3, mode=mode, **asked).ids
    world.despawn(rare)
    assert not any("zyzzyva" in text for text in who(world, people, "zyzzyva", 9, mode=mode).text)


def _despawned(world, ids, where):
    world.despawn(ids)


def _pruned(world, ids, where):
    world.insert(Pruning(), replace=True)
    others = world.query(Memory).ids()
    world.add(others[~np.isin(others, ids)], Pinned)
    world.set(ids, Memory(created=NOW - hours(24 * 300)))
    world.set(ids, Trace(importance=0.01, accessed=NOW - hours(24 * 300)))
    world.add_system(forget)
    world.step(0)


def _merged(world, ids, where):
    world.insert(Consolidation())
    kept = world.get(ids[:1], Memory.owner)
    # All of one owner, of one text and kind, and one that is stronger and stays.
    world.set(ids, Memory(owner=np.repeat(kept, ids.size), kind=0, text="the same"))
    world.set(ids, Trace(importance=0.2))
    number = int(world.get(kept, Persona.number)[0])
    spawn(world, kept.repeat(AGENTS), [
        Told(agent=0, sequence=9_000 + number, text="the same", importance=1.0)
    ])  # fmt: skip
    world.set(kept, Stream(formed=10**6))
    world.add_system(consolidate)
    embed(world, ids, replace=True)
    world.step(days(1))


def _archived(world, ids, where):
    attach_archive(world, quick(where), buckets=2, archiving=False)
    assert archive_memories(world, ids) == ids.size


WAYS_TO_GO = {
    "despawned": _despawned, "pruned": _pruned, "merged": _merged, "archived": _archived,
    "with its agent": None, "without Trace": None, "without a vector": None, "retagged": None,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_TO_GO)
@pytest.mark.parametrize("tagged", [False, True], ids=["all", "filtered"])
def test_there_are_no_ghosts(monkeypatch, tmp_path, way, tagged):
    """What has gone, in any of the ways there are, is not found again, and k others are."""
    approximate(monkeypatch)
    _, world, people, _ = crowd(600)
    indexed(world)
    asked = {"kinds": (0, 1), "without": Statement} if tagged else {}
    texts = ("tea with rain", "votes with trees", "number7")
    gone = np.unique(np.concatenate([
        who(world, people, text, 12, mode=mode, **asked).ids for text in texts for mode in MODES
    ]))  # fmt: skip
    modes = MODES
    if way == "with its agent":
        gone = world.index(Memory.owner).of(people[:1]).ids
        world.despawn(people[:1])
    elif way == "without Trace":
        world.remove(gone, Trace)
    elif way == "without a vector":
        world.remove(gone, Wide)
        modes = ("vectors",)
    elif way == "retagged":
        asked = {**asked, "without": Statement}
        world.add(gone[~world.has(gone, Statement)], Statement)
    else:
        WAYS_TO_GO[way](world, gone, tmp_path)
    if way in ("despawned", "pruned", "archived", "with its agent"):
        assert not world.alive(gone).any()
    if way == "merged":
        left = gone[world.alive(gone)]
        assert left.size <= 1
        gone = gone[~world.alive(gone)]
    for text in texts:
        for mode in modes:
            found = who(world, people, text, 12, mode=mode, **asked)
            assert len(found) == 12
            assert not np.isin(found.ids, gone).any()
            assert_valid(world, found, text, 12, Wide, mode, embedder=clustered, **plain(asked))


def test_slots_that_are_used_again(monkeypatch):
    """A new memory in the slot of one that is gone is found by what it says itself."""
    approximate(monkeypatch)
    _, world, people, _ = crowd(400)
    indexed(world)
    found = who(world, people, "roses with trains", 10)
    world.despawn(found.ids)
    new = spawn(world, people, [
        Told(agent=k % AGENTS, sequence=800 + k, text=f"cards with bread number1 of{k}")
        for k in range(10)
    ])  # fmt: skip
    assert set((new & 0xFFFFFFFF).tolist()) & set((found.ids & 0xFFFFFFFF).tolist())
    for embedded in (False, True):
        if embedded:
            embed(world, new)
        for text in ("roses with trains", "cards with bread number1"):
            for mode in MODES:
                again = who(world, people, text, 10, mode=mode)
                assert_valid(world, again, text, 10, Wide, mode, embedder=clustered)
                if text.startswith("roses"):
                    assert not np.isin(again.ids, new).any()
    best = who(world, people, "cards with bread number1", 30, mode="vectors")
    assert np.isin(new, best.ids).mean() > 0.5


class Churn(RuleBasedStateMachine):
    """Memories come, go and change, slots are used again, the world is saved and loaded; whoever is
    asked for is valid after each step, by the indices, and the same as the twin's if exact."""

    @initialize(n=st.integers(0, 260), seed=st.integers(0, 99))
    def begin(self, n, seed):
        self.random = np.random.default_rng(seed)
        self.where = tempfile.TemporaryDirectory()
        self.world, self.people, _ = society(
            numbered(
                Told(agent=k % AGENTS, age_h=k % 50, idle_h=k % 9, kind=k % 3, text=self.says(),
                     importance=k % 8 / 8, starred=k % 2 == 0, stated=k % 3 == 0, expires_h=k % 2)
                for k in range(n)
            ), "i1",
        )  # fmt: skip
        self.next = n
        indexed(self.world, DIMENSIONS)

    def says(self):
        draw = self.random
        return f"{draw.choice(SAID[:6])} {draw.choice(TOPICS)} {draw.integers(9)}"

    def some(self, share, component=Memory):
        ids = np.sort(self.world.query(Memory, with_=component).ids())
        return ids[self.random.random(ids.size) < share]

    @rule(n=st.integers(1, 40), starred=st.booleans(), stated=st.booleans(), meant=st.booleans())
    def spawned(self, n, starred, stated, meant):
        new = spawn(self.world, self.people, [
            Told(agent=int(self.random.integers(AGENTS)), sequence=self.next + k, age_h=k % 50,
                 kind=k % 3, text=self.says(), importance=k % 4 / 4, starred=starred,
                 stated=stated, expires_h=k % 2)
            for k in range(n)
        ])  # fmt: skip
        self.next += n
        if meant:
            embed(self.world, new)

    @rule(share=st.sampled_from([0.02, 0.1, 0.9]))
    def despawned(self, share):
        self.world.despawn(self.some(share))

    @rule(share=st.sampled_from([0.2, 1.0]))
    def embedded(self, share):
        embed(self.world, self.some(share))

    @rule(share=st.sampled_from([0.1, 0.9]))
    def meaning_lost(self, share):
        self.world.remove(self.some(share, Small), Small)

    @rule()
    def meaning_lost_and_back(self):
        ids = self.some(0.4, Small)
        self.world.remove(ids, Small)
        embed(self.world, ids)

    @rule(text=st.sampled_from(SAID[:4]))
    def said(self, text):
        ids = self.some(0.2)
        self.world.set(ids, Memory(text=text))
        embed(self.world, ids, replace=True)

    @rule(cls=st.sampled_from([Starred, Statement]))
    def tagged(self, cls):
        ids = self.some(0.3)
        has = self.world.has(ids, cls)
        self.world.remove(ids[has], cls)
        self.world.add(ids[~has], cls)

    @rule()
    def viewed(self):
        for trace in self.world.query(Trace, with_=Memory):
            trace.importance[:] = trace.importance[::-1].copy()

    @rule()
    def clustered(self):
        self.world.cluster(Memory.owner)

    @rule()
    def stepped(self):
        if "forget" not in self.world.schedule.entries:
            self.world.insert(Pruning(theta=0.02), replace=Pruning in self.world.resources)
            self.world.add_system(forget)
        self.world.step(0)

    @precondition(lambda self: self.next > 0)
    @rule()
    def saved_and_loaded(self):
        save(self.world, self.where.name)
        self.world = load(self.where.name)
        if "forget" in self.world.schedule.entries:
            self.world.step(0)
        attach_embedder(self.world, MEANING, embedding=False)
        indexed(self.world, DIMENSIONS)

    @rule()
    def index_made_anew(self):
        indexed(self.world, DIMENSIONS).close()
        indexed(self.world, DIMENSIONS)

    @invariant()
    def valid(self):
        if not hasattr(self, "world"):
            return
        options = FILTERS_DRAWN[int(self.random.integers(len(FILTERS_DRAWN)))]
        mode = MODES[int(self.random.integers(3))]
        query = str(self.random.choice(["tea rain", "Ann votes", "red trees 3", "zyzzyva", "of"]))
        for _ in range(2):  # the second is from the cache
            found = who(self.world, self.people, query, 5, mode=mode, **options)
            assert_valid(
                self.world, found, query, 5, Small, mode, options.get("agents"),
                **{name: value for name, value in options.items() if name != "agents"},
            )  # fmt: skip
        all_of_it = who(self.world, self.people, query, 5, mode=mode, exact=True, **options)
        want = naive_who(
            list(memories_of(self.world, Small).values()), query, 5, "i1", mode, **options
        )
        total = [score[0] for _, score in want]
        assert np.allclose(all_of_it.scores.total, total, atol=1e-6)

    def teardown(self):
        if hasattr(self, "where"):
            self.where.cleanup()


FILTERS_DRAWN = [
    {}, {}, {}, {}, {}, {"kinds": (0, 2)}, {"importance": 0.5}, {"with_": (Starred,)},
    {"agents": (1,)}, {"without": (Statement,)}, {"unexpired": True}, {"prefix": "t"},
    {"since": NOW - hours(20)}, {"agents": (0, 2), "kinds": (0, 1), "phrase": "tea"},
]  # fmt: skip


def test_churn(monkeypatch):
    """Any sequence of changes leaves no ghost, hides nobody, and scores nobody wrongly."""
    approximate(monkeypatch)
    run_state_machine_as_test(Churn, settings=examples(max_examples=25, stateful_step_count=15))


# -- what was done -------------------------------------------------------------------------------


def test_the_plan_tells_the_way(monkeypatch):
    """Each way by its name, with candidates and seconds of every stage."""
    _, world, people, _ = crowd(400)
    ways = {
        "exact scan": {},
        "exact filtered": {"kinds": (0,)},
    }
    for path, asked in ways.items():
        assert _plan(who(world, people, "tea", explain=True, **asked)).path == path
    approximate(monkeypatch)
    flat = vector_index(world, Wide, background=False)
    assert _plan(who(world, people, "rain", explain=True)).path == "exact scan"
    flat.close()
    indexed(world)
    plan = _plan(who(world, people, "roses", explain=True))
    assert plan.path == "inverted file"
    assert plan.details["probes"] >= 1
    assert plan.details["compared"] >= 1
    filtered = _plan(who(world, people, "roses", explain=True, prefix="number3"))
    assert filtered.path in ("inverted file", "exact filtered")
    words = _plan(who(world, people, "roses", mode="words", explain=True))
    assert words.path == "postings"
    assert _plan(who(world, people, "roses", mode="words", explain=True)).path == "cache"
    assert _plan(who(world, people, "tea", exact=True, explain=True)).path == "exact scan"
    assert who(world, people, "bread").plan is None
    assert who(world, people, "bread").plan is None  # from the cache


def _plan(found):
    """The plan of what was found, which makes sense."""
    plan = found.plan
    assert len(plan.stages) >= 2
    for stage in plan.stages:
        assert stage.name
        assert isinstance(stage.candidates, int)
        assert stage.candidates >= 0
        assert stage.seconds >= 0
    assert plan.seconds == sum(stage.seconds for stage in plan.stages)
    assert str(plan).startswith(plan.path)
    assert plan.stages[-1].candidates == len(found)
    return plan


def _clock(world, people, ids):
    world.clock.now += 1


def _spawned(world, people, ids):
    spawn(world, people, [Told(agent=1, sequence=700, text="tea")])


def _gone(world, people, ids):
    world.despawn(ids[:1])


def _traced(world, people, ids):
    for trace in world.query(Trace, with_=Memory):
        trace.importance[0] = 0.9


def _said(world, people, ids):
    world.set(ids[:1], Memory(text="tea and tea"))


def _meant(world, people, ids):
    world.remove(ids[:1], Wide)


def _renumbered(world, people, ids):
    world.set(people[:1], Persona(number=NUMBERS[::-1][:1]))
    world.set(people[2:], Persona(number=NUMBERS[:1]))


def _tagged(world, people, ids):
    world.add(ids[:1], Pinned)


@pytest.mark.parametrize(
    "change",
    [_clock, _spawned, _gone, _traced, _said, _meant, _renumbered, _tagged],
    ids=lambda change: change.__name__.strip("_"),
)
@pytest.mark.parametrize("large", [False, True], ids=["exact", "indexed"])
def test_the_cache_holds_until_something_changes(monkeypatch, change, large):
    """The second identical call is a hit, and the same to the bit; after a change it is found
    anew."""
    _, world, people, ids = crowd(200)
    if large:
        approximate(monkeypatch)
        indexed(world)
    first = who(world, people, "tea", 5, explain=True)
    again = who(world, people, "tea", 5, explain=True)
    assert (first.plan.path, again.plan.path) != ("cache", "cache")
    assert again.plan.path == "cache"
    assert exact(again) == exact(first)
    assert who(world, people, "tea", 6, explain=True).plan.path != "cache"
    assert who(world, people, "tea", 5, (0,), explain=True).plan.path != "cache"
    assert who(world, people, "tea", 5, exact=True, explain=True).plan.path != "cache"
    change(world, people, ids)
    anew = who(world, people, "tea", 5, explain=True)
    assert anew.plan.path != "cache"
    assert_valid(world, anew, "tea", 5, Wide, embedder=clustered)


def test_an_embedder_that_is_attached_later_counts():
    """What was found by words alone before is not given for it afterwards."""
    memories = numbered([Told(agent=k % AGENTS, text=SAID[k % 7]) for k in range(20)])
    world, people, ids = society(memories)
    stored, scale = encode(meaning([each.text for each in memories]), "i1")
    world.add(ids, Small(vector=stored, scale=scale))
    before = who(world, people, "tea and rain", 20)
    own = recall(world, people, "tea and rain", 20)
    attach_embedder(world, MEANING, embedding=False)
    after = who(world, people, "tea and rain", 20)
    want = naive_who(memories, "tea and rain", 20, "i1")
    assert np.allclose(after.scores.total, [score[0] for _, score in want])
    assert not np.allclose(after.scores.total, before.scores.total)
    mine = recall(world, people, "tea and rain", 20)
    assert not np.allclose(mine.scores.relevance, own.scores.relevance)


def test_what_is_returned_cannot_corrupt_the_cache():
    """Arrays refuse to be written; the list of texts is the caller's own."""
    _, world, people, _ = crowd(60)
    first = who(world, people, "tea")
    want = copy.deepcopy(exact(first))
    first.text.clear()
    again = who(world, people, "tea")
    assert exact(again) == want
    again.text[0] = "something else"
    for each in (first, again):
        for array in (each.ids, each.owners, each.keys, each.created, each.scores.total):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    assert exact(who(world, people, "tea")) == want


# -- what is refused -----------------------------------------------------------------------------

REFUSED = {
    "no query": ({"query": None}, ColumnValueError, "takes a query, a text or a vector"),
    "a k of none": ({"k": 0}, ColumnValueError, "1 or more; got k=0"),
    "a k below": ({"k": -3}, ColumnValueError, "k=-3"),
    "a k in part": ({"k": 1.5}, ColumnValueError, "k=1.5"),
    "an empty text": ({"query": ""}, ColumnValueError, "says what it is about; got ''"),
    "white space": ({"query": " \n"}, ColumnValueError, "says what it is about"),
    "a vector of NaN": ({"query": np.full(WIDE, np.nan)}, ColumnValueError, "must be finite"),
    "an infinite one": ({"query": np.full(WIDE, np.inf)}, ColumnValueError, "must be finite"),
    "other dimensions": ({"query": np.ones(WIDE + 1)}, ColumnShapeError, "have 16 dimensions"),
    "two vectors": ({"query": np.ones((2, WIDE))}, ColumnShapeError, "one query"),
    "two texts": ({"query": ["tea", "rain"]}, ColumnShapeError, "one query"),
    "words of a vector": (
        {"query": np.ones(WIDE), "mode": "words"}, ColumnValueError, "a vector has none"
    ),
    "a mode that is none": ({"mode": "smell"}, ColumnValueError, "hybrid, words, vectors; got"),
    "diversity beyond 1": ({"diversity": 2}, ColumnValueError, r"in \[0, 1\]; got 2"),
    "no kind": ({"kinds": []}, ColumnValueError, "leave kinds out"),
    "a time that is none": ({"since": "noon"}, ColumnValueError, "since is a time"),
    "importance beyond 1": ({"importance": 3}, ColumnValueError, "got 3"),
    "a prefix of two words": ({"prefix": "a b"}, ColumnValueError, "beginning of one word"),
    "with what is no component": ({"with_": int}, UnknownComponentError, "int"),
    "agents by name": ({"agents": "Ann"}, ColumnTypeError, "agents"),
    "the dead": ({"agents": np.array([2**40], np.uint64)}, DeadEntityError, "never spawned"),
}  # fmt: skip


@pytest.mark.parametrize(("given_", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked(given_, error, match):
    """The error says what is allowed, and nothing has happened."""
    _, world, _, _ = crowd(20)
    digest, reader = world.digest(), world.events(Recalled)
    with pytest.raises(error, match=match):
        who_remembers(world, access=True, **{"query": "tea", **given_})
    assert world.digest() == digest
    assert len(reader.read().memory) == 0


def test_vectors_where_there_are_none():
    """A vector, or a text by meaning alone; a text in all other ways finds what has its words."""
    memories = numbered([Told(text=text) for text in SAID])
    world, people, _ = society(memories)
    with pytest.raises(ResourceError, match="no memory of this world has an embedding"):
        who_remembers(world, np.ones(DIMENSIONS))
    with pytest.raises(ResourceError, match=r"attach_embedder\(world\)"):
        who_remembers(world, "tea", mode="vectors")
    assert who(world, people, "a rose", 1).text == ["a red red rose"]


def test_dead_agents_are_refused():
    """Whether they were asked before or not; nobody else is hurt."""
    _, world, people, _ = crowd(60)
    assert len(who(world, people, "tea", agents=(0, 1))) == 10
    world.despawn(people[1])
    with pytest.raises(DeadEntityError, match="dead"):
        who(world, people, "tea", agents=(0, 1))
    assert set(who(world, people, "tea", 60).keys[:, 0].tolist()) == {NUMBERS[0], NUMBERS[2]}


def test_what_is_empty_finds_nothing(monkeypatch):
    """No world to speak of, no memories, no agents, agents without memories, no answer."""
    assert len(who_remembers(World(), "tea")) == 0
    for dtype in (None, "i1"):
        world, people, _ = society([], dtype)
        for asked in ({}, {"agents": (0, 1)}, {"exact": True}, {"law": RecallScore()},
                      {"diversity": 0.5}, {"prefix": "a"}, {"access": True}):  # fmt: skip
            found = who(world, people, "tea", explain=True, **asked)
            assert (len(found), found.ids.size, found.keys.shape) == (0, 0, (0, 2))
            assert found.scores.total.size == found.owners.size == 0
    world, people, _ = society(numbered([Told(agent=0, text="tea")]), "i1")
    assert len(who(world, people, "tea", agents=())) == 0
    assert len(who(world, people, "tea", agents=(1, 2))) == 0
    assert len(who(world, people, "tea", prefix="zz")) == 0
    assert memories_as_text(world, who(world, people, "tea", agents=())) == ""
    approximate(monkeypatch)
    _, world, people, _ = crowd(100)
    indexed(world)
    for query in ("tea", clustered(["tea"])[0]):
        assert len(who(world, people, query, prefix="zz")) == 0


def test_agents_named_twice_count_once():
    """In any order."""
    _, world, people, _ = crowd(90)
    one = who(world, people, "tea", 60, agents=(1, 0))
    assert exact(who(world, people, "tea", 60, agents=(0, 1, 1, 0))) == exact(one)
    assert len(set(one.ids.tolist())) == 60


def test_memories_that_mean_nothing(monkeypatch):
    """A query of zeros, or memories of zeros: cosine 0, and found all the same."""
    _, world, people, _ = crowd(80)
    for large in (False, True):
        if large:
            approximate(monkeypatch)
            indexed(world)
        found = who(world, people, np.zeros(WIDE), 9, exact=not large)
        assert (len(found), found.scores.relevance.tolist()) == (9, [0.5] * 9)


# -- what follows --------------------------------------------------------------------------------


@pytest.mark.parametrize("large", [False, True], ids=["exact", "indexed"])
def test_diversity_keeps_answers_apart(monkeypatch, large):
    """The best comes first all the same; the others are less alike, and k of them."""
    _, world, people, _ = crowd(300)
    if large:
        approximate(monkeypatch)
        indexed(world)

    def likeness(found):
        made = clustered(found.text)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        cosines = made @ made.T
        return cosines[np.triu_indices(len(made), 1)].mean()

    for mode in MODES:
        same = who(world, people, "tea with rain", 8, mode=mode)
        apart = who(world, people, "tea with rain", 8, mode=mode, diversity=0.7)
        assert len(apart) == len(set(apart.ids.tolist())) == 8
        assert apart.scores.total.max() == apart.scores.total[0] == same.scores.total[0]
        assert likeness(apart) < likeness(same) - 0.1


@pytest.mark.parametrize("large", [False, True], ids=["exact", "indexed"])
def test_what_is_accessed_grows_stronger(monkeypatch, large):
    """All that was found, and nothing else, at the next step; from the cache as well."""
    _, world, people, _ = crowd(200)
    if large:
        approximate(monkeypatch)
        indexed(world)
    world.add_system(reinforce)
    before = world.digest()
    who(world, people, "tea", 6)
    assert world.digest() == before
    reader = world.events(Recalled)
    found = who(world, people, "tea", 6, access=True)
    assert reader.read().memory.tolist() == found.ids.tolist()
    ids = world.query(Memory).ids()
    was = dict(zip(ids.tolist(), world.get(ids, Trace.accesses).tolist(), strict=True))
    world.step(0)
    now = dict(zip(ids.tolist(), world.get(ids, Trace.accesses).tolist(), strict=True))
    assert {one for one in was if now[one] > was[one]} == set(found.ids.tolist())
    assert world.get(found.ids, Trace.accessed).tolist() == [NOW] * 6


def test_it_goes_into_a_prompt():
    """`memories_as_text` takes what was found as it is."""
    _, world, people, _ = crowd(60)
    found = who(world, people, "tea with rain", 3)
    lines = memories_as_text(world, found, kinds=True, ages=True).splitlines()
    assert len(lines) == 3
    for line, text in zip(lines, found.text, strict=True):
        assert line.endswith(text)
        assert line.startswith("[20")


@pytest.mark.parametrize("large", [False, True], ids=["exact", "indexed"])
def test_a_system_may_ask(monkeypatch, large):
    """Inside a step, on the thread that runs it, what is found is what is found outside."""
    _, world, people, _ = crowd(200)
    if large:
        approximate(monkeypatch)
        indexed(world)
    told = []

    @system
    def wonder(world: World):
        told.append(who_remembers(world, "cards with votes", 5))

    world.add_system(wonder)
    world.step(0)
    assert exact(told[0]) == exact(who(world, people, "cards with votes", 5))
