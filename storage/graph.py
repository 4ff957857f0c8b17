"""Ties as a graph: a NetworkX DiGraph, or GraphML that Gephi, Cytoscape, igraph and yEd read.

Nodes are the rows of one tidy table, named by a number; edges those of another, from the node that
one of its columns names to that of another. All other columns are attributes, but ids and, of
edges, what the nodes say already; what is null is left out. Times are ISO 8601 texts, as GraphML
has no type for them.

GraphML is written batch by batch, by Arrow's kernels: networkx takes 80 s and 3.5 GB for a million
edges, this 3 s and the memory of one batch (bench `export_graphml`). What XML 1.0 cannot hold, as
most control characters, becomes U+FFFD. Cost: `to_networkx` 5 µs and 0.5 KB an edge.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.sax.saxutils import quoteattr

import numpy as np

from populace.ecs import World
from populace.ecs.errors import SourceFileError
from populace.ecs.image import Image

from .arrays import Array, arrow_field
from .disk import Disk
from .frames import Frames, held_columns, image_of
from .selecting import in_batches, rows_since
from .tables import Column, Table
from .writer import refused

if TYPE_CHECKING:
    import networkx as nx
    import pyarrow as pa

BATCH = 1 << 16
NOT_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
REPLACEMENT = "\ufffd"
ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns \
http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">
"""


@dataclass(frozen=True, slots=True)
class Graph:
    """Which tidy tables make a graph. node: the column of `nodes` that names a node; source,
    target: those of `edges` that do."""

    nodes: Table
    edges: Table
    node: str
    source: str = "source"
    target: str = "target"


def to_networkx(source: World | Image, graph: Graph) -> nx.DiGraph:
    """The graph as a NetworkX DiGraph, whose nodes are whole numbers.

    Raises ModuleNotFoundError where networkx is not installed.
    """
    try:
        import networkx as nx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a graph needs networkx: pip install populace[graph]", name="networkx"
        ) from error
    made = nx.DiGraph()
    read = _Reading(image_of(source), graph)
    for (names,), attributes in read.nodes():
        made.add_nodes_from(zip(names.tolist(), _dicts(attributes), strict=True))
    made.add_nodes_from(read.strangers().tolist())
    for (origins, targets), attributes in read.edges():
        made.add_edges_from(
            zip(origins.tolist(), targets.tolist(), _dicts(attributes), strict=True)
        )
    return made


