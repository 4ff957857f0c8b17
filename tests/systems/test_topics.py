"""Topics: interning, prefix search, and an index that follows the world."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import load, save
from populace.components.knowledge import Knowledge, Topic
from populace.components.persona import Persona
from populace.ecs import Text, World, component, u4
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    QueryError,
    StructuralChangeError,
)
from populace.systems.knowledge import Learning, learn
from populace.systems.topics import TopicNumbers, find_topics, intern_topics

names = st.text(st.sampled_from("abAé ß\U0001f600"), min_size=1, max_size=4)


def every(world):
    """{id: name} of the topics in the world's tables."""
    ids = world.query(Topic).ids()
    return dict(zip(ids.tolist(), world.text.decode(world.get(ids, Topic.name)), strict=True))


def naively(world, prefix, limit):
    """What a search of all topics finds."""
    return sorted(name for name in every(world).values() if name.startswith(prefix))[:limit]


@settings(max_examples=80)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("intern"), st.lists(names, max_size=6)),
            st.tuples(st.just("despawn"), st.lists(st.integers(0, 30), max_size=4)),
            st.tuples(st.just("remove"), st.integers(0, 30)),
            st.tuples(st.just("find"), st.text(st.sampled_from("abAé ß"), max_size=2)),
        ),
        max_size=12,
    ),
    st.integers(0, 8),
)  # fmt: skip
def test_the_index_follows_the_world(steps, limit):
    """After any sequence of interning, despawns and removals a query finds what a search of all
    topics finds, in order, with the right entities, and interning gives each name its topic."""
    world, made = World(), []
    for kind, what in steps:
        if kind == "intern":
            before = every(world)
            ids = intern_topics(world, what)
            made += ids.tolist()
            assert [every(world)[i] for i in ids.tolist()] == what
            assert len(every(world)) == len(set(before.values()) | set(what))
        elif kind == "despawn":
            living = [made[i] for i in set(what) if i < len(made)]
            ids = np.unique(np.array(living, np.uint64))
            world.despawn(ids[world.alive(ids)])
        elif kind == "remove":
            living = list(every(world))
            if what < len(living):
                world.remove(living[what], Topic)
        ids, found = find_topics(world, what if kind == "find" else "", limit)
        assert found == naively(world, what if kind == "find" else "", limit)
        assert [every(world)[i] for i in ids.tolist()] == found


def test_numbers_count_up_and_are_not_given_twice():
    """Numbers follow the order of names, one for each; those of the dead stay taken."""
    world = World()
    ids = intern_topics(world, ["b", "a", "b", "c"])
    assert world.get(ids, Topic.number).tolist() == [0, 1, 0, 2]
    world.despawn(ids[3])
    again = intern_topics(world, ["a", "c"])
    assert world.get(again, Topic.number).tolist() == [1, 3]
    assert world.resource(TopicNumbers).given == 4


def test_appeal_is_that_of_those_that_are_made():
    """One for all or one for each; what is known keeps its own, and of a name that is asked for
    twice the first counts."""
    world = World()
    assert world.get(intern_topics(world, ["a", "b"]), Topic.appeal).tolist() == [1, 1]
    ids = intern_topics(world, ["c", "a", "d", "c"], [0.25, 0.5, 0.75, 1.0])
    assert world.get(ids, Topic.appeal).tolist() == [0.25, 1, 0.75, 0.25]
    assert world.get(intern_topics(world, ["e", "d"], 0.5), Topic.appeal).tolist() == [0.5, 0.75]
    assert intern_topics(world, [], 0.5).size == 0


@pytest.mark.parametrize(
    ("appeal", "error"),
    [(1.5, ColumnValueError), ([0.5, np.nan], ColumnValueError), ([0.5], ColumnShapeError)],
)
def test_an_appeal_that_is_none_changes_nothing(appeal, error):
    """Out of range, no number, or too few: no topic is made and no number given; nor is it taken
    where nothing is to be made."""
    world = World()
    with pytest.raises(error, match="appeal"):
        intern_topics(world, ["a", "b"], appeal)
    known = World()
    intern_topics(known, ["a", "b"])
    with pytest.raises(error, match="appeal"):
        intern_topics(known, ["a", "b"], appeal)
    assert len(world) == 0
    assert TopicNumbers not in world.resources
    assert find_topics(world, "")[1] == []


