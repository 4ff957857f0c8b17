"""Knowledge: the law, telling against its plain twin, and rumours."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from populace.components.contact import Met
from populace.components.knowledge import (
    NO_SOURCE,
    Confidence,
    Knowledge,
    KnowledgeForgotten,
    KnowledgeState,
    LearningRate,
    Provenance,
    Taught,
    Topic,
)
from populace.components.persona import Persona
from populace.ecs import NOBODY, World, component, days, hours, minutes, seconds
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    SettingError,
)
from populace.systems import telling
from populace.systems.knowledge import (
    REHEARSAL,
    Learning,
    confidences,
    expose_rows,
    forget_knowledge,
    known_at,
    learn,
    refresh_confidence,
    rehearse,
    share_knowing,
)
from populace.systems.telling import pass_on
from populace.systems.telling_nodes import NODE, NONE, link, number_agents, sort_chain, tell
from populace.systems.topics import intern_topics

from . import naive_knowledge as naive

START = days(19_408)
DAY_S = 86_400.0
STATE = ("confidence", "half_life", "rehearsed", "exposures")
ORIGIN = ("learned", "source_number", "hops")


def society(n_agents=6, n_topics=4, seed=7, threads=1, numbers=None, appeal=1.0, **law):
    """A world, its agents and its topics."""
    world = World(seed=seed, threads=threads)
    world.insert(Learning(**law))
    world.clock.now = START
    numbers = np.arange(n_agents) if numbers is None else np.asarray(numbers)
    agents = world.spawn(n_agents, Persona(number=numbers))
    topics = intern_topics(world, [f"topic {i}" for i in range(n_topics)], appeal)
    world.add_system(pass_on)
    return world, agents, topics


def meet(world, agents, contacts):
    """Emit contacts (source, target, time, strength, returned), agents by place."""
    if contacts:
        source, target, time, strength, returned = zip(*contacts, strict=True)
        world.emit(
            Met(source=agents[list(source)], target=agents[list(target)], time=list(time),
                strength=list(strength), returned_strength=list(returned))
        )  # fmt: skip


def held(world):
    """{(owner number, topic number): (state..., origin...)}, as Python numbers."""
    ids = world.query(Knowledge).ids()
    owner = world.get(world.get(ids, Knowledge.owner), Persona.number)
    topic = world.get(world.get(ids, Knowledge.topic), Topic.number)
    fields = [getattr(KnowledgeState, name) for name in STATE]
    fields += [getattr(Provenance, name) for name in ORIGIN]
    columns = [world.get(ids, field).tolist() for field in fields]
    return dict(zip(zip(owner.tolist(), topic.tolist(), strict=True),
                    zip(*columns, strict=True), strict=True))  # fmt: skip


def told(world, reader):
    """(learner, topic, teacher, time, first) as numbers, in the order of the events."""
    batch = reader.read()
    learner, teacher = (world.get(ids, Persona.number) for ids in (batch.learner, batch.teacher))
    topic = world.get(batch.topic, Topic.number)
    columns = (learner, topic, teacher, batch.time, batch.first)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def plainly(monkeypatch):
    """Let telling run without compiled kernels."""

    def records(arguments):
        return [a.view(np.recarray) if getattr(a, "dtype", None) and a.dtype.names else a
                for a in arguments]  # fmt: skip

    for name, kernel in (("tell", tell), ("link", link), ("number_agents", number_agents)):
        monkeypatch.setattr(
            telling, name, lambda *a, function=kernel.py_func: function(*records(a))
        )


# -- what agents know, as chains --------------------------------------------------------------


def followed(node, head):
    """The topics of the nodes that follow a head."""
    found, place = [], node["next"][head]
    while place != NONE:
        found.append(int(node["topic"][place]))
        place = node["next"][place]
    return found


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=40), max_size=4))
@example([list(range(33, 0, -1)), [], [5], list(range(64))])
def test_chains_come_by_topic(topics):
    """Of each agent its own, whatever order it learned them in."""
    known = np.array([topic for of in topics for topic in of], np.uint32)
    offsets = np.cumsum([0, *map(len, topics)])
    plain, zeros = np.zeros(known.size, np.float32), np.zeros(known.size, np.uint16)
    node = np.zeros(len(topics) + known.size, NODE)
    rehearsed = np.zeros(known.size, np.int64)
    link(offsets, known, plain, plain, rehearsed, zeros, 0, len(topics), node)
    for agent, of in enumerate(topics):
        assert followed(node, agent) == sorted(of)


def test_a_chain_is_sorted_as_it_comes():
    """By merging, of any length; what is equal keeps its order."""
    for n in (1, 2, 3, 17, 100):
        topic = np.random.default_rng(n).permutation(np.arange(n) // 2)
        for sort in (sort_chain, sort_chain.py_func):
            node = np.zeros(n + 1, NODE)
            node["topic"][1:], node["next"] = topic, [*range(1, n + 1), NONE]
            sort(node.view(np.recarray), 0)
            places, place = [], node["next"][0]
            while place != NONE:
                places.append(int(place))
                place = node["next"][place]
            assert places == (1 + np.argsort(topic, kind="stable")).tolist()


# -- telling ----------------------------------------------------------------------------------

laws = st.fixed_dictionaries(
    {
        "rate": st.sampled_from([0.0, 0.03, 0.5, 1.0]),
        "trust": st.sampled_from([0.0, 0.4, 1.0]),
        "half_life": st.sampled_from([3_600.0, DAY_S, 30 * DAY_S]),
        "growth": st.sampled_from([0.0, 1.0, 5.0]),
        "longest": st.sampled_from([3_600.0, 40 * DAY_S]),
        "threshold": st.sampled_from([0.0, 0.05, 0.31]),
    }
)
moments = st.integers(START - hours(4), START + days(2))
contacts = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 5), moments,
        st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.5, 1.0]),
    ),
    max_size=25,
)  # fmt: skip
knowing = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.floats(0.3125, 1, width=32), moments),
    max_size=10, unique_by=lambda row: row[:2],
)  # fmt: skip
rates = st.dictionaries(st.integers(0, 5), st.sampled_from([0.25, 0.75]), max_size=2)
appeals = st.just([1.0] * 4) | st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@settings(max_examples=60)
@given(laws, knowing, contacts, rates, appeals)
def test_telling_is_what_its_plain_twin_does(compiled, law, first, met, own, appeal):
    """Whatever is known and whoever meets, the kernel and the loop leave the same knowledge and
    tell of the same tellings, in one order."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        if not compiled:
            plainly(monkeypatch)
        world, agents, topics = society(appeal=appeal, **law)
        for agent, rate in own.items():
            world.add(agents[agent], LearningRate(value=rate))
        if first:
            owner, topic, sure, time = (list(column) for column in zip(*first, strict=True))
            learn(world, agents[owner], topics[topic], sure, time)
        reader = world.events(Taught)
        meet(world, agents, met)
        world.step(0)
        world.check()
    want, law = {}, world.resource(Learning)
    for owner, topic, sure, time in first:
        want[owner, topic] = naive.Piece(sure, law.half_life, time, time)
    speed = [own.get(agent, law.rate) for agent in range(6)]
    tellings = []
    for contact in sorted(met, key=lambda row: row[2]):
        if contact[0] != contact[1]:
            more, margin = naive.meet(want, contact, speed, 7, law, appeal)
            assume(margin > 1e-6)  # f4 and f8 may not agree on a draw as near as that
            tellings += more
    got = held(world)
    assert got.keys() == want.keys()
    for key, piece in want.items():
        confidence, half_life, *rest = got[key]
        assert confidence == pytest.approx(piece.confidence, rel=2e-6)
        assert half_life == pytest.approx(piece.half_life, rel=2e-6)
        assert rest == [piece.rehearsed, piece.exposures, piece.learned, piece.source, piece.hops]
    assert told(world, reader) == tellings


