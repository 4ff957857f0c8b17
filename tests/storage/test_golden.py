"""Snapshots that were written once are read for ever, and what is written today has their form."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from populace.storage import manifest as m
from populace.storage.columns import decode
from populace.storage.snapshot import Snapshots, load

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


@pytest.fixture(scope="module")
def golden():
    """The module that has made them, with the classes that they hold."""
    path = HERE.parents[1] / "tools" / "make_golden.py"
    spec = importlib.util.spec_from_file_location("make_golden", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_golden"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_golden"]


PLACES = {1: GOLDEN, 2: GOLDEN / "version2"}


@pytest.fixture(scope="module")
def expected():
    return {v: json.loads((p / "expected.json").read_text("utf-8")) for v, p in PLACES.items()}


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("version", PLACES)
@pytest.mark.parametrize("name", ["plain", "sealed"])
def test_what_was_written_once_is_read(golden, expected, name, number, version):
    """Each column, text, event and resource, from a full snapshot and from deltas, with a key and
    without: as it was told when they were written."""
    key = golden.KEY if name == "sealed" else None
    world = load(PLACES[version] / name, number=number, key=key)
    world.check()
    found = json.loads(json.dumps(golden.described(world)))
    truth = expected[version][number - 1]
    assert found.keys() == truth.keys()
    assert not {part: (found[part], truth[part]) for part in truth if found[part] != truth[part]}


@pytest.mark.parametrize("version", PLACES)
@pytest.mark.parametrize("name", ["plain", "sealed"])
def test_every_file_is_whole(golden, name, version):
    """Manifests and data files are as they were."""
    place = PLACES[version] / name
    snapshots = Snapshots(place, key=golden.KEY if name == "sealed" else None)
    assert snapshots.numbers() == [1, 2, 3]
    named = set()
    for number in snapshots.numbers():
        found = snapshots.open(number)
        assert found.data.verify() > 1000
        assert found.private.about == golden.ABOUT
        assert found.manifest.version == version
        named |= {found.manifest.name, *found.manifest.files}
    there = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
    assert there - {".lock"} == named


def form(told):
    """A manifest without what differs from one writing to the next."""
    told = json.loads(json.dumps(told))
    told.update(written="", populace="", files=sorted(told["files"]))
    return told


@pytest.mark.parametrize("version", PLACES)
@pytest.mark.parametrize("name", ["plain", "sealed"])
def test_what_is_written_today_has_their_form(golden, tmp_path, name, version):
    """Part for part: whoever changes the format changes its version, and keeps reading this one."""
    golden.write(tmp_path, version)
    for number in (1, 2, 3):
        one, other = (
            json.loads((place / name / m.manifest_name(number)).read_bytes())["manifest"]
            for place in (PLACES[version], tmp_path)
        )
        assert form(one) == form(other)
        for file in one["files"] if name == "plain" else ():
            columns = [decode((place / name / file).read_bytes(), file=file)
                       for place in (PLACES[version], tmp_path)]  # fmt: skip
            assert columns[0].keys() == columns[1].keys()
            for column in columns[0]:
                was, is_now = (
                    held
                    if isinstance(held := found[column], list)
                    else (held.dtype, held.tobytes())
                    for found in columns
                )
                assert was == is_now, (file, column)
    assert max(PLACES) == m.VERSION
