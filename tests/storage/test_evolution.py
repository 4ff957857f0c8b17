"""Classes that change between saving and loading, in two processes that define them differently.

Each case is a module of one name in two versions. The first process makes a world by `fill` of the
old one and saves it, with deltas; the second loads it by the new one, checks it, tells what `look`
sees, saves it again and loads that.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
HEAD = """\
from dataclasses import dataclass, field as attribute
from enum import IntEnum
import numpy as np
import populace
from populace import *
from populace.ecs import setting, settings
"""


class Case:
    """old, new: the sources of the module; expected: what `look` gives, or a part of an error's
    class and message. load: how the second process loads."""

    def __init__(self, old, new, expected, load=""):
        self.old, self.new = HEAD + dedent(old), HEAD + dedent(new)
        self.expected, self.load = expected, load


PERSON = """
@component
class Person:
    number: u4
    age: f4 = populace.field(30, range=(0, 130))

def fill(world):
    ids = world.spawn(300, Person(number=np.arange(300), age=np.arange(300) % 100))
    yield
    world.set(ids[:3], Person(age=[7, 8, 9]))
    yield
    world.despawn(ids[200:])
    yield
"""

THREE = """
def fill(world):
    world.spawn(3, A)
    yield
"""

CASES = {
    "nothing changes": Case(
        PERSON,
        PERSON
        + """
def look(world):
    return [len(world), world.query(Person).gather(Person.age)[:4].tolist()]
