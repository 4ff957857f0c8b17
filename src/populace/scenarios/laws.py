"""The laws' settings as sections of a scenario's parameters: [ties], [pruning], [recall_score], ...

A law's section is called as its settings class, in small letters with underscores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from populace.components import Space
from populace.ecs import World
from populace.systems import Routine
from populace.systems.society import SETTINGS

if TYPE_CHECKING:
    from .parameters import Parameters


def section_name(cls: type) -> str:
    """What the section of a settings class is called.

    >>> from populace.systems import RecallScore
    >>> section_name(RecallScore)
    'recall_score'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


def _is_section(cls: type) -> bool:
    """Whether a law's resource is made of plain settings. `Space` is a scenario's to lay out."""
    parts: Mapping[str, Any] = getattr(cls, "__dataclass_fields__", {})
    return cls is not Space and all("doc" in part.metadata for part in parts.values())


LAWS: Final[Mapping[str, type]] = MappingProxyType(
    {section_name(cls): cls for cls in SETTINGS if _is_section(cls)}
)
"""Every law that has plain settings, by its section."""


def insert_laws(world: World, parameters: Parameters) -> None:
    """Give a world the settings of all laws of a scenario, and the routine of an ordinary day."""
    for section in LAWS:
        world.insert(parameters[section])
    world.insert(Routine())
