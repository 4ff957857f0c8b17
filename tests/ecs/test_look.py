"""`Table.look`: no write to a column goes unnoticed, whoever makes it and however; what was only
read counts as untouched."""

import gc

import numpy as np
import pytest
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from populace import (
    Clock,
    Commands,
    Events,
    Id,
    Read,
    Res,
    Rows,
    World,
    Write,
    component,
    days,
    event,
    f4,
    field,
    hours,
    i8,
    kernel,
    minutes,
    system,
)
from populace.components import Memory as Remembered
from populace.components import SocialEnergy, TieState
from populace.ecs.errors import ColumnValueError
from populace.ecs.image import capture, restore
from populace.ecs.table import CACHES, COPIES
from populace.runs import make_world

from .model import Body
from .parts import Asleep, Friend, Hungry, Memory, Position, Tie, Trace, Velocity, Weight
from .test_image_continue import town
from .test_state_machine import Programs


@event
class Nudge:
    n: f4 = 1


@component
class Warm:
    of: f4 = 1
    since: i8 = 0


@component
class Cache:
    value: f4 = field(derived=True)


def hamlet(tracked=False, threads=1):
    """A world of two tables with Position and one each of edges and memories; all looked at."""
    world = World(threads=threads)
    world.parallel_rows = 0 if threads > 1 else 10**9
    if tracked:
        world.track(Position, Velocity, Trace)
    people = world.spawn(8, Position(x=np.arange(8), y=1), Velocity, Warm, Cache)
    world.add(people[:3], Asleep)
    notes = world.spawn(5, Memory(owner=people[:5], vector=[1, 2, 3, 4]), Friend(other=people[3:]))
    world.ensure(Tie(source=people[:3], target=people[1:4]), Weight)
    look(world)
    assert not any(look(world).values())
    return world, people, notes


def look(world):
    """{(table number, field or key): flag} of all tables that have rows."""
    found = {}
    for table in world.store.tables:
        flags = table.look()
        assert len(flags) == len(table.archetype.keys)
        if table.n:
            found |= {
                (table.number, k): f for k, f in zip(table.archetype.keys, flags, strict=True)
            }
    return found


def fields(world):
    """The names of the fields that a look says may have been written; "ids" for the ids."""
    flags = look(world)
    return {
        getattr(key, "name", "ids") if key_is(key) else key.role
        for (_, key), f in flags.items()
        if f
    }


def key_is(key):
    return not hasattr(key, "role")


def components_of(world):
    """The components of the fields that a look says may have been written."""
    return {key.component for (_, key), f in look(world).items() if f and key_is(key)}


def only(query):
    return next(iter(query))


# -- what was only read --------------------------------------------------------------------------


@system
def read_only(ids: Id, position: Read[Position], velocity: Read[Velocity] | None):
    _ = ids[:2], position.x.sum(), position.norm


@kernel
def read_in_kernel(position: Read[Position], clock: Res[Clock], cache: Write[Cache]):
    cache.value = position.x + position.y


@system
def read_rows(rows: Rows[Read[Position], Read[Velocity]]):
    for position, _ in rows:
        _ = position.x[:1]


READS = {
    "views of Read": lambda w, p, n: [
        w.add_systems(read_only, read_rows), w.step(1), w.step(1)
    ],
    "a kernel's Read": lambda w, p, n: [w.add_system(read_in_kernel), w.step(1), w.step(1)],
    "get": lambda w, p, n: w.get(p[::-1], Position.x),
    "gather": lambda w, p, n: w.query(Position).gather(Position.y),
    "ids": lambda w, p, n: w.query(Position).ids(),
    "where": lambda w, p, n: w.query(Position).where(np.ones(8, bool)).ids(),
    "entity": lambda w, p, n: repr(w.entity(p[0])),
    "at.read": lambda w, p, n: [part.read(Position.x)[part.rows] for part in w.at(p)],
    "index": lambda w, p, n: [w.index(Memory.owner).csr(), w.index(Memory.owner).rows(p[0])],
    "pairs": lambda w, p, n: w.pairs(Tie).find(p[0], p[1]),
    "digest": lambda w, p, n: w.digest(),
    "check": lambda w, p, n: w.check(),
    "describe": lambda w, p, n: [w.describe(), w.memory()],
    "explain": lambda w, p, n: w.explain(p[0], w.query(Position)),
    "alive": lambda w, p, n: [w.alive(p), w.has(p, Asleep)],
    "capture": lambda w, p, n: capture(w),
    "restore": lambda w, p, n: restore(capture(w)).despawn(p),
    "an empty step": lambda w, p, n: w.run(5, step=1),
    "nothing despawned": lambda w, p, n: [w.despawn([]), w.set([], Position(x=1))],
    "a mark": lambda w, p, n: w.mark(),
    "a refused set": lambda w, p, n: refused(lambda: w.set(p, Position(x=np.nan))),
    "a refused spawn": lambda w, p, n: refused(lambda: w.spawn(2, Position(x=np.nan))),
    "another world": lambda w, p, n: World().spawn(3, Position(x=1)),
    "an emitted event": lambda w, p, n: w.emit(Nudge),
}  # fmt: skip


