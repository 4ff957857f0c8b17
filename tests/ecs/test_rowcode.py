"""Row functions: compiled, they do what Python does with one row after the other.

The naive twin of the compiler is Python itself: `by_row` calls the same function once per row, on
plain objects that hold Python numbers.
"""

import enum
import linecache
import math
import re
from functools import cache, wraps
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs.compiled import compile_rows
from populace.ecs.errors import KernelError, PopulaceError
from populace.ecs.rowcode import RowColumn, RowScalar, translate

f4, u8 = np.float32, np.uint64
GRAVITY = 9.81
WEIGHTS = (0.5, 0.25, np.float64(-0.125))
LIMIT = np.int64(3)
NOT_A_NUMBER = math.nan
SMALL = np.float32(0.1)


class Mode(enum.IntEnum):
    """What a body does."""

    ASLEEP = 1
    AWAKE = 2
    RUNNING = 5


@numba.njit
def soften(x, by):
    """A helper with a helper."""
    return decline(x) / (1.0 + by * by)


@numba.njit
def decline(x):
    return x * GRAVITY if x > 0 else x - LIMIT


# -- a corpus -------------------------------------------------------------------------------


def move(body, other, clock):
    body.x += other.x * clock.dt
    body.y += other.y * clock.dt


def swap(body):
    body.x, body.y = body.y, -body.x


def early_return(body, other):
    if other.x < 0.0:
        return
    body.x -= other.x
    if body.x < 0.0:
        body.y = 1.0
        return
    body.y = body.x


def modes(body, other, clock):
    """An enum in three branches, and a resource that is an integer."""
    if other.mode == Mode.ASLEEP:
        body.x *= 0.5
    elif other.mode in (Mode.AWAKE, Mode.RUNNING) and clock.now > 5:
        body.x += body.y
        body.mode = Mode.RUNNING
    else:
        body.mode = Mode.ASLEEP if other.mode not in (Mode.RUNNING,) else 7


def choices(body, other):
    low: float = body.x if body.x < other.x else other.x
    high = max(body.x, other.x)
    body.y = high - low if low != high else -1.0


def weighted(body, other):
    total = 0.0
    for j in range(len(other.v)):
        total += WEIGHTS[j] * other.v[j]
        body.v[j] -= total
    body.v[-1] = total
    body.x = other.v[0] * other.v[-2]


def tables(body):
    for weight in WEIGHTS:
        body.x += weight


def searched(body, other):
    found = -1
    for j in range(3):
        if other.v[j] < 0.0:
            continue
        if other.v[j] > body.x:
            found = j
            break
    else:
        body.y = 0.0
    if found >= 0:
        body.y = other.v[found]
        body.v[found - 1] = 2.0


def halved(body):
    """A while loop, integers, and a loop within."""
    n = body.count % 97
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        for _ in range(LIMIT):
            steps += 1
    body.count = steps


def softened(body, other):
    body.x = soften(other.x, body.y) + decline(x=body.x)


def mixed(body, entity):
    """Bits of an id: u8 with integer literals stays u8."""
    key = entity ^ (entity >> 33)
    key = (key * 0xFF51AFD7ED558CCD) & 0xFFFFFFFFFFFFFFFF
    key ^= key >> 29
    body.count = key % 1000003
    if entity % 2 == 0:
        body.x = key & 0xFF
    body.seed = (body.seed + key) & 0xFFFFFFFFFFFFFFFF
    body.seed |= 1


def not_a_number(body, other):
    """Tests for NaN survive the optimiser."""
    gap = other.x * NOT_A_NUMBER
    if gap == gap:
        body.x = 1.0
    if math.isnan(gap) and not np.isfinite(other.x - math.inf):
        body.y = 3.0


def roots(body, other):
    body.x = math.sqrt(abs(other.x)) + np.minimum(other.y, 0.0)
    body.y = np.sqrt(other.x * other.x + other.y * other.y)


def whole(body, other):
    """To integers: by a call and by storing, towards zero, up, down and to the even."""
    body.count = int(other.x) + math.floor(other.y) * 10 + math.ceil(other.y) + round(other.x)
    body.mode = min(abs(int(other.y)), 255)
    body.count += math.trunc(other.y) + bool(other.x)


def shadows(body, table, clock):
    """Names that the loop uses itself."""
    row, np, column = table.x, 2.0, 3.0  # noqa: F841
    pointers = counts = element = row + np
    body_x = clock.dt
    body.x = pointers + counts + element + body_x


