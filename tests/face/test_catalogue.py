"""The tables of a society: what is in them, and what is carried from one world to another."""

import json

import duckdb
import networkx as nx
import numpy as np
import pyarrow.parquet as pq
import pytest

from populace.catalogue import (
    AGENTS,
    CONTACTS,
    KNOWLEDGE,
    MEETINGS,
    MEMORIES,
    METRICS,
    REFLECTIONS,
    TIE_GRAPH,
    TIES,
    catalogue,
)
from populace.components import (
    Activity,
    Capacity,
    Contact,
    Emotion,
    Haunts,
    LearningRate,
    Lineage,
    Memory,
    Met,
    Mood,
    Persona,
    Pinned,
    Place,
    Provenance,
    Reflection,
    SocialEnergy,
    Statement,
    Stream,
    Temperament,
    Tie,
    Topic,
    Trace,
    Unreflected,
)
from populace.components.metric import Metric
from populace.ecs import World, days, hours, schema
from populace.ecs.errors import SourceFileError
from populace.ecs.image import capture
from populace.minds import export_minds, import_minds
from populace.runs import live, make_world
from populace.storage import MANIFEST, load_tables, write_tables
from populace.storage.dictionary import describe_tables
from populace.storage.export import export_tables
from populace.storage.frames import Frames, frame, schema_of
from populace.storage.graph import to_networkx, write_graphml
from populace.systems import (
    Reflecting,
    StateMachine,
    add_laws,
    enter_state,
    intern_topics,
    learn,
)
from populace.systems.ties import Ties

MONDAY = days(20_000 + (4 - 20_000 % 7) % 7)
NAMES = ["Ann", "Bo", "Cy", "Di", "Ed", "Flo"]


def society(kept=(Met, Metric)):
    """Six people, one with all there is to have, who live through twelve hours together."""
    world = World(seed=5)
    world.clock.now = MONDAY
    add_laws(world, Reflecting(threshold=2.0), Ties(half_life=7 * 86_400.0))

    world.keep(*kept)
    places = world.spawn(Place(name=["Hobbs Cafe", "Oak Hill"], kind="cafe", x=[1, 2], y=3))
    people = world.spawn(
        Persona(number=10 + np.arange(6), name=NAMES),
        Stream,
        Haunts(home=places[1], work=places[0], leisure=places[0]),
        SocialEnergy,
        Emotion,
        Mood,
        Unreflected,
    )
    world.add(people[:1], Temperament(pleasure=0.5), Capacity(memories=90), LearningRate(value=0.5))
    enter_state(world, people[:5], "asleep")
    learn(world, people[:1], intern_topics(world, ["tea"]))
    world.spawn(Lineage(person=[12, 13], first=[10, 11], second=[11, 2**32 - 1], born=MONDAY))
    draw = np.random.default_rng(1)
    for _ in range(12):
        source, target = draw.integers(0, 6, (2, 20))
        pairs = source != target
        world.emit(
            Contact(
                source=people[source[pairs]],
                target=people[target[pairs]],
                time=world.clock.now,
                outcome=0.5,
                place="Hobbs Cafe",
                mutual=True,
            )
        )
        world.step(hours(1))
    notes = world.query(Memory).ids()
    world.add(notes[:1], Pinned)
    world.add(notes[1:2], Statement(subject="tea", basis="node_1"))
    return world


@pytest.fixture(scope="module")
def town():
    """One such society, to be looked at."""
    return society()


def rows(world, spec, *columns):
    """Rows of a frame, without what is null."""
    found = frame(capture(world, whole=False), spec, columns or None).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in found]


# -- every table --------------------------------------------------------------------------------


def test_every_table_has_a_name_rows_and_a_schema(town):
    """Of a full world and of an empty one, valid to the last index, and described to the last
    column."""
    full, empty = capture(town, whole=False), capture(World())
    tables = catalogue(full)
    assert list(tables) == [
        "agents", "memories", "ties", "knowledge", "reflections", "places", "topics", "births",
        "contacts", "metrics",
    ]  # fmt: skip
    for name, spec in tables.items():
        made = Frames(full).frame(spec)
        made.validate(full=True)
        assert made.num_rows > 0
        assert made.schema.equals(schema_of(spec), check_metadata=True)
        assert Frames(empty).frame(spec).schema.equals(schema_of(spec), check_metadata=True)
        assert spec.name == name
        assert spec.doc.startswith("One row per")
    told = describe_tables([*tables.values(), CONTACTS], full)
    for name, table in told.items():
        for column in table["columns"]:
            assert column["meaning"], f"{name}.{column['name']}"


