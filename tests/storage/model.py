"""A town with every kind of column, random programs that change it, and what a snapshot must keep.

A program is a list of (name of an operation, seed). What it does follows from these and the town
alone, so that it does the same to twins. `kept` holds arrays, slices and views from before, which
it goes on to write through.
"""

import contextlib
import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import populace
from populace import (
    Commands,
    Emit,
    Entity,
    Events,
    Id,
    Read,
    Res,
    ResMut,
    Rng,
    Rows,
    Text,
    Vector,
    Without,
    World,
    Write,
    b1,
    component,
    event,
    f2,
    f4,
    f8,
    i1,
    i2,
    i8,
    kernel,
    minutes,
    system,
    u1,
)
from populace.ecs.errors import ReferencedEntityError, StaleViewError
from populace.ecs.events import picked
from populace.storage.checkpoint import Checkpointer
from populace.storage.snapshot import Snapshots

from ..ecs.twins import differing, state

STEP = minutes(10)


class Trade(IntEnum):
    NONE = 0
    BAKER = 1
    MILLER = 200


@component
class Body:
    number: i8 = 0
    x: f4 = populace.field(0, range=(-1e9, 1e9), unit="m")
    y: f8 = 0.5
    heat: f2 = 1
    hits: i2 = 0
    upright: b1 = True
    far: f4 = populace.field(derived=True)


@component
class Face:
    """Wide and narrow columns in one component."""

    shape: Vector[32] = 0
    code: Vector[5, i1] = 7
    age: u1 = 30


@component
class Print:
    """Wide rows of no whole number of words."""

    bits: Vector[99, u1] = 3


@component
class Asleep:
    pass


@component
class Hungry:
    pass


@component(requires=Print)
class Note:
    owner: Entity = populace.field(index=True, on_despawn="despawn")
    about: Entity = 0
    text: Text = "nothing"
    trade: Trade = Trade.BAKER
    at: i8 = 0


@component
class Friend:
    other: Entity = populace.field(0, index=True, on_despawn="null")


@component
class Ward:
    by: Entity = populace.field(index=True, on_despawn="forbid")


@component(unique=("source", "target"))
class Tie:
    source: Entity = populace.field(index=True, on_despawn="despawn")
    target: Entity = populace.field(index=True, on_despawn="despawn")


@component
class Weight:
    w: f4 = populace.field(0, finite=False)


@event
class Met:
    who: Entity
    other: Entity = 0
    what: Text = "hello"
    where: Vector[3] = 0


@event
class Slept:
    who: Entity
    trade: Trade = Trade.MILLER


@dataclass
class Ledger:
    total: int = 0
    names: dict = field(default_factory=dict)
    column: np.ndarray = field(default_factory=lambda: np.arange(200.0))
    grid: np.ndarray = field(default_factory=lambda: np.ones((10, 9), "f4", order="F"))


# -- what happens ---------------------------------------------------------------------------------


@kernel
def drift(body: Write[Body], _: Without[Asleep], clock: Res[populace.Clock]):
    body.x += f4(body.heat) * f4(clock.dt_s) * f4(1e-3)


@system
def jump(body: Write[Body], rng: Rng):
    far = rng.uniform(body.number) < 0.1
    body.y[far] += rng.normal(body.number[far], draw=1)
    body.hits[far] += 1


@system(every=3 * STEP)
def measure(body: Write[Body]):
    """A sweep: it fills a cache."""
    body.far = np.hypot(body.x, body.y)


@system
def meet(people: Rows[Read[Body]], rng: Rng, emit: Emit[Met]):
    order = np.argsort(people.gather(Body.number), kind="stable")
    ids, numbers = people.ids()[order], people.gather(Body.number)[order]
    some = rng.uniform(numbers) < 0.2
    if some.any():
        texts = [f"said {n % 37}" for n in numbers[some].tolist()]
        other = ids[rng.integers(numbers[some], ids.size, draw=1)]
        emit(Met(who=ids[some], other=other, what=texts))


