"""Reading other people's JSON strictly: what is wrong is named by file and record.

Importers read a whole source before they touch a world, so an error here means that nothing was
imported. Refused: bytes that are not UTF-8, JSON that is cut short, the same key twice, NaN and
infinities, nesting beyond reason, strings with lone surrogates (nothing could write them again).
Cost: the json module's, plus about 1 µs for each field taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from populace.ecs.errors import SourceFileError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


def read_text(path: Path) -> str:
    """The text of a file, UTF-8 with or without a byte order mark.

    Raises SourceFileError when it cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceFileError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 and try again"
        ) from error
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_json(text: str, path: Path, record: str = "") -> Any:
    """A JSON value.

    Raises SourceFileError, naming file and record, for text that is not one.
    """
    where = f"{path}: {record}: " if record else f"{path}: "
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = "" if record else f"line {error.lineno}, "
        raise SourceFileError(
            f"{where}not JSON: {error.msg} at {line}column {error.colno}; is the file cut short?"
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise SourceFileError(f"{where}not usable JSON: {reason}") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object; each may be there once")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


class Record:
    """One JSON object of a file, whose fields are taken with a type and limits.

    `name` says which record it is ("node_12", "line 7"). Every method raises SourceFileError for a
    field that is missing or not what it must be. Fields that nobody takes are ignored.

    >>> record = Record({"age": 34}, Path("scratch.json"), "persona")
    >>> record.integer("age", 0, 130)
    34
    >>> record.integer("age", 0, 30)
    Traceback (most recent call last):
    ...
    populace.ecs.errors.SourceFileError: scratch.json: persona: 'age' is 34; ...
    """

    __slots__ = ("fields", "name", "path")

    def __init__(self, fields: Any, path: Path, name: str) -> None:
        self.path, self.name = path, name
        if not isinstance(fields, dict):
            raise SourceFileError(f"{path}: {name}: must be a JSON object, got {_shown(fields)}")
        self.fields: dict[str, Any] = fields

    def wrong(self, key: str, allowed: str) -> SourceFileError:
        """The error for a field: what it is and what it must be."""
        if key not in self.fields:
            message = f"{key!r} is missing; it must be {allowed}"
        else:
            message = f"{key!r} is {_shown(self.fields[key])}; it must be {allowed}"
        return SourceFileError(f"{self.path}: {self.name}: {message}")

    def text(self, key: str, *, empty: bool = True) -> str:
        """A string."""
        value: Any = self.fields.get(key)
        if not is_text(value) or not (empty or value.strip()):
            raise self.wrong(key, "a string" if empty else "a string that is not empty")
        return str(value)

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        value = self.fields.get(key)
        if not isinstance(value, list) or not all(map(is_text, value)):
            raise self.wrong(key, "a list of strings")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self.fields.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of the given strings."""
        value = self.fields.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, "one of " + ", ".join(map(repr, choices)))
        return value

    def time(self, key: str) -> int:
        """A date and time `YYYY-MM-DD HH:MM:SS`, in µs since 1970."""
        value = self.fields.get(key)
        if isinstance(value, str) and _DATE.fullmatch(value):
            try:
                then = datetime.fromisoformat(value).replace(tzinfo=UTC)
            except ValueError:
                pass
            else:
                return (then - EPOCH) // timedelta(microseconds=1)
        raise self.wrong(key, "a date and time like '2023-02-13 17:55:10'")

    def time_or_none(self, key: str) -> int | None:
        """A date and time, or null."""
        return None if key in self.fields and self.fields[key] is None else self.time(key)


def is_text(value: Any) -> bool:
    """Whether a value is a string that UTF-8 can hold."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    shown = ascii(value) if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
