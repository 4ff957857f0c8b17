"""A run below a limit of memory: what it lets go, in what order, and when it ends."""

import logging
import sys

import numpy as np
import pytest

from populace.components import Memory, Observed, Persona, Trace
from populace.ecs import World, days
from populace.ecs.errors import MemoryLimitReached, PopulaceError, SettingError
from populace.runs import memory
from populace.runs.memory import (
    MemoryLimit,
    give_back,
    parse_size,
    resident_bytes,
    show_size,
)
from populace.storage import Checkpointer, load
from populace.systems import Archiving, Pruning, Retention, Room, Texts, reclaim_texts
from populace.systems.archive import attach_archive, attached_archive
from populace.systems.archive_reading import archived
from populace.systems.retention import DAY_S

from .watched import live, tick_of, village

MIB = 2**20


class Readings:
    """Resident bytes as a test says: of what holds nothing, and of each memory of a world."""

    def __init__(self, world=None, base=0, each=0):
        self.world, self.base, self.each = world, base, each

    def __call__(self):
        return self.base + (self.each * self.world.query(Memory).count() if self.each else 0)


def stages(limit):
    """The stages taken, in their order."""
    return [relief["stage"] for relief in limit.relieved]


def at(limit, world, tick, base):
    """Call a limit after a step of that number, with so many bytes resident."""
    limit.resident.base = base
    world.clock.tick = tick
    limit(tick_of(world))


# -- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("4GiB", 4 * 2**30), ("4G", 4 * 2**30), ("4gib", 4 * 2**30), ("512M", 512 * MIB),
        ("1.5k", 1536), ("2TB", 2 * 10**12), ("10 MB", 10**7), ("77", 77), ("77B", 77),
        (1_000, 1_000),
    ],
)  # fmt: skip
def test_sizes(given, size):
    """Powers of 1024, but of 1000 where B alone follows."""
    assert parse_size(given) == size


@pytest.mark.parametrize(
    "given", ["", "4 elephants", "-1", "1e9", "4iB", "G", "0", 0, -5, True, 1.5j]
)
def test_sizes_that_are_none(given):
    """The error shows what was given and what is meant."""
    with pytest.raises(SettingError, match="a size is") as error:
        parse_size(given)
    assert repr(given) in str(error.value)


