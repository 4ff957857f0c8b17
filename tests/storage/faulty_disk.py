"""A disk that fails where it is told to: at any one call, in any way, or for good."""

from populace.storage.disk import Disk

CALLS = (
    "open", "close", "read", "write", "fsync", "fsync_folder", "stat",
    "truncate", "lock", "unlock", "rename", "remove", "mkdir", "entries",
)  # fmt: skip


class Killed(BaseException):
    """The process ended here."""


class FaultyDisk(Disk):
    """The real disk, but for its call number `at`, from 0 (`calls` has the names of all so far).

    fault: an exception to raise instead of that call; or, for a write, "short" takes half of the
    bytes and says so, "lie" takes half and says all, "nothing" takes none. Killed is for good: no
    later call does anything, and half of a write that it hits reaches the file.
    """

    def __init__(self, at=None, fault=None):
        self.at, self.fault = at, fault
        self.calls = []
        self.dead = False

    def _call(self, name, args):
        real = getattr(super(), name)
        if self.dead:
            raise Killed
        self.calls.append(name)
        if len(self.calls) - 1 != self.at:
            return real(*args)
        if isinstance(self.fault, str):
            assert name == "write"
            n = {"nothing": 0}.get(self.fault, len(args[1]) // 2)
            taken = real(args[0], args[1][:n])
            return len(args[1]) if self.fault == "lie" else taken
        if isinstance(self.fault, Killed):
            self.dead = True
            if name == "write":
                real(args[0], args[1][: len(args[1]) // 2])
        if name == "close":  # Linux closes, whatever it answers
            real(*args)
        raise self.fault


def _method(name):
    return lambda self, *args: self._call(name, args)


for _name in CALLS:
    setattr(FaultyDisk, _name, _method(_name))
assert set(CALLS) == {name for name in vars(Disk) if not name.startswith("_")}
