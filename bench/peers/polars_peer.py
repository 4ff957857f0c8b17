"""polars: a frame of columns, which expressions make anew.

As its user guide recommends: expressions, never row numbers; what is done to some rows is a
condition, a join or `update`. Eager, or lazy where that was quicker; order is kept only where it
matters, which makes joins quicker.
A frame has no room that is reserved, no rows that stay where they are and no index of ids. It works
on all processors, whereas Populace has one thread here, and only the wall clock sees that work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import inputs
from ..published import polars_runs
from . import Entry, Peer, polars_sql

NAMES = ("x", "y", "dx", "dy")
LN_2 = float(np.log(2))


def frame_of(columns: inputs.Floats, first_id: int = 0) -> Any:
    """A frame of these rows, with ids."""
    import polars as pl

    ids = np.arange(first_id, first_id + columns.shape[1], dtype=np.uint64)
    return pl.DataFrame(dict(zip(NAMES, columns.copy(), strict=True)) | {"id": ids})


def columns_of(frame: Any) -> inputs.Floats:
    """(4, n): x, y and the speeds."""
    return np.stack([frame[name].to_numpy() for name in NAMES])


def equal(mine: inputs.Array, expected: inputs.Array) -> None:
    """Assert it."""
    assert np.array_equal(mine, expected)


def f4(value: Any) -> Any:
    """A literal of the columns' type."""
    import polars as pl

    return pl.lit(float(value), pl.Float32)


def spawn_4c(n: int) -> Entry:
    """A frame of the four arrays, appended to one that has a row already; else polars would take
    the arrays as they are, and copy nothing."""
    import polars as pl

    columns = inputs.columns(n)
    before = pl.DataFrame(dict.fromkeys(NAMES, np.full(1, -1, np.float32)))
    frame = before

    def spawn() -> None:
        nonlocal frame
        come = pl.DataFrame(dict(zip(NAMES, columns, strict=True)))
        frame = pl.concat([before, come], rechunk=True)

    def renew() -> None:
        nonlocal frame
        frame = before

    return Entry(spawn, lambda: equal(columns_of(frame)[:, 1:], columns), renew)


def iter_2c(n: int) -> Entry:
    """with_columns of two expressions."""
    import polars as pl

    start = inputs.motion(n)
    frame = frame_of(start)
    moves = [
        pl.col(place) + pl.col(speed) * f4(inputs.DT) for place, speed in (("x", "dx"), ("y", "dy"))
    ]

    def advance() -> None:
        nonlocal frame
        frame = frame.with_columns(moves)

    return Entry(advance, lambda: equal(columns_of(frame)[:2], inputs.advanced(start)))


def iter_frag26(n: int) -> Entry:
    """with_columns of each of 26 frames."""
    import polars as pl

    frames = [
        pl.DataFrame({"value": np.arange(begin, end, dtype=np.float32), f"letter_{k}": True})
        for k, (begin, end) in enumerate(inputs.fragments(n))
    ]
    double = pl.col("value") * f4(2)

    def sweep() -> None:
        frames[:] = [frame.with_columns(double) for frame in frames]

    def check() -> None:
        values = np.concatenate([frame["value"].to_numpy() for frame in frames])
        equal(values, np.arange(n, dtype=np.float32) * 2)
        frames[:] = [frame.with_columns(value=f4(0)) for frame in frames]  # stays 0

    return Entry(sweep, check)


class Health:
    """A frame of which rows get one more value and lose it again."""

    def __init__(self, n: int) -> None:
        import polars as pl

        self.columns = inputs.columns(n)
        self.frame = frame_of(self.columns)
        self.picks = pl.Series(np.empty(0, np.uint64))
        self._tenths = inputs.tenths(n)

    def check_unchanged(self) -> None:
        """All as it began, and nobody has Health."""
        equal(columns_of(self.frame), self.columns)
        assert "health" not in self.frame or self.frame["health"].is_null().all()


