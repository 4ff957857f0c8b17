"""The folders at the root never leak as top-level names, and a user's own never shadow ours."""

import sys

import pytest

BARE = ["ecs", "components", "systems", "storage"]

SCRIPT = """
import {name}
import populace.{name}
assert {name}.MINE == "the user's", {name}.__file__
assert not hasattr(populace.{name}, "MINE"), populace.{name}.__file__
"""


@pytest.fixture(params=["this environment", "wheel"])
def python(request):
    """An interpreter that can import populace: as the tests do, and from the wheel alone."""
    if request.param == "wheel":
        return request.getfixturevalue("wheel_python")
    return sys.executable


def test_users_own_modules_do_no_harm(python, modules, run, tmp_path):
    """A script beside its own components.py, systems.py, … gets both, its own and ours."""
    script = "".join(SCRIPT.format(name=name) for name in BARE)
    script += "".join(f"import {name}\n" for name in modules)
    (tmp_path / "script.py").write_text(script)
    for name in BARE:
        (tmp_path / f"{name}.py").write_text('MINE = "the user\'s"\n')
    run(python, "script.py", cwd=tmp_path)


def test_bare_names_stay_free(python, modules, run, tmp_path):
    """After all of populace is imported, `components` is neither loaded nor importable."""
    script = "import importlib.util, sys\n" + "".join(f"import {name}\n" for name in modules)
    script += f"print([n for n in {BARE} if n in sys.modules or importlib.util.find_spec(n)])"
    assert run(python, "-c", script, cwd=tmp_path).splitlines()[-1] == "[]"
