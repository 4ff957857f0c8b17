"""docs/benchmarks.md: what was measured, by area, and the peers beside Populace.

Rendered from the JSON of runs alone, so that a page can be made anew without measuring; only why a
peer is faster is read from the cases as they are now (`loses`). Of several runs a later one
replaces what it measured again. Figures lie between two marks; what stands around is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .harness import AREAS, FEWEST_ROUNDS, Case, area_order, size_name
from .plot import draw_area, drawable
from .record import Line, Record, RecordError
from .table import HEADINGS, cells, figure, markdown, said, said_peers, times

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
NO_REASON = "not explained yet"


def write_page(page: Path, runs: Sequence[Record], cases: Iterable[Case]) -> list[Path]:
    """Put the figures between the marks of a page, and its plots into the folder of its name.

    Returns the files that were written. Raises RecordError if there is no such page, or it has no
    marks.
    """
    if not page.is_file():
        raise RecordError(f"there is no {page}: --page names one that has a {BEGIN} and a {END}")
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise RecordError(f"{page} has no place for figures: it needs a {BEGIN} and a {END}")
    run = merged(runs)
    folder = page.with_suffix("")
    plots = {
        area: draw_area(area, chosen, folder)
        for area, chosen in by_area(run).items()
        if drawable(chosen)
    }
    made = "\n".join(
        body(run, runs, cases, {a: f"{folder.name}/{p.name}" for a, p in plots.items()})
    )
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")
    return [page, *plots.values()]


def merged(runs: Sequence[Record]) -> Record:
    """One record of all: where several measured the same, the last. Raises RecordError if that one
    left out peers which another has: they would be gone from the page."""
    lines: dict[tuple[str, str, int], Line] = {}
    left_out: dict[tuple[str, int], dict[str, Any]] = {}
    cases: dict[str, dict[str, Any]] = {}
    for run in runs:
        cases |= run.cases
        for line in run.results:
            key = line["case"], line["subject"], line["size"]
            if not run.machine["peers"] and key in lines and lines[key]["peers"]:
                raise RecordError(
                    f"{line['case']} at {size_name(line['size'])} was measured beside peers, and "
                    f"later, {run.machine['date']}, without: measure it with them, or name the "
                    "file that has none first"
                )
            lines[key] = line
            left_out.pop((line["case"], line["size"]), None)
        for out in run.left_out:
            if not any((out["case"], out["size"]) == (case, n) for case, _, n in lines):
                left_out[out["case"], out["size"]] = out
    peers = {name: told for run in runs for name, told in run.machine["peers"].items()}
    machine = {**runs[-1].machine, "peers": peers}
    return Record(machine, cases, [*lines.values()], [*left_out.values()])


def by_area(run: Record) -> dict[str, list[Line]]:
    """The lines of each area, by case and size; areas, cases and subjects in their order."""
    order = {name: k for k, name in enumerate(run.cases)}
    found: dict[str, list[Line]] = {}
    for line in sorted(run.results, key=lambda line: (order[line["case"]], line["size"])):
        found.setdefault(run.cases[line["case"]]["area"], []).append(line)
    return dict(sorted(found.items(), key=lambda item: area_order(item[0])))


def body(
    run: Record, runs: Sequence[Record], cases: Iterable[Case], plots: Mapping[str, str]
) -> Iterator[str]:
    """What stands between the marks, line by line."""
    for each in runs:
        of = f" ({', '.join(areas_of(each, run))})" if len(runs) > 1 else ""
        yield f"Measured on: {said(each.machine)}{of}."
        yield ""
    for peers in dict.fromkeys(said_peers(each.machine) for each in runs if each.machine["peers"]):
        yield f"Peers: {peers}."
        yield ""
    for area, lines in by_area(run).items():
        yield f"### {area}: {AREAS[area]}" if area in AREAS else f"### {area}"
        yield ""
        if area in plots:
            yield f"![ns a row against size, {area}]({plots[area]})"
            yield ""
        yield from area_table(run, lines)
        yield ""
        for out in run.left_out:
            if run.cases.get(out["case"], {}).get("area") == area:
                yield f"Left out: {out['case']} at {size_name(out['size'])}, {out['why']}."
                yield ""
    yield from against_peers(run, cases)


def areas_of(run: Record, merged: Record) -> list[str]:
    """The areas that have figures of a run."""
    return [
        area
        for area, lines in by_area(merged).items()
        if any(line is mine for line in lines for mine in run.results)
    ]


def area_table(run: Record, lines: Sequence[Line]) -> Iterator[str]:
    """Subjects beside their bounds; without columns that nobody has anything in."""
    peers = HEADINGS.index("peers, ms (× the subject)")  # have a table of their own
    rows = [cells(line, run.cases[line["case"]]["unit"]) for line in lines]
    kept = [k for k in range(len(HEADINGS)) if k != peers and any(row[k] for row in rows)]
    texts = {"case", "subject", "target", "", "peers elsewhere, ms"}
    yield from markdown(
        [HEADINGS[k] for k in kept],
        ([row[k] for k in kept] for row in rows),
        [place for place, k in enumerate(kept) if HEADINGS[k] in texts],
    )


# -- against the peers ---------------------------------------------------------------------------


def against_peers(run: Record, cases: Iterable[Case]) -> Iterator[str]:
    """How many times as long as Populace each peer took; who is faster, and why."""
    areas = {area: beside_peers(lines) for area, lines in by_area(run).items()}
    areas = {area: lines for area, lines in areas.items() if lines}
    if not areas:
        return
    yield "### Against the peers"
    yield ""
    yield (
        "How many times as long as Populace each peer took, in the same rounds. **Bold**: the peer "
        "is faster, in three of four rounds. A range: quartiles of the rounds' own ratios with 1 "
        f"between them, too close to tell. Rounds are named where they are fewer than "
        f"{FEWEST_ROUNDS}."
    )
    for area, lines in areas.items():
        there = {name for line in lines for name in (*line["peers"], *line["absent"])}
        names = [name for name in run.machine["peers"] if name in there]
        yield ""
        yield f"#### {area}"
        yield ""
        yield from markdown(
            ("case", "subject", "size", "Populace, ms", *names),
            (
                (
                    line["case"],
                    line["subject"],
                    size_name(line["size"]),
                    figure(line["subject_ms"]["median"]),
                    *(beside(line, name) for name in names),
                )
                for line in lines
            ),
            [0, 1],
        )
    yield ""
    yield from lost(run, cases)


def beside_peers(lines: Sequence[Line]) -> list[Line]:
    """Those that peers have a workload for."""
    return [line for line in lines if line["peers"] or line["absent"]]


def beside(line: Line, name: str) -> str:
    """A peer's cell: its ratio, bold where it is faster; that it is not there; "" where it has no
    such workload."""
    if name not in line["peers"]:
        return str(line["absent"].get(name, "")).partition(":")[0]
    peer = line["peers"][name]
    ratio, rounds = peer["ratio"], peer["rounds"]
    said_ratio = times(ratio["median"])
    if is_faster(ratio):
        said_ratio = f"**{said_ratio}**"
    elif ratio["q1"] < 1 < ratio["q3"]:
        said_ratio = f"{ratio['q1']:.2f} - {ratio['q3']:.2f} ×"
    return said_ratio if rounds >= FEWEST_ROUNDS else f"{said_ratio}, {rounds} rounds"


def is_faster(ratio: Mapping[str, float]) -> bool:
    """Whether a peer is: in three of four rounds at least."""
    return ratio["q3"] < 1


def losses(run: Record) -> Iterator[tuple[Line, str]]:
    """Each line that a peer is faster than, and the peer."""
    for lines in by_area(run).values():
        for line in lines:
            for name, peer in line["peers"].items():
                if is_faster(peer["ratio"]):
                    yield line, name


def lost(run: Record, cases: Iterable[Case]) -> Iterator[str]:
    """Each peer that is faster somewhere, than which subjects, how much, and why."""
    known = {case.name: case for case in cases}
    found: dict[tuple[str, str, str], list[str]] = {}
    for line, name in losses(run):
        case, subject, size = line["case"], line["subject"], line["size"]
        why = known[case].why_loses(name, subject, size) if case in known else ""
        ratio = times(line["peers"][name]["ratio"]["median"])
        told = f"{ratio} of {subject} at {size_name(size)}"
        found.setdefault((case, name, why or NO_REASON), []).append(told)
    yield "#### Where a peer is faster"
    yield ""
    if not found:
        yield "Nowhere in these runs."
    for (case, name, why), ratios in found.items():
        yield f"- {case}, {name} ({', '.join(ratios)}): {why}"