def curves(body, other):
    """The mathematical functions, whose last bit is the library's."""
    body.x = math.exp(-abs(other.x)) + np.log1p(abs(other.y)) * math.sin(other.x) ** 3
    body.y = abs(other.y) ** 0.3 + math.tanh(body.x) * math.atan2(other.y, other.x)
    body.v[1] = 2.0**other.x if other.x < 3.0 else np.cbrt(other.y)
    body.count <<= other.count
    body.seed >>= other.seed
    body.mode = other.x * other.y


def chained(body, other):
    if 0.0 <= other.x < 10.0 != other.y or not (other.x and other.y):
        body.x = -body.x
    body.y = (other.x > 0.0) + 2 ** (other.mode > 2) - (-3) ** 2


def absent(body, ghost, clock):
    """A component that these tables lack: only the branch that can run is compiled."""
    if ghost is None or ghost.x > 0.0:
        body.x += clock.dt
    if ghost is not None and clock.dt > 0.0:
        body.x = ghost.x
    body.y = body.x if ghost is None else ghost.x


def shifted(body, other):
    """Counts below 64, as values and as literals, of i8 and u8."""
    body.count = (other.count << 3 >> other.mode) + (1 << (body.mode + 40))
    body.seed >>= other.mode
    body.seed = (body.seed << other.mode & 0xFFFFFFFFFFFFFFFF) >> 1


def idle(body):
    """Reads and writes nothing."""


CORPUS = [
    move, swap, early_return, modes, choices, weighted, tables, searched, halved, softened, mixed,
    not_a_number, roots, whole, shadows, chained, absent, shifted, idle,
]  # fmt: skip

BODY = {"x": "f8", "y": "f8", "v": "3f8", "mode": "u1", "count": "i8", "seed": "u8"}
CLOCK = SimpleNamespace(dt=0.37, now=9)


def fields(real):
    """The fields of a body, its floats in the dtype `real`."""
    return {
        name: (np.dtype(code.lstrip("3").replace("f8", real)), 3 if code[0] == "3" else 0)
        for name, code in BODY.items()
    }


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A cache of our own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POPULACE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@cache
def compiled(function, real="f8"):
    components = {name: fields(real) for name in ("body", "other", "table")}
    components["entity"] = {"": (np.dtype("u8"), 0)}
    source = translate(function, components, {"body"}, {"clock"}, {"ghost"})
    return source, compile_rows(source)


def bodies(n, seed, real="f8", wild=False):
    """n rows of each parameter; wild numbers are any bits, tame floats have few digits."""
    draw = np.random.default_rng(seed)
    rows = {}
    for parameter in ("body", "other", "table"):
        rows[parameter] = {}
        for name, (dtype, width) in fields(real).items():
            shape = (n, width) if width else (n,)
            if wild:
                bits = draw.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8)
                rows[parameter][name] = bits.view(dtype).reshape(shape)
            elif dtype.kind != "f":
                high = 7 if name == "mode" else 2**40
                rows[parameter][name] = draw.integers(0, high, shape).astype(dtype)
            else:
                rows[parameter][name] = (draw.integers(-99, 100, shape) / 8).astype(dtype)
    rows["entity"] = {"": draw.integers(1, 2**64, n, dtype=np.uint64)}
    return rows


def by_loop(function, rows, cuts=(), real="f8", calls=1):
    """Run the compiled loop on the rows, cut into tables; in one call or in several."""
    source, loop = compiled(function, real)
    n = len(rows["entity"][""])
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    pointers = np.zeros((len(edges) - 1, len(source.columns)), np.int64)
    for number, column in enumerate(source.columns):
        array = rows[column.parameter][column.field]
        pointers[:, number] = array.ctypes.data + np.array(edges[:-1]) * array.strides[0]
    counts = np.diff(edges).astype(np.int64)
    scalars = [getattr(CLOCK, scalar.attribute) for scalar in source.scalars]
    for part in np.array_split(np.arange(len(counts)), calls):
        loop(pointers[part], counts[part], *scalars)


