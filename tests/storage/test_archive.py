"""The archive's files: what is written is read, what does not count is nobody's."""

import errno
import gc
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.ecs import World, days
from populace.ecs.errors import (
    KeyMismatchError,
    LockedError,
    ResourceError,
    SnapshotError,
    StorageError,
)
from populace.storage.archive import ARCHIVE, FAR, NAME, Archive, months_of
from populace.storage.claims import Claim, clear_archive
from populace.storage.disk import Disk
from populace.storage.files import LocalFiles
from populace.storage.keys import Key
from populace.storage.partitions import Partitions, joined
from populace.storage.plain import flatten, rebuild
from populace.storage.snapshot import Snapshots, load, save

from .crashing import PowerDisk, quick
from .faulty_disk import FaultyDisk

KEY = Key(bytes(range(32)))
YEAR = days(365)
DAY_0 = days(19_500)


def rows_of(agents, created, first=0):
    """Rows of agents, the sequence counting up from `first`; every kind of column."""
    agent = np.asarray(agents, np.uint32)
    n = agent.size
    sequence = np.arange(first, first + n, dtype=np.uint32)
    return {
        "agent": agent,
        "agent_entity": agent.astype(np.uint64) | np.uint64(2**32),
        "sequence": sequence,
        "created": np.broadcast_to(np.asarray(created, np.int64), n).copy(),
        "text": np.array([f"no. {k}, été \ud800" for k in sequence], object),
        "weight": np.sqrt(sequence).astype(np.float32),
        "liked": sequence % 3 == 0,
        "vector": np.outer(sequence, [1, -1, 0.5]).astype(np.float16),
    }


def write(partitions, archive, rows, claim=None):
    """Write rows, and let them count."""
    claim = claim or Claim(partitions.files, archive.kept())
    change = partitions.write(archive, rows, claim, {})
    archive.replace(change.gone, change.added)
    claim.names = frozenset(archive.kept())
    return change


def everything(partitions, archive):
    """All rows that count, by (agent, sequence): the values of the other columns, as bytes."""
    parts = []
    for file in archive.files():
        counting = archive.counting(file)
        columns = partitions.read(file)
        parts.append({name: column[counting] for name, column in columns.items()})
    return told(joined(parts)) if parts else {}


def told(rows):
    names = [name for name in rows if name not in ("agent", "sequence")]
    return {
        (int(rows["agent"][i]), int(rows["sequence"][i])): tuple(
            rows[name][i] if rows[name].dtype == object else rows[name][i].tobytes()
            for name in sorted(names)
        )
        for i in range(rows["agent"].size)
    }


@pytest.fixture
def partitions(tmp_path):
    return Partitions(LocalFiles(tmp_path))


# -- which files count ----------------------------------------------------------------------


