"""Encounters: who remembers a contact, in which words, and how much it is worth."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import (
    OCC,
    Contact,
    Emotion,
    Memory,
    MemoryKind,
    Met,
    Mood,
    Observed,
    Persona,
    Stream,
    Taught,
    Topic,
    Trace,
)
from populace.ecs import World, days, f4, hours
from populace.ecs.errors import SettingError
from populace.systems.affect import Emotions
from populace.systems.encounters import (
    WORDS,
    Encounters,
    find_talks,
    names,
    remember_contacts,
    sentences,
)
from populace.systems.formation import form_memories
from populace.systems.knowledge import Learning, learn
from populace.systems.rapport import Rapport
from populace.systems.retention import Retention
from populace.systems.telling import pass_on
from populace.systems.ties import Ties, apply_contacts
from populace.systems.topics import intern_topics

from . import naive_rapport
from . import naive_ties as naive

START = days(19_000)
NAMES = ["Ann", "Bo", "", "Di"]
PLACES = ["", "the park", "the tea house"]
cheap = settings(max_examples=60)


def society(**law):
    """Four agents with memory streams, the third without a name; their ids."""
    world = World(seed=1)
    world.clock.now = START
    world.insert(Encounters(**law))
    world.add_system(remember_contacts)
    return world, world.spawn(4, Persona(number=np.arange(4), name=NAMES), Stream())


def meeting(agents, drawn):
    """Drawn contacts (source, target, time, outcome, place) as what the ties tell of them."""
    source, target, time, outcome, place = (list(column) for column in zip(*drawn, strict=True))
    return Met(
        source=agents[source],
        target=agents[target],
        time=time,
        outcome=outcome,
        place=[PLACES[p] for p in place],
    )


def observed(world, drawn, agents):
    """What is observed of contacts: (owner, time, text, kind, importance) of each, in order."""
    reader = world.events(Observed)
    world.emit(meeting(agents, drawn))
    world.step(0)
    batch = reader.read()
    texts = world.text.decode(batch.text)
    return list(
        zip(
            batch.owner.tolist(), batch.time.tolist(), texts, batch.kind.tolist(),
            batch.importance.tolist(), strict=True,
        )
    )  # fmt: skip


histories = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(START, START + days(1)),
        st.floats(-1, 1, width=32),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=30,
)


@cheap
@given(histories, st.floats(0, 1), st.floats(0, 1))
def test_both_parties_remember_each_contact(drawn, importance, intensity):
    """One observation each, side by side, in the order told, as the plain twin has it."""
    world, agents = society(importance=importance, intensity=intensity)
    want = []
    for source, target, time, outcome, place in drawn:
        weight = pytest.approx(min(importance + intensity * abs(outcome), 1), abs=1e-6)
        for owner, other in ((source, target), (target, source)):
            text = naive.sentence(NAMES[other], PLACES[place])
            want.append((int(agents[owner]), time, text, int(MemoryKind.CHAT), weight))
    assert observed(world, drawn, agents) == want


def test_golden_sentences():
    """With a place and without, of somebody without a name, good, bad and plain."""
    world, agents = society()
    got = observed(
        world, [(0, 1, START, 0.0, 1), (0, 2, START, -1.0, 0), (0, 3, START, 0.5, 2)], agents
    )
    assert [(row[2], round(row[4], 3)) for row in got] == [
        ("talked with Bo at the park", 0.3), ("talked with Ann at the park", 0.3),
        ("talked with somebody", 0.8), ("talked with Ann", 0.8),
        ("talked with Di at the tea house", 0.55), ("talked with Ann at the tea house", 0.55),
    ]  # fmt: skip


@cheap
@given(histories, st.integers(0, 30))
def test_text_codes_do_not_depend_on_the_length_of_a_step(drawn, cut):
    """Sentences are made in the order in which they are first said, however time is cut."""
    strings = []
    for parts in ([drawn], [drawn[:cut], drawn[cut:]]):
        world, agents = society()
        world.text.intern(PLACES)
        for part in filter(None, parts):
            world.emit(meeting(agents, part))
            world.step(0)
        strings.append(world.text.strings)
    assert strings[0] == strings[1]


def test_each_sentence_is_made_once_a_batch():
    """A thousand contacts of two agents at one place make two sentences."""
    world, agents = society()
    before = len(world.text)
    assert len(observed(world, [(0, 1, START, 0.0, 1)] * 1_000, agents)) == 2_000
    assert len(world.text) == before + len({"the park"}) + 2


def test_sentences_are_looked_up_by_name_and_place():
    """Codes may repeat and come in any order; none gives none."""
    world, _ = society()
    name = world.text.intern(["Bo", "Ann", "Bo", ""])
    place = world.text.intern(["", "the park", "the park", "the park"])
    assert world.text.decode(sentences(world, name, place)) == [
        "talked with Bo", "talked with Ann at the park", "talked with Bo at the park",
        "talked with somebody at the park",
    ]  # fmt: skip
    assert sentences(world, name[:0], place[:0]).size == 0


# -- what about, and how it felt ----------------------------------------------------------------

TOPICS = ["tea", "the storm at sea", "the election"]
MILD, MIDDLE, STRONG = range(3)
SAID = {  # [label, strength]
    OCC.JOY: ["at ease", "cheered", "delighted"],
    OCC.GRATITUDE: ["encouraged", "encouraged", "grateful"],
    OCC.DISTRESS: ["uneasy", "disappointed", "hurt"],
    OCC.ANGER: ["annoyed", "annoyed", "angry"],
}


def feeling_society(**law):
    """A society with rapport in which all but the last feel; its ids and topics."""
    world, agents = society(**law)
    world.insert(Rapport())
    world.set(agents, Persona(neuroticism=[0.2, 0.8, 0.5, 0.5]))
    world.add(agents[:3], Emotion, Mood)
    return world, agents, intern_topics(world, TOPICS)


def word_for(world, agents, one, other, time, outcome, strength, above):
    """What a party says that it felt."""
    if one == 3 or one == other or abs(outcome) <= above:
        return ""
    neuroticism = float(world.get(agents[one], Persona.neuroticism)[0])
    label = naive_rapport.emotion(1, one, other, time, outcome, strength, neuroticism)
    size = abs(outcome)
    return SAID[label][STRONG if size >= f4(0.7) else MIDDLE if size >= f4(0.45) else MILD]


few_moments = st.integers(START, START + 3)
talks = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), few_moments, st.floats(-1, 1, width=32),
        st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0]),
    ),
    min_size=1, max_size=20,
)  # fmt: skip
tellings = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), few_moments, st.integers(0, 2),
        st.sampled_from([0.25, 0.5, 1.0]), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@cheap
@given(talks, tellings, st.sampled_from([0.0, 0.25, 0.6]))
def test_both_remember_what_about_and_how_it_felt(compiled, drawn, told, felt):
    """As the plain twin has it, whatever was told to whom when: of what is new the surest, else of
    all, and of equals what was told first; and in the words of either party's emotion."""
    world, agents, topics = feeling_society(felt=felt)
    reader = world.events(Observed)
    source, target, time, outcome, place, strength = (list(x) for x in zip(*drawn, strict=True))
    world.emit(
        Met(source=agents[source], target=agents[target], time=time, outcome=outcome,
            place=[PLACES[p] for p in place], strength=strength, returned_strength=0.5)
    )  # fmt: skip
    if told:
        learner, teacher, when, topic, sure, first = (list(x) for x in zip(*told, strict=True))
        world.emit(
            Taught(learner=agents[learner], topic=topics[topic], teacher=agents[teacher],
                   time=when, confidence=sure, first=first)
        )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr("populace.systems.encounters.find_talks", find_talks.py_func)
        world.step(0)
    want = []
    for i, j, now, outcome, place, strength in drawn:
        about = naive_rapport.topic(told, i, j, now)
        for one, other, tie in ((i, j, strength), (j, i, 0.5)):
            word = word_for(world, agents, one, other, now, outcome, tie, felt)
            subject = None if about is None else TOPICS[about]
            want.append(naive.sentence(NAMES[other], PLACES[place], subject, word))
    assert world.text.decode(reader.read().text) == want


