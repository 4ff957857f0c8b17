"""Snapshots that have come to harm: never a crash, never wrong data, always the file's name.

What an accident does is found by the SHA-256 of each file. Whoever edits a manifest and works the
digests out anew gets what he wrote where the format allows it; where it does not, an error like any
other.
"""

import copy
import hashlib
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs.errors import InvariantError, PopulaceError, SnapshotError, StorageError
from populace.storage import manifest as m
from populace.storage.checkpoint import Checkpointer
from populace.storage.snapshot import Snapshots, SnapshotWarning, load

from .crashing import quick
from .damage import damaged
from .model import change, contents, fingerprint, hamlet, one_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A directory with a full snapshot and two deltas, and their fingerprints by number."""
    directory, told = tmp_path_factory.mktemp("sound"), {}
    world = hamlet(40)
    with Checkpointer(world, quick(directory), threads=1) as checkpointer:
        for k in range(3):
            told[checkpointer.save().number] = fingerprint(world)
            change(world, k)
    assert list(told) == [1, 2, 3]
    return directory, told


@pytest.fixture
def place(sound, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(sound[0], tmp_path / "place")
    return tmp_path / "place"


def needed(directory):
    """{number: names of the files that a snapshot needs}."""
    snapshots = Snapshots(directory)
    manifests = map(snapshots.manifest, snapshots.numbers())
    return {held.number: {held.name, *held.files} for held in manifests}


def check_damage(directory, told, name, needs):
    """`load` gives the newest snapshot that needs no file of that name, and says so; each that
    needs it is refused by name."""
    good = [number for number, names in needs.items() if name not in names]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if good:
            assert fingerprint(load(directory, threads=1)) == told[good[-1]]
        else:
            with pytest.raises(SnapshotError, match=f"no snapshot is good.*{name}"):
                load(directory, threads=1)
    messages = [str(w.message) for w in said if issubclass(w.category, SnapshotWarning)]
    if good and good[-1] != max(told):
        assert len(messages) == 1
        assert messages[0].startswith(f"snapshot {good[-1]} is the newest good one; passed over: ")
        assert messages[0].count(name) == max(told) - good[-1]
    else:
        assert messages == []
    for number in set(needs) - set(good):
        with pytest.raises(SnapshotError, match=name):
            load(directory, number=number, threads=1)


def places_in(n, draw, regions=50):
    """An offset in each fiftieth of n bytes, and the two ends."""
    edges = np.linspace(0, n, regions + 1).astype(int)
    inner = {int(draw.integers(a, b)) for a, b in itertools.pairwise(edges) if a < b}
    return sorted(inner | {0, n - 1})


# -- accidents ------------------------------------------------------------------------------------


def test_a_byte_is_another(place, sound):
    """In each fiftieth of each file, a bit or a whole byte: found, named, and gone round."""
    told, needs, draw = sound[1], needed(place), np.random.default_rng(7)
    for name, data in contents(place).items():
        for k, at in enumerate(places_in(len(data), draw)):
            flipped = bytearray(data)
            flipped[at] ^= int(draw.integers(1, 256)) if k % 2 else 1 << int(draw.integers(8))
            (place / name).write_bytes(flipped)
            if k % 25 == 0:
                check_damage(place, told, name, needs)
            else:  # no more than what `load` asks first
                number = max(n for n, names in needs.items() if name in names)
                with pytest.raises(SnapshotError, match=name):
                    Snapshots(place).open(number).data.verify()
        (place / name).write_bytes(data)
    assert fingerprint(load(place)) == told[3]


def test_a_file_is_shorter_or_longer(place, sound):
    """By any number of bytes, down to none."""
    told, needs, draw = sound[1], needed(place), np.random.default_rng(8)
    for name, data in contents(place).items():
        n = len(data)
        for left in {0, n - 1, int(draw.integers(0, n))}:
            (place / name).write_bytes(data[:left])
            check_damage(place, told, name, needs)
        for more in (b"\0", data):
            (place / name).write_bytes(data + more)
            check_damage(place, told, name, needs)
        (place / name).write_bytes(data)


def test_a_file_is_not_there(place, sound):
    """Missing, or something else under its name: a folder, a pipe, a link to nowhere."""
    told, needs = sound[1], needed(place)
    for name, data in contents(place).items():
        path = place / name
        path.unlink()
        gone = {n: names for n, names in needs.items() if n and m.manifest_name(n) != name}
        if name.startswith("data/"):
            check_damage(place, told, name, needs)
            for make in (path.mkdir, lambda path=path: os.mkfifo(path),
                         lambda path=path: path.symlink_to("nowhere")):  # fmt: skip
                make()
                check_damage(place, told, name, needs)
                path.rmdir() if path.is_dir() else path.unlink()
        else:
            assert Snapshots(place).numbers() == list(gone)
            assert fingerprint(load(place)) == told[max(gone)]
        path.write_bytes(data)


def test_files_are_in_each_others_places(place, sound):
    """Any two files of the same kind."""
    told, needs, all_of_it = sound[1], needed(place), contents(place)
    names = list(all_of_it)
    for k, one in enumerate(names):
        for other in names[k + 1 :: 3]:
            (place / one).write_bytes(all_of_it[other])
            (place / other).write_bytes(all_of_it[one])
            hurt = {n for n, held in needs.items() if one in held or other in held}
            good = [n for n in needs if n not in hurt]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SnapshotWarning)
                if good:
                    assert fingerprint(load(place, threads=1)) == told[good[-1]]
                for number in hurt:
                    with pytest.raises(SnapshotError, match=f"{one}|{other}"):
                        load(place, number=number, threads=1)
            for name in (one, other):
                (place / name).write_bytes(all_of_it[name])


def test_a_manifest_under_another_name(place):
    """Is not what the name says."""
    shutil.copy(place / m.manifest_name(1), place / m.manifest_name(7))
    with pytest.raises(SnapshotError, match=r"0000000007.json: is the manifest of snapshot 1"):
        load(place, number=7)
    with pytest.warns(SnapshotWarning, match="snapshot 3 is the newest good one"):
        load(place)


def test_nothing_good_is_left(place, sound):
    """Then the error has each file, and why."""
    for number in sound[1]:
        path = place / m.manifest_name(number)
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotError, match=r"no snapshot is good: .*03.json.*02.json.*01.json"):
        load(place)
    for path in place.glob("snapshot-*"):
        path.unlink()
    with pytest.raises(SnapshotError, match="holds no snapshot"):
        load(place)


def test_what_a_damaged_manifest_stops(place, sound):
    """Nobody knows what it names, so prune deletes nothing; but saving and folding go on, and what
    they make is good."""
    path = place / m.manifest_name(1)
    path.write_bytes(path.read_bytes()[:-5])
    before = contents(place)
    with pytest.raises(SnapshotError, match=f"{path}"):
        Snapshots(place).prune(1)
    assert contents(place) == before
    folded = Snapshots(place).compact()
    assert folded.is_full
    assert fingerprint(load(place)) == sound[1][3]
    left = contents(place)
    named = {name for name in before if name.startswith("data/")}
    assert named <= set(left)  # they might be those of the damaged one
    with Checkpointer(load(place), place, keep=1, every=1) as checkpointer:
        saved = checkpointer.save()
        assert checkpointer.saved == [saved]
    assert Snapshots(place).numbers()[-1] == saved.number


def test_a_damaged_snapshot_is_no_base(place, sound):
    """Folding takes the newest good one, and says which it passed over."""
    newest = Snapshots(place).manifest(3)
    own = next(name for name in newest.files if "0000000003-" in name)
    (place / own).write_bytes(b"")
    with pytest.warns(SnapshotWarning, match=own):
        folded = Snapshots(place).compact()
    assert folded.number == 4
    assert fingerprint(load(place)) == sound[1][2]


def test_reading_damage_writes_nothing(place):
    """Not a byte: what is left may be all that can be rescued."""
    for path in list((place / "data").iterdir())[::2]:
        path.write_bytes(path.read_bytes()[:-3])
    before = contents(place)
    for number in (1, 2, 3):
        with pytest.raises(SnapshotError):
            load(place, number=number)
    with pytest.raises(SnapshotError, match="no snapshot is good"):
        load(place)
    assert contents(place) == before


# -- editing --------------------------------------------------------------------------------------


def published(told):
    """The bytes of a manifest's file, whatever is in it."""
    body = json.dumps(told).encode()
    digest = hashlib.sha256(body).hexdigest().encode()
    return b'{"sha256":"' + digest + b'","manifest":' + body + b"}\n"


