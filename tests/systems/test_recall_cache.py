"""The cache of recall: what it gives is what would be found anew, whatever has happened since."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from populace.components import Memory, Persona, Pinned, Recalled, Statement, Trace
from populace.components.embedding import embedding
from populace.ecs import NOBODY, Read, World, Write, hours, kernel, system
from populace.storage.dots import encode
from populace.systems import RecallScore, reinforce
from populace.systems import recall_cache as recall_cache_module
from populace.systems.asking import MOST_KEY_BYTES
from populace.systems.embedders import CallableEmbedder
from populace.systems.embedding import Embeddings, attach_embedder, embed
from populace.systems.recall_cache import HITS, MISSES, recall_cache
from populace.systems.recollection import recall
from populace.systems.society_recall import who_remembers

from .naive_recall import (
    AGENTS,
    DIMENSIONS,
    MEANING,
    NOW,
    SAID,
    Starred,
    Told,
    exact,
    meaning,
    numbered,
    spawn,
    world_of,
)

Embedding = embedding(DIMENSIONS, "i1")
QUESTIONS = (
    ("rain", {}),
    ("What does Ann read?", {"k": 3, "importance": 0.3}),
    (None, {"k": 4, "unexpired": True}),
    ("tea", {"k": 5, "diversity": 0.3, "without": Pinned}),
    (["tea", "red", "Ann"], {"with_": Starred, "since": NOW - hours(50)}),
    ("cold tea", {"k": 2, "phrase": "tea", "kinds": (0, 1), "mode": "words"}),
    (meaning(["tea"])[0], {"k": 3}),
)
ASKED = [{"query": query, **options} for query, options in QUESTIONS]


@system
def touch(trace: Write[Trace]):
    trace.accessed[::2] -= hours(1)


@kernel
def weaken(trace: Write[Trace], memory: Read[Memory]):
    """importance shrinks, and most in memories of kind 0."""
    trace.importance = trace.importance * (0.5 if memory.kind == 0 else 0.9)


def looks(world):
    """(hits, misses) so far."""
    return world.telemetry.looks.get(HITS, 0), world.telemetry.looks.get(MISSES, 0)


def anew(world, people, **asked):
    """What is found without the cache, which is left as it was."""
    cache = recall_cache(world)
    kept, state = cache._kept.copy(), cache._state
    cache._kept.clear()
    try:
        return recall(world, people, **asked)
    finally:
        cache._kept, cache._state = kept, state


def some(n=12, agents=AGENTS, **options):
    """A world of n memories."""
    return world_of(
        numbered(
            Told(agent=k % agents, age_h=3 * k, idle_h=2 * k, text=SAID[k % 7], importance=k / n)
            for k in range(n)
        ),
        **options,
    )


class Changing(RuleBasedStateMachine):
    """Whatever changes a world, between one question and the same once more."""

    @initialize(seed=st.integers(0, 9))
    def begin(self, seed):
        self.draw = np.random.default_rng(seed)
        self.world, self.people, _ = some(30, dtype="i1")
        self.next = 100
        self.column = None

    def ids(self, share=0.3):
        """Some memories."""
        ids = np.sort(self.world.query(Memory).ids())
        return ids[self.draw.random(ids.size) < share]

    @rule(n=st.integers(1, 5), starred=st.booleans(), stated=st.booleans())
    def spawned(self, n, starred, stated):
        spawn(self.world, self.people, [
            Told(agent=int(self.draw.integers(AGENTS)), sequence=self.next + k, age_h=k,
                 starred=starred, stated=stated, expires_h=1, text=SAID[k])
            for k in range(n)
        ])  # fmt: skip
        self.next += n

    @rule()
    def despawned(self):
        self.world.despawn(self.ids(0.1))

    @rule(cls=st.sampled_from([Pinned, Starred, Statement]))
    def tagged(self, cls):
        ids = self.ids()
        ids = ids[~self.world.has(ids, cls)]
        self.world.add(ids, cls)

    @rule(cls=st.sampled_from([Pinned, Starred, Statement]))
    def untagged(self, cls):
        ids = self.ids(0.6)
        self.world.remove(ids[self.world.has(ids, cls)], cls)

    @rule()
    def viewed(self):
        for trace in self.world.query(Trace, with_=Memory):
            trace.importance[0] = self.draw.random()

    @rule()
    def viewed_memory(self):
        for memory in self.world.query(Memory):
            memory.created[-1] -= hours(1)

    @rule()
    def held(self):
        """A writable column stays in somebody's hands, and is written later."""
        for trace in self.world.query(Trace, with_=Memory):
            self.column = trace.accessed

    @rule()
    def written_late(self):
        if self.column is not None and self.column.flags.writeable and self.column.size:
            self.column[0] -= hours(2)

    @rule()
    def dropped(self):
        self.column = None

    @rule(text=st.sampled_from(SAID))
    def said(self, text):
        self.world.set(self.ids(), Memory(text=text))

    @rule()
    def owned(self):
        self.world.set(self.ids(0.1), Memory(owner=self.people[self.draw.integers(AGENTS)]))

    @rule(importance=st.sampled_from([0.0, 0.5, 1.0]))
    def placed(self, importance):
        for part in self.world.at(self.ids()):
            part.write(Trace.importance)[part.rows] = importance

    @rule()
    def expired(self):
        ids = self.ids(0.6)
        self.world.set(ids[self.world.has(ids, Statement)], Statement(expires=NOW))

    @rule(number=st.integers(20, 30))
    def renumbered(self, number):
        self.world.set(self.people[:1], Persona(number=number))

    @rule(law=st.sampled_from([touch, weaken, reinforce]))
    def stepped(self, law):
        if law.__name__ not in self.world.schedule.entries:
            self.world.add_system(law)
        self.world.step(0)

    @rule(h=st.integers(1, 3))
    def passed(self, h):
        self.world.step(hours(h))

    @rule()
    def moved(self):
        self.world.clock.now += hours(1)

    @rule()
    def recalled(self):
        ids = self.ids()
        self.world.emit(Recalled(memory=ids, time=self.world.clock.now))

    @rule()
    def forgot_meaning(self):
        ids = self.ids()
        self.world.remove(ids[self.world.has(ids, Embedding)], Embedding)

    @rule(replace=st.booleans())
    def meant(self, replace):
        embed(self.world, self.ids(), replace=replace)

    @rule()
    def clustered(self):
        self.world.cluster(Memory.owner)

    @rule(w=st.integers(0, 2))
    def weighed(self, w):
        self.world.insert(RecallScore(w_relevance=w), replace=True)

    @invariant()
    def same(self):
        if not hasattr(self, "world"):
            return
        for asked in ASKED:
            first = recall(self.world, self.people, **asked)
            hits = looks(self.world)[0]
            again = recall(self.world, self.people, **asked)
            # A column in somebody's hands may have been written since.
            assert self.column is not None or looks(self.world)[0] == hits + 1
            want = anew(self.world, self.people, **asked)
            assert exact(first) == exact(again) == exact(want)
            assert first.ids.tolist() == again.ids.tolist() == want.ids.tolist()


