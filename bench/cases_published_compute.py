"""ecs_bench_suite: work that can be shared by processors, as `cases_published` says."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from populace import World, Write, f4, jit, kernel, seconds, system

from .harness import Contest, Run, case, ratio
from .published import suite
from .published.parts import LETTERS, A, B, C, D, E, Position, Transform
from .published.suite import INVERSIONS, SETS, Spins

AREA = "published"


# -- heavy_compute -------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def inverse(a, b, c, d, e, f, g, h, i, j, k, u, m, n, o, p):  # type: ignore[no-untyped-def]
    """Of a 4 x 4 matrix given row by row, by the minors of its upper and lower halves."""
    s0, s1, s2 = a * f - e * b, a * g - e * c, a * h - e * d
    s3, s4, s5 = b * g - f * c, b * h - f * d, c * h - g * d
    c0, c1, c2 = i * n - m * j, i * o - m * k, i * p - m * u
    c3, c4, c5 = j * o - n * k, j * p - n * u, k * p - o * u
    q = f4(1) / (s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0)
    return (
        (f * c5 - g * c4 + h * c3) * q, (c * c4 - b * c5 - d * c3) * q,
        (n * s5 - o * s4 + p * s3) * q, (k * s4 - j * s5 - u * s3) * q,
        (g * c2 - e * c5 - h * c1) * q, (a * c5 - c * c2 + d * c1) * q,
        (o * s2 - m * s5 - p * s1) * q, (i * s5 - k * s2 + u * s1) * q,
        (e * c4 - f * c2 + h * c0) * q, (b * c2 - a * c4 - d * c0) * q,
        (m * s4 - n * s2 + p * s0) * q, (j * s2 - i * s4 - u * s0) * q,
        (f * c1 - e * c3 - g * c0) * q, (a * c3 - b * c1 + c * c0) * q,
        (n * s1 - m * s3 - o * s0) * q, (i * s3 - j * s1 + k * s0) * q,
    )  # fmt: skip


@kernel
def compute_rows(of: Write[Transform], position: Write[Position]):  # type: ignore[no-untyped-def]
    """A row function: INVERSIONS times the inverse, then position <- matrix * position."""
    a, b, c, d = of.matrix[0], of.matrix[1], of.matrix[2], of.matrix[3]
    e, f, g, h = of.matrix[4], of.matrix[5], of.matrix[6], of.matrix[7]
    i, j, k, u = of.matrix[8], of.matrix[9], of.matrix[10], of.matrix[11]
    m, n, o, p = of.matrix[12], of.matrix[13], of.matrix[14], of.matrix[15]
    for _ in range(INVERSIONS):
        a, b, c, d, e, f, g, h, i, j, k, u, m, n, o, p = inverse(
            a, b, c, d, e, f, g, h, i, j, k, u, m, n, o, p
        )
    of.matrix[0], of.matrix[1], of.matrix[2], of.matrix[3] = a, b, c, d
    of.matrix[4], of.matrix[5], of.matrix[6], of.matrix[7] = e, f, g, h
    of.matrix[8], of.matrix[9], of.matrix[10], of.matrix[11] = i, j, k, u
    of.matrix[12], of.matrix[13], of.matrix[14], of.matrix[15] = m, n, o, p
    x, y, z = position.at[0], position.at[1], position.at[2]
    position.at[0] = a * x + b * y + c * z
    position.at[1] = e * x + f * y + g * z
    position.at[2] = i * x + j * y + k * z


@jit
def compute(matrix_n16, position_n3):  # type: ignore[no-untyped-def]
    """The same over arrays."""
    for row in range(matrix_n16.shape[0]):
        s = matrix_n16[row]
        made = (
            s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7],
            s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15],
        )  # fmt: skip
        for _ in range(INVERSIONS):
            made = inverse(*made)
        for place in range(16):
            s[place] = made[place]
        x, y, z = position_n3[row, 0], position_n3[row, 1], position_n3[row, 2]
        for axis in range(3):
            position_n3[row, axis] = s[4 * axis] * x + s[4 * axis + 1] * y + s[4 * axis + 2] * z


@system
def compute_arrays(transform: Write[Transform], position: Write[Position]) -> None:
    """An array system around it."""
    compute(transform.matrix, position.at)


@case(
    "kernel", "2 threads", "system", sizes=(1_000, 10_000, 100_000), unit="entity",
    bytes_each=1_000, elsewhere=True, target={"kernel": ratio(1.10)},
)  # fmt: skip
def heavy_compute(n: int) -> Contest:
    """n matrices are inverted 100 times, then transform a position each (published: 1,000, to see
    how work is split over processors): a row kernel, by itself and shared by two threads; an array
    system around an njit function. Bound: that function on arrays, one thread."""
    start = suite.spins(n)
    world, shared = World(seed=1), World(seed=1, threads=2)
    shared.parallel_rows = 2  # work this heavy is worth a hand-over
    arrays = Spins(*(column.copy() for column in start))

    def begin(each: World) -> None:
        each.query(Transform, Position).set(
            Transform(matrix=start.matrix), Position(at=start.position)
        )

    def begin_bare() -> None:
        for column, values in zip(arrays, start, strict=True):
            column[:] = values

    for each in (world, shared):
        each.spawn(n, Transform(matrix=start.matrix), Position(at=start.position))
    subjects = {
        "kernel": Run(compute_rows.bind(world).run, partial(begin, world)),
        "2 threads": Run(compute_rows.bind(shared).run, partial(begin, shared)),
        "system": Run(partial(compute_arrays.bind(world).run, None), partial(begin, world)),
    }

    def verify() -> None:
        begin_bare()
        compute(*arrays)
        suite.check_spins(arrays, start)
        for run, where in zip(subjects.values(), (world, shared, world), strict=True):
            begin(where)
            run.call()
            query = where.query(Transform, Position)
            found = Spins(query.gather(Transform.matrix), query.gather(Position.at))
            suite.check_spins(found, start)
            assert all(map(np.array_equal, found, arrays)), "not bit for bit what the bound has"

    return Contest(subjects, Run(partial(compute, *arrays), begin_bare), verify)


# -- schedule ------------------------------------------------------------------------------------


@kernel
def swap_ab(a: Write[A], b: Write[B]):  # type: ignore[no-untyped-def]
    """A and B."""
    a.value, b.value = b.value, a.value


@kernel
def swap_cd(c: Write[C], d: Write[D]):  # type: ignore[no-untyped-def]
    """C and D."""
    c.value, d.value = d.value, c.value


@kernel
def swap_ce(c: Write[C], e: Write[E]):  # type: ignore[no-untyped-def]
    """C and E."""
    c.value, e.value = e.value, c.value


@njit(cache=True, nogil=True)
def swap(left_n, right_n):  # type: ignore[no-untyped-def]
    """Their values."""
    for i in range(left_n.size):
        left_n[i], right_n[i] = right_n[i], left_n[i]


@case(
    "1 thread", "2 threads", sizes=(40_000, 400_000, 4_000_000), unit="entity", bytes_each=300,
    elsewhere=True, loses={"numpy": "it has no schedule, which costs about 10 µs a step"},
)  # fmt: skip
def schedule(n: int) -> Contest:
    """A step of three systems that swap A and B, C and D, C and E, over as many entities with each
    of AB, ABC, ABCD and ABCE (published: 10,000 of each), in worlds of one thread and of two.
    Bound: the six loops on the columns, one thread."""
    kinds = dict(zip("ABCDE", LETTERS, strict=False))
    swaps = ((swap_ab, "AB"), (swap_cd, "CD"), (swap_ce, "CE"))

    def filled(threads: int) -> tuple[World, list[np.ndarray]]:
        world = World(seed=1, threads=threads)
        ids = [
            world.spawn(
                end - begin,
                *(
                    kinds[name](value=values)
                    for name, values in suite.letters(begin, end, names).items()
                ),
            )
            for names, (begin, end) in zip(SETS, suite.quarters(n), strict=True)
        ]
        for each, _ in swaps:
            world.add_system(each)
        return world, ids

    worlds = [filled(threads) for threads in (1, 2)]
    columns = [
        suite.letters(begin, end, names)
        for names, (begin, end) in zip(SETS, suite.quarters(n), strict=True)
    ]
    pairs = [
        (held[pair[0]], held[pair[1]])
        for _, pair in swaps
        for held in columns
        if set(pair) <= set(held)
    ]

    def by_hand() -> None:
        for left, right in pairs:
            swap(left, right)

    def verify() -> None:
        by_hand()
        suite.check_swapped(columns, n)  # type: ignore[arg-type]
        for world, ids in worlds:
            world.step(seconds(1))
            found = [
                {name: world.get(who, kinds[name].value) for name in names}
                for names, who in zip(SETS, ids, strict=True)
            ]
            suite.check_swapped(found, n)

    one, two = (Run(partial(world.step, seconds(1))) for world, _ in worlds)
    return Contest({"1 thread": one, "2 threads": two}, Run(by_hand), verify)
