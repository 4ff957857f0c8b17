"""Twelve faults that published memory systems ship, and a test for each that this one has not."""

import ast
import os
import time
from pathlib import Path

import numpy as np
import pytest

from populace.components import Memory, Observed, Persona, Recalled, Strength, Trace
from populace.ecs import Clock, World, days, hours
from populace.ecs.errors import DeadEntityError
from populace.minds import export_minds, import_minds
from populace.systems import (
    Pruning,
    Retention,
    Room,
    forget,
    form_memories,
    make_room,
    refresh_strength,
    reinforce,
    strengths_of,
)
from populace.systems.consolidation import Consolidation, consolidate
from populace.systems.reflection import Reflecting, reflection
from populace.systems.scoring import RecallScore, best, recall_scores

from .memories import (
    DAY_S,
    LAWS,
    NOW,
    Row,
    bits,
    by_name,
    empty_world,
    gone,
    numbered,
    world_of,
)

EVERY_LAW = pytest.mark.parametrize("law", LAWS)
TRACE = (Trace.importance, Trace.stability, Trace.accessed, Trace.accesses, Trace.evidence)
HALF_LIFE = round(2**18 * 1e6)


def formed(age_us, stability_s=3 * DAY_S, importance=0.5, **others):
    """A memory that nobody has accessed since it was formed."""
    return Row(
        importance=importance,
        stability=stability_s,
        accessed=NOW - age_us,
        created=NOW - age_us,
        **others,
    )


def live(n_days=5, **options):
    """A society that sees, recalls and forgets for some days, hour by hour."""
    world, agents = empty_world(Room(capacity=20), **options)
    world.add_systems(form_memories, reinforce, refresh_strength, forget, make_room)
    draw = np.random.default_rng(7)
    for _ in range(24 * n_days):
        n = int(draw.integers(0, 6))
        world.emit(
            Observed(
                owner=agents[draw.integers(0, 4, n)],
                time=world.clock.now + draw.integers(0, hours(1), n),
                importance=draw.integers(1, 10, n) / 10,
            )
        )
        held = world.query(Memory).ids()
        if held.size:
            recalled = np.sort(held)[draw.integers(0, held.size, 3)]
            world.emit(Recalled(memory=recalled, time=world.clock.now))
        world.step(hours(1))
    return world


# -- 1: recency ranked the wrong way round --------------------------------------------------


def test_fault_01_the_latest_access_is_the_most_recent():
    """Of memories otherwise alike recency rises with the last access, and the latest is best."""
    accessed = NOW - hours(1) * np.random.default_rng(1).permutation(200)
    found = recall_scores(RecallScore(), NOW, accessed, np.full(200, 0.5))
    order = np.argsort(accessed)
    assert (np.diff(found.recency[order]) > 0).all()
    assert best(found.total, np.arange(200), 200).tolist() == order[::-1].tolist()


# -- 2: strength speeding forgetting up -----------------------------------------------------


@EVERY_LAW
def test_fault_02_a_stronger_memory_fades_more_slowly(law):
    """Of two memories of an age the one of longer stability is worth more, at every age; so is the
    one that was recalled more often, once both have their traces."""
    stabilities = [DAY_S * 2**place for place in range(8)]
    world, ids = world_of([formed(0, s) for s in stabilities], Retention(law=law))
    for age in (1, 3, 10, 60):
        assert (np.diff(strengths_of(world, ids, NOW + days(age))) > 0).all()
    world, ids = world_of([formed(0)] * 4, Retention(law=law), systems=[reinforce])
    for recalled in (ids[1:], ids[2:], ids[3:]):
        world.emit(Recalled(memory=recalled, time=world.clock.now + days(2)))
        world.step(days(2))
    assert (np.diff(strengths_of(world, ids, NOW + days(20))) > 0).all()


# -- 3: recall updating a field that decay never reads; counters never incremented ----------


