"""Images: a world of columns, and the world that a look at it makes again."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

import populace
from populace import (
    Clock,
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Res,
    Text,
    Vector,
    World,
    Write,
    component,
    event,
    f4,
    hours,
    i4,
    i8,
    kernel,
    minutes,
    system,
)
from populace.ecs.entities import LAST_GENERATION
from populace.ecs.errors import ResourceError, StaleViewError, StructuralChangeError
from populace.ecs.image import Image, capture, restore
from populace.ecs.text import TextPool

from .model import Stamp
from .parts import (
    Asleep,
    Friend,
    Hungry,
    Kind,
    Loose,
    Memory,
    Position,
    Tie,
    Trace,
    Velocity,
    Weight,
)
from .test_state_machine import Contact, Programs
from .twins import assert_apart, assert_twins, differing, state


@event
class Seen:
    who: Entity = 0
    n: i4 = 0
    what: Text = "it"
    kind: Kind = Kind.CHAT
    at: Vector[2] = 0


@dataclass
class Ledger:
    total: int = 0
    names: dict = field(default_factory=dict)
    column: np.ndarray = field(default_factory=lambda: np.zeros(4))


def village():
    """A world with a bit of everything, and the ids of its people."""
    world = World(seed=5, phases=("dawn", "update", "dusk"))
    world.track(Position)
    people = world.spawn(9, Position(x=np.arange(9), y=1), Velocity(x=np.arange(9) % 3))
    world.add(people[::2], Asleep)
    owners = people[[0, 1, 1, 2, 8, 8]]
    notes = world.spawn(
        6, Memory(owner=owners, text=[f"note {k % 4}" for k in range(6)], vector=[1, 2, 3, 4])
    )
    world.spawn(3, Friend(other=people[3:6]))
    world.spawn(2, Loose(about=people[7:]))
    world.ensure(Tie(source=people[[0, 1, 2]], target=people[[1, 2, 0]]), Weight(w=[1, 2, 3]))
    world.despawn(people[[7, 4]])
    world.add(notes[2:4], Asleep)
    world.query(Hungry)  # known, and nobody has it
    world.insert(Ledger(7, {"a": [1]}))
    world.keep(Seen)
    world.emit(Seen(who=people[:2], n=[1, 2], what=["this", "that"]))
    world.step(minutes(90))
    world.emit(Seen(n=3))
    world.telemetry.count("forgotten, weak", 3)
    return world, people[world.alive(people)]


# -- the same again ------------------------------------------------------------------------------


def test_a_restored_world_is_the_same():
    """Digest, rows, tables, numbers, texts, slots, events, journals, resources and counts."""
    world, _ = village()
    before = state(world)
    other = restore(capture(world))
    other.check()
    assert_twins(world, other)
    assert differing(state(world), before) == []
    assert other.telemetry.steps == 1
    assert other.telemetry.counts == {"forgotten, weak": 3}
    assert other.clock == Clock(now=minutes(90), dt=minutes(90), tick=1)
    assert other.resource(Clock) is other.clock


def test_an_empty_world():
    """Nothing comes back as nothing."""
    world = World(seed=2)
    other = restore(capture(world))
    assert_twins(world, other)
    assert other.spawn(2).tolist() == world.spawn(2).tolist()


def test_an_image_is_of_its_moment():
    """Restoring twice gives the same world twice, whatever the first does meanwhile."""
    world, people = village()
    image = capture(world)
    before = state(world)
    one = restore(image)
    one.step(minutes(5))
    one.despawn(people)
    one.resource(Ledger).names.clear()
    two = restore(image)
    assert differing(state(two), before) == []


def test_how_a_world_runs_is_no_part_of_it():
    """threads and debug are those of the call."""
    world, _ = village()
    other = restore(capture(world), threads=2, debug=True)
    assert (other.threads, other.debug) == (2, True)
    assert_twins(world, other)
    assert restore(capture(other)).threads == 1


def test_row_order_and_table_order():
    """Rows that holes were filled with, tables that changed hands and clustered ones come back as
    they lie, and so do the rows that a query gives."""
    world, people = village()
    world.query(Position, without=Asleep).add(Hungry)  # a table changes hands
    world.cluster(Memory.owner)
    world.despawn(people[1])
    other = restore(capture(world))
    assert_twins(world, other)
    for query in (Position, Memory, Asleep, Hungry):
        assert world.query(query).ids().tolist() == other.query(query).ids().tolist()
    numbers = [a.table.number for a in world.store.archetypes]
    assert numbers != sorted(numbers)
    assert [a.table.number for a in other.store.archetypes] == numbers


def test_ids_go_on_where_they_were():
    """Spawns reuse the same free slots with the same generations, then take the same new ones."""
    world, people = village()
    world.despawn(people[[0, 2]])
    world.despawn(world.spawn(5))
    other = restore(capture(world))
    gone = [people[0], people[2]]
    assert not other.alive(gone).any()
    for n in (1, 3, 20):
        assert world.spawn(n, Position(x=0)).tolist() == other.spawn(n, Position(x=0)).tolist()
        world.despawn(world.query(Position).ids()[1::3])
        other.despawn(other.query(Position).ids()[1::3])
        assert_twins(world, other)
        other.check()


@given(dead=st.lists(st.integers(0, 129), max_size=60, unique=True), used=st.integers(0, 129))
@examples(max_examples=40)
def test_any_free_list(dead, used):
    """Whatever is free, and whatever has used its last generation."""
    world = World()
    ids = world.spawn(130, Position(x=np.arange(130)))
    entities = world.store.entities
    last = np.uint64(LAST_GENERATION) << np.uint64(32)
    entities.slots[used, 0] = last | (entities.slots[used, 0] & np.uint64(0xFFFF_FFFF))
    table = world.store.archetypes[0].table
    table.buffers[0][used] = last | np.uint64(used)
    ids[used] = last | np.uint64(used)
    world.despawn(ids[dead])
    other = restore(capture(world))
    other.check()
    assert_twins(world, other)
    assert other.store.entities.n_retired == (used in dead)
    for n in (len(dead) + 2, 1):
        assert world.spawn(n, Position(x=1)).tolist() == other.spawn(n, Position(x=1)).tolist()
    assert_twins(world, other)


def test_all_slots_retired():
    """A world whose only slot is used up goes on with the next one."""
    world = World()
    one = world.spawn(1)
    world.store.entities.slots[0, 0] = np.uint64(LAST_GENERATION) << np.uint64(32)
    world.store.archetypes[0].table.buffers[0][0] = np.uint64(LAST_GENERATION) << np.uint64(32)
    world.despawn(world.store.archetypes[0].table.ids.copy())
    image = capture(world)
    assert image.generations.tolist() == [0]
    other = restore(image)
    assert other.store.entities.n_retired == 1
    assert not other.alive(one).any()
    assert other.spawn(1).tolist() == world.spawn(1).tolist() == [(1 << 32) + 1]


def test_texts_and_their_codes():
    """The same codes, also of strings that no column holds any more; new ones get the next."""
    world, _ = village()
    world.text.intern(["unused", "naïve 茶", "a\0b"])
    other = restore(capture(world))
    assert other.text.strings == world.text.strings
    for text in ("unused", "new", "", "note 1"):
        assert other.text.intern([text]).tolist() == world.text.intern([text]).tolist()
    assert other.text.decode(other.query(Memory).gather(Memory.text)) == world.text.decode(
        world.query(Memory).gather(Memory.text)
    )


def test_references_and_pairs_work():
    """Indices and pairs are there again: they answer, cascade and refuse as before."""
    world, people = village()
    other = restore(capture(world))
    for each in (world, other):
        assert each.index(Memory.owner).count(people).sum() == 6
        assert (each.pairs(Tie).find(people[0], people[1]) != 0).all()
        with pytest.raises(populace.ecs.errors.DuplicatePairError):
            each.spawn(Tie(source=people[0], target=people[1]))
        assert each.despawn(people[1]) == 5  # two notes and two ties
        each.check()
    assert_twins(world, other)


def test_values_that_arithmetic_would_change():
    """Columns come back bit for bit: NaN payloads, negative zeros, the ends of integers."""

    @component
    class Odd:
        x: f4 = populace.field(finite=False)
        k: i8 = 0

    world = World()
    bits = np.array([0x7FC0_1234, 0x8000_0000, 0xFF80_0000], np.uint32)
    world.spawn(Odd(x=bits.view(np.float32), k=[-(2**63), 2**63 - 1, 0]))
    other = restore(capture(world))
    found = next(iter(other.query(Odd)))
    assert found.x.view(np.uint32).tolist() == bits.tolist()
    assert found.k.tolist() == [-(2**63), 2**63 - 1, 0]


def test_components_keep_their_numbers():
    """Also those that nobody has: masks, and so the order of later tables, are the same."""
    world, _ = village()
    other = restore(capture(world))
    assert list(other.store.numbers) == list(world.store.numbers)
    assert Hungry in other.store.numbers
    for each in (world, other):
        each.spawn(2, Hungry, Position(x=0), Asleep)
    assert_twins(world, other)


def test_tracking_goes_on():
    """What was tracked is tracked; everybody counts as changed at the restoring."""
    world, people = village()
    other = restore(capture(world))
    ids = other.query(Position).ids()
    assert other.changed_since(0, Position).tolist() == sorted(ids.tolist())
    mark = other.mark()
    assert not other.changed_since(mark, Position).size
    other.set(people[:1], Position(x=-5))
    assert other.changed_since(mark, Position).tolist() == people[:1].tolist()
    with pytest.raises(populace.ecs.errors.UntrackedError):
        other.changed_since(0, Velocity)


# -- nothing is shared ---------------------------------------------------------------------------


def rewrite(world):
    """Change everything that can be changed in place."""
    for cls in (Position, Velocity, Trace, Memory, Weight):
        for view in world.query(cls):
            for name in cls.__annotations__:
                made = getattr(cls, name)
                if made.kind in ("scalar", "vector") and not made.derived:
                    getattr(view, name)[...] = 0.25
    world.resource(Ledger).total = -1
    world.resource(Ledger).names["a"].append(2)
    world.resource(Ledger).column[:] = 9
    world.clock.now += 1
    world.text.intern(["something new"])
    world.emit(Seen(n=99))
    world.telemetry.count("forgotten, weak", 1)
    world.step(minutes(1))
    world.spawn(40, Position(x=1))
    world.despawn(world.query(Memory).ids())
    world.despawn(world.query(Position).ids()[:3])
    world.emit(Seen(n=100))


def test_the_two_share_nothing():
    """Whatever one does, the other stays as it is."""
    world, _ = village()
    other = restore(capture(world))
    assert_apart(world, other)
    before = state(world)
    rewrite(other)
    assert differing(state(world), before) == []
    world.check()
    again = state(other)
    rewrite(world)
    rewrite(world)
    assert differing(state(other), again) == []
    other.check()


def test_columns_that_are_free_to_take_are_taken():
    """An image of contiguous, writable columns that own their memory is not copied."""
    world, _ = village()
    image = _edited(capture(world), lambda key, column: np.array(column, order="C"))
    other = restore(image)
    assert_twins(world, other)
    taken = [
        a.table.buffers[0] is t.ids
        for a, t in zip(other.store.archetypes, image.tables, strict=True)
    ]
    assert all(taken)


@pytest.mark.parametrize(
    "form",
    [
        lambda c: np.asfortranarray(np.array(c)),
        lambda c: np.repeat(c, 2, axis=0)[::2],
        lambda c: np.array(c[::-1])[::-1],
        lambda c: np.frombuffer(c.tobytes(), c.dtype).reshape(c.shape),
        lambda c: np.concatenate([c, c])[: len(c)],
        lambda c: np.array(bytearray(b"\0" + c.tobytes()))[1:].view(c.dtype).reshape(c.shape),
    ],
    ids=["fortran", "strided", "reversed", "read-only", "part of another", "unaligned"],
)
def test_columns_of_any_layout(form):
    """However the columns of an image lie in memory, the world that takes them is right, moves
    them rightly, and knows when somebody still holds a part of one."""
    world, people = village()
    other = restore(_edited(capture(world), lambda key, column: form(column)))
    assert_twins(world, other)
    other.check()
    for each in (world, other):
        each.add(people[:2], Hungry)
        each.despawn(people[2])
        each.spawn(7, Memory(owner=people[3], vector=[4, 3, 2, 1]))
        each.cluster(Memory.owner)
    assert_twins(world, other)
    other.check()
    view = next(iter(other.query(Position)))
    place = view._table.archetype.place[Position.x]
    part = view.x[:2]
    view._table.look()
    part[:] = 5
    assert view._table.look()[place]


def _edited(image, change):
    tables = tuple(
        replace(
            t,
            ids=change(None, t.ids),
            columns={k: change(k, c) for k, c in t.columns.items()},
        )
        for t in image.tables
    )
    return replace(image, tables=tables)


# -- capture -------------------------------------------------------------------------------------


def test_capture_copies_no_column():
    """The columns of an image are those of the tables, also the derived ones, and the events and
    journals are those of the world."""
    world, _ = village()
    image = capture(world)
    assert [t.components for t in image.tables] == [a.components for a in world.store.archetypes]
    for held, archetype in zip(image.tables, world.store.archetypes, strict=True):
        table = archetype.table
        assert set(held.columns) == set(archetype.fields)
        assert (held.n, held.number) == (table.n, table.number)
        assert held.n == 0 or np.shares_memory(held.ids, table.buffers[0])
        for key, column in held.columns.items():
            assert column.shape == (table.n, *key.shape)
            assert held.n == 0 or np.shares_memory(column, table.column(key))
    kept = world.journal(Seen).columns
    assert all(np.shares_memory(c, kept[name]) for name, c in image.journals[0].columns.items())
    (queue,) = (q for q in image.queues if q.event is Seen)
    assert queue.batches[0][2] is world.event_queues.held[Seen].batches[0][2]


def test_an_image_is_read_only():
    """Nobody changes a living world through an image of it."""
    world, _ = village()
    before = state(world)
    image = capture(world)
    columns = [c for t in image.tables for c in (t.ids, *t.columns.values())]
    columns += [c for j in image.journals for c in j.columns.values()]
    columns += [c for q in image.queues for _, _, batch in q.batches for c in batch.values()]
    for column in columns:
        assert not column.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
    with pytest.raises(AttributeError):
        image.seed = 3
    image.generations[:] = 9
    assert differing(state(world), before) == []


def test_capture_shows_the_moment_of_writes():
    """A look at a living world sees what is written afterwards: it is a look, not a copy."""
    world, people = village()
    image = capture(world)
    (held,) = (t for t in image.tables if people[0] in t.ids)
    world.set(people[0], Position(x=77))
    assert 77 in held.columns[Position.x]
    world.step(5)
    assert image.clock.now == world.clock.now


def test_capture_changes_nothing():
    """Views made before it are good after it, and may write."""
    world, _ = village()
    view = next(iter(world.query(Position)))
    x = view.x
    image = capture(world)
    x[0] = 40
    view.y[0] = 41
    assert image.tables[0].columns[Position.x][0] == 40
    world.spawn(1, Position(x=0), Velocity)
    with pytest.raises(StaleViewError):
        _ = view.x


def test_texts_of_an_image_stay():
    """Strings that come later are not part of the image."""
    world, _ = village()
    image = capture(world)
    texts = list(image.texts)
    world.text.intern(["later", "latest"])
    assert list(image.texts) == texts
    assert "later" not in image.texts
    assert restore(image).text.find("later") is None


def test_waiting_commands():
    """An image holds no commands, so one that is to be restored is refused while some wait; one to
    be looked at is not."""
    world, people = village()
    world.commands.despawn(people[:2])
    with pytest.raises(StructuralChangeError, match=r"1 commands wait .* world\.sync\(\)"):
        capture(world)
    image = capture(world, whole=False)
    assert sum(t.n for t in image.tables) == len(world)
    world.sync()
    assert_twins(world, restore(capture(world)))


def test_waiting_commands_of_systems():
    """Commands that systems have queued and that wait for the end of the phase count too: inside a
    step, and after one that failed in between."""
    world = World()
    world.spawn(3, Position(x=0))
    caught = []

    @system
    def end(ids: Id, position: Read[Position], commands: Commands):
        commands.despawn(ids)

    @system
    def look(world: World):
        try:
            capture(world)
        except StructuralChangeError as error:
            caught.append(error)
        assert capture(world, whole=False).tables[0].n == 3
        raise ZeroDivisionError

    world.add_systems(end, look)
    with pytest.raises(ZeroDivisionError):
        world.step(1)
    assert len(caught) == 1
    with pytest.raises(StructuralChangeError, match="1 commands wait"):
        capture(world)
    world.sync()
    assert len(restore(capture(world))) == 0


def test_an_image_to_look_at():
    """`whole=False` leaves out what only restoring needs, and can be made inside a system."""
    world, _ = village()
    image = capture(world, whole=False)
    assert image.generations.size == 0
    assert (image.queues, image.cursors) == ((), {})
    assert [j.n for j in image.journals] == [2]
    assert image.clock is world.clock
    assert isinstance(image, Image)
    with pytest.raises(populace.ecs.errors.InvariantError):
        restore(image)


def test_generations_that_the_caller_keeps():
    """`generations=` takes the place of the column that capture works out."""
    world, _ = village()
    own = capture(world).generations.copy()
    image = capture(world, generations=own)
    assert image.generations is own
    assert_twins(world, restore(image))


def test_prefix():
    """The strings of an image are a sequence of their own length."""
    pool = TextPool()
    pool.intern(["a", "b"])
    prefix = pool.prefix()
    pool.intern(["c"])
    assert (len(prefix), list(prefix)) == (3, ["", "a", "b"])
    assert (prefix[-1], prefix[0], prefix[1:], prefix[::-1]) == (
        "b",
        "",
        ["a", "b"],
        ["b", "a", ""],
    )
    assert prefix[-2:10] == ["a", "b"]
    assert prefix[5:] == []
    assert "b" in prefix
    assert "c" not in prefix
    assert prefix.index("b") == 2
    assert list(reversed(prefix)) == ["b", "a", ""]
    for wrong in (3, -4):
        with pytest.raises(IndexError):
            prefix[wrong]
    assert TextPool(prefix).strings == ("", "a", "b")


# -- derived fields ------------------------------------------------------------------------------


@component
class Age:
    since: i8 = 0


@component
class Hours:
    n: f4 = populace.field(derived=True)


@component
class Doubled:
    n: f4 = populace.field(derived=True)


@component
class Noted:
    n: f4 = -1


@kernel(every=hours(6))
def fill(age: Read[Age], hours_: Write[Hours], clock: Res[Clock]):
    hours_.n = f4((clock.now - age.since) / 3.6e9)


@system(every=hours(6))
def double(hours_: Read[Hours], doubled: Write[Doubled]):
    doubled.n = hours_.n * 2


@system(every=hours(6))
def note(hours_: Read[Hours], doubled: Read[Doubled], noted: Write[Noted]):
    """Reads only what has just been made: the caches are none of an image's."""
    noted.n = hours_.n + doubled.n


