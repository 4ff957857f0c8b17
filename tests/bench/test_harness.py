"""What a case says of itself, and where it is found."""

import pytest
from bench.cases_minds import CACHED_BYTES, moved
from bench.harness import (
    AREAS,
    Contest,
    Loss,
    Run,
    area_order,
    cases_of,
    discover,
    ratio,
    size_name,
    us_beyond,
)

from .made import case, figures


def test_a_case_has_the_area_of_its_module():
    """Unless it says another itself; without either, a module is an area of its own."""
    module = {
        "__name__": "bench.cases_swimming",
        "first": case("first", area=""),
        "second": case("second", area="sql"),
        "Case": type(case()),
    }
    assert [(c.name, c.area) for c in cases_of(module)] == [
        ("first", "swimming"),
        ("second", "sql"),
    ]
    assert [c.area for c in cases_of(module | {"AREA": "town"})] == ["town", "sql"]


def test_areas_that_nobody_knows_come_last():
    """By name, after those of the list in its order."""
    found = sorted(["zeal", "published", "ecs", "art"], key=area_order)
    assert found == ["ecs", "published", "art", "zeal"]


def test_every_case_is_found_once():
    """Names are unique, and all have an area; the areas of the list are all in use."""
    cases = discover()
    names = [each.name for each in cases]
    assert len(names) == len(set(names))
    assert all(each.area for each in cases)
    assert set(AREAS) <= {each.area for each in cases}


def test_some_cases_are_fast():
    """Of several areas, and none that takes minutes."""
    fast = [each for each in discover() if each.fast]
    assert len({each.area for each in fast}) >= 3
    assert not any(each.cold for each in fast)


def test_a_case_says_why_it_loses():
    """For all peers, or for each."""
    assert case().why_loses("numpy", "fast", 10) == ""
    assert case(loses="ids are checked").why_loses("numpy", "fast", 10) == "ids are checked"
    one = case(loses={"numpy": "no ids"})
    assert one.why_loses("numpy", "fast", 10) == "no ids"
    assert one.why_loses("polars", "fast", 10) == ""


@pytest.mark.parametrize(
    ("peer", "subject", "size", "why"),
    [
        ("numpy", "fast", 10, "a call costs 1 µs"),
        ("numpy", "fast", 100, "a call costs 1 µs"),
        ("numpy", "fast", 101, "it is numpy"),
        ("numpy", "slow", 10, "it is numpy"),
        ("polars", "fast", 10, "a call costs 1 µs"),
        ("polars", "slow", 10, ""),
        ("Mesa", "slow", 10, ""),
        ("Mesa", "slow", 1000, "large"),
    ],
)
def test_reasons_can_be_of_peers_subjects_and_sizes(peer, subject, size, why):
    """The first that explains a loss is the one."""
    reasons = (
        Loss("a call costs 1 µs", ("numpy", "polars"), ("fast",), to_size=100),
        Loss("it is numpy", ("numpy",)),
        Loss("large", from_size=1000),
    )
    assert case(loses=reasons).why_loses(peer, subject, size) == why


def test_a_memcpy_is_a_bound_of_what_memory_limits():
    """What lies in a cache has none: there it says what the cache is like that day."""
    assert moved(CACHED_BYTES - 1) is None
    moved(CACHED_BYTES).call()
    small = {each.name: each for each in discover()}["sweep_decay"].contest(10_000)
    assert small.bound is None


def test_targets_without_a_bound():
    """A ratio is not met by having none; what lies beyond a bound is all there is."""
    alone = figures(100, 50_000)
    assert not ratio(2).met(alone)
    assert us_beyond(1).met(alone)
    assert not us_beyond(0.4).met(alone)


def test_subjects_are_as_declared():
    """A contest that has others is refused."""
    wrong = case(subjects=("fast",))
    object.__setattr__(wrong, "setup", lambda n: Contest({"slow": Run(int)}))
    with pytest.raises(LookupError, match="declared"):
        wrong.contest(10)


@pytest.mark.parametrize(
    ("size", "name"), [(1, "1"), (520, "520"), (10_000, "10k"), (1_500, "1500"), (10**8, "100M")]
)
def test_sizes_are_named(size, name):
    """Whole thousands and millions shorter."""
    assert size_name(size) == name