@EVERY_LAW
def test_fault_03_decay_reads_what_a_recall_writes_and_accesses_are_counted(law):
    """A recalled memory is worth more from then on than its twin, in the sweep and in pruning; the
    recall is its last access, and its number of accesses is one more."""
    world, ids = world_of(
        [formed(days(9)), formed(days(9))],
        Retention(law=law),
        systems=[reinforce, refresh_strength],
    )
    world.emit(Recalled(memory=ids[:1], time=NOW))
    world.step(days(3))
    assert world.get(ids, Trace.accessed).tolist() == [NOW, NOW - days(9)]
    assert world.get(ids, Trace.accesses).tolist() == [2, 1]
    recalled, other = world.get(ids, Strength.value)
    assert recalled > other
    between = Pruning(theta=float(recalled + other) / 2, theta_old=0)
    world.insert(between, replace=True)
    world.add_system(forget)
    world.step(0)
    assert gone(world, ids) == [1]


# -- 4: last access not saved ---------------------------------------------------------------


def loaded(directory, *resources):
    """A new world with what was saved."""
    world = World()
    for resource in resources:
        world.insert(resource)
    import_minds(world, directory)
    return world


@EVERY_LAW
def test_fault_04_a_reload_keeps_last_access_stability_and_accesses(law, tmp_path):
    """Written, read into a new world and asked at the same time: every value of every trace, the
    clock, and so every strength, bit for bit."""
    world = live(debug=True)
    world.insert(Retention(law=law), replace=True)
    export_minds(world, tmp_path)
    again = loaded(tmp_path, Retention(law=law))
    assert by_name(again, *TRACE, Memory.created) == by_name(world, *TRACE, Memory.created)
    assert again.clock.now == world.clock.now > NOW
    for each in (world, again):
        each.add_system(refresh_strength, name="sweep")
        each.step(days(1))
    strengths = [by_name(each, Strength.value) for each in (world, again)]
    assert strengths[0] == strengths[1]
    assert len({accesses for (accesses,) in by_name(again, Trace.accesses).values()}) > 2


# -- 5: wall-clock time in the decay --------------------------------------------------------


def test_fault_05_laws_never_look_at_the_wall_clock():
    """No file in systems imports anything that knows the real time or real randomness."""
    folder = Path(__file__).resolve().parents[2] / "systems"
    seen = set()
    for path in folder.glob("*.py"):
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.Import):
                seen |= {alias.name.partition(".")[0] for alias in found.names}
            elif isinstance(found, ast.ImportFrom) and not found.level:
                seen.add((found.module or "").partition(".")[0])
            elif isinstance(found, ast.Attribute) and found.attr in ("random", "datetime64"):
                assert ast.unparse(found.value) not in ("np", "numpy"), path.name
    assert "numba" in seen
    assert not seen & {"time", "datetime", "random", "secrets", "uuid", "os"}


def test_fault_05_real_time_changes_nothing(monkeypatch):
    """The same days lived in 2026 and a hundred years later leave the same world."""
    digest = live().digest()
    later = time.time() + 36_525 * DAY_S
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setattr(time, "time_ns", lambda: int(later * 1e9))
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert live().digest() == digest


# -- 6: owner filter after top-k ------------------------------------------------------------


def test_fault_06_an_owner_recalls_its_own_and_as_many_as_asked():
    """An agent with ten slight memories, among owners of hundreds that match better by far: asked
    for eight it recalls eight, all its own."""
    occasions = []

    def listen(asked):
        occasions.extend(asked)
        return [[] for _ in asked]

    law = Reflecting(threshold=0.5, focal_points=1, memories=8)
    world, agents = empty_world(RecallScore(), law)
    for owner, n, text in ((0, 10, "my"), (1, 500, "your"), (2, 500, "their")):
        observed = Observed(
            owner=agents[owner],
            time=NOW + np.arange(n) + 1_000_000 * owner,
            text=[f"{text} cat sleeps on mat {place}" for place in range(n)],
            importance=0.02 if owner == 0 else 0.0009,
        )
        world.emit(observed)
    world.add_systems(form_memories, reflection(listen))
    recalled = world.events(Recalled)
    world.emit(Observed(owner=agents[0], time=NOW + days(1), text="my cat", importance=0.5))
    world.step(days(1))
    (occasion,) = occasions
    assert len(occasion.evidence) == 8
    assert all(text.startswith("my ") for text in occasion.evidence)
    memories = recalled.read().memory
    assert memories.size == 8
    assert (world.get(memories, Memory.owner) == agents[0]).all()


# -- 7: a ghost in the index ----------------------------------------------------------------