def by_row(function, rows):
    """The naive twin: the Python function, row after row, on Python numbers."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    for i in range(len(rows["entity"][""])):
        given = {"clock": CLOCK, "ghost": None}
        for name in {"body", "other", "table"} & set(names):
            given[name] = SimpleNamespace(**{f: a[i].tolist() for f, a in rows[name].items()})
        given["entity"] = int(rows["entity"][""][i])
        function(*(given[name] for name in names))
        if "body" in names:
            for field, array in rows["body"].items():
                array[i] = getattr(given["body"], field)


def copied(rows):
    return {p: {f: a.copy() for f, a in columns.items()} for p, columns in rows.items()}


def assert_same_bits(left, right):
    for parameter, columns in left.items():
        for field, array in columns.items():
            other = right[parameter][field]
            assert array.tobytes() == other.tobytes(), (parameter, field, array, other)


numbers_of_rows = st.integers(0, 150)
seeds = st.integers(0, 2**32 - 1)
cuts = st.lists(st.integers(0, 150), max_size=8)


@pytest.mark.parametrize("function", CORPUS, ids=lambda f: f.__name__)
@settings(max_examples=25, deadline=None)
@given(n=numbers_of_rows, seed=seeds)
def test_a_compiled_row_function_does_what_python_does(function, n, seed):
    """On f8 and integers, bit for bit, nothing but the fields assigned to changes."""
    rows = bodies(n, seed)
    expected = copied(rows)
    by_row(function, expected)
    by_loop(function, rows)
    assert_same_bits(rows, expected)


@pytest.mark.parametrize("real", ["f4", "f8"])
@pytest.mark.parametrize("function", [*CORPUS, curves], ids=lambda f: f.__name__)
@settings(max_examples=25, deadline=None)
@given(n=numbers_of_rows, seed=seeds, cuts=cuts, calls=st.integers(1, 4), wild=st.booleans())
def test_results_do_not_depend_on_how_rows_are_split(function, real, n, seed, cuts, calls, wild):
    """Over tables and over calls, bit for bit, NaN, infinities and subnormals included."""
    rows = bodies(n, seed, real, wild)
    expected = copied(rows)
    by_loop(function, expected, real=real)
    by_loop(function, rows, cuts, real, calls)
    assert_same_bits(rows, expected)


# -- what a translation says ----------------------------------------------------------------


def test_columns_and_scalars_are_those_used_in_the_order_declared():
    """By parameter, then field as declared; only what is stored to counts as written."""
    source, _ = compiled(modes)
    described = [(c.parameter, c.field, c.writes) for c in source.columns]
    assert described == [
        ("body", "x", True),
        ("body", "y", False),
        ("body", "mode", True),
        ("other", "mode", False),
    ]
    assert source.columns[2] == RowColumn("body", "mode", np.dtype("u1"), 0, True)
    assert source.scalars == (RowScalar("clock", "now"),)
    assert compiled(move)[0].scalars == (RowScalar("clock", "dt"),)
    assert compiled(weighted)[0].columns[1].width == 3
    assert source.origin == f"{__file__}:{modes.__code__.co_firstlineno}"


def test_the_source_is_readable():
    """The loop reads like the function, and says where it comes from."""
    text = compiled(early_return)[0].source
    assert "early_return" in text.splitlines()[0]
    assert "            body_x[row] -= other_x[row]\n" in text
    assert "                continue\n" in text
    assert "other_mode[row] == 1" in compiled(modes)[0].source


def at(text, name="f", **scope):
    """A function from a text, as a notebook cell or `exec` with linecache gives one."""
    at.count += 1
    file = f"<cell {at.count}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), scope)
    return scope[name]


at.count = 0


def code(function):
    components = {name: fields("f8") for name in ("body", "other")}
    components["entity"] = {"": (np.dtype("u8"), 0)}
    return translate(function, components, {"body"}, {"clock"}, {"ghost"})


def test_a_function_from_a_cell_compiles_indented_and_decorated_ones_too():
    """Source comes from linecache, wherever the function stands."""
    assert "body_x[row] = 2" in code(at("def f(body):\n    body.x = 2\n")).source

    def keep(function):
        return function

    @keep
    @keep
    def inside(body):
        body.x = """
