"""The compiled loop and its cache: exact, vectorised, kept between processes, never stale."""

import json
import math
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import compiled
from populace.ecs.compiled import RowLoop, compile_rows, converts_halves, kernels_folder
from populace.ecs.errors import KernelError
from populace.ecs.fingerprint import fingerprint, uncached
from populace.ecs.rowcode import translate

f4, i4, u1 = np.float32, np.int32, np.uint8


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A cache of our own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POPULACE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    yield kernels_folder()
    patch.undo()


def source_of(function, data, resources=()):
    fields = {
        name: (array.dtype, array.shape[1:][0] if array.ndim > 1 else 0)
        for name, array in data.items()
    }
    return translate(function, {"data": fields}, {"data"}, set(resources))


def run(function, scalars=(), **data):
    """Compile for these arrays and run over them as one table; returns the loop."""
    source = source_of(function, data, {"clock"} if scalars else ())
    loop = compile_rows(source)
    pointers = np.array([[data[column.field].ctypes.data for column in source.columns]])
    counts = np.array([len(next(iter(data.values())))])
    RowLoop(loop, len(scalars), source.origin).run(pointers, counts, scalars)
    return loop


def double(data):
    data.value *= 2


def test_a_simple_loop_is_vectorised():
    """The machine code multiplies or adds several rows at once."""
    loop = compile_rows(source_of(double, {"value": np.ones(1, "f4")}))
    loop.compile((numba.int64[:, ::1], numba.int64[::1]))
    if loop.stats.cache_hits:
        pytest.skip("code from the cache cannot be inspected")
    text = "".join(loop.inspect_asm().values())
    if not re.search(r"[xyz]mm\d", text):
        pytest.skip("not an x86 processor")
    assert re.search(r"v?(mul|add)ps", text)


def test_many_columns_need_no_checks_for_overlap():
    """All of eight columns written from all: one vectorised loop, no run-time comparisons."""

    def mix(data):
        data.a = data.a + data.b + data.c + data.d
        data.b = data.a - data.b + data.c - data.d
        data.c = data.a * data.e + data.f
        data.d = data.g * data.h - data.a

    names = "abcdefgh"
    loop = compile_rows(source_of(mix, {name: np.ones(1, "f8") for name in names}))
    loop.compile((numba.int64[:, ::1], numba.int64[::1]))
    text = "".join(loop.inspect_llvm().values()) if not loop.stats.cache_hits else ""
    assert "vector.memcheck" not in text
    if text and re.search(r"[xyz]mm\d", "".join(loop.inspect_asm().values())):
        assert "vector.body" in text


def test_precision_is_numbas():
    """f4 with f4 is f4; with a scalar argument f8, rounded once; `f4(...)` keeps f4."""

    def narrow(data):
        data.z = data.x * data.y + data.x

    def wide(data, clock):
        data.z = data.x * clock.dt

    def kept(data, clock):
        data.z = data.x * f4(clock.dt)

    draw = np.random.default_rng(0)
    x, y = 300 * draw.random((2, 1000), dtype="f4")
    z = np.zeros(1000, "f4")
    run(narrow, x=x, y=y, z=z)
    assert (z == x * y + x).all()
    run(wide, (0.1,), x=x, z=z)
    exact = (x.astype("f8") * 0.1).astype("f4")
    assert (z == exact).all()
    run(kept, (0.1,), x=x, z=z)
    assert (z == x * f4(0.1)).all()
    assert (z != exact).any()


def test_halves_are_computed_as_f4():
    """f2 is read as f4 and rounded when stored."""
    x = np.arange(-50, 50).astype("f2") / 8
    expected = (x.astype("f4") * f4(1.5) + f4(0.125)).astype("f2")

    def scale(data):
        data.x = data.x * f4(1.5) + f4(0.125)

    if not converts_halves():
        with pytest.raises(KernelError, match=r"data.x is f2, which this processor cannot"):
            run(scale, x=x)
        pytest.skip("no F16C")
    run(scale, x=x)
    assert (x == expected).all()


INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def clamp(value, dtype):
    """What storing a float in an integer column means."""
    limits = np.iinfo(dtype)
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return limits.max if value > 0 else limits.min
    return min(max(math.trunc(value), limits.min), limits.max)


@pytest.mark.parametrize("real", ["f4", "f8"])
@pytest.mark.parametrize("dtype", INTEGERS)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats() | st.floats(-70000, 70000), min_size=1, max_size=60))
def test_a_float_stored_as_integer_is_clamped(dtype, real, values):
    """Towards zero, within the range, NaN to 0: no undefined bits, vectorised or not."""
    with np.errstate(over="ignore"):
        x = np.resize(np.array(values).astype(real), 100)
    n = np.zeros(100, dtype)

    def store(data):
        data.n = data.x

    run(store, x=x, n=n)
    assert n.tolist() == [clamp(float(value), dtype) for value in x]


def test_a_float_made_an_integer_by_a_call_is_clamped_too():
    """i4(x), u1(x) and int(x)."""
    x = np.array([300.7, -300.7, math.nan, 1e30, -math.inf])
    a, b, c = (np.zeros(5, "i8") for _ in range(3))

    def cast(data):
        data.a, data.b, data.c = u1(data.x), i4(data.x), int(data.x)

    run(cast, x=x, a=a, b=b, c=c)
    assert a.tolist() == [255, 0, 0, 255, 0]
    assert b.tolist() == [300, -300, 0, 2**31 - 1, -(2**31)]
    assert c.tolist() == [300, -300, 0, 2**63 - 1, -(2**63)]


def test_an_integer_stored_in_a_narrower_column_wraps():
    """As numpy's astype does; a bool column takes what is not zero as true."""
    n, b = np.zeros(3, "u1"), np.zeros(3, "?")
    x = np.array([-1, 256, 257])

    def store(data):
        data.n = data.x
        data.b = data.x - 256

    run(store, x=x, n=n, b=b)
    assert n.tolist() == [255, 0, 1]
    assert b.tolist() == [True, False, True]


def test_division_by_zero_does_not_stop_the_rows():
    """inf or NaN; integers give 0."""
    x, n = np.array([1.0, -1.0, 0.0]), np.array([7, 0, 3])

    def divide(data):
        data.x /= 0.0
        data.n = 5 // (data.n - 7) + 5 % (data.n - 7)

    run(divide, x=x, n=n)
    assert np.array_equal(x, [math.inf, -math.inf, math.nan], equal_nan=True)
    assert n.tolist() == [0, -1 + -2, -2 + -3]


def test_an_index_outside_a_vector_is_an_error_not_a_write_elsewhere():
    """Indices that are not known to fit are checked in every row, also unsigned ones."""
    guarded = np.zeros((5, 3))
    v, at = guarded[1:4], np.array([0, -3, 2], "i4")

    def place(data):
        data.v[data.at] += 1.0

    run(place, v=v, at=at)
    assert v.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    for bad in (3, -4):
        at[1] = bad
        with pytest.raises(IndexError, match="outside its width"):
            run(place, v=v, at=at)
    with pytest.raises(IndexError, match="outside its width"):
        run(place, v=v, at=np.array([0, 2**64 - 1, 0], "u8"))
    assert not guarded[[0, 4]].any()


def test_what_numba_cannot_compile_is_a_kernel_error():
    """With the place of the row function."""

    def confused(data):
        data.v[data.x] = 1.0

    with pytest.raises(KernelError, match=r"test_compiled.py:\d+: numba cannot compile") as caught:
        run(confused, v=np.zeros((2, 3)), x=np.zeros(2))
    assert isinstance(caught.value, TypeError)

    def stores_a_pair(data):
        data.x = (1.0, 2.0)

    with pytest.raises(KernelError, match="numba cannot compile"):
        run(stores_a_pair, x=np.zeros(2))