def aged():
    world = World()
    world.spawn(3, Age(since=[0, hours(1), hours(2)]), Hours, Doubled, Noted)
    world.spawn(1, Age(since=hours(-1)), Hours, Doubled, Noted, Asleep)
    world.add_systems(fill, double, note)
    world.run(hours(12), step=hours(6))
    return world


def seen_first(world):
    """Add a system that runs before all others and looks at the caches; what it saw."""
    seen = []

    @system(phase="first")
    def look(world: World):
        seen.append(
            (
                world.query(Hours).gather(Hours.n).tolist(),
                world.query(Doubled).gather(Doubled.n).tolist(),
            )
        )

    world.add_system(look)
    return seen


def test_derived_fields_are_there_for_the_first_system():
    """At the first step after a restore every sweep is made before anything else, due or not, with
    the clock as the image shows it."""
    world = aged()
    image = capture(world)
    assert image.caches == frozenset()
    other = restore(image)
    assert other.stale
    assert other.query(Hours).gather(Hours.n).tolist() == [0] * 4
    other.add_systems(fill, double, note)
    seen = seen_first(other)
    other.step(hours(1))
    assert not other.stale
    assert seen == [([12, 11, 10, 13], [24, 22, 20, 26])]
    assert other.telemetry.systems["fill"].calls == 1
    other.step(hours(1))
    assert other.telemetry.systems["fill"].calls == 1
    world.run(hours(2), step=hours(1))
    assert_twins(world, other)


