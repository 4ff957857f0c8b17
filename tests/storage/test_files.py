"""Places to keep files in: the contract of all, and the local one on a disk that fails."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs.errors import LockedError, SnapshotError, StorageError
from populace.storage.disk import Disk
from populace.storage.files import LocalFiles, checked_name, open_files

from .faulty_disk import FaultyDisk, Killed

BAD_NAMES = [
    "", "/etc/passwd", "..", "../x", "data/../../x", "data//x", "data/", "./x", "a\\b", "a\0b",
    "a\nb", "\ud800", ".lock", ".writing-x", "data/.writing-x", 7, None,
]  # fmt: skip


# -- the contract ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, pa.py_buffer])
@pytest.mark.parametrize("data", [b"", b"one", bytes(range(256)) * 5000])
def test_what_is_written_is_read(place, kind, data):
    """Any bytes, by `write` or `publish`, from any kind of buffer, by another object."""
    place().write("data/one.parquet", kind(data))
    place().publish("one.json", kind(data))
    assert place().read("data/one.parquet") == data
    assert place().read("one.json", size_limit=len(data)) == data


def test_names_are_sorted_and_full(place):
    """By folder, without the lock; none where there is no such folder."""
    files = place()
    assert files.names() == files.names("data") == []
    with files.lock():
        for name in ("b.json", "data/9.parquet", "data/10.parquet", "a/b/c/d", "database/x"):
            files.write(name, b"")
        assert files.names() == ["a/b/c/d", "b.json", "data/10.parquet", "data/9.parquet",
                                 "database/x"]  # fmt: skip
    assert files.names("data") == ["data/10.parquet", "data/9.parquet"]
    assert files.names("a") == files.names("a/b/c") == ["a/b/c/d"]
    assert files.names("nowhere/at/all") == []


def test_a_file_is_replaced_as_a_whole(place):
    """A shorter file in place of a longer one."""
    place().write("x", b"long and old")
    place().write("x", b"new")
    assert place().read("x") == b"new"


def test_deleting_is_final_and_may_be_repeated(place):
    """What is deleted is missing; what is missing counts as deleted."""
    files = place()
    files.write("data/x", b"")
    for _ in range(2):
        files.delete("data/x")
    files.delete("nowhere/x")
    with pytest.raises(SnapshotError, match="data/x: is missing"):
        files.read("data/x")
    assert files.names() == []


def test_a_file_that_is_too_large_is_not_read(place):
    """The error names the file and both sizes."""
    place().write("x", b"12345")
    with pytest.raises(SnapshotError, match=r"x: has 5 bytes where at most 4"):
        place().read("x", size_limit=4)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_none_is_refused(place, name):
    """By every method that takes one, before anything happens."""
    files = place()
    for call in (
        lambda: files.read(name),
        lambda: files.write(name, b"x"),
        lambda: files.publish(name, b"x"),
        lambda: files.delete(name),
    ):
        with pytest.raises(SnapshotError, match="is not the name of a file"):
            call()
    assert files.names() == []


def test_one_object_at_a_time_holds_the_lock(place):
    """Another one is told which process has it; afterwards it may have it."""
    one, other = place(), place()
    with one.lock():
        with pytest.raises(LockedError, match=f"process {os.getpid()} on {socket.gethostname()}"):
            other.acquire()
        with pytest.raises(LockedError, match="this object already"):
            one.acquire()
        other.release()  # holds nothing, so gives nothing away
        with pytest.raises(LockedError):
            place().acquire()
        assert other.names() == []
    with other.lock():
        pass
    with pytest.raises(ZeroDivisionError), one.lock():
        raise ZeroDivisionError
    other.acquire()
    other.release()


def test_only_the_holder_of_the_lock_sweeps(place):
    """Anybody else might delete what is just being written."""
    with pytest.raises(LockedError, match="acquire the lock"):
        place().sweep_temporaries()
    files = place()
    files.write("data/x", b"x")
    with files.lock():
        assert files.sweep_temporaries() == 0
    assert files.names() == ["data/x"]


# -- local ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, "file://{}".format, lambda path: path])
def test_open_files_opens_directories(tmp_path, kind):
    """By path and by URI; nothing is made before the first write."""
    files = open_files(kind(tmp_path / "new"))
    assert isinstance(files, LocalFiles)
    assert files.names() == []
    assert list(tmp_path.iterdir()) == []
    files.write("a/b", b"x")
    assert files.local_path("a/b").read_bytes() == b"x"


@given(st.text(st.sampled_from("./\\ab\0~-\n:"), max_size=12) | st.text(max_size=5))
def test_no_name_leads_out(tmp_path_factory, name):
    """Whatever passes for a name stays below the directory, and is its own normal form."""
    try:
        checked_name(name, "here")
    except SnapshotError:
        return
    assert os.path.normpath(os.path.join("/top", name)) == f"/top/{name}"


def test_symlinks_do_not_lead_out(tmp_path):
    """Nothing is read, written or deleted behind a link out of the directory; the directory
    itself may be one, and links are not among the names."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"theirs")
    (tmp_path / "inside").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "inside")
    files = LocalFiles(tmp_path / "linked")
    files.write("y", b"mine")
    (tmp_path / "inside" / "data").symlink_to(outside)
    (tmp_path / "inside" / "z").symlink_to(outside / "x")
    for name in ("data/x", "z"):
        for call in (files.read, files.delete, lambda name: files.write(name, b"")):
            with pytest.raises(SnapshotError, match="through a symlink"):
                call(name)
    assert (outside / "x").read_bytes() == b"theirs"
    assert files.names() == ["y"]
    (tmp_path / "inside" / ".writing-w").symlink_to(outside / "x")
    with pytest.raises(StorageError, match="cannot write"):
        files.write("w", b"mine")
    assert (outside / "x").read_bytes() == b"theirs"


