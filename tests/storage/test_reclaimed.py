"""Texts that are given back: snapshots, deltas, SQL, exports and the archive know what is free."""

from collections import Counter

import numpy as np
import pytest

from populace import World
from populace.ecs.errors import SnapshotError
from populace.storage import manifest as m
from populace.storage import writing
from populace.storage.checkpoint import Checkpointer
from populace.storage.files import LocalFiles
from populace.storage.frames import Texts
from populace.storage.history import HistorySource
from populace.storage.keys import Key
from populace.storage.snapshot import Snapshots, load, save
from populace.storage.sql import Database

from ..ecs.twins import assert_twins
from .crashing import quick
from .format_reader import Snapshot
from .model import STEP, Body, Note, fingerprint, town
from .test_checkpoint import Gate
from .village import CATALOGUE, asked, village
from .village import Note as VillageNote


def forgetting(world, k, n=12):
    """Some notes go, and others with texts of their own come."""
    draw = np.random.default_rng(k)
    ids = world.query(Note).ids()
    world.query(Note).where(draw.random(ids.size) < 0.4).despawn()
    owner = world.query(Body).ids()[:1]
    world.spawn(n, Note(owner=owner.repeat(n), text=[f"{k}, {i}" for i in range(n)]))


@pytest.mark.parametrize("key", [None, 1])
def test_every_delta_loads_as_the_world_was(tmp_path, key, monkeypatch):
    """Through reclaims and codes that are given again, by populace and by the reader of the page;
    what is loaded goes on as the world itself."""
    monkeypatch.setattr(writing, "MOST_PATCHES", 2)
    secret = None if key is None else bytes(range(32))
    world, told, again = town(30), {}, {}
    made = None if key is None else Key(secret)
    with Checkpointer(world, quick(tmp_path), full_every=20, key=made) as saving:
        for k in range(14):
            forgetting(world, k)
            if k % 5 == 3:
                assert world.reclaim_texts() > 0
            if k % 4 == 2:
                world.step(STEP)
            number = saving.save().number
            told[number] = list(world.text.strings), world.text.free.tolist()
            again[number] = load(tmp_path, number=number, key=made)
            assert_twins(world, again[number])
            for later in range(3):
                forgetting(again[number], 100 + later)
                again[number].reclaim_texts()
    manifests = [Snapshots(tmp_path, key=made).manifest(number) for number in told]
    assert [each.version for each in manifests[:4]] == [1, 1, 1, 2]
    patches = [len(each.text_patches or ()) for each in manifests]
    assert max(patches) == 2
    assert 0 in patches[5:]
    for number, expected in told.items():
        page = Snapshot(tmp_path, number, secret)
        assert (page.texts(), page.free_texts()) == expected


def test_a_delta_costs_what_was_given_again(tmp_path):
    """Not all texts are written when some codes are given to others."""
    world = town(30)
    owner = world.query(Note).gather(Note.owner)[:1].repeat(5_000)
    ids = world.spawn(Note(owner=owner, text=[f"a long text of {k * 7919}" for k in range(5_000)]))
    world.despawn(ids[::2])
    world.reclaim_texts()
    with Checkpointer(world, quick(tmp_path)) as saving:
        full = saving.save()
        world.set(world.query(Note).ids()[:3], Note(text=["x", "y", "z"]))
        delta = saving.save()
    manifest = Snapshots(tmp_path).manifest(delta.number)
    assert len(manifest.text_patches) == 1
    assert delta.bytes < full.bytes / 5
    assert [len(Snapshot(tmp_path, n).free_texts()) for n in (1, 2)] == [
        world.text.n_free + 3, world.text.n_free,
    ]  # fmt: skip


def test_without_free_texts_it_is_version_1(tmp_path):
    """Readers of before read what has nothing new in it."""
    world = town(10)
    save(world, tmp_path)
    world.text.intern(["lost, and the last"])
    assert world.reclaim_texts() > 0
    while world.text.n_free:
        world.text.intern([f"filler {world.text.n_free}"])
    assert save(world, tmp_path).version == 1
    told = (tmp_path / m.manifest_name(2)).read_text()
    assert "text_patches" not in told
    assert "free_texts" not in told
    assert_twins(load(tmp_path), world)


