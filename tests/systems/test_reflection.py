"""Reflection: when agents reflect, on what, what comes of it, and who writes it."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Memory, MemoryKind, Observed, Persona, Recalled, Stream, Trace
from populace.components.reflection import LONG_AGO, Evidence, Reflection, Unreflected
from populace.ecs import Vector, World, component, days, hours, minutes
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    QueryError,
    SettingError,
)
from populace.systems.evidence import bring_to_mind, focal_points
from populace.systems.formation import form_memories
from populace.systems.reflection import (
    Reflected,
    Reflecting,
    add_importance,
    reflect,
    reflection,
)
from populace.systems.retention import Retention
from populace.systems.scoring import RecallScore
from populace.systems.words import words
from populace.systems.writing import Insight, Occasion, template_writer
from populace.ville import read_ville

from . import naive_reflection as naive
from . import naive_scoring

NOW = days(20_000)
FORMS = [pytest.param(False, id="compiled"), pytest.param(True, id="plain")]
EVENT, THOUGHT, CHAT = MemoryKind


@component
class Meaning:
    """An embedding of two dimensions."""

    vector: Vector[2]


def form(kernel, plain):
    """A kernel as compiled, or the Python that it is compiled from."""
    return kernel.py_func if plain else kernel


def society(n_agents=2, system=reflect, names=("Ann", "Bo", "Cy"), score=None, **law):
    """A world whose agents form memories of what they observe, and reflect."""
    world = World(seed=3)
    world.insert(Retention())
    world.insert(score or RecallScore())
    world.insert(Reflecting(**law))
    world.clock.now = NOW
    agents = world.spawn(
        n_agents,
        Persona(number=np.arange(n_agents), name=[names[i % 3] for i in range(n_agents)]),
        Stream,
    )
    world.add_systems(form_memories, system)
    return world, agents


def see(world, agents, *observations):
    """Emit (owner, minutes from the start, importance, text, kind) observations, one by one."""
    for owner, at, importance, *rest in observations:
        text, kind = (*rest, *("tea is hot", EVENT)[len(rest) :])
        world.emit(
            Observed(
                owner=agents[owner], time=NOW + minutes(at), text=text, kind=kind,
                importance=importance,
            )
        )  # fmt: skip


def fired(world, agents, reader):
    """(agent, minutes from the start, insights) of every reflection that a reader has not seen."""
    events = reader.read()
    places = [agents.tolist().index(agent) for agent in events.agent.tolist()]
    times = ((events.time - NOW) / minutes(1)).tolist()
    return list(zip(places, times, events.insights.tolist(), strict=True))


def thoughts(world, owner=None):
    """[(text, depth, importance, time, evidence texts)] of all reflections, by sequence."""
    found = []
    for memory, _ in world.query(Memory, Reflection):
        for entity in memory.ids.tolist():
            links = world.index(Evidence.insight).ids(entity)
            basis = world.get(links, Evidence.memory)
            found.append(
                (
                    int(world.get([entity], Memory.sequence)[0]),
                    world.text.decode(world.get([entity], Memory.text))[0],
                    int(world.get([entity], Reflection.depth)[0]),
                    float(world.get([entity], Trace.importance)[0]),
                    int(world.get([entity], Memory.created)[0]),
                    world.text.decode(world.get(basis, Memory.text)),
                    int(world.get([entity], Memory.owner)[0]),
                )
            )
    return [row[1:6] for row in sorted(found) if owner is None or row[6] == owner]


# -- when ------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(0, 10)), max_size=40),
    st.sampled_from([0.1, 0.3, 1.0, 2.5]),
    st.integers(0, 40),
)
def test_the_kernel_adds_up(plain, drawn, threshold, cut):
    """For any observations, in any two batches, late news among them, who reflects when is what
    the plain twin says."""
    state = np.array([[0] * 3, [LONG_AGO] * 3, [LONG_AGO] * 3])
    got = {0: [], 1: [], 2: []}
    want, naive_state = {0: [], 1: [], 2: []}, {a: (0, LONG_AGO, LONG_AGO) for a in range(3)}
    for part in (drawn[:cut], drawn[cut:]):
        part = sorted(part, key=lambda event: event[1])
        out = np.empty((3, len(part)), np.int64)
        agent, time, tenths = np.array(part, np.int64).reshape(len(part), 3).T.copy()
        k = form(add_importance, plain)(
            agent, time, tenths * 100_000, round(threshold * 1e6), *state, *out
        )
        for a, at, since in out[:, :k].T.tolist():
            got[a].append((at, since))
        for a in range(3):
            mine = [(at, tenth / 10) for who, at, tenth in part if who == a]
            found, naive_state[a] = naive.firings(mine, threshold, naive_state[a])
            want[a] += found
    assert got == want
    assert [tuple(column) for column in state.T.tolist()] == list(naive_state.values())


def test_the_observation_that_tips_the_sum_sets_it_off():
    """0.5 + 0.4 is not enough, 0.1 more is, to the millionth; and the sum begins again at 0."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, (0, 10, 0.5), (0, 20, 0.4), (1, 20, 0.9))
    world.step(hours(1))
    assert fired(world, agents, reader) == []
    assert world.get(agents, Unreflected.importance).tolist() == [900_000, 900_000]
    see(world, agents, (0, 70, 0.1), (0, 80, 0.3))
    world.step(hours(1))
    assert fired(world, agents, reader) == [(0, 70.0, 1)]
    assert world.get(agents, Unreflected.importance).tolist() == [300_000, 900_000]
    assert world.get(agents[:1], Unreflected.since) == NOW + minutes(70)


