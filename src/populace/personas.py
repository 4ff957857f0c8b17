"""Reading a bank of personas: JSON lines as published with 1,000-people simulations (genagents).

One persona a line: names and address (fictional) and the answers of a respondent of the General
Social Survey. The bank knows no Big Five, so traits stay at the population's mean. `read_personas`
reads and checks the whole file into columns; `load_personas` spawns them in one call. An error
anywhere means that nothing was imported.
Cost: about 16 µs per persona.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from populace.components import Biography, Persona, Stream, Survey
from populace.ecs import World
from populace.ecs.errors import SourceFileError

from .population import next_number
from .source import Record, parse_json, read_text

SURVEY = tuple(Survey.__annotations__)


@dataclass(slots=True)
class Personas:
    """Personas as columns; `survey` has one column per field of `Survey`."""

    name: list[str]
    age: list[int]
    home: list[str]
    survey: dict[str, list[str]]


def read_personas(path: str | Path) -> Personas:
    """Read a file of JSON lines. Blank lines are skipped.

    Raises SourceFileError, naming file and line, for anything missing or damaged.
    """
    path = Path(path)
    found = Personas([], [], [], {key: [] for key in SURVEY})
    lines_of: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        record = Record(parse_json(line, path, where), path, where)
        agent_id = record.text("agent_id", empty=False)
        if agent_id in lines_of:
            raise record.wrong("agent_id", f"unlike that of line {lines_of[agent_id]}")
        lines_of[agent_id] = number
        first, last = record.text("first_name", empty=False), record.text("last_name")
        found.name.append(f"{first} {last}".strip())
        found.age.append(record.integer("age", 0, 130))
        street, city = record.text("street_address"), record.text("city")
        found.home.append(", ".join(filter(None, (street, city, record.text("state")))))
        for key in SURVEY:
            found.survey[key].append(record.text(key))
    if not lines_of:
        raise SourceFileError(
            f"{path}: holds no persona; give a file with one JSON object on each line"
        )
    return found


def load_personas(world: World, path: str | Path) -> Personas:
    """Read a file of personas and spawn an agent for each.

    Raises SourceFileError for anything missing or damaged; the world is then as before.
    """
    found = read_personas(path)
    spawn_personas(world, found)
    return found


def spawn_personas(world: World, found: Personas) -> None:
    """Spawn an agent for each persona that has been read."""
    world.spawn(
        len(found.name),
        Persona(number=next_number(world) + np.arange(len(found.name)), name=found.name),
        Biography(age=found.age, home=found.home),
        Survey(**found.survey),
        Stream(),
    )
