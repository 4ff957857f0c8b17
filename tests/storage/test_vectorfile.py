"""A vector index on disk: a cache that is taken up where it fits, and passed over where not."""

import contextlib
import hashlib
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import Vector, World, component, f4, i1
from populace.components.embedding import embedding
from populace.ecs.errors import SnapshotError, StorageError
from populace.storage import upkeep, vectorfile
from populace.storage import vectors as vectors_module
from populace.storage.checkpoint import Checkpointer, CheckpointWarning
from populace.storage.dots import encode
from populace.storage.files import LocalFiles
from populace.storage.indexed import indices_of
from populace.storage.keys import Key
from populace.storage.labels import Labels
from populace.storage.snapshot import Snapshots, SnapshotWarning, load, save
from populace.storage.vectorfile import (
    IndexFileWarning,
    collected,
    file_of,
    parsed,
    read_kept,
    write_kept,
)
from populace.storage.vectors import vector_index

D = 16
Meaning = embedding(D, "i1")
SMALL = {"flat_below": 300, "tail_limit": 60, "lists": 16, "background": False}
FILE = file_of(Meaning)
REAL_TRAINED = upkeep.trained


def vectors(n, seed=0):
    draw = np.random.default_rng(seed)
    middle = np.random.default_rng(77).standard_normal((12, D))
    return middle[draw.integers(0, 12, n)] + 0.5 * draw.standard_normal((n, D))


def remember(world, given):
    stored, scale = encode(given, "i1")
    return world.spawn(len(given), Meaning(vector=stored, scale=scale))


def town(n=1000):
    world = World()
    ids = remember(world, vectors(n))
    index = vector_index(world, Meaning, **SMALL)
    index.wait()
    return world, ids, index


@pytest.fixture
def untrained(monkeypatch):
    """Training is a fault: what is taken up needs none."""

    def fails(*arguments):
        raise AssertionError("it was built anew")

    monkeypatch.setattr(upkeep, "trained", fails)


def assert_finds_the_same(one, other):
    for seed in range(10):
        query = vectors(1, seed=seed + 50)[0]
        a, b = one.nearest(query, 15), other.nearest(query, 15)
        assert a.ids.tolist() == b.ids.tolist()
        assert a.cosines.tolist() == b.cosines.tolist()
        assert a.stages.way == b.stages.way


def test_a_loaded_world_takes_its_index_up(tmp_path, untrained, monkeypatch):
    """Without training or looking for lists; it finds what the saved one finds."""
    world, _, index = saved_town(tmp_path, monkeypatch)
    again = load(tmp_path)
    taken_up = vector_index(again, Meaning, **SMALL)
    assert_finds_the_same(index, taken_up)
    assert taken_up.state().lists == 16
    assert taken_up.state().tail == index.state().tail
    taken_up.labels.check()
    assert again.digest() == world.digest()


def saved_town(folder, monkeypatch, key=None):
    """A town, its index built, saved."""
    with monkeypatch.context() as real:
        real.setattr(upkeep, "trained", REAL_TRAINED)
        world, ids, index = town()
    save(world, folder, key=key)
    return world, ids, index


def test_a_file_may_be_of_another_moment(tmp_path, monkeypatch, untrained):
    """Entities that are gone do not count, nor those whose vector is another; new ones are the
    tail. What is found is there."""
    world, ids, _ = saved_town(tmp_path, monkeypatch)
    world.despawn(ids[::5])
    changed = ids[1::5]
    world.remove(changed, Meaning)
    stored, scale = encode(vectors(changed.size, seed=4), "i1")
    world.add(changed, Meaning(vector=stored, scale=scale))
    Snapshots(tmp_path).files.delete(FILE)
    files = LocalFiles(tmp_path)
    before = load(tmp_path)
    index = vector_index(before, Meaning, **SMALL)
    assert index.upkeep.kept is None
    index.close()
    saved = saved_town(tmp_path / "other", monkeypatch)[2]
    write_kept(files, saved, collected(saved), None)
    save_without_index(world, tmp_path)
    again = load(tmp_path)
    taken_up = vector_index(again, Meaning, **SMALL, seed=1)
    taken_up.upkeep.run_due()
    taken_up.labels.check()
    for seed in range(10):
        query = vectors(1, seed=seed)[0]
        found = taken_up.nearest(query, 1000)
        assert again.alive(found.ids).all()
        assert found.ids.size == taken_up.state().live == again.query(Meaning).count()


def save_without_index(world, folder):
    from populace.storage.indexed import indices

    held = indices.pop(world)
    save(world, folder)
    indices[world] = held