def test_an_agent_may_reflect_several_times_in_one_step():
    """Each time at the moment of the observation that tipped the sum."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, *((0, at, 0.6) for at in (5, 10, 15, 20, 25)))
    world.step(hours(1))
    assert [at for _, at, _ in fired(world, agents, reader)] == [10, 20]
    assert [time for *_, time, _ in thoughts(world)] == [NOW + minutes(at) for at in (10, 20)]


def test_chats_count_and_thoughts_do_not():
    """What an agent makes of its memories does not set it off again."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, *((0, at, 1.0, "a plan", THOUGHT) for at in range(5)))
    see(world, agents, (1, 5, 0.5, "talking of tea", CHAT), (1, 6, 0.5))
    world.step(hours(1))
    assert fired(world, agents, reader) == [(1, 6.0, 2)]
    for _ in range(3):
        world.step(hours(1))
    assert fired(world, agents, reader) == []


def test_late_news_count_at_the_last_observation():
    """What happened before it, but is heard of later, tips the sum at the time of the last one."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, (0, 30, 0.5))
    world.step(hours(1))
    see(world, agents, (0, 10, 0.5))
    world.step(hours(1))
    assert fired(world, agents, reader) == [(0, 30.0, 1)]


stream = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(1, 24 * 60), st.sampled_from([0.1, 0.3, 0.8]),
        st.sampled_from(["tea is hot", "it is raining", "Bo is baking bread"]),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=25)
@given(stream)
def test_the_length_of_a_step_changes_nobodys_reflections(observations):
    """24 steps of an hour and one of a day: the same agents reflect at the same times."""
    found = []
    for steps in (1, 24):
        world, agents = society(3, threshold=1.0)
        reader, length = world.events(Reflected), 24 * 60 // steps
        told = []
        for step in range(steps):
            see(world, agents, *(
                o for o in observations if step * length < o[1] <= (step + 1) * length
            ))  # fmt: skip
            world.step(minutes(length))
            told += [row[:2] for row in fired(world, agents, reader)]
        found.append((sorted(told), world.query(Unreflected).gather(Unreflected.importance)))
        found[-1] = (found[-1][0], sorted(found[-1][1].tolist()))
        world.check()
    assert found[0] == found[1]


@settings(max_examples=25)
@given(stream, st.randoms())
def test_the_order_of_unrelated_agents_does_not_show(observations, shuffle):
    """Observations of different agents may be emitted in any order, in any batches, and the agents
    lie in any rows: the same thoughts, with the same evidence."""
    found = []
    for mix in (False, True):
        world, agents = society(3, threshold=1.0)
        by_time = sorted(observations, key=lambda o: o[1])
        if mix:
            queues = {a: [o for o in by_time if o[0] == a] for a in range(3)}
            turns = [o[0] for o in by_time]
            shuffle.shuffle(turns)
            by_time = [queues[a].pop(0) for a in turns]
            world.add(agents[1:], Unreflected)
        see(world, agents, *by_time)
        world.step(days(1))
        found.append([thoughts(world, int(agent)) for agent in agents])
    assert found[0] == found[1]


# -- about what ------------------------------------------------------------------------------

mind = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 2), st.integers(0, 5), st.integers(1, 9),
        st.integers(0, 12),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip
TEXTS = ["", "tea hot", "rain", "Bo bakes bread", "bread tea", "hot bread Bo"]


def minds(drawn, shuffle):
    """Memories of one agent as dicts, in mixed rows."""
    memories = [
        {
            "created": NOW + hours(created), "kind": kind, "text": text,
            "importance": importance / 10, "accessed": NOW + hours(created + later),
        }
        for created, kind, text, importance, later in drawn
    ]  # fmt: skip
    numbers = list(range(len(memories)))
    shuffle.shuffle(numbers)
    return [{**m, "sequence": n} for m, n in zip(memories, numbers, strict=True)]


def columns_of(memories):
    """created, kind, text, importance, accessed, sequence as arrays."""
    dtypes = {
        "created": "i8", "kind": "u1", "text": "u4", "importance": "f4", "accessed": "i8",
        "sequence": "u4",
    }  # fmt: skip
    return {name: np.array([m[name] for m in memories], dtype) for name, dtype in dtypes.items()}


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=60)
@given(st.lists(mind, min_size=1, max_size=3), st.integers(-1, 12), st.integers(0, 12),
       st.integers(1, 4), st.randoms())  # fmt: skip
def test_focal_points_are_the_most_important_texts(plain, drawn, after, length, k, shuffle):
    """For any memories the kernel chooses what the plain twin chooses, in its order."""
    agents = [minds(each, shuffle) for each in drawn]
    c = columns_of([m for mine in agents for m in mine])
    offsets = np.append(0, np.cumsum([len(mine) for mine in agents]))
    since, until = NOW + hours(after), NOW + hours(after + length)
    out = np.empty((len(agents), k), np.int64)
    form(focal_points, plain)(
        offsets, np.full(len(agents), since), np.full(len(agents), until), c["created"],
        c["kind"], c["text"], c["importance"], c["sequence"], out,
    )  # fmt: skip
    for f, mine in enumerate(agents):
        got = [mine[place - offsets[f]]["sequence"] for place in out[f] if place >= 0]
        want = naive.focal_points(mine, since, until, k)
        assert got == [m["sequence"] for m in want]


def test_a_text_that_moves_up_pushes_nothing_out():
    """Found again with more importance, a text takes its old place or a better one, and all three
    stay."""
    texts, importance = [1, 2, 1, 3], [0.3, 0.2, 0.5, 0.1]
    out = np.empty((1, 3), np.int64)
    focal_points(
        np.array([0, 4]), np.array([0]), np.array([9]), np.array([1, 2, 3, 4]),
        np.zeros(4, np.uint8), np.array(texts, np.uint32), np.array(importance, np.float32),
        np.arange(4, dtype=np.uint32), out,
    )  # fmt: skip
    assert out.tolist() == [[2, 1, 3]]


@pytest.mark.parametrize("plain", FORMS)
@pytest.mark.parametrize("meaning", [False, True])
@settings(max_examples=25)
@given(st.lists(mind, min_size=1, max_size=3), st.integers(0, 24), st.integers(1, 8), st.randoms())
def test_the_best_memories_come_to_mind(plain, meaning, drawn, hour, m, shuffle):
    """For any memories, moment and number the kernel recalls what scores best, by words or by
    vectors; of candidates whose scores differ by rounding either may come first."""
    agents = [minds(each, shuffle) for each in drawn]
    flat = [memory for mine in agents for memory in mine]
    c, until = columns_of(flat), NOW + hours(hour)
    offsets = np.append(0, np.cumsum([len(mine) for mine in agents]))
    vocabulary = sorted(set().union(*map(words, TEXTS)))
    spoken = [sorted(vocabulary.index(word) for word in words(text)) for text in TEXTS]
    ends = np.cumsum([len(each) for each in spoken])
    starts, said = ends - [len(each) for each in spoken], np.array([*chain(*spoken)], np.int32)
    vectors = np.zeros((len(flat), 2), np.float32)
    if meaning:  # the last two texts have none
        vectors[:, 0], vectors[:, 1] = c["text"] % 4, c["kind"] * (c["text"] < 4)
    for place, memory in enumerate(flat):
        memory["vector"] = vectors[place].tolist()

    def relevance(focal, memory):
        if any(focal["vector"]):
            return naive_scoring.cosine(focal["vector"], memory["vector"])
        return naive_scoring.overlap(words(TEXTS[focal["text"]]), words(TEXTS[memory["text"]]))

    focal = np.full((len(agents), 2), -1)
    focal[:, 0] = offsets[:-1]
    out = np.empty((len(agents), 2, m), np.int64)
    form(bring_to_mind, plain)(
        offsets, np.full(len(agents), until), focal, c["created"], c["accessed"], c["importance"],
        c["sequence"], c["text"], starts, ends, said, vectors if meaning else None,
        0.995, 1.0, 2.0, 3.0, out,
    )  # fmt: skip
    assert (out[:, 1] == -1).all()
    for f, mine in enumerate(agents):
        if not any(memory["created"] <= until for memory in mine):
            assert (out[f] == -1).all()
            continue
        weights = (1.0, 2.0, 3.0)
        everything = naive.recalled(mine, mine[0], until, len(mine), weights, relevance)
        score_of = {memory["sequence"]: s for memory, s in zip(*everything, strict=True)}
        got = [mine[place - offsets[f]]["sequence"] for place in out[f, 0] if place >= 0]
        assert len(got) == len(set(got)) == min(m, len(score_of))
        assert [score_of[s] for s in got] == pytest.approx(everything[1][: len(got)], abs=1e-5)


def test_only_what_was_there_at_the_moment_is_evidence():
    """Of a whole day in one step a reflection at noon knows the morning alone."""
    world, agents = society(threshold=1.0, evidence=50)
    see(world, agents, *((0, at, 0.5, f"cup {at} is hot") for at in (1, 2, 3, 4)))
    world.step(days(1))
    evidence = [sorted(row[4]) for row in thoughts(world)]
    assert evidence[:2] == [["cup 1 is hot", "cup 2 is hot"]] * 2
    assert [len(each) for each in evidence[2:]] == [4, 4]


def test_a_reflection_is_about_what_was_seen_since_the_last():
    """The most important text of before is not taken up again; each text is taken once."""
    world, agents = society(threshold=1.0)
    see(world, agents, (0, 1, 0.9, "bread is burning"), (0, 2, 0.2), (0, 3, 0.5), (0, 4, 0.5))
    world.step(hours(1))
    assert [row[0] for row in thoughts(world)] == [
        "Ann often thinks about bread burning",
        "Ann often thinks about tea being hot",
        "Ann often thinks about tea being hot",
    ]


def test_evidence_is_relevant_by_words_or_by_meaning():
    """Where relevance is all that counts the best evidence shares words with the focal point; with
    vectors it is near in meaning."""
    score = RecallScore(w_recency=0, w_importance=0)
    texts = ["kettle is boiling", "Bo is boiling eggs", "tea is ready", "kettle is old"]
    for system, want in ((reflect, [0, 3]), (reflection(vector=Meaning.vector), [0, 2])):
        world, agents = society(system=system, threshold=1.0, score=score, evidence=2)
        see(world, agents, *((0, at, 0.3 - 0.1 * (at > 0), text) for at, text in enumerate(texts)))
        world.step(hours(1))
        ids = world.index(Memory.owner).ids(agents[0])
        world.add(ids, Meaning(vector=[[1, 0], [0, 1], [2, 0.1], [-1, 0]]))
        see(world, agents, (0, 70, 0.1, ""))
        world.step(hours(1))
        ((_, _, _, _, evidence),) = thoughts(world)[:1]
        assert sorted(evidence) == sorted(texts[place] for place in want)


def test_a_mind_without_memories_reflects_on_nothing():
    """What was observed and forgotten in between still counts, but nothing comes of it."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, (0, 1, 0.9))
    world.step(hours(1))
    world.query(Memory).despawn()
    see(world, agents, (0, 61, 0.9, ""))
    world.step(hours(1))
    assert fired(world, agents, reader) == [(0, 61.0, 0)]
    assert world.query(Evidence).count() == 0


