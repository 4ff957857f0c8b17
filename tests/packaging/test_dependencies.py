"""Dependencies flow one way: ecs, then components and storage, then systems, then the face.

Within the face: what others build on, then scenarios, runs, reports, and last the commands, which
lie beside the first but which nobody imports.
"""

import ast
import re

import pytest

MAY_IMPORT = {
    "populace.ecs": set(),
    "populace.components": {"populace.ecs"},
    "populace.storage": {"populace.ecs"},
    "populace.systems": {"populace.ecs", "populace.components", "populace.storage"},
    "populace": {"populace.ecs", "populace.components", "populace.storage", "populace.systems"},
}
CORE = MAY_IMPORT["populace"]
MAY_IMPORT |= {
    "populace.scenarios": CORE | {"populace"},
    "populace.runs": CORE | {"populace", "populace.scenarios"},
    "populace.reports": CORE | {"populace", "populace.scenarios", "populace.runs"},
    "commands": CORE | {"populace.scenarios", "populace.runs", "populace.reports"},
}
COMMANDS = re.compile(r"(commands_\w+|cli|options|report|__main__)")
"""Modules of `populace` that make the commands."""


def imported(source):
    """Yield (line, module) for each import, wherever it stands; a relative one keeps its dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module in {".", "populace"}:  # `from . import world`, `from populace import ecs`
                module = module.rstrip(".") + "."
                yield from ((node.lineno, module + alias.name) for alias in node.names)
            else:
                yield node.lineno, module


def fault(package, module):
    """What is wrong with `package` importing `module`; None where all is well."""
    relative, command = module.startswith("."), package == "commands"
    package = "populace" if command else package
    path = (package + module if relative else module).split(".")
    if path[0] in {"ecs", "components", "storage", "systems"}:
        return "a bare name loads a second copy: write populace.…"
    if path[0] != "populace":
        return None  # somebody else's
    target = ".".join(path[:2]) if ".".join(path[:2]) in MAY_IMPORT else "populace"
    if command and not relative and target in MAY_IMPORT["commands"]:
        return None
    if not command and target == "populace" and len(path) > 1 and COMMANDS.fullmatch(path[1]):
        return "nobody imports a command"
    if relative:
        within = target == package and not module.startswith("..")
        return None if within else "across folders, imports are absolute"
    if target == package:
        return "within a folder, imports are relative"
    return None if target in MAY_IMPORT[package] else f"{package} may not know {target}"


@pytest.mark.parametrize("package", sorted(set(MAY_IMPORT) - {"commands"}))
def test_imports_flow_one_way(package, folders):
    """Each import of each file goes down the order, or stays in the folder."""
    faults = [
        f"{file.name}:{line} imports {module}: {problem}"
        for file in sorted(folders[package].glob("*.py"))
        for line, module in imported(file.read_text())
        if (problem := fault(layer(package, file), module))
    ]
    assert faults == []


def layer(package, file):
    """What the order calls a file."""
    is_command = package == "populace" and COMMANDS.fullmatch(file.stem)
    return "commands" if is_command else package


def test_every_package_has_a_place_in_the_order(folders):
    """A new folder is checked too."""
    assert set(folders) == set(MAY_IMPORT) - {"commands"}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("populace.ecs", "from populace.components import Memory"),
        ("populace.ecs", "def late():\n    import populace"),
        ("populace.ecs", "from populace import World"),
        ("populace.ecs", "from ..storage import snapshot"),
        ("populace.ecs", "from populace.ecs.world import World"),
        ("populace.components", "from populace import systems"),
        ("populace.storage", "import components.memory"),
        ("populace.storage", "import populace.components"),
        ("populace.systems", "from populace.cli import main"),
        ("populace", "from . import ecs"),
        ("populace", "from populace import cli"),
        ("populace", "from .commands_run import add"),
        ("populace", "from populace.runs import live"),
        ("populace.scenarios", "from populace.runs import live"),
        ("populace.runs", "from populace.options import tell"),
        ("populace.runs", "from ..generate import populate"),
        ("commands", "from .runs import live"),
    ],
)
def test_a_wrong_import_is_caught(package, source):
    """The check above can fail."""
    assert [module for _, module in imported(source) if fault(package, module)] != []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("populace.ecs", "from . import errors\nfrom .world import World\nimport numpy as np"),
        ("populace.components", "from populace.ecs import component\nfrom populace import ecs"),
        ("populace", "from populace.systems import forget\nfrom .generate import populate"),
        ("populace.runs", "from populace.generate import populate\nfrom .tick import Tick"),
        ("commands", "from populace.runs import live\nfrom .cli import main"),
    ],
)
def test_a_right_import_passes(package, source):
    """The check above does not cry wolf."""
    assert [module for _, module in imported(source) if fault(package, module)] == []
