"""Build the tree that mypy checks: real folders, one symlink per file.

Usage: python tools/types_tree.py build/types

A type checker does not see setuptools' package-dir mapping, finds nothing below a symlinked
folder, and passes. So each package of pyproject.toml becomes a real folder below the target, and
each of its files a relative symlink. The target is emptied first.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(target: Path) -> int:
    """Fill `target` and return the number of links."""
    shutil.rmtree(target, ignore_errors=True)
    mapping = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-dir"
    ]
    n_links = 0
    for package, folder in mapping.items():
        real = target.joinpath(*package.split("."))
        real.mkdir(parents=True, exist_ok=True)
        for source in (ROOT / folder).iterdir():
            if source.suffix in {".py", ".pyi"} or source.name == "py.typed":
                link = real / source.name
                link.symlink_to(os.path.relpath(source, real.resolve()))
                n_links += 1
    return n_links


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/types_tree.py TARGET")
    print(f"{sys.argv[1]}: {build(Path(sys.argv[1]))} files linked")
