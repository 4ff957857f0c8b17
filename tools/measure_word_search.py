"""Time word search over short memories: full-text libraries, and the columns of Populace.

python -P tools/measure_word_search.py [--memories 1000000] [PEER ...]

PEER is any of tantivy, fts5, bm25s, populace; all by default. One that is not installed is passed
over. Memories are sentences like those of real memory streams, about 65 % of them repeats, of
10,000 owners, one of whom has 1,000. Each peer builds, adds and removes 1 %, changes the importance
of 1 %, and answers one query over all, within one owner, and above an importance. Times of queries
are the median of repeats on one thread. Prints one table.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

QUERY = "Is Maria still researching gentrification at the library?"
OWNER = 7
FIRST = (
    "Maria Klaus Isabella Amara Boris Chloe Diego Elif Femi Greta Hana Ivan Jana Kofi Lars".split()
)
LAST = "Lopez Mueller Rodriguez Abebe Bakker Castillo Diallo Evans Fujita Garcia Haddad Kim".split()
DOING = (
    """researching reading|writing|painting|planning|discussing|cooking|repairing|selling|
    cleaning|teaching""".replace(" ", "|")
    .replace("\n", "")
    .split("|")
)
DOING = [doing for doing in DOING if doing]
THING = "gentrification|coffee|a paper|a song|the garden|old maps|bread|chess|a party|rent".split(
    "|"
)
PLACE = "the library|Hobbs Cafe|Oak Hill College|the market|the park|home|the pub|school".split("|")
USES = ("is idle", "is being used", "is being cleaned")
THINGS = "bed desk closet shelf computer refrigerator sofa blackboard sink piano".split()


def sentence(draw: random.Random, number: int) -> str:
    """One memory: of a thing or of somebody, told apart by a number where it is to be new."""
    if draw.random() < 0.2:
        return f"{draw.choice(THINGS)} {number % 1000} {draw.choice(USES)}"
    return (
        f"{draw.choice(FIRST)} {draw.choice(LAST)} is {draw.choice(DOING)} {draw.choice(THING)} at "
        f"{draw.choice(PLACE)} with {draw.choice(FIRST)} {draw.choice(LAST)} since {number % 5000}"
    )


def memories(n: int) -> tuple[list[str], list[int], list[float]]:
    """Texts, owners and importances of n memories, those of an owner together."""
    draw = random.Random(3)
    distinct = [sentence(draw, draw.randrange(10**6)) for _ in range(max(n * 36 // 100, 1))]
    texts = distinct + [distinct[int(len(distinct) * draw.random() ** 3)] for _ in range(n)]
    texts = texts[:n]
    draw.shuffle(texts)
    owners = sorted([OWNER] * min(1000, n) + [draw.randrange(10_000) for _ in range(n)][1000:])
    return texts, owners, [draw.random() for _ in range(n)]


class Peer:
    """One way to search. Its methods are timed; what it answers is the places of memories."""

    version = ""

    def build(self, texts: list[str], owners: list[int], importances: list[float]) -> None:
        """Take in everything."""
        raise NotImplementedError

    def add(self, first: int, texts: list[str], owners: list[int], seen: list[float]) -> None:
        """Take in more, searchable at once."""
        raise NotImplementedError

    def remove(self, ids: list[int]) -> None:
        """Forget these."""
        raise NotImplementedError

    def change(self, ids: list[int], importance: float) -> None:
        """Give these another importance."""
        raise NotImplementedError

    def query(self, owner: int | None = None, importance: float | None = None) -> list[int]:
        """The ten best for QUERY."""
        raise NotImplementedError

    def size(self) -> int:
        """Bytes of the index."""
        raise NotImplementedError


# ruff: noqa: D102 -- what the methods of a peer do is said above


class Tantivy(Peer):
    """Segments on disk, merged in the background; a filter is a clause of the query."""

    def __init__(self, folder: str) -> None:
        import tantivy

        self.module, self.folder = tantivy, folder
        self.version = tantivy.__version__.split(",")[0].split(" v")[-1]
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", stored=False, tokenizer_name="en_stem")
        # Not unsigned: of those, `delete_documents_by_term` removes none and says nothing.
        for name in ("id", "owner"):
            schema.add_integer_field(name, stored=name == "id", indexed=True, fast=True)
        schema.add_float_field("importance", stored=False, indexed=True, fast=True)
        self.index = tantivy.Index(schema.build(), path=folder)
        self.writer = self.index.writer(256_000_000, num_threads=1)
        self.rows: dict[int, tuple[str, int]] = {}

    def _write(self, first: int, texts: list[str], owners: list[int], seen: list[float]) -> None:
        for place, (text, owner, importance) in enumerate(zip(texts, owners, seen, strict=True)):
            document = self.module.Document()
            document.add_text("text", text)
            document.add_integer("id", first + place)
            document.add_integer("owner", owner)
            document.add_float("importance", importance)
            self.writer.add_document(document)
        self.writer.commit()
        self.index.reload()

    def build(self, texts: list[str], owners: list[int], importances: list[float]) -> None:
        self.rows = dict(enumerate(zip(texts, owners, strict=True)))
        self._write(0, texts, owners, importances)

    add = _write

    def remove(self, ids: list[int]) -> None:
        for each in ids:
            self.writer.delete_documents_by_term("id", each)
        self.writer.commit()
        self.index.reload()

    def change(self, ids: list[int], importance: float) -> None:
        # A stored number cannot be changed: the memory goes and comes again.
        for each in ids:
            self.writer.delete_documents_by_term("id", each)
            text, owner = self.rows[each]
            document = self.module.Document()
            document.add_text("text", text)
            document.add_integer("id", each)
            document.add_integer("owner", owner)
            document.add_float("importance", importance)
            self.writer.add_document(document)
        self.writer.commit()
        self.index.reload()

    def query(self, owner: int | None = None, importance: float | None = None) -> list[int]:
        query, schema = self.module.Query, self.index.schema
        must = self.module.Occur.Must
        clauses = [(must, self.index.parse_query(QUERY.replace("?", ""), ["text"]))]
        if owner is not None:
            term = query.term_query(schema, "owner", owner)
            clauses.append((must, query.const_score_query(term, 0.0)))
        if importance is not None:
            kind = self.module.FieldType.Float
            span = query.range_query(schema, "importance", kind, importance, 2.0)
            clauses.append((must, query.const_score_query(span, 0.0)))
        searcher = self.index.searcher()
        hits = searcher.search(query.boolean_query(clauses), 10, count=False).hits
        return [searcher.doc(address)["id"][0] for _, address in hits]

    def size(self) -> int:
        return sum(file.stat().st_size for file in Path(self.folder).iterdir())


class Fts5(Peer):
    """An SQL table beside the index of words; a filter is a join."""

    version = sqlite3.sqlite_version

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "words.db")
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.executescript(
            """pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -400000;
            create table memory (id integer primary key, text, owner int, importance real);
            create index of_owner on memory (owner);
            create virtual table words using fts5 (
                text, content = 'memory', content_rowid = 'id', tokenize = 'porter unicode61');"""
        )

    def add(self, first: int, texts: list[str], owners: list[int], seen: list[float]) -> None:
        self.db.execute("begin")
        rows = zip(range(first, first + len(texts)), texts, owners, seen, strict=True)
        self.db.executemany("insert into memory values (?, ?, ?, ?)", rows)
        self.db.executemany(
            "insert into words (rowid, text) values (?, ?)",
            zip(range(first, first + len(texts)), texts, strict=True),
        )
        self.db.execute("commit")

    def build(self, texts: list[str], owners: list[int], importances: list[float]) -> None:
        self.add(0, texts, owners, importances)
        self.db.execute("insert into words (words) values ('optimize')")

    def remove(self, ids: list[int]) -> None:
        self.db.execute("begin")
        keys = [(each,) for each in ids]
        self.db.executemany(
            """insert into words (words, rowid, text)
            select 'delete', id, text from memory where id = ?""",
            keys,
        )
        self.db.executemany("delete from memory where id = ?", keys)
        self.db.execute("commit")

    def change(self, ids: list[int], importance: float) -> None:
        self.db.execute("begin")
        rows = [(importance, each) for each in ids]
        self.db.executemany("update memory set importance = ? where id = ?", rows)
        self.db.execute("commit")

    def query(self, owner: int | None = None, importance: float | None = None) -> list[int]:
        match = " OR ".join(f'"{word}"' for word in QUERY.strip("?").split())
        clauses, values = ["words match ?"], [match]
        if owner is not None:
            clauses.append("memory.owner = ?")
            values.append(owner)
        if importance is not None:
            clauses.append("memory.importance >= ?")
            values.append(importance)
        source = "words" if len(clauses) == 1 else "words join memory on memory.id = words.rowid"
        return [
            row
            for (row,) in self.db.execute(
                f"""select words.rowid from {source} where {" and ".join(clauses)}
                order by words.rank, words.rowid limit 10""",
                values,
            )
        ]

    def size(self) -> int:
        # Without the texts themselves.
        (n,) = self.db.execute("select sum(pgsize) from dbstat where name like 'words%'").fetchone()
        return int(n)


class Bm25s(Peer):
    """Scores of every word and memory, worked out once: nothing can be added or removed."""

    def __init__(self, folder: str) -> None:
        import bm25s
        import numpy
        import snowballstemmer

        self.module, self.numpy, self.version = bm25s, numpy, bm25s.__version__
        self.stem = snowballstemmer.stemmer("english").stemWord

    def _tokens(self, texts: list[str]) -> Any:
        return self.module.tokenize(
            texts, stopwords="en", stemmer=lambda words: [self.stem(word) for word in words],
            show_progress=False,
        )  # fmt: skip

    def _index(self) -> None:
        self.model = self.module.BM25(method="lucene")
        self.model.index(self._tokens(self.texts), show_progress=False)

    def build(self, texts: list[str], owners: list[int], importances: list[float]) -> None:
        self.texts = texts
        self.owner = self.numpy.array(owners)
        self.importance = self.numpy.array(importances)
        self._index()

    def add(self, first: int, texts: list[str], owners: list[int], seen: list[float]) -> None:
        self.texts = self.texts + texts
        self.owner = self.numpy.append(self.owner, owners)
        self.importance = self.numpy.append(self.importance, seen)
        self._index()

    def remove(self, ids: list[int]) -> None:
        self.owner[ids] = -1  # a mask at each query: its statistics still count them

    def change(self, ids: list[int], importance: float) -> None:
        self.importance[ids] = importance

    def query(self, owner: int | None = None, importance: float | None = None) -> list[int]:
        keep = self.owner == owner if owner is not None else self.owner >= 0
        if importance is not None:
            keep &= self.importance >= importance
        tokens = self.module.tokenize(
            [QUERY], stopwords="en", show_progress=False, return_ids=False,
            stemmer=lambda words: [self.stem(word) for word in words],
        )  # fmt: skip
        places, _ = self.model.retrieve(
            tokens, k=10, show_progress=False, weight_mask=keep.astype("f4")
        )
        return [int(place) for place in places[0]]

    def size(self) -> int:
        return sum(array.nbytes for array in self.model.scores.values() if hasattr(array, "nbytes"))


class Populace(Peer):
    """Columns beside a lexicon of the texts: a filter is a mask of rows."""

    def __init__(self, folder: str) -> None:
        from importlib.metadata import version

        import numpy

        from populace.ecs import TextPool

        self.version = version("populace")
        self.numpy, self.pool = numpy, TextPool()
        self.text = numpy.empty(0, numpy.uint32)
        self.id = self.owner = numpy.empty(0, numpy.int64)
        self.importance = numpy.empty(0, numpy.float32)

    def build(self, texts: list[str], owners: list[int], importances: list[float]) -> None:
        self.add(0, texts, owners, importances)
        self.query()
        self.query(OWNER)

    def add(self, first: int, texts: list[str], owners: list[int], seen: list[float]) -> None:
        from populace.systems.postings import postings

        codes = self.pool.intern(texts)
        self.postings = postings(self.pool, codes)
        self.postings.take_in()
        rows = self.numpy.searchsorted(self.owner, owners, side="right")
        insert = self.numpy.insert
        self.text, self.owner = insert(self.text, rows, codes), insert(self.owner, rows, owners)
        self.id = insert(self.id, rows, range(first, first + len(texts)))
        self.importance = insert(self.importance, rows, seen)

    def _rows(self, ids: list[int]) -> Any:
        wanted = self.numpy.zeros(int(self.id.max()) + 1, bool)
        wanted[ids] = True
        return wanted[self.id]

    def remove(self, ids: list[int]) -> None:
        keep = ~self._rows(ids)
        self.text, self.owner, self.id = self.text[keep], self.owner[keep], self.id[keep]
        self.importance = self.importance[keep]

    def change(self, ids: list[int], importance: float) -> None:
        self.importance[self._rows(ids)] = importance

    def query(self, owner: int | None = None, importance: float | None = None) -> list[int]:
        from populace.systems.bm25 import bm25

        rows = slice(None)
        if owner is not None:
            first, end = self.numpy.searchsorted(self.owner, [owner, owner + 1])
            rows = slice(first, end)
        text, ids = self.text[rows], self.id[rows]
        if importance is not None:
            keep = self.importance[rows] >= importance
            text, ids = text[keep], ids[keep]
        if owner is not None:
            scores = bm25(self.pool, QUERY, text)
        else:
            count_c = self.numpy.bincount(text, minlength=len(self.pool))
            codes, found = self.postings.score(QUERY, count_c)
            low = self.numpy.partition(found, -10)[-10] if found.size > 10 else 0
            best = self.numpy.zeros(len(self.pool))
            best[codes[found >= low]] = found[found >= low]
            scores = best[text]
        places = self.numpy.flatnonzero(scores)
        order = self.numpy.lexsort((ids[places], -scores[places]))[:10]
        return [int(each) for each in ids[places[order]]]

    def size(self) -> int:
        return sum(
            array.nbytes
            for holder in (self.postings, self.postings.lexicon)
            for array in vars(holder).values()
            if hasattr(array, "nbytes")
        )


PEERS: dict[str, tuple[str, Callable[[str], Peer]]] = {
    "tantivy": ("tantivy", Tantivy),
    "fts5": ("sqlite3", Fts5),
    "bm25s": ("bm25s", Bm25s),
    "populace": ("populace", Populace),
}


def seconds(call: Callable[[], Any]) -> float:
    """How long it takes once."""
    start = perf_counter()
    call()
    return perf_counter() - start


def measure(name: str, n: int) -> None:
    """One row of the table."""
    texts, owners, importances = memories(n)
    tenth = max(n // 100, 1)
    more = [f"{text} again" for text in texts[:tenth]]
    with tempfile.TemporaryDirectory() as folder:
        peer = PEERS[name][1](folder)
        took = [seconds(lambda: peer.build(texts, owners, importances))]
        size = peer.size()
        ids = random.Random(5).sample(range(n), tenth)
        asked: tuple[tuple[int | None, float | None], ...]
        asked = ((None, None), (OWNER, None), (None, 0.9), (OWNER, 0.9))
        queries = [
            statistics.median(seconds(lambda w=who, a=above: peer.query(w, a)) for _ in range(21))
            for who, above in asked
        ]
        took.append(seconds(lambda: peer.add(n, more, owners[:tenth], importances[:tenth])))
        took.append(seconds(lambda: peer.change(ids[::-1], 0.5)))
        took.append(seconds(lambda: peer.remove(ids)))
        ghosts = len(set(peer.query()) & set(ids))
        found = len(peer.query(OWNER, 0.9))
    cells = [f"{took[0]:.1f}", f"{size / 1e6:.0f}"]
    cells += [f"{1e3 * each:.1f}" for each in took[1:]] + [f"{1e3 * each:.3f}" for each in queries]
    print(f"| {name} {peer.version} | {' | '.join(cells)} | {ghosts}, {found} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=1_000_000)
    parser.add_argument("peers", nargs="*", metavar="PEER")
    options = parser.parse_args()
    print(
        "| peer | build s | MB | add 1 % ms | change 1 % ms | remove 1 % ms | all ms | owner ms "
        "| importance ms | both ms | ghosts, found |\n|" + "---|" * 11
    )
    for each in options.peers or PEERS:
        if importlib.util.find_spec(PEERS[each][0]) is None:
            print(f"| {each} is not installed |")
        else:
            measure(each, options.memories)
