"""Ready questions, beside plain Python over the same rows."""

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import mean

import numpy as np
import pytest

from populace import World, hours, minutes
from populace.ask import sql
from populace.components import (
    Knowledge,
    KnowledgeState,
    Persona,
    Provenance,
    Stream,
    Topic,
)
from populace.components.tie import Tie, TieState
from populace.ecs.errors import SqlError
from populace.questions import (
    PRESETS,
    agent_number,
    ask_preset,
    busiest_agents,
    ego_network,
    forgetting_curve,
    mood_by_hour,
    rumour_spread,
    tie_strengths,
    time_buckets,
    top_memories,
)
from populace.storage.snapshot import Snapshots, save

from .test_ask import live, society

START = datetime(1970, 1, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A society and a directory with three snapshots of it, the last of it as it is."""
    directory = tmp_path_factory.mktemp("run")
    world, people = society(n=9)
    for again in range(3):
        if again:
            live(world, people)
        save(world, directory)
    world.refresh()
    return world, directory


def sources(run):
    """The world, the directory, its newest snapshot."""
    world, directory = run
    return world, directory, Snapshots(directory), Snapshots(directory).open()


def rows_of(source, view):
    return sql(source, f"SELECT * FROM {view}").rows()


def test_top_memories_are_the_strongest(run):
    """By strength, then importance, then sequence; the agent by number, id or name."""
    world, directory = run
    agent = rows_of(world, "agents")[4]
    for source in sources(run):
        moment = Snapshots(directory).open() if source is not world else world
        own = [row for row in rows_of(moment, "memories") if row["agent"] == agent["agent"]]
        own.sort(key=lambda row: (-row["strength"], -row["importance"], row["sequence"]))
        for named in (agent["agent"], agent["entity"], agent["name"]):
            found = top_memories(source, named, n=3).rows()
            assert [row["sequence"] for row in found] == [row["sequence"] for row in own[:3]]
        assert found[0]["text"] == own[0]["text"]


def test_agents_are_found_by_name(run):
    """A name that nobody has, or several, is an error that says so."""
    world, _ = run
    assert (
        agent_number(world, sql(world, "SELECT name FROM agents WHERE agent = 2").one()["name"])
        == 2
    )
    with pytest.raises(SqlError, match="no agent is called 'Nobody'"):
        agent_number(world, "Nobody")
    with pytest.raises(SqlError, match="number or id 4711"):
        top_memories(world, 4711)
    twins = World()
    twins.spawn(2, Persona(number=[3, 8], name="Ann"), Stream())
    with pytest.raises(SqlError, match=r"2 agents are called 'Ann'; give a number: \[3, 8\]"):
        agent_number(twins, "Ann")


def test_forgetting_curves_count_cohorts_in_every_snapshot(run):
    """A cohort's rows say how many of it each snapshot keeps, and which share of the most."""
    world, directory = run
    kept = defaultdict(dict)
    for row in rows_of(directory, "memories"):
        hour = (row["created"] - START) // timedelta(hours=3) * 3
        kept[START + timedelta(hours=hour)].setdefault(row["time"], []).append(row)
    for source in (directory, Snapshots(directory)):
        found = forgetting_curve(source, "3 hours").rows()
        assert len(found) == sum(map(len, kept.values()))
        for row in found:
            cohort = kept[row["cohort"]]
            now = cohort[row["time"]]
            assert row["kept"] == len(now)
            assert row["share"] == len(now) / max(map(len, cohort.values()))
            assert row["age_h"] == (row["time"] - row["cohort"]) / timedelta(hours=1)
            recall = [one["strength"] / one["importance"] for one in now]
            assert row["retrievability"] == pytest.approx(mean(recall), rel=1e-5)
    single = forgetting_curve(world, hours(3)).rows()
    assert {row["share"] for row in single} == {None}
    assert sum(row["kept"] for row in single) == len(rows_of(world, "memories"))


def test_tie_strengths_are_a_histogram(run):
    """Every interval has a row, also where no tie lies in it; shares add up to 1."""
    for source in sources(run):
        moment = source if isinstance(source, World) else Snapshots(run[1]).open()
        strengths = [row["strength"] for row in rows_of(moment, "ties")]
        found = tie_strengths(source, bins=10).rows()
        counts, edges = np.histogram(strengths, bins=10, range=(0, 1))
        assert [row["ties"] for row in found] == counts.tolist()
        assert [row["low"] for row in found] == pytest.approx(edges[:-1])
        assert sum(row["share"] for row in found) == pytest.approx(1)
    assert [row["ties"] for row in tie_strengths(World(), bins=2)] == [0, 0]


def test_an_ego_network_is_the_ties_among_neighbours(run):
    """The agent, whom it is tied to in either direction, and all ties among these."""
    for source in sources(run):
        moment = source if isinstance(source, World) else Snapshots(run[1]).open()
        ties = rows_of(moment, "ties")
        near = {5}
        near |= {row["target"] for row in ties if row["source"] == 5}
        near |= {row["source"] for row in ties if row["target"] == 5}
        expected = {
            (row["source"], row["target"]) for row in ties if {row["source"], row["target"]} <= near
        }
        found = ego_network(source, 5).rows()
        assert {(row["source"], row["target"]) for row in found} == expected
        assert all(row["own"] == (5 in (row["source"], row["target"])) for row in found)
        assert [row["own"] for row in found] == sorted((r["own"] for r in found), reverse=True)


def test_a_rumour_is_followed_through_time():
    """Learners by span, all until then, and how far it has come."""
    world = World()
    people = world.spawn(6, Persona(number=np.arange(6), name="x"), Stream())
    fire, flood = world.spawn(2, Topic(number=[0, 1], name=["fire", "flood"]))
    world.spawn(
        Knowledge(owner=people[:4], topic=fire),
        KnowledgeState,
        Provenance(learned=[0, minutes(10), minutes(70), minutes(80)], hops=[0, 1, 2, 3]),
    )
    world.spawn(Knowledge(owner=people[:1], topic=flood), KnowledgeState, Provenance)
    for topic in ("fire", 0):
        assert rumour_spread(world, topic).rows() == [
            {"time": START, "learners": 2, "knowers": 2, "share": 2 / 6, "hops": 0.5},
            {"time": START + timedelta(hours=1), "learners": 2, "knowers": 4, "share": 4 / 6,
             "hops": 2.5},
        ]  # fmt: skip
    assert len(rumour_spread(world, "fire", minutes(10))) == 4
    with pytest.raises(SqlError, match="no topic 'storm'; there are fire, flood"):
        rumour_spread(world, "storm")


def test_time_buckets_say_what_was_in_each_span(run):
    """Least, greatest, mean, last and count, by the time of each kind of row."""
    world, _ = run
    for view, column, time in [
        ("memories", "importance", "created"),
        ("ties", "weight", "last"),
        ("contacts", "outcome", "time"),
        ("metrics", "value", "time"),
    ]:
        spans = defaultdict(list)
        for row in rows_of(world, view):
            spans[(row[time] - START) // timedelta(minutes=15)].append((row[time], row[column]))
        found = time_buckets(world, view, column).rows()
        assert [row["time"] for row in found] == [
            START + timedelta(minutes=15) * span for span in sorted(spans)
        ]
        for row in found:
            here = spans[(row["time"] - START) // timedelta(minutes=15)]
            values = [value for _, value in here]
            assert (row["min"], row["max"], row["count"]) == (min(values), max(values), len(values))
            assert row["mean"] == pytest.approx(mean(values), rel=1e-6)
            last = max(at for at, _ in here)
            assert row["last"] in [value for at, value in here if at == last]


def test_time_buckets_of_one_agent(run):
    """With an agent, only its own rows count."""
    world, _ = run
    own = [row for row in rows_of(world, "memories") if row["agent"] == 3]
    found = time_buckets(world, every="1 day", agent=3).one()
    assert found["count"] == len(own)
    name = sql(world, "SELECT name FROM agents WHERE agent = 3").one()["name"]
    assert time_buckets(world, every="1 day", agent=name).one() == found


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"view": "agents"}, "time buckets are of memories"),
        ({"view": "x"}, "time buckets are of memories"),
        ({"column": "colour"}, "no column 'colour'"),
        ({"column": "text"}, "avg"),
        ({"every": "a while"}, "a while"),
        ({"view": "metrics", "column": "value", "agent": 1}, "of= is about"),
    ],
)
def test_time_buckets_that_make_no_sense(run, wanted, words):
    """Views without a time, columns that are not numbers, spans that are none."""
    with pytest.raises(SqlError, match=words):
        time_buckets(run[0], **wanted)


