"""numpy: a structure of arrays, by hand.

In place wherever numpy can (`out=`), in arrays that are there; a row is its number for as long as
it lives, and masks say who lives and who has what. So there are no ids that could be stale, no
versions and no growth: less than what Populace keeps. One thread.
"""

from __future__ import annotations

import numpy as np

from .. import inputs
from ..published import numpy_runs
from . import Entry, Peer


def equal(mine: inputs.Array, expected: inputs.Array) -> None:
    """Assert it."""
    assert np.array_equal(mine, expected)


def spawn_4c(n: int) -> Entry:
    """np.copyto of four columns, and of who lives: nearly the bound itself."""
    columns = inputs.columns(n)
    room, alive = np.zeros_like(columns), np.zeros(n, np.bool_)

    def spawn() -> None:
        for into, column in zip(room, columns, strict=True):
            np.copyto(into, column)
        alive[:] = True

    def check() -> None:
        equal(room[:, alive], columns)

    return Entry(spawn, check, lambda: alive.fill(False))


def iter_2c(n: int) -> Entry:
    """Two ufuncs a column, with scratch for the product."""
    start = inputs.motion(n)
    x, y, dx, dy = start.copy()
    scratch = np.empty(n, np.float32)

    def advance() -> None:
        for place, speed in ((x, dx), (y, dy)):
            np.multiply(speed, inputs.DT, out=scratch)
            np.add(place, scratch, out=place)

    return Entry(advance, lambda: equal(np.stack([x, y]), inputs.advanced(start)))


def iter_frag26(n: int) -> Entry:
    """A ufunc for each of 26 arrays."""
    parts = [np.arange(begin, end, dtype=np.float32) for begin, end in inputs.fragments(n)]

    def double() -> None:
        for part in parts:
            np.multiply(part, np.float32(2), out=part)

    def check() -> None:
        equal(np.concatenate(parts), np.arange(n, dtype=np.float32) * 2)
        for part in parts:
            part[:] = 0  # stays 0 however often it is doubled

    return Entry(double, check)


class Health:
    """A column that rows have or have not, in room that is there."""

    def __init__(self, n: int) -> None:
        self.has, self.value = np.zeros(n, np.bool_), np.zeros(n, np.float32)
        self.picks: slice | inputs.Places = slice(None)
        self._tenths = inputs.tenths(n)

    def choose(self) -> None:
        """The next tenth, by row numbers in random order."""
        self.picks = next(self._tenths)

    def give(self) -> None:
        """To those picked."""
        self.value[self.picks] = 2.0
        self.has[self.picks] = True

    def take(self) -> None:
        """From those picked."""
        self.has[self.picks] = False

    def give_and_take(self) -> None:
        """Both."""
        self.give()
        self.take()

    def check(self) -> None:
        """Nobody has it; those picked get it, and lose it."""
        assert not self.has.any()
        self.give()
        expected = np.zeros_like(self.has)
        expected[self.picks] = True
        equal(self.has, expected)
        assert np.all(self.value[self.has] == 2.0)
        self.take()
        assert not self.has.any()


def add_remove_all(n: int) -> Entry:
    """Fill a column and a mask, then the mask."""
    health = Health(n)
    return Entry(health.give_and_take, health.check)


def add_remove_tenth(n: int) -> Entry:
    """Scatter into a column and a mask, then into the mask."""
    health = Health(n)
    return Entry(health.give_and_take, health.check, health.choose)


def despawn_spawn_tenth(n: int) -> Entry:
    """Scatter into the mask of who lives, look there for free rows, and scatter into these."""
    churn = inputs.Churn(n)
    columns, born, k = churn.columns.copy(), churn.born, churn.born.shape[1]
    alive, rows = np.ones(n, np.bool_), np.arange(n)
    picks = made = rows[:0]

    def choose() -> None:
        nonlocal picks
        if made.size:
            rows[churn.places] = made
        churn.choose()
        picks = rows[churn.places]

    def replace() -> None:
        nonlocal made
        alive[picks] = False
        made = np.flatnonzero(~alive)[:k]
        for column, values in zip(columns, born, strict=True):
            column[made] = values
        alive[made] = True

    def check() -> None:
        equal(inputs.by_x(columns[:, alive]), inputs.by_x(churn.columns))

    return Entry(replace, check, choose)


