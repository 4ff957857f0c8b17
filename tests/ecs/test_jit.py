"""`jit`: machine code that does what its Python does, is kept on disk, and is never stale."""

import json
import math
import os
import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace import World, Write, component, f4, kernel
from populace.ecs.compiled import kernels_folder
from populace.ecs.jit import jit


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A cache of our own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POPULACE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    yield kernels_folder()
    patch.undo()


def stats(function):
    """(signatures loaded from the cache, signatures compiled)."""
    return sum(function.stats.cache_hits.values()), sum(function.stats.cache_misses.values())


def files(folder, function):
    """The files of a function in a cache folder."""
    return sorted(path.name for path in folder.glob(f"{function.__name__}_*"))


RATE = 3.0


@numba.njit(nogil=True, error_model="numpy")
def grown(x, share):
    return x + share * (RATE - x)


@jit
def grow(x_n, share_n, out_n):
    """out_n <- x_n moved by a share of the way to RATE."""
    for i in range(out_n.size):
        if x_n[i] > RATE:
            out_n[i] = x_n[i]
        else:
            out_n[i] = grown(x_n[i], share_n[i])


def grow_naive(x_n, share_n):
    return [
        x if x > RATE else x + share * (RATE - x) for x, share in zip(x_n, share_n, strict=True)
    ]


def scale_by(rate):
    """A kernel that closes over a number."""

    @jit
    def scale(x):
        return x * rate

    return scale


def apply_by(law):
    """A kernel that closes over a numba function, as the laws of retention are used."""

    @jit
    def apply_law(x_n, out_n):
        for i in range(out_n.size):
            out_n[i] = law(x_n[i])

    return apply_law


# -- what it computes ----------------------------------------------------------------------------

numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, st.floats(0, 1)), max_size=40))
def test_results_equal_those_of_plain_python(drawn):
    """The machine code, its `.py_func` and the formula written out agree, bit for bit."""
    x, share = np.array(drawn, np.float64).reshape(-1, 2).T.copy()
    compiled, plain = np.empty_like(x), np.empty_like(x)
    grow(x, share, compiled)
    grow.py_func(x, share, plain)
    assert compiled.tobytes() == plain.tobytes()
    assert compiled.tolist() == grow_naive(x.tolist(), share.tolist())


@given(st.integers(0, 70), st.integers(0, 70), st.randoms())
def test_a_result_does_not_depend_on_its_place(start, size, draw):
    """Vectorised or not, alone or among others, a row gives the same bits: no fastmath."""
    x = np.array([draw.uniform(-9, 9) for _ in range(start + size)], np.float32)
    share = np.array([draw.random() for _ in range(start + size)], np.float32)
    whole, part = np.empty_like(x), np.empty_like(x)
    grow(x, share, whole)
    for begin, end in ((0, start), (start, start + size)):
        grow(x[begin:end], share[begin:end], part[begin:end])
    assert whole.tobytes() == part.tobytes()


def test_a_callee_is_compiled_once_for_all_its_callers():
    """As long as it is the same: after a change of what it reads, there is another."""
    scope = {"numba": numba, "jit": jit, "FACTOR": 2.0}
    law = "@numba.njit\ndef law(x):\n    return FACTOR * x\n"
    caller = "@jit\ndef {0}(x):\n    return law(x) {1} 1\n"
    exec(law + caller.format("more", "+") + caller.format("less", "-"), scope)
    more, less = (callee_of(scope[name]) for name in ("more", "less"))
    assert more is less
    assert (scope["more"](3.0), scope["less"](3.0)) == (7.0, 5.0)
    assert stats(more) == (0, 1)
    assert len(more.signatures) == 1
    scope["FACTOR"] = 5.0
    exec(caller.format("newer", "+"), scope)
    assert callee_of(scope["newer"]) is not more
    assert (scope["newer"](3.0), scope["more"](3.0)) == (16.0, 7.0)


def callee_of(function):
    """The `law` that the machine code of a function calls."""
    return function._compiler.py_func.__globals__["law"]


def test_division_is_numpys():
    """By zero it gives infinities and NaN, and no error."""

    @jit
    def divide(a, b):
        return a / b

    assert divide(1.0, 0.0) == math.inf
    assert divide(-1.0, 0.0) == -math.inf
    assert math.isnan(divide(0.0, 0.0))


def test_the_options_are_those_of_every_kernel():
    """It releases the GIL, and is compiled without Python objects and without fastmath."""
    options = grow.targetoptions
    assert options["nogil"] is True
    assert not options.get("fastmath")
    assert not options.get("parallel")

    @jit
    def objects(x):
        return str.maketrans({x: object()})

    with pytest.raises(numba.core.errors.NumbaError):
        objects(1)


