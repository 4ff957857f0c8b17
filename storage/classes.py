"""Names of classes in files, and today's class for such a name.

Invariant: a file is data. No module is imported because a file names it, but those of populace
itself; no attribute is computed, and what is found is a class of the kind that was asked for.
Cost: microseconds a class.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Final, Literal

from populace.ecs import schema
from populace.ecs.errors import PopulaceError, SchemaError, SnapshotError

ClassKind = Literal["component", "event", "data"]

_PATH: Final = re.compile(r"[^:]+:[^:]+")
_OURS: Final = re.compile(r"populace(\.[a-z][a-z0-9_]*)*")


def path_of(cls: type) -> str:
    """The name of a class in a file: "module:qualified name"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(
    path: str,
    given: Iterable[type] = (),
    *,
    kind: ClassKind = "component",
    aliases: Mapping[str, type] | None = None,
) -> type:
    """Today's class for the path that a file names.

    kind: what the class must be; "data" is a dataclass or an enum, for resources. It is looked for
    in `aliases` (path in the file -> class), in `given` by path, in modules that are imported, in
    those of populace, and last in `given` by a name that one of them alone has.

    Raises SchemaError where there is none, or where it is of another kind; SnapshotError for what
    is no path. O(given).
    """
    if not is_path(path):
        raise SnapshotError(
            f"a class is named as 'module:Name' in a snapshot, and this one names {excerpt(path)}"
        )
    name = path.rpartition(":")[2].rpartition(".")[2]
    passed = list(dict.fromkeys(given))
    named = [cls for cls in passed if cls.__name__ == name]
    exact = [cls for cls in named if path_of(cls) == path]
    if len(exact) > 1:
        raise SchemaError(
            f"{len(exact)} of the classes passed are {path}: pass the one that is meant"
        )
    found = (aliases or {}).get(path) or (exact[0] if exact else _at(path))
    if found is None and len(named) == 1:
        found = named[0]
    if found is None:
        what = {"component": "a component", "event": "an event", "data": "a class"}[kind]
        raise SchemaError(
            f"snapshot holds {path}, {what} that this program has not defined: import its module "
            f"before loading, or pass components=[{name}]; where it has another name today, pass "
            f"aliases={{{path!r}: ItsNewClass}}"
        )
    if not _is_kind(found, kind):
        what = "a dataclass or an enum" if kind == "data" else f"a class under @{kind}"
        raise SchemaError(
            f"snapshot holds {path} as {what}, and today it is {_short_name(found)}; define it as "
            f"that, or pass aliases={{{path!r}: TheClassThatIsMeant}}"
        )
    cls: type = found
    return cls


def is_path(path: Any) -> bool:
    """Whether a value from a file could be the path of a class."""
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def _at(path: str) -> Any:
    """What a path names among modules that are imported; of populace's own, imported now."""
    module, _, qualname = path.partition(":")
    if module not in sys.modules and _OURS.fullmatch(module):
        try:
            importlib.import_module(module)
        except ImportError:
            return None
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        # The dictionaries, not getattr: a module's or a class's __getattr__ is code, of whoever.
        if not isinstance(found, ModuleType | type):
            return None
        inside: Any = vars(found).get(name)
        if inside is None and isinstance(found, ModuleType) and _OURS.fullmatch(module):
            inside = getattr(found, name, None)  # classes that ours make when they are asked for
        found = inside
    return found


def _is_kind(found: Any, kind: ClassKind) -> bool:
    if not isinstance(found, type):
        return False
    if kind == "data":
        return dataclasses.is_dataclass(found) or issubclass(found, enum.Enum)
    try:
        return schema(found).is_event == (kind == "event")
    except PopulaceError:
        return False


def _short_name(found: Any) -> str:
    return f"the class {path_of(found)}" if isinstance(found, type) else f"a {type(found).__name__}"


def excerpt(value: Any) -> str:
    """A value in a message: a damaged file may hold anything, as deep and as long as it likes."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 80 else f"{value[:80]!r}…"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length():,} bits"
    return repr(value) if isinstance(value, int | float | None) else f"a {type(value).__name__}"
