"""SQL over a society: a living world, a snapshot of it, or its whole run.

    sql(world, "SELECT name, count(*) AS n FROM memories JOIN agents USING (agent) GROUP BY name")
    sql("runs/town", "SELECT time, avg(importance) FROM memories GROUP BY time ORDER BY time")

The views are those of `catalogue.py`; `clock`, with one row, the tick and the simulated time, whose
0 is 1970-01-01; and `archive`, the memories that have left (`systems/archive_reading.py`). Over a
directory of snapshots they are those of all of them, with `tick` and `time`
(`storage/history.py`); the archive is that of the newest.

A query of a living world holds it for as long as it takes: other threads' steps wait. For long ones
take a snapshot, and ask that. What is as of the last sweep (`strength`, `..._now`) is worked out
for a snapshot, by the laws whose settings it has, when a query names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from populace.components import Persona
from populace.ecs import World
from populace.ecs.entities import as_ids
from populace.ecs.errors import SqlError
from populace.ecs.image import Image, capture, restore
from populace.storage.files import Files
from populace.storage.frames import image_of
from populace.storage.history import HistorySource
from populace.storage.imagesource import ImageSource
from populace.storage.keys import Key
from populace.storage.pages import Page
from populace.storage.pages import page as page_of
from populace.storage.results import Result
from populace.storage.snapshot import Snapshots
from populace.storage.source import FIRST_ID, Catalogue, Source, Spec, WorldSource
from populace.storage.sql import Database, Params
from populace.storage.stored import StoredSnapshot
from populace.systems import SYSTEMS
from populace.systems.archive_reading import archive_schema, archived

from .catalogue import catalogue

if TYPE_CHECKING:
    import pyarrow as pa

Askable = World | Image | StoredSnapshot | Snapshots | Database | str | Path
"""A world, an image, a snapshot (`Snapshots(directory).open()`), all snapshots of a directory (its
path, or `Snapshots` of it), or a database of one of these."""

OWNERS = {
    "memories": "agent",
    "ties": "source",
    "knowledge": "agent",
    "reflections": "agent",
    "contacts": "source",
}
"""Whose a row is, by view: what `of=` goes by."""


def sql(
    source: Askable,
    query: str,
    params: Params = None,
    *,
    of: Any = None,
    views: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
) -> Result:
    """Ask something in SQL: one SELECT, in the dialect of DuckDB. It changes nothing and reads
    nothing but the views.

    params: values for ? or $1 (a list) or $name (a dict); text from others goes in here, never into
    the query. of: agents, by number or id, whose memories (those in the archive too), ties,
    knowledge, reflections and contacts alone are there, found through an index: the way to ask
    about one agent in 1 ms; `agents` and other views stay whole. views: more views, by name: Arrow
    tables, pyarrow datasets, data frames of polars, paths of Parquet files. timeout_s: the query
    ends with SqlError after so many seconds.

    Raises SqlError for a query that is not allowed, cannot be run or fails, and what reading a
    snapshot raises.

    >>> from populace import World
    >>> from populace.components import Persona, Stream
    >>> world = World()
    >>> _ = world.spawn(2, Persona(number=[0, 1], name=["Ann", "Bo"]), Stream())
    >>> sql(world, "SELECT agent, name FROM agents WHERE name = $name", {"name": "Bo"}).rows()
    [{'agent': 1, 'name': 'Bo'}]
    """
    with asking(source, views) as asked:
        return asked.ask(query, params, of=of, timeout_s=timeout_s)


def page(source: Askable, view: str, **wanted: Any) -> Page:
    """A page of a view: some of its rows in order, and the cursor that the next page follows.

    Of a directory, the newest snapshot is shown. wanted: `limit`, `after` (the cursor), `order`,
    `columns`, and the filters `agent`, `kind`, `importance_at_least`, `since`, `until`, `contains`,
    as `populace.storage.pages.page` takes them.

    Raises SqlError.

    >>> from populace import World
    >>> from populace.components import Persona, Stream
    >>> world = World()
    >>> _ = world.spawn(3, Persona(number=[0, 1, 2], name=["Ann", "Bo", "Cy"]), Stream())
    >>> first = page(world, "agents", limit=2, columns=["name"])
    >>> first.rows, page(world, "agents", limit=2, columns=["name"], after=first.next).rows
    ([{'name': 'Ann'}, {'name': 'Bo'}], [{'name': 'Cy'}])
    """
    with asking(moment_of(source)) as asked:
        return page_of(asked, view, **wanted)


def database(
    source: Askable,
    *,
    tables: Sequence[Spec] = (),
    views: Mapping[str, Any] | None = None,
    threads: int | None = None,
    memory_limit: str = "4GB",
) -> Database:
    """What `sql` asks, to keep: of an image or a directory the next query finds warm what the one
    before has read, and `close()` ends it.

    tables: more tables or logs, of components of your own. views: as of `sql`. threads,
    memory_limit: of DuckDB.
    """
    if isinstance(source, Database):
        raise SqlError("this is a database already; ask it")

    def specs(image: Image) -> dict[str, Spec]:
        return {**catalogue(image), **{table.name.lower(): table for table in tables}}

    made = _source(source, Catalogue(specs, OWNERS))
    given = {"archive": _archive_of(source, made), **(views or {})}
    return Database(made, views=given, threads=threads, memory_limit=memory_limit)


def moment_of(source: Askable) -> Askable:
    """Of a directory its newest good snapshot; anything else as it is."""
    if isinstance(source, str | Path):
        source = Snapshots(source)
    return source.open(unknown="make") if isinstance(source, Snapshots) else source


def _source(source: Any, views: Catalogue) -> Source:
    if isinstance(source, World):
        return WorldSource(views, source)
    if isinstance(source, Image):
        return ImageSource(views, source, derive)
    if isinstance(source, StoredSnapshot):
        return ImageSource(views, source.image(), derive)
    if isinstance(source, str | Path):
        source = Snapshots(source)
    if isinstance(source, Snapshots):
        return HistorySource(views, source, derive)
    raise SqlError(
        f"SQL is asked of a World, an Image, a snapshot, or a directory of snapshots, not of "
        f"{type(source).__name__}"
    )


def _archive_of(given: Any, source: Source) -> Archive:
    """Where the archive of what was given lies: a world knows it, an image does not."""
    place = source.snapshots if isinstance(source, HistorySource) else given
    if isinstance(place, Snapshots | StoredSnapshot):
        return Archive(source, place.files, place.key)
    return Archive(source)


@contextmanager
def asking(source: Askable, views: Mapping[str, Any] | None = None) -> Iterator[Database]:
    """The database of a source: a world's and a snapshot's own, else one for this time."""
    if isinstance(source, Database):
        if views:
            raise SqlError("a database has its views; give more where it is made")
        yield source
    elif isinstance(source, World | StoredSnapshot | Snapshots) and not views:
        held = vars(source)
        yield held.get("_database") or held.setdefault("_database", database(source))
    else:
        passing = database(source, views=views)
        try:
            yield passing
        finally:
            passing.close()


class Archive:
    """The view `archive` of a source, read when a query names it."""

    def __init__(self, source: Source, files: Files | None = None, key: Key | None = None) -> None:
        self._source, self._files, self._key = source, files, key

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns."""
        return _archive_schema()

    def read(self, columns: Sequence[str], of: Any) -> pa.Table:
        """Some columns; of some agents, by number or id. Raises what `archived` does."""
        source = self._source
        if isinstance(source, HistorySource):
            source = source.held.newest
        if isinstance(source, WorldSource):
            shown: World | Image = source.world
        else:
            assert isinstance(source, ImageSource)
            shown = source.image
        agents = None if of is None else _numbers(image_of(shown), of)
        return archived(shown, self._files, columns=columns, agents=agents, key=self._key)


