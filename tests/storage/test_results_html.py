"""What a notebook shows of the answer to a query: its first rows, whatever is in them."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from populace.storage.results import SHOWN, Result

from ..ecs.pages import shown
from .village import asked, village


@pytest.fixture(scope="module")
def ask():
    world, _ = village()
    database = asked(world)
    yield database.ask
    database.close()


def told(ask, expression):
    """What is shown of one value."""
    return shown(ask(f"SELECT {expression} AS value")).rows[1][0]


def test_columns_types_and_rows():
    """Names with their types, values, and how many rows and columns there are."""
    page = shown(Result(pa.table({"name": ["Ann", "Bo"], "n": pa.array([1, None], pa.int64())})))
    assert page.titles == ["Result: 2 rows, 2 columns"]
    assert page.rows == [["name", "n"], ["Ann", "1"], ["Bo", "–"]]
    assert page.notes == ["string", "int64"]


def test_the_first_rows():
    """Twenty, and how many more there are."""
    page = shown(Result(pa.table({"n": np.arange(1_000)})))
    assert len(page.rows) == 1 + SHOWN
    assert "… 980 more" in page.text
    assert "more" not in shown(Result(pa.table({"n": np.arange(SHOWN)}))).text


def test_no_rows_and_no_columns():
    """An answer may be empty, in either way."""
    assert shown(Result(pa.table({"n": pa.array([], pa.int8())}))).rows == [["n"]]
    assert shown(Result(pa.table({}))).titles == ["Result: 0 rows, 0 columns"]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("'<script>alert(1)</script>'", "<script>alert(1)</script>"),
        ("'a & b $5 and $6'", "a & b $5 and $6"),
        ("NULL", "–"),
        ("true", "True"),
        ("1.5::DECIMAL(4, 2)", "1.50"),
        ("0.25::DOUBLE", "0.25"),
        ("'nan'::DOUBLE", "nan"),
        ("123456789012345678901234567890::HUGEINT", "123456789012345678901234567890"),
        ("DATE '2023-02-13'", "2023-02-13"),
        ("TIMESTAMP '2023-02-13 08:00:00'", "2023-02-13 08:00:00"),
        ("'infinity'::TIMESTAMP", str(2**63 - 1)),
        ("INTERVAL 3 DAYS", "3 days, 0:00:00"),
        ("[1, 2, 3]", "[1, 2, 3]"),
        ("range(1000)", "[0, 1, 2, 3, 4, … 1,000 in all]"),
        ("[[1], NULL, []]", "[[1], None, []]"),
        ("{'a': 1, 'b': ['x', '<b>']}", "{a: 1, b: [x, <b>]}"),
        ("map([1, 2], ['a', 'b'])", "2 entries"),
        ("'\\xAA\\x00'::BLOB", "2 bytes"),
        ("'happy'::ENUM('sad', 'happy')", "happy"),
        ("repeat('é', 1000)", "é" * 160 + "…"),
    ],
)
def test_values(ask, expression, said):
    """Each type as a reader wants it; nothing is markup, nothing raises, nothing is long."""
    assert told(ask, expression) == said


def test_a_column_whose_name_is_markup(ask):
    """Names of columns are anybody's too, and may be the same twice."""
    page = shown(ask('SELECT 1 AS "<img src=x onerror=alert(1)>", 2 AS a, 3 AS a'))
    assert page.rows[0] == ["<img src=x onerror=alert(1)>", "a", "a"]


def test_dictionary_columns_have_the_type_of_their_values():
    """How a text is stored is nobody's concern."""
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    page = shown(Result(pa.table({"name": column})))
    assert (page.rows[:2], page.notes) == ([["name"], ["a"]], ["string"])


def test_many_columns():
    """A wide answer is one page."""
    page = shown(Result(pa.table({f"c{k}": [k] for k in range(2_000)})))
    assert "… 1,968 more columns" in page.text


def test_the_cost_does_not_follow_the_size():
    """Of a million rows, and of a list of a million texts, only what is shown becomes objects."""
    texts = pa.array(["some text"] * 1_000_000)
    listed = pa.array([texts.to_pylist()])
    for result in (Result(pa.table({"t": texts})), Result(pa.table({"l": listed}))):
        tracemalloc.start()
        try:
            shown(result)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 200_000