# -- what comes of it ------------------------------------------------------------------------


def test_a_thought_is_a_memory_with_links_to_its_evidence():
    """Kind, time, sequence, stability and importance are those of a memory formed at the moment;
    what it rests on is linked."""
    world, agents = society(threshold=1.0)
    see(world, agents, (0, 10, 0.6, "tea is hot"), (0, 20, 0.7, "Bo is pouring tea"))
    world.step(hours(1))
    ids = world.query(Memory, Reflection).ids()
    assert world.get(ids, Memory.kind).tolist() == [THOUGHT] * 2
    assert world.get(ids, Memory.created).tolist() == [NOW + minutes(20)] * 2
    assert world.get(ids, Trace.accessed).tolist() == [NOW + minutes(20)] * 2
    assert sorted(world.get(ids, Memory.sequence).tolist()) == [2, 3]
    assert world.get(agents, Stream.formed).tolist() == [4, 0]
    assert (world.get(ids, Trace.stability) == np.float32(Retention().half_life)).all()
    assert (world.get(ids, Trace.importance) == np.float32(0.7)).all()
    assert [sorted(row[4]) for row in thoughts(world)] == [["Bo is pouring tea", "tea is hot"]] * 2
    world.check()


def test_depth_is_one_above_the_deepest_evidence():
    """Thoughts about observations are 1 deep, thoughts about those 2, and 255 is the end."""
    world, agents = society(threshold=1.0)
    for hour in range(3):
        see(world, agents, (0, hour * 60 + 1, 1.0, "tea is hot"))
        world.step(hours(1))
    assert [row[1] for row in thoughts(world)] == [1, 2, 3]
    world.query(Reflection).set(Reflection(depth=255))
    see(world, agents, (0, 181, 1.0))
    world.step(hours(1))
    assert [row[1] for row in thoughts(world)] == [255] * 4


