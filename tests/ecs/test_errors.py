"""Misuse: each wrong call has its class, says what, where and the way out, and changes nothing.

Values have their own table in `test_values`, ids in `test_entities`, definitions in
`test_component`, signatures in `test_systems`; here is everything else, and the hierarchy.
"""

import builtins

import numpy as np
import pytest

from populace import Read, World, component, f4, system
from populace.ecs import errors
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateComponentError,
    DuplicateEntityError,
    DuplicatePairError,
    InvariantError,
    MissingFieldError,
    PopulaceError,
    QueryError,
    ReferencedEntityError,
    RequiredComponentError,
    ResourceError,
    ScheduleError,
    StaleViewError,
    StructuralChangeError,
    SystemSignatureError,
    UnknownComponentError,
    UnknownFieldError,
    UntrackedError,
)

from .parts import (
    Asleep,
    Friend,
    Guarded,
    Hungry,
    Memory,
    Position,
    Tie,
    Trace,
    Velocity,
    Weight,
    raw_state,
    refused,
)

# -- the hierarchy -------------------------------------------------------------------------------

CLASSES = [
    made for made in vars(errors).values() if isinstance(made, type) and made is not PopulaceError
]


@pytest.mark.parametrize("made", CLASSES, ids=lambda made: made.__name__)
def test_every_error_has_two_parents(made):
    """Each is a PopulaceError and a builtin error, and says in its docstring what it means."""
    assert issubclass(made, PopulaceError)
    others = [base for base in made.__mro__ if vars(builtins).get(base.__name__) is base]
    assert set(others) - {Exception, BaseException, object}
    assert made.__doc__


@pytest.mark.parametrize(
    ("made", "builtin"),
    [
        (ColumnShapeError, ValueError),
        (ColumnTypeError, TypeError),
        (ColumnValueError, ValueError),
        (ComponentMissingError, LookupError),
        (ComponentPresentError, ValueError),
        (DeadEntityError, LookupError),
        (DuplicateEntityError, ValueError),
        (DuplicateComponentError, ValueError),
        (DuplicatePairError, ValueError),
        (InvariantError, AssertionError),
        (MissingFieldError, TypeError),
        (QueryError, ValueError),
        (ReferencedEntityError, ValueError),
        (RequiredComponentError, ValueError),
        (ResourceError, LookupError),
        (ScheduleError, ValueError),
        (StaleViewError, RuntimeError),
        (StructuralChangeError, RuntimeError),
        (SystemSignatureError, TypeError),
        (UnknownComponentError, LookupError),
        (UnknownFieldError, TypeError),
        (UntrackedError, LookupError),
        (errors.CapacityError, MemoryError),
        (errors.KernelError, TypeError),
        (errors.SourceFileError, ValueError),
        (errors.ComponentDefinitionError, TypeError),
    ],
)
def test_somebody_who_knows_python_catches_it(made, builtin):
    """`except ValueError` and the like catch what they should."""
    assert issubclass(made, builtin)


# -- the table of misuse -------------------------------------------------------------------------


@component
class Strict:
    """Cannot be made from defaults."""

    level: f4


@component(requires=(Strict,))
class Needy:
    pass


class Scene:
    """A world in which there is something of everything to misuse."""

    def __init__(self):
        self.world = world = World(seed=1)
        self.people = world.spawn(4, Position(x=[1, 2, 3, 4]))
        self.sleeper = world.spawn(1, Position(x=0), Asleep)
        self.notes = world.spawn(Memory(owner=self.people[:2], text=["a", "b"]))
        self.friend = world.spawn(Friend(other=self.people[0]))
        self.ward = world.spawn(Guarded(by=self.people[3]))
        self.tie = world.spawn(Tie(source=self.people[0], target=self.people[1]), Weight(w=1))
        self.needy = world.spawn(1, Needy, Strict(level=1))
        dead = world.spawn(2, Position(x=0))
        world.despawn(dead)
        self.dead = int(dead[1])
        self.template = world.template("sleeper", Velocity, Asleep)