def test_a_snapshot_that_is_written_during_a_reclaim(tmp_path):
    """It holds the texts of its moment, whatever becomes of their codes meanwhile."""
    world, gate = town(20), Gate()
    forgetting(world, 0)
    world.reclaim_texts()
    saving = Checkpointer(world, LocalFiles(tmp_path, gate), every=STEP, full_every=3)
    for k in range(1, 8):
        gate.open_.clear()
        world.step(STEP)
        then = fingerprint(world)
        forgetting(world, k)
        world.text.intern([f"{k}: {i}" for i in range(world.text.n_free // 2)])
        if k % 2:
            world.reclaim_texts()
            world.text.intern([f"{k}, again: {i}" for i in range(world.text.n_free)])
        gate.open_.set()
        saving.wait()
        number = saving.saved[-1].number
        assert fingerprint(load(tmp_path, number=number)) == then
    saving.close()


def test_finishing_sees_a_code_that_is_given_again(tmp_path):
    """Nothing else has changed."""
    world = town(10, systems=False)
    forgetting(world, 0)
    world.reclaim_texts()
    with Checkpointer(world, quick(tmp_path)) as saving:
        saving.save()
        saving.finish()
        assert len(saving.saved) == 1
        world.text.intern(["another"])
        saving.finish()
        assert len(saving.saved) == 2
    assert_twins(load(tmp_path), world)


@pytest.mark.parametrize("codes", [[0], [2, 1], [3, 3], [10**6]])
def test_free_codes_that_are_damaged(tmp_path, monkeypatch, codes):
    """They are named, with the file."""
    world = town(10)
    save(world, tmp_path)
    told = Snapshots(tmp_path)
    found = told.open(1)
    monkeypatch.setattr(
        type(found.data), "decoded", lambda *_, **__: {"code": np.array(codes, np.uint32)}
    )
    with pytest.raises(SnapshotError, match="its codes are not those of texts"):
        found._codes(found.data.decoded("x"), "x")


# -- SQL -------------------------------------------------------------------------------------------


def test_sql_shows_no_string_of_before():
    """A living world is asked before and after, with few rows and with many, on one connection."""
    world, _ = village()
    database = asked(world)
    everything = "SELECT entity, text FROM notes ORDER BY entity"
    one = "SELECT entity, text FROM notes"

    def truth():
        query = world.query(VillageNote)
        texts = world.text.decode(query.gather(VillageNote.text))
        return sorted(zip(query.ids().tolist(), texts, strict=True))

    def found(question, **how):
        table = database.ask(question, **how).arrow()
        rows = zip(table["entity"].to_pylist(), table["text"].to_pylist(), strict=True)
        return sorted((int(a), b) for a, b in rows)

    assert found(everything) == truth()
    for k in range(4):
        ids = world.query(VillageNote).ids()
        world.set(ids[k::3], VillageNote(text=f"all of {k}"))
        world.set(ids[:5], VillageNote(text=[f"{k}: {i}" for i in range(5)]))
        if k != 2:
            assert world.reclaim_texts() > 0
        assert found(everything) == truth()
        world.set(ids[:7], VillageNote(text=[f"{k}, then {i}" for i in range(7)]))
        for number in (10, 11):
            few = found(one, of=[number])
            assert few
            assert set(few) <= set(truth())
        assert found(everything) == truth()


def test_the_dictionary_of_texts_follows_codes():
    """Arrays that were given out stay as they are; those given now have the strings of now."""
    world = World()
    texts, given = Texts(), []
    pool = world.text
    pool.intern([f"t{k}" for k in range(20)])
    for k in range(6):
        given.append((texts.upto(world.text.prefix()), list(world.text.prefix())))
        live_c = np.arange(len(world.text)) % (k + 2) != 1
        live_c[0] = True
        live_c[world.text.free] = False
        if k != 3:
            world.store.text = world.text.reclaimed(live_c)
        world.text.intern([f"{k}, {i}" for i in range(k + 1)])
        assert not texts.holds(world.text.prefix())
        given.append((texts.upto(world.text.prefix()), list(world.text.prefix())))
        assert texts.holds(world.text.prefix())
        world.text.intern([f"{k} more {i}" for i in range(4)])
    for array, want in given:
        array.validate(full=True)
        assert array.to_pylist() == want


@pytest.mark.parametrize("key", [None, Key(bytes(range(32)))])
def test_a_history_tells_each_moment_by_its_own_strings(tmp_path, key):
    """Of snapshots of both versions, whole and as deltas, with patches of texts: a code that has
    been three strings is three in the answer, and groups are by string."""
    world, _ = village()
    was, versions = {}, {}
    with Checkpointer(world, quick(tmp_path), full_every=4, key=key) as saving:
        for k in range(8):
            ids = world.query(VillageNote).ids()
            world.set(ids[:6], VillageNote(text=[f"{k}: {i}" for i in range(5)] + ["again"]))
            if k in (2, 3, 6):
                world.set(ids[-1:], VillageNote(text="for now"))
                assert world.reclaim_texts() > 0
            number = saving.save().number
            query = world.query(VillageNote)
            texts = world.text.decode(query.gather(VillageNote.text))
            was[world.clock.tick] = dict(zip(query.ids().tolist(), texts, strict=True))
            versions[k] = Snapshots(tmp_path, key=key).manifest(number).version
            world.step(STEP)
    assert set(versions.values()) == {1, 2}
    snapshots = Snapshots(tmp_path, key=key)
    assert any(snapshots.manifest(n).text_patches for n in snapshots.numbers())
    database = Database(HistorySource(CATALOGUE, snapshots))
    found = {tick: {} for tick in was}
    for row in database.ask("SELECT tick, entity, text FROM notes").rows():
        found[row["tick"]][row["entity"]] = row["text"]
    assert found == was
    counts = database.ask("SELECT text, count(*) AS n FROM notes GROUP BY text").rows()
    expected = Counter(text for texts in was.values() for text in texts.values())
    assert {row["text"]: row["n"] for row in counts} == expected
    database.close()


def test_a_pool_that_has_become_shorter(tmp_path):
    """The highest codes are given back, and fewer new strings come than there were."""
    world = town(30)
    owner = world.query(Note).gather(Note.owner)[:1].repeat(40)
    with Checkpointer(world, quick(tmp_path)) as saving:
        ids = world.spawn(Note(owner=owner, text=[f"high {k}" for k in range(40)]))
        saving.save()
        world.despawn(ids)
        assert world.reclaim_texts() == 40
        assert not world.text.n_free
        saving.save()
        world.spawn(Note(owner=owner[:3], text=["low 1", "low 2", "low 3"]))
        saving.save()
    assert_twins(load(tmp_path), world)
    manifests = [Snapshots(tmp_path).manifest(n) for n in (1, 2, 3)]
    assert [m.n_texts - manifests[1].n_texts for m in manifests] == [40, 0, 3]
    assert {m.version for m in manifests} == {1}