def test_refresh_fills_them_before_any_step():
    """World.refresh makes the sweeps, changes nothing else, and so the next step need not."""
    world = aged()
    other = restore(capture(world))
    other.add_systems(fill, double, note)
    other.refresh()
    assert not other.stale
    for made in (Hours.n, Doubled.n):
        mine = other.query(made.component).gather(made)
        assert mine.tolist() == world.query(made.component).gather(made).tolist()
    assert other.clock == world.clock
    assert_twins(world, other)
    other.step(hours(1))
    assert other.telemetry.systems["fill"].calls == 1


def test_caches_that_are_state():
    """Derived fields that a system may read when they are old come back as they were, and no sweep
    is made of them before it is due; also through a world that has no systems yet."""
    world = aged()
    world.add_system(note, name="always", every=hours(1))
    world.run(hours(3), step=hours(1))
    image = capture(world)
    assert image.caches == {Hours, Doubled}
    again = capture(restore(image))
    assert again.caches == image.caches
    for other in (restore(image), restore(again)):
        for made in (Hours.n, Doubled.n):
            mine = other.query(made.component).gather(made)
            assert mine.tolist() == world.query(made.component).gather(made).tolist()
        other.add_systems(fill, double, note)
        other.add_system(note, name="always", every=hours(1))
        assert_apart(world, other)
        other.step(hours(1))
        assert "fill" not in other.telemetry.systems
        assert other.query(Hours).gather(Hours.n).tolist() == [12, 11, 10, 13]


