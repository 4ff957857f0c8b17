"""`World.on_step`: what is called at the end of every step."""

import pytest

from populace import Commands, Emit, Events, Id, Read, World, Write, event, f4, hours, i4, system
from populace.ecs.errors import ScheduleError
from populace.ecs.image import capture, restore

from .parts import Position, Velocity
from .twins import assert_twins


@event
class Moved:
    n: i4 = 0
    by: f4 = 0


@system
def move(position: Write[Position], emit: Emit[Moved]):
    position.x += 1
    emit(Moved(n=len(position)))


@system(phase="last")
def grow(moved: Events[Moved], commands: Commands):
    commands.spawn(int(moved.n.sum()), Velocity)


@system(phase="last")
def end(ids: Id, velocity: Read[Velocity], commands: Commands):
    commands.despawn(ids[1:])


def moving():
    world = World()
    world.spawn(3, Position(x=0))
    world.keep(Moved)
    world.add_systems(move, grow)
    return world


def test_it_is_called_after_everything_of_the_step():
    """Systems have run, commands are applied, events are in their journals and those that all have
    seen are dropped, the step counts."""
    world = moving()
    told = []

    def look(world):
        told.append(
            (
                world.clock.tick,
                world.clock.now,
                world.telemetry.steps,
                world.query(Position).gather(Position.x).tolist(),
                world.query(Velocity).count(),
                world.journal(Moved).n,
                len(world.event_queues.held[Moved]),
                world.store.locked,
                len(world.commands),
            )
        )

    world.on_step(look)
    world.step(hours(1))
    world.step(hours(2))
    assert told == [
        (1, hours(1), 1, [1, 1, 1], 3, 1, 0, "", 0),
        (2, hours(3), 2, [2, 2, 2], 6, 2, 0, "", 0),
    ]


def test_an_image_can_be_taken_there():
    """What a checkpoint takes at the end of a step is the world as it goes on."""
    world = moving()
    images = []
    world.on_step(lambda w: images.append(restore(capture(w))))
    world.step(1)
    assert_twins(world, images[0])
    images[0].add_systems(move, grow)
    world.step(1)
    images[0].step(1)
    assert_twins(world, images[0])


def test_structure_may_change_there():
    """A callback may spawn, despawn, set, queue commands and emit: these are of the next step."""
    world = World()
    ids = world.spawn(2, Position(x=0))
    seen = []

    @system
    def listen(moved: Events[Moved]):
        seen.append(moved.n.tolist())

    def act(world):
        world.spawn(1, Position(x=5))
        world.set(ids, Position(y=world.clock.tick))
        world.emit(Moved(n=world.clock.tick))
        world.commands.spawn(1, Velocity)

    world.add_system(listen)
    stop = world.on_step(act)
    world.step(1)
    assert (len(world), world.query(Velocity).count()) == (3, 0)
    assert world.get(ids, Position.y).tolist() == [1, 1]
    stop()
    world.step(1)
    assert seen == [[], [1]]
    assert (len(world), world.query(Velocity).count()) == (4, 1)
    world.check()


def test_callbacks_come_in_order():
    """The order is that of registration, and what ended a callback does no harm twice."""
    world, told = World(), []
    first = world.on_step(lambda w: told.append("first"))
    second = world.on_step(lambda w: told.append("second"))
    world.on_step(lambda w: told.append("third"))
    world.step(0)
    assert told == ["first", "second", "third"]
    second()
    second()
    world.step(0)
    assert told[3:] == ["first", "third"]
    first()
    world.step(0)
    assert told[5:] == ["third"]


def test_one_function_twice():
    """Registered twice it is called twice; each registration is ended by its own cancel, which
    does no harm twice."""
    world, told = World(), []

    def tell(world):
        told.append(world.clock.tick)

    one, _ = world.on_step(tell), world.on_step(tell)
    world.step(0)
    assert told == [1, 1]
    one()
    one()
    world.step(0)
    assert told == [1, 1, 2]


def test_the_right_one_of_equals_is_ended():
    """Of two registrations of one function the one that is ended is the one meant, as the order of
    the others shows."""
    world, told = World(), []

    def tell(world):
        told.append("tell")

    world.on_step(tell)
    world.on_step(lambda w: told.append("between"))
    last = world.on_step(tell)
    last()
    world.step(0)
    assert told == ["tell", "between"]


def test_adding_and_ending_inside_a_callback():
    """What is added in a callback is called from the next step on; one may end itself."""
    world, told = World(), []
    stops = {}

    def once(world):
        told.append("once")
        stops["once"]()
        world.on_step(lambda w: told.append("added"))

    stops["once"] = world.on_step(once)
    world.step(0)
    assert told == ["once"]
    world.step(0)
    assert told == ["once", "added"]


def test_one_that_is_ended_by_another():
    """Once its cancel has been called a callback is not called, in the same step either."""
    world, told = World(), []
    stops = []
    world.on_step(lambda w: stops[0]())
    stops.append(world.on_step(lambda w: told.append("ended")))
    world.on_step(lambda w: told.append("last"))
    world.step(0)
    world.step(0)
    assert told == ["last", "last"]


def test_an_error_in_a_callback():
    """It comes out of the step, which has been made; the next step is as any other."""
    world = moving()
    fail = [True]

    def stumble(world):
        if fail:
            fail.pop()
            raise ZeroDivisionError

    world.on_step(stumble)
    with pytest.raises(ZeroDivisionError):
        world.step(1)
    assert world.clock.tick == world.telemetry.steps == 1
    assert world.journal(Moved).n == 1
    assert world.query(Velocity).count() == 3
    assert world.store.locked == ""
    world.check()
    twin = moving()
    twin.run(2, step=1)
    world.step(1)
    assert_twins(world, twin)


def test_none_is_called_for_a_step_that_failed():
    """When a system raises there is no end of a step."""
    world, told = World(), []

    @system
    def stumble(world: World):
        if world.clock.tick == 1:
            raise ZeroDivisionError

    world.add_system(stumble)
    world.on_step(lambda w: told.append(w.clock.tick))
    with pytest.raises(ZeroDivisionError):
        world.step(1)
    with pytest.raises(ScheduleError):
        world.step(-1)
    assert told == []
    world.step(1)
    assert told == [2]


def test_a_step_inside_a_callback():
    """A callback may step the world on; that step calls back too."""
    world, told = World(), []

    def on(world):
        told.append(world.clock.tick)
        if world.clock.tick < 4:
            world.step(1)

    world.on_step(on)
    world.step(1)
    assert told == [1, 2, 3, 4]
    world.run(2, step=1)
    assert told[4:] == [5, 6]


def test_run_calls_back_before_its_progress():
    """`run` tells its own callback after each step as a whole."""
    world, told = World(), []
    world.on_step(lambda w: told.append(("step", w.clock.tick)))
    world.run(3, step=2, progress=lambda w: told.append(("progress", w.clock.tick)))
    assert told == [("step", 1), ("progress", 1), ("step", 2), ("progress", 2)]


def test_a_restored_world_has_none():
    """Callbacks are code; they are registered anew."""
    world, told = World(), []
    world.on_step(lambda w: told.append(1))
    restore(capture(world)).step(1)
    assert told == []