def test_a_hit_is_what_would_be_found_anew():
    """Any sequence of changes: asked, asked again and asked anew are the same to the bit."""
    run_state_machine_as_test(Changing, settings=examples(max_examples=50, stateful_step_count=30))


def test_hits_are_counted():
    """The first is found anew, the same again is not, another question is; nothing of it is part
    of the world."""
    world, people, _ = some()
    digest = world.digest()
    for asked in ({}, {"k": 3}, {"query": "tea"}, {"query": "tea", "importance": 0.2}):
        before = looks(world)
        recall(world, people, **asked)
        assert looks(world) == (before[0], before[1] + 1)
        recall(world, people, **asked)
        assert looks(world) == (before[0] + 1, before[1] + 1)
    assert len(recall_cache(world)) == 4
    assert world.digest() == digest
    assert world.telemetry.counts == {}
    other, _, _ = some()
    assert len(recall_cache(other)) == 0


DIFFERENT = [
    {"query": "tea"}, {"query": "rain"}, {"query": ["tea", "rain", "tea"]},
    {"query": ["rain", "tea", "rain"]}, {"query": ["tea", "rain", "rain"]},
    {"query": "tea", "mode": "words"}, {"query": "tea", "mode": "vectors"},
    {"query": meaning(["tea"])[0]}, {"query": meaning(["tea", "rain", "tea"])}, {}, {"k": 3},
    {"kinds": "event"}, {"kinds": "thought"}, {"since": NOW - hours(9)}, {"until": NOW - hours(9)},
    {"importance": 0.5}, {"unexpired": True}, {"with_": Starred}, {"without": Starred},
    {"phrase": "tea"}, {"prefix": "tea"}, {"diversity": 0.5}, {"diversity": 1.0},
    {"law": RecallScore(w_recency=0)}, {"law": RecallScore(base=0.5)},
]  # fmt: skip


