"""tcod-ecs in the published workloads: dataclasses, loops over queries, a call for each entity."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from .. import inputs, objects
from ..peers import Entry
from . import frames, suite
from .frames import (
    DAMAGE,
    DRAINED,
    DT,
    HEALTHY,
    RESPAWN,
    WALL,
    Acceleration,
    Body,
    Buff,
    Components,
    Health,
    Objects,
    Payload,
)


def registry_of() -> Any:
    """A new one."""
    from tcod.ecs import Registry

    return Registry()


# -- ecs_bench_suite -----------------------------------------------------------------------------


def bodies_of(registry: Any) -> suite.Bodies:
    """All there are."""
    kinds = (suite.Transform, suite.Position, suite.Rotation, suite.Velocity)
    return suite.bodies_of(list(registry.Q[kinds]))


def simple_insert(n: int) -> Entry:
    """new_entity with four components that are made for it, in a new registry."""
    given = suite.bodies(n)
    transforms, places, turns, speeds = suite.rows(given)
    registry = registry_of()

    def clear() -> None:
        nonlocal registry
        registry = None
        gc.collect()

    def insert() -> None:
        nonlocal registry
        registry = registry_of()
        create = registry.new_entity
        for matrix, place, turn, speed in zip(transforms, places, turns, speeds, strict=True):
            create(
                {
                    suite.Transform: suite.Transform(matrix),
                    suite.Position: suite.Position(*place),
                    suite.Rotation: suite.Rotation(*turn),
                    suite.Velocity: suite.Velocity(*speed),
                }
            )

    def check() -> None:
        suite.check_bodies(bodies_of(registry or registry_of()), given)

    return Entry(insert, check, clear)


def simple_iter(n: int) -> Entry:
    """A loop over Q[Position, Velocity]."""
    registry, given = registry_of(), suite.bodies(n)
    for components in suite.made(suite.rows(given)):
        registry.new_entity({type(component): component for component in components})

    def move() -> None:
        for position, velocity in registry.Q[suite.Position, suite.Velocity]:
            position.x += velocity.x
            position.y += velocity.y
            position.z += velocity.z

    return Entry(move, lambda: suite.check_bodies(bodies_of(registry), suite.moved(given)))


def frag_iter(n: int, letters: Sequence[type] = suite.LETTERS) -> Entry:
    """A loop over Q[Data]; 26 sets of entities that have another component too."""
    registry = registry_of()
    for letter, (begin, end) in zip(letters, inputs.fragments(n), strict=True):
        for number in range(begin, end):
            registry.new_entity({suite.Data: suite.Data(float(number)), letter: letter()})

    def double() -> None:
        for (data,) in registry.Q[(suite.Data,)]:
            data.value *= 2.0

    return Entry(
        double, lambda: objects.check_doubled([d for (d,) in registry.Q[(suite.Data,)]], n)
    )


class AddRemove(suite.AddRemove):
    """An item of entity.components set and deleted for each entity."""

    def __init__(self, n: int) -> None:
        self.registry, first = registry_of(), suite.LETTERS[0]
        create = self.registry.new_entity
        super().__init__([create({first: first(float(number))}) for number in range(n)])

    def give(self) -> None:
        kind = suite.LETTERS[1]
        for entity in self.entities:
            entity.components[kind] = kind(2.0)

    def take(self) -> None:
        kind = suite.LETTERS[1]
        for entity in self.entities:
            del entity.components[kind]

    def having(self) -> list[tuple[Any, float]]:
        from tcod.ecs import Entity

        return [(entity, one.value) for entity, one in self.registry.Q[Entity, suite.LETTERS[1]]]


# -- frames --------------------------------------------------------------------------------------


class Frames(Objects):
    """A loop over a query for each system, entity.components for each hit."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        self.registry = registry_of()

    def clear(self) -> None:
        self.entities = []
        self.registry = registry_of()
        gc.collect()

    def create(self, given: list[Components]) -> list[Any]:
        create = self.registry.new_entity
        return [create({type(one): one for one in components}) for components in given]

    def of(self, entity: Any, kind: type) -> Any:
        return entity.components[kind]

    def buffs(self) -> list[Buff]:
        return [buff for (buff,) in self.registry.Q[(Buff,)]]

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration."""
        for body, acceleration in self.registry.Q[Body, Acceleration]:
            body.dx += acceleration.x * DT
            body.dy += acceleration.y * DT

    def move(self, frame: int) -> None:
        """All."""
        for (body,) in self.registry.Q[(Body,)]:
            body.x += body.dx * DT
            body.y += body.dy * DT

    def bounce(self, frame: int) -> None:
        """Those beyond a wall."""
        for (body,) in self.registry.Q[(Body,)]:
            if abs(body.x) > WALL:
                body.dx = -body.dx
            if abs(body.y) > WALL:
                body.dy = -body.dy

    def live(self, frame: int) -> None:
        """A branch for each entity."""
        for (health,) in self.registry.Q[(Health,)]:
            if health.dead:
                health.timer -= DT
                if health.timer <= 0:
                    health.dead = False
                    health.hp = HEALTHY
            else:
                health.hp -= DRAINED
                if health.hp <= 0:
                    health.dead = True
                    health.timer = RESPAWN

    def hit(self, frame: int) -> None:
        """A look-up for each that is hit."""
        entities = self.entities
        for number in self.targets[frame]:
            entities[number].components[Health].hp -= DAMAGE

    def replace(self, frame: int) -> None:
        """entity.clear(), then new_entity."""
        create, come = self.registry.new_entity, self.born[frame]
        for entity in self.entities[: len(come)]:
            entity.clear()
        self.entities[: len(come)] = []
        self.entities += [
            create({Body: Body(0.0, 0.0, 1.0, 1.0), Payload: Payload(value)}) for value in come
        ]

    def migrate(self, frame: int) -> None:
        """Items of entity.components."""
        entities = self.entities
        if frame:
            for number in self.windows[frame - 1]:
                del entities[number].components[Buff]
        for number in self.windows[frame]:
            entities[number].components[Buff] = Buff(float(number))


WORKLOADS = {
    "simple_insert": simple_insert,
    "simple_iter": simple_iter,
    "frag_iter": frag_iter,
    "add_remove": lambda n: AddRemove(n).entry(),
    **frames.entries(Frames),
}
MOST = {"simple_insert": 100_000, "simple_iter": 100_000}