def test_no_rows_and_no_tables_are_nothing_to_do():
    """Addresses of empty tables are never read."""
    loop = RowLoop(compile_rows(source_of(double, {"value": np.ones(1, "f4")})), 0)
    loop.run(np.zeros((0, 1), np.int64), np.zeros(0, np.int64))
    loop.run(np.zeros((5, 1), np.int64), np.zeros(5, np.int64), ())


# -- what a numba function depends on -------------------------------------------------------


RATE = 2.0


def helper(rate, **options):
    @numba.njit(**options)
    def inner(x):
        return x * rate

    @numba.njit
    def outer(x):
        return inner(x) + RATE

    return outer


def test_a_fingerprint_follows_constants_callees_options_and_globals(monkeypatch):
    """What may change a result changes it, nothing else does."""
    first = fingerprint(helper(1.0))
    assert first == fingerprint(helper(1.0))
    others = [
        fingerprint(helper(1)),
        fingerprint(helper(-0.0)),
        fingerprint(helper(0.0)),
        fingerprint(helper(np.ones(2))),
        fingerprint(helper(np.zeros(2))),
        fingerprint(helper((1.0, np.float32(2)))),
        fingerprint(helper(1.0, fastmath={"contract", "arcp"})),
        fingerprint(helper(1.0, error_model="numpy")),
    ]
    monkeypatch.setitem(globals(), "RATE", 3.0)
    others.append(fingerprint(helper(1.0)))
    assert None not in others
    assert len({first, *others}) == len(others) + 1


def law_of(source, step=1, **scope):
    """A kernel that calls an intrinsic made of this source, in a module of its own."""
    text = f"""
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

STEP = {step}

def doubled(builder, value):
    return builder.add(value, value)

@intrinsic
def moved(typing_context, x):
    def build(context, builder, signature, arguments):
        {source}
    return types.int64(types.int64), build

@numba.njit
def law(x):
    return moved(x)
"""
    held = {"__name__": "laws_of_intrinsics", **scope}
    exec(text, held)
    return held["law"]


ADDED = "return builder.add(arguments[0], ir.IntType(64)(STEP))"


def test_a_fingerprint_follows_the_body_and_the_constants_of_an_intrinsic():
    """What it emits is a function of its code and of what that reads: the same of both is the same,
    another of either is another, as are the results."""
    laws = {
        "first": law_of(ADDED),
        "another body": law_of(ADDED.replace("add", "sub")),
        "another constant within": law_of(ADDED.replace("64)(STEP)", "64)(5)")),
        "another global": law_of(ADDED, step=2),
    }
    found = {name: fingerprint(law) for name, law in laws.items()}
    assert None not in found.values()
    assert len(set(found.values())) == len(laws)
    assert fingerprint(law_of(ADDED)) == found["first"]
    assert [law(10) for law in laws.values()] == [11, 9, 15, 12]


def test_an_intrinsic_that_reaches_what_cannot_be_followed_has_no_fingerprint():
    """A plain function that emits for it might change unseen."""
    assert fingerprint(law_of("return doubled(builder, arguments[0])")) is None


def test_what_cannot_be_followed_has_no_fingerprint():
    """Large arrays, instances, plain functions, names that are not there."""

    @numba.njit
    def lost(x):
        return x * not_there  # noqa: F821

    for value in (np.zeros(200_000), object(), lambda x: x, numba.vectorize(lambda x: x)):
        assert fingerprint(helper(value)) is None
    assert fingerprint(lost) is None


def test_clones_call_clones():
    """Through globals, closures, modules and recursion; the originals stay as they are."""
    module = ModuleType("laws")
    module.rate = 3.0

    @numba.njit
    def fall(n):
        return 1 if n <= 1 else n * fall(n - 1)

    module.fall = fall

    @numba.njit
    def law(x):
        return module.fall(x) * module.rate + np.abs(x) * int(math.pi)

    copy = uncached(law, fingerprint(law))
    assert copy(4) == law(4) == 84.0
    assert fingerprint(copy) is not None
    assert copy.py_func.__globals__ is not law.py_func.__globals__
    assert copy.py_func.__closure__[0].cell_contents is not None

    @numba.njit("f8(f8)")
    def eager(x):
        return x / 2

    assert uncached(eager, fingerprint(eager))(3) == 1.5
    assert uncached(eager, fingerprint(eager)).nopython_signatures == eager.nopython_signatures