def test_evidence_goes_with_either_end():
    """A forgotten memory or thought takes its links along, and nothing else."""
    world, agents = society(threshold=1.0)
    see(world, agents, (0, 1, 0.5), (0, 2, 0.5, "it is raining"))
    world.step(hours(1))
    n_links = world.query(Evidence).count()
    observation = world.query(Memory, without=Reflection).ids()[:1]
    n_named = int(world.index(Evidence.memory).count(observation)[0])
    world.despawn(observation)
    assert world.query(Evidence).count() == n_links - n_named < n_links
    assert world.query(Reflection).count() == 2
    world.query(Reflection).despawn()
    assert world.query(Evidence).count() == 0
    assert world.query(Memory).count() == 1


def test_what_comes_to_mind_counts_as_recalled():
    """Once a reflection, at its time, however many focal points it is recalled for."""
    world, agents = society(threshold=1.0, focal_points=3, memories=2)
    reader = world.events(Recalled)
    see(world, agents, *((0, at, 0.25, f"cup {at} is hot") for at in range(4)))
    world.step(hours(1))
    recalled = reader.read()
    assert recalled.time.tolist() == [NOW + minutes(3)] * len(recalled)
    assert 2 <= len(recalled) == len(set(recalled.memory.tolist())) <= 4
    assert (np.diff(world.get(recalled.memory, Memory.sequence).astype(int)) > 0).all()


