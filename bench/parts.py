"""The components that the benchmarks spawn."""

from __future__ import annotations

from populace import Entity, World, component, f4, field, i8


@component
class Position:
    """Where something is."""

    x: f4  # m
    y: f4  # m


@component
class Velocity:
    """How it moves."""

    x: f4  # m/s
    y: f4  # m/s


@component
class Data:
    """One number, as in the fragmented iteration of other suites."""

    value: f4 = 0.0


@component
class Health:
    """What rows are given and lose again."""

    value: f4 = 1.0


@component
class Owned:
    """Something that dies with its owner."""

    owner: Entity = field(index=True, on_despawn="despawn")
    weight: f4 = 0.0
    since: f4 = 0.0


@component
class Note:
    """Something with an owner that no index follows, to be sorted by owner."""

    owner: Entity
    importance: f4 = 0.0
    strength: f4 = 0.0
    accessed: i8 = 0  # simulated µs


@component(unique=("source", "target"))
class Tie:
    """An edge."""

    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component
class TieState:
    """What an edge carries."""

    weight: f4 = 0.0


def tag(name: str) -> type:
    """A tag of that name."""
    return component(type(name, (), {"__doc__": "A tag."}))


LETTERS = tuple(tag(f"Letter{letter}") for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def tag_sets(n: int) -> list[tuple[type, ...]]:
    """n different sets of tags, so n archetypes: as few tags as that takes."""
    bits = max(1, (n - 1).bit_length())
    tags = tuple(tag(f"Bit{bit}") for bit in range(bits))
    return [tuple(t for bit, t in enumerate(tags) if number >> bit & 1) for number in range(n)]


def fragmented(n_tables: int, rows: int) -> World:
    """`rows` entities with Data, spread evenly over n_tables archetypes."""
    world = World(seed=1)
    sets = [(letter,) for letter in LETTERS[:n_tables]] if n_tables <= 26 else tag_sets(n_tables)
    bounds = [rows * k // n_tables for k in range(n_tables + 1)]
    for tags, begin, end in zip(sets, bounds[:-1], bounds[1:], strict=True):
        world.spawn(end - begin, Data(), *tags)
    return world


def tell(world: World, batch: object) -> None:
    """Emit a batch of events as those of a step that has ended: what was read before is gone."""
    world.emit(batch)
    for queue in world.event_queues.held.values():
        queue.end_step()
