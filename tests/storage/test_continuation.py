"""What follows a restore is what would have followed anyway, bit for bit, in another process.

Two processes, with hash seeds of their own. The first runs each society for ten ticks, and once
more for five, with snapshots on the way; the second takes these up and runs five. Equal at the end,
and at each tick on the way: everything persisted in its raw order, and what SQL says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from populace import (
    Read,
    Vector,
    World,
    Write,
    component,
    days,
    f4,
    field,
    hours,
    kernel,
    minutes,
    system,
)
from populace.ask import sql
from populace.components import (
    Emotion,
    Haunts,
    Memory,
    Met,
    Mood,
    Persona,
    Place,
    SocialEnergy,
    Space,
    Stream,
    Tie,
)
from populace.runs import make_world
from populace.scenarios import stream, town
from populace.storage.checkpoint import Checkpointer
from populace.storage.snapshot import Snapshots, load, save
from populace.systems import (
    SYSTEMS,
    Colocation,
    Reflecting,
    add_laws,
    enter_state,
    intern_topics,
    learn,
    settle,
)

from . import model
from .crashing import quick

ROOT = Path(__file__).parents[2]
MONDAY = days(19_401)
QUESTIONS = {
    "run": (
        "SELECT * FROM agents",
        "SELECT * FROM memories",
        "SELECT kind, count(*), avg(strength), max(importance) FROM memories GROUP BY ALL "
        "ORDER BY ALL",
    ),
    "laws": (
        "SELECT * FROM agents",
        "SELECT * FROM memories",
        "SELECT * FROM ties",
        "SELECT * FROM knowledge",
        "SELECT * FROM contacts",
        "SELECT a.name, count(*), sum(m.strength) FROM memories m JOIN agents a USING (agent) "
        "GROUP BY ALL ORDER BY ALL",
    ),
    "town": (),
    "scenario": ("SELECT * FROM agents", "SELECT * FROM memories", "SELECT * FROM ties"),
}


class TownSociety:
    """The town of the other tests, on two threads."""

    step = model.STEP

    def begin(self):
        world = model.town(30, threads=2)
        world.parallel_rows = 1
        world.track(model.Body)
        return world

    def take_up(self, world):
        world.parallel_rows = 1
        world.add_systems(*model.SYSTEMS)


class LawsSociety:
    """All laws of populace at once, from a Monday morning on."""

    step = minutes(90)

    def begin(self, n=40):
        world = World(seed=5)
        world.clock.now = MONDAY
        world.keep(Met)
        add_laws(
            world, Space(width=300, height=300), Reflecting(threshold=2.0), Colocation(chance=0.5)
        )
        draw = np.random.default_rng(1)

        def places(k, kind):
            x, y = draw.uniform(0, 300, (2, k))
            return world.spawn(
                k, Place(name=[f"{kind} {i}" for i in range(k)], kind=kind, x=x, y=y)
            )

        homes, offices, cafes = places(n // 3, "house"), places(3, "office"), places(2, "café")
        number = np.arange(n)
        people = world.spawn(
            Persona(number=number, name=[f"P {i}" for i in number], extraversion=draw.random(n)),
            Haunts(
                home=draw.choice(homes, n),
                work=draw.choice(offices, n),
                leisure=draw.choice(cafes, n),
            ),
            Stream,
            SocialEnergy,
            Emotion,
            Mood,
        )
        enter_state(world, people, "asleep", profile="worker")
        settle(world, people)
        learn(world, people[:2], intern_topics(world, ["the well is dry", "a fair is coming"]))
        world.run(hours(6), step=self.step)
        return world

    def take_up(self, world):
        world.add_systems(*SYSTEMS)


class RunSociety:
    """That of `populace run stream`."""

    step = hours(1)

    def begin(self):
        world = make_world(
            "stream",
            {"stream.agents": 30, "stream.memories": 60, "run.days": 3.0, "run.seed": 4},
        )
        world.run(hours(8), step=self.step)
        return world

    def take_up(self, world):
        stream.scenario.add_systems(world)


class ScenarioSociety:
    """That of `populace run town`, with births."""

    step = hours(1)

    def begin(self):
        world = make_world("town", {"town.agents": 40, "town.births": 1_000, "run.seed": 4})
        world.run(hours(30), step=self.step)
        return world

    def take_up(self, world):
        town.scenario.add_systems(world)


SOCIETIES = {
    "town": TownSociety(),
    "laws": LawsSociety(),
    "run": RunSociety(),
    "scenario": ScenarioSociety(),
}


def looked_at(name, world, ask=True):
    """(fingerprint, what SQL says), to be told in JSON."""
    answers = [
        json.loads(json.dumps(sql(world, question).rows(), default=repr))
        for question in QUESTIONS[name] * ask
    ]
    return [model.fingerprint(world), answers]


def told_of(name, world, n):
    """n ticks, and how the world is after each; SQL is asked at every fifth."""
    found = []
    for k in range(n):
        world.step(SOCIETIES[name].step)
        found.append(looked_at(name, world, ask=k % 5 == 4))
    return found


def first_process(directory):
    """Ten ticks; five, saved; five, with a snapshot at each, of which one is full; the same in an
    encrypted form is another test's."""
    told = {}
    for name, society in SOCIETIES.items():
        told[name] = told_of(name, society.begin(), 10)
        world = society.begin()
        told[f"{name}, first half"] = told_of(name, world, 5)
        save(world, quick(directory / name))
        world = society.begin()
        with Checkpointer(world, quick(directory / f"{name}, deltas"), every=1) as checkpointer:
            told_of(name, world, 5)
        assert [saved.full for saved in checkpointer.saved] == [True, False, False, False, False]
    return told