def refused(call):
    with pytest.raises(ColumnValueError):
        call()


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("tracked", [False, True])
def test_reading_is_not_writing(read, tracked):
    """Nothing that only looks opens a persisted column."""
    world, people, notes = hamlet(tracked)
    read(world, people, notes)
    persisted = {k: f for k, f in look(world).items() if key_is(k[1]) and not k[1].derived}
    assert not any(persisted.values())


def test_columns_that_are_read_and_held():
    """Read-only arrays that somebody keeps do not open a column."""
    world, people, _ = hamlet()
    image = capture(world)
    (part,) = world.at(people[3:])
    held = [part.read(Position.x), image.tables[0].ids[:2], image]
    assert not any(look(world).values())
    assert not any(look(world).values())
    assert len(held) == 3


# -- what was written ----------------------------------------------------------------------------


@system
def write_views(position: Write[Position], velocity: Read[Velocity]):
    position.x += velocity.x + 1


@system
def write_optional(warm: Read[Warm], position: Write[Position] | None):
    position.y[:] = 3


@system
def write_rows(rows: Rows[Write[Position], Read[Velocity]]):
    for position, _ in rows:
        position.x[0] = 9


@kernel
def write_kernel(position: Write[Position], velocity: Read[Velocity], clock: Res[Clock]):
    position.x += f4(clock.dt_s) + velocity.x + 1


@system
def write_world(world: World):
    world.set(world.query(Position).ids(), Position(y=5))


@system
def write_places(world: World, nudges: Events[Nudge]):
    for part in world.at(world.query(Position).ids()):
        part.write(Position.x)[part.rows] += nudges.n.sum() + 1


@system
def write_commands(ids: Id, position: Read[Position], commands: Commands):
    commands.set(ids, Position(x=4))


def through(*systems):
    return lambda w, p, n: [w.add_systems(*systems), w.step(10)]


def with_view(write):
    def act(world, people, notes):
        for position in world.query(Position):
            write(position)

    return act


def raise_x(position):
    position.x += 1


def set_x(position):
    position.x = np.arange(len(position)) * 2


def half(position):
    position.x[::2] = 7


def flat(position):
    position.x.reshape(-1, 1)[0, 0] = 8


def as_bits(position):
    position.x.view(np.uint32)[1] ^= 1


def through_out(position):
    np.multiply(position.y, 3, out=position.x)


def through_memory(position):
    memoryview(position.x)[0] = 70.5


def through_iterator(position):
    with np.nditer(position.x, op_flags=["readwrite"]) as values:
        for value in values:
            value[...] = value + 1


def swapped(position):
    position.x, position.y = position.y.copy(), position.x.copy()


