"""Names of classes in files: today's class, and nothing that a file alone asks for."""

import enum
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Memory
from populace.ecs import component, event, f4
from populace.ecs.errors import SchemaError, SnapshotError
from populace.storage.classes import excerpt, find_class, path_of
from populace.systems.ties import Contact, Ties


@component
class Hunger:
    level: f4 = 0

    class Inner(enum.IntEnum):
        """A class within a class."""

        ONE = 1


def local():
    @component
    class Hunger:
        level: f4 = 1

    return Hunger


@pytest.fixture
def town(monkeypatch):
    """A module that is imported, with whatever a test puts into it."""
    made = ModuleType("town_of_tests")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


@pytest.mark.parametrize(
    ("cls", "kind"),
    [(Hunger, "component"), (Memory, "component"), (Contact, "event"), (Ties, "data"),
     (Hunger.Inner, "data")],
)  # fmt: skip
def test_a_class_of_an_imported_module_is_found(cls, kind):
    """Its path leads to it, through classes that it is defined in."""
    assert find_class(path_of(cls), kind=kind) is cls


def test_modules_of_populace_are_imported():
    """A snapshot of populace's own classes needs no import by its reader."""
    code = (
        "import sys\n"
        "from populace.storage.classes import find_class\n"
        "assert 'populace.systems.ties' not in sys.modules\n"
        "print(find_class('populace.systems.ties:Contact', kind='event').__name__)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("Contact\n", "")


@pytest.mark.parametrize(
    "path",
    ["antigravity:Hunger", "this:Hunger", "populace.__main__:Hunger", "populace.nowhere:Hunger",
     "populacex:Hunger", "populace..x:Hunger", "__main__:NoSuchThing", "populace.ecs:nothing.x"],
)  # fmt: skip
def test_no_module_is_imported_for_a_file(path):
    """What is not imported, and not populace's, stays so; the error tells both ways out."""
    says = rf"holds {path}, a component that this program has not defined: import its module .* or "
    with pytest.raises(SchemaError, match=says + r"pass components=\[\w+\].*aliases="):
        find_class(path)
    assert path.partition(":")[0] in ("__main__", "populace.ecs") or (
        path.partition(":")[0] not in sys.modules
    )


def test_no_code_of_a_module_is_run(town):
    """A module's __getattr__ and a class's attributes are not asked."""
    town.__getattr__ = lambda name: pytest.fail("was called")

    class Odd(type):
        def __getattr__(cls, name):
            pytest.fail("was called")

    town.Holder = Odd("Holder", (), {})
    for path in ("town_of_tests:Hunger", "town_of_tests:Holder.Hunger"):
        with pytest.raises(SchemaError, match="has not defined"):
            find_class(path)


@pytest.mark.parametrize(
    ("path", "kind", "is_today"),
    [("os:system", "data", "a builtin_function_or_method"), ("os:path", "component", "a module"),
     (path_of(Hunger), "event", f"the class {path_of(Hunger)}"),
     (path_of(Contact), "component", f"the class {path_of(Contact)}"),
     (path_of(Hunger), "data", f"the class {path_of(Hunger)}"),
     ("subprocess:Popen", "data", "the class subprocess:Popen"),
     (path_of(Ties), "component", f"the class {path_of(Ties)}")],
)  # fmt: skip
def test_what_is_found_is_of_the_kind_asked_for(path, kind, is_today):
    """A component is no event, a function is no class, and no other class is data."""
    with pytest.raises(SchemaError, match=f"today it is {is_today}"):
        find_class(path, kind=kind)


def test_classes_that_are_passed_come_first():
    """By path; a class that a function made is found no other way."""
    made, other = local(), local()
    assert "<locals>" in path_of(made)
    assert find_class(path_of(made), [Hunger, made, made]) is made
    with pytest.raises(SchemaError, match=r"<locals>.Hunger, a component that this program"):
        find_class(path_of(made))
    with pytest.raises(SchemaError, match="2 of the classes passed are"):
        find_class(path_of(made), [made, other])


def test_a_class_that_has_moved_is_found_by_its_name():
    """Among those passed, where one alone has it, and no class has the path itself."""
    assert find_class("old_town:Hunger", [Memory, Hunger]) is Hunger
    assert find_class(path_of(Memory), [type("Memory", (), {})]) is Memory
    with pytest.raises(SchemaError, match="old_town:Hunger"):
        find_class("old_town:Hunger", [Hunger, local()])


def test_a_class_that_its_old_module_still_offers_is_found(town):
    """`from new_place import Hunger` in the old module is enough."""
    town.Hunger = Hunger
    assert find_class("town_of_tests:Hunger") is Hunger


def test_an_alias_goes_before_everything():
    """Under another name, or the same, the class that is meant is the one that is used."""
    made = local()
    assert find_class("old:Appetite", aliases={"old:Appetite": Hunger}) is Hunger
    assert find_class(path_of(Hunger), [Hunger], aliases={path_of(Hunger): made}) is made
    with pytest.raises(SchemaError, match="today it is the class"):
        find_class("old:Appetite", aliases={"old:Appetite": Ties})


@given(st.text(max_size=12) | st.none() | st.integers() | st.lists(st.text()))
def test_whatever_a_file_names_is_an_error_or_a_class(path):
    """No path but those of classes of the kind asked for gives anything."""
    with pytest.raises((SnapshotError, SchemaError)):
        find_class(path)


def test_an_excerpt_is_short():
    """Messages show what is wrong with a file, not the file."""

    @dataclass
    class Loud:
        def __repr__(self):
            pytest.fail("was called")

    assert excerpt("a" * 10**6) == f"'{'a' * 80}'…"
    assert excerpt(10**400) == "an int of 1,329 bits"
    assert [excerpt(None), excerpt(2.5), excerpt(True)] == ["None", "2.5", "True"]
    assert [excerpt([Loud()]), excerpt(Loud())] == ["a list", "a Loud"]


def test_an_event_is_found_among_those_passed():
    """Events and components of one name are told apart by what is asked for."""

    @event
    class Rang:
        pass

    assert find_class(path_of(Rang), [Rang], kind="event") is Rang
    with pytest.raises(SchemaError, match="under @component"):
        find_class(path_of(Rang), [Rang])