def test_what_is_no_file_is_not_read(tmp_path):
    """A folder and a pipe are named, and nobody waits for the pipe."""
    files = LocalFiles(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    for name in ("folder", "pipe"):
        with pytest.raises(SnapshotError, match=f"{name}: is not a file"):
            files.read(name)
    with pytest.raises(SnapshotError, match="is missing"):
        files.read("file/below")
    with pytest.raises(StorageError, match="cannot write"):
        files.write("file/below", b"")
    assert files.names() == ["file"]


def test_the_order_of_a_commit(tmp_path):
    """Contents are synced before they get their names, names before the manifest, it before the
    call returns."""
    disk = FaultyDisk()
    files = LocalFiles(tmp_path, disk)
    files.write("data/x", b"x")
    assert disk.calls == ["mkdir", "open", "write", "fsync", "stat", "close", "rename"]
    disk.calls.clear()
    files.publish("x.json", b"x")
    assert disk.calls == [
        "fsync_folder", "fsync_folder",  # the directory, which has a new folder, and that folder
        "open", "write", "fsync", "stat", "close", "rename", "fsync_folder",
    ]  # fmt: skip
    disk.calls.clear()
    files.publish("y.json", b"y")
    assert disk.calls.count("fsync_folder") == 1


def test_a_manifest_goes_before_its_data(tmp_path):
    """It is gone for good before anything that it names is; many data files cost one fsync."""
    disk = FaultyDisk()
    files = LocalFiles(tmp_path, disk)
    files.write("data/x", b"x")
    files.write("data/y", b"y")
    files.publish("x.json", b"x")
    disk.calls.clear()
    files.delete("x.json")
    files.delete("data/x")
    files.delete("data/y")
    assert disk.calls == ["remove", "fsync_folder", "remove", "remove"]


# -- a disk that fails ----------------------------------------------------------------------

ERRNOS = [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO]


def snapshot(files, number):
    """Write data, publish it, and delete an earlier snapshot, as a writer would."""
    files.write(f"data/{number}", str(number).encode() * 1000)
    files.publish(f"{number}.json", f'"data/{number}"'.encode())
    files.delete("0.json")
    files.delete("data/0")


def complete(files):
    """The numbers of the snapshots that are there, each checked against its data."""
    numbers = []
    for name in files.names():
        if name.endswith(".json"):
            data = files.read(json.loads(files.read(name)))
            assert data == name.removesuffix(".json").encode() * 1000
            numbers.append(int(name.removesuffix(".json")))
    return numbers


def count_of_calls(tmp_path):
    """The calls that `snapshot` makes in a directory that has two already."""
    files = LocalFiles(tmp_path / "count")
    snapshot(files, 0)
    snapshot(files, 1)
    disk = FaultyDisk()
    snapshot(LocalFiles(tmp_path / "count", disk), 2)
    return disk.calls


def test_any_call_may_fail(tmp_path):
    """Full, forbidden, read-only or broken: an error with errno and path, no half-written file,
    every complete snapshot still complete, and it can be done again."""
    calls = count_of_calls(tmp_path)
    assert len(calls) > 15
    for at in range(len(calls)):
        for code in ERRNOS:
            folder = tmp_path / f"{at}-{code}"
            snapshot(LocalFiles(folder), 1)
            disk = FaultyDisk(at, OSError(code, os.strerror(code)))
            files = LocalFiles(folder, disk)
            with pytest.raises(StorageError, match=os.strerror(code)) as caught:
                snapshot(files, 2)
            assert caught.value.errno == code
            assert str(folder) in str(caught.value)
            assert caught.value.__cause__ is disk.fault
            assert not [path for path in folder.rglob("*") if path.name.startswith(".writing-")]
            assert complete(LocalFiles(folder)) in ([1], [1, 2])
            published = "remove" in disk.calls[:at] or disk.calls[at] == "remove"
            assert (complete(files) == [1, 2]) == published
            snapshot(files, 2)
            assert complete(LocalFiles(folder)) == [1, 2]


def test_the_process_may_die_at_any_call(tmp_path):
    """Before the call or in the middle of a write: every snapshot with a manifest is complete,
    and the next holder of the lock sweeps what is left."""
    calls = count_of_calls(tmp_path)
    outcomes = []
    for at in range(len(calls)):
        folder = tmp_path / f"{at}"
        snapshot(LocalFiles(folder), 0)
        snapshot(LocalFiles(folder), 1)
        with pytest.raises(Killed):
            snapshot(LocalFiles(folder, FaultyDisk(at, Killed())), 2)
        files = LocalFiles(folder)
        outcomes.append(complete(files))
        left = [path for path in folder.rglob("*") if path.name.startswith(".writing-")]
        with files.lock():
            assert files.sweep_temporaries() == len(left)
        assert not [path for path in folder.rglob("*") if path.name.startswith(".writing-")]
        assert complete(files) == outcomes[-1]
    assert outcomes == sorted(outcomes)
    assert {len(numbers) for numbers in outcomes} >= {1, 2}


@pytest.mark.parametrize("fault", ["short", "lie", "nothing"])
def test_short_writes(tmp_path, fault):
    """Half taken is gone on with; half or nothing taken in silence is an error."""
    LocalFiles(tmp_path).write("x", b"before")
    files = LocalFiles(tmp_path, FaultyDisk(1, fault))
    if fault == "short":
        files.write("x", b"0123456789")
        assert files.read("x") == b"0123456789"
        return
    with pytest.raises(StorageError, match=r"\d of 10 bytes arrived") as caught:
        files.write("x", b"0123456789")
    assert caught.value.errno == errno.EIO
    assert os.listdir(tmp_path) == ["x"]
    assert files.read("x") == b"before"


def test_a_commit_that_may_not_last_is_taken_back(tmp_path):
    """If the last fsync fails, a new manifest is removed; one that was there before stays."""
    files = LocalFiles(tmp_path)
    files.publish("x.json", b"old")
    n_calls = len(["fsync_folder", "open", "write", "fsync", "stat", "close", "rename"])
    for name, left in (("y.json", ["x.json"]), ("x.json", ["x.json"])):
        broken = LocalFiles(tmp_path, FaultyDisk(n_calls - 1, OSError(errno.EIO, "broken")))
        with pytest.raises(StorageError, match="broken"):
            broken.publish(name, b"new")
        assert files.names() == left


@pytest.mark.parametrize("doing", ["read", "list", "delete", "lock"])
def test_a_disk_that_refuses_to_read_is_named(tmp_path, doing):
    """Reading, listing, deleting and locking say what they could not do, and with what."""
    LocalFiles(tmp_path).write("x", b"x")
    files = LocalFiles(tmp_path, FaultyDisk(0, PermissionError(errno.EACCES, "Permission denied")))
    call = {
        "read": lambda: files.read("x"),
        "list": files.names,
        "delete": lambda: files.delete("x"),
        "lock": files.acquire,
    }[doing]
    with pytest.raises(StorageError, match=rf"cannot {doing}: Permission denied: '{tmp_path}"):
        call()
    with files.lock():  # it did not hold the lock half
        assert files.read("x") == b"x"


@pytest.mark.parametrize("at", range(4))
def test_a_lock_that_fails_is_not_held(tmp_path, at):
    """Neither by the object that failed nor by the directory."""
    files = LocalFiles(tmp_path, FaultyDisk(at, OSError(errno.EIO, "broken")))
    with pytest.raises(StorageError, match="cannot lock: broken"):
        files.acquire()
    with LocalFiles(tmp_path).lock():
        pass
    with files.lock():
        pass


def test_a_folder_that_cannot_be_synced_need_not_be(tmp_path, monkeypatch):
    """Some network file systems answer EINVAL; other errors count."""
    real = os.fsync

    def fsync(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    code = errno.EINVAL
    LocalFiles(tmp_path).publish("x", b"x")
    code = errno.EIO
    with pytest.raises(StorageError):
        LocalFiles(tmp_path).publish("y", b"y")
    assert LocalFiles(tmp_path).names() == ["x"]


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    """What is there is returned; its hash tells."""

    class Shrinking(Disk):
        def read(self, fd, n):
            return super().read(fd, min(n, 3)) if os.lseek(fd, 0, os.SEEK_CUR) < 6 else b""

    LocalFiles(tmp_path).write("x", b"0123456789")
    assert LocalFiles(tmp_path, Shrinking()).read("x") == b"012345"


HOLD = """
import sys, time
from populace.storage.files import LocalFiles
files = LocalFiles(sys.argv[1])
files.acquire()
print("locked", flush=True)
time.sleep(60)
"""


def test_a_lock_dies_with_its_process(tmp_path):
    """Another process is named while it lives; killed, it leaves no lock."""
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(LockedError, match=f"process {holder.pid} on .*since 20"):
            LocalFiles(tmp_path).acquire()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with LocalFiles(tmp_path).lock():
        pass


def test_a_lock_file_that_says_nothing_is_still_a_lock(tmp_path):
    """Whatever it holds: the lock is the system's, the text for the reader."""
    one = LocalFiles(tmp_path)
    with one.lock():
        for text in (b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"):
            (tmp_path / ".lock").write_bytes(text)
            with pytest.raises(LockedError, match="another process writes to it"):
                LocalFiles(tmp_path).acquire()