@cheap
@given(talks, tellings, st.integers(0, 4))
def test_text_codes_of_talks_do_not_depend_on_the_length_of_a_step(drawn, told, cut):
    """With topics and feelings too, sentences are made in the order in which they are said."""
    strings, edges = [], [START, START + cut, START + 9]
    for parts in ([START, START + 9], edges):
        world, agents, topics = feeling_society()
        world.text.intern(PLACES)
        for begin, end in pairwise(parts):
            now = sorted((t for t in drawn if begin <= t[2] < end), key=lambda t: t[2])
            for source, target, time, outcome, place, strength in now:
                world.emit(
                    Met(source=agents[source], target=agents[target], time=time, outcome=outcome,
                        place=PLACES[place], strength=strength)
                )  # fmt: skip
            for learner, teacher, time, topic, sure, first in told:
                if begin <= time < end:
                    world.emit(
                        Taught(learner=agents[learner], topic=topics[topic], time=time,
                               teacher=agents[teacher], confidence=sure, first=first)
                    )  # fmt: skip
            world.step(0)
        strings.append(world.text.strings)
    assert strings[0] == strings[1]


def test_a_talk_in_full():
    """Golden, from the contact to both memories: ties, telling, feelings; the next talk is of
    nothing, and went neither way."""
    world = World(seed=3)
    world.clock.now = START
    for law in (Ties(saturation=0.01), Learning(), Emotions(), Rapport(), Encounters()):
        world.insert(law)
    maria, klaus = world.spawn(
        2,
        Persona(number=[0, 1], name=["Maria Lopez", "Klaus Mueller"], neuroticism=[0, 1]),
        Stream, Emotion, Mood,
    )  # fmt: skip
    learn(world, maria, intern_topics(world, ["the election"]))
    world.insert(Retention())
    world.add_systems(apply_contacts, pass_on, remember_contacts, form_memories)
    world.emit(
        Contact(source=maria, target=klaus, time=START + np.arange(1, 3), outcome=[-0.8, 0.5],
                mutual=True, place=["Hobbs Cafe", ""])
    )  # fmt: skip
    world.step(hours(1))
    memories = world.query(Memory)
    assert world.text.decode(memories.gather(Memory.text)) == [
        "talked with Klaus Mueller about the election at Hobbs Cafe; felt angry",
        "talked with Klaus Mueller about the election; felt encouraged",
        "talked with Maria Lopez about the election at Hobbs Cafe; felt hurt",
        "talked with Maria Lopez about the election; felt encouraged",
    ]


