"""polars in the published workloads: frames of columns, which expressions make anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..peers import Entry
from . import frames, models
from .frames import Frames, State

DT = np.float32(frames.DT)


class Integrate(Frames):
    """Two frames, with acceleration and without; with_columns for each system."""

    def __init__(self, name: str, n: int) -> None:
        import polars as pl

        super().__init__(name, n)
        odd, given = frames.accelerated(n), frames.scene(n)
        self.rows = [np.flatnonzero(odd), np.flatnonzero(~odd)]

        def frame_of(rows: Any, with_acceleration: bool) -> Any:
            columns = [given.position[rows], given.velocity[rows]]
            columns += [given.acceleration[rows]] if with_acceleration else []
            names = ("x", "y", "dx", "dy", "ddx", "ddy")
            values = np.concatenate(columns, axis=1).T.astype(np.float32)
            return pl.DataFrame(dict(zip(names, values, strict=False)))

        self.start = [frame_of(self.rows[0], True), frame_of(self.rows[1], False)]
        self.held = list(self.start)
        dt = pl.lit(float(DT), pl.Float32)
        self.faster = [pl.col(f"d{axis}") + pl.col(f"dd{axis}") * dt for axis in "xy"]
        self.further = [pl.col(axis) + pl.col(f"d{axis}") * dt for axis in "xy"]

    def begin(self) -> None:
        self.held = list(self.start)

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration."""
        self.held[0] = self.held[0].with_columns(self.faster)

    def move(self, frame: int) -> None:
        """All."""
        self.held = [each.with_columns(self.further) for each in self.held]

    def found(self) -> State:
        position = np.empty((self.n, 2))
        for rows, each in zip(self.rows, self.held, strict=True):
            position[rows] = each.select("x", "y").to_numpy()
        return {"position": position}


def boltzmann_at_once(n: int) -> Entry:
    """Receivers of those who give, counted by group_by, and a left join."""
    import polars as pl

    given = models.gifts(n)
    numbers = np.arange(n, dtype=np.int32)
    start = pl.DataFrame({"number": numbers, "wealth": np.ones(n, np.int32)})
    receivers = [pl.Series("to", receiver) for receiver in given.receiver]
    frame = start
    left = pl.col("wealth") - (pl.col("wealth") > 0).cast(pl.Int32)
    wealth = left + pl.col("len").fill_null(0).cast(pl.Int32)

    def begin() -> None:
        nonlocal frame
        frame = start

    def run() -> None:
        nonlocal frame
        for receiver in receivers:
            gifts = receiver.filter(frame["wealth"] > 0).to_frame().group_by("to").len()
            joined = frame.join(
                gifts, left_on="number", right_on="to", how="left", maintain_order="left"
            )
            frame = joined.select("number", wealth=wealth)

    def check() -> None:
        models.check_wealth(frame["wealth"].to_numpy(), models.wealth_at_once(n))

    return Entry(run, check, begin)


WORKLOADS = {
    "boltzmann_at_once": boltzmann_at_once,
    **frames.entries(Integrate, "frame_w1_integrate"),
}
