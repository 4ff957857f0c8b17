"""Search by meaning over a world: never the dead, never the wrong, and exact where it says so."""

import contextlib
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
from populace.storage import vectors as vectors_module
from populace.storage.dots import encode, queries
from populace.storage.exact import VectorColumns, best_of_rows
from populace.storage.inverted import trained
from populace.storage.vectors import VectorWarning, vector_index

D = 16
Meaning = embedding(D, "i1")
COME_AND_GO = 1_000_000
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

    @rule(kind=st.sampled_from(["add", "remove", "despawn"]))
    def fail(self, kind):
        """Somebody's observer raises: what is to be despawned stays, what is spawned is there."""

        def fails(world, ids):
            raise ValueError("no")

        observer = self.world.observe(kind, Meaning, fails)
        with contextlib.suppress(ValueError):
            self.spawn(20, marked=False)
        with contextlib.suppress(ValueError):
            self.despawn(0.3)
        observer.cancel()
        self.search(k=10)

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


def two_threads():
    """A world that runs every stage of several systems on threads of their own."""
    world = World(threads=2)
    world.parallel_rows = 0
    return world


@pytest.mark.parametrize("background", [True, False])
def test_systems_that_run_side_by_side_do_not_search(background):
    """They cannot wait for the step's moment: an error says how, and nothing waits for ever."""
    world = two_threads()
    remember(world, vectors(1500))
    index = vector_index(world, Meaning, **{**SMALL, "background": background})
    query = vectors(1)[0]
    attempts = [
        lambda: index.nearest(query, 10),
        lambda: index.nearest_to_each(query[None], 10),
        lambda: vector_index(world, Meaning),
        index.close,
        index.wait,
    ]
    told = []

    def tried():
        for attempt in attempts:
            with pytest.raises(StructuralChangeError, match=r"`world: World`|between steps"):
                attempt()
        told.append(threading.get_ident())

    @system
    def one():
        tried()

    @system
    def other():
        tried()

    world.add_systems(one, other)
    worker = threading.Thread(target=world.step, args=(1,), daemon=True)
    worker.start()
    worker.join(60)
    assert not worker.is_alive()
    assert len(told) == 2
    assert worker.ident not in told
    assert index.nearest(query, 10).ids.size == 10
    index.close()


def test_systems_that_have_the_whole_world_search():
    """Each runs alone, and finds what is found between steps."""
    world = two_threads()
    remember(world, vectors(1500))
    index = vector_index(world, Meaning, **SMALL)
    got = []

    @system
    def one(world: World):
        got.append(index.nearest(vectors(1)[0], 10).ids.tolist())

    @system
    def other(world: World):
        got.append(vector_index(world, Meaning).nearest(vectors(1)[0], 10).ids.tolist())

    world.add_systems(one, other)
    world.step(1)
    assert got == [index.nearest(vectors(1)[0], 10).ids.tolist()] * 2


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


@pytest.mark.parametrize("background", [True, False])
def test_no_faiss_is_a_fault_like_any_other(monkeypatch, background):
    """Nobody waits for ever; searches are exact."""

    def fails():
        raise ImportError("no faiss here")

    monkeypatch.setattr(upkeep, "one_thread", fails)
    world = World()
    remember(world, vectors(1000))
    index = vector_index(world, Meaning, **{**SMALL, "background": background})
    waiting = threading.Thread(target=index.upkeep.wait, daemon=True)
    waiting.start()
    waiting.join(30)
    assert not waiting.is_alive()
    query = vectors(1, seed=8)[0]
    with pytest.warns(VectorWarning, match="no faiss here"):
        found = index.nearest(query, 10)
    assert_exact(world, found, query, 10)
    assert not index.state().busy
    index.close()


def test_no_more_threads_is_a_fault_like_any_other(monkeypatch):
    """Whoever remembers something does not hear of it."""

    def fails(self):
        raise RuntimeError("can't start new thread")

    world = World()
    index = vector_index(world, Meaning, **{**SMALL, "background": True})
    monkeypatch.setattr(threading.Thread, "start", fails)
    remember(world, vectors(1000))
    index.wait()
    with pytest.warns(VectorWarning, match="can't start"):
        assert index.nearest(vectors(1)[0], 10).ids.size == 10


def test_a_fault_keeps_no_world_alive():
    """Nor the errors that led to it."""
    world = World()
    remember(world, vectors(1000))
    index = vector_index(world, Meaning, **{**SMALL, "background": True, "flat_below": 2000})
    read = index.columns.read

    def fails(world, ids):
        try:
            read(world, None)
        except AttributeError as error:
            raise MemoryError("no more") from error

    index.columns.read = fails
    remember(world, vectors(1500))
    index.wait()
    assert index.state().failure == "MemoryError: no more"
    gone = weakref.ref(world)
    del world
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("left", [0, 1, 10, 100])
def test_most_may_die_while_an_index_is_built(monkeypatch, left):
    """At any point of it; then there is none, and nobody is at fault."""
    for moment in ("_read_all", "_truth", "_choose"):
        world = World()
        ids = remember(world, vectors(1000))
        index = vector_index(world, Meaning, **SMALL)
        real = getattr(index.upkeep, moment)

        def dying(*arguments, world=world, ids=ids, real=real, **named):
            if world.query(Meaning).count() == 1000:
                world.despawn(ids[left:])
            return real(*arguments, **named)

        monkeypatch.setattr(index.upkeep, moment, dying)
        query = vectors(1, seed=8)[0]
        found = index.nearest(query, 20)
        assert index.state().failure == ""
        assert index.state().lists == 0
        assert_exact(world, found, query, 20)
        index.labels.check()