def test_looking_needs_no_plan():
    """A world whose systems cannot run yet can still be looked at."""
    world = aged()
    world.add_system(note, name="waiting", after="somebody else")
    assert capture(world, whole=False).tables[0].n == 3


def test_a_sweep_that_raises_leaves_the_world_stale():
    """What could not be refreshed is refreshed at the next step."""
    world = aged()
    other = restore(capture(world))
    fails = [True]

    @system
    def fill_badly(age: Read[Age], hours_: Write[Hours]):
        if fails:
            fails.pop()
            raise ZeroDivisionError
        hours_.n = 5

    other.add_system(fill_badly)
    for refresh in (lambda: other.step(1), other.refresh):
        fails.append(True)
        with pytest.raises(ZeroDivisionError):
            refresh()
        assert other.stale
        assert other.clock == world.clock
        fails.clear()
    other.step(1)
    assert not other.stale
    assert other.query(Hours).gather(Hours.n).tolist() == [5] * 4


def test_a_new_world_is_not_stale():
    """A world that was built swept as its systems say, no more."""
    world = aged()
    assert not world.stale
    assert world.telemetry.systems["fill"].calls == 2
    assert world.telemetry.systems["fill"].rows == 8


# -- events and what systems have seen -----------------------------------------------------------


def readers():
    """A world whose systems emit and read at different times, and what they have read."""
    read = {"often": [], "seldom": [], "fixed": []}

    @system
    def talk(clock: Res[Clock], emit: Emit[Seen]):
        emit(Seen(n=[clock.tick * 10, clock.tick * 10 + 1]))

    @system
    def often(seen: Events[Seen]):
        read["often"].append(seen.n.tolist())

    @system(every=minutes(30))
    def seldom(seen: Events[Seen], others: Events[Contact]):
        read["seldom"].append((seen.n.tolist(), others.weight.tolist()))

    @system(fixed_step=minutes(45))
    def fixed(seen: Events[Seen], emit: Emit[Contact]):
        read["fixed"].append(seen.n.tolist())
        emit(Contact(a=0, weight=len(seen)))

    return read, (talk, often, seldom, fixed)


