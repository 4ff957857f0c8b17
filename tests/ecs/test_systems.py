"""Systems: the signature says what a system gets, and nothing else is touched."""

from dataclasses import dataclass

import numpy as np
import pytest

from populace import (
    AnyOf,
    Clock,
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Query,
    Read,
    Res,
    ResMut,
    Rng,
    Rows,
    With,
    Without,
    World,
    Write,
    component,
    event,
    f4,
    hours,
    i4,
    system,
)
from populace.ecs.errors import (
    ColumnValueError,
    PopulaceError,
    ResourceError,
    ScheduleError,
    StructuralChangeError,
    SystemSignatureError,
)

from .parts import Asleep, Friend, Hungry, Position, Velocity, refused


@component
class Count:
    n: i4 = 0


@event
class Contact:
    a: Entity
    weight: f4 = 1


@dataclass
class Budget:
    left: int = 3


def small_world():
    """Three tables with positions: plain, asleep, hungry and fast."""
    world = World()
    plain = world.spawn(3, Position(x=[0, 1, 2]))
    asleep = world.spawn(2, Position(x=[3, 4]), Asleep)
    fast = world.spawn(2, Position(x=[5, 6]), Velocity(x=1), Hungry)
    return world, plain, asleep, fast


def run(world, function, **rules):
    """Run one system for one step and hand back what it returned in each call, by side effect."""
    world.add_system(function, **rules)
    world.step(1)


# -- what a system gets --------------------------------------------------------------------------


def test_called_once_for_each_matching_table():
    """A system with Read or Write runs once a table with rows; a Write reaches the world."""
    world, *_ = small_world()
    sizes = []

    @system
    def push(position: Write[Position]):
        sizes.append(len(position))
        position.x += 10

    run(world, push)
    assert sizes == [3, 2, 2]
    assert sorted(world.query(Position).gather(Position.x).tolist()) == [10, 11, 12, 13, 14, 15, 16]


def test_filters():
    """With, Without and AnyOf choose tables; their arguments are None."""
    world, plain, asleep, fast = small_world()
    found = {}

    @system
    def with_(position: Read[Position], only: With[Asleep]):
        assert only is None
        found["with"] = position.ids.tolist()

    @system
    def without(position: Read[Position], no: Without[Asleep]):
        assert no is None
        found.setdefault("without", []).extend(position.ids.tolist())

    @system
    def any_(position: Read[Position], some: AnyOf[Asleep, Hungry]):
        assert some is None
        found.setdefault("any", []).extend(position.ids.tolist())

    @system
    def none(position: Read[Position], a: With[Asleep], b: With[Hungry]):
        found["none"] = True

    world.add_systems(with_, without, any_, none)
    world.step(1)
    assert found == {
        "with": asleep.tolist(),
        "without": [*plain, *fast],
        "any": [*asleep, *fast],
    }


def test_optional_parameters():
    """`Read[C] | None` and `Write[C] | None` come as None where a table lacks C."""
    world, _, _, fast = small_world()
    seen = []

    @system
    def accelerate(
        position: Read[Position], velocity: Write[Velocity] | None, hungry: Read[Hungry] | None
    ):
        seen.append((len(position), velocity is None, hungry is None))
        if velocity is not None:
            velocity.x += position.x

    run(world, accelerate)
    assert seen == [(3, True, True), (2, True, True), (2, False, False)]
    assert world.get(fast, Velocity.x).tolist() == [6, 7]


def test_ids():
    """`Id` gives the ids of the table's rows, read-only; alone it visits every table."""
    world, plain, asleep, fast = small_world()
    bare = world.spawn(1)
    seen, alone = [], []

    @system
    def look(ids: Id, position: Read[Position]):
        assert ids.tolist() == position.ids.tolist()
        with pytest.raises(ValueError, match="read-only"):
            ids[0] = 1
        seen.extend(ids.tolist())

    @system
    def everybody(ids: Id):
        alone.extend(ids.tolist())

    world.add_systems(look, everybody)
    world.step(1)
    assert seen == [*plain, *asleep, *fast]
    assert set(alone) == {*seen, *bare.tolist()}


