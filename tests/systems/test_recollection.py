"""Recall: the best of an agent's memories, wherever they lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Memory, MemoryKind, Persona, Recalled, Stream, Trace
from populace.ecs import NOBODY, World, days, hours
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    DeadEntityError,
    DuplicateEntityError,
    ResourceError,
)
from populace.storage.archive import Archive
from populace.storage.snapshot import load, save
from populace.systems import RecallScore, Reinforcement, Retention, reinforce
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.recollection import recall
from populace.systems.words import words

from ..storage.crashing import quick
from . import naive_scoring as naive

NOW = days(19_500)
AGENTS = 3
SAID = ["tea with Ann", "rain", "Ann reads", "the tea is cold", "", "a red red rose", "Ann, rain"]
ASKED = [None, "What does Ann read?", "tea and rain", "of the", "nobody said this"]

memory = st.fixed_dictionaries(
    {
        "agent": st.integers(0, AGENTS - 1),
        "age_h": st.integers(0, 2000),
        "idle_h": st.integers(0, 2000),
        "kind": st.integers(0, 2),
        "text": st.sampled_from(SAID),
        "importance": st.integers(0, 8).map(lambda n: n / 8),
        "away": st.booleans(),
    }
)


def mind(where, memories):
    """A world with these memories, some of them in its archive; and the people's ids."""
    world = World()
    world.clock.now = NOW
    for law in (RecallScore(base=0.99), Retention(), Reinforcement()):
        world.insert(law)
    people = world.spawn(AGENTS, Persona(number=np.arange(AGENTS) + 10), Stream)
    attach_archive(world, quick(where), buckets=2, archiving=False)
    formed = [0] * AGENTS
    for each in memories:
        each["sequence"] = formed[each["agent"]]
        formed[each["agent"]] += 1
    if memories:
        column = {name: [each[name] for each in memories] for name in memories[0]}
        ids = world.spawn(
            len(memories),
            Memory(
                owner=people[column["agent"]],
                sequence=column["sequence"],
                created=NOW - np.array(column["age_h"]) * hours(1),
                kind=column["kind"],
                text=column["text"],
            ),
            Trace(
                importance=column["importance"],
                stability=3600.0,
                accessed=NOW - np.minimum(column["idle_h"], column["age_h"]) * hours(1),
            ),
        )
        archive_memories(world, ids[column["away"]])
    return world, people


def naive_recall(memories, agent, query, k, fits):
    """[(sequence, away, score)] of the best, best first."""
    mine = [each for each in memories if each["agent"] == agent and fits(each)]
    if not mine:
        return []
    scores = naive.scores(
        (1.0, 1.0, 1.0),
        NOW,
        [NOW - min(each["idle_h"], each["age_h"]) * hours(1) for each in mine],
        [each["importance"] for each in mine],
        [0.0 if query is None else naive.overlap(words(query), words(e["text"])) for e in mine],
        0.99,
    )
    best = naive.best([round(s, 9) for s in scores], [each["sequence"] for each in mine], k)
    return [(mine[at]["sequence"], mine[at]["away"], scores[at]) for at in best]


@given(
    st.lists(memory, max_size=25),
    st.sampled_from(ASKED),
    st.integers(0, 6),
    st.booleans(),
    st.none() | st.sets(st.integers(0, 2), min_size=1),
    st.none() | st.integers(0, 2000),
    st.none() | st.integers(0, 2000),
    st.sampled_from([0.0, 0.5]),
)
def test_the_best_are_those_of_the_plain_twin(
    tmp_path_factory, memories, query, k, archived, kinds, since, until, importance
):
    """k of those that answer to the filters, whenever there are so many, in their order; whether
    they lie in the tables or in the archive makes no difference; looking changes nothing."""
    world, people = mind(tmp_path_factory.mktemp("mind"), memories)

    def fits(each):
        return (
            (archived or not each["away"])
            and (kinds is None or each["kind"] in kinds)
            and (since is None or each["age_h"] <= since)
            and (until is None or each["age_h"] > until)
            and each["importance"] >= importance
        )

    digest = world.digest()
    found = recall(
        world,
        people,
        query,
        k,
        kinds=kinds,
        since=None if since is None else NOW - hours(since),
        until=None if until is None else NOW - hours(until),
        importance=importance,
        archived=archived,
    )
    assert world.digest() == digest
    said = {(each["agent"], each["sequence"]): each["text"] for each in memories}
    for agent in range(AGENTS):
        want = naive_recall(memories, agent, query, k, fits)
        part = slice(found.offsets[agent], found.offsets[agent + 1])
        total = found.scores.total[part]
        assert np.allclose(total, [score for _, _, score in want], atol=1e-6)
        assert (np.diff(total) <= 0).all()
        # Scores that differ by rounding alone may change places.
        if len({round(score, 6) for _, _, score in want}) == len(want):
            assert found.keys[part].tolist() == [[agent + 10, sequence] for sequence, _, _ in want]
            assert found.archived[part].tolist() == [away for _, away, _ in want]
    assert len(found) == found.offsets[-1] == len(found.keys)
    for key, one, away, text in zip(
        found.keys.tolist(), found.ids, found.archived, found.text, strict=True
    ):
        assert text == said[key[0] - 10, key[1]]
        assert (one == NOBODY) == away
        if not away:
            assert world.get([one], Memory.sequence)[0] == key[1]


