"""The archive of a world: a memory is there, or away, or forgotten; in one place, always."""

import errno
import json
import os
import random
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.ask import sql
from populace.catalogue import MEMORIES
from populace.components import (
    Evidence,
    Memory,
    MemoryKind,
    Observed,
    Persona,
    Pinned,
    Recalled,
    Reflection,
    Statement,
    Stream,
    Trace,
)
from populace.ecs import World, component, days, hours, minutes
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    DeadEntityError,
    DuplicateEntityError,
    KeyMismatchError,
    LockedError,
    QueryError,
    ResourceError,
    ScheduleError,
    SchemaError,
    SettingError,
    SnapshotError,
    StorageError,
    StructuralChangeError,
)
from populace.storage.archive import Archive
from populace.storage.checkpoint import Checkpointer
from populace.storage.files import LocalFiles
from populace.storage.frames import frame
from populace.storage.keys import Key
from populace.storage.snapshot import Snapshots, load, save
from populace.systems import (
    Inactive,
    Pruning,
    add_laws,
    find_inactive,
    forget,
    make_room,
    reinforce,
    strengths_of,
)
from populace.systems.archive import (
    Archived,
    ArchiveWarning,
    archive_memories,
    attach_archive,
    attached_archive,
    copy_archive,
)
from populace.systems.archive_reading import archive_schema, archived
from populace.systems.revival import revive

from ..storage.crashing import PowerDisk, quick, write_tree
from ..storage.faulty_disk import FaultyDisk
from .archive_crashing import check_all, story, temporaries, unnamed
from .archive_model import Meaning, Pair, Starred, contents, key_of, links, programs
from .memories import DAY_S, NOW, Row, empty_world, gone, world_of

KEY = Key(bytes(range(32)))
ROOT = Path(__file__).parents[2]


MONTH = days(30)


def idle(age_us=MONTH, importance=0.5, **others):
    """A memory that nobody has accessed since it was formed."""
    return Row(importance=importance, accessed=NOW - age_us, created=NOW - age_us, **others)


def town(where, rows, *resources, systems=(find_inactive, forget, make_room), **options):
    """A world whose inactive memories leave, and the ids of its memories."""
    world, ids = world_of(rows, *resources, systems=systems)
    attach_archive(world, quick(where), **options)
    return world, ids


def keys_away(source, *place, **asked):
    """[(agent, sequence)] of what is in an archive."""
    found = archived(source, *place, columns=["agent", "sequence"], **asked)
    return sorted(zip(*found.to_pydict().values(), strict=True))


def there(image):
    """{(agent, sequence)} of the memories in an image's tables."""
    found = frame(image, MEMORIES, ["agent", "sequence"])
    return set(zip(*found.to_pydict().values(), strict=True))


# -- in one place, always -------------------------------------------------------------------


@given(programs)
@examples(max_examples=30)
def test_every_memory_is_in_one_place(tmp_path_factory, program):
    """There, or away, or forgotten, and as it was, after any sequence of forming, linking,
    archiving, reviving, forgetting, dying, saving, crashing and pruning; and in the world of every
    snapshot that is left."""
    start = [("form", 1), ("form", 2), ("link", 3)]
    Pair(tmp_path_factory.mktemp("town")).run([*start, *program])


@pytest.mark.nightly
@given(programs)
def test_every_memory_is_in_one_place_at_length(tmp_path_factory, program):
    """As above, more of them."""
    Pair(tmp_path_factory.mktemp("town")).run([("form", 1), ("form", 2), *program])


PAIRS = st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda pair: pair[0] != pair[1])


@given(st.lists(st.integers(0, 3), min_size=4, max_size=14), st.sets(PAIRS, min_size=1))
@examples(max_examples=40)
def test_evidence_is_tied_again(tmp_path_factory, moves, pairs):
    """Whenever both ends are there, in whatever order they left and came back; each link once."""
    world = World()
    ann, bo = world.spawn(2, Persona(number=[0, 1]), Stream)
    world.spawn(
        5,
        Memory(owner=[ann] * 4 + [bo], sequence=[0, 1, 2, 3, 0], created=NOW),
        Trace(importance=0.5, stability=9, accessed=NOW),
    )

    def there():
        ids = world.query(Memory).ids()
        keys = key_of(world, ids)
        return {key[1]: one for key, one in zip(keys, ids, strict=True) if key[0] == 0}

    for one, other in pairs:
        world.spawn(1, Evidence(insight=there()[one], memory=there()[other]))
    with attach_archive(world, quick(tmp_path_factory.mktemp("town")), archiving=False):
        for which in moves:
            held = there()
            if which in held:
                archive_memories(world, held[which])
            else:
                revive(world, [(0, which)])
            held = there()
            want = {((0, a), (0, b)) for a, b in pairs if a in held and b in held}
            assert links(world) == want
        revive(world, [(0, which) for which in range(4) if which not in there()])
        assert len(links(world)) == len(pairs)
        assert world.resource(Archive).links.size == 0