def test_the_same_memory_comes_to_mind_again_and_again():
    """It is recalled by each reflection, at the time of each."""
    world, agents = society(threshold=1.0, focal_points=1, memories=1)
    reader = world.events(Recalled)
    see(world, agents, (0, 1, 1.0), (0, 2, 1.0, ""))
    world.step(hours(1))
    recalled = reader.read()
    assert recalled.time.tolist() == [NOW + minutes(1), NOW + minutes(2)]
    assert world.get(recalled.memory, Memory.sequence).tolist() == [0, 0]


def test_the_dead_do_not_reflect():
    """Who has died since they observed something is passed over, and everybody else is not."""
    world, agents = society(threshold=1.0)
    reader = world.events(Reflected)
    see(world, agents, (0, 1, 1.0), (1, 1, 1.0))
    world.despawn(agents[:1])
    world.step(hours(1))
    assert fired(world, agents, reader) == [(1, 1.0, 1)]
    world.check()


def test_nothing_observed_costs_nothing():
    """No events: no agent is touched and no writer called, in an empty world too."""
    calls = []
    for n_agents in (0, 2):
        world, agents = society(n_agents, reflection(calls.append))
        world.step(hours(1))
        assert not world.has(agents, Unreflected).any()
    assert calls == []


def test_reflections_are_done_in_parts(monkeypatch):
    """How many memories are copied at once does not show."""
    from populace.systems import reflection as module

    found = []
    for most in (2**20, 1, 5):
        monkeypatch.setattr(module, "MOST_AT_ONCE", most)
        world, agents = society(3, threshold=0.5)
        see(world, agents, *((at % 3, at, 0.2, f"cup {at % 5} is hot") for at in range(40)))
        world.step(hours(1))
        found.append([thoughts(world, int(agent)) for agent in agents])
    assert found[0] == found[1] == found[2]
    assert min(map(len, found[0])) > 2


