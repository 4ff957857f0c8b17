"""List the kernels that a town calls, for `populace.runs.ahead`.

    python -P tools/list_kernels.py            # writes src/populace/runs/kernels.txt
    python -P tools/list_kernels.py --check    # fails where it would write another

A few hundred people for three days call what ten thousand call in a month.
"""

from __future__ import annotations

import argparse
import sys

from populace import days, hours
from populace.ecs.jit import on_disk
from populace.runs import make_world
from populace.runs.ahead import LIST, Listed

HEAD = """\
# The kernels that a town calls, in the order in which their modules are imported, each with the
# types of its arguments. Made by: python -P tools/list_kernels.py
"""


def called() -> list[Listed]:
    """The kernels of imported modules that were called in this process."""
    return [
        Listed(module.__name__, name, repr(signature.args))
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
    world = make_world("town", {"town.agents": 300})
    world.run(days(3), step=hours(1))
    text = HEAD + "".join("\t".join(kernel) + "\n" for kernel in called())
    if check and text != LIST.read_text():
        print(f"{LIST} is out of date: python -P tools/list_kernels.py", file=sys.stderr)
        return 1
    if not check:
        LIST.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