@settings(max_examples=60)
@given(laws, knowing, contacts, st.lists(st.integers(0, 25), max_size=4), st.booleans(), appeals)
def test_batches_and_forgetting_change_nothing(law, first, met, cuts, sweep, appeal):
    """One batch or several, with or without a sweep of the forgotten after each: what is known in
    the end is the same, bit for bit, and so are the tellings."""
    met = sorted(met, key=lambda row: row[2])
    seen = []
    for edges in ([], sorted(cuts)):
        world, agents, topics = society(appeal=appeal, **law)
        if first:
            owner, topic, sure, time = (list(column) for column in zip(*first, strict=True))
            learn(world, agents[owner], topics[topic], sure, time)
        reader, tellings = world.events(Taught), []
        edges = [min(edge, len(met)) for edge in edges]
        for begin, end in zip([0, *edges], [*edges, len(met)], strict=True):
            meet(world, agents, met[begin:end])
            if begin < end:
                world.clock.now = max(world.clock.now, met[begin][2])
            world.step(0)
            tellings += told(world, reader)
            if sweep and edges and end < len(met) and met[end][2] >= world.clock.now:
                world.clock.now = met[end][2]
                forget_knowledge(world)
        world.clock.now = START + days(3)
        forget_knowledge(world)
        seen.append((held(world), tellings))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_rows_nor_emission_nor_threads_matter(threads):
    """Rows in any order and in two tables, simultaneous contacts of different pairs in any order:
    the same knowledge, bit for bit."""

    @component
    class Dear:
        """A tag that puts knowledge into another table."""

    draw = np.random.default_rng(3)
    rounds = []
    for minute in range(90):  # each minute five pairs, nobody twice
        pairs = draw.permutation(30)[:10].reshape(5, 2).tolist()
        rounds.append([(a, b, START + minutes(minute), 0.7, 0.4) for a, b in pairs])
    seen = []
    for way in range(2):
        numbers = np.arange(30) if way == 0 else draw.permutation(30)
        world, agents, topics = society(30, 9, numbers=numbers, threads=threads)
        agents = agents[np.argsort(numbers)]
        known = learn(world, agents[:20], topics[np.arange(20) % 9], 0.9)
        if way:
            world.add(known[::3], Dear)
            world.cluster(KnowledgeState.rehearsed)
        meet(world, agents, [row for pairs in rounds for row in (pairs[::-1] if way else pairs)])
        world.step(hours(2))
        world.check()
        seen.append(held(world))
    assert seen[0] == seen[1]
    assert len(seen[0]) > 60


