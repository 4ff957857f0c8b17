"""The plots of the docs: each can be drawn, from the code as it is, and each is shown."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load(path):
    """A Python file of the checkout as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRAW = load(ROOT / "tools" / "draw_plots.py")
PLOTS = DRAW.plots()


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_can_be_drawn(name, tmp_path):
    """It has something in it, and says what it shows."""
    file = DRAW.draw(name, PLOTS[name], tmp_path)
    text = file.read_text()
    assert text.count("<path") > 10
    assert PLOTS[name].__doc__


def test_every_plot_is_shown_and_every_picture_is_a_plot():
    """docs/laws.md shows each plot once, docs/laws/ holds each, and nothing else."""
    shown = re.findall(r"\(laws/(\w+)\.svg\)", (ROOT / "docs" / "laws.md").read_text())
    held = [file.stem for file in (ROOT / "docs" / "laws").iterdir()]
    assert sorted(shown) == sorted(PLOTS) == sorted(held)