def crash(*arguments):
    """`archive_crashing.main` in a process of its own; what it prints."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.systems import archive_crashing; archive_crashing.main(*sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def killed_at_random(directory, n, seed):
    told = crash("random", directory, n, seed)
    assert told["kills"] == n
    assert told["committed"] > n / 10  # they do not all die before they have written
    where = directory / "towns"
    with Snapshots(quick(where)).writing():
        assert temporaries(where) == unnamed(where) == []
    assert check_all(where) > 0


def test_processes_killed_at_random_moments(tmp_path):
    """50 that archive, revive and checkpoint, with kill -9. In each snapshot that the next one
    finds, every memory ever formed is in the tables or in the archive, not in both, with its text;
    no other file is left when it begins to write."""
    killed_at_random(tmp_path, 50, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [10_000, 20_000])
def test_many_processes_killed_at_random_moments(tmp_path, seed):
    """As above, for longer."""
    killed_at_random(tmp_path, 1000, seed)


def killed_at_calls(directory, every):
    told = crash("calls", directory, every)
    assert told["calls"] > 300
    towns = directory / "towns"
    n_found = set()
    for n in range(0, told["calls"] + 1, every):
        where = towns / f"{n}"
        committed = json.loads((towns / f"{n}.json").read_text())
        assert max(Snapshots(quick(where)).numbers(), default=0) >= committed
        n_found.add(check_all(where))
        with Snapshots(quick(where)).writing():
            assert temporaries(where) == unnamed(where) == []
        check_all(where)
    assert {0, 1, 2} <= n_found


def test_processes_killed_at_calls(tmp_path):
    """A process that is killed at a call to the system, or in the middle of a write: some of those
    of a story of archiving, saving, reviving and pruning."""
    killed_at_calls(tmp_path, 37)


@pytest.mark.nightly
def test_processes_killed_at_every_call(tmp_path):
    """At all of them."""
    killed_at_calls(tmp_path, 1)


def test_a_loss_of_power(tmp_path):
    """At any moment, whatever the disk had put off: every snapshot that is there has each memory in
    one place."""
    town, draw = tmp_path / "town", random.Random(1)
    disk = PowerDisk(town)
    story(town, disk, lambda *_: None)
    n_found = set()
    for at in sorted(draw.sample(range(len(disk.moments)), 60)):
        where = tmp_path / f"{at}"
        write_tree(disk.left(disk.moments[at], draw), town, where)
        n_found.add(check_all(where))
    assert {0, 1, 2} <= n_found


# -- what leaves ----------------------------------------------------------------------------


def test_what_is_inactive_leaves(tmp_path):
    """Exactly that, at the step at which it is told, whole; pinned memories stay."""
    rows = [idle(days(place), sequence=place, table=place % 8) for place in range(40)]
    never = Pruning(theta=0, theta_old=0)
    world, ids = town(tmp_path, rows, never)
    twin, theirs = world_of(rows, never, systems=[find_inactive])
    told, before = twin.events(Inactive), contents(world)
    for w in (world, twin):
        w.step(days(1))
    left = gone(world, ids)
    assert left == np.flatnonzero(np.isin(theirs, told.read().memory)).tolist()
    assert len(left) > 5
    assert not any(rows[place].pinned for place in left)
    keys = [(0, place) for place in left]
    assert keys_away(world) == keys
    assert contents(world, revive(world, keys)) == {key: before[key] for key in keys}


def test_it_stands_between_the_laws(tmp_path):
    """Right after `find_inactive`, also when laws are added later; the others keep their order."""

    def plan(world):
        return [e.name for stage in world.schedule.stages()["last"] for e in stage]

    bare, first, second = World(), World(), World()
    add_laws(bare)
    add_laws(first)
    attach_archive(first, tmp_path / "one")
    attach_archive(second, tmp_path / "two")
    add_laws(second)
    want = plan(bare)
    want.insert(want.index("find_inactive") + 1, "archive")
    assert plan(first) == plan(second) == want
    third = World()
    attach_archive(third, tmp_path / "three")
    with pytest.raises(ScheduleError, match="'find_inactive', which is not registered"):
        third.step(1)


def test_what_is_archived_is_not_forgotten(tmp_path):
    """A memory that is both inactive and too weak goes to the archive: none is lost."""
    rows = [idle(days(place), sequence=place) for place in range(30)]
    world, _ = town(tmp_path, rows, Pruning(grace=15 * DAY_S))
    world.run(days(90), step=days(1))
    assert world.query(Memory).count() == 0
    assert keys_away(world) == [(0, place) for place in range(30)]


@pytest.mark.parametrize("step", [hours(6), days(1), days(45)])
def test_the_length_of_a_step_loses_nothing(tmp_path, step):
    """Whether looked at daily or once in all: in the end the same memories are in the archive."""
    rows = [idle(days(place), 0.9, sequence=place, table=place % 8) for place in range(40)]
    world, _ = town(tmp_path, rows, Pruning(theta=0, theta_old=0))
    world.run(days(45), step=step)
    assert keys_away(world) == [(0, place) for place, row in enumerate(rows) if not row.pinned]


def test_a_whole_society_goes_on(tmp_path):
    """All laws, people who observe and reflect, a Checkpointer that prunes: in every snapshot each
    memory is in one place, the same seed gives the same world, and a loaded one goes on alike."""

    def society(where, world=None):
        if world is None:
            world = World(seed=4)
            world.clock.now = NOW
        add_laws(world)
        attach_archive(world, quick(where))
        return world

    def live(world, n_days):
        for _ in range(n_days):
            people = world.query(Persona).ids()
            day = world.clock.now // days(1)
            said = [f"tea with {k % 5}, day {day}" for k in range(people.size)]
            world.emit(
                Observed(owner=people, time=world.clock.now, text=said, importance=day % 10 / 10)
            )
            world.step(days(1))

    one = society(tmp_path / "one")
    one.spawn(12, Persona(number=np.arange(12)), Stream)
    with Checkpointer(one, quick(tmp_path / "one"), every=days(1), keep=2, full_every=3):
        live(one, 60)
        assert keys_away(one) != []
    attached_archive(one).close()
    with Snapshots(quick(tmp_path / "one")).writing():
        assert unnamed(tmp_path / "one") == []
    for number in Snapshots(tmp_path / "one").numbers():
        image = Snapshots(tmp_path / "one").open(number).image()
        away = keys_away(image, tmp_path / "one")
        assert not there(image) & set(away)
    two = society(tmp_path / "two")
    two.spawn(12, Persona(number=np.arange(12)), Stream)
    live(two, 60)
    assert two.digest() == one.digest()
    back = society(tmp_path / "one", load(tmp_path / "one"))
    live(back, 20)
    live(two, 20)
    assert back.digest() == two.digest()


def test_files_that_were_taken_up_go(tmp_path):
    """While the world runs: with the last snapshot that names them."""
    world, ids = world_of([idle(sequence=k) for k in range(40)])
    attach_archive(world, quick(tmp_path), archiving=False)
    most = 0
    with Checkpointer(world, quick(tmp_path), keep=1, full_every=1) as checkpointer:

        def check():
            checkpointer.save()
            found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("archive/*/*/*")}
            assert found == world.resource(Archive).kept().keys()
            return len(found)

        for part in np.split(ids, 10):
            archive_memories(world, part)
            most = max(most, check())
        revive(world, [(0, k) for k in range(40)])
        assert (most <= 3, check()) == (True, 0)


def test_a_world_without_an_archive_pays_nothing(tmp_path):
    """Nobody reads `Inactive`, no resource is there, and no file."""
    world, _ = world_of([idle()], systems=[find_inactive, forget])
    world.step(days(1))
    assert not world.event_queues.queue(Inactive).has_readers
    assert Archive not in world.resources
    assert archived(world).num_rows == 0
    save(world, tmp_path)
    assert not (tmp_path / "archive").exists()


def test_how_many_left_is_told(tmp_path):
    """By an event a day, and in the telemetry."""
    world, _ = town(tmp_path, [idle(sequence=k) for k in range(7)])
    reader = world.events(Archived)
    world.step(days(1))
    told = reader.read()
    assert (told.time.tolist(), told.count.tolist()) == ([NOW + days(1)], [7])
    assert world.telemetry.counts["archived"] == 7
    world.step(days(1))
    assert len(reader.read()) == 0


def test_memories_leave_by_hand_too(tmp_path):
    """Each once however often it is named; the dead are an error, and nothing has happened."""
    world, ids = world_of([idle(sequence=k, table=k % 2) for k in range(4)])
    attach_archive(world, tmp_path, archiving=False)
    assert archive_memories(world, ids[[0, 0, 1]]) == 1
    digest = world.digest()
    with pytest.raises(DeadEntityError):
        archive_memories(world, ids)
    assert world.digest() == digest
    assert archive_memories(world, []) == 0
    assert archive_memories(world, ids[1:2]) == 0  # pinned
    world.spawn(1, Memory(owner=0, sequence=0, created=0), Trace(importance=0, stability=9,
                                                                accessed=0))  # fmt: skip
    assert archive_memories(world, world.query(Memory, with_=Trace).ids()[-1:]) == 0  # nobody's


def test_not_inside_a_system(tmp_path):
    """Where structure may not change, neither may what is there; no file is written."""
    world, ids = world_of([idle()])
    attach_archive(world, tmp_path, archiving=False)
    world.observe("despawn", Persona, lambda world, _: archive_memories(world, ids))
    with pytest.raises(StructuralChangeError, match="archive_memories"):
        world.despawn(world.query(Persona).ids()[:1])
    assert not list(tmp_path.rglob("*.parquet"))


# -- when something fails -------------------------------------------------------------------


def test_a_disk_that_refuses_any_one_call(tmp_path):
    """The memories stay, a warning says so, the world goes on as it was, and the next day they
    leave; at no time is one lost."""
    n_stayed = 0
    rows = [idle(owner=k % 3, sequence=k) for k in range(5)]
    want = contents(world_of(rows)[0])
    for at in range(1000):
        world, ids = world_of(rows, systems=[find_inactive])
        disk = FaultyDisk()
        attach_archive(world, LocalFiles(tmp_path / f"{at}", disk), buckets=2)
        n_before = len(disk.calls)
        disk.at, disk.fault = n_before + at, OSError(errno.EIO, "the disk is on fire")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            world.step(days(1))
        n_calls, disk.at = len(disk.calls) - n_before, None
        if told:
            assert "inactive memories stay where they are" in str(told[0].message)
            assert "on fire" in str(told[0].message)
            assert told[0].category is ArchiveWarning
            n_stayed += 1
            assert contents(world) == want
            assert world.alive(ids).all()
            assert len(world.resource(Archive)) == 0
            world.step(days(1))
        assert contents(world) == {}
        assert len(keys_away(world)) == 5
        attached_archive(world).close()
        if at >= n_calls:
            break
    assert n_stayed > 15


def test_a_warning_is_all_that_a_bad_disk_costs(tmp_path):
    """The step goes on: systems after it run."""
    world, ids = town(tmp_path, [idle(sequence=k) for k in range(3)], Pruning(theta=0.9))
    (tmp_path / "archive" / "month=2024-09").write_text("in the way")
    with pytest.warns(ArchiveWarning, match="month=2024-09"):
        world.step(days(1))
    assert gone(world, ids) == [0, 1, 2]  # `forget` came after it
    assert keys_away(world) == []


def test_a_despawn_that_is_refused(tmp_path):
    """An observer that raises stops it: the memories stay, and no file is left."""
    world, ids = world_of([idle(sequence=k) for k in range(3)])
    held = attach_archive(world, tmp_path, archiving=False)

    def refuse(world, ids):
        raise RuntimeError("no")

    observer = world.observe("despawn", Memory, refuse)
    digest = world.digest()
    with pytest.raises(RuntimeError, match="no"):
        archive_memories(world, ids)
    assert world.digest() == digest
    assert not list(tmp_path.rglob("*.parquet"))
    assert held.claim.names == frozenset()
    observer.cancel()
    assert archive_memories(world, ids) == 3


@pytest.mark.parametrize("how", ["damage", "delete"])
def test_damage_is_told(tmp_path, how):
    """Whatever needs the file says which it is; what does not need it goes on."""
    world, ids = world_of([idle(owner=k, sequence=0) for k in range(4)])
    attach_archive(world, tmp_path, buckets=2, archiving=False)
    archive_memories(world, ids)
    save(world, tmp_path)
    bad = world.resource(Archive).files()[1].name
    if how == "damage":
        data = bytearray((tmp_path / bad).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / bad).write_bytes(data)
    else:
        (tmp_path / bad).unlink()
    digest = world.digest()
    for reading in (archived, lambda w: revive(w, [(0, 0), (1, 0)])):
        with pytest.raises(SnapshotError, match=bad):
            reading(world)
    assert world.digest() == digest
    assert keys_away(world, agents=[0, 2]) == [(0, 0), (2, 0)]
    assert revive(world, [(0, 0)]).size == 1
    other = load(tmp_path)
    if how == "delete":
        with pytest.raises(SnapshotError, match=rf"lacks 1 of the files .*{bad}"):
            attach_archive(other, tmp_path)
        assert Archive in other.resources
    else:
        attach_archive(other, tmp_path)


# -- attaching ------------------------------------------------------------------------------


def test_one_world_has_one_archive(tmp_path):
    """Until it is closed; then it can be attached again, and the system goes on."""
    rows = [idle(sequence=k) for k in range(3)]
    world, ids = town(tmp_path, rows, systems=[find_inactive])
    with pytest.raises(ResourceError, match="attached"):
        attach_archive(world, tmp_path)
    held = attached_archive(world)
    held.close()
    held.close()
    for use in (attached_archive, archived, lambda w: revive(w, [(0, 0)]), copy_archive_there,
                lambda w: archive_memories(w, ids)):  # fmt: skip
        with pytest.raises(ResourceError, match="attach"):
            use(world)
    world.step(days(1))  # nobody keeps an archive: they stay
    assert world.alive(ids).all()
    with attach_archive(world, tmp_path):
        world.step(days(1))
        assert not world.alive(ids).any()


def copy_archive_there(world):
    return copy_archive(world, "nowhere")


@pytest.mark.parametrize("buckets", [0, -1, True, 2.0, "16", 10**6])
def test_buckets_that_make_no_sense(tmp_path, buckets):
    """The error names what is allowed; nothing is attached."""
    world = World()
    with pytest.raises(SettingError, match=r"1 to 4,096 buckets, got"):
        attach_archive(world, tmp_path, buckets=buckets)
    assert Archive not in world.resources


def test_a_folder_of_another_process(tmp_path):
    """The error says whose it is; the world is as it was."""
    code = "import sys; from populace.storage.claims import Claim; " \
           "from populace.storage.files import LocalFiles; c = Claim(LocalFiles(sys.argv[1])); " \
           "print('x', flush=True); sys.stdin.read()"  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:  # fmt: skip
        child.stdout.readline()
        world = World()
        with pytest.raises(LockedError, match=f"process {child.pid} "):
            attach_archive(world, tmp_path)
        assert (Archive in world.resources, list(world.schedule.entries)) == (False, [])
        child.kill()


def test_worlds_of_one_process_share_a_directory(tmp_path):
    """One that was loaded and the one it was made of go on side by side; neither takes the other's
    files away."""
    world, ids = world_of([idle(sequence=k) for k in range(6)])
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids[:2])
    save(world, tmp_path)
    other = load(tmp_path)
    attach_archive(other, tmp_path, archiving=False)
    archive_memories(world, ids[2:4])
    archive_memories(other, ids[4:])
    save(other, tmp_path)
    Snapshots(tmp_path).prune(1)
    assert keys_away(world) == [(0, k) for k in (0, 1, 2, 3)]
    assert keys_away(other) == [(0, k) for k in (0, 1, 4, 5)]


def test_saving_elsewhere_takes_a_copy(tmp_path):
    """Without one the error says so; with it the other directory is whole, and a branch."""
    world, ids = world_of([idle(sequence=k) for k in range(3)])
    attach_archive(world, tmp_path / "town", archiving=False)
    archive_memories(world, ids)
    with pytest.raises(SnapshotError, match="copy_archive"):
        save(world, tmp_path / "branch")
    assert [copy_archive(world, tmp_path / "branch") for _ in range(2)] == [1, 0]
    save(world, tmp_path / "branch")
    attached_archive(world).close()
    branch = load(tmp_path / "branch")
    attach_archive(branch, tmp_path / "branch", archiving=False)
    assert keys_away(branch) == [(0, 0), (0, 1), (0, 2)]


def test_an_encrypted_archive(tmp_path):
    """No text is legible on disk; who has the key reads it, whoever has not is told."""
    world, ids = world_of([idle(sequence=k) for k in range(3)])
    world.set(ids, Memory(text="a secret of Ann's"))
    attach_archive(world, tmp_path, key=KEY, archiving=False)
    archive_memories(world, ids)
    save(world, tmp_path, key=KEY)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
    image = Snapshots(tmp_path, key=KEY).open().image()
    assert archived(image, tmp_path, key=KEY)["text"].to_pylist() == ["a secret of Ann's"] * 3
    for wrong in (None, Key(bytes(32))):
        with pytest.raises(KeyMismatchError, match="archive/month="):
            archived(image, tmp_path, key=wrong)
    assert revive(world, [(0, 1)]).size == 1


# -- reading --------------------------------------------------------------------------------


def library(where):
    """A world with memories of all kinds and times away, and what there is to know of them."""
    world, agents = empty_world()
    draw = np.random.default_rng(2)
    n = 200
    rows = {
        "agent": draw.integers(0, 4, n),
        "sequence": np.arange(n),
        "created": NOW - draw.integers(0, days(400), n),
        "kind": draw.integers(0, 3, n),
        "importance": draw.random(n).astype(np.float32),
    }
    ids = world.spawn(
        n,
        Memory(
            owner=agents[rows["agent"]], sequence=rows["sequence"], created=rows["created"],
            kind=rows["kind"], text=[f"no. {k}" for k in range(n)],
        ),
        Trace(importance=rows["importance"], stability=60, accessed=NOW),
    )  # fmt: skip
    world.add(ids[:50], Statement(subject=[f"s{k}" for k in range(50)]))
    world.add(ids[40:60], Reflection(depth=3))
    attach_archive(world, quick(where), archiving=False)
    archive_memories(world, ids[:90])
    archive_memories(world, ids[90:])
    revive(world, [(int(rows["agent"][k]), k) for k in range(0, n, 10)])
    away = np.arange(n) % 10 != 0
    return world, {name: column[away] for name, column in rows.items()}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return library(tmp_path_factory.mktemp("library"))


@given(
    st.none() | st.lists(st.integers(0, 5), max_size=3),
    st.none() | st.integers(0, 400),
    st.none() | st.integers(0, 400),
    st.none() | st.sets(st.sampled_from([0, 1, 2])),
    st.sampled_from([0.0, 0.5, 0.99]),
)
@examples(max_examples=60)
def test_filters_are_those_of_the_plain_twin(shelf, agents, since, until, kinds, importance):
    """Agents, times, kinds and importance, in any combination."""
    world, rows = shelf
    since, until = (None if day is None else NOW - days(day) for day in (since, until))
    want = [
        (agent, sequence)
        for agent, sequence, created, kind, weight in zip(
            *(column.tolist() for column in rows.values()), strict=True
        )
        if (agents is None or agent in agents)
        and (since is None or created >= since)
        and (until is None or created < until)
        and (kinds is None or kind in kinds)
        and weight >= np.float32(importance)
    ]
    asked = {"agents": agents, "since": since, "until": until, "importance": importance}
    for said in (kinds, kinds and [MemoryKind(kind).name.lower() for kind in kinds]):
        assert keys_away(world, kinds=said, **asked) == sorted(want)


def test_columns_are_tidy(shelf):
    """Times are timestamps, kinds names; what a memory lacks is null; the order is as asked."""
    world, rows = shelf
    found = archived(world)
    assert found.schema == archive_schema()
    assert found.num_rows == rows["agent"].size
    by_sequence = {row["sequence"]: row for row in found.to_pylist()}
    for place, sequence in enumerate(rows["sequence"].tolist()):
        row = by_sequence[sequence]
        assert row["agent"] == rows["agent"][place]
        assert row["kind"] == MemoryKind(rows["kind"][place]).name.lower()
        assert row["created"].replace(tzinfo=UTC) == datetime.fromtimestamp(
            rows["created"][place] / 1e6, UTC
        )
        assert row["text"] == f"no. {sequence}"
        assert row["subject"] == (f"s{sequence}" if sequence < 50 else None)
        assert row["depth"] == (3 if 40 <= sequence < 60 else None)
        assert row["expires"] is row["entity"] is row["agent_name"] or row["agent_name"] == ""
        assert row["archived"].replace(tzinfo=UTC) == datetime.fromtimestamp(NOW / 1e6, UTC)
    some = archived(world, columns=["text", "archived", "agent"], agents=2)
    assert some.schema.names == ["text", "archived", "agent"]
    assert set(some["agent"].to_pylist()) == {2}
    assert archived(world, columns=[], agents=2).num_columns == 0


def test_any_text_is_shown(tmp_path):
    """What UTF-8 cannot hold comes back as it was, and is escaped where Arrow shows it."""
    world, ids = world_of([idle(sequence=k) for k in range(3)])
    said = ["half \ud800", "", "a\0b\0"]
    world.set(ids, Memory(text=said))
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids)
    assert archived(world)["text"].to_pylist() == ["half \\ud800", "", "a\0b\0"]
    back = revive(world, [(0, 0), (0, 1), (0, 2)])
    assert world.text.decode(world.get(back, Memory.text)) == said


def test_what_cannot_be_asked(shelf):
    """The error says what is allowed."""
    world, _ = shelf
    with pytest.raises(ColumnValueError, match="got 7"):
        archived(world, kinds=7)
    with pytest.raises(QueryError, match=r"no column 'texts'.*did you mean 'text'"):
        archived(world, columns=["texts"])
    with pytest.raises(ColumnValueError, match="event, thought, chat; got 'dream'"):
        archived(world, kinds="dream")


def test_a_snapshot_shows_its_own_archive(tmp_path):
    """As it was then, whatever has left, come back or died since."""
    world, ids = world_of([idle(owner=k % 2, sequence=k) for k in range(6)])
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids[:4])
    save(world, tmp_path)
    revive(world, [(0, 0)])
    archive_memories(world, ids[4:])
    save(world, tmp_path)
    for number, want in ((1, [(0, 0), (0, 2), (1, 1), (1, 3)]),
                         (2, [(0, 2), (0, 4), (1, 1), (1, 3), (1, 5)])):  # fmt: skip
        image = Snapshots(tmp_path).open(number).image()
        assert keys_away(image, tmp_path) == want
        with pytest.raises(ResourceError, match="in which directory"):
            archived(image)
    assert archived(Snapshots(tmp_path).open(1).image(), quick(tmp_path)).num_rows == 4


def test_sql_sees_the_archive(tmp_path):
    """As a view beside `memories`, of a world and of a snapshot; together they are all memories."""
    world, _ = library(tmp_path)
    save(world, tmp_path)
    common = "agent, sequence, created, kind, text, importance, subject, depth"
    query = f"""SELECT {common}, 'hot' AS place FROM memories
                UNION ALL SELECT {common}, 'cold' FROM archive ORDER BY sequence"""
    for source in (world, Snapshots(tmp_path).open()):
        found = sql(source, query).rows()
        assert [row["sequence"] for row in found] == list(range(200))
        assert [row["place"] == "hot" for row in found] == [k % 10 == 0 for k in range(200)]
        assert [row["text"] for row in found] == [f"no. {k}" for k in range(200)]


def test_the_table_of_memories_fits(shelf):
    """`archived` shows what it has in the columns of another table; derived fields are null."""
    world, rows = shelf
    found = archived(world, table=MEMORIES)
    memories = [column.name for column in MEMORIES.columns]
    assert found.schema.names == [*memories, "rests_on", "evidence_for", "archived"]
    assert found.schema == archive_schema(MEMORIES)
    assert found["strength"].null_count == found.num_rows == rows["agent"].size
    assert not any(found["pinned"].to_pylist())


def test_links_are_columns(tmp_path):
    """The sequences of the other ends, of both directions."""
    world, ids = world_of([idle(sequence=k) for k in range(4)])
    world.spawn(Evidence(insight=ids[[3, 3, 2]], memory=ids[[0, 2, 1]]))
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids[:3])
    found = archived(world, columns=["sequence", "rests_on", "evidence_for"]).to_pydict()
    assert found == {
        "sequence": [0, 1, 2],
        "rests_on": ["", "", "1"],
        "evidence_for": ["3", "2", "3"],
    }


# -- coming back ----------------------------------------------------------------------------


def test_what_comes_back_is_what_went(tmp_path):
    """All components, the user's too, bit for bit; a new id, the same key, the same strength as one
    that never left; observers see it come."""
    world, ids = world_of([idle(days(k), 0.3, sequence=k, table=2 * (k % 4)) for k in range(9)])
    world.add(ids[::2], Meaning(vector=np.full((5, 3), 0.1, np.float16), weight=-0.0))
    world.add(ids[1::3], Starred)
    attach_archive(world, tmp_path, archiving=False)
    before, strengths = contents(world), strengths_of(world, ids)
    archive_memories(world, ids)
    assert contents(world) == {}
    came = []
    world.observe("add", Memory, lambda world, ids: came.extend(ids.tolist()))
    order = [4, 0, 8, 1, 7, 2, 3, 6, 5]
    back = revive(world, [(0, k) for k in order])
    assert world.get(back, Memory.sequence).tolist() == order
    assert contents(world) == before
    assert strengths_of(world, back).tolist() == strengths[order].tolist()
    assert sorted(came) == sorted(back.tolist())
    assert not np.isin(back, ids).any()
    world.check()


def test_what_cannot_come_back(tmp_path):
    """The error says why, and nothing has happened: not even to those named beside it."""
    world, ids = world_of([idle(owner=k % 2, sequence=k) for k in range(6)])
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids[:4])
    revive(world, [(0, 0)])
    digest = world.digest()
    for keys, error, match in (
        ([(1, 1), (0, 0)], QueryError, "no memory 0 of agent 0: it has not left"),
        ([(1, 1), (0, 4)], QueryError, "no memory 4 of agent 0"),
        ([(1, 1), (0, 77)], QueryError, "no memory 77 of agent 0"),
        ([(1, 1), (9, 0)], DeadEntityError, "agent 9 has died, or there never was"),
        ([(1, 1), (1, 3), (1, 1)], DuplicateEntityError, "memory 1 of agent 1 is named twice"),
        ([1, 1], ColumnShapeError, r"\(k, 2\)"),
    ):
        with pytest.raises(error, match=match):
            revive(world, keys)
        assert world.digest() == digest
    assert revive(world, []).size == 0
    assert revive(world, [(1, 1), (1, 3)]).size == 2


@pytest.mark.parametrize("component", [Statement, Memory, Evidence])
def test_an_observer_that_fails(tmp_path, component):
    """Whatever is there when it raises is away again, and can come back another time."""
    world, ids = world_of([idle(sequence=k, table=2 * (k % 4)) for k in range(8)])
    world.spawn(Evidence(insight=ids[[0, 1]], memory=ids[[2, 3]]))
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids)
    keys = keys_away(world)

    def fail(world, ids):
        raise RuntimeError("no")

    observer = world.observe("add", component, fail)
    with pytest.raises(RuntimeError, match="no"):
        revive(world, keys)
    assert (contents(world), links(world), keys_away(world)) == ({}, set(), keys)
    observer.cancel()
    assert revive(world, keys).size == 8
    assert len(links(world)) == 2


def test_the_memories_of_the_dead_are_history(tmp_path):
    """They can be read, not revived; not even by one who is given the dead one's number."""
    world, ids = world_of([idle(owner=k % 2, sequence=k) for k in range(4)])
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids)
    ann = world.query(Persona).ids()[0]
    world.despawn(ann)
    assert keys_away(world) == [(0, 0), (0, 2), (1, 1), (1, 3)]
    assert archived(world, agents=0)["agent_name"].to_pylist() == [None, None]
    with pytest.raises(DeadEntityError, match=r"agent 0 has died"):
        revive(world, [(0, 0)])
    heir = world.spawn(1, Persona(number=0), Stream)
    with pytest.raises(QueryError, match="no memory 0 of agent 0"):
        revive(world, [(0, 0)])
    own = world.spawn(1, Memory(owner=heir, sequence=0, created=NOW, text="mine"),
                      Trace(importance=0, stability=9, accessed=NOW))  # fmt: skip
    archive_memories(world, own)
    back = revive(world, [(0, 0)])
    assert world.text.decode(world.get(back, Memory.text)) == ["mine"]
    assert world.get(back, Memory.owner).tolist() == heir.tolist()