@pytest.mark.parametrize("wanted", ["right", "none", "wrong"])
def test_an_encrypted_snapshot_has_an_encrypted_index(tmp_path, monkeypatch, wanted):
    """Nothing of it can be read without the key; with another it is passed over."""
    key = Key(bytes(32))
    _, ids, index = saved_town(tmp_path, monkeypatch, key)
    data = (tmp_path / FILE).read_bytes()
    assert b"populace vectors" not in data
    assert index.main.centroids[0].tobytes() not in data
    assert ids[:4].tobytes() not in data
    given = {"right": key, "none": None, "wrong": Key(bytes(16))}[wanted]
    files = LocalFiles(tmp_path)
    if wanted == "right":
        assert read_kept(files, given, index).ids.size == index.state().live
    else:
        with pytest.warns(IndexFileWarning, match="is built anew"):
            assert read_kept(files, given, index) is None


def altered(data, **changes):
    line, _, body = data.partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + body


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda d: d[:-1], "sha256"),
        (lambda d: d[:100], "damaged or foreign"),
        (lambda d: b"", "damaged or foreign"),
        (lambda d: d[:-9] + bytes([d[-9] ^ 1]) + d[-8:], "sha256"),
        (lambda d: altered(d, version=2), "version=2"),
        (lambda d: altered(d, dimensions=8), "dimensions=8"),
        (lambda d: altered(d, dtype="float32"), "dtype='float32'"),
        (lambda d: altered(d, lists=-1), "damaged|contradicts"),
        (lambda d: altered(d, vectors=10**12), "damaged|contradicts"),
        (lambda d: altered(d, probes=1000), "contradicts"),
        (lambda d: altered(d, probes=None), "damaged"),
        (lambda d: b"[]\n" + d, "damaged"),
    ],
)
def test_a_bad_file_is_passed_over_with_a_warning(tmp_path, monkeypatch, damage, told):
    """And the index built anew."""
    saved_town(tmp_path, monkeypatch)
    path = tmp_path / FILE
    path.write_bytes(damage(path.read_bytes()))
    world = load(tmp_path)
    with pytest.warns(IndexFileWarning, match=told):
        index = vector_index(world, Meaning, **SMALL)
    assert index.nearest(vectors(1)[0], 10).stages.way == "inverted"


def test_a_warning_that_is_an_error_leaves_no_index(tmp_path, monkeypatch):
    """The next call makes one, whole; nothing is told twice of what happens."""
    saved_town(tmp_path, monkeypatch)
    (tmp_path / FILE).write_bytes(b"nothing")
    world = load(tmp_path)
    with pytest.raises(IndexFileWarning):
        vector_index(world, Meaning, **SMALL)
    assert not indices_of(world)
    assert not any(world.store.observers.held.values())
    with pytest.warns(IndexFileWarning):
        index = vector_index(world, Meaning, **SMALL)
    remember(world, vectors(10, seed=3))
    assert index.nearest(vectors(1)[0], 2000).ids.size == 1010


def mine(module):
    """Somebody's component, of a name that others have too."""
    namespace = {
        "__module__": module,
        "__qualname__": "Mine",
        "__annotations__": {"vector": Vector[D, i1], "scale": f4},
    }
    return component(type("Mine", (), namespace))


def test_components_of_one_name_have_files_of_their_own(tmp_path):
    """Told apart by their modules; a file of another is not taken up."""
    here, there = mine("here"), mine("there")
    names = [file_of(each) for each in (here, there)]
    assert file_of(Meaning) == "index/Embedding16i1.vectors"
    assert all(re.fullmatch("index/Mine-[0-9a-f]{8}.vectors", name) for name in names)
    assert len(set(names)) == 2
    world = World()
    stored, scale = encode(vectors(1000), "i1")
    made = []
    for each in (here, there):
        world.spawn(1000, each(vector=stored, scale=scale))
        made.append(vector_index(world, each, **SMALL))
        made[-1].wait()
    files = LocalFiles(tmp_path)
    with files.lock():
        for index in made:
            write_kept(files, index, collected(index), None)
    assert sorted(files.names("index")) == sorted(names)
    assert read_kept(files, None, made[0]).ids.tolist() == world.query(here).ids().tolist()
    data = (tmp_path / names[0]).read_bytes()
    with pytest.raises(SnapshotError, match="component='here:Mine', and not 'there:Mine'"):
        parsed(data, "file", made[1])


