"""Search by meaning over a world: never the dead, never the wrong, and exact where it says so."""

import gc
import subprocess
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from populace import World, component, f4, system
from populace.components.embedding import embedding
from populace.ecs.errors import (
    QueryError,
    ResourceError,
    SettingError,
    StructuralChangeError,
    UnknownFieldError,
)
from populace.storage import upkeep
from populace.storage.dots import encode, queries
from populace.storage.exact import VectorColumns
from populace.storage.inverted import trained
from populace.storage.vectors import VectorWarning, vector_index

D = 16
Meaning = embedding(D, "i1")
SMALL = {"flat_below": 300, "tail_limit": 60, "lists": 16, "background": False}


@component
class Marked:
    """Puts an entity into another table."""

    weight: f4 = 0.0


def vectors(n, seed=0, centres=12):
    """n vectors about some centres."""
    draw = np.random.default_rng(seed)
    middle = np.random.default_rng(77).standard_normal((centres, D))
    return middle[draw.integers(0, centres, n)] + 0.5 * draw.standard_normal((n, D))


def remember(world, given, *more, kind=Meaning):
    stored, scale = encode(given, kind.__name__[-2:])
    return world.spawn(len(given), kind(vector=stored, scale=scale), *more)


def naive(world, query, k, among=None, kind=Meaning):
    """The k nearest by comparing with each, one at a time."""
    ids = world.query(kind).ids()
    if among is not None:
        ids = ids[np.isin(ids, among)]
    if not ids.size:
        return [], []
    asked = queries(np.atleast_2d(query))
    cosines = asked.cosines(world.get(ids, kind.vector), world.get(ids, kind.scale))[0]
    order = sorted(range(ids.size), key=lambda i: (-cosines[i], ids[i]))[:k]
    return ids[order].tolist(), cosines[order].tolist()


def assert_exact(world, found, query, k, among=None, kind=Meaning):
    ids, cosines = naive(world, query, k, among, kind)
    assert found.ids.tolist() == ids
    assert found.cosines.tolist() == cosines


@pytest.mark.parametrize("dtype", ["i1", "f2", "f4"])
@pytest.mark.parametrize("dimensions", [1, 16, 37, 256])
def test_a_flat_search_is_that_of_comparing_with_each(dtype, dimensions):
    """To the bit, over several tables, with repeated vectors and vectors of zeros."""
    kind = embedding(dimensions, dtype)
    draw = np.random.default_rng(dimensions)
    given = draw.standard_normal((700, dimensions))
    given[::50] = 0
    given[1::50] = given[1]
    world = World()
    remember(world, given[:300], kind=kind)
    remember(world, given[300:], Marked(), kind=kind)
    index = vector_index(world, kind)
    for query in (given[1], given[5], np.zeros(dimensions), -given[7]):
        for k in (1, 10, 699, 2000):
            found = index.nearest(query, k)
            assert found.stages.way == "flat"
            assert_exact(world, found, query, k, kind=kind)


@pytest.mark.parametrize("k", [1, 7, 40])
def test_many_queries_find_what_each_finds(k):
    """Flat and inverted, with a filter and without; fewer than k are filled up with NOBODY."""
    world = World()
    remember(world, vectors(900))
    asked = queries(vectors(9, seed=3))
    few = world.query(Meaning).ids()[::300]
    for flat_below in (10_000, 300):
        index = vector_index(world, Meaning, **{**SMALL, "flat_below": flat_below})
        for allowed in (None, few, world.query(Meaning).ids()[::2]):
            together = index.nearest_to_each(asked, k, allowed=allowed)
            assert together.ids.shape == (9, min(k, 900 if allowed is None else allowed.size))
            for q in range(9):
                alone = index.nearest(asked.unit_qd[q], k, allowed=allowed)
                filled = together.ids[q] != 0
                assert together.ids[q][filled].tolist() == alone.ids.tolist()
                assert together.cosines[q][filled].tolist() == alone.cosines.tolist()
        index.close()


