"""The scenario stream: its counts, its law, and that the same parameters give the same world."""

import numpy as np
import pytest

from populace.components import Memory, MemoryKind, Persona, Stream, Strength, Trace
from populace.ecs import Clock, days, hours
from populace.ecs.errors import SettingError, SourceFileError
from populace.minds import export_minds
from populace.runs import live, make_world
from populace.runs.itinerary import Itinerary
from populace.runs.outcome import strongest_memories
from populace.scenarios.registry import find_scenario
from populace.storage import load, save
from populace.systems import Span

SMALL = {"agents": 120, "memories": 60, "days": 12.0, "seed": 3}


def stream(threads=1, **given):
    """A world of the scenario; `days` and `seed` are of the run, all else of the stream."""
    values = {f"{'run' if name in ('days', 'seed') else 'stream'}.{name}": value
              for name, value in given.items() if "__" not in name}  # fmt: skip
    laws = {name.replace("__", "."): value for name, value in given.items() if "__" in name}
    return make_world("stream", {**values, **laws}, threads=threads)


def tables(world, directory):
    """The bytes of every exported file."""
    export_minds(world, directory)
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_what_was_formed_is_kept_or_forgotten():
    """The counts of the report agree with each other and with the world."""
    world = stream(**SMALL)
    report = live(world)
    assert (report.agents, report.imported, report.formed) == (120, 0, 7_200)
    assert report.formed == report.forgotten + report.kept
    assert report.kept == world.query(Memory).count() == report.kept_by_day[-1]
    assert len(report.kept_by_day) == 12
    assert 0 < report.forgotten < report.formed
    assert report.rows_swept == world.telemetry.systems["refresh_strength"].rows
    world.check()


def test_what_is_left_is_what_the_law_leaves():
    """At the end every kept memory is strong or within its grace, every forgotten one neither."""
    world = stream(**SMALL)
    immortal = stream(**SMALL, pruning__theta=0.0, pruning__theta_old=0.0)
    live(world)
    live(immortal)
    everything = immortal.query(Memory, Trace, Strength)
    age = immortal.resource(Clock).now - everything.gather(Memory.created)
    strong = (everything.gather(Strength.value) >= np.float32(0.05)) | (age < days(1))
    number = {row: n for row, n in zip(*_owners(immortal), strict=True)}
    want = {
        (number[owner], sequence)
        for owner, sequence in zip(
            everything.gather(Memory.owner)[strong].tolist(),
            everything.gather(Memory.sequence)[strong].tolist(),
            strict=True,
        )
    }
    number = {row: n for row, n in zip(*_owners(world), strict=True)}
    left = world.query(Memory)
    got = {
        (number[owner], sequence)
        for owner, sequence in zip(
            left.gather(Memory.owner).tolist(), left.gather(Memory.sequence).tolist(), strict=True
        )
    }
    assert got == want


def _owners(world):
    people = world.query(Persona)
    return people.ids().tolist(), people.gather(Persona.number).tolist()


def test_threads_do_not_show(tmp_path):
    """One thread and two give the same tables, byte for byte."""
    one, two = (stream(**SMALL, threads=n) for n in (1, 2))
    two.parallel_rows = 1
    live(one)
    live(two)
    assert tables(one, tmp_path / "one") == tables(two, tmp_path / "two")


@pytest.mark.parametrize("step", [hours(1), hours(7), days(1), days(12)])
def test_the_length_of_a_step_does_not_show(tmp_path, step):
    """Steps of an hour, of seven, of a day, or all at once: the same tables, byte for byte."""
    hourly, other = (stream(**SMALL) for _ in range(2))
    live(hourly)
    span = other.resource(Span)
    other.run(span.end - span.start, step=step)
    assert tables(hourly, tmp_path / "hourly") == tables(other, tmp_path / "other")


def test_the_same_seed_gives_the_same_tables_and_another_one_others(tmp_path):
    """Twice seed 3 is the same bytes; seed 4 is not."""
    made = []
    for place, seed in enumerate((3, 3, 4)):
        world = stream(**SMALL | {"seed": seed})
        live(world)
        made.append(tables(world, tmp_path / str(place)))
    assert made[0] == made[1]
    assert made[0]["memories.parquet"] != made[2]["memories.parquet"]


def test_imported_minds_live_among_generated_ones(ville):
    """Imported agents keep their numbers and memories, form new ones, and have company."""
    world = stream(agents=3, memories=10, days=2.0, minds=str(ville))
    report = live(world)
    assert (report.agents, report.imported, report.formed) == (5, 8, 50)
    assert report.strongest_of == "Ada Bell"
    formed = world.query(Persona, Stream)
    by_number = dict(
        zip(
            formed.gather(Persona.number).tolist(),
            formed.gather(Stream.formed).tolist(),
            strict=True,
        )
    )
    assert by_number == {0: 14, 1: 14, 2: 10, 3: 10, 4: 10}


