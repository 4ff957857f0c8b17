"""A world that was restored in the middle goes on as the one that was not, bit for bit: the small
society of `test_determinism` with readers that lag behind, the laws of Populace, the scenario of
`populace run`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace import (
    Clock,
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Res,
    Rng,
    With,
    Without,
    World,
    Write,
    component,
    days,
    event,
    f4,
    field,
    hours,
    kernel,
    minutes,
    system,
    u8,
)
from populace.components import (
    Emotion,
    Haunts,
    Knowledge,
    Memory,
    Mood,
    Persona,
    Place,
    Reflection,
    SocialEnergy,
    Space,
    Stream,
    Tie,
)
from populace.ecs.image import capture, restore
from populace.runs import make_world
from populace.systems import Colocation, add_laws, enter_state, intern_topics, learn, settle
from populace.systems.society import SYSTEMS as LAWS

from . import society
from .twins import assert_apart, assert_twins, differing, state

# -- the small society ---------------------------------------------------------------------------


@component
class Fame:
    talks: f4 = 0
    heard: f4 = 0
    now: f4 = field(derived=True)


@event
class Praised:
    key: u8 = 0
    share: f4 = 1


@system(every=minutes(50))
def gossip(met: Events[society.Met], commands: Commands, rng: Rng, emit: Emit[Praised]):
    """Reads seldom, what several steps have emitted."""
    if len(met):
        share = rng.uniform(met.key).astype(np.float32)
        emit(Praised(key=met.key, share=share))
        commands.spawn(len(met), Fame(talks=share, heard=len(met)))


@system(phase="last", fixed_step=minutes(35))
def tell(
    met: Events[society.Met], praised: Events[Praised], clock: Res[Clock], emit: Emit[Praised]
):
    """Several times in some steps, never in others."""
    if len(praised):
        emit(Praised(share=float(praised.share.sum()) / 1e3 + clock.dt_s))


@kernel(every=minutes(20))
def fade_fame(fame: Write[Fame], clock: Res[Clock]):
    fame.heard = fame.heard * f4(0.9) + f4(clock.dt_s)


@system(phase="last")
def retire(ids: Id, fame: Read[Fame], commands: Commands):
    commands.despawn(ids[fame.heard > 400])


@system
def doze_fame(ids: Id, fame: Read[Fame], rng: Rng, commands: Commands, clock: Res[Clock]):
    commands.add(ids[(ids & 3) == clock.tick % 4][:2], society.Count(n=clock.tick))


@system(phase="first")
def forget_count(ids: Id, fame: With[Fame], count: Read[society.Count], commands: Commands):
    commands.remove(ids[::2], society.Count)


SYSTEMS = (
    society.walk,
    society.dream,
    society.fade,
    society.doze,
    society.wake,
    society.meet,
    society.remember,
    society.forget,
    society.renew,
    gossip,
    tell,
    fade_fame,
    retire,
    doze_fame,
    forget_count,
)


def small(threads=1):
    world = World(seed=11, threads=threads)
    world.parallel_rows = 0 if threads > 1 else 10**9
    people = world.spawn(
        30, society.Person(number=np.arange(30)), society.Place(x=np.arange(30) / 7)
    )
    world.add(people[::3], society.Asleep)
    world.spawn(40, society.Note(owner=people[np.arange(40) % 30], text="first"))
    world.despawn(people[4::9])
    world.keep(society.Met, Praised)
    world.add_systems(*SYSTEMS)
    return world


def go_on(world, systems=SYSTEMS, **how):
    """The world of an image, its systems added again."""
    made = restore(capture(world), **how)
    made.parallel_rows = world.parallel_rows
    made.add_systems(*systems)
    return made


steps = st.lists(st.sampled_from([0, 7, 10, 20, 30, 45, 120]), min_size=2, max_size=9)


@given(steps=steps, cuts=st.sets(st.integers(0, 8), min_size=1, max_size=3), twice=st.booleans())
@examples(max_examples=80)
def test_a_society_goes_on(steps, cuts, twice):
    """Wherever it is cut, and however often, every later step is the same in every byte and row."""
    world, other = small(), small()
    for number, dt in enumerate(steps):
        if number in cuts:
            before = state(other)
            left, other = other, go_on(other)
            assert_apart(left, other)
            other = go_on(other) if twice else other
            assert differing(state(left), before) == []
        world.step(minutes(dt))
        other.step(minutes(dt))
        assert_twins(world, other)
    other.check()


def test_between_steps():
    """What was done from outside since the last step is part of it: spawns, values, events."""
    world = small()
    world.run(minutes(100), step=minutes(20))
    people = world.query(society.Person).ids()
    world.emit(society.Met(a=people[0], b=people[1], key=5))
    world.despawn(people[2])
    world.set(people[3], society.Place(x=1e6))
    world.spawn(3, Fame)
    other = go_on(world)
    for _ in range(6):
        world.step(minutes(25))
        other.step(minutes(25))
        assert_twins(world, other)


def test_on_threads():
    """A world that goes on with two threads is the one that goes on with one."""
    world = small()
    world.run(minutes(60), step=minutes(10))
    other = go_on(world, threads=2)
    other.parallel_rows = 0
    world.run(hours(3), step=minutes(25))
    other.run(hours(3), step=minutes(25))
    assert_twins(world, other)


def test_the_journal_of_a_society_is_that_of_the_whole_run():
    """Kept events of before the cut and after it are one journal."""
    world = small()
    world.run(minutes(90), step=minutes(15))
    other = go_on(world)
    n = other.journal(society.Met).n
    assert n > 0
    world.run(minutes(90), step=minutes(15))
    other.run(minutes(90), step=minutes(15))
    assert other.journal(society.Met).n > n
    for cls in (society.Met, Praised):
        theirs = other.journal(cls).columns
        for name, column in world.journal(cls).columns.items():
            assert column.tobytes() == theirs[name].tobytes()


def test_systems_in_another_order_of_registration():
    """The plan is made by the program; only cursors come from the image, by name."""
    world = small()
    world.run(minutes(60), step=minutes(10))
    other = go_on(world, SYSTEMS[::-1])
    assert other.schedule.cursors() == world.schedule.cursors()
    assert_twins(world, other)


# -- order that is no part of an image -----------------------------------------------------------


@component
class Own:
    by: Entity = field(index=True, on_despawn="despawn")
    n: f4 = 0


@component
class Sum:
    total: f4 = 0


@component
class Heir:
    n: f4


def redirected():
    """A world in whose index the members of one owner do not lie in the order of their ids."""
    world = World()
    people = world.spawn(2, Sum)
    own = world.spawn(6, Own(by=people[0], n=[1e8, 1, -1e8, 3, 1e-3, 7]))
    world.set(own[[1, 3]], Own(by=people[1]))
    world.set(own[[3, 1]], Own(by=people[0]))
    return world, people, own


def test_observers_of_a_cascade():
    """Observers that are registered again are told of the same ids in the same order, so what they
    make of it is the same."""

    def inherit(world, ids):
        world.commands.spawn(Heir(n=world.get(ids, Own.n)))

    world, people, _ = redirected()
    other = restore(capture(world))
    for each in (world, other):
        each.observe("despawn", Own, inherit)
        each.despawn(people[0])
        each.sync()
    assert_twins(world, other)


def test_members_of_an_index():
    """`world.index(...).csr()` packs the members of an owner in the same order, so sums over them
    have the same bits."""

    @system
    def add_up(world: World):
        csr = world.index(Own.by).csr()
        n = world.get(csr.ids, Own.n)
        world.set(csr.owners, Sum(total=np.add.reduceat(n, csr.offsets[:-1])))

    world, _, _ = redirected()
    other = restore(capture(world))
    for each in (world, other):
        each.add_system(add_up)
        each.step(1)
    assert world.index(Own.by).csr().ids.tolist() == other.index(Own.by).csr().ids.tolist()
    assert_twins(world, other)


# -- caches that are read when they are old --------------------------------------------------------


@component
class Grown:
    by: f4 = 0


@component
class Tall:
    now: f4 = field(derived=True)


@component
class Wide:
    now: f4 = field(derived=True)


@component
class Mixed:
    since: f4 = 0
    now: f4 = field(derived=True)


def hours_of(clock):
    return np.float32(clock.now / 3.6e9)


@system
def take_tall(tall: Read[Tall], grown: Write[Grown]):
    grown.by += tall.now


@system
def take_wide(wide: Read[Wide], grown: Write[Grown]):
    grown.by += wide.now


@system
def take_mixed(mixed: Read[Mixed], grown: Write[Grown]):
    grown.by += mixed.now


@system
def measure(tall: Write[Tall], grown: Read[Grown], clock: Res[Clock]):
    tall.now = hours_of(clock) + grown.by


@system
def measure_both(tall: Write[Tall], wide: Write[Wide], clock: Res[Clock]):
    tall.now = hours_of(clock)
    wide.now = hours_of(clock) * 2


@system
def measure_awake(tall: Write[Tall], clock: Res[Clock], _: Without[society.Asleep]):
    tall.now = hours_of(clock)


@kernel
def measure_mixed(mixed: Write[Mixed], clock: Res[Clock]):
    mixed.now = f4(clock.now) - mixed.since


@system(phase="last")
def fall_asleep(ids: Id, tall: Read[Tall], commands: Commands, _: Without[society.Asleep]):
    commands.add(ids[:1], society.Asleep)


@system(phase="last")
def be_born(tall: Read[Tall], commands: Commands, clock: Res[Clock]):
    if clock.tick % 3 == 0:
        commands.spawn(2, Grown, Tall, Wide, Mixed)


def rarely(made):
    return (made, {"every": hours(6)})


OLD = {
    "by a rarer sweep": [take_tall, rarely(measure)],
    "a rarer sweep stands before": [rarely(measure), take_tall],
    "before its sweep": [take_tall, measure],
    "before its sweep, with births": [take_tall, measure, be_born],
    "after its sweep, with births": [measure, take_tall, be_born],
    "by a fixed step": [take_tall, (measure, {"fixed_step": hours(5)})],
    "under a condition": [
        (measure, {"run_if": lambda w: w.clock.tick % 4 == 0}),
        take_tall,
    ],
    "one of two": [take_tall, rarely(measure_both), take_wide],
    "one of two, the other after": [take_tall, rarely(measure_both), rarely(take_wide)],
    "one of two, the other by nobody": [take_tall, rarely(measure_both)],
    "of rows that the sweep passes over": [measure_awake, take_tall, fall_asleep],
    "beside what is persisted": [take_mixed, rarely(measure_mixed)],
}


@pytest.mark.parametrize("systems", OLD.values(), ids=OLD)
@pytest.mark.parametrize("before", [6, 7, 11])
def test_a_cache_that_is_read_when_it_is_old(systems, before):
    """What systems make of a derived field that was filled some steps ago, or in part, is the same
    after a restore: also after another one at once, and with `refresh` in between."""
    world = World()
    world.spawn(3, Grown, Tall, Wide, Mixed)

    def add(made):
        for each in systems:
            each, rules = each if isinstance(each, tuple) else (each, {})
            made.add_system(each, **rules)
        return made

    add(world)
    world.run(hours(before), step=hours(1))
    others = [restore(capture(world)), restore(capture(restore(capture(world))))]
    others = [add(other) for other in others]
    others[1].refresh()
    for _ in range(9):
        world.step(hours(1))
        for other in others:
            other.step(hours(1))
            assert_twins(world, other)


# -- the laws of Populace ------------------------------------------------------------------------

START = days(19_401)


def town(n=40, seed=7, threads=1):
    """A society under every law, as in examples/rumour_study.py, one that knows a rumour."""
    world = World(seed=seed, threads=threads)
    world.clock.now = START
    add_laws(world, Space(width=200, height=200), Colocation(chance=0.5))
    draw = np.random.default_rng(seed)

    def places(k, kind, radius):
        x, y = draw.uniform(0, 200, (2, k))
        names = [f"the {kind} no. {j + 1}" for j in range(k)]
        return world.spawn(k, Place(name=names, kind=kind, x=x, y=y, radius=radius))

    homes, offices, cafes = places(12, "house", 5), places(4, "office", 10), places(3, "café", 8)
    people = world.spawn(
        n,
        Persona(
            number=np.arange(n),
            name=[f"P {k}" for k in range(n)],
            extraversion=draw.random(n),
            neuroticism=draw.random(n),
        ),
        Haunts(
            home=draw.choice(homes, n), work=draw.choice(offices, n), leisure=draw.choice(cafes, n)
        ),
        Stream,
        SocialEnergy,
        Emotion,
        Mood,
    )
    enter_state(world, people, "asleep", profile="worker")
    settle(world, people)
    learn(world, people[0], intern_topics(world, ["the mill will close"]))
    return world


def rows(world):
    """Ids and persisted columns of every table, as they lie."""
    found = []
    for table in (archetype.table for archetype in world.store.archetypes):
        kept = (key for key in table.archetype.keys if not getattr(key, "derived", False))
        found.append([table.number, *(table.column(key).tobytes() for key in kept)])
    return found


@pytest.mark.parametrize("before", [minutes(0), hours(10), hours(23) + minutes(40), hours(53)])
def test_the_laws_go_on(before):
    """Agents, memories, ties, knowledge, reflections: the same bytes in the same rows after the
    cut, over days with consolidation, forgetting and capacity."""
    world = town()
    world.run(before, step=minutes(40))
    other = restore(capture(world))
    add_laws(other)
    assert_twins_of_laws(world, other)
    for _ in range(24):
        world.step(minutes(70))
        other.step(minutes(70))
        assert rows(world) == rows(other)
    assert_twins_of_laws(world, other)
    assert all(world.query(c).count() for c in (Memory, Tie, Knowledge))
    if before > hours(48):
        assert world.query(Reflection).count()
    for archetype, again in zip(world.store.archetypes, other.store.archetypes, strict=True):
        for made in archetype.fields:  # derived ones too: every sweep has been made since
            assert np.array_equal(archetype.table.column(made), again.table.column(made)), made


def assert_twins_of_laws(world, other):
    assert world.digest() == other.digest()
    mine, theirs = state(world), state(other)
    assert set(differing(mine, theirs)) <= {"resources"}  # compared by the digest
    assert [type(r) for r in world.resources] == [type(r) for r in other.resources]


def test_laws_share_no_resource():
    """Settings, state machines and counts of one world are not those of the other."""
    world = town(8)
    other = restore(capture(world))
    for mine, theirs in zip(world.resources, other.resources, strict=True):
        assert mine is not theirs
    assert_apart(world, other)


def test_every_law_is_added_again():
    """No law needs more than its name to go on."""
    world = town(8)
    world.run(hours(2), step=hours(1))
    other = restore(capture(world))
    add_laws(other)
    assert list(other.schedule.entries) == [each.name for each in LAWS]
    assert other.schedule.cursors() == world.schedule.cursors()


@pytest.mark.parametrize("before", [0, 5, 30])
def test_the_scenario_goes_on(before):
    """The world of `populace run`, cut before, in and after its second day."""
    values = {"stream.agents": 12, "stream.memories": 40, "run.days": 4.0, "run.seed": 3}
    world = make_world("stream", values)
    world.run(hours(before), step=hours(1))
    other = restore(capture(world))
    fresh = make_world("stream", values)
    for name, entry in fresh.schedule.entries.items():
        other.add_system(entry.system, name=name)
    world.run(hours(48), step=hours(1))
    other.run(hours(48), step=hours(1))
    assert world.query(Memory).count() > 0
    assert rows(world) == rows(other)
    assert_twins_of_laws(world, other)
