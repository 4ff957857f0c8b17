"""Draw the plots of the docs: each `plot_<name>(axes)` of docs/plots/*.py as docs/laws/<name>.svg.

python -P tools/draw_plots.py [NAME ...]
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"


def plots() -> dict[str, Callable[[Any], None]]:
    """Every plot by its name."""
    found: dict[str, Callable[[Any], None]] = {}
    for file in sorted((DOCS / "plots").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"plots_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {
            name.removeprefix("plot_"): value
            for name, value in vars(module).items()
            if name.startswith("plot_")
        }
    return found


def draw(name: str, plot: Callable[[Any], None], folder: Path) -> Path:
    """Draw one plot; the same code gives the same bytes. Returns the file."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    style = {"svg.hashsalt": "populace", "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
        plot(axes)
        file = folder / f"{name}.svg"
        figure.savefig(file, metadata={"Date": None})
        plt.close(figure)
    return file


if __name__ == "__main__":
    known = plots()
    (DOCS / "laws").mkdir(exist_ok=True)
    for each in sys.argv[1:] or known:
        print(draw(each, known[each], DOCS / "laws"))