# -- who writes ------------------------------------------------------------------------------


def writing(answer, **law):
    """A world in which both agents are about to reflect, and a writer gives `answer(occasions)`."""
    calls = []

    def writer(occasions):
        calls.append(occasions)
        return answer(occasions)

    world, agents = society(system=reflection(writer), threshold=1.0, **law)
    see(world, agents, (1, 10, 1.0, "it is raining"), (0, 20, 0.3, "Bo is late"), (0, 30, 0.7))
    return world, agents, calls


def test_a_writer_is_called_once_with_everything():
    """All occasions of all agents, by their numbers and times, with texts and limits; what it says
    is taken word for word."""
    world, _, calls = writing(
        lambda occasions: [[Insight(f"{o.name}: {o.focal}?", [0], 0.25)] for o in occasions],
        insights=2,
    )
    world.step(hours(1))
    assert calls == [
        [
            Occasion("Ann", "tea is hot", ("tea is hot", "Bo is late"), NOW + minutes(30), 2, 5),
            Occasion("Ann", "Bo is late", ("tea is hot", "Bo is late"), NOW + minutes(30), 2, 5),
            Occasion("Bo", "it is raining", ("it is raining",), NOW + minutes(10), 2, 5),
        ]
    ]
    assert [row[:3] for row in thoughts(world)][:2] == [
        ("Bo: it is raining?", 1, 0.25), ("Ann: tea is hot?", 1, 0.25),
    ]  # fmt: skip


def test_a_writer_may_give_none_or_several():
    """As many insights as allowed, or none; plain tuples pass, and numpy's numbers."""
    world, agents, _ = writing(
        lambda o: [[], [("one", (1, 0)), ("two", np.array([0]), np.float32(0.5))], []]
    )
    reader = world.events(Reflected)
    world.step(hours(1))
    assert fired(world, agents, reader) == [(0, 30.0, 2), (1, 10.0, 0)]
    assert [(row[0], row[2], len(row[4])) for row in thoughts(world)] == [
        ("one", pytest.approx(0.7), 2), ("two", 0.5, 1),
    ]  # fmt: skip


