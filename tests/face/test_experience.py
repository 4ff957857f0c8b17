"""What agents live through: held against the real streams it is modelled on."""

import json
from collections import Counter

import numpy as np
import pytest

from populace.components import Memory, MemoryKind, Persona, Stream, Trace
from populace.ecs import World, days
from populace.experience import NODES, compose, prepare_sentences
from populace.generate import populate
from populace.runs import make_world
from populace.systems import Span
from populace.ville import read_ville
from populace.words import FIRST_NAMES


def lives(n_agents=50, memories=300, seed=2):
    """Composed memories of a small population: (number, kind, importance, texts)."""
    world = World()
    populate(world, n_agents, seed=seed)
    sentences = prepare_sentences(world, seed=seed)
    number, sequence = np.divmod(np.arange(n_agents * memories), memories)
    kind, importance, text = compose(
        sentences, number, sequence, days(19_401) + sequence * days(0.01)
    )
    return number, kind, importance, np.array(world.text.decode(text))


def test_kind_and_importance_are_distributed_as_in_real_streams(real_data):
    """Shares of (kind, poignancy) in 500,000 generated memories are within 0.5 % of real ones."""
    found = read_ville(real_data / "ville")
    real = Counter(zip(found.kind, found.poignancy, strict=True))
    _, kind, importance, _ = lives(n_agents=500, memories=1_000)
    pairs = zip(kind.tolist(), np.round(importance * 10).astype(int).tolist(), strict=True)
    made = Counter(pairs)
    for pair in real | made:
        assert made[pair] / kind.size == pytest.approx(real[pair] / len(found.kind), abs=0.005)


def test_the_table_of_nodes_is_that_of_the_real_streams(real_data):
    """The counts written into the generator are those of the 2,105 nodes, sort by sort."""
    table = np.zeros_like(NODES)
    for path in (real_data / "ville").glob("*/nodes.json"):
        for fields in json.loads(path.read_text()).values():
            text, subject = fields["description"], fields["subject"]
            somebody = ":" not in subject and " " in subject and text.startswith(subject)
            sort = 2 if somebody else 0 if text.endswith("is idle") else 1
            sort = {"event": 0 if text.endswith("is idle") else sort, "thought": 3, "chat": 4}[
                fields["type"]
            ]
            table[sort, fields["poignancy"] - 1] += 1
    assert (table == NODES).all()


def test_idle_observations_matter_least():
    """Half of what is perceived is a thing being idle, with importance 0.1."""
    _, kind, importance, texts = lives()
    idle = np.char.endswith(texts, " is idle")
    assert idle.mean() == pytest.approx(0.52, abs=0.02)
    assert (importance[idle] == 0.1).all()
    assert (kind[idle] == MemoryKind.EVENT).all()


def test_lives_repeat_themselves():
    """Of a day's 700 memories 60 to 80 % say what an earlier one said (really 65 to 75 %)."""
    number, _, _, texts = lives(n_agents=30, memories=700)
    repeats = [1 - np.unique(texts[number == agent]).size / 700 for agent in range(30)]
    assert 0.6 < np.mean(repeats) < 0.8


def test_texts_are_sentences_about_people_who_exist():
    """No placeholder is left, and whoever acts in a memory is somebody's first name."""
    number, kind, _, texts = lives()
    assert not any("{" in text or text != text.strip() for text in np.unique(texts))
    thoughts = np.unique(texts[kind == MemoryKind.THOUGHT])
    assert {text.split()[0] for text in thoughts} <= set(FIRST_NAMES)
    chats = texts[kind == MemoryKind.CHAT]
    assert all(text.startswith("conversing with ") for text in chats)
    assert number.size == texts.size


def test_a_circle_is_small_and_for_life():
    """However many conversations an agent has, they are with at most 8 others' first names."""
    number, kind, _, texts = lives(n_agents=20, memories=3_000)
    for agent in range(20):
        chats = texts[(number == agent) & (kind == MemoryKind.CHAT)]
        assert 2 < len({text.split()[2] for text in chats}) <= 8


def test_somebody_alone_talks_to_somebody_else():
    """With one agent in the world the circle has another name than its own."""
    world = World()
    populate(world, 1, seed=3)
    own = world.text.decode(world.query(Persona).gather(Persona.name))[0].split()[0]
    _, kind, _, texts = lives(n_agents=1, memories=3_000, seed=3)
    chats = texts[kind == MemoryKind.CHAT]
    assert chats.size
    assert not any(own in text.split() for text in chats)


def test_nobody_is_their_own_friend():
    """Where two live, each converses with the other only."""
    world = World()
    populate(world, 2, seed=5)
    firsts = [
        name.split()[0] for name in world.text.decode(world.query(Persona).gather(Persona.name))
    ]
    number, kind, _, texts = lives(n_agents=2, memories=2_000, seed=5)
    for agent in (0, 1):
        chats = texts[(number == agent) & (kind == MemoryKind.CHAT)]
        assert {text.split()[2] for text in chats} == {firsts[1 - agent]}


def test_odd_names_are_no_trouble():
    """Braces, blanks and no name at all: imported people are called what they are called."""
    world = World()
    names = ["{Ada} Bell", "", "  ", "Kofi"]
    world.spawn(4, Persona(number=[0, 1, 5, 7], name=names), Stream())
    sentences = prepare_sentences(world, seed=1)
    number = np.repeat(np.array([0, 1, 5, 7]), 200)
    sequence = np.tile(np.arange(200), 4)
    texts = world.text.decode(compose(sentences, number, sequence, days(100) + sequence)[2])
    assert any("{Ada}" in text for text in texts[:200])


def test_memories_join_their_owners_streams():
    """Sequences go on from what was imported or formed before, without a gap, in order of time."""
    world = make_world("stream", {"stream.agents": 20, "stream.memories": 40, "run.days": 4})
    world.query(Stream).set(Stream(formed=5))
    while world.clock.now < world.resource(Span).end:
        world.step(days(0.3))
    everybody = world.query(Persona)
    assert everybody.count() == 20
    assert world.query(Stream).gather(Stream.formed).tolist() == [45] * 20
    owner = world.query(Memory).gather(Memory.owner)
    sequence = world.query(Memory).gather(Memory.sequence)
    created = world.query(Memory).gather(Memory.created)
    order = np.lexsort((sequence, owner))
    same = owner[order][1:] == owner[order][:-1]
    assert (created[order][1:] >= created[order][:-1])[same].all()
    assert sequence.min() >= 5
    assert sequence.max() == 44
    accessed = world.query(Memory, Trace).gather(Trace.accessed)
    assert (accessed == created).all()


def test_sentences_outlive_a_reclaim():
    """What an agent may come to remember is held before anybody remembers it."""
    world = World()
    populate(world, 20, seed=2)
    sentences = prepare_sentences(world, seed=2)
    world.insert(sentences)
    world.text.intern(["lost"])
    told = [world.text.decode(codes.ravel()) for codes in sentences.text_codes()]
    fields = [value for value in map(sentences.__getattribute__, sentences.__slots__)
              if getattr(value, "dtype", None) == np.uint32]  # fmt: skip
    assert len(fields) == len(told)
    assert world.reclaim_texts() >= 1
    assert [world.text.decode(codes.ravel()) for codes in sentences.text_codes()] == told
