"""What entities of ecs_bench_suite have, as components of Populace; `suite` has the values."""

from __future__ import annotations

from populace import Vector, World, component, f4

from .suite import Bodies


@component
class Transform:
    """A 4 x 4 matrix, row by row."""

    matrix: Vector[16]


@component
class Position:
    """Where something is."""

    at: Vector[3]


@component
class Rotation:
    """How it is turned."""

    by: Vector[3]


@component
class Velocity:
    """How it moves in one call."""

    by: Vector[3]


@component
class Data:
    """One number."""

    value: f4 = 0.0


def number(name: str) -> type:
    """A component of one number, by that name."""
    fields = {"__annotations__": {"value": f4}, "__doc__": "One number.", "value": 0.0}
    return component(type(name, (), fields))


LETTERS = tuple(number(f"Number{letter}") for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
A, B, C, D, E = LETTERS[:5]


def components(of: Bodies) -> tuple[object, ...]:
    """As values to spawn from."""
    return (
        Transform(matrix=of.matrix),
        Position(at=of.position),
        Rotation(by=of.rotation),
        Velocity(by=of.velocity),
    )


def bodies_of(world: World) -> Bodies:
    """All there are."""
    query = world.query(Transform, Position, Rotation, Velocity)
    fields = (Transform.matrix, Position.at, Rotation.by, Velocity.by)
    return Bodies(*(query.gather(field) for field in fields))