GOOD = Insight("fine", [0])


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (None, ColumnTypeError, "a list with a list of insights for each occasion; got NoneType"),
        ("text", ColumnTypeError, "got str"),
        ([[GOOD]], ColumnShapeError, "each of the 3 occasions; got 1"),
        ([[GOOD]] * 4, ColumnShapeError, "got 4"),
        ([[GOOD], "fine", []], ColumnTypeError, r"answer 1 \('Ann' about 'Bo is late'\) must be a"),
        ([[GOOD], [GOOD] * 6, []], ColumnShapeError, "6 insights; Reflecting.insights allows 5"),
        ([[GOOD], ["fine"], []], ColumnTypeError, "an insight is Insight"),
        ([[GOOD], [("fine",)], []], ColumnTypeError, "an insight is Insight"),
        ([[GOOD], [(7, [0])], []], ColumnTypeError, "text must be a str; got 7"),
        ([[GOOD], [(" ", [0])], []], ColumnValueError, "the text is empty"),
        ([[GOOD], [("fine", 0)], []], ColumnTypeError, "places in Occasion.evidence; got 0"),
        ([[GOOD], [("fine", ["x"])], []], ColumnTypeError, "places in Occasion.evidence"),
        ([[GOOD], [("fine", [float("inf")])], []], ColumnTypeError, "places in Occasion.evidence"),
        ([[GOOD], [("fine", [])], []], ColumnValueError, "rests on 1 to 5 memories"),
        ([[GOOD], [("fine", [0, 0])], []], ColumnValueError, "each named once"),
        ([[GOOD], [("fine", range(6))], []], ColumnValueError, "rests on 1 to 5 memories"),
        ([[GOOD], [("fine", [2])], []], ColumnValueError, "places from 0 to 1"),
        ([[GOOD], [("fine", [-1])], []], ColumnValueError, "places from 0 to 1"),
        ([[GOOD], [("fine", [0.5])], []], ColumnValueError, "places from 0 to 1"),
        ([[GOOD], [("fine", [0], 1.5)], []], ColumnValueError, r"importance must lie in \[0, 1\]"),
        ([[GOOD], [("fine", [0], float("nan"))], []], ColumnValueError, "importance must lie"),
        ([[GOOD], [("fine", [0], "high")], []], ColumnTypeError, "importance must be a number"),
        ([[GOOD], [("fine", [0], True)], []], ColumnTypeError, "importance must be a number"),
    ],
)
def test_answers_that_are_wrong_change_nothing(answer, error, match):
    """The error says whose answer, what it was and what is allowed; no thought, no link, no sum."""
    world, agents, _ = writing(lambda occasions: answer)
    reader = world.events(Recalled)
    with pytest.raises(error, match=match):
        world.step(hours(1))
    assert world.query(Memory).count() == 3
    assert world.query(Evidence).count() == len(reader.read()) == 0
    assert not world.has(agents, Unreflected).any()
    assert "fine" not in world.text


def test_a_writer_that_fails_changes_nothing():
    """Its own error comes through."""
    world, agents, _ = writing(lambda occasions: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.step(hours(1))
    assert world.query(Memory).count() == 3
    assert not world.has(agents, Unreflected).any()


@pytest.mark.parametrize(
    ("focal", "want"),
    [
        ("Ann Lee is reading", "reading"),
        ("Ann Lee is a student", "being a student"),
        ("Bo is late.", "Bo being late"),
        ("desks are being cleaned", "desks being cleaned"),
        ("conversing about what is to be done", "conversing about what is to be done"),
        ("Valentine's Day!", "Valentine's Day"),
        ("Ann Lee is ", "Ann Lee is"),
    ],
)
def test_the_template_reads_as_a_sentence(focal, want):
    """An observation becomes a phrase after "about"; the evidence is each text once, the best."""
    evidence = (focal, "it is raining", focal, "tea is hot", "bread is warm")
    (((text, places, importance),),) = template_writer(
        [Occasion("Ann Lee", focal, evidence, NOW, 5, 3)]
    )
    assert text == f"Ann Lee often thinks about {want}"
    assert (places, importance) == ([0, 1, 3], None)


def test_a_template_for_nobody_and_nothing():
    """An agent without a name, and a text that is only a mark, still make a sentence."""
    (((text, _, _),),) = template_writer([Occasion("", "...", ("...",), NOW, 5, 3)])
    assert text.startswith("Somebody often thinks about")


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", 0.0), ("focal_points", 0), ("insights", 2.5), ("evidence", 0), ("memories", -1)],
)
def test_settings_that_make_no_reflection_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Reflecting\.{name}"):
        Reflecting(**{name: value})


def test_a_field_that_is_no_vector_is_refused():
    """When the system is made, not when it runs."""
    with pytest.raises(QueryError, match="takes a Vector field"):
        reflection(vector=Trace.importance)


# -- real streams ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ville():
    """Three real agents' streams of one day, or a skip that says where they were looked for."""
    root = Path(__file__).resolve().parents[2]
    found = Path(os.environ.get("POPULACE_REAL_DATA") or root.parent / "shared" / "data")
    if not (found / "ville").is_dir():
        pytest.skip("no real data: neither POPULACE_REAL_DATA nor ../shared/data holds ville")
    return read_ville(found / "ville")


