"""What the commands print: tables for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from populace.components import Persona
from populace.components.tie import Tie, TieState, TieStrength
from populace.ecs import World
from populace.ecs.errors import SnapshotError
from populace.storage import Snapshots
from populace.storage.datafiles import DataFiles
from populace.storage.results import Result

from .contacts import ContactLog
from .personas import Personas
from .questions import Preset
from .run import RunReport
from .source import EPOCH
from .ville import Ville


def date(us: int) -> str:
    """A simulated time as text, to the minute."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M")


def plain(text: str) -> Text:
    """Imported text for a terminal: no markup, no control characters."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def days_lived(report: RunReport) -> str:
    """How long the run was, in words."""
    n = len(report.kept_by_day)
    return f"{n} day{'s' * (n != 1)}"


def run_facts(report: RunReport) -> dict[str, Any]:
    """A run as JSON: counts, seconds, and the strongest memories of one agent."""
    facts = {"forgotten": report.forgotten, **asdict(report)}
    facts["rows_per_s"] = round(report.rows_per_s)
    for name in ("sweep_s", "compile_s", "setup_s", "run_s", "write_s", "longest_pause_s"):
        facts[name] = round(facts[name], 4)
    return facts


def print_run(report: RunReport, console: Console) -> None:
    """A run as a table."""
    table = Table(title="populace run", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for label, text in (
        ("agents", f"{report.agents:,}"),
        ("memories imported", f"{report.imported:,}"),
        ("memories formed", f"{report.formed:,}"),
        ("forgotten", f"{report.forgotten:,}"),
        *((f"  {why}", f"{count:,}") for why, count in report.forgotten_by.items()),
        ("kept", f"{report.kept:,}"),
        ("rows swept", f"{report.rows_swept:,}"),
        ("rows swept per second", f"{report.rows_per_s / 1e6:,.0f} million"),
        ("seconds: compiling or loading kernels", f"{report.compile_s:.2f}"),
        ("seconds: setting up", f"{report.setup_s:.2f}"),
        (f"seconds: living {days_lived(report)}", f"{report.run_s:.2f}"),
        ("snapshots", f"{report.snapshots:,}"),
        ("seconds: longest pause for one", f"{report.longest_pause_s:.4f}"),
        ("seconds: writing tables", f"{report.write_s:.2f}"),
    ):
        if (label != "memories imported" or report.imported) and (
            label not in ("snapshots", "seconds: longest pause for one") or report.snapshots
        ):
            table.add_row(label, text)
    console.print(table)
    if not report.strongest:
        return
    title = plain(f"What {report.strongest_of} remembers best")
    memories = Table(title=title, title_justify="left")
    memories.add_column("strength", justify="right")
    memories.add_column("kind")
    memories.add_column("formed", no_wrap=True)
    memories.add_column("memory")
    for memory in report.strongest:
        memories.add_row(
            f"{memory.strength:.3f}", memory.kind, date(memory.created_us), plain(memory.text)
        )
    console.print(memories)


def ville_facts(found: Ville) -> dict[str, Any]:
    """An import of memory streams as JSON."""
    return {
        "agents": len(found.name),
        "memories": len(found.text),
        "memories_by_agent": found.nodes_by_agent,
        "memories_by_kind": found.nodes_by_kind,
    }


def print_ville(found: Ville, console: Console) -> None:
    """An import of memory streams as a table."""
    table = Table(title="populace import ville", title_justify="left", show_footer=True)
    table.add_column("agent", footer=f"{len(found.name):,} agents")
    table.add_column("memories", justify="right", footer=f"{len(found.text):,}")
    for name, count in found.nodes_by_agent.items():
        table.add_row(plain(name), f"{count:,}")
    console.print(table)
    kinds = ", ".join(f"{count:,} {kind}s" for kind, count in found.nodes_by_kind.items())
    console.print(f"of these {kinds}", highlight=False)


def personas_facts(found: Personas) -> dict[str, Any]:
    """An import of personas as JSON."""
    return {"agents": len(found.name), "memories": 0}


def print_personas(found: Personas, console: Console) -> None:
    """An import of personas in a line."""
    console.print(f"{len(found.name):,} agents, no memories", highlight=False)


def contacts_facts(world: World, log: ContactLog, n: int = 10) -> dict[str, Any]:
    """An import of contacts as JSON: counts, and the n strongest ties."""
    ties = world.query(Tie, TieState, TieStrength)
    strength, last = ties.gather(TieStrength.value), ties.gather(TieState.last)
    contacts = ties.gather(TieState.contacts)
    ends = [world.get(ties.gather(end), Persona.number) for end in (Tie.source, Tie.target)]
    names = [
        world.text.decode(world.get(ties.gather(e), Persona.name)) for e in (Tie.source, Tie.target)
    ]
    strongest = np.lexsort((ends[1], ends[0], -strength))[:n].tolist()
    return {
        "agents": len(log.names),
        "contacts": len(log),
        "with_self": log.with_self,
        "first": date(int(log.time[0])) if len(log) else None,
        "last": date(int(log.time[-1])) if len(log) else None,
        "ties": ties.count(),
        "strongest": [
            {
                "source": names[0][row],
                "target": names[1][row],
                "strength": round(float(strength[row]), 4),
                "contacts": int(contacts[row]),
                "last": date(int(last[row])),
            }
            for row in strongest
        ],
    }


def print_contacts(facts: dict[str, Any], console: Console) -> None:
    """An import of contacts as a line and a table."""
    alone = f" ({facts['with_self']:,} of agents with themselves left out)" * bool(
        facts["with_self"]
    )
    console.print(
        f"{facts['agents']:,} agents, {facts['contacts']:,} contacts{alone}, "
        f"{facts['ties']:,} ties",
        highlight=False,
    )
    if not facts["strongest"]:
        return
    table = Table(title=f"The strongest ties at {facts['last']}", title_justify="left")
    table.add_column("strength", justify="right")
    table.add_column("from")
    table.add_column("to")
    table.add_column("contacts", justify="right")
    table.add_column("last", no_wrap=True)
    for tie in facts["strongest"]:
        table.add_row(
            f"{tie['strength']:.3f}", plain(tie["source"]), plain(tie["target"]),
            f"{tie['contacts']:,}", tie["last"],
        )  # fmt: skip
    console.print(table)


def snapshot_facts(snapshots: Snapshots, *, verify: bool = False) -> dict[str, Any]:
    """What a directory of snapshots holds, as JSON. verify: read and compare every data file."""
    told: list[dict[str, Any]] = []
    for number in snapshots.numbers():
        try:
            manifest = snapshots.manifest(number)
            own = f"/{number:010d}-"
            sizes = {name: file.bytes for name, file in manifest.files.items()}
            facts = {
                "number": number,
                "kind": "full" if manifest.is_full else "delta",
                "time": date(manifest.now_us),
                "now_us": manifest.now_us,
                "tick": manifest.tick,
                "written": manifest.written,
                "rows": manifest.rows,
                "texts": manifest.n_texts,
                "bytes": manifest.bytes,
                "own_bytes": sum(size for name, size in sizes.items() if own in name),
                "encrypted_with": manifest.key,
                "tables": {
                    " + ".join(manifest.components[c]["name"] for c in table.components): table.rows
                    for table in manifest.tables
                    if table.rows
                },
            }
            if verify:
                DataFiles(snapshots.files, manifest, check_key=False).verify()
            told.append(facts)
        except SnapshotError as error:
            told.append({"number": number, "damage": str(error)})
    return {"location": snapshots.files.location, "verified": verify, "snapshots": told}


def print_snapshots(facts: dict[str, Any], console: Console) -> None:
    """The snapshots of a directory as a table, and what is in the newest good one."""
    table = Table(title=plain(f"Snapshots in {facts['location']}"), title_justify="left")
    for column in ("number", "kind", "simulated time", "tick", "rows", "bytes", "of its own"):
        table.add_column(
            column, justify="left" if column in ("kind", "simulated time") else "right"
        )
    good = [told for told in facts["snapshots"] if "damage" not in told]
    for told in good:
        table.add_row(
            str(told["number"]), told["kind"], told["time"], f"{told['tick']:,}",
            f"{told['rows']:,}", f"{told['bytes']:,}", f"{told['own_bytes']:,}",
        )  # fmt: skip
    if good:
        console.print(table)
        for name, rows in good[-1]["tables"].items():
            console.print(plain(f"{rows:>14,}  {name or '(no component)'}"), soft_wrap=True)
    for told in facts["snapshots"]:
        if "damage" in told:
            console.print(plain(f"damaged: {told['damage']}"), soft_wrap=True)


def print_rows(result: Result, console: Console, most: int) -> None:
    """The first rows of a result as a table."""
    table = Table()
    for held in result.arrow().schema:
        number = pa.types.is_integer(held.type) or pa.types.is_floating(held.type)
        table.add_column(plain(held.name), justify="right" if number else "left")
    shown = result.arrow().slice(0, most)
    for row in zip(*(column.to_pylist() for column in shown.columns), strict=True):
        table.add_row(*(plain("" if value is None else _cell(value)) for value in row))
    console.print(table)
    if len(result) > most:
        console.print(f"{len(result) - most:,} more rows: --rows, or --format csv", highlight=False)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def print_views(
    views: Mapping[str, Sequence[str]], presets: Mapping[str, Preset], console: Console
) -> None:
    """What can be asked of a run."""
    table = Table(title="Views", title_justify="left")
    table.add_column("view")
    table.add_column("columns")
    for name, columns in views.items():
        table.add_row(name, ", ".join(columns))
    console.print(table)
    table = Table(title="Ready questions: --preset NAME --arg NAME=VALUE", title_justify="left")
    table.add_column("preset")
    table.add_column("tells")
    table.add_column("arguments")
    for name, found in presets.items():
        told = [
            f"{one.name}: {one.doc}{'' if one.required else f' ({one.default})'}"
            for one in found.parameters
        ]
        table.add_row(name, plain(found.about), plain("; ".join(told)))
    console.print(table)