class HealthOfAll(Health):
    """A column that comes and goes."""

    def give(self) -> None:
        """To all."""
        self.frame = self.frame.with_columns(health=f4(2))

    def take(self) -> None:
        """From all."""
        self.frame = self.frame.drop("health")

    def give_and_take(self) -> None:
        """Both."""
        self.give()
        self.take()

    def check(self) -> None:
        """Nobody has it; all get it, and lose it."""
        self.check_unchanged()
        self.give()
        equal(self.frame["health"].to_numpy(), np.full(self.columns.shape[1], 2.0))
        self.take()
        self.check_unchanged()


class HealthOfSome(Health):
    """A column that is null for those who have none."""

    def __init__(self, n: int) -> None:
        import polars as pl

        super().__init__(n)
        self.frame = self.frame.with_columns(health=pl.lit(None, pl.Float32))

    def choose(self) -> None:
        """The next tenth, by ids in random order."""
        import polars as pl

        self.picks = pl.Series(next(self._tenths).astype(np.uint64))

    def picked(self) -> Any:
        """The condition."""
        import polars as pl

        return pl.col("id").is_in(pl.lit(self.picks).implode())

    def give(self) -> None:
        """To those picked."""
        import polars as pl

        given = pl.when(self.picked()).then(f4(2)).otherwise(pl.col("health"))
        self.frame = self.frame.with_columns(health=given)

    def take(self) -> None:
        """From those picked."""
        import polars as pl

        left = pl.when(~self.picked()).then(pl.col("health"))
        self.frame = self.frame.with_columns(health=left)

    def give_and_take(self) -> None:
        """Both."""
        self.give()
        self.take()

    def check(self) -> None:
        """Nobody has it; those picked get it, and lose it."""
        self.check_unchanged()
        self.give()
        having = self.frame.drop_nulls("health")
        equal(having["id"].to_numpy(), np.sort(self.picks.to_numpy()))
        assert (having["health"] == 2.0).all()
        self.take()
        self.check_unchanged()


def add_remove_all(n: int) -> Entry:
    """with_columns of a literal, then drop."""
    health = HealthOfAll(n)
    return Entry(health.give_and_take, health.check)


def add_remove_tenth(n: int) -> Entry:
    """A nullable column, written twice, where the id is in a series."""
    health = HealthOfSome(n)
    return Entry(health.give_and_take, health.check, health.choose)


def despawn_spawn_tenth(n: int) -> Entry:
    """filter by ids, then concat with a frame of the newcomers."""
    import polars as pl

    churn = inputs.Churn(n)
    frame = frame_of(churn.columns)
    ids, next_id, k = np.arange(n, dtype=np.uint64), n, churn.born.shape[1]
    picks = pl.Series(ids[:0])

    def choose() -> None:
        nonlocal picks, next_id
        if churn.places.size:
            ids[churn.places] = np.arange(next_id, next_id + k, dtype=np.uint64)
            next_id += k
        churn.choose()
        picks = pl.Series(ids[churn.places])

    def replace() -> None:
        nonlocal frame
        left = frame.filter(~pl.col("id").is_in(pl.lit(picks).implode()))
        frame = pl.concat([left, frame_of(churn.born, next_id)])

    def check() -> None:
        equal(inputs.by_x(columns_of(frame)), inputs.by_x(churn.columns))

    return Entry(replace, check, choose)


def set_tenth(n: int) -> Entry:
    """update on the id."""
    import polars as pl

    columns, places = inputs.columns(n), inputs.tenth(n)
    frame = frame_of(columns)
    given = pl.DataFrame({"id": places.astype(np.uint64), "x": inputs.given(n)})
    expected = columns.copy()
    expected[0, places] = inputs.given(n)

    def write() -> None:
        nonlocal frame
        frame = frame.update(given, on="id")

    return Entry(write, lambda: equal(columns_of(frame), expected))


def get_tenth(n: int) -> Entry:
    """A lazy left join of the ids asked for; it answers with their ids beside the values."""
    import polars as pl

    columns, places = inputs.columns(n), inputs.tenth(n)
    frame = frame_of(columns)
    asked = pl.DataFrame({"id": places.astype(np.uint64)})
    found = asked.with_columns(x=f4(-1))

    def read() -> None:
        nonlocal found
        rows = frame.lazy().select("id", "x")
        found = asked.lazy().join(rows, on="id", how="left").collect()

    def check() -> None:
        expected = columns[0, np.sort(places)]
        equal(found.sort("id")["x"].to_numpy(), expected)

    return Entry(read, check)