def test_rows_come_as_a_query():
    """`Rows[...]` gives all tables at once; the system runs once and loops over it itself."""
    world, plain, _, fast = small_world()
    calls = []

    @system
    def all_at_once(
        rows: Rows[Read[Position], Write[Velocity] | None, Without[Asleep]],
        hungry: Rows[With[Hungry]],
    ):
        assert isinstance(rows, Query)
        calls.append((rows.ids().tolist(), hungry.ids().tolist()))
        for position, velocity in rows:
            if velocity is not None:
                velocity.y = position.x
            with pytest.raises(ValueError, match="read-only"):
                position.x[0] = 1

    run(world, all_at_once)
    assert calls == [([*plain, *fast], fast.tolist())]
    assert world.get(fast, Velocity.y).tolist() == [5, 6]


def test_rows_cannot_change_structure():
    """Inside a system a query may not spawn, add, remove or despawn, nor set past what is
    written."""
    world, *_ = small_world()
    refusals = []

    @system
    def meddle(rows: Rows[Read[Position]]):
        for act in (rows.despawn, lambda: rows.add(Hungry), lambda: rows.remove(Position)):
            with pytest.raises(StructuralChangeError, match="Commands") as caught:
                act()
            refusals.append(str(caught.value))

    run(world, meddle)
    assert len(refusals) == 3
    assert all("meddle" in said for said in refusals)


def test_resources():
    """Res and ResMut give the resource itself; a missing one is an error that says how to add
    it."""
    world = World()
    world.insert(Budget())
    seen = []

    @system
    def spend(budget: ResMut[Budget], clock: Res[Clock]):
        budget.left -= 1
        seen.append((budget.left, clock.now, clock.dt, clock.tick))

    world.add_system(spend)
    world.run(6, step=3)
    assert seen == [(2, 3, 3, 1), (1, 6, 3, 2)]
    assert world.resource(Budget).left == 1

    other = World()
    other.add_system(spend)
    with pytest.raises(ResourceError, match=r"Budget.*world\.insert\(Budget"):
        other.step(1)


def test_events_are_read_once():
    """A system sees each event once, as columns; also those emitted before its first run."""
    world = World()
    ids = world.spawn(3)
    seen = []

    @system
    def listen(contacts: Events[Contact]):
        seen.append((contacts.a.tolist(), contacts.weight.tolist(), len(contacts)))

    world.add_system(listen)
    world.emit(Contact(a=ids[:2], weight=[5, 6]))
    world.emit(Contact(a=ids[2]))
    world.step(1)
    world.step(1)
    world.emit(Contact(a=0))
    world.step(1)
    assert seen == [(ids.tolist(), [5, 6, 1], 3), ([], [], 0), ([0], [1], 1)]


