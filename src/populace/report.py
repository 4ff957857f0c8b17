"""What the commands print: tables for people, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from populace.runs.directory import RunDirectory
from populace.runs.outcome import Outcome
from populace.runs.profiling import PAGE
from populace.storage import Snapshots
from populace.storage.datafiles import DataFiles
from populace.storage.results import Result

from .contacts import ContactLog
from .dates import date
from .personas import Personas
from .questions import Preset
from .ville import Ville


def plain(text: str) -> Text:
    """Text that others wrote, for a terminal: no markup, no control characters."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def print_run(
    outcome: Outcome, directory: RunDirectory | None, console: Console, profiled: bool = False
) -> None:
    """A run as a table, what the scenario tells, what an agent remembers, and where all is kept."""
    title = plain(f"populace run {outcome.scenario}")
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for label, text in _told_of(outcome):
        table.add_row(plain(label), plain(text))
    console.print(table)
    if outcome.strongest:
        title = plain(f"What {outcome.strongest_of} remembers best")
        memories = Table(title=title, title_justify="left")
        memories.add_column("strength", justify="right")
        memories.add_column("kind")
        memories.add_column("formed", no_wrap=True)
        memories.add_column("memory")
        for memory in outcome.strongest:
            memories.add_row(
                f"{memory.strength:.3f}", memory.kind, date(memory.created_us), plain(memory.text)
            )
        console.print(memories)
    if outcome.reason:
        console.print(plain(f"{outcome.status}: {outcome.reason}"), soft_wrap=True)
    if directory is not None:
        path = directory.path
        console.print(f"kept in {path}", highlight=False, markup=False, soft_wrap=True)
        if profiled:
            console.print(
                f"profile in {path / PAGE}", highlight=False, markup=False, soft_wrap=True
            )
        again = f"populace resume {path}\n" * (outcome.status != "done")
        console.print(
            f"{again}populace report {path}\npopulace sql {path}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def _told_of(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The rows of a run's table; what there is nothing of is left out."""
    yield "agents", f"{outcome.agents:,}"
    if outcome.imported:
        yield "memories at the outset", f"{outcome.imported:,}"
    yield "memories formed", f"{outcome.formed:,}"
    yield "forgotten", f"{outcome.forgotten:,}"
    for why, count in outcome.forgotten_by.items():
        yield f"  {why}", f"{count:,}"
    if outcome.archived:
        yield "archived", f"{outcome.archived:,}"
    yield "kept", f"{outcome.kept:,}"
    if outcome.ties:
        yield "ties", f"{outcome.ties:,}"
    for name, value in outcome.told.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = outcome.labels.get(name, name.replace("_", " "))
            yield shown, f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    yield "rows swept per second", f"{outcome.rows_per_s / 1e6:,.0f} million"
    yield "steps", f"{outcome.ticks:,}"
    yield "steps per second", f"{outcome.ticks_per_s:,.1f}"
    yield "seconds: compiling kernels", f"{outcome.compile_s:.2f}"
    yield "seconds: setting up", f"{outcome.setup_s:.2f}"
    yield "seconds: running", f"{outcome.run_s:.2f}"
    if outcome.snapshots:
        yield "snapshots", f"{outcome.snapshots:,}"
        yield "seconds: longest pause for one", f"{outcome.longest_pause_s:.4f}"
    if outcome.write_s:
        yield "seconds: writing tables", f"{outcome.write_s:.2f}"
    yield "most memory", f"{outcome.peak_bytes / 2**20:,.0f} MiB"
    for relief in outcome.relieved:
        yield f"relieved: {relief['stage']}", str(relief["what"])


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
