"""Every example a reader can copy runs: in README and docs, and in the docstrings.

A page's ```python blocks are run in order as one script, in an empty folder; blocks with `>>>`
prompts are run as doctests, in one namespace. A sketch that cannot run is marked ```text.
"""

import doctest
import importlib
import re
import runpy
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
MODULES = sorted(
    package if file.stem == "__init__" else f"{package}.{file.stem}"
    for package, folder in PACKAGES.items()
    for file in (ROOT / folder).glob("*.py")
    if file.stem != "__main__"
)


def python_blocks(page):
    """The page's ```python blocks as (script, doctest) texts; every line keeps its number."""
    script, prompted = [], []
    target = None
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        script.append("")
        prompted.append("")
        if line.startswith("```"):
            opens = target is None and line.strip() in {"```python", "```pycon"}
            first = lines[number + 1] if opens else ""
            target = (prompted if first.startswith(">>>") else script) if opens else None
        elif target is not None:
            target[-1] = line
    return "\n".join(script), "\n".join(prompted)


def run_doctest(test):
    """Run one DocTest and raise with doctest's own report if an example fails."""
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    failed, _ = runner.run(test, out=report.append, clear_globs=False)
    assert not failed, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page, tmp_path, monkeypatch):
    """The page's blocks run; the script is a real file, so that kernels find their source."""
    monkeypatch.chdir(tmp_path)
    script, prompted = python_blocks(page)
    file = tmp_path / re.sub(r"\W", "_", page.stem)
    file = file.with_suffix(".py")
    file.write_text(script)
    runpy.run_path(str(file), run_name="__main__")
    reader = ModuleType("reader")  # what is typed is in a module, as in a session of one's own
    monkeypatch.setitem(sys.modules, "reader", reader)
    test = doctest.DocTestParser().get_doctest(prompted, {}, page.name, str(page), 0)
    test.globs = vars(reader)
    run_doctest(test)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    """By module name: collected by path, the files of a mapped folder would load a second time."""
    monkeypatch.chdir(tmp_path)
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        run_doctest(test)