def test_what_was_just_learned_is_told_on():
    """A tells B and B tells C in one batch, in whatever order they are emitted: C knows, two hops
    from first hand, from B. What C told D before that C did not know yet."""
    world, agents, topics = society(4, 1, rate=1.0)
    learn(world, agents[0], topics)
    meet(world, agents, [(1, 2, START + 9, 1.0, 0.0), (0, 1, START + 5, 1.0, 0.0)])
    meet(world, agents, [(2, 3, START + 7, 1.0, 1.0)])
    world.step(hours(1))
    got = held(world)
    assert got.keys() == {(0, 0), (1, 0), (2, 0)}
    assert got[1, 0][4:] == (START + 5, 0, 1)
    assert got[2, 0][4:] == (START + 9, 1, 2)


def test_both_tell_what_they_knew_before():
    """What one hears at a contact is not told back at it."""
    world, agents, topics = society(2, 2, rate=1.0)
    learn(world, agents, topics)
    reader = world.events(Taught)
    meet(world, agents, [(0, 1, START, 1.0, 1.0)])
    world.step(1)
    assert told(world, reader) == [(1, 0, 0, START, True), (0, 1, 1, START, True)]
    assert {key: row[-1] for key, row in held(world).items()} == {
        (0, 0): 0, (1, 1): 0, (1, 0): 1, (0, 1): 1,
    }  # fmt: skip


def test_the_chance_of_a_telling_is_strength_times_confidence():
    """Of 4,000 pairs with strength 0.5 and confidence 0.6, 30 % tell; without a tie nobody does."""
    n = 4_000
    world, agents, topics = society(2 * n, 1, half_life=1e9, longest=1e9)
    learn(world, agents[:n], topics, 0.6)
    pairs = [(i, n + i, START, 0.5, 0.0) for i in range(n)]
    meet(world, agents, pairs)
    world.step(1)
    assert (world.query(Knowledge).count() - n) / n == pytest.approx(0.3, abs=0.025)
    meet(world, agents, [(i, n + i, START, 0.0, 0.0) for i in range(n)])
    before = held(world)
    world.step(1)
    assert held(world) == before


def test_the_chance_of_a_telling_falls_with_the_appeal():
    """Of 4,000 pairs, at strength 0.5 and confidence 1, half tell the best story, a fifth the one
    of appeal 0.4, and nobody the dull one; the first is told whatever the others are worth."""
    n = 4_000
    pairs = [(i, n + i, START, 0.5, 0.0) for i in range(n)]
    seen = []
    for appeal in ([1.0, 0.4, 0.0], [1.0, 1.0, 1.0]):
        world, agents, topics = society(2 * n, 3, appeal=appeal)
        learn(world, np.repeat(agents[:n], 3), np.tile(topics, n))
        meet(world, agents, pairs)
        world.step(1)
        heard = [owner for owner, topic in held(world) if owner >= n and topic == 0]
        shares = world.index(Knowledge.topic).count(topics) / n - 1
        assert shares.tolist() == pytest.approx([0.5 * each for each in appeal], abs=0.025)
        seen.append(sorted(heard))
    assert seen[0] == seen[1]


def test_topics_beyond_the_first_have_their_own_appeal():
    """Numbers need not start at 0 nor be dense: each topic goes by its own."""
    world, agents, _ = society(2, 0)
    topics = world.spawn(3, Topic(number=[7, 2, 40], name=["a", "b", "c"], appeal=[0.0, 1.0, 0.0]))
    learn(world, np.repeat(agents[:1], 3), topics)
    meet(world, agents, [(0, 1, START, 1.0, 0.0)])
    world.step(0)
    assert {topic for owner, topic in held(world) if owner == 1} == {2}