def test_fewer_than_it_has_lists_end_an_index():
    """Also if it is to be trained anew for another reason."""
    world = World()
    ids = remember(world, vectors(1000))
    index = vector_index(world, Meaning, **{**SMALL, "flat_below": 20, "lists": 200})
    index.wait()
    assert index.state().lists == 200
    world.despawn(ids[100:])
    index.rebuild()
    index.wait()
    assert index.state().lists == 0
    assert index.nearest(vectors(1)[0], 10).stages.way == "flat"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["add", "remove", "despawn"])
def test_an_observer_that_raises_leaves_the_index_right(kind, after):
    """Whether it is told before the index or after it; also in the step that follows."""
    world = World()
    kept = remember(world, vectors(400))

    def fails(world, ids):
        raise ValueError("no")

    index = vector_index(world, Meaning, **SMALL) if after else None
    observer = world.observe(kind, Meaning, fails)
    index = index or vector_index(world, Meaning, **SMALL)
    change = {
        "add": lambda: remember(world, vectors(30, seed=1)),
        "remove": lambda: world.remove(kept[:50], Meaning),
        "despawn": lambda: world.despawn(kept[:50]),
    }[kind]
    with pytest.raises(ValueError, match="no"):
        change()
    observer.cancel()
    query = vectors(1, seed=1)[0]
    n = world.query(Meaning).count()
    assert n == (430 if kind == "add" else 400)
    seen = []

    @system
    def look():
        seen.append(index.nearest(query, 1000))

    world.add_system(look)
    world.step(1)
    assert_exact(world, seen[0], query, 1000)
    found = index.nearest(query, 1000)
    assert sorted(found.ids.tolist()) == sorted(world.query(Meaning).ids().tolist())
    assert index.state().live == n
    index.labels.check()
    world.despawn(world.query(Meaning).ids()[::2])
    remember(world, vectors(100, seed=5))
    assert index.nearest(query, 1000).ids.size == world.query(Meaning).count()
    index.labels.check()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["add", "remove", "despawn"])
def test_an_observer_may_search(kind, after):
    """It finds what there is at that moment, told before the index or after it."""
    world = World()
    ids = remember(world, vectors(400))
    query = vectors(1, seed=1)[0]
    seen = []

    def look(world, some):
        index = vector_index(world, Meaning)
        for k in (1, 1000):
            assert_exact(world, index.nearest(query, k), query, k)
            found = index.nearest(query, k, allowed=some)
            assert_exact(world, found, query, k, some)
        seen.append(some.size)

    if after:
        index = vector_index(world, Meaning, **{**SMALL, "flat_below": 10_000})
        world.observe(kind, Meaning, look)
    else:
        world.observe(kind, Meaning, look)
        index = vector_index(world, Meaning, **{**SMALL, "flat_below": 10_000})
    if kind == "add":
        remember(world, vectors(30, seed=1))
    else:
        world.despawn(ids)  # all: none has a label any more, while tables have rows
    assert seen == [30 if kind == "add" else 400]
    assert index.nearest(query, 1000).ids.size == (430 if kind == "add" else 0)
    index.labels.check()


@pytest.mark.parametrize("kind", ["add", "remove", "despawn"])
def test_no_index_is_made_in_the_middle_of_a_change(kind):
    """It would number the dying, and those that are born twice."""
    world = World()
    ids = remember(world, vectors(5))
    world.observe(kind, Meaning, lambda world, ids: vector_index(world, Meaning))
    change = world.despawn if kind != "add" else lambda ids: remember(world, vectors(3))
    with pytest.raises(StructuralChangeError, match=r"an observer of Embedding16i1.*once before"):
        change(ids)


def test_strangers_are_passed_over_by_the_columns():
    """The dead, those whose slot another has, those without a vector, and numbers of nobody."""
    world = World()
    ids = remember(world, vectors(50))
    world.despawn(ids[:20])
    reused = world.spawn(10, Marked())
    assert (reused & np.uint64(0xFFFFFFFF)).tolist() == list(range(10))
    strangers = np.concatenate(
        [ids[:20], reused, np.array([0, 7, 1 << 32 | 10**6, 2**64 - 1], np.uint64)]
    )
    columns, query = VectorColumns(Meaning), vectors(1, seed=3)
    assert not columns.nearest_of(world, queries(query), strangers, 5).ids.any()
    both = np.random.default_rng(0).permutation(np.concatenate([strangers, ids[20:]]))
    found = columns.nearest_of(world, queries(query), both, 30)
    assert found.ids[0].tolist() == naive(world, query, 30)[0]
    stored, scale = columns.read(world, both)
    alive = np.isin(both, ids[20:])
    assert np.array_equal(stored[alive], world.get(both[alive], Meaning.vector))
    assert not stored[~alive].any()
    assert not scale[~alive].any()


