"""What a user installs is what the checkout holds, and works away from it."""

import json
import zipfile

import pytest


def test_wheel_holds_every_module(wheel, folders):
    """A folder or data file that pyproject.toml forgets works editable, and is absent here."""
    expected = {
        f"{package.replace('.', '/')}/{file.name}"
        for package, folder in folders.items()
        for file in folder.glob("[!.]*")
        if file.is_file()
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("populace/")}
    assert held == expected
    assert "populace/py.typed" in held


def test_packages_have_no_unlisted_subfolder(folders):
    """setuptools takes only the folders named in pyproject.toml: code below them would be lost."""
    listed = set(folders.values())
    for folder in listed:
        below = folder.glob("*/**/*.py")
        assert [str(file) for file in below if file.parent not in listed] == []


def test_version_is_one(wheel_python, run, tmp_path):
    """`populace.__version__` is the version that was installed."""
    script = (
        "import importlib.metadata as m, populace as p; print(p.__version__, m.version('populace'))"
    )
    ours, installed = run(wheel_python, "-c", script, cwd=tmp_path).split()
    assert ours == installed


def test_wheel_is_what_gets_imported(wheel_python, folders, run, tmp_path):
    """In the wheel's venv no package comes from the checkout: the tests of the wheel test it."""
    script = "".join(f"import {name}; print({name}.__file__)\n" for name in folders)
    files = run(wheel_python, "-c", script, cwd=tmp_path).splitlines()
    assert [file for file in files if not file.startswith(str(wheel_python.parents[1]))] == []


@pytest.mark.parametrize("command", ["console script", "python -m"])
def test_wheel_runs_the_main_job(command, wheel_python, run, tmp_path):
    """The installed wheel runs a town in a folder that has nothing to do with the checkout, and
    leaves the directory of the run there."""
    program = {
        "console script": [wheel_python.with_name("populace")],
        "python -m": [wheel_python, "-m", "populace"],
    }[command]
    out = run(*program, "run", "--agents", 50, "--days", 1, "--json", cwd=tmp_path)
    assert json.loads(out)["agents"] == 50
    manifest = json.loads((tmp_path / "runs" / "town-1" / "manifest.json").read_text())
    assert (manifest["scenario"], manifest["status"]) == ("town", "done")
