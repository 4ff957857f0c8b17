"""Snapshots under a key: nothing to be read without it, nothing to be exchanged unnoticed."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from populace import World
from populace.ecs.errors import KeyMismatchError, SnapshotError
from populace.storage import manifest as m
from populace.storage.checkpoint import Checkpointer, CheckpointWarning
from populace.storage.keys import Key
from populace.storage.snapshot import Snapshots, SnapshotWarning, load, save

from . import model
from .crashing import leftovers, quick
from .model import (
    STEP,
    Body,
    Face,
    Hungry,
    Met,
    Note,
    assert_same,
    contents,
    fingerprint,
    hamlet,
    town,
)

ROOT = Path(__file__).parents[2]
KEY = Key(bytes(range(32)))
OTHER = Key(bytes(range(1, 33)))
SECRET = b"the rumour that nobody may know"
NUMBER = 0x5EC2E7_C0DE_F00D
SHAPES = np.random.default_rng(6).random((30, 32), "f4")


@dataclass
class Diary:
    words: str = SECRET.decode()
    pages: dict = field(default_factory=lambda: {SECRET.decode(): [SECRET]})
    column: np.ndarray = field(default_factory=lambda: np.full(300, NUMBER))


def secretive(n=30):
    """A world in which a secret is in every kind of place."""
    world = World(seed=3)
    world.insert(Diary())
    world.keep(Met)
    world.events(Met)
    people = world.spawn(n, Body(number=NUMBER), Face(shape=SHAPES))
    world.spawn(n, Note(owner=people, text=SECRET.decode(), at=NUMBER))
    world.emit(Met(who=people, what=SECRET.decode()))
    world.step(STEP)
    world.emit(Met(who=people, what=SECRET.decode()))
    return world


def secrets():
    """What must not be found: texts in several encodings, numbers as they lie in columns."""
    yield from (SECRET, SECRET.decode().encode("utf-16-le"), SECRET[:12])
    yield NUMBER.to_bytes(8, "little")
    yield SHAPES[3].tobytes()
    yield str(NUMBER).encode()
    secret = bytes(range(32))
    yield from (secret, secret.hex().encode(), secret.hex().upper().encode(), secret[:16])


def test_nothing_is_to_be_read(tmp_path):
    """No text, no number, no fact, no part of the key is in any file, by any of the ways to save:
    in full, as a delta, folded; compressed or not."""
    world, about = secretive(), {"told by": SECRET.decode()}
    save(world, quick(tmp_path), key=KEY, about=about, compression="zstd")
    with Checkpointer(world, quick(tmp_path), key=KEY, about=about) as checkpointer:
        checkpointer.save()
        world.set(world.query(Note).ids()[:1], Note(at=NUMBER - 1))
        world.resource(Diary).column[3] = 0
        checkpointer.save()
    Snapshots(quick(tmp_path), key=KEY).compact()
    for name, data in {**contents(tmp_path), ".lock": (tmp_path / ".lock").read_bytes()}.items():
        for secret in secrets():
            assert secret not in data, (name, secret)
    plain = tmp_path / "plain"
    save(world, plain, about=about)
    everything = b"".join(contents(plain).values())
    for secret in (SECRET, SHAPES[3].tobytes(), NUMBER.to_bytes(8, "little")):
        assert secret in everything  # so that not to find it means something


def test_what_was_written_comes_back(tmp_path):
    """By the key: the newest, any number, deltas, folded ones; without it by nobody."""
    world, told = town(20), {}
    with Checkpointer(world, quick(tmp_path), key=KEY, full_every=3) as checkpointer:
        for k in range(5):
            told[checkpointer.save().number] = fingerprint(world)
            model.run(world, model.random_program(np.random.default_rng(k), 5))
            world.sync()
    for number, digest in told.items():
        assert fingerprint(load(tmp_path, number=number, key=KEY)) == digest
    folded = Snapshots(quick(tmp_path), key=KEY).compact()
    assert fingerprint(load(tmp_path, key=KEY)) == told[5]
    assert folded.key == KEY.fingerprint
    assert Snapshots(quick(tmp_path)).prune(1) == [1, 2, 3, 4]  # to prune, no key is needed
    assert leftovers(tmp_path) == []
    assert fingerprint(load(tmp_path, key=Key(bytes(range(32))))) == told[5]


@pytest.mark.parametrize("size", [16, 24, 32])
def test_keys_of_all_sizes(tmp_path, size):
    """128, 192 and 256 bits."""
    key = Key(bytes(range(size)))
    save(hamlet(), tmp_path, key=key)
    assert_same(hamlet(), load(tmp_path, key=key))


@pytest.mark.parametrize(
    ("key", "says"), [(None, "give it as key="), (OTHER, f"the one given is {OTHER.fingerprint}")]
)
def test_a_key_that_is_missing_or_another(tmp_path, key, says):
    """Is told so, with both fingerprints, whatever is asked; that is no damage, so no older
    snapshot is taken instead; and nothing is shown."""
    world = hamlet()
    save(world, quick(tmp_path))
    save(world, quick(tmp_path), key=KEY)
    before = contents(tmp_path)
    for call in (
        lambda: load(tmp_path, key=key),
        lambda: load(tmp_path, number=2, key=key),
        lambda: Snapshots(tmp_path, key=key).open(),
        lambda: Snapshots(tmp_path, key=key).compact(),
    ):
        with pytest.raises(KeyMismatchError, match=says) as caught:
            call()
        assert KEY.fingerprint in str(caught.value)
        assert bytes(range(1, 33)).hex() not in str(caught.value)
    assert contents(tmp_path) == before


def test_a_key_for_what_is_not_encrypted(tmp_path):
    """A snapshot that somebody put there without the key is not taken for one under it."""
    save(hamlet(), tmp_path)
    with pytest.raises((SnapshotError, KeyMismatchError), match="not encrypted"):
        load(tmp_path, key=KEY)
    with pytest.raises((SnapshotError, KeyMismatchError), match="not encrypted"):
        load(tmp_path, number=1, key=KEY)


def test_the_key_is_nowhere(tmp_path):
    """Not in manifests, reprs, warnings or errors; what tells keys apart is their fingerprint."""
    save(hamlet(), tmp_path, key=KEY)
    told = json.loads((tmp_path / m.manifest_name(1)).read_bytes())["manifest"]
    assert told["key"] == KEY.fingerprint
    assert told["private"] is None
    assert told["sealed"] in told["files"]
    for shown in (repr(KEY), str(KEY), f"{KEY}", repr(Snapshots(tmp_path, key=KEY)),
                  json.dumps(told)):  # fmt: skip
        assert bytes(range(32)).hex() not in shown
        assert repr(bytes(range(32))) not in shown


def test_the_same_world_looks_different(tmp_path):
    """Saved twice, no data file is as it was: equal worlds do not show as equal."""
    world = hamlet()
    for _ in range(2):
        save(world, quick(tmp_path), key=KEY)
    one, two = (
        {n.partition("-")[2]: d for n, d in contents(tmp_path / "data").items() if n[9] == number}
        for number in "12"
    )
    assert one.keys() == two.keys()
    assert not [name for name in one if one[name] == two[name]]


def exchanged(directory, one, other):
    """Swap two data files, and work out the digests in all manifests anew."""
    paths = [directory / one, directory / other]
    data = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(data), strict=True):
        path.write_bytes(content)
    for path in directory.glob("snapshot-*.json"):
        told = json.loads(path.read_bytes())["manifest"]
        for name in (one, other):
            if name in told["files"]:
                content = (directory / name).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                told["files"][name] = {"bytes": len(content), "sha256": digest}
        body = json.dumps(told).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256":"' + digest + b'","manifest":' + body + b"}\n")


@pytest.mark.parametrize("rehashed", [False, True])
def test_files_that_are_exchanged(tmp_path, rehashed):
    """An encrypted file keeps its name: one of another snapshot, though it is of the same kind,
    under the same key and the manifest says that it belongs there, is refused."""
    world = hamlet()
    for k in range(2):
        save(world, quick(tmp_path), key=KEY)
        model.change(world, k)
    for name in sorted(Snapshots(tmp_path).manifest(1).files):
        other = name.replace("0000000001-", "0000000002-")
        if rehashed:
            exchanged(tmp_path, name, other)
        else:
            one, two = (tmp_path / name).read_bytes(), (tmp_path / other).read_bytes()
            (tmp_path / name).write_bytes(two)
            (tmp_path / other).write_bytes(one)
        with pytest.raises(SnapshotError, match=f"{other}.*another name" if rehashed else other):
            load(tmp_path, number=2, key=KEY)
        if rehashed:
            exchanged(tmp_path, name, other)
        else:
            (tmp_path / name).write_bytes(one)
            (tmp_path / other).write_bytes(two)
    assert_same(load(tmp_path, key=KEY), load(tmp_path, number=2, key=KEY))


def test_an_encrypted_file_that_was_changed(tmp_path):
    """Is found out by its own seal, though the manifest was made to fit: never other data."""
    world, draw = hamlet(40), np.random.default_rng(5)
    save(world, quick(tmp_path), key=KEY)
    path = tmp_path / m.manifest_name(1)
    manifest = path.read_bytes()
    names = sorted(Snapshots(tmp_path).manifest(1).files)
    n_refused = 0
    for k in range(80):
        name = names[k % len(names)]
        data = (tmp_path / name).read_bytes()
        changed = bytearray(data)
        changed[int(draw.integers(4, len(data) - 4))] ^= 1 << int(draw.integers(8))
        told = json.loads(manifest)["manifest"]
        digest = hashlib.sha256(changed).hexdigest()
        told["files"][name] = {"bytes": len(changed), "sha256": digest}
        body = json.dumps(told).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256":"' + digest + b'","manifest":' + body + b"}\n")
        (tmp_path / name).write_bytes(changed)
        try:
            other = load(tmp_path, number=1, key=KEY)
        except (SnapshotError, KeyMismatchError) as error:
            n_refused += 1
            shown = str(error)
        else:
            shown = name
            assert_same(world, other)  # a byte that means nothing
        assert "0000000001" in shown
        (tmp_path / name).write_bytes(data)
        path.write_bytes(manifest)
    assert n_refused > 70


def test_a_key_that_comes_later(tmp_path):
    """Snapshots with and without a key in one directory: each by its own; pruning minds neither."""
    world = hamlet()
    save(world, quick(tmp_path))
    save(world, quick(tmp_path), key=KEY)
    save(world, quick(tmp_path), key=OTHER)
    for number, key in ((1, None), (2, KEY), (3, OTHER)):
        assert_same(world, load(tmp_path, number=number, key=key))
    assert Snapshots(quick(tmp_path)).prune(2) == [1]
    assert_same(world, load(tmp_path, number=2, key=KEY))


def test_damage_under_a_key(tmp_path):
    """Is gone round as without one."""
    world = hamlet()
    save(world, quick(tmp_path), key=KEY)
    model.change(world, 1)
    save(world, quick(tmp_path), key=KEY)
    for path in (tmp_path / "data").glob("0000000002-private*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(SnapshotWarning, match="0000000002-private"):
        assert_same(hamlet(), load(tmp_path, key=KEY))


def test_arrays_of_resources_are_shared_under_a_key(tmp_path):
    """A delta does not write an array again that has not changed."""
    world = World()
    world.insert(model.Ledger())
    world.resource(model.Ledger).column = np.random.default_rng(1).random(20_000)
    world.spawn(10, Hungry)
    with Checkpointer(world, quick(tmp_path), key=KEY) as checkpointer:
        full = checkpointer.save()
        world.spawn(1, Hungry)
        delta = checkpointer.save()
    assert delta.bytes < full.bytes / 5
    assert_same(world, load(tmp_path, key=KEY))


def test_a_process_with_the_key(tmp_path):
    """Another process reads it by a key from the environment, and without it nothing at all."""
    world = hamlet()
    save(world, tmp_path, key=KEY)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage.model import *\n"
        "from populace.storage.keys import Key\n"
        "from populace.storage.snapshot import load\n"
        "print(fingerprint(load(sys.argv[1], key=Key.from_environment())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={"POPULACE_KEY": bytes(range(32)).hex()},
    )
    assert (done.stdout.strip(), done.stderr) == (fingerprint(world), "")
    for path in (tmp_path / "data").iterdir():
        assert path.read_bytes()[-4:] == b"PARE"
        with pytest.raises(Exception, match=r"encrypted|decryption"):
            pq.read_table(path)


def test_a_failure_under_a_key_tells_no_secret(tmp_path):
    """Warnings and errors of writing name paths and causes."""
    world = hamlet()
    checkpointer = Checkpointer(world, tmp_path, key=KEY, every=1)
    (tmp_path / "data").write_bytes(b"in the way")
    world.step(1)
    checkpointer.wait()
    with pytest.warns(CheckpointWarning) as told:
        world.step(1)
    checkpointer.wait()
    checkpointer.failure = None
    checkpointer.close()
    assert bytes(range(32)).hex() not in str(told[0].message)
    assert str(tmp_path) in str(told[0].message)
