"""The consistent copy: a look shows the world as it is, and says exactly which rows changed."""

import gc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from populace import Vector, World, component, f4, hours, kernel
from populace.ecs import Field, Write
from populace.ecs.entities import LAST_GENERATION
from populace.ecs.errors import StructuralChangeError
from populace.ecs.image import capture, restore
from populace.storage import base as base_module
from populace.storage.base import Base, column_groups

from ..ecs.twins import differing, state
from . import model
from .model import Body, Face, Friend, Hungry, Note, Print, one_in, programs, run, town


def columns(world):
    """{(components, place of the group): columns of the group, as they are now}."""
    found, image = {}, capture(world)
    for held in image.tables:
        for place, keys in enumerate(column_groups(held.components, image.caches)):
            found[held.components, place] = [
                np.array(held.columns[key] if isinstance(key, Field) else held.ids) for key in keys
            ]
    return found


def rows_that_differ(before, now):
    """(k,) i8: by a comparison bit for bit, row by row."""
    n, known = len(now[0]), min(len(now[0]), len(before[0]) if before else 0)
    differs = np.ones(n, np.bool_)
    differs[:known] = False
    for was, is_now in zip(before or [], now, strict=True) if known else ():
        pair = (a[:known].reshape(known, -1).view(np.uint8) for a in (was, is_now))
        differs[:known] |= np.not_equal(*pair).any(axis=1)
    return np.flatnonzero(differs)


class Watched:
    """A base, and what a plain comparison says of its looks."""

    def __init__(self, world, threads=1):
        self.world, self.base = world, Base(world, threads)
        self.before, self.generations = {}, np.empty(0, np.uint32)
        self.stamps = {}  # (components, place): for each row, the look that changed it

    def look(self):
        """Look, and compare everything."""
        before = capture(self.world)
        look = self.base.look()
        assert look.image.caches == before.caches
        assert look.number == self.base.looks
        now = columns(self.world)
        for held in look.image.tables:
            for place, keys in enumerate(column_groups(held.components, before.caches)):
                shown = [held.columns[k] if isinstance(k, Field) else held.ids for k in keys]
                for mine, theirs in zip(shown, now[held.components, place], strict=True):
                    assert mine.dtype == theirs.dtype
                    assert mine.tobytes() == theirs.tobytes()
                    assert not [
                        1 for b in self.world.store.tables[held.number].buffers
                        if np.may_share_memory(mine, b)
                    ]  # fmt: skip
                self.check(look.number, held.components, place, now[held.components, place])
        assert np.array_equal(look.image.generations, before.generations)
        marks = self.base.generation_marks[: before.generations.size]
        known = self.generations.size
        differ = np.ones(before.generations.size, np.bool_)
        differ[:known] = self.generations != before.generations[:known]
        assert np.array_equal(marks == look.number, differ)
        self.before, self.generations = now, before.generations
        return look

    def check(self, number, components, place, now):
        """`changed` says what a comparison does, since any look."""
        copy = self.base.tables[components][place]
        changed = rows_that_differ(self.before.get((components, place)), now)
        stamps = np.zeros(len(now[0]), np.int64)
        old = self.stamps.get((components, place), stamps)
        known = min(old.size, stamps.size)
        stamps[:known] = old[:known]
        stamps[changed] = number
        self.stamps[components, place] = stamps
        for after in range(max(0, number - 3), number + 1):
            assert copy.changed(after).tolist() == np.flatnonzero(stamps > after).tolist()


@pytest.mark.parametrize("threads", [1, 2])
@one_in(4)
@given(programs, st.integers(0, 2))
@example([[("keep_arrays", 0)], [("write_kept", 1)], [("write_kept", 2)]], 0)
@example([[("hand_over", k)] for k in range(8)], 1)
def test_a_look_is_the_world_and_knows_what_changed(threads, program, often):
    """After any operations, also through arrays, slices and views that were kept: the copy equals
    the world bit for bit, and the rows that count as changed are those that differ."""
    world, kept = town(12), []
    watched = Watched(world, threads)
    for part in program:
        run(world, part, kept)
        for _ in range(often + 1):
            watched.look()
    watched.base.close()


@one_in(4)
@given(programs, st.integers(0, 2**32 - 1))
def test_several_look_at_one_world(program, seed):
    """Each at moments of its own, one of them from the middle on, one only for a while: all see
    what they would see alone."""
    world, kept, draw = town(12), [], np.random.default_rng(seed)
    watching = [Watched(world), Watched(world)]
    for number, part in enumerate(program):
        run(world, part, kept)
        for each in watching:
            if draw.random() < 0.6:
                each.look()
        if number == 2:
            watching.append(Watched(world, 2))
        if number == 4:
            watching.pop(0).base.close()
    for each in watching:
        each.look()
        each.base.close()


@one_in(4)
@given(programs, st.integers(0, 40))
def test_a_look_that_fails_is_made_up_for(program, at):
    """Wherever it stops, the next one sees everything, and others do not notice."""
    world, kept = town(12), []
    watched, other = Watched(world), Watched(world)
    watched.look()
    for part in program:
        run(world, part, kept)
        with pytest.MonkeyPatch.context() as patch:
            left = at

            def failing(call):
                def wrapped(*arguments):
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise MemoryError("no more")
                    return call(*arguments)

                return wrapped

            patch.setattr(base_module, "stamp_changes", failing(base_module.stamp_changes))
            patch.setattr(base_module.Copy, "reserve", failing(base_module.Copy.reserve))
            patch.setattr(base_module.Base, "_take", failing(base_module.Base._take))
            try:
                watched.base.look()
                failed = False
            except MemoryError:
                failed = True
        other.look()
        if failed:
            look = watched.base.look()
            shown = state(restore(look.image))
            truth = state(restore(capture(world)))
            assert set(differing(shown, truth)) <= {"resources"}
            for copies in watched.base.tables.values():
                for copy in copies:  # nobody knows what the failed one had: all counts as new
                    assert copy.changed(look.number - 2).size == copy.n
        watched = Watched(world)
        watched.look()
    watched.base.close()


