"""Archiving: what is inactive is told to whoever keeps an archive, and to nobody else."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from populace.components import Memory, Persona, Recalled, Strength, Trace
from populace.ecs import Events, World, days, hours, schema, seconds, system
from populace.ecs.errors import SettingError
from populace.systems import (
    Archiving,
    Inactive,
    Pruning,
    Retention,
    find_inactive,
    forget,
    refresh_strength,
    reinforce,
    strengths_of,
)

from . import naive_memory as naive
from .memories import DAY_S, LAWS, NOW, Row, by_name, f4s, gone, some_rows, world_of

DAY, MONTH = days(1), days(30)


class InMemory:
    """An archive as a user writes one: it keeps the rows of what it takes out of the world."""

    def __init__(self):
        self.kept = {}
        archive = self

        @system(phase="last")
        def keep(world: World, inactive: Events[Inactive]):
            archive.take(world, inactive.memory)

        self.system = keep

    def take(self, world, ids):
        """Write memories down, and only then let them go."""
        ids = np.unique(ids[world.alive(ids)])
        owners = world.get(world.get(ids, Memory.owner), Persona.number).tolist()
        fields = [made for cls in (Memory, Trace) for made in schema(cls).fields]
        columns = {made.name: world.get(ids, made).tolist() for made in fields}
        columns["text"] = world.text.decode(world.get(ids, Memory.text))
        for place, owner in enumerate(owners):
            row = {name: values[place] for name, values in columns.items()} | {"owner": owner}
            assert (owner, row["sequence"]) not in self.kept
            self.kept[owner, row["sequence"]] = row
        world.despawn(ids)

    def recall(self, world, owner, sequence):
        """Bring one memory back."""
        row = dict(self.kept.pop((owner, sequence)))
        people = world.query(Persona)
        row["owner"] = people.ids()[people.gather(Persona.number) == owner][0]
        values = [
            cls(**{made.name: row[made.name] for made in schema(cls).fields})
            for cls in (Memory, Trace)
        ]
        return world.spawn(1, *values)


def idle(age_us=MONTH, importance=0.5, **others):
    """A memory that nobody has accessed since it was formed."""
    return Row(importance=importance, accessed=NOW - age_us, created=NOW - age_us, **others)


def told(rows, *resources):
    """The places of the memories that one step tells of."""
    world, ids = world_of(rows, *resources, systems=[find_inactive])
    reader = world.events(Inactive)
    world.step(DAY)
    assert gone(world, ids) == []
    place = {number: place for place, number in enumerate(ids.tolist())}
    return sorted(place[number] for number in reader.read().memory.tolist())


# -- what is inactive -----------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@given(some_rows(12), st.one_of(f4s(0, 1), st.just(0.1)), st.integers(0, 60))
def test_exactly_the_inactive_are_told(law, rows, theta, after_days):
    """In a world of several tables: those that the plain twin names, each once."""
    now, after = NOW + days(1), after_days * DAY_S
    strengths = [naive.strength(row, now, law) for row in rows]
    assume(all(abs(s - theta) > 1e-4 * theta or s == theta for s in strengths))
    want = naive.inactive(rows, now, strengths, theta=theta, after_us=seconds(after))
    assert told(rows, Retention(law=law), Archiving(theta=theta, after=after)) == want


def test_inactive_is_longer_than_and_weaker_than():
    """At 14 days to the µs, or at theta, it is not; a µs later, or just below theta, it is."""
    rows = [idle(days(14) - DAY + later) for later in (0, 1, -1)]
    assert told(rows, Archiving(theta=1.0)) == [1]
    rows = [idle(importance=importance) for importance in (0.25, 0.2499)]
    assert told(rows, Retention(floor=1.0), Archiving(theta=0.25)) == [1]


def test_inactive_counts_from_the_last_access():
    """Formed long ago and accessed yesterday, it is active, however weak."""
    rows = [idle(importance=0.01), idle(importance=0.01).but(accessed=NOW - days(1))]
    assert told(rows) == [0]


def test_pinned_memories_are_never_inactive():
    """However long, however weak, in whatever table."""
    rows = [idle(days(900), importance=0.0, table=table) for table in range(8)]
    assert told(rows) == [0, 2, 4, 6]


def test_a_recalled_memory_stays():
    """Recalled within the fortnight, it is not told, while its twin is."""
    world, ids = world_of([idle(days(13), 0.01)] * 2, systems=[reinforce, find_inactive])
    reader = world.events(Inactive)
    world.emit(Recalled(memory=ids[:1], time=NOW))
    world.step(days(2))
    assert reader.read().memory.tolist() == ids[1:].tolist()


def test_it_never_reads_the_cache():
    """Whatever is in `Strength`, swept or not, the same are told."""
    rows = [idle(days(place), table=place & ~1) for place in range(8)] + [idle(days(40))]
    outcomes = []
    for systems in ([find_inactive], [refresh_strength, find_inactive]):
        world, _ = world_of(rows, Archiving(after=3 * DAY_S), systems=systems)
        reader = world.events(Inactive)
        for strength in world.query(Strength):
            strength.value[:] = 1.0
        world.step(days(3))
        outcomes.append(sorted(reader.read().memory.tolist()))
    assert outcomes[0] == outcomes[1]
    assert 0 < len(outcomes[0]) < len(rows)


@pytest.mark.parametrize("step", [hours(1), hours(24), hours(5)])
def test_it_looks_once_a_day(step):
    """Steps of any length tell of a memory once for each day that it stays."""
    world, ids = world_of([idle()], systems=[find_inactive])
    reader = world.events(Inactive)
    world.run(days(3), step=step)
    assert reader.read().memory.tolist() == ids.tolist() * 3


# -- without an archive ---------------------------------------------------------------------


def test_nothing_leaves_where_no_archive_is_attached():
    """The memories stay, however long: there is nobody who would take them up."""
    world, ids = world_of([idle(importance=0.0)] * 5, systems=[find_inactive], debug=True)
    for _ in range(5):
        world.step(days(100))
    assert gone(world, ids) == []


def test_nobody_is_told_where_nobody_reads():
    """No event is emitted without a reader, one is with it, and none after it has gone."""
    world, _ = world_of([idle()], systems=[find_inactive])
    queue = world.event_queues.queue(Inactive)
    world.step(days(1))
    assert (queue.next, queue.has_readers) == (0, False)
    reader = world.events(Inactive)
    world.step(days(1))
    assert (queue.next, len(reader.read())) == (1, 1)
    del reader
    world.step(days(1))
    assert queue.next == 1


def test_an_empty_world_has_nothing_to_tell():
    """No memories, no events."""
    world, _ = world_of([], systems=[find_inactive], debug=True)
    reader = world.events(Inactive)
    world.step(days(30))
    assert len(reader.read()) == 0


# -- with one -------------------------------------------------------------------------------


def archived(rows, archive, *resources, **options):
    """A world whose inactive memories go to the archive, and whose weak ones are forgotten."""
    systems = [reinforce, refresh_strength, find_inactive, archive.system, forget]
    return world_of(rows, *resources, systems=systems, **options)


def test_what_is_archived_is_whole():
    """Each memory that left the world is in the archive with every value it had, once."""
    rows = [
        idle(days(place), place / 40, owner=place % 4, sequence=place, accesses=place + 1)
        for place in range(40)
    ]
    archive = InMemory()
    never = Pruning(theta=0, theta_old=0)
    world, ids = archived(rows, archive, never, debug=True)
    before = world_of(rows)[0]
    for _ in range(5):
        world.step(days(7))
    assert 0 < len(archive.kept) == len(gone(world, ids)) <= 40
    fields = (Trace.importance, Trace.stability, Trace.accessed, Trace.accesses, Memory.created)
    for key, values in by_name(before, *fields).items():
        if key in archive.kept:
            assert [archive.kept[key][made.name] for made in fields] == values
    assert by_name(before).keys() == by_name(world).keys() | archive.kept.keys()
    assert not by_name(world).keys() & archive.kept.keys()


def test_it_goes_before_what_is_forgotten():
    """Registered before `forget`, with a theta above it, the archive has them all: none is lost."""
    rows = [idle(days(place), sequence=place) for place in range(30)]
    archive = InMemory()
    world, _ = archived(rows, archive, Pruning(grace=15 * DAY_S))
    world.run(days(90), step=days(1))
    assert world.query(Memory).count() == 0
    assert len(archive.kept) == 30


@pytest.mark.parametrize("step", [hours(6), days(1), days(45)])
def test_the_length_of_a_step_loses_nothing(step):
    """Whether looked at daily or once in all: in the end the same memories are in the archive."""
    rows = [idle(days(place), 0.9, sequence=place, table=place % 8) for place in range(40)]
    archive = InMemory()
    world, ids = archived(rows, archive, Pruning(theta=0, theta_old=0))
    world.run(days(45), step=step)
    free = [place for place, row in enumerate(rows) if not row.pinned]
    assert gone(world, ids) == free
    assert sorted(archive.kept) == [(0, place) for place in free]


def test_what_comes_back_is_what_went():
    """A memory recalled from the archive is worth what it would be, had it never left."""
    rows = [idle(days(20), 0.9), idle(days(20), 0.9, table=1)]
    archive = InMemory()
    world, ids = archived(rows, archive)
    world.run(days(5), step=days(1))
    assert gone(world, ids) == [0]
    back = archive.recall(world, 0, 0)
    stayed, returned = strengths_of(world, np.concatenate([ids[1:], back]))
    assert stayed == returned
    world.check()


@pytest.mark.parametrize(
    ("name", "value"),
    [("after", -1.0), ("after", 1e14), ("after", "14 days"), ("theta", -0.1), ("theta", 1.1),
     ("theta", float("nan"))],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and the value."""
    with pytest.raises(SettingError, match=rf"Archiving\.{name} must .* got "):
        Archiving(**{name: value})


def test_a_fortnight_is_the_default():
    """A = 14 days."""
    assert Archiving().after == 14 * DAY_S
