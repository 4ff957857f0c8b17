"""Recall: the best of an agent's memories, wherever they lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.components import (
    Memory,
    MemoryKind,
    Persona,
    Pinned,
    Recalled,
    Statement,
    Stream,
    Trace,
)
from populace.ecs import NOBODY, Read, World, hours, system
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    DuplicateEntityError,
    PopulaceError,
    QueryError,
    ResourceError,
    StructuralChangeError,
    UnknownComponentError,
)
from populace.storage.archive import Archive
from populace.storage.snapshot import load, save
from populace.systems import RecallScore, reinforce
from populace.systems import ranking as ranking_module
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.recollection import recall
from populace.systems.scoring import SMALLVILLE
from populace.systems.society_recall import who_remembers

from ..storage.crashing import quick
from .naive_recall import (
    AGENTS,
    NOW,
    SAID,
    Starred,
    Told,
    exact,
    meaning,
    naive_recall,
    numbered,
    spawn,
    world_of,
)

ASKED = ["What does Ann read?", "tea and rain", "of the", "nobody said this"]

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
    away=st.booleans(),
)
mind = st.lists(told, max_size=25).map(numbered)
dtypes = st.sampled_from([None, "f4", "f2", "i1"])
components = st.sets(st.sampled_from([Starred, Statement])).map(tuple)
hour = st.integers(0, 2000).map(lambda h: NOW - hours(h))
filters = st.fixed_dictionaries(
    {},
    optional={
        "kinds": st.sets(st.integers(0, 2), min_size=1),
        "since": hour,
        "until": hour,
        "importance": st.sampled_from([0.0, 0.1, 0.5, 0.7]),
        "unexpired": st.booleans(),
        "with_": components,
        "without": components,
        "phrase": st.sampled_from(["tea", "the tea", "Red rose", "red red", "rain Ann"]),
        "prefix": st.sampled_from(["r", "re", "ann", "T", "zz"]),
    },
)


@st.composite
def questions(draw, dtype):
    """(query of `recall`, the query of each agent, mode)."""
    text = st.sampled_from(ASKED)
    kind = draw(
        st.sampled_from(["none", "one", "each"] + ["vector", "vectors"] * (dtype is not None))
    )
    mode = draw(st.sampled_from(["hybrid", "words", *(["vectors"] if dtype is not None else [])]))
    if kind == "none":
        return None, [None] * AGENTS, mode
    if kind == "one":
        one = draw(text)
        return one, [one] * AGENTS, mode
    if kind == "each":
        each = draw(st.lists(text, min_size=AGENTS, max_size=AGENTS))
        return each, each, mode
    vectors = meaning(draw(st.lists(text, min_size=AGENTS, max_size=AGENTS))) * 3
    if kind == "vector":
        return vectors[0], [vectors[0]] * AGENTS, "hybrid"
    return vectors, list(vectors), "hybrid"


@st.composite
def cases(draw):
    """(memories, dtype, question, filters that no tag contradicts)."""
    dtype, asked = draw(dtypes), draw(filters)
    asked["without"] = tuple(set(asked.get("without", ())) - set(asked.get("with_", ())))
    return draw(mind), dtype, draw(questions(dtype)), asked


def archiving(where, memories, **options):
    """(world, people) of which those that are away lie in the archive."""
    world, people, ids = world_of(memories, **options)
    attach_archive(world, quick(where), buckets=2, archiving=False)
    archive_memories(world, ids[np.array([each.away for each in memories], bool)])
    return world, people


@given(cases(), st.integers(1, 6), st.booleans())
def test_the_best_are_those_of_the_plain_twin(tmp_path_factory, case, k, archived):
    """k of those that answer to every filter, whenever there are so many, in their order, with the
    parts of their score; whether they lie in the tables or in the archive makes no difference;
    looking changes nothing."""
    memories, dtype, (query, each, mode), asked = case
    if archived:  # the archive does not know of tags
        asked = {**asked, "with_": tuple({*asked.get("with_", ())} - {Starred}),
                 "without": tuple({*asked.get("without", ())} - {Starred})}  # fmt: skip
    world, people = archiving(tmp_path_factory.mktemp("mind"), memories, dtype=dtype)
    digest = world.digest()
    found = recall(world, people, query, k, mode=mode, archived=archived, **asked)
    assert world.digest() == digest
    for agent in range(AGENTS):
        want = naive_recall(
            memories, agent, each[agent], k, dtype, mode, archived=archived, **asked
        )
        part = slice(found.offsets[agent], found.offsets[agent + 1])
        total = found.scores.total[part]
        assert np.allclose(total, [score[0] for _, score in want], atol=1e-6)
        assert (np.diff(total) <= 0).all()
        # Scores that differ by rounding alone may change places.
        if len({round(score[0], 6) for _, score in want}) < len(want):
            continue
        assert found.keys[part].tolist() == [[agent + 10, one.sequence] for one, _ in want]
        assert found.archived[part].tolist() == [one.away for one, _ in want]
        for name, at in (("recency", 1), ("importance", 2), ("relevance", 3)):
            values = getattr(found.scores, name)[part]
            assert np.allclose(values, [score[at] for _, score in want], atol=1e-6), name
    by_key = {(each.agent + 10, each.sequence): each for each in memories}
    assert len(found) == found.offsets[-1] == len(found.keys)
    for place, (key, one) in enumerate(zip(found.keys.tolist(), found.ids, strict=True)):
        memory = by_key[tuple(key)]
        assert found.text[place] == memory.text
        assert (found.created[place], found.kind[place]) == (memory.created, memory.kind)
        assert (one == NOBODY) == found.archived[place] == memory.away
        if not memory.away:
            assert world.get([one], Memory.sequence)[0] == key[1]


@examples(max_examples=100)
@given(cases(), st.sampled_from([0.0, 0.4]), st.randoms(use_true_random=False))
def test_where_memories_lie_changes_nothing(case, diversity, random):
    """Spawned one by one in any order, after others that are gone, clustered, removed from and
    added to their tables; on two threads; of each agent alone: to the bit."""
    memories, dtype, (query, each, mode), asked = case
    world, people, _ = world_of(memories, dtype)
    first = exact(recall(world, people, query, 4, mode=mode, diversity=diversity, **asked))
    order = list(range(len(memories)))
    random.shuffle(order)
    other, them, ids = world_of(memories, dtype, order=order, threads=2)
    more = spawn(other, them, [Told(agent=k % AGENTS, sequence=900 + k) for k in range(7)])
    some = ids[[place for place in order if random.random() < 0.4]]
    other.add(some, Pinned)
    other.despawn(more)
    other.remove(some[::2], Pinned)
    other.cluster(Memory.owner)
    old, ranking_module.ALONE = ranking_module.ALONE, 1
    try:
        again = recall(other, them, query, 4, mode=mode, diversity=diversity, **asked)
    finally:
        ranking_module.ALONE = old
    assert exact(again) == first
    other.check()
    for agent in range(AGENTS):
        part = slice(first[0][agent], first[0][agent + 1])
        alone = exact(
            recall(world, people[agent], each[agent], 4, mode=mode, diversity=diversity, **asked)
        )
        assert alone[1:-1] == tuple(column[part] for column in first[1:-1])
        assert alone[-1] == [column[part] for column in first[-1]]


@examples(max_examples=60)
@given(mind, dtypes, st.sampled_from([None, *ASKED]), st.sampled_from([0.0, 0.4]))
def test_the_archive_scores_what_the_tables_would(
    tmp_path_factory, memories, dtype, query, diversity
):
    """The same memories, some away or none: the same to the bit."""
    here, people, _ = world_of(memories, dtype)
    there, them = archiving(tmp_path_factory.mktemp("mind"), memories, dtype=dtype)
    asked = {"importance": 0.1, "unexpired": True, "diversity": diversity}
    one = exact(recall(here, people, query, 5, **asked))
    two = exact(recall(there, them, query, 5, archived=True, **asked))
    assert (one[:2], one[3:]) == (two[:2], two[3:])


@given(mind, st.integers(1, 9), filters)
def test_k_are_found_whenever_k_qualify(memories, k, asked):
    """However badly they rank among all: filters come before ranking."""
    asked["without"] = ()
    world, people, _ = world_of(memories)
    found = recall(world, people, "tea", k, **asked)
    for agent in range(AGENTS):
        able = naive_recall(memories, agent, "tea", 99, archived=True, **asked)
        assert found.offsets[agent + 1] - found.offsets[agent] == min(k, len(able))


def test_weights_are_the_worlds_or_those_given():
    """`RecallScore` of the world; `law` for one question."""
    memories = numbered([Told(age_h=9 * k, idle_h=9 * k, importance=k / 8, text=SAID[k])
                         for k in range(7)])  # fmt: skip
    world, people, _ = world_of(memories)
    for law, weights in (
        (None, (1, 1, 1)),
        (RecallScore(w_recency=0, w_importance=0, w_relevance=3, base=0.99), (0, 0, 3)),
        (RecallScore(w_recency=0.5, w_importance=2, w_relevance=3, base=0.99), (0.5, 2, 3)),
    ):
        found = recall(world, people[0], "Ann", 7, law=law)
        want = naive_recall(memories, 0, "Ann", 7, weights=weights)
        assert np.allclose(found.scores.total, [score[0] for _, score in want])
    world.insert(SMALLVILLE, replace=True)
    assert (
        recall(world, people[0], "Ann").scores.total.tolist()
        == recall(world, people[0], "Ann", law=SMALLVILLE).scores.total.tolist()
    )


def test_equal_scores_go_by_sequence(tmp_path):
    """Also where one of them is away and the other is not."""
    world, people = archiving(tmp_path, numbered([Told(away=k % 2 == 0) for k in range(9)]))
    found = recall(world, people[:1], "rain", 9, archived=True)
    assert found.keys[:, 1].tolist() == list(range(9))
    assert found.archived.tolist() == [k % 2 == 0 for k in range(9)]


def test_each_agent_can_be_asked_something_else(tmp_path):
    """A query for each; the parts of the score add up, and are those of the agent alone."""
    memories = numbered(
        Told(agent=agent, text=text, away=away)
        for agent in range(AGENTS)
        for text, away in (("tea", False), ("rain", True), ("bread", False))
    )
    world, people = archiving(tmp_path, memories)
    order = [2, 0]
    found = recall(world, people[order], ["any rain?", "any bread?"], 1, archived=True)
    assert found.text == ["rain", "bread"]
    assert found.keys[:, 0].tolist() == [12, 10]
    parts = found.scores
    assert parts.relevance.tolist() == [1, 1]
    assert np.allclose(parts.total, parts.recency + parts.importance + parts.relevance)
    again = recall(world, int(people[2]), "any rain?", 1, archived=True)
    assert (again.text, again.scores.total.tolist()) == (["rain"], parts.total[:1].tolist())


def test_an_agent_named_twice_is_asked_twice():
    """Each time its own question; not with the archive."""
    world, people, _ = world_of(numbered([Told(text="tea"), Told(text="rain"), Told(text="tea")]))
    found = recall(world, people[[0, 1, 0]], ["tea", "tea", "rain"], 1)
    assert (found.text, found.offsets.tolist()) == (["tea", "rain"], [0, 1, 1, 2])


def test_what_is_found_comes_back(tmp_path):
    """With revive, what was found in the archive and nothing else; with access it all holds."""
    memories = numbered(Told(age_h=900, idle_h=900, importance=0.9, text=text, away=text != "tea")
                        for text in ("tea", "tea and rain", "bread", "rain"))  # fmt: skip
    world, people = archiving(tmp_path, memories)
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
    """What comes to mind is a function of the world, with vectors too."""
    memories = numbered(
        Told(agent=k % 3, age_h=7 * k, idle_h=5 * k, kind=k % 3, importance=k / 40,
             text=SAID[k % 7], away=k % 4 > 0) for k in range(40)
    )  # fmt: skip
    world, people = archiving(tmp_path, memories, dtype="f2")
    save(world, tmp_path)
    other = load(tmp_path)
    attach_archive(other, tmp_path, archiving=False)
    with pytest.raises(ResourceError, match=r"attach_embedder\(world\)"):
        recall(other, people, "Ann's tea")
    vector = meaning(["Ann's tea"])[0]
    for query, mode in (("Ann's tea", "words"), (vector, "hybrid")):
        one, two = (
            exact(recall(w, people, query, 5, mode=mode, archived=True)) for w in (world, other)
        )
        assert one == two
        assert len(one[1]) == 15


# -- errors --------------------------------------------------------------------------------------

REFUSED = {
    "a k of none": ({"k": 0}, ColumnValueError, "how many memories to find, 1 or more; got k=0"),
    "a k below": ({"k": -1}, ColumnValueError, "k=-1"),
    "a k that is not whole": ({"k": 2.5}, ColumnValueError, "k=2.5"),
    "a k that is true": ({"k": True}, ColumnValueError, "k=True"),
    "revived from nowhere": ({"revive": True}, ColumnValueError, "archived=True"),
    "a kind that is none": ({"kinds": "dream"}, ColumnValueError, "event, thought, chat"),
    "no kind at all": ({"kinds": []}, ColumnValueError, "leave kinds out"),
    "a time that is none": ({"since": "noon"}, ColumnValueError, "since is a time in µs.*'noon'"),
    "a time in part": ({"until": 1.5}, ColumnValueError, "until is a time in µs.*1.5"),
    "a time that no clock has": ({"since": 2**63}, ColumnValueError, "since is a time"),
    "importance beyond 1": ({"importance": 2}, ColumnValueError, r"in \[0, 1\]; got 2"),
    "importance that is no number": ({"importance": np.nan}, ColumnValueError, "got nan"),
    "diversity beyond 1": ({"diversity": 1.5}, ColumnValueError, r"in \[0, 1\]; got 1.5"),
    "diversity below 0": ({"diversity": -0.1}, ColumnValueError, "got -0.1"),
    "a mode that is none": ({"mode": "smell"}, ColumnValueError, "hybrid, words, vectors; got 's"),
    "a phrase of no word": ({"phrase": "?!"}, ColumnValueError, "phrase must be one word or more"),
    "a phrase that is no text": ({"phrase": 7}, ColumnTypeError, "phrase must be a text.*int"),
    "a prefix of two words": ({"prefix": "a b"}, ColumnValueError, "beginning of one word"),
    "with what is no component": ({"with_": int}, UnknownComponentError, "int"),
    "without what is none": ({"without": "tag"}, PopulaceError, "tag"),
    "with and without": ({"with_": Pinned, "without": Pinned}, QueryError, "Pinned"),
    "a tag in the archive": ({"with_": Pinned, "archived": True}, QueryError, "not by Pinned"),
    "an empty text": ({"query": ""}, ColumnValueError, "says what it is about; got ''"),
    "other number of texts": ({"query": ["a", "b"]}, ColumnShapeError, "each of 3 agents; got 2"),
    "a vector of nothing like it": ({"query": np.ones(3)}, ResourceError, "has an embedding"),
    "vectors without them": ({"query": "tea", "mode": "vectors"}, ResourceError, "attach_embedder"),
}  # fmt: skip


@pytest.mark.parametrize(("given_", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked(given_, error, match):
    """The error says what is allowed, and nothing has happened."""
    world, people, _ = world_of(numbered([Told(), Told(agent=1)]))
    digest, reader = world.digest(), world.events(Recalled)
    with pytest.raises(error, match=match):
        recall(world, people, access=True, **given_)
    assert world.digest() == digest
    assert len(reader.read().memory) == 0


def test_who_cannot_be_asked():
    """The dead, whether they were asked before or not; the same twice where the archive counts."""
    world, people, _ = world_of(numbered([Told(), Told(agent=1)]))
    with pytest.raises(DuplicateEntityError, match=r"each agent once; np.unique"):
        recall(world, people[[0, 1, 0]], archived=True)
    recall(world, people, "rain")
    world.despawn(people[1])
    with pytest.raises(DeadEntityError, match="dead"):
        recall(world, people, "rain")
    with pytest.raises(ColumnTypeError, match="ids"):
        recall(world, "Ann")


def test_what_is_empty_finds_nothing():
    """No agents, no memories, no answer to the filters."""
    world, people, _ = world_of([], "i1")
    assert len(recall(world, people, "tea")) == len(recall(world, people)) == 0
    for asked in (None, "tea", []):
        found = recall(world, [], asked, archived=asked is not None)
        assert (len(found), found.offsets.tolist()) == (0, [0])
    world, people, _ = world_of(numbered([Told()]))
    assert len(recall(world, people, prefix="zz")) == 0


def test_a_world_without_an_archive(tmp_path):
    """Finds what it has; one whose archive is not attached says so."""
    world, people = archiving(tmp_path, numbered([Told(kind=2, text="tea")]))
    save(world, tmp_path)
    bare = World()
    bare.insert(RecallScore())
    ann = bare.spawn(1, Persona(number=1), Stream)
    assert len(recall(bare, ann, archived=True)) == 0
    other = load(tmp_path)
    assert recall(other, people, kinds=MemoryKind.CHAT).text == ["tea"]
    with pytest.raises(ResourceError, match="attach_archive"):
        recall(other, people, archived=True)


def test_many_are_wanted_of_few():
    """No room is taken for what is not there."""
    world, people, _ = world_of(numbered([Told(text=text) for text in SAID]), "i1")
    found = recall(world, people[:1], "tea", 10**12, diversity=0.4)
    assert len(found) == len(SAID)
    assert len(who_remembers(world, "tea", 10**12, diversity=0.4)) == len(SAID)


def test_an_agent_without_a_number():
    """Recalls as any other; its number is told as -1."""
    world = World()
    nameless = world.spawn(2)
    world.spawn(2, Memory(owner=nameless, sequence=[4, 4], created=0, text=["rain", "tea"]),
                Trace(importance=0.5, stability=3600, accessed=0))  # fmt: skip
    found = recall(world, nameless, "tea")
    assert (found.text, found.keys.tolist()) == (["rain", "tea"], [[-1, 4], [-1, 4]])
    assert who_remembers(world, "tea").text[0] == "tea"


def test_a_system_that_others_run_beside_cannot_ask():
    """It would wait for the step that waits for it; one that takes the world runs alone."""
    world, people, _ = world_of(numbered([Told()]))
    world.threads, world.parallel_rows = 2, 0
    told = []

    def asking(name):
        @system(name=name)
        def ask(persona: Read[Persona]):
            for one in (recall, who_remembers):
                with pytest.raises(StructuralChangeError, match="world: World"):
                    one(world, *([people] if one is recall else []), "tea")
            told.append(name)

        return ask

    @system
    def alone(world: World):
        told.append(len(recall(world, people, "tea")))

    world.add_systems(asking("one"), asking("other"), alone)
    world.step(1)
    assert sorted(map(str, told)) == ["1", "one", "other"]
