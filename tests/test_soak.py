"""`make soak`: what it refuses before anything is lived."""

import runpy
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[1] / "tools" / "soak.py"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--days", "60"], "--days 60: there is something to compare from 90 days on"),
        (["--dir", "lived"], "lived holds a run already: judge it by --run lived, or delete it"),
    ],
)
def test_what_could_not_be_judged_is_refused(arguments, why, tmp_path, monkeypatch, capsys):
    """Too few months, and the directory of the run before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lived").mkdir()
    (tmp_path / "lived" / "manifest.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["soak.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SOAK), run_name="__main__")
    assert why in capsys.readouterr().err