def test_the_busiest_have_most_contacts(run):
    """Contacts made and received, by the ties."""
    world = World()
    people = world.spawn(4, Persona(number=np.arange(4), name=["A", "B", "C", "D"]), Stream())
    world.spawn(
        Tie(source=people[[0, 0, 2]], target=people[[1, 2, 0]]), TieState(contacts=[2, 3, 4])
    )
    assert busiest_agents(world, n=3).rows() == [
        {"agent": 0, "name": "A", "made": 5, "received": 4, "partners": 2},
        {"agent": 2, "name": "C", "made": 4, "received": 3, "partners": 1},
        {"agent": 1, "name": "B", "made": 0, "received": 2, "partners": 0},
    ]
    for source in sources(run):
        assert len(busiest_agents(source, n=5)) == 5


def test_mood_by_hour_is_the_mean_of_each_snapshot(run):
    """Of a run one row for each hour that a snapshot was made in; of a world one."""
    world, directory = run
    agents = rows_of(directory, "agents")
    found = mood_by_hour(directory).rows()
    assert [row["hour"] for row in found] == [START + timedelta(hours=h) for h in (3, 6, 9)]
    for row in found:
        moods = [one["mood_pleasure_now"] for one in agents if one["time"] == row["hour"]]
        assert row["pleasure"] == pytest.approx(mean(moods), rel=1e-5)
        assert row["agents"] == len(moods) == 9
    assert mood_by_hour(world).one()["hour"] == START + timedelta(hours=9)
    assert mood_by_hour(World()).rows() == []


