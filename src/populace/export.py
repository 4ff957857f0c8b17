"""The tidy tables that the commands write: agents.parquet and memories.parquet.

`agent` is the agent's number in the population; with it a memory's `sequence` names it for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from populace.components import (
    Biography,
    Memory,
    Persona,
    Pinned,
    Statement,
    Stream,
    Strength,
    Survey,
    Trace,
)
from populace.ecs import World
from populace.storage import Table, write_tables

AGENTS = Table(
    "agents",
    required=(Persona, Stream),
    optional=(Biography, Survey),
    order=(Persona.number,),
    rename={Persona.number: "agent"},
)
MEMORIES = Table(
    "memories",
    required=(Memory, Trace, Strength),
    optional=(Statement, Pinned),
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
