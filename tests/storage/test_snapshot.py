"""Saving, loading, folding and pruning: what comes back, what is shared, whose files are whose."""

import contextlib
import copy
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from populace import (
    Clock,
    Text,
    Vector,
    World,
    b1,
    component,
    days,
    event,
    f2,
    f4,
    f8,
    hours,
    i8,
    u8,
)
from populace.components import Memory, Persona, Stream, Trace
from populace.ecs.errors import (
    LockedError,
    SnapshotError,
    StorageError,
    StructuralChangeError,
)
from populace.storage import manifest as m
from populace.storage import writing
from populace.storage.checkpoint import Checkpointer
from populace.storage.disk import Disk
from populace.storage.files import LocalFiles
from populace.storage.snapshot import Snapshots, SnapshotWarning, load, save

from . import model
from .crashing import leftovers, quick, temporaries
from .faulty_disk import FaultyDisk
from .model import (
    OPERATIONS,
    STEP,
    Body,
    Face,
    Hungry,
    Ledger,
    Met,
    assert_same,
    contents,
    fingerprint,
    hamlet,
    one_in,
    programs,
    run,
    town,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(monkeypatch):
    """Segments of 16 rows, which get three patches at most."""
    monkeypatch.setattr(m, "SEGMENT", 16)
    monkeypatch.setattr(writing, "MOST_PATCHES", 3)


def data_files(directory):
    """The names of the files in `data`."""
    return {path.name for path in (Path(directory) / "data").iterdir()}


def inodes(directory):
    """{name: what tells one file from another, and when it was last written}."""
    found = {}
    for path in (Path(directory) / "data").iterdir():
        about = path.stat()
        found[path.name] = (about.st_ino, about.st_mtime_ns, about.st_size)
    return found


# -- there and back -------------------------------------------------------------------------------


@one_in(10)
@given(programs, st.sampled_from([None, "lz4", "zstd"]), st.integers(1, 3))
def test_any_world_comes_back(tmp_path_factory, program, compression, threads):
    """Bit for bit, in the order of its rows, tables and codes, and it saves itself alike."""
    place = quick(tmp_path_factory.mktemp("any"))
    world = town(15)
    for part in program:
        run(world, part)
    world.sync()
    save(world, place, compression=compression, threads=threads)
    other = load(place, threads=threads)
    other.check()
    assert_same(world, other)
    save(other, place)
    assert_same(world, load(place))


def test_a_world_without_anything(tmp_path):
    """Nothing comes back as nothing."""
    world = World(seed=9, phases=("dawn", "dusk"))
    manifest = save(world, tmp_path)
    other = load(tmp_path)
    assert_same(world, other)
    assert (manifest.rows, manifest.tick, other.schedule.phases) == (0, 0, ("dawn", "dusk"))


@component
class Odd:
    half: f2 = 0
    double: f8 = 0
    whole: i8 = 0
    big: u8 = 0
    flag: b1 = False
    text: Text = ""


def test_values_that_arithmetic_would_change(tmp_path):
    """NaN payloads, negative zeros, infinities, denormals and the ends of integers, raw in columns;
    texts with zeros, other planes and halves of surrogate pairs."""
    world = World()
    texts = ["a\0b", "naïve 茶 🍵", "\udfff", " ", "\n", "x" * 100_000]
    world.spawn(6, Odd(text=texts))
    for odd in world.query(Odd):
        odd.half.view("u2")[:] = [0x7E01, 0x8000, 0xFC00, 1, 0x7C00, 0xFE05]
        odd.double.view("u8")[:] = [0x7FF8_0000_0000_0123, 1 << 63, 1, 0, 2**64 - 1, 7]
        odd.whole[:] = [-(2**63), 2**63 - 1, 0, -1, 1, 2]
        odd.big[:] = [0, 2**64 - 1, 2**63, 1, 2, 3]
        odd.flag[::2] = True
    save(world, tmp_path)
    other = load(tmp_path)
    assert_same(world, other)
    assert other.text.decode(other.query(Odd).gather(Odd.text)) == texts


@component
class Flags:
    several: Vector[3, b1] = False
    many: Vector[70, b1] = False


def test_vectors_of_flags(tmp_path):
    """Are columns like any others."""
    world = World()
    world.spawn(5, Flags(several=np.arange(15).reshape(5, 3) % 2 == 0))
    save(world, tmp_path)
    assert_same(world, load(tmp_path))


@event
class Rang:
    """An event that says nothing more."""


def test_events_without_fields(tmp_path):
    """Are counted, kept and pending like others."""
    world = World()
    world.keep(Rang)
    reader = world.events(Rang)
    for _ in range(3):
        world.emit(Rang())
        world.step(1)
    world.emit(Rang())
    save(world, tmp_path)
    other = load(tmp_path)
    assert_same(world, other)
    assert len(other.journal(Rang)) == 3
    other.step(1)
    assert len(other.journal(Rang)) == 4
    assert len(reader) == 4


def test_entities_without_components_and_tags_alone(tmp_path):
    """Have nothing but their ids."""
    world = World()
    world.spawn(3)
    world.spawn(4, Hungry)
    save(world, tmp_path)
    assert_same(world, load(tmp_path))


def law(place):
    @dataclass
    class Law:
        column: object = None

    Law.__qualname__ = f"{place.__name__}.Law"
    place.Law = Law
    return place


@law
class One:
    pass


@law
class Other:
    pass


@dataclass
class texts:
    column: object = None


@dataclass
class generations:
    column: object = None


@dataclass
class private:
    column: object = None


def test_resources_of_one_name(tmp_path):
    """Classes that differ by their places alone, or are called as parts of a snapshot are: each
    has its own arrays."""
    world = World()
    world.spawn(3, Body)
    world.text.intern(["a"])
    kinds = (One.Law, Other.Law, texts, generations, private)
    for k, cls in enumerate(kinds):
        world.insert(cls(np.arange(100) * (k + 1)))
    save(world, tmp_path)
    other = load(tmp_path)
    for k, cls in enumerate(kinds):
        assert other.resource(cls).column.tolist() == (np.arange(100) * (k + 1)).tolist()
    assert_same(world, other)


@dataclass
class Tally:
    kept: int = 3


def test_a_resource_with_a_field_called_kept(tmp_path):
    """Is no archive because of its name."""
    world = World()
    world.insert(Tally(5))
    save(world, tmp_path)
    assert load(tmp_path).resource(Tally) == Tally(5)


@dataclass
class Call:
    back: object = None


def test_what_cannot_be_written_down(tmp_path):
    """A function in a resource, a clock that is no number, facts that JSON has not: an error that
    names it, nothing is published, and nothing is left over."""
    world = hamlet()
    save(world, tmp_path)
    before = contents(tmp_path)
    world.insert(Call(print))
    with pytest.raises(SnapshotError, match=r"resource Call: back is a .*builtin"):
        save(world, tmp_path)
    world.resource(Call).back = None
    for about in ({"x": object()}, {"x": float("nan")}, {"x": np.int64(1)}, {1: 2}, {"x": {1}},
                  {"x": "\ud800"}, {"x": (1, 2)}):  # fmt: skip
        with pytest.raises(SnapshotError, match="about"):
            save(world, tmp_path, about=about)
    for now in (5.5, "noon", np.int64(5), None):
        world.clock.now = now
        with pytest.raises(SnapshotError):
            save(world, tmp_path)
    assert contents(tmp_path) == before
    assert fingerprint(load(tmp_path)) == fingerprint(hamlet())


def test_commands_that_wait(tmp_path):
    """Would be lost, so nothing is saved."""
    world = hamlet()
    world.commands.spawn(1, Hungry)
    with pytest.raises(StructuralChangeError, match=r"world.sync\(\)"):
        save(world, tmp_path)
    assert Snapshots(tmp_path).numbers() == []
    world.sync()
    save(world, tmp_path)
    assert_same(world, load(tmp_path))


def test_settings_that_make_no_sense(tmp_path):
    """Are refused before anything is written."""
    for how in ({"threads": 0}, {"threads": -1}, {"threads": 1.5}, {"compression": "gzip"}):
        with pytest.raises(SnapshotError):
            save(hamlet(), tmp_path, **how)
        with pytest.raises(SnapshotError):
            Checkpointer(hamlet(), tmp_path, **how)
    for keep in (0, -1, True, 1.5, None):
        with pytest.raises(SnapshotError, match="keep"):
            Snapshots(tmp_path).prune(keep)
    assert not (tmp_path / "data").exists()


def test_what_a_manifest_tells(tmp_path):
    """Number, time, rows, facts and files, as JSON that anybody reads."""
    world = hamlet()
    about = {"made by": "a test", "of": [1, 2.5, None, {"x": True}]}
    manifest = save(world, tmp_path, about=about)
    told = json.loads((tmp_path / "snapshot-0000000001.json").read_bytes())["manifest"]
    assert told["format"] == "populace snapshot"
    assert told["version"] == 1  # no text has been given back
    assert told["private"]["about"] == about
    assert (manifest.number, manifest.tick, manifest.now_us) == (1, 1, STEP)
    assert manifest.rows == len(world) == 6
    assert manifest.is_full
    assert Snapshots(tmp_path).manifest(1) == manifest
    sizes = {f"data/{name}": size for name, (_, _, size) in inodes(tmp_path).items()}
    assert {name: file.bytes for name, file in manifest.files.items()} == sizes
    assert manifest.bytes == sum(sizes.values())


def test_reading_is_lazy(tmp_path):
    """A snapshot that is opened gives columns when they are asked for: each reads its files."""
    world = town(30)
    save(world, tmp_path)
    disk = FaultyDisk()
    snapshots = Snapshots(LocalFiles(tmp_path, disk))
    found = snapshots.open(1)
    assert disk.calls.count("open") == 1
    image = found.image()
    some = disk.calls.count("open")
    table = next(t for t in image.tables if Face in t.components and t.n)
    assert table.columns[Face.shape].shape == (table.n, 32)
    assert disk.calls.count("open") == some + 1
    assert table.columns[Face.shape] is table.columns[Face.shape]
    assert disk.calls.count("open") == some + 1
    assert list(image.texts) == list(world.text.strings)
    assert image.clock == world.clock


# -- numbers and names ----------------------------------------------------------------------------


def test_numbers_go_up(tmp_path):
    """Each snapshot has the number after the highest, whatever is missing below it."""
    world = hamlet()
    for _ in range(4):
        save(world, quick(tmp_path))
    (tmp_path / m.manifest_name(2)).unlink()
    assert Snapshots(tmp_path).numbers() == [1, 3, 4]
    world.step(1)
    assert save(world, quick(tmp_path)).number == 5
    assert Snapshots(quick(tmp_path)).prune(2) == [1, 3]
    assert Snapshots(tmp_path).numbers() == [4, 5]
    assert_same(world, load(tmp_path))
    assert leftovers(tmp_path) == []


def test_a_snapshot_that_is_not_there(tmp_path):
    """Is missing, by name; a directory that is not there holds none."""
    with pytest.raises(SnapshotError, match="holds no snapshot; save"):
        load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    save(hamlet(), tmp_path)
    for number in (0, 2, 10**9):
        with pytest.raises(SnapshotError, match=f"{m.manifest_name(number)}: is missing"):
            load(tmp_path, number=number)


FOREIGN = [
    "notes.txt", "snapshot-1.json", "snapshot-00000000012.json", "snapshot-0000000012.json.bak",
    "snapshot-٠٠٠٠٠٠٠٠٩٩.json", "Snapshot-0000000012.json", "data/notes.txt", "data/holiday.jpg",
    "data/0000000099-holiday.jpg", "data/99-x.parquet", "data/0000000099.parquet",
    "data/٠٠٠٠٠٠٠٠٩٩-x.parquet", "data/own/0000000099-x.parquet", "own/0000000001-x.parquet",
    "archive/x.parquet", "data/\n",
]  # fmt: skip


def test_files_of_others_stay(tmp_path):
    """Whatever they are called: nothing is deleted or overwritten that no snapshot has written."""
    world = hamlet()
    save(world, quick(tmp_path))
    for name in FOREIGN:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    for k in range(3):
        with Checkpointer(world, quick(tmp_path), keep=1) as checkpointer:
            checkpointer.save()
            model.change(world, k)
            checkpointer.save()
    Snapshots(quick(tmp_path)).compact()
    Snapshots(quick(tmp_path)).prune(1)
    for name in FOREIGN:
        assert (tmp_path / name).read_bytes() == b"mine", name
    assert Snapshots(tmp_path).numbers() == [8]
    assert sorted(leftovers(tmp_path)) == sorted(FOREIGN)


@pytest.mark.parametrize("name", ["a b", "naïve 茶", "%41 #?&", "-x", "a'b\"c", "x.parquet", "~"])
def test_paths_of_any_kind(tmp_path, name):
    """Spaces, other alphabets, characters that mean something to URIs or shells; given as Path or
    as str, with a slash at the end, through a link."""
    world, place = hamlet(), tmp_path / name / "inner one"
    save(world, place)
    model.change(world, 1)
    save(world, f"{place}/")
    (tmp_path / "link").symlink_to(place)
    assert Snapshots(tmp_path / "link").numbers() == [1, 2]
    assert_same(world, load(tmp_path / "link"))
    assert_same(world, load(str(place)))
    assert Snapshots(place).prune(1) == [1]


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """A program that changes its directory goes on writing where it began."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    world = hamlet()
    snapshots = Snapshots("town")
    with Checkpointer(world, "town") as checkpointer:
        checkpointer.save()
        monkeypatch.chdir(tmp_path / "two")
        model.change(world, 1)
        checkpointer.save()
    assert list((tmp_path / "two").iterdir()) == []
    assert snapshots.numbers() == [1, 2]
    assert_same(world, load(tmp_path / "one" / "town"))
    assert snapshots.files.location == "town"


def test_the_current_directory(tmp_path, monkeypatch):
    """Is a place like others."""
    monkeypatch.chdir(tmp_path)
    save(hamlet(), ".")
    assert_same(hamlet(), load(""))
    assert Snapshots(".").numbers() == [1]


# -- one writer, any number of readers -------------------------------------------------------------


def test_another_process_that_writes(tmp_path):
    """Is refused while the first one does, and told which that is; who reads is not; when the
    first one has died, however that may be, the place is free."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage.model import *\n"
        "checkpointer = Checkpointer(hamlet(), sys.argv[1])\n"
        "checkpointer.save()\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "ready\n"
        before = contents(tmp_path)
        world = hamlet()
        for call in (
            lambda: save(world, tmp_path),
            lambda: Checkpointer(world, tmp_path),
            lambda: Snapshots(tmp_path).prune(1),
            lambda: Snapshots(tmp_path).compact(),
        ):
            with pytest.raises(LockedError, match=f"process {holder.pid} on .* writes to it"):
                call()
        assert contents(tmp_path) == before
        assert_same(world, load(tmp_path))
    finally:
        holder.kill()
        holder.communicate()
    assert save(world, tmp_path).number == 2


def test_two_writers_in_one_process(tmp_path):
    """The second is refused too, and it is free again after the first."""
    world = hamlet()
    with Checkpointer(world, tmp_path) as checkpointer:
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            save(world, tmp_path)
        with pytest.raises(LockedError):
            Checkpointer(world, tmp_path)
        checkpointer.save()
    with pytest.raises(ZeroDivisionError), Checkpointer(world, tmp_path):
        raise ZeroDivisionError
    assert save(world, tmp_path).number == 2


class Meanwhile(LocalFiles):
    """Files in which somebody else writes between two looks of a reader."""

    def __init__(self, path, after, writer):
        super().__init__(path)
        self.left, self.writer = after, writer

    def _tick(self):
        self.left -= 1
        if self.left == 0:
            self.writer()

    def names(self, folder=""):
        found = super().names(folder)
        self._tick()
        return found

    def read(self, name, size_limit=None):
        self._tick()
        return super().read(name, size_limit)


@pytest.mark.parametrize("after", range(1, 12))
@pytest.mark.parametrize("how", ["load", "open"])
def test_a_reader_beside_a_writer(tmp_path, after, how):
    """Whenever the writer folds, saves and prunes: the reader gets a snapshot, an old one or a new
    one, without a warning, since nothing is wrong."""
    world, states = hamlet(), []
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        for k in range(2):
            checkpointer.save()
            states.append(fingerprint(world))
            model.change(world, k)

    def write():
        Snapshots(quick(tmp_path)).compact()
        states.append(fingerprint(world))
        save(world, quick(tmp_path))
        Snapshots(quick(tmp_path)).prune(1)

    snapshots = Snapshots(Meanwhile(tmp_path, after, write))
    if how == "load":
        assert fingerprint(snapshots.load()) in states[1:]
    else:
        assert snapshots.open().manifest.number in (2, 4)


# -- what is shared -------------------------------------------------------------------------------


def test_what_has_not_changed_is_shared(tmp_path):
    """A delta names the files of before, which are neither copied nor touched; what changed is in a
    patch of its rows; and each group is by itself."""
    world = World()
    people = world.spawn(5000, Body(number=np.arange(5000)), Face)
    world.spawn(3000, Hungry)
    world.insert(Ledger())
    with Checkpointer(world, tmp_path) as checkpointer:
        full = checkpointer.save()
        before = inodes(tmp_path)
        nothing = checkpointer.save()
        assert data_files(tmp_path) == before.keys()
        assert nothing.bytes == 0
        world.set(people[:7], Body(x=1))
        checkpointer.save()
        assert data_files(tmp_path) - before.keys() == {"0000000003-table0.0.patch.parquet"}
        world.set(people[:7], Face(shape=np.ones((7, 32))))
        checkpointer.save()
        assert {n for n in data_files(tmp_path) if n.startswith("0000000004")} == {
            "0000000004-table0.1.patch.parquet"
        }
        world.resource(Ledger).column[0] += 1
        checkpointer.save()
        assert len({n for n in data_files(tmp_path) if n.startswith("0000000005")}) == 1
        world.text.intern(["new"])
        checkpointer.save()
        assert len({n for n in data_files(tmp_path) if n.startswith("0000000006")}) == 1
        assert {name: inodes(tmp_path)[name] for name in before} == before
        assert full.bytes > checkpointer.saved[-1].bytes > 0
    manifests = [Snapshots(tmp_path).manifest(n) for n in range(1, 7)]
    assert manifests[0].files == manifests[1].files
    assert [held.is_full for held in manifests] == [True, True, False, False, False, False]
    assert_same(world, load(tmp_path))


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("n", [200_000, pytest.param(2_000_000, marks=pytest.mark.nightly)])
def test_a_delta_costs_what_has_changed(tmp_path, n, clustered):
    """1 % of the memories of a society, anywhere: at most 3 % of the bytes, manifests included."""
    world, draw = World(), np.random.default_rng(2)
    owners = world.spawn(n // 100, Persona(number=np.arange(n // 100), name="somebody"), Stream)
    created = np.sort(draw.integers(0, days(30), n))
    ids = world.spawn(
        Memory(
            owner=draw.choice(owners, n),
            created=created,
            kind=draw.integers(0, 3, n),
            sequence=np.arange(n) // 100,
            text=draw.choice(world.text.intern(f"text {k}" for k in range(500)), n),
        ),
        Trace(
            importance=draw.random(n),
            stability=1 + 1e5 * draw.random(n),
            accessed=created + draw.integers(0, hours(9), n),
        ),
    )
    if clustered:
        world.cluster(Memory.owner)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        whole = checkpointer.save()
        k = n // 100
        some = draw.choice(ids, k, replace=False)
        world.set(
            some,
            Trace(accessed=draw.integers(0, days(30), k), stability=1 + 1e5 * draw.random(k)),
        )
        delta = checkpointer.save()
    sizes = [(tmp_path / m.manifest_name(number)).stat().st_size for number in (1, 2)]
    assert delta.bytes + sizes[1] <= 0.03 * (whole.bytes + sizes[0])
    assert whole.bytes > 15 * n
    assert_same(world, load(tmp_path))


def test_rows_of_several_segments(tmp_path):
    """At their real size: what changes in the second leaves the first as it is."""
    world, n = World(), 2**20 + 1000
    ids = world.spawn(n, Hungry)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        checkpointer.save()
        world.despawn(ids[-3:])
        checkpointer.save()
    one, two = (Snapshots(tmp_path).manifest(number) for number in (1, 2))
    segments = [held.tables[0].groups[0].segments for held in (one, two)]
    assert [(s.begin, s.end) for s in segments[0]] == [(0, 2**20), (2**20, n)]
    assert segments[1][0] == segments[0][0]
    assert segments[1][1].file == segments[0][1].file
    assert segments[1][1].end == n - 3
    assert_same(world, load(tmp_path))


@pytest.mark.usefixtures("small")
def test_segments_are_patched_until_it_is_too_much(tmp_path):
    """Few rows: a patch; three patches, or more than a quarter of the rows: the segment is written
    anew, and no other."""
    world = World()
    people = world.spawn(64, Body)
    world.spawn(1, Hungry)

    def segments(number):
        table = Snapshots(tmp_path).manifest(number).tables[0]
        return [(s.file[5:15], len(s.patches)) for s in table.groups[0].segments]

    own = [f"{number:010d}" for number in range(12)]
    with Checkpointer(world, quick(tmp_path), full_every=100) as checkpointer:
        checkpointer.save()
        assert segments(1) == [(own[1], 0)] * 4
        for k in range(1, 5):
            world.set(people[[3, 20]], Body(x=k))
            checkpointer.save()
        assert segments(4) == [(own[1], 3), (own[1], 3), (own[1], 0), (own[1], 0)]
        assert segments(5) == [(own[5], 0), (own[5], 0), (own[1], 0), (own[1], 0)]
        world.set(people[32:37], Body(x=7))
        world.set(people[48:52], Body(x=7))
        checkpointer.save()
        assert segments(6) == [(own[5], 0), (own[5], 0), (own[6], 0), (own[1], 1)]
        world.despawn(people[40:])
        checkpointer.save()
        assert segments(7) == [(own[5], 0), (own[5], 0), (own[6], 0)]
        world.spawn(2, Body(x=9))
        checkpointer.save()
        assert segments(8) == [(own[5], 0), (own[5], 0), (own[6], 1)]
        assert_same(world, load(tmp_path))
        world.spawn(20, Body(x=9))
        checkpointer.save()
    assert_same(world, load(tmp_path))


@pytest.mark.usefixtures("small")
def test_many_deltas_in_a_row(tmp_path):
    """Rows come, go and change over 15 deltas: each of them is what was."""
    world, draw, told, kept = town(20), np.random.default_rng(3), [], []
    with Checkpointer(world, quick(tmp_path), full_every=100) as checkpointer:
        for _ in range(16):
            run(world, model.random_program(draw, 4), kept)
            world.sync()
            checkpointer.save()
            told.append(fingerprint(world))
    assert [saved.full for saved in checkpointer.saved] == [True] + [False] * 15
    for number in range(1, 17):
        assert fingerprint(load(tmp_path, number=number)) == told[number - 1]


def test_what_only_grows_is_merged_now_and_then(tmp_path):
    """Texts and kept events lie in few files, and yet each is written few times."""
    world = World()
    world.keep(Met)
    one = world.spawn(1, Hungry)
    n = 64
    with Checkpointer(world, quick(tmp_path), full_every=1000) as checkpointer:
        for k in range(n):
            world.emit(Met(who=one, what=[f"text {k} and so on"]))
            world.step(1)
            checkpointer.save()
    snapshots = Snapshots(tmp_path)
    for number in range(1, n + 1):
        manifest = snapshots.manifest(number)
        assert len(manifest.texts) <= np.log2(number + 2) + 1
        assert len(manifest.journals[0].stretches) <= np.log2(number) + 1
    texts = [p for p in (tmp_path / "data").iterdir() if ".texts" in p.name or "-texts" in p.name]
    stretches = {s for number in range(1, n + 1) for s in snapshots.manifest(number).texts}
    written = sum(held.end - held.begin for held in stretches)
    assert len(texts) == n
    assert written <= n * (np.log2(n) + 2)
    assert_same(world, load(tmp_path))


# -- folding and pruning --------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_folding_deltas(tmp_path):
    """The same world, and each segment one file; it takes the place of the snapshot that it is made
    of, and what nothing else names is deleted."""
    world = town(30)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        for k in range(4):
            checkpointer.save()
            if k < 3:
                run(world, model.random_program(np.random.default_rng(k), 5))
                world.sync()
    before = Snapshots(tmp_path).manifest(4)
    assert not before.is_full
    folded = Snapshots(quick(tmp_path)).compact()
    assert folded.is_full
    assert folded.number == 5
    assert Snapshots(tmp_path).numbers() == [1, 2, 3, 5]
    assert (folded.tick, folded.rows, folded.private) == (before.tick, before.rows, before.private)
    assert_same(world, load(tmp_path))
    assert leftovers(tmp_path) == []
    files = contents(tmp_path)
    assert Snapshots(quick(tmp_path)).compact() == folded
    assert contents(tmp_path) == files
    Snapshots(quick(tmp_path)).prune(1)
    assert Snapshots(tmp_path).numbers() == [5]
    assert_same(world, load(tmp_path))


def test_folding_needs_no_classes(tmp_path):
    """Whatever the program knows of the components, in a process of its own or after a change."""
    world = hamlet()
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        checkpointer.save()
        model.change(world, 1)
        checkpointer.save()
    code = (
        "import sys\n"
        "from populace.storage.snapshot import Snapshots\n"
        "print(Snapshots(sys.argv[1]).compact().is_full)\n"
        "assert 'tests.storage.model' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert_same(world, load(tmp_path))


def test_folding_though_a_class_has_changed(tmp_path, monkeypatch):
    """Folding moves columns as they are described: it does not matter what they are today."""

    @component
    class Spot:
        x: f4 = 0

    Spot.__qualname__ = "Spot"
    monkeypatch.setattr(model, "Spot", Spot, raising=False)
    Spot.__module__ = model.__name__
    world = World()
    spots = world.spawn(300, Spot)
    with Checkpointer(world, quick(tmp_path)) as checkpointer:
        checkpointer.save()
        world.set(spots[:3], Spot(x=5))
        checkpointer.save()
    then = Spot

    @component
    class Spot:
        x: i8 = 0

    Spot.__qualname__, Spot.__module__ = "Spot", model.__name__
    monkeypatch.setattr(model, "Spot", Spot)
    assert Snapshots(quick(tmp_path)).compact().is_full
    monkeypatch.setattr(model, "Spot", then)
    assert_same(world, load(tmp_path))


def test_pruning(tmp_path):
    """So many full snapshots are kept, and the deltas after the oldest of them; of the files those
    that are named."""
    world, told = hamlet(), {}
    with Checkpointer(world, quick(tmp_path), full_every=3) as checkpointer:
        for k in range(8):
            told[checkpointer.save().number] = fingerprint(world)
            model.change(world, k)
    assert [saved.full for saved in checkpointer.saved] == [True, False, False] * 2 + [True, False]
    snapshots = Snapshots(quick(tmp_path))
    assert snapshots.prune(5) == []
    assert snapshots.prune(3) == []
    assert snapshots.prune(2) == [1, 2, 3]
    assert leftovers(tmp_path) == []
    for number in snapshots.numbers():
        assert fingerprint(load(tmp_path, number=number)) == told[number]
    assert snapshots.prune(1) == [4, 5, 6]
    assert snapshots.numbers() == [7, 8]
    assert fingerprint(load(tmp_path)) == told[8]
    assert leftovers(tmp_path) == []


def test_the_first_writer_after_a_crash_tidies_up(tmp_path):
    """Half-written files, and data files that no snapshot names, are gone when a writer begins; a
    reader lets them be."""
    world = hamlet()
    for _ in range(2):
        save(world, quick(tmp_path))
    left = ["data/.writing-0000000003-x.parquet", ".writing-snapshot-0000000003.json",
            "data/0000000003-table0.0.0.parquet", "data/0000000009-texts.0.parquet"]  # fmt: skip
    for name in left:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / m.manifest_name(1)).unlink()
    load(tmp_path)
    Snapshots(tmp_path).open().data.verify()
    assert all((tmp_path / name).exists() for name in left)
    with Snapshots(tmp_path).writing():
        assert leftovers(tmp_path) == []
    assert_same(world, load(tmp_path))


# -- elsewhere ------------------------------------------------------------------------------------


def test_snapshots_elsewhere(place):
    """In an object store, or what passes for one, all is as in a directory: full, delta, fold,
    prune, foreign files and the one writer."""
    world, told = hamlet(), {}
    with Checkpointer(world, place(), full_every=3) as checkpointer:
        for k in range(5):
            told[checkpointer.save().number] = fingerprint(world)
            model.change(world, k)
        with pytest.raises(LockedError):
            save(world, place())
    for number in Snapshots(place()).numbers():
        assert fingerprint(load(place(), number=number)) == told[number]
    assert Snapshots(place()).prune(1) == [1, 2, 3]
    folded = Snapshots(place()).compact()
    assert Snapshots(place()).numbers() == [4, folded.number]
    assert fingerprint(load(place())) == told[5]
    files = place()
    named = {name for n in (4, folded.number) for name in Snapshots(files).manifest(n).files}
    assert set(files.names("data")) == named
    manifest = Snapshots(files).manifest(folded.number)
    with files.lock():
        own = next(name for name in manifest.files if f"{folded.number:010d}-" in name)
        files.write(own, b"damaged")
    with pytest.warns(SnapshotWarning, match="snapshot 4 is the newest good one"):
        load(place())


def test_a_store_by_its_uri(s3):
    """Save and load by an S3 URI."""
    uri, world = s3.uri(), hamlet()
    assert save(world, uri).number == 1
    assert_same(world, load(uri))
    assert Snapshots(uri).files.location == uri.partition("?")[0]


# -- any sequence ---------------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """Worlds that live, are saved in every way, by disks that fail and processes that die: at all
    times each snapshot that is listed is the world that was saved under its number."""

    @initialize(seed=st.integers(0, 2**32 - 1), how=st.sampled_from(["local", "keyless"]))
    def begin(self, seed, how):
        self.directory = type(self).folder()
        self.world, self.kept = town(10), []
        self.told = {}  # tick of a snapshot -> fingerprint; ticks are never used twice
        self.committed = []  # numbers
        self.checkpointer = None
        self.count = 0

    def moment(self):
        """A tick that no snapshot has yet, and how the world is in it."""
        self.world.sync()
        self.world.clock.tick += 1
        self.told[self.world.clock.tick] = fingerprint(self.world)

    def shut(self):
        if self.checkpointer is not None:
            self.checkpointer.close()
            self.checkpointer = None

    @rule(name=st.sampled_from(sorted(set(OPERATIONS) - {"step"})), seed=st.integers(0, 2**32 - 1))
    def live(self, name, seed):
        run(self.world, [(name, seed)], self.kept)

    @rule(threads=st.integers(1, 2))
    def save(self, threads):
        self.shut()
        self.moment()
        self.committed.append(save(self.world, quick(self.directory), threads=threads).number)

    @rule(full_every=st.integers(1, 4), keep=st.sampled_from([None, 1, 2]))
    def begin_checkpoints(self, full_every, keep):
        self.shut()
        self.checkpointer = Checkpointer(
            self.world, quick(self.directory), full_every=full_every, keep=keep, threads=1
        )

    @precondition(lambda self: self.checkpointer is not None)
    @rule()
    def checkpoint(self):
        self.moment()
        self.committed.append(self.checkpointer.save().number)

    @precondition(lambda self: self.checkpointer is not None)
    @rule(at=st.integers(0, 40), code=st.sampled_from([5, 13, 28]))
    def fail(self, at, code):
        """The disk refuses one call."""
        files = self.checkpointer.snapshots.files
        self.moment()
        files._disk = FaultyDisk(at, OSError(code, os.strerror(code)))
        with contextlib.suppress(StorageError):
            self.committed.append(self.checkpointer.save().number)
        files._disk = Disk()

    @rule()
    def compact(self):
        self.shut()
        numbers = Snapshots(self.directory).numbers()
        if numbers:
            folded = Snapshots(quick(self.directory)).compact(threads=1)
            assert folded.number in (numbers[-1], numbers[-1] + 1)
            self.committed.append(folded.number)

    @rule(keep=st.integers(1, 2))
    def prune(self, keep):
        self.shut()
        Snapshots(quick(self.directory)).prune(keep)

    @rule(back=st.integers(0, 2))
    def take_up(self, back):
        """Another process goes on, with the newest or an older one."""
        numbers = Snapshots(self.directory).numbers()
        self.shut()
        if numbers:
            number = numbers[max(0, len(numbers) - 1 - back)]
            other = load(self.directory, number=number, threads=1)
            other.add_systems(*model.SYSTEMS)
            other.clock.tick = max(self.world.clock.tick, max(self.told))
            self.world, self.kept = other, []
            other.check()

    @invariant()
    def all_are_what_they_were(self):
        snapshots = Snapshots(self.directory)
        numbers = snapshots.numbers()
        if self.committed:
            assert numbers
        self.count += 1
        for number in numbers[-2:] if self.count % 5 else numbers:
            tick = snapshots.manifest(number).tick
            assert fingerprint(load(self.directory, number=number, threads=1)) == self.told[tick]

    def teardown(self):
        if hasattr(self, "directory"):
            self.shut()
            with Snapshots(quick(self.directory)).writing():
                assert temporaries(self.directory) == []
                assert leftovers(self.directory) == []


@pytest.mark.usefixtures("small")
def test_any_history(tmp_path_factory):
    """See `Histories`."""
    Histories.folder = staticmethod(lambda: tmp_path_factory.mktemp("history"))
    examples = settings(one_in(25), stateful_step_count=25)
    run_state_machine_as_test(Histories, settings=examples)


def test_a_generator_of_classes(tmp_path):
    """Classes may come from anywhere, also where the first snapshot that is tried is damaged."""

    @component
    class Local:
        x: f4 = 0

    world = World()
    world.spawn(3, Local)
    for _ in range(2):
        save(world, quick(tmp_path))
    path = next((tmp_path / "data").glob("0000000002-table*"))
    path.write_bytes(b"")
    with pytest.warns(SnapshotWarning):
        other = load(tmp_path, components=(cls for cls in [Local]))
    assert_same(world, other)


def test_a_snapshot_keeps_no_hold_on_its_world(tmp_path):
    """What was loaded is nobody else's: two worlds of one snapshot go apart."""
    save(town(20), tmp_path)
    one, other = load(tmp_path), load(tmp_path)
    for body in one.query(Body):
        body.x[:] = 7
    one.resource(Ledger).column[:] = 1
    assert_same(other, load(tmp_path))
    found = Snapshots(tmp_path).open(1)
    first = found.load() if hasattr(found, "load") else None
    assert first is None or fingerprint(first) == fingerprint(other)
    assert copy.copy(other.clock) == Clock(now=other.clock.now)