def test_a_failed_look_forgets_no_slot_that_was_retired():
    """A slot whose last generation is used up changes to 0, which is also what nothing is."""
    world = World()
    ids = world.spawn(3, Hungry)
    table = world.store.archetypes[0].table
    last = np.uint64(LAST_GENERATION) << np.uint64(32)
    world.store.entities.slots[1, 0] = last | np.uint64(1)
    table.buffers[0][1] = last | np.uint64(1)
    base = Base(world)
    first = base.look().number
    world.despawn(last | np.uint64(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_module.Base, "_plan", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            base.look()
    look = base.look()
    assert look.image.generations.tolist() == [1, 0, 1]
    assert 1 in np.flatnonzero(base.generation_marks[:3] > first)
    assert ids.size == 3
    base.close()


def test_an_image_stays_while_the_world_goes_on():
    """What a look showed is as it was until the next look, whatever happens meanwhile."""
    world = town(30)
    base = Base(world)
    look = base.look()
    before = state(restore(look.image))
    kept = []
    for seed in range(40):
        run(world, model.random_program(np.random.default_rng(seed), 5), kept)
        assert differing(state(restore(look.image)), before) == []
    base.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_many_rows(threads, monkeypatch):
    """Rows are shared out among threads in pieces; pieces and threads change nothing."""
    monkeypatch.setattr(base_module, "PIECE", 1000)
    world = town(10, systems=False)
    watched = Watched(world, threads)
    draw = np.random.default_rng(1)
    people = world.spawn(20_000, Body, Face, Print)
    watched.look()
    for k in (0, 1, 999, 1000, 1001, 5000):
        world.set(draw.choice(people, k, replace=False), Body(x=draw.normal(0, 1, k)))
        watched.look()
        people, gone = np.split(people, [people.size - k])
        world.despawn(gone)
        watched.look()
    watched.base.close()


def test_groups_have_each_persisted_column_once():
    """Ids and narrow columns together, wide vectors by component, derived ones nowhere."""
    groups = column_groups((Body, Face, Print, Hungry, Note))
    names = [[str(key) if isinstance(key, Field) else "ids" for key in keys] for keys in groups]
    assert names[0][0] == "ids"
    assert names[1:] == [["Face.shape"], ["Print.bits"]]
    flat = [name for group in names for name in group]
    assert len(flat) == len(set(flat))
    persisted = {str(f) for c in (Body, Face, Print, Note) for f in c.__populace__.persisted}
    assert set(flat) == persisted | {"ids"}
    assert column_groups(()) == column_groups((Hungry,))


@component
class Walker:
    x: f4
    far: f4 = 0
    wide: Vector[16] = 0


@kernel
def walk(walker: Write[Walker]):
    walker.x += 1


def test_what_nobody_may_have_written_is_not_looked_at():
    """A table that nobody opened costs nothing; one that was opened is compared once."""
    world = World()
    world.spawn(1000, Walker(x=0))
    base = Base(world)
    assert base.look().opened_bytes == 1000 * (8 + 4 + 4 + 64)
    assert base.look().opened_bytes == 0
    for walker in world.query(Walker):
        walker.x[3] = 5
    del walker
    gc.collect()
    assert base.look().opened_bytes == 1000 * 4
    assert base.look().opened_bytes == 0
    world.add_system(walk)
    world.step(hours(1))
    assert 0 < base.look().opened_bytes <= 1000 * (4 + 4 + 64)
    assert base.look().opened_bytes == 0
    base.close()


def test_a_column_that_somebody_holds_is_always_looked_at():
    """Until it is let go, since a write through it goes unseen."""
    world = World()
    world.spawn(100, Walker(x=0))
    base = Base(world)
    base.look()
    held = next(iter(world.query(Walker))).x[10:20]
    for k in range(3):
        held[k] = k + 1
        look = base.look()
        assert base.tables[Walker,][0].changed(look.number - 1).tolist() == [10 + k]
    del held
    gc.collect()
    base.look()
    assert base.look().opened_bytes == 0
    base.close()


def test_commands_that_wait_are_not_seen():
    """A look would lose them, so it is refused, and nothing is forgotten."""
    world = town()
    watched = Watched(world)
    watched.look()
    world.commands.spawn(1, Hungry)
    with pytest.raises(StructuralChangeError, match=r"world.sync\(\)"):
        watched.base.look()
    world.sync()
    watched.look()
    watched.base.close()


def test_a_copy_shrinks_with_its_world():
    """Rows that have gone are not shown, and count as new when others take their places."""
    world = World()
    people = world.spawn(50, Friend)
    watched = Watched(world)
    watched.look()
    world.despawn(people[10:])
    watched.look()
    world.spawn(20, Friend)
    look = watched.look()
    assert watched.base.tables[Friend,][0].changed(look.number - 1).tolist() == list(range(10, 30))
    assert watched.base.nbytes > 0
    watched.base.close()


def test_a_base_ends_with_its_world():
    """Neither keeps the other: a closed base is told nothing, and a world can be dropped."""
    world = town()
    base = Base(world, 2)
    base.look()
    base.close()
    assert base not in base_module._bases[world]
    again = Base(world)
    del again
    gc.collect()
    assert not base_module._bases[world]
