"""Resources: one instance of each dataclass, and the clock among them."""

from dataclasses import dataclass, field

import pytest

from populace import Clock, World
from populace.ecs.errors import ResourceError

from .parts import Position, refused


@dataclass
class Weather:
    degrees: float = 20.0
    history: list = field(default_factory=list)


@dataclass
class Rules:
    strict: bool = True


def test_a_resource_is_the_object_itself():
    """What was inserted is what comes back; changing it needs no second call."""
    world = World()
    weather = Weather()
    world.insert(weather)
    assert world.resource(Weather) is weather
    world.resource(Weather).degrees = 3
    assert world.resource(Weather).degrees == 3
    assert Weather in world.resources
    assert Rules not in world.resources
    assert weather in list(world.resources)


def test_worlds_do_not_share_resources():
    """Each world has its own clock and its own resources."""
    first, second = World(), World()
    first.insert(Weather())
    assert Weather not in second.resources
    assert first.clock is not second.clock


def test_the_clock_is_a_resource():
    """The clock is there from the start, and is the world's clock."""
    world = World()
    assert world.resource(Clock) is world.clock
    world.step(5)
    assert world.resource(Clock).now == 5


def test_a_clock_can_be_replaced():
    """Inserting a clock sets the world's time, as loading a snapshot does."""
    world = World()
    world.insert(Clock(now=100, tick=7))
    assert world.clock is world.resource(Clock)
    world.step(5)
    assert (world.clock.now, world.clock.dt, world.clock.tick) == (105, 5, 8)


def test_one_of_each_class():
    """A second one is refused, unless it is to replace the first."""
    world = World()
    world.insert(Weather(1))
    with refused(world, ResourceError, "Weather", "replace=True"):
        world.insert(Weather(2))
    assert world.resource(Weather).degrees == 1
    world.insert(Weather(3), replace=True)
    assert world.resource(Weather).degrees == 3


def test_a_missing_resource():
    """The message names what is asked for, what there is, and how to add it."""
    world = World()
    world.insert(Rules())
    with refused(world, ResourceError, "Weather", "Clock, Rules", "world.insert(Weather(...))"):
        world.resource(Weather)
    with pytest.raises(LookupError):
        world.resource(int)


@pytest.mark.parametrize("wrong", [3, "Weather", Weather, {"degrees": 3}, None, Position(x=1)])
def test_only_dataclass_instances(wrong):
    """A class, a dictionary, a number or a component value is no resource."""
    world = World()
    with refused(world, ResourceError, "dataclass"):
        world.insert(wrong)


def test_resources_count_in_the_digest():
    """Two worlds that differ by a resource's value have different digests."""
    first, second = World(), World()
    for world in (first, second):
        world.insert(Weather())
    assert first.digest() == second.digest()
    second.resource(Weather).degrees = 21
    assert first.digest() != second.digest()
