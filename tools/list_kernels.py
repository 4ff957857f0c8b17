"""List the kernels that `populace run` calls, for `populace.runs.ahead`.

    python -P tools/list_kernels.py            # writes src/populace/runs/kernels.txt
    python -P tools/list_kernels.py --check    # fails where it would write another

A few dozen people, whose texts are given back each week, call what ten thousand call in a month.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from populace import days
from populace.ecs.jit import on_disk
from populace.runs.ahead import LIST, Kernel
from populace.runs.directory import RunDirectory
from populace.runs.session import Saving, Session
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario

HEAD = """\
# The kernels that `populace run` calls, in the order in which their modules are imported, each with
# the types of its arguments. Made by: python -P tools/list_kernels.py
"""
TOWN = {"town.agents": 60, "run.days": 4, "texts.least": 1, "texts.share": 0}


def called() -> list[Kernel]:
    """The kernels of imported modules that were called in this process."""
    return [
        Kernel(module.__name__, name, repr(signature.args))
        for module in list(sys.modules.values())
        if module.__name__.startswith("populace.")
        for name, kernel in vars(module).items()
        if on_disk(kernel) and kernel.py_func.__module__ == module.__name__
        for signature in kernel.nopython_signatures
    ]


def main() -> int:
    """Write the list, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    town = find_scenario("town")
    with TemporaryDirectory() as folder:
        session = Session(town, RunDirectory(Path(folder, "run")), Saving(every=days(1)))
        session.start(read_parameters(town, environment={}).updated(TOWN))
    text = HEAD + "".join("\t".join(kernel) + "\n" for kernel in called())
    if check and text != LIST.read_text():
        print(f"{LIST} is out of date: python -P tools/list_kernels.py", file=sys.stderr)
        return 1
    if not check:
        LIST.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
