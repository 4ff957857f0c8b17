"""Reading other people's CSV strictly: what is wrong is named by file and line.

Which column is which comes from the header, from the usual order where there is none, or from the
caller. Comma, tab, semicolon and space separate; empty lines are passed over, and so are lines that
begin with # before the first row, the last of which may be the header. Refused: bytes that are not
UTF-8, rows with too few or too many columns, values that are not what their column holds.
Cost: about 0.1 µs a value (pyarrow); a fault is looked for once more, line by line.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from populace.ecs.errors import QueryError, SourceFileError

from .source import read_text

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, str | int] | Sequence[str]


class Sheet:
    """A CSV file with columns in known roles.

    known: role -> the names by which a header tells it, in lower case and with _ for blanks and
    hyphens; without a header columns are taken in this order. required: how many of the roles, from
    the first, must be there. columns: what the caller says instead, by role (header or place) or as
    the roles in the order of the columns, "" for one to pass over. delimiter: None finds out.

    Afterwards `places` says role -> column, `header` its names, or none.

    Raises SourceFileError for what is missing or damaged, QueryError for `columns` without sense.
    """

    def __init__(
        self,
        path: Path,
        known: Mapping[str, tuple[str, ...]],
        required: int,
        columns: Columns | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.path, self.known, self.required = path, known, tuple(known)[:required]
        preface, self.text = _parted(read_text(path).replace("\r\n", "\n").replace("\r", "\n"))
        self.skipped = len(preface)  # lines before the first row
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\n\r'):
            raise QueryError(f"a delimiter is one character, as ',', got {delimiter!r}")
        self.delimiter = delimiter or self._sniffed()
        line, first = next(self._rows(), (0, []))
        self.width = len(first)
        self.header: list[str] = []
        if not any(is_number(cell) or is_date(cell) for cell in first):
            self.header = first
            self.text = "".join(list(io.StringIO(self.text))[line - self.skipped :])
            self.skipped = line
        elif preface and preface[-1].startswith("#"):
            told = next(csv.reader([preface[-1].lstrip("# ")], delimiter=self.delimiter), [])
            roles = {self._role(cell) for cell in told}
            if len(told) == self.width and roles >= set(self.required):
                self.header = told
        self.places = self._places(columns)
        self._texts = self._read()

    def column(self, role: str) -> pa.StringArray:
        """The texts of a column, without blanks around them."""
        return self._texts[role]

    def cast(self, role: str, kind: pa.DataType, allowed: str) -> pa.Array:
        """A column as another type. Raises SourceFileError, naming the line that is not one."""
        import pyarrow as pa

        try:
            return self._texts[role].cast(kind)
        except pa.ArrowInvalid:
            self.require(role, np.array([fits(t, kind) for t in self._texts[role]]), allowed)
            raise

    def require(self, role: str, right_n: npt.NDArray[np.bool_], allowed: str) -> None:
        """Raise SourceFileError for the first row that is not right, naming its line."""
        if right_n.all():
            return
        row = int(np.argmin(right_n))
        line = next(line for number, (line, _) in enumerate(self._rows()) if number == row)
        shown = ascii(self._texts[role][row].as_py()[:60])
        raise self.wrong(f"line {line}: {role} is {shown}; it must be {allowed}")

    def wrong(self, why: str) -> SourceFileError:
        """The error for the file."""
        return SourceFileError(f"{self.path}: {why}")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of each row, for what is not worth a column or went wrong."""
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)
        try:
            for cells in reader:
                if cells:
                    yield self.skipped + reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise self.wrong(f"line {self.skipped + reader.line_num}: {error}") from error

    def _sniffed(self) -> str:
        """The separator that parts most of the first lines into equally many columns, as many
        as must be there; a space only where none of the others does."""
        roles = ", ".join(self.required)
        lines = list(itertools.islice(filter(str.strip, io.StringIO(self.text)), 20))
        if not lines:
            raise self.wrong(f"holds no row; give a CSV file with columns {roles}")
        best, separator = (0, 0), ""
        for candidate in (",", "\t", ";", " "):
            counts = [_width(line, candidate) for line in lines]
            widths = Counter(count for count in counts if count >= len(self.required))
            for width, share in widths.most_common(1):
                if (share, width) > best and not (candidate == " " and separator):
                    best, separator = (share, width), candidate
        if not separator:
            raise self.wrong(
                f"its lines do not hold columns {roles}, separated by commas, tabs, semicolons "
                f"or spaces"
            )
        return separator

    def _places(self, columns: Columns | None) -> dict[str, int]:
        """Which column is which."""
        known: dict[str, int] = {}
        asked: dict[str, str | int] = {}
        if columns is None or isinstance(columns, Mapping):
            asked |= columns or {}
            if not self.header and self.width <= len(self.known):
                usual = dict(zip(self.known, range(self.width), strict=False))
                known = {r: p for r, p in usual.items() if p not in asked.values()}
        else:
            asked |= {role: place for place, role in enumerate(columns) if role}
            if len(asked) < sum(map(bool, columns)):
                raise QueryError(f"columns names a role twice: {columns!r}")
        unknown = [role for role in asked if role not in self.known]
        if unknown:
            raise QueryError(f"columns has roles {', '.join(self.known)}; got {unknown[0]!r}")
        for place, name in enumerate(self.header):
            role = self._role(name)
            if role is None or role in asked:
                continue
            if role in known:
                raise self.wrong(
                    f"line {self.skipped}: both {self.header[known[role]]!r} and {name!r} may be "
                    f"the {role}: say which, as in columns={{{role!r}: {name!r}}} (--columns "
                    f"{role}={name})"
                )
            known[role] = place
        for role, column in asked.items():
            known[role] = self._place(column)
        missing = [role for role in self.required if role not in known]
        if missing:
            have = f"{self.width} columns and no header"
            if self.header:
                have = f"columns {', '.join(map(repr, self.header))}"
            raise self.wrong(
                f"has {have}, and none is known to be the {missing[0]}: say which, by header or "
                f"place, as in columns={{{missing[0]!r}: 0}} (--columns {missing[0]}=0)"
            )
        if len(set(known.values())) < len(known):
            raise QueryError(f"columns gives one column two roles: {known}")
        return known

    def _role(self, name: str) -> str | None:
        """The role that a header's name tells."""
        plain = name.strip().lower().replace(" ", "_").replace("-", "_")
        return next((role for role, names in self.known.items() if plain in names), None)

    def _place(self, column: str | int) -> int:
        if isinstance(column, str) and column in self.header:
            return self.header.index(column)
        if isinstance(column, int) and 0 <= column < self.width:
            return column
        have = ", ".join(map(repr, self.header)) or f"0 to {self.width - 1}"
        raise self.wrong(f"has no column {column!r}; it has {have}")

    def _read(self) -> dict[str, pa.StringArray]:
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import csv as arrow_csv

        if not self.text.strip():
            raise self.wrong("holds no row, only a header")
        names = [str(place) for place in range(self.width)]
        used = [names[place] for place in self.places.values()]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(self.text.encode()),
                arrow_csv.ReadOptions(column_names=names),
                arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values='"' in self.text
                ),
                arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in used}, include_columns=used
                ),
            )
        except pa.ArrowInvalid as error:
            for line, cells in self._rows():
                if len(cells) != self.width:
                    raise self.wrong(
                        f"line {line}: has {len(cells)} columns where the first line has "
                        f"{self.width}; is the file cut short?"
                    ) from error
            raise self.wrong(str(error)) from error
        trimmed = (pc.utf8_trim_whitespace(column.combine_chunks()) for column in table.columns)
        return dict(zip(self.places, trimmed, strict=True))


def _parted(text: str) -> tuple[list[str], str]:
    """(the empty lines and comments at the beginning, the rest)."""
    preface: list[str] = []
    while text:
        line, _, rest = text.partition("\n")
        if line.strip() and not line.lstrip().startswith("#"):
            break
        preface.append(line.strip())
        text = rest
    return preface, text


def _width(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0


def is_number(text: str) -> bool:
    """Whether a text is one."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_date(text: str) -> bool:
    """Whether a text is a date, or a date and time, by ISO 8601."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def fits(text: pa.StringScalar, kind: pa.DataType) -> bool:
    """Whether a text can be cast to an Arrow type."""
    try:
        text.cast(kind)
    except ValueError:
        return False
    return True
