"""docs/format.md says all that a reader needs: one written from it gives what the world holds."""

import dataclasses
import enum
import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

import populace
from populace import (
    Entity,
    Events,
    Text,
    Vector,
    World,
    b1,
    component,
    event,
    f2,
    f4,
    f8,
    hours,
    i1,
    i2,
    i4,
    i8,
    minutes,
    system,
    u1,
    u2,
    u4,
    u8,
)
from populace.ecs.component import schema
from populace.ecs.image import capture, restore
from populace.storage import Checkpointer, save
from populace.storage.keys import Key

from .format_reader import Snapshot


class Trade(enum.IntEnum):
    NONE = 0
    BAKER = 7
    MILLER = 255


@component
class Numbers:
    """One scalar of each dtype."""

    half: f2 = populace.field(0, finite=False)
    single: f4 = populace.field(0, finite=False, unit="m")
    double: f8 = populace.field(0, finite=False)
    signed1: i1 = 0
    signed2: i2 = 0
    signed4: i4 = 0
    signed8: i8 = populace.field(0, unit="us", doc="when it was")
    byte: u1 = 0
    unsigned2: u2 = 0
    unsigned4: u4 = 0
    unsigned8: u8 = 0
    flag: b1 = False
    cached: f4 = populace.field(derived=True)


@component
class Narrow:
    """Vectors of less than 64 bytes a row."""

    one: Vector[1] = 0
    point: Vector[3, f8] = populace.field(0, finite=False)
    bits: Vector[63, u1] = 0
    flags: Vector[5, b1] = False
    small: Vector[31, f2] = populace.field(0, finite=False)


@component
class Wide:
    """Vectors of 64 bytes a row and more, beside a narrow one and a scalar."""

    face: Vector[16] = populace.field(0, finite=False)
    voice: Vector[99, i1] = 0
    voted: Vector[70, b1] = False
    narrow: Vector[2, i8] = 0
    age: u1 = 0


@component
class Tag:
    pass


@component
class OtherTag:
    pass


@component
class Person:
    name: Text
    trade: Trade = Trade.NONE
    friend: Entity = populace.field(0, index=True, on_despawn="null")


@component(unique=("source", "target"), requires=Tag)
class Tie:
    source: Entity = populace.field(index=True, on_despawn="despawn")
    target: Entity = populace.field(index=True, on_despawn="despawn")


@component
class Bit:
    on: b1 = False


@event
class Said:
    who: Entity
    what: Text = "hello"
    trade: Trade = Trade.MILLER
    where: Vector[3] = 0
    loud: f2 = populace.field(0, finite=False)
    face: Vector[20] = 0


@event
class Rang:
    """Without fields."""


@event
class Slept:
    who: Entity
    hours: f4 = 0


@dataclasses.dataclass(frozen=True)
class Rule:
    low: float = 0.5
    name: str = "x"


@dataclasses.dataclass
class Ledger:
    """One of everything that a resource may hold."""

    held: list = dataclasses.field(default_factory=list)
    by: dict = dataclasses.field(default_factory=dict)
    rule: Rule = dataclasses.field(default_factory=Rule)
    class_: object = None
    array: np.ndarray = dataclasses.field(default_factory=lambda: np.arange(300.0))


@system(phase="last", every=hours(1))
def listen(said: Events[Said], slept: Events[Slept]):
    """Takes up its events now and then, so that some are pending in between."""


WORDS = [
    "", "plain", "naïve 茶 🜁", "e\u0301 é", "\u202eright to left", "a\x00b", "\x00", "line\r\n",
    '"quoted\\"', "\ufeff", "\U0010ffff", "\uffff", " " * 3, "x" * 70_000,
]  # fmt: skip
SURROGATES = ["\ud800", "a\udfff", "\udc00\ud800"]