WRITES = {  # how, and the fields that must be open
    "in place": (with_view(raise_x), {"x"}),
    "assigned": (with_view(set_x), {"x"}),
    "part of it": (with_view(half), {"x"}),
    "reshaped": (with_view(flat), {"x"}),
    "as other bits": (with_view(as_bits), {"x"}),
    "as an output": (with_view(through_out), {"x"}),
    "as memory": (with_view(through_memory), {"x"}),
    "by an iterator": (with_view(through_iterator), {"x"}),
    "two": (with_view(swapped), {"x", "y"}),
    "set": (lambda w, p, n: w.set(p[[6, 1]], Position(x=[60, 10])), {"x"}),
    "set, a whole table": (lambda w, p, n: w.query(Position).set(Position(x=3)), {"x"}),
    "set, a selection": (
        lambda w, p, n: w.query(Position).where(lambda q: q.x > 3).set(Position(x=-3)),
        {"x"},
    ),
    "set, a reference": (lambda w, p, n: w.set(n[1], Memory(owner=p[7])), {"owner"}),
    "set, text": (lambda w, p, n: w.set(n[1], Memory(text="new")), {"text"}),
    "set, a vector": (lambda w, p, n: w.set(n, Memory(vector=[4, 3, 2, 1])), {"vector"}),
    "upsert": (
        lambda w, p, n: w.upsert(Tie(source=p[0], target=p[1]), Weight(w=5)), {"w"}
    ),
    "a system's view": (through(write_views), {"x"}),
    "a system's optional view": (through(write_optional), {"y"}),
    "a system's rows": (through(write_rows), {"x"}),
    "a kernel": (through(write_kernel), {"x"}),
    "a system of the world": (through(write_world), {"y"}),
    "places": (through(write_places), {"x"}),
    "commands": (through(write_commands), {"x"}),
    "a despawn, where null is left": (lambda w, p, n: w.despawn(p[7]), {"other"}),
}  # fmt: skip


@pytest.mark.parametrize(("write", "names"), WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tracked", [False, True])
def test_writes_are_seen(write, names, threads, tracked):
    """Each way to write opens what it writes, once; other components stay closed."""
    world, people, notes = hamlet(tracked, threads)
    before = columns(world)
    write(world, people, notes)
    written = changed(world, before)
    assert {made.name for made in written} == names
    flags = look(world)
    opened = {key for (_, key), flag in flags.items() if flag and key_is(key)}
    assert written <= opened
    assert not any(look(world).values())
    before = columns(world)
    world.step(10)
    if changed(world, before):  # the systems write at every step
        assert changed(world, before) <= {k for (_, k), f in look(world).items() if f}


@pytest.mark.parametrize(
    "name", [k for k in WRITES if "despawn" not in k and "upsert" not in k and k != "two"]
)
def test_other_components_stay_closed(name):
    """A write opens columns of its own component only."""
    world, people, notes = hamlet()
    write, names = WRITES[name]
    write(world, people, notes)
    (made,) = (c for c in (Position, Memory) if names <= c.__annotations__.keys())
    assert components_of(world) == {made}


def test_a_kernel_opens_what_it_writes():
    """Those columns alone of all tables, at its first run and at every later one, also when a table
    has grown or was handed over in between."""
    world, people, _ = hamlet()
    run = write_kernel.bind(world).run
    for change in (
        lambda: None,
        lambda: None,
        lambda: world.spawn(40, Position(x=1, y=1), Velocity),
        lambda: world.query(Position).add(Hungry),
        lambda: world.despawn(people[:1]),
    ):
        change()
        look(world)
        run()
        flags = look(world)
        opened = {(table, key) for (table, key), flag in flags.items() if flag}
        assert opened == {(table, key) for table, key in flags if key is Position.x}


@pytest.mark.parametrize("write", [raise_x, set_x, half, as_bits])
def test_views_open_one_column(write):
    """A view opens the column that was asked for, not its neighbours."""
    world, _, _ = hamlet()
    with_view(write)(world, None, None)
    assert fields(world) == {"x"}


def columns(world):
    return {
        (archetype.mask, made): archetype.table.column(made).tobytes()
        for archetype in world.store.archetypes
        for made in archetype.fields
        if archetype.table.n and not made.derived
    }


def changed(world, before):
    now = columns(world)
    return {made for (mask, made), value in now.items() if before.get((mask, made)) != value} - {
        made
        for (mask, made), value in before.items()
        if (mask, made) in now and len(now[mask, made]) != len(value)
    }


# -- arrays that are held ------------------------------------------------------------------------

HOLDS = {
    "the array": lambda x: x,
    "a slice": lambda x: x[1:3],
    "a slice of a slice": lambda x: x[1:][:1],
    "reshaped": lambda x: x.reshape(1, -1),
    "turned": lambda x: x[::-1],
    "other bits": lambda x: x.view(np.uint32),
    "memory": memoryview,
    "an iterator": lambda x: x.flat,
    "strided": lambda x: np.lib.stride_tricks.as_strided(x, (1,), (4,)),
    "in a list": lambda x: [x[:2]],
    "in a closure": lambda x: lambda: x.fill(3),
    "broadcast": lambda x: np.broadcast_arrays(x)[0],
    "a subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
    "wrapped": lambda x: np.asarray(x)[None],
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
@pytest.mark.parametrize("tracked", [False, True])
def test_held_arrays_keep_a_column_open(hold, tracked):
    """As long as somebody can write, a look says so; after that once more, then no more."""
    world, _, _ = hamlet(tracked)
    view = only(world.query(Position))
    held = hold(view.x)
    number = view._table.number
    for _ in range(3):
        assert look(world)[number, Position.x]
    assert not look(world)[number, Position.y]
    del held
    assert look(world)[number, Position.x]
    assert not any(look(world).values())


def test_a_view_itself_is_no_array():
    """A view that is kept asks for its column again, and that is noted."""
    world, _, _ = hamlet()
    view = only(world.query(Position))
    assert view.x.sum() == 25
    assert fields(world) == {"x"}
    assert fields(world) == set()
    view.x[0] = 1
    assert fields(world) == {"x"}
    assert fields(world) == set()


def test_systems_hold_views_not_arrays():
    """A world whose systems wrote yesterday is quiet today."""
    world, _, _ = hamlet()
    world.add_systems(write_views, read_only, write_kernel)
    world.step(1)
    assert "x" in fields(world)
    assert fields(world) == set()


def test_held_places():
    """What `write` of places gave is good to write until the next change, so it is looked at."""
    world, people, _ = hamlet()
    (part,) = world.at(people[3:5])
    column = part.write(Position.x)
    for _ in range(2):
        assert "x" in fields(world)
        column[part.rows] = 1
    del column
    assert "x" in fields(world)
    assert fields(world) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda w, p: w.spawn(1, Position(x=0), Velocity, Warm, Cache),
        lambda w, p: w.despawn(p[5]),
        lambda w, p: w.add(p[6], Hungry),
        lambda w, p: w.query(Position, without=Asleep).add(Hungry),
        lambda w, p: w.query(Position, without=Asleep).remove(Warm),
        lambda w, p: w.add(p[:3], Hungry),
    ],
    ids=["spawn", "despawn", "add", "hand-over", "hand-over back", "another table"],
)
def test_slices_over_structural_changes(change):
    """A slice that numpy made is good over a change as long as the buffer is the same, and then it
    is still looked at."""
    world, people, _ = hamlet()
    world.reserve(20, Position, Velocity, Warm, Cache)
    (view,) = world.query(Position, without=Asleep)
    part = view.x[1:2]
    del view
    change(world, people)
    look(world)
    look(world)
    before = columns(world)
    part[:] = 55
    written = changed(world, before)
    flags = look(world)
    for made in written:
        assert any(
            flags[t.number, made] for t in world.store.tables if t.n and made in t.archetype.place
        )