def test_a_topic_beyond_those_of_little_appeal_has_the_whole():
    """The last of those that have another appeal than 1 says nothing of those after it."""
    for number in (3, 4, 4_000_000_000):
        world, agents, _ = society(2, 0)
        topics = world.spawn(2, Topic(number=[2, number], name=["a", "b"], appeal=[0.0, 1.0]))
        learn(world, np.repeat(agents[:1], 2), topics)
        meet(world, agents, [(0, 1, START, 1.0, 0.0)])
        world.step(0)
        assert {topic for owner, topic in held(world) if owner == 1} == {number}


def test_exposures_saturate():
    """By hand: with rate 1/2 the confidence is 0.5, 0.75, 0.875; an exposure that finds half left
    makes the half-life half as long again."""
    law = {"half_life": 1_000.0, "rate": 0.5, "threshold": 0.0}
    world, agents, topics = society(2, 1, **law)
    learn(world, agents[0], topics)
    world.set(world.query(Knowledge).ids(), KnowledgeState(half_life=1e9))
    seen = []
    for _ in range(3):
        meet(world, agents, [(0, 1, START, 1.0, 0.0)])
        world.step(0)
        seen.append(held(world)[1, 0][:2])
    assert seen == [(0.5, 1000.0), (0.75, 1000.0), (0.875, 1000.0)]
    late = START + seconds(1_000)
    while held(world)[1, 0][2] < late:  # until the draw lets it be told again
        meet(world, agents, [(0, 1, late, 1.0, 0.0)])
        world.step(0)
    assert held(world)[1, 0][:4] == (pytest.approx(0.4375 + 0.5 * 0.5625), 1500.0, late, 4)


def test_trust_grows_with_the_learners_tie():
    """trust = t + (1 - t) * strength of the learner's tie, times the learner's own rate."""
    world, agents, topics = society(3, 1, trust=0.2, rate=1.0, threshold=0.01)
    world.add(agents[2], LearningRate(value=0.5))
    learn(world, agents[0], topics)
    meet(world, agents, [(0, 1, START, 1.0, 0.5), (0, 2, START, 1.0, 0.0)])
    world.step(0)
    got = held(world)
    assert got[1, 0][0] == pytest.approx(0.2 + 0.8 * 0.5)
    assert got[2, 0][0] == pytest.approx(0.5 * 0.2)


def test_the_source_is_known_beyond_its_death():
    """When the teacher dies its reference is NOBODY, its number stays, and so does the chain."""
    world, agents, topics = society(3, 1, rate=1.0, numbers=[40, 50, 60])
    learn(world, agents[0], topics)
    meet(world, agents, [(0, 1, START, 1.0, 0.0), (1, 2, START + 1, 1.0, 0.0)])
    world.step(0)
    ids = world.pairs(Knowledge).find(agents, topics)
    assert world.get(ids, Provenance.source).tolist() == [NOBODY, *agents[:2].tolist()]
    assert world.get(ids, Provenance.source_number).tolist() == [NO_SOURCE, 40, 50]
    world.despawn(agents[1])
    assert world.get(ids[2], Provenance.source).tolist() == [NOBODY]
    assert world.get(ids[2], Provenance.source_number).tolist() == [50]
    assert world.get(ids[2], Provenance.hops).tolist() == [2]


def test_late_news_counts_as_happening_at_the_last_exposure():
    """A telling that is older than what the learner's knowledge rests on raises it from where it
    is, and moves neither time nor half-life."""
    world, agents, topics = society(2, 1, rate=0.5)
    learn(world, agents, topics[[0, 0]], 0.8, [START - days(2), START])
    meet(world, agents, [(0, 1, START - days(1), 1.0, 0.0)])
    reader = world.events(Taught)
    world.step(0)
    assert len(reader.read()) == 1
    confidence, half_life, rehearsed, exposures = held(world)[1, 0][:4]
    assert confidence == pytest.approx(0.9)
    assert (half_life, rehearsed, exposures) == (30 * DAY_S, START, 2)


def test_contacts_of_the_dead_and_of_things_teach_nothing():
    """Nor does one of an agent with itself; those beside them count."""
    world, agents, topics = society(5, 1, rate=1.0)
    thing = world.spawn(1)
    learn(world, agents[:2], topics)
    everybody = np.append(agents, thing)
    meet(world, everybody, [(1, 2, START, 1.0, 1.0), (0, 0, START, 1.0, 1.0),
                            (5, 3, START, 1.0, 1.0), (0, 5, START, 1.0, 1.0),
                            (0, 4, START, 1.0, 1.0)])  # fmt: skip
    world.despawn(agents[1])
    world.step(0)
    assert held(world).keys() == {(0, 0), (4, 0)}


