"""The workloads of the peers in C++: one for all, since their libraries have the same names.

What a library does for a workload says its source; here are the inputs, what restores a state, and
what must come out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np

from .. import inputs
from ..peers import Entry
from . import Made, passed

Library = Callable[[], ctypes.CDLL]


def entries(library: Library, *names: str) -> dict[str, Callable[[int], Entry]]:
    """What makes the entries of these cases, with a library that is compiled on first use."""
    return {name: partial(MAKERS[name], library) for name in names}


def iter_2c(library: Library, n: int) -> Entry:
    """Position += velocity * dt."""
    start = inputs.motion(n)
    moving = Made(library(), "moving", n, start)

    def check() -> None:
        out = np.empty_like(start)
        assert moving.call("read", n, out) == n
        assert np.array_equal(out, [*inputs.advanced(start), *start[2:]])

    return Entry(moving.bind("step", inputs.DT), check)


def iter_frag26(library: Library, n: int) -> Entry:
    """One number doubled in 26 archetypes."""
    fragmented = Made(library(), "fragmented", inputs.FRAGMENTS, n, np.arange(n, dtype=np.float32))

    def check() -> None:
        out = np.empty(n, np.float32)
        assert fragmented.call("read", out) == n
        out.sort()
        assert np.array_equal(out, np.arange(n, dtype=np.float32) * 2)
        fragmented.call("clear")  # 0 stays 0 however often it is doubled

    return Entry(fragmented.bind("double"), check)


def spawn_4c(library: Library, n: int) -> Entry:
    """Rows of four columns, into room that is there."""
    columns = inputs.columns(n)
    spawning = Made(library(), "spawning", n, columns)

    def check() -> None:
        out = np.empty_like(columns)
        assert spawning.call("read", n, out) == n
        assert np.array_equal(inputs.by_x(out), columns)

    return Entry(spawning.bind("spawn"), check, spawning.bind("clear"))


def unchanged(changing: Made, columns: inputs.Floats) -> None:
    """Assert that all rows are as they were, and none has what was added."""
    out = np.empty_like(columns)
    assert changing.call("health") == 0
    assert changing.call("read", columns.shape[1], out) == columns.shape[1]
    assert np.array_equal(inputs.by_x(out), columns)


def add_remove_all(library: Library, n: int) -> Entry:
    """A component for every row, and away again."""
    columns = inputs.columns(n)
    changing = Made(library(), "changing", n, columns)

    def check() -> None:
        unchanged(changing, columns)
        changing.call("add_all")
        assert changing.call("health") == n
        changing.call("remove_all")
        unchanged(changing, columns)

    return Entry(changing.bind("all"), check)


def add_remove_tenth(library: Library, n: int) -> Entry:
    """A component for a random tenth of the rows, and away again."""
    columns, tenths = inputs.columns(n), inputs.tenths(n)
    changing = Made(library(), "changing", n, columns)

    def choose() -> None:
        changing.call("pick", n // 10, next(tenths))

    def check() -> None:
        unchanged(changing, columns)
        changing.call("add_some")
        assert changing.call("health") == n // 10
        changing.call("remove_some")
        unchanged(changing, columns)

    return Entry(changing.bind("some"), check, choose)


def despawn_spawn_tenth(library: Library, n: int) -> Entry:
    """A random tenth of the rows goes, and as many others come."""
    churn = inputs.Churn(n)
    churning = Made(library(), "churning", n, churn.columns)

    def choose() -> None:
        churn.choose()
        churning.call("pick", n // 10, churn.places, churn.born)

    def check() -> None:
        out = np.empty_like(churn.columns)
        assert churning.call("read", n, out) == n
        assert np.array_equal(inputs.by_x(out), inputs.by_x(churn.columns))

    return Entry(churning.bind("run"), check, choose)


def sweep_decay(library: Library, n: int) -> Entry:
    """Importance * 2^(-elapsed / half-life), for a new moment each time."""
    traces = inputs.traces(n)
    minds = Made(library(), "minds", n, *traces)
    decay, moments = minds.bind("decay"), count(inputs.NOW + 1_000_000, 1_000_000)
    now = inputs.NOW

    def run() -> None:
        nonlocal now
        now = next(moments)
        decay(passed(now))  # type: ignore[call-arg]

    def check() -> None:
        out = np.empty(n, np.float32)
        assert minds.call("read", out) == n
        np.testing.assert_allclose(out, inputs.strengths(traces, now), rtol=2e-6)

    return Entry(run, check)


def decay_w6(library: Library, n: int) -> Entry:
    """Importance * exp(-elapsed / (tau * (1 + log1p(count)))), and how many are weak."""
    memories = inputs.recollections(n)
    fading = Made(library(), "fading", n, *memories)
    step = fading.bind("step", inputs.W6_NOW_S, inputs.TAU_S, inputs.THRESHOLD)
    weak = -1

    def run() -> None:
        nonlocal weak
        weak = step()

    def check() -> None:
        out = np.empty(n, np.float32)
        assert fading.call("read", out) == n
        inputs.check_w6(memories, out, weak)

    return Entry(run, check)


def prune_owners(library: Library, n: int) -> Entry:
    """The ten least important memories of each owner go."""
    crowd = inputs.Crowd(n)
    hoard = Made(library(), "hoard", n, crowd.owner.astype(np.uint32), crowd.importance)
    full = True

    def renew() -> None:
        nonlocal full
        if not full:
            crowd.renew()
            owner = crowd.owner[crowd.places].astype(np.uint32)
            hoard.call("add", owner.size, owner, crowd.importance[crowd.places])
        full = False  # before the call that follows

    def check() -> None:
        owner, importance = np.empty(n, np.uint32), np.empty(n, np.float32)
        left = hoard.call("read", n, owner, importance)
        crowd.check(owner[:left], importance[:left])

    return Entry(hoard.bind("prune", crowd.n_owners, inputs.KEPT), check, renew)


def edges_update(library: Library, n: int) -> Entry:
    """All edges fade; a tenth of them is found by their ends, and gains."""
    of = inputs.edges(n)
    ends = of.source.astype(np.uint32), of.target.astype(np.uint32)
    edges = Made(library(), "edges", n, *(end[:n].copy() for end in ends), of.weight)
    met = [end[of.met] for end in ends]

    def check() -> None:
        out = np.empty(n, np.float32)
        assert edges.call("read", out) == n
        assert np.array_equal(out, inputs.strengthened(of))

    update = edges.bind("update", of.met.size, *met, inputs.FADE, inputs.GAIN)
    return Entry(update, check, edges.bind("renew", of.weight))


MAKERS: dict[str, Callable[[Library, int], Entry]] = {
    maker.__name__: maker
    for maker in (
        iter_2c, iter_frag26, spawn_4c, add_remove_all, add_remove_tenth, despawn_spawn_tenth,
        sweep_decay, decay_w6, prune_owners, edges_update,
    )
}  # fmt: skip