def test_different_questions_are_kept_apart():
    """Each parameter counts; so do who is asked, and in which order."""
    world, people, _ = some(40, dtype="i1")
    world.add(world.query(Memory).ids()[::3], Starred)
    first = [exact(recall(world, people, **asked)) for asked in DIFFERENT]
    assert looks(world) == (0, len(DIFFERENT))
    assert [exact(recall(world, people, **asked)) for asked in DIFFERENT] == first
    assert [exact(anew(world, people, **asked)) for asked in DIFFERENT] == first
    for who in (people[::-1], people[:2], people[[0, 0, 1]]):
        assert exact(recall(world, who, "tea")) == exact(anew(world, who, query="tea"))


def test_what_is_returned_cannot_corrupt_it():
    """Arrays refuse to be written, the list is the caller's own; so are the ids that were given."""
    world, people, _ = some()
    given = people.copy()
    first = recall(world, given, "tea")
    want, ids = exact(first), first.ids.tolist()
    again = recall(world, given, "tea")
    for found in (first, again):
        found.text[0] = "something else"
        for array in (
            found.agents, found.offsets, found.keys, found.ids, found.created, found.kind,
            found.archived, found.scores.total, found.scores.relevance,
        ):  # fmt: skip
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    assert given.flags.writeable
    given[:] = NOBODY
    last = recall(world, people, "tea")
    assert (exact(last), last.ids.tolist()) == (want, ids)
    assert last.agents.tolist() == people.tolist()


def test_a_part_of_an_array_of_ids_is_copied():
    """Who gives a slice may write to the whole afterwards."""
    world, people, _ = some()
    given = people.copy()
    recall(world, given[:2], "tea")
    given[:] = NOBODY
    assert recall(world, people[:2], "tea").agents.tolist() == people[:2].tolist()