def test_imported_minds_alone_only_forget(ville):
    """Without new memories a week leaves of eight those that began strong enough."""
    world = stream(agents=0, memories=0, days=7.0, minds=str(ville))
    report = live(world)
    assert (report.formed, report.imported) == (0, 8)
    importance = np.repeat([0.2, 0.3, 0.4, 0.5], 2)
    assert report.kept == np.count_nonzero(importance * 2.0 ** (-7 / 3) >= 0.05)


def test_a_bank_of_personas_can_live(bank):
    """Personas come without memories and form them like everybody else."""
    report = live(stream(agents=0, memories=10, days=1.0, minds=str(bank)))
    assert (report.agents, report.imported, report.formed, report.kept) == (3, 0, 30, 30)


@pytest.mark.parametrize("length", [0.001, 0.04, 0.5, 1.25])
def test_parts_of_a_day_count(length):
    """A run of 86 seconds or of 30 hours forms all its memories and ends when it should."""
    world = stream(agents=5, memories=7, days=length)
    start = world.resource(Clock).now
    assert live(world).formed == 35
    assert world.resource(Clock).now - start == days(length)


def test_a_stream_that_goes_on_keeps_its_pace(tmp_path):
    """As many a day as at first, in however short pieces more days are given."""
    world = stream(agents=5, memories=100, days=30.0)
    formed = [live(world).formed]
    for number, more in enumerate((0.1, 0.1, 0.1, 29.7)):
        save(world, tmp_path / str(number))
        world = load(tmp_path / str(number))
        way = world.resource(Itinerary)
        way.end_us += days(more)
        scenario = find_scenario("stream")
        scenario.prolong(world, way.end_us)
        scenario.add_systems(world)
        formed.append(live(world).formed)
    assert formed == [5 * n for n in (100, 0, 1, 0, 99)]
    world.check()


def test_minds_live_on_from_where_they_are(ville):
    """Before the default start too; a start that is given counts if it is later."""
    for nodes in ville.rglob("nodes.json"):
        nodes.write_text(nodes.read_text().replace("2023-", "2022-"))
    given = {"stream.agents": 0, "stream.memories": 0, "stream.minds": str(ville)}
    ends, later = 1_644_735_850_000_000, 1_704_067_200_000_000  # 2022-02-13 07:04:10, 2024-01-01
    assert make_world("stream", given).clock.now == ends
    for start, begins in (("2021-01-01", ends), ("2024-01-01", later)):
        assert make_world("stream", {**given, "run.start": start}).clock.now == begins


def test_the_strongest_memories_come_first():
    """Sorted by strength, each text once, and readable."""
    world = stream(**SMALL)
    live(world)
    name, strongest = strongest_memories(world, 8)
    assert len(name.split()) == 2
    assert [m.strength for m in strongest] == sorted((m.strength for m in strongest), reverse=True)
    assert len({m.text for m in strongest}) == 8
    assert {m.kind for m in strongest} <= {kind.name.lower() for kind in MemoryKind}
    ids = world.index(Memory.owner).ids(world.query(Persona).ids()[:1])
    assert strongest[0].strength == pytest.approx(float(world.get(ids, Strength.value).max()))


def test_a_society_goes_on_from_its_tables(tmp_path):
    """What was exported lives on: the same agents and memories, the clock, and new memories."""
    world = stream(**SMALL)
    live(world)
    before = tables(world, tmp_path / "before")
    minds = str(tmp_path / "before")
    again = stream(agents=0, memories=0, days=1.0, minds=minds)
    again.step(0)
    assert again.resource(Clock).now == world.resource(Clock).now
    assert tables(again, tmp_path / "again") == before
    second = stream(agents=10, memories=60, days=12.0, seed=3, minds=minds)
    report = live(second)
    assert (report.agents, report.formed) == (130, 7_800)
    assert np.unique(second.query(Persona).gather(Persona.number)).size == 130
    assert second.query(Memory).gather(Memory.sequence).max() == 119
    second.check()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"agents": 0}, "stream.agents 0 leaves nobody to live: give at least 1, or minds"),
        ({"agents": 100_000_000, "memories": 100}, "more than a world holds, 4,294,967,294"),
        ({"agents": -1}, "stream.agents must lie in"),
    ],
)
def test_streams_that_cannot_be_are_refused(given, why):
    """Nobody at all, and more than there is room for."""
    with pytest.raises(SettingError, match=why):
        stream(**given)


def test_minds_that_are_not_there_are_named():
    """By their path."""
    with pytest.raises(SourceFileError, match="nowhere: cannot be read"):
        stream(minds="nowhere")
