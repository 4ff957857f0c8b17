"""The same cases for pytest-benchmark, at their smallest size: `pytest bench --benchmark-only`.

A group is one case; its bound stands beside its subjects. Setting a case up also verifies it, so
this is the quick check that every benchmark still measures what it says. Those that take minutes
are left to `python -m bench`.
"""

import gc
from functools import lru_cache

import pytest

from .harness import discover

CONTESTANTS = [
    (case, name) for case in discover() if not case.cold for name in (*case.subjects, "bound")
]


@lru_cache(maxsize=1)
def smallest(case):
    """Kept for the contestants that follow."""
    return case.contest(case.sizes[0])


@pytest.mark.parametrize(
    ("case", "contestant"), CONTESTANTS, ids=[f"{case.name}-{name}" for case, name in CONTESTANTS]
)
def test_case(benchmark, case, contestant):
    contest = smallest(case)
    run = {**contest.subjects, "bound": contest.bound}[contestant]
    benchmark.group = f"{case.name}, {case.sizes[0]:,}"

    def restore():
        run.before()

    if run.before is not None:
        benchmark.pedantic(run.call, setup=restore, rounds=case.rounds, warmup_rounds=1)
    elif case.elsewhere:
        benchmark.pedantic(run.call, rounds=case.rounds)
    else:
        benchmark(run.call)
    gc.collect()
