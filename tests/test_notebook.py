"""examples/tour.ipynb runs from top to bottom, and is stored without what that leaves behind."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TOUR = Path(__file__).resolve().parents[1] / "examples" / "tour.ipynb"


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The outputs of all cells together."""
    notebook = nbformat.read(TOUR, as_version=4)
    folder = tmp_path_factory.mktemp("tour")
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def test_it_is_a_valid_notebook(stored):
    """Any reader of the format takes it."""
    nbformat.validate(stored)


def test_it_is_stored_without_outputs(stored):
    """What a run leaves behind is in nobody's diff."""
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    assert len(cells) > 8


def test_nothing_goes_wrong(shown):
    """No cell raises, and none warns."""
    assert [o for o in shown if o.output_type == "error" or o.get("name") == "stderr"] == []


def test_objects_are_shown_as_tables(shown):
    """A world, an entity, systems, answers of SQL, a query and memories come as HTML."""
    pages = "".join(output.data.get("text/html", "") for output in shown if "data" in output)
    for title in ("World, seed 7", "Entity ", "Telemetry: ", "Result: 60 rows", "Query(Memory, ",
                  "What came to mind", "Who remembers", "<b>Ties</b>"):  # fmt: skip
        assert title in pages


def test_what_is_asked_is_found(shown):
    """By its meaning, the fire is what Ann remembers of something burnt."""
    (page,) = [o.data["text/html"] for o in shown if "What came to mind" in str(o.get("data"))]
    assert "a fire broke out in the mill" in page


def test_it_draws(shown):
    """Two plots."""
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
