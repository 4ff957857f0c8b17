"""An object store: what is its own beside the contract, which test_files.py holds it to."""

import http.server
import json
import os
import threading

import pytest

from populace.ecs.errors import LockedError, SnapshotError, StorageError
from populace.storage.files import LocalFiles, open_files
from populace.storage.objects import ObjectFiles


class Clock:
    """Time that passes when somebody sleeps, or is told to."""

    def __init__(self):
        self.now = 1e9
        self.meanwhile = lambda: None

    def __call__(self):
        return self.now

    def sleep(self, s):
        self.now += s
        self.meanwhile()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leased(s3, clock):
    """A function that opens one folder anew, with a lease of 300 s by a clock of the test."""
    folder = s3.folder()
    return lambda: ObjectFiles(
        s3.filesystem(), folder, lease_s=300, settle_s=2, clock=clock, sleep=clock.sleep
    )


# -- opening --------------------------------------------------------------------------------


def test_a_uri_opens_a_folder_of_a_bucket(s3):
    """With its options; a file is one object below it; no password shows."""
    uri = s3.uri("bucket/by/uri").replace("s3://", "s3://me:hush@")
    files = open_files(uri)
    files.write("data/x", b"x")
    assert files.location == "s3://bucket/by/uri"
    with s3.filesystem().open_input_stream("bucket/by/uri/data/x") as stream:
        assert stream.read() == b"x"
    assert files.local_path("data/x") is None
    with pytest.raises(SnapshotError, match="s3://bucket/by/uri/y: is missing"):
        files.read("y")


def test_a_pair_opens_a_folder_of_a_file_system(s3):
    """A pyarrow.fs.FileSystem and a path in it."""
    files = open_files((s3.filesystem(), "bucket/pair/"))
    files.write("x", b"x")
    assert files.location == "s3://bucket/pair"
    assert open_files(s3.uri("bucket/pair")).names() == ["x"]


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("gopher://bucket/x", "gopher"),
        ("s3://", "a bucket must be named"),
        ("s3://me:hush@bucket/x?colour=red", "colour"),
        ("s3://me:hush@bucket:port/x", "cannot open"),
    ],
)
def test_a_uri_that_cannot_be_opened(uri, why):
    """The error says why and shows no password, nor does what led to it."""
    with pytest.raises(StorageError, match=why) as caught:
        open_files(uri)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_local_uri_is_not_an_object_store(tmp_path):
    """It gets real locks and fsyncs."""
    assert isinstance(open_files(tmp_path.as_uri()), LocalFiles)


# -- a store that refuses -------------------------------------------------------------------

CALLS = {
    "read": lambda files: files.read("x"),
    "write": lambda files: files.write("x", b"x"),
    "publish": lambda files: files.publish("x", b"x"),
    "list": lambda files: files.names(),
    "lock": lambda files: files.acquire(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_that_is_not_there(s3, call):
    """It is not taken for an empty folder or a missing file."""
    files = ObjectFiles(s3.filesystem(), "nobucket/x", settle_s=0)
    with pytest.raises(StorageError, match=r"(?i)no bucket|NO_SUCH_BUCKET"):
        CALLS[call](files)


@pytest.mark.parametrize("call", [*CALLS, "delete"])
def test_a_store_that_does_not_answer(monkeypatch, s3, call):
    """A refused connection names the store and what was asked of it."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    dead = S3FileSystem(
        endpoint_override="127.0.0.1:1",
        scheme="http",
        region="us-east-1",
        allow_delayed_open=True,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),
    )
    files = ObjectFiles(dead, "bucket/x", settle_s=0)
    with pytest.raises(StorageError, match=r"cannot .*(?i:connect).*s3://bucket/x") as caught:
        {**CALLS, "delete": lambda files: files.delete("x")}[call](files)
    assert caught.value.errno


class Forbidding(http.server.BaseHTTPRequestHandler):
    """Answers everything with "access denied"."""

    def refuse(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else text)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = refuse

    def log_message(self, *args):
        """Nothing."""


@pytest.mark.parametrize("call", CALLS)
def test_a_store_that_forbids(s3, call):
    """Without the right to it, nothing looks missing or empty."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        files = open_files(
            f"s3://bucket/x?endpoint_override=127.0.0.1:{server.server_address[1]}"
            "&scheme=http&region=us-east-1"
        )
        with pytest.raises(StorageError, match=r"(?i)access.denied"):
            CALLS[call](files)
        server.shutdown()


def test_an_object_of_many_parts(s3):
    """Above 10 MB an upload has parts; it is still one object."""
    data = os.urandom(2**20) * 23
    files = open_files(s3.uri())
    files.write("data/large", data)
    assert files.read("data/large") == data


def test_where_objects_are_not_put_whole_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    """On another kind of file system: the old file stays, the temporary one goes."""
    from pyarrow.fs import LocalFileSystem

    files = ObjectFiles(LocalFileSystem(), str(tmp_path), settle_s=0)
    files.write("x", b"old")
    (tmp_path / "y").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        files.write("y", b"new")
    assert files.names() == ["x"]
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]
    (tmp_path / ".writing-z").write_bytes(b"half")
    assert files.names() == ["x"]
    with files.lock():
        assert files.sweep_temporaries() == 1
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]