def edited(directory, number, edit):
    """Put an edited manifest in the place of another, its digest worked out anew."""
    path = directory / m.manifest_name(number)
    told = json.loads(path.read_bytes())["manifest"]
    path.write_bytes(published(edit(told) or told))


@contextmanager
def little_memory(more=3 << 30):
    """Not much more than the process has already."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def suppress_wrong_values():
    """`check` may find values that are not allowed: what was edited may be a value."""
    try:
        yield
    except InvariantError as error:
        if "raw write put a value" not in str(error):
            raise


def look_through(directory, number):
    """All that there is to see in a snapshot, column by column, as queries see it."""
    image = Snapshots(directory).open(number, unknown="make", threads=1).image()
    for table in image.tables:
        for made in table.columns:
            assert len(table.columns[made]) == table.n
    for journal in image.journals:
        assert all(len(column) == journal.n for column in journal.columns.values())
    return len(list(image.texts)), repr(image.clock)


def check_edited(directory, number):
    """An error of ours, or a world whose structure holds."""
    with suppress(PopulaceError):
        look_through(directory, number)
    try:
        world = load(directory, number=number, threads=1)
    except PopulaceError:
        return None
    with suppress_wrong_values():
        world.check()
    fingerprint(world)
    repr(world)
    world.step(1)
    return world


@pytest.mark.parametrize("format_", ["populace archive", 7, None, ""])
def test_a_manifest_of_something_else(place, format_):
    """Says what it is, which is no snapshot."""
    edited(place, 3, lambda told: told.update(format=format_))
    with pytest.raises(SnapshotError, match=r"03.json: holds .*, not 'populace snapshot'"):
        load(place, number=3)


@pytest.mark.parametrize("version", [m.VERSION + 1, 99, 0, -1, True, 1.0, "1", None, 2**80])
def test_a_manifest_of_another_version(place, sound, version):
    """A newer one says so, whatever else is in it; what is no version says that."""
    edited(place, 3, lambda told: {**told, "version": version, "something": "new"})
    with pytest.raises(
        SnapshotError, match=r"03.json: is (of version|not as the format)"
    ) as caught:
        load(place, number=3)
    if type(version) is int and version > m.VERSION:
        assert "a newer populace wrote it" in str(caught.value)
    with pytest.warns(SnapshotWarning, match="03.json"):
        assert fingerprint(load(place)) == sound[1][2]


OUTSIDE = ["../secret", "/etc/passwd", "data/../../secret", "data/../snapshot-0000000001.json", "",
           ".", "data//x", "data\\..\\..\\secret", "./data/x", "data/x\0y", ".lock",
           "data/.writing-x"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_that_names_files_elsewhere(place, name):
    """Nothing outside of the directory is read, nor deleted, nor anything of its own that is no
    data file."""
    secret = place.parent / "secret"
    secret.write_bytes((place / "data").iterdir().__next__().read_bytes())
    entry = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}

    def edit(told):
        told["files"][name] = entry
        told["texts"][0]["file"] = name

    edited(place, 3, edit)
    with pytest.raises(SnapshotError):
        load(place, number=3)

    def keep(told):
        told["kept"] = {name: entry}

    edited(place, 2, keep)
    with pytest.raises(SnapshotError):
        Snapshots(place).manifest(2)
    assert secret.exists()


def test_a_link_that_leads_out(place):
    """A data file that is a link to one outside of the directory is not read through it."""
    manifest = Snapshots(place).manifest(3)
    name = next(iter(manifest.files))
    (place / name).rename(place.parent / "moved")
    (place / name).symlink_to(place.parent / "moved")
    with pytest.raises(SnapshotError, match="leads out of the directory"):
        load(place, number=3)


def rows(n):
    """All rows of the first table are said to be n."""

    def edit(told):
        told["tables"][0]["rows"] = n
        for group in told["tables"][0]["groups"]:
            group["segments"][-1]["end"] = n

    return edit


def slots(n):
    def edit(told):
        told["slots"] = n
        told["generations"]["segments"][-1]["end"] = n

    return edit


def texts(n):
    def edit(told):
        told["n_texts"] = n
        told["texts"][-1]["end"] = n

    return edit


def events(n):
    def edit(told):
        told["journals"][0]["rows"] = n
        told["journals"][0]["stretches"][-1]["end"] = n

    return edit


@pytest.mark.parametrize("n", [10**6, 2**32 - 2, 2**40, 2**61, 2**64, -1])
@pytest.mark.parametrize("make", [rows, slots, texts, events])
@pytest.mark.parametrize("number", [1, 3])
def test_a_manifest_that_promises_more_than_there_is(place, make, n, number):
    """An error, before memory is taken for it."""
    edited(place, number, make(n))
    with little_memory(1 << 30), pytest.raises(SnapshotError):
        load(place, number=number, threads=1)


def _set(told, path, value):
    for step in path[:-1]:
        told = told[step]
    told[path[-1]] = value


EDITS = {
    "no phases": (["phases"], []),
    "a phase twice": (["phases"], ["a", "a"]),
    "no texts": (["texts"], []),
    "no such file": (["texts", 0, "file"], "data/0000000001-nothing.parquet"),
    "another file": (["texts", 0, "file"], "data/0000000001-table0.0.0.parquet"),
    "a table number": (["tables", 0, "number"], 5),
    "a place that is none": (["tables", 0, "components"], [0, 77]),
    "a component twice": (["tables", 0, "components"], [0, 0]),
    "no groups": (["tables", 0, "groups"], []),
    "a column of another name": (["tables", 0, "groups", 0, "columns", 1, "name"], "id"),
    "no column of a field": (["tables", 0, "groups", 0, "columns", 1, "field"], "else"),
    "no ids": (["tables", 0, "groups", 0, "columns", 0, "component"], 0),
    "overlapping": (["tables", 0, "groups", 0, "segments", 0, "begin"], 1),
    "backwards": (["tables", 0, "groups", 0, "segments", 0, "end"], 0),
    "patches of another group": (
        ["tables", 0, "groups", 0, "segments", 0, "patches"],
        ["data/0000000003-generations.patch.parquet"],
    ),
    "a segment as a patch": (
        ["tables", 0, "groups", 0, "segments", 0, "patches"],
        ["data/0000000001-table0.0.0.parquet"],
    ),
    "a patch as a segment": (
        ["tables", 0, "groups", 0, "segments", 0, "file"],
        "data/0000000003-table0.0.patch.parquet",
    ),
    "the same patch twice": (
        ["tables", 0, "groups", 0, "segments", 0, "patches"],
        ["data/0000000003-table0.0.patch.parquet"] * 2,
    ),
    "generations of another kind": (
        ["generations", "segments", 0, "file"],
        "data/0000000001-table0.0.0.parquet",
    ),
    "no private part": (["private"], None),
    "sealed and not": (["sealed"], "data/0000000001-texts.0.parquet"),
    "a key": (["key"], "0" * 16),
    "a width": (["components", 1, "fields", 0, "width"], 2**20),
    "a dtype": (["components", 0, "fields", 1, "dtype"], "<f8"),
    "a kind": (["components", 0, "fields", 1, "kind"], "vector"),
    "a class of another kind": (["components", 0, "class"], "os:system"),
    "an event as a component": (["components", 0, "is_event"], True),
    "a module": (["components", 0, "class"], "antigravity:Body"),
    "a class of the standard library": (["private", "resources", 0, "path"], "subprocess:Popen"),
    "a resource of another class": (["private", "resources", 0, "value", "class"], "os:system"),
    "a clock that tells no time": (["private", "resources", 0, "value", "fields", "now"], "noon"),
    "a clock in a list": (["private", "resources", 0, "value", "fields", "now"], [1]),
    "a cursor ahead": (["journals", 0, "cursor"], 2**63),
    "a queue ahead": (["queues", 0, "next"], 2**63),
    "batches ahead": (["queues", 0, "batches"], [[2**63, 2], [0, 10**12]]),
    "events of nobody": (["journals", 0, "event"], 9),
    "tracked nobody": (["tracked"], [9]),
    "a seed": (["seed"], 2**200),
    "a time": (["now_us"], -(2**70)),
    "no resources": (["private", "resources"], []),
}


@pytest.mark.parametrize("what", EDITS)
def test_manifests_that_make_no_sense(place, what):
    """Each is an error of ours, with the name of a file, or a world that is one."""
    path, value = EDITS[what]
    edited(place, 3, lambda told: _set(told, path, copy.deepcopy(value)))
    with little_memory():
        world = check_edited(place, 3)
    if world is None:
        with pytest.raises(PopulaceError) as caught:
            load(place, number=3, threads=1)
        if isinstance(caught.value, SnapshotError):
            assert str(place) in str(caught.value) or "data/" in str(caught.value)


@given(st.data())
def test_any_edit_is_an_error_or_a_world(sound, tmp_path_factory, data):
    """One or two parts of a manifest replaced by anything, or gone."""
    directory, _ = sound
    path = directory / m.manifest_name(3)
    original = path.read_bytes()
    told = json.loads(original)["manifest"]
    try:
        path.write_bytes(published(data.draw(damaged(told))))
        with little_memory():
            check_edited(directory, 3)
    finally:
        path.write_bytes(original)


def _numbers(told, path=()):
    """The path of each whole number."""
    if isinstance(told, bool):
        return
    if isinstance(told, int):
        yield path
    items = (
        told.items()
        if isinstance(told, dict)
        else enumerate(told if isinstance(told, list) else ())
    )
    for step, inner in items:
        yield from _numbers(inner, (*path, step))


@one_in(2)
@given(st.data())
def test_any_number_may_be_another(sound, data):
    """A count, a place, an offset, a size: an error or a world."""
    directory, _ = sound
    path = directory / m.manifest_name(3)
    original = path.read_bytes()
    told = json.loads(original)["manifest"]
    at = data.draw(st.sampled_from(list(_numbers(told))))
    value = told
    for step in at:
        value = value[step]
    near = st.sampled_from([value + 1, value - 1, value * 2, -value, 0, 1])
    far = st.sampled_from([2**k + d for k in (8, 16, 31, 32, 40, 62, 63, 64) for d in (-1, 0)])
    _set(told, at, data.draw(near | far | st.integers(0, 100)))
    try:
        path.write_bytes(published(told))
        with little_memory():
            check_edited(directory, 3)
    finally:
        path.write_bytes(original)


REHASHED = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from tests.storage import model, test_damage
from populace.storage import manifest as m
directory, n, draw = Path(sys.argv[2]), int(sys.argv[3]), np.random.default_rng(int(sys.argv[4]))
path = directory / m.manifest_name(3)
original = path.read_bytes()
names = sorted(json.loads(original)["manifest"]["files"])
for k in range(n):
    name = names[k % len(names)]
    data = (directory / name).read_bytes()
    worse = bytearray(data)
    for _ in range(draw.integers(1, 4)):
        tail = draw.random() < 0.5  # where the metadata are
        at = draw.integers(max(0, len(worse) - 600) if tail else 0, len(worse))
        worse[at] = draw.integers(256)
    def edit(told):
        digest = hashlib.sha256(worse).hexdigest()
        told["files"][name] = {"bytes": len(worse), "sha256": digest}
    try:
        (directory / name).write_bytes(worse)
        test_damage.edited(directory, 3, edit)
        with test_damage.little_memory():
            test_damage.check_edited(directory, 3)
    finally:
        (directory / name).write_bytes(data)
        path.write_bytes(original)
print("done")
"""