# -- structure -----------------------------------------------------------------------------------

CHANGES = {
    "spawn": lambda w, p, n: w.spawn(1, Position(x=0), Velocity, Warm, Cache),
    "despawn": lambda w, p, n: w.despawn(p[4]),
    "cascade": lambda w, p, n: w.despawn(p[0]),
    "despawn of all": lambda w, p, n: w.query(Tie).despawn(),
    "add": lambda w, p, n: w.add(p[5:6], Hungry),
    "add with values": lambda w, p, n: w.add(p[5:7], Weight(w=2)),
    "add to a whole table": lambda w, p, n: w.query(Position, without=Asleep).add(Weight(w=1)),
    "remove": lambda w, p, n: w.remove(p[5:6], Velocity),
    "remove from a whole table": lambda w, p, n: w.query(Asleep).remove(Asleep),
    "cluster": lambda w, p, n: w.cluster(Memory.owner),
    "cluster by value": lambda w, p, n: [
        w.set(p, Position(x=-p.astype(float))),
        w.cluster(Position.x),
    ],
    "shrink": lambda w, p, n: w.shrink(),
    "reserve": lambda w, p, n: w.reserve(500, Position, Velocity, Warm, Cache),
    "growth": lambda w, p, n: w.spawn(500, Position(x=0), Velocity, Warm, Cache),
    "ensure": lambda w, p, n: w.ensure(Tie(source=p[6], target=p[7]), Weight(w=1)),
    "track": lambda w, p, n: w.track(Warm, Position),
    "commands": lambda w, p, n: [w.commands.despawn(p[5:]), w.sync()],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("tracked", [False, True])
def test_structural_changes_open_everything_they_move(change, tracked):
    """Where rows came, went or moved, every column of the table counts as written."""
    world, people, notes = hamlet(tracked)
    before = {t.number: (t.archetype.mask, t.ids.tolist()) for t in world.store.tables}
    values = columns(world)
    change(world, people, notes)
    moved = {
        t.number
        for t in world.store.tables
        if t.n and before.get(t.number) != (t.archetype.mask, t.ids.tolist())
    }
    now = columns(world)
    flags = look(world)
    for table in world.store.tables:
        for key in table.archetype.keys if table.n else ():
            if table.number in moved:
                assert flags[table.number, key]
            elif key_is(key) and not key.derived:
                mask = table.archetype.mask
                assert flags[table.number, key] or values[mask, key] == now[mask, key]
    assert not any(look(world).values())


def test_only_the_tables_concerned():
    """A spawn into one table leaves the others closed."""
    world, _, _ = hamlet()
    world.spawn(1, Hungry)
    opened = {number for (number, _), flag in look(world).items() if flag}
    assert opened == {world.store.archetype(world.store.mask([Hungry])).table.number}


def test_a_new_table_is_open():
    """Whoever looks for the first time sees everything as written."""
    world = World()
    world.spawn(3, Position(x=0))
    assert all(look(world).values())
    restored = restore(capture(world))
    assert all(look(restored).values())


# -- programs and laws ---------------------------------------------------------------------------


class Seen:
    """The bytes of all columns at the last look, and the claim that no change escapes the next."""

    def __init__(self):
        self.before = {}

    def look(self, world):
        """Returns how many columns have changed."""
        now, n_changed = {}, 0
        for table in world.store.tables:
            keys = table.archetype.keys
            flags = table.look()
            assert len(flags) == len(keys)
            for key, flag in zip(keys, flags, strict=True):
                if getattr(key, "derived", False) or getattr(key, "role", "ids") != "ids":
                    continue
                value = now[table.number, table.archetype.mask, key] = table.column(key).tobytes()
                known = self.before.get((table.number, table.archetype.mask, key))
                if known != value:
                    n_changed += 1
                    assert flag or not value, f"{key!r} of {table.archetype} was written unseen"
        self.before = now
        return n_changed


class Looked(Programs):
    """Programs that look now and then."""

    @initialize(n=st.sampled_from([0, 2, 8, 70]))
    def begin(self, n):
        super().begin(n)
        self.seen_columns = Seen()

    @rule()
    def look(self):
        self.seen_columns.look(self.world)

    @rule()
    def look_twice(self):
        """With nothing between two looks and nobody holding an array nothing is open."""
        self.kept.clear()
        gc.collect()  # errors that were caught hold arrays, in circles
        self.seen_columns.look(self.world)
        self.seen_columns.look(self.world)
        assert not any(look(self.world).values())

    @rule(data=st.data())
    def write_and_look(self, data):
        """Raw writes, some of them through what was kept before the last look."""
        for view in self.world.query(Body):
            self.kept.append((view.x, view.ids.tolist(), Body, "x"))
            for _ in range(2):
                self.write_into(data, self.kept[-1])
                self.seen_columns.look(self.world)

    @invariant()
    def same_as_model(self):
        """Left to `test_state_machine`."""

    @invariant()
    def same_references(self):
        """Left to `test_state_machine`."""


def test_no_program_writes_unseen():
    """Any sequence of calls: what differs from the last look was open at this one."""
    gc.collect()
    gc.freeze()  # or each collection takes 0.1 s
    try:
        run_state_machine_as_test(
            Looked, settings=examples(max_examples=60, stateful_step_count=40)
        )
    finally:
        gc.unfreeze()


def test_no_law_writes_unseen():
    """Three days of a society under every law, looked at after every step: energy, ties, emotions,
    knowledge, memories, reinforcement, consolidation, forgetting."""
    world, seen = town(30), Seen()
    written = 0
    for _ in range(72):
        world.step(minutes(60))
        written += seen.look(world)
    assert written > 500
    for cls in (Remembered, TieState, SocialEnergy):
        assert world.query(cls).count()


def test_laws_that_write_by_hand():
    """Contacts between people who have ties, with nothing spawned: energy and ties are open, and
    who has no part in it stays closed."""
    from populace.components import Contact, Emotion, Persona
    from populace.systems import add_laws

    world = World()
    add_laws(world, without=("remember_contacts", "form_memories", "reflect"))
    people = world.spawn(4, Persona(number=range(4), name="x"), SocialEnergy, Emotion)
    world.emit(Contact(source=people[[0, 1]], target=people[[1, 0]], time=5))
    world.step(hours(1))
    look(world)
    assert not any(look(world).values())
    world.emit(Contact(source=people[[0, 1]], target=people[[1, 0]], time=hours(1) + 5))
    before = columns(world)
    world.step(hours(1))
    written = {made.component for made in changed(world, before)}
    assert {TieState, SocialEnergy} <= written
    opened = components_of(world)
    assert written <= opened
    assert Persona not in opened


def test_the_scenario_is_seen():
    """Two days of `populace run stream`."""
    world = make_world("stream", {"stream.agents": 8, "stream.memories": 60, "run.days": 3.0})
    seen = Seen()
    for _ in range(24):
        world.step(hours(2))
        seen.look(world)
    assert world.clock.now > days(2)


# -- two who look ---------------------------------------------------------------------------------


def looked(world, who, places=None):
    """What one of them sees: {name of the component.field} of persons' columns."""
    (table,) = (t for t in world.store.tables if t.n and Position in t.archetype.components)
    at = range(len(table.archetype.keys)) if places is None else places
    flags = table.look(who, places)
    keys = [table.archetype.keys[place] for place in at]
    return {str(key) for key, flag in zip(keys, flags, strict=True) if flag and key_is(key)}


def alone():
    """A world of one table, at which both have looked."""
    world = World()
    people = world.spawn(8, Position(x=1), Velocity(x=1))
    for who in (COPIES, CACHES):
        looked(world, who)
        assert looked(world, who) == set()
    return world, people


def test_one_who_looks_does_not_disturb_the_other():
    """Each sees every write since its own last look, however often the other has looked."""
    world, people = alone()
    position, velocity = {"Position.x", "Position.y"}, {"Velocity.x", "Velocity.y"}
    world.set(people[:1], Position(x=5))
    assert looked(world, CACHES) == position
    assert looked(world, CACHES) == set()
    assert looked(world, COPIES) == position
    assert looked(world, COPIES) == set()
    world.set(people[:1], Velocity(y=5))
    assert looked(world, COPIES) == velocity
    world.set(people[:1], Position(y=5))
    assert looked(world, COPIES) == position
    assert looked(world, CACHES) == position | velocity


def test_a_look_at_some_places_leaves_the_others():
    """What was not asked about is still open; flags come in the order of the places."""
    world, _ = alone()
    (table,) = (t for t in world.store.tables if t.n)
    place = table.archetype.place
    for position, velocity in world.query(Position, Velocity):
        position.x += 1
        velocity.y += 1
    asked = [place[Velocity.y], place[Position.y], place[Position.x]]
    assert table.look(CACHES, asked[:2]) == [True, False]
    assert table.look(CACHES, asked) == [False, False, True]
    assert table.look(CACHES, asked) == [False, False, False]
    assert table.look(CACHES, []) == []
    assert looked(world, COPIES) == {"Position.x", "Velocity.y"}


def test_an_array_in_somebodys_hands_is_open_for_both():
    """At each look of each, until it is dropped; once more after that, for what was written."""
    world, _ = alone()
    (view,) = world.query(Position)
    column = view.x
    for who in (COPIES, CACHES, CACHES, COPIES):
        assert looked(world, who) == {"Position.x"}
    del column, view
    for who in (COPIES, CACHES):
        assert looked(world, who) == {"Position.x"}
        assert looked(world, who) == set()


def test_a_structural_change_opens_everything_for_both():
    """Rows have moved."""
    world, people = alone()
    world.despawn(people[:1])
    every = {"Position.x", "Position.y", "Velocity.x", "Velocity.y"}
    assert looked(world, CACHES) == every
    assert looked(world, CACHES) == set()
    assert looked(world, COPIES) == every