def replay(ville, step, kinds):
    """A world that lives through the real day's observations; and its reflections."""
    world, agents = society(3, names=ville.name)
    owner, created = np.array(ville.owner), np.array(ville.created)
    kind, importance = np.array(ville.kind), np.array(ville.poignancy) / 10
    text = np.array(ville.text, object)
    world.clock.now = int(created.min()) - 1
    reader, found = world.events(Reflected), []
    while world.clock.now < created.max():
        now = (created > world.clock.now) & (created <= world.clock.now + step)
        now &= np.isin(kind, kinds)
        world.emit(
            Observed(
                owner=agents[owner[now]], time=created[now], text=text[now], kind=kind[now],
                importance=importance[now],
            )
        )  # fmt: skip
        world.step(step)
        events = reader.read()
        found += zip(events.agent.tolist(), events.time.tolist(), strict=True)
    return world, agents, sorted(found)


def test_a_real_day_sets_off_six_reflections(ville):
    """Klaus Mueller's events weigh 101.7: with a threshold of 15 he reflects 6 times, also where
    his chats count; Isabella Rodriguez 9 times, Maria Lopez 6 times, and 7 with her chats."""
    for kinds, want in (((EVENT,), [9, 6, 6]), ((EVENT, CHAT), [9, 6, 7])):
        _, agents, found = replay(ville, days(1), kinds)
        counts = [sum(agent == each for agent, _ in found) for each in agents.tolist()]
        assert counts == want


def test_a_real_day_is_the_same_in_any_steps(ville):
    """Hour by hour and all at once the same agents reflect at the same moments; and thoughts build
    on thoughts."""
    hourly, _, one = replay(ville, hours(1), (EVENT, CHAT))
    _, _, other = replay(ville, days(1), (EVENT, CHAT))
    assert one == other
    assert hourly.query(Reflection).gather(Reflection.depth).max() >= 4
    hourly.check()


@pytest.mark.parametrize(
    ("focal", "want"),
    [
        ("saw Bo Lind at Hobbs Cafe", "seeing Bo Lind at Hobbs Cafe"),
        ("talked with Bo Lind at the well", "talking with Bo Lind at the well"),
        ("talked", "talked"),
        ("talked with Bo; felt at ease", "talking with Bo"),
        ("talked with Bo at the well; felt hurt", "talking with Bo at the well"),
        ("talked with Bo about the election", "talking with Bo about the election"),
        (
            "talked with Bo about the election at the well; felt angry",
            "talking with Bo about the election",
        ),
        (
            "talked with Bo about the storm at sea at the well",
            "talking with Bo about the storm at sea",
        ),
    ],
)
def test_what_the_laws_observe_reads_well(focal, want):
    """What perception and encounters tell becomes a phrase too."""
    [[insight]] = template_writer([Occasion("Ann", focal, (focal,), 0, 1, 1)])
    assert insight.text == f"Ann often thinks about {want}"


def test_those_who_cannot_remember_do_not_reflect():
    """Who lacks a stream observes in vain: nothing is formed, nothing summed, nothing raised."""
    world = World()
    for law in (Retention(), RecallScore(), Reflecting(threshold=1.0)):
        world.insert(law)
    agents = world.spawn(2, Persona(number=[0, 1]))
    world.add(agents[:1], Stream())
    world.add_systems(form_memories, reflect)
    world.emit(Observed(owner=agents, time=0, text="a fire", importance=1.0))
    world.step(1)
    assert world.index(Memory.owner).count(agents).tolist()[1] == 0
    assert world.query(Reflection).count() == 1


def test_a_writer_that_fails_loses_nothing():
    """The observations that it could not take up are there for it in the next step."""
    failing = [True]

    def moody(occasions):
        if failing[0]:
            raise RuntimeError("out of words")
        return template_writer(occasions)

    world = World()
    for law in (Retention(), RecallScore(), Reflecting(threshold=1.0)):
        world.insert(law)
    ann = world.spawn(1, Persona(number=0, name="Ann"), Stream)
    world.add_systems(form_memories, reflection(moody))
    world.emit(Observed(owner=ann, time=0, text="a fire", importance=1.0))
    with pytest.raises(RuntimeError):
        world.step(1)
    assert world.query(Reflection).count() == 0
    failing[0] = False
    world.step(1)
    assert world.query(Reflection).count() == 1
