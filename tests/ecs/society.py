"""A small society for `test_determinism`: every kind of change, drawn by stable keys.

Run as a script it prints a hash of what a run leaves, for a comparison over processes.
"""

import hashlib

import numpy as np

from populace import (
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Rng,
    Rows,
    Text,
    With,
    Without,
    World,
    Write,
    component,
    event,
    f4,
    field,
    hours,
    i4,
    i8,
    minutes,
    system,
    u8,
)


@component
class Person:
    number: u8  # the stable key
    mood: f4 = field(0, range=(-1, 1))


@component
class Place:
    x: f4 = 0
    y: f4 = 0


@component
class Asleep:
    pass


@component
class Note:
    owner: Entity = field(index=True, on_despawn="despawn")
    key: u8 = 0
    weight: f4 = 1
    text: Text = ""
    mood: Text = "plain"


@component(unique=("source", "target"))
class Tie:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")
    met: i8 = 0


@component
class Count:
    n: i4 = 0


@event
class Met:
    a: Entity
    b: Entity
    key: u8 = 0


@system
def walk(person: Read[Person], place: Write[Place], awake: Without[Asleep], rng: Rng):
    place.x += rng.normal(person.number)
    place.y += rng.normal(person.number, draw=1)


@system
def dream(person: Write[Person], only: With[Asleep], rng: Rng):
    person.mood = (rng.uniform(person.number) * 2 - 1).astype(np.float32)


@system
def fade(note: Write[Note]):
    note.weight *= np.float32(0.75)


@system(every=minutes(30))
def doze(ids: Id, person: Read[Person], awake: Without[Asleep], rng: Rng, commands: Commands):
    commands.add(ids[rng.uniform(person.number) < 0.3], Asleep)


@system(every=minutes(30))
def wake(ids: Id, person: Read[Person], asleep: Read[Asleep], rng: Rng, commands: Commands):
    commands.remove(ids[rng.uniform(person.number) < 0.5], Asleep)


@system
def meet(people: Rows[Read[Person]], rng: Rng, emit: Emit[Met]):
    """Who meets whom is decided by the numbers of people, not by rows or ids."""
    order = np.argsort(people.gather(Person.number))
    ids, numbers = people.ids()[order], people.gather(Person.number)[order]
    if ids.size:
        other = rng.integers(numbers, ids.size)
        emit(Met(a=ids, b=ids[other], key=numbers))


@system(phase="last")
def remember(met: Events[Met], commands: Commands, rng: Rng):
    if not len(met):
        return
    commands.upsert(Tie(source=met.a, target=met.b, met=met.key.astype(np.int64)), Count(n=1))
    keep = rng.uniform(met.key) < 0.5
    text = [f"met number {k}" for k in met.key[keep].tolist()]
    commands.spawn(
        int(keep.sum()),
        Note(owner=met.a[keep], key=met.key[keep], text=text, mood=[t[-1] for t in text]),
    )


@system(phase="last")
def forget(notes: Rows[Read[Note]], commands: Commands):
    """The weakest notes go, in the order of their keys."""
    faint = notes.where(lambda note: note.weight < 0.4)
    commands.despawn(np.sort(faint.ids()))


@system(phase="last", every=hours(1))
def renew(people: Rows[Read[Person]], rng: Rng, commands: Commands):
    """Some leave, with notes and ties, and others come."""
    order = np.argsort(people.gather(Person.number))
    ids, numbers = people.ids()[order], people.gather(Person.number)[order]
    gone = rng.uniform(numbers, draw=7) < 0.1
    commands.despawn(ids[gone])
    commands.spawn(Person(number=numbers[gone] + np.uint64(10_000)), Place)


def build(n=60, *, threads=1, parts=1, tracked=False):
    """A society of n, spawned in so many batches."""
    world = World(seed=11, threads=threads)
    world.parallel_rows = 0 if threads > 1 else 10**9
    if tracked:
        world.track(Person, Place, Note)
    for numbers in np.array_split(np.arange(n), parts):
        world.spawn(Person(number=numbers.astype(np.uint64)), Place(x=numbers.astype(np.float32)))
    people = world.query(Person).ids()
    numbers = world.query(Person).gather(Person.number)
    people = people[np.argsort(numbers)]
    for some in np.array_split(np.arange(0, n, 3), parts):
        world.add(people[some], Asleep)
    for some in np.array_split(np.arange(2 * n) % n, parts):
        world.spawn(
            Note(
                owner=people[some],
                text=[f"first {i % 7}" for i in some],
                mood=[f"mood {i % 5}" for i in some],
            )
        )
    for some in np.array_split(np.arange(4, n, 9), parts):
        world.despawn(people[some])
    world.add_systems(walk, dream, fade, doze, wake, meet, remember, forget, renew)
    return world


def run(steps=20, **how):
    world = build(**how)
    for _ in range(steps):
        world.step(minutes(10))
    return world


def columns_hash(world):
    """SHA-256 of the ids and columns of every component, in the order of ids, and of all
    strings."""
    total = hashlib.sha256("\0".join(world.text.strings).encode())
    for cls in (Person, Place, Asleep, Note, Tie, Count):
        query = world.query(cls)
        order = np.argsort(query.ids())
        total.update(query.ids()[order].tobytes())
        for name in cls.__annotations__:
            total.update(query.gather(getattr(cls, name))[order].tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    print(columns_hash(run()))