def test_it_is_called_what_it_was_called():
    """Name and docstring stay."""
    assert grow.__name__ == "grow"
    assert grow.__doc__ == "out_n <- x_n moved by a share of the way to RATE."
    assert grow.py_func.__doc__ == grow.__doc__


def test_each_type_is_compiled_for_itself():
    """f4 stays f4, f8 stays f8, in one function."""

    @jit
    def third(x_n, out_n):
        for i in range(out_n.size):
            out_n[i] = x_n[i] / x_n.dtype.type(3)

    for dtype in (np.float32, np.float64):
        out = np.empty(1, dtype)
        third(np.ones(1, dtype), out)
        assert out[0] == dtype(1) / dtype(3)
    assert len(third.signatures) == 2


def test_arguments_may_be_left_out():
    """Defaults work, and are part of what is kept."""

    def made(default):
        def shift(x, by=default):
            return x + by

        return jit(shift)

    assert (made(1)(10), made(2)(10), made(1)(10, 5)) == (11, 12, 15)


def test_a_kernel_may_call_a_kernel():
    """One made by `jit` calls another, and a row function of a system calls both."""

    @component
    class Level:
        value: f4 = 2

    @jit
    def half(x):
        return x * f4(0.5)

    @jit
    def eighth(x):
        return half(half(half(x)))

    @kernel
    def fall(level: Write[Level]):
        level.value = half(level.value) + eighth(level.value)

    assert eighth(f4(8)) == 1
    world = World()
    world.spawn(3, Level)
    world.add_system(fall)
    world.step(1)
    assert world.query(Level).gather(Level.value).tolist() == [1.25] * 3


# -- several versions in one process -------------------------------------------------------------


def test_two_versions_in_one_process():
    """Functions of one name that close over different numbers or laws stay apart, in whatever
    order they are made and called."""
    double, triple = scale_by(2.0), scale_by(3.0)
    assert (triple(1.0), double(1.0), scale_by(2.0)(5.0), scale_by(2)(5)) == (3.0, 2.0, 10.0, 10)

    def laws():
        @numba.njit
        def law(x):
            return x + 1.0

        one = law

        @numba.njit
        def law(x):
            return x - 1.0

        return one, law

    up, down = laws()
    out = np.empty((3, 2))
    first, second = apply_by(up), apply_by(down)
    first(np.zeros(2), out[0])
    second(np.zeros(2), out[1])
    apply_by(up)(np.zeros(2), out[2])
    assert out.tolist() == [[1, 1], [-1, -1], [1, 1]]


def test_the_same_function_again_comes_from_the_cache(folder):
    """Made anew from the same text it is loaded, not compiled, and adds no file."""

    @numba.njit
    def law(x):
        return x * 1.5 + 0.25

    out = np.empty((2, 3))
    first = apply_by(law)
    first(np.ones(3), out[0])
    held = files(folder, first)
    second = apply_by(law)
    second(np.ones(3), out[1])
    assert (stats(first), stats(second)) == ((0, 1), (1, 0))
    assert (out == 1.75).all()
    assert files(folder, second) == held


def test_a_changed_constant_is_another_function(monkeypatch):
    """What a module's constants were when a function was made is what it computes with."""

    def made():
        @jit
        def rated(x):
            return x * RATE

        return rated

    before = made()
    assert before(2.0) == 6.0
    monkeypatch.setitem(globals(), "RATE", 5.0)
    after = made()
    assert after(2.0) == 10.0
    assert before(2.0) == 6.0
    assert stats(after) == (0, 1)


def test_arrays_and_tuples_are_constants(folder):
    """Their values count, not their names."""

    def made(table, names):
        @jit
        def look_up(i):
            return table[i] + names[0]

        return look_up

    assert made(np.array([1.0, 2.0]), (10.0, 0.0))(1) == 12.0
    assert made(np.array([1.0, 3.0]), (10.0, 0.0))(1) == 13.0
    assert made(np.array([1.0, 3.0]), (20.0, 0.0))(1) == 23.0
    again = made(np.array([1.0, 3.0]), (20.0, 0.0))
    assert again(1) == 23.0
    assert stats(again) == (1, 0)


def test_a_function_that_calls_itself_may_be_defined_again():
    """As a notebook's cell or a reloaded module does: the later one calls itself."""
    names = {"jit": jit}
    found = []
    for sign in "*+":
        exec(f"@jit\ndef fall(n):\n    return 1 if n <= 1 else n {sign} fall(n - 1)", names)
        found.append(names["fall"](5))
    assert found == [120, 15]


# -- what cannot be kept -------------------------------------------------------------------------


