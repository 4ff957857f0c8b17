"""Finding scenarios: by name, by a Python file of one's own, by a TOML file that says which."""

import subprocess
import sys

import pytest

from populace.ecs.errors import SettingError, SourceFileError
from populace.scenarios import registry
from populace.scenarios.registry import find_scenario, name_of, names
from populace.scenarios.scenario import Scenario

from .harbour import HARBOUR

SMALLEST = """
from populace.scenarios.scenario import Scenario
scenario = Scenario("inn", "Who drinks", {}, print, print)
"""


@pytest.fixture
def write(tmp_path):
    """Write a file below the test's folder."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def refusal(what):
    """What the error says."""
    with pytest.raises((SourceFileError, SettingError)) as told:
        find_scenario(what)
    return str(told.value)


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_built_in_scenarios_are_what_they_are_called(name):
    """Each module has a scenario of its name, whose parameters have defaults that go together."""
    found = find_scenario(name)
    assert found.name == name
    assert name_of(found) == name
    registry._check(found, name)


def test_names_tell_what_each_is_about():
    """In the order of the list."""
    assert list(names()) == list(registry.BUILT_IN)
    assert all(names().values())


def test_nothing_is_imported_before_it_is_asked_for():
    """A scenario that nobody asked for costs nothing."""
    script = (
        "import sys, populace.scenarios.registry; "
        "print([n for n in ('town', 'stream') if f'populace.scenarios.{n}' in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_told():
    """With the closest, all that there are, and how one's own is given."""
    told = refusal("twon")
    assert "no scenario 'twon'; did you mean town? there are town, replay" in told
    assert "mine.py" in told


# -- a file of one's own ---------------------------------------------------------------------


def test_a_file_is_found_by_path(write, monkeypatch):
    """Absolute or relative; its name, for later, is the full path."""
    path = write("harbour.py", HARBOUR)
    found = find_scenario(path)
    assert isinstance(found, Scenario)
    assert found.name == "harbour"
    assert name_of(found) == str(path)
    monkeypatch.chdir(path.parent)
    assert find_scenario("harbour.py") is found
    assert find_scenario("./harbour.py") is found


def test_a_file_shadows_nothing(write):
    """Not even where it is called as a module of the library, or of ours."""
    path = write("json.py", SMALLEST + "import json; assert hasattr(json, 'loads')\n")
    before = list(sys.path)
    find_scenario(path)
    assert sys.path == before
    assert sys.modules["json"].__file__ != str(path)


def test_a_changed_file_is_run_again(write):
    """And an unchanged one is not, however often it is asked for."""
    path = write("inn.py", SMALLEST)
    first = find_scenario(path)
    assert find_scenario(path) is first
    write("inn.py", SMALLEST.replace("Who drinks", "Who thirsts"))
    assert find_scenario(path).about == "Who thirsts"


