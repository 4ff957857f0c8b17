"""The generated population: plausible, and the same however it is made."""

import numpy as np
import pytest

from populace.components import Biography, Persona
from populace.ecs import World
from populace.generate import N_NAMES, big_five, populate
from populace.words import FIRST_NAMES, LAST_NAMES, PLACES


def people(world, field):
    """A field of everybody, by number."""
    everybody = world.query(Persona, Biography)
    return everybody.gather(field)[np.argsort(everybody.gather(Persona.number))]


@pytest.mark.parametrize("batches", [[100], [1] * 100, [37, 63]])
def test_batches_do_not_show(batches):
    """A population made in one call or in a hundred is the same."""
    whole, parts = World(), World()
    populate(whole, 100, seed=4)
    for n_agents in batches:
        populate(parts, n_agents, seed=4)
    for field in (Persona.number, Persona.extraversion, Biography.age):
        assert (people(whole, field) == people(parts, field)).all()
    for field in (Persona.name, Biography.innate, Biography.learned, Biography.lifestyle):
        one, other = (world.text.decode(people(world, field)) for world in (whole, parts))
        assert one == other


def test_another_seed_makes_other_people():
    """Names, traits and trades all follow the seed."""
    one, other = World(), World()
    populate(one, 50, seed=1)
    populate(other, 50, seed=2)
    for field in (Persona.name, Biography.learned):
        assert one.text.decode(people(one, field)) != other.text.decode(people(other, field))
    assert (people(one, Persona.openness) != people(other, Persona.openness)).mean() > 0.9


def test_full_names_repeat_only_when_all_are_used():
    """As many agents as there are names bear each of them once."""
    world = World()
    populate(world, N_NAMES, seed=11)
    assert np.unique(people(world, Persona.name)).size == N_NAMES
    first, last = world.text.decode(people(world, Persona.name)[:1])[0].split()
    assert first in FIRST_NAMES
    assert last in LAST_NAMES


def test_traits_are_those_of_a_population():
    """Mean 0.5, deviation 0.15, within [0, 1], and the five of them independent."""
    traits = big_five(3, np.arange(20_000))
    assert traits.mean(axis=1) == pytest.approx(0.5, abs=0.005)
    assert traits.std(axis=1) == pytest.approx(0.15, abs=0.005)
    assert traits.min() >= 0
    assert traits.max() <= 1
    assert np.abs(np.corrcoef(traits) - np.eye(5)).max() < 0.03


def test_the_temper_in_words_fits_the_traits():
    """An outgoing agent is not called reserved, and three traits are told."""
    world = World()
    populate(world, 500, seed=6)
    told = world.text.decode(people(world, Biography.innate))
    extraversion = people(world, Persona.extraversion)
    assert {len(words.split(", ")) for words in told} == {3}
    for words, trait in zip(told, extraversion.tolist(), strict=True):
        assert ("outgoing" not in words) or trait > 0.5
        assert ("reserved" not in words) or trait < 0.5


def test_everybody_is_grown_up_and_has_work():
    """Ages run from 18 to 80; every trade is somebody's."""
    world = World()
    populate(world, 2_000, seed=8)
    ages = people(world, Biography.age)
    assert (ages.min(), ages.max()) == (18, 80)
    trades = {text.split(" at ")[0] for text in world.text.decode(people(world, Biography.learned))}
    assert trades == {place.trade for place in PLACES if place.trade}


def test_places_can_be_indexed():
    """Every place has as many things and doings as every other, all different."""
    assert {(len(set(place.things)), len(set(place.doings))) for place in PLACES} == {(6, 8)}
    assert len(set(FIRST_NAMES)) == len(FIRST_NAMES)
    assert len(set(LAST_NAMES)) == len(LAST_NAMES)
