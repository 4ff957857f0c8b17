"""Every program in examples/ runs as a reader would run it, and says what it is expected to say."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
SAYS = {
    "custom_component": "had a good meal: 1,000 memories",
    "first_world": "asked about the fire, Ann says: ['a fire broke out in the mill']",
    "game_loop": "120 frames",
    "own_decay_law": "somebody asks about the fire",
    "rumour_study": "half of the village knows",
    "sql_on_a_living_world": "another thread saw",
}


def test_every_example_is_expected_to_say_something():
    """A new program needs a line of its output here."""
    assert {file.stem for file in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example(file, tmp_path):
    """It ends well, with no warning, in an empty folder."""
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "error", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert SAYS[file.stem] in ran.stdout