class VectorMachine(RuleBasedStateMachine):
    """Memories come and go, slots are used again, the index folds and clears; beside it, all that
    is there, compared one by one."""

    @initialize(n=st.integers(0, 600))
    def begin(self, n):
        self.world = World()
        self.index = vector_index(self.world, Meaning, **SMALL)
        self.seed = 0
        if n:
            remember(self.world, vectors(n))

    def draw(self):
        self.seed += 1
        return np.random.default_rng(self.seed)

    def some(self, share):
        ids = self.world.query(Meaning).ids()
        return ids[self.draw().random(ids.size) < share]

    @rule(n=st.integers(1, 250), marked=st.booleans())
    def spawn(self, n, marked):
        remember(self.world, vectors(n, seed=self.seed), *([Marked()] if marked else []))

    @rule(n=st.integers(1, 60))
    def spawn_the_same(self, n):
        remember(self.world, np.repeat(vectors(1, seed=self.seed % 3), n, axis=0))

    @rule(share=st.sampled_from([0.02, 0.3, 0.95]))
    def despawn(self, share):
        self.world.despawn(self.some(share))

    @rule(share=st.sampled_from([0.02, 0.3]))
    def change_meaning(self, share):
        """By removing the component and adding it anew."""
        ids = self.some(share)
        if ids.size:
            self.world.remove(ids, Meaning)
            stored, scale = encode(vectors(ids.size, seed=self.seed + 500), "i1")
            self.world.add(ids[::2], Meaning(vector=stored[::2], scale=scale[::2]))
            self.world.despawn(ids[1::4])

    @rule()
    def spawn_without(self):
        """Slots go to entities without a vector."""
        self.world.spawn(20, Marked())

    @rule(k=st.integers(1, 60))
    def search(self, k):
        """All found are there, at the cosine that they have, and as many as there are."""
        query = vectors(1, seed=self.seed + 900)[0]
        found = self.index.nearest(query, k)
        self.check(found, query, k, None)

    @rule(k=st.integers(1, 30), share=st.sampled_from([0.01, 0.2, 0.8]))
    def search_some(self, k, share):
        """None but what is allowed."""
        query = vectors(1, seed=self.seed + 900)[0]
        allowed = self.some(share)
        gone = allowed[::7]
        self.world.remove(gone, Meaning)
        found = self.index.nearest(query, k, allowed=self.index.allow(allowed))
        assert np.isin(found.ids, allowed).all()
        self.check(found, query, k, allowed)

    def check(self, found, query, k, allowed):
        ids, cosines = naive(self.world, query, 10**6, allowed)
        true = dict(zip(ids, cosines, strict=True))
        assert found.ids.size == min(k, len(ids))
        assert found.cosines.tolist() == [true[i] for i in found.ids.tolist()]
        order = list(zip(-found.cosines, found.ids.tolist(), strict=True))
        assert order == sorted(order)
        if found.stages.way != "inverted":
            assert found.ids.tolist() == ids[:k]
        self.index.labels.check()
        self.world.check()

    @rule()
    def rebuild(self):
        self.index.rebuild()

    @invariant()
    def counts(self):
        if hasattr(self, "index"):
            assert self.index.state().live == self.world.query(Meaning).count()


def test_what_is_found_is_there():
    """After any sequence of spawns, despawns, removals and re-additions."""
    run_state_machine_as_test(
        VectorMachine,
        settings=settings(settings.default, max_examples=40, stateful_step_count=25),
    )


def test_the_inverted_file_finds_most_of_the_nearest():
    """At least the share that it was tuned for, less what chance allows, also after folding."""
    world = World()
    remember(world, vectors(9000))
    index = vector_index(world, Meaning, flat_below=1000, background=False, lists=64)
    found = 0
    for seed in range(60):
        if seed % 20 == 10:
            remember(world, vectors(2500, seed=seed))
            world.despawn(world.query(Meaning).ids()[::4])
        query = vectors(1, seed=1000 + seed)[0]
        got = index.nearest(query, 10)
        assert got.stages.way == "inverted"
        found += np.isin(got.ids, naive(world, query, 10)[0]).sum()
    assert found >= 0.9 * 600
    assert index.state().recall >= 0.96
    assert index.state().dead <= 0.05 * 15_000