def test_no_contacts_and_no_knowledge_cost_nothing():
    """An empty batch, a batch before anybody knows anything, and one of the dead alone."""
    world, agents, _ = society()
    world.step(1)
    meet(world, agents, [(0, 1, START, 1.0, 1.0)])
    world.step(1)
    meet(world, agents, [(0, 1, START, 1.0, 1.0)])
    world.despawn(agents)
    world.step(1)
    assert not world.query(Knowledge).count()


def test_more_is_told_than_there_was_room_for():
    """Two agents with 3,000 topics each, and many who meet them: arrays grow, nothing is lost."""
    world, agents, topics = society(12, 6_000, rate=1.0, half_life=1e9, longest=1e9)
    learn(world, np.repeat(agents[:2], 3_000), topics)
    meet(world, agents, [(i % 2, i, START + i, 1.0, 1.0) for i in range(2, 12)])
    world.step(0)
    world.check()
    assert world.index(Knowledge.owner).count(agents[2:]).tolist() == [3_000] * 10
    assert world.query(Knowledge).count() == 36_000


def test_what_was_told_is_told_on_down_a_line():
    """Ten agents in a row: 500 topics pass from the first to the last in one batch."""
    world, agents, topics = society(10, 500, rate=1.0, half_life=1e9, longest=1e9)
    learn(world, agents[0], topics)
    meet(world, agents, [(i, i + 1, START, 1.0, 0.0) for i in range(9)])
    with pytest.MonkeyPatch.context() as monkeypatch:
        plainly(monkeypatch)  # which would say so if there were too little room
        world.step(0)
    world.check()
    known = world.pairs(Knowledge).find(agents[9], topics)
    assert set(world.get(known, Provenance.hops).tolist()) == {9}


def test_what_was_forgotten_may_be_told_anew():
    """Whether it is swept away in between or not: half-life, count, time and source begin again."""
    late = START + days(300)
    for swept in (False, True):
        world, agents, topics = society(3, 1, rate=1.0, half_life=DAY_S)
        learn(world, agents[:2], topics)
        learn(world, agents[2], topics, 1.0, late)
        rehearse(world, world.pairs(Knowledge).find(agents[0], topics), START + days(1))
        meet(world, agents, [(0, 1, late, 1.0, 1.0), (2, 0, late + 1, 1.0, 0.0)])
        world.clock.now = late
        if swept:
            forget_knowledge(world)
            assert held(world).keys() == {(2, 0)}
        world.step(0)
        assert held(world)[0, 0] == (1.0, DAY_S, late + 1, 1, late + 1, 2, 1)
        assert ((1, 0) in held(world)) is not swept
        assert confidences(world, agents, topics).tolist() == [1, 0, 1]


def test_topics_in_any_order_are_walked_in_one():
    """Topics learned last to first are told first to last."""
    world, agents, topics = society(2, 50, rate=1.0)
    learn(world, np.repeat(agents[:1], 50), topics[::-1], 1.0, START + np.arange(50))
    reader = world.events(Taught)
    meet(world, agents, [(0, 1, START + 60, 1.0, 1.0)])
    world.step(0)
    assert [row[1] for row in told(world, reader)] == list(range(50))


# -- the law ----------------------------------------------------------------------------------

pieces = st.tuples(
    st.floats(0, 1, width=32), st.floats(1, 1e9, width=32), st.integers(-days(1), days(36_500))
)


@pytest.mark.parametrize("kernel", [known_at, known_at.py_func], ids=["compiled", "plain"])
@given(st.lists(pieces, min_size=1, max_size=30), st.sampled_from([0.0, 0.05, 0.5]))
def test_what_is_left_is_the_formula(kernel, drawn, threshold):
    """k * 2^(-dt / S) to f4 rounding, 0 below the threshold; what is rehearsed in the future counts
    as now."""
    confidence, half_life, age = (np.array(column) for column in zip(*drawn, strict=True))
    out = np.empty(len(drawn), np.float32)
    confidence, half_life = confidence.astype("f4"), half_life.astype("f4")
    kernel(confidence, half_life, START - age, np.int64(START), np.float32(threshold), out)
    for got, (k, s, a) in zip(out.tolist(), drawn, strict=True):
        halvings = max(a, 0) / 1e6 / s
        want = k * 2.0**-halvings
        if abs(want - threshold) > 1e-5:
            want = want if want >= threshold else 0
            assert got == pytest.approx(want, rel=1e-6 + 3e-7 * min(halvings, 126), abs=1e-37)


def test_forgetting_is_exponential():
    """Each half-life halves, whatever went before (a linear law would not): 1, 1/2, ... 1/1024."""
    world, agents, topics = society(half_life=1_000.0, threshold=0.0)
    learn(world, agents[0], topics[0])
    left = [confidences(world, agents[0], topics[0], START + seconds(1_000 * i))[0]
            for i in range(11)]  # fmt: skip
    assert left == pytest.approx([2.0**-i for i in range(11)], rel=1e-6)