def test_what_is_too_large_is_not_kept():
    """Thousands of agents, or a long text: found anew each time."""
    world, people, _ = some()
    many = np.tile(people, MOST_KEY_BYTES // (8 * AGENTS) + 1)
    for who, query in ((many, "tea"), (people, "tea " * MOST_KEY_BYTES)):
        assert exact(recall(world, who, query)) == exact(recall(world, who, query))
    assert (len(recall_cache(world)), looks(world)[0]) == (0, 0)


def test_the_oldest_goes_first():
    """`entries` at most; what was asked lately stays; 0 keeps none."""
    world, people, _ = some()
    cache = recall_cache(world)
    cache.entries = 2
    for query in ("tea", "rain", "tea", "red"):
        recall(world, people, query)
    assert (len(cache), looks(world)) == (2, (1, 3))
    recall(world, people, "tea")
    assert looks(world) == (2, 3)
    recall(world, people, "rain")
    assert looks(world) == (2, 4)
    cache.entries = 0
    recall(world, people, "rain")
    recall(world, people, "rain")
    assert looks(world)[0] == 2


def test_the_archive_is_asked_anew():
    """What lies on disk may have changed."""
    world, people, _ = some()
    for _ in range(2):
        recall(world, people, "tea", archived=True)
    assert (len(recall_cache(world)), looks(world)[0]) == (0, 0)


def test_a_hit_counts_as_recalled_too():
    """`access` does what it does, however the answer was found."""
    world, people, _ = some()
    reader = world.events(Recalled)
    first = recall(world, people, "tea", access=True)
    again = recall(world, people, "tea", access=True)
    assert looks(world) == (1, 1)
    assert reader.read().memory.tolist() == [*first.ids.tolist(), *again.ids.tolist()]


def test_the_plan_says_so():
    """The way, and the stages with how many were left after each; only where it was asked for."""
    world, people, _ = some(30)
    assert recall(world, people, "tea").plan is None
    kept = recall(world, people, "tea", explain=True).plan
    assert (kept.path, kept.stages[-1].candidates) == ("cache", 30)
    plan = recall(world, people, "rain", k=3, importance=0.5, prefix="r", explain=True).plan
    assert plan.path == "owner slice"
    left = {stage.name: stage.candidates for stage in plan.stages}
    assert left["question, owner slice"] == 30
    texts = [SAID[k % 7] for k in range(30)]
    begins = [any(w.startswith("r") for w in t.lower().split()) for t in texts]
    assert left["phrase, prefix"] == sum(begins)
    assert left["filters, score, best"] == sum(begins[15:])
    assert plan.seconds == sum(stage.seconds for stage in plan.stages) > 0
    assert "owner slice" in str(plan)
    assert "phrase, prefix" in str(plan)
    assert recall(world, people, "rain", k=3, importance=0.5, prefix="r").plan is None


def other_meaning(texts):
    """Another embedder that says it is the same."""
    return -meaning(texts)


def test_an_embedder_that_comes_later_is_heard():
    """Memories have vectors of their own; the texts of questions, only from then on."""
    world, people, ids = some()
    stored, scale = encode(np.random.default_rng(3).normal(size=(12, DIMENSIONS)), "i1")
    world.add(ids, Embedding(vector=stored, scale=scale))
    recall(world, people, "tea")
    attach_embedder(world, MEANING, embedding=False)
    assert exact(recall(world, people, "tea")) == exact(anew(world, people, query="tea"))
    other = CallableEmbedder(other_meaning, "meaning", DIMENSIONS)
    attach_embedder(world, other, embedding=False)
    assert exact(recall(world, people, "tea")) == exact(anew(world, people, query="tea"))


def test_a_vector_of_a_kind_that_is_named_later():
    """`Embeddings` says which of two a question is compared with."""
    world, people, ids = some()
    draw = np.random.default_rng(4)
    for dtype in ("i1", "f4"):
        stored, scale = encode(draw.normal(size=(12, DIMENSIONS)), dtype)
        world.add(ids, embedding(DIMENSIONS, dtype)(vector=stored, scale=scale))
    query = meaning(["tea"])[0]
    for dtype in ("i1", "f4"):
        law = Embeddings(embedder="mine", dimensions=DIMENSIONS, dtype=dtype)
        world.insert(law, replace=True)
        assert exact(recall(world, people, query)) == exact(anew(world, people, query=query))


def test_it_goes_with_its_world():
    """Another world has another, and nothing keeps one alive."""
    world = World()
    assert recall_cache(world) is recall_cache(world)
    assert recall_cache(World()) is not recall_cache(world)


# -- what is kept dies with its world, and stays small ---------------------------------------------


def test_a_world_that_was_asked_dies():
    """Neither caches nor tables nor answers keep it alive."""
    world, people, _ = some(dtype="i1")
    recall(world, people, "tea")
    who_remembers(world, "tea")
    gone = weakref.ref(world)
    del world
    gc.collect()
    assert gone() is None


def test_large_answers_and_many_filters_are_not_kept(monkeypatch):
    """A cache is of many small answers, and of the candidates of a few filters."""
    monkeypatch.setattr(recall_cache_module, "MOST_MEMORIES", 3)
    world, people, _ = some()
    for _ in range(2):
        recall(world, people[:1], "tea", k=4)
        recall(world, people[:1], "tea", k=3)
    assert looks(world) == (1, 3)
    for since in range(20):
        who_remembers(world, "tea", k=2, since=since)
    assert len(recall_cache(world)._rows) == recall_cache_module.MOST_ROWS