def test_an_index_in_the_foreground_depends_on_what_happened_alone():
    """Two worlds of the same history find the same, approximate as it is."""

    def history():
        world = World()
        index = vector_index(world, Meaning, **SMALL)
        found = []
        for seed in range(12):
            remember(world, vectors(100, seed=seed))
            world.despawn(world.query(Meaning).ids()[seed::11])
            found.append(index.nearest(vectors(1, seed=seed + 50)[0], 20).ids.tolist())
        return found

    assert history() == history()


def test_the_dead_are_taken_out_and_new_ones_folded_in():
    """So that neither grows without end."""
    world = World()
    remember(world, vectors(1000))
    index = vector_index(world, Meaning, **SMALL)
    for seed in range(10):
        index.wait()
        state = index.state()
        assert state.dead <= 0.05 * 1000
        assert state.tail <= SMALL["tail_limit"]
        assert len(index.main) == state.live - state.tail + state.dead
        world.despawn(world.query(Meaning).ids()[seed::10])
        remember(world, vectors(100, seed=seed))


def test_few_memories_need_no_index():
    """The inverted file goes when most memories have."""
    world = World()
    ids = remember(world, vectors(1000))
    index = vector_index(world, Meaning, **SMALL)
    index.wait()
    assert index.state().lists == 16
    world.despawn(ids[100:])
    index.wait()
    assert index.state().lists == 0
    assert index.nearest(vectors(1)[0], 10).stages.way == "flat"


def test_it_is_trained_anew_when_the_world_talks_of_something_else():
    """New vectors far from every centroid, and enough of them."""
    world = World()
    draw = np.random.default_rng(3)
    remember(world, np.abs(draw.standard_normal((3000, D))))
    index = vector_index(world, Meaning, flat_below=1000, background=False, lists=16)
    index.wait()
    before = index.main
    remember(world, np.abs(draw.standard_normal((2100, D))))
    index.wait()
    assert index.main is before
    remember(world, -np.abs(draw.standard_normal((2100, D))))
    index.wait()
    assert index.main is not before


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.5, 1.0])
def test_a_filter_leaves_as_many_as_qualify(share):
    """k of them, whenever there are k, and of few the exact ones."""
    world = World()
    ids = remember(world, vectors(4000))
    index = vector_index(world, Meaning, **{**SMALL, "lists": 64})
    index.wait()
    allowed = np.random.default_rng(1).permutation(ids)[: int(share * ids.size)]
    for seed in range(10):
        query = vectors(1, seed=seed)[0]
        found = index.nearest(query, 20, allowed=allowed)
        assert found.ids.size == min(20, allowed.size)
        assert np.isin(found.ids, allowed).all()
        if found.stages.way == "gathered":
            assert_exact(world, found, query, 20, allowed)


def test_a_filter_that_the_inverted_file_cannot_serve_is_served_exactly():
    """All that is allowed lies in lists that are not looked into."""
    world = World()
    ids = remember(world, vectors(1000))
    index = vector_index(world, Meaning, **SMALL)
    index.wait()
    query = vectors(1, seed=4)[0]
    far = np.array(naive(world, query, 1000)[0][-400:], np.uint64)
    found = index.nearest(query, 10, allowed=far, probes=1)
    assert found.stages.fell_back
    assert_exact(world, found, query, 10, far)
    assert np.isin(ids, far).sum() == 400


def test_what_was_allowed_may_die():
    """What `allow` made is looked up again; a label that another has since is not taken for it."""
    world = World()
    ids = remember(world, vectors(1000))
    index = vector_index(world, Meaning, **SMALL)
    allowed = index.allow(ids[:200])
    assert index.nearest(vectors(1)[0], 300, allowed=allowed).ids.size == 200
    world.despawn(ids[:150])
    index.wait()
    remember(world, vectors(400, seed=1))
    found = index.nearest(vectors(1)[0], 300, allowed=allowed)
    assert sorted(found.ids.tolist()) == sorted(ids[150:200].tolist())


@pytest.fixture
def quick(monkeypatch):
    """An inverted file counts as quicker than comparing with all, however few there are."""
    monkeypatch.setattr(upkeep, "seconds_a_search", lambda *arguments: 0.0)


