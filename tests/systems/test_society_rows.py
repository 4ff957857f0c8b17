"""The candidates of a society: who they are, where, and how often each text is said."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.components import Memory, Persona, Pinned, Trace
from populace.components.embedding import embedding
from populace.ecs import World
from populace.ecs.errors import DeadEntityError
from populace.storage.dots import encode
from populace.systems.candidates import wanted
from populace.systems.lexicon import lexicon
from populace.systems.society_rows import society_rows

from .naive_recall import DIMENSIONS, SAID, Starred, Told, meaning, numbered, spawn
from .naive_society import (
    candidates_of,
    dtypes,
    filters,
    indexed,
    key_of,
    minds,
    naive_words,
    society,
    some_agents,
)

Small = embedding(DIMENSIONS, "i1")


def rows_of(world, people, agents=None, component=None, **asked):
    """The candidates of agents by their place."""
    who = None if agents is None else np.unique(people[list(agents)])
    return society_rows(world, who, wanted(**asked), component)


@given(minds, dtypes, some_agents, filters())
def test_candidates_are_those_that_answer(memories, dtype, agents, asked):
    """All of them, each once; and what is told of each is its own."""
    world, people, ids = society(memories, dtype)
    rows = rows_of(world, people, agents, **asked)
    named = dict(zip(ids.tolist(), memories, strict=True))
    able = candidates_of(memories, agents, **asked)
    found = rows.ids_at(np.arange(rows.n)).tolist()
    assert rows.n == len(found) == len(set(found)) == len(able)
    assert {key_of(named[one]) for one in found} == {key_of(each) for each in able}
    assert rows.some or rows.n == len(memories)
    mine = [named[one] for one in found]
    assert world.text.decode(rows.texts) == [each.text for each in mine]
    assert np.argsort(rows.keys, kind="stable").tolist() == sorted(
        range(rows.n), key=lambda at: key_of(mine[at])
    )
    assert (np.unique(rows.keys).size, rows.keys.dtype) == (rows.n, np.dtype("u8"))
    counts = Counter(each.text for each in mine)
    codes = rows.distinct_texts
    assert dict(zip(world.text.decode(codes), rows.counts[codes].tolist(), strict=True)) == counts
    assert rows.counts.sum() == rows.n
    assert (np.diff(codes.astype(int)) > 0).all()
    assert rows.total_length == sum(len(naive_words.terms(each.text)) for each in mine)
    for text in SAID:
        code = world.text.find(text)
        if code is not None and code < rows.counts.size:
            have = [at for at, each in enumerate(mine) if each.text == text]
            assert rows.with_texts(np.array([code], np.uint32), rows.n).tolist() == have
            assert rows.with_texts(np.array([code], np.uint32), 2).tolist() == have[:2]
    assert rows.with_texts(codes, rows.n).tolist() == list(range(rows.n))


@examples(max_examples=50)
@given(minds, filters(), some_agents)
def test_places_are_of_any_positions(memories, asked, agents):
    """In any order, repeated or not."""
    world, people, _ = society(memories)
    rows = rows_of(world, people, agents, **asked)
    ids = rows.ids_at(np.arange(rows.n))
    some = np.arange(3 * rows.n)[::-1] % max(rows.n, 1)
    assert rows.ids_at(some).tolist() == ids[some].tolist()


def test_only_memories_with_a_trace_are_candidates():
    """Whatever else has an owner; the others are not counted as everybody's either."""
    world, people, ids = society(numbered([Told(text=text) for text in SAID]))
    assert not rows_of(world, people).some
    world.remove(ids[:2], Trace)
    rows = rows_of(world, people)
    assert rows.some
    assert set(rows.ids_at(np.arange(rows.n)).tolist()) == set(ids[2:].tolist())
    assert rows_of(world, people, (0,)).n == len(SAID) - 2


def test_they_are_looked_up_once():
    """Until a row, a column or the clock changes; each filter and each component by itself."""
    world, people, ids = society(numbered([Told(agent=k % 3, text=SAID[k % 7]) for k in range(20)]))
    first = rows_of(world, people, importance=0.2)
    assert rows_of(world, people, importance=0.2) is first
    assert rows_of(world, people, importance=0.3) is not first
    assert rows_of(world, people, (0, 1), importance=0.2) is not first
    assert rows_of(world, people, importance=0.2, component=Small) is not first
    changes = [
        lambda: world.set(ids[:1], Trace(importance=0.1)),
        lambda: world.add(ids[:1], Pinned),
        lambda: spawn(world, people, [Told(sequence=90)]),
        lambda: world.despawn(ids[-1:]),
        lambda: setattr(world.clock, "now", world.clock.now + 1),
        lambda: world.set(people[:1], Persona(number=77)),
    ]
    for change in changes:
        held = rows_of(world, people, importance=0.2)
        change()
        found = rows_of(world, people, importance=0.2)
        assert found is not held
        assert found.n == np.count_nonzero(
            world.query(Trace, with_=Memory).gather(Trace.importance) >= np.float32(0.2)
        )


def test_what_a_search_of_the_index_may_find():
    """None where all that has a vector is a candidate; otherwise exactly the candidates, of this
    index and not of one before it."""
    world, people, ids = society(numbered([Told(text=SAID[k % 7]) for k in range(90)]), "i1")
    index = indexed(world, DIMENSIONS)
    assert rows_of(world, people, component=Small).allowed(index) is None
    rows = rows_of(world, people, component=Small, phrase="tea")
    allowed = rows.allowed(index)
    assert set(allowed.ids.tolist()) == set(rows.ids_at(np.arange(rows.n)).tolist())
    assert rows.allowed(index) is allowed
    index.close()
    other = indexed(world, DIMENSIONS)
    again = rows_of(world, people, component=Small, phrase="tea")
    found = other.nearest(meaning(["tea"])[0], 90, allowed=again.allowed(other))
    assert sorted(found.ids.tolist()) == sorted(allowed.ids.tolist())
    # Somebody else has a vector: a place, or a memory without a trace.
    stored, scale = encode(meaning(["tea"]), "i1")
    world.spawn(1, Starred, Small(vector=stored, scale=scale))
    rows = rows_of(world, people, component=Small)
    assert set(rows.allowed(other).ids.tolist()) == set(ids.tolist())


def test_agents_that_are_dead():
    """Are refused; those without memories have no candidates."""
    world, people, _ = society(numbered([Told(agent=0)]))
    assert rows_of(world, people, (1, 2)).n == 0
    assert rows_of(world, people, ()).n == 0
    rows = rows_of(world, people, (1,))
    assert (rows.total_length, rows.distinct_texts.size, rows.counts.size) == (0, 0, 0)
    assert rows.with_texts(np.empty(0, np.uint32), 1).size == 0
    world.despawn(people[2])
    with pytest.raises(DeadEntityError, match="dead"):
        rows_of(world, people, (1, 2))


def test_a_world_of_nobody():
    """Has no candidates, and says so in every way."""
    world = World()
    rows = society_rows(world, None, wanted(), None)
    assert (rows.n, rows.texts.size, rows.keys.size, rows.total_length) == (0, 0, 0, 0)
    assert lexicon(world.text, rows.distinct_texts) is not None


@given(st.lists(st.sampled_from(["tea", "rain", "", "of the"]), max_size=20))
def test_words_are_counted_as_often_as_they_are_said(texts):
    """Of each memory, not of each text; those that do not count are left out."""
    world, people, _ = society(numbered([Told(text=text) for text in texts]))
    rows = rows_of(world, people)
    assert rows.total_length == texts.count("tea") + texts.count("rain")
