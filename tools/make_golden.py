"""Make tests/storage/golden anew: snapshots of the format as it is now, and what is in them.

    python tools/make_golden.py [DIRECTORY]

Snapshots of version 1 are in `plain` and `sealed`, those of version 2, which have free texts, below
`version2`. Only where the format has a new version, or before the first release of this one: the
point of these files is that populace goes on reading them. tests/storage/test_golden.py does.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

import populace
from populace import (
    Entity,
    Text,
    Vector,
    World,
    b1,
    component,
    event,
    f2,
    f4,
    f8,
    hours,
    i2,
    i8,
    u1,
)
from populace.storage.checkpoint import Checkpointer
from populace.storage.keys import Key

NAME = "make_golden"
PLACE = Path(__file__).parents[1] / "tests" / "storage" / "golden"
KEY = Key(bytes(range(32)))
ABOUT = {"made by": "tools/make_golden.py", "numbers": [1, -2.5, None, True]}


class Trade(IntEnum):
    """A choice."""

    NONE = 0
    BAKER = 1
    MILLER = 200


@component
class Person:
    """Every kind of narrow column."""

    number: i8
    name: Text
    age: f4 = populace.field(30, range=(0, 130), unit="years", doc="since birth")
    wealth: f8 = 0.1
    warmth: f2 = 1
    steps: i2 = 0
    rank: u1 = 0
    awake: b1 = True
    trade: Trade = Trade.BAKER
    spot: Vector[2] = 0
    seen: f4 = populace.field(derived=True)


@component
class Face:
    """Wide columns, beside a narrow one."""

    shape: Vector[20] = 0.25
    flags: Vector[70, b1] = False
    code: Vector[3, u1] = 7


@component
class Asleep:
    """A tag."""


@component(requires=Face)
class Note:
    """References of two kinds."""

    owner: Entity = populace.field(index=True, on_despawn="despawn")
    about: Entity = populace.field(0, index=True, on_despawn="null")
    text: Text = "naïve 茶"


@component(unique=("source", "target"))
class Tie:
    """A unique pair."""

    source: Entity = populace.field(index=True, on_despawn="despawn")
    target: Entity = populace.field(index=True, on_despawn="despawn")


@event
class Met:
    """Kept, and pending."""

    who: Entity
    where: Vector[2] = 0
    said: Text = "hello"


@event
class Rang:
    """An event without fields."""


@dataclass
class Ledger:
    """Every kind of value that a resource may have."""

    numbers: list[Any] = field(default_factory=lambda: [1, 2**70, -0.5, float("inf"), None, True])
    text: str = "naïve 茶"
    raw: bytes = b"\0\xff"
    table: dict[Any, Any] = field(default_factory=lambda: {"a": (1, {2, 3}), 7: frozenset("b")})
    trade: Trade = Trade.MILLER
    small: Any = field(default_factory=lambda: np.arange(6, dtype="i2").reshape(2, 3))
    large: Any = field(default_factory=lambda: np.arange(100, dtype="f4").reshape(10, 10).T)
    scalar: Any = field(default_factory=lambda: np.float32(0.1))


def made() -> World:
    """A world with something of everything."""
    world = World(seed=12, phases=("dawn", "update", "dusk"))
    world.insert(Ledger())
    world.keep(Met, Rang)
    world.track(Person)
    n = 16
    number = np.arange(n)
    people = world.spawn(
        n,
        Person(
            number=number * 10**12,
            name=[f"person {k}" for k in number],
            age=number,
            wealth=number / 7,
            spot=np.stack([number, -number], 1),
        ),
        Face,
    )
    world.add(people[::3], Asleep)
    world.spawn(12, Note(owner=people[:12], about=people[4:]))
    world.ensure(Tie(source=people[:8], target=people[8:]))
    world.despawn(people[[5, 7]])
    world.emit(Met(who=people[:2], said=["good morning", "good night"]))
    world.emit(Rang)
    world.step(hours(1))
    return world


def change(world: World) -> None:
    """What happens between two snapshots."""
    people = world.query(Person).ids()
    world.set(people[:2], Person(trade="miller", warmth=-0.0, steps=[-3, 4]))
    world.set(people[3:4], Face(shape=np.full((1, 20), 0.5)))
    world.despawn(people[-1:])
    world.spawn(1, Person(number=-1, name="newcomer"))
    world.emit(Met(who=people[:1], where=[[1, 2]]))
    world.emit(Rang)
    world.resource(Ledger).large[3, 4] = -1
    world.step(hours(1))
    world.emit(Met(who=people[1:2]))


def forget(world: World) -> None:
    """Texts are given back: some of those that nothing holds are below others that are held."""
    world.query(Note).despawn()
    people = world.query(Person).ids()
    world.set(people[:6], Person(name="somebody"))
    world.reclaim_texts()


def described(world: World) -> dict[str, Any]:
    """What is in a world, as JSON: columns in the order of ids, texts in words."""
    told: dict[str, Any] = {"clock": repr(world.clock), "seed": world.seed}
    for cls in (Person, Face, Asleep, Note, Tie):
        query = world.query(with_=cls)
        order = np.argsort(query.ids())
        told[f"{cls.__name__}, ids"] = query.ids()[order].tolist()
        for made in populace.schema(cls).persisted:
            column = query.gather(made)[order]
            values = world.text.decode(column) if made.kind == "text" else column.tolist()
            told[str(made)] = values
    for cls in (Met, Rang):
        kept = world.journal(cls)
        told[f"{cls.__name__}, kept"] = [
            len(kept),
            {n: c.tolist() for n, c in kept.columns.items()},
        ]
        told[f"{cls.__name__}, pending"] = len(world.event_queues.queue(cls))
    told["texts"] = list(world.text.strings)
    if world.text.n_free:
        told["free texts"] = world.text.free.tolist()
    ledger = world.resource(Ledger)
    for name in ("numbers", "text", "raw", "table", "trade", "scalar"):
        told[f"Ledger.{name}"] = repr(getattr(ledger, name))
    for name in ("small", "large"):
        array = getattr(ledger, name)
        told[f"Ledger.{name}"] = [array.dtype.str, array.tolist(), array.flags.f_contiguous]
    told["next ids"] = world.spawn(4, Asleep).tolist()
    return told


def write(directory: Path, version: int = 1) -> list[dict[str, Any]]:
    """Snapshots in `directory`/plain and /sealed: one in full, two deltas; what is in each."""
    told: list[dict[str, Any]] = []
    for name, key in (("plain", None), ("sealed", KEY)):
        world = made()
        if version == 2:
            forget(world)
        with Checkpointer(world, directory / name, key=key, about=ABOUT, threads=1) as saving:
            for _ in range(3):
                saving.save()
                if name == "plain":
                    told.append(described(_twin(world)))
                change(world)
    return told


def _twin(world: World) -> World:
    """Another world like it, for what would change this one."""
    from populace.ecs.image import capture, restore

    return restore(capture(world))


def main(directory: Path = PLACE) -> None:
    """Write snapshots, and beside them `expected.json`."""
    shutil.rmtree(directory, ignore_errors=True)
    for version, place in ((1, directory), (2, directory / "version2")):
        place.mkdir(parents=True)
        told = write(place, version)
        for lock in place.glob("*/.lock"):  # it names a process
            lock.unlink()
        lines = (json.dumps(each, ensure_ascii=False) for each in told)
        (place / "expected.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


if __name__ == "__main__":  # under a name of its own, which the classes have in the snapshots
    spec = importlib.util.spec_from_file_location(NAME, __file__)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*map(Path, sys.argv[1:]))