def test_labels_are_let_go_of_under_the_moment(tmp_path, monkeypatch, untrained):
    """What a file names wrongly is not held any more, and its label, if it is free, is given."""
    world, ids, _ = saved_town(tmp_path, monkeypatch)
    stored, scale = encode(vectors(500, seed=4), "i1")
    world.remove(ids[:500], Meaning)
    world.add(ids[:500], Meaning(vector=stored, scale=scale))
    save_without_index(world, tmp_path)
    again, held = load(tmp_path), []

    class Watched(Labels):
        def withdraw(self, labels):
            held.append(again.store.moment._is_owned())
            super().withdraw(labels)

    monkeypatch.setattr(vectors_module, "Labels", Watched)
    index = vector_index(again, Meaning, **{**SMALL, "background": True, "tail_limit": 5000})
    index.wait()
    assert held
    assert all(held)
    assert index.state().tail == 500
    index.labels.check()
    index.close()


@settings(max_examples=100)
@given(st.data())
def test_no_damage_breaks_anything(tmp_path_factory, data):
    """Whatever bytes change, with the digest made to fit: an error that is ours, or a file that
    agrees with itself."""
    _, _, index = HELD
    changed = bytearray(whole())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    line, _, body = bytes(changed).partition(b"\n")
    with contextlib.suppress(ValueError, TypeError):
        line = json.dumps({**json.loads(line), "sha256": hashlib.sha256(body).hexdigest()}).encode()
    try:
        kept = parsed(line + b"\n" + body, "file", index)
    except SnapshotError:
        return
    assert kept.lists.max(initial=0) < len(kept.centroids)
    kept.inverted()


HELD = town()


def whole():
    class Kept:
        location = "memory"

        def write(self, name, data):
            self.data = data

    files = Kept()
    write_kept(files, HELD[2], collected(HELD[2]), None)
    return files.data


def test_it_is_in_nobodys_way(tmp_path, monkeypatch):
    """Saving, clearing, pruning and compacting leave it, and it leaves them."""
    world, _, _ = saved_town(tmp_path, monkeypatch)
    save(world, tmp_path)
    snapshots = Snapshots(tmp_path)
    assert snapshots.prune(1) == [1]
    snapshots.compact()
    with snapshots.writing():
        assert (tmp_path / FILE).exists()
    assert snapshots.numbers() == [2]
    assert [p.name for p in (tmp_path / "index").iterdir()] == ["Embedding16i1.vectors"]
    assert load(tmp_path).digest() == world.digest()


def test_a_world_without_an_index_writes_none(tmp_path):
    """Nor does one whose index is flat."""
    world = World()
    remember(world, vectors(100))
    save(world, tmp_path / "one")
    index = vector_index(world, Meaning, **SMALL)
    index.wait()
    save(world, tmp_path / "two")
    assert not (tmp_path / "one/index").exists()
    assert not (tmp_path / "two/index").exists()


def test_a_checkpointer_writes_it_when_it_has_changed(tmp_path, monkeypatch):
    """Also while steps wait for the writing thread; little change is not worth a file."""
    world, _, index = saved_town(tmp_path / "unused", monkeypatch)
    with Checkpointer(world, tmp_path, every=1) as checkpointer:
        world.step(1)
        checkpointer.wait()
        first = (tmp_path / FILE).read_bytes()
        world.step(1)
        checkpointer.wait()
        assert (tmp_path / FILE).read_bytes() == first
        remember(world, vectors(500, seed=3))
        index.wait()
        for _ in range(4):
            world.step(1)
        checkpointer.wait()
        assert len((tmp_path / FILE).read_bytes()) > len(first)
    assert load(tmp_path).digest() == world.digest()


def test_a_disk_that_refuses_the_index_has_the_snapshot(tmp_path, monkeypatch):
    """A warning says so."""
    world, _, _ = saved_town(tmp_path / "unused", monkeypatch)

    def refuses(*arguments):
        raise StorageError(28, "cannot write: no space", "index")

    monkeypatch.setattr(vectorfile, "write_kept", refuses)
    with pytest.warns(SnapshotWarning, match="no vector index is saved.*no space"):
        save(world, tmp_path / "one")
    assert load(tmp_path / "one").digest() == world.digest()
    with Checkpointer(world, tmp_path / "two", every=1) as checkpointer:
        world.step(1)
        checkpointer.wait()
        with pytest.warns(CheckpointWarning, match="no vector index is saved"):
            world.step(1)
    assert load(tmp_path / "two").digest() == world.digest()


def test_it_lies_wherever_snapshots_do(place, monkeypatch, untrained):
    """In a local directory or in an object store."""
    _world, _, index = saved_town(place(), monkeypatch)
    again = load(place())
    taken_up = vector_index(again, Meaning, **SMALL)
    assert_finds_the_same(index, taken_up)