@pytest.mark.parametrize("before", range(1, 8))
def test_readers_go_on_where_they_were(before):
    """Each event is seen once by each system, also by one that lagged behind at the capture."""
    read, systems = readers()
    world = World()
    world.add_systems(*systems)
    for _ in range(before):
        world.step(minutes(10))
    world.emit(Seen(n=-before))
    other = restore(capture(world))
    assert_twins(world, other)
    again, systems = readers()
    other.add_systems(*systems)
    assert other.schedule.cursors() == world.schedule.cursors()
    for part in read.values():
        part.clear()
    for _ in range(9):
        world.step(minutes(10))
        other.step(minutes(10))
        assert_twins(world, other)
    assert read == again
    assert sum(n == -before for part in read["often"] for n in part) == 1


def test_events_wait_for_systems_that_come_later():
    """An image of a world whose systems have not been added again remembers their cursors."""
    _, systems = readers()
    world = World()
    world.add_systems(*systems)
    for _ in range(2):
        world.step(minutes(10))
    cursors = world.schedule.cursors()
    once = restore(capture(world))
    assert once.schedule.cursors() == cursors
    twice = restore(capture(once))
    assert twice.schedule.cursors() == cursors
    read, systems = readers()
    twice.add_systems(systems[0], systems[2])
    assert twice.schedule.cursors() == cursors
    twice.step(minutes(10))
    assert read["seldom"] == [([10, 11, 20, 21, 30, 31], [])]


