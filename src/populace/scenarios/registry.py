"""Where scenarios come from: those that are built in, by name, and a user's own, by file.

Invariants: a built-in scenario is imported when it is asked for, not before. A user's file is run
under a private module name, so it shadows nothing; the same text at the same path is run once in
a process, and gives the same scenario. Its folder is importable, behind all else, while it runs,
and stays so only where the file imported something from there. Files in two folders may import
neighbours of the same name: each has its own, and who imports it later has that of the scenario
which was found last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from populace.ecs.errors import SettingError, SourceFileError
from populace.source import read_text

from .scenario import Run, Scenario

BUILT_IN = ("town", "replay", "smallville", "stream")
"""Modules of this package, each with a `scenario`."""

_loaded: dict[str, tuple[bytes, Scenario]] = {}
_neighbours: dict[str, dict[str, ModuleType]] = {}
"""Of each folder the modules that a scenario's file imported from there, by name."""
_added: set[str] = set()
"""Folders that are on the path for the sake of scenarios, that of the one found last first."""
_SECTION = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def find_scenario(name: str | Path) -> Scenario:
    """A scenario: by name, by a Python file with a `scenario` in it, or by a TOML file that says.

    Raises SettingError for an unknown name, and SourceFileError for a file that is missing, fails,
    or has no scenario in it. Cost: that of importing it.
    """
    text = str(name)
    if text in BUILT_IN:
        found: Scenario = import_module(f".{text}", __package__).scenario
        return found
    if text.endswith(".toml"):
        return find_scenario(scenario_named_in(Path(text)))
    if text.endswith(".py") or "/" in text:
        return _load(Path(text).resolve())
    close = get_close_matches(text, BUILT_IN, 1)
    raise SettingError(
        f"there is no scenario {text!r}; {f'did you mean {close[0]}? ' if close else ''}there are "
        f"{', '.join(BUILT_IN)}; one of your own is given by its file, as mine.py"
    )


def names() -> dict[str, str]:
    """The built-in scenarios, and what each is about."""
    return {name: find_scenario(name).about for name in BUILT_IN}


def name_of(scenario: Scenario) -> str:
    """What `find_scenario` finds it by: a name, or the full path of its file."""
    paths = (path for path, (_, loaded) in _loaded.items() if loaded is scenario)
    return next(paths, scenario.name)


def files_of(scenario: Scenario) -> list[Path]:
    """The file of a user's scenario and, sorted, those that it imported from beside it; none of a
    scenario that is built in."""
    path = Path(name_of(scenario))
    if path.suffix != ".py":
        return []
    beside = _neighbours.get(str(path.parent), {}).values()
    return [path, *sorted({Path(file) for module in beside if (file := module.__file__)} - {path})]


def texts_of(scenario: Scenario) -> dict[Path, str]:
    """The texts of `files_of` a scenario as they are now, each by its digest."""
    return {file: text_of(file) for file in files_of(scenario)}


def text_of(file: Path) -> str:
    """The digest of a file's text; empty where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def scenario_named_in(file: Path, contents: dict[str, Any] | None = None) -> str:
    """The name or path of the scenario that a TOML file is about.

    contents: of the file, if they were read. A path in the file is relative to the file. Raises
    SourceFileError where there is none.
    """
    given = (read_toml(file) if contents is None else contents).get("scenario")
    if not isinstance(given, str) or not given or given.endswith(".toml"):
        told = "is missing" if given is None else f"is {given!r}"
        raise SourceFileError(
            f'{file}: scenario {told}; a line as scenario = "town" or scenario = "mine.py" must '
            f"stand at its top"
        )
    return str((file.parent / given).resolve()) if _is_path(given) else given


def read_toml(file: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises SourceFileError, with line and column where there are any."""
    try:
        return tomllib.loads(read_text(file))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise SourceFileError(f"{file}: not TOML: {reason}") from error


def _is_path(text: str) -> bool:
    return text not in BUILT_IN and (text.endswith(".py") or "/" in text)


