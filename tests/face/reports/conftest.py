"""What the tests of the report share: one run, lived once, and its report."""

import shutil

import pytest

from populace.reports.rundirectory import read_run
from populace.reports.writing import write_report

from .synthetic import write_run


@pytest.fixture(scope="session")
def lived(tmp_path_factory):
    """The directory of a run; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "town")


@pytest.fixture(scope="session")
def run(lived):
    """The run, read."""
    return read_run(lived)


@pytest.fixture
def copy(lived, tmp_path):
    """A copy of the run's directory, to be spoilt."""
    return shutil.copytree(lived, tmp_path / "town")


@pytest.fixture(scope="session")
def report(lived, tmp_path_factory):
    """The report of the run."""
    return write_report(lived, tmp_path_factory.mktemp("report") / "report.html")
