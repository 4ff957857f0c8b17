"""A run directory becomes a report.

Cost: 2 s for plotly and networkx to load and 4.8 MB for plotly's script in the file, whatever the
run; beyond that what its newest snapshot costs to load.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from populace.storage import Key
from populace.storage.writer import refused

from .bonds import bonds
from .costs import costs, ticks_a_second
from .ending import Ending, chosen_agent, read_ending
from .forgetting import forgetting
from .hours import hours
from .life import life
from .living import living, losses
from .page import in_script, page
from .parts import Chart, Headline, Omission, Section, last_of
from .provenance import provenance
from .rundirectory import RunDirectory, read_run
from .spreading import spreading
from .wording import DAY_US, capital, count, day, decimal, moment, several, share, span

MISSING = "a report is drawn with plotly and networkx: pip install 'populace[report]'"


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written. charts: keys of what is drawn. left_out: what is not, and why."""

    file: Path
    bytes: int
    status: str
    headlines: dict[str, str]
    charts: list[str]
    left_out: dict[str, str]


def write_report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    agent: int | None = None,
    key: Key | None = None,
) -> Report:
    """Write the report of a run directory as one HTML file, which replaces the one before.

    out: the file; RUN/report.html by default. agent: the number of the one whose life is told; by
    default the one with the most ties. key: of encrypted snapshots.

    Raises SourceFileError for a directory that is no run or is damaged and for an agent that is not
    there, StorageError where the disk refuses, ModuleNotFoundError without plotly or networkx.
    """
    plotly = _drawing()
    read = read_run(run)
    with read_ending(read, key) as (ending, why_not):
        sections = _sections(read, ending, why_not, agent)
    headlines = headlines_of(read)
    told = read.manifest
    charts = [part for section in sections for part in section.parts if isinstance(part, Chart)]
    text = page(
        title=str(told.get("scenario") or "A run"),
        about=str(told.get("about") or ""),
        lead=lead_of(read),
        notices=notices_of(read, ending, why_not),
        headlines=headlines,
        sections=sections,
        charts=_figures(charts),
        plotly=plotly,
        foot=_foot(read),
    )
    file = Path(out) if out is not None else read.path / "report.html"
    _write(file, text.encode())
    missing = [part for section in sections for part in section.parts if isinstance(part, Omission)]
    return Report(
        file,
        len(text.encode()),
        read.status,
        {one.label: one.value for one in headlines},
        [chart.key for chart in charts],
        {part.what: part.why for part in missing},
    )


def _drawing() -> str:
    """The script of plotly. Raises ModuleNotFoundError, with the way out, where it is missing."""
    try:
        import networkx  # noqa: F401
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING, name=error.name) from error
    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script")


def _sections(
    run: RunDirectory, ending: Ending | None, why_not: str, agent: int | None
) -> list[Section]:
    whose = chosen_agent(ending, agent) if ending is not None else None
    return [
        living(run),
        forgetting(run, ending, why_not),
        bonds(ending, why_not),
        spreading(run),
        hours(run),
        life(run, ending, whose, why_not),
        costs(run),
        provenance(run),
    ]


def _figures(charts: Sequence[Chart]) -> str:
    """All figures as JSON, checked by plotly."""
    import plotly.graph_objects as go

    made: dict[str, Any] = {}
    for chart in charts:
        figure = json.loads(go.Figure(chart.data, chart.layout).to_json())
        figure["layout"].pop("template", None)
        made[chart.key] = {
            "data": figure["data"], "layout": figure["layout"], "height": chart.height,
        }  # fmt: skip
    return in_script(json.dumps(made, separators=(",", ":"), ensure_ascii=False))