not a number"""

    with pytest.raises(KernelError, match=rf"rowcode.py:{inside.__code__.co_firstlineno + 3}: "):
        code(inside)


def test_equal_functions_have_equal_digests_and_a_constant_changes_it():
    """The digest covers the source, the constants in it and those of the numba functions."""
    text = "def f(body):\n    body.x = RATE * 2.0\n"
    one, two, three = (code(at(text, RATE=rate)) for rate in (1.0, 1.0, 3.0))
    assert one.digest == two.digest != three.digest
    assert "RATE" not in one.source

    def helped(rate):
        @numba.njit
        def helper(x):
            return x * rate

        def f(body):
            body.x = helper(body.x)

        return code(f)

    assert helped(1.0).digest == helped(1.0).digest != helped(2.0).digest
    assert helped(1.0).cacheable
    assert helped(1.0).source == helped(2.0).source


def test_closure_numbers_become_literals():
    """Numpy numbers keep their type, negative ones their sign, infinities their value."""
    big, half, minus, far = u8(2**63 + 1), SMALL, -2, -math.inf

    def f(body):
        body.x = minus**2 + half
        body.y = far
        body.seed = big + 1

    source = code(f)
    assert "(-2) ** 2 + f4(0.10000000149011612)" in source.source
    assert "-1e309" in source.source
    assert "u8(9223372036854775809) + u8(1)" in source.source


# -- what is refused ------------------------------------------------------------------------


REFUSED = {
    "body.x = other.z": "other has no field z; its fields: x, y, v, mode, count, seed",
    "other.x = 1.0": "other.x may only be read; declare other as Write",
    "other.x += 1.0": "other.x may only be read",
    "entity += 1": "entity is a parameter and stays as it is",
    "body = 2.0": "body is a parameter and stays as it is",
    "body.x = other": "other cannot be used as a whole; its fields: x",
    "body.x = clock": "of a resource, read one number by name",
    "clock.dt = 1.0": "clock.dt belongs to a resource, which no row may change",
    "body.x = clock.dt[0]": "of a resource, read one number by name",
    "body.x = clock.dt.real": "cannot be read; use parameter.field",
    "body.x = ghost.x": "ghost is a filter or absent: None here, without a value",
    "body.v = 1.0": "body.v is a vector of 3; use body.v[j]",
    "body.x = body.v": "body.v is a vector of 3; use body.v[j]",
    "body.x = body.v[3]": "body.v[3] lies outside its 3 elements",
    "body.v[-4] = 1.0": "body.v[-4] lies outside its 3 elements",
    "body.v[0:2] = 1.0": "`0:2` (Slice) has no place in a row function",
    "body.x = body.y[0]": "body.y is one number and has no elements",
    "body.x.real = 1.0": "`body.x.real` cannot be assigned to",
    "body.x = body.v.sum()": "`body.v.sum` is not a function from outside",
    "y = 1.0; body.x = y.real": "a number has no attributes here",
    "return body.x": "a row function returns nothing",
    "for j in range(3):\n        return": "return inside a loop; set a local, break",
    "yield": "`(yield)` (Yield) has no place",
    "body.x = lambda: 1": "(Lambda) has no place",
    "def g(): pass": "(FunctionDef) has no place",
    "class G: pass": "(ClassDef) has no place",
    "with body: pass": "(With) has no place",
    "try: pass\n    finally: pass": "`try:` (Try) has no place",
    "raise ValueError": "(Raise) has no place",
    "assert body.x": "(Assert) has no place",
    "del body.x": "(Delete) has no place",
    "import math": "(Import) has no place",
    "global body_x": "(Global) has no place",
    "a = [1.0]": "`[1.0]` (List) has no place",
    "a = {}": "(Dict) has no place",
    "body.x = sum(v for v in other.v)": "sum is a builtin_function_or_method",
    "(y := 1.0)": "(NamedExpr) has no place",
    "a, *b = 1, 2": "(Starred) has no place",
    "body.x = max(*other.v)": "(Starred) has no place",
    "body.x = max(**other)": "has no place",
    "for body.x in range(3): pass": "a loop variable is a plain local name",
    "body.x = 'a'": "'a' is not a real number",
    "body.x = 1j": "1j is not a real number",
    "body.x = None": "None is not a real number",
    "body.x = 18446744073709551616": "18446744073709551616 does not fit 64 bits",
    "if other.x is None: pass": "`is` only asks whether a parameter is None",
    "if other.x in other.v: pass": "other.v is a vector",
    "if other.x in 3: pass": "`in` needs one tuple of numbers",
    "body.count = body.count << 64": "a shift by 64 bits; 0 to 63 are possible",
    "body.count >>= -1": "a shift by -1 bits",
    "body.x = len(other.x)": "only a vector field or a tuple has one",
    "body.x = unheard_of": "unheard_of is not defined",
    "body.x = math.unheard_of": "math.unheard_of is not defined",
    "body.x = math": "math is a module",
    "body.x = GRAVITY(2)": "`GRAVITY` is not a function from outside",
    "body.x = plain(2)": "plain is a plain Python function; put @numba.njit on it",
    "body.x = np.random.rand()": "np.random.rand is a method; rows can use numbers",
    "body.x = print(1)": "print is a builtin_function_or_method",
    "body.x = words": "'ab' is not",
    "body.x = y; y = 1.0": "y may be read before it has a value",
    "y += 1.0": "y may be read before it has a value",
    "if body.x: y = 1.0\n    body.x = y": "y may be read before it has a value",
    "while body.x: y = 1.0\n    body.x = y": "y may be read before it has a value",
    "for j in range(2): pass\n    body.x = j": "j may be read before it has a value",
    "for j in range(y): y = 2": "y may be read before it has a value",
}


def plain(x):
    return x


@pytest.mark.parametrize("statement", REFUSED)
def test_what_a_row_cannot_do_is_refused_with_file_line_and_way_out(statement):
    """Nothing outside arithmetic on one row gets past the translation."""
    text = f"def f(body, other, entity, clock, ghost):\n    body.y = 2.0\n    {statement}\n"
    scope = {"np": np, "math": math, "GRAVITY": GRAVITY, "plain": plain, "words": ("ab",)}
    with pytest.raises(KernelError) as caught:
        code(at(text, **scope))
    message = str(caught.value)
    assert REFUSED[statement] in message
    assert re.match(rf"<cell {at.count}>:[34]: row function f: ", message)
    assert issubclass(KernelError, PopulaceError)
    assert issubclass(KernelError, TypeError)


@pytest.mark.parametrize(
    ("signature", "what"),
    [
        ("body, other=1", "no defaults"),
        ("body, *, other=1", "no defaults"),
        ("body, *others", "takes no *others"),
        ("body, **others", "takes no *others"),
        ("body, stranger", "parameter stranger is no component, resource or filter"),
    ],
)
def test_a_signature_names_components_resources_and_filters_only(signature, what):
    """Whatever else a parameter is, it is refused where it stands."""
    with pytest.raises(KernelError, match=r"<cell \d+>:1: row function f: ") as caught:
        code(at(f"def f({signature}):\n    pass\n"))
    assert what in str(caught.value)


def wrapped(function):
    @wraps(function)
    def wrapper(*args):
        function(*args)

    return wrapper


def test_what_is_no_function_with_source_is_refused():
    """A lambda, async, a builtin, and a function whose text is gone or has changed."""
    scope = {}
    exec("def f(body):\n    body.x = 1\n", scope)
    with pytest.raises(KernelError, match="source cannot be read; define it in a file"):
        code(scope["f"])
    with pytest.raises(KernelError, match="lambda cannot be a row function"):
        code(lambda body: None)
    with pytest.raises(KernelError, match="plain Python function, got <built-in"):
        code(len)
    with pytest.raises(KernelError, match="async has no meaning"):
        code(at("async def f(body):\n    pass\n"))
    with pytest.raises(KernelError, match="takes no \\*args"):
        code(wrapped(move))
    function = at("def f(body):\n    body.x = 1\n")
    linecache.cache[f"<cell {at.count}>"][2][:] = ["def f(somebody):\n", "    somebody.x = 1\n"]
    with pytest.raises(KernelError, match="has changed since it was imported"):
        code(function)


def test_the_line_named_is_the_line_at_fault():
    """Below decorators, comments and other statements."""
    text = (
        "\n\ndef f(\n    body,\n):\n    # remark\n    if body.x:\n        pass\n        oh.x = 2\n"
    )
    with pytest.raises(KernelError, match=r"<cell \d+>:9: row function f: `oh.x` cannot be"):
        code(at(text))


def test_a_local_may_have_its_value_from_every_branch():
    """A branch that returns or continues need not give one."""
    text = """
def f(body):
    if body.x > 1.0:
        y = 2.0
    elif body.x > 0.0:
        return
    else:
        y = 3.0
    for j in range(2):
        if j == 0:
            continue
        else:
            z = y
        body.y = z
"""
    assert "continue" in code(at(text)).source
