"""Tidy tables: an export beside plain pyarrow on the same columns, frames beside a bare gather."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from populace import World, days
from populace.catalogue import MEMORIES, TIE_GRAPH
from populace.components import Memory, Persona, Stream, Strength, Tie, TieState, Trace
from populace.ecs.image import capture
from populace.storage.export import export_tables
from populace.storage.frames import Frames, Texts
from populace.storage.graph import write_graphml
from populace.storage.tidyfiles import BATCH

from .harness import Contest, Run, case, ratio, us

AREA = "snapshot"

SIZES = (100_000, 1_000_000, 10_000_000)
OF_EACH = 1_000  # memories of an agent
DISTINCT = 50_000  # texts; `populace run` makes 34,000 for a million memories
NOW = 1_676_246_400_000_000
REPEATING = ["agent", "agent_name", "sequence", "kind", "text", "accesses", "evidence"]


class Folder:
    """A directory for as long as somebody holds this."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="populace-bench-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def remembering(n: int, distinct: int) -> World:
    """n memories of three months, of n / OF_EACH agents, with so many different texts."""
    world = World(seed=1)
    world.clock.now = NOW
    draw = np.random.default_rng(1)
    n_agents = max(1, n // OF_EACH)
    agents = world.spawn(
        n_agents,
        Persona(number=np.arange(n_agents), name=[f"Agent Number {k}" for k in range(n_agents)]),
        Stream(formed=OF_EACH),
    )
    told = [f"talked with somebody about subject {k} of the day" for k in range(distinct)]
    created = np.sort(NOW - draw.integers(0, days(90), n))
    world.spawn(
        n,
        Memory(
            owner=np.repeat(agents, -(-n // n_agents))[:n],
            sequence=np.arange(n) % OF_EACH,
            created=created[np.arange(n).reshape(-1, n_agents).T.reshape(-1)],
            kind=draw.integers(0, 3, n).astype(np.uint8),
            text=world.text.intern(told)[draw.integers(0, distinct, n)],
        ),
        Trace(
            importance=draw.integers(1, 11, n) / 10,
            stability=draw.random(n) * 1e6 + 1,
            accessed=created,
            accesses=draw.integers(1, 5, n),
        ),
    )
    return world


def export(n: int, distinct: int, monthly: bool = False) -> Contest:
    """An export of memories, and pyarrow's own writing of what can be read from it."""
    world, folder = remembering(n, distinct), Folder()

    def ours() -> None:
        export_tables(world, folder / "ours", [MEMORIES], monthly=monthly, force=True)

    ours()
    made = folder / "ours" / "memories"
    held = pq.read_table(made if made.exists() else made.with_suffix(".parquet"))
    held = held.select([name for name in held.column_names if name != "month"])
    half = -(-held.num_rows // 2)
    parts = [held.slice(0, half), held.slice(half)]

    def write(part: int) -> None:
        path = folder / f"bare-{part}.parquet"
        pq.write_table(
            parts[part], path, compression="zstd", compression_level=1, row_group_size=BATCH,
            use_dictionary=REPEATING,
        )  # fmt: skip
        with path.open("rb") as file:
            os.fsync(file.fileno())

    def bare() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, range(2)))

    def verify() -> None:
        bare()
        written = [pq.read_table(folder / f"bare-{part}.parquet") for part in range(2)]
        assert pa.concat_tables(written).equals(held)
        assert held.num_rows == n

    return Contest({"export": Run(ours)}, Run(bare), verify)


AS_FAST = ratio(1.25, from_size=10_000_000)  # below, one file is written on one thread


@case("export", target=AS_FAST, sizes=SIZES, elsewhere=True, bytes_each=400, rounds=3)
def export_memories(n: int) -> Contest:
    """n memories with DISTINCT texts as Parquet, names included, synced, from the world's columns;
    bound: pyarrow's writing of the same columns held in Arrow form, in two files on two threads,
    synced."""
    return export(n, min(n // 20, DISTINCT))


@case("export", sizes=SIZES, elsewhere=True, bytes_each=400, rounds=3)
def export_memories_monthly(n: int) -> Contest:
    """The same in folders by month."""
    return export(n, min(n // 20, DISTINCT), monthly=True)


@case("export", sizes=SIZES[:2], elsewhere=True, bytes_each=800, rounds=3)
def export_memories_unique(n: int) -> Contest:
    """The same where no text repeats: each has to become Arrow's first, 0.1 µs."""
    return export(n, n)


def told(n: int) -> tuple[World, Frames]:
    """A world whose texts have been made Arrow's before, as by an earlier question."""
    world = remembering(n, max(1, n // 20))
    frames = Frames(capture(world, whole=False), Texts())
    frames.texts.upto(frames.image.texts)
    return world, frames


COLUMNS = ["sequence", "created", "kind", "text", "importance", "strength"]
FIELDS = [
    Memory.sequence,
    Memory.created,
    Memory.kind,
    Memory.text,
    Trace.importance,
    Strength.value,
]


@case("frame", target=us(500), sizes=(100_000, 1_000_000), unit="call")
def frame_of_one_owner(n: int) -> Contest:
    """1,000 rows and six columns of n memories as an Arrow table, texts included; bound: the same
    rows of the same columns as numpy arrays."""
    world, frames = told(n)
    owner = world.query(Persona).ids()[0]
    held = next(t for t in frames.image.tables if Memory in t.components)
    rows = np.flatnonzero(held.columns[Memory.owner] == owner)

    def ours() -> pa.Table:
        return frames.frame(MEMORIES, COLUMNS, rows={held.number: rows})

    def bare() -> list[np.ndarray]:
        return [held.columns[made][rows] for made in FIELDS]

    def verify() -> None:
        made = ours()
        assert made.num_rows == rows.size == OF_EACH
        assert np.array_equal(made["created"].cast(pa.int64()).to_numpy(), bare()[1])

    return Contest({"frame": Run(ours)}, Run(bare), verify, rows=1)


@case("frame", target=us(1_000), sizes=SIZES, unit="call")
def frame_of_views(n: int) -> Contest:
    """All n memories, three columns of numbers and ids, as an Arrow table; bound: pyarrow's own
    arrays over the same memory."""
    _, frames = told(n)
    held = next(t for t in frames.image.tables if Memory in t.components)
    columns = [held.ids, held.columns[Trace.importance], held.columns[Trace.stability]]
    names = ["entity", "importance", "stability"]

    def bare() -> pa.Table:
        return pa.Table.from_arrays([pa.array(column) for column in columns], names)

    return Contest({"frame": Run(lambda: frames.frame(MEMORIES, names))}, Run(bare), rows=1)


@case("frame", sizes=SIZES)
def frame_of_names(n: int) -> Contest:
    """Each memory's agent by number; bound: a gather of as many random numbers from as many agents,
    with rows in hand."""
    world, frames = told(n)
    held = next(t for t in frames.image.tables if Memory in t.components)
    agents, numbers = world.query(Persona).ids(), world.query(Persona).gather(Persona.number)
    rows = np.searchsorted(agents, held.columns[Memory.owner])
    return Contest(
        {"frame": Run(lambda: frames.frame(MEMORIES, ["agent"]))}, Run(lambda: numbers.take(rows))
    )


@case("export", sizes=(10_000, 100_000, 1_000_000), unit="tie", rounds=3)
def export_graphml(n: int) -> Contest:
    """n ties of n / 50 agents as a GraphML file; bound: the same bytes written as they are."""
    world = World()
    draw = np.random.default_rng(1)
    agents = world.spawn(Persona(number=np.arange(n // 50 + 2)), Stream)
    pairs = np.unique(draw.integers(0, agents.size, (n + n // 10, 2)), axis=0)
    pairs = draw.permutation(pairs[pairs[:, 0] != pairs[:, 1]])[:n]
    world.spawn(
        Tie(source=agents[pairs[:, 0]], target=agents[pairs[:, 1]]),
        TieState(weight=draw.random(len(pairs)), last=NOW, contacts=3),
    )
    folder = Folder()

    def ours() -> None:
        write_graphml(world, TIE_GRAPH, folder / "ties.graphml", force=True)

    ours()
    data = (folder / "ties.graphml").read_bytes()

    def bare() -> None:
        (folder / "bare").write_bytes(data)

    return Contest({"export": Run(ours)}, Run(bare), rows=len(pairs))