@given(st.floats(1, 1e8), st.floats(1.01, 10), st.integers(0, days(3_650)))
def test_a_longer_half_life_slows_forgetting(half_life, factor, age):
    """It never speeds it up (a published system has it the other way)."""
    out = np.empty(2, np.float32)
    known_at(np.ones(2, np.float32), np.array([half_life, half_life * factor], np.float32),
             np.full(2, START - age), np.int64(START), np.float32(0), out)  # fmt: skip
    assert out[1] >= out[0]


def test_a_rehearsal_slows_what_follows_and_makes_nobody_surer():
    """Decay reads what a rehearsal writes: time, half-life, count. By hand: half is left, so S
    grows by half; the confidence is what was left."""
    world, agents, topics = society(half_life=1_000.0)
    known = learn(world, agents[:2], topics[0])
    rehearse(world, known[:1], START + seconds(1_000))
    assert held(world)[0, 0][:4] == (0.5, 1_500.0, START + seconds(1_000), 2)
    late = START + seconds(2_500)
    sure = confidences(world, agents[:2], topics[0], late)
    assert sure.tolist() == pytest.approx([0.25, 2**-2.5])
    rehearse(world, known[[0, 0]], late)
    assert held(world)[0, 0][1:4] == (2_250.0, late, 4)
    rehearse(world, known[[1, 1]], START + np.array([seconds(2_000), seconds(1_000)]))
    grown = 1_500 * (2 - 2 ** (-1_000 / 1_500))
    assert held(world)[1, 0][1] == pytest.approx(grown, rel=1e-6)  # in the order of time


def test_the_half_life_grows_to_the_longest_and_never_falls():
    """With longest = 2 S0 it ends there; one that is longer already stays."""
    world, agents, topics = society(half_life=1_000.0, longest=2_000.0, threshold=0.0)
    known = learn(world, agents[:2], topics[0])
    world.set(known[1:], KnowledgeState(half_life=5_000.0))
    for i in range(1, 9):
        rehearse(world, known, START + seconds(1_000 * i))
    assert world.get(known, KnowledgeState.half_life).tolist() == [2_000.0, 5_000.0]


@pytest.mark.parametrize("kernel", [expose_rows, expose_rows.py_func], ids=["compiled", "plain"])
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, days(60)),
                       st.sampled_from([REHEARSAL, 0.3, 0.9])), max_size=20),
    st.sampled_from([0.0, 0.05, 0.3]),
)  # fmt: skip
def test_own_exposures_are_what_a_plain_loop_does(kernel, drawn, threshold):
    """Row by row in the order of time: raised, rehearsed, learned anew or left forgotten."""
    law = Learning(threshold=threshold, half_life=5 * DAY_S)
    drawn = sorted(drawn, key=lambda row: row[1])
    rows, times, least = (np.array(c) for c in zip(*drawn, strict=True)) if drawn else ([],) * 3
    columns = (
        np.full(4, 0.5, "f4"),
        np.full(4, DAY_S, "f4"),
        np.full(4, days(3)),
        np.ones(4, "u4"),
    )
    anew, learned = np.zeros(len(drawn), bool), np.zeros(len(drawn), np.int64)
    kernel(
        np.array(rows, np.uint32), np.array(times, np.int64), np.array(least, np.float32),
        np.float32(threshold), *(np.float32(x) for x in (law.half_life, law.growth, law.longest)),
        *columns, anew, learned,
    )  # fmt: skip
    want = [naive.Piece(0.5, DAY_S, days(3), 0) for _ in range(4)]
    for e, (row, time, least) in enumerate(drawn):
        piece, knew = want[row], naive.known(want[row], max(time, want[row].rehearsed), law)
        now = max(time, piece.rehearsed)
        assert anew[e] == (knew == 0 and least >= threshold)
        if anew[e]:
            assert learned[e] == now
            want[row] = naive.Piece(least, law.half_life, now, now)
        elif knew > 0:
            grown = piece.half_life * (1 + law.growth * (1 - naive.left(piece, now)))
            piece.half_life = max(piece.half_life, min(grown, law.longest))
            piece.confidence, piece.rehearsed = max(knew, least), now
            piece.exposures += 1
    for row, piece in enumerate(want):
        assert columns[0][row] == pytest.approx(piece.confidence, rel=1e-5)
        assert columns[1][row] == pytest.approx(piece.half_life, rel=1e-5)
        assert columns[2][row] == piece.rehearsed
        assert columns[3][row] == piece.exposures


# -- first hand -------------------------------------------------------------------------------