def test_two_readers_see_the_same_events():
    """Each system has its own place in the queue."""
    world = World()
    seen = {"first": 0, "second": 0}

    @system
    def first(contacts: Events[Contact]):
        seen["first"] += len(contacts)

    @system(every=hours(1))
    def second(contacts: Events[Contact]):
        seen["second"] += len(contacts)

    world.add_systems(first, second)
    for _ in range(4):
        world.emit(Contact(a=[0, 0]))
        world.step(hours(1) // 2)
    assert seen == {"first": 8, "second": 8}


def test_emitted_events_appear_after_the_stage():
    """What a system emits is read by later systems in the same step, by earlier ones in the
    next."""
    world = World()
    ids = world.spawn(2, Count)
    seen = []

    @system
    def early(contacts: Events[Contact]):
        seen.append(("early", len(contacts)))

    @system
    def speak(who: Id, count: Read[Count], emit: Emit[Contact]):
        emit(Contact(a=who, weight=count.n + 1))
        emit(Contact(a=who[0]))

    @system
    def late(contacts: Events[Contact]):
        seen.append(("late", contacts.a.tolist()))

    world.add_systems(early, speak, late)
    world.step(1)
    world.step(1)
    assert seen == [("early", 0), ("late", [*ids, ids[0]]), ("early", 3), ("late", [*ids, ids[0]])]


def test_a_wrong_event_is_an_error():
    """What `emit` refuses, a system's emit refuses too: the step raises."""
    world = World()
    world.spawn(1, Count)

    @system
    def speak(count: Read[Count], emit: Emit[Contact]):
        emit(Contact(a=0, weight=float("nan")))

    world.add_system(speak)
    with pytest.raises(ColumnValueError, match=r"Contact\.weight"):
        world.step(1)


def test_emit_takes_the_declared_event_only():
    """A system emits what its signature says: another event is refused, and nobody reads it."""

    @event
    class Other:
        n: i4 = 0

    world = World()
    reader = world.events(Other)

    @system
    def speak(emit: Emit[Contact]):
        emit(Other(n=1))

    world.add_system(speak)
    with pytest.raises(PopulaceError, match=r"Other.*Contact|Contact.*Other"):
        world.step(1)
    assert len(reader) == 0


def test_commands():
    """Structure changes by commands, which are applied at the end of the phase."""
    world, plain, asleep, fast = small_world()
    counts = []

    @system
    def wake(ids: Id, position: Read[Position], only: With[Asleep], commands: Commands):
        commands.remove(ids, Asleep)
        commands.spawn(2, Count(n=len(position)))

    @system
    def same_phase(rows: Rows[With[Asleep]]):
        counts.append(rows.count())

    @system(phase="last")
    def next_phase(rows: Rows[With[Asleep]]):
        counts.append(rows.count())

    world.add_systems(wake, same_phase, next_phase)
    world.step(1)
    assert counts == [2, 0]
    assert world.query(Count).gather(Count.n).tolist() == [2, 2]
    assert world.alive([*plain, *asleep, *fast]).all()


def test_rng_is_a_stream_of_the_system_and_the_moment():
    """Draws differ by system, key and time, and are the same whenever the program is."""
    drawn = {}

    def draw(label, seed):
        world = World(seed=seed)
        found = []

        @system
        def one(rng: Rng):
            found.append(rng.uniform(np.arange(3)).tolist())

        @system
        def two(rng: Rng):
            found.append(rng.uniform(np.arange(3)).tolist())

        world.add_systems(one, two)
        world.step(1)
        world.step(1)
        drawn[label] = found

    draw("a", 1)
    draw("b", 1)
    draw("c", 2)
    assert drawn["a"] == drawn["b"]
    values = np.array([*drawn["a"], *drawn["c"]]).ravel()
    assert np.unique(values).size == values.size == 24
    assert ((values >= 0) & (values < 1)).all()


def test_world_is_exclusive():
    """A system that takes the World may do everything, structural changes included."""
    world, *_ = small_world()

    @system
    def rebuild(w: World):
        assert w is world
        w.query(Position, Asleep).despawn()
        w.spawn(4, Count)

    run(world, rebuild)
    assert world.query(Count).count() == 4
    assert world.query(Asleep).count() == 0


def test_beside_the_world():
    """Events, resources and random numbers come as they come to any system, once a run."""
    world, plain, *_ = small_world()
    world.insert(Budget(left=5))
    seen = []

    @system
    def judge(
        w: World, contacts: Events[Contact], budget: Res[Budget], rng: Rng, clock: Res[Clock]
    ):
        assert w is world
        assert budget is world.resource(Budget)
        assert clock is world.clock
        assert isinstance(rng, Rng)
        seen.append((contacts.a.tolist(), rng.uniform([1, 2]).tolist()))
        w.despawn(w.query(Position, Asleep).ids())
        w.spawn(1, Count(n=budget.left))
        w.set(contacts.a, Position(x=contacts.weight * 100))

    world.add_system(judge)
    world.emit(Contact(a=plain[:2], weight=[1, 2]))
    world.step(1)
    world.step(1)
    assert [contacts for contacts, _ in seen] == [plain[:2].tolist(), []]
    assert seen[0][1] != seen[1][1]
    assert world.get(plain[:2], Position.x).tolist() == [100, 200]
    assert world.query(Count).gather(Count.n).tolist() == [5, 5]
    assert world.query(Asleep).count() == 0


def test_random_numbers_beside_the_world_are_the_systems_own():
    """The same name, seed and time give the numbers of a system that does not take the World."""
    found = []
    for takes_world in (True, False):
        world = World(seed=5)
        if takes_world:

            @system(name="draw")
            def draw(w: World, rng: Rng):
                found.append(rng.bits([1, 2, 3]).tolist())

        else:

            @system(name="draw")
            def draw(rng: Rng):
                found.append(rng.bits([1, 2, 3]).tolist())

        world.add_system(draw)
        world.step(7)
    assert found[0] == found[1]


def test_a_system_with_events_beside_the_world_runs_alone():
    """It shares no stage, neither with readers of the same events nor with anything else."""
    world, *_ = small_world()

    @system
    def first(contacts: Events[Contact]): ...

    @system
    def judge(w: World, contacts: Events[Contact]): ...

    @system
    def last(contacts: Events[Contact]): ...

    world.add_systems(first, judge, last)
    stages = world.schedule.stages()["update"]
    assert [[entry.name for entry in stage] for stage in stages] == [["first"], ["judge"], ["last"]]
    assert "exclusive" in world.schedule.plan()


def test_a_missing_resource_beside_the_world():
    """Is an error before the system has done anything."""
    world, *_ = small_world()

    @system
    def judge(w: World, budget: Res[Budget]):
        w.query(Position).despawn()

    world.add_system(judge)
    with pytest.raises(ResourceError, match="Budget"):
        world.step(1)
    assert world.query(Position).count() == 7


BESIDE_WORLD = {
    "Read": Read[Position],
    "Write": Write[Position],
    "optional": Read[Position] | None,
    "Id": Id,
    "With": With[Asleep],
    "Without": Without[Asleep],
    "AnyOf": AnyOf[Asleep, Hungry],
    "Rows": Rows[Read[Position]],
    "ResMut": ResMut[Budget],
    "Emit": Emit[Contact],
    "Commands": Commands,
}


@pytest.mark.parametrize("kind", BESIDE_WORLD)
@pytest.mark.parametrize("world_first", [True, False])
def test_what_may_not_stand_beside_the_world(kind, world_first):
    """The World can do all that the other parameters can: the message says what may stay."""

    def overreach(first, second, clock: Res[Clock]): ...

    kinds = (World, BESIDE_WORLD[kind]) if world_first else (BESIDE_WORLD[kind], World)
    overreach.__annotations__.update(first=kinds[0], second=kinds[1])
    with pytest.raises(SystemSignatureError) as caught:
        system(overreach)
    for word in ("overreach", "World", "Events", "Res", "Rng"):
        assert word in str(caught.value)


def test_a_system_without_parameters():
    """It is simply called once a step."""
    calls = []

    @system
    def tick():
        calls.append(1)

    world = World()
    world.add_system(tick)
    world.step(1)
    world.step(1)
    assert calls == [1, 1]


def test_a_system_is_still_a_function():
    """Decorated, it can be called with plain objects, as a unit test does."""

    @system
    def double(count: Write[Count]):
        """Twice as many."""
        count.n *= 2

    class Fake:
        n = np.array([1, 2])

    double(Fake)
    assert Fake.n.tolist() == [2, 4]
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice as many."
    assert "double" in repr(double)


def test_one_system_in_two_worlds():
    """A system keeps nothing between worlds."""

    @system
    def bump(count: Write[Count]):
        count.n += 1

    first, second = World(), World()
    for world, n in ((first, 2), (second, 3)):
        world.spawn(n, Count)
        world.add_system(bump)
    first.step(1)
    first.step(1)
    second.step(1)
    assert first.query(Count).gather(Count.n).tolist() == [2, 2]
    assert second.query(Count).gather(Count.n).tolist() == [1, 1, 1]


def test_annotations_may_be_strings_and_local():
    """String annotations are resolved in the function's surroundings."""

    @component
    class Local:
        x: i4 = 0

    @system
    def touch(local: "Write[Local]"):
        local.x = 5

    world = World()
    ids = world.spawn(2, Local)
    run(world, touch)
    assert world.get(ids, Local.x).tolist() == [5, 5]


# -- structure is locked -------------------------------------------------------------------------

STRUCTURAL = {
    "spawn": lambda world, ids: world.spawn(1, Count),
    "despawn": lambda world, ids: world.despawn(ids[:1]),
    "add": lambda world, ids: world.add(ids[:1], Hungry),
    "remove": lambda world, ids: world.remove(ids[:1], Position),
    "set": lambda world, ids: world.set(ids[:1], Position(x=1)),
    "upsert": lambda world, ids: world.upsert(Friend(other=ids[:1])),
    "ensure": lambda world, ids: world.ensure(Friend(other=ids[:1])),
    "cluster": lambda world, ids: world.cluster(Position.x),
    "shrink": lambda world, ids: world.shrink(),
    "reserve": lambda world, ids: world.reserve(10, Count),
    "track": lambda world, ids: world.track(Position),
    "sync": lambda world, ids: world.sync(),
    "step": lambda world, ids: world.step(1),
    "query.add": lambda world, ids: world.query(Position).add(Hungry),
    "query.despawn": lambda world, ids: world.query(Position).despawn(),
    "query.set": lambda world, ids: world.query(Position).set(Position(x=1)),
}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_structure_is_locked_while_a_system_runs(name):
    """A structural call from inside a system raises, names the system, points to Commands, and
    changes nothing; afterwards the world is open again."""
    world, plain, _, _ = small_world()
    said = []

    @system
    def meddler(position: Read[Position], awake: Without[Asleep]):
        with refused(world, StructuralChangeError, "meddler", "Commands"):
            STRUCTURAL[name](world, plain)
        said.append(name)

    world.add_system(meddler)
    world.step(1)
    assert said
    world.spawn(1, Count)
    world.check()


def test_the_lock_is_released_after_an_error():
    """A system that raises leaves the world usable, and the error says which system and step."""

    @system
    def fails(count: Write[Count]):
        raise RuntimeError("no luck")

    world = World()
    world.spawn(1, Count)
    world.add_system(fails)
    for step in (1, 2):
        with pytest.raises(RuntimeError, match="no luck") as caught:
            world.step(1)
        assert any("fails" in note and str(step) in note for note in caught.value.__notes__)
    world.spawn(3, Count)
    world.check()


def test_what_a_failed_system_queued_does_not_happen():
    """Commands and events of a system that raised are gone, also at the next sync and step."""
    seen = []

    @system
    def fails(
        ids: Id, count: Read[Count], commands: Commands, emit: Emit[Contact], clock: Res[Clock]
    ):
        commands.despawn(ids)
        emit(Contact(a=0))
        if clock.tick == 1:
            raise RuntimeError
        commands.add(ids, Asleep) if clock.tick == 99 else None

    @system(phase="first")
    def hear(contacts: Events[Contact]):
        seen.append(len(contacts))

    world = World()
    ids = world.spawn(2, Count)
    world.add_systems(fails, hear)
    with pytest.raises(RuntimeError):
        world.step(1)
    world.sync()
    assert world.alive(ids).all()
    world.step(1)
    assert seen == [0, 0]
    assert not world.alive(ids).any()


# -- signatures that say nothing -----------------------------------------------------------------


def signatures():
    """(what the message must say, a function that decorates something wrong)."""

    def no_annotation():
        @system
        def f(position):
            pass

    def a_default():
        @system
        def f(position: Read[Position], k=3):
            pass

    def plain_class():
        @system
        def f(position: Position):
            pass

    def plain_number():
        @system
        def f(n: int):
            pass

    def stars():
        @system
        def f(*parts: Read[Position]):
            pass

    def keywords():
        @system
        def f(**parts: Read[Position]):
            pass

    def unknown_name():
        @system
        def f(position: "Read[Positron]"):  # noqa: F821
            pass

    def no_component():
        @system
        def f(n: Read[int]):
            pass

    def read_event():
        @system
        def f(contact: Read[Contact]):
            pass

    def events_of_component():
        @system
        def f(position: Events[Position]):
            pass

    def emit_component():
        @system
        def f(emit: Emit[Position]):
            pass

    def without_nothing():
        @system
        def f(position: Read[Position], no: Without[int]):
            pass

    def optional_filter():
        @system
        def f(position: Read[Position], no: With[Asleep] | None):
            pass

    def optional_resource():
        @system
        def f(clock: Res[Clock] | None):
            pass

    def union():
        @system
        def f(position: Read[Position] | Read[Velocity]):
            pass

    def taken_twice():
        @system
        def f(a: Read[Position], b: Write[Position]):
            pass

    def taken_twice_in_rows():
        @system
        def f(rows: Rows[Read[Position], Write[Position]]):
            pass

    def rows_and_read():
        @system
        def f(rows: Rows[Read[Position]], velocity: Read[Velocity]):
            pass

    def rows_and_ids():
        @system
        def f(rows: Rows[Read[Position]], ids: Id):
            pass

    def rows_of_resources():
        @system
        def f(rows: Rows[Res[Clock]]):
            pass

    def world_and_more():
        @system
        def f(world: World, position: Read[Position]):
            pass

    def bare_read():
        @system
        def f(position: Read):
            pass

    def bare_filter():
        @system
        def f(position: Read[Position], no: Without):
            pass

    def a_class():
        @system
        class F:
            pass

    def no_function():
        system(3)

    def contradiction():
        @system
        def f(position: Read[Position], no: Without[Position]):
            pass

        World().add_system(f)

    return [
        (("f", "position", "annotation"), no_annotation),
        (("f", "k"), a_default),
        (("f", "position", "Read[C]"), plain_class),
        (("f", "n", "int"), plain_number),
        (("f", "*parts"), stars),
        (("f", "*parts"), keywords),
        (("f", "Positron"), unknown_name),
        (("f", "n", "int"), no_component),
        (("f", "contact", "event"), read_event),
        (("f", "position", "component"), events_of_component),
        (("f", "emit", "component"), emit_component),
        (("f", "no", "int"), without_nothing),
        (("f", "no", "None"), optional_filter),
        (("f", "clock", "None"), optional_resource),
        (("f", "position"), union),
        (("f", "Position", "twice"), taken_twice),
        (("f", "Position", "twice"), taken_twice_in_rows),
        (("f", "Rows"), rows_and_read),
        (("f", "Rows"), rows_and_ids),
        (("f", "rows", "Rows"), rows_of_resources),
        (("f", "World"), world_and_more),
        (("f", "position"), bare_read),
        (("f", "no"), bare_filter),
        (("F",), a_class),
        (("3",), no_function),
        (("Position",), contradiction),
    ]


@pytest.mark.parametrize(
    ("words", "define"), signatures(), ids=lambda d: getattr(d, "__name__", "")
)
def test_a_wrong_signature_is_refused(words, define):
    """A signature that does not say what it reads and writes is refused, naming system and
    parameter."""
    with pytest.raises(PopulaceError) as caught:
        define()
    if define.__name__ != "contradiction":
        assert isinstance(caught.value, SystemSignatureError)
        assert isinstance(caught.value, TypeError)
    for word in words:
        assert word in str(caught.value)


def test_only_systems_are_registered():
    """A plain function is refused, with the way out; a rule that does not exist too."""
    world = World()

    def plain(position: Read[Position]):
        pass

    with refused(world, SystemSignatureError, "plain", "@system"):
        world.add_system(plain)
    with pytest.raises(TypeError):
        world.add_system(system(plain), whenever=True)
    for rules in ({"every": 0}, {"every": 0.5}, {"every": -5}, {"fixed_step": 0}, {"every": True}):
        with refused(world, ScheduleError, next(iter(rules)), next(iter(rules.values()))):
            world.add_system(system(plain), **rules)
    with refused(world, ScheduleError, "not both"):
        world.add_system(system(plain), every=1, fixed_step=1)