def test_the_background_keeps_up_with_a_world_that_steps(quick):
    """Searches within and between steps find what is there; nobody waits for ever."""
    world = World()
    remember(world, vectors(2000))
    index = vector_index(world, Meaning, flat_below=700, tail_limit=50, lists=32)
    seen = []

    @system
    def look():
        found = index.nearest(vectors(1, seed=len(seen))[0], 10)
        seen.append(found.ids)
        assert world.alive(found.ids).all()

    world.add_system(look)
    for step in range(40):
        remember(world, vectors(100, seed=step))
        world.despawn(world.query(Meaning).ids()[step % 7 :: 20])
        world.step(1)
        found = index.nearest(vectors(1, seed=step)[0], 10)
        assert world.alive(found.ids).all()
        assert found.ids.size == 10
        index.labels.check()
    index.wait()
    index.labels.check()
    assert len(seen) == 40
    assert index.state().tail <= 50
    assert not index.state().busy
    index.close()


def test_systems_on_several_threads_search():
    """A thread that works for a step cannot wait for the step's moment, and need not."""
    world = World(threads=2)
    remember(world, vectors(1500))
    index = vector_index(world, Meaning, **SMALL)
    got = {}

    @system
    def one():
        got["one"] = index.nearest(vectors(1)[0], 10).ids.tolist()

    @system
    def other():
        got["other"] = index.nearest(vectors(1)[0], 10).ids.tolist()

    world.add_systems(one, other)
    worker = threading.Thread(target=world.step, args=(1,))
    worker.start()
    worker.join(60)
    assert not worker.is_alive()
    assert got["one"] == got["other"]


def test_a_step_cannot_wait_for_the_background():
    """It would wait for the step."""
    world = World()
    remember(world, vectors(500))
    index = vector_index(world, Meaning)

    @system
    def wait():
        index.wait()

    world.add_system(wait)
    with pytest.raises(StructuralChangeError, match="between steps"):
        world.step(1)


@pytest.mark.parametrize("background", [True, False])
def test_a_fault_of_the_background_is_told_once(monkeypatch, quick, background):
    """Searches are exact from then on, until `rebuild` tries again."""
    world = World()
    remember(world, vectors(2000))

    def fails(*arguments):
        raise MemoryError("no more")

    monkeypatch.setattr(upkeep, "trained", fails)
    index = vector_index(world, Meaning, **{**SMALL, "background": background})
    query = vectors(1, seed=8)[0]
    if background:
        index.wait()
    with pytest.warns(VectorWarning, match="MemoryError: no more.*rebuild"):
        index.nearest(query, 10)
    remember(world, vectors(300, seed=2))
    assert_exact(world, index.nearest(query, 10), query, 10)
    assert index.state().failure == "MemoryError: no more"
    monkeypatch.setattr(upkeep, "trained", trained)
    index.rebuild()
    index.wait()
    assert index.state().failure == ""
    assert index.state().lists == 16
    index.close()


def test_a_fault_while_folding_loses_nothing(monkeypatch):
    """The inverted file goes, since nobody knows what is in it."""
    world = World()
    remember(world, vectors(2000))
    index = vector_index(world, Meaning, **SMALL)
    index.wait()

    def fails(*arguments):
        raise MemoryError("no more")

    monkeypatch.setattr(type(index.main), "add", fails)
    remember(world, vectors(300, seed=2))
    query = vectors(1, seed=8)[0]
    with pytest.warns(VectorWarning):
        found = index.nearest(query, 10)
    assert_exact(world, found, query, 10)
    index.labels.check()