def test_sizes_in_words():
    """To two decimals of the greatest unit that fits."""
    assert [show_size(n) for n in (1, 1024, 3 * MIB // 2, 2**40)] == [
        "1 bytes", "1.00 KiB", "1.50 MiB", "1,024.00 GiB",
    ]  # fmt: skip


def test_resident_bytes_follow_what_is_held():
    """100 MB more are seen when they are held, and when they are not any more."""
    before = resident_bytes()
    held = np.ones(100_000_000, np.uint8)
    during = resident_bytes()
    del held
    assert during - before > 80_000_000
    assert during - resident_bytes() > 80_000_000


def test_resident_bytes_elsewhere(monkeypatch, tmp_path, caplog):
    """Without /proc the most that there was is told, which a limit warns of."""
    monkeypatch.setattr(memory, "STATM", tmp_path / "statm")
    most = resident_bytes()
    assert most > MIB
    assert resident_bytes() >= most
    with caplog.at_level(logging.WARNING, "populace.run"):
        MemoryLimit(2**45)
    assert "never falls" in caplog.text


# -- the limit ------------------------------------------------------------------------------------


def test_a_limit_that_leaves_no_room():
    """A limit below what is used already is refused before the run begins."""
    with pytest.raises(SettingError, match="leaves no room"):
        MemoryLimit(MIB)
    with pytest.raises(SettingError, match="share lies in"):
        MemoryLimit(2**45, share=1.1)
    with pytest.raises(SettingError, match="every is 1 or more"):
        MemoryLimit(2**45, every=0)


def test_below_the_share_nothing_happens():
    """At 80 % of the limit exactly, a run is left alone."""
    world = village()
    live(world, 4)
    digest, limit = world.digest(), MemoryLimit(1_000, resident=Readings())
    at(limit, world, 4, 800)
    assert limit.relieved == []
    assert world.digest() == digest


def test_giving_back_comes_first(caplog):
    """Where it is enough nothing else is done; the digest stays where no string goes."""
    world, alone = village(), village()
    live(world, 4)
    live(alone, 4)
    readings = iter([0, 900, 900, 700])
    limit = MemoryLimit(1_000, resident=lambda: next(readings))
    with caplog.at_level(logging.INFO, "populace.run"):
        limit(tick_of(world))
    assert limit.relieved == [
        {
            "time": "1970-01-02T00:00:00", "stage": "give back", "before": 900, "after": 700,
            "what": "unused strings, slack and pages",
        }
    ]  # fmt: skip
    assert "900 bytes of 1,000 bytes in use" in caplog.text
    live(world, 8)
    live(alone, 8)
    assert world.digest() == alone.digest()


def forgetful(*systems):
    """A village whose texts soon have nobody who remembers them, after 30 steps."""
    world = village(5, Pruning(theta=0.9, grace=0.0))
    world.add_systems(*systems)
    world.insert(Texts())
    live(world, 30)
    return world


def told(world):
    """All memories of a world as everybody reads them."""
    memories = world.query(Memory, Trace)
    asked = (Memory.sequence, Memory.created, Memory.kind, Trace.accessed, Trace.importance)
    columns = [memories.gather(each).tolist() for each in asked]
    number = world.get(memories.gather(Memory.owner), Persona.number).tolist()
    texts = world.text.decode(memories.gather(Memory.text))
    return sorted(zip(number, *columns, texts, strict=True))


def test_giving_strings_back_changes_no_memory():
    """Strings go and their codes are given to others, so the digest differs; whatever is remembered
    afterwards, and what it says, does not."""
    world, alone = forgetful(reclaim_texts), forgetful(reclaim_texts)
    give_back(world)
    assert len(world.text) < len(alone.text)
    for each in (world, alone):
        each.insert(Pruning(), replace=True)
        live(each, 30, text="a fair")
    assert told(world) == told(alone) != []
    assert world.digest() != alone.digest()


def test_giving_back_frees_slack_and_strings():
    """Tables shrink to their rows, and texts that nobody remembers are gone."""
    world = forgetful(reclaim_texts)
    slack, texts = sum(t.nbytes for t in world.store.tables), len(world.text) - world.text.n_free
    give_back(world)
    assert sum(t.nbytes for t in world.store.tables) < slack
    assert len(world.text) - world.text.n_free < texts
    world.check()


def test_strings_stay_where_no_system_reclaims_them():
    """A program may hold codes in a variable: that is its right in a world without
    `reclaim_texts`, and no limit takes it away."""
    world = forgetful()
    held = world.text.intern(["says hi"])
    give_back(world)
    world.text.intern(["robbed the bank"])
    assert world.text.decode(held) == ["says hi"]


def test_stages_follow_each_other_in_time(tmp_path):
    """One step of a stage at a relief, archiving before pruning, each after its rest."""
    world = village(5, Pruning(theta=0.1), Room(capacity=100), Archiving(after=3 * DAY_S))
    live(world, 8)
    limit = MemoryLimit(1_000, every=10, snapshots=tmp_path, resident=Readings(world))
    seen = []
    for tick in range(2_000):
        at(limit, world, tick, 900)
        seen.append(len(limit.relieved))
    assert stages(limit)[:6] == [
        "give back", "archive earlier", "give back", "archive earlier", "give back",
        "prune earlier",
    ]  # fmt: skip
    assert world.resource(Archiving).after == DAY_S
    taken = [tick for tick in range(1, 2_000) if seen[tick] > seen[tick - 1]]
    assert taken == [10, 30, 70, 150, 310, 630, 1270]  # nothing is freed: each rest twice as long


def test_laws_are_never_past_their_bounds(tmp_path):
    """However often, archiving comes after a day, theta is 0.5 and capacity 10 at the utmost."""
    world = village(5, Room(capacity=40))
    live(world, 8, per_step=30)
    limit = MemoryLimit(10_000, every=1, snapshots=tmp_path, resident=Readings(world, each=10))
    for tick in range(400):
        limit.resident.each = 9_000 / max(1, world.query(Memory).count())
        at(limit, world, tick, 0)
    assert world.resource(Archiving).after == DAY_S
    assert world.resource(Pruning).theta <= 0.5
    assert world.resource(Room).capacity >= 10
    world.check()


def test_archiving_earlier_moves_memories(tmp_path):
    """What is inactive by the new law leaves at once, for an archive beside the snapshots, so that
    a snapshot has it too."""
    world = village(5, Pruning(theta=0.0, theta_old=0.0))
    live(world, 80)
    before = world.query(Memory).count()
    limit = MemoryLimit(1_000, snapshots=tmp_path, resident=Readings(world))
    with Checkpointer(world, tmp_path) as checkpointer:
        at(limit, world, 80, 900)
        checkpointer.finish()
        limit.close()
    moved = before - world.query(Memory).count()
    assert moved > 0
    assert limit.relieved[1]["what"] == (
        f"Archiving.after 14 d -> 7 d: {moved:,} memories left for the archive"
    )
    assert archived(world).num_rows == moved
    later = load(tmp_path)
    assert later.digest() == world.digest()
    assert later.resource(Archiving).after == 7 * DAY_S
    attached_archive(world).close()


def test_an_archive_that_is_there_is_used(tmp_path):
    """Wherever the world has it; a limit needs no directory then."""
    world = village(5, Pruning(theta=0.0, theta_old=0.0))
    attached = attach_archive(world, tmp_path)
    live(world, 80)
    before = archived(world).num_rows
    limit = MemoryLimit(1_000, resident=Readings(world))
    at(limit, world, 80, 900)
    assert archived(world).num_rows > before
    attached.close()


def test_without_an_archive_pruning_is_next():
    """Where there is nowhere to archive to, that stage is used up, and its law stays."""
    world = village()
    live(world, 8)
    limit = MemoryLimit(1_000, resident=Readings(world))
    at(limit, world, 8, 900)
    assert stages(limit) == ["give back", "prune earlier"]
    assert world.resource(Archiving) == Archiving()


def test_an_archive_that_cannot_be_written(tmp_path, caplog):
    """It is logged, and pruning is next."""
    (tmp_path / "file").write_text("")
    world = village()
    live(world, 8)
    limit = MemoryLimit(1_000, every=1, snapshots=tmp_path / "file", resident=Readings(world))
    with caplog.at_level(logging.WARNING, "populace.run"):
        at(limit, world, 8, 900)
        at(limit, world, 9, 900)
    assert stages(limit) == ["give back", "prune earlier"] * 2
    assert caplog.text.count("nothing is archived") == 1


def test_pruning_earlier_forgets(caplog):
    """The laws become stricter and are applied at once; capacity from the most that is held."""
    world = village(5, Pruning(theta=0.1, grace=0.0), Room(capacity=1_000))
    live(world, 40)
    before = world.query(Memory).count()
    held = world.index(Memory.owner).counts()[1].max()
    limit = MemoryLimit(1_000, resident=Readings(world))
    with caplog.at_level(logging.WARNING, "populace.run"):
        at(limit, world, 40, 900)
    gone = before - world.query(Memory).count()
    assert world.resource(Pruning).theta == pytest.approx(0.15)
    assert world.resource(Room).capacity < 0.8 * held + 1
    assert gone > 0
    assert f"{gone:,} memories forgotten" in limit.relieved[1]["what"]
    assert sum(world.telemetry.counts[f"forgotten, {why}"] for why in ("weak", "crowded")) >= gone
    assert "results differ" in caplog.text
    world.check()


def test_a_law_that_never_forgets_stays():
    """Theta 0 says that nothing is ever too weak."""
    world = village(5, Pruning(theta=0.0, theta_old=0.0))
    live(world, 8)
    at(MemoryLimit(1_000, resident=Readings(world)), world, 8, 900)
    assert world.resource(Pruning).theta == 0.0


def test_a_world_without_laws_of_memory_only_gives_back():
    """There is nothing else to let go."""
    world = World()
    limit = MemoryLimit(1_000, resident=Readings(world))
    at(limit, world, 1, 900)
    assert stages(limit) == ["give back"]


def test_above_the_limit_it_goes_on_as_long_as_that_frees_enough():
    """Stages are taken in one call until the run is below its limit."""
    world = village(5, Room(capacity=10_000))
    live(world, 8, per_step=100)
    assert world.query(Memory).count() == 4_000
    limit = MemoryLimit(2_500 * 100, resident=Readings(world))
    limit.resident.each = 100
    at(limit, world, 8, 0)
    assert 2_000 < world.query(Memory).count() <= 2_500
    assert stages(limit) == ["give back"] + ["prune earlier"] * (len(limit.relieved) - 1)
    assert len(limit.relieved) == 3


def test_above_the_limit_no_rest_is_waited_for():
    """A relief comes although the last one was a tick ago."""
    world = village(5, Room(capacity=10_000))
    live(world, 8, per_step=100)
    limit = MemoryLimit(1_000, resident=Readings())
    at(limit, world, 8, 900)
    taken = len(limit.relieved)
    at(limit, world, 9, 1_000)
    assert len(limit.relieved) == taken
    with pytest.raises(MemoryLimitReached):
        at(limit, world, 10, 1_001)
    assert len(limit.relieved) > taken


def test_a_run_ends_before_it_loses_all():
    """Where stages free nothing, one round of them is made, and the run is to stop."""
    world = village(5, Room(capacity=10_000))
    live(world, 8, per_step=100)
    limit = MemoryLimit(1_000, resident=Readings(world))
    with pytest.raises(MemoryLimitReached, match="more than its limit of 1,000 bytes") as error:
        at(limit, world, 8, 1_001)
    assert isinstance(error.value, MemoryError)
    assert isinstance(error.value, PopulaceError)
    assert world.query(Memory).count() >= 2_000
    assert stages(limit).count("prune earlier") <= 2
    world.check()


# -- for real -------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_real_run_stays_below_its_limit():
    """A run whose memories would take much more than it may ends below its limit, with fewer."""

    def grow(*watchers):
        world = village(1_000, Pruning(theta=0.0, theta_old=0.0), Room(capacity=100_000))
        ids, peak = np.repeat(world.query(Persona).ids(), 60), 0
        for _ in range(20):
            world.emit(Observed(owner=ids, time=world.clock.now, text="rain", importance=0.5))
            world.step(days(1))
            for watch in watchers:
                watch(tick_of(world))
            peak = max(peak, resident_bytes())
        return world, peak

    village_of_one = village(1)
    live(village_of_one, 2)
    give_back(village_of_one)
    limit = MemoryLimit(resident_bytes() + 60 * MIB, share=0.95, every=2)
    world, peak = grow(limit)
    assert peak <= limit.limit
    assert "prune earlier" in stages(limit)
    assert 0 < world.query(Memory).count() < 1_200_000
    world.check()
    kept = world.query(Memory).count()
    del world
    alone, without = grow()
    assert without > limit.limit + 20 * MIB
    assert alone.query(Memory).count() == 1_200_000 > kept
    assert Retention in alone.resources