@cache
def _archive_schema() -> pa.Schema:
    return archive_schema()


def _numbers(image: Image, of: Any) -> list[int]:
    """Numbers of agents that are named by number, or by id and known to the image."""
    asked = as_ids(of, "of")
    ids = asked[asked >= FIRST_ID]
    found = [t.columns[Persona.number][np.isin(t.ids, ids)]
             for t in image.tables if ids.size and Persona in t.components]  # fmt: skip
    return sorted(
        {*asked[asked < FIRST_ID].tolist(), *(n for part in found for n in part.tolist())}
    )


def derive(image: Image) -> Image:
    """The image of a snapshot with what sweeps make of it: strengths, moods, positions by now.

    What laws make whose settings the snapshot lacks, it has not; nor has an image that was only
    taken to be looked at. Raises what `restore` does.
    """
    if not image.generations.size:
        return image
    world = restore(image)
    made: set[type] = set()
    for each in SYSTEMS:
        needed = [one.of for one in each.parameters if one.role == "res"]
        if each.name.startswith("refresh_") and all(one in world.resources for one in needed):
            world.add_system(each)
            made.update(one.of for one in each.parameters if one.role == "write")
    world.refresh()
    swept = capture(world, whole=False)
    tables = [
        replace(held, columns={field: column for field, column in held.columns.items()
                               if not field.derived or field.component in made})
        for held in swept.tables
    ]  # fmt: skip
    return replace(swept, tables=tuple(tables))
