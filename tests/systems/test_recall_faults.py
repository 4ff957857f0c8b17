"""Faults of published memory systems that concern recall, a test for each: see `test_faults`."""

import time

import numpy as np
import pytest

from populace.components import Memory, Persona, Pinned, Recalled, Statement, Trace
from populace.ecs import component, days, hours
from populace.ecs.errors import DeadEntityError
from populace.storage.snapshot import load, save
from populace.systems import RecallScore, Retention, reinforce
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.embedding import attach_embedder, embed
from populace.systems.recollection import recall

from .naive_recall import DIMENSIONS, MEANING, NOW, Told, exact, meaning, numbered, spawn, world_of

RECENCY = RecallScore(w_recency=1, w_importance=0, w_relevance=0)
RELEVANCE = RecallScore(w_recency=0, w_importance=0, w_relevance=1)


@component
class Seen:
    """A tag of the user's own."""


def test_fault_01_the_latest_access_comes_to_mind_first():
    """Not the oldest; when a memory was formed does not matter."""
    idle = np.random.default_rng(1).permutation(60).tolist()
    world, people, _ = world_of(numbered(Told(age_h=100 - h, idle_h=h) for h in idle))
    found = recall(world, people[0], k=60, law=RECENCY)
    accessed = world.get(found.ids, Trace.accessed)
    assert (np.diff(accessed) <= 0).all()
    assert (np.diff(found.scores.recency) <= 0).all()
    assert (found.scores.recency[0], found.scores.recency[-1]) == (1, 0)


def test_fault_03_a_recall_is_written_where_recall_reads_it():
    """With `access` and a step: the last access is now, accesses are counted, stability grows, and
    the memory is more recent than its twin from then on; without it nothing changes."""
    world, people, ids = world_of(numbered([Told(age_h=90, idle_h=90, text=t)
                                            for t in ("rain", "tea", "rain")]))  # fmt: skip
    world.add_system(reinforce)
    digest = world.digest()
    recall(world, people[0], "tea", k=1)
    assert world.digest() == digest
    before = world.get(ids, Trace.stability).tolist()
    found = recall(world, people[0], "tea", k=1, access=True)
    assert found.ids.tolist() == ids[1:2].tolist()
    world.step(hours(1))
    assert world.get(ids, Trace.accesses).tolist() == [1, 2, 1]
    assert world.get(ids, Trace.accessed).tolist() == [NOW - hours(90), NOW, NOW - hours(90)]
    grown = world.get(ids, Trace.stability) > before
    assert grown.tolist() == [False, True, False]
    assert recall(world, people[0], k=3, law=RECENCY).ids[0] == ids[1]


@pytest.mark.parametrize("dtype", [None, "i1"])
def test_fault_04_what_was_recalled_is_recent_after_loading(tmp_path, dtype):
    """Accessed, saved and loaded: every score is what it was, to the bit."""
    said = ["tea", "rain"] * 9
    memories = numbered(Told(age_h=50 + k, idle_h=40 + k, text=t) for k, t in enumerate(said))
    world, people, _ = world_of(memories, dtype)
    world.add_system(reinforce)
    recall(world, people[0], "tea", k=4, access=True)
    world.step(hours(5))
    save(world, tmp_path)
    other = load(tmp_path)
    if dtype is not None:
        attach_embedder(other, MEANING, embedding=False)
    one, two = (exact(recall(w, people[0], "tea", k=18)) for w in (world, other))
    assert one == two
    recency = recall(other, people[0], k=18, law=RECENCY).scores.recency
    assert np.count_nonzero(recency == 1) == 4


def test_fault_05_real_time_changes_nothing(monkeypatch):
    """A century later by the wall clock the same comes to mind, with the same scores."""
    memories = numbered(Told(age_h=k * k, idle_h=k, text=t) for k, t in enumerate(["tea", "a"] * 9))
    first = None
    for ahead in (0.0, 3.2e9):
        real, counter = time.time, time.perf_counter
        monkeypatch.setattr(time, "time", lambda a=ahead, real=real: real() + a)
        monkeypatch.setattr(time, "perf_counter", lambda a=ahead, c=counter: c() + a)
        world, people, _ = world_of(memories, "i1")
        found = exact(recall(world, people[0], "tea", k=9))
        first = first or found
        assert found == first


@pytest.mark.parametrize("dtype", [None, "i1"])
def test_fault_06_an_owner_gets_its_own_and_as_many_as_asked(dtype):
    """Ten slight memories beside hundreds that match far better: eight of them, all its own; and
    k of those that answer to a filter, though a hundred that do not rank before them."""
    slight = [Told(text=f"a coin {k}", importance=0.1, idle_h=900, age_h=900) for k in range(10)]
    better = [
        Told(agent=agent, text=f"my cat sleeps on mat {k}", importance=0.9, kind=kind)
        for agent, kind, n in ((1, 0, 400), (0, 1, 99))
        for k in range(n)
    ]
    memories = numbered(slight + better)
    world, people, _ = world_of(memories, dtype)
    found = recall(world, people[0], "my cat", k=8, kinds="event")
    assert len(found) == 8
    assert all(text.startswith("a coin") for text in found.text)
    assert (world.get(found.ids, Memory.owner) == people[0]).all()
    for asked in ({"importance": 0.5}, {"phrase": "my cat"}, {"prefix": "sle"}, {"kinds": 1}):
        assert len(recall(world, people[0], "coin", k=60, **asked)) == 60