def test_a_topic_that_has_ended_is_not_named():
    """It is despawned between the telling and the memory, or is a topic no more."""
    world, agents, topics = feeling_society()
    world.emit(
        Taught(learner=agents[0], topic=topics[:2], teacher=agents[1], time=START + np.arange(2),
               confidence=1, first=True)
    )  # fmt: skip
    world.despawn(topics[0])
    world.remove(topics[1], Topic)
    drawn = [(0, 1, START, 0.0, 0), (0, 1, START + 1, 0.0, 0)]
    assert {row[2] for row in observed(world, drawn, agents)} == {
        "talked with Bo", "talked with Ann",
    }  # fmt: skip


def test_without_rapport_no_feeling_is_told():
    """In a world that has no `Rapport` a talk is remembered as before, whoever feels."""
    world, agents = society()
    world.add(agents, Emotion, Mood)
    assert observed(world, [(0, 1, START, 1.0, 0)], agents)[0][2] == "talked with Bo"


def test_there_are_few_words():
    """Ten, each once, after none; the sentences of all are told apart."""
    assert len(WORDS) == len(set(WORDS)) == 11
    world, _ = society()
    name = np.zeros(11, np.uint32)
    texts = world.text.decode(sentences(world, name, name, 0, np.arange(11)))
    assert texts == [naive.sentence("", "", None, word) for word in WORDS]


def test_only_those_who_can_remember_do():
    """The dead and those without a stream or a persona observe nothing; the others speak of them:
    by name where they have one and live, else of somebody."""
    world, agents = society()
    cat, clerk = world.spawn(1)[0], world.spawn(1, Persona(number=9, name="Clerk"))[0]
    reader = world.events(Observed)
    world.emit(
        Met(source=agents[[0, 0, 0, 1]], target=[cat, clerk, agents[3], agents[3]], time=START)
    )
    world.emit(Met(source=clerk, target=cat, time=START))
    world.despawn(agents[3:])
    world.step(0)
    batch = reader.read()
    assert batch.owner.tolist() == agents[[0, 0, 0, 1]].tolist()
    assert world.text.decode(batch.text) == [
        "talked with somebody", "talked with Clerk", "talked with somebody", "talked with somebody",
    ]  # fmt: skip
    assert world.text.decode(names(world, np.array([clerk, cat]))) == ["Clerk", ""]


def test_nothing_told_nothing_observed():
    """No event at all, neither without contacts nor where nobody can remember."""
    world, agents = society()
    reader = world.events(Observed)
    world.step(0)
    world.remove(agents, Stream)
    world.emit(meeting(agents, [(0, 1, START, 0.0, 0)]))
    world.step(0)
    assert len(reader) == 0


def test_a_contact_becomes_two_memories():
    """From the contact through the ties to both memory streams, in time order, each with its own
    sequence."""
    world, agents = society()
    world.insert(Ties())
    world.insert(Retention())
    world.add_system(apply_contacts, before=remember_contacts)
    world.add_system(form_memories)
    time = START + np.array([5, 3])
    world.emit(
        Contact(
            source=agents[:2], target=agents[[1, 0]], time=time, outcome=[1, 0], place="the park"
        )
    )
    world.step(days(1))
    memories = world.query(Memory, Trace)
    rows = sorted(
        zip(
            world.get(memories.gather(Memory.owner), Persona.number).tolist(),
            memories.gather(Memory.sequence).tolist(),
            memories.gather(Memory.created).tolist(),
            world.text.decode(memories.gather(Memory.text)),
            memories.gather(Trace.importance).tolist(),
            strict=True,
        )
    )
    early, late = START + 3, START + 5
    plain, good = float(f4(0.3)), float(f4(0.8))
    assert rows == [
        (0, 0, early, "talked with Bo at the park", plain),
        (0, 1, late, "talked with Bo at the park", good),
        (1, 0, early, "talked with Ann at the park", plain),
        (1, 1, late, "talked with Ann at the park", good),
    ]
    assert set(memories.gather(Memory.kind).tolist()) == {MemoryKind.CHAT}


@pytest.mark.parametrize(("name", "value"), [("importance", 1.5), ("intensity", -0.1), ("felt", 2)])
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Encounters\.{name} must lie in \[0, 1\]"):
        Encounters(**{name: value})
