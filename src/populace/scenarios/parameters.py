"""The parameters of a scenario: typed, checked, and told from where a wrong one came.

    parameters = read_parameters(scenario, file=Path("mine.toml"), overrides=["ties.half_life=7d"])
    parameters["ties"].half_life, parameters.of(Ties).half_life, parameters.run.seed

Defaults < TOML file < environment (POPULACE_TIES__HALF_LIFE=7d) < overrides. Every value passes the
checks of its `@settings` class. A number of seconds or days may be a span: "90s", "30m", "12h",
"7d". All faults are found before any is told, and nothing is ignored: a name that the scenario does
not have is a fault.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from populace.ecs.errors import SettingError, SourceFileError

from .parameter import Parameter, classes_of, own_defaults, parameters_of
from .registry import find_scenario, name_of, read_toml, scenario_named_in
from .scenario import Run, Scenario

S = TypeVar("S")

PREFIX = "POPULACE_"


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters of a scenario: an instance of its `@settings` class for each section."""

    scenario: Scenario
    sections: Mapping[str, Any]

    def __getitem__(self, section: str) -> Any:
        """The settings of a section. Raises SettingError where there is none."""
        if section not in self.sections:
            raise SettingError(_no_section(section, self.sections))
        return self.sections[section]

    def of(self, cls: type[S]) -> S:
        """The settings of a class. Raises SettingError unless one section is of that class."""
        found = [made for made in self.sections.values() if type(made) is cls]
        if len(found) != 1:
            raise SettingError(
                f"{self.scenario.name} has {len(found)} sections of {cls.__name__}, not one; "
                f"its sections are {', '.join(self.sections)}"
            )
        return found[0]

    @property
    def run(self) -> Run:
        """The section [run]."""
        return self.of(Run)

    def __iter__(self) -> Iterator[tuple[Parameter, Any]]:
        """Each parameter and its value, in the order of declaration."""
        for parameter in parameters_of(self.scenario).values():
            yield parameter, getattr(self.sections[parameter.section], parameter.key)

    def values(self) -> dict[str, Any]:
        """{"ties.half_life": 604800.0, ...}, all of them, as JSON values."""
        return {parameter.name: parameter.written(value) for parameter, value in self}

    def changed(self) -> dict[str, Any]:
        """As `values`, only what differs from the defaults."""
        return {
            parameter.name: parameter.written(value)
            for parameter, value in self
            if value != parameter.default
        }

    def replaced(self, name: str, value: Any) -> Parameters:
        """The same with one parameter, "run.seed", of another value. Raises SettingError."""
        return self.updated({name: value})

    def updated(self, values: Mapping[str, Any]) -> Parameters:
        """The same with other values, by name, checked together. Raises SettingError."""
        gathering = _Gathering(self.scenario, self.sections)
        for name, value in values.items():
            gathering.take(name, value, "")
        return gathering.done()

    def to_toml(self, comments: bool = True) -> str:
        """A TOML file that reads as these parameters.

        comments: with the meaning, unit and range of each.
        """
        from .pages import toml_of

        return toml_of(self, comments)

    def to_schema(self) -> dict[str, Any]:
        """A JSON schema of such files, with these values as the defaults.

        A unit is told by the keyword "unit", which validators pass over.
        """
        from .pages import schema_of

        return schema_of(self)