def test_coming_back_is_an_access_only_if_asked(tmp_path):
    """Then it is recalled, and holds; else it is as weak as before, and soon away again."""
    rows = [idle(days(30), 0.9, sequence=k) for k in range(2)]
    world, _ = town(tmp_path, rows, systems=[reinforce, find_inactive, forget])
    world.step(days(1))
    reader = world.events(Recalled)
    touched = revive(world, [(0, 0)], access=True)
    left = revive(world, [(0, 1)])
    told = reader.read()
    assert (told.memory.tolist(), told.time.tolist()) == (touched.tolist(), [NOW + days(1)])
    assert world.telemetry.counts["revived"] == 2
    world.step(days(1))
    assert world.alive(np.append(touched, left)).tolist() == [True, False]
    assert keys_away(world) == [(0, 1)]
    assert world.get(touched, Trace.accesses).tolist() == [2]


def test_a_class_that_is_gone(tmp_path):
    """A memory with a component that the program no longer has cannot come back; others can."""

    @component
    class Fleeting:
        pass

    world, ids = world_of([idle(sequence=k) for k in range(2)])
    world.add(ids[:1], Fleeting)
    attach_archive(world, tmp_path, archiving=False)
    archive_memories(world, ids)
    save(world, tmp_path)
    other = load(tmp_path, components=[Fleeting])
    attached_archive(world).close()
    attach_archive(other, tmp_path, archiving=False)
    assert Fleeting in other.store.numbers
    assert revive(other, [(0, 0)]).size == 1
    archive = other.resource(Archive)
    archive_memories(other, other.query(Memory).ids())
    archive.components["Fleeting"] = "somewhere:Gone"
    with pytest.raises(SchemaError, match="somewhere:Gone"):
        revive(other, [(0, 0)])
    assert revive(other, [(0, 1)]).size == 1


