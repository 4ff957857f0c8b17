"""A village that SQL is asked of: people, their notes, links, facts about notes, and talks."""

import copy
import enum
from dataclasses import replace

import numpy as np

from populace.ecs import Entity, Text, World, component, event, f4, field, i8, u4
from populace.ecs.image import Image, capture
from populace.storage.imagesource import ImageSource
from populace.storage.source import Catalogue, WorldSource
from populace.storage.sql import Database
from populace.storage.tables import Log, Table

OWNERS = {"notes": "person", "links": "source", "facts": "person", "talks": "source"}


class Kind(enum.IntEnum):
    EVENT = 0
    THOUGHT = 1
    CHAT = 2


@component
class Person:
    number: u4 = field(doc="who")
    name: Text = field(default="")


@component
class Note:
    owner: Entity = field(index=True, on_despawn="despawn", doc="whose")
    place: u4
    created: i8 = field(default=0, unit="us since 1970", doc="when")
    importance: f4 = field(default=0.5)
    kind: Kind = field(default=Kind.EVENT)
    text: Text = field(default="")


@component
class Weight:
    value: f4 = field(derived=True)


@component
class Starred:
    """Somebody liked it."""


@component(unique=("source", "target"))
class Link:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component
class Fact:
    note: Entity = field(index=True, on_despawn="despawn")
    strength: f4 = field(default=0.0)


@event
class Talk:
    source: Entity
    target: Entity
    time: i8 = field(unit="us since 1970")


PEOPLE = Table("people", required=(Person,), order=(Person.number,),
               rename={Person.number: "person"})  # fmt: skip
NOTES = Table(
    "notes",
    required=(Note,),
    optional=(Weight, Starred),
    order=(Note.owner, Note.place),
    rename={Note.owner: "person", Weight.value: "strength"},
    references={Note.owner: Person.number},
    labels={"name": (Note.owner, Person.name)},
    since=Note.created,
)
LINKS = Table("links", required=(Link,), references={Link.source: Person.number,
              Link.target: Person.number})  # fmt: skip
FACTS = Table("facts", required=(Fact,), labels={"person": (Fact.note, Note.owner, Person.number)})
TALKS = Log(
    "talks", Talk, references={Talk.source: Person.number, Talk.target: Person.number},
    since=Talk.time,
)  # fmt: skip
SPECS = {spec.name: spec for spec in (PEOPLE, NOTES, LINKS, FACTS, TALKS)}
CATALOGUE = Catalogue(lambda image: SPECS, OWNERS)


def village(n_people=5, n_notes=40, seed=1):
    """A world of some people and notes, in two tables of notes; returns (world, people)."""
    world = World(seed=seed)
    world.keep(Talk)
    random = np.random.default_rng(seed)
    numbers = np.arange(n_people)
    people = world.spawn(n_people, Person(number=numbers + 10, name=[f"P{n}" for n in numbers]))
    for weighed in (False, True):
        n = n_notes // 2
        note = Note(
            owner=people[random.integers(0, n_people, n)],
            place=np.arange(n) + weighed * n,
            created=random.integers(0, 10, n) * 10**9,
            importance=random.integers(0, 5, n) / 4,
            kind=random.integers(0, 3, n),
            text=[f"text {number}" for number in random.integers(0, 9, n)],
        )
        notes = world.spawn(n, note, *((Weight, Starred) if weighed else ()))
        world.spawn(Fact(note=notes[::2], strength=random.random(notes[::2].size)))
    pairs = np.unique(random.integers(0, n_people**2, 2 * n_people))
    world.spawn(Link(source=people[pairs // n_people], target=people[pairs % n_people]))
    for time in (1, 2):
        source, target = (people[random.integers(0, n_people, 7)] for _ in range(2))
        world.emit(Talk(source=source, target=target, time=time * 10**9))
        world.step(10**9)
    return world, people


def asked(source, **options):
    """A database of a world or an image."""
    kind = ImageSource if isinstance(source, Image) else WorldSource
    return Database(kind(CATALOGUE, source), **options)


def still(world):
    """What the world is now, as an image that stays as it is."""
    image = capture(world)
    tables = [
        replace(
            held,
            ids=held.ids.copy(),
            columns={f: column.copy() for f, column in held.columns.items() if not f.derived},
        )
        for held in image.tables
    ]
    journals = [
        replace(held, columns={name: column.copy() for name, column in held.columns.items()})
        for held in image.journals
    ]
    return replace(
        image,
        tables=tuple(tables),
        journals=tuple(journals),
        resources=tuple(copy.deepcopy(resource) for resource in image.resources),
    )
