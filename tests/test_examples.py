"""Every program in examples/ runs as a reader would run it, and says what it is expected to say."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
SAYS = {
    "small_society": "know the rumour",
    "own_decay_law": "somebody asks about the fire",
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
