"""What a notebook shows of what was recalled: the memories with their scores, the best first.

Cost: that of `ROWS` rows, however many came to mind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from populace.components.memory import MemoryKind
from populace.ecs.html import count, moment, note, page, section, table

if TYPE_CHECKING:
    from .recollection import Recollection
    from .society_recall import Remembered

ROWS = 20
KINDS = {int(kind): kind.name.lower() for kind in MemoryKind}


def recall_html(found: Recollection | Remembered, title: str) -> str:
    """Each memory's text, agent, kind and date, its score and the three parts of it."""
    n = min(len(found), ROWS)
    scores = found.scores
    parts = (scores.total, scores.recency, scores.importance, scores.relevance)
    columns: list[list[Any]] = [
        [str(number) if number >= 0 else "–" for number in found.keys[:n, 0].tolist()],
        found.text[:n],
        [KINDS.get(kind, str(kind)) for kind in found.kind[:n].tolist()],
        [moment(us) for us in found.created[:n].tolist()],
        *([round(value, 3) for value in part[:n].tolist()] for part in parts),
    ]
    headings = ["agent", "memory", "kind", "formed", "score", "recency", "importance", "relevance"]
    rows = zip(*columns, strict=True)
    body = table(headings, rows, len(found) - n) if n else note("nothing came to mind")
    return page(title, body, _plan(found))


def _plan(found: Recollection | Remembered) -> str:
    plan = found.plan
    if plan is None:
        return ""
    rows = [[s.name, count(s.candidates), round(s.seconds * 1e6)] for s in plan.stages[:ROWS]]
    body = table(["stage", "candidates left", "µs"], rows, len(plan.stages) - ROWS)
    return section(f"How: {plan.path}, {plan.seconds * 1e6:,.0f} µs", body, open=False)
