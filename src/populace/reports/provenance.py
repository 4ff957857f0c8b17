"""How the run can be made again: parameters that were changed, seed, versions, machine, command."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from typing import Any

from populace.ecs.errors import PopulaceError

from .parts import Listing, Omission, Rows, Section, Source
from .rundirectory import CONFIG, RunDirectory
from .wording import several

SAME = "The same versions, parameters and seed give the same society, bit for bit."
RELIEVED = (
    "A limit to memory changed what is remembered, at moments that depend on the machine, so the "
    "same versions, parameters and seed give another society."
)
AGAIN = f"populace run {CONFIG} --dir again"
"""The file names the scenario, that of a Python file too."""


def provenance(run: RunDirectory) -> Section:
    """The section."""
    section = Section("provenance", "How to make it again")
    section.parts.append(_changed(run))
    told = run.manifest
    facts = [
        ("scenario", told.get("scenario")),
        ("seed", told.get("seed")),
        ("started", told.get("started")),
        ("ended", told.get("ended")),
        *_flat(told.get("versions")),
        *_flat(told.get("machine")),
    ]
    section.parts.append(
        Listing(
            "Versions and machine",
            RELIEVED if run.relieved else SAME,
            Rows(["what", "is"],
                 [[name, str(value)] for name, value in facts if value not in (None, "")]),
        )
    )  # fmt: skip
    command = told.get("command")
    if isinstance(command, list) and command:
        words = [str(word) for word in command]
        words[0] = "populace" if words[0].endswith(("populace", "__main__.py")) else words[0]
        section.parts.append(Source("The command", shlex.join(words), folded=False))
    if run.config:
        section.parts.append(Source("From its parameters, in its directory", AGAIN, folded=False))
        section.parts.append(Source(f"All parameters: {CONFIG}", run.config))
    return section


def _flat(held: Any) -> list[tuple[str, Any]]:
    if not isinstance(held, Mapping):
        return []
    return [(str(name).replace("_", " "), value) for name, value in held.items()
            if isinstance(value, str | int | float)]  # fmt: skip


def _changed(run: RunDirectory) -> Listing | Omission:
    """Parameters that differ from the defaults of a scenario that comes with Populace.

    A user's own file is not run for it.
    """
    what = "Parameters that differ from the defaults"
    if not run.config:
        return Omission(what, f"the run has no {CONFIG}")
    try:
        from populace.scenarios.parameters import read_parameters
        from populace.scenarios.registry import BUILT_IN, find_scenario

        name = run.manifest.get("scenario")
        if name not in BUILT_IN or tomllib.loads(run.config).get("scenario", name) != name:
            return _told(what, run.manifest.get("changed"))
        found = read_parameters(find_scenario(name), file=run.path / CONFIG, environment={})
    except (PopulaceError, ImportError, tomllib.TOMLDecodeError) as error:
        return Omission(what, f"{CONFIG} cannot be read as parameters: {error}")
    rows = [
        [one.name, str(one.written(value)), str(one.written(one.default)), one.unit, one.doc]
        for one, value in found
        if value != one.default
    ]
    if not rows:
        return Omission(what, "there are none: all are as they come")
    return Listing(
        what,
        f"{len(rows)} of {sum(1 for _ in found)} parameters differ.",
        Rows(["parameter", "here", "default", "unit", "what it is"], rows),
        wide=True,
    )


def _told(what: str, changed: Any) -> Listing | Omission:
    """What the run itself said that it changed."""
    if not isinstance(changed, Mapping) or not changed:
        return Omission(what, "the scenario is a file, which a report does not run")
    rows = [[str(name), str(value)] for name, value in changed.items()]
    return Listing(what, f"{several(len(rows), 'parameter differs', 'parameters differ')}.",
                   Rows(["parameter", "here"], rows))  # fmt: skip