def set_tenth(n: int) -> Entry:
    """A scatter by row numbers."""
    x, places, given = inputs.columns(n)[0].copy(), inputs.tenth(n), inputs.given(n)
    expected = x.copy()
    expected[places] = given

    def write() -> None:
        x[places] = given

    return Entry(write, lambda: equal(x, expected))


def get_tenth(n: int) -> Entry:
    """A gather by row numbers."""
    x, places = inputs.columns(n)[0], inputs.tenth(n)
    out = np.zeros(places.size, np.float32)

    def read() -> None:
        np.take(x, places, out=out, mode="clip")  # the other modes copy through a buffer

    return Entry(read, lambda: equal(out, inputs.columns(n)[0][inputs.tenth(n)]))


def sweep_decay(n: int) -> Entry:
    """Six ufuncs in place, for a new moment each time."""
    given, now = inputs.traces(n), inputs.NOW
    importance, stability, accessed = given
    elapsed, left = np.empty(n, np.int64), np.zeros(n, np.float32)

    def sweep() -> None:
        nonlocal now
        now += 1_000_000
        np.subtract(accessed, now, out=elapsed)
        left[:] = elapsed
        np.multiply(left, np.float32(1e-6), out=left)
        np.divide(left, stability, out=left)
        np.exp2(left, out=left)
        np.multiply(left, importance, out=left)

    def check() -> None:
        np.testing.assert_allclose(left, inputs.strengths(given, now), rtol=1e-6)  # f4

    return Entry(sweep, check)


def decay_w6(n: int) -> Entry:
    """Eight ufuncs in place, and a count."""
    given, weak = inputs.recollections(n), 0
    importance, last, recalls = given
    lasts, strength = np.empty(n, np.float32), np.zeros(n, np.float32)

    def sweep() -> None:
        nonlocal weak
        lasts[:] = recalls
        np.log1p(lasts, out=lasts)
        np.add(lasts, np.float32(1), out=lasts)
        np.multiply(lasts, inputs.TAU_S, out=lasts)
        np.subtract(last, inputs.W6_NOW_S, out=strength)
        np.divide(strength, lasts, out=strength)
        np.exp(strength, out=strength)
        np.multiply(strength, importance, out=strength)
        weak = int(np.count_nonzero(strength < inputs.THRESHOLD))

    return Entry(sweep, lambda: inputs.check_w6(given, strength, weak))


def prune_owners(n: int) -> Entry:
    """argsort of owner and importance as one u8 key, ranks by a count of each owner's, a mask."""
    crowd = inputs.Crowd(n)
    owner, importance = crowd.owner[:0], crowd.importance[:0]

    def come() -> None:
        nonlocal owner, importance
        if owner.size:
            crowd.renew()
        owner = np.concatenate([owner, crowd.owner[crowd.places]])
        importance = np.concatenate([importance, crowd.importance[crowd.places]])

    def prune() -> None:
        nonlocal owner, importance
        key = owner.astype(np.uint64) << np.uint64(32)
        key |= importance.view(np.uint32)  # not negative, so ordered as their bits
        order = np.argsort(key)
        ends = np.cumsum(np.bincount(owner, minlength=crowd.n_owners))
        better = ends[owner[order]] - np.arange(1, owner.size + 1)
        stays = np.ones(owner.size, np.bool_)
        stays[order[better >= inputs.KEPT]] = False
        owner, importance = owner[stays], importance[stays]

    return Entry(prune, lambda: crowd.check(owner, importance), come)


def edges_update(n: int) -> Entry:
    """Edges sorted by source and target; events are sorted, then found by searchsorted."""
    given = inputs.edges(n)
    key = given.source << 32 | given.target
    order = np.argsort(key)
    known, wanted = key[order], key[given.met]
    weight = np.empty(n, np.float32)

    def renew() -> None:
        weight[:] = given.weight[order]

    def update() -> None:
        np.multiply(weight, inputs.FADE, out=weight)
        weight[np.searchsorted(known, np.sort(wanted))] += inputs.GAIN

    return Entry(update, lambda: equal(weight, inputs.strengthened(given)[order]), renew)


PEER = Peer(
    "numpy",
    "numpy",
    workloads={
        workload.__name__: workload
        for workload in (
            spawn_4c, iter_2c, iter_frag26, add_remove_all, add_remove_tenth, despawn_spawn_tenth,
            set_tenth, get_tenth, sweep_decay, decay_w6, prune_owners, edges_update,
        )
    }
    | numpy_runs.WORKLOADS,
    largest=10_000_000,
)  # fmt: skip