def test_cursors_are_by_name_and_parameter():
    """A system under another name is new, and sees what is still held; a parameter that is gone
    has nothing to go on from."""
    _, systems = readers()
    world = World()
    world.add_systems(*systems)
    world.step(minutes(10))
    other = restore(capture(world))
    got = {}

    @system(name="seldom")
    def changed(seen: Events[Seen], more: Events[Seen]):
        got["changed"] = (seen.n.tolist(), more.n.tolist())

    @system
    def unknown(seen: Events[Seen]):
        got["unknown"] = seen.n.tolist()

    other.add_systems(changed, unknown)
    other.emit(Seen(n=5))
    other.step(0)
    assert got == {"changed": ([10, 11, 5], [10, 11, 5]), "unknown": [10, 11, 5]}


def test_a_system_that_could_not_be_added_keeps_its_place():
    """A refused registration does not lose the cursor."""
    _, systems = readers()
    world = World()
    world.add_systems(*systems)
    world.step(minutes(10))
    other = restore(capture(world))
    with pytest.raises(populace.ecs.errors.ScheduleError):
        other.add_system(systems[1], phase="nowhere")
    other.add_system(systems[1])
    assert other.schedule.cursors() == world.schedule.cursors()


def test_events_that_nobody_reads_are_dropped_at_the_same_time():
    """`before_step` is part of an image."""
    world = World()
    world.emit(Seen(n=1))
    world.step(1)
    world.emit(Seen(n=2))
    other = restore(capture(world))
    for _ in range(3):
        held = [len(each.event_queues.held[Seen]) for each in (world, other)]
        assert held[0] == held[1]
        assert_twins(world, other)
        world.step(1)
        other.step(1)
    assert held == [0, 0]


