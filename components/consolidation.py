"""How far an agent's memories have been looked through for duplicates."""

from __future__ import annotations

from populace.ecs import component, f4, field, u4

TEXT_ALONE = 2.0
"""The threshold of a comparison by text: no cosine reaches it."""


@component
class Reviewed:
    """On an agent: its memories numbered below `formed` have been compared with each other."""

    formed: u4 = field(default=0, doc="memories of the stream that have been compared")
    threshold: f4 = field(
        default=TEXT_ALONE, range=(0, TEXT_ALONE), doc="cosine from which they were merged"
    )
