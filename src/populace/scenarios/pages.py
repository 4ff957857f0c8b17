"""A scenario's parameters as a page for people, in TOML, and as a JSON schema for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .parameter import Parameter
from .registry import name_of
from .spans import SECONDS_OF

if TYPE_CHECKING:
    from .parameters import Parameters


def toml_of(parameters: Parameters, comments: bool = True) -> str:
    """A TOML file that reads as these parameters.

    comments: with the meaning, unit and range of each.
    """
    import tomlkit

    page = tomlkit.document()
    if comments and parameters.scenario.about:
        page.add(tomlkit.comment(_line(parameters.scenario.about)))
    page.add("scenario", tomlkit.item(name_of(parameters.scenario)))
    tables = {section: tomlkit.table() for section in parameters.sections}
    for section, table in tables.items():
        about = _about_class(type(parameters.sections[section]))
        if comments and about:
            table.comment(about)
    for parameter, value in parameters:
        table = tables[parameter.section]
        item = tomlkit.item(parameter.written(value))
        if comments:
            table.add(tomlkit.comment(_about(parameter, value)))
            if parameter.is_span and parameter.shown(value) != f"{value}{parameter.unit}".replace(
                ".0", ""
            ):
                item.comment(parameter.shown(value))
        table.add(parameter.key, item)
    for section, table in tables.items():
        page.add(section, table)
    return tomlkit.dumps(page)


def schema_of(parameters: Parameters) -> dict[str, Any]:
    """A JSON schema of files that `read_parameters` takes, with these values as the defaults.

    A unit is told by the keyword "unit", which validators pass over.
    """
    sections: dict[str, Any] = {
        section: {
            "type": "object",
            "description": _about_class(type(made)),
            "properties": {},
            "additionalProperties": False,
        }
        for section, made in parameters.sections.items()
    }
    for parameter, value in parameters:
        sections[parameter.section]["properties"][parameter.key] = _schema_of(parameter, value)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": parameters.scenario.name,
        "description": parameters.scenario.about,
        "type": "object",
        "properties": {"scenario": {"const": name_of(parameters.scenario)}, **sections},
        "additionalProperties": False,
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def _about_class(cls: type) -> str:
    """The first line of a class's docstring; empty where dataclasses made it up."""
    about = (cls.__doc__ or "").strip().partition("\n")[0]
    return "" if about.startswith(f"{cls.__name__}(") else about.removesuffix(" A resource.")


def _about(parameter: Parameter, value: Any) -> str:
    """Meaning, what is allowed, the default where it is another, and that of the law itself."""
    parts = [_line(parameter.doc), parameter.allowed()]
    if value != parameter.default:
        parts.append(f"default {parameter.shown(parameter.default)}")
    if parameter.default != parameter.elsewhere:
        parts.append(f"elsewhere {parameter.shown(parameter.elsewhere)}")
    return "; ".join(part for part in parts if part)


_JSON_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string"}


def _schema_of(parameter: Parameter, value: Any) -> dict[str, Any]:
    """The JSON schema of one parameter."""
    schema: dict[str, Any] = {"description": parameter.doc, "default": parameter.written(value)}
    if parameter.choices:
        schema["enum"] = parameter.choices
        return schema
    kind = _JSON_TYPES[parameter.kind]
    schema["type"] = [kind, "string"] if parameter.is_span else kind
    if parameter.is_span:
        schema["pattern"] = f"^[0-9][0-9_]*(\\.[0-9_]+)?[{''.join(SECONDS_OF)}]$"
    if parameter.range is not None:
        schema["minimum"], schema["maximum"] = parameter.range
    if parameter.unit:
        schema["unit"] = parameter.unit
    return schema
