"""Cases, peers and figures made by hand, for tests of how figures are got and shown."""

import time
from types import MappingProxyType

from bench.harness import Case, Contest, Figures, PeerFigures, Run
from bench.measure import Measured
from bench.peers import Entry, Peer

NOTHING = MappingProxyType({})


def case(name="walk", subjects=("fast", "slow"), bound=True, **rest):
    """A case whose contestants do nothing."""

    def setup(n):
        return Contest({each: Run(idle) for each in subjects}, Run(idle) if bound else None)

    given = {"target": {}, "sizes": (10, 100), "area": "ecs"}
    return Case(name, f"How to {name}.", setup, subjects, **(given | rest))


def idle():
    """Does nothing."""


def peer(name="rival", workloads=("walk",), call=idle, check=idle, before=None, **rest):
    """A peer that is there and does this."""
    entries = {each: (lambda n: Entry(call, check, before)) for each in workloads}
    given = {"absent": lambda: None}
    return Peer(name, "numpy", entries, **(given | rest))


def wait_ms(ms):
    """A call of so many ms."""
    return lambda: time.sleep(ms / 1e3)


def figures(size, subject_ns, bound_ns=None, rounds=9):
    """Of a subject whose quartiles are a tenth below and above the median."""

    def around(value):
        return (0.9 * value, value, 1.1 * value)

    return Figures(
        size=size,
        rows=size,
        rounds=rounds,
        subject_ns=around(subject_ns),
        bound_ns=around(bound_ns) if bound_ns else None,
        ratio=around(subject_ns / bound_ns) if bound_ns else None,
        p99_ns=1.5 * subject_ns,
    )


def measured(size, subjects, peers=NOTHING, absent=NOTHING, bound_ns=None, rounds=9):
    """subjects: name -> ns. peers: name -> (ns, ratio of the first subject's quartiles)."""
    return Measured(
        {name: figures(size, ns, bound_ns) for name, ns in subjects.items()},
        {
            name: PeerFigures(rounds, (0.9 * ns, ns, 1.1 * ns), dict.fromkeys(subjects, ratio))
            for name, (ns, ratio) in peers.items()
        },
        absent,
    )