def test_pinned_after_it_was_told(tmp_path):
    """What was told of and pinned before it left stays; what died meanwhile is passed over."""
    world, ids = town(tmp_path, [idle(sequence=k) for k in range(4)], systems=[find_inactive])
    world.emit(Inactive(memory=ids))
    world.add(ids[:1], Pinned)
    world.despawn(ids[1:2])
    world.step(minutes(5))
    assert world.alive(ids).tolist() == [True, False, False, False]
    assert keys_away(world) == [(0, 2), (0, 3)]


def test_the_archive_of_an_empty_world(tmp_path):
    """Can be asked, saved and loaded."""
    world = World()
    attach_archive(world, tmp_path, archiving=False)
    assert archived(world).num_rows == 0
    assert archived(world, columns=["text"]).schema.types == [
        pa.dictionary(pa.uint32(), pa.large_string())
    ]
    save(world, tmp_path)
    assert len(load(tmp_path).resource(Archive)) == 0


def test_storage_errors_are_not_swallowed(tmp_path):
    """By hand, the error is raised as it is, and all is as it was."""
    world, ids = world_of([idle()])
    disk = FaultyDisk()
    attach_archive(world, LocalFiles(tmp_path, disk), archiving=False)
    digest = world.digest()
    disk.at, disk.fault = len(disk.calls) + 3, OSError(errno.ENOSPC, "full")
    with pytest.raises(StorageError, match="full"):
        archive_memories(world, ids)
    assert world.digest() == digest