def sweep_decay(n: int) -> Entry:
    """with_columns of one expression, for a new moment each time."""
    import polars as pl

    given, now = inputs.traces(n), inputs.NOW
    frame = pl.DataFrame(given._asdict()).with_columns(strength=f4(0))

    def sweep() -> None:
        nonlocal frame, now
        now += 1_000_000
        elapsed = (pl.col("accessed") - now).cast(pl.Float32) * f4(1e-6 * LN_2)
        left = (elapsed / pl.col("stability")).exp()
        frame = frame.with_columns(strength=pl.col("importance") * left)

    def check() -> None:
        strength = frame["strength"].to_numpy()
        np.testing.assert_allclose(strength, inputs.strengths(given, now), rtol=1e-6)  # f4

    return Entry(sweep, check)


def decay_w6(n: int) -> Entry:
    """with_columns of one expression, then a sum of comparisons."""
    import polars as pl

    given, weak = inputs.recollections(n), 0
    frame = pl.DataFrame(given._asdict()).with_columns(strength=f4(0))
    lasts = f4(inputs.TAU_S) * (f4(1) + pl.col("recalls").cast(pl.Float32).log1p())
    strength = pl.col("importance") * ((pl.col("last") - f4(inputs.W6_NOW_S)) / lasts).exp()

    def sweep() -> None:
        nonlocal frame, weak
        frame = frame.with_columns(strength=strength)
        weak = int((frame["strength"] < float(inputs.THRESHOLD)).sum())

    return Entry(sweep, lambda: inputs.check_w6(given, frame["strength"].to_numpy(), weak))


def prune_owners(n: int) -> Entry:
    """group_by owner, top_k of the importances of each."""
    import polars as pl

    crowd = inputs.Crowd(n)
    frame = pl.DataFrame({"owner": crowd.owner[:0], "importance": crowd.importance[:0]})
    best = pl.col("importance").top_k(inputs.KEPT)

    def come() -> None:
        nonlocal frame
        if frame.height:
            crowd.renew()
        owner, importance = crowd.owner[crowd.places], crowd.importance[crowd.places]
        newcomers = pl.DataFrame({"owner": owner, "importance": importance})
        frame = pl.concat([frame, newcomers], rechunk=True)

    def prune() -> None:
        nonlocal frame
        frame = frame.group_by("owner").agg(best).explode("importance")

    def check() -> None:
        crowd.check(frame["owner"].to_numpy(), frame["importance"].to_numpy())

    return Entry(prune, check, come)


def edges_update(n: int) -> Entry:
    """A left join with the events, and one expression for both changes."""
    import polars as pl

    given = inputs.edges(n)
    edges = pl.DataFrame({"source": given.source, "target": given.target, "weight": given.weight})
    source, target = given.source[given.met], given.target[given.met]
    events = pl.DataFrame({"source": source, "target": target}).with_columns(gain=f4(inputs.GAIN))
    frame = edges
    weight = pl.col("weight") * f4(inputs.FADE) + pl.col("gain").fill_null(0.0)

    def renew() -> None:
        nonlocal frame
        frame = edges

    def update() -> None:
        nonlocal frame
        met = frame.join(events, on=["source", "target"], how="left")
        frame = met.with_columns(weight=weight).drop("gain")

    def check() -> None:
        expected = edges.with_columns(weight=inputs.strengthened(given))
        mine, theirs = (f.sort("source", "target") for f in (frame, expected))
        assert mine.equals(theirs)

    return Entry(update, check, renew)


PEER = Peer(
    "polars",
    "polars",
    workloads={
        workload.__name__: workload
        for workload in (
            spawn_4c, iter_2c, iter_frag26, add_remove_all, add_remove_tenth, despawn_spawn_tenth,
            set_tenth, get_tenth, sweep_decay, decay_w6, prune_owners, edges_update,
        )
    }
    | polars_runs.WORKLOADS
    | polars_sql.WORKLOADS,
    largest=10_000_000,
)  # fmt: skip