def newcomers(world, owner, n):
    """Spawn n memories, which take the slots that others left."""
    return world.spawn(
        n,
        Memory(owner=owner, sequence=np.arange(n), created=0),
        Trace(importance=0.5, stability=DAY_S, accessed=0),
    )


@pytest.mark.parametrize("how", ["weak", "crowded", "orphaned"])
def test_fault_07_a_forgotten_memory_leaves_no_ghost(how):
    """Whether it was weak, found no room or died with its owner: no index, recall or strength
    knows it, and what is formed in its place is not taken for it."""
    rows = numbered([formed(days(2), importance=0.01)] * 30)
    world, ids = world_of(
        rows, Pruning(theta=0.02, theta_old=0), Room(capacity=10), systems=[reinforce], debug=True
    )
    (owner,) = np.unique(world.get(ids, Memory.owner))
    reader = world.events(Recalled)
    world.emit(Recalled(memory=ids, time=NOW))
    if how == "orphaned":
        world.despawn(owner)
    else:
        world.add_system(forget if how == "weak" else make_room)
    world.step(0)
    dead = ids[~world.alive(ids)]
    assert dead.size == {"weak": 30, "crowded": 21, "orphaned": 30}[how]
    assert not np.isin(world.index(Memory.owner).csr().ids, dead).any()
    with pytest.raises(DeadEntityError):
        strengths_of(world, dead[:1])
    with pytest.raises(DeadEntityError):
        world.emit(Recalled(memory=dead, time=NOW))

    # News of the dead that is still under way, and newcomers in the slots that they left.
    late = reader.read()
    people = world.query(Persona)
    keeper = people.ids()[np.argsort(people.gather(Persona.number))][-1]
    before = world.index(Memory.owner).count([keeper])[0]
    new = newcomers(world, keeper, 30)
    assert np.isin(new.astype(np.uint32), dead.astype(np.uint32)).any()
    assert not np.isin(late.memory[world.alive(late.memory)], new).any()
    assert not world.alive(dead).any()
    assert world.get(new, Trace.accesses).tolist() == [1] * 30
    assert world.index(Memory.owner).count([keeper])[0] == before + 30


def test_fault_07_recalls_of_the_dead_do_not_reach_who_took_their_place():
    """A recall told while the memory lived, read when another has its slot, touches neither."""
    world, ids = world_of([formed(days(1))] * 8, systems=[reinforce], debug=True)
    world.emit(Recalled(memory=ids, time=NOW))
    (owner,) = np.unique(world.get(ids, Memory.owner))
    world.despawn(ids)
    new = newcomers(world, owner, 8)
    assert sorted(new.astype(np.uint32).tolist()) == sorted(ids.astype(np.uint32).tolist())
    world.step(0)
    assert world.get(new, Trace.accesses).tolist() == [1] * 8
    assert world.get(new, Trace.accessed).tolist() == [0] * 8


# -- 8: "LRU" that is creation order --------------------------------------------------------


def test_fault_08_what_goes_first_is_the_least_recently_accessed():
    """Of memories worth the same the one accessed longest ago goes, though it was formed last."""
    rows = numbered(
        Row(created=NOW - days(30 - place), accessed=NOW - days(place)) for place in range(11)
    )
    world, ids = world_of(rows, Retention(floor=1.0), Room(capacity=10), systems=[make_room])
    assert len(set(bits(strengths_of(world, ids)))) == 1
    world.step(0)
    assert gone(world, ids) == [9, 10]


def test_fault_08_a_recall_saves_the_oldest():
    """The first memory of all, once recalled, stays, and younger ones go in its stead."""
    rows = numbered(formed(days(30 - place)) for place in range(11))
    world, ids = world_of(
        rows, Retention(floor=1.0), Room(capacity=10), systems=[reinforce, make_room]
    )
    world.emit(Recalled(memory=ids[:1], time=NOW))
    world.step(0)
    assert gone(world, ids) == [1, 2]


# -- 9: recall of a months-old but decisive memory is exactly zero --------------------------


