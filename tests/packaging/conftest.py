"""What the packaging tests share: the layout as pyproject.toml states it, a wheel, its venv."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


def _run(*command, cwd):
    """Run a command and hand back its stdout; if it fails, show all it said."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command} failed in {cwd}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def run():
    return _run


@pytest.fixture(scope="session")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def folders(pyproject):
    """Package name -> its folder in the checkout."""
    mapping = pyproject["tool"]["setuptools"]["package-dir"]
    return {package: ROOT / folder for package, folder in mapping.items()}


@pytest.fixture(scope="session")
def modules(folders):
    """Every importable module's name, from the source tree."""
    names = set(folders)
    for package, folder in folders.items():
        names |= {f"{package}.{file.stem}" for file in folder.glob("*.py")}
    return sorted(name for name in names if not name.endswith(("__init__", "__main__")))


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the source tree that a test may change, below a folder with a space in its name."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("a copy") / "tree", ignore=NOT_SOURCE)


@pytest.fixture(scope="session")
def wheel(checkout, tmp_path_factory):
    """The wheel as `make build` makes it: through the sdist, without a network."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout, cwd=out)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def wheel_python(wheel, tmp_path_factory):
    """The Python of a fresh venv that holds the wheel and borrows this one's dependencies.

    A folder named in a .pth file is put on sys.path, but its own .pth files are not read: the
    editable install of the checkout stays out.
    """
    venv = tmp_path_factory.mktemp("wheel venv")
    _run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    python = venv / "bin" / "python"
    _run(
        *(sys.executable, "-m", "pip", "--python", python, "install"),
        *("--quiet", "--no-index", "--no-deps", wheel),
        cwd=venv,
    )
    (site,) = venv.glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(borrowed))
    return python
