"""The scenario smallville: imported minds keep what they remember and live on among neighbours."""

from collections import Counter

import numpy as np
import pytest

from populace.components import Haunts, Memory, Persona
from populace.ecs import days
from populace.ecs.errors import SettingError
from populace.runs import live, make_world

from .conftest import save

LAST_US = 1_676_271_850_000_000
"""2023-02-13 07:04:10, the last memory of the fixture."""


def smallville(personas, **given):
    """Six people for a day, but for what is given; a__b is the parameter a.b."""
    values = {"town.personas": str(personas), "town.agents": 6, "run.days": 1, "run.seed": 3}
    return make_world(
        "smallville", values | {name.replace("__", "."): value for name, value in given.items()}
    )


def texts(world):
    """What is remembered, with how often."""
    return Counter(world.text.decode(world.query(Memory).gather(Memory.text)))


def test_streams_move_in_among_neighbours(ville):
    """They are the first of six, and everybody has a home."""
    world = smallville(ville)
    people = world.query(Persona)
    order = np.argsort(people.gather(Persona.number))
    assert people.count() == 6
    names = world.text.decode(people.gather(Persona.name)[order])
    assert set(names[:2]) == {"Ada Bell", "Kofi Osei"}
    home = world.get(people.ids(), Haunts.home)
    assert (home != 0).all()
    world.check()


def test_all_that_they_remember_is_there_at_the_outset(ville):
    """Four memories each, of their own; those of neighbours begin with the first day."""
    world = smallville(ville)
    owners = Counter(world.query(Memory).gather(Memory.owner).tolist())
    assert sorted(owners.values()) == [4, 4]
    names = world.text.decode(world.get(np.array(list(owners), np.uint64), Persona.name))
    assert set(names) == {"Ada Bell", "Kofi Osei"}
    assert texts(world)["desk 1 is being used"] == 2


@pytest.mark.parametrize(
    ("start", "begins"),
    [("2023-02-13T00:00", LAST_US), ("2023-02-14T00:00", 1_676_332_800_000_000)],
)
def test_they_live_on_from_where_their_streams_end(ville, start, begins):
    """Not before the last memory, and later if the run starts later."""
    world = smallville(ville, run__start=start)
    assert world.clock.now == begins
    assert world.query(Memory).gather(Memory.created).max() == LAST_US


def test_streams_that_end_before_the_default_start_go_on_there(ville):
    """No year passes between their last memory and the first step."""
    for nodes in ville.rglob("nodes.json"):
        nodes.write_text(nodes.read_text().replace("2023-", "2022-"))
    world = smallville(ville)
    last = world.query(Memory).gather(Memory.created).max()
    assert world.clock.now == last == LAST_US - days(365)
    live(world)
    assert world.clock.now == last + days(1)
    world.check()


def test_they_live_a_day(ville):
    """Everybody forms memories, and the counts of them agree."""
    world = smallville(ville)
    outcome = live(world)
    assert (outcome.agents, outcome.imported) == (6, 8)
    assert outcome.formed > 0
    assert outcome.imported + outcome.formed == outcome.forgotten + outcome.kept
    assert np.unique(world.query(Memory).gather(Memory.owner)).size == 6
    world.check()


def test_streams_alone_live_on(ville):
    """With two agents both are of the streams."""
    world = smallville(ville, town__agents=2)
    assert world.query(Persona).count() == 2
    assert world.query(Memory).count() == 8
    live(world)
    world.check()


def test_nobody_who_is_named_stays_away(ville):
    """A town with less room than there are streams is refused, with the way out."""
    save(ville, "Bo Lund")
    with pytest.raises(SettingError, match=r"holds 3 people.* is 2: give --agents 3"):
        smallville(ville, town__agents=2)


def test_smallville_needs_streams(bank):
    """Nobody named, and personas who remember nothing, are refused with the way out."""
    with pytest.raises(SettingError, match=r"town\.personas is empty.*--from DIR"):
        smallville("")
    with pytest.raises(SettingError, match=r"holds no memories.*the scenario town"):
        smallville(bank)


def test_real_streams_live_a_day(real_data):
    """Three people of Generative Agents, all their memories, and a day more."""
    world = smallville(real_data / "ville", town__agents=25)
    imported = world.query(Memory).count()
    assert imported > 100
    assert world.clock.now >= world.query(Memory).gather(Memory.created).max()
    outcome = live(world)
    assert (outcome.agents, outcome.imported) == (25, imported)
    assert outcome.imported + outcome.formed == outcome.forgotten + outcome.kept
    world.check()
