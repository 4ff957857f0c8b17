"""constraints.txt pins the whole environment, and names no place to get it from."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def lines():
    text = (Path(__file__).parents[2] / "constraints.txt").read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_each_line_is_an_exact_pin(lines):
    """`name==version`, perhaps with a marker: no URL, no index, no option, no path."""
    pin = re.compile(r"[\w.-]+==[\w.+!]+( ; [\w .<>='\"]+)?")
    assert [line for line in lines if not pin.fullmatch(line)] == []


@pytest.mark.parametrize("extra", ["dev", "bench"])
def test_every_dependency_is_pinned(extra, lines, pyproject):
    """What populace[dev] and populace[bench] pull in, directly or not, on this Python has a pin; of
    the latter as far as it is installed, which `make setup` leaves to `make bench`."""
    pinned = {canonicalize_name(Requirement(line).name) for line in lines}
    project = pyproject["project"]
    queue = [*project["dependencies"], *project["optional-dependencies"][extra]]
    needed = set()
    while queue:
        requirement = Requirement(queue.pop())
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in needed or not wanted:
            continue
        needed.add(name)
        try:
            queue += importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            assert extra == "bench", name
    assert needed - pinned == set()