def test_what_cannot_be_followed_works_and_is_not_kept(folder):
    """A constant too large for the cache: compiled in each process, and no file."""
    table = np.arange(200_000.0)

    @jit
    def from_a_large_table(i):
        return table[i]

    assert from_a_large_table(199_999) == 199_999.0
    assert from_a_large_table.py_func(7) == 7.0
    assert not files(folder, from_a_large_table)


def test_a_folder_deleted_meanwhile_is_made_again(tmp_path, monkeypatch):
    """Whoever deletes the cache may do so at any time."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path / "cache"))
    function = scale_by(7.0)
    shutil.rmtree(tmp_path / "cache")
    assert function(2.0) == 14.0
    again = scale_by(7.0)
    assert again(2.0) == 14.0
    assert stats(again) == (1, 0)
    shutil.rmtree(tmp_path / "cache")
    assert again(2) == 14.0


def test_lost_machine_code_is_compiled_again(tmp_path, monkeypatch):
    """An index whose code somebody deleted is as good as none."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path))
    scale_by(9.0)(1.0)
    [code] = (tmp_path / "kernels").glob("*.nbc")
    code.unlink()
    again = scale_by(9.0)
    assert again(1.0) == 9.0
    assert stats(again) == (0, 1)
    assert code.exists()


@pytest.mark.parametrize(
    "kind",
    [
        "nbc",
        "nbi",
    ],
)
@pytest.mark.parametrize("left", [0, 40])
def test_damaged_files_are_written_anew(kind, left, tmp_path, monkeypatch):
    """A file that was cut short, as by a loss of power, costs one compilation and no more."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path))
    scale_by(11.0)(1.0)
    [file] = (tmp_path / "kernels").glob(f"*.{kind}")
    file.write_bytes(file.read_bytes()[:left])
    first, second = scale_by(11.0), scale_by(11.0)
    assert (first(1.0), second(1.0)) == (11.0, 11.0)
    assert (stats(first), stats(second)) == ((0, 1), (1, 0))


def test_machine_code_for_other_types_is_not_taken(tmp_path, monkeypatch):
    """Two processes that wrote at once, each for a type of its own, may have chosen one name."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path))
    function = scale_by(17.0)
    assert (function(1.0), function(1)) == (17.0, 17.0)
    one, other = (tmp_path / "kernels").glob("*.nbc")
    one.rename(tmp_path / "kept")
    other.rename(one)
    (tmp_path / "kept").rename(other)
    first, second = scale_by(17.0), scale_by(17.0)
    assert (first(1.0), first(1), first(2.0), first(2)) == (17.0, 17.0, 34.0, 34.0)
    assert stats(first) == (0, 2)
    assert (second(2.0), second(2)) == (34.0, 34.0)
    assert stats(second) == (2, 0)


def test_a_folder_that_can_no_longer_be_written(tmp_path, monkeypatch):
    """What cannot be kept is compiled all the same."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path / "cache"))
    function = scale_by(13.0)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file in the way")
    assert function(2.0) == 26.0
    assert function(2) == 26.0


# -- the cache on disk ---------------------------------------------------------------------------

SCRIPT = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import society

done = {}
for name in sys.argv[2:]:
    function = getattr(society, name)
    out = np.zeros(3)
    function(np.array([1.0, 2.0, 2000.0]), out)
    hits, misses = function.stats.cache_hits, function.stats.cache_misses
    done[name] = [out.tolist(), sum(hits.values()), sum(misses.values())]
print(json.dumps(done))
"""

SOCIETY = """
from populace.ecs import jit
import laws, nature

@jit
def direct(x_n, out_n):
    for i in range(out_n.size):
        out_n[i] = nature.force(x_n[i])

@jit
def indirect(x_n, out_n):
    for i in range(out_n.size):
        out_n[i] = laws.law(x_n[i])

@jit
def constant(x_n, out_n):
    for i in range(out_n.size):
        out_n[i] = x_n[i] + nature.CONSTANT

def by(law):
    @jit
    def closed(x_n, out_n):
        for i in range(out_n.size):
            out_n[i] = law(x_n[i])
    return closed

closed = by(nature.force)
closed_over_kernel = by(laws.law)

def twice(law):
    @jit
    def inner(x):
        return law(x) + law(x)
    return by(inner)

closed_twice = twice(nature.force)

@jit
def alone(x_n, out_n):
    for i in range(out_n.size):
        out_n[i] = x_n[i] * 0.5
"""

LAWS = """
from populace.ecs import jit
from nature import CONSTANT, force

@jit
def law(x):
    return force(x) + CONSTANT
"""

NATURE = """
import numba

CONSTANT = {constant}

@numba.njit(cache=True)
def force(x):
    return x * {factor} if x < 1000.0 else force(x - 1000.0)
"""

