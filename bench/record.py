"""Figures as data: what the JSON of a run holds, and what is put into it.

    {"format": 2,
     "machine": {"cpu", "cores", ..., "commit", "peers": {name: version, or why it is not there}},
     "cases": {name: {"about", "area", "unit"}},
     "results": [{"case", "subject", "size", "rows", "rounds", "subject_ms", "bound_ms", "ratio",
                  "peers": {name: {"ms", "ratio", "rounds"}}, "absent": {name: why}, ...}],
     "left_out": [{"case", "size", "why"}]}

Times are in ms, each with its quartiles: {"q1", "median", "q3"}. A peer's ratio is how many times
as long as the subject it took; that of a subject, how many times as long as the bound.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np

import populace

from .harness import Case, Quartiles
from .measure import Measured
from .peers import Peer

FORMAT = 2
CHECKOUT = Path(__file__).resolve().parents[1]
LAST = CHECKOUT / "build" / "bench" / "bench.json"
"""Where a run of everything leaves its figures."""

Line = dict[str, Any]


class RecordError(ValueError):
    """A file is none of ours, of another format, or does not go with what it is held against."""


@dataclass(slots=True)
class Record:
    """A run: what it was measured on, and its figures."""

    machine: dict[str, Any]
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: list[Line] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def add(self, case: Case, measured: Measured) -> list[Line]:
        """Add a contest; its lines."""
        self._know(case)
        made = [line_of(case, subject, measured) for subject in measured.subjects]
        self.results += made
        return made

    def leave_out(self, case: Case, size: int, why: str) -> None:
        """Say that a contest was not run."""
        self._know(case)
        self.left_out.append({"case": case.name, "size": size, "why": why})

    def _know(self, case: Case) -> None:
        self.cases[case.name] = {"about": case.about, "area": case.area, "unit": case.unit}

    def write(self, file: Path) -> None:
        """As JSON; whole, or as it was before."""
        content = {
            "format": FORMAT,
            "machine": self.machine,
            "cases": self.cases,
            "results": self.results,
            "left_out": self.left_out,
        }
        write_json(file, content)


def read(file: Path) -> Record:
    """What `Record.write` wrote. Raises RecordError."""
    keys = ("machine", "cases", "results", "left_out")
    content = read_json(file, keys)
    return Record(*(content[key] for key in keys))


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Whole, or as it was before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".part")
    half.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    half.replace(file)


def read_json(file: Path, keys: Iterable[str]) -> dict[str, Any]:
    """A file of this format that has these keys. Raises RecordError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content.get("format")
    except FileNotFoundError:
        raise RecordError(f"there is no {file}: `make bench` measures, and writes one") from None
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{file} holds no figures of `python -m bench`: {error}") from error
    if found != FORMAT:
        raise RecordError(f"{file} has format {found}, this reads {FORMAT}: measure anew")
    absent = [key for key in keys if key not in content]
    if absent:
        raise RecordError(
            f"{file} has no {', '.join(absent)}: figures are what --json writes, and a baseline "
            "what --save-baseline does"
        )
    return dict(content)


def line_of(case: Case, subject: str, measured: Measured) -> Line:
    """The figures of one subject."""
    f = measured.subjects[subject]
    target = case.target.get(subject)
    judged = target is not None and f.size >= target.from_size
    return {
        "case": case.name,
        "subject": subject,
        "size": f.size,
        "rows": f.rows,
        "rounds": f.rounds,
        "subject_ms": {**spread(f.subject_ns, 1e-6), "p99": f.p99_ns / 1e6},
        "bound_ms": spread(f.bound_ns, 1e-6) if f.bound_ns else None,
        "ratio": spread(f.ratio) if f.ratio else None,
        "ns_per_row": f.subject_ns[1] / f.rows,
        "target": target.text if judged and target else "",
        "verdict": ("ok" if target.met(f) else "over") if judged and target else "",
        "peers": {
            name: {
                "ms": spread(peer.ns, 1e-6),
                "ratio": spread(peer.ratio[subject]),
                "rounds": peer.rounds,
            }
            for name, peer in measured.peers.items()
        },
        "absent": dict(measured.absent),
        "elsewhere_ms": {peer: ms[f.size] for peer, ms in case.peers.items() if f.size in ms},
    }


def spread(values: Quartiles, scale: float = 1.0) -> dict[str, float]:
    """Quartiles by name."""
    return dict(zip(("q1", "median", "q3"), (value * scale for value in values), strict=True))


def machine(peers: Iterable[Peer], clock: str = "wall") -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(s.split(":")[1].strip() for s in lines if s.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "populace": populace.__version__,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "clock": clock,
        "peers": {peer.name: peer.why_absent() or peer.version() for peer in peers},
    }


def commit() -> str:
    """The one that is checked out, with "-dirty" if files differ from it; "" outside of git."""
    asked = ["git", "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()