def _load(path: Path) -> Scenario:
    """The scenario of a Python file."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    with _among_neighbours(str(path.parent)):
        if str(path) in _loaded and _loaded[str(path)][0] == source:
            return _loaded[str(path)][1]
        module = _run_file(path, source)
    scenario = getattr(module, "scenario", None)
    if not isinstance(scenario, Scenario):
        told = "has no scenario" if scenario is None else f"scenario is {scenario!r}"
        raise SourceFileError(
            f"{path}: {told}; it must have one, as scenario = Scenario(name, about, sections, "
            f"build, add_systems), from populace.scenarios.scenario"
        )
    _check(scenario, path)
    _loaded[str(path)] = source, scenario
    return scenario


def _run_file(path: Path, source: bytes) -> ModuleType:
    """The module that a file makes, under a name of its own."""
    # Not by its text: a snapshot finds the classes of a file by this name, also after an edit.
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    name = f"_populace_scenario_{digest}"
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # only without a loader
    module = module_from_spec(spec)
    earlier = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # Not exec_module: a .pyc is taken for current if size and second of the .py have not moved.
        exec(loader.source_to_code(source, str(path)), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if earlier is not None:
            sys.modules[name] = earlier
        raise SourceFileError(f"{path}: {_where(error, path)}{_told(error)}") from error
    return module


@contextmanager
def _among_neighbours(folder: str) -> Iterator[None]:
    """Within, what is imported from a user's folder comes from this one, not from another's."""
    others = {
        name: module
        for other, modules in _neighbours.items() if other != folder
        for name, module in modules.items() if sys.modules.get(name) is module
    }  # fmt: skip
    for name in others:
        del sys.modules[name]
    sys.modules.update(_neighbours.get(folder, {}))
    behind = [path for path in sys.path if path in _added and path != folder]
    before = [path for path in sys.path if path not in _added]
    given = folder in before
    sys.path[:] = before if given else [*before, folder]  # last: its random.py is its own
    known = set(sys.modules)
    try:
        yield
    finally:
        new = {name: sys.modules[name] for name in set(sys.modules) - known}
        found = {name: module for name, module in new.items() if _is_at(module, folder, name)}
        if held := _neighbours.get(folder, {}) | found:
            _neighbours[folder] = held
        if not given:
            sys.path.remove(folder)
            if held:
                _added.add(folder)
                sys.path.append(folder)
        sys.path += behind
        for name, module in others.items():
            sys.modules.setdefault(name, module)


def _is_at(module: ModuleType, folder: str, name: str) -> bool:
    """Whether a module is what its name stands for in a folder: a file, or a package."""
    place = Path(folder, *name.split("."))
    file = getattr(module, "__file__", None)
    if file is None:
        return str(place) in getattr(module, "__path__", ())
    return Path(file) in (place.with_name(f"{place.name}.py"), place / "__init__.py")


def _where(error: BaseException, path: Path) -> str:
    """The last line of the file that an error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


def _told(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _check(scenario: Scenario, path: Path) -> None:
    """Raise SourceFileError for a scenario that could not be run."""
    faults = []
    if not scenario.name or not isinstance(scenario.name, str):
        faults.append(f"its name must be a text, got {scenario.name!r}")
    for part in ("build", "add_systems", "measure", "labels", "tell", "prolong"):
        given = getattr(scenario, part)
        if not callable(given) and (given is not None or part in ("build", "add_systems")):
            faults.append(f"{part} must be a function, got {given!r}")
    sections = dict(scenario.sections)
    for name, cls in sections.items():
        if not isinstance(name, str) or not _SECTION.fullmatch(name) or "__" in name:
            faults.append(f"a section is named in small letters, as 'ties', got {name!r}")
        elif name in ("run", "scenario"):
            faults.append(f"a section cannot be named {name!r}: that is there by itself")
        elif not _is_settings(cls):
            faults.append(f"section {name!r} must be a class under @settings, got {cls!r}")
    sections["run"] = Run
    for name in (*scenario.defaults, *([scenario.source] if scenario.source else [])):
        section, _, key = name.partition(".")
        if key not in getattr(sections.get(section), "__dataclass_fields__", {}):
            part = "source" if name == scenario.source else "defaults"
            faults.append(f"{part} must name a parameter, as 'run.days', got {name!r}")
    if not faults:
        faults += _wrong_defaults(scenario, sections)
    if faults:
        raise SourceFileError(f"{path}: scenario: {'; '.join(faults)}")


def _wrong_defaults(scenario: Scenario, sections: dict[str, Any]) -> list[str]:
    """What the classes of the sections say to the scenario's own defaults."""
    faults = []
    for section, cls in sections.items():
        try:
            cls(
                **{
                    name.partition(".")[2]: value
                    for name, value in scenario.defaults.items()
                    if name.partition(".")[0] == section
                }
            )
        except SettingError as error:
            faults.append(f"defaults: {error}")
    return faults


def _is_settings(cls: Any) -> bool:
    return (
        isinstance(cls, type)
        and dataclasses.is_dataclass(cls)
        and all("doc" in part.metadata for part in dataclasses.fields(cls))
    )
