"""The same cases for pytest-benchmark, at their smallest size: `pytest bench --benchmark-only`.

A group is one case of an area; bound and peers stand beside its subjects. Setting a case up also
verifies it, and peers are checked, so this is the quick check that every benchmark still measures
what it says. A peer that is not there is skipped with its reason. Those that take minutes are left
to `python -m bench`.
"""

import gc
from functools import lru_cache

import pytest

from .harness import area_order, discover, size_name
from .measure import Pace, entered, why_absent
from .peers import discover as discover_peers

PEERS = {peer.name: peer for peer in discover_peers()}
CASES = sorted((c for c in discover() if not c.cold), key=lambda case: area_order(case.area))
CONTESTANTS = [
    pytest.param(case, name, id=f"{case.area}-{case.name}-{name}")
    for case in CASES
    for name in (
        *case.subjects,
        "bound",
        *(name for name, peer in PEERS.items() if case.name in peer.workloads),
    )
]


@lru_cache(maxsize=1)
def smallest(case):
    """Kept for the contestants that follow."""
    return case.contest(case.sizes[0])


def run_of(case, name):
    """What is timed of a contestant; skips one that is not there."""
    size = case.sizes[0]
    contest = smallest(case)
    if name in contest.subjects:
        return contest.subjects[name]
    if name == "bound":
        return contest.bound or pytest.skip("there is no bound")
    why = why_absent(PEERS[name], case.name, size, Pace(), {})
    return entered(PEERS[name], case.name, size)[0] if why is None else pytest.skip(why)


@pytest.mark.parametrize(("case", "contestant"), CONTESTANTS)
def test_case(benchmark, case, contestant):
    run = run_of(case, contestant)
    benchmark.group = f"{case.area}: {case.name}, {size_name(case.sizes[0])}"
    benchmark.extra_info.update(area=case.area, case=case.name, contestant=contestant)

    def restore():
        run.before()

    if run.before is not None:
        benchmark.pedantic(run.call, setup=restore, rounds=case.rounds, warmup_rounds=1)
    elif case.elsewhere:
        benchmark.pedantic(run.call, rounds=case.rounds)
    else:
        benchmark(run.call)
    gc.collect()
