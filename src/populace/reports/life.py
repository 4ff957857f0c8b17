"""One agent's life: what it remembers, whom it knows, how it feels, what it has formed and kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from populace.ecs.errors import SqlError

from .ending import Ending
from .living import counted, period_name, periods
from .parts import (
    Chart,
    Floats,
    Ints,
    Key,
    Listing,
    Omission,
    Part,
    Rows,
    Section,
    bars,
    layout,
    rounded,
    shortened,
    stamps,
)
from .rundirectory import RunDirectory
from .wording import EPOCH, capital, day, decimal, listed, moment, several, share

SHOWN = 12
WORDS = {"mood_pleasure_now": ("pleased", "displeased"), "mood_arousal_now": ("stirred", "calm"),
         "mood_dominance_now": ("in control", "at a loss")}  # fmt: skip


def life(run: RunDirectory, ending: Ending | None, agent: int | None, why_not: str) -> Section:
    """The section, about the agent with this number."""
    subject = "The life of one agent"
    if ending is None or agent is None:
        return Section("life", subject, [Omission(subject, why_not or "there are no agents")])
    title = f"A life: {ending.name(agent)}"
    try:
        parts: list[Part] = [
            _memories(ending, agent), _ties(ending, agent), _knowledge(ending, agent),
            _formed(run, ending, agent),
        ]  # fmt: skip
        return Section("life", title, parts, _about(ending, agent))
    except SqlError as error:
        return Section("life", title, [Omission(subject, f"it cannot be asked for: {error}")])


def _about(ending: Ending, agent: int) -> str:
    """Who it is and how it feels, in sentences."""
    said = [f"Agent {agent}"]
    found = ending.rows("SELECT * FROM agents WHERE agent = $agent", {"agent": agent})
    held: dict[str, Any] = found[0] if found else {}
    if held.get("age"):
        said[0] += f", {held['age']} years old"
    state = held.get("state")
    if state is not None and isinstance(state, str):
        said[0] += f"; {state} when the snapshot was taken, {moment(ending.now_us)}"
    feels = []
    for column, (above, below) in WORDS.items():
        value = held.get(column)
        if value is not None and abs(value) > 0.05:
            how = "" if abs(value) > 0.35 else "a little "
            feels.append(how + (above if value > 0 else below))
    if any(held.get(column) is not None for column in WORDS):
        said.append(f"Its mood: {listed(feels) if feels else 'even'}")
    energy = held.get("energy_now")
    if energy is not None:
        said.append(f"Social energy {share(float(energy))}")
    traits = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
    marked = [
        f"{'high' if held[name] > 0.5 else 'low'} in {name}"
        for name in traits
        if held.get(name) is not None and abs(held[name] - 0.5) > 0.25
    ]
    if marked:
        said.append(capital(listed(marked)))
    return ". ".join(said) + "."


def _memories(ending: Ending, agent: int) -> Listing | Omission:
    rows = ending.rows(
        "SELECT text, kind, created, strength, importance, count(*) OVER () AS n FROM memories "
        "ORDER BY strength DESC, importance DESC, created DESC, sequence LIMIT 400",
        of=[agent],
    )
    if not rows:
        return Omission("Strongest memories", "it remembers nothing")
    worth = "importance" if rows[0]["strength"] is None else "strength"  # without a law of it
    different: dict[str, dict[str, Any]] = {}
    for row in rows:
        different.setdefault(row["text"] or "", row)
    shown = list(different.values())[:SHOWN]
    best = shortened(shown[0]["text"] or "(no text)", 90)
    return Listing(
        "What it remembers best",
        f"Of {several(rows[0]['n'], 'memory', 'memories')} the strongest is “{best}”.",
        Rows(
            ["memory", "kind", "formed", worth],
            [[shortened(row["text"] or "", 160), str(row["kind"]), _when(row["created"]),
              f"{row[worth] or 0:.3f}"] for row in shown],
        ),
        note="Of memories that say the same, the strongest.",
        wide=True,
    )  # fmt: skip


def _when(created: Any) -> str:
    return moment(_us(created))


def _us(time: Any) -> int:
    us: int = round((time - EPOCH).total_seconds() * 1e6)
    return us


def _ties(ending: Ending, agent: int) -> Listing | Omission:
    ties = ending.ties
    mine = np.flatnonzero(ties.source == agent) if ties is not None else np.empty(0, np.int64)
    if ties is None or not mine.size:
        return Omission("Strongest ties", "it knows nobody")
    weight = np.nan_to_num(ties.strength[mine])
    best = mine[np.lexsort((ties.target[mine], -ties.contacts[mine], -weight))][:SHOWN]
    closest = ending.name(int(ties.target[best[0]]))
    return Listing(
        "Whom it knows best",
        f"It knows {several(mine.size, 'other')}, {closest} best of all.",
        Rows(
            ["to", "strength", "contacts"],
            [[ending.name(int(ties.target[k])), strength, int(ties.contacts[k])]
             for k, strength in zip(best, rounded(ties.strength[best], 3), strict=True)],
        ),
    )  # fmt: skip


def _knowledge(ending: Ending, agent: int) -> Listing | Omission:
    rows = ending.rows(
        "SELECT topic_name, confidence, learned, source_name FROM knowledge "
        "ORDER BY confidence DESC, topic LIMIT 12",
        of=[agent],
    )
    if not rows:
        return Omission("What it knows", f"{ending.name(agent)} has learnt of nothing")
    first = rows[0]
    origin = f"from {first['source_name']}" if first["source_name"] else "first hand"
    return Listing(
        "What it knows",
        f"“{shortened(first['topic_name'] or '', 80)}”, {origin}.",
        Rows(
            ["what", "confidence", "learnt", "from"],
            [[shortened(row["topic_name"] or "", 80), f"{row['confidence']:.2f}",
              day(_us(row["learned"])), row["source_name"] or "–"] for row in rows],
        ),
    )  # fmt: skip


def _formed(run: RunDirectory, ending: Ending, agent: int) -> Chart | Omission:
    """Kept memories by the day they were formed; and how many were, where checkpoints tell."""
    rows = ending.rows("SELECT epoch_us(created) AS created FROM memories", of=[agent])
    begins, _, length = periods(run.time_us)
    ends = np.append(begins, begins[-1] + length)
    kept, _ = np.histogram([row["created"] for row in rows], ends)
    if not kept.any():
        return Omission("Its memories by day", "it keeps none that was formed in this run")
    formed = _formed_by(ending, agent, ends)
    known = np.isfinite(formed)
    formed[known] = np.maximum(formed[known], kept[known])
    name = period_name(length)
    at = [text[: 16 if name == "hour" else 10] for text in stamps(begins)]
    data = [bars(at, kept, "kept", 0)]
    legend = [Key("kept", "line0", "bar")]
    columns: dict[str, list[Any]] = {"kept": kept.tolist()}
    finding, note = f"It keeps {several(int(kept.sum()), 'memory', 'memories')} of this run.", ""
    if known.any():
        data.append(bars(at, formed - kept, "gone again", 5, form=1, opacity=0.6))
        legend.append(Key("gone again", "line5", "bar", "/"))
        columns["formed"] = rounded(np.round(formed))
        part = share(float(kept[known].sum()) / max(float(formed[known].sum()), 1))
        mean = decimal(float(formed[known].mean()), 2)
        finding = f"On an average {name} it forms {mean} memories, of which it keeps {part}."
        note = "How many were formed is told by the checkpoints that the run has kept."
    return Chart(
        "life-formed",
        f"Its memories by the {name} they were formed",
        finding,
        data,
        layout(barmode="stack", bargap=0.2, y=counted(np.fmax(kept, formed))),
        Rows([name, *columns], [list(row) for row in zip(at, *columns.values(), strict=True)]),
        unit="memories",
        legend=legend if len(legend) > 1 else (),
        note=note,
        height=230,
    )


def _formed_by(ending: Ending, agent: int, ends: Ints) -> Floats:
    """Memories that it formed between each two of some moments, (k,); NaN where none tells."""
    asked = "SELECT epoch_us(time) AS time, formed FROM agents WHERE agent = $agent ORDER BY time"
    told = ending.history(asked, {"agent": agent})
    formed = np.full(ends.size - 1, np.nan)
    if len(told) < 2 or told[0]["formed"] is None:
        return formed
    time = np.array([row["time"] for row in told], np.float64)
    so_far = np.array([row["formed"] for row in told], np.float64)
    within = (ends[:-1] >= time[0]) & (ends[1:] <= time[-1])
    formed[within] = np.diff(np.interp(ends, time, so_far))[within]
    return formed