""",
        [200, [7, 8, 9, 3]],
    ),
    "fields are new": Case(
        PERSON,
        """
        class Job(IntEnum):
            NONE = 0
            BAKER = 7

        @component
        class Person:
            name: Text = "somebody"
            number: u4
            job: Job = Job.BAKER
            age: f4 = 30
            shape: Vector[40] = 0.5
            friend: Entity = populace.field(0, index=True)
            again: Text = "somebody"
            spare: i8 = -5
            now: f4 = populace.field(derived=True)

        def look(world):
            person = next(iter(world.query(Person)))
            return [
                set(world.text.decode(person.name)) == {"somebody"},
                world.text.decode(person.again[:1]),
                person.job[:2].tolist(), person.shape.sum().item(), person.spare[-1].item(),
                person.age[:4].tolist(), person.number[-1].item(), person.friend.max().item(),
            ]
        """,
        [True, ["somebody"], [7, 7], 200 * 40 * 0.5, -5, [7, 8, 9, 3], 199, 0],
    ),
    "fields are gone": Case(
        PERSON,
        """
        @component
        class Person:
            age: f4

        def look(world):
            return next(iter(world.query(Person))).age[:4].tolist()
        """,
        [7, 8, 9, 3],
    ),
    "nothing is left but a tag": Case(
        PERSON,
        """
        @component
        class Person:
            pass

        def look(world):
            return world.query(with_=Person).count()
        """,
        200,
    ),
    "a tag gains fields": Case(
        """
        @component
        class Asleep:
            pass

        def fill(world):
            world.spawn(5, Asleep)
            yield
        """,
        """
        @component
        class Asleep:
            since: i8 = 12
            dream: Text = "of sheep"

        def look(world):
            asleep = next(iter(world.query(Asleep)))
            return [asleep.since.tolist(), world.text.decode(asleep.dream)]
        """,
        [[12] * 5, ["of sheep"] * 5],
    ),
    "columns grow wider": Case(
        """
        @component
        class Sizes:
            a: f4 = 0
            b: i2 = 0
            c: u1 = 0
            d: f2 = 0
            v: Vector[20, f4] = 0
            w: Vector[3, i1] = 0

        def fill(world):
            ids = world.spawn(100, Sizes(a=0.1, b=-300, c=200, d=0.5))
            yield
            world.set(ids[5:7], Sizes(v=np.full((2, 20), 0.1), w=[[-1, 2, 3]] * 2))
            yield
        """,
        """
        @component
        class Sizes:
            w: Vector[3, i4] = 0
            a: f8 = 0
            b: i8 = 0
            c: u4 = 0
            d: f4 = 0
            v: Vector[20, f8] = 0

        def look(world):
            sizes = next(iter(world.query(Sizes)))
            return [sizes.a[0] == np.float32(0.1), sizes.b[0].item(), sizes.c[0].item(),
                    sizes.d[0].item(), sizes.v[5, 0] == np.float32(0.1), sizes.w[6].tolist(),
                    str(sizes.v.dtype), str(sizes.w.dtype)]
        """,
        [True, -300, 200, 0.5, True, [-1, 2, 3], "float64", "int32"],
    ),
    "a column grows narrower": Case(
        PERSON,
        """
        @component
        class Person:
            number: u2
            age: f4 = 30
        """,
        r"SchemaError: Person.number was stored as uint32, and today it is uint16",
    ),
    "a vector of another width": Case(
        "@component\nclass A:\n    v: Vector[3] = 0\n" + THREE,
        "@component\nclass A:\n    v: Vector[4] = 0\n",
        "SchemaError: A.v was stored as vector of 3 float32",
    ),
    "a flag becomes a number": Case(
        "@component\nclass A:\n    v: b1 = False\n" + THREE,
        "@component\nclass A:\n    v: i8 = 0\n",
        "SchemaError: A.v was stored as bool",
    ),
    "a field without a default is new": Case(
        PERSON,
        "@component\nclass Person:\n    number: u4\n    weight: f4\n",
        "SchemaError: Person.weight has no default",
    ),
    "values that fit a narrower range": Case(
        PERSON,
        """
        @component
        class Person:
            number: u4
            age: f4 = populace.field(30, range=(0, 99))

        def look(world):
            return len(world)
        """,
        200,
    ),
    "values that do not": Case(
        PERSON,
        """
        @component
        class Person:
            number: u4
            age: f4 = populace.field(30, range=(0, 98))
        """,
        "SchemaError: snapshot holds values that today's Person.age refuses",
    ),
    "values that must be finite today": Case(
        """
        @component
        class A:
            x: f4 = populace.field(0, finite=False)
        def fill(world):
            world.spawn(3, A(x=[1, np.nan, 2]))
            yield
        """,
        "@component\nclass A:\n    x: f4 = 0\n",
        "SchemaError: snapshot holds values that today's A.x refuses",
    ),
    "an enum has more members": Case(
        """
        class Mood(IntEnum):
            CALM = 0
            GLAD = 3
        @component
        class A:
            mood: Mood = Mood.GLAD
        def fill(world):
            world.spawn(3, A)
            yield
        """,
        """
        class Mood(IntEnum):
            CALM = 0
            SAD = 1
            GLAD = 3
            HAPPY = 3
        @component
        class A:
            mood: Mood = Mood.SAD
        def look(world):
            return [world.entity(world.query(A).ids()[0])[A].mood.name, world.spawn(1, A).size]
        """,
        ["GLAD", 1],
    ),
    "an enum has fewer members": Case(
        """
        class Mood(IntEnum):
            CALM = 0
            GLAD = 3
        @component
        class A:
            mood: Mood = Mood.CALM
        def fill(world):
            world.spawn(3, A)
            yield
        """,
        """
        class Mood(IntEnum):
            CALM = 0
        @component
        class A:
            mood: Mood = Mood.CALM
        """,
        "SchemaError: A.mood was stored with GLAD = 3",
    ),
    "a component is required anew": Case(
        "@component\nclass A:\n    x: f4 = 5\n" + THREE,
        """
        @component
        class Needed:
            y: f4 = 7
            text: Text = "needed"
        @component(requires=Needed)
        class A:
            x: f4 = 0
        def look(world):
            a, needed = next(iter(world.query(A, Needed)))
            return [a.x.tolist(), needed.y.tolist(), world.text.decode(needed.text)]
        """,
        [[5, 5, 5], [7, 7, 7], ["needed"] * 3],
    ),
    "a component is required anew that some have": Case(
        """
        @component
        class Needed:
            y: f4 = 7
        @component
        class A:
            x: f4 = 0
            owner: Entity = populace.field(0, index=True)
        def fill(world):
            some = world.spawn(300, A(x=np.arange(300)))
            more = world.spawn(300, A(x=np.arange(300, 600)), Needed(y=9))
            yield
            world.set(more[:2], A(owner=some[:2]))
            world.set(some[:2], A(owner=more[:2]))
            yield
            world.despawn(some[5:])
            yield
        """,
        """
        @component
        class Needed:
            y: f4 = 7
        @component(requires=Needed)
        class A:
            x: f4 = 0
            owner: Entity = populace.field(0, index=True)
        def look(world):
            query = world.query(A, Needed)
            order = np.argsort(query.gather(A.x))
            needed = query.gather(Needed.y)[order][[0, 4, 5, -1]]
            return [query.gather(A.x)[order].sum().item(), needed.tolist(), len(world),
                    (query.gather(A.owner) != 0).sum().item()]
        """,
        [sum(range(5)) + sum(range(300, 600)), [7, 7, 9, 9], 305, 4],
    ),
    "a component is required anew without defaults": Case(
        "@component\nclass A:\n    x: f4 = 0\n" + THREE,
        """
        @component
        class Needed:
            y: f4
        @component(requires=Needed)
        class A:
            x: f4 = 0
        """,
        "SchemaError: snapshot holds entities with A and without Needed",
    ),
    "a component is no longer required": Case(
        """
        @component
        class Needed:
            y: f4 = 7
        @component(requires=Needed)
        class A:
            x: f4 = 0
        def fill(world):
            world.spawn(3, A)
            yield
        """,
        """
        @component
        class Needed:
            y: f4 = 7
        @component
        class A:
            x: f4 = 0
        def look(world):
            world.query(A).remove(Needed)
            return [world.query(A).count(), world.query(Needed).count()]
        """,
        [3, 0],
    ),
    "a component that is gone": Case(
        PERSON,
        "x = 1\n",
        "SchemaError: snapshot holds MODULE:Person, a component that this program",
    ),
    "a component with another name": Case(
        PERSON,
        """
        @component
        class Human:
            number: u4
            age: f4 = 30
        def look(world):
            return world.query(Human).count()
        """,
        200,
        load="aliases={'MODULE:Person': module.Human}",
    ),
    "a component in another place": Case(
        PERSON,
        """
        class Place:
            pass
        @component
        class Person:
            number: u4
            age: f4 = 30
        Place.Person = Person
        Person.__qualname__ = "Place.Person"
        del Person
        def look(world):
            return world.query(Place.Person).count()
        """,
        200,
        load="components=[module.Place.Person]",
    ),
    "a component becomes an event": Case(
        PERSON,
        "@event\nclass Person:\n    number: u4\n",
        "SchemaError: snapshot holds MODULE:Person as a class under @component, and today it is",
    ),
    "a reference is indexed today": Case(
        """
        @component
        class A:
            other: Entity = 0
        def fill(world):
            ids = world.spawn(6, A)
            world.set(ids[:4], A(other=ids[1:5]))
            world.despawn(ids[2])
            yield
        """,
        """
        @component
        class A:
            other: Entity = populace.field(0, index=True, on_despawn="null")
        def look(world):
            return [world.index(A.other).count(world.query(A).ids()).sum().item(), len(world)]
        """,
        [2, 5],
    ),
    "a reference is indexed today and the dead matter": Case(
        """
        @component
        class A:
            other: Entity = 0
        def fill(world):
            ids = world.spawn(6, A)
            world.set(ids[:4], A(other=ids[1:5]))
            world.despawn(ids[2])
            yield
        """,
        """
        @component
        class A:
            other: Entity = populace.field(0, index=True, on_despawn="despawn")
        """,
        "SchemaError: A.other is indexed today",
    ),
    "pairs are unique today": Case(
        """
        @component
        class Tie:
            source: Entity = populace.field(index=True, on_despawn="despawn")
            target: Entity = populace.field(index=True, on_despawn="despawn")
        @component
        class P:
            pass
        def fill(world):
            p = world.spawn(3, P)
            world.spawn(2, Tie(source=p[:2], target=p[1:]))
            yield
        """,
        """
        @component(unique=("source", "target"))
        class Tie:
            source: Entity = populace.field(index=True, on_despawn="despawn")
            target: Entity = populace.field(index=True, on_despawn="despawn")
        @component
        class P:
            pass
        def look(world):
            return len(world.pairs(Tie))
        """,
        2,
    ),
    "pairs are unique today and are not": Case(
        """
        @component
        class Tie:
            source: Entity = populace.field(index=True, on_despawn="despawn")
            target: Entity = populace.field(index=True, on_despawn="despawn")
        @component
        class P:
            pass
        def fill(world):
            p = world.spawn(3, P)
            world.spawn(2, Tie(source=p[0], target=p[1]))
            yield
        """,
        """
        @component(unique=("source", "target"))
        class Tie:
            source: Entity = populace.field(index=True, on_despawn="despawn")
            target: Entity = populace.field(index=True, on_despawn="despawn")
        @component
        class P:
            pass
        """,
        "Error: .*a pair of Tie is there twice",
    ),
    "what was kept is derived": Case(
        PERSON,
        """
        @component
        class Person:
            number: u4
            age: f4 = populace.field(derived=True)
        @system
        def grow(person: Write[Person]):
            person.age = person.number
        def look(world):
            world.add_system(grow)
            world.step(1)
            return world.query(Person).gather(Person.age)[:4].tolist()
        """,
        [0, 1, 2, 3],
    ),
    "what was derived is kept": Case(
        """
        @component
        class A:
            x: f4 = 1
            y: f4 = populace.field(derived=True)
        def fill(world):
            world.spawn(3, A)
            yield
        """,
        """
        @component
        class A:
            x: f4 = 1
            y: f4 = 5
        def look(world):
            return world.query(A).gather(A.y).tolist()
        """,
        [5, 5, 5],
    ),
    "a narrow vector is beside a wide one": Case(
        "@component\nclass A:\n    x: Vector[2] = 1\n" + THREE,
        """
        @component
        class A:
            w: Vector[100] = 2
            x: Vector[2, f8] = 0
        def look(world):
            a = next(iter(world.query(A)))
            return [a.x.tolist(), a.w.sum().item()]
        """,
        [[[1, 1]] * 3, 600],
    ),
    "events have changed": Case(
        """
        class Mood(IntEnum):
            CALM = 0
        @component
        class P:
            pass
        @event
        class Said:
            who: Entity
            n: i2 = 0
            what: Text = "hello"
        def fill(world):
            world.keep(Said)
            p = world.spawn(3, P)
            world.emit(Said(who=p, n=[1, 2, 3], what=["a", "b", "c"]))
            world.step(1)
            yield
            world.emit(Said(who=p[:2], n=[4, 5]))
            world.step(1)
            yield
            world.emit(Said(who=p[:1], n=6))
            yield
        """,
        """
        class Mood(IntEnum):
            CALM = 0
            LOUD = 1
        @component
        class P:
            pass
        @event
        class Said:
            mood: Mood = Mood.LOUD
            what: Text = ""
            n: i8 = 0
            why: Text = "because"
        def look(world):
            reader = world.events(Said)
            pending = reader.read()
            kept = world.journal(Said).columns
            world.step(1)
            return [
                pending.n.tolist(), world.text.decode(pending.why), kept["n"].tolist(),
                world.text.decode(kept["what"]), kept["mood"].tolist(), len(world.journal(Said)),
            ]
        """,
        [
            [6],
            ["because"],
            [1, 2, 3, 4, 5],
            ["a", "b", "c", "hello", "hello"],
            [1] * 5,
            6,
        ],
    ),
    "an event has no fields left": Case(
        """
        @event
        class Rang:
            n: i8 = 0
        def fill(world):
            world.keep(Rang)
            world.emit(Rang(n=[1, 2]))
            world.step(1)
            world.emit(Rang(n=3))
            yield
        """,
        """
        @event
        class Rang:
            pass
        def look(world):
            before = len(world.journal(Rang))
            world.step(1)
            return [before, len(world.journal(Rang))]
        """,
        [2, 3],
    ),
    "a resource has changed": Case(
        """
        @dataclass
        class Ledger:
            total: int = 0
            gone: str = "x"
            column: object = None
        def fill(world):
            world.insert(Ledger(5, "y", np.arange(100)))
            yield
        """,
        """
        @dataclass
        class Ledger:
            total: int = 0
            column: object = None
            names: list = attribute(default_factory=lambda: ["new"])
        def look(world):
            ledger = world.resource(Ledger)
            return [ledger.total, ledger.column.sum().item(), ledger.names]
        """,
        [5, 4950, ["new"]],
    ),
    "a setting is refused today": Case(
        """
        @settings
        class Law:
            cost: float = setting(0.5, range=(0, 10), doc="x")
        def fill(world):
            world.insert(Law(cost=7))
            yield
        """,
        """
        @settings
        class Law:
            cost: float = setting(0.5, range=(0, 1), doc="x")
        """,
        r"SchemaError: .*Law.cost must lie in \[0, 1\]",
    ),
    "a resource that is gone": Case(
        """
        @dataclass
        class Ledger:
            total: int = 0
        def fill(world):
            world.insert(Ledger())
            yield
        """,
        "x = 1\n",
        "SchemaError: snapshot holds MODULE:Ledger",
    ),
}

FIRST = """
import importlib, json, sys
sys.path[:0] = [sys.argv[1] + "/old", sys.argv[2]]
from populace import World
from populace.storage.checkpoint import Checkpointer
from tests.storage.crashing import quick
for k in range(int(sys.argv[3])):
    module = importlib.import_module(f"evolving_{k}")
    world = World(seed=k)
    with Checkpointer(world, quick(f"{sys.argv[1]}/world{k}"), full_every=100) as checkpointer:
        for _ in module.fill(world):
            checkpointer.save()