@given(st.integers(-(10**9), 10**11), st.integers(0, 999_999))
def test_a_month_is_that_of_the_calendar(second, micro):
    """From the year 1938 on, to the µs."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second, microseconds=micro)
    got = months_of(np.array([second * 10**6 + micro]))
    assert got[0] == (moment.year - 1970) * 12 + moment.month - 1


def test_every_time_has_a_month(partitions):
    """Never and long ago too; their partitions have names as others do."""
    times = np.array([-(2**63), -FAR, -1, 0, FAR, 2**63 - 1])
    archive = Archive()
    write(partitions, archive, rows_of([1] * 6, times))
    assert months_of(times).tolist() == sorted(months_of(times).tolist())
    assert all(NAME.fullmatch(file.name) for file in archive.files())
    assert len(everything(partitions, archive)) == 6


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3 * YEAR)), min_size=1, max_size=30),
    st.lists(st.integers(0, 40), max_size=5),
    st.integers(0, 3 * YEAR),
    st.integers(0, 3 * YEAR),
)
@examples(max_examples=50)
def test_no_file_is_passed_over_that_has_such_rows(tmp_path_factory, rows, agents, since, until):
    """Whatever agents and times are asked for; and all files are good for something asked."""
    partitions = Partitions(quick(tmp_path_factory.mktemp("archive")))
    archive = Archive(buckets=4)
    agent, created = np.array(rows).T
    write(partitions, archive, rows_of(agent, created))
    found = archive.files(np.array(agents), since, until)
    got = joined([partitions.read(f) for f in found]) if found else rows_of([], [])
    fits = np.isin(agent, agents) & (created >= since) & (created < until)
    assert set(np.flatnonzero(fits)) <= set(got["sequence"].tolist())
    assert len(archive.files()) == len(archive.files(np.arange(41), 0, 3 * YEAR))


def test_a_snapshot_holds_the_list(partitions):
    """Flattened and rebuilt it names the same files, rows that have come back, and links."""
    archive = Archive(buckets=3, components={"Starred": "tests:Starred"})
    write(partitions, archive, rows_of(np.arange(200), DAY_0))
    archive.mark_revived(np.array([1, 1]), np.array([3, 5]))
    archive.links = np.array([[7, 1, 0]], np.uint64)
    flat, arrays = flatten(archive)
    back = rebuild(flat, arrays, lambda path: Archive)
    assert back.files() == archive.files()
    assert back.kept() == archive.kept()
    assert back.links.tolist() == archive.links.tolist()
    assert (back.components, back.written, back.buckets) == (archive.components, 3, 3)
    assert len(back) == 198


def test_equal_worlds_have_equal_digests(tmp_path):
    """Whatever their files are called and whether they are encrypted; others have others."""

    def digest(key=None, buckets=16, **change):
        world, archive = World(), Archive(buckets=buckets)
        rows = rows_of(np.arange(40) % 3, DAY_0) | change
        files = LocalFiles(tmp_path / f"{len(list(tmp_path.iterdir()))}")
        write(Partitions(files, key), archive, rows)
        world.insert(archive)
        return world.digest()

    assert digest() == digest() == digest(KEY)
    texts = np.array(["other"] + [""] * 39, object)
    other = {digest(), digest(text=texts), digest(buckets=2), digest(weight=np.ones(40, "f4"))}
    assert len(other) == 4


# -- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_written_is_read(tmp_path, key):
    """Bit for bit: payloads of NaNs, halves of surrogate pairs, flags, vectors."""
    partitions, archive = Partitions(LocalFiles(tmp_path), key), Archive()
    rows = rows_of(np.arange(100) % 7, DAY_0 + np.arange(100) * days(3))
    rows["weight"].view(np.uint32)[:2] = [0x7FC0_1234, 0x8000_0000]
    write(partitions, archive, rows)
    assert everything(partitions, archive) == told(rows)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=25), st.integers(0, 99))
@examples(max_examples=40)
def test_a_partition_has_few_files(tmp_path_factory, sizes, seed):
    """Each has at least twice the rows of the next, whatever came when; nothing is lost, and each
    writing makes one."""
    partitions = Partitions(quick(tmp_path_factory.mktemp("archive")))
    archive, want, first = Archive(buckets=1), {}, 0
    draw = np.random.default_rng(seed)
    for turn, n in enumerate(sizes):
        rows = rows_of(draw.integers(0, 5, n), DAY_0, first)
        change = write(partitions, archive, rows)
        want |= told(rows)
        first += n
        assert [file.number for file in change.added] == [turn]
        kept = [file.rows for file in archive.files()]
        assert all(a >= 2 * b for a, b in pairwise(kept))
    assert everything(partitions, archive) == want
    assert sum(kept) == sum(sizes)


def test_rows_that_came_back_are_left_behind(partitions):
    """When their file is taken up into another; a file of which none is left is not listed."""
    archive = Archive(buckets=1)
    write(partitions, archive, rows_of([1] * 8, DAY_0))
    archive.mark_revived(np.array([0, 0]), np.array([2, 7]))
    write(partitions, archive, rows_of([1] * 6, DAY_0, first=8))
    assert [file.rows for file in archive.files()] == [12]
    assert archive.revived.size == 0
    archive.mark_revived(np.full(12, 1), np.arange(12))
    assert (archive.files(), len(archive), archive.revived.size) == ([], 0, 0)


def test_a_column_that_only_some_have(partitions):
    """Rows of a file that lacks it have "", 0 or False there when files become one."""
    archive = Archive(buckets=1)
    plain = {k: v for k, v in rows_of([1, 1], DAY_0).items() if k in
             ("agent", "agent_entity", "sequence", "created")}  # fmt: skip
    write(partitions, archive, plain)
    write(partitions, archive, rows_of([1, 1], DAY_0, first=2))
    (file,) = archive.files()
    read = partitions.read(file)
    assert read["text"][:2].tolist() == ["", ""]
    assert (read["weight"][:2].tolist(), read["liked"][:2].tolist()) == ([0, 0], [False, False])
    assert read["vector"][:2].tolist() == [[0, 0, 0]] * 2


def test_anybody_can_read_them(tmp_path):
    """DuckDB and polars see the partitions as columns, and prune by them."""
    archive = Archive()
    rows = rows_of(np.arange(64) % 20, DAY_0 + np.arange(64) * days(1))
    rows["text"] = np.array([f"no. {k}" for k in range(64)], object)
    write(Partitions(LocalFiles(tmp_path)), archive, rows)
    where = f"{tmp_path}/archive/**/*.parquet"
    got = duckdb.sql(
        f"SELECT agent, sequence, text, month, bucket FROM read_parquet('{where}', "
        f"hive_partitioning = true) ORDER BY sequence"
    ).fetchall()
    months = [datetime.fromtimestamp(t / 1e6, UTC).strftime("%Y-%m") for t in rows["created"]]
    assert got == [(k % 20, k, f"no. {k}", months[k], k % 20 % 16) for k in range(64)]
    polars = pytest.importorskip("polars")
    frame = polars.scan_parquet(where, hive_partitioning=True)
    some = frame.filter(polars.col("month") == months[0]).select("sequence", "bucket").collect()
    assert sorted(some.rows()) == [(k, k % 16) for k in range(64) if months[k] == months[0]]


def test_any_place_will_do(place):
    """A local folder, an object store, another file system: rows come back, the lock is one, and
    what nobody names is cleared."""
    archive = Archive(buckets=2)
    files = place()
    claim = Claim(files)
    rows = rows_of(np.arange(20), DAY_0)
    write(Partitions(files), archive, rows, claim)
    again = Partitions(place())
    assert everything(again, archive) == told(rows)
    assert again.missing(archive) == []
    with files.lock():
        assert clear_archive(files, set) == 0
        claim.release()
        assert clear_archive(files, set) == 2
    assert again.missing(archive) == sorted(archive.kept())
    with pytest.raises(SnapshotError, match="is missing"):
        everything(again, archive)


def test_a_claim_that_was_released_writes_nothing(partitions):
    """The error says so."""
    claim = Claim(partitions.files)
    claim.release()
    with pytest.raises(ResourceError, match="released"):
        partitions.write(Archive(), rows_of([1], DAY_0), claim, {})


# -- damage ---------------------------------------------------------------------------------

DAMAGE = {
    "gone": lambda path: path.unlink(),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"!"),
    "empty": lambda path: path.write_bytes(b""),
    "one bit": lambda path: path.write_bytes(
        bytes(b ^ (k == 200) for k, b in enumerate(path.read_bytes()))
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("key", [None, KEY])
def test_damage_is_told(tmp_path, how, key):
    """The error names the file; other files are read, and what is written later takes it up not."""
    partitions, archive = Partitions(LocalFiles(tmp_path), key), Archive()
    write(partitions, archive, rows_of([1, 2, 2], DAY_0))
    bad, good = archive.files()
    DAMAGE[how](tmp_path / bad.name)
    with pytest.raises(SnapshotError, match=bad.name):
        partitions.read(bad)
    assert partitions.read(good)["sequence"].tolist() == [1, 2]
    write(partitions, archive, rows_of([1, 1], DAY_0, first=3))
    assert bad in archive.files()
    assert partitions.read(archive.files()[-1])["sequence"].tolist() == [3, 4]


def test_a_file_in_the_place_of_another(tmp_path, partitions):
    """Is not taken for it."""
    archive = Archive()
    write(partitions, archive, rows_of([1, 2], DAY_0))
    one, other = (tmp_path / file.name for file in archive.files())
    one.write_bytes(other.read_bytes())
    with pytest.raises(SnapshotError, match=archive.files()[0].name):
        partitions.read(archive.files()[0])


def test_encrypted_files_need_their_key(tmp_path):
    """None, or another, is refused; files from before there was one are read with it."""
    files, archive = LocalFiles(tmp_path), Archive()
    write(Partitions(files), archive, rows_of([1] * 8, DAY_0))
    write(Partitions(files, KEY), archive, rows_of([1], DAY_0, first=8))
    plain, sealed = archive.files()
    assert (plain.sealed, sealed.sealed) == (False, True)
    assert b"no. 8" not in (tmp_path / sealed.name).read_bytes()
    for wrong in (None, Key(bytes(32))):
        with pytest.raises(KeyMismatchError, match=sealed.name):
            Partitions(files, wrong).read(sealed)
    for file in (plain, sealed):
        assert Partitions(files, KEY).read(file)["agent"].size == file.rows


# -- a disk that fails ----------------------------------------------------------------------


def test_a_disk_that_refuses_any_one_call(tmp_path):
    """The error is a StorageError, what counted before counts and nothing else, no new file is
    left, and the next writing succeeds."""
    before, after = rows_of([1, 1, 2], DAY_0), rows_of([1, 1, 2, 3], DAY_0, first=3)
    refused = 0
    for at in range(500):
        where = tmp_path / f"{at}"
        archive = Archive()
        write(Partitions(LocalFiles(where)), archive, before)
        held = {str(p) for p in where.rglob("*.parquet")}
        disk = FaultyDisk()
        partitions = Partitions(LocalFiles(where, disk))
        claim = Claim(partitions.files, archive.kept())
        begin = len(disk.calls)
        disk.at, disk.fault = begin + at, OSError(errno.ENOSPC, "no space left")
        n_before, failed = len(disk.calls), False
        try:
            change = partitions.write(archive, after, claim, {})
        except StorageError:
            failed = True
        n_calls, disk.at = len(disk.calls) - n_before, None
        if failed:
            refused += 1
            assert everything(partitions, archive) == told(before)
            assert claim.names == archive.kept().keys()
            if disk.calls[begin + at] not in ("close", "remove"):
                assert {str(p) for p in where.rglob("*.parquet")} == held
            write(partitions, archive, after, claim)
        else:
            archive.replace(change.gone, change.added)
        assert everything(partitions, archive) == told(before) | told(after)
        if at >= n_calls:
            break
    assert refused > 20


def test_a_loss_of_power_takes_nothing_that_was_written(tmp_path):
    """When `write` has returned, every file and every folder that leads to it is on disk."""
    disk = PowerDisk(tmp_path)
    partitions, archive = Partitions(LocalFiles(tmp_path, disk)), Archive()
    for turn in range(3):
        write(partitions, archive, rows_of([1, 2, 3], DAY_0 + turn * YEAR, first=3 * turn))
        for file in archive.files():
            data = disk.certain[tmp_path / file.name]
            assert data == (tmp_path / file.name).read_bytes()


def test_every_folder_is_synced(tmp_path):
    """Also one that an earlier writing made, and could not fill."""

    class Noting(Disk):
        def __init__(self):
            self.made, self.synced, self.full = [], [], True

        def mkdir(self, path):
            super().mkdir(path)
            self.made.append(path)

        def fsync_folder(self, path):
            super().fsync_folder(path)
            self.synced.append(path)

        def rename(self, old, new):
            if self.full:
                raise OSError(errno.ENOSPC, "no space left")
            super().rename(old, new)

    disk, archive = Noting(), Archive()
    partitions = Partitions(LocalFiles(tmp_path / "new", disk))
    claim = Claim(partitions.files)
    with pytest.raises(StorageError):
        partitions.write(archive, rows_of([1], DAY_0), claim, {})
    disk.full = False
    write(partitions, archive, rows_of([1], DAY_0), claim)
    below = [path for path in disk.made if path.parent.name.startswith((ARCHIVE, "month"))]
    assert len(below) == 2
    assert {path.parent for path in below} <= set(disk.synced)


# -- whose files they are -------------------------------------------------------------------


def archived_world(where, agents=(1, 2), key=None):
    """A world with an archive in a directory, not saved yet, and its claim."""
    world, archive = World(), Archive()
    partitions = Partitions(LocalFiles(where), key)
    claim = Claim(partitions.files)
    write(partitions, archive, rows_of(agents, DAY_0), claim)
    world.insert(archive)
    return world, claim


def files_in(where):
    return {
        str(path.relative_to(where)) for path in where.rglob("*.parquet") if ARCHIVE in path.parts
    }


def test_files_that_nobody_names_are_cleared(tmp_path):
    """By the next writer, when the world that wrote them is gone; nothing else is."""
    world, claim = archived_world(tmp_path)
    (tmp_path / "archive" / "notes.txt").write_text("mine")
    (tmp_path / "archive" / "month=2023-05" / "mine.parquet").write_text("mine")
    own = set(world.resource(Archive).kept())
    assert own < files_in(tmp_path)
    save(World(), tmp_path)
    assert own < files_in(tmp_path)  # a running world names them
    claim.release()
    claim.release()
    save(World(), tmp_path)
    assert files_in(tmp_path) == {"archive/month=2023-05/mine.parquet"}
    assert (tmp_path / "archive" / "notes.txt").exists()


def test_files_that_a_snapshot_names_are_kept(tmp_path):
    """As long as it is there, and they are part of it; also through `compact`."""
    world, claim = archived_world(tmp_path)
    assert save(world, tmp_path).kept == world.resource(Archive).kept()
    named = files_in(tmp_path)
    claim.release()
    save(World(), tmp_path)
    Snapshots(tmp_path).compact()
    assert files_in(tmp_path) == named == load(tmp_path, number=1).resource(Archive).kept().keys()
    Snapshots(tmp_path).prune(1)
    assert files_in(tmp_path) == set()


def test_a_claim_that_is_dropped_has_ended(tmp_path):
    """Its world was collected, so nobody can ask for its files."""
    world, claim = archived_world(tmp_path)
    del world, claim
    gc.collect()
    save(World(), tmp_path)
    assert files_in(tmp_path) == set()


def test_nothing_is_cleared_where_a_manifest_is_damaged(tmp_path):
    """Nobody can say which files it names; saving goes on."""
    _, claim = archived_world(tmp_path)
    claim.release()
    left = files_in(tmp_path)
    name = save(World(), tmp_path).name
    assert files_in(tmp_path) == set()
    _, claim = archived_world(tmp_path)
    claim.release()
    left = files_in(tmp_path)
    (tmp_path / name).write_bytes(b"?")
    save(World(), tmp_path)
    assert files_in(tmp_path) == left
    with pytest.raises(SnapshotError, match=name):
        Snapshots(tmp_path).prune(1)
    assert files_in(tmp_path) == left


CHILD = """
import sys
from populace.storage.claims import Claim
from populace.storage.files import LocalFiles
claim = Claim(LocalFiles(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_world_of_another_process_is_left_in_peace(tmp_path):
    """While it has claims nothing is cleared, and nobody else makes any; when it has died, both."""
    _, claim = archived_world(tmp_path)
    claim.release()
    left = files_in(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"claimed\n"
        save(World(), tmp_path)
        assert files_in(tmp_path) == left
        with pytest.raises(LockedError, match=f"process {child.pid} "):
            Claim(LocalFiles(tmp_path))
        child.kill()
    Claim(LocalFiles(tmp_path)).release()
    save(World(), tmp_path)
    assert files_in(tmp_path) == set()


def test_clearing_counts_and_looks_up_names_only_if_it_must(tmp_path):
    """A directory without an archive costs no look at its manifests."""

    def fail():
        raise AssertionError

    assert clear_archive(LocalFiles(tmp_path), fail) == 0
    _, claim = archived_world(tmp_path, agents=(1, 2, 3))
    claim.release()
    assert clear_archive(LocalFiles(tmp_path), set) == 3


def test_a_world_is_not_saved_away_from_its_archive(tmp_path):
    """The error says what to do; nothing is published."""
    world, _claim = archived_world(tmp_path / "here")
    with pytest.raises(SnapshotError, match=r"lacks 2 files .* copy_archive"):
        save(world, tmp_path / "there")
    assert Snapshots(tmp_path / "there").numbers() == []