@system(phase="last")
def remember(world: World, met: Events[Met]):
    met = picked(met, world.alive(met.who) & ((met.other == 0) | world.alive(met.other)))
    if len(met):
        now = world.clock.now
        world.spawn(len(met), Note(owner=met.who, about=met.other, text=met.what, at=now), Face)
        two = met.other != 0
        ends = Tie(source=met.who[two], target=met.other[two])
        world.upsert(ends, Weight(w=world.clock.tick))


@system(phase="last", every=2 * STEP)
def forget(ids: Id, note: Read[Note], clock: Res[populace.Clock], commands: Commands):
    commands.despawn(ids[note.at < clock.now - 5 * STEP])


@system(every=4 * STEP)
def doze(ids: Id, body: Read[Body], rng: Rng, awake: Without[Asleep], commands: Commands,
         emit: Emit[Slept]):  # fmt: skip
    tired = ids[rng.uniform(body.number) < 0.2]
    commands.add(tired, Asleep)
    emit(Slept(who=tired))


@system(phase="last", every=3 * STEP)
def count(slept: Events[Slept], ledger: ResMut[Ledger]):
    """Takes up its events only now and then, so that some are pending in between."""
    ledger.total += len(slept)
    ledger.names[f"at {ledger.total}"] = ledger.total
    ledger.column[ledger.total % ledger.column.size] += 1


@system(every=6 * STEP)
def wake(world: World):
    world.query(Asleep).remove(Asleep)


SYSTEMS = (drift, jump, measure, meet, remember, forget, doze, count, wake)


