"""Files in an object store (S3, Google, Azure), or in anything else that pyarrow.fs opens.

Invariants: a file is one object, put whole: there is no other way to see it. Where a store cannot
promise that (HDFS, fsspec), it is written under a temporary name and moved.

The lock is a lease: an object `.lock` that names its holder, who renews it by writing, as soon as
a third of its time is over: who writes at least every 2/3 of `lease_s` keeps it. pyarrow offers no
way to create an object only if it is absent, so this is weaker than a local lock:

- a lease is refused while another's is younger than `lease_s`, also after that process has died;
- of several that try at once, all wait `settle_s` and look again; the last to write has it. Two can
  both believe they have it only if one stalls for `settle_s` between reading and writing;
- `publish` looks at the lease first and raises LockedError if it is another's. So of two such
  writers at most one commits, but for the instant between looking and putting.
- The clocks of the machines must agree to well within `lease_s`.

Cost in requests: writing 1 up to 10 MB, above that 2 and 1 for each 10 MB; `publish` 2 more;
reading 2; listing 1 for each 1,000 files; deleting 3; `acquire` 4.
An upload that a crash cuts off stays unseen but is paid for: let the bucket's lifecycle rules
delete incomplete uploads.
"""

from __future__ import annotations

import errno
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from populace.ecs.errors import LockedError, PopulaceError, SnapshotError, StorageError

from .files import (
    LOCK,
    TEMPORARY,
    Files,
    LocalFiles,
    check_size,
    checked_name,
    described,
    is_temporary,
    this_process,
)

if TYPE_CHECKING:
    import pyarrow as pa

PUTS = ("s3", "gcs", "abfs")  # pyarrow's names of the stores that put objects whole