def test_presets_are_asked_by_name_with_text(run):
    """As the command line has them: names with hyphens, arguments as text."""
    world, _ = run
    name = sql(world, "SELECT name FROM agents WHERE agent = 2").one()["name"]
    for preset, arguments, expected in [
        ("top-memories", {"agent": "2", "n": "4"}, top_memories(world, 2, n=4)),
        ("top-memories", {"agent": name}, top_memories(world, 2)),
        ("forgetting-curve", {"cohort": "3 hours"}, forgetting_curve(world, "3 hours")),
        ("tie-strengths", {}, tie_strengths(world)),
        ("ego-network", {"agent": "1"}, ego_network(world, 1)),
        ("time-buckets", {"every": "1 hour", "agent": "1"},
         time_buckets(world, every="1 hour", agent=1)),
        ("busiest-agents", {"n": "2"}, busiest_agents(world, 2)),
        ("mood-by-hour", {}, mood_by_hour(world)),
        ("rumour-spread", {"topic": "the fire"}, rumour_spread(world, "the fire")),
    ]:  # fmt: skip
        assert ask_preset(world, preset, arguments).rows() == expected.rows()
        assert len(expected)
    assert all(preset.about and all(one.doc for one in preset.parameters)
               for preset in PRESETS.values())  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "arguments", "words"),
    [
        ("gossip", {}, "top-memories, forgetting-curve"),
        ("top-memories", {}, "needs agent: whose"),
        ("top-memories", {"agent": "1", "k": "2"}, "takes agent, n, not 'k'"),
        ("mood-by-hour", {"n": "1"}, "takes no arguments, not 'n'"),
        ("busiest-agents", {"n": "many"}, "n of preset busiest-agents is int, got 'many'"),
        ("busiest-agents", {"n": "0"}, "1 to 1,000,000"),
        ("tie-strengths", {"bins": "-3"}, "1 to 1,000,000"),
        ("rumour-spread", {"topic": "'; DROP VIEW agents; --"}, "no topic"),
    ],
)
def test_presets_say_what_is_wrong(run, preset, arguments, words):
    """A name or argument that there is not, one that is missing, a value that is none."""
    with pytest.raises(SqlError, match=words):
        ask_preset(run[0], preset, arguments)
