"""esper in the published workloads: dataclasses, cached queries, a call for each entity."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

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

_numbers = itertools.count()


class Context:
    """A world of esper's own, which ends with this object."""

    def __init__(self) -> None:
        import esper

        self.esper: Any = esper
        self.name = f"bench {next(_numbers)}"
        self.enter()
        weakref.finalize(self, forget, esper, self.name).atexit = False

    def enter(self) -> Any:
        """The library, whose functions act on this world from now on. Under 1 µs."""
        if self.esper.current_world != self.name:
            self.esper.switch_world(self.name)
        return self.esper


def forget(esper: Any, name: str) -> None:
    """Let a world go."""
    if esper.current_world == name:
        esper.switch_world("default")
    esper.delete_world(name)


# -- ecs_bench_suite -----------------------------------------------------------------------------


def bodies_of(esper: Any) -> suite.Bodies:
    """All there are."""
    kinds = (suite.Transform, suite.Position, suite.Rotation, suite.Velocity)
    return suite.bodies_of([components for _, components in esper.get_components(*kinds)])


def simple_insert(n: int) -> Entry:
    """create_entity with four components that are made for it, in an empty world."""
    held, given = Context(), suite.bodies(n)
    transforms, places, turns, speeds = suite.rows(given)

    def clear() -> None:
        held.enter().clear_database()
        gc.collect()

    def insert() -> None:
        create = held.enter().create_entity
        for matrix, place, turn, speed in zip(transforms, places, turns, speeds, strict=True):
            create(
                suite.Transform(matrix),
                suite.Position(*place),
                suite.Rotation(*turn),
                suite.Velocity(*speed),
            )

    return Entry(insert, lambda: suite.check_bodies(bodies_of(held.enter()), given), clear)


def simple_iter(n: int) -> Entry:
    """A loop over get_components, cached."""
    held, given = Context(), suite.bodies(n)
    for components in suite.made(suite.rows(given)):
        held.esper.create_entity(*components)

    def move() -> None:
        for _, (position, velocity) in held.enter().get_components(suite.Position, suite.Velocity):
            position.x += velocity.x
            position.y += velocity.y
            position.z += velocity.z

    return Entry(move, lambda: suite.check_bodies(bodies_of(held.enter()), suite.moved(given)))


def frag_iter(n: int, letters: Sequence[type] = suite.LETTERS) -> Entry:
    """A loop over get_component, cached; 26 sets of entities that have another component too."""
    held = Context()
    for letter, (begin, end) in zip(letters, inputs.fragments(n), strict=True):
        for number in range(begin, end):
            held.esper.create_entity(suite.Data(float(number)), letter())

    def double() -> None:
        for _, data in held.enter().get_component(suite.Data):
            data.value *= 2.0

    def check() -> None:
        objects.check_doubled([data for _, data in held.enter().get_component(suite.Data)], n)

    return Entry(double, check)


class AddRemove(suite.AddRemove):
    """add_component and remove_component for each entity."""

    def __init__(self, n: int) -> None:
        self.held = Context()
        create = self.held.esper.create_entity
        super().__init__([create(suite.LETTERS[0](float(number))) for number in range(n)])

    def give(self) -> None:
        add, kind = self.held.enter().add_component, suite.LETTERS[1]
        for entity in self.entities:
            add(entity, kind(2.0))

    def take(self) -> None:
        remove, kind = self.held.enter().remove_component, suite.LETTERS[1]
        for entity in self.entities:
            remove(entity, kind)

    def having(self) -> list[tuple[Any, float]]:
        found = self.held.enter().get_component(suite.LETTERS[1])
        return [(entity, one.value) for entity, one in found]


