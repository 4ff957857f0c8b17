"""The questions of `cases_sql` to polars: lazy frames over the same Arrow columns.

What they find is held against plain DuckDB, as Populace's answers are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from .. import cases_sql as of
from . import Entry


def frame_of(here: of.Asked, view: str, *names: str) -> Any:
    """Columns as a lazy frame; plain DuckDB has them as a view."""
    import polars as pl

    frame: Any = pl.from_arrow(here.register(view, *names))
    return frame.lazy()


def entry(plan: Any, expected: Callable[[], Any]) -> Entry:
    """Collects a plan, which finds what is expected."""
    found: list[Any] = []

    def run() -> None:
        found[:] = [plan.collect()]

    def check() -> None:
        assert found, "nothing was asked"
        of.same(expected(), found[0].to_arrow())

    return Entry(run, check)


def top10_of_owner(n: int) -> Entry:
    """filter, top_k; the texts of these ten alone become strings."""
    import polars as pl

    here = of.memories(n)
    frame = frame_of(here, "memories", "agent", "sequence", "importance", "text")
    owners = cycle(range(here.agents.size))
    last: tuple[int, Any] = (0, None)

    def run() -> None:
        nonlocal last
        owner = next(owners)
        own = frame.filter(pl.col("agent") == owner).top_k(10, by="importance")
        wanted = own.sort("importance", descending=True).select("sequence", "importance", "text")
        last = owner, wanted.with_columns(pl.col("text").cast(pl.String)).collect()

    def run_of_another() -> None:
        nonlocal last
        run()
        last = 0, None

    def check() -> None:
        owner, found = last
        assert found is not None, "nothing was asked"
        of.same(here.plain(of.TOP_OF_OWNER, owner), found.to_arrow())

    return Entry(run, check, run_of_another)


def group_by_owner(n: int) -> Entry:
    """group_by, agg, sort."""
    import polars as pl

    here, importance = of.memories(n), pl.col("importance")
    grouped = frame_of(here, "memories", "agent", "importance").group_by("agent").agg(
        pl.len().alias("n"), importance.mean().alias("mean"), importance.max().alias("best")
    )  # fmt: skip
    return entry(grouped.sort("agent"), lambda: here.plain(of.BY_OWNER))


def quarter_hours(n: int) -> Entry:
    """group_by of truncated times, agg, sort."""
    import polars as pl

    here, importance, created = of.memories(n), pl.col("importance"), pl.col("created")
    frame = frame_of(here, "memories", "created", "importance")
    grouped = frame.group_by(created.dt.truncate("15m").alias("time")).agg(
        importance.min().alias("min"), importance.max().alias("max"),
        importance.mean().alias("mean"), importance.get(created.arg_max()).alias("last"),
        importance.count().alias("count"),
    )  # fmt: skip
    return entry(grouped.sort("time"), lambda: here.plain(of.BY_QUARTER_HOUR))


def ties_with_agents(n: int) -> Entry:
    """join, group_by, agg, sort."""
    import polars as pl

    here = of.society(n)
    ties, agents = (
        frame_of(here, "ties", "target", "weight"),
        frame_of(here, "agents", "agent", "openness"),
    )
    grouped = (
        ties.join(agents, left_on="target", right_on="agent")
        .group_by("openness")
        .agg(pl.len().alias("n"), pl.col("weight").mean().alias("mean"))
    )
    return entry(grouped.sort("openness"), lambda: here.plain(of.BY_OPENNESS))


def page(n: int) -> Entry:
    """filter, top_k, sort; the texts of these fifty alone become strings."""
    import polars as pl

    here = of.memories(n)
    before = pl.lit(of.MIDDLE).cast(pl.Datetime("us"))
    found = (
        frame_of(here, "memories", *of.PAGE)
        .filter(pl.col("created") < before)
        .top_k(50, by="created")
    )
    text = pl.col("text").cast(pl.String)
    return entry(
        found.sort("created", descending=True).with_columns(text),
        lambda: here.plain(of.PAGE_BEFORE),
    )


def sum_of_a_column(n: int) -> Entry:
    """select, in f8, as SQL sums."""
    import polars as pl

    here = of.memories(n)
    total = pl.col("importance").cast(pl.Float64).sum().alias("total")
    return entry(frame_of(here, "memories", "importance").select(total), lambda: here.plain(of.SUM))


WORKLOADS: dict[str, Callable[[int], Entry]] = {
    "sql_top10_of_owner": top10_of_owner,
    "sql_group_by_owner": group_by_owner,
    "sql_quarter_hours": quarter_hours,
    "sql_ties_with_agents": ties_with_agents,
    "sql_page": page,
    "sql_sum_of_a_column": sum_of_a_column,
}
