"""Minds on disk: the tidy tables agents, memories and ties, and all that can be read.

In the tables `agent` is the agent's number in the population; with it a memory's `sequence` names
it for good. They hold who agents are, what they feel, what they remember and to whom they are tied:
minds that another world can take in. All of a world, to go on with it, is in a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from populace.components import (
    Biography,
    Capacity,
    Emotion,
    LearningRate,
    Mood,
    Retentiveness,
    SocialEnergy,
    Survey,
    Temperament,
    Tie,
)
from populace.ecs import World
from populace.ecs.errors import SettingError, SourceFileError
from populace.storage import MANIFEST, load_tables, read_manifest, write_tables
from populace.systems.ties import Ties

from .catalogue import AGENTS, MEMORIES, TIES
from .personas import read_personas, spawn_personas
from .population import advance_clock
from .ville import read_ville, spawn_ville

PERSONS = replace(
    AGENTS,
    optional=(
        Biography,
        Survey,
        Retentiveness,
        Capacity,
        LearningRate,
        Temperament,
        Emotion,
        Mood,
        SocialEnergy,
    ),
)
"""Agents without what only their own world can make sense of: their places, ways and activities."""


def export_minds(
    world: World,
    directory: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    force: bool = False,
) -> dict[str, int]:
    """Write agents, memories and, where there are any, ties as Parquet tables.

    Returns rows by table. `strength` is as of the last sweep. Raises what `write_tables` does.
    """
    tables = [PERSONS, MEMORIES]
    told: dict[str, Any] = {}
    if world.query(Tie).count():
        tables.append(TIES)
        if Ties in world.resources:
            told["half_life_s"] = world.resource(Ties).half_life
    return write_tables(world, directory, tables, about={**told, **(about or {})}, force=force)


def import_minds(world: World, directory: str | Path) -> dict[str, int]:
    """Spawn what `export_minds` wrote, into a world without agents; return rows by table.

    The clock moves to when the tables were written. Ties bring the half-life that they had there,
    as a resource `Ties`, where the world has none yet. Raises what `load_tables` does.
    """
    manifest = read_manifest(directory)
    tables = [PERSONS, MEMORIES]
    law: Ties | None = None
    if f"{TIES.name}.parquet" in manifest["files"]:
        tables.append(TIES)
        law = _law(manifest, directory)
    rows = load_tables(world, directory, tables)
    if law is not None and Ties not in world.resources:
        world.insert(law)
    advance_clock(world, int(manifest["now_us"]))
    return rows


def _law(manifest: Mapping[str, Any], directory: str | Path) -> Ties | None:
    """The law by which ties were kept, where the manifest tells."""
    if "half_life_s" not in manifest:
        return None
    try:
        return Ties(half_life=manifest["half_life_s"])
    except SettingError as error:
        raise SourceFileError(f"{Path(directory) / MANIFEST}: is damaged: {error}") from error


def read_minds(source: str | Path) -> Callable[[World], object]:
    """Read minds of any kind; return what spawns them in a world.

    source: a folder of memory streams, a folder of tables that populace wrote, or a file of
    personas. Raises SourceFileError, naming file and record, for what is damaged or none of these.
    """
    source = Path(source)
    if (source / MANIFEST).is_file():
        read_manifest(source)
        return partial(import_minds, directory=source)
    if source.is_dir():
        return partial(spawn_ville, found=read_ville(source))
    return partial(spawn_personas, found=read_personas(source))