def test_what_is_seen_again_makes_as_sure_as_it_is_and_keeps_its_source():
    """k <- max(c, confidence); exposures count; hearsay stays hearsay."""
    world, agents, topics = society(2, 1, rate=0.5)
    learn(world, agents[0], topics)
    meet(world, agents, [(0, 1, START, 1.0, 0.0)])
    world.step(0)
    learn(world, agents, topics, [0.3, 0.8])
    got = held(world)
    assert got[0, 0][0] == 1.0
    assert got[1, 0] == (pytest.approx(0.8), 30 * DAY_S, START, 2, START, 0, 1)


def test_what_was_forgotten_is_learned_anew():
    """Below the threshold nothing is left: half-life, count, time and source begin again."""
    world, agents, topics = society(2, 1, half_life=1_000.0, threshold=0.1)
    learn(world, agents[0], topics, 1.0)
    meet(world, agents, [(0, 1, START, 1.0, 0.0)])
    world.step(0)
    rehearse(world, world.pairs(Knowledge).find(agents, topics), START + seconds(900))
    late = START + seconds(60_000)
    assert confidences(world, agents, topics, late).tolist() == [0, 0]
    learn(world, agents[1], topics, 0.4, late)
    assert held(world)[1, 0] == (pytest.approx(0.4), 1_000.0, late, 1, late, NO_SOURCE, 0)
    learn(world, agents[[0, 0]], topics[[0, 0]], [0.5, 0.2], [late + 7, late + 9])
    assert held(world)[0, 0][2:] == (late + 9, 2, late + 7, NO_SOURCE, 0)


def test_knowledge_gets_its_ids_by_time_and_number():
    """In whatever order pairs are given; the ids come back in the order of the pairs."""
    world, agents, topics = society(3, 2)
    owner, topic, time = [2, 0, 1, 0, 0], [0, 1, 0, 0, 1], np.array([5, 9, 5, 5, 1]) + START
    ids = learn(world, agents[owner], topics[topic], 0.5, time)
    assert ids[1] == ids[4]
    assert np.argsort(ids[[0, 2, 3, 4]]).tolist() == [3, 2, 1, 0]
    again = learn(world, agents[0], topics)
    assert again.tolist() == [ids[3], ids[1]]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"confidence": 0.01}, ColumnValueError, r"must lie in \[0.05, 1\].* got 0.01 at place 0"),
        ({"confidence": [0.5, float("nan")]}, ColumnValueError, "got nan at place 1"),
        ({"confidence": 1.5}, ColumnValueError, "got 1.5"),
        ({"confidence": "sure"}, ColumnValueError, "a confidence is a number, got 'sure'"),
        ({"time": 1.5}, ColumnValueError, r"in whole µs, .* got 1.5"),
        ({"time": [1, 2, 3]}, ColumnShapeError, r"as many, or one for all; got shapes \(2,\)"),
        ({"topics": "agents"}, ComponentMissingError, "has no Topic"),
        ({"owners": "topics"}, ComponentMissingError, "has no Persona"),
        ({"owners": "dead"}, DeadEntityError, "is dead"),
        ({"topics": "dead"}, DeadEntityError, "is dead"),
    ],
)
def test_learning_is_all_or_nothing(arguments, error, match):
    """Whatever is wrong is named, and nothing has changed."""
    world, agents, topics = society(2, 2)
    dead = world.spawn(1, Persona(number=9), Topic(number=9, name="gone"))
    world.despawn(dead)
    ids = {"agents": agents, "topics": topics, "dead": dead}
    given = {"owners": agents, "topics": topics, **arguments}
    given.update({k: ids[v] for k, v in given.items() if isinstance(v, str) and v in ids})
    before = world.digest()
    with pytest.raises(error, match=match):
        learn(world, **given)
    assert world.digest() == before


