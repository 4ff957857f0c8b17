"""What the tests of the face share: saved minds on disk, made here or, where present, real."""

import json
import os
import shutil
from pathlib import Path

import pytest

from .lived import TOWN, run_in

ROOT = Path(__file__).resolve().parents[2]


def node(number, **changes):
    """A memory node as Generative Agents saves it."""
    text = f"desk {number} is being used"
    return {
        "node_count": number,
        "type_count": number,
        "type": "event",
        "depth": 0,
        "created": f"2023-02-13 07:{number:02}:10",
        "expiration": None,
        "subject": "the Ville:Oak Hill College:library:desk",
        "predicate": "is",
        "object": "used",
        "description": text,
        "embedding_key": text,
        "poignancy": 1 + number % 9,
        "keywords": ["desk", "used"],
        "filling": [],
        **changes,
    }


def nodes(n=4):
    """Memory nodes of all three kinds, newest first, as the file has them."""
    made = [
        node(1),
        node(2, filling="node_1"),
        node(
            3,
            type="thought",
            depth=1,
            expiration="2023-03-15 07:03:10",
            filling=["node_1", "node_2"],
        ),
        node(4, type="chat", filling=[["Ada Bell", "Tea?"], ["Kofi Osei", "With pleasure."]]),
    ][:n]
    return {f"node_{fields['node_count']}": fields for fields in reversed(made)}


def scratch(name="Ada Bell", **changes):
    """A persona as Generative Agents saves it; most of its fields are nobody's business here."""
    return {
        "vision_r": 8,
        "curr_time": None,
        "name": name,
        "age": 34,
        "innate": "friendly, outgoing",
        "learned": f"{name} runs a tea house.",
        "currently": f"{name} is planning a party.",
        "lifestyle": f"{name} goes to bed around 11pm.",
        "living_area": "the Ville:tea house:bedroom",
        **changes,
    }


def save(directory, name="Ada Bell", *, original_layout=False):
    """One persona's folder below `directory`; returns (nodes.json, scratch.json)."""
    if original_layout:
        home = directory / "personas" / name / "bootstrap_memory"
        nodes_file = home / "associative_memory" / "nodes.json"
    else:
        home = directory / name.replace(" ", "_")
        nodes_file = home / "nodes.json"
    nodes_file.parent.mkdir(parents=True)
    nodes_file.write_text(json.dumps(nodes()))
    (home / "scratch.json").write_text(json.dumps(scratch(name)))
    return nodes_file, home / "scratch.json"


def persona(number=1, **changes):
    """A line of the persona bank."""
    from populace.components import Survey
    from populace.ecs import schema

    answers = {field.name: f"{field.name} {number}" for field in schema(Survey).fields}
    return {
        **answers,
        "agent_id": f"id-{number}",
        "first_name": "Ethan",
        "last_name": "Robinson",
        "age": 20 + number,
        "street_address": "123 Elmwood Drive",
        "city": "Little Rock",
        "state": "AR",
        **changes,
    }


@pytest.fixture
def ville(tmp_path):
    """A folder with two personas of four nodes each."""
    for name in ("Ada Bell", "Kofi Osei"):
        save(tmp_path / "ville", name)
    return tmp_path / "ville"


@pytest.fixture
def bank(tmp_path):
    """A file of three personas."""
    path = tmp_path / "bank.jsonl"
    path.write_text("".join(json.dumps(persona(number)) + "\n" for number in (1, 2, 3)))
    return path


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data, or a skip that says where it was looked for."""
    found = Path(os.environ.get("POPULACE_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not (found / "ville").is_dir():
        pytest.skip(
            "no real data: neither POPULACE_REAL_DATA nor ../shared/data holds a ville folder"
        )
    return found


@pytest.fixture(scope="session")
def town_run(tmp_path_factory):
    """A small town that lived for two days and a half, saved every 6 h; not to be changed."""
    return run_in(tmp_path_factory.mktemp("runs") / "town", "town", TOWN)


@pytest.fixture
def town_copy(town_run, tmp_path):
    """A copy of its directory, to be changed."""
    return shutil.copytree(town_run.path, tmp_path / "town")