FAR = (1 << 32) + 1_000_000
MISUSE = {
    # a dead id, in every call that takes ids
    "despawn dead": (
        DeadEntityError,
        lambda s: s.world.despawn([int(s.people[0]), s.dead]),
        ("despawned", "place 1 of 2", "alive"),
    ),
    "add to dead": (DeadEntityError, lambda s: s.world.add(s.dead, Hungry), ("despawned",)),
    "remove from dead": (
        DeadEntityError,
        lambda s: s.world.remove(s.dead, Position),
        ("despawned",),
    ),
    "set on dead": (DeadEntityError, lambda s: s.world.set(s.dead, Position(x=1)), ("despawned",)),
    "get of dead": (DeadEntityError, lambda s: s.world.get(s.dead, Position.x), ("despawned",)),
    "has of dead": (DeadEntityError, lambda s: s.world.has(s.dead, Position), ("despawned",)),
    "row of dead": (DeadEntityError, lambda s: s.world.entity(s.dead), ("despawned",)),
    "index of dead": (DeadEntityError, lambda s: s.world.index(Memory.owner).ids(s.dead), ()),
    "pair of dead": (
        DeadEntityError,
        lambda s: s.world.pairs(Tie).find(s.people[0], s.dead),
        ("Tie.target",),
    ),
    "explain dead": (
        DeadEntityError,
        lambda s: s.world.explain(s.dead, s.world.query(Position)),
        ("despawned",),
    ),
    "reference to dead": (
        DeadEntityError,
        lambda s: s.world.spawn(Memory(owner=s.dead, text="new")),
        ("Memory.owner",),
    ),
    "redirect to dead": (
        DeadEntityError,
        lambda s: s.world.set(s.notes, Memory(owner=s.dead)),
        ("Memory.owner",),
    ),
    "edge to dead": (
        DeadEntityError,
        lambda s: s.world.upsert(Tie(source=s.people, target=s.dead)),
        ("Tie.target",),
    ),
    "command on dead": (
        DeadEntityError,
        lambda s: s.world.commands.despawn(s.dead),
        ("despawned",),
    ),
    "forged": (DeadEntityError, lambda s: s.world.despawn(FAR), (FAR, "never spawned")),
    "nobody": (DeadEntityError, lambda s: s.world.despawn(0), ("NOBODY",)),
    # the same id twice
    "despawn twice": (
        DuplicateEntityError,
        lambda s: s.world.despawn(s.people[[1, 2, 1]]),
        ("places 0 and 2",),
    ),
    "add twice": (
        DuplicateEntityError,
        lambda s: s.world.add(s.people[[1, 1]], Hungry),
        ("np.unique",),
    ),
    "set twice over tables": (
        DuplicateEntityError,
        lambda s: s.world.set([*s.people, *s.sleeper, s.people[2]], Position(x=1)),
        ("places 2 and 5",),
    ),
    # a component twice, present, absent, unknown
    "component twice in spawn": (
        DuplicateComponentError,
        lambda s: s.world.spawn(2, Position(x=1), Position(x=2)),
        ("Position", "twice"),
    ),
    "component twice in add": (
        DuplicateComponentError,
        lambda s: s.world.add(s.people, Asleep, Asleep),
        ("Asleep",),
    ),
    "component twice in set": (
        DuplicateComponentError,
        lambda s: s.world.set(s.people, Position(x=1), Position(y=1)),
        ("Position",),
    ),
    "component twice in remove": (
        DuplicateComponentError,
        lambda s: s.world.remove(s.people, Position, Position),
        ("Position",),
    ),
    "component twice in query.remove": (
        DuplicateComponentError,
        lambda s: s.world.query(Asleep).remove(Asleep, Asleep),
        ("Asleep",),
    ),
    "component twice in commands.remove": (
        DuplicateComponentError,
        lambda s: (s.world.commands.remove(s.people, Position, Position), s.world.sync()),
        ("Position",),
    ),
    "present": (
        ComponentPresentError,
        lambda s: s.world.add([*s.people, *s.sleeper], Asleep),
        ("Asleep", "world.set"),
    ),
    "present by query": (
        ComponentPresentError,
        lambda s: s.world.query(Position).add(Hungry, Asleep),
        ("Asleep",),
    ),
    "absent in remove": (
        ComponentMissingError,
        lambda s: s.world.remove([*s.sleeper, *s.people], Asleep),
        ("Asleep", "Position"),
    ),
    "absent in set": (
        ComponentMissingError,
        lambda s: s.world.set(s.people, Velocity(x=1)),
        ("Velocity",),
    ),
    "absent in get": (
        ComponentMissingError,
        lambda s: s.world.get(s.people, Velocity.x),
        ("Velocity", "Position"),
    ),
    "absent in query.set": (
        ComponentMissingError,
        lambda s: s.world.query(Position).set(Velocity(x=1)),
        ("Velocity",),
    ),
    "absent in upsert": (
        ComponentMissingError,
        lambda s: s.world.upsert(Tie(source=s.people[0], target=s.people[1:3]), Velocity(x=1)),
        ("Velocity",),
    ),
    "no component": (UnknownComponentError, lambda s: s.world.spawn(2, int), ("int",)),
    "no component to add": (UnknownComponentError, lambda s: s.world.add(s.people, 5), ("5",)),
    "no component to remove": (
        UnknownComponentError,
        lambda s: s.world.remove(s.people, int),
        ("int",),
    ),
    "a value to remove": (
        UnknownComponentError,
        lambda s: s.world.remove(s.people, Position(x=1)),
        ("pass the class",),
    ),
    "no component to have": (UnknownComponentError, lambda s: s.world.has(s.people, int), ("int",)),
    "no component to reserve": (UnknownComponentError, lambda s: s.world.reserve(5, int), ("int",)),
    "no field to get": (QueryError, lambda s: s.world.get(s.people, Position), ("field",)),
    "no field by name": (QueryError, lambda s: s.world.get(s.people, "x"), ("field",)),
    # required
    "required and not given": (
        RequiredComponentError,
        lambda s: s.world.spawn(1, Needy),
        ("Strict", "level=..."),
    ),
    "required and not added": (
        RequiredComponentError,
        lambda s: s.world.add(s.people, Needy),
        ("Strict",),
    ),
    "required and removed": (
        RequiredComponentError,
        lambda s: s.world.remove(s.needy, Strict),
        ("Needy", "Strict"),
    ),
    "required and removed by query": (
        RequiredComponentError,
        lambda s: s.world.query(Trace).remove(Trace),
        ("Memory", "Trace"),
    ),
    # fields
    "missing field": (
        MissingFieldError,
        lambda s: s.world.spawn(2, Position(y=1)),
        ("Position.x",),
    ),
    "missing field of a class": (
        MissingFieldError,
        lambda s: s.world.spawn(2, Strict),
        ("Strict.level",),
    ),
    "missing field in add": (
        MissingFieldError,
        lambda s: s.world.add(s.notes, Position),
        ("Position.x", "Position(x=...)"),
    ),
    "unknown field": (
        UnknownFieldError,
        lambda s: s.world.spawn(Position(x=1, z=2)),
        ("'z'", "x, y"),
    ),
    "misspelt field": (
        UnknownFieldError,
        lambda s: s.world.set(s.notes, Trace(acessed=1)),
        ("did you mean 'accessed'",),
    ),
    "derived field": (
        UnknownFieldError,
        lambda s: s.world.set(s.notes, Trace(strength=1)),
        ("derived",),
    ),
    # shapes, types, values: one of each here, the table is in test_values
    "wrong length": (
        ColumnShapeError,
        lambda s: s.world.spawn(3, Position(x=[1, 2])),
        ("Position.x", "3 values", "(2,)"),
    ),
    "wrong length in set": (
        ColumnShapeError,
        lambda s: s.world.set(s.people, Position(x=[1, 2, 3])),
        ("4 values",),
    ),
    "wrong dimensions": (
        ColumnShapeError,
        lambda s: s.world.spawn(2, Position(x=np.zeros((2, 2)))),
        ("(2, 2)",),
    ),
    "wrong type": (ColumnTypeError, lambda s: s.world.spawn(2, Position(x="a")), ("Position.x",)),
    "nan": (
        ColumnValueError,
        lambda s: s.world.spawn(2, Position(x=[0, np.nan])),
        ("nan", "place 1"),
    ),
    "out of range": (
        ColumnValueError,
        lambda s: s.world.spawn(2, Velocity(x=[0, 10.5])),
        ("[-10, 10] m/s", "10.5"),
    ),
    "later component wrong": (
        ColumnValueError,
        lambda s: s.world.add(s.people, Hungry, Memory(owner=s.people, text="new"), Velocity(x=99)),
        ("99",),
    ),
    "ids of the wrong type": (ColumnTypeError, lambda s: s.world.despawn([0.5]), ("float64",)),
    "ids of the wrong shape": (ColumnShapeError, lambda s: s.world.despawn([[1]]), ("(1, 1)",)),
    "negative reserve": (ColumnShapeError, lambda s: s.world.reserve(-5, Asleep), ("-5",)),
    "reserve of a float": (ColumnShapeError, lambda s: s.world.reserve(2.5, Asleep), ("2.5",)),
    "negative count": (ColumnShapeError, lambda s: s.world.spawn(-2, Asleep), ("-2",)),
    # references and pairs
    "forbidden": (
        ReferencedEntityError,
        lambda s: s.world.despawn(s.people),
        ("Guarded.by", "despawn those first"),
    ),
    "pair exists": (
        DuplicatePairError,
        lambda s: s.world.spawn(Tie(source=s.people[[2, 0]], target=s.people[[3, 1]]), Weight),
        ("upsert",),
    ),
    "pair twice": (
        DuplicatePairError,
        lambda s: s.world.spawn(Tie(source=s.people[[2, 2]], target=s.people[[3, 3]])),
        ("twice",),
    ),
    "end of nobody": (
        DeadEntityError,
        lambda s: s.world.spawn(Tie(source=s.people, target=0)),
        ("NOBODY", "Tie.target"),
    ),
    "end changed": (
        QueryError,
        lambda s: s.world.set(s.tie, Tie(target=s.people[2])),
        ("Tie.target", "fixed"),
    ),
    "edge without a target": (
        MissingFieldError,
        lambda s: s.world.upsert(Tie(source=s.people)),
        ("target",),
    ),
    "no edge component": (QueryError, lambda s: s.world.upsert(Weight(w=1)), ("Weight", "unique=")),
    "no index": (QueryError, lambda s: s.world.index(Position.x), ("Position.x", "index=True")),
    # queries
    "with and without": (
        QueryError,
        lambda s: s.world.query(Position, without=Position),
        ("Position",),
    ),
    "fetched twice": (
        PopulaceError,
        lambda s: s.world.query(Position, optional=Position),
        ("Position",),
    ),
    "a value in a query": (
        UnknownComponentError,
        lambda s: s.world.query(Position(x=1)),
        ("pass the class Position",),
    ),
    "nothing to iterate": (QueryError, lambda s: list(s.world.query(with_=Position)), (".ids()",)),
    "mask of numbers": (
        QueryError,
        lambda s: s.world.query(Position).where([0, 1]),
        ("bool", "(5,)"),
    ),
    "mask too short": (
        QueryError,
        lambda s: s.world.query(Position).where(np.ones(4, np.bool_)),
        ("(5,)", "(4,)"),
    ),
    "gather of what some lack": (
        ComponentMissingError,
        lambda s: s.world.query().gather(Position.x),
        ("Position.x",),
    ),
    "cluster by a vector": (
        QueryError,
        lambda s: s.world.cluster(Memory.vector),
        ("Memory.vector",),
    ),
    # tracking, resources, templates, systems, time
    "untracked": (
        UntrackedError,
        lambda s: s.world.changed_since(0, Position),
        ("world.track(Position)",),
    ),
    "no resource": (ResourceError, lambda s: s.world.resource(Scene), ("Scene", "Clock")),
    "no dataclass": (ResourceError, lambda s: s.world.insert(Scene), ("dataclass",)),
    "two templates": (
        QueryError,
        lambda s: s.world.spawn(s.template, s.template),
        ("2 templates",),
    ),
    "a function as a system": (
        SystemSignatureError,
        lambda s: s.world.add_system(print),
        ("@system",),
    ),
    "a step backwards": (ScheduleError, lambda s: s.world.step(-1), ("-1",)),
    "a run backwards": (ScheduleError, lambda s: s.world.run(-5, step=1), ("-5",)),
    "a run of a float": (ScheduleError, lambda s: s.world.run(2.5, step=1), ("2.5",)),
    "a step of a float": (ScheduleError, lambda s: s.world.step(0.5), ("0.5", "hours(1)")),
    "an observer of nothing": (
        QueryError,
        lambda s: s.world.observe("set", Position, print),
        ("'set'",),
    ),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("name", MISUSE)
def test_misuse(name, debug):
    """The right class, a message that names the value and the way out, and not a byte changed."""
    error, call, words = MISUSE[name]
    scene = Scene()
    scene.world.debug = debug
    if error is PopulaceError:
        with pytest.raises(PopulaceError) as caught:
            call(scene)
        error = type(caught.value)
    dead = (str(scene.dead),) if "dead" in name else ()
    with refused(scene.world, error, *words, *dead):
        call(scene)
    scene.world.spawn(2, Position(x=0))
    scene.world.check()


@pytest.mark.parametrize("name", MISUSE)
def test_a_message_says_more_than_the_class(name):
    """Every message is a sentence: lower-case start or a name, no trailing newline, some length."""
    _, call, _ = MISUSE[name]
    with pytest.raises(PopulaceError) as caught:
        call(Scene())
    said = str(caught.value)
    assert len(said) > 20
    assert said == said.strip()
    assert not said.endswith(".")


def test_structure_is_locked_in_systems_and_observers():
    """A structural change inside a system or an observer raises and points to Commands."""
    scene = Scene()
    world, said = scene.world, []

    @system
    def meddle(position: Read[Position]):
        with refused(world, StructuralChangeError, "system meddle", "Commands"):
            world.despawn(position.ids[:1])
        said.append("system")

    def observer(w, ids):
        with pytest.raises(StructuralChangeError, match=r"observer of Velocity.*Commands"):
            w.despawn(ids)
        said.append("observer")

    world.observe("add", Velocity, observer)
    world.add_system(meddle)
    world.step(1)
    world.add(scene.people, Velocity)
    assert set(said) == {"system", "observer"}
    world.check()


def test_a_structural_change_through_a_live_view():
    """A view of a table that has changed cannot be read or written, and the change stands."""
    scene = Scene()
    (position,) = scene.world.query(Position, without=Asleep)
    scene.world.despawn(scene.people[1])
    for access in (lambda: position.x, lambda: setattr(position, "x", 1), lambda: position.ids):
        with refused(scene.world, StaleViewError, "Position", "stale"):
            access()


def test_raw_state_sees_changes():
    """The proof that nothing changed is worth something: it sees a value, a row, a text, a
    command."""
    changes = (
        lambda s: s.world.set(s.people[0], Position(x=9)),
        lambda s: s.world.set(s.notes[0], Memory(owner=s.people[2])),
        lambda s: s.world.spawn(1),
        lambda s: s.world.despawn(s.notes[0]),
        lambda s: s.world.text.intern("new"),
        lambda s: s.world.commands.spawn(1),
        lambda s: s.world.step(1),
        lambda s: s.world.add(s.people[0], Hungry),
    )
    for change in changes:
        scene = Scene()
        before = raw_state(scene.world)
        assert raw_state(scene.world) == before
        change(scene)
        assert raw_state(scene.world) != before