@pytest.mark.parametrize("dtype", [None, "i1"])
@pytest.mark.parametrize("how", ["despawned", "archived", "with its owner", "another's now"])
def test_fault_07_what_is_gone_does_not_come_to_mind(tmp_path, dtype, how):
    """Nor does who took its place answer for it, even where it was found a moment ago."""
    world, people, ids = world_of(
        numbered(Told(text=f"tea {k}", agent=k % 2) for k in range(20)), dtype
    )
    attach_archive(world, tmp_path, archiving=False)
    query = meaning(["tea 0"])[0] if dtype else "tea 0"
    gone = ids[[0, 2, 4]]
    first = recall(world, people[:2], query, k=10)
    assert np.isin(gone, first.ids).all()
    if how == "despawned":
        world.despawn(gone)
    elif how == "archived":
        archive_memories(world, gone)
    elif how == "with its owner":
        world.despawn(people[0])
        with pytest.raises(DeadEntityError):
            recall(world, people[:2], query)
    else:
        world.set(gone, Memory(owner=people[2], sequence=[100, 101, 102]))
    left = people[1:2] if how == "with its owner" else people[:2]
    spawn(world, people[1:2].repeat(3), [Told(sequence=50 + k, text="new") for k in range(3)])
    found = recall(world, left, query, k=30)
    assert not np.isin(gone, found.ids).any()
    assert world.alive(found.ids).all()
    assert "new" in found.text
    world.check()


def test_fault_07_a_table_that_is_made_later_is_looked_at():
    """A tag makes a table, whether it answers to the filter or not: neither a ghost of what was
    there nor a place beyond what was known."""
    world, people, ids = world_of(numbered(Told(text=f"tea {k}") for k in range(12)))
    world.add(ids[:4], Seen)
    assert len(recall(world, people[0], "tea", k=12, with_=Seen)) == 4
    world.add(ids[6:8], Pinned)
    world.add(ids[8:9], Statement)
    assert len(recall(world, people[0], "tea", k=12, with_=Seen)) == 4
    assert len(recall(world, people[0], "tea", k=12, without=Seen)) == 8
    world.add(ids[8:10], Seen)
    assert len(recall(world, people[0], "tea", k=12, with_=Seen)) == 6
    bare = world.spawn(1, Memory(owner=people[0], sequence=99, created=0, text="tea"))
    assert bare[0] not in recall(world, people[0], "tea", k=99).ids


def test_fault_08_a_recall_counts_for_what_was_recalled():
    """The least recently accessed is last, not the first that was formed."""
    world, people, ids = world_of(numbered(Told(age_h=90 - k, idle_h=90 - k) for k in range(6)))
    world.add_system(reinforce)
    world.emit(Recalled(memory=ids[:1], time=world.clock.now))
    world.step(hours(1))
    order = recall(world, people[0], law=RECENCY).ids.tolist()
    assert (order[0], order[-1]) == (int(ids[0]), int(ids[1]))


def test_fault_09_what_is_old_but_to_the_point_is_found():
    """Months old, never recalled, and decisive: first by relevance, and by the sum of all among
    many idle ones of today."""
    old = Told(text="the key is under the red stone", age_h=4800, idle_h=4800, importance=1.0)
    idle = [Told(text=f"a desk {k} is idle", age_h=k, idle_h=k, importance=0.1) for k in range(300)]
    memories = numbered([old, *idle])
    world, people, _ = world_of(memories)
    for law in (RELEVANCE, None):
        found = recall(world, people[0], "Where is the key?", k=5, law=law)
        assert found.text[0] == "the key is under the red stone"
        assert found.scores.total[0] > 0


def test_fault_10_duplicates_do_not_hide_what_differs():
    """Hundreds of the same, and one that says another thing: it is found among few."""
    memories = numbered([Told(text="tea with Ann")] * 300 + [Told(text="Ann left the tea house")])
    world, people, _ = world_of(memories)
    found = recall(world, people[0], "tea with Ann", k=8, diversity=0.5, law=RELEVANCE)
    assert len(found) == 8
    plain = recall(world, people[0], "tea with Ann", k=301, law=RELEVANCE)
    same = plain.scores.total[:300]
    assert same.tolist() == [same[0]] * 300
    assert plain.text[-1] == "Ann left the tea house"


def test_vectors_stay_with_their_memories():
    """Rows move, memories go and come, one gets another text: a cosine is of its own vector."""
    memories = numbered(Told(text=f"thing {k}", idle_h=0, age_h=0) for k in range(40))
    world, people, ids = world_of(memories, "f4")
    world.despawn(ids[::3])
    world.add(ids[1::3], Pinned)
    world.cluster(Memory.owner)
    spawn(world, people, [Told(sequence=90 + k, text=f"late {k}") for k in range(9)])
    embed(world)
    for text in ("thing 1", "thing 38", "late 3"):
        for query in (text, meaning([text])[0]):
            found = recall(world, people[0], query, k=1, mode="hybrid", law=RELEVANCE)
            assert found.text == [text]
    one = ids[1:2]
    world.set(one, Memory(text="other"))
    embed(world, one, replace=True)
    assert recall(world, people[0], meaning(["other"])[0], k=1, law=RELEVANCE).ids == one
    assert len(meaning(["other"])[0]) == DIMENSIONS
    assert world.get(people[:1], Persona.number)[0] == 10


def test_days_apart_or_at_once():
    """Recency is a function of the clock, not of how it got there."""
    found = []
    for steps in (1, 24):
        world, people, _ = world_of(numbered(Told(age_h=9 * k, idle_h=7 * k) for k in range(9)))
        world.insert(Retention(), replace=True)
        world.add_system(reinforce)
        for _ in range(steps):
            world.step(days(1) // steps)
        found.append(exact(recall(world, people[0], "rain")))
    assert found[0] == found[1]