def test_components_of_agents_and_memories_are_in_their_tables():
    """No field is lost: whatever a table's components hold, some column shows."""
    for spec in catalogue(capture(World())).values():
        components = spec.required + spec.optional if hasattr(spec, "required") else (spec.event,)
        shown = {column.field for column in spec.columns} | {
            reference for column in spec.columns for reference in column.path
        }
        for component in components:
            assert set(schema(component).fields) <= shown


def test_agents_have_names_for_states_and_places(town):
    """Numbers, names, what they do and where they are; null where somebody has no such thing."""
    found = {row["agent"]: row for row in rows(town, AGENTS)}
    assert [found[10 + k]["name"] for k in range(6)] == NAMES
    states = {row.get("state") for row in found.values()}
    assert None in states
    assert states - {None} <= set(town.resource(StateMachine).states)
    assert found[10]["home_place"] == "Oak Hill"
    assert found[10]["work_place"] == "Hobbs Cafe"
    assert found[10]["temperament_pleasure"] == 0.5
    assert found[10]["memory_capacity"] == 90
    assert found[10]["learning_rate"] == 0.5
    assert "temperament_pleasure" not in found[11]
    assert found[10]["emotion_pleasure"] > 0
    assert 0 <= found[10]["energy"] <= 1
    assert len(found[15]) < len(found[14])
    ids = town.query(Activity).ids()
    assert {row["agent"] for row in found.values() if "state" in row} == set(
        town.get(ids, Persona.number).tolist()
    )


def test_memories_and_ties_have_names_beside_numbers(town):
    """So that no join is needed to read them."""
    for row in rows(town, MEMORIES, "agent", "agent_name"):
        assert row["agent_name"] == NAMES[row["agent"] - 10]
    for row in rows(town, TIES, "source", "source_name", "target", "target_name"):
        assert row["source_name"] == NAMES[row["source"] - 10]
        assert row["target_name"] == NAMES[row["target"] - 10]
    assert sum(row["pinned"] for row in rows(town, MEMORIES, "pinned")) == 1
    assert [r for r in rows(town, MEMORIES, "subject", "basis") if r] == [
        {"subject": "tea", "basis": "node_1"}
    ]


def test_knowledge_says_whom_somebody_has_it_from(town):
    """The first hand has no source; the others have one, which is null when it has died, unlike its
    number."""
    found = {row["agent"]: row for row in rows(town, KNOWLEDGE)}
    assert "source" not in found[10]
    assert len(found) > 1
    for agent, row in found.items():
        assert row["topic_name"] == "tea"
        assert row["topic"] == town.query(Topic).gather(Topic.number)[0]
        if agent != 10:
            assert row["source_name"] == NAMES[row["source"] - 10]
    world = society()
    people = world.query(Persona)
    teacher = people.ids()[people.gather(Persona.number) == 10][0]
    pupils = (world.query(Provenance).gather(Provenance.source) == teacher).sum()
    assert pupils > 0
    world.despawn([teacher])
    left = rows(world, KNOWLEDGE)
    assert sum("source_name" not in row and row.get("source") == 10 for row in left) == pupils


def test_reflections_say_what_they_rest_on(town):
    """A row per link, both ends in the same stream, the insight above what it rests on."""
    found = rows(town, REFLECTIONS)
    by_key = {(r["agent"], r["sequence"]): r for r in rows(town, MEMORIES)}
    insights = town.query(Memory, with_=Reflection).count()
    assert len({(row["agent"], row["insight"]) for row in found}) == insights > 0
    for row in found:
        insight, memory = by_key[row["agent"], row["insight"]], by_key[row["agent"], row["memory"]]
        assert (row["insight_text"], row["depth"]) == (insight["text"], insight["depth"])
        assert (row["memory_text"], row["memory_kind"]) == (memory["text"], memory["kind"])
        assert row.get("memory_depth") == memory.get("depth")
        assert row["depth"] > row.get("memory_depth", 0)