def test_an_index_is_made_once():
    """With the options that it was made with; after `close` another is made."""
    world = World()
    index = vector_index(world, Meaning, tail_limit=70)
    assert vector_index(world, Meaning) is index
    assert vector_index(world, Meaning, tail_limit=70) is index
    with pytest.raises(ResourceError, match="tail_limit=70, not 80"):
        vector_index(world, Meaning, tail_limit=80)
    assert vector_index(World(), Meaning) is not index
    index.close()
    index.close()
    with pytest.raises(ResourceError, match="is closed"):
        index.nearest(np.ones(D), 1)
    assert vector_index(world, Meaning, tail_limit=80) is not index


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recall": 0}, "recall"),
        ({"dead_share": 1}, "dead_share"),
        ({"lists": 0}, "1 to 4,096 lists"),
        ({"tail_limit": -1}, "tail_limit"),
        ({"colour": 1}, "no option 'colour'; it has flat_below"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    """The message says what is allowed."""
    with pytest.raises(SettingError, match=message):
        vector_index(World(), Meaning, **options)


def test_questions_that_make_no_sense_are_refused():
    """Of other dimensions, for no memories, several at once where one is asked."""
    world = World()
    index = vector_index(world, Meaning)
    for k in (0, -1, 1.5, True):
        with pytest.raises(QueryError, match="k is a whole number"):
            index.nearest(np.ones(D), k)
    with pytest.raises(QueryError, match="has 16 dimensions, the query has 3"):
        index.nearest(np.ones(3), 1)
    with pytest.raises(QueryError, match="nearest_to_each"):
        index.nearest(np.ones((2, D)), 1)
    with pytest.raises(UnknownFieldError, match="Marked has no vectors"):
        vector_index(world, Marked)


def test_an_empty_world_remembers_nothing():
    """And nobody is at fault."""
    world = World()
    index = vector_index(world, Meaning, flat_below=0, background=False)
    assert index.nearest(np.ones(D), 5).ids.size == 0
    assert index.nearest_to_each(np.ones((2, D)), 5).ids.shape == (2, 0)
    ids = remember(world, vectors(3))
    assert index.nearest(np.ones(D), 5).ids.size == 3
    assert index.nearest(np.ones(D), 5, allowed=ids[:0]).ids.size == 0
    world.despawn(ids)
    assert index.nearest(np.ones(D), 5).ids.size == 0


def test_an_index_keeps_no_world_alive():
    """Neither does its thread."""
    world = World()
    remember(world, vectors(2000))
    vector_index(world, Meaning, flat_below=500, lists=32)
    gone = weakref.ref(world)
    del world
    for _ in range(200):
        gc.collect()
        if gone() is None:
            break
        threading.Event().wait(0.05)
    assert gone() is None


def test_queries_shared_out_among_threads_find_the_same():
    """Each what it finds alone, in its own place."""
    world = World()
    remember(world, vectors(4000))
    index = vector_index(world, Meaning, **{**SMALL, "lists": 64})
    asked = queries(vectors(101, seed=3))
    together = index.nearest_to_each(asked, 5)
    assert together.stages.way == "inverted"
    for q in range(101):
        assert together.ids[q].tolist() == index.nearest(asked.unit_qd[q], 5).ids.tolist()


def test_a_program_may_end_while_an_index_is_built():
    """The thread is told to stop, and the program ends as it would have."""
    program = """
import numpy as np
from populace import World
from populace.components.embedding import Embedding
from populace.storage.dots import encode
from populace.storage.vectors import vector_index
world = World()
stored, scale = encode(np.random.default_rng(0).standard_normal((20_000, 256)), "i1")
world.spawn(20_000, Embedding(vector=stored, scale=scale))
index = vector_index(world, Embedding, flat_below=1000, lists=512)
assert index.state().busy
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_read_is_what_is_stored():
    """Vectors and scales by id, in the order asked, over tables."""
    world = World()
    ids = np.concatenate([remember(world, vectors(50)), remember(world, vectors(50, 1), Marked())])
    ids = np.random.default_rng(0).permutation(ids)
    stored, scale = VectorColumns(Meaning).read(world, ids)
    assert np.array_equal(stored, world.get(ids, Meaning.vector))
    assert np.array_equal(scale, world.get(ids, Meaning.scale))


def test_searching_warns_of_nothing():
    """Whatever FAISS thinks of few training vectors."""
    world = World()
    remember(world, vectors(400))
    index = vector_index(world, Meaning, flat_below=100, background=False, lists=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert index.nearest(np.ones(D), 5).ids.size == 5
