"""`populace scenario`: what it prints can be used, and what is wrong is told in full."""

import json
import re
import shlex
import tomllib

import pytest

from populace import cli
from populace.scenarios.registry import BUILT_IN

from .commands import said
from .harbour import HARBOUR


@pytest.fixture
def harbour(tmp_path):
    """A scenario of one's own, as a file."""
    path = tmp_path / "harbour.py"
    path.write_text(HARBOUR)
    return path


@pytest.mark.parametrize(
    "command",
    [["scenario"], ["scenario", "list"], ["scenario", "show"], ["scenario", "validate"], ["sweep"]],
)
def test_every_help_has_examples_that_parse(capsys, command):
    """What --help shows as an example is accepted as it stands."""
    text = said(capsys, *command, "--help")
    examples = re.findall(r"^  populace ([^>]*?)(?: > .*)?$", text, re.MULTILINE)
    assert examples
    for example in examples:
        assert cli._parser().parse_args(shlex.split(example)).command


def test_list_names_what_is_built_in(capsys):
    """In words and as JSON."""
    lines = said(capsys, "scenario", "list").splitlines()
    assert [line.split()[0] for line in lines] == list(BUILT_IN)
    assert list(json.loads(said(capsys, "scenario", "list", "--json"))) == list(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_show_prints_is_accepted(capsys, tmp_path, name):
    """The page of each scenario validates as it stands, and changes nothing."""
    page = tmp_path / "mine.toml"
    page.write_text(said(capsys, "scenario", "show", name))
    facts = json.loads(said(capsys, "scenario", "validate", page, "--json"))
    assert facts["scenario"] == name
    assert facts["changed"] == {}
    assert said(capsys, "scenario", "show", page) == page.read_text()


def test_show_takes_a_file_and_parameters(capsys, harbour, tmp_path):
    """A Python file, a TOML file beside it, and --set; the page says where the scenario is."""
    config = tmp_path / "mine.toml"
    config.write_text("[harbour]\nboats = 7\n")
    page = said(
        capsys, "scenario", "show", harbour, "--config", config, "--set", "ties.half_life=7d"
    )
    shown = tomllib.loads(page)
    assert shown["scenario"] == str(harbour)
    assert (shown["harbour"]["boats"], shown["ties"]["half_life"]) == (7, 604_800.0)


def test_show_prints_a_schema(capsys):
    """For programs: JSON with the range of a law's parameter."""
    schema = json.loads(said(capsys, "scenario", "show", "town", "--json"))
    assert schema["properties"]["ties"]["properties"]["half_life"]["minimum"] == 1
    assert schema["properties"]["scenario"] == {"const": "town"}


def test_validate_says_what_would_be_run(capsys, harbour):
    """In a line, with what differs from the defaults."""
    line = said(capsys, "scenario", "validate", harbour, "--set", "harbour.tide=7d")
    assert line == (
        f"{harbour}: would run harbour for 2 days from 2023-02-13T00:00, in steps of 3600 s, with "
        f"seed 1; other than the defaults: harbour.tide = 7d\n"
    )


def test_validate_tells_all_faults(capsys, tmp_path):
    """Exit code 2, and a line for each."""
    page = tmp_path / "mine.toml"
    page.write_text('scenario = "town"\n[ties]\nhalflife = 3\ngain = "much"\n[tows]\nx = 1\n')
    told = said(capsys, "scenario", "validate", page, "--set", "run.days=0", code=2)
    assert told.startswith("populace: 4 faults:\n")
    assert len(told.splitlines()) == 5
    assert "did you mean ties.half_life?" in told


def test_the_environment_counts(capsys, monkeypatch):
    """And a slip in it is told."""
    monkeypatch.setenv("POPULACE_RUN__SEED", "7")
    assert "seed 7" in said(capsys, "scenario", "validate", "town")
    monkeypatch.setenv("POPULACE_RUN__SED", "7")
    told = said(capsys, "scenario", "validate", "town", code=2)
    assert "did you mean POPULACE_RUN__SEED?" in told


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["scenario"], "required: ACTION"),
        (["scenario", "show"], "required: SCENARIO"),
        (["scenario", "show", "twon"], "did you mean town?"),
        (["scenario", "show", "no/such.py"], "no/such.py: cannot be read: No such file"),
        (["scenario", "validate", "none.toml"], "none.toml: cannot be read"),
        (["scenario", "show", "a.toml", "--config", "b.toml"], "--config is a second file"),
        (["scenario", "show", "town", "--set", "ties.gain"], "must be SECTION.KEY=VALUE"),
    ],
)
def test_misuse_is_told(capsys, arguments, why):
    """Exit code 2, and a line that says what to do."""
    assert why in said(capsys, *arguments, code=2)
