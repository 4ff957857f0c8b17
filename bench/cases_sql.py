"""SQL over a living world and an image of it, beside plain DuckDB on Arrow tables and polars.

n memories of n / 1,000 owners, those of one owner together, and n ties among as many agents. The
bound is DuckDB, with the same settings, on an Arrow table of the same arrays that is registered
once and has just the columns of the query: what no checks, no living tables and no names cost.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from populace import World, days
from populace.ask import database
from populace.components import Memory, Persona, Stream, Trace
from populace.components.tie import Tie, TieState
from populace.ecs.image import capture
from populace.questions import time_buckets
from populace.storage.pages import page
from populace.storage.sql import Database

from .harness import FULL, Contest, Run, case, us

AREA = "sql"

OWNED = 1_000  # memories of an owner, ties of an agent
TEXTS = 10_000
SHARED: dict[str, Any] = {"bytes_each": 400, "elsewhere": True}


@dataclass(frozen=True)
class Asked:
    """A world, databases of it and of an image of it, and bare DuckDB on some of its columns."""

    world: World
    agents: np.ndarray
    live: Database
    still: Database
    bare: duckdb.DuckDBPyConnection
    columns: dict[str, Any]

    def register(self, view: str, *names: str) -> pa.Table:
        """Columns as an Arrow table, registered with bare DuckDB."""
        table = pa.table({name: self.columns[name] for name in names})
        self.bare.register(view, table)
        return table


def asked(world: World, agents: np.ndarray, columns: dict[str, Any]) -> Asked:
    """Databases on two threads."""
    bare = duckdb.connect(config={"threads": 2, "temp_directory": ""})
    live, still = (database(source, threads=2) for source in (world, capture(world)))
    return Asked(world, agents, live, still, bare, columns)


def people(world: World, n: int) -> np.ndarray:
    """n agents whose numbers are 0, 1, 2, ..."""
    openness = (np.arange(n) % 10 / 10).astype(np.float32)
    persona = Persona(number=np.arange(n), name=[f"P{k}" for k in range(n)], openness=openness)
    return world.spawn(n, persona, Stream())


@lru_cache(maxsize=1)
def memories(n: int) -> Asked:
    """n memories, clustered by owner."""
    society.cache_clear()
    gc.collect()
    world = World(seed=1)
    random = np.random.default_rng(1)
    agents = people(world, max(10, n // OWNED))
    owner = np.sort(random.integers(0, agents.size, n))
    columns = {
        "agent": owner.astype(np.uint32),
        "sequence": np.arange(n, dtype=np.uint32),
        "created": random.integers(0, days(30), n),
        "importance": random.random(n, dtype=np.float32),
        "text": world.text.intern([f"this was seen at place {k}" for k in range(TEXTS)])[
            random.integers(0, TEXTS, n)
        ],
    }
    world.spawn(
        n,
        Memory(
            owner=agents[owner], sequence=columns["sequence"], created=columns["created"],
            kind=(np.arange(n) % 3).astype(np.uint8), text=columns["text"],
        ),
        Trace(importance=columns["importance"], stability=1e5, accessed=0),
    )  # fmt: skip
    columns["created"] = pa.array(columns["created"], pa.timestamp("us"))
    strings = pa.array(list(world.text.prefix()))
    columns["text"] = pa.DictionaryArray.from_arrays(pa.array(columns["text"]), strings)
    return asked(world, agents, columns)


@lru_cache(maxsize=1)
def society(n: int) -> Asked:
    """n ties among agents, by source."""
    memories.cache_clear()
    gc.collect()
    world = World(seed=1)
    random = np.random.default_rng(1)
    agents = people(world, max(400, n // OWNED))
    pairs = random.choice(agents.size**2, n, replace=False)
    pairs.sort()
    source, target = pairs // agents.size, pairs % agents.size
    weight = random.random(n, dtype=np.float32)
    world.spawn(n, Tie(source=agents[source], target=agents[target]), TieState(weight=weight))
    columns = {
        "target": target.astype(np.uint32),
        "weight": weight,
        "agent": np.arange(agents.size, dtype=np.uint32),
        "openness": world.get(agents, Persona.openness),
    }
    return asked(world, agents, columns)


def same(*results: Any) -> None:
    """All results have the same rows, up to rounding."""
    first, *others = (result.arrow() if hasattr(result, "arrow") else result for result in results)
    for other in others:
        assert first.num_rows == other.num_rows
        for name in first.column_names:
            one, two = (t[name].to_numpy(zero_copy_only=False) for t in (first, other))
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, two, rtol=1e-4)
            else:
                np.testing.assert_array_equal(one, two)


def contest(
    ours: dict[str, Callable[[], Any]],
    bare: Callable[[], Any],
    in_polars: Callable[[], pl.DataFrame],
) -> Contest:
    """Ours, polars and bare DuckDB, which give the same."""

    def verify() -> None:
        same(*(call() for call in ours.values()), bare(), in_polars().to_arrow())

    runs = {name: Run(call) for name, call in ours.items()}
    return Contest({**runs, "polars": Run(in_polars)}, Run(bare), verify)


TOP = "SELECT sequence, importance, text FROM memories {} ORDER BY importance DESC LIMIT 10"


@case(
    "world", "snapshot", "snapshot_scan", "polars",
    target={"world": us(2_000), "snapshot": us(10_000)}, **SHARED,
)  # fmt: skip
def sql_top10_of_owner(n: int) -> Contest:
    """The ten most important memories of one owner, with their texts, just after those of another;
    bound: bare DuckDB scans all rows."""
    here = memories(n)
    table = here.register("memories", "agent", "sequence", "importance", "text")
    frame = pl.from_arrow(table).lazy()
    owners = cycle(range(here.agents.size))
    scan, query = TOP.format("WHERE agent = $1"), TOP.format("")

    def in_polars(owner: int) -> pl.DataFrame:
        own = frame.filter(pl.col("agent") == owner).top_k(10, by="importance")
        wanted = own.sort("importance", descending=True).select("sequence", "importance", "text")
        return wanted.with_columns(pl.col("text").cast(pl.String)).collect()

    def bare(owner: int) -> pa.Table:
        return here.bare.sql(scan, params=[owner]).to_arrow_table()

    calls: dict[str, Callable[[int], Any]] = {
        "world": lambda owner: here.live.ask(query, of=owner),
        "snapshot": lambda owner: here.still.ask(query, of=owner),
        "snapshot_scan": lambda owner: here.still.ask(scan, [owner]),
        "polars": in_polars,
    }

    def verify() -> None:
        for owner in (0, here.agents.size // 2):
            same(*(call(owner) for call in calls.values() if call is not in_polars), bare(owner),
                 in_polars(owner).to_arrow())  # fmt: skip

    def of_next(call: Callable[[int], Any]) -> Run:
        def ask() -> Any:
            return call(next(owners))

        return Run(ask, before=ask)

    return Contest({name: of_next(call) for name, call in calls.items()}, of_next(bare), verify)


@case("world", "snapshot", "polars", target={"world": us(100_000), "snapshot": us(100_000)},
      **SHARED)  # fmt: skip
def sql_group_by_owner(n: int) -> Contest:
    """Memories, and their mean and greatest importance, by owner: all rows, clustered by owner."""
    here = memories(n)
    table = here.register("memories", "agent", "importance")
    frame = pl.from_arrow(table).lazy()
    query = (
        "SELECT agent, count(*) AS n, avg(importance) AS mean, max(importance) AS best "
        "FROM memories GROUP BY agent ORDER BY agent"
    )
    importance = pl.col("importance")
    grouped = frame.group_by("agent").agg(
        pl.len().alias("n"), importance.mean().alias("mean"), importance.max().alias("best")
    )
    return contest(
        {"world": lambda: here.live.ask(query), "snapshot": lambda: here.still.ask(query)},
        lambda: here.bare.sql(query).to_arrow_table(),
        lambda: grouped.sort("agent").collect(),
    )


@case("world", "snapshot", "polars", target={"world": us(100_000), "snapshot": us(100_000)},
      **SHARED)  # fmt: skip
def sql_quarter_hours(n: int) -> Contest:
    """The ready question `time_buckets`: least, greatest, mean, last and count of importance, by
    15 minutes of a month: all rows."""
    here = memories(n)
    table = here.register("memories", "created", "importance")
    frame = pl.from_arrow(table).lazy()
    query = (
        "SELECT time_bucket(INTERVAL '15 minutes', created) AS time, min(importance) AS min, "
        "max(importance) AS max, avg(importance) AS mean, arg_max(importance, created) AS last, "
        "count(importance) AS count FROM memories GROUP BY 1 ORDER BY 1"
    )
    importance = pl.col("importance")
    last = importance.get(pl.col("created").arg_max())
    grouped = frame.group_by(pl.col("created").dt.truncate("15m").alias("time")).agg(
        importance.min().alias("min"), importance.max().alias("max"),
        importance.mean().alias("mean"), last.alias("last"), importance.count().alias("count"),
    )  # fmt: skip
    return contest(
        {"world": lambda: time_buckets(here.live), "snapshot": lambda: time_buckets(here.still)},
        lambda: here.bare.sql(query).to_arrow_table(),
        lambda: grouped.sort("time").collect(),
    )


@case(
    "world", "snapshot", "polars", unit="tie", sizes=FULL[1:],
    target={"world": us(250_000), "snapshot": us(250_000)}, **SHARED,
)  # fmt: skip
def sql_ties_with_agents(n: int) -> Contest:
    """Ties joined to the agents that they lead to: number and mean weight by openness."""
    here = society(n)
    ties, agents = (
        here.register("ties", "target", "weight"),
        here.register("agents", "agent", "openness"),
    )
    query = (
        "SELECT openness, count(*) AS n, avg(weight) AS mean FROM ties "
        "JOIN agents ON agent = target GROUP BY openness ORDER BY openness"
    )
    left, right = (pl.from_arrow(table).lazy() for table in (ties, agents))
    grouped = (
        left.join(right, left_on="target", right_on="agent")
        .group_by("openness")
        .agg(pl.len().alias("n"), pl.col("weight").mean().alias("mean"))
    )
    return contest(
        {"world": lambda: here.live.ask(query), "snapshot": lambda: here.still.ask(query)},
        lambda: here.bare.sql(query).to_arrow_table(),
        lambda: grouped.sort("openness").collect(),
    )


@case("world", "snapshot", "world_of_owner", "polars", **SHARED)
def sql_page(n: int) -> Contest:
    """A page of 50 memories, newest first, from the middle of the list, of all and of one owner;
    bound: bare DuckDB finds the same rows by LIMIT and the place of the last one."""
    here = memories(n)
    names = ["agent", "sequence", "created", "importance", "text"]
    table = here.register("memories", *names)
    frame = pl.from_arrow(table).lazy()
    middle = days(15)
    query = (
        f"SELECT {', '.join(names)} FROM memories WHERE created < make_timestamp({middle}) "
        f"ORDER BY created DESC LIMIT 50"
    )
    before = pl.lit(middle).cast(pl.Datetime("us"))

    def in_polars() -> pl.DataFrame:
        found = frame.filter(pl.col("created") < before).top_k(50, by="created")
        return found.sort("created", descending=True).collect()

    def turned(source: Database, agent: int | None = None) -> Any:
        return page(source, "memories", limit=50, until=middle, columns=names, agent=agent)

    def verify() -> None:
        told = here.bare.sql(query).to_arrow_table().column("created").to_pylist()
        for found in (turned(here.live).rows, turned(here.still).rows, in_polars().to_dicts()):
            assert [row["created"] for row in found] == told

    runs = {
        "world": Run(lambda: turned(here.live)),
        "snapshot": Run(lambda: turned(here.still)),
        "world_of_owner": Run(lambda: turned(here.live, 7)),
        "polars": Run(in_polars),
    }
    return Contest(runs, Run(lambda: here.bare.sql(query).to_arrow_table()), verify)


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@case("world", "snapshot", "polars", **SHARED)
def sql_sum_of_a_column(n: int) -> Contest:
    """The sum of one column of all rows, where a copy would show most; neither Arrow nor DuckDB nor
    the process may grow by a tenth of the column. Bound: bare DuckDB."""
    here = memories(n)
    table = here.register("memories", "importance")
    frame = pl.from_arrow(table).lazy()
    query = "SELECT sum(importance) AS total FROM memories"
    ours = {"world": lambda: here.live.ask(query), "snapshot": lambda: here.still.ask(query)}
    made = contest(
        ours,
        lambda: here.bare.sql(query).to_arrow_table(),
        lambda: frame.select(pl.col("importance").cast(pl.Float64).sum().alias("total")).collect(),
    )

    def verify() -> None:
        assert made.verify is not None
        made.verify()
        allowed = max(4 * n // 10, 1 << 20)
        for call in ours.values():
            before = resident_bytes(), pa.total_allocated_bytes()
            call()
            after = resident_bytes(), pa.total_allocated_bytes()
            assert after[0] - before[0] < allowed
            assert after[1] - before[1] < allowed

    return Contest(made.subjects, made.bound, verify)
