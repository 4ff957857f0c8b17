"""Minds on disk: the tidy tables agents.parquet and memories.parquet, and all that can be read.

In the tables `agent` is the agent's number in the population; with it a memory's `sequence` names
it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from populace.components import (
    Biography,
    Capacity,
    Memory,
    Persona,
    Pinned,
    Reflection,
    Retentiveness,
    Statement,
    Stream,
    Strength,
    Survey,
    Trace,
)
from populace.ecs import World
from populace.storage import MANIFEST, Table, load_tables, read_manifest, write_tables

from .personas import read_personas, spawn_personas
from .population import advance_clock
from .ville import read_ville, spawn_ville

AGENTS = Table(
    "agents",
    required=(Persona, Stream),
    optional=(Biography, Survey, Retentiveness, Capacity),
    order=(Persona.number,),
    rename={
        Persona.number: "agent",
        Retentiveness.half_life: "memory_half_life",
        Capacity.memories: "memory_capacity",
    },
)
MEMORIES = Table(
    "memories",
    required=(Memory, Trace, Strength),
    optional=(Statement, Reflection, Pinned),
    order=(Memory.owner, Memory.sequence),
    rename={Memory.owner: "agent", Strength.value: "strength"},
    references={Memory.owner: Persona.number},
)


def export_minds(
    world: World,
    directory: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    force: bool = False,
) -> dict[str, int]:
    """Write agents and memories as Parquet tables; return rows by table.

    `strength` is as of the last sweep. Raises what `write_tables` does.
    """
    return write_tables(world, directory, (AGENTS, MEMORIES), about=about, force=force)


def import_minds(world: World, directory: str | Path) -> dict[str, int]:
    """Spawn what `export_minds` wrote, into a world without agents; return rows by table.

    The clock moves to when the tables were written. Raises what `load_tables` does.
    """
    now = int(read_manifest(directory)["now_us"])
    rows = load_tables(world, directory, (AGENTS, MEMORIES))
    advance_clock(world, now)
    return rows


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