def ledger(draw):
    """A resource with one of everything."""
    flat = draw.normal(size=300)
    fixed = np.arange(90, dtype="i2")
    fixed.flags.writeable = False
    odd = np.array([0x7FA00000, 0xFFC00001], "u4").view("f4")  # NaN with payloads
    scalars = [dtype(1) for dtype in (np.float16, np.int8, np.uint64, np.bool_)]
    return Ledger(
        held=[
            *(None, True, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 1 << 300),
            *(0.1, -0.0, float("nan"), float("inf"), -float("inf"), 5e-324),
            *(*WORDS, *SURROGATES, b"", b"\xff\x00", bytearray(b"").decode()),
            *([], [[1], [2, [3]]], (), (1, (2,)), set(), {1, "a", (2, b"x")}, frozenset({-1})),
            *(Trade.BAKER, Rule(name="inner"), *scalars),
            *(np.float64("nan"), np.float32(-0.0), np.complex64(1 - 2j), np.int64(-5)),
        ],
        by={
            ("a", 1): {"class": {}, "fields": []},
            "int": {"dict": 1},
            b"k": {Trade.MILLER: flat[:70], 2.5: [draw.random((30, 40)).astype("f2")]},
        },
        class_=[
            *(np.array(5.0), np.zeros((0, 3)), np.arange(64), np.arange(65, dtype="u1")),
            *(np.asfortranarray(draw.random((20, 10))), draw.random((3, 4, 5)), flat[::4].copy()),
            *(np.arange(4, dtype=">i4"), np.arange(99, dtype=">u2"), np.full(3, np.nan, ">f4")),
            *(odd, np.tile(odd, 60), fixed, np.arange(6) % 2 == 0, flat > 0),
            *(np.array([1 + 2j]), flat * 1j, (flat * 1j).astype(">c8").reshape(3, 100).T.copy("F")),
        ],
        array=draw.normal(size=1000),
    )