def rehashed(place, n, seed):
    done = subprocess.run(
        [sys.executable, "-P", "-c", REHASHED, str(ROOT), str(place), str(n), str(seed)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-3000:]


def test_data_that_was_edited_too(place):
    """Bytes of a data file are others, and the manifest says that they belong there."""
    rehashed(place, 60, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10, 15))
def test_much_data_that_was_edited_too(place, seed):
    """As above, for longer."""
    rehashed(place, 5000, seed)


def test_a_manifest_too_large_to_be_one(place):
    """Is not read at all: a sparse file may be of any size."""
    path = place / m.manifest_name(4)
    with path.open("wb") as file:
        file.truncate(m.MOST_BYTES + 1)
    with (
        little_memory(1 << 29),
        pytest.raises(SnapshotError, match=r"04.json: has 1,073,741,825 bytes"),
    ):
        load(place, number=4)


def test_a_data_file_too_large(place):
    """Nor is a data file that is larger than the manifest says."""
    name = next(iter(Snapshots(place).manifest(3).files))
    with (place / name).open("r+b") as file:
        file.truncate(2**40)
    with little_memory(1 << 29), pytest.raises(SnapshotError, match=f"{name}: has 1,099,511"):
        load(place, number=3)


def test_json_that_is_too_deep(place):
    """Ten thousand brackets in each other are no manifest."""
    body = b"[" * 10_000 + b"]" * 10_000
    digest = hashlib.sha256(body).hexdigest().encode()
    whole = b'{"sha256":"' + digest + b'","manifest":' + body + b"}\n"
    (place / m.manifest_name(3)).write_bytes(whole)
    with pytest.raises(SnapshotError, match=r"03.json: is not a manifest"):
        load(place, number=3)
    deep = json.loads("[" * 500 + "]" * 500)
    edited(place, 2, lambda told: _set(told, ["private", "resources", 1, "value"], deep))
    with pytest.raises(SnapshotError):
        load(place, number=2)


def test_a_directory_in_the_way(tmp_path):
    """A file where the directory should be: the system's word on it, and its path."""
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    for call in (lambda: load(path), lambda: Checkpointer(hamlet(), path)):
        with pytest.raises(StorageError, match="Not a directory") as caught:
            call()
        assert str(path) in caught.value.filename
    assert path.read_bytes() == b"mine"