def test_none_of_many_is_nothing():
    """k = 0 writes nowhere."""
    world = World()
    ids = remember(world, vectors(600))
    columns, asked = VectorColumns(Meaning), queries(vectors(2))
    assert columns.nearest(world, asked, 0).ids.shape == (2, 0)
    assert columns.nearest_of(world, asked, ids, 0).cosines.shape == (2, 0)
    guarded, table = np.full((2, 3), -7.0), world.query(Meaning).tables()[0]
    stored, scale = columns.read(world, table.ids)
    best_of_rows(
        stored.ctypes.data, scale, table.ids, 1, asked.unit_qd, asked.whole_qd, asked.step_q,
        guarded[:, :0], np.empty((2, 0), np.uint64), np.zeros(2, np.int64),
    )  # fmt: skip
    assert (guarded == -7).all()


def test_addresses_are_never_seen_half_filled():
    """Searches that share a batch out read them side by side."""
    world = World()
    remember(world, vectors(5))
    seen = []

    class Watched(VectorColumns):
        def _in(self, world):
            for table in super()._in(world):
                seen.append(self._held)
                yield table

    columns, asked = Watched(Meaning), queries(vectors(1))
    columns.nearest_of(world, asked, world.query(Meaning).ids(), 1)
    before = columns._held
    remember(world, vectors(5), Marked())
    seen.clear()
    columns.nearest_of(world, asked, world.query(Meaning).ids(), 1)
    assert [held is before for held in seen] == [True, True]
    assert columns._held is not before


def test_what_another_index_allowed_is_refused():
    """Its labels mean others."""
    world, other = World(), World()
    ids = remember(world, vectors(20))
    remember(other, vectors(20))
    allowed = vector_index(other, Meaning).allow(ids)
    index = vector_index(world, Meaning)
    for search in (index.nearest, index.nearest_to_each):
        with pytest.raises(QueryError, match=r"call its own allow\(ids\)"):
            search(vectors(1), 1, allowed=allowed)
    with pytest.raises(QueryError, match="allow"):
        index.allow(allowed)


def test_two_threads_make_one_index(monkeypatch):
    """However long it takes to make; closing it twice at once does no harm."""

    class Slow(VectorColumns):
        def __init__(self, component):
            super().__init__(component)
            threading.Event().wait(0.05)

    monkeypatch.setattr(vectors_module, "VectorColumns", Slow)
    world = World()
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(vector_index(world, Meaning))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1
    threads = [threading.Thread(target=made[0].close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remember(world, vectors(5))
    assert vector_index(world, Meaning).nearest(np.ones(D), 9).ids.size == 5


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


def meanings(n, seed):
    """n vectors in i1, 256 dimensions, that crowd about 20,000 centres of 64 dimensions."""
    fixed, draw = np.random.default_rng(7), np.random.default_rng(seed)
    centres = fixed.standard_normal((20_000, 64), np.float32)
    centres = centres @ fixed.standard_normal((64, 256), np.float32) / 8
    made = centres[draw.integers(0, len(centres), n)]
    made += 0.9 * draw.standard_normal((n, 256), np.float32)
    return made


@pytest.mark.nightly
def test_a_million_that_come_and_go():
    """1 % of them at each of 50 ticks: the nearest are found as before, the dead never are, and the
    index does not grow."""
    kind, world = embedding(256, "i1"), World()
    for begin in range(0, COME_AND_GO, 50_000):
        remember(world, meanings(min(50_000, COME_AND_GO - begin), begin), kind=kind)
    index = vector_index(world, kind, background=False)
    index.wait()
    before, draw = index.state(), np.random.default_rng(1)
    assert before.lists
    for tick in range(50):
        n = COME_AND_GO // 100
        world.despawn(draw.choice(world.query(kind).ids(), n, replace=False))
        remember(world, meanings(n, COME_AND_GO + tick), kind=kind)
        asked = queries(meanings(10, 2 * COME_AND_GO + tick))
        found = index.nearest_to_each(asked, 10)
        assert found.stages.way == "inverted"
        assert world.alive(found.ids.ravel()).all()
        for q in range(10):
            stored, scale = (
                world.get(found.ids[q], kind.vector),
                world.get(found.ids[q], kind.scale),
            )
            assert asked.cosines(stored, scale)[q].tolist() == found.cosines[q].tolist()
        index.labels.check()
    asked = queries(meanings(200, 3 * COME_AND_GO))
    least = index.columns.nearest(world, asked, 10).cosines[:, -1:]
    found = index.nearest_to_each(asked, 10)
    assert (found.cosines >= least).mean() >= 0.95
    assert abs(index.state().nbytes / before.nbytes - 1) <= 0.1
    assert index.state().live == world.query(kind).count() == COME_AND_GO