def test_births_leave_unknown_parents_open(town):
    """2^32 - 1 is nobody's number."""
    found = rows(town, catalogue(capture(town))["births"], "person", "parent", "other_parent")
    assert found == [
        {"person": 12, "parent": 10, "other_parent": 11},
        {"person": 13, "parent": 11},
    ]


def test_contacts_are_what_the_world_keeps(town):
    """Met where it is kept, with what became of the tie; else Contact; the same name for both."""
    image = capture(town)
    assert catalogue(image)["contacts"] is MEETINGS
    found = frame(image, MEETINGS).to_pylist()
    assert found[0]["source_name"] == NAMES[found[0]["source"] - 10]
    assert found[0]["place"] == "Hobbs Cafe"
    assert 0 < found[-1]["strength"] < 1
    assert len(found) == len(town.journal(Met))
    other = society(kept=(Contact,))
    assert catalogue(capture(other))["contacts"] is CONTACTS
    assert frame(capture(other), CONTACTS).num_rows == len(other.journal(Contact)) > 0
    assert catalogue(capture(society(kept=(Contact, Met))))["contacts"] is MEETINGS
    assert catalogue(capture(World()))["contacts"] is MEETINGS


def test_metrics_count_what_the_tables_hold(town):
    """The last row of each name is what a query would find now."""
    found = {row["name"]: row["value"] for row in rows(town, METRICS)}
    for name in ("agents", "memories", "ties", "knowledge"):
        assert found[name] == len(rows(town, catalogue(capture(town))[name], "entity"))


# -- what leaves the world ----------------------------------------------------------------------


def test_an_export_answers_questions_without_this_package(town, tmp_path):
    """DuckDB joins its files by numbers; schema.json knows every column of every file."""
    specs = catalogue(capture(town)).values()
    counts = export_tables(town, tmp_path / "out", specs)
    with duckdb.connect() as database:
        (joined,) = database.execute(
            f"""SELECT count(*) FROM '{tmp_path}/out/memories.parquet' m
                JOIN '{tmp_path}/out/agents.parquet' a ON m.agent = a.agent
                WHERE a.name = m.agent_name"""
        ).fetchone()
    assert joined == counts["memories"]
    told = json.loads((tmp_path / "out" / "schema.json").read_text())["tables"]
    for name, table in told.items():
        read = pq.read_schema(tmp_path / "out" / f"{name}.parquet")
        assert [column["name"] for column in table["columns"]] == read.names
    states = {c["name"]: c for c in told["agents"]["columns"]}["state"]["values"]
    assert "asleep" in states


def test_ties_are_a_graph(town, tmp_path):
    """Agents by their number, with all that is known of them; ties with weight and strength."""
    made = to_networkx(town, TIE_GRAPH)
    assert sorted(made) == [10, 11, 12, 13, 14, 15]
    assert made.nodes[10]["name"] == "Ann"
    assert made.number_of_edges() == town.query(Tie).count()
    assert {"weight", "valence", "last", "contacts", "strength"} == set(
        next(iter(made.edges(data=True)))[2]
    )
    write_graphml(town, TIE_GRAPH, tmp_path / "ties.graphml")
    read = nx.read_graphml(tmp_path / "ties.graphml", node_type=int)
    assert set(read.edges) == set(made.edges)
    assert read.nodes[12]["state"] == made.nodes[12]["state"]


# -- minds on their way to another world --------------------------------------------------------


def test_minds_are_carried_with_their_ties(town, tmp_path):
    """Agents with what they feel, memories and ties: written, read and written again they have the
    same bytes, but for what only a sweep fills."""
    counts = export_minds(town, tmp_path / "one")
    assert counts["ties"] == town.query(Tie).count()
    world = World()
    assert import_minds(world, tmp_path / "one") == counts
    world.check()
    assert world.clock.now == town.clock.now
    assert world.resource(Ties).half_life == 7 * 86_400.0
    export_minds(world, tmp_path / "two")
    for name in ("agents", "memories", "ties"):
        one, two = (pq.read_table(tmp_path / x / f"{name}.parquet") for x in ("one", "two"))
        if "strength" in one.column_names:
            one, two = one.drop_columns(["strength"]), two.drop_columns(["strength"])
        assert one.equals(two)
    assert world.query(Mood).count() == 6
    assert world.query(Temperament).count() == 1
    assert world.query(Activity).count() == 0