def test_a_file_may_import_its_neighbours(write, monkeypatch):
    """Its folder is on the path while it runs, behind all else, and stays where it was needed."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = write("inn.py", "import inn_cellar_of_this_test as cellar\n" + SMALLEST)
    write("inn_cellar_of_this_test.py", "WINE = 3\n")
    find_scenario(path)
    assert sys.path[-1] == str(path.parent)
    del sys.modules["inn_cellar_of_this_test"]


def test_files_in_two_folders_have_each_its_own_neighbours(write, monkeypatch):
    """Of the same name in one process, packages too; whoever imports it later has that of the
    scenario which was found last, and what is told of a scenario's files is told of its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folders = ("one", "two")
    for folder in folders:
        text = (
            "import inn_wine_of_this_test as wine, inn_of_this_test.cellar as cellar\n" + SMALLEST
        )
        write(f"{folder}/inn.py", text.replace('"Who drinks"', "wine.KIND + cellar.KIND"))
        write(f"{folder}/inn_wine_of_this_test.py", f"KIND = '{folder} '\n")
        path = write(f"{folder}/inn_of_this_test", "")
        path.unlink()
        path.mkdir()
        (path / "cellar.py").write_text(f"KIND = 'cellar {folder}'\n")
    paths = [write("a", "").parent / folder / "inn.py" for folder in folders]
    about = [find_scenario(path).about for path in paths]
    assert about == ["one cellar one", "two cellar two"]
    for path, folder in zip(paths, folders, strict=True):
        scenario = find_scenario(path)
        assert f"{folder} " == sys.modules["inn_wine_of_this_test"].KIND
        assert sys.path[-2] == str(path.parent)
        assert registry.files_of(scenario) == [
            path,
            path.parent / "inn_of_this_test" / "cellar.py",
            path.parent / "inn_wine_of_this_test.py",
        ]
    assert registry.files_of(find_scenario("town")) == []
    for name in ("inn_wine_of_this_test", "inn_of_this_test", "inn_of_this_test.cellar"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "inn.py: has no scenario; it must have one, as scenario = Scenario("),
        ("scenario = 3", "inn.py: scenario is 3; it must have one"),
        ("\n\n1 / 0", "inn.py: line 3: ZeroDivisionError: division by zero"),
        ("x = (", "inn.py: line 1: SyntaxError: '(' was never closed"),
        ("def f():\n  import nothing_of_the_kind\nf()", "line 2: ModuleNotFoundError: No module"),
        ("raise SystemExit", "inn.py: line 1: SystemExit"),
        ("raise ValueError", "inn.py: line 1: ValueError"),
        ("x = '\0'", "inn.py: "),
        (SMALLEST.replace("{}", "{'run': int}"), "a section cannot be named 'run'"),
        (SMALLEST.replace("{}", "{'Bar': int}"), "named in small letters, as 'ties', got 'Bar'"),
        (SMALLEST.replace("{}", "{'a__b': int}"), "got 'a__b'"),
        (SMALLEST.replace("{}", "{'bar': int}"), "section 'bar' must be a class under @settings"),
        (SMALLEST.replace("print, print", "print, 3"), "add_systems must be a function, got 3"),
        (SMALLEST.replace("print)", "print, tell=3)"), "tell must be a function, got 3"),
        (SMALLEST.replace("print)", "print, source='bar.x')"), "source must name a parameter"),
        (SMALLEST.replace("print)", "print, defaults={'bar.x': 1})"), "got 'bar.x'"),
        (SMALLEST.replace("print)", "print, defaults={'run.days': -1})"), "Run.days must lie in"),
        (SMALLEST.replace('"inn"', '""'), "its name must be a text"),
    ],
)
def test_a_file_without_a_usable_scenario_is_told(write, text, why):
    """The file, the line where there is one, and what is wrong."""
    assert why in refusal(write("inn.py", text))


def test_a_file_that_is_not_there_is_told(tmp_path):
    """By its full path."""
    missing = tmp_path / "mine.py"
    assert refusal(missing) == f"{missing}: cannot be read: No such file or directory"
    assert "Is a directory" in refusal(f"{tmp_path}/")


def test_a_file_that_fails_can_be_mended(write):
    """What a failed run left behind does not stand in the way."""
    refusal(write("inn.py", "1 / 0"))
    assert find_scenario(write("inn.py", SMALLEST)).name == "inn"


# -- a TOML file -----------------------------------------------------------------------------


def test_a_toml_file_says_which(write):
    """A name, or a path relative to the file."""
    write("inn.py", SMALLEST)
    assert find_scenario(write("mine.toml", 'scenario = "stream"')).name == "stream"
    assert find_scenario(write("near.toml", 'scenario = "inn.py"')).name == "inn"
    assert find_scenario(write("sub/far.toml", 'scenario = "../inn.py"')).name == "inn"


@pytest.mark.parametrize("text", ["", "scenario = 3", "scenario = ''", "scenario = 'mine.toml'"])
def test_a_toml_file_that_does_not_say_is_told(write, text):
    """With the line that is wanted."""
    told = refusal(write("mine.toml", text))
    assert "mine.toml: scenario " in told
    assert 'a line as scenario = "town" or scenario = "mine.py" must stand at its top' in told