def read_parameters(
    scenario: Scenario,
    *,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Parameters:
    """The parameters of a scenario: defaults < file < environment < overrides.

    file: TOML. overrides: as "ties.half_life=7d"; of two for the same name the later counts.
    environment: variables such as POPULACE_TIES__HALF_LIFE; None: those of this process. Raises
    SourceFileError for a file that cannot be read, and SettingError, which tells all faults.

    >>> from populace.ecs import setting, settings
    >>> @settings
    ... class Thirst:
    ...     after: float = setting(3600.0, range=(1, 1e6), unit="s", doc="until one is thirsty")
    >>> inn = Scenario("inn", "Who drinks", {"thirst": Thirst}, print, print)
    >>> parameters = read_parameters(inn, overrides=["thirst.after=2h"], environment={})
    >>> parameters["thirst"], parameters.changed()
    (Thirst(after=7200.0), {'thirst.after': 7200.0})
    >>> read_parameters(inn, overrides=["thirst.aftr=2h"], environment={})
    Traceback (most recent call last):
    populace.ecs.errors.SettingError: --set thirst.aftr=2h: there is no parameter thirst.aftr; \
did you mean thirst.after?
    """
    gathering = _Gathering(scenario)
    if file is not None:
        gathering.take_file(Path(file))
    gathering.take_environment(os.environ if environment is None else environment)
    for override in overrides:
        name, equals, text = override.partition("=")
        if equals:
            gathering.take(name.strip(), text.strip(), f"--set {override}")
        else:
            gathering.faults.append(f"--set {override}: must be SECTION.KEY=VALUE")
    return gathering.done()


class _Gathering:
    """Values for a scenario's parameters as they are found, and what is wrong with them."""

    def __init__(self, scenario: Scenario, sections: Mapping[str, Any] | None = None) -> None:
        self.scenario = scenario
        self.sections = sections
        self.known = parameters_of(scenario)
        self.section_classes = classes_of(scenario)
        self.faults: list[str] = []
        self.values: dict[str, Any] = {}
        self.faulty: set[str] = set()  # sections
        self.places: dict[str, dict[str, None]] = {}  # of a section: where its values come from

    def take(self, name: str, value: Any, place: str, *, quoted: bool = False) -> None:
        """One value, found at `place`."""
        where = f"{place}: " if place else ""
        if name not in self.known:
            self.faults.append(f"{where}there is no parameter {name}; {self._meant(name)}")
            return
        parameter = self.known[name]
        try:
            self.values[name] = parameter.read(value, where, quoted=quoted)
        except SettingError as error:
            self.faults.append(str(error))
            self.faulty.add(parameter.section)
        if place:
            self.places.setdefault(parameter.section, {})[place] = None

    def take_file(self, file: Path) -> None:
        """The sections of a TOML file."""
        contents = read_toml(file)
        if "scenario" in contents:
            self._check_scenario(file, contents)
        for section, held in contents.items():
            if isinstance(held, dict) and section in self.section_classes:
                for key, value in held.items():
                    self.take(f"{section}.{key}", value, str(file), quoted=True)
            elif isinstance(held, dict):
                self.faults.append(f"{file}: {_no_section(section, self.section_classes)}")
            elif section in self.section_classes:
                self.faults.append(
                    f"{file}: {section} must be a section, [{section}], got {held!r}"
                )
            elif section != "scenario":
                self.faults.append(
                    f"{file}: {section} stands in no section; {self._meant(section)}"
                )

    def _check_scenario(self, file: Path, contents: dict[str, Any]) -> None:
        """Refuse the parameters of another scenario."""
        try:
            named = scenario_named_in(file, contents)
            other = named != name_of(self.scenario) and find_scenario(named) is not self.scenario
        except (SettingError, SourceFileError) as error:
            told = str(error)
            self.faults.append(told if told.startswith(str(file)) else f"{file}: {told}")
            return
        if other:
            self.faults.append(
                f"{file}: holds parameters of the scenario {contents['scenario']!r}, not of "
                f"{self.scenario.name!r}"
            )

    def take_environment(self, environment: Mapping[str, str]) -> None:
        """Variables named as POPULACE_TIES__HALF_LIFE."""
        by_variable = {_variable(name): name for name in self.known}
        for variable in sorted(environment):
            if not variable.startswith(PREFIX) or "__" not in variable:
                continue
            if variable in by_variable:
                self.take(by_variable[variable], environment[variable].strip(), variable)
                continue
            close = get_close_matches(variable, by_variable, 1, 0.8)
            way_out = f"did you mean {close[0]}?" if close else "unset it"
            self.faults.append(
                f"{variable}: there is no such parameter of {self.scenario.name}; {way_out}"
            )

    def done(self) -> Parameters:
        """The parameters. Raises SettingError with all that was wrong."""
        made = {}
        for section, cls in self.section_classes.items():
            if section in self.faulty:  # what does not go together is not known
                continue
            given = {
                parameter.key: self.values[name]
                for name, parameter in self.known.items()
                if parameter.section == section and name in self.values
            }
            try:
                if self.sections is None:
                    made[section] = cls(**own_defaults(self.scenario, section) | given)
                else:
                    made[section] = dataclasses.replace(self.sections[section], **given)
            except SettingError as error:
                told = str(error).replace(f"{cls.__name__}.", f"{section}.")
                place = ", ".join(self.places.get(section, {}))
                self.faults.append(f"{place}: {told}" if place else told)
        if self.faults:
            count = f"{len(self.faults)} faults:\n  " if len(self.faults) > 1 else ""
            raise SettingError(count + "\n  ".join(self.faults))
        return Parameters(self.scenario, made)

    def _meant(self, name: str) -> str:
        """What somebody may have meant by a name that is not there."""
        section, dot, key = name.rpartition(".")
        close = get_close_matches(name, self.known, 1, 0.7) if dot else []
        if not close:
            keys = {parameter.key for parameter in self.known.values()}
            alike = [key] if key in keys else get_close_matches(key, sorted(keys), cutoff=0.8)
            close = [known.name for known in self.known.values() if known.key in alike]
        if close:
            return f"did you mean {' or '.join(close[:3])}?"
        beside = [known.name for known in self.known.values() if known.section == section]
        if beside:
            return f"there are {', '.join(beside)}"
        return f"`populace scenario show {name_of(self.scenario)}` shows all"


def _variable(name: str) -> str:
    """The environment variable of a parameter."""
    section, _, key = name.partition(".")
    return f"{PREFIX}{section}__{key}".upper()


def _no_section(section: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(section, known, 1)
    meant = f"did you mean [{close[0]}]? " if close else ""
    return f"there is no section [{section}]; {meant}there are {', '.join(known)}"
