"""SQL over a living world and an image of it, beside plain DuckDB on Arrow tables.

n memories of n / 1,000 owners, those of one owner together, and n ties among as many agents. The
bound is DuckDB, with the same settings, on an Arrow table of the same arrays that is registered
once and has just the columns of the query: what no checks, no living tables and no names cost.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
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
NO_SQL = {
    "polars": "its plan is ready when it is asked, where DuckDB, in the bound too, reads and plans "
    "the SQL each time, 1 to 5 ms; and it has the numbers of agents as a column, where a living "
    "world looks them up by each row's id"
}
SHARED: dict[str, Any] = {"bytes_each": 400, "elsewhere": True, "loses": NO_SQL}


MIDDLE = days(15)
PAGE = ("agent", "sequence", "created", "importance", "text")
TOP = "SELECT sequence, importance, text FROM memories {} ORDER BY importance DESC LIMIT 10"
TOP_OF_OWNER = TOP.format("WHERE agent = $1")
BY_OWNER = (
    "SELECT agent, count(*) AS n, avg(importance) AS mean, max(importance) AS best "
    "FROM memories GROUP BY agent ORDER BY agent"
)
BY_QUARTER_HOUR = (
    "SELECT time_bucket(INTERVAL '15 minutes', created) AS time, min(importance) AS min, "
    "max(importance) AS max, avg(importance) AS mean, arg_max(importance, created) AS last, "
    "count(importance) AS count FROM memories GROUP BY 1 ORDER BY 1"
)
BY_OPENNESS = (
    "SELECT openness, count(*) AS n, avg(weight) AS mean FROM ties "
    "JOIN agents ON agent = target GROUP BY openness ORDER BY openness"
)
PAGE_BEFORE = (
    f"SELECT {', '.join(PAGE)} FROM memories WHERE created < make_timestamp({MIDDLE}) "
    f"ORDER BY created DESC LIMIT 50"
)
SUM = "SELECT sum(importance) AS total FROM memories"


@dataclass(frozen=True)
class Asked:
    """A world, databases of it and of an image of it, and plain DuckDB on some of its columns."""

    world: World
    agents: np.ndarray
    live: Database
    still: Database
    bare: duckdb.DuckDBPyConnection
    columns: dict[str, Any]

    def register(self, view: str, *names: str) -> pa.Table:
        """Some columns as an Arrow table, which plain DuckDB knows from now on."""
        table = pa.table({name: self.columns[name] for name in names})
        self.bare.register(view, table)
        return table

    def plain(self, query: str, *given: Any) -> pa.Table:
        """What plain DuckDB answers."""
        return self.bare.sql(query, params=list(given) or None).to_arrow_table()


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


def contest(here: Asked, query: str, ours: dict[str, Callable[[], Any]]) -> Contest:
    """Ours and plain DuckDB, which give the same."""
    runs = {name: Run(call) for name, call in ours.items()}
    bare = partial(here.plain, query)
    return Contest(runs, Run(bare), lambda: same(*(call() for call in ours.values()), bare()))


def of_both(here: Asked, ask: Callable[[Database], Any]) -> dict[str, Callable[[], Any]]:
    """The same question to the world and to its image."""
    return {"world": partial(ask, here.live), "snapshot": partial(ask, here.still)}


@case(
    "world", "snapshot", "snapshot_scan", target={"world": us(2_000), "snapshot": us(10_000)},
    **SHARED,
)  # fmt: skip
def sql_top10_of_owner(n: int) -> Contest:
    """The ten most important memories of one owner, with their texts, just after those of another;
    bound: bare DuckDB scans all rows."""
    here = memories(n)
    here.register("memories", "agent", "sequence", "importance", "text")
    owners, query = cycle(range(here.agents.size)), TOP.format("")
    calls: dict[str, Callable[[int], Any]] = {
        "world": lambda owner: here.live.ask(query, of=owner),
        "snapshot": lambda owner: here.still.ask(query, of=owner),
        "snapshot_scan": lambda owner: here.still.ask(TOP_OF_OWNER, [owner]),
    }
    bare = partial(here.plain, TOP_OF_OWNER)

    def verify() -> None:
        for owner in (0, here.agents.size // 2):
            same(*(call(owner) for call in calls.values()), bare(owner))

    def of_next(call: Callable[[int], Any]) -> Run:
        def ask() -> Any:
            return call(next(owners))

        return Run(ask, before=ask)

    return Contest({name: of_next(call) for name, call in calls.items()}, of_next(bare), verify)


@case("world", "snapshot", target={"world": us(100_000), "snapshot": us(100_000)}, **SHARED)
def sql_group_by_owner(n: int) -> Contest:
    """Memories, and their mean and greatest importance, by owner: all rows, clustered by owner."""
    here = memories(n)
    here.register("memories", "agent", "importance")
    return contest(here, BY_OWNER, of_both(here, lambda source: source.ask(BY_OWNER)))


@case("world", "snapshot", target={"world": us(100_000), "snapshot": us(100_000)}, **SHARED)
def sql_quarter_hours(n: int) -> Contest:
    """The ready question `time_buckets`: least, greatest, mean, last and count of importance, by
    15 minutes of a month: all rows."""
    here = memories(n)
    here.register("memories", "created", "importance")
    return contest(here, BY_QUARTER_HOUR, of_both(here, time_buckets))


@case(
    "world", "snapshot", unit="tie", sizes=FULL[1:],
    target={"world": us(250_000), "snapshot": us(250_000)}, **SHARED,
)  # fmt: skip
def sql_ties_with_agents(n: int) -> Contest:
    """Ties joined to the agents that they lead to: number and mean weight by openness."""
    here = society(n)
    here.register("ties", "target", "weight")
    here.register("agents", "agent", "openness")
    return contest(here, BY_OPENNESS, of_both(here, lambda source: source.ask(BY_OPENNESS)))


@case("world", "snapshot", "world_of_owner", **SHARED)
def sql_page(n: int) -> Contest:
    """A page of 50 memories, newest first, from the middle of the list, of all and of one owner;
    bound: bare DuckDB finds the same rows by LIMIT and the place of the last one."""
    here = memories(n)
    here.register("memories", *PAGE)

    def turned(source: Database, agent: int | None = None) -> Any:
        return page(source, "memories", limit=50, until=MIDDLE, columns=[*PAGE], agent=agent)

    def verify() -> None:
        told = here.plain(PAGE_BEFORE).column("created").to_pylist()
        for source in (here.live, here.still):
            assert [row["created"] for row in turned(source).rows] == told

    runs = of_both(here, turned) | {"world_of_owner": partial(turned, here.live, 7)}
    subjects = {name: Run(call) for name, call in runs.items()}
    return Contest(subjects, Run(partial(here.plain, PAGE_BEFORE)), verify)


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@case("world", "snapshot", **SHARED)
def sql_sum_of_a_column(n: int) -> Contest:
    """The sum of one column of all rows, where a copy would show most; neither Arrow nor DuckDB nor
    the process may grow by a tenth of the column. Bound: bare DuckDB."""
    here = memories(n)
    here.register("memories", "importance")
    ours = of_both(here, lambda source: source.ask(SUM))
    made = contest(here, SUM, ours)

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
