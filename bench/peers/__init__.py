"""The peers: other libraries that do the same work, each as its own docs recommend.

One module for each peer, which says what it is and offers runs for the cases it can take part in:

    PEER = Peer("esper", "esper", workloads={"iter_2c": iterate, "spawn_4c": spawn})

Each peer of a case takes turns with Populace and the bound, in one process, one peer after the
other. Nothing but the peer's own module imports the peer, and only inside functions: one that is
not there is told as "not installed". What a workload computes is checked by `Entry.check` before it
is timed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer's part in one case at one size.

    call: what is timed. before: restores the state before each call, not timed. check: asserts,
    after a restored state and one call, that the peer computed what Populace does.
    """

    call: Callable[[], object]
    check: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library.

    name: as its makers write it. package: the distribution that it comes in. workloads: for the
    names of cases, what makes an entry at a size. most: the largest size that it takes part in, by
    case, where it would take minutes or all memory beyond; `largest` for the others. absent: says
    why it cannot take part here, None if it can; by default whether the package is installed.
    """

    name: str
    package: str
    workloads: Mapping[str, Callable[[int], Entry]]
    most: Mapping[str, int] = field(default_factory=dict)
    largest: int = 1_000_000
    absent: Callable[[], str | None] | None = None

    def why_absent(self) -> str | None:
        """Why it does not take part: "not installed"; None if it does."""
        if self.absent is not None:
            return self.absent()
        return None if self.version() else "not installed"

    def version(self) -> str:
        """Its version, "" if it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""

    def takes(self, case: str, size: int) -> bool:
        """Whether it is to run a case at a size."""
        return size <= self.most.get(case, self.largest)


def discover() -> list[Peer]:
    """The peers of every module `*_peer` of this package, in their order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    peers = [name for name in names if name.endswith("_peer")]
    return [importlib.import_module(f"{__name__}.{name}").PEER for name in peers]