def test_topics_of_older_snapshots_are_worth_telling(tmp_path):
    """A snapshot whose topics had no appeal yet is loaded with an appeal of 1."""
    before = {
        "__module__": Topic.__module__,
        "__doc__": "As it was.",
        "__annotations__": {"number": u4, "name": Text},
    }
    world = World()
    world.spawn(2, component(type("Topic", (), before))(number=[0, 1], name=["tea", "rain"]))
    save(world, tmp_path / "old")
    restored = load(tmp_path / "old")
    ids, found = find_topics(restored, "")
    assert found == ["rain", "tea"]
    assert restored.get(ids, Topic.appeal).tolist() == [1, 1]


def test_interning_in_parts_gives_the_same_numbers():
    """Batches do not matter."""
    one, other = World(), World()
    words = ["x", "y", "x", "z", "y", "w"]
    intern_topics(one, words)
    for word in words:
        intern_topics(other, word)
    numbers = [
        world.get(intern_topics(world, words), Topic.number).tolist() for world in (one, other)
    ]
    assert numbers[0] == numbers[1]


def test_a_world_that_has_topics_gets_its_index():
    """Topics spawned before anybody asks, and beside `intern_topics`, are found; of several with
    one name the oldest, and when it goes the next."""
    world = World()
    first = world.spawn(2, Topic(number=[1, 0], name=["dry well", "drought"]))
    assert find_topics(world, "dr")[1] == ["drought", "dry well"]
    twins = world.spawn(3, Topic(number=[5, 4, 3], name="drought"))
    assert find_topics(world, "dro")[0].tolist() == [first[1]]
    world.despawn(twins[2])
    assert intern_topics(world, "drought").tolist() == [first[1]]
    world.despawn(first)
    assert find_topics(world, "")[0].tolist() == [twins[1]]
    world.despawn(twins[1])
    assert find_topics(world, "")[0].tolist() == [twins[0]]
    world.despawn(twins[0])
    assert find_topics(world, "")[1] == []


def test_worlds_have_their_own_topics_and_are_let_go():
    """An index belongs to one world, and keeps none alive."""
    one, other = World(), World()
    intern_topics(one, ["tea"])
    assert find_topics(other, "t")[1] == []
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None


def test_knowledge_ends_with_its_topic():
    """Despawning a topic takes what is known of it along."""
    world = World()
    world.insert(Learning())
    agents = world.spawn(3, Persona(number=np.arange(3)))
    tea, bread = intern_topics(world, ["tea", "bread"])
    learn(world, agents, tea)
    learn(world, agents[0], bread)
    world.despawn(tea)
    assert world.query(Knowledge).count() == 1
    world.check()


def test_a_thousand_more_among_many():
    """Interning many at once, then some, then taking some away keeps the order."""
    world = World()
    intern_topics(world, [f"topic {i}" for i in range(20_000)])
    ids = intern_topics(world, [f"topic {i} again" for i in range(1_000)])
    assert find_topics(world, "topic 99", 3)[1] == ["topic 99", "topic 99 again", "topic 990"]
    world.despawn(ids)
    assert find_topics(world, "topic 99", 3)[1] == ["topic 99", "topic 990", "topic 9900"]
    assert find_topics(world, "topic 99", 0)[1] == []
    assert len(find_topics(world, "topic", 10**9)[1]) == 20_000


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        (["tea", 7], ColumnTypeError, "must be a str, got int .7. at place 1"),
        (["tea", ""], ColumnValueError, "must not be empty; see place 1"),
        (["tea", None], ColumnTypeError, "got NoneType"),
    ],
)
def test_interning_is_all_or_nothing(asked, error, match):
    """A name that is none is refused, and no topic is made of the others."""
    world = World()
    with pytest.raises(error, match=match):
        intern_topics(world, asked)
    assert not every(world)
    assert not intern_topics(world, []).size
    assert TopicNumbers not in world.resources


@pytest.mark.parametrize(
    ("asked", "match"),
    [((7,), "takes a str .* got 7"), (("a", 1.5), "got 'a', 1.5"), (("a", True), "True"),
     (("a", -1), "got limit=-1")],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(asked, match):
    """The error names what was given."""
    with pytest.raises(QueryError, match=match):
        find_topics(World(), *asked)


def test_no_topic_is_made_where_structure_may_not_change():
    """Inside a system that is not exclusive a new name is refused; a known one is found."""
    world = World()
    tea = intern_topics(world, "tea")
    with world.store.lock("system x"):
        assert intern_topics(world, "tea").tolist() == tea.tolist()
        with pytest.raises(StructuralChangeError):
            intern_topics(world, "bread")
    assert world.resource(TopicNumbers).given == 1