def test_rehearsing_is_all_or_nothing():
    """Among knowledge one entity that is none, and nobody has thought of anything."""
    world, agents, topics = society(2, 1)
    known = learn(world, agents, topics)
    before = world.digest()
    with pytest.raises(ComponentMissingError, match="has no KnowledgeState"):
        rehearse(world, np.append(known, agents[0]))
    with pytest.raises(ColumnShapeError, match="as many, or one for all"):
        rehearse(world, known, [1, 2, 3])
    assert world.digest() == before
    rehearse(world, known[:0])
    assert learn(world, agents[:0], topics[:0]).size == 0
    assert world.digest() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 1.1), ("trust", -0.1), ("half_life", 0.0), ("growth", float("nan")),
     ("longest", float("inf")), ("threshold", 2), ("rate", "fast")],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting, the value and what is allowed."""
    with pytest.raises(SettingError, match=rf"Learning\.{name} must .* got "):
        Learning(**{name: value})


# -- forgetting and reading -------------------------------------------------------------------


def test_what_is_forgotten_goes_and_is_counted():
    """What is at the threshold stays, what is below goes; the event says how many."""
    world, agents, topics = society(3, 1, half_life=1_000.0, threshold=0.25)
    learn(world, agents, topics, [1.0, 0.999, 0.5])
    world.add_system(forget_knowledge, every=None)
    reader = world.events(KnowledgeForgotten)
    world.clock.now = START + seconds(2_000)
    forget_knowledge(world)
    assert held(world).keys() == {(0, 0)}
    events = reader.read()
    assert (events.count.tolist(), events.time.tolist()) == ([2], [world.clock.now])
    forget_knowledge(world)
    assert not len(reader.read())


def test_it_forgets_once_a_day():
    """The system runs in a step that crosses midnight, and only then."""
    world, agents, topics = society(1, 1, half_life=1.0)
    learn(world, agents, topics)
    world.add_system(forget_knowledge)
    world.step(hours(23))
    assert held(world)
    world.step(hours(1))
    assert not held(world)


def test_the_sweep_caches_what_is_left():
    """`Confidence` is the formula for now, on any number of threads, and is not saved."""
    seen = []
    for threads in (1, 3):
        world, agents, topics = society(50, 1, threads=threads, half_life=1_000.0)
        world.parallel_rows = 1
        known = learn(world, agents, topics, np.linspace(0.1, 1, 50))
        world.add_system(refresh_confidence)
        before = world.digest()
        world.step(0)
        world.clock.tick -= 1
        assert world.digest() == before
        world.step(seconds(3_000))
        seen.append(world.get(known, Confidence.value).tolist())
    assert seen[0] == seen[1]
    assert seen[0] == pytest.approx((np.linspace(0.1, 1, 50) / 8).tolist(), rel=1e-6)


def test_confidences_ask_any_pair_at_any_time():
    """0 where nothing is known; one against many; the clock's time unless another is given."""
    world, agents, topics = society(3, 2, half_life=1_000.0)
    learn(world, agents[:2], topics[0])
    assert confidences(world, agents, topics[0]).tolist() == [1, 1, 0]
    assert confidences(world, agents[0], topics, START + seconds(1_000)).tolist() == [0.5, 0]
    assert confidences(world, agents[:0], topics[:0]).size == 0
    with pytest.raises(DeadEntityError):
        confidences(world, np.uint64(2**40), topics[0])


def test_the_share_that_knows():
    """Of five agents two know one topic, one another, none the third; forgotten is not known."""
    world, agents, topics = society(5, 3, half_life=1_000.0, threshold=0.1)
    learn(world, agents[[0, 1, 0]], topics[[0, 0, 1]], [1.0, 0.3, 1.0])
    assert share_knowing(world, topics).tolist() == [0.4, 0.2, 0.0]
    assert share_knowing(world, topics[0], START + seconds(2_000)).tolist() == [0.2]
    assert share_knowing(world, topics[:0]).size == 0
    empty, _, lonely = society(0, 1)
    assert share_knowing(empty, lonely).tolist() == [0.0]


def test_a_rumour_follows_an_s_curve():
    """In a well-mixed population of 2,000 without forgetting the share that knows never falls,
    grows slowly, fast, slowly, and everybody hears in the end, over many hops."""
    world, agents, topics = society(2_000, 1, half_life=1e9, longest=1e9)
    learn(world, agents[:5], topics)
    draw = np.random.default_rng(11)
    share = [share_knowing(world, topics)[0]]
    for _ in range(60):
        source = draw.integers(0, 2_000, 1_000)
        target = (source + draw.integers(1, 2_000, 1_000)) % 2_000
        time = np.sort(draw.integers(world.clock.now, world.clock.now + hours(1), 1_000))
        world.emit(Met(source=agents[source], target=agents[target], time=time,
                       strength=0.5, returned_strength=0.5))  # fmt: skip
        world.step(hours(1))
        share.append(share_knowing(world, topics)[0])
    share = np.array(share)
    growth = np.diff(share)
    assert (growth >= 0).all()
    assert share[-1] > 0.99
    fastest = int(np.argmax(growth))
    assert 0.3 < share[fastest] < 0.7
    begun, ended = np.searchsorted(share, [0.1, 0.9])
    assert growth[:begun].max() < 0.5 * growth[fastest] > growth[ended:].max()
    # A logistic curve's logit is straight: so is this one's between a tenth and nine tenths.
    middle = np.arange(begun, ended)
    logit = np.log(share[middle] / (1 - share[middle]))
    assert np.corrcoef(middle, logit)[0, 1] > 0.995
    assert world.query(Provenance).gather(Provenance.hops).max() > 5