"""

SECOND = """
import importlib, json, sys
sys.path[:0] = [sys.argv[1] + "/new", sys.argv[2]]
from populace.ecs.errors import PopulaceError
from populace.storage.snapshot import Snapshots, load, save
from tests.storage.crashing import quick
from tests.storage.model import fingerprint
loads, found = json.loads(sys.stdin.read()), []
for k, how in enumerate(loads):
    module = importlib.import_module(f"evolving_{k}")
    place = quick(f"{sys.argv[1]}/world{k}")
    options = eval(f"dict({how})", {"module": module})
    try:
        world = load(place, **options)
    except PopulaceError as error:
        found.append([f"{type(error).__name__}: {error}", type(error).__name__])
        continue
    world.check()
    before = fingerprint(world)
    save(world, place)
    again = fingerprint(load(place)) == before
    folded = Snapshots(place).compact().is_full
    found.append([module.look(world), again and folded])
    world.check()
print(json.dumps(found, default=lambda value: value.item()))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the second process saw of each case."""
    directory = tmp_path_factory.mktemp("evolution")
    for version in ("old", "new"):
        (directory / version).mkdir()
        for k, case in enumerate(CASES.values()):
            (directory / version / f"evolving_{k}.py").write_text(getattr(case, version))
    loads = [case.load.replace("MODULE", f"evolving_{k}") for k, case in enumerate(CASES.values())]
    for code in (FIRST, SECOND):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(directory), str(ROOT), str(len(CASES))],
            input=json.dumps(loads),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-4000:]
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_class_that_has_changed(outcomes, name):
    """What can be followed is, bit for bit, and can be saved again; what cannot is refused, naming
    component and field."""
    number, expected = list(CASES).index(name), CASES[name].expected
    found, again = outcomes[name]
    if isinstance(expected, str):
        assert isinstance(found, str), found
        assert re.search(expected.replace("MODULE", f"evolving_{number}"), found), found
    else:
        assert found == expected
        assert again is True
