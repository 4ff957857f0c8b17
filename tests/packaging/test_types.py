"""`make types` sees every file: a checker that finds nothing passes, and says nothing."""

import re
import subprocess
import sys

ERROR = "\nINJECTED: int = 'not an int'\n"


def test_an_error_in_any_package_is_caught(checkout, folders, run, pyproject):
    """One error put into a module of each package: mypy reports all five and fails."""
    mapping = pyproject["tool"]["setuptools"]["package-dir"]
    spoilt = {}
    try:
        for package, folder in mapping.items():
            file = checkout / folder / "injected.py"
            file.write_text(f'"""Wrong."""\n{ERROR}')
            spoilt[package] = file
        run(sys.executable, "tools/types_tree.py", "build/types", cwd=checkout)
        done = subprocess.run(
            [sys.executable, "-m", "mypy"], cwd=checkout, capture_output=True, text=True
        )
    finally:
        for file in spoilt.values():
            file.unlink(missing_ok=True)
    found = re.findall(r"^build/types/(\S+)/injected\.py:\d+: error", done.stdout, re.MULTILINE)
    assert sorted(found) == sorted(package.replace(".", "/") for package in mapping)
    assert done.returncode == 1