def second_process(directory):
    """Five ticks from each of the snapshots, and from the deltas after they are folded."""
    told = {}
    for name, society in SOCIETIES.items():
        for kind in ("", ", deltas", ", folded"):
            where = directory / (name + kind)
            if kind == ", folded":
                where = directory / f"{name}, deltas"
                Snapshots(quick(where)).compact()
            world = load(where)
            society.take_up(world)
            world.check()
            told[name + kind] = [looked_at(name, world), *told_of(name, world, 5)]
            world.check()
    return told


PROCESSES = {"first": first_process, "second": second_process}


def main(which, directory):
    """What one of the two processes does; prints what it saw."""
    print(json.dumps(PROCESSES[which](Path(directory))))


def in_a_process(which, directory, seed):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.storage import test_continuation; test_continuation.main(*sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, which, str(directory)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    directory = tmp_path_factory.mktemp("societies")
    return in_a_process("first", directory, "1"), in_a_process("second", directory, "random")


@pytest.mark.parametrize("kind", ["", ", deltas", ", folded"])
@pytest.mark.parametrize("name", SOCIETIES)
def test_what_follows_is_what_would_have_followed(told, name, kind):
    """Tick by tick: from a full snapshot, from deltas, from these folded."""
    first, second = told
    assert first[name][:5] == first[f"{name}, first half"]
    for tick, (truth, found) in enumerate(
        zip(first[name][5:], second[name + kind][1:], strict=True)
    ):
        assert found[0] == truth[0], f"tick {tick}"
        assert found[1] == truth[1], f"tick {tick}"


@pytest.mark.parametrize("name", SOCIETIES)
def test_something_happens_in_these_societies(told, name):
    """Every tick leaves another world, so that equality means something."""
    prints = [tick[0] for tick in told[0][name]]
    assert len(set(prints)) == 10
    half, whole = told[0][name][4][1], told[0][name][9][1]
    for one, other, question in zip(half, whole, QUESTIONS[name], strict=True):
        assert one, question
        assert one != other, question


@pytest.mark.parametrize("name", SOCIETIES)
def test_the_snapshot_itself_answers_as_the_world_did(told, name):
    """Before any tick: as soon as it has its systems, SQL says the same, caches included."""
    first, second = told
    for kind in ("", ", deltas", ", folded"):
        assert second[name + kind][0] == first[name][4]


@component
class Glow:
    value: f4 = field(derived=True)


@component
class Shade:
    value: f4 = field(derived=True)
    wide: Vector[20] = field(derived=True)


@kernel(every=hours(4))
def shine(body: Read[model.Body], glow: Write[Glow], shade: Write[Shade]):
    """A sweep that is made now and then."""
    glow.value = body.x * 2
    shade.value = body.x + 1


@system
def feel(body: Write[model.Body], glow: Read[Glow]):
    """Reads what the sweep has filled, whenever that was."""
    body.x = body.x + glow.value + 1


@system
def see(body: Write[model.Body], shade: Read[Shade]):
    """Reads the other, before the sweep is made."""
    body.y = body.y + shade.value


@system(every=hours(4))
def notice(body: Write[model.Body], shade: Read[Shade]):
    """Reads the other, whenever it is new."""
    body.y = body.y + shade.value


@system
def mix(body: Write[model.Body]):
    """Fills a cache among other things, and reads it when it is an hour old."""
    body.x = body.x + body.far
    body.far = body.x / 2


MIXES = {
    "read between sweeps": (shine, feel),
    "read before the sweep": (see, shine),
    "two caches, of which one is read between sweeps": (shine, notice, feel),
    "two caches, both read": (see, shine, feel),
    "filled by a system that does more": (mix,),
}


@pytest.mark.parametrize("how", ["full", "deltas", "folded", "twice"])
@pytest.mark.parametrize("mix", MIXES)
def test_a_cache_that_is_read_when_it_is_old(tmp_path, mix, how):
    """A sweep that is not made before all that read its cache: what follows is the same only if the
    cache is what it was."""

    def begin(n_hours):
        world = World(seed=1)
        people = world.spawn(300, model.Body(x=np.arange(300)), Glow, Shade)
        world.add_systems(*MIXES[mix])
        world.run(hours(n_hours), step=hours(1))
        return world, people

    (world, _), (other, people) = begin(6), begin(3)
    with Checkpointer(other, quick(tmp_path), every=hours(1)) as checkpointer:
        if how == "full":
            checkpointer.full_every = 1
        other.run(hours(3), step=hours(1))
    if how == "folded":
        Snapshots(quick(tmp_path)).compact()
    other = load(tmp_path)
    if how == "twice":
        save(other, quick(tmp_path))
        other = load(tmp_path)
    other.add_systems(*MIXES[mix])
    for _ in range(6):
        assert model.fingerprint(world) == model.fingerprint(other)
        for each in (world, other):
            each.run(hours(1), step=hours(1))
            each.despawn(people[-3:])
            each.spawn(2, model.Body(x=5), Glow, Shade)
        people = people[:-3]


def test_systems_that_come_between_two_snapshots(tmp_path):
    """A delta holds what has become state by then: caches that are read when they are old."""

    def begin(save):
        world = World(seed=1)
        world.spawn(300, model.Body(x=np.arange(300)), Glow, Shade)
        checkpointer = Checkpointer(world, quick(tmp_path)) if save else None
        for systems in ((), (shine,), (notice,), (see, feel)):
            world.add_systems(*systems)
            world.run(hours(5), step=hours(1))
            if save:
                checkpointer.save()
        return world, checkpointer

    world, other = begin(False)[0], begin(True)
    other[1].close()
    assert [saved.full for saved in other[1].saved] == [True, False, False, False]
    other = load(tmp_path)
    other.add_systems(shine, notice, see, feel)
    for _ in range(6):
        for each in (world, other):
            each.run(hours(1), step=hours(1))
        assert model.fingerprint(world) == model.fingerprint(other)


def test_the_order_of_columns_and_rows_is_that_of_before(tmp_path):
    """What a query gives, and in which order, is the same without any sorting."""
    world = model.town(60)
    model.run(world, model.random_program(np.random.default_rng(5), 60))
    save(world, quick(tmp_path))
    other = load(tmp_path)
    for cls in (model.Body, model.Note, model.Tie, model.Asleep, model.Friend):
        assert world.query(cls).ids().tolist() == other.query(cls).ids().tolist()
    for made in (model.Note.text, model.Body.y, model.Face.shape):
        cls = made.component
        one, two = world.query(cls).gather(made), other.query(cls).gather(made)
        assert one.tobytes() == two.tobytes()
    assert [str(a) for a in world.store.archetypes] == [str(a) for a in other.store.archetypes]


def test_several_lives_of_one_world(tmp_path):
    """Saved and loaded after every tick, in full or as a delta by turns: as if nothing had been."""
    society = SOCIETIES["town"]
    world, other = society.begin(), society.begin()
    for tick in range(8):
        world.step(society.step)
        other.step(society.step)
        if tick % 2:
            with Checkpointer(other, quick(tmp_path)) as checkpointer:
                checkpointer.save()
                other.resource(model.Ledger).total += 1
                world.resource(model.Ledger).total += 1
                checkpointer.save()
        else:
            save(other, quick(tmp_path))
        other = load(tmp_path, threads=1 + tick % 2)
        society.take_up(other)
        model.assert_same(world, other)
    assert world.query(Tie).count() == 0
    assert world.query(Memory).count() == 0
    assert world.query(model.Tie).count() > 10