def test_a_world_without_ties_writes_none(tmp_path):
    """And one is read without; the columns are those of a world that knows nothing of feelings."""
    world = World()
    agents = world.spawn(2, Persona(number=[0, 1], name="A"), Stream)
    world.spawn(
        Memory(owner=agents, sequence=0, created=0), Trace(importance=1, stability=1, accessed=0)
    )
    assert export_minds(world, tmp_path / "out") == {"agents": 2, "memories": 2}
    assert pq.read_schema(tmp_path / "out" / "agents.parquet").names == [
        "agent", "name", "openness", "conscientiousness", "extraversion", "agreeableness",
        "neuroticism", "formed",
    ]  # fmt: skip
    assert pq.read_schema(tmp_path / "out" / "memories.parquet").names == [
        "agent", "sequence", "created", "kind", "text", "importance", "stability", "accessed",
        "accesses", "evidence", "strength",
    ]  # fmt: skip
    other = World()
    assert import_minds(other, tmp_path / "out") == {"agents": 2, "memories": 2}
    assert Ties not in other.resources


def test_ties_live_on_in_a_run(town, tmp_path):
    """A run that begins with them keeps them, fading by the half-life that they had."""
    export_minds(town, tmp_path / "town")
    minds = str(tmp_path / "town")
    given = {"stream.agents": 0, "stream.memories": 1, "stream.minds": minds, "run.days": 7}
    world = make_world("stream", given)
    live(world)
    assert export_minds(world, tmp_path / "later")["ties"] == town.query(Tie).count()
    before, after = (
        {(t["source"], t["target"]): t for t in pq.read_table(path).to_pylist()}
        for path in (tmp_path / "town" / "ties.parquet", tmp_path / "later" / "ties.parquet")
    )
    for pair, tie in before.items():
        weight, last = tie["weight"], tie["last"]
        assert (after[pair]["weight"], after[pair]["last"]) == (weight, last)
        assert 0 < after[pair]["strength"] < tie["strength"]


def test_what_a_world_has_of_its_own_law_stays(town, tmp_path):
    """A world that has settings of ties keeps them; a manifest that is no half-life is named."""
    export_minds(town, tmp_path / "town")
    world = World()
    world.insert(Ties(half_life=60.0))
    import_minds(world, tmp_path / "town")
    assert world.resource(Ties).half_life == 60.0
    path = tmp_path / "town" / MANIFEST
    told = json.loads(path.read_text())
    for damaged in ("soon", -1, None):
        path.write_text(json.dumps({**told, "half_life_s": damaged}))
        empty = World()
        with pytest.raises(SourceFileError, match=f"{MANIFEST}: is damaged"):
            import_minds(empty, tmp_path / "town")
        assert len(empty) == 0


def test_the_whole_catalogue_of_agents_can_be_written_and_read(town, tmp_path):
    """What has no number in the tables, a place, is left out; states come back by name, in a world
    that has them."""
    write_tables(town, tmp_path, (AGENTS,))
    names = set(pq.read_schema(tmp_path / "agents.parquet").names)
    assert {"state", "mood_pleasure", "unreflected_importance"} < names
    assert not {"entity", "place", "home_place", "home_place_entity"} & names
    world = World()
    world.insert(town.resource(StateMachine))
    assert load_tables(world, tmp_path, (AGENTS,)) == {"agents": 6}
    assert world.query(Haunts).count() == 0
    for component in (Activity, Mood, Unreflected):
        assert world.query(component).count() == town.query(component).count()
    seen = [sorted(w.query(Unreflected).gather(Unreflected.since).tolist()) for w in (world, town)]
    assert seen[0] == seen[1]
    written = {row["agent"]: row.get("state") for row in rows(world, AGENTS)}
    assert written == {row["agent"]: row.get("state") for row in rows(town, AGENTS)}
