"""`python -m bench`: every case beside its bound and its peers.

python -m bench                                    all cases, up to a million rows, as a table
python -m bench --filter iter --sizes 10k,1M       some of them
python -m bench --area ecs --full --json f.json    one area, all sizes, figures kept
python -m bench --report f.json                    docs/benchmarks.md, from figures that were kept
python -m bench --compare                          ratios against bench/baselines; 1 if one is worse
python -m bench --save-baseline                    renew these

Exits with 2 if there is nothing to do, and with 1 if a peer computed something else than Populace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import compare, record, report
from .compare import BASELINE, REPEATS, Baseline, Day, Key, Ratio
from .harness import SIZES, Case, discover, size_name
from .measure import CONTEST_S, Measured, Pace, PeerError, available_bytes, measure
from .peers import Peer
from .peers import discover as discover_peers
from .record import LAST, Record, RecordError
from .table import HEADINGS, cells, markdown, plain, said, said_peers


class NothingToDo(LookupError):
    """No contest is meant by what was asked for."""


def main(arguments: list[str] | None = None) -> int:
    """Do what was asked for."""
    asked = parser().parse_args(arguments)
    try:
        if asked.report is not None:
            return render(asked)
        cases = chosen(discover(), asked)
        if not pairs_of(cases, asked):
            raise NothingToDo(
                "no case is named like that, in that area, at these sizes; see --list"
            )
        if asked.list:
            return tell(cases)
        if asked.compare:
            return compare_all(cases, asked)
        if asked.save_baseline:
            return save_baseline(cases, asked)
        return run(cases, asked)
    except NothingToDo as error:
        print(error, file=sys.stderr)
        return 2
    except (PeerError, RecordError) as error:
        print(error, file=sys.stderr)
        return 1


def tell(cases: Sequence[Case]) -> int:
    """What the cases are."""
    for each in cases:
        print(f"{each.area:<10}  {each.name:<24}  {each.about}")
    return 0


def run(cases: Sequence[Case], asked: argparse.Namespace) -> int:
    """Measure, print, and keep what was measured after each case."""
    pace, peers = pace_of(asked), peers_of(asked)
    kept = begin(peers, asked)
    if not asked.markdown:
        print(plain(HEADINGS), flush=True)
    for each in cases:
        for measured in contests(each, sizes_of(each, asked), pace, peers, kept):
            made = kept.add(each, measured)
            if not asked.markdown:
                for line in made:
                    print(plain(cells(line, each.unit)), flush=True)
        if asked.json:
            kept.write(Path(asked.json))
    if asked.markdown:
        units = {name: case["unit"] for name, case in kept.cases.items()}
        rows = [cells(line, units[line["case"]]) for line in kept.results]
        print(*markdown(HEADINGS, rows), sep="\n")
    return 0


def begin(peers: Sequence[Peer], asked: argparse.Namespace) -> Record:
    """Say what is measured on."""
    kept = Record(record.machine(peers, "processor" if asked.cpu else "wall"))
    print(said(kept.machine))
    print(f"peers: {said_peers(kept.machine)}")
    if (kept.machine["load_average"] or 0) > 0.5 and not asked.cpu:
        print("the machine is busy: read the ratios and their quartiles, or count with --cpu")
    return kept


def contests(
    case: Case, sizes: Sequence[int], pace: Pace, peers: Sequence[Peer], kept: Record
) -> Iterator[Measured]:
    """A case at these sizes, as far as memory allows."""
    before: dict[int, Measured] = {}
    for size in sizes:
        if case.bytes_each * size > available_bytes():
            kept.leave_out(case, size, "too little memory")
            print(f"{case.name} at {size_name(size)} left out: too little memory", flush=True)
            continue
        before[size] = measure(case, size, pace, peers, before)
        yield before[size]


def render(asked: argparse.Namespace) -> int:
    """The page of figures that were kept."""
    runs = [record.read(Path(file)) for file in asked.report or [LAST]]
    for file in report.write_page(Path(asked.page), runs, discover()):
        print(file)
    return 0


# -- ratios against another day's ----------------------------------------------------------------


def compare_all(cases: Sequence[Case], asked: argparse.Namespace) -> int:
    """Measure what the baseline has; 1 if a ratio is worse by more than noise."""
    whole = compare.read_baseline(Path(asked.compare))
    pairs = pairs_of(cases, asked)
    baseline = whole.only(pairs)
    wanted = [pair for pair in pairs if pair in baseline.contests]
    if not wanted:
        raise NothingToDo(f"{asked.compare} has no ratio of these cases and sizes")
    pace, peers = pace_of(asked), peers_of(asked)
    kept = begin(peers, asked)
    for line in (
        *(f"the baseline: {said(day.machine)}" for day in baseline.days),
        *compare.other_machine(baseline, kept.machine),
    ):
        print(line, flush=True)
    by_name = {each.name: each for each in cases}
    why: dict[tuple[str, int, str], str] = {}

    def ratios(name: str, size: int) -> dict[Key, Ratio]:
        found: dict[Key, Ratio] = {}
        there = [peer for peer in peers if peer.name in baseline.peers(name, size)]
        for measured in contests(by_name[name], [size], pace, there, kept):
            found |= compare.ratios_of(by_name[name], measured)
            why.update({(name, size, peer): told for peer, told in measured.absent.items()})
        return found

    unlike = compare.other_peers(baseline, kept.machine)
    judged = compare.judge(baseline.ratios, wanted, ratios, unlike)
    why |= {(out["case"], out["size"], ""): out["why"] for out in kept.left_out}
    gone = [*compare.missing(baseline, judged, why), *removed(whole)]
    for verdict in judged:
        if asked.verbose or verdict.word != "same":
            print(verdict)
    for line in (*unknown(pairs, baseline), *gone):
        print(line)
    n_known, n_cases = (len({name for name, _ in each}) for each in (wanted, pairs))
    print(f"{n_known} of {n_cases} cases have a baseline, {len(wanted)} of {len(pairs)} contests")
    print(compare.too_noisy(each.noise for each in judged))
    print(compare.summary(judged, len(gone)))
    return 1 if any(each.word == "regressed" for each in judged) else 0


def unknown(pairs: Sequence[tuple[str, int]], baseline: Baseline) -> Iterator[str]:
    """The sizes of each case that have no baseline."""
    there = baseline.contests
    for name in dict.fromkeys(name for name, _ in pairs):
        lacking = [size_name(n) for each, n in pairs if each == name and (each, n) not in there]
        if lacking:
            yield f"new        {name} at {', '.join(lacking)}: not in the baseline"


def removed(baseline: Baseline) -> list[str]:
    """Cases and sizes that only the baseline knows."""
    known = {(each.name, size) for each in discover() for size in each.sizes}
    return [
        f"missing    {name} at {size_name(size)}: there is no such case or size any more"
        for name, size in sorted(baseline.contests - known)
    ]


def save_baseline(cases: Sequence[Case], asked: argparse.Namespace) -> int:
    """Measure several times, and keep the ratios. Those of contests that were not asked for stay as
    they were, those of contests that were go, even if they could not be measured: which is told."""
    file, renewed = Path(asked.save_baseline), pairs_of(cases, asked)
    old = compare.read_baseline(file) if file.exists() else Baseline()
    pace, peers = pace_of(asked), peers_of(asked)
    kept = begin(peers, asked)
    passes: list[dict[Key, Ratio]] = []
    for number in range(REPEATS):
        passes.append({})
        for each in cases:
            for measured in contests(each, sizes_of(each, asked), pace, peers, kept):
                passes[-1] |= compare.ratios_of(each, measured)
            print(f"{number + 1} of {REPEATS}: {each.name}", flush=True)
    today = Day(kept.machine, compare.gathered(passes))
    made = Baseline([*old.without(renewed).days, today])
    made.write(file)
    kept_keys = made.ratios
    for key in old.ratios:
        if key not in kept_keys:
            print(f"gone       {key}")
    print(compare.too_noisy(ratio.noise for ratio in made.ratios.values()))
    if kept.machine["commit"].endswith("-dirty"):
        print("warning: there are uncommitted changes, so nobody can measure the same again")
    print(file)
    return 0


# -- the command line ----------------------------------------------------------------------------


def chosen(cases: Sequence[Case], asked: argparse.Namespace) -> list[Case]:
    """The cases to run."""
    named = [each for each in cases if any(part in each.name for part in asked.filter or [""])]
    return [
        each
        for each in named
        if (not asked.area or each.area in asked.area) and (not asked.fast or each.fast)
    ]


def pairs_of(cases: Sequence[Case], asked: argparse.Namespace) -> list[tuple[str, int]]:
    """Case and size of the contests to run."""
    return [(each.name, size) for each in cases for size in sizes_of(each, asked)]


def sizes_of(case: Case, asked: argparse.Namespace) -> list[int]:
    """The sizes of a case to run."""
    if asked.sizes:
        return [size for size in case.sizes if size in asked.sizes]
    if asked.fast:
        return [case.sizes[0]]
    return [size for size in case.sizes if asked.full or size <= asked.up_to]


def pace_of(asked: argparse.Namespace) -> Pace:
    """How contests are run."""
    return Pace(asked.rounds, asked.seconds, asked.cpu, asked.patience)


def peers_of(asked: argparse.Namespace) -> list[Peer]:
    """The peers that may take part."""
    return [] if asked.no_peers else discover_peers()


def number(text: str) -> int:
    """10k as 10000."""
    given = text.strip().lower().replace("_", "")
    return int(given.rstrip("km")) * {"k": 1_000, "m": 1_000_000}.get(given[-1:], 1)


def sizes(text: str) -> list[int]:
    """10k,1M as [10000, 1000000]."""
    return [number(part) for part in text.split(",")]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time Populace beside C-speed bounds and other libraries, in one run.",
    )
    option = made.add_argument
    option("--list", action="store_true", help="say what the cases are, run none")
    option("--filter", action="append", metavar="NAME", help="cases with NAME in their name")
    option("--area", action="append", metavar="AREA", help="cases of an area")
    option("--sizes", type=sizes, metavar="10k,1M", help="only these sizes")
    option(
        "--up-to", type=number, metavar="1M", default=SIZES[-1],
        help=f"sizes up to this one ({size_name(SIZES[-1])})",
    )  # fmt: skip
    option("--full", action="store_true", help="all sizes, and what takes minutes")
    option("--fast", action="store_true", help="some quick cases at their smallest size")
    option("--rounds", type=int, metavar="K", help="exactly so many rounds")
    option(
        "--seconds", type=float, metavar="S", default=CONTEST_S,
        help="rounds of a contest are made for so long, half as long with each peer (%(default)s)",
    )  # fmt: skip
    option(
        "--patience", type=float, metavar="S",
        help="leave out peers that would take longer, by what they took at the size before",
    )  # fmt: skip
    option("--no-peers", action="store_true", help="subjects and bounds alone")
    option("--cpu", action="store_true", help="count processor time: for a busy machine")
    option("--json", metavar="FILE", help="write machine and figures there, after each case")
    option("--markdown", action="store_true", help="print the table as markdown")
    option(
        "--report", nargs="*", metavar="FILE",
        help="run nothing: render what --json wrote, of several files the last that has a contest; "
        f"without FILE those of `make bench`, {shown(LAST)}",
    )  # fmt: skip
    option("--page", metavar="FILE", default=report.PAGE, help="the page that --report renews")
    option(
        "--compare", nargs="?", const=BASELINE, metavar="FILE",
        help=f"compare ratios with a baseline ({shown(BASELINE)}); 1 if one regressed",
    )  # fmt: skip
    option("--verbose", action="store_true", help="with --compare: also what is as before")
    option(
        "--save-baseline", nargs="?", const=BASELINE, metavar="FILE",
        help="measure three times, and renew the baseline",
    )  # fmt: skip
    return made


def shown(file: Path) -> str:
    """A file below the checkout."""
    return str(file.relative_to(Path(__file__).resolve().parents[1]))


if __name__ == "__main__":
    sys.exit(main())
