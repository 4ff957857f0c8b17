"""The scenario replay: each recorded contact comes to pass once, at its time, by the laws."""

import json

import numpy as np
import pytest

from populace.components import Contact, Memory, Motion, Persona, Tie, TieState
from populace.contacts import live_through, read_contacts
from populace.ecs import World, hours
from populace.ecs.errors import SettingError, SourceFileError
from populace.runs import live, make_world
from populace.runs.metrics import MetricsTable
from populace.systems import Ties

from .commands import said

START_US = 1_676_246_400_000_000
"""The first moment of a run by default."""
ROWS = (
    (10, 7, 12), (12, 12, 7), (12, 7, 101), (12, 101, 101), (4_000, 7, 12), (7_200, 101, 12),
    (90_000, 12, 101), (100_000, 7, 12), (100_000, 7, 12),
)  # fmt: skip


@pytest.fixture
def log(tmp_path):
    """A file of nine contacts within 28 hours, one of them with oneself, out of order."""
    path = tmp_path / "log.csv"
    lines = [",".join(map(str, row)) for row in ROWS[::-1]]
    path.write_text("\n".join(["timestamp,sender,recipient", *lines]) + "\n")
    return path


def replay(path, **given):
    """A world of the scenario; a__b is the parameter a.b."""
    values = {"replay.contacts": str(path), "run.days": 2, "run.seed": 3}
    return make_world(
        "replay", values | {name.replace("__", "."): value for name, value in given.items()}
    )


def ties(world):
    """{(number of source, of target): (contacts, weight, last)}."""
    found = world.query(Tie, TieState)
    ends = (world.get(found.gather(of), Persona.number).tolist() for of in (Tie.source, Tie.target))
    state = (
        found.gather(of).tolist() for of in (TieState.contacts, TieState.weight, TieState.last)
    )
    return dict(zip(zip(*ends, strict=True), zip(*state, strict=True), strict=True))


def names(world):
    """Everybody's name, by number."""
    people = world.query(Persona)
    order = np.argsort(people.gather(Persona.number))
    return world.text.decode(people.gather(Persona.name)[order])


@pytest.mark.parametrize("step", [900, 3_600, 21_600])
def test_each_contact_is_counted_once(log, step):
    """Whatever the step; those with oneself are none."""
    world = replay(log, replay__mutual=False, run__step=step)
    assert world.query(Tie).count() == 0
    live(world)
    contacts = {pair: state[0] for pair, state in ties(world).items()}
    assert contacts == {(0, 1): 4, (1, 0): 1, (0, 2): 1, (2, 1): 1, (1, 2): 1}
    world.check()


def test_a_mutual_contact_counts_both_ways(log):
    """As a meeting does, and as it is by default."""
    world = replay(log)
    live(world)
    contacts = {pair: state[0] for pair, state in ties(world).items()}
    assert contacts == {(0, 1): 5, (1, 0): 5, (0, 2): 1, (2, 0): 1, (1, 2): 2, (2, 1): 2}
    world.check()


def test_ties_are_those_of_an_imported_log(log):
    """One way, the same contacts, weights and times as `import contacts` makes of it."""
    world = replay(log, replay__mutual=False, ties__half_life="1d")
    live(world)
    plain = World(seed=1)
    half_life_us = round(world.resource(Ties).half_life * 1e6)
    assert half_life_us == hours(24)
    read = read_contacts(log, start=START_US)
    live_through(plain, read, half_life_us=half_life_us, step=hours(1))
    got, want = ties(world), ties(plain)
    assert got.keys() == want.keys()
    for pair, (contacts, weight, last) in want.items():
        assert got[pair] == (contacts, pytest.approx(weight, rel=1e-6), last)


def test_contacts_come_to_pass_at_their_times(log):
    """The run begins with the first one, and each belongs to the step that reaches it."""
    world = replay(log)
    assert world.clock.now == START_US + 10_000_000
    turned = world.events(Contact)
    begin = world.clock.now
    seen = 0
    for _ in range(30):
        world.run(hours(1), step=hours(1))
        time = turned.read().time
        assert ((time > world.clock.now - hours(1)) & (time <= world.clock.now)).all()
        seen += len(time)
    assert seen == len(ROWS) - 1
    assert world.clock.now == begin + hours(30)