def write_graphml(
    source: World | Image, graph: Graph, target: str | Path, *, force: bool = False
) -> tuple[int, int]:
    """Write the graph as a GraphML file; return how many nodes and edges it has.

    The file appears whole, or not at all. force: replace a file that is there.

    Raises SourceFileError for a target that exists, StorageError where the disk refuses.
    """
    target = Path(target)
    if target.exists() and not (force and target.is_file()):
        raise SourceFileError(
            f"{target}: exists already; name another file, or force it (--force) to replace it"
        )
    read = _Reading(image_of(source), graph)
    temporary = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
    with refused("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                counts = _write(file, read)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        Disk().fsync_folder(target.parent)
    return counts


class _Reading:
    """A graph's nodes and edges, batch by batch, as (the numbers that name them, attributes)."""

    def __init__(self, image: Image, graph: Graph) -> None:
        self.image, self.graph = image, graph
        self.frames = Frames(image)
        self.of_nodes = _attributes(image, graph.nodes, (graph.node,))
        self.of_edges = _attributes(image, graph.edges, (graph.source, graph.target))

    def nodes(self) -> Iterator[tuple[list[Array], pa.Table]]:
        """Names (k,), and attributes."""
        return self._batches(self.graph.nodes, [self.graph.node], self.of_nodes)

    def edges(self) -> Iterator[tuple[list[Array], pa.Table]]:
        """Origins (k,) and targets (k,), and attributes."""
        ends = [self.graph.source, self.graph.target]
        return self._batches(self.graph.edges, ends, self.of_edges)

    def strangers(self) -> Array:
        """The nodes that edges name and that have no row."""
        graph = self.graph
        ends = self.frames.frame(graph.edges, [graph.source, graph.target])
        named = np.concatenate([column.drop_null().to_numpy() for column in ends.columns])
        return np.setdiff1d(named, self.frames.frame(graph.nodes, [graph.node])[0].to_numpy())

    def _batches(
        self, table: Table, ends: Sequence[str], columns: Sequence[Column]
    ) -> Iterator[tuple[list[Array], pa.Table]]:
        import pyarrow as pa

        names = [column.name for column in columns]
        for batch in in_batches(rows_since(self.image, table, None), BATCH):
            frame = self.frames.frame(table, [*ends, *names], rows=batch)
            frame = frame.filter(_all_there([frame[end] for end in ends]))
            found = [_attribute(frame[name].combine_chunks()) for name in names]
            plain = pa.Table.from_arrays(found, names=names)
            yield [frame[end].to_numpy() for end in ends], plain


def _attributes(image: Image, table: Table, ends: Sequence[str]) -> list[Column]:
    """The columns that are attributes: of edges, without what the nodes say."""
    shown = table.labels if len(ends) > 1 else ()
    return [
        column
        for column in held_columns(image, table)
        if column.kind != "entity" and column.name not in (*ends, *shown)
    ]


def _all_there(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    there = columns[0].is_valid()
    for column in columns[1:]:
        there = pc.and_(there, column.is_valid())
    return there


def _attribute(values: pa.Array) -> pa.Array:
    """Numbers and bools as they are, codes and times as texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        return values.cast(pa.large_string())
    if pa.types.is_timestamp(values.type):
        return pc.strftime(values, "%Y-%m-%dT%H:%M:%S").cast(pa.large_string())
    return values


def _dicts(attributes: pa.Table) -> list[dict[str, Any]]:
    """The attributes of each row that has them."""
    names = attributes.column_names
    columns = [column.to_pylist() for column in attributes.columns]
    if not columns:
        return [{} for _ in range(attributes.num_rows)]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    ]


# -- GraphML -------------------------------------------------------------------------------------


def _write(file: BinaryIO, read: _Reading) -> tuple[int, int]:
    keys: dict[tuple[str, str], str] = {}
    file.write(HEAD.encode())
    for kind, columns in (("node", read.of_nodes), ("edge", read.of_edges)):
        for column in columns:
            key = keys[kind, column.name] = f"d{len(keys)}"
            name = quoteattr(column.name)
            file.write(
                f'  <key id="{key}" for="{kind}" attr.name={name} '
                f'attr.type="{_type_of(column)}"/>\n'.encode()
            )
    file.write(b'  <graph edgedefault="directed">\n')
    strangers = read.strangers()
    file.write("".join(f'    <node id="{name}"/>\n' for name in strangers.tolist()).encode())
    n_nodes, n_edges = strangers.size, 0
    for (names,), attributes in read.nodes():
        parts = ['    <node id="', names, '">', *_data(attributes, "node", keys), "</node>\n"]
        _write_rows(file, parts)
        n_nodes += names.size
    for (origins, targets), attributes in read.edges():
        ends = ['    <edge source="', origins, '" target="', targets, '">']
        _write_rows(file, [*ends, *_data(attributes, "edge", keys), "</edge>\n"])
        n_edges += origins.size
    file.write(b"  </graph>\n</graphml>\n")
    return n_nodes, n_edges


def _type_of(column: Column) -> str:
    """What GraphML calls the type of a column."""
    import pyarrow as pa

    kind = arrow_field(column).type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    return "double" if pa.types.is_floating(kind) else "string"


def _data(attributes: pa.Table, kind: str, keys: dict[tuple[str, str], str]) -> Iterator[Any]:
    """A <data> element a row and column; nothing where it is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.large_string()
    for name, column in zip(attributes.column_names, attributes.columns, strict=True):
        values = column.combine_chunks()
        if pa.types.is_large_string(values.type):
            values = pc.replace_substring_regex(values, NOT_XML, REPLACEMENT)
            for plain, escaped in ESCAPES:
                values = pc.replace_substring(values, plain, escaped)
        begin = pa.scalar(f'<data key="{keys[kind, name]}">', texts)
        end, joint = pa.scalar("</data>", texts), pa.scalar("", texts)
        element = pc.binary_join_element_wise(begin, values.cast(texts), end, joint)
        yield element.fill_null("")


def _write_rows(file: BinaryIO, parts: Sequence[Any]) -> None:
    """Write, row by row, what stands side by side: texts for all rows, and columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.large_string()
    columns = [
        pa.scalar(part, texts) if isinstance(part, str) else pa.array(part).cast(texts)
        for part in parts
    ]
    rows = pc.binary_join_element_wise(*columns, pa.scalar("", texts))
    if len(rows):
        _, offsets, data = rows.buffers()
        ends = np.frombuffer(offsets, np.int64)[rows.offset :]
        file.write(memoryview(data)[ends[0] : ends[len(rows)]])