def test_a_helper_that_cannot_be_followed_is_compiled_but_not_kept(folder):
    """The loop works, and leaves no file."""
    table = np.arange(200_000.0)

    @numba.njit
    def look_up(n):
        return table[n]

    def fetch_from_table(data):
        data.x = look_up(data.n)

    x, n = np.zeros(3), np.array([5, 7, 199_999])
    source = source_of(fetch_from_table, {"x": x, "n": n})
    assert not source.cacheable
    run(fetch_from_table, x=x, n=n)
    assert x.tolist() == n.tolist()
    assert not list(folder.glob("fetch_from_table*"))


# -- the cache on disk ----------------------------------------------------------------------


SCRIPT = """
import json, sys
import numpy as np
from populace.ecs.compiled import RowLoop, compile_rows
from populace.ecs.rowcode import translate
sys.path.insert(0, sys.argv[1])
import society

done = {}
for name in sys.argv[2:]:
    x = np.arange(100.0)
    source = translate(getattr(society, name), {"data": {"x": (x.dtype, 0)}}, {"data"}, ())
    loop = compile_rows(source)
    RowLoop(loop, 0).run(np.array([[x.ctypes.data]]), np.array([100]), ())
    done[name] = [x[2], sum(loop.stats.cache_hits.values()), sum(loop.stats.cache_misses.values())]
print(json.dumps(done))
"""

SOCIETY = """
import laws
import nature
import nurture

def doubled(data):
    data.x *= 2

def ruled(data):
    data.x = laws.law(data.x)

def natural(data):
    data.x = nature.force(data.x + 5000.0) + 100.0

def nurtured(data):
    data.x = nurture.force(data.x + 5000.0) + 100.0
"""

LAWS = """
import numba
from nature import constant, force

@numba.njit(cache=True)
def law(x):
    return force(x + 5000.0) + constant
"""

NATURE = """
import numba

constant = {constant}

@numba.njit(cache=True)
def force(x):
    return x * {factor} if x < 1000.0 else force(x - 1000.0)
"""


def write(place, factor=1.0, constant=0.0):
    (place / "society.py").write_text(SOCIETY)
    (place / "laws.py").write_text(LAWS)
    (place / "nature.py").write_text(NATURE.format(factor=factor, constant=constant))
    (place / "nurture.py").write_text(NATURE.format(factor=7.0, constant=0.0))


def start(place, *names, **environment):
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(place), *names]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(out)


def test_a_second_process_compiles_nothing(tmp_path):
    """It takes the machine code from disk, also that of numba functions called."""
    write(tmp_path)
    cache = {"POPULACE_CACHE_DIR": str(tmp_path / "cache")}
    first = result(start(tmp_path, "doubled", "ruled", **cache))
    assert first == {"doubled": [4.0, 0, 1], "ruled": [2.0, 0, 1]}
    second = result(start(tmp_path, "doubled", "ruled", **cache))
    assert second == {"doubled": [4.0, 1, 0], "ruled": [2.0, 1, 0]}
    assert len(list((tmp_path / "cache" / "kernels").glob("*.py"))) == 2


def test_an_edited_callee_never_brings_back_the_old_result(tmp_path):
    """Two files away, below functions that have a stale cache of their own."""
    cache = {"POPULACE_CACHE_DIR": str(tmp_path / "cache")}
    for factor, constant in ((1.0, 0.0), (3.0, 0.0), (3.0, 7.0)):
        write(tmp_path, factor, constant)
        [x, _, _] = result(start(tmp_path, "ruled", **cache))["ruled"]
        assert x == 2.0 * factor + constant