def test_fault_09_an_old_but_decisive_memory_is_not_worth_nothing():
    """Half a year after, untouched: by the power law more than half, with a floor of 0.3 three
    tenths, and by the steepest law little, but above zero."""
    half_a_year = [formed(days(183), importance=1.0)]
    values = {}
    for law in LAWS:
        for floor in (0.0, 0.3):
            world, ids = world_of(half_a_year, Retention(law=law, floor=floor))
            values[law, floor] = float(strengths_of(world, ids)[0])
    assert values["power", 0.0] == pytest.approx(0.5308, abs=1e-4)
    assert all(values[law, 0.3] >= np.float32(0.3) for law in LAWS)
    assert min(values.values()) > 0
    world, ids = world_of(half_a_year, Retention(law="power"), systems=[forget])
    world.step(days(365))
    assert gone(world, ids) == []


# -- 10: duplicates behind the nearest few --------------------------------------------------


def test_fault_10_every_duplicate_is_found_among_however_many():
    """Two hundred copies of one text, scattered among as many others, become one memory."""
    world, agents = empty_world(Consolidation())
    world.add_systems(form_memories, consolidate)
    texts = [text for place in range(200) for text in (f"other {place}", "the same")]
    world.emit(Observed(owner=agents[0], time=NOW + np.arange(400), text=texts))
    world.step(days(1))
    left = world.text.decode(world.query(Memory).gather(Memory.text))
    assert sorted(left) == sorted({*texts})
    same = world.query(Trace).gather(Trace.evidence)[left.index("the same")]
    assert same == 200


# -- 11: half a save that loads -------------------------------------------------------------


def failing(real, at):
    """A function that raises at its `at`-th call, as a full disk does."""
    calls = iter(range(1_000))

    def call(*args, **options):
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        return real(*args, **options)

    return call


@pytest.mark.parametrize("name", ["replace", "fsync"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_fault_11_a_save_that_fails_in_the_middle_never_loads_as_half(
    tmp_path, monkeypatch, name, at
):
    """The disk fails at any file of the second save: what is read is the first save or, where only
    moving files was left to do, the second; never a world of both."""
    first, second = live(1), live(3)
    first.clock.now = second.clock.now
    export_minds(first, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing(getattr(os, name), at))
        with pytest.raises(OSError, match="No space left"):
            export_minds(second, tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after.keys() == before.keys()
    kept = first if after == before else second
    assert kept is first or (name, at) in {("replace", 1), ("replace", 2)}
    assert by_name(loaded(tmp_path), *TRACE) == by_name(kept, *TRACE)
    export_minds(second, tmp_path)
    assert by_name(loaded(tmp_path), *TRACE) == by_name(second, *TRACE)


def test_fault_11_a_first_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """No files under their names, no temporary ones, no directory."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing(os.replace, 0))
        with pytest.raises(OSError, match="No space left"):
            export_minds(live(1), tmp_path / "new")
    assert not (tmp_path / "new").exists()


# -- 12: a linear law documented as exponential ---------------------------------------------


def test_fault_12_the_exponential_law_is_exponential():
    """Strength halves in each half-life, from the first to the hundredth; a line would end."""
    world, ids = world_of([formed(0, 2.0**18, importance=1.0)])
    values = [strengths_of(world, ids, NOW + HALF_LIFE * n)[0] for n in range(101)]
    assert values == [2.0**-n for n in range(101)]


def test_fault_12_equal_times_take_equal_shares():
    """However old a memory is, another day takes the same share of what is left of it."""
    rows = [formed(0, s * DAY_S) for s in (1, 3, 10, 60)]
    world, ids = world_of(rows)
    moments = [NOW + days(n) for n in range(40)]
    table = np.array([strengths_of(world, ids, moment) for moment in moments], np.float64)
    shares = table[1:] / table[:-1]
    assert shares == pytest.approx(
        np.tile(0.5 ** (1 / np.array([1, 3, 10, 60])), (39, 1)), rel=5e-6
    )


def test_fault_12_what_is_called_a_power_is_one():
    """By the power law ten times the time takes the same factor, once S is long past: a straight
    line of slope -D on log paper."""
    world, ids = world_of([formed(0, 1.0)], Retention(law="power"))
    times = [10**place for place in range(4, 9)]
    values = [strengths_of(world, ids, NOW + t * 1_000_000)[0] for t in times]
    assert np.diff(np.log10(values)) == pytest.approx([-0.1542] * 4, abs=1e-4)


def test_the_clock_is_simulated():
    """The clock of a world begins where it is put, and moves by its steps alone."""
    world, _ = empty_world(now=5)
    world.step(7)
    assert world.resource(Clock).now == world.clock.now == 12