def test_unix_times_and_dates_are_when_they_say(tmp_path):
    """Numbers count from `run.start` only where none of them can be a unix time; dates never do."""
    path = tmp_path / "log.csv"
    moments = {
        "s": ("1700000000", 1_700_000_000), "ms": ("1700000000000", 1_700_000_000),
        "d": ("1000", START_US // 10**6 + 86_400_000),
    }  # fmt: skip
    for unit, (text, second) in moments.items():
        path.write_text(f"time,source,target\n{text},Ada,Bo\n")
        assert replay(path, replay__time_unit=unit).clock.now == second * 10**6
    path.write_text("time,source,target\n1970-01-02 00:00:00,Ada,Bo\n")
    assert replay(path).clock.now == 86_400 * 10**6


def test_contacts_are_talks_that_are_remembered(log):
    """By whoever was turned to or turned, with nobody walking about."""
    world = replay(log)
    outcome = live(world)
    texts = world.text.decode(world.query(Memory).gather(Memory.text))
    assert any(text.startswith("talked with ") for text in texts)
    assert outcome.formed == outcome.forgotten + outcome.kept > 0
    assert outcome.agents == 3
    assert world.query(Motion).count() == 0


def test_people_known_by_a_number_get_names(log):
    """And traits, unless they are not to."""
    world = replay(log)
    assert all(len(name.split()) == 2 for name in names(world))
    assert np.unique(world.query(Persona).gather(Persona.openness)).size == 3
    bare = replay(log, replay__traits=False)
    assert names(bare) == ["7", "12", "101"]
    assert np.unique(bare.query(Persona).gather(Persona.openness)).size == 1


def test_each_who_is_known_by_a_number_gets_a_name(tmp_path):
    """Beside who has one; traits are everybody's."""
    path = tmp_path / "log.csv"
    path.write_text("time,source,target\n0,ann,7\n9,bob,7\n")
    world = replay(path)
    seven, *others = names(world)
    assert len(seven.split()) == 2
    assert others == ["ann", "bob"]
    assert np.unique(world.query(Persona).gather(Persona.openness)).size == 3
    assert names(replay(path, replay__traits=False)) == ["7", "ann", "bob"]


def test_contacts_that_are_left_are_told(log):
    """Whatever the run was too short for, and rows of people with themselves."""
    for length, n_past in ((0.05, 4), (1, 5), (2, 8)):
        world = replay(log, run__days=length)
        told = live(world).told
        assert told["contacts_replayed"] == n_past
        assert told["contacts_left"] == len(ROWS) - 1 - n_past
        assert told["contacts_with_self"] == 1
        assert told["density"] > 0


@pytest.mark.parametrize("step", [900, 3_600, 21_600])
def test_a_run_as_long_as_its_log_leaves_nothing(tmp_path, step):
    """What is at the first moment is of the first step, and what is at the last of the last."""
    path = tmp_path / "log.csv"
    path.write_text("time,source,target\n0,1,2\n0,2,1\n43200,1,2\n86400,2,1\n")
    world = replay(path, run__days=1, run__step=step, replay__mutual=False)
    table = MetricsTable()
    outcome = live(world, metrics=table)
    assert (outcome.told["contacts_replayed"], outcome.told["contacts_left"]) == (4, 0)
    contacts = {pair: state[0] for pair, state in ties(world).items()}
    assert contacts == {(0, 1): 2, (1, 0): 2}
    assert table["contacts"][0] == 2
    assert sum(table["contacts"]) == 4
    assert table["time"][0] == START_US + step * 10**6
    tenths = sum(table[f"formed__{tenth}"][0] for tenth in range(10))
    assert tenths == table["formed"][0] > 0


def test_the_parameters_of_a_run_name_its_log_from_anywhere(capsys, log, tmp_path, monkeypatch):
    """A path that --from gave is kept in full."""
    monkeypatch.chdir(log.parent)
    said(capsys, "run", "replay", "--from", log.name, "--days", "0.1", "--dir", tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    facts = json.loads(said(capsys, "run", "config.toml", "--no-dir", "--json"))
    assert facts["told"]["contacts_replayed"] == 5


def test_people_with_names_keep_them(tmp_path):
    """Whatever columns the roles say that they are in."""
    path = tmp_path / "calls.csv"
    path.write_text("Ada Bell;Kofi Osei;2\nKofi Osei;Bo Lund;3\n")
    world = replay(path, replay__columns="source, target, time", replay__time_unit="min")
    assert names(world) == ["Ada Bell", "Bo Lund", "Kofi Osei"]
    assert world.clock.now == START_US + 120_000_000


def test_the_same_log_gives_the_same_world(log):
    """Twice one seed is one digest; another seed is another."""
    worlds = [replay(log, run__seed=seed) for seed in (3, 3, 4)]
    for world in worlds:
        live(world)
    assert worlds[0].digest() == worlds[1].digest() != worlds[2].digest()


def test_logs_that_are_not_there_are_named(tmp_path):
    """By the parameter if it is empty, else by their path."""
    with pytest.raises(SettingError, match=r"replay\.contacts is empty"):
        replay("")
    with pytest.raises(SourceFileError, match=r"nowhere\.csv"):
        replay(tmp_path / "nowhere.csv")


def test_a_unit_that_is_none_is_refused(log):
    """With those that are."""
    with pytest.raises(SettingError, match=r"time_unit.*us, ms, s, min, h, d.*'fortnights'"):
        replay(log, replay__time_unit="fortnights")


def test_a_real_log_can_be_replayed(real_data):
    """The text messages of a university's first day: all of them, each counted once."""
    path = real_data / "copenhagen" / "sms.csv"
    if not path.exists():
        pytest.skip(f"no real data: {path} is not there")
    world = replay(path, replay__mutual=False, run__days=1)
    end = world.clock.now + hours(24)
    log = read_contacts(path, start=START_US)
    live(world)
    assert world.query(Persona).count() == len(log.names)
    counted = sum(state[0] for state in ties(world).values())
    assert counted == np.count_nonzero(log.time <= end) > 0
    world.check()
