"""Reading the saved memory streams of Generative Agents (Park et al. 2023, arXiv 2304.03442).

Accepted are both layouts in use:

    DIR/<persona>/{nodes,scratch}.json
    DIR/personas/<persona>/bootstrap_memory/{associative_memory/nodes,scratch}.json

`read_ville` reads and checks everything into columns; `load_ville` puts them into a world with one
bulk spawn for the agents and one for the memories. An error in any file means that nothing was
imported. Poignancy 1 to 10 becomes importance 0.1 to 1; the source does not save when a node
was last accessed, so that is when it was created. Its embeddings are not read.
Cost: about 10 µs per node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from populace.components import (
    NEVER,
    Biography,
    Memory,
    MemoryKind,
    Persona,
    Statement,
    Stream,
    Trace,
)
from populace.components.reflection import Reflection
from populace.ecs import World
from populace.ecs.errors import SourceFileError

from .population import advance_clock, law_of, next_number
from .source import Record, is_text, parse_json, read_text

KINDS = {kind.name.lower(): kind for kind in MemoryKind}
MOST_NODES = 2**31


@dataclass(slots=True)
class Ville:
    """Agents and memory nodes as columns: one entry per agent, or per node.

    `owner` is the place of the node's agent in the columns of agents, `created` and `expires` are
    µs since 1970, `sequence` counts an agent's nodes in the order of their ids from 0.
    """

    name: list[str] = field(default_factory=list)
    age: list[int] = field(default_factory=list)
    innate: list[str] = field(default_factory=list)
    learned: list[str] = field(default_factory=list)
    currently: list[str] = field(default_factory=list)
    lifestyle: list[str] = field(default_factory=list)
    home: list[str] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)

    owner: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    created: list[int] = field(default_factory=list)
    expires: list[int] = field(default_factory=list)
    poignancy: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    subject: list[str] = field(default_factory=list)
    predicate: list[str] = field(default_factory=list)
    object: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)

    @property
    def nodes_by_agent(self) -> dict[str, int]:
        """How many nodes were read for each agent."""
        return dict(zip(self.name, self.nodes, strict=True))

    @property
    def nodes_by_kind(self) -> dict[str, int]:
        """How many nodes were read of each kind."""
        return {name: self.kind.count(kind) for name, kind in KINDS.items()}


def read_ville(directory: str | Path) -> Ville:
    """Read every persona below a directory, in the order of their folders' names.

    Raises SourceFileError, naming file and node, for anything missing or damaged.
    """
    found = Ville()
    for nodes_file, scratch_file in _personas(Path(directory)):
        _read_scratch(scratch_file, found)
        _read_nodes(nodes_file, found)
    return found


def load_ville(world: World, directory: str | Path) -> Ville:
    """Read memory streams and spawn their agents and memories; move the clock to the last memory.

    Raises SourceFileError for anything missing or damaged; the world is then as before.
    """
    found = read_ville(directory)
    spawn_ville(world, found)
    return found


def spawn_ville(world: World, found: Ville) -> None:
    """Spawn agents and memories that have been read; move the clock to the last memory."""
    first = next_number(world)
    agents = world.spawn(
        len(found.name),
        Persona(number=first + np.arange(len(found.name)), name=found.name),
        Biography(
            age=found.age,
            innate=found.innate,
            learned=found.learned,
            currently=found.currently,
            lifestyle=found.lifestyle,
            home=found.home,
        ),
        Stream(formed=found.nodes),
    )
    if found.text:
        memories = world.spawn(
            len(found.text),
            Memory(
                owner=agents[found.owner],
                sequence=found.sequence,
                kind=found.kind,  # type: ignore[arg-type]  # a column of them
                created=found.created,
                text=found.text,
            ),
            Trace(
                importance=np.array(found.poignancy) / 10,
                stability=law_of(world).half_life,
                accessed=found.created,
            ),
            Statement(
                subject=found.subject,
                predicate=found.predicate,
                object=found.object,
                keywords=found.keywords,
                basis=found.basis,
                expires=found.expires,
            ),
        )
        depth = np.array(found.depth)
        world.add(memories[depth > 0], Reflection(depth=depth[depth > 0]))
        advance_clock(world, max(found.created))


def _personas(directory: Path) -> list[tuple[Path, Path]]:
    """(nodes.json, scratch.json) of each persona."""
    root = directory / "personas" if (directory / "personas").is_dir() else directory
    try:
        folders = sorted(
            path
            for path in root.iterdir()
            if path.is_dir() and not path.name.startswith((".", "_"))
        )
    except OSError as error:
        raise SourceFileError(f"{root}: cannot be read: {error.strerror or error}") from error
    if not folders:
        raise SourceFileError(
            f"{root}: holds no persona; give the folder with one folder per persona, each with "
            f"nodes.json and scratch.json, or a saved simulation with its 'personas' folder"
        )
    found = []
    for folder in folders:
        saved = folder / "bootstrap_memory"
        if saved.is_dir():
            found.append((saved / "associative_memory" / "nodes.json", saved / "scratch.json"))
        else:
            found.append((folder / "nodes.json", folder / "scratch.json"))
    return found


def _read_scratch(path: Path, found: Ville) -> None:
    record = Record(parse_json(read_text(path), path), path, "persona")
    name = record.text("name", empty=False)
    if name in found.name:
        raise SourceFileError(f"{path}: persona: 'name' is {name!r}, and so is another persona's")
    found.name.append(name)
    found.age.append(record.integer("age", 0, 130))
    found.innate.append(record.text("innate"))
    found.learned.append(record.text("learned"))
    found.currently.append(record.text("currently"))
    found.lifestyle.append(record.text("lifestyle"))
    found.home.append(record.text("living_area"))


def _read_nodes(path: Path, found: Ville) -> None:
    nodes = Record(parse_json(read_text(path), path), path, "file").fields
    numbered = []
    for node_id, fields in nodes.items():
        record = Record(fields, path, ascii(node_id)[1:-1][:60])
        number = record.integer("node_count", 1, MOST_NODES)
        if node_id != f"node_{number}":
            raise record.wrong("node_count", "the number in the node's own id, 'node_<number>'")
        numbered.append((number, record))
    numbered.sort(key=lambda pair: pair[0])
    agent = len(found.nodes)
    for sequence, (_, record) in enumerate(numbered):
        found.owner.append(agent)
        found.sequence.append(sequence)
        _read_node(record, nodes.keys(), found)
    found.nodes.append(len(numbered))


def _read_node(record: Record, known: object, found: Ville) -> None:
    found.kind.append(KINDS[record.choice("type", tuple(KINDS))])
    created, expires = record.time("created"), record.time_or_none("expiration")
    if expires is not None and expires < created:
        raise record.wrong("expiration", "null or a date and time not before 'created'")
    found.created.append(created)
    found.expires.append(NEVER if expires is None else expires)
    found.poignancy.append(record.integer("poignancy", 1, 10))
    found.depth.append(record.integer("depth", 0, 255))
    found.text.append(record.text("description", empty=False))
    found.subject.append(record.text("subject"))
    found.predicate.append(record.text("predicate"))
    found.object.append(record.text("object"))
    found.keywords.append(", ".join(record.texts("keywords")))
    found.basis.append(_basis(record, known))


def _basis(record: Record, known: object) -> str:
    """What a node rests on: node ids, joined by ', ', or the lines of a chat."""
    filling = record.fields.get("filling", 0)
    parts = [] if filling is None else [filling] if isinstance(filling, str) else filling
    if isinstance(parts, list):
        if all(is_text(part) and part in known for part in parts):  # type: ignore[operator]
            return ", ".join(parts)
        if all(isinstance(p, list) and len(p) == 2 and all(map(is_text, p)) for p in parts):
            return "\n".join(f"{speaker}: {words}" for speaker, words in parts)
    raise record.wrong("filling", "null, ids of nodes in this file, or a list of [speaker, words]")