def schedule(n: int) -> Entry:
    """A processor for each swap, and esper.process()."""
    held = Context()
    esper = held.esper
    kinds = dict(zip("ABCDE", suite.LETTERS, strict=False))
    entities = []
    for names, (begin, end) in zip(suite.SETS, suite.quarters(n), strict=True):
        columns = [column.tolist() for column in suite.letters(begin, end, names).values()]
        made = [kinds[name] for name in names]
        for values in zip(*columns, strict=True):
            entity = esper.create_entity(*(k(v) for k, v in zip(made, values, strict=True)))
            entities.append(entity)

    def processor(one: type, other: type) -> Any:
        class Swap(esper.Processor):  # type: ignore[misc,name-defined]
            def process(self) -> None:
                for _, (left, right) in esper.get_components(one, other):
                    left.value, right.value = right.value, left.value

        return type(f"Swap{one.__name__}{other.__name__}", (Swap,), {})()

    for pair in suite.SWAPS:
        esper.add_processor(processor(kinds[pair[0]], kinds[pair[1]]))

    def check() -> None:
        find = held.enter().component_for_entity
        found = [
            {
                name: np.array([find(entity, kinds[name]).value for entity in entities[begin:end]])
                for name in names
            }
            for names, (begin, end) in zip(suite.SETS, suite.quarters(n), strict=True)
        ]
        suite.check_swapped(found, n)

    return Entry(lambda: held.enter().process(), check)


# -- frames --------------------------------------------------------------------------------------


class Frames(Objects):
    """A loop over get_components for each system, component_for_entity for each hit."""

    def __init__(self, name: str, n: int) -> None:
        super().__init__(name, n)
        self.held = Context()

    def clear(self) -> None:
        self.held.enter().clear_database()

    def create(self, given: list[Components]) -> list[Any]:
        create = self.held.enter().create_entity
        return [create(*components) for components in given]

    def of(self, entity: Any, kind: type) -> Any:
        return self.held.enter().component_for_entity(entity, kind)

    def buffs(self) -> list[Buff]:
        return [buff for _, buff in self.held.enter().get_component(Buff)]

    def call(self) -> None:
        self.held.enter()
        super().call()

    def accelerate(self, frame: int) -> None:
        """Those that have an acceleration."""
        for _, (body, acceleration) in self.held.esper.get_components(Body, Acceleration):
            body.dx += acceleration.x * DT
            body.dy += acceleration.y * DT

    def move(self, frame: int) -> None:
        """All."""
        for _, body in self.held.esper.get_component(Body):
            body.x += body.dx * DT
            body.y += body.dy * DT

    def bounce(self, frame: int) -> None:
        """Those beyond a wall."""
        for _, body in self.held.esper.get_component(Body):
            if abs(body.x) > WALL:
                body.dx = -body.dx
            if abs(body.y) > WALL:
                body.dy = -body.dy

    def live(self, frame: int) -> None:
        """A branch for each entity."""
        for _, health in self.held.esper.get_component(Health):
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
        find, entities = self.held.esper.component_for_entity, self.entities
        for number in self.targets[frame]:
            find(entities[number], Health).hp -= DAMAGE

    def replace(self, frame: int) -> None:
        """delete_entity at once, then create_entity."""
        esper, come = self.held.esper, self.born[frame]
        for entity in self.entities[: len(come)]:
            esper.delete_entity(entity, immediate=True)
        create = esper.create_entity
        self.entities[: len(come)] = []
        self.entities += [create(Body(0.0, 0.0, 1.0, 1.0), Payload(value)) for value in come]

    def migrate(self, frame: int) -> None:
        """remove_component, add_component."""
        esper, entities = self.held.esper, self.entities
        if frame:
            for number in self.windows[frame - 1]:
                esper.remove_component(entities[number], Buff)
        for number in self.windows[frame]:
            esper.add_component(entities[number], Buff(float(number)))


WORKLOADS = {
    "simple_insert": simple_insert,
    "simple_iter": simple_iter,
    "frag_iter": frag_iter,
    "add_remove": lambda n: AddRemove(n).entry(),
    "schedule": schedule,
    **frames.entries(Frames),
}
MOST = {"simple_insert": 100_000, "simple_iter": 100_000}