class ObjectFiles(Files):
    """A folder of a pyarrow.fs.FileSystem.

    path: of the folder, with the bucket first. location: what messages call it. lease_s: how long
    a lease lasts that is not renewed, seconds. settle_s: how long `acquire` waits to see
    whether somebody else tries too. clock, sleep: time.time and time.sleep, or what a test has.
    """

    def __init__(
        self,
        filesystem: Any,
        path: str,
        *,
        location: str | None = None,
        lease_s: float = 300,
        settle_s: float = 2,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fs = filesystem
        self._puts = getattr(filesystem, "base_fs", filesystem).type_name in PUTS
        self._has_buckets = filesystem.type_name in PUTS
        self._top = path.strip("/") if self._puts else path.rstrip("/")
        self.location = location or f"{filesystem.type_name}://{self._top}"
        if self._has_buckets and not self._top:
            raise StorageError(errno.EINVAL, "a bucket must be named", self.location)
        self._lease_s = lease_s
        self._settle_s = settle_s
        self._clock = clock
        self._sleep = sleep
        self._token: str | None = None
        self._renewed = 0.0

    def write(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """Put one object, in place of one of that name."""
        checked_name(name, self.location)
        self._keep_lease()
        self._put(name, data)

    def publish(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        """Put one object, if the lease is still ours. All before it is durable already."""
        checked_name(name, self.location)
        self._keep_lease(look=True)
        self._put(name, data)

    def read(self, name: str, size_limit: int | None = None) -> bytes:
        """A whole object. Raises SnapshotError where there is none."""
        checked_name(name, self.location)
        found = self._read(name, size_limit)
        if found is None:
            self._require_bucket()
            raise SnapshotError(f"{self.location}/{name}: is missing")
        return found

    def names(self, folder: str = "") -> list[str]:
        """The full names of all files below a folder, sorted: one request for each 1,000."""
        top = f"{self._top}/{checked_name(folder, self.location)}" if folder else self._top
        names = [name for name in self._files(top) if not is_temporary(name) and name != LOCK]
        if not names:
            self._require_bucket()
        return sorted(names)

    def delete(self, name: str) -> None:
        """Delete an object."""
        checked_name(name, self.location)
        self._keep_lease()
        self._delete(name)

    def acquire(self) -> None:
        """Take the lease. Raises LockedError where another's is younger than `lease_s`, or another
        takes it at the same time. Waits `settle_s`.
        """
        if self._token is not None:
            raise LockedError(f"{self.location}: is locked by this object already")
        held = self._lease()
        left = 0.0 if held is None else self._lease_s - (self._clock() - held[1])
        if held is not None and left > 0:
            raise LockedError(
                f"{self.location}: {held[2]} writes to it, or did until {self._lease_s - left:.0f} "
                f"s ago; wait {left:.0f} s, or delete {self.location}/{LOCK} if it is dead"
            )
        token = uuid.uuid4().hex
        self._put_lease(token)
        self._token = token
        try:
            self._sleep(self._settle_s)
            self._keep_lease(look=True)
        except BaseException:
            with suppress(PopulaceError):
                self.release()
            raise

    def release(self) -> None:
        """Delete the lease, if it is still ours."""
        token, self._token = self._token, None
        if token is not None:
            held = self._lease()
            if held is not None and held[0] == token:
                self._delete(LOCK)

    def sweep_temporaries(self) -> int:
        """Delete every file with a temporary name; a store that puts objects whole has none."""
        if self._token is None:
            raise LockedError(f"{self.location}: acquire the lock before sweeping")
        left = [] if self._puts else [name for name in self._files(self._top) if is_temporary(name)]
        for name in left:
            self._delete(name)
        return len(left)

    def below(self, folder: str) -> ObjectFiles:
        """A folder of this one, in the same file system."""
        return ObjectFiles(
            self._fs,
            f"{self._top}/{checked_name(folder, self.location)}",
            location=f"{self.location}/{folder}",
            lease_s=self._lease_s,
            settle_s=self._settle_s,
            clock=self._clock,
            sleep=self._sleep,
        )

    # -- the lease ------------------------------------------------------------------------------

    def _lease(self) -> tuple[str, float, str] | None:
        """(token, when it was renewed, whose it is in words) of the lease, if there is one."""
        data = self._read(LOCK, 10_000)
        if data is None:
            return None
        try:
            told = json.loads(data)
            return str(told["token"]), float(told["renewed"]), described(data)
        except (ValueError, KeyError, TypeError) as error:
            raise LockedError(
                f"{self.location}/{LOCK}: is not by populace; delete it if nobody writes there"
            ) from error

    def _put_lease(self, token: str) -> None:
        now = self._clock()
        self._put(LOCK, json.dumps({**this_process(), "token": token, "renewed": now}).encode())
        self._renewed = now

    def _keep_lease(self, look: bool = False) -> None:
        """Renew the lease when a third of its time is over; LockedError where it was lost."""
        if self._token is None:
            return
        due = self._clock() - self._renewed > self._lease_s / 3
        if due or look:
            held = self._lease()
            if held is None or held[0] != self._token:
                whose = "nobody" if held is None else held[2]
                raise LockedError(
                    f"{self.location}: the lock is lost, {whose} has it: who does not renew it for "
                    f"{self._lease_s:.0f} s may lose it, and of several that take it at once all "
                    f"but the last do; acquire it anew, and write again what is not published"
                )
        if due:
            self._put_lease(self._token)

    # -- the store ------------------------------------------------------------------------------

    def _put(self, name: str, data: bytes | memoryview | pa.Buffer) -> None:
        path = f"{self._top}/{name}"
        folder, _, last = path.rpartition("/")
        target = path if self._puts else f"{folder}/{TEMPORARY}{last}"
        with self._refused("write", name):
            if not self._puts:
                self._fs.create_dir(folder)
            try:
                with self._fs.open_output_stream(target, compression=None) as stream:
                    stream.write(data)
                if target != path:
                    self._fs.move(target, path)
            except BaseException:
                if target != path:
                    with suppress(OSError):
                        self._fs.delete_file(target)
                raise

    def _read(self, name: str, size_limit: int | None) -> bytes | None:
        with self._refused("read", name):
            try:
                with self._fs.open_input_file(f"{self._top}/{name}") as stream:
                    check_size(f"{self.location}/{name}", stream.size(), size_limit)
                    found: bytes = stream.read()
                    return found
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _delete(self, name: str) -> None:
        with self._refused("delete", name):
            try:
                self._fs.delete_file(f"{self._top}/{name}")
            except FileNotFoundError:
                return

    def _files(self, top: str) -> Iterator[str]:
        """The name of every file below a folder."""
        from pyarrow.fs import FileSelector, FileType

        with self._refused("list", top.removeprefix(self._top)):
            selector = FileSelector(top, recursive=True, allow_not_found=True)
            for info in self._fs.get_file_info(selector):
                if info.type == FileType.File:
                    yield info.path.removeprefix(f"{self._top}/")

    def _require_bucket(self) -> None:
        """A missing bucket looks like an empty one, but for this: one request."""
        from pyarrow.fs import FileType

        bucket = self._top.partition("/")[0]
        with self._refused("open", ""):
            if self._has_buckets and self._fs.get_file_info(bucket).type == FileType.NotFound:
                raise FileNotFoundError(errno.ENOENT, f"there is no bucket {bucket!r}")

    @contextmanager
    def _refused(self, doing: str, name: str) -> Iterator[None]:
        """What the store refuses, as a StorageError that says what it was asked to do."""
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            code = getattr(error, "errno", None) or errno.EIO
            why = getattr(error, "strerror", None) or error
            path = f"{self.location}/{name}".rstrip("/")
            raise StorageError(code, f"cannot {doing}: {why}", path) from error


def open_objects(destination: str | Path | tuple[Any, str]) -> Files:
    """What `open_files` does for a URI, or for a pair of file system and path."""
    import pyarrow as pa
    from pyarrow import fs

    if isinstance(destination, tuple):
        return ObjectFiles(*destination)
    uri = str(destination)
    shown = uri.partition("?")[0]
    if "@" in shown:  # a name and password are for nobody's log
        shown = shown.partition("://")[0] + "://" + shown.rpartition("@")[2]
    if uri.startswith("s3://"):  # so that a small object is one request and not three
        uri += ("&" if "?" in uri else "?") + "allow_delayed_open=true"
    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, pa.ArrowException) as error:
        why = str(error).replace(uri, shown)
        raise StorageError(errno.EINVAL, f"cannot open: {why}", shown) from None
    if isinstance(filesystem, fs.LocalFileSystem):
        return LocalFiles(path)
    return ObjectFiles(filesystem, path, location=shown)