def test_equal_scores_go_by_sequence(tmp_path):
    """Also where one of them is away and the other is not."""
    same = {"agent": 0, "age_h": 5, "idle_h": 5, "kind": 0, "text": "rain", "importance": 0.5}
    world, people = mind(tmp_path, [{**same, "away": k % 2 == 0} for k in range(9)])
    found = recall(world, people[:1], "rain", 9, archived=True)
    assert found.keys[:, 1].tolist() == list(range(9))
    assert found.archived.tolist() == [k % 2 == 0 for k in range(9)]


def test_each_agent_can_be_asked_something_else(tmp_path):
    """A query for each; the parts of the score add up, and are those of the agent alone."""
    one = {"age_h": 5, "idle_h": 5, "kind": 0, "importance": 0.5}
    memories = [
        {**one, "agent": agent, "text": text, "away": away}
        for agent in range(AGENTS)
        for text, away in (("tea", False), ("rain", True), ("bread", False))
    ]
    world, people = mind(tmp_path, memories)
    order = [2, 0]
    found = recall(world, people[order], ["any rain?", "any bread?"], 1, archived=True)
    assert found.text == ["rain", "bread"]
    assert found.keys[:, 0].tolist() == [12, 10]
    parts = found.scores
    assert parts.relevance.tolist() == [1, 1]
    assert np.allclose(parts.total, parts.recency + parts.importance + parts.relevance)
    again = recall(world, int(people[2]), "any rain?", 1, archived=True)
    assert (again.text, again.scores.total.tolist()) == (["rain"], parts.total[:1].tolist())


def test_what_is_found_comes_back(tmp_path):
    """With revive, what was found in the archive and nothing else; with access it all holds."""
    one = {"age_h": 900, "idle_h": 900, "kind": 0, "importance": 0.9}
    memories = [{**one, "agent": 0, "text": text, "away": text != "tea"}
                for text in ("tea", "tea and rain", "bread", "rain")]  # fmt: skip
    world, people = mind(tmp_path, memories)
    world.add_system(reinforce)
    before = recall(world, people[0], "tea, rain", 3, archived=True)
    reader = world.events(Recalled)
    found = recall(world, people[0], "tea, rain", 3, archived=True, revive=True, access=True)
    assert found.text == before.text == ["tea and rain", "tea", "rain"]
    assert found.archived.tolist() == before.archived.tolist() == [True, False, True]
    assert world.text.decode(world.get(found.ids, Memory.text)) == found.text
    assert reader.read().memory.tolist() == found.ids.tolist()
    assert len(world.resource(Archive)) == 1
    world.step(0)
    assert world.get(found.ids, Trace.accessed).tolist() == [NOW] * 3
    after = recall(world, people[0], "tea, rain", 3)
    assert (sorted(after.text), after.archived.any()) == (sorted(found.text), np.False_)


def test_it_is_the_same_after_loading(tmp_path):
    """What comes to mind is a function of the world."""
    memories = [
        {"agent": k % 3, "age_h": 7 * k, "idle_h": 5 * k, "kind": k % 3, "importance": k / 40,
         "text": SAID[k % 7], "away": k % 4 > 0} for k in range(40)
    ]  # fmt: skip
    world, people = mind(tmp_path, memories)
    save(world, tmp_path)
    other = load(tmp_path)
    attach_archive(other, tmp_path, archiving=False)
    one, two = (recall(w, people, "Ann's tea", 5, archived=True) for w in (world, other))
    assert one.keys.tolist() == two.keys.tolist()
    assert one.scores.total.tolist() == two.scores.total.tolist()
    assert len(one) == 15


def test_what_cannot_be_asked(tmp_path):
    """The error says what is allowed, and nothing has happened."""
    world, people = mind(tmp_path, [])
    gone = world.spawn(1, Persona(number=5))
    world.despawn(gone)
    for arguments, named, error, match in (
        ((gone,), {}, DeadEntityError, "dead"),
        ((people[[0, 1, 0]],), {}, DuplicateEntityError, "each agent once"),
        ((people, ["a", "b"]), {}, ColumnShapeError, "one for each of 3 agents; got 2"),
        ((people, None, -1), {}, ColumnValueError, "k >= 0"),
        ((people, None, 2.5), {}, ColumnValueError, "k=2.5"),
        ((people,), {"revive": True}, ColumnValueError, "archived=True"),
        ((people,), {"kinds": "dream"}, ColumnValueError, "event, thought, chat"),
    ):
        with pytest.raises(error, match=match):
            recall(world, *arguments, **named)
    assert len(recall(world, people, k=0)) == len(recall(world, people, "tea")) == 0
    assert len(recall(world, [], "tea", archived=True)) == 0


def test_a_world_without_an_archive(tmp_path):
    """Finds what it has; one whose archive is not attached says so."""
    world, people = mind(tmp_path, [{"agent": 0, "age_h": 1, "idle_h": 1, "kind": 2, "text": "tea",
                                     "importance": 0.5, "away": False}])  # fmt: skip
    save(world, tmp_path)
    bare = World()
    bare.insert(RecallScore())
    ann = bare.spawn(1, Persona(number=1), Stream)
    assert len(recall(bare, ann, archived=True)) == 0
    other = load(tmp_path)
    assert recall(other, people, kinds=MemoryKind.CHAT).text == ["tea"]
    with pytest.raises(ResourceError, match="attach_archive"):
        recall(other, people, archived=True)