# -- the lease ------------------------------------------------------------------------------


def test_a_lease_runs_out(leased, clock):
    """Its holder may be dead: 300 s after it was renewed another gets it, and the first, if it
    was not dead, publishes no more."""
    one, other = leased(), leased()
    one.acquire()
    one.write("data/x", b"x")
    clock.now += 297
    with pytest.raises(LockedError, match=r"until 299 s ago; wait 1 s, or delete s3://.*/\.lock"):
        other.acquire()
    clock.now += 1
    other.acquire()
    for call in (one.publish, one.write):
        with pytest.raises(LockedError, match=r"the lock is lost, process \d+"):
            call("x.json", b"{}")
    with pytest.raises(LockedError, match="the lock is lost"):
        one.delete("data/x")
    one.release()  # no longer its own to release
    other.publish("y.json", b"{}")
    assert other.names() == ["data/x", "y.json"]
    other.release()
    with leased().lock():
        pass


def test_a_lease_is_renewed_by_work(leased, clock):
    """Whoever writes every now and then keeps it."""
    one, other = leased(), leased()
    one.acquire()
    for _ in range(10):
        clock.now += 200
        one.write("data/x", b"x")
        with pytest.raises(LockedError):
            other.acquire()
    one.publish("x.json", b"{}")
    one.release()


@pytest.mark.parametrize("winner", ["first", "second"])
def test_of_two_that_try_at_once_one_gets_it(leased, clock, winner):
    """The one that wrote last: both look again after a while."""
    one, other = leased(), leased()
    failed = []

    def meanwhile():
        clock.meanwhile = lambda: None
        if winner == "second":  # has looked before one wrote
            lease, other._lease = other._lease, lambda: None
            clock.meanwhile = lambda: setattr(other, "_lease", lease)
        try:
            other.acquire()
        except LockedError as error:
            failed.append(error)

    clock.meanwhile = meanwhile
    if winner == "first":
        one.acquire()
        assert len(failed) == 1
    else:
        with pytest.raises(LockedError, match="all but the last"):
            one.acquire()
        assert failed == []
    held, not_held = (one, other) if winner == "first" else (other, one)
    held.publish("x.json", b"{}")
    not_held.release()
    held.publish("y.json", b"{}")
    held.release()
    assert held.names() == ["x.json", "y.json"]


def test_a_lease_that_cannot_be_confirmed_is_not_kept(leased, clock):
    """Interrupted while it waits, `acquire` leaves no lease behind."""

    def interrupt():
        clock.meanwhile = lambda: None
        raise KeyboardInterrupt

    clock.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        leased().acquire()
    with leased().lock():
        pass


def test_a_deleted_lease_is_lost(leased):
    """Somebody has found its holder dead, so that must not commit."""
    files, other = leased(), leased()
    files.acquire()
    other._delete(".lock")
    with pytest.raises(LockedError, match="nobody has it"):
        files.publish("x.json", b"{}")
    assert files.names() == []


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"7", json.dumps({"token": 1}).encode()])
def test_a_foreign_lease_is_left_alone(leased, text):
    """Whatever it is: somebody must say that it may go."""
    leased()._put(".lock", text)
    with pytest.raises(LockedError, match="is not by populace; delete it if"):
        leased().acquire()
