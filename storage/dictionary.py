"""The data dictionary of tidy tables: what each column is, for programs and for people.

`describe_tables` gives it as values for JSON, `as_markdown` as a page. Units and meanings are those
of the fields that the columns are made of, so they cannot differ from what the code says.

>>> from populace.ecs import component, f4, field
>>> from populace.storage.tables import Table
>>> @component
... class Energy:
...     level: f4 = field(1.0, range=(0, 1), unit="1", doc="1 is rested, 0 is spent")
>>> told = describe_tables([Table("energy", (Energy,), doc="One row per agent.")])
>>> told["energy"]["columns"][1] == {
...     "name": "level", "dtype": "float32", "unit": "1", "meaning": "1 is rested, 0 is spent",
...     "nullable": False, "range": [0.0, 1.0]}
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from populace.ecs.image import Image

from .arrays import arrow_field, code_names
from .tables import TIME_UNIT, Column, Log, Table

if TYPE_CHECKING:
    import pyarrow as pa


def describe_tables(
    specs: Iterable[Table | Log],
    image: Image | None = None,
    columns: Mapping[str, Sequence[Column]] | None = None,
) -> dict[str, dict[str, Any]]:
    """What tables there are and what is in them, by name: `doc` and `columns` of each.

    Of a column: name, dtype (as Arrow calls it; "string" where codes stand for texts), unit,
    meaning, nullable; and where there is one, `range`, the closed interval of its values, or
    `values`, all that it can be. image: whose resources name the codes of states. columns: by
    table, those to describe; all of it otherwise.
    """
    return {
        spec.name: {
            "doc": spec.doc,
            "columns": [
                describe_column(column, image)
                for column in (columns or {}).get(spec.name, spec.columns)
            ],
        }
        for spec in specs
    }


def describe_column(column: Column, image: Image | None = None) -> dict[str, Any]:
    """One column, as `describe_tables` does."""
    made = column.field
    told: dict[str, Any] = {
        "name": column.name,
        "dtype": _dtype(arrow_field(column).type),
        "unit": "" if column.unit == TIME_UNIT else column.unit,
        "meaning": column.doc,
        "nullable": column.nullable,
    }
    if made is None or column.kind != "value":
        return told
    if made.range is not None and all(isfinite(bound) for bound in made.range):
        number = int if made.dtype.kind in "iu" else float
        told["range"] = [number(bound) for bound in made.range]
    if made.choices is not None and column.codes is None:
        told["values"] = [choice.name.lower() for choice in made.choices]
    elif column.codes is not None and image is not None:
        told["values"] = code_names(column, image)
    return told


def _dtype(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return "string"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def as_markdown(
    described: Mapping[str, Mapping[str, Any]], heading: str = "Tables", intro: str = ""
) -> str:
    """A page of what `describe_tables` gave: for each table what a row is, and its columns.

    What else a table tells as `rows` and `files` is said too.
    """
    lines = [f"# {heading}"] + (["", intro] if intro else [])
    for name, table in described.items():
        lines += ["", f"## {name}", ""]
        facts = [table["doc"]]
        if "rows" in table:
            facts.append(f"{table['rows']:,} rows in `{table['files']}`.")
        lines.append(" ".join(fact for fact in facts if fact))
        lines += ["", "| column | type | unit | meaning | values |", "|---|---|---|---|---|"]
        for column in table["columns"]:
            cells = (
                f"`{column['name']}`",
                column["dtype"],
                column["unit"],
                column["meaning"],
                _values(column),
            )
            lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _values(column: Mapping[str, Any]) -> str:
    parts = []
    if "range" in column:
        low, high = column["range"]
        number = ",d" if isinstance(low, int) else "g"
        parts.append(f"{low:{number}} to {high:{number}}")
    if "values" in column:
        parts.append(", ".join(column["values"]))
    if column["nullable"]:
        parts.append("may be null")
    return "; ".join(parts)


def _cell(text: str) -> str:
    """One cell of a table: no line break, no bar."""
    return " ".join(text.split()).replace("|", "\\|")