def headlines_of(run: RunDirectory) -> list[Headline]:
    """The numbers of the first page."""
    told = [Headline("Simulated", span(run.lived_us), f"{count(run.n_ticks)} ticks of "
                     f"{span(run.step_us)}")]  # fmt: skip
    if "agents" in run:
        n = count(run.last("agents"))
        told.append(Headline("Agents", n, "alive at the end", run["agents"]))
    formed = float(np.nansum(run["formed"])) if "formed" in run else np.nan
    if "memories" in run:
        detail = f"of {count(formed)} formed" if formed > 0 else "at the end"
        kept = count(run.last("memories"))
        told.append(Headline("Memories kept", kept, detail, run["memories"]))
    gone = np.sum(list(losses(run).values()), axis=0)
    if formed > 0 and np.sum(gone) > 0:
        detail = (
            f"{several(float(np.sum(gone)), 'memory', 'memories')} forgotten, merged or archived"
        )
        told.append(Headline("Gone again", share(float(np.sum(gone)) / formed), detail, gone))
    ties, agents = run.last("ties"), run.last("agents")
    if ties > 0:
        detail = f"{decimal(ties / agents, 2)} for each agent" if agents > 0 else "directed"
        told.append(Headline("Ties", count(ties), detail, run["ties"]))
    reflections = run.last("reflections")
    if reflections > 0:
        told.append(Headline("Reflections", count(reflections), "insights that are kept",
                             run["reflections"]))  # fmt: skip
    known = run.family("knows")
    if known:
        best = max(known.values(), key=last_of)
        told.append(Headline("Widest rumour", share(last_of(best)), "of all agents know it", best))
    speed = ticks_a_second(run)
    if np.isfinite(speed):
        wall = float(np.nansum(run["wall_s"]))
        told.append(Headline("Speed", f"{decimal(speed, 2)} ticks/s", f"{span(wall * 1e6)} in all"))
    return told


def lead_of(run: RunDirectory) -> str:
    """The run in two sentences."""
    who = several(run.last("agents"), "agent") if "agents" in run else "A society"
    lived = f"{who} lived {span(run.lived_us)}, from {day(run.begin_us)} to {day(run.end_us - 1)}."
    if "formed" not in run or "memories" not in run:
        return lived
    formed, kept, ties = float(np.nansum(run["formed"])), run.last("memories"), run.last("ties")
    more = f" They formed {several(formed, 'memory', 'memories')} and hold {count(kept)}"
    if ties > 0:
        more += f", and {several(ties, 'tie')} hold them together"
    return f"{lived}{more}."


def notices_of(run: RunDirectory, ending: Ending | None, why_not: str) -> list[str]:
    """What a reader must know before reading on."""
    until = moment(run.end_us)
    reason = str(run.manifest.get("reason") or "").rstrip(".")
    because = f": {reason}" if reason else ""
    told = {
        "running": f"This run was still going on, or had been killed, when the report was written. "
        f"It is shown up to {until}.",
        "interrupted": f"This run was interrupted at {until}{because}. What it came to by then is "
        f"shown.",
        "stopped": f"This run was stopped at {until}{because}.",
        "failed": f"This run failed at {until}{because}. What it came to before is shown.",
    }
    notices = [told[run.status]] if run.status in told else []
    if run.relieved:
        notices.append(
            f"{capital(several(run.relieved, 'time'))} this run came near to its limit of memory, "
            f"and archived or forgot memories earlier than its parameters say."
        )
    if ending is None:
        notices.append(f"{capital(why_not)}, so forgetting, ties and lives are not told.")
    elif abs(ending.now_us - run.end_us) > run.step_us:
        notices.append(
            f"The newest snapshot is of {moment(ending.now_us)}; what is told of ties, lives and "
            f"forgetting is as of then."
        )
    return notices


def _foot(run: RunDirectory) -> str:
    from populace import __version__

    today = datetime.now(UTC).strftime("%Y-%m-%d")
    seed = run.manifest.get("seed")
    of = f" with seed {seed}" if seed is not None else ""
    days = decimal(run.lived_us / DAY_US, 3)
    return f"Written by Populace {__version__} on {today}, from a run of {days} days{of}."


def _write(file: Path, data: bytes) -> None:
    """The file appears whole, or not at all."""
    temporary = file.with_name(f".{file.name}.new-{secrets.token_hex(4)}")
    with refused("write", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