def town(n=60, *, seed=5, words=(*WORDS, *SURROGATES)):
    """Every kind of column, an empty table, free slots, used up slots, events and resources."""
    draw = np.random.default_rng(seed)
    world = World(seed=seed, phases=("first", "update", "late", "last"))
    world.insert(ledger(draw))
    world.insert(Rule())
    world.keep(Said, Rang)
    world.add_system(listen)
    world.track(Person, Bit)
    world.text.intern([word for word in words if word])
    people = world.spawn(n, Person(name=draw.choice(len(words), n).astype("u4")), Narrow, Numbers)
    others = world.spawn(n // 2, Wide, Numbers)
    world.spawn(n // 3, Person(name="friend", friend=draw.choice(people, n // 3), trade="MILLER"))
    world.add(people[::4], Tag)
    world.ensure(Tie(source=people, target=np.roll(people, 1)), Bit(on=np.arange(n) % 3 == 0))
    world.despawn(world.spawn(5, OtherTag, Wide))
    world.despawn(people[5 : n // 3 : 3])
    world.despawn(others[::7])
    scribble(world, draw)
    talk(world, draw)
    return world


def scribble(world, draw, share=1.0):
    """Write any bits whatever into a share of the rows, NaN and infinities included."""
    for cls in (Numbers, Narrow, Wide, Bit):
        for view in world.query(cls):
            rows = np.flatnonzero(draw.random(len(view)) < share)
            for field in schema(cls).fields:
                if field.derived:
                    continue
                shape = (rows.size, *field.shape)
                values = draw.integers(0, 256, (*shape, field.dtype.itemsize), np.uint8)
                if field.dtype == np.bool_:
                    values &= 1
                getattr(view, field.name)[rows] = values.view(field.dtype).reshape(shape)


def talk(world, draw):
    """Emit batches of events of three classes; some words are new."""
    people = world.query(Person).ids()
    for n in (3, 0, 1):
        who = draw.choice(people, n)
        what = [f"word {draw.integers(1000)} 茶" for _ in who]
        world.emit(Said(who=who, what=what, where=draw.random((n, 3)), loud=np.float16("nan")))
        world.emit(Rang)
        world.emit(Slept(who=who, hours=draw.random(n)))


def change(world, draw):
    """What a day brings: 1 % of the rows changed, a few born, dead and moved, some events."""
    scribble(world, draw, 0.01)
    ids = world.query(Person).ids()
    world.set(draw.permutation(ids)[: ids.size // 100], Person(name="renamed", trade="BAKER"))
    world.despawn(draw.permutation(ids)[:3])
    world.spawn(7, Person(name=[f"born {draw.integers(1000)}" for _ in range(7)]), Numbers)
    world.add(world.query(Person, without=Tag).ids()[:4], Tag)
    talk(world, draw)
    world.step(minutes(20))
    talk(world, draw)
    world.resource(Ledger).array[3] = draw.random()
    world.resource(Ledger).held.append(draw.random())


# -- what a world holds, and what is read, in the same words --------------------------------------


def path(cls):
    return f"{cls.__module__}:{cls.__qualname__}"


def told(value):
    """A value with its type, bit for bit, for comparisons."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return "array", value.dtype.str, value.shape, value.flags.writeable, digest
    if isinstance(value, np.generic):
        return "scalar", value.dtype.str, value.tobytes()
    if isinstance(value, enum.Enum):
        return told((path(type(value)), value.name))
    if dataclasses.is_dataclass(value):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return told({"class": path(type(value)), "fields": fields})
    if isinstance(value, dict):
        return "dict", [(told(key), told(each)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [told(each) for each in value]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(told(each)) for each in value)
    return type(value).__name__, repr(value)


def bits(columns):
    """{key: dtype, shape and digest} of columns."""
    return {
        key: (c.dtype.str, c.shape, hashlib.sha256(c.tobytes()).hexdigest())
        for key, c in columns.items()
    }


def joined(event_class, parts):
    """The columns of all batches of an event, one after the other."""
    fields = schema(event_class).fields
    empty = {each.name: np.empty((0, *each.shape), each.dtype) for each in fields}
    return {key: np.concatenate([part[key] for part in [empty, *parts]]) for key in empty}


def held(world):
    """All that a snapshot of this world has to say, by parts."""
    image = capture(world)
    parts = {
        "seed": image.seed,
        "steps": image.steps,
        "phases": list(image.phases),
        "clock": [image.clock.tick, image.clock.now],
        "components": [path(cls) for cls in image.components],
        "tracked": [path(cls) for cls in image.tracked],
        "generations": bits({"": image.generations}),
        "texts": list(image.texts),
        "free texts": image.free_texts.tolist(),
        "cursors": {key: dict(each) for key, each in image.cursors.items()},
        "counts": dict(image.counts),
        "n_tables": len(image.tables),
    }
    for at, table in enumerate(image.tables):
        columns = {
            (path(key.component), key.name): c
            for key, c in table.columns.items()
            if not key.derived
        }
        columns[None, "id"] = table.ids
        parts[f"table {at}"] = (
            [path(cls) for cls in table.components],
            table.number,
            bits(columns),
        )
    for at, resource in enumerate(image.resources):
        parts[f"resource {at}"] = (path(type(resource)), told(resource))
    for queue in image.queues:
        batches = [[first, n] for first, n, _ in queue.batches]
        columns = joined(queue.event, [columns for _, _, columns in queue.batches])
        said = (queue.next, queue.before_step, batches, bits(columns))
        parts[f"queue {path(queue.event)}"] = said
    for journal in image.journals:
        columns = joined(journal.event, [journal.columns])
        parts[f"journal {path(journal.event)}"] = (journal.n, journal.cursor, bits(columns))
    return parts


def read(directory, number, secret=None):
    """The same parts, of a snapshot."""
    snapshot = Snapshot(directory, number, secret)
    manifest = snapshot.manifest
    tables = list(snapshot.tables())
    parts = {
        "seed": manifest["seed"],
        "steps": manifest["steps"],
        "phases": manifest["phases"],
        "clock": [manifest["tick"], manifest["now_us"]],
        "components": [name for name, _ in snapshot.components],
        "tracked": [snapshot.components[place][0] for place in manifest["tracked"]],
        "generations": bits({"": snapshot.generations()}),
        "texts": snapshot.texts(),
        "free texts": snapshot.free_texts(),
        "cursors": snapshot.private["cursors"],
        "counts": snapshot.private["counts"],
        "n_tables": len(tables),
    }
    for at, (names, number, columns) in enumerate(tables):
        parts[f"table {at}"] = (names, number, bits(columns))
    for at, (name, value) in enumerate(snapshot.resources()):
        parts[f"resource {at}"] = (name, told(value))
    for name, after, before_step, batches, columns in snapshot.queues():
        parts[f"queue {name}"] = (after, before_step, batches, bits(columns))
    for name, rows, cursor, columns in snapshot.journals():
        parts[f"journal {name}"] = (rows, cursor, bits(columns))
    return parts


def assert_told(directory, number, expected, secret=None):
    """The reader gives what the world held."""
    found = read(directory, number, secret)
    assert [
        key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)
    ] == []


# -- the facts ------------------------------------------------------------------------------------


def worn():
    """A town with a slot that is used up, as after 2^32 entities."""
    image = capture(town())
    generations = image.generations.copy()
    alive = np.concatenate([table.ids for table in image.tables]).astype(np.uint32)
    generations[np.setdiff1d(np.arange(generations.size), alive)[1::2]] = 0
    return restore(dataclasses.replace(image, generations=generations))


def evening():
    """A town after steps: kept events taken up, pending ones that a system has and has not seen."""
    world = town()
    draw = np.random.default_rng(8)
    for _ in range(5):
        change(world, draw)
    return world


@pytest.mark.parametrize("make", [World, town, lambda: town(words=WORDS), evening, worn])
def test_a_reader_of_the_page_gives_what_the_world_holds(make, tmp_path):
    """Every dtype, vectors narrow and wide, enums, any texts, references, tags, empty tables, free
    slots, events and resources, bit for bit."""
    world = make()
    for compression in (None, "lz4", "zstd"):
        number = save(world, tmp_path, compression=compression).number
        assert_told(tmp_path, number, held(world))


def test_each_snapshot_of_a_series_gives_what_the_world_held_then(tmp_path):
    """Of files of earlier snapshots and patches: rows that change, come, go and move, tables that
    shrink below what a file holds and grow again, and more tables, texts and kept events."""
    draw = np.random.default_rng(3)
    world = town(15_000)
    expected = {}
    with Checkpointer(world, tmp_path) as keeper:
        for day in range(9):
            expected[keeper.save().number] = held(world)
            change(world, draw)
            if day == 2:
                world.spawn(40, Numbers, Person(name="crowd"))
            if day == 3:
                world.despawn(world.query(Numbers, Person).ids()[-25:])
            if day == 4:
                world.spawn(60, Numbers, Person(name="crowd"), OtherTag)
                world.spawn(50, Numbers, Person(name="crowd"))
            if day == 5:
                world.query(Wide).where(lambda wide: wide.age < 50).despawn()
            if day == 6:
                world.cluster(Numbers.byte)
            if day == 7:
                world.query(Tag, without=Bit).remove(Tag)
    for number, parts in expected.items():
        assert_told(tmp_path, number, parts)
    segments = [each for number in expected for each in all_segments(tmp_path, number)]
    assert max(len(each["patches"]) for each in segments) > 2
    beyond = [n_rows(tmp_path, s["file"]) - (s["end"] - s["begin"]) for s in segments]
    assert min(beyond) < 0 < max(beyond)


def test_segments_of_a_large_table_share_their_patches(tmp_path):
    """A table of more than 2^20 rows, of which a patch changes the first, some and the last."""
    world = World()
    ids = world.spawn(2**20 + 9_000, Bit)
    expected = {}
    with Checkpointer(world, tmp_path) as keeper:
        expected[keeper.save().number] = held(world)
        world.set(ids[::100], Bit(on=True))
        world.set(ids[[-1, 2**20 - 1, 2**20]], Bit(on=True))
        expected[keeper.save().number] = held(world)
        world.spawn(30, Bit(on=True))
        world.despawn(ids[[5, 2**20 + 5]])
        expected[keeper.save().number] = held(world)
        world.despawn(ids[2**20 + 10 :])
        expected[keeper.save().number] = held(world)
        world.spawn(2_000, Bit(on=np.arange(2_000) % 3 == 0))
        expected[keeper.save().number] = held(world)
    for number, parts in expected.items():
        assert_told(tmp_path, number, parts)
    first, last = all_segments(tmp_path, 2)[:2]
    assert (first["begin"], first["end"], last["begin"]) == (0, 2**20, 2**20)
    assert set(first["patches"]) & set(last["patches"])


@pytest.mark.parametrize("n_bytes", [16, 24, 32])
def test_an_encrypted_series_is_read_with_pyarrow_and_the_secret(n_bytes, tmp_path):
    """The key of each file and its AAD prefix follow from the secret and the name, by the page."""
    secret = np.random.default_rng(n_bytes).bytes(n_bytes)
    draw = np.random.default_rng(3)
    world = town(2_000)
    expected = {}
    with Checkpointer(world, tmp_path, key=Key(secret)) as keeper:
        for _ in range(3):
            expected[keeper.save().number] = held(world)
            change(world, draw)
    for number, parts in expected.items():
        assert_told(tmp_path, number, parts, secret)
        manifest = Snapshot(tmp_path, number, secret).manifest
        assert manifest["private"] is None
        assert all((tmp_path / name).read_bytes()[-4:] == b"PARE" for name in manifest["files"])
    assert any(each["patches"] for each in all_segments(tmp_path, 3, secret))


def test_the_first_free_slot_is_taken_next(tmp_path):
    """Those in no table are free unless their generation is 0; the next entity has the lowest."""
    world = worn()
    snapshot = Snapshot(tmp_path, save(world, tmp_path).number)
    generations = snapshot.generations()
    ids = np.concatenate([columns[None, "id"] for _, _, columns in snapshot.tables()])
    slots = ids & np.uint64(0xFFFF_FFFF)
    assert np.array_equal(ids >> np.uint64(32), generations[slots])
    free = np.setdiff1d(np.flatnonzero(generations), slots)
    assert 0 < free.size < generations.size - ids.size
    [born] = world.spawn(1, Bit).tolist()
    assert born == int(generations[free[0]]) << 32 | int(free[0])


def test_data_files_are_as_the_page_says(tmp_path):
    """The list of files is that of those named; groups, row groups, types and metadata."""
    world = town()
    world.spawn(200_000, Wide, Bit)
    snapshot = Snapshot(tmp_path, save(world, tmp_path).number)
    on_disk = {f"data/{each.name}" for each in (tmp_path / "data").iterdir()}
    assert set(snapshot.manifest["files"]) == on_disk
    table = next(each for each in snapshot.manifest["tables"] if each["rows"] == 200_000)
    names = [[column["name"] for column in group["columns"]] for group in table["groups"]]
    assert names == [
        ["id", "Bit.on", "Wide.narrow", "Wide.age"],
        ["Wide.face", "Wide.voice", "Wide.voted"],
    ]
    narrow, wide = (group["segments"][0]["file"] for group in table["groups"])
    held_in = pq.ParquetFile(tmp_path / wide)
    assert held_in.metadata.row_group(0).num_rows == 122_880
    face = held_in.schema_arrow.field("Wide.face")
    assert (face.type.byte_width, face.metadata[b"dtype"], face.metadata[b"width"]) == (
        64,
        b"f4",
        b"16",
    )
    assert held_in.schema.column(0).physical_type == "FIXED_LEN_BYTE_ARRAY"
    assert pq.read_schema(tmp_path / narrow).field("Bit.on").type == "bool"


@pytest.mark.parametrize("at", [0, 40, 80, 300, -2])
def test_a_changed_byte_of_a_manifest_is_seen(at, tmp_path):
    """The digest covers all of the JSON, and the frame is always the same."""
    save(town(), tmp_path)
    path = tmp_path / "snapshot-0000000001.json"
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises((AssertionError, ValueError)):
        Snapshot(tmp_path, 1)


def all_segments(directory, number, secret=None):
    """Those of all tables of a snapshot."""
    tables = Snapshot(directory, number, secret).manifest["tables"]
    return [each for table in tables for group in table["groups"] for each in group["segments"]]


def n_rows(directory, name):
    return pq.read_metadata(directory / name).num_rows