NAMES = (
    "direct", "indirect", "constant", "closed", "closed_over_kernel", "closed_twice", "alone",
)  # fmt: skip


def expected(factor, constant):
    """What each function gives for 1, 2 and 2000."""
    force = [factor * x for x in (1.0, 2.0, 0.0)]
    law = [x + constant for x in force]
    return {
        "direct": force,
        "indirect": law,
        "constant": [1.0 + constant, 2.0 + constant, 2000.0 + constant],
        "closed": force,
        "closed_over_kernel": law,
        "closed_twice": [2 * x for x in force],
        "alone": [0.5, 1.0, 1000.0],
    }


def write(place, factor=1.0, constant=0.0):
    (place / "society.py").write_text(SOCIETY)
    (place / "laws.py").write_text(LAWS)
    (place / "nature.py").write_text(NATURE.format(factor=factor, constant=constant))


def start(place, *names, **environment):
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(place), *names]
    paths = os.pathsep.join(path for path in sys.path if path)
    given = {"POPULACE_CACHE_DIR": str(place / "cache"), "NUMBA_CACHE_DIR": str(place / "numba")}
    return subprocess.Popen(
        command,
        env={
            **os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **given,
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def result(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(out)


def held(place):
    return {path.name: path.stat().st_mtime_ns for path in (place / "cache").rglob("*.nb?")}


def test_a_second_process_compiles_nothing(tmp_path):
    """It loads the machine code: of functions alone, of those with callees in other files, and of
    closures over numba functions. It writes nothing."""
    write(tmp_path, 3.0, 7.0)
    want = expected(3.0, 7.0)
    assert result(start(tmp_path, *NAMES)) == {name: [want[name], 0, 1] for name in NAMES}
    before = held(tmp_path)
    assert result(start(tmp_path, *NAMES)) == {name: [want[name], 1, 0] for name in NAMES}
    assert held(tmp_path) == before


def test_an_edited_callee_gives_the_new_result(tmp_path):
    """A function or a constant edited in another file, one or two files away, below a callee whose
    own cache is stale: what depends on it is compiled anew, the rest is loaded."""
    known = set()
    for factor, constant in ((1.0, 0.0), (3.0, 0.0), (3.0, 7.0), (1.0, 0.0)):
        write(tmp_path, factor, constant)
        want = expected(factor, constant)
        found = result(start(tmp_path, *NAMES))
        assert {name: row[0] for name, row in found.items()} == want
        for name, (_, hits, misses) in found.items():
            part = {
                "alone": (), "constant": (constant,), "direct": (factor,), "closed": (factor,),
                "closed_twice": (factor,),
            }.get(name, (factor, constant))  # fmt: skip
            assert (hits, misses) == ((1, 0) if (name, part) in known else (0, 1)), name
            known.add((name, part))


def test_machine_code_of_different_processes_does_not_mix(tmp_path):
    """Each process numbers its functions from one. A function that calls itself is linked by name:
    those of one name, kept by two processes, meet in a third."""
    first, second = tmp_path / "a", tmp_path / "b"
    cache = {"POPULACE_CACHE_DIR": str(tmp_path / "cache")}
    for place, factor in ((first, 3.0), (second, 5.0)):
        place.mkdir()
        write(place, factor)
        found = result(start(place, "closed", **cache))
        assert found == {"closed": [expected(factor, 0)["closed"], 0, 1]}
    (first / "society.py").write_text(
        SOCIETY
        + "import runpy\n"
        + f"other = runpy.run_path({str(second / 'nature.py')!r})\n"
        + "closed_other = by(other['force'])\n"
    )
    found = result(start(first, "closed", "closed_other", **cache))
    assert found == {
        "closed": [expected(3.0, 0)["closed"], 1, 0],
        "closed_other": [expected(5.0, 0)["closed"], 1, 0],
    }


def test_processes_may_compile_the_same_function_at_once(tmp_path):
    """Each gets its result, and what is left can be loaded."""
    write(tmp_path, 3.0)
    running = [start(tmp_path, "closed", "direct") for _ in range(2)]
    for process in running:
        assert result(process)["closed"][0] == expected(3.0, 0)["closed"]
    assert result(start(tmp_path, "closed", "direct"))["closed"][1:] == [1, 0]
    assert not list((tmp_path / "cache").rglob("*.tmp*"))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    """The functions work, nothing is kept, nothing is left behind."""
    write(tmp_path, 3.0, 7.0)
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    environment = {
        "POPULACE_CACHE_DIR": str(tmp_path / "file"),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    for _ in range(2):
        found = result(start(tmp_path, "indirect", **environment))
        assert found == {"indirect": [expected(3.0, 7.0)["indirect"], 0, 1]}
    assert not list((tmp_path / "temporary").iterdir())
