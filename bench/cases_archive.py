"""The archive: memories leave for files, are read there, and come back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from populace import World, days
from populace.components import Memory, Persona, Stream, Trace
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.archive_reading import archived
from populace.systems.recollection import recall
from populace.systems.revival import revive
from populace.systems.scoring import RecallScore

from .cases_minds import DAY_S, MEMORIES
from .harness import Contest, Run, case

AREA = "snapshot"

NOW = days(20_000)
SIZES = (10_000, 100_000, 1_000_000)
MONTH = days(30)
TEXTS = 20_000


class Town:
    """Owners with MEMORIES memories each of one month, and a directory for their archive."""

    def __init__(self, n: int) -> None:
        self.world = World(seed=1)
        self.world.insert(RecallScore())
        self.world.clock.now = NOW
        n_owners = n // MEMORIES
        draw = np.random.default_rng(1)
        self.owners = self.world.spawn(
            n_owners, Persona(number=np.arange(n_owners)), Stream(formed=MEMORIES)
        )
        codes = self.world.text.intern(
            [f"a thing said at the market, no. {i}" for i in range(TEXTS)]
        )
        self.columns = {
            "sequence": np.tile(np.arange(MEMORIES, dtype=np.uint32), n_owners),
            "created": NOW - MONTH + draw.integers(0, days(10), n),
            "text": codes[draw.integers(0, TEXTS, n)],
            "importance": draw.random(n).astype(np.float32),
        }
        self.folder = tempfile.TemporaryDirectory()
        attach_archive(self.world, self.folder.name, archiving=False)
        self.form()

    def form(self) -> None:
        """All memories are there, and none in the archive."""
        held = self.world.query(Memory).ids()
        if held.size:
            self.world.despawn(held)
        columns = self.columns
        self.memories = self.world.spawn(
            Memory(
                owner=np.repeat(self.owners, MEMORIES),
                **{name: columns[name] for name in ("sequence", "created", "text")},
            ),
            Trace(importance=columns["importance"], stability=3 * DAY_S, accessed=NOW - MONTH),
        )

    def parquet(self, path: Path) -> None:
        """The same columns in one file, as pyarrow writes it unasked: no order, no digest."""
        texts = pa.DictionaryArray.from_arrays(
            self.columns["text"], pa.array(self.world.text.strings, pa.large_string())
        )
        plain = {name: column for name, column in self.columns.items() if name != "text"}
        pq.write_table(pa.table({**plain, "text": texts}), path)


@case("archive_memories", sizes=SIZES, unit="memory", bytes_each=2_000)
def archive_out(n: int) -> Contest:
    """n memories leave at once, in 16 files that are on disk when it is done; bound: pyarrow writes
    a file of the four columns that are not the same in all."""
    town = Town(n)
    path = Path(town.folder.name) / "bound.parquet"

    def verify() -> None:
        archive_memories(town.world, town.memories)
        assert town.world.query(Memory).count() == 0
        assert archived(town.world, columns=["agent"]).num_rows == n
        town.form()

    subject = Run(lambda: archive_memories(town.world, town.memories), town.form)
    return Contest({"archive_memories": subject}, Run(lambda: town.parquet(path)), verify)


@case("archived", sizes=SIZES, unit="memory", bytes_each=2_000)
def archive_read(n: int) -> Contest:
    """Agent, time and text of n memories in the archive, checked; bound: pyarrow reads these
    columns of the same files, on its threads."""
    town = Town(n)
    archive_memories(town.world, town.memories)
    names = ["agent", "created", "text"]
    files = ds.dataset(sorted(map(str, Path(town.folder.name).rglob("*.parquet"))))

    def verify() -> None:
        found = archived(town.world, columns=names)
        assert found.num_rows == files.count_rows() == n

    subject = Run(lambda: archived(town.world, columns=names))
    return Contest({"archived": subject}, Run(lambda: files.to_table(columns=names)), verify)


@case("recall", sizes=SIZES, unit="memory", bytes_each=2_000)
def archive_recall(n: int) -> Contest:
    """One agent is asked something, and its memories are all among n in the archive; bound: pyarrow
    finds its rows, without scores, by the statistics of the files."""
    town = Town(n)
    archive_memories(town.world, town.memories)
    one = town.owners[town.owners.size // 2]
    number = town.owners.size // 2
    files = ds.dataset(sorted(map(str, Path(town.folder.name).rglob("*.parquet"))))
    names = ["text", "importance", "accessed", "sequence"]

    def asked() -> object:
        return recall(town.world, one, "what was said at the market?", 10, archived=True)

    def by_arrow() -> object:
        return files.to_table(columns=names, filter=ds.field("agent") == number)

    def verify() -> None:
        assert len(recall(town.world, one, k=n, archived=True)) == MEMORIES
        assert by_arrow().num_rows == MEMORIES  # type: ignore[attr-defined]

    return Contest({"recall": Run(asked)}, Run(by_arrow), verify, rows=1)


@case("revive", sizes=SIZES, unit="memory", bytes_each=2_000)
def archive_revive(n: int) -> Contest:
    """A thousand memories of one agent among n come back; bound: they are spawned anew."""
    town = Town(n)
    archive_memories(town.world, town.memories)
    keys = np.stack([np.zeros(MEMORIES, np.int64), np.arange(MEMORIES)], 1)
    mine = slice(0, MEMORIES)
    spawned: list[np.ndarray] = []

    def away() -> None:
        while spawned:
            town.world.despawn(spawned.pop())
        archive_memories(town.world, town.world.query(Memory).ids())

    def spawn() -> None:
        spawned.append(
            town.world.spawn(
                Memory(
                    owner=town.owners[0],
                    **{name: town.columns[name][mine] for name in ("sequence", "created", "text")},
                ),
                Trace(importance=town.columns["importance"][mine], stability=9, accessed=NOW),
            )
        )

    def verify() -> None:
        assert revive(town.world, keys).size == MEMORIES
        away()

    subject = Run(lambda: revive(town.world, keys), away)
    return Contest({"revive": subject}, Run(spawn, away), verify, rows=MEMORIES)