def test_loops_cached_by_different_processes_do_not_mix(tmp_path):
    """Each process numbers its functions from one, and two of them here are called `force`.

    A call that LLVM does not inline, as that of a function to itself, is linked by name.
    """
    cache = {"POPULACE_CACHE_DIR": str(tmp_path / "cache")}
    write(tmp_path, 3.0)
    assert result(start(tmp_path, "natural", **cache))["natural"] == [106.0, 0, 1]
    assert result(start(tmp_path, "nurtured", **cache))["nurtured"] == [114.0, 0, 1]
    assert result(start(tmp_path, "doubled", **cache))["doubled"] == [4.0, 0, 1]
    all_three = result(start(tmp_path, "natural", "nurtured", "doubled", **cache))
    assert all_three == {
        "natural": [106.0, 1, 0],
        "nurtured": [114.0, 1, 0],
        "doubled": [4.0, 1, 0],
    }


def test_processes_may_compile_the_same_loop_at_once(tmp_path):
    """Whoever is last replaces a file by the same file."""
    write(tmp_path)
    cache = {"POPULACE_CACHE_DIR": str(tmp_path / "cache")}
    running = [start(tmp_path, "doubled", **cache) for _ in range(3)]
    assert [result(process)["doubled"][0] for process in running] == [4.0] * 3
    assert result(start(tmp_path, "doubled", **cache))["doubled"] == [4.0, 1, 0]
    assert not list((tmp_path / "cache").rglob("*.tmp*"))


def test_a_folder_that_cannot_be_written_is_replaced_by_a_passing_one(tmp_path):
    """The loop runs, nothing is kept, nothing is left behind."""
    write(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    environment = {
        "POPULACE_CACHE_DIR": str(tmp_path / "file"),
        "TMPDIR": str(tmp_path / "temporary"),
    }
    for _ in range(2):
        assert result(start(tmp_path, "doubled", **environment))["doubled"] == [4.0, 0, 1]
    assert not list((tmp_path / "temporary").iterdir())


def test_damaged_source_is_written_again(folder):
    """A file of the right name with another text is not trusted."""
    x = np.ones(3)
    path = Path(run(double, value=x).py_func.__code__.co_filename)
    assert path.parent == folder
    path.write_text("def loop(): pass\n")
    run(double, value=x)
    assert x.tolist() == [4.0] * 3
    assert "data_value[row] *= 2" in path.read_text()


def test_the_kernels_folder_follows_the_environment(tmp_path, monkeypatch):
    """Ours, the user's cache, the home folder, in this order."""
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert kernels_folder() == tmp_path / "a" / "kernels"
    monkeypatch.delenv("POPULACE_CACHE_DIR")
    assert kernels_folder() == tmp_path / "b" / "populace" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernels_folder() == tmp_path / "c" / ".cache" / "populace" / "kernels"
    assert all(path.is_dir() for path in Path(tmp_path).glob("*/**/kernels"))


def test_a_folder_that_passes_is_shared_with_nobody(tmp_path, monkeypatch):
    """Other processes are not to be told of what they will not find."""
    monkeypatch.setattr(compiled, "_passing_folder", cache(lambda: tmp_path / "passing"))
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path / "a"))
    assert compiled.kernels_are_shared()
    (tmp_path / "file").touch()
    monkeypatch.setenv("POPULACE_CACHE_DIR", str(tmp_path / "file"))
    assert not compiled.kernels_are_shared()


def test_a_name_says_what_the_code_depends_on(folder, monkeypatch):
    """Another version of numba, numpy, Python or of the compiler itself is another file."""
    source = source_of(double, {"value": np.ones(1, "i2")})
    one = compile_rows(source).py_func.__code__.co_filename
    monkeypatch.setattr(compiled, "versions", lambda: "later")
    other = compile_rows(source).py_func.__code__.co_filename
    assert one != other
    assert {Path(one).parent, Path(other).parent} == {folder}
