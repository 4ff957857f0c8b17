"""Births in a town: once a day some couples have a child, who lives with them.

Of the people from 18 to 45 who share a home with another of that age, so many are drawn that
`Town.births` to 1,000 people come in a year. A child takes after its parents (`systems.heredity`),
has the day of a child, goes to the nearest school, or to a college where a town has none, and knows
its household. People do not age here.

Draws are a function of (seed, day, number). Cost: one pass over the people a day, and one over the
schools for each child.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from populace.components import (
    Biography,
    Emotion,
    Haunts,
    Mood,
    Persona,
    Place,
    SocialEnergy,
    Stream,
    Tie,
    TieState,
)
from populace.ecs import Res, World, days, random, system
from populace.ecs.entities import Ids
from populace.systems import births, enter_state, settle
from populace.words import FIRST_NAMES

from .town_settings import Town
from .townsfolk import HOUSEHOLD_WEIGHT

YOUNGEST, OLDEST = 18, 45
SCHOOL, COLLEGE = "teacher", "student"
"""Kinds of the places where children may be taught."""
DAYS_A_YEAR = 365


@system(phase="first", every=days(1))
def have_children(world: World, town: Res[Town]) -> None:
    """Let the children of this day be born."""
    if not town.births:
        return
    day = world.clock.now // days(1)
    first, second = couples(world, day)
    wanted = town.births / 1_000 * world.query(Persona).count() / DAYS_A_YEAR
    lucky = float(random.uniform(world.seed, "town.births", np.array([day]))[0])
    n = min(int(wanted + lucky), first.size)
    if n:
        welcome(world, first[:n], second[:n])


def couples(world: World, day: int) -> tuple[Ids, Ids]:
    """Pairs who may have a child on a day, each once, in the order in which they are asked."""
    people = world.query(Persona, Biography, Haunts)
    ids, number, age = people.ids(), people.gather(Persona.number), people.gather(Biography.age)
    home = people.gather(Haunts.home)
    able = (age >= YOUNGEST) & (age <= OLDEST) & (home != 0)
    order = np.flatnonzero(able)[np.lexsort((number[able], home[able]))]
    # Of a home's people of that age the first two by number are a couple.
    begins = np.append(True, home[order][1:] != home[order][:-1])[: order.size]
    first = np.flatnonzero(begins)
    first = first[np.append(~begins, False)[first + 1]]
    one, other = order[first], order[first + 1]
    key = random.uniform(world.seed, "town.couple", number[one].astype(np.int64), draw=day)
    asked = np.lexsort((number[one], key))
    return ids[one[asked]], ids[other[asked]]


def welcome(world: World, first: Ids, second: Ids) -> Ids:
    """Let a child of each couple be born now; returns the children."""
    haunts = [world.get(first, field) for field in (Haunts.home, Haunts.leisure)]
    born: Ids = births(
        world, first, second,
        Biography(age=0),
        Haunts(home=haunts[0], work=schools(world, haunts[0]), leisure=haunts[1]),
        Stream, SocialEnergy, Emotion, Mood,
    )  # fmt: skip
    world.set(born, Persona(name=_names(world, born, first)))
    enter_state(world, born, "home", profile="child")
    settle(world, born)
    household = world.index(Haunts.home).of(haunts[0])
    child = np.repeat(born, np.diff(household.offsets))
    other = household.ids
    child, other = child[child != other], other[child != other]
    world.ensure(
        Tie(source=np.append(child, other), target=np.append(other, child)),
        TieState(weight=HOUSEHOLD_WEIGHT, last=world.clock.now),
    )
    return born


def schools(world: World, homes: Ids) -> Ids:
    """The school nearest to each home, of equally near ones that which was built first; a college
    where there is none."""
    places = world.query(Place)
    ids, kind = places.ids(), places.gather(Place.kind)
    for teaching in (SCHOOL, COLLEGE):
        found = ids[kind == world.text.intern([teaching])[0]]
        if found.size:
            break
    found = np.sort(found)
    x, y = (world.get(found, field) for field in (Place.x, Place.y))
    at = [world.get(homes, field) for field in (Place.x, Place.y)]
    nearest = [int(np.argmin(np.hypot(x - a, y - b))) for a, b in zip(*at, strict=True)]
    return found[nearest]


def _names(world: World, born: Ids, parent: Ids) -> list[str]:
    """A first name, and the last name of a parent."""
    number: npt.NDArray[np.int64] = world.get(born, Persona.number).astype(np.int64)
    given = random.integers(world.seed, "town.child", number, len(FIRST_NAMES))
    names = world.text.decode(world.get(parent, Persona.name))
    families = [(name.split() or ["Nobody"])[-1] for name in names]
    return [f"{FIRST_NAMES[k]} {family}" for k, family in zip(given, families, strict=True)]