# -- what an image does not hold -----------------------------------------------------------------


def test_code_is_registered_anew():
    """Systems, observers, templates, callbacks and outside readers are not in an image."""
    world, people = village()
    told = []
    world.observe("despawn", Position, lambda w, ids: told.append(ids.size))
    world.on_step(lambda w: told.append("step"))
    world.template("someone", Position(x=0))
    reader = world.events(Seen)
    other = restore(capture(world))
    other.despawn(people[:1])
    other.step(1)
    assert told == []
    assert other.schedule.entries == {}
    assert len(reader.read()) == 1
    with pytest.raises(ResourceError):
        other.journal(Contact)


# -- any program ---------------------------------------------------------------------------------


class Restored(Programs):
    """Programs whose world is now and then replaced by what its image makes."""

    @initialize(n=st.sampled_from([0, 2, 8, 70]))
    def begin(self, n):
        super().begin(n)
        self.left = []

    @rule(data=st.data(), first=st.sampled_from(["nothing", "emit", "read", "new", "queue"]))
    def image(self, data, first):
        """An image, with events that some have read and some have not, or refused."""
        if first == "queue":
            self.queued.append(self.some_ids(data, wrong=False))
            self.world.commands.despawn(self.queued[-1])
        elif first != "nothing":
            self.emit(data, 2)
        if first == "read" and self.readers:
            self.read(0)
            self.emit(data, 1)
        elif first == "new" and len(self.readers) < 3:
            self.readers.append([self.world.events(Contact), self.held_from])
        if len(self.world.commands):
            with pytest.raises(StructuralChangeError):
                capture(self.world)
            self.sync()
        old = self.world
        before = state(old)
        self.world = new = restore(capture(old), debug=False)
        assert differing(before, state(new)) == []
        assert differing(before, state(old)) == []
        assert_apart(old, new)
        self.left = [(old, before), *self.left[:1]]
        self.kept.clear()
        for cls in self.seen:
            new.observe("add", cls, lambda _, ids, cls=cls: self.told(cls, ids, True))
            new.observe("remove", cls, lambda _, ids, cls=cls: self.told(cls, ids, False))
        for held in self.readers:
            held[0] = new.events(Contact)
            held[0].cursor = old.event_queues.queue(Contact).next - (len(self.events) - held[1])
        model = self.model  # all that is tracked counts as changed
        for entity, cls in model.stamps:
            model.stamps[entity, cls] = Stamp(model.tick, model._bits(entity, cls))
        self.marks = [(0, model.tick - 1)]

    def teardown(self):
        for old, before in getattr(self, "left", ()):
            assert differing(state(old), before) == []
            old.check()


def test_any_program_goes_on_after_a_restore():
    """Any sequence of calls, with restores in between, leaves what the model holds; the worlds
    that were left behind stay as they were."""
    run_state_machine_as_test(Restored, settings=examples(max_examples=50, stateful_step_count=40))