def town(n=40, *, seed=3, threads=1, systems=True):
    """n people with notes, friends and ties, and something pending."""
    world = World(seed=seed, threads=threads)
    world.insert(Ledger())
    world.keep(Met)
    draw = np.random.default_rng(seed)
    number = np.arange(n)
    people = world.spawn(
        n, Body(number=number, x=draw.normal(0, 9, n)), Face(shape=draw.random((n, 32)))
    )
    world.add(people[::3], Hungry)
    world.add(people[1::4], Friend(other=draw.choice(people, people[1::4].size)))
    texts = [f"note {k % 9} naïve 茶" for k in range(2 * n)]
    world.spawn(2 * n, Note(owner=draw.choice(people, 2 * n), text=texts))
    world.ensure(
        Tie(source=people, target=np.roll(people, 1)), Weight(w=draw.random(n).astype("f4"))
    )
    world.spawn(Ward(by=people[:2]))
    world.despawn(people[n // 2 :: 7])
    world.emit(Met(who=people[:2], what=["first", "second"]))
    if systems:
        world.add_systems(*SYSTEMS)
    return world


# -- a story --------------------------------------------------------------------------------------


@dataclass
class Account:
    column: np.ndarray = field(default_factory=lambda: np.arange(70.0))


def hamlet(n=6):
    """A world of few files: a table with wide vectors, texts, kept events, an array."""
    world = World(seed=1)
    world.insert(Account())
    world.keep(Met)
    people = world.spawn(n, Body(number=np.arange(n)), Face)
    world.emit(Met(who=people, what=[f"hello {k}" for k in range(n)]))
    world.step(STEP)
    return world


def change(world, k):
    """Something different in every part, so that a delta has all kinds of files."""
    people = world.query(Body).ids()
    world.set(people[:1], Body(x=k + 1))
    world.set(people[:1], Face(shape=np.full((1, 32), k)))
    world.despawn(people[-1:])
    world.spawn(2, Body, Face)
    world.emit(Met(who=people[:2], what=f"word {k}"))
    world.resource(Account).column[k % 70] = -k
    world.step(STEP)


def story(files, told, world=None):
    """A full snapshot, two deltas of which the second is folded, a full one, the first pruned.

    told: called with (tick, fingerprint) before each snapshot can be there.
    """
    world = hamlet() if world is None else world
    for some in (2, 1):
        with Checkpointer(world, files, threads=1) as checkpointer:
            for k in range(some):
                told(world.clock.tick, fingerprint(world))
                checkpointer.save()
                change(world, k)
        Snapshots(files).compact(threads=1)
    Snapshots(files).prune(1)


# -- programs -------------------------------------------------------------------------------------


def _some(draw, ids, most=8):
    """Distinct ids, in any order."""
    return draw.permutation(ids)[: draw.integers(0, most)]


def _bodies(world, **how):
    return world.query(Body, **how).ids()


def spawn(world, draw, kept):
    k = int(draw.integers(0, 12))
    parts = [
        Body(number=draw.integers(0, 1000, k), x=draw.normal(0, 9, k)),
        Face,
        Print,
        Hungry,
        Friend,
    ]
    world.spawn(k, *[p for p in parts if draw.random() < 0.6])


def spawn_many(world, draw, kept):
    """Tables grow into other memory."""
    k = int(draw.integers(100, 400))
    world.spawn(k, Body(number=np.arange(k), y=draw.random(k)), Face(age=draw.integers(0, 99, k)))


def write_notes(world, draw, kept):
    owners = _some(draw, _bodies(world))
    texts = [f"{draw.integers(0, 50)}" for _ in owners]
    world.spawn(owners.size, Note(owner=owners, text=texts, trade=draw.choice([0, 1, 200])))


def despawn(world, draw, kept):
    with contextlib.suppress(ReferencedEntityError):
        cls = (Body, Note, Tie, Face, Print)[draw.integers(5)]
        world.despawn(_some(draw, world.query(cls).ids()))


def despawn_many(world, draw, kept):
    with contextlib.suppress(ReferencedEntityError):
        world.query(Body, without=Ward).where(
            lambda body: body.number % 5 == int(draw.integers(5))
        ).despawn()


def add(world, draw, kept):
    cls = (Asleep, Hungry, Face, Print, Friend)[draw.integers(5)]
    world.add(_some(draw, _bodies(world, without=cls), 20), cls)


def remove(world, draw, kept):
    cls = (Asleep, Hungry, Face, Friend)[draw.integers(4)]
    world.remove(_some(draw, world.query(cls).ids(), 20), cls)


def hand_over(world, draw, kept):
    """Whole tables change hands."""
    cls = (Asleep, Hungry)[draw.integers(2)]
    if draw.random() < 0.5:
        world.query(Body, without=cls).add(cls)
    else:
        world.query(cls).remove(cls)


def put(world, draw, kept):
    ids = _some(draw, _bodies(world), 20)
    world.set(ids, Body(x=draw.normal(0, 9, ids.size), upright=bool(draw.integers(2))))
    faces = _some(draw, world.query(Face).ids(), 20)
    world.set(faces, Face(shape=draw.random((faces.size, 32))))


def put_same(world, draw, kept):
    """A write of what is there already."""
    for body in world.query(Body):
        body.hits[:] = body.hits.copy()


def redirect(world, draw, kept):
    notes = _some(draw, world.query(Note).ids())
    people = _bodies(world)
    if people.size:
        world.set(notes, Note(owner=draw.choice(people, notes.size), text="moved"))


def write_raw(world, draw, kept):
    for view, name in [(v, n) for v in world.query(Body) for n in ("x", "heat", "upright")]:
        if len(view):
            row = int(draw.integers(len(view)))
            getattr(view, name)[row] = draw.integers(0, 2)
    for face in world.query(Face):
        if len(face):
            face.shape[int(draw.integers(len(face)))] += 1
            face.code[int(draw.integers(len(face))), 2] ^= 5


def keep_arrays(world, draw, kept):
    """Views, columns and slices that are held on to, while others look and rows move."""
    for face in world.query(Face, optional=Body):
        face, body = face
        kept += [face, face.shape, face.age[1:5]]
        if body is not None:
            kept += [body.x, body.hits[::2], memoryview(body.y), body.upright.view(np.uint8)]
    del kept[:-20]


def write_kept(world, draw, kept):
    """Through whatever is still held, as far as it may be written."""
    for held in kept:
        if isinstance(held, memoryview):
            if len(held) and not held.readonly:
                held[0] = float(draw.integers(9))
        elif isinstance(held, np.ndarray):
            if held.size and held.flags.writeable:
                held[int(draw.integers(len(held)))] = int(draw.integers(2))
        else:
            with contextlib.suppress(StaleViewError):
                held.age[: int(draw.integers(4))] += 1


def drop_kept(world, draw, kept):
    kept.clear()


def cluster(world, draw, kept):
    world.cluster((Note.owner, Note.at, Body.number)[draw.integers(3)])


def tie(world, draw, kept):
    people = _bodies(world)
    if people.size:
        ends = draw.choice(people, (2, int(draw.integers(1, 9))))
        world.upsert(
            Tie(source=ends[0], target=ends[1]),
            Weight(w=np.float32(draw.choice([np.nan, -0.0, 2]))),
        )


def intern(world, draw, kept):
    world.text.intern([f"word {draw.integers(0, 99)}" for _ in range(int(draw.integers(9)))])


def reclaim(world, draw, kept):
    """Texts that nothing holds are given back, and some of their codes are given again."""
    world.reclaim_texts()
    intern(world, draw, kept)
    write_notes(world, draw, kept)


def emit(world, draw, kept):
    people = _some(draw, _bodies(world))
    world.emit(Met(who=people, where=draw.random((people.size, 3))))
    world.emit(Slept(who=people))


def keep_account(world, draw, kept):
    ledger = world.resource(Ledger)
    ledger.total += 1
    if draw.random() < 0.5:
        ledger.column = draw.random(int(draw.integers(60, 300)))
    else:
        ledger.grid[3, 4] += 1


def shrink(world, draw, kept):
    world.shrink()


def reserve(world, draw, kept):
    world.reserve(int(draw.integers(50)), Body, Face)


def track(world, draw, kept):
    world.track((Body, Face)[draw.integers(2)])
    world.mark()


def step(world, draw, kept):
    world.step(STEP)


def nothing(world, draw, kept):
    pass


OPERATIONS = {
    made.__name__: made
    for made in (
        spawn, spawn_many, write_notes, despawn, despawn_many, add, remove, hand_over, put,
        put_same, redirect, write_raw, keep_arrays, write_kept, drop_kept, cluster, tie, intern,
        reclaim, emit, keep_account, shrink, reserve, track, step, nothing,
    )
}  # fmt: skip


def run(world, program, kept=None):
    """Run a program; returns what it has kept."""
    kept = [] if kept is None else kept
    for name, seed in program:
        OPERATIONS[name](world, np.random.default_rng(seed), kept)
    return kept


programs = st.lists(
    st.lists(
        st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)
"""Programs in parts."""


def one_in(n):
    """A share of the examples that the other properties get, for one that is slow."""
    return settings(max_examples=max(1, settings().max_examples // n))


def random_program(draw, n):
    """n operations, by a numpy generator."""
    names = sorted(OPERATIONS)
    return [(names[draw.integers(len(names))], int(draw.integers(2**32))) for _ in range(n)]


# -- what must be kept ----------------------------------------------------------------------------


def fingerprint(world):
    """A hash of all that a snapshot must keep, the order of rows, tables and codes included; the
    same in every process."""
    parts = state(world)
    return hashlib.sha256(repr(sorted(parts.items())).encode("utf-8", "surrogatepass")).hexdigest()


def assert_same(world, other):
    """Two worlds hold the same, in the same order."""
    assert differing(state(world), state(other)) == []
    assert world.digest() == other.digest()


def contents(directory):
    """{name below a directory: bytes} of all its files but the lock."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
